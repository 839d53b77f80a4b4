use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Peer;
use super::socket::Socket;
use crate::api::Api;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 * 1024;
/// Header fields of a request.
const HEAD_FIELDS: usize = 100;
/// Pause after the system refused a connection, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the last answers get at least to be sent.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// Limits of the server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
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
            connections: 1024,
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
        "{0} is not a loopback address: without credentials and TLS Portcullis listens on loopback addresses only. Listen on \
         127.0.0.1 or [::1] and put a TLS proxy in front"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
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
    config: ServerConfig,
    api: Arc<Api>,
}

impl Server {
    /// Binds a loopback address.
    ///
    /// # Errors
    /// Another address, or one that is taken.
    pub fn bind(address: SocketAddr, config: ServerConfig, api: Arc<Api>) -> Result<Self, ServeError> {
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback(address));
        }
        let bound = std::net::TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((TcpListener::from_std(listener)?, address))
        });
        let (listener, address) = bound.map_err(|source| ServeError::Bind { address, source })?;
        Ok(Self { listener, address, config, api })
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then takes no more connections and lets requests in flight finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { listener, config, api, .. } = self;
        let places = Arc::new(Semaphore::new(config.connections));
        let (closing, closed) = watch::channel(false);
        let connections = Connections { config: config.clone(), api: Arc::clone(&api), closed };
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                (stream, address, place) = accept(&listener, &places) => connections.start(stream, address, place),
            }
        }
        drop(listener);
        // Connections look at it after they have been polled; the API ends its own streams.
        let _all_gone = closing.send(true);
        api.close();
        let all = u32::try_from(config.connections).unwrap_or(u32::MAX);
        let until = tokio::time::Instant::now() + config.drain;
        // Not cut off: what a mount ends, it also records, and it keeps to the time by itself.
        api.drain_mounts(config.drain).await;
        match tokio::time::timeout_at(until + LAST_ANSWERS, places.acquire_many(all)).await {
            Ok(_) => Drained::Complete,
            Err(_) => Drained::Cut(config.connections.saturating_sub(places.available_permits())),
        }
    }
}

struct Connections {
    config: ServerConfig,
    api: Arc<Api>,
    closed: watch::Receiver<bool>,
}

impl Connections {
    fn start(&self, stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        // Answers are written in one piece: waiting for more would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let peer = Peer::new(address, stream);
        let (api, closed, config) = (Arc::clone(&self.api), self.closed.clone(), self.config.clone());
        tokio::spawn(async move {
            let _place = place;
            serve(api, peer, closed, &config).await;
        });
    }
}

async fn serve(api: Arc<Api>, peer: Peer, mut closed: watch::Receiver<bool>, config: &ServerConfig) {
    let _open = api.metrics().connected();
    let socket = TokioIo::new(Socket::new(&peer, config.write_timeout));
    let service = service_fn(|request: Request<Incoming>| {
        let (api, peer) = (Arc::clone(&api), peer.clone());
        async move { Ok::<Response<_>, std::convert::Infallible>(api.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.read_timeout)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        // A client may close its side after its request and still gets its answer.
        .half_close(true)
        .serve_connection(socket, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        _ = closed.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        api.metrics().connection_ended(cause(&error));
        tracing::debug!(%error, "a connection ended");
    }
}

fn cause(error: &hyper::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_parse() || error.is_parse_too_large() {
        "malformed"
    } else if error.is_incomplete_message() {
        "incomplete"
    } else if error.is_body_write_aborted() {
        "aborted"
    } else {
        "other"
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
