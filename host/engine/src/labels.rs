use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::store::{Persist, Shards, StoreError, bounded, join_key, split_key};

/// Longest name of a label.
const MAX_LABEL: usize = 128;
/// Longest value of a label.
const MAX_VALUE: usize = 1024;
/// Most labels of one session.
const MAX_LABELS: usize = 256;
/// Most sessions with labels in one tenant.
const MAX_SESSIONS: usize = 100_000;
/// A session whose last label is older is over.
const SESSION_MS: u64 = 24 * 60 * 60 * 1000;

/// Labels that a session carries from call to call.
pub trait LabelStore: Send + Sync {
    /// Adds a label; the same label with the same value is kept once.
    ///
    /// # Errors
    /// No room, or a label or value that is too long.
    fn add(&self, tenant: &str, session: &str, label: &str, value: &str, now_ms: u64) -> Result<(), StoreError>;

    /// All labels of a session, oldest first.
    fn all(&self, tenant: &str, session: &str, now_ms: u64) -> Vec<(String, String)>;
}

/// The store in memory: bounded, sharded, durable when given a [`Persist`].
///
/// Labels are forgotten 24 hours after the last one was added. A full store refuses new sessions and never forgets
/// early: a forgotten taint would let through what it was to stop.
pub struct MemoryLabels {
    tenants: Shards<HashMap<Box<str>, Sessions>>,
    persist: Option<Arc<dyn Persist>>,
}

/// The sessions of a tenant, by name.
type Sessions = HashMap<Box<str>, Session>;

#[derive(Default, Serialize, Deserialize)]
struct Session {
    labels: Vec<(String, String)>,
    /// Milliseconds since the epoch.
    changed: u64,
}

impl Session {
    fn over(&self, now: u64) -> bool {
        self.changed.saturating_add(SESSION_MS) <= now
    }
}

impl Default for MemoryLabels {
    fn default() -> Self {
        Self::new(None)
    }
}

impl MemoryLabels {
    /// A store that starts with what `persist` kept.
    #[must_use]
    pub fn new(persist: Option<Arc<dyn Persist>>) -> Self {
        let store = Self { tenants: Shards::new(), persist };
        for (name, value) in store.persist.iter().flat_map(|persist| persist.load()) {
            let parsed = split_key::<2>(&name).zip(serde_json::from_slice(&value).ok());
            let Some(([tenant, session], labels)) = parsed else {
                tracing::warn!("kept session labels could not be read and are left out");
                continue;
            };
            if let Ok(mut shard) = store.tenants.lock(tenant) {
                shard.entry(Box::from(tenant)).or_default().insert(Box::from(session), labels);
            }
        }
        store
    }

    fn keep(&self, tenant: &str, name: &str, session: Option<&Session>) {
        let Some(persist) = &self.persist else { return };
        let value = session.and_then(|session| serde_json::to_vec(session).ok());
        persist.put(&join_key(&[tenant.as_bytes(), name.as_bytes()]), value.as_deref());
    }
}

impl LabelStore for MemoryLabels {
    fn add(&self, tenant: &str, session: &str, label: &str, value: &str, now_ms: u64) -> Result<(), StoreError> {
        bounded("the label", label.len(), MAX_LABEL)?;
        bounded("the label's value", value.len(), MAX_VALUE)?;
        let mut shard = self.tenants.lock(tenant)?;
        let sessions = shard.entry(Box::from(tenant)).or_default();
        if sessions.len() >= MAX_SESSIONS && !sessions.contains_key(session) {
            sessions.retain(|name, kept| {
                let over = kept.over(now_ms);
                if over {
                    self.keep(tenant, name, None);
                }
                !over
            });
            if sessions.len() >= MAX_SESSIONS {
                return Err(StoreError::Full("the label store of this tenant"));
            }
        }
        let kept = sessions.entry(Box::from(session)).or_default();
        if kept.over(now_ms) {
            kept.labels.clear();
        }
        if !kept.labels.iter().any(|(old, content)| old == label && content == value) {
            if kept.labels.len() >= MAX_LABELS {
                return Err(StoreError::Full("the label list of this session"));
            }
            kept.labels.push((label.to_owned(), value.to_owned()));
        }
        kept.changed = kept.changed.max(now_ms);
        self.keep(tenant, session, Some(kept));
        Ok(())
    }

    fn all(&self, tenant: &str, session: &str, now_ms: u64) -> Vec<(String, String)> {
        let Ok(shard) = self.tenants.lock(tenant) else { return Vec::new() };
        let kept = shard.get(tenant).and_then(|sessions| sessions.get(session));
        kept.filter(|kept| !kept.over(now_ms)).map(|kept| kept.labels.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
