//! Token buckets without locks: the generic cell rate algorithm (ITU-T I.371), one atomic word per bucket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Highest rate and burst: above it a limit means nothing.
const MAX: f64 = 1_000_000.0;
const NANOS: f64 = 1e9;

/// How many calls are let through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Calls per second in the long run: more than 0, at most a million.
    pub per_second: f64,
    /// Calls at once after a pause: 1 to a million.
    pub burst: u32,
}

/// A limit is used up for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit is used up; try again in {retry_after_s} s")]
pub struct RateLimited {
    /// Seconds until one more call passes; at least 1.
    pub retry_after_s: u32,
}

/// The fill of one bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    epoch: Instant,
    /// Nanoseconds since `epoch` at which the bucket is full again.
    full_at: AtomicU64,
}

impl RateLimit {
    /// Whether both figures are in range.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        // One call in a day is the slowest that makes sense; it also keeps the arithmetic far from its ends.
        self.per_second.is_finite()
            && self.per_second >= 1.0 / 86_400.0
            && self.per_second <= MAX
            && (1.0..=MAX).contains(&f64::from(self.burst))
    }

    /// Nanoseconds that one call takes from the bucket.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "valid rates give 1e3 to 8.64e13")]
    fn cost(&self) -> u64 {
        (NANOS / self.per_second) as u64
    }

    fn capacity(&self) -> u64 {
        self.cost().saturating_mul(u64::from(self.burst))
    }
}

impl Bucket {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), full_at: AtomicU64::new(0) }
    }

    /// Takes so many calls out, or none.
    pub(crate) fn take(&self, limit: &RateLimit, calls: u32, now: Instant) -> Result<(), RateLimited> {
        let now = nanos(now.saturating_duration_since(self.epoch));
        let latest = now.saturating_add(limit.capacity());
        // A limit that became smaller must not lock an agent out for longer than the new bucket takes to fill.
        let held = |full_at: u64| full_at.clamp(now, latest);
        let after = |full_at: u64| held(full_at).saturating_add(limit.cost().saturating_mul(u64::from(calls)));
        let update = |full_at| match after(full_at) {
            next if next <= latest => Some(next),
            _ => (held(full_at) != full_at).then(|| held(full_at)),
        };
        let before = match self.full_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, update) {
            Ok(before) | Err(before) => before,
        };
        let missing = after(before).saturating_sub(latest);
        if missing == 0 {
            return Ok(());
        }
        let seconds = missing.div_ceil(1_000_000_000).max(1);
        Err(RateLimited { retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX) })
    }

    /// Puts calls back that were taken but not made.
    pub(crate) fn give_back(&self, limit: &RateLimit, calls: u32) {
        let cost = limit.cost().saturating_mul(u64::from(calls));
        // An update that always answers `Some` cannot fail.
        let _ = self.full_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |at| Some(at.saturating_sub(cost)));
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn limit(per_second: f64, burst: u32) -> RateLimit {
        RateLimit { per_second, burst }
    }

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let (bucket, limit) = (Bucket::new(), limit(2.0, 3));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(bucket.take(&limit, 1, start), Ok(()));
        }
        assert_eq!(bucket.take(&limit, 1, start), Err(RateLimited { retry_after_s: 1 }));
        assert_eq!(bucket.take(&limit, 1, start + Duration::from_millis(500)), Ok(()));
        assert!(bucket.take(&limit, 1, start + Duration::from_millis(900)).is_err());
        assert_eq!(bucket.take(&limit, 1, start + Duration::from_millis(1000)), Ok(()));
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let (bucket, limit) = (Bucket::new(), limit(0.1, 1));
        let start = Instant::now();
        assert_eq!(bucket.take(&limit, 1, start), Ok(()));
        let RateLimited { retry_after_s } = bucket.take(&limit, 1, start + Duration::from_millis(2500)).unwrap_err();
        assert_eq!(retry_after_s, 8);
        assert_eq!(bucket.take(&limit, 1, start + Duration::from_millis(2500 + 8000)), Ok(()));
    }

    #[test]
    fn a_call_given_back_can_be_taken_again() {
        let (bucket, limit) = (Bucket::new(), limit(1.0, 1));
        let start = Instant::now();
        assert_eq!(bucket.take(&limit, 1, start), Ok(()));
        bucket.give_back(&limit, 1);
        assert_eq!(bucket.take(&limit, 1, start), Ok(()));
    }

    #[test]
    fn calls_that_go_together_pass_together_or_take_nothing() {
        let (bucket, limit) = (Bucket::new(), limit(1.0, 3));
        let start = Instant::now();
        assert_eq!(bucket.take(&limit, 2, start), Ok(()));
        assert_eq!(bucket.take(&limit, 2, start), Err(RateLimited { retry_after_s: 1 }));
        assert_eq!(bucket.take(&limit, 1, start), Ok(()), "the refused two took nothing");
        let later = start + Duration::from_secs(60);
        assert!(bucket.take(&limit, 4, later).is_err(), "more than the burst");
        assert_eq!(bucket.take(&limit, 3, later), Ok(()));
    }

    #[test]
    fn a_smaller_limit_does_not_lock_out_for_longer_than_it_takes_to_fill() {
        let bucket = Bucket::new();
        let start = Instant::now();
        while bucket.take(&limit(0.01, 100), 1, start).is_ok() {}
        let new = limit(1.0, 2);
        assert_eq!(bucket.take(&new, 1, start), Err(RateLimited { retry_after_s: 1 }));
        assert_eq!(bucket.take(&new, 1, start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn limits_out_of_range_are_told() {
        for bad in [limit(0.0, 1), limit(-1.0, 1), limit(f64::NAN, 1), limit(f64::INFINITY, 1), limit(1.0, 0)] {
            assert!(!bad.is_valid(), "{bad:?}");
        }
        assert!(limit(0.5, 1).is_valid());
    }

    #[test]
    fn threads_together_get_no_more_than_the_burst() {
        let (bucket, limit) = (Bucket::new(), limit(0.001, 1000));
        let (passed, now) = (AtomicU32::new(0), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        if bucket.take(&limit, 1, now).is_ok() {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.load(Ordering::Relaxed), 1000);
    }
}
