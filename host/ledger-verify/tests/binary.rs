//! The small binary: what it prints and how it exits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis-ledger-verify")).args(words).output().unwrap()
}

#[test]
fn exit_codes_tell_good_bad_and_unchecked_apart() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/ledger/export.jsonl");
    let golden = golden.to_str().unwrap();
    let good = run(&[golden]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(String::from_utf8(good.stdout).unwrap().starts_with("good: log of acme: 9 entries"));

    let json = run(&["--json", golden]);
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&report["entries"], &report["fault"]), (&Value::from(9), &Value::Null));
    let (seq, hash) = (report["head"]["seq"].to_string(), report["head"]["hash"].as_str().unwrap().to_owned());
    assert_eq!(run(&["--head", "acme", &seq, &hash, golden]).status.code(), Some(0));
    assert_eq!(run(&["--head", "acme", "7", &hash, golden]).status.code(), Some(2));

    let folder = tempfile::tempdir().unwrap();
    let spoiled = folder.path().join("spoiled.jsonl");
    let mut lines: Vec<String> = fs::read_to_string(golden).unwrap().lines().map(|line| format!("{line}\n")).collect();
    lines.swap(3, 4);
    fs::write(&spoiled, lines.concat()).unwrap();
    let bad = run(&[spoiled.to_str().unwrap()]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(String::from_utf8(bad.stdout).unwrap().contains("BAD: log of acme: entry 2: carries number 3"));

    for words in [&["/no/such/file"][..], &[], &["--what"], &[golden, golden], &["--head", "acme"]] {
        let unchecked = run(words);
        assert_eq!(unchecked.status.code(), Some(1), "{words:?}");
        assert!(String::from_utf8(unchecked.stderr).unwrap().starts_with("could not check: "));
    }
    fs::write(&spoiled, "not an export\n").unwrap();
    assert_eq!(run(&[spoiled.to_str().unwrap()]).status.code(), Some(1));
}
