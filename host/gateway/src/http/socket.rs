use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How often a client with requests in its pipe is looked at: what it sent hides whether it is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    stream: Arc<TcpStream>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, stream: TcpStream) -> Self {
        Self { address, stream: Arc::new(stream) }
    }

    /// Its address.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the client has closed its side or the connection is broken.
    pub(crate) async fn gone(&self) {
        let mut byte = [0];
        while let Ok(1) = self.stream.peek(&mut byte).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
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
