//! Answers that a plugin got before.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use portcullis_model::Digest;
use tokio::time::Instant;

use super::JudgeCache;

/// What an entry takes besides its text.
const OVERHEAD: usize = 128;

/// Answers by question, the oldest first to go.
pub(super) struct Cache {
    config: JudgeCache,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: HashMap<Digest, (Instant, Box<str>)>,
    /// In the order they came.
    order: VecDeque<(Instant, Digest)>,
    bytes: usize,
}

impl Cache {
    pub(super) fn new(config: JudgeCache) -> Self {
        Self { config, kept: Mutex::default() }
    }

    pub(super) fn get(&self, question: Digest) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, answer) = kept.answers.get(&question)?;
        (since.elapsed() < self.config.keep).then(|| answer.to_string())
    }

    pub(super) fn put(&self, question: Digest, answer: &str) {
        let JudgeCache { keep, entries, bytes } = self.config;
        let size = answer.len() + OVERHEAD;
        if keep.is_zero() || entries == 0 || size > bytes {
            return;
        }
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(question);
        while kept.answers.len() >= entries || kept.bytes + size > bytes {
            let Some((since, oldest)) = kept.order.pop_front() else { break };
            // Its place in the order may be of an answer that was replaced since.
            if kept.answers.get(&oldest).is_some_and(|(own, _)| *own == since) {
                kept.remove(oldest);
            }
        }
        // Replaced answers leave their places behind: not more of them than answers.
        if kept.order.len() > 2 * entries {
            let Kept { answers, order, .. } = &mut *kept;
            order.retain(|(since, digest)| answers.get(digest).is_some_and(|(own, _)| own == since));
        }
        kept.bytes += size;
        kept.answers.insert(question, (now, answer.into()));
        kept.order.push_back((now, question));
    }
}

impl Kept {
    fn remove(&mut self, question: Digest) {
        if let Some((_, answer)) = self.answers.remove(&question) {
            self.bytes = self.bytes.saturating_sub(answer.len() + OVERHEAD);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn question(number: u32) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_in_time_entries_and_bytes() {
        let config = JudgeCache { keep: Duration::from_secs(60), entries: 3, bytes: 1000 };
        let cache = Cache::new(config);
        for number in 0..4 {
            cache.put(question(number), "a");
        }
        assert_eq!((cache.get(question(0)), cache.get(question(3))), (None, Some("a".to_owned())));
        cache.put(question(9), &"x".repeat(600));
        assert_eq!((cache.get(question(1)), cache.get(question(3)).is_some()), (None, true));
        cache.put(question(8), &"x".repeat(1000));
        assert_eq!(cache.get(question(8)), None, "too large to be kept");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(cache.get(question(9)), None, "too old");
        for _ in 0..100 {
            cache.put(question(5), "again");
        }
        let kept = cache.kept.lock().unwrap();
        assert!(kept.order.len() <= 7 && kept.answers.len() <= 3 && kept.bytes <= 1000, "{}", kept.order.len());
        let none = Cache::new(JudgeCache { keep: Duration::ZERO, ..config });
        none.put(question(1), "a");
        assert_eq!(none.get(question(1)), None);
    }
}
