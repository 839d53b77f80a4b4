use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_engine::{LabelStore, MemoryLabels, MemoryState, Scope, StateStore, StoreError};

/// State and labels that are emptied before each case, as the doubles of the native harness are.
#[derive(Default)]
pub struct PerCase(Mutex<(Arc<MemoryState>, Arc<MemoryLabels>)>);

impl PerCase {
    /// Forgets everything.
    pub fn reset(&self) {
        *self.lock() = Default::default();
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<MemoryState>, Arc<MemoryLabels>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> Arc<MemoryState> {
        self.lock().0.clone()
    }

    fn labels(&self) -> Arc<MemoryLabels> {
        self.lock().1.clone()
    }
}

impl StateStore for PerCase {
    fn increment(&self, scope: Scope<'_>, key: &str, by: u64, window: u32, now_ms: u64) -> Result<u64, StoreError> {
        self.state().increment(scope, key, by, window, now_ms)
    }

    fn get(&self, scope: Scope<'_>, key: &str, now_ms: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.state().get(scope, key, now_ms)
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
        self.state().replace(scope, key, expected, value, ttl_seconds, now_ms)
    }

    fn keys(&self, scope: Scope<'_>, prefix: &str, now_ms: u64) -> Result<Vec<String>, StoreError> {
        self.state().keys(scope, prefix, now_ms)
    }
}

impl LabelStore for PerCase {
    fn add(&self, tenant: &str, session: &str, label: &str, value: &str, now_ms: u64) -> Result<(), StoreError> {
        self.labels().add(tenant, session, label, value, now_ms)
    }

    fn all(&self, tenant: &str, session: &str, now_ms: u64) -> Vec<(String, String)> {
        self.labels().all(tenant, session, now_ms)
    }
}
