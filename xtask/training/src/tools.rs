//! `detector-tools` has no table; what it says of the labelled definitions is printed with the others.

use std::path::Path;

use anyhow::Result;
use detector_tools::{Config, Tools};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector as _, Phase};
use serde_json::{Value, json};

use crate::data::read;
use crate::trained::{HeldOut, Set, Trained};

/// Tools that say openly that they do harm steer nobody.
const LEFT_OUT: &str = "tool_malicious_capability";

pub(crate) fn train(data: &Path) -> Result<Trained> {
    let config = Config { min_score: 0.0, ..Config::default() };
    let detector = Tools::configure(config).map_err(anyhow::Error::msg)?;
    let call = Call { phase: Phase::Listing, ..Call::default() };
    let mut held_out = Vec::new();
    for row in read(data, "mcp_tools.jsonl")?.into_iter().filter(|row| row.kind != LEFT_OUT) {
        // Texts that were cut are no JSON any more.
        let tool: Value = serde_json::from_str(&row.text).unwrap_or_else(|_| json!({ "description": row.text }));
        let payload = JsonPayload::new(&json!([tool]).to_string())?;
        let findings = detector.inspect(&call, &payload).map_err(anyhow::Error::msg)?;
        let score = findings.iter().map(|finding| f64::from(finding.score)).fold(0.0, f64::max);
        let attack = row.is_attack();
        held_out.push(HeldOut { set: Set::Tools, source: row.source, kind: row.kind, attack, score });
    }
    Ok(Trained { package: "detector-tools", files: Vec::new(), held_out })
}
