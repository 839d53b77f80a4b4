//! The revision without sessions (2026-07-28): every request says everything itself, in its body and again in headers.
//! What the two say must be the same: an upstream, or something on the way to it, may go by either.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::{Kind, Value};

use super::envelope::{
    Frame, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Shape, UNSUPPORTED_VERSION,
};
use super::front::VERSION;

/// The revision.
pub(super) const REVISION: &str = "2026-07-28";
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Beginning of the headers that repeat arguments, in small letters as all names are kept.
const PARAM: &str = "mcp-param-";
/// How a value is written that is no plain printable ASCII.
const ENCODED: (&str, &str) = ("=?base64?", "?=");
/// The parameter that `Mcp-Name` repeats, by method.
const NAMED: &[(&str, &str)] = &[("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")];
/// "Method not found", which upstreams answer.
pub(super) const METHOD_NOT_FOUND: i32 = -32601;

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
        // Nothing to repeat but the method, which may be left out.
        Shape::Notification { method } => {
            let said = headers.get(METHOD).is_none() || one(headers, &METHOD).as_deref() == Some(&**method);
            return if said { Ok(()) } else { Err(Mismatch::Header("Mcp-Method")) };
        }
        Shape::Response { .. } => return Err(Mismatch::Response),
    };
    let version = one(headers, &VERSION).ok_or(Mismatch::Header("MCP-Protocol-Version"))?;
    if frame.stated_version().is_some_and(|stated| stated != version) {
        return Err(Mismatch::Header("MCP-Protocol-Version"));
    }
    if one(headers, &METHOD).as_deref() != Some(&**method) {
        return Err(Mismatch::Header("Mcp-Method"));
    }
    if let Some((_, member)) = NAMED.iter().find(|(named, _)| **named == **method) {
        let named = frame.params().and_then(|params| params.get(member)).and_then(Value::as_str);
        if one(headers, &NAME).as_deref() != named {
            return Err(Mismatch::Header("Mcp-Name"));
        }
    }
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

/// Checks that every header that repeats an argument does: which argument it is, only the tool's schema says, so it must be
/// one of them. Otherwise headers would carry what no policy sees.
pub(super) fn check_params(headers: &HeaderMap, frame: &Frame) -> Result<(), Mismatch> {
    let arguments = frame.params().and_then(|params| params.get("arguments"));
    for name in headers.keys().filter(|name| name.as_str().starts_with(PARAM)) {
        let said = one(headers, name).ok_or(Mismatch::Header("Mcp-Param-…"))?;
        if !arguments.is_some_and(|arguments| holds(arguments, &said)) {
            return Err(Mismatch::Header("Mcp-Param-…"));
        }
    }
    Ok(())
}

/// Whether any headers repeat arguments.
pub(super) fn repeats_arguments(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with(PARAM))
}

/// The headers of this era that go on to the upstream.
pub(super) fn passed_on(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    headers.iter().filter(|(name, _)| **name == METHOD || **name == NAME || name.as_str().starts_with(PARAM))
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
