//! Parked calls: how long a person's decision takes on its way, and what a long list costs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_suite::{Server, Setup};

use crate::figures::{Figure, quantile};
use crate::load::head;
use crate::server::resident;
use crate::{Arguments, Row};

const AGENT: &str = "agent-token-of-the-bench";
const OPERATOR: &str = "operator-token-of-the-bench";
/// What waits when the list is measured.
const PENDING: u32 = 10_000;
/// Messages to a webhook.
const MESSAGES: u32 = 1_000;
/// Calls of one batch.
const BATCH: u32 = 100;

/// One keep-alive connection of one caller.
struct Line {
    stream: TcpStream,
    token: &'static str,
    buffer: Vec<u8>,
}

impl Line {
    fn open(server: &Server, token: &'static str) -> Result<Self> {
        let address = server.url.strip_prefix("http://").context("a plain address")?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, token, buffer: Vec::new() })
    }

    /// The answer's body and how long it took, in milliseconds.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<(Value, f64)> {
        let (token, length) = (self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: \
             application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let sent = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        self.buffer.clear();
        let mut piece = vec![0_u8; 64 * 1024];
        let (from, to) = loop {
            let count = self.stream.read(&mut piece)?;
            ensure!(count > 0, "the server closed the connection");
            self.buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
            match head(&self.buffer)? {
                Some(head) if self.buffer.len() >= head.length + head.body => {
                    break (head.length, head.length + head.body);
                }
                _ => {}
            }
        };
        let took = sent.elapsed().as_secs_f64() * 1e3;
        ensure!(self.buffer.starts_with(b"HTTP/1.1 200"), "not a 200: {}", String::from_utf8_lossy(&self.buffer));
        Ok((serde_json::from_slice(self.buffer.get(from..to).unwrap_or_default())?, took))
    }
}

fn configuration() -> String {
    let hash = |token: &str| portcullis_model::Digest::of(token.as_bytes());
    format!(
        "[approvals]\npending_per_tenant = 20000\npending_per_agent = 20000\nkept_per_tenant = 40000\n\n[[tenant]]\nname = \
         \"acme\"\n\n[[tenant.agent]]\nname = \"bench\"\ntoken_sha256 = [\"{}\"]\n\n[[tenant.operator]]\nname = \
         \"ana\"\ntoken_sha256 = [\"{}\"]\nroles = [\"approver\"]\n",
        hash(AGENT),
        hash(OPERATOR)
    )
}

/// The same with a router that tells a webhook at this port.
fn telling(port: u16) -> String {
    let plugins = "[[tenant.plugins]]\nname = \"rule-baseline\"\nlimits = { deadline_ms = 1000 }\n\n[tenant.router]\nname = \
                   \"router-default\"\nconfig = { channels = [\"bench\"] }\n";
    let channel = format!(
        "[[channel]]\nname = \"bench\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\nsecret_file = \
         \"hook.key\"\nnetworks = [\"127.0.0.0/8\"]\n"
    );
    format!("{}\n{plugins}\n{channel}", configuration())
}

/// Takes whatever is posted and counts it.
fn sink() -> Result<(u16, Arc<AtomicU32>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (port, taken) = (listener.local_addr()?.port(), Arc::<AtomicU32>::default());
    let count = Arc::clone(&taken);
    // Ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || drain(stream, &count));
        }
    });
    Ok((port, taken))
}

/// Answers every request on a connection.
fn drain(mut stream: TcpStream, count: &AtomicU32) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new()).ok()?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// From the first of many parked calls until the last message about them has arrived.
fn outbox(settings: &Arguments) -> Result<Row> {
    let mut rate = Figure::none();
    for _ in 0..settings.runs {
        let (port, taken) = sink()?;
        let files = vec![("hook.key".to_owned(), b"a key of the bench, 32 characters".to_vec())];
        let server = Server::start(&Setup { config: Some(telling(port)), files, ..Setup::default() })?;
        let mut agent = Line::open(&server, AGENT)?;
        let started = Instant::now();
        for batch in 0..MESSAGES / BATCH {
            let calls: Vec<_> = (0..BATCH).map(|index| wire(batch * BATCH + index)).collect();
            agent.ask("POST", "/v1/inspect/batch", &json!({ "calls": calls }).to_string())?;
        }
        while taken.load(Ordering::Relaxed) < MESSAGES {
            ensure!(started.elapsed() < Duration::from_secs(120), "only {} arrived", taken.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(1));
        }
        rate.push(f64::from(MESSAGES) / started.elapsed().as_secs_f64());
    }
    let what = "webhook outbox, 1,000 calls parked in batches of 100, until all are told";
    Ok(Row::new(what, format!("{rate} messages/s, four at a time, each durable and signed"), ""))
}

fn wire(amount: u32) -> Value {
    json!({ "tool": "wire_transfer", "arguments": { "amount": amount, "to": "DE02120300000000202051" } })
}

fn approval(answer: &Value) -> Result<String> {
    let id = answer.pointer("/approval/id").and_then(Value::as_str);
    Ok(id.with_context(|| format!("the measured call is parked: {answer}"))?.to_owned())
}

pub(crate) fn rows(settings: &Arguments) -> Result<Vec<Row>> {
    let server = Server::start(&Setup { config: Some(configuration()), ..Setup::default() })?;
    let (mut agent, mut operator) = (Line::open(&server, AGENT)?, Line::open(&server, OPERATOR)?);
    let mut amount = 0_u32;
    let mut figures = [const { Figure::none() }; 4];
    for _ in 0..settings.runs {
        let mut times: [Vec<f64>; 4] = Default::default();
        let until = Instant::now() + Duration::from_secs(settings.seconds);
        while Instant::now() < until {
            amount += 1;
            let call = wire(amount).to_string();
            let (parked, park) = agent.ask("POST", "/v1/inspect", &call)?;
            let path = format!("/v1/approvals/{}/decide", approval(&parked)?);
            let (_, decide) = operator.ask("POST", &path, r#"{"decision":"approve"}"#)?;
            let (released, release) = agent.ask("POST", "/v1/inspect", &call)?;
            ensure!(released.pointer("/approval/state").is_some_and(|state| state == "approved"), "not released");
            for (times, took) in times.iter_mut().zip([park, decide, release, park + decide + release]) {
                times.push(took);
            }
        }
        for (figure, times) in figures.iter_mut().zip(&times) {
            figure.push(quantile(times, 0.5));
        }
    }
    let [park, decide, release, all] = figures;
    let mut rows = vec![Row::new(
        "a call is parked, approved and released, one after the other, inspect API",
        format!("p50 {all} ms: park {park}, decide {decide}, release {release}"),
        "",
    )];
    let before = resident(server.pid())?;
    for _ in 0..PENDING / BATCH {
        let calls: Vec<_> = (0..BATCH).map(|index| wire(1_000_000 + amount + index)).collect();
        amount += BATCH;
        agent.ask("POST", "/v1/inspect/batch", &json!({ "calls": calls }).to_string())?;
    }
    let each = (resident(server.pid())? - before) * 1024.0 / f64::from(PENDING);
    let mut lists = Vec::new();
    for (title, query) in [("newest 100", "limit=100"), ("newest 500", "limit=500"), ("one tool's", "tool=none")] {
        let mut figure = Figure::none();
        for _ in 0..settings.runs.max(1) * 10 {
            let (list, took) = operator.ask("GET", &format!("/v1/approvals?state=pending&{query}"), "")?;
            let shown = list.get("approvals").and_then(Value::as_array).map_or(0, Vec::len);
            ensure!(shown > 0 || title == "one tool's", "the list is empty");
            figure.push(took);
        }
        lists.push(format!("{title} {figure} ms"));
    }
    rows.push(Row::new(
        "list of 10,000 parked calls",
        format!("{} (none there); {each:.1} KiB of memory each", lists.join(", ")),
        "",
    ));
    rows.push(outbox(settings)?);
    Ok(rows)
}
