//! A closed loop of keep-alive HTTP/1.1 connections: each sends its next request when the answer is there.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What one run of the loop showed.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Answers per second.
    pub rate: f64,
    /// Milliseconds of every answer.
    pub latencies: Vec<f64>,
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
        let mut run = Run::default();
        while let Some(done) = loops.join_next().await {
            run.latencies.extend(done??);
        }
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let count = run.latencies.len() as f64;
        run.rate = count / started.elapsed().as_secs_f64();
        Ok(run)
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

/// Length of head and body once both are there.
fn answer_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(bytes.get(..head).unwrap_or_default())?;
    ensure!(text.starts_with("HTTP/1.1 200"), "not a 200: {}", String::from_utf8_lossy(bytes));
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + 4 + length.context("an answer without content-length")?;
    Ok((bytes.len() >= whole).then_some(whole))
}
