use super::*;

fn draft() -> Draft {
    Draft {
        kind: EntryKind::Decision,
        tenant: "acme".into(),
        id: Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        time_ms: 1_795_000_000_000,
        agent: "billing-agent".into(),
        session: Some("run-1".into()),
        door: Door::Mcp,
        upstream: Some("files".into()),
        tool: Some("read_file".into()),
        phase: Phase::Call,
        mode: Mode::Enforce,
        decision: Some(Decision::Review),
        reasons: vec![EntryReason { code: "payment".into(), plugin: "baseline".into() }],
        findings: vec![
            EntryFinding { plugin: "secrets".into(), category: "secret.token".into(), score: 20 },
            EntryFinding { plugin: "secrets".into(), category: "secret.key".into(), score: 1000 },
        ],
        plugins: vec![
            EntryPlugin { name: "secrets".into(), digest: Digest::of(b"a"), fuel: 123_456, fault: None, answers: None },
            EntryPlugin {
                name: "rego".into(),
                digest: Digest::of(b"b"),
                fuel: 9,
                fault: Some("plugin_trap".into()),
                answers: None,
            },
        ],
        generation: Some(Digest::of(b"generation")),
        approval: Some(Uuid::from_u128(7)),
        outcome: Some(Outcome::Answered),
        duration_ms: Some(12),
        call_digest: None,
        payload: None,
        note: Some("über".into()),
    }
}

fn full() -> Entry {
    let mut entry = draft().into_entry(Some(Digest::of(b"call")), Some(Digest::of(b"commitment")));
    entry.seq = 300;
    entry.prev = Digest::of(b"prev");
    entry
}

fn bare() -> Entry {
    Draft {
        session: None,
        upstream: None,
        tool: None,
        decision: None,
        reasons: vec![],
        findings: vec![],
        plugins: vec![],
        generation: None,
        approval: None,
        outcome: None,
        duration_ms: None,
        note: None,
        ..draft()
    }
    .into_entry(None, None)
}

#[test]
fn what_a_plugin_was_answered_is_kept_beside_its_fault_and_without() {
    let mut sizes = Vec::new();
    for fault in [None, Some("plugin_error".to_owned())] {
        for answers in [None, Some(Digest::of(b"answers"))] {
            let plugin =
                EntryPlugin { name: "asks".into(), digest: Digest::of(b"a"), fuel: 1, fault: fault.clone(), answers };
            let entry = Draft { plugins: vec![plugin], ..draft() }.into_entry(None, None);
            let bytes = entry.encode().unwrap();
            assert_eq!(Entry::decode(&bytes).as_ref(), Ok(&entry));
            let json = serde_json::to_value(&entry).unwrap();
            assert_eq!(serde_json::from_value::<Entry>(json).unwrap(), entry);
            sizes.push(bytes.len());
        }
    }
    // The hash is 32 bytes and two that say so; an entry without it has no byte more than before there were any.
    assert_eq!((sizes[1] - sizes[0], sizes[3] - sizes[2]), (34, 34));
}

#[test]
fn code_tables_follow_the_enums() {
    assert!(KINDS.iter().enumerate().all(|(index, word)| *word as usize == index));
    assert!(DOORS.iter().enumerate().all(|(index, word)| *word as usize == index));
    assert!(PHASES.iter().enumerate().all(|(index, word)| *word as usize == index));
    assert!(MODES.iter().enumerate().all(|(index, word)| *word as usize == index));
    assert!(DECISIONS.iter().enumerate().all(|(index, word)| *word as usize == index));
    assert!(OUTCOMES.iter().enumerate().all(|(index, word)| *word as usize == index));
}

#[test]
fn entries_read_back() {
    for entry in [full(), bare()] {
        let bytes = entry.encode().unwrap();
        assert_eq!(Entry::decode(&bytes), Ok(entry.clone()));
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
    }
}

#[test]
fn every_single_bit_flip_changes_the_entry_or_is_refused() {
    let entry = full();
    let bytes = entry.encode().unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Where it still decodes, it is another entry with another hash: nothing reads as the same.
        if let Ok(other) = Entry::decode(&flipped) {
            assert_ne!(other, entry, "bit {bit}");
            assert_eq!(other.encode().unwrap(), flipped, "bit {bit}");
        }
        assert_ne!(crate::leaf_hash(&flipped), crate::leaf_hash(&bytes));
    }
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    let bytes = full().encode().unwrap();
    for end in 0..bytes.len() {
        assert!(Entry::decode(&bytes[..end]).is_err(), "{end}");
    }
    assert!(Entry::decode(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn other_spellings_of_the_same_entry_are_refused() {
    let bytes = bare().encode().unwrap();
    assert_eq!(&bytes[..5], &[0xab, 0, 1, 1, 0], "the test below assumes this beginning");
    let indefinite = [&[0xbf][..], &bytes[1..], &[0xff]].concat();
    let long_map = [&[0xb8, 0x0b][..], &bytes[1..]].concat();
    let long_int = [&[0xab, 0, 1, 1, 0x18, 0][..], &bytes[5..]].concat();
    let swapped = [&[0xab, 1, 0, 0, 1][..], &bytes[5..]].concat();
    let repeated = [&[0xac, 0, 1, 1, 0, 1, 0][..], &bytes[5..]].concat();
    let tagged = [&[0xab, 0, 1, 1, 0xc1, 0][..], &bytes[5..]].concat();
    for (name, bytes) in [
        ("indefinite", indefinite),
        ("long map", long_map),
        ("long int", long_int),
        ("swapped", swapped),
        ("repeated", repeated),
        ("tagged", tagged),
    ] {
        assert!(Entry::decode(&bytes).is_err(), "{name}");
    }
}

#[test]
fn what_is_empty_is_left_out_and_not_written_empty() {
    let mut entry = bare();
    entry.findings_total = 3;
    let bytes = entry.encode().unwrap();
    assert_eq!(Entry::decode(&bytes), Ok(entry));
    // A total that repeats the number of items, and an empty list, are other spellings.
    for extra in [&[0x18, 26, 0][..], &[15, 0x80]] {
        let plain = bare().encode().unwrap();
        assert!(Entry::decode(&[&[0xac], &plain[1..], extra].concat()).is_err());
    }
}

#[test]
fn long_lists_and_texts_are_cut_with_the_totals_kept() {
    let mut draft = draft();
    draft.note = Some("ü".repeat(5000));
    draft.findings = (0..500)
        .map(|index| EntryFinding { plugin: "p".repeat(500), category: "ü".repeat(500), score: index * 5 })
        .collect();
    draft.reasons = (0..100).map(|_| EntryReason { code: "c".repeat(500), plugin: "p".repeat(500) }).collect();
    draft.plugins = (0..100)
        .map(|_| EntryPlugin {
            name: "n".repeat(500).into(),
            digest: Digest::of(b"x"),
            fuel: u64::MAX,
            fault: Some("f".repeat(500)),
            answers: None,
        })
        .collect();
    draft.tenant = "t".repeat(MAX_NAME).into();
    draft.agent = "a".repeat(MAX_NAME).into();
    draft.session = Some("s".repeat(MAX_NAME).into());
    draft.upstream = Some("u".repeat(MAX_NAME).into());
    draft.tool = Some("t".repeat(MAX_TOOL).into());
    draft.time_ms = u64::MAX;
    draft.duration_ms = Some(u64::MAX);
    let mut entry = draft.into_entry(Some(Digest::of(b"c")), Some(Digest::of(b"d")));
    entry.seq = u64::MAX;
    assert_eq!((entry.findings.len(), entry.findings_total), (64, 500));
    assert_eq!((entry.reasons.len(), entry.reasons_total), (64, 100));
    assert_eq!((entry.plugins.len(), entry.plugins_total), (64, 100));
    assert_eq!(entry.findings.first().map(|finding| finding.score), Some(1000));
    assert_eq!(entry.note.as_deref().map(str::len), Some(4096));
    assert_eq!(entry.findings[0].category.len(), 128);
    // The largest entry there can be still fits.
    let bytes = entry.encode().unwrap();
    assert!(bytes.len() <= MAX_ENTRY, "{}", bytes.len());
    assert_eq!(Entry::decode(&bytes), Ok(entry));
}

#[test]
fn names_are_refused_rather_than_cut() {
    let long = "n".repeat(MAX_NAME + 1);
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut entry = full();
        change(&mut entry);
        entry.encode()
    };
    assert!(matches!(with(&|e| e.tenant = long.as_str().into()), Err(EntryError::TooLong { field: "tenant", .. })));
    assert!(matches!(with(&|e| e.agent = long.as_str().into()), Err(EntryError::TooLong { field: "agent", .. })));
    assert_eq!(with(&|e| e.tenant = "".into()), Err(EntryError::Empty { field: "tenant" }));
    assert!(matches!(with(&|e| e.findings[0].score = 1001), Err(EntryError::Range { .. })));
    assert!(matches!(with(&|e| e.findings_total = 1), Err(EntryError::Range { .. })));
    assert_eq!(with(&|e| e.schema = 2), Err(EntryError::Schema(2)));
}

#[test]
fn a_newer_format_is_named() {
    let mut bytes = bare().encode().unwrap();
    bytes[2] = 9;
    assert_eq!(Entry::decode(&bytes), Err(EntryError::Schema(9)));
}
