//! A child process between a client and Portcullis, stdio on both sides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_approvals::State;
use portcullis_model::Outcome;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;

use super::support::*;
use crate::doors::mcp::{Desk, McpLimits, WrapError, Wrapping, wrap};
use crate::upstream::Upstream;
use crate::upstream::stdio::{Line, LineReader};

/// A wrapped server and the client's ends.
struct Wrapped {
    stdin: Option<DuplexStream>,
    stdout: LineReader<DuplexStream>,
    bench: Bench,
    stop: Option<oneshot::Sender<()>>,
    status: tokio::task::JoinHandle<Result<i32, WrapError>>,
}

impl Wrapped {
    fn new(limits: McpLimits) -> Self {
        Self::with(limits, Upstream::stdio("wrapped", "python3", [python_server().display().to_string()], []).unwrap())
    }

    fn with(limits: McpLimits, upstream: Upstream) -> Self {
        Self::at(Desk::Nowhere, limits, upstream)
    }

    fn at(desk: Desk, limits: McpLimits, upstream: Upstream) -> Self {
        let bench = Bench::new();
        let (their_stdin, stdin) = tokio::io::duplex(64 * 1024);
        let (stdout, their_stdout) = tokio::io::duplex(64 * 1024);
        let (stop, stopped) = oneshot::channel();
        let wrapping = Wrapping {
            gate: Arc::clone(&bench.gate),
            agent: identity("default", "agent"),
            session: Some("run".into()),
            upstream: Arc::new(upstream),
            limits,
            desk,
        };
        let shutdown = async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let status = tokio::spawn(wrap(wrapping, their_stdin, their_stdout, shutdown));
        Self { stdin: Some(stdin), stdout: LineReader::new(stdout, usize::MAX), bench, stop: Some(stop), status }
    }

    async fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).await.unwrap();
        stdin.write_all(b"\n").await.unwrap();
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(10), self.stdout.next()).await.expect("a line in time");
        let Some(Line::Whole(line)) = line.unwrap() else { panic!("a line") };
        String::from_utf8(line).unwrap()
    }

    async fn ask(&mut self, line: &str) -> serde_json::Value {
        self.send(line).await;
        serde_json::from_str(&self.line().await).unwrap()
    }

    async fn status(&mut self) -> i32 {
        tokio::time::timeout(Duration::from_secs(10), &mut self.status).await.expect("it ends").unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_child_is_told_that_its_question_was_refused() {
    let mut wrapped = Wrapped::new(quick());
    wrapped.ask(INITIALIZE).await;
    let answer = wrapped.ask(&call("1", "ask", r#"{"message":["DE","NY"]}"#)).await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("-32010") && !text.contains("DENY"), "{answer}");
}

#[tokio::test]
async fn a_wrapped_servers_list_that_changed_is_looked_at_before_the_client_is_told() {
    let mut wrapped = Wrapped::new(quick());
    wrapped.ask(INITIALIZE).await;
    wrapped.ask(&call("1", "later change", "{}")).await;
    let told: serde_json::Value = serde_json::from_str(&wrapped.line().await).unwrap();
    assert_eq!(told, serde_json::json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
    let seen = ["decision call allow -", "outcome result allow answered", "decision listing allow -"];
    assert_eq!(wrapped.bench.journal.lines(), seen, "the list was judged first");
    // Said twice in a row: seen once, and not at once.
    let begun = Instant::now();
    for id in ["2", "3"] {
        assert_eq!(wrapped.ask(&call(id, "later change", "{}")).await["id"].to_string(), id);
    }
    assert!(wrapped.line().await.contains("list_changed"));
    let listings = wrapped.bench.journal.lines().iter().filter(|line| line.contains("listing")).count();
    assert_eq!(listings, 2);
    assert!(begun.elapsed() > Duration::from_millis(600), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_no_answer_to_the_client() {
    let broken = [("BROKEN_LIST".to_owned(), "1".to_owned())];
    let server = [python_server().display().to_string()];
    let mut wrapped = Wrapped::with(quick(), Upstream::stdio("wrapped", "python3", server, broken).unwrap());
    wrapped.ask(INITIALIZE).await;
    wrapped.ask(&call("1", "later change", "{}")).await;
    assert_eq!(wrapped.line().await, r#"{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}"#);
    assert_eq!(wrapped.ask(&call("2", "echo", r#"{"text":"x"}"#)).await["id"], 2);
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_nothing_from_being_stopped() {
    let mut wrapped = Wrapped::new(quick());
    wrapped.ask(INITIALIZE).await;
    let params = r#"{"name":"burst","arguments":{"count":100000},"_meta":{"progressToken":"p"}}"#;
    wrapped.send(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)).await;
    // Everything between the child and the client is full by then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    wrapped.stop.take().unwrap().send(()).unwrap();
    wrapped.status().await;
    assert_eq!(wrapped.bench.journal.outcome().await, Outcome::Uncertain);
}

#[tokio::test]
async fn an_ordinary_conversation() {
    let mut wrapped = Wrapped::new(quick());
    assert_eq!(wrapped.ask(INITIALIZE).await["result"]["serverInfo"]["name"], "stdio-test");
    wrapped.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    let answer = wrapped.ask(&call("1", "echo", r#"{"text":"a SECRET"}"#)).await;
    assert_eq!(answer["result"]["content"][0]["text"], "a [redacted]");
    let denied = wrapped.ask(&call("2", "echo", r#"{"text":"DENY"}"#)).await;
    assert_eq!(denied["result"]["isError"], true);
    let parked = wrapped.ask(&call("3", "echo", r#"{"text":"REVIEW"}"#)).await;
    assert_eq!(parked["error"]["code"], -32011);
    assert_eq!(parked["error"]["data"]["approval"].get("poll"), None, "it has no address to ask");
    assert!(parked["error"]["message"].as_str().unwrap().contains("Nobody can approve it here"), "{parked}");
    let list = wrapped.ask(r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#).await;
    assert_eq!(list["result"]["tools"][0]["name"], "echo");
    wrapped.stdin = None;
    assert_eq!(wrapped.status().await, 0);
    assert_eq!(
        wrapped.bench.journal.lines(),
        [
            "decision call redact -",
            "outcome result allow answered",
            "decision call deny -",
            "decision call review -",
            "decision listing allow -"
        ]
    );
    assert_eq!(wrapped.bench.journal.all()[0].session.as_deref(), Some("run"));
}

#[tokio::test]
async fn the_same_bytes_both_ways() {
    let mut wrapped = Wrapped::new(quick());
    let line =
        r#"{ "result":{"content":[],"f":1.0E5 ,"n":98765432109876543210}, "id":ID,"x":"\u00e9", "jsonrpc":"2.0"}"#;
    let arguments = serde_json::json!({ "line": line }).to_string();
    wrapped.send(&call("\"i\"", "raw", &arguments)).await;
    assert_eq!(wrapped.line().await, line.replace("ID", "\"i\""));
}

#[tokio::test]
async fn a_refusal_speaks_the_revision_of_the_request() {
    let mut wrapped = Wrapped::new(quick());
    let plain = wrapped.ask(&call("1", "echo", r#"{"text":"DENY"}"#)).await;
    assert_eq!(plain["result"].get("resultType"), None);
    for arguments in [r#"{"text":"DENY"}"#, r#"{"text":"\u0044ENY"}"#] {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"echo","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
        );
        let refused = wrapped.ask(&request).await;
        assert_eq!(refused["result"]["isError"], true, "refused before or after the call: {refused}");
        assert_eq!(refused["result"]["resultType"], "complete");
    }
}

#[tokio::test]
async fn the_environment_is_the_users() {
    let mut wrapped = Wrapped::new(quick());
    let answer = wrapped.ask(&call("1", "environment", "{}")).await;
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn malformed_lines_of_the_client_are_answered_and_those_of_the_server_are_not() {
    let mut wrapped = Wrapped::new(McpLimits { message: 100_000, ..quick() });
    let answer = wrapped.ask("this is no JSON").await;
    assert_eq!((answer["error"]["code"].as_i64(), &answer["id"]), (Some(-32700), &serde_json::Value::Null));
    assert_eq!(wrapped.ask("[]").await["error"]["code"], -32600);
    let long = "x".repeat(200_000);
    assert_eq!(wrapped.ask(&long).await["error"]["code"], -32600);
    let answer = wrapped.ask(r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","Method":"x"}"#).await;
    assert_eq!((answer["error"]["code"].as_i64(), &answer["id"]), (Some(-32600), &"a".into()));
    wrapped.send("").await;
    // The server's junk is dropped; had it been answered, the server would have died of it.
    let answer = wrapped.ask(&call("1", "junk", "{}")).await;
    assert_eq!(answer["result"]["content"][0]["text"], "done");
    let answer = wrapped.ask(&call("2", "malformed", "{}")).await;
    assert_eq!(answer["error"]["code"], -32603);
    let answer = wrapped.ask(&call("3", "huge", r#"{"size":1000000}"#)).await;
    assert_eq!(answer["error"]["code"], -32603);
    assert_eq!(wrapped.ask(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#).await["id"], 9);
}

#[tokio::test]
async fn questions_of_the_server_are_passed_on() {
    let mut wrapped = Wrapped::new(quick());
    let asked = wrapped.ask(&call("1", "ask", "{}")).await;
    assert_eq!(asked["method"], "elicitation/create");
    let answer = wrapped.ask(r#"{"jsonrpc":"2.0","id":"question","result":{"action":"decline"}}"#).await;
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("decline"));
}

#[tokio::test]
async fn a_server_that_dies() {
    let mut wrapped = Wrapped::new(quick());
    let answer = wrapped.ask(&call("1", "die", "{}")).await;
    assert_eq!((answer["error"]["code"].as_i64(), &answer["id"]), (Some(-32603), &1.into()));
    assert_eq!(wrapped.status().await, 3, "its status is ours");
    assert_eq!(wrapped.bench.journal.outcome().await, Outcome::Uncertain);
}

#[tokio::test]
async fn the_last_answers_come_after_the_clients_end() {
    let mut wrapped = Wrapped::new(quick());
    wrapped.send(&call("1", "sleep", r#"{"seconds":0.8}"#)).await;
    wrapped.send(&call("2", "echo", r#"{"text":"last"}"#)).await;
    wrapped.stdin = None;
    assert!(wrapped.line().await.contains("slept"));
    assert!(wrapped.line().await.contains("last"));
    assert_eq!(wrapped.status().await, 0);
}

#[tokio::test]
async fn a_server_that_does_not_end_is_made_to() {
    let script = r#"trap '' TERM; while :; do sleep 1; done"#;
    let upstream = Upstream::stdio("deaf", "sh", ["-c".to_owned(), script.to_owned()], []).unwrap();
    let mut wrapped = Wrapped::with(quick(), upstream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    wrapped.stdin = None;
    assert_eq!(wrapped.status().await, 128 + 9);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_signal_ends_both() {
    let mut wrapped = Wrapped::new(quick());
    wrapped.send(&call("1", "sleep", r#"{"seconds":600}"#)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    wrapped.stop.take().unwrap().send(()).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&wrapped.line().await).unwrap();
    assert_eq!(answer["error"]["code"], -32603);
    assert_eq!(wrapped.status().await, 128 + 15);
    assert_eq!(wrapped.bench.journal.outcome().await, Outcome::Uncertain);
}

#[tokio::test]
async fn only_commands_can_be_wrapped() {
    let mut wrapped = Wrapped::with(quick(), "a=http://127.0.0.1:1/".parse().unwrap());
    assert!(matches!((&mut wrapped.status).await.unwrap(), Err(WrapError::NotACommand)));
}

#[tokio::test]
async fn a_call_without_an_id_goes_nowhere() {
    let mut wrapped = Wrapped::new(quick());
    wrapped.ask(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#).await;
    // The test server dies of this call, whatever its id.
    let answer = wrapped.ask(r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"die","arguments":{}}}"#).await;
    assert_eq!((answer["error"]["code"].as_i64(), &answer["id"]), (Some(-32600), &serde_json::Value::Null));
    assert_eq!(wrapped.ask(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await["id"], 1);
    assert_eq!(wrapped.bench.journal.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cancelled_calls_late_result_is_no_other_requests_answer() {
    let mut wrapped = Wrapped::new(quick());
    wrapped.send(&call("5", "late", "{}")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    wrapped.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#).await;
    assert_eq!(wrapped.ask(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await["error"]["code"], -32600);
    // The late result came before this answer, and went nowhere.
    assert_eq!(wrapped.ask(r#"{"jsonrpc":"2.0","id":6,"method":"ping"}"#).await["id"], 6);
    // Now that it came, the id is free.
    assert_eq!(wrapped.ask(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await["result"], serde_json::json!({}));
}

/// A wrapped server whose parked calls are held and decided on the command line.
fn held() -> Wrapped {
    let python = Upstream::stdio("wrapped", "python3", [python_server().display().to_string()], []).unwrap();
    Wrapped::at(Desk::CommandLine, holding(), python)
}

#[tokio::test]
async fn a_held_call_of_a_wrapped_server_runs_once_while_others_go_on() {
    let mut wrapped = held();
    wrapped.ask(INITIALIZE).await;
    let params = r#"{"name":"echo","arguments":{"text":"it ran","why":"REVIEW"},"_meta":{"progressToken":"t"}}"#;
    wrapped.send(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)).await;
    let told: serde_json::Value = serde_json::from_str(&wrapped.line().await).unwrap();
    assert_eq!((&told["method"], &told["params"]["progressToken"]), (&"notifications/progress".into(), &"t".into()));
    let approval = wrapped.bench.parking.count(1).await[0].id;
    assert!(told["params"]["message"].as_str().unwrap().contains(&approval.to_string()), "{told}");

    wrapped.send(&call("2", "echo", r#"{"text":"x"}"#)).await;
    let mut last = told["params"]["progress"].as_f64().unwrap();
    loop {
        let line: serde_json::Value = serde_json::from_str(&wrapped.line().await).unwrap();
        if line["id"] == 2 {
            break;
        }
        let next = line["params"]["progress"].as_f64().unwrap();
        assert!(next > last, "{line}");
        last = next;
    }
    wrapped.bench.parking.decide(approval, true);
    let answer = loop {
        let line: serde_json::Value = serde_json::from_str(&wrapped.line().await).unwrap();
        if line["id"] == 1 {
            break line;
        }
    };
    assert_eq!(answer["result"]["content"][0]["text"], "it ran");
    assert!(wrapped.bench.parking.list()[0].released_ms.is_some());
    drop(wrapped.stdin.take());
    wrapped.status().await;
}

#[tokio::test]
async fn a_client_that_closes_its_end_or_cancels_gives_up_what_is_held_of_a_wrapped_server() {
    let mut wrapped = held();
    wrapped.ask(INITIALIZE).await;
    wrapped.send(&call("1", "echo", r#"{"text":"REVIEW one"}"#)).await;
    wrapped.bench.parking.count(1).await;
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(wrapped.ask(cancelled).await["error"]["message"], "the request was cancelled");
    wrapped.send(&call("2", "echo", r#"{"text":"REVIEW two"}"#)).await;
    wrapped.bench.parking.count(2).await;
    drop(wrapped.stdin.take());
    assert_eq!(wrapped.status().await, 0);
    assert_eq!(wrapped.bench.parking.states(), [State::Cancelled, State::Cancelled]);
    assert!(wrapped.bench.journal.all().iter().all(|entry| entry.outcome.is_none()), "nothing ran");
}
