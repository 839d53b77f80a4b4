use std::path::PathBuf;
use std::time::Duration;

/// How a ledger works. Everything but the folder has a default.
#[derive(Clone, Debug)]
pub struct LedgerConfig {
    /// The data folder. The ledger keeps `VERSION`, `LOCK`, `heads`, `keys/` and `ledger/` in it.
    pub folder: PathBuf,
    /// Bytes of the store's page cache; sled uses several times as much memory. Default 32 MiB.
    pub cache_bytes: u64,
    /// How long the writer waits for callers that were in the group before. Default 0.3 ms; a single caller never waits.
    pub gather: Duration,
    /// Most appends that may wait. Default 4096.
    pub queue: usize,
    /// Most bytes that may wait. Default 64 MiB.
    pub queue_bytes: usize,
    /// How long an append may wait for the writer before it is refused. Default 2 s.
    pub queue_wait: Duration,
    /// What is kept of arguments and results. Default: a commitment only.
    pub evidence: Evidence,
    /// Take the log as it is although the head file is missing or says otherwise. An operator's decision after a restore:
    /// what the head file knew is kept beside it under another name, and the log can no longer show what it lost.
    pub adopt: bool,
}

impl LedgerConfig {
    /// The defaults for one data folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            cache_bytes: 32 << 20,
            gather: Duration::from_micros(300),
            queue: 4096,
            queue_bytes: 64 << 20,
            queue_wait: Duration::from_secs(2),
            evidence: Evidence::Commitment,
            adopt: false,
        }
    }
}

/// What is kept of the payload that an entry commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Evidence {
    /// The salted commitment. Whoever holds the payload can have it checked while the tenant's key lives.
    #[default]
    Commitment,
    /// The commitment, and the canonical payload beside the log, encrypted under the tenant's key.
    Sealed,
}
