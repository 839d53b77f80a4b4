//! A child process says that its list of tools has changed: policy sees the list before the client is told, and everything
//! else goes on meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::bridge::Bridge;
use super::changes::{self, Look};
use super::envelope::{Frame, Id};
use super::front::Visit;
use super::inspector::{FromClient, Inspector};
use super::mailbox::Routed;

/// What one stream of a client holds back until the list was seen.
pub(super) struct Looking<'a> {
    visit: &'a Visit,
    bridge: &'a Bridge,
    inspector: &'a Arc<Inspector>,
    /// The `_meta` of the client's request, in a revision without sessions.
    meta: Option<&'a str>,
    held: Option<Bytes>,
    look: Option<BoxFuture<'a, ()>>,
    /// Whether the child said so again meanwhile.
    again: bool,
}

impl<'a> Looking<'a> {
    pub(super) fn new(
        visit: &'a Visit,
        bridge: &'a Bridge,
        inspector: &'a Arc<Inspector>,
        meta: Option<&'a str>,
    ) -> Self {
        Self { visit, bridge, inspector, meta, held: None, look: None, again: false }
    }

    /// The message, unless it is held back.
    pub(super) fn pass(&mut self, message: Bytes) -> Option<Bytes> {
        if !changes::is_list_changed(&message) {
            return Some(message);
        }
        if self.look.is_some() {
            self.again = true;
        } else {
            self.held = Some(message);
            self.begin();
        }
        None
    }

    /// Whether something is held back.
    pub(super) fn holds(&self) -> bool {
        self.look.is_some()
    }

    /// What was held back, when the list has been seen or did not come in time. Cancel-safe; waits for ever if nothing is.
    pub(super) async fn seen(&mut self) -> Bytes {
        let (Some(look), Some(held)) = (&mut self.look, &self.held) else { return std::future::pending().await };
        look.await;
        let message = held.clone();
        self.look = None;
        if std::mem::take(&mut self.again) {
            self.begin();
        } else {
            self.held = None;
        }
        message
    }

    fn begin(&mut self) {
        let (visit, bridge, inspector, meta) = (self.visit, self.bridge, self.inspector, self.meta);
        self.look = Some(Box::pin(inspector.look(Instant::now(), look(visit, bridge, inspector, meta))));
    }
}

/// Fetches the list and has it judged.
async fn look(visit: &Visit, bridge: &Bridge, inspector: &Arc<Inspector>, meta: Option<&str>) {
    let pages = async {
        let mut cursor = None;
        for _ in 0..changes::PAGES {
            cursor = page(visit, bridge, inspector, (meta, cursor.as_deref())).await;
            if cursor.is_none() {
                return;
            }
        }
    };
    if tokio::time::timeout(changes::LOOK_WAIT, pages).await.is_err() {
        tracing::warn!(upstream = %visit.upstream.name, "a list of tools that has changed could not be fetched in time");
    }
}

/// Has one page judged. The cursor of the next one.
async fn page(
    visit: &Visit,
    bridge: &Bridge,
    inspector: &Arc<Inspector>,
    (meta, cursor): (Option<&str>, Option<&str>),
) -> Option<String> {
    let frame = Frame::parse(changes::list_request(meta, cursor)).ok()?;
    let id = frame.request_id()?;
    let FromClient::Forward { bytes, .. } = inspector.client_sent(&frame).await else { return None };
    let _look = Look { inspector: Arc::clone(inspector), own: inspector.ours(id) };
    let asked = Asked { id, bridge };
    let mut messages = asked.bridge.mailbox().expect(id);
    bridge.send(bytes, &visit.inner.limits).await.ok()?;
    loop {
        match messages.recv().await? {
            Routed::Answer(bytes) => return changes::next_cursor(&bytes),
            // About a request of ours: the client knows nothing of it.
            Routed::Message(_) => {
                visit.inner.counters.undelivered.inc();
            }
        }
    }
}

/// A request of our own to a child, for as long as its answer is waited for.
struct Asked<'a> {
    id: &'a Id,
    bridge: &'a Bridge,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.bridge.forget(self.id);
    }
}
