use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use portcullis_model::{Call, Digest, Judgement};
use serde::Serialize;

use crate::{Generation, Turn};

/// Most earlier generations of a tenant that may be kept.
pub const MAX_KEPT: usize = 32;

/// The current generation of every tenant, and the latest ones before it.
///
/// Reading is one atomic load of an immutable map, without locks; writing replaces the map. A call that runs keeps the
/// generation it started with. Earlier generations stay compiled, so that each of them can be put in force again at once;
/// those beyond the bound go with their last call.
#[derive(Default)]
pub struct Generations {
    current: ArcSwap<HashMap<Arc<str>, Arc<Generation>>>,
    /// Not on the path of a call.
    history: Mutex<HashMap<Arc<str>, Line>>,
    keep: usize,
    listener: Option<Listener>,
}

/// Is told what plugins do, on the thread of the call: it must not wait.
pub type Listener = Arc<dyn Fn(&Notice<'_>) + Send + Sync>;

/// Something that people want to know.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The generation whose plugin it is.
    pub generation: &'a Generation,
    /// The plugin's name.
    pub plugin: &'a str,
    /// What changed.
    pub turn: Turn,
}

/// How a generation came into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// An operator's name, or `portcullis`.
    pub by: Arc<str>,
    /// Why.
    pub why: Why,
}

/// Why a generation came into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The server started.
    Start,
    /// The configuration was read again.
    Reload,
    /// An operator replaced policies.
    Policies,
    /// An operator named it.
    Activate,
    /// An operator went back.
    Rollback,
}

impl Why {
    /// The word used in entries and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reload => "reload",
            Self::Policies => "policies",
            Self::Activate => "activate",
            Self::Rollback => "rollback",
        }
    }
}

/// One generation that is, or was, in force.
#[derive(Clone, Debug)]
pub struct Past {
    /// It, compiled.
    pub generation: Arc<Generation>,
    /// How it came into force, the last time it did.
    pub activation: Activation,
    /// What was in force before it.
    pub from: Option<Digest>,
    /// Whether it is what the configuration says.
    pub configured: bool,
}

/// The generations of one tenant.
#[derive(Debug, Default)]
struct Line {
    /// What the configuration says.
    configured: Option<Digest>,
    /// The current one first.
    past: VecDeque<Past>,
}

impl Line {
    fn put(&mut self, generation: &Arc<Generation>, activation: Activation, keep: usize) {
        if let Some(front) = self.past.front_mut().filter(|front| front.generation.id() == generation.id()) {
            front.generation = Arc::clone(generation);
            return;
        }
        let from = self.past.front().map(|front| front.generation.id());
        self.past.retain(|past| past.generation.id() != generation.id());
        let generation = Arc::clone(generation);
        self.past.push_front(Past { generation, activation, from, configured: false });
        self.trim(keep);
    }

    /// Lets the oldest go. What the configuration says stays: the way back to it must not need a compiler.
    fn trim(&mut self, keep: usize) {
        while self.past.len() > keep.saturating_add(1) {
            let other = |past: &Past| Some(past.generation.id()) != self.configured;
            let Some(oldest) = self.past.iter().skip(1).rposition(other) else { break };
            self.past.remove(oldest + 1);
        }
    }
}

impl Generations {
    /// No tenant has a generation; earlier ones are not kept.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with up to `keep` earlier generations of each tenant (at most [`MAX_KEPT`]), and somebody who is told.
    #[must_use]
    pub fn keeping(keep: usize, listener: Listener) -> Self {
        Self { keep: keep.min(MAX_KEPT), listener: Some(listener), ..Self::default() }
    }

    /// The tenant's current generation.
    #[must_use]
    pub fn current(&self, tenant: &str) -> Option<Arc<Generation>> {
        self.current.load().get(tenant).cloned()
    }

    /// Judges a call by its tenant's current generation; `None` if the tenant has none.
    #[must_use]
    pub fn judge(&self, call: &Call) -> Option<Judgement> {
        let generation = self.current(&call.tenant)?;
        let (judgement, turns) = generation.run(call);
        if let Some(listener) = &self.listener {
            for (plugin, turn) in turns {
                listener(&Notice { generation: &generation, plugin: &plugin, turn });
            }
        }
        Some(judgement)
    }

    /// The same, unless that may wait for somebody else's answer: then it is `None`, and nothing is done.
    #[must_use]
    pub fn judge_at_once(&self, call: &Call) -> Option<Option<Judgement>> {
        let Some(current) = self.current(&call.tenant) else { return Some(None) };
        (!current.waits(call)).then(|| Some(current.judge(call)))
    }

    /// Whether judging this call may wait for somebody else's answer.
    #[must_use]
    pub fn waits(&self, call: &Call) -> bool {
        self.current(&call.tenant).is_some_and(|current| current.waits(call))
    }

    /// Makes a generation its tenant's current one; returns the id of the one before.
    pub fn activate(&self, generation: &Arc<Generation>, activation: Activation) -> Option<Digest> {
        self.put([(generation, activation)])
    }

    /// Makes these their tenants' current ones, all at once. Returns what was before the last of them.
    pub fn put<'g>(&self, fresh: impl IntoIterator<Item = (&'g Arc<Generation>, Activation)>) -> Option<Digest> {
        let mut history = self.history_lock();
        let mut next = HashMap::clone(&self.current.load());
        let mut before = None;
        for (generation, activation) in fresh {
            let tenant = generation.tenant();
            before = next.insert(Arc::clone(tenant), Arc::clone(generation)).map(|before| before.id());
            history.entry(Arc::clone(tenant)).or_default().put(generation, activation, self.keep);
        }
        self.current.store(Arc::new(next));
        before
    }

    /// Lets tenants go that are not among these.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut history = self.history_lock();
        let mut next = HashMap::clone(&self.current.load());
        next.retain(|tenant, _| keep(tenant));
        history.retain(|tenant, _| keep(tenant));
        self.current.store(Arc::new(next));
    }

    /// Says what the configuration says.
    pub fn configure(&self, tenant: &Arc<str>, generation: Digest) {
        let mut history = self.history_lock();
        let line = history.entry(Arc::clone(tenant)).or_default();
        line.configured = Some(generation);
        line.trim(self.keep);
    }

    /// What the configuration of a tenant says; none if nobody said.
    #[must_use]
    pub fn configured(&self, tenant: &str) -> Option<Digest> {
        self.history_lock().get(tenant)?.configured
    }

    /// The tenant's current generation and how it came into force.
    #[must_use]
    pub fn in_force(&self, tenant: &str) -> Option<Past> {
        let history = self.history_lock();
        let line = history.get(tenant)?;
        let past = line.past.front()?.clone();
        Some(Past { configured: Some(past.generation.id()) == line.configured, ..past })
    }

    /// The tenant's current generation and those kept before it, latest first.
    #[must_use]
    pub fn history(&self, tenant: &str) -> Vec<Past> {
        let history = self.history_lock();
        let Some(line) = history.get(tenant) else { return Vec::new() };
        let past = line.past.iter().cloned();
        past.map(|past| Past { configured: Some(past.generation.id()) == line.configured, ..past }).collect()
    }

    /// A generation of the tenant that is kept.
    #[must_use]
    pub fn kept(&self, tenant: &str, id: Digest) -> Option<Arc<Generation>> {
        self.history(tenant).into_iter().map(|past| past.generation).find(|generation| generation.id() == id)
    }

    /// All current generations, in the order of their tenants' names.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Generation>> {
        let mut all: Vec<_> = self.current.load().values().cloned().collect();
        all.sort_by(|a, b| a.tenant().cmp(b.tenant()));
        all
    }

    fn history_lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Line>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Generations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generations").field("current", &self.current).field("keep", &self.keep).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
