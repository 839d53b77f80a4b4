//! How much one side of a conversation may say of its own accord.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many messages at once.
pub(crate) const BURST: u32 = 500;
/// After that, one in so much time: 50 in a second.
const EACH: Duration = Duration::from_millis(20);
/// How often it is said that there was more.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// A bucket of messages that fills with time.
pub(crate) struct Pace(Mutex<Bucket>);

struct Bucket {
    left: u32,
    /// Until when it was filled.
    filled: Instant,
    /// Messages beyond it that nothing was said about yet.
    unsaid: u64,
    said: Option<Instant>,
}

/// The message is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// How many there were since the last time, if it is time to say so.
    pub(crate) say: Option<u64>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bucket { left: BURST, filled: Instant::now(), unsaid: 0, said: None }))
    }

    /// Takes one message out.
    pub(crate) fn take(&self) -> Result<(), TooFast> {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Result<(), TooFast> {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.filled).as_millis() / EACH.as_millis();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        bucket.left = bucket.left.saturating_add(passed).min(BURST);
        // What is left of the time counts the next time; a full bucket takes nothing with it.
        bucket.filled = if bucket.left == BURST { now } else { bucket.filled + EACH * passed };
        if let Some(left) = bucket.left.checked_sub(1) {
            bucket.left = left;
            return Ok(());
        }
        bucket.unsaid = bucket.unsaid.saturating_add(1);
        let due = bucket.said.is_none_or(|said| now.saturating_duration_since(said) >= SAID_EVERY);
        let say = due.then(|| {
            bucket.said = Some(now);
            std::mem::take(&mut bucket.unsaid)
        });
        Err(TooFast { say })
    }
}

#[cfg(test)]
mod tests;
