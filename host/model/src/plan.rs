use serde::{Deserialize, Serialize};

/// Somebody who may decide a parked call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approver {
    /// Any operator with this role.
    Role(String),
    /// This operator.
    Operator(String),
}

/// One step of escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Seconds without a decision after which these are asked too.
    pub after_seconds: u32,
    /// Who is asked.
    pub approvers: Vec<Approver>,
    /// Through which channels.
    pub channels: Vec<String>,
}

/// A router's answer: who decides, how many, until when, told where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Who may decide.
    pub approvers: Vec<Approver>,
    /// How many must approve; at least 1.
    pub quorum: u32,
    /// Seconds until the call is denied by itself; at least 1.
    pub deadline_seconds: u32,
    /// Through which channels they are told.
    pub channels: Vec<String>,
    /// Who is asked later.
    pub escalation: Vec<Step>,
    /// What the approver reads first.
    pub summary: String,
    /// Whether arguments may be changed before release.
    pub may_modify: bool,
}
