//! What was observed at the reference server, row by row, against what is answered here. Where the two differ, the row names
//! the difference, and the page for users lists exactly those names.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use portcullis_gateway::doors::clavenar::AllowBody;
use portcullis_model::EntryKind;
use serde_json::{Value, json};

use crate::clavenar::*;
use crate::execution::{Tools, What, run};
use crate::support::*;

const PAGE: &str = include_str!("../../../../docs/clavenar.md");
const SECTION: &str = "## Where it differs from the reference server";

/// The rows that were compared.
#[derive(Default)]
struct Matrix {
    rows: usize,
    differences: BTreeSet<&'static str>,
}

impl Matrix {
    /// Here it is as there.
    fn same(&mut self, name: &str, reference: &str, ours: &str) {
        assert_eq!(ours, reference, "{name}");
        self.rows += 1;
    }

    /// Here it is otherwise, on purpose.
    fn differs(&mut self, name: &str, reference: &str, ours: (&str, &str), difference: &'static str) {
        let (seen, meant) = ours;
        assert_eq!(seen, meant, "{name}");
        assert_ne!(seen, reference, "{name}: there is no difference any more, so the page must not list {difference}");
        self.rows += 1;
        self.differences.insert(difference);
    }
}

fn status(answer: &Answer) -> String {
    answer.status.to_string()
}

/// Status and `error` of an answer in JSON.
fn coded(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.json()["error"].as_str().unwrap_or("-"))
}

fn kind(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.headers["content-type"].split(';').next().unwrap())
}

/// Which of the headers of the contract a bare answer has.
async fn bare(bench: &Bench, method: &str, path: &str) -> String {
    let answer = bench.ask(method, path, AGENT, "").await;
    let said = if answer.headers.contains_key(CORRELATION) { "with an id" } else { "without an id" };
    format!("{} {said}", answer.status)
}

async fn door(allow: AllowBody, tools: &Tools) -> Bench {
    Bench::with(Setup { clavenar: Some(allow), mcp: vec![tools.upstream("bank")], ..Setup::default() }).await
}

fn one_in_a_batch(tool: &str, arguments: &Value) -> Value {
    batch(&json!([{ "id": "toolu_1", "name": tool, "arguments": arguments }]))
}

#[tokio::test]
async fn every_observed_row_is_as_it_was_or_a_difference_that_the_page_lists() {
    let tools = Tools::start().await;
    let bench = door(AllowBody::Verdict, &tools).await;
    let mut matrix = Matrix::default();
    let m = &mut matrix;
    decisions(m, &bench, &tools).await;
    selectors(m, &bench).await;
    order(m, &bench).await;
    pending(m, &bench).await;
    repeats(m, &bench).await;
    limits(m, &bench).await;
    observe(m, &bench).await;
    executions(m, &bench, &tools).await;
    transport(m, &bench).await;
    assert!(matrix.rows >= 60, "{} rows", matrix.rows);

    let section = PAGE.split(SECTION).nth(1).expect("the page has the section");
    let section = section.split("\n## ").next().unwrap();
    let listed: BTreeSet<&str> =
        section.lines().filter_map(|line| line.strip_prefix("- **")?.split("**").next()).collect();
    assert_eq!(matrix.differences, listed, "what differs, and what the page lists");
}

async fn decisions(m: &mut Matrix, bench: &Bench, tools: &Tools) {
    let allowed = decide(bench, AGENT, &id(), &call("t", &json!({}))).await;
    m.same("allow", "200 application/json", &kind(&allowed));
    let body = r#"{"verdict":"allow"}"#;
    m.differs("body of allow", "four members", (&allowed.text, body), "The body of allow");
    let contract = door(AllowBody::Contract, tools).await;
    let four = decide(&contract, AGENT, &id(), &call("t", &json!({}))).await;
    m.same("body of allow, as configured", "129 bytes", &format!("{} bytes", four.text.len()));
    let denied = decide(bench, AGENT, &id(), &call("sql_execute", &json!({ "w": "DENY" }))).await;
    m.same("deny", "403 security_violation", &coded(&denied));
    let mut keys: Vec<_> = denied.json().as_object().unwrap().keys().cloned().collect();
    keys.sort_unstable();
    let envelope = "correlation_id error intent_category layer reasons review_reasons verdict";
    m.differs(
        "body of deny",
        "error intent_category reasons review_reasons",
        (&keys.join(" "), envelope),
        "Denials have the full envelope",
    );
    let parked = decide(bench, AGENT, &id(), &call("wire_transfer", &json!({ "w": "REVIEW" }))).await;
    m.same("park", "202 application/json", &kind(&parked));
    m.same("members of park", "5", &parked.json().as_object().unwrap().len().to_string());
    let arguments = json!("not JSON, but text");
    let realtime = decide(bench, AGENT, &id(), &call("t", &arguments)).await;
    m.same("arguments that are a text", "200", &status(&realtime));

    let hidden = "Batches are unpacked";
    let wrapped = decide(bench, AGENT, &id(), &one_in_a_batch("sql_execute", &json!({ "w": "DENY" }))).await;
    m.differs("wrapped sql_execute", "200", (&status(&wrapped), "403"), hidden);
    let wrapped = decide(bench, AGENT, &id(), &one_in_a_batch("wire_transfer", &json!({ "w": "REVIEW 2" }))).await;
    m.differs("wrapped wire_transfer", "200", (&status(&wrapped), "202"), hidden);
    let wrapped = decide(bench, AGENT, &id(), &one_in_a_batch("t", &json!({}))).await;
    m.same("wrapped and harmless", "200", &status(&wrapped));
    let strict = "What nobody judges is refused";
    for wrong in [json!([]), json!([{ "id": "1", "name": "a" }, { "id": "1", "name": "b" }])] {
        let answer = decide(bench, AGENT, &id(), &batch(&wrong)).await;
        m.differs("a batch that is none", "200", (&status(&answer), "400"), strict);
    }
    let extra =
        json!({ "method": "tools/call", "params": { "name": "t", "arguments": {}, "input": "unseen" }, "id": 1 });
    let answer = decide(bench, AGENT, &id(), &extra).await;
    m.differs("a member beside the arguments", "200", (&status(&answer), "400"), strict);
    let redacted = decide(bench, AGENT, &id(), &call("t", &json!({ "k": "SECRET" }))).await;
    m.differs("arguments with a secret", "200", (&status(&redacted), "403"), "What would be changed is denied");
    let halted = decide(bench, HALTED, &id(), &call("t", &json!({}))).await;
    m.differs("a halted agent", "200", (&coded(&halted), "403 agent_revoked"), "Agents can be halted");
}

async fn selectors(m: &mut Matrix, bench: &Bench) {
    let one = id();
    let upper = one.to_uppercase();
    let tool = call("t", &json!({})).to_string();
    let list = json!({ "jsonrpc": "2.0", "method": "tools/list", "id": 1 }).to_string();
    let legacy = ("x-clavenar-execution-contract", "clavenar.execution/v1");
    type Row<'r> = (&'r str, &'r [(&'r str, &'r str)], &'r str, &'r str);
    let rows: &[Row<'_>] = &[
        ("an id only", &[(ID, &one)], &tool, "400 decision_selector_invalid"),
        ("a decision without an id", &[DECISION], &tool, "400 decision_selector_invalid"),
        ("version 2", &[(DECISION.0, "clavenar.decision/v2"), (ID, &one)], &tool, "400 decision_selector_invalid"),
        ("an id in upper case", &[DECISION, (ID, &upper)], &tool, "400 decision_selector_invalid"),
        ("the older header", &[legacy], &tool, "400 decision_selector_invalid"),
        ("both", &[DECISION, EXECUTION, (ID, &one)], &tool, "400 server_execution_selector_conflict"),
        ("an execution without an id", &[EXECUTION], &tool, "400 server_execution_selector_invalid"),
        (
            "version 2 of execution",
            &[(EXECUTION.0, "clavenar.server-execution/v2"), (ID, &one)],
            &tool,
            "400 server_execution_selector_invalid",
        ),
        ("a decision about a list", &[DECISION, (ID, &one)], &list, "400 decision_tool_required"),
        ("an execution of a list", &[EXECUTION, (ID, &one)], &list, "400 server_execution_tool_required"),
    ];
    for (name, headers, body, reference) in rows {
        for path in ["/mcp", "/clavenar/mcp"] {
            let answer = send(bench, path, AGENT, headers, body).await;
            m.same(name, reference, &coded(&answer));
            assert_eq!(answer.json()["executable"], false, "{name}");
        }
    }
    for token in [AGENT, ""] {
        let answer = send(bench, "/clavenar/mcp", token, &[], &tool).await;
        m.same("no selector, under a base path", "426 client_contract_required", &coded(&answer));
        let both = answer.json()["supported_selectors"].as_object().unwrap().len();
        m.same("what is offered then", "2", &both.to_string());
    }
    // It knows no upstream, and says that.
    let bare = Bench::with(Setup { clavenar: Some(AllowBody::Verdict), ..Setup::default() }).await;
    let answer = bare.ask("POST", "/mcp", AGENT, &tool).await;
    m.differs("no selector, at the root", "426", (&status(&answer), "404"), "Without a contract the MCP door answers");
}

/// Which check comes first.
async fn order(m: &mut Matrix, bench: &Bench) {
    let tool = call("t", &json!({})).to_string();
    let valid = id();
    let with = [DECISION, (ID, valid.as_str())];
    let early = "A wrong token is refused first";
    for (name, token, headers, body, reference, ours) in [
        ("a wrong selector and a wrong token", "nobody", &[DECISION][..], tool.as_str(), "400", None),
        ("no JSON", AGENT, &with, "{", "400", None),
        ("no method", AGENT, &with, "{\"id\":1}", "400", None),
        ("an empty method", AGENT, &with, "{\"method\":\"\"}", "400", None),
        ("a wrong token", "nobody", &with, &tool, "401", None),
        ("an operator's token", OPERATOR, &with, &tool, "401", None),
        ("no token", "", &with, &tool, "401", None),
        ("no JSON and a wrong token", "nobody", &with, "{", "400", Some(("401", early))),
        ("no method and a wrong token", "nobody", &with, "{\"id\":1}", "400", Some(("401", early))),
    ] {
        let answer = send(bench, "/mcp", token, headers, body).await;
        match ours {
            None => m.same(name, reference, &status(&answer)),
            Some((meant, difference)) => m.differs(name, reference, (&status(&answer), meant), difference),
        }
    }
    let callback = [DECISION, (ID, valid.as_str()), ("x-clavenar-callback-url", "https://a.example/done")];
    let answer = send(bench, "/mcp", AGENT, &callback, &tool).await;
    m.differs("a callback that is on the list", "200", (&status(&answer), "400"), "There are no callbacks");
    let twice = send(bench, "/mcp", AGENT, &with, "{\"method\":\"a\",\"method\":\"b\"}").await;
    m.differs("a member twice", "200", (&status(&twice), "400"), "What nobody judges is refused");
}

async fn pending(m: &mut Matrix, bench: &Bench) {
    let (one, body) = (id(), call("wire_transfer", &json!({ "w": "REVIEW", "n": "pending" })));
    assert_eq!(decide(bench, AGENT, &one, &body).await.status, 202);
    let path = format!("/pending/{one}");
    let before = send(bench, &path, AGENT, &[], "").await;
    m.same(
        "poll before",
        "200 13 null",
        &format!("{} {} {}", before.status, before.json().as_object().unwrap().len(), before.json()["decision"]),
    );
    m.same("poll of another agent", "404", &status(&send(bench, &path, SECOND, &[], "").await));
    m.same("poll without a token", "401", &status(&send(bench, &path, "", &[], "").await));
    let vote = |word: &str| format!(r#"{{"decision":"{word}","note":"ok by finance"}}"#);
    let decided = format!("{path}/decide");
    m.same("decide by an agent", "401", &status(&send(bench, &decided, AGENT, &[], &vote("allow")).await));
    m.same(
        "decide by another tenant",
        "404",
        &status(&send(bench, &decided, OTHER_OPERATOR, &[], &vote("allow")).await),
    );
    m.same("decide with a bad word", "400", &status(&send(bench, &decided, OPERATOR, &[], &vote("approve")).await));
    let unknown = format!("/pending/{}/decide", id());
    m.same("decide an unknown one", "404", &status(&send(bench, &unknown, OPERATOR, &[], &vote("allow")).await));
    let done = send(bench, &decided, OPERATOR, &[], &vote("allow")).await;
    m.same("decide", "200 allow", &format!("{} {}", done.status, done.json()["decision"].as_str().unwrap()));
    assert_ne!(done.headers[CORRELATION], one, "an id of its own in the head");
    m.same("decide again", "409", &status(&send(bench, &decided, OPERATOR, &[], &vote("deny")).await));
    let after = send(bench, &path, AGENT, &[], "").await.json();
    m.same("poll after", "\"allow\" \"ok by finance\"", &format!("{} {}", after["decision"], after["decider_note"]));
    let listed = send(bench, "/pending?status=decided&limit=1&sort=newest", OPERATOR, &[], "").await;
    m.same("list", "200 1", &format!("{} {}", listed.status, listed.json().as_array().unwrap().len()));
    m.same("list of an agent", "401", &status(&send(bench, "/pending", AGENT, &[], "").await));
    m.same("list with a bad word", "400", &status(&send(bench, "/pending?status=open", OPERATOR, &[], "").await));

    // The same content under another id.
    let (first, other) = (id(), id());
    let body = call("wire_transfer", &json!({ "w": "REVIEW", "n": "twice" }));
    for one in [&first, &other] {
        assert_eq!(decide(bench, AGENT, one, &body).await.status, 202);
    }
    assert_eq!(send(bench, &format!("/pending/{first}/decide"), OPERATOR, &[], &vote("allow")).await.status, 200);
    assert_eq!(send(bench, &format!("/pending/{other}"), AGENT, &[], "").await.json()["decision"], "allow");
    let late = send(bench, &format!("/pending/{first}"), AGENT, &[], "").await.json();
    m.differs(
        "one approval, two requests",
        "\"allow\"",
        (&late["decision"].to_string(), "\"deny\""),
        "An approval is given once",
    );
}

async fn repeats(m: &mut Matrix, bench: &Bench) {
    let once = "A request is ruled once";
    let (one, body) = (id(), call("t", &json!({ "n": 1 })));
    assert_eq!(decide(bench, AGENT, &one, &body).await.status, 200);
    let before = bench.count("acme", EntryKind::Decision);
    let again = decide(bench, AGENT, &one, &body).await;
    let rows = bench.count("acme", EntryKind::Decision) - before;
    m.differs("an allowed one again", "200, 1 row", (&format!("{}, {rows} row", again.status), "200, 0 row"), once);
    let other = decide(bench, AGENT, &one, &call("t", &json!({ "n": 2 }))).await;
    m.differs("another body under its id", "200", (&status(&other), "409"), once);
    let second = decide(bench, SECOND, &one, &body).await;
    m.differs("another agent under its id", "200", (&status(&second), "409"), "Ids are of a tenant");
    let (one, body) = (id(), call("pay", &json!({ "w": "REVIEW", "n": "again" })));
    assert_eq!(decide(bench, AGENT, &one, &body).await.status, 202);
    let again = decide(bench, AGENT, &one, &body).await;
    m.differs("a parked one again", "500", (&status(&again), "202"), once);
}

async fn limits(m: &mut Matrix, bench: &Bench) {
    let large = |bytes: usize| call("t", &json!({ "text": "x".repeat(bytes) }));
    let answer = decide(bench, AGENT, &id(), &large(1024 * 1024)).await;
    m.differs("a body over 1 MiB", "413", (&status(&answer), "200"), "Bodies may have 4 MiB");
    let body = large(5 * 1024 * 1024).to_string();
    let answer = bench.raw(&request("POST", "/clavenar/mcp", AGENT, body.as_bytes())).await;
    m.same("a body over every limit", "413", answer.split(' ').nth(1).unwrap());
    assert_eq!(decide(bench, SLOW, &id(), &call("t", &json!({}))).await.status, 200);
    let limited = decide(bench, SLOW, &id(), &call("t", &json!({}))).await;
    m.same("rate limited", "429 rate_limited", &coded(&limited));
    m.same("who is", "\"acme/slow\"", &limited.json()["agent_id"].to_string());
    m.differs("its content type", "429 text/plain", (&kind(&limited), "429 application/json"), "A 429 is JSON");
}

async fn observe(m: &mut Matrix, bench: &Bench) {
    let would = |answer: &Answer| {
        let said = |name: &str| answer.headers.get(name).is_some_and(|value| value == "true");
        let (deny, pend) = (said("x-clavenar-would-deny"), said("x-clavenar-would-pend"));
        format!("{} {} {}", answer.status, if deny { "deny" } else { "-" }, if pend { "pend" } else { "-" })
    };
    for (word, meant) in [("DENY", "200 deny -"), ("REVIEW", "200 - pend")] {
        let body = call("t", &json!({ "w": word }));
        let decided = decide(bench, WATCHED, &id(), &body).await;
        m.differs("a decision", "200 - -", (&would(&decided), meant), "Observing says what it would have done");
        m.same("a call that is run", meant, &would(&run(bench, WATCHED, &id(), &body).await));
    }
}

async fn executions(m: &mut Matrix, bench: &Bench, tools: &Tools) {
    let (one, body) = (id(), call("pay", &json!({ "n": 1 })));
    let replayed =
        |answer: &Answer| format!("{} {}", answer.status, answer.headers["x-clavenar-server-execution-replayed"]);
    m.same("green", "200 false", &replayed(&run(bench, AGENT, &one, &body).await));
    m.same("replay", "200 true", &replayed(&run(bench, AGENT, &one, &body).await));
    let changed = run(bench, AGENT, &one, &call("pay", &json!({ "n": 2 }))).await;
    m.same("changed body", "409 server_execution_idempotency_conflict", &coded(&changed));
    m.same("red", "403", &status(&run(bench, AGENT, &id(), &call("pay", &json!({ "w": "DENY" }))).await));
    let (one, body) = (id(), call("pay", &json!({ "w": "REVIEW", "n": "run" })));
    m.same("yellow", "202", &status(&run(bench, AGENT, &one, &body).await));
    m.same("yellow again", "202", &status(&run(bench, AGENT, &one, &body).await));
    let vote = |word: &str| format!(r#"{{"decision":"{word}"}}"#);
    assert_eq!(send(bench, &format!("/pending/{one}/decide"), OPERATOR, &[], &vote("allow")).await.status, 200);
    let ran = run(bench, AGENT, &one, &body).await;
    m.same("approved", "200 false", &replayed(&ran));
    let header = ran.headers.get("x-clavenar-would-pend").map_or("absent", String::as_str);
    m.differs("x-clavenar-would-pend of it", "true", (header, "absent"), "An approved call that ran is no would-be");
    let one = id();
    assert_eq!(run(bench, AGENT, &one, &body).await.status, 202);
    assert_eq!(send(bench, &format!("/pending/{one}/decide"), OPERATOR, &[], &vote("deny")).await.status, 200);
    m.same("denied", "403 server_execution_pending_denied", &coded(&run(bench, AGENT, &one, &body).await));
    tools.will(What::Hangs);
    let (one, body) = (id(), call("pay", &json!({ "n": 3 })));
    m.same("the upstream fails", "409 server_execution_uncertain", &coded(&run(bench, AGENT, &one, &body).await));
    let calls = tools.calls().len();
    m.same("and again", "409 server_execution_uncertain", &coded(&run(bench, AGENT, &one, &body).await));
    assert_eq!(tools.calls().len(), calls);
    let together = run(bench, AGENT, &id(), &one_in_a_batch("pay", &json!({}))).await;
    let none = "Server execution is for one tool of an upstream";
    m.differs("a batch", "200", (&coded(&together), "400 server_execution_tool_required"), none);
    let setup =
        Setup { clavenar: Some(AllowBody::Verdict), open: true, mcp: vec![tools.upstream("bank")], ..Setup::default() };
    let open = Bench::with(setup).await;
    let anonymous = run(&open, "", &id(), &call("pay", &json!({}))).await;
    m.same("an open server", "503 server_execution_identity_required", &coded(&anonymous));
}

async fn transport(m: &mut Matrix, bench: &Bench) {
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } } });
    let relayed = send(bench, "/clavenar/mcp", AGENT, &[], &initialize.to_string()).await;
    let meant = "200 application/json";
    m.differs("initialize", "200 application/octet-stream", (&kind(&relayed), meant), "Content types are kept");
    let everywhere = "The correlation id is on every answer";
    for (name, method, path, reference, meant) in [
        ("another method", "GET", "/clavenar/mcp", "405 without an id", "405 with an id"),
        ("no such path", "GET", "/clavenar/nothing", "404 without an id", "404 with an id"),
        ("alive", "GET", "/clavenar/health", "200 without an id", "200 with an id"),
        ("ready", "GET", "/clavenar/readyz", "200 without an id", "200 with an id"),
    ] {
        m.differs(name, reference, (&bare(bench, method, path).await, meant), everywhere);
    }
    let ready = send(bench, "/clavenar/readyz", "", &[], "").await;
    m.same("ready, without a token", "200 \"ready\"", &format!("{} {}", ready.status, ready.json()["status"]));
    bench.journal.broken.store(true, Ordering::SeqCst);
    let ready = send(bench, "/clavenar/readyz", "", &[], "").await;
    m.same("not ready", "503 \"not_ready\"", &format!("{} {}", ready.status, ready.json()["status"]));
    let refused = decide(bench, AGENT, &id(), &call("t", &json!({}))).await;
    m.same("no entry, no answer", "503 pipeline_unavailable", &coded(&refused));
    bench.journal.broken.store(false, Ordering::SeqCst);
}
