use portcullis_plugin::Phase;
use portcullis_plugin::testing::JsonPayload;

use super::*;

fn inspect_with(config: Config, phase: Phase, tool: &str, payload: &serde_json::Value) -> Vec<Finding> {
    let detector = Commands::configure(config).unwrap();
    let call = Call { phase, tool: tool.into(), ..Call::default() };
    detector.inspect(&call, &JsonPayload::new(&payload.to_string()).unwrap()).unwrap()
}

fn inspect(payload: &serde_json::Value) -> Vec<Finding> {
    inspect_with(Config::default(), Phase::Call, "tool", payload)
}

/// The strongest finding for a command.
fn command(text: &str) -> (String, f32) {
    strongest(&inspect(&serde_json::json!({ "command": text })))
}

fn strongest(findings: &[Finding]) -> (String, f32) {
    findings.iter().fold((String::new(), 0.0), |best, one| {
        if one.score > best.1 { (one.category.clone(), one.score) } else { best }
    })
}
