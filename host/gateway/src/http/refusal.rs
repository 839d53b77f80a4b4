use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use portcullis_model::Mode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uuid::Uuid;

use super::{ApiError, ID, MODE};

/// A bare refusal is at most this long.
const MAX_BARE: usize = 200;

/// A stream of HTTP/1.1 that says what is wrong with a head that hyper does not take: hyper itself would answer with a
/// bare status line.
pub(super) struct Explaining<S> {
    stream: S,
    instead: Option<Instead>,
}

/// What is written in place of hyper's own refusal.
struct Instead {
    bytes: Vec<u8>,
    written: usize,
    /// Length of what it replaces.
    length: usize,
}

impl<S: AsyncWrite + Unpin> Explaining<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, instead: None }
    }

    /// Writes a refusal in our form instead of `bytes`; `None` if they are no bare refusal.
    fn write_instead(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        let mut instead = self.instead.take().or_else(|| Instead::of(bytes))?;
        while let Some(rest) = instead.bytes.get(instead.written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(context, rest) {
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

impl<S: AsyncRead + Unpin> AsyncRead for Explaining<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explaining<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let instead = this.write_instead(context, bytes);
        instead.unwrap_or_else(|| Pin::new(&mut this.stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let instead = match slices {
            [only] => this.write_instead(context, only),
            _ => None,
        };
        instead.unwrap_or_else(|| Pin::new(&mut this.stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
