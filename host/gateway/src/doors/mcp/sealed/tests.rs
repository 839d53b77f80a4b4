use super::*;

fn state() -> State {
    State {
        tenant: "acme".into(),
        agent: "bot".into(),
        approval: Uuid::from_u128(1),
        digest: Digest::of(b"call"),
        expires_ms: 5,
        wrapped: Some("theirs".to_owned()),
        responses: Some(r#"{"a":1.0}"#.to_owned()),
    }
}

#[test]
fn a_state_comes_back_as_it_was_and_says_nothing_to_others() {
    let seal = Seal::default();
    let text = seal.seal(&state()).unwrap();
    assert!(is_ours(&text) && !text.contains("acme") && !text.contains("theirs"));
    assert_eq!(seal.open(&text), Some(state()));
    assert_ne!(seal.seal(&state()).unwrap(), text, "no two are the same");
}

#[test]
fn a_state_that_was_changed_or_sealed_elsewhere_is_none() {
    let seal = Seal::default();
    let text = seal.seal(&state()).unwrap();
    for at in PREFIX.len()..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(seal.open(std::str::from_utf8(&changed).unwrap()), None, "{at}");
    }
    for cut in 0..text.len() {
        assert_eq!(seal.open(&text[..cut]), None, "{cut}");
    }
    assert_eq!(Seal::default().open(&text), None);
    assert_eq!(Seal::new(&[7; 32]).open(&Seal::new(&[7; 32]).seal(&state()).unwrap()), Some(state()));
}

#[test]
fn what_is_too_large_for_a_client_to_carry_is_not_sealed() {
    let large = State { wrapped: Some("x".repeat(MAX_WRAPPED)), ..state() };
    assert_eq!(Seal::default().seal(&large), None);
}
