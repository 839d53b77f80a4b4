//! Several upstreams under one endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json as value};

use super::support::*;
use crate::doors::mcp::McpLimits;
use crate::upstream::{Upstream, Upstreams};

const NOTED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

fn answer_to(body: &str, result: &str) -> String {
    let request: Value = serde_json::from_str(body).unwrap();
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request["id"])
}

fn capable(version: &str, capabilities: &str) -> String {
    format!(
        r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{{"name":"mock","version":"1"}}}}"#
    )
}

/// A member with sessions that offers everything and answers the rest by script.
async fn member(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Mock {
    let all = r#"{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"logging":{}}"#;
    answering(capable("2025-06-18", all), script).await
}

/// The same with this result of `initialize`.
async fn answering(result: String, script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Mock {
    let count = AtomicUsize::new(0);
    Mock::new(move |request| match (request.method(), &*method_of(&request.body)) {
        ("POST", "initialize") => {
            let session = format!("theirs-{}", count.fetch_add(1, Ordering::SeqCst));
            let headers = [("content-type", "application/json"), ("mcp-session-id", &*session)];
            reply(200, &headers, &answer_to(&request.body, &result))
        }
        ("POST", method) if method.starts_with("notifications/") => reply(202, &[], ""),
        ("DELETE", _) => reply(200, &[], ""),
        _ => script(request),
    })
    .await
}

/// A script for a member whose list of tools is this, and whose tools say its name.
fn tools(name: &'static str, list: &'static str) -> impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static {
    move |request| match (request.method(), &*method_of(&request.body)) {
        ("GET", _) => reply(405, &[], ""),
        (_, "tools/list") => json(&answer_to(&request.body, &format!(r#"{{"tools":{list}}}"#))),
        (_, "tools/call") => {
            let text = format!(r#"{{"content":[{{"type":"text","text":"{name}"}}]}}"#);
            json(&answer_to(&request.body, &text))
        }
        ("POST", "") => reply(202, &[], ""),
        _ => json(&answer_to(&request.body, "{}")),
    }
}

fn named(name: &str, mock: &Mock) -> Upstream {
    Upstream::http(name, &format!("http://{}/mcp", mock.address), [("x-api-key", "upstream-key")]).unwrap()
}

async fn unreachable(name: &str) -> Upstream {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("{name}=http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap()
}

fn python(name: &str) -> Upstream {
    Upstream::stdio(name, "python3", [python_server().display().to_string()], []).unwrap()
}

fn ask(id: u32, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}"#)
}

/// Initializes; the answer and the client for the session.
async fn begin(served: &Served) -> (Value, Ask) {
    let answer = served.post().send(INITIALIZE).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = answer.header("mcp-session-id").expect("a session").to_owned();
    let post = served.post().session(&session);
    assert_eq!(post.send(NOTED).await.status, 202);
    (answer.json(), post)
}

fn names(list: &Value, items: &str, key: &str) -> Vec<String> {
    let items = list["result"][items].as_array().unwrap_or_else(|| panic!("{list}"));
    items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

async fn tool_names(post: &Ask) -> Vec<String> {
    names(&post.send(ask(90, "tools/list", "")).await.json(), "tools", "name")
}

/// Waits until it holds.
fn bodies(mock: &Mock, method: &str) -> Vec<Received> {
    mock.received().into_iter().filter(|request| method_of(&request.body) == method).collect()
}

#[tokio::test]
async fn one_conversation_with_two_upstreams_over_http_and_stdio() {
    let files = member(tools("files", r#"[{"x":1.0,"name":"read", "inputSchema":{"type":"object"}}]"#)).await;
    let served = Served::new([named("files", &files), python("py")], quick()).await;
    let (opened, post) = begin(&served).await;
    let result = &opened["result"];
    assert_eq!(result["protocolVersion"], "2025-06-18");
    assert_eq!(result["serverInfo"]["name"], "portcullis");
    assert_eq!(result["capabilities"]["tools"]["listChanged"], true);
    assert_eq!(result["capabilities"]["resources"]["subscribe"], true);
    assert!(result["capabilities"].get("completions").is_none() && result.get("_meta").is_none(), "{result}");
    assert_eq!((served.door.federated_sessions(), served.door.sessions()), (1, 2));

    let list = post.send(ask(1, "tools/list", "")).await;
    assert!(list.text().starts_with(
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"x":1.0,"name":"files__read", "inputSchema":{"type":"object"}},"#
    ));
    assert_eq!(names(&list.json(), "tools", "name"), ["files__read", "py__echo"]);
    let got = post.send(call("2", "files__read", r#"{"a":1.0}"#)).await;
    assert_eq!(got.json()["result"]["content"][0]["text"], "files");
    assert_eq!(bodies(&files, "tools/call")[0].body, call("2", "read", r#"{"a":1.0}"#), "only the name differs");
    let got = post.send(call("\"3\"", "py__echo", r#"{"text":"hello"}"#)).await;
    assert_eq!((got.json()["result"]["content"][0]["text"].as_str(), &got.json()["id"]), (Some("hello"), &"3".into()));
    assert_eq!(post.send(ask(4, "ping", "")).await.text(), r#"{"jsonrpc":"2.0","id":4,"result":{}}"#);

    let entries = served.journal.all();
    let called: Vec<_> = entries.iter().filter(|entry| entry.outcome.is_some()).collect();
    let of = |at: usize| (called[at].upstream.as_deref().unwrap(), called[at].tool.as_deref().unwrap());
    assert_eq!((of(0), of(1)), (("files", "read"), ("py", "echo")), "recorded under the upstream's own names");
    assert_eq!(served.request("POST", "/mcp/files").send(INITIALIZE).await.status, 200, "each has its own path still");

    assert_eq!(post.clone().send("").await.status, 400);
    let ended = served.request("DELETE", "/mcp").session(session_of(&post)).send("").await;
    assert_eq!(ended.status, 200);
    assert_eq!(served.door.federated_sessions(), 0);
    assert_eq!(served.door.sessions(), 1, "what was opened under its own path stays");
    assert_eq!(post.send(ask(5, "ping", "")).await.status, 404);
    let farewells = || files.received().iter().filter(|request| request.method() == "DELETE").count();
    until("the upstream's session is ended", || farewells() == 1).await;
}

fn session_of(post: &Ask) -> &str {
    post.header("mcp-session-id").unwrap()
}

#[tokio::test]
async fn an_upstream_called_a_may_have_a_tool_b_c() {
    let one = member(tools("one", r#"[{"name":"b__c"},{"name":"c"}]"#)).await;
    let two = member(tools("two", r#"[{"name":"c"}]"#)).await;
    let served = Served::new([named("a", &one), named("b", &two)], quick()).await;
    let (_, post) = begin(&served).await;
    assert_eq!(tool_names(&post).await, ["a__b__c", "a__c", "b__c"]);
    for (name, text, own) in [("a__b__c", "one", "b__c"), ("b__c", "two", "c")] {
        let got = post.send(call("1", name, "{}")).await.json();
        assert_eq!(got["result"]["content"][0]["text"], text);
        let mock = if text == "one" { &one } else { &two };
        assert_eq!(bodies(mock, "tools/call").last().unwrap().body, call("1", own, "{}"));
    }
}

#[test]
fn names_that_cannot_be_told_apart_are_refused_in_the_configuration() {
    let upstream = |name: &str| format!("{name}=http://h/").parse::<Upstream>().unwrap();
    for (one, other) in [("a", "a__b"), ("a", "a_"), ("a", "a__"), ("x.y", "x.y__")] {
        let error = Upstreams::new([upstream(one), upstream(other)]).unwrap_err().to_string();
        assert!(error.contains(one) && error.contains(other) && error.contains("rename"), "{error}");
    }
    for (one, other) in [("a", "a_b"), ("a", "ab"), ("a", "a-"), ("a__b", "a__c")] {
        Upstreams::new([upstream(one), upstream(other)]).unwrap();
    }
}

#[test]
fn a_federation_has_a_name_of_its_own_and_members_that_are_there() {
    let upstream = |name: &str| format!("{name}=http://h/").parse::<Upstream>().unwrap();
    let mut upstreams = Upstreams::new(["a", "b", "c"].map(upstream)).unwrap();
    upstreams.federate("team", ["c", "a"]).unwrap();
    let order: Vec<&str> = upstreams.federation("team").unwrap().members.iter().map(|member| &*member.name).collect();
    assert_eq!(order, ["c", "a"], "in the order of the configuration");
    for (name, members, part) in [
        ("a", vec!["b"], "taken"),
        ("team", vec!["b"], "taken"),
        ("no name", vec!["b"], "name"),
        ("x", vec!["none"], "none"),
        ("x", vec!["a", "a"], "twice"),
        ("x", vec![], "1 to 64"),
    ] {
        let error = upstreams.federate(name, members).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let many = Upstreams::new((0..65).map(|index| upstream(&format!("u{index}x")))).unwrap();
    assert!(many.all().is_none(), "more than 64 are not served as one");
}

#[tokio::test]
async fn a_configured_federation_serves_its_members_only() {
    let one = member(tools("one", r#"[{"name":"t"}]"#)).await;
    let two = member(tools("two", r#"[{"name":"t"}]"#)).await;
    let three = member(tools("three", r#"[{"name":"t"}]"#)).await;
    let mut upstreams = Upstreams::new([named("a", &one), named("b", &two), named("c", &three)]).unwrap();
    upstreams.federate("team", ["c", "a"]).unwrap();
    let served = Served::with(upstreams, quick()).await;
    let answer = served.request("POST", "/mcp/team").send(INITIALIZE).await;
    let session = answer.header("mcp-session-id").unwrap().to_owned();
    let post = served.request("POST", "/mcp/team").session(&session);
    assert_eq!(tool_names(&post).await, ["c__t", "a__t"]);
    let got = post.send(call("1", "b__t", "{}")).await.json();
    assert_eq!((got["error"]["code"].as_i64(), two.received().len()), (Some(-32602), 0));
    assert_eq!(served.post().session(&session).send(ask(1, "ping", "")).await.status, 404, "bound to its endpoint");
}

#[tokio::test]
async fn one_upstream_down_gives_a_partial_list_with_a_marker_and_comes_back() {
    let broken = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&broken);
    let list = tools("b", r#"[{"name":"t"}]"#);
    let count = AtomicUsize::new(0);
    let b = Mock::new(move |request| match &*method_of(&request.body) {
        _ if state.load(Ordering::SeqCst) => reply(500, &[], ""),
        "initialize" => {
            let headers = [("content-type", "application/json"), ("mcp-session-id", "late")];
            count.fetch_add(1, Ordering::SeqCst);
            reply(200, &headers, &answer_to(&request.body, &capable("2025-06-18", r#"{"tools":{}}"#)))
        }
        method if method.starts_with("notifications/") => reply(202, &[], ""),
        _ => list(request),
    })
    .await;
    let a = member(tools("a", r#"[{"name":"t"}]"#)).await;
    let served = Served::new([named("a", &a), named("b", &b), unreachable("c").await], quick()).await;
    let (opened, post) = begin(&served).await;
    assert_eq!(opened["result"]["_meta"]["portcullis/unavailable"], value!(["b", "c"]));
    let list = post.send(ask(1, "tools/list", "")).await.json();
    assert_eq!(names(&list, "tools", "name"), ["a__t"]);
    assert_eq!(list["result"]["_meta"]["portcullis/unavailable"], value!(["b", "c"]));
    let got = post.send(call("2", "b__t", "{}")).await.json();
    let text = got["error"]["message"].as_str().unwrap();
    assert!(text.contains("upstream b is not available") && text.contains("nothing has run"), "{text}");
    assert_eq!(post.send(call("3", "a__t", "{}")).await.json()["result"]["content"][0]["text"], "a");

    broken.store(false, Ordering::SeqCst);
    assert_eq!(post.send(call("4", "b__t", "{}")).await.json()["result"]["content"][0]["text"], "b");
    let begun: Vec<String> = b.received().iter().map(|request| method_of(&request.body)).collect();
    assert!(
        begun.ends_with(&["initialize", "notifications/initialized", "tools/call"].map(str::to_owned)),
        "{begun:?}"
    );
    let list = post.send(ask(5, "tools/list", "")).await.json();
    assert_eq!(names(&list, "tools", "name"), ["a__t", "b__t"]);
    assert_eq!(list["result"]["_meta"]["portcullis/unavailable"], value!(["c"]));
}

#[tokio::test]
async fn with_no_upstream_there_is_no_session() {
    let served = Served::new([unreachable("a").await, unreachable("b").await], quick()).await;
    let got = served.post().send(INITIALIZE).await;
    assert_eq!(got.json()["error"]["code"], -32603, "{}", got.text());
    assert_eq!(got.json()["id"], "init");
    assert!(got.header("mcp-session-id").is_none());
    until("nothing is kept", || served.door.federated_sessions() == 0).await;
}

#[tokio::test]
async fn an_expired_upstream_session_begins_anew_without_losing_the_others() {
    let a = member(tools("a", r#"[{"name":"t"}]"#)).await;
    let list = tools("b", r#"[{"name":"t"}]"#);
    // The first session of b is over at some time.
    let expired = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&expired);
    let b = member(move |request| match request.header("mcp-session-id") {
        Some("theirs-0") if over.load(Ordering::SeqCst) => reply(404, &[], ""),
        _ => list(request),
    })
    .await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    // What the client has set is set again, only where it was.
    let level = ask(3, "logging/setLevel", r#""level":"error""#);
    post.send(level).await;
    for id in ["x", "y"] {
        post.send(ask(4, "resources/subscribe", &format!(r#""uri":"portcullis:b:file:///{id}""#))).await;
    }
    post.send(ask(5, "resources/unsubscribe", r#""uri":"portcullis:b:file:///y""#)).await;
    expired.store(true, Ordering::SeqCst);
    let got = post.send(call("1", "b__t", r#"{"n":1.0}"#)).await;
    assert_eq!(got.json()["result"]["content"][0]["text"], "b", "{}", got.text());
    let calls = bodies(&b, "tools/call");
    let sessions: Vec<_> = calls.iter().map(|request| request.header("mcp-session-id").unwrap()).collect();
    assert_eq!(sessions, ["theirs-0", "theirs-1"], "sent again once, in the new session");
    assert_eq!(calls[0].body, calls[1].body);
    let again = bodies(&b, "initialize");
    let params = |request: &Received| serde_json::from_str::<Value>(&request.body).unwrap()["params"].clone();
    assert_eq!(params(&again[0]), params(&again[1]), "with what the client had said");
    assert_eq!(bodies(&b, "notifications/initialized").len(), 2);
    let anew = |method: &str| {
        let all = bodies(&b, method).into_iter();
        all.filter(|request| request.header("mcp-session-id") == Some("theirs-1"))
            .map(|request| request.body)
            .collect::<Vec<_>>()
    };
    let told = || (anew("logging/setLevel"), anew("resources/subscribe"));
    until("it is told again", || !told().0.is_empty() && !told().1.is_empty()).await;
    let (levels, followed) = told();
    assert!(levels.len() == 1 && levels[0].contains(r#""level":"error""#), "{levels:?}");
    assert!(followed.len() == 1 && followed[0].contains("file:///x"), "{followed:?}");
    assert!(bodies(&a, "resources/subscribe").is_empty());
    assert_eq!(post.send(call("2", "a__t", "{}")).await.json()["result"]["content"][0]["text"], "a");
    assert_eq!(bodies(&a, "initialize").len(), 1, "the other one goes on as it was");
    assert_eq!(bodies(&a, "tools/call")[0].header("mcp-session-id"), Some("theirs-0"));
}

#[tokio::test]
async fn what_is_kept_of_a_client_is_bounded_in_bytes() {
    let (a, b) = (member(tools("a", "[]")).await, member(tools("b", "[]")).await);
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let large = |size: usize| format!(r#""params":{{"pad":"{}","#, "x".repeat(size));
    let got = served.post().send(INITIALIZE.replacen("\"params\":{", &large(65_536), 1)).await;
    assert_eq!(got.json()["error"]["code"], -32602, "{}", got.text());
    assert!(got.header("mcp-session-id").is_none() && a.received().is_empty());
    assert_eq!(served.door.federated_sessions(), 0);
    let got = served.post().send(INITIALIZE.replacen("\"params\":{", &large(60_000), 1)).await;
    assert!(got.header("mcp-session-id").is_some(), "{}", got.text());

    let (_, post) = begin(&served).await;
    let got = post.send(ask(1, "logging/setLevel", &format!(r#""level":"{}""#, "x".repeat(65_536)))).await.json();
    assert_eq!(got["error"]["code"], -32602);
    assert!(bodies(&a, "logging/setLevel").is_empty());
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        let got = post.send(ask(2, method, &format!(r#""uri":"portcullis:a:{}""#, "x".repeat(2049)))).await.json();
        assert_eq!(got["error"]["code"], -32602, "{method}");
        assert!(bodies(&a, method).is_empty(), "{method}");
        let got = post.send(ask(3, method, &format!(r#""uri":"portcullis:a:{}""#, "x".repeat(2048)))).await.json();
        assert_eq!(got["result"], value!({}), "{method}");
    }
}

#[tokio::test]
async fn a_resource_is_remembered_only_if_its_upstream_took_the_subscription() {
    let over = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&over);
    let rest = tools("a", "[]");
    let a = member(move |request| {
        if request.header("mcp-session-id") == Some("theirs-0") && state.load(Ordering::SeqCst) {
            return reply(404, &[], "");
        }
        let id = &serde_json::from_str::<Value>(&request.body).unwrap()["id"];
        if request.body.contains("file:///refused") {
            return json(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32002,"message":"no"}}}}"#));
        }
        if request.body.contains("file:///broken") {
            return vec![Step::Reset];
        }
        if request.body.contains("file:///streamed") {
            return sse(&[&format!("data: {}\n\n", answer_to(&request.body, "{}"))]);
        }
        rest(request)
    })
    .await;
    let served = Served::new([named("a", &a), named("b", &member(tools("b", "[]")).await)], quick()).await;
    let (_, post) = begin(&served).await;
    for (id, name) in (10..).zip(["refused", "broken", "streamed", "whole"]) {
        let got = post.send(ask(id, "resources/subscribe", &format!(r#""uri":"portcullis:a:file:///{name}""#))).await;
        assert_eq!(got.text().contains("result"), matches!(name, "streamed" | "whole"), "{name}: {}", got.text());
    }
    over.store(true, Ordering::SeqCst);
    post.send(call("2", "a__t", "{}")).await;
    let anew = || {
        let all = bodies(&a, "resources/subscribe").into_iter();
        all.filter(|request| request.header("mcp-session-id") == Some("theirs-1")).collect::<Vec<_>>()
    };
    until("both are followed again", || anew().len() >= 2).await;
    let told = anew();
    for name in ["streamed", "whole"] {
        assert!(told.iter().any(|request| request.body.contains(name)), "{told:?}");
    }
    assert!(!told.iter().any(|request| request.body.contains("refused") || request.body.contains("broken")));
}

/// The session ids with which a member was told that they are over.
fn farewells(mock: &Mock) -> Vec<String> {
    let deletes = mock.received().into_iter().filter(|request| request.method() == "DELETE");
    deletes.filter_map(|request| Some(request.header("mcp-session-id")?.to_owned())).collect()
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_what_is_set_again_comes_back_all_the_same() {
    let over = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&over);
    let list = tools("b", "[]");
    let b = member(move |request| match (request.header("mcp-session-id"), &*method_of(&request.body)) {
        (Some("theirs-0"), _) if state.load(Ordering::SeqCst) => reply(404, &[], ""),
        (Some("theirs-1"), "logging/setLevel") => vec![Step::UntilClosed],
        (Some("theirs-1"), "resources/subscribe") if request.body.contains("file:///0") => vec![Step::UntilClosed],
        _ => list(request),
    })
    .await;
    let a = member(tools("a", "[]")).await;
    // Nobody waits: else the test would not end.
    let limits = McpLimits { fan_out_wait: Duration::from_secs(3600), ..quick() };
    let limits = McpLimits { first_byte_wait: Duration::from_secs(3600), ..limits };
    let served = Served::new([named("a", &a), named("b", &b)], limits).await;
    let (_, post) = begin(&served).await;
    post.send(ask(1, "logging/setLevel", r#""level":"error""#)).await;
    for id in 0..3 {
        post.send(ask(2, "resources/subscribe", &format!(r#""uri":"portcullis:b:file:///{id}""#))).await;
    }
    over.store(true, Ordering::SeqCst);
    let answer = tokio::time::timeout(Duration::from_secs(10), post.send(call("3", "b__t", "{}"))).await;
    assert_eq!(answer.expect("it does not wait").json()["result"]["content"][0]["text"], "b");
    let again = |uri: &str| {
        let all = bodies(&b, "resources/subscribe").into_iter();
        all.filter(|sent| sent.header("mcp-session-id") == Some("theirs-1")).any(|sent| sent.body.contains(uri))
    };
    until("the others are told all the same", || again("file:///1") && again("file:///2")).await;
    assert_eq!(bodies(&b, "initialize").len(), 2, "one new session");
    assert_eq!(served.door.sessions(), 2);
    assert!(farewells(&b).is_empty());
}

#[tokio::test]
async fn a_session_of_an_upstream_whose_beginning_stalls_is_ended_at_once() {
    let stalling = || {
        Mock::new(|request| {
            match &*method_of(&request.body) {
            "initialize" => vec![
                Step::Bytes(
                    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\nmcp-session-id: stalled\r\ntransfer-encoding: chunked\r\n\r\n"
                        .to_vec(),
                ),
                chunk(": soon\n\n"),
                Step::UntilClosed,
            ],
            _ => reply(200, &[], ""),
        }
        })
    };
    let (a, b) = (member(tools("a", "[]")).await, stalling().await);
    let limits = McpLimits { fan_out_wait: Duration::from_millis(400), ..quick() };
    let served = Served::new([named("a", &a), named("b", &b)], limits).await;
    let (opened, _) = begin(&served).await;
    assert_eq!(opened["result"]["_meta"]["portcullis/unavailable"], value!(["b"]));
    until("the upstream is told", || farewells(&b) == ["stalled"]).await;
    assert_eq!(served.door.sessions(), 1, "the one with a");

    // The same if the client goes away meanwhile.
    let b = stalling().await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let asking = served.post();
    let opening = tokio::spawn(async move { asking.send(INITIALIZE).await });
    until("both have begun", || served.door.sessions() == 2).await;
    opening.abort();
    until("the upstream is told", || farewells(&b) == ["stalled"]).await;
    until("no session is left", || served.door.federated_sessions() + served.door.sessions() == 0).await;
}

#[tokio::test]
async fn a_session_of_an_upstream_that_is_not_told_of_in_time_is_ended() {
    let over = Arc::new(AtomicBool::new(false));
    let (state, count) = (Arc::clone(&over), AtomicUsize::new(0));
    let list = tools("b", "[]");
    let b = Mock::new(move |request| {
        let session = request.header("mcp-session-id");
        match &*method_of(&request.body) {
            "initialize" => {
                let session = format!("theirs-{}", count.fetch_add(1, Ordering::SeqCst));
                let headers = [("content-type", "application/json"), ("mcp-session-id", &*session)];
                reply(200, &headers, &answer_to(&request.body, &capable("2025-06-18", r#"{"tools":{}}"#)))
            }
            "tools/call" if session == Some("theirs-0") && state.load(Ordering::SeqCst) => reply(404, &[], ""),
            "notifications/initialized" if session == Some("theirs-1") => vec![Step::UntilClosed],
            "notifications/initialized" => reply(202, &[], ""),
            _ => list(request),
        }
    })
    .await;
    let a = member(tools("a", "[]")).await;
    let limits = McpLimits { fan_out_wait: Duration::from_millis(400), ..quick() };
    let served = Served::new([named("a", &a), named("b", &b)], limits).await;
    let (_, post) = begin(&served).await;
    over.store(true, Ordering::SeqCst);
    let got = post.send(call("1", "b__t", "{}")).await.json();
    assert!(got["error"]["message"].as_str().unwrap().contains("did not answer in time"), "{got}");
    until("the upstream is told", || farewells(&b).contains(&"theirs-1".to_owned())).await;
    assert_eq!(served.door.sessions(), 1, "the one with a");
    assert_eq!(post.send(call("2", "b__t", "{}")).await.json()["result"]["content"][0]["text"], "b");
    assert_eq!(served.door.sessions(), 2);
}

#[tokio::test]
async fn a_request_that_is_cancelled_after_its_stream_ended_gives_its_place_back() {
    let list = tools("a", "[]");
    let a = member(move |request| match &*method_of(&request.body) {
        "tools/call" if request.body.contains("later") => sse(&["id: e:1\nretry: 10\ndata:\n\n"]),
        _ => list(request),
    })
    .await;
    let b = member(tools("b", "[]")).await;
    let limits = McpLimits { in_flight: 1, ..quick() };
    let served = Served::new([named("a", &a), named("b", &b)], limits).await;
    let (_, post) = begin(&served).await;
    let got = post.send(call("1", "a__later", "{}")).await;
    assert!(got.messages().is_empty(), "{}", got.text());
    assert!(post.send(call("2", "b__t", "{}")).await.json()["error"].is_object(), "its answer may still come");
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(post.send(cancel).await.status, 202);
    assert_eq!(bodies(&a, "notifications/cancelled").len(), 1);
    assert_eq!(post.send(call("3", "b__t", "{}")).await.json()["result"]["content"][0]["text"], "b");
}

/// A script whose calls ask the client this often and do not end.
fn asking(questions: usize) -> impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static {
    move |request| match &*method_of(&request.body) {
        "tools/call" => {
            let mut steps = vec![sse_head()];
            steps.extend(
                (0..questions).map(|id| {
                    chunk(&format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"roots/list\"}}\n\n"))
                }),
            );
            steps.push(Step::UntilClosed);
            steps
        }
        _ => reply(202, &[], ""),
    }
}

#[tokio::test]
async fn one_upstream_cannot_take_the_places_for_questions_of_the_others() {
    let many = member(asking(200)).await;
    let mut upstreams = vec![named("many", &many)];
    let one = member(asking(1)).await;
    upstreams.extend((0..7).map(|index| named(&format!("u{index}x"), &one)));
    let served = Served::new(upstreams, quick()).await;
    let (_, post) = begin(&served).await;
    let mut stream = post.open(call("1", "many__t", "{}")).await.into_body();
    assert_eq!(read_messages(&mut stream, 128).await.len(), 128);
    let refused = || bodies(&many, "").iter().filter(|sent| sent.body.contains("too many questions")).count();
    until("an eighth of all places is its own", || refused() == 72).await;
    let mut other = post.open(call("2", "u0x__t", "{}")).await.into_body();
    assert!(read_messages(&mut other, 1).await[0].contains("roots/list"));
}

#[tokio::test]
async fn questions_of_an_upstream_whose_session_is_over_are_dropped() {
    let script = asking(1);
    let over = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&over);
    let a = member(move |request| match request.header("mcp-session-id") {
        Some("theirs-0") if state.load(Ordering::SeqCst) => reply(404, &[], ""),
        _ => script(request),
    })
    .await;
    let b = member(tools("b", "[]")).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let question = async |id: &str| -> (Value, hyper::body::Incoming) {
        let mut stream = post.open(call(id, "a__t", "{}")).await.into_body();
        let question: Value = serde_json::from_str(&read_messages(&mut stream, 1).await[0]).unwrap();
        (question["id"].clone(), stream)
    };
    let answer = |id: &Value| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[]}}}}"#);
    let (old, _old) = question("1").await;
    over.store(true, Ordering::SeqCst);
    let (new, _new) = question("2").await;
    assert_eq!(post.send(answer(&old)).await.status, 400, "nobody waits for it any more");
    assert_eq!(post.send(answer(&new)).await.status, 202);
    until("the new one is answered", || bodies(&a, "").len() == 1).await;
    assert_eq!(bodies(&a, "")[0].header("mcp-session-id"), Some("theirs-1"));
}

#[tokio::test]
async fn an_upstream_without_sessions_that_answers_404_does_not_end_the_clients_session() {
    let a = Mock::new(|request| {
        let id = &serde_json::from_str::<Value>(&request.body).unwrap_or_default()["id"];
        match &*method_of(&request.body) {
            "initialize" => json(&answer_to(&request.body, &capable("2025-06-18", r#"{"tools":{}}"#))),
            "tools/call" => {
                let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"gone"}}}}"#);
                reply(404, &[("content-type", "application/json")], &error)
            }
            _ => reply(202, &[], ""),
        }
    })
    .await;
    let b = member(tools("b", "[]")).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let got = post.send(call("1", "a__t", "{}")).await;
    assert_eq!((got.status, got.json()["error"]["code"].as_i64()), (200, Some(-32601)), "{}", got.text());
    assert_eq!(post.send(call("2", "b__t", "{}")).await.json()["result"]["content"][0]["text"], "b");
}

#[tokio::test]
async fn a_session_that_is_over_again_at_once_is_not_tried_for_ever() {
    let b = member(|_| reply(404, &[], "")).await;
    let a = member(tools("a", "[]")).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let got = post.send(call("1", "b__t", "{}")).await;
    assert_eq!((got.status, got.json()["error"]["code"].as_i64()), (200, Some(-32603)), "{}", got.text());
    assert_eq!(bodies(&b, "tools/call").len(), 2);
}

#[tokio::test]
async fn a_call_that_may_have_run_is_not_sent_again() {
    let b = member(|request| match &*method_of(&request.body) {
        "tools/call" => vec![Step::Reset],
        _ => json(&answer_to(&request.body, r#"{"tools":[]}"#)),
    })
    .await;
    let a = member(tools("a", "[]")).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let got = post.send(call("1", "b__t", "{}")).await.json();
    assert_eq!(got["error"]["code"], -32603);
    assert_eq!(bodies(&b, "tools/call").len(), 1);
    assert_eq!(served.journal.outcome().await, portcullis_model::Outcome::Uncertain);
}

#[tokio::test]
async fn a_child_that_died_is_started_anew() {
    let served = Served::new([python("one"), python("two")], quick()).await;
    let (_, post) = begin(&served).await;
    let pid = async |name: &str| {
        post.send(call("1", &format!("{name}__pid"), "{}")).await.json()["result"]["content"][0]["text"].clone()
    };
    let (one, two) = (pid("one").await, pid("two").await);
    assert_eq!(post.send(call("2", "two__die", "{}")).await.json()["error"]["code"], -32603);
    let anew = pid("two").await;
    assert!(anew.is_string() && anew != two);
    assert_eq!(pid("one").await, one);
}

#[tokio::test]
async fn an_unknown_tool_looks_as_if_from_an_upstream() {
    let a = member(tools("a", r#"[{"name":"t"}]"#)).await;
    let b = member(tools("b", r#"[{"name":"t"}]"#)).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    for name in ["t", "c__t", "a_t", "a__", "", "a__t\\u0000", "a__\\u0430"] {
        let got = post.send(call("7", name, "{}")).await.json();
        assert_eq!((got["error"]["code"].as_i64(), &got["id"]), (Some(-32602), &7.into()), "{name}: {got}");
        let text = got["error"]["message"].as_str().unwrap();
        assert!(text.starts_with("Unknown tool: ") && got["error"].get("data").is_none(), "{got}");
    }
    let got = post.send(ask(8, "prompts/get", r#""name":"c__x""#)).await.json();
    assert_eq!(got["error"]["message"], "Unknown prompt: c__x");
    let got = post.send(ask(9, "resources/read", r#""uri":"file:///x""#)).await.json();
    assert_eq!(
        (got["error"]["code"].as_i64(), got["error"]["data"]["uri"].as_str()),
        (Some(-32002), Some("file:///x"))
    );
    let got = post.send(ask(10, "vendor/new", "")).await.json();
    assert_eq!(got["error"]["code"], -32601);
    assert!(bodies(&a, "tools/call").is_empty() && bodies(&b, "tools/call").is_empty());
}

#[tokio::test]
async fn the_callers_token_is_not_forwarded_and_each_upstream_gets_its_own_headers() {
    let a = member(tools("a", r#"[{"name":"t"}]"#)).await;
    let b = member(tools("b", r#"[{"name":"t"}]"#)).await;
    let own = |name: &str, mock: &Mock, key: &str| {
        Upstream::http(name, &format!("http://{}/mcp", mock.address), [("authorization", key)]).unwrap()
    };
    let served = Served::new([own("a", &a, "Bearer key-a"), own("b", &b, "Bearer key-b")], quick()).await;
    let (_, post) = begin(&served).await;
    let post = post.with("traceparent", "00-1").with("cookie", "secret").with("x-other", "secret");
    tool_names(&post).await;
    post.send(call("1", "a__t", "{}")).await;
    post.send(call("2", "b__t", "{}")).await;
    for (mock, key) in [(&a, "Bearer key-a"), (&b, "Bearer key-b")] {
        assert!(mock.received().len() >= 4);
        for request in mock.received() {
            assert_eq!(request.header("authorization"), Some(key), "{}", request.head);
            assert!(!request.head.contains("Bearer agent") && !request.head.contains("secret"), "{}", request.head);
            assert!(!request.head.contains(session_of(&post)), "{}", request.head);
        }
        assert_eq!(bodies(mock, "tools/call")[0].header("traceparent"), Some("00-1"));
    }
}

#[tokio::test]
async fn the_lowest_common_revision_is_agreed_on_and_each_member_keeps_its_own() {
    let list = || tools("x", r#"[{"name":"t"}]"#);
    let result =
        capable("2025-03-26", r#"{"tools":{},"completions":{}}"#).replacen('{', r#"{"instructions":"Be kind.","#, 1);
    let a = answering(result, list()).await;
    let b = member(list()).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (opened, post) = begin(&served).await;
    assert_eq!(opened["result"]["protocolVersion"], "2025-03-26");
    assert_eq!(opened["result"]["instructions"], "# a\n\nBe kind.");
    assert!(opened["result"]["capabilities"]["completions"].is_object());
    let post = post.with("mcp-protocol-version", "2025-03-26");
    tool_names(&post).await;
    assert_eq!(bodies(&a, "tools/list")[0].header("mcp-protocol-version"), Some("2025-03-26"));
    assert_eq!(bodies(&b, "tools/list")[0].header("mcp-protocol-version"), Some("2025-06-18"));
    let odd = answering(capable("1999-01-01", "{}"), list()).await;
    let served = Served::new([named("a", &odd), named("b", &b)], quick()).await;
    let (opened, _) = begin(&served).await;
    assert_eq!(opened["result"]["_meta"]["portcullis/unavailable"], value!(["a"]), "no revision of ours");
}

#[tokio::test]
async fn all_pages_become_one_and_a_cursor_is_refused() {
    let a = member(|request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let page = match body["params"]["cursor"].as_str() {
            None => r#"{"tools":[{"name":"one"}],"nextCursor":"p 2\""}"#,
            Some("p 2\"") => r#"{"tools":[{"name":"two"},{"name":"one"},{"name":"é"},{"name":"Two"}]}"#,
            _ => panic!("{body}"),
        };
        assert_eq!(body["params"]["_meta"]["x"], 1, "the client's own parameters stay");
        json(&answer_to(&request.body, page))
    })
    .await;
    let endless = member(|request| {
        let next = request.body.len();
        json(&answer_to(
            &request.body,
            &format!(r#"{{"tools":[{{"name":"t{next}"}}],"nextCursor":"{next}x{}"}}"#, request.body)
                .replace(&request.body, &request.body.replace(['"', '{', '}'], "")),
        ))
    })
    .await;
    let served = Served::new([named("a", &a)].into_iter().chain([named("b", &endless)]), quick()).await;
    let (_, post) = begin(&served).await;
    let list = post.send(ask(1, "tools/list", r#""_meta":{"x":1}"#)).await.json();
    let own: Vec<String> = names(&list, "tools", "name").into_iter().filter(|name| name.starts_with("a__")).collect();
    assert_eq!(own, ["a__one", "a__two", "a__Two"]);
    assert_eq!(list["result"]["_meta"]["portcullis/left-out"]["a"], 2, "one twice, one that no model may call");
    assert!(list["result"]["_meta"]["portcullis/left-out"]["b"].as_u64().unwrap() >= 1, "a list without an end is cut");
    assert!(list["result"].get("nextCursor").is_none());
    assert!(bodies(&endless, "tools/list").len() <= 100);
    let got = post.send(ask(2, "tools/list", r#""cursor":"x""#)).await.json();
    assert_eq!(got["error"]["code"], -32602);
}

#[tokio::test]
async fn look_alikes_of_different_upstreams_are_left_out_or_named() {
    let a = member(tools("a", r#"[{"name":"read"},{"name":"list-all"}]"#)).await;
    let b = member(tools("b", r#"[{"name":"read"},{"name":"1ist_all"}]"#)).await;
    let served = Served::new([named("git", &a), named("g1t", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let list = post.send(ask(1, "tools/list", "")).await.json();
    assert_eq!(names(&list, "tools", "name"), ["g1t__read", "g1t__1ist_all"]);
    assert_eq!(list["result"]["_meta"]["portcullis/left-out"]["git"], 2);
    let served = Served::new([named("files", &a), named("web", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let list = post.send(ask(1, "tools/list", "")).await.json();
    assert_eq!(names(&list, "tools", "name").len(), 4, "the same name in two upstreams is no look-alike");
    assert_eq!(list["result"]["_meta"]["portcullis/look-alikes"], value!(["web__1ist_all"]));
}

#[tokio::test]
async fn lists_are_inspected_for_each_upstream() {
    let a = member(tools("a", r#"[{"name":"t","description":"a SECRET"}]"#)).await;
    let b = member(tools("b", r#"[{"name":"t","description":"DENY"}]"#)).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let list = post.send(ask(1, "tools/list", "")).await.json();
    assert_eq!(list["result"]["tools"], value!([{ "name": "a__t", "description": "a [redacted]" }]));
    assert_eq!(list["result"]["_meta"]["portcullis/unavailable"], value!(["b"]));
    let denied = post.send(call("2", "a__t", r#"{"x":"DENY"}"#)).await.json();
    assert_eq!(denied["result"]["isError"], true);
    assert!(bodies(&a, "tools/call").is_empty(), "a denied call never leaves");
}

#[tokio::test]
async fn two_upstreams_that_ask_at_once_with_the_same_id_each_get_their_own_answer() {
    let served = Served::new([python("one"), python("two")], quick()).await;
    let (_, post) = begin(&served).await;
    let mut streams = Vec::new();
    let mut questions = Vec::new();
    for (id, name) in [(1, "one"), (2, "two")] {
        let mut stream = post.open(call(&id.to_string(), &format!("{name}__ask"), "{}")).await.into_body();
        let question: Value = serde_json::from_str(&read_messages(&mut stream, 1).await[0]).unwrap();
        assert_eq!(question["method"], "elicitation/create");
        questions.push(question["id"].clone());
        streams.push(stream);
    }
    assert_ne!(questions[0], questions[1], "both of them wrote \"question\"");
    let answer = |id: &Value, text: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"is":"{text}"}}}}"#);
    assert_eq!(post.send(answer(&questions[1], "for two")).await.status, 202);
    assert_eq!(post.send(answer(&questions[0], "for one")).await.status, 202);
    for (stream, (id, text)) in streams.iter_mut().zip([(1, "for one"), (2, "for two")]) {
        let result: Value = serde_json::from_str(&read_messages(stream, 1).await[0]).unwrap();
        assert_eq!(result["id"], id);
        assert!(result["result"]["content"][0]["text"].as_str().unwrap().contains(text), "{result}");
    }
    assert_eq!(post.send(answer(&questions[0], "again")).await.status, 400, "a question is answered once");
    assert_eq!(post.send(answer(&"question".into(), "x")).await.status, 400, "nobody asked under this id");
    let lines = served.journal.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("message")).count(), 4, "both sides are inspected: {lines:?}");
}

#[tokio::test]
async fn progress_and_answers_about_a_question_go_to_who_asked() {
    let asking = |request: &Received| match &*method_of(&request.body) {
        "tools/call" => vec![
            sse_head(),
            chunk(
                "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"sampling/createMessage\",\"params\":{\"_meta\":{\"progressToken\":1}}}\n\n",
            ),
            chunk(
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":8}}\n\n",
            ),
            Step::UntilClosed,
        ],
        _ => reply(202, &[], ""),
    };
    let (a, b) = (member(asking).await, member(asking).await);
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let mut open = Vec::new();
    let mut ids = Vec::new();
    for (id, name) in [(1, "a__t"), (2, "b__t")] {
        let mut stream = post.open(call(&id.to_string(), name, "{}")).await.into_body();
        let question: Value = serde_json::from_str(&read_messages(&mut stream, 1).await[0]).unwrap();
        assert_eq!(question["id"], question["params"]["_meta"]["progressToken"]);
        ids.push(question["id"].clone());
        open.push(stream);
    }
    let progress = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{},"progress":1}}}}"#,
        ids[1]
    );
    assert_eq!(post.send(progress).await.status, 202);
    let told = bodies(&b, "notifications/progress");
    assert!(told[0].body.contains(r#""progressToken":1,"#), "{}", told[0].body);
    assert!(bodies(&a, "notifications/progress").is_empty());
    let error = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-1,"message":"no"}}}}"#, ids[0]);
    assert_eq!(post.send(error).await.status, 202);
    let answers = bodies(&a, "");
    assert_eq!(answers.last().unwrap().body, r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}"#);
    assert!(bodies(&b, "").is_empty());
}

#[tokio::test]
async fn a_cancellation_reaches_the_right_upstream() {
    let hanging = |request: &Received| match &*method_of(&request.body) {
        "tools/call" => vec![
            sse_head(),
            chunk(
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n",
            ),
            Step::UntilClosed,
        ],
        _ => reply(202, &[], ""),
    };
    let (a, b) = (member(hanging).await, member(hanging).await);
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let mut one = post.open(call("1", "a__t", "{}")).await.into_body();
    let mut two = post.open(call("2", "b__t", "{}")).await.into_body();
    // Nothing is held back until the answer is whole.
    read_messages(&mut one, 1).await;
    read_messages(&mut two, 1).await;
    let cancel =
        |id: u32| format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
    assert_eq!(post.send(cancel(2)).await.status, 202);
    assert_eq!(post.send(cancel(3)).await.status, 202, "of nothing that runs");
    assert_eq!(bodies(&b, "notifications/cancelled").len(), 1);
    assert!(bodies(&a, "notifications/cancelled").is_empty());
    assert_eq!(served.journal.outcome().await, portcullis_model::Outcome::Cancelled);
    // The client's going away ends the other one at its upstream.
    drop(one);
    until("the upstream is left", || *a.left.lock().unwrap() == 1).await;
    // The same id at the same time, to another member.
    let again = post.send(call("2", "a__t", "{}")).await.json();
    assert_eq!(again["error"]["code"], -32600, "{again}");
}

#[tokio::test]
async fn a_list_can_be_cancelled_and_who_takes_too_long_is_left_out() {
    let slow = || {
        member(|request| match &*method_of(&request.body) {
            "tools/list" => vec![Step::UntilClosed],
            _ => json(&answer_to(&request.body, r#"{"content":[]}"#)),
        })
    };
    let (a, b) = (member(tools("a", r#"[{"name":"t"}]"#)).await, slow().await);
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let listing = {
        let post = post.clone();
        tokio::spawn(async move { post.send(ask(1, "tools/list", "")).await })
    };
    until("the list is asked for", || !bodies(&b, "tools/list").is_empty()).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(post.send(cancel).await.status, 202);
    assert_eq!(listing.await.unwrap().json()["error"]["message"], "the request was cancelled");
    until("the upstream is left", || *b.left.lock().unwrap() == 1).await;

    let limits = McpLimits { fan_out_wait: Duration::from_millis(400), ..quick() };
    let served = Served::new([named("a", &a), named("b", &b)], limits).await;
    let (_, post) = begin(&served).await;
    let list = post.send(ask(1, "tools/list", "")).await.json();
    assert_eq!(names(&list, "tools", "name"), ["a__t"]);
    assert_eq!(list["result"]["_meta"]["portcullis/unavailable"], value!(["b"]));
    assert_eq!(
        post.send(call("2", "b__t", "{}")).await.json()["result"]["content"],
        value!([]),
        "calls may take longer"
    );
}

/// A script whose GET stream says this and stays open.
fn streaming(says: &'static [&'static str]) -> impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static {
    let rest = tools("x", r#"[{"name":"t"}]"#);
    move |request| match request.method() {
        "GET" => {
            let mut steps = vec![sse_head()];
            steps.extend(says.iter().map(|message| chunk(&format!("id: 9\ndata: {message}\n\n"))));
            steps.push(Step::UntilClosed);
            steps
        }
        _ => rest(request),
    }
}

#[tokio::test]
async fn the_streams_of_all_upstreams_are_one() {
    let a = member(streaming(&[
        r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///x"}}"#,
    ]))
    .await;
    let b = member(streaming(&[r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#])).await;
    let c = member(tools("c", "[]")).await;
    let served = Served::new([named("a", &a), named("b", &b), named("c", &c)], quick()).await;
    let (_, post) = begin(&served).await;
    let get = served.request("GET", "/mcp").session(session_of(&post));
    let mut stream = get.open("").await.into_body();
    let messages = read_messages(&mut stream, 3).await;
    let parsed: Vec<Value> = messages.iter().map(|message| serde_json::from_str(message).unwrap()).collect();
    let updated = parsed.iter().find(|message| message["params"]["uri"].is_string()).unwrap();
    assert_eq!(updated["params"]["uri"], "portcullis:a:file:///x");
    let ids: Vec<&Value> =
        parsed.iter().filter(|message| message["method"] == "roots/list").map(|m| &m["id"]).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{messages:?}");
    for id in ids {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[]}}}}"#);
        assert_eq!(post.send(answer).await.status, 202);
    }
    for mock in [&a, &b] {
        let answers = bodies(mock, "");
        assert_eq!(answers.last().unwrap().body, r#"{"jsonrpc":"2.0","id":5,"result":{"roots":[]}}"#);
    }
    assert_eq!(get.send("").await.status, 409, "one stream at a time");
    assert_eq!(served.request("DELETE", "/mcp").session(session_of(&post)).send("").await.status, 200);
    until("the upstreams' streams are closed", || *a.left.lock().unwrap() + *b.left.lock().unwrap() == 2).await;
    let rest = tokio::time::timeout(Duration::from_secs(10), http_body_util::BodyExt::collect(stream)).await;
    rest.expect("the client's stream ends").unwrap();
}

#[tokio::test]
async fn an_upstream_that_comes_later_is_heard_on_the_stream() {
    let down = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&down);
    let says = streaming(&[r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#]);
    let b = Mock::new(move |request| match &*method_of(&request.body) {
        _ if state.load(Ordering::SeqCst) => reply(503, &[], ""),
        "initialize" => {
            let headers = [("content-type", "application/json"), ("mcp-session-id", "late")];
            reply(200, &headers, &answer_to(&request.body, &capable("2025-06-18", r#"{"tools":{}}"#)))
        }
        method if method.starts_with("notifications/") => reply(202, &[], ""),
        _ => says(request),
    })
    .await;
    let a = member(tools("a", "[]")).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let mut stream = served.request("GET", "/mcp").session(session_of(&post)).open("").await.into_body();
    down.store(false, Ordering::SeqCst);
    assert_eq!(tool_names(&post).await, ["b__t"]);
    assert!(read_messages(&mut stream, 1).await[0].contains("list_changed"));
}

#[tokio::test]
async fn what_an_upstream_says_beside_a_list_waits_for_the_stream() {
    let a = member(|request| match &*method_of(&request.body) {
        "tools/list" => {
            let answer = answer_to(&request.body, r#"{"tools":[]}"#);
            sse(&[
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n",
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n",
                &format!("data: {answer}\n\n"),
            ])
        }
        _ => reply(405, &[], ""),
    })
    .await;
    let b = member(tools("b", "[]")).await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    tool_names(&post).await;
    let mut stream = served.request("GET", "/mcp").session(session_of(&post)).open("").await.into_body();
    assert!(
        read_messages(&mut stream, 1).await[0].contains("list_changed"),
        "progress of our own request is not for it"
    );
}

#[tokio::test]
async fn a_stream_of_a_call_is_taken_up_again_with_its_upstream() {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
    let script = move |request: &Received| match request.method() {
        "GET" if request.header("last-event-id") == Some("e:1") => sse(&[&format!("id: e:2\ndata: {answer}\n\n")]),
        "GET" => reply(405, &[], ""),
        _ => sse(&["id: e:1\nretry: 10\ndata:\n\n"]),
    };
    let (a, b) = (member(script).await, member(script).await);
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    let got = post.send(call("1", "b__t", "{}")).await;
    assert!(got.text().contains("id: b:e:1\n") && got.messages().is_empty(), "{}", got.text());
    let get = served.request("GET", "/mcp").session(session_of(&post));
    let got = get.clone().with("last-event-id", "b:e:1").send("").await;
    assert_eq!(got.messages(), [answer]);
    assert!(got.text().contains("id: b:e:2\n"));
    assert!(a.received().iter().all(|request| request.method() != "GET"));
    assert_eq!(served.journal.outcome().await, portcullis_model::Outcome::Answered);
    for unknown in ["e:1", "c:1", "9"] {
        assert_eq!(get.clone().with("last-event-id", unknown).send("").await.status, 400, "{unknown}");
    }
}

#[tokio::test]
async fn resources_and_prompts_are_listed_and_read_under_names_that_lead_back() {
    let script = |request: &Received| {
        let result = match &*method_of(&request.body) {
            "resources/list" => r#"{"resources":[{"uri":"file:///a?b#c","name":"n"}]}"#,
            "resources/templates/list" => r#"{"resourceTemplates":[{"uriTemplate":"file:///{path}","name":"n"}]}"#,
            "prompts/list" => r#"{"prompts":[{"name":"Code review"}]}"#,
            "resources/read" => r#"{"contents":[{"uri":"file:///a?b#c","text":"uri"}]}"#,
            "prompts/get" => {
                r#"{"messages":[{"role":"user","content":{"type":"resource_link","uri":"file:///p","name":"n"}}]}"#
            }
            "tools/call" => {
                r#"{"content":[{"type":"text","text":"x","uri":"file:///no"},{"type":"resource_link","name":"n", "uri":"file:///l"},{"type":"resource","resource":{"uri":"file:///r","text":"y"}}],"n":1.0}"#
            }
            "completion/complete" => r#"{"completion":{"values":["v"]}}"#,
            _ => "{}",
        };
        json(&answer_to(&request.body, result))
    };
    let (a, b) = (member(script).await, member(script).await);
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
    for (method, items, key, expected) in [
        ("resources/list", "resources", "uri", ["portcullis:a:file:///a?b#c", "portcullis:b:file:///a?b#c"]),
        (
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate",
            ["portcullis:a:file:///{path}", "portcullis:b:file:///{path}"],
        ),
        ("prompts/list", "prompts", "name", ["a__Code review", "b__Code review"]),
    ] {
        assert_eq!(names(&post.send(ask(1, method, "")).await.json(), items, key), expected);
    }
    let asked = |method: &'static str, params: &'static str| {
        let (post, body) = (post.clone(), ask(1, method, params));
        async move { post.send(body).await }
    };
    let got = asked("resources/read", r#""uri":"portcullis:b:file:///a?b#c""#).await.json();
    assert_eq!(got["result"]["contents"][0]["uri"], "portcullis:b:file:///a?b#c");
    assert_eq!(bodies(&b, "resources/read")[0].body, ask(1, "resources/read", r#""uri":"file:///a?b#c""#));
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        let got = post.send(ask(1, method, r#""uri":"portcullis:b:file:///x""#)).await.json();
        assert_eq!(got["result"], value!({}));
        assert_eq!(bodies(&b, method)[0].body, ask(1, method, r#""uri":"file:///x""#));
    }
    let got = asked("prompts/get", r#""name":"b__Code review""#).await.json();
    assert_eq!(got["result"]["messages"][0]["content"]["uri"], "portcullis:b:file:///p");
    assert!(bodies(&b, "prompts/get")[0].body.contains(r#""name":"Code review""#));
    let got = post.send(call("1", "b__t", "{}")).await;
    assert_eq!(
        got.text(),
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x","uri":"file:///no"},{"type":"resource_link","name":"n", "uri":"portcullis:b:file:///l"},{"type":"resource","resource":{"uri":"portcullis:b:file:///r","text":"y"}}],"n":1.0}}"#
    );
    for (reference, own) in [
        (r#""ref":{"type":"ref/prompt","name":"b__Code review"}"#, r#""name":"Code review""#),
        (r#""ref":{"type":"ref/resource","uri":"portcullis:b:file:///{path}"}"#, r#""uri":"file:///{path}""#),
    ] {
        assert_eq!(asked("completion/complete", reference).await.json()["result"]["completion"]["values"][0], "v");
        assert!(bodies(&b, "completion/complete").last().unwrap().body.contains(own));
    }
    assert_eq!(asked("logging/setLevel", r#""level":"info""#).await.json()["result"], value!({}));
    for mock in [&a, &b] {
        assert!(bodies(mock, "logging/setLevel")[0].body.contains(r#""level":"info""#));
    }
    assert!(a.received().iter().all(|request| !request.body.contains("resources/read")), "b's is not a's");
}

#[tokio::test]
async fn a_session_is_bound_to_its_agent_and_counted() {
    let (a, b) = (member(tools("a", "[]")).await, member(tools("b", "[]")).await);
    let limits = McpLimits { sessions_per_agent: 4, ..quick() };
    let served = Served::new([named("a", &a), named("b", &b)], limits).await;
    let (_, first) = begin(&served).await;
    for (what, ask) in [
        ("another agent's", first.clone().with("authorization", "Bearer agent2")),
        ("another tenant's", first.clone().with("authorization", "Bearer other-agent")),
        ("an upstream's", served.post().session("theirs-0")),
    ] {
        assert_eq!(ask.send(call("1", "a__t", "{}")).await.status, 404, "{what}");
    }
    assert_eq!(served.post().send(call("1", "a__t", "{}")).await.status, 400, "none");
    assert_eq!(first.send(INITIALIZE).await.status, 400, "initialize within a session");
    assert_eq!(first.clone().with("mcp-protocol-version", "2099-01-01").send(ask(1, "ping", "")).await.status, 400);
    for _ in 0..4 {
        begin(&served).await;
    }
    assert_eq!(served.door.federated_sessions(), 4);
    assert!(served.door.sessions() <= 4);
    assert_eq!(first.send(ask(1, "ping", "")).await.status, 404, "the one left alone for longest made room");
}

#[tokio::test]
async fn an_idle_session_is_ended_with_all_its_upstreams() {
    let (a, b) = (member(tools("a", "[]")).await, member(tools("b", "[]")).await);
    let limits = McpLimits { session_idle: Duration::from_millis(300), ..quick() };
    let served = Served::new([named("a", &a), named("b", &b), python("py")], limits).await;
    let (_, post) = begin(&served).await;
    until("the session is ended", || served.door.federated_sessions() == 0).await;
    until("so are the upstreams'", || served.door.sessions() == 0).await;
    for mock in [&a, &b] {
        until("each is told", || mock.received().iter().any(|request| request.method() == "DELETE")).await;
    }
    assert_eq!(post.send(ask(1, "ping", "")).await.status, 404);
}

#[tokio::test]
async fn a_drain_ends_streams_and_children() {
    let a = member(streaming(&[])).await;
    let served = Served::new([named("a", &a), python("py")], quick()).await;
    let (_, post) = begin(&served).await;
    let stream = served.request("GET", "/mcp").session(session_of(&post)).open("").await.into_body();
    until("the upstream's stream is open", || a.received().iter().any(|request| request.method() == "GET")).await;
    crate::http::Mount::drain(&served.door, Duration::from_secs(10)).await;
    assert_eq!((served.door.federated_sessions(), served.door.sessions()), (0, 0));
    let rest = tokio::time::timeout(Duration::from_secs(10), http_body_util::BodyExt::collect(stream)).await;
    rest.expect("the client's stream ends").unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_before_its_session_leaves_nothing_behind() {
    let slow = Mock::new(|_| vec![Step::UntilClosed]).await;
    let a = member(tools("a", "[]")).await;
    let served = Served::new([named("a", &a), named("b", &slow)], quick()).await;
    let asking = served.post();
    let opening = tokio::spawn(async move { asking.send(INITIALIZE).await });
    until("the session is being opened", || !slow.received().is_empty() && served.door.sessions() == 1).await;
    opening.abort();
    until("no session is left", || served.door.federated_sessions() + served.door.sessions() == 0).await;
    until("the upstream is left", || *slow.left.lock().unwrap() == 1).await;
}

fn stateless(served: &Served, method: &str, name: Option<&str>) -> Ask {
    let ask = served.post().with("mcp-protocol-version", "2026-07-28").with("mcp-method", method);
    match name {
        Some(name) => ask.with("mcp-name", name),
        None => ask,
    }
}

fn stateless_body(id: u32, method: &str, params: &str) -> String {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{meta}}}}}"#)
}

/// A member of the era without sessions that may be kept for this long, and by whom.
async fn modern(versions: &'static str, ttl: u32, scope: &'static str) -> Mock {
    Mock::new(move |request| {
        let keep = format!(r#""resultType":"complete","ttlMs":{ttl},"cacheScope":"{scope}""#);
        let result = match &*method_of(&request.body) {
            "server/discover" => format!(
                r#"{{{keep},"supportedVersions":{versions},"capabilities":{{"tools":{{}}}},"instructions":"Read."}}"#
            ),
            "tools/list" => format!(r#"{{{keep},"tools":[{{"name":"t"}}]}}"#),
            "tools/call" if request.body.contains("inputResponses") => {
                r#"{"resultType":"complete","content":[]}"#.to_owned()
            }
            "tools/call" => {
                r#"{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":{}}},"requestState":"opaque é"}"#.to_owned()
            }
            "prompts/list" => {
                return reply(404, &[("content-type", "application/json")], r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no"}}"#);
            }
            _ => "{}".to_owned(),
        };
        json(&answer_to(&request.body, &result))
    })
    .await
}

#[tokio::test]
async fn without_sessions_the_common_revisions_are_offered_and_lists_are_kept_as_the_strictest_says() {
    let a = modern(r#"["2025-11-25","2026-07-28"]"#, 60_000, "public").await;
    let b = modern(r#"["2026-07-28","2027-01-01"]"#, 5_000, "private").await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let body = stateless_body(1, "server/discover", "");
    let got = stateless(&served, "server/discover", None).send(body).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let result = &got.json()["result"];
    assert_eq!(result["supportedVersions"], value!(["2026-07-28"]));
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&value!(5000), &value!("private")));
    assert_eq!(result["capabilities"], value!({ "tools": {} }));
    assert_eq!(result["instructions"], "# a\n\nRead.\n\n# b\n\nRead.");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "portcullis");
    assert!(result["_meta"].get("portcullis/unavailable").is_none());
    let list = stateless(&served, "tools/list", None).send(stateless_body(2, "tools/list", "")).await.json();
    assert_eq!(names(&list, "tools", "name"), ["a__t", "b__t"]);
    let result = &list["result"];
    assert_eq!((&result["ttlMs"], &result["resultType"]), (&value!(5000), &value!("complete")));
    let none = stateless(&served, "prompts/list", None).send(stateless_body(3, "prompts/list", "")).await.json();
    assert_eq!(none["result"]["prompts"], value!([]), "members without prompts have none: {none}");
    assert!(a.received().iter().all(|request| request.header("mcp-session-id").is_none()));
    assert_eq!(served.door.sessions() + served.door.federated_sessions(), 0);
    for method in ["GET", "DELETE"] {
        let got = served.request(method, "/mcp").with("mcp-protocol-version", "2026-07-28").send("").await;
        assert_eq!(got.status, 405, "{method}");
    }
}

#[tokio::test]
async fn without_sessions_calls_are_routed_with_the_header_that_repeats_the_name() {
    let a = modern(r#"["2026-07-28"]"#, 0, "private").await;
    let b = modern(r#"["2026-07-28"]"#, 0, "private").await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let body = stateless_body(2, "tools/call", r#""name":"b__t","arguments":{"region":"eu"},"#);
    let got = stateless(&served, "tools/call", Some("b__t")).with("mcp-param-region", "eu").send(body.clone()).await;
    assert_eq!(got.json()["result"]["resultType"], "input_required", "{}", got.text());
    assert_eq!(got.json()["result"]["requestState"], "opaque é");
    let sent = b.received().last().cloned().unwrap();
    assert_eq!(sent.body, body.replace("b__t", "t"));
    for (name, value) in [("mcp-method", "tools/call"), ("mcp-name", "t"), ("mcp-param-region", "eu")] {
        assert_eq!(sent.header(name), Some(value));
    }
    let again =
        r#""name":"b__t","arguments":{},"requestState":"opaque é","inputResponses":{"q":{"action":"decline"}},"#;
    let got = stateless(&served, "tools/call", Some("b__t")).send(stateless_body(3, "tools/call", again)).await;
    assert_eq!(got.json()["result"]["resultType"], "complete");
    let sent = b.received().last().cloned().unwrap();
    assert!(sent.body.contains(r#""requestState":"opaque é","inputResponses":{"q":{"action":"decline"}}"#));
    assert!(a.received().is_empty());
    // What header and body say must be the same, in the client's words.
    let got = stateless(&served, "tools/call", Some("t")).send(body.clone()).await;
    assert_eq!((got.status, got.json()["error"]["code"].as_i64()), (400, Some(-32020)));
    let unknown = stateless_body(4, "tools/call", r#""name":"c__t","arguments":{},"#);
    let got = stateless(&served, "tools/call", Some("c__t")).send(unknown).await;
    assert_eq!((got.status, got.json()["error"]["message"].as_str()), (400, Some("Unknown tool: c__t")));
    let uri = stateless_body(5, "resources/read", r#""uri":"portcullis:a:file:///é","#);
    let encoded = "=?base64?cG9ydGN1bGxpczphOmZpbGU6Ly8vw6k=?=";
    let got = stateless(&served, "resources/read", Some(encoded)).send(uri).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let sent = a.received().last().cloned().unwrap();
    assert_eq!(sent.header("mcp-name"), Some("=?base64?ZmlsZTovLy/DqQ==?="));
    let got = stateless(&served, "gone/method", None).send(stateless_body(6, "gone/method", "")).await;
    assert_eq!((got.status, got.json()["error"]["code"].as_i64()), (404, Some(-32601)));
}

#[tokio::test]
async fn without_sessions_who_does_not_speak_the_revision_is_unavailable() {
    let a = modern(r#"["2026-07-28"]"#, 60_000, "public").await;
    let old = Mock::new(|request| {
        let error = r#""error":{"code":-32022,"message":"no","data":{"supported":["2025-11-25"]}}"#;
        let id = &serde_json::from_str::<Value>(&request.body).unwrap()["id"];
        reply(400, &[("content-type", "application/json")], &format!(r#"{{"jsonrpc":"2.0","id":{id},{error}}}"#))
    })
    .await;
    let served = Served::new([named("a", &a), named("old", &old), python("py")], quick()).await;
    let got = stateless(&served, "server/discover", None).send(stateless_body(1, "server/discover", "")).await.json();
    assert_eq!(got["result"]["_meta"]["portcullis/unavailable"], value!(["old", "py"]));
    assert_eq!(got["result"]["supportedVersions"], value!(["2026-07-28"]));
    let list = stateless(&served, "tools/list", None).send(stateless_body(2, "tools/list", "")).await.json();
    assert_eq!(names(&list, "tools", "name"), ["a__t"]);
    assert_eq!(list["result"]["_meta"]["portcullis/unavailable"], value!(["old", "py"]));
    assert_eq!(list["result"]["ttlMs"], 0, "what is missing may be back at any time");
    let body = stateless_body(3, "tools/call", r#""name":"py__echo","arguments":{},"#);
    let got = stateless(&served, "tools/call", Some("py__echo")).send(body).await;
    assert_eq!(got.json()["error"]["code"], -32022, "{}", got.text());
    let served = Served::new([named("old", &old), python("py")], quick()).await;
    let got = stateless(&served, "server/discover", None).send(stateless_body(1, "server/discover", "")).await;
    assert_eq!(
        (got.status, got.json()["error"]["code"].as_i64()),
        (404, Some(-32601)),
        "a client asks for a session then"
    );
}

#[tokio::test]
async fn without_sessions_subscriptions_are_one() {
    let listening = |script: fn(&str) -> Vec<Step>| Mock::new(move |request| script(&request.body));
    let a = listening(|_| {
        vec![
            sse_head(),
            chunk("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":4},\"notifications\":{\"toolsListChanged\":true,\"resourceSubscriptions\":[\"file:///x\"]}}}\n\n"),
            chunk("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":4},\"uri\":\"file:///x\"}}\n\n"),
            Step::UntilClosed,
        ]
    })
    .await;
    let b = listening(|_| {
        sse(&[
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":4},\"notifications\":{\"toolsListChanged\":true}}}\n\n",
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":4}}}\n\n",
            "data: {\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"resultType\":\"complete\"}}\n\n",
        ])
    })
    .await;
    let served = Served::new([named("a", &a), named("b", &b), python("py")], quick()).await;
    let wanted = r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["portcullis:a:file:///x"]},"#;
    let body = stateless_body(4, "subscriptions/listen", wanted);
    let mut stream = stateless(&served, "subscriptions/listen", None).open(body).await.into_body();
    let messages = read_messages(&mut stream, 3).await;
    let parsed: Vec<Value> = messages.iter().map(|message| serde_json::from_str(message).unwrap()).collect();
    assert_eq!(parsed[0]["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(
        parsed[0]["params"],
        value!({
            "_meta": { "io.modelcontextprotocol/subscriptionId": 4, "portcullis/unavailable": ["py"] },
            "notifications": { "toolsListChanged": true, "resourceSubscriptions": ["portcullis:a:file:///x"] },
        })
    );
    let said: Vec<&str> = parsed[1..].iter().map(|message| message["method"].as_str().unwrap()).collect();
    assert!(said.contains(&"notifications/tools/list_changed") && said.contains(&"notifications/resources/updated"));
    let updated = parsed.iter().find(|message| message["params"]["uri"].is_string()).unwrap();
    assert_eq!(updated["params"]["uri"], "portcullis:a:file:///x");
    let filter = |mock: &Mock| {
        serde_json::from_str::<Value>(&mock.received()[0].body).unwrap()["params"]["notifications"].clone()
    };
    assert_eq!(filter(&a), value!({ "toolsListChanged": true, "resourceSubscriptions": ["file:///x"] }));
    assert_eq!(filter(&b), value!({ "toolsListChanged": true, "resourceSubscriptions": [] }));
    drop(stream);
    until("the upstream is left", || *a.left.lock().unwrap() == 1).await;
}

#[tokio::test]
async fn without_sessions_a_subscription_ends_when_all_upstreams_have_ended_theirs() {
    let ending = || {
        Mock::new(|_| {
            sse(&[
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{}}}\n\n",
                "data: {\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"resultType\":\"complete\"}}\n\n",
            ])
        })
    };
    let (a, b) = (ending().await, ending().await);
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let body = stateless_body(4, "subscriptions/listen", r#""notifications":{"toolsListChanged":true},"#);
    let got = stateless(&served, "subscriptions/listen", None).send(body).await;
    let messages = got.messages();
    assert_eq!(messages.len(), 2, "{messages:?}");
    let end: Value = serde_json::from_str(&messages[1]).unwrap();
    assert_eq!(end["id"], 4);
    assert_eq!(end["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 4);
}

#[tokio::test]
async fn without_sessions_a_child_process_that_speaks_the_revision_is_a_member() {
    let era = [("ERA".to_owned(), "stateless".to_owned())];
    let child = Upstream::stdio("py", "python3", [python_server().display().to_string()], era).unwrap();
    let a = modern(r#"["2026-07-28"]"#, 60_000, "public").await;
    let served = Served::new([named("a", &a), child], quick()).await;
    let got = stateless(&served, "server/discover", None).send(stateless_body(1, "server/discover", "")).await.json();
    assert!(got["result"]["_meta"].get("portcullis/unavailable").is_none(), "{got}");
    let list = stateless(&served, "tools/list", None).send(stateless_body(2, "tools/list", "")).await.json();
    assert!(names(&list, "tools", "name").contains(&"py__echo".to_owned()), "{list}");
    let body = stateless_body(3, "tools/call", r#""name":"py__echo","arguments":{"text":"hello"},"#);
    let got = stateless(&served, "tools/call", Some("py__echo")).send(body).await.json();
    assert_eq!(got["result"]["content"][0]["text"], "hello", "{got}");
    let wanted = r#""notifications":{"toolsListChanged":true},"#;
    let body = stateless_body(4, "subscriptions/listen", wanted);
    let mut stream = stateless(&served, "subscriptions/listen", None).open(body).await.into_body();
    let acknowledged: Value = serde_json::from_str(&read_messages(&mut stream, 1).await[0]).unwrap();
    assert_eq!(acknowledged["params"]["_meta"]["portcullis/unavailable"], value!(["a"]), "a has no subscriptions");
    let body = stateless_body(5, "tools/call", r#""name":"py__change","arguments":{},"#);
    let got = stateless(&served, "tools/call", Some("py__change")).send(body).await.json();
    assert!(got["result"].is_object(), "{got}");
    let changed: Value = serde_json::from_str(&read_messages(&mut stream, 1).await[0]).unwrap();
    assert_eq!(changed["method"], "notifications/tools/list_changed", "{changed}");
    assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 4, "{changed}");
}
