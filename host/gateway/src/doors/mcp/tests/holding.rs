//! Parked calls that wait for a person: held open, as tasks, and by an address that the user opens.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use portcullis_approvals::{ArgumentChange, State};
use portcullis_model::{EntryKind, Outcome};
use serde_json::{Value, json as js};

use super::http::{answer_to, stateless, with_limits};
use super::support::*;
use crate::doors::mcp::{Asking, HoldLimits, McpLimits, Seal};
use crate::gate::ATTEMPTS;
use crate::http::Mount as _;
use crate::ports::OperatorIdentity;
use crate::upstream::{StdioTarget, Target, Upstream, Upstreams};

const RAN: &str = r#"{"content":[{"type":"text","text":"it ran"}]}"#;
const PARKED: &str = r#"{"text":"REVIEW"}"#;

/// An upstream that does what it is asked, and a session with it.
async fn serve(limits: McpLimits) -> (Mock, Served, Ask) {
    let (mock, served) = with_limits(limits, |request| json(&answer_to(&request.body, RAN))).await;
    let session = served.initialize().await.unwrap();
    let post = served.post().session(&session);
    (mock, served, post)
}

/// How often a tool was called at the upstream.
fn ran(mock: &Mock) -> usize {
    mock.received().iter().filter(|request| method_of(&request.body) == "tools/call").count()
}

/// The answer at the end of an event stream.
async fn last(mut response: Response<Incoming>) -> Value {
    let mut stream = Vec::new();
    while let Some(frame) = tokio::time::timeout(Duration::from_secs(20), response.body_mut().frame()).await.unwrap() {
        stream.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    serde_json::from_str(messages(&stream).last().expect("an answer")).unwrap()
}

fn is_stream(response: &Response<Incoming>) -> bool {
    response.headers()["content-type"] == "text/event-stream"
}

#[tokio::test]
async fn a_call_that_is_approved_while_it_is_held_runs_once_and_its_result_arrives() {
    let (mock, served, post) = serve(holding()).await;
    let mut response = post.open(call("\"a\"", "pay", PARKED)).await;
    assert_eq!((response.status().as_u16(), is_stream(&response)), (200, true));
    for _ in 0..3 {
        let sign = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(sign, Bytes::from_static(b":\n\n"), "signs of life, and nothing else");
    }
    assert_eq!(ran(&mock), 0);
    served.parking.approve_all();
    let answer = last(response).await;
    assert_eq!(answer, js!({ "jsonrpc": "2.0", "id": "a", "result": serde_json::from_str::<Value>(RAN).unwrap() }));
    assert_eq!(ran(&mock), 1);
    assert_eq!(served.parking.list()[0].released_to, Some(served.parking.list()[0].call), "it was this call");
    let lines = served.journal.lines();
    assert_eq!(lines, ["decision call review -", "decision call review -", "outcome result allow answered"]);
    let notes: Vec<_> = served.journal.all().iter().filter_map(|entry| entry.note.clone()).collect();
    assert_eq!(notes, ["parked", "released by its approval"]);
    assert_eq!(served.journal.records(ATTEMPTS), [], "the attempt is over");
    // The next call of the same content is another one.
    let next = post.open(call("\"b\"", "pay", PARKED)).await;
    served.parking.count(2).await;
    drop(next);
    assert_eq!(ran(&mock), 1);
}

#[tokio::test]
async fn the_result_of_a_held_call_is_looked_at_like_any_other() {
    let secret = r#"{"content":[{"type":"text","text":"a SECRET"}]}"#;
    let (_mock, served) = with_limits(holding(), move |request| json(&answer_to(&request.body, secret))).await;
    let post = served.post().session(&served.initialize().await.unwrap());
    let response = post.open(call("1", "pay", PARKED)).await;
    served.parking.count(1).await;
    served.parking.approve_all();
    assert_eq!(last(response).await["result"]["content"][0]["text"], "a [redacted]");
}

#[tokio::test]
async fn an_answer_that_is_streamed_goes_on_in_the_stream_of_the_held_call() {
    let (_mock, served) = with_limits(holding(), |request| {
        let progress =
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#;
        sse(&[&format!("data: {progress}\n\n"), &format!("data: {}\n\n", answer_to(&request.body, RAN))])
    })
    .await;
    let post = served.post().session(&served.initialize().await.unwrap());
    let params = format!(r#"{{"name":"pay","arguments":{PARKED},"_meta":{{"progressToken":"t"}}}}"#);
    let mut response =
        post.open(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)).await;
    let first = read_messages(response.body_mut(), 2).await;
    let values = first.iter().map(|message| serde_json::from_str::<Value>(message).unwrap());
    let mut values: Vec<f64> = values.map(|message| message["params"]["progress"].as_f64().unwrap()).collect();
    let id = served.parking.list()[0].id.to_string();
    assert!(first[0].contains(&format!("waiting for approval {id}")), "{first:?}");
    served.parking.approve_all();
    let rest = response.into_body().collect().await.unwrap().to_bytes();
    let rest: Vec<Value> = messages(&rest).iter().map(|message| serde_json::from_str(message).unwrap()).collect();
    values.extend(rest.iter().filter_map(|message| message["params"]["progress"].as_f64()));
    assert!(values.is_sorted_by(|before, after| before < after), "{values:?}");
    assert_eq!(values.last(), Some(&1.0), "the upstream's own");
    assert_eq!(rest.last().unwrap()["result"]["content"][0]["text"], "it ran");
}

#[tokio::test]
async fn a_call_that_is_denied_while_it_is_held_is_refused_in_the_form_of_its_agent() {
    let (mock, served, _) = serve(holding()).await;
    for (agent, is_error) in [("agent", false), ("program", true)] {
        let post = served.post().with("authorization", &format!("Bearer {agent}"));
        let session = post.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
        let before = served.parking.list().len();
        let response = post.session(&session).open(call("1", "pay", PARKED)).await;
        let id = served.parking.count(before + 1).await[before].id;
        served.parking.decide(id, false);
        let answer = last(response).await;
        let (text, meta) = if is_error {
            assert_eq!(answer["error"]["code"], -32010);
            (&answer["error"]["message"], &answer["error"]["data"])
        } else {
            assert_eq!(answer["result"]["isError"], true);
            (&answer["result"]["content"][0]["text"], &answer["result"]["_meta"])
        };
        let text = text.as_str().unwrap();
        assert!(text.contains("an approver denied it") && text.contains(&id.to_string()), "{text}");
        assert_eq!(meta["portcullis/decision"], "deny");
        assert_eq!(meta["portcullis/codes"], js!(["approval_denied"]));
        assert_eq!(meta["portcullis/approval"], js!({ "id": id, "state": "denied" }));
    }
    assert_eq!(ran(&mock), 0);
}

#[tokio::test]
async fn a_call_that_nobody_decides_in_time_is_refused() {
    let (mock, served, post) = serve(holding()).await;
    let begun = Instant::now();
    let answer = last(post.open(call("1", "pay", r#"{"text":"REVIEW SOON"}"#)).await).await;
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(answer["result"]["_meta"]["portcullis/codes"], js!(["approval_expired"]));
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    served.parking.list().iter().for_each(|approval| assert!(approval.released_ms.is_none()));
    assert_eq!(ran(&mock), 0);
}

#[tokio::test]
async fn a_call_that_was_held_long_enough_is_told_to_come_again_and_then_runs_once() {
    let hold = HoldLimits { wait: Duration::from_millis(200), ..HoldLimits::default() };
    let (mock, served, post) = serve(McpLimits { hold, ..holding() }).await;
    let answer = last(post.open(call("1", "pay", PARKED)).await).await;
    assert_eq!(answer["error"]["code"], -32011);
    let id = served.parking.list()[0].id;
    assert_eq!(answer["error"]["data"]["approval"]["id"], id.to_string());
    assert_eq!(answer["error"]["data"]["approval"]["state"], "pending");
    // Again: the same approval, and held again.
    let again = post.open(call("2", "pay", PARKED)).await;
    assert!(is_stream(&again));
    assert_eq!(last(again).await["error"]["data"]["approval"]["id"], id.to_string());
    served.parking.decide(id, true);
    let done = post.send(call("3", "pay", PARKED)).await;
    assert_eq!(done.json()["result"]["content"][0]["text"], "it ran", "at once");
    assert_eq!((ran(&mock), served.parking.list().len()), (1, 1));
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_call_that_is_held_for_it() {
    let (mock, served, post) = serve(holding()).await;
    let mut response = post.open(call("1", "pay", PARKED)).await;
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    until("the call is cancelled", || served.parking.states() == [State::Cancelled]).await;
    let entries = served.journal.all();
    let last = entries.last().unwrap();
    assert_eq!((last.kind, last.approval), (EntryKind::Approval, Some(served.parking.list()[0].id)));
    assert!(last.note.as_deref().unwrap().contains("the caller gave up"));
    // The same call made again is asked about anew.
    let _again = post.open(call("2", "pay", PARKED)).await;
    served.parking.count(2).await;
    assert_eq!((ran(&mock), served.parking.states()[1]), (0, State::Pending));
}

#[tokio::test]
async fn other_requests_of_a_session_go_on_while_a_call_is_held_and_it_can_be_cancelled() {
    let (mock, served, post) = serve(holding()).await;
    let held = post.open(call("1", "pay", PARKED)).await;
    let other = post.send(call("2", "read", "{}")).await;
    assert_eq!(other.json()["result"]["content"][0]["text"], "it ran");
    assert_eq!(post.send(call("1", "read", "{}")).await.json()["error"]["code"], -32600, "the id is taken");
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(post.send(cancelled).await.status, 202);
    assert_eq!(last(held).await["error"]["message"], "the request was cancelled");
    assert_eq!(served.parking.states(), [State::Cancelled]);
    assert_eq!(ran(&mock), 1, "the other one only");
    // It never left, so its id is free.
    assert_eq!(post.send(call("1", "read", "{}")).await.json()["id"], 1);
}

#[tokio::test]
async fn the_end_of_a_session_cancels_what_is_held_in_it() {
    let (mock, served, post) = serve(holding()).await;
    let held = post.open(call("1", "pay", PARKED)).await;
    served.parking.count(1).await;
    assert_eq!(post.clone().method("DELETE").send("").await.status, 200);
    assert!(last(held).await["error"]["message"].is_string());
    until("the call is cancelled", || served.parking.states() == [State::Cancelled]).await;
    assert_eq!(ran(&mock), 0);
}

#[tokio::test]
async fn of_two_identical_calls_that_are_held_at_once_each_waits_for_its_own_approval() {
    let (mock, served, post) = serve(holding()).await;
    let (one, two) = tokio::join!(post.open(call("1", "pay", PARKED)), post.open(call("2", "pay", PARKED)));
    let parked = served.parking.count(2).await;
    assert_eq!(parked[0].digest, parked[1].digest);
    served.parking.decide(parked[0].id, true);
    until("one of them runs", || ran(&mock) == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ran(&mock), 1, "an approval is good for one of them");
    assert_eq!(served.parking.states(), [State::Approved, State::Pending]);
    served.parking.decide(parked[1].id, true);
    let answers = [last(one).await, last(two).await];
    for (id, answer) in answers.iter().enumerate() {
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&js!(id + 1), &js!("it ran")));
    }
    assert_eq!((ran(&mock), served.parking.list().len()), (2, 2));
}

#[tokio::test]
async fn a_parked_call_of_1_mib_is_forwarded_byte_for_byte() {
    let (mock, served, post) = serve(holding()).await;
    let body = call("1", "pay", &format!(r#"{{"text":"REVIEW","more":"{}","n":1.0}}"#, "x".repeat(1 << 20)));
    let held = post.open(body.clone()).await;
    served.parking.count(1).await;
    served.parking.approve_all();
    assert_eq!(last(held).await["result"]["content"][0]["text"], "it ran");
    assert!(mock.received().last().unwrap().body == body, "the same bytes");
}

#[tokio::test]
async fn the_calls_that_are_held_for_a_halted_agent_are_denied() {
    let (mock, served, _) = serve(holding()).await;
    let post = served.post().with("authorization", "Bearer dismissed");
    let session = post.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
    let held = post.session(&session).open(call("1", "pay", PARKED)).await;
    served.parking.count(1).await;
    DISMISSED.store(true, Ordering::SeqCst);
    served.door.policy_changed();
    let answer = last(held).await;
    assert_eq!(answer["result"]["_meta"]["portcullis/codes"], js!(["agent_halted"]), "{answer}");
    assert!(served.journal.lines().contains(&"refusal call deny -".to_owned()), "{:?}", served.journal.lines());
    // An approval that comes too late changes nothing.
    served.parking.approve_all();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ran(&mock), 0);
}

#[tokio::test]
async fn beyond_the_places_for_held_calls_the_answer_comes_at_once() {
    let hold = HoldLimits { calls: 3, calls_per_agent: 2, ..holding().hold };
    let (mock, served, post) = serve(McpLimits { hold, ..holding() }).await;
    let mut held = Vec::new();
    for id in 1..=2 {
        held.push(post.open(call(&id.to_string(), "pay", &format!(r#"{{"text":"REVIEW {id}"}}"#))).await);
    }
    served.parking.count(2).await;
    let third = post.send(call("3", "pay", r#"{"text":"REVIEW 3"}"#)).await;
    assert_eq!(third.json()["error"]["code"], -32011, "two of one agent");
    let others = served.post().with("authorization", "Bearer another");
    let session = others.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
    let others = others.session(&session);
    held.push(others.open(call("1", "pay", r#"{"text":"REVIEW 4"}"#)).await);
    assert!(is_stream(held.last().unwrap()), "another agent has places of its own");
    let last_one = served.post().with("authorization", "Bearer last");
    let session = last_one.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
    let full = last_one.session(&session).send(call("1", "pay", r#"{"text":"REVIEW 5"}"#)).await;
    assert_eq!(full.json()["error"]["code"], -32011, "three of all");
    // A place that is given back can be had.
    drop(held.remove(0));
    until("the first one is cancelled", || served.parking.states()[0] == State::Cancelled).await;
    assert!(is_stream(&post.open(call("6", "pay", r#"{"text":"REVIEW 6"}"#)).await));
    assert_eq!(ran(&mock), 0);
}

#[tokio::test]
async fn the_messages_of_held_calls_are_bounded_in_bytes() {
    let hold = HoldLimits { bytes: 256 * 1024, ..holding().hold };
    let (_mock, served, post) = serve(McpLimits { hold, ..holding() }).await;
    let large = format!(r#"{{"text":"REVIEW","more":"{}"}}"#, "x".repeat(200 * 1024));
    let held = post.open(call("1", "pay", &large)).await;
    assert!(is_stream(&held));
    let second = post.send(call("2", "pay", &large)).await;
    assert_eq!(second.json()["error"]["code"], -32011);
    assert!(is_stream(&post.open(call("3", "pay", PARKED)).await), "a small one has room");
    assert_eq!(served.parking.list().len(), 3);
}

#[tokio::test]
async fn what_was_approved_is_judged_again_before_it_runs() {
    let (mock, served, post) = serve(holding()).await;
    let held = post.open(call("1", "pay", r#"{"text":"TURNS"}"#)).await;
    let id = served.parking.count(1).await[0].id;
    TURNED.store(true, Ordering::SeqCst);
    served.parking.decide(id, true);
    let answer = last(held).await;
    assert_eq!(answer["result"]["_meta"]["portcullis/codes"], js!(["word"]), "{answer}");
    assert_eq!((ran(&mock), served.parking.list()[0].released_ms), (0, None));
}

#[tokio::test]
async fn what_an_approver_changed_is_what_runs_while_the_client_waits() {
    let (mock, served, post) = serve(holding()).await;
    let held = post.open(call("1", "pay", r#"{"why":"REVIEW MODIFY","amount":500}"#)).await;
    let id = served.parking.count(1).await[0].id;
    let olga = OperatorIdentity {
        name: "olga".into(),
        tenant: "default".into(),
        roles: ["approver".to_owned()].into(),
        runs: [].into(),
        admin: false,
    };
    let change = ArgumentChange { pointer: "/amount".to_owned(), value: "5".to_owned() };
    served.door.0.gate.modify(&olga, id, vec![change], None).await.unwrap();
    assert_eq!(ran(&mock), 0, "that is no approval");
    served.parking.decide(id, true);
    assert_eq!(last(held).await["result"]["content"][0]["text"], "it ran");
    let sent = mock.received().last().unwrap().body.clone();
    assert!(sent.contains(r#""arguments":{"why":"REVIEW MODIFY","amount":5}"#), "{sent}");
    assert_eq!(ran(&mock), 1);
}

#[tokio::test]
async fn a_session_with_a_held_call_is_not_idle() {
    let limits = McpLimits { session_idle: Duration::from_millis(100), ..holding() };
    let (mock, served, post) = serve(limits).await;
    let held = post.open(call("1", "pay", PARKED)).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    served.parking.approve_all();
    assert_eq!(last(held).await["result"]["content"][0]["text"], "it ran");
    assert_eq!((ran(&mock), served.parking.states()), (1, vec![State::Approved]));
}

#[tokio::test]
async fn a_server_that_stops_tells_who_waits_to_come_again_and_keeps_the_approval() {
    let (mock, served, post) = serve(holding()).await;
    let held = post.open(call("1", "pay", PARKED)).await;
    served.parking.count(1).await;
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(last(held), served.door.drain(Duration::from_secs(9)));
    assert_eq!(answer["error"]["code"], -32011, "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((ran(&mock), served.parking.states()), (0, vec![State::Pending]));
}

#[tokio::test]
async fn nothing_runs_that_could_not_be_recorded_as_released() {
    let (mock, served, post) = serve(holding()).await;
    let held = post.open(call("1", "pay", PARKED)).await;
    served.parking.count(1).await;
    served.journal.break_down();
    served.parking.approve_all();
    let answer = last(held).await;
    assert_eq!(answer["result"]["_meta"]["portcullis/codes"], js!(["ledger_unavailable"]), "{answer}");
    assert_eq!((ran(&mock), served.parking.list()[0].released_ms), (0, None));
}

#[tokio::test]
async fn a_call_without_an_outcome_is_uncertain_at_the_next_start_and_never_made_again() {
    let (mock, served) = with_limits(holding(), |request| {
        if method_of(&request.body) == "tools/call" { vec![Step::UntilClosed] } else { reply(202, &[], "") }
    })
    .await;
    let post = served.post().session(&served.initialize().await.unwrap());
    let held = post.open(call("1", "pay", PARKED)).await;
    let parked = served.parking.count(1).await[0].clone();
    served.parking.approve_all();
    until("it runs", || ran(&mock) == 1).await;
    let left = served.journal.records(ATTEMPTS);
    assert_eq!(left.len(), 1);
    let kept = String::from_utf8_lossy(&left[0].1).into_owned();
    assert!(!kept.contains("REVIEW"), "no arguments: {kept}");

    // As after a crash: a new process finds the record, and some that are none.
    let next = Bench::new();
    let odd = vec![(b"attempt/default/x".to_vec(), vec![9]), (b"attempt/other/y".to_vec(), left[0].1.clone())];
    assert_eq!(next.gate.settle_interrupted(left.into_iter().chain(odd)).await.unwrap(), 1);
    let entries = next.journal.all();
    assert_eq!(next.journal.lines(), ["outcome call - uncertain"]);
    assert_eq!((entries[0].id, entries[0].approval), (parked.call, Some(parked.id)));
    assert_eq!((entries[0].call_digest, &entries[0].tool), (Some(parked.digest), &Some(parked.tool.clone())));

    drop(held);
    assert_eq!(served.journal.outcome().await, Outcome::Disconnected);
    assert_eq!(served.journal.records(ATTEMPTS), []);
}

#[tokio::test]
async fn a_held_call_runs_behind_child_processes_and_federations_too() {
    let python = |name: &str, shared: bool| {
        let mut upstream = Upstream::stdio(name, "python3", [python_server().display().to_string()], []).unwrap();
        if let Target::Stdio(target) = &mut upstream.target {
            *target = StdioTarget { shared, ..target.clone() };
        }
        upstream
    };
    let upstreams = Upstreams::new([python("own", false), python("shared", true)]).unwrap();
    let served = Served::with(upstreams, holding()).await;
    let params = |tool: &str, mark: usize| {
        format!(
            r#"{{"name":"{tool}","arguments":{{"text":"{mark} ran","why":"REVIEW"}},"_meta":{{"progressToken":7}}}}"#
        )
    };
    for (mark, (path, tool)) in
        [("/mcp/own", "echo"), ("/mcp/shared", "echo"), ("/mcp", "own__echo"), ("/mcp", "shared__echo")]
            .into_iter()
            .enumerate()
    {
        let post = served.request("POST", path);
        let session = post.send(INITIALIZE).await.header("mcp-session-id").unwrap().to_owned();
        let post = post.session(&session);
        post.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        let held = post
            .open(format!(r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{}}}"#, params(tool, mark)))
            .await;
        assert!(is_stream(&held), "{path} {tool}");
        served.parking.count(mark + 1).await;
        served.parking.approve_all();
        let answer = last(held).await;
        assert_eq!(answer["result"]["content"][0]["text"], format!("{mark} ran"), "{path} {tool}: {answer}");
        assert_eq!(answer["id"], "x");
        // One more, which its client cancels.
        let held = post
            .open(format!(r#"{{"jsonrpc":"2.0","id":"y","method":"tools/call","params":{}}}"#, params(tool, mark)))
            .await;
        until("it is parked", || served.parking.states().contains(&State::Pending)).await;
        post.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"y"}}"#).await;
        drop(held);
        until("it is cancelled", || !served.parking.states().contains(&State::Pending)).await;
    }
}

// The revision without sessions.

const TASKS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const ADDRESS: &str = r#"{"elicitation":{"url":{}}}"#;

/// A request of a client with these capabilities.
fn modern(id: &str, method: &str, params: &str, capabilities: &str) -> String {
    let meta = format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities}}}"#
    );
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{meta}}}}}"#)
}

fn paying(id: &str, text: &str, more: &str, capabilities: &str) -> String {
    modern(id, "tools/call", &format!(r#""name":"pay","arguments":{{"text":"{text}"}},{more}"#), capabilities)
}

async fn task(served: &Served, method: &str, task: &str, capabilities: &str, agent: &str) -> Value {
    let ask = stateless(served, method, Some(task)).with("authorization", &format!("Bearer {agent}"));
    ask.send(modern("9", method, &format!(r#""taskId":"{task}","#), capabilities)).await.json()
}

/// Asks until the task is over.
async fn over(served: &Served, id: &str) -> Value {
    for _ in 0..500 {
        let got = task(served, "tasks/get", id, TASKS, "agent").await["result"].take();
        if got["status"] != "working" {
            return got;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the task does not end");
}

async fn modern_upstream(limits: McpLimits, asking: Asking) -> (Mock, Served) {
    let mock = Mock::new(|request| {
        let result = match &*method_of(&request.body) {
            "server/discover" => {
                r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"x":1.0}}}"#
            }
            _ if request.body.contains("\"FAIL\"") => {
                return json(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"broken"}}"#);
            }
            _ => r#"{"resultType":"complete","content":[{"type":"text","text":"it ran"}],"n":1.0}"#,
        };
        json(&answer_to(&request.body, result))
    })
    .await;
    let served = Served::asking(Upstreams::new([mock.upstream()]).unwrap(), limits, asking).await;
    (mock, served)
}

#[tokio::test]
async fn a_client_with_tasks_gets_one_for_a_parked_call_and_its_result_when_it_was_approved() {
    let (mock, served) = modern_upstream(holding(), Asking::default()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    let made = pay.send(paying("1", "REVIEW", "", TASKS)).await;
    assert_eq!((made.status, made.header("content-type")), (200, Some("application/json")), "at once");
    let made = made.json();
    let approval = served.parking.list()[0].id;
    let id = made["result"]["taskId"].as_str().unwrap().to_owned();
    assert_eq!(
        (&made["id"], &made["result"]["resultType"], &made["result"]["status"]),
        (&js!(1), &js!("task"), &js!("working"))
    );
    assert!(made["result"]["statusMessage"].as_str().unwrap().contains(&approval.to_string()), "{made}");
    assert!(
        made["result"]["ttlMs"].as_u64().unwrap() >= 900_000 && made["result"]["pollIntervalMs"].is_u64(),
        "{made}"
    );
    assert!(made["result"]["createdAt"].as_str().unwrap().ends_with('Z'), "{made}");

    let waiting = task(&served, "tasks/get", &id, TASKS, "agent").await;
    assert_eq!((&waiting["result"]["status"], &waiting["result"]["resultType"]), (&js!("working"), &js!("complete")));
    let undeclared = task(&served, "tasks/get", &id, "{}", "agent").await;
    assert_eq!(undeclared["error"]["code"], -32021);
    assert!(undeclared["error"]["data"]["requiredCapabilities"]["extensions"].is_object());
    for (agent, id) in [
        ("another", &*id),
        ("other-tenant", &*id),
        ("agent", "portcullis-none"),
        ("agent", "portcullis-0198e2f0-0000-7000-8000-000000000000"),
    ] {
        for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
            let foreign = task(&served, method, id, TASKS, agent).await;
            assert_eq!(foreign["error"]["code"], -32602, "{agent} {method} {id}");
        }
    }
    assert_eq!(ran(&mock), 0);
    served.parking.approve_all();
    let done = over(&served, &id).await;
    assert_eq!((&done["status"], &done["result"]["content"][0]["text"]), (&js!("completed"), &js!("it ran")), "{done}");
    let raw = stateless(&served, "tasks/get", Some(&id))
        .send(modern("9", "tasks/get", &format!(r#""taskId":"{id}","#), TASKS))
        .await;
    assert!(raw.text().contains(r#""n":1.0"#), "as it was written: {}", raw.text());
    assert_eq!(
        (over(&served, &id).await["status"].as_str(), ran(&mock)),
        (Some("completed"), 1),
        "as often as it is asked"
    );
    assert!(
        mock.received().iter().all(|request| !method_of(&request.body).starts_with("tasks/")),
        "nobody else is asked"
    );
}

#[tokio::test]
async fn tasks_tell_of_refusals_failures_and_cancellations() {
    let (mock, served) = modern_upstream(holding(), Asking::default()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    let begin = async |text: &str| {
        let made = pay.send(paying("1", text, "", TASKS)).await.json();
        made["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    };
    let denied = begin("REVIEW 1").await;
    served.parking.decide(served.parking.list()[0].id, false);
    let got = over(&served, &denied).await;
    assert_eq!((&got["status"], &got["result"]["isError"]), (&js!("completed"), &js!(true)), "{got}");
    assert_eq!(got["result"]["_meta"]["portcullis/approval"]["state"], "denied");

    let expired = begin("REVIEW SOON").await;
    assert_eq!(over(&served, &expired).await["result"]["_meta"]["portcullis/codes"], js!(["approval_expired"]));

    let cancelled = begin("REVIEW 2").await;
    assert_eq!(
        task(&served, "tasks/update", &cancelled, TASKS, "agent").await["result"],
        js!({ "resultType": "complete" })
    );
    assert_eq!(
        task(&served, "tasks/cancel", &cancelled, TASKS, "agent").await["result"],
        js!({ "resultType": "complete" })
    );
    assert_eq!(over(&served, &cancelled).await["status"], "cancelled");
    until("its approval is cancelled", || served.parking.states()[2] == State::Cancelled).await;
    assert_eq!(ran(&mock), 0);

    let failed = modern("1", "tools/call", r#""name":"pay","arguments":{"text":"REVIEW","how":"FAIL"},"#, TASKS);
    let failed = pay.send(failed).await.json()["result"]["taskId"].as_str().unwrap().to_owned();
    served.parking.approve_all();
    let got = over(&served, &failed).await;
    assert_eq!((&got["status"], &got["error"]["message"]), (&js!("failed"), &js!("broken")), "{got}");
}

#[tokio::test]
async fn clients_that_declare_tasks_are_told_that_there_are_some_and_nobody_else() {
    let (_mock, served) = modern_upstream(holding(), Asking::default()).await;
    let discover = stateless(&served, "server/discover", None);
    let plain = discover.send(modern("1", "server/discover", "", "{}")).await;
    assert!(plain.text().contains(r#""capabilities":{"tools":{"x":1.0}}"#), "{}", plain.text());
    let told = discover.send(modern("1", "server/discover", "", TASKS)).await;
    let expected = r#""capabilities":{"tools":{"x":1.0},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    assert!(told.text().contains(expected), "{}", told.text());
}

#[tokio::test]
async fn a_client_without_extensions_is_held_in_the_revision_without_sessions_too() {
    let (mock, served) = modern_upstream(holding(), Asking::default()).await;
    let held = stateless(&served, "tools/call", Some("pay")).open(paying("1", "REVIEW", "", "{}")).await;
    assert!(is_stream(&held));
    served.parking.count(1).await;
    served.parking.approve_all();
    assert_eq!(last(held).await["result"]["content"][0]["text"], "it ran");
    assert_eq!(ran(&mock), 1);
}

fn address() -> Asking {
    Asking { address: Some("https://desk.example/approvals/{id}".to_owned()), seal: Seal::new(&[7; 32]) }
}

/// What a client sends back: its user's answer and the state.
fn came_back(action: &str, state: &str) -> String {
    format!(r#""inputResponses":{{"portcullis-approval":{{"action":"{action}"}}}},"requestState":{},"#, js!(state))
}

#[tokio::test]
async fn a_client_that_opens_addresses_is_sent_to_one_and_its_call_runs_once_when_it_comes_back() {
    let (mock, served) = modern_upstream(holding(), address()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    let asked = pay.send(paying("1", "REVIEW", "", ADDRESS)).await.json();
    let parked = served.parking.list();
    let question = &asked["result"]["inputRequests"]["portcullis-approval"];
    assert_eq!(
        (&asked["result"]["resultType"], &question["method"]),
        (&js!("input_required"), &js!("elicitation/create"))
    );
    assert_eq!(question["params"]["mode"], "url");
    assert_eq!(question["params"]["url"], format!("https://desk.example/approvals/{}", parked[0].id));
    let state = asked["result"]["requestState"].as_str().unwrap().to_owned();

    // Back before anybody has decided: the answer is held open.
    let held = pay.open(paying("2", "REVIEW", &came_back("accept", &state), ADDRESS)).await;
    assert!(is_stream(&held));
    let twice = pay.send(paying("3", "REVIEW", &came_back("accept", &state), ADDRESS)).await.json();
    assert_eq!(twice["error"]["code"], -32602, "one at a time: {twice}");
    served.parking.decide(parked[0].id, true);
    assert_eq!(last(held).await["result"]["content"][0]["text"], "it ran");
    assert_eq!((ran(&mock), served.parking.list().len()), (1, 1));
    let sent = mock.received().last().unwrap().body.clone();
    assert!(!sent.contains("requestState") && !sent.contains("inputResponses"), "what is ours stays here: {sent}");

    let replayed = pay.send(paying("4", "REVIEW", &came_back("accept", &state), ADDRESS)).await;
    assert_eq!((replayed.status, &replayed.json()["error"]["code"]), (400, &js!(-32602)));
    assert!(replayed.text().contains("used already"), "{}", replayed.text());
    assert_eq!((ran(&mock), served.parking.list().len()), (1, 1));
}

#[tokio::test]
async fn a_state_that_is_not_this_callers_for_this_call_is_refused() {
    let (mock, served) = modern_upstream(holding(), address()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    let asked = pay.send(paying("1", "REVIEW", "", ADDRESS)).await.json();
    let state = asked["result"]["requestState"].as_str().unwrap().to_owned();
    served.parking.approve_all();
    let mut changed = state.clone();
    let at = changed.len() - 9;
    let another = if changed[at..].starts_with('A') { "B" } else { "A" };
    changed.replace_range(at..=at, another);
    let forged = "portcullis.1.AAAA";
    let accept = |state: &str| came_back("accept", state);
    let tries = [
        ("changed", "agent", paying("2", "REVIEW", &accept(&changed), ADDRESS)),
        ("forged", "agent", paying("2", "REVIEW", &accept(forged), ADDRESS)),
        ("of another agent", "another", paying("2", "REVIEW", &accept(&state), ADDRESS)),
        ("of another tenant", "other-tenant", paying("2", "REVIEW", &accept(&state), ADDRESS)),
        ("for another call", "agent", paying("2", "REVIEW it", &accept(&state), ADDRESS)),
        ("for a call that would pass", "agent", paying("2", "fine", &accept(&state), ADDRESS)),
    ];
    for (what, agent, body) in tries {
        let got = pay.clone().with("authorization", &format!("Bearer {agent}")).send(body).await.json();
        assert_eq!(got["error"]["code"], -32602, "{what}: {got}");
        assert!(got["error"]["message"].as_str().unwrap().starts_with("requestState "), "{what}: {got}");
    }
    assert_eq!(ran(&mock), 0);
    let other = modern(
        "2",
        "tools/call",
        &format!(r#""name":"other","arguments":{{"text":"REVIEW"}},{}"#, accept(&state)),
        ADDRESS,
    );
    let other = stateless(&served, "tools/call", Some("other")).send(other).await.json();
    assert_eq!(other["error"]["code"], -32602, "for another tool");
    // Whoever it was given to can use it.
    let done = pay.send(paying("3", "REVIEW", &accept(&state), ADDRESS)).await.json();
    assert_eq!(done["result"]["content"][0]["text"], "it ran", "{done}");
    assert_eq!(ran(&mock), 1);
}

#[tokio::test]
async fn a_user_who_declines_cancels_the_call_and_one_that_was_denied_is_refused() {
    let (mock, served) = modern_upstream(holding(), address()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    for (action, approve, code) in [
        ("decline", None, "approval_cancelled"),
        ("cancel", None, "approval_cancelled"),
        ("accept", Some(false), "approval_denied"),
    ] {
        let count = served.parking.list().len();
        let asked = pay.send(paying("1", "REVIEW", "", ADDRESS)).await.json();
        let state = asked["result"]["requestState"].as_str().unwrap();
        if let Some(approve) = approve {
            served.parking.decide(served.parking.list()[count].id, approve);
        }
        let got = pay.send(paying("2", "REVIEW", &came_back(action, state), ADDRESS)).await.json();
        assert_eq!(got["result"]["_meta"]["portcullis/codes"], js!([code]), "{action}: {got}");
        assert_eq!(got["result"]["resultType"], "complete");
    }
    assert_eq!(served.parking.states(), [State::Cancelled, State::Cancelled, State::Denied]);
    assert_eq!(ran(&mock), 0);
}

#[tokio::test]
async fn a_user_who_declines_what_was_approved_a_moment_before_has_the_last_word() {
    let (mock, served) = modern_upstream(holding(), address()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    let asked = pay.send(paying("1", "REVIEW", "", ADDRESS)).await.json();
    let state = asked["result"]["requestState"].as_str().unwrap();
    served.parking.approve_all();
    let got = pay.send(paying("2", "REVIEW", &came_back("decline", state), ADDRESS)).await.json();
    assert_eq!(got["result"]["_meta"]["portcullis/codes"], js!(["approval_cancelled"]), "{got}");
    assert!(served.parking.list()[0].released_ms.is_some(), "it is used up");
    // The same call is for people again.
    let again = pay.send(paying("3", "REVIEW", "", ADDRESS)).await.json();
    assert_eq!(again["result"]["resultType"], "input_required", "{again}");
    assert_eq!((served.parking.list().len(), ran(&mock)), (2, 0));
}

#[tokio::test]
async fn an_approval_is_for_the_answers_that_its_call_was_parked_with() {
    let (mock, served) = modern_upstream(holding(), address()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    pay.send(paying("1", "REVIEW", "", ADDRESS)).await.json();
    served.parking.approve_all();
    for (id, more) in [
        ("2", r#""inputResponses":{"to":{"content":{"iban":"elsewhere"}}},"#),
        ("3", r#""requestState":"forged","#),
        ("4", r#""inputResponses":{"to":{"content":{"iban":"elsewhere"}}},"requestState":"forged","#),
        ("6", r#""requestState":{"iban":"elsewhere"},"#),
        ("7", r#""inputResponses":null,"#),
    ] {
        let asked = pay.send(paying(id, "REVIEW", more, ADDRESS)).await.json();
        assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    }
    assert_eq!(ran(&mock), 0);
    let done = pay.send(paying("5", "REVIEW", "", ADDRESS)).await.json();
    assert_eq!(done["result"]["content"][0]["text"], "it ran", "{done}");
}

#[tokio::test]
async fn our_state_wraps_that_of_the_upstream() {
    let (mock, served) = modern_upstream(holding(), address()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    let theirs = r#""inputResponses":{"who":{"action":"accept","content":{"n":1.0}}},"requestState":"theirs","#;
    let asked = pay.send(paying("1", "REVIEW", theirs, ADDRESS)).await.json();
    let state = asked["result"]["requestState"].as_str().unwrap().to_owned();
    assert!(!state.contains("theirs"));
    served.parking.approve_all();
    let done = pay.send(paying("2", "REVIEW", &came_back("accept", &state), ADDRESS)).await.json();
    assert_eq!(done["result"]["content"][0]["text"], "it ran", "{done}");
    let sent = mock.received().last().unwrap().body.clone();
    assert!(
        sent.contains(r#""inputResponses":{"who":{"action":"accept","content":{"n":1.0}}},"requestState":"theirs""#),
        "{sent}"
    );
}

#[tokio::test]
async fn a_user_who_takes_long_is_asked_again() {
    let hold = HoldLimits { wait: Duration::from_millis(150), ..HoldLimits::default() };
    let (_mock, served) = modern_upstream(McpLimits { hold, ..holding() }, address()).await;
    let pay = stateless(&served, "tools/call", Some("pay"));
    let asked = pay.send(paying("1", "REVIEW", "", ADDRESS)).await.json();
    let state = asked["result"]["requestState"].as_str().unwrap();
    let again = last(pay.open(paying("2", "REVIEW", &came_back("accept", state), ADDRESS)).await).await;
    assert_eq!(again["result"]["resultType"], "input_required", "{again}");
    let state = again["result"]["requestState"].as_str().unwrap();
    served.parking.approve_all();
    let done = pay.send(paying("3", "REVIEW", &came_back("accept", state), ADDRESS)).await.json();
    assert_eq!(done["result"]["content"][0]["text"], "it ran", "{done}");
    assert_eq!(served.parking.list().len(), 1);
}
