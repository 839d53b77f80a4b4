use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AttributedFinding, Digest, Document, Mode, Plan, Role, Span};

/// The four answers, weakest first: the order of the enum is the order of strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Nothing against it.
    #[default]
    Allow,
    /// Forward with replacements made.
    Redact,
    /// A person decides.
    Review,
    /// Refused.
    Deny,
}

impl Decision {
    /// The word used on the wire and in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Redact => "redact",
            Self::Review => "review",
            Self::Deny => "deny",
        }
    }
}

/// Why; `code` is stable and machine-readable, `message` is for people.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// Stable code, for instance `destructive_command`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The plugin that gave it, or `portcullis` for the host's own reasons.
    pub plugin: String,
}

/// Text to put in place of a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// What is replaced.
    pub span: Span,
    /// With what.
    pub value: String,
}

/// One rule's answer, before the host merges the answers of all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub decision: Decision,
    /// Why; empty for a plain allow.
    pub reasons: Vec<Reason>,
    /// Replacements; only for [`Decision::Redact`].
    pub replacements: Vec<Replacement>,
}

impl Verdict {
    /// Nothing against it.
    #[must_use]
    pub fn allow() -> Self {
        Self { decision: Decision::Allow, reasons: Vec::new(), replacements: Vec::new() }
    }
}

/// What one plugin cost in one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRun {
    /// Name in the pipeline.
    pub name: Arc<str>,
    /// What it is.
    pub role: Role,
    /// SHA-256 of the component as given (before configuration and snapshot).
    pub digest: Digest,
    /// Fuel used; deterministic.
    pub fuel: u64,
    /// Wall time in microseconds.
    pub micros: u32,
    /// Peak linear memory in bytes.
    pub memory: u64,
    /// The fault's code (see [`codes`]) if the plugin did not answer properly.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<String>,
    /// SHA-256 over what it was told: by others (requests, language models), and by the host of what it keeps (placeholders of
    /// secrets, state, labels, files).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answers: Option<Digest>,
    /// The text that has this hash, unless it was too long to hold, or nobody keeps it. Not for answers and logs: it is as sensitive as the call.
    #[serde(skip)]
    pub told: Option<Arc<str>>,
}

/// What the pipeline says of one call in one phase.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The strongest answer of all rules and fail modes.
    pub decision: Decision,
    /// Why, strongest first, in a stable order.
    pub reasons: Vec<Reason>,
    /// What the detectors saw, in pipeline order.
    pub findings: Vec<AttributedFinding>,
    /// The payload to forward instead; only when `decision` is [`Decision::Redact`].
    pub replacement: Option<Arc<Document>>,
    /// What each plugin cost, in pipeline order.
    pub plugins: Vec<PluginRun>,
    /// The router's plan; only when `decision` is [`Decision::Review`].
    pub plan: Option<Plan>,
    /// The generation that judged.
    pub generation: Digest,
    /// Whether the verdict takes effect.
    pub mode: Mode,
}

/// Reason codes of the host itself. Plugins choose their own; these are reserved.
pub mod codes {
    /// A plugin trapped.
    pub const PLUGIN_TRAP: &str = "plugin_trap";
    /// A plugin used up its fuel.
    pub const PLUGIN_FUEL: &str = "plugin_fuel";
    /// A plugin ran past its wall-clock deadline.
    pub const PLUGIN_DEADLINE: &str = "plugin_deadline";
    /// A plugin wanted more memory, table or stack than it may have.
    pub const PLUGIN_MEMORY: &str = "plugin_memory";
    /// A plugin called the host more often than it may.
    pub const PLUGIN_HOST_CALLS: &str = "plugin_host_calls";
    /// A plugin's answer was larger than it may be.
    pub const PLUGIN_OVERSIZE: &str = "plugin_oversize";
    /// A plugin's answer broke the contract: bad span, score out of range, invalid text, empty category.
    pub const PLUGIN_BAD_ANSWER: &str = "plugin_bad_answer";
    /// A plugin said itself that it could not answer.
    pub const PLUGIN_ERROR: &str = "plugin_error";
    /// A plugin failed too often and is not asked for now.
    pub const PLUGIN_QUARANTINED: &str = "plugin_quarantined";
    /// The ledger could not take the entry.
    pub const LEDGER_UNAVAILABLE: &str = "ledger_unavailable";
    /// The agent is halted.
    pub const AGENT_HALTED: &str = "agent_halted";
    /// The agent was removed after its credential had been checked.
    pub const AGENT_REMOVED: &str = "agent_removed";
    /// A quota or rate limit of the tenant or agent is used up.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// The agent must not know of the tool.
    pub const TOOL_HIDDEN: &str = "tool_hidden";
    /// A redaction could not be made.
    pub const REDACTION_FAILED: &str = "redaction_failed";
    /// An approver refused the parked call.
    pub const APPROVAL_DENIED: &str = "approval_denied";
    /// Nobody decided the parked call in time.
    pub const APPROVAL_EXPIRED: &str = "approval_expired";
    /// The caller gave up while the call was parked.
    pub const APPROVAL_CANCELLED: &str = "approval_cancelled";
    /// The call was made for a tenant without a pipeline.
    pub const NO_PIPELINE: &str = "no_pipeline";
}
