//! The verifier against the golden vectors, and against every way to spoil a log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use portcullis_ledger_verify::{ExportError, FaultKind, Head, Report, Verifier, read_export};
use portcullis_model::{Digest, Entry, leaf_hash};
use serde_json::Value;

fn vectors() -> (Vec<Vec<u8>>, Head) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/ledger/chain.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let rows = vectors["entries"].as_array().unwrap().iter();
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let rows = rows.map(|row| unhex(row["bytes"].as_str().unwrap())).collect();
    (rows, serde_json::from_value(vectors["head"].clone()).unwrap())
}

fn verify(rows: &[Vec<u8>], head: Option<&Head>) -> Report {
    let mut one_by_one = Verifier::new(Some("acme"));
    for row in rows {
        one_by_one.push(row);
    }
    if let Some(head) = head {
        one_by_one.expect_head(head);
    }
    one_by_one.finish()
}

fn export(rows: &[Vec<u8>], head: &Head) -> String {
    let zeros = Digest::default();
    let mut text = format!(
        "{{\"format\":\"portcullis ledger export\",\"version\":1,\"tenant\":\"acme\",\"from\":0,\"prev\":\"{zeros}\"}}\n"
    );
    for row in rows {
        text.push_str(&format!("{{\"entry\":\"{}\"}}\n", BASE64_STANDARD.encode(row)));
    }
    text + &format!("{{\"head\":{}}}\n", serde_json::to_string(head).unwrap())
}

/// The same log, made long enough for several threads.
fn long_log() -> (Vec<Vec<u8>>, Head) {
    let (rows, head) = vectors();
    let mut entry = Entry::decode(&rows[1]).unwrap();
    let mut prev = Digest::default();
    let mut out = Vec::new();
    for seq in 0..4000 {
        (entry.seq, entry.prev) = (seq, prev);
        let bytes = entry.encode().unwrap();
        prev = leaf_hash(&bytes);
        out.push(bytes);
    }
    (out, Head { seq: 3999, hash: prev, ..head })
}

#[test]
fn the_golden_log_is_good() {
    let (rows, head) = vectors();
    let report = verify(&rows, Some(&head));
    assert!(report.is_good() && report.head_checked, "{report}");
    assert_eq!((report.entries, report.head.clone()), (rows.len() as u64, Some(head)));
    assert!(report.to_string().starts_with("good: log of acme"));
}

#[test]
fn every_single_bit_flip_in_the_log_is_found() {
    let (rows, head) = vectors();
    let mut prev = Digest::default();
    for (index, row) in rows.iter().enumerate() {
        // The longest rows hold thousands of bits of text; every third is enough there.
        let step = if row.len() > 600 { 3 } else { 1 };
        for bit in (0..row.len() * 8).step_by(step) {
            let mut spoiled = row.clone();
            spoiled[bit / 8] ^= 1 << (bit % 8);
            // It shows at the entry itself or, at the latest, where the next one, or the head, names it.
            let mut verifier = Verifier::from(Some("acme"), index as u64, prev);
            let good = verifier.push(&spoiled)
                && match rows.get(index + 1) {
                    Some(next) => verifier.push(next),
                    None => verifier.expect_head(&head),
                };
            assert!(!good && verifier.finish().fault.is_some(), "entry {index}, bit {bit}");
        }
        prev = leaf_hash(row);
    }
}

#[test]
fn dropped_repeated_swapped_and_foreign_entries_are_found_on_one_thread_and_on_many() {
    for (rows, head) in [vectors(), long_log()] {
        let middle = rows.len() / 2;
        let mut dropped = rows.clone();
        dropped.remove(middle);
        let mut repeated = rows.clone();
        repeated.insert(middle, rows[middle].clone());
        let mut swapped = rows.clone();
        swapped.swap(middle, middle + 1);
        let mut foreign = rows.clone();
        let mut entry = Entry::decode(&rows[middle]).unwrap();
        entry.tenant = "globex".into();
        foreign[middle] = entry.encode().unwrap();
        let mut renamed = rows.clone();
        let mut entry = Entry::decode(&rows[middle]).unwrap();
        entry.id = uuid::Uuid::from_u128(1);
        renamed[middle] = entry.encode().unwrap();
        for (what, spoiled) in
            [("dropped", dropped), ("repeated", repeated), ("swapped", swapped), ("foreign", foreign), ("id", renamed)]
        {
            let report = verify(&spoiled, Some(&head));
            assert!(!report.is_good(), "{what}");
            let mut verifier = Verifier::new(None);
            assert!(!verifier.push_all(&spoiled) | !verifier.expect_head(&head), "{what}");
            assert_eq!(verifier.finish().fault, report.fault, "{what}: threads see the same");
        }
    }
}

#[test]
fn a_cut_end_and_another_end_are_found_by_the_head() {
    let (rows, head) = vectors();
    let cut = &rows[..rows.len() - 1];
    assert!(verify(cut, None).is_good(), "without a head a cut log looks whole: that is what the head is for");
    assert!(matches!(verify(cut, Some(&head)).fault.unwrap().kind, FaultKind::Length { .. }));
    assert!(matches!(verify(&[], Some(&head)).fault.unwrap().kind, FaultKind::Length { .. }));
    let mut last = rows.clone();
    let mut entry = Entry::decode(&rows[rows.len() - 1]).unwrap();
    entry.agent = "nobody".into();
    *last.last_mut().unwrap() = entry.encode().unwrap();
    assert!(matches!(verify(&last, Some(&head)).fault.unwrap().kind, FaultKind::Head { .. }));
    let other = Head { tenant: "globex".into(), ..head };
    assert!(matches!(verify(&rows, Some(&other)).fault.unwrap().kind, FaultKind::HeadTenant { .. }));
}

#[test]
fn exports_are_read_and_broken_ones_are_told_apart_from_bad_logs() {
    let (rows, head) = vectors();
    let good = export(&rows, &head);
    let read = |text: &str| read_export(text.as_bytes(), None);
    assert!(read(&good).unwrap().is_good());
    assert!(read_export(good.as_bytes(), Some(&head)).unwrap().is_good());

    let older = Head { seq: 3, ..head.clone() };
    assert!(!read_export(good.as_bytes(), Some(&older)).unwrap().is_good(), "a head known from elsewhere counts too");
    assert!(!read(&export(&rows[1..], &head)).unwrap().is_good());
    assert!(!read(&export(&rows[..4], &head)).unwrap().is_good());

    let without_head = good.rsplit_once("{\"head\"").unwrap().0;
    assert!(matches!(read(without_head), Err(ExportError::Cut)));
    assert!(matches!(read(""), Err(ExportError::Header(_))));
    assert!(matches!(read("{}\n"), Err(ExportError::Header(_))));
    assert!(matches!(read(&good.replacen("\"version\":1", "\"version\":2", 1)), Err(ExportError::Version(2))));
    assert!(matches!(
        read(&good.replacen("{\"entry\":\"", "{\"entry\":\"*", 1)),
        Err(ExportError::Line { line: 2, .. })
    ));
    assert!(matches!(read(&good.replacen("{\"entry\":", "{\"extra\":1,\"entry\":", 1)), Err(ExportError::Line { .. })));
    assert!(matches!(read(&format!("{good}{{}}\n")), Err(ExportError::Line { .. })));
    // What only looks like an end is none, and an end that knows of no entry is not that of a log with some.
    for end in ["{}", "{\"junk\":1}", "{\"entry\":\"\",\"x\":1}", "{\"head\":null,\"x\":1}", "null"] {
        assert!(matches!(read(&format!("{without_head}{end}\n")), Err(ExportError::Line { .. })), "{end}");
    }
    assert_eq!(read(&format!("{without_head}{{\"head\":null}}\n")).unwrap().fault.unwrap().kind, FaultKind::NotEmpty);
    let empty = good.lines().next().unwrap();
    assert!(read(&format!("{empty}\n{{\"head\":null}}\n")).unwrap().is_good());
    let endless = format!("{}{}", good.lines().next().unwrap().to_owned() + "\n", "x".repeat(200_000));
    assert!(matches!(read(&endless), Err(ExportError::Line { line: 2, .. })));
}

#[test]
fn the_golden_export_is_the_golden_log() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/ledger/export.jsonl");
    let (rows, head) = vectors();
    let text = export(&rows, &head);
    assert_eq!(fs::read_to_string(path).unwrap(), text);
}
