//! Parked calls: waiting, deciding, single use, restart.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_model::EntryKind;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::*;

const REVIEW: &str = r#"{"tool":"pay","arguments":{"w":"REVIEW"}}"#;

fn waiting(ms: u64) -> String {
    format!(r#"{{"tool":"pay","arguments":{{"w":"REVIEW"}},"wait_ms":{ms}}}"#)
}

async fn parked(bench: &Bench) -> String {
    let json = bench.inspect(AGENT, REVIEW).await.json();
    assert_eq!((&json["verdict"], &json["approval"]["state"]), (&json!("review"), &json!("pending")));
    json["approval"]["id"].as_str().unwrap().to_owned()
}

async fn decide(bench: &Bench, token: &str, id: &str, decision: &str) -> Answer {
    let body = json!({ "decision": decision, "comment": "looked at it" }).to_string();
    bench.ask("POST", &format!("/v1/approvals/{id}/decide"), token, &body).await
}

#[tokio::test]
async fn a_client_that_left_while_it_waited_leaves_the_approval_to_who_asks_again() {
    let bench = Bench::new().await;
    let mut client = bench.client().await;
    client.0.write_all(&request("POST", "/v1/inspect", AGENT, waiting(60_000).as_bytes())).await.unwrap();
    let pending = async || bench.get("/v1/approvals", OPERATOR).await.json()["approvals"].as_array().cloned().unwrap();
    while pending().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    socket2::SockRef::from(&client.0).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let id = pending().await[0]["id"].as_str().unwrap().to_owned();
    // Noticed within moments, long before the wait is over.
    let open = async || bench.get("/metrics", "").await.text.contains("portcullis_http_requests_in_flight 1\n");
    tokio::time::timeout(Duration::from_secs(20), async {
        while !open().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the wait ended with its client");
    assert_eq!(decide(&bench, OPERATOR, &id, "approve").await.status, 200);
    let json = bench.inspect(AGENT, REVIEW).await.json();
    assert_eq!((&json["approval"]["id"], &json["approval"]["state"]), (&json!(id), &json!("approved")));
}

#[tokio::test]
async fn a_review_names_its_approval() {
    let bench = Bench::new().await;
    let json = bench.inspect(AGENT, REVIEW).await.json();
    let approval = &json["approval"];
    let keys: Vec<_> = approval.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "state", "deadline", "poll", "required", "reasons"]);
    let id = approval["id"].as_str().unwrap();
    assert_eq!(approval["poll"], format!("/v1/approvals/{id}"));
    assert_eq!(bench.get(&format!("/v1/approvals/{id}"), AGENT).await.json(), *approval);
    // The same call again waits for the same decision.
    assert_eq!(parked(&bench).await, id);
    assert_eq!(bench.approvals.pending(), 1);
}

#[tokio::test]
async fn an_approval_releases_one_call() {
    let bench = Bench::new().await;
    let id = parked(&bench).await;
    let decided = decide(&bench, OPERATOR, &id, "approve").await;
    assert_eq!((decided.check_head().status, decided.json()["state"].clone()), (200, json!("approved")));
    assert_eq!(decided.json()["votes"][0]["comment"], "looked at it");
    let released = bench.inspect(AGENT, REVIEW).await.json();
    assert_eq!((&released["approval"]["id"], &released["approval"]["state"]), (&json!(id), &json!("approved")));
    let next = parked(&bench).await;
    assert_ne!(next, id, "the approval is used up");
    assert_eq!(bench.count("acme", EntryKind::Approval), 1);
}

#[tokio::test]
async fn only_the_approved_call_is_released() {
    let bench = Bench::new().await;
    let id = parked(&bench).await;
    decide(&bench, OPERATOR, &id, "approve").await;
    let changed = bench.inspect(AGENT, &REVIEW.replace("REVIEW", "REVIEW, and more")).await.json();
    assert_eq!(changed["approval"]["state"], "pending");
    let stranger = bench.inspect(SECOND, REVIEW).await.json();
    assert_eq!(stranger["approval"]["state"], "pending");
}

#[tokio::test]
async fn an_approval_releases_nothing_that_nobody_was_asked_about() {
    let bench = Bench::new().await;
    let ask = async || bench.inspect(AGENT, REVIEW).await.json()["approval"].clone();
    let id_of = |approval: &Value| approval["id"].as_str().unwrap().to_owned();
    let first = parked(&bench).await;
    decide(&bench, OPERATOR, &first, "approve").await;
    // The tool changes before the approval is used.
    bench.judge.changed.store(true, Ordering::SeqCst);
    let approval = ask().await;
    let second = id_of(&approval);
    assert_eq!(approval["state"], "pending");
    assert_ne!(second, first);
    let codes: Vec<_> = approval["reasons"].as_array().unwrap().iter().map(|reason| &reason["code"]).collect();
    assert_eq!(codes, ["word", "pin.changed"]);
    assert_eq!(id_of(&ask().await), second, "it waits for that one decision");
    let bench = bench.restarted().await;
    bench.judge.changed.store(true, Ordering::SeqCst);
    let ask = async || bench.inspect(AGENT, REVIEW).await.json()["approval"].clone();
    assert_eq!(id_of(&ask().await), second);
    decide(&bench, OPERATOR, &second, "approve").await;
    let released = ask().await;
    assert_eq!((id_of(&released), &released["state"]), (second, &json!("approved")));
    // As the tool was, the first one still counts, once.
    bench.judge.changed.store(false, Ordering::SeqCst);
    let released = ask().await;
    assert_eq!((id_of(&released), &released["state"]), (first, &json!("approved")));
    assert_eq!(ask().await["state"], "pending");
}

#[tokio::test]
async fn a_denial_is_final() {
    let bench = Bench::new().await;
    let id = parked(&bench).await;
    assert_eq!(decide(&bench, OPERATOR, &id, "deny").await.json()["state"], "denied");
    let again = decide(&bench, OPERATOR, &id, "approve").await;
    assert_eq!((again.check_head().status, again.code().as_str()), (409, "decided"));
    assert_eq!(bench.get(&format!("/v1/approvals/{id}"), AGENT).await.json()["state"], "denied");
    assert_ne!(parked(&bench).await, id);
}

#[tokio::test]
async fn an_answer_is_held_until_the_decision() {
    let bench = Bench::new().await;
    let started = Instant::now();
    let body = waiting(20_000);
    let ask = bench.inspect(AGENT, &body);
    let approve = async {
        let id = bench.waiting().await;
        assert_eq!(decide(&bench, OPERATOR, &id, "approve").await.status, 200);
        id
    };
    let (answer, id) = tokio::join!(ask, approve);
    assert!(started.elapsed() < Duration::from_secs(10));
    let json = answer.json();
    assert_eq!((&json["verdict"], &json["approval"]["state"]), (&json!("review"), &json!("approved")));
    assert_eq!(json["approval"]["id"], json!(id));
    // That answer was the release, and it is recorded.
    assert_ne!(parked(&bench).await, id);
    assert_eq!(bench.count("acme", EntryKind::Approval), 2);
}

#[tokio::test]
async fn a_wait_ends_by_itself() {
    let bench = Bench::new().await;
    let started = Instant::now();
    let json = bench.inspect(AGENT, &waiting(150)).await.json();
    assert_eq!(json["approval"]["state"], "pending");
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn of_two_waiting_calls_one_is_released() {
    let bench = Bench::new().await;
    let id = parked(&bench).await;
    let body = waiting(20_000);
    let approve = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        decide(&bench, OPERATOR, &id, "approve").await
    };
    let (one, two, _) = tokio::join!(bench.inspect(AGENT, &body), bench.inspect(AGENT, &body), approve);
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
}

#[tokio::test]
async fn a_kept_answer_shows_the_present_state() {
    let bench = Bench::new().await;
    let body = r#"{"tool":"pay","arguments":"REVIEW","id":"0193b0e0-0000-7000-8000-00000000000a"}"#;
    let first = bench.inspect(AGENT, body).await.json();
    let id = first["approval"]["id"].as_str().unwrap();
    decide(&bench, OPERATOR, id, "approve").await;
    let bench = bench.restarted().await;
    for _ in 0..2 {
        let again = bench.inspect(AGENT, body).await.json();
        assert_eq!((&again["entry"], &again["approval"]["state"]), (&first["entry"], &json!("approved")));
    }
    let other = bench.inspect(AGENT, r#"{"tool":"pay","arguments":"REVIEW"}"#).await.json();
    assert_eq!(other["approval"]["state"], "pending", "the approval was used by the call that was parked");
}

#[tokio::test]
async fn an_approval_that_another_call_used_releases_nothing_more() {
    let bench = Bench::new().await;
    let body = r#"{"tool":"pay","arguments":"REVIEW","id":"0193b0e0-0000-7000-8000-00000000000b"}"#;
    let parked = bench.inspect(AGENT, body).await.json();
    let id = parked["approval"]["id"].as_str().unwrap();
    decide(&bench, OPERATOR, id, "approve").await;
    let first = bench.inspect(AGENT, r#"{"tool":"pay","arguments":"REVIEW"}"#).await.json();
    assert_eq!((&first["approval"]["id"], &first["approval"]["state"]), (&json!(id), &json!("approved")));
    // Also not for the very call that was parked, in this run or the next.
    let late = bench.inspect(AGENT, body).await;
    assert_eq!((late.check_head().status, late.code().as_str()), (409, "approval_used"));
    let bench = bench.restarted().await;
    assert_eq!(bench.inspect(AGENT, body).await.code(), "approval_used");
}

#[tokio::test]
async fn a_call_that_comes_while_a_change_of_its_approval_is_recorded_waits_for_that() {
    let bench = Bench::new().await;
    let id = parked(&bench).await;
    assert_eq!(decide(&bench, OPERATOR, &id, "approve").await.status, 200);
    bench.journal.slow_ms.store(500, Ordering::SeqCst);
    let path = format!("/v1/approvals/{id}/comment");
    let comment = bench.ask("POST", &path, OPERATOR, r#"{"comment":"paid by hand last time"}"#);
    let call = async {
        for _ in 0..2000 {
            if bench.journal.slow_ms.load(Ordering::SeqCst) == 0 {
                return bench.inspect(AGENT, REVIEW).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the comment is recorded");
    };
    let (comment, call) = tokio::join!(comment, call);
    assert_eq!((comment.status, call.status), (200, 200), "{}", call.text);
    let json = call.json();
    assert_eq!((&json["approval"]["id"], &json["approval"]["state"]), (&json!(id), &json!("approved")));
}

#[tokio::test]
async fn a_call_that_needs_a_redaction_by_the_time_it_is_approved_is_not_released_without_it() {
    let bench = Bench::new().await;
    let body = r#"{"tool":"pay","arguments":{"w":"REVIEW","t":"SECRET"},"wait_ms":20000,"id":"0193b0e0-0000-7000-8000-00000000000c"}"#;
    let approve = async {
        let id = bench.waiting().await;
        bench.judge.lenient.store(true, Ordering::SeqCst);
        assert_eq!(decide(&bench, OPERATOR, &id, "approve").await.status, 200);
        id
    };
    let (answer, id) = tokio::join!(bench.inspect(AGENT, body), approve);
    assert_eq!((answer.status, answer.code().as_str()), (409, "approval_outdated"), "{}", answer.text);
    let kept = bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json();
    assert_eq!((&kept["state"], &kept["released"]), (&json!("approved"), &Value::Null));
    // Asked anew, the call is let through with its redaction.
    let anew = bench.inspect(AGENT, r#"{"tool":"pay","arguments":{"w":"REVIEW","t":"SECRET"}}"#).await.json();
    assert_eq!(
        (&anew["verdict"], &anew["arguments"]["t"]),
        (&json!("redact"), &json!("[redacted:secret.test]")),
        "{anew}"
    );
}

#[tokio::test]
async fn decisions_are_for_operators_of_the_tenant_whom_the_plan_names() {
    let bench = Bench::new().await;
    let id = parked(&bench).await;
    for (token, status) in [("", 401), (AGENT, 403), (VIEWER, 403), (OTHER_OPERATOR, 404), (OTHER, 403)] {
        let answer = decide(&bench, token, &id, "approve").await;
        assert_eq!(answer.check_head().status, status, "{token}");
    }
    for (token, status) in [(AGENT, 200), (SECOND, 404), (VIEWER, 200), (OTHER, 404), (OTHER_OPERATOR, 404)] {
        let answer = bench.get(&format!("/v1/approvals/{id}"), token).await;
        assert_eq!(answer.check_head().status, status, "{token}");
        let listed = bench.get("/v1/approvals", token).await.json()["approvals"].as_array().unwrap().len();
        assert_eq!(listed == 1, status == 200, "{token}");
    }
    let unknown = "0193b0e0-0000-7000-8000-0000000000ff";
    assert_eq!(decide(&bench, OPERATOR, unknown, "deny").await.check_head().status, 404);
    assert_eq!(decide(&bench, OPERATOR, "nonsense", "deny").await.check_head().status, 404);
    let path = format!("/v1/approvals/{id}/decide");
    for body in ["", "{}", "[]", r#"{"decision":"maybe"}"#, r#"{"decision":"deny","by":"x"}"#, r#"{"decision":1}"#] {
        assert_eq!(bench.ask("POST", &path, OPERATOR, body).await.check_head().status, 400, "{body}");
    }
    let long = json!({"decision":"deny","comment":"x".repeat(2000)}).to_string();
    assert_eq!(bench.ask("POST", &path, OPERATOR, &long).await.check_head().status, 400);
    assert_eq!(bench.approvals.pending(), 1, "none of this decided anything");
}

#[tokio::test]
async fn a_decision_that_cannot_be_recorded_does_not_count() {
    let bench = Bench::new().await;
    let id = parked(&bench).await;
    bench.journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(decide(&bench, OPERATOR, &id, "approve").await.check_head().status, 503);
    bench.journal.broken.store(false, Ordering::SeqCst);
    assert_eq!(bench.get(&format!("/v1/approvals/{id}"), AGENT).await.json()["state"], "pending");
    decide(&bench, OPERATOR, &id, "approve").await;
    bench.journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(bench.inspect(AGENT, REVIEW).await.status, 503, "no entry, no release");
    bench.journal.broken.store(false, Ordering::SeqCst);
    let released = bench.inspect(AGENT, REVIEW).await.json();
    assert_eq!((&released["approval"]["id"], &released["approval"]["state"]), (&Value::from(id), &json!("approved")));
}
