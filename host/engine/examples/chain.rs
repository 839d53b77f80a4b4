//! Measures plugin calls: one small plugin and a chain of four, the same component on bare wasmtime, the built-in plugins
//! one by one and as a pipeline, and Rego.
//!
//! `cargo run --release -p portcullis-engine --example chain -- [--json] [--calls N] [--runs N]`; needs
//! `cargo xtask guests`. Times are microseconds; the runs of all rows are interleaved.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bare::portcullis::plugin::payload;

use portcullis_engine::{Engine, EngineConfig, Grants, Instances, Limits, Plugin, PluginFile, Source};
use portcullis_model::{AttributedFinding, Call, Document, Phase, Role};
use uuid::Uuid;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

#[allow(missing_docs, unreachable_pub, dead_code, unsafe_code, clippy::all, reason = "generated")]
mod bare {
    wasmtime::component::bindgen!({ path: "../../wit/plugin@1.0.0", world: "detector" });
}

type Failure = Box<dyn std::error::Error>;

/// Times of one run, in microseconds.
struct Sample {
    p50: f64,
    p99: f64,
    fuel: u64,
}

/// One thing that is measured.
struct Row<'a> {
    what: String,
    bar: &'static str,
    measure: Box<dyn Fn(usize) -> Result<Sample, Failure> + 'a>,
    runs: Vec<Sample>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| -> usize {
        let position = arguments.iter().position(|argument| argument == name);
        position.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (calls, runs) = (number("--calls", 5_000), number("--runs", 5));
    let engine = Engine::new(EngineConfig::default())?;
    let small = |word: &str| load(&engine, "small", &guest("good_detector")?, &format!(r#"{{"word": "{word}"}}"#));
    let (words, absent, other) = (small("rm -rf")?, small("wire_transfer")?, small("DROP TABLE")?);
    let rule = load(&engine, "rule", &guest("good_rule")?, r#"{"deny": "none"}"#)?;
    let shipped = shipped(&engine)?;
    let rego = load(&engine, "rule-rego", &built("plugins", "rule-rego")?, &rego_config())?;
    let (call, ordinary) = (call(), ordinary());
    let bare = Bare::new(call.clone())?;

    let mut rows = vec![
        Row::new("bare wasmtime, no limits, fresh instance", "", |calls| measure(calls, || bare.fresh())),
        Row::new("bare wasmtime, no limits, warm instance", "", |calls| bare.warm(calls)),
        Row::new("one small plugin, fresh instance", "12 us / 7 us", |calls| {
            measure(calls, || cost(words.inspect(&call)))
        }),
        Row::new("chain of 4 small plugins", "50 us / 25 us", |calls| {
            measure(calls, || chain(&[&words, &absent, &other], &rule, &call))
        }),
    ];
    for (plugin, what, call) in &shipped {
        let what = format!("{}, {what}", plugin.name());
        rows.push(Row::new(what, "", move |calls| measure(calls, || ask(plugin, call))));
    }
    if let [(injection, ..), (commands, ..), (secrets, ..), (rule, ..), ..] = shipped.as_slice() {
        let (detectors, ordinary) = ([injection, commands, secrets], &ordinary);
        rows.push(Row::new(
            "injection, commands, secrets and rule-baseline in turn, ordinary text",
            "",
            move |calls| measure(calls, || chain(&detectors, rule, ordinary)),
        ));
    }
    rows.push(Row::new("rule-rego, two rules", "", |calls| measure(calls, || ask(&rego, &ordinary))));
    for _ in 0..runs {
        // Interleaved, so that a noisy machine is noisy for all.
        for row in &mut rows {
            let sample = (row.measure)(calls)?;
            row.runs.push(sample);
        }
    }
    if arguments.iter().any(|argument| argument == "--json") {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        println!("{}", serde_json::json!({ "rows": rows }));
    } else {
        let notes = engine.notes();
        println!("wasmtime {}, pooling {}, PAGEMAP_SCAN {}", notes.wasmtime, notes.pooling, notes.pagemap_scan);
        rows.iter().for_each(Row::print);
    }
    Ok(())
}

impl<'a> Row<'a> {
    fn new(
        what: impl Into<String>,
        bar: &'static str,
        measure: impl Fn(usize) -> Result<Sample, Failure> + 'a,
    ) -> Self {
        Self { what: what.into(), bar, measure: Box::new(measure), runs: Vec::new() }
    }

    fn of(&self, pick: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.runs.iter().map(pick).collect()
    }

    fn fuel(&self) -> u64 {
        self.runs.first().map_or(0, |sample| sample.fuel)
    }

    /// A row as the bench reads it: every figure of every run.
    fn json(&self) -> serde_json::Value {
        let figure = |name: &str, runs: Vec<f64>| serde_json::json!({ "name": name, "unit": "us", "runs": runs });
        let note = if self.fuel() > 0 { format!("fuel {}", self.fuel()) } else { String::new() };
        let figures = [figure("p50", self.of(|sample| sample.p50)), figure("p99", self.of(|sample| sample.p99))];
        serde_json::json!({ "what": self.what, "bar": self.bar, "figures": figures, "note": note })
    }

    fn print(&self) {
        let middle = |mut runs: Vec<f64>| {
            runs.sort_by(f64::total_cmp);
            runs.get(runs.len() / 2).copied().unwrap_or_default()
        };
        let (p50, p99) = (middle(self.of(|sample| sample.p50)), middle(self.of(|sample| sample.p99)));
        println!("{:52} p50 {p50:7.1} us  p99 {p99:7.1} us  fuel {}", self.what, self.fuel());
    }
}

fn measure(calls: usize, mut once: impl FnMut() -> Result<u64, Failure>) -> Result<Sample, Failure> {
    let mut times = Vec::with_capacity(calls);
    let mut fuel = 0;
    for _ in 0..calls {
        let started = Instant::now();
        fuel = once()?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let at = |position: usize| times.get(position).copied().unwrap_or_default();
    Ok(Sample { p50: at(calls / 2), p99: at(calls * 99 / 100), fuel })
}

fn cost<T>(run: portcullis_engine::Run<T>) -> Result<u64, Failure> {
    run.result?;
    Ok(run.cost.fuel)
}

fn chain(detectors: &[&Plugin], rule: &Plugin, call: &Call) -> Result<u64, Failure> {
    let mut fuel = 0;
    let mut findings = Vec::new();
    for plugin in detectors {
        let run = plugin.inspect(call);
        fuel += run.cost.fuel;
        let found = run.result?;
        findings
            .extend(found.into_iter().map(|finding| AttributedFinding { plugin: plugin.name().to_string(), finding }));
    }
    Ok(fuel + cost(rule.decide(call, &findings))?)
}

/// One call of a detector or a rule.
fn ask(plugin: &Plugin, call: &Call) -> Result<u64, Failure> {
    match plugin.role() {
        Role::Detector => cost(plugin.inspect(call)),
        _ => cost(plugin.decide(call, &[])),
    }
}

fn guest(name: &str) -> Result<PluginFile, Failure> {
    built("guests", name)
}

fn built(folder: &str, name: &str) -> Result<PluginFile, Failure> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/{folder}/{name}.wasm"));
    let bytes =
        std::fs::read(&path).map_err(|error| format!("{}: {error}; run `cargo xtask guests`", path.display()))?;
    Ok(PluginFile::new(bytes))
}

/// The built-in plugins, each with what it is asked in the phase in which it works: about 1 KiB that harms nobody.
fn shipped(engine: &Engine) -> Result<Vec<(Plugin, &'static str, Call)>, Failure> {
    [
        ("detector-injection", "ordinary text", ordinary()),
        ("detector-commands", "ordinary text", ordinary()),
        ("detector-secrets", "ordinary text", ordinary()),
        ("rule-baseline", "ordinary text", ordinary()),
        ("detector-instruction", "ordinary result", Call { phase: Phase::Result, ..ordinary() }),
        ("detector-alignment", "ordinary text with a task", with_task()),
        ("detector-sequence", "ordinary text", ordinary()),
        ("detector-effect", "ordinary text", ordinary()),
        ("detector-code", "ordinary source", source()),
        ("detector-packages", "an installation of twenty", installation()),
        ("detector-tools", "ordinary definition", definition()),
        ("detector-pii", "ordinary text", ordinary()),
    ]
    .into_iter()
    .map(|(name, what, call)| Ok((load(engine, name, &built("plugins", name)?, "{}")?, what, call)))
    .collect()
}

fn load(engine: &Engine, name: &str, file: &PluginFile, config: &str) -> Result<Plugin, Failure> {
    let grants = Grants { clock: true, state: true, labels: true, ..Grants::default() };
    let limits = Limits::default();
    Ok(engine.load(&Source {
        name,
        tenant: "acme",
        file,
        config,
        grants: &grants,
        limits,
        instances: Instances::default(),
    })?)
}

fn rego_config() -> String {
    let policy = "package portcullis\n\n\
        deny contains {\"code\": \"too_much\", \"msg\": \"more than 1000\"} if input.arguments.amount > 1000\n\n\
        review contains \"outside\" if not startswith(input.arguments.path, \"reports/\")\n";
    serde_json::json!({ "policies": [{ "name": "bench.rego", "text": policy }] }).to_string()
}

const SENTENCE: &str =
    "The quarterly report lists revenue by region and the notes explain each change against the plan. ";

/// A call of `tool`, or what it returned, with `payload`.
fn asking(tool: &str, payload: &serde_json::Value) -> Call {
    let payload = Document::parse(payload.to_string()).unwrap_or_else(|_| Document::empty());
    Call { tool: tool.into(), payload: Arc::new(payload), ..call() }
}

/// About 1 KiB of arguments as agents send them: a path and a text.
fn ordinary() -> Call {
    let text = SENTENCE.repeat(10);
    asking("write_file", &serde_json::json!({ "path": "reports/q3.txt", "mode": "append", "content": text }))
}

fn with_task() -> Call {
    let task = "Append what the quarterly report says of revenue by region to reports/q3.txt";
    Call { persona: Some("An assistant for analysts".into()), task: Some(task.into()), ..ordinary() }
}

fn source() -> Call {
    let source = "import csv\n\ndef revenue(path):\n    with open(path, newline='') as file:\n        \
                  rows = csv.DictReader(file)\n        return sum(float(row['revenue']) for row in rows)\n\n";
    asking("run_python", &serde_json::json!({ "code": source.repeat(6) }))
}

fn installation() -> Call {
    let packages = "react express lodash axios chalk commander typescript webpack eslint prettier jest rxjs moment \
                    uuid dotenv cors zod vite next vue";
    asking("shell", &serde_json::json!({ "command": format!("npm install {packages}") }))
}

fn definition() -> Call {
    let path = serde_json::json!({ "type": "string", "description": "The file, below the folder of the project." });
    let text = serde_json::json!({ "type": "string", "description": SENTENCE.repeat(3) });
    let schema = serde_json::json!({ "type": "object", "properties": { "path": path, "text": text } });
    let tool = serde_json::json!({ "name": "write_file", "description": SENTENCE.repeat(5), "inputSchema": schema });
    Call { phase: Phase::Listing, ..asking("tools/list", &serde_json::json!([tool])) }
}

/// 1 KiB of arguments in five strings.
fn call() -> Call {
    let filler = "hello world, policy text ".repeat(10);
    let payload = serde_json::json!({
        "command": "please rm -rf /tmp/x", "cwd": "/srv/data", "env": { "A": filler, "B": filler }, "note": filler, "n": 5,
    });
    Call {
        id: Uuid::from_u128(1),
        phase: Phase::Call,
        tenant: "acme".into(),
        agent: "robot".into(),
        session: Some("s1".into()),
        persona: None,
        task: None,
        upstream: Some("shell".into()),
        tool: "run".into(),
        payload: Arc::new(Document::parse(payload.to_string()).unwrap_or_else(|_| Document::empty())),
        time_ms: 0,
        attached: None,
    }
}

/// The small plugin's snapshot on wasmtime alone: no fuel, no epoch, no limits, no checks.
struct Bare {
    engine: wasmtime::Engine,
    pre: bare::DetectorPre<Host>,
    call: Call,
}

struct Host(Option<Arc<Document>>);

impl bare::portcullis::plugin::types::Host for Host {}

impl payload::Host for Host {
    fn raw(&mut self) -> String {
        self.0.as_ref().map(|document| document.raw().to_owned()).unwrap_or_default()
    }

    fn texts(&mut self) -> Vec<payload::Text> {
        let texts = self.0.iter().flat_map(|document| document.texts().iter());
        texts.map(|text| payload::Text { pointer: text.pointer.clone(), value: text.value.clone() }).collect()
    }

    fn names(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn get(&mut self, _pointer: String) -> Option<String> {
        None
    }
}

impl Bare {
    fn new(call: Call) -> Result<Self, Failure> {
        let mut pool = PoolingAllocationConfig::new();
        pool.pagemap_scan(Enabled::Auto).linear_memory_keep_resident(128 * 1024).table_keep_resident(128 * 1024);
        let mut config = Config::new();
        config.concurrency_support(false).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        bare::portcullis::plugin::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        payload::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        let wizer = Wizer::new();
        let file = guest("good_detector")?;
        let (plan, instrumented) = wizer.instrument_component(file.bytes())?;
        let component = Component::new(&engine, instrumented)?;
        linker.allow_shadowing(true).define_unknown_imports_as_traps(&component)?;
        bare::portcullis::plugin::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        payload::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        let mut store = Store::new(&engine, Host(None));
        let instance = linker.instantiate(&mut store, &component)?;
        let configure = instance.get_typed_func::<(&str,), (Result<(), String>,)>(&mut store, "configure")?;
        configure.call(&mut store, (r#"{"word": "rm -rf"}"#,))?.0?;
        let mut state = WasmtimeWizerComponent { store: &mut store, instance };
        let snapshot = pin!(wizer.snapshot_component(&plan, &mut state));
        let Poll::Ready(snapshot) = snapshot.poll(&mut Context::from_waker(Waker::noop())) else {
            return Err("the snapshot had to wait".into());
        };
        let component = Component::new(&engine, snapshot?)?;
        Ok(Self { pre: bare::DetectorPre::new(linker.instantiate_pre(&component)?)?, engine, call })
    }

    fn fresh(&self) -> Result<u64, Failure> {
        let mut store = Store::new(&self.engine, Host(Some(self.call.payload.clone())));
        let plugin = self.pre.instantiate(&mut store)?;
        plugin.call_inspect(&mut store, &self.call())??;
        Ok(0)
    }

    fn warm(&self, calls: usize) -> Result<Sample, Failure> {
        let mut store = Store::new(&self.engine, Host(Some(self.call.payload.clone())));
        let plugin = self.pre.instantiate(&mut store)?;
        measure(calls, || {
            plugin.call_inspect(&mut store, &self.call())??;
            Ok(0)
        })
    }

    fn call(&self) -> bare::portcullis::plugin::types::Call {
        let call = &self.call;
        bare::portcullis::plugin::types::Call {
            id: call.id.to_string(),
            phase: bare::portcullis::plugin::types::Phase::Call,
            tenant: call.tenant.to_string(),
            agent: call.agent.to_string(),
            session: call.session.as_deref().map(str::to_owned),
            persona: None,
            task: None,
            upstream: call.upstream.as_deref().map(str::to_owned),
            tool: call.tool.to_string(),
            digest: call.payload.digest().0.to_vec(),
        }
    }
}
