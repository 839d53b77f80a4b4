//! What a member says, in the words of the federation: its questions under ids of ours, its URIs wrapped.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame as BodyFrame};
use portcullis_model::{Edit, Kind, Value};

use super::super::answers;
use super::super::envelope::{BUSY, Frame, Id, Shape};
use super::super::sse::{COMMENT, Event, Item, Parser};
use super::super::{Inner, front};
use super::names;
use super::session::{Flight, InUse, Joined, Question};
use crate::http::{Body, Plain, Reply, StreamBody};
use crate::upstream::Upstream;

/// Translates the messages of one member.
pub(super) struct Translator {
    pub(super) inner: Arc<Inner>,
    pub(super) upstream: Arc<Upstream>,
    /// None in the era without sessions, in which members ask nothing.
    pub(super) session: Option<Asking>,
    /// Whether the client can take the stream up again: its events keep their ids, marked as this member's.
    pub(super) resumable: bool,
}

/// The session in which a member may ask the client.
pub(super) struct Asking {
    pub(super) in_use: InUse,
    pub(super) index: usize,
    pub(super) joined: Arc<Joined>,
}

impl Translator {
    /// A message as the client gets it; none if it is not for the client.
    pub(super) fn message(&self, data: Vec<u8>) -> Option<Bytes> {
        let Ok(frame) = Frame::parse(data) else {
            self.inner.counters.malformed.inc();
            return None;
        };
        let raw = || Some(Bytes::copy_from_slice(frame.raw().as_bytes()));
        match frame.shape() {
            Shape::Response { id, failed } => {
                if let (Some(asking), Some(id)) = (&self.session, id) {
                    asking.in_use.0.finished(asking.index, id, !failed);
                }
                self.with_wrapped(&frame, uris(&frame))
            }
            Shape::Request { id, .. } => self.question(&frame, id),
            Shape::Notification { method } => match &**method {
                "notifications/resources/updated" => {
                    let uri = frame.params().and_then(|params| params.get("uri"));
                    self.with_wrapped(&frame, uri.into_iter().collect())
                }
                "notifications/cancelled" => {
                    let target = frame.params().and_then(|params| params.get("requestId"));
                    let asking = self.session.as_ref()?;
                    let ours = asking.in_use.0.taken_back(asking.index, &frame.cancelled()?)?;
                    Some(frame.edited(&[Edit { target: target?, value: ours }]).into())
                }
                _ => raw(),
            },
        }
    }

    /// An event as the client gets it; none if nothing of it is for the client.
    fn event(&self, event: Event) -> Option<Bytes> {
        let id = event.id.filter(|_| self.resumable).map(|id| format!("{}:{id}", self.upstream.name));
        let retry = event.retry.filter(|_| self.resumable);
        let data = match event.data {
            Some(data) if !data.is_empty() => Some(self.message(data)?.into()),
            none => none.filter(|_| id.is_some()),
        };
        let bare = id.is_none() && retry.is_none() && data.is_none();
        (!bare).then(|| Event { id, retry, data, kind: event.kind }.encode())
    }

    fn with_wrapped(&self, frame: &Frame, uris: Vec<Value<'_>>) -> Option<Bytes> {
        let edit = |target: Value<'_>| Some(names::wrapped(&self.upstream, target.as_str()?));
        let edits: Vec<Edit<'_>> =
            uris.into_iter().filter_map(|target| Some(Edit { value: edit(target)?, target })).collect();
        if edits.is_empty() {
            return Some(Bytes::copy_from_slice(frame.raw().as_bytes()));
        }
        Some(frame.edited(&edits).into())
    }

    /// A question gets an id of ours, and so does the progress about it: another member may use the same ones.
    fn question(&self, frame: &Frame, id: &Id) -> Option<Bytes> {
        let asking = self.session.as_ref()?;
        let Asking { in_use, index, joined } = asking;
        let token = frame.params().and_then(|params| params.get("_meta")?.get("progressToken"));
        let question =
            Question { index: *index, joined: Arc::clone(joined), id: id.clone(), token: token.and_then(Id::read) };
        let Some(ours) = in_use.0.ask(question) else {
            self.refuse(asking, id);
            return None;
        };
        let target = frame.root().get("id")?;
        let mut edits = vec![Edit { target, value: ours.clone() }];
        edits.extend(token.map(|target| Edit { target, value: ours }));
        Some(frame.edited(&edits).into())
    }

    /// Tells the member that the client has too many questions to answer already.
    fn refuse(&self, asking: &Asking, id: &Id) {
        self.inner.counters.undelivered.inc();
        let text = "too many questions of the upstreams are open";
        let Ok(frame) = Frame::parse(&*answers::error(Some(id), BUSY, text, None)) else { return };
        let (inner, agent) = (Arc::clone(&self.inner), asking.in_use.0.agent.clone());
        let (upstream, joined) = (Arc::clone(&self.upstream), Arc::clone(&asking.joined));
        tokio::spawn(async move {
            let headers = super::session_headers(&Default::default(), &joined);
            if let Ok(visit) = front::Visit::new(&inner, &agent, &upstream) {
                let _told = visit.exchange(headers, frame, None).await;
            }
        });
    }
}

/// Where the answer to `tools/call`, `prompts/get` or `resources/read` names resources of the member.
fn uris<'f>(frame: &'f Frame) -> Vec<Value<'f>> {
    let Shape::Response { failed: false, .. } = frame.shape() else { return Vec::new() };
    let Some(result) = frame.body() else { return Vec::new() };
    let mut found = Vec::new();
    let items = |name| result.get(name).into_iter().flat_map(Value::items);
    found.extend(items("contents").filter_map(|contents| contents.get("uri")));
    let messages = items("messages").filter_map(|message| message.get("content"));
    let blocks = items("content").chain(messages.flat_map(|content| match content.kind() {
        Kind::Array => content.items().collect(),
        _ => vec![content],
    }));
    for block in blocks {
        let named = match block.get("type").and_then(Value::as_str) {
            Some("resource_link") => block.get("uri"),
            Some("resource") => block.get("resource").and_then(|resource| resource.get("uri")),
            _ => None,
        };
        found.extend(named);
    }
    found.retain(|uri| uri.kind() == Kind::String);
    found
}

/// The answer of one member to a request of the client, translated while it passes.
pub(super) fn translated(reply: Reply, translator: Translator, flight: Option<Flight>) -> Reply {
    let (mut head, body) = reply.into_parts();
    // Ids of sessions with members stay here.
    head.headers.remove(front::SESSION);
    let body = match body.plain() {
        Plain::Whole(bytes) if bytes.is_empty() => Body::empty(),
        Plain::Whole(bytes) => translator.message(bytes.into()).map_or_else(Body::empty, Body::Whole),
        Plain::Stream(stream) => {
            let parser = Parser::new(translator.inner.limits.message.saturating_mul(2));
            let (ready, items) = (VecDeque::new(), Vec::new());
            Body::Stream(StreamBody::new(Passing { stream, parser, items, ready, translator, flight, marked: false }))
        }
    };
    Reply::from_parts(head, body)
}

/// A stream of one member, event by event: the next one is read when the client has taken the one before.
struct Passing {
    stream: StreamBody,
    parser: Parser,
    items: Vec<Item>,
    ready: VecDeque<Bytes>,
    translator: Translator,
    flight: Option<Flight>,
    /// Set by an event with an id.
    marked: bool,
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(piece) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(BodyFrame::data(piece))));
            }
            let chunk = match ready!(Pin::new(&mut this.stream).poll_frame(context)) {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            if let Err(error) = this.parser.push(&chunk, &mut this.items) {
                return Poll::Ready(Some(Err(error.into())));
            }
            for item in this.items.drain(..) {
                let piece = match item {
                    Item::Comment => Some(COMMENT),
                    Item::Event(event) => {
                        this.marked |= event.id.is_some();
                        this.translator.event(event)
                    }
                };
                this.ready.extend(piece);
            }
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take().filter(|_| self.marked && self.translator.resumable) {
            flight.keep();
        }
    }
}
