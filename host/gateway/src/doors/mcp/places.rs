//! Places for what goes on at once: so many in all, and so many for one agent.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ports::{AgentIdentity, Owner};

/// Agents of different shards never meet at a lock.
const SHARDS: usize = 64;

/// The places of one kind.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    total: u32,
    per_agent: usize,
    shards: Vec<Arc<Shard>>,
    /// Keyed, so that nobody can choose names that fall together.
    hasher: RandomState,
}

/// Places of each agent that has any: as many agents as places, at most.
#[derive(Default)]
struct Shard(Mutex<HashMap<Owner, usize>>);

/// One place. It is given back when this goes.
pub(crate) struct Place {
    shard: Arc<Shard>,
    owner: Owner,
    _permit: OwnedSemaphorePermit,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken.
    Full,
    /// The agent has its share.
    Share,
}

impl Places {
    pub(crate) fn new(total: usize, per_agent: usize) -> Arc<Self> {
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        let all = Arc::new(Semaphore::new(usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS)));
        let shards = (0..SHARDS).map(|_| Arc::default()).collect();
        Arc::new(Self { all, total, per_agent, shards, hasher: RandomState::new() })
    }

    /// A place for this agent.
    pub(crate) fn take(&self, agent: &AgentIdentity) -> Result<Place, NoPlace> {
        self.take_for(agent.owner(), self.per_agent)
    }

    /// A place for what the agents of a tenant share. How many there can be, the configuration says.
    pub(crate) fn take_shared(&self, tenant: &Arc<str>) -> Result<Place, NoPlace> {
        // No agent is called that.
        self.take_for((Arc::clone(tenant), "".into()), usize::MAX)
    }

    fn take_for(&self, owner: Owner, most: usize) -> Result<Place, NoPlace> {
        let position = usize::try_from(self.hasher.hash_one(&owner) % SHARDS as u64).unwrap_or_default();
        let shard = Arc::clone(self.shards.get(position).ok_or(NoPlace::Full)?);
        let mut taken = shard.taken();
        let own = taken.get(&owner).copied().unwrap_or_default();
        if own >= most {
            return Err(NoPlace::Share);
        }
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| NoPlace::Full)?;
        taken.insert(owner.clone(), own + 1);
        drop(taken);
        Ok(Place { shard, owner, _permit: permit })
    }

    /// Ready when all places are given back.
    pub(crate) async fn all_free(&self) {
        let _all = self.all.acquire_many(self.total).await;
    }

    /// No place is given out any more.
    pub(crate) fn close(&self) {
        self.all.close();
    }
}

impl Shard {
    fn taken(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shard.taken();
        match taken.get_mut(&self.owner) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests;
