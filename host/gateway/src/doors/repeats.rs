//! Questions with an id that are being answered right now: the same one waits for the first, another one is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_model::Digest;
use tokio::sync::watch;
use uuid::Uuid;

use crate::gate::GateError;
use crate::http::ApiError;

/// Tenant and id.
type Key = (Arc<str>, Uuid);
type Outcome<T> = Result<Arc<T>, ApiError>;

/// At most as many as there are requests in flight. `T` is what is known once a question was ruled.
pub(super) struct Repeats<T> {
    running: Mutex<HashMap<Key, Running<T>>>,
}

struct Running<T> {
    request: Digest,
    outcome: watch::Receiver<Option<Outcome<T>>>,
}

/// What a question with an id has to do.
enum Turn<T> {
    /// Answer it and tell the others.
    Lead(Lead<T>),
    /// Somebody is about to answer it.
    Wait(Waiting<T>),
    /// Another question with this id is being answered.
    Other,
}

/// The duty to answer. Dropping it tells the others that there is no answer.
struct Lead<T> {
    repeats: Arc<Repeats<T>>,
    key: Key,
    outcome: watch::Sender<Option<Outcome<T>>>,
}

/// The place of somebody who waits.
struct Waiting<T>(watch::Receiver<Option<Outcome<T>>>);

impl<T> Default for Repeats<T> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl<T: Send + Sync + 'static> Repeats<T> {
    /// What `settle` comes to for a question, or what the same question comes to that is being answered already.
    /// `settle` goes on if its caller goes away: others may wait for it.
    ///
    /// # Errors
    /// `other` if another question with this id is being answered; else those of `settle`.
    pub(super) async fn once(
        self: &Arc<Self>,
        key: Key,
        request: Digest,
        other: impl FnOnce() -> ApiError,
        settle: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Outcome<T> {
        match self.enter(key, request) {
            Turn::Other => Err(other()),
            Turn::Wait(answer) => answer.wait().await,
            Turn::Lead(lead) => {
                let task = tokio::spawn(async move {
                    let settled = settle.await;
                    lead.finish(settled.clone());
                    settled
                });
                task.await.unwrap_or_else(|_| Err(GateError::Failed.into()))
            }
        }
    }
}

impl<T> Repeats<T> {
    fn enter(self: &Arc<Self>, key: Key, request: Digest) -> Turn<T> {
        let mut running = self.running();
        if let Some(first) = running.get(&key) {
            let same = first.request == request;
            return if same { Turn::Wait(Waiting(first.outcome.clone())) } else { Turn::Other };
        }
        let (outcome, receiver) = watch::channel(None);
        running.insert(key.clone(), Running { request, outcome: receiver });
        Turn::Lead(Lead { repeats: Arc::clone(self), key, outcome })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Key, Running<T>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lead<T> {
    fn finish(self, outcome: Outcome<T>) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        self.repeats.running().remove(&self.key);
    }
}

impl<T> Waiting<T> {
    async fn wait(mut self) -> Outcome<T> {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(GateError::Failed.into())),
            Err(_) => Err(GateError::Failed.into()),
        }
    }
}
