use portcullis_model::{Document, Door, Draft, EntryKind, Mode, Phase};

use super::*;

fn entry() -> Entry {
    Draft {
        kind: EntryKind::Decision,
        tenant: "acme".into(),
        id: Uuid::from_u128(1),
        time_ms: 1,
        agent: "agent".into(),
        session: None,
        door: Door::Inspect,
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
    }
    .into_entry(None, Some(Digest::of(b"commitment")))
}

#[test]
fn keys_come_back_and_lie_wrapped_with_narrow_rights() {
    let folder = tempfile::tempdir().unwrap();
    let id = TenantId::of("acme");
    let first = Vault::open(folder.path(), true).unwrap().tenant(id).unwrap();
    let again = Vault::open(folder.path(), false).unwrap().tenant(id).unwrap();
    assert_eq!(first.bind(&Digest::of(b"x")), again.bind(&Digest::of(b"x")));
    assert_eq!(first.salt(&entry()), again.salt(&entry()));
    let sealed = first.seal_answer(id, Uuid::from_u128(1), b"answer").unwrap();
    assert_eq!(again.open_answer(id, Uuid::from_u128(1), &sealed).unwrap(), b"answer");
    for file in [folder.path().join("master"), folder.path().join(format!("tenants/{}.key", id.hex()))] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn tenants_phases_and_calls_have_keys_and_salts_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(folder.path(), true).unwrap();
    let [acme, globex] = ["acme", "globex"].map(|name| vault.tenant(TenantId::of(name)).unwrap());
    let call = Digest::of(b"x");
    assert_ne!(acme.bind(&call), globex.bind(&call));
    assert_ne!(acme.bind(&call), call);
    let other_phase = Entry { phase: Phase::Result, ..entry() };
    let other_id = Entry { id: Uuid::from_u128(2), ..entry() };
    assert_ne!(acme.salt(&entry()), globex.salt(&entry()));
    assert_ne!(acme.salt(&entry()), acme.salt(&other_phase));
    assert_ne!(acme.salt(&entry()), acme.salt(&other_id));
}

#[test]
fn sealed_bytes_open_only_in_their_place_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(folder.path(), true).unwrap();
    let id = TenantId::of("acme");
    let keys = vault.tenant(id).unwrap();
    let payload = Document::string("secret").canonical().to_vec();
    let sealed = keys.seal_evidence(id, &entry(), &payload).unwrap();
    assert!(!sealed.windows(6).any(|piece| piece == b"secret"));
    assert_eq!(keys.open_evidence(id, &entry(), &sealed).unwrap(), payload);
    assert_ne!(sealed, keys.seal_evidence(id, &entry(), &payload).unwrap(), "nonces are fresh");
    for other in [
        Entry { phase: Phase::Result, ..entry() },
        Entry { id: Uuid::from_u128(2), ..entry() },
        Entry { commitment: Some(Digest::of(b"y")), ..entry() },
    ] {
        assert!(keys.open_evidence(id, &other, &sealed).is_err());
    }
    assert!(keys.open_evidence(TenantId::of("globex"), &entry(), &sealed).is_err());
    assert!(keys.open_answer(id, Uuid::from_u128(1), &sealed).is_err());
    for bit in 0..sealed.len() * 8 {
        let mut spoiled = sealed.clone();
        spoiled[bit / 8] ^= 1 << (bit % 8);
        assert!(keys.open_evidence(id, &entry(), &spoiled).is_err(), "bit {bit}");
    }
    for end in 0..sealed.len() {
        assert!(keys.open_evidence(id, &entry(), &sealed[..end]).is_err());
    }
}

#[test]
fn a_replaced_key_opens_nothing_from_before() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(folder.path(), true).unwrap();
    let id = TenantId::of("acme");
    let old = vault.tenant(id).unwrap();
    let sealed = old.seal_evidence(id, &entry(), b"payload").unwrap();
    let new = vault.replace(id).unwrap();
    assert!(matches!(new.open_evidence(id, &entry(), &sealed), Err(VaultError::KeyGone)));
    assert_ne!(old.salt(&entry()), new.salt(&entry()));
    let again = vault.tenant(id).unwrap();
    assert_eq!(again.salt(&entry()), new.salt(&entry()));
}

#[test]
fn a_key_whose_replacement_was_interrupted_is_gone_and_another_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(folder.path(), true).unwrap();
    let id = TenantId::of("acme");
    let old = vault.tenant(id).unwrap().salt(&entry());
    let path = vault.path(id);
    let length = fs::metadata(&path).unwrap().len();
    fs::write(&path, vec![0; usize::try_from(length).unwrap()]).unwrap();
    let new = vault.tenant(id).unwrap().salt(&entry());
    assert_ne!(old, new);
    assert_eq!(vault.tenant(id).unwrap().salt(&entry()), new);
}

#[test]
fn calls_with_one_id_have_salts_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Vault::open(folder.path(), true).unwrap().tenant(TenantId::of("acme")).unwrap();
    let later = Entry { time_ms: entry().time_ms + 1, ..entry() };
    assert_ne!(keys.salt(&entry()), keys.salt(&later));
}

#[test]
fn records_are_bound_to_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(folder.path(), true).unwrap();
    let sealed = vault.seal_record(b"a", b"value").unwrap();
    assert_eq!(vault.open_record(b"a", &sealed).unwrap(), b"value");
    assert!(vault.open_record(b"b", &sealed).is_err());
}
