//! From the words of cases to those of the house, and back.

use std::sync::Arc;

use portcullis_engine::Plugin;
use portcullis_model::{AttributedFinding, Call, Decision, Document, Finding, Phase, PluginRun, Reason, Role, Span};
use portcullis_plugin::Payload as _;
use portcullis_plugin::testing::{Case, Outcome, Seen};
use uuid::Uuid;

/// Session of a case that has labels and names none: labels belong to a session.
const SESSION: &str = "case";

/// The call of a case.
///
/// # Errors
/// Its payload is nothing that a call may carry.
pub fn call(case: &Case) -> Result<Call, String> {
    let spec = &case.call;
    let text = |field: &Option<String>| field.as_deref().map(Arc::from);
    let session = text(&spec.session).or_else(|| (!case.labels.is_empty()).then(|| SESSION.into()));
    let payload = Document::parse(case.payload_text()).map_err(|error| format!("payload: {error}"))?;
    Ok(Call {
        id: Uuid::nil(),
        phase: match spec.phase {
            portcullis_plugin::Phase::Call => Phase::Call,
            portcullis_plugin::Phase::Result => Phase::Result,
            portcullis_plugin::Phase::Listing => Phase::Listing,
            portcullis_plugin::Phase::Message => Phase::Message,
        },
        tenant: spec.tenant.as_str().into(),
        agent: spec.agent.as_str().into(),
        session,
        persona: text(&spec.persona),
        task: text(&spec.task),
        upstream: text(&spec.upstream),
        tool: spec.tool.as_str().into(),
        payload: Arc::new(payload),
        time_ms: spec.time_ms,
        attached: None,
    })
}

/// The findings of a case, as the pipeline would hand them on.
fn given(case: &Case) -> Result<Vec<AttributedFinding>, String> {
    let payload = case.payload().map_err(|error| error.to_string())?;
    let texts = payload.texts();
    let span = |span: &portcullis_plugin::Span| {
        let text = texts.get(span.text as usize)?;
        Some(Span { pointer: text.pointer.clone(), start: span.start, end: span.end })
    };
    let attribute = |found: portcullis_plugin::AttributedFinding| AttributedFinding {
        plugin: found.plugin,
        finding: Finding {
            category: found.finding.category,
            score: found.finding.score,
            message: found.finding.message,
            spans: found.finding.spans.iter().filter_map(span).collect(),
        },
    };
    let found = case.findings(&payload).map_err(|error| error.to_string())?;
    Ok(found.into_iter().map(attribute).collect())
}

/// A finding in the words of cases.
#[must_use]
pub fn seen(finding: &Finding, payload: &Document) -> Seen {
    let covered = |span: &Span| {
        let value = payload.pointer(&span.pointer)?;
        let text = value.as_str()?;
        text.get(span.start as usize..span.end as usize).map(str::to_owned)
    };
    let place = |span: &Span| (span.pointer.clone(), covered(span).unwrap_or_default());
    let (category, message) = (finding.category.clone(), finding.message.clone());
    Seen { category, score: finding.score, message, places: finding.spans.iter().map(place).collect() }
}

/// A verdict in the words of cases.
#[must_use]
pub fn verdict(decision: Decision, reasons: &[Reason], redacted: Option<&Document>) -> Outcome {
    Outcome::Verdict {
        decision: decision.as_str().to_owned(),
        reasons: reasons.iter().map(|reason| reason.code.clone()).collect(),
        messages: reasons.iter().map(|reason| reason.message.clone()).collect(),
        redacted: redacted.and_then(|document| serde_json::from_str(document.raw()).ok()),
    }
}

/// What a plugin answers, and what it cost.
pub(crate) fn ask(plugin: &Plugin, case: &Case, call: &Call) -> Result<(Outcome, PluginRun), String> {
    let (answer, cost) = match plugin.role() {
        Role::Detector => {
            let run = plugin.inspect(call);
            let seen = |findings: Vec<Finding>| findings.iter().map(|finding| seen(finding, &call.payload)).collect();
            (run.result.map(|findings| Outcome::Findings(seen(findings))), run.cost)
        }
        Role::Rule => {
            let run = plugin.decide(call, &given(case)?);
            let answer = run.result.map(|answer| {
                let redacts = answer.decision == Decision::Redact;
                match redacts.then(|| call.payload.replace(&answer.replacements)).transpose() {
                    Ok(made) => verdict(answer.decision, &answer.reasons, made.as_ref()),
                    Err(error) => Outcome::Error(format!("the redaction failed: {error}")),
                }
            });
            (answer, run.cost)
        }
        Role::Router => {
            let reason =
                |code: &String| Reason { code: code.clone(), message: String::new(), plugin: "rule".to_owned() };
            let reasons: Vec<_> = case.reasons.iter().map(reason).collect();
            let run = plugin.route(call, &given(case)?, &reasons);
            (run.result.map(|plan| Outcome::Plan(serde_json::to_value(plan).unwrap_or_default())), run.cost)
        }
    };
    Ok((answer.unwrap_or_else(|fault| Outcome::Error(fault.to_string())), cost))
}

/// An answer as JSON.
pub(crate) fn json(answer: &Outcome) -> serde_json::Value {
    use serde_json::json;
    match answer {
        Outcome::Findings(seen) => {
            let finding = |seen: &Seen| {
                let places = seen.places.iter().map(|(pointer, text)| json!({ "pointer": pointer, "text": text }));
                let places: Vec<_> = places.collect();
                json!({ "category": seen.category, "score": seen.score, "message": seen.message, "places": places })
            };
            json!({ "findings": seen.iter().map(finding).collect::<Vec<_>>() })
        }
        Outcome::Verdict { decision, reasons, messages, redacted } => {
            let reason = |(code, message): (&String, &String)| json!({ "code": code, "message": message });
            let reasons: Vec<_> = reasons.iter().zip(messages).map(reason).collect();
            json!({ "decision": decision, "reasons": reasons, "redacted": redacted })
        }
        Outcome::Plan(plan) => json!({ "plan": plan }),
        Outcome::Error(error) => json!({ "error": error }),
    }
}
