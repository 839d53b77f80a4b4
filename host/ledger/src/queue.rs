//! What waits for the writer: bounded in number, bytes and time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use portcullis_model::EntryBody;

use crate::error::AppendError;
use crate::ledger::Receipt;
use crate::store::Batch;
use crate::tenants::Tenant;

/// Most jobs of one group.
pub(crate) const GROUP_JOBS: usize = 256;
/// Bytes after which a group takes no further job.
const GROUP_BYTES: usize = 1 << 20;

/// One thing to be made durable.
pub(crate) struct Job {
    /// What it is.
    pub(crate) work: Work,
    /// What goes into the same batch.
    pub(crate) beside: Batch,
    /// About how many bytes it takes.
    pub(crate) size: usize,
    /// When it came.
    pub(crate) queued: Instant,
}

/// What a job is about.
pub(crate) enum Work {
    /// An entry, its sealed evidence, and who waits for its receipt.
    Entry {
        tenant: Arc<Tenant>,
        time_ms: u64,
        body: EntryBody,
        evidence: Option<Vec<u8>>,
        answer: oneshot::Sender<Result<Receipt, AppendError>>,
    },
    /// Only what is beside.
    Writes {
        /// Who waits, if somebody does.
        answer: Option<oneshot::Sender<Result<(), AppendError>>>,
    },
}

impl Job {
    /// Answers that it was not done.
    pub(crate) fn refuse(self, error: AppendError) {
        // Whoever does not wait any more needs no answer.
        match self.work {
            Work::Entry { answer, .. } => drop(answer.send(Err(error))),
            Work::Writes { answer: Some(answer) } => drop(answer.send(Err(error))),
            Work::Writes { answer: None } => {}
        }
    }
}

/// Bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) jobs: usize,
    pub(crate) bytes: usize,
    pub(crate) wait: Duration,
}

/// The queue.
pub(crate) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    ready: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// Why nothing is taken any more.
    closed: Option<AppendError>,
    /// With how many jobs the writer wants to be woken.
    wake_at: usize,
}

/// What the writer gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Jobs to write.
    Jobs,
    /// Nothing came in the given time.
    Idle,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let state = State { jobs: VecDeque::new(), bytes: 0, closed: None, wake_at: usize::MAX };
        Self { bounds, state: Mutex::new(state), ready: Condvar::new() }
    }

    /// Adds a job.
    pub(crate) fn push(&self, job: Job) -> Result<(), AppendError> {
        let mut state = self.state();
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        // One job is always taken, however large it is.
        let full = state.jobs.len() >= self.bounds.jobs || state.bytes + job.size > self.bounds.bytes;
        if full && !state.jobs.is_empty() {
            let waiting = state.jobs.len();
            return Err(AppendError::Busy { waiting });
        }
        state.bytes += job.size;
        state.jobs.push_back(job);
        let wake = state.jobs.len() >= state.wake_at;
        if wake {
            state.wake_at = usize::MAX;
        }
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits for jobs and moves one group of them to `out`.
    ///
    /// `expected` is how many were in the last group: fewer than that are given `gather` to come together. With one caller
    /// that is one, so that it never waits.
    pub(crate) fn take(&self, out: &mut Vec<Job>, expected: usize, gather: Duration, idle: Duration) -> Taken {
        let mut state = self.state();
        if state.jobs.is_empty() {
            if state.closed.is_some() {
                return Taken::Closed;
            }
            state = self.wait(state, 1, idle);
            if state.jobs.is_empty() {
                return if state.closed.is_some() { Taken::Closed } else { Taken::Idle };
            }
        }
        let wanted = expected.min(GROUP_JOBS);
        if state.jobs.len() < wanted && state.closed.is_none() && !gather.is_zero() {
            state = self.wait(state, wanted, gather);
        }
        let mut bytes = 0;
        while out.len() < GROUP_JOBS && bytes < GROUP_BYTES {
            let Some(job) = state.jobs.pop_front() else { break };
            bytes += job.size;
            out.push(job);
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        if out.is_empty() { Taken::Idle } else { Taken::Jobs }
    }

    /// Refuses what has waited too long, after counting it.
    pub(crate) fn expire(&self, refused: &AtomicU64) {
        let Some(limit) = Instant::now().checked_sub(self.bounds.wait) else { return };
        let mut late = Vec::new();
        let mut state = self.state();
        let waiting = state.jobs.len();
        while state.jobs.front().is_some_and(|job| job.queued < limit) {
            let Some(job) = state.jobs.pop_front() else { break };
            state.bytes = state.bytes.saturating_sub(job.size);
            late.push(job);
        }
        drop(state);
        refused.fetch_add(late.len() as u64, Ordering::Relaxed);
        let unasked = late.iter().filter(|job| matches!(job.work, Work::Writes { answer: None })).count();
        if unasked > 0 {
            tracing::warn!(records = unasked, "records of plugins were not kept: the disk is too slow");
        }
        late.into_iter().for_each(|job| job.refuse(AppendError::Busy { waiting }));
    }

    /// Takes no further job. What waits is still written.
    pub(crate) fn close(&self) {
        self.state().closed.get_or_insert(AppendError::Closed);
        self.ready.notify_all();
    }

    /// Takes no further job and refuses all that wait.
    pub(crate) fn poison(&self, error: &AppendError) {
        let mut state = self.state();
        state.closed = Some(error.clone());
        state.bytes = 0;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.ready.notify_all();
        jobs.into_iter().for_each(|job| job.refuse(error.clone()));
    }

    /// Why nothing is taken any more.
    pub(crate) fn closed(&self) -> Option<AppendError> {
        self.state().closed.clone()
    }

    /// Jobs and bytes that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.jobs.len(), state.bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock, so that a poisoned lock holds a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, jobs: usize, time: Duration) -> MutexGuard<'a, State> {
        state.wake_at = jobs;
        let enough = |state: &mut State| state.jobs.len() < jobs && state.closed.is_none();
        let (mut state, _) = self.ready.wait_timeout_while(state, time, enough).unwrap_or_else(PoisonError::into_inner);
        state.wake_at = usize::MAX;
        state
    }
}
