//! Whether a plugin that keeps failing is still asked.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Most calls that a breaker looks back on.
pub const MAX_QUARANTINE_CALLS: u32 = 1000;

/// When a plugin that keeps failing is not asked any more, and when it is tried again.
///
/// While it is not asked, its fail mode counts for every call that it would have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// So many faults …
    pub faults: u32,
    /// … among so many of its latest calls, at most [`MAX_QUARANTINE_CALLS`] …
    pub calls: u32,
    /// … within so many milliseconds put it in quarantine.
    pub window_ms: u64,
    /// Milliseconds until one call is let through to it as a probe.
    pub cooldown_ms: u64,
    /// Probes in a row that it must answer properly to be asked as ever.
    pub probes: u32,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { faults: 10, calls: 20, window_ms: 60_000, cooldown_ms: 30_000, probes: 1 }
    }
}

/// What changed about a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It failed too often and is not asked any more.
    Quarantined,
    /// It answered its probes and is asked as ever.
    Recovered,
}

/// Whether one call may go to the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As ever.
    Free,
    /// As a probe; the number tells it from earlier ones.
    Probe(u64),
    /// No.
    Not,
}

/// Milliseconds of a clock that never goes back, never 0.
#[derive(Clone, Default)]
pub(crate) struct Clock(Option<Arc<dyn Fn() -> u64 + Send + Sync>>);

impl Clock {
    #[cfg(test)]
    pub(crate) fn of(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(now_ms)))
    }

    pub(crate) fn now_ms(&self) -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        match &self.0 {
            None => u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1),
            Some(clock) => clock().max(1),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The breaker of one plugin. Every call only touches atomics.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: Quarantine,
    clock: Clock,
    /// The latest calls in a ring: the time of each, doubled, and 1 for a fault. 0 is no call.
    recent: Box<[AtomicU64]>,
    next: AtomicUsize,
    /// 0 while the plugin is asked as ever; else when the next probe may go.
    until: AtomicU64,
    /// Probes in a row that were answered properly.
    good: AtomicU32,
    quarantines: AtomicU64,
    skipped: AtomicU64,
}

impl Breaker {
    pub(crate) fn new(settings: Quarantine, clock: Clock) -> Self {
        let calls = settings.calls.clamp(1, MAX_QUARANTINE_CALLS);
        Self {
            settings,
            clock,
            recent: (0..calls).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicUsize::new(0),
            until: AtomicU64::new(0),
            good: AtomicU32::new(0),
            quarantines: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    /// Whether a call may go to the plugin now. Of those that come when a probe is due, one gets it.
    pub(crate) fn admit(&self) -> Pass {
        let until = self.until.load(Ordering::Acquire);
        if until == 0 {
            return Pass::Free;
        }
        let now = self.clock.now_ms();
        if now >= until {
            // A probe that never comes back is followed by another one after the same time.
            let next = now.saturating_add(self.settings.cooldown_ms).max(until.saturating_add(1));
            if self.until.compare_exchange(until, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Pass::Probe(next);
            }
        }
        self.skipped.fetch_add(1, Ordering::Relaxed);
        Pass::Not
    }

    /// What came of a call that was let through.
    pub(crate) fn done(&self, pass: Pass, failed: bool) -> Option<Turn> {
        match pass {
            Pass::Free => self.count(failed),
            Pass::Probe(lease) if failed => {
                self.good.store(0, Ordering::Relaxed);
                self.after_probe(lease, self.clock.now_ms().saturating_add(self.settings.cooldown_ms));
                None
            }
            Pass::Probe(lease) => {
                if self.good.fetch_add(1, Ordering::Relaxed).saturating_add(1) < self.settings.probes {
                    self.after_probe(lease, self.clock.now_ms());
                    return None;
                }
                self.recent.iter().for_each(|call| call.store(0, Ordering::Relaxed));
                self.after_probe(lease, 0).then_some(Turn::Recovered)
            }
            Pass::Not => None,
        }
    }

    /// Whether the plugin is in quarantine, its probes included.
    pub(crate) fn is_open(&self) -> bool {
        self.until.load(Ordering::Relaxed) != 0
    }

    /// How often it was put in quarantine.
    pub(crate) fn quarantines(&self) -> u64 {
        self.quarantines.load(Ordering::Relaxed)
    }

    /// Calls that did not go to it for that.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Only the latest probe says how it goes on.
    fn after_probe(&self, lease: u64, until: u64) -> bool {
        self.until.compare_exchange(lease, until, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn count(&self, failed: bool) -> Option<Turn> {
        let now = self.clock.now_ms();
        let index = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(self.recent.len())?;
        self.recent.get(index)?.store(now.saturating_mul(2) | u64::from(failed), Ordering::Relaxed);
        if !failed {
            return None;
        }
        let from = now.saturating_sub(self.settings.window_ms);
        let recent = self.recent.iter().map(|call| call.load(Ordering::Relaxed));
        let faults = recent.filter(|call| call & 1 == 1 && call / 2 >= from).count();
        if faults < self.settings.faults as usize {
            return None;
        }
        let until = now.saturating_add(self.settings.cooldown_ms).max(1);
        // Calls that are under way fail later: one of them is enough.
        self.until.compare_exchange(0, until, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        self.good.store(0, Ordering::Relaxed);
        self.quarantines.fetch_add(1, Ordering::Relaxed);
        Some(Turn::Quarantined)
    }
}

#[cfg(test)]
mod tests;
