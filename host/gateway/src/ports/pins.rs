use std::sync::Arc;

use portcullis_model::Digest;
use serde::Serialize;
use serde_json::value::RawValue;

/// The definitions of tools that plugins compare with, and the operator's word on new ones. Blocking: it may have to read
/// thousands of them.
pub trait Pins: Send + Sync + 'static {
    /// All pins of a tenant's live pipeline, by upstream, tool and id.
    ///
    /// # Errors
    /// They could not be read.
    fn list(&self, tenant: &str) -> Result<Vec<Pin>, PinError>;

    /// One pin, with both definitions; none if there is none of this id.
    ///
    /// # Errors
    /// It could not be read.
    fn get(&self, tenant: &str, id: &str) -> Result<Option<Pin>, PinError>;

    /// Makes the definition that waits the accepted one, if it is this one.
    ///
    /// # Errors
    /// Another definition waits, or none, or it cannot be written; nothing has changed then.
    fn accept(&self, tenant: &str, id: &str, digest: Digest, by: &str, now_ms: u64) -> Result<Pin, PinError>;
}

/// What is known of one tool of one upstream.
#[derive(Clone, Debug, Serialize)]
pub struct Pin {
    /// Names it in the API.
    pub id: String,
    /// The plugin that keeps it, by its name in the pipeline.
    pub plugin: Arc<str>,
    /// Name of the upstream; empty if the tool was listed without one.
    pub upstream: String,
    /// Name of the tool, at most 256 bytes of it.
    pub tool: String,
    /// How its latest definition stands to the accepted one.
    pub state: PinState,
    /// When it was last in a list, to the hour; milliseconds since the Unix epoch.
    pub listed_ms: u64,
    /// Whether other tools of the upstream were listed long after it was.
    pub vanished: bool,
    /// The accepted definition.
    pub pinned: Option<PinDefinition>,
    /// The latest definition, if it is not the accepted one.
    pub pending: Option<PinDefinition>,
}

/// How a tool's latest definition stands to the accepted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PinState {
    /// It is the accepted one.
    Pinned,
    /// It is another one.
    Changed,
    /// None was accepted yet.
    New,
}

/// A definition of a tool. In lists without its text and changes.
#[derive(Clone, Debug, Serialize)]
pub struct PinDefinition {
    /// SHA-256 of its canonical form.
    pub digest: Digest,
    /// Since when: accepted, or seen first. Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who accepted it: an operator, or `first use`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How much of its text is kept: `whole`, `texts` or `members` (long ones are shortened), `nothing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Box<RawValue>>,
    /// How it differs from the accepted one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<PinChange>>,
    /// How many differences there are beside those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<u32>,
}

/// One difference between two definitions; texts are shortened around it, and what cannot be seen is escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinChange {
    /// RFC 6901 pointer into the definition.
    pub at: String,
    /// What was there; none if nothing was.
    pub from: Option<String>,
    /// What is there now; none if nothing is.
    pub to: Option<String>,
}

/// Why a pin was not read or accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// There is no such pin.
    #[error("there is no such pin")]
    Unknown,
    /// Nothing waits, or something else.
    #[error("the definition that waits is not this one")]
    Other,
    /// The plugins' state cannot be read or written.
    #[error("the pins are not available: {0}")]
    Unavailable(String),
}

/// No plugin keeps pins.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPins;

impl Pins for NoPins {
    fn list(&self, _: &str) -> Result<Vec<Pin>, PinError> {
        Ok(Vec::new())
    }

    fn get(&self, _: &str, _: &str) -> Result<Option<Pin>, PinError> {
        Ok(None)
    }

    fn accept(&self, _: &str, _: &str, _: Digest, _: &str, _: u64) -> Result<Pin, PinError> {
        Err(PinError::Unknown)
    }
}
