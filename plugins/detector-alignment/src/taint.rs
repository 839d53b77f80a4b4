//! What the session remembers of results: short digests of identifying values, packed into labels.

use std::collections::BTreeSet;

use plugin_text::TAINTED;
use portcullis_plugin::{Call, labels};
use sha2::{Digest as _, Sha256};

use crate::values::{Kind, Value};

/// Label of packed digests.
const SEEN: &str = "seen";
/// Label that says that there was no room for all values.
const FULL: &str = "taint.full";
/// Length of a value's entry: a letter for its kind and eight bytes in hex.
const ENTRY: usize = 17;
/// Entries of one label: a label's value has at most 1,024 bytes.
const ENTRIES: usize = 60;
/// Labels of a session that are taken up here; there are 256 for all plugins.
const MOST_LABELS: usize = 96;
/// Labels of a session from which on nobody can add any.
const NO_ROOM: usize = 256;

/// What the session carries.
#[derive(Debug, Default)]
pub(crate) struct Taint {
    /// Entries, sorted.
    entries: BTreeSet<String>,
    /// Labels that hold them.
    labels: usize,
    /// All labels of the session.
    all: usize,
    /// Whether a result held instructions, as another detector found.
    pub(crate) tainted: bool,
    /// Whether there were more values than could be kept: any value may be one of them.
    pub(crate) full: bool,
}

impl Taint {
    /// What the labels of the session say; nothing without a session.
    pub(crate) fn of_session() -> Self {
        let mut taint = Self::default();
        for (label, value) in labels::all() {
            taint.all += 1;
            match label.as_str() {
                SEEN => {
                    taint.labels += 1;
                    let mut rest = value.as_str();
                    while let Some((entry, after)) = rest.split_at_checked(ENTRY) {
                        #[cfg(test)]
                        crate::tests::count(1);
                        taint.entries.insert(entry.to_owned());
                        rest = after;
                    }
                }
                FULL => taint.full = true,
                TAINTED => taint.tainted = true,
                _ => {}
            }
        }
        taint.full |= taint.all >= NO_ROOM;
        taint
    }

    /// Whether there is nothing to compare with.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.full && !self.tainted
    }

    /// Whether an untrusted result held the value.
    pub(crate) fn has(&self, call: &Call, kind: Kind, folded: &str) -> bool {
        !self.entries.is_empty() && self.entries.contains(&entry(call, kind, folded))
    }

    /// Keeps the values of a result.
    ///
    /// # Errors
    /// The host keeps no label, not even that there is no room.
    pub(crate) fn keep(&self, call: &Call, values: &[Value], cut: bool) -> Result<(), String> {
        if call.session.is_none() {
            return Ok(());
        }
        let new: BTreeSet<String> = values.iter().map(|value| entry(call, value.kind, &value.folded)).collect();
        let new: Vec<&String> = new.difference(&self.entries).collect();
        let room = MOST_LABELS.saturating_sub(self.labels);
        let mut whole = !cut;
        for (number, some) in new.chunks(ENTRIES).enumerate() {
            let packed: String = some.iter().map(|entry| entry.as_str()).collect();
            whole &= number < room && labels::add(SEEN, &packed).is_ok();
        }
        if whole || self.full {
            return Ok(());
        }
        // Labels that others filled up say the same.
        labels::add(FULL, "1").or_else(|error| if labels::all().len() >= NO_ROOM { Ok(()) } else { Err(error) })
    }
}

/// The entry of a value: a digest that another session does not share.
fn entry(call: &Call, kind: Kind, folded: &str) -> String {
    let mut hash = Sha256::new();
    for part in ["portcullis.alignment/1", &call.tenant, call.session.as_deref().unwrap_or_default(), folded] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut entry = String::with_capacity(ENTRY);
    entry.push(kind.letter());
    for byte in hash.finalize().iter().take(8) {
        for digit in [byte >> 4, byte & 15] {
            entry.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    entry
}
