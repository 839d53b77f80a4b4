//! The writer is killed without warning, again and again; nothing acknowledged may be missing.
//!
//! Long form: `LEDGER_LONG=1 cargo test -p portcullis-ledger --test kill`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::child::{self, Ack};
use common::{Dice, long};

#[test]
fn child() {
    child::run_if_child();
}

#[test]
fn acknowledged_entries_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let seed = u64::from(std::process::id());
    let mut dice = Dice(seed);
    let mut acks: Vec<Ack> = Vec::new();
    let rounds = if long() { 40 } else { 4 };
    for round in 0..rounds {
        let mut child =
            child::command(&[], folder.path(), 24).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let reader = thread::spawn(move || {
            output.lines().map_while(Result::ok).filter_map(|line| Ack::parse(&line)).collect::<Vec<_>>()
        });
        thread::sleep(Duration::from_millis(400 + dice.below(700)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(!status.success() && status.code().is_none(), "the writer ended by itself: {status}");
        acks.extend(reader.join().unwrap());
        // Not every round is checked from here: most are opened by the next writer, as after a real crash.
        if round % 2 == 1 {
            child::check(folder.path(), &acks).unwrap_or_else(|error| panic!("round {round}, seed {seed}: {error}"));
        }
    }
    assert!(acks.len() > 50 * rounds, "only {} entries were acknowledged in {rounds} rounds", acks.len());
    println!("{} acknowledged entries survived {rounds} kills", acks.len());
}
