//! The Arden contract on the wire.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use portcullis_gateway::doors::arden::{ArdenSettings, Endpoint, Environment, Price};
use portcullis_model::{Door, EntryKind, Phase};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::support::*;

const SIGNING_KEY: &str = "a signing key of this test";

async fn bench() -> Bench {
    Bench::with(Setup { arden: Some(ArdenSettings::default()), ..Setup::default() }).await
}

/// A server whose agents are told of decisions about live calls at these addresses.
async fn hooked(agents: &[(&str, &str)]) -> Bench {
    let endpoint = |(agent, url): &(&str, &str)| {
        let endpoint = Endpoint::new(url, SIGNING_KEY, true).unwrap();
        (("acme".into(), (*agent).into(), Environment::Live), Arc::new(endpoint))
    };
    let webhooks: HashMap<_, _> = agents.iter().map(endpoint).collect();
    Bench::with(Setup { arden: Some(ArdenSettings { webhooks, ..ArdenSettings::default() }), ..Setup::default() }).await
}

fn bytes(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    let key = if key.is_empty() { String::new() } else { format!("X-API-Key: {key}\r\n") };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{key}content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

async fn send(bench: &Bench, method: &str, path: &str, key: &str, body: &str) -> Answer {
    let mut client = bench.client().await;
    client.0.write_all(&bytes(method, path, key, body)).await.unwrap();
    let answer = client.answer().await;
    assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
    answer
}

fn call(tool: &str, kwargs: &Value) -> String {
    json!({ "tool_name": tool, "args": [], "kwargs": kwargs, "metadata": null }).to_string()
}

/// A check that is answered, as all are.
async fn check(bench: &Bench, key: &str, body: &str) -> Value {
    let answer = send(bench, "POST", "/arden/policy/check", key, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let id = json["action_id"].as_str().unwrap().to_owned();
    assert!(Uuid::parse_str(&id).is_ok(), "{json}");
    assert_eq!(answer.headers["x-portcullis-id"], id);
    json
}

async fn status(bench: &Bench, key: &str, id: &str) -> Answer {
    send(bench, "GET", &format!("/arden/status/{id}"), key, "").await
}

async fn park(bench: &Bench, key: &str, kwargs: &Value) -> String {
    let parked = check(bench, key, &call("pay", kwargs)).await;
    assert_eq!((&parked["decision"], &parked["status"]), (&json!("requires_approval"), &json!("pending")), "{parked}");
    parked["action_id"].as_str().unwrap().to_owned()
}

async fn vote(bench: &Bench, word: &str, id: &str, message: &Value) -> Answer {
    let body = json!({ "message": message }).to_string();
    send(bench, "POST", &format!("/arden/{word}/{id}"), OPERATOR, &body).await
}

#[tokio::test]
async fn what_is_allowed_has_an_id_too_and_says_if_nothing_ruled() {
    let bench = bench().await;
    let allowed = check(&bench, AGENT, &call("t", &json!({ "a": 1 }))).await;
    let expected = json!({
        "decision": "allow", "action_id": allowed["action_id"], "message": null, "reason": "no_policy_configured",
        "status": "completed", "environment": "live", "user_id": "acme",
    });
    assert_eq!(allowed, expected, "only detectors looked at it");
    assert_eq!(allowed["action_id"], bench.entries("acme")[0].entry.id.to_string());
}

#[tokio::test]
async fn refusals_are_blocks_with_a_message() {
    let bench = bench().await;
    let ask = async |key: &str, body: &str| {
        let json = check(&bench, key, body).await;
        assert_eq!((&json["decision"], &json["status"]), (&json!("block"), &json!("completed")), "{json}");
        (json["reason"].as_str().unwrap().to_owned(), json["message"].as_str().unwrap().to_owned())
    };
    let (reason, message) = ask(AGENT, &call("t", &json!({ "w": "DENY" }))).await;
    assert_eq!((reason.as_str(), message.as_str()), ("word", "a word was found"));
    let (_, message) = ask(AGENT, &call("t", &json!({ "w": "SECRET" }))).await;
    assert!(message.contains("changed arguments"), "{message}");
    assert_eq!(ask(HALTED, &call("t", &json!({}))).await.0, "agent_halted");
    check(&bench, SLOW, &call("t", &json!({}))).await;
    assert_eq!(ask(SLOW, &call("t", &json!({}))).await.0, "rate_limited");
    assert_eq!(ask(BARE, &call("t", &json!({}))).await.0, "no_pipeline");
    let deep = format!(r#"{{"tool_name":"t","kwargs":{{"a":{}{}}}}}"#, "[".repeat(80), "]".repeat(80));
    assert_eq!(ask(AGENT, &deep).await.0, "too_complex");
    let huge = call("t", &json!({ "a": "x".repeat(5 << 20) }));
    assert_eq!(ask(AGENT, &huge).await.0, "too_large");
    bench.journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(ask(AGENT, &call("t", &json!({}))).await.0, "ledger_unavailable");
}

#[tokio::test]
async fn who_only_observes_says_what_would_have_been() {
    let bench = bench().await;
    for (word, would) in [("DENY", json!("block")), ("REVIEW", json!("requires_approval")), ("x", Value::Null)] {
        let allowed = check(&bench, WATCHED, &call("t", &json!({ "w": word }))).await;
        assert_eq!((&allowed["decision"], &allowed["would"]), (&json!("allow"), &would), "{allowed}");
    }
    assert_eq!(bench.approvals.pending(), 0);
}

#[tokio::test]
async fn keys_say_who_asks_and_what_they_are_for() {
    let bench = bench().await;
    let body = call("t", &json!({}));
    let statuses = [
        ("POST", "/arden/policy/check", AGENT, 200),
        ("POST", "/arden/v1/policy/check", AGENT, 200),
        ("POST", "/arden/policy/check", "", 401),
        ("POST", "/arden/policy/check", "nobody", 401),
        ("POST", "/arden/policy/check", OPERATOR, 403),
        ("GET", "/arden/policy/check", AGENT, 405),
        ("POST", "/arden/check", AGENT, 404),
        ("GET", "/arden/health", "", 200),
        ("GET", "/arden", "", 200),
        ("POST", "/arden/approve/9c2e4f60-2d1b-4b57-8d0a-3f5b7c1e9a10", AGENT, 403),
        ("POST", "/arden/deny/9c2e4f60-2d1b-4b57-8d0a-3f5b7c1e9a10", AGENT, 403),
        ("POST", "/arden/approve/9c2e4f60-2d1b-4b57-8d0a-3f5b7c1e9a10", OPERATOR, 404),
        ("GET", "/arden/status/9c2e4f60-2d1b-4b57-8d0a-3f5b7c1e9a10", AGENT, 404),
        ("GET", "/arden/status/nonsense", AGENT, 404),
        ("GET", "/arden/status/9c2e4f60-2d1b-4b57-8d0a-3f5b7c1e9a10", OPERATOR, 403),
        ("POST", "/arden/token-usage", OPERATOR, 403),
    ];
    for (method, path, key, status) in statuses {
        let body = if path.ends_with("check") { body.as_str() } else { "" };
        let answer = send(&bench, method, path, key, body).await;
        assert_eq!(answer.status, status, "{method} {path} {key}: {answer:?}");
        assert!(status < 400 || answer.json()["error"].is_string(), "{answer:?}");
    }
    for wrong in ["", "{", "[]", r#"{"kwargs":{}}"#, r#"{"tool_name":"t","metadata":1}"#] {
        assert_eq!(send(&bench, "POST", "/arden/policy/check", AGENT, wrong).await.status, 400, "{wrong}");
    }
    // A bearer token is a key, too; two credentials at once are none.
    assert_eq!(bench.ask("POST", "/arden/policy/check", AGENT, &body).await.status, 200);
    let mut client = bench.client().await;
    let both = request("POST", "/arden/policy/check", AGENT, body.as_bytes());
    let at = both.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
    client.0.write_all(&[&both[..at], b"x-api-key: agent-token\r\n", &both[at..]].concat()).await.unwrap();
    assert_eq!(client.answer().await.status, 401);
}

#[tokio::test]
async fn without_credentials_any_key_is_the_open_agents() {
    let bench = Bench::with(Setup { arden: Some(ArdenSettings::default()), open: true, ..Setup::default() }).await;
    for key in ["arden_test_00", "whatever", ""] {
        assert_eq!(check(&bench, key, &call("t", &json!({}))).await["decision"], "allow", "{key}");
    }
}

#[tokio::test]
async fn a_parked_call_is_polled_decided_and_given_once() {
    let bench = bench().await;
    let id = park(&bench, AGENT, &json!({ "w": "REVIEW" })).await;
    let pending = status(&bench, AGENT, &id).await.json();
    assert_eq!((&pending["action_id"], &pending["status"]), (&json!(id), &json!("pending")));
    assert!(pending["created_at"].as_str().unwrap().ends_with('Z'), "the client wants a string: {pending}");
    for stranger in [SECOND, OTHER, AGENT_TEST] {
        assert_eq!(status(&bench, stranger, &id).await.status, 404, "{stranger}");
    }
    for (who, status) in [(OTHER_OPERATOR, 404), (VIEWER, 403), (AGENT, 403)] {
        let answer = send(&bench, "POST", &format!("/arden/approve/{id}"), who, "").await;
        assert_eq!(answer.status, status, "{who}");
    }
    for wrong in ["{", "[]", r#"{"message":1}"#] {
        let answer = send(&bench, "POST", &format!("/arden/approve/{id}"), OPERATOR, wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    let approved = vote(&bench, "approve", &id, &json!("checked with customer")).await;
    assert_eq!(approved.json(), json!({ "action_id": id, "status": "approved" }));
    assert_eq!(vote(&bench, "deny", &id, &Value::Null).await.status, 409);
    for _ in 0..2 {
        let approved = status(&bench, AGENT, &id).await.json();
        assert_eq!((&approved["status"], &approved["message"]), (&json!("approved"), &json!("checked with customer")));
    }
    let entries = bench.entries("acme");
    assert!(entries.iter().all(|row| row.entry.id.to_string() == id && row.entry.door != Door::Inspect));
    assert_eq!(bench.count("acme", EntryKind::Approval), 2, "the vote and the release");
    park(&bench, AGENT, &json!({ "w": "REVIEW" })).await;
}

#[tokio::test]
async fn a_refused_call_comes_with_its_message_and_an_expired_one_with_the_time() {
    let bench = bench().await;
    let id = park(&bench, AGENT, &json!({ "w": "REVIEW", "n": 1 })).await;
    assert_eq!(vote(&bench, "deny", &id, &json!("amount mismatch")).await.json()["status"], "denied");
    let denied = status(&bench, AGENT, &id).await.json();
    assert_eq!((&denied["status"], &denied["message"]), (&json!("denied"), &json!("amount mismatch")));

    bench.judge.deadline.store(1, Ordering::SeqCst);
    let id = park(&bench, AGENT, &json!({ "w": "REVIEW", "n": 2 })).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // Before and after it is on record.
    for _ in 0..2 {
        let expired = status(&bench, AGENT, &id).await.json();
        let message = json!("expired: nobody decided within 1 second");
        assert_eq!((&expired["status"], &expired["message"]), (&json!("denied"), &message));
        bench.gate.expire().await.unwrap();
    }
    assert_eq!(vote(&bench, "approve", &id, &Value::Null).await.status, 409);
}

#[tokio::test]
async fn a_halted_agents_parked_call_is_denied() {
    let bench = bench().await;
    let id = park(&bench, AGENT, &json!({ "w": "REVIEW" })).await;
    assert_eq!(vote(&bench, "approve", &id, &Value::Null).await.status, 200);
    bench.credentials.replace(halting("bot"));
    let denied = status(&bench, AGENT, &id).await.json();
    assert_eq!((&denied["status"], &denied["message"]), (&json!("denied"), &json!("this agent is halted")));
    assert_eq!(bench.count("acme", EntryKind::Approval), 1, "the vote, and no release");
}

#[tokio::test]
async fn an_approval_is_not_given_under_another_policy() {
    let bench = bench().await;
    let (given, id) = (
        park(&bench, AGENT, &json!({ "w": "REVIEW", "n": 1 })).await,
        park(&bench, AGENT, &json!({ "w": "REVIEW", "n": 2 })).await,
    );
    for one in [&given, &id] {
        assert_eq!(vote(&bench, "approve", one, &Value::Null).await.status, 200);
    }
    assert_eq!(status(&bench, AGENT, &given).await.json()["status"], "approved");
    bench.judge.reloaded.store(true, Ordering::SeqCst);
    let denied = status(&bench, AGENT, &id).await.json();
    let message = json!("the policy was changed meanwhile: ask again with a new id");
    assert_eq!((&denied["status"], &denied["message"]), (&json!("denied"), &message));
    assert_eq!(status(&bench, AGENT, &given).await.json()["status"], "approved", "what was given stays given");
    assert_eq!(bench.count("acme", EntryKind::Approval), 3, "two votes and one release");
}

#[tokio::test]
async fn two_calls_of_one_content_are_two_actions_and_one_approval() {
    let bench = bench().await;
    let (one, two) =
        (park(&bench, AGENT, &json!({ "w": "REVIEW" })).await, park(&bench, AGENT, &json!({ "w": "REVIEW" })).await);
    assert_ne!(one, two);
    assert_eq!(bench.approvals.pending(), 1, "a person is asked once");
    assert_eq!(vote(&bench, "approve", &two, &Value::Null).await.status, 200);
    assert_eq!(status(&bench, AGENT, &two).await.json()["status"], "approved");
    let late = status(&bench, AGENT, &one).await.json();
    assert_eq!(late["status"], "denied", "it runs once");
    assert!(late["message"].as_str().unwrap().contains("another call"), "{late}");
}

#[tokio::test]
async fn test_and_live_share_nothing() {
    let bench = bench().await;
    let live = park(&bench, AGENT, &json!({ "w": "REVIEW" })).await;
    let test = check(&bench, AGENT_TEST, &call("pay", &json!({ "w": "REVIEW" }))).await;
    assert_eq!(test["environment"], "test");
    assert_eq!(bench.approvals.pending(), 2, "an approval of one releases none of the other");
    let test = test["action_id"].as_str().unwrap();
    assert_eq!(vote(&bench, "approve", test, &Value::Null).await.status, 200);
    assert_eq!(status(&bench, AGENT, &live).await.json()["status"], "pending");
    assert_eq!(status(&bench, AGENT, test).await.status, 404);
    assert_eq!(status(&bench, AGENT_TEST, test).await.json()["status"], "approved");
}

#[tokio::test]
async fn only_this_door_makes_calls_in_the_name_of_live_or_test() {
    let bench = bench().await;
    let id = park(&bench, AGENT, &json!({ "w": "REVIEW" })).await;
    assert_eq!(vote(&bench, "approve", &id, &Value::Null).await.status, 200);
    for name in ["arden.live", "Arden.TEST", "arden."] {
        let question = json!({ "tool": "pay", "upstream": name, "arguments": { "w": "REVIEW" } }).to_string();
        let refused = bench.inspect(AGENT_TEST, &question).await;
        assert_eq!((refused.check_head().status, refused.code().as_str()), (400, "malformed"), "{name}");
    }
    assert_eq!(status(&bench, AGENT, &id).await.json()["status"], "approved");
}

#[tokio::test]
async fn a_check_whose_answer_got_lost_is_not_ruled_twice() {
    let bench = bench().await;
    *bench.judge.pause.lock().unwrap() = Duration::from_millis(300);
    let body = call("pay", &json!({ "w": "REVIEW" }));
    // The client gives up while it waits, and asks again.
    let mut client = bench.client().await;
    client.0.write_all(&bytes("POST", "/arden/policy/check", AGENT, &body)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let again = check(&bench, AGENT, &body).await;
    let entries = bench.entries("acme");
    assert_eq!(entries.len(), 1, "one decision");
    assert_eq!(again["action_id"], entries[0].entry.id.to_string());
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 1);
    // That answer was read, so the next one is a call of its own.
    let next = check(&bench, AGENT, &body).await;
    assert_ne!(next["action_id"], again["action_id"]);
    assert_eq!(bench.count("acme", EntryKind::Decision), 2);
}

#[tokio::test]
async fn an_observation_is_recorded_and_never_parked() {
    let bench = bench().await;
    for (output, reason) in [("fine", "observation"), ("REVIEW", "word"), ("DENY", "word")] {
        let body = call("langchain.search", &json!({ "input": "q", "output": output }));
        let answer = check(&bench, AGENT, &body).await;
        assert_eq!((&answer["decision"], &answer["reason"]), (&json!("block"), &json!(reason)), "nothing runs on it");
    }
    assert_eq!(bench.approvals.pending(), 0);
    let entries = bench.entries("acme");
    assert!(entries.iter().all(|row| row.entry.phase == Phase::Result && row.entry.door == Door::Arden));
    assert_eq!(entries.len(), 3);
    // It counts for the agent's rate, or it would be a way around it.
    let body = call("langchain.search", &json!({ "input": "q", "output": "fine" }));
    check(&bench, SLOW, &body).await;
    assert_eq!(check(&bench, SLOW, &body).await["reason"], "rate_limited");
}

#[tokio::test]
async fn a_restart_keeps_what_was_asked_and_decided() {
    let bench = bench().await;
    let (one, two) = (
        park(&bench, AGENT, &json!({ "w": "REVIEW" })).await,
        park(&bench, AGENT, &json!({ "w": "REVIEW", "n": 2 })).await,
    );
    let bench = bench.restarted().await;
    assert_eq!(status(&bench, AGENT, &one).await.json()["status"], "pending");
    assert_eq!(vote(&bench, "approve", &one, &json!("ok")).await.status, 200);
    assert_eq!(vote(&bench, "deny", &two, &Value::Null).await.status, 200);
    let bench = bench.restarted().await;
    assert_eq!(status(&bench, AGENT, &one).await.json()["status"], "approved");
    assert_eq!(status(&bench, AGENT, &two).await.json()["status"], "denied");
    let bench = bench.restarted().await;
    assert_eq!(status(&bench, AGENT, &one).await.json()["status"], "approved", "given to this action");
}

#[tokio::test]
async fn token_usage_is_counted_with_its_cost() {
    let bench = bench().await;
    let report = async |key: &str, model: &str, session: &str| {
        let body = json!({ "model": model, "prompt_tokens": 1210, "completion_tokens": 88, "session_id": session });
        let answer = send(&bench, "POST", "/arden/token-usage", key, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let first = report(AGENT, "claude-sonnet-4-6", "chat-1").await;
    assert_eq!((&first["total_tokens"], &first["rate_found"]), (&json!(1298), &json!(false)));
    let door = bench.arden_door.as_ref().unwrap();
    let prices = vec![Price::new("claude-sonnet-*", 3.0, 15.0).unwrap()];
    door.configure(ArdenSettings { prices, ..ArdenSettings::default() });
    let second = report(AGENT, "claude-sonnet-4-6", "chat-2").await;
    assert_eq!((&second["total_cost_usd"], &second["rate_found"]), (&json!(0.00495), &json!(true)));
    report(SECOND, "unknown", "chat-1").await;
    report(AGENT_TEST, "claude-sonnet-4-6", "chat-1").await;
    for wrong in ["", "[]", r#"{"model":"m"}"#, r#"{"model":"m","prompt_tokens":-1,"completion_tokens":0}"#] {
        assert_eq!(send(&bench, "POST", "/arden/token-usage", AGENT, wrong).await.status, 400, "{wrong}");
    }

    let bench = bench.restarted().await;
    let read =
        async |key: &str, query: &str| send(&bench, "GET", &format!("/arden/token-usage{query}"), key, "").await.json();
    let by_model = read(OPERATOR, "?by=model").await;
    assert_eq!(by_model["groups"][0]["key"], "claude-sonnet-4-6");
    assert_eq!(
        (&by_model["groups"][0]["calls"], &by_model["groups"][0]["unknown_model_calls"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(by_model["total"]["total_cost_usd"], 0.0099);
    let by_session = read(OPERATOR, "?by=session&environment=live").await;
    assert_eq!((&by_session["groups"][0]["key"], &by_session["groups"][0]["calls"]), (&json!("chat-1"), &json!(2)));
    let own = read(AGENT, "?by=agent").await;
    assert_eq!((&own["groups"].as_array().unwrap().len(), &own["total"]["calls"]), (&1, &json!(2)), "its own, live");
    assert_eq!(read(OTHER_OPERATOR, "").await["total"]["calls"], 0);
    assert_eq!(send(&bench, "GET", "/arden/token-usage?by=cost", OPERATOR, "").await.status, 400);
}

/// What a sink was sent: the head in lower case, the body, when.
struct Sent {
    head: String,
    body: Vec<u8>,
    at: Instant,
}

impl Sent {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name} in {}", self.head))
    }

    /// Checks the signature as receivers do.
    fn check(&self) -> Value {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SIGNING_KEY.as_bytes()).unwrap();
        mac.update(format!("{}.", self.header("x-arden-timestamp")).as_bytes());
        mac.update(&self.body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(self.header("x-arden-signature"), format!("sha256={hex}"));
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A sink that answers one request after the other with these heads, and the last one from then on.
async fn sink(heads: &'static [&'static str]) -> (String, mpsc::UnboundedReceiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/arden/webhook?x=1", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut heads = heads.iter().cycle().take(heads.len()).chain(std::iter::repeat(heads.last().unwrap()));
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let sent = read(&mut stream).await;
            let head = heads.next().unwrap();
            let _ = sender.send(sent);
            if !head.is_empty() {
                let _ = stream.write_all(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
            }
        }
    });
    (url, receiver)
}

async fn read(stream: &mut TcpStream) -> Sent {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        stream.read_buf(&mut bytes).await.unwrap();
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let mut sent = Sent { head, body: bytes[end + 4..].to_vec(), at: Instant::now() };
    let length: usize = sent.header("content-length").parse().unwrap();
    while sent.body.len() < length {
        stream.read_buf(&mut sent.body).await.unwrap();
    }
    sent
}

async fn next(sent: &mut mpsc::UnboundedReceiver<Sent>) -> Sent {
    tokio::time::timeout(Duration::from_secs(15), sent.recv()).await.expect("a webhook").unwrap()
}

fn hooks_on_record(bench: &Bench) -> usize {
    bench.journal.ledger.records(b"arden/hook/").unwrap().len()
}

#[tokio::test]
async fn a_webhook_says_what_was_decided_to_the_byte() {
    let (url, mut sent) = sink(&["200 OK"]).await;
    let bench = hooked(&[("bot", &url)]).await;
    let kwargs = r#"{"w":"REVIEW","big":1180591620717411303424,"x":1.50,"text":"ü\u0000"}"#;
    let body = format!(r#"{{"tool_name":"stripe.issue_refund","args":[],"kwargs":{kwargs},"metadata":null}}"#);
    let id = check(&bench, AGENT, &body).await["action_id"].as_str().unwrap().to_owned();
    let created = status(&bench, AGENT, &id).await.json()["created_at"].clone();
    assert_eq!(hooks_on_record(&bench), 1);
    vote(&bench, "approve", &id, &json!("checked")).await;
    let first = next(&mut sent).await;
    let event = first.check();
    assert!(first.head.starts_with("post /arden/webhook?x=1 http/1.1"), "{}", first.head);
    assert!(String::from_utf8(first.body.clone()).unwrap().contains(&format!(r#""context":{kwargs},"#)));
    assert_eq!((&event["event_type"], &event["action"]["status"]), (&json!("action_approved"), &json!("approved")));
    assert_eq!((&event["action"]["action_id"], &event["action"]["created_at"]), (&json!(id), &created));
    assert_eq!(
        (&event["action"]["tool_name"], &event["action"]["agent_id"]),
        (&json!("stripe.issue_refund"), &json!("bot"))
    );
    let approval = json!({ "action": "approve", "admin_user_id": "olga", "notes": "checked" });
    assert_eq!((&event["approval"], &event["action"]["environment"]), (&approval, &json!("live")));
    // The event was the release, so whoever polls as well is told the same.
    assert_eq!(status(&bench, AGENT, &id).await.json()["status"], "approved");

    let id = park(&bench, AGENT, &json!({ "w": "REVIEW" })).await;
    vote(&bench, "deny", &id, &json!("duplicate request")).await;
    let event = next(&mut sent).await.check();
    assert_eq!((&event["event_type"], &event["approval"]["action"]), (&json!("action_denied"), &json!("deny")));
    assert_eq!(event["approval"]["notes"], "duplicate request");

    bench.judge.deadline.store(1, Ordering::SeqCst);
    park(&bench, AGENT, &json!({ "w": "REVIEW", "n": 3 })).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    bench.gate.expire().await.unwrap();
    let event = next(&mut sent).await.check();
    assert_eq!(event["event_type"], "action_denied");
    assert_eq!(event["approval"]["admin_user_id"], Value::Null);
    assert!(event["approval"]["notes"].as_str().unwrap().starts_with("expired"), "{event}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(hooks_on_record(&bench), 0, "what is delivered is forgotten");
    // No endpoint for this side, no webhook.
    check(&bench, AGENT_TEST, &call("pay", &json!({ "w": "REVIEW" }))).await;
    assert_eq!(hooks_on_record(&bench), 0);
}

#[tokio::test]
async fn a_webhook_is_sent_again_with_a_new_signature_until_it_is_taken() {
    let redirect = "307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/elsewhere";
    let (url, mut sent) = sink(Box::leak(Box::new(["500 Oops", redirect, "204 No Content"]))).await;
    let bench = hooked(&[("bot", &url)]).await;
    let id = park(&bench, AGENT, &json!({ "w": "REVIEW", "text": "x".repeat(1 << 20) })).await;
    vote(&bench, "approve", &id, &Value::Null).await;
    let tries = [next(&mut sent).await, next(&mut sent).await, next(&mut sent).await];
    for one in &tries {
        one.check();
        assert_eq!(one.body, tries[0].body, "it says the same");
    }
    assert_ne!(tries[0].header("x-arden-timestamp"), tries[2].header("x-arden-timestamp"));
    assert_ne!(tries[0].header("x-arden-signature"), tries[2].header("x-arden-signature"));
    assert!(tries[2].at - tries[0].at >= Duration::from_millis(2900), "1 second, then 2");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(hooks_on_record(&bench), 0);
    assert_eq!(bench.count("acme", EntryKind::Approval), 2, "one vote, one release");
}

#[tokio::test]
async fn an_endpoint_that_is_dead_refuses_nobody_anything() {
    let bench = hooked(&[("bot", "http://127.0.0.1:9/")]).await;
    for n in 0..200 {
        let id = park(&bench, AGENT, &json!({ "w": "REVIEW", "n": n })).await;
        assert_eq!(vote(&bench, "deny", &id, &Value::Null).await.status, 200);
    }
    assert_eq!(hooks_on_record(&bench), 200);
    // What is let through is let through, what is parked is parked: only nobody is called about it.
    assert_eq!(check(&bench, AGENT, &call("read", &json!({}))).await["decision"], "allow");
    let id = park(&bench, AGENT, &json!({ "w": "REVIEW", "n": 200 })).await;
    assert_eq!(hooks_on_record(&bench), 200);
    assert_eq!(vote(&bench, "approve", &id, &Value::Null).await.status, 200);
    assert_eq!(status(&bench, AGENT, &id).await.json()["status"], "approved");
}

#[tokio::test]
async fn a_webhook_comes_after_the_answer_to_its_check() {
    let (url, mut sent) = sink(&["200 OK"]).await;
    let bench = hooked(&[("bot", &url)]).await;
    let mut client = bench.client().await;
    let body = call("pay", &json!({ "w": "REVIEW" }));
    client.0.write_all(&bytes("POST", "/arden/policy/check", AGENT, &body)).await.unwrap();
    // Somebody decides in the same moment.
    while bench.approvals.pending() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let listed = bench.approvals.list("acme", None, None, 1, 0);
    assert_eq!(vote(&bench, "approve", &listed[0].id.to_string(), &Value::Null).await.status, 200);
    let answer = client.answer().await;
    let answered = Instant::now();
    let event = next(&mut sent).await;
    assert_eq!(event.check()["action"]["action_id"], answer.json()["action_id"]);
    assert!(event.at > answered + Duration::from_millis(200), "the client registers its callback first");
}

#[tokio::test]
async fn a_webhook_survives_a_restart_and_a_sink_that_hangs() {
    let (url, mut sent) = sink(&["", "200 OK"]).await;
    let bench = hooked(&[("bot", &url)]).await;
    let id = park(&bench, AGENT, &json!({ "w": "REVIEW" })).await;
    let bench = bench.restarted().await;
    vote(&bench, "approve", &id, &Value::Null).await;
    // It closes without an answer; the server ends before it is tried again.
    next(&mut sent).await.check();
    let bench = bench.restarted().await;
    let event = next(&mut sent).await.check();
    assert_eq!((&event["event_type"], &event["action"]["action_id"]), (&json!("action_approved"), &json!(id)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(hooks_on_record(&bench), 0);
    assert_eq!(bench.count("acme", EntryKind::Approval), 2, "one vote, one release");
}

#[tokio::test]
async fn a_sink_that_hangs_holds_nobody_else_up() {
    // Accepts and never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = format!("http://{}/", silent.local_addr().unwrap());
    let (url, mut sent) = sink(&["200 OK"]).await;
    let bench = hooked(&[("bot", &hangs), ("bot2", &url)]).await;
    for n in 0..20 {
        let id = park(&bench, AGENT, &json!({ "w": "REVIEW", "n": n })).await;
        vote(&bench, "approve", &id, &Value::Null).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = park(&bench, SECOND, &json!({ "w": "REVIEW" })).await;
    vote(&bench, "approve", &id, &Value::Null).await;
    let began = Instant::now();
    assert_eq!(next(&mut sent).await.check()["action"]["agent_id"], "bot2");
    assert!(began.elapsed() < Duration::from_secs(5), "the other agent's calls have places of their own");
    assert_eq!(status(&bench, AGENT, &id).await.status, 404);
    // Draining does not wait for the sink either.
    let began = Instant::now();
    let bench = bench.restarted().await;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(hooks_on_record(&bench), 20, "they are sent later");
}
