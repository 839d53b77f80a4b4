use std::sync::Arc;

use hyper::StatusCode;
use portcullis_approvals::{Approval, Ballot, DecideError, Notice, State, View};
use portcullis_model::{Document, Kind};
use serde::Serialize;
use uuid::Uuid;

use super::{Api, Context, json_value, query};
use crate::gate::{VoteError, now_ms};
use crate::http::{ApiError, Reply};
use crate::ports::OperatorIdentity;

/// Most approvals of one answer.
const MAX_APPROVALS: u64 = 500;
const DEFAULT_APPROVALS: u64 = 100;

#[derive(Serialize)]
struct List<'a> {
    approvals: Vec<Shown<'a>>,
}

/// An approval as its reader may see it.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    /// For the agent that made the call.
    Agent(Notice<'a>),
    /// For operators.
    Operator(Box<View<'a>>),
}

/// An operator's answer as it comes in.
struct Decision {
    approve: bool,
    comment: Option<String>,
}

impl Api {
    pub(super) fn approvals(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [state, before, limit] = query::read(query, ["state", "before", "limit"])?;
        let limit = query::number("limit", limit, DEFAULT_APPROVALS, 1..=MAX_APPROVALS)?;
        let state = state.map(read_state).transpose()?;
        let before = before.map(read_id).transpose()?;
        let now_ms = now_ms();
        let limit = usize::try_from(limit).unwrap_or(0);
        // An agent's own are picked out of all of the tenant's, of which a bounded number is kept.
        let most = if context.caller.operator.is_some() { limit } else { usize::MAX };
        let approvals = self.gate.approvals().list(context.own_tenant()?, state, before, most, now_ms);
        let shown = approvals.iter().filter_map(|approval| show(context, approval, now_ms)).take(limit);
        Ok(json_value(StatusCode::OK, &List { approvals: shown.collect() }))
    }

    pub(super) fn approval(&self, context: &Context, query: &str, id: Option<String>) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let id = read_id(id.as_deref().unwrap_or_default())?;
        let approval = self.gate.approvals().get(context.own_tenant()?, id);
        let shown = approval.as_ref().and_then(|approval| show(context, approval, now_ms()));
        Ok(json_value(StatusCode::OK, &shown.ok_or_else(unknown)?))
    }

    pub(super) async fn decide(
        &self,
        operator: &OperatorIdentity,
        id: Option<String>,
        body: Vec<u8>,
    ) -> Result<Reply, ApiError> {
        let id = read_id(id.as_deref().unwrap_or_default())?;
        let decision = Decision::read(body)?;
        let now_ms = now_ms();
        let ballot = Ballot {
            tenant: &operator.tenant,
            id,
            operator: &operator.name,
            roles: &operator.roles,
            approve: decision.approve,
            comment: decision.comment.as_deref(),
            now_ms,
        };
        let approval = self.gate.vote(&ballot).await.map_err(|error| match error {
            VoteError::Decide(error) => refused(error),
            VoteError::Gate(error) => error.into(),
        })?;
        Ok(json_value(StatusCode::OK, &approval.view(now_ms)))
    }
}

impl Decision {
    /// `{"decision": "approve" or "deny", "comment": text}`, nothing else.
    fn read(body: Vec<u8>) -> Result<Self, ApiError> {
        const FORM: &str = "send {\"decision\":\"approve\" or \"deny\",\"comment\":\"…\"}";
        let document = Document::parse(body);
        let document = document.map_err(|error| ApiError::malformed(format!("not acceptable JSON: {error}"), FORM))?;
        if document.root().kind() != Kind::Object {
            return Err(ApiError::malformed("the body must be an object", FORM));
        }
        let (mut approve, mut comment) = (None, None);
        for field in document.root().members() {
            match (field.name().unwrap_or_default(), field.as_str()) {
                ("decision", Some("approve")) => approve = Some(true),
                ("decision", Some("deny")) => approve = Some(false),
                ("comment", Some(text)) => comment = Some(text.to_owned()),
                ("decision" | "comment", _) => return Err(ApiError::malformed("a field has a wrong value", FORM)),
                _ => return Err(ApiError::malformed("unknown field", FORM)),
            }
        }
        let approve = approve.ok_or_else(|| ApiError::malformed("decision is missing", FORM))?;
        Ok(Self { approve, comment })
    }
}

/// Agents see their own calls, operators those of their tenant.
fn show<'a>(context: &Context, approval: &'a Arc<Approval>, now_ms: u64) -> Option<Shown<'a>> {
    if context.caller.operator.is_some() {
        return Some(Shown::Operator(Box::new(approval.view(now_ms))));
    }
    let own = context.caller.agent.as_ref().is_some_and(|agent| agent.name == approval.agent);
    own.then(|| Shown::Agent(approval.notice(now_ms)))
}

fn read_id(text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text).map_err(|_| unknown())
}

fn read_state(text: &str) -> Result<State, ApiError> {
    let states = [State::Pending, State::Approved, State::Denied, State::Expired, State::Cancelled];
    let hint = "use pending, approved, denied, expired or cancelled";
    states
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| ApiError::malformed("state is none of an approval's states", hint))
}

fn unknown() -> ApiError {
    ApiError::not_found("there is no such approval")
}

fn refused(error: DecideError) -> ApiError {
    let text = error.to_string();
    match error {
        DecideError::Unknown => unknown(),
        DecideError::NotEligible | DecideError::SelfApproval => {
            ApiError::forbidden(text, "another operator has to decide")
        }
        DecideError::Comment => ApiError::malformed(text, "shorten the comment"),
        DecideError::Ended(_) | DecideError::Voted => {
            ApiError::new(StatusCode::CONFLICT, "decided", text, "read the approval again")
        }
        DecideError::Busy => ApiError {
            retry_after_s: Some(1),
            ..ApiError::new(StatusCode::CONFLICT, "busy", text, "read the approval again")
        },
    }
}
