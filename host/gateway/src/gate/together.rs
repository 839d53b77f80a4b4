//! Calls that go together or not at all.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use portcullis_approvals::Approval;
use portcullis_ledger::Attachment;
use portcullis_model::{Approver, Call, Decision, Digest, Door, EntryKind, Judgement, Plan, Reason, is_unseen};
use tracing::Instrument as _;

use super::{Gate, GateError, Ruling, Wait, draft, span};

/// How often calls are judged again because the pipeline was exchanged between two of them.
const TRIES: usize = 3;
/// Calls that an approver is told by name, and characters of each.
const NAMED: usize = 8;
const SHOWN: usize = 64;

impl Gate {
    /// Decides calls that go together or not at all: each is judged and recorded by itself, the strongest verdict stands
    /// for all of them and is recorded for `whole`, which holds them all. If that is a review, `whole` is parked with one
    /// approval. Where one of several calls could only run with changed arguments, or where they want decisions of different
    /// people, all are denied. One call alone is ruled as ever.
    ///
    /// # Errors
    /// As [`rule`](Self::rule), of the first call that gets one; some of them may be on record then, but not the whole.
    pub async fn rule_together(
        &self,
        whole: &Call,
        members: &[Call],
        door: Door,
        keep: impl FnOnce(&Judgement, Option<&Approval>) -> Vec<Attachment>,
    ) -> Result<Ruling, GateError> {
        match members {
            [only] => self.rule_keeping(only, door, keep).await,
            _ => self.decide_together(whole, members, door, keep).instrument(span(whole, door)).await,
        }
    }

    async fn decide_together(
        &self,
        whole: &Call,
        members: &[Call],
        door: Door,
        keep: impl FnOnce(&Judgement, Option<&Approval>) -> Vec<Attachment>,
    ) -> Result<Ruling, GateError> {
        // All of them or none: a batch that is refused uses up nothing.
        if let Err(error) = self.admit(whole, u32::try_from(members.len()).unwrap_or(u32::MAX)) {
            return self.refuse(whole, door, error).await;
        }
        let judged = match self.judge_together(members).await {
            Ok(judged) => judged,
            Err(error) => return self.refuse(whole, door, error).await,
        };
        let Some(judgement) = merged(members, &judged) else {
            return self.refuse(whole, door, GateError::Failed).await;
        };
        let entries = members.iter().zip(&judged).enumerate().map(|(index, (member, (own, digest)))| {
            let mut entry = draft(EntryKind::Decision, member, door, own);
            entry.call_digest = Some(*digest);
            let verdict = judgement.decision.as_str();
            entry.note = Some(format!("{} of {} that go together: {verdict}", index + 1, members.len()));
            self.append(entry, self.told(member, own))
        });
        // All of them before the whole: who is told of it, now or later, is told of nothing that has no entry.
        let recorded = try_join_all(entries).await;
        recorded.inspect_err(|error| self.metrics().refused(&whole.tenant, door, error.code()))?;
        // Of their own kind: nobody was asked about a batch who was asked about one call that looks like it.
        let digest = Digest::of_parts([&b"portcullis calls together 1"[..], &whole.digest().0]);
        self.conclude(whole, digest, judgement, true, door, keep, &mut Wait::No).await
    }

    /// The judgements of all of them by one generation, with the digests of the calls.
    async fn judge_together(&self, members: &[Call]) -> Result<Vec<(Judgement, Digest)>, GateError> {
        for _ in 0..TRIES {
            let mut judged: Vec<(Judgement, Digest)> = Vec::with_capacity(members.len());
            for member in members {
                judged.push(self.judge_call(member).await?);
                // Each takes some time: others get their turn.
                tokio::task::yield_now().await;
            }
            let mut generations = judged.iter().map(|(judgement, _)| judgement.generation);
            let first = generations.next();
            if generations.all(|generation| Some(generation) == first) {
                return Ok(judged);
            }
        }
        Err(GateError::Busy("the pipeline is being exchanged"))
    }
}

/// What they come to: the strongest verdict, all reasons with the names of their calls, strongest first, and everything that
/// was seen. None without calls.
fn merged(members: &[Call], judged: &[(Judgement, Digest)]) -> Option<Judgement> {
    let mut all: Vec<(&Call, &Judgement)> = members.iter().zip(judged.iter().map(|(judgement, _)| judgement)).collect();
    all.sort_by_key(|(_, judgement)| std::cmp::Reverse(judgement.decision));
    let (_, strongest) = *all.first()?;
    let mut reasons: Vec<Reason> = Vec::new();
    let mut decision = strongest.decision;
    let reviewed: Vec<_> =
        all.iter().filter(|(_, judgement)| judgement.decision == Decision::Review).copied().collect();
    let mut plan = None;
    if decision != Decision::Deny {
        if all.iter().any(|(_, judgement)| judgement.decision == Decision::Redact) {
            decision = Decision::Deny;
            reasons.push(own("redaction_together", "one of the calls could run with changed arguments only"));
        } else if decision == Decision::Review {
            plan = one_plan(&reviewed, members.len());
            if plan.is_none() {
                decision = Decision::Deny;
                reasons.push(own(
                    "approvers_differ",
                    "the calls want decisions of different people: send them one by one",
                ));
            }
        }
    }
    let mut known = HashSet::new();
    for (call, judgement) in &all {
        for reason in &judgement.reasons {
            let message = format!("{}: {}", shown(&call.tool), reason.message);
            let reason = Reason { message, ..reason.clone() };
            if known.insert(reason.clone()) {
                reasons.push(reason);
            }
        }
    }
    Some(Judgement {
        decision,
        reasons,
        findings: judged.iter().flat_map(|(judgement, _)| judgement.findings.iter().cloned()).collect(),
        replacement: None,
        // Each stands in the entry of its own call.
        plugins: Vec::new(),
        plan,
        generation: strongest.generation,
        mode: strongest.mode,
    })
}

fn own(code: &str, message: &str) -> Reason {
    Reason { code: code.to_owned(), message: message.to_owned(), plugin: "portcullis".to_owned() }
}

/// One plan that satisfies all: the largest quorum, the nearest deadline. None if they name different people.
fn one_plan(reviewed: &[(&Call, &Judgement)], calls: usize) -> Option<Plan> {
    let people = |approvers: &[Approver]| approvers.iter().cloned().collect::<HashSet<_>>();
    let asked = |plan: &Plan| {
        let later = plan.escalation.iter().map(|step| (step.after_seconds, people(&step.approvers)));
        (people(&plan.approvers), later.collect::<Vec<_>>())
    };
    let mut plans = reviewed.iter().map(|(_, judgement)| judgement.plan.as_ref());
    let mut one = plans.next()??.clone();
    for plan in plans {
        let plan = plan?;
        if asked(plan) != asked(&one) {
            return None;
        }
        one.quorum = one.quorum.max(plan.quorum);
        one.deadline_seconds = one.deadline_seconds.min(plan.deadline_seconds);
        for channel in &plan.channels {
            if !one.channels.contains(channel) {
                one.channels.push(channel.clone());
            }
        }
    }
    // What the approver reads first: every call that is asked about.
    let mut names: Vec<_> = reviewed.iter().take(NAMED).map(|(call, _)| shown(&call.tool)).collect();
    if reviewed.len() > NAMED {
        names.push(format!("{} more", reviewed.len() - NAMED));
    }
    one.summary =
        format!("{} of {calls} calls that go together: {}; {}", reviewed.len(), names.join(", "), one.summary);
    one.may_modify = false;
    Some(one)
}

/// A tool's name, of bounded length and without what could forge a line.
fn shown(name: &str) -> String {
    let clean = |c: char| if is_unseen(c) { '\u{fffd}' } else { c };
    name.chars().take(SHOWN).map(clean).collect()
}
