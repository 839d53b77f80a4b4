//! Several upstreams under one endpoint: a small multiplexer in front of the path that serves each of them alone.
//!
//! For every message of the client it makes one or several exchanges with members, each through the same code as an exchange
//! under `/mcp/NAME`: inspected, recorded, limited and bound to a session there. It decides nothing itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_model::{Edit, Kind, Outcome, Value};
use serde_json::json;
use tokio::sync::watch;

use super::answers;
use super::envelope::{BUSY, Frame, INVALID_PARAMS, INVALID_REQUEST, Id, METHOD_NOT_FOUND, Shape};
use super::front::{
    self, Checked, LAST_EVENT, Post, Posting, RUN, SESSION, VERSION, Visit, accepts, check_stateless, check_version,
    json_reply, missing_session, no_session, only_post, plain, read_post, refusal, refuse, run, take_place,
};
use super::stateless;
use super::{Inner, relay};
use crate::http::{Reply, RequestBody, Room};
use crate::ports::AgentIdentity;
use crate::upstream::{Federation, Upstream};
use session::{InUse, Joined, MAX_ADDRESS, Refused, Running};
use translate::{Asking, Translator, translated};

pub(super) mod gather;
mod lists;
mod names;
mod opening;
pub(super) mod session;
mod streams;
mod translate;

/// "Resource not found" of the revisions with sessions.
const RESOURCE_NOT_FOUND: i32 = -32002;
/// Longest part of an unknown name in an answer, in characters.
const NAME_CHARACTERS: usize = 128;

/// Answers one request of an authenticated agent to a federation.
pub(super) async fn answer(
    inner: &Arc<Inner>,
    agent: AgentIdentity,
    federation: Arc<Federation>,
    request: Request<RequestBody>,
) -> Checked<Reply> {
    let place = take_place(inner, &agent)?;
    let round = Round { inner: Arc::clone(inner), agent, federation };
    match *request.method() {
        Method::POST => {
            let _posting = Posting::new(inner);
            let Post { headers, frame, room } = read_post(inner, &round.agent, request).await?;
            let answer = if stateless::applies(&headers, Some(&frame)) {
                check_stateless(&headers, &frame)?;
                round.stateless(&headers, &frame, room).await
            } else {
                check_version(&headers, Some(&frame))?;
                run(&headers)?;
                round.within_session(&headers, &frame, room).await
            };
            Ok(answer?.map(|body| body.holding(place)))
        }
        Method::GET => {
            let headers = request.headers();
            if !accepts(headers, "text/event-stream") {
                let text = "the Accept header must allow text/event-stream";
                return refuse(refusal(StatusCode::NOT_ACCEPTABLE, None, INVALID_REQUEST, text));
            }
            only_post(headers)?;
            check_version(headers, None)?;
            let in_use = round.session(headers, None)?;
            let answer = match headers.get(LAST_EVENT) {
                Some(last) => round.resume(&in_use, headers, last).await,
                None => round.listen(in_use),
            };
            Ok(answer?.map(|body| body.holding(place)))
        }
        Method::DELETE => {
            only_post(request.headers())?;
            check_version(request.headers(), None)?;
            let in_use = round.session(request.headers(), None)?;
            inner.federations.remove(&in_use.0.id);
            let ending = Arc::clone(&in_use.0).end(Arc::clone(inner), Outcome::Cancelled);
            // A task of its own: the members' sessions end even if the client goes away.
            let _ended = tokio::spawn(async move {
                let _in_use = (in_use, place);
                ending.await;
            })
            .await;
            Ok(plain(StatusCode::OK))
        }
        _ => refuse(front::not_allowed()),
    }
}

/// What one request of an agent to a federation is about. Cheap to clone.
#[derive(Clone)]
struct Round {
    inner: Arc<Inner>,
    agent: AgentIdentity,
    federation: Arc<Federation>,
}

/// Why a member does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Absent {
    #[error("it could not be reached or refused to begin a session")]
    Refused,
    #[error("it did not answer in time")]
    TooSlow,
    #[error("its answer was an error, or none")]
    Failed,
    #[error("it does not speak this protocol revision")]
    Era,
    #[error("the session was ended")]
    Ended,
}

/// Who is meant by a message of the client, and the message in that member's words.
struct Route {
    index: usize,
    body: String,
    /// The name or URI that it goes by there.
    own: String,
    /// What the header `Mcp-Name` repeats, where it does.
    name: Option<HeaderValue>,
}

/// Whether an exchange belongs to a session, and to which.
#[derive(Clone, Copy)]
enum Era<'a> {
    Sessions(&'a InUse),
    Stateless,
}

impl Round {
    fn members(&self) -> &[Arc<Upstream>] {
        &self.federation.members
    }

    fn member(&self, index: usize) -> Result<&Arc<Upstream>, Absent> {
        self.members().get(index).ok_or(Absent::Failed)
    }

    /// The session that a request names.
    fn session(&self, headers: &HeaderMap, id: Option<&Id>) -> Checked<InUse> {
        let mut given = headers.get_all(SESSION).iter();
        match (given.next(), given.next()) {
            (Some(session), None) => {
                let federations = &self.inner.federations;
                let found =
                    session.to_str().ok().and_then(|session| federations.find(session, &self.agent, &self.federation));
                found.map_or_else(|| refuse(no_session()), Ok)
            }
            (Some(_), Some(_)) => {
                refuse(refusal(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, "more than one Mcp-Session-Id"))
            }
            (None, _) => refuse(missing_session()),
        }
    }

    async fn within_session(&self, headers: &HeaderMap, frame: &Frame, room: Room) -> Checked<Reply> {
        if frame.asks("initialize") {
            if headers.contains_key(SESSION) {
                let text = "initialize opens a session: send it without Mcp-Session-Id";
                return refuse(refusal(StatusCode::BAD_REQUEST, frame.request_id(), INVALID_REQUEST, text));
            }
            return self.open(headers, frame).await;
        }
        let in_use = self.session(headers, frame.request_id())?;
        match frame.shape() {
            Shape::Response { id, .. } => self.answered(&in_use, headers, frame, id.as_ref()).await,
            Shape::Notification { method } => self.noted(&in_use, headers, frame, method).await,
            Shape::Request { id, method } => self.asked(&in_use, headers, frame, id, method, room).await,
        }
    }

    /// A request within a session.
    async fn asked(
        &self,
        in_use: &InUse,
        headers: &HeaderMap,
        frame: &Frame,
        id: &Id,
        method: &str,
        room: Room,
    ) -> Checked<Reply> {
        if !id.is_exact() {
            let text = "a number as an id must be an integer of at most 2^53 - 1";
            return Ok(json_reply(StatusCode::OK, answers::error(Some(id), INVALID_REQUEST, text, None)));
        }
        let begun = |running| {
            in_use.0.begin(id, running).map_err(|refused| {
                let code = if refused == Refused::Busy { BUSY } else { INVALID_REQUEST };
                Box::new(json_reply(StatusCode::OK, answers::error(Some(id), code, &refused.to_string(), None)))
            })
        };
        let era = Era::Sessions(in_use);
        if method == "ping" {
            return Ok(json_reply(StatusCode::OK, answers::result(id, "{}")));
        }
        if lists::of(method).is_some() || method == "logging/setLevel" {
            let unwanted = Arc::new(watch::Sender::new(false));
            let _flight = begun(Running::All(Arc::clone(&unwanted)))?;
            let mut cancelled = unwanted.subscribe();
            let mut ended = in_use.0.ended.subscribe();
            return tokio::select! {
                reply = async {
                    match lists::of(method) {
                        Some(list) => self.list(era, headers, frame, id, list).await,
                        None => self.set_level(era, headers, frame, id).await,
                    }
                } => reply,
                _ = cancelled.wait_for(|unwanted| *unwanted) => {
                    Ok(json_reply(StatusCode::OK, answers::upstream_error(id, "the request was cancelled")))
                }
                _ = ended.wait_for(|ended| *ended) => {
                    Ok(json_reply(StatusCode::OK, answers::upstream_error(id, "the session was ended")))
                }
            };
        }
        let route = match self.route(frame, id, method, false) {
            Ok(route) => route,
            Err(error) => return Ok(json_reply(StatusCode::OK, error)),
        };
        let Route { index, body, own, .. } = route;
        let (follows, leaves) = (method == "resources/subscribe", method == "resources/unsubscribe");
        if (follows || leaves) && own.len() > MAX_ADDRESS {
            let text = format!("the address of a resource that is subscribed to has at most {MAX_ADDRESS} bytes");
            return Ok(json_reply(StatusCode::OK, answers::error(Some(id), INVALID_PARAMS, &text, None)));
        }
        if leaves {
            in_use.0.leaves(index, &own);
        }
        let flight = begun(Running::Member(index, follows.then_some(own)))?;
        match self.ask(era, index, headers, &body, None, Some(room)).await {
            Ok((mut reply, joined)) => {
                // An error of a member without sessions: with this status the client's own session would be over.
                if reply.status() == StatusCode::NOT_FOUND {
                    *reply.status_mut() = StatusCode::OK;
                }
                let translator = self.translator(index, Some((in_use, joined)))?;
                Ok(translated(reply, translator, Some(flight)))
            }
            Err(absent) => Ok(json_reply(StatusCode::OK, self.unavailable(id, index, absent))),
        }
    }

    fn unavailable(&self, id: &Id, index: usize, absent: Absent) -> Bytes {
        let name = self.member(index).map_or("", |upstream| &*upstream.name);
        answers::upstream_error(id, &format!("upstream {name} is not available: {absent}; nothing has run"))
    }

    fn translator(&self, index: usize, asking: Option<(&InUse, Option<Arc<Joined>>)>) -> Checked<Translator> {
        let Ok(upstream) = self.member(index) else { return refuse(no_session()) };
        let asking = asking.and_then(|(in_use, joined)| Some((in_use, joined?)));
        Ok(Translator {
            inner: Arc::clone(&self.inner),
            upstream: Arc::clone(upstream),
            resumable: asking.is_some(),
            session: asking.map(|(in_use, joined)| Asking { in_use: in_use.clone(), index, joined }),
        })
    }

    /// Who is meant by a request, by the names in it. An unknown one is answered as an upstream would: what other members
    /// have is no help to whoever guesses.
    fn route(&self, frame: &Frame, id: &Id, method: &str, stateless: bool) -> Result<Route, Bytes> {
        let error = |code, text: &str, data| answers::error(Some(id), code, text, data);
        let params = frame.params();
        let param = |name| params.and_then(|params| params.get(name)).filter(|value| value.kind() == Kind::String);
        let to = |index: usize, target: Value<'_>, own: &str| {
            let name = matches!(method, "tools/call" | "prompts/get" | "resources/read");
            Route {
                index,
                body: frame.edited(&[Edit { target, value: own.to_owned() }]),
                own: own.to_owned(),
                name: name.then(|| stateless::written(own)),
            }
        };
        let named = |target: Value<'_>, fits: fn(&str) -> bool, what: &str| {
            let name = target.as_str().unwrap_or_default();
            let found = names::resolve(self.members(), name).filter(|_| fits(name));
            let (index, own) =
                found.ok_or_else(|| error(INVALID_PARAMS, &format!("Unknown {what}: {}", printable(name)), None))?;
            Ok(to(index, target, own))
        };
        let located = |target: Value<'_>| {
            let uri = target.as_str().unwrap_or_default();
            let (index, own) = names::unwrapped(self.members(), uri).ok_or_else(|| {
                let code = if stateless { INVALID_PARAMS } else { RESOURCE_NOT_FOUND };
                error(code, "Resource not found", Some(json!({ "uri": printable(uri) })))
            })?;
            Ok(to(index, target, own))
        };
        let missing = |name| error(INVALID_PARAMS, &format!("{name} must be a string"), None);
        match method {
            "tools/call" => named(param("name").ok_or_else(|| missing("name"))?, names::fits_tool, "tool"),
            "prompts/get" => named(param("name").ok_or_else(|| missing("name"))?, names::fits_prompt, "prompt"),
            "resources/read" => located(param("uri").ok_or_else(|| missing("uri"))?),
            "resources/subscribe" | "resources/unsubscribe" if !stateless => {
                located(param("uri").ok_or_else(|| missing("uri"))?)
            }
            "completion/complete" => {
                let reference = params.and_then(|params| params.get("ref"));
                let part = |name| {
                    reference.and_then(|reference| reference.get(name)).filter(|value| value.kind() == Kind::String)
                };
                match part("type").and_then(Value::as_str) {
                    Some("ref/prompt") => {
                        named(part("name").ok_or_else(|| missing("ref.name"))?, names::fits_prompt, "prompt")
                    }
                    Some("ref/resource") => located(part("uri").ok_or_else(|| missing("ref.uri"))?),
                    _ => Err(error(INVALID_PARAMS, "ref must be a ref/prompt or a ref/resource", None)),
                }
            }
            _ => Err(error(METHOD_NOT_FOUND, "Method not found", None)),
        }
    }

    /// The client's answer to a member's question goes to that member, under the member's own id.
    async fn answered(&self, in_use: &InUse, headers: &HeaderMap, frame: &Frame, id: Option<&Id>) -> Checked<Reply> {
        let question = id.and_then(|id| Some((id, in_use.0.answered(id)?)));
        let target = frame.root().get("id");
        let (Some((id, question)), Some(target)) = (question, target) else {
            let text = "no question with this id is open";
            return refuse(refusal(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, text));
        };
        let body = frame.splice(target, &question.id.to_string());
        let reply = self.deliver(question.index, &member_headers(headers), Some(&question.joined), &body, None).await;
        let reply = reply.unwrap_or_else(|_| no_session());
        if reply.status() == StatusCode::SERVICE_UNAVAILABLE {
            in_use.0.still_open(id, question);
        }
        // The session that is over is the member's, not the client's.
        let over = reply.status() == StatusCode::NOT_FOUND;
        Ok(if over { plain(StatusCode::ACCEPTED) } else { without_session(reply) })
    }

    /// A notification goes to the member it is about, or to all.
    async fn noted(&self, in_use: &InUse, headers: &HeaderMap, frame: &Frame, method: &str) -> Checked<Reply> {
        let params = frame.params();
        match method {
            "notifications/cancelled" => {
                match frame.cancelled().and_then(|id| Some((id.clone(), in_use.0.running(&id)?))) {
                    Some((id, Running::Member(index, _))) => {
                        in_use.0.cancelled(&id);
                        self.note(in_use, index, headers, frame.raw()).await;
                    }
                    Some((_, Running::All(unwanted))) => {
                        unwanted.send_replace(true);
                    }
                    None => {}
                }
            }
            "notifications/progress" => {
                let token = params.and_then(|params| params.get("progressToken"));
                let asked = token.and_then(Id::read).and_then(|token| in_use.0.questioner(&token));
                if let (Some((index, joined, Some(own))), Some(target)) = (asked, token) {
                    let body = frame.splice(target, &own.to_string());
                    let _sent = self.deliver(index, &member_headers(headers), Some(&joined), &body, None).await;
                }
            }
            _ => {
                if method == "notifications/initialized" {
                    in_use.0.ready.store(true, Ordering::Release);
                }
                if !method.starts_with("notifications/") {
                    let text = "a request needs an id; without one only notifications are passed on";
                    return refuse(refusal(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, text));
                }
                let all = (0..self.members().len()).map(|index| self.note(in_use, index, headers, frame.raw()));
                futures_util::future::join_all(all).await;
            }
        }
        Ok(plain(StatusCode::ACCEPTED))
    }

    /// Passes a notification on to a member that takes part now.
    async fn note(&self, in_use: &InUse, index: usize, headers: &HeaderMap, body: &str) {
        if let Some(joined) = in_use.0.joined(index) {
            let headers = member_headers(headers);
            let sent = self.deliver(index, &headers, Some(&joined), body, None);
            let _late = tokio::time::timeout(self.inner.limits.fan_out_wait, sent).await;
        }
    }

    /// One exchange with one member. In a session, a member that takes no part is asked to begin one first, and one whose
    /// session is over begins anew, once: then nothing can have run.
    async fn ask(
        &self,
        era: Era<'_>,
        index: usize,
        headers: &HeaderMap,
        body: &str,
        name: Option<&HeaderValue>,
        room: Option<Room>,
    ) -> Result<(Reply, Option<Arc<Joined>>), Absent> {
        let mut own = member_headers(headers);
        let Era::Sessions(in_use) = era else {
            own.insert(VERSION, HeaderValue::from_static(stateless::REVISION));
            if let Some(name) = name {
                own.insert(stateless::NAME, name.clone());
            }
            return Ok((self.deliver(index, &own, None, body, room).await?, None));
        };
        let joined = match in_use.0.joined(index).filter(|joined| !self.stale(index, joined)) {
            Some(joined) => joined,
            None => self.join(in_use, index, in_use.0.joined(index)).await?,
        };
        let reply = self.deliver(index, &own, Some(&joined), body, room).await?;
        if joined.session.is_none() || reply.status() != StatusCode::NOT_FOUND {
            return Ok((reply, Some(joined)));
        }
        let joined = self.join(in_use, index, Some(joined)).await?;
        let reply = self.deliver(index, &own, Some(&joined), body, None).await?;
        if joined.session.is_some() && reply.status() == StatusCode::NOT_FOUND {
            return Err(Absent::Ended);
        }
        Ok((reply, Some(joined)))
    }

    /// Whether a member that gave out no session does so by now.
    fn stale(&self, index: usize, joined: &Joined) -> bool {
        joined.session.is_none() && self.member(index).is_ok_and(|upstream| self.inner.gives_sessions(&upstream.name))
    }

    /// One exchange with one member, as it is made under `/mcp/NAME`.
    async fn deliver(
        &self,
        index: usize,
        headers: &HeaderMap,
        joined: Option<&Joined>,
        body: &str,
        room: Option<Room>,
    ) -> Result<Reply, Absent> {
        let upstream = self.member(index)?;
        let headers = joined.map_or_else(|| headers.clone(), |joined| session_headers(headers, joined));
        let frame = Frame::parse(body).map_err(|_| Absent::Failed)?;
        let visit = match Visit::new(&self.inner, &self.agent, upstream) {
            // What a task gives goes past the translation of names and addresses.
            Ok(visit) => Visit { tasks: false, ..visit },
            Err(busy) => return Ok(*busy),
        };
        Ok(visit.exchange(headers, frame, room).await.unwrap_or_else(|refused| *refused))
    }

    /// A request of the era without sessions.
    async fn stateless(&self, headers: &HeaderMap, frame: &Frame, room: Room) -> Checked<Reply> {
        let (id, method) = match frame.shape() {
            Shape::Request { id, method } => (id, method),
            // Requests are cancelled by closing their stream, and there is nothing else to say.
            _ => return Ok(plain(StatusCode::ACCEPTED)),
        };
        match &**method {
            "server/discover" => return self.discover(headers, frame, id).await,
            "subscriptions/listen" => return self.subscribe(headers, frame, id).await,
            _ => {}
        }
        if let Some(list) = lists::of(method) {
            return self.list(Era::Stateless, headers, frame, id, list).await;
        }
        let Route { index, body, name, .. } = match self.route(frame, id, method, true) {
            Ok(route) => route,
            Err(error) => return Ok(json_reply(stateless::status(&error), error)),
        };
        match self.ask(Era::Stateless, index, headers, &body, name.as_ref(), Some(room)).await {
            Ok((reply, _)) => Ok(translated(reply, self.translator(index, None)?, None)),
            Err(absent) => Ok(json_reply(StatusCode::OK, self.unavailable(id, index, absent))),
        }
    }
}

/// Headers of the client that go with an exchange with a member: least of all its credential and its session.
fn member_headers(headers: &HeaderMap) -> HeaderMap {
    let passed = headers.iter().filter(|(name, _)| {
        **name == RUN
            || **name == stateless::METHOD
            || name.as_str().starts_with(stateless::PARAM)
            || relay::PASSED_ON.contains(&name.as_str())
    });
    let mut own: HeaderMap = HeaderMap::new();
    for (name, value) in passed {
        own.append(name.clone(), value.clone());
    }
    own.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    own
}

/// The same, for a session with a member: the revision is the one that was agreed on with it.
fn session_headers(headers: &HeaderMap, joined: &Joined) -> HeaderMap {
    let mut own = headers.clone();
    if let Some(id) = joined.session.as_ref().and_then(|id| HeaderValue::from_str(id).ok()) {
        own.insert(SESSION, id);
    }
    if let Ok(version) = HeaderValue::from_str(&joined.version) {
        own.insert(VERSION, version);
    }
    own
}

fn without_session(mut reply: Reply) -> Reply {
    reply.headers_mut().remove(SESSION);
    reply
}

/// A name of the client in an answer: one line of bounded length.
fn printable(name: &str) -> String {
    name.chars().take(NAME_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
