//! The rows of the proxy path: client, Portcullis, upstream, all on the same cores; beside each the same without
//! Portcullis ("direct").

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use test_suite::{Server, Setup, binary};

use crate::figures::{Figure, quantile};
use crate::load::{Run, closed_loop, head, header, open_loop};
use crate::server::{FOUR, arguments, resident};
use crate::stream::streams;
use crate::upstream::{PLAIN, SESSIONS, Upstream};
use crate::{Arguments, Row, progress};

/// Connections of the loops.
const CONNECTIONS: usize = 64;
/// Calls per second of the open loops: the next one only if the one before could not be kept.
const RATES: [u32; 3] = [2000, 1000, 500];
/// Share of a rate that has to come back for it to be kept.
const KEPT: f64 = 0.98;
/// Streams at once.
const STREAMS: usize = 16;
/// Idle sessions, and how many of them an agent may have.
const IDLE: usize = 1000;
const IDLE_PER_AGENT: usize = 200;
/// A policy without plugins: what is left is the proxy, the ledger and the disk.
const BARE: &str = "name = \"bare\"\n";
/// The upstream without sessions, through Portcullis.
const THROUGH: &str = "/mcp/plain";
/// Until a server's memory is what it is.
const SETTLE: Duration = Duration::from_millis(500);
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A policy to measure with.
struct Policy {
    pack: &'static str,
    what: &'static str,
    /// Bars of the closed loop and of the first open loop.
    closed: &'static str,
    added: &'static str,
}

const POLICIES: [Policy; 3] = [
    Policy {
        pack: "packs/four",
        what: "4 plugins",
        closed: "8,000 /s / 14,000 /s",
        added: "0.40 and 2 ms / 0.20 and 1 ms",
    },
    Policy { pack: "baseline", what: "baseline policy", closed: "", added: "" },
    Policy { pack: "packs/bare", what: "no plugins", closed: "", added: "" },
];

/// Which events a stream is made of.
#[derive(Clone, Copy)]
enum Events {
    /// Progress in numbers: nothing to judge.
    Progress,
    /// Log messages of about 1 KiB, each judged.
    Words,
}

/// A server in front of the upstream, with credentials for agents.
struct Bench<'a> {
    server: Server,
    upstream: &'a Upstream,
    /// A header for each agent.
    credentials: Vec<String>,
}

pub(crate) fn rows(settings: &Arguments) -> Result<Vec<Row>> {
    let upstream = Upstream::start()?;
    let mut rows = Vec::new();
    for policy in &POLICIES {
        progress(&format!("proxy path, {}", policy.what));
        let bench = Bench::start(policy, &upstream, 1)?;
        bench.check()?;
        rows.push(bench.closed(settings, policy)?);
        rows.extend(bench.open(settings, policy)?);
        rows.extend(bench.streamed(settings, policy)?);
    }
    progress("memory per idle session");
    rows.push(idle(settings.runs.min(3), &upstream)?);
    Ok(rows)
}

impl<'a> Bench<'a> {
    fn start(policy: &Policy, upstream: &'a Upstream, agents: usize) -> Result<Self> {
        let mut config = format!("[[tenant]]\nname = \"default\"\npolicy = \"{}\"\n", policy.pack);
        let mut credentials = Vec::new();
        for number in 0..agents {
            let (token, digest) = token()?;
            credentials.push(format!("authorization: Bearer {token}\r\n"));
            writeln!(config, "[[tenant.agent]]\nname = \"a{number}\"\ntoken_sha256 = [\"{digest}\"]")?;
        }
        // Whether an upstream uses sessions is remembered for each.
        for (name, path) in [("plain", PLAIN), ("sessions", SESSIONS)] {
            writeln!(config, "[[upstream]]\nname = \"{name}\"\nurl = \"http://{}{path}\"", upstream.address)?;
        }
        let files = [("bare", BARE), ("four", FOUR)]
            .map(|(name, pack)| (format!("packs/{name}/pack.toml"), pack.as_bytes().to_vec()))
            .to_vec();
        let server = Server::start(&Setup { config: Some(config), files, ..Setup::default() })?;
        Ok(Self { server, upstream, credentials })
    }

    fn address(&self) -> Result<&str> {
        self.server.url.strip_prefix("http://").context("a plain address")
    }

    fn credential(&self, agent: usize) -> Result<&str> {
        Ok(self.credentials.get(agent).context("there is no such agent")?)
    }

    /// The measured call, the same with and without Portcullis.
    fn call(&self, path: &str) -> Result<Vec<u8>> {
        let arguments = arguments();
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"write_file","arguments":{arguments}}}}}"#
        );
        Ok(post(path, self.credential(0)?, &body))
    }

    /// A call that is answered with events for a while.
    fn call_for(&self, events: Events, seconds: u64, path: &str) -> Result<Vec<u8>> {
        let (words, milliseconds) = (matches!(events, Events::Words), seconds * 1000);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"watch","arguments":{{"milliseconds":{milliseconds},"words":{words}}},"_meta":{{"progressToken":1}}}}}}"#
        );
        Ok(post(path, self.credential(0)?, &body))
    }

    /// The measured call is answered by the upstream, and the same through Portcullis as without.
    fn check(&self) -> Result<()> {
        let direct = once(&self.upstream.address, &self.call(PLAIN)?)?;
        let through = once(self.address()?, &self.call(THROUGH)?)?;
        ensure!(direct == through, "the measured call is changed: {direct} became {through}");
        ensure!(through.contains("quarterly report") && through.contains("\"isError\":false"), "{through}");
        Ok(())
    }

    fn closed(&self, settings: &Arguments, policy: &Policy) -> Result<Row> {
        let length = Duration::from_secs(settings.seconds);
        let (address, request) = (self.address()?, self.call(THROUGH)?);
        closed_loop(address, &request, CONNECTIONS, Duration::from_secs(1))?;
        let mut figures: [Figure; 5] = Default::default();
        for _ in 0..settings.runs {
            let direct = closed_loop(&self.upstream.address, &self.call(PLAIN)?, CONNECTIONS, length)?;
            let through = closed_loop(address, &request, CONNECTIONS, length)?;
            let two = |run: &Run| [quantile(&run.latencies, 0.5), quantile(&run.latencies, 0.99)];
            let [p50, p99] = two(&through);
            for (figure, value) in figures.iter_mut().zip([through.rate, p50, p99, direct.rate, two(&direct)[0]]) {
                figure.push(value);
            }
        }
        let [rate, p50, p99, direct, direct_p50] = figures;
        let what = format!(
            "proxy path, {}, closed loop, {CONNECTIONS} connections, client and upstream on the same cores",
            policy.what
        );
        let figure =
            format!("{rate} calls/s; p50 {p50} ms, p99 {p99} ms; direct {direct} calls/s, p50 {direct_p50} ms");
        Ok(Row::new(what, figure, policy.closed))
    }

    /// The highest rate, and lower ones until one is kept.
    fn open(&self, settings: &Arguments, policy: &Policy) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for rate in RATES {
            let (row, kept) = self.open_at(rate, settings, policy)?;
            rows.push(row);
            if kept {
                break;
            }
        }
        Ok(rows)
    }

    fn open_at(&self, rate: u32, settings: &Arguments, policy: &Policy) -> Result<(Row, bool)> {
        let length = Duration::from_secs(settings.seconds);
        let (address, request) = (self.address()?, self.call(THROUGH)?);
        open_loop(address, &request, CONNECTIONS, rate, Duration::from_secs(1))?;
        let mut figures: [Figure; 6] = Default::default();
        let mut back = Figure::default();
        for _ in 0..settings.runs {
            let sync = sync_time(self.server.folder())?;
            let direct = open_loop(&self.upstream.address, &self.call(PLAIN)?, CONNECTIONS, rate, length)?;
            let through = open_loop(address, &request, CONNECTIONS, rate, length)?;
            let at = |share| (quantile(&through.latencies, share), quantile(&direct.latencies, share));
            let (p50, p99) = (at(0.5), at(0.99));
            back.push(through.rate);
            for (figure, value) in
                figures.iter_mut().zip([p50.0 - p50.1, p99.0 - p99.1, p50.1, p99.1, sync, direct.rate])
            {
                figure.push(value);
            }
        }
        let [p50, p99, direct50, direct99, sync, direct_rate] = figures;
        let kept = back.median() >= f64::from(rate) * KEPT;
        let mut figure = format!(
            "added p50 {p50} ms, p99 {p99} ms; direct p50 {direct50} ms, p99 {direct99} ms; `fdatasync` {sync} us"
        );
        if !kept {
            write!(figure, "; **not kept**: {back} calls/s came back, direct {direct_rate}")?;
        }
        let rate_text = Figure::from(vec![f64::from(rate)]);
        let what = format!("proxy path, {}, open loop, {} calls/s from their due times", policy.what, rate_text.one());
        Ok((Row::new(what, figure, if rate == RATES[0] { policy.added } else { "" }), kept))
    }

    fn streamed(&self, settings: &Arguments, policy: &Policy) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (events, kind) in
            [(Events::Progress, "progress events"), (Events::Words, "log messages of 1 KiB, each judged")]
        {
            for parallel in [1, STREAMS] {
                let requests =
                    |path| Ok::<_, anyhow::Error>(vec![self.call_for(events, settings.seconds, path)?; parallel]);
                let mut figures: [Figure; 4] = Default::default();
                for _ in 0..settings.runs {
                    let direct = streams(&self.upstream.address, &requests(PLAIN)?)?;
                    let through = streams(self.address()?, &requests(THROUGH)?)?;
                    let values = [through.events, through.bytes / 1e6, direct.events, direct.bytes / 1e6];
                    figures.iter_mut().zip(values).for_each(|(figure, value)| figure.push(value));
                }
                let [rate, bytes, direct, direct_bytes] = figures;
                let what = format!("event stream, {}, {kind}, {parallel} call(s) at once", policy.what);
                let figure = format!("{rate} events/s, {bytes} MB/s; direct {direct} events/s, {direct_bytes} MB/s");
                rows.push(Row::new(what, figure, ""));
            }
        }
        Ok(rows)
    }
}

/// Memory that open sessions hold, each with its stream from the upstream and nothing to say.
fn idle(runs: usize, upstream: &Upstream) -> Result<Row> {
    let mut figure = Figure::default();
    for _ in 0..runs {
        let bench = Bench::start(&POLICIES[0], upstream, IDLE.div_ceil(IDLE_PER_AGENT))?;
        // What the first sessions load stays for all.
        let mut open = sessions(&bench, 0..IDLE_PER_AGENT / 10)?;
        std::thread::sleep(SETTLE);
        let (before, first) = (resident(bench.server.pid())?, open.len());
        open.extend(sessions(&bench, first..IDLE)?);
        std::thread::sleep(SETTLE);
        let after = resident(bench.server.pid())?;
        #[allow(clippy::cast_precision_loss, reason = "a small count")]
        let count = (open.len() - first) as f64;
        figure.push((after - before) * 1024.0 / count);
    }
    let what = format!("resident memory per idle MCP session with an open stream, {IDLE} sessions");
    Ok(Row::new(what, format!("{figure} KiB"), ""))
}

/// Opens sessions with their streams. They last as long as the connections.
fn sessions(bench: &Bench<'_>, numbers: std::ops::Range<usize>) -> Result<Vec<TcpStream>> {
    let address = bench.address()?;
    let path = "/mcp/sessions";
    numbers
        .map(|number| {
            let mut headers = bench.credential(number / IDLE_PER_AGENT)?.to_owned();
            let mut stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            let head = exchange(&mut stream, &post(path, &headers, INITIALIZE), false)?;
            let session = header(&head, "mcp-session-id").context("no session was opened")?;
            write!(headers, "mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n")?;
            exchange(&mut stream, &post(path, &headers, INITIALIZED), false)?;
            let get = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n{headers}\r\n");
            let head = exchange(&mut stream, get.as_bytes(), true)?;
            ensure!(head.contains("text/event-stream"), "no stream: {head}");
            Ok(stream)
        })
        .collect()
}

/// One exchange on a connection; the whole answer, or its head where the body has no end.
fn exchange(stream: &mut TcpStream, request: &[u8], endless: bool) -> Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the server closed the connection");
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let Some(head) = head(&answer)? else { continue };
        if endless || answer.len() >= head.length + head.body {
            let text = String::from_utf8_lossy(&answer).into_owned();
            ensure!(text.starts_with("HTTP/1.1 20"), "{text}");
            return Ok(text);
        }
    }
}

/// The body of the answer to one request.
fn once(address: &str, request: &[u8]) -> Result<String> {
    let answer = exchange(&mut TcpStream::connect(address)?, request, false)?;
    Ok(answer.split_once("\r\n\r\n").context("a head and a body")?.1.to_owned())
}

fn post(path: &str, more: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json, text/event-stream\r\n{more}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A token and its digest.
pub(crate) fn token() -> Result<(String, String)> {
    let output = Command::new(binary()?).arg("token").output()?;
    let text = String::from_utf8(output.stdout)?;
    let word = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(|rest| rest.trim().to_owned());
    word("token ").zip(word("token_sha256 ")).context("`portcullis token` prints a token and its digest")
}

/// Median time of 4 KiB and `fdatasync` where the ledger is, in microseconds.
fn sync_time(folder: &Path) -> Result<f64> {
    let mut file = File::create(folder.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[7; 4096])?;
        let begin = Instant::now();
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(quantile(&times, 0.5))
}
