//! Prints recall and false positives by kind and source over a labelled JSONL file (members `text`, `label`, `kind`,
//! `source`): `cargo run -p detector-commands --example score_commands -- FILE [ARGUMENT] [--show KIND]`.

use std::collections::BTreeMap;
use std::error::Error;

use detector_commands::{Commands, Config};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector};
use serde_json::Value;

/// The score from which the baseline rule acts.
const ACTS: f32 = 0.8;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("name a JSONL file")?;
    let rest: Vec<String> = args.collect();
    let key = rest.first().filter(|key| !key.starts_with('-')).cloned().unwrap_or_else(|| "command".to_owned());
    let show = rest.iter().position(|arg| arg == "--show").and_then(|at| rest.get(at + 1));
    let detector = Commands::configure(Config::default())?;
    let mut table: BTreeMap<(bool, String, String), (u32, u32)> = BTreeMap::new();
    for line in std::fs::read_to_string(&path)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        let word = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let text = word("text");
        let payload = serde_json::json!({ &key: text });
        let call = Call { tool: "tool".into(), ..Call::default() };
        let findings = detector.inspect(&call, &JsonPayload::new(&payload.to_string())?)?;
        if let Some(prefix) = rest.iter().position(|arg| arg == "--dump").and_then(|at| rest.get(at + 1)) {
            let told: Vec<_> = findings.iter().map(|one| (&one.category, one.score, &one.message)).collect();
            let score = findings
                .iter()
                .filter(|one| one.category.starts_with(prefix.as_str()))
                .map(|one| one.score)
                .fold(0.0, f32::max);
            println!(
                "{}",
                serde_json::json!({"id": word("id"), "label": row["label"], "kind": word("kind"), "score": score, "told": told, "text": text})
            );
            continue;
        }
        let found = findings.iter().any(|finding| finding.score >= ACTS);
        let attack = row.get("label").and_then(Value::as_u64) == Some(1);
        let slot = table.entry((attack, word("kind"), word("source"))).or_default();
        slot.0 += u32::from(found);
        slot.1 += 1;
        if show.is_some_and(|kind| word("kind").contains(kind.as_str())) && found != attack {
            let told: Vec<_> = findings.iter().map(|one| format!("{}={:.2}", one.category, one.score)).collect();
            let text: String = text.chars().take(600).collect();
            println!("{} {told:?}\n    {}", word("source"), text.replace('\n', "\\n"));
        }
    }
    let mut totals: BTreeMap<bool, (u32, u32)> = BTreeMap::new();
    for ((attack, kind, source), (found, all)) in table {
        let what = if attack { "recall" } else { "false positives" };
        let share = 100.0 * f64::from(found) / f64::from(all);
        println!("{share:>6.1} % {what:<15} {found:>5} of {all:<5} {kind} ({source})");
        let total = totals.entry(attack).or_default();
        *total = (total.0 + found, total.1 + all);
    }
    for (attack, (found, all)) in totals {
        println!("{}: {found} of {all} at {ACTS}", if attack { "attacks" } else { "benign" });
    }
    Ok(())
}
