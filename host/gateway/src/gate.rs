//! The life of a call after a door built it: cheap gates, generation, ledger, approval.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_approvals::{
    Approval, Approvals, Ballot, Change, DecideError, ParkError, ParkRequest, ReleaseError, State, Vote,
};
use portcullis_ledger::{Attachment, Record};
use portcullis_model::{
    Call, Decision, Digest, Document, Door, Draft, EntryFinding, EntryKind, EntryPlugin, EntryReason, Judgement, Mode,
    Outcome, Phase, codes,
};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::events::{Event, Events};
use crate::metrics::Metrics;
use crate::ports::{
    Admission, AgentIdentity, Caller, DenialForm, EntryRef, Identity, Journal, JournalError, Judge, OperatorIdentity,
    PeerIdentity, Pin, PinError, Pins,
};

pub use attempts::ATTEMPTS;
pub(crate) use collecting::{Collected, Uncollected, kept_for};
pub use ending::{Delivered, Ending};
pub use heavy::{Heavy, Waiting};
use heavy::{HeavyPlaces, WaitingPlaces};
pub use people::ModifyError;
pub(crate) use people::Release;
use repeats::Repeats;
pub use transcripts::{Keeping, Transcripts};
pub use waiting::Waiter;
use waiting::{Wait, Waiters};

mod attempts;
mod collecting;
mod ending;
mod heavy;
mod people;
mod repeats;
mod together;
mod transcripts;
mod waiting;

/// Payloads up to this many bytes are judged on the runtime's own worker, if no plugin may take long; larger ones on a thread for
/// blocking work, so that they hold up nobody else's calls.
const INLINE_BYTES: usize = 16 * 1024;
/// How long a call waits for its entry.
const APPEND_WAIT: Duration = Duration::from_secs(15);
/// Between two looks at an approval that is just being changed.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// How often passed deadlines are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// Passed deadlines recorded in one go.
const EXPIRE_AT_ONCE: usize = 256;
/// Findings an entry keeps.
const ENTRY_FINDINGS: usize = 64;

/// What the gate stands on.
#[derive(Clone)]
pub struct Ports {
    /// The pipelines.
    pub judge: Arc<dyn Judge>,
    /// The ledger.
    pub journal: Arc<dyn Journal>,
    /// Credentials, halts and limits.
    pub identity: Arc<dyn Identity>,
    /// Parked calls.
    pub approvals: Approvals,
    /// Accepted definitions of tools.
    pub pins: Arc<dyn Pins>,
}

/// One gate for all doors. Everything that fails in it is a refusal.
pub struct Gate {
    ports: Ports,
    metrics: Arc<Metrics>,
    events: Events,
    heavy: HeavyPlaces,
    waiting: WaitingPlaces,
    repeats: Arc<Repeats>,
    waiters: Waiters,
    /// None: nobody keeps any.
    transcripts: Option<Arc<Transcripts>>,
}

/// What became of a call, after its entry is durable.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// What the pipeline said; the true verdict in every mode.
    pub judgement: Judgement,
    /// Its entry.
    pub entry: EntryRef,
    /// The approval that a review waits for, or that released it.
    pub approval: Option<Arc<Approval>>,
    /// What the door must do.
    pub effect: Effect,
}

/// What a door must do with a judged payload.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Pass it on as it is. In [`Mode::Observe`] always this.
    Forward,
    /// Pass this on in its place.
    Replace(Arc<Document>),
    /// Pass nothing on and say why.
    Refuse,
    /// Pass nothing on and name the approval.
    Park,
}

/// Why there is no ruling. Every one of these is a refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// No durable entry, no verdict.
    #[error("the ledger cannot be written, so nothing is allowed: {0}")]
    LedgerUnavailable(String),
    /// Over a rate limit or quota.
    #[error("too many calls; try again in {retry_after_s} s")]
    RateLimited {
        /// Seconds until another try makes sense.
        retry_after_s: u32,
    },
    /// An operator stopped the agent.
    #[error("this agent is halted")]
    Halted,
    /// The agent was removed after its credential had been checked.
    #[error("this agent is not configured any more")]
    Removed,
    /// The tenant has no pipeline.
    #[error("the tenant has no pipeline")]
    NoPipeline,
    /// All places for large payloads, or for parked calls, are taken.
    #[error("too much work at once: {0}")]
    Busy(&'static str),
    /// A review without a plan for its approval that can be followed.
    #[error("the call needs a decision, but the pipeline's router gave no plan that can be followed")]
    NoPlan,
    /// Policy does not let the call pass as its approver changed it.
    #[error("policy refuses this call as its approver changed it")]
    Modified,
    /// The task that worked on it went away.
    #[error("the call could not be judged and recorded")]
    Failed,
}

/// Why a vote has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// It does not count.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// It could not be recorded.
    #[error(transparent)]
    Gate(#[from] GateError),
}

/// Why an acceptance has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// It is of something else.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// It could not be recorded.
    #[error(transparent)]
    Gate(#[from] GateError),
}

impl GateError {
    /// Stable code for wires and entries.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::LedgerUnavailable(_) => codes::LEDGER_UNAVAILABLE,
            Self::RateLimited { .. } => codes::RATE_LIMITED,
            Self::Halted => codes::AGENT_HALTED,
            Self::Removed => codes::AGENT_REMOVED,
            Self::NoPipeline => codes::NO_PIPELINE,
            Self::Busy(_) => "busy",
            Self::NoPlan => "no_plan",
            Self::Modified => "modification_refused",
            Self::Failed => "failed",
        }
    }
}

impl From<JournalError> for GateError {
    fn from(error: JournalError) -> Self {
        Self::LedgerUnavailable(error.to_string())
    }
}

/// What the second entry of a call needs of the first.
#[derive(Clone, Debug)]
pub struct CallFacts {
    call: Call,
    door: Door,
    digest: Digest,
    mode: Mode,
    generation: Digest,
    approval: Option<Uuid>,
    forwarded: Instant,
    /// Whether the upstream answered with an error of its own.
    error: bool,
    ending: Option<Arc<dyn Ending>>,
}

impl CallFacts {
    /// Taken when the call is forwarded: the duration in the outcome counts from here.
    #[must_use]
    pub fn forwarded(call: &Call, door: Door, ruling: &Ruling) -> Self {
        let Ruling { judgement, approval, .. } = ruling;
        let approval = approval.as_ref().map(|approval| approval.id);
        Self::of(call, call.digest(), door, (judgement.mode, judgement.generation), approval)
    }

    /// The same of a call that was ruled before this process began.
    pub(crate) fn of(
        call: &Call,
        digest: Digest,
        door: Door,
        (mode, generation): (Mode, Digest),
        approval: Option<Uuid>,
    ) -> Self {
        // The payload is not needed any more and may be large.
        let call = Call { payload: Arc::new(Document::empty()), ..call.clone() };
        let (forwarded, error, ending) = (Instant::now(), false, None);
        Self { call, door, digest, mode, generation, approval, forwarded, error, ending }
    }

    /// With what is stored together with its end.
    #[must_use]
    pub(crate) fn keeping(self, ending: Arc<dyn Ending>) -> Self {
        Self { ending: Some(ending), ..self }
    }

    /// The same from the moment at which the call really leaves.
    #[must_use]
    pub(crate) fn leaving(self) -> Self {
        Self { forwarded: Instant::now(), ..self }
    }

    /// The same where the upstream answered with an error of its own.
    #[must_use]
    pub(crate) fn with_error(self) -> Self {
        Self { error: true, ..self }
    }

    fn kept(&self, outcome: Outcome, delivered: Delivered<'_>) -> Vec<Attachment> {
        self.ending.as_ref().map(|ending| ending.ended(outcome, delivered)).unwrap_or_default()
    }

    /// Id of the call.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.call.id
    }

    /// The call of phase `result` for what the tool answered.
    #[must_use]
    pub fn result(&self, payload: Arc<Document>) -> Call {
        Call { phase: Phase::Result, payload, time_ms: now_ms(), ..self.call.clone() }
    }
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Gate {
    /// A gate on these ports.
    #[must_use]
    pub fn new(ports: Ports, metrics: Arc<Metrics>, events: Events, heavy: Heavy) -> Self {
        let (repeats, waiters) = (Arc::default(), Waiters::default());
        let (heavy, waiting) = (HeavyPlaces::new(heavy), WaitingPlaces::new(Waiting::default()));
        Self { ports, metrics, events, heavy, waiting, repeats, waiters, transcripts: None }
    }

    /// The same, with so many places for calls whose plugins may wait for others.
    #[must_use]
    pub fn with_waiting(mut self, waiting: Waiting) -> Self {
        self.waiting = WaitingPlaces::new(waiting);
        self
    }

    /// The same, where tenants keep what their plugins were told.
    #[must_use]
    pub fn with_transcripts(mut self, transcripts: Arc<Transcripts>) -> Self {
        self.transcripts = Some(transcripts);
        self
    }

    /// Who presents this bearer token, on a connection of this peer.
    #[must_use]
    pub fn authenticate(&self, token: Option<&str>, peer: Option<&PeerIdentity>) -> Option<Caller> {
        self.ports.identity.authenticate(token, peer)
    }

    /// An operator of a tenant, by name: the caller has another proof of who it is.
    #[must_use]
    pub fn operator(&self, tenant: &str, name: &str) -> Option<OperatorIdentity> {
        self.ports.identity.operator(tenant, name)
    }

    /// The mode that is live for a tenant.
    #[must_use]
    pub fn mode(&self, tenant: &str) -> Mode {
        self.ports.judge.mode(tenant).unwrap_or_default()
    }

    /// The pipelines.
    #[must_use]
    pub fn judge(&self) -> &dyn Judge {
        &*self.ports.judge
    }

    /// The ledger.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.ports.journal
    }

    /// Parked calls.
    #[must_use]
    pub fn approvals(&self) -> &Approvals {
        &self.ports.approvals
    }

    /// Accepted definitions of tools.
    #[must_use]
    pub fn pins(&self) -> &Arc<dyn Pins> {
        &self.ports.pins
    }

    /// Questions with an id that are being answered, at all doors.
    pub(crate) fn repeats(&self) -> &Arc<Repeats> {
        &self.repeats
    }

    /// Figures for `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What happens, for whoever listens.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Decides one call and makes the decision durable.
    ///
    /// # Errors
    /// Every error is a refusal, and an entry of its own where the ledger takes one.
    pub async fn rule(&self, call: &Call, door: Door) -> Result<Ruling, GateError> {
        self.rule_keeping(call, door, |_, _| Vec::new()).await
    }

    /// As [`rule`](Self::rule), with what is to be stored in the same batch as the decision.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub async fn rule_keeping(
        &self,
        call: &Call,
        door: Door,
        keep: impl FnOnce(&Judgement, Option<&Approval>) -> Vec<Attachment>,
    ) -> Result<Ruling, GateError> {
        self.decide(call, door, keep, &mut Wait::No).instrument(span(call, door)).await
    }

    async fn decide(
        &self,
        call: &Call,
        door: Door,
        keep: impl FnOnce(&Judgement, Option<&Approval>) -> Vec<Attachment>,
        wait: &mut Wait,
    ) -> Result<Ruling, GateError> {
        // What an upstream says of its own accord is not charged to the agent, nor is a call that was charged before.
        let admitted = if wait.charged() {
            self.stands(call)
        } else if call.phase == Phase::Call || matches!(door, Door::Inspect | Door::Arden) {
            self.admit(call, 1)
        } else {
            Ok(())
        };
        if let Err(error) = admitted {
            return self.refuse(call, door, error).await;
        }
        let (judgement, digest) = match self.judge_call(call).await {
            Ok(judged) => judged,
            Err(error) => return self.refuse(call, door, error).await,
        };
        let may_park = call.phase == Phase::Call || door == Door::Inspect;
        self.conclude(call, digest, judgement, may_park, door, keep, wait).await
    }

    /// Records what a call came to, parks it or takes its approval if it is a review that may be parked, and tells of it.
    #[allow(clippy::too_many_arguments, reason = "the parts of one decision")]
    async fn conclude(
        &self,
        call: &Call,
        digest: Digest,
        mut judgement: Judgement,
        may_park: bool,
        door: Door,
        keep: impl FnOnce(&Judgement, Option<&Approval>) -> Vec<Attachment>,
        wait: &mut Wait,
    ) -> Result<Ruling, GateError> {
        let mut unfit = None;
        let hold = loop {
            let hold = match self.holding(call, (&judgement, digest), may_park, door, wait, unfit).await {
                Ok(hold) => hold,
                Err(error) => return self.refuse(call, door, error).await,
            };
            let Some(approval) = hold.released() else { break hold };
            let own = wait.own() == Some(approval.id);
            match self.changed(call, approval).await {
                Ok(Some(changed)) => judgement.replacement = Some(changed),
                Ok(None) => {}
                // What its approver made of the call may not run by now: the call is for people once more.
                Err(GateError::Modified) if unfit.is_none() && !own => {
                    unfit = Some(approval.id);
                    continue;
                }
                Err(error) => return self.refuse(call, door, error).await,
            }
            break hold;
        };
        let parked = hold.parked();
        let mut attach = keep(&judgement, hold.approval());
        attach.extend(self.told(call, &judgement));
        let mut draft = draft(EntryKind::Decision, call, door, &judgement);
        draft.approval = hold.approval().map(|approval| approval.id);
        draft.call_digest = Some(digest);
        draft.note = hold.note();
        let recorded = match hold {
            Hold::None | Hold::Busy => self.append(draft, attach).await.map(|entry| (entry, None)),
            Hold::Known(approval) => self.append(draft, attach).await.map(|entry| (entry, Some(approval))),
            Hold::Changed(change) => {
                attach.extend(records(&change));
                attach.extend(attempts::begun(change.approval(), call.id, door));
                self.append_and_commit(draft, attach, *change).await.map(|(entry, approval)| (entry, Some(approval)))
            }
        };
        let (entry, approval) = recorded.inspect_err(|error| self.metrics.refused(&call.tenant, door, error.code()))?;
        let effect = effect(&judgement, approval.as_deref());
        let ruling = Ruling { judgement, entry, approval, effect };
        self.report(call, door, &ruling);
        if let (true, Some(approval)) = (parked, &ruling.approval) {
            self.events.publish(&approval.tenant, || Event::approval(approval));
        }
        Ok(ruling)
    }

    /// Refuses whatever a halted or removed agent says; no entry is written, since this costs nothing.
    ///
    /// # Errors
    /// The agent is halted or removed.
    pub fn awake(&self, agent: &AgentIdentity) -> Result<(), GateError> {
        admitted(self.ports.identity.standing(&agent.tenant, &agent.name))
    }

    /// Whether any rule says which tools the agent may know of.
    #[must_use]
    pub fn has_tool_rules(&self, agent: &AgentIdentity) -> bool {
        self.ports.identity.has_tool_rules(&agent.tenant, &agent.name)
    }

    /// Whether the agent may know of this tool.
    #[must_use]
    pub fn sees(&self, agent: &AgentIdentity, upstream: &str, tool: &str) -> bool {
        self.ports.identity.sees(&agent.tenant, &agent.name, upstream, tool)
    }

    /// A number that changes when policy may show the agent other tools than before.
    #[must_use]
    pub fn visible(&self, agent: &AgentIdentity) -> u64 {
        let generations = self.ports.judge.generations(Some(&agent.tenant));
        let mut hasher = DefaultHasher::new();
        for view in generations {
            view.generation.0.hash(&mut hasher);
        }
        self.ports.identity.tools_version(&agent.tenant, &agent.name).hash(&mut hasher);
        hasher.finish()
    }

    /// How the agent is told of refused tool calls.
    #[must_use]
    pub fn denials(&self, agent: &AgentIdentity) -> DenialForm {
        self.ports.identity.denials(&agent.tenant, &agent.name)
    }

    /// Looks at what the tool answered and records how the call ended. A review of a result is not parked: the
    /// effect is then [`Effect::Refuse`].
    ///
    /// # Errors
    /// Every error means that the result must not be passed on.
    pub async fn settle(&self, facts: &CallFacts, outcome: Outcome, result: &Call) -> Result<Ruling, GateError> {
        let settled = async {
            let (judgement, _) = match self.judge_call(result).await {
                Ok(judged) => judged,
                Err(error) => {
                    self.end(facts, outcome, Some(error.code())).await?;
                    return Err(error);
                }
            };
            let mut draft = draft(EntryKind::Outcome, result, facts.door, &judgement);
            facts.complete(&mut draft, outcome);
            let effect = effect(&judgement, None);
            let delivered = match &effect {
                Effect::Forward if facts.error => Delivered::Error(&result.payload),
                Effect::Forward => Delivered::Result(&result.payload),
                Effect::Replace(document) if facts.error => Delivered::Error(document),
                Effect::Replace(document) => Delivered::Result(document),
                Effect::Refuse | Effect::Park => Delivered::Withheld(&judgement),
            };
            let attach = [facts.kept(outcome, delivered), facts.ended(), self.told(result, &judgement)].concat();
            let entry = self.append(draft, attach).await?;
            let ruling = Ruling { judgement, entry, approval: None, effect };
            self.report(result, facts.door, &ruling);
            Ok(ruling)
        };
        settled.instrument(span(result, facts.door)).await
    }

    /// Records how a forwarded call ended when there is nothing to look at: the upstream failed, the caller went away.
    /// `note` is a short text without anything from the payload.
    ///
    /// # Errors
    /// The entry could not be written.
    pub async fn end(&self, facts: &CallFacts, outcome: Outcome, note: Option<&str>) -> Result<EntryRef, GateError> {
        let mut draft = blank(EntryKind::Outcome, &facts.call, facts.door, facts.mode);
        draft.generation = Some(facts.generation);
        draft.note = note.map(str::to_owned);
        facts.complete(&mut draft, outcome);
        let attach = [facts.kept(outcome, Delivered::Nothing), facts.ended()].concat();
        self.append(draft, attach).await
    }

    /// Records an operator's vote and puts it into effect.
    ///
    /// # Errors
    /// The vote does not count, or its entry could not be written; nothing has changed then.
    pub async fn vote(&self, ballot: &Ballot<'_>) -> Result<Arc<Approval>, VoteError> {
        self.may_vote(ballot)?;
        let change = self.ports.approvals.decide_while(ballot, |approval, vote| self.still_votes(approval, vote))?;
        Ok(self.record_change(change).await?)
    }

    /// The same for somebody who was shown the call of this digest: none if an approver has changed it since.
    ///
    /// # Errors
    /// As [`vote`](Self::vote).
    pub async fn vote_shown(&self, ballot: &Ballot<'_>, shown: Digest) -> Result<Option<Arc<Approval>>, VoteError> {
        self.may_vote(ballot)?;
        let stands = |approval: &Approval, vote: &Vote| self.still_votes(approval, vote);
        let Some(change) = self.ports.approvals.decide_shown(ballot, shown, stands)? else { return Ok(None) };
        Ok(Some(self.record_change(change).await?))
    }

    /// Whether who approved before is still there, would still be asked, and does not run the agent by now.
    fn still_votes(&self, approval: &Approval, vote: &Vote) -> bool {
        let operator = self.ports.identity.operator(&approval.tenant, &vote.operator);
        operator.is_some_and(|operator| approval.is_for(&operator.voter(), vote.time_ms))
    }

    /// Nobody approves a call of an agent that is halted or gone.
    fn may_vote(&self, ballot: &Ballot<'_>) -> Result<(), GateError> {
        match self.ports.approvals.get(ballot.tenant, ballot.id).filter(|_| ballot.approve) {
            Some(approval) => admitted(self.ports.identity.standing(&approval.tenant, &approval.agent)),
            None => Ok(()),
        }
    }

    /// Records that an operator accepts the definition that waits at a pin, and puts it into effect.
    ///
    /// # Errors
    /// Another definition waits, or none, or the entry could not be written; nothing has changed then. If that shows only
    /// after the entry was written, a second entry says so.
    pub async fn accept_pin(
        self: &Arc<Self>,
        operator: &OperatorIdentity,
        id: String,
        digest: Digest,
    ) -> Result<Pin, AcceptError> {
        let (gate, operator) = (Arc::clone(self), operator.clone());
        // A task of its own: what is recorded comes into effect, whether or not the caller still waits.
        let work = async move {
            let tenant = Arc::clone(&operator.tenant);
            let pins = Arc::clone(&gate.ports.pins);
            let read = {
                let (pins, tenant, id) = (Arc::clone(&pins), Arc::clone(&tenant), id.clone());
                tokio::task::spawn_blocking(move || pins.get(&tenant, &id))
            };
            let pin = read.await.map_err(|_| GateError::Failed)??.ok_or(PinError::Unknown)?;
            if pin.pending.as_ref().is_none_or(|pending| pending.digest != digest) {
                return Err(PinError::Other.into());
            }
            let draft = acceptance(&pin, &operator, digest, gate.mode(&tenant));
            let entry = gate.append(draft.clone(), Vec::new()).await?;
            let accept = move || pins.accept(&tenant, &id, digest, &operator.name, now_ms());
            let accepted = tokio::task::spawn_blocking(accept).await;
            let error = match accepted {
                Ok(Ok(pin)) => return Ok(pin),
                Ok(Err(error)) => AcceptError::Pin(error),
                Err(_) => AcceptError::Gate(GateError::Failed),
            };
            // The entry before says that it was accepted, and stands.
            let took_back = gate.append(not_accepted(draft, entry, &error), Vec::new()).await;
            if let Err(unrecorded) = took_back {
                tracing::error!(seq = entry.seq, %error, %unrecorded, "the log shows an acceptance that had no effect");
            }
            Err(error)
        };
        tokio::spawn(work.in_current_span()).await.map_err(|_| GateError::Failed)?
    }

    /// Records passed deadlines and due escalation steps and puts them into effect, some hundreds at most. Call it about once a second.
    ///
    /// # Errors
    /// An entry could not be written; the rest is tried again the next time.
    pub async fn expire(&self) -> Result<usize, GateError> {
        let now_ms = now_ms();
        let mut due = self.ports.approvals.overdue(now_ms, EXPIRE_AT_ONCE);
        due.extend(self.ports.approvals.escalations(now_ms, EXPIRE_AT_ONCE));
        // At once: their entries go to the disk together.
        let recorded = futures_util::future::join_all(due.into_iter().map(|change| self.record_change(change))).await;
        let count = recorded.len();
        recorded.into_iter().try_for_each(|one| one.map(drop))?;
        Ok(count)
    }

    /// Records passed deadlines for as long as it is polled. Run it beside whatever makes calls.
    pub async fn keep_expiring(&self) {
        let mut every = tokio::time::interval(EXPIRE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if let Err(error) = self.expire().await {
                tracing::warn!(%error, "the end of a parked call could not be recorded");
            }
            if let Err(error) = self.withdraw().await {
                tracing::warn!(%error, "parked calls of an agent that is stopped could not be denied");
            }
        }
    }

    /// Releases an approved call to `call`: `true` the first time only.
    async fn use_up(&self, approval: &Approval, call: Uuid, door: Door) -> Result<bool, GateError> {
        admitted(self.ports.identity.standing(&approval.tenant, &approval.agent))?;
        self.spend(approval, call, release_draft(approval, call, door)).await
    }

    /// Uses an approved call up, with this entry about it: `true` the first time only.
    async fn spend(&self, approval: &Approval, call: Uuid, draft: Draft) -> Result<bool, GateError> {
        let until = Instant::now() + APPEND_WAIT;
        let change = loop {
            match self.ports.approvals.release(&approval.tenant, approval.id, call, now_ms()) {
                Ok(change) => break change,
                // Somebody else's change of it is being recorded: what came of it is known in a moment.
                Err(ReleaseError::Busy) if Instant::now() < until => tokio::time::sleep(BUSY_PAUSE).await,
                Err(ReleaseError::Busy) => return Err(no_answer()),
                Err(_) => return Ok(false),
            }
        };
        let records = records(&change);
        let (_, approval) = self.append_and_commit(draft, records, change).await?;
        self.events.publish(&approval.tenant, || Event::approval(&approval));
        Ok(true)
    }

    async fn record_change(&self, change: Change) -> Result<Arc<Approval>, GateError> {
        let records = records(&change);
        let Some(draft) = change.draft() else { return Err(GateError::Failed) };
        let (_, approval) = self.append_and_commit(draft, records, change).await?;
        self.events.publish(&approval.tenant, || Event::approval(&approval));
        Ok(approval)
    }

    /// Nobody can cancel this halfway: a change that is durable also comes into effect.
    async fn append_and_commit(
        &self,
        draft: Draft,
        attach: Vec<Attachment>,
        change: Change,
    ) -> Result<(EntryRef, Arc<Approval>), GateError> {
        let (journal, metrics) = (Arc::clone(&self.ports.journal), Arc::clone(&self.metrics));
        let work = async move {
            let started = Instant::now();
            let appended = journal.append(draft, attach).instrument(tracing::debug_span!("commit")).await;
            metrics.committed(started.elapsed(), appended.is_ok());
            Ok((appended?, change.commit()))
        };
        let work = tokio::time::timeout(APPEND_WAIT, tokio::spawn(work.in_current_span()));
        match work.await {
            Ok(done) => done.unwrap_or(Err(GateError::Failed)),
            Err(_) => Err(no_answer()),
        }
    }

    /// The judgement and the digest of the call.
    async fn judge_call(&self, call: &Call) -> Result<(Judgement, Digest), GateError> {
        let started = Instant::now();
        let large = call.payload.raw().len() > INLINE_BYTES;
        let span = tracing::debug_span!("judge");
        let at_once = || span.in_scope(|| self.ports.judge.judge_at_once(call));
        let judged = match (!large).then(at_once).flatten() {
            Some(judged) => judged.map(|judgement| (judgement, call.digest())),
            None => {
                // Who waits for others holds a place for seconds: those for work are not for that.
                let place = if self.ports.judge.waits(call) {
                    self.waiting.take(&call.tenant, &call.agent).await?
                } else {
                    self.heavy.take(&call.tenant, &call.agent).await?
                };
                let (judge, call) = (Arc::clone(&self.ports.judge), call.clone());
                let task = tokio::task::spawn_blocking(move || {
                    let _place = place;
                    judge_now(&*judge, &call)
                });
                task.instrument(span).await.map_err(|_| GateError::Failed)?
            }
        };
        self.metrics.judged(started.elapsed());
        judged.ok_or(GateError::NoPipeline)
    }

    /// How a call stands towards an approval, once nobody else is changing that.
    async fn holding(
        &self,
        call: &Call,
        judged: (&Judgement, Digest),
        may_park: bool,
        door: Door,
        wait: &mut Wait,
        unfit: Option<Uuid>,
    ) -> Result<Hold, GateError> {
        let (judgement, _) = judged;
        let until = Instant::now() + APPEND_WAIT;
        loop {
            let reviewed = judgement.decision == Decision::Review && judgement.mode == Mode::Enforce && may_park;
            let hold = if reviewed {
                self.hold(call, judged, door, wait, unfit)?
            } else {
                self.need_no_longer(call, judgement, wait)
            };
            match hold {
                Hold::Busy if Instant::now() < until => tokio::time::sleep(BUSY_PAUSE).await,
                Hold::Busy => return Err(no_answer()),
                hold => return Ok(hold),
            }
        }
    }

    /// Finds the approval of this very call, given or asked for everything that it is held for now, or parks it: an
    /// approver who was shown its arguments did not agree to a tool that has changed since. An approval that another caller
    /// waits for is that caller's: of two that make the same call at once, each waits for its own. `unfit` is none of them.
    fn hold(
        &self,
        call: &Call,
        (judgement, digest): (&Judgement, Digest),
        door: Door,
        wait: &mut Wait,
        unfit: Option<Uuid>,
    ) -> Result<Hold, GateError> {
        let approvals = &self.ports.approvals;
        let now_ms = now_ms();
        // Other doors cannot tell, or do not take, other arguments.
        let carries = matches!(door, Door::Mcp | Door::Inspect);
        let found = {
            let mut taken = self.waiters.taken();
            let free = |id| unfit != Some(id) && (wait.own() == Some(id) || !taken.contains(&id));
            let found = approvals.find_free(digest, judgement.generation, &judgement.reasons, now_ms, free);
            let found = found.filter(|found| carries || found.modification.is_none());
            if let Some(approval) = found.as_ref().filter(|found| found.state == State::Pending) {
                wait.take(&self.waiters, &mut taken, approval.id);
            }
            found
        };
        if let Some(approval) = found {
            if approval.state == State::Pending {
                return Ok(Hold::Known(approval));
            }
            match approvals.release(&call.tenant, approval.id, call.id, now_ms) {
                Ok(change) => return Ok(Hold::Changed(Box::new(change))),
                Err(ReleaseError::Busy) => return Ok(Hold::Busy),
                // Used by somebody else a moment ago: this call needs an approval of its own.
                Err(_) => {}
            }
        }
        let plan = judgement.plan.as_ref().ok_or(GateError::NoPlan)?;
        let (generation, reasons) = (judgement.generation, judgement.reasons.as_slice());
        let may_modify = call.phase == Phase::Call && carries && call.attached.is_none();
        let request = ParkRequest { call, digest, generation, plan, reasons, may_modify, now_ms };
        let change = approvals.park(&request).map_err(|error| match error {
            ParkError::Plan(_) => GateError::NoPlan,
            ParkError::TenantFull | ParkError::AgentFull => GateError::Busy("too many calls are waiting for approval"),
        })?;
        // Nobody else knows of it yet.
        wait.take(&self.waiters, &mut self.waiters.taken(), change.approval().id);
        Ok(Hold::Changed(Box::new(change)))
    }

    /// The cheap gates, for so many calls at once.
    fn admit(&self, call: &Call, calls: u32) -> Result<(), GateError> {
        admitted(self.ports.identity.admit(&call.tenant, &call.agent, calls))
    }

    /// The same for a call that was charged before.
    fn stands(&self, call: &Call) -> Result<(), GateError> {
        admitted(self.ports.identity.standing(&call.tenant, &call.agent))
    }

    async fn refuse<T>(&self, call: &Call, door: Door, error: GateError) -> Result<T, GateError> {
        self.metrics.refused(&call.tenant, door, error.code());
        let mut draft = blank(EntryKind::Refusal, call, door, self.mode(&call.tenant));
        draft.decision = Some(Decision::Deny);
        draft.reasons = vec![EntryReason { code: error.code().to_owned(), plugin: "portcullis".to_owned() }];
        draft.payload = Some(Arc::clone(&call.payload));
        self.append(draft, Vec::new()).await?;
        Err(error)
    }

    /// What is kept of what plugins were told when they judged a call.
    fn told(&self, call: &Call, judgement: &Judgement) -> Vec<Attachment> {
        let transcripts = self.transcripts.as_ref();
        transcripts.map(|kept| kept.keep(&call.tenant, &judgement.plugins, &self.metrics)).unwrap_or_default()
    }

    async fn append(&self, draft: Draft, attach: Vec<Attachment>) -> Result<EntryRef, GateError> {
        let started = Instant::now();
        let append = self.ports.journal.append(draft, attach).instrument(tracing::debug_span!("commit"));
        let appended = tokio::time::timeout(APPEND_WAIT, append).await;
        self.metrics.committed(started.elapsed(), matches!(appended, Ok(Ok(_))));
        // The entry may still be written: then the log shows a decision that nobody acted on, never the reverse.
        Ok(appended.map_err(|_| no_answer())??)
    }

    fn report(&self, call: &Call, door: Door, ruling: &Ruling) {
        tracing::Span::current().record("verdict", ruling.judgement.decision.as_str());
        self.metrics.ruled(call, door, &ruling.judgement);
        self.events.publish(&call.tenant, || Event::verdict(call, door, ruling));
    }
}

fn admitted(admission: Admission) -> Result<(), GateError> {
    match admission {
        Admission::Admitted => Ok(()),
        Admission::Halted => Err(GateError::Halted),
        Admission::Removed => Err(GateError::Removed),
        Admission::Limited { retry_after_s } => Err(GateError::RateLimited { retry_after_s }),
    }
}

fn no_answer() -> GateError {
    GateError::LedgerUnavailable("the disk does not answer".to_owned())
}

/// How a review stands towards its approval.
enum Hold {
    None,
    /// It was parked before and nobody decided yet.
    Known(Arc<Approval>),
    /// It is parked, or released, with its entry.
    Changed(Box<Change>),
    /// Somebody else's change of its approval is being recorded: what came of it is known in a moment.
    Busy,
}

impl Hold {
    fn approval(&self) -> Option<&Approval> {
        match self {
            Self::None | Self::Busy => None,
            Self::Known(approval) => Some(approval),
            Self::Changed(change) => Some(change.approval()),
        }
    }

    /// The approval that is used up by this call.
    fn released(&self) -> Option<&Approval> {
        match self {
            Self::Changed(change) => Some(&**change.approval()).filter(|approval| approval.released_ms.is_some()),
            Self::None | Self::Known(_) | Self::Busy => None,
        }
    }

    /// Whether the call is parked now.
    fn parked(&self) -> bool {
        matches!(self, Self::Changed(_)) && self.released().is_none()
    }

    fn note(&self) -> Option<String> {
        if let Some(approval) = self.released() {
            return Some(released_note("released by its approval", approval));
        }
        match self {
            Self::None | Self::Busy => None,
            Self::Known(_) => Some("parked before".to_owned()),
            Self::Changed(_) => Some("parked".to_owned()),
        }
    }
}

/// What an entry says of a released call, and which entry is about the call that runs if that is another one.
fn released_note(what: &str, approval: &Approval) -> String {
    match &approval.modification {
        Some(changed) => format!("{what} with the arguments of entry {}", changed.entry),
        None => what.to_owned(),
    }
}

fn records(change: &Change) -> Vec<Attachment> {
    let records = change.records().iter();
    records.map(|record| Attachment::Record(Record { key: record.key.clone(), value: record.value.clone() })).collect()
}

impl CallFacts {
    fn complete(&self, draft: &mut Draft, outcome: Outcome) {
        draft.outcome = Some(outcome);
        draft.duration_ms = u64::try_from(self.forwarded.elapsed().as_millis()).ok();
        draft.approval = self.approval;
        draft.call_digest = Some(self.digest);
    }
}

/// What traces show of a call; nothing of its payload. Not even built unless traces are asked for.
fn span(call: &Call, door: Door) -> tracing::Span {
    tracing::debug_span!(
        "call",
        id = %call.id,
        tenant = &*call.tenant,
        agent = &*call.agent,
        tool = &*call.tool,
        phase = call.phase.as_str(),
        door = ?door,
        verdict = tracing::field::Empty,
    )
}

fn judge_now(judge: &dyn Judge, call: &Call) -> Option<(Judgement, Digest)> {
    judge.judge(call).map(|judgement| (judgement, call.digest()))
}

/// What a door has to do with a judged call, given its approval if it has one.
pub(crate) fn effect(judgement: &Judgement, approval: Option<&Approval>) -> Effect {
    if judgement.mode == Mode::Observe {
        return Effect::Forward;
    }
    match judgement.decision {
        // Only what an approver changed has a replacement.
        Decision::Allow => judgement.replacement.clone().map_or(Effect::Forward, Effect::Replace),
        Decision::Redact => judgement.replacement.clone().map_or(Effect::Refuse, Effect::Replace),
        Decision::Deny => Effect::Refuse,
        Decision::Review => match approval {
            Some(approval) if approval.released_ms.is_some() => {
                judgement.replacement.clone().map_or(Effect::Forward, Effect::Replace)
            }
            Some(_) => Effect::Park,
            None => Effect::Refuse,
        },
    }
}

fn blank(kind: EntryKind, call: &Call, door: Door, mode: Mode) -> Draft {
    Draft {
        kind,
        tenant: Arc::clone(&call.tenant),
        id: call.id,
        time_ms: call.time_ms,
        agent: Arc::clone(&call.agent),
        session: call.session.clone(),
        door,
        upstream: call.upstream.clone(),
        tool: Some(Arc::clone(&call.tool)),
        phase: call.phase,
        mode,
        decision: None,
        reasons: Vec::new(),
        findings: Vec::new(),
        plugins: Vec::new(),
        generation: None,
        approval: None,
        outcome: None,
        duration_ms: None,
        call_digest: None,
        payload: None,
        note: None,
    }
}

fn draft(kind: EntryKind, call: &Call, door: Door, judgement: &Judgement) -> Draft {
    let reasons = judgement.reasons.iter();
    let plugins = judgement.plugins.iter();
    Draft {
        decision: Some(judgement.decision),
        reasons: reasons.map(|r| EntryReason { code: r.code.clone(), plugin: r.plugin.clone() }).collect(),
        findings: strongest(judgement),
        plugins: plugins
            .map(|run| EntryPlugin {
                name: Arc::clone(&run.name),
                digest: run.digest,
                fuel: run.fuel,
                fault: run.fault.clone(),
                answers: run.answers,
            })
            .collect(),
        generation: Some(judgement.generation),
        payload: Some(Arc::clone(&call.payload)),
        ..blank(kind, call, door, judgement.mode)
    }
}

/// All findings, strongest first: the ledger keeps the first 64 and counts the rest.
fn strongest(judgement: &Judgement) -> Vec<EntryFinding> {
    let thousandths = |score: f32| {
        // In range by the pipeline's own check; the cast saturates in any case.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000 first")]
        let score = (score.clamp(0.0, 1.0) * 1000.0).round() as u16;
        score
    };
    let findings = judgement.findings.iter();
    let mut out: Vec<_> = findings
        .map(|found| EntryFinding {
            plugin: found.plugin.clone(),
            category: found.finding.category.clone(),
            score: thousandths(found.finding.score),
        })
        .collect();
    if out.len() > ENTRY_FINDINGS {
        out.sort_by_key(|found| std::cmp::Reverse(found.score));
    }
    out
}

/// The entry about an accepted definition of a tool.
fn acceptance(pin: &Pin, operator: &OperatorIdentity, digest: Digest, mode: Mode) -> Draft {
    let name = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    Draft {
        kind: EntryKind::Approval,
        tenant: Arc::clone(&operator.tenant),
        id: Uuid::now_v7(),
        time_ms: now_ms(),
        agent: Arc::clone(&operator.name),
        session: None,
        door: Door::Control,
        upstream: name(&pin.upstream),
        tool: name(&pin.tool),
        phase: Phase::Listing,
        mode,
        decision: Some(Decision::Allow),
        reasons: vec![EntryReason { code: "pin.accepted".to_owned(), plugin: pin.plugin.to_string() }],
        findings: Vec::new(),
        plugins: Vec::new(),
        generation: None,
        approval: None,
        outcome: None,
        duration_ms: None,
        call_digest: None,
        payload: None,
        note: Some(match &pin.pinned {
            Some(pinned) => format!("definition {digest} accepted in place of {}", pinned.digest),
            None => format!("definition {digest} accepted"),
        }),
    }
}

/// The entry about an acceptance that is on record as `entry` and did not come into effect.
fn not_accepted(acceptance: Draft, entry: EntryRef, error: &AcceptError) -> Draft {
    let plugin = acceptance.reasons.first().map(|reason| reason.plugin.clone()).unwrap_or_default();
    let seq = entry.seq;
    let not = |why: &str| format!("entry {seq} was not put into effect: {why}");
    let note = match error {
        AcceptError::Pin(PinError::Other) => not("another definition waits by now, or none"),
        AcceptError::Pin(PinError::Unknown) => not("the pin is gone"),
        AcceptError::Pin(PinError::Unavailable(_)) => not("the pins are not available"),
        AcceptError::Gate(_) => format!("it is not known whether entry {seq} was put into effect"),
    };
    Draft {
        time_ms: now_ms(),
        decision: Some(Decision::Deny),
        reasons: vec![EntryReason { code: "pin.not_accepted".to_owned(), plugin }],
        note: Some(note),
        ..acceptance
    }
}

fn release_draft(approval: &Approval, call: Uuid, door: Door) -> Draft {
    Draft {
        kind: EntryKind::Approval,
        tenant: Arc::clone(&approval.tenant),
        id: call,
        time_ms: now_ms(),
        agent: Arc::clone(&approval.agent),
        session: approval.session.clone(),
        door,
        upstream: approval.upstream.clone(),
        tool: Some(Arc::clone(&approval.tool)),
        phase: approval.phase,
        mode: Mode::Enforce,
        decision: Some(Decision::Allow),
        reasons: Vec::new(),
        findings: Vec::new(),
        plugins: Vec::new(),
        generation: Some(approval.generation),
        approval: Some(approval.id),
        outcome: None,
        duration_ms: None,
        call_digest: Some(approval.digest),
        payload: None,
        note: Some(released_note("released to its caller", approval)),
    }
}
