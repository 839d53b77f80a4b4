// Package clock is time as the host records it with the verdict. It asks for clock.
package clock

import (
	"time"

	"portcullis/internal/host"
)

func init() { host.Use("clock", func() bool { return host.NowMs != nil }) }

// Now is the time of the call, the same for the whole call. time.Now is no clock in a plugin.
func Now() time.Time {
	if host.NowMs == nil {
		panic(host.NotThere("clock"))
	}
	return time.UnixMilli(int64(host.NowMs())).UTC()
}
