//! The revision without sessions (2026-07-28): every request says everything itself, in its body and again in headers.
//! What the two say must be the same: an upstream, or something on the way to it, may go by either.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::{Kind, Value};

use super::envelope::{
    Frame, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Shape, UNSUPPORTED_VERSION,
};
use super::front::VERSION;

/// The revision.
pub(super) const REVISION: &str = "2026-07-28";
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(super) const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Beginning of the headers that repeat arguments, in small letters as all names are kept.
pub(super) const PARAM: &str = "mcp-param-";
/// How a value is written that is no plain printable ASCII.
const ENCODED: (&str, &str) = ("=?base64?", "?=");
/// The parameter that `Mcp-Name` repeats, by method.
const NAMED: &[(&str, &str)] = &[("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")];

/// Why a request is not one of this revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mismatch {
    /// A header is missing, repeated, cannot be read, or says something else than the body.
    #[error("the header {0} does not say what the body says")]
    Header(&'static str),
    /// The body does not say what it must.
    #[error("params._meta must hold {0}")]
    Meta(&'static str),
    /// Of a revision that is not known here.
    #[error("this protocol revision is not supported here")]
    Version(String),
    /// There are no requests that a client could answer.
    #[error("this revision has no answers of clients: send inputResponses with the call")]
    Response,
}

impl Mismatch {
    pub(super) fn code(&self) -> i32 {
        match self {
            Self::Header(_) => HEADER_MISMATCH,
            Self::Meta(_) => INVALID_PARAMS,
            Self::Version(_) => UNSUPPORTED_VERSION,
            Self::Response => INVALID_REQUEST,
        }
    }
}

/// Whether a message, or a request without one, is of this era: the body decides where it says so.
pub(super) fn applies(headers: &HeaderMap, frame: Option<&Frame>) -> bool {
    let in_header = || headers.get(VERSION).is_some_and(|value| value.as_bytes() == REVISION.as_bytes());
    frame.is_some_and(|frame| frame.stated_version().is_some()) || in_header()
}

/// Checks what a message of this era must say, headers first.
pub(super) fn check(headers: &HeaderMap, frame: &Frame) -> Result<(), Mismatch> {
    let method = match frame.shape() {
        Shape::Request { method, .. } => method,
        // What it must repeat may be left out; what is there must be right.
        Shape::Notification { method } => {
            if headers.contains_key(VERSION) && !repeats(headers, &VERSION, frame.stated_version().or(Some(REVISION))) {
                return Err(Mismatch::Header("MCP-Protocol-Version"));
            }
            if headers.contains_key(METHOD) && !repeats(headers, &METHOD, Some(method)) {
                return Err(Mismatch::Header("Mcp-Method"));
            }
            check_name(headers, frame, None)?;
            return check_params(headers, frame);
        }
        Shape::Response { .. } => return Err(Mismatch::Response),
    };
    let version = one(headers, &VERSION).ok_or(Mismatch::Header("MCP-Protocol-Version"))?;
    if frame.stated_version().is_some_and(|stated| stated != version) {
        return Err(Mismatch::Header("MCP-Protocol-Version"));
    }
    if !repeats(headers, &METHOD, Some(method)) {
        return Err(Mismatch::Header("Mcp-Method"));
    }
    let named = NAMED.iter().find(|(named, _)| **named == **method);
    check_name(headers, frame, named.map(|(_, member)| *member))?;
    check_params(headers, frame)?;
    let meta = frame.params().and_then(|params| params.get("_meta")).filter(|meta| meta.kind() == Kind::Object);
    let meta = meta.ok_or(Mismatch::Meta("the protocol revision and the client's capabilities"))?;
    let stated = frame.stated_version().ok_or(Mismatch::Meta("io.modelcontextprotocol/protocolVersion"))?;
    if meta.get("io.modelcontextprotocol/clientCapabilities").is_none_or(|value| value.kind() != Kind::Object) {
        return Err(Mismatch::Meta("io.modelcontextprotocol/clientCapabilities"));
    }
    if stated != REVISION {
        return Err(Mismatch::Version(stated.chars().take(64).collect()));
    }
    Ok(())
}

/// Checks the name of what a request is about, which stands in `member`. Where no member is known, it must be one of the
/// parameters, for the same reason as below.
fn check_name(headers: &HeaderMap, frame: &Frame, member: Option<&str>) -> Result<(), Mismatch> {
    let params = frame.params();
    let said = match member {
        Some(member) => repeats(headers, &NAME, params.and_then(|params| params.get(member)).and_then(Value::as_str)),
        None if !headers.contains_key(NAME) => true,
        None => one(headers, &NAME).is_some_and(|said| params.is_some_and(|params| holds(params, &said))),
    };
    if said { Ok(()) } else { Err(Mismatch::Header("Mcp-Name")) }
}

/// Checks that every header that repeats an argument does: which argument it is, only the tool's schema says, so it must be
/// one of them. Otherwise headers would carry what no policy sees.
pub(super) fn check_params(headers: &HeaderMap, frame: &Frame) -> Result<(), Mismatch> {
    let arguments = frame.params().and_then(|params| params.get("arguments"));
    for name in headers.keys().filter(|name| is_param(name)) {
        let said = one(headers, name).ok_or(Mismatch::Header("Mcp-Param-…"))?;
        if !arguments.is_some_and(|arguments| holds(arguments, &said)) {
            return Err(Mismatch::Header("Mcp-Param-…"));
        }
    }
    Ok(())
}

/// Repeats in `upstream` what a message says, as `headers` of the client did for the message as it came. `false` if policy
/// changed an argument that they repeat.
pub(super) fn repeat(headers: &HeaderMap, came: &Frame, goes: &[u8], upstream: &mut HeaderMap) -> bool {
    let copy = |upstream: &mut HeaderMap, fits: &dyn Fn(&HeaderName) -> bool| {
        for (name, value) in headers.iter().filter(|(name, _)| fits(name)) {
            upstream.append(name.clone(), value.clone());
        }
    };
    copy(upstream, &|name| *name == METHOD);
    if *goes == *came.raw().as_bytes() {
        copy(upstream, &|name| *name == NAME || is_param(name));
        return true;
    }
    let Ok(sent) = Frame::parse(goes) else { return false };
    let name = |frame: &Frame| Some(named(frame)?.to_owned());
    let (before, now) = (name(came), name(&sent));
    if before != now {
        // Another tool than the client asked for: its arguments went, too.
        upstream.extend(now.map(|now| (NAME, written(&now))));
        return true;
    }
    copy(upstream, &|name| *name == NAME || is_param(name));
    check_params(headers, &sent).is_ok()
}

/// Makes the headers those of a message with another method, which names nothing.
pub(super) fn rename(upstream: &mut HeaderMap, method: &'static str) {
    let ours: Vec<HeaderName> = upstream.keys().filter(|name| **name == NAME || is_param(name)).cloned().collect();
    for name in ours {
        upstream.remove(name);
    }
    upstream.insert(METHOD, HeaderValue::from_static(method));
}

/// The parameter that `Mcp-Name` repeats.
fn named(frame: &Frame) -> Option<&str> {
    let Shape::Request { method, .. } = frame.shape() else { return None };
    let (_, member) = NAMED.iter().find(|(named, _)| **named == **method)?;
    frame.params()?.get(member)?.as_str()
}

fn is_param(name: &HeaderName) -> bool {
    name.as_str().starts_with(PARAM)
}

/// HTTP status of an answer that Portcullis gives in the upstream's place.
pub(super) fn status(answer: &[u8]) -> StatusCode {
    let frame = Frame::parse(answer).ok();
    let code = frame.as_ref().and_then(|frame| frame.body()?.get("code")?.raw().parse::<i32>().ok());
    match code {
        Some(PARSE_ERROR | INVALID_REQUEST | INVALID_PARAMS | HEADER_MISMATCH | UNSUPPORTED_VERSION) => {
            StatusCode::BAD_REQUEST
        }
        Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// Whether a header says this, or is not there if there is nothing to say. One that cannot be read says nothing right.
fn repeats(headers: &HeaderMap, name: &HeaderName, wanted: Option<&str>) -> bool {
    match wanted {
        Some(wanted) => one(headers, name).as_deref() == Some(wanted),
        None => !headers.contains_key(name),
    }
}

/// The decoded value of a header that must be there once.
fn one(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let encoded = value.strip_prefix(ENCODED.0).and_then(|rest| rest.strip_suffix(ENCODED.1));
    match encoded {
        // The engine takes canonical base64 only: one way to write a value.
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// A value as a header may hold it: as it is, or encoded.
pub(super) fn written(value: &str) -> HeaderValue {
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && value.trim() == value
        && !value.starts_with(ENCODED.0);
    let text = if plain { value.to_owned() } else { [ENCODED.0, &BASE64_STANDARD.encode(value), ENCODED.1].concat() };
    // Printable ASCII in both cases.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether some text, number or boolean in `value` is written like this.
fn holds(value: Value<'_>, wanted: &str) -> bool {
    match value.kind() {
        Kind::String => value.as_str() == Some(wanted),
        Kind::Number | Kind::Bool => value.raw() == wanted,
        Kind::Null => false,
        Kind::Array => value.items().any(|item| holds(item, wanted)),
        Kind::Object => value.members().any(|member| holds(member, wanted)),
    }
}

#[cfg(test)]
mod tests;
