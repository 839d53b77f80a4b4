use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::sync::watch;

use super::{Api, Context, query};
use crate::events::Reader;
use crate::http::{ApiError, Body, Peer, Reply};

/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Stream {
    reader: Reader,
    closing: watch::Receiver<bool>,
    peer: Peer,
    /// Sent first, so that the client knows it is connected.
    greeting: Option<Bytes>,
}

impl Api {
    pub(super) fn events(&self, context: &Context, query: &str, peer: Peer) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let reader = self.gate.events().subscribe(context.owner()?).ok_or_else(|| ApiError {
            retry_after_s: Some(10),
            ..ApiError::unavailable("busy", "too many readers of events")
        })?;
        let greeting = Some(Bytes::from_static(b": connected\n\n"));
        let stream = Stream { reader, closing: self.closing.subscribe(), peer, greeting };
        let frames = stream::unfold(stream, |mut stream| async move {
            let bytes = stream.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), stream))
        });
        let body = StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync();
        let mut reply = Response::new(Body::Stream(body));
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(reply)
    }
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        tokio::select! {
            event = self.reader.next() => event,
            _ = self.closing.wait_for(|closing| *closing) => None,
            () = self.peer.gone() => None,
            () = tokio::time::sleep(HEARTBEAT) => Some(Bytes::from_static(b": still here\n\n")),
        }
    }
}
