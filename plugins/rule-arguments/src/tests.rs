use portcullis_plugin::testing::run_cases;

use super::*;

fn error(json: &str) -> String {
    portcullis_plugin::glue::parse_config(json).and_then(Arguments::configure).err().unwrap()
}

#[test]
fn cases() {
    run_cases::<Arguments>("cases");
}

#[test]
fn a_configuration_error_names_the_key() {
    let policy = |text: &str| format!(r#"{{"policies": [{{{text}}}]}}"#);
    let when = |text: &str| {
        policy(&format!(r#""tool": "t", "default": "deny", "rules": [{{"effect": "allow", "when": [{{{text}}}]}}]"#))
    };
    assert!(error(r#"{"policy": []}"#).starts_with("policy: unknown field"));
    assert!(error(&policy(r#""tool": "t""#)).starts_with("policies[0]: missing field `default`"));
    assert!(error(&policy(r#""tool": "", "default": "deny""#)).starts_with("policies[0].tool: write"));
    assert!(error(&policy(r#""tool": "a*b", "default": "deny""#)).starts_with("policies[0].tool: write"));
    assert!(error(&policy(r#""tool": "t", "default": "maybe""#)).starts_with("policies[0].default: unknown variant"));
    assert!(
        error(&policy(r#""tool": "t", "default": "deny", "agents": ["a*"]"#)).starts_with("policies[0].agents: write")
    );
    assert!(error(&when("")).starts_with("policies[0].rules[0].when[0].argument: write"));
    assert!(error(&when(r#""argument": "a""#)).starts_with("policies[0].rules[0].when[0]: give exactly one of"));
    assert!(error(&when(r#""argument": "a", "equals": 1, "exists": true"#)).contains("when[0]: give exactly one of"));
    assert!(error(&when(r#""argument": "a", "at_most": "5""#)).ends_with("when[0].at_most: write a number"));
    assert!(error(&when(r#""argument": "a", "one_of": []"#)).ends_with("when[0].one_of: the list is empty"));
    assert!(error(&when(r#""argument": "a", "equals": [1]"#)).contains("when[0].equals: compare with"));
    assert!(error(&when(r#""argument": "/a~", "equals": 1"#)).contains("when[0].argument: write"));
    let empty = policy(r#""tool": "t", "default": "deny", "rules": [{"effect": "allow", "when": []}]"#);
    assert!(error(&empty).starts_with("policies[0].rules[0].when: without a condition"));
}

#[test]
fn a_policy_that_is_never_reached_is_an_error() {
    let both = |first: &str, second: &str| {
        let text = format!(r#"{{"policies": [{{"default": "deny", {first}}}, {{"default": "deny", {second}}}]}}"#);
        portcullis_plugin::glue::parse_config(&text).and_then(Arguments::configure).err()
    };
    let unreached = "policies[1].tool: policies[0] comes first and takes all of its calls";
    for (first, second) in [
        (r#""tool": "*""#, r#""tool": "a""#),
        (r#""tool": "a.*""#, r#""tool": "a.b.*""#),
        (r#""tool": "a""#, r#""tool": "a", "agents": ["bot"]"#),
        (r#""tool": "a", "agents": ["x", "bot"]"#, r#""tool": "a", "agents": ["bot"]"#),
    ] {
        assert_eq!(both(first, second).as_deref(), Some(unreached), "{first} {second}");
    }
    for (first, second) in [
        (r#""tool": "a""#, r#""tool": "*""#),
        (r#""tool": "a", "agents": ["bot"]"#, r#""tool": "a""#),
        (r#""tool": "a", "upstreams": ["x"]"#, r#""tool": "a", "upstreams": ["y"]"#),
    ] {
        assert_eq!(both(first, second), None, "{first} {second}");
    }
}
