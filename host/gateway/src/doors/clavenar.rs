//! The Clavenar contract: the published agent SDKs of Clavenar ask here before they run a tool.
//!
//! Facts of the wire are from the published clients. What is decided and recorded is the gate's matter, as at every door.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use portcullis_approvals::Approval;
use portcullis_ledger::{Attachment, KeyValue};
use portcullis_model::{Decision, Digest, Document, Door, Judgement, Mode, codes};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::answer::AllowBody;
use self::answer::Answer;
pub use self::execution::RECORDS;
use self::execution::Stage;
use self::request::{Asked, Selected};
use super::mcp::McpDoor;
use crate::api::{MAX_BODY, check_encoding};
use crate::gate::{Collected, Gate, GateError, Ruling, kept_for};
use crate::http::{ApiError, BODY_ROOM, BodyRoom, Mount, PeerInfo, Received, Reply, RequestBody, Room, bearer};
use crate::ports::{AgentIdentity, Caller, PeerIdentity};

mod answer;
mod execution;
mod pending;
mod request;

/// Where the door is reached with a base path of its own.
const PREFIX: &str = "/clavenar";
/// The paths that it has at the root.
const MCP: &str = "/mcp";
const PENDING: &str = "/pending";

/// Says which contract the answer is to keep; without it the MCP door answers.
const DECISION: HeaderName = HeaderName::from_static("x-clavenar-decision-contract");
const EXECUTION: HeaderName = HeaderName::from_static("x-clavenar-server-execution-contract");
/// An older name that nobody may use any more.
const LEGACY: HeaderName = HeaderName::from_static("x-clavenar-execution-contract");
/// The id of the request, chosen by the caller.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("x-clavenar-idempotency-id");
const CALLBACK: HeaderName = HeaderName::from_static("x-clavenar-callback-url");
/// On every answer.
const CORRELATION: HeaderName = HeaderName::from_static("x-clavenar-correlation-id");
const MODE: HeaderName = HeaderName::from_static("x-clavenar-mode");
/// On answers of tenants that only observe: what would have been.
const WOULD_DENY: HeaderName = HeaderName::from_static("x-clavenar-would-deny");
const WOULD_PEND: HeaderName = HeaderName::from_static("x-clavenar-would-pend");

/// Until the body of a request is there.
const BODY_WAIT: Duration = Duration::from_secs(15);

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct ClavenarDoor(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    mcp: McpDoor,
    allow: AllowBody,
    body_room: BodyRoom,
    draining: AtomicBool,
}

/// What is known of a request once it was ruled; kept under its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Verdict {
    decision: Decision,
    mode: Mode,
    /// Sentences, strongest first.
    reasons: Vec<String>,
    /// Codes of the reasons.
    codes: Vec<String>,
    /// The parked call.
    approval: Option<Uuid>,
    /// Whether its own entry released the approval.
    released: bool,
}

/// What is kept under the id of a request.
enum Known {
    /// It asked for a decision.
    Decided(Verdict),
    /// It asked for a call to be run.
    Executing(Stage),
}

/// Where a request goes within the door.
enum Route {
    /// With the name of an upstream, if there is one in the path.
    Mcp(Option<String>),
    Pending,
    One(String),
    Decide(String),
    Alive,
    Ready,
    Nothing,
}

impl ClavenarDoor {
    /// A door beside the MCP door, which answers what is no question of this contract.
    #[must_use]
    pub fn new(gate: Arc<Gate>, mcp: McpDoor, allow: AllowBody) -> Self {
        let body_room = BodyRoom::new(BODY_ROOM);
        Self(Arc::new(Inner { gate, mcp, allow, body_room, draining: AtomicBool::new(false) }))
    }

    /// Records that calls which the process before this one had begun to run have no known end: `records` are those that it
    /// left under [`RECORDS`]. Call it before the door is open. How many there were.
    ///
    /// # Errors
    /// An entry could not be written; what was written stays.
    pub async fn recover(&self, records: Vec<KeyValue>) -> Result<usize, GateError> {
        self.0.recover(records).await
    }

    /// Everything under which it is reached, the MCP door's own path included: the selector headers decide there.
    #[must_use]
    pub fn mounts(&self) -> Vec<Arc<dyn Mount>> {
        let at = |prefix| Arc::new(Mounted { door: self.clone(), prefix }) as Arc<dyn Mount>;
        vec![at(MCP), at(PENDING), at(PREFIX)]
    }
}

/// The door under one of its paths.
struct Mounted {
    door: ClavenarDoor,
    prefix: &'static str,
}

impl Mount for Mounted {
    fn prefix(&self) -> &'static str {
        self.prefix
    }

    fn handle(&self, request: Request<RequestBody>, peer: PeerInfo) -> BoxFuture<'_, Reply> {
        let inner = &self.door.0;
        // Wherever such a header is sent: whoever wants a decision only does not have the call forwarded.
        if self.prefix == MCP && !request::selects(request.headers()) {
            return inner.mcp.handle(request, peer);
        }
        Box::pin(inner.answer(request, peer, self.prefix == PREFIX))
    }

    fn drain(&self, within: Duration) -> BoxFuture<'_, ()> {
        self.door.0.draining.store(true, Ordering::Relaxed);
        if self.prefix == MCP { self.door.0.mcp.drain(within) } else { Box::pin(async {}) }
    }
}

impl Inner {
    async fn answer(self: &Arc<Self>, request: Request<RequestBody>, peer: PeerInfo, own_base: bool) -> Reply {
        let path = request.uri().path();
        let route = Route::of(if own_base { path.strip_prefix(PREFIX).unwrap_or(path) } else { path });
        let identity = peer.identity.clone();
        let caller = bearer(request.headers()).ok().and_then(|token| self.caller(token, identity.as_deref()));
        let caller = caller.unwrap_or_default();
        let tenant = caller.agent.as_ref().map(|agent| &agent.tenant);
        let tenant = tenant.or(caller.operator.as_ref().map(|operator| &operator.tenant)).cloned();
        let mut id = Uuid::new_v4();
        let answer = match (route, request.method()) {
            (Route::Mcp(upstream), &Method::POST) => match request::selected(request.headers()) {
                Ok(Some(Selected::Execution(chosen))) => {
                    id = chosen;
                    self.execute(&caller, id, upstream.as_deref(), request).await
                }
                // Only a call that is run has an upstream.
                _ if upstream.is_some() => nowhere(),
                Ok(Some(Selected::Decision(chosen))) => {
                    id = chosen;
                    self.decision(&caller, id, request).await
                }
                Ok(None) if caller.agent.is_none() => Answer::migration(id),
                Ok(None) => match self.control(&caller, id, request, peer).await {
                    Ok(reply) => return self.marked(reply, id, tenant.as_deref()),
                    Err(answer) => answer,
                },
                Err(problem) => Answer::selector(id, problem),
            },
            (Route::Pending, &Method::GET) => self.list(&caller, request.uri().query().unwrap_or_default()),
            (Route::One(of), &Method::GET) => self.view(&caller, &of).await,
            (Route::Decide(of), &Method::POST) => self.decide(&caller, &of, request).await,
            (Route::Alive, &Method::GET) => Answer::text(StatusCode::OK, "portcullis is alive"),
            (Route::Ready, &Method::GET) => self.ready(),
            (Route::Nothing, _) => nowhere(),
            _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "this path is not used with that method"),
        };
        self.marked(answer.reply(), id, tenant.as_deref())
    }

    /// Who presents a token, or a certificate alone. A token may come with its owner before it, as the reference server
    /// is configured with (`tenant/agent:token`, for operators `tenant:token`): then it must be that one's.
    fn caller(&self, token: Option<&str>, peer: Option<&PeerIdentity>) -> Option<Caller> {
        if let Some(caller) = self.gate.authenticate(token, peer) {
            return Some(caller);
        }
        let (owner, token) = token?.split_once(':')?;
        let caller = self.gate.authenticate(Some(token), peer)?;
        let owned = match (&caller.agent, &caller.operator) {
            (Some(agent), _) => owner.split_once('/') == Some((&*agent.tenant, &*agent.name)),
            (None, Some(operator)) => owner == &*operator.tenant,
            (None, None) => false,
        };
        owned.then_some(caller)
    }

    /// With what every answer says in its head.
    fn marked(&self, mut reply: Reply, id: Uuid, tenant: Option<&str>) -> Reply {
        let headers = reply.headers_mut();
        if let Ok(id) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())) {
            headers.insert(CORRELATION, id);
        }
        let mode = tenant.map_or_else(Mode::default, |tenant| self.gate.mode(tenant));
        headers.insert(MODE, HeaderValue::from_static(mode.as_str()));
        reply
    }

    /// A question under the decision contract: nothing is forwarded.
    async fn decision(self: &Arc<Self>, caller: &Caller, id: Uuid, request: Request<RequestBody>) -> Answer {
        let Some(agent) = &caller.agent else { return Answer::unauthorized() };
        if request.headers().contains_key(CALLBACK) {
            return Answer::text(StatusCode::BAD_REQUEST, "callback URLs are not accepted: poll /pending/ID");
        }
        let Received { bytes, room } = match self.body(agent, request, MAX_BODY).await {
            Ok(body) => body,
            Err(error) => return Answer::http(&error),
        };
        let asked = match Document::parse(bytes)
            .map_err(|error| error.to_string())
            .and_then(|body| Asked::read(&body, agent, id))
        {
            Ok(asked) => asked,
            Err(problem) => return Answer::text(StatusCode::BAD_REQUEST, problem),
        };
        if asked.calls.is_empty() {
            return Answer::selector(id, request::Problem::ToolRequired);
        }
        if let Err(error) = self.gate.awake(agent) {
            return Answer::refused(&error.into(), agent, id);
        }
        match self.settle(agent, id, asked, room).await {
            Ok(verdict) => self.verdict(agent, id, &verdict).await,
            Err(error) => Answer::refused(&error, agent, id),
        }
    }

    /// The ruling, or the one kept under the caller's id. `room` is that of the request's body.
    async fn settle(
        self: &Arc<Self>,
        agent: &AgentIdentity,
        id: Uuid,
        asked: Asked,
        room: Room,
    ) -> Result<Arc<Verdict>, ApiError> {
        let request = asked.digest;
        let (inner, tenant) = (Arc::clone(self), Arc::clone(&agent.tenant));
        let key = (Arc::clone(&tenant), id);
        let settle = async move {
            let _room = room;
            match inner.kept(&tenant, id).await? {
                Some((kept, _)) if kept != request => Err(conflict()),
                Some((_, Some(Known::Decided(verdict)))) => Ok(Arc::new(verdict)),
                Some(_) => Err(GateError::Failed.into()),
                // An id that names another parked call would make it unclear which of the two is decided.
                None if inner.is_parked(&tenant, id) => Err(conflict()),
                None => inner.rule(&asked, request).await.map(Arc::new),
            }
        };
        self.gate.repeats().once(key, request, conflict, settle).await
    }

    async fn rule(&self, asked: &Asked, request: Digest) -> Result<Verdict, ApiError> {
        let id = asked.whole.id;
        let ruling = self.gate.rule_together(&asked.whole, &asked.calls, Door::Clavenar, |judgement, approval| {
            let verdict = Verdict::of(judgement, approval);
            let answer = serde_json::to_vec(&verdict).unwrap_or_default();
            vec![Attachment::Answer { id, request, answer, ttl: kept_for(approval) }]
        });
        let Ruling { judgement, approval, .. } = ruling.await?;
        Ok(Verdict::of(&judgement, approval.as_deref()))
    }

    /// What is kept under this id: digest of the request, and what it came to if it was one at this door.
    async fn kept(&self, tenant: &Arc<str>, id: Uuid) -> Result<Option<(Digest, Option<Known>)>, GateError> {
        let (gate, tenant) = (Arc::clone(&self.gate), Arc::clone(tenant));
        // It reads the store, which may have to read the disk.
        let kept = tokio::task::spawn_blocking(move || gate.journal().kept(&tenant, id)).await;
        let kept = kept.map_err(|_| GateError::Failed)??;
        Ok(kept.map(|kept| (kept.request, Known::read(&kept.answer))))
    }

    /// The answer to a ruled request, by where its approval stands now. What was ruled while the tenant observed is not
    /// allowed by that any more once it enforces.
    async fn verdict(&self, agent: &AgentIdentity, id: Uuid, verdict: &Verdict) -> Answer {
        if verdict.mode == Mode::Observe && self.gate.mode(&agent.tenant) == Mode::Observe {
            let would = match verdict.decision {
                Decision::Allow => None,
                Decision::Review => Some(WOULD_PEND),
                Decision::Redact | Decision::Deny => Some(WOULD_DENY),
            };
            return Answer::allow(self.allow, id).with(would, HeaderValue::from_static("true"));
        }
        match (verdict.decision, verdict.approval) {
            (Decision::Allow, _) => Answer::allow(self.allow, id),
            (Decision::Review, _) if verdict.released => Answer::allow(self.allow, id),
            (Decision::Review, Some(approval)) => {
                match self.gate.collect(&agent.tenant, approval, id, Door::Clavenar).await {
                    Ok(Collected::Waits(_)) => Answer::pending(id, &verdict.reasons),
                    Ok(Collected::Given(_)) => Answer::allow(self.allow, id),
                    Ok(Collected::Refused(why, approval)) => Answer::refused_by_person(id, approval.as_deref(), why),
                    Err(error) => Answer::refused(&error.into(), agent, id),
                }
            }
            (Decision::Review | Decision::Redact | Decision::Deny, _) => Answer::deny(id, verdict),
        }
    }

    /// Whether this id names a parked call of the tenant, at whichever door.
    fn is_parked(&self, tenant: &str, id: Uuid) -> bool {
        !self.gate.approvals().named(tenant, id).is_empty()
    }

    /// A message without a contract: what MCP clients say before they call tools goes to the MCP door, nothing else.
    async fn control(
        &self,
        caller: &Caller,
        id: Uuid,
        request: Request<RequestBody>,
        peer: PeerInfo,
    ) -> Result<Reply, Answer> {
        let Some(agent) = &caller.agent else { return Err(Answer::unauthorized()) };
        let (mut head, body) = request.into_parts();
        let read = self.body_room.read(body, &agent.owner(), MAX_BODY, BODY_WAIT).await;
        let Received { bytes, room: _room } = read.map_err(|error| Answer::http(&error))?;
        let control = Document::parse(bytes.clone()).map_err(|error| error.to_string());
        let control = control.and_then(|body| request::is_control(&body));
        if !control.map_err(|problem| Answer::text(StatusCode::BAD_REQUEST, problem))? {
            return Err(Answer::migration(id));
        }
        head.uri = Uri::from_static(MCP);
        // That door knows tokens without their owner only.
        if let Ok(Some(token)) = bearer(&head.headers)
            && self.gate.authenticate(Some(token), peer.identity.as_deref()).is_none()
            && let Some((_, bare)) = token.split_once(':')
            && let Ok(mut bare) = HeaderValue::try_from(format!("Bearer {bare}"))
        {
            bare.set_sensitive(true);
            head.headers.insert(AUTHORIZATION, bare);
        }
        head.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json, text/event-stream"));
        Ok(self.mcp.handle(Request::from_parts(head, RequestBody::whole(bytes)), peer).await)
    }

    fn ready(&self) -> Answer {
        let health = self.gate.journal().health();
        let (status, word) = match health.writable && !self.draining.load(Ordering::Relaxed) {
            true => (StatusCode::OK, "ready"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
        };
        let ledger = if health.writable { "ok" } else { "fail" };
        Answer::json(status, &serde_json::json!({ "status": word, "checks": { "ledger": ledger } }))
    }

    async fn body(
        &self,
        agent: &AgentIdentity,
        request: Request<RequestBody>,
        limit: usize,
    ) -> Result<Received, ApiError> {
        check_encoding(request.headers())?;
        self.body_room.read(request.into_body(), &agent.owner(), limit, BODY_WAIT).await
    }
}

impl Route {
    fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["mcp"] => Self::Mcp(None),
            ["mcp", upstream] => Self::Mcp(Some((*upstream).to_owned())),
            ["pending"] => Self::Pending,
            ["pending", id] => Self::One((*id).to_owned()),
            ["pending", id, "decide"] => Self::Decide((*id).to_owned()),
            ["" | "health"] => Self::Alive,
            ["readyz"] => Self::Ready,
            _ => Self::Nothing,
        }
    }
}

impl Verdict {
    fn of(judgement: &Judgement, approval: Option<&Approval>) -> Self {
        let sentences = judgement.reasons.iter().take(answer::REASONS).map(answer::sentence);
        Self {
            decision: judgement.decision,
            mode: judgement.mode,
            reasons: sentences.collect(),
            codes: judgement.reasons.iter().take(answer::REASONS).map(|reason| reason.code.clone()).collect(),
            approval: approval.map(|approval| approval.id),
            released: approval.is_some_and(|approval| approval.released_ms.is_some()),
        }
    }

    /// Of a call that policy lets pass, to a tool that the agent must not know of.
    fn hidden(judgement: &Judgement) -> Self {
        let (decision, code) = (Decision::Deny, codes::TOOL_HIDDEN.to_owned());
        let reasons = vec!["there is no such tool".to_owned()];
        Self { decision, reasons, codes: vec![code], approval: None, released: false, mode: judgement.mode }
    }
}

impl Known {
    fn read(kept: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Execution {
            execution: Stage,
        }
        let decided = serde_json::from_slice(kept).ok().map(Self::Decided);
        decided.or_else(|| serde_json::from_slice(kept).ok().map(|kept: Execution| Self::Executing(kept.execution)))
    }

    /// The parked call that it waited for.
    fn approval(&self) -> Option<Uuid> {
        match self {
            Self::Decided(verdict) => verdict.approval,
            Self::Executing(stage) => stage.approval(),
        }
    }
}

fn nowhere() -> Answer {
    Answer::text(StatusCode::NOT_FOUND, "there is nothing at this path")
}

fn conflict() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "idempotency_conflict",
        "this id was used for another request",
        "use a new id for a new question",
    )
}
