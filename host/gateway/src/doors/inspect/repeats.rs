//! Questions with an id that are being answered right now: the same one waits for the first, another one is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_model::Digest;
use tokio::sync::watch;
use uuid::Uuid;

use super::answer::Settled;
use crate::gate::GateError;
use crate::http::ApiError;

/// Tenant and id.
type Key = (Arc<str>, Uuid);
type Outcome = Result<Arc<Settled>, ApiError>;

/// At most as many as there are requests in flight.
#[derive(Default)]
pub(super) struct Repeats {
    running: Mutex<HashMap<Key, Running>>,
}

struct Running {
    request: Digest,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// What a question with an id has to do.
pub(super) enum Turn {
    /// Answer it and tell the others.
    Lead(Lead),
    /// Somebody is about to answer it.
    Wait(Waiting),
    /// Another question with this id is being answered.
    Other,
}

/// The duty to answer. Dropping it tells the others that there is no answer.
pub(super) struct Lead {
    repeats: Arc<Repeats>,
    key: Key,
    outcome: watch::Sender<Option<Outcome>>,
}

/// The place of somebody who waits.
pub(super) struct Waiting(watch::Receiver<Option<Outcome>>);

impl Repeats {
    pub(super) fn enter(self: &Arc<Self>, key: Key, request: Digest) -> Turn {
        let mut running = self.running();
        if let Some(first) = running.get(&key) {
            let same = first.request == request;
            return if same { Turn::Wait(Waiting(first.outcome.clone())) } else { Turn::Other };
        }
        let (outcome, receiver) = watch::channel(None);
        running.insert(key.clone(), Running { request, outcome: receiver });
        Turn::Lead(Lead { repeats: Arc::clone(self), key, outcome })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Key, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    pub(super) fn finish(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.repeats.running().remove(&self.key);
    }
}

impl Waiting {
    pub(super) async fn wait(mut self) -> Outcome {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(GateError::Failed.into())),
            Err(_) => Err(GateError::Failed.into()),
        }
    }
}
