//! Calls that wait for a person: the client waits with them, or comes back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_approvals::{Approval, State};
use portcullis_model::{Call, Digest, Document, Door, Reason, Value};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::answers::{self, Refusal, ReplyTo};
use super::super::envelope::{Frame, INVALID_PARAMS, Id};
use super::super::holding::{HoldPlace, Offers, Parked, Progress, Way};
use super::super::sealed;
use super::{Asked, Desk, FromClient, Inspector, Stage};
use crate::gate::{GateError, Ruling, Waiter, now_ms};

/// A call of which a person has to decide, and which waits for that.
pub(crate) struct Held {
    id: Id,
    /// Without its payload, which may be large and stands in the message.
    call: Call,
    method: Arc<str>,
    approval: Arc<Approval>,
    reasons: Vec<Reason>,
    waiter: Waiter,
    place: HoldPlace,
    offers: Offers,
    way: Way,
    until: Instant,
    /// Whether the client came back with what it was given.
    returned: bool,
    /// Ends when the request does.
    wanted: oneshot::Receiver<()>,
    /// The message that was judged, if it is not the client's own.
    frame: Option<Frame>,
}

/// How a call that is parked has waited before.
pub(super) enum Before {
    /// It was held until now.
    Held { place: HoldPlace, way: Way, until: Instant, returned: bool },
    /// Its client came back.
    Returned,
}

/// What a client brings back.
pub(super) struct Returned {
    approval: Uuid,
    digest: Digest,
    /// Whether the user went on.
    accepted: bool,
}

/// Why a held call is held no longer.
enum End {
    /// It was decided, or the agent may not go on: the gate says what that comes to.
    Again,
    /// It will not run.
    Refused(Arc<Approval>, State),
    /// It was held long enough.
    Late,
    /// Nobody waits for it any more.
    Unwanted(&'static str),
}

/// What the gate says of a call, and the right to its approval if it is parked.
type Ruled = Result<(Ruling, Option<Waiter>), GateError>;

impl Held {
    /// What the transport needs to know. `frame` is the client's message.
    pub(crate) fn parked(&self, frame: &Frame) -> Parked {
        let progress = Progress::new(frame, &self.approval);
        Parked { way: self.way, id: self.id.clone(), approval: Arc::clone(&self.approval), progress }
    }

    /// The same, judged with this message in the place of the client's.
    pub(super) fn instead(mut self: Box<Self>, frame: Option<Frame>) -> Box<Self> {
        self.frame = frame;
        self
    }
}

impl Inspector {
    /// Whether clients can get tasks for parked calls.
    pub(super) fn has_tasks(&self) -> bool {
        self.origin.tasks && self.holds.on()
    }

    /// Holds a parked call, or gives the answer in its place.
    pub(super) async fn hold(
        &self,
        asked: &Asked<'_>,
        call: &Call,
        ruling: &Ruling,
        approval: &Arc<Approval>,
        waiter: Option<Waiter>,
        before: Option<Before>,
    ) -> Result<Box<Held>, Bytes> {
        let id = asked.reply.id;
        let reasons = &ruling.judgement.reasons;
        let (place, way, until, returned) = match before {
            Some(Before::Held { place, way, until, returned }) => (Some(place), way, until, returned),
            before => {
                let returned = before.is_some();
                let task = asked.offers.tasks && asked.tool.is_some() && self.has_tasks();
                if !task
                    && !returned
                    && let Some(answer) = self.asks(asked, call, approval)
                {
                    return Err(answer);
                }
                let now = Instant::now();
                let (way, until) = if task {
                    let left = approval.deadline_ms.saturating_sub(now_ms());
                    (Way::Task, now + Duration::from_millis(left))
                } else {
                    (Way::Open, now + self.holds.limits.wait)
                };
                let held = self.holds.on() && self.origin.desk != Desk::Nowhere;
                let bytes = asked.frame.raw().len();
                let place = if held { self.holds.take(&self.origin.agent, bytes) } else { None };
                (place, way, until, returned)
            }
        };
        let (Some(place), Some(waiter)) = (place, waiter) else {
            return Err(self.late(asked, call, approval, reasons, returned));
        };
        let (alive, wanted) = oneshot::channel();
        let still = match self.requests().pending.get_mut(id) {
            Some(pending) => {
                pending.stage = Stage::Held { _wanted: alive };
                true
            }
            None => false,
        };
        if !still {
            self.give_up(approval).await;
            return Err(answers::upstream_error(id, CANCELLED));
        }
        Ok(Box::new(Held {
            id: id.clone(),
            call: Call { payload: Arc::new(Document::empty()), ..call.clone() },
            method: asked.tool.map_or_else(|| Arc::clone(&call.tool), |_| Arc::from("tools/call")),
            approval: Arc::clone(approval),
            reasons: reasons.clone(),
            waiter,
            place,
            offers: asked.offers,
            way,
            until,
            returned,
            wanted,
            frame: None,
        }))
    }

    /// Waits until a person has decided about a held call, and then sends it on. `frame` is the client's message; `gone`
    /// is ready when nobody waits for the answer.
    pub(crate) async fn wait(
        &self,
        held: Box<Held>,
        frame: &Frame,
        gone: impl Future<Output = ()> + Send,
    ) -> FromClient {
        let mut gone = std::pin::pin!(gone);
        let mut held = held;
        let own = held.frame.take();
        let frame = own.as_ref().unwrap_or(frame);
        loop {
            let answer = match self.decided(&mut held, gone.as_mut()).await {
                End::Again => match self.again(held, frame).await {
                    FromClient::Held(next) => {
                        held = next;
                        continue;
                    }
                    done => return done,
                },
                End::Refused(approval, state) => match self.asked(&held.id, &held.method, frame, held.offers) {
                    Ok(asked) => Refusal::by_approval(held.call.id, &approval, state).answer(asked.reply),
                    Err(error) => answers::error(Some(&held.id), error.code(), &error.to_string(), None),
                },
                End::Late => match self.asked(&held.id, &held.method, frame, held.offers) {
                    Ok(asked) => {
                        let call = Call { payload: Arc::new(asked.payload()), ..held.call.clone() };
                        self.late(&asked, &call, &held.approval, &held.reasons, held.returned)
                    }
                    Err(error) => answers::error(Some(&held.id), error.code(), &error.to_string(), None),
                },
                End::Unwanted(text) => {
                    self.give_up(&held.approval).await;
                    answers::upstream_error(&held.id, text)
                }
            };
            self.forget(&held.id);
            return FromClient::Answer(answer);
        }
    }

    async fn decided(&self, held: &mut Held, gone: Pin<&mut (impl Future<Output = ()> + Send)>) -> End {
        let left = held.until.saturating_duration_since(Instant::now());
        let approval = tokio::select! {
            approval = self.gate.decided(&held.approval, left) => approval,
            () = gone => return End::Unwanted(super::super::front::GONE),
            _ = &mut held.wanted => return End::Unwanted(CANCELLED),
            () = self.asleep() => return End::Again,
            () = self.holds.stopped() => return End::Late,
        };
        let Some(approval) = approval else { return End::Refused(Arc::clone(&held.approval), State::Expired) };
        match approval.state_at(now_ms()) {
            State::Approved => End::Again,
            State::Pending => End::Late,
            state => End::Refused(approval, state),
        }
    }

    /// Ready when the agent is halted or removed.
    async fn asleep(&self) {
        let mut policy = self.holds.policy.subscribe();
        while self.gate.awake(&self.origin.agent).is_ok() {
            if policy.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Decides once more about a call that was decided by a person: what is released now is so for the only time.
    async fn again(&self, held: Box<Held>, frame: &Frame) -> FromClient {
        let Held { id, call, method, waiter, place, offers, way, until, returned, .. } = *held;
        let asked = match self.asked(&id, &method, frame, offers) {
            Ok(asked) => asked,
            Err(error) => {
                self.forget(&id);
                return FromClient::Answer(answers::error(Some(&id), error.code(), &error.to_string(), None));
            }
        };
        let call = Call { payload: Arc::new(asked.payload()), time_ms: now_ms(), ..call };
        let ruled = self.gate.rule_again(&call, Door::Mcp, waiter, true).await;
        self.ruled(&asked, &call, ruled, Some(Before::Held { place, way, until, returned })).await
    }

    async fn give_up(&self, approval: &Approval) {
        if let Err(error) = self.gate.give_up(&approval.tenant, approval.id).await {
            tracing::error!(approval = %approval.id, %error, "the end of a parked call could not be recorded");
        }
    }

    /// What a client is told that cannot wait here any longer.
    fn late(&self, asked: &Asked<'_>, call: &Call, approval: &Approval, reasons: &[Reason], returned: bool) -> Bytes {
        let again = if returned && self.holds.on() { self.asks(asked, call, approval) } else { None };
        again.unwrap_or_else(|| answers::needs_approval(asked.reply.id, call, reasons, approval, self.origin.desk))
    }

    /// The answer that asks the client to let its user open the address where people decide, if it can.
    fn asks(&self, asked: &Asked<'_>, call: &Call, approval: &Approval) -> Option<Bytes> {
        let address = self.holds.asking.address.as_ref().filter(|_| asked.offers.address)?;
        let state = sealed::State {
            tenant: Arc::clone(&call.tenant),
            agent: Arc::clone(&call.agent),
            approval: approval.id,
            digest: call.digest(),
            // As long as the call can be decided, or used after that.
            expires_ms: approval.deadline_ms.saturating_add(USED_WITHIN_MS),
            wrapped: asked.frame.request_state().map(str::to_owned),
            responses: asked.frame.input_responses().map(|responses| responses.raw().to_owned()),
        };
        let state = self.holds.asking.seal.seal(&state)?;
        let address = address.replace("{id}", &approval.id.to_string());
        Some(answers::asks_to_decide(asked.reply.id, approval, &address, &state))
    }

    /// What a client brings back from an answer of ours, and the message without it; none if it brings nothing of ours.
    pub(super) fn returned(&self, frame: &Frame) -> Result<Option<(Frame, Returned)>, Bytes> {
        let Some(state) = frame.request_state().filter(|state| sealed::is_ours(state)) else { return Ok(None) };
        let Some(id) = frame.request_id() else { return Ok(None) };
        let state = self.holds.asking.seal.open(state).ok_or_else(|| refused(id, "was not given out here"))?;
        let agent = &self.origin.agent;
        if (&state.tenant, &state.agent) != (&agent.tenant, &agent.name) {
            return Err(refused(id, "was not given out here"));
        }
        if now_ms() >= state.expires_ms {
            return Err(refused(id, "has expired"));
        }
        let answer = frame.input_responses().and_then(|responses| responses.get(answers::QUESTION)?.get("action"));
        let accepted = answer.and_then(Value::as_str).is_none_or(|action| action == "accept");
        let without = frame.returning(state.responses.as_deref(), state.wrapped.as_deref());
        // Parts of what was parsed before.
        let without = without.and_then(|without| Frame::parse(without).ok());
        let without = without.ok_or_else(|| refused(id, "cannot be used with this request"))?;
        Ok(Some((without, Returned { approval: state.approval, digest: state.digest, accepted })))
    }

    /// Decides about a call whose client has come back: once, and only about the very call that was parked.
    pub(super) async fn back(&self, asked: &Asked<'_>, call: &Call, returned: Returned) -> Result<Ruled, Bytes> {
        let ReplyTo { id, .. } = asked.reply;
        if call.digest() != returned.digest {
            return Err(refused(id, "was given out for another call"));
        }
        // First: nobody else uses the approval from here on.
        let waiter = self.gate.wait_for(returned.approval);
        let waiter = waiter.ok_or_else(|| refused(id, "is in use: another request waits with it"))?;
        let approval = self.gate.approvals().get(&call.tenant, returned.approval);
        let approval = approval.ok_or_else(|| refused(id, "has expired"))?;
        if approval.released_ms.is_some() {
            return Err(refused(id, "was used already: it is good for one call"));
        }
        if !returned.accepted
            && let Err(error) = self.gate.decline(&approval, call, Door::Mcp).await
        {
            tracing::error!(approval = %approval.id, %error, "the end of a parked call could not be recorded");
        }
        let approval = self.gate.approvals().get(&call.tenant, returned.approval).unwrap_or(approval);
        match approval.state_at(now_ms()) {
            State::Pending | State::Approved if returned.accepted => {
                Ok(self.gate.rule_again(call, Door::Mcp, waiter, false).await)
            }
            State::Approved | State::Pending => {
                Err(Refusal::by_approval(call.id, &approval, State::Cancelled).answer(asked.reply))
            }
            state => Err(Refusal::by_approval(call.id, &approval, state).answer(asked.reply)),
        }
    }
}

const CANCELLED: &str = "the request was cancelled";
/// How long an approved call can be used at most, in milliseconds: a day.
const USED_WITHIN_MS: u64 = 24 * 60 * 60 * 1000;

fn refused(id: &Id, why: &str) -> Bytes {
    answers::error(Some(id), INVALID_PARAMS, &format!("requestState {why}: make the call without it"), None)
}
