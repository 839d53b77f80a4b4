use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use portcullis_model::{Digest, Entry, EntryError, leaf_hash};

use crate::{Fault, FaultKind, Head, Report};

/// Fewest entries for which a second thread is worth its start.
const WORTH_A_THREAD: usize = 512;

/// Takes the entries of one log in order. The first fault ends it; what follows is not looked at.
#[derive(Debug)]
pub struct Verifier {
    report: Report,
    /// The number the next entry must carry.
    seq: u64,
    /// What the next entry must name as the one before.
    prev: Digest,
    scratch: Vec<u8>,
}

/// What one entry says of itself, however it is linked.
struct Seen {
    tenant: Arc<str>,
    seq: u64,
    prev: Digest,
    hash: Digest,
    bytes: usize,
}

impl Verifier {
    /// From the first entry of a log. Without a tenant, the first entry names it.
    #[must_use]
    pub fn new(tenant: Option<&str>) -> Self {
        Self::from(tenant, 0, Digest::default())
    }

    /// From the middle of a log: `seq` is the first number, `prev` the leaf hash of the entry before it.
    #[must_use]
    pub fn from(tenant: Option<&str>, seq: u64, prev: Digest) -> Self {
        let report = Report {
            tenant: tenant.map(Arc::from),
            first_seq: seq,
            entries: 0,
            bytes: 0,
            head: None,
            head_checked: false,
            fault: None,
        };
        Self { report, seq, prev, scratch: Vec::new() }
    }

    /// Takes the next entry; false from the first fault on.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        if self.report.fault.is_some() {
            return false;
        }
        let seen = look(bytes, &mut self.scratch);
        self.link(seen)
    }

    /// Takes the next entries, on all cores if they are many; false from the first fault on.
    pub fn push_all<B: AsRef<[u8]> + Sync>(&mut self, rows: &[B]) -> bool {
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(rows.len() / WORTH_A_THREAD);
        if cores < 2 {
            return rows.iter().all(|row| self.push(row.as_ref()));
        }
        if self.report.fault.is_some() {
            return false;
        }
        let part = rows.len().div_ceil(cores);
        let seen: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = rows
                .chunks(part)
                .map(|rows| {
                    scope.spawn(move || {
                        let mut scratch = Vec::new();
                        rows.iter().map(|row| look(row.as_ref(), &mut scratch)).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for part in seen {
            let Ok(part) = part else {
                return self.fail(FaultKind::Entry { reason: "the verifier itself failed".to_owned() });
            };
            if !part.into_iter().all(|seen| self.link(seen)) {
                return false;
            }
        }
        true
    }

    /// Compares the last entry with a head from elsewhere, after all entries.
    pub fn expect_head(&mut self, head: &Head) -> bool {
        self.report.head_checked = true;
        if self.report.fault.is_some() {
            return false;
        }
        if let Some(tenant) = &self.report.tenant
            && *tenant != head.tenant
        {
            return self.fail(FaultKind::HeadTenant { found: Arc::clone(&head.tenant) });
        }
        if self.report.head.as_ref().map(|last| last.seq) != Some(head.seq) {
            return self.fail(FaultKind::Length { head_seq: head.seq });
        }
        if self.prev != head.hash {
            self.seq = head.seq;
            return self.fail(FaultKind::Head { expected: head.hash, found: self.prev });
        }
        true
    }

    /// Expects a log without entries: its end says that there are none.
    pub fn expect_nothing(&mut self) -> bool {
        self.report.head_checked = true;
        if self.report.fault.is_some() {
            return false;
        }
        self.report.entries == 0 || self.fail(FaultKind::NotEmpty)
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Report {
        self.report
    }

    fn link(&mut self, seen: Result<Seen, EntryError>) -> bool {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => return self.fail(error.into()),
        };
        match &self.report.tenant {
            Some(expected) if *expected != seen.tenant => {
                let expected = Arc::clone(expected);
                return self.fail(FaultKind::Tenant { expected, found: seen.tenant });
            }
            Some(_) => {}
            None => self.report.tenant = Some(Arc::clone(&seen.tenant)),
        }
        if seen.seq != self.seq {
            return self.fail(FaultKind::Seq { found: seen.seq });
        }
        if seen.prev != self.prev {
            return self.fail(FaultKind::Prev { expected: self.prev, found: seen.prev });
        }
        self.report.entries += 1;
        self.report.bytes += seen.bytes as u64;
        match &mut self.report.head {
            Some(head) => (head.seq, head.hash) = (seen.seq, seen.hash),
            None => self.report.head = Some(Head { tenant: seen.tenant, seq: seen.seq, hash: seen.hash }),
        }
        self.seq = seen.seq.wrapping_add(1);
        self.prev = seen.hash;
        true
    }

    fn fail(&mut self, kind: FaultKind) -> bool {
        self.report.fault = Some(Fault { seq: self.seq, kind });
        false
    }
}

fn look(bytes: &[u8], scratch: &mut Vec<u8>) -> Result<Seen, EntryError> {
    let entry = Entry::decode_with(bytes, scratch)?;
    Ok(Seen { tenant: entry.tenant, seq: entry.seq, prev: entry.prev, hash: leaf_hash(bytes), bytes: bytes.len() })
}
