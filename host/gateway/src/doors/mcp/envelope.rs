//! JSON-RPC 2.0 as MCP uses it, read strictly: what two parsers could read differently is refused.

use std::fmt;
use std::sync::Arc;

use portcullis_model::{Document, DocumentError, DocumentFault, Edit, Kind, Value};

use crate::doors::inspect::question::MAX_TASK;
use crate::gate::CallFacts;

/// Members that have a meaning in a message. A twin in another case is refused: some decoders do not tell them apart.
const RESERVED: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
/// The same for the parameters that are read here.
const RESERVED_PARAMS: &[&str] =
    &["name", "arguments", "task", "uri", "inputResponses", "requestState", "_meta", "requestId", "progressToken"];
/// Member of a request's `_meta` that says what the user asked for.
const TASK: &str = "portcullis/task";
/// The same for `_meta` of a request.
const RESERVED_META: &[&str] =
    &["progressToken", "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities", TASK];
/// The same for results.
const RESERVED_RESULT: &[&str] = &[
    "content",
    "structuredContent",
    "isError",
    "tools",
    "nextCursor",
    "_meta",
    "resultType",
    "inputRequests",
    "requestState",
    "cacheScope",
    "ttlMs",
];
/// The same for the definition of a tool.
pub(crate) const RESERVED_TOOL: &[&str] =
    &["name", "title", "description", "inputSchema", "outputSchema", "annotations", "_meta"];
/// The same for errors.
const RESERVED_ERROR: &[&str] = &["code", "message", "data"];
/// All that the parameters of `tools/call` may have, and what a revision without sessions adds to them.
const CALL_PARAMS: &[&str] = &["name", "arguments", "_meta"];
const ANSWERING_PARAMS: &[&str] = &["inputResponses", "requestState"];
/// Parameters of any request that say nothing of what is asked for.
const PROTOCOL_PARAMS: &[&str] = &["_meta", "inputResponses", "requestState"];
/// The largest number that every reader of JSON keeps exactly: 2^53 - 1.
const MAX_EXACT: u64 = 9_007_199_254_740_991;
/// Longest id as written, in bytes.
const MAX_ID: usize = 1024;
/// Longest method name in bytes.
const MAX_METHOD: usize = 256;
/// Longest tool name in bytes.
const MAX_TOOL: usize = 1024;

/// JSON: not readable at all.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// Not a message.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// Parameters of a known method do not fit.
pub(crate) const INVALID_PARAMS: i32 = -32602;
/// Nobody here does this.
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
/// Something between here and the tool failed.
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// Refused by policy, where the answer cannot be a tool result.
pub(crate) const REFUSED: i32 = -32010;
/// A person has to decide first.
pub(crate) const NEEDS_APPROVAL: i32 = -32011;
/// The protocol revision is not spoken here (the code that the 2026-07-28 revision gives to it).
pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;
/// A header says something else than the body (the code that the 2026-07-28 revision gives to it).
pub(crate) const HEADER_MISMATCH: i32 = -32020;
/// The client does not offer what the request takes (the code that the 2026-07-28 revision gives to it).
pub(crate) const MISSING_CAPABILITY: i32 = -32021;
/// Too much at once.
pub(crate) const BUSY: i32 = -32012;

/// Why bytes are not one message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Not JSON, or JSON with a duplicate member, too deep, too large.
    #[error("the message is not acceptable JSON: {0}")]
    Document(#[from] DocumentError),
    /// An array.
    #[error("batches are not accepted: send one JSON-RPC message per request")]
    Batch,
    /// A member missing, of a wrong kind, or a twin of a reserved one.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    Shape(&'static str),
    /// A known method with parameters that do not fit.
    #[error("invalid parameters: {0}")]
    Params(&'static str),
}

impl FrameError {
    /// The JSON-RPC error code.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Document(DocumentError { fault: DocumentFault::Syntax(_) | DocumentFault::Utf8, .. }) => PARSE_ERROR,
            Self::Document(_) | Self::Batch | Self::Shape(_) => INVALID_REQUEST,
            Self::Params(_) => INVALID_PARAMS,
        }
    }
}

/// Bytes that are not one message, and the id under which to say so, if one could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Rejected {
    pub(crate) error: FrameError,
    pub(crate) id: Option<Id>,
}

/// The id of a request: a string by its content, a number as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    Text(Arc<str>),
    Number(Arc<str>),
}

impl Id {
    pub(crate) fn read(value: Value<'_>) -> Option<Self> {
        if value.raw().len() > MAX_ID {
            return None;
        }
        match value.kind() {
            Kind::String => value.as_str().map(|text| Self::Text(text.into())),
            Kind::Number => Some(Self::Number(value.raw().into())),
            _ => None,
        }
    }

    /// Whether no reader takes another id for this one: 5 and 5.0, or two large numbers that round to one.
    pub(crate) fn is_exact(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Number(raw) => {
                let digits = raw.strip_prefix('-').unwrap_or(raw);
                &**raw != "-0" && digits.parse().is_ok_and(|number: u64| number <= MAX_EXACT)
            }
        }
    }
}

/// Prints the id as JSON.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => fmt::Display::fmt(&serde_json::Value::from(&**text), f),
            Self::Number(raw) => f.write_str(raw),
        }
    }
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Request {
        id: Id,
        method: Arc<str>,
    },
    Notification {
        method: Arc<str>,
    },
    /// `id` is absent only in an error that answers something unreadable (`"id": null`).
    Response {
        id: Option<Id>,
        failed: bool,
    },
}

/// One message, parsed once. What goes on is [`Frame::raw`] or a splice of it.
#[derive(Debug)]
pub(crate) struct Frame {
    document: Document,
    shape: Shape,
    /// Set where another door has ruled the call that this is.
    ruled: Option<Box<CallFacts>>,
}

/// What a `tools/call` request asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToolCall<'a> {
    pub(crate) name: &'a str,
    /// The same where it stands.
    pub(crate) named: Value<'a>,
    /// An object, if there.
    pub(crate) arguments: Option<Value<'a>>,
}

impl Frame {
    /// Reads one message.
    pub(crate) fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, Rejected> {
        let document = Document::parse(bytes).map_err(|error| Rejected { error: error.into(), id: None })?;
        match shape(document.root()) {
            Ok(shape) => Ok(Self { document, shape, ruled: None }),
            Err(error) => {
                let root = document.root();
                let id = root.get("method").and(root.get("id")).and_then(Id::read);
                Err(Rejected { error, id })
            }
        }
    }

    /// The same as a call that another door has ruled: it is not judged again.
    pub(crate) fn ruled_as(self, facts: CallFacts) -> Self {
        Self { ruled: Some(Box::new(facts)), ..self }
    }

    /// What another door knows of the call that it has ruled.
    pub(crate) fn ruled(&self) -> Option<&CallFacts> {
        self.ruled.as_deref()
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The bytes as received.
    pub(crate) fn raw(&self) -> &str {
        self.document.raw()
    }

    /// The whole message.
    pub(crate) fn root(&self) -> Value<'_> {
        self.document.root()
    }

    pub(crate) fn params(&self) -> Option<Value<'_>> {
        self.document.root().get("params")
    }

    /// Members that JSON-RPC does not know, as an object of their own; none if there are none.
    pub(crate) fn extensions(&self) -> Option<Document> {
        let beyond = members(self.document.root(), |name| !RESERVED.contains(&name));
        // Parts of what was parsed before.
        if beyond.is_empty() { None } else { Document::parse(format!("{{{beyond}}}")).ok() }
    }

    /// The body of a response: `result`, or `error`.
    pub(crate) fn body(&self) -> Option<Value<'_>> {
        let root = self.document.root();
        root.get("result").or_else(|| root.get("error"))
    }

    /// The parameters of `tools/call`.
    pub(crate) fn tool_call(&self) -> Result<ToolCall<'_>, FrameError> {
        let params = self.params().ok_or(FrameError::Params("tools/call needs params"))?;
        let named = params.get("name").ok_or(FrameError::Params("name must be a string"))?;
        let name = named.as_str().ok_or(FrameError::Params("name must be a string"))?;
        if name.is_empty() || name.len() > MAX_TOOL {
            return Err(FrameError::Params("name must have 1 to 1024 bytes"));
        }
        if params.get("task").is_some() {
            return Err(FrameError::Params("tasks cannot be inspected yet: call the tool without a task"));
        }
        // No policy would see it, and an upstream may.
        let answering = self.stated_version().is_some();
        let known = |name| CALL_PARAMS.contains(&name) || (answering && ANSWERING_PARAMS.contains(&name));
        if !params.members().filter_map(Value::name).all(known) {
            return Err(FrameError::Params("tools/call takes name, arguments and _meta only"));
        }
        let arguments = params.get("arguments");
        if arguments.is_some_and(|value| value.kind() != Kind::Object) {
            return Err(FrameError::Params("arguments must be an object"));
        }
        Ok(ToolCall { name, named, arguments })
    }

    /// What a request other than `tools/call` asks for: its parameters without those of the protocol.
    pub(crate) fn asked(&self) -> Option<Document> {
        let params = self.params()?;
        let asked = members(params, |name| !PROTOCOL_PARAMS.contains(&name));
        // Parts of what was parsed before.
        if asked.is_empty() { None } else { Document::parse(format!("{{{asked}}}")).ok() }
    }

    /// The message with other things asked for; the parameters of the protocol stay.
    pub(crate) fn asking(&self, asked: &Document) -> Option<String> {
        let params = self.params()?;
        let kept = members(params, |name| PROTOCOL_PARAMS.contains(&name));
        let asked = members(asked.root(), |_| true);
        let joined = [asked, kept].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",");
        Some(self.splice(params, &format!("{{{joined}}}")))
    }

    /// What a client answers to questions that an earlier answer of the upstream held.
    pub(crate) fn input_responses(&self) -> Option<Value<'_>> {
        self.params()?.get("inputResponses")
    }

    /// What an earlier answer gave the client to bring back.
    pub(crate) fn request_state(&self) -> Option<&str> {
        self.params()?.get("requestState")?.as_str()
    }

    /// The message with other answers to questions, and another state, or without them.
    pub(crate) fn returning(&self, responses: Option<&str>, state: Option<&str>) -> Option<String> {
        let params = self.params()?;
        let kept = members(params, |name| !ANSWERING_PARAMS.contains(&name));
        let responses = responses.map(|responses| format!("\"inputResponses\":{responses}"));
        let state = state.map(|state| format!("\"requestState\":{}", serde_json::Value::from(state)));
        let parts = [Some(kept), responses, state].into_iter().flatten().filter(|part| !part.is_empty());
        Some(self.splice(params, &format!("{{{}}}", parts.collect::<Vec<_>>().join(","))))
    }

    /// The progress token that a request offers for notifications about itself.
    pub(crate) fn offered_token(&self) -> Option<Id> {
        Id::read(self.params()?.get("_meta")?.get("progressToken")?)
    }

    /// The progress token that a progress notification names.
    pub(crate) fn progress_token(&self) -> Option<Id> {
        Id::read(self.params()?.get("progressToken")?)
    }

    /// The request that `notifications/cancelled` is about.
    pub(crate) fn cancelled(&self) -> Option<Id> {
        Id::read(self.params()?.get("requestId")?)
    }

    /// The id, if this is a request.
    pub(crate) fn request_id(&self) -> Option<&Id> {
        if let Shape::Request { id, .. } = &self.shape { Some(id) } else { None }
    }

    /// Whether this is a request for this method.
    pub(crate) fn asks(&self, wanted: &str) -> bool {
        matches!(&self.shape, Shape::Request { method, .. } if &**method == wanted)
    }

    /// What the client offers to the server: said once by `initialize`, or by every request.
    pub(crate) fn capabilities(&self) -> Option<Value<'_>> {
        let params = self.params()?;
        let offered = if self.asks("initialize") {
            params.get("capabilities")
        } else {
            params.get("_meta")?.get("io.modelcontextprotocol/clientCapabilities")
        };
        offered.filter(|offered| offered.kind() == Kind::Object)
    }

    /// The protocol revision that a request of the stateless era carries in its body.
    pub(crate) fn stated_version(&self) -> Option<&str> {
        self.params()?.get("_meta")?.get("io.modelcontextprotocol/protocolVersion")?.as_str()
    }

    /// What the user asked for, where the client says it: `portcullis/task` in `_meta`. What is longer than a task may be is cut.
    pub(crate) fn task(&self) -> Option<&str> {
        let task = self.params()?.get("_meta")?.get(TASK)?.as_str()?;
        task.get(..task.floor_char_boundary(MAX_TASK))
    }

    /// The message with these strings in the place of some of its values; every other byte stays.
    pub(crate) fn edited(&self, edits: &[Edit<'_>]) -> String {
        self.document.splice(edits)
    }

    /// The message with one of its values written anew; every other byte stays.
    pub(crate) fn splice(&self, old: Value<'_>, new: &str) -> String {
        self.rewrite(vec![(old.range(), new.to_owned())])
    }

    /// The message with parts of it written anew; every other byte stays. The parts do not overlap.
    pub(crate) fn rewrite(&self, mut parts: Vec<(std::ops::Range<usize>, String)>) -> String {
        parts.sort_by_key(|(range, _)| range.start);
        let mut out = String::with_capacity(self.raw().len());
        let mut done = 0;
        for (range, new) in parts {
            out.push_str(self.raw().get(done..range.start).unwrap_or_default());
            out.push_str(&new);
            done = range.end;
        }
        out.push_str(self.raw().get(done..).unwrap_or_default());
        out
    }
}

/// The members of an object whose names `keep` takes, each as it was written, without the braces around them.
pub(crate) fn members(object: Value<'_>, keep: impl Fn(&str) -> bool) -> String {
    let kept = object.members().filter_map(|member| Some((member.name()?, member))).filter(|(name, _)| keep(name));
    let written: Vec<String> =
        kept.map(|(name, member)| format!("{}:{}", serde_json::Value::from(name), member.raw())).collect();
    written.join(",")
}

fn shape(root: Value<'_>) -> Result<Shape, FrameError> {
    match root.kind() {
        Kind::Object => {}
        Kind::Array => return Err(FrameError::Batch),
        _ => return Err(FrameError::Shape("an object is expected")),
    }
    if has_twin(root, RESERVED) {
        return Err(FrameError::Shape("a member differs from a reserved one only in case"));
    }
    if root.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(FrameError::Shape("jsonrpc must be \"2.0\""));
    }
    let id = root.get("id");
    let read_id = |id| Id::read(id).ok_or(FrameError::Shape("id must be a string or a number of at most 1024 bytes"));
    if let Some(method) = root.get("method") {
        let method = method.as_str().filter(|text| !text.is_empty() && text.len() <= MAX_METHOD);
        let method: Arc<str> = method.ok_or(FrameError::Shape("method must be a string of 1 to 256 bytes"))?.into();
        if root.get("result").is_some() || root.get("error").is_some() {
            return Err(FrameError::Shape("method together with result or error"));
        }
        if let Some(params) = root.get("params") {
            if params.kind() != Kind::Object {
                return Err(FrameError::Shape("params must be an object"));
            }
            let meta = params.get("_meta").is_some_and(|meta| has_twin(meta, RESERVED_META));
            if meta || has_twin(params, RESERVED_PARAMS) {
                return Err(FrameError::Shape("a parameter differs from a reserved one only in case"));
            }
        }
        return Ok(match id {
            Some(id) => Shape::Request { id: read_id(id)?, method },
            None => Shape::Notification { method },
        });
    }
    let id = id.ok_or(FrameError::Shape("neither method nor id"))?;
    match (root.get("result"), root.get("error")) {
        (Some(result), None) => {
            if has_twin(result, RESERVED_RESULT) {
                return Err(FrameError::Shape("a member of the result differs from a reserved one only in case"));
            }
            Ok(Shape::Response { id: Some(read_id(id)?), failed: false })
        }
        (None, Some(error)) => {
            let readable = error.get("code").is_some_and(|code| code.kind() == Kind::Number)
                && error.get("message").is_some_and(|message| message.kind() == Kind::String);
            if !readable || has_twin(error, RESERVED_ERROR) {
                return Err(FrameError::Shape("error needs a number code and a string message"));
            }
            let id = if id.kind() == Kind::Null { None } else { Some(read_id(id)?) };
            Ok(Shape::Response { id, failed: true })
        }
        _ => Err(FrameError::Shape("a response needs either result or error")),
    }
}

/// Whether the object has a member that a case-insensitive decoder would take for a reserved one.
pub(crate) fn has_twin(object: Value<'_>, reserved: &[&str]) -> bool {
    object
        .members()
        .filter_map(Value::name)
        .any(|name| !reserved.contains(&name) && reserved.iter().any(|known| folded(known).eq(folded(name))))
}

/// Simple case folding: besides A to Z, two letters beyond ASCII fold into ASCII as Go's decoder does it, and the Turkish
/// letters without and with a dot as Java compares.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        other => other.to_ascii_lowercase(),
    })
}

#[cfg(test)]
mod tests;
