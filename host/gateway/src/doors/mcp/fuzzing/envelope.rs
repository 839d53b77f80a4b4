//! Frames: exactly the messages that the second reader takes are accepted, and both read the same in them.

use portcullis_model::{Kind, Value};

use super::super::envelope::{Frame, FrameError, INVALID_PARAMS, INVALID_REQUEST, Id, PARSE_ERROR, Shape};
use super::json::{Json, Node};

/// Values of one message that are spliced: each costs a copy of the message.
const MOST_SPLICES: usize = 64;

pub(super) fn check(input: &[u8]) {
    let second = Node::read(input);
    let expected = second.as_ref().and_then(message);
    let frame = match Frame::parse(input) {
        Ok(frame) => frame,
        Err(rejected) => {
            assert_eq!(expected, None, "refused ({rejected}) what is a message");
            let code = rejected.error.code();
            assert!([PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS].contains(&code), "{code}");
            if let Some(id) = &rejected.id {
                let second = second.expect("an id from a text that is no JSON");
                assert!(second.get("method").is_some(), "an answer would be answered");
                same_id(id, second.get("id").expect("an id that is not there"));
            }
            return;
        }
    };
    let second = second.expect("accepted what the second reader refuses");
    assert_eq!(Some(Message::of(frame.shape())), expected, "read as another message");
    assert_eq!(frame.raw().as_bytes(), input, "the bytes changed");
    let again = Frame::parse(frame.raw()).expect("refused at the second time");
    assert_eq!(again.shape(), frame.shape(), "read differently at the second time");

    third(&frame);
    ids(&frame, &second);
    extensions(&frame, &second);
    call(&frame, &second);
    let body = second.get("result").or(second.get("error"));
    assert_eq!(frame.body().map(|body| body.raw()), body.map(|body| body.raw.as_str()));
    let mut splices = 0;
    if let Some(params) = frame.params() {
        same(&frame, params, second.get("params").expect("params"), &mut splices);
    }
    if let Some(body) = frame.body() {
        same(&frame, body, second.get("result").or(second.get("error")).expect("a body"), &mut splices);
    }
}

/// What the second reader sees.
#[derive(Debug, PartialEq, Eq)]
enum Message {
    Request { id: String, method: String },
    Notification { method: String },
    Response { id: Option<String>, failed: bool },
}

impl Message {
    fn of(shape: &Shape) -> Self {
        match shape {
            Shape::Request { id, method } => Self::Request { id: id_key(id), method: method.to_string() },
            Shape::Notification { method } => Self::Notification { method: method.to_string() },
            Shape::Response { id, failed } => Self::Response { id: id.as_ref().map(id_key), failed: *failed },
        }
    }
}

/// One text for each id: strings by their content, numbers as written.
fn id_key(id: &Id) -> String {
    match id {
        Id::Text(text) => format!("text {text}"),
        Id::Number(raw) => format!("number {raw}"),
    }
}

fn read_id(node: &Node) -> Option<String> {
    match &node.json {
        Json::Text(text) if node.raw.len() <= 1024 => Some(format!("text {text}")),
        Json::Number if node.raw.len() <= 1024 => Some(format!("number {}", node.raw)),
        _ => None,
    }
}

/// The rules of JSON-RPC 2.0 and what is added to them here, one after the other.
fn message(root: &Node) -> Option<Message> {
    if !root.is_object() || !plain(root, &["jsonrpc", "id", "method", "params", "result", "error"]) {
        return None;
    }
    if root.get("jsonrpc").and_then(Node::text) != Some("2.0") {
        return None;
    }
    let (result, error) = (root.get("result"), root.get("error"));
    if let Some(method) = root.get("method") {
        let method = method.text().filter(|method| (1..=256).contains(&method.len()))?.to_owned();
        let params = root.get("params");
        if result.is_some() || error.is_some() || params.is_some_and(|params| !params.is_object()) {
            return None;
        }
        if let Some(params) = params {
            let answering = ["inputResponses", "requestState", "_meta"];
            let read = ["name", "arguments", "task", "uri", "requestId", "progressToken"];
            let stated = ["io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"];
            let meta = |meta: &Node| plain(meta, &stated) && plain(meta, &["progressToken"]);
            let good = plain(params, &read) && plain(params, &answering);
            if !good || !params.get("_meta").is_none_or(meta) {
                return None;
            }
        }
        return match root.get("id") {
            Some(id) => Some(Message::Request { id: read_id(id)?, method }),
            None => Some(Message::Notification { method }),
        };
    }
    let id = root.get("id")?;
    match (result, error) {
        (Some(result), None) => {
            let read = ["content", "structuredContent", "isError", "tools", "nextCursor", "_meta"];
            plain(result, &read).then_some(())?;
            Some(Message::Response { id: Some(read_id(id)?), failed: false })
        }
        (None, Some(error)) => {
            plain(error, &["code", "message", "data"]).then_some(())?;
            error.get("code").filter(|code| code.json == Json::Number)?;
            error.get("message").and_then(Node::text)?;
            let id = if id.json == Json::Null { None } else { Some(read_id(id)?) };
            Some(Message::Response { id, failed: true })
        }
        _ => None,
    }
}

/// Whether no member's name differs from a known one in case only.
fn plain(node: &Node, known: &[&str]) -> bool {
    let fold = |name: &str| name.chars().map(fold).collect::<String>();
    node.members().iter().all(|(name, _)| known.iter().all(|one| one == name || fold(one) != fold(name)))
}

/// The lower case of the upper case, as far as it is one letter: that is where `ſ`, `ı` and the Kelvin sign meet ASCII.
fn fold(letter: char) -> char {
    let one = |mut letters: Box<dyn Iterator<Item = char>>| letters.next().filter(|_| letters.next().is_none());
    let upper = one(Box::new(letter.to_uppercase())).unwrap_or(letter);
    // Its lower case is an `i` and a dot above, of which some keep the `i` only.
    if upper == '\u{130}' { 'i' } else { one(Box::new(upper.to_lowercase())).unwrap_or(upper) }
}

fn same_id(id: &Id, second: &Node) {
    assert_eq!(Some(id_key(id)), read_id(second), "another id");
    let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
    let back = Frame::parse(text).expect("an id does not survive being written");
    assert_eq!(back.request_id(), Some(id), "an id changes when it is written");
    if let (Id::Number(raw), true) = (id, id.is_exact()) {
        let double: f64 = raw.parse().expect("a number");
        assert_eq!(format!("{double:.0}"), **raw, "a reader with doubles takes another id for this one");
    }
}

/// The library that most of the code around reads with must see the same.
fn third(frame: &Frame) {
    let value: serde_json::Value = serde_json::from_str(frame.raw()).expect("serde_json refuses it");
    let method = value.get("method").and_then(serde_json::Value::as_str);
    match frame.shape() {
        Shape::Request { method: ours, .. } | Shape::Notification { method: ours } => assert_eq!(Some(&**ours), method),
        Shape::Response { .. } => assert_eq!(method, None),
    }
    match (frame.request_id(), value.get("id")) {
        (Some(Id::Text(text)), Some(id)) => assert_eq!(id.as_str(), Some(&**text)),
        (Some(Id::Number(_)), Some(id)) => assert!(id.is_number()),
        (Some(_), None) => panic!("an id that serde_json does not see"),
        (None, _) => {}
    }
    if let Ok(call) = frame.tool_call() {
        let params = value.get("params");
        assert_eq!(params.and_then(|params| params.get("name")?.as_str()), Some(call.name));
        let arguments = params.and_then(|params| params.get("arguments"));
        let ours = call.arguments.map(|value| serde_json::from_str::<serde_json::Value>(value.raw()).expect("JSON"));
        assert_eq!(ours.as_ref(), arguments);
    }
}

fn ids(frame: &Frame, second: &Node) {
    if let Shape::Request { id, .. } | Shape::Response { id: Some(id), .. } = frame.shape() {
        same_id(id, second.get("id").expect("an id that is not there"));
    }
    let params = second.get("params");
    let meta = params.and_then(|params| params.get("_meta"));
    for (ours, theirs) in [
        (frame.offered_token(), meta.and_then(|meta| meta.get("progressToken"))),
        (frame.progress_token(), params.and_then(|params| params.get("progressToken"))),
        (frame.cancelled(), params.and_then(|params| params.get("requestId"))),
    ] {
        assert_eq!(ours.as_ref().map(id_key), theirs.and_then(read_id));
    }
    let version = meta.and_then(|meta| meta.get("io.modelcontextprotocol/protocolVersion")).and_then(Node::text);
    assert_eq!(frame.stated_version(), version);
    let answers = params.and_then(|params| params.get("inputResponses"));
    assert_eq!(frame.input_responses().map(|value| value.raw()), answers.map(|node| node.raw.as_str()));
}

fn extensions(frame: &Frame, second: &Node) {
    let known = ["jsonrpc", "id", "method", "params", "result", "error"];
    let beyond: Vec<(&str, &str)> = second
        .members()
        .iter()
        .filter(|(name, _)| !known.contains(&name.as_str()))
        .map(|(name, node)| (name.as_str(), node.raw.as_str()))
        .collect();
    let ours = frame.extensions();
    let ours: Vec<(&str, &str)> = ours
        .iter()
        .flat_map(|document| document.root().members())
        .map(|value| (value.name().unwrap_or_default(), value.raw()))
        .collect();
    assert_eq!(ours, beyond, "extensions");
}

fn call(frame: &Frame, second: &Node) {
    let params = second.get("params");
    let name = params.and_then(|params| params.get("name")?.text());
    match frame.tool_call() {
        Ok(call) => {
            assert_eq!(Some(call.name), name);
            assert!((1..=1024).contains(&call.name.len()));
            let params = params.expect("params");
            let arguments = params.get("arguments");
            assert_eq!(call.arguments.map(|value| value.raw()), arguments.map(|node| node.raw.as_str()));
            assert!(arguments.is_none_or(Node::is_object));
            let mut allowed = vec!["name", "arguments", "_meta"];
            if frame.stated_version().is_some() {
                allowed.extend(["inputResponses", "requestState"]);
            }
            for (name, _) in params.members() {
                assert!(allowed.contains(&name.as_str()), "{name} would go on without a policy seeing it");
            }
        }
        Err(error) => assert!(matches!(error, FrameError::Params(_)), "{error}"),
    }
}

/// Both readers see the same value at the same place, and another in its place leaves every other byte.
fn same(frame: &Frame, value: Value<'_>, node: &Node, splices: &mut usize) {
    assert_eq!(value.raw(), node.raw);
    assert_eq!(value.range(), node.start..node.start + node.raw.len());
    if *splices < MOST_SPLICES {
        *splices += 1;
        assert_eq!(frame.splice(value, value.raw()), frame.raw());
        let spliced = frame.splice(value, "[0,{}]");
        let (before, after) = (&frame.raw()[..node.start], &frame.raw()[node.start + node.raw.len()..]);
        assert_eq!(spliced, format!("{before}[0,{{}}]{after}"), "a splice changes other bytes");
        assert!(Node::read(spliced.as_bytes()).is_some() || depth(frame.raw()), "a splice breaks the message");
    }
    match (&node.json, value.kind()) {
        (Json::Null, Kind::Null) | (Json::Bool, Kind::Bool) | (Json::Number, Kind::Number) => {}
        (Json::Text(text), Kind::String) => assert_eq!(value.as_str(), Some(text.as_str())),
        (Json::Array(items), Kind::Array) => {
            assert_eq!(value.items().count(), items.len());
            for (item, node) in value.items().zip(items) {
                same(frame, item, node, splices);
            }
        }
        (Json::Object(members), Kind::Object) => {
            assert_eq!(value.members().count(), members.len());
            for (member, (name, node)) in value.members().zip(members) {
                assert_eq!(member.name(), Some(name.as_str()));
                same(frame, member, node, splices);
            }
        }
        (ours, theirs) => panic!("{theirs:?} is read as {ours:?}"),
    }
}

/// Whether the message is so deep that a deeper value in it is refused.
fn depth(text: &str) -> bool {
    text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() >= 62
}
