//! The inspect API: one question, one verdict, no side effect on tools.

use std::sync::Arc;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use portcullis_approvals::{Approval, State};
use portcullis_ledger::Attachment;
use portcullis_model::{Call, Decision, Digest, Document, Door, EntryKind, Phase, Value};
use tokio::sync::watch;
use uuid::Uuid;

use crate::gate::{Effect, Gate, GateError, Release, kept_for, now_ms};
use crate::http::{ApiError, Peer, Received};
use crate::ports::{AgentIdentity, EntryRef};
use answer::{Kept, Settled};
use question::Question;

pub(crate) mod answer;
pub(crate) mod question;

/// Calls of one batch.
pub(crate) const MAX_BATCH: usize = 128;
/// Calls of one batch that are judged before other requests get their turn.
const BATCH_AT_ONCE: usize = 4;
/// Entries read at once, and in all, when the entry of a kept answer is looked for.
const SEARCH_STEP: usize = 256;
const SEARCH_STEPS: usize = 64;

/// The door. Cheap to clone.
#[derive(Clone)]
pub(crate) struct InspectDoor {
    gate: Arc<Gate>,
    /// Upstreams whose lists come from themselves.
    upstreams: Arc<[Arc<str>]>,
    /// Becomes true when the server drains: answers are not held any longer then.
    closing: watch::Receiver<bool>,
}

/// An answer and the id of its call.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) id: Uuid,
    pub(crate) json: Vec<u8>,
}

impl InspectDoor {
    pub(crate) fn new(gate: Arc<Gate>, upstreams: Vec<Arc<str>>, closing: watch::Receiver<bool>) -> Self {
        Self { gate, upstreams: upstreams.into(), closing }
    }

    /// Answers `/v1/inspect`. With an error comes the id of the call, once one is known.
    pub(crate) async fn one(
        &self,
        agent: &AgentIdentity,
        body: Received,
        peer: &Peer,
    ) -> Result<Answered, (ApiError, Option<Uuid>)> {
        let Received { bytes, room } = body;
        let document = Document::parse(bytes).map_err(|error| (malformed(&error), None))?;
        let question = self.read(document.root(), agent, "").map_err(|error| (error, None))?;
        let id = question.call.id;
        let answer = async {
            let settled = self.settle(&question).await?;
            // The wait for a person is long.
            drop(room);
            self.finish(&question, &settled, peer).await
        };
        answer.await.map(|json| Answered { id, json }).map_err(|error| (error, Some(id)))
    }

    /// Answers `/v1/inspect/batch`: all calls are read before any is judged; one that cannot be ruled fails them all.
    pub(crate) async fn batch(&self, agent: &AgentIdentity, body: Received, peer: &Peer) -> Result<Vec<u8>, ApiError> {
        let Received { bytes, room } = body;
        let document = Document::parse(bytes).map_err(|error| malformed(&error))?;
        let calls = question::batch(document.root())?;
        let read = |(index, call): (usize, Value<'_>)| self.read(call, agent, &format!("calls[{index}]."));
        let questions = calls.items().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let judging: Vec<_> = questions.iter().map(|question| self.settle(question)).collect();
        let settled: Vec<_> = stream::iter(judging).buffered(BATCH_AT_ONCE).try_collect().await?;
        drop(room);
        let answers = questions.iter().zip(&settled).map(|(question, settled)| self.finish(question, settled, peer));
        let answers = try_join_all(answers).await?;
        let strongest = settled.iter().map(|settled| settled.decision).max().unwrap_or(Decision::Deny);
        let mut out = Vec::with_capacity(64 + answers.iter().map(|answer| answer.len() + 1).sum::<usize>());
        out.extend_from_slice(b"{\"verdict\":\"");
        out.extend_from_slice(strongest.as_str().as_bytes());
        out.extend_from_slice(b"\",\"results\":[");
        out.extend_from_slice(&answers.join(&b","[..]));
        out.extend_from_slice(b"]}");
        Ok(out)
    }

    /// Reads a question. A list of an upstream that this server fetches lists from is that upstream's alone to give: one
    /// that an agent made up would be taken for it by every rule that remembers lists, as pins do.
    fn read(&self, value: Value<'_>, agent: &AgentIdentity, place: &str) -> Result<Question, ApiError> {
        let question = question::read(value, agent, place)?;
        let Call { phase, upstream, .. } = &question.call;
        // In either case, as selectors compare names.
        let own = |name: &Arc<str>| self.upstreams.iter().any(|own| own.eq_ignore_ascii_case(name));
        if *phase == Phase::Listing && upstream.as_ref().is_some_and(own) {
            let message = format!("{place}upstream must be none of this server's own in phase listing");
            return Err(ApiError::malformed(message, "their lists are inspected when they are asked for at /mcp"));
        }
        Ok(question)
    }

    /// The ruling, or the one kept under the caller's id.
    async fn settle(&self, question: &Question) -> Result<Arc<Settled>, ApiError> {
        let Some(request) = question.request else {
            return Ok(Arc::new(rule(&self.gate, question, None).await?));
        };
        let key = (Arc::clone(&question.call.tenant), question.call.id);
        let (gate, question) = (Arc::clone(&self.gate), question.clone());
        let settle = async move {
            match kept(&gate, &question, request).await? {
                None => rule(&gate, &question, Some(request)).await.map(Arc::new),
                Some(settled) => Ok(Arc::new(settled)),
            }
        };
        self.gate.repeats().once(key, request, conflict, settle).await
    }

    /// Waits for the decision of a parked call, if asked to, and writes the answer.
    async fn finish(&self, question: &Question, settled: &Settled, peer: &Peer) -> Result<Vec<u8>, ApiError> {
        let Some(approval) = &settled.approval else { return Ok(settled.json(None, None)) };
        if settled.released {
            return Ok(settled.json(Some(approval), None));
        }
        let approvals = self.gate.approvals();
        let mut live = approvals.get(&approval.tenant, approval.id).unwrap_or_else(|| Arc::clone(approval));
        if live.state_at(now_ms()) == State::Pending && !question.wait.is_zero() {
            let mut closing = self.closing.clone();
            let decided = tokio::select! {
                decided = approvals.wait(&approval.tenant, approval.id, question.wait, now_ms()) => decided,
                _ = closing.wait_for(|closing| *closing) => None,
                // Nobody would act on the approval: it is left for who asks again.
                () = peer.gone() => None,
            };
            live = decided.unwrap_or(live);
        }
        let mut instead = None;
        if live.state == State::Approved {
            (live, instead) = self.use_up(question, live).await?;
        }
        Ok(settled.json(Some(&live), instead.as_deref()))
    }

    /// An approval is good for one call: the one that was parked, or the first of its like that asks again. Comes with what
    /// its approver put in place of the payload.
    async fn use_up(
        &self,
        question: &Question,
        approval: Arc<Approval>,
    ) -> Result<(Arc<Approval>, Option<Arc<Document>>), ApiError> {
        let call = &question.call;
        let now =
            |approval: Arc<Approval>| self.gate.approvals().get(&approval.tenant, approval.id).unwrap_or(approval);
        if approval.released_ms.is_none() {
            match self.gate.release_call(&approval, call).await? {
                Release::Given(Effect::Replace(instead)) => return Ok((now(approval), Some(instead))),
                Release::Given(_) => return Ok((now(approval), None)),
                Release::Gone => {}
                Release::Outdated => return Err(outdated()),
            }
        }
        let approval = now(approval);
        // The same question again, under the id that it was released to.
        if approval.released_to == Some(call.id) {
            let instead = self.gate.changed(call, &approval).await?;
            return Ok((approval, instead));
        }
        Err(ApiError::new(
            hyper::StatusCode::CONFLICT,
            "approval_used",
            "the approval was given, but another call of the same content has used it",
            "ask again: the call will be parked with an approval of its own",
        ))
    }
}

async fn rule(gate: &Gate, question: &Question, request: Option<Digest>) -> Result<Settled, ApiError> {
    let call = &question.call;
    let mut written = None;
    let before = request.and_then(|_| gate.journal().head(&call.tenant)).map_or(0, |head| head.seq + 1);
    let ruling = gate.rule_keeping(call, Door::Inspect, |judgement, approval| {
        let parts = answer::write(call, judgement, question.explain);
        let attach = request.map(|request| Attachment::Answer {
            id: call.id,
            request,
            answer: parts.keep(before, approval),
            ttl: kept_for(None),
        });
        written = Some(parts);
        attach.into_iter().collect()
    });
    let ruling = ruling.await?;
    let parts = written.ok_or(GateError::Failed)?;
    let released = ruling.approval.as_ref().is_some_and(|approval| approval.released_ms.is_some());
    Ok(parts.settle(ruling.entry, ruling.approval, released))
}

/// The answer kept under this id, with its entry.
async fn kept(gate: &Arc<Gate>, question: &Question, request: Digest) -> Result<Option<Settled>, ApiError> {
    let (gate, call) = (Arc::clone(gate), question.call.clone());
    let look = move || -> Result<Option<Settled>, ApiError> {
        let journal = gate.journal();
        let Some(kept) = journal.kept(&call.tenant, call.id).map_err(GateError::from)? else { return Ok(None) };
        if kept.request != request {
            return Err(conflict());
        }
        let Kept { parts, from: mut next, approval, released } = Kept::read(&kept.answer).ok_or(GateError::Failed)?;
        for _ in 0..SEARCH_STEPS {
            let entries = journal.entries(&call.tenant, next, SEARCH_STEP).map_err(GateError::from)?;
            let found = entries.iter().find(|row| row.entry.id == call.id && row.entry.kind == EntryKind::Decision);
            if let Some(row) = found {
                let entry = EntryRef { seq: row.entry.seq, hash: row.hash };
                let approval = approval.and_then(|id| gate.approvals().get(&call.tenant, id));
                return Ok(Some(parts.settle(entry, approval, released)));
            }
            match entries.last() {
                Some(last) => next = last.entry.seq + 1,
                None => break,
            }
        }
        Err(GateError::LedgerUnavailable("the entry of a kept answer was not found".to_owned()).into())
    };
    // It reads the store, which may have to read the disk.
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| Err(GateError::Failed.into()))
}

fn malformed(error: &portcullis_model::DocumentError) -> ApiError {
    ApiError::malformed(format!("the body is not acceptable JSON: {error}"), "send one JSON object in UTF-8")
}

fn outdated() -> ApiError {
    ApiError::new(
        hyper::StatusCode::CONFLICT,
        "approval_outdated",
        "the approval was given, but policy or tool are not what they were when people were asked",
        "ask again under a new id: the call will be judged anew",
    )
}

fn conflict() -> ApiError {
    ApiError::new(
        hyper::StatusCode::CONFLICT,
        "conflict",
        "this id was used for another request",
        "use a new id for a new question",
    )
}
