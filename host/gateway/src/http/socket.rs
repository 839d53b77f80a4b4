use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use portcullis_model::Digest;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::PeerInfo;
use crate::ports::PeerIdentity;

/// How often a client with requests in its pipe is looked at: what it sent hides whether it is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a client that has closed its side may still read: one that sends, closes and then reads is a client, too,
/// and nothing tells it from one that has gone.
const HALF_CLOSED: Duration = Duration::from_secs(5);

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    stream: Arc<TcpStream>,
    identity: Option<Arc<PeerIdentity>>,
    /// Set on the command line's own listener: the digest of the secret that its requests carry.
    control: Option<Digest>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, stream: TcpStream, control: Option<Digest>) -> Self {
        Self { address, stream: Arc::new(stream), identity: None, control }
    }

    /// The same peer, known by its certificate.
    pub(super) fn known_as(self, identity: Option<PeerIdentity>) -> Self {
        Self { identity: identity.map(Arc::new), ..self }
    }

    /// Its address and identity, and whether it is still there.
    #[must_use]
    pub(crate) fn info(&self) -> PeerInfo {
        PeerInfo { address: self.address, identity: self.identity.clone(), stream: Some(Arc::clone(&self.stream)) }
    }

    /// Who it is by its certificate.
    #[must_use]
    pub(crate) fn identity(&self) -> Option<&PeerIdentity> {
        self.identity.as_deref()
    }

    /// Digest of the secret that its requests must carry, on the command line's own listener.
    #[must_use]
    pub(crate) fn control(&self) -> Option<Digest> {
        self.control
    }

    /// Waits until the connection is broken, or the client has closed its side for a while.
    pub(crate) async fn gone(&self) {
        let mut byte = [0];
        loop {
            match self.stream.peek(&mut byte).await {
                Ok(0) => break,
                // What it sent hides the end from the peek, such as TLS' own goodbye, but not from the system.
                Ok(_) => match self.stream.ready(Interest::READABLE).await {
                    Ok(ready) if ready.is_read_closed() => break,
                    Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
                    Err(_) => return,
                },
                Err(_) => return,
            }
        }
        // What is written to a closed socket comes back as a reset.
        let broken = self.stream.ready(Interest::ERROR);
        drop(tokio::time::timeout(HALF_CLOSED, broken).await);
    }
}

/// The server's end: it gives up on a client that takes nothing for a while.
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    patience: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(peer: &Peer, patience: Duration) -> Self {
        Self { stream: Arc::clone(&peer.stream), patience, stalled: None }
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        attempt: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(context)? {
                Poll::Ready(()) => match attempt(&self.stream) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => {
                        self.stalled = None;
                        return Poll::Ready(done);
                    }
                },
                Poll::Pending => {
                    let patience = self.patience;
                    let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                    ready!(stalled.as_mut().poll(context));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}
