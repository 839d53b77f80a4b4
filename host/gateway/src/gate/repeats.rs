//! Questions with an id that are being answered right now, at whichever door: the same one waits for the first, another
//! one is refused.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_model::Digest;
use tokio::sync::watch;
use uuid::Uuid;

use super::GateError;

/// Tenant and id.
type Key = (Arc<str>, Uuid);
/// The outcome of a question: a type of each door's own.
type Outcome = Arc<dyn Any + Send + Sync>;

/// At most as many as there are requests in flight.
#[derive(Default)]
pub(crate) struct Repeats {
    running: Mutex<HashMap<Key, Running>>,
}

struct Running {
    request: Digest,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// What a question with an id has to do.
enum Turn {
    /// Answer it and tell the others.
    Lead(Lead),
    /// Somebody is about to answer it.
    Wait(watch::Receiver<Option<Outcome>>),
    /// Another question with this id is being answered.
    Other,
}

/// The duty to answer. Dropping it tells the others that there is no answer.
struct Lead {
    repeats: Arc<Repeats>,
    key: Key,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Repeats {
    /// What `settle` comes to for a question, or what the same question comes to that is being answered already.
    /// `settle` goes on if its caller goes away: others may wait for it. The digest names the door, too.
    ///
    /// # Errors
    /// `other` if another question with this id is being answered; else those of `settle`.
    pub(crate) async fn once<T, E>(
        self: &Arc<Self>,
        key: Key,
        request: Digest,
        other: impl FnOnce() -> E,
        settle: impl Future<Output = Result<Arc<T>, E>> + Send + 'static,
    ) -> Result<Arc<T>, E>
    where
        T: Send + Sync + 'static,
        E: From<GateError> + Clone + Send + Sync + 'static,
    {
        match self.enter(key, request) {
            Turn::Other => Err(other()),
            Turn::Wait(mut outcome) => {
                let told = match outcome.wait_for(Option::is_some).await {
                    Ok(outcome) => outcome.clone(),
                    Err(_) => None,
                };
                let told = told.as_ref().and_then(|told| told.downcast_ref::<Result<Arc<T>, E>>());
                told.cloned().unwrap_or_else(|| Err(GateError::Failed.into()))
            }
            Turn::Lead(lead) => {
                let task = tokio::spawn(async move {
                    let settled = settle.await;
                    lead.outcome.send_replace(Some(Arc::new(settled.clone())));
                    settled
                });
                task.await.unwrap_or_else(|_| Err(GateError::Failed.into()))
            }
        }
    }

    fn enter(self: &Arc<Self>, key: Key, request: Digest) -> Turn {
        let mut running = self.running();
        if let Some(first) = running.get(&key) {
            return if first.request == request { Turn::Wait(first.outcome.clone()) } else { Turn::Other };
        }
        let (outcome, receiver) = watch::channel(None);
        running.insert(key.clone(), Running { request, outcome: receiver });
        Turn::Lead(Lead { repeats: Arc::clone(self), key, outcome })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Key, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.repeats.running().remove(&self.key);
    }
}
