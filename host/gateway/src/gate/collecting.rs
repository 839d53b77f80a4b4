//! Approvals that are collected by their id: the caller made the call before, and runs it itself.

use std::sync::Arc;
use std::time::Duration;

use portcullis_approvals::{Approval, State};
use portcullis_model::Door;
use uuid::Uuid;

use super::{Gate, GateError, now_ms};

/// How long the answer to a call is kept for who repeats it.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long what is known of a parked call is kept after its deadline: whoever was asked on a Friday is asked for on Monday.
const AFTER_DEADLINE: Duration = Duration::from_secs(48 * 60 * 60);

/// Where a parked call stands for who asks by the approval's id, with the approval as it was then.
#[derive(Clone, Debug)]
pub(crate) enum Collected {
    /// Nobody has decided.
    Waits(Arc<Approval>),
    /// It is this call's: it may run, once.
    Given(Arc<Approval>),
    /// It may not run. Without an approval, that is not kept any longer.
    Refused(Uncollected, Option<Arc<Approval>>),
}

/// Why an approval is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Uncollected {
    #[error("an approver refused it")]
    Denied,
    #[error("its agent may not call any more")]
    Withdrawn,
    #[error("nobody decided in time")]
    Expired,
    #[error("it was cancelled")]
    Cancelled,
    #[error("the policy was changed meanwhile: ask again with a new id")]
    Outdated,
    #[error("its approver changed the arguments, which this contract cannot carry")]
    Changed,
    #[error("the approval was not used in time")]
    Unused,
    #[error("another call of the same content used the approval")]
    Used,
    #[error("it was too long ago")]
    Forgotten,
}

impl Gate {
    /// Where an approval stands for the call with this id. An approved one is used up by the first call that asks. Nothing
    /// can be judged again, so only the policy's identity is compared; and arguments that an approver changed cannot be
    /// given this way. Callers who are there with the call use [`release_call`](Self::release_call).
    ///
    /// # Errors
    /// The agent was halted or removed meanwhile, or the entry about the release could not be written; the call is not
    /// released then.
    pub(crate) async fn collect(
        &self,
        tenant: &str,
        approval: Uuid,
        call: Uuid,
        door: Door,
    ) -> Result<Collected, GateError> {
        let read = || self.approvals().get(tenant, approval);
        let Some(mut live) = read() else { return Ok(Collected::Refused(Uncollected::Forgotten, None)) };
        let now_ms = now_ms();
        if let Some(why) = Uncollected::at(&live, now_ms) {
            return Ok(Collected::Refused(why, Some(live)));
        }
        if live.state_at(now_ms) == State::Pending {
            return Ok(Collected::Waits(live));
        }
        if live.released_ms.is_none() {
            if live.modification.is_some() {
                return Ok(Collected::Refused(Uncollected::Changed, Some(live)));
            }
            // Another policy might not ask the same people, or none: nobody agreed to the call under it.
            if !self.judge().serves(tenant, live.generation) {
                return Ok(Collected::Refused(Uncollected::Outdated, Some(live)));
            }
            self.use_up(&live, call, door).await?;
            live = read().unwrap_or(live);
        }
        Ok(match (live.released_to, live.released_ms) {
            (Some(to), _) if to == call => Collected::Given(live),
            (_, None) => Collected::Refused(Uncollected::Unused, Some(live)),
            _ => Collected::Refused(Uncollected::Used, Some(live)),
        })
    }
}

impl Uncollected {
    /// Why nothing can come of this approval any more; none while something can.
    pub(crate) fn of(approval: &Approval) -> Option<Self> {
        Self::at(approval, now_ms())
    }

    fn at(approval: &Approval, now_ms: u64) -> Option<Self> {
        match approval.state_at(now_ms) {
            State::Pending | State::Approved => None,
            State::Denied if approval.withdrawn.is_some() => Some(Self::Withdrawn),
            State::Denied => Some(Self::Denied),
            State::Expired => Some(Self::Expired),
            State::Cancelled => Some(Self::Cancelled),
        }
    }
}

/// How long the answer to a call is kept: one that waits for a person, for as long as it can wait, and then some.
pub(crate) fn kept_for(approval: Option<&Approval>) -> Duration {
    let left = |approval: &Approval| Duration::from_millis(approval.deadline_ms.saturating_sub(now_ms()));
    approval.map_or(KEPT_FOR, |approval| KEPT_FOR.max(left(approval) + AFTER_DEADLINE))
}
