// Package state is small state of one plugin in one tenant, atomic, durable. It asks for state.
package state

import "portcullis/internal/host"

func init() { host.Use("state", func() bool { return host.TheState != nil }) }

// Increment adds to a counter over a sliding window and returns the sum with it. A window of 0 never forgets.
func Increment(key string, by uint64, windowSeconds uint32) (uint64, error) {
	if host.TheState == nil {
		return 0, host.NotThere("state")
	}
	return host.TheState.Increment(key, by, windowSeconds)
}

// Get is the value under a key; false if there is none.
func Get(key string) ([]byte, bool, error) {
	if host.TheState == nil {
		return nil, false, host.NotThere("state")
	}
	return host.TheState.Get(key)
}

// Replace replaces a value if it still equals expected; false if it does not. Nil stands for no value, both as what is
// expected and as what is put there. A ttlSeconds of 0 keeps it.
func Replace(key string, expected, value []byte, ttlSeconds uint32) (bool, error) {
	if host.TheState == nil {
		return false, host.NotThere("state")
	}
	return host.TheState.Replace(key, expected, value, ttlSeconds)
}
