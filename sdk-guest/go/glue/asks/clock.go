package export_wit_world

import (
	clock "portcullis/bindings/portcullis_plugin_clock"
	"portcullis/internal/host"
)

func init() { host.NowMs = clock.NowMs }
