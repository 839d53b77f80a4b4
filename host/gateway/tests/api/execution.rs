//! Server execution of the Clavenar contract: calls are run here, at most once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_gateway::doors::clavenar::AllowBody;
use portcullis_gateway::upstream::Upstream;
use portcullis_model::{Digest, Door, EntryKind, Outcome};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::clavenar::*;
use crate::support::*;

/// An MCP server over HTTP with one session after the other. Its tools do what the test wants.
pub struct Tools {
    address: SocketAddr,
    /// Arguments of the calls that came.
    calls: Mutex<Vec<Value>>,
    /// What a call comes to.
    what: Mutex<What>,
    ended: AtomicUsize,
}

#[derive(Clone)]
pub enum What {
    /// Answers with what stands here, after a while.
    Answers(&'static str, Value, Duration),
    /// Breaks the connection.
    Hangs,
}

fn answers(member: &'static str, value: Value) -> What {
    What::Answers(member, value, Duration::ZERO)
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

impl Tools {
    pub async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let what = Mutex::new(answers("result", text("paid")));
        let tools = Arc::new(Self { address, calls: Mutex::default(), what, ended: AtomicUsize::new(0) });
        let own = Arc::clone(&tools);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&own).serve(stream));
            }
        });
        tools
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut bytes = Vec::new();
            let end = loop {
                if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            };
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            while bytes.len() < end + length {
                stream.read_buf(&mut bytes).await.ok()?;
            }
            if head.starts_with("delete") {
                self.ended.fetch_add(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
                continue;
            }
            let message: Value = serde_json::from_slice(&bytes[end..]).unwrap();
            let id = &message["id"];
            let (status, body) = match message["method"].as_str().unwrap() {
                "initialize" => {
                    let result = json!({ "protocolVersion": "2025-06-18", "capabilities": { "tools": {} },
                                         "serverInfo": { "name": "tools", "version": "1" } });
                    ("200 OK", json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
                }
                "tools/call" => {
                    assert!(head.contains("mcp-session-id: one"), "{head}");
                    let params = &message["params"];
                    self.calls.lock().unwrap().push(json!([params["name"], params["arguments"]]));
                    let what = self.what.lock().unwrap().clone();
                    let What::Answers(member, value, after) = what else { return None };
                    tokio::time::sleep(after).await;
                    ("200 OK", json!({ "jsonrpc": "2.0", "id": id, member: value }).to_string())
                }
                _ => ("202 Accepted", String::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nmcp-session-id: one\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.ok()?;
        }
    }

    pub fn upstream(&self, name: &str) -> Upstream {
        Upstream::http(name, &format!("http://{}/mcp", self.address), []).unwrap()
    }

    pub fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap().clone()
    }

    pub fn will(&self, what: What) {
        *self.what.lock().unwrap() = what;
    }
}

async fn bench(upstreams: Vec<Upstream>) -> Bench {
    Bench::with(Setup { clavenar: Some(AllowBody::Verdict), mcp: upstreams, ..Setup::default() }).await
}

async fn one() -> (Arc<Tools>, Bench) {
    let tools = Tools::start().await;
    let bench = bench(vec![tools.upstream("bank")]).await;
    (tools, bench)
}

/// Asks for a call to be run.
pub async fn run(bench: &Bench, token: &str, id: &str, body: &Value) -> Answer {
    let answer = send(bench, "/mcp", token, &[EXECUTION, (ID, id)], &body.to_string()).await;
    assert_eq!(answer.headers[CORRELATION], id, "{answer:?}");
    assert!(answer.status == 200 || answer.text.len() < 4096);
    answer
}

/// How the calls ended, by the log.
fn ends(bench: &Bench) -> Vec<Outcome> {
    let entries = bench.entries("acme").into_iter().map(|row| row.entry);
    entries.filter(|entry| entry.door == Door::Clavenar).filter_map(|entry| entry.outcome).collect()
}

fn error(answer: &Answer) -> (u16, String) {
    let json = answer.json();
    assert_eq!((&json["contract"], &json["executable"]), (&json!("clavenar.server-execution/v1"), &json!(false)));
    assert_eq!(json["correlation_id"], answer.headers[CORRELATION]);
    (answer.status, json["error"].as_str().unwrap().to_owned())
}

fn is(answer: &Answer, status: u16, code: &str) {
    assert_eq!(error(answer), (status, code.to_owned()));
}

#[tokio::test]
async fn a_call_is_run_once_and_its_answer_is_kept() {
    let (tools, bench) = one().await;
    let (id, body) = (id(), call("pay", &json!({ "amount": 5 })));
    let first = run(&bench, AGENT, &id, &body).await;
    assert_eq!((first.status, &first.headers["content-type"]), (200, &"application/json".to_owned()), "{first:?}");
    assert_eq!(first.json(), json!({ "jsonrpc": "2.0", "id": 1, "result": text("paid") }));
    assert_eq!(first.headers["x-clavenar-server-execution-replayed"], "false");
    assert_eq!(first.headers["x-clavenar-result-sha256"], Digest::of(first.text.as_bytes()).to_string());
    let name = format!("clavenar.server-execution/v1\0acme/bot\0{id}");
    let execution = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string();
    assert_eq!(first.headers["x-clavenar-execution-id"], execution);
    assert!(first.headers["x-clavenar-server-execution-receipt-sha256"].starts_with("sha256:"));

    let again = run(&bench, AGENT, &id, &body).await;
    assert_eq!(again.headers["x-clavenar-server-execution-replayed"], "true");
    assert_eq!((again.status, &again.text), (200, &first.text));
    is(
        &run(&bench, AGENT, &id, &call("pay", &json!({ "amount": 6 }))).await,
        409,
        "server_execution_idempotency_conflict",
    );
    is(&run(&bench, SECOND, &id, &body).await, 409, "server_execution_idempotency_conflict");
    assert_eq!(decide(&bench, AGENT, &id, &body).await.status, 409, "nor is it a decision");
    let bench = bench.restarted().await;
    let later = run(&bench, AGENT, &id, &body).await;
    assert_eq!((later.status, &later.text), (200, &first.text));
    let same = "x-clavenar-server-execution-receipt-sha256";
    assert_eq!((&later.headers[same], &later.headers["x-clavenar-execution-id"]), (&first.headers[same], &execution));
    assert_eq!(tools.calls(), [json!(["pay", { "amount": 5 }])], "once");
    assert_eq!(ends(&bench), [Outcome::Answered]);
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 0, "nothing is ruled again");
    let entry = bench
        .entries("acme")
        .into_iter()
        .map(|row| row.entry)
        .find(|e| e.kind == EntryKind::Decision && e.door == Door::Clavenar);
    let entry = entry.unwrap();
    assert_eq!((entry.upstream.as_deref(), entry.tool.as_deref()), (Some("bank"), Some("pay")));
    assert_eq!(entry.id.to_string(), id);
    assert!(bench.journal.ledger.records(b"execution/").unwrap().is_empty(), "no attempt is under way");
    // A decision's id is not one of a call that is run.
    let decided = Uuid::new_v4().to_string();
    assert_eq!(decide(&bench, AGENT, &decided, &body).await.status, 200);
    is(&run(&bench, AGENT, &decided, &body).await, 409, "server_execution_idempotency_conflict");
}

#[tokio::test]
async fn the_same_request_twice_in_a_moment_is_one_call() {
    let (tools, bench) = one().await;
    tools.will(What::Answers("result", text("paid"), Duration::from_millis(300)));
    let (id, body) = (id(), call("pay", &json!({})));
    let all = (0..6).map(|_| run(&bench, AGENT, &id, &body));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!((answer.status, &answer.json()["result"]), (200, &text("paid")));
    }
    assert_eq!(tools.calls().len(), 1);
}

#[tokio::test]
async fn what_policy_says_of_the_call_and_of_its_answer_holds() {
    let (tools, bench) = one().await;
    let denied = run(&bench, AGENT, &id(), &call("pay", &json!("DENY"))).await;
    assert_eq!(denied.status, 400, "arguments are an object: {denied:?}");
    let denied = run(&bench, AGENT, &id(), &call("pay", &json!({ "w": "DENY" }))).await;
    assert_eq!((denied.status, &denied.json()["error"]), (403, &json!("security_violation")));
    assert!(tools.calls().is_empty());
    // Here changed arguments can be kept to: it is we who call.
    let redacted = run(&bench, AGENT, &id(), &call("pay", &json!({ "w": "a SECRET" }))).await;
    assert_eq!(redacted.status, 200, "{redacted:?}");
    assert_eq!(tools.calls(), [json!(["pay", { "w": "a [redacted:secret.test]" }])]);

    tools.will(answers("result", text("the SECRET")));
    let answer = run(&bench, AGENT, &id(), &call("pay", &json!({}))).await;
    assert_eq!(answer.json()["result"], text("the [redacted:secret.test]"));
    tools.will(answers("error", json!({ "code": -32000, "message": "no SECRET funds" })));
    let answer = run(&bench, AGENT, &id(), &call("pay", &json!({}))).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &json!(-32000)));
    assert!(!answer.text.contains("SECRET"), "{answer:?}");
    tools.will(answers("result", text("DENY")));
    let (id, body) = (id(), call("pay", &json!({})));
    for replayed in ["false", "true"] {
        let withheld = run(&bench, AGENT, &id, &body).await;
        assert_eq!((withheld.status, &withheld.json()["error"]), (403, &json!("security_violation")));
        assert_eq!(withheld.headers["x-clavenar-server-execution-replayed"], replayed);
    }
    assert_eq!(tools.calls().len(), 4);
    assert_eq!(ends(&bench), [Outcome::Answered, Outcome::Answered, Outcome::Failed, Outcome::Answered]);
}

#[tokio::test]
async fn a_parked_call_is_run_once_after_its_approval() {
    let (tools, bench) = one().await;
    let (id, body) = (id(), call("pay", &json!({ "w": "REVIEW" })));
    for _ in 0..2 {
        let parked = run(&bench, AGENT, &id, &body).await;
        assert_eq!((parked.status, &parked.json()["pending_id"]), (202, &json!(id)));
    }
    assert_eq!(bench.approvals.pending(), 1);
    let path = format!("/pending/{id}");
    assert_eq!(send(&bench, &path, AGENT, &[], "").await.json()["status"], "pending");
    let vote = r#"{"decision":"allow","note":"ok"}"#;
    assert_eq!(send(&bench, &format!("{path}/decide"), OPERATOR, &[], vote).await.status, 200);
    // To read that it may run uses nothing up: it is run here.
    for _ in 0..2 {
        assert_eq!(send(&bench, &path, AGENT, &[], "").await.json()["decision"], "allow");
    }
    let bench = bench.restarted().await;
    let ran = run(&bench, AGENT, &id, &body).await;
    assert_eq!((ran.status, &ran.json()["result"]), (200, &text("paid")), "{ran:?}");
    let again = run(&bench, AGENT, &id, &body).await;
    assert_eq!((again.status, &again.text), (200, &ran.text));
    assert_eq!(tools.calls().len(), 1);
    assert_eq!(send(&bench, &path, AGENT, &[], "").await.json()["decision"], "allow");
    // Another call of the same content wants its own.
    let other = Uuid::new_v4().to_string();
    assert_eq!(run(&bench, AGENT, &other, &body).await.status, 202);
    let vote = r#"{"decision":"deny","note":"no"}"#;
    assert_eq!(send(&bench, &format!("/pending/{other}/decide"), OPERATOR, &[], vote).await.status, 200);
    for _ in 0..2 {
        is(&run(&bench, AGENT, &other, &body).await, 403, "server_execution_pending_denied");
    }
    assert_eq!(tools.calls().len(), 1);
}

#[tokio::test]
async fn an_approval_under_another_policy_runs_nothing() {
    let (tools, bench) = one().await;
    let (id, body) = (id(), call("pay", &json!({ "w": "REVIEW" })));
    assert_eq!(run(&bench, AGENT, &id, &body).await.status, 202);
    let vote = r#"{"decision":"allow"}"#;
    let path = format!("/pending/{id}/decide");
    assert_eq!(send(&bench, &path, OPERATOR, &[], vote).await.status, 200);
    bench.judge.reloaded.store(true, Ordering::SeqCst);
    assert_eq!(run(&bench, AGENT, &id, &body).await.status, 202, "it is judged again, and waits again");
    assert!(tools.calls().is_empty());
    assert_eq!(bench.approvals.pending(), 1);
}

#[tokio::test]
async fn an_attempt_without_a_known_end_is_uncertain_and_never_repeated() {
    let (tools, bench) = one().await;
    tools.will(What::Hangs);
    let (id, body) = (id(), call("pay", &json!({})));
    for _ in 0..3 {
        is(&run(&bench, AGENT, &id, &body).await, 409, "server_execution_uncertain");
    }
    assert_eq!((tools.calls().len(), ends(&bench)), (1, vec![Outcome::Uncertain]));

    // The disk fails between the call and its end.
    tools.will(What::Answers("result", text("paid"), Duration::from_millis(500)));
    let cut = Uuid::new_v4().to_string();
    let (answer, ()) = tokio::join!(run(&bench, AGENT, &cut, &body), async {
        while tools.calls().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.journal.broken.store(true, Ordering::SeqCst);
    });
    is(&answer, 503, "server_execution_completion_uncertain");
    let fresh = Uuid::new_v4().to_string();
    is(&run(&bench, AGENT, &fresh, &body).await, 503, "server_execution_storage_unavailable");
    assert_eq!(tools.calls().len(), 2, "no entry, no call");
    bench.journal.broken.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        is(&run(&bench, AGENT, &cut, &body).await, 409, "server_execution_uncertain");
    }
    assert_eq!((tools.calls().len(), ends(&bench)), (2, vec![Outcome::Uncertain, Outcome::Uncertain]));
    assert!(bench.journal.ledger.records(b"execution/").unwrap().is_empty());
}

#[tokio::test]
async fn what_the_process_before_had_begun_is_recorded_as_uncertain_at_the_start() {
    let (tools, bench) = one().await;
    tools.will(What::Answers("result", text("paid"), Duration::from_millis(500)));
    let (id, body) = (id(), call("pay", &json!({})));
    let (answer, ()) = tokio::join!(run(&bench, AGENT, &id, &body), async {
        while tools.calls().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.journal.broken.store(true, Ordering::SeqCst);
    });
    is(&answer, 503, "server_execution_completion_uncertain");
    assert_eq!(bench.journal.ledger.records(b"execution/").unwrap().len(), 1);
    // The process ends before it can write.
    let bench = bench.restarted().await;
    let entry = bench.entries("acme").into_iter().map(|row| row.entry).find(|entry| entry.outcome.is_some()).unwrap();
    assert_eq!((entry.outcome, entry.id.to_string()), (Some(Outcome::Uncertain), id.clone()));
    assert_eq!((entry.upstream.as_deref(), entry.tool.as_deref(), &*entry.agent), (Some("bank"), Some("pay"), "bot"));
    assert_eq!(entry.note.as_deref(), Some("cut off before its end was recorded"));
    is(&run(&bench, AGENT, &id, &body).await, 409, "server_execution_uncertain");
    assert_eq!((tools.calls().len(), ends(&bench)), (1, vec![Outcome::Uncertain]));
    assert!(bench.journal.ledger.records(b"execution/").unwrap().is_empty());
}

#[tokio::test]
async fn an_upstream_that_is_away_or_says_too_much() {
    let gone = Upstream::http("gone", "http://127.0.0.1:9/mcp", []).unwrap();
    let bench = bench(vec![gone]).await;
    let (one, body) = (id(), call("pay", &json!({})));
    for _ in 0..2 {
        is(&run(&bench, AGENT, &one, &body).await, 409, "server_execution_uncertain");
    }
    assert_eq!(ends(&bench), [Outcome::Failed], "the log says that it did not run");

    let (tools, bench) = self::one().await;
    tools.will(answers("result", text(&"x".repeat(1024 * 1024))));
    let id = id();
    for _ in 0..2 {
        is(&run(&bench, AGENT, &id, &body).await, 502, "server_execution_result_too_large");
    }
    assert_eq!((tools.calls().len(), ends(&bench)), (1, vec![Outcome::Answered]));
}

#[tokio::test]
async fn the_upstream_is_named_by_the_path_or_the_tool() {
    let (bank, files) = (Tools::start().await, Tools::start().await);
    let bench = bench(vec![bank.upstream("bank"), files.upstream("files")]).await;
    let body = |tool: &str| call(tool, &json!({})).to_string();
    let ask = async |path: &str, tool: &str| send(&bench, path, AGENT, &[EXECUTION, (ID, &id())], &body(tool)).await;
    for (path, tool) in
        [("/mcp/bank", "pay"), ("/clavenar/mcp/bank", "pay"), ("/mcp", "bank__pay"), ("/clavenar/mcp", "bank__pay")]
    {
        assert_eq!(ask(path, tool).await.status, 200, "{path} {tool}");
    }
    for (path, tool) in [("/mcp", "pay"), ("/mcp/nobody", "pay"), ("/mcp", "nobody__pay")] {
        assert_eq!(ask(path, tool).await.status, 404, "{path} {tool}");
    }
    assert_eq!(bank.calls().len(), 4);
    assert!(bank.calls().iter().all(|call| call[0] == "pay") && files.calls().is_empty());
    // The same id to another upstream is another request.
    let id = id();
    let send = async |path: &str| send(&bench, path, AGENT, &[EXECUTION, (ID, &id)], &body("pay")).await;
    assert_eq!(send("/mcp/bank").await.status, 200);
    is(&send("/mcp/files").await, 409, "server_execution_idempotency_conflict");
}

#[tokio::test]
async fn requests_that_cannot_be_run() {
    let (tools, bench) = one().await;
    let calls = json!([{ "id": "1", "name": "pay", "arguments": {} }]);
    let resource = json!({ "method": "resources/read", "params": { "uri": "file:///a" }, "id": 1 });
    let unnamed = json!({ "method": "tools/call", "params": { "arguments": {} }, "id": 1 });
    for body in [batch(&calls), resource] {
        is(&run(&bench, AGENT, &id(), &body).await, 400, "server_execution_tool_required");
    }
    let extra = json!({ "method": "tools/call", "params": { "name": "t", "input": "unseen" }, "id": 1 });
    for body in [unnamed, call("t", &json!([])), extra, json!({})] {
        assert_eq!(run(&bench, AGENT, &id(), &body).await.status, 400, "{body}");
    }
    for token in ["", "nobody", OPERATOR] {
        assert_eq!(run(&bench, token, &id(), &call("t", &json!({}))).await.status, 401, "{token}");
    }
    let halted = run(&bench, HALTED, &id(), &call("t", &json!({}))).await;
    assert_eq!((halted.status, &halted.json()["error"]), (403, &json!("agent_revoked")));
    assert_eq!(run(&bench, SLOW, &id(), &call("t", &json!({}))).await.status, 200);
    let limited = run(&bench, SLOW, &id(), &call("t", &json!({}))).await;
    assert_eq!((limited.status, &limited.json()["agent_id"]), (429, &json!("acme/slow")));
    // A tool that the agent must not know of is not there.
    let hidden = run(&bench, MUTE, &id(), &call("hidden_tool", &json!({}))).await;
    assert_eq!((hidden.status, &hidden.json()["reasons"]), (403, &json!(["there is no such tool"])));
    assert_eq!(tools.calls().len(), 1);

    let setup =
        Setup { clavenar: Some(AllowBody::Verdict), open: true, mcp: vec![tools.upstream("bank")], ..Setup::default() };
    let open = Bench::with(setup).await;
    is(&run(&open, "", &id(), &call("t", &json!({}))).await, 503, "server_execution_identity_required");
    assert_eq!(tools.calls().len(), 1);
}

#[tokio::test]
async fn observing_runs_and_says_what_it_would_have_done() {
    let (tools, bench) = one().await;
    for (word, header) in [("fine", None), ("DENY", Some("deny")), ("REVIEW", Some("pend"))] {
        let (id, body) = (id(), call("pay", &json!({ "w": word })));
        for _ in 0..2 {
            let answer = run(&bench, WATCHED, &id, &body).await;
            assert_eq!((answer.status, &answer.json()["result"]), (200, &text("paid")), "{word}");
            for kind in ["deny", "pend"] {
                let said = answer.headers.get(&format!("x-clavenar-would-{kind}")).map(String::as_str);
                assert_eq!(said, (header == Some(kind)).then_some("true"), "{word}");
            }
        }
    }
    assert_eq!(tools.calls().len(), 3);
}

#[tokio::test]
async fn sessions_with_the_upstream_end_with_their_call() {
    let (tools, bench) = one().await;
    for _ in 0..3 {
        assert_eq!(run(&bench, AGENT, &id(), &call("pay", &json!({}))).await.status, 200);
    }
    for _ in 0..200 {
        if tools.ended.load(Ordering::SeqCst) == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} sessions were ended", tools.ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_child_process_runs_the_call_too() {
    let script = r#"
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if m["method"] == "initialize":
        r = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif m["method"] == "tools/call":
        r = {"content": [{"type": "text", "text": json.dumps(m["params"])}]}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}), flush=True)
"#;
    let own = Upstream::stdio("own", "python3", ["-c".to_owned(), script.to_owned()], []).unwrap();
    let shared = Upstream::stdio("shared", "python3", ["-c".to_owned(), script.to_owned()], []).unwrap().sharing(true);
    let bench = bench(vec![own, shared]).await;
    for upstream in ["own", "shared"] {
        let body = call("echo", &json!({ "n": 1 })).to_string();
        let answer = send(&bench, &format!("/mcp/{upstream}"), AGENT, &[EXECUTION, (ID, &id())], &body).await;
        assert_eq!(answer.status, 200, "{upstream}: {answer:?}");
        let said = answer.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), json!({ "name": "echo", "arguments": { "n": 1 } }));
    }
    assert_eq!(ends(&bench), [Outcome::Answered, Outcome::Answered]);
}
