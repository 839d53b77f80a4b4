//! Tasks in place of the results of parked calls, for clients of the revision without sessions that declare the extension.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use portcullis_approvals::{Approval, State, time};
use portcullis_model::Kind;
use serde_json::{Map, Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::Inner;
use super::answers;
use super::envelope::{Frame, INTERNAL_ERROR, INVALID_PARAMS, Id, MISSING_CAPABILITY, NEEDS_APPROVAL, Shape, members};
use super::federation::gather;
use super::front::json_reply;
use super::holding::{Offers, Parked, TASKS};
use super::stateless;
use crate::gate::now_ms;
use crate::http::Reply;
use crate::ports::{AgentIdentity, Owner};

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
        make_room(&mut map, MAX_FINISHED, inner.limits.hold.result_bytes);
    }
}

/// Forgets finished tasks until there are at most so many, with so many bytes: each time the oldest of the agent that has
/// most, so that nobody loses the only copy of a result to somebody else's.
fn make_room(map: &mut HashMap<Uuid, Task>, most: usize, most_bytes: usize) {
    let finished = map.values().filter(|task| task.ended().is_some());
    let (mut count, mut bytes) = finished.fold((0, 0), |(count, bytes), task| (count + 1, bytes + task.bytes()));
    if count <= most && bytes <= most_bytes {
        return;
    }
    let mut agents: HashMap<Owner, (usize, VecDeque<(Uuid, usize)>)> = HashMap::new();
    let mut oldest: Vec<(Instant, Uuid)> = map.iter().filter_map(|(id, task)| Some((task.ended()?, *id))).collect();
    oldest.sort_unstable();
    for (id, task) in oldest.iter().filter_map(|(_, id)| Some((id, map.get(id)?))) {
        let (of_agent, ids) = agents.entry((Arc::clone(&task.tenant), Arc::clone(&task.agent))).or_default();
        *of_agent += task.bytes();
        ids.push_back((*id, task.bytes()));
    }
    while count > most || bytes > most_bytes {
        let by_bytes = bytes > most_bytes;
        let has = |(of_agent, ids): &(usize, VecDeque<(Uuid, usize)>)| if by_bytes { *of_agent } else { ids.len() };
        let Some((of_agent, ids)) = agents.values_mut().max_by_key(|agent| has(agent)) else { return };
        let Some((id, size)) = ids.pop_front() else { return };
        map.remove(&id);
        *of_agent -= size;
        bytes -= size;
        count -= 1;
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
            let text = match approval.filter(|approval| approval.state_at(now_ms()) == State::Pending) {
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
    let (code, text) = match approval.released_ms {
        // Nothing that asks for another try: it would be made twice.
        Some(_) => {
            let text = "its call was made, and its result is not kept any longer or was lost in a restart; see what it did \
                        before it is made again";
            (INTERNAL_ERROR, text.to_owned())
        }
        None => {
            let state = approval.state_at(now).as_str();
            let text = format!(
                "its call was lost in a restart, and nothing has run: approval {} is {state}; make exactly the same call again",
                approval.id
            );
            (NEEDS_APPROVAL, text)
        }
    };
    let error = json!({ "code": code, "message": format!("the task is over: {text}") });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(agent: &str, bytes: usize) -> Task {
        let progress = Progress::Answered(vec![0; bytes].into(), Instant::now());
        let (tenant, agent, turn) = ("acme".into(), agent.into(), Uuid::new_v4());
        Task { tenant, agent, turn, created_ms: 0, updated_ms: 0, ttl_ms: 1, progress }
    }

    fn of<'m>(map: &'m HashMap<Uuid, Task>, agent: &str) -> Vec<&'m Task> {
        map.values().filter(|task| &*task.agent == agent).collect()
    }

    #[tokio::test]
    async fn results_of_one_agent_push_out_none_of_another() {
        let mut map = HashMap::from([(Uuid::new_v4(), finished("quiet", 100))]);
        for _ in 0..50 {
            map.insert(Uuid::new_v4(), finished("loud", 1));
            make_room(&mut map, 10, 1000);
        }
        assert_eq!((map.len(), of(&map, "quiet").len()), (10, 1));
        // Large ones count by their bytes, and those that still wait are nobody's to forget.
        let (unwanted, _) = watch::channel(false);
        map.insert(Uuid::new_v4(), Task { progress: Progress::Working(unwanted), ..finished("loud", 0) });
        map.insert(Uuid::new_v4(), finished("large", 950));
        make_room(&mut map, 20, 1000);
        assert_eq!((of(&map, "large").len(), of(&map, "quiet").len(), of(&map, "loud").len()), (0, 1, 10));
        assert!(map.values().any(|task| task.ended().is_none()));
    }
}
