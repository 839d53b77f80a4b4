package portcullis

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Config is a configuration that is a JSON object. A method's second result is false if the key is missing or its value is of
// another kind.
type Config struct {
	members map[string]any
}

// ReadConfig reads the configuration's JSON text. It must be an object with no other keys than these; no text is an empty one.
func ReadConfig(text string, known ...string) (Config, error) {
	if strings.TrimSpace(text) == "" {
		return Config{}, nil
	}
	notObject := errors.New("the configuration is not a JSON object")
	decoder := json.NewDecoder(strings.NewReader(text))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return Config{}, notObject
	}
	members := map[string]any{}
	for decoder.More() {
		key, err := decoder.Token()
		name, isText := key.(string)
		if err != nil || !isText {
			return Config{}, notObject
		}
		if !slices.Contains(known, name) {
			return Config{}, fmt.Errorf("%s: there is no such key", name)
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return Config{}, fmt.Errorf("%s: %w", name, err)
		}
		members[name] = value
	}
	return Config{members}, nil
}

// Has tells whether there is such a key.
func (config Config) Has(key string) bool {
	_, found := config.members[key]
	return found
}

// Text is a string.
func (config Config) Text(key string) (string, bool) {
	text, ok := config.members[key].(string)
	return text, ok
}

// Texts is a list of strings.
func (config Config) Texts(key string) ([]string, bool) {
	items, ok := config.members[key].([]any)
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text, isText := item.(string)
		texts, ok = append(texts, text), ok && isText
	}
	return texts, ok
}

// Number is a number.
func (config Config) Number(key string) (float64, bool) {
	number, ok := config.members[key].(float64)
	return number, ok
}

// Whole is a whole number from 0 to 4294967295.
func (config Config) Whole(key string) (uint32, bool) {
	number, ok := config.Number(key)
	if !ok || number < 0 || number > math.MaxUint32 || number != math.Trunc(number) {
		return 0, false
	}
	return uint32(number), true
}
