use portcullis_plugin::state;
use portcullis_plugin::testing::{self, JsonPayload};
use serde_json::json;

use super::*;

fn configured(config: Value) -> Result<ToolEffect, String> {
    portcullis_plugin::glue::parse_config(&config.to_string()).and_then(ToolEffect::configure)
}

fn ask(detector: &ToolEffect, phase: Phase, upstream: &str, tool: &str, payload: &str) -> Vec<String> {
    let call = Call { phase, upstream: Some(upstream.into()), tool: tool.into(), ..Call::default() };
    let found = detector.inspect(&call, &JsonPayload::new(payload).unwrap()).unwrap();
    found.into_iter().map(|finding| finding.category).collect()
}

fn list(detector: &ToolEffect, tools: &Value) {
    assert!(ask(detector, Phase::Listing, "shop", "tools/list", &tools.to_string()).is_empty());
}

fn call(detector: &ToolEffect, tool: &str) -> Vec<String> {
    ask(detector, Phase::Call, "shop", tool, "{}")
}

#[test]
fn cases() {
    testing::run_cases::<ToolEffect>("cases");
}

#[test]
fn a_configuration_error_names_the_key() {
    let error = |config: Value| configured(config).unwrap_err();
    assert!(configured(json!({})).is_ok());
    assert!(error(json!({ "override": [] })).starts_with("override: unknown field"));
    let empty = json!({ "overrides": [{ "tools": ["a"], "effects": [] }] });
    assert!(error(empty).starts_with("overrides[0].effects: the list is empty"));
    let empty = json!({ "overrides": [{ "tools": [], "effects": ["pay"] }] });
    assert!(error(empty).starts_with("overrides[0].tools: the list is empty"));
    let wrong = json!({ "overrides": [{ "tools": ["a"], "effects": ["steal"] }] });
    assert!(error(wrong).starts_with("overrides[0].effects[0]: unknown variant"));
}

#[test]
fn what_a_definition_adds_to_the_name_is_remembered_and_forgotten_with_it() {
    testing::reset();
    let detector = configured(json!({})).unwrap();
    assert!(call(&detector, "process").is_empty());
    list(&detector, &json!([{ "name": "process", "description": "Charges the customer's card and sends a receipt." }]));
    assert_eq!(call(&detector, "process"), ["effect.send", "effect.pay"]);
    // Another upstream has another tool of that name.
    assert!(ask(&detector, Phase::Call, "mail", "process", "{}").is_empty());
    list(&detector, &json!([{ "name": "process" }]));
    assert!(call(&detector, "process").is_empty());
}

#[test]
fn what_the_name_says_takes_no_room_and_what_is_known_is_not_written_again() {
    testing::reset();
    let detector = configured(json!({})).unwrap();
    list(&detector, &json!([{ "name": "send_email" }, { "name": "run", "description": "Deletes old backups." }]));
    assert_eq!(state::get(&memory::key("shop", "send_email")).unwrap(), None);
    let kept = state::get(&memory::key("shop", "run")).unwrap().unwrap();
    assert_eq!(kept.len(), 5);
    assert_eq!(call(&detector, "send_email"), ["effect.send"]);
    assert!(call(&detector, "run").contains(&"effect.delete".to_owned()));
}

#[test]
fn a_tool_that_only_reads_says_so_where_its_name_says_something_else() {
    testing::reset();
    let config = json!({ "overrides": [{ "tools": ["refund_*"], "upstreams": ["shop"], "effects": ["read"] }] });
    let detector = configured(config).unwrap();
    assert_eq!(call(&detector, "REFUND_Everything"), ["effect.read"]);
    assert_eq!(ask(&detector, Phase::Call, "bank", "refund_card", "{}"), ["effect.pay"]);
    assert!(call(&detector, "get_refund").is_empty());
}

#[test]
fn annotations_of_strangers_raise_and_those_of_friends_may_lower() {
    let tool = json!([
        { "name": "delete_file", "annotations": { "readOnlyHint": true, "destructiveHint": false } },
        { "name": "tidy", "annotations": { "destructiveHint": true } }
    ]);
    for (config, delete) in [(json!({}), true), (json!({ "trust_annotations": ["sh*"] }), false)] {
        testing::reset();
        let detector = configured(config).unwrap();
        list(&detector, &tool);
        assert_eq!(call(&detector, "delete_file").contains(&"effect.delete".to_owned()), delete);
        assert!(call(&detector, "tidy").contains(&"effect.delete".to_owned()));
    }
}

#[test]
fn names_and_lists_of_any_kind_do_no_harm() {
    let names = [
        "",
        "\u{0}",
        "\u{202e}liam_dnes",
        &"\u{200b}".repeat(100_000),
        &"send_".repeat(200_000),
        "ارسل_رسالة",
        "__",
        ".....",
    ];
    let detector = configured(json!({})).unwrap();
    for name in names {
        testing::reset();
        call(&detector, name);
        list(&detector, &json!([{ "name": name, "description": name, "inputSchema": { "properties": { name: {} } } }]));
        call(&detector, name);
    }
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for payload in ["null", "[]", "[1, null, {}]", "{\"name\": 1}", "[{\"name\": 1}]", nested.as_str()] {
        ask(&detector, Phase::Listing, "shop", "tools/list", payload);
    }
    testing::reset();
    call(&detector, &format!("\u{200b}{}", "se\u{200b}nd_email"));
}

#[test]
fn invisible_characters_do_not_hide_a_verb() {
    testing::reset();
    let detector = configured(json!({})).unwrap();
    assert_eq!(call(&detector, "se\u{200b}nd_\u{0435}mail"), ["effect.send"]);
}
