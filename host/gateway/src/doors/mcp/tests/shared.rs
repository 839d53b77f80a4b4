//! One child process for several clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::body::Incoming;
use portcullis_model::Outcome;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::*;
use crate::doors::mcp::McpLimits;
use crate::upstream::{Restarts, Upstream};

/// A shared server and a record of what it received.
pub(super) struct House {
    pub(super) served: Served,
    record: PathBuf,
    _folder: TempDir,
}

fn python(record: &Path, environment: &[(&str, &str)]) -> Upstream {
    let recording = [("RECORD", record.to_str().unwrap())];
    let environment = environment.iter().chain(&recording);
    let environment = environment.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let upstream = Upstream::stdio("python", "python3", [python_server().display().to_string()], environment);
    upstream.unwrap().sharing(true)
}

pub(super) async fn house_with(limits: McpLimits, environment: &[(&str, &str)]) -> House {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let served = Served::new([python(&record, environment)], limits).await;
    House { served, record, _folder: folder }
}

async fn house() -> House {
    house_with(quick(), &[]).await
}

impl House {
    /// With a server that keeps no record.
    pub(super) fn of(served: Served) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { served, record: folder.path().join("record"), _folder: folder }
    }

    /// A session of this agent.
    pub(super) async fn enter(&self, agent: &str) -> Ask {
        let ask = self.served.post().with("authorization", &format!("Bearer {agent}"));
        let got = ask.send(INITIALIZE).await;
        assert_eq!(got.status, 200, "{}", got.text());
        ask.session(got.header("mcp-session-id").expect("a session id"))
    }

    fn stream(&self, ask: &Ask) -> Ask {
        ask.clone().method("GET")
    }

    fn recorded(&self) -> Vec<Value> {
        let recorded = std::fs::read_to_string(&self.record).unwrap_or_default();
        recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(super) fn methods(&self) -> Vec<String> {
        self.recorded().iter().map(|message| message["method"].as_str().unwrap_or("answer").to_owned()).collect()
    }

    /// Waits until the process has received this many messages of a method.
    pub(super) async fn received(&self, method: &str, count: usize) -> Vec<Value> {
        for _ in 0..500 {
            let found: Vec<Value> = self.recorded().into_iter().filter(|message| message["method"] == method).collect();
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{method} did not come {count} times: {:?}", self.methods());
    }

    /// Waits until the process holds this many calls.
    pub(super) async fn holds(&self, count: usize) {
        for _ in 0..500 {
            let held = self.recorded().into_iter().filter(|message| message["params"]["name"] == "hold").count();
            if held >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.recorded());
    }
}

pub(super) fn text(got: &Got) -> String {
    let answer = got.json();
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

pub(super) fn code(got: &Got) -> i64 {
    got.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("{}", got.text()))
}

async fn pid(ask: &Ask) -> String {
    text(&ask.send(call("1", "pid", "{}")).await)
}

fn hold(id: &str, token: &str, words: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"hold","arguments":{{"text":"{words}"}},"_meta":{{"progressToken":{token}}}}}}}"#
    )
}

fn sending(ask: &Ask, body: String) -> tokio::task::JoinHandle<Got> {
    let ask = ask.clone();
    tokio::spawn(async move { ask.send(body).await })
}

async fn gone(pid: &str) {
    for _ in 0..300 {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("process {pid} still runs");
}

async fn stream_of(house: &House, ask: &Ask) -> Incoming {
    let response = house.stream(ask).open("").await;
    assert_eq!(response.status(), 200);
    response.into_body()
}

#[tokio::test]
async fn agents_of_one_tenant_share_a_process_and_two_tenants_never_do() {
    let house = house().await;
    let (one, two, other) = (house.enter("one").await, house.enter("two").await, house.enter("other").await);
    assert_eq!(pid(&one).await, pid(&two).await);
    assert_ne!(pid(&one).await, pid(&other).await);
    assert_eq!(house.served.door.sessions(), 3);
}

#[tokio::test]
async fn the_process_is_initialised_once_by_portcullis_and_each_session_is_its_own() {
    let house = house().await;
    let (one, two) = (house.enter("one").await, house.enter("one").await);
    for ask in [&one, &two] {
        assert_eq!(ask.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await.status, 202);
    }
    let greeting: Value = serde_json::from_str(&text(&one.send(call("1", "greeting", "{}")).await)).unwrap();
    assert_eq!((&greeting["clientInfo"]["name"], &greeting["capabilities"]), (&json!("portcullis"), &json!({})));
    assert_eq!(house.methods(), ["initialize", "notifications/initialized", "tools/call"]);
    let got = house.served.post().send(INITIALIZE).await;
    assert_eq!((&got.json()["id"], &got.json()["result"]["protocolVersion"]), (&json!("init"), &json!("2025-11-25")));
    assert_eq!(got.json()["result"]["serverInfo"]["name"], "stdio-test");
    // A session is its agent's, as ever, and its end is not that of the process.
    let stolen = one.clone().with("authorization", "Bearer two");
    assert_eq!(stolen.send(call("1", "pid", "{}")).await.status, 404);
    let before = pid(&two).await;
    assert_eq!(one.clone().method("DELETE").send("").await.status, 200);
    assert_eq!(one.send(call("1", "pid", "{}")).await.status, 404);
    assert_eq!(pid(&two).await, before);
}

#[tokio::test]
async fn two_clients_with_the_same_id_and_token_never_meet() {
    let house = house().await;
    let (one, two, three) = (house.enter("one").await, house.enter("two").await, house.enter("three").await);
    let first = sending(&one, hold("7", "\"tok\"", "for one"));
    house.holds(1).await;
    let second = sending(&two, hold("7", "\"tok\"", "for two"));
    house.holds(2).await;
    // An id that looks like a number of the process' own.
    let third = sending(&three, hold("\"2\"", "3", "for three"));
    house.holds(3).await;
    assert_eq!(text(&one.send(call("8", "release", "{}")).await), "done");
    for (got, id, token, words) in [
        (first, json!(7), json!("tok"), "for one"),
        (second, json!(7), json!("tok"), "for two"),
        (third, json!("2"), json!(3), "for three"),
    ] {
        let messages: Vec<Value> =
            got.await.unwrap().messages().iter().map(|message| serde_json::from_str(message).unwrap()).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert_eq!(messages[0]["params"]["progressToken"], token);
        assert_eq!((&messages[1]["id"], &messages[1]["result"]["content"][0]["text"]), (&id, &json!(words)));
    }
    let sent: Vec<Value> = house.received("tools/call", 4).await.iter().map(|message| message["id"].clone()).collect();
    assert_eq!(sent.iter().collect::<std::collections::HashSet<_>>().len(), 4, "{sent:?}");
}

#[tokio::test]
async fn each_client_is_inspected_under_its_own_agent() {
    let house = house_with(quick(), &[("DESCRIPTION", "a SECRET tool")]).await;
    let (one, observer) = (house.enter("one").await, house.enter("observer").await);
    let denied = one.send(call("1", "echo", r#"{"text":"DENY"}"#)).await;
    assert_eq!(denied.json()["result"]["isError"], true);
    assert_eq!(text(&observer.send(call("1", "echo", r#"{"text":"DENY"}"#)).await), "DENY");
    let list = r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#;
    let description = async |ask: &Ask| ask.send(list).await.json()["result"]["tools"][0]["description"].clone();
    assert_eq!(description(&one).await, "a [redacted] tool");
    assert_eq!(description(&observer).await, "a SECRET tool");
    let agents: Vec<String> = house.served.journal.all().iter().map(|draft| draft.agent.to_string()).collect();
    assert!(agents.contains(&"one".to_owned()) && agents.contains(&"observer".to_owned()), "{agents:?}");
}

#[tokio::test]
async fn cancelling_names_the_request_as_the_process_knows_it() {
    let house = house().await;
    let (one, two) = (house.enter("one").await, house.enter("two").await);
    let first = sending(&one, hold("7", "1", "one"));
    house.holds(1).await;
    let second = sending(&two, hold("7", "1", "two"));
    house.holds(2).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"enough"}}"#;
    assert_eq!(two.send(cancel).await.status, 202);
    assert_eq!(second.await.unwrap().json()["error"]["message"], "the request was cancelled");
    let calls = house.received("tools/call", 2).await;
    let cancelled = house.received("notifications/cancelled", 1).await;
    assert_eq!(cancelled[0]["params"], json!({ "requestId": calls[1]["id"], "reason": "enough" }));
    assert_eq!(two.send(cancel).await.status, 202, "nothing is left to be cancelled");
    assert_eq!(text(&two.send(call("8", "release", "{}")).await), "done");
    assert!(first.await.unwrap().text().contains("one"));
    assert_eq!(house.received("notifications/cancelled", 1).await.len(), 1);
}

#[tokio::test]
async fn a_client_that_vanishes_ends_only_its_own_call() {
    let house = house().await;
    let (one, two) = (house.enter("one").await, house.enter("two").await);
    let first = sending(&one, hold("7", "1", "one"));
    house.holds(1).await;
    let second = sending(&two, hold("7", "1", "two"));
    house.holds(2).await;
    second.abort();
    assert_eq!(house.served.journal.outcome().await, Outcome::Disconnected);
    let calls = house.received("tools/call", 2).await;
    assert_eq!(house.received("notifications/cancelled", 1).await[0]["params"]["requestId"], calls[1]["id"]);
    assert_eq!(text(&one.send(call("8", "release", "{}")).await), "done");
    assert!(first.await.unwrap().text().contains("one"));
}

#[tokio::test]
async fn what_is_for_everybody_reaches_every_session() {
    let house = house().await;
    let (one, two) = (house.enter("one").await, house.enter("two").await);
    let mut streams = [stream_of(&house, &one).await, stream_of(&house, &two).await];
    let other = house.enter("other").await;
    assert_eq!(text(&one.send(call("1", "change", "{}")).await), "done");
    assert_eq!(text(&one.send(call("2", "tell", "{}")).await), "done");
    for stream in &mut streams {
        let messages = read_messages(stream, 2).await;
        // In either order: the first is held back until the list has been seen.
        assert!(messages.iter().any(|message| message.contains("list_changed")), "{messages:?}");
        assert!(messages.iter().any(|message| message.contains("told")), "{messages:?}");
    }
    // Another tenant has another process: the first thing that its stream brings is what it asked for itself.
    let mut stream = stream_of(&house, &other).await;
    assert_eq!(text(&other.send(call("1", "update", r#"{"uri":"file:///nobody"}"#)).await), "done");
    assert_eq!(text(&other.send(call("2", "change", "{}")).await), "done");
    assert_eq!(method_of(&read_messages(&mut stream, 1).await[0]), "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_client_that_reads_nothing_keeps_nobody_waiting() {
    let house = house().await;
    let (one, two) = (house.enter("one").await, house.enter("two").await);
    let idle = stream_of(&house, &two).await;
    for _ in 0..400 {
        assert_eq!(text(&one.send(call("1", "change", "{}")).await), "done");
    }
    drop(idle);
    assert_eq!(text(&two.send(call("1", "echo", r#"{"text":"still here"}"#)).await), "still here");
}

#[tokio::test]
async fn a_burst_of_progress_arrives_whole_and_in_order() {
    let house = house().await;
    let one = house.enter("one").await;
    let burst = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"burst","arguments":{"count":200},"_meta":{"progressToken":"t"}}}"#;
    let messages = one.send(burst).await.messages();
    assert_eq!(messages.len(), 201);
    assert!(messages[..200].iter().all(|message| method_of(message) == "notifications/progress"));
    assert!(!house.served.metrics().contains(r#"cause="undelivered"} 1"#));
}

#[tokio::test]
async fn questions_of_the_process_are_answered_with_an_error_and_pings_are_answered() {
    let house = house().await;
    let one = house.enter("one").await;
    let answers: Value = serde_json::from_str(&text(&one.send(call("1", "question", "{}")).await)).unwrap();
    for (at, method) in ["sampling/createMessage", "elicitation/create", "roots/list"].iter().enumerate() {
        assert_eq!((&answers[at]["id"], &answers[at]["error"]["code"]), (&json!(method), &json!(-32601)));
    }
    assert_eq!(answers[3], json!({ "jsonrpc": "2.0", "id": "ping", "result": {} }));
    // What a client answers to nobody's question goes nowhere.
    assert_eq!(one.send(r#"{"jsonrpc":"2.0","id":"roots/list","result":{"roots":[]}}"#).await.status, 202);
    assert_eq!(text(&one.send(call("2", "echo", r#"{"text":"on"}"#)).await), "on");
    let methods = house.methods();
    assert_eq!(methods[methods.len() - 2..], ["answer", "tools/call"]);
}

#[tokio::test]
async fn resources_stay_subscribed_until_the_last_session_has_enough() {
    let house = house().await;
    let (one, two, three) = (house.enter("one").await, house.enter("two").await, house.enter("three").await);
    let ask = |method: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/{method}","params":{{"uri":"file:///a"}}}}"#)
    };
    for ask_of in [&one, &two] {
        assert_eq!(ask_of.send(ask("subscribe")).await.json()["result"], json!({}));
    }
    let (mut stream, mut silent) = (stream_of(&house, &one).await, stream_of(&house, &three).await);
    assert_eq!(text(&three.send(call("2", "update", r#"{"uri":"file:///a"}"#)).await), "done");
    assert_eq!(method_of(&read_messages(&mut stream, 1).await[0]), "notifications/resources/updated");
    assert_eq!(text(&three.send(call("3", "change", "{}")).await), "done");
    assert_eq!(
        method_of(&read_messages(&mut silent, 1).await[0]),
        "notifications/tools/list_changed",
        "nothing before"
    );
    assert_eq!(one.send(ask("unsubscribe")).await.json(), json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    assert!(!house.methods().contains(&"resources/unsubscribe".to_owned()));
    assert_eq!(two.method("DELETE").send("").await.status, 200);
    assert_eq!(house.received("resources/unsubscribe", 1).await[0]["params"]["uri"], "file:///a");
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"resources/subscribe","params":{{"uri":"{}"}}}}"#,
        "x".repeat(3000)
    );
    assert_eq!(code(&one.send(long).await), -32602);
}

#[tokio::test]
async fn tasks_of_others_cannot_be_listed() {
    let house = house().await;
    let one = house.enter("one").await;
    assert_eq!(code(&one.send(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/list"}"#).await), -32601);
    assert!(!house.methods().contains(&"tasks/list".to_owned()));
}

#[tokio::test]
async fn a_shared_process_that_dies_mid_call() {
    let house = house().await;
    let (one, two) = (house.enter("one").await, house.enter("two").await);
    let mut streams = [stream_of(&house, &one).await, stream_of(&house, &two).await];
    let before = pid(&one).await;
    let subscribe = r#"{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"file:///a"}}"#;
    assert_eq!(one.send(subscribe).await.status, 200);
    let waiting = sending(&one, hold("7", "1", "one"));
    house.holds(1).await;
    let killer = two.send(call("7", "die", "{}")).await;
    let victim = waiting.await.unwrap();
    for got in [&killer, &victim] {
        assert_eq!((code(got), &got.json()["id"]), (-32603, &json!(7)), "{}", got.text());
        assert!(got.text().contains("ended before it answered"), "{}", got.text());
    }
    let outcomes: Vec<Outcome> = house.served.journal.all().iter().filter_map(|draft| draft.outcome).collect();
    assert_eq!(outcomes, [Outcome::Answered, Outcome::Uncertain, Outcome::Uncertain]);
    // The sessions live on, with another process that knows what the old one was told.
    let after = pid(&two).await;
    assert_ne!(before, after);
    assert_eq!(pid(&one).await, after);
    assert_eq!(house.received("initialize", 2).await.len(), 2);
    assert_eq!(house.received("resources/subscribe", 2).await[1]["params"]["uri"], "file:///a");
    for stream in &mut streams {
        assert_eq!(method_of(&read_messages(stream, 1).await[0]), "notifications/tools/list_changed");
    }
    assert_eq!(house.served.door.sessions(), 2);
}

#[tokio::test]
async fn a_new_process_is_subscribed_to_all_that_the_old_one_was() {
    let house = house().await;
    let one = house.enter("one").await;
    for id in 0..100 {
        let subscribe = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/subscribe","params":{{"uri":"file:///{id}"}}}}"#
        );
        assert_eq!(one.send(subscribe).await.json()["result"], json!({}));
    }
    assert_eq!(code(&one.send(call("200", "die", "{}")).await), -32603);
    pid(&one).await;
    let all = house.received("resources/subscribe", 200).await;
    let again: std::collections::BTreeSet<String> =
        all[100..].iter().map(|asked| asked["params"]["uri"].to_string()).collect();
    assert_eq!(again.len(), 100, "more than are under way to it at once");
}

#[tokio::test]
async fn a_shared_process_that_keeps_dying_is_waited_for() {
    let never = Duration::from_secs(3600);
    let restarts = Restarts { first: never, most: never, well_after: never };
    let house = house_with(McpLimits { restarts, ..quick() }, &[]).await;
    let one = house.enter("one").await;
    for id in ["1", "2"] {
        assert_eq!(code(&one.send(call(id, "die", "{}")).await), -32603);
    }
    let got = one.send(call("3", "pid", "{}")).await;
    assert_eq!((got.status, got.header("retry-after")), (503, Some("3600")), "{}", got.text());
    assert_eq!(got.json()["id"], 3);
    let got = house.served.post().send(INITIALIZE).await;
    assert_eq!((got.status, got.header("retry-after")), (503, Some("3600")), "{}", got.text());
    assert!(got.text().contains("keeps ending"), "{}", got.text());
    assert_eq!(house.received("initialize", 2).await.len(), 2);
    let outcomes: Vec<Outcome> = house.served.journal.all().iter().filter_map(|draft| draft.outcome).collect();
    assert_eq!(outcomes, [Outcome::Uncertain, Outcome::Uncertain, Outcome::Failed], "nothing was sent the last time");
}

#[tokio::test]
async fn a_process_of_another_revision_ends_the_sessions_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let script = format!(
        "if [ -e {0} ]; then export REVISION=2025-03-26; fi; touch {0}; exec python3 {1}",
        folder.path().join("again").display(),
        python_server().display()
    );
    let environment = [("RECORD".to_owned(), record.to_str().unwrap().to_owned())];
    let upstream = Upstream::stdio("python", "sh", vec!["-c".to_owned(), script], environment).unwrap().sharing(true);
    let house = House { served: Served::new([upstream], quick()).await, record, _folder: folder };
    let one = house.enter("one").await;
    assert_eq!(code(&one.send(call("1", "die", "{}")).await), -32603);
    assert_eq!(one.send(call("2", "pid", "{}")).await.status, 404, "the client has to begin anew");
    let got = house.served.post().send(INITIALIZE).await;
    assert_eq!(got.json()["result"]["protocolVersion"], "2025-03-26");
}

#[tokio::test]
async fn odd_lines_of_a_shared_process_reach_nobody() {
    let house = house_with(McpLimits { message: 100_000, ..quick() }, &[]).await;
    let (one, two) = (house.enter("one").await, house.enter("two").await);
    let waiting = sending(&two, hold("1", "1", "two"));
    house.holds(1).await;
    assert_eq!(text(&one.send(call("1", "junk", "{}")).await), "done");
    assert_eq!(text(&one.send(call("2", "other", "{}")).await), "done");
    assert_eq!(text(&one.send(call("3", "twice", "{}")).await), "one");
    // Two wait, and the number at the beginning says whose answer it was.
    for (id, tool, arguments) in [("4", "malformed", "{}"), ("6", "huge", r#"{"size":1000000}"#)] {
        let got = one.send(call(id, tool, arguments)).await;
        assert_eq!((code(&got), got.json()["id"].to_string()), (-32603, id.to_owned()), "{tool}: {}", got.text());
    }
    assert!(!waiting.is_finished());
    // An answer under a number that nobody has now, or ever had.
    for number in ["1", "999", "-1", "1e3", "\"2\"", "null"] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{"content":[]}}}}"#);
        let line =
            format!("{line}\n{}", r#"{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"own"}]}}"#);
        assert_eq!(text(&one.send(call("7", "raw", &json!({ "line": line }).to_string())).await), "own", "{number}");
    }
    assert_eq!(text(&one.send(call("8", "release", "{}")).await), "done");
    assert!(waiting.await.unwrap().text().contains("two"));
}

#[tokio::test]
async fn an_unreadable_line_is_never_answered() {
    let house = house().await;
    let one = house.enter("one").await;
    assert_eq!(text(&one.send(call("1", "junk", "{}")).await), "done");
    let line = format!(
        "{}\n{}",
        "{\"id\":", r#"{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"own"}]}}"#
    );
    // The half of a message may have been its answer.
    let got = one.send(call("2", "raw", &json!({ "line": line }).to_string())).await;
    assert_eq!(code(&got), -32603, "{}", got.text());
    assert_eq!(text(&one.send(call("3", "echo", r#"{"text":"on"}"#)).await), "on");
    assert_eq!(house.methods(), ["initialize", "notifications/initialized", "tools/call", "tools/call", "tools/call"]);
}

#[tokio::test]
async fn a_line_of_100_mb_fails_the_request_it_answers_and_no_other() {
    let house =
        house_with(McpLimits { message: 1_000_000, first_byte_wait: Duration::from_secs(60), ..quick() }, &[]).await;
    let (one, two) = (house.enter("one").await, house.enter("two").await);
    let waiting = sending(&two, hold("1", "1", "two"));
    house.holds(1).await;
    let got = one.send(call("1", "flood", r#"{"mebibytes":100}"#)).await;
    assert!(got.text().contains("too large") && code(&got) == -32603, "{}", got.text());
    assert_eq!(text(&one.send(call("2", "release", "{}")).await), "done");
    assert!(waiting.await.unwrap().text().contains("two"));
}

#[tokio::test]
async fn a_shared_process_that_never_answers() {
    let house = house().await;
    let one = house.enter("one").await;
    let got = one.send(call("1", "silence", "{}")).await;
    assert!(got.text().contains("did not answer in time") && code(&got) == -32603, "{}", got.text());
    assert_eq!(house.received("notifications/cancelled", 1).await.len(), 1);
    assert_eq!(text(&one.send(call("2", "echo", r#"{"text":"on"}"#)).await), "on");
}

#[tokio::test]
async fn a_shared_process_that_floods_standard_error() {
    let house = house().await;
    let one = house.enter("one").await;
    assert_eq!(text(&one.send(call("1", "shout", "{}")).await), "done");
}

#[tokio::test]
async fn a_shared_process_that_does_not_read_is_ended() {
    let house = house_with(McpLimits { idle_wait: Duration::from_millis(500), ..quick() }, &[]).await;
    let one = house.enter("one").await;
    let before = pid(&one).await;
    assert_eq!(text(&one.send(call("2", "deaf", "{}")).await), "done");
    // More than a pipe holds.
    let big = json!({ "text": "x".repeat(1_000_000) }).to_string();
    let got = one.send(call("3", "echo", &big)).await;
    assert_eq!(code(&got), -32603, "{}", got.text());
    gone(&before).await;
    assert_ne!(pid(&one).await, before);
}

#[tokio::test]
async fn a_shared_process_that_ignores_sigterm_ends_with_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let script = format!("trap '' TERM; python3 {}; sleep 600", python_server().display());
    let environment = [("RECORD".to_owned(), record.to_str().unwrap().to_owned())];
    let upstream = Upstream::stdio("python", "sh", vec!["-c".to_owned(), script], environment).unwrap().sharing(true);
    let house = House { served: Served::new([upstream], quick()).await, record, _folder: folder };
    let one = house.enter("one").await;
    let waiting = sending(&one, hold("7", "1", "one"));
    house.holds(1).await;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid(&one).await)).unwrap();
    let parent = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().to_owned();
    house.served.door.close(Duration::from_secs(10)).await;
    gone(&parent).await;
    assert_eq!(code(&waiting.await.unwrap()), -32603);
    assert_eq!(house.served.post().send(INITIALIZE).await.status, 503, "the door is closed");
}

#[tokio::test]
async fn a_shared_process_that_cannot_be_initialised() {
    for (script, text) in [
        ("exit 0", "ended before it was ready"),
        ("exec sleep 600", "not ready in time"),
        (r#"read line; echo '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}'; exec sleep 600"#, "refused"),
        (
            r#"read line; echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"1","capabilities":{}}}'; exec sleep 600"#,
            "no revision",
        ),
        (r#"read line; echo '{"jsonrpc":"2.0","id":1,"result":'; exec sleep 600"#, "ended before"),
    ] {
        let upstream =
            Upstream::stdio("odd", "sh", vec!["-c".to_owned(), script.to_owned()], []).unwrap().sharing(true);
        let limits = McpLimits { first_byte_wait: Duration::from_secs(1), ..quick() };
        let served = Served::new([upstream], limits).await;
        let got = served.post().send(INITIALIZE).await;
        assert_eq!((got.status, served.door.sessions()), (503, 0), "{script}: {}", got.text());
        assert!(got.text().contains(text), "{script}: {}", got.text());
        let counted =
            || [r#"event="failed"} 1"#, r#"event="not_started"} 1"#].iter().any(|line| served.metrics().contains(line));
        for _ in 0..500 {
            if counted() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(counted(), "{script}: {}", served.metrics());
    }
}

#[tokio::test]
async fn an_idle_shared_process_is_ended_and_started_again() {
    let house = house_with(McpLimits { session_idle: Duration::from_millis(300), ..quick() }, &[]).await;
    let one = house.enter("one").await;
    let before = pid(&one).await;
    gone(&before).await;
    assert_ne!(pid(&house.enter("one").await).await, before);
    assert!(!house.served.metrics().contains(r#"event="failed""#));
}
