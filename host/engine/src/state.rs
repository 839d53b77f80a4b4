use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::store::{Persist, Scope, Shards, StoreError, bounded, join_key, split_key};

/// Longest key.
const MAX_KEY: usize = 256;
/// Longest value.
const MAX_VALUE: usize = 64 * 1024;
/// Most keys of one plugin in one tenant.
const MAX_KEYS: usize = 10_000;
/// Most bytes of values of one plugin in one tenant.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// A sliding window is counted in this many steps, so that a counter stays small however much is counted.
const STEPS: u64 = 60;

/// Counters and small values of one plugin in one tenant; atomic. Times are those of the calls, so that the same calls
/// give the same answers.
pub trait StateStore: Send + Sync {
    /// Adds `by` to a counter over a sliding window and returns the sum with it. A window of 0 never forgets.
    ///
    /// # Errors
    /// No room, a key that is too long or holds a value.
    fn increment(
        &self,
        scope: Scope<'_>,
        key: &str,
        by: u64,
        window_seconds: u32,
        now_ms: u64,
    ) -> Result<u64, StoreError>;

    /// The value under a key, or none.
    ///
    /// # Errors
    /// A key that is too long or holds a counter.
    fn get(&self, scope: Scope<'_>, key: &str, now_ms: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces a value if it still equals `expected` (none: if there is none), and says whether it did. `ttl_seconds`
    /// of 0 keeps it.
    ///
    /// # Errors
    /// No room, a key or value that is too long, a key that holds a counter.
    fn replace(
        &self,
        scope: Scope<'_>,
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl_seconds: u32,
        now_ms: u64,
    ) -> Result<bool, StoreError>;

    /// The keys that begin with `prefix` and hold a value, in order. For the host only: a plugin knows its keys.
    ///
    /// # Errors
    /// The store cannot be reached.
    fn keys(&self, scope: Scope<'_>, prefix: &str, now_ms: u64) -> Result<Vec<String>, StoreError>;
}

/// The store in memory: bounded, sharded, durable when given a [`Persist`].
///
/// A window is counted in 60 steps, so that an increment is forgotten at most one step (a sixtieth of the window) early.
pub struct MemoryState {
    scopes: Shards<HashMap<ScopeKey, Keys>>,
    persist: Option<Arc<dyn Persist>>,
}

type ScopeKey = (Box<str>, Box<str>);

/// The keys of one plugin in one tenant.
#[derive(Default)]
struct Keys {
    slots: HashMap<Box<str>, Slot>,
    /// Bytes of all values.
    bytes: usize,
    /// Nothing that was there at the last sweep is over before this time.
    sweep_from: u64,
}

#[derive(Serialize, Deserialize)]
enum Slot {
    Counter {
        /// Milliseconds; 0 never forgets.
        window: u64,
        /// Start of a step in milliseconds and what was counted in it, oldest first.
        steps: VecDeque<(u64, u64)>,
    },
    Value {
        bytes: Vec<u8>,
        /// Milliseconds since the epoch; 0 never.
        expires: u64,
    },
}

impl Slot {
    fn expired(&self, now: u64) -> bool {
        match self {
            Self::Counter { window: 0, .. } | Self::Value { expires: 0, .. } => false,
            Self::Counter { window, steps } => {
                steps.back().is_none_or(|(start, _)| start.saturating_add(*window) <= now)
            }
            Self::Value { expires, .. } => *expires <= now,
        }
    }

    /// When it is over if nothing happens to it, in milliseconds since the epoch.
    fn end(&self) -> u64 {
        match self {
            Self::Counter { window: 0, .. } | Self::Value { expires: 0, .. } => u64::MAX,
            Self::Counter { window, steps } => steps.back().map_or(0, |(start, _)| start.saturating_add(*window)),
            Self::Value { expires, .. } => *expires,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Counter { .. } => 0,
            Self::Value { bytes, .. } => bytes.len(),
        }
    }
}

impl Keys {
    /// Makes room for a key that is not there yet and for `bytes` more; `gone` is told which keys went for it.
    fn reserve(&mut self, key: &str, bytes: usize, now: u64, gone: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let full = |keys: &Self| {
            let another = usize::from(!keys.slots.contains_key(key));
            keys.slots.len() + another > MAX_KEYS || keys.bytes + bytes > MAX_BYTES
        };
        // A full store whose keys all live is not walked through for each new one.
        if full(self) && now >= self.sweep_from {
            self.slots.retain(|name, slot| {
                let over = slot.expired(now);
                if over {
                    gone(name);
                }
                !over
            });
            self.bytes = self.slots.values().map(Slot::bytes).sum();
            self.sweep_from = self.slots.values().map(Slot::end).min().unwrap_or(0);
        }
        if full(self) { Err(StoreError::Full("the state of this plugin")) } else { Ok(()) }
    }

    fn insert(&mut self, key: &str, slot: Slot) {
        self.bytes += slot.bytes();
        self.sweep_from = self.sweep_from.min(slot.end());
        if let Some(old) = self.slots.insert(Box::from(key), slot) {
            self.bytes = self.bytes.saturating_sub(old.bytes());
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(old) = self.slots.remove(key) {
            self.bytes = self.bytes.saturating_sub(old.bytes());
        }
    }
}

impl Default for MemoryState {
    fn default() -> Self {
        Self::new(None)
    }
}

impl MemoryState {
    /// A store that starts with what `persist` kept.
    #[must_use]
    pub fn new(persist: Option<Arc<dyn Persist>>) -> Self {
        let store = Self { scopes: Shards::new(), persist };
        for (name, value) in store.persist.iter().flat_map(|persist| persist.load()) {
            let parsed = split_key::<3>(&name).zip(serde_json::from_slice(&value).ok());
            let Some(([tenant, plugin, key], slot)) = parsed else {
                tracing::warn!("a kept plugin state could not be read and is left out");
                continue;
            };
            if let Ok(mut shard) = store.scopes.lock((tenant, plugin)) {
                shard.entry((Box::from(tenant), Box::from(plugin))).or_default().insert(key, slot);
            }
        }
        store
    }

    fn with<T>(
        &self,
        scope: Scope<'_>,
        key: &str,
        change: impl FnOnce(&mut Keys) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        bounded("the key", key.len(), MAX_KEY)?;
        let mut shard = self.scopes.lock((scope.tenant, scope.plugin))?;
        change(shard.entry((Box::from(scope.tenant), Box::from(scope.plugin))).or_default())
    }

    /// Called under the shard's lock, so that the copies are kept in the order of the changes.
    fn keep(&self, scope: Scope<'_>, key: &str, slot: Option<&Slot>) {
        let Some(persist) = &self.persist else { return };
        let value = slot.and_then(|slot| serde_json::to_vec(slot).ok());
        let name = join_key(&[scope.tenant.as_bytes(), scope.plugin.as_bytes(), key.as_bytes()]);
        persist.put(&name, value.as_deref());
    }
}

impl StateStore for MemoryState {
    fn increment(
        &self,
        scope: Scope<'_>,
        key: &str,
        by: u64,
        window_seconds: u32,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let wanted = u64::from(window_seconds) * 1000;
        self.with(scope, key, |keys| {
            keys.reserve(key, 0, now_ms, &mut |gone| self.keep(scope, gone, None))?;
            if keys.slots.get(key).is_some_and(|slot| slot.expired(now_ms)) {
                keys.remove(key);
            }
            let slot = keys
                .slots
                .entry(Box::from(key))
                .or_insert_with(|| Slot::Counter { window: wanted, steps: VecDeque::new() });
            let Slot::Counter { window, steps } = slot else { return Err(StoreError::Kind("value")) };
            *window = wanted;
            let start = if wanted == 0 { 0 } else { now_ms - now_ms % (wanted / STEPS).max(1) };
            if wanted > 0 {
                steps.retain(|(step, _)| step.saturating_add(wanted) > now_ms);
            }
            match steps.back_mut() {
                // A call taken earlier may come later; it is counted in the newest step.
                Some((newest, sum)) if *newest >= start => *sum = sum.saturating_add(by),
                _ => steps.push_back((start, by)),
            }
            let sum = steps.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
            self.keep(scope, key, Some(slot));
            let end = slot.end();
            keys.sweep_from = keys.sweep_from.min(end);
            Ok(sum)
        })
    }

    fn get(&self, scope: Scope<'_>, key: &str, now_ms: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(scope, key, |keys| match keys.slots.get(key).filter(|slot| !slot.expired(now_ms)) {
            None => Ok(None),
            Some(Slot::Value { bytes, .. }) => Ok(Some(bytes.clone())),
            Some(Slot::Counter { .. }) => Err(StoreError::Kind("counter")),
        })
    }

    fn replace(
        &self,
        scope: Scope<'_>,
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl_seconds: u32,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        bounded("the value", value.map_or(0, <[u8]>::len), MAX_VALUE)?;
        self.with(scope, key, |keys| {
            let current = match keys.slots.get(key).filter(|slot| !slot.expired(now_ms)) {
                None => None,
                Some(Slot::Value { bytes, .. }) => Some(bytes.as_slice()),
                Some(Slot::Counter { .. }) => return Err(StoreError::Kind("counter")),
            };
            if current != expected {
                return Ok(false);
            }
            let before = current.map_or(0, <[u8]>::len);
            let Some(value) = value else {
                keys.remove(key);
                self.keep(scope, key, None);
                return Ok(true);
            };
            // Only what comes on top needs room: in a full store a value can still change, or shrink.
            let more = value.len().saturating_sub(before);
            keys.reserve(key, more, now_ms, &mut |gone| self.keep(scope, gone, None))?;
            let expires = if ttl_seconds == 0 { 0 } else { now_ms.saturating_add(u64::from(ttl_seconds) * 1000) };
            let slot = Slot::Value { bytes: value.to_vec(), expires };
            self.keep(scope, key, Some(&slot));
            keys.insert(key, slot);
            Ok(true)
        })
    }

    fn keys(&self, scope: Scope<'_>, prefix: &str, now_ms: u64) -> Result<Vec<String>, StoreError> {
        self.with(scope, prefix, |keys| {
            let value = |slot: &Slot| matches!(slot, Slot::Value { .. }) && !slot.expired(now_ms);
            let found = keys.slots.iter().filter(|(key, slot)| key.starts_with(prefix) && value(slot));
            let mut found: Vec<String> = found.map(|(key, _)| key.to_string()).collect();
            found.sort_unstable();
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests;
