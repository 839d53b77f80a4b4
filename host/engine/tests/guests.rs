//! One test for each guest in `tests/guests`, of the same name: whatever a plugin does, the host gets a value.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_engine::{
    Asker, Engine, EngineConfig, Fault, Folder, GrantError, Grants, Heard, HttpError, HttpRequest, HttpResponse,
    Instances, JudgeError, Limits, LoadError, Outside, PackageError, Plugin, PluginFile, Prepared, Question, Reach,
    Scope, Source, StateStore, StoreError, Tier,
};
use portcullis_model::{Approver, AttributedFinding, Decision, Digest, Finding, Reason, Role, Span, codes};
use support::{ENGINE, NOW, ample, call, fault, guest, load, load_with, message, refused, try_load};

include!(concat!(env!("OUT_DIR"), "/each_guest.rs"));

macro_rules! has_a_test {
    ($name:ident) => {
        const _: fn() = $name;
    };
}
each_guest!(has_a_test);

const PAYLOAD: &str = r#"{"a": ["rm -rf /", "größer"], "b": {"c": 1}}"#;

#[test]
fn endless_loop() {
    let limits = Limits { fuel: 1_000_000, ..ample() };
    let run = load_with("endless_loop", "", &Grants::default(), limits).inspect(&call("t", PAYLOAD));
    assert_eq!(run.cost.fuel, 1_000_000);
    assert_eq!(fault(run), Fault::Fuel);

    let limits = Limits { fuel: 1_000_000_000_000, deadline_ms: 50, ..ample() };
    let plugin = load_with("endless_loop", "", &Grants::default(), limits);
    let started = Instant::now();
    assert_eq!(fault(plugin.inspect(&call("t", PAYLOAD))), Fault::Deadline);
    assert!(started.elapsed() >= Duration::from_millis(50), "{:?}", started.elapsed());
}

#[test]
fn endless_recursion() {
    let run = load("endless_recursion", "").inspect(&call("t", PAYLOAD));
    assert!(run.cost.fuel < ample().fuel, "the stack ends before the fuel");
    // Whichever ends first: the stack that the host gives, or the part of its memory that the guest uses as one.
    let fault = fault(run);
    assert!(fault == Fault::Memory || matches!(&fault, Fault::Trap(why) if why.contains("out of bounds")), "{fault}");
}

#[test]
fn memory_bomb() {
    let limits = Limits { memory: 8 * 1024 * 1024, ..ample() };
    let run = load_with("memory_bomb", "", &Grants::default(), limits).inspect(&call("t", PAYLOAD));
    assert!(run.cost.memory > 4 * 1024 * 1024 && run.cost.memory <= 8 * 1024 * 1024, "{}", run.cost.memory);
    assert_eq!(fault(run), Fault::Memory);
}

#[test]
fn huge_output() {
    assert_eq!(fault(load("huge_output", "").inspect(&call("t", PAYLOAD))), Fault::Oversize);
}

#[test]
fn huge_log() {
    assert_eq!(fault(load("huge_log", "").inspect(&call("t", PAYLOAD))), Fault::Oversize);
}

#[test]
fn many_findings() {
    let fault = fault(load("many_findings", "").inspect(&call("t", PAYLOAD)));
    assert!(matches!(&fault, Fault::BadAnswer(why) if why.contains("1001 findings")), "{fault}");
}

#[test]
fn host_call_flood() {
    let limits = Limits { host_calls: 10, ..ample() };
    let plugin = load_with("host_call_flood", "", &Grants::default(), limits);
    assert_eq!(fault(plugin.inspect(&call("t", PAYLOAD))), Fault::HostCalls);
}

#[test]
fn trap() {
    let plugin = load("trap", "");
    for _ in 0..3 {
        assert!(matches!(fault(plugin.inspect(&call("t", PAYLOAD))), Fault::Trap(_)));
    }
}

#[test]
fn forged_spans() {
    // The second text is "größer": bytes 3 and 4 are inside a character of two bytes.
    for (span, valid) in [
        ("0 0 2", true),
        ("1 0 8", true),
        ("1 2 4", true),
        ("0 0 9", false),
        ("0 5 2", false),
        ("1 3 8", false),
        ("1 0 3", false),
        ("2 0 0", false),
        ("0 4294967295 4294967295", false),
        ("4294967295 0 1", false),
    ] {
        let run = load("forged_spans", span).inspect(&call("t", PAYLOAD));
        assert_eq!(run.result.is_ok(), valid, "{span}: {:?}", run.result);
        if !valid {
            assert_eq!(fault(run).code(), codes::PLUGIN_BAD_ANSWER, "{span}");
        }
    }
}

#[test]
fn state_leak() {
    let plugin = load("state_leak", "");
    let first = message(plugin.inspect(&call("secret-1", PAYLOAD)));
    assert!(first.starts_with('|'), "{first}");
    for tool in ["secret-2", "secret-3"] {
        assert_eq!(message(plugin.inspect(&call(tool, PAYLOAD))), first);
    }
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(message(plugin.inspect(&call("secret-4", PAYLOAD))), first);
                }
            });
        }
    });
}

#[test]
fn bad_score() {
    for score in ["NaN", "inf", "-inf", "-0.1", "1.0001"] {
        let fault = fault(load("bad_score", score).inspect(&call("t", PAYLOAD)));
        assert_eq!(fault.code(), codes::PLUGIN_BAD_ANSWER, "{score}");
    }
    for score in ["0", "1", "0.5"] {
        assert!(load("bad_score", score).inspect(&call("t", PAYLOAD)).result.is_ok(), "{score}");
    }
}

#[test]
fn bad_category() {
    for category in ["", "Upper.Case", "with space", &"x".repeat(129), "new\nline"] {
        let fault = fault(load("bad_category", category).inspect(&call("t", PAYLOAD)));
        assert_eq!(fault.code(), codes::PLUGIN_BAD_ANSWER, "{category:?}");
    }
    assert!(load("bad_category", "secret.aws-key_2").inspect(&call("t", PAYLOAD)).result.is_ok());
}

#[test]
fn invalid_utf8() {
    let fault = fault(load("invalid_utf8", "").inspect(&call("t", PAYLOAD)));
    assert!(matches!(&fault, Fault::BadAnswer(why) if why.contains("utf-8")), "{fault}");
}

#[test]
fn says_error() {
    let fault = fault(load("says_error", "").inspect(&call("t", PAYLOAD)));
    assert_eq!(fault, Fault::Guest("no model for t".to_owned()));
}

#[test]
fn refuses_configuration() {
    let config = "{\"tricky\": \"\\\"\\\\ \u{1F600} \\u0000\"}";
    let error = refused("refuses_configuration", config);
    let expected = format!("line 1: {config:?} is not for me; \"quoted\" — ünïcode\nsecond line");
    assert!(matches!(error, LoadError::Refused(_)));
    assert_eq!(error.to_string(), expected, "the guest's own words, nothing else");
}

#[test]
fn configure_trap() {
    assert!(matches!(refused("configure_trap", ""), LoadError::Configure(Fault::Trap(_))));
}

#[test]
fn configure_endless() {
    let bytes = guest("configure_endless");
    let fuel = Limits { configure_fuel: 10_000_000, ..ample() };
    let error = try_load("p", &bytes, "", &Grants::default(), fuel).unwrap_err();
    assert!(matches!(error, LoadError::Configure(Fault::Fuel)), "{error}");
    let time = Limits { configure_fuel: 10_000_000_000_000, configure_deadline_ms: 50, ..ample() };
    let error = try_load("p", &bytes, "", &Grants::default(), time).unwrap_err();
    assert!(matches!(error, LoadError::Configure(Fault::Deadline)), "{error}");
}

#[test]
fn configure_reads_payload() {
    let error = refused("configure_reads_payload", "").to_string();
    assert!(error.contains("the payload is not there while the plugin is being configured"), "{error}");
}

#[test]
fn keeps_configuration() {
    let configs = ["", "{}", r#"{"a":"b\"c\\d\n\u0001"}"#, "it's (a) \u{7f} \u{2028} 😀 'test' {", "\0", "\\u{41}"];
    for config in configs {
        let plugin = load("keeps_configuration", config);
        assert_eq!(*plugin.prepared(), Prepared::Snapshot);
        assert_eq!(message(plugin.inspect(&call("t", PAYLOAD))), config);
    }
    let large = "x".repeat(200_000);
    let limits = Limits { output: 1024 * 1024, ..ample() };
    let plugin = load_with("keeps_configuration", &large, &Grants::default(), limits);
    // Kept whole, though an answer may not carry a message of this size.
    assert!(matches!(fault(plugin.inspect(&call("t", PAYLOAD))), Fault::BadAnswer(why) if why.contains("200000")));
}

#[test]
fn tells_call() {
    let call = call("run", PAYLOAD);
    let seen = message(load("tells_call", "").inspect(&call));
    let digest = call.payload.digest().hex();
    let expected = format!(
        "12345678-9abc-def0-1234-56789abcdef0 Phase::Call acme robot Some(\"s1\") None Some(\"tidy up\") Some(\"shell\") \
         run {digest}\nraw {PAYLOAD}\ntexts /a/0=rm -rf /;/a/1=größer\nnames a;b;c\nget Some(\"\\\"rm -rf /\\\"\") None"
    );
    assert_eq!(seen, expected);
}

#[test]
fn probe_clock() {
    let error = refused("probe_clock", "");
    let LoadError::Package(PackageError::Ungranted { import, grant }) = &error else { panic!("{error}") };
    assert_eq!((import.as_str(), *grant), ("portcullis:plugin/clock@1.0.0", "clock"));
    assert!(error.to_string().contains("add `clock = true` to its grants"), "{error}");

    let grants = Grants { clock: true, ..Grants::default() };
    let plugin = load_with("probe_clock", "", &grants, ample());
    assert_eq!(message(plugin.inspect(&call("t", PAYLOAD))), format!("{NOW} {NOW}"));
}

#[test]
fn probe_random() {
    let plugin = load("probe_random", "");
    let first = message(plugin.inspect(&call("t", PAYLOAD)));
    assert_eq!(message(plugin.inspect(&call("t", PAYLOAD))), first);
    let other = Engine::new(EngineConfig::default()).unwrap();
    let file = PluginFile::new(guest("probe_random"));
    let (grants, limits) = (Grants::default(), ample());
    let source = Source {
        name: "p",
        tenant: "globex",
        file: &file,
        config: "",
        grants: &grants,
        limits,
        instances: Instances::default(),
    };
    assert_eq!(message(other.load(&source).unwrap().inspect(&call("t", PAYLOAD))), first);
}

/// A store that takes its time.
struct Slow;

impl StateStore for Slow {
    fn increment(&self, _: Scope<'_>, _: &str, _: u64, _: u32, _: u64) -> Result<u64, StoreError> {
        std::thread::sleep(Duration::from_millis(200));
        Ok(1)
    }
    fn get(&self, _: Scope<'_>, _: &str, _: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
    fn replace(
        &self,
        _: Scope<'_>,
        _: &str,
        _: Option<&[u8]>,
        _: Option<&[u8]>,
        _: u32,
        _: u64,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }
    fn keys(&self, _: Scope<'_>, _: &str, _: u64) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

#[test]
fn counts_state() {
    assert!(refused("counts_state", "").to_string().contains("\"portcullis:plugin/state@1.0.0\""));
    let grants = Grants { state: true, ..Grants::default() };
    let file = PluginFile::new(guest("counts_state"));
    let source = |name, tenant| Source {
        name,
        tenant,
        file: &file,
        config: "",
        grants: &grants,
        limits: ample(),
        instances: Instances::default(),
    };
    let ask = |plugin: &Plugin, tool| message(plugin.inspect(&call(tool, PAYLOAD)));
    let mine = ENGINE.load(&source("counter", "acme")).unwrap();
    assert_eq!(ask(&mine, "one"), "1  true");
    assert_eq!(ask(&mine, "two"), "2 one true");
    for (name, tenant) in [("counter", "globex"), ("other", "acme")] {
        let other = ENGINE.load(&source(name, tenant)).unwrap();
        assert_eq!(ask(&other, "x"), "1  true", "{name} of {tenant} has a state of its own");
    }
    // What it was told is in the cost, in words and by hash.
    let run = mine.inspect(&call("three", PAYLOAD));
    let told = run.cost.told.clone().unwrap();
    let line = |function: &str, asked: &str, answer: &str| {
        format!("[\"state\",\"{function}\",\"{}\",{{\"ok\":{answer}}}]\n", Digest::of(asked.as_bytes()))
    };
    assert!(told.contains(&line("get", "[\"tool\"]", "\"74776f\"")), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
    assert_eq!(run.cost.answers, Some(Digest::of(told.as_bytes())));
    assert_eq!(message(run), "3 two true");

    // Time in the host counts: little fuel is used, and still the deadline is past.
    let engine = Engine::new(EngineConfig { state: Arc::new(Slow), ..EngineConfig::default() }).unwrap();
    let slow = Source { limits: Limits { deadline_ms: 100, ..ample() }, ..source("slow", "acme") };
    let run = engine.load(&slow).unwrap().inspect(&call("t", PAYLOAD));
    assert!(run.cost.fuel < 1_000_000 && run.cost.micros >= 100_000, "{:?}", run.cost);
    assert_eq!(fault(run), Fault::Deadline);
}

#[test]
fn labels_session() {
    assert!(refused("labels_session", "").to_string().contains("add `labels = true`"));
    let grants = Grants { labels: true, ..Grants::default() };
    let plugin = load_with("labels_session", "", &grants, ample());
    assert_eq!(message(plugin.inspect(&call("web", PAYLOAD))), "Ok(()) tool=web");
    let run = plugin.inspect(&call("mail", PAYLOAD));
    let told = run.cost.told.clone().unwrap();
    assert!(told.ends_with("{\"ok\":[[\"tool\",\"web\"],[\"tool\",\"mail\"]]}]\n"), "{told}");
    assert_eq!(message(run), "Ok(()) tool=web tool=mail");
    let mut other = call("shell", PAYLOAD);
    other.session = Some("s2".into());
    assert_eq!(message(plugin.inspect(&other)), "Ok(()) tool=shell");
    other.session = None;
    assert_eq!(message(plugin.inspect(&other)), "Err(\"the call belongs to no session\") ");
}

#[test]
fn reads_files() {
    assert!(refused("reads_files", "").to_string().contains("`files = ["));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/list"), "content").unwrap();
    let grant = Folder { name: "data".to_owned(), path: folder.path().to_owned() };
    let grants = Grants { files: vec![grant], ..Grants::default() };
    let plugin = load_with("reads_files", "", &grants, ample());
    let ask = |path| message(plugin.inspect(&call(path, PAYLOAD)));
    let run = plugin.inspect(&call("data/sub/list", PAYLOAD));
    let told = run.cost.told.clone().unwrap();
    assert!(told.ends_with(&format!("{{\"ok\":\"{}\"}}]\n", Digest::of(b"content"))), "{told}");
    assert_eq!(message(run), "Ok(\"content\")");
    assert_eq!(ask("data/"), "Ok(\"sub/\")");
    assert_eq!(ask("data/sub/"), "Ok(\"list\")");
    for path in ["data/../etc/passwd", "data//etc/passwd", "/etc/passwd", "other/x", "data/none"] {
        assert!(ask(path).starts_with("Err("), "{path}");
    }
    let missing = Grants { files: vec![Folder { name: "data".into(), path: "/no/such/folder".into() }], ..grants };
    let error = try_load("p", &guest("reads_files"), "", &missing, ample()).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}

#[test]
fn configure_reads_files() {
    let folder = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let engine =
        Engine::new(EngineConfig { cache_dir: Some(cache.path().to_owned()), ..EngineConfig::default() }).unwrap();
    let grant = Folder { name: "data".to_owned(), path: folder.path().to_owned() };
    let grants = Grants { files: vec![grant], ..Grants::default() };
    let file = PluginFile::new(guest("configure_reads_files"));
    let mut inputs = Vec::new();
    for content in ["first", "second", "first"] {
        std::fs::write(folder.path().join("policy"), content).unwrap();
        let limits = ample();
        let source = Source {
            name: "p",
            tenant: "acme",
            file: &file,
            config: "data/policy",
            grants: &grants,
            limits,
            instances: Instances::default(),
        };
        let plugin = engine.load(&source).unwrap();
        assert_eq!(message(plugin.inspect(&call("t", PAYLOAD))), content, "a snapshot of another file's content");
        inputs.push(plugin.inputs().unwrap());
    }
    assert!(inputs[0] != inputs[1] && inputs[0] == inputs[2], "what was read has a name");
}

#[test]
fn writes_log() {
    assert_eq!(load("writes_log", "").inspect(&call("t", PAYLOAD)).result, Ok(Vec::new()));
}

#[test]
fn bad_reason() {
    let fault = fault(load("bad_reason", "").decide(&call("t", PAYLOAD), &[]));
    assert!(matches!(&fault, Fault::BadAnswer(why) if why.contains("reason's code")), "{fault}");
}

#[test]
fn bad_replacement() {
    let fault = fault(load("bad_replacement", "").decide(&call("t", PAYLOAD), &[]));
    assert!(matches!(&fault, Fault::BadAnswer(why) if why.contains("span")), "{fault}");
}

#[test]
fn bad_plan() {
    let fault = fault(load("bad_plan", "").route(&call("t", PAYLOAD), &[], &[]));
    assert!(matches!(&fault, Fault::BadAnswer(why) if why.contains("at least one approver")), "{fault}");
}

#[test]
fn good_detector() {
    let plugin = load("good_detector", r#"{"word": "rm -rf"}"#);
    assert_eq!((plugin.role(), plugin.tier(), plugin.prepared()), (Role::Detector, Tier::Sealed, &Prepared::Snapshot));
    let run = plugin.inspect(&call("t", PAYLOAD));
    let span = Span { pointer: "/a/0".to_owned(), start: 0, end: 6 };
    let finding = Finding {
        category: "word.found".to_owned(),
        score: 0.9,
        message: "the word is there".to_owned(),
        spans: vec![span],
    };
    assert_eq!(run.result, Ok(vec![finding]));
    assert!(run.cost.fuel > 0 && run.cost.memory >= 64 * 1024, "{:?}", run.cost);
    // Fuel is exact: the same call costs the same, also on another engine.
    let other = Engine::new(EngineConfig::default()).unwrap();
    let file = PluginFile::new(guest("good_detector"));
    let (grants, limits) = (Grants::default(), ample());
    let config = r#"{"word": "rm -rf"}"#;
    let source = Source {
        name: "p",
        tenant: "acme",
        file: &file,
        config,
        grants: &grants,
        limits,
        instances: Instances::default(),
    };
    let other = other.load(&source).unwrap();
    for _ in 0..100 {
        assert_eq!(plugin.inspect(&call("t", PAYLOAD)).cost.fuel, run.cost.fuel);
        assert_eq!(other.inspect(&call("t", PAYLOAD)).cost.fuel, run.cost.fuel);
    }
    assert!(refused("good_detector", r#"{"word": ""}"#).to_string().contains("must not be empty"));
    // Asked as something it is not.
    assert_eq!(fault(plugin.decide(&call("t", PAYLOAD), &[])).code(), codes::PLUGIN_BAD_ANSWER);
}

#[test]
fn good_rule() {
    let plugin = load("good_rule", r#"{"deny": "rm"}"#);
    let call = call("t", PAYLOAD);
    let allow = plugin.decide(&call, &[]).result.unwrap();
    assert_eq!((allow.decision, allow.reasons.len()), (Decision::Allow, 0));
    let spans = vec![Span { pointer: "/a/1".to_owned(), start: 2, end: 4 }];
    let finding = Finding { category: "x.y".to_owned(), score: 1.0, message: String::new(), spans };
    let findings = [AttributedFinding { plugin: "finder".to_owned(), finding }];
    let redact = plugin.decide(&call, &findings).result.unwrap();
    assert_eq!(redact.decision, Decision::Redact);
    assert_eq!(redact.reasons[0].message, "finder saw x.y");
    assert_eq!(redact.reasons[0].plugin, "good_rule");
    assert_eq!(redact.replacements[0].span, findings[0].finding.spans[0]);
    assert_eq!(
        call.payload.replace(&redact.replacements).unwrap().raw(),
        r#"{"a": ["rm -rf /", "gr[gone]ßer"], "b": {"c": 1}}"#
    );
    let deny = plugin.decide(&support::call("rm", PAYLOAD), &findings).result.unwrap();
    assert_eq!((deny.decision, deny.reasons[0].code.as_str()), (Decision::Deny, "tool_denied"));
}

#[test]
fn good_router() {
    let plugin = load("good_router", r#"{"role": "security"}"#);
    let reason = |code: &str| Reason { code: code.to_owned(), message: String::new(), plugin: "rule".to_owned() };
    let plan = plugin.route(&call("pay", PAYLOAD), &[], &[reason("a"), reason("b")]).result.unwrap();
    assert_eq!(plan.approvers, [Approver::Role("security".to_owned())]);
    assert_eq!((plan.quorum, plan.deadline_seconds, plan.may_modify), (2, 900, true));
    assert_eq!(plan.escalation[0].approvers, [Approver::Operator("root".to_owned())]);
    assert_eq!(plan.summary, "pay for a b with 0 findings");
}

#[test]
fn uses_wasi() {
    let error = refused("uses_wasi", "");
    let LoadError::Package(PackageError::Ungranted { import, grant }) = &error else { panic!("{error}") };
    assert!(import.starts_with("wasi:") && *grant == "locked_wasi", "{error}");

    let mut grants = Grants { locked_wasi: true, ..Grants::default() };
    let plugin = load_with("uses_wasi", "", &grants, ample());
    assert_eq!(plugin.tier(), Tier::LockedWasi);
    let started = Instant::now();
    let first = message(plugin.inspect(&call("t", PAYLOAD)));
    assert!(started.elapsed() < Duration::from_secs(5), "an hour's sleep must not hold the thread");
    assert!(first.starts_with("946684800 0 0 true [0] ["), "{first}");
    assert!(first.ends_with(" ([], [])"), "no environment, no arguments: {first}");
    assert_eq!(message(plugin.inspect(&call("t", PAYLOAD))), first);
    assert!(matches!(fault(plugin.inspect(&call("exit", PAYLOAD))), Fault::Trap(_)));
    let greedy = plugin.inspect(&call("greedy", PAYLOAD));
    assert!(greedy.result.is_err(), "a terabyte of random bytes");
    // With the clock granted, WASI shows the time of the call.
    grants.clock = true;
    let plugin = load_with("uses_wasi", "", &grants, ample());
    assert!(message(plugin.inspect(&call("t", PAYLOAD))).starts_with("1700000000 0 "));
    // Nothing of it may need, or disturb, an async runtime of the host.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let in_runtime = runtime.block_on(async { message(plugin.inspect(&call("t", PAYLOAD))) });
    assert!(in_runtime.starts_with("1700000000 0 "));
}

#[test]
fn finds_text() {
    let found = load("finds_text", "/a/1").inspect(&call("t", PAYLOAD)).result.unwrap();
    assert_eq!(found[0].message, "größer");
    assert_eq!(found[0].spans, [Span { pointer: "/a/1".to_owned(), start: 0, end: 8 }]);
}

/// Requests that got here although they were made of what was heard.
static SENT_AWAY: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Answers what it is asked, and knows how long it might take.
struct Mirror;

impl Outside for Mirror {
    fn open(&self, asker: &Asker<'_>) -> Result<Arc<dyn Reach>, GrantError> {
        assert_eq!((asker.scope, asker.most), (Scope { tenant: "acme", plugin: "p" }, ample().output));
        match asker.grants.http.iter().any(|host| host == "bad") {
            true => Err(GrantError { grant: "http", message: "bad is no host".to_owned() }),
            false => Ok(Arc::new(Mirror)),
        }
    }
}

impl Reach for Mirror {
    fn send(&self, request: HttpRequest, within: Duration) -> Result<HttpResponse, HttpError> {
        // Some time is left to act upon an answer that does not come.
        assert!(within <= Duration::from_millis(ample().deadline_ms - 100), "{within:?}");
        if request.headers.iter().any(|(_, value)| value.contains("{{other}}")) {
            SENT_AWAY.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        match request.url.as_str() {
            "https://forbidden/" => Err(HttpError::Forbidden("no".to_owned())),
            "https://away/" => Err(HttpError::Unreachable("gone".to_owned())),
            "https://large/" => Err(HttpError::TooLarge),
            "https://slow/" => {
                std::thread::sleep(within);
                Err(HttpError::TimedOut)
            }
            _ => {
                let body = format!("{} {} {:?}", request.method, request.url, request.body).into_bytes();
                Ok(HttpResponse { status: 200, headers: request.headers, body })
            }
        }
    }

    fn may_send(&self, request: &HttpRequest) -> Result<(), HttpError> {
        match request.url.as_str() {
            "https://forbidden/" => Err(HttpError::Forbidden("no".to_owned())),
            _ => Ok(()),
        }
    }

    fn placeholder(&self, name: &str) -> Result<String, String> {
        if name == "api-key" { Ok("{{it}}".to_owned()) } else { Err("not granted".to_owned()) }
    }

    fn ask(&self, question: Question, _within: Duration) -> Result<String, JudgeError> {
        match question.template.as_str() {
            "away" => Err(JudgeError::Unavailable("gone".to_owned())),
            "spent" => Err(JudgeError::BudgetSpent),
            "slow" => Err(JudgeError::TimedOut),
            "odd" => Err(JudgeError::BadAnswer("odd".to_owned())),
            _ => Ok(format!("{question:?}")),
        }
    }
}

fn outside() -> Grants {
    Grants {
        judge: vec!["risk".to_owned()],
        http: vec!["api.example.com".to_owned()],
        secrets: vec!["api-key".to_owned()],
        ..Grants::default()
    }
}

fn load_outside(name: &str, config: &str, grants: &Grants, limits: Limits) -> Result<Plugin, LoadError> {
    let file = PluginFile::new(guest(name));
    let instances = Instances::default();
    let source = Source { name: "p", tenant: "acme", file: &file, config, grants, limits, instances };
    ENGINE.with_outside(Arc::new(Mirror)).load(&source)
}

#[test]
fn asks_http() {
    let plugin = load_outside("asks_http", "", &outside(), ample()).unwrap();
    assert!(plugin.waits() && !load("tells_call", "").waits());
    let ask = |payload: &str| message(plugin.inspect(&call("t", payload)));
    let seen = ask(r#"{"url": "https://api.example.com/x", "method": "POST", "key": "api-key", "body": "a"}"#);
    let headers = r#"[("content-type", "text/plain"), ("authorization", "Bearer {{it}}")]"#;
    assert_eq!(seen, format!("200 {headers} POST https://api.example.com/x [97]"));
    for (url, variant) in [
        ("https://forbidden/", r#"HttpError::Forbidden("no")"#),
        ("https://away/", r#"HttpError::Unreachable("gone")"#),
        ("https://large/", "HttpError::TooLarge"),
    ] {
        assert_eq!(ask(&format!(r#"{{"url": "{url}"}}"#)), variant);
    }
    // What was answered is in the cost, by hash: the same answers, the same hash.
    let answers = |url: &str| plugin.inspect(&call("t", &format!(r#"{{"url": "{url}"}}"#))).cost.answers;
    assert!(answers("https://a/").is_some() && answers("https://a/") == answers("https://a/"));
    assert_ne!(answers("https://a/"), answers("https://b/"));
    assert_eq!(load("tells_call", "").inspect(&call("t", "{}")).cost.answers, None);
    // With what another one was told it reaches nobody, and is told the same.
    let payload = r#"{"url": "https://a/", "key": "api-key"}"#;
    let first = plugin.inspect(&call("t", payload));
    let told = first.cost.told.clone().unwrap();
    assert_eq!(first.cost.answers, Some(Digest::of(told.as_bytes())));
    let elsewhere = told.replace("{{it}}", "{{other}}");
    let heard = Arc::new(Heard::of([&*told]));
    let again = plugin.hearing(&heard).inspect(&call("t", payload));
    assert_eq!((again.cost.answers, again.cost.fuel), (first.cost.answers, first.cost.fuel));
    assert_eq!((message(again), heard.unsent()), (message(first), 0));
    let refused = plugin.hearing(&heard).inspect(&call("t", r#"{"url": "https://b/", "key": "api-key"}"#));
    assert_eq!((message(refused).as_str(), heard.unsent()), (r#"HttpError::Unreachable("not sent in shadow")"#, 1));
    // What is not granted is not answered either, whoever got an answer.
    let forbidden = plugin.hearing(&heard).inspect(&call("t", r#"{"url": "https://forbidden/"}"#));
    assert_eq!((message(forbidden).as_str(), heard.unsent()), (r#"HttpError::Forbidden("no")"#, 1));
    // It names a secret as the other one did.
    let heard = Arc::new(Heard::of([&*elsewhere]));
    assert!(message(plugin.hearing(&heard).inspect(&call("t", payload))).contains("not sent in shadow"));
    assert_eq!(SENT_AWAY.load(std::sync::atomic::Ordering::Relaxed), 0);
    let unknown = plugin.inspect(&call("t", r#"{"url": "https://a/", "key": "other"}"#));
    assert_eq!(fault(unknown), Fault::Guest("not granted".to_owned()));
    // Waiting for an answer counts, and ends early enough for the plugin to say what that means.
    let limits = Limits { deadline_ms: 2_000, ..ample() };
    let hasty = load_outside("asks_http", "", &outside(), limits).unwrap();
    let started = Instant::now();
    assert_eq!(message(hasty.inspect(&call("t", r#"{"url": "https://slow/"}"#))), "HttpError::TimedOut");
    assert!(started.elapsed() >= Duration::from_millis(1_500), "{:?}", started.elapsed());
    // One host call reads the payload, the next is one too many; what is handed over is bounded.
    let limits = Limits { host_calls: 5, ..ample() };
    let few = load_outside("asks_http", "", &outside(), limits).unwrap();
    assert_eq!(fault(few.inspect(&call("t", r#"{"url": "https://a/", "key": "api-key"}"#))), Fault::HostCalls);
    let large = format!(r#"{{"url": "https://a/", "body": "{}"}}"#, "x".repeat(300 * 1024));
    assert_eq!(fault(plugin.inspect(&call("t", &large))), Fault::Oversize);
    let grants = Grants { http: vec!["bad".to_owned()], ..outside() };
    let error = load_outside("asks_http", "", &grants, ample()).unwrap_err();
    assert!(matches!(&error, LoadError::Grant(error) if error.grant == "http"), "{error}");
}

#[test]
fn asks_in_configure() {
    for what in ["http", "secrets", "judge"] {
        let error = load_outside("asks_in_configure", &format!("{what:?}"), &outside(), ample()).unwrap_err();
        let why = format!("`{what}` is not there while the plugin is being configured");
        assert!(matches!(&error, LoadError::Configure(Fault::Trap(said)) if *said == why), "{error}");
    }
}

#[test]
fn asks_judge() {
    let plugin = load_outside("asks_judge", "", &outside(), ample()).unwrap();
    let ask = |template: &str| message(plugin.inspect(&call(template, r#"{"one": "1", "two": "2"}"#)));
    let seen = r#"Question { template: "risk", variables: [("one", "1"), ("two", "2")] }"#;
    assert_eq!(ask("risk"), seen);
    for (template, variant) in [
        ("away", r#"JudgeError::Unavailable("gone")"#),
        ("spent", "JudgeError::BudgetSpent"),
        ("slow", "JudgeError::TimedOut"),
        ("odd", r#"JudgeError::BadAnswer("odd")"#),
    ] {
        assert_eq!(ask(template), variant);
    }
    let payload = r#"{"one": "1", "two": "2"}"#;
    let told = plugin.inspect(&call("risk", payload)).cost.told.unwrap();
    let heard = Arc::new(Heard::of([&*told]));
    let hearing = |payload: &str| message(plugin.hearing(&heard).inspect(&call("risk", payload)));
    assert_eq!((hearing(payload).as_str(), heard.unsent()), (seen, 0));
    let other = hearing(r#"{"one": "2"}"#);
    assert_eq!((other.as_str(), heard.unsent()), (r#"JudgeError::Unavailable("not sent in shadow")"#, 1));
}
