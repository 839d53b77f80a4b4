//! The Arden contract: the published client of Arden asks here before it runs a tool.
//!
//! Facts of the wire are from the published client. What is decided and recorded is the gate's matter, as at every door.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName};
use hyper::{Method, Request, StatusCode};
use portcullis_approvals::{Approval, Ballot, DecideError, State};
use portcullis_ledger::{Attachment, Record};
use portcullis_model::{Call, Decision, Digest, Document, Door, Kind, Mode, Value};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;
use uuid::Uuid;

use self::answer::{Outcome, StatusReply};
use self::delivery::{Action, Lost, Ticket};
use self::request::{Check, Fault};
use self::usage::Usage;
use self::webhook::{Hook, Hooks};
use crate::api::{MAX_BODY, MAX_SMALL_BODY, check_encoding};
use crate::gate::{Collected, Effect, Gate, GateError, Uncollected, VoteError, kept_for, now_ms};
use crate::http::{ApiError, BODY_ROOM, BodyRoom, Mount, PeerInfo, Received, Reply, RequestBody, Room, bearer};
use crate::ports::{AgentIdentity, Caller, JournalError, OperatorIdentity, Owner, PeerIdentity, Records};

pub use self::request::Environment;
pub use self::usage::{Price, PriceError};
pub use self::webhook::{Endpoint, EndpointError};

mod answer;
mod delivery;
mod request;
mod usage;
mod webhook;

/// The first segment of its paths. The client keeps whatever path its `api_url` has.
const PREFIX: &str = "/arden";
/// What one may write behind it.
const VERSION: &str = "/v1";
/// The client's only credential.
const KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Until the body of a request is there.
const BODY_WAIT: Duration = Duration::from_secs(15);

/// What the configuration says of this door; replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct ArdenSettings {
    /// Where agents are told of decisions.
    pub webhooks: HashMap<WebhookKey, Arc<Endpoint>>,
    /// What models cost: the first that fits counts.
    pub prices: Vec<Price>,
}

/// Tenant, agent and side.
pub type WebhookKey = (Arc<str>, Arc<str>, Environment);

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct ArdenDoor(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    records: Arc<dyn Records>,
    settings: ArcSwap<ArdenSettings>,
    lost: Arc<Lost>,
    hooks: Hooks,
    usage: Usage,
    body_room: BodyRoom,
}

/// What is kept of a parked call under its id.
#[derive(Debug, Serialize, Deserialize)]
struct Parked {
    /// Version of this form.
    arden_action: u8,
    agent: Arc<str>,
    environment: Environment,
    tool: Arc<str>,
    approval: Uuid,
    /// When it was parked, RFC 3339 in UTC.
    created: String,
    /// The arguments, only if the agent is told by webhook: it calls the tool with them then.
    context: Option<Box<RawValue>>,
}

/// Who asks.
enum Who {
    Agent(AgentIdentity, Environment),
    Operator(OperatorIdentity),
}

/// Where a parked call stands for its agent.
struct Stands {
    status: &'static str,
    message: Option<String>,
    /// The approval as it was then.
    approval: Option<Arc<Approval>>,
}

/// Where a request goes within the door.
enum Route<'p> {
    Check,
    Status(&'p str),
    Vote(&'p str, bool),
    Usage,
    Alive,
    Nothing,
}

impl ArdenDoor {
    /// A door that goes on where the last one on these records stopped. Reads the records; must be called in a runtime.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn start(
        gate: Arc<Gate>,
        records: Arc<dyn Records>,
        settings: ArdenSettings,
    ) -> Result<Self, JournalError> {
        let reading = Arc::clone(&records);
        let read = move || Ok::<_, JournalError>((webhook::load(&*reading)?, Usage::load(&reading)?));
        let read = tokio::task::spawn_blocking(read).await;
        let (hooks, usage) = read.map_err(|error| JournalError::Unavailable(error.to_string()))??;
        let door = Self(Arc::new(Inner {
            gate,
            records,
            settings: ArcSwap::from_pointee(settings),
            lost: Arc::default(),
            hooks: Hooks::default(),
            usage,
            body_room: BodyRoom::new(BODY_ROOM),
        }));
        for hook in hooks {
            // What was begun is ended, however many there are.
            webhook::follow(&door.0, hook, None, None);
        }
        Ok(door)
    }

    /// Puts other settings in force: the next request, and the next try of what is not delivered yet, see them.
    pub fn configure(&self, settings: ArdenSettings) {
        self.0.settings.store(Arc::new(settings));
    }
}

impl Mount for ArdenDoor {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn handle(&self, request: Request<RequestBody>, peer: PeerInfo) -> BoxFuture<'_, Reply> {
        Box::pin(self.0.answer(request, peer))
    }

    fn drain(&self, _within: Duration) -> BoxFuture<'_, ()> {
        // What is not delivered yet is on record and is delivered after the next start.
        Box::pin(self.0.hooks.close())
    }
}

impl Inner {
    async fn answer(self: &Arc<Self>, request: Request<RequestBody>, peer: PeerInfo) -> Reply {
        let path = request.uri().path().to_owned();
        let path = path.strip_prefix(PREFIX).unwrap_or(&path);
        let path = path.strip_prefix(VERSION).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
        let (route, method) = (Route::of(path), request.method().clone());
        match route {
            Route::Alive if method == Method::GET => {
                return answer::json(StatusCode::OK, &serde_json::json!({ "status": "healthy" }));
            }
            Route::Nothing => return answer::error(StatusCode::NOT_FOUND, "there is nothing at this path"),
            _ => {}
        }
        let who = match self.who(request.headers(), peer.identity.as_deref()) {
            Some(who) => who,
            None => return answer::error(StatusCode::UNAUTHORIZED, "no valid key: send one as X-API-Key"),
        };
        match (route, method, who) {
            (Route::Check, Method::POST, Who::Agent(agent, environment)) => {
                self.check(&agent, environment, request, peer).await
            }
            (Route::Status(id), Method::GET, Who::Agent(agent, environment)) => {
                self.status(&agent, environment, id).await
            }
            (Route::Vote(id, approve), Method::POST, Who::Operator(operator)) => {
                self.vote(&operator, id, approve, request).await
            }
            (Route::Usage, Method::POST, Who::Agent(agent, environment)) => {
                self.count(&agent, environment, request).await
            }
            (Route::Usage, Method::GET, who) => self.counted(&who, request.uri().query().unwrap_or_default()),
            (Route::Check | Route::Usage, Method::POST, Who::Operator(_))
            | (Route::Status(_), Method::GET, Who::Operator(_)) => {
                answer::error(StatusCode::FORBIDDEN, "this is an operator's key: agents ask here")
            }
            (Route::Vote(..), Method::POST, Who::Agent(..)) => {
                answer::error(StatusCode::FORBIDDEN, "this is an agent's key: only operators decide")
            }
            _ => answer::error(StatusCode::METHOD_NOT_ALLOWED, "this path is not used with that method"),
        }
    }

    /// Whose key it is. Two credentials at once are nobody's.
    fn who(&self, headers: &HeaderMap, peer: Option<&PeerIdentity>) -> Option<Who> {
        let mut keys = headers.get_all(&KEY).iter();
        let key = match keys.next() {
            Some(_) if keys.next().is_some() || headers.contains_key(AUTHORIZATION) => return None,
            Some(key) => Some(key.to_str().ok()?),
            None => bearer(headers).ok()?,
        };
        // The client wants a key even where none is needed.
        let open = || self.gate.authenticate(None, peer).filter(|caller| caller.open);
        let Caller { agent, operator, .. } = self.gate.authenticate(key, peer).or_else(open)?;
        let environment = Environment::of(key.unwrap_or_default());
        agent.map(|agent| Who::Agent(agent, environment)).or(operator.map(Who::Operator))
    }

    /// `POST /policy/check`
    async fn check(
        self: &Arc<Self>,
        agent: &AgentIdentity,
        environment: Environment,
        request: Request<RequestBody>,
        peer: PeerInfo,
    ) -> Reply {
        let mode = self.gate.mode(&agent.tenant);
        let refuse = |outcome: &Outcome| outcome.reply(Uuid::now_v7(), environment, &agent.tenant, mode, None);
        let Received { bytes, room } = match self.body(agent.owner(), request, MAX_BODY).await {
            Ok(body) => body,
            // The client would take the status for an outage, and try again.
            Err(error) if error.status == StatusCode::PAYLOAD_TOO_LARGE => {
                return refuse(&Outcome::block(error.code, error.message.clone()));
            }
            Err(error) => return answer::failed(&error),
        };
        let call = match request::read(bytes, agent, environment) {
            Ok(Check::Call(call)) => call,
            Ok(Check::Observation(call)) => return self.observe(&call, environment).await,
            Err(Fault::Refused(code, why)) => return refuse(&Outcome::block(code, why)),
            Err(Fault::Malformed(why)) => return answer::error(StatusCode::BAD_REQUEST, &why),
        };
        if let Err(error) = self.gate.awake(agent) {
            return refuse(&Outcome::refused(&error));
        }
        let digest = call.digest();
        let action = self.lost.take(digest).unwrap_or_else(|| self.begin(call, digest, environment, room));
        // From here on, whatever happens to this request, the answer is sent or it is lost.
        let ticket = Ticket::new(&self.lost, digest, &action, peer);
        match action.outcome().await {
            Ok(outcome) => outcome.reply(action.id, environment, &agent.tenant, mode, Some(ticket)),
            Err(error) => Outcome::refused(&error).reply(action.id, environment, &agent.tenant, mode, Some(ticket)),
        }
    }

    /// Rules a call in a task of its own: it goes on if the client goes away, who will ask again.
    fn begin(self: &Arc<Self>, call: Call, digest: Digest, environment: Environment, room: Room) -> Arc<Action> {
        let (sender, outcome) = watch::channel(None);
        let (told, again) = (watch::Sender::new(false), AtomicU8::new(0));
        let action = Arc::new(Action { id: call.id, outcome, told, again });
        let (inner, told) = (Arc::clone(self), action.told.subscribe());
        tokio::spawn(async move {
            let _room = room;
            let outcome = inner.rule(&call, digest, environment, told).await;
            sender.send_replace(Some(outcome.map(Arc::new)));
        });
        action
    }

    async fn rule(
        self: &Arc<Self>,
        call: &Call,
        digest: Digest,
        environment: Environment,
        told: watch::Receiver<bool>,
    ) -> Result<Outcome, GateError> {
        let owner = (Arc::clone(&call.tenant), Arc::clone(&call.agent));
        let key = (Arc::clone(&owner.0), Arc::clone(&owner.1), environment);
        let hooked = self.settings.load().webhooks.contains_key(&key);
        let mut hook = None;
        let ruling = self.gate.rule_keeping(call, Door::Arden, |judgement, approval| {
            let waits = judgement.decision == Decision::Review && judgement.mode == Mode::Enforce;
            let Some(approval) = approval.filter(|approval| waits && approval.released_ms.is_none()) else {
                return Vec::new();
            };
            let place = hooked.then(|| self.hooks.place(&owner)).flatten();
            let mut keep = vec![parked(call, digest, environment, approval, place.is_some())];
            if let Some(place) = place {
                let new = Hook::new(call, environment, approval.id);
                keep.push(Attachment::Record(new.record()));
                hook = Some((new, place));
            } else if hooked {
                let (action, agent) = (call.id, &*call.agent);
                tracing::warn!(%action, agent, "{}", webhook::FULL);
            }
            keep
        });
        let ruling = ruling.await?;
        if let (Effect::Park, Some((hook, place))) = (&ruling.effect, hook) {
            webhook::follow(self, hook, Some(place), Some(told));
        }
        Ok(Outcome::of(&ruling))
    }

    /// A call that is over is judged by its result and never parked. Its sender does not read the answer; nothing may run on
    /// it, or a call of this form would need no approval.
    async fn observe(&self, call: &Call, environment: Environment) -> Reply {
        let outcome = match self.gate.rule(call, Door::Arden).await {
            Ok(ruling) => match Outcome::of(&ruling) {
                Outcome { message: Some(message), reason, would, .. } => {
                    Outcome { would, reason, ..Outcome::block("", message) }
                }
                _ => Outcome::block("observation", "recorded as a call that is over; nothing may run on this answer"),
            },
            Err(error) => Outcome::refused(&error),
        };
        outcome.reply(call.id, environment, &call.tenant, self.gate.mode(&call.tenant), None)
    }

    /// `GET /status/ID`
    async fn status(&self, agent: &AgentIdentity, environment: Environment, of: &str) -> Reply {
        let Some(id) = request::id(of) else { return unknown() };
        let parked = match self.parked(&agent.tenant, id).await {
            Ok(parked) => parked,
            Err(error) => return answer::failed(&error.into()),
        };
        let own = |parked: &Parked| parked.agent == agent.name && parked.environment == environment;
        let Some(parked) = parked.filter(own) else { return unknown() };
        let stands = match self.gate.awake(agent) {
            Ok(()) => self.stands(&agent.tenant, parked.approval, id).await,
            Err(error) => Err(error),
        };
        match stands {
            Ok(Stands { status, message, .. }) => {
                let (message, created_at) = (message.as_deref(), parked.created.as_str());
                answer::json(StatusCode::OK, &StatusReply { action_id: id, status, message, created_at })
            }
            // The client reads no other answer than these.
            Err(error @ (GateError::Halted | GateError::Removed)) => {
                let (message, created_at) = (error.to_string(), parked.created.as_str());
                let (status, message) = ("denied", Some(message.as_str()));
                answer::json(StatusCode::OK, &StatusReply { action_id: id, status, message, created_at })
            }
            Err(error) => answer::failed(&error.into()),
        }
    }

    /// Where a parked call stands for this action. An approved one is used up by the first that learns it.
    async fn stands(&self, tenant: &Arc<str>, approval: Uuid, action: Uuid) -> Result<Stands, GateError> {
        let said = |approval: &Approval, approve: bool| {
            let vote = approval.votes.iter().rev().find(|vote| vote.approve == approve);
            vote.and_then(|vote| vote.comment.clone())
        };
        Ok(match self.gate.collect(tenant, approval, action, Door::Arden).await? {
            Collected::Waits(live) => Stands { status: "pending", message: None, approval: Some(live) },
            Collected::Given(live) => Stands { status: "approved", message: said(&live, true), approval: Some(live) },
            Collected::Refused(why, live) => {
                let message = match (why, &live) {
                    (Uncollected::Denied, Some(live)) => said(live, false),
                    (Uncollected::Expired, Some(live)) => {
                        let within = span((live.deadline_ms.saturating_sub(live.created_ms)) / 1000);
                        Some(format!("expired: nobody decided within {within}"))
                    }
                    _ => None,
                };
                Stands { status: "denied", message: message.or(Some(why.to_string())), approval: live }
            }
        })
    }

    /// `POST /approve/ID` and `POST /deny/ID` of an operator.
    async fn vote(&self, operator: &OperatorIdentity, of: &str, approve: bool, request: Request<RequestBody>) -> Reply {
        let owner = (Arc::clone(&operator.tenant), Arc::clone(&operator.name));
        let message = match self.body(owner, request, MAX_SMALL_BODY).await {
            Ok(body) => read_message(body.bytes),
            Err(error) => return answer::failed(&error),
        };
        let comment = match message {
            Ok(message) => message,
            Err(why) => return answer::error(StatusCode::BAD_REQUEST, &why),
        };
        let Some(id) = request::id(of) else { return unknown() };
        let parked = match self.parked(&operator.tenant, id).await {
            Ok(parked) => parked,
            Err(error) => return answer::failed(&error.into()),
        };
        let ballot = Ballot {
            tenant: &operator.tenant,
            // Lists of parked calls name approvals.
            id: parked.map_or(id, |parked| parked.approval),
            by: operator.voter(),
            approve,
            comment: comment.as_deref(),
            now_ms: now_ms(),
        };
        match self.gate.vote(&ballot).await {
            Ok(approval) => {
                let status = match approval.state_at(now_ms()) {
                    State::Pending => "pending",
                    State::Approved => "approved",
                    State::Denied | State::Expired | State::Cancelled => "denied",
                };
                answer::json(StatusCode::OK, &serde_json::json!({ "action_id": id, "status": status }))
            }
            Err(VoteError::Gate(error)) => answer::failed(&error.into()),
            Err(VoteError::Decide(error)) => {
                let status = match error {
                    DecideError::Unknown => return unknown(),
                    DecideError::NotEligible | DecideError::SelfApproval => StatusCode::FORBIDDEN,
                    DecideError::Comment => StatusCode::BAD_REQUEST,
                    _ => StatusCode::CONFLICT,
                };
                answer::error(status, &error.to_string())
            }
        }
    }

    /// What is known of a parked call by its id.
    async fn parked(&self, tenant: &Arc<str>, id: Uuid) -> Result<Option<Parked>, GateError> {
        let (gate, tenant) = (Arc::clone(&self.gate), Arc::clone(tenant));
        // It reads the store, which may have to read the disk.
        let kept = tokio::task::spawn_blocking(move || gate.journal().kept(&tenant, id)).await;
        let kept = kept.map_err(|_| GateError::Failed)??;
        Ok(kept.and_then(|kept| serde_json::from_slice(&kept.answer).ok()))
    }

    /// `POST /token-usage`
    async fn count(&self, agent: &AgentIdentity, environment: Environment, request: Request<RequestBody>) -> Reply {
        let body = match self.body(agent.owner(), request, MAX_SMALL_BODY).await {
            Ok(body) => body.bytes,
            Err(error) => return answer::failed(&error),
        };
        let spent = match usage::read(body) {
            Ok(spent) => spent,
            Err(why) => return answer::error(StatusCode::BAD_REQUEST, &why),
        };
        match self.usage.add(agent, environment, &spent, &self.settings.load().prices, now_ms()) {
            Ok(counted) => answer::json(StatusCode::OK, &counted),
            Err(error) => answer::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }

    /// `GET /token-usage`
    fn counted(&self, who: &Who, query: &str) -> Reply {
        let asked = match usage::Question::read(query) {
            Ok(asked) => asked,
            Err(error) => return answer::failed(&error),
        };
        let sums = match who {
            Who::Agent(agent, environment) => self.usage.sums(&agent.tenant, Some((&agent.name, *environment)), &asked),
            Who::Operator(operator) => self.usage.sums(&operator.tenant, None, &asked),
        };
        answer::json(StatusCode::OK, &sums)
    }

    async fn body(&self, owner: Owner, request: Request<RequestBody>, limit: usize) -> Result<Received, ApiError> {
        check_encoding(request.headers())?;
        self.body_room.read(request.into_body(), &owner, limit, BODY_WAIT).await
    }
}

impl<'p> Route<'p> {
    fn of(path: &'p str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["policy", "check"] => Self::Check,
            ["status", id] => Self::Status(id),
            ["approve", id] => Self::Vote(id, true),
            ["deny", id] => Self::Vote(id, false),
            ["token-usage"] => Self::Usage,
            ["" | "health"] => Self::Alive,
            _ => Self::Nothing,
        }
    }
}

/// What is kept of a call that is parked, in the same batch as its entry.
fn parked(call: &Call, digest: Digest, environment: Environment, approval: &Approval, hooked: bool) -> Attachment {
    let context = || RawValue::from_string(call.payload.raw().to_owned()).ok();
    let parked = Parked {
        arden_action: 1,
        agent: Arc::clone(&call.agent),
        environment,
        tool: Arc::clone(&call.tool),
        approval: approval.id,
        created: approval.view(now_ms()).created,
        context: if hooked { context() } else { None },
    };
    Attachment::Answer {
        id: call.id,
        request: digest,
        answer: serde_json::to_vec(&parked).unwrap_or_default(),
        ttl: kept_for(Some(approval)),
    }
}

/// `{"message": text or null}`, or nothing at all.
fn read_message(body: Vec<u8>) -> Result<Option<String>, String> {
    if body.is_empty() {
        return Ok(None);
    }
    let body = Document::parse(body).map_err(|error| format!("the body is not acceptable JSON: {error}"))?;
    let message = body.root().get("message");
    match message.map(Value::kind) {
        _ if body.root().kind() != Kind::Object => Err("the body must be an object".to_owned()),
        None | Some(Kind::Null) => Ok(None),
        Some(Kind::String) => Ok(message.and_then(Value::as_str).map(str::to_owned)),
        Some(_) => Err("message must be a string or null".to_owned()),
    }
}

/// Seconds in words.
fn span(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        _ => (seconds / 3600, "hour"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn unknown() -> Reply {
    answer::error(StatusCode::NOT_FOUND, "there is no such action")
}

/// The record of something that is over.
fn gone(key: Vec<u8>) -> Record {
    Record { key, value: None }
}
