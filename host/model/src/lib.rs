//! The words of Portcullis as plain types.
//!
//! Everything here is data: no I/O, no clock, no async. Every other crate of the host speaks in these types, so that a
//! call, a finding or a ledger entry means the same thing at the door, in a plugin and in front of an auditor.
#![forbid(unsafe_code)]

mod call;
mod digest;
mod document;
mod entry;
mod finding;
mod judgement;
mod plan;
mod unseen;

pub use call::{Call, Mode, Phase, Role};
pub use digest::{Digest, DigestParseError};
pub use document::{Document, DocumentError, DocumentFault, Edit, EditError, Kind, Members, Text, Value};

pub use entry::{
    Door, Draft, Entry, EntryBody, EntryError, EntryFinding, EntryKind, EntryPlugin, EntryReason, MAX_ENTRY, Outcome,
    SCHEMA, leaf_hash,
};
pub use finding::{AttributedFinding, Finding, Span};
pub use judgement::{Decision, Judgement, PluginRun, Reason, Replacement, Verdict, codes};
pub use plan::{Approver, Plan, Step};
pub use unseen::is_unseen;
