//! What the gateway needs of the other crates, as small traits: who judges, who writes, who knows the callers.
//!
//! The doors and the gate know only these, so that they are tested with doubles and the binary decides what stands behind.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use portcullis_ledger::{Attachment, Kept, Record, Report, StoredEntry};
use portcullis_model::{Call, Digest, Draft, Judgement, Mode, Role};
use portcullis_tenancy::SpiffeId;
use serde::Serialize;
use uuid::Uuid;

mod activations;
mod ledger;
mod pins;
mod policies;
mod records;
mod tenancy;

pub use activations::{
    Activations, ChangeView, DifferenceView, PastView, PluginDifferenceView, Step, StepError, Stepped, TrialStep, Who,
};
pub use pins::{NoPins, Pin, PinChange, PinDefinition, PinError, PinState, Pins};
pub use policies::{Policies, PolicyChange, PolicyError, PolicyView};
pub use portcullis_tenancy::DenialForm;
pub use records::Records;
pub use tenancy::Credentials;

/// Judges calls: the pipelines of all tenants.
pub trait Judge: Send + Sync + 'static {
    /// Runs the tenant's current generation over the call; `None` if the tenant has no pipeline. Synchronous, and it blocks for as
    /// long as its plugins may take: some tens of microseconds where they are small, up to their deadlines where they are
    /// interpreted, wait for others, or find no slot.
    fn judge(&self, call: &Call) -> Option<Judgement>;

    /// The same for a thread that must not block: `None` if a plugin may wait for somebody else's answer or take long, or a slot
    /// may have to be waited for, and nothing is done then.
    fn judge_at_once(&self, call: &Call) -> Option<Option<Judgement>> {
        Some(self.judge(call))
    }

    /// Whether a plugin that sees this call may wait for somebody else's answer.
    fn waits(&self, _call: &Call) -> bool {
        false
    }

    /// The mode of the tenant's current generation.
    fn mode(&self, tenant: &str) -> Option<Mode>;

    /// Whether calls of the tenant may be judged by this generation now: it is in force, or a canary beside it.
    fn serves(&self, tenant: &str, generation: Digest) -> bool {
        self.generations(Some(tenant)).iter().any(|view| view.generation == generation)
    }

    /// What is live, tenant by tenant in the order of their names; of one tenant only if `tenant` names it.
    fn generations(&self, tenant: Option<&str>) -> Vec<GenerationView>;
}

/// A live generation as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GenerationView {
    /// Whose pipeline it is.
    pub tenant: Arc<str>,
    /// Name of the generation: the digest of its plugins and configuration.
    pub generation: Digest,
    /// Whether verdicts take effect.
    pub mode: Mode,
    /// The generation that the configuration says; another one where an operator went back.
    pub configured: Digest,
    /// When it was put in force, in milliseconds since the Unix epoch.
    pub activated_ms: u64,
    /// Who did: an operator, or `portcullis`.
    pub by: Arc<str>,
    /// Why: `start`, `reload`, `policies`, `activate`, `rollback`, `promote`.
    pub why: &'static str,
    /// What is tried beside it.
    pub candidate: Option<CandidateView>,
    /// Its plugins in pipeline order.
    pub plugins: Vec<PluginView>,
}

/// A generation that is tried beside a live one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CandidateView {
    /// Its name.
    pub generation: Digest,
    /// `shadow`, `canary` or `withdrawn`.
    pub standing: &'static str,
}

/// A plugin of a live generation as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginView {
    /// Name in the pipeline.
    pub name: Arc<str>,
    /// What it is.
    pub role: Role,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// How it is sandboxed: `sealed` or `locked-wasi`.
    pub tier: String,
    /// `snapshot`, or why there is none.
    pub prepared: String,
    /// What happens when it fails: `closed`, `open` or `review`.
    pub on_failure: String,
    /// Calls it was asked about since it became current.
    pub calls: u64,
    /// How many of them it did not answer properly.
    pub faults: u64,
    /// Code of its latest fault.
    pub last_fault: Option<String>,
    /// Whether it keeps failing and is not asked for now, but for probes.
    pub quarantined: bool,
    /// How often it was put in quarantine.
    pub quarantines: u64,
    /// Calls that did not go to it for that.
    pub skipped: u64,
}

/// Writes and reads the evidence.
pub trait Journal: Send + Sync + 'static {
    /// Makes an entry durable, together with everything attached, or nothing of it.
    fn append(&self, draft: Draft, attach: Vec<Attachment>) -> BoxFuture<'_, Result<EntryRef, JournalError>>;

    /// The answer kept under this id.
    ///
    /// # Errors
    /// The store could not be read.
    fn kept(&self, tenant: &str, id: Uuid) -> Result<Option<Kept>, JournalError>;

    /// What a plugin was told, by the digest in an entry; `None` if it is not kept, or no longer. Blocking.
    ///
    /// # Errors
    /// The store could not be read, or holds something else.
    fn told(&self, tenant: &str, digest: Digest) -> Result<Option<Vec<u8>>, JournalError>;

    /// A record that was attached to an entry; `None` if there is none, or none any more. Blocking.
    ///
    /// # Errors
    /// The store could not be read.
    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError>;

    /// The newest entry; `None` for a tenant without entries.
    fn head(&self, tenant: &str) -> Option<EntryRef>;

    /// Up to `limit` entries from sequence number `from` on.
    ///
    /// # Errors
    /// The store could not be read.
    fn entries(&self, tenant: &str, from: u64, limit: usize) -> Result<Vec<StoredEntry>, JournalError>;

    /// Reads the tenant's whole log and checks it. Blocking: seconds for a million entries.
    ///
    /// # Errors
    /// The store could not be read. A log that is wrong is a report with a fault.
    fn verify(&self, tenant: &str) -> Result<Report, JournalError>;

    /// Whether entries can be written.
    fn health(&self) -> JournalHealth;
}

/// Writes records that belong to no entry.
pub trait Keep: Send + Sync + 'static {
    /// Hands records to the disk without waiting: they are there with one of the next groups, in the order of the calls.
    ///
    /// # Errors
    /// They are not taken.
    fn keep(&self, records: &[Record]) -> Result<(), JournalError>;
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EntryRef {
    /// Position in the tenant's log, from 0.
    pub seq: u64,
    /// Its leaf hash.
    pub hash: Digest,
}

/// Why the ledger did not take or give something.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Its queue is full: try again.
    #[error("the ledger is busy: {0}")]
    Busy(String),
    /// It cannot write or read.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
}

/// State of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JournalHealth {
    /// Whether entries can be written.
    pub writable: bool,
    /// Why not.
    pub problem: Option<String>,
    /// Entries waiting to be written.
    pub queued: u64,
}

/// Knows callers by their credentials.
pub trait Identity: Send + Sync + 'static {
    /// Who presents this bearer token, on a connection of this peer. A token decides; a certificate that stands for
    /// somebody else than the token is refused with it. Without either: the open agent, if there is one.
    fn authenticate(&self, token: Option<&str>, peer: Option<&PeerIdentity>) -> Option<Caller>;

    /// Whether the agent may make so many calls now; counts all of them if so, else none.
    fn admit(&self, tenant: &str, agent: &str, calls: u32) -> Admission;

    /// Whether the agent may say anything at all: what [`Self::admit`] answers before it looks at limits.
    fn standing(&self, tenant: &str, agent: &str) -> Admission;

    /// Whether any rule says which tools the agent may know of.
    fn has_tool_rules(&self, tenant: &str, agent: &str) -> bool;

    /// Whether the agent may know of this tool. One that was removed since it was authenticated knows none.
    fn sees(&self, tenant: &str, agent: &str, upstream: &str, tool: &str) -> bool;

    /// A number that changes with the rules about tools.
    fn tools_version(&self, tenant: &str, agent: &str) -> u64;

    /// An operator by name; none where nobody is known by name.
    fn operator(&self, _tenant: &str, _name: &str) -> Option<OperatorIdentity> {
        None
    }

    /// How the agent is told of refused tool calls.
    fn denials(&self, tenant: &str, agent: &str) -> DenialForm;
}

/// Who is at the other end of a connection, by a client certificate that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The workload that the certificate names.
    pub spiffe: SpiffeId,
    /// When the certificate ends: it stands for nobody then, on a connection that is older, too.
    pub valid_until: SystemTime,
}

/// What a credential stands for.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The agent it stands for.
    pub agent: Option<AgentIdentity>,
    /// The operator it stands for.
    pub operator: Option<OperatorIdentity>,
    /// Whether it is the open agent of a server without credentials, who may also administer.
    pub open: bool,
}

/// An agent, as its credential names it.
#[derive(Clone, Debug)]
pub struct AgentIdentity {
    /// Owner of its traffic.
    pub tenant: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub persona: Option<Arc<str>>,
    /// Whether it may see findings and costs.
    pub may_explain: bool,
}

/// Tenant and name of a caller.
pub(crate) type Owner = (Arc<str>, Arc<str>);

impl AgentIdentity {
    pub(crate) fn owner(&self) -> Owner {
        (Arc::clone(&self.tenant), Arc::clone(&self.name))
    }
}

/// An operator, as its credential names it.
#[derive(Clone, Debug)]
pub struct OperatorIdentity {
    /// Its name.
    pub name: Arc<str>,
    /// The tenant it works for.
    pub tenant: Arc<str>,
    /// Roles it has, for approvals.
    pub roles: Arc<[String]>,
    /// Agents that it runs: it approves none of their calls.
    pub runs: Arc<[String]>,
    /// Whether it may change pipelines.
    pub admin: bool,
}

/// Answer of the cheap gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Admitted,
    /// Its operator stopped this agent.
    Halted,
    /// No longer configured; it was when its credential was checked.
    Removed,
    /// Over a rate limit or quota.
    Limited {
        /// Seconds until another try makes sense; at least 1.
        retry_after_s: u32,
    },
}

/// Builds and activates generations from configuration.
pub trait Reload: Send + Sync + 'static {
    /// Reads the configuration again, validates it and activates what it says, all or nothing. Slow: compiles plugins. A
    /// tenant whose pipeline is configured as before keeps what is in force there.
    ///
    /// # Errors
    /// What is wrong, with file, line and key. Nothing has changed then.
    fn reload(&self, by: Who) -> BoxFuture<'_, Result<Vec<GenerationView>, ReloadError>>;

    /// What is being prepared to be put in force; none if nothing is.
    fn preparing(&self) -> Option<PreparingView> {
        None
    }

    /// Whether the configuration as it is written was refused when it was last read, so that an older one is in force.
    fn refused(&self) -> bool {
        false
    }

    /// The generations that are kept; none where there are no others.
    fn activations(&self) -> Option<&dyn Activations> {
        None
    }

    /// The policies that operators may replace; none where nobody may.
    fn policies(&self) -> Option<&dyn Policies> {
        None
    }
}

/// How far a generation is that is being prepared, while the one in force serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreparingView {
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// For so many milliseconds.
    pub took_ms: u64,
    /// What is being done: `reading`, `fetching`, `verifying`, `compiling` or `activating`.
    pub phase: &'static str,
    /// For so many milliseconds.
    pub phase_ms: u64,
    /// Whose pipeline it is about.
    pub tenant: Option<Arc<str>>,
    /// The plugin that it is about.
    pub plugin: Option<Arc<str>>,
    /// The how-manieth of the plugins that are loaded this is.
    pub number: usize,
    /// Plugins of all pipelines; 0 while that is not known.
    pub of: usize,
}

/// Why nothing was activated.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration is wrong; the text names file, line and key.
    #[error("{0}")]
    Invalid(String),
    /// It is right but could not be put into effect now.
    #[error("{0}")]
    Failed(String),
}
