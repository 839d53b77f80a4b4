use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::Semaphore;

use super::{ApiError, Peer, StreamBody};

/// Bytes of each body that need no room.
const FREE: usize = 64 * 1024;
/// Bytes by which a body takes room.
const STEP: usize = 64 * 1024;
/// How long a body waits for room; what it holds meanwhile, others wait for.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// How long the rest of a refused body is taken in.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Body of an answer: whole, or produced while it is sent.
pub enum Body {
    /// Sent in one piece with its length.
    Whole(Bytes),
    /// Sent in pieces as they come.
    Stream(StreamBody),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// The same body; a streamed one ends when the client has gone.
    pub(crate) fn until_gone(self, peer: Peer) -> Self {
        match self {
            Self::Whole(bytes) => Self::Whole(bytes),
            Self::Stream(stream) => {
                let gone = Box::pin(async move { peer.gone().await });
                Self::Stream(StreamBody::new(Watched { stream, gone }))
            }
        }
    }
}

/// A streamed body and a look at the client that reads it.
struct Watched {
    stream: StreamBody,
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.gone.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err("the client went away".into())));
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
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

/// Room for large bodies, shared by all requests, so that many of them at once cannot use up the memory. A body takes
/// room as its bytes arrive: what is announced and not sent costs nobody anything.
pub(crate) struct BodyRoom(Semaphore);

impl BodyRoom {
    /// Room for `bytes` in all, beside the first bytes of each body, which are free.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Semaphore::new(bytes / STEP))
    }

    /// As [`read_body`], within this room.
    ///
    /// # Errors
    /// Those of [`read_body`], and 503 if there is no room in time.
    pub(crate) async fn read_body(
        &self,
        body: Incoming,
        limit: usize,
        deadline: Duration,
    ) -> Result<Vec<u8>, ApiError> {
        read(body, limit, deadline, Some(self)).await
    }
}

/// Reads a whole body of at most `limit` bytes within `deadline`.
///
/// # Errors
/// 413 if it is, or says it is, longer; 408 if it does not come in time; 400 if the connection breaks its framing.
pub async fn read_body(body: Incoming, limit: usize, deadline: Duration) -> Result<Vec<u8>, ApiError> {
    read(body, limit, deadline, None).await
}

async fn read(
    mut body: Incoming,
    limit: usize,
    deadline: Duration,
    room: Option<&BodyRoom>,
) -> Result<Vec<u8>, ApiError> {
    let read = async {
        if body.size_hint().lower() > limit as u64 {
            return Err(ApiError::too_large(limit));
        }
        collect(&mut body, limit, room).await
    };
    let read = tokio::time::timeout(deadline, read).await.unwrap_or_else(|_| Err(ApiError::too_slow()));
    if read.as_ref().is_err_and(|error| error.status == StatusCode::PAYLOAD_TOO_LARGE) {
        // Many clients do not listen while they send: closing on them would lose the answer, which is sent meanwhile.
        tokio::spawn(tokio::time::timeout(DRAIN_TIME, drain(body, limit.saturating_mul(2))));
    }
    read
}

async fn collect(body: &mut Incoming, limit: usize, room: Option<&BodyRoom>) -> Result<Vec<u8>, ApiError> {
    // What is announced is not believed beyond this: memory is given for bytes that are there.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
    let mut whole = Vec::with_capacity(announced.min(FREE));
    let mut granted = FREE;
    let mut held = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::broken_body())?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(ApiError::too_large(limit));
        }
        while let Some(BodyRoom(room)) = room.filter(|_| whole.len() + data.len() > granted) {
            let step = tokio::time::timeout(ROOM_WAIT, room.acquire()).await;
            let Ok(Ok(step)) = step else { return Err(no_room()) };
            held.push(step);
            granted += STEP;
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
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
