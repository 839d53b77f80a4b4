//! One row of the ledger and its canonical bytes.

mod codec;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{Decision, Digest, Document, Mode, Phase};

pub use codec::{EntryBody, EntryError};

/// Version of the entry format that this build writes.
pub const SCHEMA: u8 = 1;

/// Most bytes of one encoded entry (C2SP entry bundles hold at most 65,535).
pub const MAX_ENTRY: usize = 64 * 1024 - 1;

/// What an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A verdict, durable before its effect.
    Decision,
    /// How an allowed call ended.
    Outcome,
    /// A call refused before the pipeline ran: halted agent, rate limit, quota.
    Refusal,
    /// A generation was activated.
    Activation,
    /// A parked call was decided, expired or was cancelled; or an operator accepted the definition of a tool.
    Approval,
    /// Sensitive material was erased.
    Erasure,
    /// A generation is tried beside the one in force, is so no longer, or was withdrawn as a canary.
    Trial,
}

/// The way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// The inspect API.
    Inspect,
    /// Model Context Protocol.
    Mcp,
    /// The Clavenar contract.
    Clavenar,
    /// The Arden contract.
    Arden,
    /// Not a call: the host itself or an operator.
    Control,
}

/// How an allowed call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The tool answered.
    Answered,
    /// The tool or its upstream failed.
    Failed,
    /// The caller cancelled.
    Cancelled,
    /// The caller went away before the answer.
    Disconnected,
    /// It is not known whether the tool ran.
    Uncertain,
}

/// A reason as the ledger keeps it: the code only, since messages may quote arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryReason {
    /// Stable code.
    pub code: String,
    /// Who gave it.
    pub plugin: String,
}

/// A finding as the ledger keeps it: no text, no place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryFinding {
    /// Who made it.
    pub plugin: String,
    /// Dotted category.
    pub category: String,
    /// Score in thousandths, 0 to 1000.
    pub score: u16,
}

/// One plugin's part as the ledger keeps it. Wall time is left out: it is not a function of the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPlugin {
    /// Name in the pipeline.
    pub name: Arc<str>,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Fuel used; exact.
    pub fuel: u64,
    /// Fault code, if it did not answer properly.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<String>,
    /// SHA-256 over what was answered from outside, if it asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answers: Option<Digest>,
}

/// Everything a writer of the ledger must be told about an entry. The ledger adds sequence number, previous hash and
/// the commitment.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What is recorded.
    pub kind: EntryKind,
    /// Owner of the log it goes to.
    pub tenant: Arc<str>,
    /// Correlation id: the call's id; for entries without a call a fresh one.
    pub id: Uuid,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Who made the call; for control entries the operator or `portcullis`.
    pub agent: Arc<str>,
    /// The run of the agent.
    pub session: Option<Arc<str>>,
    /// The way in.
    pub door: Door,
    /// Owner of the tool.
    pub upstream: Option<Arc<str>>,
    /// Tool name; absent for control entries.
    pub tool: Option<Arc<str>>,
    /// What was looked at.
    pub phase: Phase,
    /// Whether the verdict took effect.
    pub mode: Mode,
    /// The verdict; absent where none was made.
    pub decision: Option<Decision>,
    /// Why.
    pub reasons: Vec<EntryReason>,
    /// What was seen; at most 64 are kept, strongest first, and `findings_total` counts them all.
    pub findings: Vec<EntryFinding>,
    /// Who judged and what it took.
    pub plugins: Vec<EntryPlugin>,
    /// The generation that judged or was activated.
    pub generation: Option<Digest>,
    /// The parked call this belongs to.
    pub approval: Option<Uuid>,
    /// How it ended; only for [`EntryKind::Outcome`].
    pub outcome: Option<Outcome>,
    /// Milliseconds from forwarding to the end; only for [`EntryKind::Outcome`].
    pub duration_ms: Option<u64>,
    /// Digest of the call as judged ([`crate::Call::digest`]). The ledger never stores it bare: see [`Entry::call`].
    pub call_digest: Option<Digest>,
    /// What the entry commits to: arguments, result, listing or message. Its canonical bytes are hashed with a salt.
    pub payload: Option<Arc<Document>>,
    /// One line for people, without anything from the payload: who activated what, why a call was refused.
    pub note: Option<String>,
}

/// One row of the ledger. What is hashed is its canonical encoding; every field a reader relies on is inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of this format.
    pub schema: u8,
    /// Owner of the log.
    pub tenant: Arc<str>,
    /// Position in the log, from 0 without gaps.
    pub seq: u64,
    /// [`leaf_hash`] of the entry before; zeros for the first.
    pub prev: Digest,
    /// What is recorded.
    pub kind: EntryKind,
    /// Correlation id.
    pub id: Uuid,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Who made the call.
    pub agent: Arc<str>,
    /// The run of the agent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<Arc<str>>,
    /// The way in.
    pub door: Door,
    /// Owner of the tool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upstream: Option<Arc<str>>,
    /// Tool name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tool: Option<Arc<str>>,
    /// What was looked at.
    pub phase: Phase,
    /// Whether the verdict took effect.
    pub mode: Mode,
    /// The verdict.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decision: Option<Decision>,
    /// Why, at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<EntryReason>,
    /// How many reasons there were.
    pub reasons_total: u32,
    /// What was seen, strongest first, at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub findings: Vec<EntryFinding>,
    /// How many findings there were.
    pub findings_total: u32,
    /// Who judged and what it took, at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plugins: Vec<EntryPlugin>,
    /// How many plugins ran.
    pub plugins_total: u32,
    /// The generation that judged or was activated.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generation: Option<Digest>,
    /// The parked call this belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approval: Option<Uuid>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<Outcome>,
    /// Milliseconds from forwarding to the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_ms: Option<u64>,
    /// HMAC-SHA-256 of the call's digest under the tenant's binding key: equal calls can be recognised by the tenant,
    /// and nobody else can test a guess.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub call: Option<Digest>,
    /// SHA-256 over a 16-byte salt and the canonical payload. Whoever is given salt and payload can check it; without
    /// the salt it says nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commitment: Option<Digest>,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// The hash of an entry in chain and tree: SHA-256(0x00 || canonical bytes), as RFC 6962 section 2.1 hashes a leaf.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([0_u8]);
    hasher.update(entry);
    Digest(hasher.finalize().into())
}
