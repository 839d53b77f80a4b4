package export_wit_world

import (
	witTypes "go.bytecodealliance.org/pkg/wit/types"
	judge "portcullis/bindings/portcullis_plugin_judge"
	"portcullis/internal/host"
)

func init() {
	host.Ask = func(template string, variables [][2]string) (string, *host.Failure) {
		question := judge.Question{Template: clean(template)}
		for _, pair := range variables {
			question.Variables = append(question.Variables, witTypes.Tuple2[string, string]{F0: clean(pair[0]), F1: clean(pair[1])})
		}
		answer := judge.Ask(question)
		if !answer.IsErr() {
			return answer.Ok(), nil
		}
		failure := answer.Err()
		switch failure.Tag() {
		case judge.JudgeErrorUnavailable:
			return "", &host.Failure{Kind: "unavailable", Text: failure.Unavailable()}
		case judge.JudgeErrorBudgetSpent:
			return "", &host.Failure{Kind: "budget-spent"}
		case judge.JudgeErrorTimedOut:
			return "", &host.Failure{Kind: "timed-out"}
		default:
			return "", &host.Failure{Kind: "bad-answer", Text: failure.BadAnswer()}
		}
	}
}
