use portcullis_plugin::testing::{self, JsonPayload};

use super::*;

fn rego(text: &str, rest: &str) -> Result<Rego, String> {
    let config = format!(r#"{{"policies": [{{"name": "t.rego", "text": {}}}] {rest}}}"#, serde_json::Value::from(text));
    Rego::configure(serde_json::from_str(&config).unwrap())
}

fn decide(rule: &Rego, payload: &str) -> Result<Verdict, String> {
    rule.decide(
        &Call { tool: "t".into(), agent: "bob".into(), ..Call::default() },
        &JsonPayload::new(payload).unwrap(),
        &[],
    )
}

#[test]
fn cases() {
    testing::run_cases::<Rego>("cases");
}

#[test]
fn counters_count_per_key_and_phase() {
    testing::reset();
    let rule = rego(
        "package portcullis\n\ndeny contains \"third\" if input.counters.calls >= 3\n",
        r#", "counters": [{"name": "calls", "key": "{agent}", "window": 60}]"#,
    );
    let rule = rule.unwrap();
    let ask = |agent: &str, phase| {
        let call = Call { tool: "t".into(), agent: agent.into(), phase, ..Call::default() };
        rule.decide(&call, &JsonPayload::new("{}").unwrap(), &[]).unwrap().decision()
    };
    let seen = [
        ask("bob", Phase::Call),
        ask("bob", Phase::Result),
        ask("ann", Phase::Call),
        ask("bob", Phase::Call),
        ask("bob", Phase::Call),
        ask("ann", Phase::Call),
    ];
    assert_eq!(seen, ["allow", "allow", "allow", "allow", "deny", "allow"]);
}

#[test]
fn one_call_does_not_see_another() {
    let rule = rego("package portcullis\n\ndeny contains \"x\" if input.arguments.bad\n", "").unwrap();
    let answers: Vec<_> = [r#"{"bad": true}"#, "{}", r#"{"bad": true}"#, "[]"]
        .map(|payload| decide(&rule, payload).unwrap().decision())
        .into();
    assert_eq!(answers, ["deny", "allow", "deny", "allow"]);
}

#[test]
fn an_error_does_not_spoil_the_next_call() {
    let rule = rego("package portcullis\n\ndeny contains \"x\" if to_number(input.arguments.n) > 3\n", "").unwrap();
    let error = decide(&rule, r#"{"n": "x"}"#).unwrap_err();
    assert!(error.starts_with("--> t.rego:3:"), "{error}");
    assert_eq!(decide(&rule, r#"{"n": "4"}"#).unwrap().decision(), "deny");
    assert_eq!(decide(&rule, r#"{"n": "2"}"#).unwrap().decision(), "allow");
}

#[test]
fn lenient_built_ins_are_undefined() {
    let rule =
        rego("package portcullis\n\ndeny contains \"x\" if to_number(input.arguments.n) > 3\n", r#", "strict": false"#);
    assert_eq!(decide(&rule.unwrap(), r#"{"n": "x"}"#).unwrap().decision(), "allow");
}

#[test]
fn allow_may_be_a_set_and_must_not_be_a_number() {
    let listed =
        rego("package portcullis\n\nallow contains input.arguments.who if input.arguments.who == \"bob\"\n", "")
            .unwrap();
    assert_eq!(decide(&listed, r#"{"who": "bob"}"#).unwrap(), Verdict::Allow);
    assert_eq!(decide(&listed, r#"{"who": "eve"}"#).unwrap().reasons()[0].code, "not_allowed");
    let number = rego("package portcullis\n\nallow := 1\n", "").unwrap();
    assert!(decide(&number, "{}").unwrap_err().contains("data.portcullis.allow: must be"));
}

#[test]
fn answers_of_the_wrong_kind_are_errors() {
    for (text, expected) in [
        ("deny contains 3", "data.portcullis.deny: must hold"),
        ("deny := {\"code\": \"No Spaces\"}", "`code` must be"),
        ("deny contains {\"code\": 7}", "`code` must be a string"),
        ("redact contains \"x\"", "`pointers` or `categories`"),
        ("redact contains {\"pointers\": \"/a\"}", "must be an array"),
        ("review contains {\"pointers\": [\"/a\"]}", "means nothing here"),
    ] {
        let rule = rego(&format!("package portcullis\n\n{text}\n"), "").unwrap();
        let error = decide(&rule, r#"{"a": "b"}"#).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_redaction_reaches_everything_under_a_pointer() {
    let rule =
        rego("package portcullis\n\nredact contains {\"code\": \"all\", \"pointers\": [\"/a\", \"/none\"]}\n", "")
            .unwrap();
    let Verdict::Redact(redaction) = decide(&rule, r#"{"a": {"b": ["x", null, "y"]}, "ab": "z"}"#).unwrap() else {
        panic!()
    };
    assert_eq!(redaction.replacements.len(), 2);
    assert!(redaction.replacements.iter().all(|replacement| replacement.value == "[redacted:all]"));
    assert_eq!(decide(&rule, r#"{"ab": "z"}"#).unwrap(), Verdict::Allow);
}

#[test]
fn a_redaction_that_cannot_be_made_is_an_error_and_no_allow() {
    let rule = rego("package portcullis\n\nredact contains {\"code\": \"all\", \"pointers\": [\"/a\"]}\n", "").unwrap();
    for payload in [r#"{"a": 7}"#, r#"{"a": {"number": "x", "code": 123}}"#, r#"{"a": [[true]]}"#] {
        assert!(decide(&rule, payload).unwrap_err().contains("no string"), "{payload}");
    }
    let rule = rego("package portcullis\n\nredact contains {\"pointers\": [\"note\"]}\n", "").unwrap();
    assert!(decide(&rule, r#"{"note": "x"}"#).unwrap_err().contains("begin with `/`"));
    // A secret in a member's name has no place that could be replaced.
    let rule = rego("package portcullis\n\nredact contains {\"categories\": [\"secret.*\"]}\n", "").unwrap();
    let found = AttributedFinding {
        plugin: "p".into(),
        finding: portcullis_plugin::Finding::new("secret.token", 0.9, "a token"),
    };
    let said = rule.decide(&Call::default(), &JsonPayload::new(r#"{"note": "x"}"#).unwrap(), &[found]);
    assert!(said.unwrap_err().contains("names no place"));
}

#[test]
fn what_a_policy_prints_is_not_kept() {
    let rule = rego("package portcullis\n\ndeny contains \"x\" if { print(\"secret\", input.arguments); false }\n", "")
        .unwrap();
    assert_eq!(decide(&rule, "{}").unwrap(), Verdict::Allow);
}

#[test]
fn the_same_call_gives_the_same_answer() {
    let text = "package portcullis\n\ndeny contains {\"code\": c, \"msg\": m} if { some c, m in input.arguments }\n";
    let payload = r#"{"z": "1", "a": "2", "m": "3", "b": "3"}"#;
    let first = decide(&rego(text, "").unwrap(), payload).unwrap();
    let codes: Vec<_> = first.reasons().iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["a", "b", "m", "z"]);
    assert_eq!(decide(&rego(text, "").unwrap(), payload).unwrap(), first);
}

#[test]
fn hostile_policies_are_refused() {
    for text in ["", "package", "\u{0}", "package portcullis\ndeny := import"] {
        assert!(rego(text, "").is_err(), "{text}");
    }
    let recursive = rego("package portcullis\n\ndeny contains \"x\" if deny\n", "");
    assert!(recursive.is_err() || decide(&recursive.unwrap(), "{}").is_err());
}

#[test]
fn an_unbound_variable_is_not_silent() {
    for text in ["deny contains x if x := y", "deny contains x if { x := y; y := x }", "deny contains \"x\" if y == 1"]
    {
        let error = rego(&format!("package portcullis\n\n{text}\n"), "").err().unwrap();
        assert!(error.contains("t.rego:3:"), "{text}: {error}");
    }
}

#[test]
fn names_of_files_and_counters_are_unique() {
    let twice =
        r#"{"policies": [{"name": "a", "text": "package portcullis"}, {"name": "a", "text": "package portcullis"}]}"#;
    assert!(Rego::configure(serde_json::from_str(twice).unwrap()).err().unwrap().contains("policies[1].name"));
    let counters = r#", "counters": [{"name": "a", "window": 1}, {"name": "a", "window": 2}]"#;
    assert!(rego("package portcullis\n\ndeny := false\n", counters).err().unwrap().contains("counters[1].name"));
    let key = r#", "counters": [{"name": "a", "key": "{tenant}", "window": 1}]"#;
    assert!(rego("package portcullis\n\ndeny := false\n", key).err().unwrap().contains("counters[0].key"));
}

#[cfg(feature = "files")]
#[test]
fn folders_hold_policies_and_data() {
    testing::reset();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("gate.rego", "package portcullis\n\ndeny contains \"x\" if input.call.agent in data.acme.people.blocked\n");
    write("gate_test.rego", "this is not read");
    write("acme/people/data.json", r#"{"blocked": ["bob"]}"#);
    testing::add_folder("pack", folder.path());
    let rule = Rego::configure(serde_json::from_str(r#"{"folders": ["pack"]}"#).unwrap()).unwrap();
    assert_eq!(decide(&rule, "{}").unwrap().decision(), "deny");
    let missing = Rego::configure(serde_json::from_str(r#"{"folders": ["nope"]}"#).unwrap());
    assert!(missing.err().unwrap().starts_with("folders: nope:"));
}
