//! `detector-code` is rules only: its figures.

use std::path::Path;

use anyhow::Result;
use detector_code::{Code, Config};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector as _};

use crate::data::read;
use crate::trained::{HeldOut, Set, Trained};

pub(crate) fn train(data: &Path) -> Result<Trained> {
    let detector = Code::configure(Config::default()).map_err(anyhow::Error::msg)?;
    let mut held_out = Vec::new();
    for row in read(data, "code.jsonl")? {
        let payload = JsonPayload::new(&serde_json::json!({ "code": row.text }).to_string())?;
        let call = Call { tool: "tool".into(), ..Call::default() };
        let findings = detector.inspect(&call, &payload).map_err(anyhow::Error::msg)?;
        let score = findings.iter().map(|finding| f64::from(finding.score)).fold(0.0, f64::max);
        let attack = row.is_attack();
        held_out.push(HeldOut { set: Set::Code, source: row.source, kind: row.kind, attack, score });
    }
    Ok(Trained { package: "detector-code", files: Vec::new(), held_out })
}
