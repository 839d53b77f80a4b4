use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use portcullis_model::Digest;
use portcullis_tenancy::token_digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
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
/// Connections at once of the command line's own listener, and how long each may take to send a head.
const LOCAL_CONNECTIONS: usize = 64;
const LOCAL_WAIT: Duration = Duration::from_secs(1);

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

/// Bound listeners that serve the API and its mounts.
pub struct Server {
    listeners: Vec<Listener>,
    config: ServerConfig,
    api: Arc<Api>,
}

/// One address and who is let in there.
struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// Digest of the command line's secret, where only requests that carry it are answered.
    control: Option<Digest>,
    connections: usize,
    places: Arc<Semaphore>,
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
        let listener = Listener::bind(address, None, config.connections)?;
        Ok(Self { listeners: vec![listener], config, api })
    }

    /// Only the command line's listener, as [`Server::with_local`] adds it, for a program whose agents do not come by HTTP.
    /// `drain` is how long requests in flight may take once the server drains.
    ///
    /// # Errors
    /// There is no free port, or no loopback interface.
    pub fn local(control: &str, drain: Duration, api: Arc<Api>) -> Result<Self, ServeError> {
        let listeners = vec![Listener::local(control)?];
        Ok(Self { listeners, config: ServerConfig { drain, ..ServerConfig::default() }, api })
    }

    /// Binds a further, plain listener on a free loopback port, and says where: for the command line, which needs no
    /// certificate then. It answers only requests that carry `control` in the header `x-portcullis-control`.
    ///
    /// # Errors
    /// There is no free port, or no loopback interface.
    pub fn with_local(mut self, control: &str) -> Result<(Self, SocketAddr), ServeError> {
        let local = Listener::local(control)?;
        let address = local.address;
        self.listeners.push(local);
        Ok((self, address))
    }

    /// Where it listens first: the port is the real one if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listeners.first().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |listener| listener.address)
    }

    /// Serves until `shutdown` is ready, then takes no more connections and lets requests in flight finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { listeners, config, api } = self;
        let (closing, closed) = watch::channel(false);
        let connections = Connections { config: config.clone(), api: Arc::clone(&api), closed };
        tokio::select! {
            () = shutdown => {}
            _ = join_all(listeners.iter().map(|listener| listener.serve(&connections))) => {}
        }
        let places: Vec<_> = listeners.into_iter().map(|listener| (listener.places, listener.connections)).collect();
        // Connections look at it after they have been polled; the API ends its own streams.
        let _all_gone = closing.send(true);
        api.close();
        let until = Instant::now() + config.drain;
        // Not cut off: what a mount ends, it also records, and it keeps to the time by itself.
        api.drain_mounts(config.drain).await;
        let free = places.iter().map(|(places, of)| places.acquire_many(u32::try_from(*of).unwrap_or(u32::MAX)));
        match tokio::time::timeout_at(until + LAST_ANSWERS, join_all(free)).await {
            Ok(_) => Drained::Complete,
            Err(_) => {
                Drained::Cut(places.iter().map(|(places, of)| of.saturating_sub(places.available_permits())).sum())
            }
        }
    }
}

impl Listener {
    fn bind(address: SocketAddr, control: Option<Digest>, connections: usize) -> Result<Self, ServeError> {
        let bound = std::net::TcpListener::bind(address).and_then(|socket| {
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            Ok((TcpListener::from_std(socket)?, address))
        });
        let (socket, address) = bound.map_err(|source| ServeError::Bind { address, source })?;
        Ok(Self { socket, address, control, connections, places: Arc::new(Semaphore::new(connections)) })
    }

    fn local(control: &str) -> Result<Self, ServeError> {
        let listener = Self::bind((Ipv4Addr::LOCALHOST, 0).into(), Some(token_digest(control)), LOCAL_CONNECTIONS)?;
        let address = listener.address;
        // Where the loopback interface is down, an address can be bound all the same.
        std::net::TcpStream::connect_timeout(&address, LOCAL_WAIT)
            .map_err(|source| ServeError::Bind { address, source })?;
        Ok(listener)
    }

    /// Takes connections for as long as it is polled.
    async fn serve(&self, connections: &Connections) {
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    // Answers are written in one piece: waiting for more would only delay them.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY could not be set");
                    }
                    connections.start(Peer::new(address, stream, self.control), place);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

struct Connections {
    config: ServerConfig,
    api: Arc<Api>,
    closed: watch::Receiver<bool>,
}

impl Connections {
    /// The command line is plain, and quick: others who connect there do not keep its places for long.
    fn start(&self, peer: Peer, place: OwnedSemaphorePermit) {
        let mut config = self.config.clone();
        let local = peer.control().is_some();
        let tls = config.tls.take().filter(|_| !local);
        if local {
            config.read_timeout = LOCAL_WAIT;
        }
        let connection = Connection { api: Arc::clone(&self.api), config, closed: self.closed.clone() };
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
