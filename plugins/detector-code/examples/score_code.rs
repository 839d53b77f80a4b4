//! Prints what is found in the rows of a labelled JSONL file, one JSON object for each: `cargo run -p detector-code --example
//! score_code -- FILE`.

use std::error::Error;

use detector_code::{Code, Config};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a JSONL file")?;
    let detector = Code::configure(Config::default())?;
    for line in std::fs::read_to_string(&path)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        let payload = json!({ "code": row["text"] }).to_string();
        let findings =
            detector.inspect(&Call { tool: "tool".into(), ..Call::default() }, &JsonPayload::new(&payload)?)?;
        let score = findings.iter().map(|one| one.score).fold(0.0, f32::max);
        let told: Vec<_> = findings.iter().map(|one| (&one.category, one.score, &one.message)).collect();
        println!(
            "{}",
            json!({ "kind": row["kind"], "label": row["label"], "score": score, "told": told, "text": row["text"] })
        );
    }
    Ok(())
}
