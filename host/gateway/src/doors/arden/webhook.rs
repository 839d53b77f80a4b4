//! Tells an agent's endpoint what was decided about its parked calls.
//!
//! A hook is on record from the entry that parks its call until it is delivered, so a restart loses none. What it says is
//! the same at each try; its time and signature are those of the try.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Uri;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, InvalidHeaderValue};
use portcullis_approvals::State;
use portcullis_ledger::Record;
use portcullis_model::Call;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::delivery::REPEATED_WITHIN;
use super::request::Environment;
use super::{Inner, Parked, Stands, gone};
use crate::gate::{GateError, now_ms};
use crate::outbound::{TargetError, Targets, host_of};
use crate::ports::{JournalError, Owner, Records};
use crate::shares::{Limits, Share, Shares};
use crate::signature::hmac_hex;

/// Keys of all records start with this; the number is the version of their form.
const RECORDS: &str = "arden/hook/1/";
/// Calls that wait for a decision or its delivery.
const WAITING: Limits = Limits { all: usize::MAX, of_tenant: 2000, of_caller: 200 };
pub(super) const FULL: &str = "no webhook for this action: too many of its agent wait for a decision or for its delivery; it can ask for the status";
/// Requests at a time: of all agents, to one endpoint.
const AT_ONCE: usize = 16;
const AT_ONCE_OF_AGENT: usize = 2;
/// For one whole request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries: the first pause, doubled each time up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(300);
/// How long after the decision it is tried.
const TRIED_FOR_MS: u64 = 24 * 60 * 60 * 1000;
/// The client registers its callback when it has read the answer to its check; before that it would drop the event.
const GRACE: Duration = Duration::from_millis(500);
/// How often a decision that is not recorded yet is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest single wait for a decision.
const WAIT: Duration = Duration::from_secs(60 * 60);
/// Networks of endpoints that may be private.
const ANYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];
/// Bytes of a signing key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=4096;

const TIMESTAMP: &str = "x-arden-timestamp";
const SIGNATURE: &str = "x-arden-signature";

/// Where an agent is told of decisions, and with which key that is signed.
pub struct Endpoint {
    uri: Uri,
    targets: Targets,
    key: Zeroizing<String>,
}

/// Why an endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an address of a web server.
    #[error("write the whole address of a web server, such as https://agent.example/arden, without user and fragment")]
    Url,
    /// In the clear over a network that is not one's own.
    #[error("plain http carries arguments in the clear: use https, or allow private addresses for this endpoint")]
    Plain,
    /// The signing key is too short or too long.
    #[error("the signing key must have 16 to 4096 bytes")]
    Key,
}

/// Why a request did not get through. Says nothing of what was sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("it answered {0}")]
    Status(u16),
    #[error("the request could not be made: {0}")]
    Header(#[from] InvalidHeaderValue),
    #[error("the event could not be written: {0}")]
    Event(#[from] serde_json::Error),
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error("what is to be told is not kept any more")]
    Forgotten,
}

/// A parked call whose agent is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hook {
    tenant: Arc<str>,
    agent: Arc<str>,
    environment: Environment,
    action: Uuid,
    approval: Uuid,
}

/// Everything that is being followed.
#[derive(Debug)]
pub(super) struct Hooks {
    /// None once the server drains.
    tasks: Mutex<Option<JoinSet<()>>>,
    places: Shares,
    sending: Semaphore,
    /// By agent; those that nobody uses are dropped with the next one.
    agents: Mutex<HashMap<Owner, Arc<Semaphore>>>,
}

#[derive(Serialize)]
struct Event<'a> {
    event_type: &'static str,
    timestamp: &'a str,
    action: EventAction<'a>,
    approval: EventApproval<'a>,
}

#[derive(Serialize)]
struct EventAction<'a> {
    action_id: Uuid,
    tool_name: &'a str,
    status: &'static str,
    agent_id: &'a str,
    context: &'a RawValue,
    created_at: &'a str,
    environment: Environment,
}

#[derive(Serialize)]
struct EventApproval<'a> {
    action: &'static str,
    admin_user_id: Option<&'a str>,
    notes: Option<&'a str>,
}

impl Endpoint {
    /// An endpoint. With `private` its name may stand for a private or loopback address, and it may be plain http.
    ///
    /// # Errors
    /// The address is none of a web server, or not safe; the key is too short.
    pub fn new(url: &str, signing_key: &str, private: bool) -> Result<Self, EndpointError> {
        let uri: Uri = url.parse().map_err(|_| EndpointError::Url)?;
        if url.contains('#') {
            return Err(EndpointError::Url);
        }
        if uri.scheme_str() == Some("http") && !private {
            return Err(EndpointError::Plain);
        }
        let networks = ANYWHERE.map(str::to_owned);
        let networks = if private { networks.as_slice() } else { &[] };
        let targets = Targets::new(&[], networks, TIMEOUT).map(|targets| targets.with_host(host_of(&uri)));
        let targets = targets.map_err(|_| EndpointError::Url)?;
        targets.check(&uri).map_err(|_| EndpointError::Url)?;
        if !KEY_BYTES.contains(&signing_key.len()) {
            return Err(EndpointError::Key);
        }
        Ok(Self { uri, targets, key: Zeroizing::new(signing_key.to_owned()) })
    }

    /// `sha256=` and the HMAC-SHA-256 of time, dot and body, in lower-case hex.
    fn signature(&self, timestamp: &str, body: &[u8]) -> String {
        format!("sha256={}", hmac_hex(self.key.as_bytes(), &[timestamp.as_bytes(), b".", body]))
    }

    /// Sends an event. Only an answer of success counts; a redirect is none.
    async fn send(&self, body: Vec<u8>) -> Result<(), SendError> {
        let timestamp = (now_ms() / 1000).to_string();
        let signature = self.signature(&timestamp, &body);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(TIMESTAMP, HeaderValue::try_from(timestamp)?);
        headers.insert(SIGNATURE, HeaderValue::try_from(signature)?);
        let answer = self.targets.post(&self.uri, headers, body.into()).await?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(SendError::Status(answer.status)) }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some keep a secret in the path.
        f.debug_struct("Endpoint").field("host", &self.uri.host()).finish_non_exhaustive()
    }
}

impl Hook {
    pub(super) fn new(call: &Call, environment: Environment, approval: Uuid) -> Self {
        let (tenant, agent) = (Arc::clone(&call.tenant), Arc::clone(&call.agent));
        Self { tenant, agent, environment, action: call.id, approval }
    }

    fn owner(&self) -> Owner {
        (Arc::clone(&self.tenant), Arc::clone(&self.agent))
    }

    fn key(&self) -> Vec<u8> {
        format!("{RECORDS}{}/{}", self.tenant, self.action).into_bytes()
    }

    /// What must become durable with the entry that parks the call.
    pub(super) fn record(&self) -> Record {
        Record { key: self.key(), value: serde_json::to_vec(self).ok() }
    }
}

/// The hooks of an earlier run.
pub(super) fn load(records: &dyn Records) -> Result<Vec<Hook>, JournalError> {
    let mut hooks = Vec::new();
    for (key, value) in records.read(RECORDS.as_bytes())? {
        match serde_json::from_slice::<Hook>(&value) {
            Ok(hook) if hook.key() == key => hooks.push(hook),
            _ => {
                let key = key.escape_ascii();
                tracing::warn!(%key, "a webhook's record is not in a known form: it is left, and nobody is told");
            }
        }
    }
    Ok(hooks)
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            tasks: Mutex::new(Some(JoinSet::new())),
            places: Shares::new(WAITING),
            sending: Semaphore::new(AT_ONCE),
            agents: Mutex::default(),
        }
    }
}

impl Hooks {
    /// A place for one more call of an agent, if it has one left.
    pub(super) fn place(&self, owner: &Owner) -> Option<Share> {
        self.places.take(owner)
    }

    /// Ends everything that is being followed, wherever it stands.
    pub(super) async fn close(&self) {
        let tasks = lock(&self.tasks).take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }

    /// The agent's own share of what is sent at once.
    fn of_agent(&self, owner: &Owner) -> Arc<Semaphore> {
        let mut agents = lock(&self.agents);
        if let Some(own) = agents.get(owner) {
            return Arc::clone(own);
        }
        agents.retain(|_, own| Arc::strong_count(own) > 1);
        let own = Arc::new(Semaphore::new(AT_ONCE_OF_AGENT));
        agents.insert(owner.clone(), Arc::clone(&own));
        own
    }
}

/// Waits for the decision about a parked call and tells its agent. `told` becomes true when its check has been answered.
pub(super) fn follow(inner: &Arc<Inner>, hook: Hook, place: Option<Share>, told: Option<watch::Receiver<bool>>) {
    let mut tasks = lock(&inner.hooks.tasks);
    let Some(tasks) = tasks.as_mut() else { return };
    while tasks.try_join_next().is_some() {}
    let inner = Arc::clone(inner);
    tasks.spawn(async move {
        // After a restart those that are there count, too, and may be more than there are places.
        let _place = place.or_else(|| inner.hooks.place(&hook.owner()));
        decided(&inner, &hook).await;
        if let Some(mut told) = told {
            // Nobody who is still there is this slow; who asks again meanwhile is told under the same id.
            let _ = tokio::time::timeout(REPEATED_WITHIN, told.wait_for(|told| *told)).await;
            tokio::time::sleep(GRACE).await;
        }
        deliver(&inner, &hook).await;
        if let Err(error) = inner.records.put(vec![gone(hook.key())]).await {
            tracing::warn!(%error, action = %hook.action, "a webhook that is done stays on record and is sent again");
        }
    });
}

/// Waits until the approval is final, or forgotten.
async fn decided(inner: &Inner, hook: &Hook) {
    loop {
        match inner.gate.approvals().wait(&hook.tenant, hook.approval, WAIT, now_ms()).await {
            Some(approval) if approval.state == State::Pending => tokio::time::sleep(LOOK_EVERY).await,
            _ => return,
        }
    }
}

/// Tries until it is delivered or too late.
async fn deliver(inner: &Arc<Inner>, hook: &Hook) {
    let mut pause = FIRST_PAUSE;
    let began = now_ms();
    let key = (Arc::clone(&hook.tenant), Arc::clone(&hook.agent), hook.environment);
    let (action, agent) = (hook.action, &*hook.agent);
    loop {
        let Some(endpoint) = inner.settings.load().webhooks.get(&key).cloned() else {
            tracing::warn!(%action, agent, "the agent has no webhook any more; it can still ask for the status");
            return;
        };
        match attempt(inner, hook, &endpoint).await {
            Ok(()) => return,
            Err(error @ (SendError::Forgotten | SendError::Event(_))) => {
                tracing::warn!(%action, agent, %error, "a webhook cannot be sent");
                return;
            }
            Err(error) if now_ms().saturating_sub(began) >= TRIED_FOR_MS => {
                tracing::warn!(%action, agent, %error, "a webhook was not delivered within a day and is given up");
                return;
            }
            Err(error) => tracing::info!(%action, agent, %error, retry_s = pause.as_secs(), "a webhook was not taken"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// One try. What is sent is made anew each time: it may be large, and many may wait.
async fn attempt(inner: &Arc<Inner>, hook: &Hook, endpoint: &Endpoint) -> Result<(), SendError> {
    let own = inner.hooks.of_agent(&hook.owner());
    // Neither is ever closed.
    let _own = own.acquire().await;
    let _place = inner.hooks.sending.acquire().await;
    let parked = inner.parked(&hook.tenant, hook.action).await?.ok_or(SendError::Forgotten)?;
    let stands = match inner.stands(&hook.tenant, hook.approval, hook.action).await {
        Ok(stands) => stands,
        // That is final as well.
        Err(error @ (GateError::Halted | GateError::Removed)) => {
            let approval = inner.gate.approvals().get(&hook.tenant, hook.approval);
            Stands { status: "denied", message: Some(error.to_string()), approval }
        }
        Err(error) => return Err(error.into()),
    };
    endpoint.send(event(hook, &parked, &stands)?).await
}

/// The body.
fn event(hook: &Hook, parked: &Parked, stands: &Stands) -> Result<Vec<u8>, serde_json::Error> {
    let approved = stands.status == "approved";
    let (event_type, status, action) =
        if approved { ("action_approved", "approved", "approve") } else { ("action_denied", "denied", "deny") };
    let ended = stands.approval.as_ref().and_then(|approval| approval.view(now_ms()).ended);
    let vote =
        stands.approval.as_ref().and_then(|approval| approval.votes.last().filter(|vote| vote.approve == approved));
    let nothing = RawValue::from_string("{}".to_owned())?;
    serde_json::to_vec(&Event {
        event_type,
        timestamp: ended.as_deref().unwrap_or(&parked.created),
        action: EventAction {
            action_id: hook.action,
            tool_name: &parked.tool,
            status,
            agent_id: &hook.agent,
            context: parked.context.as_deref().unwrap_or(&nothing),
            created_at: &parked.created,
            environment: hook.environment,
        },
        approval: EventApproval {
            action,
            admin_user_id: vote.map(|vote| &*vote.operator),
            notes: stands.message.as_deref(),
        },
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "test_signing_key";

    #[test]
    fn the_signature_is_that_of_the_contract() {
        let endpoint = Endpoint::new("https://agent.example/hook", KEY, false).unwrap();
        let body = br#"{"event_type":"action_approved","action":{"action_id":"a1"}}"#;
        let expected = "sha256=6d90a66637d67b72780d0d1cbc391bc505987896def894687db5d9a52b08dd90";
        assert_eq!(endpoint.signature("1713096000", body), expected);
        assert!(!format!("{endpoint:?}").contains(KEY) && !format!("{endpoint:?}").contains("hook"));
    }

    #[test]
    fn only_safe_addresses_are_endpoints() {
        let error = |url: &str, private: bool| Endpoint::new(url, KEY, private).err();
        for url in ["https://agent.example/", "https://agent.example:8443/a?b=c", "https://[2001:4860::1]/"] {
            assert_eq!(error(url, false), None, "{url}");
        }
        for url in ["", "agent.example", "/hook", "ftp://agent.example/", "https://u:p@agent.example/", "https:///x"] {
            assert_eq!(error(url, true), Some(EndpointError::Url), "{url}");
        }
        assert_eq!(error("http://agent.example/", false), Some(EndpointError::Plain));
        assert_eq!(error("http://127.0.0.1:1/", true), None);
        assert_eq!(Endpoint::new("https://agent.example/", "short", false).err(), Some(EndpointError::Key));
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_refused_before_anything_is_sent() {
        let endpoint = Endpoint::new("https://localhost:9/", KEY, false).unwrap();
        let error = endpoint.send(Vec::new()).await.unwrap_err();
        assert!(matches!(error, SendError::Target(TargetError::Network(..))), "{error}");
    }

    #[test]
    fn one_agent_does_not_take_every_place() {
        let hooks = Hooks::default();
        let owner = |agent: &str| (Arc::from("t"), Arc::from(agent));
        let mut places: Vec<_> = (0..WAITING.of_caller).map(|_| hooks.place(&owner("a")).unwrap()).collect();
        assert!(hooks.place(&owner("a")).is_none());
        assert!(hooks.place(&owner("b")).is_some());
        places.pop();
        assert!(hooks.place(&owner("a")).is_some());
        drop(places);
        assert_eq!(hooks.places.holders(), 0);
    }
}
