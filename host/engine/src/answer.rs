//! From the types of the house to those of the contract, and back with every check the contract promises.

use std::collections::HashMap;

use portcullis_model as model;
use portcullis_model::{Decision, Phase, Text};
use uuid::fmt::Hyphenated;

use crate::Fault;
use crate::bindings;
use crate::bindings::portcullis::plugin::routing;
use crate::bindings::portcullis::plugin::types;

/// Most findings of one answer.
const MAX_FINDINGS: usize = 1_000;
/// Most spans, or replacements, of one answer.
const MAX_SPANS: usize = 10_000;
/// Most bytes of the pointers of all spans of one answer: a text may lie below a very long name.
const MAX_POINTERS: usize = 1024 * 1024;
/// Most reasons of one answer.
const MAX_REASONS: usize = 100;
/// Most approvers, channels or steps in one list of a plan.
const MAX_LIST: usize = 64;
/// Longest category.
const MAX_CATEGORY: usize = 128;
/// Longest reason code.
const MAX_CODE: usize = 64;
/// Longest text for people.
const MAX_MESSAGE: usize = 4096;
/// Longest name of a role, an operator or a channel.
const MAX_NAME: usize = 256;

/// A call as the contract has it: the parts that have to be written out, and where the rest is.
pub(crate) struct Header<'a> {
    call: &'a model::Call,
    id: [u8; Hyphenated::LENGTH],
    digest: model::Digest,
}

impl<'a> Header<'a> {
    pub(crate) fn new(call: &'a model::Call) -> Self {
        let mut id = [0; Hyphenated::LENGTH];
        call.id.hyphenated().encode_lower(&mut id);
        Self { call, id, digest: call.payload.digest() }
    }

    pub(crate) fn lowered(&self) -> bindings::Call<'_> {
        let call = self.call;
        types::Call {
            id: std::str::from_utf8(&self.id).unwrap_or_default(),
            phase: match call.phase {
                Phase::Call => types::Phase::Call,
                Phase::Result => types::Phase::Result,
                Phase::Listing => types::Phase::Listing,
                Phase::Message => types::Phase::Message,
            },
            tenant: &call.tenant,
            agent: &call.agent,
            session: call.session.as_deref(),
            persona: call.persona.as_deref(),
            task: call.task.as_deref(),
            upstream: call.upstream.as_deref(),
            tool: &call.tool,
            digest: &self.digest.0,
        }
    }
}

/// Findings of earlier plugins, with their spans as the contract counts them.
pub(crate) struct Findings<'a>(Vec<(&'a model::AttributedFinding, Vec<types::Span>)>);

impl<'a> Findings<'a> {
    pub(crate) fn new(findings: &'a [model::AttributedFinding], call: &model::Call) -> Self {
        if findings.is_empty() {
            return Self(Vec::new());
        }
        let texts = call.payload.texts();
        let index: HashMap<&str, u32> = texts.iter().map(|text| text.pointer.as_str()).zip(0..).collect();
        let spans = |finding: &model::AttributedFinding| {
            let span = |span: &model::Span| {
                let text = *index.get(span.pointer.as_str())?;
                Some(types::Span { text, start: span.start, end: span.end })
            };
            finding.finding.spans.iter().filter_map(span).collect()
        };
        Self(findings.iter().map(|finding| (finding, spans(finding))).collect())
    }

    pub(crate) fn lowered(&self) -> Vec<bindings::AttributedFinding<'_>> {
        self.0
            .iter()
            .map(|(attributed, spans)| types::AttributedFinding {
                plugin: &attributed.plugin,
                finding: types::FindingParam {
                    category: &attributed.finding.category,
                    score: attributed.finding.score,
                    message: &attributed.finding.message,
                    spans,
                },
            })
            .collect()
    }
}

pub(crate) fn reasons(reasons: &[model::Reason]) -> Vec<bindings::Reason<'_>> {
    reasons.iter().map(|reason| types::ReasonParam { code: &reason.code, message: &reason.message }).collect()
}

pub(crate) fn findings(found: Vec<bindings::Finding>, call: &model::Call) -> Result<Vec<model::Finding>, Fault> {
    at_most("findings", found.len(), MAX_FINDINGS)?;
    at_most("spans", found.iter().map(|finding| finding.spans.len()).sum(), MAX_SPANS)?;
    let mut out = Vec::with_capacity(found.len());
    let mut pointers = 0;
    for finding in found {
        if !is_word(&finding.category, MAX_CATEGORY) {
            return bad("a category must be 1 to 128 lower-case letters, digits, dots, dashes and underscores");
        }
        if !(0.0..=1.0).contains(&finding.score) {
            return bad("a score must lie between 0 and 1");
        }
        at_most("bytes in a message", finding.message.len(), MAX_MESSAGE)?;
        let spans =
            finding.spans.iter().map(|span| self::span(*span, call, &mut pointers)).collect::<Result<_, _>>()?;
        let types::FindingResult { category, score, message, .. } = finding;
        out.push(model::Finding { category, score, message, spans });
    }
    Ok(out)
}

pub(crate) fn verdict(answer: bindings::Verdict, call: &model::Call, plugin: &str) -> Result<model::Verdict, Fault> {
    let (decision, given, replaced) = match answer {
        types::Verdict::Allow => (Decision::Allow, Vec::new(), Vec::new()),
        types::Verdict::Redact(redaction) => (Decision::Redact, redaction.reasons, redaction.replacements),
        types::Verdict::Review(reasons) => (Decision::Review, reasons, Vec::new()),
        types::Verdict::Deny(reasons) => (Decision::Deny, reasons, Vec::new()),
    };
    at_most("reasons", given.len(), MAX_REASONS)?;
    at_most("replacements", replaced.len(), MAX_SPANS)?;
    let mut reasons = Vec::with_capacity(given.len());
    for types::ReasonResult { code, message } in given {
        if !is_word(&code, MAX_CODE) {
            return bad("a reason's code must be 1 to 64 lower-case letters, digits, dots, dashes and underscores");
        }
        at_most("bytes in a message", message.len(), MAX_MESSAGE)?;
        reasons.push(model::Reason { code, message, plugin: plugin.to_owned() });
    }
    let mut pointers = 0;
    let replace = |types::Replacement { span, value }| {
        Ok(model::Replacement { span: self::span(span, call, &mut pointers)?, value })
    };
    let replacements = replaced.into_iter().map(replace).collect::<Result<_, Fault>>()?;
    Ok(model::Verdict { decision, reasons, replacements })
}

pub(crate) fn plan(plan: bindings::Plan) -> Result<model::Plan, Fault> {
    let routing::Plan { approvers, quorum, deadline_seconds, channels, escalation, summary, may_modify } = plan;
    if approvers.is_empty() || quorum == 0 || deadline_seconds == 0 {
        return bad("a plan needs at least one approver, a quorum of at least 1 and a deadline of at least 1 second");
    }
    at_most("bytes in a summary", summary.len(), MAX_MESSAGE)?;
    at_most("escalation steps", escalation.len(), MAX_LIST)?;
    let step = |step: routing::Step| {
        let (approvers, channels) = (self::approvers(step.approvers)?, names("channels", step.channels)?);
        Ok(model::Step { after_seconds: step.after_seconds, approvers, channels })
    };
    Ok(model::Plan {
        approvers: self::approvers(approvers)?,
        quorum,
        deadline_seconds,
        channels: names("channels", channels)?,
        escalation: escalation.into_iter().map(step).collect::<Result<_, Fault>>()?,
        summary,
        may_modify,
    })
}

fn approvers(given: Vec<routing::Approver>) -> Result<Vec<model::Approver>, Fault> {
    at_most("approvers", given.len(), MAX_LIST)?;
    let mut out = Vec::with_capacity(given.len());
    for approver in given {
        out.push(match approver {
            routing::Approver::Role(name) => model::Approver::Role(self::name(name)?),
            routing::Approver::Operator(name) => model::Approver::Operator(self::name(name)?),
        });
    }
    Ok(out)
}

fn names(what: &str, given: Vec<String>) -> Result<Vec<String>, Fault> {
    at_most(what, given.len(), MAX_LIST)?;
    given.into_iter().map(name).collect()
}

fn name(name: String) -> Result<String, Fault> {
    at_most("bytes in a name", name.len(), MAX_NAME)?;
    if name.is_empty() { bad("a name is empty") } else { Ok(name) }
}

/// A span must lie within its text and between characters. `pointers` counts the bytes of all pointers of the answer.
fn span(span: types::Span, call: &model::Call, pointers: &mut usize) -> Result<model::Span, Fault> {
    let types::Span { text, start, end } = span;
    let found: Option<&Text> = call.payload.texts().get(text as usize);
    let Some(found) = found.filter(|found| found.value.get(start as usize..end as usize).is_some()) else {
        return bad("a span lies outside its text, is reversed or splits a character");
    };
    *pointers += found.pointer.len();
    at_most("bytes in the places of spans", *pointers, MAX_POINTERS)?;
    Ok(model::Span { pointer: found.pointer.clone(), start, end })
}

fn is_word(text: &str, most: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= most && text.bytes().all(allowed)
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), Fault> {
    if count > most { Err(Fault::BadAnswer(format!("{count} {what}; at most {most} are taken"))) } else { Ok(()) }
}

fn bad<T>(what: &str) -> Result<T, Fault> {
    Err(Fault::BadAnswer(what.to_owned()))
}
