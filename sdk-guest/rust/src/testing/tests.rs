use super::*;
use crate::{
    Approver, AttributedFinding, Call, Detector, Finding, Payload, Plan, Reason, Redaction, Replacement, Router, Rule,
    Span, Verdict, clock, files, labels, log, state,
};

/// Finds a configured word; the configuration shows what errors look like.
struct Words(Config);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    word: String,
    nested: Nested,
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Nested {
    numbers: Vec<u8>,
}

impl Default for Config {
    fn default() -> Self {
        Self { word: "plutonium".to_owned(), nested: Nested::default() }
    }
}

impl Detector for Words {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if config.word.is_empty() || config.nested.numbers.contains(&0) {
            return Err("word: must not be empty".to_owned());
        }
        Ok(Self(config))
    }

    fn inspect(&self, _call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        let texts = payload.texts();
        let found = texts
            .iter()
            .enumerate()
            .flat_map(|(index, text)| text.find_ignoring_case(&self.0.word).map(move |range| Span::of(index, range)));
        Ok(found.map(|span| Finding::new("word.forbidden", 0.9, "a forbidden word").with_span(span)).collect())
    }
}

/// Redacts what was found.
struct Hide;

impl Rule for Hide {
    type Config = serde_json::Value;

    fn configure(_: serde_json::Value) -> Result<Self, String> {
        Ok(Self)
    }

    fn decide(&self, call: &Call, _: &dyn Payload, findings: &[AttributedFinding]) -> Result<Verdict, String> {
        if call.tool == "broken" {
            return Err("cannot decide".to_owned());
        }
        let spans = findings.iter().flat_map(|found| found.finding.spans.iter());
        let replacements: Vec<_> = spans.map(|span| Replacement { span: *span, value: "[x]".to_owned() }).collect();
        if replacements.is_empty() {
            return Ok(Verdict::Allow);
        }
        Ok(Verdict::Redact(Redaction { reasons: vec![Reason::new("hidden", "")], replacements }))
    }
}

struct Boss;

impl Router for Boss {
    type Config = serde_json::Value;

    fn configure(_: serde_json::Value) -> Result<Self, String> {
        Ok(Self)
    }

    fn route(&self, _: &Call, _: &dyn Payload, _: &[AttributedFinding], reasons: &[Reason]) -> Result<Plan, String> {
        Ok(Plan {
            approvers: vec![Approver::Role("boss".to_owned())],
            quorum: 1,
            deadline_seconds: 60,
            channels: Vec::new(),
            escalation: Vec::new(),
            summary: reasons.iter().map(|reason| reason.code.as_str()).collect(),
            may_modify: false,
        })
    }
}

crate::detector!(Words);
crate::rule!(Hide);
crate::router!(Boss);

fn case(json: &str) -> Case {
    serde_json::from_str(json).unwrap()
}

fn differences<S: Subject>(json: &str) -> Vec<String> {
    let case = case(json);
    case.check(&S::run(&case).unwrap())
}

#[test]
fn a_finding_is_checked_by_category_score_pointer_and_text() {
    let with = |expected: &str| {
        differences::<Words>(&format!(
            r#"{{"name": "n", "payload": {{"a": ["Pure Plutonium"]}}, "expect": {{"findings": [{expected}]}}}}"#
        ))
    };
    let right = r#"{"category": "word.forbidden", "min_score": 0.9, "pointer": "/a/0", "text": "Plutonium"}"#;
    assert_eq!(with(right), Vec::<String>::new());
    assert_eq!(with(&right.replace("0.9", "0.95")).len(), 1);
    assert_eq!(with(&right.replace("/a/0", "/a")).len(), 1);
    assert_eq!(with(&right.replace("Plutonium", "plutonium")).len(), 1);
    assert_eq!(with(&right.replace("word.forbidden", "word")).len(), 1);
    assert_eq!(with("").len(), 1, "an empty list means that there must be no finding");
}

#[test]
fn exact_cases_refuse_findings_that_are_not_expected() {
    let json = r#"{"name": "n", "exact": EXACT, "payload": ["plutonium", "plutonium"],
        "expect": {"findings": [{"category": "word.forbidden", "pointer": "/0"}]}}"#;
    assert_eq!(differences::<Words>(&json.replace("EXACT", "false")).len(), 0);
    assert_eq!(differences::<Words>(&json.replace("EXACT", "true")).len(), 1);
}

#[test]
fn errors_fail_a_case_unless_expected() {
    let unexpected = r#"{"name": "n", "config": {"word": ""}, "expect": {"findings": []}}"#;
    assert_eq!(differences::<Words>(unexpected), ["failed with `word: must not be empty`"]);
    let expected = r#"{"name": "n", "config": {"word": ""}, "expect": {"error": "not be empty"}}"#;
    assert_eq!(differences::<Words>(expected).len(), 0);
    let missing = r#"{"name": "n", "expect": {"error": "not be empty"}}"#;
    assert_eq!(differences::<Words>(missing).len(), 1);
    let in_call = r#"{"name": "n", "call": {"tool": "broken"}, "expect": {"error": "cannot decide"}}"#;
    assert_eq!(differences::<Hide>(in_call).len(), 0);
}

#[test]
fn configuration_errors_name_the_key() {
    let error = |config: &str| crate::glue::parse_config::<Config>(config).err().unwrap();
    let wrong_type = error(r#"{"nested": {"numbers": [1, 300]}}"#);
    assert_eq!(wrong_type, "nested.numbers[1]: invalid value: integer `300`, expected u8");
    assert_eq!(error(r#"{"nested": {"color": 1}}"#), "nested.color: unknown field `color`, expected `numbers`");
    assert!(error("{").contains("EOF"));
    assert!(error("{} {}").contains("trailing"));
    assert_eq!(crate::glue::parse_config::<Config>(" \n").unwrap().word, "plutonium");
}

#[test]
fn redactions_are_made_as_the_host_makes_them() {
    let json = r#"{"name": "n", "payload": {"b": 1.50, "a": "one two three"},
        "findings": [{"category": "c", "score": 1, "spans": [
            {"pointer": "/a", "text": "two"}, {"pointer": "/a", "start": 2, "end": 5}]}],
        "expect": {"decision": "redact", "reasons": ["hidden"], "redacted": {"b": 1.50, "a": "on[x] three"}}}"#;
    assert_eq!(differences::<Hide>(json), Vec::<String>::new());
    let wrong = json.replace("on[x] three", "on[x]three").replace("hidden", "seen").replace("redact\",", "deny\",");
    assert_eq!(differences::<Hide>(&wrong).len(), 3);
}

#[test]
fn a_plan_is_checked_by_the_members_that_are_named() {
    let json = r#"{"name": "n", "reasons": ["b", "a"],
        "expect": {"plan": {"approvers": [{"role": "boss"}], "quorum": 1, "summary": "ba"}}}"#;
    assert_eq!(differences::<Boss>(json), Vec::<String>::new());
    assert_eq!(differences::<Boss>(&json.replace("boss", "chief")).len(), 1);
}

#[test]
fn places_that_are_not_there_cannot_be_run() {
    for spans in [r#"{"pointer": "/b"}"#, r#"{"pointer": "/a", "text": "z"}"#, r#"{"pointer": "/a", "start": 1}"#] {
        let case = case(&format!(
            r#"{{"name": "n", "payload": {{"a": "ä"}},
                "findings": [{{"category": "c", "score": 1, "spans": [{spans}]}}], "expect": {{}}}}"#
        ));
        assert!(matches!(Hide::run(&case), Err(CaseError::Place(_))), "{spans}");
    }
}

#[test]
fn a_folder_of_cases_is_read_in_order_and_never_empty() {
    let folder = std::env::temp_dir().join(format!("portcullis-cases-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert!(matches!(read_cases(&folder), Err(CaseError::Empty(_))));
    std::fs::write(folder.join("b.json"), r#"{"name": "three", "expect": {}}"#).unwrap();
    std::fs::write(folder.join("a.json"), r#"[{"name": "one", "expect": {}}, {"name": "two", "expect": {}}]"#).unwrap();
    let names: Vec<_> = read_cases(&folder).unwrap().into_iter().map(|case| case.name).collect();
    assert_eq!(names, ["one", "two", "three"]);
    run_cases::<Words>(&folder);
    std::fs::write(folder.join("c.json"), r#"{"name": "four", "expect": {"findings": [{"category": "x"}]}}"#).unwrap();
    assert!(std::panic::catch_unwind(|| run_cases::<Words>(&folder)).is_err());
    std::fs::write(folder.join("c.json"), r#"{"name": "five", "expects": {}}"#).unwrap();
    assert!(matches!(read_cases(&folder), Err(CaseError::Malformed(..))));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_payload_is_served_as_the_host_serves_it() {
    let raw = r#" {"b": {"a/b": "x\u0041", "~": [1.0, "y", {"b": ""}]}, "n": null} "#;
    let payload = JsonPayload::new(raw).unwrap();
    assert_eq!(payload.raw(), raw);
    assert_eq!(payload.names(), ["b", "a/b", "~", "n"]);
    let texts: Vec<_> = payload.texts().into_iter().map(|text| (text.pointer, text.value)).collect();
    let pair = |pointer: &str, value: &str| (pointer.to_owned(), value.to_owned());
    assert_eq!(texts, [pair("/b/a~1b", "xA"), pair("/b/~0/1", "y"), pair("/b/~0/2/b", "")]);
    assert_eq!(payload.get("/b/~0/0").as_deref(), Some("1.0"));
    assert_eq!(payload.get("/b/~0/2").as_deref(), Some(r#"{"b": ""}"#));
    assert_eq!(payload.get("/zzz"), None);
    assert!(JsonPayload::new("{").is_err());
}

#[test]
fn capabilities_have_native_doubles() {
    reset();
    set_now(10_000);
    assert_eq!(clock::now_ms(), 10_000);
    log::warn("careful");
    assert_eq!(logged(), [(log::Level::Warn, "careful".to_owned())]);

    assert_eq!(state::increment("k", 2, 5), Ok(2));
    set_now(14_999);
    assert_eq!(state::increment("k", 1, 5), Ok(3));
    set_now(15_000);
    assert_eq!(state::increment("k", 1, 5), Ok(2), "the first has left the window");
    assert_eq!(state::replace("v", None, Some(b"1"), 1), Ok(true));
    assert_eq!(state::replace("v", None, Some(b"2"), 0), Ok(false));
    assert_eq!(state::get("v"), Ok(Some(b"1".to_vec())));
    set_now(16_000);
    assert_eq!(state::get("v"), Ok(None), "its time is over");

    labels::add("taint", "web").unwrap();
    labels::add("taint", "web").unwrap();
    labels::add("taint", "mail").unwrap();
    assert_eq!(labels::all().len(), 2);

    add_folder("src", concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    assert!(files::read("src/lib.rs").unwrap().starts_with(b"//!"));
    assert!(files::entries("src").unwrap().contains(&"testing/".to_owned()));
    assert!(files::read("src/../Cargo.toml").unwrap_err().contains("leaves"));
    assert!(files::read("other/x").unwrap_err().contains("not granted"));
}

#[test]
fn what_leads_outside_is_answered_by_doubles() {
    use crate::{http, judge, secrets};
    reset();
    let request = http::Request::post_json("https://api.example.com/", "{}").with_header("x-key", "1");
    assert!(matches!(http::send(&request), Err(http::Error::Forbidden(_))));
    let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    add_response(Ok(http::Response { status: 200, headers, body: b"ok".to_vec() }));
    let answer = http::send(&request).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain")));
    assert_eq!(sent(), [request.clone(), request]);
    assert!(secrets::placeholder("api-key").is_err());
    grant_secret("api-key");
    assert_eq!(secrets::placeholder("api-key"), Ok("{{secret:api-key}}".to_owned()));
    assert!(matches!(judge::ask("risk", &[]), Err(judge::Error::Unavailable(_))));
    add_judge_answer(Ok("{}".to_owned()));
    add_judge_answer(Err(judge::Error::BudgetSpent));
    assert_eq!(judge::ask("risk", &[("tool", "rm")]), Ok("{}".to_owned()));
    assert_eq!(judge::ask("risk", &[]), Err(judge::Error::BudgetSpent));
    assert_eq!(asked()[1], ("risk".to_owned(), vec![("tool".to_owned(), "rm".to_owned())]));
}

/// Asks a host and a model about the tool, and finds what they say.
struct Asks;

impl Detector for Asks {
    type Config = serde_json::Value;

    fn configure(_: serde_json::Value) -> Result<Self, String> {
        Ok(Self)
    }

    fn inspect(&self, call: &Call, _: &dyn Payload) -> Result<Vec<Finding>, String> {
        use crate::{http, judge, secrets};
        let key = secrets::placeholder("api-key")?;
        let request = http::Request::post_json("https://api.example.com/v1", format!("{{\"tool\": {:?}}}", call.tool));
        let answer = http::send(&request.with_header("Authorization", &key));
        let known = answer.map_or_else(|error| format!("{error:?}"), |answer| format!("{answer:?}"));
        let judged = judge::ask("risk", &[("tool", &call.tool)]).unwrap_or_else(|error| format!("{error:?}"));
        Ok(vec![Finding::new("http.seen", 1.0, known), Finding::new("judge.seen", 1.0, judged)])
    }
}

crate::detector!(Asks);

#[test]
fn a_case_answers_what_its_plugin_asks_of_the_outside() {
    let json = r#"{"name": "n", "call": {"tool": "rm"}, "secrets": ["api-key"],
        "http": [{"method": "POST", "url": "https://api.example.com/v1", "sent_body": {"tool": "rm"},
            "sent_headers": {"authorization": "{{secret:api-key}}"}, "status": 404, "body": {"known": false}}],
        "judge": [{"template": "risk", "variables": {"tool": "rm"}, "error": "timed-out"}],
        "expect": {"findings": [{"category": "judge.seen", "message": "TimedOut"}, {"category": "http.seen"}]}}"#;
    assert_eq!(failure::<Asks>(&case(json)), None);
    let answered = json.replace(r#""error": "timed-out""#, r#""answer": {"risk": 9}"#);
    assert_eq!(failure::<Asks>(&case(&answered.replace("TimedOut", r#"{\"risk\":9}"#))), None);

    let other =
        failure::<Asks>(&case(&json.replace(r#"{"tool": "rm"}, "error""#, r#"{"tool": "ls"}, "error""#))).unwrap();
    assert!(
        other.contains(r#"asks the template `risk` with {"tool":"rm"}, and the case has no such answer"#),
        "{other}"
    );
    assert!(other.contains("nobody asked the template `risk`"), "{other}");
    let none = failure::<Asks>(&case(&json.replace("/v1\", \"sent", "/v2\", \"sent"))).unwrap();
    let sent = "sends POST https://api.example.com/v1, content-type: application/json, Authorization: {{secret:api-key}}, with";
    assert!(none.contains(sent) && none.contains("nobody sent POST https://api.example.com/v2"), "{none}");
    let refused = failure::<Asks>(&case(&json.replace(r#"["api-key"]"#, "[]"))).unwrap();
    assert!(refused.contains("the secret is not granted"), "{refused}");
    let neither = failure::<Asks>(&case(&json.replace(r#", "error": "timed-out""#, ""))).unwrap();
    assert!(neither.contains("needs either answer or error"), "{neither}");
    for unknown in [r#""judge": [{"templat": "risk"}]"#, r#""http": [{"url": "x", "body_text": ""}]"#] {
        assert!(serde_json::from_str::<Case>(&format!(r#"{{"name": "n", "expect": {{}}, {unknown}}}"#)).is_err());
    }
}
