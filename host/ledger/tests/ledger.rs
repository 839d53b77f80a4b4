//! The ledger through its public face, on real folders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{block_on, chain, draft, open};
use futures_util::future::join_all;
use portcullis_ledger::{AppendError, Attachment, Evidence, Ledger, LedgerConfig, OpenError, ReadError, Record};
use portcullis_ledger_verify::read_export;
use portcullis_model::{Digest, Document, Entry, EntryError, EntryKind};
use uuid::Uuid;

fn refused(folder: &Path) -> OpenError {
    Ledger::open(LedgerConfig::new(folder)).expect_err("it must not open")
}

fn record(key: &str, value: Option<&[u8]>) -> Record {
    Record { key: key.as_bytes().to_vec(), value: value.map(<[u8]>::to_vec) }
}

#[test]
fn what_is_appended_is_read_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for seq in 0..100 {
        let receipt = block_on(ledger.append(draft("acme", seq))).unwrap();
        assert_eq!((receipt.seq, receipt.time_ms), (seq, 1_795_000_000_000 + seq));
        assert_eq!(ledger.head("acme").unwrap().hash, receipt.hash);
    }
    let before = ledger.entries("acme", 0, 1000).unwrap();
    block_on(ledger.close());

    let ledger = open(folder.path());
    assert_eq!(ledger.entries("acme", 0, 1000).unwrap(), before);
    assert_eq!(ledger.entries("acme", 50, 10).unwrap(), before[50..60]);
    assert_eq!(ledger.entry("acme", 99).unwrap().as_ref(), before.last());
    assert_eq!(ledger.entry("acme", 100).unwrap(), None);
    assert_eq!(ledger.head("nobody"), None);
    assert_eq!(ledger.tenants(), [Arc::from("acme")]);
    let report = ledger.verify("acme").unwrap();
    assert!(report.is_good() && report.entries == 100, "{report}");
}

#[test]
fn many_callers_and_tenants_make_gapless_chains() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let tenants = ["acme", "globex", "initech", "umbrella", "名前"];
    let receipts = runtime.block_on(async {
        let tasks = (0..40_u64).map(|caller| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let mut out = Vec::new();
                for turn in 0..15 {
                    let tenant = tenants[(caller + turn) as usize % tenants.len()];
                    out.push(ledger.append(draft(tenant, caller * 1000 + turn)).await.unwrap());
                }
                out
            })
        });
        join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect::<Vec<_>>()
    });
    for tenant in tenants {
        let own: HashSet<_> = receipts.iter().filter(|receipt| &*receipt.tenant == tenant).map(|r| r.seq).collect();
        assert_eq!(own, (0..120).collect(), "{tenant}");
        let rows = ledger.entries(tenant, 0, 1000).unwrap();
        for receipt in receipts.iter().filter(|receipt| &*receipt.tenant == tenant) {
            assert_eq!(rows[receipt.seq as usize].hash, receipt.hash);
        }
        let mut file = Vec::new();
        let head = ledger.export(tenant, &mut file).unwrap();
        let report = read_export(&file[..], head.as_ref()).unwrap();
        assert!(report.is_good() && report.entries == 120, "{report}");
    }
    let metrics = ledger.metrics();
    assert_eq!((metrics.entries, metrics.tenants, metrics.waiting), (600, 5, 0));
    assert!(metrics.groups < 600 && metrics.healthy && metrics.append.count == 600, "{metrics:?}");
}

#[test]
fn readers_and_writers_do_not_hold_each_other_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = LedgerConfig::new(folder.path());
    // So little that pages leave the cache and come back all the time.
    config.cache_bytes = 256 << 10;
    let ledger = Ledger::open(config).unwrap();
    let end = Instant::now() + Duration::from_secs(2);
    let (done, finished) = mpsc::channel();
    for reader in 0..4 {
        let (ledger, done) = (ledger.clone(), done.clone());
        thread::spawn(move || {
            while Instant::now() < end {
                match reader {
                    0 => assert!(ledger.verify("acme").unwrap().is_good()),
                    1 => drop(ledger.records(b"r/").unwrap()),
                    2 => drop(ledger.entries("acme", ledger.head("acme").map_or(0, |head| head.seq / 2), 50).unwrap()),
                    _ => drop(ledger.export("globex", &mut std::io::sink()).unwrap()),
                }
            }
            done.send(0).unwrap();
        });
    }
    for writer in 0..4_u64 {
        let (ledger, done) = (ledger.clone(), done.clone());
        thread::spawn(move || {
            let mut number = 0;
            while Instant::now() < end {
                let key = format!("r/{}", number % 100);
                let attach = vec![Attachment::Record(record(&key, Some(&[7; 2000])))];
                let tenant = if writer % 2 == 0 { "acme" } else { "globex" };
                block_on(ledger.append_with(draft(tenant, number), attach)).unwrap();
                number += 1;
            }
            done.send(number).unwrap();
        });
    }
    let waited =
        (0..8).map(|_| finished.recv_timeout(Duration::from_secs(60)).expect("somebody is stuck")).sum::<u64>();
    assert!(waited > 20 && ledger.metrics().entries == waited, "{waited}");
}

#[test]
fn an_empty_log_exports_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let mut file = Vec::new();
    assert_eq!(ledger.export("acme", &mut file).unwrap(), None);
    assert!(read_export(&file[..], None).unwrap().is_good());
    assert!(ledger.verify("acme").unwrap().is_good());
}

#[test]
fn a_commitment_shows_its_payload_to_whoever_is_given_the_salt() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let draft = draft("acme", 1);
    let (payload, call) = (draft.payload.clone().unwrap(), draft.call_digest.unwrap());
    block_on(ledger.append(draft.clone())).unwrap();
    block_on(ledger.append(common::draft("acme", 2))).unwrap();
    block_on(ledger.append(draft)).unwrap();
    let rows = ledger.entries("acme", 0, 3).unwrap();
    let salt = ledger.salt("acme", 0).unwrap().unwrap();
    let opened = Digest::of(&[&salt[..], payload.canonical()].concat());
    assert_eq!(rows[0].entry.commitment, Some(opened));
    assert_ne!(rows[0].entry.commitment, Some(Digest::of(payload.canonical())), "without a salt it could be guessed");
    assert_eq!(ledger.open_evidence("acme", 0).unwrap(), None);
    // Equal calls look equal, others do not, and the bare digest of the call is nowhere.
    assert_eq!(rows[0].entry.call, rows[2].entry.call);
    assert_ne!(rows[0].entry.call, rows[1].entry.call);
    assert!(!rows[0].bytes.windows(32).any(|piece| piece == call.0));
}

#[test]
fn sealed_evidence_of_any_size_comes_back_and_is_erased_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = LedgerConfig::new(folder.path());
    config.evidence = Evidence::Sealed;
    let ledger = Ledger::open(config.clone()).unwrap();
    let marker = "marker-in-the-clear";
    for (seq, size) in [(0, 10), (1, 32 * 1024), (2, 300_000), (3, 5 << 20)] {
        let mut draft = draft("acme", seq);
        draft.payload = Some(Arc::new(Document::string(&marker.repeat(size / marker.len() + 1))));
        let payload = draft.payload.clone().unwrap();
        block_on(ledger.append(draft)).unwrap();
        assert_eq!(ledger.open_evidence("acme", seq).unwrap().unwrap(), payload.canonical(), "{size} bytes");
    }
    block_on(ledger.append_with(draft("acme", 4), vec![Attachment::Evidence(Evidence::Commitment)])).unwrap();
    block_on(ledger.append(draft("globex", 0))).unwrap();
    block_on(ledger.close());
    let blobs = fs::read_dir(folder.path().join("ledger/blobs")).unwrap().count();
    assert_eq!(blobs, 0, "sled must not put anything into files of its own");

    let ledger = Ledger::open(config).unwrap();
    assert!(ledger.open_evidence("acme", 3).unwrap().is_some_and(|payload| payload.len() > 5 << 20));
    assert_eq!(ledger.open_evidence("acme", 4).unwrap(), None);
    let mut erasure = draft("acme", 9);
    (erasure.kind, erasure.payload) = (EntryKind::Erasure, None);
    let salt = ledger.salt("acme", 0).unwrap();
    let receipt = block_on(ledger.erase(erasure)).unwrap();
    assert_eq!(receipt.seq, 5);
    for seq in 0..5 {
        assert_eq!(ledger.open_evidence("acme", seq).unwrap(), None);
    }
    assert_ne!(ledger.salt("acme", 0).unwrap(), salt, "the salts die with the key");
    assert!(ledger.open_evidence("globex", 0).unwrap().is_some(), "other tenants keep theirs");
    assert!(ledger.verify("acme").unwrap().is_good());
    block_on(ledger.append(draft("acme", 10))).unwrap();
    assert!(ledger.open_evidence("acme", 6).unwrap().is_some());
    block_on(ledger.close());
    let data = fs::read(folder.path().join("ledger/db")).unwrap();
    assert!(!data.windows(marker.len()).any(|piece| piece == marker.as_bytes()), "payloads lie in the clear");
}

#[test]
fn kept_answers_survive_a_restart_and_belong_to_one_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let (id, request) = (Uuid::from_u128(77), Digest::of(b"request"));
    let answer = |ttl: u64| Attachment::Answer {
        id,
        request,
        answer: br#"{"decision":"allow"}"#.to_vec(),
        ttl: Duration::from_secs(ttl),
    };
    block_on(ledger.append_with(draft("acme", 1), vec![answer(3600)])).unwrap();
    block_on(ledger.append_with(draft("globex", 1), vec![answer(0)])).unwrap();
    block_on(ledger.close());
    let ledger = open(folder.path());
    let kept = ledger.kept_answer("acme", id).unwrap().unwrap();
    assert_eq!((kept.request, &kept.answer[..]), (request, &br#"{"decision":"allow"}"#[..]));
    assert_eq!(ledger.kept_answer("acme", Uuid::from_u128(78)).unwrap(), None);
    assert_eq!(ledger.kept_answer("globex", id).unwrap(), None, "its time is over");
    assert_eq!(ledger.kept_answer("initech", id).unwrap(), None);
    let mut erasure = draft("acme", 2);
    erasure.kind = EntryKind::Erasure;
    block_on(ledger.erase(erasure)).unwrap();
    assert_eq!(ledger.kept_answer("acme", id).unwrap(), None);
}

#[test]
fn what_plugins_were_told_is_found_by_its_digest_and_goes_with_time_and_erasure() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let (text, digest) = ("[\"state\",\"get\"]\n".repeat(5_000), |text: &str| Digest::of(text.as_bytes()));
    let told = |text: &str, ttl: u64| Attachment::Told {
        digest: digest(text),
        told: text.into(),
        ttl: Duration::from_secs(ttl),
    };
    block_on(ledger.append_with(draft("acme", 1), vec![told(&text, 3600), told("short", 0)])).unwrap();
    // Under a digest that it does not have.
    let forged = Attachment::Told { digest: digest("other"), told: "one".into(), ttl: Duration::from_secs(60) };
    block_on(ledger.append_with(draft("acme", 2), vec![forged])).unwrap();
    block_on(ledger.append(draft("globex", 1))).unwrap();
    block_on(ledger.close());
    let ledger = open(folder.path());
    assert_eq!(ledger.told("acme", digest(&text)).unwrap().unwrap(), text.as_bytes());
    assert_eq!(ledger.told("acme", digest("short")).unwrap(), None, "its time is over");
    assert_eq!(ledger.told("globex", digest(&text)).unwrap(), None, "it belongs to one tenant");
    assert_eq!(ledger.told("initech", digest(&text)).unwrap(), None);
    let error = ledger.told("acme", digest("other")).unwrap_err();
    assert!(error.to_string().contains("is not what has this digest"), "{error}");
    let mut erasure = draft("acme", 3);
    erasure.kind = EntryKind::Erasure;
    block_on(ledger.erase(erasure)).unwrap();
    assert_eq!(ledger.told("acme", digest(&text)).unwrap(), None);
}

#[test]
fn records_are_kept_listed_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let long = vec![b'l'; 200_000];
    let attach = vec![
        Attachment::Record(record("approval/1", Some(b"parked"))),
        Attachment::Record(record("approval/2", Some(&long))),
    ];
    block_on(ledger.append_with(draft("acme", 1), attach)).unwrap();
    block_on(ledger.put_records(vec![record("state/a", Some(b"")), record("approval", Some(b"x"))])).unwrap();
    ledger.put_records_later(&[record("approval/1", Some(b"decided")), record("state/b", None)]).unwrap();
    ledger.put_records_later(&[record("state/a", Some(b"1"))]).unwrap();
    block_on(ledger.close());

    let ledger = open(folder.path());
    let approvals = ledger.records(b"approval/").unwrap();
    assert_eq!(approvals, [(b"approval/1".to_vec(), b"decided".to_vec()), (b"approval/2".to_vec(), long)]);
    assert_eq!(ledger.records(b"").unwrap().len(), 4);
    assert_eq!(ledger.record(b"state/a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(ledger.record(b"state/b").unwrap(), None);
    block_on(ledger.put_records(vec![record("approval/2", Some(b"short")), record("approval/1", None)])).unwrap();
    assert_eq!(ledger.records(b"approval/").unwrap(), [(b"approval/2".to_vec(), b"short".to_vec())]);
    for key in ["", "a\0b", &"k".repeat(1025)] {
        let result = block_on(ledger.put_records(vec![record(key, Some(b"x"))]));
        assert!(matches!(result, Err(AppendError::RecordKey)), "{key:?}");
    }
    let result = block_on(ledger.put_records(vec![record("big", Some(&vec![0; 9 << 20]))]));
    assert!(matches!(result, Err(AppendError::TooLarge { .. })));
}

#[test]
fn drafts_that_make_no_entry_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let mut long = draft("acme", 1);
    long.tool = Some("t".repeat(2000).into());
    let result = block_on(ledger.append(long));
    assert!(matches!(result, Err(AppendError::Entry(EntryError::TooLong { field: "tool", .. }))), "{result:?}");
    let mut nameless = draft("", 1);
    nameless.payload = None;
    assert!(matches!(block_on(ledger.append(nameless)), Err(AppendError::Entry(EntryError::Empty { .. }))));
    assert_eq!(ledger.head("acme"), None);
    assert_eq!(fs::read_dir(folder.path().join("keys/tenants")).unwrap().count(), 0);
}

#[test]
fn the_largest_entries_fit() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for number in 0..60 {
        let mut draft = draft("acme", number);
        draft.note = Some("n".repeat(5000));
        draft.findings = (0..100)
            .map(|score| portcullis_model::EntryFinding { plugin: "p".repeat(200), category: "c".repeat(200), score })
            .collect();
        draft.plugins = std::iter::repeat_n(draft.plugins[0].clone(), 70)
            .map(|mut plugin| {
                plugin.name = "n".repeat(200).into();
                plugin.fault = Some("f".repeat(200));
                plugin
            })
            .collect();
        block_on(ledger.append(draft)).unwrap();
    }
    assert!(ledger.entry("acme", 59).unwrap().unwrap().bytes.len() > 35_000);
    assert!(ledger.verify("acme").unwrap().is_good());
    block_on(ledger.close());
    assert_eq!(fs::read_dir(folder.path().join("ledger/blobs")).unwrap().count(), 0);
    let rows = open(folder.path()).entries("acme", 0, 100).unwrap();
    assert!(rows.iter().all(|row| Entry::decode(&row.bytes).as_ref() == Ok(&row.entry)) && rows.len() == 60);
}

#[test]
fn a_closed_ledger_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let other = ledger.clone();
    block_on(ledger.append(draft("acme", 1))).unwrap();
    block_on(ledger.close());
    assert!(matches!(block_on(other.append(draft("acme", 2))), Err(AppendError::Closed)));
    assert!(!other.is_healthy());
    assert_eq!(other.entries("acme", 0, 5).unwrap().len(), 1, "reading goes on");
    block_on(other.close());
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    block_on(ledger.append(draft("acme", 1))).unwrap();
    let error = refused(folder.path());
    assert!(matches!(&error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("in use by pid {}", std::process::id())), "{error}");
    block_on(ledger.append(draft("acme", 2))).unwrap();
    drop(ledger);
    assert_eq!(open(folder.path()).entries("acme", 0, 5).unwrap().len(), 2);
}

#[test]
fn a_folder_of_a_newer_build_or_without_a_version_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let version = folder.path().join("VERSION");
    assert_eq!(fs::read_to_string(&version).unwrap(), "portcullis data folder, format 1\n");
    fs::write(&version, "portcullis data folder, format 2\n").unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("format 2, this build knows format 1"));
    for text in ["", "something else", "portcullis data folder, format x\n", "portcullis data folder, format 0\n"] {
        fs::write(&version, text).unwrap();
        assert!(matches!(refused(folder.path()), OpenError::Version { .. }), "{text:?}");
    }
    fs::write(&version, [0xff, 0xfe]).unwrap();
    assert!(matches!(refused(folder.path()), OpenError::Version { .. }));
    fs::remove_file(&version).unwrap();
    assert!(matches!(refused(folder.path()), OpenError::Version { .. }));
    assert!(!version.exists());
}

#[test]
fn a_path_that_is_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(refused(&file), OpenError::Folder { .. }));
    assert!(matches!(refused(&file.join("below")), OpenError::Folder { .. }));
}

#[test]
fn a_half_written_index_is_moved_aside_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    (0..20).for_each(|number| drop(block_on(ledger.append(draft("acme", number))).unwrap()));
    block_on(ledger.close());
    let store = folder.path().join("ledger");
    fs::write(store.join("snap.00000000FFFFFFFF.generating"), [1, 2, 3]).unwrap();
    let ledger = open(folder.path());
    assert_eq!(ledger.verify("acme").unwrap().entries, 20);
    assert!(store.join("aside/snap.00000000FFFFFFFF.generating").exists(), "moved, not deleted");
}

#[test]
fn a_spoiled_store_is_an_error_and_not_a_crash_and_stays_as_it_is() {
    let mut refusals = 0;
    for round in 0..6_u64 {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path());
        (0..60).for_each(|number| drop(block_on(ledger.append(draft("acme", number))).unwrap()));
        let head = ledger.head("acme").unwrap();
        block_on(ledger.close());
        let path = folder.path().join("ledger/db");
        let mut bytes = fs::read(&path).unwrap();
        let mut dice = common::Dice(round);
        for _ in 0..40 {
            let at = dice.below(bytes.len().min(120_000) as u64) as usize;
            bytes[at] ^= 1 << dice.below(8);
        }
        fs::write(&path, bytes).unwrap();
        // It refuses, or reading says so, or the damage did not touch the log: nothing is silently shorter.
        match Ledger::open(LedgerConfig::new(folder.path())) {
            Err(error) => {
                assert!(!chain(&error).is_empty());
                refusals += 1;
            }
            Ok(ledger) => match ledger.verify("acme") {
                Err(ReadError::Store(_)) => refusals += 1,
                Err(error) => panic!("{}", chain(&error)),
                Ok(report) if report.is_good() => assert_eq!(report.head, Some(head)),
                Ok(_) => refusals += 1,
            },
        }
    }
    assert!(refusals >= 3, "only {refusals} of 6 spoiled stores were noticed");
}

/// A file system of its own; `None` where mounting is not allowed.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).status();
        done.is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    fn change(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).status());
    }
}

#[test]
fn a_full_disk_closes_the_ledger_and_loses_nothing() {
    let Some(disk) = Mount::new("size=24m") else {
        return println!("skipped: mounting is not allowed here; a store double shows the same in the unit tests");
    };
    let path = disk.0.path().join("data");
    let ledger = open(&path);
    let attach = || vec![Attachment::Evidence(Evidence::Sealed)];
    let mut receipts = Vec::new();
    let error = loop {
        let mut draft = draft("acme", receipts.len() as u64);
        draft.payload = Some(Arc::new(Document::string(&"p".repeat(400_000))));
        match block_on(ledger.append_with(draft, attach())) {
            Ok(receipt) => receipts.push(receipt),
            Err(error) => break error,
        }
        assert!(receipts.len() < 1000, "the disk never became full");
    };
    assert!(matches!(&error, AppendError::Poisoned { .. }), "{error}");
    assert!(receipts.len() > 5 && !ledger.is_healthy());
    assert!(matches!(block_on(ledger.append(draft("acme", 0))), Err(AppendError::Poisoned { .. })));
    assert_eq!(ledger.head("acme").unwrap().seq, receipts.last().unwrap().seq);
    drop(ledger);

    disk.change("size=96m");
    let ledger = open(&path);
    let rows = ledger.entries("acme", 0, 1000).unwrap();
    for receipt in &receipts {
        assert_eq!(rows[receipt.seq as usize].hash, receipt.hash);
    }
    assert!(ledger.verify("acme").unwrap().is_good());
    assert_eq!(ledger.open_evidence("acme", 3).unwrap().unwrap().len(), 400_002);
    block_on(ledger.append(draft("acme", 1000))).unwrap();
}

#[test]
fn a_read_only_folder_and_a_disk_without_room_are_named() {
    let Some(disk) = Mount::new("size=24m") else {
        return println!("skipped: mounting is not allowed here");
    };
    let path = disk.0.path().join("data");
    drop(open(&path));
    disk.change("ro");
    let error = refused(&path);
    assert!(matches!(&error, OpenError::ReadOnly { .. }), "{error}");
    assert!(error.to_string().contains("read-only"));
    assert!(matches!(refused(&disk.0.path().join("new")), OpenError::ReadOnly { .. }));
    disk.change("rw");
    drop(open(&path));
    let Some(tiny) = Mount::new("size=16k") else { return };
    fs::write(tiny.0.path().join("filler"), vec![0; 16 << 10]).unwrap();
    let error = refused(&tiny.0.path().join("data"));
    assert!(matches!(&error, OpenError::Full { .. }), "{}", chain(&error));
}
