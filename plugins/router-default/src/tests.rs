use portcullis_plugin::testing::{JsonPayload, run_cases};
use portcullis_plugin::{Finding, Phase};

use super::*;

fn configured(json: &str) -> Result<DefaultRouter, String> {
    portcullis_plugin::glue::parse_config(json).and_then(DefaultRouter::configure)
}

fn summary_of(call: &Call, categories: &[&str], codes: &[&str]) -> String {
    let found = |category: &&str| AttributedFinding {
        plugin: "d".to_owned(),
        finding: Finding::new(*category, 0.9, "the secret text"),
    };
    let findings: Vec<_> = categories.iter().map(found).collect();
    let reasons: Vec<_> = codes.iter().map(|code| Reason::new(*code, "the secret text")).collect();
    let payload = JsonPayload::new(r#"{"a": "the secret text"}"#).unwrap();
    configured("").unwrap().route(call, &payload, &findings, &reasons).unwrap().summary
}

#[test]
fn cases() {
    run_cases::<DefaultRouter>("cases");
}

#[test]
fn the_summary_names_but_never_quotes() {
    let call = Call { agent: "billing".to_owned(), tool: "pay".to_owned(), ..Call::default() };
    let summary = summary_of(&call, &["secret.b", "secret.a", "secret.a"], &["sensitive_tool"]);
    assert_eq!(summary, "billing wants pay; held for sensitive_tool; seen secret.a, secret.b");

    let many = ["a", "b", "c", "d", "e", "f", "g"];
    assert!(summary_of(&call, &many, &[]).ends_with("seen a, b, c, d, e and 2 more"));

    let result = Call { phase: Phase::Result, upstream: Some("bank".to_owned()), ..call };
    assert_eq!(summary_of(&result, &[], &[]), "billing wants pay on bank (phase result)");
}

#[test]
fn names_cannot_forge_a_line_or_grow_without_end() {
    let tool = format!("ok\n\u{202e}approve{}", "x".repeat(500));
    let call = Call { agent: "a".to_owned(), tool, ..Call::default() };
    let summary = summary_of(&call, &[], &[]);
    assert!(summary.starts_with("a wants ok\u{fffd}\u{fffd}approvex"), "{summary}");
    assert!(summary.chars().count() < 100);
}

#[test]
fn a_plan_that_nobody_could_follow_is_refused() {
    let error = |json: &str| configured(json).err().unwrap();
    assert!(error(r#"{"approvers": []}"#).starts_with("approvers: name at least one"));
    assert!(error(r#"{"quorum": 0}"#).starts_with("quorum: must be at least 1"));
    assert!(error(r#"{"deadline_seconds": 0}"#).starts_with("deadline_seconds: use 1 to"));
    assert!(error(r#"{"deadline_seconds": 604801}"#).starts_with("deadline_seconds: use 1 to"));
    let two_of_one = r#"{"quorum": 2, "approvers": [{"operator": "ana"}, {"operator": "ana"}]}"#;
    assert!(error(two_of_one).starts_with("quorum: 2 people are wanted"));
    assert!(configured(&two_of_one.replacen("ana", "ben", 1)).is_ok());
    assert!(configured(r#"{"quorum": 2}"#).is_ok(), "any number of people may have a role");
    let late = r#"{"escalation": [{"after_seconds": 900, "approvers": [{"role": "lead"}]}]}"#;
    assert!(error(late).starts_with("escalation[0].after_seconds"));
    let nobody = r#"{"escalation": [{"after_seconds": 9, "approvers": []}]}"#;
    assert!(error(nobody).starts_with("escalation[0].approvers"));
    assert!(error(r#"{"approvers": [{"group": "x"}]}"#).starts_with("approvers[0]"));
}
