use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ApiError, Peer, StreamBody};
use crate::ports::Owner;

/// Room for larger bodies, all connections to one part of the server together.
pub(crate) const BODY_ROOM: usize = 256 * 1024 * 1024;
/// What part of it the bodies of one caller may take.
const SHARE: usize = 4;
/// Bytes of each body that need no room.
const FREE: usize = 64 * 1024;
/// Room is counted in pieces of this many bytes.
const STEP: usize = 64 * 1024;
/// How long a body waits for room; what it holds meanwhile, others wait for.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// How long the rest of a refused body is taken in, and how much of it where nothing was read.
const DRAIN_TIME: Duration = Duration::from_secs(2);
const DRAINED: usize = 64 * 1024;
/// Largest piece of an answer that is sent at once.
const PIECE: usize = 64 * 1024;

/// Body of a request. If the request is answered before all of it has come, the rest is taken in and forgotten, within
/// bounds: many clients do not listen while they send, and would lose the answer to a stream or connection that is reset.
pub struct RequestBody {
    body: Option<Incoming>,
    /// A body that was read before, instead.
    whole: Option<Bytes>,
    /// Bytes of the rest that are taken in.
    rest: usize,
}

impl RequestBody {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body: Some(body), whole: None, rest: DRAINED }
    }

    /// A body that was read before.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { body: None, whole: Some(bytes.into()), rest: 0 }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        match &mut this.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(this.whole.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let whole = || SizeHint::with_exact(self.whole.as_ref().map_or(0, |bytes| bytes.len() as u64));
        self.body.as_ref().map_or_else(whole, HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let body = self.body.take().filter(|body| self.rest > 0 && !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (body, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME, drain(body, self.rest)));
        }
    }
}

/// Body of an answer: whole, or produced while it is sent.
pub enum Body {
    /// Sent with its length.
    Whole(Bytes),
    /// Sent in pieces as they come.
    Stream(StreamBody),
    /// One of these, and what is given back when it has been sent.
    Holding(Box<Self>, Box<dyn Any + Send>),
}

/// A body that keeps nothing.
pub(crate) enum Plain {
    Whole(Bytes),
    Stream(StreamBody),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// The same body, which keeps `held` until it has been taken or its client is gone.
    pub(crate) fn holding(self, held: impl Any + Send) -> Self {
        Self::Holding(Box::new(self), Box::new(held))
    }

    /// The body without what it keeps.
    pub(crate) fn plain(self) -> Plain {
        match self {
            Self::Whole(bytes) => Plain::Whole(bytes),
            Self::Stream(stream) => Plain::Stream(stream),
            Self::Holding(body, _) => body.plain(),
        }
    }

    /// The same body; a streamed one breaks off when the client has gone.
    pub(crate) fn until_gone(self, peer: Peer) -> Self {
        self.until(async move {
            peer.gone().await;
            "the client went away"
        })
    }

    /// The same body; a streamed one breaks off when `over` says why.
    pub(crate) fn until(self, over: impl Future<Output = &'static str> + Send + 'static) -> Self {
        match self {
            Self::Whole(bytes) => Self::Whole(bytes),
            Self::Holding(body, held) => Self::Holding(Box::new(body.until(over)), held),
            Self::Stream(stream) => Self::Stream(StreamBody::new(Watched { stream, over: Box::pin(over) })),
        }
    }
}

/// A streamed body and what ends it early.
struct Watched {
    stream: StreamBody,
    over: Pin<Box<dyn Future<Output = &'static str> + Send>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(why) = self.over.as_mut().poll(context) {
            return Poll::Ready(Some(Err(why.into())));
        }
        Pin::new(&mut self.stream).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Whole(bytes.into())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            // In pieces: the last one is taken when the client has taken most of what was before it.
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes.split_to(bytes.len().min(PIECE)))))),
            Self::Stream(stream) => Pin::new(stream).poll_frame(context),
            Self::Holding(body, _) => Pin::new(&mut **body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.is_end_stream(),
            Self::Holding(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint(),
            Self::Holding(body, _) => body.size_hint(),
        }
    }
}

/// Room for large bodies, shared by all requests, so that many of them at once cannot use up the memory. A body takes its
/// whole room at once, when its first bytes have arrived: piece by piece, bodies that are half there would wait for each
/// other until none gets through. One caller has a share of it, so that others find room whatever it does.
pub(crate) struct BodyRoom {
    all: Arc<Semaphore>,
    share: usize,
    /// What is left of their shares to callers that have or want room.
    callers: Mutex<HashMap<Owner, Weak<Semaphore>>>,
}

/// A whole body.
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// The room it takes, given back when this goes: keep it for as long as the bytes are there.
    pub(crate) room: Room,
}

/// What one body takes of a [`BodyRoom`].
pub(crate) struct Room {
    _steps: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl BodyRoom {
    /// Room for `bytes` in all, beside the first bytes of each body, which are free.
    pub(crate) fn new(bytes: usize) -> Self {
        let steps = bytes / STEP;
        Self { all: Arc::new(Semaphore::new(steps)), share: steps / SHARE, callers: Mutex::default() }
    }

    /// Reads a whole body of at most `limit` bytes within `deadline`; its room counts as the caller's.
    ///
    /// # Errors
    /// 413 if it is, or says it is, longer; 408 if it does not come in time; 503 if there is no room for it; 400 if the
    /// connection breaks its framing.
    pub(crate) async fn read(
        &self,
        mut body: RequestBody,
        caller: &Owner,
        limit: usize,
        deadline: Duration,
    ) -> Result<Received, ApiError> {
        let read = async {
            if body.size_hint().lower() > limit as u64 {
                return Err(ApiError::too_large(limit));
            }
            self.collect(&mut body, caller, limit).await
        };
        let read = tokio::time::timeout(deadline, read).await.unwrap_or_else(|_| Err(ApiError::too_slow()));
        body.rest = match &read {
            Err(error) if error.status == StatusCode::PAYLOAD_TOO_LARGE => limit.saturating_mul(2),
            // Who was too slow was waited for.
            Err(error) if error.status == StatusCode::REQUEST_TIMEOUT => 0,
            Err(_) => DRAINED,
            Ok(_) => 0,
        };
        read
    }

    async fn collect(&self, body: &mut RequestBody, caller: &Owner, limit: usize) -> Result<Received, ApiError> {
        // What is announced is not believed beyond this: memory is given for bytes that are there.
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
        let most = body.size_hint().upper().and_then(|most| usize::try_from(most).ok()).unwrap_or(limit).min(limit);
        let mut bytes = Vec::with_capacity(announced.min(FREE));
        let mut steps = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::broken_body())?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(ApiError::too_large(limit));
            }
            if steps.is_none() && bytes.len() + data.len() > FREE {
                let wanted = most.saturating_sub(FREE).div_ceil(STEP);
                let taken = tokio::time::timeout(ROOM_WAIT, self.take(caller, wanted)).await;
                steps = Some(taken.ok().flatten().ok_or_else(no_room)?);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Received { bytes, room: Room { _steps: steps } })
    }

    /// Of the caller's own share first: nobody waits in the way of others for what is its own.
    async fn take(&self, caller: &Owner, wanted: usize) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let steps = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let own = self.share_of(caller).acquire_many_owned(steps(wanted.min(self.share))).await.ok()?;
        let all = Arc::clone(&self.all).acquire_many_owned(steps(wanted)).await.ok()?;
        Some((own, all))
    }

    fn share_of(&self, caller: &Owner) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = callers.get(caller).and_then(Weak::upgrade) {
            return share;
        }
        callers.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share));
        callers.insert(caller.clone(), Arc::downgrade(&share));
        share
    }
}

fn no_room() -> ApiError {
    ApiError { retry_after_s: Some(1), ..ApiError::unavailable("busy", "too many large requests at once") }
}

/// Takes in and forgets up to `most` bytes.
async fn drain(mut body: Incoming, most: usize) {
    let mut left = most;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
