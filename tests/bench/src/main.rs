//! Measures the built binary and its parts and writes `docs/benchmarks.md` and the table of `docs/plugins/cost.md`.
//!
//! Wall-clock figures of a shared machine are noisy: every row is the median of several runs with its range, the time of
//! one disk sync stands beside latencies, and fuel beside plugin times.
#![forbid(unsafe_code)]

mod approvals;
mod figures;
mod languages;
mod load;
mod proxy;
mod server;
mod stream;
mod swaps;
mod upstream;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use serde_json::Value;
use test_suite::root;

use crate::figures::Figure;

/// Measure and write docs/benchmarks.md and docs/plugins/cost.md.
#[derive(Debug, Parser)]
struct Arguments {
    /// Runs of each measurement.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds of each closed loop.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Only print; leave the pages as they are.
    #[arg(long)]
    print: bool,
    /// Measure this part only, and only print.
    #[arg(long)]
    only: Option<Part>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Plugins in the engine.
    Plugins,
    /// The ledger alone.
    Ledger,
    /// Inspect API, memory, cold start.
    Server,
    /// The proxy path.
    Proxy,
    /// Parked calls.
    Approvals,
    /// Pipelines that are swapped under load.
    Swaps,
    /// A plugin in each language.
    Languages,
}

/// A row of the page.
struct Row {
    what: String,
    figure: String,
    bar: String,
}

impl Row {
    fn new(what: impl Into<String>, figure: impl Into<String>, bar: &str) -> Self {
        Self { what: what.into(), figure: figure.into(), bar: bar.to_owned() }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut rows = Vec::new();
    let wanted = |part| arguments.only.is_none_or(|only| only == part);
    if wanted(Part::Plugins) {
        progress("plugins: fresh, warm, bare wasmtime, chain of 4, Rego");
        rows.extend(example("portcullis-engine", "chain", arguments.runs)?);
    }
    if wanted(Part::Ledger) {
        progress("ledger: group commit at 1, 8 and 64 callers, verify");
        rows.extend(example("portcullis-ledger", "bench", arguments.runs)?);
    }
    if wanted(Part::Server) {
        progress("server: inspect API, memory, cold start");
        rows.extend(server::rows(&arguments)?);
    }
    if wanted(Part::Proxy) {
        rows.extend(proxy::rows(&arguments)?);
    }
    if wanted(Part::Approvals) {
        progress("approvals: park, decide, release; a long list");
        rows.extend(approvals::rows(&arguments)?);
    }
    if wanted(Part::Swaps) {
        progress("swaps: calls while pipelines are swapped");
        rows.extend(swaps::rows(&arguments)?);
    }
    let page = page(&rows)?;
    let keep = !arguments.print && arguments.only.is_none();
    if !rows.is_empty() {
        println!("{page}");
    }
    if keep {
        std::fs::write(root().join("docs/benchmarks.md"), page)?;
    }
    if wanted(Part::Languages) {
        let table = languages::table(&arguments)?;
        println!("{table}");
        if keep {
            languages::write(&table)?;
        }
    }
    Ok(())
}

fn progress(what: &str) {
    eprintln!("measuring {what} …");
}

/// Runs an example that measures a crate from inside. It prints one JSON object:
/// `{"rows":[{"what","bar","note","figures":[{"name","unit","runs":[…]}]}]}`.
fn example(package: &str, name: &str, runs: usize) -> Result<Vec<Row>> {
    let path = root().join("target/release/examples").join(name);
    ensure!(path.is_file(), "{package}: example {name} is not built; run `cargo xtask bench`");
    let output = Command::new(&path).args(["--json", "--runs", &runs.to_string()]).current_dir(root()).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{package}: example {name} failed: {errors}");
    let value: Value =
        serde_json::from_slice(&output.stdout).with_context(|| format!("{package}: {name} printed no JSON"))?;
    let rows = value.get("rows").and_then(Value::as_array).context("no rows")?;
    rows.iter()
        .map(read_row)
        .collect::<Option<Vec<Row>>>()
        .with_context(|| format!("{package}: {name}: a row is cut off"))
}

fn read_row(row: &Value) -> Option<Row> {
    let text = |key: &str| row.get(key)?.as_str();
    let mut parts = Vec::new();
    for figure in row.get("figures")?.as_array()? {
        let runs: Option<Vec<f64>> = figure.get("runs")?.as_array()?.iter().map(Value::as_f64).collect();
        let (name, unit) = (figure.get("name")?.as_str()?, figure.get("unit")?.as_str()?);
        parts.push(format!("{name} {} {unit}", Figure::from(runs?)));
    }
    parts.extend(text("note").filter(|note| !note.is_empty()).map(str::to_owned));
    Some(Row::new(text("what")?, parts.join("; "), text("bar")?))
}

fn page(rows: &[Row]) -> Result<String> {
    let mut out = String::from(
        "# Benchmarks\n\nWritten by `cargo xtask bench` from a real run. Medians with [least to most] over the runs; fresh plugin \
         instances with fuel and epochs on, real `fdatasync`, about 1 KiB of arguments; \"direct\" is the same without \
         Portcullis. The machine was shared: read ratios, and repeat before quoting.\n\n",
    );
    writeln!(out, "Machine: {}.\n", machine())?;
    writeln!(out, "| what | figure | first bar / goal |\n|---|---|---|")?;
    for row in rows {
        writeln!(out, "| {} | {} | {} |", row.what, row.figure, row.bar)?;
    }
    Ok(out)
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, name)| name.trim());
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let version = Command::new("rustc")
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let disk = if Path::new("/sys/block/vda").exists() { "virtual disk" } else { "disk" };
    format!(
        "{cores} cores of {model}, {disk}, Linux {}, {}, load before {}",
        kernel.trim(),
        version.unwrap_or_default().trim(),
        load.split(' ').next().unwrap_or_default()
    )
}
