//! What the host keeps for one call of one plugin: the data of a wasmtime store, which lives as long as the call.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use portcullis_model::{Call, Digest, Document};
use uuid::Uuid;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store};
use wasmtime_wasi::WasiCtx;

use crate::answers::Answers;
use crate::engine::ticks;
use crate::files::Folders;
use crate::{Heard, LabelStore, Limits, Reach, StateStore, wasi};

/// Most tables and memories of one component.
const MAX_TABLES: usize = 50;
const MAX_MEMORIES: usize = 20;
/// Of its deadline a call keeps a tenth, and not more than this, to act upon an answer that did not come in time.
const MOST_RESERVED: Duration = Duration::from_millis(100);

/// What all calls of one loaded plugin share; never written.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) tenant: Arc<str>,
    pub(crate) limits: Limits,
    /// Whether WASI shows the time of the call.
    pub(crate) clock: bool,
    /// Whether WASI is linked.
    pub(crate) wasi: bool,
    pub(crate) folders: Folders,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) labels: Arc<dyn LabelStore>,
    /// What it reaches; none if nothing was granted that leads outside.
    pub(crate) reach: Option<Arc<dyn Reach>>,
    /// Whether its calls may wait for others.
    pub(crate) waits: bool,
}

/// The call at hand, as the capabilities see it.
pub(crate) struct Subject {
    pub(crate) id: Uuid,
    pub(crate) session: Option<Arc<str>>,
    pub(crate) payload: Arc<Document>,
    pub(crate) time_ms: u64,
    /// Answers that stand for asking others; none: they are asked.
    pub(crate) heard: Option<Arc<Heard>>,
    /// Whether what it is told is held in words.
    pub(crate) words: bool,
}

pub(crate) struct CallState {
    pub(crate) shared: Arc<Shared>,
    /// None while `configure` runs.
    pub(crate) subject: Option<Subject>,
    pub(crate) limiter: Limiter,
    pub(crate) host_calls_left: u32,
    /// Until when the host may wait for others on behalf of the call: epochs stop the guest only.
    until: Instant,
    /// What was read of granted folders while there was no call; none if nothing was.
    pub(crate) inputs: Option<Digest>,
    /// What it was told.
    pub(crate) answers: Answers,
    pub(crate) wasi: Option<Box<Wasi>>,
}

pub(crate) struct Wasi {
    pub(crate) context: WasiCtx,
    pub(crate) table: ResourceTable,
    /// Milliseconds that its clocks show.
    pub(crate) time: Arc<AtomicU64>,
}

impl Wasi {
    fn show(&self, time_ms: u64) {
        self.time.store(time_ms, Ordering::Relaxed);
    }
}

/// Why the host itself stopped a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("the plugin called the host more often than it may")]
    HostCalls,
    #[error("{0} is not there while the plugin is being configured")]
    NotInConfigure(&'static str),
    #[error("the plugin tried to wait")]
    Waited,
}

impl Subject {
    pub(crate) fn of(call: &Call, heard: Option<&Arc<Heard>>, words: bool) -> Self {
        Self {
            id: call.id,
            session: call.session.clone(),
            payload: call.payload.clone(),
            time_ms: call.time_ms,
            heard: heard.cloned(),
            words,
        }
    }
}

impl CallState {
    /// The state of an instance that has no call yet.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            subject: None,
            limiter: Limiter::new(&shared.limits),
            host_calls_left: shared.limits.host_calls,
            until: Instant::now(),
            inputs: None,
            answers: Answers::default(),
            wasi: shared.wasi.then(|| Box::new(wasi::context())),
            shared: shared.clone(),
        }
    }

    /// A store of its own, with the limits of a call.
    pub(crate) fn into_store(mut self, engine: &Engine, fuel: u64, deadline_ms: u64) -> wasmtime::Result<Store<Self>> {
        self.until = until(deadline_ms);
        let output = self.shared.limits.output;
        let mut store = Store::new(engine, self);
        store.limiter(|state| &mut state.limiter);
        store.set_fuel(fuel)?;
        store.set_epoch_deadline(ticks(deadline_ms));
        store.set_hostcall_fuel(output);
        Ok(store)
    }

    /// From here on the instance works for this call, which must be over in so many milliseconds, with a call's host calls;
    /// WASI shows its time if the clock is granted.
    pub(crate) fn begin(&mut self, subject: Subject, left_ms: u64) {
        self.until = until(left_ms);
        // What was refused to an earlier call, or while it was configured, is not this call's fault.
        self.limiter.refused = false;
        self.host_calls_left = self.shared.limits.host_calls;
        self.answers = Answers::new(subject.words);
        if let Some(wasi) = self.wasi.as_ref().filter(|_| self.shared.clock) {
            wasi.show(subject.time_ms);
        }
        self.subject = Some(subject);
    }

    /// Every capability counts its calls here first.
    pub(crate) fn enter(&mut self) -> Result<(), Stop> {
        self.host_calls_left = self.host_calls_left.checked_sub(1).ok_or(Stop::HostCalls)?;
        Ok(())
    }

    /// How long the host may wait for others now.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// The ways outside, for a call at hand; `what` was asked for.
    pub(crate) fn reach(&self, what: &'static str) -> Result<Arc<dyn Reach>, Stop> {
        self.subject(what)?;
        // Linked only where something was granted, and then it is there.
        self.shared.reach.clone().ok_or(Stop::NotInConfigure(what))
    }

    /// Answers that stand for asking others in the call at hand.
    pub(crate) fn heard(&self) -> Option<Arc<Heard>> {
        self.subject.as_ref()?.heard.clone()
    }

    /// The call at hand; `what` was asked for.
    pub(crate) fn subject(&self, what: &'static str) -> Result<&Subject, Stop> {
        self.subject.as_ref().ok_or(Stop::NotInConfigure(what))
    }
}

/// Until when the host may wait for others, if all must be over in so many milliseconds: some are left to act upon an answer
/// that did not come.
fn until(left_ms: u64) -> Instant {
    let left = Duration::from_millis(left_ms);
    Instant::now() + left.saturating_sub(MOST_RESERVED.min(left / 10))
}

/// Counts memory, tables and instances of one call.
pub(crate) struct Limiter {
    memory: usize,
    table_elements: usize,
    instances: usize,
    /// Bytes of all memories now; they never shrink, so this is the peak too.
    used: usize,
    /// Bytes of the growth that was allowed last, taken back if it fails.
    last: usize,
    /// Whether something was refused.
    refused: bool,
}

impl Limiter {
    fn new(limits: &Limits) -> Self {
        Self {
            memory: limits.memory,
            table_elements: limits.table_elements,
            instances: limits.instances,
            used: 0,
            last: 0,
            refused: false,
        }
    }

    pub(crate) fn peak(&self) -> u64 {
        self.used as u64
    }

    pub(crate) fn refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let fits = self.used.saturating_add(more) <= self.memory;
        if fits {
            self.used += more;
            self.last = more;
        } else {
            self.refused = true;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.last));
        self.refused = true;
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_elements;
        self.refused |= !fits;
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

/// Runs a future that never waits: nothing a plugin can reach does. None if it wanted to wait all the same.
pub(crate) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryLabels, MemoryState};

    fn state(limits: Limits) -> CallState {
        let shared = Shared {
            name: "p".into(),
            tenant: "acme".into(),
            limits,
            clock: false,
            wasi: false,
            folders: Folders::open(&[]).unwrap(),
            state: Arc::new(MemoryState::default()),
            labels: Arc::new(MemoryLabels::default()),
            reach: None,
            waits: false,
        };
        CallState::new(&Arc::new(shared))
    }

    fn subject() -> Subject {
        let payload = Arc::new(Document::empty());
        Subject { id: Uuid::nil(), session: None, payload, time_ms: 0, heard: None, words: false }
    }

    #[test]
    fn memory_that_was_refused_to_one_call_is_no_fault_of_the_next() {
        let mut state = state(Limits::default());
        state.begin(subject(), 1_000);
        assert!(!state.limiter.memory_growing(0, usize::MAX, None).unwrap());
        assert!(state.limiter.refused());
        state.begin(subject(), 1_000);
        assert!(!state.limiter.refused());
    }

    #[test]
    fn the_host_waits_for_others_for_a_tenth_less_than_the_deadline() {
        let mut state = state(Limits::default());
        for (left_ms, most) in [(1_000, 900), (10, 9), (60_000, 59_900), (0, 0)] {
            state.begin(subject(), left_ms);
            assert!(state.left() <= Duration::from_millis(most), "{left_ms}: {:?}", state.left());
        }
    }
}
