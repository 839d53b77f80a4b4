//! Arguments that an approver replaced: scalar values only, each by one of its own type.

use std::sync::Arc;

use portcullis_model::{Call, Digest, Document, Kind, Value};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Most values that one modification replaces.
pub const MAX_CHANGES: usize = 32;
/// Most bytes of a pointer or of a new value, as JSON.
const MAX_CHANGE: usize = 8 * 1024;

/// One scalar value of the arguments, and what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgumentChange {
    /// RFC 6901 pointer into the arguments.
    pub pointer: String,
    /// The new value: a string, number or truth value as JSON text.
    pub value: String,
}

/// How an operator changed a parked call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modification {
    /// Who.
    pub operator: Arc<str>,
    /// What was replaced.
    pub changes: Vec<ArgumentChange>,
    /// [`portcullis_model::Call::digest`] of the call with the new arguments.
    pub digest: Digest,
    /// Sequence number of the entry about the call with the new arguments.
    pub entry: u64,
    /// Why, in the operator's words.
    pub comment: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// Why arguments cannot be changed like this. The texts name pointers, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModificationError {
    /// Nothing, or too much, is changed.
    #[error("a modification replaces 1 to {MAX_CHANGES} values of at most {MAX_CHANGE} bytes each")]
    Size,
    /// The arguments have nothing there.
    #[error("the arguments have no value at {0}")]
    NoSuchValue(String),
    /// There is an object, an array or null.
    #[error("only strings, numbers and truth values are replaced; at {0} is something else")]
    NotScalar(String),
    /// The new value is of another type, or no JSON.
    #[error("the new value at {0} must be JSON of the type that stands there")]
    Type(String),
    /// Two changes of the same value.
    #[error("{0} is changed twice")]
    Twice(String),
    /// The changed text is no document any more.
    #[error("the changed arguments are no acceptable JSON")]
    Result,
}

/// What is kept of a call that may be changed, besides its approval: everything that policy may look at.
#[derive(Debug)]
pub struct KeptCall {
    /// What the agent is for.
    pub persona: Option<Arc<str>>,
    /// What the user asked for.
    pub task: Option<Arc<str>>,
    /// The arguments.
    pub payload: Document,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    persona: Option<Arc<str>>,
    task: Option<Arc<str>>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl KeptCall {
    /// The bytes to store; none if the payload is no JSON text, which a document always is.
    pub(crate) fn write(call: &Call) -> Option<Vec<u8>> {
        let payload: &RawValue = serde_json::from_str(call.payload.raw()).ok()?;
        let stored = Stored { persona: call.persona.clone(), task: call.task.clone(), payload };
        serde_json::to_vec(&stored).ok()
    }

    /// What was stored; none if it is damaged.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let Stored { persona, task, payload } = serde_json::from_slice(bytes).ok()?;
        Some(Self { persona, task, payload: Document::parse(payload.get()).ok()? })
    }
}

/// The arguments with the changes made; every other byte stays as it was.
///
/// # Errors
/// What is wrong with the first change that cannot be made.
pub fn modify(arguments: &Document, changes: &[ArgumentChange]) -> Result<Document, ModificationError> {
    let fits = |change: &ArgumentChange| change.pointer.len() <= MAX_CHANGE && change.value.len() <= MAX_CHANGE;
    if changes.is_empty() || changes.len() > MAX_CHANGES || !changes.iter().all(fits) {
        return Err(ModificationError::Size);
    }
    let mut edits = Vec::with_capacity(changes.len());
    for change in changes {
        let pointer = || change.pointer.clone();
        let target = arguments.pointer(&change.pointer).ok_or_else(|| ModificationError::NoSuchValue(pointer()))?;
        if !is_scalar(target) {
            return Err(ModificationError::NotScalar(pointer()));
        }
        let value = Document::parse(change.value.clone()).map_err(|_| ModificationError::Type(pointer()))?;
        if value.root().kind() != target.kind() {
            return Err(ModificationError::Type(pointer()));
        }
        edits.push((target.range(), change.value.trim(), change));
    }
    edits.sort_by_key(|(range, ..)| range.start);
    let text = arguments.raw();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (range, value, change) in edits {
        // Scalars do not hold one another: a place before the last one is the last one again.
        let before = text.get(done..range.start).filter(|_| range.start >= done);
        out.push_str(before.ok_or_else(|| ModificationError::Twice(change.pointer.clone()))?);
        out.push_str(value);
        done = range.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Document::parse(out).map_err(|_| ModificationError::Result)
}

fn is_scalar(value: Value<'_>) -> bool {
    matches!(value.kind(), Kind::String | Kind::Number | Kind::Bool)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, changes: &[(&str, &str)]) -> Result<String, ModificationError> {
        let changes: Vec<_> = changes
            .iter()
            .map(|(pointer, value)| ArgumentChange { pointer: (*pointer).to_owned(), value: (*value).to_owned() })
            .collect();
        modify(&Document::parse(text).unwrap(), &changes).map(|document| document.raw().to_owned())
    }

    #[test]
    fn scalars_are_replaced_and_every_other_byte_stays() {
        let text = r#"{ "amount": 1e3, "to": {"iban": "DE\u0030"}, "tags": ["a", true] }"#;
        let out = changed(text, &[("/tags/1", "false"), ("/amount", " 12.50 "), ("/to/iban", "\"AT1\"")]).unwrap();
        assert_eq!(out, r#"{ "amount": 12.50, "to": {"iban": "AT1"}, "tags": ["a", false] }"#);
    }

    #[test]
    fn a_type_never_changes_and_nothing_is_added() {
        let text = r#"{"amount":5,"to":{"a":"b"},"list":[1],"none":null,"name":"x"}"#;
        let error = |pointer: &str, value: &str| changed(text, &[(pointer, value)]).unwrap_err();
        let at = |pointer: &str| pointer.to_owned();
        for value in ["\"5\"", "null", "true", "{}", "[5]", "5 6", "", "5,\"x\":1", "NaN"] {
            assert_eq!(error("/amount", value), ModificationError::Type(at("/amount")), "{value}");
        }
        for pointer in ["/to", "/list", "/none", ""] {
            assert_eq!(error(pointer, "5"), ModificationError::NotScalar(at(pointer)), "{pointer}");
        }
        for pointer in ["/more", "/list/1", "/list/-", "amount", "/amount/0"] {
            assert_eq!(error(pointer, "5"), ModificationError::NoSuchValue(at(pointer)), "{pointer}");
        }
        let twice = changed(text, &[("/amount", "6"), ("/name", "\"y\""), ("/amount", "7")]).unwrap_err();
        assert_eq!(twice, ModificationError::Twice(at("/amount")));
        assert_eq!(changed(text, &[]).unwrap_err(), ModificationError::Size);
        let many: Vec<_> = (0..=MAX_CHANGES).map(|_| ("/amount", "6")).collect();
        assert_eq!(changed(text, &many).unwrap_err(), ModificationError::Size);
        let long = format!("\"{}\"", "x".repeat(MAX_CHANGE));
        assert_eq!(changed(text, &[("/name", &long)]).unwrap_err(), ModificationError::Size);
    }
}
