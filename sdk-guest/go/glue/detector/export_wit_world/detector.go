package export_wit_world

import (
	plugin "{{plugin}}"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	"portcullis"
	wit "portcullis/bindings/portcullis_plugin_types"
)

var configured portcullis.Detector

// Configure is the contract's configure.
func Configure(config string) witTypes.Result[witTypes.Unit, string] {
	return configure(plugin.Configure, config, &configured)
}

// Inspect is the contract's inspect.
func Inspect(call wit.Call) witTypes.Result[[]wit.Finding, string] {
	return guarded(false, func() ([]wit.Finding, error) {
		if configured == nil {
			return nil, errUnconfigured
		}
		found, err := configured.Inspect(givenCall(call), payload{})
		if err != nil {
			return nil, err
		}
		findings := make([]wit.Finding, len(found))
		for index, one := range found {
			spans := make([]wit.Span, len(one.Spans))
			for index, given := range one.Spans {
				if spans[index], err = span(given); err != nil {
					return nil, err
				}
			}
			findings[index] = wit.Finding{
				Category: clean(one.Category), Score: score(one.Score), Message: clean(one.Message), Spans: spans,
			}
		}
		return findings, nil
	})
}

// score brings a score into 0 to 1; not-a-number, which no comparison is true of, becomes 0.
func score(given float32) float32 {
	switch {
	case given >= 1:
		return 1
	case given > 0:
		return given
	default:
		return 0
	}
}
