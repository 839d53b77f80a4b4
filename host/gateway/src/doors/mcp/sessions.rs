//! Sessions: ids of our own, bound to who opened them and to one upstream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use uuid::Uuid;

use super::McpLimits;
use super::bridge::Bridge;
use super::inspector::Inspector;
use crate::ports::AgentIdentity;
use crate::upstream::Upstream;

/// One session of one agent with one upstream.
pub(crate) struct Session {
    pub(crate) id: String,
    tenant: Arc<str>,
    agent: Arc<str>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) inspector: Arc<Inspector>,
    pub(crate) remote: Remote,
    /// Set when it ends: its exchanges with an HTTP upstream end too.
    pub(crate) ended: watch::Sender<bool>,
    used: Mutex<Instant>,
    /// Exchanges that use it now.
    busy: AtomicUsize,
}

/// The upstream's side of a session.
pub(crate) enum Remote {
    /// The id that the upstream gave out.
    Http(HeaderValue),
    /// A child process of this session's own, or a place at a shared one.
    Stdio(Bridge),
}

/// A session in use: it is not idle while this lives.
pub(crate) struct InUse(pub(crate) Arc<Session>);

/// All places are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many MCP sessions are open; end one, or try again later")]
pub(crate) struct Full;

/// The sessions of the door.
pub(crate) struct Sessions {
    total: usize,
    per_agent: usize,
    /// How many are open, for `/metrics`.
    open: Gauge,
    map: Mutex<HashMap<String, Arc<Session>>>,
}

impl Session {
    pub(crate) fn new(
        agent: &AgentIdentity,
        upstream: &Arc<Upstream>,
        inspector: Arc<Inspector>,
        remote: Remote,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: Uuid::new_v4().simple().to_string(),
            tenant: Arc::clone(&agent.tenant),
            agent: Arc::clone(&agent.name),
            upstream: Arc::clone(upstream),
            inspector,
            remote,
            ended: watch::Sender::new(false),
            used: Mutex::new(Instant::now()),
            busy: AtomicUsize::new(0),
        })
    }

    fn over(&self) -> bool {
        matches!(&self.remote, Remote::Stdio(bridge) if bridge.over())
    }

    fn idle_since(&self) -> Option<Instant> {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        (self.busy.load(Ordering::Acquire) == 0).then_some(used)
    }
}

impl InUse {
    fn new(session: Arc<Session>) -> Self {
        session.busy.fetch_add(1, Ordering::AcqRel);
        Self(session)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Sessions {
    pub(crate) fn new(limits: &McpLimits, open: Gauge) -> Self {
        Self { total: limits.sessions, per_agent: limits.sessions_per_agent, open, map: Mutex::default() }
    }

    /// Keeps a session, if there is a place for it. Many clients never end theirs: where an agent has used up its places,
    /// the session that it has left alone for longest makes room. It comes back to be ended.
    pub(crate) fn open(&self, session: Arc<Session>) -> Result<(InUse, Option<Arc<Session>>), Full> {
        let mut map = self.map();
        map.retain(|_, session| !session.over());
        let own = |other: &&Arc<Session>| other.tenant == session.tenant && other.agent == session.agent;
        let mut evicted = None;
        if map.len() >= self.total || map.values().filter(own).count() >= self.per_agent {
            let idle = map.values().filter(own).filter_map(|other| Some((other.idle_since()?, other.id.clone())));
            let (_, id) = idle.min().ok_or(Full)?;
            evicted = map.remove(&id);
        }
        map.insert(session.id.clone(), Arc::clone(&session));
        self.count(&map);
        Ok((InUse::new(session), evicted))
    }

    /// The session with this id, if this agent opened it with this upstream and it is not over.
    pub(crate) fn find(&self, id: &str, agent: &AgentIdentity, upstream: &str) -> Option<InUse> {
        let mut map = self.map();
        let session = map.get(id)?;
        if session.tenant != agent.tenant || session.agent != agent.name || &*session.upstream.name != upstream {
            return None;
        }
        if session.over() {
            map.remove(id);
            self.count(&map);
            return None;
        }
        Some(InUse::new(Arc::clone(session)))
    }

    pub(crate) fn remove(&self, id: &str) -> Option<Arc<Session>> {
        let mut map = self.map();
        let removed = map.remove(id);
        self.count(&map);
        removed
    }

    /// Takes out the sessions that nobody used for this long.
    pub(crate) fn take_idle(&self, longer_than: Duration) -> Vec<Arc<Session>> {
        let mut map = self.map();
        let now = Instant::now();
        let idle = |session: &Session| {
            session.over() || session.idle_since().is_some_and(|since| now.duration_since(since) > longer_than)
        };
        let ids: Vec<String> = map.values().filter(|session| idle(session)).map(|session| session.id.clone()).collect();
        let taken = ids.iter().filter_map(|id| map.remove(id)).collect();
        self.count(&map);
        taken
    }

    pub(crate) fn take_all(&self) -> Vec<Arc<Session>> {
        let mut map = self.map();
        let taken = map.drain().map(|(_, session)| session).collect();
        self.count(&map);
        taken
    }

    /// Whether any session has a request in flight.
    pub(crate) fn busy(&self) -> bool {
        self.map().values().any(|session| session.inspector.is_busy())
    }

    pub(crate) fn len(&self) -> usize {
        self.map().len()
    }

    fn count(&self, map: &HashMap<String, Arc<Session>>) {
        self.open.set(i64::try_from(map.len()).unwrap_or(i64::MAX));
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
