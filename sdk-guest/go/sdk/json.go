package portcullis

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// How deep values may lie in values.
const maxDepth = 100

// member is a member of an object; objects are lists of them, in the order of the text.
type member struct {
	name  string
	value any
}

// reader reads JSON: encoding/json, with all that it needs, is larger than the rest of a plugin.
type reader struct {
	text string
	at   int
}

// readJSON is the value of a JSON text: nil, bool, float64, string, []any or []member.
func readJSON(text string) (any, bool) {
	reader := reader{text: text}
	value, ok := reader.value(0)
	reader.space()
	return value, ok && reader.at == len(text)
}

// peek is the next byte; 0, which is nowhere in JSON, at the end.
func (reader *reader) peek() byte {
	if reader.at < len(reader.text) {
		return reader.text[reader.at]
	}
	return 0
}

// take goes past a byte if it is the next one.
func (reader *reader) take(one byte) bool {
	found := reader.peek() == one && reader.at < len(reader.text)
	if found {
		reader.at++
	}
	return found
}

func (reader *reader) space() {
	for strings.IndexByte(" \t\r\n", reader.peek()) >= 0 {
		reader.at++
	}
}

func (reader *reader) value(depth int) (any, bool) {
	if depth > maxDepth {
		return nil, false
	}
	reader.space()
	switch one := reader.peek(); {
	case one == '{':
		return reader.object(depth)
	case one == '[':
		return reader.list(depth)
	case one == '"':
		return reader.string()
	case one == '-' || '0' <= one && one <= '9':
		return reader.number()
	}
	words := []member{{"true", true}, {"false", false}, {"null", nil}}
	for _, word := range words {
		if strings.HasPrefix(reader.text[reader.at:], word.name) {
			reader.at += len(word.name)
			return word.value, true
		}
	}
	return nil, false
}

func (reader *reader) object(depth int) (any, bool) {
	members := []member{}
	reader.at++
	for reader.space(); !reader.take('}'); reader.space() {
		if len(members) > 0 {
			if !reader.take(',') {
				return nil, false
			}
			reader.space()
		}
		name, ok := reader.string()
		reader.space()
		if !ok || !reader.take(':') {
			return nil, false
		}
		value, ok := reader.value(depth + 1)
		if !ok {
			return nil, false
		}
		members = append(members, member{name, value})
	}
	return members, true
}

func (reader *reader) list(depth int) (any, bool) {
	items := []any{}
	reader.at++
	for reader.space(); !reader.take(']'); reader.space() {
		if len(items) > 0 && !reader.take(',') {
			return nil, false
		}
		value, ok := reader.value(depth + 1)
		if !ok {
			return nil, false
		}
		items = append(items, value)
	}
	return items, true
}

func (reader *reader) digits() bool {
	from := reader.at
	for '0' <= reader.peek() && reader.peek() <= '9' {
		reader.at++
	}
	return reader.at > from
}

func (reader *reader) number() (any, bool) {
	from := reader.at
	reader.take('-')
	zero := reader.peek() == '0'
	first := reader.at
	ok := reader.digits() && !(zero && reader.at > first+1)
	if reader.take('.') {
		ok = reader.digits() && ok
	}
	if reader.take('e') || reader.take('E') {
		if !reader.take('-') {
			reader.take('+')
		}
		ok = reader.digits() && ok
	}
	// A number out of range comes out as infinite.
	number, _ := strconv.ParseFloat(reader.text[from:reader.at], 64)
	return number, ok
}

func (reader *reader) string() (string, bool) {
	if !reader.take('"') {
		return "", false
	}
	var made strings.Builder
	for {
		from := reader.at
		for one := reader.peek(); one >= ' ' && one != '"' && one != '\\'; one = reader.peek() {
			reader.at++
		}
		made.WriteString(reader.text[from:reader.at])
		if reader.take('"') {
			return made.String(), utf8.ValidString(made.String())
		}
		if !reader.take('\\') {
			return "", false
		}
		one := reader.peek()
		reader.at++
		if short := strings.IndexByte(`"\/bfnrt`, one); short >= 0 {
			made.WriteByte("\"\\/\b\f\n\r\t"[short])
			continue
		}
		unit, ok := reader.unit()
		if one != 'u' || !ok {
			return "", false
		}
		if utf16.IsSurrogate(unit) {
			second := rune(-1)
			if before := *reader; reader.take('\\') && reader.take('u') {
				if second, ok = reader.unit(); !ok {
					return "", false
				}
				if utf16.DecodeRune(unit, second) == utf8.RuneError {
					*reader = before
				}
			}
			unit = utf16.DecodeRune(unit, second)
		}
		made.WriteRune(unit)
	}
}

// unit is four hexadecimal digits.
func (reader *reader) unit() (rune, bool) {
	if reader.at+4 > len(reader.text) {
		return 0, false
	}
	unit, err := strconv.ParseUint(reader.text[reader.at:reader.at+4], 16, 16)
	reader.at += 4
	return rune(unit), err == nil
}
