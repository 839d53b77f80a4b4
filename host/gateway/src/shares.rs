//! Places that callers share: so many in all, so many of one tenant, so many of one caller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ports::Owner;

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) all: usize,
    pub(crate) of_tenant: usize,
    pub(crate) of_caller: usize,
}

/// The places. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    taken: AtomicUsize,
    callers: Mutex<HashMap<Owner, usize>>,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Shares,
    caller: Owner,
}

impl Shares {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, taken: AtomicUsize::new(0), callers: Mutex::default() }))
    }

    /// A place for this caller, if it has one left.
    pub(crate) fn take(&self, caller: &Owner) -> Option<Share> {
        let Limits { all, of_tenant, of_caller } = self.0.limits;
        let mut callers = self.callers();
        let own = callers.get(caller).copied().unwrap_or_default();
        let tenants: usize =
            callers.iter().filter(|((tenant, _), _)| *tenant == caller.0).map(|(_, count)| count).sum();
        if self.taken() >= all || tenants >= of_tenant || own >= of_caller {
            return None;
        }
        callers.insert(caller.clone(), own + 1);
        self.0.taken.fetch_add(1, Ordering::Relaxed);
        Some(Share { of: self.clone(), caller: caller.clone() })
    }

    /// How many are taken, without any lock.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        self.0.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Callers that have any place.
    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        self.callers().len()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut callers = self.of.callers();
        self.of.0.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = callers.get_mut(&self.caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}
