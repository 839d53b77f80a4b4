//! A session with a federation: an id of our own, and for each member the session behind it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::HeaderValue;
use portcullis_model::{Document, Outcome};
use tokio::sync::watch;
use uuid::Uuid;

use super::super::envelope::Id;
use super::super::queue::{Receiver, Sender, Waiting};
use super::super::{Inner, McpLimits, front};
use crate::ports::AgentIdentity;
use crate::upstream::Federation;

/// Messages of members under way to the client's stream; together they have at most the bytes of one message.
const UNDER_WAY: usize = 8;
/// Resources that a client follows and that are remembered.
const MAX_FOLLOWED: usize = 256;
/// Longest address of a resource that a client can follow, in bytes.
pub(super) const MAX_ADDRESS: usize = 2048;
/// Longest parameters of the client that are kept for members that begin later, in bytes.
pub(super) const MAX_KEPT: usize = 64 * 1024;
/// What the client reads about longer ones.
pub(super) const TOO_LONG: &str = "params of this method may have at most 65536 bytes";
/// Questions of members that the client has not answered, shared out equally among the members.
const MAX_QUESTIONS: usize = 1024;

/// The sessions with federations.
pub(crate) struct Federations {
    total: usize,
    per_agent: usize,
    map: Mutex<HashMap<String, Arc<Federated>>>,
}

/// One session of one agent with one federation.
pub(crate) struct Federated {
    pub(crate) id: String,
    pub(super) agent: AgentIdentity,
    pub(crate) federation: Arc<Federation>,
    /// What the client said to `initialize`, as written: a member that comes later is told the same.
    pub(super) params: String,
    /// The run of the agent, as the client named it.
    pub(super) run: Option<HeaderValue>,
    /// In the order of the federation's members.
    pub(super) members: Vec<Member>,
    /// Whether the client has said that it is ready.
    pub(super) ready: AtomicBool,
    /// What the client set at its members: one that begins anew is told again.
    settings: Mutex<Settings>,
    in_flight: usize,
    requests: Mutex<Requests>,
    questions: Mutex<Questions>,
    outbox: Mutex<Outbox>,
    pub(super) ended: watch::Sender<bool>,
    used: Mutex<Instant>,
    busy: AtomicUsize,
}

/// What the client set at its members.
#[derive(Default)]
struct Settings {
    /// The parameters of the last `logging/setLevel`, as written.
    level: Option<String>,
    /// The members' own URIs that the client follows.
    followed: BTreeSet<(usize, String)>,
}

/// What is known of one member.
#[derive(Default)]
pub(super) struct Member {
    now: Mutex<Option<Arc<Joined>>>,
    /// Held while the member is asked to begin a session, so that it is asked once.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// A member that takes part.
pub(super) struct Joined {
    /// Portcullis' own id of the session with it, if it uses sessions.
    pub(super) session: Option<String>,
    /// The revision that it answered with.
    pub(super) version: String,
    /// Its answer to `initialize`.
    pub(super) result: Document,
}

/// A request of the client that is being answered.
#[derive(Clone)]
pub(super) enum Running {
    /// By this member. The client follows this resource of it if the answer is good.
    Member(usize, Option<String>),
    /// By several at once. Set when the client does not want it any more.
    All(Arc<watch::Sender<bool>>),
}

/// Why a request cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("a request with this id is in flight already")]
    InFlight,
    #[error("too many requests of this session are in flight")]
    Busy,
}

#[derive(Default)]
struct Requests {
    count: u64,
    running: HashMap<Id, Request>,
}

struct Request {
    /// A number of its own: another request may have the same id after one has ended.
    turn: u64,
    running: Running,
    /// Whether its answer may still come another way.
    kept: bool,
    /// Whether the client has taken it back: no answer needs to come.
    cancelled: bool,
}

#[derive(Default)]
struct Questions {
    count: u64,
    open: HashMap<String, Question>,
}

/// A request of a member that the client has not answered.
pub(super) struct Question {
    pub(super) index: usize,
    /// The session in which it was asked.
    pub(super) joined: Arc<Joined>,
    /// The member's own id for it.
    pub(super) id: Id,
    /// The member's own token for progress about it.
    pub(super) token: Option<Id>,
}

struct Outbox {
    stream: Option<Sender<Bytes>>,
    /// What came while there was no stream.
    queue: Waiting,
}

/// A session in use: it is not idle while this lives.
pub(super) struct InUse(pub(super) Arc<Federated>);

/// A request in flight, until this goes.
pub(super) struct Flight {
    session: Arc<Federated>,
    id: Id,
    turn: u64,
}

/// All places are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many MCP sessions are open; end one, or try again later")]
pub(super) struct Full;

impl Federations {
    pub(crate) fn new(limits: &McpLimits) -> Self {
        Self { total: limits.sessions, per_agent: limits.sessions_per_agent, map: Mutex::default() }
    }

    /// Keeps a session, if there is a place for it. As with single upstreams, the one that the agent has left alone for
    /// longest makes room and comes back to be ended.
    pub(super) fn open(&self, session: Arc<Federated>) -> Result<(InUse, Option<Arc<Federated>>), Full> {
        let mut map = self.map();
        let own = |other: &&Arc<Federated>| other.belongs_to(&session.agent);
        let mut evicted = None;
        if map.len() >= self.total || map.values().filter(own).count() >= self.per_agent {
            let idle = map.values().filter(own).filter_map(|other| Some((other.idle_since()?, other.id.clone())));
            let (_, id) = idle.min().ok_or(Full)?;
            evicted = map.remove(&id);
        }
        map.insert(session.id.clone(), Arc::clone(&session));
        Ok((InUse::new(session), evicted))
    }

    /// The session with this id, if this agent opened it with this federation.
    pub(super) fn find(&self, id: &str, agent: &AgentIdentity, federation: &Federation) -> Option<InUse> {
        let map = self.map();
        let session = map.get(id)?;
        let fits = session.belongs_to(agent) && session.federation.name == federation.name;
        fits.then(|| InUse::new(Arc::clone(session)))
    }

    pub(super) fn remove(&self, id: &str) {
        self.map().remove(id);
    }

    pub(crate) fn take_idle(&self, longer_than: Duration) -> Vec<Arc<Federated>> {
        let mut map = self.map();
        let now = Instant::now();
        let idle =
            |session: &Federated| session.idle_since().is_some_and(|since| now.duration_since(since) > longer_than);
        let ids: Vec<String> = map.values().filter(|session| idle(session)).map(|session| session.id.clone()).collect();
        ids.iter().filter_map(|id| map.remove(id)).collect()
    }

    pub(crate) fn take_all(&self) -> Vec<Arc<Federated>> {
        self.map().drain().map(|(_, session)| session).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.map().len()
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Federated>>> {
        lock(&self.map)
    }
}

impl Federated {
    pub(super) fn new(
        limits: &McpLimits,
        agent: &AgentIdentity,
        federation: &Arc<Federation>,
        params: String,
        run: Option<HeaderValue>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: Uuid::new_v4().simple().to_string(),
            agent: agent.clone(),
            federation: Arc::clone(federation),
            params,
            run,
            members: federation.members.iter().map(|_| Member::default()).collect(),
            ready: AtomicBool::new(false),
            settings: Mutex::default(),
            in_flight: limits.in_flight,
            requests: Mutex::default(),
            questions: Mutex::default(),
            outbox: Mutex::new(Outbox { stream: None, queue: Waiting::new(limits.message) }),
            ended: watch::Sender::new(false),
            used: Mutex::new(Instant::now()),
            busy: AtomicUsize::new(0),
        })
    }

    fn belongs_to(&self, agent: &AgentIdentity) -> bool {
        self.agent.tenant == agent.tenant && self.agent.name == agent.name
    }

    fn idle_since(&self) -> Option<Instant> {
        (self.busy.load(Ordering::Acquire) == 0).then_some(*lock(&self.used))
    }

    /// The member as it takes part now.
    pub(super) fn joined(&self, index: usize) -> Option<Arc<Joined>> {
        self.members.get(index).and_then(Member::now)
    }

    /// Remembers the log level that the client wants.
    pub(super) fn set_level(&self, params: &str) {
        lock(&self.settings).level = Some(params.to_owned());
    }

    /// The parameters with which the client set its log level.
    pub(super) fn level(&self) -> Option<String> {
        lock(&self.settings).level.clone()
    }

    /// Remembers that the client follows a resource, as far as there is room.
    fn follows(&self, index: usize, uri: String) {
        let mut settings = lock(&self.settings);
        if settings.followed.len() < MAX_FOLLOWED {
            settings.followed.insert((index, uri));
        }
    }

    /// The client does not follow this resource any more.
    pub(super) fn leaves(&self, index: usize, uri: &str) {
        lock(&self.settings).followed.remove(&(index, uri.to_owned()));
    }

    /// The resources of a member that the client follows.
    pub(super) fn followed(&self, index: usize) -> Vec<String> {
        let settings = lock(&self.settings);
        settings.followed.iter().filter(|(of, _)| *of == index).map(|(_, uri)| uri.clone()).collect()
    }

    /// Marks the session as over: its streams end.
    pub(crate) fn stop(&self) {
        self.ended.send_replace(true);
        lock(&self.outbox).stream = None;
    }

    pub(super) fn over(&self) -> bool {
        *self.ended.borrow()
    }

    /// Ends the session and those with all members.
    pub(crate) async fn end(self: Arc<Self>, inner: Arc<Inner>, outcome: Outcome) {
        self.stop();
        let ends = self.members.iter().filter_map(Member::take).map(|joined| end_member(&inner, joined, outcome));
        futures_util::future::join_all(ends).await;
    }

    /// Begins a request of the client; it ends when the flight goes.
    pub(super) fn begin(self: &Arc<Self>, id: &Id, running: Running) -> Result<Flight, Refused> {
        let mut requests = lock(&self.requests);
        if requests.running.contains_key(id) {
            return Err(Refused::InFlight);
        }
        if requests.running.len() >= self.in_flight {
            return Err(Refused::Busy);
        }
        requests.count += 1;
        let turn = requests.count;
        requests.running.insert(id.clone(), Request { turn, running, kept: false, cancelled: false });
        Ok(Flight { session: Arc::clone(self), id: id.clone(), turn })
    }

    /// The answer of this member to this request of the client has come, a good one or an error.
    pub(super) fn finished(&self, index: usize, id: &Id, well: bool) {
        let mut requests = lock(&self.requests);
        let asked = |request: &Request| matches!(request.running, Running::Member(of, _) if of == index);
        if !requests.running.get(id).is_some_and(asked) {
            return;
        }
        let request = requests.running.remove(id);
        drop(requests);
        if let Some(Running::Member(_, Some(uri))) = request.map(|request| request.running).filter(|_| well) {
            self.follows(index, uri);
        }
    }

    /// The client has taken this request back. If only its answer was waited for, its place is free.
    pub(super) fn cancelled(&self, id: &Id) {
        let mut requests = lock(&self.requests);
        if let Some(request) = requests.running.get_mut(id) {
            request.cancelled = true;
            if request.kept {
                requests.running.remove(id);
            }
        }
    }

    /// Who answers this request of the client.
    pub(super) fn running(&self, id: &Id) -> Option<Running> {
        lock(&self.requests).running.get(id).map(|request| request.running.clone())
    }

    /// An id of our own for a member's question; none if it has too many open, or if its session is over.
    pub(super) fn ask(&self, question: Question) -> Option<String> {
        let mut questions = lock(&self.questions);
        let own = questions.open.values().filter(|asked| asked.index == question.index).count();
        let share = MAX_QUESTIONS / self.members.len().max(1);
        if !self.is_now(&question) || own >= share {
            return None;
        }
        questions.count += 1;
        let id = format!("portcullis-{}", questions.count);
        questions.open.insert(id.clone(), question);
        Some(id)
    }

    /// Whether the session in which this was asked is the one with its member now.
    fn is_now(&self, question: &Question) -> bool {
        self.joined(question.index).is_some_and(|now| Arc::ptr_eq(&now, &question.joined))
    }

    /// The question that the client answers.
    pub(super) fn answered(&self, id: &Id) -> Option<Question> {
        let Id::Text(id) = id else { return None };
        lock(&self.questions).open.remove(&**id)
    }

    /// Puts back a question whose answer did not go out.
    pub(super) fn still_open(&self, id: &Id, question: Question) {
        let mut questions = lock(&self.questions);
        if let Id::Text(id) = id
            && self.is_now(&question)
        {
            questions.open.insert(id.to_string(), question);
        }
    }

    /// The member that asked under this id of ours, and its own token for progress.
    pub(super) fn questioner(&self, id: &Id) -> Option<(usize, Arc<Joined>, Option<Id>)> {
        let Id::Text(id) = id else { return None };
        let questions = lock(&self.questions);
        questions.open.get(&**id).map(|asked| (asked.index, Arc::clone(&asked.joined), asked.token.clone()))
    }

    /// The session with this member is over: its questions need no answer, and no answer of its comes any more.
    pub(super) fn lose(&self, index: usize, joined: &Arc<Joined>) {
        lock(&self.questions).open.retain(|_, asked| !Arc::ptr_eq(&asked.joined, joined));
        let of = |request: &Request| matches!(request.running, Running::Member(of, _) if of == index);
        lock(&self.requests).running.retain(|_, request| !(request.kept && of(request)));
    }

    /// The id of ours for a question that its member takes back.
    pub(super) fn taken_back(&self, index: usize, id: &Id) -> Option<String> {
        let mut questions = lock(&self.questions);
        let ours = questions.open.iter().find(|(_, asked)| asked.index == index && asked.id == *id);
        let ours = ours.map(|(ours, _)| ours.clone())?;
        questions.open.remove(&ours);
        Some(ours)
    }

    /// Opens the stream for what belongs to no request; none if there is one already.
    pub(super) fn open_stream(&self) -> Option<(Sender<Bytes>, Receiver<Bytes>)> {
        let mut outbox = lock(&self.outbox);
        if self.stream_of(&outbox).is_some() || self.over() {
            return None;
        }
        let (sender, receiver) = outbox.queue.open(UNDER_WAY);
        outbox.stream = Some(sender.clone());
        Some((sender, receiver))
    }

    /// The stream that is open now.
    pub(super) fn stream(&self) -> Option<Sender<Bytes>> {
        self.stream_of(&lock(&self.outbox))
    }

    fn stream_of(&self, outbox: &Outbox) -> Option<Sender<Bytes>> {
        outbox.stream.clone().filter(|stream| !stream.is_closed())
    }

    /// Leaves a message for the client that belongs to none of its requests. How many were lost: older ones, or this one.
    pub(super) fn leave(&self, message: Bytes) -> u64 {
        let mut outbox = lock(&self.outbox);
        match self.stream_of(&outbox) {
            Some(stream) => u64::from(!stream.try_send(message)),
            None => outbox.queue.push(message),
        }
    }
}

/// Ends the session with one member, to its end even if nobody waits for it.
pub(super) async fn end_member(inner: &Arc<Inner>, joined: Arc<Joined>, outcome: Outcome) {
    if let Some(session) = joined.session.as_ref().and_then(|id| inner.sessions.remove(id)) {
        let inner = Arc::clone(inner);
        let _ended = tokio::spawn(async move { front::end_both_sides(&inner, &session, outcome).await }).await;
    }
}

impl Member {
    pub(super) fn now(&self) -> Option<Arc<Joined>> {
        lock(&self.now).clone()
    }

    pub(super) fn set(&self, joined: Arc<Joined>) {
        *lock(&self.now) = Some(joined);
    }

    pub(super) fn take(&self) -> Option<Arc<Joined>> {
        lock(&self.now).take()
    }
}

impl InUse {
    pub(super) fn new(session: Arc<Federated>) -> Self {
        session.busy.fetch_add(1, Ordering::AcqRel);
        Self(session)
    }
}

impl Clone for InUse {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        *lock(&self.0.used) = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Flight {
    /// The stream ended before the answer, and the client can take it up again: it may still cancel the request.
    pub(super) fn keep(self) {
        let mut requests = lock(&self.session.requests);
        if let Some(request) = requests.running.get_mut(&self.id).filter(|request| request.turn == self.turn) {
            request.kept = !request.cancelled;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut requests = lock(&self.session.requests);
        if requests.running.get(&self.id).is_some_and(|request| request.turn == self.turn && !request.kept) {
            requests.running.remove(&self.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
