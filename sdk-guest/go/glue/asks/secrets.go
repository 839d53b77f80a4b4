package export_wit_world

import (
	"errors"

	secrets "portcullis/bindings/portcullis_plugin_secrets"
	"portcullis/internal/host"
)

func init() {
	host.Placeholder = func(name string) (string, error) {
		answer := secrets.Placeholder(clean(name))
		if answer.IsErr() {
			return "", errors.New(answer.Err())
		}
		return answer.Ok(), nil
	}
}
