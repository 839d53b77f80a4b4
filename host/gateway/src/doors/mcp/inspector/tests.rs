use super::logged;

#[test]
fn an_upstream_that_prints_garbage_does_not_fill_the_log() {
    assert!((1..=4).all(logged));
    let lines = (1..=20_000).filter(|count| logged(*count)).count();
    assert!(lines <= 16, "{lines}");
}
