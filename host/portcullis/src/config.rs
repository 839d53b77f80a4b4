//! The configuration file: every key, its default and its meaning.
//!
//! `docs/configuration.md` is generated from the comments of this file.

mod channel;
mod locate;
mod outside;
mod registry;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_model::{Decision, Digest, Mode, Phase};
use portcullis_pipeline::MAX_KEPT;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use channel::{Channel, ChannelKind, Smtp, SmtpTls};
pub(crate) use locate::{ConfigError, Place};
pub(crate) use outside::{Judge, JudgeApi, JudgeTemplate, Outbound, Secret};
pub(crate) use registry::{Registries, RegistryHost, Trust, Unsigned};

/// The whole file. Unknown keys are refused; everything has a default.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Address of the HTTP listener. Beyond loopback it needs `[tls]`, tenants with credentials, and its name in
    /// `server.hosts`.
    pub listen: SocketAddr,
    /// HTTPS on the listener. Absent: plain HTTP.
    pub tls: Option<Tls>,
    /// Data folder: ledger, keys, compiled plugins. A relative path starts at the configuration file.
    pub data: PathBuf,
    /// Limits of the HTTP server.
    pub server: Server,
    /// The plugin engine.
    pub engine: Engine,
    /// The ledger.
    pub ledger: Ledger,
    /// Generations that are kept for going back.
    pub generations: Generations,
    /// Logs on standard error.
    pub logs: Logs,
    /// OpenTelemetry traces.
    pub traces: Traces,
    /// MCP servers that Portcullis stands in front of.
    pub upstream: Vec<Upstream>,
    /// Several of them under one endpoint. All of them together are served under `/mcp` without an entry here.
    pub federation: Vec<Federation>,
    /// Parked calls of MCP clients.
    pub mcp: Mcp,
    /// The Clavenar contract, for its published agent SDKs.
    pub clavenar: Clavenar,
    /// Parked calls.
    pub approvals: Approvals,
    /// How people are told of parked calls: see channels.md.
    pub channel: Vec<Channel>,
    /// The Arden contract, for its published client.
    pub arden: Arden,
    /// What plugins reach outside: see plugins/capabilities.md.
    pub outbound: Outbound,
    /// Secrets that plugins use and never see: see plugins/capabilities.md.
    pub secret: Vec<Secret>,
    /// Language models that plugins ask: see plugins/capabilities.md.
    pub judge: Vec<Judge>,
    /// Where plugins come from that are neither built in nor files.
    pub registry: Registries,
    /// Tenants. Without any, one tenant `default` with one open agent `local` is served, on loopback only.
    pub tenant: Vec<Tenant>,
}

/// Limits of the HTTP server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// Most connections at a time; more wait in the operating system's queue.
    pub connections: usize,
    /// Seconds a client may take to send its headers, and again for its body.
    pub read_timeout_seconds: u64,
    /// Seconds that calls in flight get to finish after SIGTERM.
    pub drain_seconds: u64,
    /// Host names, besides loopback names and addresses, under which browsers and clients may address this server.
    pub hosts: Vec<String>,
    /// Serve plain HTTP on an address beyond loopback: tokens and calls travel in the clear. Only for a network of its own
    /// behind a TLS proxy; credentials are needed all the same.
    pub plain_http_beyond_loopback: bool,
    /// Origins, besides loopback ones, from which web pages may call.
    pub origins: Vec<String>,
    /// Address under which people reach this server, for instance `https://gate.example`: decision links in messages begin with it.
    /// Its host is one of `hosts`. Default: messages have no links.
    pub public_url: Option<String>,
    /// Most MCP sessions at a time.
    pub mcp_sessions: usize,
    /// Minutes after which an idle MCP session is ended.
    pub mcp_idle_minutes: u64,
}

/// HTTPS on the listener. The files are read again when they change, and on SIGHUP.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Certificate chain in PEM, the server's own certificate first. A relative path starts at the configuration file.
    pub certificate: PathBuf,
    /// Its private key in PEM, without a passphrase.
    pub key: PathBuf,
    /// Certificates in PEM of the authorities that client certificates are verified against. Absent: clients are not asked
    /// for one. Name only authorities that you trust with every SPIFFE id that your agents list.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is let in, to send a token. Default with `client_ca`: `optional`.
    pub client_certificates: Option<ClientCertificates>,
    /// Seconds a client may take for its handshake.
    #[serde(default = "ten")]
    pub handshake_timeout_seconds: u64,
}

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientCertificates {
    /// One that is presented must be good.
    Optional,
    /// Nobody gets in without.
    Required,
}

/// The plugin engine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Engine {
    /// Most plugin instances at a time, all tenants together.
    pub slots: u32,
    /// KiB of memory that a slot keeps between calls; more makes guests that touch much memory faster.
    pub keep_resident_kib: usize,
    /// Plugins compiled at a time.
    pub compile_threads: usize,
}

/// Generations that are kept for going back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Generations {
    /// Earlier generations of each tenant that stay compiled in memory, 0 to 32; the one that the configuration says stays in any
    /// case. A change takes a restart.
    pub keep: usize,
}

/// The ledger.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ledger {
    /// MiB of cache, 16 to 256.
    pub cache_mib: u64,
    /// What is kept of arguments and results: only a salted commitment, or also the bytes, encrypted under a tenant key.
    pub evidence: Evidence,
}

/// What is kept of arguments and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Evidence {
    /// A salted commitment.
    Commitment,
    /// The commitment, and the bytes encrypted beside the chain.
    Sealed,
}

/// Logs on standard error.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Logs {
    /// Text for people or one JSON object per line.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,portcullis_engine=debug`.
    pub level: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// OpenTelemetry traces.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Traces {
    /// Base address of an OTLP/HTTP collector, for instance `http://127.0.0.1:4318`. Absent: no traces.
    pub otlp: Option<String>,
    /// Share of calls that are traced, 0 to 1.
    pub sample: Option<f64>,
}

/// One MCP server. Exactly one of `url` and `command` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// Name used in paths (`/mcp/NAME`), selectors and entries.
    pub name: String,
    /// Address of a Streamable HTTP server, for instance `http://127.0.0.1:3001/mcp`.
    pub url: Option<String>,
    /// Program and arguments of a stdio server. No shell is involved.
    pub command: Option<Vec<String>>,
    /// Environment of the stdio server, besides the few variables of Portcullis' own that every program needs (`PATH`, `HOME`,
    /// `USER`, `LOGNAME`, `SHELL`, `LANG`, `LC_ALL`, `TZ`, `TMPDIR`, `TERM`).
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether all sessions of a tenant share one process of the stdio server. Otherwise each session starts its own.
    #[serde(default)]
    pub shared: bool,
    /// Headers sent to the HTTP server, for instance its own credential. The caller's credential is never forwarded.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the server may not ask of clients: `sampling`, `elicitation`, `roots`. It is told that clients do not offer it.
    #[serde(default)]
    pub withhold: Vec<Withhold>,
    /// An access token for the HTTP server from an OAuth token endpoint, sent with every request.
    pub oauth: Option<Oauth>,
}

/// OAuth client credentials (RFC 6749 section 4.4) for an upstream. The client authenticates with HTTP Basic. Exactly one of
/// `client_secret_file` and `client_secret_env` is given; the upstream's `url` and `token_url` must be `https` or on loopback.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oauth {
    /// The token endpoint, for instance `https://id.example/oauth/token`.
    pub token_url: String,
    /// The client's id at the endpoint.
    pub client_id: String,
    /// File with the client's secret, read again for every token. A relative path starts at the configuration file.
    pub client_secret_file: Option<PathBuf>,
    /// Name of the environment variable with the client's secret.
    pub client_secret_env: Option<String>,
    /// Scopes to ask for, separated by spaces.
    pub scope: Option<String>,
    /// The server that the token is for (RFC 8707): usually the upstream's `url`.
    pub resource: Option<String>,
}

/// Something that servers ask of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Withhold {
    /// Answers of the client's language model.
    Sampling,
    /// Answers of the client's user.
    Elicitation,
    /// The folders that the client works in.
    Roots,
}

/// Several MCP servers under one endpoint: their tools are called `UPSTREAM__TOOL` there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Federation {
    /// Name used in the path (`/mcp/NAME`), unlike that of any upstream.
    pub name: String,
    /// Names of 1 to 64 upstreams, in the order in which their tools are listed.
    pub upstreams: Vec<String>,
}

/// Parked calls of MCP clients: how they wait for a person's decision.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mcp {
    /// Seconds for which the answer to a parked call is held open until it is decided; then the client is told to make the
    /// call again. Many clients give up after 60 seconds, which cancels the call. 0: it is told so at once.
    pub hold_seconds: u64,
    /// Most calls that are held at once.
    pub hold_calls: usize,
    /// Most of these of one agent.
    pub hold_calls_per_agent: usize,
    /// Address where people decide, with `{id}` in the place of the approval's id. Clients of 2026-07-28 that can open
    /// addresses for their users are sent there. Absent: nobody is.
    pub approval_url: Option<String>,
}

/// The door for Clavenar's agent SDKs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Clavenar {
    /// Body of a decision that allows: `verdict` (`{"verdict":"allow"}`, which all published SDKs take) or `contract` (the four
    /// members of the written contract, which the TypeScript and .NET SDKs refuse).
    pub allow: Allow,
}

/// How many parked calls there may be, and for how long an approval is good.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Approvals {
    /// Most undecided calls of a tenant; more are refused.
    pub pending_per_tenant: usize,
    /// Most undecided calls of an agent, so that one cannot crowd out the others.
    pub pending_per_agent: usize,
    /// Most parked calls of a tenant that are kept, decided ones included; the oldest decided ones make room.
    pub kept_per_tenant: usize,
    /// Seconds after the approval within which the call must be made.
    pub use_within_seconds: u64,
}

/// Body of a decision that allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Allow {
    /// `{"verdict":"allow"}`.
    #[default]
    Verdict,
    /// The four members of the written contract.
    Contract,
}

/// The door for Arden's client.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Arden {
    /// Where agents are told what was decided about their parked calls.
    pub webhook: Vec<ArdenWebhook>,
    /// What the tokens of models cost. The first that fits counts; a model without a price costs nothing and is marked.
    pub price: Vec<ArdenPrice>,
}

/// One agent's endpoint. Exactly one of `signing_key_file` and `signing_key_env` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArdenWebhook {
    /// Name of the agent's tenant.
    pub tenant: String,
    /// Name of the agent.
    pub agent: String,
    /// Only calls with keys of this side: `live` or `test`. Default: both.
    pub environment: Option<ArdenEnvironment>,
    /// The whole address, `https` unless `private_address` is set. Redirects are not followed.
    pub url: String,
    /// File with the signing key, 16 bytes or more. A relative path starts at the configuration file.
    pub signing_key_file: Option<PathBuf>,
    /// Name of the environment variable with the signing key.
    pub signing_key_env: Option<String>,
    /// Whether its name may stand for a private or loopback address, and the address be plain `http`.
    #[serde(default)]
    pub private_address: bool,
}

/// One side of an agent, chosen by what its key begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArdenEnvironment {
    /// Keys that do not begin with `arden_test_` or `test_`.
    Live,
    /// Keys that do.
    Test,
}

/// What the tokens of a model cost.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArdenPrice {
    /// The model's name, or what it begins with and `*`.
    pub model: String,
    /// US dollars for a million tokens of the prompt.
    pub prompt_usd: f64,
    /// US dollars for a million tokens of the completion.
    pub completion_usd: f64,
}

/// One tenant.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    /// Letters, digits, `.`, `_`, `-`; at most 63.
    pub name: String,
    /// Policy pack: `arden`, `baseline`, `observe`, `pinned`, `private`, `strict`, or the folder of your own pack. With `plugins` given,
    /// leave it out.
    pub policy: Option<String>,
    /// `enforce` or `observe`; default is the pack's, else `enforce`.
    #[schemars(with = "Option<String>")]
    pub mode: Option<Mode>,
    /// Judge a redacted payload once more before it is forwarded.
    #[serde(default)]
    pub inspect_redacted: bool,
    /// Which tools of MCP servers its agents may know of; in every mode.
    #[serde(default)]
    pub tools: Tools,
    /// How MCP clients are told of refused tool calls: `result`, a tool result with `isError` that the model reads, or
    /// `error`, a JSON-RPC error for the program.
    #[serde(default)]
    pub denials: Denials,
    /// Whose plugins it runs.
    #[serde(default)]
    pub trust: Trust,
    /// The pipeline, in order: detectors and rules.
    #[serde(default)]
    pub plugins: Vec<Plugin>,
    /// The router for calls that want review. With `policy`: in the place of the pack's.
    pub router: Option<Plugin>,
    /// Another pipeline that is tried beside this one: see live.md.
    pub candidate: Option<Candidate>,
    /// Keep what plugins were told: by others, and by the host of state, labels and files. Default: only its hash.
    pub answers: Option<Answers>,
    /// Who may call.
    #[serde(default)]
    pub agent: Vec<Agent>,
    /// Who may decide and administer.
    #[serde(default)]
    pub operator: Vec<Operator>,
}

/// Keeps what plugins of the tenant were told during calls, encrypted under the tenant's key: answers of hosts and of language
/// models, values of their state, labels. Entries name it by hash; `portcullis ledger answers` shows it. What plugins ask is not
/// kept, but answers may repeat arguments.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Answers {
    /// Hours for which it is kept, 1 to 8760.
    pub keep_hours: u32,
    /// Most that are kept at a time, one for each plugin of a call that was told something, 1 to 1,000,000. Beyond that new ones are
    /// not kept.
    pub most: u64,
    /// Most KiB of one, 1 to 1024. A longer one is not kept.
    pub most_kib: usize,
}

/// A pipeline that is tried beside the tenant's: on copies of calls (shadow), or on some of them with effect (canary). Its
/// mode is the tenant's. Give `policy` or `plugins`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Candidate {
    /// Policy pack, as for the tenant.
    pub policy: Option<String>,
    /// The pipeline, in order: detectors and rules.
    #[serde(default)]
    pub plugins: Vec<Plugin>,
    /// The router. With `policy`: in the place of the pack's.
    pub router: Option<Plugin>,
    /// Percentage of calls, 0 to 100, that it judges as well, without effect and off their path.
    #[serde(default)]
    pub shadow_percent: f64,
    /// Percentage of sessions, 0 to 100, whose calls it judges with effect; of agents, where calls have no session.
    #[serde(default)]
    pub canary_percent: f64,
    /// Globs of agents whose calls it judges with effect in any case.
    #[serde(default)]
    pub canary_agents: Vec<String>,
    /// What requests (`http`) and questions (`judge`) of its plugins come to while it judges copies of calls. `refuse`: they get
    /// the answer that the tenant's pipeline got to the same on the same call, else an error; nothing is sent. `send`: they
    /// are sent, and count for budgets. As a canary they are sent in any case.
    #[serde(default)]
    pub outside: Outward,
    /// When it is withdrawn as a canary.
    #[serde(default)]
    pub rollback: Rollback,
}

/// What reaching outside comes to on copies of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outward {
    /// Nothing is sent.
    #[default]
    Refuse,
    /// It is sent.
    Send,
}

/// When a canary is withdrawn: all calls go to the tenant's pipeline again at once, and the ledger says why.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rollback {
    /// Nothing is decided on fewer calls than this; where the two are compared, of either.
    pub min_calls: u64,
    /// Seconds for which calls count.
    pub window_seconds: u64,
    /// Most calls in which a plugin failed, but by its deadline, as a share from 0 to 1; 1 for any.
    pub max_trap_rate: f64,
    /// Most calls in which a plugin ran past its deadline, as a share; 1 for any.
    pub max_deadline_rate: f64,
    /// Longest median time of a call, as a multiple of that of the tenant's pipeline; 0 for any.
    pub max_latency_ratio: f64,
    /// Milliseconds within which 99 of 100 calls must be judged. Times are counted to a quarter more.
    pub max_p99_ms: Option<u64>,
    /// How far the share of denied calls may be from that of the tenant's pipeline, in either direction; 1 for any.
    pub max_deny_drift: f64,
}

/// Which tools may be known. A glob is written `TOOL` or `UPSTREAM/TOOL`, in either case; it knows `*`, `?`, `[…]` and
/// `{a,b}`. Any other tool is left out of lists and answers like one that the server does not have.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tools {
    /// Only these. Default: all.
    pub allow: Vec<String>,
    /// Not these, even if they are allowed.
    pub hide: Vec<String>,
}

/// How refused tool calls are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Denials {
    /// As a tool result with `isError`.
    #[default]
    Result,
    /// As a JSON-RPC error.
    Error,
}

/// One plugin of a pipeline.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plugin {
    /// Name in the pipeline: shown in reasons, findings, metrics and entries.
    pub name: String,
    /// A built-in plugin's name, the path of a `.wasm` file, `FOLDER/NAME` or `FOLDER/NAME@VERSION` for a file in a folder of
    /// plugins, or `oci://HOST/REPOSITORY:TAG` for one in a registry. `@sha256:…` behind any but the first pins it. Default: the
    /// name.
    pub plugin: Option<String>,
    /// The plugin's own configuration; see its page.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub config: toml::Table,
    /// Capabilities given to the plugin.
    #[serde(default)]
    pub grants: Grants,
    /// Limits of one call of the plugin.
    #[serde(default)]
    pub limits: Limits,
    /// How its instances are made and used.
    #[serde(default)]
    pub instances: Instances,
    /// Which calls it sees. Default: all.
    #[serde(default)]
    pub select: Select,
    /// What happens when it fails: `closed` denies, `review` asks a person, `open` goes on without it.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// When it is not asked any more because it keeps failing. Default: as the table's defaults say; never with
    /// `on_failure = "open"`, where whoever makes it fail would switch it off for others.
    pub quarantine: Option<Quarantine>,
    /// Skip the rest of the pipeline once the verdict is at least this strong.
    #[schemars(with = "Option<String>")]
    pub stop_on: Option<Decision>,
}

/// When a plugin that keeps failing is not asked for a while. What counts then is its `on_failure`, with the code
/// `plugin_quarantined`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Quarantine {
    /// So many faults, 0 for never …
    pub faults: u32,
    /// … among so many of its latest calls, at most 1,000 …
    pub calls: u32,
    /// … within so many seconds.
    pub window_seconds: u64,
    /// Seconds until one call is let through to it as a probe.
    pub cooldown_seconds: u64,
    /// Probes in a row that it must answer to be asked as ever.
    pub probes: u32,
}

/// What happens when a plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// Deny the call.
    #[default]
    Closed,
    /// Go on without the plugin.
    Open,
    /// Ask a person.
    Review,
}

/// Capabilities given to a plugin. What is not granted is not there: a plugin that imports it is not loaded.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Grants {
    /// The time of the call.
    pub clock: bool,
    /// Counters and small values of this plugin in this tenant.
    pub state: bool,
    /// Labels carried along a session.
    pub labels: bool,
    /// Read-only folders: name and path. A relative path starts at the configuration file.
    pub files: BTreeMap<String, PathBuf>,
    /// WASI for language runtimes that need it, with everything denied.
    pub locked_wasi: bool,
    /// Asking a language model, with the prompt templates of these ids.
    pub judge: Vec<String>,
    /// Requests to these hosts: `api.example.com`, `*.example.com`, `api.example.com:8443`. `https` only, unless written
    /// `http://HOST:PORT`, and that only within `http_networks`. Give such a plugin a `deadline_ms` of seconds.
    pub http: Vec<String>,
    /// Networks that these hosts may be in although they are not public, for instance `10.1.0.0/16`.
    pub http_networks: Vec<String>,
    /// Secrets by name, used in headers of its requests.
    pub secrets: Vec<String>,
}

/// Limits of one call of a plugin.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Fuel: about one unit per WebAssembly instruction. Default 20 million.
    pub fuel: Option<u64>,
    /// Fuel of `configure`, once per configuration.
    pub configure_fuel: Option<u64>,
    /// MiB of memory. Default 64.
    pub memory_mib: Option<usize>,
    /// Milliseconds of wall-clock time. Default 100.
    pub deadline_ms: Option<u64>,
    /// Calls into the host. Default 1,000.
    pub host_calls: Option<u32>,
    /// KiB of its answer. Default 256.
    pub output_kib: Option<usize>,
}

/// How the instances of a plugin are made and used. Each call has a fresh one unless `reuse` says otherwise.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Instances {
    /// Instances that are made ahead of calls, at most 64; worth it for large interpreters. Default: 4 where the configured
    /// memory cannot be kept (`portcullis plugin inspect` says so), else 0.
    pub ahead: Option<u16>,
    /// Calls that one instance answers, at most 100,000. With more than 1 a call can see what an earlier one of this tenant
    /// left in the plugin's memory, and fuel is not the same at each replay.
    pub reuse: u32,
}

impl Default for Instances {
    fn default() -> Self {
        Self { ahead: None, reuse: 1 }
    }
}

/// Which calls a plugin sees. Every list given must match; globs know `*`, `?` and `[…]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Select {
    /// Tool name globs.
    pub tools: Vec<String>,
    /// Upstream name globs.
    pub upstreams: Vec<String>,
    /// Phases: `call`, `result`, `listing`, `message`.
    #[schemars(with = "Vec<String>")]
    pub phases: Vec<Phase>,
    /// Agent name globs.
    pub agents: Vec<String>,
}

/// One agent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agent {
    /// Letters, digits, `.`, `_`, `-`; at most 63.
    pub name: String,
    /// SHA-256 of its tokens, as `portcullis token` prints them. Several make rotation possible.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub token_sha256: Vec<Digest>,
    /// SPIFFE ids of its client certificates, for instance `spiffe://acme/agents/bot`: with one of them it needs no token.
    /// `/*` at the end of an id stands for any one segment, such as the name of an instance. Needs `tls.client_ca`.
    #[serde(default)]
    pub spiffe: Vec<String>,
    /// What the agent is for.
    pub persona: Option<String>,
    /// Whether its answers may carry findings and costs.
    #[serde(default = "yes")]
    pub explain: bool,
    /// Refuse everything it asks.
    #[serde(default)]
    pub halted: bool,
    /// Most calls.
    pub rate: Option<Rate>,
    /// Which tools it may know of, of those that its tenant's agents may know.
    #[serde(default)]
    pub tools: Tools,
}

/// Most calls of an agent.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    /// Calls per second in the long run.
    pub per_second: f64,
    /// Calls at once.
    pub burst: u32,
}

/// One operator.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operator {
    /// Letters, digits, `.`, `_`, `-`; at most 63.
    pub name: String,
    /// SHA-256 of its tokens, as `portcullis token` prints them.
    #[schemars(with = "Vec<String>")]
    pub token_sha256: Vec<Digest>,
    /// `viewer`, `approver`, `admin`, and roles of your own that routers name.
    pub roles: Vec<String>,
    /// Agents of the tenant that this person runs: it approves none of their calls.
    #[serde(default)]
    pub runs: Vec<String>,
}

/// A policy pack: the plugins of a tenant under a name, with its tests beside it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pack {
    /// Name of the pack.
    #[expect(dead_code, reason = "read by people and tools; the path names the pack here")]
    pub name: String,
    /// One sentence.
    #[expect(dead_code, reason = "read by people and tools")]
    pub description: Option<String>,
    /// Mode of tenants that do not say.
    pub mode: Option<Mode>,
    /// The pipeline, in order.
    #[serde(default)]
    pub plugins: Vec<Plugin>,
    /// The router.
    pub router: Option<Plugin>,
}

fn yes() -> bool {
    true
}

fn ten() -> u64 {
    10
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            tls: None,
            data: PathBuf::from("portcullis-data"),
            server: Server::default(),
            engine: Engine::default(),
            ledger: Ledger::default(),
            generations: Generations::default(),
            logs: Logs::default(),
            traces: Traces::default(),
            upstream: Vec::new(),
            federation: Vec::new(),
            mcp: Mcp::default(),
            clavenar: Clavenar::default(),
            approvals: Approvals::default(),
            channel: Vec::new(),
            arden: Arden::default(),
            outbound: Outbound::default(),
            secret: Vec::new(),
            judge: Vec::new(),
            registry: Registries::default(),
            tenant: Vec::new(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            connections: 4096,
            read_timeout_seconds: 30,
            drain_seconds: 30,
            hosts: Vec::new(),
            plain_http_beyond_loopback: false,
            origins: Vec::new(),
            public_url: None,
            mcp_sessions: 1024,
            mcp_idle_minutes: 60,
        }
    }
}

impl Default for Approvals {
    fn default() -> Self {
        Self { pending_per_tenant: 1000, pending_per_agent: 100, kept_per_tenant: 4000, use_within_seconds: 15 * 60 }
    }
}

impl Default for Mcp {
    fn default() -> Self {
        Self { hold_seconds: 45, hold_calls: 1024, hold_calls_per_agent: 64, approval_url: None }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self { slots: 256, keep_resident_kib: 128, compile_threads: 1 }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self { cache_mib: 48, evidence: Evidence::Commitment }
    }
}

impl Default for Generations {
    fn default() -> Self {
        Self { keep: 5 }
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self { keep_hours: 168, most: 10_000, most_kib: 64 }
    }
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            min_calls: 20,
            window_seconds: 300,
            max_trap_rate: 0.05,
            max_deadline_rate: 0.05,
            max_latency_ratio: 5.0,
            max_p99_ms: None,
            max_deny_drift: 0.25,
        }
    }
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { faults: 10, calls: 20, window_seconds: 60, cooldown_seconds: 30, probes: 1 }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl Answers {
    fn check(&self, key: &str, place: &Place) -> Result<(), ConfigError> {
        let Self { keep_hours, most, most_kib } = *self;
        let bad = [
            ("keep_hours", !(1..=8760).contains(&keep_hours), "give 1 to 8760 hours"),
            ("most", !(1..=1_000_000).contains(&most), "give 1 to 1000000"),
            ("most_kib", !(1..=1024).contains(&most_kib), "give 1 to 1024 KiB"),
        ];
        let bad = bad.into_iter().find(|(_, bad, _)| *bad);
        bad.map_or(Ok(()), |(name, _, why)| Err(place.error(&format!("{key}.{name}"), why)))
    }
}

impl Candidate {
    fn check(&self, key: &str, place: &Place) -> Result<(), ConfigError> {
        if self.policy.is_some() != self.plugins.is_empty() {
            return Err(place.error(key, "give either `policy` or `plugins`; a `router` goes with both"));
        }
        for (name, percent) in [("shadow_percent", self.shadow_percent), ("canary_percent", self.canary_percent)] {
            if !(0.0..=100.0).contains(&percent) {
                return Err(place.error(&format!("{key}.{name}"), "give a number from 0 to 100"));
            }
        }
        let rollback = &self.rollback;
        let shares = [
            ("max_trap_rate", rollback.max_trap_rate),
            ("max_deadline_rate", rollback.max_deadline_rate),
            ("max_deny_drift", rollback.max_deny_drift),
        ];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(place.error(&format!("{key}.rollback.{name}"), "a share is a number from 0 to 1"));
            }
        }
        if !(rollback.max_latency_ratio >= 0.0 && rollback.max_latency_ratio.is_finite()) {
            return Err(place.error(&format!("{key}.rollback.max_latency_ratio"), "give a number, 0 for any"));
        }
        if !(1..=A_DAY).contains(&rollback.window_seconds) {
            let why = format!("give 1 to {A_DAY} seconds");
            return Err(place.error(&format!("{key}.rollback.window_seconds"), why));
        }
        if rollback.min_calls == 0 {
            return Err(place.error(&format!("{key}.rollback.min_calls"), "give at least 1"));
        }
        Ok(())
    }
}

impl Server {
    /// The host of `public_url`, with its port; none if that is no plain address.
    pub(crate) fn public_host(&self) -> Option<&str> {
        let url = self.public_url.as_deref()?;
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let host = rest.split('/').next()?;
        let plain =
            |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '"' | '<' | '>' | '|' | '\\' | '`');
        (!host.is_empty() && rest.chars().all(plain)).then_some(host)
    }
}

/// Longest time that can be configured, in seconds.
const A_DAY: u64 = 86_400;
/// All approvals are held in memory, about 2 KiB each.
const MOST_APPROVALS: usize = 100_000;

impl Config {
    /// Reads and checks a file. Relative paths in it start at its folder.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, has an unknown key or a value that does not fit.
    pub(crate) fn read(path: &Path) -> Result<(Self, Place), ConfigError> {
        let place = Place::read(path)?;
        let mut config: Self = place.parse()?;
        config.data = place.relative(&config.data);
        if let Some(tls) = &mut config.tls {
            for path in [&mut tls.certificate, &mut tls.key].into_iter().chain(&mut tls.client_ca) {
                *path = place.relative(path);
            }
        }
        for oauth in config.upstream.iter_mut().filter_map(|upstream| upstream.oauth.as_mut()) {
            if let Some(path) = &mut oauth.client_secret_file {
                *path = place.relative(path);
            }
        }
        config.channel.iter_mut().for_each(|channel| channel.relative_to(&place));
        config.registry.relative_to(&place);
        for webhook in &mut config.arden.webhook {
            if let Some(path) = &mut webhook.signing_key_file {
                *path = place.relative(path);
            }
        }
        config.outbound.relative_to(&place);
        config.secret.iter_mut().for_each(|secret| secret.relative_to(&place));
        config.judge.iter_mut().for_each(|judge| judge.relative_to(&place));
        config.check(&place)?;
        Ok((config, place))
    }

    fn check(&self, place: &Place) -> Result<(), ConfigError> {
        self.check_listener(place)?;
        let server = &self.server;
        if server.connections == 0 {
            return Err(place.error("server.connections", "nobody could connect; give at least 1"));
        }
        if !(1..=A_DAY).contains(&server.read_timeout_seconds) {
            return Err(place.error("server.read_timeout_seconds", format!("give 1 to {A_DAY} seconds")));
        }
        if server.drain_seconds > A_DAY {
            return Err(place.error("server.drain_seconds", format!("give at most {A_DAY} seconds")));
        }
        self.check_mcp(place)?;
        if server.public_url.is_some() && server.public_host().is_none() {
            return Err(place.error("server.public_url", "give an address such as https://gate.example"));
        }
        for (index, channel) in self.channel.iter().enumerate() {
            channel.check(&format!("channel[{index}]"), place)?;
        }
        for (index, upstream) in self.upstream.iter().enumerate() {
            let key = format!("upstream[{index}]");
            if upstream.url.is_some() == upstream.command.is_some() {
                return Err(place.error(&key, "give exactly one of `url` and `command`"));
            }
            if upstream.command.as_ref().is_some_and(Vec::is_empty) {
                return Err(place.error(&format!("{key}.command"), "a program is needed"));
            }
            if upstream.shared && upstream.command.is_none() {
                return Err(place.error(&format!("{key}.shared"), "only a `command` can be shared"));
            }
            if let Some(oauth) = &upstream.oauth {
                if upstream.url.is_none() {
                    return Err(place.error(&format!("{key}.oauth"), "only an upstream with a `url` takes a token"));
                }
                if oauth.client_secret_file.is_some() == oauth.client_secret_env.is_some() {
                    let why = "give exactly one of `client_secret_file` and `client_secret_env`";
                    return Err(place.error(&format!("{key}.oauth"), why));
                }
            }
            if self.upstream.iter().take(index).any(|other| other.name == upstream.name) {
                return Err(place.error(&format!("{key}.name"), "the name is taken by another upstream"));
            }
        }
        for (index, federation) in self.federation.iter().enumerate() {
            let key = format!("federation[{index}]");
            let taken = self.federation.iter().take(index).any(|other| other.name == federation.name);
            if taken || self.upstream.iter().any(|upstream| upstream.name == federation.name) {
                return Err(place.error(&format!("{key}.name"), "the name is taken by an upstream or a federation"));
            }
            if !(1..=64).contains(&federation.upstreams.len()) {
                return Err(place.error(&format!("{key}.upstreams"), "give 1 to 64 names of upstreams"));
            }
        }
        self.check_arden(place)?;
        self.registry.check(place)?;
        for (index, tenant) in self.tenant.iter().enumerate() {
            let key = format!("tenant[{index}]");
            if self.tenant.iter().take(index).any(|other| other.name == tenant.name) {
                return Err(place.error(&format!("{key}.name"), "the name is taken by another tenant"));
            }
            let by_certificate = tenant.agent.iter().position(|agent| !agent.spiffe.is_empty());
            if let Some(index) = by_certificate.filter(|_| !self.asks_for_certificates()) {
                let why = "no client is asked for a certificate: give `tls.client_ca`, or remove the ids";
                return Err(place.error(&format!("{key}.agent[{index}].spiffe"), why));
            }
            if tenant.policy.is_some() && !tenant.plugins.is_empty() {
                let why = "give either `policy` or `plugins`; a `router` goes with both";
                return Err(place.error(&format!("{key}.policy"), why));
            }
            if let Some(answers) = &tenant.answers {
                answers.check(&format!("{key}.answers"), place)?;
            }
            if let Some(candidate) = &tenant.candidate {
                candidate.check(&format!("{key}.candidate"), place)?;
            }
            for (position, plugin) in tenant.plugins.iter().enumerate() {
                if tenant.plugins.iter().take(position).any(|other| other.name == plugin.name) {
                    let key = format!("{key}.plugins[{position}].name");
                    return Err(place.error(&key, "the name is taken by another plugin of this tenant"));
                }
            }
        }
        if !(16..=256).contains(&self.ledger.cache_mib) {
            return Err(place.error("ledger.cache_mib", "16 to 256 MiB"));
        }
        if self.generations.keep > MAX_KEPT {
            return Err(place.error("generations.keep", format!("give 0 to {MAX_KEPT}")));
        }
        self.check_approvals(place)?;
        self.outbound.check(place)?;
        for (index, secret) in self.secret.iter().enumerate() {
            secret.check(&format!("secret[{index}]"), place)?;
        }
        for (index, judge) in self.judge.iter().enumerate() {
            judge.check(&format!("judge[{index}]"), place)?;
        }
        if self.traces.sample.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(place.error("traces.sample", "a share is a number from 0 to 1"));
        }
        Ok(())
    }

    fn check_approvals(&self, place: &Place) -> Result<(), ConfigError> {
        let Approvals { pending_per_tenant, pending_per_agent, kept_per_tenant, use_within_seconds } = self.approvals;
        if !(1..=MOST_APPROVALS).contains(&pending_per_tenant) {
            return Err(place.error("approvals.pending_per_tenant", format!("give 1 to {MOST_APPROVALS}")));
        }
        if !(1..=pending_per_tenant).contains(&pending_per_agent) {
            let why = "give at least 1 and at most `approvals.pending_per_tenant`";
            return Err(place.error("approvals.pending_per_agent", why));
        }
        if !(pending_per_tenant..=MOST_APPROVALS).contains(&kept_per_tenant) {
            let why = format!("give at least `approvals.pending_per_tenant` and at most {MOST_APPROVALS}");
            return Err(place.error("approvals.kept_per_tenant", why));
        }
        if !(1..=A_DAY).contains(&use_within_seconds) {
            return Err(place.error("approvals.use_within_seconds", format!("give 1 to {A_DAY} seconds")));
        }
        Ok(())
    }

    fn check_arden(&self, place: &Place) -> Result<(), ConfigError> {
        for (index, webhook) in self.arden.webhook.iter().enumerate() {
            let key = format!("arden.webhook[{index}]");
            if webhook.signing_key_file.is_some() == webhook.signing_key_env.is_some() {
                return Err(place.error(&key, "give exactly one of `signing_key_file` and `signing_key_env`"));
            }
            let tenant = self.tenant.iter().find(|tenant| tenant.name == webhook.tenant);
            if !tenant.is_some_and(|tenant| tenant.agent.iter().any(|agent| agent.name == webhook.agent)) {
                return Err(place.error(&format!("{key}.agent"), "there is no such agent in this tenant"));
            }
            let same = |other: &ArdenWebhook| {
                let side = other.environment == webhook.environment
                    || other.environment.is_none()
                    || webhook.environment.is_none();
                other.tenant == webhook.tenant && other.agent == webhook.agent && side
            };
            if self.arden.webhook.iter().take(index).any(same) {
                return Err(place.error(&key, "another webhook is for the same agent and side"));
            }
        }
        Ok(())
    }

    fn check_mcp(&self, place: &Place) -> Result<(), ConfigError> {
        let mcp = &self.mcp;
        if mcp.hold_seconds > A_DAY {
            return Err(place.error("mcp.hold_seconds", format!("give at most {A_DAY} seconds")));
        }
        if let Some(address) = &mcp.approval_url {
            let web = ["http://", "https://"].iter().any(|scheme| address.starts_with(scheme));
            if !web || !address.contains("{id}") || address.chars().any(|c| c.is_whitespace() || c.is_control()) {
                let why = "give an http or https address with {id} in the place of the approval's id";
                return Err(place.error("mcp.approval_url", why));
            }
        }
        Ok(())
    }

    fn asks_for_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    fn check_listener(&self, place: &Place) -> Result<(), ConfigError> {
        if let Some(tls) = &self.tls {
            if tls.client_certificates.is_some() && tls.client_ca.is_none() {
                let why = "give `tls.client_ca`, the authorities to verify them against";
                return Err(place.error("tls.client_certificates", why));
            }
            if !(1..=A_DAY).contains(&tls.handshake_timeout_seconds) {
                return Err(place.error("tls.handshake_timeout_seconds", format!("give 1 to {A_DAY} seconds")));
            }
        }
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        if self.tls.is_none() && !self.server.plain_http_beyond_loopback {
            let why = "beyond loopback tokens and calls would travel in the clear: give `[tls]` a certificate and a key, or \
                       listen on a loopback address; behind a TLS proxy on a network of its own, set \
                       `server.plain_http_beyond_loopback`";
            return Err(place.error("listen", why));
        }
        if self.tenant.is_empty() {
            let why = "without tenants nobody needs a credential, and everybody beyond loopback could call and administer: \
                       configure a `[[tenant]]` with agents, or listen on a loopback address";
            return Err(place.error("listen", why));
        }
        if self.server.hosts.is_empty() {
            let why = "name the host under which clients beyond loopback address this server; others are refused";
            return Err(place.error("server.hosts", why));
        }
        Ok(())
    }

    /// JSON Schema of the file, from which the reference page is written.
    pub(crate) fn schema() -> schemars::Schema {
        schemars::schema_for!(Config)
    }
}

#[cfg(test)]
mod tests;
