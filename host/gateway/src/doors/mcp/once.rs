//! One call that another door has ruled, in a session of its own with the upstream.

use std::sync::Arc;

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use portcullis_model::{Document, Outcome, Value};
use uuid::Uuid;

use super::envelope::{Frame, Shape};
use super::federation::gather;
use super::front::{self, SESSION, VERSION, VERSIONS, Visit};
use super::places::Place;
use super::{Inner, McpDoor};
use crate::gate::CallFacts;
use crate::http::Reply;
use crate::ports::AgentIdentity;
use crate::upstream::{Federation, Upstream};

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A place for one call of an agent at an upstream.
pub(crate) struct Once {
    inner: Arc<Inner>,
    agent: AgentIdentity,
    upstream: Arc<Upstream>,
    place: Arc<Place>,
}

/// The call did not leave: the upstream is away, refuses to begin a session, or speaks no revision that has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no session could be begun with the upstream")]
pub(crate) struct NoSession;

impl McpDoor {
    /// The upstream that a call is for, and the name of the tool there: `path` names the upstream, or the tool's name
    /// begins with it where there are several, as in a federation of all.
    pub(crate) fn goal<'t>(&self, path: Option<&str>, tool: &'t str) -> Option<(Arc<Upstream>, &'t str)> {
        let upstreams = &self.0.upstreams;
        if let Some(name) = path {
            return Some((Arc::clone(upstreams.get(name)?), tool));
        }
        if let Some(only) = upstreams.only() {
            return Some((Arc::clone(only), tool));
        }
        let owned = |upstream: &Arc<Upstream>| {
            let own = tool.strip_prefix(&*upstream.name)?.strip_prefix(Federation::SEPARATOR)?;
            Some((Arc::clone(upstream), own))
        };
        upstreams.iter().find_map(owned)
    }

    /// A place for one call; none if all, or those of the agent, are taken.
    pub(crate) fn book(&self, agent: &AgentIdentity, upstream: Arc<Upstream>) -> Option<Once> {
        let place = self.0.places.take(agent).ok()?.into();
        Some(Once { inner: Arc::clone(&self.0), agent: agent.clone(), upstream, place })
    }
}

impl Once {
    /// Sends the call, once, and waits until its end is on record. The end is told to what the facts keep, if the call left
    /// at all.
    pub(crate) async fn run(self, tool: &str, arguments: &Document, facts: CallFacts) -> Result<(), NoSession> {
        let params = serde_json::json!({
            "protocolVersion": VERSIONS.last(),
            "capabilities": {},
            "clientInfo": { "name": "portcullis", "version": env!("CARGO_PKG_VERSION") },
        });
        let opened = self.exchange(HeaderMap::new(), &request("initialize", &params.to_string()), None).await;
        let reply = opened.ok_or(NoSession)?;
        let session = Opened { inner: Arc::clone(&self.inner), id: reply.headers().get(SESSION).cloned() };
        let limits = &self.inner.limits;
        let answer = tokio::time::timeout(limits.fan_out_wait, gather::answer(reply, limits.message, |_| {})).await;
        let version = answer.ok().and_then(Result::ok).and_then(|frame| {
            let result = frame.body().filter(|_| matches!(frame.shape(), Shape::Response { failed: false, .. }))?;
            let version = result.get("protocolVersion").and_then(Value::as_str)?;
            VERSIONS.contains(&version).then(|| HeaderValue::from_str(version).ok()).flatten()
        });
        let mut headers = HeaderMap::new();
        headers.insert(VERSION, version.ok_or(NoSession)?);
        headers.extend(session.id.clone().map(|id| (SESSION, id)));
        self.exchange(headers.clone(), INITIALIZED, None).await.ok_or(NoSession)?;
        let name = serde_json::Value::from(tool);
        let message = request("tools/call", &format!(r#"{{"name":{name},"arguments":{}}}"#, arguments.raw()));
        let called = async {
            // An answer that says why the call was not sent on is an answer, too: the facts tell whether it left.
            if let Some(reply) = self.exchange(headers, &message, Some(facts)).await {
                let _answer = gather::answer(reply, limits.message, |_| {}).await;
            }
        };
        // Whoever keeps a stream open for ever is left; the end of the call is recorded then.
        let _late = tokio::time::timeout(limits.first_byte_wait.saturating_add(limits.idle_wait), called).await;
        Ok(())
    }

    async fn exchange(&self, mut headers: HeaderMap, message: &str, ruled: Option<CallFacts>) -> Option<Reply> {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut frame = Frame::parse(message).ok()?;
        if let Some(facts) = ruled {
            frame = frame.ruled_as(facts);
        }
        let visit = Visit {
            inner: Arc::clone(&self.inner),
            agent: self.agent.clone(),
            upstream: Arc::clone(&self.upstream),
            place: Arc::clone(&self.place),
            tasks: false,
        };
        visit.exchange(headers, frame, None).await.ok()
    }
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"{method}","params":{params}}}"#, Uuid::new_v4().simple())
}

/// A session that nobody else knows. It ends when this goes.
struct Opened {
    inner: Arc<Inner>,
    id: Option<HeaderValue>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        let id = self.id.as_ref().and_then(|id| id.to_str().ok());
        if let Some(session) = id.and_then(|id| self.inner.sessions.remove(id)) {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move { front::end_both_sides(&inner, &session, Outcome::Uncertain).await });
        }
    }
}
