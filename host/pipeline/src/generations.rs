use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_model::{Call, Digest, Judgement};

use crate::Generation;

/// The current generation of every tenant.
///
/// Reading is one atomic load of an immutable map, without locks; writing replaces the map. A call that runs keeps the
/// generation it started with.
#[derive(Debug, Default)]
pub struct Generations {
    current: ArcSwap<HashMap<Arc<str>, Arc<Generation>>>,
}

impl Generations {
    /// No tenant has a generation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tenant's current generation.
    #[must_use]
    pub fn current(&self, tenant: &str) -> Option<Arc<Generation>> {
        self.current.load().get(tenant).cloned()
    }

    /// Judges a call by its tenant's current generation; `None` if the tenant has none.
    #[must_use]
    pub fn judge(&self, call: &Call) -> Option<Judgement> {
        Some(self.current(&call.tenant)?.judge(call))
    }

    /// The same, unless that may wait for somebody else's answer: then it is `None`, and nothing is done.
    #[must_use]
    pub fn judge_at_once(&self, call: &Call) -> Option<Option<Judgement>> {
        let Some(current) = self.current(&call.tenant) else { return Some(None) };
        (!current.waits(call)).then(|| Some(current.judge(call)))
    }

    /// Whether judging this call may wait for somebody else's answer.
    #[must_use]
    pub fn waits(&self, call: &Call) -> bool {
        self.current(&call.tenant).is_some_and(|current| current.waits(call))
    }

    /// Makes a generation its tenant's current one; returns the id of the one before.
    pub fn activate(&self, generation: Arc<Generation>) -> Option<Digest> {
        let before = self.current.rcu(|current| {
            let mut next = HashMap::clone(current);
            next.insert(Arc::clone(generation.tenant()), Arc::clone(&generation));
            next
        });
        before.get(generation.tenant()).map(|generation| generation.id())
    }

    /// Makes these the current generations, all at once; tenants that are not among them have none afterwards.
    pub fn replace(&self, generations: impl IntoIterator<Item = Arc<Generation>>) {
        let next = generations.into_iter().map(|generation| (Arc::clone(generation.tenant()), generation)).collect();
        self.current.store(Arc::new(next));
    }

    /// All current generations, in the order of their tenants' names.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Generation>> {
        let mut all: Vec<_> = self.current.load().values().cloned().collect();
        all.sort_by(|a, b| a.tenant().cmp(b.tenant()));
        all
    }
}

#[cfg(test)]
mod tests;
