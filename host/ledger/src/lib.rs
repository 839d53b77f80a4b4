//! The append-only evidence log.
//!
//! Every tenant has one log: entries numbered from 0 without gaps, each naming the hash of the one before. One writer
//! thread numbers, chains and stores them in groups; an append is answered only after its group is on the disk itself.
//! What does not belong into the log goes beside it, encrypted, in the same atomic group: evidence, kept answers and
//! records of other parts.
//!
//! The order of a group: one batch into the store, the store's own flush, `fdatasync`, the heads in memory, the answers;
//! later, the head file. So nothing is ever acknowledged, or named by the head file, that a power cut could take back.
#![forbid(unsafe_code)]

mod config;
mod error;
mod folder;
mod heads;
mod layout;
mod ledger;
mod metrics;
mod queue;
mod rows;
mod store;
mod tenants;
mod vault;
mod writer;

pub use config::{Evidence, LedgerConfig};
pub use error::{AppendError, ExportError, OpenError, ReadError, StoreError, VaultError};
pub use ledger::{Attachment, Kept, KeyValue, Ledger, Receipt, Record, StoredEntry};
pub use metrics::{Histogram, Metrics};
pub use portcullis_ledger_verify::{Head, Report};
