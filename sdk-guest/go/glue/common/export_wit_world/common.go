// Package export_wit_world is what the generated exports call: it translates, and calls the plugin.
package export_wit_world

import (
	"errors"
	"fmt"
	golog "log"
	"math"
	"path"
	"runtime"
	"strings"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	"portcullis"
	log "portcullis/bindings/portcullis_plugin_log"
	body "portcullis/bindings/portcullis_plugin_payload"
	wit "portcullis/bindings/portcullis_plugin_types"
	"portcullis/internal/host"
)

func init() {
	host.Write = func(level uint8, message string) { log.Write(level, message) }
	golog.SetFlags(0)
	golog.SetOutput(lines{})
}

// lines takes what the standard library's log writes: one line at a time.
type lines struct{}

func (lines) Write(text []byte) (int, error) {
	host.Write(log.LevelInfo, clean(strings.TrimSuffix(string(text), "\n")))
	return len(text), nil
}

// payload is the payload of the call at hand, read from the host.
type payload struct{}

func (payload) Raw() string { return body.Raw() }

func (payload) Texts() []portcullis.Text {
	given := body.Texts()
	texts := make([]portcullis.Text, len(given))
	for index, text := range given {
		texts[index] = portcullis.Text{Index: index, Pointer: text.Pointer, Value: text.Value}
	}
	return texts
}

func (payload) Names() []string { return body.Names() }

func (payload) Get(pointer string) (string, bool) {
	found := body.Get(clean(pointer)).Pointer()
	if found == nil {
		return "", false
	}
	return *found, true
}

var errUnconfigured = errors.New("the plugin is not configured")

// configure keeps what the plugin's Configure makes.
func configure[P comparable](make func(string) (P, error), config string, plugin *P) witTypes.Result[witTypes.Unit, string] {
	return guarded(true, func() (witTypes.Unit, error) {
		if err := host.Missing(); err != nil {
			return witTypes.Unit{}, err
		}
		made, err := make(config)
		var none P
		if err == nil && made == none {
			err = errors.New("Configure made neither a plugin nor an error")
		}
		if err == nil {
			*plugin = made
		}
		return witTypes.Unit{}, err
	})
}

// guarded makes errors and panics of the plugin what the contract knows. What a panic says may quote the payload, so of a call
// only its place is told, and what the language itself complains about.
func guarded[T any](withText bool, run func() (T, error)) (result witTypes.Result[T, string]) {
	defer func() {
		if panicked := recover(); panicked != nil {
			text := "panic" + place()
			if _, ofLanguage := panicked.(runtime.Error); ofLanguage || withText {
				text += fmt.Sprintf(": %v", panicked)
			}
			result = witTypes.Err[T](clean(text))
		}
	}()
	value, err := run()
	if err != nil {
		return witTypes.Err[T](clean(err.Error()))
	}
	return witTypes.Ok[T, string](value)
}

// place is where the code at hand panicked: the first frame that is neither Go's nor the SDK's.
func place() string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "{{plugin}}") {
			return fmt.Sprintf(" in %s line %d", path.Base(frame.File), frame.Line)
		}
		if !more {
			return ""
		}
	}
}

// clean is text that UTF-8 can hold.
func clean(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}

func cleanAll(texts []string) []string {
	cleaned := make([]string, len(texts))
	for index, text := range texts {
		cleaned[index] = clean(text)
	}
	return cleaned
}

func givenCall(call wit.Call) portcullis.Call {
	return portcullis.Call{
		ID:       call.Id,
		Phase:    portcullis.Phase(call.Phase),
		Tenant:   call.Tenant,
		Agent:    call.Agent,
		Session:  call.Session.Pointer(),
		Persona:  call.Persona.Pointer(),
		Task:     call.Task.Pointer(),
		Upstream: call.Upstream.Pointer(),
		Tool:     call.Tool,
		Digest:   call.Digest,
	}
}

func givenFindings(given []wit.AttributedFinding) []portcullis.AttributedFinding {
	findings := make([]portcullis.AttributedFinding, len(given))
	for index, one := range given {
		spans := make([]portcullis.Span, len(one.Finding.Spans))
		for index, span := range one.Finding.Spans {
			spans[index] = portcullis.Span{Text: int(span.Text), Start: int(span.Start), End: int(span.End)}
		}
		findings[index] = portcullis.AttributedFinding{Plugin: one.Plugin, Finding: portcullis.Finding{
			Category: one.Finding.Category, Score: one.Finding.Score, Message: one.Finding.Message, Spans: spans,
		}}
	}
	return findings
}

func span(span portcullis.Span) (wit.Span, error) {
	for _, number := range []int{span.Text, span.Start, span.End} {
		if number < 0 || int64(number) > math.MaxUint32 {
			return wit.Span{}, errors.New("a span is out of range")
		}
	}
	return wit.Span{Text: uint32(span.Text), Start: uint32(span.Start), End: uint32(span.End)}, nil
}

func reasons(given []portcullis.Reason) []wit.Reason {
	made := make([]wit.Reason, len(given))
	for index, reason := range given {
		made[index] = wit.Reason{Code: clean(reason.Code), Message: clean(reason.Message)}
	}
	return made
}
