//! Says who decides a parked call: one person, or two of others where much money moves.

use portcullis_plugin::{Approver, AttributedFinding, Call, Payload, Plan, Reason, Router, Step};
use serde_json::Value;

pub struct Desk {
    approvers: Vec<String>,
    /// Who decides of large amounts.
    large: Vec<String>,
    deadline_seconds: u32,
    escalate_to: Option<String>,
}

impl Router for Desk {
    // Any JSON, for error texts of our own; a struct that derives `Deserialize` is less work.
    type Config = Value;

    fn configure(config: Value) -> Result<Self, String> {
        let config = config.as_object().ok_or("the configuration is not a JSON object")?;
        let keys = ["approvers", "large", "deadline_seconds", "escalate_to"];
        if let Some(key) = config.keys().find(|key| !keys.contains(&key.as_str())) {
            return Err(format!("{key}: there is no such key"));
        }
        let roles = |key: &str| {
            let roles = config.get(key).and_then(texts).filter(|roles| !roles.is_empty());
            roles.ok_or_else(|| format!("{key}: give a list of at least one role"))
        };
        let approvers = roles("approvers")?;
        let large = if config.contains_key("large") { roles("large")? } else { approvers.clone() };
        let deadline = config.get("deadline_seconds").map_or(Some(900), Value::as_u64);
        let deadline = deadline.and_then(|seconds| u32::try_from(seconds).ok()).filter(|seconds| *seconds >= 1);
        let deadline_seconds = deadline.ok_or("deadline_seconds: use a whole number of at least 1")?;
        let escalate_to = match config.get("escalate_to") {
            None => None,
            Some(role) => Some(role.as_str().ok_or("escalate_to: give a role")?.to_owned()),
        };
        Ok(Self { approvers, large, deadline_seconds, escalate_to })
    }

    fn route(
        &self,
        call: &Call,
        _payload: &dyn Payload,
        findings: &[AttributedFinding],
        reasons: &[Reason],
    ) -> Result<Plan, String> {
        let large = reasons.iter().any(|reason| reason.code == "large_amount");
        let mut summary = format!("{} wants {}", call.agent, call.tool);
        if !reasons.is_empty() {
            let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
            summary = format!("{summary}: {}", codes.join(", "));
        }
        if !findings.is_empty() {
            summary = format!("{summary} ({} findings)", findings.len());
        }
        let step = |role: &String| Step {
            after_seconds: (self.deadline_seconds / 2).max(1),
            approvers: vec![Approver::Role(role.clone())],
            channels: Vec::new(),
        };
        let approvers = if large { &self.large } else { &self.approvers };
        Ok(Plan {
            approvers: approvers.iter().map(|role| Approver::Role(role.clone())).collect(),
            quorum: if large { 2 } else { 1 },
            deadline_seconds: self.deadline_seconds,
            channels: Vec::new(),
            escalation: self.escalate_to.iter().map(step).collect(),
            summary,
            may_modify: !large,
        })
    }
}

/// The strings of a JSON array; none if it is anything else.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

portcullis_plugin::router!(Desk);

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        portcullis_plugin::testing::run_cases::<super::Desk>("cases");
    }
}
