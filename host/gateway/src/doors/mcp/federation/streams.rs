//! Streams that belong to no call: the members' streams as one, one taken up again, and subscriptions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use portcullis_model::Value;
use serde_json::{Map, json};

use super::super::answers;
use super::super::envelope::{Frame, INVALID_PARAMS, INVALID_REQUEST, Id, Shape};
use super::super::front::{Checked, Client, LAST_EVENT, UNDER_WAY, Visit, json_reply, refusal, refuse, stream_reply};
use super::super::queue::{self, Sender};
use super::super::sse::{COMMENT, Event};
use super::super::stateless;
use super::gather::Events;
use super::session::{InUse, Joined};
use super::translate::Translator;
use super::{Absent, Era, Round, lists, member_headers, names, session_headers, translated};
use crate::http::{Plain, Reply};

/// How long after its end a member's stream is opened again, unless the member says when.
const AGAIN: Duration = Duration::from_secs(1);
/// The shortest and the longest time that a member may say.
const AGAIN_WITHIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// The kinds of notification that a client can subscribe to, beside those about single resources.
const KINDS: &[&str] = &["toolsListChanged", "promptsListChanged", "resourcesListChanged"];

impl Round {
    /// The stream for what belongs to no request: what all members say there.
    pub(super) fn listen(&self, in_use: InUse) -> Checked<Reply> {
        let Some((sender, mut messages)) = in_use.0.open_stream() else {
            let text = "this session has a stream already";
            return refuse(refusal(StatusCode::CONFLICT, None, INVALID_REQUEST, text));
        };
        for index in 0..self.members().len() {
            if let Some(joined) = in_use.0.joined(index) {
                self.follow(&in_use, index, joined, sender.clone());
            }
        }
        let (client, body) = Client::new(&self.inner);
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let mut closing = inner.closing.subscribe();
            let mut ended = in_use.0.ended.subscribe();
            let mut keep_alive = client.keep_alive();
            loop {
                let piece = tokio::select! {
                    message = messages.recv() => match message {
                        Some(message) => Event::message(&message).encode(),
                        None => return,
                    },
                    _ = keep_alive.tick() => COMMENT,
                    () = client.gone() => return,
                    _ = ended.wait_for(|ended| *ended) => return,
                    _ = closing.wait_for(|closing| *closing) => return,
                };
                if !client.send(piece).await {
                    return;
                }
            }
        });
        Ok(stream_reply(body))
    }

    /// Brings what a member says on its own stream to the client's, as long as both are there.
    pub(super) fn follow(&self, in_use: &InUse, index: usize, joined: Arc<Joined>, to: Sender<Bytes>) {
        let (round, in_use) = (self.clone(), in_use.clone());
        tokio::spawn(async move {
            let following = round.follow_on(&in_use, index, &joined, &to);
            let mut ended = in_use.0.ended.subscribe();
            let mut closing = round.inner.closing.subscribe();
            tokio::select! {
                () = following => {}
                () = to.closed() => {}
                _ = ended.wait_for(|ended| *ended) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        });
    }

    async fn follow_on(&self, in_use: &InUse, index: usize, joined: &Arc<Joined>, to: &Sender<Bytes>) {
        let Ok(upstream) = self.member(index) else { return };
        let Ok(translator) = self.translator(index, Some((in_use, Some(Arc::clone(joined))))) else { return };
        let mut last: Option<HeaderValue> = None;
        while in_use.0.joined(index).is_some_and(|now| Arc::ptr_eq(&now, joined)) {
            let mut headers = session_headers(&member_headers(&HeaderMap::new()), joined);
            if let Some(last) = &last {
                headers.insert(LAST_EVENT, last.clone());
            }
            let reply = match Visit::new(&self.inner, &self.agent, upstream) {
                Ok(visit) => visit.get(&headers).await,
                Err(busy) => Err(busy),
            };
            let reply = reply.unwrap_or_else(|refused| *refused);
            let status = reply.status();
            let Plain::Stream(stream) = reply.into_body().plain() else {
                // The stream before may not be closed yet, or the member is down for a while. Otherwise it has no such
                // stream, or does not know the session: it begins anew with the next request to it.
                if status == StatusCode::CONFLICT || status.is_server_error() {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                return;
            };
            let mut events = Events::new(stream, self.inner.limits.message);
            let mut again = AGAIN;
            while let Some(event) = events.next().await {
                last = event.id.and_then(|id| HeaderValue::from_str(&id).ok()).or(last);
                if let Some(millis) = event.retry.and_then(|retry| retry.parse().ok()) {
                    again = Duration::from_millis(millis).clamp(AGAIN_WITHIN.0, AGAIN_WITHIN.1);
                }
                let message = event.data.filter(|data| !data.is_empty()).and_then(|data| translator.message(data));
                if let Some(message) = message
                    && !to.send(message).await
                {
                    return;
                }
            }
            tokio::time::sleep(again).await;
        }
    }

    /// Takes up the stream of a call again, with the member whose it is.
    pub(super) async fn resume(&self, in_use: &InUse, headers: &HeaderMap, last: &HeaderValue) -> Checked<Reply> {
        let named = last.to_str().ok().and_then(|last| last.split_once(':'));
        let found = named.and_then(|(name, id)| {
            let index = self.members().iter().position(|member| *member.name == *name)?;
            Some((index, in_use.0.joined(index)?, HeaderValue::from_str(id).ok()?))
        });
        let Some((index, joined, id)) = found else {
            let text = "there is no such event to go on from";
            return refuse(refusal(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, text));
        };
        let mut own = session_headers(&member_headers(headers), &joined);
        own.insert(LAST_EVENT, id);
        let Ok(upstream) = self.member(index) else { return refuse(super::no_session()) };
        let reply = Visit::new(&self.inner, &self.agent, upstream)?.get(&own).await?;
        if reply.status() == StatusCode::NOT_FOUND {
            // The session that is over is the member's, not the client's.
            let text = "the upstream knows nothing of this stream any more";
            return refuse(refusal(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, text));
        }
        Ok(translated(reply, self.translator(index, Some((in_use, Some(joined))))?, None))
    }

    /// One subscription of the era without sessions, made of one with each member that it is about.
    pub(super) async fn subscribe(&self, headers: &HeaderMap, frame: &Frame, id: &Id) -> Checked<Reply> {
        let wanted = frame.params().and_then(|params| params.get("notifications"));
        let Some(wanted) = wanted else {
            let error = answers::error(Some(id), INVALID_PARAMS, "notifications must be an object", None);
            return Ok(json_reply(stateless::status(&error), error));
        };
        let opening = (0..self.members().len()).filter_map(|index| {
            let own = self.wanted_of(index, wanted)?;
            let body = frame.splice(wanted, &own);
            Some(async move {
                let opening = self.subscribed(headers, index, &body);
                let opened = tokio::time::timeout(self.inner.limits.fan_out_wait, opening).await;
                (index, opened.unwrap_or(Err(Absent::TooSlow)))
            })
        });
        let opened = futures_util::future::join_all(opening).await;
        let mut granted = Granted::default();
        let mut missing = Vec::new();
        let (sender, mut messages) = queue::channel::<Bytes>(UNDER_WAY, self.inner.limits.message);
        let mut open = 0;
        for (index, opened) in opened {
            let Ok(upstream) = self.member(index) else { continue };
            let (acknowledged, mut events) = match opened {
                Ok(opened) => opened,
                Err(absent) => {
                    tracing::warn!(upstream = %upstream.name, %absent, "a member takes no subscription");
                    missing.push(&*upstream.name);
                    continue;
                }
            };
            open += 1;
            granted.add(&acknowledged, upstream);
            let (translator, sender) = (self.translator(index, None)?, sender.clone());
            tokio::spawn(async move {
                let following = async {
                    while let Some(message) = subscription_message(&translator, &mut events).await {
                        if !sender.send(message).await {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = following => {}
                    () = sender.closed() => {}
                }
            });
        }
        drop(sender);
        if open == 0 && !missing.is_empty() {
            let text = "no upstream of this federation takes this subscription";
            return Ok(json_reply(StatusCode::OK, answers::upstream_error(id, text)));
        }
        let mut meta = Map::new();
        if !missing.is_empty() {
            meta.insert(lists::UNAVAILABLE.to_owned(), missing.into());
        }
        let acknowledgement = granted.acknowledgement(id, &meta);
        let end = answers::result(id, &format!(r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION}":{id}}}}}"#));
        let (client, body) = Client::new(&self.inner);
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let mut closing = inner.closing.subscribe();
            let mut keep_alive = client.keep_alive();
            let mut present = client.send(Event::message(acknowledgement.as_bytes()).encode()).await;
            while present {
                let piece = tokio::select! {
                    message = messages.recv() => match message {
                        Some(message) => Event::message(&message).encode(),
                        // All members have ended theirs.
                        None => break,
                    },
                    _ = keep_alive.tick() => COMMENT,
                    () = client.gone() => return,
                    _ = closing.wait_for(|closing| *closing) => return,
                };
                present = client.send(piece).await;
            }
            if present {
                client.send(Event::message(&end).encode()).await;
            }
        });
        Ok(stream_reply(body))
    }

    /// What of a subscription is for this member; none if nothing is.
    fn wanted_of(&self, index: usize, wanted: Value<'_>) -> Option<String> {
        let mut any = false;
        let mut own = Vec::new();
        for member in wanted.members() {
            let name = member.name()?;
            let value = if name == "resourceSubscriptions" {
                let uris = member.items().filter_map(|uri| names::unwrapped(self.members(), uri.as_str()?));
                let uris: Vec<&str> = uris.filter(|(of, _)| *of == index).map(|(_, uri)| uri).collect();
                any |= !uris.is_empty();
                json!(uris).to_string()
            } else {
                any |= member.as_bool() != Some(false);
                member.raw().to_owned()
            };
            own.push(format!("{}:{value}", json!(name)));
        }
        any.then(|| format!("{{{}}}", own.join(",")))
    }

    /// Opens a subscription with one member: its acknowledgement, and what comes after it.
    async fn subscribed(&self, headers: &HeaderMap, index: usize, body: &str) -> Result<(Frame, Events), Absent> {
        let (reply, _) = self.ask(Era::Stateless, index, headers, body, None, None).await?;
        let Plain::Stream(stream) = reply.into_body().plain() else { return Err(Absent::Failed) };
        let mut events = Events::new(stream, self.inner.limits.message);
        while let Some(event) = events.next().await {
            let Some(data) = event.data.filter(|data| !data.is_empty()) else { continue };
            let frame = Frame::parse(data).map_err(|_| Absent::Failed)?;
            return match frame.shape() {
                Shape::Notification { method } if &**method == ACKNOWLEDGED => Ok((frame, events)),
                // Nothing comes before it.
                _ => Err(Absent::Failed),
            };
        }
        Err(Absent::Failed)
    }
}

/// The next notification of a member; none when the subscription with it is over.
async fn subscription_message(translator: &Translator, events: &mut Events) -> Option<Bytes> {
    loop {
        let event = events.next().await?;
        let Some(data) = event.data.filter(|data| !data.is_empty()) else { continue };
        // Its answer: the subscription is over for this member, not for the others.
        if Frame::parse(&*data).is_ok_and(|frame| matches!(frame.shape(), Shape::Response { .. })) {
            return None;
        }
        if let Some(message) = translator.message(data) {
            return Some(message);
        }
    }
}

/// What the members have agreed to send, together.
#[derive(Default)]
struct Granted {
    kinds: BTreeSet<&'static str>,
    uris: Vec<String>,
}

impl Granted {
    fn add(&mut self, acknowledged: &Frame, upstream: &crate::upstream::Upstream) {
        let Some(granted) = acknowledged.params().and_then(|params| params.get("notifications")) else { return };
        let set = |kind: &&&str| granted.get(kind).and_then(Value::as_bool) == Some(true);
        self.kinds.extend(KINDS.iter().filter(set));
        let uris = granted.get("resourceSubscriptions").into_iter().flat_map(Value::items);
        self.uris.extend(uris.filter_map(|uri| Some(names::wrapped(upstream, uri.as_str()?))));
    }

    fn acknowledgement(&self, id: &Id, meta: &Map<String, serde_json::Value>) -> String {
        let mut granted: Map<String, serde_json::Value> =
            self.kinds.iter().map(|kind| ((*kind).to_owned(), true.into())).collect();
        if !self.uris.is_empty() {
            granted.insert("resourceSubscriptions".to_owned(), json!(self.uris));
        }
        let more: String = meta.iter().map(|(name, value)| format!(",{}:{value}", json!(name))).collect();
        // By hand: the id goes out as it came in, whatever number it is.
        format!(
            r#"{{"jsonrpc":"2.0","method":"{ACKNOWLEDGED}","params":{{"_meta":{{"{SUBSCRIPTION}":{id}{more}}},"notifications":{}}}}}"#,
            serde_json::Value::from(granted)
        )
    }
}
