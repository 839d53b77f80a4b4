//! What is kept of a tool. The README describes the form: operators' tools read it and write accepted pins.

use portcullis_plugin::state;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::definition::{Definition, Kept, key};
use crate::diff::{Change, Changes};

/// The beginning of the keys; its number is the version of the form.
pub(crate) const PREFIX: &str = "pin/1/";
/// Longest name that is kept.
const MAX_NAME: usize = 256;

/// Least bytes of the text of an accepted definition and the spaces behind it: so much a change needs at most to be noted,
/// without its text, and it must be noted in a full store too.
const ROOM: usize = 256;

/// One tool.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Name of the upstream; empty if the list came from none.
    upstream: String,
    /// Name of the tool, shortened to 256 bytes.
    tool: String,
    /// The accepted definition; none for a tool that waits for its first acceptance.
    pub(crate) pinned: Option<Pinned>,
    /// The latest definition, if it is not the accepted one.
    pub(crate) pending: Option<Pending>,
    /// When it was last in a list, to the hour; milliseconds since the Unix epoch.
    pub(crate) listed_ms: u64,
}

/// The accepted definition.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pinned {
    pub(crate) digest: String,
    /// `first use`, or the operator who accepted it.
    pub(crate) by: String,
    pub(crate) at_ms: u64,
    pub(crate) kept: Kept,
    pub(crate) definition: Box<RawValue>,
}

/// A definition that nobody accepted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) digest: String,
    /// When it was first seen.
    pub(crate) at_ms: u64,
    pub(crate) kept: Kept,
    pub(crate) definition: Box<RawValue>,
    /// How it differs from the accepted one; empty if there is none.
    #[serde(default)]
    pub(crate) changes: Vec<Change>,
    /// How many more differences there are.
    #[serde(default)]
    pub(crate) more: u32,
}

/// A record and what it was read from, so that it is only replaced if nobody else did.
pub(crate) struct Slot {
    key: String,
    bytes: Option<Vec<u8>>,
    pub(crate) record: Option<Record>,
}

/// Why a record was not written.
pub(crate) enum Unwritten {
    /// Somebody else changed it meanwhile.
    Overtaken,
    /// The store has no room for it.
    NoRoom,
}

impl Slot {
    /// Reads what is known of a tool.
    pub(crate) fn read(upstream: &str, tool: &str) -> Result<Self, String> {
        let key = key(upstream, tool);
        let bytes = state::get(&key)?;
        let record = bytes.as_deref().map(serde_json::from_slice).transpose();
        let record = record.map_err(|_| format!("the pin under {key} is not in a known form"))?;
        Ok(Self { key, bytes, record })
    }

    pub(crate) fn write(&self, record: &Record) -> Result<(), Unwritten> {
        let mut bytes = serde_json::to_vec(record).map_err(|_| Unwritten::NoRoom)?;
        if let Record { pinned: Some(Pinned { definition, .. }), pending: None, .. } = record {
            let spare = ROOM.saturating_sub(definition.get().len());
            bytes.resize(bytes.len() + spare, b' ');
        }
        match state::replace(&self.key, self.bytes.as_deref(), Some(&bytes), 0) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unwritten::Overtaken),
            Err(_) => Err(Unwritten::NoRoom),
        }
    }
}

impl Record {
    pub(crate) fn new(upstream: &str, tool: &str, now_ms: u64) -> Self {
        let tool = tool.get(..tool.floor_char_boundary(MAX_NAME)).unwrap_or_default();
        Self { upstream: upstream.to_owned(), tool: tool.to_owned(), pinned: None, pending: None, listed_ms: now_ms }
    }

    /// Makes the definition the accepted one.
    pub(crate) fn pin(&mut self, definition: &Definition, now_ms: u64) {
        let (kept, text) = definition.kept();
        let (digest, by) = (definition.digest.clone(), "first use".to_owned());
        self.pinned = Some(Pinned { digest, by, at_ms: now_ms, kept, definition: text });
        self.pending = None;
    }

    /// Notes a definition that is not the accepted one.
    pub(crate) fn note(&mut self, definition: &Definition, now_ms: u64) {
        let known = self.pinned.as_ref().filter(|pinned| pinned.kept != Kept::Nothing);
        let old = known.and_then(|pinned| Some((pinned.kept, serde_json::from_str(pinned.definition.get()).ok()?)));
        let changes = old.map(|(kept, old)| Changes::between(&old, &definition.part(kept))).unwrap_or_default();
        let (kept, text) = definition.kept();
        let digest = definition.digest.clone();
        let Changes { first, more } = changes;
        self.pending = Some(Pending { digest, at_ms: now_ms, kept, definition: text, changes: first, more });
    }

    /// Keeps digests and words only.
    pub(crate) fn shrink(&mut self, definition: &Definition) {
        let (kept, text) = definition.mark();
        if let Some(pinned) = &mut self.pinned {
            (pinned.kept, pinned.definition) = (kept, text.clone());
        }
        if let Some(pending) = &mut self.pending {
            (pending.kept, pending.definition) = (kept, text);
            let named = u32::try_from(pending.changes.len()).unwrap_or(u32::MAX);
            pending.more = pending.more.saturating_add(named);
            pending.changes.clear();
        }
    }
}
