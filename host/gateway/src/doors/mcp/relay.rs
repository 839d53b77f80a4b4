//! HTTP on both sides: one exchange with an upstream, its answer streamed through the inspector.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use portcullis_model::Outcome;
use tokio::sync::Semaphore;

use super::Inner;
use super::answers;
use super::changes::{self, Changes};
use super::envelope::{Frame, INTERNAL_ERROR, INVALID_REQUEST, Id};
use super::front::{
    Client, GONE, LAST_EVENT, ReplyTo, SESSION, VERSION, Visit, answer_with, end_both_sides, is_result, json_reply,
    no_session, open_session, plain, refusal, status_for, stream_reply,
};
use super::inspector::{FromClient, FromServer, Inspector, Ticket};
use super::sessions::{InUse, Remote, Session};
use super::sse::{COMMENT, Event, Item, Parser};
use super::stateless;
use crate::upstream::HttpTarget;
use crate::upstream::http::{BodyError, HttpError, Kind, kind};

/// Largest body of an HTTP error that is looked at.
const ERROR_BODY: usize = 64 * 1024;
/// Longest session id of an upstream in bytes.
const MAX_SESSION_ID: usize = 1024;
/// Refusals that an upstream is told at once in one exchange; it goes without more.
const TELLS: usize = 8;
const ENDED: &str = "the session was ended";
/// Headers of the client that go on to the upstream as they are: nothing else does, least of all its credential.
pub(super) const PASSED_ON: &[&str] = &["traceparent", "tracestate", "baggage"];

/// What an exchange knows of its surroundings.
struct Exchange<'a> {
    visit: &'a Visit,
    target: &'a HttpTarget,
    /// Headers of every message to the upstream in this exchange.
    upstream: HeaderMap,
    session: Option<&'a Arc<Session>>,
    inspector: Arc<Inspector>,
    /// The request that the exchange is about; `None` for notifications, answers and streams opened by GET.
    own: Option<Ticket>,
    /// Whether the answer must come within a time.
    patient: bool,
    /// Whether the client is told on this stream that its list of tools has changed.
    tells_changes: bool,
    /// The `_meta` of the client's request, in a revision without sessions.
    meta: Option<String>,
    /// Refusals that the upstream is being told.
    tells: Arc<Semaphore>,
    /// Whether the answer opens a session, if it is a result.
    opens: bool,
    /// Set by a result that opens a session.
    well: AtomicBool,
}

/// Passes one message of the client on, and the answer back.
pub(super) async fn post(
    visit: &Visit,
    target: &HttpTarget,
    session: Option<&Arc<Session>>,
    run: Option<Arc<str>>,
    headers: &HeaderMap,
    frame: Frame,
    mut reply: ReplyTo,
) {
    let inspector = session.map_or_else(|| visit.inspector(run), |session| Arc::clone(&session.inspector));
    let stateless = stateless::applies(headers, Some(&frame));
    let bytes = match visit.sent(&inspector, &frame, &mut reply).await {
        FromClient::Held(_) => return,
        FromClient::Answer(bytes) => {
            let status = if stateless { stateless::status(&bytes) } else { status_for(&frame) };
            return answer_with(reply, json_reply(status, bytes));
        }
        FromClient::Forward { bytes, .. } => bytes,
    };
    let own = frame.request_id().map(|id| inspector.ticket(id));
    let opens = frame.asks("initialize") && !stateless;
    // Open for as long as the client wants, and quiet for as long as nothing happens.
    let patient = !frame.asks("subscriptions/listen");
    let mut upstream = upstream_headers(headers, session);
    let repeats = !stateless || stateless::repeat(headers, &frame, &bytes, &mut upstream);
    let exchange = Exchange {
        tells_changes: Changes::wanted_by(&frame),
        meta: changes::meta_of(&frame).filter(|_| stateless),
        patient,
        opens,
        ..Exchange::new(visit, target, upstream, session, inspector, own)
    };
    if !repeats {
        // The upstream would refuse the call, or whoever goes by the header would see what was taken out.
        let text = "policy changed an argument that a header repeats";
        return exchange.fail(Outcome::Failed, text, reply).await;
    }
    let request = visit.inner.client.send(target, Method::POST, exchange.upstream.clone(), Some(bytes));
    let response = tokio::select! {
        response = request => response,
        () = exchange.stopped() => return exchange.fail(Outcome::Uncertain, ENDED, reply).await,
        () = reply.closed() => return exchange.end(Outcome::Disconnected, GONE).await,
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => return exchange.unreachable(error, reply).await,
    };
    if exchange.opens { exchange.open(response, reply).await } else { exchange.answer(response, None, reply).await }
}

/// Opens the upstream's stream for what belongs to no request, or takes one up again.
pub(super) async fn get(
    visit: &Visit,
    target: &HttpTarget,
    session: Option<&Arc<Session>>,
    run: Option<Arc<str>>,
    headers: &HeaderMap,
    mut reply: ReplyTo,
) {
    let inspector = session.map_or_else(|| visit.inspector(run), |session| Arc::clone(&session.inspector));
    let upstream = upstream_headers(headers, session);
    let mut asked = upstream.clone();
    if let Some(last) = headers.get(LAST_EVENT) {
        asked.insert(LAST_EVENT, last.clone());
    }
    let exchange = Exchange { tells_changes: true, ..Exchange::new(visit, target, upstream, session, inspector, None) };
    let response = tokio::select! {
        response = visit.inner.client.send(target, Method::GET, asked, None) => response,
        () = exchange.stopped() => return exchange.fail(Outcome::Uncertain, ENDED, reply).await,
        () = reply.closed() => return,
    };
    match response {
        Ok(response) if response.status().is_success() && kind(response.headers()) == Kind::EventStream => {
            exchange.stream(response.into_body(), None, reply).await;
        }
        Ok(response) if response.status() == StatusCode::NOT_FOUND && session.is_some() => exchange.over(reply).await,
        Ok(response) if response.status().is_client_error() => {
            let text = "the upstream offers no stream for this request";
            answer_with(reply, refusal(response.status(), None, INVALID_REQUEST, text));
        }
        Ok(_) => {
            let text = "the upstream answered with neither an event stream nor a refusal";
            answer_with(reply, refusal(StatusCode::BAD_GATEWAY, None, INTERNAL_ERROR, text));
        }
        Err(error) => exchange.unreachable(error, reply).await,
    }
}

/// Ends a session at the upstream. Its answer, or 502.
pub(super) async fn delete(
    inner: &Inner,
    target: &HttpTarget,
    remote: &HeaderValue,
    headers: &HeaderMap,
) -> StatusCode {
    let mut upstream = upstream_headers(headers, None);
    upstream.insert(SESSION, remote.clone());
    let answer = inner.client.send(target, Method::DELETE, upstream, None);
    match tokio::time::timeout(inner.limits.connect_wait, answer).await {
        Ok(Ok(response)) => response.status(),
        Ok(Err(_)) | Err(_) => StatusCode::BAD_GATEWAY,
    }
}

/// Whether the protocol allows this id, and its length is worth keeping.
fn is_session_id(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=MAX_SESSION_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn upstream_headers(headers: &HeaderMap, session: Option<&Arc<Session>>) -> HeaderMap {
    let mut upstream = HeaderMap::new();
    if let Some(version) = headers.get(VERSION) {
        upstream.insert(VERSION, version.clone());
    }
    for name in PASSED_ON {
        for value in headers.get_all(*name) {
            upstream.append(*name, value.clone());
        }
    }
    if let Some(Remote::Http(id)) = session.map(|session| &session.remote) {
        upstream.insert(SESSION, id.clone());
    }
    upstream
}

impl<'a> Exchange<'a> {
    fn new(
        visit: &'a Visit,
        target: &'a HttpTarget,
        upstream: HeaderMap,
        session: Option<&'a Arc<Session>>,
        inspector: Arc<Inspector>,
        own: Option<Ticket>,
    ) -> Self {
        let (patient, tells_changes, meta, tells) = (true, false, None, Arc::new(Semaphore::new(TELLS)));
        let (opens, well) = (false, AtomicBool::new(false));
        Self { visit, target, upstream, session, inspector, own, patient, tells_changes, meta, tells, opens, well }
    }

    fn id(&self) -> Option<&Id> {
        self.own.as_ref().map(|own| &own.id)
    }

    async fn end(&self, outcome: Outcome, text: &'static str) {
        if let Some(own) = &self.own {
            self.inspector.end_own(own, outcome, text).await;
        }
    }

    /// Ends the request with an error. One that waits for its answer gets it as JSON-RPC, anything else as HTTP.
    async fn fail(&self, outcome: Outcome, text: &'static str, reply: ReplyTo) {
        let answer = match &self.own {
            Some(own) => {
                self.inspector.end_own(own, outcome, text).await;
                json_reply(StatusCode::OK, answers::upstream_error(&own.id, text))
            }
            None => refusal(StatusCode::BAD_GATEWAY, None, INTERNAL_ERROR, text),
        };
        answer_with(reply, answer);
    }

    /// Ready when the session or the door is closed.
    async fn stopped(&self) {
        let mut closing = self.visit.inner.closing.subscribe();
        let mut ended = self.session.map(|session| session.ended.subscribe());
        let session = async {
            match &mut ended {
                Some(ended) => ended.wait_for(|over| *over).await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = closing.wait_for(|over| *over) => {}
            _ = session => {}
        }
    }

    async fn unreachable(&self, error: HttpError, reply: ReplyTo) {
        tracing::warn!(upstream = %self.visit.upstream.name, %error, cause = ?std::error::Error::source(&error), "upstream failed");
        let outcome = if error.nothing_sent() { Outcome::Failed } else { Outcome::Uncertain };
        let text = match error {
            HttpError::Connect(_) => "the upstream could not be reached",
            HttpError::Broken(_) => "the connection to the upstream broke",
            HttpError::TooSlow => "the upstream did not answer in time",
            HttpError::Encoding => "the upstream answered in an encoding that was not asked for",
            HttpError::Credential(_) => "no access token for the upstream could be had",
            HttpError::Request(_) => "the request to the upstream could not be built",
        };
        self.fail(outcome, text, reply).await;
    }

    /// The upstream does not know the session any more: neither do we.
    async fn over(&self, reply: ReplyTo) {
        if let Some(session) = self.session {
            self.visit.inner.sessions.remove(&session.id);
            self.inspector.fail_all(Outcome::Failed, "the session is over at the upstream").await;
            // Its other streams end, too.
            session.ended.send_replace(true);
        }
        answer_with(reply, no_session());
    }

    /// The answer to `initialize`: it may bring a session.
    async fn open(&self, response: Response<Incoming>, reply: ReplyTo) {
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            let text = "the upstream takes no POST at its address: the address may be wrong, or it speaks the older transport \
                        with two addresses (HTTP+SSE of 2024-11-05), which is not spoken here";
            return self.fail(Outcome::Failed, text, reply).await;
        }
        let remote = response.headers().get(SESSION).filter(|_| response.status().is_success()).cloned();
        if remote.as_ref().is_some_and(|id| !is_session_id(id)) {
            let text = "the upstream gave out a session id that is too long, or no visible ASCII";
            return self.fail(Outcome::Failed, text, reply).await;
        }
        let Visit { inner, agent, upstream, .. } = self.visit;
        if response.status().is_success() {
            // Each time: it may be another program behind the same address by now.
            inner.learn_sessions(&upstream.name, remote.is_some());
        }
        let Some(remote) = remote else { return self.answer(response, None, reply).await };
        let session = Session::new(agent, upstream, Arc::clone(&self.inspector), Remote::Http(remote.clone()));
        match open_session(inner, session) {
            Ok(in_use) => {
                self.answer(response, Some(&in_use), reply).await;
                // Nobody goes on with a session whose beginning failed.
                if !self.well.load(Ordering::Acquire)
                    && let Some(session) = inner.sessions.remove(&in_use.0.id)
                {
                    end_both_sides(inner, &session, Outcome::Failed).await;
                }
            }
            Err(full) => {
                self.end(Outcome::Failed, "no place for a session").await;
                let text = full.to_string();
                answer_with(reply, refusal(StatusCode::SERVICE_UNAVAILABLE, self.id(), INTERNAL_ERROR, &text));
                if let crate::upstream::Target::Http(target) = &upstream.target {
                    delete(inner, target, &remote, &HeaderMap::new()).await;
                }
            }
        }
    }

    /// Whether the answer is good for a session, where it is to open one.
    fn notice(&self, answer: &[u8]) -> bool {
        let well = self.opens && is_result(answer);
        self.well.fetch_or(well, Ordering::AcqRel);
        well
    }

    async fn answer(&self, response: Response<Incoming>, opened: Option<&InUse>, reply: ReplyTo) {
        let status = response.status();
        if status == StatusCode::NOT_FOUND && self.session.is_some() {
            return self.over(reply).await;
        }
        if self.own.is_none() {
            return match status {
                status if status.is_success() => answer_with(reply, plain(StatusCode::ACCEPTED)),
                status if status.is_client_error() => {
                    answer_with(reply, refusal(status, None, INVALID_REQUEST, "the upstream refused the message"));
                }
                _ => self.fail(Outcome::Failed, "the upstream failed", reply).await,
            };
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.fail(Outcome::Failed, "the upstream refused Portcullis' own credential", reply).await;
            }
            status if status.is_success() => match kind(response.headers()) {
                Kind::Json => self.whole(response, StatusCode::OK, opened, reply).await,
                Kind::EventStream => self.stream(response.into_body(), opened, reply).await,
                Kind::Other => {
                    self.fail(Outcome::Uncertain, "the upstream answered neither JSON nor an event stream", reply)
                        .await;
                }
            },
            status if status.is_redirection() => {
                self.fail(Outcome::Failed, "the upstream answered with a redirect, which is not followed", reply).await;
            }
            status if kind(response.headers()) == Kind::Json => self.whole(response, status, opened, reply).await,
            status if status.is_client_error() => {
                self.fail(Outcome::Failed, "the upstream refused the request", reply).await;
            }
            _ => self.fail(Outcome::Uncertain, "the upstream failed", reply).await,
        }
    }

    /// One JSON message as the answer.
    async fn whole(
        &self,
        response: Response<Incoming>,
        status: StatusCode,
        opened: Option<&InUse>,
        mut reply: ReplyTo,
    ) {
        let client = &self.visit.inner.client;
        let limit = if status.is_success() { self.visit.inner.limits.message } else { ERROR_BODY };
        let bytes = tokio::select! {
            bytes = client.whole(response.into_body(), limit) => bytes,
            () = self.stopped() => return self.fail(Outcome::Uncertain, ENDED, reply).await,
            () = reply.closed() => return self.end(Outcome::Disconnected, GONE).await,
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => return self.fail(Outcome::Uncertain, text_of(error), reply).await,
        };
        match self.inspector.server_sent(bytes, self.own.as_ref()).await {
            FromServer::Answer { bytes, .. } => {
                let opened = opened.filter(|_| self.notice(&bytes));
                answer_with(reply, mark(json_reply(status, bytes), opened));
            }
            FromServer::Message { .. } | FromServer::Refused(_) | FromServer::Unmatched | FromServer::Malformed => {
                self.fail(Outcome::Failed, "the upstream's answer does not fit the request", reply).await;
            }
        }
    }

    /// An event stream, event by event: the next one is read when the client has taken the one before.
    async fn stream(&self, mut body: Incoming, opened: Option<&InUse>, reply: ReplyTo) {
        let inner = &self.visit.inner;
        let (client, channel) = Client::new(inner);
        answer_with(reply, mark(stream_reply(channel), opened));
        let mut parser = Parser::new(inner.limits.message);
        let mut keep_alive = client.keep_alive();
        let mut items = Vec::new();
        // Set by an event with an id: the client can take the stream up again, so its clean end is not the call's end.
        let mut resumable = false;
        let mut answered = false;
        let mut patience = self.patience();
        let mut changes = self.changes();
        let mut begun = self.own.is_none();
        let end = 'stream: loop {
            let chunk = tokio::select! {
                chunk = inner.client.chunk(&mut body, patience) => chunk,
                _ = keep_alive.tick() => {
                    if !client.send(COMMENT).await { break End::ClientGone }
                    continue;
                }
                message = next_change(&mut changes), if begun => {
                    if !client.send(Event::message(&message).encode()).await { break End::ClientGone }
                    continue;
                }
                () = self.stopped() => break End::Stopped,
                () = client.gone() => break End::ClientGone,
            };
            // What the upstream says first, a subscription begins with.
            begun = true;
            let complete = match chunk {
                Ok(Some(chunk)) => parser.push(&chunk, &mut items).is_ok(),
                Ok(None) => break End::Clean,
                Err(error) => break End::Broken(text_of(error)),
            };
            for item in items.drain(..) {
                let piece = match item {
                    Item::Comment => Ok(Some(COMMENT)),
                    Item::Event(event) => {
                        let event = event.trimmed();
                        resumable |= event.id.is_some();
                        self.event(event, &client).await
                    }
                };
                let (piece, last) = match piece {
                    Ok(Some(piece)) => (piece, false),
                    Ok(None) => continue,
                    Err(piece) => (piece, true),
                };
                answered = self.own.as_ref().is_some_and(|own| !self.inspector.waits(own));
                let present = tokio::select! {
                    present = client.send(piece) => present,
                    () = self.stopped() => break 'stream End::Stopped,
                };
                if !present {
                    break 'stream End::ClientGone;
                }
                if last {
                    return;
                }
            }
            patience = self.patience();
            if !complete {
                break End::Broken(answers::TOO_LARGE);
            }
        };
        match end {
            // It may be taken up again; until then nobody waits for it.
            End::ClientGone | End::Clean if resumable && self.session.is_some() => {
                if let Some(own) = self.own.as_ref().filter(|own| self.inspector.waits(own)) {
                    self.inspector.ours(&own.id);
                }
            }
            End::ClientGone => self.end(Outcome::Disconnected, GONE).await,
            End::Clean => self.last_words(&client, "the upstream ended its answer too early").await,
            End::Broken(text) => self.last_words(&client, text).await,
            End::Stopped => {
                self.end(Outcome::Uncertain, ENDED).await;
                if let Some(id) = self.id().filter(|_| !answered) {
                    client.send(Event::message(&answers::upstream_error(id, ENDED)).encode()).await;
                }
            }
        }
    }

    /// Until when the upstream must go on, where somebody waits for an answer.
    fn patience(&self) -> Option<tokio::time::Instant> {
        self.own.as_ref().filter(|_| self.patient).map(|_| self.visit.inner.client.patience())
    }

    /// What goes to the client for an event; `Err` for the last thing that goes.
    async fn event(&self, event: Event, client: &Client) -> Result<Option<Bytes>, Bytes> {
        let Some(data) = event.data.as_deref().filter(|data| !data.is_empty()) else {
            return Ok(Some(Event { kind: None, ..event }.encode()));
        };
        if !event.is_message() {
            return Ok(None);
        }
        match self.inspector.server_sent(data, self.own.as_ref()).await {
            FromServer::Answer { bytes, .. } => {
                self.notice(&bytes);
                Ok(Some(Event { data: Some(bytes.into()), ..event }.encode()))
            }
            FromServer::Message { bytes, .. } => {
                if changes::is_list_changed(&bytes) {
                    tokio::select! {
                        // Boxed: rare, and larger than all else that an idle stream keeps.
                        () = Box::pin(self.look_again()) => {}
                        () = self.stopped() => {}
                        () = client.gone() => {}
                    }
                }
                Ok(Some(Event { data: Some(bytes.into()), ..event }.encode()))
            }
            FromServer::Refused(bytes) => {
                self.tell(bytes);
                Ok(None)
            }
            FromServer::Unmatched => Ok(None),
            FromServer::Malformed => {
                let Some(own) = &self.own else { return Ok(None) };
                match self.inspector.fail_own(own, Outcome::Failed, "the upstream sent a malformed message").await {
                    Some(bytes) => Err(Event::message(&bytes).encode()),
                    None => Ok(None),
                }
            }
        }
    }

    fn changes(&self) -> Option<Changes> {
        let Visit { inner, agent, .. } = self.visit;
        let subscription = self.own.as_ref().map(|own| own.id.clone());
        self.tells_changes.then(|| Changes::new(&inner.gate, agent, inner.policy.subscribe(), subscription))
    }

    /// Fetches the list of tools that an upstream says has changed: policy sees what changed before the client is told,
    /// and also if the client does not ask.
    async fn look_again(&self) {
        let pages = async {
            let mut cursor = None;
            for _ in 0..changes::PAGES {
                cursor = self.page(cursor.as_deref()).await;
                if cursor.is_none() {
                    return;
                }
            }
        };
        let look = async {
            if tokio::time::timeout(changes::LOOK_WAIT, pages).await.is_err() {
                tracing::warn!(upstream = %self.visit.upstream.name, "a list of tools that has changed could not be fetched in time");
            }
        };
        self.inspector.look(tokio::time::Instant::now(), look).await;
    }

    /// Has one page of the list of tools judged. The cursor of the next one.
    async fn page(&self, cursor: Option<&str>) -> Option<String> {
        let frame = Frame::parse(changes::list_request(self.meta.as_deref(), cursor)).ok()?;
        let FromClient::Forward { bytes, .. } = self.inspector.client_sent(&frame).await else { return None };
        let own = self.inspector.ours(frame.request_id()?);
        let look = changes::Look { inspector: Arc::clone(&self.inspector), own };
        self.fetch(bytes, &look.own).await
    }

    /// The cursor in the upstream's answer, whatever policy makes of the page.
    async fn fetch(&self, message: Bytes, own: &Ticket) -> Option<String> {
        let Inner { client, limits, .. } = &*self.visit.inner;
        let mut headers = self.upstream.clone();
        if self.meta.is_some() {
            stateless::rename(&mut headers, "tools/list");
        }
        let response = client.send(self.target, Method::POST, headers, Some(message)).await.ok()?;
        let kind = kind(response.headers());
        if !response.status().is_success() || kind == Kind::Other {
            return None;
        }
        let mut body = response.into_body();
        if kind == Kind::Json {
            let bytes = client.whole(body, limits.message).await.ok()?;
            let next = changes::next_cursor(&bytes);
            return match self.inspector.server_sent(bytes, Some(own)).await {
                FromServer::Answer { .. } => next,
                _ => None,
            };
        }
        let (mut parser, mut items) = (Parser::new(limits.message), Vec::new());
        while let Some(chunk) = client.chunk(&mut body, Some(client.patience())).await.ok()? {
            parser.push(&chunk, &mut items).ok()?;
            for item in items.drain(..) {
                let Item::Event(Event { data: Some(data), .. }) = item else { continue };
                let next = changes::next_cursor(&data);
                if let FromServer::Answer { .. } = self.inspector.server_sent(data, Some(own)).await {
                    return next;
                }
            }
        }
        None
    }

    /// Answers a request of the upstream in the client's place. Whether it takes the answer changes nothing here.
    fn tell(&self, bytes: Bytes) {
        let (client, target, headers) = (self.visit.inner.client.clone(), self.target.clone(), self.upstream.clone());
        let wait = self.visit.inner.limits.connect_wait;
        let Ok(permit) = Arc::clone(&self.tells).try_acquire_owned() else { return };
        // The exchange's own place, which it may outlive.
        let place = Arc::clone(&self.visit.place);
        tokio::spawn(async move {
            let _held = (permit, place);
            let told = tokio::time::timeout(wait, client.send(&target, Method::POST, headers, Some(bytes))).await;
            if !told.is_ok_and(|told| told.is_ok()) {
                tracing::debug!("an upstream did not take the refusal of its request");
            }
        });
    }

    /// An error in place of the answer that will not come.
    async fn last_words(&self, client: &Client, text: &'static str) {
        let Some(own) = &self.own else { return };
        if let Some(bytes) = self.inspector.fail_own(own, Outcome::Uncertain, text).await {
            client.send(Event::message(&bytes).encode()).await;
        }
    }
}

async fn next_change(changes: &mut Option<Changes>) -> Bytes {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// How a stream ended.
enum End {
    Clean,
    Broken(&'static str),
    ClientGone,
    /// The session, or the door, was closed.
    Stopped,
}

fn mark(mut reply: crate::http::Reply, opened: Option<&InUse>) -> crate::http::Reply {
    if let Some(value) = opened.and_then(|in_use| HeaderValue::from_str(&in_use.0.id).ok()) {
        reply.headers_mut().insert(SESSION, value);
    }
    reply
}

fn text_of(error: BodyError) -> &'static str {
    match error {
        BodyError::Broken => "the upstream's answer broke off",
        BodyError::TooSlow => "the upstream's answer stalled",
        BodyError::TooLarge => answers::TOO_LARGE,
    }
}
