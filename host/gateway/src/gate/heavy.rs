use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::GateError;

/// Names of agents without a place beyond which they are forgotten.
const IDLE_AGENTS: usize = 64;

/// Places for payloads over 16 KiB and for calls whose plugins may take long, each of which takes a thread while it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Heavy {
    /// How many at once.
    pub places: usize,
    /// How long one waits for a place before it is refused.
    pub wait: Duration,
}

/// Places for calls whose plugins may wait for somebody else's answer, each of which takes a thread for seconds.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// How many at once.
    pub places: usize,
    /// How many of them one tenant has at most.
    pub per_tenant: usize,
    /// How long one waits for a place before it is refused.
    pub wait: Duration,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { places: 64, per_tenant: 16, wait: Duration::from_secs(10) }
    }
}

/// The places and who waits for one. An agent has no more calls in the common queue than there are places, so whoever
/// comes next waits for one round of the other agents and not for all that one of them has sent.
pub(super) struct HeavyPlaces {
    config: Heavy,
    common: Arc<Semaphore>,
    /// Taken for a moment by calls that then work for milliseconds; others never see it.
    agents: Mutex<HashMap<AgentKey, Weak<Semaphore>>>,
}

type AgentKey = (Arc<str>, Arc<str>);

/// The same for calls that wait for others. A tenant keeps none of the others from theirs, nor an agent its tenant's other ones:
/// it has half of its tenant's places.
pub(super) struct WaitingPlaces {
    config: Waiting,
    common: Arc<Semaphore>,
    /// Taken for a moment by calls that then wait; the name is empty for the tenant as a whole.
    own: Mutex<HashMap<AgentKey, Weak<Semaphore>>>,
}

/// A place, given back when it is dropped.
pub(super) struct Place {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl HeavyPlaces {
    pub(super) fn new(config: Heavy) -> Self {
        Self { config, common: Arc::new(Semaphore::new(config.places)), agents: Mutex::default() }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// There was none in time.
    pub(super) async fn take(&self, tenant: &Arc<str>, agent: &Arc<str>) -> Result<Place, GateError> {
        let own = self.own(tenant, agent);
        let take = async {
            let own = own.acquire_owned().await.ok()?;
            let common = Arc::clone(&self.common).acquire_owned().await.ok()?;
            Some(Place { _permits: vec![common, own] })
        };
        let place = tokio::time::timeout(self.config.wait, take).await.ok().flatten();
        place.ok_or(GateError::Busy("all places for large payloads and slow plugins are taken"))
    }

    fn own(&self, tenant: &Arc<str>, agent: &Arc<str>) -> Arc<Semaphore> {
        own(&self.agents, tenant, agent, self.config.places)
    }
}

impl WaitingPlaces {
    pub(super) fn new(config: Waiting) -> Self {
        Self { config, common: Arc::new(Semaphore::new(config.places)), own: Mutex::default() }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// There was none in time.
    pub(super) async fn take(&self, tenant: &Arc<str>, agent: &Arc<str>) -> Result<Place, GateError> {
        let most = self.config.per_tenant;
        let agent = own(&self.own, tenant, agent, most.div_ceil(2));
        let tenant = own(&self.own, tenant, &"".into(), most);
        let take = async {
            let mut permits = Vec::with_capacity(3);
            for places in [agent, tenant, Arc::clone(&self.common)] {
                permits.push(places.acquire_owned().await.ok()?);
            }
            Some(Place { _permits: permits })
        };
        let place = tokio::time::timeout(self.config.wait, take).await.ok().flatten();
        place.ok_or(GateError::Busy("all places for calls that wait for others are taken"))
    }
}

/// The places of one of them, made if it has none.
fn own(
    all: &Mutex<HashMap<AgentKey, Weak<Semaphore>>>,
    tenant: &Arc<str>,
    agent: &Arc<str>,
    places: usize,
) -> Arc<Semaphore> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() > IDLE_AGENTS {
        all.retain(|_, own| own.strong_count() > 0);
    }
    let own = all.entry((Arc::clone(tenant), Arc::clone(agent))).or_default();
    own.upgrade().unwrap_or_else(|| {
        let new = Arc::new(Semaphore::new(places));
        *own = Arc::downgrade(&new);
        new
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_with_many_calls_does_not_keep_another_one_waiting() {
        let places = Arc::new(HeavyPlaces::new(Heavy { places: 1, wait: Duration::from_secs(10) }));
        let (tenant, greedy, modest): (Arc<str>, Arc<str>, Arc<str>) = ("t".into(), "greedy".into(), "modest".into());
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = places.take(&tenant, &greedy).await.unwrap();
        let mut waiting = Vec::new();
        for agent in [&greedy, &greedy, &greedy, &modest] {
            let (places, tenant, agent, order) =
                (Arc::clone(&places), Arc::clone(&tenant), Arc::clone(agent), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                let place = places.take(&tenant, &agent).await.unwrap();
                order.lock().unwrap().push(agent);
                tokio::task::yield_now().await;
                drop(place);
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert_eq!(&*order.lock().unwrap()[0], "modest");
    }

    #[tokio::test]
    async fn a_tenant_whose_plugins_wait_leaves_places_to_others() {
        let places = WaitingPlaces::new(Waiting { places: 4, per_tenant: 2, wait: Duration::from_millis(20) });
        let [greedy, modest, one, two, three]: [Arc<str>; 5] =
            ["greedy", "modest", "one", "two", "three"].map(Into::into);
        let _first = places.take(&greedy, &one).await.unwrap();
        assert!(places.take(&greedy, &one).await.is_err(), "an agent has half of its tenant's places");
        let second = places.take(&greedy, &two).await.unwrap();
        assert!(places.take(&greedy, &three).await.is_err(), "a tenant has its own places only");
        let _third = places.take(&modest, &one).await.unwrap();
        drop(second);
        places.take(&greedy, &three).await.unwrap();
    }

    #[tokio::test]
    async fn agents_without_a_place_are_forgotten() {
        let places = HeavyPlaces::new(Heavy { places: 1, wait: Duration::from_secs(10) });
        let tenant: Arc<str> = "t".into();
        for agent in 0..1_000 {
            places.take(&tenant, &agent.to_string().into()).await.unwrap();
        }
        assert!(places.agents.lock().unwrap().len() <= IDLE_AGENTS + 1);
    }
}
