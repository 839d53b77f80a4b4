use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use portcullis_model::Mode;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use uuid::Uuid;

use super::{ApiError, ID, MODE};

/// A bare refusal is at most this long.
const MAX_BARE: usize = 200;

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

    /// Waits until the connection is broken, or the client has closed its side for a while.
    pub(crate) async fn gone(&self) {
        let mut byte = [0];
        loop {
            match self.stream.peek(&mut byte).await {
                Ok(0) => break,
                Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
                Err(_) => return,
            }
        }
        // What is written to a closed socket comes back as a reset.
        let broken = self.stream.ready(Interest::ERROR);
        drop(tokio::time::timeout(HALF_CLOSED, broken).await);
    }
}

/// The server's end: it gives up on a client that takes nothing for a while, and says what is wrong with a head that
/// hyper does not take: hyper itself would answer with a bare status line.
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    patience: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    instead: Option<Instead>,
}

/// What is written in place of hyper's own refusal.
struct Instead {
    bytes: Vec<u8>,
    written: usize,
    /// Length of what it replaces.
    length: usize,
}

impl Socket {
    pub(super) fn new(peer: &Peer, patience: Duration) -> Self {
        Self { stream: Arc::clone(&peer.stream), patience, stalled: None, instead: None }
    }

    /// Writes a refusal in our form instead of `bytes`; `None` if they are no bare refusal.
    fn write_instead(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        let mut instead = self.instead.take().or_else(|| Instead::of(bytes))?;
        while let Some(rest) = instead.bytes.get(instead.written..).filter(|rest| !rest.is_empty()) {
            match self.write(context, |stream| stream.try_write(rest)) {
                Poll::Ready(Ok(count)) => instead.written += count,
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => {
                    self.instead = Some(instead);
                    return Some(Poll::Pending);
                }
            }
        }
        Some(Poll::Ready(Ok(instead.length)))
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

impl Instead {
    /// Heads of our own answers always name their id, so one that does not is hyper's.
    fn of(bytes: &[u8]) -> Option<Self> {
        let refusal = bytes.len() <= MAX_BARE && bytes.starts_with(b"HTTP/1.1 4") && bytes.ends_with(b"\r\n\r\n");
        let text = std::str::from_utf8(bytes).ok().filter(|text| refusal && !text.contains(ID))?;
        let status_line = text.lines().next()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok())?;
        let id = Uuid::now_v7();
        let json = ApiError::bad_head(status).json(Some(id));
        let head = format!(
            "{status_line}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{ID}: {id}\r\n\
             {MODE}: {}\r\n\r\n",
            json.len(),
            Mode::default().as_str()
        );
        Some(Self { bytes: [head.as_bytes(), &json].concat(), written: 0, length: bytes.len() })
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
        let socket = self.get_mut();
        let instead = socket.write_instead(context, bytes);
        instead.unwrap_or_else(|| socket.write(context, |stream| stream.try_write(bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let instead = match slices {
            [only] => socket.write_instead(context, only),
            _ => None,
        };
        instead.unwrap_or_else(|| socket.write(context, |stream| stream.try_write_vectored(slices)))
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
