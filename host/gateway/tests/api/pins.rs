//! Accepted definitions of tools: who sees them, who accepts, and what is recorded.

use std::sync::atomic::Ordering;

use portcullis_gateway::ports::PinError;
use portcullis_model::{Decision, Digest, Door, EntryKind, Phase};
use serde_json::json;

use crate::support::*;

fn body(word: &str) -> String {
    json!({ "digest": Digest::of(word.as_bytes()) }).to_string()
}

async fn accept(bench: &Bench, token: &str, tool: &str, body: &str) -> Answer {
    bench.ask("POST", &format!("/v1/pins/pins.{tool}/accept"), token, body).await
}

#[tokio::test]
async fn an_operator_lists_the_pins_page_by_page() {
    let bench = Bench::new().await;
    let tools = async |path: &str| {
        let answer = bench.get(path, VIEWER).await;
        assert_eq!(answer.check_head().status, 200, "{answer:?}");
        let json = answer.json();
        let tools: Vec<_> = json["pins"].as_array().unwrap().iter().map(|pin| pin["tool"].clone()).collect();
        (tools, json["next"].clone())
    };
    assert_eq!(tools("/v1/pins").await, (vec![json!("a"), json!("b"), json!("c")], json!(null)));
    assert_eq!(tools("/v1/pins?limit=2").await, (vec![json!("a"), json!("b")], json!("pins.b")));
    assert_eq!(tools("/v1/pins?limit=2&after=pins.b").await, (vec![json!("c")], json!(null)));
    assert_eq!(tools("/v1/pins?state=changed").await, (vec![json!("b")], json!(null)));
    for bad in ["state=old", "limit=0", "after=nothing", "tool=a"] {
        assert_eq!(bench.get(&format!("/v1/pins?{bad}"), VIEWER).await.check_head().status, 400, "{bad}");
    }
}

#[tokio::test]
async fn one_pin_shows_both_definitions_and_how_they_differ() {
    let bench = Bench::new().await;
    let pin = bench.get("/v1/pins/pins.b", VIEWER).await.json();
    assert_eq!(pin["state"], "changed");
    assert_eq!(pin["pinned"]["definition"], json!({ "description": "one" }));
    assert_eq!(pin["pending"]["changes"], json!([{ "at": "/description", "from": "one", "to": "two" }]));
    assert_eq!(bench.get("/v1/pins/pins.z", VIEWER).await.check_head().status, 404);
}

#[tokio::test]
async fn only_operators_of_the_tenant_see_pins() {
    let bench = Bench::new().await;
    for path in ["/v1/pins", "/v1/pins/pins.b"] {
        assert_eq!(bench.get(path, AGENT).await.check_head().status, 403, "{path}");
        assert_eq!(bench.get(path, "").await.check_head().status, 401, "{path}");
    }
    assert_eq!(bench.get("/v1/pins", OTHER_OPERATOR).await.json()["pins"], json!([]));
    assert_eq!(bench.get("/v1/pins/pins.b", OTHER_OPERATOR).await.status, 404);
    assert_eq!(accept(&bench, OTHER_OPERATOR, "b", &body("two")).await.status, 404);
}

#[tokio::test]
async fn an_acceptance_is_recorded_and_names_its_operator() {
    let bench = Bench::new().await;
    let answer = accept(&bench, OPERATOR, "b", &body("two")).await;
    assert_eq!(answer.check_head().status, 200, "{answer:?}");
    let pin = answer.json();
    assert_eq!((&pin["state"], &pin["pinned"]["by"]), (&json!("pinned"), &json!("olga")));
    let entries = bench.entries("acme");
    let [row] = entries.as_slice() else { panic!("one entry: {entries:?}") };
    let entry = &row.entry;
    assert_eq!((entry.kind, entry.door, entry.phase), (EntryKind::Approval, Door::Control, Phase::Listing));
    assert_eq!((&*entry.agent, entry.decision), ("olga", Some(Decision::Allow)));
    assert_eq!((entry.upstream.as_deref(), entry.tool.as_deref()), (Some("files"), Some("b")));
    assert_eq!((&*entry.reasons[0].code, &*entry.reasons[0].plugin), ("pin.accepted", "pins"));
    let note = entry.note.as_deref().unwrap();
    assert!(note.contains(&Digest::of(b"two").to_string()) && note.contains(&Digest::of(b"one").to_string()), "{note}");
}

#[tokio::test]
async fn an_acceptance_that_did_not_come_into_effect_is_on_record_as_such() {
    for (error, status) in [(PinError::Other, 409), (PinError::Unknown, 404), (PinError::Unavailable("x".into()), 503)]
    {
        let bench = Bench::new().await;
        // Noticed only after the entry was written.
        *bench.pins.refuses.lock().unwrap() = Some(error);
        assert_eq!(accept(&bench, OPERATOR, "b", &body("two")).await.check_head().status, status);
        let entries = bench.entries("acme");
        let [accepted, not] = entries.as_slice() else { panic!("two entries: {entries:?}") };
        let (accepted, not) = (&accepted.entry, &not.entry);
        assert_eq!((accepted.decision, &*accepted.reasons[0].code), (Some(Decision::Allow), "pin.accepted"));
        assert_eq!((not.decision, &*not.reasons[0].code), (Some(Decision::Deny), "pin.not_accepted"));
        assert_eq!(
            (not.kind, not.id, &not.agent, &not.tool),
            (EntryKind::Approval, accepted.id, &accepted.agent, &accepted.tool)
        );
        let note = not.note.as_deref().unwrap();
        assert!(note.starts_with(&format!("entry {} was not put into effect", accepted.seq)), "{note}");
    }
}

#[tokio::test]
async fn what_was_not_shown_is_not_accepted() {
    let bench = Bench::new().await;
    for (tool, word) in [("b", "three"), ("b", "one"), ("a", "one")] {
        let answer = accept(&bench, OPERATOR, tool, &body(word)).await;
        assert_eq!((answer.check_head().status, answer.code().as_str()), (409, "other_definition"), "{tool} {word}");
    }
    for bad in ["{}", "[]", r#"{"digest":"two"}"#, r#"{"digest":7}"#, r#"{"digest":null,"all":true}"#, ""] {
        assert_eq!(accept(&bench, OPERATOR, "b", bad).await.check_head().status, 400, "{bad}");
    }
    assert_eq!(accept(&bench, OPERATOR, "z", &body("two")).await.status, 404);
    assert!(bench.entries("acme").is_empty());
    assert_eq!(bench.get("/v1/pins/pins.b", VIEWER).await.json()["state"], "changed");
}

#[tokio::test]
async fn only_approvers_and_administrators_accept() {
    let bench = Bench::new().await;
    for (token, status) in [(VIEWER, 403), (AGENT, 403), ("", 401)] {
        assert_eq!(accept(&bench, token, "b", &body("two")).await.check_head().status, status);
    }
    assert_eq!(bench.get("/v1/pins/pins.b", VIEWER).await.json()["state"], "changed");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_accepted() {
    let bench = Bench::new().await;
    bench.journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(accept(&bench, OPERATOR, "b", &body("two")).await.check_head().status, 503);
    bench.journal.broken.store(false, Ordering::SeqCst);
    assert_eq!(bench.get("/v1/pins/pins.b", VIEWER).await.json()["state"], "changed");
}
