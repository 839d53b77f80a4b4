//! Ledger, plugins, generations, events, health, figures and the description of the API.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_gateway::ports::{PreparingView, ReloadError};
use portcullis_model::Digest;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::support::*;

#[tokio::test]
async fn a_tenant_reads_its_own_log_only() {
    let bench = Bench::new().await;
    for _ in 0..5 {
        bench.inspect(AGENT, r#"{"tool":"t","arguments":"SECRET"}"#).await;
    }
    for token in [AGENT, VIEWER] {
        let head = bench.get("/v1/ledger/head", token).await.json();
        assert_eq!((&head["tenant"], &head["seq"]), (&json!("acme"), &json!(4)));
        let page = bench.get("/v1/ledger/entries?from=1&limit=3", token).await.json();
        let seqs: Vec<_> = page["entries"].as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect();
        assert_eq!((seqs, &page["next"]), (vec![1, 2, 3], &json!(4)));
        let rest = bench.get("/v1/ledger/entries?from=4", token).await.json();
        assert_eq!((rest["entries"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
        let row = bench.get("/v1/ledger/entries/4", token).await.json();
        assert_eq!((&row["entry"]["tool"], &row["hash"]), (&json!("t"), &head["hash"]));
        assert!(!row.to_string().contains("SECRET"), "arguments are not in entries");
    }
    for path in ["/v1/ledger/entries/5", "/v1/ledger/entries/99999999"] {
        assert_eq!(bench.get(path, AGENT).await.check_head().status, 404, "{path}");
    }
    assert_eq!(bench.get("/v1/ledger/entries/0", OTHER).await.check_head().status, 404);
    assert_eq!(bench.get("/v1/ledger/head", OTHER).await.json()["seq"], Value::Null);
    assert_eq!(bench.get("/v1/ledger/entries", OTHER).await.json(), json!({"entries":[],"next":null}));
    for path in [
        "entries?from=x",
        "entries?from=-1",
        "entries?limit=0",
        "entries?limit=1001",
        "entries?tenant=other",
        "entries?from=1&from=2",
        "entries/x",
        "head?x=1",
        "verify?from=0",
        "entries?from=%31",
    ] {
        assert_eq!(bench.get(&format!("/v1/ledger/{path}"), AGENT).await.check_head().status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_log_verifies() {
    let bench = Bench::new().await;
    for _ in 0..4 {
        bench.inspect(AGENT, r#"{"tool":"t"}"#).await;
    }
    let report = bench.get("/v1/ledger/verify", VIEWER).await.json();
    assert_eq!((&report["valid"], &report["entries"], &report["fault"]), (&json!(true), &json!(4), &Value::Null));
    assert_eq!(bench.get("/v1/ledger/verify", OTHER).await.json()["entries"], 0);
}

#[tokio::test]
async fn every_route_needs_a_credential_but_four() {
    let bench = Bench::new().await;
    let document = bench.get("/v1/openapi.json", "").await.json();
    let mut open = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            // Their credential is a link or a signature; without one they answer as if there was nothing.
            if path.starts_with("/v1/decisions/") || path.starts_with("/v1/slack/") {
                let answer = bench.ask(&method.to_uppercase(), &path.replace("{link}", "AAAA"), AGENT, "").await;
                assert!([400, 401, 404].contains(&answer.status), "{method} {path}: {}", answer.status);
                continue;
            }
            let real = path.replace("{seq}", "0").replace("{id}", "0193b0e0-0000-7000-8000-000000000001");
            let answer = bench.ask(&method.to_uppercase(), &real, "", "").await;
            answer.check_head();
            let described_open = operation["security"] == json!([]);
            assert_eq!(answer.status != 401, described_open, "{method} {path}: {}", answer.status);
            if described_open {
                open.push(path.clone());
            }
            let wrong = if method == "get" { "DELETE" } else { "PUT" };
            let answer = bench.ask(wrong, &real, AGENT, "").await;
            assert_eq!(answer.check_head().status, 405, "{wrong} {path}");
            assert!(answer.headers["allow"].contains(&method.to_uppercase()), "{answer:?}");
        }
    }
    assert_eq!(open, ["/healthz", "/readyz", "/metrics", "/v1/openapi.json"]);
    for path in ["/", "/v1", "/v1/inspect/", "/v1/inspect/x", "/v1/ledger", "//v1/inspect", "/V1/inspect", "/mcp"] {
        assert_eq!(bench.get(path, AGENT).await.check_head().status, 404, "{path}");
    }
}

/// What is answered has the members that are described.
#[tokio::test]
async fn answers_are_as_described() {
    let bench = Bench::new().await;
    let document = bench.get("/v1/openapi.json", "").await.json();
    let schemas = &document["components"]["schemas"];
    let check = |schema: &Value, answer: &Value, what: &str| check(schemas, schema, answer, what);
    bench.inspect(AGENT, r#"{"tool":"t"}"#).await;
    let id = bench.inspect(AGENT, r#"{"tool":"t","arguments":"REVIEW FLEX"}"#).await.json()["approval"]["id"].clone();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some(operation) = operations.get("get") else { continue };
        let Some(schema) = operation["responses"]["200"]["content"].get("application/json") else { continue };
        let real = path.replace("{seq}", "0").replace("{id}", id.as_str().unwrap());
        // Pins, policies, earlier generations and what plugins were told are for operators; there are none here.
        if ["/v1/pins/", "/v1/policies", "/v1/generations/", "/v1/ledger/answers/"]
            .iter()
            .any(|prefix| path.starts_with(prefix))
        {
            continue;
        }
        let by_operator = ["/v1/pins", "/v1/outbox"].contains(&path.as_str()) || path.ends_with("/arguments");
        let answer = bench.get(&real, if by_operator { OPERATOR } else { AGENT }).await;
        assert_eq!(answer.status, 200, "{path}");
        check(&schema["schema"], &answer.json(), path);
    }
    let body = r#"{"tool":"t","arguments":["SECRET REVIEW"],"explain":true}"#;
    check(&schemas["Answer"], &bench.inspect(AGENT, body).await.json(), "Answer");
    let batch = bench.ask("POST", "/v1/inspect/batch", AGENT, &format!("{{\"calls\":[{body}]}}")).await.json();
    check(&schemas["Answers"], &batch, "Answers");
    check(&schemas["Error"], &bench.inspect(AGENT, "{").await.json(), "Error");
}

fn check(schemas: &Value, schema: &Value, answer: &Value, what: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return check(schemas, &schemas[name.rsplit('/').next().unwrap()], answer, what);
    }
    if let (Some(properties), Some(members)) = (schema["properties"].as_object(), answer.as_object()) {
        for (name, value) in members {
            let described = properties.get(name).unwrap_or_else(|| panic!("{what}: {name} is not described"));
            check(schemas, described, value, what);
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), answer.as_array()) {
        values.iter().for_each(|value| check(schemas, items, value, what));
    }
}

#[tokio::test]
async fn pipelines_are_shown_to_their_tenant() {
    let bench = Bench::new().await;
    let generations = bench.get("/v1/generations", AGENT).await.json();
    let tenants: Vec<_> = generations["generations"].as_array().unwrap().iter().map(|g| g["tenant"].clone()).collect();
    assert_eq!(tenants, [json!("acme")]);
    let plugins = bench.get("/v1/plugins", AGENT).await.json();
    assert_eq!((&plugins["plugins"][0]["name"], &plugins["plugins"][0]["role"]), (&json!("words"), &json!("detector")));
    assert_eq!(bench.get("/v1/plugins", BARE).await.json()["plugins"], json!([]));
    assert_eq!(generations["preparing"], Value::Null);
    // What is being prepared is shown to all, whose and what it is to its own tenant.
    let preparing = PreparingView {
        since_ms: 1,
        took_ms: 2,
        phase: "compiling",
        phase_ms: 3,
        tenant: Some("acme".into()),
        plugin: Some("big".into()),
        number: 1,
        of: 4,
    };
    *bench.reloads.2.lock().unwrap() = Some(preparing);
    let mut shown = json!({
        "since_ms": 1, "took_ms": 2, "phase": "compiling", "phase_ms": 3, "tenant": "acme", "plugin": "big", "number": 1, "of": 4,
    });
    assert_eq!(bench.get("/v1/generations", AGENT).await.json()["preparing"], shown);
    assert_eq!(bench.get("/readyz", "").await.json()["preparing"], shown);
    shown["tenant"] = Value::Null;
    shown["plugin"] = Value::Null;
    assert_eq!(bench.get("/v1/generations", OTHER).await.json()["preparing"], shown);
}

#[tokio::test]
async fn a_reload_is_for_administrators() {
    let bench = Bench::new().await;
    for (token, status) in [("", 401), (AGENT, 403), (VIEWER, 403), (OTHER_OPERATOR, 403), (OPERATOR, 200)] {
        let answer = bench.ask("POST", "/v1/generations", token, "").await;
        assert_eq!(answer.check_head().status, status, "{token}");
    }
    let done = bench.ask("POST", "/v1/generations", OPERATOR, "{}").await.json();
    assert_eq!(done["generations"].as_array().unwrap().len(), 1, "other tenants are not shown");
    assert_eq!(bench.ask("POST", "/v1/generations", OPERATOR, "[tenant]").await.check_head().status, 400);
    let text = "portcullis.toml:7:1: tenant[0].plugins[1].config: unknown key `threshhold`";
    *bench.reloads.0.lock().unwrap() = Some(ReloadError::Invalid(text.into()));
    let bad = bench.ask("POST", "/v1/generations", OPERATOR, "").await;
    assert_eq!((bad.check_head().status, bad.message().as_str()), (422, text));
    *bench.reloads.0.lock().unwrap() = Some(ReloadError::Failed("busy".into()));
    assert_eq!(bench.ask("POST", "/v1/generations", OPERATOR, "").await.check_head().status, 503);
}

#[tokio::test]
async fn earlier_generations_are_for_operators_and_going_back_for_administrators() {
    let bench = Bench::new().await;
    let name = Digest::of(b"generation").to_string();
    let kept = format!("/v1/generations/{name}");
    for path in ["/v1/generations/history", "/v1/generations/diff", "/v1/generations/shadow", &kept] {
        // Here none are kept.
        for (token, status) in [("", 401), (AGENT, 403), (VIEWER, 404), (OPERATOR, 404)] {
            assert_eq!(bench.get(path, token).await.check_head().status, status, "{path} {token}");
        }
    }
    assert_eq!(bench.get("/v1/generations/sha256:1", VIEWER).await.check_head().status, 400);
    assert_eq!(bench.get("/v1/generations/history?limit=1", VIEWER).await.check_head().status, 400);
    let activate = format!("{kept}/activate");
    for path in
        ["/v1/generations/rollback", "/v1/generations/candidate/promote", "/v1/generations/candidate/drop", &activate]
    {
        for (token, status) in [("", 401), (AGENT, 403), (VIEWER, 403), (OPERATOR, 404)] {
            assert_eq!(bench.ask("POST", path, token, "").await.check_head().status, status, "{path} {token}");
        }
        for body in ["[]", "{\"to\":1}", "{", "{\"from\":7}", "{\"candidate\":\"sha256:1\"}"] {
            assert_eq!(bench.ask("POST", path, OPERATOR, body).await.check_head().status, 400, "{path} {body}");
        }
    }
}

#[tokio::test]
async fn without_credentials_the_open_agent_is_used() {
    let bench = Bench::with(Setup { open: true, ..Setup::default() }).await;
    assert_eq!(bench.inspect("", r#"{"tool":"t"}"#).await.status, 200);
    assert_eq!(bench.inspect("wrong", r#"{"tool":"t"}"#).await.status, 401);
    assert_eq!(&*bench.entries("default")[0].entry.agent, "local");
    assert_eq!(bench.ask("POST", "/v1/generations", "", "").await.status, 200);
}

#[tokio::test]
async fn events_tell_what_happens_without_arguments() {
    let bench = Bench::new().await;
    let mut stream = bench.client().await.0;
    stream.write_all(&request("GET", "/v1/events", AGENT, b"")).await.unwrap();
    let mut seen = String::new();
    let mut until = async |word: &str| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while !seen.contains(word) {
            let mut chunk = vec![0; 4096];
            let read = tokio::time::timeout_at(deadline, stream.read(&mut chunk)).await.expect(word).unwrap();
            assert!(read > 0, "the stream ended before {word}: {seen}");
            seen.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
        }
        seen.clone()
    };
    let head = until(": connected").await;
    assert!(head.contains("text/event-stream") && head.contains("x-portcullis-id"), "{head}");
    bench.inspect(OTHER, r#"{"tool":"foreign"}"#).await;
    bench.inspect(AGENT, r#"{"tool":"t","arguments":"SECRET"}"#).await;
    let id = bench.inspect(AGENT, r#"{"tool":"pay","arguments":"REVIEW"}"#).await.json()["approval"]["id"].clone();
    let path = format!("/v1/approvals/{}/decide", id.as_str().unwrap());
    bench.ask("POST", &path, OPERATOR, r#"{"decision":"deny"}"#).await;
    bench.ask("POST", "/v1/generations", OPERATOR, "").await;
    let seen = until("\"type\":\"generation\"").await;
    let verdict = seen.lines().find_map(|line| line.strip_prefix("data: {\"type\":\"verdict\"")).unwrap();
    assert!(verdict.contains("\"tool\":\"t\"") && verdict.contains("\"verdict\":\"redact\""), "{verdict}");
    assert!(seen.contains("\"type\":\"approval\"") && seen.contains("\"state\":\"denied\""), "{seen}");
    assert!(!seen.contains("SECRET") && !seen.contains("REVIEW") && !seen.contains("foreign"), "{seen}");
}

#[tokio::test]
async fn a_slow_reader_of_events_holds_nothing_up() {
    let bench = Bench::new().await;
    let mut reader = bench.gate.events().subscribe(("acme".into(), "reader".into())).unwrap();
    let calls = (0..10).map(|_| json!({"tool":"t"})).collect::<Vec<_>>();
    let batch = json!({ "calls": (0..128).map(|n| calls[n % 10].clone()).collect::<Vec<_>>() }).to_string();
    for _ in 0..12 {
        assert_eq!(bench.ask("POST", "/v1/inspect/batch", AGENT, &batch).await.status, 200);
    }
    let first = reader.next().await.unwrap();
    assert!(first.starts_with(b"event: dropped"), "{first:?}");
    assert!(reader.next().await.unwrap().starts_with(b"data: {"));
}

#[tokio::test]
async fn health_says_what_is_wrong() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("/healthz", "").await.text, r#"{"status":"ok"}"#);
    let ready = bench.get("/readyz", "").await;
    assert_eq!((ready.check_head().status, &ready.json()["ready"]), (200, &json!(true)));
    assert_eq!(ready.json()["plugin_faults"][0]["last"], "plugin_trap");
    assert_eq!(ready.json()["plugin_faults"][0]["quarantined"], true);
    bench.journal.broken.store(true, Ordering::SeqCst);
    let unready = bench.get("/readyz", "").await;
    assert_eq!(unready.status, 503);
    assert!(unready.text.contains("no space left on device"), "{}", unready.text);
}

#[tokio::test]
async fn figures_have_bounded_labels() {
    let bench = Bench::new().await;
    bench.inspect(AGENT, r#"{"tool":"a-tool-nobody-counts","arguments":"DENY"}"#).await;
    bench.inspect(HALTED, r#"{"tool":"t"}"#).await;
    bench.get("/some/odd/path", AGENT).await;
    let answer = bench.get("/metrics", "").await;
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text"));
    for line in [
        "portcullis_calls_total{tenant=\"acme\",door=\"inspect\",phase=\"call\",verdict=\"deny\",mode=\"enforce\"} 1",
        "portcullis_refusals_total{tenant=\"acme\",door=\"inspect\",code=\"agent_halted\"} 1",
        "portcullis_plugin_seconds_count{plugin=\"words\"} 1",
        "portcullis_plugin_fuel_sum{plugin=\"words\"} 1234.0",
        "portcullis_plugin_memory_bytes_count{plugin=\"words\"} 1",
        "portcullis_ledger_commit_seconds_count 2",
        "portcullis_ledger_writable 1",
        "portcullis_http_requests_total{route=\"/v1/inspect\",status=\"200\"} 1",
        "portcullis_http_requests_total{route=\"none\",status=\"404\"} 1",
        "portcullis_http_connections_open ",
        "portcullis_generation{tenant=\"acme\"",
        "portcullis_plugin_quarantined{tenant=\"acme\",plugin=\"words\"} 1",
        "# EOF",
    ] {
        assert!(answer.text.contains(line), "{line} is missing in\n{}", answer.text);
    }
    assert!(!answer.text.contains("a-tool-nobody-counts") && !answer.text.contains("odd"), "{}", answer.text);
}
