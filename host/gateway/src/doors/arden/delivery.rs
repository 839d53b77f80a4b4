//! Answers on their way: the client repeats a check whose answer it did not get, without saying that it is a repeat.
//!
//! Only an answer of which not all was sent is given again, twice at most, to the same check: two calls of the same content are two
//! calls as long as each was answered.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use portcullis_model::Digest;
use tokio::sync::watch;
use uuid::Uuid;

use super::Outcome;
use crate::gate::GateError;
use crate::http::{Body, PeerInfo, StreamBody};

/// How long a check that was not answered may be repeated. The client pauses for a second and tries twice more.
pub(super) const REPEATED_WITHIN: Duration = Duration::from_secs(10);
/// How often an answer is given again.
const AGAIN: u8 = 2;
/// Answers that are kept for that, of all agents.
const MAX_LOST: usize = 10_000;

/// A check that is or was ruled.
#[derive(Debug)]
pub(super) struct Action {
    /// What the client is told as `action_id`: the id of the call.
    pub(super) id: Uuid,
    pub(super) outcome: watch::Receiver<Option<Result<Arc<Outcome>, GateError>>>,
    /// Becomes true when its answer has been sent.
    pub(super) told: watch::Sender<bool>,
    /// How often its answer got lost.
    pub(super) again: AtomicU8,
}

/// Answers that did not get through, by the digest of their call, which covers tenant, agent and environment.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<HashMap<Digest, (Instant, Arc<Action>)>>);

/// The duty to answer a check. Whatever becomes of the connection, what is not sent counts as lost.
pub(super) struct Ticket {
    lost: Arc<Lost>,
    digest: Digest,
    action: Arc<Action>,
    peer: PeerInfo,
    sent: bool,
}

impl Action {
    /// What it came to.
    pub(super) async fn outcome(&self) -> Result<Arc<Outcome>, GateError> {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(GateError::Failed)),
            Err(_) => Err(GateError::Failed),
        }
    }
}

impl Lost {
    /// The action of which this check repeats the question, if its answer got lost a moment ago.
    pub(super) fn take(&self, digest: Digest) -> Option<Arc<Action>> {
        let (since, action) = self.all().remove(&digest)?;
        (since.elapsed() < REPEATED_WITHIN).then_some(action)
    }

    /// As often as the client tries: one that says each time that it is gone does not get one answer for ever.
    fn add(&self, digest: Digest, action: &Arc<Action>) {
        if action.again.fetch_add(1, Ordering::Relaxed) >= AGAIN {
            return;
        }
        let mut all = self.all();
        if all.len() >= MAX_LOST {
            all.retain(|_, (since, _)| since.elapsed() < REPEATED_WITHIN);
        }
        // Beyond that a repeat is a call of its own.
        if all.len() < MAX_LOST {
            all.insert(digest, (Instant::now(), Arc::clone(action)));
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Digest, (Instant, Arc<Action>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    pub(super) fn new(lost: &Arc<Lost>, digest: Digest, action: &Arc<Action>, peer: PeerInfo) -> Self {
        Self { lost: Arc::clone(lost), digest, action: Arc::clone(action), peer, sent: false }
    }

    /// The answer's body.
    pub(super) fn body(self, bytes: Vec<u8>) -> Body {
        Body::Stream(StreamBody::new(Told { bytes: Some(bytes.into()), ticket: self }))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.sent {
            self.action.told.send_replace(true);
        } else {
            self.lost.add(self.digest, &self.action);
        }
    }
}

/// A body that knows whether it was taken.
struct Told {
    bytes: Option<Bytes>,
    ticket: Ticket,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let bytes = self.bytes.take();
        self.ticket.sent |= bytes.is_some() && !self.ticket.peer.has_closed();
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn peer() -> PeerInfo {
        std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into()
    }

    fn action() -> Arc<Action> {
        let (_, outcome) = watch::channel(None);
        Arc::new(Action { id: Uuid::now_v7(), outcome, told: watch::Sender::new(false), again: AtomicU8::new(0) })
    }

    #[tokio::test]
    async fn an_answer_that_was_sent_is_not_given_again() {
        let (lost, digest, action) = (Arc::<Lost>::default(), Digest::of(b"call"), action());
        let Body::Stream(body) = Ticket::new(&lost, digest, &action, peer()).body(b"{}".to_vec()) else { panic!() };
        assert_eq!(body.size_hint().exact(), Some(2), "sent with its length");
        assert!(!*action.told.borrow());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "{}");
        assert!(*action.told.borrow());
        assert!(lost.take(digest).is_none());
    }

    #[tokio::test]
    async fn one_that_was_not_sent_is_given_again_as_often_as_the_client_tries() {
        let (lost, digest, action) = (Arc::<Lost>::default(), Digest::of(b"call"), action());
        // Before there was an answer, and before it was sent.
        drop(Ticket::new(&lost, digest, &action, peer()));
        assert_eq!(lost.take(digest).unwrap().id, action.id);
        assert!(lost.take(digest).is_none());
        drop(Ticket::new(&lost, digest, &action, peer()).body(b"{}".to_vec()));
        assert!(!*action.told.borrow());
        assert_eq!(lost.take(digest).unwrap().id, action.id);
        // Not for ever.
        drop(Ticket::new(&lost, digest, &action, peer()).body(b"{}".to_vec()));
        assert!(lost.take(digest).is_none());
        assert!(lost.take(Digest::of(b"other")).is_none());
    }

    #[tokio::test]
    async fn lost_answers_are_bounded() {
        let lost = Arc::<Lost>::default();
        for index in 0..MAX_LOST + 10 {
            drop(Ticket::new(&lost, Digest::of(&index.to_be_bytes()), &action(), peer()));
        }
        assert_eq!(lost.all().len(), MAX_LOST);
    }
}
