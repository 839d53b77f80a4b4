//! Child processes that several clients of one tenant share: Portcullis is their client, and keeps the conversations apart.
//!
//! A process belongs to one tenant, one upstream and one era: many servers settle on the era of their first request. With
//! sessions, Portcullis initialises the process once and answers each client's `initialize` with what it said. Without, every
//! request stands for itself. What a client sends is inspected under its own agent before it gets here, and what the process
//! answers after it has left here, under the client's own ids.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::envelope::{Frame, Shape};
use super::front::VERSIONS;
use super::places::{Place, Places};
use super::start::NotStarted;
use super::stateless::REVISION;
use super::{Counters, McpLimits};
use crate::upstream::supervisor::{Ending, Supervisor};
use crate::upstream::{StdioTarget, Target, Upstream};
use process::{Asked, Greeting, Live, Load};

pub(super) mod member;
mod process;
pub(super) mod visit;

/// Messages to everybody that one session has not taken yet; their bytes are bounded like those of one message.
const INBOX: usize = 64;
/// Subscriptions to resources of all sessions of one process, and the longest address of one in bytes.
const MAX_SUBSCRIPTIONS: usize = 4096;
const MAX_ADDRESS: usize = 2048;
/// For how long it is remembered that an upstream does not speak the revision without sessions, and for how long if it did
/// not say so itself: it ended, or was silent.
const LEGACY_FOR: Duration = Duration::from_secs(600);
const LEGACY_UNSAID_FOR: Duration = Duration::from_secs(30);
/// How long an upstream may take to say which revisions it speaks.
const PROBE_WAIT: Duration = Duration::from_secs(60);
/// What a session that missed a restart has to look at again, by capability.
const LISTS: &[(&str, &str)] = &[
    ("tools", "notifications/tools/list_changed"),
    ("prompts", "notifications/prompts/list_changed"),
    ("resources", "notifications/resources/list_changed"),
];

/// The revisions of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Era {
    /// 2024-11-05 to 2025-11-25.
    Sessions,
    /// 2026-07-28.
    Stateless,
}

/// What every process needs of the door.
pub(super) struct House {
    pub(super) limits: McpLimits,
    pub(super) counters: Arc<Counters>,
    pub(super) children: Arc<Places>,
    pub(super) supervisor: Arc<Supervisor>,
    /// The door is closed: nothing is started any more.
    closed: watch::Sender<bool>,
}

/// Tenant, upstream and era.
type Key = (Arc<str>, Arc<str>, Era);

/// The shared processes of the door.
pub(super) struct Shared {
    house: Arc<House>,
    /// As many as the configuration has tenants and stdio upstreams, at most. None is ever taken out.
    slots: ArcSwap<HashMap<Key, Arc<Slot>>>,
}

/// The place of one shared process, whether it runs or not.
pub(super) struct Slot {
    pub(super) house: Arc<House>,
    pub(super) tenant: Arc<str>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) era: Era,
    current: ArcSwapOption<Live>,
    /// One start at a time.
    starting: tokio::sync::Mutex<()>,
    /// Whether a process was ever ready.
    proven: AtomicBool,
    /// Until when it is believed that the upstream does not speak this era.
    legacy_until: Mutex<Option<Instant>>,
    members: Mutex<Members>,
    last_member: AtomicU64,
}

/// The sessions of a process.
#[derive(Default)]
struct Members {
    /// Where each gets what is for everybody.
    inboxes: HashMap<u64, Inbox>,
    /// Who subscribed to which resource.
    subscriptions: HashMap<String, BTreeSet<u64>>,
}

/// The way to one session.
struct Inbox {
    messages: mpsc::Sender<(Bytes, Load)>,
    /// Bytes that it has not taken yet.
    waiting: Arc<AtomicUsize>,
}

impl Inbox {
    /// `false` if the session takes too few.
    fn offer(&self, message: &Bytes, limit: usize) -> bool {
        let load = Load::new(&self.waiting, message.len(), limit);
        load.is_some_and(|load| self.messages.try_send((message.clone(), load)).is_ok())
    }
}

/// What becomes of a session's wish to subscribe to a resource, or to end that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subscribing {
    /// The process has to be told.
    Forward,
    /// Other sessions still want it.
    Done,
    /// There are too many, or the address is too long.
    Refused,
}

impl Shared {
    pub(super) fn new(
        limits: &McpLimits,
        counters: &Arc<Counters>,
        children: &Arc<Places>,
        supervisor: &Arc<Supervisor>,
    ) -> Self {
        let house = House {
            limits: limits.clone(),
            counters: Arc::clone(counters),
            children: Arc::clone(children),
            supervisor: Arc::clone(supervisor),
            closed: watch::Sender::new(false),
        };
        Self { house: Arc::new(house), slots: ArcSwap::default() }
    }

    /// The place of this tenant's process.
    pub(super) fn slot(&self, tenant: &Arc<str>, upstream: &Arc<Upstream>, era: Era) -> Arc<Slot> {
        let key = (Arc::clone(tenant), Arc::clone(&upstream.name), era);
        if let Some(slot) = self.slots.load().get(&key) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot::new(&self.house, tenant, upstream, era));
        // Whoever comes first decides.
        self.slots.rcu(|slots| {
            let mut slots = HashMap::clone(slots);
            slots.entry(key.clone()).or_insert_with(|| Arc::clone(&slot));
            slots
        });
        self.slots.load().get(&key).map_or(slot, Arc::clone)
    }

    /// Ends the processes that nobody used for this long.
    pub(super) fn sweep(&self, idle: Duration) {
        for slot in self.slots.load().values() {
            slot.retire(idle);
        }
    }

    /// Ends all processes and waits until they are gone.
    pub(super) async fn close(&self) {
        self.house.closed.send_replace(true);
        let slots: Vec<Arc<Slot>> = self.slots.load().values().cloned().collect();
        let endings = slots.iter().map(|slot| async {
            // A start under way ends now.
            let _turn = slot.starting.lock().await;
            if let Some(live) = slot.current.load_full() {
                live.stop(None);
                live.gone().await;
            }
        });
        futures_util::future::join_all(endings).await;
    }
}

impl Slot {
    fn new(house: &Arc<House>, tenant: &Arc<str>, upstream: &Arc<Upstream>, era: Era) -> Self {
        Self {
            house: Arc::clone(house),
            tenant: Arc::clone(tenant),
            upstream: Arc::clone(upstream),
            era,
            current: ArcSwapOption::empty(),
            starting: tokio::sync::Mutex::default(),
            proven: AtomicBool::new(false),
            legacy_until: Mutex::default(),
            members: Mutex::default(),
            last_member: AtomicU64::new(0),
        }
    }

    /// The process, started if it does not run.
    pub(super) async fn live(self: &Arc<Self>) -> Result<Arc<Live>, NotStarted> {
        if let Some(live) = self.running() {
            return Ok(live);
        }
        self.check()?;
        let slot = Arc::clone(self);
        // A task of its own: a caller that goes away does not end what others wait for.
        let started = tokio::spawn(async move {
            let _turn = slot.starting.lock().await;
            match slot.running() {
                Some(live) => Ok(live),
                None => slot.start().await,
            }
        });
        started.await.unwrap_or(Err(NotStarted::Ended))
    }

    fn running(&self) -> Option<Arc<Live>> {
        self.current.load_full().filter(|live| !live.over())
    }

    /// Why a start would be in vain, if that is known.
    fn check(&self) -> Result<(), NotStarted> {
        if *self.house.closed.borrow() {
            return Err(NotStarted::Closing);
        }
        if self.legacy_until().is_some_and(|until| Instant::now() < until) {
            return Err(NotStarted::Legacy);
        }
        Ok(self.house.supervisor.check(&self.tenant, &self.upstream.name)?)
    }

    async fn start(self: &Arc<Self>) -> Result<Arc<Live>, NotStarted> {
        self.check()?;
        let Target::Stdio(target) = &self.upstream.target else { return Err(NotStarted::Ended) };
        let House { children, supervisor, .. } = &*self.house;
        let place = children.take_shared(&self.tenant).map_err(|_| NotStarted::Places)?;
        let run = supervisor.begin(&self.tenant, &self.upstream.name)?;
        let live = self.greet(target, (place, run)).await?;
        let again = self.proven.swap(true, Ordering::AcqRel);
        self.current.store(Some(Arc::clone(&live)));
        if again {
            self.restarted(&live);
        }
        tracing::info!(tenant = %self.tenant, upstream = %self.upstream.name, era = ?self.era, "a shared child process is ready");
        Ok(live)
    }

    async fn greet(
        self: &Arc<Self>,
        target: &StdioTarget,
        place: (Place, crate::upstream::supervisor::Run),
    ) -> Result<Arc<Live>, NotStarted> {
        let live = Live::start(self, target, place)?;
        // Whatever goes wrong, and whenever: a process that nobody knows of does not go on.
        let unknown = EndUnlessReady(Some(Arc::clone(&live)));
        let mut closed = self.house.closed.subscribe();
        let handshake = async {
            match self.era {
                Era::Sessions => self.initialise(&live).await,
                Era::Stateless => self.probe(&live).await,
            }
        };
        let ready = tokio::select! {
            ready = handshake => ready,
            _ = closed.wait_for(|closed| *closed) => Err(NotStarted::Closing),
        };
        match ready {
            Ok(()) => {
                unknown.ready();
                Ok(live)
            }
            Err(error) => {
                live.stop(error.verdict());
                Err(error)
            }
        }
    }

    /// The handshake of the revisions with sessions. Portcullis offers nothing that a server could ask for.
    async fn initialise(&self, live: &Live) -> Result<(), NotStarted> {
        let newest = VERSIONS.last().copied().unwrap_or_default();
        let client = json!({ "name": "portcullis", "version": env!("CARGO_PKG_VERSION") });
        let params = json!({ "protocolVersion": newest, "capabilities": {}, "clientInfo": client });
        let answer = match live.ask("initialize", &params, self.house.limits.first_byte_wait).await {
            Asked::Answered(answer) => answer,
            Asked::Died => return Err(NotStarted::Ended),
            Asked::Silent => return Err(NotStarted::Silent),
        };
        let greeting = greeting(&answer).ok_or(NotStarted::Refused)?;
        live.greeted(greeting);
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
        if live.send(initialized, self.house.limits.idle_wait).await { Ok(()) } else { Err(NotStarted::Ended) }
    }

    /// Whether the process speaks the revision without sessions.
    async fn probe(&self, live: &Live) -> Result<(), NotStarted> {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": REVISION,
            "io.modelcontextprotocol/clientInfo": { "name": "portcullis", "version": env!("CARGO_PKG_VERSION") },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let wait = PROBE_WAIT.min(self.house.limits.first_byte_wait);
        let believed = match live.ask("server/discover", &json!({ "_meta": meta }), wait).await {
            Asked::Answered(answer) if speaks_stateless(&answer) => return Ok(()),
            Asked::Answered(_) => LEGACY_FOR,
            // It spoke this era before: then it is broken, not old.
            Asked::Died if self.proven() => return Err(NotStarted::Ended),
            Asked::Silent if self.proven() => return Err(NotStarted::Silent),
            Asked::Died | Asked::Silent => LEGACY_UNSAID_FOR,
        };
        *self.legacy_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + believed);
        tracing::info!(upstream = %self.upstream.name, "the upstream does not speak {REVISION}");
        Err(NotStarted::Legacy)
    }

    fn proven(&self) -> bool {
        self.proven.load(Ordering::Acquire)
    }

    fn legacy_until(&self) -> Option<Instant> {
        *self.legacy_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said of a process that ended by itself. One that ends at the first message of an era that it never spoke
    /// may do well in the other one.
    fn verdict(&self, live: &Live) -> Option<Ending> {
        let probed = self.era == Era::Stateless && !self.proven() && !self.is_current(live);
        (!probed).then_some(Ending::Itself)
    }

    fn is_current(&self, live: &Live) -> bool {
        self.current.load().as_ref().is_some_and(|current| std::ptr::eq(&**current, live))
    }

    /// A new process knows nothing of what the old one was told, and may offer something else.
    fn restarted(self: &Arc<Self>, live: &Arc<Live>) {
        tokio::spawn(renew(Arc::clone(self), Arc::clone(live)));
        for changed in live.greeting().map(|greeting| greeting.changed.as_slice()).unwrap_or_default() {
            self.broadcast(changed, &json!({ "jsonrpc": "2.0", "method": changed }).to_string());
        }
    }

    /// To every session that the message is for. Who does not take what came before does not get it.
    fn broadcast(&self, method: &str, message: &str) {
        let message = Bytes::copy_from_slice(message.as_bytes());
        let members = self.members();
        // What was updated may be a part of what was subscribed to: only the client knows.
        let only = (method == "notifications/resources/updated")
            .then(|| members.subscriptions.values().flatten().copied().collect::<BTreeSet<u64>>());
        for (member, inbox) in &members.inboxes {
            let wanted = only.as_ref().is_none_or(|only| only.contains(member));
            if wanted && !inbox.offer(&message, self.house.limits.message) {
                self.house.counters.undelivered.inc();
            }
        }
    }

    /// Takes in a session: its number, and where it gets what is for everybody.
    fn enter(&self) -> (u64, mpsc::Receiver<(Bytes, Load)>) {
        let (sender, receiver) = mpsc::channel(INBOX);
        let number = self.visitor();
        self.members().inboxes.insert(number, Inbox { messages: sender, waiting: Arc::default() });
        (number, receiver)
    }

    /// A number for a client that only asks something.
    fn visitor(&self) -> u64 {
        self.last_member.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Forgets a client, with its requests and its subscriptions.
    fn leave(&self, member: u64) {
        let mut members = self.members();
        members.inboxes.remove(&member);
        let mut unwanted = Vec::new();
        members.subscriptions.retain(|address, who| {
            if who.remove(&member) && who.is_empty() {
                unwanted.push(address.clone());
            }
            !who.is_empty()
        });
        drop(members);
        let Some(live) = self.running() else { return };
        live.abandon_all(member);
        for address in unwanted {
            live.tell("resources/unsubscribe", &json!({ "uri": address }));
        }
    }

    fn subscribe(&self, member: u64, address: &str) -> Subscribing {
        let mut members = self.members();
        let count: usize = members.subscriptions.values().map(BTreeSet::len).sum();
        if address.len() > MAX_ADDRESS || count >= MAX_SUBSCRIPTIONS {
            return Subscribing::Refused;
        }
        members.subscriptions.entry(address.to_owned()).or_default().insert(member);
        Subscribing::Forward
    }

    fn unsubscribe(&self, member: u64, address: &str) -> Subscribing {
        let mut members = self.members();
        let Some(who) = members.subscriptions.get_mut(address) else { return Subscribing::Forward };
        who.remove(&member);
        if !who.is_empty() {
            return Subscribing::Done;
        }
        members.subscriptions.remove(address);
        Subscribing::Forward
    }

    fn retire(&self, idle: Duration) {
        if self.members().inboxes.is_empty()
            && let Some(live) = self.running()
        {
            live.retire(idle);
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subscribes a new process to what the sessions follow, at its own speed: there may be more than it takes at once.
async fn renew(slot: Arc<Slot>, live: Arc<Live>) {
    let addresses: Vec<String> = slot.members().subscriptions.keys().cloned().collect();
    let patience = slot.house.limits.idle_wait;
    let wanted = |address: &String| slot.members().subscriptions.contains_key(address);
    for address in addresses {
        if !wanted(&address) {
            continue;
        }
        let params = json!({ "uri": address });
        if !live.tell_in_turn("resources/subscribe", &params, patience).await {
            return;
        }
        // The last session that wanted it may have gone meanwhile, and said so before this.
        if !wanted(&address) {
            let _told = live.tell_in_turn("resources/unsubscribe", &params, patience).await;
        }
    }
}

/// Ends a process on its way to being ready, if that way is left.
struct EndUnlessReady(Option<Arc<Live>>);

impl EndUnlessReady {
    fn ready(mut self) {
        self.0 = None;
    }
}

impl Drop for EndUnlessReady {
    fn drop(&mut self) {
        if let Some(live) = &self.0 {
            live.stop(None);
        }
    }
}

fn greeting(answer: &Frame) -> Option<Greeting> {
    let Shape::Response { failed: false, .. } = answer.shape() else { return None };
    let result = answer.root().get("result")?;
    let revision = result.get("protocolVersion")?.as_str().filter(|revision| VERSIONS.contains(revision))?;
    let offers = result.get("capabilities")?;
    let changed = LISTS.iter().filter(|(offered, _)| offers.get(offered).is_some()).map(|(_, changed)| *changed);
    Some(Greeting { result: result.raw().to_owned(), revision: revision.to_owned(), changed: changed.collect() })
}

fn speaks_stateless(answer: &Frame) -> bool {
    let versions = answer.root().get("result").and_then(|result| result.get("supportedVersions"));
    versions.is_some_and(|versions| versions.items().any(|version| version.as_str() == Some(REVISION)))
}

#[cfg(test)]
mod tests;
