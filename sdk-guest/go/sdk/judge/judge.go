// Package judge is a language model asked by the host, with budget and deadline. It asks for judge.
package judge

import "portcullis/internal/host"

func init() { host.Use("judge", func() bool { return host.Ask != nil }) }

// Variable is a value for one of the template's variables.
type Variable struct {
	Name, Value string
}

// Error says why there is no answer.
type Error struct {
	// One of unavailable, budget-spent, timed-out and bad-answer.
	Kind string
	// More about it, or nothing.
	Text string
}

// Error is one sentence.
func (err *Error) Error() string {
	if err.Text == "" {
		return "the judge gave no answer: " + err.Kind
	}
	return "the judge gave no answer: " + err.Kind + ": " + err.Text
}

// Ask asks with a prompt template registered with the host. The answer is JSON text that fits the template's schema.
func Ask(template string, variables ...Variable) (string, error) {
	if host.Ask == nil {
		return "", host.NotThere("judge")
	}
	var pairs [][2]string
	for _, one := range variables {
		pairs = append(pairs, [2]string{one.Name, one.Value})
	}
	answer, failure := host.Ask(template, pairs)
	if failure != nil {
		return "", &Error{failure.Kind, failure.Text}
	}
	return answer, nil
}
