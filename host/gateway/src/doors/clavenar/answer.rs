//! The answers of the contract, as the published clients read them.

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use portcullis_approvals::{Approval, State};
use portcullis_model::{Decision, Reason, codes};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Verdict;
use super::request::Problem;
use crate::gate::{Uncollected, now_ms};
use crate::http::{ApiError, Body, Reply};
use crate::ports::AgentIdentity;

pub(super) const EXECUTION_CONTRACT: &str = "clavenar.server-execution/v1";
pub(super) const PENDING_CONTRACT: &str = "clavenar.pending-authorization/v1";
/// Most reasons of one answer, and characters of each.
pub(super) const REASONS: usize = 12;
const REASON_CHARACTERS: usize = 200;

/// The body of a decision that allows. Agent SDKs differ in what they take; each takes one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowBody {
    /// `{"verdict":"allow"}`, which all published revisions take.
    #[default]
    Verdict,
    /// The four members of the written contract, which the TypeScript and .NET SDKs refuse.
    Contract,
}

/// An answer before its common headers.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, kind: "application/json", body: body.to_string().into_bytes(), headers: Vec::new() }
    }

    /// JSON that is written already.
    pub(super) fn written(status: StatusCode, body: String) -> Self {
        Self { status, kind: "application/json", body: body.into_bytes(), headers: Vec::new() }
    }

    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: text.into().into_bytes(), headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: Option<HeaderName>, value: HeaderValue) -> Self {
        self.headers.extend(name.map(|name| (name, value)));
        self
    }

    pub(super) fn reply(self) -> Reply {
        let mut reply = Response::new(Body::from(self.body));
        *reply.status_mut() = self.status;
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        reply.headers_mut().extend(self.headers);
        reply
    }

    /// The clients refuse a body with one member more.
    pub(super) fn allow(body: AllowBody, id: Uuid) -> Self {
        let body = match body {
            AllowBody::Verdict => json!({ "verdict": "allow" }),
            AllowBody::Contract => json!({
                "contract": "clavenar.decision/v1", "decision": "allow", "correlation_id": id, "executable": false,
            }),
        };
        Self::json(StatusCode::OK, &body)
    }

    pub(super) fn pending(id: Uuid, reasons: &[String]) -> Self {
        let body = json!({
            "contract": PENDING_CONTRACT, "status": "pending", "pending_id": id, "correlation_id": id,
            "review_reasons": reasons,
        });
        Self::json(StatusCode::ACCEPTED, &body)
    }

    pub(super) fn deny(id: Uuid, verdict: &Verdict) -> Self {
        Self::json(StatusCode::FORBIDDEN, &Self::deny_body(id, verdict))
    }

    pub(super) fn deny_body(id: Uuid, verdict: &Verdict) -> Value {
        let mut reasons = verdict.reasons.clone();
        if verdict.decision == Decision::Redact {
            reasons.push("it could run with changed arguments only, which this contract cannot carry".to_owned());
        }
        let injected = verdict.codes.iter().any(|code| code.contains("injection"));
        let category = if injected { "PromptInjection" } else { "PolicyDeny" };
        refusal_body(["denied", "policy", "security_violation", category], &reasons, id)
    }

    pub(super) fn refused_by_person(id: Uuid, approval: Option<&Approval>, why: Uncollected) -> Self {
        let said = approval.and_then(|approval| approval.votes.iter().rev().find(|vote| !vote.approve));
        let said = said.and_then(|vote| vote.comment.as_deref());
        let words = match approval.map(|approval| approval.state_at(now_ms())) {
            Some(State::Expired) | None => ["review_expired", "hil", "review_expired", "PendingDenied"],
            _ => ["review_denied", "hil", "review_denied", "PendingDenied"],
        };
        Self::refusal(StatusCode::FORBIDDEN, words, &[said.map_or_else(|| why.to_string(), str::to_owned)], id)
    }

    /// What the gate or the kept answers say instead of a verdict.
    pub(super) fn refused(error: &ApiError, agent: &AgentIdentity, id: Uuid) -> Self {
        let why = [error.message.to_string()];
        let answer = match error.status {
            StatusCode::UNAUTHORIZED => Self::unauthorized(),
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = error.retry_after_s.unwrap_or(1);
                let who = format!("{}/{}", agent.tenant, agent.name);
                let body = json!({
                    "error": codes::RATE_LIMITED, "agent_id": who, "retry_after_secs": wait, "correlation_id": id,
                });
                Self::json(error.status, &body)
            }
            StatusCode::FORBIDDEN => {
                Self::refusal(error.status, ["denied", "identity", "agent_revoked", "PolicyDeny"], &why, id)
            }
            StatusCode::CONFLICT => Self::refusal(error.status, ["error", "gateway", error.code, "Routine"], &why, id),
            _ => {
                let words = ["error", "gateway", "pipeline_unavailable", "Routine"];
                Self::refusal(StatusCode::SERVICE_UNAVAILABLE, words, &why, id)
            }
        };
        answer.with(error.retry_after_s.map(|_| RETRY_AFTER), error.retry_after_s.unwrap_or_default().into())
    }

    fn refusal(status: StatusCode, words: [&str; 4], reasons: &[String], id: Uuid) -> Self {
        Self::json(status, &refusal_body(words, reasons, id))
    }

    /// A body that could not be read.
    pub(super) fn http(error: &ApiError) -> Self {
        let answer = Self::text(error.status, error.message.to_string());
        answer.with(error.retry_after_s.map(|_| RETRY_AFTER), error.retry_after_s.unwrap_or_default().into())
    }

    pub(super) fn unauthorized() -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"portcullis\"");
        Self::text(StatusCode::UNAUTHORIZED, "no valid credential")
            .with(Some(hyper::header::WWW_AUTHENTICATE), challenge)
    }

    pub(super) fn selector(id: Uuid, problem: Problem) -> Self {
        let (contract, error) = match problem {
            Problem::Invalid => ("clavenar.decision/v1", "decision_selector_invalid"),
            Problem::ToolRequired => ("clavenar.decision/v1", "decision_tool_required"),
            Problem::ExecutionInvalid => (EXECUTION_CONTRACT, "server_execution_selector_invalid"),
            Problem::ExecutionConflict => (EXECUTION_CONTRACT, "server_execution_selector_conflict"),
            Problem::ExecutionToolRequired => (EXECUTION_CONTRACT, "server_execution_tool_required"),
        };
        let body = json!({ "contract": contract, "error": error, "correlation_id": id, "executable": false });
        Self::json(StatusCode::BAD_REQUEST, &body)
    }

    /// Why a call is not run here.
    pub(super) fn execution(status: StatusCode, error: &'static str, id: Uuid) -> Self {
        Self::json(status, &Self::execution_error(error, id))
    }

    pub(super) fn execution_error(error: &'static str, id: Uuid) -> Value {
        json!({ "contract": EXECUTION_CONTRACT, "error": error, "correlation_id": id, "executable": false })
    }

    /// A call without a contract.
    pub(super) fn migration(id: Uuid) -> Self {
        let body = json!({
            "contract": "clavenar.client-migration/v1",
            "error": "client_contract_required",
            "correlation_id": id,
            "executable": false,
            "migration_url": "https://clavenar.com/docs/sdk-migration/",
            "supported_selectors": {
                "decision": { "header": "x-clavenar-decision-contract", "value": "clavenar.decision/v1" },
                "server_execution": { "header": "x-clavenar-server-execution-contract", "value": EXECUTION_CONTRACT },
            },
        });
        Self::json(StatusCode::UPGRADE_REQUIRED, &body)
    }
}

fn refusal_body([verdict, layer, error, category]: [&str; 4], reasons: &[String], id: Uuid) -> Value {
    json!({
        "verdict": verdict, "layer": layer, "error": error, "reasons": reasons, "review_reasons": [],
        "intent_category": category, "correlation_id": id,
    })
}

/// One reason in words, without what could steer a terminal.
pub(super) fn sentence(reason: &Reason) -> String {
    let text = reason.message.chars().take(REASON_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c });
    format!("{} ({})", text.collect::<String>().trim_end_matches('.'), reason.code)
}
