//! The answer to a held call over HTTP: an event stream that shows signs of life until there is an answer, and then carries
//! that.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::body::{Body as HttpBody, Frame as BodyFrame};
use tokio::sync::oneshot;
use tokio::time::Interval;

use super::answers;
use super::envelope::{Frame, Id, Shape};
use super::holding::{Parked, Progress};
use super::sse::{COMMENT, Event};
use crate::http::{Body, Plain, Reply, StreamBody};

/// Marks an answer that ends by itself when its agent is halted: the client is told before its stream ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndsItself;

/// What becomes of a body when its agent is halted.
pub(super) type Stopped = BoxFuture<'static, &'static str>;

/// The event stream of one held call. When it goes, nobody waits for the answer any more.
pub(super) struct HeldBody {
    id: Id,
    progress: Progress,
    keep_alive: Interval,
    /// Whether the client has been told that it waits.
    told: bool,
    stopped: Option<Stopped>,
    stage: Stage,
}

enum Stage {
    Waiting(oneshot::Receiver<Reply>),
    Streaming(StreamBody),
    Over,
}

impl HeldBody {
    pub(super) fn new(
        parked: Parked,
        answer: oneshot::Receiver<Reply>,
        keep_alive: Interval,
        stopped: Stopped,
    ) -> Self {
        let Parked { id, progress, .. } = parked;
        Self { id, progress, keep_alive, told: false, stopped: Some(stopped), stage: Stage::Waiting(answer) }
    }

    /// The whole answer as the last event. One that is about something else, as HTTP errors are, becomes an error.
    fn whole(&self, bytes: &[u8]) -> Bytes {
        let frame = Frame::parse(bytes).ok();
        let answers = |frame: &Frame| matches!(frame.shape(), Shape::Response { id: Some(id), .. } if *id == self.id);
        if frame.as_ref().is_some_and(answers) {
            return Event::message(bytes).encode();
        }
        let text = frame.as_ref().and_then(|frame| frame.body()?.get("message")?.as_str());
        Event::message(&answers::upstream_error(&self.id, text.unwrap_or("the exchange was lost"))).encode()
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let data = |bytes| Poll::Ready(Some(Ok(BodyFrame::data(bytes))));
        loop {
            let answer = match &mut this.stage {
                Stage::Waiting(answer) => answer,
                Stage::Streaming(stream) => return Pin::new(stream).poll_frame(context),
                Stage::Over => return Poll::Ready(None),
            };
            if let Poll::Ready(answer) = Pin::new(answer).poll(context) {
                let body = answer.map_or_else(|_| Body::empty(), Reply::into_body);
                match body.plain() {
                    Plain::Whole(bytes) => {
                        this.stage = Stage::Over;
                        return data(this.whole(&bytes));
                    }
                    Plain::Stream(stream) => {
                        let stream = match this.stopped.take() {
                            Some(stopped) => Body::Stream(stream).until(stopped),
                            None => Body::Stream(stream),
                        };
                        if let Plain::Stream(stream) = stream.plain() {
                            this.stage = Stage::Streaming(stream);
                        }
                        continue;
                    }
                }
            }
            if this.told {
                ready!(this.keep_alive.poll_tick(context));
            }
            this.told = true;
            return data(match this.progress.next() {
                Some(message) => Event::message(&message).encode(),
                None => COMMENT,
            });
        }
    }
}
