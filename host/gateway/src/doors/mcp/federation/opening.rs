//! How a conversation begins: `initialize` and, in the era without sessions, `server/discover`. Every member is asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use portcullis_model::{Kind, Outcome, Value};
use serde_json::{Map, json};
use uuid::Uuid;

use super::super::envelope::{Frame, INTERNAL_ERROR, INVALID_PARAMS, Id, METHOD_NOT_FOUND, Shape};
use super::super::front::{Checked, RUN, SESSION, VERSIONS, json_reply, refusal};
use super::super::{Inner, answers, front, stateless};
use super::session::{Federated, InUse, Joined, MAX_KEPT, Member, TOO_LONG, end_member};
use super::{Absent, Era, Round, gather, lists, member_headers};
use crate::http::Reply;

/// Most bytes of one member's instructions.
const INSTRUCTIONS: usize = 8 * 1024;
/// What members offer, and the parts of it that are told on.
const CAPABILITIES: &[(&str, &[&str])] = &[
    ("tools", &["listChanged"]),
    ("prompts", &["listChanged"]),
    ("resources", &["listChanged", "subscribe"]),
    ("completions", &[]),
    ("logging", &[]),
];
/// What is offered as long as a member is missing: it may come later.
const EXPECTED: &[&str] = &["tools", "prompts", "resources"];
/// How long it may take to tell a member that begins anew what the client has set, and how many requests at once.
const SETTLE_WAIT: Duration = Duration::from_secs(300);
const AT_ONCE: usize = 8;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

impl Round {
    /// Opens a session with the federation: one with every member that is there.
    pub(super) async fn open(&self, headers: &HeaderMap, frame: &Frame) -> Checked<Reply> {
        let Some(id) = frame.request_id() else {
            return Ok(refusal(StatusCode::BAD_REQUEST, None, INVALID_PARAMS, ""));
        };
        let Some(params) = frame.params() else {
            let text = "initialize needs params";
            return Ok(json_reply(StatusCode::OK, answers::error(Some(id), INVALID_PARAMS, text, None)));
        };
        if params.raw().len() > MAX_KEPT {
            return Ok(json_reply(StatusCode::OK, answers::error(Some(id), INVALID_PARAMS, TOO_LONG, None)));
        }
        let run = headers.get(RUN).cloned();
        let limits = &self.inner.limits;
        let session = Federated::new(limits, &self.agent, &self.federation, params.raw().to_owned(), run);
        let in_use = match self.inner.federations.open(session) {
            Ok((in_use, evicted)) => {
                if let Some(evicted) = evicted {
                    tokio::spawn(evicted.end(Arc::clone(&self.inner), Outcome::Disconnected));
                }
                in_use
            }
            Err(full) => {
                let text = full.to_string();
                return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, Some(id), INTERNAL_ERROR, &text));
            }
        };
        // Until its id is on its way to the client: nobody else knows it.
        let mut opening = Opening { round: self, in_use: &in_use, done: false };
        let joining = (0..self.members().len()).map(|index| self.join(&in_use, index, None));
        let joined = futures_util::future::join_all(joining).await;
        let parts: Vec<Part<'_>> = self
            .members()
            .iter()
            .zip(&joined)
            .map(|(upstream, joined)| Part {
                name: &upstream.name,
                result: joined.as_ref().ok().map(|joined| joined.result.root()),
            })
            .collect();
        let versions = joined.iter().filter_map(|joined| joined.as_ref().ok().map(|joined| &*joined.version));
        let Some(version) = versions.min() else {
            let text = "no upstream of this federation is available";
            return Ok(json_reply(StatusCode::OK, answers::upstream_error(id, text)));
        };
        let mut result = self.described(&parts);
        result.insert("protocolVersion".to_owned(), version.into());
        result.insert("serverInfo".to_owned(), server());
        let mut reply = json_reply(StatusCode::OK, answers::result(id, &serde_json::Value::from(result).to_string()));
        if let Ok(value) = HeaderValue::from_str(&in_use.0.id) {
            reply.headers_mut().insert(SESSION, value);
        }
        opening.done = true;
        Ok(reply)
    }

    /// Lets a member begin a session, unless it has one by now that is not `over`.
    pub(super) async fn join(
        &self,
        in_use: &InUse,
        index: usize,
        over: Option<Arc<Joined>>,
    ) -> Result<Arc<Joined>, Absent> {
        let session = &in_use.0;
        let member = session.members.get(index).ok_or(Absent::Failed)?;
        let upstream = self.member(index)?;
        let beginning = async {
            let _turn = member.turn.lock().await;
            if let Some(now) = member.now()
                && over.as_ref().is_none_or(|over| !Arc::ptr_eq(over, &now))
            {
                return Ok(now);
            }
            if let Some(over) = member.take() {
                session.lose(index, &over);
                end_member(&self.inner, over, Outcome::Failed).await;
            }
            if session.over() {
                return Err(Absent::Ended);
            }
            let begun = self.begin(in_use, index).await?;
            let told = session.ready.load(Ordering::Acquire);
            if told {
                self.initialized(index, &begun.joined).await;
            }
            let joined = begun.hand_over(member);
            // It may have been ended meanwhile, and nobody would find this member's session any more.
            if session.over() {
                if let Some(joined) = member.take() {
                    end_member(&self.inner, joined, Outcome::Cancelled).await;
                }
                return Err(Absent::Ended);
            }
            if let Some(stream) = session.stream() {
                self.follow(in_use, index, Arc::clone(&joined), stream);
            }
            // The client may have said so meanwhile, to those who took part then.
            let ready = session.ready.load(Ordering::Acquire);
            if ready {
                self.settle(in_use, index, Arc::clone(&joined), !told);
            }
            Ok(joined)
        };
        let joined = tokio::time::timeout(self.inner.limits.fan_out_wait, beginning).await;
        let joined = joined.unwrap_or(Err(Absent::TooSlow));
        if let Err(absent) = &joined {
            tracing::warn!(federation = %self.federation.name, upstream = %upstream.name, %absent, "a member does not take part");
        }
        joined
    }

    /// Tells a member that the client is ready.
    async fn initialized(&self, index: usize, joined: &Joined) {
        let headers = member_headers(&HeaderMap::new());
        let _noted = self.deliver(index, &headers, Some(joined), INITIALIZED, None).await;
    }

    /// Tells a member that begins late, or anew, what the client has set. Nobody waits for it: a member that is slow, or
    /// does not answer, takes part all the same.
    fn settle(&self, in_use: &InUse, index: usize, joined: Arc<Joined>, late: bool) {
        let offered = joined.result.root().get("capabilities");
        let offers = |name| offered.is_some_and(|offered| offered.get(name).is_some());
        let level = in_use.0.level().filter(|_| offers("logging")).map(|params| ("logging/setLevel", params));
        let followed = in_use.0.followed(index).into_iter().filter(|_| offers("resources"));
        let followed = followed.map(|uri| ("resources/subscribe", json!({ "uri": uri }).to_string()));
        let bodies = level.into_iter().chain(followed).map(|(method, params)| {
            format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"{method}","params":{params}}}"#, lists::fresh())
        });
        let requests: Vec<String> = bodies.collect();
        if requests.is_empty() && !late {
            return;
        }
        let (round, in_use) = (self.clone(), in_use.clone());
        tokio::spawn(async move {
            let mut ended = in_use.0.ended.subscribe();
            let mut closing = round.inner.closing.subscribe();
            let (round, joined) = (&round, &joined);
            let telling = async {
                if late {
                    round.initialized(index, joined).await;
                }
                let telling = requests.into_iter().map(|body| round.tell(index, joined, body));
                futures_util::stream::iter(telling).buffer_unordered(AT_ONCE).collect::<()>().await;
            };
            tokio::select! {
                _late = tokio::time::timeout(SETTLE_WAIT, telling) => {}
                _ = ended.wait_for(|ended| *ended) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        });
    }

    /// One request of ours to a member. Whether it likes it or not: it has been told.
    async fn tell(&self, index: usize, joined: &Joined, body: String) {
        let told = async {
            let reply = self.deliver(index, &member_headers(&HeaderMap::new()), Some(joined), &body, None).await?;
            gather::answer(reply, self.inner.limits.message, |_| {}).await
        };
        let _answer = tokio::time::timeout(self.inner.limits.fan_out_wait, told).await;
    }

    /// `initialize` for one member, with what the client said.
    async fn begin(&self, in_use: &InUse, index: usize) -> Result<Begun, Absent> {
        let session = &in_use.0;
        let mut headers = member_headers(&HeaderMap::new());
        if let Some(run) = &session.run {
            headers.insert(RUN, run.clone());
        }
        let (id, params) = (Uuid::new_v4().simple(), &session.params);
        let body = format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"initialize","params":{params}}}"#);
        let reply = self.deliver(index, &headers, None, &body, None).await?;
        let own = reply.headers().get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let unclaimed = Unclaimed { inner: Arc::clone(&self.inner), session: own.clone() };
        let answer = gather::answer(reply, self.inner.limits.message, |_| {}).await;
        let joined = answer.ok().and_then(|frame| {
            let result = frame.body().filter(|_| matches!(frame.shape(), Shape::Response { failed: false, .. }))?;
            let version = result.get("protocolVersion").and_then(Value::as_str)?;
            let known = VERSIONS.contains(&version) && result.get("capabilities")?.kind() == Kind::Object;
            known.then(|| Joined { session: own, version: version.to_owned(), result: result.to_document() })
        });
        let joined = joined.ok_or(Absent::Refused)?;
        Ok(Begun { joined: Arc::new(joined), unclaimed })
    }

    /// `server/discover`: the revisions that all members speak which are there, and what any of them offers.
    pub(super) async fn discover(&self, headers: &HeaderMap, frame: &Frame, id: &Id) -> Checked<Reply> {
        let asking = (0..self.members().len()).map(|index| async move {
            let asked = async {
                let (reply, _) = self.ask(Era::Stateless, index, headers, frame.raw(), None, None).await?;
                gather::answer(reply, self.inner.limits.message, |_| {}).await
            };
            let asked = tokio::time::timeout(self.inner.limits.fan_out_wait, asked).await;
            let answer = asked.unwrap_or(Err(Absent::TooSlow))?;
            if lists::code(&answer).is_some() {
                return Err(Absent::Era);
            }
            let speaks = answer.body().is_some_and(|body| versions(body).any(|version| version == stateless::REVISION));
            if speaks { Ok(answer) } else { Err(Absent::Era) }
        });
        let answers: Vec<Result<Frame, Absent>> = futures_util::future::join_all(asking).await;
        let bodies = || answers.iter().filter_map(|answer| answer.as_ref().ok()?.body());
        let Some(first) = bodies().next() else {
            if answers.iter().any(|answer| matches!(answer, Err(Absent::Era))) {
                // Clients of both eras that are told of another revision here do not all go on to ask for a session.
                let text = "no upstream of this federation speaks a protocol revision without sessions";
                let body = answers::error(Some(id), METHOD_NOT_FOUND, text, None);
                return Ok(json_reply(StatusCode::NOT_FOUND, body));
            }
            let text = "no upstream of this federation is available";
            return Ok(json_reply(StatusCode::OK, answers::upstream_error(id, text)));
        };
        let common: Vec<&str> = versions(first)
            .filter(|version| bodies().all(|body| versions(body).any(|other| other == *version)))
            .collect();
        let parts: Vec<Part<'_>> = self
            .members()
            .iter()
            .zip(&answers)
            .map(|(upstream, answer)| Part { name: &upstream.name, result: answer.as_ref().ok().and_then(Frame::body) })
            .collect();
        let mut result = self.described(&parts);
        let complete = answers.iter().all(Result::is_ok);
        lists::keeping(&mut result, bodies(), complete);
        result.insert("supportedVersions".to_owned(), common.into());
        let meta = result.entry("_meta").or_insert_with(|| json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.insert("io.modelcontextprotocol/serverInfo".to_owned(), server());
        }
        Ok(json_reply(StatusCode::OK, answers::result(id, &serde_json::Value::from(result).to_string())))
    }

    /// What the members offer together: capabilities, instructions, and who is missing.
    fn described(&self, parts: &[Part<'_>]) -> Map<String, serde_json::Value> {
        let mut capabilities = Map::new();
        for (name, flags) in CAPABILITIES {
            let offers = || parts.iter().filter_map(|part| part.result?.get("capabilities")?.get(name));
            let expected = EXPECTED.contains(name) && parts.iter().any(|part| part.result.is_none());
            if offers().next().is_none() && !expected {
                continue;
            }
            let set = |flag: &&&str| offers().any(|offer| offer.get(flag).and_then(Value::as_bool) == Some(true));
            let flags: Map<_, _> = flags.iter().filter(set).map(|flag| ((*flag).to_owned(), true.into())).collect();
            capabilities.insert((*name).to_owned(), flags.into());
        }
        let mut instructions = String::new();
        for part in parts {
            let text = part.result.and_then(|result| result.get("instructions")?.as_str()).unwrap_or_default();
            if text.is_empty() {
                continue;
            }
            let text = text.get(..text.floor_char_boundary(INSTRUCTIONS)).unwrap_or_default();
            let gap = if instructions.is_empty() { "" } else { "\n\n" };
            instructions.push_str(&format!("{gap}# {}\n\n{text}", part.name));
        }
        let mut result = Map::new();
        result.insert("capabilities".to_owned(), capabilities.into());
        if !instructions.is_empty() {
            result.insert("instructions".to_owned(), instructions.into());
        }
        let missing: Vec<&str> = parts.iter().filter(|part| part.result.is_none()).map(|part| part.name).collect();
        if !missing.is_empty() {
            result.insert("_meta".to_owned(), json!({ lists::UNAVAILABLE: missing }));
        }
        result
    }
}

/// A member, and what it answered to the request that begins a conversation.
struct Part<'a> {
    name: &'a str,
    result: Option<Value<'a>>,
}

/// A session with a member that has begun, and nobody else knows of it.
struct Begun {
    joined: Arc<Joined>,
    unclaimed: Unclaimed,
}

impl Begun {
    /// From here on the federated session ends it.
    fn hand_over(mut self, member: &Member) -> Arc<Joined> {
        member.set(Arc::clone(&self.joined));
        self.unclaimed.session = None;
        self.joined
    }
}

/// The id of a session with a member that nobody else knows: it ends when this goes.
struct Unclaimed {
    inner: Arc<Inner>,
    session: Option<String>,
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(session) = self.session.take().and_then(|id| self.inner.sessions.remove(&id)) {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move { front::end_both_sides(&inner, &session, Outcome::Failed).await });
        }
    }
}

/// A session whose id the client does not have yet. It ends if the client goes away before.
struct Opening<'a> {
    round: &'a Round,
    in_use: &'a InUse,
    done: bool,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.done {
            let Round { inner, .. } = self.round;
            let session = &self.in_use.0;
            inner.federations.remove(&session.id);
            tokio::spawn(Arc::clone(session).end(Arc::clone(inner), Outcome::Disconnected));
        }
    }
}

fn versions<'f>(result: Value<'f>) -> impl Iterator<Item = &'f str> {
    result.get("supportedVersions").into_iter().flat_map(Value::items).filter_map(Value::as_str)
}

fn server() -> serde_json::Value {
    json!({ "name": "portcullis", "version": env!("CARGO_PKG_VERSION") })
}
