//! What operators do with parked calls besides voting: claim, comment, change arguments. What ends them without anybody, and
//! the release of a call whose caller is there with it.

use std::sync::Arc;

use futures_util::future::join_all;
use portcullis_approvals::{
    Approval, Approvals, ArgumentChange, Comment, DecideError, KeptCall, Modification, ModificationError, State, Voter,
    modify,
};
use portcullis_model::{Approver, Call, Decision, Document, Door, EntryKind, Judgement, Plan, codes};
use uuid::Uuid;

use super::{EXPIRE_AT_ONCE, Effect, Gate, GateError, VoteError, draft, now_ms};
use crate::ports::{Admission, OperatorIdentity};

/// What came of asking for an approved call.
#[derive(Clone, Debug)]
pub(crate) enum Release {
    /// It is released to this call, the only time: what to pass on.
    Given(Effect),
    /// Another call has used it, or it was not used in time.
    Gone,
    /// Policy or tool are not what they were when people were asked: the call has to be judged anew.
    Outdated,
}

/// Why a change of arguments has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModifyError {
    /// It does not count, or was not recorded.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// The arguments cannot be changed like this.
    #[error(transparent)]
    Arguments(#[from] ModificationError),
    /// Policy would refuse the changed call, or hold it for more than people were asked about: codes of the reasons.
    #[error("policy does not let the changed call pass: {}", .0.join(", "))]
    Refused(Vec<String>),
    /// The router asks other people, or more of them, about the changed call.
    #[error("other people, or more of them, would have to approve the changed call: let its agent make it")]
    OtherPeople,
}

impl From<DecideError> for ModifyError {
    fn from(error: DecideError) -> Self {
        Self::Vote(error.into())
    }
}

impl From<GateError> for ModifyError {
    fn from(error: GateError) -> Self {
        Self::Vote(error.into())
    }
}

impl OperatorIdentity {
    /// As whom it acts on approvals.
    #[must_use]
    pub fn voter(&self) -> Voter<'_> {
        Voter { operator: &self.name, roles: &self.roles, runs: &self.runs }
    }
}

impl Gate {
    /// Records that an operator looks at a parked call, or does not any more.
    ///
    /// # Errors
    /// Not pending, not asked or claimed by another, or the entry could not be written; nothing has changed then.
    pub async fn claim(&self, operator: &OperatorIdentity, id: Uuid, take: bool) -> Result<Arc<Approval>, VoteError> {
        let approvals = self.approvals();
        // There is nothing to put on record.
        let unclaimed = |known: &Arc<Approval>| {
            !take && known.state_at(now_ms()) == State::Pending && known.claim_at(now_ms()).is_none()
        };
        if let Some(known) = approvals.get(&operator.tenant, id).filter(unclaimed)
            && known.asks(&operator.name, &operator.roles, now_ms())
        {
            return Ok(known);
        }
        let change = approvals.claim(&operator.tenant, id, &operator.voter(), take, now_ms())?;
        Ok(self.record_change(change).await?)
    }

    /// Records what an operator says of an approval, whatever its state.
    ///
    /// # Errors
    /// Too long, too many, or the entry could not be written; nothing has changed then.
    pub async fn comment(
        &self,
        operator: &OperatorIdentity,
        id: Uuid,
        text: String,
    ) -> Result<Arc<Approval>, VoteError> {
        let comment = Comment { operator: Arc::clone(&operator.name), text, time_ms: now_ms() };
        let change = self.approvals().comment(&operator.tenant, id, comment)?;
        Ok(self.record_change(change).await?)
    }

    /// The arguments of a parked call, for an operator who may change them.
    ///
    /// # Errors
    /// It may not, or they could not be read.
    pub async fn arguments(&self, operator: &OperatorIdentity, id: Uuid) -> Result<Document, VoteError> {
        Ok(self.kept_call(operator, id).await?.payload)
    }

    async fn kept_call(&self, operator: &OperatorIdentity, id: Uuid) -> Result<KeptCall, VoteError> {
        self.approvals().may_modify(&operator.tenant, id, &operator.voter(), now_ms())?;
        let key = Approvals::arguments_key(&operator.tenant, id);
        let journal = Arc::clone(self.journal());
        // It may have to read the disk.
        let read = tokio::task::spawn_blocking(move || journal.record(&key)).await;
        let bytes = read.map_err(|_| GateError::Failed)?.map_err(GateError::from)?;
        // Decided a moment ago, if they are not there.
        let bytes = bytes.ok_or(DecideError::Fixed)?;
        Ok(KeptCall::read(&bytes).ok_or(GateError::Failed)?)
    }

    /// Replaces scalar values in the arguments of a parked call. The changed call is judged in full, on record, and must be
    /// let through, or held for nothing that nobody was asked about. Those who approved before are asked again.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn modify(
        &self,
        operator: &OperatorIdentity,
        id: Uuid,
        changes: Vec<ArgumentChange>,
        comment: Option<String>,
    ) -> Result<Arc<Approval>, ModifyError> {
        let KeptCall { persona, task, payload } = self.kept_call(operator, id).await?;
        let approval = self.approvals().get(&operator.tenant, id).ok_or(DecideError::Unknown)?;
        let call = Call {
            id: Uuid::now_v7(),
            phase: approval.phase,
            tenant: Arc::clone(&approval.tenant),
            agent: Arc::clone(&approval.agent),
            session: approval.session.clone(),
            persona,
            task,
            upstream: approval.upstream.clone(),
            tool: Arc::clone(&approval.tool),
            payload: Arc::new(modify(&payload, &changes)?),
            time_ms: now_ms(),
            attached: None,
        };
        let (judgement, digest) = self.judge_call(&call).await?;
        let mut entry = draft(EntryKind::Decision, &call, Door::Control, &judgement);
        entry.approval = Some(id);
        entry.call_digest = Some(digest);
        entry.note = Some(format!("a parked call as {} would change it", operator.name));
        let entry = self.append(entry, self.told(&call, &judgement)).await?.seq;
        if !passes(&judgement, &approval) {
            return Err(ModifyError::Refused(judgement.reasons.into_iter().map(|reason| reason.code).collect()));
        }
        // Or who may approve little could make it much.
        if judgement.decision == Decision::Review
            && !judgement.plan.as_ref().is_some_and(|plan| asks_no_more(plan, &approval.plan))
        {
            return Err(ModifyError::OtherPeople);
        }
        let name = Arc::clone(&operator.name);
        let modification = Modification { operator: name, changes, digest, entry, comment, time_ms: now_ms() };
        let change = self.approvals().modify(&operator.tenant, id, &operator.voter(), modification)?;
        Ok(self.record_change(change).await?)
    }

    /// Denies the parked calls of agents that are halted or removed, some hundreds at most.
    ///
    /// # Errors
    /// An entry could not be written; the rest is tried again the next time.
    pub async fn withdraw(&self) -> Result<usize, GateError> {
        let now_ms = now_ms();
        let gone = self.approvals().undecided().into_iter().filter_map(|approval| {
            let code = match self.ports.identity.standing(&approval.tenant, &approval.agent) {
                Admission::Halted => codes::AGENT_HALTED,
                Admission::Removed => codes::AGENT_REMOVED,
                Admission::Admitted | Admission::Limited { .. } => return None,
            };
            self.approvals().withdraw(&approval.tenant, approval.id, code, now_ms)
        });
        let changes: Vec<_> = gone.take(EXPIRE_AT_ONCE).collect();
        let recorded = join_all(changes.into_iter().map(|change| self.record_change(change))).await;
        let count = recorded.len();
        recorded.into_iter().try_for_each(|one| one.map(drop))?;
        Ok(count)
    }

    /// Releases an approved call to its caller who is there with it, at the inspect door. It is judged once more: what was
    /// approved is released only under the policy, and for the tool, that people were asked about.
    ///
    /// # Errors
    /// The agent was halted or removed meanwhile, the call cannot be judged, or the entry about the release could not be
    /// written; it is not released then.
    pub(crate) async fn release_call(&self, approval: &Approval, call: &Call) -> Result<Release, GateError> {
        let (judgement, digest) = self.judge_call(call).await?;
        if digest != approval.digest || judgement.generation != approval.generation || !passes(&judgement, approval) {
            return Ok(Release::Outdated);
        }
        // There is nothing to say it with: the answer was written before.
        if judgement.decision == Decision::Redact && approval.modification.is_none() {
            return Ok(Release::Outdated);
        }
        let changed = match self.changed(call, approval).await {
            Ok(changed) => changed,
            Err(GateError::Modified) => return Ok(Release::Outdated),
            Err(error) => return Err(error),
        };
        if !self.use_up(approval, call.id, Door::Inspect).await? {
            return Ok(Release::Gone);
        }
        Ok(Release::Given(changed.map_or(Effect::Forward, Effect::Replace)))
    }

    /// The arguments that an approver put in place of the call's, judged as if it had come with them.
    ///
    /// # Errors
    /// [`GateError::Modified`] if policy does not let that call pass by now.
    pub(crate) async fn changed(&self, call: &Call, approval: &Approval) -> Result<Option<Arc<Document>>, GateError> {
        let Some(modification) = &approval.modification else { return Ok(None) };
        let payload = modify(&call.payload, &modification.changes).map_err(|_| GateError::Modified)?;
        let call = Call { payload: Arc::new(payload), ..call.clone() };
        let (judgement, digest) = self.judge_call(&call).await?;
        if digest != modification.digest || !passes(&judgement, approval) {
            return Err(GateError::Modified);
        }
        Ok(Some(judgement.replacement.unwrap_or(call.payload)))
    }
}

/// Whether a plan asks nobody whom the other does not ask as well, and no more of them.
fn asks_no_more(plan: &Plan, than: &Plan) -> bool {
    // Whoever may approve by the other plan, may by this one: the approval keeps the other.
    let fits = |asked: &[Approver], by: &[Approver]| by.iter().all(|who| asked.contains(who));
    let anybody = |plan: &Plan| {
        let later = plan.escalation.iter().flat_map(|step| &step.approvers);
        plan.approvers.iter().chain(later).cloned().collect::<Vec<_>>()
    };
    plan.quorum <= than.quorum && fits(&plan.approvers, &than.approvers) && fits(&anybody(plan), &anybody(than))
}

/// Whether a call may run by this approval: nothing is against it but what people were asked about.
fn passes(judgement: &Judgement, approval: &Approval) -> bool {
    match judgement.decision {
        Decision::Allow => true,
        Decision::Redact => judgement.replacement.is_some(),
        Decision::Review => approval.covers(&judgement.reasons),
        Decision::Deny => false,
    }
}
