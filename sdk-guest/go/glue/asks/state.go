package export_wit_world

import (
	"errors"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	state "portcullis/bindings/portcullis_plugin_state"
	"portcullis/internal/host"
)

func init() {
	host.TheState = &host.State{
		Increment: func(key string, by uint64, windowSeconds uint32) (uint64, error) {
			answer := state.Increment(clean(key), by, windowSeconds)
			if answer.IsErr() {
				return 0, errors.New(answer.Err())
			}
			return answer.Ok(), nil
		},
		Get: func(key string) ([]byte, bool, error) {
			answer := state.Get(clean(key))
			if answer.IsErr() {
				return nil, false, errors.New(answer.Err())
			}
			value := answer.Ok().Pointer()
			if value == nil {
				return nil, false, nil
			}
			return *value, true, nil
		},
		Replace: func(key string, expected, value []byte, ttlSeconds uint32) (bool, error) {
			answer := state.Replace(clean(key), perhaps(expected), perhaps(value), ttlSeconds)
			if answer.IsErr() {
				return false, errors.New(answer.Err())
			}
			return answer.Ok(), nil
		},
	}
}

func perhaps(value []byte) witTypes.Option[[]byte] {
	if value == nil {
		return witTypes.None[[]byte]()
	}
	return witTypes.Some(value)
}
