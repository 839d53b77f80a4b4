package export_wit_world

import (
	"errors"

	plugin "{{plugin}}"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	"portcullis"
	wit "portcullis/bindings/portcullis_plugin_types"
)

var configured portcullis.Rule

// Configure is the contract's configure.
func Configure(config string) witTypes.Result[witTypes.Unit, string] {
	return configure(plugin.Configure, config, &configured)
}

// Decide is the contract's decide.
func Decide(call wit.Call, findings []wit.AttributedFinding) witTypes.Result[wit.Verdict, string] {
	return guarded(false, func() (wit.Verdict, error) {
		if configured == nil {
			return wit.Verdict{}, errUnconfigured
		}
		made, err := configured.Decide(givenCall(call), payload{}, givenFindings(findings))
		if err != nil {
			return wit.Verdict{}, err
		}
		return verdict(made)
	})
}

func verdict(made portcullis.Verdict) (wit.Verdict, error) {
	switch made.Decision {
	case portcullis.DecisionAllow:
		return wit.MakeVerdictAllow(), nil
	case portcullis.DecisionRedact:
		replacements := make([]wit.Replacement, len(made.Replacements))
		for index, one := range made.Replacements {
			place, err := span(one.Span)
			if err != nil {
				return wit.Verdict{}, err
			}
			replacements[index] = wit.Replacement{Span: place, Value: clean(one.Value)}
		}
		return wit.MakeVerdictRedact(wit.Redaction{Reasons: reasons(made.Reasons), Replacements: replacements}), nil
	case portcullis.DecisionReview:
		return wit.MakeVerdictReview(reasons(made.Reasons)), nil
	case portcullis.DecisionDeny:
		return wit.MakeVerdictDeny(reasons(made.Reasons)), nil
	default:
		return wit.Verdict{}, errors.New("the verdict holds no decision")
	}
}
