//! What a plugin costs in each language: the detector of the templates, made, built and measured as its author would.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_suite::{Projects, printed, root};

use crate::figures::Figure;
use crate::{Arguments, machine};

/// Where the table stands.
const PAGE: &str = "docs/plugins/cost.md";
const BEGIN: &str = "<!-- begin: written by `cargo xtask bench` -->\n";
const END: &str = "<!-- end -->\n";
/// The one that is measured, beside the cases of the template.
const CASE: &str = "1 KiB of ordinary text";
/// Calls of one run.
const CALLS: &str = "300";
/// Languages as `plugin new` knows them, and their names.
const LANGUAGES: &[(&str, &str)] = &[
    ("rust", "Rust"),
    ("c", "C"),
    ("zig", "Zig"),
    ("assemblyscript", "AssemblyScript"),
    ("go", "Go"),
    ("js", "JavaScript"),
    ("ts", "TypeScript"),
    ("python", "Python"),
];

/// How instances are made and used, and how often calls come.
const FRESH: &[&str] = &["--ahead", "0"];
const PACED: &[&str] = &["--ahead", "0", "--every-ms", "5"];
const AHEAD: &[&str] = &["--ahead", "4", "--every-ms", "5"];
const REUSED: &[&str] = &["--ahead", "1", "--reuse", "1000", "--every-ms", "5"];

/// The table for people, one row for each language whose tool is there.
pub(crate) fn table(settings: &Arguments) -> Result<String> {
    let projects = Projects::new("languages-bench")?;
    let mut table = format!(
        "Machine: {}. The example detector of the templates looks for one word in {CASE}; medians with [least to most] over {} \
         runs of {CALLS} calls.\n\n\
         | language | component | built again | loaded | call after call, p50 / p99 | every 5 ms: fresh | made ahead | reused | \
         fuel | memory |\n|---|---|---|---|---|---|---|---|---|---|\n",
        machine(),
        settings.runs
    );
    for (language, name) in LANGUAGES {
        if !projects.can(language) {
            crate::progress(&format!("languages: {language} is not installed, left out"));
            continue;
        }
        crate::progress(&format!("languages: {language}"));
        row(&projects, language, name, settings.runs, &mut table).with_context(|| (*language).to_owned())?;
    }
    Ok(table)
}

fn row(projects: &Projects, language: &str, name: &str, runs: usize, table: &mut String) -> Result<()> {
    let folder = projects.make(language, "detector", &format!("{language}-cost"))?;
    let text = "The quarterly report lists revenue by region and the notes explain each change. ".repeat(13);
    let case = json!({
        "name": CASE, "config": { "words": ["plutonium"] }, "payload": { "path": "q3.txt", "content": text },
        "expect": { "count": 0, "findings": [] },
    });
    fs::write(folder.join("cases/cost.json"), case.to_string())?;
    let built = command(projects, &folder, &["build"])?;
    let mut again = Figure::none();
    let source = folder.join(Projects::source(language));
    for _ in 0..runs {
        let author = fs::read_to_string(&source)?;
        fs::write(&source, format!("{author}\n"))?;
        again.push(number(&command(projects, &folder, &["build"])?, "millis")? / 1e3);
    }
    let mut loaded = Figure::none();
    let mut times = [(); 4].map(|()| (Figure::none(), Figure::none()));
    let (mut fuel, mut memory) = (0.0, 0.0);
    for _ in 0..runs {
        for (instances, (p50, p99)) in [FRESH, PACED, AHEAD, REUSED].iter().zip(&mut times) {
            let mut arguments = vec!["bench", "--no-build", "--only", CASE, "--calls", CALLS, "--deadline-ms", "20000"];
            arguments.extend(*instances);
            let run = command(projects, &folder, &arguments)?;
            p50.push(number(&run, "p50_micros")?);
            p99.push(number(&run, "p99_micros")?);
            if *instances == FRESH {
                loaded.push(number(&run, "load_ms")?);
                (fuel, memory) = (number(&run, "fuel")?, number(&run, "memory")?);
            }
        }
    }
    let [fresh, paced, ahead, reused] = times;
    let component = Figure::from(vec![number(&built, "bytes")? / 1024.0]);
    let (fuel, memory) = (Figure::from(vec![fuel]), Figure::from(vec![memory / 1024.0]));
    writeln!(
        table,
        "| {name} | {} KiB | {again} s | {loaded} ms | {} / {} us | {} us | {} us | {} us | {} | {} KiB |",
        component.one(),
        fresh.0,
        fresh.1.one(),
        paced.0,
        ahead.0,
        reused.0,
        fuel.one(),
        memory.one()
    )?;
    Ok(())
}

/// What `portcullis plugin …` says to programs.
fn command(projects: &Projects, folder: &Path, arguments: &[&str]) -> Result<Value> {
    let run = projects.portcullis(folder, &[&["plugin"], arguments, &["--json"]].concat())?;
    ensure!(run.status.success(), "plugin {}: {}", arguments.join(" "), printed(&run));
    Ok(serde_json::from_slice(&run.stdout)?)
}

fn number(value: &Value, key: &str) -> Result<f64> {
    value.get(key).and_then(Value::as_f64).with_context(|| format!("no {key} in {value}"))
}

/// Puts the table into its page.
pub(crate) fn write(table: &str) -> Result<()> {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).context(PAGE)?;
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("{PAGE}: no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{PAGE}: no line {END}"))?;
    fs::write(path, format!("{before}{BEGIN}\n{table}\n{END}{after}"))?;
    Ok(())
}
