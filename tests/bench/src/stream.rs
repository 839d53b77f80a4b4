//! Reading event streams, many at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::load::head;

/// What one run of streams showed, all together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streamed {
    /// Events per second.
    pub events: f64,
    /// Bytes of their `data` per second.
    pub bytes: f64,
}

/// Sends each request on a connection of its own and reads the event streams that answer them to their ends.
///
/// # Errors
/// An answer is no event stream, or is cut off.
pub(crate) fn streams(address: &str, requests: &[Vec<u8>]) -> Result<Streamed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut all = tokio::task::JoinSet::new();
        for request in requests {
            all.spawn(stream(address.to_owned(), request.clone()));
        }
        let (mut events, mut bytes, mut longest) = (0, 0, Duration::ZERO);
        while let Some(done) = all.join_next().await {
            let (lines, length) = done??;
            events += lines.events;
            bytes += lines.bytes;
            longest = longest.max(length);
        }
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let per_second = |count: u64| count as f64 / longest.as_secs_f64();
        Ok(Streamed { events: per_second(events), bytes: per_second(bytes) })
    })
}

async fn stream(address: String, request: Vec<u8>) -> Result<(Lines, Duration)> {
    let mut stream = TcpStream::connect(&address).await.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    stream.write_all(&request).await?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let start = loop {
        if let Some(head) = head(&buffer)? {
            break head.length;
        }
        ensure!(stream.read_buf(&mut buffer).await? > 0, "the server closed the connection");
    };
    let text = String::from_utf8_lossy(buffer.get(..start).unwrap_or_default()).into_owned();
    ensure!(text.starts_with("HTTP/1.1 200") && text.contains("text/event-stream"), "no event stream: {text}");
    buffer.drain(..start);
    let (mut chunks, mut lines) = (Chunks::default(), Lines::default());
    let started = Instant::now();
    loop {
        chunks.read(&buffer, |content| lines.read(content))?;
        if chunks.ended {
            ensure!(lines.answered, "a stream ended without its answer");
            return Ok((lines, started.elapsed()));
        }
        buffer.clear();
        ensure!(stream.read_buf(&mut buffer).await? > 0, "the server closed the connection");
    }
}

/// A reader of `transfer-encoding: chunked`.
#[derive(Debug, Default)]
struct Chunks {
    /// Bytes of the chunk that are still to come, with the line end after it.
    left: usize,
    /// The line with the next chunk's size, as far as it is there.
    size: Vec<u8>,
    /// The last chunk was there.
    ended: bool,
}

impl Chunks {
    fn read(&mut self, mut bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<()> {
        while !bytes.is_empty() && !self.ended {
            if self.left > 0 {
                let (now, rest) = bytes.split_at(self.left.min(bytes.len()));
                // The last two bytes are the line end.
                content(now.get(..self.left.saturating_sub(2).min(now.len())).unwrap_or_default());
                self.left -= now.len();
                bytes = rest;
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else { break };
            bytes = rest;
            if *first != b'\n' {
                self.size.push(*first);
                continue;
            }
            let size = usize::from_str_radix(std::str::from_utf8(&self.size)?.trim(), 16).context("a chunk's size")?;
            self.size.clear();
            self.ended = size == 0;
            self.left = size + 2;
        }
        Ok(())
    }
}

/// Counts events by their `data` lines: each of ours has one.
#[derive(Debug, Default)]
struct Lines {
    events: u64,
    bytes: u64,
    /// The last line was data of a response.
    answered: bool,
    line: Vec<u8>,
}

impl Lines {
    fn read(&mut self, mut content: &[u8]) {
        while let Some(end) = content.iter().position(|byte| *byte == b'\n') {
            let (first, rest) = content.split_at(end);
            self.line.extend_from_slice(first);
            if let Some(data) = self.line.strip_prefix(b"data: ") {
                self.events += 1;
                self.bytes += u64::try_from(data.len()).unwrap_or(0);
                self.answered = data.windows(9).any(|window| window == br#""result":"#);
            }
            self.line.clear();
            content = rest.get(1..).unwrap_or_default();
        }
        self.line.extend_from_slice(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_lines_are_read_however_they_are_cut() {
        let stream = b"5\r\ndata:\r\n10\r\n x\n\nevent: a\ndat\r\n18\r\na: {\"id\":1,\"result\":{}}\n\r\n0\r\n\r\n";
        for size in 1..stream.len() {
            let (mut chunks, mut lines) = (Chunks::default(), Lines::default());
            for piece in stream.chunks(size) {
                chunks.read(piece, |content| lines.read(content)).unwrap();
            }
            assert!(chunks.ended && lines.answered, "{size}: {lines:?}");
            assert_eq!((lines.events, lines.bytes), (2, 21), "{size}");
        }
    }
}
