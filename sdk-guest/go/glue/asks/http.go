package export_wit_world

import (
	witTypes "go.bytecodealliance.org/pkg/wit/types"
	http "portcullis/bindings/portcullis_plugin_http"
	"portcullis/internal/host"
)

func init() {
	host.Send = func(method, url string, headers [][2]string, body []byte) (host.Response, *host.Failure) {
		request := http.Request{Method: clean(method), Url: clean(url), Body: body}
		for _, pair := range headers {
			request.Headers = append(request.Headers, witTypes.Tuple2[string, string]{F0: clean(pair[0]), F1: clean(pair[1])})
		}
		answer := http.Send(request)
		if answer.IsErr() {
			return host.Response{}, failed(answer.Err())
		}
		given := answer.Ok()
		response := host.Response{Status: given.Status, Body: given.Body}
		for _, pair := range given.Headers {
			response.Headers = append(response.Headers, [2]string{pair.F0, pair.F1})
		}
		return response, nil
	}
}

func failed(failure http.HttpError) *host.Failure {
	switch failure.Tag() {
	case http.HttpErrorForbidden:
		return &host.Failure{Kind: "forbidden", Text: failure.Forbidden()}
	case http.HttpErrorUnreachable:
		return &host.Failure{Kind: "unreachable", Text: failure.Unreachable()}
	case http.HttpErrorTimedOut:
		return &host.Failure{Kind: "timed-out"}
	default:
		return &host.Failure{Kind: "too-large"}
	}
}
