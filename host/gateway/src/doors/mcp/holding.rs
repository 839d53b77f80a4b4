//! Parked calls whose clients wait for the decision: how long, how many, and how the clients are told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_approvals::Approval;
use portcullis_model::{Kind, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::envelope::{Frame, Id, Shape};
use super::places::{Place, Places};
use super::sealed::Seal;
use crate::ports::AgentIdentity;

/// The extension by which a client gets a task in place of a result.
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";
/// Methods whose answer may ask the client for something, in the revision without sessions.
const MAY_ASK: &[&str] = &["tools/call", "prompts/get", "resources/read"];
/// Room is counted in pieces of this many bytes.
const STEP: usize = 1024;
/// Between two progress values that Portcullis tells: the upstream's own, which come later, are larger.
const PROGRESS: f64 = 1e-6;

/// Bounds of calls that wait for a person's decision.
#[derive(Clone, Debug)]
pub struct HoldLimits {
    /// How long the answer to a parked call is held open; zero: it is answered at once. A task waits up to its deadline.
    pub wait: Duration,
    /// How many at once.
    pub calls: usize,
    /// Of these for one agent.
    pub calls_per_agent: usize,
    /// Bytes of all their messages.
    pub bytes: usize,
    /// How long the result of a task is kept after its end.
    pub results: Duration,
    /// Bytes of all results that are kept.
    pub result_bytes: usize,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self {
            // Many clients give up after a minute, and that cancels the call.
            wait: Duration::from_secs(45),
            calls: 1024,
            calls_per_agent: 64,
            bytes: 64 * 1024 * 1024,
            results: Duration::from_secs(15 * 60),
            result_bytes: 64 * 1024 * 1024,
        }
    }
}

/// How people are led to a parked call, and how the way back is kept.
#[derive(Clone, Default)]
pub struct Asking {
    /// An address where people decide, with `{id}` in the place of the approval's id. None: clients are not asked to open
    /// one.
    pub address: Option<String>,
    /// Seals what a client keeps for us.
    pub seal: Seal,
}

/// What all conversations of a door share.
pub(crate) struct Holds {
    pub(super) limits: HoldLimits,
    pub(super) asking: Asking,
    places: Arc<Places>,
    room: Arc<Semaphore>,
    /// Set when the door stops: nobody is held any more.
    stopping: watch::Sender<bool>,
    /// Touched when agents may have been halted or removed.
    pub(super) policy: watch::Sender<()>,
}

/// What a held call takes. Given back when this goes.
pub(crate) struct HoldPlace {
    _place: Place,
    _room: OwnedSemaphorePermit,
}

/// What a client can do with a call that waits for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    /// It takes a task in place of a result.
    pub(crate) tasks: bool,
    /// It lets its user open an address, and comes back.
    pub(crate) address: bool,
}

/// How a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Its answer is held open.
    Open,
    /// It got a task and asks again.
    Task,
}

/// A call that begins to wait, as the transport needs to know it.
#[derive(Clone, Debug)]
pub(crate) struct Parked {
    pub(crate) way: Way,
    pub(crate) id: Id,
    pub(crate) approval: Arc<Approval>,
    pub(crate) progress: Progress,
}

/// Signs of life for a client that wants them.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    token: Option<Id>,
    approval: String,
    count: u32,
}

impl Holds {
    pub(super) fn new(limits: HoldLimits, asking: Asking, policy: watch::Sender<()>) -> Arc<Self> {
        let places = Places::new(limits.calls, limits.calls_per_agent);
        let room = Arc::new(Semaphore::new(limits.bytes / STEP));
        Arc::new(Self { limits, asking, places, room, stopping: watch::Sender::new(false), policy })
    }

    /// Whether any call is held.
    pub(super) fn on(&self) -> bool {
        !self.limits.wait.is_zero() && !*self.stopping.borrow()
    }

    /// A place for a call whose message has so many bytes.
    pub(super) fn take(&self, agent: &AgentIdentity, bytes: usize) -> Option<HoldPlace> {
        let place = self.places.take(agent).ok()?;
        let steps = u32::try_from(bytes.div_ceil(STEP)).ok()?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(steps).ok()?;
        Some(HoldPlace { _place: place, _room: room })
    }

    /// Nobody is held from now on.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Ready when nobody is held any more.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        let _stopped = stopping.wait_for(|stopping| *stopping).await;
    }
}

impl Offers {
    pub(super) fn of(frame: &Frame) -> Self {
        let Shape::Request { method, .. } = frame.shape() else { return Self::default() };
        let Some(capabilities) = frame.stated_version().and_then(|_| frame.capabilities()) else {
            return Self::default();
        };
        let has = |inside: Option<Value<'_>>, name| {
            inside.and_then(|inside| inside.get(name)).is_some_and(|value| value.kind() == Kind::Object)
        };
        Self {
            tasks: has(capabilities.get("extensions"), TASKS),
            address: MAY_ASK.contains(&&**method) && has(capabilities.get("elicitation"), "url"),
        }
    }
}

impl Progress {
    pub(super) fn new(frame: &Frame, approval: &Approval) -> Self {
        Self { token: frame.offered_token(), approval: approval.id.to_string(), count: 0 }
    }

    /// The next sign of life; none if the client did not ask for any.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let token = self.token.as_ref()?;
        self.count = self.count.saturating_add(1);
        let value = f64::from(self.count) * PROGRESS;
        // By hand: the token goes out as it came in, whatever number it is.
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{value},"message":"waiting for approval {}"}}}}"#,
            self.approval
        );
        Some(message.into())
    }
}
