//! Prints recall and false positives by kind and source over a labelled JSONL file (members `text`, `label`, `kind`,
//! `source`): `cargo run -p detector-commands --example score_commands -- FILE [ARGUMENT] [--show KIND]`.

use std::collections::BTreeMap;

use detector_commands::{Commands, Config};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector, Phase};
use serde_json::Value;

const DENY: f32 = 0.8;

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("a JSONL file");
    let rest: Vec<String> = args.collect();
    let phase = Phase::Call;
    let key = rest.first().filter(|key| !key.starts_with('-')).cloned().unwrap_or_else(|| "command".to_owned());
    let show = rest.iter().position(|arg| arg == "--show").and_then(|at| rest.get(at + 1));
    let detector = Commands::configure(Config::default()).expect("the default configuration");
    let mut table: BTreeMap<(u64, String, String), (usize, usize)> = BTreeMap::new();
    let mut totals = [(0, 0); 2];
    for line in std::fs::read_to_string(&path).expect("a readable file").lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let text = word("text");
        let payload = serde_json::json!({ &key: text });
        let payload = JsonPayload::new(&payload.to_string()).expect("a payload");
        let call = Call { phase, tool: "tool".into(), ..Call::default() };
        let findings = detector.inspect(&call, &payload).expect("findings");
        let found = findings.iter().any(|finding| finding.score >= DENY);
        let label = row["label"].as_u64().unwrap_or_default();
        let slot = table.entry((label, word("kind"), word("source"))).or_default();
        slot.0 += usize::from(found);
        slot.1 += 1;
        let total = &mut totals[usize::from(label == 1)];
        total.0 += usize::from(found);
        total.1 += 1;
        if show.is_some_and(|kind| word("kind").contains(kind.as_str())) && found != (label == 1) {
            let found: Vec<_> =
                findings.iter().map(|finding| format!("{}={:.2}", finding.category, finding.score)).collect();
            println!(
                "{} {:?}\n    {}",
                word("source"),
                found,
                text.chars().take(600).collect::<String>().replace('\n', "\\n")
            );
        }
    }
    for ((label, kind, source), (found, all)) in table {
        let what = if label == 1 { "recall" } else { "false positives" };
        println!("{:>6.1} % {what:<15} {found:>5} of {all:<5} {kind} ({source})", 100.0 * found as f64 / all as f64);
    }
    println!("benign: {} of {} at {DENY}; attacks: {} of {}", totals[0].0, totals[0].1, totals[1].0, totals[1].1);
}
