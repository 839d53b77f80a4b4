//! Scores definitions of tools, one JSON object with `text` and `label` in a line, and prints those that are on the wrong side.

use std::fs;

use detector_tools::{Config, Tools};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector as _, Phase};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let detector = Tools::configure(Config { min_score: 0.0, ..Config::default() })?;
    let call = Call { phase: Phase::Listing, ..Call::default() };
    for line in fs::read_to_string(path)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        let text = row["text"].as_str().unwrap_or_default();
        let tool: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({ "description": text }));
        let payload = JsonPayload::new(&json!([tool]).to_string())?;
        let findings = detector.inspect(&call, &payload)?;
        let best = findings.iter().max_by(|one, other| one.score.total_cmp(&other.score));
        let (score, category) = best.map_or((0.0, ""), |finding| (finding.score, finding.category.as_str()));
        println!(
            "{score:.3}\t{}\t{}\t{category}\t{}",
            row["label"],
            row["kind"].as_str().unwrap_or(""),
            text.get(..160).unwrap_or(text).replace('\n', " ")
        );
    }
    Ok(())
}
