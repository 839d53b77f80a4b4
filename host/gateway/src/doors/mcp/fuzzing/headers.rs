//! Headers of the revision without sessions: what passes says in its headers what its body says, and what goes on to the
//! upstream says nothing else.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::PAD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::envelope::{Frame, Shape};
use super::super::front::VERSION;
use super::super::stateless;
use super::json::{Json, Node};

const ENCODER: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, PAD);

pub(super) fn check(input: &[u8]) {
    let Some(end) = input.windows(2).position(|two| two == b"\n\n") else { return };
    let (head, body) = (&input[..end], &input[end + 2..]);
    let Ok(frame) = Frame::parse(body) else { return };
    let root = Node::read(body).expect("a frame is JSON");
    let mut map = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value) {
            map.append(name, value);
        }
    }
    passes(&map, &frame, &root);
    says_so(&frame, &root);
}

/// What passes is as the revision says.
fn passes(map: &HeaderMap, frame: &Frame, root: &Node) {
    if !stateless::applies(map, Some(frame)) || stateless::check(map, frame).is_err() {
        return;
    }
    let method = root.get("method").and_then(Node::text).expect("an answer passed");
    let params = root.get("params");
    let request = root.get("id").is_some();
    let stated = stated(root);
    let version = decoded(map, VERSION.as_str());
    if request {
        assert_eq!((stated, version.as_slice()), (Some("2026-07-28"), ["2026-07-28".to_owned()].as_slice()));
        let meta = params.and_then(|params| params.get("_meta"));
        let able = meta.and_then(|meta| meta.get("io.modelcontextprotocol/clientCapabilities"));
        assert!(able.is_some_and(Node::is_object), "no capabilities");
        assert_eq!(decoded(map, "mcp-method"), [method], "Mcp-Method");
    } else {
        assert!(stated.is_none_or(|stated| version.iter().all(|version| version == stated)), "another revision");
        assert!(["mcp-method"].iter().all(|name| !map.contains_key(*name) || decoded(map, name) == [method]));
    }
    let named = match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    };
    let names = decoded(map, "mcp-name");
    match named.filter(|_| request) {
        Some(member) => {
            let member = params.and_then(|params| params.get(member)?.text());
            assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), Vec::from_iter(member), "Mcp-Name");
        }
        None => assert!(names.iter().all(|name| holds(params, name)), "Mcp-Name says what the body does not"),
    }
    let arguments = params.and_then(|params| params.get("arguments"));
    for name in map.keys().filter(|name| name.as_str().starts_with("mcp-param-")) {
        let values = decoded(map, name.as_str());
        assert_eq!(values.len(), 1, "{name} is there more than once");
        assert!(values.iter().all(|value| holds(arguments, value)), "{name} says what no argument does");
    }
    // Nothing more goes on.
    let mut upstream = HeaderMap::new();
    assert!(stateless::repeat(map, frame, frame.raw().as_bytes(), &mut upstream));
    for (name, value) in &upstream {
        assert!(name.as_str().starts_with("mcp-") && *name != VERSION, "{name} goes on");
        assert!(map.get_all(name).iter().any(|said| said == value), "{name} is not what was checked");
    }
}

/// Headers that repeat a body as the revision says pass.
fn says_so(frame: &Frame, root: &Node) {
    let Shape::Request { method, .. } = frame.shape() else { return };
    let params = root.get("params");
    let meta = params.and_then(|params| params.get("_meta")).filter(|meta| meta.is_object());
    let able = meta.and_then(|meta| meta.get("io.modelcontextprotocol/clientCapabilities"));
    if stated(root) != Some("2026-07-28") || !able.is_some_and(Node::is_object) {
        return;
    }
    let mut map = HeaderMap::new();
    map.insert(VERSION, HeaderValue::from_static("2026-07-28"));
    map.insert("mcp-method", encoded(method));
    let member = match &**method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => "",
    };
    if let Some(name) = params.and_then(|params| params.get(member)?.text()) {
        map.insert("mcp-name", encoded(name));
    }
    let mut leaves = Vec::new();
    params.and_then(|params| params.get("arguments")).iter().for_each(|arguments| collect(arguments, &mut leaves));
    for (position, leaf) in leaves.iter().take(8).enumerate() {
        let name = HeaderName::try_from(format!("mcp-param-p{position}")).expect("a name");
        map.insert(name, encoded(leaf));
    }
    assert_eq!(stateless::check(&map, frame), Ok(()), "headers that repeat the body are refused: {map:?}");
    for name in map.keys().cloned().collect::<Vec<_>>() {
        let mut twice = map.clone();
        twice.append(&name, encoded("something else"));
        assert!(stateless::check(&twice, frame).is_err(), "{name} passes twice");
        let mut other = map.clone();
        other.insert(&name, HeaderValue::from_static("=?base64?/w==?="));
        assert!(stateless::check(&other, frame).is_err(), "{name} passes without being text");
    }
}

fn stated(root: &Node) -> Option<&str> {
    root.get("params")?.get("_meta")?.get("io.modelcontextprotocol/protocolVersion")?.text()
}

/// All values of a header as they are meant. One that means nothing becomes a text that no body holds.
fn decoded(map: &HeaderMap, name: &str) -> Vec<String> {
    let meant = |value: &HeaderValue| {
        let text = std::str::from_utf8(value.as_bytes()).ok().filter(|text| text.is_ascii())?;
        let Some(inner) = text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
            return Some(text.to_owned());
        };
        let bytes = ENCODER.decode(inner).ok().filter(|bytes| ENCODER.encode(bytes) == inner)?;
        String::from_utf8(bytes).ok()
    };
    map.get_all(name).iter().map(|value| meant(value).unwrap_or_else(|| "\u{0}unreadable".repeat(64))).collect()
}

fn encoded(text: &str) -> HeaderValue {
    let trimmed = text.trim_ascii() == text && !text.starts_with("=?base64?");
    let plain = trimmed && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let written = if plain { text.to_owned() } else { format!("=?base64?{}?=", ENCODER.encode(text)) };
    HeaderValue::try_from(written).expect("printable")
}

/// How the texts, numbers and booleans of a value are written in headers.
fn collect(node: &Node, leaves: &mut Vec<String>) {
    match &node.json {
        Json::Text(text) => leaves.push(text.clone()),
        Json::Number | Json::Bool => leaves.push(node.raw.clone()),
        Json::Null => {}
        Json::Array(items) => items.iter().for_each(|item| collect(item, leaves)),
        Json::Object(members) => members.iter().for_each(|(_, member)| collect(member, leaves)),
    }
}

fn holds(node: Option<&Node>, wanted: &str) -> bool {
    let mut leaves = Vec::new();
    node.iter().for_each(|node| collect(node, &mut leaves));
    leaves.iter().any(|leaf| leaf == wanted)
}
