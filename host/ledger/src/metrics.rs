use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets of a histogram; bucket `n` counts what took less than 2^n microseconds.
const BUCKETS: usize = 24;

/// What the ledger has done since it was opened.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Entries made durable.
    pub entries: u64,
    /// Bytes of these entries.
    pub entry_bytes: u64,
    /// Groups written.
    pub groups: u64,
    /// Appends refused because the ledger was busy.
    pub refused: u64,
    /// Kept answers removed after their time.
    pub expired: u64,
    /// Appends waiting now.
    pub waiting: u64,
    /// Bytes waiting now.
    pub waiting_bytes: u64,
    /// Bytes of the store on the disk.
    pub store_bytes: u64,
    /// Tenants with a log.
    pub tenants: u64,
    /// Whether appends are taken.
    pub healthy: bool,
    /// From the start of a group's commit until it is durable.
    pub commit: Histogram,
    /// The last step of a commit alone: `fdatasync`.
    pub sync: Histogram,
    /// From the call of an append until its answer.
    pub append: Histogram,
}

/// Times in buckets of powers of two.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Upper bounds in seconds and how many were at most that long, cumulative.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// Their sum in seconds.
    pub sum_seconds: f64,
}

/// A histogram that is still counting.
#[derive(Default)]
pub(crate) struct Timer {
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Timer {
    /// Counts one.
    pub(crate) fn count(&self, micros: u64) {
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        if let Some(bucket) = self.buckets.get(bucket).or(self.buckets.last()) {
            bucket.fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(micros, Relaxed);
    }

    /// What was counted.
    #[allow(clippy::cast_precision_loss, reason = "seconds for a graph")]
    pub(crate) fn read(&self) -> Histogram {
        let mut count = 0;
        let buckets = self.buckets.iter().zip(0_i32..).map(|(bucket, power)| {
            count += bucket.load(Relaxed);
            (2_f64.powi(power) / 1e6, count)
        });
        let buckets = buckets.collect();
        Histogram { buckets, count, sum_seconds: self.micros.load(Relaxed) as f64 / 1e6 }
    }
}

/// What is counted while the ledger works.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) entries: AtomicU64,
    pub(crate) entry_bytes: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) commit: Timer,
    pub(crate) sync: Timer,
    pub(crate) append: Timer,
}
