//! Stops asking a model that keeps failing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which it is left alone, and for how long.
const FAILURES: u32 = 5;
const REST: Duration = Duration::from_secs(30);

/// Counts failures in a row. After five nobody is let in for half a minute; then one question finds out how things are.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    rests_until: Option<Instant>,
    probing: bool,
}

/// Somebody who was let in. Dropped without a word, nothing was found out.
pub(super) struct Entrance<'b> {
    breaker: &'b Breaker,
    probe: bool,
}

impl Breaker {
    /// Lets a question in, or not.
    pub(super) fn enter(&self) -> Option<Entrance<'_>> {
        self.with(|state| match state.rests_until {
            None => Some(false),
            Some(until) if until > Instant::now() || state.probing => None,
            Some(_) => {
                state.probing = true;
                Some(true)
            }
        })
        .map(|probe| Entrance { breaker: self, probe })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Entrance<'_> {
    /// It answered.
    pub(super) fn worked(&self) {
        self.breaker.with(|state| *state = State { probing: state.probing, ..State::default() });
    }

    /// It did not.
    pub(super) fn failed(&self) {
        self.breaker.with(|state| {
            state.failures = state.failures.saturating_add(1);
            if self.probe || state.failures >= FAILURES {
                state.rests_until = Some(Instant::now() + REST);
            }
        });
    }
}

impl Drop for Entrance<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.with(|state| state.probing = false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_five_failures_and_closes_after_a_good_probe() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            breaker.enter().unwrap().failed();
        }
        breaker.enter().unwrap().worked();
        for _ in 0..5 {
            breaker.enter().unwrap().failed();
        }
        assert!(breaker.enter().is_none());
        tokio::time::advance(REST).await;
        let probe = breaker.enter().unwrap();
        assert!(breaker.enter().is_none(), "one probe at a time");
        probe.failed();
        drop(probe);
        assert!(breaker.enter().is_none(), "one failed probe is enough");
        tokio::time::advance(REST).await;
        drop(breaker.enter().unwrap());
        let probe = breaker.enter().expect("a probe that found nothing out makes room for another");
        probe.worked();
        drop(probe);
        let both = (breaker.enter(), breaker.enter());
        assert!(both.0.is_some() && both.1.is_some());
    }
}
