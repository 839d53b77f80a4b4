package portcullis

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestValuesAreReadAsTheyStand(t *testing.T) {
	text := ` { "a" : [ 1 , -0.5e+1, true, false, null, "x" ] , "b":{}, "ü\n\u00e9\ud83d\udd11\/" : [] } `
	want := []member{
		{"a", []any{1.0, -5.0, true, false, nil, "x"}},
		{"b", []member{}},
		{"ü\né🔑/", []any{}},
	}
	if value, ok := readJSON(text); !ok || !reflect.DeepEqual(value, want) {
		t.Fatalf("%#v %v", value, ok)
	}
	for text, want := range map[string]any{
		`"\ud83d"`: "\uFFFD", `"\ud83dx"`: "\uFFFDx", `"\ud83d\u0041"`: "\uFFFDA", `"\udd11"`: "\uFFFD",
		"0": 0.0, "1E+400": math.Inf(1), `""`: "",
	} {
		if value, ok := readJSON(text); !ok || value != want {
			t.Errorf("%s: %#v %v", text, value, ok)
		}
	}
}

func TestWhatIsNotJSONIsRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "{", "[", `"`, `"\`, `"\u12`, `"\u12g4"`, `"\x"`, "\"\n\"", "\"\xff\"", "01", "1.", ".5", "+1", "-", "1e", "tru", "nul",
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{1:2}`, "[1,]", "[,]", "[1 2]", "{} x", "\x00", "[\x00]",
		strings.Repeat("[", 200) + strings.Repeat("]", 200),
	} {
		if value, ok := readJSON(text); ok {
			t.Errorf("%q was read as %#v", text, value)
		}
	}
}

func TestConfigurationsTellWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "",
		`{"a": 1}`:         "",
		`[]`:               "the configuration is not a JSON object",
		`{"a": 1`:          "the configuration is not a JSON object",
		`{"a":1,"é":2}`:    "é: there is no such key",
		`{"z":1,"y":{}}`:   "z: there is no such key",
		`{"a":1} {"a": 2}`: "the configuration is not a JSON object",
	} {
		_, err := ReadConfig(text, "a")
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	config, _ := ReadConfig(`{"a":[1,"x"],"b":["x"],"c":60.0,"d":1.5,"e":1E400,"f":null}`, "a", "b", "c", "d", "e", "f")
	if _, ok := config.Texts("a"); ok {
		t.Error("a list with a number")
	}
	if texts, ok := config.Texts("b"); !ok || texts[0] != "x" {
		t.Error("a list of strings")
	}
	if whole, ok := config.Whole("c"); !ok || whole != 60 {
		t.Error("60.0 is whole")
	}
	for _, key := range []string{"d", "e", "f", "g"} {
		if _, ok := config.Whole(key); ok {
			t.Errorf("%s is not whole", key)
		}
	}
	if _, ok := config.Number("e"); ok || !config.Has("f") || config.Has("g") {
		t.Error("infinite, null and missing")
	}
}

func TestWordsAreFoundByTheirBytes(t *testing.T) {
	text := Text{Index: 3, Value: "Größe GRÖßE größe aaa"}
	var spans []Span
	for span := range text.Find("größe") {
		spans = append(spans, span)
	}
	if !reflect.DeepEqual(spans, []Span{{3, 0, 7}, {3, 16, 23}}) {
		t.Error(spans)
	}
	count := 0
	for range text.Find("aa") {
		count++
	}
	for range text.Find("") {
		count += 100
	}
	if count != 1 {
		t.Error(count)
	}
}

func TestLongTextsAreSearchedLikeShortOnes(t *testing.T) {
	words := []string{"a", "ab", "aab", "Ba", "é", "\xa9x", strings.Repeat("ab", 200), strings.Repeat("x", 300) + "y", "zzz"}
	text := strings.Repeat("abAaéxé", 300) + strings.Repeat("x", 310) + "Y" + strings.Repeat("aB", 250)
	for _, word := range words {
		var want, got [][2]int
		for at := 0; at+len(word) <= len(text); {
			if same(text[at:at+len(word)], word) {
				want = append(want, [2]int{at, at + len(word)})
				at += len(word)
			} else {
				at++
			}
		}
		for span := range (Text{Value: text}).Find(word) {
			got = append(got, [2]int{span.Start, span.End})
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%.10q: %v instead of %v", word, got, want)
		}
	}
}
