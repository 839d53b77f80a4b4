//! The one writer: numbers, chains and stores what waits, group by group. And its keeper, a second thread that writes
//! the head file and refuses what has waited too long, so that neither depends on the disk being quick.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use futures_channel::oneshot;
use portcullis_model::{Digest, leaf_hash};

use crate::error::AppendError;
use crate::heads::{HeadFile, Heads};
use crate::layout::{self, TenantId};
use crate::ledger::Receipt;
use crate::metrics::Counters;
use crate::queue::{Job, Queue, Taken, Work};
use crate::rows::Bundle;
use crate::store::{Batch, Store, StoreError, piece};
use crate::tenants::{Tail, Tenant, Tenants};
use crate::vault::Vault;

/// Error numbers of Linux: the process, or the system, has too many open files.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
/// How often the keeper looks.
const TICK: Duration = Duration::from_millis(100);
/// How often the head file is written at most, and expired answers are looked for.
const SECOND: Duration = Duration::from_secs(1);
/// Most expired answers removed in a small group.
const EXPIRED_AT_ONCE: usize = 256;
/// A group that takes longer than this makes the ledger unhealthy until it ends.
const STALL: Duration = Duration::from_secs(5);

/// What writer, keeper and callers share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vault: Vault,
    pub(crate) tenants: Tenants,
    pub(crate) queue: Queue,
    pub(crate) heads: HeadFile,
    pub(crate) counters: Counters,
    pub(crate) gather: Duration,
    pub(crate) stalled: AtomicBool,
    /// Milliseconds since `opened` at which the present group was begun, plus one; 0 while there is none.
    pub(crate) busy_since: AtomicU64,
    pub(crate) opened: Instant,
    pub(crate) ended: Mutex<Ended>,
}

/// Whether the writer has ended, and who waits for that.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) done: bool,
    pub(crate) waiting: Vec<oneshot::Sender<()>>,
}

impl Shared {
    /// Takes no further appends and says why to all that wait.
    pub(crate) fn poison(&self, cause: &str) {
        tracing::error!(cause, "the ledger takes no further entries until it is opened again");
        self.queue.poison(&AppendError::Poisoned { cause: cause.into() });
    }
}

/// Works until the queue is closed, and leaves everything durable.
pub(crate) fn run(shared: &Shared) {
    let stop = Stop::default();
    thread::scope(|scope| {
        scope.spawn(|| keep(shared, &stop));
        let work = AssertUnwindSafe(|| Writer::new(shared).run());
        if panic::catch_unwind(work).is_err() {
            shared.poison("the writer panicked");
        }
        stop.set();
    });
    let mut ended = shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
    ended.done = true;
    for waiting in ended.waiting.drain(..) {
        // Whoever does not wait any more needs no answer.
        let _ = waiting.send(());
    }
}

struct Writer<'a> {
    shared: &'a Shared,
    /// Where the bundle of a tenant stands in `open`, for the present group.
    index: HashMap<TenantId, usize>,
    open: Vec<Open>,
    /// When expired answers were last looked for, and whether some were left.
    pruned: Instant,
    behind: bool,
}

/// One tenant's part of a group.
struct Open {
    tenant: Arc<Tenant>,
    bundle: Bundle,
    tail: Tail,
}

/// Who waits for an entry of the group, and with what it will be answered.
struct Waiting {
    answer: oneshot::Sender<Result<Receipt, AppendError>>,
    receipt: Receipt,
    queued: Instant,
}

impl<'a> Writer<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self { shared, index: HashMap::new(), open: Vec::new(), pruned: Instant::now(), behind: false }
    }

    fn run(mut self) {
        let mut jobs = Vec::new();
        let mut expected = 1;
        loop {
            match self.shared.queue.take(&mut jobs, expected, self.shared.gather, SECOND) {
                Taken::Jobs => expected = jobs.len(),
                Taken::Idle => expected = 1,
                Taken::Closed => return,
            }
            let since = u64::try_from(self.shared.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.shared.busy_since.store(since.saturating_add(1), Relaxed);
            let result = self.group(&mut jobs);
            self.shared.busy_since.store(0, Relaxed);
            if let Err(error) = result {
                self.shared.poison(&error.to_string());
                return;
            }
        }
    }

    /// Writes one group and answers it.
    fn group(&mut self, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        // First, so that an answer kept anew in this very group stays.
        let expired = self.prune(&mut batch, jobs.len())?;
        let mut entries = Vec::with_capacity(jobs.len());
        let mut writes = Vec::new();
        let mut bytes = 0;
        for job in jobs.drain(..) {
            let Job { work, mut beside, queued, .. } = job;
            batch.writes.append(&mut beside.writes);
            match work {
                Work::Entry { tenant, time_ms, body, evidence, answer } => {
                    let seq = tenant.placed().map_or(0, |(seq, _)| seq.saturating_add(1));
                    let prev = tenant.placed().map_or(Digest::default(), |(_, hash)| hash);
                    let open = self.open(&tenant, seq, body.size(), &mut batch);
                    let Some(open) = open else { continue };
                    let placed = open.bundle.push(|out| body.write(seq, &prev, out));
                    let range = placed.map_err(|error| StoreError::new("encoding an entry", error))?;
                    bytes += range.len() as u64;
                    let hash = leaf_hash(open.bundle.bytes(range));
                    open.tail = (seq, hash);
                    tenant.place(open.tail);
                    if let Some(evidence) = evidence {
                        batch.put_long(&layout::evidence(tenant.id, seq), &evidence);
                    }
                    let receipt = Receipt { tenant: Arc::clone(&tenant.name), seq, hash, time_ms };
                    entries.push(Waiting { answer, receipt, queued });
                }
                Work::Writes { answer } => writes.extend(answer),
            }
        }
        let mut heads = Vec::with_capacity(self.open.len());
        self.index.clear();
        for Open { tenant, bundle, tail } in self.open.drain(..) {
            let (seq, hash) = tail;
            batch.put(layout::head(tenant.id), [&seq.to_be_bytes()[..], &hash.0, tenant.name.as_bytes()].concat());
            let (key, value) = bundle.into_pair(tenant.id);
            batch.put(key, value);
            heads.push((tenant, tail));
        }
        let changes = batch.resolve(&*self.shared.store)?;
        if changes.is_empty() {
            writes.into_iter().for_each(|waiting| drop(waiting.send(Ok(()))));
            return Ok(());
        }
        let start = Instant::now();
        let commit = match self.shared.store.commit(changes) {
            Ok(commit) => commit,
            Err(error) => {
                // Nothing that was not synced may be answered as recorded, and nothing may come after it.
                let answer = AppendError::Poisoned { cause: error.to_string().into() };
                self.shared.queue.poison(&answer);
                entries.into_iter().for_each(|waiting| drop(waiting.answer.send(Err(answer.clone()))));
                writes.into_iter().for_each(|waiting| drop(waiting.send(Err(answer.clone()))));
                return Err(error);
            }
        };
        let counters = &self.shared.counters;
        counters.commit.count(micros(start));
        counters.sync.count(commit.sync_micros);
        counters.groups.fetch_add(1, Relaxed);
        counters.entries.fetch_add(entries.len() as u64, Relaxed);
        counters.entry_bytes.fetch_add(bytes, Relaxed);
        counters.expired.fetch_add(expired, Relaxed);
        heads.into_iter().for_each(|(tenant, tail)| tenant.publish(tail));
        for Waiting { answer, receipt, queued } in entries {
            counters.append.count(micros(queued));
            // Whoever does not wait any more needs no answer.
            let _ = answer.send(Ok(receipt));
        }
        writes.into_iter().for_each(|waiting| drop(waiting.send(Ok(()))));
        Ok(())
    }

    /// The tenant's open bundle with room for another entry.
    fn open(&mut self, tenant: &Arc<Tenant>, seq: u64, size: usize, batch: &mut Batch) -> Option<&mut Open> {
        let index = *self.index.entry(tenant.id).or_insert_with(|| {
            let tail = (seq, Digest::default());
            self.open.push(Open { tenant: Arc::clone(tenant), bundle: Bundle::new(seq), tail });
            self.open.len() - 1
        });
        let open = self.open.get_mut(index)?;
        if open.bundle.is_full_for(size) {
            let full = std::mem::replace(&mut open.bundle, Bundle::new(seq));
            let (key, value) = full.into_pair(tenant.id);
            batch.put(key, value);
        }
        Some(open)
    }

    /// Adds the removal of kept answers whose time is over: a bounded number once in a second, or with every group of
    /// `jobs` while there are more, and then more than the group can add.
    fn prune(&mut self, batch: &mut Batch, jobs: usize) -> Result<u64, StoreError> {
        if !self.behind && self.pruned.elapsed() < SECOND {
            return Ok(0);
        }
        self.pruned = Instant::now();
        let most = EXPIRED_AT_ONCE.max(jobs.saturating_mul(2));
        let store = &*self.shared.store;
        let mut keys = Vec::new();
        let end = [layout::EXPIRIES, &now_ms().to_be_bytes()].concat();
        store.scan(layout::EXPIRIES, &end, &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.behind = keys.len() >= most;
        for key in &keys {
            if let Some((time_ms, tenant, id)) = layout::parse_expiry(key) {
                let answer = layout::answer(tenant, id);
                // An answer that was kept again in the meantime has another end.
                let first = store.get(&piece(&answer, 0))?;
                let end = first.as_deref().and_then(|first| first.get(8..16)?.try_into().ok()).map(u64::from_be_bytes);
                if end == Some(time_ms) {
                    batch.clear_long(&answer);
                }
            }
            batch.remove(key.clone());
        }
        Ok(keys.len() as u64)
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Tells the keeper to end.
#[derive(Default)]
struct Stop {
    set: Mutex<bool>,
    told: Condvar,
}

impl Stop {
    fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }

    /// Waits; true if it is time to end.
    fn wait(&self, time: Duration) -> bool {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        *self.told.wait_timeout_while(set, time, |set| !*set).unwrap_or_else(PoisonError::into_inner).0
    }
}

fn keep(shared: &Shared, stop: &Stop) {
    let mut written = Heads::new();
    let mut when: Option<Instant> = None;
    loop {
        let last = stop.wait(TICK);
        shared.queue.expire(&shared.counters.refused);
        let since = shared.busy_since.load(Relaxed);
        let now = u64::try_from(shared.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let stalled = since != 0 && u128::from(now.saturating_sub(since)) > STALL.as_millis();
        shared.stalled.store(stalled, Relaxed);
        if last || when.is_none_or(|when| when.elapsed() >= SECOND) {
            // Everything in these heads is durable already.
            let heads = shared.tenants.heads();
            if heads != written || when.is_none() {
                if let Err(error) = shared.heads.write(&shared.vault, &heads) {
                    // Too many open files is what a crowd of clients can bring about, and passes; what is durable stays so.
                    if !last && error.raw_os_error().is_some_and(|code| [EMFILE, ENFILE].contains(&code)) {
                        tracing::warn!(%error, "the head file could not be written and is tried again");
                        continue;
                    }
                    shared.poison(&format!("writing the head file: {error}"));
                    return;
                }
                written = heads;
                when = Some(Instant::now());
            }
        }
        if last {
            return;
        }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
