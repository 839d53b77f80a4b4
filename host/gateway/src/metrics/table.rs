use std::collections::HashMap;
use std::hash::Hash;

use arc_swap::ArcSwap;

/// Metrics by their labels, found without a lock: a `Family` takes one each time it is asked. A new key copies the
/// table, so this is for the few label sets that a configuration makes.
pub(super) struct Table<K, M>(ArcSwap<HashMap<K, M>>);

impl<K, M> Default for Table<K, M> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<K: Eq + Hash + Clone, M: Clone> Table<K, M> {
    /// Uses the metric of this key; `make` finds it the first time.
    pub(super) fn with(&self, key: &K, make: impl FnOnce() -> M, using: impl FnOnce(&M)) {
        if let Some(metric) = self.0.load().get(key) {
            return using(metric);
        }
        let metric = make();
        self.0.rcu(|table| {
            let mut table = HashMap::clone(table);
            table.insert(key.clone(), metric.clone());
            table
        });
        using(&metric);
    }
}
