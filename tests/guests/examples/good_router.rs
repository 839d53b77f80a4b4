//! Asks two operators of the role in its configuration.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively nothing is exported"))]
use portcullis_plugin::{Approver, AttributedFinding, Call, Payload, Plan, Reason, Router, Step};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    role: String,
}

struct Asks(Config);

impl Router for Asks {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn route(
        &self,
        call: &Call,
        _payload: &dyn Payload,
        findings: &[AttributedFinding],
        reasons: &[Reason],
    ) -> Result<Plan, String> {
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
        Ok(Plan {
            approvers: vec![Approver::Role(self.0.role.clone())],
            quorum: 2,
            deadline_seconds: 900,
            channels: vec!["mail".to_owned()],
            escalation: vec![Step {
                after_seconds: 300,
                approvers: vec![Approver::Operator("root".to_owned())],
                channels: vec!["pager".to_owned()],
            }],
            summary: format!("{} for {} with {} findings", call.tool, codes.join(" "), findings.len()),
            may_modify: true,
        })
    }
}

portcullis_plugin::router!(Asks);
