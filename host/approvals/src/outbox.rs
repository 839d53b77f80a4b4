//! What people still have to be told of parked calls: one message for each channel and occasion.
//!
//! A message becomes durable in the same batch as the change that it is about, and its record goes once it was delivered:
//! whatever is interrupted in between is sent again. No clock and no I/O in here: who sends tells the time and how it went.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::{NoContext, Timestamp, Uuid};

use crate::{Approval, Record};

/// Keys of the records of all messages start with this.
pub const OUTBOX_RECORDS: &[u8] = b"outbox/";

/// Version of the record format, the first byte of every record; JSON follows.
const VERSION: u8 = 1;
/// Most bytes of the text that says why a message could not be delivered.
const MAX_PROBLEM: usize = 300;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// A call waits for a decision.
    Parked,
    /// It still waits, and more people are asked.
    Escalated,
    /// It still waits, with other arguments: earlier answers do not count.
    Modified,
    /// It waits no more: decided, expired or cancelled.
    Decided,
}

/// Where a message stands. A delivered one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// It is sent when it is due.
    Waiting,
    /// It is not sent any more, unless an operator wants it.
    Dead,
}

/// One thing to be told over one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Its id, ordered by time; the same at every try, so that a receiver knows a second delivery.
    pub id: Uuid,
    /// Owner of the approval.
    pub tenant: Arc<str>,
    /// Name of the channel, as the router's plan gives it.
    pub channel: Arc<str>,
    /// What it is about.
    pub approval: Uuid,
    /// On which occasion.
    pub kind: MessageKind,
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Tries so far.
    pub attempts: u32,
    /// Milliseconds since the Unix epoch from which on it is tried again.
    pub next_ms: u64,
    /// Where it stands.
    pub state: MessageState,
    /// Why the latest try failed.
    pub problem: Option<String>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// Most messages of a tenant that wait; more are not taken up, and counted as lost.
    pub waiting_per_tenant: usize,
    /// Most dead messages of a tenant; the oldest make room, and are counted as lost.
    pub dead_per_tenant: usize,
}

/// When a message that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Milliseconds after the first failure; doubled with each further one.
    pub first_ms: u64,
    /// Most milliseconds between two tries.
    pub most_ms: u64,
    /// Tries in all.
    pub attempts: u32,
}

/// What a tenant has in the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutboxCounts {
    /// Messages that are being sent or wait for it.
    pub waiting: usize,
    /// Messages that are not sent any more.
    pub dead: usize,
    /// Messages that were given up since the start because too many waited or were dead.
    pub lost: u64,
}

/// The messages of all tenants. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: OutboxLimits,
    messages: Mutex<Messages>,
    changed: Notify,
}

/// Tenant and channel.
type Address = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Messages {
    all: HashMap<Uuid, Arc<Message>>,
    lanes: HashMap<Address, Lane>,
    tenants: HashMap<Arc<str>, Tenant>,
}

/// The messages of one channel: a slow one holds up no other.
#[derive(Debug, Default)]
struct Lane {
    /// By the time from which on they are sent.
    due: BTreeSet<(u64, Uuid)>,
    /// Those that are being sent.
    taken: HashSet<Uuid>,
}

#[derive(Debug, Default)]
struct Tenant {
    ids: BTreeSet<Uuid>,
    dead: BTreeSet<Uuid>,
    /// Those that are about to be durable included.
    waiting: usize,
    lost: u64,
}

/// Messages about a change that is not made yet. Commit them with it; dropped, they never were.
#[derive(Debug)]
pub(crate) struct Post {
    outbox: Outbox,
    tenant: Arc<str>,
    messages: Vec<Message>,
    /// Those for which there is no room.
    lost: u64,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { waiting_per_tenant: 10_000, dead_per_tenant: 1_000 }
    }
}

impl Default for Backoff {
    /// About two hours: 1 second, then twice as long each time up to 5 minutes, 40 tries.
    fn default() -> Self {
        Self { first_ms: 1_000, most_ms: 300_000, attempts: 40 }
    }
}

impl MessageKind {
    /// The word used on the wire and in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Escalated => "escalated",
            Self::Modified => "modified",
            Self::Decided => "decided",
        }
    }
}

impl MessageState {
    /// The word used on the wire and in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dead => "dead",
        }
    }
}

impl Backoff {
    /// Milliseconds until the next try after this many; none if that was the last one. `jitter` is a random share from 0
    /// to 1: the pause is between half and the whole of its length, so that messages which failed together come apart.
    #[must_use]
    pub fn pause_ms(&self, attempts: u32, jitter: f64) -> Option<u64> {
        if attempts >= self.attempts {
            return None;
        }
        let doubled = 1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        let whole = self.first_ms.saturating_mul(doubled).min(self.most_ms);
        // Thousandths: exact enough, and no float ever holds a time.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000 first")]
        let share = (jitter.clamp(0.0, 1.0) * 1000.0) as u64;
        let half = whole / 2;
        Some(half.saturating_add((whole - half).saturating_mul(share) / 1000).max(1))
    }
}

impl Outbox {
    /// An empty one.
    #[must_use]
    pub fn new(limits: OutboxLimits) -> Self {
        Self(Arc::new(Shared { limits, messages: Mutex::default(), changed: Notify::new() }))
    }

    /// Takes a stored message in: it is due at once, if it is not dead.
    ///
    /// # Errors
    /// What is wrong with the record.
    pub(crate) fn load(&self, stored_key: &[u8], value: &[u8]) -> Result<(), String> {
        let message = match value.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice::<Message>(json).map_err(|error| error.to_string())?,
            Some((version, _)) => return Err(format!("it has version {version}, this build reads version {VERSION}")),
            None => return Err("it is empty".to_owned()),
        };
        if key(&message.tenant, message.id) != stored_key {
            return Err("it belongs to another message".to_owned());
        }
        let mut messages = self.messages();
        if message.state == MessageState::Waiting {
            messages.tenant(&message.tenant).waiting += 1;
        }
        messages.insert(Message { next_ms: 0, ..message });
        Ok(())
    }

    /// Messages about an approval, one for each of these channels. Nobody sees them before [`Post::commit`].
    pub(crate) fn post<'c>(
        &self,
        approval: &Approval,
        kind: MessageKind,
        channels: impl IntoIterator<Item = &'c str>,
        now_ms: u64,
    ) -> Option<Post> {
        let mut known = HashSet::new();
        let channels: Vec<&str> = channels.into_iter().filter(|channel| known.insert(*channel)).collect();
        if channels.is_empty() {
            return None;
        }
        let mut messages = self.messages();
        let tenant = messages.tenant(&approval.tenant);
        let room = self.0.limits.waiting_per_tenant.saturating_sub(tenant.waiting);
        let lost = channels.len().saturating_sub(room);
        let made: Vec<Message> = channels
            .into_iter()
            .take(room)
            .map(|channel| Message {
                id: id_at(now_ms),
                tenant: Arc::clone(&approval.tenant),
                channel: Arc::from(channel),
                approval: approval.id,
                kind,
                created_ms: now_ms,
                attempts: 0,
                next_ms: now_ms,
                state: MessageState::Waiting,
                problem: None,
            })
            .collect();
        tenant.waiting += made.len();
        let lost = u64::try_from(lost).unwrap_or(u64::MAX);
        Some(Post { outbox: self.clone(), tenant: Arc::clone(&approval.tenant), messages: made, lost })
    }

    /// Messages that are due, at most so many of each channel at a time: they are the caller's until it says how they went.
    /// Also the time from which on there is more, if nothing changes.
    #[must_use = "what is taken must be sent"]
    pub fn take(&self, now_ms: u64, per_channel: usize) -> (Vec<Arc<Message>>, Option<u64>) {
        let mut messages = self.messages();
        let mut taken = Vec::new();
        let mut next = None;
        for lane in messages.lanes.values_mut() {
            while lane.taken.len() < per_channel {
                let Some(&(due_ms, id)) = lane.due.first() else { break };
                if due_ms > now_ms {
                    next = Some(next.map_or(due_ms, |next: u64| next.min(due_ms)));
                    break;
                }
                lane.due.pop_first();
                lane.taken.insert(id);
                taken.push(id);
            }
        }
        (taken.iter().filter_map(|id| messages.all.get(id).cloned()).collect(), next)
    }

    /// Waits until there is more to send, or there was since the last call.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// A message was delivered: it is gone. What must be written for it; a message whose record stays is sent again after
    /// a restart.
    #[must_use]
    pub fn delivered(&self, id: Uuid) -> Vec<Record> {
        let mut messages = self.messages();
        let removed = messages.remove(id);
        removed.map(|message| Record { key: key(&message.tenant, id), value: None }).into_iter().collect()
    }

    /// A message was not delivered: it is tried again from `again_ms` on, or is dead. What must be written for it.
    #[must_use]
    pub fn failed(&self, id: Uuid, problem: &str, again_ms: Option<u64>) -> Vec<Record> {
        let mut messages = self.messages();
        let Some(before) = messages.remove(id) else { return Vec::new() };
        let end = problem.floor_char_boundary(MAX_PROBLEM);
        let next = Message {
            attempts: before.attempts.saturating_add(1),
            next_ms: again_ms.unwrap_or(before.next_ms),
            state: if again_ms.is_some() { MessageState::Waiting } else { MessageState::Dead },
            problem: Some(problem.get(..end).unwrap_or_default().to_owned()),
            ..(*before).clone()
        };
        let mut records = vec![record(&next)];
        let tenant = messages.tenant(&next.tenant);
        if next.state == MessageState::Waiting {
            tenant.waiting += 1;
        } else if tenant.dead.len() >= self.0.limits.dead_per_tenant
            && let Some(oldest) = tenant.dead.first().copied()
        {
            tenant.lost += 1;
            messages.remove(oldest);
            records.push(Record { key: key(&next.tenant, oldest), value: None });
        }
        messages.insert(next);
        drop(messages);
        self.0.changed.notify_one();
        records
    }

    /// An operator wants a message to be sent now, dead or not; its tries are counted anew. The message as it is now and
    /// what must be written; none if the tenant has no such message.
    #[must_use]
    pub fn retry(&self, tenant: &str, id: Uuid, now_ms: u64) -> Option<(Arc<Message>, Vec<Record>)> {
        let mut messages = self.messages();
        let before = messages.all.get(&id).filter(|message| &*message.tenant == tenant)?.clone();
        if messages.is_taken(&before) {
            return Some((before, Vec::new()));
        }
        messages.remove(id);
        let next = Message { attempts: 0, next_ms: now_ms, state: MessageState::Waiting, ..(*before).clone() };
        messages.tenant(&next.tenant).waiting += 1;
        let records = vec![record(&next)];
        messages.insert(next);
        let message = messages.all.get(&id).cloned()?;
        drop(messages);
        self.0.changed.notify_one();
        Some((message, records))
    }

    /// One message of a tenant.
    #[must_use]
    pub fn get(&self, tenant: &str, id: Uuid) -> Option<Arc<Message>> {
        self.messages().all.get(&id).filter(|message| &*message.tenant == tenant).cloned()
    }

    /// Messages of a tenant, newest first, at most `limit`: those in `state` if given, older than `before` if given.
    #[must_use]
    pub fn list(
        &self,
        tenant: &str,
        state: Option<MessageState>,
        before: Option<Uuid>,
        limit: usize,
    ) -> Vec<Arc<Message>> {
        let messages = self.messages();
        let Some(own) = messages.tenants.get(tenant) else { return Vec::new() };
        let older = own.ids.range(..before.unwrap_or(Uuid::max())).rev();
        let found = older.filter_map(|id| messages.all.get(id));
        found.filter(|message| state.is_none_or(|state| message.state == state)).take(limit).cloned().collect()
    }

    /// How much a tenant has in here.
    #[must_use]
    pub fn counts(&self, tenant: &str) -> OutboxCounts {
        let messages = self.messages();
        let own = messages.tenants.get(tenant);
        own.map_or_else(OutboxCounts::default, |own| OutboxCounts {
            waiting: own.waiting,
            dead: own.dead.len(),
            lost: own.lost,
        })
    }

    /// Messages of all tenants that were given up since the start because there was no room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.messages().tenants.values().map(|tenant| tenant.lost).sum()
    }

    /// The messages are consistent between any two statements that could panic, so a poisoned lock is still good.
    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.0.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Post {
    /// What must become durable with the change.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.messages.iter().map(record)
    }

    /// The change is made: the messages can be sent.
    pub(crate) fn commit(mut self) {
        let mut messages = self.outbox.messages();
        for message in std::mem::take(&mut self.messages) {
            messages.insert(message);
        }
        let lost = std::mem::take(&mut self.lost);
        messages.tenant(&self.tenant).lost += lost;
        drop(messages);
        self.outbox.0.changed.notify_one();
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if !self.messages.is_empty() {
            let mut messages = self.outbox.messages();
            let tenant = messages.tenant(&self.tenant);
            tenant.waiting = tenant.waiting.saturating_sub(self.messages.len());
        }
    }
}

impl Messages {
    fn tenant(&mut self, name: &Arc<str>) -> &mut Tenant {
        self.tenants.entry(Arc::clone(name)).or_default()
    }

    /// Adds a message; one that waits has its place already.
    fn insert(&mut self, message: Message) {
        let tenant = self.tenant(&message.tenant);
        tenant.ids.insert(message.id);
        match message.state {
            MessageState::Dead => {
                tenant.dead.insert(message.id);
            }
            MessageState::Waiting => {
                self.lanes.entry(address(&message)).or_default().due.insert((message.next_ms, message.id));
            }
        }
        self.all.insert(message.id, Arc::new(message));
    }

    /// Removes a message and gives its place back.
    fn remove(&mut self, id: Uuid) -> Option<Arc<Message>> {
        let message = self.all.remove(&id)?;
        let tenant = self.tenant(&message.tenant);
        tenant.ids.remove(&id);
        match message.state {
            MessageState::Dead => {
                tenant.dead.remove(&id);
            }
            MessageState::Waiting => tenant.waiting = tenant.waiting.saturating_sub(1),
        }
        let address = address(&message);
        if let Some(lane) = self.lanes.get_mut(&address) {
            lane.due.remove(&(message.next_ms, id));
            lane.taken.remove(&id);
            // Names come from plugins: one that nobody uses any more takes no room.
            if lane.due.is_empty() && lane.taken.is_empty() {
                self.lanes.remove(&address);
            }
        }
        Some(message)
    }

    fn is_taken(&self, message: &Message) -> bool {
        self.lanes.get(&address(message)).is_some_and(|lane| lane.taken.contains(&message.id))
    }
}

fn address(message: &Message) -> Address {
    (Arc::clone(&message.tenant), Arc::clone(&message.channel))
}

fn id_at(now_ms: u64) -> Uuid {
    let nanos = u32::try_from(now_ms % 1000 * 1_000_000).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, now_ms / 1000, nanos))
}

fn key(tenant: &str, id: Uuid) -> Vec<u8> {
    [OUTBOX_RECORDS, tenant.as_bytes(), b"/", id.to_string().as_bytes()].concat()
}

fn record(message: &Message) -> Record {
    // Plain structs of strings and numbers: nothing in them that JSON cannot hold.
    let json = serde_json::to_vec(message).unwrap_or_default();
    Record { key: key(&message.tenant, message.id), value: Some([&[VERSION][..], &json].concat()) }
}

#[cfg(test)]
mod tests;
