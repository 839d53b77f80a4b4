use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_model::{Digest, EntryError};

pub use crate::store::StoreError;
pub use crate::vault::VaultError;

/// Why a ledger does not open. Nothing is ever changed or deleted by a refusal.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be used at all.
    #[error("the data folder {} cannot be used: {what}", path.display())]
    Folder {
        /// The file or folder in question.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The data folder cannot be written.
    #[error("the data folder {} is read-only: mount it for writing or choose another folder", path.display())]
    ReadOnly {
        /// The data folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("there is no space left for the data folder {}: nothing was changed; make room and start again", path.display())]
    Full {
        /// The data folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process works on the data folder.
    #[error("the data folder {} is in use by {holder}: stop that process or choose another folder", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
        /// `pid N`, or that it is not known.
        holder: String,
    },
    /// The data folder was written by a newer build.
    #[error(
        "the data folder {} has format {found}, this build knows format {known}: start it with the newer build that wrote it",
        path.display()
    )]
    Newer {
        /// The data folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format of this build.
        known: u32,
    },
    /// The `VERSION` file says nothing known, or is missing beside a ledger.
    #[error("{} is not a data folder of Portcullis, or its VERSION file is damaged: {reason}", path.display())]
    Version {
        /// The data folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The store does not open.
    #[error(
        "the store in {} does not open. Nothing was changed. Keep a copy of the folder; if the disk is good and full space is not \
         the reason, restore the last backup and start once with the head file of this folder, which shows what is missing",
        path.display()
    )]
    Store {
        /// The store's folder.
        path: PathBuf,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// The keys cannot be used.
    #[error("the keys in {} cannot be used", path.display())]
    Keys {
        /// The folder of keys.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: VaultError,
    },
    /// The log ends before what the head file has seen.
    #[error(
        "the log of tenant {tenant} went back: the head file {} has seen entry {seen}, the store ends {end}. An older copy was \
         restored or entries were removed. Restore the newer copy, or accept the loss by starting once with `--adopt`",
        path.display()
    )]
    WentBack {
        /// The head file.
        path: PathBuf,
        /// Owner of the log.
        tenant: String,
        /// Last entry the head file knows.
        seen: u64,
        /// Where the store ends.
        end: String,
    },
    /// The log and the head file disagree on an entry.
    #[error(
        "the log of tenant {tenant} forked: entry {seq} is {found} in the store and {expected} in the head file {}. Two copies \
         were written apart, or an entry was changed. Keep both copies and compare exports of them",
        path.display()
    )]
    Forked {
        /// The head file.
        path: PathBuf,
        /// Owner of the log.
        tenant: String,
        /// The entry.
        seq: u64,
        /// Its hash in the store.
        found: Digest,
        /// Its hash in the head file.
        expected: Digest,
    },
    /// The last rows of the store contradict its own head.
    #[error("the log of tenant {tenant} is damaged: {reason}. Keep a copy of the folder and restore the last backup")]
    Damaged {
        /// Owner of the log.
        tenant: String,
        /// What is wrong.
        reason: String,
    },
    /// The head file is missing, damaged, or was not written with this folder's keys.
    #[error(
        "the head file {} {reason}; without it a log that went back cannot be noticed. Restore it, or take the log as it is by \
         starting once with `--adopt`",
        path.display()
    )]
    HeadFile {
        /// The head file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A thread could not be started.
    #[error("a thread of the ledger could not be started")]
    Thread(#[source] io::Error),
}

/// Why an entry was not recorded. Whatever it was for must not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The writer did not come to it in time, or too much is waiting. Nothing was recorded.
    #[error("the ledger is busy: {waiting} appends are waiting")]
    Busy {
        /// How many are waiting.
        waiting: usize,
    },
    /// The writer met an error and takes nothing until an operator has acted and the server was started again. Whether this
    /// very entry was recorded is not known.
    #[error("the ledger is closed after an error: {cause}")]
    Poisoned {
        /// The first error.
        cause: Arc<str>,
    },
    /// The ledger was closed in order. Nothing was recorded.
    #[error("the ledger is closed")]
    Closed,
    /// The draft does not make an entry.
    #[error("the entry cannot be recorded")]
    Entry(#[from] EntryError),
    /// An attachment is larger than it may be.
    #[error("{what} holds {length} bytes, at most {most} are allowed")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most it may hold.
        most: usize,
    },
    /// The key of a record is empty, too long or holds a NUL.
    #[error("a record's key takes 1 to 1024 bytes without NUL")]
    RecordKey,
    /// The tenant's keys cannot be used.
    #[error("the keys of tenant {tenant} cannot be used")]
    Keys {
        /// The tenant.
        tenant: Arc<str>,
        /// What is wrong.
        #[source]
        source: Arc<VaultError>,
    },
}

/// Why something could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error("the store could not be read")]
    Store(#[from] StoreError),
    /// What the store holds is not what was written.
    #[error("the store holds something damaged: {0}")]
    Damaged(String),
    /// The keys cannot be used.
    #[error("it could not be opened")]
    Keys(#[from] VaultError),
}

/// Why a log could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Reading the log failed.
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    /// Writing the export failed.
    #[error("the export could not be written")]
    Write(#[from] io::Error),
}
