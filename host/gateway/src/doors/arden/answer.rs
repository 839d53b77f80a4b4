//! The answers of the contract, as the published client reads them.

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use portcullis_model::{Decision, Mode, Reason, Role};
use serde::Serialize;
use uuid::Uuid;

use super::delivery::Ticket;
use super::request::Environment;
use crate::gate::{Effect, GateError, Ruling};
use crate::http::{self, ApiError, Body, Reply};

static ID: HeaderName = HeaderName::from_static(http::ID);
static MODE: HeaderName = HeaderName::from_static(http::MODE);

/// Reasons in one message, and characters of each.
const REASONS: usize = 12;
const REASON_CHARACTERS: usize = 200;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) decision: Answered,
    /// A sentence for people; the client shows it of what is blocked.
    pub(super) message: Option<String>,
    /// A stable code.
    pub(super) reason: Option<String>,
    /// What it would have been in a tenant that only observes.
    pub(super) would: Option<Answered>,
}

/// The three answers of this contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answered {
    Allow,
    RequiresApproval,
    Block,
}

/// The client reads `decision`, `action_id`, `message` and `reason`; the rest is for people.
#[derive(Serialize)]
struct CheckReply<'a> {
    decision: Answered,
    action_id: Uuid,
    message: Option<&'a str>,
    reason: Option<&'a str>,
    status: &'static str,
    environment: Environment,
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<Answered>,
}

/// `created_at` must be a string, or the client throws the answer away.
#[derive(Serialize)]
pub(super) struct StatusReply<'a> {
    pub(super) action_id: Uuid,
    pub(super) status: &'static str,
    pub(super) message: Option<&'a str>,
    pub(super) created_at: &'a str,
}

#[derive(Serialize)]
struct ErrorReply<'a> {
    error: &'a str,
}

impl Outcome {
    pub(super) fn of(ruling: &Ruling) -> Self {
        let judgement = &ruling.judgement;
        let reason = judgement.reasons.first().map(|reason| reason.code.clone());
        let message = (!judgement.reasons.is_empty()).then(|| sentences(&judgement.reasons));
        let of = |decision: Decision| match decision {
            Decision::Allow => Answered::Allow,
            Decision::Review => Answered::RequiresApproval,
            Decision::Redact | Decision::Deny => Answered::Block,
        };
        match &ruling.effect {
            Effect::Forward if judgement.mode == Mode::Observe && judgement.decision != Decision::Allow => {
                let would = Some(of(judgement.decision));
                Self { decision: Answered::Allow, message, reason, would }
            }
            Effect::Forward if judgement.decision == Decision::Allow => {
                let ruled = judgement.plugins.iter().any(|run| run.role == Role::Rule);
                let reason = (!ruled).then(|| "no_policy_configured".to_owned());
                Self { decision: Answered::Allow, message: None, reason, would: None }
            }
            // A person approved this very call before.
            Effect::Forward => Self { decision: Answered::Allow, message, reason, would: None },
            Effect::Park => Self { decision: Answered::RequiresApproval, message, reason, would: None },
            Effect::Replace(_) => {
                let only = "it could run with changed arguments only, which this contract cannot carry";
                let message = message.map_or_else(|| only.to_owned(), |message| format!("{message}; {only}"));
                Self { decision: Answered::Block, message: Some(message), reason, would: None }
            }
            Effect::Refuse => Self { decision: Answered::Block, message, reason, would: None },
        }
    }

    /// A refusal without a verdict.
    pub(super) fn block(reason: &str, message: impl Into<String>) -> Self {
        let (message, reason) = (Some(message.into()), Some(reason.to_owned()));
        Self { decision: Answered::Block, message, reason, would: None }
    }

    /// Whatever the gate refuses is an answer, not an error: the client would try an error again and hide its text.
    pub(super) fn refused(error: &GateError) -> Self {
        Self::block(error.code(), error.to_string())
    }

    /// The answer to a check. With a ticket it is known whether it was sent.
    pub(super) fn reply(
        &self,
        id: Uuid,
        environment: Environment,
        user: &str,
        mode: Mode,
        ticket: Option<Ticket>,
    ) -> Reply {
        let body = CheckReply {
            decision: self.decision,
            action_id: id,
            message: self.message.as_deref(),
            reason: self.reason.as_deref(),
            status: if self.decision == Answered::RequiresApproval { "pending" } else { "completed" },
            environment,
            user_id: user,
            would: self.would,
        };
        // Plain strings: nothing in them that JSON cannot hold.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let body = match ticket {
            Some(ticket) => ticket.body(bytes),
            None => Body::from(bytes),
        };
        let mut reply = with_body(StatusCode::OK, body);
        if let Ok(id) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())) {
            reply.headers_mut().insert(&ID, id);
        }
        reply.headers_mut().insert(&MODE, HeaderValue::from_static(mode.as_str()));
        reply
    }
}

/// JSON with a status.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    with_body(status, Body::from(serde_json::to_vec(body).unwrap_or_default()))
}

/// The client never reads it; people do.
pub(super) fn error(status: StatusCode, text: &str) -> Reply {
    json(status, &ErrorReply { error: text })
}

/// What the server's own parts say, in this contract's form.
pub(super) fn failed(error: &ApiError) -> Reply {
    let mut reply = self::error(error.status, &error.message);
    if let Some(seconds) = error.retry_after_s {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

fn with_body(status: StatusCode, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// The reasons in words, without what could steer a terminal.
fn sentences(reasons: &[Reason]) -> String {
    let clean = |reason: &Reason| {
        let text = reason.message.chars().take(REASON_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c });
        text.collect::<String>().trim_end_matches('.').to_owned()
    };
    let mut words: Vec<_> = reasons.iter().take(REASONS).map(clean).collect();
    words.dedup();
    words.join("; ")
}
