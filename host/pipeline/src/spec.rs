use std::fmt;
use std::sync::Arc;

use portcullis_engine::{Grants, Instances, Limits, PluginFile};
use portcullis_model::{Decision, Mode, Phase};
use serde::{Deserialize, Serialize};

use crate::Quarantine;

/// Most plugins of one pipeline.
pub const MAX_PLUGINS: usize = 64;

/// What a tenant's pipeline is.
#[derive(Clone, Debug)]
pub struct PipelineSpec {
    /// Whose it is.
    pub tenant: Arc<str>,
    /// Whether verdicts take effect. Only reported: the verdict is the same in both modes.
    pub mode: Mode,
    /// Detectors and rules, in order; at most [`MAX_PLUGINS`].
    pub plugins: Vec<PluginSpec>,
    /// Who says who decides parked calls. Without one: one operator with role `approver` within 15 minutes.
    pub router: Option<PluginSpec>,
    /// Judge a redacted payload once more before it is forwarded.
    pub inspect_redacted: bool,
}

/// One plugin of a pipeline.
#[derive(Clone)]
pub struct PluginSpec {
    /// A label (1 to 63 of `A-Z a-z 0-9 . _ -`), unique in the pipeline; not `portcullis`, which names the host.
    pub name: Arc<str>,
    /// The component, or a core module that carries component metadata.
    pub file: PluginFile,
    /// Its own configuration.
    pub config: serde_json::Value,
    /// What it may use.
    pub grants: Grants,
    /// Limits of one call of it.
    pub limits: Limits,
    /// How its instances are made and used.
    pub instances: Instances,
    /// Which calls it sees.
    pub select: Selector,
    /// What its failure means.
    pub on_failure: FailMode,
    /// Early exit: after this plugin, skip the rest of the pipeline if the verdict so far is at least this strong.
    /// Not [`Decision::Allow`], which would skip the rest always.
    pub stop_on: Option<Decision>,
    /// When it is not asked any more because it keeps failing; none: it is asked always.
    pub quarantine: Option<Quarantine>,
}

/// Which calls a plugin sees: those that fit every list that is not empty.
///
/// Globs know `*`, `?`, `[…]` and `{a,b}`, match ASCII letters in either case, and treat `/` as any other character.
/// A call without an upstream fits only an empty list of upstreams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// Globs of tool names.
    pub tools: Vec<String>,
    /// Globs of upstream names.
    pub upstreams: Vec<String>,
    /// Phases.
    pub phases: Vec<Phase>,
    /// Globs of agent names.
    pub agents: Vec<String>,
}

/// What it means that a plugin traps, runs out of something or answers nonsense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// The call is denied.
    #[default]
    Closed,
    /// The plugin's part is left out; the failure is recorded.
    Open,
    /// A person decides.
    Review,
}

impl FailMode {
    /// The word used in configuration and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Review => "review",
        }
    }
}

impl fmt::Debug for PluginSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginSpec")
            .field("name", &self.name)
            .field("file", &self.file)
            .field("grants", &self.grants)
            .field("limits", &self.limits)
            .field("instances", &self.instances)
            .field("select", &self.select)
            .field("on_failure", &self.on_failure)
            .field("stop_on", &self.stop_on)
            .field("quarantine", &self.quarantine)
            .finish_non_exhaustive()
    }
}
