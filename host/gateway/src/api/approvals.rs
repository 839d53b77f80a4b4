use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::StatusCode;
use portcullis_approvals::{Approval, ArgumentChange, Ballot, DecideError, Filter, MAX_CHANGES, Notice, State, View};
use portcullis_model::{Digest, Document, Kind, Value};
use portcullis_tenancy::roles;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{Api, Context, json_bytes, json_value, query};
use crate::gate::{GateError, ModifyError, VoteError, now_ms};
use crate::http::{ApiError, Peer, Reply, WireError};
use crate::ports::OperatorIdentity;

/// Most approvals of one answer.
const MAX_APPROVALS: u64 = 500;
const DEFAULT_APPROVALS: u64 = 100;

/// Longest that an answer is held until something changes.
const MAX_WAIT_MS: u64 = 60_000;
/// Decisions of one request.
const MAX_DECISIONS: usize = 100;

#[derive(Serialize)]
struct List<'a> {
    approvals: Vec<Shown<'a>>,
    /// Changes with every approval of the tenant.
    version: u64,
}

/// What became of the decisions of one request, in their order.
#[derive(Serialize)]
struct Results {
    results: Vec<Box<RawValue>>,
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

/// A decision that counts.
#[derive(Serialize)]
struct Counted<'a> {
    id: Uuid,
    approval: View<'a>,
}

/// A decision that does not, and why.
#[derive(Serialize)]
struct NotCounted<'a> {
    id: Uuid,
    status: u16,
    error: WireError<'a>,
}

/// What lists are asked for by.
const FILTERS: [&str; 12] = [
    "state",
    "before",
    "limit",
    "agent",
    "upstream",
    "tool",
    "session",
    "reason",
    "claimed_by",
    "mine",
    "version",
    "wait_ms",
];

/// An operator's answer as it comes in.
struct Decision {
    approve: bool,
    comment: Option<String>,
    /// Of the call that was shown.
    digest: Option<Digest>,
}

impl Api {
    /// `?state&agent&upstream&tool&session&reason&claimed_by&mine&before&limit`, and `version&wait_ms` to be answered once
    /// something is otherwise than in the answer with that version.
    pub(super) async fn approvals(&self, context: &Context, query: &str, peer: &Peer) -> Result<Reply, ApiError> {
        let query = query::Text::read(query, &FILTERS)?;
        let limit = query::number("limit", query.get("limit"), DEFAULT_APPROVALS, 1..=MAX_APPROVALS)?;
        let wait_ms = query::number("wait_ms", query.get("wait_ms"), 0, 0..=MAX_WAIT_MS)?;
        let seen =
            query.get("version").map(|seen| query::number("version", Some(seen), 0, 0..=u64::MAX)).transpose()?;
        let mine = match query.get("mine") {
            None | Some("false") => None,
            Some("true") => Some(context.operator()?.voter()),
            Some(_) => return Err(ApiError::malformed("mine must be true or false", "leave it out for all")),
        };
        let agent = match &context.caller.agent {
            // Agents see their own.
            Some(agent) if query.get("agent").is_none_or(|name| name == &*agent.name) => Some(&*agent.name),
            Some(_) => return Err(ApiError::forbidden("an agent lists its own calls", "leave out agent")),
            None => query.get("agent"),
        };
        let filter = Filter {
            state: query.get("state").map(read_state).transpose()?,
            before: query.get("before").map(read_id).transpose()?,
            agent,
            upstream: query.get("upstream"),
            tool: query.get("tool"),
            session: query.get("session"),
            reason: query.get("reason"),
            claimed_by: query.get("claimed_by"),
            asks: mine,
        };
        if context.caller.agent.is_some() && filter.claimed_by.is_some() {
            return Err(ApiError::forbidden("only operators see claims", "leave out claimed_by"));
        }
        let (approvals, tenant) = (self.gate.approvals(), context.own_tenant()?);
        // Before the list: what changes meanwhile is told the next time.
        let mut version = approvals.version(tenant);
        if let Some(seen) = seen.filter(|_| wait_ms > 0) {
            let changed = version.wait_for(|version| *version != seen);
            self.held(peer, wait_ms, async { drop(changed.await) }).await;
        }
        let version = *version.borrow_and_update();
        let (now_ms, limit) = (now_ms(), usize::try_from(limit).unwrap_or(0));
        let approvals = approvals.select(tenant, &filter, limit, now_ms);
        let shown = approvals.iter().filter_map(|approval| show(context, approval, now_ms));
        Ok(json_value(StatusCode::OK, &List { approvals: shown.collect(), version }))
    }

    /// `?wait_ms`: answered once it is final.
    pub(super) async fn approval(
        &self,
        context: &Context,
        query: &str,
        id: Option<String>,
        peer: &Peer,
    ) -> Result<Reply, ApiError> {
        let [wait_ms] = query::read(query, ["wait_ms"])?;
        let wait_ms = query::number("wait_ms", wait_ms, 0, 0..=MAX_WAIT_MS)?;
        let id = read_id(id.as_deref().unwrap_or_default())?;
        let (approvals, tenant) = (self.gate.approvals(), context.own_tenant()?);
        let read = || approvals.get(tenant, id);
        // Who may not see it does not wait for it either.
        let known = read().is_some_and(|approval| show(context, &approval, now_ms()).is_some());
        if known && wait_ms > 0 {
            let decided = approvals.wait(tenant, id, Duration::from_millis(wait_ms), now_ms());
            self.held(peer, wait_ms, async { drop(decided.await) }).await;
        }
        let approval = read();
        let shown = approval.as_ref().and_then(|approval| show(context, approval, now_ms()));
        Ok(json_value(StatusCode::OK, &shown.ok_or_else(unknown)?))
    }

    /// Waits for `what`, as long as it is asked for, somebody is there and the server does not drain.
    async fn held(&self, peer: &Peer, wait_ms: u64, what: impl Future<Output = ()>) {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            () = what => {}
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            () = peer.gone() => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    }

    /// Several decisions, each for itself: the answer says what became of which.
    pub(super) async fn decide_many(&self, operator: &OperatorIdentity, body: Vec<u8>) -> Result<Reply, ApiError> {
        const FORM: &str = "send {\"decisions\":[{\"id\":…,\"decision\":\"approve\" or \"deny\",\"comment\":\"…\"}]}";
        let document = object(body, FORM)?;
        let decisions = members(&document, ["decisions"], FORM)?;
        let [Some(decisions)] = decisions else { return Err(ApiError::malformed("decisions are missing", FORM)) };
        if decisions.kind() != Kind::Array || !(1..=MAX_DECISIONS).contains(&decisions.items().count()) {
            return Err(ApiError::malformed(format!("send 1 to {MAX_DECISIONS} decisions"), FORM));
        }
        // All are read before any counts.
        let ballots = decisions.items().map(|item| {
            let [id, decision, comment, digest] = fields(item, ["id", "decision", "comment", "digest"], FORM)?;
            let id = id.and_then(|id| Uuid::parse_str(id.as_str()?).ok());
            let id = id.ok_or_else(|| ApiError::malformed("an id is missing or none", FORM))?;
            Ok((id, Decision::of(decision, comment, digest, FORM)?))
        });
        let ballots = ballots.collect::<Result<Vec<_>, ApiError>>()?;
        let votes = ballots.iter().map(async |(id, decision)| match self.vote(operator, *id, decision).await {
            Ok(approval) => to_raw_value(&Counted { id: *id, approval: approval.view(now_ms()) }),
            Err(error) => to_raw_value(&NotCounted { id: *id, status: error.status.as_u16(), error: error.wire() }),
        });
        // Their entries go to the disk together.
        let results = join_all(votes).await.into_iter().collect::<Result<_, _>>().map_err(|_| GateError::Failed)?;
        Ok(json_value(StatusCode::OK, &Results { results }))
    }

    /// Takes a parked call up, or gives it back.
    pub(super) async fn claim(
        &self,
        operator: &OperatorIdentity,
        id: Option<String>,
        take: bool,
    ) -> Result<Reply, ApiError> {
        let id = read_id(id.as_deref().unwrap_or_default())?;
        let approval = self.gate.claim(operator, id, take).await.map_err(not_counted)?;
        Ok(json_value(StatusCode::OK, &approval.view(now_ms())))
    }

    pub(super) async fn comment(
        &self,
        operator: &OperatorIdentity,
        id: Option<String>,
        body: Vec<u8>,
    ) -> Result<Reply, ApiError> {
        const FORM: &str = "send {\"comment\":\"…\"}";
        let id = read_id(id.as_deref().unwrap_or_default())?;
        if operator.roles.iter().all(|role| role == roles::VIEWER) {
            return Err(ApiError::forbidden("viewers only read", "somebody with another role has to say it"));
        }
        let document = object(body, FORM)?;
        let [comment] = members(&document, ["comment"], FORM)?;
        let comment = comment.and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let comment = comment.ok_or_else(|| ApiError::malformed("the comment is missing or no text", FORM))?;
        let approval = self.gate.comment(operator, id, comment.to_owned()).await.map_err(not_counted)?;
        Ok(json_value(StatusCode::OK, &approval.view(now_ms())))
    }

    /// The arguments of a parked call, for those who may change them.
    pub(super) async fn arguments(&self, operator: &OperatorIdentity, id: Option<String>) -> Result<Reply, ApiError> {
        let id = read_id(id.as_deref().unwrap_or_default())?;
        let arguments = self.gate.arguments(operator, id).await.map_err(not_counted)?;
        Ok(json_bytes(arguments.raw().as_bytes().to_vec()))
    }

    pub(super) async fn modify(
        &self,
        operator: &OperatorIdentity,
        id: Option<String>,
        body: Vec<u8>,
    ) -> Result<Reply, ApiError> {
        const FORM: &str = "send {\"changes\":[{\"pointer\":\"/amount\",\"value\":50}],\"comment\":\"…\"}";
        let id = read_id(id.as_deref().unwrap_or_default())?;
        let document = object(body, FORM)?;
        let [changes, comment] = members(&document, ["changes", "comment"], FORM)?;
        let changes = changes.filter(|changes| changes.kind() == Kind::Array);
        let changes = changes.ok_or_else(|| ApiError::malformed("changes are missing or no list", FORM))?;
        let changes = changes.items().take(MAX_CHANGES + 1).map(|item| {
            let [pointer, value] = fields(item, ["pointer", "value"], FORM)?;
            let (Some(pointer), Some(value)) = (pointer.and_then(Value::as_str), value) else {
                return Err(ApiError::malformed("a change needs pointer and value", FORM));
            };
            Ok(ArgumentChange { pointer: pointer.to_owned(), value: value.raw().to_owned() })
        });
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        let comment = read_comment(comment, FORM)?;
        let approval = self.gate.modify(operator, id, changes, comment).await.map_err(|error| match error {
            ModifyError::Vote(error) => not_counted(error),
            ModifyError::Arguments(error) => ApiError::malformed(error.to_string(), FORM),
            ModifyError::Refused(_) | ModifyError::OtherPeople => ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "modification_refused",
                error.to_string(),
                "the parked call is what it was",
            ),
        })?;
        Ok(json_value(StatusCode::OK, &approval.view(now_ms())))
    }

    pub(super) async fn decide(
        &self,
        operator: &OperatorIdentity,
        id: Option<String>,
        body: Vec<u8>,
    ) -> Result<Reply, ApiError> {
        let id = read_id(id.as_deref().unwrap_or_default())?;
        let approval = self.vote(operator, id, &Decision::read(body)?).await?;
        Ok(json_value(StatusCode::OK, &approval.view(now_ms())))
    }

    async fn vote(
        &self,
        operator: &OperatorIdentity,
        id: Uuid,
        decision: &Decision,
    ) -> Result<Arc<Approval>, ApiError> {
        let ballot = Ballot {
            tenant: &operator.tenant,
            id,
            by: operator.voter(),
            approve: decision.approve,
            comment: decision.comment.as_deref(),
            now_ms: now_ms(),
        };
        match decision.digest {
            None => self.gate.vote(&ballot).await.map_err(not_counted),
            Some(shown) => {
                let voted = self.gate.vote_shown(&ballot, shown).await.map_err(not_counted)?;
                voted.ok_or_else(|| refused(DecideError::Unseen))
            }
        }
    }
}

impl Decision {
    /// `{"decision": "approve" or "deny", "comment": text}`, nothing else.
    fn read(body: Vec<u8>) -> Result<Self, ApiError> {
        const FORM: &str = "send {\"decision\":\"approve\" or \"deny\",\"comment\":\"…\"}";
        let document = object(body, FORM)?;
        let [decision, comment, digest] = members(&document, ["decision", "comment", "digest"], FORM)?;
        Self::of(decision, comment, digest, FORM)
    }

    fn of(
        decision: Option<Value<'_>>,
        comment: Option<Value<'_>>,
        digest: Option<Value<'_>>,
        form: &'static str,
    ) -> Result<Self, ApiError> {
        let digest = digest.map(|digest| digest.as_str().and_then(|text| text.parse().ok()));
        let digest = digest.map(|digest| digest.ok_or_else(|| ApiError::malformed("the digest is none", form)));
        let decision = decision.ok_or_else(|| ApiError::malformed("decision is missing", form))?;
        let approve = match decision.as_str() {
            Some("approve") => true,
            Some("deny") => false,
            _ => return Err(ApiError::malformed("a field has a wrong value", form)),
        };
        Ok(Self { approve, comment: read_comment(comment, form)?, digest: digest.transpose()? })
    }
}

fn read_comment(comment: Option<Value<'_>>, form: &'static str) -> Result<Option<String>, ApiError> {
    let Some(comment) = comment else { return Ok(None) };
    let text = comment.as_str().ok_or_else(|| ApiError::malformed("a field has a wrong value", form))?;
    Ok(Some(text.to_owned()))
}

/// A body that is one object.
fn object(body: Vec<u8>, form: &'static str) -> Result<Document, ApiError> {
    let document = Document::parse(body);
    let document = document.map_err(|error| ApiError::malformed(format!("not acceptable JSON: {error}"), form))?;
    if document.root().kind() != Kind::Object {
        return Err(ApiError::malformed("the body must be an object", form));
    }
    Ok(document)
}

fn members<'d, const N: usize>(
    document: &'d Document,
    names: [&str; N],
    form: &'static str,
) -> Result<[Option<Value<'d>>; N], ApiError> {
    fields(document.root(), names, form)
}

/// The members of an object by these names; any other is an error.
fn fields<'d, const N: usize>(
    object: Value<'d>,
    names: [&str; N],
    form: &'static str,
) -> Result<[Option<Value<'d>>; N], ApiError> {
    let mut found = [None; N];
    for field in object.members() {
        let place = names.iter().position(|name| field.name() == Some(*name));
        match place.and_then(|index| found.get_mut(index)) {
            Some(place) => *place = Some(field),
            None => return Err(ApiError::malformed("unknown field", form)),
        }
    }
    Ok(found)
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

fn not_counted(error: VoteError) -> ApiError {
    match error {
        VoteError::Decide(error) => refused(error),
        VoteError::Gate(error) => error.into(),
    }
}

fn refused(error: DecideError) -> ApiError {
    let text = error.to_string();
    match error {
        DecideError::Unknown => unknown(),
        DecideError::NotEligible | DecideError::SelfApproval => {
            ApiError::forbidden(text, "another operator has to decide")
        }
        DecideError::Comment => ApiError::malformed(text, "shorten the comment"),
        DecideError::Claimed => {
            ApiError::new(StatusCode::CONFLICT, "claimed", text, "a claim lapses after five minutes")
        }
        DecideError::Unseen => ApiError::new(StatusCode::CONFLICT, "changed", text, "read the approval again"),
        DecideError::Comments => ApiError::new(StatusCode::CONFLICT, "too_many_comments", text, "decide, or say less"),
        DecideError::Fixed => ApiError::new(
            StatusCode::CONFLICT,
            "not_modifiable",
            text,
            "routers allow it with may_modify, for calls by MCP and /v1/inspect of up to 1 MiB",
        ),
        DecideError::Ended(_) | DecideError::Voted => {
            ApiError::new(StatusCode::CONFLICT, "decided", text, "read the approval again")
        }
        DecideError::Busy => ApiError {
            retry_after_s: Some(1),
            ..ApiError::new(StatusCode::CONFLICT, "busy", text, "read the approval again")
        },
    }
}
