//! Keeps amounts small, denies what detectors must not see, removes what should not be forwarded.

use portcullis_plugin::{AttributedFinding, Call, Payload, Reason, Redaction, Replacement, Rule, Verdict};
use serde_json::Value;

/// Findings of a lower score do not count.
const MIN_SCORE: f32 = 0.5;
/// Longest number that is judged, in characters.
const MAX_NUMBER: usize = 400;

pub struct Limit {
    review_over: f64,
    /// JSON pointer of the amount.
    amount: String,
    /// Categories of findings.
    deny: Vec<String>,
    redact: Vec<String>,
}

impl Rule for Limit {
    // Any JSON, for error texts of our own; a struct that derives `Deserialize` is less work.
    type Config = Value;

    fn configure(config: Value) -> Result<Self, String> {
        let config = config.as_object().ok_or("the configuration is not a JSON object")?;
        let keys = ["review_over", "amount", "deny", "redact"];
        if let Some(key) = config.keys().find(|key| !keys.contains(&key.as_str())) {
            return Err(format!("{key}: there is no such key"));
        }
        let review_over = config.get("review_over").and_then(Value::as_f64).filter(|bound| *bound >= 0.0);
        let review_over = review_over.ok_or("review_over: give a number of at least 0")?;
        let amount = config.get("amount").map_or(Some("/amount"), Value::as_str);
        let amount = amount.filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let amount = amount.ok_or("amount: use a JSON pointer, for instance /amount")?.to_owned();
        let list = |key: &str| {
            let texts = config.get(key).map_or(Some(Vec::new()), texts);
            texts.ok_or_else(|| format!("{key}: give a list of categories"))
        };
        Ok(Self { review_over, amount, deny: list("deny")?, redact: list("redact")? })
    }

    fn decide(&self, _call: &Call, payload: &dyn Payload, findings: &[AttributedFinding]) -> Result<Verdict, String> {
        let believed = || findings.iter().filter(|found| found.finding.score >= MIN_SCORE);
        if let Some(found) = believed().find(|found| self.deny.contains(&found.finding.category)) {
            let message = format!("{} saw {}", found.plugin, found.finding.category);
            return Ok(Verdict::deny("forbidden", message));
        }
        if let Some(text) = payload.get(&self.amount) {
            if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
                return Ok(Verdict::review("odd_amount", "the amount is not a number"));
            }
            if text.len() > MAX_NUMBER {
                return Err(format!("amount: a number of {} characters cannot be judged", text.len()));
            }
            // What JSON writes as a number, this reads; too large a one is infinite.
            if text.parse::<f64>().is_ok_and(|amount| amount > self.review_over) {
                return Ok(Verdict::review("large_amount", format!("the amount {text} is large")));
            }
        }
        let removed = believed().filter(|found| self.redact.contains(&found.finding.category));
        let spans = removed.flat_map(|found| &found.finding.spans);
        let replacements: Vec<_> =
            spans.map(|span| Replacement { span: *span, value: "[removed]".to_owned() }).collect();
        if replacements.is_empty() {
            return Ok(Verdict::Allow);
        }
        let reasons = vec![Reason::new("removed", format!("{} places were removed", replacements.len()))];
        Ok(Verdict::Redact(Redaction { reasons, replacements }))
    }
}

/// The strings of a JSON array; none if it is anything else.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

portcullis_plugin::rule!(Limit);

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        portcullis_plugin::testing::run_cases::<super::Limit>("cases");
    }
}
