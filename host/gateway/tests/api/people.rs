//! What people do with parked calls besides deciding: changing arguments, claiming, commenting, deciding many, waiting.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_gateway::doors::clavenar::AllowBody;
use portcullis_ledger::StoredEntry;
use portcullis_model::EntryKind;
use serde_json::{Value, json};

use crate::clavenar;
use crate::support::*;

/// Parked, and its arguments may be changed.
const FLEX: &str = r#"{"tool":"pay","arguments":{"w":"REVIEW FLEX","amount":500.0,"to":"a","fast":true,"tags":[1]}}"#;
const FIXED: &str = r#"{"tool":"pay","arguments":{"w":"REVIEW","amount":500}}"#;

async fn park(bench: &Bench, token: &str, call: &str) -> String {
    let json = bench.inspect(token, call).await.json();
    assert_eq!((&json["verdict"], &json["approval"]["state"]), (&json!("review"), &json!("pending")), "{json}");
    json["approval"]["id"].as_str().unwrap().to_owned()
}

async fn act(bench: &Bench, token: &str, id: &str, what: &str, body: &Value) -> Answer {
    bench.ask("POST", &format!("/v1/approvals/{id}/{what}"), token, &body.to_string()).await
}

async fn change(bench: &Bench, id: &str, pointer: &str, value: Value) -> Answer {
    let body = json!({ "changes": [{ "pointer": pointer, "value": value }], "comment": "as agreed" });
    act(bench, OPERATOR, id, "modify", &body).await
}

/// Approves the call as it is shown now.
async fn approve(bench: &Bench, id: &str) -> Answer {
    let view = bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json();
    let mut body = json!({ "decision": "approve" });
    if let Some(changed) = view.get("modified") {
        body["digest"] = changed["digest"].clone();
    }
    act(bench, OPERATOR, id, "decide", &body).await
}

#[tokio::test]
async fn an_approver_changes_arguments_and_the_agent_is_given_these() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FLEX).await;
    let shown = bench.get(&format!("/v1/approvals/{id}/arguments"), OPERATOR).await;
    assert_eq!(shown.json(), serde_json::from_str::<Value>(FLEX).unwrap()["arguments"]);
    let view = change(&bench, &id, "/amount", json!(50.25)).await;
    assert_eq!(view.check_head().status, 200);
    let view = view.json();
    assert_eq!((&view["state"], &view["modified"]["changes"][0]["value"]), (&json!("pending"), &json!("50.25")));
    let digest = view["modified"]["digest"].as_str().unwrap().to_owned();
    assert_ne!(view["digest"], view["modified"]["digest"]);

    // What was changed and agreed to is there after a restart.
    let bench = bench.restarted().await;
    assert_eq!(approve(&bench, &id).await.json()["state"], "approved");
    let ran = bench.inspect(AGENT, FLEX).await.json();
    assert_eq!((&ran["approval"]["id"], &ran["approval"]["state"]), (&json!(id), &json!("approved")));
    let given = json!({ "w": "REVIEW FLEX", "amount": 50.25, "to": "a", "fast": true, "tags": [1] });
    assert_eq!(ran["arguments"], given);
    // Once.
    assert_ne!(park(&bench, AGENT, FLEX).await, id);

    // Both are on record: at the change, where the call was released, and the changed call itself.
    let entries = bench.entries("acme");
    let about = |kind: EntryKind, words: &str| {
        let said = |row: &&StoredEntry| row.entry.note.as_deref().is_some_and(|note| note.contains(words));
        let found = entries.iter().filter(|row| row.entry.kind == kind).find(said);
        found.unwrap_or_else(|| panic!("no {kind:?} {words:?}")).entry.clone()
    };
    let tried = about(EntryKind::Decision, "as olga would change it");
    assert_eq!((tried.seq, tried.approval), (view["modified"]["entry"].as_u64().unwrap(), Some(id.parse().unwrap())));
    let there = format!("those of entry {}", tried.seq);
    let changed = about(EntryKind::Approval, &there);
    let released = about(EntryKind::Decision, &format!("the arguments of entry {}", tried.seq));
    assert_eq!(changed.call, released.call);
    assert!(tried.call.is_some() && tried.call != released.call);
    // Not the values.
    let log: String = entries.iter().map(|row| format!("{:?}", row.entry)).collect();
    assert!(!log.contains("50.25") && !log.contains(&digest));
}

#[tokio::test]
async fn who_waits_for_the_decision_is_given_the_changed_arguments_and_again_under_its_id() {
    let bench = Bench::new().await;
    let id = "0199f2a0-0000-7000-8000-000000000001";
    let asked = FLEX.replacen('{', &format!("{{\"id\":\"{id}\",\"wait_ms\":20000,"), 1);
    let ask = bench.inspect(AGENT, &asked);
    let decide = async {
        let approval = bench.waiting().await;
        assert_eq!(change(&bench, &approval, "/to", json!("b")).await.status, 200);
        assert_eq!(approve(&bench, &approval).await.status, 200);
    };
    let (answer, ()) = tokio::join!(ask, decide);
    assert_eq!(answer.json()["arguments"]["to"], "b", "{}", answer.text);
    let again = bench.inspect(AGENT, &asked).await.json();
    assert_eq!((&again["arguments"]["to"], &again["approval"]["state"]), (&json!("b"), &json!("approved")));
}

#[tokio::test]
async fn what_an_agent_is_for_and_was_asked_to_do_belongs_to_the_changed_call_too() {
    let bench = Bench::new().await;
    let told = FLEX.replacen('{', r#"{"persona":"pays bills","task":"pay the rent","#, 1);
    let id = park(&bench, AGENT, &told).await;
    assert_eq!(change(&bench, &id, "/amount", json!(7)).await.status, 200);
    approve(&bench, &id).await;
    let ran = bench.inspect(AGENT, &told).await.json();
    assert_eq!((&ran["approval"]["state"], &ran["arguments"]["amount"]), (&json!("approved"), &json!(7)), "{ran}");
}

#[tokio::test]
async fn who_did_not_see_the_changed_arguments_does_not_approve_them() {
    let bench = Bench::new().await;
    let id = park(&bench, SECOND, FLEX).await;
    let seen = bench.get(&format!("/v1/approvals/{id}"), OWNER).await.json()["digest"].clone();
    assert_eq!(change(&bench, &id, "/amount", json!(9000)).await.status, 200);
    let late = json!({ "decision": "approve" });
    assert_eq!(act(&bench, OWNER, &id, "decide", &late).await.code(), "changed");
    let late = json!({ "decision": "approve", "digest": seen });
    assert_eq!(act(&bench, OWNER, &id, "decide", &late).await.code(), "changed");
    let many = json!({ "decisions": [{ "id": id, "decision": "approve" }] });
    let many = bench.ask("POST", "/v1/approvals/decide", OWNER, &many.to_string()).await.json();
    assert_eq!(many["results"][0]["error"]["code"], "changed");
    assert_eq!(bench.get(&format!("/v1/approvals/{id}"), OWNER).await.json()["votes"], json!([]));
    // A refusal is one, whatever was seen.
    let late = json!({ "decision": "deny" });
    assert_eq!(act(&bench, OWNER, &id, "decide", &late).await.json()["state"], "denied");
}

#[tokio::test]
async fn a_changed_call_is_given_to_no_door_that_cannot_carry_it() {
    let bench = Bench::with(Setup { clavenar: Some(AllowBody::Verdict), ..Setup::default() }).await;
    let id = park(&bench, AGENT, FLEX).await;
    assert_eq!(change(&bench, &id, "/amount", json!(1)).await.status, 200);
    assert_eq!(approve(&bench, &id).await.json()["state"], "approved");
    let arguments = serde_json::from_str::<Value>(FLEX).unwrap()["arguments"].clone();
    let answer = clavenar::decide(&bench, AGENT, &clavenar::id(), &clavenar::call("pay", &arguments)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let all = bench.get("/v1/approvals", OPERATOR).await.json()["approvals"].clone();
    assert_eq!(all[0]["digest"], all[1]["digest"], "it is the same call");
    assert_eq!((&all[1]["id"], &all[1]["released"]), (&json!(id), &Value::Null), "it waits for who can be given it");
}

#[tokio::test]
async fn a_call_whose_changed_arguments_may_not_run_any_more_is_parked_anew() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FLEX).await;
    assert_eq!(change(&bench, &id, "/to", json!("HARSH")).await.status, 200);
    assert_eq!(approve(&bench, &id).await.json()["state"], "approved");
    // A rule that counts, or asks the clock, says no to what its approver made of it.
    bench.judge.harsh.store(true, Ordering::SeqCst);
    let again = bench.inspect(AGENT, FLEX).await.json();
    assert_eq!((&again["verdict"], &again["approval"]["state"]), (&json!("review"), &json!("pending")));
    let anew = again["approval"]["id"].as_str().unwrap().to_owned();
    assert_ne!(anew, id);
    assert_eq!(approve(&bench, &anew).await.json()["state"], "approved");
    let released = bench.inspect(AGENT, FLEX).await.json();
    assert_eq!((&released["approval"]["id"], &released["approval"]["state"]), (&json!(anew), &json!("approved")));
    assert_eq!(bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json()["released"], Value::Null);
}

#[tokio::test]
async fn a_changed_call_is_inspected_in_full() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FLEX).await;
    let refused = change(&bench, &id, "/to", json!("DENY")).await;
    assert_eq!((refused.check_head().status, refused.code().as_str()), (422, "modification_refused"));
    let view = bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json();
    assert_eq!((&view["state"], &view["modified"]), (&json!("pending"), &Value::Null));
    // What policy would take out of a call is taken out of this one, too.
    let changes = json!([{ "pointer": "/w", "value": "fine" }, { "pointer": "/to", "value": "a SECRET" }]);
    assert_eq!(act(&bench, OPERATOR, &id, "modify", &json!({ "changes": changes })).await.status, 200);
    approve(&bench, &id).await;
    let ran = bench.inspect(AGENT, FLEX).await.json();
    assert_eq!((&ran["arguments"]["w"], &ran["arguments"]["to"]), (&json!("fine"), &json!("a [redacted:secret.test]")));
}

#[tokio::test]
async fn nobody_makes_a_call_into_one_that_others_would_be_asked_about() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FLEX).await;
    let refused = change(&bench, &id, "/to", json!("CFO")).await;
    assert_eq!((refused.check_head().status, refused.code().as_str()), (422, "modification_refused"));
    assert!(refused.text.contains("other people"), "{}", refused.text);
    // More of them, too.
    *bench.judge.plan.lock().unwrap() = Some(|plan| plan.quorum = 2);
    assert_eq!(change(&bench, &id, "/to", json!("b")).await.code(), "modification_refused");
    *bench.judge.plan.lock().unwrap() = None;
    let view = bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json();
    assert_eq!((&view["state"], view.get("modified")), (&json!("pending"), None));
    assert_eq!(change(&bench, &id, "/to", json!("b")).await.status, 200);
    // Into a smaller one: as many as were asked about the large one still have to agree.
    *bench.judge.plan.lock().unwrap() = Some(|plan| plan.quorum = 2);
    let large = park(&bench, AGENT, &FLEX.replace("500.0", "900.0")).await;
    *bench.judge.plan.lock().unwrap() = None;
    let view = change(&bench, &large, "/amount", json!(5.5)).await;
    assert_eq!((view.status, &view.json()["required"]), (200, &json!(2)), "{}", view.text);
}

#[tokio::test]
async fn the_vote_of_who_is_gone_does_not_count_any_more() {
    let bench = Bench::new().await;
    *bench.judge.plan.lock().unwrap() = Some(|plan| plan.quorum = 2);
    let id = park(&bench, SECOND, FIXED).await;
    assert_eq!(approve(&bench, &id).await.json()["state"], "pending");
    // Her token was stolen: she is taken out of the configuration.
    bench.credentials.replace(without("olga"));
    let yes = json!({ "decision": "approve" });
    let view = act(&bench, OWNER, &id, "decide", &yes).await.json();
    assert_eq!((&view["state"], &view["votes"][0]["lapsed"]), (&json!("pending"), &json!(true)), "{view}");
    let notes =
        |bench: &Bench| bench.entries("acme").iter().filter_map(|row| row.entry.note.clone()).collect::<Vec<_>>();
    assert_eq!(notes(&bench).last().unwrap(), "approved; 1 of 2 approvals");
    // Back again, she votes again.
    bench.credentials.replace(halting(""));
    let bench = bench.restarted().await;
    assert_eq!(approve(&bench, &id).await.json()["state"], "approved");
    assert_eq!(notes(&bench).last().unwrap(), "approved; 2 of 2 approvals");
}

#[tokio::test]
async fn who_gives_back_what_they_do_not_hold_writes_nothing() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FIXED).await;
    let before = bench.entries("acme").len();
    for (token, status) in [(VIEWER, 403), (OPERATOR, 200)] {
        assert_eq!(act(&bench, token, &id, "unclaim", &json!({})).await.status, status, "{token}");
    }
    assert_eq!(bench.entries("acme").len(), before);
}

#[tokio::test]
async fn a_change_of_type_changes_nothing() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FLEX).await;
    for (pointer, value) in [
        ("/amount", json!("5")),
        ("/amount", Value::Null),
        ("/amount", json!([5])),
        ("/to", json!(5)),
        ("/fast", json!("true")),
        ("/tags", json!(1)),
        ("/tags/0", json!("1")),
        ("/more", json!(1)),
        ("", json!(1)),
    ] {
        let answer = change(&bench, &id, pointer, value.clone()).await;
        assert_eq!((answer.check_head().status, answer.code().as_str()), (400, "malformed"), "{pointer} {value}");
    }
    for body in [json!({}), json!({ "changes": [] }), json!({ "changes": [{ "pointer": "/to" }] }), json!([1])] {
        assert_eq!(act(&bench, OPERATOR, &id, "modify", &body).await.status, 400, "{body}");
    }
    approve(&bench, &id).await;
    let ran = bench.inspect(AGENT, FLEX).await.json();
    assert_eq!((&ran["approval"]["state"], &ran["arguments"]), (&json!("approved"), &Value::Null));
}

#[tokio::test]
async fn only_what_the_router_lets_be_changed_is_kept_and_only_until_it_is_decided() {
    let bench = Bench::new().await;
    let fixed = park(&bench, AGENT, FIXED).await;
    assert_eq!(change(&bench, &fixed, "/amount", json!(5)).await.code(), "not_modifiable");
    assert_eq!(bench.get(&format!("/v1/approvals/{fixed}/arguments"), OPERATOR).await.code(), "not_modifiable");
    let kept = || bench.journal.ledger.records(b"approval-arguments/").unwrap().len();
    assert_eq!(kept(), 0);
    let flex = park(&bench, AGENT, FLEX).await;
    assert_eq!(kept(), 1);
    // A megabyte is the most.
    let large = FLEX.replace("\"a\"", &format!("\"{}\"", "x".repeat(1024 * 1024)));
    let large = park(&bench, AGENT, &large).await;
    assert_eq!((kept(), change(&bench, &large, "/amount", json!(5)).await.code().as_str()), (1, "not_modifiable"));
    for (token, status) in [(VIEWER, 403), (OTHER_OPERATOR, 404), (AGENT, 403), (OWNER, 403)] {
        let answer = bench.get(&format!("/v1/approvals/{flex}/arguments"), token).await;
        assert_eq!(answer.status, status, "{token}");
    }
    act(&bench, OPERATOR, &flex, "decide", &json!({ "decision": "deny" })).await;
    assert_eq!(kept(), 0);
    assert_eq!(change(&bench, &flex, "/amount", json!(5)).await.code(), "decided");
}

#[tokio::test]
async fn nobody_approves_or_changes_a_call_of_an_agent_they_run() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FLEX).await;
    let by_owner = act(&bench, OWNER, &id, "decide", &json!({ "decision": "approve" })).await;
    assert_eq!((by_owner.status, by_owner.message().as_str()), (403, "nobody approves their own call"));
    let changes = json!({ "changes": [{ "pointer": "/amount", "value": 1 }] });
    assert_eq!(act(&bench, OWNER, &id, "modify", &changes).await.status, 403);
    assert_eq!(act(&bench, AGENT, &id, "decide", &json!({ "decision": "approve" })).await.status, 403);
    // Another agent's call is.
    let other = park(&bench, SECOND, FLEX).await;
    assert_eq!(act(&bench, OWNER, &other, "decide", &json!({ "decision": "approve" })).await.status, 200);
    // Taking one's own agent's call back is nobody's harm.
    assert_eq!(act(&bench, OWNER, &id, "decide", &json!({ "decision": "deny" })).await.json()["state"], "denied");
}

#[tokio::test]
async fn a_claim_keeps_others_from_claiming_and_nobody_from_deciding() {
    let bench = Bench::new().await;
    let id = park(&bench, SECOND, FIXED).await;
    let claimed = act(&bench, OPERATOR, &id, "claim", &json!({})).await;
    assert_eq!((claimed.check_head().status, &claimed.json()["claimed"]["operator"]), (200, &json!("olga")));
    assert_eq!(act(&bench, OWNER, &id, "claim", &json!({})).await.code(), "claimed");
    assert_eq!(act(&bench, OWNER, &id, "unclaim", &json!({})).await.code(), "claimed");
    for (token, status) in [(VIEWER, 403), (OTHER_OPERATOR, 404), (SECOND, 403)] {
        assert_eq!(act(&bench, token, &id, "claim", &json!({})).await.status, status, "{token}");
    }
    let mine = bench.get("/v1/approvals?claimed_by=olga", OWNER).await.json();
    assert_eq!(mine["approvals"][0]["id"], json!(id));
    // It is there after a restart, whoever claimed may be removed by then: others decide all the same.
    let bench = bench.restarted().await;
    assert_eq!(act(&bench, OWNER, &id, "decide", &json!({ "decision": "approve" })).await.json()["state"], "approved");
    assert_eq!(act(&bench, OPERATOR, &id, "claim", &json!({})).await.code(), "decided");

    let next = park(&bench, SECOND, &FIXED.replace("500", "600")).await;
    act(&bench, OPERATOR, &next, "claim", &json!({})).await;
    assert_eq!(act(&bench, OPERATOR, &next, "unclaim", &json!({})).await.json()["claimed"], Value::Null);
    assert_eq!(act(&bench, OWNER, &next, "claim", &json!({})).await.status, 200);
}

#[tokio::test]
async fn comments_are_kept_with_the_approval_and_on_record_without_their_words() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FIXED).await;
    let said = act(&bench, OPERATOR, &id, "comment", &json!({ "comment": "is this the second one?" })).await;
    assert_eq!(said.check_head().status, 200);
    assert_eq!(act(&bench, VIEWER, &id, "comment", &json!({ "comment": "no" })).await.status, 403);
    assert_eq!(act(&bench, OTHER_OPERATOR, &id, "comment", &json!({ "comment": "no" })).await.status, 404);
    for bad in [json!({ "comment": " " }), json!({ "comment": "x".repeat(1025) }), json!({}), json!({ "text": "x" })] {
        assert_eq!(act(&bench, OPERATOR, &id, "comment", &bad).await.status, 400, "{bad}");
    }
    approve(&bench, &id).await;
    // Auditors speak later.
    let view = act(&bench, OWNER, &id, "comment", &json!({ "comment": "it was" })).await.json();
    let words: Vec<_> = view["comments"].as_array().unwrap().iter().map(|c| c["comment"].as_str().unwrap()).collect();
    assert_eq!(words, ["is this the second one?", "it was"]);
    for _ in 2..32 {
        act(&bench, OPERATOR, &id, "comment", &json!({ "comment": "more" })).await;
    }
    assert_eq!(act(&bench, OPERATOR, &id, "comment", &json!({ "comment": "x" })).await.code(), "too_many_comments");
    let log: String = bench.entries("acme").iter().map(|row| format!("{:?}", row.entry)).collect();
    assert!(log.contains("commented") && !log.contains("second one"));
    // What is said after the end decides nothing: there is one entry of a decision, the vote.
    let decided = |row: &&StoredEntry| row.entry.kind == EntryKind::Approval && row.entry.decision.is_some();
    let entries = bench.entries("acme");
    let decided: Vec<_> = entries.iter().filter(decided).map(|row| row.entry.note.clone().unwrap()).collect();
    assert_eq!(decided, ["approved; 1 of 1 approvals"]);
}

#[tokio::test]
async fn lists_are_filtered() {
    let bench = Bench::new().await;
    let one = park(&bench, AGENT, FIXED).await;
    let two = park(&bench, SECOND, &FIXED.replace("pay", "send 100%")).await;
    let ids = async |query: &str, token: &str| {
        let json = bench.get(&format!("/v1/approvals?{query}"), token).await.json();
        let list = json["approvals"].as_array().unwrap_or_else(|| panic!("{query}: {json}")).clone();
        list.iter().map(|approval| approval["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let none = Vec::<String>::new();
    for (query, token, wanted) in [
        ("agent=bot", OPERATOR, vec![one.clone()]),
        ("tool=send+100%25", OPERATOR, vec![two.clone()]),
        ("tool=send", OPERATOR, none.clone()),
        ("reason=word", OPERATOR, vec![two.clone(), one.clone()]),
        ("reason=other", OPERATOR, none.clone()),
        ("mine=true", OPERATOR, vec![two.clone(), one.clone()]),
        ("mine=true", VIEWER, none.clone()),
        // One who runs the agent of the other decides nothing of it.
        ("mine=true", OWNER, vec![two.clone()]),
        ("upstream=bank", OPERATOR, none.clone()),
        ("session=s", OPERATOR, none.clone()),
        ("state=pending&agent=bot2&limit=1", OPERATOR, vec![two.clone()]),
        // Agents see their own, whatever they ask for.
        ("", AGENT, vec![one.clone()]),
        ("agent=bot", AGENT, vec![one.clone()]),
        ("", OTHER_OPERATOR, none.clone()),
    ] {
        assert_eq!(ids(query, token).await, wanted, "{query}");
    }
    for (query, token, status) in [
        ("agent=bot2", AGENT, 403),
        ("mine=true", AGENT, 403),
        ("claimed_by=olga", AGENT, 403),
        ("mine=yes", OPERATOR, 400),
        ("agent=a&agent=b", OPERATOR, 400),
        ("color=red", OPERATOR, 400),
        ("wait_ms=60001", OPERATOR, 400),
        ("version=-1", OPERATOR, 400),
    ] {
        assert_eq!(bench.get(&format!("/v1/approvals?{query}"), token).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn several_are_decided_in_one_request_each_for_itself() {
    let bench = Bench::new().await;
    let one = park(&bench, AGENT, FIXED).await;
    let two = park(&bench, AGENT, &FIXED.replace("500", "600")).await;
    let foreign = park(&bench, OTHER, FIXED).await;
    let unknown = "0199f2a0-0000-7000-8000-00000000dead";
    let of = |id: &str, decision: &str| json!({ "id": id, "decision": decision });
    let body = json!({ "decisions": [of(&one, "approve"), of(unknown, "approve"), of(&foreign, "approve"), of(&two, "deny"), of(&one, "deny")] });
    let answer = bench.ask("POST", "/v1/approvals/decide", OPERATOR, &body.to_string()).await;
    assert_eq!(answer.check_head().status, 200);
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results[0]["approval"]["state"], "approved");
    // A foreign one looks like none.
    for index in [1, 2] {
        assert_eq!((&results[index]["status"], &results[index]["error"]["code"]), (&json!(404), &json!("not_found")));
    }
    assert_eq!(results[3]["approval"]["state"], "denied");
    // The second decision about the same one finds it taken or decided, never changes it.
    assert_eq!(results[4]["status"], 409);
    assert_eq!(bench.get(&format!("/v1/approvals/{one}"), OPERATOR).await.json()["state"], "approved");
    for bad in [json!({ "decisions": [] }), json!({ "decisions": [of(&one, "maybe")] }), json!({ "decisions": [{}] })] {
        assert_eq!(bench.ask("POST", "/v1/approvals/decide", OPERATOR, &bad.to_string()).await.status, 400, "{bad}");
    }
    let many = json!({ "decisions": vec![of(&one, "deny"); 101] });
    assert_eq!(bench.ask("POST", "/v1/approvals/decide", OPERATOR, &many.to_string()).await.status, 400);
    assert_eq!(bench.ask("POST", "/v1/approvals/decide", AGENT, &body.to_string()).await.status, 403);
}

#[tokio::test]
async fn a_reader_is_answered_when_something_changes() {
    let bench = Bench::new().await;
    let first = bench.get("/v1/approvals", OPERATOR).await.json();
    let version = first["version"].as_u64().unwrap();
    let path = format!("/v1/approvals?version={version}&wait_ms=20000");
    let started = Instant::now();
    let waiting = bench.get(&path, OPERATOR);
    let parking = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Of another tenant: nobody else's business.
        park(&bench, OTHER, FIXED).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        park(&bench, AGENT, FIXED).await
    };
    let (answer, id) = tokio::join!(waiting, parking);
    let answer = answer.json();
    assert_eq!(answer["approvals"][0]["id"], json!(id));
    assert!(started.elapsed() < Duration::from_secs(15));
    // An older version than the latest is answered at once.
    assert_ne!(answer["version"], json!(version));
    assert_eq!(bench.get(&path, OPERATOR).await.json()["version"], answer["version"]);
    // Nothing changes: the answer comes at the end of the wait.
    let quiet = format!("/v1/approvals?version={}&wait_ms=100", answer["version"]);
    assert_eq!(bench.get(&quiet, OPERATOR).await.json()["version"], answer["version"]);

    let one = format!("/v1/approvals/{id}?wait_ms=20000");
    let (waited, decided) = tokio::join!(bench.get(&one, AGENT), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        approve(&bench, &id).await
    });
    assert_eq!((decided.status, &waited.json()["state"]), (200, &json!("approved")));
    // Who may not see it does not learn that it is there by being made to wait.
    let started = Instant::now();
    assert_eq!(bench.get(&one, SECOND).await.status, 404);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn parked_calls_of_an_agent_that_is_halted_are_denied() {
    let bench = Bench::new().await;
    let id = park(&bench, AGENT, FIXED).await;
    let others = park(&bench, SECOND, FIXED).await;
    bench.credentials.replace(halting("bot"));
    // Also in the moment before it is noticed.
    assert_eq!(approve(&bench, &id).await.code(), "agent_halted");
    assert_eq!(bench.gate.withdraw().await.unwrap(), 1);
    let view = bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json();
    assert_eq!((&view["state"], &view["withdrawn"]), (&json!("denied"), &json!("agent_halted")));
    assert_eq!(bench.get(&format!("/v1/approvals/{others}"), OPERATOR).await.json()["state"], "pending");
    let entries = bench.entries("acme");
    let last = &entries.last().unwrap().entry;
    assert_eq!((last.kind, last.reasons[0].code.as_str()), (EntryKind::Approval, "agent_halted"));
    assert_eq!(bench.gate.withdraw().await.unwrap(), 0);
}
