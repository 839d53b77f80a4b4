//! Doubles behind the gate, a scripted upstream on a real socket, and a small client.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_approvals::{Approval, Approvals, Ballot, State, Voter};
use portcullis_ledger::{Attachment, Kept, Record, Report, StoredEntry};
use portcullis_model::{
    Approver, Call, Decision, Digest, Draft, EntryKind, Judgement, Mode, Outcome, Phase, Plan, Reason, Replacement,
    Span,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::doors::mcp::sse::{Event, Item, Parser};
use crate::doors::mcp::{Asking, HoldLimits, McpDoor, McpLimits};
use crate::events::Events;
use crate::gate::{Gate, Heavy, Ports, now_ms};
use crate::http::{Mount as _, RequestBody};
use crate::metrics::{Metrics, Snapshot};
use crate::ports::*;
use crate::upstream::{Upstream, Upstreams};

/// Finds its words in the payload: `DENY` denies, `REVIEW` asks a person, within a second if it says `SOON`, `SECRET` is
/// redacted in every string. `TURNS` is a review until [`TURNED`].
pub(crate) struct WordJudge;

/// Whether what says `TURNS` is denied by now.
pub(crate) static TURNED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

impl Judge for WordJudge {
    fn judge(&self, call: &Call) -> Option<Judgement> {
        let raw = call.payload.raw();
        let turned = TURNED.load(std::sync::atomic::Ordering::SeqCst);
        let decision = if raw.contains("DENY") || (raw.contains("TURNS") && turned) {
            Decision::Deny
        } else if raw.contains("REVIEW") || raw.contains("TURNS") {
            Decision::Review
        } else if raw.contains("SECRET") {
            Decision::Redact
        } else {
            Decision::Allow
        };
        let mut replacements = Vec::new();
        for text in call.payload.texts().iter() {
            for (at, word) in text.value.match_indices("SECRET") {
                let span = Span { pointer: text.pointer.clone(), start: at as u32, end: (at + word.len()) as u32 };
                replacements.push(Replacement { span, value: "[redacted]".to_owned() });
            }
        }
        let reason =
            Reason { code: "word".to_owned(), message: "a word was found".to_owned(), plugin: "test".to_owned() };
        Some(Judgement {
            decision,
            reasons: if decision == Decision::Allow { Vec::new() } else { vec![reason] },
            findings: Vec::new(),
            replacement: (decision == Decision::Redact)
                .then(|| Arc::new(call.payload.replace(&replacements).expect("spans fit"))),
            plugins: Vec::new(),
            plan: (decision == Decision::Review).then(|| Plan {
                approvers: vec![Approver::Role("approver".to_owned())],
                quorum: 1,
                deadline_seconds: if raw.contains("SOON") { 1 } else { 900 },
                channels: Vec::new(),
                escalation: Vec::new(),
                summary: String::new(),
                may_modify: raw.contains("MODIFY"),
            }),
            generation: Digest::of(b"generation"),
            mode: if &*call.agent == "observer" { Mode::Observe } else { Mode::Enforce },
        })
    }

    fn mode(&self, _tenant: &str) -> Option<Mode> {
        Some(Mode::Enforce)
    }

    fn generations(&self, _tenant: Option<&str>) -> Vec<GenerationView> {
        Vec::new()
    }
}

/// A ledger in memory.
#[derive(Default)]
pub(crate) struct MemoryJournal {
    drafts: Mutex<Vec<Draft>>,
    records: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    broken: std::sync::atomic::AtomicBool,
}

impl MemoryJournal {
    /// From now on nothing can be written.
    pub(crate) fn break_down(&self) {
        self.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Every entry but those about the answer to `initialize`, which every conversation has.
    pub(crate) fn all(&self) -> Vec<Draft> {
        let drafts = self.drafts.lock().unwrap();
        drafts.iter().filter(|draft| draft.tool.as_deref() != Some("initialize")).cloned().collect()
    }

    /// What is stored beside the entries under keys that begin like this.
    pub(crate) fn records(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let records = self.records.lock().unwrap();
        records
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Kind, phase, decision and outcome of each entry.
    pub(crate) fn lines(&self) -> Vec<String> {
        let words = |draft: &Draft| {
            let decision = draft.decision.map_or("-", Decision::as_str);
            let outcome = draft.outcome.map_or("-".to_owned(), |outcome| format!("{outcome:?}").to_lowercase());
            format!("{:?} {} {decision} {outcome}", draft.kind, draft.phase.as_str()).to_lowercase()
        };
        self.all().iter().map(words).collect()
    }

    /// Waits for the outcome of a call.
    pub(crate) async fn outcome(&self) -> Outcome {
        for _ in 0..500 {
            if let Some(outcome) = self.all().iter().find_map(|draft| draft.outcome) {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no outcome was recorded: {:?}", self.lines());
    }
}

impl Journal for MemoryJournal {
    fn append(&self, draft: Draft, attach: Vec<Attachment>) -> BoxFuture<'_, Result<EntryRef, JournalError>> {
        let broken = self.broken.load(std::sync::atomic::Ordering::SeqCst);
        let mut drafts = self.drafts.lock().unwrap();
        if !broken {
            drafts.push(draft);
            let mut records = self.records.lock().unwrap();
            for attached in attach {
                match attached {
                    Attachment::Record(Record { key, value: Some(value) }) => drop(records.insert(key, value)),
                    Attachment::Record(Record { key, value: None }) => drop(records.remove(&key)),
                    _ => {}
                }
            }
        }
        let seq = drafts.len() as u64;
        drop(drafts);
        Box::pin(async move {
            tokio::task::yield_now().await;
            if broken {
                return Err(JournalError::Unavailable("the disk is full".to_owned()));
            }
            Ok(EntryRef { seq, hash: Digest::of(&seq.to_be_bytes()) })
        })
    }

    fn kept(&self, _tenant: &str, _id: Uuid) -> Result<Option<Kept>, JournalError> {
        Ok(None)
    }

    fn told(&self, _tenant: &str, _digest: Digest) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(None)
    }

    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(self.records.lock().unwrap().get(key).cloned())
    }

    fn head(&self, _tenant: &str) -> Option<EntryRef> {
        None
    }

    fn entries(&self, _tenant: &str, _from: u64, _limit: usize) -> Result<Vec<StoredEntry>, JournalError> {
        Ok(Vec::new())
    }

    fn verify(&self, _tenant: &str) -> Result<Report, JournalError> {
        Err(JournalError::Unavailable("it is only memory".to_owned()))
    }

    fn health(&self) -> JournalHealth {
        JournalHealth { writable: true, problem: None, queued: 0 }
    }
}

/// Version of the rules about the tools of agent `ruled`.
pub(crate) static RULES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Whether agent `leaving` has been removed.
pub(crate) static LEFT: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Whether agent `dismissed` has been halted.
pub(crate) static DISMISSED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Every token is an agent of its name; `other-…` belongs to another tenant.
struct Tokens;

impl Identity for Tokens {
    fn authenticate(&self, token: Option<&str>, _peer: Option<&PeerIdentity>) -> Option<Caller> {
        let name = token.filter(|token| !token.is_empty() && *token != "wrong")?;
        let tenant = if name.starts_with("other") { "other" } else { "default" };
        Some(Caller { agent: Some(identity(tenant, name)), operator: None, open: false })
    }

    fn admit(&self, tenant: &str, agent: &str, _calls: u32) -> Admission {
        match agent {
            "fast" => Admission::Limited { retry_after_s: 7 },
            _ => self.standing(tenant, agent),
        }
    }

    fn standing(&self, _tenant: &str, agent: &str) -> Admission {
        match agent {
            "halted" => Admission::Halted,
            "removed" => Admission::Removed,
            "dismissed" if DISMISSED.load(std::sync::atomic::Ordering::SeqCst) => Admission::Halted,
            "leaving" if LEFT.load(std::sync::atomic::Ordering::SeqCst) => Admission::Removed,
            _ => Admission::Admitted,
        }
    }

    fn has_tool_rules(&self, _tenant: &str, agent: &str) -> bool {
        agent == "ruled"
    }

    fn sees(&self, _tenant: &str, agent: &str, _upstream: &str, tool: &str) -> bool {
        agent != "ruled" || !tool.starts_with("hidden")
    }

    fn tools_version(&self, _tenant: &str, agent: &str) -> u64 {
        if agent == "ruled" { RULES.load(std::sync::atomic::Ordering::SeqCst) } else { 0 }
    }

    fn denials(&self, _tenant: &str, agent: &str) -> DenialForm {
        if agent == "program" { DenialForm::Error } else { DenialForm::Result }
    }
}

pub(crate) fn identity(tenant: &str, name: &str) -> AgentIdentity {
    AgentIdentity { tenant: tenant.into(), name: name.into(), persona: None, may_explain: false }
}

/// Parked calls; a test approves them by hand.
#[derive(Clone)]
pub(crate) struct Parking(Approvals);

impl Parking {
    pub(crate) fn approve_all(&self) {
        for approval in self.list() {
            if approval.state_at(now_ms()) == State::Pending {
                self.decide(approval.id, true);
            }
        }
    }

    pub(crate) fn decide(&self, id: Uuid, approve: bool) {
        let ballot = Ballot {
            tenant: "default",
            id,
            by: Voter { operator: "olga", roles: &["approver".to_owned()], runs: &[] },
            approve,
            comment: None,
            now_ms: now_ms(),
        };
        let shown = self.0.get("default", id).unwrap().shown();
        self.0.decide_shown(&ballot, shown, |_, _| true).unwrap().unwrap().commit();
    }

    /// All of them, the oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<Approval>> {
        let mut all = self.0.list("default", None, None, 100, now_ms());
        all.reverse();
        all
    }

    /// Where each of them stands, the oldest first.
    pub(crate) fn states(&self) -> Vec<State> {
        self.list().iter().map(|approval| approval.state).collect()
    }

    /// Waits until there are so many.
    pub(crate) async fn count(&self, count: usize) -> Vec<Arc<Approval>> {
        until("calls are parked", || self.list().len() >= count).await;
        self.list()
    }
}

/// A gate on doubles.
pub(crate) struct Bench {
    pub(crate) gate: Arc<Gate>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) parking: Parking,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let journal = Arc::<MemoryJournal>::default();
        let approvals = Approvals::new(portcullis_approvals::Limits::default());
        let ports = Ports {
            judge: Arc::new(WordJudge),
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            identity: Arc::new(Tokens),
            approvals: approvals.clone(),
            pins: Arc::new(NoPins),
        };
        let heavy = Heavy { places: 4, wait: Duration::from_secs(10) };
        let gate = Arc::new(Gate::new(ports, Arc::new(Metrics::new()), Events::default(), heavy));
        Self { gate, journal, parking: Parking(approvals) }
    }
}

pub(crate) fn quick() -> McpLimits {
    McpLimits {
        first_byte_wait: Duration::from_secs(5),
        idle_wait: Duration::from_secs(5),
        stop_grace: Duration::from_millis(300),
        hold: HoldLimits { wait: Duration::ZERO, ..HoldLimits::default() },
        ..McpLimits::default()
    }
}

/// Where parked calls are held for some seconds.
pub(crate) fn holding() -> McpLimits {
    let hold = HoldLimits { wait: Duration::from_secs(20), ..HoldLimits::default() };
    McpLimits { hold, keep_alive: Duration::from_millis(50), ..quick() }
}

/// The door on a real socket.
pub(crate) struct Served {
    pub(crate) door: McpDoor,
    pub(crate) address: SocketAddr,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) parking: Parking,
}

impl Served {
    pub(crate) async fn new(upstreams: impl IntoIterator<Item = Upstream>, limits: McpLimits) -> Self {
        Self::with(Upstreams::new(upstreams).unwrap(), limits).await
    }

    pub(crate) async fn with(upstreams: Upstreams, limits: McpLimits) -> Self {
        Self::asking(upstreams, limits, Asking::default()).await
    }

    pub(crate) async fn asking(upstreams: Upstreams, limits: McpLimits, asking: Asking) -> Self {
        let Bench { gate, journal, parking } = Bench::new();
        let door = McpDoor::asking(gate, upstreams, limits, asking);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = door.clone();
        tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let door = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| async {
                        Ok::<_, std::convert::Infallible>(door.handle(request.map(RequestBody::new), peer.into()).await)
                    });
                    let _closed = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { door, address, journal, parking }
    }

    /// What a scraper sees.
    pub(crate) fn metrics(&self) -> String {
        let metrics = self.door.metrics();
        let journal = self.journal.health();
        metrics.render(&Snapshot { journal, generations: &[], approvals_pending: 0, uptime: Duration::ZERO })
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Ask {
        Ask {
            uri: format!("http://{}{path}", self.address),
            method: method.to_owned(),
            headers: vec![
                ("authorization".to_owned(), "Bearer agent".to_owned()),
                ("accept".to_owned(), "application/json, text/event-stream".to_owned()),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
        }
    }

    pub(crate) fn post(&self) -> Ask {
        self.request("POST", "/mcp")
    }

    /// Initializes; the session id, if one came.
    pub(crate) async fn initialize(&self) -> Option<String> {
        let answer = self.post().send(INITIALIZE).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("mcp-session-id").map(str::to_owned)
    }
}

pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":"init","result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"mock","version":"1"}}}"#;

pub(crate) fn call(id: &str, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

/// A request to be sent.
#[derive(Clone)]
pub(crate) struct Ask {
    uri: String,
    method: String,
    headers: Vec<(String, String)>,
}

impl Ask {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    pub(crate) fn session(self, id: &str) -> Self {
        self.with("mcp-session-id", id)
    }

    pub(crate) async fn open(&self, body: impl Into<Bytes>) -> Response<Incoming> {
        let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap()
    }

    pub(crate) async fn send(&self, body: impl Into<Bytes>) -> Got {
        let response = self.open(body).await;
        let (head, body) = response.into_parts();
        let collected = tokio::time::timeout(Duration::from_secs(10), body.collect()).await.expect("the body ends");
        Got { status: head.status.as_u16(), headers: head.headers, body: collected.unwrap().to_bytes() }
    }
}

/// A whole answer.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The messages of an event stream.
    pub(crate) fn messages(&self) -> Vec<String> {
        messages(&self.body)
    }
}

pub(crate) fn messages(stream: &[u8]) -> Vec<String> {
    let mut items = Vec::new();
    Parser::new(usize::MAX).push(stream, &mut items).unwrap();
    items.into_iter().filter_map(message).collect()
}

fn message(item: Item) -> Option<String> {
    let Item::Event(Event { data: Some(data), .. }) = item else { return None };
    Some(String::from_utf8(data).unwrap()).filter(|data| !data.is_empty())
}

/// Reads pieces of a stream until it holds this many messages.
pub(crate) async fn read_messages(body: &mut Incoming, count: usize) -> Vec<String> {
    let (mut parser, mut items, mut out) = (Parser::new(usize::MAX), Vec::new(), Vec::new());
    while out.len() < count {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.expect("more comes");
        parser.push(&frame.expect("not at its end").unwrap().into_data().unwrap(), &mut items).unwrap();
        out.extend(items.drain(..).filter_map(message));
    }
    out
}

/// Waits for some seconds until it holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

/// One request as the upstream received it, byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A piece of a raw answer.
#[derive(Clone)]
pub(crate) enum Step {
    Bytes(Vec<u8>),
    Pause(u64),
    /// The connection is reset.
    Reset,
    /// Waits until the other side closes.
    UntilClosed,
}

pub(crate) type Script = dyn Fn(&Received) -> Vec<Step> + Send + Sync;

/// An upstream on a real socket that answers by script, one request per connection.
pub(crate) struct Mock {
    pub(crate) address: SocketAddr,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
    /// How many of its connections were closed by the other side before the script ended.
    pub(crate) left: Arc<Mutex<usize>>,
}

impl Mock {
    pub(crate) async fn new(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let left = Arc::<Mutex<usize>>::default();
        let script: Arc<Script> = Arc::new(script);
        let (log, gone) = (Arc::clone(&received), Arc::clone(&left));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_once(stream, Arc::clone(&script), Arc::clone(&log), Arc::clone(&gone)));
            }
        });
        Self { address, received, left }
    }

    pub(crate) fn upstream(&self) -> Upstream {
        Upstream::http("mock", &format!("http://{}/mcp", self.address), [("x-api-key", "upstream-key")]).unwrap()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve_once(
    mut stream: tokio::net::TcpStream,
    script: Arc<Script>,
    log: Arc<Mutex<Vec<Received>>>,
    left: Arc<Mutex<usize>>,
) {
    let mut bytes = Vec::new();
    let head = loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        bytes.extend_from_slice(&piece[..count]);
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8(bytes.drain(..at + 4).collect()).unwrap();
        }
    };
    let mut request = Received { head, body: String::new() };
    let length: usize = request.header("content-length").map_or(0, |value| value.parse().unwrap());
    while bytes.len() < length {
        let mut piece = vec![0; 65536];
        let count = stream.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..count]);
    }
    request.body = String::from_utf8(bytes).unwrap();
    log.lock().unwrap().push(request.clone());
    for step in VecDeque::from(script(&request)) {
        match step {
            Step::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    *left.lock().unwrap() += 1;
                    return;
                }
            }
            Step::Pause(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Step::UntilClosed => {
                let mut piece = [0; 16];
                let _end = stream.read(&mut piece).await;
                *left.lock().unwrap() += 1;
                return;
            }
        }
    }
    let _closed = stream.shutdown().await;
}

/// A whole answer of the upstream.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<Step> {
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    vec![Step::Bytes(format!("{head}\r\n{body}").into_bytes())]
}

pub(crate) fn json(body: &str) -> Vec<Step> {
    reply(200, &[("content-type", "application/json")], body)
}

/// The head of a chunked event stream.
pub(crate) fn sse_head() -> Step {
    Step::Bytes(
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    )
}

pub(crate) fn chunk(text: &str) -> Step {
    Step::Bytes(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

pub(crate) fn last_chunk() -> Step {
    Step::Bytes(b"0\r\n\r\n".to_vec())
}

pub(crate) fn sse(pieces: &[&str]) -> Vec<Step> {
    let mut steps = vec![sse_head()];
    steps.extend(pieces.iter().map(|piece| chunk(piece)));
    steps.push(last_chunk());
    steps
}

/// The message without what Portcullis says in `_meta` of a rewritten result; it must say this decision.
pub(crate) fn unmarked(text: &str, decision: &str) -> String {
    let start = text.find(r#","_meta":{"portcullis/id":"#).unwrap_or_else(|| panic!("no mark: {text}"));
    let end = start + text[start..].find('}').unwrap() + 1;
    assert!(text[start..end].contains(&format!(r#""portcullis/decision":"{decision}""#)), "{text}");
    format!("{}{}", &text[..start], &text[end..])
}

/// The method of a JSON-RPC message.
pub(crate) fn method_of(body: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    value["method"].as_str().unwrap_or_default().to_owned()
}

/// The small server in Python that the process tests start.
pub(crate) fn python_server() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stdio_server.py")
}

pub(crate) fn entry_kinds(journal: &MemoryJournal) -> Vec<(EntryKind, Phase)> {
    journal.all().iter().map(|draft| (draft.kind, draft.phase)).collect()
}
