//! A generation that is tried beside the one in force: in shadow, on copies of calls, or as a canary, on some of them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use globset::GlobSet;
use portcullis_model::{Call, Decision, Digest, Judgement, codes};
use serde::Serialize;

use crate::breaker::Clock;
use crate::report::{Report, Tools};
use crate::select::globs;
use crate::{BuildError, BuildProblem, Generation};

/// Parts that a window is counted in.
const STEPS: usize = 10;
/// Latencies are counted by quarters of powers of two in microseconds, up to an hour.
const BUCKETS: usize = 128;
/// Shares are counted in parts of this.
const WHOLE: u64 = 1_000_000;

/// How a candidate is tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trial {
    /// Share of calls, 0 to 1, that it judges as well, without effect.
    pub shadow: f64,
    /// Share of sessions, 0 to 1, whose calls it judges in place of the generation in force; where there is no session, of
    /// agents.
    pub canary: f64,
    /// Globs of agents whose calls it judges in any case.
    pub canary_agents: Vec<String>,
    /// When it is withdrawn as a canary.
    pub bounds: Bounds,
    /// What its plugins reach of the world while it judges copies of calls. As a canary they reach what they are granted.
    // Trials that are on record are known by what was written before this was asked.
    #[serde(skip_serializing_if = "Outward::is_refuse")]
    pub outside: Outward,
}

/// What requests and questions of a candidate's plugins come to on copies of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outward {
    /// They get the answer that the generation in force got on the same call, or none; nothing is sent.
    #[default]
    Refuse,
    /// They are sent.
    Send,
}

impl Outward {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
    fn is_refuse(&self) -> bool {
        *self == Self::Refuse
    }
}

/// When a canary is withdrawn. Rates are shares of its calls within the window, from 0 to 1; none: whatever they are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// Nothing is decided on fewer calls than this, of either side where the two are compared.
    pub min_calls: u64,
    /// How far back calls count, in milliseconds.
    pub window_ms: u64,
    /// Calls in which a plugin failed, but by its deadline.
    pub max_trap_rate: Option<f64>,
    /// Calls in which a plugin ran past its deadline.
    pub max_deadline_rate: Option<f64>,
    /// Its median time for a call, as a multiple of that of the generation in force. One slow call is no reason.
    pub max_latency_ratio: Option<f64>,
    /// Milliseconds within which 99 of 100 of its calls are judged.
    pub max_p99_ms: Option<u64>,
    /// How far its share of denied calls may be from that of the generation in force, in either direction.
    pub max_deny_drift: Option<f64>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            min_calls: 20,
            window_ms: 300_000,
            max_trap_rate: Some(0.05),
            max_deadline_rate: Some(0.05),
            max_latency_ratio: Some(5.0),
            max_p99_ms: None,
            max_deny_drift: Some(0.25),
        }
    }
}

/// What calls within a window came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Calls.
    pub calls: u64,
    /// Calls in which a plugin failed, but by its deadline.
    pub traps: u64,
    /// Calls in which a plugin ran past its deadline.
    pub deadlines: u64,
    /// Calls that were denied.
    pub denied: u64,
    /// Mean time of a call in microseconds.
    pub mean_us: u64,
    /// Microseconds within which half of them were judged, to a quarter more.
    pub p50_us: u64,
    /// Microseconds within which 99 of 100 were judged, to a quarter more.
    pub p99_us: u64,
}

/// Why a canary was withdrawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The bound: `max_trap_rate`, `max_deadline_rate`, `max_latency_ratio`, `max_p99_ms` or `max_deny_drift`.
    pub bound: &'static str,
    /// What it allows.
    pub allowed: f64,
    /// What was seen.
    pub seen: f64,
    /// The candidate's calls.
    pub candidate: Figures,
    /// Those of the generation in force, in the same window.
    pub live: Figures,
}

/// Where a candidate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It judges copies of calls only.
    Shadow,
    /// It judges some calls with effect.
    Canary,
    /// It did, and went beyond a bound.
    Withdrawn,
}

impl Standing {
    /// The word used on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// A generation on trial.
#[derive(Debug)]
pub struct Candidate {
    generation: Arc<Generation>,
    /// The same with a state of its own.
    shadow: Arc<Generation>,
    trial: Trial,
    agents: Option<GlobSet>,
    /// Whether it judges calls with effect now.
    canary: AtomicBool,
    withdrawn: OnceLock<Option<Box<Evidence>>>,
    clock: Clock,
    own: Window,
    live: Window,
    report: Mutex<Tools>,
    /// Copies of calls that were taken, and that found the queue full.
    pub(crate) sampled: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl Candidate {
    /// A generation on trial. `shadow` is the same generation with a state of its own, `withdrawn` whether it was withdrawn
    /// before.
    ///
    /// # Errors
    /// A glob that does not compile, with its place.
    pub fn new(
        generation: Arc<Generation>,
        shadow: Arc<Generation>,
        trial: Trial,
        withdrawn: bool,
    ) -> Result<Self, BuildError> {
        Self::at(generation, shadow, trial, withdrawn, Clock::default())
    }

    pub(crate) fn at(
        generation: Arc<Generation>,
        shadow: Arc<Generation>,
        trial: Trial,
        withdrawn: bool,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let agents = globs("canary_agents", &trial.canary_agents)
            .map_err(|(path, error)| BuildError { path, source: BuildProblem::Select(error.to_string()) })?;
        let own = Window::new(trial.bounds.window_ms);
        let live = Window::new(trial.bounds.window_ms);
        let before = OnceLock::new();
        if withdrawn {
            // Only set here.
            let _set = before.set(None);
        }
        let canary = AtomicBool::new(!withdrawn && (trial.canary > 0.0 || agents.is_some()));
        Ok(Self {
            generation,
            shadow,
            trial,
            agents,
            canary,
            withdrawn: before,
            clock,
            own,
            live,
            report: Mutex::default(),
            sampled: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    /// What is tried.
    #[must_use]
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.generation.id()
    }

    /// How it is tried.
    #[must_use]
    pub fn trial(&self) -> &Trial {
        &self.trial
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match (self.is_canary(), self.withdrawn.get()) {
            (true, _) => Standing::Canary,
            (false, Some(_)) => Standing::Withdrawn,
            (false, None) => Standing::Shadow,
        }
    }

    /// Why it was withdrawn, if that was in this process.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        self.withdrawn.get()?.as_deref()
    }

    /// Whether it judges calls with effect now.
    #[must_use]
    pub fn is_canary(&self) -> bool {
        self.canary.load(Ordering::Acquire)
    }

    /// What its calls as a canary came to lately, and those of the generation in force.
    #[must_use]
    pub fn figures(&self) -> (Figures, Figures) {
        let now = self.clock.now_ms();
        (self.own.figures(now), self.live.figures(now))
    }

    /// What it said of copies of calls.
    #[must_use]
    pub fn report(&self) -> Report {
        let (sampled, dropped) = (self.sampled.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed));
        self.tools().report(sampled, dropped)
    }

    pub(crate) fn tools(&self) -> MutexGuard<'_, Tools> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shadow(&self) -> &Arc<Generation> {
        &self.shadow
    }

    /// Whether this call is judged by it, with effect: all calls of a session, or none.
    pub(crate) fn takes(&self, call: &Call, key: &RandomState) -> bool {
        if !self.is_canary() {
            return false;
        }
        if self.agents.as_ref().is_some_and(|agents| agents.is_match(&*call.agent)) {
            return true;
        }
        let run = call.session.as_deref().map_or((0, &*call.agent), |session| (1, session));
        // Keyed: nobody can choose a session that is, or is not, among them.
        within(key.hash_one((&*call.tenant, run, self.generation.id().0)), self.trial.canary)
    }

    /// Whether it is to judge a copy of this call.
    pub(crate) fn samples(&self, call: &Call, key: &RandomState) -> bool {
        self.trial.shadow > 0.0 && within(key.hash_one((call.id, call.phase.as_str())), self.trial.shadow)
    }

    /// Counts a call. What it goes beyond, if it is a canary and does: it is one no longer then.
    pub(crate) fn count(&self, own: bool, judgement: &Judgement, took: Duration) -> Option<&Evidence> {
        if !self.is_canary() {
            return None;
        }
        let now = self.clock.now_ms();
        let side = if own { &self.own } else { &self.live };
        side.count(now, judgement, took);
        if !own {
            return None;
        }
        let evidence = self.beyond(now)?;
        // Of several calls that see it at once, one tells.
        if !self.canary.swap(false, Ordering::AcqRel) || self.withdrawn.set(Some(Box::new(evidence))).is_err() {
            return None;
        }
        self.evidence()
    }

    /// Forgets what was counted: it was compared with a generation that is not in force any more.
    pub(crate) fn compare_anew(&self) {
        self.own.clear();
        self.live.clear();
    }

    /// Ends it as a canary.
    pub(crate) fn stop(&self) {
        self.canary.store(false, Ordering::Release);
    }

    fn beyond(&self, now: u64) -> Option<Evidence> {
        let bounds = &self.trial.bounds;
        let candidate = self.own.figures(now);
        if candidate.calls < bounds.min_calls.max(1) {
            return None;
        }
        let live = self.live.figures(now);
        let compared = live.calls >= bounds.min_calls.max(1);
        let share = |part: u64, of: &Figures| ratio(part, of.calls);
        let seen = [
            ("max_trap_rate", bounds.max_trap_rate, Some(share(candidate.traps, &candidate))),
            ("max_deadline_rate", bounds.max_deadline_rate, Some(share(candidate.deadlines, &candidate))),
            ("max_p99_ms", bounds.max_p99_ms.map(|ms| ratio(ms, 1)), Some(ratio(candidate.p99_us, 1000))),
            (
                "max_latency_ratio",
                bounds.max_latency_ratio,
                compared.then(|| ratio(candidate.p50_us, live.p50_us.max(1))),
            ),
            (
                "max_deny_drift",
                bounds.max_deny_drift,
                compared.then(|| (share(candidate.denied, &candidate) - share(live.denied, &live)).abs()),
            ),
        ];
        let beyond = seen.into_iter().find_map(|(bound, allowed, seen)| {
            let (allowed, seen) = (allowed?, seen?);
            (seen > allowed).then_some((bound, allowed, seen))
        });
        let (bound, allowed, seen) = beyond?;
        Some(Evidence { bound, allowed, seen, candidate, live })
    }
}

impl Evidence {
    /// One line for the ledger.
    #[must_use]
    pub fn line(&self) -> String {
        let side = |name: &str, figures: &Figures| {
            let Figures { calls, traps, deadlines, denied, mean_us, p50_us, p99_us } = figures;
            format!(
                "{name}: {calls} calls, {traps} traps, {deadlines} deadlines, {denied} denied, mean {mean_us} us, p50 {p50_us} us, p99 {p99_us} us"
            )
        };
        format!(
            "{} {:.4} is more than {:.4}; {}; {}",
            self.bound,
            self.seen,
            self.allowed,
            side("candidate", &self.candidate),
            side("in force", &self.live)
        )
    }
}

#[allow(clippy::cast_precision_loss, reason = "shares for people and bounds, not exact")]
fn ratio(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=WHOLE first"
)]
fn within(hash: u64, share: f64) -> bool {
    hash % WHOLE < (share.clamp(0.0, 1.0) * WHOLE as f64) as u64
}

/// Stands for the part of time that a step is of while its counts are emptied.
const CLEARING: u64 = u64::MAX;

/// Calls of the latest while, in atomics only. Counts of one part that change hands are right but for calls of that moment.
#[derive(Debug)]
struct Window {
    step_ms: u64,
    steps: [Step; STEPS],
}

#[derive(Debug)]
struct Step {
    /// Which part of time it is of.
    of: AtomicU64,
    calls: AtomicU64,
    traps: AtomicU64,
    deadlines: AtomicU64,
    denied: AtomicU64,
    micros: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Step {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            of: zero(),
            calls: zero(),
            traps: zero(),
            deadlines: zero(),
            denied: zero(),
            micros: zero(),
            buckets: std::array::from_fn(|_| zero()),
        }
    }
}

impl Step {
    fn parts(&self) -> [&AtomicU64; 5] {
        [&self.calls, &self.traps, &self.deadlines, &self.denied, &self.micros]
    }
}

impl Window {
    fn new(window_ms: u64) -> Self {
        Self { step_ms: (window_ms / STEPS as u64).max(1), steps: std::array::from_fn(|_| Step::default()) }
    }

    fn count(&self, now: u64, judgement: &Judgement, took: Duration) {
        let part = now / self.step_ms + 1;
        let index = usize::try_from(part % STEPS as u64).unwrap_or_default();
        let Some(step) = self.steps.get(index) else { return };
        let before = step.of.load(Ordering::Acquire);
        // Nobody reads it as this part before its old counts are gone.
        let clears = ![part, CLEARING].contains(&before);
        if clears && step.of.compare_exchange(before, CLEARING, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            step.parts().into_iter().chain(&step.buckets).for_each(|count| count.store(0, Ordering::Relaxed));
            step.of.store(part, Ordering::Release);
        }
        let fault = |deadline: bool| {
            let faults = judgement.plugins.iter().filter_map(|run| run.fault.as_deref());
            u64::from(faults.into_iter().any(|code| (code == codes::PLUGIN_DEADLINE) == deadline))
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(1 << 32);
        let denied = u64::from(judgement.decision == Decision::Deny);
        for (count, by) in step.parts().into_iter().zip([1, fault(false), fault(true), denied, micros]) {
            count.fetch_add(by, Ordering::Relaxed);
        }
        if let Some(bucket) = step.buckets.get(bucket(micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets all counts.
    fn clear(&self) {
        // Part 0 is before all time; a step of it is cleared before it is used.
        self.steps.iter().for_each(|step| step.of.store(0, Ordering::Release));
    }

    fn figures(&self, now: u64) -> Figures {
        let part = now / self.step_ms + 1;
        let oldest = part.saturating_sub(STEPS as u64 - 1);
        let recent = || self.steps.iter().filter(|step| (oldest..=part).contains(&step.of.load(Ordering::Acquire)));
        let sum = |of: fn(&Step) -> &AtomicU64| recent().map(|step| of(step).load(Ordering::Relaxed)).sum::<u64>();
        let calls = sum(|step| &step.calls);
        let mut buckets = EMPTY;
        for step in recent() {
            for (sum, bucket) in buckets.iter_mut().zip(&step.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
        }
        Figures {
            calls,
            traps: sum(|step| &step.traps),
            deadlines: sum(|step| &step.deadlines),
            denied: sum(|step| &step.denied),
            mean_us: sum(|step| &step.micros).checked_div(calls).unwrap_or_default(),
            p50_us: percentile(&buckets, 50),
            p99_us: percentile(&buckets, 99),
        }
    }
}

/// Which bucket a time belongs to.
pub(crate) fn bucket(micros: u64) -> usize {
    let index = match micros.checked_ilog2() {
        Some(octave @ 3..) => u64::from(octave) * 4 + ((micros >> (octave - 2)) & 3),
        _ => micros,
    };
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The upper end of the bucket that so many of a hundred are within.
pub(crate) fn percentile(buckets: &Buckets, of_hundred: u64) -> u64 {
    let all: u64 = buckets.iter().sum();
    let wanted = all.saturating_mul(of_hundred).div_ceil(100);
    let mut seen = 0;
    for (index, count) in (0_u64..).zip(buckets) {
        seen += count;
        if seen >= wanted && wanted > 0 {
            return if index < 8 { index } else { (5 + index % 4) << (index / 4 - 2) };
        }
    }
    0
}

/// Counts by bucket.
pub(crate) type Buckets = [u64; BUCKETS];

/// No call yet.
pub(crate) const EMPTY: Buckets = [0; BUCKETS];

#[cfg(test)]
mod tests;
