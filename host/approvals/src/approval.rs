use std::collections::HashSet;
use std::sync::Arc;

use portcullis_model::{Approver, Digest, EntryReason, Phase, Plan, Reason};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Modification;

/// Longest time a call stays parked; plans that ask for more get this.
pub const MAX_DEADLINE_SECONDS: u32 = 30 * 24 * 3600;
/// Most bytes of an operator's comment.
pub const MAX_COMMENT: usize = 1024;
/// Most comments that are kept with an approval, those of votes aside.
pub const MAX_COMMENTS: usize = 32;
/// How long a claim holds, in milliseconds: five minutes, and it can be renewed.
pub const CLAIM_MS: u64 = 5 * 60 * 1000;

/// Reasons shown to the approver; the ledger has them all.
const MAX_REASONS: usize = 16;
const MAX_MESSAGE: usize = 512;
const MAX_SUMMARY: usize = 1024;
const MAX_APPROVERS: usize = 64;
const MAX_STEPS: usize = 16;
const MAX_CHANNELS: usize = 16;
const MAX_NAME: usize = 256;

/// Where an approval stands. All but `Pending` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody, or not enough people, decided.
    Pending,
    /// The call may run, once.
    Approved,
    /// An approver refused it.
    Denied,
    /// The deadline passed.
    Expired,
    /// The caller does not want it any more.
    Cancelled,
}

/// A parked call. Bound to one call (by digest), to the generation that judged it and to why it was parked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Its id, ordered by time.
    pub id: Uuid,
    /// Owner of the call.
    pub tenant: Arc<str>,
    /// Who made the call.
    pub agent: Arc<str>,
    /// The run of the agent.
    pub session: Option<Arc<str>>,
    /// Owner of the tool.
    pub upstream: Option<Arc<str>>,
    /// Tool name.
    pub tool: Arc<str>,
    /// What was judged.
    pub phase: Phase,
    /// Id of the call that was parked.
    pub call: Uuid,
    /// [`portcullis_model::Call::digest`] of that call: tenant, agent, session, upstream, tool, arguments.
    pub digest: Digest,
    /// The generation that judged.
    pub generation: Digest,
    /// Who decides.
    pub plan: Plan,
    /// Why the call was parked: at most 16, strongest first.
    pub reasons: Vec<Reason>,
    /// What else it was parked for: the codes of reasons beyond those, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_reasons: Vec<EntryReason>,
    /// Milliseconds since the Unix epoch at which it was parked.
    pub created_ms: u64,
    /// Milliseconds since the Unix epoch at which it expires if nobody decides.
    pub deadline_ms: u64,
    /// Where it stands. See [`state_at`](Self::state_at) for what to act on.
    pub state: State,
    /// Who voted, in order.
    pub votes: Vec<Vote>,
    /// Milliseconds since the Unix epoch at which it became final.
    pub ended_ms: Option<u64>,
    /// Milliseconds since the Unix epoch until which an approved call can be released.
    pub use_by_ms: Option<u64>,
    /// Milliseconds since the Unix epoch at which the approved call was released.
    pub released_ms: Option<u64>,
    /// Id of the call it was released to: the one that was parked or a later one of the same content.
    #[serde(default)]
    pub released_to: Option<Uuid>,
    /// Who looks at it. It keeps others from claiming it, and nobody from deciding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// What operators said of it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    /// What an approver put in place of arguments; votes before it do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modification: Option<Modification>,
    /// Why it was denied without a vote: a code, for instance that the agent is halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// Milliseconds since the Unix epoch up to which the channels of due escalation steps have been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_ms: Option<u64>,
}

/// Somebody looks at a parked call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Who.
    pub operator: Arc<str>,
    /// Milliseconds since the Unix epoch until which it holds.
    pub until_ms: u64,
}

/// What an operator said of a parked call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// Who.
    pub operator: Arc<str>,
    /// What, in the operator's words.
    pub text: String,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// One operator's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Who.
    pub operator: Arc<str>,
    /// Whether the call may run.
    pub approve: bool,
    /// Why, in the operator's words.
    pub comment: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Whether it does not count any more: when another one came, its operator was gone, or would not have been asked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lapsed: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Who acts on an approval: what its credential says.
#[derive(Clone, Copy, Debug)]
pub struct Voter<'a> {
    /// Name of the operator.
    pub operator: &'a str,
    /// The roles it has.
    pub roles: &'a [String],
    /// Agents that it runs: it approves none of their calls.
    pub runs: &'a [String],
}

/// Why a router's plan cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nobody may decide, nobody has to, or there is no time.
    #[error("the plan needs at least one approver, a quorum of at least 1 and a deadline of at least one second")]
    Empty,
    /// A list or name is too long.
    #[error(
        "the plan is too large: at most {MAX_APPROVERS} approvers and {MAX_CHANNELS} channels per step, {MAX_STEPS} \
         steps, {MAX_NAME} bytes per name"
    )]
    Size,
}

/// Why a vote does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The tenant has no such approval.
    #[error("there is no such approval")]
    Unknown,
    /// It is final.
    #[error("the approval is {} already", .0.as_str())]
    Ended(State),
    /// The plan names others.
    #[error("the plan of this approval names other approvers")]
    NotEligible,
    /// The operator has the name of the agent that made the call, or runs that agent.
    #[error("nobody approves their own call")]
    SelfApproval,
    /// Another operator looks at it.
    #[error("another operator has claimed this approval")]
    Claimed,
    /// It has as many comments as are kept.
    #[error("an approval keeps at most {MAX_COMMENTS} comments")]
    Comments,
    /// It was changed, and the vote does not say that it is about the call as it is now.
    #[error("the arguments were changed: name the digest of the call that was shown")]
    Unseen,
    /// The router, or the door that the call came by, lets nobody change it.
    #[error("the arguments of this call cannot be changed by its approver")]
    Fixed,
    /// The operator approved before.
    #[error("this operator has approved already; another approver is needed")]
    Voted,
    /// The comment is too long.
    #[error("a comment has at most {MAX_COMMENT} bytes")]
    Comment,
    /// Another change of this approval is being made durable.
    #[error("another change of this approval is being recorded; try again in a moment")]
    Busy,
}

/// Why an approved call is not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The tenant has no such approval.
    #[error("there is no such approval")]
    Unknown,
    /// Not approved.
    #[error("the approval is {}", .0.as_str())]
    NotApproved(State),
    /// Released before.
    #[error("the approved call was released already; an approval is good for one call")]
    Used,
    /// Approved too long ago.
    #[error("the approval was not used in time")]
    TooLate,
    /// Another change of this approval is being made durable.
    #[error("another change of this approval is being recorded; try again in a moment")]
    Busy,
}

impl State {
    /// The word used on the wire and in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it never changes again.
    #[must_use]
    pub fn is_final(self) -> bool {
        self != Self::Pending
    }
}

impl Approval {
    /// The state to act on: a deadline counts from its very moment on, also before its expiry is recorded.
    #[must_use]
    pub fn state_at(&self, now_ms: u64) -> State {
        if self.state == State::Pending && now_ms >= self.deadline_ms { State::Expired } else { self.state }
    }

    /// Whether the call can still run because of it: pending in time, or approved, unused and not too old.
    #[must_use]
    pub fn is_live(&self, now_ms: u64) -> bool {
        match self.state_at(now_ms) {
            State::Pending => true,
            State::Approved => self.released_ms.is_none() && self.use_by_ms.is_some_and(|use_by| now_ms < use_by),
            State::Denied | State::Expired | State::Cancelled => false,
        }
    }

    /// Whether it was parked for all of these: nobody was asked about a reason with a code of its own that came later.
    #[must_use]
    pub fn covers(&self, reasons: &[Reason]) -> bool {
        let shown = self.reasons.iter().map(what);
        let more = self.more_reasons.iter().map(|reason| (reason.plugin.as_str(), reason.code.as_str()));
        let parked: HashSet<_> = shown.chain(more).collect();
        reasons.iter().all(|reason| parked.contains(&what(reason)))
    }

    /// How many operators have approved.
    #[must_use]
    pub fn approvals(&self) -> u32 {
        u32::try_from(self.votes.iter().filter(|vote| vote.approve && !vote.lapsed).count()).unwrap_or(u32::MAX)
    }

    /// Digest of the call that would run now: with the arguments that an approver put in, if one did.
    #[must_use]
    pub fn shown(&self) -> Digest {
        self.modification.as_ref().map_or(self.digest, |modification| modification.digest)
    }

    /// The claim that holds.
    #[must_use]
    pub fn claim_at(&self, now_ms: u64) -> Option<&Claim> {
        self.claim.as_ref().filter(|claim| self.state_at(now_ms) == State::Pending && now_ms < claim.until_ms)
    }

    /// Whether the plan asks this operator, counting the escalation steps that are due.
    #[must_use]
    pub fn asks(&self, operator: &str, roles: &[String], now_ms: u64) -> bool {
        let fits = |approver: &Approver| match approver {
            Approver::Role(role) => roles.contains(role),
            Approver::Operator(name) => name == operator,
        };
        let due = |after: u32| now_ms >= self.created_ms.saturating_add(u64::from(after) * 1000);
        self.plan.approvers.iter().any(fits)
            || self.plan.escalation.iter().filter(|step| due(step.after_seconds)).any(|s| s.approvers.iter().any(fits))
    }

    /// Whether this operator is asked, and is not the one whose call it is.
    #[must_use]
    pub fn is_for(&self, by: &Voter<'_>, now_ms: u64) -> bool {
        self.asks(by.operator, by.roles, now_ms) && self.not_own(by).is_ok()
    }

    /// When the next escalation step is due whose channels have not been told, in milliseconds since the Unix epoch.
    pub(crate) fn next_step_ms(&self) -> Option<u64> {
        let untold = |due: &u64| self.escalated_ms.is_none_or(|told| *due > told);
        self.telling_steps().map(|(due, _)| due).filter(untold).min()
    }

    /// The channels that have been told, and tell of the end, too.
    pub(crate) fn told(&self) -> impl Iterator<Item = &str> {
        let due = self.telling_steps().filter(|(due, _)| self.escalated_ms.is_some_and(|told| *due <= told));
        self.plan.channels.iter().chain(due.flat_map(|(_, channels)| channels)).map(String::as_str)
    }

    /// The channels of the steps that this approval tells and `before` did not.
    pub(crate) fn newly_told(&self, before: Option<u64>) -> impl Iterator<Item = &str> {
        let since = move |due: u64| before.is_none_or(|told| due > told);
        let due = self
            .telling_steps()
            .filter(move |(due, _)| since(*due) && self.escalated_ms.is_some_and(|told| *due <= told));
        due.flat_map(|(_, channels)| channels).map(String::as_str)
    }

    /// The approval once the channels of all steps that are due have been told; `None` if none is, or it is final.
    pub(crate) fn escalated(&self, now_ms: u64) -> Option<Self> {
        let due = self.state_at(now_ms) == State::Pending && self.next_step_ms().is_some_and(|due| due <= now_ms);
        due.then(|| Self { escalated_ms: Some(now_ms), ..self.clone() })
    }

    /// Steps that name channels, with the time at which they are due.
    fn telling_steps(&self) -> impl Iterator<Item = (u64, &[String])> {
        let steps = self.plan.escalation.iter().filter(|step| !step.channels.is_empty());
        steps.map(|step| {
            let due = self.created_ms.saturating_add(u64::from(step.after_seconds) * 1000);
            (due, step.channels.as_slice())
        })
    }

    /// The approval once the votes that `stands` does not fit have lapsed.
    pub(crate) fn standing(&self, stands: impl Fn(&Vote) -> bool) -> Self {
        let mut next = self.clone();
        next.votes.iter_mut().for_each(|vote| vote.lapsed |= !stands(vote));
        next
    }

    /// The approval after a vote. One refusal is final; so are as many approvals as the quorum, by different operators.
    pub(crate) fn voted(&self, vote: Vote, by: &Voter<'_>, use_within_ms: u64) -> Result<Self, DecideError> {
        let now_ms = vote.time_ms;
        self.pending_for(by, now_ms)?;
        check_comment(vote.comment.as_deref())?;
        if vote.approve {
            self.not_own(by)?;
            if self.votes.iter().any(|earlier| earlier.operator == vote.operator && !earlier.lapsed) {
                return Err(DecideError::Voted);
            }
        }
        let mut next = self.clone();
        let denied = !vote.approve;
        next.votes.push(vote);
        if denied {
            next.end(State::Denied, now_ms);
        } else if next.approvals() >= next.plan.quorum {
            next.end(State::Approved, now_ms);
            next.use_by_ms = Some(now_ms.saturating_add(use_within_ms));
        }
        Ok(next)
    }

    /// The approval after somebody took it up, or again.
    pub(crate) fn claimed(&self, by: &Voter<'_>, now_ms: u64) -> Result<Self, DecideError> {
        self.pending_for(by, now_ms)?;
        self.not_own(by)?;
        if self.claim_at(now_ms).is_some_and(|claim| &*claim.operator != by.operator) {
            return Err(DecideError::Claimed);
        }
        let claim = Claim { operator: Arc::from(by.operator), until_ms: now_ms.saturating_add(CLAIM_MS) };
        Ok(Self { claim: Some(claim), ..self.clone() })
    }

    /// The approval after its claim was given back.
    pub(crate) fn unclaimed(&self, by: &Voter<'_>, now_ms: u64) -> Result<Self, DecideError> {
        self.pending_for(by, now_ms)?;
        match self.claim_at(now_ms) {
            Some(claim) if &*claim.operator != by.operator => Err(DecideError::Claimed),
            _ => Ok(Self { claim: None, ..self.clone() }),
        }
    }

    /// The approval with a comment, in any state.
    pub(crate) fn commented(&self, comment: Comment) -> Result<Self, DecideError> {
        check_comment(Some(&comment.text))?;
        if self.comments.len() >= MAX_COMMENTS {
            return Err(DecideError::Comments);
        }
        let mut next = self.clone();
        next.comments.push(comment);
        Ok(next)
    }

    /// Whether this operator may change the arguments now.
    pub(crate) fn may_modify(&self, by: &Voter<'_>, now_ms: u64) -> Result<(), DecideError> {
        self.pending_for(by, now_ms)?;
        self.not_own(by)?;
        if self.plan.may_modify { Ok(()) } else { Err(DecideError::Fixed) }
    }

    /// The approval of the call with other arguments: who approved before has not seen these.
    pub(crate) fn modified(&self, modification: Modification, by: &Voter<'_>) -> Result<Self, DecideError> {
        self.may_modify(by, modification.time_ms)?;
        check_comment(modification.comment.as_deref())?;
        Ok(Self { modification: Some(modification), votes: Vec::new(), ..self.clone() })
    }

    /// The approval after its call may not run any more whoever approves; `None` if it is final.
    pub(crate) fn withdrawn(&self, code: &str, now_ms: u64) -> Option<Self> {
        let pending = self.state_at(now_ms) == State::Pending;
        pending.then(|| Self { withdrawn: Some(code.to_owned()), ..self.ended(State::Denied, now_ms) })
    }

    fn still_pending(&self, now_ms: u64) -> Result<(), DecideError> {
        match self.state_at(now_ms) {
            State::Pending => Ok(()),
            ended => Err(DecideError::Ended(ended)),
        }
    }

    fn pending_for(&self, by: &Voter<'_>, now_ms: u64) -> Result<(), DecideError> {
        self.still_pending(now_ms)?;
        if self.asks(by.operator, by.roles, now_ms) { Ok(()) } else { Err(DecideError::NotEligible) }
    }

    fn not_own(&self, by: &Voter<'_>) -> Result<(), DecideError> {
        let same = |name: &str| name.eq_ignore_ascii_case(&self.agent);
        if same(by.operator) || by.runs.iter().any(|agent| same(agent)) {
            return Err(DecideError::SelfApproval);
        }
        Ok(())
    }

    /// The approval after its deadline, by either clock; `None` if that has not passed or it is final.
    pub(crate) fn expired(&self, now_ms: u64, by_timer: bool) -> Option<Self> {
        let passed = by_timer || now_ms >= self.deadline_ms;
        (self.state == State::Pending && passed).then(|| self.ended(State::Expired, now_ms))
    }

    /// The approval after the caller gave up; `None` if it is final.
    pub(crate) fn cancelled(&self, now_ms: u64) -> Option<Self> {
        (self.state_at(now_ms) == State::Pending).then(|| self.ended(State::Cancelled, now_ms))
    }

    /// The approval after its single use by `call`.
    pub(crate) fn released(&self, call: Uuid, now_ms: u64) -> Result<Self, ReleaseError> {
        match self.state_at(now_ms) {
            State::Approved => {}
            other => return Err(ReleaseError::NotApproved(other)),
        }
        if self.released_ms.is_some() {
            return Err(ReleaseError::Used);
        }
        if !self.is_live(now_ms) {
            return Err(ReleaseError::TooLate);
        }
        Ok(Self { released_ms: Some(now_ms), released_to: Some(call), ..self.clone() })
    }

    fn ended(&self, state: State, now_ms: u64) -> Self {
        let mut next = self.clone();
        next.end(state, now_ms);
        next
    }

    fn end(&mut self, state: State, now_ms: u64) {
        self.state = state;
        self.ended_ms = Some(now_ms);
    }
}

/// The plan as it is kept: checked, its deadline capped, its summary shortened.
pub(crate) fn check_plan(plan: &Plan) -> Result<Plan, PlanError> {
    if plan.approvers.is_empty() || plan.quorum == 0 || plan.deadline_seconds == 0 {
        return Err(PlanError::Empty);
    }
    let name_fits = |approver: &Approver| match approver {
        Approver::Role(name) | Approver::Operator(name) => name.len() <= MAX_NAME,
    };
    let list_fits = |approvers: &[Approver], channels: &[String]| {
        approvers.len() <= MAX_APPROVERS
            && channels.len() <= MAX_CHANNELS
            && approvers.iter().all(name_fits)
            && channels.iter().all(|channel| channel.len() <= MAX_NAME)
    };
    if !list_fits(&plan.approvers, &plan.channels)
        || plan.escalation.len() > MAX_STEPS
        || !plan.escalation.iter().all(|step| list_fits(&step.approvers, &step.channels))
    {
        return Err(PlanError::Size);
    }
    Ok(Plan {
        deadline_seconds: plan.deadline_seconds.min(MAX_DEADLINE_SECONDS),
        summary: shortened(&plan.summary, MAX_SUMMARY),
        ..plan.clone()
    })
}

/// The reasons as they are kept, and the codes that are in none of these.
pub(crate) fn check_reasons(reasons: &[Reason]) -> (Vec<Reason>, Vec<EntryReason>) {
    let (shown, rest) = reasons.split_at(reasons.len().min(MAX_REASONS));
    let mut known: HashSet<_> = shown.iter().map(what).collect();
    let more = rest.iter().filter(|reason| known.insert(what(reason)));
    let more = more.map(|reason| EntryReason { code: reason.code.clone(), plugin: reason.plugin.clone() }).collect();
    let kept = |reason: &Reason| Reason { message: shortened(&reason.message, MAX_MESSAGE), ..reason.clone() };
    (shown.iter().map(kept).collect(), more)
}

/// What a reason says apart from its words, which may hold numbers that differ each time.
fn what(reason: &Reason) -> (&str, &str) {
    (&reason.plugin, &reason.code)
}

fn check_comment(comment: Option<&str>) -> Result<(), DecideError> {
    if comment.is_some_and(|comment| comment.len() > MAX_COMMENT) {
        return Err(DecideError::Comment);
    }
    Ok(())
}

fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    const MARK: &str = "…";
    let end = text.floor_char_boundary(most - MARK.len());
    format!("{}{MARK}", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests;
