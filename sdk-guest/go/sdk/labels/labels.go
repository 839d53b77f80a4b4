// Package labels is labels that a session carries from call to call (taint). It asks for labels.
package labels

import "portcullis/internal/host"

func init() { host.Use("labels", func() bool { return host.TheLabels != nil }) }

// Label is a label with its value.
type Label struct {
	Name, Value string
}

// Add adds a label to the session; adding it again with another value adds a second one. It is an error if the call has no
// session, or the session holds too many labels.
func Add(label, value string) error {
	if host.TheLabels == nil {
		return host.NotThere("labels")
	}
	return host.TheLabels.Add(label, value)
}

// All is all labels of the session, oldest first; none without a session.
func All() []Label {
	if host.TheLabels == nil {
		panic(host.NotThere("labels"))
	}
	var all []Label
	for _, pair := range host.TheLabels.All() {
		all = append(all, Label{pair[0], pair[1]})
	}
	return all
}
