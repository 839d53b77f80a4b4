use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_model::{Call, Decision, Digest, Door, Draft, EntryKind, EntryReason, Mode, Plan, Reason, codes};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::approval::{check_plan, check_reasons};
use crate::outbox::{MessageKind, OUTBOX_RECORDS, Outbox, OutboxLimits, Post};
use crate::{
    Approval, Comment, DecideError, KeptCall, MAX_DEADLINE_SECONDS, Modification, PlanError, ReleaseError, State, Vote,
    Voter,
};

/// Keys of all records start with this.
pub const RECORDS: &[u8] = b"approval/";

/// Keys of the arguments of calls that may be changed.
const ARGUMENTS: &[u8] = b"approval-arguments/";
/// Most bytes of arguments that are kept to be changed; a call with more cannot be.
pub const MAX_ARGUMENTS: usize = 1024 * 1024;

/// Version of the record format, the first byte of every record; JSON follows.
const VERSION: u8 = 1;
/// Finished approvals removed with each new one once a tenant has as many as are kept.
const EVICT: usize = 2;

/// How much is kept and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most undecided approvals of a tenant.
    pub pending_per_tenant: usize,
    /// Most undecided approvals of an agent, so that one cannot crowd out the others.
    pub pending_per_agent: usize,
    /// Most approvals of a tenant, finished ones included; the oldest finished ones make room.
    pub kept_per_tenant: usize,
    /// Milliseconds after the approval within which the call must be released.
    pub use_within_ms: u64,
}

/// A call to be parked.
#[derive(Clone, Copy, Debug)]
pub struct ParkRequest<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its [`Call::digest`].
    pub digest: Digest,
    /// The generation that judged it.
    pub generation: Digest,
    /// Who decides.
    pub plan: &'a Plan,
    /// Why it is parked.
    pub reasons: &'a [Reason],
    /// Whether whoever gets the released call can be given other arguments than it sent.
    pub may_modify: bool,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// An operator's answer.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// The tenant whose approval it is.
    pub tenant: &'a str,
    /// The approval.
    pub id: Uuid,
    /// Who answers.
    pub by: Voter<'a>,
    /// Whether the call may run.
    pub approve: bool,
    /// Why.
    pub comment: Option<&'a str>,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// Something to be stored in the same atomic batch as the entry about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Starts with [`RECORDS`] or [`OUTBOX_RECORDS`]; unique over all components.
    pub key: Vec<u8>,
    /// Content; `None` removes the record.
    pub value: Option<Vec<u8>>,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The call was parked.
    Parked,
    /// An operator voted; the approval may be final by it or not.
    Voted(Vote),
    /// An operator looks at it.
    Claimed(Arc<str>),
    /// An operator does not look at it any more.
    Unclaimed(Arc<str>),
    /// An operator said something.
    Commented(Comment),
    /// An approver replaced arguments.
    Modified(Modification),
    /// The call may not run any more, whoever approves: a code.
    Withdrawn(String),
    /// The deadline passed.
    Expired,
    /// Escalation steps came due: more people are told.
    Escalated,
    /// The caller gave up.
    Cancelled,
    /// The approved call is released, its only time.
    Released,
}

/// A change that is worked out but not made. Holds the turn of its approval until it is committed or dropped.
///
/// Append [`records`](Self::records) with the entry, then [`commit`](Self::commit). Run both in a task that nobody
/// cancels: a change that became durable but was dropped here comes into force only at the next start.
#[derive(Debug)]
#[must_use = "a change that is not committed is not made"]
pub struct Change {
    approvals: Approvals,
    turn: Turn,
    event: Event,
    next: Arc<Approval>,
    records: Vec<Record>,
    /// Those that make room; nobody changes them meanwhile.
    evict: Vec<Turn>,
    /// Who is told of it.
    post: Option<Post>,
    time_ms: u64,
}

/// Why a call is not parked. The caller denies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParkError {
    /// Too many calls of the tenant wait.
    #[error("too many calls of this tenant are waiting for approval")]
    TenantFull,
    /// Too many calls of the agent wait.
    #[error("too many calls of this agent are waiting for approval")]
    AgentFull,
    /// The router's plan cannot be followed.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// A record that cannot be read. Its approval is unknown from now on, so its call is never released; its message is not
/// sent.
#[derive(Debug, thiserror::Error)]
#[error("the record {key} cannot be read: {problem}")]
pub struct LoadError {
    /// The record's key, printable.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The approvals of all tenants. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Approvals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    index: Mutex<Index>,
    outbox: Outbox,
}

#[derive(Debug, Default)]
struct Index {
    slots: HashMap<Uuid, Arc<Slot>>,
    tenants: HashMap<Arc<str>, Tenant>,
    /// Approvals that may be live, by call (which covers tenant and agent) and generation. Mostly one per call; more if
    /// the same call was parked twice at the same moment, or again for another reason.
    live: BTreeSet<(Digest, Digest, Uuid)>,
    /// Approvals by the id of the call that was parked.
    calls: BTreeSet<(Uuid, Uuid)>,
    /// Deadlines of everything pending.
    deadlines: BTreeSet<(u64, Uuid)>,
    /// The same by a clock that nobody sets: a system clock that is set back makes no deadline later.
    timers: BTreeSet<(Instant, Uuid)>,
    /// When the next escalation step of everything pending is due.
    steps: BTreeSet<(u64, Uuid)>,
}

/// Which approvals are listed. Everything that is given must fit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Where it stands.
    pub state: Option<State>,
    /// Older than this one.
    pub before: Option<Uuid>,
    /// Who made the call.
    pub agent: Option<&'a str>,
    /// Owner of the tool.
    pub upstream: Option<&'a str>,
    /// Tool name.
    pub tool: Option<&'a str>,
    /// The run of the agent.
    pub session: Option<&'a str>,
    /// Code of a reason that it was parked for.
    pub reason: Option<&'a str>,
    /// Whoever has claimed it.
    pub claimed_by: Option<&'a str>,
    /// Whom the plan asks by now.
    pub asks: Option<Voter<'a>>,
}

#[derive(Debug)]
struct Tenant {
    /// Changes with every change of an approval. Starts anywhere, so that a reader notices a restart.
    version: watch::Sender<u64>,
    /// Ids are ordered by time. Approvals that are being parked are not in it.
    ids: BTreeSet<Uuid>,
    /// Those being parked included.
    pending: usize,
    pending_by_agent: HashMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct Slot {
    approval: watch::Sender<Arc<Approval>>,
    /// When it ends at the latest. After a restart it may have its whole time again, if the system clock says so.
    ends: Instant,
    busy: AtomicBool,
    /// Set when it makes room, by who has its turn: nobody changes it from then on.
    gone: AtomicBool,
}

/// The right to change one approval.
#[derive(Debug)]
struct Turn(Arc<Slot>);

impl Default for Limits {
    fn default() -> Self {
        Self { pending_per_tenant: 1000, pending_per_agent: 100, kept_per_tenant: 4000, use_within_ms: 15 * 60 * 1000 }
    }
}

impl Approvals {
    /// Approvals of an empty store.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, index: Mutex::default(), outbox: Outbox::new(OutboxLimits::default()) }))
    }

    /// Approvals and messages as stored: every record whose key starts with [`RECORDS`] or [`OUTBOX_RECORDS`]. Those that
    /// cannot be read are told.
    pub fn load(limits: Limits, records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> (Self, Vec<LoadError>) {
        let approvals = Self::new(limits);
        let mut errors = Vec::new();
        for (key, value) in records {
            let read = if key.starts_with(OUTBOX_RECORDS) {
                approvals.outbox().load(&key, &value)
            } else {
                read_record(&key, &value).map(|approval| {
                    let slot = Arc::new(Slot::new(Arc::new(approval)));
                    approvals.index().insert(&slot);
                })
            };
            if let Err(problem) = read {
                errors.push(LoadError { key: key.escape_ascii().to_string(), problem });
            }
        }
        (approvals, errors)
    }

    /// Parks a call. Not visible before [`Change::commit`].
    ///
    /// # Errors
    /// Too many parked calls, or a plan that cannot be followed.
    pub fn park(&self, request: &ParkRequest<'_>) -> Result<Change, ParkError> {
        let ParkRequest { call, digest, generation, now_ms, .. } = *request;
        let mut plan = check_plan(request.plan)?;
        plan.may_modify &= request.may_modify && call.payload.raw().len() <= MAX_ARGUMENTS;
        let kept = plan.may_modify.then(|| KeptCall::write(call)).flatten();
        plan.may_modify = kept.is_some();
        let (reasons, more_reasons) = check_reasons(request.reasons);
        let approval = Arc::new(Approval {
            id: id_at(now_ms),
            tenant: Arc::clone(&call.tenant),
            agent: Arc::clone(&call.agent),
            session: call.session.clone(),
            upstream: call.upstream.clone(),
            tool: Arc::clone(&call.tool),
            phase: call.phase,
            call: call.id,
            digest,
            generation,
            reasons,
            more_reasons,
            created_ms: now_ms,
            deadline_ms: now_ms.saturating_add(u64::from(plan.deadline_seconds) * 1000),
            plan,
            claim: None,
            comments: Vec::new(),
            modification: None,
            withdrawn: None,
            state: State::Pending,
            votes: Vec::new(),
            ended_ms: None,
            use_by_ms: None,
            released_ms: None,
            released_to: None,
            escalated_ms: None,
        });
        let evict = self.index().reserve(&self.0.limits, &approval, now_ms)?;
        let slot = Arc::new(Slot { busy: AtomicBool::new(true), ..Slot::new(Arc::clone(&approval)) });
        let mut records = vec![record(&approval)];
        if let Some(kept) = kept {
            records.push(Record { key: arguments_key(&approval.tenant, approval.id), value: Some(kept) });
        }
        records.extend(evict.iter().map(|turn| Record { key: key(&approval.tenant, turn.approval().id), value: None }));
        let post = self.post(&Event::Parked, &approval, &approval, now_ms);
        records.extend(post.iter().flat_map(Post::records));
        let approvals = self.clone();
        Ok(Change {
            approvals,
            turn: Turn(slot),
            event: Event::Parked,
            next: approval,
            records,
            evict,
            post,
            time_ms: now_ms,
        })
    }

    /// Counts an operator's answer.
    ///
    /// # Errors
    /// Why it does not count. An approval of another tenant looks like none.
    pub fn decide(&self, ballot: &Ballot<'_>) -> Result<Change, DecideError> {
        self.decide_while(ballot, |_, _| true)
    }

    /// The same, together with those earlier answers that `stand`.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub fn decide_while(
        &self,
        ballot: &Ballot<'_>,
        stands: impl Fn(&Approval, &Vote) -> bool,
    ) -> Result<Change, DecideError> {
        let turn = self.turn(ballot.tenant, ballot.id)?;
        // Whoever does not say what was shown may have seen the arguments as they were.
        if ballot.approve && turn.approval().modification.is_some() {
            return Err(DecideError::Unseen);
        }
        self.counted(turn, ballot, stands)
    }

    /// The same for somebody who was shown the call of this digest: none if an approver has changed it since.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub fn decide_shown(
        &self,
        ballot: &Ballot<'_>,
        shown: Digest,
        stands: impl Fn(&Approval, &Vote) -> bool,
    ) -> Result<Option<Change>, DecideError> {
        let turn = self.turn(ballot.tenant, ballot.id)?;
        if turn.approval().shown() == shown { self.counted(turn, ballot, stands).map(Some) } else { Ok(None) }
    }

    fn counted(
        &self,
        turn: Turn,
        ballot: &Ballot<'_>,
        stands: impl Fn(&Approval, &Vote) -> bool,
    ) -> Result<Change, DecideError> {
        let vote = Vote {
            operator: Arc::from(ballot.by.operator),
            approve: ballot.approve,
            comment: ballot.comment.map(str::to_owned),
            time_ms: ballot.now_ms,
            lapsed: false,
        };
        let before = turn.approval();
        let before = before.standing(|vote| stands(&before, vote));
        let next = before.voted(vote.clone(), &ballot.by, self.0.limits.use_within_ms)?;
        Ok(self.change(turn, Event::Voted(vote), next, ballot.now_ms))
    }

    /// Marks that an operator looks at an approval, or does not any more. A claim lapses by itself.
    ///
    /// # Errors
    /// Not pending, not asked, or claimed by another.
    pub fn claim(
        &self,
        tenant: &str,
        id: Uuid,
        by: &Voter<'_>,
        take: bool,
        now_ms: u64,
    ) -> Result<Change, DecideError> {
        let turn = self.turn(tenant, id)?;
        let operator = Arc::from(by.operator);
        let (event, next) = if take {
            (Event::Claimed(operator), turn.approval().claimed(by, now_ms)?)
        } else {
            (Event::Unclaimed(operator), turn.approval().unclaimed(by, now_ms)?)
        };
        Ok(self.change(turn, event, next, now_ms))
    }

    /// Adds what an operator says.
    ///
    /// # Errors
    /// Too long or too many.
    pub fn comment(&self, tenant: &str, id: Uuid, comment: Comment) -> Result<Change, DecideError> {
        let turn = self.turn(tenant, id)?;
        let next = turn.approval().commented(comment.clone())?;
        let now_ms = comment.time_ms;
        Ok(self.change(turn, Event::Commented(comment), next, now_ms))
    }

    /// Whether this operator may change the arguments of a parked call now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_modify(&self, tenant: &str, id: Uuid, by: &Voter<'_>, now_ms: u64) -> Result<(), DecideError> {
        self.slot(tenant, id).ok_or(DecideError::Unknown)?.approval().may_modify(by, now_ms)
    }

    /// Puts other arguments in force, which the caller has inspected. Votes begin anew.
    ///
    /// # Errors
    /// As [`may_modify`](Self::may_modify), or the comment is too long.
    pub fn modify(
        &self,
        tenant: &str,
        id: Uuid,
        by: &Voter<'_>,
        modification: Modification,
    ) -> Result<Change, DecideError> {
        let turn = self.turn(tenant, id)?;
        let next = turn.approval().modified(modification.clone(), by)?;
        let now_ms = modification.time_ms;
        Ok(self.change(turn, Event::Modified(modification), next, now_ms))
    }

    /// Denies a call that may not run any more, whoever approves; `None` if there is none, it is final or just being
    /// changed.
    #[must_use = "a change that is not committed is not made"]
    pub fn withdraw(&self, tenant: &str, id: Uuid, code: &str, now_ms: u64) -> Option<Change> {
        let turn = self.slot(tenant, id)?.turn()?;
        let next = turn.approval().withdrawn(code, now_ms)?;
        Some(self.change(turn, Event::Withdrawn(code.to_owned()), next, now_ms))
    }

    /// Ends an approval because the caller gave up; `None` if there is none, it is final or it is just being changed.
    #[must_use = "a change that is not committed is not made"]
    pub fn cancel(&self, tenant: &str, id: Uuid, now_ms: u64) -> Option<Change> {
        let turn = self.slot(tenant, id)?.turn()?;
        let next = turn.approval().cancelled(now_ms)?;
        Some(self.change(turn, Event::Cancelled, next, now_ms))
    }

    /// Takes an approved call out for its single use by `call`.
    ///
    /// # Errors
    /// Not approved, used before, or approved too long ago.
    pub fn release(&self, tenant: &str, id: Uuid, call: Uuid, now_ms: u64) -> Result<Change, ReleaseError> {
        let slot = self.slot(tenant, id).ok_or(ReleaseError::Unknown)?;
        let turn = slot.turn().ok_or(ReleaseError::Busy)?;
        let next = turn.approval().released(call, now_ms)?;
        Ok(self.change(turn, Event::Released, next, now_ms))
    }

    /// Expiries to be recorded: approvals whose deadline has passed, at most `limit`, the longest overdue first. Those
    /// that are just being changed come another time.
    #[must_use = "a change that is not committed is not made"]
    pub fn overdue(&self, now_ms: u64, limit: usize) -> Vec<Change> {
        let now = Instant::now();
        let slots: Vec<_> = {
            let index = self.index();
            let due = index.deadlines.iter().take_while(|(deadline, _)| *deadline <= now_ms).map(|(_, id)| id);
            let past = index.timers.iter().take_while(|(end, _)| *end <= now).map(|(_, id)| id);
            due.chain(past).filter_map(|id| index.slots.get(id).cloned()).collect()
        };
        let changes = slots.iter().filter_map(|slot| {
            let turn = slot.turn()?;
            let next = turn.approval().expired(now_ms, slot.ends <= now)?;
            Some(self.change(turn, Event::Expired, next, now_ms))
        });
        changes.take(limit).collect()
    }

    /// Escalation steps that are due and whose channels have not been told: one change for each approval, at most `limit`,
    /// the longest overdue first. Those that are just being changed come another time.
    #[must_use = "a change that is not committed is not made"]
    pub fn escalations(&self, now_ms: u64, limit: usize) -> Vec<Change> {
        let slots: Vec<_> = {
            let index = self.index();
            let due = index.steps.iter().take_while(|(due, _)| *due <= now_ms);
            due.filter_map(|(_, id)| index.slots.get(id).cloned()).collect()
        };
        let changes = slots.iter().filter_map(|slot| {
            let turn = slot.turn()?;
            let next = turn.approval().escalated(now_ms)?;
            Some(self.change(turn, Event::Escalated, next, now_ms))
        });
        changes.take(limit).collect()
    }

    /// What people still have to be told.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// One approval of a tenant.
    #[must_use]
    pub fn get(&self, tenant: &str, id: Uuid) -> Option<Arc<Approval>> {
        self.slot(tenant, id).map(|slot| slot.approval())
    }

    /// The live approval of exactly this call under this generation, parked for all of these reasons: approved and not
    /// yet used, else pending.
    #[must_use]
    pub fn find(&self, call: Digest, generation: Digest, reasons: &[Reason], now_ms: u64) -> Option<Arc<Approval>> {
        self.find_free(call, generation, reasons, now_ms, |_| true)
    }

    /// As [`find`](Self::find), of those that are `free` for this caller: others wait for the rest.
    #[must_use]
    pub fn find_free(
        &self,
        call: Digest,
        generation: Digest,
        reasons: &[Reason],
        now_ms: u64,
        free: impl Fn(Uuid) -> bool,
    ) -> Option<Arc<Approval>> {
        let index = self.index();
        let ids = index.live.range((call, generation, Uuid::nil())..=(call, generation, Uuid::max()));
        let ids = ids.map(|(_, _, id)| id).filter(|id| free(**id));
        let approvals = ids.filter_map(|id| index.slots.get(id)).map(|slot| slot.approval());
        approvals
            .filter(|approval| approval.is_live(now_ms) && approval.covers(reasons))
            .max_by_key(|approval| approval.state == State::Approved)
    }

    /// The approval with this id, and those of the parked call with this id.
    #[must_use]
    pub fn named(&self, tenant: &str, id: Uuid) -> Vec<Arc<Approval>> {
        let index = self.index();
        let of_call = index.calls.range((id, Uuid::nil())..=(id, Uuid::max())).map(|(_, approval)| approval);
        let ids: BTreeSet<&Uuid> = std::iter::once(&id).chain(of_call).collect();
        let approvals = ids.into_iter().filter_map(|id| index.slots.get(id)).map(|slot| slot.approval());
        approvals.filter(|approval| &*approval.tenant == tenant).collect()
    }

    /// Approvals of a tenant, newest first, at most `limit`: those in `state` if given, older than `before` if given.
    #[must_use]
    pub fn list(
        &self,
        tenant: &str,
        state: Option<State>,
        before: Option<Uuid>,
        limit: usize,
        now_ms: u64,
    ) -> Vec<Arc<Approval>> {
        self.select(tenant, &Filter { state, before, ..Filter::default() }, limit, now_ms)
    }

    /// Approvals of a tenant that fit, newest first, at most `limit`.
    #[must_use]
    pub fn select(&self, tenant: &str, filter: &Filter<'_>, limit: usize, now_ms: u64) -> Vec<Arc<Approval>> {
        let index = self.index();
        let Some(ids) = index.tenants.get(tenant).map(|tenant| &tenant.ids) else { return Vec::new() };
        let older = ids.range(..filter.before.unwrap_or(Uuid::max())).rev();
        let approvals = older.filter_map(|id| index.slots.get(id)).map(|slot| slot.approval());
        approvals.filter(|approval| filter.fits(approval, now_ms)).take(limit).collect()
    }

    /// Everything undecided, of all tenants.
    #[must_use]
    pub fn undecided(&self) -> Vec<Arc<Approval>> {
        let index = self.index();
        index.deadlines.iter().filter_map(|(_, id)| index.slots.get(id)).map(|slot| slot.approval()).collect()
    }

    /// A number that changes whenever an approval of the tenant does, and at a restart.
    #[must_use]
    pub fn version(&self, tenant: &Arc<str>) -> watch::Receiver<u64> {
        self.index().tenants.entry(Arc::clone(tenant)).or_default().version.subscribe()
    }

    /// What [`MAX_ARGUMENTS`] bounds is stored under this key while the call can be changed.
    #[must_use]
    pub fn arguments_key(tenant: &str, id: Uuid) -> Vec<u8> {
        arguments_key(tenant, id)
    }

    /// How many approvals of all tenants are undecided.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.index().deadlines.len()
    }

    /// Waits until an approval is final, at most for `timeout` and not past its deadline; returns it as it is then.
    pub async fn wait(&self, tenant: &str, id: Uuid, timeout: Duration, now_ms: u64) -> Option<Arc<Approval>> {
        let mut changes = self.slot(tenant, id)?.approval.subscribe();
        let deadline_ms = changes.borrow().deadline_ms;
        let until = timeout.min(Duration::from_millis(deadline_ms.saturating_sub(now_ms)));
        // Time-out, or forgotten while waiting: either way the last state is the answer.
        let _ = tokio::time::timeout(until, changes.wait_for(|approval| approval.state.is_final())).await;
        let approval = Arc::clone(&changes.borrow());
        Some(approval)
    }

    fn change(&self, turn: Turn, event: Event, next: Approval, time_ms: u64) -> Change {
        let next = Arc::new(next);
        let mut records = vec![record(&next)];
        // What is final is not changed any more.
        if next.plan.may_modify && next.state.is_final() {
            records.push(Record { key: arguments_key(&next.tenant, next.id), value: None });
        }
        let post = self.post(&event, &turn.approval(), &next, time_ms);
        records.extend(post.iter().flat_map(Post::records));
        Change { approvals: self.clone(), turn, event, next, records, evict: Vec::new(), post, time_ms }
    }

    /// Who is told of a change.
    fn post(&self, event: &Event, before: &Approval, next: &Approval, now_ms: u64) -> Option<Post> {
        let outbox = self.outbox();
        match event {
            Event::Parked => {
                outbox.post(next, MessageKind::Parked, next.plan.channels.iter().map(String::as_str), now_ms)
            }
            Event::Escalated => outbox.post(next, MessageKind::Escalated, next.newly_told(before.escalated_ms), now_ms),
            Event::Modified(_) => outbox.post(next, MessageKind::Modified, next.told(), now_ms),
            Event::Released => None,
            _ if next.state.is_final() && !before.state.is_final() => {
                outbox.post(next, MessageKind::Decided, next.told(), now_ms)
            }
            _ => None,
        }
    }

    fn turn(&self, tenant: &str, id: Uuid) -> Result<Turn, DecideError> {
        self.slot(tenant, id).ok_or(DecideError::Unknown)?.turn().ok_or(DecideError::Busy)
    }

    fn slot(&self, tenant: &str, id: Uuid) -> Option<Arc<Slot>> {
        let slot = self.index().slots.get(&id).cloned()?;
        (&*slot.approval.borrow().tenant == tenant).then_some(())?;
        Some(slot)
    }

    /// The index is consistent between any two statements that could panic, so a poisoned lock is still good.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    /// The approval as it will be.
    #[must_use]
    pub fn approval(&self) -> &Arc<Approval> {
        &self.next
    }

    /// What it is about.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// What must become durable in the same batch as the entry about it.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The entry about it. A parked or released call has none of its own: its records go with the entry of the verdict.
    #[must_use]
    pub fn draft(&self) -> Option<Draft> {
        let host = || Arc::from("portcullis");
        let (by, word): (Arc<str>, Cow<'_, str>) = match &self.event {
            Event::Parked | Event::Released => return None,
            Event::Voted(vote) => (Arc::clone(&vote.operator), if vote.approve { "approved" } else { "denied" }.into()),
            Event::Claimed(operator) => (Arc::clone(operator), "claimed".into()),
            Event::Unclaimed(operator) => (Arc::clone(operator), "claim given back".into()),
            Event::Commented(comment) => (Arc::clone(&comment.operator), "commented".into()),
            Event::Modified(modification) => {
                // Entries name calls by keyed digests only: nobody can test a guess of the arguments against the log.
                let word = format!("arguments changed to those of entry {}", modification.entry);
                (Arc::clone(&modification.operator), word.into())
            }
            Event::Withdrawn(_) => (host(), "the call may not run any more".into()),
            Event::Expired => (host(), "nobody decided in time".into()),
            Event::Escalated => (host(), "escalated, more people are told".into()),
            Event::Cancelled => (Arc::clone(&self.next.agent), "the caller gave up".into()),
        };
        let Approval { plan, state, .. } = &*self.next;
        // What is said, or claimed, decides nothing, also after the end.
        let decides = matches!(self.event, Event::Voted(_) | Event::Withdrawn(_) | Event::Expired | Event::Cancelled);
        let (decision, code) = match state {
            State::Pending => (None, None),
            _ if !decides => (None, None),
            State::Approved => (Some(Decision::Allow), None),
            State::Denied => {
                let withdrawn = self.next.withdrawn.as_deref();
                (Some(Decision::Deny), Some(withdrawn.unwrap_or(codes::APPROVAL_DENIED)))
            }
            State::Expired => (Some(Decision::Deny), Some(codes::APPROVAL_EXPIRED)),
            State::Cancelled => (Some(Decision::Deny), Some(codes::APPROVAL_CANCELLED)),
        };
        let reason = |code: &str| EntryReason { code: code.to_owned(), plugin: "portcullis".to_owned() };
        Some(Draft {
            kind: EntryKind::Approval,
            tenant: Arc::clone(&self.next.tenant),
            id: self.next.call,
            time_ms: self.time_ms,
            agent: by,
            session: self.next.session.clone(),
            door: Door::Control,
            upstream: self.next.upstream.clone(),
            tool: Some(Arc::clone(&self.next.tool)),
            phase: self.next.phase,
            // Calls are parked only where verdicts take effect.
            mode: Mode::Enforce,
            decision,
            reasons: code.map(reason).into_iter().collect(),
            findings: Vec::new(),
            plugins: Vec::new(),
            generation: Some(self.next.generation),
            approval: Some(self.next.id),
            outcome: None,
            duration_ms: None,
            call_digest: Some(self.next.digest),
            payload: None,
            note: Some(format!("{word}; {} of {} approvals", self.next.approvals(), plan.quorum)),
        })
    }

    /// Makes the change: call it once its records are durable. Wakes everybody who waits for the approval.
    pub fn commit(mut self) -> Arc<Approval> {
        let next = Arc::clone(&self.next);
        {
            let mut index = self.approvals.index();
            if self.event == Event::Parked {
                index.release_reservation(&next);
                index.insert(&self.turn.0);
                for turn in &self.evict {
                    // Who has found it a moment before must not bring it back.
                    turn.0.gone.store(true, Ordering::Relaxed);
                    index.remove(turn.approval().id);
                }
            } else {
                index.replace(&self.turn.0, &next);
            }
            if let Some(tenant) = index.tenants.get(&next.tenant) {
                tenant.version.send_modify(|version| *version = version.wrapping_add(1));
            }
        }
        // From here on dropping must not undo anything.
        self.event = Event::Released;
        if let Some(post) = self.post.take() {
            post.commit();
        }
        next
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if self.event == Event::Parked {
            self.approvals.index().release_reservation(&self.next);
        }
    }
}

impl Index {
    /// Takes one of the tenant's and the agent's places; returns which finished approvals make room.
    fn reserve(&mut self, limits: &Limits, approval: &Approval, now_ms: u64) -> Result<Vec<Turn>, ParkError> {
        let tenant = self.tenants.entry(Arc::clone(&approval.tenant)).or_default();
        if tenant.pending >= limits.pending_per_tenant {
            return Err(ParkError::TenantFull);
        }
        if tenant.pending_by_agent.get(&approval.agent).is_some_and(|count| *count >= limits.pending_per_agent) {
            return Err(ParkError::AgentFull);
        }
        let mut evict = Vec::new();
        if tenant.ids.len() >= limits.kept_per_tenant {
            let finished = |approval: &Approval| approval.state.is_final() && !approval.is_live(now_ms);
            // What somebody changes right now would be on record again after it went.
            let slots = tenant.ids.iter().filter_map(|id| self.slots.get(id));
            let turns = slots.filter(|slot| finished(&slot.approval())).filter_map(|slot| slot.turn());
            evict.extend(turns.filter(|turn| finished(&turn.approval())).take(EVICT));
            if evict.is_empty() {
                return Err(ParkError::TenantFull);
            }
        }
        tenant.count(&approval.agent);
        Ok(evict)
    }

    /// Gives a place back.
    fn release_reservation(&mut self, approval: &Approval) {
        if let Some(tenant) = self.tenants.get_mut(&approval.tenant) {
            tenant.uncount(&approval.agent);
        }
    }

    /// Adds a new slot.
    fn insert(&mut self, slot: &Arc<Slot>) {
        let approval = slot.approval();
        let tenant = self.tenants.entry(Arc::clone(&approval.tenant)).or_default();
        tenant.ids.insert(approval.id);
        if approval.state == State::Pending {
            tenant.count(&approval.agent);
            self.deadlines.insert((approval.deadline_ms, approval.id));
            self.timers.insert((slot.ends, approval.id));
            self.steps.extend(approval.next_step_ms().map(|due| (due, approval.id)));
        }
        if matches!(approval.state, State::Pending | State::Approved) && approval.released_ms.is_none() {
            self.live.insert((approval.digest, approval.generation, approval.id));
        }
        self.calls.insert((approval.call, approval.id));
        self.slots.insert(approval.id, Arc::clone(slot));
    }

    /// Puts the next state of an approval in its slot.
    fn replace(&mut self, slot: &Slot, next: &Arc<Approval>) {
        let before = slot.approval.send_replace(Arc::clone(next));
        if let Some(due) = before.next_step_ms() {
            self.steps.remove(&(due, before.id));
        }
        if next.state == State::Pending {
            self.steps.extend(next.next_step_ms().map(|due| (due, next.id)));
        }
        if before.state == State::Pending && next.state.is_final() {
            self.deadlines.remove(&(next.deadline_ms, next.id));
            self.timers.remove(&(slot.ends, next.id));
            self.release_reservation(next);
        }
        if next.released_ms.is_some() || matches!(next.state, State::Denied | State::Expired | State::Cancelled) {
            self.forget_live(next);
        }
    }

    /// Removes a finished approval.
    fn remove(&mut self, id: Uuid) {
        let Some(slot) = self.slots.remove(&id) else { return };
        let approval = slot.approval();
        if let Some(tenant) = self.tenants.get_mut(&approval.tenant) {
            tenant.ids.remove(&id);
        }
        self.calls.remove(&(approval.call, id));
        self.forget_live(&approval);
    }

    fn forget_live(&mut self, approval: &Approval) {
        self.live.remove(&(approval.digest, approval.generation, approval.id));
    }
}

impl Filter<'_> {
    fn fits(&self, approval: &Approval, now_ms: u64) -> bool {
        fn same(wanted: Option<&str>, found: Option<&str>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        let parked_for = |code: &str| {
            approval.reasons.iter().any(|reason| reason.code == code)
                || approval.more_reasons.iter().any(|reason| reason.code == code)
        };
        self.state.is_none_or(|state| approval.state_at(now_ms) == state)
            && same(self.agent, Some(&approval.agent))
            && same(self.upstream, approval.upstream.as_deref())
            && same(self.tool, Some(&approval.tool))
            && same(self.session, approval.session.as_deref())
            && same(self.claimed_by, approval.claim_at(now_ms).map(|claim| &*claim.operator))
            && self.reason.is_none_or(parked_for)
            && self.asks.is_none_or(|by| approval.state_at(now_ms) == State::Pending && approval.is_for(&by, now_ms))
    }
}

impl Default for Tenant {
    fn default() -> Self {
        // JSON numbers are exact up to 2^53.
        let anywhere = Uuid::new_v4().as_u128() as u64 >> 16;
        Self {
            version: watch::Sender::new(anywhere),
            ids: BTreeSet::new(),
            pending: 0,
            pending_by_agent: HashMap::new(),
        }
    }
}

impl Tenant {
    fn count(&mut self, agent: &Arc<str>) {
        self.pending += 1;
        *self.pending_by_agent.entry(Arc::clone(agent)).or_default() += 1;
    }

    fn uncount(&mut self, agent: &Arc<str>) {
        self.pending = self.pending.saturating_sub(1);
        if let Some(count) = self.pending_by_agent.get_mut(agent) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.pending_by_agent.remove(agent);
            }
        }
    }
}

impl Slot {
    fn new(approval: Arc<Approval>) -> Self {
        let length = Duration::from_millis(approval.deadline_ms.saturating_sub(approval.created_ms));
        let ends = Instant::now() + length.min(Duration::from_secs(MAX_DEADLINE_SECONDS.into()));
        Self {
            approval: watch::Sender::new(approval),
            ends,
            busy: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        }
    }

    fn approval(&self) -> Arc<Approval> {
        Arc::clone(&self.approval.borrow())
    }

    fn turn(self: &Arc<Self>) -> Option<Turn> {
        let free = self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        let turn = free.then(|| Turn(Arc::clone(self)))?;
        (!self.gone.load(Ordering::Relaxed)).then_some(turn)
    }
}

impl Turn {
    fn approval(&self) -> Arc<Approval> {
        self.0.approval()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

fn id_at(now_ms: u64) -> Uuid {
    /// Ids of one millisecond are in order, too.
    static ORDER: Mutex<AssertUnwindSafe<ContextV7>> = Mutex::new(AssertUnwindSafe(ContextV7::new()));
    let nanos = u32::try_from(now_ms % 1000 * 1_000_000).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&ORDER, now_ms / 1000, nanos))
}

fn key(tenant: &str, id: Uuid) -> Vec<u8> {
    [RECORDS, tenant.as_bytes(), b"/", id.to_string().as_bytes()].concat()
}

fn arguments_key(tenant: &str, id: Uuid) -> Vec<u8> {
    [ARGUMENTS, tenant.as_bytes(), b"/", id.to_string().as_bytes()].concat()
}

fn record(approval: &Approval) -> Record {
    // Plain structs of strings and numbers: nothing in them that JSON cannot hold.
    let json = serde_json::to_vec(approval).unwrap_or_default();
    Record { key: key(&approval.tenant, approval.id), value: Some([&[VERSION][..], &json].concat()) }
}

fn read_record(stored_key: &[u8], value: &[u8]) -> Result<Approval, String> {
    match value.split_first() {
        Some((&VERSION, json)) => {
            let approval: Approval = serde_json::from_slice(json).map_err(|error| error.to_string())?;
            let fits = key(&approval.tenant, approval.id) == stored_key;
            if fits { Ok(approval) } else { Err("it belongs to another approval".to_owned()) }
        }
        Some((version, _)) => Err(format!("it has version {version}, this build reads version {VERSION}")),
        None => Err("it is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests;
