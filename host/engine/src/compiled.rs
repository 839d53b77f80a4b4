//! Compiled plugins, shared by all pipelines that load the same file with the same configuration, grants and limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use portcullis_model::{Digest, Role};
use wasmtime::component::{ComponentExportIndex, InstancePre};

use crate::call::CallState;
use crate::{Prepared, Tier};

/// A plugin as it is compiled and configured, without name and owner.
pub(crate) struct Compiled {
    pub(crate) digest: Digest,
    /// What it read of granted folders while it was configured.
    pub(crate) inputs: Option<Digest>,
    pub(crate) role: Role,
    pub(crate) tier: Tier,
    pub(crate) prepared: Prepared,
    pub(crate) pre: InstancePre<CallState>,
    /// What an instance takes of the pool.
    pub(crate) share: usize,
    /// `inspect`, `decide` or `route`.
    pub(crate) export: ComponentExportIndex,
    /// The configuration, where it could not be kept in the memory.
    pub(crate) configure: Option<(ComponentExportIndex, Box<str>)>,
}

/// What some pipeline still uses, by key. Never touched by a call.
#[derive(Default)]
pub(crate) struct InUse(Mutex<HashMap<Digest, Weak<Compiled>>>);

impl InUse {
    pub(crate) fn get(&self, key: Digest) -> Option<Arc<Compiled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key)?.upgrade()
    }

    /// Offers a plugin to later loads for as long as somebody uses it.
    pub(crate) fn put(&self, key: Digest, compiled: &Arc<Compiled>) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, kept| kept.strong_count() > 0);
        map.insert(key, Arc::downgrade(compiled));
    }
}
