package portcullis

import (
	"errors"
	"math"
	"slices"
	"strings"
)

// Config is a configuration that is a JSON object. A method's second result is false if the key is missing or its value is of
// another kind. For values within values, give the text to encoding/json instead; that makes the component twice as large.
type Config struct {
	members []member
}

// ReadConfig reads the configuration's JSON text. It must be an object with no other keys than these; no text is an empty one.
func ReadConfig(text string, known ...string) (Config, error) {
	if strings.TrimSpace(text) == "" {
		return Config{}, nil
	}
	value, ok := readJSON(text)
	members, isObject := value.([]member)
	if !ok || !isObject {
		return Config{}, errors.New("the configuration is not a JSON object")
	}
	for _, member := range members {
		if !slices.Contains(known, member.name) {
			return Config{}, errors.New(member.name + ": there is no such key")
		}
	}
	return Config{members}, nil
}

func (config Config) get(key string) any {
	for _, member := range config.members {
		if member.name == key {
			return member.value
		}
	}
	return nil
}

// Has tells whether there is such a key.
func (config Config) Has(key string) bool {
	return slices.ContainsFunc(config.members, func(member member) bool { return member.name == key })
}

// Bool is true or false.
func (config Config) Bool(key string) (value, ok bool) {
	value, ok = config.get(key).(bool)
	return value, ok
}

// Text is a string.
func (config Config) Text(key string) (string, bool) {
	text, ok := config.get(key).(string)
	return text, ok
}

// Texts is a list of strings.
func (config Config) Texts(key string) ([]string, bool) {
	items, ok := config.get(key).([]any)
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text, isText := item.(string)
		texts, ok = append(texts, text), ok && isText
	}
	return texts, ok
}

// Number is a number that a float64 can hold.
func (config Config) Number(key string) (float64, bool) {
	number, ok := config.get(key).(float64)
	return number, ok && !math.IsInf(number, 0)
}

// Whole is a whole number from 0 to 4294967295.
func (config Config) Whole(key string) (uint32, bool) {
	number, ok := config.Number(key)
	if !ok || number < 0 || number > math.MaxUint32 || number != math.Trunc(number) {
		return 0, false
	}
	return uint32(number), true
}
