//! What the state and label stores have in common.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{LabelStore, MemoryLabels, MemoryState, StateStore};

/// Shards of an in-memory store: calls of different tenants rarely meet at a lock.
const SHARDS: usize = 64;

/// Whose state is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope<'a> {
    /// Owner.
    pub tenant: &'a str,
    /// Name of the plugin in the pipeline.
    pub plugin: &'a str,
}

/// Why a store did not do what a plugin asked. The plugin gets the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room for another key, value, session or label.
    #[error("{0} is full")]
    Full(&'static str),
    /// A key, value, label or window beyond its bound.
    #[error("{what} is longer than {most} bytes")]
    TooLong {
        /// What.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// A counter is read as a value or the other way round.
    #[error("the key holds a {0}")]
    Kind(&'static str),
    /// The store cannot be reached.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

/// Where an in-memory store keeps a durable copy. Called on the path of a call, so it must queue and not wait.
pub trait Persist: Send + Sync {
    /// Keeps a value under a key, or removes it.
    fn put(&self, key: &[u8], value: Option<&[u8]>);

    /// Everything kept so far; read once, when the store is built.
    fn load(&self) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// Where state and labels of plugins go.
#[derive(Clone)]
pub struct Stores {
    /// State.
    pub state: Arc<dyn StateStore>,
    /// Labels of sessions.
    pub labels: Arc<dyn LabelStore>,
}

impl Default for Stores {
    /// In memory, empty, and gone with the last plugin that uses them.
    fn default() -> Self {
        Self { state: Arc::new(MemoryState::default()), labels: Arc::new(MemoryLabels::default()) }
    }
}

/// Several locks instead of one.
pub(crate) struct Shards<T>(Vec<Mutex<T>>);

impl<T: Default> Shards<T> {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    /// Locks the shard that `key` belongs to.
    pub(crate) fn lock(&self, key: impl Hash) -> Result<MutexGuard<'_, T>, StoreError> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let position = usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or_default();
        let shard = self.0.get(position).ok_or_else(|| StoreError::Unavailable("no shard".to_owned()))?;
        // Nothing in a critical section can leave a shard half changed.
        Ok(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Joins the parts of a key, each with its length (4 bytes, big-endian) in front.
pub(crate) fn join_key(parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        key.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        key.extend_from_slice(part);
    }
    key
}

/// Takes a key of [`join_key`] apart; none if it is not one of `N` parts.
pub(crate) fn split_key<const N: usize>(mut key: &[u8]) -> Option<[&str; N]> {
    let mut parts = [""; N];
    for part in &mut parts {
        let (length, rest) = key.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        *part = std::str::from_utf8(text).ok()?;
        key = rest;
    }
    key.is_empty().then_some(parts)
}

pub(crate) fn bounded(what: &'static str, length: usize, most: usize) -> Result<(), StoreError> {
    if length > most { Err(StoreError::TooLong { what, most }) } else { Ok(()) }
}
