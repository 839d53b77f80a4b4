//! The cases of plugins and policy packs, against the built components. `cargo xtask guests` builds them first.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_engine::{Engine, EngineConfig, Grants, Instances, Limits, MemoryState, PluginFile, Scope, StateStore};
use portcullis_model::{Call, Decision, Document, Mode};
use portcullis_pipeline::{FailMode, Generation, PipelineSpec, PluginSpec, Selector};
use portcullis_plugin::testing::{Case, Outcome, read_cases};
use portcullis_trial::{PerCase, Subject, TENANT, Trial, seen, verdict};
use serde::Deserialize;
use test_suite::root;

/// Folders in `parent` that have a folder `inner`, by name.
fn folders(parent: &str, inner: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(root().join(parent))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join(inner).is_dir())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path.join(inner)))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no {parent}/*/{inner}");
    found
}

fn component(name: &str) -> Vec<u8> {
    let path = root().join("target/plugins").join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", path.display()))
}

/// An error and everything under it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn report(failures: &[String], count: usize) {
    assert!(failures.is_empty(), "{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
    println!("{count} cases");
}

/// Runs the cases of one plugin; one test per plugin, so that they run beside each other.
fn plugin_answers_as_it_does_natively(name: &str) {
    // What a language model answers stands in the case.
    let judge = vec!["judge".to_owned()];
    let grants = Grants { clock: true, state: true, labels: true, judge, ..Grants::default() };
    let limits = Limits { deadline_ms: 10_000, ..Limits::default() };
    let (file, instances) = (PluginFile::new(component(name)), Instances::default());
    let subject = Subject { name: name.to_owned(), file, grants, limits, instances, source: None };
    let mut trial = Trial::new(subject, None).unwrap();
    let cases = read_cases(&root().join("plugins").join(name).join("cases")).unwrap();
    let mut failures = Vec::new();
    for case in &cases {
        let differences = trial.run(case).differences;
        failures.extend(differences.iter().map(|difference| format!("- {}: {difference}", case.name)));
    }
    report(&failures, cases.len());
}

macro_rules! plugins {
    ($($test:ident $name:literal)*) => {
        $(
            #[test]
            fn $test() {
                plugin_answers_as_it_does_natively($name);
            }
        )*

        #[test]
        fn every_plugin_has_cases_and_a_test_here() {
            let found: Vec<String> = folders("plugins", "cases").into_iter().map(|(name, _)| name).collect();
            assert_eq!(found, [$($name),*]);
        }
    };
}

plugins! {
    detector_alignment "detector-alignment"
    detector_code "detector-code"
    detector_commands "detector-commands"
    detector_effect "detector-effect"
    detector_injection "detector-injection"
    detector_instruction "detector-instruction"
    detector_judge "detector-judge"
    detector_packages "detector-packages"
    detector_pii "detector-pii"
    detector_secrets "detector-secrets"
    detector_sequence "detector-sequence"
    detector_tools "detector-tools"
    router_default "router-default"
    rule_arguments "rule-arguments"
    rule_baseline "rule-baseline"
    rule_rego "rule-rego"
    rule_tool_pin "rule-tool-pin"
}

/// The part of a policy pack that decides.
#[derive(Deserialize)]
struct Pack {
    name: String,
    #[serde(default)]
    mode: Mode,
    plugins: Vec<PackPlugin>,
    router: PackPlugin,
}

#[derive(Deserialize)]
struct PackPlugin {
    name: String,
    plugin: Option<String>,
    #[serde(default)]
    config: toml::Table,
    #[serde(default)]
    limits: PackLimits,
    #[serde(default)]
    grants: PackGrants,
    #[serde(default)]
    select: Selector,
    stop_on: Option<Decision>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackLimits {
    fuel: Option<u64>,
    memory_mib: Option<usize>,
    deadline_ms: Option<u64>,
    host_calls: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PackGrants {
    clock: bool,
    state: bool,
    labels: bool,
}

impl PackPlugin {
    fn spec(&self) -> PluginSpec {
        let defaults = Limits::default();
        let limits = Limits {
            fuel: self.limits.fuel.unwrap_or(defaults.fuel),
            memory: self.limits.memory_mib.map_or(defaults.memory, |mib| mib << 20),
            deadline_ms: self.limits.deadline_ms.unwrap_or(defaults.deadline_ms),
            host_calls: self.limits.host_calls.unwrap_or(defaults.host_calls),
            ..defaults
        };
        PluginSpec {
            name: self.name.as_str().into(),
            file: PluginFile::new(component(self.plugin.as_ref().unwrap_or(&self.name))),
            config: serde_json::to_value(&self.config).unwrap(),
            grants: Grants {
                clock: self.grants.clock,
                state: self.grants.state,
                labels: self.grants.labels,
                ..Grants::default()
            },
            limits,
            instances: Instances::default(),
            select: self.select.clone(),
            on_failure: FailMode::Closed,
            stop_on: self.stop_on,
            quarantine: None,
        }
    }
}

/// The name of the pack in a folder, and its pipeline.
fn spec(folder: &Path) -> (String, PipelineSpec) {
    let pack: Pack = toml::from_str(&fs::read_to_string(folder.join("pack.toml")).unwrap()).unwrap();
    let spec = PipelineSpec {
        tenant: TENANT.into(),
        mode: pack.mode,
        plugins: pack.plugins.iter().map(PackPlugin::spec).collect(),
        // Every router knows the time.
        router: Some(PluginSpec { grants: Grants { clock: true, ..Grants::default() }, ..pack.router.spec() }),
        inspect_redacted: false,
    };
    (pack.name, spec)
}

fn build(engine: &Engine, name: &str, spec: &PipelineSpec) -> Generation {
    Generation::build(engine, spec).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)))
}

/// The name of the pack in a folder, and its generation with time enough: machines that run tests are busy, and fuel is the
/// limit that is tested.
fn pack(engine: &Engine, folder: &Path) -> (String, Generation) {
    let (name, mut spec) = spec(folder);
    for plugin in spec.plugins.iter_mut().chain(&mut spec.router) {
        plugin.limits.deadline_ms = plugin.limits.deadline_ms.max(60_000);
    }
    let generation = build(engine, &name, &spec);
    (name, generation)
}

/// The call of a case.
fn call(case: &Case) -> Call {
    portcullis_trial::call(case).unwrap()
}

#[test]
fn policy_packs_decide_as_their_tests_say() {
    let stores = Arc::new(PerCase::default());
    let (state, labels) = (stores.clone(), stores.clone());
    let engine = Engine::new(EngineConfig { state, labels, ..EngineConfig::default() }).unwrap();
    let (mut failures, mut count) = (Vec::new(), 0);
    for (name, folder) in folders("policies", "tests") {
        let (called, generation) = pack(&engine, folder.parent().unwrap());
        assert_eq!(called, name, "a pack is called like its folder");
        for case in read_cases(&folder).unwrap() {
            stores.reset();
            for earlier in case.earlier() {
                drop(generation.judge(&call(&earlier)));
            }
            let judgement = generation.judge(&call(&case));
            let outcome = match &case.expect.findings {
                Some(_) => {
                    let payload = Document::parse(case.payload_text()).unwrap();
                    Outcome::Findings(judgement.findings.iter().map(|found| seen(&found.finding, &payload)).collect())
                }
                None => verdict(judgement.decision, &judgement.reasons, judgement.replacement.as_deref()),
            };
            let differences = case.check(&outcome);
            let found = judgement.findings.iter().map(|found| (&found.finding.category, found.finding.score));
            let found: Vec<_> = found.collect();
            let about = |difference: &String| format!("- {name}: {}: {difference}; found {found:?}", case.name);
            failures.extend(differences.iter().map(about));
            count += 1;
        }
    }
    report(&failures, count);
}

#[test]
fn small_calls_are_judged_at_once_under_every_pack() {
    let engine = Engine::new(EngineConfig::default()).unwrap();
    for (_, folder) in folders("policies", "tests") {
        let (name, spec) = spec(folder.parent().unwrap());
        let generation = build(&engine, &name, &spec);
        for phase in ["call", "result", "listing"] {
            let case = serde_json::json!({ "name": "small", "call": { "phase": phase }, "payload": {}, "expect": {} });
            let case: Case = serde_json::from_str(&case.to_string()).unwrap();
            let limits: Vec<_> = spec.plugins.iter().map(|plugin| (&plugin.name, plugin.limits)).collect();
            assert!(generation.is_quick(&call(&case)), "{name}: a plugin may take long in a {phase}: {limits:?}");
        }
    }
}

#[test]
fn the_baseline_judges_the_longest_texts() {
    let engine = Engine::new(EngineConfig::default()).unwrap();
    let (_, generation) = pack(&engine, &root().join("policies/baseline"));
    let prose =
        "The team met on Monday and went through the figures of the northern region. Größe: Übung. Обычный текст. ";
    let log = "2026-01-02T03:04:05Z INFO path=/api/v1/items?page=2 status=200 bytes=5123 agent=\"Mozilla/5.0 (X11)\"\n";
    for (text, phase) in [(prose, "result"), (log, "result"), (prose, "call"), (log, "call")] {
        let text = text.repeat(4_000_000 / text.len());
        let case = serde_json::json!({
            "name": "long", "call": { "phase": phase }, "payload": { "text": text }, "expect": { "decision": "allow" }
        });
        let case: Case = serde_json::from_str(&case.to_string()).unwrap();
        let judgement = generation.judge(&call(&case));
        let costs: Vec<_> = judgement.plugins.iter().map(|run| (&run.name, run.fuel, run.memory, &run.fault)).collect();
        assert_eq!(judgement.decision, Decision::Allow, "{phase}: {:?} {costs:?}", judgement.reasons);
    }
}

#[test]
fn a_page_of_a_thousand_tools_is_pinned_and_compared() {
    let engine = Engine::new(EngineConfig::default()).unwrap();
    let (_, generation) = pack(&engine, &root().join("policies/pinned"));
    let page = |text: &str| {
        let schema = serde_json::json!({ "type": "object", "properties": { "path": { "type": "string" } } });
        let tool = |n| serde_json::json!({ "name": format!("tool_{n}"), "description": text, "inputSchema": schema });
        let case = serde_json::json!({
            "name": "page", "call": { "phase": "listing", "upstream": "files", "tool": "tools/list" },
            "payload": (0..1_000).map(tool).collect::<Vec<_>>(), "expect": {},
        });
        let case: Case = serde_json::from_str(&case.to_string()).unwrap();
        generation.judge(&call(&case))
    };
    for (text, decision) in [("one", Decision::Allow), ("one", Decision::Allow), ("two", Decision::Deny)] {
        let judgement = page(text);
        let costs: Vec<_> = judgement.plugins.iter().map(|run| (&run.name, run.fuel, run.memory, &run.fault)).collect();
        assert_eq!(judgement.decision, decision, "{text}: {:?} {costs:?}", judgement.reasons);
        assert!(judgement.plugins.iter().all(|run| run.fault.is_none()), "{costs:?}");
        println!("{text}: {costs:?}");
    }
}

#[test]
fn in_a_full_store_no_new_tool_is_pinned_and_changes_are_still_noted() {
    let state = Arc::new(MemoryState::default());
    let store: Arc<dyn StateStore> = state.clone();
    let engine = Engine::new(EngineConfig { state: store, ..EngineConfig::default() }).unwrap();
    let (_, generation) = pack(&engine, &root().join("policies/pinned"));
    let judge = |spec: serde_json::Value, payload: serde_json::Value| {
        let case = serde_json::json!({ "name": "full", "call": spec, "payload": payload, "expect": {} });
        let case: Case = serde_json::from_str(&case.to_string()).unwrap();
        let judgement = generation.judge(&call(&case));
        let codes: Vec<String> = judgement.reasons.iter().map(|reason| reason.code.clone()).collect();
        (judgement.decision, codes)
    };
    let list =
        |payload| judge(serde_json::json!({ "phase": "listing", "upstream": "files", "tool": "tools/list" }), payload);
    let tool = |name: &str, text: &str| serde_json::json!({ "name": name, "description": text });
    assert_eq!(list(serde_json::json!([tool("a", "one")])).0, Decision::Allow);
    // Every byte is taken.
    let scope = Scope { tenant: TENANT, plugin: "rule-tool-pin" };
    let mut count = 0;
    for size in [64 * 1024, 1024, 16, 1] {
        while state.replace(scope, &format!("filler {count}"), None, Some(&vec![0; size]), 0, 1) == Ok(true) {
            count += 1;
        }
    }
    let denied = |code: &str| (Decision::Deny, vec![code.to_owned()]);
    assert_eq!(list(serde_json::json!([tool("a", "one"), tool("b", "one")])), denied("pin.no_room"));
    assert_eq!(list(serde_json::json!([tool("a", "one")])).0, Decision::Allow);
    assert_eq!(list(serde_json::json!([tool("a", "two")])), denied("pin.changed"));
    let called = judge(serde_json::json!({ "upstream": "files", "tool": "a" }), serde_json::json!({}));
    assert_eq!(called, denied("pin.changed"));
}

/// What a trial of a test guest makes of a case: its differences.
fn asked(guest: &str, grants: Grants, case: &str) -> String {
    let path = root().join("target/guests").join(format!("{guest}.wasm"));
    let file = PluginFile::new(fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    let limits = Limits { deadline_ms: 10_000, ..Limits::default() };
    let instances = Instances::default();
    let subject = Subject { name: guest.to_owned(), file, grants, limits, instances, source: None };
    let case: Case = serde_json::from_str(case).unwrap();
    let differences = |mut trial: Trial| trial.run(&case).differences.join("\n");
    let (kept, anew) = (Trial::new(subject.clone(), None).unwrap(), Trial::for_edits(subject).unwrap());
    let (kept, anew) = (differences(kept), differences(anew));
    assert_eq!(kept, anew);
    kept
}

#[test]
fn a_case_stands_in_for_hosts_secrets_and_models() {
    let one = || vec!["case".to_owned()];
    let judge = |case: &str| asked("asks_judge", Grants { judge: one(), ..Grants::default() }, case);
    let case = r#"{"name": "n", "call": {"tool": "risk"}, "payload": {"command": "rm"},
        "judge": [{"template": "risk", "variables": {"command": "rm"}, "answer": {"risk": 9}}],
        "expect": {"findings": [{"category": "judge.seen", "message": "{\"risk\":9}"}]}}"#;
    assert_eq!(judge(case), "");
    let late = case.replace(r#""answer": {"risk": 9}"#, r#""error": "timed-out""#);
    assert_eq!(judge(&late.replace(r#"{\"risk\":9}"#, "JudgeError::TimedOut")), "");
    let other = judge(&case.replace(r#"{"command": "rm"}, "answer""#, r#"{"command": "ls"}, "answer""#));
    assert!(other.contains(r#"the plugin asks the template `risk` with {"command":"rm"}"#), "{other}");

    let grants = Grants { http: one(), secrets: one(), ..Grants::default() };
    let http = |case: &str| asked("asks_http", grants.clone(), case);
    let case = r#"{"name": "n", "payload": {"url": "https://a.example/x", "key": "api-key"}, "secrets": ["api-key"],
        "http": [{"url": "https://a.example/x", "sent_headers": {"Authorization": "Bearer {{secret:api-key}}"},
            "status": 404, "headers": {"x-a": "1"}, "body": {"known": false}}],
        "expect": {"findings": [{"category": "http.seen", "message": "404 [(\"x-a\", \"1\")] {\"known\":false}"}]}}"#;
    assert_eq!(http(case), "");
    let none =
        http(&case.replace(r#""http": [{"url": "https://a.example/x""#, r#""http": [{"url": "https://b.example""#));
    assert!(none.contains("the plugin sends GET https://a.example/x, content-type: text/plain, authorization: Bearer {{secret:api-key}}"), "{none}");
    assert!(none.contains("nobody sent GET https://b.example"), "{none}");
    let secret = http(&case.replace(r#"["api-key"]"#, "[]"));
    assert!(secret.contains("the secret is not granted"), "{secret}");
}

#[test]
fn trials_for_edits_cost_a_call_as_much_fuel() {
    let name = "detector-pii";
    let limits = Limits { deadline_ms: 10_000, ..Limits::default() };
    let grants = Grants { clock: true, state: true, labels: true, ..Grants::default() };
    let subject = Subject {
        name: name.to_owned(),
        file: PluginFile::new(component(name)),
        grants,
        limits,
        instances: Instances::default(),
        source: None,
    };
    let mut kept = Trial::new(subject.clone(), None).unwrap();
    let mut anew = Trial::for_edits(subject).unwrap();
    for case in read_cases(&root().join("plugins").join(name).join("cases")).unwrap().iter().take(10) {
        let (kept, anew) = (kept.run(case), anew.run(case));
        assert_eq!((&kept.outcome, &kept.differences), (&anew.outcome, &anew.differences));
        // What the snapshot adds to a component makes single steps of difference.
        let fuel = [kept, anew].map(|report| report.cost.map_or(0, |cost| cost.fuel));
        assert!(fuel[0].abs_diff(fuel[1]) <= 16, "{}: {fuel:?}", case.name);
    }
}
