package export_wit_world

import (
	"errors"

	labels "portcullis/bindings/portcullis_plugin_labels"
	"portcullis/internal/host"
)

func init() {
	host.TheLabels = &host.Labels{
		Add: func(label, value string) error {
			if answer := labels.Add(clean(label), clean(value)); answer.IsErr() {
				return errors.New(answer.Err())
			}
			return nil
		},
		All: func() [][2]string {
			given := labels.All()
			all := make([][2]string, len(given))
			for index, pair := range given {
				all[index] = [2]string{pair.F0, pair.F1}
			}
			return all
		},
	}
}
