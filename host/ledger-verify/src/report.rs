use std::fmt;
use std::sync::Arc;

use portcullis_model::{Digest, EntryError};
use serde::{Deserialize, Serialize};

/// The last entry of a log: whoever knows it can tell whether a log was cut or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Owner of the log.
    pub tenant: Arc<str>,
    /// Sequence number of the last entry; the log holds one more.
    pub seq: u64,
    /// Leaf hash of the last entry.
    pub hash: Digest,
}

/// What was verified, and the first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Owner of the log.
    pub tenant: Option<Arc<str>>,
    /// Sequence number of the first entry looked at. If it is not 0, nothing is said about what came before.
    pub first_seq: u64,
    /// How many entries are good.
    pub entries: u64,
    /// Bytes of the good entries.
    pub bytes: u64,
    /// The last good entry.
    pub head: Option<Head>,
    /// Whether the end was compared with a head from elsewhere.
    pub head_checked: bool,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.fault.is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenant = self.tenant.as_deref().unwrap_or("(no entry)");
        match &self.fault {
            Some(fault) => {
                write!(f, "BAD: log of {tenant}: {fault}; {} entries before it are good", self.entries)?;
            }
            None => {
                write!(f, "good: log of {tenant}: {} entries from {}", self.entries, self.first_seq)?;
                if let Some(head) = &self.head {
                    write!(f, ", last {} {}", head.seq, head.hash)?;
                }
                let checked = if self.head_checked { "matches" } else { "was not given" };
                write!(f, "; the head {checked}")?;
            }
        }
        if self.first_seq != 0 {
            write!(f, "; entries before {} were not shown", self.first_seq)?;
        }
        Ok(())
    }
}

/// Something wrong at one place of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("entry {seq}: {kind}")]
pub struct Fault {
    /// Sequence number that the place should have.
    pub seq: u64,
    /// What is wrong.
    #[source]
    pub kind: FaultKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum FaultKind {
    /// The bytes are not an entry, not canonical, or of a newer format.
    #[error("{reason}")]
    Entry {
        /// What the codec said.
        reason: String,
    },
    /// The entry belongs to another log.
    #[error("belongs to tenant {found:?}, this is the log of {expected:?}")]
    Tenant {
        /// The log's owner.
        expected: Arc<str>,
        /// The entry's tenant.
        found: Arc<str>,
    },
    /// The entry carries another number: something was dropped, repeated or moved.
    #[error("carries number {found}: an entry was dropped, repeated or moved")]
    Seq {
        /// The number it carries.
        found: u64,
    },
    /// The entry does not name the entry before it: one of the two was changed.
    #[error("names {found} as the entry before, which is {expected}: one of the two was changed")]
    Prev {
        /// Leaf hash of the entry before.
        expected: Digest,
        /// What the entry names.
        found: Digest,
    },
    /// The log ends before or after the head.
    #[error("the log ends here, the head names entry {head_seq}: the log was cut or the head is of another time")]
    Length {
        /// The head's sequence number.
        head_seq: u64,
    },
    /// The log has entries and its end says that there are none.
    #[error("the log has entries, and its end says that it has none: the end is of another time")]
    NotEmpty,
    /// The last entry is not the one the head names.
    #[error("the last entry is {found}, the head names {expected}: one of the two was changed")]
    Head {
        /// The head's hash.
        expected: Digest,
        /// Leaf hash of the last entry.
        found: Digest,
    },
    /// The head is of another tenant.
    #[error("the head is of tenant {found:?}")]
    HeadTenant {
        /// The head's tenant.
        found: Arc<str>,
    },
}

impl From<EntryError> for FaultKind {
    fn from(error: EntryError) -> Self {
        Self::Entry { reason: error.to_string() }
    }
}
