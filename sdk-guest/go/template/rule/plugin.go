// Package plugin is a rule: it denies and redacts what the detectors saw, and sends large amounts to a person.
package plugin

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"portcullis"
)

type limit struct {
	reviewOver   float64
	amount       string
	deny, redact []string
}

// Configure runs once per configuration; what it makes is there in every call.
func Configure(text string) (portcullis.Rule, error) {
	config, err := portcullis.ReadConfig(text, "review_over", "amount", "deny", "redact")
	if err != nil {
		return nil, err
	}
	plugin := limit{amount: "/amount"}
	ok := false
	if plugin.reviewOver, ok = config.Number("review_over"); !ok || plugin.reviewOver < 0 {
		return nil, errors.New("review_over: give a number of at least 0")
	}
	if config.Has("amount") {
		if plugin.amount, ok = config.Text("amount"); !ok || (plugin.amount != "" && plugin.amount[0] != '/') {
			return nil, errors.New("amount: use a JSON pointer, for instance /amount")
		}
	}
	if plugin.deny, ok = config.Texts("deny"); !ok && config.Has("deny") {
		return nil, errors.New("deny: give a list of categories")
	}
	if plugin.redact, ok = config.Texts("redact"); !ok && config.Has("redact") {
		return nil, errors.New("redact: give a list of categories")
	}
	return plugin, nil
}

// Decide runs once per call. Nothing that it changes is seen by the next call.
func (plugin limit) Decide(
	call portcullis.Call, payload portcullis.Payload, findings []portcullis.AttributedFinding,
) (portcullis.Verdict, error) {
	var replacements []portcullis.Replacement
	for _, finding := range findings {
		if finding.Score < 0.5 {
			continue
		}
		if slices.Contains(plugin.deny, finding.Category) {
			return portcullis.Deny("forbidden", finding.Plugin+" saw "+finding.Category), nil
		}
		if slices.Contains(plugin.redact, finding.Category) {
			for _, span := range finding.Spans {
				replacements = append(replacements, portcullis.Replacement{Span: span, Value: "[removed]"})
			}
		}
	}

	// The amount's JSON text, exactly as the agent wrote it.
	if amount, found := payload.Get(plugin.amount); found {
		if !strings.ContainsRune("-0123456789", rune(amount[0])) {
			return portcullis.Review("odd_amount", "the amount is not a number"), nil
		}
		if len(amount) > 400 {
			return portcullis.Verdict{}, fmt.Errorf("amount: a number of %d characters cannot be judged", len(amount))
		}
		number, err := strconv.ParseFloat(amount, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // Out of range is infinite, and so large.
			return portcullis.Verdict{}, errors.New("amount: the number cannot be read")
		}
		if number > plugin.reviewOver {
			return portcullis.Review("large_amount", "the amount "+amount+" is large"), nil
		}
	}

	if len(replacements) > 0 {
		return portcullis.Redact(replacements, "removed", fmt.Sprintf("%d places were removed", len(replacements))), nil
	}
	return portcullis.Allow(), nil
}
