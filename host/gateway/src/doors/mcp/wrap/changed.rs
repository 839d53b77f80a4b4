//! A child says that its list of tools has changed: policy sees the list before the client is told.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use portcullis_model::Outcome;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::changes::{self, Look};
use super::super::envelope::{Frame, Id};
use super::super::inspector::{FromClient, Inspector};

/// The `_meta` of the client's subscription, in a revision without sessions: what is asked on its behalf says it, too.
#[derive(Clone, Default)]
pub(super) struct Meta(Arc<Mutex<Option<String>>>);

impl Meta {
    /// Keeps what a message of the client says, if it subscribes.
    pub(super) fn note(&self, frame: &Frame) {
        if frame.asks("subscriptions/listen") {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = changes::meta_of(frame);
        }
    }

    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the child said of its list, and how far the look at the list has come.
pub(super) struct Changed {
    inspector: Arc<Inspector>,
    to_child: mpsc::Sender<Bytes>,
    meta: Meta,
    /// What the client will be told.
    held: Option<Bytes>,
    /// The page that was asked for, and until when it has to come.
    asked: Option<(Look, Instant)>,
    pages: usize,
    /// Whether the child said so again meanwhile.
    again: bool,
    /// A child that says so all the time has to wait until then.
    not_before: Instant,
}

impl Changed {
    pub(super) fn new(inspector: Arc<Inspector>, to_child: mpsc::Sender<Bytes>, meta: Meta) -> Self {
        let not_before = Instant::now();
        Self { inspector, to_child, meta, held: None, asked: None, pages: 0, again: false, not_before }
    }

    /// Keeps the message back until the list has been seen. It goes on with one of the next ticks.
    pub(super) fn hold(&mut self, message: Bytes) {
        self.again = self.asked.is_some();
        self.held = Some(message);
    }

    /// Whether the answer to a request for a page is still to come.
    pub(super) fn looks(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether this is the request for a page.
    pub(super) fn asked(&self, id: &Id) -> bool {
        self.asked.as_ref().is_some_and(|(look, _)| look.own.id == *id)
    }

    /// Goes on after the child's answer to that. What the client is told now, if anything.
    pub(super) async fn answered(&mut self, answer: &[u8]) -> Option<Bytes> {
        match changes::next_cursor(answer).filter(|_| self.pages < changes::PAGES) {
            Some(cursor) => self.ask(Some(&cursor)).await,
            None => self.done(),
        }
    }

    /// Begins what is due, and gives up what takes too long. What the client is told now, if anything.
    pub(super) async fn tick(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        match &self.asked {
            Some((_, until)) if now >= *until => {
                tracing::warn!("a list of tools that has changed could not be fetched in time");
                self.done()
            }
            None if self.held.is_some() && now >= self.not_before => {
                self.pages = 0;
                self.ask(None).await
            }
            _ => None,
        }
    }

    /// Nobody is told of anything any more.
    pub(super) async fn end(&mut self) {
        if let Some((look, _)) = &self.asked {
            look.inspector.end_own(&look.own, Outcome::Failed, "no list of tools").await;
        }
    }

    async fn ask(&mut self, cursor: Option<&str>) -> Option<Bytes> {
        let until = self.asked.take().map_or_else(|| Instant::now() + changes::LOOK_WAIT, |(_, until)| until);
        let frame = Frame::parse(changes::list_request(self.meta.get().as_deref(), cursor)).ok()?;
        let FromClient::Forward { bytes, .. } = self.inspector.client_sent(&frame).await else { return self.done() };
        let own = self.inspector.ours(frame.request_id()?);
        self.asked = Some((Look { inspector: Arc::clone(&self.inspector), own }, until));
        self.pages += 1;
        // Not waited for: a child that writes before it reads would never be read again.
        if self.to_child.try_send(bytes).is_err() { self.done() } else { None }
    }

    fn done(&mut self) -> Option<Bytes> {
        self.asked = None;
        self.not_before = Instant::now() + changes::LOOK_EVERY;
        let message = self.held.take();
        if std::mem::take(&mut self.again) {
            self.held.clone_from(&message);
        }
        message
    }
}
