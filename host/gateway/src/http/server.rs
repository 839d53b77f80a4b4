use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use portcullis_model::Digest;
use portcullis_tenancy::token_digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::refusal::Explaining;
use super::socket::Socket;
use super::streams::{Look, Streams, Watched};
use super::tls::{Protocol, Tls};
use super::{Peer, RequestBody};
use crate::api::Api;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 * 1024;
/// Header fields of a request.
const HEAD_FIELDS: usize = 100;
/// Pause after the system refused a connection, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections at once of the command line's own listener.
const LOCAL_CONNECTIONS: usize = 16;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 64;
/// Bytes that a client may send ahead, for one stream and for the connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that wait for the client, for one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that the client has reset and nobody has looked at yet, and streams that we reset for its errors: more than
/// that ends the connection.
const RESET_PENDING: usize = 20;
const RESET_BY_US: usize = 64;
/// How often a client shows that it is there, and how long it may take to.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WAIT: Duration = Duration::from_secs(20);

/// What the last answers get at least to be sent.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// How the server listens, and its limits.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What HTTPS is served with; plain HTTP without.
    pub tls: Option<Arc<Tls>>,
    /// Whether plain HTTP is served beyond loopback addresses, too.
    pub plain_beyond_loopback: bool,
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a client may take to send a head, and how long it may be idle between two requests.
    pub read_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long requests in flight may take once the server drains.
    pub drain: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            tls: None,
            plain_beyond_loopback: false,
            connections: 1024,
            handshake_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(15),
            drain: Duration::from_secs(20),
        }
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Plain HTTP is for loopback addresses.
    #[error(
        "{0} is not a loopback address and the listener has no TLS: tokens and calls would travel in the clear. Give it a \
         certificate under [tls], or listen on 127.0.0.1 or [::1]; behind a TLS proxy on a network of its own, set \
         server.plain_http_beyond_loopback = true"
    )]
    NotLoopback(SocketAddr),
    /// An open agent is for loopback addresses.
    #[error(
        "{0} is not a loopback address and nobody needs a credential: everybody who reaches it could call and administer. \
         Configure a [[tenant]] with agents, or listen on 127.0.0.1 or [::1]"
    )]
    Open(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight was answered.
    Complete,
    /// Time was up: so many connections were cut.
    Cut(usize),
}

/// A bound listener that serves the API and its mounts.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    local: Option<Local>,
    config: ServerConfig,
    api: Arc<Api>,
}

/// The command line's own listener: plain HTTP on a loopback port, for requests that carry its secret.
struct Local {
    listener: TcpListener,
    control: Digest,
}

impl Server {
    /// Binds an address.
    ///
    /// # Errors
    /// One beyond loopback without TLS or without credentials, or one that is taken.
    pub fn bind(address: SocketAddr, config: ServerConfig, api: Arc<Api>) -> Result<Self, ServeError> {
        if !address.ip().is_loopback() {
            if config.tls.is_none() && !config.plain_beyond_loopback {
                return Err(ServeError::NotLoopback(address));
            }
            if api.is_open() {
                return Err(ServeError::Open(address));
            }
        }
        let (listener, address) = listen(address)?;
        Ok(Self { listener, address, local: None, config, api })
    }

    /// Binds a second, plain listener on a free loopback port, and says where: for the command line, which needs no
    /// certificate then. It answers only requests that carry `control` in the header `x-portcullis-control`.
    ///
    /// # Errors
    /// There is no free port.
    pub fn with_local(self, control: &str) -> Result<(Self, SocketAddr), ServeError> {
        let (listener, address) = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let local = Local { listener, control: token_digest(control) };
        Ok((Self { local: Some(local), ..self }, address))
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then takes no more connections and lets requests in flight finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { listener, local, config, api, .. } = self;
        let places = Arc::new(Semaphore::new(config.connections));
        // Places of their own: the command line gets in however many clients there are.
        let local_places = Arc::new(Semaphore::new(LOCAL_CONNECTIONS));
        let (closing, closed) = watch::channel(false);
        let connections = Connections { config: config.clone(), api: Arc::clone(&api), closed };
        let control = local.as_ref().map(|local| local.control);
        let local = local.map(|local| local.listener);
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                (stream, address, place) = accept(Some(&listener), &places) => {
                    connections.start(Peer::new(address, stream, None), config.tls.clone(), place);
                }
                (stream, address, place) = accept(local.as_ref(), &local_places) => {
                    connections.start(Peer::new(address, stream, control), None, place);
                }
            }
        }
        drop((listener, local));
        // Connections look at it after they have been polled; the API ends its own streams.
        let _all_gone = closing.send(true);
        api.close();
        let all = u32::try_from(config.connections).unwrap_or(u32::MAX);
        let until = Instant::now() + config.drain;
        // Not cut off: what a mount ends, it also records, and it keeps to the time by itself.
        api.drain_mounts(config.drain).await;
        let ended = async {
            let _all = places.acquire_many(all).await;
            let _local = local_places.acquire_many(LOCAL_CONNECTIONS as u32).await;
        };
        match tokio::time::timeout_at(until + LAST_ANSWERS, ended).await {
            Ok(()) => Drained::Complete,
            Err(_) => {
                let cut = |places: &Semaphore, of: usize| of.saturating_sub(places.available_permits());
                Drained::Cut(cut(&places, config.connections) + cut(&local_places, LOCAL_CONNECTIONS))
            }
        }
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, address))
    });
    bound.map_err(|source| ServeError::Bind { address, source })
}

struct Connections {
    config: ServerConfig,
    api: Arc<Api>,
    closed: watch::Receiver<bool>,
}

impl Connections {
    fn start(&self, peer: Peer, tls: Option<Arc<Tls>>, place: OwnedSemaphorePermit) {
        let closed = self.closed.clone();
        let connection = Connection { api: Arc::clone(&self.api), config: self.config.clone(), closed };
        tokio::spawn(async move {
            let _place = place;
            connection.serve(peer, tls).await;
        });
    }
}

struct Connection {
    api: Arc<Api>,
    config: ServerConfig,
    closed: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(mut self, peer: Peer, tls: Option<Arc<Tls>>) {
        let _open = self.api.metrics().connected();
        let socket = Socket::new(&peer, self.config.write_timeout);
        let Some(tls) = tls else { return self.http1(peer, socket).await };
        let accepted = tokio::select! {
            accepted = tls.accept(socket, self.config.handshake_timeout) => accepted,
            _ = self.closed.wait_for(|closed| *closed) => return,
        };
        match accepted {
            Ok(accepted) => {
                let peer = peer.known_as(accepted.identity);
                match accepted.protocol {
                    Protocol::Http1 => self.http1(peer, accepted.stream).await,
                    Protocol::Http2 => self.http2(peer, accepted.stream).await,
                }
            }
            Err(failed) => {
                self.api.metrics().handshake_failed(failed.cause());
                tracing::debug!(error = %failed, "a TLS handshake failed");
            }
        }
    }

    async fn http1(mut self, peer: Peer, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let api = &self.api;
        let service = service_fn(|request: Request<Incoming>| {
            let (api, peer) = (Arc::clone(api), peer.clone());
            async move { Ok::<Response<_>, Infallible>(api.answer(request.map(RequestBody::new), peer).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.read_timeout)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEAD_FIELDS)
            // A client may close its side after its request and still gets its answer.
            .half_close(true)
            .serve_connection(TokioIo::new(Explaining::new(stream)), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            _ = self.closed.changed() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            self.ended(cause(&error), &error);
        }
    }

    /// As HTTP/1.1, a connection may be idle for `read_timeout` and leave an answer for `write_timeout`; hyper itself
    /// watches neither here.
    async fn http2(mut self, peer: Peer, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let streams = Streams::new();
        let api = &self.api;
        let service = service_fn(|request: Request<Incoming>| {
            let (api, peer, open) = (Arc::clone(api), peer.clone(), streams.open());
            async move {
                Ok::<_, Infallible>(
                    api.answer(request.map(RequestBody::new), peer).await.map(|body| Watched::new(body, open)),
                )
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(RESET_PENDING)
            .max_local_error_reset_streams(RESET_BY_US)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let (idle, patience) = (self.config.read_timeout, self.config.write_timeout);
        let look_every = (idle.min(patience) / 4).max(Duration::from_millis(10));
        let mut next_look = Instant::now() + look_every;
        let mut closing = false;
        // What a client without requests gets to say goodbye.
        let mut cut_at = None;
        let ended = loop {
            tokio::select! {
                ended = &mut connection => break ended,
                _ = self.closed.changed(), if !closing => {
                    connection.as_mut().graceful_shutdown();
                    closing = true;
                }
                () = tokio::time::sleep_until(next_look) => {
                    next_look = Instant::now() + look_every;
                    match streams.look(idle, patience) {
                        Look::Busy => cut_at = None,
                        Look::Idle => {
                            if cut_at.is_some_and(|at| Instant::now() >= at) {
                                return self.ended("timeout", &"idle");
                            }
                            cut_at.get_or_insert_with(|| Instant::now() + look_every);
                            connection.as_mut().graceful_shutdown();
                            closing = true;
                        }
                        Look::Stalled => return self.ended("timeout", &"the client takes nothing"),
                    }
                }
            }
        };
        if let Err(error) = ended {
            self.ended(cause(&error), &error);
        }
    }

    fn ended(&self, cause: &'static str, error: &dyn std::fmt::Display) {
        self.api.metrics().connection_ended(cause);
        tracing::debug!(%error, "a connection ended");
    }
}

fn cause(error: &hyper::Error) -> &'static str {
    let io = || error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    if error.is_timeout() {
        "timeout"
    } else if error.is_parse() || error.is_parse_too_large() {
        "malformed"
    } else if error.is_incomplete_message() || io() == Some(io::ErrorKind::UnexpectedEof) {
        "incomplete"
    } else if error.is_body_write_aborted() {
        "aborted"
    } else {
        "other"
    }
}

/// The next connection of a listener; never one without a listener.
async fn accept(
    listener: Option<&TcpListener>,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, address)) => {
                // Answers are written in one piece: waiting for more would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return (stream, address, place);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
