// Package http is requests to named hosts. It asks for http.
package http

import "portcullis/internal/host"

func init() { host.Use("http", func() bool { return host.Send != nil }) }

// Header is one header line.
type Header struct {
	Name, Value string
}

// Request is a request.
type Request struct {
	// For instance GET.
	Method string
	// Absolute; the host must be granted.
	URL string
	// In order; names in any case.
	Headers []Header
	// Body bytes.
	Body []byte
}

// Response is its answer.
type Response struct {
	// Status code.
	Status int
	// In order; names in any case.
	Headers []Header
	// Body bytes.
	Body []byte
}

// Error says why there is no answer.
type Error struct {
	// One of forbidden, unreachable, timed-out and too-large.
	Kind string
	// More about it, or nothing.
	Text string
}

// Error is one sentence.
func (err *Error) Error() string {
	if err.Text == "" {
		return "the request failed: " + err.Kind
	}
	return "the request failed: " + err.Kind + ": " + err.Text
}

// Send sends one request; redirects are not followed.
func Send(request Request) (Response, error) {
	if host.Send == nil {
		return Response{}, host.NotThere("http")
	}
	var headers [][2]string
	for _, one := range request.Headers {
		headers = append(headers, [2]string{one.Name, one.Value})
	}
	answer, failure := host.Send(request.Method, request.URL, headers, request.Body)
	if failure != nil {
		return Response{}, &Error{failure.Kind, failure.Text}
	}
	response := Response{Status: int(answer.Status), Body: answer.Body}
	for _, pair := range answer.Headers {
		response.Headers = append(response.Headers, Header{pair[0], pair[1]})
	}
	return response, nil
}
