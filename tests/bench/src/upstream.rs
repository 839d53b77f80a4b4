//! A small MCP server (Streamable HTTP) that costs as little as possible: what it adds stands beside every figure as
//! "direct".
//!
//! It reads only what its own clients send: HTTP/1.1 with `content-length`, the id as a number right after `jsonrpc`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::load::{Head, head};

/// Where each call is answered on its own.
pub(crate) const PLAIN: &str = "/plain";
/// Where there are sessions.
pub(crate) const SESSIONS: &str = "/sessions";
/// The text of a log message in a stream: about 1 KiB with the rest of the event.
const WORDS: &str = "The quarterly report lists revenue by region and the notes explain each change against the plan. ";

/// A server on a thread of its own, for as long as the process lives.
pub(crate) struct Upstream {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Upstream {
    /// Starts it.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        std::thread::Builder::new().name("upstream".to_owned()).spawn(move || serve(listener))?;
        Ok(Self { address })
    }
}

fn serve(listener: std::net::TcpListener) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let sessions = Arc::new(AtomicU64::new(0));
        loop {
            let (stream, _) = listener.accept().await?;
            let sessions = Arc::clone(&sessions);
            tokio::spawn(async move {
                // A connection ends when its client closes it, in the middle of something or not.
                let _ = connection(stream, &sessions).await;
            });
        }
    })
}

async fn connection(mut stream: TcpStream, sessions: &AtomicU64) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    let mut out = Vec::with_capacity(4096);
    loop {
        let head = loop {
            if let Some(head) = head(&buffer)?
                && buffer.len() >= head.length + head.body
            {
                break head;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let Head { length, body, .. } = head;
        let start = std::str::from_utf8(buffer.get(..length).unwrap_or_default())?;
        let message = buffer.get(length..length + body).unwrap_or_default();
        out.clear();
        if start.starts_with("GET") {
            stream.write_all(EVENTS).await?;
            // Nothing is ever said on it; it ends with the client.
            let mut rest = [0; 64];
            while stream.read(&mut rest).await? > 0 {}
            return Ok(());
        } else if start.starts_with("DELETE") {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        } else if let Some(id) = number(message, br#""id":"#) {
            if find(message, br#""method":"initialize""#).is_some() {
                let session = start.contains(SESSIONS).then(|| sessions.fetch_add(1, Ordering::Relaxed));
                initialised(&mut out, id, session);
            } else if let Some(milliseconds) = number(message, br#""milliseconds":"#) {
                let words = find(message, br#""words":true"#).is_some();
                events(&mut stream, id, Duration::from_millis(milliseconds), words).await?;
            } else {
                echo(&mut out, id, message)?;
            }
        } else {
            out.extend_from_slice(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
        }
        buffer.drain(..length + body);
    }
}

const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

fn initialised(out: &mut Vec<u8>, id: u64, session: Option<u64>) {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"echo","version":"1"}}}}}}"#
    );
    let session = session.map_or_else(String::new, |session| format!("mcp-session-id: session-{session}\r\n"));
    answer(out, &session, body.as_bytes());
}

/// Says what the argument `content` says.
fn echo(out: &mut Vec<u8>, id: u64, message: &[u8]) -> Result<()> {
    let key = br#""content":""#;
    let from = find(message, key).context("the tool wants content")? + key.len();
    let rest = message.get(from..).unwrap_or_default();
    // The content has no escapes.
    let content = rest.split(|byte| *byte == b'"').next().unwrap_or_default();
    let before = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":""#);
    answer(out, "", &[before.as_bytes(), content, br#""}],"isError":false}}"#].concat());
    Ok(())
}

fn answer(out: &mut Vec<u8>, more: &str, body: &[u8]) {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n", body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

/// Event after event for a while, each in a chunk and a write of its own, then the answer.
async fn events(stream: &mut TcpStream, id: u64, length: Duration, words: bool) -> Result<()> {
    stream.write_all(EVENTS).await?;
    let until = Instant::now() + length;
    let text = WORDS.repeat(10);
    let mut count = 0_u64;
    while Instant::now() < until {
        let event = if words {
            format!(
                "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"level\":\"info\",\"data\":\"{count} {text}\"}}}}\n\n"
            )
        } else {
            format!(
                "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{id},\"progress\":{count}}}}}\n\n"
            )
        };
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
        count += 1;
        // A write that does not block gives nobody else a turn.
        tokio::task::yield_now().await;
    }
    let last = format!(
        "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[],\"isError\":false}}}}\n\n"
    );
    stream.write_all(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()).as_bytes()).await?;
    Ok(())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The number right behind a key.
fn number(bytes: &[u8], key: &[u8]) -> Option<u64> {
    let rest = bytes.get(find(bytes, key)? + key.len()..)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}
