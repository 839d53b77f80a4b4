//! One MCP conversation, whatever carries it: which message may pass, in which form, and how every call ended.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portcullis_model::{Call, Digest, Document, Door, Kind, Outcome, Phase, Value, codes};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::answers::{self, Refusal, ReplyTo, Withheld};
use super::envelope::{
    BUSY, Frame, FrameError, INVALID_REQUEST, Id, METHOD_NOT_FOUND, REFUSED, Shape, ToolCall, members,
};
use super::holding::{Holds, Offers};
use super::pace::{Pace, TooFast};
use super::{Counters, Desk, Origin, changes, listing, tasks};
use crate::gate::{CallFacts, Effect, Gate, GateError, Ruling, Waiter, now_ms};
use crate::ports::DenialForm;
pub(crate) use held::Held;
use held::{Before, Returned};

mod held;

/// The tool name under which a list of tools is judged.
const LISTING: &str = "tools/list";
/// The tool name under which members are judged that JSON-RPC does not know.
const EXTENSIONS: &str = "extensions";
/// The tool name under which a client's answers to the upstream's questions are judged, in both eras.
const ANSWER: &str = "answer";
const INPUT_RESPONSES: &str = "inputResponses";
/// Methods that fetch something as a tool does: they are judged and recorded as calls under their own names.
const ASKING: &[&str] = &["resources/read", "prompts/get", "completion/complete"];
/// Requests whose parameters no model writes.
const ROUTINE: &[&str] = &[
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
];
/// Requests whose answers introduce a server, with instructions that it gives for itself.
const INTRODUCING: &[&str] = &["initialize", DISCOVER];
const DISCOVER: &str = "server/discover";
/// Methods whose answers hold nothing for a model to read.
const SILENT: &[&str] = &["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];
/// What an upstream says of its own accord without words for a model or a person. Everything else it says is judged.
const QUIET: &[&str] = &[
    "ping",
    "roots/list",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/tools/list_changed",
];
/// Parameters of notifications, and of requests of an upstream without words, that belong to the protocol.
const WORDLESS: &[&str] = &["_meta", "progress", "progressToken", "requestId", "total", "uri"];
const CANCELLED: &str = "notifications/cancelled";
/// Code of an error by which an upstream asks a client to let its user open an address.
const ASKS_BY_ADDRESS: &str = "-32042";
/// So many malformed messages of one conversation are logged each; after that only every power of two.
const LOGGED: u64 = 4;
/// Requests that were ended before their answer came, of one conversation. Beyond that it has to begin anew.
const MAX_ENDED: usize = 16_384;

/// Inspects both directions of one conversation and keeps the requests of the client that are in flight.
pub(crate) struct Inspector {
    gate: Arc<Gate>,
    origin: Origin,
    counters: Arc<Counters>,
    holds: Arc<Holds>,
    in_flight: usize,
    requests: Mutex<Requests>,
    /// Malformed messages of the upstream until now.
    malformed: AtomicU64,
    /// What the upstream may say of its own accord: all of it is judged and recorded.
    pace: Pace,
    looks: tokio::sync::Mutex<Looks>,
    /// Keyed, so that nobody can choose ids that fall together.
    hasher: RandomState,
}

/// The client's requests.
#[derive(Default)]
struct Requests {
    /// How many there were until now.
    turns: u64,
    pending: HashMap<Id, Pending>,
    /// Hashes of the ids of requests that were ended while their answer may still come. Such an id is not used again: the
    /// late answer would be taken for that of the new request, and looked at as if it were.
    ended: HashSet<u64>,
}

/// A request of the client without an answer.
struct Pending {
    turn: u64,
    /// Where progress about it is reported.
    token: Option<Id>,
    /// Whether the client waits for its answer: not for that of a subscription, nor for that of a request of ours.
    awaited: bool,
    stage: Stage,
}

enum Stage {
    /// Not at the upstream yet.
    Judging,
    /// Not at the upstream: a person has to decide first. Who waits for that is told by the end of this.
    Held { _wanted: oneshot::Sender<()> },
    /// A call; `stateless` if it states its protocol revision itself, as the revisions without sessions do.
    Call { facts: Box<CallFacts>, stateless: bool, form: DenialForm },
    /// A call of a tool that the agent must not know of, sent on under a name that no tool has.
    Hidden { name: String, alias: String },
    /// `tools/list`.
    Listing { stateless: bool },
    /// A method whose answer somebody reads.
    /// `tasks` if the client can do with tasks of ours.
    Message { method: Arc<str>, tasks: bool },
    /// A method whose answer holds nothing to read, unless the upstream puts something there.
    Silent { method: Arc<str> },
}

/// One request of the client. Its id alone would not do: another request may have it after this one has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) id: Id,
    turn: u64,
}

/// A request that is judged as a call.
struct Asked<'f> {
    reply: ReplyTo<'f>,
    frame: &'f Frame,
    /// What `tools/call` asks for.
    tool: Option<ToolCall<'f>>,
    offers: Offers,
}

/// What happens to a message of the client.
pub(crate) enum FromClient {
    /// It goes to the upstream like this. `cancels` names the request that it ends.
    Forward { bytes: Bytes, cancels: Option<Id> },
    /// The client gets this instead.
    Answer(Bytes),
    /// A person has to decide first: see [`Inspector::wait`].
    Held(Box<Held>),
}

/// What happens to a message of the upstream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    /// The answer to a request in flight.
    Answer { id: Id, bytes: Bytes },
    /// A request or notification, and the client's request it belongs to, if that is known.
    Message { bytes: Bytes, belongs: Option<Id> },
    /// Not for the client, and the upstream gets this in its place.
    Refused(Bytes),
    /// Not for the client: an answer nobody waits for, or something that is withheld.
    Unmatched,
    /// Not for the client: not a message.
    Malformed,
}

/// When looks at the list of tools began: the latest, and the latest that came to its end.
#[derive(Debug, Default)]
struct Looks {
    began: Option<Instant>,
    seen: Option<Instant>,
}

impl Inspector {
    pub(crate) fn new(
        gate: Arc<Gate>,
        origin: Origin,
        counters: Arc<Counters>,
        holds: Arc<Holds>,
        in_flight: usize,
    ) -> Self {
        let (requests, malformed, looks, hasher) = Default::default();
        Self { gate, origin, counters, holds, in_flight, requests, malformed, pace: Pace::new(), looks, hasher }
    }

    /// Decides about a message on its way to the upstream.
    pub(crate) async fn client_sent(&self, frame: &Frame) -> FromClient {
        // What the client offers to Portcullis is not for the upstream to be withheld.
        let offers = Offers::of(frame);
        let mut other = self.without_withheld(frame);
        let returned = match self.returned(other.as_ref().unwrap_or(frame)) {
            Ok(None) => None,
            Ok(Some((without, returned))) => {
                other = Some(without);
                Some(returned)
            }
            Err(answer) => return FromClient::Answer(answer),
        };
        match self.decide(other.as_ref().unwrap_or(frame), offers, returned).await {
            FromClient::Held(held) => FromClient::Held(held.instead(other)),
            done => done,
        }
    }

    async fn decide(&self, frame: &Frame, offers: Offers, returned: Option<Returned>) -> FromClient {
        let calls = matches!(frame.shape(), Shape::Request { method, .. } if &**method == "tools/call");
        // A call is refused by the gate, with an entry; what was begun may be cancelled.
        let cancels = matches!(frame.shape(), Shape::Notification { method } if &**method == CANCELLED);
        if !calls
            && !cancels
            && let Err(error) = self.gate.awake(&self.origin.agent)
        {
            let refusal = Refusal::by_gate(Uuid::now_v7(), Withheld::Call, &error);
            return FromClient::Answer(refusal.rpc_error(frame.request_id()));
        }
        let forward = |cancels| FromClient::Forward { bytes: Bytes::copy_from_slice(frame.raw().as_bytes()), cancels };
        if let Err(refusal) = self.extensions(frame).await {
            return FromClient::Answer(refusal.rpc_error(frame.request_id()));
        }
        match frame.shape() {
            // What a person or a model told the upstream leaves here too. It waits for an answer, so it gets one.
            Shape::Response { id, .. } => {
                let Some(body) = frame.body() else { return forward(None) };
                let judged = self.judged(Phase::Message, ANSWER, Withheld::Message, frame, body).await;
                let bytes = judged.unwrap_or_else(|refusal| refusal.rpc_error(id.as_ref()));
                FromClient::Forward { bytes, cancels: None }
            }
            Shape::Notification { method } if &**method == CANCELLED => {
                let id = frame.cancelled();
                if let Some(id) = &id {
                    self.end(id, Outcome::Cancelled, "cancelled by the client").await;
                }
                match self.unsaid(method, frame).await {
                    Ok(()) => forward(id),
                    // It takes effect in any case, without the words.
                    Err(_) => FromClient::Forward { bytes: wordless(frame).into(), cancels: id },
                }
            }
            Shape::Notification { method } if method.starts_with("notifications/") => {
                match self.unsaid(method, frame).await {
                    Ok(()) => forward(None),
                    Err(refusal) => FromClient::Answer(refusal.rpc_error(None)),
                }
            }
            // An upstream that does not look at the id would run it.
            Shape::Notification { .. } => {
                let text = "a request needs an id; without one only notifications are passed on";
                FromClient::Answer(answers::error(None, INVALID_REQUEST, text, None))
            }
            Shape::Request { id, method } => {
                if let Some(text) = unsupported(method, frame.stated_version().is_some()) {
                    return FromClient::Answer(answers::error(Some(id), REFUSED, text, None));
                }
                if !id.is_exact() {
                    let text = "a number as an id must be an integer of at most 2^53 - 1";
                    return FromClient::Answer(answers::error(Some(id), INVALID_REQUEST, text, None));
                }
                if let Some(answers) = frame.input_responses()
                    && let Err(refusal) = self.passes(INPUT_RESPONSES, Arc::new(answers.to_document())).await
                {
                    return FromClient::Answer(refusal.rpc_error(Some(id)));
                }
                if is_worded(method)
                    && let Some(asked) = frame.asked()
                    && let Err(refusal) = self.passes(method, Arc::new(asked)).await
                {
                    return FromClient::Answer(refusal.rpc_error(Some(id)));
                }
                if let Err(refused) = self.reserve(id, frame.offered_token(), !frame.asks("subscriptions/listen")) {
                    return FromClient::Answer(answers::error(Some(id), refused.code(), &refused.to_string(), None));
                }
                let tasks = offers.tasks && self.has_tasks();
                match &**method {
                    "tools/call" => self.call_out(id, method, frame, offers, returned).await,
                    LISTING => {
                        let stateless = frame.stated_version().is_some();
                        self.forward(id, Stage::Listing { stateless }, frame.raw()).await
                    }
                    asking if ASKING.contains(&asking) => self.call_out(id, method, frame, offers, returned).await,
                    silent if SILENT.contains(&silent) => {
                        self.forward(id, Stage::Silent { method: Arc::clone(method) }, frame.raw()).await
                    }
                    _ => self.forward(id, Stage::Message { method: Arc::clone(method), tasks }, frame.raw()).await,
                }
            }
        }
    }

    /// Decides about a message on its way to the client. Where the transport allows the answer to one request only,
    /// `expected` names it.
    pub(crate) async fn server_sent(&self, bytes: impl Into<Vec<u8>>, expected: Option<&Ticket>) -> FromServer {
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.dropped(&error);
                return FromServer::Malformed;
            }
        };
        let is_answer = matches!(frame.shape(), Shape::Response { id, .. } if id.is_some() || expected.is_some());
        if !is_answer && let Err(refused) = self.unasked(&frame).await {
            return refused;
        }
        let raw = || Bytes::copy_from_slice(frame.raw().as_bytes());
        match frame.shape() {
            Shape::Request { id, method } if self.origin.withholds.refuses(method) => {
                self.counters.undelivered.inc();
                let text = "clients of this server do not offer this";
                FromServer::Refused(answers::error(Some(id), METHOD_NOT_FOUND, text, None))
            }
            Shape::Request { id, method } if !is_quiet(method, &frame) => {
                match self.spoken(method, frame.params(), &frame).await {
                    Ok(bytes) => FromServer::Message { bytes, belongs: None },
                    Err(refusal) => FromServer::Refused(refusal.rpc_error(Some(id))),
                }
            }
            Shape::Notification { method } if !is_quiet(method, &frame) => {
                let belongs = self.progressed(method, &frame);
                match self.spoken(method, frame.params(), &frame).await {
                    Ok(bytes) => FromServer::Message { bytes, belongs },
                    Err(_) => FromServer::Unmatched,
                }
            }
            Shape::Request { .. } => FromServer::Message { bytes: raw(), belongs: None },
            Shape::Notification { method } => {
                FromServer::Message { bytes: raw(), belongs: self.progressed(method, &frame) }
            }
            // An error about something that the upstream could not read, in a stream where anything may be meant.
            Shape::Response { id: None, .. } if expected.is_none() => {
                match self.spoken("error", frame.body(), &frame).await {
                    Ok(bytes) => FromServer::Message { bytes, belongs: None },
                    Err(_) => FromServer::Unmatched,
                }
            }
            Shape::Response { id, failed } => {
                let id = id.as_ref().or(expected.map(|expected| &expected.id));
                let turn = expected.map(|expected| expected.turn);
                let stage = id
                    .filter(|id| expected.is_none_or(|expected| expected.id == **id))
                    .and_then(|id| self.answered(id, turn));
                let Some((id, stage)) = id.zip(stage) else {
                    self.counters.unmatched.inc();
                    return FromServer::Unmatched;
                };
                let mut wrong = self.unanswerable(&frame, &stage);
                if wrong.is_none()
                    && let Err(refusal) = self.extensions(&frame).await
                {
                    tracing::warn!(upstream = %self.origin.upstream, ?refusal, "an answer of the upstream was withheld");
                    wrong = Some("the upstream's answer has members that policy refuses");
                }
                if let Some(text) = wrong {
                    self.counters.undelivered.inc();
                    if let Stage::Call { facts, .. } = &stage {
                        self.record(facts, Outcome::Failed, text).await;
                    }
                    return FromServer::Answer { id: id.clone(), bytes: answers::upstream_error(id, text) };
                }
                let bytes = match stage {
                    Stage::Call { facts, stateless, form } => {
                        let reply = ReplyTo { id, stateless, form };
                        self.tool_result(reply, &frame, *failed, &facts).await
                    }
                    Stage::Hidden { name, alias } => self.unknown(id, &frame, &name, &alias).await,
                    Stage::Listing { stateless } if !failed => self.listing(id, &frame, stateless).await,
                    Stage::Listing { .. } => self.message(id, LISTING, &frame).await,
                    Stage::Message { method, tasks } => {
                        let bytes = self.message(id, &method, &frame).await;
                        let told = (tasks && &*method == DISCOVER).then(|| tasks::announced(&bytes)).flatten();
                        told.unwrap_or(bytes)
                    }
                    Stage::Silent { .. } if is_empty(&frame) => raw(),
                    Stage::Silent { method } => self.message(id, &method, &frame).await,
                    // Never answered: `answered` leaves such requests where they are.
                    Stage::Judging | Stage::Held { .. } => return FromServer::Unmatched,
                };
                FromServer::Answer { id: id.clone(), bytes }
            }
        }
    }

    /// What the upstream says of its own accord: whether it may, before its words are looked at.
    async fn unasked(&self, frame: &Frame) -> Result<(), FromServer> {
        let quiet = match frame.shape() {
            Shape::Request { method, .. } | Shape::Notification { method } => is_quiet(method, frame),
            Shape::Response { .. } => false,
        };
        let judged = !quiet || frame.extensions().is_some();
        // While a client waits for an answer, it is the client that goes on or gives up, and takes as fast as it can.
        let unasked = judged && !self.is_busy();
        if unasked && let Err(TooFast { say }) = self.pace.take() {
            self.counters.undelivered.inc();
            if let Some(count) = say {
                let upstream = &self.origin.upstream;
                tracing::warn!(%upstream, count, "the upstream says too much of its own accord: messages are dropped");
            }
            return Err(match frame.shape() {
                // Somebody there waits for an answer.
                Shape::Request { id, .. } => {
                    FromServer::Refused(answers::error(Some(id), BUSY, "too many messages in too short a time", None))
                }
                _ => FromServer::Unmatched,
            });
        }
        self.extensions(frame).await.map_err(|refusal| {
            self.dropped(&format_args!("{refusal:?}"));
            FromServer::Malformed
        })
    }

    /// Has the list of tools fetched and judged, for a message at `said` that it has changed: one look at a time, a second
    /// between two, and one for all that was said before it began.
    pub(crate) async fn look(&self, said: Instant, look: impl Future<Output = ()>) {
        let mut looks = self.looks.lock().await;
        if looks.seen.is_some_and(|began| began >= said) {
            return;
        }
        if let Some(began) = looks.began {
            tokio::time::sleep_until(began + changes::LOOK_EVERY).await;
        }
        let began = Instant::now();
        looks.began = Some(began);
        look.await;
        looks.seen = Some(began);
    }

    /// Counts a message of the upstream that is none. An upstream that prints nothing else does not fill the log.
    pub(crate) fn dropped(&self, error: &dyn fmt::Display) {
        self.counters.malformed.inc();
        let count = self.malformed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if logged(count) {
            let upstream = &self.origin.upstream;
            tracing::warn!(%upstream, %error, count, "a malformed message of the upstream was dropped");
        }
    }

    /// Ends a request without an answer of the upstream. The error for the client, if it was still in flight.
    pub(crate) async fn fail(&self, id: &Id, outcome: Outcome, text: &'static str) -> Option<Bytes> {
        self.end(id, outcome, text).await.then(|| answers::upstream_error(id, text))
    }

    /// The same for exactly this request.
    pub(crate) async fn fail_own(&self, own: &Ticket, outcome: Outcome, text: &'static str) -> Option<Bytes> {
        self.end_own(own, outcome, text).await.then(|| answers::upstream_error(&own.id, text))
    }

    /// Ends all requests in flight, with their errors for the client.
    pub(crate) async fn fail_all(&self, outcome: Outcome, text: &'static str) -> Vec<(Id, Bytes)> {
        // At once: their entries go to the disk together.
        let fail = async |id: Id| self.fail(&id, outcome, text).await.map(|bytes| (id, bytes));
        let ended = futures_util::future::join_all(self.ids(|_| true).into_iter().map(fail)).await;
        ended.into_iter().flatten().collect()
    }

    /// Ends the one request that an unreadable message was probably the answer to: the only one in flight, or the only
    /// one whose id stands at its beginning.
    pub(crate) async fn fail_probable(&self, unreadable: &[u8], text: &'static str) -> Option<(Id, Bytes)> {
        if unreadable.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let beginning = String::from_utf8_lossy(unreadable.get(..512).unwrap_or(unreadable));
        let beginning: String = beginning.chars().filter(|c| !c.is_whitespace()).collect();
        let mut ids = self.ids(|pending| !pending.is_held());
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

    /// The request that has this id now.
    pub(crate) fn ticket(&self, id: &Id) -> Ticket {
        let turn = self.requests().pending.get(id).map_or(0, |pending| pending.turn);
        Ticket { id: id.clone(), turn }
    }

    /// Whether the request still waits for its answer.
    pub(crate) fn waits(&self, own: &Ticket) -> bool {
        self.requests().pending.get(&own.id).is_some_and(|pending| pending.turn == own.turn)
    }

    /// The ticket of a request of ours, from now on: the client does not wait for its answer.
    pub(crate) fn ours(&self, id: &Id) -> Ticket {
        if let Some(pending) = self.requests().pending.get_mut(id) {
            pending.awaited = false;
        }
        self.ticket(id)
    }

    /// Whether the client waits for any answer of the upstream.
    pub(crate) fn is_busy(&self) -> bool {
        self.requests().pending.values().any(|pending| pending.awaited && !pending.is_held())
    }

    /// The only request whose answer the client waits for, if there is exactly one.
    pub(crate) fn only_one(&self) -> Option<Id> {
        let requests = self.requests();
        let pending = requests.pending.iter();
        let mut awaited = pending.filter(|(_, pending)| pending.awaited && !pending.is_held()).map(|(id, _)| id);
        awaited.next().filter(|_| awaited.next().is_none()).cloned()
    }

    /// Ends a request. Whether it was in flight.
    pub(crate) async fn end(&self, id: &Id, outcome: Outcome, note: &'static str) -> bool {
        self.end_turn(id, None, outcome, note).await
    }

    /// Ends exactly this request. Whether it was in flight.
    pub(crate) async fn end_own(&self, own: &Ticket, outcome: Outcome, note: &'static str) -> bool {
        self.end_turn(&own.id, Some(own.turn), outcome, note).await
    }

    async fn end_turn(&self, id: &Id, turn: Option<u64>, outcome: Outcome, note: &'static str) -> bool {
        let Some(pending) = self.requests().end(id, turn, self.hash(id)) else { return false };
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

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, id: &Id) -> u64 {
        self.hasher.hash_one(id)
    }

    fn ids(&self, of: impl Fn(&Pending) -> bool) -> Vec<Id> {
        self.requests().pending.iter().filter(|(_, pending)| of(pending)).map(|(id, _)| id.clone()).collect()
    }

    fn reserve(&self, id: &Id, token: Option<Id>, awaited: bool) -> Result<(), Reserve> {
        let mut requests = self.requests();
        if requests.pending.len() >= self.in_flight {
            return Err(Reserve::Busy);
        }
        if requests.ended.len() >= MAX_ENDED {
            return Err(Reserve::Worn);
        }
        if requests.pending.contains_key(id) {
            return Err(Reserve::InFlight);
        }
        if requests.ended.contains(&self.hash(id)) {
            return Err(Reserve::Ended);
        }
        requests.turns += 1;
        let turn = requests.turns;
        requests.pending.insert(id.clone(), Pending { turn, token, awaited, stage: Stage::Judging });
        Ok(())
    }

    /// Marks the request as being at the upstream, unless it was cancelled meanwhile.
    async fn forward(&self, id: &Id, stage: Stage, message: &str) -> FromClient {
        let late = {
            let mut requests = self.requests();
            match requests.pending.get_mut(id) {
                Some(pending) => {
                    pending.stage = stage;
                    None
                }
                None => {
                    // It never left, so no answer will come.
                    requests.ended.remove(&self.hash(id));
                    Some(stage)
                }
            }
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
        let mut requests = self.requests();
        if requests.pending.remove(id).is_none() {
            requests.ended.remove(&self.hash(id));
        }
    }

    /// Takes a request out because its answer came; requests that the upstream cannot know yet are not answered.
    fn answered(&self, id: &Id, turn: Option<u64>) -> Option<Stage> {
        let mut requests = self.requests();
        match requests.pending.get(id) {
            Some(pending) if turn.is_some_and(|turn| turn != pending.turn) => None,
            Some(Pending { stage: Stage::Judging | Stage::Held { .. }, .. }) => None,
            Some(_) => requests.pending.remove(id).map(|pending| pending.stage),
            None => {
                requests.ended.remove(&self.hash(id));
                None
            }
        }
    }

    /// The request whose progress a notification is about.
    fn progressed(&self, method: &str, frame: &Frame) -> Option<Id> {
        let token = frame.progress_token().filter(|_| method == "notifications/progress")?;
        let pending = &self.requests().pending;
        pending.iter().find(|(_, pending)| pending.token.as_ref() == Some(&token)).map(|(id, _)| id.clone())
    }

    fn call(&self, phase: Phase, tool: &str, payload: Arc<Document>) -> Call {
        let Origin { agent, session, upstream, .. } = &self.origin;
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
            attached: None,
        }
    }

    /// What a request asks for that is judged as a call.
    fn asked<'f>(&self, id: &'f Id, method: &str, frame: &'f Frame, offers: Offers) -> Result<Asked<'f>, FrameError> {
        let tool = if method == "tools/call" { Some(frame.tool_call()?) } else { None };
        // Only for tool calls there is a result that says it failed.
        let form = tool.map_or(DenialForm::Error, |_| self.gate.denials(&self.origin.agent));
        let reply = ReplyTo { id, stateless: frame.stated_version().is_some(), form };
        Ok(Asked { reply, frame, tool, offers })
    }

    /// Decides about a call and sends it on. A client that comes back with what it was given when the call was parked has
    /// `returned`.
    async fn call_out(
        &self,
        id: &Id,
        method: &str,
        frame: &Frame,
        offers: Offers,
        returned: Option<Returned>,
    ) -> FromClient {
        if let Some(facts) = frame.ruled() {
            let facts = Box::new(facts.clone().leaving());
            return self
                .forward(id, Stage::Call { facts, stateless: false, form: DenialForm::Error }, frame.raw())
                .await;
        }
        let asked = match self.asked(id, method, frame, offers) {
            Ok(asked) => asked,
            Err(error) => {
                self.forget(id);
                return FromClient::Answer(answers::error(Some(id), error.code(), &error.to_string(), None));
            }
        };
        let name = asked.tool.map_or(method, |tool| tool.name);
        let call = self.call(Phase::Call, name, Arc::new(asked.payload()));
        let call = Call { attached: attached(frame), task: frame.task().map(Arc::from), ..call };
        let before = returned.as_ref().map(|_| Before::Returned);
        let ruled = match returned {
            None => self.gate.rule_waiting(&call, Door::Mcp).await,
            Some(returned) => match self.back(&asked, &call, returned).await {
                Ok(ruled) => ruled,
                Err(answer) => {
                    self.forget(id);
                    return FromClient::Answer(answer);
                }
            },
        };
        self.ruled(&asked, &call, ruled, before).await
    }

    /// What becomes of a call that was decided. A tool that the agent must not know of is hidden: policy says to it what it
    /// says to one that is not there. `before` if the call has waited.
    async fn ruled(
        &self,
        asked: &Asked<'_>,
        call: &Call,
        ruled: Result<(Ruling, Option<Waiter>), GateError>,
        before: Option<Before>,
    ) -> FromClient {
        let ReplyTo { id, stateless, form } = asked.reply;
        let (ruling, waiter) = match ruled {
            Ok(ruled) => ruled,
            Err(error) => {
                self.forget(id);
                return FromClient::Answer(Refusal::by_gate(call.id, Withheld::Call, &error).answer(asked.reply));
            }
        };
        let Origin { agent, upstream, .. } = &self.origin;
        let facts = || CallFacts::forwarded(call, Door::Mcp, &ruling);
        let stage = || Stage::Call { facts: Box::new(facts()), stateless, form };
        let hidden = asked.tool.filter(|tool| !self.gate.sees(agent, upstream, tool.name));
        let answer = match (&ruling.effect, &ruling.approval) {
            (Effect::Forward | Effect::Replace(_), _) if let Some(tool) = hidden => {
                return self.hidden(asked.reply, &facts(), asked.frame, tool).await;
            }
            (Effect::Forward, _) => return self.forward(id, stage(), asked.frame.raw()).await,
            (Effect::Replace(document), _) if let Some(message) = asked.with(document) => {
                return self.forward(id, stage(), &message).await;
            }
            (Effect::Replace(_), Some(_)) => {
                self.record(&facts(), Outcome::Failed, "the call could not be written anew").await;
                Refusal::by_ruling(call.id, Withheld::Call, &ruling).answer(asked.reply)
            }
            (Effect::Park, Some(approval)) => match self.hold(asked, call, &ruling, approval, waiter, before).await {
                Ok(held) => return FromClient::Held(held),
                Err(answer) => answer,
            },
            _ => Refusal::by_ruling(call.id, Withheld::Call, &ruling).answer(asked.reply),
        };
        self.forget(id);
        FromClient::Answer(answer)
    }

    /// A call of a tool that the agent must not know of. Only the upstream knows what it answers where it has no such tool,
    /// so it is asked for one that nobody has, without arguments.
    async fn hidden(&self, reply: ReplyTo<'_>, facts: &CallFacts, frame: &Frame, asked: ToolCall<'_>) -> FromClient {
        if let Err(error) = self.gate.end(facts, Outcome::Failed, Some(codes::TOOL_HIDDEN)).await {
            self.forget(reply.id);
            return FromClient::Answer(Refusal::by_gate(facts.id(), Withheld::Call, &error).answer(reply));
        }
        let alias = Uuid::new_v4().simple().to_string();
        let name = (asked.named.range(), format!("\"{alias}\""));
        let arguments = asked.arguments.map(|arguments| (arguments.range(), "{}".to_owned()));
        let message = frame.rewrite([Some(name), arguments].into_iter().flatten().collect());
        self.forward(reply.id, Stage::Hidden { name: asked.name.to_owned(), alias }, &message).await
    }

    /// What the upstream answers where it has no such tool.
    async fn unknown(&self, id: &Id, frame: &Frame, name: &str, alias: &str) -> Bytes {
        let name = serde_json::Value::from(name).to_string();
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or_default();
        match Frame::parse(frame.raw().replace(alias, name)) {
            Ok(frame) => self.message(id, "tools/call", &frame).await,
            Err(_) => answers::upstream_error(id, "the upstream's answer is not a message"),
        }
    }

    /// What the client gets for the answer to a call. Errors are text for the model too, so they are looked at as well.
    async fn tool_result(&self, to: ReplyTo<'_>, frame: &Frame, failed: bool, facts: &CallFacts) -> Bytes {
        let Some(body) = frame.body().filter(|body| body.kind() == Kind::Object) else {
            self.counters.malformed.inc();
            self.record(facts, Outcome::Failed, "malformed result").await;
            return answers::upstream_error(to.id, "the upstream's result is not an object");
        };
        let error = failed;
        let failed = failed || body.get("isError").and_then(|value| value.as_bool()) == Some(true);
        let outcome = if failed { Outcome::Failed } else { Outcome::Answered };
        let result = facts.result(Arc::new(body.to_document()));
        let ended = if error { &facts.clone().with_error() } else { facts };
        match self.gate.settle(ended, outcome, &result).await {
            Ok(ruling) => match &ruling.effect {
                Effect::Forward => Bytes::copy_from_slice(frame.raw().as_bytes()),
                Effect::Replace(document) if error => Bytes::from(frame.splice(body, document.raw())),
                Effect::Replace(document) => {
                    Bytes::from(frame.splice(body, &answers::marked(document, facts.id(), &ruling)))
                }
                Effect::Refuse | Effect::Park => Refusal::by_ruling(facts.id(), Withheld::Result, &ruling).answer(to),
            },
            Err(error) => Refusal::by_gate(facts.id(), Withheld::Result, &error).answer(to),
        }
    }

    /// What the client gets for a list of tools.
    async fn listing(&self, id: &Id, frame: &Frame, stateless: bool) -> Bytes {
        let body = frame.body().filter(|body| body.get("tools").is_some_and(|tools| tools.kind() == Kind::Array));
        let Some((body, tools)) = body.and_then(|body| Some((body, body.get("tools")?))) else {
            self.counters.malformed.inc();
            return answers::upstream_error(id, "the upstream's list of tools is not an array");
        };
        let Origin { agent, upstream, .. } = &self.origin;
        let ruled = self.gate.has_tool_rules(agent);
        let shown = listing::shown(tools, |name| !ruled || self.gate.sees(agent, upstream, name), stateless);
        let document = match &shown {
            // Parts of what was parsed before.
            Some(shown) => Document::parse(shown.as_str()).ok(),
            None => Some(tools.to_document()),
        };
        let Some(document) = document else { return answers::upstream_error(id, "the list of tools is too large") };
        let call = self.call(Phase::Listing, LISTING, Arc::new(document));
        let written = match self.gate.rule(&call, Door::Mcp).await {
            Ok(Ruling { effect: Effect::Forward, .. }) => shown,
            Ok(Ruling { effect: Effect::Replace(document), .. }) => Some(document.raw().to_owned()),
            Ok(ruling) => return Refusal::by_ruling(call.id, Withheld::Listing, &ruling).rpc_error(Some(id)),
            Err(error) => return Refusal::by_gate(call.id, Withheld::Listing, &error).rpc_error(Some(id)),
        };
        let mut rewrites = if ruled || written.is_some() { listing::private(body) } else { Vec::new() };
        rewrites.extend(written.map(|written| (tools.range(), written)));
        if rewrites.is_empty() {
            Bytes::copy_from_slice(frame.raw().as_bytes())
        } else {
            Bytes::from(frame.rewrite(rewrites))
        }
    }

    /// What the client gets for the answer to any other method: its text is for a model too.
    async fn message(&self, id: &Id, method: &str, frame: &Frame) -> Bytes {
        let Some(body) = frame.body() else { return answers::upstream_error(id, "the upstream's answer is empty") };
        let refusal = match self.judged(Phase::Message, method, Withheld::Message, frame, body).await {
            Ok(bytes) => return bytes,
            Err(refusal) => refusal,
        };
        if INTRODUCING.contains(&method)
            && let Some(bytes) = self.without_instructions(method, frame, body).await
        {
            return bytes;
        }
        refusal.rpc_error(Some(id))
    }

    /// How a server introduces itself, if that may pass once the instructions are out: without them it is still of use.
    async fn without_instructions(&self, method: &str, frame: &Frame, body: Value<'_>) -> Option<Bytes> {
        body.get("instructions")?;
        let rest = members(body, |name| name != "instructions");
        let frame = Frame::parse(frame.splice(body, &format!("{{{rest}}}"))).ok()?;
        let bytes = self.judged(Phase::Message, method, Withheld::Message, &frame, frame.body()?).await.ok()?;
        tracing::warn!(upstream = %self.origin.upstream, "the instructions that the server gives for itself were left out");
        Some(bytes)
    }

    /// What the client gets of something that the upstream says by itself.
    async fn spoken(&self, method: &str, words: Option<Value<'_>>, frame: &Frame) -> Result<Bytes, Refusal> {
        let Some(words) = words else { return Ok(Bytes::copy_from_slice(frame.raw().as_bytes())) };
        self.judged(Phase::Message, method, Withheld::Message, frame, words).await.inspect_err(|refusal| {
            self.counters.undelivered.inc();
            tracing::warn!(upstream = %self.origin.upstream, method, ?refusal, "a message of the upstream was withheld");
        })
    }

    /// The message without the capabilities of the client that the upstream does not get to see; none if it has none.
    fn without_withheld(&self, frame: &Frame) -> Option<Frame> {
        let withheld = self.origin.withholds.capabilities();
        let offered = frame.capabilities().filter(|_| !withheld.is_empty())?;
        if !offered.members().filter_map(Value::name).any(|name| withheld.contains(&name)) {
            return None;
        }
        let rest = members(offered, |name| !withheld.contains(&name));
        // A part of what was parsed before.
        Frame::parse(frame.splice(offered, &format!("{{{rest}}}"))).ok()
    }

    /// Why an answer of the upstream cannot go to the client, whatever policy says of its words.
    fn unanswerable(&self, frame: &Frame, stage: &Stage) -> Option<&'static str> {
        let (body, withholds) = (frame.body()?, self.origin.withholds);
        let mut questions = body.get("inputRequests").into_iter().flat_map(Value::members);
        let refused = questions.any(|question| {
            let method = question.get("method").and_then(Value::as_str);
            method.is_some_and(|method| withholds.refuses(method))
        });
        let code = body.get("code").map(Value::raw);
        let asks = code == Some(ASKS_BY_ADDRESS) && matches!(frame.shape(), Shape::Response { failed: true, .. });
        if refused || (asks && withholds.elicitation) {
            return Some("the upstream asked for something that clients do not offer it");
        }
        let kind = body.get("resultType").and_then(Value::as_str);
        match stage {
            Stage::Call { .. } if kind == Some("task") => {
                Some("the upstream made a task, whose result cannot be inspected")
            }
            Stage::Listing { .. }
                if kind.is_some_and(|kind| kind != "complete") || body.get("inputRequests").is_some() =>
            {
                Some("the upstream asked a question in place of a list")
            }
            _ => None,
        }
    }

    /// Whether what a notification of the client says, beside what belongs to the protocol, may leave.
    async fn unsaid(&self, method: &str, frame: &Frame) -> Result<(), Refusal> {
        let words = frame.params().map(|params| members(params, |name| !WORDLESS.contains(&name))).unwrap_or_default();
        if words.is_empty() {
            return Ok(());
        }
        // A part of what was parsed before.
        match Document::parse(format!("{{{words}}}")) {
            Ok(words) => self.passes(method, Arc::new(words)).await,
            Err(_) => Err(Refusal::by_gate(Uuid::now_v7(), Withheld::Message, &GateError::Failed)),
        }
    }

    /// Whether what stands in a message beside JSON-RPC's own members may pass.
    async fn extensions(&self, frame: &Frame) -> Result<(), Refusal> {
        match frame.extensions() {
            Some(extensions) => self.passes(EXTENSIONS, Arc::new(extensions)).await,
            None => Ok(()),
        }
    }

    /// Whether a part of a message may pass: whoever reads it gets it as it is, or not at all.
    async fn passes(&self, name: &str, part: Arc<Document>) -> Result<(), Refusal> {
        let call = self.call(Phase::Message, name, part);
        match self.gate.rule(&call, Door::Mcp).await {
            Ok(Ruling { effect: Effect::Forward, .. }) => Ok(()),
            Ok(ruling) => Err(Refusal::by_ruling(call.id, Withheld::Message, &ruling)),
            Err(error) => Err(Refusal::by_gate(call.id, Withheld::Message, &error)),
        }
    }

    /// The message with `body`, a part of it, as it may be passed on to whoever reads it.
    async fn judged(
        &self,
        phase: Phase,
        method: &str,
        what: Withheld,
        frame: &Frame,
        body: Value<'_>,
    ) -> Result<Bytes, Refusal> {
        let call = self.call(phase, method, Arc::new(body.to_document()));
        match self.gate.rule(&call, Door::Mcp).await {
            Ok(ruling) => match &ruling.effect {
                Effect::Forward => Ok(Bytes::copy_from_slice(frame.raw().as_bytes())),
                Effect::Replace(document) => Ok(Bytes::from(frame.splice(body, document.raw()))),
                Effect::Refuse | Effect::Park => Err(Refusal::by_ruling(call.id, what, &ruling)),
            },
            Err(error) => Err(Refusal::by_gate(call.id, what, &error)),
        }
    }
}

impl Asked<'_> {
    fn payload(&self) -> Document {
        let payload = match &self.tool {
            Some(tool) => tool.arguments.map(Value::to_document),
            None => self.frame.asked(),
        };
        payload.unwrap_or_else(Document::empty)
    }

    /// The message with another payload.
    fn with(&self, document: &Document) -> Option<String> {
        match &self.tool {
            Some(tool) => Some(self.frame.splice(tool.arguments?, document.raw())),
            None => self.frame.asking(document),
        }
    }
}

impl Pending {
    fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held { .. })
    }
}

impl Requests {
    /// Takes a request out whose answer may still come.
    fn end(&mut self, id: &Id, turn: Option<u64>, hash: u64) -> Option<Pending> {
        if turn.is_some_and(|turn| self.pending.get(id).is_none_or(|pending| pending.turn != turn)) {
            return None;
        }
        let pending = self.pending.remove(id)?;
        self.ended.insert(hash);
        Some(pending)
    }
}

/// Why a request cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Reserve {
    #[error("too many requests of this session are in flight")]
    Busy,
    #[error("too many requests of this session were ended without an answer: open a new session")]
    Worn,
    #[error("a request with this id is in flight already")]
    InFlight,
    #[error("a request with this id was ended and its answer may still come: use another id")]
    Ended,
}

impl Reserve {
    fn code(self) -> i32 {
        match self {
            Self::Busy | Self::Worn => BUSY,
            Self::InFlight | Self::Ended => INVALID_REQUEST,
        }
    }
}

/// Whether a model may have written the parameters of this request, and nothing else looks at them.
fn is_worded(method: &str) -> bool {
    method != "tools/call" && method != LISTING && !ASKING.contains(&method) && !ROUTINE.contains(&method)
}

/// Whether the upstream says this without words for a model or a person.
fn is_quiet(method: &str, frame: &Frame) -> bool {
    QUIET.contains(&method)
        && frame.params().is_none_or(|params| members(params, |name| !WORDLESS.contains(&name)).is_empty())
}

/// A notification without what stands beside the members of the protocol.
fn wordless(frame: &Frame) -> String {
    let Some(params) = frame.params() else { return frame.raw().to_owned() };
    let rest = members(params, |name| WORDLESS.contains(&name));
    frame.splice(params, &format!("{{{rest}}}"))
}

/// Whether the answer is a result without members.
fn is_empty(frame: &Frame) -> bool {
    frame.body().is_some_and(|body| body.kind() == Kind::Object && body.members().next().is_none())
}

/// Whether the message of this number is logged.
fn logged(count: u64) -> bool {
    count <= LOGGED || count.is_power_of_two()
}

/// Why a method is not passed on at all. The revisions without sessions have no `tasks/result`.
fn unsupported(method: &str, stateless: bool) -> Option<&'static str> {
    if method == "tasks/result" && !stateless {
        return Some("results of tasks cannot be inspected yet: call the tool without a task");
    }
    // A careless upstream may run it all the same.
    let twin = |known: &str| method != known && method.eq_ignore_ascii_case(known);
    let mut known = ASKING.iter().copied().chain(["tools/call", "tasks/result", LISTING]);
    known.any(twin).then_some("method names are written in small letters")
}

/// Digest of what a client brings back to the upstream with a call: its answers to questions, and a state, whatever they are.
fn attached(frame: &Frame) -> Option<Digest> {
    let params = frame.params()?;
    let [responses, state] = ["inputResponses", "requestState"].map(|name| params.get(name));
    if responses.is_none() && state.is_none() {
        return None;
    }
    let part = |value: Option<Value<'_>>| value.map(|value| value.to_document().digest());
    let [responses, state] = [part(responses), part(state)];
    let bytes = |part: &Option<Digest>| part.map_or([0; 32], |digest| digest.0);
    Some(Digest::of_parts([
        &b"portcullis attached 1"[..],
        &[u8::from(responses.is_some()), u8::from(state.is_some())],
        &bytes(&responses),
        &bytes(&state),
    ]))
}

#[cfg(test)]
mod tests;
