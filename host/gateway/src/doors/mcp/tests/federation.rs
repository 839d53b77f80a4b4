//! Several upstreams under one endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json as value};

use super::support::*;
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
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

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
    // The first session of b is over as soon as it is used.
    let b = member(move |request| match request.header("mcp-session-id") {
        Some("theirs-0") => reply(404, &[], ""),
        _ => list(request),
    })
    .await;
    let served = Served::new([named("a", &a), named("b", &b)], quick()).await;
    let (_, post) = begin(&served).await;
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
    assert_eq!(post.send(call("2", "a__t", "{}")).await.json()["result"]["content"][0]["text"], "a");
    assert_eq!(bodies(&a, "initialize").len(), 1, "the other one goes on as it was");
    assert_eq!(bodies(&a, "tools/call")[0].header("mcp-session-id"), Some("theirs-0"));
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
