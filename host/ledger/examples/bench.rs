//! Speed of the ledger on this machine: `cargo run --release -p portcullis-ledger --example bench -- [--json] [--runs N]
//! [--seconds N] [--verify N] [--folder FOLDER]`.
//!
//! Group commit by 1, 8 and 64 callers in a closed loop, each entry as the gateway writes it (four plugins, 1 KiB of
//! arguments committed to), with the time of a bare `fdatasync` beside it; then the verification of many entries. The runs
//! are interleaved.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis_ledger::{Evidence, Ledger, LedgerConfig};
use portcullis_ledger_verify::Verifier;
use portcullis_model::{
    Decision, Digest, Document, Door, Draft, EntryFinding, EntryKind, EntryPlugin, EntryReason, Mode, Phase, leaf_hash,
};
use serde_json::{Value, json};
use uuid::Uuid;

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let number = |name: &str, default: u64| after(name).map_or(Ok(default), |word| word.parse());
    let (seconds, rounds, verify) = (number("--seconds", 2)?, number("--runs", 5)?, number("--verify", 1_000_000)?);
    let scratch = tempfile::tempdir_in(after("--folder").map_or(".", String::as_str))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let callers = [(1_usize, ""), (8, ""), (64, "20,000 /s / 50,000 /s")];
    let mut runs: Vec<Vec<Run>> = callers.iter().map(|_| Vec::new()).collect();
    let mut syncs = Vec::new();
    for round in 0..rounds {
        syncs.push(sync_time(scratch.path())?);
        for (runs, (callers, _)) in runs.iter_mut().zip(callers) {
            let folder = scratch.path().join(format!("{round}-{callers}"));
            runs.push(runtime.block_on(append(&folder, callers, Duration::from_secs(seconds)))?);
        }
    }
    let mut rows = vec![row("one `fdatasync` of 4 KiB on this disk", "", &[("time", "us", syncs)], "")];
    for ((callers, bar), runs) in callers.iter().zip(&runs) {
        let of = |field: fn(&Run) -> f64| runs.iter().map(field).collect::<Vec<_>>();
        let figures = [
            ("rate", "entries/s", of(|run| run.rate)),
            ("p50", "ms", of(|run| run.p50)),
            ("p99", "ms", of(|run| run.p99)),
            ("group", "entries", of(|run| run.group)),
            ("stored", "bytes/entry", of(|run| run.bytes_per_entry)),
        ];
        rows.push(row(&format!("ledger group commit, {callers} caller(s)"), bar, &figures, ""));
    }
    rows.push(verify_speed(verify, rounds)?);
    if words.iter().any(|word| word == "--json") {
        println!("{}", json!({ "rows": rows }));
    } else {
        rows.iter().for_each(|row| println!("{row}"));
    }
    Ok(())
}

/// A row as the bench reads it: every figure of every run.
fn row(what: &str, bar: &str, figures: &[(&str, &str, Vec<f64>)], note: &str) -> Value {
    let figure = |(name, unit, runs): &(&str, &str, Vec<f64>)| json!({ "name": name, "unit": unit, "runs": runs });
    let figures: Vec<Value> = figures.iter().map(figure).collect();
    json!({ "what": what, "bar": bar, "figures": figures, "note": note })
}

/// One closed loop.
struct Run {
    rate: f64,
    p50: f64,
    p99: f64,
    group: f64,
    bytes_per_entry: f64,
}

async fn append(folder: &Path, callers: usize, time: Duration) -> Result<Run, AnyError> {
    let mut config = LedgerConfig::new(folder);
    config.evidence = Evidence::Commitment;
    if let Ok(micros) = std::env::var("GATHER_MICROS") {
        config.gather = Duration::from_micros(micros.parse()?);
    }
    let ledger = Ledger::open(config)?;
    let payload = Arc::new(payload()?);
    let numbers = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (ledger, payload, numbers) = (ledger.clone(), Arc::clone(&payload), Arc::clone(&numbers));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let begin = Instant::now();
                    ledger.append(draft(&payload, numbers.fetch_add(1, Relaxed))).await?;
                    times.push(begin.elapsed());
                }
                Ok::<_, portcullis_ledger::AppendError>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let elapsed = start.elapsed();
    let metrics = ledger.metrics();
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let entries = times.len() as f64;
    let run = Run {
        rate: entries / elapsed.as_secs_f64(),
        p50: at(50),
        p99: at(99),
        group: entries / metrics.groups as f64,
        bytes_per_entry: metrics.store_bytes as f64 / entries,
    };
    ledger.close().await;
    Ok(run)
}

/// Median time of 4 KiB and `fdatasync`, in microseconds.
fn sync_time(folder: &Path) -> Result<f64, AnyError> {
    let mut file = File::create(folder.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[7; 4096])?;
        let begin = Instant::now();
        file.sync_data()?;
        times.push(begin.elapsed());
    }
    times.sort();
    Ok(times.get(100).map_or(0.0, |time| time.as_secs_f64() * 1e6))
}

fn verify_speed(count: u64, rounds: u64) -> Result<Value, AnyError> {
    let payload = Arc::new(payload()?);
    let mut rows = Vec::new();
    let mut prev = Digest::default();
    for seq in 0..count {
        let mut entry = draft(&payload, seq).into_entry(Some(prev), Some(prev));
        (entry.seq, entry.prev) = (seq, prev);
        let bytes = entry.encode()?;
        prev = leaf_hash(&bytes);
        rows.push(bytes);
    }
    let bytes: usize = rows.iter().map(Vec::len).sum();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        let mut verifier = Verifier::new(None);
        for chunk in rows.chunks(8192) {
            verifier.push_all(chunk);
        }
        let report = verifier.finish();
        if report.entries != count {
            return Err(report.to_string().into());
        }
        times.push(begin.elapsed().as_secs_f64());
    }
    let note = format!("{} bytes per entry", bytes as u64 / count.max(1));
    Ok(row(&format!("ledger verify, {count} entries"), "1 M in 5 s / 1 s", &[("time", "s", times)], &note))
}

fn payload() -> Result<Document, AnyError> {
    Ok(Document::parse(format!("{{\"path\":\"/srv/report\",\"text\":\"{}\"}}", "x".repeat(980)))?)
}

fn draft(payload: &Arc<Document>, number: u64) -> Draft {
    let plugin = |name: &str| EntryPlugin {
        name: name.into(),
        digest: Digest::of(name.as_bytes()),
        fuel: 120_000,
        fault: None,
        answers: None,
    };
    Draft {
        kind: EntryKind::Decision,
        tenant: "acme".into(),
        id: Uuid::from_u128(u128::from(number)),
        time_ms: 1_795_000_000_000 + number,
        agent: "agent".into(),
        session: Some("session".into()),
        door: Door::Inspect,
        upstream: Some("files".into()),
        tool: Some("read_file".into()),
        phase: Phase::Call,
        mode: Mode::Enforce,
        decision: Some(Decision::Redact),
        reasons: vec![EntryReason { code: "secret".into(), plugin: "rule-baseline".into() }],
        findings: vec![EntryFinding { plugin: "detector-secrets".into(), category: "secret.token".into(), score: 900 }],
        plugins: ["detector-injection", "detector-commands", "detector-secrets", "rule-baseline"].map(plugin).into(),
        generation: Some(Digest::of(b"generation")),
        approval: None,
        outcome: None,
        duration_ms: None,
        call_digest: Some(Digest::of(b"call")),
        payload: Some(Arc::clone(payload)),
        note: None,
    }
}
