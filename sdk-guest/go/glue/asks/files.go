package export_wit_world

import (
	"errors"

	files "portcullis/bindings/portcullis_plugin_files"
	"portcullis/internal/host"
)

func init() {
	host.TheFiles = &host.Files{
		Read: func(path string) ([]byte, error) {
			answer := files.Read(clean(path))
			if answer.IsErr() {
				return nil, errors.New(answer.Err())
			}
			return answer.Ok(), nil
		},
		Entries: func(path string) ([]string, error) {
			answer := files.Entries(clean(path))
			if answer.IsErr() {
				return nil, errors.New(answer.Err())
			}
			return answer.Ok(), nil
		},
	}
}
