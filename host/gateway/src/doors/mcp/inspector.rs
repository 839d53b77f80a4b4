//! One MCP conversation, whatever carries it: which message may pass, in which form, and how every call ended.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portcullis_model::{Call, Document, Door, Kind, Outcome, Phase};
use uuid::Uuid;

use super::answers::{self, Refusal, ReplyTo, Withheld};
use super::envelope::{BUSY, Frame, INVALID_REQUEST, Id, Shape};
use super::{Counters, Origin};
use crate::gate::{CallFacts, Effect, Gate, now_ms};

/// The tool name under which a list of tools is judged.
const LISTING: &str = "tools/list";

/// Inspects both directions of one conversation and keeps the requests of the client that are in flight.
pub(crate) struct Inspector {
    gate: Arc<Gate>,
    origin: Origin,
    counters: Arc<Counters>,
    in_flight: usize,
    pending: Mutex<HashMap<Id, Pending>>,
}

/// A request of the client without an answer.
struct Pending {
    /// Where progress about it is reported.
    token: Option<Id>,
    stage: Stage,
}

enum Stage {
    /// Not at the upstream yet.
    Judging,
    /// `tools/call`; `stateless` if it states its protocol revision itself, as the revisions without sessions do.
    Call { facts: Box<CallFacts>, stateless: bool },
    /// `tools/list`.
    Listing,
    /// Any other method.
    Other,
}

/// What happens to a message of the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromClient {
    /// It goes to the upstream like this. `cancels` names the request that it ends.
    Forward { bytes: Bytes, cancels: Option<Id> },
    /// The client gets this instead.
    Answer(Bytes),
}

/// What happens to a message of the upstream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    /// The answer to a request in flight.
    Answer { id: Id, bytes: Bytes },
    /// An error about something the upstream could not read.
    Orphan(Bytes),
    /// A request or notification, and the client's request it belongs to, if that is known.
    Message { bytes: Bytes, belongs: Option<Id> },
    /// Not for the client: an answer nobody waits for.
    Unmatched,
    /// Not for the client: not a message.
    Malformed,
}

impl Inspector {
    pub(crate) fn new(gate: Arc<Gate>, origin: Origin, counters: Arc<Counters>, in_flight: usize) -> Self {
        Self { gate, origin, counters, in_flight, pending: Mutex::new(HashMap::new()) }
    }

    /// Decides about a message on its way to the upstream.
    pub(crate) async fn client_sent(&self, frame: &Frame) -> FromClient {
        let forward = |cancels| FromClient::Forward { bytes: Bytes::copy_from_slice(frame.raw().as_bytes()), cancels };
        match frame.shape() {
            Shape::Response { .. } => forward(None),
            Shape::Notification { method } if &**method == "notifications/cancelled" => {
                let id = frame.cancelled();
                if let Some(id) = &id {
                    self.end(id, Outcome::Cancelled, "cancelled by the client").await;
                }
                forward(id)
            }
            Shape::Notification { .. } => forward(None),
            Shape::Request { id, method } => {
                if let Err(text) = self.reserve(id, frame.offered_token()) {
                    let code = if text == DUPLICATE { INVALID_REQUEST } else { BUSY };
                    return FromClient::Answer(answers::error(Some(id), code, text, None));
                }
                match &**method {
                    "tools/call" => self.tool_call(id, frame).await,
                    "tools/list" => self.forward(id, Stage::Listing, frame.raw()).await,
                    _ => self.forward(id, Stage::Other, frame.raw()).await,
                }
            }
        }
    }

    /// Decides about a message on its way to the client. Where the transport allows the answer to one request only,
    /// `expected` names it.
    pub(crate) async fn server_sent(&self, bytes: impl Into<Vec<u8>>, expected: Option<&Id>) -> FromServer {
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.counters.malformed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(upstream = %self.origin.upstream, %error, "a malformed message of the upstream was dropped");
                return FromServer::Malformed;
            }
        };
        let raw = || Bytes::copy_from_slice(frame.raw().as_bytes());
        match frame.shape() {
            Shape::Request { .. } => FromServer::Message { bytes: raw(), belongs: None },
            Shape::Notification { method } => {
                let token = if &**method == "notifications/progress" { frame.progress_token() } else { None };
                FromServer::Message { bytes: raw(), belongs: token.and_then(|token| self.offered(&token)) }
            }
            Shape::Response { id: None, .. } => FromServer::Orphan(raw()),
            Shape::Response { id: Some(id), failed } => {
                let stage = if expected.is_none_or(|expected| expected == id) { self.answered(id) } else { None };
                let Some(stage) = stage else {
                    self.counters.unmatched.fetch_add(1, Ordering::Relaxed);
                    return FromServer::Unmatched;
                };
                let bytes = match stage {
                    Stage::Call { facts, stateless } => {
                        let reply = ReplyTo { id, stateless };
                        self.tool_result(reply, &frame, *failed, &facts).await
                    }
                    Stage::Listing if !failed => self.listing(id, &frame).await,
                    _ => raw(),
                };
                FromServer::Answer { id: id.clone(), bytes }
            }
        }
    }

    /// Ends a request without an answer of the upstream. The error for the client, if it was still in flight.
    pub(crate) async fn fail(&self, id: &Id, outcome: Outcome, text: &'static str) -> Option<Bytes> {
        self.end(id, outcome, text).await.then(|| answers::upstream_error(id, text))
    }

    /// Ends all requests in flight, with their errors for the client.
    pub(crate) async fn fail_all(&self, outcome: Outcome, text: &'static str) -> Vec<(Id, Bytes)> {
        let mut errors = Vec::new();
        for id in self.in_flight() {
            if let Some(bytes) = self.fail(&id, outcome, text).await {
                errors.push((id, bytes));
            }
        }
        errors
    }

    /// Ends the one request that an unreadable message was probably the answer to: the only one in flight, or the only
    /// one whose id stands at its beginning.
    pub(crate) async fn fail_probable(&self, unreadable: &[u8], text: &'static str) -> Option<(Id, Bytes)> {
        if unreadable.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let beginning = String::from_utf8_lossy(unreadable.get(..512).unwrap_or(unreadable));
        let beginning: String = beginning.chars().filter(|c| !c.is_whitespace()).collect();
        let mut ids = self.in_flight();
        if ids.len() > 1 {
            ids.retain(|id| {
                let member = format!("\"id\":{id}");
                beginning.contains(&format!("{member},")) || beginning.contains(&format!("{member}}}"))
            });
        }
        match ids.as_slice() {
            [id] => self.fail(id, Outcome::Failed, text).await.map(|bytes| (id.clone(), bytes)),
            _ => None,
        }
    }

    /// Whether the request still waits for its answer.
    pub(crate) fn waits(&self, id: &Id) -> bool {
        self.pending().contains_key(id)
    }

    /// Whether any request is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        !self.pending().is_empty()
    }

    /// The only request in flight, if there is exactly one.
    pub(crate) fn only_one(&self) -> Option<Id> {
        let pending = self.pending();
        if pending.len() == 1 { pending.keys().next().cloned() } else { None }
    }

    /// Ends a request. Whether it was in flight.
    pub(crate) async fn end(&self, id: &Id, outcome: Outcome, note: &'static str) -> bool {
        let Some(pending) = self.pending().remove(id) else { return false };
        if let Stage::Call { facts, .. } = pending.stage {
            self.record(&facts, outcome, note).await;
        }
        true
    }

    async fn record(&self, facts: &CallFacts, outcome: Outcome, note: &'static str) {
        if let Err(error) = self.gate.end(facts, outcome, Some(note)).await {
            tracing::error!(call = %facts.id(), %error, "the end of a call could not be recorded");
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Id, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> Vec<Id> {
        self.pending().keys().cloned().collect()
    }

    fn reserve(&self, id: &Id, token: Option<Id>) -> Result<(), &'static str> {
        let mut pending = self.pending();
        if pending.len() >= self.in_flight {
            return Err("too many requests of this session are in flight");
        }
        match pending.entry(id.clone()) {
            Entry::Occupied(_) => Err(DUPLICATE),
            Entry::Vacant(place) => {
                place.insert(Pending { token, stage: Stage::Judging });
                Ok(())
            }
        }
    }

    /// Marks the request as being at the upstream, unless it was cancelled meanwhile.
    async fn forward(&self, id: &Id, stage: Stage, message: &str) -> FromClient {
        let late = match self.pending().get_mut(id) {
            Some(pending) => {
                pending.stage = stage;
                None
            }
            None => Some(stage),
        };
        let Some(stage) = late else {
            return FromClient::Forward { bytes: Bytes::copy_from_slice(message.as_bytes()), cancels: None };
        };
        // An allowed call needs its second entry even if it never left.
        if let Stage::Call { facts, .. } = stage {
            self.record(&facts, Outcome::Cancelled, "cancelled before it was sent").await;
        }
        FromClient::Answer(answers::upstream_error(id, "the request was cancelled"))
    }

    fn forget(&self, id: &Id) {
        self.pending().remove(id);
    }

    /// Takes a request out because its answer came; requests that the upstream cannot know yet are not answered.
    fn answered(&self, id: &Id) -> Option<Stage> {
        let mut pending = self.pending();
        if matches!(pending.get(id)?.stage, Stage::Judging) {
            return None;
        }
        pending.remove(id).map(|pending| pending.stage)
    }

    fn offered(&self, token: &Id) -> Option<Id> {
        let pending = self.pending();
        pending.iter().find(|(_, pending)| pending.token.as_ref() == Some(token)).map(|(id, _)| id.clone())
    }

    fn call(&self, phase: Phase, tool: &str, payload: Arc<Document>) -> Call {
        let Origin { agent, session, upstream } = &self.origin;
        Call {
            id: Uuid::now_v7(),
            phase,
            tenant: Arc::clone(&agent.tenant),
            agent: Arc::clone(&agent.name),
            session: session.clone(),
            persona: agent.persona.clone(),
            task: None,
            upstream: Some(Arc::clone(upstream)),
            tool: tool.into(),
            payload,
            time_ms: now_ms(),
        }
    }

    async fn tool_call(&self, id: &Id, frame: &Frame) -> FromClient {
        let asked = match frame.tool_call() {
            Ok(asked) => asked,
            Err(error) => {
                self.forget(id);
                return FromClient::Answer(answers::error(Some(id), error.code(), &error.to_string(), None));
            }
        };
        let stateless = frame.stated_version().is_some();
        let reply = ReplyTo { id, stateless };
        let payload = asked.arguments.map_or_else(Document::empty, |value| value.to_document());
        let call = self.call(Phase::Call, asked.name, Arc::new(payload));
        let ruling = match self.gate.rule(&call, Door::Mcp).await {
            Ok(ruling) => ruling,
            Err(error) => {
                self.forget(id);
                return FromClient::Answer(Refusal::by_gate(call.id, Withheld::Call, &error).tool_result(reply));
            }
        };
        let facts = || Stage::Call { facts: Box::new(CallFacts::forwarded(&call, Door::Mcp, &ruling)), stateless };
        let answer = match (&ruling.effect, asked.arguments, &ruling.approval) {
            (Effect::Forward, ..) => return self.forward(id, facts(), frame.raw()).await,
            (Effect::Replace(document), Some(arguments), _) => {
                let message = frame.splice(arguments, document.raw());
                return self.forward(id, facts(), &message).await;
            }
            (Effect::Park, _, Some(approval)) => answers::needs_approval(id, call.id, approval),
            _ => Refusal::by_ruling(call.id, Withheld::Call, &ruling).tool_result(reply),
        };
        self.forget(id);
        FromClient::Answer(answer)
    }

    /// What the client gets for the answer of a tool. Errors are text for the model too, so they are looked at as well.
    async fn tool_result(&self, to: ReplyTo<'_>, frame: &Frame, failed: bool, facts: &CallFacts) -> Bytes {
        let Some(body) = frame.body().filter(|body| body.kind() == Kind::Object) else {
            self.counters.malformed.fetch_add(1, Ordering::Relaxed);
            self.record(facts, Outcome::Failed, "malformed result").await;
            return answers::upstream_error(to.id, "the upstream's result is not an object");
        };
        let failed = failed || body.get("isError").and_then(|value| value.as_bool()) == Some(true);
        let outcome = if failed { Outcome::Failed } else { Outcome::Answered };
        let result = facts.result(Arc::new(body.to_document()));
        match self.gate.settle(facts, outcome, &result).await {
            Ok(ruling) => match &ruling.effect {
                Effect::Forward => Bytes::copy_from_slice(frame.raw().as_bytes()),
                Effect::Replace(document) => Bytes::from(frame.splice(body, document.raw())),
                Effect::Refuse | Effect::Park => {
                    Refusal::by_ruling(facts.id(), Withheld::Result, &ruling).tool_result(to)
                }
            },
            Err(error) => Refusal::by_gate(facts.id(), Withheld::Result, &error).tool_result(to),
        }
    }

    /// What the client gets for a list of tools.
    async fn listing(&self, id: &Id, frame: &Frame) -> Bytes {
        let tools = frame.body().and_then(|body| body.get("tools")).filter(|tools| tools.kind() == Kind::Array);
        let Some(tools) = tools else {
            self.counters.malformed.fetch_add(1, Ordering::Relaxed);
            return answers::upstream_error(id, "the upstream's list of tools is not an array");
        };
        let call = self.call(Phase::Listing, LISTING, Arc::new(tools.to_document()));
        match self.gate.rule(&call, Door::Mcp).await {
            Ok(ruling) => match &ruling.effect {
                Effect::Forward => Bytes::copy_from_slice(frame.raw().as_bytes()),
                Effect::Replace(document) => Bytes::from(frame.splice(tools, document.raw())),
                Effect::Refuse | Effect::Park => Refusal::by_ruling(call.id, Withheld::Listing, &ruling).rpc_error(id),
            },
            Err(error) => Refusal::by_gate(call.id, Withheld::Listing, &error).rpc_error(id),
        }
    }
}

/// The client uses an id again too early.
const DUPLICATE: &str = "a request with this id is in flight already";

#[cfg(test)]
mod tests;
