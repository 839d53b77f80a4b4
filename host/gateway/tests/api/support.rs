//! A server on a real socket: real ledger, approvals and credentials; only the pipeline is a double.

use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis_approvals::{Approvals, Limits, OUTBOX_RECORDS, RECORDS};
use portcullis_gateway::api::{Api, ApiConfig};
use portcullis_gateway::channels::{ChannelSet, ChannelSpec, Channels, LinkKey};
use portcullis_gateway::doors::arden::{ArdenDoor, ArdenSettings};
use portcullis_gateway::doors::clavenar::{self, AllowBody, ClavenarDoor};
use portcullis_gateway::doors::mcp::{McpDoor, McpLimits};
use portcullis_gateway::events::Events;
use portcullis_gateway::gate::{Gate, Heavy, Ports};
use portcullis_gateway::http::{Drained, Mount, Server, ServerConfig, Tls, TlsFiles};
use portcullis_gateway::metrics::Metrics;
use portcullis_gateway::ports::{
    Credentials, EntryRef, GenerationView, Identity, Journal, JournalError, JournalHealth, Judge, Pin, PinChange,
    PinDefinition, PinError, PinState, Pins, PluginView, PreparingView, Reload, ReloadError, Who,
};
use portcullis_gateway::upstream::{Upstream, Upstreams};
use portcullis_ledger::{Attachment, Kept, Ledger, LedgerConfig, Report, StoredEntry};
use portcullis_model::{
    Approver, AttributedFinding, Call, Decision, Digest, Draft, EntryKind, Finding, Judgement, Mode, Phase, Plan,
    PluginRun, Reason, Replacement, Role, Span,
};
use portcullis_tenancy::{AgentSpec, Directory, OperatorSpec, RateLimit, TenantSpec, ToolRules, token_digest};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Finds words in the payload: `DENY`, `REVIEW`, with `CFO` for somebody else, and `SECRET`, which is redacted.
pub struct WordJudge {
    /// Calls judged.
    pub judged: AtomicU64,
    /// Slows every judgement down.
    pub pause: Mutex<Duration>,
    /// A plugin may take long: whatever is small is not judged at once either.
    pub long: AtomicBool,
    /// Every tool is another one than was pinned: its calls are for a person.
    pub changed: AtomicBool,
    /// `REVIEW` is for nobody any more, although the policy is the same: some rule counts, or asks the clock.
    pub lenient: AtomicBool,
    /// `HARSH` is for nobody, although the policy is the same.
    pub harsh: AtomicBool,
    /// Another policy of the same words was activated.
    pub reloaded: AtomicBool,
    /// What plans are like beyond the usual.
    pub plan: Mutex<Option<fn(&mut Plan)>>,
    /// Seconds that a parked call waits.
    pub deadline: AtomicU32,
    /// Tenants by mode; others have no pipeline.
    modes: HashMap<&'static str, Mode>,
}

impl Judge for WordJudge {
    fn judge_at_once(&self, call: &Call) -> Option<Option<Judgement>> {
        (!self.long.load(Ordering::SeqCst)).then(|| self.judge(call))
    }

    fn judge(&self, call: &Call) -> Option<Judgement> {
        let mode = *self.modes.get(&*call.tenant)?;
        self.judged.fetch_add(1, Ordering::SeqCst);
        let pause = *self.pause.lock().unwrap();
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        let raw = call.payload.raw();
        let words = [("DENY", Decision::Deny), ("REVIEW", Decision::Review), ("SECRET", Decision::Redact)];
        let lenient = self.lenient.load(Ordering::SeqCst);
        let fits =
            |(word, decision): &&(&str, Decision)| raw.contains(word) && !(lenient && *decision == Decision::Review);
        let word = words.iter().find(fits).map_or(Decision::Allow, |(_, decision)| *decision);
        let word = if self.harsh.load(Ordering::SeqCst) && raw.contains("HARSH") { Decision::Deny } else { word };
        let changed = call.phase == Phase::Call && self.changed.load(Ordering::SeqCst);
        let decision = if changed { word.max(Decision::Review) } else { word };
        let mut replacements = Vec::new();
        let mut findings = Vec::new();
        for text in call.payload.texts().iter() {
            for (at, word) in text.value.match_indices("SECRET") {
                let (start, end) = (at as u32, (at + word.len()) as u32);
                let span = Span { pointer: text.pointer.clone(), start, end };
                findings.push(AttributedFinding {
                    plugin: "words".into(),
                    finding: Finding {
                        category: "secret.test".into(),
                        score: 0.98,
                        message: "a secret".into(),
                        spans: vec![span.clone()],
                    },
                });
                replacements.push(Replacement { span, value: "[redacted:secret.test]".into() });
            }
        }
        let reason = |code: &str, message: &str, plugin: &str| Reason {
            code: code.into(),
            message: message.into(),
            plugin: plugin.into(),
        };
        let mut reasons = Vec::new();
        if word != Decision::Allow {
            reasons.push(reason("word", "a word was found", "words"));
        }
        if changed {
            reasons.push(reason("pin.changed", "the tool is not what was pinned", "pins"));
        }
        let mut plan = Plan {
            approvers: vec![Approver::Role(if raw.contains("CFO") { "cfo" } else { "approver" }.into())],
            quorum: 1,
            deadline_seconds: self.deadline.load(Ordering::SeqCst),
            channels: Vec::new(),
            escalation: Vec::new(),
            summary: "a call with the word REVIEW".into(),
            may_modify: raw.contains("FLEX"),
        };
        if let Some(adjust) = *self.plan.lock().unwrap() {
            adjust(&mut plan);
        }
        Some(Judgement {
            decision,
            reasons,
            findings,
            replacement: (decision == Decision::Redact).then(|| Arc::new(call.payload.replace(&replacements).unwrap())),
            plugins: vec![PluginRun {
                name: "words".into(),
                role: Role::Detector,
                digest: Digest::of(b"words"),
                fuel: 1234,
                micros: 7,
                memory: 65_536,
                fault: None,
                answers: None,
                told: None,
            }],
            plan: (decision == Decision::Review).then_some(plan),
            generation: self.generation(),
            mode,
        })
    }

    fn mode(&self, tenant: &str) -> Option<Mode> {
        self.modes.get(tenant).copied()
    }

    fn generations(&self, tenant: Option<&str>) -> Vec<GenerationView> {
        let mut names: Vec<_> = self.modes.iter().filter(|(name, _)| tenant.is_none_or(|t| t == **name)).collect();
        names.sort_by_key(|(name, _)| **name);
        let live = |name, mode| GenerationView { generation: self.generation(), ..view(name, mode) };
        names.into_iter().map(|(name, mode)| live(name, *mode)).collect()
    }
}

impl WordJudge {
    fn generation(&self) -> Digest {
        Digest::of(if self.reloaded.load(Ordering::SeqCst) { b"generation after" } else { b"generation" })
    }
}

pub fn view(tenant: &str, mode: Mode) -> GenerationView {
    let plugin = PluginView {
        name: "words".into(),
        role: Role::Detector,
        digest: Digest::of(b"words"),
        tier: "sealed".into(),
        prepared: "snapshot".into(),
        on_failure: "closed".into(),
        calls: 3,
        faults: 1,
        last_fault: Some("plugin_trap".into()),
        quarantined: true,
        quarantines: 1,
        skipped: 2,
    };
    GenerationView {
        tenant: tenant.into(),
        generation: Digest::of(b"generation"),
        mode,
        configured: Digest::of(b"generation"),
        activated_ms: 1,
        by: "portcullis".into(),
        why: "start",
        candidate: None,
        plugins: vec![plugin],
    }
}

/// The real ledger and a switch that makes its disk fail.
pub struct Breakable {
    pub ledger: Ledger,
    pub broken: AtomicBool,
    /// How long the next entry takes, in milliseconds.
    pub slow_ms: AtomicU64,
}

impl Breakable {
    fn check(&self) -> Result<(), JournalError> {
        let broken = self.broken.load(Ordering::SeqCst);
        if broken { Err(JournalError::Unavailable("no space left on device".into())) } else { Ok(()) }
    }
}

impl Journal for Breakable {
    fn append(&self, draft: Draft, attach: Vec<Attachment>) -> BoxFuture<'_, Result<EntryRef, JournalError>> {
        Box::pin(async move {
            self.check()?;
            tokio::time::sleep(Duration::from_millis(self.slow_ms.swap(0, Ordering::SeqCst))).await;
            Journal::append(&self.ledger, draft, attach).await
        })
    }

    fn kept(&self, tenant: &str, id: Uuid) -> Result<Option<Kept>, JournalError> {
        Journal::kept(&self.ledger, tenant, id)
    }

    fn told(&self, tenant: &str, digest: Digest) -> Result<Option<Vec<u8>>, JournalError> {
        Journal::told(&self.ledger, tenant, digest)
    }

    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        Journal::record(&self.ledger, key)
    }

    fn head(&self, tenant: &str) -> Option<EntryRef> {
        Journal::head(&self.ledger, tenant)
    }

    fn entries(&self, tenant: &str, from: u64, limit: usize) -> Result<Vec<StoredEntry>, JournalError> {
        Journal::entries(&self.ledger, tenant, from, limit)
    }

    fn verify(&self, tenant: &str) -> Result<Report, JournalError> {
        Journal::verify(&self.ledger, tenant)
    }

    fn health(&self) -> JournalHealth {
        let problem = self.check().err().map(|error| error.to_string());
        JournalHealth { writable: problem.is_none(), problem, queued: 0 }
    }
}

/// Answers a reload with what a test wants.
#[derive(Default)]
pub struct Reloads(pub Mutex<Option<ReloadError>>, pub Events, pub Mutex<Option<PreparingView>>);

impl Reload for Reloads {
    fn preparing(&self) -> Option<PreparingView> {
        self.2.lock().unwrap().clone()
    }

    fn reload(&self, _by: Who) -> BoxFuture<'_, Result<Vec<GenerationView>, ReloadError>> {
        let answer = match &*self.0.lock().unwrap() {
            Some(error) => Err(error.clone()),
            None => Ok(vec![view("acme", Mode::Enforce), view("other", Mode::Enforce)]),
        };
        answer.iter().flatten().for_each(|view| self.1.generation(view));
        Box::pin(async { answer })
    }
}

/// Pins of the tenant `acme`: `a` is as it was, `b` changed, `c` is new.
pub struct KeptPins {
    pins: Mutex<Vec<Pin>>,
    /// Why nothing can be accepted.
    pub refuses: Mutex<Option<PinError>>,
}

pub fn definition(word: &str, by: Option<&str>) -> PinDefinition {
    let text = format!(r#"{{"description":"{word}"}}"#);
    PinDefinition {
        digest: Digest::of(word.as_bytes()),
        at_ms: 1_700_000_000_000,
        by: by.map(str::to_owned),
        kept: Some("whole".into()),
        definition: serde_json::value::RawValue::from_string(text).ok(),
        changes: by
            .is_none()
            .then(|| vec![PinChange { at: "/description".into(), from: Some("one".into()), to: Some(word.into()) }]),
        more: None,
    }
}

impl Default for KeptPins {
    fn default() -> Self {
        let pin = |tool: &str, state, pinned, pending| Pin {
            id: format!("pins.{tool}"),
            plugin: "pins".into(),
            upstream: "files".into(),
            tool: tool.into(),
            state,
            listed_ms: 1_700_000_000_000,
            vanished: false,
            pinned,
            pending,
        };
        let first = || Some(definition("one", Some("first use")));
        let pins = vec![
            pin("a", PinState::Pinned, first(), None),
            pin("b", PinState::Changed, first(), Some(definition("two", None))),
            pin("c", PinState::New, None, Some(definition("one", None))),
        ];
        Self { pins: Mutex::new(pins), refuses: Mutex::default() }
    }
}

impl Pins for KeptPins {
    fn list(&self, tenant: &str) -> Result<Vec<Pin>, PinError> {
        Ok(if tenant == "acme" { self.pins.lock().unwrap().clone() } else { Vec::new() })
    }

    fn get(&self, tenant: &str, id: &str) -> Result<Option<Pin>, PinError> {
        Ok(self.list(tenant)?.into_iter().find(|pin| pin.id == id))
    }

    fn accept(&self, tenant: &str, id: &str, digest: Digest, by: &str, _: u64) -> Result<Pin, PinError> {
        if let Some(error) = self.refuses.lock().unwrap().clone() {
            return Err(error);
        }
        self.get(tenant, id)?.ok_or(PinError::Unknown)?;
        let mut pins = self.pins.lock().unwrap();
        let pin = pins.iter_mut().find(|pin| pin.id == id).unwrap();
        let pending = pin.pending.take().filter(|pending| pending.digest == digest).ok_or(PinError::Other)?;
        (pin.state, pin.pinned) = (PinState::Pinned, Some(PinDefinition { by: Some(by.into()), ..pending }));
        Ok(pin.clone())
    }
}

pub const AGENT: &str = "agent-token";
/// Another key of the same agent.
pub const AGENT_TEST: &str = "arden_test_00112233445566778899aabbccddeeff";
pub const SECOND: &str = "second-agent-token";
pub const MUTE: &str = "mute-agent-token";
pub const SLOW: &str = "slow-agent-token";
pub const HALTED: &str = "halted-agent-token";
pub const OPERATOR: &str = "operator-token";
pub const OWNER: &str = "owner-token";
pub const VIEWER: &str = "viewer-token";
pub const OTHER: &str = "other-tenant-agent-token";
pub const OTHER_OPERATOR: &str = "other-tenant-operator-token";
pub const WATCHED: &str = "observed-tenant-agent-token";
pub const BARE: &str = "agent-of-a-tenant-without-pipeline";

fn directory() -> Directory {
    halting("")
}

/// The same with one more agent halted.
pub fn halting(name: &str) -> Directory {
    changed(name, "")
}

/// The same without one operator.
pub fn without(operator: &str) -> Directory {
    changed("", operator)
}

fn changed(name: &str, gone: &str) -> Directory {
    let agent = |name: &str, token: &str| AgentSpec {
        name: name.into(),
        token_sha256: vec![token_digest(token)],
        spiffe: vec![
            format!("spiffe://acme.example/{token}"),
            format!("spiffe://acme.example/tenant/acme/agent/{token}/instance/*"),
        ],
        persona: None,
        may_explain: true,
        halted: false,
        rate: None,
        tools: ToolRules::default(),
    };
    let operator = |name: &str, token: &str, roles: &[&str]| OperatorSpec {
        name: name.into(),
        token_sha256: vec![token_digest(token)],
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        runs: if name == "owner" { vec!["bot".into()] } else { Vec::new() },
    };
    let tenant = |name: &str, agents: Vec<AgentSpec>, operators: Vec<OperatorSpec>| TenantSpec {
        name: name.into(),
        agents,
        operators,
        ..TenantSpec::default()
    };
    let acme = vec![
        AgentSpec {
            halted: name == "bot",
            token_sha256: vec![token_digest(AGENT), token_digest(AGENT_TEST)],
            ..agent("bot", AGENT)
        },
        agent("bot2", SECOND),
        AgentSpec {
            may_explain: false,
            tools: ToolRules { hide: vec!["hidden_tool".to_owned()], ..ToolRules::default() },
            ..agent("mute", MUTE)
        },
        AgentSpec { rate: Some(RateLimit { per_second: 0.01, burst: 1 }), ..agent("slow", SLOW) },
        AgentSpec { halted: true, ..agent("halted", HALTED) },
    ];
    let operators = vec![
        operator("olga", OPERATOR, &["approver", "admin"]),
        operator("vera", VIEWER, &["viewer"]),
        operator("owner", OWNER, &["approver"]),
    ];
    let operators = operators.into_iter().filter(|operator| operator.name != gone).collect();
    let tenants = [
        tenant("acme", acme, operators),
        tenant("other", vec![agent("bot", OTHER)], vec![operator("otto", OTHER_OPERATOR, &["approver"])]),
        tenant("watched", vec![agent("bot", WATCHED)], Vec::new()),
        tenant("bare", vec![agent("bot", BARE)], Vec::new()),
    ];
    Directory::new(&tenants, None).unwrap()
}

/// What a test wants to be different.
pub struct Setup {
    pub server: ServerConfig,
    pub body_timeout: Duration,
    pub open: bool,
    pub heavy: usize,
    pub heavy_wait: Duration,
    pub mounts: Vec<Arc<dyn Mount>>,
    /// Names of upstreams of its own.
    pub upstreams: Vec<&'static str>,
    pub tls: Option<TlsFiles>,
    /// Secret of the command line's own listener.
    pub local: Option<&'static str>,
    /// What the Clavenar door answers to what is allowed, if there is one.
    pub clavenar: Option<AllowBody>,
    /// Where calls can be sent on to.
    pub mcp: Vec<Upstream>,
    /// What the Arden door is configured with, if there is one.
    pub arden: Option<ArdenSettings>,
}

impl Default for Setup {
    fn default() -> Self {
        let server = ServerConfig {
            connections: 64,
            read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(5),
            ..ServerConfig::default()
        };
        Self {
            server,
            body_timeout: Duration::from_secs(5),
            open: false,
            heavy: 4,
            heavy_wait: Duration::from_secs(10),
            mounts: Vec::new(),
            upstreams: Vec::new(),
            tls: None,
            local: None,
            clavenar: None,
            mcp: Vec::new(),
            arden: None,
        }
    }
}

/// A running server.
pub struct Bench {
    pub address: SocketAddr,
    pub local: Option<SocketAddr>,
    pub tls: Option<Arc<Tls>>,
    pub journal: Arc<Breakable>,
    pub approvals: Approvals,
    pub judge: Arc<WordJudge>,
    pub reloads: Arc<Reloads>,
    pub pins: Arc<KeptPins>,
    pub gate: Arc<Gate>,
    pub credentials: Arc<Credentials>,
    pub channels: Arc<Channels>,
    sender: Option<JoinHandle<()>>,
    folder: Arc<TempDir>,
    clavenar: Option<AllowBody>,
    mcp: Vec<Upstream>,
    arden: Option<ArdenSettings>,
    pub arden_door: Option<ArdenDoor>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Drained>,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        Self::on(Arc::new(TempDir::new().unwrap()), setup).await
    }

    async fn on(folder: Arc<TempDir>, setup: Setup) -> Self {
        let ledger = Ledger::open(LedgerConfig::new(folder.path())).unwrap();
        let records = ledger.records(RECORDS).unwrap().into_iter().chain(ledger.records(OUTBOX_RECORDS).unwrap());
        let (approvals, errors) = Approvals::load(Limits::default(), records);
        assert!(errors.is_empty(), "{errors:?}");
        let journal = Arc::new(Breakable { ledger, broken: AtomicBool::new(false), slow_ms: AtomicU64::new(0) });
        let modes = HashMap::from([
            ("acme", Mode::Enforce),
            ("other", Mode::Enforce),
            ("default", Mode::Enforce),
            ("watched", Mode::Observe),
        ]);
        let (judged, pause, long, changed, lenient, harsh, reloaded, plan) = Default::default();
        let deadline = AtomicU32::new(900);
        let judge =
            Arc::new(WordJudge { judged, pause, long, changed, lenient, harsh, reloaded, plan, deadline, modes });
        let directory = if setup.open { Directory::open(Vec::new()).unwrap() } else { directory() };
        let credentials = Arc::new(Credentials::new(directory));
        let pins = Arc::<KeptPins>::default();
        let ports = Ports {
            judge: Arc::clone(&judge) as Arc<dyn Judge>,
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            identity: Arc::clone(&credentials) as Arc<dyn Identity>,
            approvals: approvals.clone(),
            pins: Arc::clone(&pins) as Arc<dyn Pins>,
        };
        let heavy = Heavy { places: setup.heavy, wait: setup.heavy_wait };
        let gate = Arc::new(Gate::new(ports, Arc::new(Metrics::new()), Events::default(), heavy));
        let reloads = Arc::new(Reloads(Mutex::default(), gate.events().clone(), Mutex::default()));
        let upstreams = setup.upstreams.into_iter().map(Arc::from).collect();
        let config = ApiConfig { body_timeout: setup.body_timeout, upstreams, ..ApiConfig::default() };
        let mut mounts = setup.mounts;
        if let Some(allow) = setup.clavenar {
            let upstreams = Upstreams::new(setup.mcp.iter().cloned()).unwrap();
            let mcp = McpDoor::new(Arc::clone(&gate), upstreams, McpLimits::default());
            let door = ClavenarDoor::new(Arc::clone(&gate), mcp, allow);
            door.recover(journal.ledger.records(clavenar::RECORDS).unwrap()).await.unwrap();
            mounts.extend(door.mounts());
        }
        let mut arden_door = None;
        if let Some(settings) = setup.arden.clone() {
            let records = Arc::new(journal.ledger.clone());
            let door = ArdenDoor::start(Arc::clone(&gate), records, settings).await.unwrap();
            mounts.push(Arc::new(door.clone()));
            arden_door = Some(door);
        }
        let api = Api::new(Arc::clone(&gate), Arc::clone(&reloads) as Arc<dyn Reload>, mounts, &config);
        let keep = Arc::new(journal.ledger.clone());
        let public = Some("http://localhost/".to_owned());
        let channels = Channels::new(Arc::clone(&gate), keep, LinkKey::new([7; 32]), public, ChannelSet::none());
        let api = Arc::new(api.with_channels(Arc::clone(&channels)));
        let tls = setup.tls.map(|files| Arc::new(Tls::new(files.read().unwrap(), Arc::clone(gate.metrics()))));
        let server_config = ServerConfig { tls: tls.clone(), ..setup.server };
        let mut server = Server::bind("127.0.0.1:0".parse().unwrap(), server_config, api).unwrap();
        let address = server.address();
        let mut local = None;
        if let Some(control) = setup.local {
            let (both, address) = server.with_local(control).unwrap();
            (server, local) = (both, Some(address));
        }
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.run(async {
            if stopped.await.is_err() {
                pending::<()>().await;
            }
        }));
        let stop = Some(stop);
        let Setup { clavenar, mcp, arden, .. } = setup;
        Self {
            address,
            local,
            tls,
            journal,
            approvals,
            judge,
            reloads,
            pins,
            gate,
            credentials,
            channels,
            sender: None,
            folder,
            clavenar,
            mcp,
            arden,
            arden_door,
            stop,
            serving,
        }
    }

    /// Begins to drain.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn stopped(self) -> Drained {
        self.serving.await.unwrap()
    }

    /// The same data folder in a new server.
    pub async fn restarted(mut self) -> Self {
        self.stop();
        let Self { serving, journal, folder, gate, clavenar, mcp, arden, arden_door, channels, sender, .. } = self;
        serving.await.unwrap();
        if let Some(sender) = sender {
            sender.abort();
            let _ = sender.await;
        }
        drop((gate, channels, arden_door));
        // Farewells to upstreams may still be under way.
        for _ in 0..200 {
            if Arc::strong_count(&journal) == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let journal = Arc::into_inner(journal).expect("nobody uses the ledger any more");
        journal.ledger.close().await;
        Self::on(folder, Setup { clavenar, mcp, arden, ..Setup::default() }).await
    }

    /// From now on messages are sent, over these channels.
    pub fn tell(&mut self, specs: Vec<ChannelSpec>) {
        self.channels.replace(ChannelSet::new(specs).unwrap());
        self.sender.get_or_insert_with(|| tokio::spawn(Arc::clone(&self.channels).run()));
    }

    pub async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        self.client().await.ask(method, path, token, body.as_bytes()).await
    }

    pub async fn inspect(&self, token: &str, body: &str) -> Answer {
        self.ask("POST", "/v1/inspect", token, body).await
    }

    /// The id of the call that is parked next, if none is yet.
    pub async fn waiting(&self) -> String {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let list = self.get("/v1/approvals?state=pending", OPERATOR).await.json();
            if let Some(id) = list["approvals"][0]["id"].as_str() {
                return id.to_owned();
            }
        }
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, token, "").await
    }

    /// Bytes as they are, then everything that comes back until the server closes.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        let _ = read.expect("the server must not hang");
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn entries(&self, tenant: &str) -> Vec<StoredEntry> {
        self.journal.ledger.entries(tenant, 0, 10_000).unwrap()
    }

    pub fn count(&self, tenant: &str, kind: EntryKind) -> usize {
        self.entries(tenant).iter().filter(|row| row.entry.kind == kind).count()
    }
}

/// A connection.
pub struct Client(pub TcpStream);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Every answer has these, whatever went wrong.
    pub fn check_head(&self) -> &Self {
        assert!(Uuid::parse_str(&self.headers["x-portcullis-id"]).is_ok(), "{self:?}");
        assert!(["enforce", "observe"].contains(&self.headers["x-portcullis-mode"].as_str()), "{self:?}");
        if self.status >= 400 {
            let json = self.json();
            assert!(self.text.len() < 4096, "{self:?}");
            assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["error", "id"], "{self:?}");
            let error = json["error"].as_object().unwrap();
            assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "hint"], "{self:?}");
        }
        self
    }
}

pub fn request(method: &str, path: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let credential = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let kind = if method == "POST" { "content-type: application/json\r\n" } else { "" };
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{credential}{kind}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

impl Client {
    pub async fn ask(&mut self, method: &str, path: &str, token: &str, body: &[u8]) -> Answer {
        self.0.write_all(&request(method, path, token, body)).await.unwrap();
        self.answer().await
    }

    pub async fn answer(&mut self) -> Answer {
        let answer = tokio::time::timeout(Duration::from_secs(20), self.read_answer()).await;
        answer.expect("the server must not hang").expect("an answer")
    }

    /// `None` if the connection ended before a whole answer.
    pub async fn read_answer(&mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if self.0.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut body = bytes.split_off(head_end + 4);
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while body.len() < length {
            if self.0.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        Some(Answer { status, headers, text: String::from_utf8(body).unwrap() })
    }
}
