//! Callers that wait until a person has decided about their call.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_approvals::{Approval, ReleaseError, State};
use portcullis_model::{Call, Decision, Door, Draft, Judgement, Mode};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{APPEND_WAIT, BUSY_PAUSE, Effect, Gate, GateError, Hold, Ruling, now_ms, span};

/// The approvals that callers wait for: as many as pending approvals, at most. Only calls that want a review look here.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters(Arc<Mutex<HashSet<Uuid>>>);

/// The right to an approval: while this lives, no other call of the same content gets it.
#[derive(Debug)]
pub struct Waiter {
    id: Uuid,
    of: Waiters,
}

/// Whether the caller of a call that is parked waits for the decision.
pub(super) enum Wait {
    /// It does not, or not here.
    No,
    /// It would.
    Begins,
    /// It waits for this one.
    Goes {
        waiter: Waiter,
        /// Whether the call has passed the limits of its agent before.
        charged: bool,
    },
}

impl Waiters {
    pub(super) fn taken(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.of.taken().remove(&self.id);
    }
}

impl Wait {
    pub(super) fn own(&self) -> Option<Uuid> {
        if let Self::Goes { waiter, .. } = self { Some(waiter.id) } else { None }
    }

    pub(super) fn charged(&self) -> bool {
        matches!(self, Self::Goes { charged: true, .. })
    }

    /// From now on it waits for this one, if at all.
    pub(super) fn take(&mut self, of: &Waiters, taken: &mut HashSet<Uuid>, id: Uuid) {
        match self {
            Self::No => {}
            Self::Begins => {
                taken.insert(id);
                *self = Self::Goes { waiter: Waiter { id, of: of.clone() }, charged: true };
            }
            Self::Goes { waiter, .. } => {
                taken.remove(&waiter.id);
                taken.insert(id);
                waiter.id = id;
            }
        }
    }
}

impl Gate {
    /// As [`rule`](Self::rule), for a caller that can wait: if the call is parked, the approval is this caller's own.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub async fn rule_waiting(&self, call: &Call, door: Door) -> Result<(Ruling, Option<Waiter>), GateError> {
        self.rule_while(call, door, Wait::Begins).await
    }

    /// Decides once more about a call whose caller has waited, as it stands now: an approved one is released, its only
    /// time, and may run when this is back with [`Effect::Forward`] or [`Effect::Replace`]. `charged` says whether it was
    /// counted towards the limits of its agent before.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub async fn rule_again(
        &self,
        call: &Call,
        door: Door,
        waiter: Waiter,
        charged: bool,
    ) -> Result<(Ruling, Option<Waiter>), GateError> {
        self.rule_while(call, door, Wait::Goes { waiter, charged }).await
    }

    async fn rule_while(&self, call: &Call, door: Door, mut wait: Wait) -> Result<(Ruling, Option<Waiter>), GateError> {
        let ruling = self.decide(call, door, |_, _| Vec::new(), &mut wait).instrument(span(call, door)).await?;
        let waiter = match wait {
            Wait::Goes { waiter, .. } if matches!(ruling.effect, Effect::Park) => Some(waiter),
            _ => None,
        };
        Ok((ruling, waiter))
    }

    /// The right to an approval; `None` while another caller waits for it.
    #[must_use]
    pub fn wait_for(&self, approval: Uuid) -> Option<Waiter> {
        let new = self.waiters.taken().insert(approval);
        new.then(|| Waiter { id: approval, of: self.waiters.clone() })
    }

    /// Waits until an approval is final, at most for `timeout`: it may be pending still.
    pub async fn decided(&self, approval: &Approval, timeout: Duration) -> Option<Arc<Approval>> {
        self.ports.approvals.wait(&approval.tenant, approval.id, timeout, now_ms()).await
    }

    /// Ends a parked call because its caller gave up. What is final stays as it is.
    ///
    /// # Errors
    /// The entry about it could not be written: the approval stays pending then.
    pub async fn give_up(&self, tenant: &str, approval: Uuid) -> Result<(), GateError> {
        let until = Instant::now() + APPEND_WAIT;
        loop {
            if let Some(change) = self.ports.approvals.cancel(tenant, approval, now_ms()) {
                return self.record_change(change).await.map(drop);
            }
            let known = self.ports.approvals.get(tenant, approval);
            if known.is_none_or(|known| known.state_at(now_ms()).is_final()) {
                return Ok(());
            }
            // Somebody else's change of it is being recorded.
            if Instant::now() >= until {
                return Err(super::no_answer());
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }

    /// Ends a parked call because its user does not want it any more. One that was approved a moment before is used up, and
    /// nothing runs by it.
    ///
    /// # Errors
    /// The entry about it could not be written.
    pub(crate) async fn decline(&self, approval: &Approval, call: &Call, door: Door) -> Result<(), GateError> {
        self.give_up(&approval.tenant, approval.id).await?;
        let note = Some("approved, and declined by its user: nothing runs".to_owned());
        let draft = super::release_draft(approval, call.id, door);
        let draft = Draft { decision: Some(Decision::Deny), note, ..draft };
        self.spend(approval, call.id, draft).await.map(drop)
    }

    /// What becomes of the approval of a call that would pass without one by now: one that was given is used up all the same.
    pub(super) fn need_no_longer(&self, call: &Call, judgement: &Judgement, wait: &Wait) -> Hold {
        let passes =
            matches!(judgement.decision, Decision::Allow | Decision::Redact) && judgement.mode == Mode::Enforce;
        let Some(own) = wait.own().filter(|_| passes) else { return Hold::None };
        let approved = self.ports.approvals.get(&call.tenant, own).filter(|own| own.state == State::Approved);
        let change = approved.map(|own| self.ports.approvals.release(&call.tenant, own.id, call.id, now_ms()));
        match change {
            Some(Ok(change)) => Hold::Changed(Box::new(change)),
            Some(Err(ReleaseError::Busy)) => Hold::Busy,
            Some(Err(_)) | None => Hold::None,
        }
    }
}
