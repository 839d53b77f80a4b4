use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::{ApiError, Peer, StreamBody};

/// Most bytes reserved before a body is there.
const FIRST_BYTES: usize = 64 * 1024;

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

/// Reads a whole body of at most `limit` bytes within `deadline`.
///
/// # Errors
/// 413 if it is, or says it is, longer; 408 if it does not come in time; 400 if the connection breaks its framing.
pub async fn read_body(body: Incoming, limit: usize, deadline: Duration) -> Result<Vec<u8>, ApiError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::too_large(limit));
    }
    tokio::time::timeout(deadline, collect(body, limit)).await.unwrap_or_else(|_| Err(ApiError::too_slow()))
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, ApiError> {
    // What is announced is not believed beyond this: memory is given for bytes that are there.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
    let mut whole = Vec::with_capacity(announced.min(FIRST_BYTES));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::broken_body())?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(ApiError::too_large(limit));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}
