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
fn findings_beyond_a_bound_are_joined_to_the_strongest_of_their_category() {
    let finding = |category: &str, score: f32, text: usize| {
        Finding::new(category, score, format!("of {text}")).with_span(Span::of(text, 0..1))
    };
    let few = vec![finding("a", 0.2, 0), finding("b", 0.9, 1)];
    assert_eq!(join_findings(few.clone(), 2, 2), few, "in their order");

    let mut many: Vec<Finding> = (0..5000).map(|text| finding("a", 0.9, text)).collect();
    many.extend([finding("b", 0.4, 5000), finding("a", 0.95, 5001), Finding::new("c", 0.1, "whole")]);
    many.push(finding("c", 0.05, 5002));
    let joined = join_findings(many, 3, 100);
    let shown: Vec<_> = joined.iter().map(|one| (one.category.as_str(), one.score, one.message.as_str())).collect();
    let whole = ("c", 0.1, "whole");
    assert_eq!(shown, [("a", 0.95, "of 5001"), ("a", 0.9, "of 0"), ("a", 0.9, "of 1"), ("b", 0.4, "of 5000"), whole]);
    let spans: Vec<_> = joined.iter().map(|one| one.spans.len()).collect();
    assert_eq!(spans, [100, 1, 1, 1, 0], "bounded, and none that had one is left without");

    let joined =
        join_findings(vec![finding("a", 0.9, 0), finding("a", 0.8, 1), Finding::new("a", 0.1, "whole")], 2, 100);
    let spans: Vec<_> = joined.iter().map(|one| one.spans.len()).collect();
    assert_eq!(spans, [0, 1], "what is about the whole payload stays so");
}

#[test]
fn spans_beyond_a_bound_become_wider_and_leave_nothing_out() {
    let span = |at: usize| Span::of(at / 5000, at % 5000 * 10..at % 5000 * 10 + 4);
    let spans: Vec<Span> = (0..10_000).map(span).collect();
    let mut findings = vec![
        Finding::new("few", 0.5, "").with_span(span(7)),
        Finding::new("many", 0.5, "").with_spans(spans.iter().rev().copied()),
    ];
    let before = findings.clone();
    widen_spans(&mut findings, 20_000);
    assert_eq!(findings, before, "few enough");
    widen_spans(&mut findings, 1000);
    let counts: Vec<usize> = findings.iter().map(|finding| finding.spans.len()).collect();
    assert!(counts[0] == 1 && (900..=1010).contains(&counts[1]), "{counts:?}");
    let wide = &findings[1].spans;
    let covered = |one: &Span| wide.iter().any(|w| w.text == one.text && w.start <= one.start && one.end <= w.end);
    assert!(spans.iter().all(covered));
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
