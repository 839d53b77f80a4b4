//! Child processes that speak the revision without sessions.

use std::time::Duration;

use portcullis_model::Outcome;
use serde_json::{Value, json};

use super::http::{stateless, stateless_body};
use super::shared::*;
use super::support::*;
use crate::doors::mcp::McpLimits;
use crate::upstream::{Restarts, Upstream};

const STATELESS: &[(&str, &str)] = &[("ERA", "stateless")];

/// A request of this revision, its headers included.
fn request(house: &House, agent: &str, id: &str, method: &str, mut params: Value) -> (Ask, String) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for (name, value) in meta.as_object().unwrap() {
        params["_meta"][name] = value.clone();
    }
    let ask = house.served.post().with("authorization", &format!("Bearer {agent}"));
    let ask = ask.with("mcp-protocol-version", "2026-07-28").with("mcp-method", method);
    let ask = ask.with("mcp-name", params["name"].as_str().unwrap_or_default());
    (ask, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#))
}

async fn ask(house: &House, agent: &str, id: &str, tool: &str, arguments: Value) -> Got {
    let (ask, body) = request(house, agent, id, "tools/call", json!({ "name": tool, "arguments": arguments }));
    ask.send(body).await
}

fn holding(house: &House, agent: &str, id: &str, words: &str) -> tokio::task::JoinHandle<Got> {
    let params = json!({ "name": "hold", "arguments": { "text": words }, "_meta": { "progressToken": "tok" } });
    let (ask, body) = request(house, agent, id, "tools/call", params);
    tokio::spawn(async move { ask.send(body).await })
}

#[tokio::test]
async fn requests_without_a_session_go_to_one_process_of_the_tenant() {
    let house = house_with(quick(), STATELESS).await;
    let got = ask(&house, "one", "1", "pid", json!({})).await;
    assert_eq!((got.status, &got.json()["result"]["resultType"]), (200, &json!("complete")), "{}", got.text());
    assert_eq!(got.header("mcp-session-id"), None);
    let one = text(&got);
    assert_eq!(text(&ask(&house, "two", "1", "pid", json!({})).await), one);
    assert_ne!(text(&ask(&house, "other", "1", "pid", json!({})).await), one);
    // Portcullis has asked what it speaks, each process once.
    let probes = house.received("server/discover", 2).await;
    assert_eq!(probes.len(), 2);
    assert_eq!(probes[0]["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"], "portcullis");
    let (ask, body) = request(&house, "one", "\"d\"", "server/discover", json!({}));
    let got = ask.send(body).await.json();
    assert_eq!((&got["id"], &got["result"]["supportedVersions"][0]), (&json!("d"), &json!("2026-07-28")));
    assert_eq!(house.served.door.sessions(), 0);
}

#[tokio::test]
async fn a_process_need_not_be_shared_to_serve_this_revision() {
    let upstream = Upstream::stdio(
        "python",
        "python3",
        [python_server().display().to_string()],
        [("ERA".to_owned(), "stateless".to_owned())],
    );
    let house = House::of(Served::new([upstream.unwrap()], quick()).await);
    assert_eq!(text(&ask(&house, "one", "1", "echo", json!({ "text": "hello" })).await), "hello");
}

#[tokio::test]
async fn two_requests_with_the_same_id_and_token_never_meet_without_sessions() {
    let house = house_with(quick(), STATELESS).await;
    let first = holding(&house, "one", "7", "for one");
    house.holds(1).await;
    // The same agent may use an id twice at once: nothing connects its requests.
    let second = holding(&house, "one", "7", "for one again");
    house.holds(2).await;
    let third = holding(&house, "two", "7", "for two");
    house.holds(3).await;
    assert_eq!(text(&ask(&house, "two", "7", "release", json!({})).await), "done");
    for (got, words) in [(first, "for one"), (second, "for one again"), (third, "for two")] {
        let messages: Vec<Value> =
            got.await.unwrap().messages().iter().map(|message| serde_json::from_str(message).unwrap()).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert_eq!(messages[0]["params"]["progressToken"], "tok");
        assert_eq!((&messages[1]["id"], &messages[1]["result"]["content"][0]["text"]), (&json!(7), &json!(words)));
    }
}

#[tokio::test]
async fn a_look_of_ours_takes_nothing_from_the_only_client() {
    let house = house_with(quick(), STATELESS).await;
    let messages = ask(&house, "one", "1", "change and talk", json!({})).await.messages();
    assert_eq!(messages.len(), 62, "{messages:?}");
    assert_eq!(house.received("tools/list", 1).await.len(), 1);
}

#[tokio::test]
async fn a_look_that_is_given_up_is_taken_back_from_the_process() {
    let house = house_with(quick(), &[STATELESS, &[("NO_LIST", "1")]].concat()).await;
    let calling = {
        let (ask, body) =
            request(&house, "one", "1", "tools/call", json!({ "name": "change and talk", "arguments": {} }));
        tokio::spawn(async move { ask.send(body).await })
    };
    let look = house.received("tools/list", 1).await[0]["id"].clone();
    calling.abort();
    let taken_back = house.received("notifications/cancelled", 1).await;
    assert!(taken_back.iter().any(|message| message["params"]["requestId"] == look), "{taken_back:?}");
}

#[tokio::test]
async fn verdicts_take_effect_without_sessions() {
    let house = house_with(quick(), STATELESS).await;
    let denied = ask(&house, "one", "1", "echo", json!({ "text": "DENY" })).await;
    assert_eq!(denied.json()["result"]["isError"], true);
    assert_eq!(text(&ask(&house, "one", "1", "echo", json!({ "text": "a SECRET" })).await), "a [redacted]");
    assert_eq!(house.received("tools/call", 1).await.len(), 1);
    let lines = house.served.journal.lines();
    assert_eq!(lines, ["decision call deny -", "decision call redact -", "outcome result allow answered"]);
}

#[tokio::test]
async fn errors_have_their_http_status() {
    let house = house_with(quick(), STATELESS).await;
    let (ask, body) = request(&house, "one", "1", "no/such", json!({}));
    let got = ask.send(body).await;
    assert_eq!((got.status, code(&got)), (404, -32601));
    let (ask, body) = request(&house, "one", "1", "tools/list", json!({}));
    assert_eq!(ask.with("mcp-method", "other").send(body).await.status, 400, "headers are checked as ever");
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_its_request() {
    let house = house_with(quick(), STATELESS).await;
    let gone = holding(&house, "one", "7", "gone");
    house.holds(1).await;
    gone.abort();
    assert_eq!(house.served.journal.outcome().await, Outcome::Disconnected);
    let calls = house.received("tools/call", 1).await;
    assert_eq!(house.received("notifications/cancelled", 1).await[0]["params"]["requestId"], calls[0]["id"]);
}

#[tokio::test]
async fn subscriptions_are_streamed_under_the_clients_own_id() {
    let limits = McpLimits { keep_alive: Duration::from_millis(500), ..quick() };
    let patience = limits.first_byte_wait.max(limits.idle_wait);
    let house = house_with(limits, STATELESS).await;
    let listen =
        |agent: &str, id: &str| request(&house, agent, id, "subscriptions/listen", json!({ "notifications": {} }));
    let mut streams = Vec::new();
    for (agent, id) in [("one", "\"l\""), ("two", "\"l\""), ("two", "5")] {
        let (ask, body) = listen(agent, id);
        let mut stream = ask.open(body).await.into_body();
        let first: Value = serde_json::from_str(&read_messages(&mut stream, 1).await[0]).unwrap();
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].to_string(), id);
        streams.push((stream, id));
    }
    // Quiet for longer than an answer may take.
    tokio::time::sleep(patience + Duration::from_secs(1)).await;
    assert_eq!(text(&ask(&house, "one", "1", "change", json!({})).await), "done");
    for (stream, id) in &mut streams {
        let changed: Value = serde_json::from_str(&read_messages(stream, 1).await[0]).unwrap();
        assert_eq!(changed["method"], "notifications/tools/list_changed");
        assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].to_string(), *id);
    }
    let listening = house.received("subscriptions/listen", 3).await;
    drop(streams.remove(0));
    assert_eq!(house.received("notifications/cancelled", 1).await[0]["params"]["requestId"], listening[0]["id"]);
}

#[tokio::test]
async fn a_process_with_sessions_is_found_out_once() {
    let house = house_with(quick(), &[]).await;
    for _ in 0..3 {
        let got = ask(&house, "one", "1", "pid", json!({})).await;
        assert_eq!((got.status, code(&got)), (400, -32022), "{}", got.text());
        let data = &got.json()["error"]["data"];
        assert_eq!(data["requested"], "2026-07-28");
        assert_eq!(data["supported"], json!(["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]));
    }
    let discover = stateless_body(2, "server/discover", "");
    let got =
        stateless(&house.served, "server/discover", None).with("authorization", "Bearer one").send(discover).await;
    assert_eq!((got.status, code(&got)), (404, -32601), "clients of both eras ask for a session then");
    assert_eq!(house.methods(), ["server/discover"]);
    // It is served with sessions, and nothing is held against it.
    let one = house.enter("one").await;
    assert_eq!(text(&one.send(call("1", "echo", r#"{"text":"hello"}"#)).await), "hello");
    assert!(house.served.journal.lines().len() == 2, "{:?}", house.served.journal.lines());
    assert!(!house.served.metrics().contains(r#"event="failed""#));
}

#[tokio::test]
async fn a_process_that_ends_at_the_question_or_is_silent_is_taken_for_one_with_sessions() {
    for script in ["read line; exit 1", "exec sleep 600"] {
        let upstream = Upstream::stdio("odd", "sh", vec!["-c".to_owned(), script.to_owned()], []).unwrap();
        let never = Duration::from_secs(3600);
        let restarts = Restarts { first: never, most: never, well_after: never };
        let limits = McpLimits { first_byte_wait: Duration::from_secs(1), restarts, ..quick() };
        let house = House::of(Served::new([upstream], limits).await);
        for _ in 0..3 {
            assert_eq!(code(&ask(&house, "one", "1", "pid", json!({})).await), -32022, "{script}");
        }
        let metrics = house.served.metrics();
        assert!(metrics.contains(r#"event="started"} 1"#) && !metrics.contains(r#"event="failed""#), "{metrics}");
    }
}

#[tokio::test]
async fn a_stateless_process_that_dies_mid_call() {
    let house = house_with(quick(), STATELESS).await;
    let before = text(&ask(&house, "one", "1", "pid", json!({})).await);
    let waiting = holding(&house, "two", "7", "two");
    house.holds(1).await;
    assert_eq!(code(&ask(&house, "one", "7", "die", json!({})).await), -32603);
    assert_eq!(code(&waiting.await.unwrap()), -32603);
    let outcomes: Vec<Outcome> = house.served.journal.all().iter().filter_map(|draft| draft.outcome).collect();
    assert_eq!(outcomes, [Outcome::Answered, Outcome::Uncertain, Outcome::Uncertain]);
    assert_ne!(text(&ask(&house, "one", "1", "pid", json!({})).await), before);
}

#[tokio::test]
async fn a_stateless_process_that_keeps_dying_is_waited_for() {
    let never = Duration::from_secs(3600);
    let restarts = Restarts { first: never, most: never, well_after: never };
    let house = house_with(McpLimits { restarts, ..quick() }, STATELESS).await;
    for _ in 0..2 {
        assert_eq!(code(&ask(&house, "one", "1", "die", json!({})).await), -32603);
    }
    let got = ask(&house, "one", "1", "pid", json!({})).await;
    assert_eq!((got.status, got.header("retry-after")), (503, Some("3600")), "{}", got.text());
}

#[tokio::test]
async fn odd_lines_of_a_stateless_process_reach_nobody() {
    let house = house_with(McpLimits { message: 100_000, ..quick() }, STATELESS).await;
    let waiting = holding(&house, "two", "7", "two");
    house.holds(1).await;
    assert_eq!(text(&ask(&house, "one", "1", "junk", json!({})).await), "done");
    assert_eq!(text(&ask(&house, "one", "1", "other", json!({})).await), "done");
    assert_eq!(text(&ask(&house, "one", "1", "twice", json!({})).await), "one");
    for (tool, arguments) in [("malformed", json!({})), ("huge", json!({ "size": 1_000_000 }))] {
        assert_eq!(code(&ask(&house, "one", "1", tool, arguments).await), -32603, "{tool}");
    }
    // Whose is a message that names nobody? Two wait, so it is nobody's.
    let got = ask(&house, "one", "1", "tell", json!({})).await;
    assert_eq!((got.header("content-type"), text(&got).as_str()), (Some("application/json"), "done"));
    assert_eq!(text(&ask(&house, "one", "8", "release", json!({})).await), "done");
    assert!(!waiting.await.unwrap().text().contains("told"));
}

#[tokio::test]
async fn nothing_is_asked_of_a_client_without_a_session() {
    let house = house_with(quick(), STATELESS).await;
    let answers: Value = serde_json::from_str(&text(&ask(&house, "one", "1", "question", json!({})).await)).unwrap();
    assert_eq!((&answers[0]["error"]["code"], &answers[3]["result"]), (&json!(-32601), &json!({})));
}
