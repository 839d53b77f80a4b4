//! When a child process may be started: one that ends soon after its start, again and again, is started ever more rarely.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::ChildMetrics;

/// How often a child may fail in a row before it has to wait: one failure may be chance.
const FREE: u32 = 1;

/// The waits between two starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// The first wait; each further failure doubles it.
    pub first: Duration,
    /// The longest one.
    pub most: Duration,
    /// A child that ran for this long did well: its end is no failure, and what failed before it is forgotten.
    pub well_after: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), most: Duration::from_secs(30), well_after: Duration::from_secs(10) }
    }
}

/// Counts how the children of each tenant and upstream end. It is asked at the start and at the end of a child, never for a
/// message.
pub(crate) struct Supervisor {
    restarts: Restarts,
    metrics: ChildMetrics,
    /// Only what failed lately, or runs: both are bounded by what else is.
    histories: Mutex<HashMap<Key, History>>,
}

/// Tenant and upstream: no tenant makes another one wait.
type Key = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct History {
    /// Failures in a row.
    failures: u32,
    last_failure: Option<Instant>,
    not_before: Option<Instant>,
    starts: u64,
    /// When the children that run now were started.
    running: BTreeMap<u64, Instant>,
}

/// A child must not be started yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream keeps ending soon after its start; it is tried again in {} s: repeat this then", self.seconds())]
pub(crate) struct Wait {
    pub(crate) rest: Duration,
}

impl Wait {
    /// Whole seconds, for `Retry-After`.
    pub(crate) fn seconds(self) -> u64 {
        self.rest.as_secs().saturating_add(u64::from(self.rest.subsec_nanos() > 0)).max(1)
    }
}

/// One child from its start to its end. Dropped without a word, it counts as neither well nor failed.
pub(crate) struct Run {
    supervisor: Arc<Supervisor>,
    key: Key,
    number: u64,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It could not be started.
    NotStarted,
    /// By itself.
    Itself,
    /// Because it was to end, after it had answered something.
    Asked,
}

impl Supervisor {
    pub(crate) fn new(restarts: Restarts, metrics: ChildMetrics) -> Arc<Self> {
        Arc::new(Self { restarts, metrics, histories: Mutex::default() })
    }

    /// Leave to start a child, or how long to wait for it. Call it inside a tokio runtime.
    pub(crate) fn begin(self: &Arc<Self>, tenant: &Arc<str>, upstream: &Arc<str>) -> Result<Run, Wait> {
        let key = (Arc::clone(tenant), Arc::clone(upstream));
        let mut histories = self.histories();
        let history = histories.entry(key.clone()).or_default();
        let number = history.begin(Instant::now(), &self.restarts);
        let trial = history.failures > 0;
        self.show(&key, history);
        drop(histories);
        match number {
            Ok(number) => {
                self.metrics.event(upstream, "started");
                if trial {
                    tokio::spawn(Arc::clone(self).look_again(key.clone()));
                }
                Ok(Run { supervisor: Arc::clone(self), key, number })
            }
            Err(wait) => {
                self.metrics.event(upstream, "refused");
                Err(wait)
            }
        }
    }

    /// Whether a child might be started now, without starting one.
    pub(crate) fn check(&self, tenant: &Arc<str>, upstream: &Arc<str>) -> Result<(), Wait> {
        let now = Instant::now();
        let mut histories = self.histories();
        let Some(history) = histories.get_mut(&(Arc::clone(tenant), Arc::clone(upstream))) else { return Ok(()) };
        history.forgive(now, &self.restarts);
        history.rest(now).map_or(Ok(()), Err)
    }

    /// Shows that a trial does well, when it does.
    async fn look_again(self: Arc<Self>, key: Key) {
        tokio::time::sleep(self.restarts.well_after).await;
        if let Some(history) = self.histories().get_mut(&key) {
            history.forgive(Instant::now(), &self.restarts);
            self.show(&key, history);
        }
    }

    fn end(&self, key: &Key, number: u64, ending: Option<Ending>) {
        let mut histories = self.histories();
        let Some(history) = histories.get_mut(key) else { return };
        let failed = history.end(number, ending, Instant::now(), &self.restarts);
        let failures = history.failures;
        self.show(key, history);
        if history.is_clean() {
            histories.remove(key);
        }
        drop(histories);
        if !failed {
            return;
        }
        let (tenant, upstream) = key;
        self.metrics.event(upstream, if ending == Some(Ending::NotStarted) { "not_started" } else { "failed" });
        let wait = self.restarts.wait(failures);
        tracing::warn!(%tenant, %upstream, failures, ?wait, "a child process failed soon after its start");
    }

    fn show(&self, key: &Key, history: &History) {
        self.metrics.backs_off(&key.0, &key.1, self.restarts.wait(history.failures));
    }

    fn histories(&self) -> MutexGuard<'_, HashMap<Key, History>> {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Restarts {
    /// How long to wait after so many failures in a row.
    fn wait(&self, failures: u32) -> Duration {
        match failures.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(doublings) => self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.most),
        }
    }
}

impl History {
    fn begin(&mut self, now: Instant, restarts: &Restarts) -> Result<u64, Wait> {
        self.forgive(now, restarts);
        if let Some(wait) = self.rest(now) {
            return Err(wait);
        }
        // One trial at a time: whoever comes next waits until this one had its time to fail.
        let wait = restarts.wait(self.failures);
        self.not_before = (!wait.is_zero()).then(|| now + wait);
        self.starts += 1;
        self.running.insert(self.starts, now);
        Ok(self.starts)
    }

    /// Whether it failed.
    fn end(&mut self, number: u64, ending: Option<Ending>, now: Instant, restarts: &Restarts) -> bool {
        self.forgive(now, restarts);
        let Some(started) = self.running.remove(&number) else { return false };
        let well = now.duration_since(started) >= restarts.well_after;
        match ending {
            Some(Ending::Asked) if self.last_failure.is_none_or(|failure| failure < started) => self.clear(),
            Some(Ending::Itself | Ending::NotStarted) if !well => {
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(now);
                let wait = restarts.wait(self.failures);
                self.not_before = (!wait.is_zero()).then(|| now + wait);
                return true;
            }
            _ => {}
        }
        false
    }

    /// Forgets the failures if a child that was started after them has done well.
    fn forgive(&mut self, now: Instant, restarts: &Restarts) {
        let since = self.last_failure;
        let well = |started: &Instant| {
            since.is_none_or(|failure| failure < *started) && now.duration_since(*started) >= restarts.well_after
        };
        if self.failures > 0 && self.running.values().any(well) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        (self.failures, self.last_failure, self.not_before) = (0, None, None);
    }

    fn rest(&self, now: Instant) -> Option<Wait> {
        let rest = self.not_before?.checked_duration_since(now).filter(|rest| !rest.is_zero())?;
        Some(Wait { rest })
    }

    fn is_clean(&self) -> bool {
        self.failures == 0 && self.running.is_empty()
    }
}

impl Run {
    /// The child is gone.
    pub(crate) fn end(self, ending: Ending) {
        self.supervisor.end(&self.key, self.number, Some(ending));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.supervisor.end(&self.key, self.number, None);
    }
}

#[cfg(test)]
mod tests;
