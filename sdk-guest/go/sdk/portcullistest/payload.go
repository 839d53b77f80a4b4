// Package portcullistest is for ordinary tests of plugins, with `go test`.
package portcullistest

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"portcullis"
)

type payload struct {
	raw    string
	texts  []portcullis.Text
	names  []string
	values map[string]string
}

// NewPayload is a payload of this JSON text.
func NewPayload(text string) (portcullis.Payload, error) {
	found := &payload{raw: text, values: map[string]string{}}
	if err := found.walk("", []byte(strings.TrimSpace(text))); err != nil {
		return nil, err
	}
	return found, nil
}

func (found *payload) walk(pointer string, value json.RawMessage) error {
	if !json.Valid(value) {
		return errors.New("the payload is not JSON")
	}
	found.values[pointer] = string(value)
	decoder := json.NewDecoder(strings.NewReader(string(value)))
	first, err := decoder.Token()
	if err != nil && err != io.EOF {
		return err
	}
	if text, is := first.(string); is {
		found.texts = append(found.texts, portcullis.Text{Index: len(found.texts), Pointer: pointer, Value: text})
		return nil
	}
	for index := 0; decoder.More(); index++ {
		step := strconv.Itoa(index)
		if first == json.Delim('{') {
			name, err := decoder.Token()
			if err != nil {
				return err
			}
			step, _ = name.(string)
			if !slices.Contains(found.names, step) {
				found.names = append(found.names, step)
			}
		}
		var item json.RawMessage
		if err := decoder.Decode(&item); err != nil {
			return err
		}
		if err := found.walk(pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(step), item); err != nil {
			return err
		}
	}
	return nil
}

func (found *payload) Raw() string              { return found.raw }
func (found *payload) Texts() []portcullis.Text { return found.texts }
func (found *payload) Names() []string          { return found.names }

func (found *payload) Get(pointer string) (string, bool) {
	value, ok := found.values[pointer]
	return value, ok
}
