//! Tasks in place of the results of parked calls, for clients of the revision without sessions that declare the extension.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use jiff::Timestamp;
use portcullis_approvals::Approval;
use portcullis_model::Kind;
use serde_json::{Map, Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::Inner;
use super::answers;
use super::envelope::{Frame, INVALID_PARAMS, Id, MISSING_CAPABILITY, NEEDS_APPROVAL, Shape, members};
use super::federation::gather;
use super::front::json_reply;
use super::holding::{Offers, Parked, TASKS};
use super::stateless;
use crate::gate::now_ms;
use crate::http::Reply;
use crate::ports::AgentIdentity;

/// How the ids of our own tasks begin; an approval's id follows.
const PREFIX: &str = "portcullis-";
/// Methods about tasks.
const METHODS: &[&str] = &["tasks/get", "tasks/update", "tasks/cancel"];
/// How often a client should ask, in milliseconds.
const POLL_MS: u64 = 2_000;
/// Finished tasks that are kept.
const MAX_FINISHED: usize = 4_096;

/// The tasks of the door. Those that wait are bounded by the places of held calls.
#[derive(Default)]
pub(super) struct Tasks(Mutex<HashMap<Uuid, Task>>);

struct Task {
    tenant: Arc<str>,
    agent: Arc<str>,
    /// A number of its own: an approval that was not used can be waited for again.
    turn: Uuid,
    created_ms: u64,
    updated_ms: u64,
    ttl_ms: u64,
    progress: Progress,
}

enum Progress {
    /// Set when the client does not want it any more.
    Working(watch::Sender<bool>),
    /// The answer to the call, as its client would have got it.
    Answered(Bytes, Instant),
    Cancelled(Instant),
}

impl Tasks {
    fn map(&self) -> MutexGuard<'_, HashMap<Uuid, Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets tasks that ended this long ago, and those that should have ended.
    pub(super) fn sweep(&self, kept: Duration) {
        let now = now_ms();
        self.map().retain(|_, task| match task.ended() {
            Some(ended) => ended.elapsed() <= kept,
            None => now <= task.created_ms.saturating_add(task.ttl_ms),
        });
    }

    fn finish(&self, inner: &Inner, id: Uuid, turn: Uuid, progress: Progress) {
        let mut map = self.map();
        let Some(task) = map.get_mut(&id).filter(|task| task.turn == turn) else { return };
        task.progress = progress;
        task.updated_ms = now_ms();
        // The oldest make room.
        let limit = inner.limits.hold.result_bytes;
        let mut finished: Vec<(Instant, Uuid, usize)> =
            map.iter().filter_map(|(id, task)| Some((task.ended()?, *id, task.bytes()))).collect();
        finished.sort_unstable();
        let mut bytes: usize = finished.iter().map(|(_, _, bytes)| bytes).sum();
        let mut count = finished.len();
        for (_, old, size) in finished {
            if bytes <= limit && count <= MAX_FINISHED {
                break;
            }
            map.remove(&old);
            bytes = bytes.saturating_sub(size);
            count -= 1;
        }
    }
}

impl Task {
    fn ended(&self) -> Option<Instant> {
        match &self.progress {
            Progress::Working(_) => None,
            Progress::Answered(_, ended) | Progress::Cancelled(ended) => Some(*ended),
        }
    }

    fn bytes(&self) -> usize {
        if let Progress::Answered(bytes, _) = &self.progress { bytes.len() } else { 0 }
    }

    /// The task as members of a JSON object, its `status` and what belongs to that aside.
    fn described(&self, id: Uuid) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("taskId".to_owned(), format!("{PREFIX}{id}").into());
        object.insert("createdAt".to_owned(), time(self.created_ms).into());
        object.insert("lastUpdatedAt".to_owned(), time(self.updated_ms).into());
        object.insert("ttlMs".to_owned(), self.ttl_ms.into());
        object.insert("pollIntervalMs".to_owned(), POLL_MS.into());
        object
    }
}

/// Goes on with a parked call without its client, and tells it under which id to ask.
pub(super) fn begin(
    inner: &Arc<Inner>,
    agent: &AgentIdentity,
    parked: Parked,
    answer: oneshot::Receiver<Reply>,
) -> Reply {
    let Parked { id, approval, .. } = parked;
    let (unwanted, mut cancelled) = watch::channel(false);
    let kept = u64::try_from(inner.limits.hold.results.as_millis()).unwrap_or(u64::MAX);
    let now = now_ms();
    let turn = Uuid::new_v4();
    let task = Task {
        tenant: Arc::clone(&agent.tenant),
        agent: Arc::clone(&agent.name),
        turn,
        created_ms: now,
        updated_ms: now,
        ttl_ms: approval.deadline_ms.saturating_sub(now).saturating_add(kept),
        progress: Progress::Working(unwanted),
    };
    let mut seed = task.described(approval.id);
    seed.insert("resultType".to_owned(), "task".into());
    seed.insert("status".to_owned(), "working".into());
    seed.insert("statusMessage".to_owned(), waiting(&approval).into());
    inner.tasks.map().insert(approval.id, task);
    let (own, task) = (Arc::clone(inner), approval.id);
    let request = id.clone();
    tokio::spawn(async move {
        let whole = async {
            let reply = answer.await.ok()?;
            let frame = gather::answer(reply, own.limits.message, |_| {}).await.ok()?;
            let ours = matches!(frame.shape(), Shape::Response { id: Some(id), .. } if *id == request);
            ours.then(|| Bytes::copy_from_slice(frame.raw().as_bytes()))
        };
        let progress = tokio::select! {
            whole = whole => {
                let whole = whole.unwrap_or_else(|| answers::upstream_error(&request, "the upstream gave no answer"));
                Progress::Answered(whole, Instant::now())
            }
            // What waits for the answer goes with it: the call is cancelled.
            _ = cancelled.wait_for(|unwanted| *unwanted) => Progress::Cancelled(Instant::now()),
        };
        own.tasks.finish(&own, task, turn, progress);
    });
    json_reply(StatusCode::OK, answers::result(&id, &Value::from(seed).to_string()))
}

/// The answer to a request about one of our own tasks; none if it is about something else.
pub(super) fn answer(inner: &Inner, agent: &AgentIdentity, frame: &Frame) -> Option<Reply> {
    let Shape::Request { id, method } = frame.shape() else { return None };
    let name = frame.params().and_then(|params| params.get("taskId")).filter(|name| name.kind() == Kind::String);
    let name = name.and_then(|name| name.as_str()).filter(|_| METHODS.contains(&&**method))?;
    let task = name.strip_prefix(PREFIX)?;
    let reply = |bytes: Bytes| Some(json_reply(stateless::status(&bytes), bytes));
    if let Err(error) = inner.gate.awake(agent) {
        let refusal = answers::Refusal::by_gate(Uuid::now_v7(), answers::Withheld::Call, &error);
        return reply(refusal.rpc_error(Some(id)));
    }
    if !Offers::of(frame).tasks {
        let data = json!({ "requiredCapabilities": { "extensions": { TASKS: {} } } });
        return reply(answers::error(Some(id), MISSING_CAPABILITY, "Missing required client capability", Some(data)));
    }
    let known = Uuid::parse_str(task).ok().and_then(|task| found(inner, agent, task, id, method));
    reply(known.unwrap_or_else(|| {
        let text = "there is no such task, or its result was not kept any longer";
        answers::error(Some(id), INVALID_PARAMS, text, None)
    }))
}

/// The answer about a task of this agent.
fn found(inner: &Inner, agent: &AgentIdentity, task: Uuid, id: &Id, method: &str) -> Option<Bytes> {
    let map = inner.tasks.map();
    let own = |owner: (&Arc<str>, &Arc<str>)| owner == (&agent.tenant, &agent.name);
    let Some(known) = map.get(&task) else {
        drop(map);
        let approval = inner.gate.approvals().get(&agent.tenant, task)?;
        return own((&approval.tenant, &approval.agent)).then(|| lost(&approval, id, method));
    };
    if !own((&known.tenant, &known.agent)) {
        return None;
    }
    if method != "tasks/get" {
        if let Progress::Working(unwanted) = &known.progress
            && method == "tasks/cancel"
        {
            unwanted.send_replace(true);
        }
        return Some(acknowledged(id));
    }
    let mut object = known.described(task);
    object.insert("resultType".to_owned(), "complete".into());
    let (status, rest) = match &known.progress {
        Progress::Working(_) => {
            let approval = inner.gate.approvals().get(&agent.tenant, task);
            let text =
                match approval.filter(|approval| approval.state_at(now_ms()) == portcullis_approvals::State::Pending) {
                    Some(approval) => waiting(&approval),
                    None => "the call is being made".to_owned(),
                };
            object.insert("statusMessage".to_owned(), text.into());
            ("working", None)
        }
        Progress::Cancelled(_) => ("cancelled", None),
        Progress::Answered(bytes, _) => {
            let frame = Frame::parse(bytes.as_ref()).ok()?;
            let failed = matches!(frame.shape(), Shape::Response { failed: true, .. });
            let (status, member) = if failed { ("failed", "error") } else { ("completed", "result") };
            (status, frame.body().map(|body| format!(",\"{member}\":{}", body.raw())))
        }
    };
    object.insert("status".to_owned(), status.into());
    let object = Value::from(object).to_string();
    // The result stays as it was written.
    let object = object.strip_suffix('}').unwrap_or(&object);
    Some(answers::result(id, &format!("{object}{}}}", rest.unwrap_or_default())))
}

/// A task that is not known any more, whose approval is.
fn lost(approval: &Approval, id: &Id, method: &str) -> Bytes {
    if method != "tasks/get" {
        return acknowledged(id);
    }
    let now = now_ms();
    let text = match approval.released_ms {
        Some(_) => "its call was made, and its result is not kept any longer or was lost in a restart".to_owned(),
        None => {
            let state = approval.state_at(now).as_str();
            format!(
                "its call was lost in a restart, and nothing has run: approval {} is {state}; make exactly the same call again",
                approval.id
            )
        }
    };
    let error = json!({ "code": NEEDS_APPROVAL, "message": format!("the task is over: {text}") });
    let result = json!({
        "resultType": "complete",
        "taskId": format!("{PREFIX}{}", approval.id),
        "status": "failed",
        "statusMessage": text,
        "createdAt": time(approval.created_ms),
        "lastUpdatedAt": time(now),
        "ttlMs": approval.deadline_ms.saturating_sub(approval.created_ms),
        "error": error,
    });
    answers::result(id, &result.to_string())
}

/// An answer to `server/discover` that also says that there are tasks here.
pub(super) fn announced(bytes: &Bytes) -> Option<Bytes> {
    let frame = Frame::parse(bytes.as_ref()).ok()?;
    let body = frame.body().filter(|_| matches!(frame.shape(), Shape::Response { failed: false, .. }))?;
    let ours = format!("\"{TASKS}\":{{}}");
    let joined =
        |inside: String, more: &str| if inside.is_empty() { more.to_owned() } else { format!("{inside},{more}") };
    let object = |value: &portcullis_model::Value<'_>| value.kind() == Kind::Object;
    let capabilities = body.get("capabilities").filter(object)?;
    let written = match capabilities.get("extensions").filter(object) {
        Some(extensions) if extensions.get(TASKS).is_some() => return None,
        Some(extensions) => {
            let inside = joined(members(extensions, |_| true), &ours);
            frame.splice(extensions, &format!("{{{inside}}}"))
        }
        None => {
            let rest = members(capabilities, |name| name != "extensions");
            let inside = joined(rest, &format!("\"extensions\":{{{ours}}}"));
            frame.splice(capabilities, &format!("{{{inside}}}"))
        }
    };
    Some(written.into())
}

fn acknowledged(id: &Id) -> Bytes {
    answers::result(id, r#"{"resultType":"complete"}"#)
}

fn waiting(approval: &Approval) -> String {
    format!("waiting for approval {}", approval.id)
}

fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}
