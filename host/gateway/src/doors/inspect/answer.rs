//! Writing an answer by hand: keys in the order of the contract, payloads copied and not encoded again.

use std::io::Write as _;
use std::sync::Arc;

use portcullis_approvals::Approval;
use portcullis_model::{
    AttributedFinding, Call, Decision, Digest, Document, Judgement, Phase, PluginRun, Reason, Span,
};
use serde::Serialize;
use uuid::Uuid;

use crate::gate::now_ms;
use crate::ports::EntryRef;

/// Version of a kept answer's bytes.
const KEPT: u8 = 1;

/// Where a payload stands that takes the place of the caller's: none.
const NOTHING: &[u8] = b"null";

/// An answer before its approval and entry are known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parts {
    decision: Decision,
    /// From the opening brace to the replacement.
    front: Vec<u8>,
    generation: Digest,
    /// From behind the entry to the closing brace.
    tail: Vec<u8>,
}

/// A ruled call: everything an answer needs but the present state of its approval.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) decision: Decision,
    pub(crate) approval: Option<Arc<Approval>>,
    /// Whether its own entry released the approval.
    pub(crate) released: bool,
    parts: Parts,
    entry: EntryRef,
}

/// The key under which a replacement stands.
fn payload_key(phase: Phase) -> &'static [u8] {
    if phase == Phase::Call { b",\"arguments\":" } else { b",\"content\":" }
}

/// A finding in the contract's order of keys.
#[derive(Serialize)]
struct WireFinding<'a> {
    category: &'a str,
    score: f32,
    message: &'a str,
    plugin: &'a str,
    spans: &'a [Span],
}

/// What a plugin cost, in the contract's order of keys.
#[derive(Serialize)]
struct WirePlugin<'a> {
    name: &'a str,
    digest: Digest,
    fuel: u64,
    micros: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Digest>,
}

/// Writes what is known once the call is judged.
pub(crate) fn write(call: &Call, judgement: &Judgement, explain: bool) -> Parts {
    // Of a review only if it is released and its approver changed it.
    let instead = matches!(judgement.decision, Decision::Redact | Decision::Review);
    let replacement = judgement.replacement.as_ref().filter(|_| instead);
    let size = replacement.map_or(0, |document| document.raw().len());
    let mut front = Vec::with_capacity(size + 640);
    front.extend_from_slice(b"{\"id\":\"");
    front.extend_from_slice(call.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    front.extend_from_slice(b"\",\"verdict\":\"");
    front.extend_from_slice(judgement.decision.as_str().as_bytes());
    front.extend_from_slice(b"\",\"mode\":\"");
    front.extend_from_slice(judgement.mode.as_str().as_bytes());
    front.extend_from_slice(b"\",\"reasons\":");
    reasons(&mut front, &judgement.reasons);
    if explain {
        front.extend_from_slice(b",\"findings\":");
        json(&mut front, &judgement.findings.iter().map(finding).collect::<Vec<_>>());
    }
    front.extend_from_slice(payload_key(call.phase));
    front.extend_from_slice(replacement.map_or(NOTHING, |document| document.raw().as_bytes()));
    let mut tail = Vec::new();
    if explain {
        tail.extend_from_slice(b",\"plugins\":");
        json(&mut tail, &judgement.plugins.iter().map(plugin).collect::<Vec<_>>());
    }
    Parts { decision: judgement.decision, front, generation: judgement.generation, tail }
}

impl Parts {
    /// With the entry. `released` says whether that entry released the approval.
    pub(crate) fn settle(self, entry: EntryRef, approval: Option<Arc<Approval>>, released: bool) -> Settled {
        Settled { decision: self.decision, approval, released, parts: self, entry }
    }

    /// The bytes to keep. The entry is not known yet: it is the first of this id at `from` or later.
    pub(crate) fn keep(&self, from: u64, approval: Option<&Approval>) -> Vec<u8> {
        let released = approval.is_some_and(|approval| approval.released_ms.is_some());
        let length = u32::try_from(self.front.len()).unwrap_or(u32::MAX);
        [
            &[KEPT, self.decision as u8, u8::from(released)][..],
            &from.to_be_bytes(),
            approval.map_or(Uuid::nil(), |approval| approval.id).as_bytes(),
            &self.generation.0,
            &length.to_be_bytes(),
            &self.front,
            &self.tail,
        ]
        .concat()
    }
}

/// What [`Parts::keep`] wrote.
pub(crate) struct Kept {
    pub(crate) parts: Parts,
    pub(crate) from: u64,
    pub(crate) approval: Option<Uuid>,
    pub(crate) released: bool,
}

impl Kept {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let ([version, decision, released], rest) = bytes.split_first_chunk()?;
        let (from, rest) = rest.split_first_chunk()?;
        let (approval, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (front, tail) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let decisions = [Decision::Allow, Decision::Redact, Decision::Review, Decision::Deny];
        let decision = decisions.into_iter().find(|known| *known as u8 == *decision)?;
        let (front, tail, generation) = (front.to_vec(), tail.to_vec(), Digest(*generation));
        let approval = Some(Uuid::from_bytes(*approval)).filter(|id| !id.is_nil());
        let parts = Parts { decision, front, generation, tail };
        (*version == KEPT).then(|| Self { parts, from: u64::from_be_bytes(*from), approval, released: *released == 1 })
    }
}

impl Settled {
    /// The whole answer, with the approval as it is now, and with what its approver put in place of the payload if that
    /// was not known when the answer was written.
    pub(crate) fn json(&self, approval: Option<&Approval>, instead: Option<&Document>) -> Vec<u8> {
        let Parts { front, generation, tail, .. } = &self.parts;
        let size = instead.map_or(0, |document| document.raw().len());
        let mut out = Vec::with_capacity(front.len() + size + tail.len() + 256);
        match instead.and_then(|document| Some((front.strip_suffix(NOTHING)?, document))) {
            Some((front, document)) => {
                out.extend_from_slice(front);
                out.extend_from_slice(document.raw().as_bytes());
            }
            None => out.extend_from_slice(front),
        }
        out.extend_from_slice(b",\"approval\":");
        match approval {
            Some(approval) => json(&mut out, &approval.notice(now_ms())),
            None => out.extend_from_slice(b"null"),
        }
        let EntryRef { seq, hash } = self.entry;
        // Writing to memory does not fail.
        let _ = write!(out, ",\"generation\":\"{generation}\",\"entry\":{{\"seq\":{seq},\"hash\":\"{hash}\"}}");
        out.extend_from_slice(tail);
        out.push(b'}');
        out
    }
}

fn reasons(out: &mut Vec<u8>, reasons: &[Reason]) {
    if reasons.is_empty() {
        out.extend_from_slice(b"[]");
    } else {
        json(out, reasons);
    }
}

fn finding(found: &AttributedFinding) -> WireFinding<'_> {
    let AttributedFinding { plugin, finding } = found;
    WireFinding {
        category: &finding.category,
        score: finding.score,
        message: &finding.message,
        plugin,
        spans: &finding.spans,
    }
}

fn plugin(run: &PluginRun) -> WirePlugin<'_> {
    let fault = run.fault.as_deref();
    let PluginRun { name, digest, fuel, micros, answers, .. } = run;
    WirePlugin { name, digest: *digest, fuel: *fuel, micros: *micros, fault, answers: *answers }
}

/// Plain data: nothing in it that JSON cannot hold.
fn json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let written = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(written);
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let parts = Parts {
            decision: Decision::Review,
            front: b"{\"id\":1".to_vec(),
            generation: Digest::of(b"g"),
            tail: b",\"plugins\":[]".to_vec(),
        };
        let bytes = parts.keep(7, None);
        let kept = Kept::read(&bytes).unwrap();
        assert_eq!((kept.parts, kept.from, kept.approval, kept.released), (parts, 7, None, false));
        for length in 0..bytes.len() - 14 {
            assert!(Kept::read(&bytes[..length]).is_none(), "{length}");
        }
    }
}
