use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use portcullis_model::{Call, Digest, Judgement};
use serde::Serialize;

use crate::candidate::Outward;
use crate::shadow::Shadows;
use crate::{Candidate, Evidence, Generation, Turn};

/// Most earlier generations of a tenant that may be kept.
pub const MAX_KEPT: usize = 32;

/// The current generation of every tenant, and the latest ones before it.
///
/// Reading is one atomic load of an immutable map, without locks; writing replaces the map. A call that runs keeps the
/// generation it started with. Earlier generations stay compiled, so that each of them can be put in force again at once;
/// those beyond the bound go with their last call.
#[derive(Default)]
pub struct Generations {
    current: ArcSwap<HashMap<Arc<str>, Lane>>,
    shadows: Shadows,
    /// What sessions are shared out by.
    key: RandomState,
    /// Tenants for whom somebody keeps what plugins were told. Not on the path of a call.
    words: Mutex<HashSet<Arc<str>>>,
    /// Not on the path of a call.
    history: Mutex<HashMap<Arc<str>, Line>>,
    keep: usize,
    listener: Option<Listener>,
}

/// Is told what plugins do, on the thread of the call: it must not wait.
pub type Listener = Arc<dyn Fn(&Notice<'_>) + Send + Sync>;

/// What judges a tenant's calls.
#[derive(Clone, Debug)]
struct Lane {
    generation: Arc<Generation>,
    /// What is tried beside it.
    candidate: Option<Arc<Candidate>>,
}

impl Lane {
    /// Whether judging the call may wait for somebody else's answer, whichever of the two judges it: a canary may be withdrawn
    /// at any moment.
    fn waits(&self, call: &Call) -> bool {
        self.generation.waits(call) || self.canary().is_some_and(|canary| canary.waits(call))
    }

    /// Whether judging the call neither waits nor takes long, whichever of the two judges it.
    fn is_quick(&self, call: &Call) -> bool {
        self.generation.is_quick(call) && self.canary().is_none_or(|canary| canary.is_quick(call))
    }

    fn canary(&self) -> Option<&Arc<Generation>> {
        self.candidate.as_ref().filter(|candidate| candidate.is_canary()).map(|candidate| candidate.generation())
    }

    /// Words are kept where somebody wants them: `words`, or a candidate that is to hear on copies of calls what was said on them.
    fn keep_words(&self, words: bool) {
        if let Some(candidate) = &self.candidate {
            candidate.shadow().keep_words(false);
            candidate.generation().keep_words(words);
        }
        let trial = self.candidate.as_ref().map(|candidate| candidate.trial());
        let heard = trial.is_some_and(|trial| trial.shadow > 0.0 && trial.outside == Outward::Refuse);
        self.generation.keep_words(words || heard);
    }

    /// The generations that judge calls, or copies of them.
    fn judges(&self) -> Vec<Arc<Generation>> {
        let shadow = self.candidate.as_ref().filter(|candidate| candidate.trial().shadow > 0.0);
        let shadow = shadow.map(|candidate| candidate.shadow());
        [Some(&self.generation), self.canary(), shadow].into_iter().flatten().cloned().collect()
    }
}

/// Something that people want to know.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The generation that it is about.
    pub generation: &'a Generation,
    /// What.
    pub news: News<'a>,
}

/// What happened to a generation.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A plugin of it keeps failing, or answers again.
    Plugin {
        /// The plugin's name.
        plugin: &'a str,
        /// What changed.
        turn: Turn,
    },
    /// It was a canary and went beyond a bound: it judges no call with effect any more.
    Withdrawn(&'a Evidence),
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
    /// An operator put the candidate in force.
    Promote,
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
            Self::Promote => "promote",
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
    /// Those that judge calls, or copies of them.
    employed: Vec<Arc<Generation>>,
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

    /// Keeps instances ready for those that judge calls now, and for those that did no longer. `words` is whether somebody keeps
    /// what plugins are told.
    fn employ(&mut self, lane: Option<&Lane>, words: bool) {
        if let Some(lane) = lane {
            lane.keep_words(words);
        }
        let now = lane.map(Lane::judges).unwrap_or_default();
        now.iter().for_each(|generation| generation.employ());
        let before = std::mem::replace(&mut self.employed, now);
        before.iter().for_each(|generation| generation.retire());
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
        self.current.load().get(tenant).map(|lane| Arc::clone(&lane.generation))
    }

    /// Names of all current generations, by tenant.
    #[must_use]
    pub fn ids(&self) -> HashMap<Arc<str>, Digest> {
        self.current.load().iter().map(|(tenant, lane)| (Arc::clone(tenant), lane.generation.id())).collect()
    }

    /// What is tried beside the tenant's current generation.
    #[must_use]
    pub fn candidate(&self, tenant: &str) -> Option<Arc<Candidate>> {
        self.current.load().get(tenant)?.candidate.clone()
    }

    /// Whether calls of the tenant may be judged by this generation now.
    #[must_use]
    pub fn serves(&self, tenant: &str, id: Digest) -> bool {
        self.current.load().get(tenant).is_some_and(|lane| {
            let canary = lane.candidate.as_ref().filter(|candidate| candidate.is_canary());
            lane.generation.id() == id || canary.is_some_and(|candidate| candidate.id() == id)
        })
    }

    /// Tries another generation beside the tenant's current one, or none any more. False if the tenant has none.
    pub fn try_out(&self, tenant: &str, candidate: Option<Arc<Candidate>>) -> bool {
        let mut history = self.history_lock();
        let mut next = HashMap::clone(&self.current.load());
        let Some(lane) = next.get_mut(tenant) else { return false };
        if let Some(before) = std::mem::replace(&mut lane.candidate, candidate) {
            let goes_on = lane.candidate.as_ref().is_some_and(|after| Arc::ptr_eq(after, &before));
            // Calls that are under way do not count for it any more.
            if !goes_on {
                before.stop();
            }
        }
        let lane = lane.clone();
        // Before its first call is heard; what is heard no longer is seen to below.
        if lane.candidate.is_some() {
            lane.keep_words(self.keeps_words(tenant));
        }
        self.current.store(Arc::new(next));
        history.entry(tenant.into()).or_default().employ(Some(&lane), self.keeps_words(tenant));
        true
    }

    /// Judges a call by its tenant's current generation, or by the one that is tried beside it; `None` if the tenant has none.
    #[must_use]
    pub fn judge(&self, call: &Call) -> Option<Judgement> {
        Some(self.judge_in(self.lane(call)?, call))
    }

    /// The same, unless that may wait, or take long: then it is `None`, and nothing is done.
    #[must_use]
    pub fn judge_at_once(&self, call: &Call) -> Option<Option<Judgement>> {
        let Some(lane) = self.lane(call) else { return Some(None) };
        lane.is_quick(call).then(|| Some(self.judge_in(lane, call)))
    }

    /// Whether judging this call may wait for somebody else's answer.
    #[must_use]
    pub fn waits(&self, call: &Call) -> bool {
        self.lane(call).is_some_and(|lane| lane.waits(call))
    }

    fn lane(&self, call: &Call) -> Option<Lane> {
        self.current.load().get(&*call.tenant).cloned()
    }

    fn judge_in(&self, lane: Lane, call: &Call) -> Judgement {
        let Lane { generation, candidate } = lane;
        let Some(candidate) = candidate else { return self.run(&generation, call) };
        let own = candidate.takes(call, &self.key);
        let started = Instant::now();
        let judgement = self.run(if own { candidate.generation() } else { &generation }, call);
        if let Some(evidence) = candidate.count(own, &judgement, started.elapsed()) {
            self.notify(candidate.generation(), News::Withdrawn(evidence));
            self.employ_again(&call.tenant);
        }
        if !own && candidate.samples(call, &self.key) {
            self.shadows.take(&candidate, call, &judgement);
        }
        judgement
    }

    /// From here on somebody keeps, for these tenants, what plugins were told: their judgements carry the words. Those of others
    /// carry the hash only, but for those that a candidate hears.
    pub fn keep_words(&self, tenants: impl IntoIterator<Item = Arc<str>>) {
        let mut history = self.history_lock();
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = tenants.into_iter().collect();
        let current = self.current.load();
        for (tenant, line) in history.iter_mut() {
            line.employ(current.get(tenant), self.keeps_words(tenant));
        }
    }

    fn keeps_words(&self, tenant: &str) -> bool {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).contains(tenant)
    }

    /// Looks again at who judges a tenant's calls.
    fn employ_again(&self, tenant: &str) {
        let mut history = self.history_lock();
        let lane = self.current.load().get(tenant).cloned();
        if let Some(line) = history.get_mut(tenant) {
            line.employ(lane.as_ref(), self.keeps_words(tenant));
        }
    }

    fn run(&self, generation: &Generation, call: &Call) -> Judgement {
        let (judgement, turns) = generation.run(call, None);
        for (plugin, turn) in turns {
            self.notify(generation, News::Plugin { plugin: &plugin, turn });
        }
        judgement
    }

    fn notify(&self, generation: &Generation, news: News<'_>) {
        if let Some(listener) = &self.listener {
            listener(&Notice { generation, news });
        }
    }

    /// Makes a generation its tenant's current one; returns the id of the one before.
    pub fn activate(&self, generation: &Arc<Generation>, activation: Activation) -> Option<Digest> {
        let mut history = self.history_lock();
        let tenant = generation.tenant();
        let mut next = HashMap::clone(&self.current.load());
        let before = next.get(tenant);
        let candidate = before.and_then(|lane| lane.candidate.clone());
        let before = before.map(|lane| lane.generation.id());
        if let Some(candidate) = candidate.as_ref().filter(|_| before.is_some_and(|before| before != generation.id())) {
            candidate.compare_anew();
        }
        let lane = Lane { generation: Arc::clone(generation), candidate };
        next.insert(Arc::clone(tenant), lane.clone());
        self.current.store(Arc::new(next));
        let line = history.entry(Arc::clone(tenant)).or_default();
        line.put(generation, activation, self.keep);
        line.employ(Some(&lane), self.keeps_words(tenant));
        before
    }

    /// Lets tenants go that are not among these.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut history = self.history_lock();
        let mut next = HashMap::clone(&self.current.load());
        next.retain(|tenant, _| keep(tenant));
        self.current.store(Arc::new(next));
        history.retain(|tenant, line| {
            let kept = keep(tenant);
            if !kept {
                line.employ(None, false);
            }
            kept
        });
    }

    /// Lets earlier generations of a tenant go, but for those of which this says yes. The current one stays.
    pub fn let_go(&self, tenant: &str, keep: impl Fn(&Generation) -> bool) {
        let mut history = self.history_lock();
        let Some(line) = history.get_mut(tenant) else { return };
        let current = line.past.pop_front();
        line.past.retain(|past| keep(&past.generation));
        if let Some(current) = current {
            line.past.push_front(current);
        }
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
        let mut all: Vec<_> = self.current.load().values().map(|lane| Arc::clone(&lane.generation)).collect();
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
