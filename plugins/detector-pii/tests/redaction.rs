//! What the detector and the rule make together, with the pack that ships.

use detector_pii::Pii;
use portcullis_plugin::testing::{CaseError, JsonPayload, read_cases};
use portcullis_plugin::{AttributedFinding, Call, Detector, Payload, Phase, Rule, Verdict};
use rule_baseline::Baseline;
use serde_json::Value;

/// The configuration of one plugin of the pack.
fn config(plugin: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/private/pack.toml");
    let pack: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let plugins = pack["plugins"].as_array().unwrap();
    let plugin = plugins.iter().find(|one| one["name"].as_str() == Some(plugin)).unwrap();
    plugin.get("config").map_or_else(String::new, |config| serde_json::to_string(config).unwrap())
}

fn decide(rule: &Baseline, call: &Call, payload: &JsonPayload) -> Verdict {
    let selected = matches!(call.phase, Phase::Result | Phase::Message);
    let detector: Pii =
        portcullis_plugin::glue::parse_config(&config("detector-pii")).and_then(Pii::configure).unwrap();
    let found = if selected { detector.inspect(call, payload).unwrap() } else { Vec::new() };
    let found = found.into_iter().map(|finding| AttributedFinding { plugin: "detector-pii".to_owned(), finding });
    rule.decide(call, payload, &found.collect::<Vec<_>>()).unwrap()
}

/// The texts after the replacements of a verdict.
fn replaced(payload: &JsonPayload, verdict: &Verdict) -> Vec<String> {
    let mut texts: Vec<String> = payload.texts().into_iter().map(|text| text.value).collect();
    if let Verdict::Redact(redaction) = verdict {
        let mut all = redaction.replacements.clone();
        all.sort_by_key(|one| std::cmp::Reverse(one.span));
        for one in all {
            texts[one.span.text as usize].replace_range(one.span.range(), &one.value);
        }
    }
    texts
}

fn baseline(json: &str) -> Baseline {
    portcullis_plugin::glue::parse_config(json).and_then(Baseline::configure).unwrap()
}

#[test]
fn the_pack_says_what_its_tests_say() -> Result<(), CaseError> {
    let rule = baseline(&config("rule-baseline"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/private/tests");
    for case in read_cases(folder.as_ref())? {
        // The other detectors of the pack are not here.
        if case.expect.reasons.as_ref().is_some_and(|reasons| reasons.iter().any(|reason| reason != "personal_data")) {
            continue;
        }
        let payload = case.payload()?;
        let verdict = decide(&rule, &case.call(), &payload);
        assert_eq!(Some(verdict.decision()), case.expect.decision.as_deref(), "{}", case.name);
        if let Some(redacted) = &case.expect.redacted {
            let expected = JsonPayload::new(&redacted.to_string()).unwrap();
            let expected: Vec<String> = expected.texts().into_iter().map(|text| text.value).collect();
            assert_eq!(replaced(&payload, &verdict), expected, "{}", case.name);
        }
    }
    Ok(())
}

#[test]
fn a_placeholder_lasts_as_long_as_its_session() {
    let mut config: Value = serde_json::from_str(&config("rule-baseline")).unwrap();
    config["rules"][0]["placeholder"] = "session".into();
    config["placeholder_key"] = "a key of thirty-two bytes or more".into();
    let rule = baseline(&config.to_string());
    let ask = |session: &str, text: &str| {
        let call = Call { phase: Phase::Result, session: Some(session.to_owned()), ..Call::default() };
        let payload = JsonPayload::new(&serde_json::json!({ "text": text }).to_string()).unwrap();
        replaced(&payload, &decide(&rule, &call, &payload)).remove(0)
    };
    let first = ask("s1", "ana@corp.com");
    assert!(first.starts_with("[EMAIL-") && !first.contains('1'), "{first}");
    assert_eq!(ask("s1", "bo@corp.com and Ana@Corp.com").rsplit_once(' ').unwrap().1, first);
    assert_ne!(ask("s2", "ana@corp.com"), first);
}
