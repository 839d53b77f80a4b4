//! Load on keep-alive HTTP/1.1 connections: closed loops, where each connection sends its next request when the answer is
//! there, and open loops, where requests are due at their times whatever became of those before.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What one run of a loop showed.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Answers per second.
    pub rate: f64,
    /// Milliseconds of every answer.
    pub latencies: Vec<f64>,
}

impl Run {
    fn new(latencies: Vec<f64>, elapsed: Duration) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let count = latencies.len() as f64;
        Self { rate: count / elapsed.as_secs_f64(), latencies }
    }
}

/// Runs `connections` loops for `length` against `address` (`host:port`), all sending `request`.
///
/// # Errors
/// A connection breaks, or an answer's status is not 200.
pub(crate) fn closed_loop(address: &str, request: &[u8], connections: usize, length: Duration) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let mut loops = tokio::task::JoinSet::new();
        for _ in 0..connections {
            loops.spawn(connection(address.to_owned(), request.to_vec(), started + length));
        }
        let mut latencies = Vec::new();
        while let Some(done) = loops.join_next().await {
            latencies.extend(done??);
        }
        Ok(Run::new(latencies, started.elapsed()))
    })
}

async fn connection(address: String, request: Vec<u8>, until: Instant) -> Result<Vec<f64>> {
    let mut stream = TcpStream::connect(&address).await.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::with_capacity(4096);
    let mut buffer = vec![0_u8; 64 * 1024];
    while Instant::now() < until {
        let sent = Instant::now();
        stream.write_all(&request).await?;
        let mut filled = 0;
        let end = loop {
            let room = buffer.get_mut(filled..).context("an answer larger than the buffer")?;
            let count = stream.read(room).await?;
            ensure!(count > 0, "the server closed the connection");
            filled += count;
            if let Some(end) = answer_length(buffer.get(..filled).unwrap_or_default())? {
                break end;
            }
        };
        ensure!(filled == end, "more than one answer");
        latencies.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

/// Sends `rate` requests per second for `length` on up to `connections` connections. Latency counts from the time at which
/// a request was due, so that one that had to wait for a connection is not left out.
///
/// Each connection has a thread: their sleep is finer than the timers of a runtime.
///
/// # Errors
/// A connection breaks, or an answer's status is not 200.
pub(crate) fn open_loop(address: &str, request: &[u8], connections: usize, rate: u32, length: Duration) -> Result<Run> {
    let next = AtomicU64::new(0);
    let count = u64::from(rate) * length.as_secs();
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = std::net::TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let started = Instant::now() + Duration::from_millis(50);
    let due = |position: u64| started + Duration::from_secs_f64(exact(position) / f64::from(rate));
    let work = |mut stream: std::net::TcpStream| -> Result<Vec<f64>> {
        let mut latencies = Vec::new();
        let mut buffer = vec![0_u8; 64 * 1024];
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            if position >= count {
                return Ok(latencies);
            }
            std::thread::sleep(due(position).saturating_duration_since(Instant::now()));
            stream.write_all(request)?;
            let mut filled = 0;
            loop {
                let room = buffer.get_mut(filled..).context("an answer larger than the buffer")?;
                let more = stream.read(room)?;
                ensure!(more > 0, "the server closed the connection");
                filled += more;
                if answer_length(buffer.get(..filled).unwrap_or_default())?.is_some() {
                    break;
                }
            }
            latencies.push(due(position).elapsed().as_secs_f64() * 1e3);
        }
    };
    let latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = streams.into_iter().map(|stream| scope.spawn(|| work(stream))).collect();
        let mut all = Vec::new();
        for thread in threads {
            let done = thread.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))?;
            all.extend(done?);
        }
        anyhow::Ok(all)
    })?;
    Ok(Run::new(latencies, started.elapsed()))
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn exact(count: u64) -> f64 {
    count as f64
}

/// The head of a request or an answer.
#[derive(Debug)]
pub(crate) struct Head {
    /// Bytes of the head, the empty line included.
    pub length: usize,
    /// Bytes of the body by `content-length`; 0 without one.
    pub body: usize,
    /// Whether there is a `content-length`.
    pub sized: bool,
}

/// The head, once it is there.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
    let body = header(text, "content-length").and_then(|value| value.parse().ok());
    Ok(Some(Head { length: end + 4, body: body.unwrap_or(0), sized: body.is_some() }))
}

/// A header's value.
pub(crate) fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// Length of head and body once both are there.
fn answer_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = head(bytes)? else { return Ok(None) };
    ensure!(bytes.starts_with(b"HTTP/1.1 200"), "not a 200: {}", String::from_utf8_lossy(bytes));
    ensure!(head.sized, "an answer without content-length");
    let whole = head.length + head.body;
    Ok((bytes.len() >= whole).then_some(whole))
}
