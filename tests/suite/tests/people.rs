//! Many parked calls, and operators that go, with the built binary.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use test_suite::{Answer, Server, Setup};

/// SHA-256 of alpha-token, gamma-token and delta-token.
const ALPHA: &str = "sha256:a336d9b1d8b8647875238537ca5087b0ea335afd2032936aecdffc3e4b13f720";
const GAMMA: &str = "sha256:6be6ba7a6ef7e0422d11aaf33cf3e9290ff8186e391f846c1cf23fe7594a9b19";
const DELTA: &str = "sha256:b2276ded52b37a1ac4a55781bc186f1bea6c04c772af4117135e92b1f25d96c4";

/// More than one agent may have waiting by default.
const MANY: usize = 10_000;
const BATCH: usize = 100;

fn config(operators: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[approvals]\npending_per_tenant = {MANY}\npending_per_agent = {MANY}\nkept_per_tenant = 20000\n\n[[tenant]]\nname = \
         \"acme\"\nplugins = [{{ name = \"rule-baseline\", limits = {{ deadline_ms = 10_000 }} }}]\n\n[[tenant.agent]]\nname = \
         \"bot\"\ntoken_sha256 = [\"{ALPHA}\"]\n"
    );
    for (name, hash) in operators {
        text.push_str(&format!(
            "\n[[tenant.operator]]\nname = \"{name}\"\ntoken_sha256 = [\"{hash}\"]\nroles = [\"approver\"]\n"
        ));
    }
    text
}

fn setup(operators: &[(&str, &str)]) -> Setup {
    Setup { config: Some(config(operators)), warm: true, ..Setup::default() }
}

fn ask(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.request(method, path, &headers, body.as_bytes()).unwrap()
}

fn wire(amount: usize) -> Value {
    json!({ "tool": "wire_transfer", "arguments": { "amount": amount, "to": "DE02120300000000202051" } })
}

/// The ids of everything that waits, read page by page.
fn waiting(server: &Server) -> HashSet<String> {
    let mut ids = HashSet::new();
    let mut before = String::new();
    loop {
        let path = format!("/v1/approvals?state=pending&limit=500{before}");
        let page = ask(server, "gamma-token", "GET", &path, &Value::Null).json().unwrap();
        let page = page["approvals"].as_array().unwrap();
        let Some(last) = page.last() else { return ids };
        for approval in page {
            assert!(ids.insert(approval["id"].as_str().unwrap().to_owned()), "each is listed once");
        }
        before = format!("&before={}", last["id"].as_str().unwrap());
    }
}

#[test]
fn ten_thousand_parked_calls_are_listed_page_by_page_and_are_there_after_a_kill() {
    let operators = [("olga", GAMMA)];
    let server = Server::start(&setup(&operators)).unwrap();
    for batch in 0..MANY / BATCH {
        let calls: Vec<_> = (0..BATCH).map(|index| wire(batch * BATCH + index)).collect();
        let answer = ask(&server, "alpha-token", "POST", "/v1/inspect/batch", &json!({ "calls": calls }));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // One more is refused, and does not push another out.
    let refused = ask(&server, "alpha-token", "POST", "/v1/inspect", &wire(MANY));
    assert_eq!(refused.status, 503, "{}", refused.text());
    let before = waiting(&server);
    assert_eq!(before.len(), MANY);

    let folder = server.kill().unwrap();
    let server = Server::start_in(folder, &setup(&operators)).unwrap();
    assert_eq!(waiting(&server), before);
    // The oldest of them is decided and released like any other.
    let parked = ask(&server, "alpha-token", "POST", "/v1/inspect", &wire(0)).json().unwrap();
    let id = parked["approval"]["id"].as_str().unwrap();
    assert!(before.contains(id), "the call is known by its digest");
    let path = format!("/v1/approvals/{id}/decide");
    let decided = ask(&server, "gamma-token", "POST", &path, &json!({ "decision": "approve" }));
    assert_eq!(decided.status, 200, "{}", decided.text());
    let released = ask(&server, "alpha-token", "POST", "/v1/inspect", &wire(0)).json().unwrap();
    assert_eq!((&released["approval"]["id"], &released["approval"]["state"]), (&json!(id), &json!("approved")));
    assert_eq!(waiting(&server).len(), MANY - 1);
    let (code, said, errors) = server.portcullis(&["ledger", "verify", "--tenant", "acme", "--data", "data"]).unwrap();
    assert_eq!(code, 0, "{said}{errors}");
}

#[test]
fn an_approver_who_is_removed_while_claiming_is_not_let_in_any_more_and_others_decide() {
    let both = [("olga", GAMMA), ("ben", DELTA)];
    let server = Server::start(&setup(&both)).unwrap();
    let parked = ask(&server, "alpha-token", "POST", "/v1/inspect", &wire(1)).json().unwrap();
    let id = parked["approval"]["id"].as_str().unwrap();
    let act = |token: &str, what: &str, body: &Value| {
        ask(&server, token, "POST", &format!("/v1/approvals/{id}/{what}"), body)
    };
    assert_eq!(act("gamma-token", "claim", &json!({})).status, 200);
    fs::write(server.folder().join("next.toml"), config(&both[1..])).unwrap();
    fs::rename(server.folder().join("next.toml"), server.folder().join("portcullis.toml")).unwrap();
    assert!(Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap().success());
    // The claim is renewed until the very moment.
    let statuses: Vec<u16> = (0..20_000)
        .scan(200, |last, _| {
            (*last == 200).then(|| *last = act("gamma-token", "claim", &json!({})).status).map(|()| *last)
        })
        .collect();
    assert_eq!(statuses.last(), Some(&401), "{}", server.errors().unwrap());
    for (what, body) in
        [("decide", json!({ "decision": "approve" })), ("unclaim", json!({})), ("comment", json!({"text": "x"}))]
    {
        assert_eq!(act("gamma-token", what, &body).status, 401, "{what}");
    }
    // The claim is shown until it lapses, and holds up no decision.
    let shown = ask(&server, "delta-token", "GET", &format!("/v1/approvals/{id}"), &Value::Null).json().unwrap();
    assert_eq!((&shown["state"], &shown["claimed"]["operator"]), (&json!("pending"), &json!("olga")));
    let decided = act("delta-token", "decide", &json!({ "decision": "approve" }));
    assert_eq!(decided.status, 200, "{}", decided.text());
    let released = ask(&server, "alpha-token", "POST", "/v1/inspect", &wire(1)).json().unwrap();
    assert_eq!((&released["approval"]["id"], &released["approval"]["state"]), (&json!(id), &json!("approved")));
}
