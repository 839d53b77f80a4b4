use super::*;

/// Everything at once: all line ends, several data lines, comments, fields without a colon, a byte order mark.
const STREAM: &[u8] = b"\xef\xbb\xbf: hello\r\n\r\nevent: message\rid: 1\rretry: 1500\rdata: {\"a\":\rdata:1}\r\r\
id: 2\ndata\n\n\r\n:ping\nevent:other\r\ndata: x\r\n\r\ndata:  two spaces\nunknown: y\nretry: 12a\nid: a\0b\n\n\
data: first\ndata:\ndata: third\n\nid\n\ndata: cut off\n";

fn whole(bytes: &[u8]) -> Vec<Item> {
    let mut out = Vec::new();
    Parser::new(1000).push(bytes, &mut out).unwrap();
    out
}

fn event(id: Option<&str>, kind: Option<&str>, retry: Option<&str>, data: Option<&str>) -> Item {
    Item::Event(Event {
        id: id.map(str::to_owned),
        kind: kind.map(str::to_owned),
        retry: retry.map(str::to_owned),
        data: data.map(|data| data.as_bytes().to_vec()),
    })
}

#[test]
fn every_kind_of_line_is_read() {
    assert_eq!(
        whole(STREAM),
        [
            Item::Comment,
            event(Some("1"), Some("message"), Some("1500"), Some("{\"a\":\n1}")),
            event(Some("2"), None, None, Some("")),
            Item::Comment,
            event(None, Some("other"), None, Some("x")),
            event(None, None, None, Some(" two spaces")),
            event(None, None, None, Some("first\n\nthird")),
            event(Some(""), None, None, None),
        ]
    );
}

#[test]
fn the_chunking_does_not_matter() {
    let expected = whole(STREAM);
    for first in 0..=STREAM.len() {
        for second in first..=STREAM.len() {
            let (mut parser, mut out) = (Parser::new(1000), Vec::new());
            for piece in [&STREAM[..first], &STREAM[first..second], &STREAM[second..]] {
                parser.push(piece, &mut out).unwrap();
            }
            assert_eq!(out, expected, "cut at {first} and {second}");
        }
    }
    let (mut parser, mut out) = (Parser::new(1000), Vec::new());
    for byte in STREAM {
        parser.push(&[*byte], &mut out).unwrap();
    }
    assert_eq!(out, expected, "byte by byte");
}

#[test]
fn what_is_written_reads_back() {
    for item in whole(STREAM) {
        let Item::Event(event) = item else { continue };
        assert_eq!(whole(&event.encode()), [Item::Event(event)]);
    }
    let with_returns = Event { data: Some(b"{\"a\":\r1,\r\n\"b\":2}".to_vec()), ..Event::default() };
    let Some(Item::Event(back)) = whole(&with_returns.encode()).pop() else { panic!("an event") };
    let value: serde_json::Value = serde_json::from_slice(&back.data.unwrap()).unwrap();
    assert_eq!(value, serde_json::json!({"a": 1, "b": 2}), "line ends inside JSON stay white space");
}

#[test]
fn an_event_is_bounded_and_a_stream_is_not() {
    let mut out = Vec::new();
    let mut parser = Parser::new(100);
    for _ in 0..1000 {
        parser.push(b"data: 0123456789012345678901234567890123456789\n:comment comment comment\n\n", &mut out).unwrap();
    }
    assert_eq!(out.len(), 2000);
    for long in [&b"data: "[..], b"data: 1\ndata: 2\n", b": ", b"x"] {
        let mut parser = Parser::new(100);
        let flood = std::iter::repeat_n(long, 200);
        let ended = flood.map(|piece| parser.push(piece, &mut out)).find(Result::is_err);
        assert_eq!(ended, Some(Err(TooLarge { limit: 100 })), "{}", String::from_utf8_lossy(long));
    }
}

#[test]
fn only_the_default_type_carries_messages() {
    for (kind, expected) in [(None, true), (Some(""), true), (Some("message"), true), (Some("endpoint"), false)] {
        let event = Event { kind: kind.map(str::to_owned), ..Event::default() };
        assert_eq!(event.is_message(), expected);
    }
}
