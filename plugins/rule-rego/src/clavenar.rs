//! Policies of the package `clavenar.authz`, as they were written for Clavenar: what they see beside this plugin's own
//! input, and how `allow`, `deny` and `review` become one answer.

use portcullis_plugin::{AttributedFinding, Call};
use regorus::Value;

/// The package.
pub(crate) const PACKAGE: &str = "clavenar.authz";
/// Seconds over which an agent's requests are counted.
const WINDOW: u32 = 60;
/// Nothing was seen.
const ROUTINE: f64 = 0.05;
/// What detectors say of the intent of a call; other findings, such as personal data, are no such thing.
const INTENTS: &[&str] = &["injection.", "command.", "sql.", "code.", "http."];

/// Counts the request: how many the agent made in the last minute, this one included.
///
/// # Errors
/// The host's state does not answer, as a sentence.
pub(crate) fn count(call: &Call) -> Result<u64, String> {
    let key = format!("/{PACKAGE}/{}", call.agent);
    portcullis_plugin::state::increment(&key, 1, WINDOW)
        .map_err(|error| format!("a request could not be counted: {error}"))
}

/// The members of `input` that these policies know.
pub(crate) fn members(call: &Call, findings: &[AttributedFinding], recent: u64) -> [(&'static str, Value); 9] {
    let mut history = Value::new_object();
    if let Ok(history) = history.as_object_mut() {
        history.insert(Value::from("last_tool"), Value::Null);
    }
    [
        ("tool_type", Value::from(call.tool.as_str())),
        ("agent_history", history),
        ("intent_score", Value::from(intent(findings))),
        // They fall back to the clock, which is the recorded moment here.
        ("current_time", Value::Null),
        ("agent_id", Value::from(format!("{}/{}", call.tenant, call.agent))),
        ("tenant", Value::from(call.tenant.as_str())),
        ("method", Value::from("tools/call")),
        ("recent_request_count", Value::from(recent)),
        ("correlation_id", Value::from(call.id.as_str())),
    ]
}

/// How bad the strongest finding about the intent is.
fn intent(findings: &[AttributedFinding]) -> f64 {
    let of_intent = |found: &&AttributedFinding| {
        let category = &found.finding.category;
        INTENTS.iter().any(|start| category.starts_with(start))
    };
    // Through its decimal form: 0.9 as f32 is not the 0.9 that a policy compares with.
    let score = |found: &AttributedFinding| found.finding.score.to_string().parse::<f64>().unwrap_or(1.0);
    findings.iter().filter(of_intent).map(score).fold(ROUTINE, f64::max)
}
