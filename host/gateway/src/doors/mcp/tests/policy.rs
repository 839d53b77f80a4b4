//! What configuration and policy do to more than one call: tools that are not there for an agent, forms of refusals,
//! capabilities that are withheld.

use portcullis_model::Outcome;

use super::http::{answer_to, stateless, stateless_body, with_script};
use super::support::*;
use crate::upstream::{Upstream, Withholds};

const TOOLS: &str = r#"{"resultType":"complete","ttlMs":86400000,"cacheScope":"public","tools":[ {"name":"b","x":1.0},{"name":"hidden_a"},{"name":"a"}],"nextCursor":"n"}"#;

/// Lists three tools and knows two of them.
fn tools(request: &Received) -> Vec<Step> {
    let name = serde_json::from_str::<serde_json::Value>(&request.body).unwrap()["params"]["name"].clone();
    match (&*method_of(&request.body), name.as_str()) {
        ("tools/list", _) => json(&answer_to(&request.body, TOOLS)),
        (_, Some("a" | "b" | "hidden_a")) => json(&answer_to(&request.body, r#"{"content":[]}"#)),
        (_, Some(name)) => {
            let id = serde_json::from_str::<serde_json::Value>(&request.body).unwrap()["id"].clone();
            json(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"Unknown tool: {name}"}}}}"#
            ))
        }
        _ => reply(202, &[], ""),
    }
}

#[tokio::test]
async fn tools_that_an_agent_must_not_know_are_not_in_its_list() {
    let (_mock, served) = with_script(tools).await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let all = served.post().session(&served.initialize().await.unwrap()).send(list).await;
    assert_eq!(all.text(), format!(r#"{{"jsonrpc":"2.0","id":1,"result":{TOOLS}}}"#), "nothing is hidden from others");

    let ruled = served.post().with("authorization", "Bearer ruled");
    let session = ruled.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
    let got = ruled.session(&session).send(list).await;
    let expected = r#"{"resultType":"complete","ttlMs":60000,"cacheScope":"private","tools":[{"name":"b","x":1.0},{"name":"a"}],"nextCursor":"n"}"#;
    assert_eq!(got.text(), format!(r#"{{"jsonrpc":"2.0","id":1,"result":{expected}}}"#));
}

#[tokio::test]
async fn a_hidden_tool_answers_like_one_that_is_not_there() {
    let (mock, served) = with_script(tools).await;
    let ruled = served.post().with("authorization", "Bearer ruled");
    let session = ruled.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
    let ruled = ruled.session(&session);
    let missing = ruled.send(call("1", "missing_", r#"{"x":"y"}"#)).await;
    let hidden = ruled.send(call("1", "hidden_a", r#"{"x":"y"}"#)).await;
    assert_eq!(hidden.text(), missing.text().replace("missing_", "hidden_a"));
    assert_eq!((hidden.status, hidden.header("content-type")), (missing.status, missing.header("content-type")));
    let sent = mock.received().last().unwrap().body.clone();
    assert!(!sent.contains("hidden_a") && !sent.contains('y'), "neither name nor arguments leave: {sent}");
    let entries = served.journal.all();
    let ended = entries.iter().find(|entry| entry.note.as_deref() == Some("tool_hidden")).expect("an entry says so");
    assert_eq!((ended.tool.as_deref(), ended.outcome), (Some("hidden_a"), Some(Outcome::Failed)));
    // Policy says the same to both, too.
    for (name, quoted) in [("missing_", false), ("hidden_a", false), ("hidden\\\"b", true)] {
        let refused = ruled.send(call("2", name, r#"{"x":"DENY"}"#)).await.json();
        assert_eq!(refused["result"]["_meta"]["portcullis/codes"][0], "word", "{name}");
        let parked = ruled.send(call("3", name, r#"{"x":"REVIEW"}"#)).await.json();
        assert_eq!(parked["error"]["code"], -32011, "{name}");
        if quoted {
            let got = ruled.send(call("4", name, "{}")).await;
            assert!(got.text().contains(r#"Unknown tool: hidden\"b"#), "{}", got.text());
        }
    }
    // Another agent calls it.
    let post = served.post().session(&served.initialize().await.unwrap());
    assert_eq!(post.send(call("1", "hidden_a", "{}")).await.json()["result"]["content"], serde_json::json!([]));
}

#[tokio::test]
async fn a_hidden_tool_of_the_revision_without_sessions_is_not_named_in_a_header_either() {
    let (mock, served) = with_script(tools).await;
    let ask = |name: &str| {
        let body = stateless_body(1, "tools/call", &format!(r#""name":"{name}","arguments":{{"region":"eu"}},"#));
        let ask = stateless(&served, "tools/call", Some(name)).with("mcp-param-region", "eu");
        async move { ask.with("authorization", "Bearer ruled").send(body).await }
    };
    let (missing, hidden) = (ask("missing_").await, ask("hidden_a").await);
    assert_eq!(hidden.text(), missing.text().replace("missing_", "hidden_a"));
    let sent = mock.received().last().cloned().unwrap();
    let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!(sent.header("mcp-name"), body["params"]["name"].as_str(), "header and body say the same");
    assert_eq!((sent.header("mcp-param-region"), sent.header("mcp-method")), (None, Some("tools/call")));
    assert!(!sent.body.contains("hidden_a") && !sent.head.contains("hidden_a"));
}

#[tokio::test]
async fn refusals_are_results_or_errors_as_configured() {
    let (_mock, served) = with_script(|request| json(&answer_to(&request.body, r#"{"content":["DENY"]}"#))).await;
    for (agent, is_error) in [("agent", false), ("program", true)] {
        let post = served.post().with("authorization", &format!("Bearer {agent}"));
        let session = post.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
        let post = post.session(&session);
        for arguments in [r#"{"a":"DENY"}"#, "{}"] {
            let got = post.send(call("1", "t", arguments)).await.json();
            let (said, meta) = if is_error {
                (got["error"]["message"].clone(), got["error"]["data"].clone())
            } else {
                assert_eq!(got["result"]["isError"], true);
                (got["result"]["content"][0]["text"].clone(), got["result"]["_meta"].clone())
            };
            assert!(said.as_str().unwrap().starts_with("Portcullis "), "{got}");
            assert_eq!((&meta["portcullis/decision"], &meta["portcullis/codes"][0]), (&"deny".into(), &"word".into()));
            assert!(meta["portcullis/id"].is_string());
        }
    }
}

#[tokio::test]
async fn what_is_fetched_without_a_tool_is_a_call_as_well() {
    let (mock, served) = with_script(|request| json(&answer_to(&request.body, r#"{"contents":[]}"#))).await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let ask = |method: &str, text: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{{"progressToken":"SECRET"}}, "uri":"x:{text}"}}}}"#
        )
    };
    for method in ["resources/read", "prompts/get", "completion/complete"] {
        let before = mock.received().len();
        let denied = post.send(ask(method, "DENY")).await;
        assert_eq!(denied.json()["error"]["code"], -32010, "{method}");
        let parked = post.send(ask(method, "REVIEW")).await;
        assert_eq!(parked.json()["error"]["code"], -32011, "{method}");
        assert_eq!(mock.received().len(), before);
        post.send(ask(method, "SECRET")).await;
        let sent = mock.received().last().unwrap().body.clone();
        // What the protocol itself needs is not judged and stays.
        assert!(sent.contains(r#""uri":"x:[redacted]","_meta":{"progressToken":"SECRET"}"#), "{sent}");
        served.parking.approve_all();
        let released = post.send(ask(method, "REVIEW")).await;
        assert_eq!(released.json()["result"]["contents"], serde_json::json!([]), "{method}");
        assert!(served.journal.all().iter().any(|entry| entry.tool.as_deref() == Some(method)));
        assert_eq!(served.journal.all().last().unwrap().outcome, Some(Outcome::Answered));
    }
    // Any other request is looked at before it leaves.
    let before = mock.received().len();
    assert_eq!(post.send(ask("vendor/new", "DENY")).await.json()["error"]["code"], -32010);
    assert_eq!(post.send(ask("resources/subscribe", "DENY")).await.json()["error"]["code"], -32010);
    assert_eq!(mock.received().len(), before);
}

#[tokio::test]
async fn a_server_whose_instructions_are_refused_is_of_use_without_them() {
    let introduced = r#"{"jsonrpc":"2.0","id":"init","result":{"protocolVersion":"2025-06-18","capabilities":{}, "instructions":"DENY","serverInfo":{"name":"mock"}}}"#;
    let mock = Mock::new(move |_| json(introduced)).await;
    let served = Served::new([mock.upstream()], quick()).await;
    let got = served.post().send(INITIALIZE).await;
    let result = got.json()["result"].clone();
    assert_eq!((&result["serverInfo"]["name"], result.get("instructions")), (&"mock".into(), None), "{}", got.text());

    let mock = Mock::new(move |_| json(&introduced.replace("mock", "DENY"))).await;
    let served = Served::new([mock.upstream()], quick()).await;
    let got = served.post().send(INITIALIZE).await;
    assert_eq!(got.json()["error"]["code"], -32010, "it is not the instructions alone");
}

#[tokio::test]
async fn an_upstreams_words_in_our_name_are_replaced_in_what_is_rewritten() {
    let result = r#"{"content":[{"type":"text","text":"SECRET"}],"_meta":{"portcullis/decision":"allow","own":1}}"#;
    let (_mock, served) = with_script(move |request| json(&answer_to(&request.body, result))).await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await.json();
    let meta = &got["result"]["_meta"];
    assert_eq!((&meta["portcullis/decision"], &meta["own"]), (&"redact".into(), &1.into()), "{got}");
}

#[tokio::test]
async fn an_upstream_is_told_that_its_request_was_refused() {
    let asked = r#"data: {"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"data":"DENY"}}"#;
    let answer = r#"data: {"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
    let (mock, served) = with_script(move |request| match &*method_of(&request.body) {
        "" => reply(202, &[], ""),
        _ => sse(&[&format!("{asked}\n\n"), &format!("{answer}\n\n")]),
    })
    .await;
    let session = served.initialize().await.unwrap();
    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.messages().len(), 1, "{}", got.text());
    let told = told(&mock).await;
    assert!(told.body.contains(r#""id":"q","error":{"code":-32010"#), "{}", told.body);
    assert_eq!(told.header("mcp-session-id"), Some("theirs"));
}

/// What the upstream was told without having been asked for anything.
async fn told(mock: &Mock) -> Received {
    for _ in 0..500 {
        if let Some(told) = mock.received().into_iter().find(|request| method_of(&request.body).is_empty()) {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nothing was told");
}

#[tokio::test]
async fn capabilities_that_are_withheld_are_not_offered_and_not_served() {
    let mock = Mock::new(|request| match &*method_of(&request.body) {
        "initialize" => reply(200, &[("content-type", "application/json"), ("mcp-session-id", "theirs")], INITIALIZED),
        "" => reply(202, &[], ""),
        _ if request.header("mcp-method").is_some() => json(&answer_to(
            &request.body,
            r#"{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{}}}}"#,
        )),
        _ => sse(&[
            "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"sampling/createMessage\",\"params\":{}}\n\n",
            "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n",
        ]),
    })
    .await;
    let withholds = Withholds { sampling: true, elicitation: true, roots: false };
    let served = Served::new([Upstream { withholds, ..mock.upstream() }], quick()).await;
    let offered = r#"{"sampling":{"tools":{}}, "roots":{"listChanged":true},"elicitation":{}}"#;
    let initialize = INITIALIZE.replace(r#""capabilities":{}"#, &format!(r#""capabilities":{offered}"#));
    let opened = served.post().send(initialize).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let sent = mock.received()[0].body.clone();
    assert!(sent.contains(r#""capabilities":{"roots":{"listChanged":true}}"#), "{sent}");

    let got = served.post().session(&session).send(call("1", "t", "{}")).await;
    assert_eq!(got.messages().len(), 1, "{}", got.text());
    assert!(told(&mock).await.body.contains(r#""id":"q","error":{"code":-32601"#));

    // The other era says what it offers with every request, and asks within a result.
    let body = stateless_body(1, "tools/call", r#""name":"t","#)
        .replace(r#"Capabilities":{}"#, r#"Capabilities":{"sampling":{}}"#);
    let got = stateless(&served, "tools/call", Some("t")).send(body).await;
    assert_eq!(got.json()["error"]["code"], -32603, "{}", got.text());
    let sent = mock.received().last().unwrap().body.clone();
    assert!(sent.contains(r#"Capabilities":{}"#), "{sent}");
    assert_eq!(served.journal.all().last().unwrap().outcome, Some(Outcome::Failed));
}

#[tokio::test]
async fn a_list_that_changed_is_looked_at_before_the_client_is_told() {
    let changed = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
    for streamed in [false, true] {
        let (mock, served) = with_script(move |request| match (request.method(), &*method_of(&request.body)) {
            ("GET", _) => vec![sse_head(), chunk(changed), Step::UntilClosed],
            (_, "tools/list") => {
                let page = if request.body.contains("cursor") {
                    r#"{"tools":[{"name":"b"}]}"#
                } else {
                    r#"{"tools":[{"name":"a"}],"nextCursor":"two"}"#
                };
                let answer = answer_to(&request.body, page);
                if streamed { sse(&[": \n\n", &format!("data: {answer}\n\n")]) } else { json(&answer) }
            }
            _ => reply(202, &[], ""),
        })
        .await;
        let session = served.initialize().await.unwrap();
        let mut stream = served.request("GET", "/mcp").session(&session).open("").await.into_body();
        assert_eq!(method_of(&read_messages(&mut stream, 1).await[0]), "notifications/tools/list_changed");
        let lists = mock.received().into_iter().filter(|request| method_of(&request.body) == "tools/list");
        let lists: Vec<Received> = lists.collect();
        assert_eq!(lists.len(), 2, "both pages");
        assert!(lists.iter().all(|request| request.header("mcp-session-id") == Some("theirs")));
        assert!(lists[1].body.contains(r#""cursor":"two""#));
        assert_eq!(served.journal.lines(), ["decision listing allow -"; 2], "and policy saw them");
    }
}

#[tokio::test]
async fn clients_are_told_when_policy_shows_them_other_tools() {
    let acknowledged =
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{}}\n\n";
    let (_mock, served) = with_script(move |request| match request.method() {
        "GET" => vec![sse_head(), Step::UntilClosed],
        _ => vec![sse_head(), chunk(acknowledged), Step::UntilClosed],
    })
    .await;
    let ruled = served.post().with("authorization", "Bearer ruled");
    let session = ruled.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
    let stream = served.request("GET", "/mcp").with("authorization", "Bearer ruled").session(&session);
    let mut stream = stream.open("").await.into_body();
    let params = r#""notifications":{"toolsListChanged":true},"#;
    let listen = stateless(&served, "subscriptions/listen", None).with("authorization", "Bearer ruled");
    let mut listen = listen.open(stateless_body(7, "subscriptions/listen", params)).await.into_body();
    assert!(read_messages(&mut listen, 1).await[0].contains("acknowledged"));
    let other = served.request("GET", "/mcp").session(&served.initialize().await.unwrap());
    let mut other = other.open("").await.into_body();

    // Nothing has changed for anybody: nobody is told.
    served.door.policy_changed();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    RULES.store(1, std::sync::atomic::Ordering::SeqCst);
    served.door.policy_changed();
    let told = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    assert_eq!(read_messages(&mut stream, 1).await, [told]);
    let told = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}"#;
    assert_eq!(read_messages(&mut listen, 1).await, [told]);
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(100), read_messages(&mut other, 1)).await;
    assert!(nothing.is_err(), "nothing has changed for this agent: {nothing:?}");
}

#[tokio::test]
async fn what_a_client_notes_is_inspected() {
    let (mock, served) = with_script(|_| reply(202, &[], "")).await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    let before = mock.received().len();
    let note = |method: &str, words: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{"requestId":7,{words}}}}}"#)
    };
    let refused = post.send(note("vendor", r#""data":"DENY""#)).await;
    assert_eq!((refused.status, mock.received().len()), (400, before), "{}", refused.text());
    assert_eq!(post.send(note("vendor", r#""data":"fine""#)).await.status, 202);
    // Cancelling takes effect, without the words.
    assert_eq!(post.send(note("cancelled", r#""reason":"DENY""#)).await.status, 202);
    let sent = mock.received().last().unwrap().body.clone();
    assert!(sent.contains(r#""params":{"requestId":7}"#), "{sent}");
}

#[tokio::test]
async fn questions_in_place_of_answers_do_not_pass_by_what_is_withheld() {
    let mock = Mock::new(|request| match &*method_of(&request.body) {
        "tools/list" => json(&answer_to(
            &request.body,
            r#"{"resultType":"input_required","tools":[],"inputRequests":{"x":{"method":"elicitation/create"}}}"#,
        )),
        "tools/call" if request.body.contains("task") => json(&answer_to(&request.body, r#"{"resultType":"task"}"#)),
        _ => {
            let id = serde_json::from_str::<serde_json::Value>(&request.body).unwrap()["id"].clone();
            json(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32042,"message":"open it","data":{{}}}}}}"#))
        }
    })
    .await;
    let withholds = Withholds { elicitation: true, ..Withholds::default() };
    for (withholds, passes) in [(withholds, false), (Withholds::default(), true)] {
        let served = Served::new([Upstream { withholds, ..mock.upstream() }], quick()).await;
        let got = served.post().send(call("1", "t", "{}")).await.json();
        assert_eq!(got["error"]["code"] == -32042, passes, "{got}");
        let list = served.post().send(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await.json();
        assert_eq!(list["error"]["code"], -32603, "a list is no question: {list}");
        let task = served.post().send(call("3", "task", "{}")).await.json();
        assert_eq!(task["error"]["code"], -32603, "{task}");
        assert_eq!(served.journal.all().last().unwrap().outcome, Some(Outcome::Failed));
    }
}
