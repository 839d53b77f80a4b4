//! Finds words that must not leave the house.

use portcullis_plugin::{Call, Detector, Finding, Payload, Span, log};
use serde_json::Value;

/// Findings of one call, at most.
const MAX_FINDINGS: usize = 100;

pub struct Words {
    words: Vec<String>,
    score: f32,
}

impl Detector for Words {
    // Any JSON, for error texts of our own; a struct that derives `Deserialize` is less work.
    type Config = Value;

    fn configure(config: Value) -> Result<Self, String> {
        let config = config.as_object().ok_or("the configuration is not a JSON object")?;
        if let Some(key) = config.keys().find(|key| !["words", "score"].contains(&key.as_str())) {
            return Err(format!("{key}: there is no such key"));
        }
        let words = config.get("words").and_then(texts).filter(|words| !words.is_empty());
        let words = words.ok_or("words: give a list of at least one word")?;
        if let Some(index) = words.iter().position(String::is_empty) {
            return Err(format!("words[{index}]: an empty word would be found everywhere"));
        }
        let score = config.get("score").map_or(Some(0.9), Value::as_f64);
        let score = score.filter(|score| (0.0..=1.0).contains(score)).ok_or("score: use a number from 0 to 1")?;
        Ok(Self { words, score: score as f32 })
    }

    fn inspect(&self, _call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        let mut findings = Vec::new();
        for (index, text) in payload.texts().iter().enumerate() {
            for word in &self.words {
                for range in text.find_ignoring_case(word).take(MAX_FINDINGS - findings.len()) {
                    let finding = Finding::new("word.forbidden", self.score, format!("a forbidden word: {word}"));
                    findings.push(finding.with_span(Span::of(index, range)));
                }
            }
        }
        if !findings.is_empty() {
            log::debug(&format!("{} words found", findings.len()));
        }
        Ok(findings)
    }
}

/// The strings of a JSON array; none if it is anything else.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

portcullis_plugin::detector!(Words);

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        portcullis_plugin::testing::run_cases::<super::Words>("cases");
    }
}
