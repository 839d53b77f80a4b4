//! What needs a store that misbehaves: errors, panics, stalls and spoiled contents.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Condvar;

use futures_util::FutureExt;
use portcullis_model::{Document, Door, EntryKind, Mode, Phase};

use super::*;
use crate::store::{Change, Commit, Pair, Visitor};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store in memory that fails, panics or waits as it is told.
#[derive(Default)]
struct Double {
    rows: Mutex<Rows>,
    mood: Mutex<Mood>,
    changed: Condvar,
    commits: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Well,
    Fails,
    Panics,
    Waits,
}

impl Double {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }
}

impl Store for Double {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.lock().unwrap().get(key).cloned())
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError> {
        let rows = self.rows.lock().unwrap();
        Ok(rows.range(from.to_vec()..to.to_vec()).next_back().map(|(key, value)| (key.clone(), value.clone())))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        for (key, value) in self.rows.lock().unwrap().range(from.to_vec()..to.to_vec()) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, changes: Vec<Change>) -> Result<Commit, StoreError> {
        self.commits.fetch_add(1, Relaxed);
        let mood = self.mood.lock().unwrap();
        let mood = *self.changed.wait_while(mood, |mood| *mood == Mood::Waits).unwrap();
        match mood {
            Mood::Fails => return Err(StoreError::new("syncing the data file", "Input/output error (os error 5)")),
            Mood::Panics => panic!("the double panics"),
            Mood::Well | Mood::Waits => {}
        }
        let mut rows = self.rows.lock().unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        Ok(Commit::default())
    }

    fn size(&self) -> u64 {
        0
    }
}

fn draft(tenant: &str, id: u128) -> Draft {
    Draft {
        kind: EntryKind::Decision,
        tenant: tenant.into(),
        id: Uuid::from_u128(id),
        time_ms: 1,
        agent: "agent".into(),
        session: None,
        door: Door::Inspect,
        upstream: None,
        tool: Some("tool".into()),
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
        payload: Some(Arc::new(Document::empty())),
        note: None,
    }
}

fn try_start(config: &LedgerConfig, store: &Arc<Double>) -> Result<Ledger, OpenError> {
    Ledger::start(config, Folder::open(&config.folder)?, Arc::clone(store) as Arc<dyn Store>)
}

fn start(folder: &Path, store: &Arc<Double>) -> Ledger {
    try_start(&LedgerConfig::new(folder), store).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// A folder and a store with two closed logs, of 5 and 3 entries.
fn closed() -> (tempfile::TempDir, Arc<Double>) {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let ledger = start(folder.path(), &store);
    for (tenant, count) in [("acme", 5), ("globex", 3)] {
        (0..count).for_each(|id| drop(block_on(ledger.append(draft(tenant, id))).unwrap()));
    }
    block_on(ledger.close());
    (folder, store)
}

#[test]
fn an_error_of_the_disk_closes_the_ledger_for_everybody() {
    for mood in [Mood::Fails, Mood::Panics] {
        let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
        let ledger = start(folder.path(), &store);
        let kept = block_on(ledger.append(draft("acme", 1))).unwrap();
        assert!(ledger.is_healthy());
        store.set(mood);
        let all = futures_util::future::join_all((0..50).map(|id| ledger.append(draft("acme", id))));
        for result in block_on(all) {
            assert!(matches!(result, Err(AppendError::Poisoned { .. })), "{mood:?}: {result:?}");
        }
        // Even if the disk is well again: only an operator opens it again.
        store.set(Mood::Well);
        let later = block_on(ledger.append(draft("globex", 1)));
        assert!(matches!(later, Err(AppendError::Poisoned { .. })), "{later:?}");
        assert!(matches!(block_on(ledger.put_records(vec![])), Err(AppendError::Poisoned { .. })));
        assert!(!ledger.is_healthy());
        assert!(ledger.trouble().unwrap().contains(if mood == Mood::Fails { "os error 5" } else { "panicked" }));
        assert_eq!(ledger.head("acme").map(|head| head.seq), Some(kept.seq));
        drop(ledger);
        let ledger = start(folder.path(), &store);
        assert_eq!(block_on(ledger.append(draft("acme", 2))).unwrap().seq, kept.seq + 1);
    }
}

#[test]
fn a_full_queue_refuses_and_a_late_append_is_not_written_later() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let mut config = LedgerConfig::new(folder.path());
    (config.queue, config.queue_wait) = (4, Duration::from_millis(300));
    let ledger = try_start(&config, &store).unwrap();
    store.set(Mood::Waits);
    block_on(async {
        // The first is with the store, which does not answer.
        let mut first = Box::pin(ledger.append(draft("acme", 1)));
        assert!((&mut first).now_or_never().is_none());
        while store.commits.load(Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut waiting: Vec<_> = (2..6).map(|id| Box::pin(ledger.append(draft("acme", id)))).collect();
        for append in &mut waiting {
            assert!(append.now_or_never().is_none());
        }
        let refused = ledger.append(draft("acme", 6)).await;
        assert!(matches!(refused, Err(AppendError::Busy { waiting: 4 })), "{refused:?}");
        for late in waiting {
            assert!(matches!(late.await, Err(AppendError::Busy { .. })));
        }
        store.set(Mood::Well);
        assert_eq!(first.await.unwrap().seq, 0);
        assert_eq!(
            ledger.append(draft("acme", 7)).await.unwrap().seq,
            1,
            "what was refused has left no gap and no row"
        );
    });
    let ids: Vec<u128> = ledger.entries("acme", 0, 10).unwrap().iter().map(|row| row.entry.id.as_u128()).collect();
    assert_eq!(ids, [1, 7]);
    assert_eq!(ledger.metrics().refused, 5);
}

#[test]
fn callers_share_a_group_and_one_alone_does_not_wait_for_others() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let mut config = LedgerConfig::new(folder.path());
    config.gather = Duration::from_secs(1);
    let ledger = try_start(&config, &store).unwrap();
    let begin = Instant::now();
    (0..20).for_each(|id| drop(block_on(ledger.append(draft("acme", id))).unwrap()));
    assert!(begin.elapsed() < Duration::from_secs(10), "a single caller was made to wait");
    assert_eq!(store.commits.load(Relaxed), 20);

    store.set(Mood::Waits);
    block_on(async {
        let all = futures_util::future::join_all((0..201).map(|id| ledger.append(draft("globex", id))));
        let release = async {
            while store.commits.load(Relaxed) == 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            store.set(Mood::Well);
        };
        let (results, ()) = futures_util::future::join(all, release).await;
        for (seq, receipt) in (0..).zip(results) {
            assert_eq!(receipt.unwrap().seq, seq);
        }
    });
    assert!(store.commits.load(Relaxed) <= 23, "201 appends took {} commits", store.commits.load(Relaxed) - 20);
    assert!(ledger.verify("globex").unwrap().is_good());
}

#[test]
fn expired_answers_are_removed_and_others_stay() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let ledger = start(folder.path(), &store);
    let keep = |id: u128, ttl: u64| Attachment::Answer {
        id: Uuid::from_u128(id),
        request: Digest::of(b"request"),
        answer: vec![b'a'; 100_000],
        ttl: Duration::from_millis(ttl),
    };
    let answers = vec![keep(1, 50), keep(2, 60_000), keep(3, 50)];
    block_on(ledger.append_with(draft("acme", 1), answers)).unwrap();
    // The third is kept again for longer before its time is over.
    block_on(ledger.append_with(draft("acme", 2), vec![keep(3, 60_000)])).unwrap();
    let begin = Instant::now();
    while ledger.metrics().expired < 2 {
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing was removed");
        thread::sleep(Duration::from_millis(50));
    }
    let kept = |id: u128| ledger.kept_answer("acme", Uuid::from_u128(id)).unwrap();
    assert_eq!(kept(1), None);
    for id in [2, 3] {
        assert_eq!(kept(id).unwrap().answer.len(), 100_000);
    }
    let rows = store.rows.lock().unwrap();
    assert_eq!(rows.keys().filter(|key| key.starts_with(layout::EXPIRIES)).count(), 2);
    assert_eq!(rows.keys().filter(|key| key.starts_with(b"k")).count(), 8, "four pieces each");
    assert!(!rows.values().any(|value| value.windows(8).any(|piece| piece == b"aaaaaaaa")), "answers lie in the clear");
}

#[test]
fn records_that_change_while_they_wait_are_as_the_last_one_said() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let ledger = start(folder.path(), &store);
    let record = |value: Option<usize>| Record { key: b"a/b".to_vec(), value: value.map(|length| vec![7; length]) };
    // All of them wait for the writer at once: none can see in the store what the one before it did.
    for changes in [
        vec![Some(100_000), None],
        vec![None, Some(5)],
        vec![Some(200_000), Some(5)],
        vec![Some(5), Some(100_000), None],
        vec![Some(100_000), None, Some(40_000)],
    ] {
        store.set(Mood::Waits);
        let before = store.commits.load(Relaxed);
        let first = ledger.clone();
        let holder = thread::spawn(move || block_on(first.append(draft("acme", 1))).unwrap());
        while store.commits.load(Relaxed) == before {
            thread::sleep(Duration::from_millis(2));
        }
        for change in &changes {
            ledger.put_records_later(&[record(*change)]).unwrap();
        }
        store.set(Mood::Well);
        holder.join().unwrap();
        block_on(ledger.append(draft("acme", 2))).unwrap();
        let last = *changes.last().unwrap();
        assert_eq!(ledger.record(b"a/b").unwrap().map(|value| value.len()), last, "{changes:?}");
        let pieces = store.rows.lock().unwrap().keys().filter(|key| key.starts_with(b"ga/b")).count();
        assert_eq!(
            pieces,
            last.map_or(0, |length| (length + 34).div_ceil(32 * 1024)),
            "{changes:?}: nothing is left over"
        );
    }
}

#[test]
fn writing_nothing_is_answered() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let ledger = start(folder.path(), &store);
    block_on(ledger.put_records(vec![])).unwrap();
    block_on(ledger.put_records(vec![Record { key: b"never/there".to_vec(), value: None }])).unwrap();
    assert!(ledger.is_healthy());
}

#[test]
fn expired_answers_do_not_pile_up() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let ledger = start(folder.path(), &store);
    let keep = |id: u128| Attachment::Answer {
        id: Uuid::from_u128(id),
        request: Digest::of(b"request"),
        answer: vec![b'a'; 10],
        ttl: Duration::ZERO,
    };
    // Far more of them than are removed in one look.
    block_on(ledger.append_with(draft("acme", 1), (0..5_000).map(keep).collect())).unwrap();
    thread::sleep(Duration::from_millis(1_100));
    for id in 0..25 {
        block_on(ledger.append(draft("acme", id))).unwrap();
    }
    assert_eq!(ledger.metrics().expired, 5_000);
    assert!(!store.rows.lock().unwrap().keys().any(|key| key.starts_with(b"k")));
}

#[test]
fn a_log_that_went_back_is_refused_until_an_operator_adopts_it() {
    let (folder, store) = closed();
    let before = store.rows.lock().unwrap().clone();
    let ledger = start(folder.path(), &store);
    (5..8).for_each(|id| drop(block_on(ledger.append(draft("acme", id))).unwrap()));
    drop(ledger);
    *store.rows.lock().unwrap() = before;
    let error = try_start(&LedgerConfig::new(folder.path()), &store).unwrap_err();
    assert!(matches!(&error, OpenError::WentBack { tenant, seen: 7, .. } if tenant == "acme"), "{error}");
    assert!(error.to_string().contains("went back") && error.to_string().contains("adopt"));

    let mut config = LedgerConfig::new(folder.path());
    config.adopt = true;
    let ledger = try_start(&config, &store).unwrap();
    assert_eq!(block_on(ledger.append(draft("acme", 9))).unwrap().seq, 5);
    drop(ledger);
    let aside = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
    assert_eq!(aside.filter(|file| file.file_name().to_string_lossy().contains("before-adopt")).count(), 1);
    start(folder.path(), &store);
}

#[test]
fn a_whole_log_that_vanished_is_refused() {
    let (folder, store) = closed();
    let id = TenantId::of("globex");
    store.rows.lock().unwrap().retain(|key, _| !key.get(1..).unwrap().starts_with(&id.0));
    let error = try_start(&LedgerConfig::new(folder.path()), &store).unwrap_err();
    assert!(matches!(&error, OpenError::WentBack { seen: 2, .. }), "{error}");
}

#[test]
fn a_forked_log_is_refused() {
    let (folder, store) = closed();
    // Somebody writes the log of a tenant anew, with a chain and a head that fit each other.
    let (elsewhere, forged) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let ledger = start(elsewhere.path(), &forged);
    (100..106).for_each(|id| drop(block_on(ledger.append(draft("acme", id))).unwrap()));
    drop(ledger);
    let id = TenantId::of("acme");
    let mut rows = store.rows.lock().unwrap();
    rows.retain(|key, _| !key.get(1..).unwrap().starts_with(&id.0));
    rows.extend(forged.rows.lock().unwrap().clone());
    drop(rows);
    let error = try_start(&LedgerConfig::new(folder.path()), &store).unwrap_err();
    assert!(matches!(&error, OpenError::Forked { tenant, seq: 4, .. } if tenant == "acme"), "{error}");
}

#[test]
fn a_damaged_end_is_refused() {
    let spoil = |change: &dyn Fn(&mut Rows)| {
        let (folder, store) = closed();
        change(&mut store.rows.lock().unwrap());
        try_start(&LedgerConfig::new(folder.path()), &store).unwrap_err()
    };
    let id = TenantId::of("acme");
    let cut = spoil(&|rows| drop(rows.remove(&layout::row(id, 4))));
    assert!(matches!(&cut, OpenError::Damaged { tenant, .. } if tenant == "acme"), "{cut}");
    let edited = spoil(&|rows| {
        let row = rows.get_mut(&layout::row(id, 4)).unwrap();
        let at = row.windows(5).position(|word| word == b"agent").unwrap();
        row[at] = b'A';
    });
    assert!(matches!(&edited, OpenError::Damaged { .. }), "{edited}");
    let garbled = spoil(&|rows| rows.get_mut(&layout::row(id, 4)).unwrap().truncate(30));
    assert!(matches!(&garbled, OpenError::Store { .. }), "{garbled}");
    let head = spoil(&|rows| rows.get_mut(&layout::head(id)).unwrap().truncate(30));
    assert!(matches!(&head, OpenError::Damaged { .. }), "{head}");
}

#[test]
fn an_edit_in_the_middle_is_found_by_verify() {
    let (folder, store) = closed();
    let row = layout::row(TenantId::of("acme"), 2);
    let spoil = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(5).position(|word| word == b"agent").unwrap();
        bytes[at] = b'A';
    };
    spoil(store.rows.lock().unwrap().get_mut(&row).unwrap());
    let ledger = start(folder.path(), &store);
    let fault = ledger.verify("acme").unwrap().fault.unwrap();
    assert_eq!(fault.seq, 3, "the next entry names another: {fault}");
    assert!(ledger.verify("globex").unwrap().is_good());
}

#[test]
fn the_head_file_is_guarded() {
    let heads = |folder: &tempfile::TempDir| folder.path().join("heads");
    let refused = |folder: &tempfile::TempDir, store: &Arc<Double>| {
        let error = try_start(&LedgerConfig::new(folder.path()), store).unwrap_err();
        let OpenError::HeadFile { reason, .. } = &error else { panic!("{error}") };
        reason.clone()
    };
    let (folder, store) = closed();
    let text = std::fs::read_to_string(heads(&folder)).unwrap();
    std::fs::write(heads(&folder), text.replacen(" 4 ", " 3 ", 1)).unwrap();
    assert!(refused(&folder, &store).contains("was changed"));
    std::fs::write(heads(&folder), &text[..40]).unwrap();
    refused(&folder, &store);
    std::fs::remove_file(heads(&folder)).unwrap();
    assert!(refused(&folder, &store).contains("missing"));
    std::fs::write(heads(&folder), text).unwrap();
    start(folder.path(), &store);
}

#[test]
fn keys_that_are_missing_damaged_or_of_another_folder_are_refused() {
    let (folder, store) = closed();
    let master = folder.path().join("keys/master");
    let own = std::fs::read(&master).unwrap();
    std::fs::remove_file(&master).unwrap();
    let error = try_start(&LedgerConfig::new(folder.path()), &store).unwrap_err();
    assert!(matches!(&error, OpenError::Keys { source: VaultError::Missing { .. }, .. }), "{error}");
    assert!(!master.exists(), "a refusal must not make a new key");
    std::fs::write(&master, "no key\n").unwrap();
    let error = try_start(&LedgerConfig::new(folder.path()), &store).unwrap_err();
    assert!(matches!(&error, OpenError::Keys { source: VaultError::Damaged { .. }, .. }), "{error}");
    std::fs::write(&master, format!("{}\n", Digest::of(b"another").hex())).unwrap();
    assert!(matches!(try_start(&LedgerConfig::new(folder.path()), &store), Err(OpenError::HeadFile { .. })));
    std::fs::write(&master, own).unwrap();
    start(folder.path(), &store);
}

#[test]
fn the_head_file_never_names_what_is_not_durable() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Double>::default());
    let ledger = start(folder.path(), &store);
    block_on(ledger.append(draft("acme", 1))).unwrap();
    store.set(Mood::Waits);
    block_on(async {
        let mut append = Box::pin(ledger.append(draft("acme", 2)));
        assert!((&mut append).now_or_never().is_none());
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let text = std::fs::read_to_string(folder.path().join("heads")).unwrap();
        assert!(text.contains(" 0 sha256:") && !text.contains(" 1 sha256:"), "{text}");
        assert_eq!(ledger.head("acme").unwrap().seq, 0);
        assert_eq!(ledger.entries("acme", 0, 10).unwrap().len(), 1);
        store.set(Mood::Well);
        append.await.unwrap();
    });
    block_on(ledger.close());
    let text = std::fs::read_to_string(folder.path().join("heads")).unwrap();
    assert!(text.contains(" 1 sha256:"), "{text}");
}
