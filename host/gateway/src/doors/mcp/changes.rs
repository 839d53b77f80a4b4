//! Lists of tools that change while a client has one: the upstream says so, or policy shows other tools than before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_model::{Kind, Outcome};
use tokio::sync::watch;
use uuid::Uuid;

use super::envelope::{Frame, Id, Shape};
use super::inspector::{Inspector, Ticket};
use crate::gate::Gate;
use crate::ports::AgentIdentity;

/// Pages of a list that are fetched because it has changed.
pub(super) const PAGES: usize = 64;
/// How long that may take, and how often it is done for one stream.
pub(super) const LOOK_WAIT: Duration = Duration::from_secs(10);
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a server says when its list of tools has changed.
const LIST_CHANGED: &str = "notifications/tools/list_changed";

/// Whether the message says that the upstream's list of tools has changed.
pub(super) fn is_list_changed(message: &[u8]) -> bool {
    // Most messages are something else, and need not be read twice. Slashes may be written with escapes.
    let rest = b"list_changed";
    message.windows(rest.len()).any(|part| part == rest || part.starts_with(b"\\u"))
        && Frame::parse(message)
            .is_ok_and(|frame| matches!(frame.shape(), Shape::Notification { method } if **method == *LIST_CHANGED))
}

/// A request of our own for a list of tools, with the `_meta` that a revision without sessions needs.
pub(super) fn list_request(meta: Option<&str>, cursor: Option<&str>) -> String {
    let id = Uuid::new_v4();
    let meta = meta.map(|meta| format!("\"_meta\":{meta}"));
    let cursor = cursor.map(|cursor| format!("\"cursor\":{}", serde_json::Value::from(cursor)));
    let params = meta.into_iter().chain(cursor).collect::<Vec<_>>().join(",");
    format!(r#"{{"jsonrpc":"2.0","id":"portcullis-{id}","method":"tools/list","params":{{{params}}}}}"#)
}

/// Where the next page of a list begins.
pub(super) fn next_cursor(answer: &[u8]) -> Option<String> {
    let frame = Frame::parse(answer).ok()?;
    Some(frame.body()?.get("nextCursor")?.as_str()?.to_owned())
}

/// A request of our own. If nobody waits for its answer any more, it is ended.
pub(super) struct Look {
    pub(super) inspector: Arc<Inspector>,
    pub(super) own: Ticket,
}

impl Drop for Look {
    fn drop(&mut self) {
        if self.inspector.waits(&self.own) {
            let (inspector, own) = (Arc::clone(&self.inspector), self.own.clone());
            tokio::spawn(async move { inspector.end_own(&own, Outcome::Failed, "no list of tools").await });
        }
    }
}

/// Tells one stream of a client when policy shows it other tools than before.
pub(super) struct Changes {
    gate: Arc<Gate>,
    agent: AgentIdentity,
    policy: watch::Receiver<()>,
    visible: u64,
    /// The request that a stream of the revision without sessions belongs to.
    subscription: Option<Id>,
}

impl Changes {
    pub(super) fn new(
        gate: &Arc<Gate>,
        agent: &AgentIdentity,
        policy: watch::Receiver<()>,
        subscription: Option<Id>,
    ) -> Self {
        Self { gate: Arc::clone(gate), agent: agent.clone(), policy, visible: gate.visible(agent), subscription }
    }

    /// Whether a request opens a stream on which such changes are told.
    pub(super) fn wanted_by(frame: &Frame) -> bool {
        let wanted = || frame.params()?.get("notifications")?.get("toolsListChanged")?.as_bool();
        frame.asks("subscriptions/listen") && wanted() == Some(true)
    }

    /// The next change as a message to the client.
    pub(super) async fn next(&mut self) -> Bytes {
        loop {
            if self.policy.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let visible = self.gate.visible(&self.agent);
            if visible != self.visible {
                self.visible = visible;
                return self.message();
            }
        }
    }

    fn message(&self) -> Bytes {
        let meta = self.subscription.as_ref().map(|id| format!(r#""io.modelcontextprotocol/subscriptionId":{id}"#));
        let params = meta.map(|meta| format!(r#","params":{{"_meta":{{{meta}}}}}"#)).unwrap_or_default();
        format!(r#"{{"jsonrpc":"2.0","method":"{LIST_CHANGED}"{params}}}"#).into()
    }
}

/// The `_meta` of a request as it was written.
pub(super) fn meta_of(frame: &Frame) -> Option<String> {
    let meta = frame.params()?.get("_meta").filter(|meta| meta.kind() == Kind::Object)?;
    Some(meta.raw().to_owned())
}
