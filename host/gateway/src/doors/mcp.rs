//! Model Context Protocol: Streamable HTTP in front of HTTP and stdio servers, and stdio in front of stdio.
//!
//! The revisions with sessions (2024-11-05 to 2025-11-25) and the one without (2026-07-28) are spoken here. What no policy changes goes on byte for byte.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::Request;
use portcullis_model::Outcome;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use crate::gate::Gate;
use crate::http::{BODY_ROOM, BodyRoom, Mount, PeerInfo, Reply, RequestBody};
use crate::metrics::Metrics;
use crate::ports::AgentIdentity;
use crate::upstream::http::{HttpClient, Waits};
use crate::upstream::supervisor::Supervisor;
use crate::upstream::{Restarts, Upstreams, Withholds};
use federation::session::Federations;
use holding::Holds;
use places::Places;
use sessions::Sessions;
use shared::Shared;
use tasks::Tasks;

mod answers;
mod bridge;
mod changes;
mod envelope;
mod federation;
mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod held;
mod holding;
mod inspector;
mod listing;
mod looking;
mod mailbox;
mod pace;
mod places;
mod queue;
mod relay;
mod remap;
mod sealed;
mod sessions;
mod shared;
mod sse;
mod start;
mod stateless;
mod tasks;
mod wrap;

#[cfg(test)]
mod tests;

pub use holding::{Asking, HoldLimits};
pub use sealed::Seal;
pub use wrap::{WrapError, Wrapping, wrap};

/// Where all paths of this door begin.
const PREFIX: &str = "/mcp";
/// How often it is looked whether calls are still in flight when the server drains.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the closing itself may take then; of a short drain, a third, but as long as it takes to record what was cut.
const DRAIN_CLOSE: Duration = Duration::from_secs(5);
const DRAIN_CLOSE_LEAST: Duration = Duration::from_secs(2);
/// How often idle sessions are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Bounds of the door. Everything that a client or an upstream could let grow has one.
#[derive(Clone, Debug)]
pub struct McpLimits {
    /// Bytes of one message, in either direction.
    pub message: usize,
    /// Requests in flight per session.
    pub in_flight: usize,
    /// HTTP exchanges at once, open streams included.
    pub exchanges: usize,
    /// Of these for one agent.
    pub exchanges_per_agent: usize,
    /// Sessions at once, over all tenants.
    pub sessions: usize,
    /// Sessions at once of one agent.
    pub sessions_per_agent: usize,
    /// Child processes behind HTTP at once: each session of a stdio upstream has its own, unless they share one.
    pub children: usize,
    /// Of these for one agent.
    pub children_per_agent: usize,
    /// How long a session without traffic is kept.
    pub session_idle: Duration,
    /// Until the body of a request is there.
    pub body_wait: Duration,
    /// Until a connection to an upstream stands.
    pub connect_wait: Duration,
    /// From a request to the head of the upstream's answer.
    pub first_byte_wait: Duration,
    /// From a request that goes to all members of a federation to the last piece of an answer; who takes longer is left out.
    pub fan_out_wait: Duration,
    /// Between two pieces of an answer; also how long a slow client may block its stream.
    pub idle_wait: Duration,
    /// Between two signs of life on an event stream without events.
    pub keep_alive: Duration,
    /// How long a child may take to end after its input was closed, and again after SIGTERM.
    pub stop_grace: Duration,
    /// How long to wait before a child that keeps failing is started again.
    pub restarts: Restarts,
    /// Parked calls whose clients wait.
    pub hold: HoldLimits,
}

impl Default for McpLimits {
    fn default() -> Self {
        Self {
            message: 4 * 1024 * 1024,
            in_flight: 256,
            exchanges: 4096,
            exchanges_per_agent: 1024,
            sessions: 4096,
            sessions_per_agent: 256,
            children: 64,
            children_per_agent: 16,
            session_idle: Duration::from_secs(30 * 60),
            body_wait: Duration::from_secs(30),
            connect_wait: Duration::from_secs(5),
            first_byte_wait: Duration::from_secs(300),
            fan_out_wait: Duration::from_secs(30),
            idle_wait: Duration::from_secs(300),
            keep_alive: Duration::from_secs(15),
            stop_grace: Duration::from_secs(2),
            restarts: Restarts::default(),
            hold: HoldLimits::default(),
        }
    }
}

/// What was held back without a verdict, since the start.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Messages of upstreams that were no messages, or too large.
    pub malformed: Counter,
    /// Answers of upstreams that nobody waited for.
    pub unmatched: Counter,
    /// Messages of upstreams that no client took in time, that were withheld, or that were too many.
    pub undelivered: Counter,
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        let counter = |cause| metrics.mcp_held_back(cause);
        Self { malformed: counter("malformed"), unmatched: counter("unmatched"), undelivered: counter("undelivered") }
    }
}

/// Who speaks to which upstream.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) agent: AgentIdentity,
    /// The run of the agent, if it says so: not the transport's session.
    pub(crate) session: Option<Arc<str>>,
    pub(crate) upstream: Arc<str>,
    /// What the upstream may not ask of clients.
    pub(crate) withholds: Withholds,
    /// Where its parked calls are decided.
    pub(crate) desk: Desk,
    /// Whether clients can get tasks in place of the results of parked calls.
    pub(crate) tasks: bool,
}

/// Where a parked call is decided, as its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desk {
    /// By operators; the client can ask the HTTP API where it stands.
    Api,
    /// By the user, on the command line.
    CommandLine,
    /// By nobody.
    Nowhere,
}

/// The door: `/mcp/NAME` for each upstream and federation, and `/mcp` for all upstreams. Cheap to clone.
#[derive(Clone)]
pub struct McpDoor(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    upstreams: Upstreams,
    limits: McpLimits,
    client: HttpClient,
    sessions: Sessions,
    federations: Federations,
    counters: Arc<Counters>,
    /// Set when the door closes.
    closing: watch::Sender<bool>,
    /// Touched when pipelines or credentials may have changed.
    policy: watch::Sender<()>,
    holds: Arc<Holds>,
    tasks: Tasks,
    places: Arc<Places>,
    /// Messages of clients that are being answered.
    posts: AtomicUsize,
    body_room: BodyRoom,
    children: Arc<Places>,
    shared: Shared,
    supervisor: Arc<Supervisor>,
    /// HTTP upstreams that gave out a session id the last time they were asked: a call without one cannot be meant for them.
    with_sessions: Mutex<HashSet<Arc<str>>>,
}

impl McpDoor {
    /// A door to these upstreams. Call it inside a tokio runtime: it starts a task that ends idle sessions.
    #[must_use]
    pub fn new(gate: Arc<Gate>, upstreams: Upstreams, limits: McpLimits) -> Self {
        Self::asking(gate, upstreams, limits, Asking::default())
    }

    /// The same, with the address where people decide and the key of what clients bring back from there.
    #[must_use]
    pub fn asking(gate: Arc<Gate>, upstreams: Upstreams, limits: McpLimits, asking: Asking) -> Self {
        let waits = Waits { connect: limits.connect_wait, first_byte: limits.first_byte_wait, idle: limits.idle_wait };
        let counters = Arc::new(Counters::new(gate.metrics()));
        let open = gate.metrics().mcp_sessions();
        let supervisor = Supervisor::new(limits.restarts, gate.metrics().mcp_children());
        let children = Places::new(limits.children, limits.children_per_agent);
        let policy = watch::Sender::new(());
        let inner = Arc::new(Inner {
            gate,
            upstreams,
            client: HttpClient::new(waits),
            sessions: Sessions::new(&limits, open),
            federations: Federations::new(&limits),
            counters: Arc::clone(&counters),
            closing: watch::Sender::new(false),
            holds: Holds::new(limits.hold.clone(), asking, policy.clone()),
            tasks: Tasks::default(),
            policy,
            places: Places::new(limits.exchanges, limits.exchanges_per_agent),
            posts: AtomicUsize::new(0),
            body_room: BodyRoom::new(BODY_ROOM),
            shared: Shared::new(&limits, &counters, &children, &supervisor),
            children,
            supervisor,
            with_sessions: Mutex::default(),
            limits,
        });
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            loop {
                let Some(every) = weak.upgrade().map(|inner| inner.limits.session_idle.min(SWEEP_EVERY)) else {
                    return;
                };
                tokio::time::sleep(every).await;
                let Some(inner) = weak.upgrade() else { return };
                for session in inner.sessions.take_idle(inner.limits.session_idle) {
                    tokio::spawn(front::expire(Arc::clone(&inner), session));
                }
                for session in inner.federations.take_idle(inner.limits.session_idle) {
                    tracing::info!(federation = %session.federation.name, "an idle MCP session was ended");
                    tokio::spawn(session.end(Arc::clone(&inner), Outcome::Disconnected));
                }
                inner.shared.sweep(inner.limits.session_idle);
                inner.tasks.sweep(inner.limits.hold.results);
            }
        });
        Self(inner)
    }

    /// Figures since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Sessions with federations that are open now. Those with their members are sessions of their own.
    #[must_use]
    pub fn federated_sessions(&self) -> usize {
        self.0.federations.len()
    }

    #[cfg(test)]
    fn metrics(&self) -> &Metrics {
        self.0.gate.metrics()
    }

    /// Sessions that are open now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.sessions.len()
    }

    /// Pipelines or credentials may have changed: clients that can see other tools now are told so.
    pub fn policy_changed(&self) {
        self.0.policy.send_replace(());
    }

    /// Ends all sessions and their child processes and waits, up to `wait`, until the end of every call is recorded.
    /// No new exchange begins after it.
    pub async fn close(&self, wait: Duration) {
        let inner = &self.0;
        inner.holds.stop();
        // First: exchanges record how their calls end, which must not wait for an upstream's answer to a farewell.
        inner.closing.send_replace(true);
        for session in inner.federations.take_all() {
            // Those with its members are ended with the others.
            session.stop();
        }
        let sessions = inner.sessions.take_all();
        let endings = sessions.into_iter().map(|session| front::shut_down(Arc::clone(inner), session));
        let done = async {
            futures_util::future::join_all(endings).await;
            inner.shared.close().await;
            inner.places.all_free().await;
        };
        if tokio::time::timeout(wait, done).await.is_err() {
            tracing::warn!("MCP exchanges were still open when the door closed");
        }
        inner.places.close();
    }
}

impl Mount for McpDoor {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn handle(&self, request: Request<RequestBody>, peer: PeerInfo) -> BoxFuture<'_, Reply> {
        Box::pin(front::answer(&self.0, request, peer.identity))
    }

    /// Calls in flight may end; then the sessions, their streams and children are ended.
    fn drain(&self, within: Duration) -> BoxFuture<'_, ()> {
        // Their clients are told to make the call again: the approvals outlive the server.
        self.0.holds.stop();
        let closing = DRAIN_CLOSE.min(within / 3).max(DRAIN_CLOSE_LEAST);
        Box::pin(async move {
            let idle = async {
                while self.0.busy() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            if tokio::time::timeout(within.saturating_sub(closing), idle).await.is_err() {
                tracing::warn!("MCP calls were still in flight when the server stopped");
            }
            self.close(closing).await;
        })
    }
}

impl Inner {
    /// Whether any request of a client is being answered.
    fn busy(&self) -> bool {
        self.posts.load(Ordering::Acquire) > 0 || self.sessions.busy()
    }

    fn gives_sessions(&self, upstream: &str) -> bool {
        self.with_sessions.lock().unwrap_or_else(PoisonError::into_inner).contains(upstream)
    }

    fn learn_sessions(&self, upstream: &Arc<str>, gives: bool) {
        let mut known = self.with_sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if gives {
            known.insert(Arc::clone(upstream));
        } else {
            known.remove(upstream);
        }
    }
}
