//! `train`, `eval`: the tables of the detectors, and what they come to.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::build;
use crate::setup::{call, cargo};

/// The detectors that read the text of a result.
const TEXT_DETECTORS: [&str; 4] = ["detector-injection", "detector-instruction", "detector-secrets", "detector-pii"];

/// Tables from labelled texts.
pub(crate) fn train(root: &Path, data: &Path, check: bool, only: Option<&str>) -> Result<()> {
    let mut training = training(root, data)?;
    training.arg(if check { "--check" } else { "--output" }).arg(root);
    if let Some(only) = only {
        training.args(["--only", only]);
    }
    call(&mut training)?;
    println!(
        "{}",
        if check {
            "the tables are those of the texts"
        } else {
            "tables written; `git diff --stat` tells which changed"
        }
    );
    Ok(())
}

/// Builds, scores the built detectors, and tells which goals are met.
pub(crate) fn eval(root: &Path, data: &Path, goals: bool, arguments: &[String]) -> Result<()> {
    ensure!(data.exists(), "{}: is not there", data.display());
    ensure!(!goals || arguments.is_empty(), "--goals goes with no argument of `portcullis eval`");
    build::build(root)?;
    if !goals {
        call(portcullis(root).arg("eval").arg(data).args(arguments))?;
    }
    if !arguments.is_empty() || !data.is_dir() {
        return Ok(());
    }
    let folder = root.join("target/eval");
    fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let (texts, time) = (folder.join("texts.jsonl"), folder.join("time.json"));
    call(training(root, data)?.arg("--texts").arg(&texts))?;
    let told = File::create(&time).with_context(|| format!("{}: cannot be written", time.display()))?;
    let plugins = TEXT_DETECTORS.iter().flat_map(|name| ["--plugin", name]);
    call(portcullis(root).arg("eval").arg(&texts).args(plugins).arg("--json").stdout(told))?;
    println!();
    call(training(root, data)?.arg("--goals").arg("--time").arg(&time))
}

fn portcullis(root: &Path) -> Command {
    Command::new(root.join("target/release/portcullis"))
}

/// The program that trains, built.
fn training(root: &Path, data: &Path) -> Result<Command> {
    if !data.is_dir() {
        bail!("{}: is no folder of labelled texts", data.display());
    }
    call(cargo().args(["build", "--quiet", "--release", "--package", "training"]).current_dir(root))?;
    let mut training = Command::new(root.join("target/release/training"));
    training.arg("--data").arg(data);
    Ok(training)
}
