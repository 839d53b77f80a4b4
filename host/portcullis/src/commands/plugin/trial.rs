//! `plugin test`, `plugin run`, `plugin bench`: a component in the real engine.

mod watch;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jsonschema::Validator;
use portcullis_engine::{Folder, Grants, Instances, Limits, MAX_PLUGIN_BYTES, PluginFile};
use portcullis_project::{Ask, Manifest, Project};
use portcullis_registry::read_file;
use portcullis_trial::{Case, Report, Subject, Trial, read_cases};
use serde_json::{Value, json};

use super::project::make;
use crate::cli::{self, Tried};
use crate::commands::inspect::raw;
use crate::commands::ledger::printable;

pub(super) use watch::watch;

/// Stands in grants for what cases answer.
const BY_CASE: &str = "case";

/// Which cases are run.
pub(super) struct Chosen<'a> {
    /// Those whose name holds this.
    pub(super) only: Option<&'a str>,
    /// Those of this folder, in place of the project's.
    pub(super) folder: Option<&'a Path>,
}

impl Chosen<'_> {
    fn read(&self, project: &Project) -> Result<Vec<Case>> {
        let folder = self.folder.map_or_else(|| project.cases(), Path::to_owned);
        let mut cases = read_cases(&folder).map_err(|error| anyhow::anyhow!("{error}"))?;
        cases.retain(|case| self.only.is_none_or(|text| case.name.contains(text)));
        anyhow::ensure!(!cases.is_empty(), "{}: no case has that name", folder.display());
        Ok(cases)
    }
}

/// Builds the project, or takes what is built.
fn subject(tried: &Tried) -> Result<(Project, Subject)> {
    let project = Project::open(&tried.folder)?;
    let subject = subject_of(&project, component(&project, tried)?, tried)?;
    Ok((project, subject))
}

/// The component of a project, built now unless that is not wanted.
fn component(project: &Project, tried: &Tried) -> Result<PluginFile> {
    if !tried.no_build {
        return Ok(PluginFile::new(make(project)?.component));
    }
    let path = project.component();
    anyhow::ensure!(path.exists(), "{}: build it first", path.display());
    let component = read_file(&path, MAX_PLUGIN_BYTES as u64).with_context(|| path.display().to_string())?;
    Ok(PluginFile::new(component))
}

/// A file with what the project's manifest says.
fn subject_of(project: &Project, file: PluginFile, tried: &Tried) -> Result<Subject> {
    let manifest = project.manifest();
    Ok(Subject {
        name: manifest.name.clone(),
        file,
        grants: grants(manifest, &project.cases().join("files"))?,
        limits: limits(manifest, tried.deadline_ms),
        instances: Instances::default(),
        source: None,
    })
}

/// What the manifest asks for. Folders of `files` lie beside the cases, each granted under its name.
fn grants(manifest: &Manifest, files: &Path) -> Result<Grants> {
    let mut grants = Grants::default();
    for ask in &manifest.asks {
        match ask {
            Ask::Clock => grants.clock = true,
            Ask::State => grants.state = true,
            Ask::Labels => grants.labels = true,
            Ask::LockedWasi => grants.locked_wasi = true,
            Ask::Files => {
                let entries = fs::read_dir(files).with_context(|| {
                    format!("{}: put the folders here that the plugin may read in its cases", files.display())
                })?;
                for entry in entries {
                    let entry = entry?;
                    let path = entry.path();
                    // A link could lead anywhere.
                    anyhow::ensure!(entry.file_type()?.is_dir(), "{}: is not a folder", path.display());
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    grants.files.push(Folder { name, path });
                }
            }
            // The case says which templates, hosts and secrets there are.
            Ask::Judge => grants.judge.push(BY_CASE.to_owned()),
            Ask::Http => grants.http.push(BY_CASE.to_owned()),
            Ask::Secrets => grants.secrets.push(BY_CASE.to_owned()),
        }
    }
    Ok(grants)
}

/// What one call may take: the manifest's limits, else the host's defaults.
fn limits(manifest: &Manifest, deadline_ms: Option<u64>) -> Limits {
    let (given, asked) = (Limits::default(), &manifest.limits);
    Limits {
        fuel: asked.fuel.unwrap_or(given.fuel),
        configure_fuel: asked.configure_fuel.unwrap_or(given.configure_fuel),
        memory: asked.memory_mib.map_or(given.memory, |mib| mib.saturating_mul(1 << 20)),
        deadline_ms: deadline_ms.or(asked.deadline_ms).unwrap_or(given.deadline_ms),
        host_calls: asked.host_calls.unwrap_or(given.host_calls),
        output: asked.output_kib.map_or(given.output, |kib| kib.saturating_mul(1 << 10)),
        ..given
    }
}

/// Builds and runs the cases once.
pub(super) fn test(tried: &Tried, chosen: &Chosen<'_>, as_json: bool) -> Result<ExitCode> {
    let (project, subject) = subject(tried)?;
    let cases = chosen.read(&project)?;
    let mut trial = Trial::new(subject, None)?;
    let passed = cases_of(&mut trial, &cases, schema(&project)?.as_ref(), as_json)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// What the project says its configurations are.
fn schema(project: &Project) -> Result<Option<Validator>> {
    let manifest = project.manifest();
    let (Some(schema), Some(name)) = (manifest.schema(project.folder())?, &manifest.config_schema) else {
        return Ok(None);
    };
    let schema = jsonschema::validator_for(&schema).map_err(|error| anyhow::anyhow!("{}: {error}", name.display()))?;
    Ok(Some(schema))
}

/// A configuration that the plugin takes, and its schema does not.
fn refused_by(schema: &Validator, case: &Case) -> Option<String> {
    let none = json!({});
    let config = if case.config.is_null() { &none } else { &case.config };
    let error = schema.iter_errors(config).next()?;
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "the configuration".to_owned() } else { place };
    Some(format!("the plugin takes this configuration, its schema does not: {place}: {error}"))
}

/// Runs cases and prints what came of each; whether all passed.
fn cases_of(trial: &mut Trial, cases: &[Case], schema: Option<&Validator>, as_json: bool) -> Result<bool> {
    let mut out = io::stdout().lock();
    let mut reports = Vec::new();
    for case in cases {
        let mut report = trial.run(case);
        // Only of what the plugin took; it is loaded by now.
        if let Some(schema) = schema.filter(|_| trial.load(&case.config_text()).is_ok()) {
            report.differences.extend(refused_by(schema, case));
        }
        if !as_json {
            print(&mut out, &report)?;
        }
        reports.push(report);
    }
    let failed = reports.iter().filter(|report| !report.differences.is_empty()).count();
    let loading: u64 = reports.iter().filter_map(|report| report.load_micros).sum();
    if as_json {
        let cases: Vec<Value> = reports.iter().map(json_of).collect();
        let passed = reports.len().saturating_sub(failed);
        writeln!(out, "{}", json!({ "cases": cases, "passed": passed, "failed": failed, "load_ms": loading / 1000 }))?;
    } else {
        let count = reports.len();
        let word = if failed == 0 { "all passed".to_owned() } else { format!("{failed} failed") };
        #[allow(clippy::cast_precision_loss, reason = "seconds for people")]
        let seconds = loading as f64 / 1e6;
        writeln!(out, "{count} cases, {word}; configuring and compiling took {seconds:.1} s")?;
    }
    Ok(failed == 0)
}

fn print(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    let word = if report.differences.is_empty() { "ok  " } else { "FAIL" };
    match &report.cost {
        Some(cost) => writeln!(
            out,
            "{word}  {:>10} fuel {:>7} us {:>6} KiB  {}",
            cost.fuel,
            cost.micros,
            cost.memory.div_ceil(1024),
            printable(&report.name)
        )?,
        None => writeln!(out, "{word}  {:>39}  {}", "refused", printable(&report.name))?,
    }
    for difference in &report.differences {
        writeln!(out, "        {}", printable(difference))?;
    }
    Ok(())
}

fn json_of(report: &Report) -> Value {
    json!({
        "name": report.name, "passed": report.differences.is_empty(), "differences": report.differences,
        "fuel": report.cost.as_ref().map(|cost| cost.fuel), "micros": report.cost.as_ref().map(|cost| cost.micros),
        "memory": report.cost.as_ref().map(|cost| cost.memory), "load_micros": report.load_micros,
    })
}

/// Asks about one call.
pub(super) fn run(call: &cli::TriedCall) -> Result<()> {
    let given = |name: &str, argument: &str| -> Result<Value> {
        let text = raw(argument).with_context(|| name.to_owned())?;
        Ok(serde_json::from_str(&text)?)
    };
    let phase: portcullis_model::Phase = call.phase.into();
    let case = json!({
        "name": "run", "config": given("--config", &call.config)?, "payload": given("--arguments", &call.arguments)?,
        "call": { "tool": call.tool, "phase": phase.as_str() }, "findings": given("--findings", &call.findings)?,
        "reasons": call.reasons, "judge": given("--judge", &call.judge)?, "http": given("--http", &call.http)?,
        "secrets": call.secrets, "expect": {},
    });
    let case: Case = serde_json::from_str(&case.to_string())?;
    let (_, subject) = subject(&call.subject)?;
    let mut trial = Trial::new(subject, None)?;
    let answer = trial.answer(&case).map_err(|error| {
        // Loaded by now, or known not to.
        let refused = trial.load(&case.config_text()).is_err_and(|error| error.refused);
        let hint = if refused && case.config.is_null() { "; give a configuration with --config" } else { "" };
        anyhow::anyhow!("{error}{hint}")
    })?;
    writeln!(io::stdout().lock(), "{}", serde_json::to_string_pretty(&answer)?)?;
    Ok(())
}

/// Measures a case.
pub(super) fn bench(measured: &cli::Measured) -> Result<()> {
    let cli::Measured { subject: tried, only, calls, every_ms, ahead, reuse, json: as_json } = measured;
    let calls = *calls;
    let (project, mut subject) = subject(tried)?;
    subject.instances = Instances { ahead: *ahead, reuse: *reuse };
    let cases = Chosen { only: only.as_deref(), folder: None }.read(&project)?;
    let case = cases.iter().find(|case| case.expect.error.is_none()).context("no such case makes a call")?;
    let mut trial = Trial::new(subject, None)?;
    let first = trial.run(case);
    anyhow::ensure!(first.differences.is_empty(), "{}: {}", case.name, first.differences.join("; "));
    let mut micros = Vec::new();
    let (mut fuel, mut memory) = (0, 0);
    for _ in 0..calls {
        thread::sleep(Duration::from_millis(*every_ms));
        let cost = trial.run(case).cost.context("the plugin was not called")?;
        micros.push(cost.micros);
        (fuel, memory) = (cost.fuel, cost.memory);
    }
    micros.sort_unstable();
    let at = |share: usize| micros.get((micros.len() * share / 100).min(micros.len() - 1)).copied().unwrap_or(0);
    let (p50, p99) = (at(50), at(99));
    let load = first.load_micros.unwrap_or(0) / 1000;
    let mut out = io::stdout().lock();
    if *as_json {
        let value = json!({
            "case": case.name, "calls": calls, "p50_micros": p50, "p99_micros": p99, "fuel": fuel, "memory": memory,
            "load_ms": load,
        });
        writeln!(out, "{value}")?;
    } else {
        let instances = match reuse {
            1 => "an instance for each".to_owned(),
            more => format!("up to {more} by one instance"),
        };
        writeln!(out, "{}: {calls} calls, {instances}", case.name)?;
        writeln!(out, "time    p50 {p50} us, p99 {p99} us")?;
        writeln!(out, "fuel    {fuel}")?;
        writeln!(out, "memory  {} KiB", memory.div_ceil(1024))?;
        writeln!(out, "loading {load} ms")?;
    }
    Ok(())
}
