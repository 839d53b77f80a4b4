// Package secrets is secrets by name: the plugin gets a placeholder that the host replaces in outgoing headers. It asks for
// secrets.
package secrets

import "portcullis/internal/host"

func init() { host.Use("secrets", func() bool { return host.Placeholder != nil }) }

// Placeholder is the placeholder of a secret.
func Placeholder(name string) (string, error) {
	if host.Placeholder == nil {
		return "", host.NotThere("secrets")
	}
	return host.Placeholder(name)
}
