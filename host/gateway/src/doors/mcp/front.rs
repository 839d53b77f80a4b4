//! The HTTP side of the door: what a client may send, and to which session it belongs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame as BodyFrame};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use portcullis_model::Outcome;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::answers;
use super::bridge::{Bridge, OwnChild, Undelivered};
use super::changes::{self, Changes};
use super::envelope::{BUSY, Frame, INTERNAL_ERROR, INVALID_REQUEST, Id, Shape, UNSUPPORTED_VERSION};
use super::federation;
use super::held::{EndsItself, HeldBody};
use super::holding::{Parked, Way};
use super::inspector::{FromClient, Inspector, Ticket};
use super::looking::Looking;
use super::mailbox::Routed;
use super::places::{NoPlace, Place};
use super::queue;
use super::relay;
use super::sessions::{Full, InUse, Remote, Session};
use super::shared::member::Member;
use super::shared::{Era, visit as shared_visit};
use super::sse::{COMMENT, Event};
use super::start::NotStarted;
use super::stateless::{self, Mismatch};
use super::tasks;
use super::{Desk, Inner, Origin, PREFIX};
use crate::http::{ApiError, Body, Received, Reply, RequestBody, Room, StreamBody, bearer};
use crate::ports::{AgentIdentity, PeerIdentity};
use crate::upstream::{Federation, StdioTarget, Target, Upstream};

/// The revisions with sessions that this door speaks.
pub(super) const VERSIONS: &[&str] = &["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// Pieces under way to one client, together of the bytes of one message: more than that and the upstream has to wait.
pub(super) const UNDER_WAY: usize = 8;
/// Longest name of an agent's run in bytes.
const MAX_RUN: usize = 256;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const RUN: HeaderName = HeaderName::from_static("portcullis-session");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A step on the way to an answer, or the answer that says why there is no way.
pub(super) type Checked<T> = Result<T, Box<Reply>>;

pub(super) fn refuse<T>(reply: Reply) -> Checked<T> {
    Err(Box::new(reply))
}

/// Answers one request to the door.
pub(super) async fn answer(
    inner: &Arc<Inner>,
    request: Request<RequestBody>,
    peer: Option<Arc<PeerIdentity>>,
) -> Reply {
    match route(inner, request, peer.as_deref()).await {
        Ok(reply) => reply,
        Err(refused) => *refused,
    }
}

async fn route(inner: &Arc<Inner>, request: Request<RequestBody>, peer: Option<&PeerIdentity>) -> Checked<Reply> {
    let agent = authenticate(inner, request.headers(), peer)?;
    let answer = match goal(inner, request.uri().path())? {
        Goal::Upstream(upstream) => visit(inner, &agent, &upstream, request).await,
        Goal::Federation(federation) => federation::answer(inner, agent.clone(), federation, request).await,
    };
    let answer = answer?;
    if answer.extensions().get::<EndsItself>().is_some() {
        return Ok(answer);
    }
    let stopped = stopped(Arc::clone(inner), agent);
    Ok(answer.map(|body| body.until(stopped)))
}

/// Why the open streams of an agent end: it was halted or removed.
async fn stopped(inner: Arc<Inner>, agent: AgentIdentity) -> &'static str {
    let mut policy = inner.policy.subscribe();
    while inner.gate.awake(&agent).is_ok() {
        if policy.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
    "the agent was halted or removed"
}

async fn visit(
    inner: &Arc<Inner>,
    agent: &AgentIdentity,
    upstream: &Arc<Upstream>,
    request: Request<RequestBody>,
) -> Checked<Reply> {
    let visit = Visit::new(inner, agent, upstream)?;
    match *request.method() {
        Method::POST => {
            let Post { headers, frame, room } = read_post(inner, agent, request).await?;
            visit.exchange(headers, frame, Some(room)).await
        }
        Method::GET => visit.get(request.headers()).await,
        Method::DELETE => visit.delete(request.headers()).await,
        _ => refuse(not_allowed()),
    }
}

pub(super) fn not_allowed() -> Reply {
    let mut reply = refusal(StatusCode::METHOD_NOT_ALLOWED, None, INVALID_REQUEST, "method not allowed");
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    reply
}

/// A place for one exchange of this agent.
pub(super) fn take_place(inner: &Inner, agent: &AgentIdentity) -> Checked<Place> {
    inner.places.take(agent).map_err(|error| {
        let text = match error {
            NoPlace::Full => "too many MCP exchanges are open",
            NoPlace::Share => "this agent has too many MCP exchanges open: end some of its calls and streams first",
        };
        Box::new(refusal(StatusCode::SERVICE_UNAVAILABLE, None, BUSY, text))
    })
}

fn authenticate(inner: &Inner, headers: &HeaderMap, peer: Option<&PeerIdentity>) -> Checked<AgentIdentity> {
    let token = bearer(headers).map_err(|error| error.reply(None))?;
    let caller = inner.gate.authenticate(token, peer).ok_or_else(|| ApiError::unauthorized().reply(None))?;
    match caller.agent {
        Some(agent) => Ok(agent),
        None => refuse(ApiError::forbidden("only agents make calls", "send the token of an agent").reply(None)),
    }
}

/// Whom a path names.
enum Goal {
    Upstream(Arc<Upstream>),
    Federation(Arc<Federation>),
}

fn goal(inner: &Inner, path: &str) -> Checked<Goal> {
    let Inner { upstreams, .. } = inner;
    let rest = path.strip_prefix(PREFIX).unwrap_or_default();
    let (upstream, federation) = match rest.strip_prefix('/').unwrap_or_default() {
        "" => (upstreams.only(), upstreams.all()),
        name => (upstreams.get(name), upstreams.federation(name)),
    };
    let upstream = upstream.map(|upstream| Goal::Upstream(Arc::clone(upstream)));
    match upstream.or_else(|| federation.map(|federation| Goal::Federation(Arc::clone(federation)))) {
        Some(goal) => Ok(goal),
        None => {
            let text = "there is no such upstream: the path is /mcp/NAME, or /mcp for all of them";
            refuse(ApiError::not_found(text).reply(None))
        }
    }
}

/// One message of a client, read and parsed.
pub(super) struct Post {
    pub(super) headers: HeaderMap,
    pub(super) frame: Frame,
    pub(super) room: Room,
}

/// Reads the message of a POST.
pub(super) async fn read_post(inner: &Inner, agent: &AgentIdentity, request: Request<RequestBody>) -> Checked<Post> {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    if !is_json(&headers) {
        let text = "send one JSON-RPC message with Content-Type: application/json";
        return refuse(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, INVALID_REQUEST, text));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        let text = "content encodings are not accepted";
        return refuse(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, INVALID_REQUEST, text));
    }
    if !accepts(&headers, "application/json") || !accepts(&headers, "text/event-stream") {
        let text = "the Accept header must allow application/json and text/event-stream";
        return refuse(refusal(StatusCode::NOT_ACCEPTABLE, None, INVALID_REQUEST, text));
    }
    let limits = &inner.limits;
    let received = inner.body_room.read(body, &agent.owner(), limits.message, limits.body_wait).await;
    let Received { bytes, room } =
        received.map_err(|error| refusal(error.status, None, INVALID_REQUEST, &error.message))?;
    let frame = Frame::parse(bytes).map_err(|rejected| {
        let id = rejected.id.as_ref();
        refusal(StatusCode::BAD_REQUEST, id, rejected.error.code(), &rejected.to_string())
    })?;
    Ok(Post { headers, frame, room })
}

/// One request of an authenticated agent to one upstream.
pub(super) struct Visit {
    pub(super) inner: Arc<Inner>,
    pub(super) agent: AgentIdentity,
    pub(super) upstream: Arc<Upstream>,
    /// Given back at the end of the exchange, and not before the answer has been taken.
    pub(super) place: Arc<Place>,
    /// Whether the client can get a task in place of the result of a parked call.
    pub(super) tasks: bool,
}

/// A message of a client that is being answered, for as long as it lives.
pub(super) struct Posting(Arc<Inner>);

impl Posting {
    pub(super) fn new(inner: &Arc<Inner>) -> Self {
        inner.posts.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(inner))
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        self.0.posts.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Where the answer's head goes.
pub(super) struct ReplyTo {
    reply: oneshot::Sender<Reply>,
    /// Told once that the answer waits for a person.
    parked: Option<oneshot::Sender<Parked>>,
}

impl ReplyTo {
    /// Ready when the client went away.
    pub(super) async fn closed(&mut self) {
        self.reply.closed().await;
    }

    fn parked(&mut self, parked: Parked) {
        if let Some(told) = self.parked.take() {
            // A client that went away is noticed by the other channel.
            let _gone = told.send(parked);
        }
    }
}

impl Visit {
    /// One exchange of this agent with this upstream takes place, if there is one.
    pub(super) fn new(inner: &Arc<Inner>, agent: &AgentIdentity, upstream: &Arc<Upstream>) -> Checked<Self> {
        let place = take_place(inner, agent)?.into();
        let (inner, upstream) = (Arc::clone(inner), Arc::clone(upstream));
        Ok(Self { inner, agent: agent.clone(), upstream, place, tasks: true })
    }

    /// Passes one message on and brings the answer. `room` is what the message takes until then.
    pub(super) async fn exchange(self, headers: HeaderMap, frame: Frame, room: Option<Room>) -> Checked<Reply> {
        let stateless = stateless::applies(&headers, Some(&frame));
        let session = if stateless {
            check_stateless(&headers, &frame)?;
            if let Some(reply) = tasks::answer(&self.inner, &self.agent, &frame) {
                return Ok(reply);
            }
            None
        } else {
            check_version(&headers, Some(&frame))?;
            self.session(&headers, Some(&frame))?
        };
        let run = run(&headers)?;
        // A task of its own: the end of a call is recorded even if the client goes away.
        let place = Arc::clone(&self.place);
        let (inner, agent) = (Arc::clone(&self.inner), self.agent.clone());
        let (reply, mut answer) = oneshot::channel();
        let (told, parked) = oneshot::channel();
        let reply = ReplyTo { reply, parked: Some(told) };
        // Nobody waits for the end of a subscription: it ends when the door closes.
        let posting = (!frame.asks("subscriptions/listen")).then(|| Posting::new(&self.inner));
        tokio::spawn(async move {
            let (in_use, _posting, _room) = (session, posting, room);
            let session = in_use.as_ref().map(|in_use| &in_use.0);
            match &self.upstream.target {
                Target::Http(target) => relay::post(&self, target, session, run, &headers, frame, reply).await,
                Target::Stdio(_) if stateless => shared_visit::post(&self, run, frame, reply).await,
                Target::Stdio(target) => self.post_stdio(target, session, run, frame, reply).await,
            }
        });
        let parked = tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer.unwrap_or_else(|_| lost()).map(|body| body.holding(place))),
            Ok(parked) = parked => parked,
        };
        if parked.way == Way::Task {
            return Ok(tasks::begin(&inner, &agent, parked, answer));
        }
        let keep_alive = keep_alive(&inner);
        let stopped = Box::pin(stopped(inner, agent));
        let mut reply = event_stream(StreamBody::new(HeldBody::new(parked, answer, keep_alive, stopped)));
        reply.extensions_mut().insert(EndsItself);
        Ok(reply.map(|body| body.holding(place)))
    }

    /// What becomes of a message of the client, after a person has decided about it if one has to.
    pub(super) async fn sent(&self, inspector: &Inspector, frame: &Frame, reply: &mut ReplyTo) -> FromClient {
        match inspector.client_sent(frame).await {
            FromClient::Held(held) => {
                reply.parked(held.parked(frame));
                inspector.wait(held, frame, reply.closed()).await
            }
            done => done,
        }
    }

    pub(super) async fn get(self, headers: &HeaderMap) -> Checked<Reply> {
        if !accepts(headers, "text/event-stream") {
            let text = "the Accept header must allow text/event-stream";
            return refuse(refusal(StatusCode::NOT_ACCEPTABLE, None, INVALID_REQUEST, text));
        }
        only_post(headers)?;
        check_version(headers, None)?;
        let run = run(headers)?;
        let session = self.session(headers, None)?;
        let place = Arc::clone(&self.place);
        let (reply, answer) = oneshot::channel();
        let reply = ReplyTo { reply, parked: None };
        let headers = headers.clone();
        tokio::spawn(async move {
            let in_use = session;
            let session = in_use.as_ref().map(|in_use| &in_use.0);
            match (&self.upstream.target, session.map(|session| (&session.remote, &session.inspector))) {
                (Target::Http(target), _) => relay::get(&self, target, session, run, &headers, reply).await,
                (Target::Stdio(_), Some((Remote::Stdio(bridge), inspector))) => {
                    self.get_stdio(bridge, inspector, reply).await;
                }
                _ => answer_with(reply, no_session()),
            }
        });
        Ok(answer.await.unwrap_or_else(|_| lost()).map(|body| body.holding(place)))
    }

    async fn delete(self, headers: &HeaderMap) -> Checked<Reply> {
        only_post(headers)?;
        check_version(headers, None)?;
        let in_use = self.session(headers, None)?.ok_or_else(missing_session)?;
        let headers = headers.clone();
        let (reply, answer) = oneshot::channel();
        let reply = ReplyTo { reply, parked: None };
        tokio::spawn(async move {
            let session = &in_use.0;
            if let (Remote::Http(remote), Target::Http(target)) = (&session.remote, &self.upstream.target) {
                let status = relay::delete(&self.inner, target, remote, &headers).await;
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    let text = "the upstream does not let clients end sessions";
                    return answer_with(reply, refusal(status, None, INVALID_REQUEST, text));
                }
            }
            self.inner.sessions.remove(&session.id);
            session.end(Outcome::Cancelled).await;
            answer_with(reply, plain(StatusCode::OK));
        });
        Ok(answer.await.unwrap_or_else(|_| lost()))
    }

    /// The session that a request names, by the rules of the protocol: unknown, somebody else's or ended is 404, missing
    /// is 400 where the upstream uses sessions.
    fn session(&self, headers: &HeaderMap, frame: Option<&Frame>) -> Checked<Option<InUse>> {
        let opens = frame.is_some_and(|frame| frame.asks("initialize"));
        let name = &self.upstream.name;
        let mut given = headers.get_all(SESSION).iter();
        match (given.next(), given.next()) {
            (Some(_), _) if opens => {
                let id = frame.and_then(Frame::request_id);
                let text = "initialize opens a session: send it without Mcp-Session-Id";
                refuse(refusal(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, text))
            }
            (Some(id), None) => {
                let found = id.to_str().ok().and_then(|id| self.inner.sessions.find(id, &self.agent, name));
                found.map_or_else(|| refuse(no_session()), |session| Ok(Some(session)))
            }
            (Some(_), Some(_)) => {
                refuse(refusal(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, "more than one Mcp-Session-Id"))
            }
            (None, _) => {
                let needed = matches!(self.upstream.target, Target::Stdio(_)) || self.inner.gives_sessions(name);
                if needed && !opens { refuse(missing_session()) } else { Ok(None) }
            }
        }
    }

    pub(super) fn inspector(&self, run: Option<Arc<str>>) -> Arc<Inspector> {
        let Upstream { name, withholds, .. } = &*self.upstream;
        let (agent, upstream) = (self.agent.clone(), Arc::clone(name));
        let (withholds, tasks) = (*withholds, self.tasks);
        let origin = Origin { agent, session: run, upstream, withholds, desk: Desk::Api, tasks };
        let Inner { gate, counters, holds, limits, .. } = &*self.inner;
        let (gate, counters, holds) = (Arc::clone(gate), Arc::clone(counters), Arc::clone(holds));
        Arc::new(Inspector::new(gate, origin, counters, holds, limits.in_flight))
    }

    /// A child of its own for a new session, or a place at the shared one.
    async fn start(&self, target: &StdioTarget, run: Option<Arc<str>>) -> Result<InUse, NotStarted> {
        let Inner { limits, counters, children, shared, supervisor, .. } = &*self.inner;
        let inspector = self.inspector(run);
        let bridge = if target.shared {
            let slot = shared.slot(&self.agent.tenant, &self.upstream, Era::Sessions);
            Bridge::Shared(Member::session(&slot, &inspector).await?)
        } else {
            let place = children.take(&self.agent).map_err(|_| NotStarted::Places)?;
            let place = (place, supervisor.begin(&self.agent.tenant, &self.upstream.name)?);
            let (own, counters) = (Arc::clone(&inspector), Arc::clone(counters));
            Bridge::Own(OwnChild::start(&self.upstream, target, limits, own, counters, place)?)
        };
        let session = Session::new(&self.agent, &self.upstream, inspector, Remote::Stdio(bridge.clone()));
        open_session(&self.inner, session).map_err(|full| {
            tokio::spawn(async move { bridge.stop(Outcome::Failed).await });
            full.into()
        })
    }

    async fn post_stdio(
        &self,
        target: &StdioTarget,
        session: Option<&Arc<Session>>,
        run: Option<Arc<str>>,
        frame: Frame,
        mut reply: ReplyTo,
    ) {
        let opened;
        let (session, fresh) = match session {
            Some(session) => (session, false),
            None => {
                let started = tokio::select! {
                    biased;
                    started = self.start(target, run) => started,
                    () = reply.closed() => return,
                };
                match started {
                    Ok(in_use) => opened = in_use,
                    Err(error) => return answer_with(reply, error.reply(frame.request_id())),
                }
                (&opened.0, true)
            }
        };
        let Remote::Stdio(bridge) = &session.remote else { return answer_with(reply, no_session()) };
        let mark = |mut answer: Reply, well: bool| {
            if fresh
                && well
                && let Ok(value) = HeaderValue::from_str(&session.id)
            {
                answer.headers_mut().insert(SESSION, value);
            }
            answer
        };
        let answered = match self.sent(&session.inspector, &frame, &mut reply).await {
            // Of another kind than the rest: `sent` has waited.
            FromClient::Held(_) => return,
            FromClient::Answer(bytes) => {
                answer_with(reply, mark(json_reply(status_for(&frame), bytes), false));
                false
            }
            FromClient::Forward { bytes, cancels } => {
                if let Some(cancelled) = &cancels {
                    bridge.mailbox().forget(cancelled);
                }
                self.pass_on(bridge, &session.inspector, &frame, bytes, mark, reply).await
            }
        };
        // Nobody goes on with a session whose beginning failed or was not answered: it would only keep its child.
        if fresh && !answered {
            self.inner.sessions.remove(&session.id);
            session.end(Outcome::Disconnected).await;
        }
    }

    /// Hands a message to a child process and its answer to the client. Whether the child answered, and well.
    pub(super) async fn pass_on(
        &self,
        bridge: &Bridge,
        inspector: &Arc<Inspector>,
        frame: &Frame,
        bytes: Bytes,
        mark: impl Fn(Reply, bool) -> Reply,
        reply: ReplyTo,
    ) -> bool {
        let limits = &self.inner.limits;
        let Some(id) = frame.request_id() else {
            answer_with(
                reply,
                match bridge.send(bytes, limits).await {
                    Ok(()) => plain(StatusCode::ACCEPTED),
                    Err(Undelivered::NotStarted(error)) => error.reply(None),
                    Err(Undelivered::Gone | Undelivered::Over) => plain(StatusCode::NOT_FOUND),
                },
            );
            return true;
        };
        let own = inspector.ticket(id);
        let messages = bridge.mailbox().expect(id);
        let Err(undelivered) = bridge.send(bytes, limits).await else {
            let patient = !frame.asks("subscriptions/listen");
            let meta = frame.stated_version().and_then(|_| changes::meta_of(frame));
            let exchange = StdioExchange { own, bridge, inspector, visit: self, patient, meta };
            return exchange.run(messages, reply, mark, frame.asks("initialize")).await;
        };
        bridge.mailbox().forget(id);
        let text = "the upstream ended or does not read";
        inspector.end_own(&own, Outcome::Failed, text).await;
        let answer = match undelivered {
            Undelivered::Gone => json_reply(StatusCode::OK, answers::upstream_error(id, text)),
            Undelivered::NotStarted(error) => error.reply(Some(id)),
            Undelivered::Over => no_session(),
        };
        answer_with(reply, mark(answer, false));
        false
    }

    /// The stream for what belongs to no request.
    async fn get_stdio(&self, bridge: &Bridge, inspector: &Arc<Inspector>, reply: ReplyTo) {
        let mut messages = match bridge.mailbox().open_stream() {
            Ok(messages) => messages,
            Err(error) => {
                let answer = refusal(StatusCode::CONFLICT, None, INVALID_REQUEST, &error.to_string());
                return answer_with(reply, answer);
            }
        };
        let (client, body) = Client::new(&self.inner);
        answer_with(reply, stream_reply(body));
        let mut keep_alive = client.keep_alive();
        let Inner { gate, policy, .. } = &*self.inner;
        let mut changes = Changes::new(gate, &self.agent, policy.subscribe(), None);
        let mut looking = Looking::new(self, bridge, inspector, None);
        loop {
            let piece = tokio::select! {
                message = changes.next() => Event::message(&message).encode(),
                held = looking.seen() => Event::message(&held).encode(),
                message = messages.recv() => match message {
                    Some(message) => match looking.pass(message) {
                        Some(message) => Event::message(&message).encode(),
                        None => continue,
                    },
                    None => return,
                },
                _ = keep_alive.tick() => COMMENT,
                () = client.gone() => return,
            };
            if !client.send(piece).await {
                return;
            }
        }
    }
}

/// One request to a child process, from the moment it was sent.
struct StdioExchange<'a> {
    own: Ticket,
    bridge: &'a Bridge,
    inspector: &'a Arc<Inspector>,
    visit: &'a Visit,
    /// Whether the answer must come within a time.
    patient: bool,
    /// The `_meta` of the client's request, in a revision without sessions.
    meta: Option<String>,
}

impl StdioExchange<'_> {
    /// Answers with JSON if the answer is the first thing that comes, else with a stream. Whether the child answered, and
    /// not with an error where the answer opens a session.
    async fn run(
        &self,
        mut messages: queue::Receiver<Routed>,
        mut reply: ReplyTo,
        mark: impl FnOnce(Reply, bool) -> Reply,
        opening: bool,
    ) -> bool {
        let first = tokio::select! {
            first = messages.recv() => first,
            () = tokio::time::sleep(self.visit.inner.limits.first_byte_wait), if self.patient => {
                let text = "the upstream did not answer in time";
                let error = self.give_up(Outcome::Uncertain, text, opening).await;
                answer_with(reply, mark(json_reply(StatusCode::OK, error), false));
                return false;
            }
            () = reply.closed() => {
                self.give_up(Outcome::Disconnected, GONE, opening).await;
                return false;
            }
        };
        let first = match first {
            Some(message @ Routed::Message(_)) => message,
            Some(Routed::Answer(bytes)) => {
                let well = !opening || is_result(&bytes);
                answer_with(reply, mark(json_reply(StatusCode::OK, bytes), well));
                return well;
            }
            None => {
                let error = self.give_up(Outcome::Uncertain, CANCELLED, true).await;
                answer_with(reply, mark(json_reply(StatusCode::OK, error), false));
                return false;
            }
        };
        let (client, body) = Client::new(&self.visit.inner);
        answer_with(reply, mark(stream_reply(body), true));
        let idle_wait = self.visit.inner.limits.idle_wait;
        let mut silent_until = tokio::time::Instant::now() + idle_wait;
        let mut keep_alive = client.keep_alive();
        let mut looking = Looking::new(self.visit, self.bridge, self.inspector, self.meta.as_deref());
        let mut first = Some(first);
        loop {
            let message = match first.take() {
                Some(first) => Some(first),
                None => tokio::select! {
                    message = messages.recv() => message,
                    held = looking.seen() => {
                        if !client.send(Event::message(&held).encode()).await { break }
                        continue;
                    }
                    _ = keep_alive.tick() => {
                        if !client.send(COMMENT).await { break }
                        continue;
                    }
                    () = client.gone() => break,
                    () = tokio::time::sleep_until(silent_until), if self.patient => {
                        let text = "the upstream's answer stalled";
                        let error = self.give_up(Outcome::Uncertain, text, opening).await;
                        client.send(Event::message(&error).encode()).await;
                        return false;
                    }
                },
            };
            silent_until = tokio::time::Instant::now() + idle_wait;
            // Nothing comes after the end of the request, whichever it is.
            while looking.holds() && !matches!(message, Some(Routed::Message(_))) {
                tokio::select! {
                    held = looking.seen() => drop(client.send(Event::message(&held).encode()).await),
                    () = client.gone() => break,
                }
            }
            let (bytes, answered) = match message {
                Some(Routed::Message(bytes)) => match looking.pass(bytes) {
                    Some(bytes) => (bytes, None),
                    None => continue,
                },
                Some(Routed::Answer(bytes)) => {
                    let well = !opening || is_result(&bytes);
                    (bytes, Some(well))
                }
                None => (self.give_up(Outcome::Uncertain, CANCELLED, true).await, Some(false)),
            };
            let present = client.send(Event::message(&bytes).encode()).await;
            if let Some(answered) = answered {
                return answered;
            }
            if !present {
                break;
            }
        }
        self.give_up(Outcome::Disconnected, GONE, opening).await;
        false
    }

    /// Stops waiting and tells the child so. The error for the client.
    async fn give_up(&self, outcome: Outcome, text: &'static str, quietly: bool) -> Bytes {
        let id = &self.own.id;
        // Another request may have the id by now, if this one has ended.
        if self.inspector.waits(&self.own) {
            self.bridge.mailbox().forget(id);
        }
        if self.inspector.end_own(&self.own, outcome, text).await && !quietly {
            let params = json!({ "reason": text }).to_string();
            // By hand: the id goes out as it came in, whatever number it is.
            let params = params.replacen('{', &format!("{{\"requestId\":{id},"), 1);
            let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
            // A child that is gone need not be told.
            let _told = self.bridge.send(message.into(), &self.visit.inner.limits).await;
        }
        answers::upstream_error(id, text)
    }
}

pub(super) const GONE: &str = "the caller went away";
const CANCELLED: &str = "the request was cancelled";

impl Session {
    /// Ends what is in flight and the child process, if it has one.
    async fn end(&self, outcome: Outcome) {
        self.inspector.fail_all(outcome, "the session was ended").await;
        self.ended.send_replace(true);
        if let Remote::Stdio(bridge) = &self.remote {
            bridge.stop(outcome).await;
        }
    }
}

/// Ends a session that nobody used for a long time.
pub(super) async fn expire(inner: Arc<Inner>, session: Arc<Session>) {
    tracing::info!(upstream = %session.upstream.name, "an idle MCP session was ended");
    end_both_sides(&inner, &session, Outcome::Disconnected).await;
}

/// Keeps a session if there is a place for it, and ends the one that has to go for it, if any.
pub(super) fn open_session(inner: &Arc<Inner>, session: Arc<Session>) -> Result<InUse, Full> {
    let (in_use, evicted) = inner.sessions.open(session)?;
    if let Some(evicted) = evicted {
        tokio::spawn(expire(Arc::clone(inner), evicted));
    }
    Ok(in_use)
}

/// Ends a session because the door closes.
pub(super) async fn shut_down(inner: Arc<Inner>, session: Arc<Session>) {
    end_both_sides(&inner, &session, Outcome::Uncertain).await;
}

pub(super) async fn end_both_sides(inner: &Inner, session: &Session, outcome: Outcome) {
    session.end(outcome).await;
    if let (Remote::Http(remote), Target::Http(target)) = (&session.remote, &session.upstream.target) {
        relay::delete(inner, target, remote, &HeaderMap::new()).await;
    }
}

/// The client's end of an event stream.
pub(super) struct Client {
    sender: queue::Sender<Bytes>,
    inner: Arc<Inner>,
}

impl Client {
    pub(super) fn new(inner: &Arc<Inner>) -> (Self, Channel) {
        let (sender, receiver) = queue::channel(UNDER_WAY, inner.limits.message);
        (Self { sender, inner: Arc::clone(inner) }, Channel(receiver))
    }

    /// `false` if the client is gone, or does not read for too long.
    pub(super) async fn send(&self, piece: Bytes) -> bool {
        tokio::time::timeout(self.inner.limits.idle_wait, self.sender.send(piece)).await.unwrap_or(false)
    }

    pub(super) async fn gone(&self) {
        self.sender.closed().await;
    }

    /// Ticks when a sign of life is due.
    pub(super) fn keep_alive(&self) -> tokio::time::Interval {
        keep_alive(&self.inner)
    }
}

fn keep_alive(inner: &Inner) -> tokio::time::Interval {
    let every = inner.limits.keep_alive;
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// A body that sends what comes through a channel.
pub(super) struct Channel(queue::Receiver<Bytes>);

impl HttpBody for Channel {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        self.get_mut().0.poll_recv(context).map(|piece| piece.map(|bytes| Ok(BodyFrame::data(bytes))))
    }
}

/// Whether the message is an answer that is no error.
pub(super) fn is_result(bytes: &[u8]) -> bool {
    Frame::parse(bytes).is_ok_and(|frame| matches!(frame.shape(), Shape::Response { failed: false, .. }))
}

pub(super) fn answer_with(reply: ReplyTo, answer: Reply) {
    // A client that went away needs no answer; what it means for the ledger was decided before.
    let _gone = reply.reply.send(answer);
}

pub(super) fn json_reply(status: StatusCode, bytes: Bytes) -> Reply {
    let mut reply = Response::new(Body::Whole(bytes));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

pub(super) fn stream_reply(body: Channel) -> Reply {
    event_stream(StreamBody::new(body))
}

fn event_stream(body: StreamBody) -> Reply {
    let mut reply = Response::new(Body::Stream(body));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    reply
}

pub(super) fn plain(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    reply
}

/// Status of an answer that Portcullis gives in the upstream's place: JSON-RPC has errors of its own, but only for requests.
pub(super) fn status_for(frame: &Frame) -> StatusCode {
    if frame.request_id().is_some() { StatusCode::OK } else { StatusCode::BAD_REQUEST }
}

/// An HTTP error with a JSON-RPC error as its body.
pub(super) fn refusal(status: StatusCode, id: Option<&Id>, code: i32, text: &str) -> Reply {
    json_reply(status, answers::error(id, code, text, None))
}

pub(super) fn no_session() -> Reply {
    refusal(StatusCode::NOT_FOUND, None, INVALID_REQUEST, "there is no such session: initialize again")
}

pub(super) fn missing_session() -> Reply {
    let text = "Mcp-Session-Id is missing: initialize first, with POST to this address; the older transport with two addresses \
                (HTTP+SSE of 2024-11-05) is not served";
    refusal(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, text)
}

fn lost() -> Reply {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, None, INTERNAL_ERROR, "the exchange was lost")
}

/// What any message of the revision without sessions must say.
pub(super) fn check_stateless(headers: &HeaderMap, frame: &Frame) -> Checked<()> {
    let (Err(mismatch), id) = (stateless::check(headers, frame), frame.request_id()) else { return Ok(()) };
    let text = mismatch.to_string();
    refuse(match &mismatch {
        Mismatch::Version(requested) => unsupported(id, &text, &[stateless::REVISION], requested),
        _ => refusal(StatusCode::BAD_REQUEST, id, mismatch.code(), &text),
    })
}

/// The answer to a message of a revision that is not spoken, as the protocol has it: what would be.
pub(super) fn unsupported(id: Option<&Id>, text: &str, supported: &[&str], requested: &str) -> Reply {
    let data = json!({ "supported": supported, "requested": requested.chars().take(64).collect::<String>() });
    json_reply(StatusCode::BAD_REQUEST, answers::error(id, UNSUPPORTED_VERSION, text, Some(data)))
}

/// The revision without sessions has neither streams to open nor sessions to end.
pub(super) fn only_post(headers: &HeaderMap) -> Checked<()> {
    if !stateless::applies(headers, None) {
        return Ok(());
    }
    let text = "this protocol revision has no sessions and no streams of its own: send requests with POST";
    let mut reply = refusal(StatusCode::METHOD_NOT_ALLOWED, None, INVALID_REQUEST, text);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    refuse(reply)
}

/// The header and, where a body says it, the body must name a revision that this door speaks.
pub(super) fn check_version(headers: &HeaderMap, frame: Option<&Frame>) -> Checked<()> {
    let in_header = headers.get_all(VERSION).iter().map(|value| value.to_str().unwrap_or_default());
    let in_body = frame.and_then(Frame::stated_version);
    for requested in in_header.chain(in_body) {
        if !VERSIONS.contains(&requested) {
            let supported: Vec<&str> = VERSIONS.iter().copied().chain([stateless::REVISION]).collect();
            let id = frame.and_then(Frame::request_id);
            return refuse(unsupported(id, "this protocol revision is not supported here", &supported, requested));
        }
    }
    Ok(())
}

/// The run of the agent that the client names for its calls.
pub(super) fn run(headers: &HeaderMap) -> Checked<Option<Arc<str>>> {
    let Some(value) = headers.get(RUN) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= MAX_RUN);
    match text {
        Some(text) => Ok(Some(text.into())),
        None => {
            let text = "Portcullis-Session must be 1 to 256 visible ASCII characters";
            refuse(refusal(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, text))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default().trim();
    values.next().is_none() && media.eq_ignore_ascii_case("application/json")
}

/// Whether the client takes this media type. Without an Accept header it takes everything.
pub(super) fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let family = wanted.split('/').next().unwrap_or_default();
    let mut none = true;
    for value in headers.get_all(ACCEPT) {
        none = false;
        for part in value.to_str().unwrap_or_default().split(',') {
            let media = part.split(';').next().unwrap_or_default().trim();
            let range = media.strip_suffix("/*").is_some_and(|own| own == "*" || own.eq_ignore_ascii_case(family));
            if range || media.eq_ignore_ascii_case(wanted) {
                return true;
            }
        }
    }
    none
}
