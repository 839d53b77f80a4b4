// Package portcullis is for writing Portcullis plugins in Go.
//
// A plugin is the package in the project's folder, with one function:
//
//	func Configure(config string) (portcullis.Detector, error)
//
// or with Rule or Router in place of Detector, as plugin.toml says. It runs once per configuration; the plugin is frozen as it
// is then, and every call starts from there.
//
// Capabilities are packages below this one: log is always there; clock, state, labels, files, judge, http and secrets work if
// asks in plugin.toml names them.
package portcullis

// Detector looks and reports.
type Detector interface {
	// Inspect looks at one call. An error is logged, and the call follows the plugin's fail mode; so does a panic.
	Inspect(call Call, payload Payload) ([]Finding, error)
}

// Rule decides.
type Rule interface {
	// Decide decides one call, given what the detectors saw. An error is logged, and the call follows the plugin's fail mode.
	Decide(call Call, payload Payload, findings []AttributedFinding) (Verdict, error)
}

// Router says who must approve a parked call.
type Router interface {
	// Route says who decides, given why the call was parked.
	Route(call Call, payload Payload, findings []AttributedFinding, reasons []Reason) (Plan, error)
}
