//! HTTP as all doors share it: bodies in, bodies out, errors, who may address the server, the server itself.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Request, Response};
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::ports::PeerIdentity;

mod body;
mod error;
pub(crate) mod guard;
mod refusal;
mod server;
mod socket;
mod streams;
mod tls;

pub(crate) use body::{BODY_ROOM, BodyRoom, Plain, Received, Room};
pub use body::{Body, RequestBody};
pub use error::ApiError;
pub(crate) use error::WireError;
pub use server::{Drained, ServeError, Server, ServerConfig};
pub(crate) use socket::Peer;
pub use tls::{Tls, TlsError, TlsFile, TlsFiles, TlsMaterial, TlsProblem};

/// Header of every answer: the id of the call or request.
pub(crate) const ID: &str = "x-portcullis-id";
/// Header of every answer: whether verdicts take effect for this caller.
pub(crate) const MODE: &str = "x-portcullis-mode";

/// Header of requests to the command line's own listener: its secret.
pub(crate) const CONTROL: &str = "x-portcullis-control";

/// Answer of every handler.
pub type Reply = Response<Body>;

/// A body that is produced while it is sent.
pub type StreamBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Who is at the other end, as the connection itself tells.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Where it connects from.
    pub address: SocketAddr,
    /// Who it is by its client certificate.
    pub identity: Option<Arc<PeerIdentity>>,
    stream: Option<Arc<TcpStream>>,
}

impl PeerInfo {
    /// Whether it has closed its side: then nobody is likely to read what is sent now.
    pub(crate) fn has_closed(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        self.stream.as_ref().is_some_and(|stream| match SockRef::from(&**stream).peek(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        })
    }
}

impl From<SocketAddr> for PeerInfo {
    fn from(address: SocketAddr) -> Self {
        Self { address, identity: None, stream: None }
    }
}

/// A part of the server under a path of its own, such as the MCP door under `/mcp`.
///
/// The server has checked Host and Origin and the size of the head before it calls, and adds `x-portcullis-id` and
/// `x-portcullis-mode` to the answer if they are missing. Reading the body within limits is the mount's own work. If
/// the client goes away before the answer, the future is dropped; if it goes away during a streamed
/// body, that body is.
pub trait Mount: Send + Sync + 'static {
    /// First segment of its paths, for instance `/mcp`: it gets that path and everything below.
    fn prefix(&self) -> &'static str;

    /// Answers one request.
    fn handle(&self, request: Request<RequestBody>, peer: PeerInfo) -> BoxFuture<'_, Reply>;

    /// Lets what is in flight finish `within` this time, then ends what would not end by itself, such as open streams, which
    /// may take seconds more. Called when the server begins to drain.
    fn drain(&self, within: Duration) -> BoxFuture<'_, ()> {
        let _nothing_to_end = within;
        Box::pin(async {})
    }
}

/// The bearer token of a request; `None` without an `Authorization` header.
///
/// # Errors
/// 401 if there is more than one such header or it is not a bearer token.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
    match parts {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && values.next().is_none() => {
            Ok(Some(token.trim()))
        }
        _ => Err(ApiError::unauthorized()),
    }
}
