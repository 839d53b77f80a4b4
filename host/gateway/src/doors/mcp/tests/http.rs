//! HTTP on both sides.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::BodyExt as _;
use portcullis_model::{Decision, Door, EntryKind, Outcome, Phase};

use super::support::*;
use crate::doors::mcp::McpLimits;
use crate::http::Mount as _;

/// An upstream with sessions whose tools answer with `result`, given as the raw JSON of the result.
async fn with_sessions(result: &'static str) -> (Mock, Served) {
    with_script(move |request| json(&answer_to(&request.body, result))).await
}

pub(super) fn answer_to(body: &str, result: &str) -> String {
    let request: serde_json::Value = serde_json::from_str(body).unwrap();
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request["id"])
}

/// An upstream with sessions and this answer to everything that needs one.
pub(super) async fn with_script(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> (Mock, Served) {
    with_limits(quick(), script).await
}

pub(super) async fn with_limits(
    limits: McpLimits,
    script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
) -> (Mock, Served) {
    let mock = Mock::new(move |request| match (request.method(), &*method_of(&request.body)) {
        ("POST", "initialize") => {
            reply(200, &[("content-type", "application/json"), ("mcp-session-id", "theirs")], INITIALIZED)
        }
        ("POST", method) if method.starts_with("notifications/") => reply(202, &[], ""),
        ("DELETE", _) => reply(200, &[], ""),
        _ => script(request),
    })
    .await;
    let served = Served::new([mock.upstream()], limits).await;
    (mock, served)
}

#[tokio::test]
async fn an_ordinary_conversation() {
    let (mock, served) = with_sessions(r#"{"content":[{"type":"text","text":"fine"}]}"#).await;
    let session = served.initialize().await.expect("a session");
    assert_ne!(session, "theirs", "the upstream's own id stays behind");
    let post = served.post().session(&session).with("mcp-protocol-version", "2025-06-18");
    let noted = post.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!((noted.status, noted.text()), (202, ""));
    let got = post.send(call("1", "echo", r#"{"text":"hello"}"#)).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.text(), r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"fine"}]}}"#);

    let received = mock.received();
    assert_eq!(received.len(), 3);
    for request in &received[1..] {
        assert_eq!(request.header("mcp-session-id"), Some("theirs"));
        assert_eq!(request.header("mcp-protocol-version"), Some("2025-06-18"));
    }
    assert_eq!(served.journal.lines(), ["decision call allow -", "outcome result allow answered"]);
    let entries = served.journal.all();
    assert_eq!(entries[0].id, entries[1].id, "both entries are about one call");
    assert_eq!(entries[0].door, Door::Mcp);
    assert_eq!(entries[0].tool.as_deref(), Some("echo"));
    assert_eq!(entries[0].upstream.as_deref(), Some("mock"));
    assert_eq!((&*entries[0].tenant, &*entries[0].agent), ("default", "agent"));
    assert!(entries[1].duration_ms.is_some());

    let ended = served.request("DELETE", "/mcp").session(&session).send("").await;
    assert_eq!(ended.status, 200);
    assert_eq!(mock.received().last().unwrap().header("mcp-session-id"), Some("theirs"));
    assert_eq!(post.send(call("2", "echo", "{}")).await.status, 404);
    assert_eq!(served.door.sessions(), 0);
}

#[tokio::test]
async fn what_no_policy_changes_is_the_same_bytes_both_ways() {
    // Key order, white space, numbers no double can hold, escapes, unknown members on every level.
    let request = "{ \"x-vendor\":{\"b\":[1,  2],\"a\":1e400}, \"params\" : {\"name\":\"t\\u006f\", \n \"arguments\":{\"n\":12345678901234567890123456789.10,\"m\":-0.0,\"e\":1E+2,\"s\":\"\\u00e9\\/é\"},\"_meta\":{\"traceparent\":\"00\"}},\t\"method\":\"tools\\/call\",\"id\":\"\\u0031\",\"jsonrpc\":\"2.0\" }";
    let answer = "{\"result\": {\"structuredContent\":{\"z\":1.00,\"big\":98765432109876543210},  \"content\":[ {\"text\":\"\\ud83d\\ude00 ok\",\"type\":\"text\",\"annotations\":{\"odd\":1e-9}} ],\"x\":[]},\n\"id\":\"1\" ,\"jsonrpc\":\"2.0\", \"later\":0}";
    let (mock, served) = with_script(move |_| json(answer)).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(request).await;
    assert_eq!(got.text(), answer);
    assert_eq!(mock.received()[1].body, request);
    // The same through an event stream.
    let (mock, served) = with_script(move |_| {
        let lines: String = answer.split('\n').map(|line| format!("data: {line}\n")).collect();
        sse(&[&format!("id: e-1\n{lines}\n")])
    })
    .await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(request).await;
    assert_eq!(got.messages(), [answer]);
    assert!(got.text().contains("id: e-1\n"), "{}", got.text());
    assert_eq!(mock.received()[1].body, request);
}

#[tokio::test]
async fn members_that_json_rpc_does_not_know_are_inspected() {
    let (mock, served) = with_script(|request| match request.body.contains("quiet") {
        true => json(r#"{"jsonrpc":"2.0","id":2,"result":{"content":[]},"note":"DENY"}"#),
        false => json(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#),
    })
    .await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let beside = call("1", "t", "{}").replacen('{', r#"{"note":"DENY","#, 1);
    let got = post.send(beside).await;
    assert_eq!(got.json()["error"]["code"], -32010, "{}", got.text());
    assert_eq!(mock.received().len(), 1, "only initialize went out");
    let got = post.send(call("2", "quiet", "{}")).await;
    assert_eq!(got.json()["error"]["code"], -32603, "{}", got.text());
    assert!(!got.text().contains("DENY"));
}

#[tokio::test]
async fn words_in_progress_are_inspected() {
    let progress = |message: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"p","progress":1,"message":"{message}"}}}}"#
        )
    };
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
    let events = [progress("DENY"), progress("half done"), answer.to_owned()].map(|one| format!("data: {one}\n\n"));
    let (_mock, served) = with_script(move |_| sse(&events.each_ref().map(String::as_str))).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.messages(), [progress("half done").as_str(), answer]);
}

#[tokio::test]
async fn a_drain_waits_for_calls_without_a_session() {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
    let (mock, served) = with_script(move |_| {
        let mut steps = vec![Step::Pause(600)];
        steps.extend(json(answer));
        steps
    })
    .await;
    let ask = served.post();
    let calling = tokio::spawn(async move { ask.send(call("1", "t", "{}")).await });
    while mock.received().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    crate::http::Mount::drain(&served.door, Duration::from_secs(20)).await;
    assert_eq!(calling.await.unwrap().text(), answer);
    assert_eq!(served.journal.outcome().await, Outcome::Answered);
}

#[tokio::test]
async fn other_methods_and_answers_pass_as_they_are() {
    let (mock, served) = with_script(|request| match &*method_of(&request.body) {
        "" => reply(202, &[], ""),
        _ => json(r#"{"jsonrpc":"2.0", "id":5,"result":{"contents":[{"uri":"x","text":"as it is"}]}}"#),
    })
    .await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let read = r#"{"jsonrpc":"2.0","id":5,"method":"resources/read","params":{"uri":"file:///a"}}"#;
    let got = post.send(read).await;
    assert_eq!(got.text(), r#"{"jsonrpc":"2.0", "id":5,"result":{"contents":[{"uri":"x","text":"as it is"}]}}"#);
    assert_eq!(served.journal.lines(), ["decision call allow -", "outcome result allow answered"]);
    let answer = r#"{"jsonrpc":"2.0","id":"q","result":{"action":"accept" }}"#;
    assert_eq!(post.send(answer).await.status, 202);
    let bodies: Vec<String> = mock.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[1..], [read, answer]);
}

#[tokio::test]
async fn answers_that_a_model_reads_are_inspected_whatever_the_method() {
    for method in ["resources/read", "prompts/get", "completion/complete", "vendor/new"] {
        let (_mock, served) = with_script(|request| match &*method_of(&request.body) {
            "" => reply(202, &[], ""),
            _ if request.body.contains("first") => json(r#"{"jsonrpc":"2.0","id":1,"result":{"text":"a SECRET b"}}"#),
            _ if request.body.contains("second") => json(r#"{"jsonrpc":"2.0","id":2,"result":{"text":"DENY"}}"#),
            _ => json(r#"{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"SECRET"}}"#),
        })
        .await;
        let session = served.initialize().await.unwrap();
        let post = served.post().session(&session);
        let ask = |id: u32, what: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"what":"{what}"}}}}"#)
        };
        let got = post.send(ask(1, "first")).await;
        let text = if method == "vendor/new" { got.text().to_owned() } else { unmarked(got.text(), "redact") };
        assert_eq!(text, r#"{"jsonrpc":"2.0","id":1,"result":{"text":"a [redacted] b"}}"#, "{method}");
        let got = post.send(ask(2, "second")).await;
        assert_eq!(got.json()["error"]["code"], -32010, "{method}: {}", got.text());
        let got = post.send(ask(3, "third")).await;
        assert_eq!(got.json()["error"]["message"], "[redacted]", "{method}: {}", got.text());
    }
}

#[tokio::test]
async fn a_call_without_an_id_goes_nowhere() {
    let (mock, served) = with_sessions("{}").await;
    let session = served.initialize().await.unwrap();
    let before = mock.received().len();
    for message in [
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"sh","arguments":{"command":"DENY"}}}"#,
        r#"{"jsonrpc":"2.0","method":"resources/read","params":{"uri":"x"}}"#,
    ] {
        let got = served.post().session(&session).send(message).await;
        assert_eq!((got.status, got.json()["error"]["code"].as_i64()), (400, Some(-32600)), "{message}");
    }
    assert_eq!(mock.received().len(), before);
    assert_eq!(served.journal.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn an_error_without_an_id_is_inspected_as_the_answer_it_is() {
    for (text, expected) in [("SECRET", "[redacted]"), ("DENY", "Portcullis withheld")] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":-1,"message":"{text}"}}}}"#);
        let (_mock, served) = with_script(move |_| json(&body)).await;
        let session = served.initialize().await.unwrap();
        let got = served.post().session(&session).send(call("1", "t", "{}")).await;
        assert!(got.text().contains(expected) && !got.text().contains(text), "{}", got.text());
        assert_eq!(served.journal.lines().len(), 2, "{:?}", served.journal.lines());
    }
}

#[tokio::test]
async fn tasks_are_refused_since_their_results_come_another_way() {
    let (mock, served) = with_sessions("{}").await;
    let session = served.initialize().await.unwrap();
    let before = mock.received().len();
    for message in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{},"task":{"ttl":60000}}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"tasks/result","params":{"taskId":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":3,"method":"Tools/Call","params":{"name":"t","arguments":{"a":"DENY"}}}"#,
    ] {
        let got = served.post().session(&session).send(message).await;
        assert!(got.json()["error"]["code"].is_i64(), "{}", got.text());
    }
    assert_eq!(mock.received().len(), before);
}

#[tokio::test]
async fn a_denied_call_never_leaves() {
    let (mock, served) = with_sessions("{}").await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("\"a\"", "sh", r#"{"command":"DENY"}"#)).await;
    assert_eq!(got.status, 200);
    let answer = got.json();
    assert_eq!(answer["id"], "a");
    assert_eq!(answer["result"]["isError"], true);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("refused this call"));
    assert_eq!(answer["result"]["_meta"]["portcullis/decision"], "deny");
    assert_eq!(answer["result"]["_meta"]["portcullis/codes"][0], "word");
    assert_eq!(answer["result"]["_meta"]["portcullis/id"], served.journal.all()[0].id.to_string());
    assert_eq!(mock.received().len(), 1, "only initialize reached the upstream");
    assert_eq!(served.journal.lines(), ["decision call deny -"]);
}

#[tokio::test]
async fn a_redacted_call_leaves_with_other_arguments_only() {
    let (mock, served) = with_sessions(r#"{"content":[]}"#).await;
    let session = served.initialize().await.unwrap();
    let request = "{\"method\":\"tools/call\", \"params\":{\"arguments\": {\"k\":\"a SECRET b\",\"n\":1.0} ,\"name\":\"t\"},\"id\":9,\"jsonrpc\":\"2.0\"}";
    served.post().session(&session).send(request).await;
    assert_eq!(mock.received()[1].body, request.replace("SECRET", "[redacted]"));
    assert_eq!(served.journal.lines()[0], "decision call redact -");
}

#[tokio::test]
async fn results_are_redacted_in_both_forms() {
    let result =
        r#"{ "content":[{"type":"text","text":"the SECRET \u0041"}],"structuredContent":{"k":"SECRET","n":1.50} }"#;
    let (_mock, served) = with_sessions(result).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    // A string that changes is written anew; everything around it stays.
    let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)
        .replace("SECRET \\u0041", "[redacted] A")
        .replace("SECRET", "[redacted]");
    assert_eq!(unmarked(got.text(), "redact"), expected);
    assert_eq!(served.journal.lines()[1], "outcome result redact answered");

    let (_mock, served) = with_script(move |request| {
        let answer = answer_to(&request.body, result);
        sse(&["id: 1\nretry: 10\ndata:\n\n", ": ping\n\n", &format!("event: message\nid: 2\ndata: {answer}\n\n")])
    })
    .await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.header("content-type"), Some("text/event-stream"));
    assert_eq!(got.header("x-accel-buffering"), Some("no"));
    assert_eq!(got.messages().iter().map(|text| unmarked(text, "redact")).collect::<Vec<_>>(), [expected]);
    assert!(got.text().starts_with("id: 1\nretry: 10\ndata: \n\n:\n\nevent: message\nid: 2\n"), "{}", got.text());
}

#[tokio::test]
async fn a_denied_result_is_withheld_and_so_is_an_error() {
    for body in [r#""result":{"content":[{"type":"text","text":"DENY"}]}"#, r#""error":{"code":-1,"message":"DENY"}"#] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#);
        let (_mock, served) = with_script(move |_| json(&answer)).await;
        let session = served.initialize().await.unwrap();
        let got = served.post().session(&session).send(call("1", "t", "{}")).await;
        assert!(!got.text().contains("DENY"));
        assert_eq!(got.json()["result"]["isError"], true);
        assert!(got.json()["result"]["content"][0]["text"].as_str().unwrap().contains("withheld the result"));
        assert!(served.journal.lines()[1].starts_with("outcome result deny"), "{:?}", served.journal.lines());
    }
}

#[tokio::test]
async fn a_failed_tool_is_recorded_as_failed() {
    for (body, outcome) in [
        (r#""result":{"content":[],"isError":true}"#, Outcome::Failed),
        (r#""error":{"code":-32602,"message":"unknown tool"}"#, Outcome::Failed),
        (r#""result":{"content":[],"isError":false}"#, Outcome::Answered),
    ] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#);
        let expected = answer.clone();
        let (_mock, served) = with_script(move |_| json(&answer)).await;
        let session = served.initialize().await.unwrap();
        assert_eq!(served.post().session(&session).send(call("1", "t", "{}")).await.text(), expected);
        assert_eq!(served.journal.outcome().await, outcome);
    }
}

#[tokio::test]
async fn an_approved_call_runs_once() {
    let (mock, served) = with_sessions(r#"{"content":[]}"#).await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let parked = post.send(call("1", "pay", r#"{"why":"REVIEW"}"#)).await.json();
    assert_eq!(parked["error"]["code"], -32011);
    let message = parked["error"]["message"].as_str().unwrap();
    let approval = &parked["error"]["data"]["approval"];
    let id = approval["id"].as_str().unwrap();
    assert!(message.contains("needs approval") && message.contains(id), "{message}");
    assert_eq!(approval["state"], "pending");
    assert_eq!(approval["poll"], format!("/v1/approvals/{id}"));
    assert!(approval["deadline"].as_str().unwrap().ends_with('Z'));
    let data = &parked["error"]["data"];
    assert_eq!(data["portcullis/decision"], "review");
    assert_eq!(data["portcullis/codes"][0], "word");
    // Asking again parks nothing new.
    let again = post.send(call("2", "pay", r#"{"why":"REVIEW"}"#)).await.json();
    assert_eq!(again["error"]["data"]["approval"]["id"], id);
    assert_eq!(mock.received().len(), 1);
    served.parking.approve_all();
    let other = post.send(call("3", "pay", r#"{"why":"REVIEW this"}"#)).await.json();
    assert_eq!(other["error"]["code"], -32011, "only the call that was shown is released");
    let released = post.send(call("4", "pay", r#"{ "why" : "REVIEW" }"#)).await.json();
    assert_eq!(released["result"]["content"], serde_json::json!([]));
    assert_eq!(mock.received().len(), 2);
    let third = post.send(call("5", "pay", r#"{"why":"REVIEW"}"#)).await.json();
    assert_eq!(third["error"]["code"], -32011, "an approval counts once");
    assert_eq!(mock.received().len(), 2);
}

#[tokio::test]
async fn lists_of_tools_are_inspected() {
    for (description, check) in [
        (
            "plain",
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","description":"plain","x":1.0}],"nextCursor":"n"}}"#,
        ),
        (
            "a SECRET",
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","description":"a [redacted]","x":1.0}],"nextCursor":"n"}}"#,
        ),
        ("DENY", ""),
    ] {
        let result = format!(r#"{{"tools":[{{"name":"a","description":"{description}","x":1.0}}],"nextCursor":"n"}}"#);
        let (_mock, served) = with_script(move |request| json(&answer_to(&request.body, &result))).await;
        let session = served.initialize().await.unwrap();
        let got = served.post().session(&session).send(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
        if check.is_empty() {
            assert_eq!(got.json()["error"]["code"], -32010);
            assert_eq!(got.json()["error"]["data"]["portcullis/codes"][0], "word");
            assert!(!got.text().contains("DENY"));
        } else {
            assert_eq!(got.text(), check);
        }
        assert_eq!(entry_kinds(&served.journal), [(EntryKind::Decision, Phase::Listing)]);
    }
}

#[tokio::test]
async fn observing_changes_nothing() {
    let (mock, served) = with_sessions(r#"{"content":[{"type":"text","text":"SECRET DENY"}]}"#).await;
    let post = served.post().with("authorization", "Bearer observer");
    let session = post.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
    let got = post.session(&session).send(call("1", "t", r#"{"a":"DENY"}"#)).await;
    assert!(got.text().contains("SECRET DENY"));
    assert!(mock.received()[1].body.contains("DENY"));
    assert_eq!(served.journal.all()[0].decision, Some(Decision::Deny), "the true verdict is recorded");
}

#[tokio::test]
async fn without_a_ledger_nothing_goes_out() {
    let (mock, served) = with_sessions(r#"{"content":[]}"#).await;
    let session = served.initialize().await.unwrap();
    served.journal.break_down();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await.json();
    assert_eq!(got["result"]["isError"], true);
    assert_eq!(got["result"]["_meta"]["portcullis/codes"][0], "ledger_unavailable");
    assert_eq!(mock.received().len(), 1);
}

#[tokio::test]
async fn halted_and_limited_agents_are_told_so() {
    let (mock, served) = with_sessions(r#"{"content":[]}"#).await;
    // Removed while it was talking reads differently from halted, and has the same effect.
    for (agent, code) in [("halted", "agent_halted"), ("removed", "agent_removed")] {
        let stopped = served.post().with("authorization", &format!("Bearer {agent}"));
        let got = stopped.send(call("1", "t", "{}")).await.json();
        assert_eq!(got["result"]["_meta"]["portcullis/codes"][0], code);
        // Nothing else that it says goes out either, and it leaves no session behind.
        for message in [
            INITIALIZE,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"vendor/new","params":{"a":"b"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/vendor","params":{"a":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}"#,
        ] {
            let got = stopped.send(message).await;
            assert_eq!(got.json()["error"]["data"]["portcullis/codes"][0], code, "{message}");
        }
    }
    assert_eq!((mock.received().len(), served.door.sessions()), (0, 0));
    let fast = served.post().with("authorization", "Bearer fast");
    let session = fast.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
    let got = fast.session(&session).send(call("1", "t", "{}")).await.json();
    assert_eq!(got["result"]["_meta"]["portcullis/codes"][0], "rate_limited");
}

#[tokio::test]
async fn the_callers_credential_stays_here() {
    let (mock, served) = with_sessions(r#"{"content":[]}"#).await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let post = post
        .with("authorization", "Bearer agent")
        .with("cookie", "a=b")
        .with("proxy-authorization", "Basic x")
        .with("x-api-key", "the caller's")
        .with("connection", "keep-alive, x-hop")
        .with("x-hop", "1")
        .with("te", "trailers")
        .with("accept-encoding", "gzip, br")
        .with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    post.send(call("1", "t", "{}")).await;
    for request in mock.received() {
        for name in ["authorization", "cookie", "proxy-authorization", "x-hop", "te", "origin"] {
            assert_eq!(request.header(name), None, "{}", request.head);
        }
        assert_eq!(request.header("x-api-key"), Some("upstream-key"));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert_eq!(request.header("accept"), Some("application/json, text/event-stream"));
        assert_eq!(request.header("host"), Some(&*mock.address.to_string()));
    }
    assert!(mock.received()[1].header("traceparent").is_some());
}

#[tokio::test]
async fn the_rules_of_sessions() {
    let (_mock, served) = with_sessions(r#"{"content":[]}"#).await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    // Nobody knows yet whether the upstream uses sessions: it decides.
    assert_eq!(served.post().send(list).await.status, 200);
    let session = served.initialize().await.unwrap();
    for (what, ask, body, status) in [
        ("its own", served.post().session(&session), list, 200),
        ("missing", served.post(), list, 400),
        ("unknown", served.post().session("0123456789abcdef"), list, 404),
        ("the upstream's id", served.post().session("theirs"), list, 404),
        ("another agent's", served.post().session(&session).with("authorization", "Bearer agent2"), list, 404),
        ("another tenant's", served.post().session(&session).with("authorization", "Bearer other-agent"), list, 404),
        ("initialize in a session", served.post().session(&session), INITIALIZE, 400),
        ("no credential", served.post().session(&session).with("authorization", ""), list, 401),
        ("a wrong credential", served.post().session(&session).with("authorization", "Bearer wrong"), list, 401),
        ("another scheme", served.post().session(&session).with("authorization", "Basic agent"), list, 401),
        ("DELETE without one", served.request("DELETE", "/mcp"), "", 400),
        (
            "DELETE of another's",
            served.request("DELETE", "/mcp").session(&session).with("authorization", "Bearer b"),
            "",
            404,
        ),
        ("GET without one", served.request("GET", "/mcp"), "", 400),
        ("DELETE of its own", served.request("DELETE", "/mcp").session(&session), "", 200),
        ("ended", served.post().session(&session), list, 404),
        ("DELETE of an ended one", served.request("DELETE", "/mcp").session(&session), "", 404),
    ] {
        let got = ask.send(body).await;
        assert_eq!(got.status, status, "{what}: {}", got.text());
    }
}

#[tokio::test]
async fn the_rules_of_headers_and_paths() {
    let (_mock, served) = with_sessions(r#"{"content":[]}"#).await;
    let session = served.initialize().await.unwrap();
    let post = || served.post().session(&session);
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    for (what, ask, body, status) in [
        ("plain", post(), ping, 200),
        ("wildcards", post().with("accept", "application/*;q=0.5, */*"), ping, 200),
        ("no Accept", post().with("accept", ""), ping, 200),
        ("only JSON", post().with("accept", "application/json"), ping, 406),
        ("only a stream", post().with("accept", "text/event-stream"), ping, 406),
        ("GET for JSON", served.request("GET", "/mcp").session(&session).with("accept", "application/json"), "", 406),
        ("a charset", post().with("content-type", "application/json; charset=utf-8"), ping, 200),
        ("text", post().with("content-type", "text/plain"), ping, 415),
        ("no type", post().with("content-type", ""), ping, 415),
        ("compressed", post().with("content-encoding", "gzip"), ping, 415),
        ("2024-11-05", post().with("mcp-protocol-version", "2024-11-05"), ping, 200),
        ("2025-11-25", post().with("mcp-protocol-version", "2025-11-25"), ping, 200),
        ("no such revision", post().with("mcp-protocol-version", "2099-01-01"), ping, 400),
        ("a batch", post(), "[]", 400),
        ("no JSON", post(), "{", 400),
        ("PUT", served.request("PUT", "/mcp"), ping, 405),
        ("its name", served.request("POST", "/mcp/mock").session(&session), ping, 200),
        ("no such upstream", served.request("POST", "/mcp/none").session(&session), ping, 404),
        ("a deeper path", served.request("POST", "/mcp/mock/x").session(&session), ping, 404),
    ] {
        let got = ask.send(body).await;
        assert_eq!(got.status, status, "{what}: {}", got.text());
    }
    let got = post().with("mcp-protocol-version", "2099-01-01").send(ping).await.json();
    assert_eq!((got["error"]["code"].as_i64(), &got["id"]), (Some(-32022), &"p".into()));
    assert_eq!(got["error"]["data"]["supported"][3], "2025-11-25");
    let body = r#"{"jsonrpc":"2.0","id":"p","method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    assert_eq!(post().send(body).await.json()["error"]["code"], -32020, "the body says it, and the header does not");
    let bad = post().send(r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":[]}"#).await;
    assert_eq!((bad.status, &bad.json()["id"]), (400, &3.into()));
    let bad =
        post().send(r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"t","arguments":[]}}"#).await;
    assert_eq!((bad.status, bad.json()["error"]["code"].as_i64()), (200, Some(-32602)));
}

pub(super) fn stateless(served: &Served, method: &str, name: Option<&str>) -> Ask {
    let ask = served.post().with("mcp-protocol-version", "2026-07-28").with("mcp-method", method);
    match name {
        Some(name) => ask.with("mcp-name", name),
        None => ask,
    }
}

pub(super) fn stateless_body(id: u32, method: &str, params: &str) -> String {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{meta}}}}}"#)
}

#[tokio::test]
async fn the_revision_without_sessions_passes_and_is_inspected() {
    let (mock, served) = with_script(|request| match &*method_of(&request.body) {
        "server/discover" => {
            json(&answer_to(&request.body, r#"{"resultType":"complete","supportedVersions":["2026-07-28"]}"#))
        }
        "gone/method" => reply(
            404,
            &[("content-type", "application/json")],
            r#"{"jsonrpc":"2.0","id":9,"error":{"code":-32601,"message":"no"}}"#,
        ),
        "" => reply(202, &[], ""),
        _ => json(&answer_to(
            &request.body,
            r#"{"resultType":"complete","content":[{"type":"text","text":"a SECRET b"}]}"#,
        )),
    })
    .await;
    // An upstream that gives sessions to those who ask for one serves others without.
    served.initialize().await;
    let got = stateless(&served, "server/discover", None).send(stateless_body(1, "server/discover", "")).await;
    assert_eq!((got.status, got.json()["result"]["supportedVersions"][0].as_str()), (200, Some("2026-07-28")));
    let body = stateless_body(2, "tools/call", r#""name":"t","arguments":{"region":"eu"},"#);
    let got = stateless(&served, "tools/call", Some("t")).with("mcp-param-region", "eu").send(body.clone()).await;
    assert_eq!(got.json()["result"]["content"][0]["text"], "a [redacted] b");
    let sent = mock.received().last().cloned().unwrap();
    assert_eq!(sent.body, body);
    for (name, value) in [("mcp-method", "tools/call"), ("mcp-name", "t"), ("mcp-param-region", "eu")] {
        assert_eq!(sent.header(name), Some(value));
    }
    // A denial is a result of this revision; other refusals have its status codes.
    let denied = stateless_body(3, "tools/call", r#""name":"t","arguments":{"a":"DENY"},"#);
    let got = stateless(&served, "tools/call", Some("t")).send(denied).await;
    assert_eq!((got.status, got.json()["result"]["resultType"].as_str()), (200, Some("complete")));
    let wrong = stateless_body(4, "tools/call", r#""name":"t","arguments":[],"#);
    assert_eq!(stateless(&served, "tools/call", Some("t")).send(wrong).await.status, 400);
    let got = stateless(&served, "gone/method", None).send(stateless_body(9, "gone/method", "")).await;
    assert_eq!((got.status, got.json()["error"]["code"].as_i64()), (404, Some(-32601)));
    let said = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    assert_eq!(stateless(&served, "notifications/cancelled", None).send(said).await.status, 202);
    for method in ["GET", "DELETE"] {
        let got = served.request(method, "/mcp").with("mcp-protocol-version", "2026-07-28").send("").await;
        assert_eq!(got.status, 405, "{method}");
    }
}

#[tokio::test]
async fn headers_that_repeat_the_body_are_held_to_it() {
    let (mock, served) = with_script(|request| json(&answer_to(&request.body, "{}"))).await;
    let body = |text: &str| stateless_body(1, "tools/call", &format!(r#""name":"t","arguments":{{"a":"{text}"}},"#));
    let ask = || stateless(&served, "tools/call", Some("t"));
    for (what, ask) in [
        ("another method", stateless(&served, "tools/list", Some("t"))),
        ("another name", stateless(&served, "tools/call", Some("u"))),
        ("no name", stateless(&served, "tools/call", None)),
        ("no argument", ask().with("mcp-param-a", "y")),
    ] {
        let got = ask.send(body("x")).await;
        assert_eq!((got.status, got.json()["error"]["code"].as_i64()), (400, Some(-32020)), "{what}");
    }
    // What policy takes out of the arguments does not leave in a header.
    let got = ask().with("mcp-param-a", "SECRET").send(body("SECRET")).await;
    assert_eq!(got.json()["error"]["code"], -32603, "{}", got.text());
    assert!(mock.received().is_empty(), "nothing went out");
    assert_eq!(served.journal.outcome().await, Outcome::Failed);
}

#[tokio::test]
async fn the_older_transport_with_two_addresses_is_refused_in_plain_words() {
    let (_mock, served) = with_sessions("{}").await;
    served.initialize().await;
    let got = served.request("GET", "/mcp").with("accept", "text/event-stream").send("").await;
    assert!(got.status == 400 && got.text().contains("HTTP+SSE"), "{}", got.text());
    for status in [404, 405] {
        let mock = Mock::new(move |_| reply(status, &[], "")).await;
        let served = Served::new([mock.upstream()], quick()).await;
        let got = served.post().send(INITIALIZE).await;
        assert!(got.json()["error"]["message"].as_str().unwrap().contains("HTTP+SSE"), "{}", got.text());
    }
}

#[tokio::test]
async fn a_subscription_does_not_hold_up_a_drain() {
    let acknowledged = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}\n\n";
    let (_mock, served) = with_script(move |_| vec![sse_head(), chunk(acknowledged), Step::UntilClosed]).await;
    let listen = stateless(&served, "subscriptions/listen", None);
    let mut stream = listen.open(stateless_body(1, "subscriptions/listen", "")).await.into_body();
    read_messages(&mut stream, 1).await;
    assert!(!served.door.0.busy());
    let drained = tokio::time::timeout(Duration::from_secs(5), served.door.drain(Duration::from_secs(60)));
    drained.await.expect("it is over long before its time");
    assert!(read_messages(&mut stream, 1).await[0].contains("the session was ended"));
}

#[tokio::test]
async fn a_thousand_idle_streams_hold_nothing_up() {
    let (_mock, served) = with_script(|request| match request.method() {
        "GET" => vec![sse_head(), Step::UntilClosed],
        _ => json(&answer_to(&request.body, r#"{"content":[]}"#)),
    })
    .await;
    let mut streams = Vec::new();
    for agent in 0..10 {
        let bearer = format!("Bearer agent{agent}");
        for _ in 0..100 {
            let post = served.post().with("authorization", &bearer);
            let session = post.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
            let stream = served.request("GET", "/mcp").with("authorization", &bearer).session(&session).open("").await;
            assert_eq!(stream.status(), 200);
            streams.push(stream);
        }
    }
    assert_eq!(served.door.sessions(), 1000);
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.json()["result"]["content"], serde_json::json!([]));
    drop(streams);
    served.door.close(Duration::from_secs(20)).await;
    assert_eq!(served.door.sessions(), 0);
}

#[tokio::test]
async fn what_a_client_answers_within_a_session_is_inspected() {
    let (mock, served) = with_script(|request| match &*method_of(&request.body) {
        "initialize" => json(&answer_to(&request.body, "{}")),
        _ => reply(202, &[], ""),
    })
    .await;
    let session = served.initialize().await.unwrap();
    for (content, expected) in [
        ("blue", r#"{"jsonrpc":"2.0","id":"q", "result":{"content":{"v":"blue"}}}"#),
        ("a SECRET b", r#"{"jsonrpc":"2.0","id":"q", "result":{"content":{"v":"a [redacted] b"}}}"#),
    ] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":"q", "result":{{"content":{{"v":"{content}"}}}}}}"#);
        assert_eq!(served.post().session(&session).send(answer).await.status, 202);
        assert_eq!(mock.received().last().unwrap().body, expected);
    }
    let denied = r#"{"jsonrpc":"2.0","id":"q","result":{"content":{"v":"DENY"}}}"#;
    assert_eq!(served.post().session(&session).send(denied).await.status, 202);
    let sent = mock.received().last().unwrap().body.clone();
    assert!(sent.contains(r#""id":"q","error""#) && sent.contains("-32010") && !sent.contains("DENY"), "{sent}");
}

#[tokio::test]
async fn what_a_client_answers_to_questions_is_inspected() {
    let (mock, served) = with_script(|request| json(&answer_to(&request.body, "{}"))).await;
    for (answer, sent) in [("DENY", 0), ("SECRET", 0), ("blue", 1)] {
        let params = format!(
            r#""name":"t","arguments":{{}},"requestState":"opaque","inputResponses":{{"q":{{"action":"accept","content":{{"v":"{answer}"}}}}}},"#
        );
        stateless(&served, "tools/call", Some("t")).send(stateless_body(1, "tools/call", &params)).await;
        assert_eq!(mock.received().len(), sent, "{answer}");
    }
}

#[tokio::test]
async fn two_upstreams_have_a_path_each() {
    let answering = |text: &'static str| {
        move |request: &Received| json(&answer_to(&request.body, &format!(r#"{{"from":"{text}"}}"#)))
    };
    let (one, two) = (Mock::new(answering("one")).await, Mock::new(answering("two")).await);
    let url = |name: &str, mock: &Mock| format!("{name}=http://{}/mcp", mock.address).parse().unwrap();
    let served = Served::new([url("one", &one), url("two", &two)], quick()).await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(served.post().send(ping).await.status, 400, "all of them together want a session");
    for name in ["one", "two"] {
        let got = served.request("POST", &format!("/mcp/{name}")).send(ping).await;
        assert_eq!(got.json()["result"]["from"], name);
    }
}

#[tokio::test]
async fn an_upstream_without_sessions_is_served_too() {
    let mock = Mock::new(|request| json(&answer_to(&request.body, r#"{"content":[]}"#))).await;
    let served = Served::new([mock.upstream()], quick()).await;
    assert_eq!(served.initialize().await, None);
    // The same id at the same time from two clients is no conflict: there is no session it could clash in.
    let (one, two) = tokio::join!(async { served.post().send(call("1", "t", "{}")).await }, async {
        served.post().send(call("1", "t", "{}")).await
    },);
    assert_eq!((one.status, two.status), (200, 200));
    assert_eq!(one.json()["result"]["content"], serde_json::json!([]));
}

#[tokio::test]
async fn malformed_answers_never_reach_the_client() {
    for (what, answer) in [
        ("no JSON", "oops".to_owned()),
        ("cut off", r#"{"jsonrpc":"2.0","id":1,"result":{"#.to_owned()),
        ("an array", r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#.to_owned()),
        ("another version", r#"{"jsonrpc":"1.0","id":1,"result":{}}"#.to_owned()),
        ("another id", r#"{"jsonrpc":"2.0","id":2,"result":{"content":[]}}"#.to_owned()),
        ("the id as a string", r#"{"jsonrpc":"2.0","id":"1","result":{"content":[]}}"#.to_owned()),
        ("result and error", r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#.to_owned()),
        ("a duplicate", r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"content":["x"]}}"#.to_owned()),
        ("a twin", r#"{"jsonrpc":"2.0","id":1,"result":{"Content":[]}}"#.to_owned()),
        ("a text as result", r#"{"jsonrpc":"2.0","id":1,"result":"SECRET"}"#.to_owned()),
        ("a request", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned()),
        ("too deep", format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"a":{}{}}}}}"#, "[".repeat(99), "]".repeat(99))),
        ("too large", format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"a":"{}"}}}}"#, "x".repeat(70_000))),
    ] {
        for streamed in [false, true] {
            let body = answer.clone();
            let limits = McpLimits { message: 60_000, ..quick() };
            let (_mock, served) = with_limits(limits, move |_| match streamed {
                false => json(&body),
                true => sse(&[&format!("data: {body}\n\n")]),
            })
            .await;
            let session = served.initialize().await.unwrap();
            let got = served.post().session(&session).send(call("1", "t", "{}")).await;
            let text = if streamed { got.messages().pop().unwrap() } else { got.text().to_owned() };
            if what == "a request" && streamed {
                assert_eq!(got.messages()[0], answer, "a request of the server may come on the stream");
            }
            let error: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(error["error"]["code"], -32603, "{what}: {text}");
            assert_eq!(error["id"], 1, "{what}: {text}");
            assert!(!got.text().contains("SECRET"));
            assert!(matches!(served.journal.outcome().await, Outcome::Failed | Outcome::Uncertain), "{what}");
        }
    }
}

#[tokio::test]
async fn odd_http_answers_become_errors() {
    for (what, steps, status, code) in [
        ("a page", ("text/html", 200, "<html>"), 200, -32603),
        ("a redirect", ("text/html", 307, ""), 200, -32603),
        ("unauthorized", ("application/json", 401, "{}"), 200, -32603),
        ("server error", ("text/plain", 500, "boom"), 200, -32603),
        ("client error", ("text/plain", 400, "bad"), 200, -32603),
        (
            "JSON-RPC in an error",
            ("application/json", 400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"m"}}"#),
            400,
            -32000,
        ),
        (
            "its id in an error",
            ("application/json", 400, r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"m"}}"#),
            400,
            -32001,
        ),
        ("accepted", ("text/plain", 202, ""), 200, -32603),
    ] {
        let (_mock, served) = with_script(move |_| {
            let (media, status, body) = steps;
            reply(
                status,
                &[("content-type", media), ("location", "http://127.0.0.1:1/"), ("www-authenticate", "Bearer")],
                body,
            )
        })
        .await;
        let session = served.initialize().await.unwrap();
        let got = served.post().session(&session).send(call("1", "t", "{}")).await;
        assert_eq!(got.status, status, "{what}: {}", got.text());
        assert_eq!(got.json()["error"]["code"], code, "{what}: {}", got.text());
        assert_eq!(got.header("www-authenticate"), None);
        assert_ne!(served.journal.outcome().await, Outcome::Answered, "{what}");
    }
    let (_mock, served) =
        with_script(|_| reply(200, &[("content-type", "application/json"), ("content-encoding", "gzip")], "zip")).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.json()["error"]["code"], -32603);
}

#[tokio::test]
async fn a_session_that_the_upstream_forgot_is_over_here_too() {
    let (_mock, served) = with_script(|_| reply(404, &[], "")).await;
    let session = served.initialize().await.unwrap();
    assert_eq!(served.post().session(&session).send(call("1", "t", "{}")).await.status, 404);
    assert_eq!(served.door.sessions(), 0);
    assert_eq!(served.journal.outcome().await, Outcome::Failed);
}

#[tokio::test]
async fn an_upstream_that_is_not_there() {
    let dead = { tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let served = Served::new([format!("gone=http://{dead}/mcp").parse().unwrap()], quick()).await;
    let got = served.post().send(call("1", "t", "{}")).await;
    assert_eq!(got.json()["error"]["code"], -32603);
    assert!(got.json()["error"]["message"].as_str().unwrap().contains("could not be reached"));
    assert_eq!(served.journal.outcome().await, Outcome::Failed, "nothing was sent, so nothing ran");
    let noted = served.post().send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!(noted.status, 502);
}

#[tokio::test]
async fn an_upstream_that_dies_before_or_in_the_middle_of_its_answer() {
    let half = || {
        Step::Bytes(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"js".to_vec())
    };
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
    let event = move || chunk(&format!("data: {progress}\n\n"));
    type Steps = Box<dyn Fn() -> Vec<Step> + Send + Sync>;
    let scripts: Vec<(&str, Steps)> = vec![
        ("at once", Box::new(|| vec![Step::Reset])),
        ("without a word", Box::new(Vec::new)),
        ("half a JSON", Box::new(move || vec![half()])),
        ("half a JSON, reset", Box::new(move || vec![half(), Step::Pause(20), Step::Reset])),
        ("a stream that breaks", Box::new(move || vec![sse_head(), event(), Step::Pause(20), Step::Reset])),
        ("a stream that ends", Box::new(move || vec![sse_head(), event(), last_chunk()])),
        ("a stream inside an event", Box::new(move || vec![sse_head(), event(), chunk("data: {\"jso"), last_chunk()])),
    ];
    for (what, script) in scripts {
        let (_mock, served) = with_script(move |_| script()).await;
        let session = served.initialize().await.unwrap();
        let got = served.post().session(&session).send(call("1", "t", "{}")).await;
        let streamed = got.header("content-type") == Some("text/event-stream");
        let text = if streamed { got.messages().pop().unwrap() } else { got.text().to_owned() };
        let error: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((error["error"]["code"].as_i64(), &error["id"]), (Some(-32603), &1.into()), "{what}: {text}");
        if streamed {
            assert_eq!(got.messages()[0], progress, "{what}");
        }
        assert_eq!(served.journal.outcome().await, Outcome::Uncertain, "{what}");
    }
}

#[tokio::test]
async fn an_upstream_that_stalls() {
    let limits = McpLimits {
        first_byte_wait: Duration::from_millis(200),
        idle_wait: Duration::from_millis(200),
        keep_alive: Duration::from_millis(50),
        ..quick()
    };
    let event = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";
    let scripts: [fn(&str) -> Vec<Step>; 3] = [
        |_| vec![Step::UntilClosed],
        |_| {
            vec![
                Step::Bytes(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{".to_vec(),
                ),
                Step::UntilClosed,
            ]
        },
        |event| vec![sse_head(), chunk(event), Step::UntilClosed],
    ];
    for script in scripts {
        let (_mock, served) = with_limits(limits.clone(), move |_| script(event)).await;
        let session = served.initialize().await.unwrap();
        let got = served.post().session(&session).send(call("1", "t", "{}")).await;
        assert!(got.text().contains("-32603"), "{}", got.text());
        assert_eq!(served.journal.outcome().await, Outcome::Uncertain);
    }
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let event = |text: &str| {
        chunk(&format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"data\":\"{text}\"}}}}\n\n"
        ))
    };
    let (_mock, served) =
        with_script(move |_| vec![sse_head(), event("one"), Step::Pause(300), event("two"), Step::UntilClosed]).await;
    let session = served.initialize().await.unwrap();
    let started = std::time::Instant::now();
    let mut body = served.post().session(&session).open(call("1", "t", "{}")).await.into_body();
    read_messages(&mut body, 1).await;
    assert!(started.elapsed() < Duration::from_millis(250), "the first event did not wait for the second");
    read_messages(&mut body, 1).await;
}

#[tokio::test]
async fn unmatched_answers_are_dropped_and_counted() {
    let other = r#"{"jsonrpc":"2.0","id":99,"result":{"content":[]}}"#;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
    let pieces = [
        format!("data: {other}\n\n"),
        format!("event: endpoint\ndata: {other}\n\n"),
        format!("data: {answer}\n\n"),
        format!("data: {answer}\n\n"),
    ];
    let (_mock, served) = with_script(move |_| sse(&pieces.each_ref().map(String::as_str))).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.messages(), [answer]);
    assert_eq!(served.door.counters().unmatched.get(), 2);
    assert_eq!(served.journal.lines().len(), 2, "one decision, one outcome");
}

#[tokio::test]
async fn a_client_that_goes_away() {
    for streamed in [false, true] {
        let (mock, served) = with_script(move |_| match streamed {
            false => vec![Step::UntilClosed],
            true => vec![sse_head(), chunk(": here\n\n"), Step::UntilClosed],
        })
        .await;
        let session = served.initialize().await.unwrap();
        let ask = served.post().session(&session);
        let request = tokio::spawn(async move {
            let response = ask.open(call("1", "t", "{}")).await;
            let _held = response;
            std::future::pending::<()>().await;
        });
        while mock.received().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        request.abort();
        assert_eq!(served.journal.outcome().await, Outcome::Disconnected);
        until("the upstream's connection is closed as well", || *mock.left.lock().unwrap() == 1).await;
        assert_eq!(*mock.left.lock().unwrap(), 1);
        // Another id is free; this one is not, since its answer may still come.
        let post = served.post().session(&session);
        assert_eq!(post.send(call("1", "t", r#"{"a":"DENY"}"#)).await.json()["error"]["code"], -32600);
        assert_eq!(post.send(call("2", "t", r#"{"a":"DENY"}"#)).await.json()["result"]["isError"], true);
    }
}

#[tokio::test]
async fn a_slow_client_slows_the_upstream_down() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (_mock, served) = with_script(move |_| {
        let mut steps = vec![sse_head()];
        let data = "x".repeat(100_000);
        for count in 0..300 {
            steps.push(chunk(&format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"data\":\"{data}\",\"n\":{count}}}}}\n\n")));
        }
        sent.store(1, Ordering::SeqCst);
        steps.push(chunk("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n"));
        steps.push(last_chunk());
        steps
    })
    .await;
    let session = served.initialize().await.unwrap();
    let response = served.post().session(&session).open(call("1", "t", "{}")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!served.journal.lines().iter().any(|line| line.starts_with("outcome")), "30 MB are not taken in advance");
    let mut body = response.into_body();
    assert_eq!(read_messages(&mut body, 301).await.len(), 301);
    assert_eq!(served.journal.outcome().await, Outcome::Answered);
}

#[tokio::test]
async fn cancelling_is_recorded_and_passed_on() {
    let (mock, served) = with_script(|_| vec![Step::Pause(500), Step::Reset]).await;
    let session = served.initialize().await.unwrap();
    let ask = served.post().session(&session);
    let calling = tokio::spawn(async move { ask.send(call("\"c\"", "t", "{}")).await });
    while mock.received().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}"#;
    assert_eq!(served.post().session(&session).send(cancel).await.status, 202);
    assert_eq!(served.journal.outcome().await, Outcome::Cancelled);
    assert_eq!(mock.received()[2].body, cancel);
    assert_eq!(calling.await.unwrap().json()["error"]["code"], -32603);
    assert_eq!(served.journal.lines().len(), 2, "the end is recorded once: {:?}", served.journal.lines());
}

#[tokio::test]
async fn an_id_in_flight_cannot_be_used_again() {
    let (mock, served) = with_limits(McpLimits { in_flight: 2, ..quick() }, |_| vec![Step::UntilClosed]).await;
    let session = served.initialize().await.unwrap();
    for id in ["1", "2"] {
        let ask = served.post().session(&session);
        let body = call(id, "t", "{}");
        tokio::spawn(async move { ask.send(body).await });
    }
    while mock.received().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let post = served.post().session(&session);
    assert_eq!(post.send(call("3", "t", "{}")).await.json()["error"]["code"], -32012);
    served.door.close(Duration::from_secs(5)).await;
    assert_eq!(served.journal.lines().iter().filter(|line| line.ends_with("uncertain")).count(), 2);

    let (mock, served) = with_script(|_| vec![Step::UntilClosed]).await;
    let session = served.initialize().await.unwrap();
    let ask = served.post().session(&session);
    tokio::spawn(async move { ask.send(call("1", "t", "{}")).await });
    while mock.received().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let again = served.post().session(&session).send(call("1", "t", "{}")).await.json();
    assert_eq!(again["error"]["code"], -32600);
    assert_eq!(mock.received().len(), 2);
}

#[tokio::test]
async fn the_stream_opened_by_get() {
    let asked = r#"{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{}}"#;
    let (mock, served) = with_script(move |request| match request.method() {
        "GET" => vec![
            sse_head(),
            chunk(&format!("id: 7\ndata: {asked}\n\n")),
            chunk("data: not json\n\n"),
            chunk("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"smuggled\"}]}}\n\n"),
            chunk(&format!("id: 8\ndata: {asked}\n\n")),
            last_chunk(),
        ],
        _ => reply(202, &[], ""),
    })
    .await;
    let session = served.initialize().await.unwrap();
    let get = served.request("GET", "/mcp").session(&session).with("last-event-id", "6");
    let got = get.send("").await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(got.messages(), [asked, asked]);
    assert!(got.text().contains("id: 7\n") && got.text().contains("id: 8\n"));
    let request = mock.received().pop().unwrap();
    assert_eq!((request.header("last-event-id"), request.header("mcp-session-id")), (Some("6"), Some("theirs")));
    assert_eq!(request.header("accept"), Some("text/event-stream"));
    assert_eq!(served.door.counters().malformed.get(), 1);
    assert_eq!(served.door.counters().unmatched.get(), 1);
}

#[tokio::test]
async fn an_upstream_without_that_stream() {
    let (_mock, served) = with_script(|_| reply(405, &[], "")).await;
    let session = served.initialize().await.unwrap();
    assert_eq!(served.request("GET", "/mcp").session(&session).send("").await.status, 405);
}

#[tokio::test]
async fn an_answer_is_taken_up_again_on_another_stream() {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"SECRET"}]}}"#;
    let (_mock, served) = with_script(move |request| match request.method() {
        // The server closes its stream on purpose and lets the client come back.
        "POST" => sse(&["id: 1\nretry: 20\ndata:\n\n"]),
        _ => sse(&[&format!("id: 2\ndata: {answer}\n\n")]),
    })
    .await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.messages(), [""; 0]);
    let got = served.request("GET", "/mcp").session(&session).with("last-event-id", "1").send("").await;
    let [message] = got.messages().try_into().unwrap();
    assert_eq!(unmarked(&message, "redact"), answer.replace("SECRET", "[redacted]"));
    assert_eq!(served.journal.outcome().await, Outcome::Answered);
}

#[tokio::test]
async fn the_streams_of_a_removed_agent_end() {
    let said = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"x\"}}\n\n";
    let (mock, served) = with_script(move |_| vec![sse_head(), chunk(said), Step::UntilClosed]).await;
    let enter = async |agent: &str| {
        let bearer = format!("Bearer {agent}");
        let post = served.post().with("authorization", &bearer);
        let session = post.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
        let get = served.request("GET", "/mcp").with("authorization", &bearer).session(&session);
        let streams = [get.open("").await, post.session(&session).open(call("1", "t", "{}")).await];
        streams.map(|response| response.into_body())
    };
    let (leaving, mut staying) = (enter("leaving").await, enter("staying").await);
    LEFT.store(true, std::sync::atomic::Ordering::SeqCst);
    served.door.policy_changed();
    for mut stream in leaving {
        let end = async { while stream.frame().await.is_some_and(|frame| frame.is_ok()) {} };
        tokio::time::timeout(Duration::from_secs(10), end).await.expect("it ends");
    }
    assert_eq!(served.journal.outcome().await, Outcome::Disconnected);
    until("the upstream's sides of them are closed", || *mock.left.lock().unwrap() == 2).await;
    assert_eq!(*mock.left.lock().unwrap(), 2);
    assert_eq!(read_messages(&mut staying[0], 1).await.len(), 1, "nobody else's end");
}

#[tokio::test]
async fn one_agent_does_not_take_every_exchange() {
    let limits = McpLimits { exchanges: 4, exchanges_per_agent: 2, ..quick() };
    let (_mock, served) = with_limits(limits, |request| match request.method() {
        "GET" => vec![sse_head(), Step::UntilClosed],
        _ => json(&answer_to(&request.body, r#"{"content":[]}"#)),
    })
    .await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let get = served.request("GET", "/mcp").session(&session);
    let streams = [get.open("").await, get.open("").await];
    let refused = post.send(call("1", "t", "{}")).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_i64()), (503, Some(-32012)), "{}", refused.text());
    assert!(refused.text().contains("this agent has too many"), "{}", refused.text());
    let other = served.post().with("authorization", "Bearer another");
    assert_eq!(other.send(INITIALIZE).await.status, 200, "others have theirs");
    drop(streams);
    for _ in 0..500 {
        if post.send(call("2", "t", "{}")).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no place was given back");
}

#[tokio::test]
async fn sessions_are_bounded() {
    let limits = McpLimits { sessions: 3, sessions_per_agent: 2, ..quick() };
    let (mock, served) = with_limits(limits, |request| json(&answer_to(&request.body, "{}"))).await;
    for (agent, status) in [("a", 200), ("a", 200), ("b", 200), ("c", 503)] {
        let ask = served.post().with("authorization", &format!("Bearer {agent}"));
        assert_eq!(ask.send(INITIALIZE).await.status, status, "{agent}");
    }
    assert_eq!(served.door.sessions(), 3);
    deleted(&mock, 1).await;
}

#[tokio::test]
async fn an_agent_that_never_ends_its_sessions_is_not_locked_out() {
    let limits = McpLimits { sessions_per_agent: 2, ..quick() };
    let (mock, served) = with_limits(limits, |request| match request.method() {
        "GET" => vec![sse_head(), chunk(": here\n\n"), Step::UntilClosed],
        _ => json(&answer_to(&request.body, "{}")),
    })
    .await;
    let first = served.initialize().await.unwrap();
    // A session with an open stream is in use and stays.
    let _stream = served.request("GET", "/mcp").session(&first).open("").await;
    let mut last = String::new();
    for _ in 0..5 {
        last = served.initialize().await.unwrap();
    }
    assert_eq!(served.door.sessions(), 2);
    deleted(&mock, 4).await;
    for session in [&first, &last] {
        assert_eq!(served.post().session(session).send(call("1", "t", "{}")).await.status, 200);
    }
}

#[tokio::test]
async fn idle_sessions_end_on_both_sides() {
    let limits = McpLimits { session_idle: Duration::from_millis(100), ..quick() };
    let (mock, served) = with_limits(limits, |request| match request.method() {
        "GET" => vec![sse_head(), chunk(": here\n\n"), Step::UntilClosed],
        _ => json(&answer_to(&request.body, "{}")),
    })
    .await;
    let session = served.initialize().await.unwrap();
    deleted(&mock, 1).await;
    assert_eq!(served.post().session(&session).send(call("1", "t", "{}")).await.status, 404);
    // A session with an open stream is in use.
    let session = served.initialize().await.unwrap();
    let stream = served.request("GET", "/mcp").session(&session).open("").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((stream.status().as_u16(), served.door.sessions()), (200, 1));
    drop(stream);
    deleted(&mock, 2).await;
}

/// A session whose beginning failed would only wait for its end.
#[tokio::test]
async fn a_session_that_did_not_begin_is_ended_on_both_sides() {
    let failed = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"not today"}}"#;
    let with_id = |body: &str| reply(200, &[("content-type", "application/json"), ("mcp-session-id", "theirs")], body);
    let streamed = [("content-type", "text/event-stream"), ("mcp-session-id", "theirs")];
    let answers = [
        with_id(failed),
        with_id("{"),
        with_id(r#"{"jsonrpc":"2.0","id":0,"result":{"serverInfo":{"name":"DENY"}}}"#),
        reply(200, &[("content-type", "text/plain"), ("mcp-session-id", "theirs")], "hello"),
        reply(200, &streamed, &format!("data: {failed}\n\n")),
        reply(200, &streamed, ""),
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        let mock = Mock::new(move |request| match request.method() {
            "DELETE" => reply(200, &[], ""),
            _ => answer.clone(),
        })
        .await;
        let served = Served::new([mock.upstream()], quick()).await;
        let opening = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
        let got = served.post().send(opening).await;
        assert!(!got.text().contains(r#""result""#), "{at}: {}", got.text());
        deleted(&mock, 1).await;
        assert_eq!(served.door.sessions(), 0, "{at}");
        if got.header("content-type") == Some("application/json") {
            assert_eq!(got.header("mcp-session-id"), None, "{at}");
        }
    }
}

/// Waits until the upstream was told about the end of this many sessions.
async fn deleted(mock: &Mock, count: usize) {
    for _ in 0..500 {
        if mock.received().iter().filter(|request| request.method() == "DELETE").count() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the upstream was not told");
}

#[tokio::test]
async fn a_closing_door_ends_streams_and_answers_calls() {
    let (_mock, served) = with_script(|request| match request.method() {
        "GET" => vec![sse_head(), chunk(": here\n\n"), Step::UntilClosed],
        _ if request.body.contains("stream") => vec![sse_head(), chunk("id: 1\ndata:\n\n"), Step::UntilClosed],
        _ => vec![Step::UntilClosed],
    })
    .await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let (one, two) = (post.clone(), post.clone());
    let waiting = tokio::spawn(async move { one.send(call("1", "plain", "{}")).await });
    let streaming = tokio::spawn(async move { two.send(call("2", "stream", "{}")).await });
    let get = served.request("GET", "/mcp").session(&session);
    let listening = tokio::spawn(async move { get.send("").await });
    tokio::time::sleep(Duration::from_millis(400)).await;
    let started = std::time::Instant::now();
    served.door.close(Duration::from_secs(5)).await;
    assert!(started.elapsed() < Duration::from_secs(3), "nothing was waited for");
    assert_eq!(waiting.await.unwrap().json()["error"]["code"], -32603);
    let streamed = streaming.await.unwrap();
    assert!(streamed.messages()[0].contains("-32603"), "{}", streamed.text());
    listening.await.unwrap();
    let ends = served.journal.lines().iter().filter(|line| line.ends_with("uncertain")).count();
    assert_eq!(ends, 2, "{:?}", served.journal.lines());
}

#[tokio::test]
async fn requests_are_bounded() {
    let limits = McpLimits { message: 1000, body_wait: Duration::from_millis(200), ..quick() };
    let (mock, served) = with_limits(limits, |request| json(&answer_to(&request.body, "{}"))).await;
    let session = served.initialize().await.unwrap();
    let long = call("1", "t", &format!(r#"{{"a":"{}"}}"#, "x".repeat(1000)));
    assert_eq!(served.post().session(&session).send(long).await.status, 413);
    // A body that never comes.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(served.address).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: x\r\nauthorization: Bearer agent\r\nmcp-session-id: {session}\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(mock.received().len(), 1);
}

#[tokio::test]
async fn the_run_of_the_agent_is_named_by_a_header() {
    let (_mock, served) = with_sessions(r#"{"content":[]}"#).await;
    let session = served.post().with("portcullis-session", "run-1").send(INITIALIZE).await;
    let session = session.header("mcp-session-id").unwrap().to_owned();
    served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(served.journal.all()[0].session.as_deref(), Some("run-1"));
    let long = "r".repeat(257);
    assert_eq!(served.post().with("portcullis-session", &long).send(INITIALIZE).await.status, 400);
}

#[tokio::test]
async fn an_answer_that_should_be_empty_and_is_not_is_inspected() {
    for method in ["ping", "logging/setLevel", "resources/subscribe"] {
        for (result, expected) in [("a SECRET b", "a [redacted] b"), ("DENY", "Portcullis withheld")] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":"{result}"}}}}"#);
            let (_mock, served) = with_script(move |_| json(&body)).await;
            let session = served.initialize().await.unwrap();
            let ask = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#);
            let got = served.post().session(&session).send(ask).await;
            assert!(got.text().contains(expected) && !got.text().contains(result), "{method}: {}", got.text());
            assert_eq!(served.journal.lines().len(), 1, "{:?}", served.journal.lines());
        }
    }
}

#[tokio::test]
async fn a_cancelled_calls_late_http_result_is_no_other_requests_answer() {
    let late = r#"{"jsonrpc":"2.0","id":5,"result":{"content":[{"type":"text","text":"SECRET"}]}}"#;
    let (mock, served) = with_script(move |request| match &*method_of(&request.body) {
        "tools/call" => [vec![Step::Pause(400)], json(late)].concat(),
        "ping" => [vec![Step::Pause(800)], json(r#"{"jsonrpc":"2.0","id":5,"result":{}}"#)].concat(),
        _ => reply(202, &[], ""),
    })
    .await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let slow = post.clone();
    let slow = tokio::spawn(async move { slow.send(call("5", "t", "{}")).await });
    while mock.received().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#;
    assert_eq!(post.send(cancel).await.status, 202);
    let ping = post.send(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await;
    assert_eq!(ping.json()["error"]["code"], -32600, "{}", ping.text());
    let slow = slow.await.unwrap();
    assert_eq!(slow.json()["error"]["code"], -32603, "{}", slow.text());
    assert!(!slow.text().contains("SECRET"));
}

#[tokio::test]
async fn ids_that_a_reader_could_take_for_others_are_refused() {
    let (mock, served) = with_sessions("{}").await;
    let session = served.initialize().await.unwrap();
    let before = mock.received().len();
    for id in ["5.0", "5e0", "-0", "9007199254740993", "-9007199254740993"] {
        let got = served.post().session(&session).send(call(id, "t", "{}")).await;
        assert_eq!(got.json()["error"]["code"], -32600, "{id}: {}", got.text());
    }
    assert_eq!(mock.received().len(), before);
    for id in ["0", "-5", "9007199254740991"] {
        let got = served.post().session(&session).send(call(id, "t", "{}")).await;
        assert!(got.json()["result"].is_object(), "{id}: {}", got.text());
    }
}

#[tokio::test]
async fn a_call_has_no_members_that_no_policy_sees() {
    let (mock, served) = with_sessions("{}").await;
    let session = served.initialize().await.unwrap();
    let before = mock.received().len();
    for params in [
        r#"{"name":"t","arguments":{},"input":{"command":"DENY"}}"#,
        r#"{"name":"t","args":{"command":"DENY"}}"#,
        r#"{"name":"t","arguments":{},"Task":{}}"#,
    ] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let got = served.post().session(&session).send(message).await;
        assert!([-32602, -32600].contains(&got.json()["error"]["code"].as_i64().unwrap()), "{}", got.text());
    }
    assert_eq!(mock.received().len(), before);
    assert_eq!(served.journal.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn what_the_upstream_says_by_itself_is_inspected() {
    let say = |method: &str, text: &str| {
        format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{\"data\":\"{text}\"}}}}\n\n")
    };
    let pieces = [
        say("notifications/message", "a SECRET b"),
        say("notifications/message", "DENY"),
        say("Notifications/Message", "DENY"),
        say("notifications/vendor", "DENY"),
        say("notifications/tools/list_changed", "quiet"),
        "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"sampling/createMessage\",\"params\":{\"data\":\"DENY\"}}\n\n".to_owned(),
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n".to_owned(),
    ];
    let (_mock, served) = with_script(move |request| match &*method_of(&request.body) {
        "tools/call" => sse(&pieces.each_ref().map(String::as_str)),
        "tools/list" => json(&answer_to(&request.body, r#"{"tools":[]}"#)),
        _ => reply(202, &[], ""),
    })
    .await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.messages().len(), 3, "{}", got.text());
    assert!(got.text().contains("a [redacted] b") && !got.text().contains("DENY"), "{}", got.text());
    assert_eq!(served.door.counters().undelivered.get(), 4);
}

#[tokio::test]
async fn an_upstream_that_talks_without_end_does_not_fill_the_ledger() {
    let said = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"x\"}}\n\n";
    let asked = "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"elicitation/create\",\"params\":{}}\n\n";
    let quiet = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/list_changed\"}\n\n";
    let beside = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/list_changed\",\"note\":1}\n\n";
    let answer = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n";
    let flood = format!("{}{}{asked}{quiet}", said.repeat(5_000), beside.repeat(1_000));
    let during = format!("{}{answer}", said.repeat(1_000));
    let (mock, served) = with_script(move |request| match (request.method(), &*method_of(&request.body)) {
        ("GET", _) => sse(&[&flood]),
        (_, "tools/call") => sse(&[&during]),
        _ => reply(202, &[], ""),
    })
    .await;
    let session = served.initialize().await.unwrap();
    // A client that asks for something gets all of it.
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!((got.messages().len(), served.journal.all().len()), (1_001, 1_002));
    let began = std::time::Instant::now();
    let got = served.request("GET", "/mcp").session(&session).send("").await;
    let most = 500 + 50 * (began.elapsed().as_secs() as usize + 1);
    let entries = served.journal.all().len() - 1_002;
    assert!((500..=most).contains(&entries), "{entries} of at most {most}");
    let messages = got.messages();
    assert!(messages.len() <= most + 1, "{}", messages.len());
    assert!(messages.last().unwrap().contains("list_changed"), "what is not judged passes: {messages:?}");
    assert_eq!(served.door.counters().undelivered.get() as usize, 6_002 - messages.len());
    for _ in 0..500 {
        if mock.received().iter().any(|request| request.body.contains("too many messages")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody told the upstream that its question was not passed on");
}

#[tokio::test]
async fn what_comes_while_a_call_can_be_taken_up_again_is_said_unasked() {
    let said = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"x\"}}\n\n";
    let flood = said.repeat(5_000);
    let (_mock, served) = with_script(move |request| match request.method() {
        "POST" => sse(&["id: 1\ndata:\n\n"]),
        _ => sse(&[&flood]),
    })
    .await;
    let session = served.initialize().await.unwrap();
    served.post().session(&session).send(call("1", "t", "{}")).await;
    let began = std::time::Instant::now();
    let got = served.request("GET", "/mcp").session(&session).send("").await;
    let most = 501 + 50 * (began.elapsed().as_secs() as usize + 1);
    assert!((500..=most).contains(&got.messages().len()), "{} of at most {most}", got.messages().len());
}

#[tokio::test]
async fn fields_that_nobody_looks_at_hold_little() {
    let hidden = "words that nobody judged ".repeat(100);
    let answer = answer_to(&call("1", "t", "{}"), r#"{"content":[]}"#);
    let events = format!("event: {hidden}\nid: {hidden}\nretry: 20\ndata:\n\nid: {hidden}\ndata: {answer}\n\n");
    let (_mock, served) = with_script(move |_| sse(&[&events])).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!((got.messages().len(), got.text().contains("words")), (1, false), "{}", got.text());
    assert!(got.text().contains("retry: 20\n"), "{}", got.text());
}

#[tokio::test]
async fn what_comes_after_an_answer_is_said_unasked() {
    let answer = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n";
    let said = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"x\"}}\n\n";
    let stream = format!("{answer}{}", said.repeat(5_000));
    let (_mock, served) = with_script(move |_| sse(&[&stream])).await;
    let session = served.initialize().await.unwrap();
    let began = std::time::Instant::now();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    let most = 501 + 50 * (began.elapsed().as_secs() as usize + 1);
    assert!((501..=most).contains(&got.messages().len()), "{} of at most {most}", got.messages().len());
}

#[tokio::test]
async fn an_answer_whose_other_members_are_refused_ends_its_request_and_is_judged_once() {
    let answer = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]},\"note\":\"DENY\"}\n\n";
    let (_mock, served) = with_script(move |_| sse(&[&answer.repeat(10)])).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.messages().len(), 1, "{}", got.text());
    assert!(got.text().contains("-32603") && !got.text().contains("DENY"), "{}", got.text());
    assert_eq!(served.journal.outcome().await, Outcome::Failed);
    assert_eq!(served.journal.all().len(), 3, "{:?}", served.journal.lines());
}

#[tokio::test]
async fn session_ids_of_upstreams_are_short_and_visible() {
    let fits = "~".repeat(1024);
    for (id, good) in [(fits.as_str(), true), (&"x".repeat(1025), false), ("a b", false), ("", false)] {
        let id = id.to_owned();
        let mock = Mock::new(move |_| {
            reply(200, &[("content-type", "application/json"), ("mcp-session-id", &id)], INITIALIZED)
        })
        .await;
        let served = Served::new([mock.upstream()], quick()).await;
        let got = served.post().send(INITIALIZE).await;
        assert_eq!(got.json()["result"].is_object(), good, "{}", got.text());
        assert_eq!((got.header("mcp-session-id").is_some(), served.door.sessions()), (good, usize::from(good)));
    }
}

#[tokio::test]
async fn what_is_held_back_and_the_open_sessions_are_in_the_metrics() {
    let (_mock, served) = with_script(|_| sse(&["data: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n\n"])).await;
    let session = served.initialize().await.unwrap();
    served.post().session(&session).send(call("1", "t", "{}")).await;
    let metrics = served.door.0.gate.metrics();
    assert_eq!(metrics.mcp_held_back("unmatched").get(), 1);
    assert_eq!(metrics.mcp_sessions().get(), 1);
    served.request("DELETE", "/mcp").session(&session).send("").await;
    assert_eq!(metrics.mcp_sessions().get(), 0);
}

#[tokio::test]
async fn an_exchange_settles_no_request_but_its_own() {
    let result = |text: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":5,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
    };
    // The first call is answered twice; the second answer comes when another request has its id.
    let (mock, served) = with_script(move |request| {
        if request.body.contains("first") {
            let event = |text| chunk(&format!("data: {}\n\n", result(text)));
            return vec![sse_head(), event("one"), Step::Pause(400), event("stray"), Step::Pause(400), last_chunk()];
        }
        [vec![Step::Pause(800)], json(&result("two"))].concat()
    })
    .await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let mut first = post.open(call("5", "first", "{}")).await.into_body();
    assert_eq!(read_messages(&mut first, 1).await.len(), 1);
    let again = post.clone();
    let second = tokio::spawn(async move { again.send(call("5", "second", "{}")).await });
    while mock.received().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = second.await.unwrap();
    assert!(second.text().contains("two"), "{}", second.text());
    assert_eq!(served.door.counters().unmatched.get(), 1);
}
