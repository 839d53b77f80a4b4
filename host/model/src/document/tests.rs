use super::*;
use crate::Span;

fn parse(text: &str) -> Document {
    Document::parse(text).unwrap()
}

fn fault(text: &str) -> DocumentFault {
    Document::parse(text).unwrap_err().fault
}

#[test]
fn values_keep_their_place_and_their_digits() {
    let document = parse(r#" {"a": [1.50, 123456789012345678901234567890, -0], "b": {"c": "x\ny"}} "#);
    let numbers: Vec<_> = document.root().get("a").unwrap().items().map(Value::raw).collect();
    assert_eq!(numbers, ["1.50", "123456789012345678901234567890", "-0"]);
    assert_eq!(document.pointer("/b/c").unwrap().as_str(), Some("x\ny"));
    assert_eq!(document.pointer("/b/c").unwrap().raw(), r#""x\ny""#);
    assert_eq!(document.pointer("/a/1").unwrap().kind(), Kind::Number);
    assert!(document.pointer("/a/01").is_none());
    assert!(document.pointer("a").is_none());
}

#[test]
fn names_that_multiply_are_refused() {
    let below =
        |name: usize, strings: usize| format!(r#"{{"{}":[{}]}}"#, "n".repeat(name), vec![r#""a""#; strings].join(","));
    assert_eq!(fault(&below(2 << 20, 100)), DocumentFault::Pointers);
    assert_eq!(fault(&below(1000, 20_000)), DocumentFault::Pointers);
    assert_eq!(fault(&format!(r#"{{"{}":["a","a"]}}"#, "/".repeat(5 << 20))), DocumentFault::Pointers);
    // One long name, many short ones, and many strings are what documents have.
    for good in [below(1 << 20, 10), below(10, 200_000), below(100, 100_000)] {
        let document = parse(&good);
        let bytes: usize = document.texts().iter().map(|text| text.pointer.len()).sum();
        assert!(bytes <= MAX_POINTERS);
    }
}

#[test]
fn texts_carry_escaped_pointers_in_document_order() {
    let document = parse(r#"{"a/b":"1","~":["2",{"é":"3"}],"n":4}"#);
    let texts: Vec<_> = document.texts().iter().map(|t| (t.pointer.as_str(), t.value.as_str())).collect();
    assert_eq!(texts, [("/a~1b", "1"), ("/~0/0", "2"), ("/~0/1/é", "3")]);
    for text in document.texts().iter() {
        assert_eq!(document.pointer(&text.pointer).unwrap().as_str(), Some(text.value.as_str()));
    }
    assert_eq!(document.names().iter().map(String::as_str).collect::<Vec<_>>(), ["a/b", "~", "é", "n"]);
}

#[test]
fn what_parsers_read_differently_is_refused() {
    assert_eq!(fault(r#"{"a":1,"a":2}"#), DocumentFault::DuplicateMember);
    assert_eq!(fault(r#"{"a":1,"\u0061":2}"#), DocumentFault::DuplicateMember);
    // serde_json would read another value: the text in the string, the number.
    assert_eq!(fault(r#"{"a":{"$serde_json::private::RawValue":"{}"}}"#), DocumentFault::ReservedName);
    assert_eq!(fault(r#"{"\u0024serde_json::private::Number":"5"}"#), DocumentFault::ReservedName);
    let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\":0")).collect();
    assert!(Document::parse(format!("{{{}}}", many.join(","))).is_ok());
    assert_eq!(fault(&format!("{{{},\"k3\":1}}", many.join(","))), DocumentFault::DuplicateMember);
    assert_eq!(fault(&format!("{{{},\"k39\":1}}", many.join(","))), DocumentFault::DuplicateMember);
    for bad in [
        "",
        "{",
        "[1,]",
        "{\"a\":}",
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "+1",
        "1.",
        "'a'",
        "\"\u{1}\"",
        "\"\\ud800\"",
        "1 2",
        "{\"a\" 1}",
        "nul",
        "// c\n1",
    ] {
        assert!(matches!(fault(bad), DocumentFault::Syntax(_)), "{bad}");
    }
    assert_eq!(Document::parse(vec![b'"', 0xff, b'"']).unwrap_err().fault, DocumentFault::Utf8);
    assert!(Document::parse(vec![0xef, 0xbb, 0xbf, b'1']).is_err(), "a byte order mark is not JSON");
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(Document::parse(nested(64)).is_ok());
    assert_eq!(fault(&nested(65)), DocumentFault::Depth);
    assert_eq!(fault(&"[".repeat(1_000_000)), DocumentFault::Depth);
    assert_eq!(fault(&format!("[{}0]", "0,".repeat(MAX_VALUES))), DocumentFault::Values);
}

#[test]
fn canonical_bytes_sort_members_and_keep_numbers() {
    let document = parse("{ \"b\" : [ 1.0 , true ], \"a\" : \"\\u00e9\\/\\u000a\", \"\u{10000}\":1, \"\u{ffff}\":2 }");
    assert_eq!(
        String::from_utf8_lossy(document.canonical()),
        "{\"a\":\"é/\\n\",\"b\":[1.0,true],\"\u{10000}\":1,\"\u{ffff}\":2}"
    );
    assert_eq!(document.digest(), parse(std::str::from_utf8(document.canonical()).unwrap()).digest());
}

#[test]
fn a_sub_document_stands_alone() {
    let document = parse(r#"{"params":{"arguments":{"x":["a\tb",{"y":"z"}]}},"id":1}"#);
    let part = document.pointer("/params/arguments").unwrap().to_document();
    assert_eq!(part.raw(), r#"{"x":["a\tb",{"y":"z"}]}"#);
    assert_eq!(part.pointer("/x/1/y").unwrap().as_str(), Some("z"));
    assert_eq!(part.texts(), parse(part.raw()).texts());
    assert_eq!(part.digest(), parse(part.raw()).digest());
    assert_eq!(part.root().name(), None);
}

fn replacement(pointer: &str, start: u32, end: u32, value: &str) -> Replacement {
    Replacement { span: Span { pointer: pointer.to_owned(), start, end }, value: value.to_owned() }
}

#[test]
fn replacements_touch_only_their_strings() {
    let document = parse("{ \"a\" : \"key=SECRET!\", \"n\":1.50, \"b\":[\"\\u0041BC\"] }");
    let redacted = document.replace(&[replacement("/b/0", 0, 1, "\"x\""), replacement("/a", 4, 10, "***")]).unwrap();
    assert_eq!(redacted.raw(), "{ \"a\" : \"key=***!\", \"n\":1.50, \"b\":[\"\\\"x\\\"BC\"] }");
}

#[test]
fn overlapping_replacements_are_joined() {
    let document = parse(r#"["0123456789"]"#);
    let out =
        document.replace(&[replacement("/0", 4, 8, "B"), replacement("/0", 2, 6, "A"), replacement("/0", 2, 3, "C")]);
    assert_eq!(out.unwrap().raw(), r#"["01A89"]"#);
    let touching = document.replace(&[replacement("/0", 0, 2, "A"), replacement("/0", 2, 4, "B")]);
    assert_eq!(touching.unwrap().raw(), r#"["AB456789"]"#);
}

#[test]
fn bad_replacements_are_errors() {
    let document = parse(r#"{"a":"é","n":1}"#);
    assert_eq!(document.replace(&[replacement("/a", 1, 2, "x")]).unwrap_err(), EditError::Range);
    assert_eq!(document.replace(&[replacement("/a", 0, 9, "x")]).unwrap_err(), EditError::Range);
    assert_eq!(document.replace(&[replacement("/a", 2, 0, "x")]).unwrap_err(), EditError::Range);
    assert_eq!(document.replace(&[replacement("/n", 0, 1, "x")]).unwrap_err(), EditError::NoSuchText);
    assert_eq!(document.replace(&[replacement("/zz", 0, 0, "x")]).unwrap_err(), EditError::NoSuchText);
}

#[test]
fn made_documents_equal_parsed_ones() {
    assert_eq!(Document::empty().digest(), parse("{}").digest());
    for text in ["", "plain", "quo\"te\n", "é\u{0}"] {
        let made = Document::string(text);
        assert_eq!(made.root().as_str(), Some(text));
        assert_eq!(made.digest(), parse(made.raw()).digest());
    }
}

#[test]
fn many_replacements_in_a_long_list_take_one_walk() {
    let items: Vec<String> = (0..60_000).map(|n| format!("\"secret {n}\"")).collect();
    let document = Document::parse(format!("[{}]", items.join(","))).unwrap();
    let replacements: Vec<_> = (0..10_000).map(|n| replacement(&format!("/{}", 59_999 - n), 0, 6, "-")).collect();
    let redacted = document.replace(&replacements).unwrap();
    assert_eq!(redacted.raw().matches("secret").count(), 50_000);
    assert!(redacted.raw().ends_with("\"- 59999\"]"));
    // Only the pointer as it is written for a document names a string.
    assert_eq!(document.replace(&[replacement("/+1", 0, 1, "")]).unwrap_err(), EditError::NoSuchText);
}
