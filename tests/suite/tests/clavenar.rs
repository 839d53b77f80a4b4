//! Clavenar's published agent SDK against the built binary.

use std::process::Command;

use serde_json::{Value, json};
use test_suite::{Server, Setup, python, script};

/// SHA-256 of the tokens alpha-token, beta-token and gamma-token.
const CONFIG: &str = r#"
[[tenant]]
name = "acme"
policy = "baseline"

[[tenant.agent]]
name = "billing-bot"
token_sha256 = ["sha256:a336d9b1d8b8647875238537ca5087b0ea335afd2032936aecdffc3e4b13f720"]

[[tenant.agent]]
name = "limited"
token_sha256 = ["sha256:863d63c0bd3a94bfca84ed2063a7355a226faff82ca50b90158bf183aa1a9e61"]
rate = { per_second = 0.01, burst = 1 }

[[tenant.operator]]
name = "olga"
token_sha256 = ["sha256:6be6ba7a6ef7e0422d11aaf33cf3e9290ff8186e391f846c1cf23fe7594a9b19"]
roles = ["approver"]
"#;

#[test]
fn the_published_agent_sdk_works_unmodified() {
    let server = Server::start(&Setup { config: Some(CONFIG.to_owned()), warm: true, ..Setup::default() }).unwrap();
    let mut client = Command::new(python().unwrap());
    client.arg(script("clavenar_agent.py")).arg(&server.url).env("NO_PROXY", "127.0.0.1");
    client.env("AGENT", "alpha-token").env("LIMITED", "beta-token").env("OPERATOR", "gamma-token");
    let done = client.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    let seen: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));

    let refused = |tool: &str, of: &str| {
        let reasons = [format!("{of}the call would destroy data (destructive_command)")];
        json!({ "denied": tool, "reasons": reasons, "category": "PolicyDeny" })
    };
    let waits = |tool: &str, of: &str| {
        let reasons = [format!("{of}this tool always wants a person's approval (sensitive_tool)")];
        json!({ "pending": tool, "reasons": reasons })
    };
    let mut expected = json!({
        "direct harmless": "allow", "direct async harmless": "allow",
        "direct dangerous": "deny", "direct async dangerous": "deny",
        "direct payment": "pending", "direct async payment": "pending",
        "below a base path": "deny",
        "realtime, arguments that are no JSON": "deny",
        "a wrong token": { "transport": 401 },
        "over the limit": ["allow", "rate_limited"],
        "approved": "resolved",
        "refused by a person": { "denied": "wire_transfer", "reasons": ["vendor not on file"], "category": "PendingDenied" },
        "a lost answer, harmless": "allow", "a lost answer, payment": "pending",
        "tries": [[200, 200], [202, 202]],
    });
    for provider in ["anthropic", "openai"] {
        for kind in ["sync answer", "sync stream", "async answer", "async stream"] {
            expected[format!("{provider} {kind} read_file")] = json!("allowed");
            expected[format!("{provider} {kind} sql_execute")] = refused("sql_execute", "");
            expected[format!("{provider} {kind} wire_transfer")] = waits("wire_transfer", "");
        }
        // The SDK names the first call of a batch.
        expected[format!("{provider} batch with one that is refused")] = refused("read_file", "sql_execute: ");
        expected[format!("{provider} batch with one that waits")] = waits("read_file", "wire_transfer: ");
        expected[format!("{provider} batch, approved")] = json!("resolved");
    }
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&seen[name], value, "{name}");
    }
    assert_eq!(seen.as_object().unwrap().len(), expected.as_object().unwrap().len());

    let data = server.data().to_str().unwrap().to_owned();
    let (code, verified, _) = server.portcullis(&["ledger", "verify", "--tenant", "acme", "--data", &data]).unwrap();
    assert_eq!((code, verified.starts_with("good")), (0, true), "{verified}");
    let entries = ["ledger", "show", "--tenant", "acme", "--json", "--limit", "10000", "--data", &data];
    let (_, entries, _) = server.portcullis(&entries).unwrap();
    // What could not be retried without being ruled twice was ruled once: a lost answer leaves one decision.
    let decisions = entries.lines().filter(|line| line.contains(r#""kind":"decision""#)).count();
    assert_eq!(decisions, 6 + 2 + 1 + 24 + 2 * (3 + 3) + 2 + 2, "{entries}");
}
