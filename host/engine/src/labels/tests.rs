use super::*;

const NOW: u64 = 1_700_000_000_000;

#[test]
fn labels_stay_in_order_and_once() {
    let labels = MemoryLabels::default();
    for (label, value) in [("taint", "web"), ("taint", "mail"), ("taint", "web")] {
        labels.add("acme", "s1", label, value, NOW).unwrap();
    }
    let expected = [("taint", "web"), ("taint", "mail")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(labels.all("acme", "s1", NOW), expected);
    assert!(labels.all("acme", "s2", NOW).is_empty());
    assert!(labels.all("globex", "s1", NOW).is_empty(), "another tenant's session of the same name");
}

#[test]
fn a_session_is_forgotten_a_day_after_its_last_label() {
    let labels = MemoryLabels::default();
    labels.add("acme", "s1", "taint", "web", NOW).unwrap();
    assert_eq!(labels.all("acme", "s1", NOW + SESSION_MS - 1).len(), 1);
    assert!(labels.all("acme", "s1", NOW + SESSION_MS).is_empty());
    labels.add("acme", "s1", "taint", "mail", NOW + SESSION_MS).unwrap();
    assert_eq!(labels.all("acme", "s1", NOW + SESSION_MS), [("taint".to_owned(), "mail".to_owned())]);
}

#[test]
fn a_session_cannot_collect_labels_without_end() {
    let labels = MemoryLabels::default();
    for number in 0..MAX_LABELS {
        labels.add("acme", "s1", "n", &number.to_string(), NOW).unwrap();
    }
    assert!(matches!(labels.add("acme", "s1", "n", "more", NOW), Err(StoreError::Full(_))));
    let long = "x".repeat(MAX_LABEL + 1);
    assert!(matches!(labels.add("acme", "s1", &long, "", NOW), Err(StoreError::TooLong { .. })));
}
