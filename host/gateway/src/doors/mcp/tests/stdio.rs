//! Child processes behind HTTP.

use std::time::Duration;

use portcullis_model::Outcome;

use super::support::*;
use crate::doors::mcp::McpLimits;
use crate::upstream::Upstream;

fn python(environment: &[(&str, &str)]) -> Upstream {
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Upstream::stdio("python", "python3", [python_server().display().to_string()], environment).unwrap()
}

async fn serve(limits: McpLimits) -> (Served, String) {
    let served = Served::new([python(&[])], limits).await;
    let session = served.initialize().await.expect("every stdio session has an id");
    (served, session)
}

fn text(got: &Got) -> String {
    let answer = got.json();
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn an_ordinary_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let served = Served::new([python(&[("RECORD", record.to_str().unwrap())])], quick()).await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    assert_eq!(post.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await.status, 202);
    let request = "{\"id\":1,\n  \"jsonrpc\":\"2.0\",\"params\":{\"arguments\":{\"text\":\"\\u0041\",\"n\":1e400},\"name\":\"echo\", \"_meta\":{\"x\":{}}},\r\n\"method\":\"tools/call\"}";
    let got = post.send(request).await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")));
    assert_eq!(text(&got), "A");
    assert_eq!(served.journal.lines(), ["decision call allow -", "outcome result allow answered"]);
    let recorded = std::fs::read_to_string(&record).unwrap();
    let line = recorded.lines().nth(2).unwrap();
    assert_eq!(line, request.replace(['\r', '\n'], " "), "the same bytes on one line");
    assert_eq!(served.post().send(call("1", "echo", "{}")).await.status, 400, "a session is needed");
}

#[tokio::test]
async fn answers_are_the_same_bytes() {
    let (served, session) = serve(quick()).await;
    let post = served.post().session(&session);
    let line =
        r#"{ "result":{"content":[],"big":123456789012345678901234567890,"f":1.0}, "id":ID,"x":"é", "jsonrpc":"2.0"}"#;
    let arguments = serde_json::json!({ "line": line }).to_string();
    let got = post.send(call("\"i\"", "raw", &arguments)).await;
    assert_eq!(got.text(), line.replace("ID", "\"i\""));
}

#[tokio::test]
async fn verdicts_take_effect() {
    let served = Served::new([python(&[("DESCRIPTION", "a SECRET tool")])], quick()).await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let denied = post.send(call("1", "echo", r#"{"text":"DENY"}"#)).await;
    assert_eq!(denied.json()["result"]["isError"], true);
    let parked = post.send(call("2", "echo", r#"{"text":"REVIEW"}"#)).await;
    assert_eq!(parked.json()["error"]["code"], -32011);
    let redacted = post.send(call("3", "echo", r#"{"text":"a SECRET"}"#)).await;
    assert_eq!(text(&redacted), "a [redacted]");
    let list = post.send(r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#).await;
    assert_eq!(list.json()["result"]["tools"][0]["description"], "a [redacted] tool");
}

#[tokio::test]
async fn each_session_has_a_process_of_its_own() {
    let (served, one) = serve(quick()).await;
    let two = served.initialize().await.unwrap();
    let pid = async |session: &str| text(&served.post().session(session).send(call("1", "pid", "{}")).await);
    assert_ne!(pid(&one).await, pid(&two).await);
    assert_eq!(pid(&one).await, pid(&one).await);
    let foreign = served.post().session(&one).with("authorization", "Bearer somebody");
    assert_eq!(foreign.send(call("1", "pid", "{}")).await.status, 404);
}

#[tokio::test]
async fn the_environment_comes_from_the_configuration() {
    let served = Served::new([python(&[("TOKEN", "given")])], quick()).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "environment", "{}")).await;
    let environment: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text(&got)).unwrap();
    assert_eq!(environment["TOKEN"], "given");
    // Launchers of python3 may add variables of their own; none of ours comes through.
    let leaked: Vec<&String> = environment.keys().filter(|name| name.starts_with("CARGO")).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there was something to leak");
}

#[tokio::test]
async fn progress_and_questions_come_on_the_calls_own_stream() {
    let (served, session) = serve(quick()).await;
    let post = served.post().session(&session);
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":"tok"}}}"#;
    let got = post.send(request).await;
    assert_eq!(got.header("content-type"), Some("text/event-stream"));
    let methods: Vec<String> = got.messages().iter().map(|message| method_of(message)).collect();
    assert_eq!(methods, ["notifications/progress", "notifications/progress", ""]);

    let mut body = post.open(call("2", "ask", "{}")).await.into_body();
    let asked = read_messages(&mut body, 1).await;
    assert!(asked[0].contains("elicitation/create"), "{}", asked[0]);
    let answer = r#"{"jsonrpc":"2.0","id":"question","result":{"action":"accept"}}"#;
    assert_eq!(post.send(answer).await.status, 202);
    let end = read_messages(&mut body, 1).await;
    assert!(end[0].contains("accept"), "{}", end[0]);
}

#[tokio::test]
async fn a_child_is_told_that_its_question_was_refused() {
    let (served, session) = serve(quick()).await;
    let got = served.post().session(&session).send(call("1", "ask", r#"{"message":["DE","NY"]}"#)).await;
    assert!(text(&got).contains("-32010") && !text(&got).contains("DENY"), "{}", got.text());
}

#[tokio::test]
async fn what_belongs_to_no_request_comes_on_the_stream_or_waits_for_it() {
    let (served, session) = serve(quick()).await;
    let post = served.post().session(&session);
    assert_eq!(text(&post.send(call("1", "later", "{}")).await), "done");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let get = served.request("GET", "/mcp").session(&session);
    let mut body = get.open("").await.into_body();
    let waited = read_messages(&mut body, 2).await;
    assert!(waited[0].contains("\"data\": 1") && waited[1].contains("\"data\": 2"), "{waited:?}");
    assert_eq!(get.send("").await.status, 409, "one stream per session");
    assert_eq!(text(&post.send(call("2", "later", "{}")).await), "done");
    assert_eq!(read_messages(&mut body, 2).await.len(), 2);
    drop(body);
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(get.open("").await);
}

#[tokio::test]
async fn what_waits_for_the_stream_is_bounded_in_bytes() {
    let (served, session) = serve(McpLimits { message: 4_000, ..quick() }).await;
    let post = served.post().session(&session);
    assert_eq!(text(&post.send(call("1", "later", r#"{"count":10,"size":1000}"#)).await), "done");
    let lost = || served.door.counters().undelivered.get();
    for _ in 0..500 {
        if lost() == 7 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(lost(), 7, "three have less than 4,000 bytes");
    let mut body = served.request("GET", "/mcp").session(&session).open("").await.into_body();
    let waited = read_messages(&mut body, 3).await;
    for (message, step) in waited.iter().zip(8..) {
        assert!(message.contains(&format!("\"data\": {step},")), "{message}");
    }
}

/// The look's own answer comes behind what the client has not been sent yet.
#[tokio::test]
async fn a_look_at_a_changed_list_does_not_wait_for_itself() {
    let (served, session) = serve(quick()).await;
    let begun = std::time::Instant::now();
    let messages = served.post().session(&session).send(call("1", "change and talk", "{}")).await.messages();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(messages.len(), 62);
    assert!(messages[60].contains("list_changed") && messages[61].contains("done"), "{messages:?}");
    assert!(served.journal.lines().iter().any(|line| line.starts_with("decision listing")));
}

#[tokio::test]
async fn a_list_that_changed_is_looked_at_before_the_client_is_told() {
    let (served, session) = serve(quick()).await;
    let mut stream = served.request("GET", "/mcp").session(&session).open("").await.into_body();
    assert_eq!(text(&served.post().session(&session).send(call("1", "later change", "{}")).await), "done");
    let told = read_messages(&mut stream, 1).await;
    assert_eq!(method_of(&told[0]), "notifications/tools/list_changed");
    assert_eq!(served.journal.lines().last().unwrap(), "decision listing allow -", "policy saw the list first");
}

#[tokio::test]
async fn a_list_that_changed_during_a_call_is_looked_at_too() {
    let (served, session) = serve(quick()).await;
    let got = served.post().session(&session).send(call("1", "change", "{}")).await;
    assert_eq!(got.messages().len(), 2, "{}", got.text());
    let lines = served.journal.lines();
    assert!(lines.contains(&"decision listing allow -".to_owned()), "policy saw the list: {lines:?}");
}

#[tokio::test]
async fn a_session_whose_beginning_is_refused_here_leaves_no_child() {
    let served = Served::new([python(&[])], quick()).await;
    for message in [INITIALIZE.replace(r#""init""#, "1.5"), INITIALIZE.replace(r#""id""#, r#""x":"DENY","id""#)] {
        let got = served.post().send(message).await;
        assert!(got.json()["error"]["code"].is_i64() && got.header("mcp-session-id").is_none(), "{}", got.text());
        assert_eq!(served.door.sessions(), 0);
    }
}

#[tokio::test]
async fn a_child_that_dies() {
    let (served, session) = serve(quick()).await;
    let post = served.post().session(&session);
    let got = post.send(call("1", "die", "{}")).await;
    assert_eq!((got.json()["error"]["code"].as_i64(), &got.json()["id"]), (Some(-32603), &1.into()));
    assert_eq!(served.journal.outcome().await, Outcome::Uncertain);
    assert_eq!(post.send(call("2", "pid", "{}")).await.status, 404, "the session ended with it");
    assert!(served.initialize().await.is_some());
}

#[tokio::test]
async fn a_child_that_cannot_start() {
    let upstream = Upstream::stdio("none", "/no/such/program", [], []).unwrap();
    let served = Served::new([upstream], quick()).await;
    let got = served.post().send(INITIALIZE).await;
    assert_eq!(got.status, 503);
    assert!(!got.text().contains("/no/such"), "paths are not the client's business: {}", got.text());
    assert_eq!(served.door.sessions(), 0);
}

#[tokio::test]
async fn odd_lines_never_reach_the_client() {
    let (served, session) = serve(McpLimits { message: 100_000, ..quick() }).await;
    let post = served.post().session(&session);
    assert_eq!(text(&post.send(call("1", "junk", "{}")).await), "done");
    assert_eq!(text(&post.send(call("2", "other", "{}")).await), "done");
    assert_eq!(text(&post.send(call("3", "twice", "{}")).await), "one");
    for (id, tool, arguments) in [("4", "malformed", "{}"), ("6", "huge", r#"{"size":1000000}"#)] {
        let got = post.send(call(id, tool, arguments)).await;
        assert_eq!(got.json()["error"]["code"], -32603, "{tool}: {}", got.text());
    }
    assert_eq!(text(&post.send(call("5", "echo", r#"{"text":"still here"}"#)).await), "still here");
    let failed = served.journal.lines().iter().filter(|line| line.ends_with("failed")).count();
    assert_eq!(failed, 2, "{:?}", served.journal.lines());
}

#[tokio::test]
async fn a_cancelled_calls_late_result_is_no_other_requests_answer() {
    let (served, session) = serve(quick()).await;
    let post = served.post().session(&session);
    let slow = post.clone();
    let slow = tokio::spawn(async move { slow.send(call("5", "late", "{}")).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#;
    assert_eq!(post.send(cancel).await.status, 202);
    // The late result would be taken for the answer to this one, whose answers nobody looks at.
    let got = post.send(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await;
    assert_eq!(got.json()["error"]["code"], -32600, "{}", got.text());
    assert!(!got.text().contains("SECRET"));
    assert_eq!(text(&post.send(call("6", "echo", r#"{"text":"still here"}"#)).await), "still here");
    slow.abort();
}

#[tokio::test]
async fn an_unreadable_answer_is_matched_by_its_beginning() {
    let (served, session) = serve(McpLimits { message: 100_000, ..quick() }).await;
    let post = served.post().session(&session);
    let waiting = post.clone();
    let waiting = tokio::spawn(async move { waiting.send(call("10", "silence", "{}")).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let got = post.send(call("1", "huge", r#"{"size":1000000}"#)).await;
    assert_eq!((got.json()["error"]["code"].as_i64(), &got.json()["id"]), (Some(-32603), &1.into()));
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn a_child_that_never_answers_or_does_not_read() {
    let (served, session) = serve(quick()).await;
    let post = served.post().session(&session);
    let own = text(&post.send(call("1", "pid", "{}")).await);
    let got = post.send(call("2", "silence", "{}")).await;
    assert!(got.text().contains("did not answer in time"), "{}", got.text());
    assert_eq!(text(&post.send(call("3", "deaf", "{}")).await), "done");
    // More than a pipe holds.
    let big = serde_json::json!({ "text": "x".repeat(1_000_000) }).to_string();
    let got = post.send(call("4", "echo", &big)).await;
    assert_eq!(got.json()["error"]["code"], -32603, "{}", got.text());
    assert_eq!(served.request("DELETE", "/mcp").session(&session).send("").await.status, 200);
    gone(&own).await;
}

#[tokio::test]
async fn much_standard_error_blocks_nothing() {
    let (served, session) = serve(quick()).await;
    assert_eq!(text(&served.post().session(&session).send(call("1", "shout", "{}")).await), "done");
}

#[tokio::test]
async fn a_client_that_goes_away_cancels() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let served = Served::new([python(&[("RECORD", record.to_str().unwrap())])], quick()).await;
    let session = served.initialize().await.unwrap();
    let ask = served.post().session(&session);
    let calling = tokio::spawn(async move { ask.send(call("\"gone\"", "silence", "{}")).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    calling.abort();
    assert_eq!(served.journal.outcome().await, Outcome::Disconnected);
    for _ in 0..100 {
        let recorded = std::fs::read_to_string(&record).unwrap();
        if recorded.contains("notifications/cancelled") {
            assert!(recorded.contains(r#""requestId":"gone""#), "{recorded}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the child was not told");
}

#[tokio::test]
async fn cancelling_ends_the_exchange() {
    let (served, session) = serve(quick()).await;
    let ask = served.post().session(&session);
    let calling = tokio::spawn(async move { ask.send(call("1", "silence", "{}")).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(served.post().session(&session).send(cancel).await.status, 202);
    assert_eq!(calling.await.unwrap().json()["error"]["message"], "the request was cancelled");
    assert_eq!(served.journal.outcome().await, Outcome::Cancelled);
}

#[tokio::test]
async fn a_client_that_cancels_is_still_told_of_a_changed_list() {
    let (served, session) = serve(quick()).await;
    let post = served.post().session(&session);
    // The next look has to wait.
    assert_eq!(post.send(call("1", "change", "{}")).await.messages().len(), 2);
    let ask = post.clone();
    let calling = tokio::spawn(async move { ask.send(call("2", "change and silence", "{}")).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#;
    assert_eq!(post.send(cancel).await.status, 202);
    let messages = calling.await.unwrap().messages();
    let [told, end] = messages.as_slice() else { panic!("{messages:?}") };
    assert!(told.contains("list_changed") && end.contains("the request was cancelled"), "{messages:?}");
}

async fn gone(pid: &str) {
    for _ in 0..200 {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("process {pid} still runs");
}

#[tokio::test]
async fn ending_a_session_ends_its_processes() {
    let (served, session) = serve(quick()).await;
    let post = served.post().session(&session);
    let own = text(&post.send(call("1", "pid", "{}")).await);
    let grandchild = text(&post.send(call("2", "spawn", "{}")).await);
    let waiting = post.clone();
    let waiting = tokio::spawn(async move { waiting.send(call("3", "sleep", r#"{"seconds":600}"#)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(served.request("DELETE", "/mcp").session(&session).send("").await.status, 200);
    assert_eq!(waiting.await.unwrap().json()["error"]["code"], -32603);
    gone(&own).await;
    gone(&grandchild).await;
    assert_eq!(post.send(call("4", "pid", "{}")).await.status, 404);
}

#[tokio::test]
async fn idle_sessions_and_a_closing_door_end_processes_too() {
    let (served, session) = serve(McpLimits { session_idle: Duration::from_millis(200), ..quick() }).await;
    let own = text(&served.post().session(&session).send(call("1", "pid", "{}")).await);
    gone(&own).await;

    let (served, session) = serve(quick()).await;
    let own = text(&served.post().session(&session).send(call("1", "pid", "{}")).await);
    served.door.close(Duration::from_secs(5)).await;
    gone(&own).await;
    assert_eq!(served.post().send(INITIALIZE).await.status, 503, "the door is closed");
}

#[tokio::test]
async fn one_agent_does_not_take_every_process() {
    let limits = McpLimits { children: 8, children_per_agent: 2, ..quick() };
    let served = Served::new([python(&[])], limits).await;
    served.initialize().await.unwrap();
    served.initialize().await.unwrap();
    assert_eq!(served.post().send(INITIALIZE).await.status, 503);
}

#[tokio::test]
async fn a_session_whose_beginning_nobody_waited_for_is_over() {
    let silent = Upstream::stdio("silent", "sleep", vec!["600".to_owned()], []).unwrap();
    let limits = McpLimits { children: 3, first_byte_wait: Duration::from_secs(60), ..quick() };
    let served = Served::new([silent], limits).await;
    for _ in 0..3 {
        let post = served.post();
        let asked = tokio::spawn(async move { post.send(INITIALIZE).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(served.door.sessions(), 1);
        asked.abort();
        for _ in 0..300 {
            if served.door.sessions() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(served.door.sessions(), 0, "the child of a caller that went away is kept");
    }
}

#[tokio::test]
async fn processes_are_bounded() {
    let served = Served::new([python(&[])], McpLimits { children: 2, ..quick() }).await;
    let one = served.initialize().await.unwrap();
    served.initialize().await.unwrap();
    assert_eq!(served.post().send(INITIALIZE).await.status, 503);
    served.request("DELETE", "/mcp").session(&one).send("").await;
    for _ in 0..100 {
        if served.post().send(INITIALIZE).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place was not given back");
}

#[tokio::test]
async fn a_process_that_is_being_ended_still_counts_for_its_agent() {
    let stubborn = vec!["-c".to_owned(), "trap '' TERM; sleep 600".to_owned()];
    let stubborn = Upstream::stdio("stubborn", "sh", stubborn, []).unwrap();
    let limits = McpLimits {
        children: 8,
        children_per_agent: 1,
        first_byte_wait: Duration::from_millis(100),
        stop_grace: Duration::from_millis(1500),
        ..quick()
    };
    let served = Served::new([stubborn], limits).await;
    let post = served.post();
    let first = tokio::spawn(async move { post.send(INITIALIZE).await });
    let answer = first.await.unwrap();
    assert_eq!(answer.json()["error"]["code"], -32603, "{}", answer.text());
    assert_eq!(served.post().send(INITIALIZE).await.status, 503);
}

#[tokio::test]
async fn a_session_whose_beginning_failed_is_over() {
    let error = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no such revision"}}"#;
    let script = vec!["-c".to_owned(), format!("read line; echo '{error}'; exec sleep 600")];
    let served = Served::new([Upstream::stdio("refuser", "sh", script, []).unwrap()], quick()).await;
    let open = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    let got = served.post().send(open).await;
    assert_eq!(got.json()["error"]["message"], "no such revision", "{}", got.text());
    assert_eq!(got.header("mcp-session-id"), None);
    for _ in 0..300 {
        if served.door.sessions() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the session was kept");
}
