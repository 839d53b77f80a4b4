//! `cargo xtask train --data DIR`: the tables of the detectors, from labelled texts.
#![forbid(unsafe_code)]

mod alignment;
mod boost;
mod calls;
mod code;
mod commands;
mod correspondence;
mod data;
mod disguise;
mod figures;
mod fit;
mod generate;
mod goals;
mod injection;
mod instruction;
mod lookalikes;
mod packages;
mod pii;
mod random;
mod records;
mod secrets;
mod shells;
mod texts;
mod tools;
mod trained;
mod triggers;
mod wordings;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::goals::{Goal, Time};
use crate::trained::Trained;

/// Trains from the folder of labelled texts.
type Train = fn(&Path) -> Result<Trained>;

/// Every detector that is trained or validated here.
const DETECTORS: &[(&str, Train)] = &[
    ("detector-injection", injection::train),
    ("detector-instruction", instruction::train),
    ("detector-alignment", alignment::train),
    ("detector-commands", commands::train),
    ("detector-code", code::train),
    ("detector-packages", packages::train),
    ("detector-tools", tools::train),
    ("detector-secrets", secrets::train),
    ("detector-pii", pii::train),
];

#[derive(Parser)]
#[command(about = "Trains the tables of the detectors and scores them on sources that were left out.")]
struct Arguments {
    /// The folder of labelled texts.
    #[arg(long)]
    data: PathBuf,
    /// The repository: tables are written below its `plugins`; nothing is written without it.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Compares with the tables below `plugins` of this repository instead.
    #[arg(long, conflicts_with = "output")]
    check: Option<PathBuf>,
    /// Only this detector.
    #[arg(long)]
    only: Option<String>,
    /// Writes each held-out score, a JSON object in a line.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// Prints the goals and what was reached.
    #[arg(long)]
    goals: bool,
    /// What `portcullis eval --json` printed of texts of 2 KB, for the goal of time.
    #[arg(long, requires = "goals")]
    time: Option<PathBuf>,
    /// Writes texts of 2 KiB to measure time on, and does nothing else.
    #[arg(long)]
    texts: Option<PathBuf>,
    /// For programs.
    #[arg(long, requires = "goals")]
    json: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.texts {
        return texts::write(path);
    }
    let chosen = |name: &str| arguments.only.as_ref().is_none_or(|only| only == name);
    let mut all = Vec::new();
    for (name, train) in DETECTORS.iter().filter(|(name, _)| chosen(name)) {
        eprintln!("{name} …");
        all.push(train(&arguments.data).with_context(|| (*name).to_owned())?);
    }
    if all.is_empty() {
        let known: Vec<&str> = DETECTORS.iter().map(|(name, _)| *name).collect();
        bail!("no such detector; there are {}", known.join(", "));
    }
    if let Some(path) = &arguments.held_out {
        write_held_out(path, &all)?;
    }
    if arguments.goals {
        let time = arguments.time.as_deref().map(time).transpose()?;
        print(&goals::goals(&all, time), arguments.json)?;
    }
    let mut different = Vec::new();
    for trained in &all {
        for (path, bytes) in &trained.files {
            let below = Path::new("plugins").join(trained.package).join(path);
            if let Some(root) = &arguments.output {
                let path = root.join(&below);
                fs::write(&path, bytes).with_context(|| format!("{}: cannot be written", path.display()))?;
            }
            if let Some(root) = &arguments.check
                && fs::read(root.join(&below)).ok().as_ref() != Some(bytes)
            {
                different.push(below.display().to_string());
            }
        }
    }
    if different.is_empty() { Ok(()) } else { bail!("differs from what the data gives: {}", different.join(", ")) }
}

fn write_held_out(path: &Path, all: &[Trained]) -> Result<()> {
    let failed = || format!("{}: cannot be written", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    for one in all.iter().flat_map(|trained| &trained.held_out) {
        serde_json::to_writer(&mut file, one)?;
        file.write_all(b"\n").with_context(failed)?;
    }
    file.flush().with_context(failed)
}

fn print(goals: &[Goal], json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, goals)?;
        return Ok(writeln!(out)?);
    }
    for goal in goals {
        writeln!(out, "{goal}")?;
    }
    let met = goals.iter().filter(|goal| goal.is_met()).count();
    Ok(writeln!(out, "{met} of {} goals are met", goals.len())?)
}

/// What all detectors together took.
fn time(path: &Path) -> Result<Time> {
    let read = || -> Result<Time> {
        let told: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
        let subjects = told.get("subjects").and_then(serde_json::Value::as_array).context("has no `subjects`")?;
        let together = subjects.iter().find(|one| one.get("subject").is_some_and(|name| name == "together"));
        let cost =
            together.and_then(|one| one.pointer("/questions/0/cost")).context("does not tell the cost of all")?;
        let milliseconds = |key: &str| -> Result<f64> {
            let micros =
                cost.get(key).and_then(serde_json::Value::as_f64).with_context(|| format!("has no `{key}`"))?;
            Ok(micros / 1000.0)
        };
        Ok(Time { p50: milliseconds("micros_p50")?, p99: milliseconds("micros_p99")? })
    };
    read().with_context(|| format!("{}: no scores of `portcullis eval --json`", path.display()))
}
