//! Every route of the core: who may use it, what it reads, what it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use portcullis_model::Mode;
use portcullis_tenancy::token_digest;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::channels::Channels;
use crate::doors::inspect::InspectDoor;
use crate::gate::Gate;
use crate::http::guard::Guard;
use crate::http::{self, ApiError, BODY_ROOM, Body, BodyRoom, Mount, Peer, Received, Reply, RequestBody, bearer};
use crate::metrics::Metrics;
use crate::ports::{AgentIdentity, Caller, OperatorIdentity, Owner, Reload};
use routes::{Access, Found, Operation};

mod approvals;
mod channels;
mod events;
mod generations;
mod health;
mod ledger;
mod openapi;
mod pins;
mod policies;
mod query;
mod routes;

/// Most bytes of a question: 4 MiB of JSON and room for what is around it.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024 + 64 * 1024;
/// Most bytes of an operator's request.
pub(crate) const MAX_SMALL_BODY: usize = 16 * 1024;
/// Bytes of a body with several decisions, or with other arguments.
const MAX_APPROVAL_BODY: usize = 512 * 1024;

static ID: HeaderName = HeaderName::from_static(http::ID);
static MODE: HeaderName = HeaderName::from_static(http::MODE);
static JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the API may be configured with.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Host names, besides loopback ones, under which the server is addressed.
    pub hosts: Vec<String>,
    /// Origins, besides loopback ones, from which web pages may call.
    pub origins: Vec<String>,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Names of the upstreams whose lists of tools the server itself fetches: nobody submits one in their name.
    pub upstreams: Vec<Arc<str>>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        let body_timeout = Duration::from_secs(15);
        Self { hosts: Vec::new(), origins: Vec::new(), body_timeout, upstreams: Vec::new() }
    }
}

/// The core's routes and the mounts beside them.
pub struct Api {
    gate: Arc<Gate>,
    inspect: InspectDoor,
    reload: Arc<dyn Reload>,
    mounts: Vec<Arc<dyn Mount>>,
    channels: Option<Arc<Channels>>,
    guard: Guard,
    body_timeout: Duration,
    body_room: BodyRoom,
    /// One verification and one reload at a time.
    verifying: Arc<Semaphore>,
    reloading: Semaphore,
    started: Instant,
    closing: watch::Sender<bool>,
    draining: AtomicBool,
}

/// A request that is being answered: who asks, and what every answer says in its head.
struct Context {
    id: Uuid,
    mode: Mode,
    caller: Caller,
}

impl Api {
    /// The API over a gate. `mounts` are served under their prefixes.
    #[must_use]
    pub fn new(gate: Arc<Gate>, reload: Arc<dyn Reload>, mounts: Vec<Arc<dyn Mount>>, config: &ApiConfig) -> Self {
        let (closing, closed) = watch::channel(false);
        Self {
            inspect: InspectDoor::new(Arc::clone(&gate), config.upstreams.clone(), closed),
            gate,
            reload,
            mounts,
            channels: None,
            guard: Guard::new(&config.hosts, &config.origins),
            body_timeout: config.body_timeout,
            body_room: BodyRoom::new(BODY_ROOM),
            verifying: Arc::new(Semaphore::new(1)),
            reloading: Semaphore::new(1),
            started: Instant::now(),
            closing,
            draining: AtomicBool::new(false),
        }
    }

    /// The same with channels: decision links, interactions, retries.
    #[must_use]
    pub fn with_channels(self, channels: Arc<Channels>) -> Self {
        Self { channels: Some(channels), ..self }
    }

    /// Records passed deadlines of parked calls until the API closes. Run it beside the server.
    pub async fn expire(&self) {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            () = self.gate.keep_expiring() => {}
        }
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        self.gate.metrics()
    }

    /// Whether somebody without any credential may call.
    pub(crate) fn is_open(&self) -> bool {
        self.gate.authenticate(None, None).is_some()
    }

    /// Ends streams that would go on; `/readyz` says no from now on.
    pub(crate) fn close(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.closing.send_replace(true);
    }

    pub(crate) async fn drain_mounts(&self, within: Duration) {
        futures_util::future::join_all(self.mounts.iter().map(|mount| mount.drain(within))).await;
    }

    /// Answers one request. Never fails: what goes wrong is an answer, too.
    pub(crate) async fn answer(&self, request: Request<RequestBody>, peer: Peer) -> Reply {
        let _in_flight = self.metrics().in_flight();
        let mut context = Context { id: Uuid::now_v7(), mode: Mode::default(), caller: Caller::default() };
        let mut route = "none";
        // Who has a decision link needs no browser that vouches for it, and the browser of who was sent there by a mail
        // names no origin: the page asks it not to.
        let by_link = request.uri().path().starts_with(channels::LINKS);
        let guarded = |()| if by_link { self.guard.check_host(&request) } else { self.guard.check(&request) };
        let mut reply = match check_control(request.headers(), &peer).and_then(guarded) {
            Ok(()) => self.dispatch(request, peer, &mut context, &mut route).await,
            Err(error) => Err(error),
        }
        .unwrap_or_else(|error| error.reply(Some(context.id)));
        self.metrics().answered(route, reply.status().as_u16());
        let headers = reply.headers_mut();
        if !headers.contains_key(&ID) {
            let mut buffer = Uuid::encode_buffer();
            let id = context.id.hyphenated().encode_lower(&mut buffer);
            if let Ok(id) = HeaderValue::from_str(id) {
                headers.insert(&ID, id);
            }
        }
        if !headers.contains_key(&MODE) {
            headers.insert(&MODE, HeaderValue::from_static(context.mode.as_str()));
        }
        reply
    }

    async fn dispatch(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
        context: &mut Context,
        route: &mut &'static str,
    ) -> Result<Reply, ApiError> {
        let path = request.uri().path();
        let (found, parameter) = match routes::find(request.method(), path) {
            Found::Route(found, parameter) => (found, parameter.map(str::to_owned)),
            Found::Methods(allow) => {
                let error = ApiError::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    "this path is not used with that method",
                    "see the Allow header",
                );
                let mut reply = error.reply(Some(context.id));
                reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                return Ok(reply);
            }
            Found::Nothing => return self.mounted(request, peer, context, route).await,
        };
        *route = found.path;
        if found.access != Access::Open {
            let caller = self.gate.authenticate(bearer(request.headers())?, peer.identity());
            context.caller = caller.ok_or_else(ApiError::unauthorized)?;
            if let Some(tenant) = context.tenant() {
                context.mode = self.gate.mode(tenant);
            }
        }
        if found.access == Access::Agent && context.caller.agent.is_none() {
            return Err(ApiError::forbidden("only agents ask for verdicts", "send the token of an agent"));
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        let query = query.as_str();
        match found.operation {
            Operation::Inspect => self.inspect(request, context, &peer).await,
            Operation::InspectBatch => {
                let body = self.json_body(request, context, MAX_BODY).await?;
                Ok(json_bytes(self.inspect.batch(context.agent()?, body, &peer).await?))
            }
            Operation::LedgerHead => self.ledger_head(context, query),
            Operation::LedgerEntries => self.ledger_entries(context, query).await,
            Operation::LedgerAnswers => self.ledger_answers(context, query, parameter).await,
            Operation::LedgerEntry => self.ledger_entry(context, query, parameter).await,
            Operation::LedgerVerify => self.ledger_verify(context, query).await,
            Operation::Plugins => self.plugins(context, query),
            Operation::Generations => self.generations(context, query),
            Operation::Activate => {
                let body = self.body(request, context, MAX_SMALL_BODY).await?;
                self.activate(context, &body.bytes).await
            }
            Operation::History => self.history(context, query),
            Operation::Generation => self.generation(context, query, parameter),
            Operation::Difference => self.difference(context, query),
            Operation::Trial => self.trial(context, query),
            Operation::Promote | Operation::DropCandidate => {
                let by = generations::changer(context)?;
                let body = self.body(request, context, MAX_SMALL_BODY).await?;
                self.candidate(by, found.operation == Operation::Promote, &body.bytes).await
            }
            Operation::ActivateKept | Operation::Rollback => {
                let by = generations::changer(context)?;
                let body = self.body(request, context, MAX_SMALL_BODY).await?;
                self.step(by, parameter, &body.bytes).await
            }
            Operation::Approvals => self.approvals(context, query, &peer).await,
            Operation::Approval => self.approval(context, query, parameter, &peer).await,
            Operation::Arguments => self.arguments(&context.operator()?.clone(), parameter).await,
            Operation::Claim | Operation::Unclaim => {
                let operator = context.operator()?.clone();
                self.body(request, context, MAX_SMALL_BODY).await?;
                self.claim(&operator, parameter, found.operation == Operation::Claim).await
            }
            Operation::DecideMany | Operation::Comment | Operation::Modify => {
                let operator = context.operator()?.clone();
                let body = self.json_body(request, context, MAX_APPROVAL_BODY).await?;
                match found.operation {
                    Operation::DecideMany => self.decide_many(&operator, body.bytes).await,
                    Operation::Comment => self.comment(&operator, parameter, body.bytes).await,
                    _ => self.modify(&operator, parameter, body.bytes).await,
                }
            }
            Operation::Decide => {
                // Who may not decide learns it before anything is read.
                let operator = context.operator()?.clone();
                let body = self.json_body(request, context, MAX_SMALL_BODY).await?;
                self.decide(&operator, parameter, body.bytes).await
            }
            Operation::Outbox => self.outbox(context, query),
            Operation::RetryMessage => self.retry_message(context, query, parameter),
            Operation::DecisionPage => self.decision_page(parameter),
            Operation::DecideByLink => self.decide_by_link(request, parameter).await,
            Operation::SlackInteraction => self.slack_interaction(request).await,
            Operation::Pins => self.pins(context, query).await,
            Operation::Pin => self.pin(context, query, parameter).await,
            Operation::AcceptPin => {
                let operator = pins::accepter(context)?.clone();
                let body = self.json_body(request, context, MAX_SMALL_BODY).await?;
                self.accept_pin(&operator, parameter, body.bytes).await
            }
            Operation::Policies => self.policies(context, query).await,
            Operation::Policy => self.policy(context, query, parameter).await,
            Operation::ReplacePolicy => {
                let operator = policies::writer(context)?.clone();
                let body = self.json_body(request, context, policies::MAX_POLICIES).await?;
                self.replace_policy(&operator, parameter, body.bytes).await
            }
            Operation::Events => self.events(context, query, peer),
            Operation::Health => Ok(json_value(StatusCode::OK, &health::Alive { status: "ok" })),
            Operation::Ready => Ok(self.ready()),
            Operation::Metrics => Ok(self.figures()),
            Operation::OpenApi => Ok(openapi::reply()),
        }
    }

    async fn inspect(
        &self,
        request: Request<RequestBody>,
        context: &mut Context,
        peer: &Peer,
    ) -> Result<Reply, ApiError> {
        let body = self.json_body(request, context, MAX_BODY).await?;
        match self.inspect.one(context.agent()?, body, peer).await {
            Ok(answered) => {
                context.id = answered.id;
                Ok(json_bytes(answered.json))
            }
            Err((error, id)) => {
                context.id = id.unwrap_or(context.id);
                Err(error)
            }
        }
    }

    async fn mounted(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
        context: &mut Context,
        route: &mut &'static str,
    ) -> Result<Reply, ApiError> {
        let path = request.uri().path();
        let under =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let Some(mount) = self.mounts.iter().find(|mount| under(mount.prefix())) else {
            return Err(ApiError::not_found("there is nothing at this path"));
        };
        *route = mount.prefix();
        let caller = bearer(request.headers()).ok().and_then(|token| self.gate.authenticate(token, peer.identity()));
        if let Some(agent) = caller.and_then(|caller| caller.agent) {
            context.mode = self.gate.mode(&agent.tenant);
        }
        tokio::select! {
            biased;
            reply = mount.handle(request, peer.info()) => Ok(reply.map(|body| body.until_gone(peer))),
            () = peer.gone() => {
                // Nobody reads this; the mount has noticed by the end of its future.
                Err(ApiError::malformed("the client went away", ""))
            }
        }
    }

    /// A body that says it is JSON.
    async fn json_body(
        &self,
        request: Request<RequestBody>,
        context: &Context,
        limit: usize,
    ) -> Result<Received, ApiError> {
        check_json(request.headers())?;
        self.body(request, context, limit).await
    }

    async fn body(&self, request: Request<RequestBody>, context: &Context, limit: usize) -> Result<Received, ApiError> {
        check_encoding(request.headers())?;
        self.body_room.read(request.into_body(), &context.owner()?, limit, self.body_timeout).await
    }
}

impl Context {
    /// The tenant of the caller, whoever it is.
    fn tenant(&self) -> Option<&Arc<str>> {
        let Caller { agent, operator, .. } = &self.caller;
        agent.as_ref().map(|agent| &agent.tenant).or(operator.as_ref().map(|operator| &operator.tenant))
    }

    /// The caller by tenant and name.
    fn owner(&self) -> Result<Owner, ApiError> {
        let Caller { agent, operator, .. } = &self.caller;
        let operator = || operator.as_ref().map(|operator| (Arc::clone(&operator.tenant), Arc::clone(&operator.name)));
        agent.as_ref().map(AgentIdentity::owner).or_else(operator).ok_or_else(ApiError::unauthorized)
    }

    fn own_tenant(&self) -> Result<&Arc<str>, ApiError> {
        self.tenant().ok_or_else(ApiError::unauthorized)
    }

    fn agent(&self) -> Result<&AgentIdentity, ApiError> {
        self.caller.agent.as_ref().ok_or_else(ApiError::unauthorized)
    }

    fn operator(&self) -> Result<&OperatorIdentity, ApiError> {
        let hint = "send the token of an operator";
        self.caller.operator.as_ref().ok_or_else(|| ApiError::forbidden("only operators decide", hint))
    }
}

/// The command line's own listener is nobody else's, whatever token is sent.
fn check_control(headers: &HeaderMap, peer: &Peer) -> Result<(), ApiError> {
    let Some(control) = peer.control() else { return Ok(()) };
    let sent = headers.get(http::CONTROL).and_then(|secret| secret.to_str().ok());
    if sent.is_some_and(|secret| token_digest(secret) == control) {
        return Ok(());
    }
    Err(ApiError::forbidden("this port is the command line's own", "use the address that the server announces"))
}

fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind).trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body must be JSON",
        "send Content-Type: application/json",
    ))
}

pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_encoding",
        "compressed bodies are not accepted",
        "send the body without Content-Encoding",
    ))
}

fn json_bytes(bytes: Vec<u8>) -> Reply {
    let mut reply = Response::new(Body::from(bytes));
    reply.headers_mut().insert(CONTENT_TYPE, JSON.clone());
    reply
}

fn json_value(status: StatusCode, value: &impl Serialize) -> Reply {
    let mut reply = json_bytes(serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec()));
    *reply.status_mut() = status;
    reply
}
