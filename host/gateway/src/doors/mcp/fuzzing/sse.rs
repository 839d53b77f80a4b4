//! Event streams: any cutting gives the items that a reader of the whole stream finds by the rules of WHATWG HTML.

use super::super::sse::{Event, Item, Parser};

/// Larger than any input.
const NO_LIMIT: usize = 1 << 30;
/// The byte order mark, which is no part of the first line, but may be counted.
const MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) fn check(input: &[u8]) {
    let Some((stream, [small, cuts @ ..])) = input.split_last_chunk::<5>() else { return };
    let limit = usize::from(*small);
    let expected = read(stream);

    assert_eq!(pieces(&[stream], NO_LIMIT), (expected.clone(), true), "the whole stream");
    let mut at: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) * stream.len() / 255).collect();
    at.sort_unstable();
    let mut cut = Vec::new();
    let mut rest = stream;
    for (piece, at) in at.iter().zip([0].iter().chain(&at)).map(|(to, from)| (to - from, to)) {
        let (first, second) = rest.split_at(piece);
        cut.push(first);
        rest = second;
        assert_eq!(stream.len() - rest.len(), *at);
    }
    cut.push(rest);
    assert_eq!(pieces(&cut, NO_LIMIT), (expected.clone(), true), "cut at {at:?}");
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(pieces(&bytes, NO_LIMIT), (expected.clone(), true), "byte by byte");

    let (whole, fits) = pieces(&[stream], limit);
    assert!(expected.starts_with(&whole), "a limit changes what is read");
    assert!(!fits || whole == expected, "a limit cuts without an error");
    for cutting in [&cut, &bytes] {
        assert_eq!(pieces(cutting, limit), (whole.clone(), fits), "the cutting changes what a limit does");
    }
    let largest = largest(stream);
    assert!(fits || largest + MARK.len() > limit, "{largest} bytes do not fit into {limit}");
    assert!(!fits || largest <= limit, "{largest} bytes fit into {limit}");

    let mut rewritten = Vec::new();
    for item in &expected {
        let Item::Event(event) = item else { continue };
        let encoded = event.encode();
        assert_eq!(read(&encoded), std::slice::from_ref(item), "an event changes when it is written");
        rewritten.extend_from_slice(&encoded);
    }
    let events: Vec<Item> = expected.into_iter().filter(|item| *item != Item::Comment).collect();
    assert_eq!(pieces(&[&rewritten], NO_LIMIT), (events, true), "a written stream is read differently");

    // Whatever becomes of the bytes of a message, they make one event.
    let message = Event::message(stream);
    let back = read(&message.encode());
    let [Item::Event(back)] = back.as_slice() else { panic!("a message became {} items", back.len()) };
    let lines = |data: &[u8]| data.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect::<Vec<u8>>();
    assert_eq!(back.data.as_deref(), Some(lines(stream).as_slice()));
    assert!(back.is_message() && back.id.is_none() && back.retry.is_none(), "data became a field");
}

/// What comes of a stream in pieces, and whether it was read to its end.
fn pieces(pieces: &[&[u8]], limit: usize) -> (Vec<Item>, bool) {
    let (mut parser, mut out) = (Parser::new(limit), Vec::new());
    for piece in pieces {
        if parser.push(piece, &mut out).is_err() {
            return (out, false);
        }
        assert!(parser.held() <= limit, "{} bytes are held of {limit}", parser.held());
    }
    (out, true)
}

/// The lines of a stream; what follows the last line end is none.
fn lines(stream: &[u8]) -> Vec<&[u8]> {
    let mut rest = stream.strip_prefix(MARK).unwrap_or(stream);
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&rest[..end]);
        let length = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + length..];
    }
    lines
}

/// "Interpreting an event stream", but an event's id is its own, and an event without data is one.
fn read(stream: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut event = Event::default();
    for line in lines(stream) {
        let text = String::from_utf8(line.to_vec());
        if line.is_empty() {
            if event != Event::default() {
                items.push(Item::Event(std::mem::take(&mut event)));
            }
        } else if line[0] == b':' {
            items.push(Item::Comment);
        } else if line == b"data" || line.starts_with(b"data:") {
            let value = line.strip_prefix(b"data").unwrap_or_default();
            let value = value.strip_prefix(b":").unwrap_or_default();
            let value = value.strip_prefix(b" ").unwrap_or(value);
            event.data = Some(match event.data.take() {
                Some(data) => [&data, value].join(&b'\n'),
                None => value.to_vec(),
            });
        } else if let Ok(text) = text {
            let (name, value) = text.split_once(':').unwrap_or((&text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "id" if !value.contains('\0') => event.id = Some(value),
                "event" => event.kind = Some(value),
                "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    event.retry = Some(value);
                }
                _ => {}
            }
        }
    }
    items
}

/// The most bytes between two empty lines at any time, finished comments and line ends left out.
fn largest(stream: &[u8]) -> usize {
    let (mut largest, mut size) = (0, 0);
    let mut rest = stream.strip_prefix(MARK).unwrap_or(stream);
    for line in lines(stream) {
        largest = largest.max(size + line.len());
        size = match line {
            [] => 0,
            [b':', ..] => size,
            line => size + line.len(),
        };
        let end = line.len() + if rest[line.len()..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end..];
    }
    largest.max(size + rest.len())
}
