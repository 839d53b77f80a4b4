//! Measures plugin calls: one small plugin, a chain of four, and the same component on bare wasmtime.
//!
//! `cargo run --release -p portcullis-engine --example chain -- [--json] [--calls N] [--runs N]`; needs
//! `cargo xtask guests`. Times are microseconds; every figure is the median over the runs, with their range.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bare::portcullis::plugin::payload;

use portcullis_engine::{Engine, EngineConfig, Grants, Limits, Plugin, Source};
use portcullis_model::{AttributedFinding, Call, Document, Phase};
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

struct Row {
    name: &'static str,
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
    let words = load(&engine, "good_detector", r#"{"word": "rm -rf"}"#)?;
    let absent = load(&engine, "good_detector", r#"{"word": "wire_transfer"}"#)?;
    let rule = load(&engine, "good_rule", r#"{"deny": "none"}"#)?;
    let other = load(&engine, "good_detector", r#"{"word": "DROP TABLE"}"#)?;
    let call = call();
    let bare = Bare::new(call.clone())?;

    let mut rows = ["bare wasmtime, fresh", "bare wasmtime, warm", "small plugin", "chain of 4"]
        .map(|name| Row { name, runs: Vec::new() });
    for _ in 0..runs {
        // Interleaved, so that a noisy machine is noisy for all.
        let samples = [
            measure(calls, || bare.fresh())?,
            bare.warm(calls)?,
            measure(calls, || cost(words.inspect(&call)))?,
            measure(calls, || chain(&[&words, &absent, &other], &rule, &call))?,
        ];
        for (row, sample) in rows.iter_mut().zip(samples) {
            row.runs.push(sample);
        }
    }
    let notes = engine.notes();
    if arguments.iter().any(|argument| argument == "--json") {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        println!(
            "{}",
            serde_json::json!({ "pooling": notes.pooling, "pagemap_scan": notes.pagemap_scan, "rows": rows })
        );
    } else {
        println!("wasmtime {}, pooling {}, PAGEMAP_SCAN {}", notes.wasmtime, notes.pooling, notes.pagemap_scan);
        for row in &rows {
            row.print();
        }
    }
    Ok(())
}

impl Row {
    fn figures(&self, pick: impl Fn(&Sample) -> f64) -> [f64; 3] {
        let mut all: Vec<f64> = self.runs.iter().map(pick).collect();
        all.sort_by(f64::total_cmp);
        let at = |position: usize| all.get(position).copied().unwrap_or_default();
        [at(all.len() / 2), at(0), at(all.len().saturating_sub(1))]
    }

    fn fuel(&self) -> u64 {
        self.runs.first().map_or(0, |sample| sample.fuel)
    }

    fn json(&self) -> serde_json::Value {
        let (p50, p99) = (self.figures(|sample| sample.p50), self.figures(|sample| sample.p99));
        serde_json::json!({ "name": self.name, "p50_us": p50, "p99_us": p99, "fuel": self.fuel() })
    }

    fn print(&self) {
        let ([p50, low, high], [p99, ..]) = (self.figures(|sample| sample.p50), self.figures(|sample| sample.p99));
        println!("{:22} p50 {p50:6.1} us ({low:.1}..{high:.1})  p99 {p99:7.1} us  fuel {}", self.name, self.fuel());
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

fn guest(name: &str) -> Result<Vec<u8>, Failure> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/guests/{name}.wasm"));
    std::fs::read(&path).map_err(|error| format!("{}: {error}; run `cargo xtask guests`", path.display()).into())
}

fn load(engine: &Engine, name: &str, config: &str) -> Result<Plugin, Failure> {
    let bytes = guest(name)?;
    let (grants, limits) = (Grants::default(), Limits::default());
    Ok(engine.load(&Source { name, tenant: "acme", bytes: &bytes, config, grants: &grants, limits })?)
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
        let bytes = guest("good_detector")?;
        let (plan, instrumented) = wizer.instrument_component(&bytes)?;
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
