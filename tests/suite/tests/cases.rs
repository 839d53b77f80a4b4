//! The cases of plugins and policy packs, against the built components. `cargo xtask guests` builds them first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use portcullis_engine::{
    Engine, EngineConfig, Grants, LabelStore, Limits, MemoryLabels, MemoryState, Plugin, PluginFile, Scope, Source,
    StateStore, StoreError,
};
use portcullis_model::{AttributedFinding, Call, Decision, Document, Finding, Mode, Phase, Reason, Role, Span};
use portcullis_pipeline::{FailMode, Generation, PipelineSpec, PluginSpec, Selector};
use portcullis_plugin::Payload as _;
use portcullis_plugin::testing::{Case, Outcome, Seen, read_cases};
use serde::Deserialize;
use test_suite::root;
use uuid::Uuid;

const TENANT: &str = "acme";
const SESSION: &str = "case";

/// State and labels that are emptied before each case, as the doubles of the native harness are.
#[derive(Default)]
struct PerCase(Mutex<(Arc<MemoryState>, Arc<MemoryLabels>)>);

impl PerCase {
    fn reset(&self) {
        *self.0.lock().unwrap() = Default::default();
    }

    fn state(&self) -> Arc<MemoryState> {
        self.0.lock().unwrap().0.clone()
    }

    fn labels(&self) -> Arc<MemoryLabels> {
        self.0.lock().unwrap().1.clone()
    }
}

impl StateStore for PerCase {
    fn increment(&self, scope: Scope<'_>, key: &str, by: u64, window: u32, now_ms: u64) -> Result<u64, StoreError> {
        self.state().increment(scope, key, by, window, now_ms)
    }

    fn get(&self, scope: Scope<'_>, key: &str, now_ms: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.state().get(scope, key, now_ms)
    }

    fn replace(
        &self,
        scope: Scope<'_>,
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl_seconds: u32,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        self.state().replace(scope, key, expected, value, ttl_seconds, now_ms)
    }

    fn keys(&self, scope: Scope<'_>, prefix: &str, now_ms: u64) -> Result<Vec<String>, StoreError> {
        self.state().keys(scope, prefix, now_ms)
    }
}

impl LabelStore for PerCase {
    fn add(&self, tenant: &str, session: &str, label: &str, value: &str, now_ms: u64) -> Result<(), StoreError> {
        self.labels().add(tenant, session, label, value, now_ms)
    }

    fn all(&self, tenant: &str, session: &str, now_ms: u64) -> Vec<(String, String)> {
        self.labels().all(tenant, session, now_ms)
    }
}

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

fn call(case: &Case) -> Call {
    let spec = &case.call;
    let text = |field: &Option<String>| field.as_deref().map(Arc::from);
    // Labels belong to a session, so a case with labels has one.
    let session = text(&spec.session).or_else(|| (!case.labels.is_empty()).then(|| SESSION.into()));
    Call {
        id: Uuid::nil(),
        phase: match spec.phase {
            portcullis_plugin::Phase::Call => Phase::Call,
            portcullis_plugin::Phase::Result => Phase::Result,
            portcullis_plugin::Phase::Listing => Phase::Listing,
            portcullis_plugin::Phase::Message => Phase::Message,
        },
        tenant: spec.tenant.as_str().into(),
        agent: spec.agent.as_str().into(),
        session,
        persona: text(&spec.persona),
        task: text(&spec.task),
        upstream: text(&spec.upstream),
        tool: spec.tool.as_str().into(),
        payload: Arc::new(Document::parse(case.payload_text()).unwrap()),
        time_ms: spec.time_ms,
        attached: None,
    }
}

/// The findings of a case, as the pipeline would hand them on.
fn given(case: &Case) -> Vec<AttributedFinding> {
    let payload = case.payload().unwrap();
    let texts = payload.texts();
    let span = |span: &portcullis_plugin::Span| Span {
        pointer: texts[span.text as usize].pointer.clone(),
        start: span.start,
        end: span.end,
    };
    let attribute = |found: portcullis_plugin::AttributedFinding| AttributedFinding {
        plugin: found.plugin,
        finding: Finding {
            category: found.finding.category,
            score: found.finding.score,
            message: found.finding.message,
            spans: found.finding.spans.iter().map(span).collect(),
        },
    };
    case.findings(&payload).unwrap().into_iter().map(attribute).collect()
}

fn seen(finding: &Finding, payload: &Document) -> Seen {
    let place = |span: &Span| {
        let text = payload.pointer(&span.pointer).and_then(|value| value.as_str().map(str::to_owned)).unwrap();
        (span.pointer.clone(), text[span.start as usize..span.end as usize].to_owned())
    };
    Seen { category: finding.category.clone(), score: finding.score, places: finding.spans.iter().map(place).collect() }
}

fn verdict(decision: Decision, reasons: &[Reason], redacted: Option<&Document>) -> Outcome {
    Outcome::Verdict {
        decision: decision.as_str().to_owned(),
        reasons: reasons.iter().map(|reason| reason.code.clone()).collect(),
        redacted: redacted.map(|document| serde_json::from_str(document.raw()).unwrap()),
    }
}

fn ask(plugin: &Plugin, case: &Case, call: &Call) -> Outcome {
    let answer = match plugin.role() {
        Role::Detector => plugin
            .inspect(call)
            .result
            .map(|findings| Outcome::Findings(findings.iter().map(|finding| seen(finding, &call.payload)).collect())),
        Role::Rule => plugin.decide(call, &given(case)).result.map(|answer| {
            let made =
                (answer.decision == Decision::Redact).then(|| call.payload.replace(&answer.replacements).unwrap());
            verdict(answer.decision, &answer.reasons, made.as_ref())
        }),
        Role::Router => {
            let reason =
                |code: &String| Reason { code: code.clone(), message: String::new(), plugin: "rule".to_owned() };
            let reasons: Vec<_> = case.reasons.iter().map(reason).collect();
            let answer = plugin.route(call, &given(case), &reasons).result;
            answer.map(|plan| Outcome::Plan(serde_json::to_value(plan).unwrap()))
        }
    };
    answer.unwrap_or_else(|fault| Outcome::Error(fault.to_string()))
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
    let stores = Arc::new(PerCase::default());
    // Each configuration is compiled anew, which is nearly all that this test does.
    let compile_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (state, labels) = (stores.clone(), stores.clone());
    let config = EngineConfig { state, labels, compile_threads, ..EngineConfig::default() };
    let engine = Engine::new(config).unwrap();
    let grants = Grants { clock: true, state: true, labels: true, ..Grants::default() };
    let limits = Limits { deadline_ms: 10_000, ..Limits::default() };
    let file = PluginFile::new(component(name));
    let cases = read_cases(&root().join("plugins").join(name).join("cases")).unwrap();
    let mut failures = Vec::new();
    // One load per configuration: cases share them.
    let mut loaded: BTreeMap<String, Result<Plugin, String>> = BTreeMap::new();
    for case in &cases {
        stores.reset();
        let call = call(case);
        for (label, value) in &case.labels {
            let session = call.session.as_deref().unwrap();
            stores.add(TENANT, session, label, value, call.time_ms).unwrap();
        }
        let plugin = loaded.entry(case.config_text()).or_insert_with_key(|config| {
            let source = Source { name, tenant: TENANT, file: &file, config, grants: &grants, limits };
            engine.load(&source).map_err(|error| chain(&error))
        });
        let outcome = match plugin {
            Ok(plugin) => {
                for earlier in case.earlier() {
                    let differences = earlier.check(&ask(plugin, &earlier, &self::call(&earlier)));
                    failures
                        .extend(differences.iter().map(|difference| format!("- {}: before: {difference}", case.name)));
                }
                ask(plugin, case, &call)
            }
            Err(error) => Outcome::Error(error.clone()),
        };
        let differences = case.check(&outcome);
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
    detector_commands "detector-commands"
    detector_injection "detector-injection"
    detector_pii "detector-pii"
    detector_secrets "detector-secrets"
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
}

impl PackPlugin {
    fn spec(&self) -> PluginSpec {
        let defaults = Limits::default();
        let limits = Limits {
            fuel: self.limits.fuel.unwrap_or(defaults.fuel),
            memory: self.limits.memory_mib.map_or(defaults.memory, |mib| mib << 20),
            // Machines that run tests are busy; fuel is the limit that is tested.
            deadline_ms: self.limits.deadline_ms.unwrap_or(defaults.deadline_ms).max(60_000),
            host_calls: self.limits.host_calls.unwrap_or(defaults.host_calls),
            ..defaults
        };
        PluginSpec {
            name: self.name.as_str().into(),
            file: PluginFile::new(component(self.plugin.as_ref().unwrap_or(&self.name))),
            config: serde_json::to_value(&self.config).unwrap(),
            grants: Grants { clock: self.grants.clock, state: self.grants.state, ..Grants::default() },
            limits,
            select: self.select.clone(),
            on_failure: FailMode::Closed,
            stop_on: self.stop_on,
        }
    }
}

/// The name of the pack in a folder, and its generation.
fn pack(engine: &Engine, folder: &Path) -> (String, Generation) {
    let pack: Pack = toml::from_str(&fs::read_to_string(folder.join("pack.toml")).unwrap()).unwrap();
    let spec = PipelineSpec {
        tenant: TENANT.into(),
        mode: pack.mode,
        plugins: pack.plugins.iter().map(PackPlugin::spec).collect(),
        // Every router knows the time.
        router: Some(PluginSpec { grants: Grants { clock: true, ..Grants::default() }, ..pack.router.spec() }),
        inspect_redacted: false,
    };
    let generation =
        Generation::build(engine, &spec).unwrap_or_else(|error| panic!("{}: {}", pack.name, chain(&error)));
    (pack.name, generation)
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
