//! The tenants that have a log, and where their logs end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use portcullis_model::Digest;

use crate::heads::Heads;
use crate::layout::TenantId;
use crate::vault::{TenantKeys, Vault, VaultError};

/// Number and hash of a last entry.
pub(crate) type Tail = (u64, Digest);

/// One tenant.
pub(crate) struct Tenant {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its id in the store.
    pub(crate) id: TenantId,
    /// The last entry that is durable: what readers see.
    durable: Mutex<Option<Tail>>,
    /// The last entry that has its place: what the writer chains to.
    placed: Mutex<Option<Tail>>,
    keys: Mutex<Option<Arc<TenantKeys>>>,
}

impl Tenant {
    fn new(name: Arc<str>, tail: Option<Tail>) -> Self {
        let id = TenantId::of(&name);
        Self { name, id, durable: Mutex::new(tail), placed: Mutex::new(tail), keys: Mutex::new(None) }
    }

    /// Last durable entry.
    pub(crate) fn durable(&self) -> Option<Tail> {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that everything placed is durable.
    pub(crate) fn publish(&self, tail: Tail) {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = Some(tail);
    }

    /// Last placed entry. Only the writer asks.
    pub(crate) fn placed(&self) -> Option<Tail> {
        *self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places an entry. Only the writer does.
    pub(crate) fn place(&self, tail: Tail) {
        *self.placed.lock().unwrap_or_else(PoisonError::into_inner) = Some(tail);
    }

    /// Its keys, made at the first use.
    pub(crate) fn keys(&self, vault: &Vault) -> Result<Arc<TenantKeys>, VaultError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = &*keys {
            return Ok(Arc::clone(keys));
        }
        let made = Arc::new(vault.tenant(self.id)?);
        *keys = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Destroys its keys and makes others.
    pub(crate) fn replace_keys(&self, vault: &Vault) -> Result<(), VaultError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        *keys = None;
        *keys = Some(Arc::new(vault.replace(self.id)?));
        Ok(())
    }
}

/// All tenants.
#[derive(Default)]
pub(crate) struct Tenants {
    by_name: RwLock<HashMap<Arc<str>, Arc<Tenant>>>,
}

impl Tenants {
    /// The tenants found in the store.
    pub(crate) fn new(found: impl IntoIterator<Item = (Arc<str>, Tail)>) -> Self {
        let tenants =
            found.into_iter().map(|(name, tail)| (Arc::clone(&name), Arc::new(Tenant::new(name, Some(tail)))));
        Self { by_name: RwLock::new(tenants.collect()) }
    }

    /// A known tenant.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Tenant>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    /// A tenant, new or not.
    pub(crate) fn get_or_add(&self, name: &Arc<str>) -> Arc<Tenant> {
        self.get(name).unwrap_or_else(|| {
            let mut tenants = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
            let tenant =
                tenants.entry(Arc::clone(name)).or_insert_with(|| Arc::new(Tenant::new(Arc::clone(name), None)));
            Arc::clone(tenant)
        })
    }

    /// The names of all that have entries, sorted.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let tenants = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = tenants.values().filter(|tenant| tenant.durable().is_some()).collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names.into_iter().map(|tenant| Arc::clone(&tenant.name)).collect()
    }

    /// Where all logs end.
    pub(crate) fn heads(&self) -> Heads {
        let tenants = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        tenants.values().filter_map(|tenant| Some((tenant.id, tenant.durable()?))).collect()
    }
}
