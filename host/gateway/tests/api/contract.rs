//! `/v1/inspect` and `/v1/inspect/batch` as their contract says.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_model::{Digest, EntryKind, Phase};
use portcullis_tenancy::Directory;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::*;

const ID: &str = "0193b0e0-0000-7000-8000-000000000001";

fn keys(json: &Value) -> Vec<&str> {
    json.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn an_answer_has_the_keys_of_the_contract_in_their_order() {
    let bench = Bench::new().await;
    let answer = bench.inspect(AGENT, r#"{"tool":"t"}"#).await;
    answer.check_head();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    let json = answer.json();
    assert_eq!(keys(&json), ["id", "verdict", "mode", "reasons", "arguments", "approval", "generation", "entry"]);
    assert_eq!((&json["verdict"], &json["mode"]), (&json!("allow"), &json!("enforce")));
    assert_eq!(json["generation"], Digest::of(b"generation").to_string());
    assert_eq!(answer.headers["x-portcullis-id"], json["id"]);
    let rows = bench.entries("acme");
    assert_eq!((rows.len(), json["entry"]["seq"].as_u64()), (1, Some(0)));
    assert_eq!(json["entry"]["hash"], rows[0].hash.to_string());
    assert_eq!(rows[0].entry.id.to_string(), json["id"]);

    let explained = bench.inspect(AGENT, r#"{"tool":"t","arguments":["SECRET"],"explain":true}"#).await.json();
    let order =
        ["id", "verdict", "mode", "reasons", "findings", "arguments", "approval", "generation", "entry", "plugins"];
    assert_eq!(keys(&explained), order);
    assert_eq!(keys(&explained["findings"][0]), ["category", "score", "message", "plugin", "spans"]);
    assert_eq!(explained["findings"][0]["score"].to_string(), "0.98");
    assert_eq!(explained["findings"][0]["spans"][0], json!({"pointer":"/0","start":0,"end":6}));
    assert_eq!(keys(&explained["plugins"][0]), ["name", "digest", "fuel", "micros"]);
    assert_eq!(keys(&explained["reasons"][0]), ["code", "message", "plugin"]);
}

#[tokio::test]
async fn a_token_may_be_barred_from_explanations() {
    let bench = Bench::new().await;
    let json = bench.inspect(MUTE, r#"{"tool":"t","explain":true}"#).await.json();
    assert!(json.get("findings").is_none() && json.get("plugins").is_none(), "{json}");
}

#[tokio::test]
async fn a_replacement_keeps_every_other_byte() {
    let bench = Bench::new().await;
    let body = r#"{"tool":"t","arguments":{ "n": 123456789012345678901234567890.10, "s":"a SECRET b", "e":1E400 }}"#;
    let answer = bench.inspect(AGENT, body).await;
    let expected =
        r#""arguments":{ "n": 123456789012345678901234567890.10, "s":"a [redacted:secret.test] b", "e":1E400 }"#;
    assert!(answer.text.contains(expected), "{}", answer.text);
    assert_eq!(answer.json()["verdict"], "redact");
}

#[tokio::test]
async fn other_phases_judge_their_content() {
    let bench = Bench::new().await;
    for phase in ["result", "listing", "message"] {
        let body = format!(r#"{{"tool":"t","phase":"{phase}","content":["SECRET"],"arguments":"DENY"}}"#);
        let json = bench.inspect(AGENT, &body).await.json();
        assert_eq!(json["verdict"], "redact", "{phase}");
        assert_eq!(json["content"], json!(["[redacted:secret.test]"]), "{phase}");
        assert!(json.get("arguments").is_none(), "{phase}");
    }
    let phases: Vec<_> = bench.entries("acme").iter().map(|row| row.entry.phase).collect();
    assert_eq!(phases, [Phase::Result, Phase::Listing, Phase::Message]);
}

#[tokio::test]
async fn nobody_submits_a_list_in_the_name_of_an_upstream_of_this_server() {
    let bench = Bench::with(Setup { upstreams: vec!["files"], ..Setup::default() }).await;
    let ask = |phase: &str, upstream: &str| {
        json!({"tool":"tools/list","phase":phase,"upstream":upstream,"content":[{"name":"read_file"}]}).to_string()
    };
    for name in ["files", "Files"] {
        let refused = bench.inspect(AGENT, &ask("listing", name)).await;
        assert_eq!((refused.check_head().status, refused.code().as_str()), (400, "malformed"));
        assert!(refused.message().starts_with("upstream must be none of this server's own"), "{refused:?}");
    }
    let batch = format!("{{\"calls\":[{},{}]}}", ask("listing", "mail"), ask("listing", "files"));
    let refused = bench.ask("POST", "/v1/inspect/batch", AGENT, &batch).await;
    assert_eq!(refused.check_head().status, 400);
    assert!(refused.message().starts_with("calls[1].upstream"), "{refused:?}");
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 0, "no plugin sees any of it");
    // What the tools of that upstream are asked and say may be inspected, and lists from elsewhere.
    for (phase, upstream) in [("result", "files"), ("message", "files"), ("listing", "mail"), ("listing", "")] {
        assert_eq!(bench.inspect(AGENT, &ask(phase, upstream)).await.status, 200, "{phase} {upstream}");
    }
    assert_eq!(bench.inspect(AGENT, r#"{"tool":"read_file","upstream":"files"}"#).await.status, 200);
}

#[tokio::test]
async fn an_observed_tenant_gets_the_true_verdict_and_its_mode() {
    let bench = Bench::new().await;
    let answer = bench.inspect(WATCHED, r#"{"tool":"t","arguments":"DENY"}"#).await;
    assert_eq!(answer.headers["x-portcullis-mode"], "observe");
    assert_eq!((&answer.json()["verdict"], &answer.json()["mode"]), (&json!("deny"), &json!("observe")));
    let review = bench.inspect(WATCHED, r#"{"tool":"t","arguments":"REVIEW"}"#).await.json();
    assert_eq!((&review["verdict"], &review["approval"]), (&json!("review"), &Value::Null));
}

#[tokio::test]
async fn identity_comes_from_the_token_and_details_from_the_body() {
    let bench = Bench::new().await;
    let body = json!({"tool":"t","session":"s1","upstream":"u1","task":"x","persona":"p"}).to_string();
    assert_eq!(bench.inspect(AGENT, &body).await.status, 200);
    let rows = bench.entries("acme");
    let entry = &rows[0].entry;
    assert_eq!((&*entry.tenant, &*entry.agent), ("acme", "bot"));
    assert_eq!((entry.session.as_deref(), entry.upstream.as_deref()), (Some("s1"), Some("u1")));
    for forged in ["tenant", "agent", "mode", "Tool"] {
        let answer = bench.inspect(AGENT, &format!(r#"{{"tool":"t","{forged}":"x"}}"#)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{forged}");
        assert!(answer.message().contains(forged), "{answer:?}");
    }
}

/// Every field at and over its limit, and of wrong types.
#[tokio::test]
async fn fields_have_types_and_limits() {
    let bench = Bench::new().await;
    let text = |length: usize| json!("x".repeat(length));
    let good = [
        ("tool", text(1)),
        ("tool", text(1024)),
        ("tool", json!("nul \u{0} in it")),
        ("arguments", Value::Null),
        ("arguments", json!("text")),
        ("session", text(256)),
        ("upstream", text(256)),
        ("task", text(16 * 1024)),
        ("persona", text(4096)),
        ("wait_ms", json!(0)),
        ("wait_ms", json!(600_000)),
        ("explain", json!(false)),
        ("phase", json!("call")),
    ];
    for (name, value) in good {
        let mut body = json!({"tool":"t"});
        body[name] = value.clone();
        let answer = bench.inspect(AGENT, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{name}: {value} {answer:?}");
    }
    let bad = [
        ("tool", json!("")),
        ("tool", text(1025)),
        ("tool", json!(1)),
        ("tool", Value::Null),
        ("session", text(257)),
        ("session", json!(5)),
        ("session", Value::Null),
        ("upstream", text(257)),
        ("task", text(16 * 1024 + 1)),
        ("persona", text(4097)),
        ("persona", json!({})),
        ("wait_ms", json!(600_001)),
        ("wait_ms", json!(-1)),
        ("wait_ms", json!(1.5)),
        ("wait_ms", json!("1")),
        ("explain", json!("true")),
        ("explain", json!(1)),
        ("phase", json!("Call")),
        ("phase", json!(1)),
        ("id", json!("not-a-uuid")),
        ("id", json!(ID.replace('-', ""))),
        ("id", json!(7)),
        ("content", json!("for another phase")),
    ];
    let before = bench.judge.judged.load(Ordering::SeqCst);
    for (name, value) in bad {
        let mut body = json!({"tool":"t"});
        body[name] = value.clone();
        let answer = bench.inspect(AGENT, &body.to_string()).await;
        answer.check_head();
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{name}: {value}");
        assert!(answer.message().starts_with(name), "{name}: {}", answer.message());
    }
    for (body, about) in
        [("{}", "tool"), ("[]", "object"), ("\"x\"", "object"), (r#"{"tool":"t","phase":"result"}"#, "content")]
    {
        let answer = bench.inspect(AGENT, body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.message().contains(about), "{body}: {}", answer.message());
    }
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), before, "nothing malformed is judged");
}

#[tokio::test]
async fn credentials_decide_first() {
    let bench = Bench::new().await;
    for token in ["", "wrong", &"x".repeat(5000)] {
        let answer = bench.inspect(token, r#"{"tool":"t"}"#).await;
        answer.check_head();
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"));
        assert!(answer.headers["www-authenticate"].starts_with("Bearer"));
    }
    let operator = bench.inspect(OPERATOR, r#"{"tool":"t"}"#).await;
    assert_eq!((operator.check_head().status, operator.code().as_str()), (403, "forbidden"));
    let two = b"POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer agent-token\r\n\
        authorization: Bearer agent-token\r\ncontent-type: application/json\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"tool\":\"t\"}";
    assert!(bench.raw(two).await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn a_halted_or_limited_agent_is_refused_and_recorded() {
    let bench = Bench::new().await;
    let halted = bench.inspect(HALTED, r#"{"tool":"t"}"#).await;
    assert_eq!((halted.check_head().status, halted.code().as_str()), (403, "agent_halted"));
    assert_eq!(bench.inspect(SLOW, r#"{"tool":"t"}"#).await.status, 200);
    let limited = bench.inspect(SLOW, &format!(r#"{{"tool":"t","id":"{ID}"}}"#)).await;
    assert_eq!((limited.check_head().status, limited.code().as_str()), (429, "rate_limited"));
    assert!(limited.headers["retry-after"].parse::<u32>().unwrap() >= 1);
    assert_eq!((&limited.json()["id"], &limited.headers["x-portcullis-id"]), (&json!(ID), &ID.to_owned()));
    let bare = bench.inspect(BARE, r#"{"tool":"t"}"#).await;
    assert_eq!((bare.check_head().status, bare.code().as_str()), (503, "no_pipeline"));
    assert_eq!(bench.count("acme", EntryKind::Refusal), 2);
    assert_eq!(bench.count("bare", EntryKind::Refusal), 1);
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_agent_that_is_removed_during_its_request_is_unauthorized_and_recorded() {
    let bench = Bench::new().await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let head = format!(
        "POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {AGENT}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 12\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The body is asked for when the credential has been checked.
    let mut start = [0; 25];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 100 Continue\r\n\r\n");
    bench.credentials.replace(Directory::new(&[], None).unwrap());
    stream.write_all(br#"{"tool":"t"}"#).await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 401 ") && rest.contains(r#""code":"unauthorized""#), "{rest}");
    let entries = bench.entries("acme");
    let [row] = entries.as_slice() else { panic!("one entry: {entries:?}") };
    assert_eq!((row.entry.kind, row.entry.reasons[0].code.as_str()), (EntryKind::Refusal, "agent_removed"));
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_a_writable_ledger_nothing_is_allowed() {
    let bench = Bench::new().await;
    bench.journal.broken.store(true, Ordering::SeqCst);
    for path in ["/v1/inspect", "/v1/inspect/batch"] {
        let body = if path.ends_with("batch") { r#"{"calls":[{"tool":"t"}]}"# } else { r#"{"tool":"t"}"# };
        let answer = bench.ask("POST", path, AGENT, body).await;
        assert_eq!((answer.check_head().status, answer.code().as_str()), (503, "ledger_unavailable"));
        assert!(!answer.text.contains("allow\""), "{}", answer.text);
    }
    assert_eq!(bench.get("/readyz", "").await.status, 503);
    assert_eq!(bench.get("/healthz", "").await.status, 200);
    bench.journal.broken.store(false, Ordering::SeqCst);
    assert_eq!(bench.inspect(AGENT, r#"{"tool":"t"}"#).await.status, 200);
    assert_eq!(bench.entries("acme").len(), 1, "nothing was recorded while it failed");
}

#[tokio::test]
async fn the_same_id_and_body_get_the_kept_answer_also_after_a_restart() {
    let bench = Bench::new().await;
    let body = format!(r#"{{"tool":"t","arguments":["SECRET"],"explain":true,"id":"{ID}"}}"#);
    let first = bench.inspect(AGENT, &body).await;
    assert_eq!(first.status, 200);
    // Other entries come between.
    for _ in 0..3 {
        bench.inspect(AGENT, r#"{"tool":"t"}"#).await;
    }
    let respelt = format!(r#"{{"id":"{ID}", "explain":true, "arguments":["SECRET"], "tool":"t"}}"#);
    for body in [&body, &respelt] {
        assert_eq!(bench.inspect(AGENT, body).await.text, first.text);
    }
    let other = bench.inspect(AGENT, &body.replace("SECRET", "secret")).await;
    assert_eq!((other.check_head().status, other.code().as_str()), (409, "conflict"));
    let stranger = bench.inspect(SECOND, &body).await;
    assert_eq!(stranger.status, 409, "an id belongs to the agent that used it");
    assert_eq!(bench.inspect(OTHER, &body).await.status, 200, "tenants do not share ids");
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 5);
    assert_eq!(bench.entries("acme").len(), 4);
    let bench = bench.restarted().await;
    assert_eq!(bench.inspect(AGENT, &body).await.text, first.text);
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_question_many_times_at_once_is_judged_once() {
    let bench = Bench::new().await;
    *bench.judge.pause.lock().unwrap() = Duration::from_millis(50);
    let body = format!(r#"{{"tool":"t","id":"{ID}"}}"#);
    let asks = (0..24).map(|_| bench.inspect(AGENT, &body));
    let answers = futures_util::future::join_all(asks).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text == answers[0].text), "{answers:?}");
    assert_eq!(bench.judge.judged.load(Ordering::SeqCst), 1);
    assert_eq!(bench.entries("acme").len(), 1);
    // Two different bodies race for one id: one wins, the other is a conflict.
    let id = Uuid::new_v4();
    let body = |n: u8| format!(r#"{{"tool":"t","id":"{id}","arguments":{n}}}"#);
    let (one, two) = (body(1), body(2));
    let (one, two) = tokio::join!(bench.inspect(AGENT, &one), bench.inspect(AGENT, &two));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn a_failed_question_may_be_asked_again_under_its_id() {
    let bench = Bench::new().await;
    let body = format!(r#"{{"tool":"t","id":"{ID}"}}"#);
    bench.journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(bench.inspect(AGENT, &body).await.status, 503);
    bench.journal.broken.store(false, Ordering::SeqCst);
    assert_eq!(bench.inspect(AGENT, &body).await.status, 200);
}

#[tokio::test]
async fn the_strongest_verdict_stands_for_a_batch() {
    let bench = Bench::new().await;
    let batch = |words: &[&str]| {
        let calls: Vec<_> = words.iter().map(|word| json!({"tool":"t","arguments":{"w":word}})).collect();
        json!({ "calls": calls }).to_string()
    };
    let mut count = 0;
    for (words, strongest) in [
        (&["a", "b"][..], "allow"),
        (&["a", "SECRET", "b"], "redact"),
        (&["SECRET", "REVIEW"], "review"),
        (&["REVIEW", "DENY", "SECRET", "a"], "deny"),
    ] {
        let answer = bench.ask("POST", "/v1/inspect/batch", AGENT, &batch(words)).await;
        answer.check_head();
        let json = answer.json();
        assert_eq!(keys(&json), ["verdict", "results"]);
        assert_eq!(json["verdict"], strongest);
        let results = json["results"].as_array().unwrap();
        assert_eq!(results.len(), words.len());
        count += words.len();
        assert_eq!(bench.entries("acme").len(), count, "one entry per call");
        for (word, result) in words.iter().zip(results) {
            let expected = match *word {
                "DENY" => "deny",
                "REVIEW" => "review",
                "SECRET" => "redact",
                _ => "allow",
            };
            assert_eq!(result["verdict"], expected);
        }
    }
    let full = batch(&["a"; 128]);
    assert_eq!(bench.ask("POST", "/v1/inspect/batch", AGENT, &full).await.status, 200);
    for bad in [
        batch(&[]),
        batch(&["a"; 129]),
        "{}".into(),
        "[]".into(),
        r#"{"calls":{}}"#.into(),
        r#"{"calls":[{"tool":"t"}],"x":1}"#.into(),
    ] {
        assert_eq!(bench.ask("POST", "/v1/inspect/batch", AGENT, &bad).await.check_head().status, 400, "{bad:.80}");
    }
    let before = bench.entries("acme").len();
    let half = r#"{"calls":[{"tool":"t"},{"tool":"t","extra":1}]}"#;
    let answer = bench.ask("POST", "/v1/inspect/batch", AGENT, half).await;
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("calls[1].extra"), "{}", answer.message());
    assert_eq!(bench.entries("acme").len(), before, "a batch with a malformed call is not judged at all");
}

#[tokio::test]
async fn one_id_twice_in_a_batch_is_one_call() {
    let bench = Bench::new().await;
    let call = json!({"tool":"t","id":ID});
    let body = json!({"calls":[call, call]}).to_string();
    let json = bench.ask("POST", "/v1/inspect/batch", AGENT, &body).await.json();
    assert_eq!(json["results"][0], json["results"][1]);
    assert_eq!(bench.entries("acme").len(), 1);
}
