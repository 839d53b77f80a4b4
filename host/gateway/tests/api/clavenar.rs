//! The Clavenar contract on the wire.

use std::sync::atomic::Ordering;

use portcullis_gateway::doors::clavenar::AllowBody;
use portcullis_model::EntryKind;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use crate::support::*;

pub const DECISION: (&str, &str) = ("x-clavenar-decision-contract", "clavenar.decision/v1");
pub const EXECUTION: (&str, &str) = ("x-clavenar-server-execution-contract", "clavenar.server-execution/v1");
pub const ID: &str = "x-clavenar-idempotency-id";
pub const CORRELATION: &str = "x-clavenar-correlation-id";

async fn bench() -> Bench {
    Bench::with(Setup { clavenar: Some(AllowBody::Verdict), ..Setup::default() }).await
}

pub async fn send(bench: &Bench, path: &str, token: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut client = bench.client().await;
    let bytes = request(if body.is_empty() { "GET" } else { "POST" }, path, token, body.as_bytes());
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let at = bytes.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
    client.0.write_all(&[&bytes[..at], more.as_bytes(), &bytes[at..]].concat()).await.unwrap();
    let answer = client.answer().await;
    assert!(Uuid::parse_str(&answer.headers[CORRELATION]).is_ok(), "{answer:?}");
    assert!(["enforce", "observe"].contains(&answer.headers["x-clavenar-mode"].as_str()), "{answer:?}");
    answer
}

/// A question under the decision contract.
pub async fn decide(bench: &Bench, token: &str, id: &str, body: &Value) -> Answer {
    let answer = send(bench, "/mcp", token, &[DECISION, (ID, id)], &body.to_string()).await;
    assert_eq!(answer.headers[CORRELATION], id, "{answer:?}");
    answer
}

pub fn id() -> String {
    Uuid::new_v4().to_string()
}

pub fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": "tools/call", "params": { "name": tool, "arguments": arguments }, "id": 1 })
}

pub fn batch(calls: &Value) -> Value {
    let arguments = json!({ "contract": "clavenar.atomic-tool-call-batch/v1", "calls": calls });
    json!({ "jsonrpc": "2.0", "method": "clavenar/tools.batch", "id": 1,
            "params": { "name": "clavenar.atomic-batch", "arguments": arguments } })
}

/// Name, token, headers, body, and what is expected: status and, in JSON, `error`.
type Row<'r> = (&'r str, &'r str, &'r [(&'r str, &'r str)], &'r str, u16, &'r str);

/// The rows that were observed at the reference server. Where ours differs, the row says so.
#[tokio::test]
async fn the_observed_answers() {
    let bench = bench().await;
    let one = id();
    let upper = one.to_uppercase();
    let tool = call("t", &json!({})).to_string();
    let list = json!({ "jsonrpc": "2.0", "method": "tools/list", "id": 1 }).to_string();
    let rows: &[Row<'_>] = &[
        ("allow", AGENT, &[DECISION, (ID, &one)], &tool, 200, ""),
        ("deny", AGENT, &[DECISION, (ID, &id())], &call("t", &json!("DENY")).to_string(), 403, "security_violation"),
        ("park", AGENT, &[DECISION, (ID, &id())], &call("t", &json!("REVIEW")).to_string(), 202, ""),
        ("no selector, with a token", AGENT, &[], &tool, 426, "client_contract_required"),
        ("no selector, without a token", "", &[], &tool, 426, "client_contract_required"),
        ("idempotency id only", AGENT, &[(ID, &one)], &tool, 400, "decision_selector_invalid"),
        ("decision without an id", AGENT, &[DECISION], &tool, 400, "decision_selector_invalid"),
        (
            "another version",
            AGENT,
            &[(DECISION.0, "clavenar.decision/v2"), (ID, &one)],
            &tool,
            400,
            "decision_selector_invalid",
        ),
        ("an id in upper case", AGENT, &[DECISION, (ID, &upper)], &tool, 400, "decision_selector_invalid"),
        ("two ids", AGENT, &[DECISION, (ID, &one), (ID, &one)], &tool, 400, "decision_selector_invalid"),
        (
            "the older header",
            AGENT,
            &[("x-clavenar-execution-contract", "clavenar.execution/v1")],
            &tool,
            400,
            "decision_selector_invalid",
        ),
        ("both", AGENT, &[DECISION, EXECUTION, (ID, &one)], &tool, 400, "server_execution_selector_conflict"),
        ("execution without an id", AGENT, &[EXECUTION], &tool, 400, "server_execution_selector_invalid"),
        ("a decision about a list", AGENT, &[DECISION, (ID, &id())], &list, 400, "decision_tool_required"),
        ("a wrong token", "nobody", &[DECISION, (ID, &id())], &tool, 401, ""),
        ("an operator", OPERATOR, &[DECISION, (ID, &id())], &tool, 401, ""),
        ("no JSON", AGENT, &[DECISION, (ID, &id())], "{", 400, ""),
        ("no method", AGENT, &[DECISION, (ID, &id())], "{\"id\":1}", 400, ""),
        ("a member twice", AGENT, &[DECISION, (ID, &id())], "{\"method\":\"a\",\"method\":\"b\"}", 400, ""),
        (
            "a callback",
            AGENT,
            &[DECISION, (ID, &id()), ("x-clavenar-callback-url", "https://a.example/")],
            &tool,
            400,
            "",
        ),
        ("a halted agent (ours)", HALTED, &[DECISION, (ID, &id())], &tool, 403, "agent_revoked"),
        ("server execution of a list", AGENT, &[EXECUTION, (ID, &id())], &list, 400, "server_execution_tool_required"),
        ("server execution without an upstream (ours)", AGENT, &[EXECUTION, (ID, &id())], &tool, 404, ""),
    ];
    for (name, token, headers, body, status, error) in rows {
        for path in ["/mcp", "/clavenar/mcp"] {
            // Without any of the headers the MCP door is meant at its own path.
            if headers.is_empty() && path == "/mcp" {
                continue;
            }
            // Each is a request of its own.
            let fresh = id();
            let own = |name: &str, value: &str| name == ID && value != upper && !value.is_empty();
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, if own(name, value) { fresh.as_str() } else { *value }))
                .collect();
            let in_json = [200, 202, 403].contains(status);
            let answer = send(&bench, path, token, &headers, body).await;
            assert_eq!(answer.status, *status, "{name} at {path}: {answer:?}");
            assert!(answer.text.len() < 4096, "{name}");
            if !error.is_empty() {
                assert_eq!(answer.json()["error"], *error, "{name}");
                assert_eq!(answer.headers["content-type"], "application/json", "{name}");
                assert_eq!(answer.json()["correlation_id"], answer.headers[CORRELATION], "{name}");
            } else if !in_json {
                assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8", "{name}");
            }
        }
    }
    let limited = async || decide(&bench, SLOW, &id(), &call("t", &json!({}))).await;
    assert_eq!(limited().await.status, 200);
    let refused = limited().await;
    assert_eq!((refused.status, &refused.json()["error"]), (429, &json!("rate_limited")));
    assert_eq!(refused.json()["agent_id"], "acme/slow");
    assert!(refused.json()["retry_after_secs"].as_u64().unwrap() >= 1 && refused.headers.contains_key("retry-after"));
    bench.journal.broken.store(true, Ordering::SeqCst);
    let broken = decide(&bench, AGENT, &id(), &call("t", &json!({}))).await;
    assert_eq!((broken.status, &broken.json()["error"]), (503, &json!("pipeline_unavailable")));
    assert_eq!(send(&bench, "/clavenar/readyz", "", &[], "").await.status, 503);
    bench.journal.broken.store(false, Ordering::SeqCst);
    assert_eq!(send(&bench, "/clavenar/readyz", "", &[], "").await.json()["status"], "ready");
    assert_eq!(send(&bench, "/clavenar/health", "", &[], "").await.status, 200);
}

#[tokio::test]
async fn bodies_are_those_that_the_clients_take() {
    let bench = bench().await;
    let allowed = decide(&bench, AGENT, &id(), &call("t", &json!({}))).await;
    assert_eq!(allowed.text, r#"{"verdict":"allow"}"#);
    let one = id();
    let parked = decide(&bench, AGENT, &one, &call("t", &json!("REVIEW"))).await.json();
    let expected = json!({
        "contract": "clavenar.pending-authorization/v1", "status": "pending", "pending_id": one, "correlation_id": one,
        "review_reasons": ["a word was found (word)"],
    });
    assert_eq!(parked, expected);
    let denied = decide(&bench, AGENT, &id(), &call("t", &json!("DENY"))).await.json();
    assert_eq!(denied["reasons"], json!(["a word was found (word)"]));
    let redacted = decide(&bench, AGENT, &id(), &call("t", &json!({ "k": "SECRET" }))).await;
    assert_eq!(redacted.status, 403, "changed arguments cannot be told");

    let contract = Bench::with(Setup { clavenar: Some(AllowBody::Contract), ..Setup::default() }).await;
    let one = id();
    let allowed = decide(&contract, AGENT, &one, &call("t", &json!({}))).await.json();
    let expected =
        json!({ "contract": "clavenar.decision/v1", "decision": "allow", "correlation_id": one, "executable": false });
    assert_eq!(allowed, expected);
}

#[tokio::test]
async fn every_call_of_a_batch_is_judged_under_its_own_name() {
    let bench = bench().await;
    let calls = json!([
        { "id": "1", "name": "read_file", "arguments": { "path": "a" } },
        { "id": "2", "name": "sql_execute", "arguments": { "query": "DENY" } },
    ]);
    let one = id();
    let denied = decide(&bench, AGENT, &one, &batch(&calls)).await;
    assert_eq!(denied.status, 403);
    let seen: Vec<_> = bench.entries("acme").into_iter().map(|row| row.entry).collect();
    let tools: Vec<_> = seen.iter().map(|entry| entry.tool.as_deref().unwrap()).collect();
    assert_eq!(tools, ["read_file", "sql_execute", "clavenar.atomic-batch"]);
    assert!(seen.iter().all(|entry| entry.id.to_string() == one), "one correlation id");
    assert_eq!(seen[0].note.as_deref(), Some("1 of 2 that go together: deny"));
    assert_eq!(denied.json()["reasons"], json!(["sql_execute: a word was found (word)"]));

    // One call in a batch is that call.
    let single = json!([{ "id": "1", "name": "wire_transfer", "arguments": { "amount": "REVIEW" } }]);
    assert_eq!(decide(&bench, AGENT, &id(), &batch(&single)).await.status, 202);
    let listed = send(&bench, "/pending", OPERATOR, &[], "").await.json();
    assert_eq!(listed[0]["tool_type"], "wire_transfer");
    // Nor does another method hide it.
    let mut hidden = batch(&single);
    hidden["method"] = "tools/call".into();
    assert_eq!(decide(&bench, AGENT, &id(), &hidden).await.status, 202);

    let wrong = [
        json!([]),
        json!([{ "id": "1", "name": "a" }, { "id": "1", "name": "b" }]),
        json!([{ "id": "1" }]),
        json!([{ "id": 1, "name": "a" }]),
        json!([{ "id": "1", "name": "" }]),
        json!([{ "id": "1", "name": "a", "input": "unseen" }]),
        json!([{ "id": "1", "name": "clavenar.atomic-batch" }]),
        json!({}),
        Value::Array((0..129).map(|index| json!({ "id": index.to_string(), "name": "a" })).collect()),
    ];
    for calls in wrong {
        assert_eq!(decide(&bench, AGENT, &id(), &batch(&calls)).await.status, 400, "{calls}");
    }
    let most = Value::Array((0..128).map(|index| json!({ "id": index.to_string(), "name": "a" })).collect());
    assert_eq!(decide(&bench, AGENT, &id(), &batch(&most)).await.status, 200);
}

#[tokio::test]
async fn what_nobody_judges_in_a_batch_is_refused() {
    let bench = bench().await;
    let calls = json!([{ "id": "1", "name": "a" }, { "id": "2", "name": "b" }]);
    assert_eq!(decide(&bench, AGENT, &id(), &batch(&calls)).await.status, 200);
    for place in ["/params", "/params/arguments"] {
        let mut more = batch(&calls);
        more.pointer_mut(place).unwrap()["command"] = json!("rm -rf /");
        assert_eq!(decide(&bench, AGENT, &id(), &more).await.status, 400, "{place}");
    }
}

#[tokio::test]
async fn an_approval_of_a_call_that_is_named_like_a_batch_is_for_no_batch() {
    let bench = bench().await;
    let calls = json!([
        { "id": "1", "name": "read_file", "arguments": { "path": "a" } },
        { "id": "2", "name": "wire_transfer", "arguments": { "amount": "REVIEW" } },
    ]);
    let body = batch(&calls);
    let question = json!({ "tool": "clavenar.atomic-batch", "arguments": body["params"]["arguments"] }).to_string();
    let asked = bench.inspect(AGENT, &question).await.json();
    let path = format!("/v1/approvals/{}/decide", asked["approval"]["id"].as_str().unwrap());
    assert_eq!(bench.ask("POST", &path, OPERATOR, r#"{"decision":"approve"}"#).await.status, 200);
    assert_eq!(decide(&bench, AGENT, &id(), &body).await.status, 202, "people are asked about the batch");
}

#[tokio::test]
async fn a_batch_is_approved_as_a_whole_and_once() {
    let bench = bench().await;
    let calls = json!([
        { "id": "1", "name": "read_file", "arguments": { "path": "a" } },
        { "id": "2", "name": "wire_transfer", "arguments": { "amount": "REVIEW" } },
    ]);
    let one = id();
    assert_eq!(decide(&bench, AGENT, &one, &batch(&calls)).await.status, 202);
    assert_eq!(bench.approvals.pending(), 1);
    let view = send(&bench, &format!("/pending/{one}"), AGENT, &[], "").await.json();
    assert_eq!((&view["status"], &view["tool_type"]), (&json!("pending"), &json!("clavenar.atomic-batch")));
    let path = format!("/pending/{one}/decide");
    assert_eq!(send(&bench, &path, OPERATOR, &[], r#"{"decision":"allow","note":"ok"}"#).await.status, 200);
    let approved = send(&bench, &format!("/pending/{one}"), AGENT, &[], "").await.json();
    assert_eq!((&approved["decision"], &approved["decider_note"]), (&json!("allow"), &json!("ok")));
    // Under an id of its own the same batch wants an approval of its own.
    assert_eq!(decide(&bench, AGENT, &id(), &batch(&calls)).await.status, 202);
    assert_eq!(bench.count("acme", EntryKind::Approval), 2, "the vote and the release");
}

#[tokio::test]
async fn a_parked_call_is_polled_decided_and_given_once() {
    let bench = bench().await;
    let body = call("pay", &json!({ "w": "REVIEW" }));
    let one = id();
    assert_eq!(decide(&bench, AGENT, &one, &body).await.status, 202);
    let path = format!("/pending/{one}");
    let view = send(&bench, &path, AGENT, &[], "").await.json();
    let keys: Vec<_> = view.as_object().unwrap().keys().map(String::as_str).collect();
    let all = [
        "contract",
        "status",
        "pending_id",
        "correlation_id",
        "tenant",
        "agent_id",
        "tool_type",
        "method",
        "review_reasons",
        "requested_at",
        "decided_at",
        "decision",
        "decider_note",
    ];
    assert_eq!(keys.len(), all.len());
    assert!(all.iter().all(|key| keys.contains(key)), "{keys:?}");
    assert_eq!((&view["decision"], &view["tenant"], &view["agent_id"]), (&Value::Null, &json!("acme"), &json!("bot")));

    for stranger in [SECOND, OTHER, OTHER_OPERATOR] {
        assert_eq!(send(&bench, &path, stranger, &[], "").await.status, 404, "{stranger}");
    }
    assert_eq!(send(&bench, &path, "", &[], "").await.status, 401);
    assert_eq!(send(&bench, "/pending/nonsense", AGENT, &[], "").await.status, 404);

    let decide_path = format!("{path}/decide");
    let vote = r#"{"decision":"allow","note":"checked"}"#;
    for (who, status) in [(AGENT, 401), (OTHER_OPERATOR, 404), (VIEWER, 403)] {
        assert_eq!(send(&bench, &decide_path, who, &[], vote).await.status, status, "{who}");
    }
    for wrong in ["{}", r#"{"decision":"approve"}"#, "{", r#"{"decision":"allow","decision":"deny"}"#] {
        assert_eq!(send(&bench, &decide_path, OPERATOR, &[], wrong).await.status, 400, "{wrong}");
    }
    let decided = send(&bench, &decide_path, OPERATOR, &[], vote).await;
    assert_eq!((decided.status, &decided.json()["status"]), (200, &json!("approved")));
    assert_eq!(send(&bench, &decide_path, OPERATOR, &[], r#"{"decision":"deny"}"#).await.status, 409);

    // Whoever reads that it was given may run it: the approval is used up with that, and stays given to this request.
    for _ in 0..2 {
        let view = send(&bench, &path, AGENT, &[], "").await.json();
        assert_eq!((&view["status"], &view["decider_note"]), (&json!("approved"), &json!("checked")));
        assert_eq!(decide(&bench, AGENT, &one, &body).await.status, 200, "a repeat is told the same");
    }
    assert_eq!(decide(&bench, AGENT, &id(), &body).await.status, 202, "another request wants its own");
}

#[tokio::test]
async fn who_asks_at_the_same_moment_is_told_the_same() {
    let bench = bench().await;
    let (one, body) = (id(), call("pay", &json!({ "w": "REVIEW" })));
    assert_eq!(decide(&bench, AGENT, &one, &body).await.status, 202);
    let path = format!("/pending/{one}");
    let vote = r#"{"decision":"allow"}"#;
    assert_eq!(send(&bench, &format!("{path}/decide"), OPERATOR, &[], vote).await.status, 200);
    let polls = (0..8).map(|_| send(&bench, &path, AGENT, &[], ""));
    for view in futures_util::future::join_all(polls).await {
        assert_eq!(view.json()["decision"], "allow", "{view:?}");
    }
    assert_eq!(bench.count("acme", EntryKind::Approval), 2, "one vote, one release");
}

#[tokio::test]
async fn a_restart_keeps_what_was_asked_and_decided() {
    let bench = bench().await;
    let (one, other) = (id(), id());
    let (pays, reads) = (call("pay", &json!({ "w": "REVIEW" })), call("t", &json!("DENY")));
    assert_eq!(decide(&bench, AGENT, &one, &pays).await.status, 202);
    assert_eq!(decide(&bench, AGENT, &other, &reads).await.status, 403);
    let bench = bench.restarted().await;
    assert_eq!(decide(&bench, AGENT, &one, &pays).await.status, 202);
    assert_eq!(decide(&bench, AGENT, &other, &reads).await.status, 403);
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 0, "nothing is ruled again");
    let vote = r#"{"decision":"allow"}"#;
    assert_eq!(send(&bench, &format!("/pending/{one}/decide"), OPERATOR, &[], vote).await.status, 200);
    let bench = bench.restarted().await;
    assert_eq!(send(&bench, &format!("/pending/{one}"), AGENT, &[], "").await.json()["decision"], "allow");
    let bench = bench.restarted().await;
    assert_eq!(send(&bench, &format!("/pending/{one}"), AGENT, &[], "").await.json()["decision"], "allow");
    assert_eq!(bench.count("acme", EntryKind::Approval), 2, "one vote, one release");
}

#[tokio::test]
async fn an_approval_that_another_call_used_is_a_denial() {
    let bench = bench().await;
    let body = call("pay", &json!({ "w": "REVIEW" }));
    let (one, other) = (id(), id());
    assert_eq!(decide(&bench, AGENT, &one, &body).await.status, 202);
    // The same call again waits for the same decision.
    assert_eq!(decide(&bench, AGENT, &other, &body).await.status, 202);
    assert_eq!(bench.approvals.pending(), 1);
    let vote = r#"{"decision":"allow"}"#;
    assert_eq!(send(&bench, &format!("/pending/{one}/decide"), OPERATOR, &[], vote).await.status, 200);
    assert_eq!(send(&bench, &format!("/pending/{other}"), AGENT, &[], "").await.json()["decision"], "allow");
    let late = send(&bench, &format!("/pending/{one}"), AGENT, &[], "").await.json();
    assert_eq!((&late["status"], &late["decision"]), (&json!("denied"), &json!("deny")));
    assert!(late["decider_note"].as_str().unwrap().contains("another call"), "{late}");
    let repeated = decide(&bench, AGENT, &one, &body).await;
    assert_eq!((repeated.status, &repeated.json()["error"]), (403, &json!("review_denied")));
}

#[tokio::test]
async fn a_denial_comes_with_its_note() {
    let bench = bench().await;
    let one = id();
    let body = call("pay", &json!("REVIEW"));
    assert_eq!(decide(&bench, AGENT, &one, &body).await.status, 202);
    let vote = r#"{"decision":"deny","note":"vendor not on file"}"#;
    assert_eq!(send(&bench, &format!("/pending/{one}/decide"), OPERATOR, &[], vote).await.status, 200);
    let view = send(&bench, &format!("/pending/{one}"), AGENT, &[], "").await.json();
    assert_eq!((&view["decision"], &view["decider_note"]), (&json!("deny"), &json!("vendor not on file")));
    let repeated = decide(&bench, AGENT, &one, &body).await;
    assert_eq!((repeated.status, &repeated.json()["reasons"][0]), (403, &json!("vendor not on file")));
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_bounded() {
    let bench = bench().await;
    let ids: Vec<_> = (0..3).map(|_| id()).collect();
    for (index, one) in ids.iter().enumerate() {
        let body = call("pay", &json!({ "w": "REVIEW", "n": index }));
        assert_eq!(decide(&bench, AGENT, one, &body).await.status, 202);
    }
    let vote = r#"{"decision":"deny"}"#;
    assert_eq!(send(&bench, &format!("/pending/{}/decide", ids[1]), OPERATOR, &[], vote).await.status, 200);
    let listed = async |query: &str| -> Vec<String> {
        let answer = send(&bench, &format!("/clavenar/pending{query}"), OPERATOR, &[], "").await;
        assert_eq!(answer.status, 200, "{query}");
        let views = answer.json();
        views.as_array().unwrap().iter().map(|view| view["correlation_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("").await, [&*ids[0], &*ids[2]], "what waits, oldest first");
    assert_eq!(listed("?status=decided").await, [&*ids[1]]);
    assert_eq!(listed("?status=all&sort=newest&limit=2").await, [&*ids[2], &*ids[1]]);
    for query in ["?status=open", "?sort=up", "?limit=many"] {
        assert_eq!(send(&bench, &format!("/pending{query}"), OPERATOR, &[], "").await.status, 400, "{query}");
    }
    for who in ["", AGENT] {
        assert_eq!(send(&bench, "/pending", who, &[], "").await.status, 401);
    }
    assert!(send(&bench, "/pending", OTHER_OPERATOR, &[], "").await.json().as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_is_ruled_once_under_its_id() {
    let bench = bench().await;
    let (one, body) = (id(), call("t", &json!({ "n": 1 })));
    let both = tokio::join!(decide(&bench, AGENT, &one, &body), decide(&bench, AGENT, &one, &body));
    assert_eq!((both.0.status, both.1.status), (200, 200));
    assert_eq!(decide(&bench, AGENT, &one, &body).await.status, 200);
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 1);
    assert_eq!(bench.entries("acme").len(), 1);
    let other = decide(&bench, AGENT, &one, &call("t", &json!({ "n": 2 }))).await;
    assert_eq!((other.status, &other.json()["error"]), (409, &json!("idempotency_conflict")));
    // Nor is it another agent's, or the inspect API's.
    assert_eq!(decide(&bench, SECOND, &one, &body).await.status, 409);
    let inspected = bench.inspect(AGENT, &format!(r#"{{"tool":"t","arguments":{{"n":1}},"id":"{one}"}}"#)).await;
    assert_eq!(inspected.status, 409);
    assert_eq!(decide(&bench, OTHER, &one, &body).await.status, 200, "another tenant has ids of its own");
}

#[tokio::test]
async fn a_batch_hides_nothing_behind_an_approval() {
    let bench = bench().await;
    let calls = json!([
        { "id": "1", "name": "wire_transfer", "arguments": { "amount": "REVIEW" } },
        { "id": "2", "name": "post", "arguments": { "text": "SECRET" } },
    ]);
    let denied = decide(&bench, AGENT, &id(), &batch(&calls)).await;
    assert_eq!((denied.status, bench.approvals.pending()), (403, 0), "changed arguments cannot be told");
    assert!(denied.json()["reasons"][0].as_str().unwrap().contains("redaction_together"), "{denied:?}");

    let calls = json!([
        { "id": "1", "name": "wire_transfer", "arguments": { "amount": "REVIEW" } },
        { "id": "2", "name": "drop_database", "arguments": { "name": "REVIEW" } },
        { "id": "3", "name": "read_file", "arguments": {} },
    ]);
    assert_eq!(decide(&bench, AGENT, &id(), &batch(&calls)).await.status, 202);
    let waiting = bench.get("/v1/approvals?state=pending", OPERATOR).await.json();
    let summary = waiting["approvals"][0]["summary"].as_str().unwrap();
    assert!(summary.starts_with("2 of 3 calls that go together: wire_transfer, drop_database; "), "{summary}");
}

#[tokio::test]
async fn a_halted_agent_is_given_nothing_any_more() {
    let bench = bench().await;
    let (one, other) = (id(), id());
    let pays = call("pay", &json!({ "w": "REVIEW" }));
    assert_eq!(decide(&bench, AGENT, &one, &pays).await.status, 202);
    assert_eq!(decide(&bench, AGENT, &other, &call("t", &json!({}))).await.status, 200);
    let vote = r#"{"decision":"allow"}"#;
    assert_eq!(send(&bench, &format!("/pending/{one}/decide"), OPERATOR, &[], vote).await.status, 200);
    bench.credentials.replace(halting("bot"));
    for answer in [
        send(&bench, &format!("/pending/{one}"), AGENT, &[], "").await,
        decide(&bench, AGENT, &one, &pays).await,
        decide(&bench, AGENT, &other, &call("t", &json!({}))).await,
    ] {
        assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("agent_revoked")));
    }
    assert_eq!(bench.count("acme", EntryKind::Approval), 1, "the vote, no release");
}

#[tokio::test]
async fn an_id_names_one_parked_call() {
    let bench = bench().await;
    let parked = bench.inspect(AGENT, r#"{"tool":"pay","arguments":{"w":"REVIEW"}}"#).await.json();
    for taken in [&parked["id"], &parked["approval"]["id"]] {
        let other = call("pay", &json!({ "w": "REVIEW", "to": "me" }));
        assert_eq!(decide(&bench, AGENT, taken.as_str().unwrap(), &other).await.status, 409, "{taken}");
    }
    let path = format!("/pending/{}", parked["id"].as_str().unwrap());
    assert_eq!(send(&bench, &path, OPERATOR, &[], "").await.json()["tool_type"], "pay", "of another door");
    assert_eq!(send(&bench, &path, AGENT, &[], "").await.status, 404, "the agent asked for it there");
}

#[tokio::test]
async fn whoever_wants_a_decision_has_nothing_forwarded() {
    let bench = bench().await;
    let body = call("t", &json!({})).to_string();
    let one = id();
    assert_eq!(send(&bench, "/mcp/", AGENT, &[DECISION, (ID, &one)], &body).await.status, 200);
    assert_eq!(send(&bench, "/mcp/files", AGENT, &[DECISION, (ID, &id())], &body).await.status, 404);
}

#[tokio::test]
async fn observing_says_what_it_would_have_done() {
    let bench = bench().await;
    for (word, header) in [("fine", None), ("DENY", Some("deny")), ("SECRET", Some("deny")), ("REVIEW", Some("pend"))] {
        let answer = decide(&bench, WATCHED, &id(), &call("t", &json!(word))).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"verdict":"allow"}"#), "{word}");
        assert_eq!(answer.headers["x-clavenar-mode"], "observe");
        for kind in ["deny", "pend"] {
            let said = answer.headers.get(&format!("x-clavenar-would-{kind}")).map(String::as_str);
            assert_eq!(said, (header == Some(kind)).then_some("true"), "{word}");
        }
    }
}

#[tokio::test]
async fn all_parameters_of_what_is_no_tool_call_are_judged() {
    let bench = bench().await;
    let body = json!({ "jsonrpc": "2.0", "method": "resources/read", "params": { "uri": "file:///DENY" }, "id": 1 });
    assert_eq!(decide(&bench, AGENT, &id(), &body).await.status, 403);
    let both = json!({ "method": "resources/read", "params": { "uri": "file:///DENY", "arguments": {} } });
    assert_eq!(decide(&bench, AGENT, &id(), &both).await.status, 403);
    for params in [
        json!({ "name": "t", "arguments": {}, "input": "unseen" }),
        json!({ "name": "" }),
        json!({ "name": 1, "arguments": {} }),
        json!({ "arguments": {} }),
        json!([]),
        Value::Null,
    ] {
        let body = json!({ "method": "tools/call", "params": params });
        assert_eq!(decide(&bench, AGENT, &id(), &body).await.status, 400, "{body}");
    }
    let text = json!({ "method": "call_tool", "params": { "name": "t", "arguments": "not JSON, but DENY" } });
    assert_eq!(decide(&bench, AGENT, &id(), &text).await.status, 403, "arguments of any type");
}

#[tokio::test]
async fn calls_that_want_different_people_are_denied_together() {
    let bench = bench().await;
    let calls = json!([
        { "id": "1", "name": "pay", "arguments": { "w": "REVIEW" } },
        { "id": "2", "name": "sign", "arguments": { "w": "REVIEW by the CFO" } },
    ]);
    let denied = decide(&bench, AGENT, &id(), &batch(&calls)).await;
    assert_eq!((denied.status, bench.approvals.pending()), (403, 0), "{denied:?}");
    assert!(denied.json()["reasons"][0].as_str().unwrap().contains("(approvers_differ)"), "{denied:?}");
    assert_eq!(bench.count("acme", EntryKind::Decision), 3, "each call and the whole");
    // One by one each waits for its own people.
    for one in calls.as_array().unwrap() {
        assert_eq!(decide(&bench, AGENT, &id(), &batch(&json!([one]))).await.status, 202);
    }
    let waiting = bench.get("/v1/approvals?state=pending", OPERATOR).await.json();
    let waiting = waiting["approvals"].as_array().unwrap().clone();
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    let who: Vec<_> = waiting.iter().map(|one| one["approvers"].clone()).collect();
    assert_eq!(who, [json!([{ "role": "cfo" }]), json!([{ "role": "approver" }])]);
}

#[tokio::test]
async fn an_approval_is_not_given_under_another_policy() {
    let bench = bench().await;
    let (one, body) = (id(), call("pay", &json!({ "w": "REVIEW" })));
    assert_eq!(decide(&bench, AGENT, &one, &body).await.status, 202);
    let path = format!("/pending/{one}");
    let vote = r#"{"decision":"allow","note":"ok"}"#;
    assert_eq!(send(&bench, &format!("{path}/decide"), OPERATOR, &[], vote).await.status, 200);
    bench.judge.reloaded.store(true, Ordering::SeqCst);
    let view = send(&bench, &path, AGENT, &[], "").await.json();
    assert_eq!((&view["status"], &view["decision"]), (&json!("denied"), &json!("deny")));
    assert!(view["decider_note"].as_str().unwrap().contains("policy was changed"), "{view}");
    let repeated = decide(&bench, AGENT, &one, &body).await;
    assert_eq!((repeated.status, &repeated.json()["error"]), (403, &json!("review_denied")));
    assert_eq!(bench.count("acme", EntryKind::Approval), 1, "the vote, no release");
    assert_eq!(decide(&bench, AGENT, &id(), &body).await.status, 202, "a new request is judged by it");
    // What was given before stays given.
    let given = id();
    let other = call("pay", &json!({ "w": "REVIEW", "n": 2 }));
    assert_eq!(decide(&bench, AGENT, &given, &other).await.status, 202);
    assert_eq!(send(&bench, &format!("/pending/{given}/decide"), OPERATOR, &[], vote).await.status, 200);
    assert_eq!(decide(&bench, AGENT, &given, &other).await.status, 200);
    bench.judge.reloaded.store(false, Ordering::SeqCst);
    assert_eq!(decide(&bench, AGENT, &given, &other).await.status, 200);
}

#[tokio::test]
async fn a_batch_over_the_limit_uses_nothing_up() {
    let bench = bench().await;
    let two = json!([{ "id": "1", "name": "a" }, { "id": "2", "name": "b" }]);
    for _ in 0..3 {
        let refused = decide(&bench, SLOW, &id(), &batch(&two)).await;
        assert_eq!((refused.status, &refused.json()["error"]), (429, &json!("rate_limited")));
    }
    assert_eq!(decide(&bench, SLOW, &id(), &call("t", &json!({}))).await.status, 200, "its one call is still there");
    assert_eq!(decide(&bench, SLOW, &id(), &call("t", &json!({}))).await.status, 429);
}

#[tokio::test]
async fn an_id_is_one_request_at_all_doors_in_the_same_moment() {
    let bench = bench().await;
    *bench.judge.pause.lock().unwrap() = std::time::Duration::from_millis(50);
    for round in 0..4 {
        let (one, before) = (id(), bench.entries("acme").len());
        let question = format!(r#"{{"tool":"t","arguments":{{"n":{round}}},"id":"{one}"}}"#);
        let body = call("t", &json!({ "n": round }));
        let decided = async { send(&bench, "/mcp", AGENT, &[DECISION, (ID, &one)], &body.to_string()).await };
        let (decided, inspected) = if round % 2 == 0 {
            tokio::join!(decided, bench.inspect(AGENT, &question))
        } else {
            let (inspected, decided) = tokio::join!(bench.inspect(AGENT, &question), decided);
            (decided, inspected)
        };
        let mut statuses = [decided.status, inspected.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{decided:?} {inspected:?}");
        assert_eq!(bench.entries("acme").len(), before + 1, "ruled once");
    }
}

#[tokio::test]
async fn a_token_may_come_with_its_owner_and_only_with_its_own() {
    let bench = bench().await;
    let body = call("t", &json!({}));
    for (token, status) in [
        (format!("acme/bot:{AGENT}"), 200),
        (format!("other/bot:{OTHER}"), 200),
        (format!("acme/bot2:{AGENT}"), 401),
        (format!("other/bot:{AGENT}"), 401),
        (format!("acme:{AGENT}"), 401),
        (format!("bot:{AGENT}"), 401),
        (format!("acme/bot/x:{AGENT}"), 401),
        (format!(":{AGENT}"), 401),
        (format!("acme/bot:acme/bot:{AGENT}"), 401),
        ("acme/bot:wrong".to_owned(), 401),
        ("acme/bot:".to_owned(), 401),
        (format!("acme:{OPERATOR}"), 401),
    ] {
        let answer = decide(&bench, &token, &id(), &body).await;
        assert_eq!(answer.status, status, "{token}: {answer:?}");
    }
    let tenants: Vec<_> = ["acme", "other"].map(|tenant| bench.count(tenant, EntryKind::Decision)).into();
    assert_eq!(tenants, [1, 1]);
    for (token, status) in [
        (format!("acme:{OPERATOR}"), 200),
        (format!("other:{OPERATOR}"), 401),
        (format!("acme/olga:{OPERATOR}"), 401),
        (format!("acme/bot:{AGENT}"), 401),
    ] {
        assert_eq!(send(&bench, "/pending", &token, &[], "").await.status, status, "{token}");
    }
}
