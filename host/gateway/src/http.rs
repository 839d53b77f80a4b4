//! HTTP as all doors share it: bodies in, bodies out, errors, the server, the table of routes.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::{Request, Response};

mod body;
mod error;

pub use body::{Body, read_body};
pub use error::ApiError;

/// Answer of every handler.
pub type Reply = Response<Body>;

/// A part of the server under a path of its own, such as the MCP door under `/mcp`.
///
/// The server has checked Host and Origin and the size of the head before it calls, and adds `x-portcullis-id` and
/// `x-portcullis-mode` to the answer if they are missing. Reading the body within limits is the mount's own work, see
/// [`read_body`].
pub trait Mount: Send + Sync + 'static {
    /// First segment of its paths, for instance `/mcp`: it gets that path and everything below.
    fn prefix(&self) -> &'static str;

    /// Answers one request.
    fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> BoxFuture<'_, Reply>;
}

/// A body that is produced while it is sent.
pub type StreamBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
