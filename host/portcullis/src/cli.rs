//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use portcullis_engine::{MAX_AHEAD, MAX_REUSE};
use portcullis_model::{Digest, Phase, Role};
use portcullis_project::Language;
use uuid::Uuid;

/// Stands between agents and their tools: inspects every call with sandboxed plugins, decides, and keeps the proof.
///
/// Exit codes: 0 allow, redact (to be run with the arguments that it prints), approved or good, 2 deny or bad, 3 review that waits, 1 could not tell.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    Serve(Serve),
    /// Stand in front of one stdio MCP server: `portcullis wrap -- COMMAND …` takes its place in the client's configuration.
    Wrap(Wrap),
    /// Read and build a configuration without serving: says exactly what is wrong, or what would run.
    Check(Check),
    /// Judge one call: asks the running server, or evaluates here with --offline.
    Inspect(Inspect),
    /// Read and verify the ledger.
    #[command(subcommand)]
    Ledger(Ledger),
    /// See what waits for a person, and decide it
    #[command(subcommand)]
    Approvals(Approvals),
    /// See which pipeline is in force and which were before, compare them, and go back.
    #[command(subcommand)]
    Generations(Generations),
    /// See what tools are pinned to, and accept definitions that changed.
    #[command(subcommand)]
    Pins(Pins),
    /// Write, build, test, sign and look at plugins, and exchange them with registries.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Score detectors on labelled texts: as they are built, in the engine, or as a server answers. Beside a list of keywords.
    Eval(Eval),
    /// Make a token: the token for its holder, its SHA-256 for the configuration file.
    Token {
        /// What it begins with. Arden's keys for tests begin with `arden_test_`.
        #[arg(long, default_value = "pct_")]
        prefix: String,
    },
    /// Print the reference of the configuration file.
    Reference {
        /// Markdown for people or JSON Schema for editors.
        #[arg(long, value_enum, default_value_t = ReferenceFormat::Markdown)]
        format: ReferenceFormat,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    #[command(flatten)]
    pub place: Where,
    /// A file of labelled texts, or a folder of `*.jsonl`: one JSON object in a line with `text` and `label` (1: attack, 0: benign), and
    /// `kind`, `source`, `phase`, `tool`, `task`, `persona` where there are such.
    #[arg(value_name = "FILE|DIR")]
    pub texts: PathBuf,
    /// A detector: a built-in one by name, or the file of a component. Repeatable; all built-in ones if not given.
    #[arg(long = "plugin", value_name = "NAME|FILE")]
    pub plugins: Vec<String>,
    /// Ask the inspect API of a server instead. Each text is a call there, with its entry in the ledger.
    #[arg(long, value_name = "URL", conflicts_with = "plugins")]
    pub api: Option<String>,
    /// Bearer token of an agent, for --api.
    #[arg(long, env = "PORTCULLIS_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The score from which findings count where they are used.
    #[arg(long, default_value_t = 0.8, value_parser = share)]
    pub threshold: f32,
    /// Draw receiver operating characteristics and reliability into this folder, as SVG.
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Where configuration and data are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// Configuration file. Without one: one tenant `default`, one open agent `local`, the baseline policy.
    #[arg(long, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder; takes the place of the configuration's.
    #[arg(long, env = "PORTCULLIS_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub place: Where,
    /// Address to listen on; takes the place of the configuration's. Port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// An MCP server to stand in front of, served at /mcp/NAME, and at /mcp together with the others. Repeatable.
    #[arg(long = "upstream", value_name = "NAME=URL|NAME=stdio:COMMAND")]
    pub upstreams: Vec<String>,
    /// Once, after a restore: take the ledger as it is although its head file is missing or knows of later entries.
    #[arg(long)]
    pub adopt: bool,
    /// Print the address as one JSON line for programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Wrap {
    #[command(flatten)]
    pub place: Where,
    /// Tenant to judge under.
    #[arg(long, default_value = "default")]
    pub tenant: String,
    /// Agent to judge and record under.
    #[arg(long, default_value = "local")]
    pub agent: String,
    /// Name of the upstream in selectors and entries. Default: the program's file name.
    #[arg(long)]
    pub name: Option<String>,
    /// Approvals and pins may be decided on the command line while this runs. Then whatever runs as your user can decide them:
    /// also the wrapped server, and an agent with a shell.
    #[arg(long)]
    pub decide: bool,
    /// The MCP server's command and arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Configuration file.
    #[arg(long, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Report as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub place: Where,
    /// Tool name.
    #[arg(long)]
    pub tool: String,
    /// Arguments as JSON, or @FILE.
    #[arg(long, default_value = "{}", value_name = "JSON|@FILE")]
    pub arguments: String,
    /// Content as JSON, or @FILE, for the phases result, listing and message.
    #[arg(long, value_name = "JSON|@FILE")]
    pub content: Option<String>,
    /// What is inspected.
    #[arg(long, value_enum, default_value_t = PhaseArg::Call)]
    pub phase: PhaseArg,
    /// Run of the agent.
    #[arg(long)]
    pub session: Option<String>,
    /// Upstream that owns the tool.
    #[arg(long)]
    pub upstream: Option<String>,
    /// What the user asked for.
    #[arg(long)]
    pub task: Option<String>,
    /// Evaluate here, without a server; nothing is recorded.
    #[arg(long)]
    pub offline: bool,
    /// Tenant to evaluate for with --offline.
    #[arg(long, default_value = "default")]
    pub tenant: String,
    /// Address of the server. Default: the one that runs on the data folder.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Agent token, if the server asks for one.
    #[arg(long, env = "PORTCULLIS_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PhaseArg {
    Call,
    Result,
    Listing,
    Message,
}

impl From<PhaseArg> for Phase {
    fn from(phase: PhaseArg) -> Self {
        match phase {
            PhaseArg::Call => Self::Call,
            PhaseArg::Result => Self::Result,
            PhaseArg::Listing => Self::Listing,
            PhaseArg::Message => Self::Message,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Print the last entries, oldest first.
    Show {
        #[command(flatten)]
        log: Log,
        /// First sequence number. Default: the last `limit` entries.
        #[arg(long)]
        from: Option<u64>,
        /// Most entries.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Check every entry, the chain and the head.
    Verify {
        #[command(flatten)]
        log: Log,
    },
    /// Print the newest sequence number and hash.
    Head {
        #[command(flatten)]
        log: Log,
    },
    /// Print the payload of an entry that was kept sealed (`ledger.evidence = "sealed"`), while no server runs.
    Payload {
        #[command(flatten)]
        log: Log,
        /// Sequence number.
        seq: u64,
    },
    /// Print what a plugin was told during a call, where the tenant keeps it (`[tenant.answers]`). Its SHA-256 is the digest.
    Answers {
        #[command(flatten)]
        log: Log,
        /// `answers` of a plugin in an entry: `sha256:…`.
        #[arg(value_name = "DIGEST")]
        digest: Digest,
    },
    /// Write a log as a file that `portcullis-ledger-verify` and strangers can check.
    Export {
        #[command(flatten)]
        log: Log,
        /// File to write; `-` is standard output.
        #[arg(long, short, default_value = "-")]
        output: PathBuf,
        /// What the file is: our own format, or a SQLite database that Clavenar's tools read and verify.
        #[arg(long, value_enum, default_value_t = ExportFormat::Portcullis)]
        format: ExportFormat,
    },
}

/// What an exported log is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Lines of JSON with the canonical bytes of every entry.
    Portcullis,
    /// SQLite, a row of the contract's version 1 for every entry, chained anew.
    Clavenar,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// Print what waits, newest first.
    List {
        #[command(flatten)]
        log: Log,
        /// What was decided or used, too.
        #[arg(long)]
        all: bool,
        /// Only calls of this agent.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        /// Only calls of this tool.
        #[arg(long, value_name = "NAME")]
        tool: Option<String>,
        /// Only calls that were held for this code.
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
    },
    /// Print one: what the call is, why it was held, who may decide and who has. No arguments: they are not kept.
    Show {
        #[command(flatten)]
        log: Log,
        /// Id of the approval.
        id: Uuid,
    },
    /// Print what waits, then what is newly parked and how each ends, until interrupted.
    Watch {
        #[command(flatten)]
        log: Log,
    },
    /// Print messages about parked calls that are not delivered: those that wait for another try, and dead ones with the reason.
    Outbox {
        #[command(flatten)]
        log: Log,
        /// Id of a message to send now, dead or not.
        #[arg(long, value_name = "ID")]
        retry: Option<Uuid>,
    },
    /// Let the call go through once: the next one exactly like it, of the same agent. `portcullis inspect` uses it up, too.
    Approve {
        #[command(flatten)]
        log: Log,
        /// Ids of one or more approvals.
        #[arg(required = true, num_args = 1..=100)]
        id: Vec<Uuid>,
        /// Digest of the call as it was shown. Wanted where an approver has changed the arguments, for one approval at a time.
        #[arg(long)]
        digest: Option<String>,
        /// Why; it is kept with the approval, and shown by `approvals show`.
        #[arg(long)]
        comment: Option<String>,
    },
    /// Refuse the call.
    Deny {
        #[command(flatten)]
        log: Log,
        /// Ids of one or more approvals.
        #[arg(required = true, num_args = 1..=100)]
        id: Vec<Uuid>,
        /// Why; it is kept with the approval, and shown by `approvals show`.
        #[arg(long)]
        comment: Option<String>,
    },
    /// Tell others that you look at a parked call, for five minutes. It keeps nobody from deciding.
    Claim {
        #[command(flatten)]
        log: Log,
        /// Id of the approval.
        id: Uuid,
        /// Give the claim back.
        #[arg(long)]
        release: bool,
    },
    /// Say something of a parked call, also after it was decided.
    Comment {
        #[command(flatten)]
        log: Log,
        /// Id of the approval.
        id: Uuid,
        /// What.
        text: String,
    },
    /// Replace values in the arguments of a parked call, where its router allows that; without `--set`, print the arguments.
    /// Strings, numbers and truth values are replaced by others of their type; the call is judged again, and votes begin anew.
    Modify {
        #[command(flatten)]
        log: Log,
        /// Id of the approval.
        id: Uuid,
        /// JSON pointer and JSON value: `/amount=50`, `/note="less"`.
        #[arg(long = "set", value_name = "POINTER=JSON")]
        set: Vec<String>,
        /// Why; it is kept with the approval, and shown by `approvals show`.
        #[arg(long)]
        comment: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Generations {
    /// Print the generation in force (`*`) and those kept before it, latest first.
    List {
        #[command(flatten)]
        log: Log,
    },
    /// Print one: its plugins and how they are doing. Default: the one in force.
    Show {
        #[command(flatten)]
        log: Log,
        /// Its name or how that begins.
        generation: Option<String>,
    },
    /// Print what differs between two of them. Default: between the one before and the one in force. Exit code 2 if anything does.
    Diff {
        #[command(flatten)]
        log: Log,
        /// Name of the one before, or how it begins.
        from: Option<String>,
        /// Name of the one after, or how it begins. Default: the one in force.
        to: Option<String>,
    },
    /// Put a kept generation in force, until the tenant's configuration changes or the server starts anew.
    Activate {
        #[command(flatten)]
        log: Log,
        /// Its name or how that begins.
        generation: String,
    },
    /// Print what the configuration's candidate said of copies of calls, and how it does as a canary.
    Report {
        #[command(flatten)]
        log: Log,
    },
    /// Put the candidate in force.
    Promote {
        #[command(flatten)]
        log: Log,
        /// Also if it was withdrawn by its bounds.
        #[arg(long)]
        withdrawn: bool,
    },
    /// Try the candidate no longer.
    Drop {
        #[command(flatten)]
        log: Log,
    },
    /// Put the generation before the present one in force; a second time, the present one again.
    Rollback {
        #[command(flatten)]
        log: Log,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pins {
    /// Print every tool that was listed, and how its latest definition stands to the accepted one.
    List {
        #[command(flatten)]
        log: Log,
        /// Only what waits to be accepted.
        #[arg(long)]
        waiting: bool,
    },
    /// Show how the definition that waits differs from the accepted one. Exit code 2 if one waits.
    Diff {
        #[command(flatten)]
        log: Log,
        /// Name of the tool, UPSTREAM/TOOL, or the pin's id.
        name: String,
    },
    /// Accept the definition that waits.
    Accept {
        #[command(flatten)]
        log: Log,
        /// Name of the tool, UPSTREAM/TOOL, or the pin's id.
        name: String,
        /// Its digest, as `diff` showed it: nothing else is accepted. Default: what this command itself shows.
        #[arg(long, value_name = "SHA256")]
        digest: Option<String>,
    },
}

/// Which tenant, and how it is shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct Log {
    #[command(flatten)]
    pub place: Where,
    /// Tenant.
    #[arg(long, default_value = "default")]
    pub tenant: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Make a project: source, manifest, cases, and the SDK of its language.
    New {
        /// Name of the plugin: letters, digits, `.`, `_`, `-`.
        name: String,
        /// rust, ts, js, python, go, c, zig or assemblyscript.
        #[arg(long, value_parser = parse_language)]
        lang: Language,
        /// What it is.
        #[arg(long, value_enum, default_value_t = RoleArg::Detector)]
        role: RoleArg,
        /// Folder to make. Default: the name.
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
    },
    /// Build the project into build/NAME.wasm, and say what came out.
    Build {
        /// Folder of the project.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Build the project and run its cases in the real engine, under the limits of a real call. Exit code 2 if one fails.
    Test {
        #[command(flatten)]
        subject: Tried,
        /// Only cases whose name holds this.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Folder of the cases. Default: the project's `cases`.
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
        /// Again whenever a file changes, until interrupted.
        #[arg(long)]
        watch: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Build the project and ask it about one call; print the answer as JSON.
    Run(TriedCall),
    /// Build the project and measure a case: time, fuel and memory of calls.
    Bench(Measured),
    /// List the built-in plugins.
    List,
    /// Say what a component is: role, ABI, imports, asks, tier, digest, manifest, signatures, whether its configuration can be snapshotted.
    Inspect(Inspected),
    /// Put a plugin into an OCI registry, and sign it there with --key.
    Push(Push),
    /// Fetch plugins: one into a file, or all that the configuration names into the data folder, for a start without network.
    Pull(Pull),
    /// Sign a plugin, as cosign does with a key: beside the file (`FILE.sig`), or beside the artifact in its registry.
    Sign(Sign),
    /// Check a plugin's signatures. Exit code 2 if none is good.
    Verify(Verify),
    /// Make a pair of keys for signing. COSIGN_PASSWORD, if set, encrypts the private one as cosign does.
    Keygen(Keygen),
}

#[derive(Debug, Args)]
pub(crate) struct Push {
    #[command(flatten)]
    pub place: Where,
    /// The .wasm file.
    pub file: PathBuf,
    /// Where to: `oci://HOST/REPOSITORY:TAG`.
    pub reference: String,
    /// Private key (PEM) to sign it with. The password of an encrypted one is in COSIGN_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    #[command(flatten)]
    pub place: Where,
    /// One plugin: `oci://HOST/REPOSITORY:TAG` or `…@sha256:…`. Default: all that the configuration names.
    pub reference: Option<String>,
    /// With a reference: file to write it to.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// With a reference: public keys (PEM), one of which must have signed it. Repeatable.
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// Without a reference: ask again where tags point to, and record that in the lock file.
    #[arg(long)]
    pub update: bool,
    /// Without a reference: forget what the lock file says of plugins that are not configured any more.
    #[arg(long)]
    pub prune: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    pub place: Where,
    /// A .wasm file, `FOLDER/NAME[@VERSION]`, or `oci://HOST/REPOSITORY:TAG`.
    pub reference: String,
    /// Private key (PEM). The password of an encrypted one is in COSIGN_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub place: Where,
    /// A .wasm file, `FOLDER/NAME[@VERSION]`, or `oci://HOST/REPOSITORY:TAG`.
    pub reference: String,
    /// Public keys (PEM); a signature by any is enough. Repeatable.
    #[arg(long, value_name = "FILE", required_unless_present = "tenant", conflicts_with = "tenant")]
    pub key: Vec<PathBuf>,
    /// The keys of this tenant of the configuration.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// What the files begin with: NAME.key and NAME.pub.
    #[arg(long, short, value_name = "NAME", default_value = "portcullis")]
    pub output: PathBuf,
    /// Kind of the key; cosign makes and takes the first, and verifies both.
    #[arg(long, value_enum, default_value_t = KeyKindArg::EcdsaP256)]
    pub kind: KeyKindArg,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Kind of a key for signing.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KeyKindArg {
    EcdsaP256,
    Ed25519,
}

/// What is tried out.
#[derive(Debug, Args)]
pub(crate) struct Tried {
    /// Folder of the project.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Take the component as it is; do not build.
    #[arg(long)]
    pub no_build: bool,
    /// Wall-clock milliseconds that a call may take, in place of the manifest's; for busy machines.
    #[arg(long, value_name = "MS")]
    pub deadline_ms: Option<u64>,
}

/// A component that is described.
#[derive(Debug, Args)]
pub(crate) struct Inspected {
    #[command(flatten)]
    pub place: Where,
    /// The name of a built-in plugin, a file, or a reference as `plugin` of the configuration takes it.
    pub reference: String,
    /// Public keys (PEM files): says which of them signed it.
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Calls of a plugin under development that are measured.
#[derive(Debug, Args)]
pub(crate) struct Measured {
    #[command(flatten)]
    pub subject: Tried,
    /// Only cases whose name holds this. Default: the first case that makes a call.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Calls to measure.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub calls: u32,
    /// Milliseconds between calls, in which instances are made ahead.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub every_ms: u64,
    /// Instances that are made ahead of calls, as `instances.ahead` of the configuration.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=i64::from(MAX_AHEAD)))]
    pub ahead: Option<u16>,
    /// Calls that one instance answers, as `instances.reuse` of the configuration.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_REUSE)))]
    pub reuse: u32,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// One call, and what is asked about it.
#[derive(Debug, Args)]
pub(crate) struct TriedCall {
    #[command(flatten)]
    pub subject: Tried,
    /// Configuration as JSON, or @FILE.
    #[arg(long, default_value = "{}", value_name = "JSON|@FILE")]
    pub config: String,
    /// Tool name.
    #[arg(long, default_value = "test_tool")]
    pub tool: String,
    /// Payload as JSON, or @FILE.
    #[arg(long, default_value = "{}", value_name = "JSON|@FILE")]
    pub arguments: String,
    /// What is inspected.
    #[arg(long, value_enum, default_value_t = PhaseArg::Call)]
    pub phase: PhaseArg,
    /// Findings of earlier plugins as JSON, or @FILE, in the form of cases; for rules and routers.
    #[arg(long, default_value = "[]", value_name = "JSON|@FILE")]
    pub findings: String,
    /// Code of a reason for which the call was parked; for routers. Repeatable.
    #[arg(long = "reason", value_name = "CODE")]
    pub reasons: Vec<String>,
    /// What a language model answers as JSON, or @FILE, in the form of cases.
    #[arg(long, default_value = "[]", value_name = "JSON|@FILE")]
    pub judge: String,
    /// What hosts answer as JSON, or @FILE, in the form of cases.
    #[arg(long, default_value = "[]", value_name = "JSON|@FILE")]
    pub http: String,
    /// Name of a secret that is granted. Repeatable.
    #[arg(long = "secret", value_name = "NAME")]
    pub secrets: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleArg {
    Detector,
    Rule,
    Router,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Detector => Self::Detector,
            RoleArg::Rule => Self::Rule,
            RoleArg::Router => Self::Router,
        }
    }
}

fn parse_language(text: &str) -> Result<Language, String> {
    text.parse().map_err(|error: portcullis_project::UnknownLanguage| error.to_string())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ReferenceFormat {
    Markdown,
    Schema,
}

fn share(text: &str) -> Result<f32, String> {
    let share: f32 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("give a number from 0 to 1".to_owned()) }
}
