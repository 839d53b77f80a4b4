//! The cases of plugins and policy packs, against the built components. `cargo xtask guests` builds them first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_engine::{Engine, EngineConfig, Grants, LabelStore as _, Limits, MemoryLabels, Plugin, Source};
use portcullis_model::{
    AttributedFinding, Call, Decision, Document, Finding, Mode, Phase, Reason, Replacement, Role, Span,
};
use portcullis_pipeline::{FailMode, Generation, PipelineSpec, PluginSpec, Selector};
use portcullis_plugin::Payload as _;
use portcullis_plugin::testing::{Case, Outcome, Seen, read_cases};
use serde::Deserialize;
use serde_json::Value;
use test_suite::root;
use uuid::Uuid;

const SESSION: &str = "case";

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
    Seen {
        category: finding.category.clone(),
        score: finding.score,
        places: finding.spans.iter().map(place).collect(),
    }
}

fn verdict(decision: Decision, reasons: &[Reason], redacted: Option<&Document>) -> Outcome {
    Outcome::Verdict {
        decision: decision.as_str().to_owned(),
        reasons: reasons.iter().map(|reason| reason.code.clone()).collect(),
        redacted: redacted.map(|document| serde_json::from_str(document.raw()).unwrap()),
    }
}

fn redacted(payload: &Document, replacements: &[Replacement]) -> Document {
    payload.replace(replacements).unwrap()
}

fn ask(plugin: &Plugin, case: &Case) -> Outcome {
    let call = call(case);
    let answer = match plugin.role() {
        Role::Detector => plugin.inspect(&call).result.map(|findings| {
            Outcome::Findings(findings.iter().map(|finding| seen(finding, &call.payload)).collect())
        }),
        Role::Rule => plugin.decide(&call, &given(case)).result.map(|answer| {
            let made = (answer.decision == Decision::Redact).then(|| redacted(&call.payload, &answer.replacements));
            verdict(answer.decision, &answer.reasons, made.as_ref())
        }),
        Role::Router => {
            let reason = |code: &String| Reason { code: code.clone(), message: String::new(), plugin: "rule".to_owned() };
            let reasons: Vec<_> = case.reasons.iter().map(reason).collect();
            let answer = plugin.route(&call, &given(case), &reasons).result;
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

#[test]
fn plugins_answer_as_components_as_they_do_natively() {
    let labels = Arc::new(MemoryLabels::default());
    let engine = Engine::new(EngineConfig { labels: labels.clone(), ..EngineConfig::default() }).unwrap();
    let grants = Grants { clock: true, state: true, labels: true, ..Grants::default() };
    let (mut failures, mut count) = (Vec::new(), 0);
    for (name, folder) in folders("plugins", "cases") {
        let bytes = component(&name);
        // One load per configuration: cases share them.
        let mut loaded: BTreeMap<String, Result<Plugin, String>> = BTreeMap::new();
        for (number, case) in read_cases(&folder).unwrap().iter().enumerate() {
            let config = case.config_text();
            // Counters and labels of one case must not reach the next.
            let tenant = format!("{}-{number}", case.call.tenant);
            let stateful = !case.labels.is_empty();
            let key = if stateful { format!("{tenant} {config}") } else { config.clone() };
            let plugin = loaded.entry(key).or_insert_with(|| {
                let limits = Limits { deadline_ms: 10_000, ..Limits::default() };
                let tenant = case.call.tenant.as_str();
                let source = Source { name: &name, tenant, bytes: &bytes, config: &config, grants: &grants, limits };
                engine.load(&source).map_err(|error| chain(&error))
            });
            for (label, value) in &case.labels {
                labels.add(&case.call.tenant, SESSION, label, value).unwrap();
            }
            let outcome = match plugin {
                Ok(plugin) => ask(plugin, case),
                Err(error) => Outcome::Error(error.clone()),
            };
            let differences = case.check(&outcome);
            failures.extend(differences.iter().map(|difference| format!("- {name}: {}: {difference}", case.name)));
            count += 1;
        }
    }
    report(&failures, count);
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
    select: Selector,
    stop_on: Option<Decision>,
}

impl PackPlugin {
    fn spec(&self) -> PluginSpec {
        PluginSpec {
            name: self.name.as_str().into(),
            bytes: component(self.plugin.as_ref().unwrap_or(&self.name)).into(),
            config: serde_json::to_value(&self.config).unwrap(),
            grants: Grants::default(),
            limits: Limits { deadline_ms: 10_000, ..Limits::default() },
            select: self.select.clone(),
            on_failure: FailMode::Closed,
            stop_on: self.stop_on,
        }
    }
}

fn pack(folder: &Path) -> Pack {
    toml::from_str(&fs::read_to_string(folder.join("pack.toml")).unwrap()).unwrap()
}

#[test]
fn policy_packs_decide_as_their_tests_say() {
    let engine = Engine::new(EngineConfig::default()).unwrap();
    let (mut failures, mut count) = (Vec::new(), 0);
    for (name, folder) in folders("policies", "tests") {
        let pack = pack(folder.parent().unwrap());
        assert_eq!(pack.name, name, "a pack is called like its folder");
        let spec = PipelineSpec {
            tenant: "acme".into(),
            mode: pack.mode,
            plugins: pack.plugins.iter().map(PackPlugin::spec).collect(),
            router: Some(pack.router.spec()),
            inspect_redacted: false,
        };
        let generation = Generation::build(&engine, &spec).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
        for case in read_cases(&folder).unwrap() {
            let judgement = generation.judge(&call(&case));
            let outcome = match &case.expect.findings {
                Some(_) => {
                    let payload = Document::parse(case.payload_text()).unwrap();
                    Outcome::Findings(judgement.findings.iter().map(|found| seen(&found.finding, &payload)).collect())
                }
                None => verdict(judgement.decision, &judgement.reasons, judgement.replacement.as_deref()),
            };
            let differences = case.check(&outcome);
            let about = |difference: &String| {
                let findings: Vec<_> = judgement.findings.iter().map(|found| (&found.finding.category, found.finding.score)).collect();
                format!("- {name}: {}: {difference}; seen {findings:?}", case.name)
            };
            failures.extend(differences.iter().map(about));
            count += 1;
        }
        let _: &Value = &Value::Null;
    }
    report(&failures, count);
}
