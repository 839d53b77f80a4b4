// Package host holds what the host offers. The build puts the functions of `log` and of the asks in place; those of other
// capabilities, and all of them in ordinary tests, stay nil.
package host

import "errors"

// State is the capability state.
type State struct {
	Increment func(key string, by uint64, windowSeconds uint32) (uint64, error)
	Get       func(key string) ([]byte, bool, error)
	Replace   func(key string, expected, value []byte, ttlSeconds uint32) (bool, error)
}

// Labels is the capability labels.
type Labels struct {
	Add func(label, value string) error
	All func() [][2]string
}

// Files is the capability files.
type Files struct {
	Read    func(path string) ([]byte, error)
	Entries func(path string) ([]string, error)
}

// Response is an answer to an HTTP request.
type Response struct {
	Status  uint16
	Headers [][2]string
	Body    []byte
}

// Failure is a case of an error variant, with its text.
type Failure struct {
	Kind, Text string
}

var (
	// Write writes a line to the log; level 0 is trace, 4 is error.
	Write func(level uint8, message string)
	// NowMs is the capability clock.
	NowMs func() uint64
	// TheState is the capability state.
	TheState *State
	// TheLabels is the capability labels.
	TheLabels *Labels
	// TheFiles is the capability files.
	TheFiles *Files
	// Ask is the capability judge.
	Ask func(template string, variables [][2]string) (string, *Failure)
	// Send is the capability http.
	Send func(method, url string, headers [][2]string, body []byte) (Response, *Failure)
	// Placeholder is the capability secrets.
	Placeholder func(name string) (string, error)
)

var used []func() error

// Use notes that the plugin uses a capability, so that Missing can tell.
func Use(name string, there func() bool) {
	used = append(used, func() error {
		if there() {
			return nil
		}
		return NotThere(name)
	})
}

// Missing is an error if the plugin uses a capability that plugin.toml does not ask for.
func Missing() error {
	for _, check := range used {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// NotThere is the error of a capability that is not there.
func NotThere(name string) error {
	return errors.New(`the plugin uses ` + name + `: add "` + name + `" to asks in plugin.toml`)
}
