use super::*;

fn text(value: &str) -> Text {
    Text { pointer: "/a".to_owned(), value: value.to_owned() }
}

#[test]
fn words_are_found_in_either_case_at_their_bytes() {
    let text = text("Äpfel DROP drop");
    let found: Vec<_> = text.find_ignoring_case("Drop").collect();
    assert_eq!(found, [7..11, 12..16]);
    assert_eq!(text.value.get(7..11), Some("DROP"));
    assert_eq!(text.find_ignoring_case("").count(), 0);
    assert_eq!(text.find_ignoring_case("a text longer than this").count(), 0);
}

#[test]
fn spans_cover_what_they_say_or_nothing() {
    let texts = [text("one"), text("äb")];
    assert_eq!(Span::of(1, 0..2).slice(&texts), Some("ä"));
    assert_eq!(Span::of(1, 0..1).slice(&texts), None, "inside a character");
    assert_eq!(Span::of(2, 0..0).slice(&texts), None);
    assert_eq!(Span::of(0, 2..4).slice(&texts), None);
    assert_eq!(Span::whole(1, &texts[1]), Span { text: 1, start: 0, end: 3 });
    assert_eq!(find_text(&texts, "/a").map(|(index, _)| index), Some(0));
    assert!(find_text(&texts, "/b").is_none());
}

#[test]
fn spans_that_overlap_or_touch_are_joined() {
    let spans = [(0, 5, 9), (0, 0, 2), (1, 1, 2), (0, 2, 4), (0, 6, 7), (1, 1, 2)];
    let joined = join_spans(spans.map(|(text, start, end)| Span { text, start, end }).to_vec());
    let joined: Vec<_> = joined.into_iter().map(|span| (span.text, span.start, span.end)).collect();
    assert_eq!(joined, [(0, 0, 4), (0, 5, 9), (1, 1, 2)]);
}

#[test]
fn scores_stay_between_zero_and_one() {
    assert_eq!(Finding::new("c", f32::NAN, "").score, 0.0);
    assert_eq!(Finding::new("c", 7.0, "").score, 1.0);
    assert_eq!(Finding::new("c", -0.5, "").score, 0.0);
}

#[test]
fn approvers_are_written_as_the_configuration_writes_them() {
    let role: Approver = serde_json::from_str(r#"{"role": "approver"}"#).unwrap();
    assert_eq!(role, Approver::Role("approver".to_owned()));
    assert!(serde_json::from_str::<Approver>(r#"{"group": "x"}"#).is_err());
}
