//! Parked calls under this contract: the agent polls, operators list and decide.

use std::sync::Arc;

use hyper::{Request, StatusCode};
use portcullis_approvals::{Approval, Ballot, DecideError, State};
use portcullis_model::{Document, Door, Value};
use serde_json::json;
use uuid::Uuid;

use super::answer::{Answer, PENDING_CONTRACT, REASONS, sentence};
use super::{BODY_WAIT, Inner, Known, request};
use crate::api::MAX_SMALL_BODY;
use crate::gate::{Collected, GateError, Uncollected, VoteError, now_ms};
use crate::http::{ApiError, RequestBody};
use crate::ports::{AgentIdentity, Caller};

/// Views of one list.
const LISTED: usize = 50;
const MAX_LISTED: usize = 500;

impl Inner {
    /// One parked call, for its agent or an operator of its tenant. To the agent, an approval is given once: whoever reads
    /// that it was given may run the call.
    pub(super) async fn view(&self, caller: &Caller, of: &str) -> Answer {
        match (&caller.agent, &caller.operator) {
            (Some(agent), _) => self.own(agent, of).await,
            (None, Some(operator)) => match self.find(&operator.tenant, of).await {
                Ok((id, approval)) => Answer::json(StatusCode::OK, &shown(id, &approval, Standing::known(&approval))),
                Err(answer) => answer,
            },
            (None, None) => Answer::unauthorized(),
        }
    }

    /// What became of a request that this agent made here.
    async fn own(&self, agent: &AgentIdentity, of: &str) -> Answer {
        let Some(id) = request::canonical(of) else { return unknown() };
        if let Err(error) = self.gate.awake(agent) {
            return Answer::refused(&error.into(), agent, id);
        }
        let known = match self.kept(&agent.tenant, id).await {
            Ok(kept) => kept.and_then(|(_, known)| known),
            Err(error) => return unavailable(&error),
        };
        let parked = known.as_ref().and_then(Known::approval);
        let own = |approval: Uuid| Some(self.gate.approvals().get(&agent.tenant, approval)?.agent == agent.name);
        let Some(parked) = parked.filter(|approval| own(*approval) == Some(true)) else { return unknown() };
        if let (Some(Known::Executing(_)), Some(approval)) = (&known, self.gate.approvals().get(&agent.tenant, parked))
        {
            // It is run here, so reading that it may run uses nothing up.
            return Answer::json(StatusCode::OK, &shown(id, &approval, Standing::known(&approval)));
        }
        let (standing, approval) = match self.gate.collect(&agent.tenant, parked, id, Door::Clavenar).await {
            Ok(Collected::Waits(approval)) => (Standing::new(None, None), approval),
            Ok(Collected::Given(approval) | Collected::Refused(Uncollected::Denied, Some(approval))) => {
                (Standing::known(&approval), approval)
            }
            Ok(Collected::Refused(why, Some(approval))) => {
                (Standing::new(Some(false), Some(why.to_string())), approval)
            }
            Ok(Collected::Refused(_, None)) => return unknown(),
            Err(error) => return Answer::refused(&error.into(), agent, id),
        };
        Answer::json(StatusCode::OK, &shown(id, &approval, standing))
    }

    /// `GET /pending?status=parked|decided|all&limit=N&sort=oldest|newest`
    pub(super) fn list(&self, caller: &Caller, query: &str) -> Answer {
        let Some(operator) = &caller.operator else { return Answer::unauthorized() };
        let wrong = |what: &str| Answer::text(StatusCode::BAD_REQUEST, format!("{what} has no such value"));
        let (mut status, mut limit, mut sort) = ("parked", LISTED, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("status", word @ ("parked" | "decided" | "all")) => status = word,
                ("sort", word @ ("oldest" | "newest")) => sort = Some(word),
                ("limit", number) => match number.parse::<usize>() {
                    Ok(number) => limit = number.min(MAX_LISTED),
                    Err(_) => return wrong("limit"),
                },
                ("status", _) => return wrong("status"),
                ("sort", _) => return wrong("sort"),
                _ => {}
            }
        }
        let now_ms = now_ms();
        let mut all = self.gate.approvals().list(&operator.tenant, None, None, usize::MAX, now_ms);
        all.retain(|approval| match status {
            "parked" => approval.state_at(now_ms) == State::Pending,
            "decided" => approval.state_at(now_ms) != State::Pending,
            _ => true,
        });
        if sort.unwrap_or(if status == "parked" { "oldest" } else { "newest" }) == "oldest" {
            all.reverse();
        }
        let views: Vec<_> =
            all.iter().take(limit).map(|approval| shown(approval.call, approval, Standing::known(approval))).collect();
        Answer::json(StatusCode::OK, &views.into())
    }

    /// `{"decision":"allow"|"deny","note"?}` of an operator.
    pub(super) async fn decide(&self, caller: &Caller, of: &str, request: Request<RequestBody>) -> Answer {
        let Some(operator) = &caller.operator else { return Answer::unauthorized() };
        let owner = (Arc::clone(&operator.tenant), Arc::clone(&operator.name));
        let body = self.body_room.read(request.into_body(), &owner, MAX_SMALL_BODY, BODY_WAIT).await;
        let body = match body.map(|body| Document::parse(body.bytes)) {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Answer::text(StatusCode::BAD_REQUEST, error.to_string()),
            Err(error) => return Answer::http(&error),
        };
        let approve = match body.root().get("decision").and_then(Value::as_str) {
            Some("allow") => true,
            Some("deny") => false,
            _ => return Answer::text(StatusCode::BAD_REQUEST, "decision must be allow or deny"),
        };
        let (id, approval) = match self.find(&operator.tenant, of).await {
            Ok(found) => found,
            Err(answer) => return answer,
        };
        let ballot = Ballot {
            tenant: &operator.tenant,
            id: approval.id,
            by: operator.voter(),
            approve,
            comment: body.root().get("note").and_then(Value::as_str),
            now_ms: now_ms(),
        };
        match self.gate.vote(&ballot).await {
            Ok(approval) => Answer::json(StatusCode::OK, &shown(id, &approval, Standing::known(&approval))),
            Err(VoteError::Gate(error)) => unavailable(&error),
            Err(VoteError::Decide(error)) => {
                let status = match error {
                    DecideError::Unknown => StatusCode::NOT_FOUND,
                    DecideError::NotEligible | DecideError::SelfApproval => StatusCode::FORBIDDEN,
                    DecideError::Comment => StatusCode::BAD_REQUEST,
                    DecideError::Ended(_)
                    | DecideError::Voted
                    | DecideError::Claimed
                    | DecideError::Comments
                    | DecideError::Fixed
                    | DecideError::Unseen
                    | DecideError::Busy => StatusCode::CONFLICT,
                };
                Answer::text(status, error.to_string())
            }
        }
    }

    /// The one parked call that an operator means by this id: of a request made here, or of a call at another door.
    async fn find(&self, tenant: &Arc<str>, of: &str) -> Result<(Uuid, Arc<Approval>), Answer> {
        let id = request::canonical(of).ok_or_else(unknown)?;
        let kept = self.kept(tenant, id).await.map_err(|error| unavailable(&error))?;
        let kept = kept.and_then(|(_, known)| known?.approval());
        let mut found: Vec<_> =
            kept.and_then(|approval| self.gate.approvals().get(tenant, approval)).into_iter().collect();
        found.extend(self.gate.approvals().named(tenant, id));
        found.sort_by_key(|approval| approval.id);
        found.dedup_by_key(|approval| approval.id);
        match found.as_slice() {
            [] => Err(unknown()),
            [one] => Ok((id, Arc::clone(one))),
            _ => Err(Answer::text(StatusCode::CONFLICT, "several parked calls have this id: decide by /v1/approvals")),
        }
    }
}

/// How a parked call is said to stand.
struct Standing {
    status: &'static str,
    decision: Option<&'static str>,
    note: Option<String>,
}

impl Standing {
    fn new(decision: Option<bool>, note: Option<String>) -> Self {
        let (status, decision) = match decision {
            None => ("pending", None),
            Some(true) => ("approved", Some("allow")),
            Some(false) => ("denied", Some("deny")),
        };
        Self { status, decision, note }
    }

    /// To an operator.
    fn known(approval: &Approval) -> Self {
        let said = || approval.votes.last().and_then(|vote| vote.comment.clone());
        match approval.state_at(now_ms()) {
            State::Pending => Self::new(None, None),
            State::Approved => Self::new(Some(true), said()),
            State::Denied => Self::new(Some(false), said()),
            State::Expired | State::Cancelled => {
                Self::new(Some(false), Uncollected::of(approval).map(|why| why.to_string()))
            }
        }
    }
}

/// The thirteen members of a view, which some clients require all of.
fn shown(id: Uuid, approval: &Approval, standing: Standing) -> serde_json::Value {
    let view = approval.view(now_ms());
    let reasons: Vec<_> = approval.reasons.iter().take(REASONS).map(sentence).collect();
    json!({
        "contract": PENDING_CONTRACT,
        "status": standing.status,
        "pending_id": id,
        "correlation_id": id,
        "tenant": approval.tenant,
        "agent_id": approval.agent,
        "tool_type": approval.tool,
        "method": "tools/call",
        "review_reasons": reasons,
        "requested_at": view.created,
        "decided_at": standing.decision.and(view.ended.or(Some(view.notice.deadline))),
        "decision": standing.decision,
        "decider_note": standing.note,
    })
}

fn unknown() -> Answer {
    Answer::text(StatusCode::NOT_FOUND, "there is no such pending call")
}

fn unavailable(error: &GateError) -> Answer {
    Answer::http(&ApiError::from(error.clone()))
}
