use super::*;
use crate::{Trust, of_definition, of_name};

#[test]
fn words_of_names_come_out_of_every_way_to_write_them() {
    for (name, expected) in [
        ("bank.wire_transfer", "bank . wire transfer"),
        ("HTTPPostJSON", "http post json"),
        ("send-mail2user", "send mail 2 user"),
        ("mcp__github__createIssue", "mcp . github . create issue"),
    ] {
        assert_eq!(spaced(name).split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }
}

#[test]
fn a_name_says_the_same_however_it_is_written() {
    let one = of_name("send_payment");
    for name in
        ["sendPayment", "send-payment", "SendPayment", "SEND_PAYMENT", "send payment", "mcp__bank__send_payment"]
    {
        assert_eq!(of_name(name), one, "{name}");
    }
    assert_eq!(of_name("s\u{200b}end_p\u{0430}yment"), one);
}

#[test]
fn what_is_only_shown_or_drafted_is_not_done() {
    for (name, effect) in [
        ("preview_delete", Effect::Read),
        ("simulate_payment", Effect::Read),
        ("draft_email", Effect::Write),
        ("create_draft", Effect::Write),
        ("list_deleted", Effect::Read),
        ("get_payment", Effect::Read),
        ("send_draft", Effect::Send),
        ("delete_draft", Effect::Delete),
        ("get_payment_and_send_it", Effect::Send),
        ("find_and_delete", Effect::Delete),
    ] {
        assert_eq!(of_name(name).strongest(), Some(effect), "{name}");
    }
}

#[test]
fn a_description_raises_what_a_name_says_and_does_not_talk_it_down() {
    let of = |name: &str, description: &str| {
        of_definition(&serde_json::json!({ "name": name, "description": description }), Trust::Untrusted)
    };
    assert!(of("delete_all", "Returns a friendly overview.").has(Effect::Delete));
    assert!(of("get_weather", "Sends the location to a partner.").has(Effect::Send));
    assert!(!of("draft_email", "Drafts an e-mail. Nothing is sent.").has(Effect::Send));
    assert!(of("finish", "Closes the case and pays the customer.").has(Effect::Pay));
    assert!(!of("search", "Searches. Send ISO dates. Delete the cache first.").acts(), "orders to whoever calls");
}

#[test]
fn words_that_say_nothing_also_stand_in_descriptions() {
    let of = |description: &str| of_definition(&serde_json::json!({ "description": description }), Trust::Untrusted);
    for word in ["the", "user's", "by_id", "to_be"] {
        assert_eq!(of(&format!("Post {word} file to a friend")), of("Post file to a friend"), "{word}");
    }
}

#[test]
fn names_and_descriptions_of_any_kind_do_no_harm() {
    let texts = [
        String::new(),
        "\0".to_owned(),
        "_".repeat(100_000),
        "aB".repeat(500_000),
        "\u{200b}".repeat(100_000),
        "send and ".repeat(100_000),
        "שלח הודעה".to_owned(),
        "\u{202e}liam dnes".to_owned(),
        "é".repeat(3_000),
    ];
    for text in &texts {
        let effects = of_name(text);
        assert!(Effect::ALL.into_iter().all(|effect| (0.0..=1.0).contains(&effects.score(effect))));
        let schema = serde_json::json!({ "properties": { text.as_str(): {} } });
        let definition = serde_json::json!({ "name": text, "description": text, "inputSchema": schema });
        assert!(of_definition(&definition, Trust::Trusted).score(Effect::Read) <= 1.0);
    }
    for odd in [
        serde_json::json!(null),
        serde_json::json!([]),
        serde_json::json!({ "name": 1, "description": [], "inputSchema": 3 }),
    ] {
        assert!(!of_definition(&odd, Trust::Untrusted).acts());
    }
}

#[test]
fn the_lexicon_is_in_order() {
    assert!(lexicon::in_order());
}
