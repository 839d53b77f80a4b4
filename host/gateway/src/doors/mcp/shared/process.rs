//! One run of a shared process: the requests that are with it, under numbers of its own, and who gets what it says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_model::Outcome;
use serde_json::json;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Era, House, Slot};
use crate::doors::mcp::answers::{self, TOO_LARGE};
use crate::doors::mcp::bridge::DIED;
use crate::doors::mcp::envelope::{Frame, Id, METHOD_NOT_FOUND, Shape};
use crate::doors::mcp::places::Place;
use crate::doors::mcp::remap::{self, About};
use crate::upstream::StdioTarget;
use crate::upstream::stdio::{Line, LineReader, LineWriter, Process, SpawnError, Surroundings};
use crate::upstream::supervisor::{Ending, Run};

/// Messages under way to the child.
const TO_CHILD: usize = 64;
/// Messages about one request that its client has not taken yet; their bytes are bounded like those of one message. The last
/// place is kept for the answer.
const TO_CLIENT: usize = 256;
/// So many malformed messages of one process are logged each; after that only every power of two.
const LOGGED: u64 = 4;

/// A running process and the requests that are with it.
pub(crate) struct Live {
    to_child: mpsc::Sender<Bytes>,
    table: Mutex<Table>,
    over: AtomicBool,
    /// That the child is to be ended, and what is said of how it did.
    stop: watch::Sender<Option<Verdict>>,
    /// Closed when the child is gone.
    gone: watch::Receiver<()>,
    /// What it said when it was greeted: set before anybody else gets hold of it.
    greeting: OnceLock<Greeting>,
}

/// What is said of a child that was to end; nothing if it cannot be said.
type Verdict = Option<Ending>;

/// What a child of the revisions with sessions says of itself.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The result of `initialize`, as the child wrote it.
    pub(super) result: String,
    pub(super) revision: String,
    /// Notifications that the lists it offers have changed.
    pub(super) changed: Vec<&'static str>,
}

/// Something about a request of a client.
#[derive(Debug)]
pub(super) enum Arrival {
    Message(String, Load),
    /// The last one.
    Answer(String),
    /// The last one too: there is no answer.
    Lost(Outcome, &'static str),
}

/// The bytes of a message, for as long as its client has not taken it.
#[derive(Debug)]
pub(super) struct Load {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Load {
    /// None if the client has taken too little of what came before.
    pub(super) fn new(of: &Arc<AtomicUsize>, bytes: usize, limit: usize) -> Option<Self> {
        let before = of.fetch_add(bytes, Ordering::AcqRel);
        let load = Self { bytes, of: Arc::clone(of) };
        (before.saturating_add(bytes) <= limit).then_some(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[derive(Default)]
struct Table {
    /// Nothing new is taken.
    closed: bool,
    last: u64,
    routes: HashMap<u64, Route>,
    /// The numbers of requests of clients, by member and id.
    numbers: HashMap<(u64, Id), u64>,
    used: Option<Instant>,
}

enum Route {
    Client {
        member: u64,
        id: Id,
        token: Option<Id>,
        arrivals: mpsc::Sender<Arrival>,
        /// Bytes that its client has not taken yet.
        waiting: Arc<AtomicUsize>,
    },
    /// A request of Portcullis itself.
    Own(oneshot::Sender<Frame>),
    /// The same, and nobody cares for the answer.
    Ignored,
}

impl Live {
    /// Starts the child.
    pub(super) fn start(
        slot: &Arc<Slot>,
        target: &StdioTarget,
        (place, run): (Place, Run),
    ) -> Result<Arc<Self>, SpawnError> {
        let limits = &slot.house.limits;
        let process = match Process::spawn(&slot.upstream.name, target, Surroundings::Closed, limits.message) {
            Ok(process) => process,
            Err(error) => {
                run.end(Ending::NotStarted);
                return Err(error);
            }
        };
        let (to_child, messages) = mpsc::channel(TO_CHILD);
        let (alive, gone) = watch::channel(());
        let live = Arc::new(Self {
            to_child,
            table: Mutex::default(),
            over: AtomicBool::new(false),
            stop: watch::Sender::new(None),
            gone,
            greeting: OnceLock::new(),
        });
        let pump = Pump { slot: Arc::clone(slot), live: Arc::clone(&live), malformed: AtomicU64::new(0) };
        tokio::spawn(async move {
            let Process { stdin, stdout, mut handle } = process;
            let (slot, live) = (&pump.slot, &pump.live);
            let writer = tokio::spawn(write(Arc::clone(live), stdin, messages, slot.house.limits.idle_wait));
            let asked = pump.run(stdout).await;
            // Before anybody is told: whoever comes next is judged by it.
            match asked.unwrap_or_else(|| slot.verdict(live)) {
                Some(ending) => run.end(ending),
                None => drop(run),
            }
            live.finish(if asked.is_some() { STOPPED } else { DIED });
            writer.abort();
            let (tenant, upstream) = (&slot.tenant, &slot.upstream.name);
            match handle.stop(slot.house.limits.stop_grace).await {
                Ok(status) => tracing::info!(%tenant, %upstream, %status, "shared child process ended"),
                Err(error) => {
                    tracing::warn!(%tenant, %upstream, %error, "shared child process could not be waited for")
                }
            }
            drop((place, alive));
        });
        Ok(live)
    }

    /// Whether the child is gone, or going.
    pub(super) fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(super) fn greeting(&self) -> Option<&Greeting> {
        self.greeting.get()
    }

    pub(super) fn greeted(&self, greeting: Greeting) {
        // Greeted once.
        let _set = self.greeting.set(greeting);
    }

    /// A number for a client's request, and where everything about it arrives. None if the child is over.
    pub(super) fn register(&self, member: u64, id: &Id, token: Option<Id>) -> Option<(u64, mpsc::Receiver<Arrival>)> {
        let (arrivals, receiver) = mpsc::channel(TO_CLIENT);
        let route = Route::Client { member, id: id.clone(), token, arrivals, waiting: Arc::default() };
        let number = self.table().insert(route)?;
        Some((number, receiver))
    }

    /// The number of a client's request that nobody waits for any more.
    pub(super) fn withdraw(&self, member: u64, id: &Id) -> Option<u64> {
        let mut table = self.table();
        let number = table.numbers.get(&(member, id.clone())).copied()?;
        table.remove(number);
        Some(number)
    }

    /// Tells the child that nobody waits for this request any more, if it still is with it.
    pub(super) fn abandon(&self, member: u64, id: &Id) {
        if let Some(number) = self.withdraw(member, id) {
            self.try_send(cancelled(number));
        }
    }

    /// The same for all requests of this client.
    pub(super) fn abandon_all(&self, member: u64) {
        let mut table = self.table();
        let of = |route: &Route| matches!(route, Route::Client { member: whose, .. } if *whose == member);
        let numbers: Vec<u64> = table.routes.iter().filter(|(_, route)| of(route)).map(|(number, _)| *number).collect();
        for number in &numbers {
            table.remove(*number);
        }
        drop(table);
        for number in numbers {
            self.try_send(cancelled(number));
        }
    }

    /// Hands a message to the child. `false` if it is gone or does not read.
    pub(super) async fn send(&self, message: String, patience: Duration) -> bool {
        self.to_child.send_timeout(message.into(), patience).await.is_ok()
    }

    /// Hands a message to the child if it takes one now.
    pub(super) fn try_send(&self, message: String) -> bool {
        self.to_child.try_send(message.into()).is_ok()
    }

    /// Asks the child something of our own.
    pub(super) async fn ask(&self, method: &str, params: &serde_json::Value, patience: Duration) -> Asked {
        let (sender, answer) = oneshot::channel();
        let Some(number) = self.table().insert(Route::Own(sender)) else { return Asked::Died };
        let message = request(number, method, params);
        let exchange = async { if self.send(message, patience).await { answer.await.ok() } else { None } };
        match tokio::time::timeout(patience, exchange).await {
            Ok(Some(frame)) => Asked::Answered(Box::new(frame)),
            Ok(None) => Asked::Died,
            Err(_) => Asked::Silent,
        }
    }

    /// Tells the child to do something, whatever it answers, if it takes a message now.
    pub(super) fn tell(&self, method: &str, params: &serde_json::Value) {
        let Some(number) = self.table().insert(Route::Ignored) else { return };
        if !self.try_send(request(number, method, params)) {
            self.table().remove(number);
        }
    }

    /// The same as soon as it takes one. `false` if it is gone or does not read.
    pub(super) async fn tell_in_turn(&self, method: &str, params: &serde_json::Value, patience: Duration) -> bool {
        let Some(number) = self.table().insert(Route::Ignored) else { return false };
        let sent = self.send(request(number, method, params), patience).await;
        if !sent {
            self.table().remove(number);
        }
        sent
    }

    /// Ends the child.
    pub(super) fn stop(&self, verdict: Verdict) {
        let mut table = self.table();
        // In this order: whoever finds the table closed finds the process over too.
        self.over.store(true, Ordering::Release);
        table.closed = true;
        drop(table);
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(verdict);
            first
        });
    }

    /// Ends the child if nobody waits for it, and has not for this long.
    pub(super) fn retire(&self, idle: Duration) {
        let table = self.table();
        let recent = table.used.is_some_and(|used| used.elapsed() <= idle);
        if recent || table.routes.values().any(|route| matches!(route, Route::Client { .. })) {
            return;
        }
        // Whoever comes now finds another one, as after any end.
        drop(table);
        self.stop(Some(Ending::Asked));
    }

    pub(super) async fn gone(&self) {
        // Closing is the signal.
        let _closed = self.gone.clone().changed().await;
    }

    /// Ends every request that is with the child.
    fn finish(&self, text: &'static str) {
        self.over.store(true, Ordering::Release);
        let mut table = self.table();
        table.closed = true;
        table.numbers.clear();
        for (_, route) in table.routes.drain() {
            if let Route::Client { arrivals, .. } = route {
                // The last place is for this.
                let _sent = arrivals.try_send(Arrival::Lost(Outcome::Uncertain, text));
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a question of our own.
pub(super) enum Asked {
    Answered(Box<Frame>),
    Died,
    Silent,
}

/// Writes messages to the child until it is gone. One that does not read is ended: no client could, and its next run may.
async fn write(
    live: Arc<Live>,
    mut stdin: LineWriter<ChildStdin>,
    mut messages: mpsc::Receiver<Bytes>,
    patience: Duration,
) {
    while let Some(message) = messages.recv().await {
        match tokio::time::timeout(patience, stdin.write(&message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return live.stop(Some(Ending::Itself)),
            Err(_) => {
                tracing::warn!("a shared child process does not read its input: it is ended");
                return live.stop(Some(Ending::Itself));
            }
        }
    }
}

/// A request of our own.
fn request(number: u64, method: &str, params: &serde_json::Value) -> String {
    json!({ "jsonrpc": "2.0", "id": number, "method": method, "params": params }).to_string()
}

fn cancelled(number: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{number}}}}}"#)
}

const STOPPED: &str = "the upstream was ended";

impl Table {
    fn insert(&mut self, route: Route) -> Option<u64> {
        if self.closed {
            return None;
        }
        self.last += 1;
        self.used = Some(Instant::now());
        if let Route::Client { member, id, .. } = &route {
            self.numbers.insert((*member, id.clone()), self.last);
        }
        self.routes.insert(self.last, route);
        Some(self.last)
    }

    fn remove(&mut self, number: u64) -> Option<Route> {
        let route = self.routes.remove(&number)?;
        if let Route::Client { member, id, .. } = &route {
            self.numbers.remove(&(*member, id.clone()));
            self.used = Some(Instant::now());
        }
        Some(route)
    }

    /// The request of the only client there is: its first, since what a visitor asks besides are looks of ours.
    fn alone(&self) -> Option<u64> {
        let mut clients = self.routes.iter().filter_map(|(number, route)| match route {
            Route::Client { member, .. } => Some((*number, *member)),
            _ => None,
        });
        let (mut number, member) = clients.next()?;
        for (other, whose) in clients {
            if whose != member {
                return None;
            }
            number = number.min(other);
        }
        Some(number)
    }

    /// The only request of a client, if there is exactly one.
    fn only(&self) -> Option<u64> {
        let mut clients = self.routes.iter().filter(|(_, route)| matches!(route, Route::Client { .. }));
        let (number, _) = clients.next()?;
        clients.next().is_none().then_some(*number)
    }
}

struct Pump {
    slot: Arc<Slot>,
    live: Arc<Live>,
    /// Malformed messages until now.
    malformed: AtomicU64,
}

impl Pump {
    /// Reads the child until it ends, or is to be ended: then what was said of it.
    async fn run(&self, mut stdout: LineReader<ChildStdout>) -> Option<Verdict> {
        let mut stopped = self.live.stop.subscribe();
        loop {
            let line = tokio::select! {
                line = stdout.next() => line,
                verdict = stopped.wait_for(Option::is_some) => {
                    return Some(verdict.ok().and_then(|verdict| *verdict).flatten());
                }
            };
            match line {
                Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Line::Whole(line))) => self.line(line),
                Ok(Some(Line::TooLong(beginning))) => self.unreadable(&beginning, TOO_LARGE),
                Ok(None) | Err(_) => return None,
            }
            // Nothing above waits: those who take what came get their turn, however fast the child talks.
            tokio::task::yield_now().await;
        }
    }

    fn house(&self) -> &House {
        &self.slot.house
    }

    fn line(&self, line: Vec<u8>) {
        // Kept for the one case in which the message cannot be read; a copy of its beginning is enough for that.
        let beginning: Vec<u8> = line.iter().take(512).copied().collect();
        let frame = match Frame::parse(line) {
            Ok(frame) => frame,
            Err(_) => return self.unreadable(&beginning, "the upstream's answer is not a message"),
        };
        match frame.shape() {
            Shape::Response { id, .. } => {
                let number = id.as_ref().and_then(remap::number);
                let route = number.and_then(|number| Some((number, self.live.table().remove(number)?)));
                self.answer(route, frame);
            }
            Shape::Request { id, method } => self.asked(id, method),
            Shape::Notification { method } => self.notified(method, &frame),
        }
    }

    fn answer(&self, route: Option<(u64, Route)>, frame: Frame) {
        match route {
            Some((number, Route::Client { id, arrivals, .. })) => {
                // The last place is for this. Whoever does not take it has gone.
                let _sent = arrivals.try_send(Arrival::Answer(remap::answer(&frame, number, &id)));
            }
            Some((_, Route::Own(answer))) => {
                let _sent = answer.send(frame);
            }
            Some((_, Route::Ignored)) => {}
            None => _ = self.house().counters.unmatched.inc(),
        }
    }

    /// Nobody can be meant by a question: several clients share the process, or there are no questions in this era. It is
    /// answered here, so that the child does not wait.
    fn asked(&self, id: &Id, method: &str) {
        let answer = if method == "ping" {
            Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
        } else {
            let text = "several clients share this server, so there is nobody to ask";
            answers::error(Some(id), METHOD_NOT_FOUND, text, None)
        };
        if self.live.to_child.try_send(answer).is_err() {
            self.house().counters.undelivered.inc();
        }
    }

    fn notified(&self, method: &str, frame: &Frame) {
        let sent = match remap::about(method, frame) {
            About::Progress(number) => self.arrive(number, |token, _| Some(remap::progress(frame, token?))),
            About::Subscription(number) => self.arrive(number, |_, id| Some(remap::subscribed(frame, id))),
            // With sessions, it is about a question of the child, and these were answered.
            About::Cancelled(number) if self.slot.era == Era::Stateless => {
                if let Some(Route::Client { arrivals, .. }) = self.live.table().remove(number) {
                    let _sent =
                        arrivals.try_send(Arrival::Lost(Outcome::Uncertain, "the upstream cancelled the request"));
                }
                true
            }
            About::Everybody if self.slot.era == Era::Sessions => {
                self.slot.broadcast(method, frame.raw());
                true
            }
            About::Everybody => {
                let alone = self.live.table().alone();
                alone.is_some_and(|number| self.arrive(number, |_, _| Some(frame.raw().to_owned())))
            }
            About::Cancelled(_) | About::Nothing => false,
        };
        if !sent {
            self.house().counters.undelivered.inc();
        }
    }

    /// Hands a message to the client of a request, unless it takes too few. `make` gets its progress token and its id.
    fn arrive(&self, number: u64, make: impl FnOnce(Option<&Id>, &Id) -> Option<String>) -> bool {
        let table = self.live.table();
        let Some(Route::Client { id, token, arrivals, waiting, .. }) = table.routes.get(&number) else { return false };
        let Some(message) = make(token.as_ref(), id) else { return false };
        let load = Load::new(waiting, message.len(), self.house().limits.message);
        // Nobody else fills the channel.
        arrivals.capacity() > 1 && load.is_some_and(|load| arrivals.try_send(Arrival::Message(message, load)).is_ok())
    }

    /// Fails the one request that an unreadable message was probably the answer to: the one whose number stands at its
    /// beginning, or, if none stands there, the only one.
    fn unreadable(&self, beginning: &[u8], text: &'static str) {
        self.house().counters.malformed.inc();
        let count = self.malformed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if count <= LOGGED || count.is_power_of_two() {
            let (tenant, upstream) = (&self.slot.tenant, &self.slot.upstream.name);
            tracing::warn!(%tenant, %upstream, text, count, "a malformed message of the upstream was dropped");
        }
        if beginning.trim_ascii_start().first() != Some(&b'{') {
            return;
        }
        let mut table = self.live.table();
        let mut found: Vec<u64> = remap::numbers_in(beginning);
        found.retain(|number| table.routes.contains_key(number));
        found.dedup();
        let number = match found.as_slice() {
            [number] => Some(*number),
            [] => table.only(),
            _ => None,
        };
        if let Some(Route::Client { arrivals, .. }) = number.and_then(|number| table.remove(number)) {
            let _sent = arrivals.try_send(Arrival::Lost(Outcome::Failed, text));
        }
    }
}
