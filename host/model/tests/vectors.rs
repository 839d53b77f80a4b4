//! Entries against the golden vectors in `tests/vectors/ledger`, which verifiers in other languages share.
//!
//! A released vector never changes. New ones are written by
//! `cargo test -p portcullis-model --test vectors -- --ignored write`, which refuses to change what is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_model::{
    Decision, Digest, Door, Draft, Entry, EntryFinding, EntryKind, EntryPlugin, EntryReason, Mode, Outcome, Phase,
    leaf_hash,
};
use serde_json::{Value, json};
use uuid::Uuid;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/ledger")
}

fn read(name: &str) -> Value {
    let path = folder().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn good_vectors_encode_decode_and_chain() {
    for name in ["chain.json", "answers.json"] {
        good(&read(name));
    }
}

fn good(vectors: &Value) {
    let mut prev = Digest::default();
    for row in vectors["entries"].as_array().unwrap() {
        let entry: Entry = serde_json::from_value(row["entry"].clone()).unwrap();
        let bytes = unhex(row["bytes"].as_str().unwrap());
        assert_eq!(hex(&entry.encode().unwrap()), row["bytes"], "entry {}", entry.seq);
        assert_eq!(Entry::decode(&bytes).unwrap(), entry);
        assert_eq!(leaf_hash(&bytes).to_string(), row["hash"]);
        assert_eq!(entry.prev, prev);
        prev = leaf_hash(&bytes);
    }
    assert_eq!(vectors["head"]["hash"], prev.to_string());
}

#[test]
fn bad_vectors_are_refused() {
    for row in read("refused.json")["entries"].as_array().unwrap() {
        let bytes = unhex(row["bytes"].as_str().unwrap());
        assert!(Entry::decode(&bytes).is_err(), "{}", row["why"]);
    }
}

#[test]
#[ignore = "writes the vectors"]
fn write() {
    let rows = keep_chain("chain.json", entries());
    keep_chain("answers.json", with_answers());

    let plain = unhex(rows[2]["bytes"].as_str().unwrap());
    let rest = &plain[5..];
    assert_eq!(plain[..5], [0xa0 + 13, 0, 1, 1, 2], "the vectors below assume this beginning");
    let cat = |parts: &[&[u8]]| hex(&parts.concat());
    let refused = json!([
        { "why": "the map has no definite length", "bytes": cat(&[&[0xbf, 0, 1, 1, 2], rest, &[0xff]]) },
        { "why": "the map's length is not in its shortest form", "bytes": cat(&[&[0xb8, 13, 0, 1, 1, 2], rest]) },
        { "why": "an integer is not in its shortest form", "bytes": cat(&[&[0xad, 0, 1, 1, 0x18, 2], rest]) },
        { "why": "keys are not in ascending order", "bytes": cat(&[&[0xad, 1, 2, 0, 1], rest]) },
        { "why": "a key comes twice", "bytes": cat(&[&[0xae, 0, 1, 1, 2, 1, 2], rest]) },
        { "why": "a value is tagged", "bytes": cat(&[&[0xad, 0, 1, 1, 0xc1, 2], rest]) },
        { "why": "a number is a float", "bytes": cat(&[&[0xad, 0, 1, 1, 0xf9, 0x40, 0], rest]) },
        { "why": "a number is negative", "bytes": cat(&[&[0xad, 0, 1, 1, 0x21], rest]) },
        { "why": "an unknown key", "bytes": cat(&[&[0xae, 0, 1, 1, 2], rest, &[0x18, 28, 0]]) },
        { "why": "the schema is newer", "bytes": cat(&[&[0xad, 0, 2, 1, 2], rest]) },
        { "why": "a field is missing", "bytes": cat(&[&[0xac, 0, 1], rest]) },
        { "why": "bytes after the end", "bytes": cat(&[&plain, &[0]]) },
        { "why": "cut", "bytes": hex(&plain[..plain.len() - 1]) },
        { "why": "an empty list is written", "bytes": cat(&[&[0xae, 0, 1, 1, 2], rest, &[0x0f, 0x80]]) },
        { "why": "nothing at all", "bytes": "" },
    ]);
    keep("refused.json", &json!({ "entries": refused }));
}

fn keep_chain(name: &str, entries: Vec<Entry>) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut prev = Digest::default();
    for (seq, mut entry) in (0..).zip(entries) {
        (entry.seq, entry.prev) = (seq, prev);
        let bytes = entry.encode().unwrap();
        prev = leaf_hash(&bytes);
        rows.push(json!({ "entry": entry, "bytes": hex(&bytes), "hash": prev }));
    }
    let head = json!({ "tenant": "acme", "seq": rows.len() - 1, "hash": prev });
    keep(name, &json!({ "entries": rows, "head": head }));
    rows
}

/// Plugins that were answered from outside, with a fault and without.
fn with_answers() -> Vec<Entry> {
    let answers = Some(Digest::of(b"answers"));
    let mut entries: Vec<Entry> = entries().into_iter().filter(|entry| !entry.plugins.is_empty()).collect();
    for plugin in
        entries.iter_mut().flat_map(|entry| &mut entry.plugins).filter(|plugin| plugin.name.starts_with("det"))
    {
        plugin.answers = answers;
    }
    entries
}

fn keep(name: &str, value: &Value) {
    let path = folder().join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if let Ok(old) = fs::read_to_string(&path) {
        assert_eq!(old, text, "{name} is there and would change");
    }
    fs::write(path, text).unwrap();
}

/// One entry of every kind, with every field used and left out at least once.
fn entries() -> Vec<Entry> {
    let bare = Draft {
        kind: EntryKind::Activation,
        tenant: "acme".into(),
        id: Uuid::from_u128(0x0192_f0e1_d2c3_7b4a_8596_a7b8_c9da_ebfc),
        time_ms: 1_795_219_200_000,
        agent: "portcullis".into(),
        session: None,
        door: Door::Control,
        upstream: None,
        tool: None,
        phase: Phase::Call,
        mode: Mode::Enforce,
        decision: None,
        reasons: vec![],
        findings: vec![],
        plugins: vec![],
        generation: None,
        approval: None,
        outcome: None,
        duration_ms: None,
        call_digest: None,
        payload: None,
        note: None,
    };
    let plugin = |name: &str, fault: Option<&str>| EntryPlugin {
        name: name.into(),
        digest: Digest::of(name.as_bytes()),
        fuel: 118_723,
        fault: fault.map(str::to_owned),
        answers: None,
    };
    let reason = |code: &str| EntryReason { code: code.into(), plugin: "rule-baseline".into() };
    let finding =
        |category: &str, score| EntryFinding { plugin: "detector-secrets".into(), category: category.into(), score };
    let call = Draft {
        kind: EntryKind::Decision,
        agent: "billing agent".into(),
        session: Some("run 7".into()),
        door: Door::Mcp,
        upstream: Some("files".into()),
        tool: Some("read_file".into()),
        decision: Some(Decision::Allow),
        plugins: vec![plugin("detector-secrets", None), plugin("rule-baseline", None)],
        generation: Some(Digest::of(b"generation")),
        ..bare.clone()
    };
    let [bound, committed] = [Some(Digest::of(b"call")), Some(Digest::of(b"commitment"))];
    vec![
        Draft {
            generation: Some(Digest::of(b"generation")),
            note: Some("activated by ops — first".into()),
            ..bare.clone()
        }
        .into_entry(None, None),
        call.clone().into_entry(bound, committed),
        Draft {
            kind: EntryKind::Refusal,
            reasons: vec![reason("rate_limited")],
            decision: Some(Decision::Deny),
            plugins: vec![],
            generation: None,
            session: None,
            upstream: None,
            tool: None,
            note: None,
            call_digest: None,
            ..bare.clone()
        }
        .into_entry(None, None),
        Draft {
            decision: Some(Decision::Review),
            mode: Mode::Observe,
            approval: Some(Uuid::from_u128(0xa0b1_c2d3_e4f5_4657_8899_aabb_ccdd_eeff)),
            reasons: vec![reason("payment"), reason("Zürich 漢字 \u{0}")],
            findings: vec![finding("secret.token", 23), finding("secret.entropy", 1000), finding("secret.key", 24)],
            plugins: vec![plugin("detector-secrets", Some("plugin_fuel")), plugin("rule-baseline", None)],
            door: Door::Inspect,
            ..call.clone()
        }
        .into_entry(bound, committed),
        Draft {
            kind: EntryKind::Approval,
            door: Door::Control,
            agent: "operator anna".into(),
            approval: Some(Uuid::from_u128(0xa0b1_c2d3_e4f5_4657_8899_aabb_ccdd_eeff)),
            decision: Some(Decision::Allow),
            note: Some("approved".into()),
            ..bare.clone()
        }
        .into_entry(bound, None),
        Draft {
            kind: EntryKind::Outcome,
            phase: Phase::Result,
            decision: Some(Decision::Redact),
            outcome: Some(Outcome::Answered),
            duration_ms: Some(70_000),
            findings: (0..200).map(|index| finding("secret.token", index)).collect(),
            ..call.clone()
        }
        .into_entry(bound, committed),
        Draft {
            kind: EntryKind::Outcome,
            phase: Phase::Listing,
            outcome: Some(Outcome::Uncertain),
            duration_ms: Some(0),
            door: Door::Clavenar,
            time_ms: u64::MAX,
            ..call.clone()
        }
        .into_entry(bound, committed),
        Draft { phase: Phase::Message, door: Door::Arden, tool: Some("t".repeat(1024).into()), ..call }
            .into_entry(bound, committed),
        Draft { kind: EntryKind::Erasure, note: Some(String::new()), time_ms: 0, ..bare }.into_entry(None, None),
    ]
}
