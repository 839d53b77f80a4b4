//! Figures for Prometheus. Labels come from the configuration, never from a caller's text: tool names are not labels.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use portcullis_model::{Call, Door, Judgement, codes};
use prometheus_client::encoding::{EncodeLabelSet, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use distribution::Distribution;
use table::Table;

mod distribution;
mod table;

/// Every figure of one server.
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    judge_seconds: Distribution,
    plugin_seconds: Family<PluginLabels, Distribution>,
    plugin_fuel: Family<PluginLabels, Distribution>,
    plugin_memory: Family<PluginLabels, Distribution>,
    plugin_faults: Family<FaultLabels, Counter>,
    plugin_quarantines: Family<PluginOfLabels, Counter>,
    activations: Family<ActivationLabels, Counter>,
    withdrawals: Family<WithdrawalLabels, Counter>,
    commit_seconds: Distribution,
    commit_failures: Counter,
    requests: Family<RequestLabels, Counter>,
    connections: Counter,
    connections_open: Gauge,
    connections_refused: Family<CauseLabels, Counter>,
    handshakes_failed: Family<CauseLabels, Counter>,
    /// Without a member until there is a certificate.
    certificate_expires: Family<[(&'static str, &'static str); 0], Gauge>,
    requests_in_flight: Gauge,
    mcp_held_back: Family<CauseLabels, Counter>,
    channel_messages: Family<MessageLabels, Counter>,
    plugin_requests: Family<PluginRequestLabels, Counter>,
    plugin_questions: Family<PluginQuestionLabels, Counter>,
    judge_tokens: Family<JudgeTokenLabels, Counter>,
    transcripts: Family<TranscriptLabels, Counter>,
    mcp_sessions: Gauge,
    mcp_children: ChildMetrics,
    /// Live figures, set when they are asked for.
    live: Live,
    /// What every call counts.
    hot: Hot,
}

/// The metrics of the families above that every call counts, found without their locks.
#[derive(Default)]
struct Hot {
    calls: Table<CallLabels, Counter>,
    requests: Table<RequestLabels, Counter>,
    plugins: Table<PluginLabels, PluginMetrics>,
}

/// The metrics of one plugin.
#[derive(Clone)]
struct PluginMetrics {
    seconds: Distribution,
    fuel: Distribution,
    memory: Distribution,
}

/// Figures of the child processes of upstreams.
#[derive(Clone, Default)]
pub(crate) struct ChildMetrics {
    events: Family<ChildLabels, Counter>,
    waits: Family<WaitLabels, Gauge<f64, AtomicU64>>,
}

#[derive(Default)]
struct Live {
    ledger_queue: Gauge,
    ledger_writable: Gauge,
    generations: Family<GenerationLabels, Gauge>,
    held: Family<TenantLabels, Gauge>,
    candidates: Family<CandidateLabels, Gauge>,
    quarantined: Family<PluginOfLabels, Gauge>,
    approvals: Gauge,
    uptime: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    tenant: Arc<str>,
    door: Word,
    phase: Word,
    verdict: Word,
    mode: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    tenant: String,
    door: Word,
    code: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginOfLabels {
    tenant: Arc<str>,
    plugin: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActivationLabels {
    tenant: Arc<str>,
    why: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithdrawalLabels {
    tenant: Arc<str>,
    bound: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CandidateLabels {
    tenant: Arc<str>,
    generation: String,
    standing: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabels {
    tenant: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    plugin: Arc<str>,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Word,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cause: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    channel: String,
    outcome: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginRequestLabels {
    plugin: Arc<str>,
    /// The grant that let it be sent.
    host: String,
    outcome: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginQuestionLabels {
    plugin: Arc<str>,
    judge: String,
    outcome: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TranscriptLabels {
    tenant: Arc<str>,
    outcome: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JudgeTokenLabels {
    tenant: Arc<str>,
    judge: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChildLabels {
    upstream: Arc<str>,
    event: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitLabels {
    tenant: Arc<str>,
    upstream: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GenerationLabels {
    tenant: String,
    generation: String,
    mode: Word,
}

/// A label value from a fixed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Word(&'static str);

impl prometheus_client::encoding::EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0)
    }
}

/// What is read from elsewhere when the figures are asked for.
pub struct Snapshot<'a> {
    /// State of the ledger.
    pub journal: crate::ports::JournalHealth,
    /// What is live.
    pub generations: &'a [crate::ports::GenerationView],
    /// Undecided approvals.
    pub approvals_pending: usize,
    /// Since the server started.
    pub uptime: Duration,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All figures at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("portcullis"),
            calls: Family::default(),
            refusals: Family::default(),
            judge_seconds: Distribution::seconds(),
            plugin_seconds: Family::new_with_constructor(Distribution::seconds),
            plugin_fuel: Family::new_with_constructor(Distribution::fuel),
            plugin_memory: Family::new_with_constructor(Distribution::memory),
            plugin_faults: Family::default(),
            plugin_quarantines: Family::default(),
            activations: Family::default(),
            withdrawals: Family::default(),
            commit_seconds: Distribution::seconds(),
            commit_failures: Counter::default(),
            requests: Family::default(),
            connections: Counter::default(),
            connections_open: Gauge::default(),
            connections_refused: Family::default(),
            handshakes_failed: Family::default(),
            certificate_expires: Family::default(),
            requests_in_flight: Gauge::default(),
            mcp_held_back: Family::default(),
            channel_messages: Family::default(),
            plugin_requests: Family::default(),
            plugin_questions: Family::default(),
            judge_tokens: Family::default(),
            transcripts: Family::default(),
            mcp_sessions: Gauge::default(),
            mcp_children: ChildMetrics::default(),
            live: Live::default(),
            hot: Hot::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("calls", "Calls decided, by true verdict", self.calls.clone());
        registry.register("refusals", "Calls refused without a verdict", self.refusals.clone());
        let judged = "Time from the call to its judgement";
        registry.register_with_unit("judge", judged, Unit::Seconds, self.judge_seconds.clone());
        let per_plugin = "Wall time of one plugin call";
        registry.register_with_unit("plugin", per_plugin, Unit::Seconds, self.plugin_seconds.clone());
        registry.register("plugin_fuel", "Fuel of one plugin call", self.plugin_fuel.clone());
        let peak = "Peak memory of one plugin call";
        registry.register_with_unit("plugin_memory", peak, Unit::Bytes, self.plugin_memory.clone());
        registry.register("plugin_faults", "Plugin calls that did not answer properly", self.plugin_faults.clone());
        let quarantines = "Plugins that kept failing and were not asked any more";
        registry.register("plugin_quarantines", quarantines, self.plugin_quarantines.clone());
        let quarantined = "1 for each plugin that is not asked for now because it keeps failing";
        registry.register("plugin_quarantined", quarantined, self.live.quarantined.clone());
        registry.register("activations", "Generations put in force", self.activations.clone());
        let withdrawals = "Canaries that went beyond a bound and were withdrawn";
        registry.register("canary_withdrawals", withdrawals, self.withdrawals.clone());
        registry.register("candidate", "1 for each generation that is tried", self.live.candidates.clone());
        let held = "1 where another generation is in force than the configuration says";
        registry.register("generation_held", held, self.live.held.clone());
        let commit = "Time until an entry was durable";
        registry.register_with_unit("ledger_commit", commit, Unit::Seconds, self.commit_seconds.clone());
        registry.register("ledger_failures", "Entries that could not be written", self.commit_failures.clone());
        registry.register("ledger_queue", "Entries waiting to be written", self.live.ledger_queue.clone());
        registry.register("ledger_writable", "1 while entries can be written", self.live.ledger_writable.clone());
        registry.register("generation", "1 for each live generation", self.live.generations.clone());
        registry.register("approvals_pending", "Parked calls nobody has decided", self.live.approvals.clone());
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register("http_requests_in_flight", "Requests being answered", self.requests_in_flight.clone());
        registry.register("http_connections", "Connections taken", self.connections.clone());
        registry.register("http_connections_open", "Connections open now", self.connections_open.clone());
        let refused = "Connections refused or ended for a cause";
        registry.register("http_connections_ended", refused, self.connections_refused.clone());
        registry.register("tls_handshakes_failed", "TLS handshakes that failed", self.handshakes_failed.clone());
        let expires = "When the listener's certificate ends, since 1970";
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            expires,
            Unit::Seconds,
            self.certificate_expires.clone(),
        );
        let held_back = "Messages of MCP upstreams that were held back without a verdict";
        registry.register("mcp_held_back", held_back, self.mcp_held_back.clone());
        let told = "Tries to send messages about parked calls, by outcome";
        registry.register("channel_messages", told, self.channel_messages.clone());
        let sent = "Requests of plugins, by the grant that fits and by outcome";
        registry.register("plugin_requests", sent, self.plugin_requests.clone());
        let asked = "Questions of plugins to language models, by outcome";
        registry.register("plugin_questions", asked, self.plugin_questions.clone());
        let spent = "Tokens of questions and answers, as the language model's server counts them";
        registry.register("judge_tokens", spent, self.judge_tokens.clone());
        let told = "What plugins were told, kept for a tenant that asks for it, or not";
        registry.register("answers_kept", told, self.transcripts.clone());
        registry.register("mcp_sessions", "MCP sessions open now", self.mcp_sessions.clone());
        let children = "Starts of child processes, and what became of them";
        registry.register("mcp_child_events", children, self.mcp_children.events.clone());
        let wait = "Wait between two starts of a child process that keeps failing";
        registry.register_with_unit("mcp_child_wait", wait, Unit::Seconds, self.mcp_children.waits.clone());
        let up = "Since the server started";
        registry.register_with_unit("uptime", up, Unit::Seconds, self.live.uptime.clone());
    }

    pub(crate) fn ruled(&self, call: &Call, door: Door, judgement: &Judgement) {
        let labels = CallLabels {
            tenant: Arc::clone(&call.tenant),
            door: Word(door_word(door)),
            phase: Word(call.phase.as_str()),
            verdict: Word(judgement.decision.as_str()),
            mode: Word(judgement.mode.as_str()),
        };
        self.hot.calls.with(&labels, || self.calls.get_or_create_owned(&labels), |calls| _ = calls.inc());
        for run in &judgement.plugins {
            if let Some(code) = &run.fault {
                let labels = FaultLabels { plugin: Arc::clone(&run.name), code: code.clone() };
                self.plugin_faults.get_or_create(&labels).inc();
                // It did not run.
                if code == codes::PLUGIN_QUARANTINED {
                    continue;
                }
            }
            let labels = PluginLabels { plugin: Arc::clone(&run.name) };
            let make = || PluginMetrics {
                seconds: self.plugin_seconds.get_or_create_owned(&labels),
                fuel: self.plugin_fuel.get_or_create_owned(&labels),
                memory: self.plugin_memory.get_or_create_owned(&labels),
            };
            self.hot.plugins.with(&labels, make, |plugin| {
                plugin.seconds.observe(run.micros.into());
                plugin.fuel.observe(run.fuel);
                plugin.memory.observe(run.memory);
            });
        }
    }

    /// Counts a plugin that is not asked any more.
    pub fn quarantined(&self, tenant: &str, plugin: &str) {
        let labels = PluginOfLabels { tenant: tenant.into(), plugin: plugin.into() };
        self.plugin_quarantines.get_or_create(&labels).inc();
    }

    /// Counts a canary that was withdrawn.
    pub fn withdrawn(&self, tenant: &str, bound: &'static str) {
        self.withdrawals.get_or_create(&WithdrawalLabels { tenant: tenant.into(), bound: Word(bound) }).inc();
    }

    /// Counts a generation that was put in force.
    pub fn activated(&self, tenant: &str, why: &'static str) {
        self.activations.get_or_create(&ActivationLabels { tenant: tenant.into(), why: Word(why) }).inc();
    }

    pub(crate) fn refused(&self, tenant: &str, door: Door, code: &'static str) {
        let labels = RefusalLabels { tenant: tenant.to_owned(), door: Word(door_word(door)), code: Word(code) };
        self.refusals.get_or_create(&labels).inc();
    }

    pub(crate) fn judged(&self, took: Duration) {
        self.judge_seconds.observe_time(took);
    }

    pub(crate) fn committed(&self, took: Duration, good: bool) {
        self.commit_seconds.observe_time(took);
        if !good {
            self.commit_failures.inc();
        }
    }

    pub(crate) fn answered(&self, route: &'static str, status: u16) {
        let labels = RequestLabels { route: Word(route), status };
        self.hot.requests.with(&labels, || self.requests.get_or_create_owned(&labels), |requests| _ = requests.inc());
    }

    /// Counts a request as being answered for as long as the guard lives.
    pub(crate) fn in_flight(&self) -> Held {
        Held::new(&self.requests_in_flight)
    }

    /// Counts a connection as open for as long as the guard lives.
    pub(crate) fn connected(&self) -> Held {
        self.connections.inc();
        Held::new(&self.connections_open)
    }

    pub(crate) fn connection_ended(&self, cause: &'static str) {
        self.connections_refused.get_or_create(&CauseLabels { cause: Word(cause) }).inc();
    }

    pub(crate) fn handshake_failed(&self, cause: &'static str) {
        self.handshakes_failed.get_or_create(&CauseLabels { cause: Word(cause) }).inc();
    }

    pub(crate) fn certificate_expires(&self, at: SystemTime) {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.certificate_expires.get_or_create(&[]).set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    pub(crate) fn told(&self, channel: &str, outcome: &'static str) {
        let labels = MessageLabels { channel: channel.to_owned(), outcome: Word(outcome) };
        self.channel_messages.get_or_create(&labels).inc();
    }

    pub(crate) fn plugin_requested(&self, plugin: &Arc<str>, host: &str, outcome: &'static str) {
        let labels = PluginRequestLabels { plugin: Arc::clone(plugin), host: host.to_owned(), outcome: Word(outcome) };
        self.plugin_requests.get_or_create(&labels).inc();
    }

    pub(crate) fn plugin_asked(&self, plugin: &Arc<str>, judge: &str, outcome: &'static str) {
        let labels =
            PluginQuestionLabels { plugin: Arc::clone(plugin), judge: judge.to_owned(), outcome: Word(outcome) };
        self.plugin_questions.get_or_create(&labels).inc();
    }

    pub(crate) fn transcript(&self, tenant: &Arc<str>, outcome: &'static str) {
        let labels = TranscriptLabels { tenant: Arc::clone(tenant), outcome: Word(outcome) };
        self.transcripts.get_or_create(&labels).inc();
    }

    pub(crate) fn tokens_spent(&self, tenant: &Arc<str>, judge: &Arc<str>, tokens: u64) {
        let labels = JudgeTokenLabels { tenant: Arc::clone(tenant), judge: Arc::clone(judge) };
        self.judge_tokens.get_or_create(&labels).inc_by(tokens);
    }

    /// The counter of MCP messages that were held back for this cause.
    pub(crate) fn mcp_held_back(&self, cause: &'static str) -> Counter {
        self.mcp_held_back.get_or_create_owned(&CauseLabels { cause: Word(cause) })
    }

    /// The gauge of open MCP sessions.
    pub(crate) fn mcp_sessions(&self) -> Gauge {
        self.mcp_sessions.clone()
    }

    /// The figures of child processes.
    pub(crate) fn mcp_children(&self) -> ChildMetrics {
        self.mcp_children.clone()
    }

    /// The text for a scraper (OpenMetrics 1.0).
    pub fn render(&self, snapshot: &Snapshot<'_>) -> String {
        let live = &self.live;
        live.ledger_queue.set(i64::try_from(snapshot.journal.queued).unwrap_or(i64::MAX));
        live.approvals.set(i64::try_from(snapshot.approvals_pending).unwrap_or(i64::MAX));
        live.ledger_writable.set(i64::from(snapshot.journal.writable));
        live.uptime.set(snapshot.uptime.as_secs_f64());
        live.generations.clear();
        live.held.clear();
        live.candidates.clear();
        live.quarantined.clear();
        for view in snapshot.generations {
            let generation = view.generation.to_string();
            let labels =
                GenerationLabels { tenant: view.tenant.to_string(), generation, mode: Word(view.mode.as_str()) };
            live.generations.get_or_create(&labels).set(1);
            if view.configured != view.generation {
                live.held.get_or_create(&TenantLabels { tenant: Arc::clone(&view.tenant) }).set(1);
            }
            if let Some(candidate) = &view.candidate {
                let labels = CandidateLabels {
                    tenant: Arc::clone(&view.tenant),
                    generation: candidate.generation.to_string(),
                    standing: Word(candidate.standing),
                };
                live.candidates.get_or_create(&labels).set(1);
            }
            for plugin in view.plugins.iter().filter(|plugin| plugin.quarantined) {
                let labels = PluginOfLabels { tenant: Arc::clone(&view.tenant), plugin: Arc::clone(&plugin.name) };
                live.quarantined.get_or_create(&labels).set(1);
            }
        }
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

impl ChildMetrics {
    pub(crate) fn event(&self, upstream: &Arc<str>, event: &'static str) {
        self.events.get_or_create(&ChildLabels { upstream: Arc::clone(upstream), event: Word(event) }).inc();
    }

    /// Shows the wait as long as there is one.
    pub(crate) fn backs_off(&self, tenant: &Arc<str>, upstream: &Arc<str>, wait: Duration) {
        let labels = WaitLabels { tenant: Arc::clone(tenant), upstream: Arc::clone(upstream) };
        if wait.is_zero() {
            self.waits.remove(&labels);
        } else {
            self.waits.get_or_create(&labels).set(wait.as_secs_f64());
        }
    }
}

/// Counts something as present until it is dropped.
pub(crate) struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn door_word(door: Door) -> &'static str {
    match door {
        Door::Inspect => "inspect",
        Door::Mcp => "mcp",
        Door::Clavenar => "clavenar",
        Door::Arden => "arden",
        Door::Control => "control",
    }
}
