//! Arden's published client against the built binary.

use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};
use test_suite::{Server, Setup, python, script};

const AGENT: &str = "arden_live_00112233445566778899aabbccddeeff";
const TEST: &str = "arden_test_00112233445566778899aabbccddeeff";
const OPERATOR: &str = "gamma-token";
const SIGNING_KEY: &str = "a signing key of this test";

/// The digests are those of the tokens above. `slow.transfer` has nobody who decides.
fn config(port: u16) -> String {
    format!(
        r#"
[[tenant]]
name = "acme"

[[tenant.plugins]]
name = "rule-arguments"

[[tenant.plugins.config.policies]]
tool = "slow.*"
default = "review"

[[tenant.plugins.config.policies]]
tool = "stripe.*"
default = "deny"
message = "Transfers above 500 EUR are not permitted for this agent"
rules = [
    {{ when = [{{ argument = "amount", at_most = 50 }}], effect = "allow" }},
    {{ when = [{{ argument = "amount", at_most = 500 }}], effect = "review", message = "Waiting for finance approval" }},
]

[tenant.router]
name = "router-default"
config = {{ deadline_seconds = 15 }}

[[tenant.agent]]
name = "billing-bot"
token_sha256 = [
    "sha256:{AGENT_SHA256}",
    "sha256:{TEST_SHA256}",
]

[[tenant.operator]]
name = "olga"
token_sha256 = ["sha256:6be6ba7a6ef7e0422d11aaf33cf3e9290ff8186e391f846c1cf23fe7594a9b19"]
roles = ["approver", "admin"]

[[arden.webhook]]
tenant = "acme"
agent = "billing-bot"
environment = "live"
url = "http://127.0.0.1:{port}/arden/webhook"
signing_key_file = "signing.key"
private_address = true

[[arden.price]]
model = "claude-sonnet-*"
prompt_usd = 3.0
completion_usd = 15.0
"#
    )
}

const AGENT_SHA256: &str = "e38c9b449ec70f7a19841f97bcb7d2304a784c12933aaf8e5d242bc3f863e89b";
const TEST_SHA256: &str = "20e56c10db6056ab65d1a85d8f13ebf22df87b9e8b07789bdeb121504603c62b";

fn server(port: u16) -> Server {
    let files = vec![("signing.key".to_owned(), format!("{SIGNING_KEY}\n").into_bytes())];
    Server::start(&Setup { config: Some(config(port)), files, warm: true, ..Setup::default() }).unwrap()
}

/// A port that was free a moment ago.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_published_client_works_unmodified() {
    let port = port();
    let server = server(port);
    let mut client = Command::new(python().unwrap());
    client.arg(script("arden_agent.py")).arg(format!("{}/arden", server.url)).env("NO_PROXY", "127.0.0.1");
    client.env("AGENT", AGENT).env("TEST", TEST).env("OPERATOR", OPERATOR);
    client.env("SIGNING_KEY", SIGNING_KEY).env("WEBHOOK_PORT", port.to_string());
    let done = client.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}\n{}", server.errors().unwrap());
    let seen: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let refused = "Transfers above 500 EUR are not permitted for this agent";
    let expected = json!({
        "allowed": "refunded 20.0 EUR",
        "blocked": { "PolicyDeniedError": refused },
        "approved": "refunded 150.0 EUR",
        "denied": { "PolicyDeniedError": "Tool call was denied: amount mismatch" },
        "expired": { "PolicyDeniedError": "Tool call was denied: expired: nobody decided within 15 seconds" },
        "the client gave up": ["ApprovalTimeoutError"],
        "no policy": "updated",
        "ran": [20.0, 150.0],
        "async function": "async 20.0",
        "async pending": "PendingApproval",
        "async approved": "refunded 160.0 EUR",
        "async denied": { "PolicyDeniedError": "Tool call was denied: no" },
        "webhook approved": ["approved", true, true, "olga", "call back", "stripe.issue_refund"],
        "webhook denied": ["denied", "action_denied", "duplicate request"],
        "webhook signatures": true,
        "langchain allowed": "refunded 30.0 EUR",
        "langchain blocked": { "PolicyDeniedError": refused },
        "langchain approved": "refunded 180.0 EUR",
        "observation parked": 0,
        "usage known": [1, 1298, 0.00495],
        "usage unknown": 1,
        "usage by session": ["chat-882"],
        "an agent approves": ["ArdenError"],
        "another side asks": ["ArdenError"],
        "an operator denies": true,
        "its status": ["denied", "late"],
        "an unknown key": ["ArdenError"],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&seen[name], value, "{name}: {seen}");
    }
    assert_eq!(seen.as_object().unwrap().len(), expected.as_object().unwrap().len());
    let data = server.data().to_str().unwrap().to_owned();
    let (code, verified, _) = server.portcullis(&["ledger", "verify", "--tenant", "acme", "--data", &data]).unwrap();
    assert_eq!((code, verified.starts_with("good")), (0, true), "{verified}");
}

#[test]
fn operators_replace_policies_while_it_runs_and_a_bad_one_changes_nothing() {
    let server = server(port());
    let check = |server: &Server, amount: u32| {
        let body =
            json!({ "tool_name": "stripe.issue_refund", "args": [], "kwargs": { "amount": amount }, "metadata": null });
        let headers = [("x-api-key", AGENT), ("content-type", "application/json")];
        let answer = server.request("POST", "/arden/policy/check", &headers, body.to_string().as_bytes()).unwrap();
        answer.json().unwrap()["decision"].as_str().unwrap().to_owned()
    };
    let token = format!("Bearer {OPERATOR}");
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let replace = |server: &Server, body: Value| {
        let answer =
            server.request("POST", "/v1/policies/rule-arguments", &headers, body.to_string().as_bytes()).unwrap();
        (answer.status, answer.json().unwrap())
    };
    let written = server.request("GET", "/v1/policies", &headers, b"").unwrap().json().unwrap();
    let written = &written["policies"][0];
    assert_eq!((&written["plugin"], &written["by"]), (&json!("rule-arguments"), &Value::Null));
    assert_eq!((check(&server, 20), check(&server, 5000)), ("allow".to_owned(), "block".to_owned()));

    let (status, error) = replace(&server, json!({ "policies": [{ "tool": "*", "default": "perhaps" }] }));
    assert_eq!((status, &error["error"]["code"]), (422, &json!("invalid_policies")));
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("policies[0].default: unknown variant"), "{message}");
    assert_eq!(check(&server, 20), "allow", "nothing has changed");

    let tight = json!([{ "tool": "*", "default": "deny" }]);
    let wrong = json!({ "policies": tight, "replaces": format!("sha256:{}", "0".repeat(64)) });
    assert_eq!(replace(&server, wrong).0, 409);
    let (status, view) = replace(&server, json!({ "policies": tight, "replaces": written["digest"] }));
    assert_eq!((status, &view["by"], &view["policies"]), (200, &json!("olga"), &tight), "{view}");
    assert_eq!(check(&server, 20), "block", "at once");
    // As an agent, and for a plugin that takes none.
    let agent = [("authorization", format!("Bearer {AGENT}")), ("content-type", "application/json".to_owned())];
    let agent: Vec<_> = agent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = json!({ "policies": null }).to_string();
    let forbidden = server.request("POST", "/v1/policies/rule-arguments", &agent, body.as_bytes()).unwrap();
    assert_eq!(forbidden.status, 403);
    let unknown = server.request("POST", "/v1/policies/router-default", &headers, body.as_bytes()).unwrap();
    assert_eq!(unknown.status, 404);

    // It survives a kill, and ends when the configuration's are wanted again.
    let setup = Setup { config: Some(config(1)), warm: true, ..Setup::default() };
    let server = Server::start_in(server.kill().unwrap(), &setup).unwrap();
    assert_eq!(check(&server, 20), "block");
    let (status, view) = replace(&server, json!({ "policies": null }));
    assert_eq!((status, &view["by"], &view["digest"]), (200, &Value::Null, &written["digest"]));
    assert_eq!(check(&server, 20), "allow");
    let data = server.data().to_str().unwrap().to_owned();
    let entries = ["ledger", "show", "--tenant", "acme", "--json", "--limit", "1000", "--data", &data];
    let (_, entries, _) = server.portcullis(&entries).unwrap();
    let notes = entries.lines().filter(|line| line.contains("policies of rule-arguments") && line.contains("olga"));
    assert_eq!(notes.count(), 2, "{entries}");
}
