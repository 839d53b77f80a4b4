//! Server execution: a call that is allowed, or approved, is run here, at most once; what it came to is kept.
//!
//! The entry that allows a call is durable together with the fact that an attempt begins, and the entry about its end
//! together with the answer. An attempt without an end was cut off: nobody knows what it did, and it is not tried again.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use portcullis_approvals::{Approval, State};
use portcullis_ledger::{Attachment, KeyValue, Record};
use portcullis_model::{Call, Decision, Digest, Document, Door, Judgement, Kind, Mode, Outcome, Phase, Value, codes};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::answer::{Answer, EXECUTION_CONTRACT};
use super::request::{Asked, Problem};
use super::{BODY_WAIT, CALLBACK, Inner, Known, MCP, Verdict, WOULD_DENY, WOULD_PEND, conflict};
use crate::api::{MAX_BODY, check_encoding};
use crate::gate::{CallFacts, Delivered, Effect, Ending, GateError, Uncollected, effect, kept_for, now_ms};
use crate::http::{ApiError, Received, RequestBody};
use crate::ports::{AgentIdentity, Caller};

/// Where attempts that have begun are recorded.
pub const RECORDS: &[u8] = b"execution/";
/// Largest answer that is kept, in bytes; the contract has the same bound.
const MAX_ANSWER: usize = 1024 * 1024;
/// How long an end that is just being recorded is waited for.
const LATE: Duration = Duration::from_secs(2);
/// The methods that call one tool.
const METHODS: &[&str] = &["tools/call", "call_tool"];

const EXECUTION_ID: HeaderName = HeaderName::from_static("x-clavenar-execution-id");
const RESULT: HeaderName = HeaderName::from_static("x-clavenar-result-sha256");
const REPLAYED: HeaderName = HeaderName::from_static("x-clavenar-server-execution-replayed");
const RECEIPT: HeaderName = HeaderName::from_static("x-clavenar-server-execution-receipt-sha256");

/// How far a request has come; kept under its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Refused, or waiting for a person.
    Ruled(Verdict),
    /// Allowed; an attempt was begun.
    Begun(Begun),
    /// The attempt came to an end that is known.
    Done(Done),
    /// Nobody knows what the attempt did.
    Uncertain {
        /// The approval that it used up.
        approval: Option<Uuid>,
    },
}

/// An attempt that was begun: what its end needs, in this process or the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    agent: Arc<str>,
    upstream: Arc<str>,
    tool: Arc<str>,
    /// Of the request, with its sender.
    request: Digest,
    /// Of the call.
    call: Digest,
    mode: Mode,
    generation: Digest,
    approval: Option<Uuid>,
    /// What would have been, where the tenant only observes.
    would: Option<Decision>,
}

/// An answer as it was given, and is given again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    status: u16,
    body: String,
    /// Digest of the receipt; none of an answer that is no result.
    receipt: Option<Digest>,
    approval: Option<Uuid>,
    would: Option<Decision>,
}

/// One request to run a call.
#[derive(Clone)]
pub(super) struct Order {
    agent: AgentIdentity,
    call: Call,
    request: Digest,
    /// As the client wrote it, JSON.
    reply_id: String,
    method: String,
    /// The tool's name in the request.
    named: String,
    submitted: Digest,
}

/// What a request came to now.
#[derive(Debug)]
pub(super) struct Executed {
    stage: Stage,
    replayed: bool,
    /// Whether an approval that was asked for does not let it run.
    refused: bool,
}

impl From<Stage> for Executed {
    fn from(stage: Stage) -> Self {
        Self { stage, replayed: false, refused: false }
    }
}

impl Stage {
    pub(super) fn approval(&self) -> Option<Uuid> {
        match self {
            Self::Ruled(verdict) => verdict.approval,
            Self::Begun(begun) => begun.approval,
            Self::Done(done) => done.approval,
            Self::Uncertain { approval } => *approval,
        }
    }

    fn keep(&self, id: Uuid, request: Digest, approval: Option<&Approval>) -> Attachment {
        let answer = serde_json::to_vec(&json!({ "execution": self })).unwrap_or_default();
        Attachment::Answer { id, request, answer, ttl: kept_for(approval) }
    }
}

impl Inner {
    /// A request under the contract of server execution.
    pub(super) async fn execute(
        self: &Arc<Self>,
        caller: &Caller,
        id: Uuid,
        upstream: Option<&str>,
        request: Request<RequestBody>,
    ) -> Answer {
        let Some(agent) = &caller.agent else { return Answer::unauthorized() };
        // What anybody could ask for again is bound to nobody.
        if caller.open {
            return Answer::execution(StatusCode::SERVICE_UNAVAILABLE, "server_execution_identity_required", id);
        }
        if request.headers().contains_key(CALLBACK) {
            return Answer::text(StatusCode::BAD_REQUEST, "callback URLs are not accepted: poll /pending/ID");
        }
        if let Err(error) = check_encoding(request.headers()) {
            return Answer::http(&error);
        }
        let read = self.body_room.read(request.into_body(), &agent.owner(), MAX_BODY, BODY_WAIT).await;
        let Received { bytes, room } = match read {
            Ok(body) => body,
            Err(error) => return Answer::http(&error),
        };
        let order = match Document::parse(bytes) {
            Ok(body) => self.order(&body, agent, id, upstream),
            Err(error) => Err(Answer::text(StatusCode::BAD_REQUEST, error.to_string())),
        };
        let order = match order {
            Ok(order) => order,
            Err(answer) => return answer,
        };
        if let Err(error) = self.gate.awake(agent) {
            return Answer::refused(&error.into(), agent, id);
        }
        let (key, request) = ((Arc::clone(&agent.tenant), id), order.request);
        let (inner, asked) = (Arc::clone(self), order.clone());
        let settle = async move {
            let _room = room;
            inner.executed(&asked).await.map(Arc::new)
        };
        match self.gate.repeats().once(key, request, conflict, settle).await {
            Ok(executed) => self.executed_answer(&order, &executed),
            Err(error) if error.status == StatusCode::CONFLICT => {
                Answer::execution(error.status, "server_execution_idempotency_conflict", id)
            }
            Err(error) if error.code == UNFINISHED => Answer::execution(error.status, UNFINISHED, id),
            Err(error) if error.code == codes::LEDGER_UNAVAILABLE => {
                Answer::execution(StatusCode::SERVICE_UNAVAILABLE, "server_execution_storage_unavailable", id)
            }
            Err(error) => Answer::refused(&error, agent, id),
        }
    }

    /// What is to be run, and where.
    fn order(&self, body: &Document, agent: &AgentIdentity, id: Uuid, path: Option<&str>) -> Result<Order, Answer> {
        let wrong = |problem: String| Answer::text(StatusCode::BAD_REQUEST, problem);
        let Asked { whole: mut call, calls, .. } = Asked::read(body, agent, id).map_err(wrong)?;
        let root = body.root();
        let method = root.get("method").and_then(Value::as_str).unwrap_or_default();
        // A batch is one decision, but no upstream runs several calls as one.
        if calls.len() != 1 || !METHODS.contains(&method) || root.get("params").and_then(|p| p.get("name")).is_none() {
            return Err(Answer::selector(id, Problem::ExecutionToolRequired));
        }
        if call.payload.root().kind() != Kind::Object {
            return Err(wrong("the arguments of a tool that is run here are an object".to_owned()));
        }
        let named = call.tool.to_string();
        let Some((upstream, tool)) = self.mcp.goal(path, &named) else {
            let text = "there is no such upstream: send it to /mcp/UPSTREAM, or name the tool UPSTREAM__TOOL";
            return Err(Answer::text(StatusCode::NOT_FOUND, text));
        };
        call.tool = tool.into();
        call.upstream = Some(Arc::clone(&upstream.name));
        let submitted = body.digest();
        let parts =
            [&b"portcullis clavenar execution 1"[..], agent.name.as_bytes(), upstream.name.as_bytes(), &submitted.0];
        Ok(Order {
            agent: agent.clone(),
            call,
            request: Digest::of_parts(parts),
            reply_id: root.get("id").map_or("null", Value::raw).to_owned(),
            method: method.to_owned(),
            named,
            submitted,
        })
    }

    async fn executed(&self, order: &Order) -> Result<Executed, ApiError> {
        let (tenant, id) = (&order.call.tenant, order.call.id);
        match self.kept(tenant, id).await? {
            Some((kept, _)) if kept != order.request => Err(conflict()),
            Some((_, Some(Known::Executing(stage)))) => self.resumed(order, stage).await,
            Some(_) => Err(GateError::Failed.into()),
            // An id that names another parked call would make it unclear which of the two is decided.
            None if self.is_parked(tenant, id) => Err(conflict()),
            None => self.begin(order).await,
        }
    }

    /// A request that was made before.
    async fn resumed(&self, order: &Order, stage: Stage) -> Result<Executed, ApiError> {
        match stage {
            Stage::Ruled(verdict) => {
                let parked = verdict.approval.filter(|_| verdict.decision == Decision::Review);
                let approval = parked.and_then(|id| self.gate.approvals().get(&order.call.tenant, id));
                let refused = match approval {
                    // Judged again, as every call before it runs: the approval is of this call under this policy.
                    Some(approval) if approval.state == State::Approved => return self.begin(order).await,
                    Some(approval) => Uncollected::of(&approval).is_some(),
                    None => parked.is_some(),
                };
                Ok(Executed { stage: Stage::Ruled(verdict), replayed: false, refused })
            }
            // One request under an id is settled at a time, so nobody works on it.
            Stage::Begun(begun) => {
                let stage = Stage::Uncertain { approval: begun.approval };
                self.cut_off(&order.call.tenant, order.call.id, begun).await?;
                Ok(stage.into())
            }
            Stage::Done(_) | Stage::Uncertain { .. } => Ok(Executed { stage, replayed: true, refused: false }),
        }
    }

    /// Rules the call and, if it may run, runs it.
    async fn begin(&self, order: &Order) -> Result<Executed, ApiError> {
        let Order { agent, call, request, .. } = order;
        let upstream = call.upstream.clone().unwrap_or_default();
        let booked = self.mcp.goal(Some(&upstream), &call.tool).and_then(|(to, _)| self.mcp.book(agent, to));
        let once = booked.ok_or(GateError::Busy("too many calls of this agent are under way"))?;
        let visible = self.gate.sees(agent, &upstream, &call.tool);
        let mut stage = None;
        let ruling = self.gate.rule_keeping(call, Door::Clavenar, |judgement, approval| {
            let next = match effect(judgement, approval) {
                Effect::Forward | Effect::Replace(_) if visible => {
                    Stage::Begun(order.begun(judgement, approval.map(|a| a.id)))
                }
                Effect::Forward | Effect::Replace(_) => Stage::Ruled(Verdict::hidden(judgement)),
                Effect::Refuse | Effect::Park => Stage::Ruled(Verdict::of(judgement, approval)),
            };
            let mut attach = vec![next.keep(call.id, *request, approval)];
            if let Stage::Begun(begun) = &next {
                attach.push(record(&call.tenant, call.id, Some(begun)));
            }
            stage = Some(next);
            attach
        });
        let ruling = ruling.await?;
        let stage = stage.ok_or(GateError::Failed)?;
        let facts = CallFacts::forwarded(call, Door::Clavenar, &ruling);
        let Stage::Begun(begun) = stage else {
            if matches!(ruling.effect, Effect::Forward | Effect::Replace(_)) {
                self.gate.end(&facts, Outcome::Failed, Some(codes::TOOL_HIDDEN)).await?;
            }
            return Ok(stage.into());
        };
        let arguments = match &ruling.effect {
            Effect::Replace(document) => document,
            _ => &call.payload,
        };
        let effective = order.effective(arguments);
        let attempt = Arc::new(Attempt { order: order.clone(), begun, effective, seen: watch::Sender::new(false) });
        let facts = facts.keeping(Arc::<Attempt>::clone(&attempt));
        let ran = once.run(&call.tool, arguments, facts.clone()).await;
        let mut seen = attempt.seen.subscribe();
        let known = match ran {
            Ok(()) => tokio::time::timeout(LATE, seen.wait_for(|seen| *seen)).await.is_ok(),
            Err(_) => false,
        };
        if !known {
            let (outcome, why) = match ran {
                Err(error) => (Outcome::Failed, error.to_string()),
                Ok(()) => (Outcome::Uncertain, "no end of the call became known".to_owned()),
            };
            self.gate.end(&facts, outcome, Some(&why)).await.map_err(|_| unfinished())?;
        }
        match self.kept(&call.tenant, call.id).await {
            Ok(Some((_, Some(Known::Executing(stage @ (Stage::Done(_) | Stage::Uncertain { .. })))))) => {
                Ok(stage.into())
            }
            // It ran, and that could not be recorded: the next request finds an attempt without an end.
            _ => Err(unfinished()),
        }
    }

    /// Records that an attempt has no known end.
    async fn cut_off(&self, tenant: &Arc<str>, id: Uuid, begun: Begun) -> Result<(), GateError> {
        let call = Call {
            id,
            phase: Phase::Call,
            tenant: Arc::clone(tenant),
            agent: Arc::clone(&begun.agent),
            session: None,
            persona: None,
            task: None,
            upstream: Some(Arc::clone(&begun.upstream)),
            tool: Arc::clone(&begun.tool),
            payload: Arc::new(Document::empty()),
            time_ms: now_ms(),
            attached: None,
        };
        let facts = CallFacts::of(&call, begun.call, Door::Clavenar, (begun.mode, begun.generation), begun.approval);
        let facts = facts.keeping(Arc::new(CutOff { tenant: Arc::clone(tenant), id, begun }));
        self.gate.end(&facts, Outcome::Uncertain, Some("cut off before its end was recorded")).await.map(drop)
    }

    /// Records the attempts that the process before this one had begun and not ended.
    pub(super) async fn recover(&self, records: Vec<KeyValue>) -> Result<usize, GateError> {
        let mut count = 0;
        for (key, value) in records {
            let name = key.strip_prefix(RECORDS).and_then(|name| std::str::from_utf8(name).ok());
            let named = name.and_then(|name| name.rsplit_once('/'));
            let id = named.and_then(|(tenant, id)| Some((Arc::<str>::from(tenant), Uuid::try_parse(id).ok()?)));
            match id.zip(serde_json::from_slice(&value).ok()) {
                Some(((tenant, id), begun)) => self.cut_off(&tenant, id, begun).await?,
                None => tracing::error!("the record of an attempt to run a call cannot be read: it is left alone"),
            }
            count += 1;
        }
        Ok(count)
    }

    fn executed_answer(&self, order: &Order, executed: &Executed) -> Answer {
        let id = order.call.id;
        let yes = || HeaderValue::from_static("true");
        let would = |answer: Answer, would: Option<Decision>| match would {
            Some(Decision::Review) => answer.with(Some(WOULD_PEND), yes()),
            Some(Decision::Deny | Decision::Redact) => answer.with(Some(WOULD_DENY), yes()),
            Some(Decision::Allow) | None => answer,
        };
        match &executed.stage {
            Stage::Ruled(_) if executed.refused => {
                Answer::execution(StatusCode::FORBIDDEN, "server_execution_pending_denied", id)
            }
            Stage::Ruled(verdict) if verdict.decision == Decision::Review && verdict.approval.is_some() => {
                Answer::pending(id, &verdict.reasons)
            }
            Stage::Ruled(verdict) => Answer::deny(id, verdict),
            Stage::Done(done) => {
                let status = StatusCode::from_u16(done.status).unwrap_or(StatusCode::BAD_GATEWAY);
                let text = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
                let replayed = HeaderValue::from_static(if executed.replayed { "true" } else { "false" });
                let answer = Answer::written(status, done.body.clone())
                    .with(Some(EXECUTION_ID), text(order.execution_id().to_string()))
                    .with(Some(RESULT), text(Digest::of(done.body.as_bytes()).to_string()))
                    .with(Some(REPLAYED), replayed)
                    .with(done.receipt.map(|_| RECEIPT), text(done.receipt.map(|d| d.to_string()).unwrap_or_default()));
                would(answer, done.would)
            }
            Stage::Uncertain { .. } | Stage::Begun(_) => {
                Answer::execution(StatusCode::CONFLICT, "server_execution_uncertain", id)
            }
        }
    }
}

impl Order {
    fn begun(&self, judgement: &Judgement, approval: Option<Uuid>) -> Begun {
        let observed = judgement.mode == Mode::Observe && judgement.decision != Decision::Allow;
        Begun {
            agent: Arc::clone(&self.agent.name),
            upstream: self.call.upstream.clone().unwrap_or_default(),
            tool: Arc::clone(&self.call.tool),
            request: self.request,
            call: self.call.digest(),
            mode: judgement.mode,
            generation: judgement.generation,
            approval,
            would: observed.then_some(judgement.decision),
        }
    }

    fn execution_id(&self) -> Uuid {
        let name = [EXECUTION_CONTRACT, &*self.caller(), &self.call.id.to_string()].join("\0");
        Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
    }

    fn caller(&self) -> String {
        format!("{}/{}", self.agent.tenant, self.agent.name)
    }

    /// Digest of the request as it was sent on: another one where policy changed the arguments.
    fn effective(&self, arguments: &Document) -> Digest {
        if arguments.raw() == self.call.payload.raw() {
            return self.submitted;
        }
        let (method, name) = (json!(self.method), json!(self.named));
        let params = format!(r#"{{"arguments":{},"name":{name}}}"#, arguments.raw());
        let text = format!(r#"{{"id":{},"jsonrpc":"2.0","method":{method},"params":{params}}}"#, self.reply_id);
        Document::parse(text).map_or(self.submitted, |document| document.digest())
    }
}

/// An attempt that is under way in this process.
#[derive(Debug)]
struct Attempt {
    order: Order,
    begun: Begun,
    effective: Digest,
    /// Whether its end was told.
    seen: watch::Sender<bool>,
}

/// Without anything of the payload.
impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("id", &self.call.id).finish_non_exhaustive()
    }
}

impl Attempt {
    fn done(&self, member: &str, document: &Document) -> Done {
        let id = &self.order.reply_id;
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"{member}":{}}}"#, document.raw());
        let Begun { approval, would, .. } = self.begun;
        if body.len() > MAX_ANSWER {
            let body = Answer::execution_error("server_execution_result_too_large", self.order.call.id).to_string();
            return Done { status: 502, body, receipt: None, approval, would };
        }
        let receipt = Some(self.receipt(&body));
        Done { status: 200, body, receipt, approval, would }
    }

    /// Digest of the receipt of the contract, its members sorted.
    fn receipt(&self, body: &str) -> Digest {
        let Order { call, method, named, submitted, .. } = &self.order;
        let execution = self.order.execution_id();
        let outbox = format!("{EXECUTION_CONTRACT}\0outbox\0{execution}");
        let receipt = json!({
            "contract": EXECUTION_CONTRACT,
            "stage": "execution.completed",
            "execution_id": execution,
            "idempotency_id": call.id,
            "caller": self.order.caller(),
            "route": MCP,
            "method": method,
            "tool_name": named,
            "submitted_request_sha256": submitted.to_string(),
            "effective_request_sha256": self.effective.to_string(),
            "response_status": 200,
            "result_sha256": Digest::of(body.as_bytes()).to_string(),
            "result": serde_json::from_str::<serde_json::Value>(body).unwrap_or_default(),
            "outbox_event_id": Uuid::new_v5(&Uuid::NAMESPACE_URL, outbox.as_bytes()),
        });
        let text = receipt.to_string();
        Document::parse(text.as_str()).map_or_else(|_| Digest::of(text.as_bytes()), |receipt| receipt.digest())
    }
}

impl Ending for Attempt {
    fn ended(&self, _: Outcome, delivered: Delivered<'_>) -> Vec<Attachment> {
        self.seen.send_replace(true);
        let Begun { approval, would, .. } = self.begun;
        let Order { call, request, .. } = &self.order;
        let stage = match delivered {
            Delivered::Nothing => Stage::Uncertain { approval },
            Delivered::Result(document) => Stage::Done(self.done("result", document)),
            Delivered::Error(document) => Stage::Done(self.done("error", document)),
            // It ran; what it answered stays here.
            Delivered::Withheld(judgement) => {
                let body = Answer::deny_body(call.id, &Verdict::of(judgement, None)).to_string();
                Stage::Done(Done { status: 403, body, receipt: None, approval, would })
            }
        };
        vec![stage.keep(call.id, *request, None), record(&call.tenant, call.id, None)]
    }
}

/// An attempt whose end nobody saw.
#[derive(Debug)]
struct CutOff {
    tenant: Arc<str>,
    id: Uuid,
    begun: Begun,
}

impl Ending for CutOff {
    fn ended(&self, _: Outcome, _: Delivered<'_>) -> Vec<Attachment> {
        let stage = Stage::Uncertain { approval: self.begun.approval };
        vec![stage.keep(self.id, self.begun.request, None), record(&self.tenant, self.id, None)]
    }
}

/// Says that an attempt is under way, or that it is not any more.
fn record(tenant: &str, id: Uuid, begun: Option<&Begun>) -> Attachment {
    let key = [RECORDS, tenant.as_bytes(), b"/", id.to_string().as_bytes()].concat();
    Attachment::Record(Record { key, value: begun.map(|begun| serde_json::to_vec(begun).unwrap_or_default()) })
}

fn unfinished() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        UNFINISHED,
        "the call was sent on, but its end could not be recorded",
        "look at the upstream before the call is made again under another id",
    )
}

/// The code of the contract where the end of a call could not be recorded.
const UNFINISHED: &str = "server_execution_completion_uncertain";
