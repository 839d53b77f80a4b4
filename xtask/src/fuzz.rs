//! `fuzz`: builds the fuzz targets of `tests/fuzz` with the coverage counters of the stable compiler, and runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::{call, cargo};

/// What cargo-fuzz passes on when no sanitizer is asked for. There is no unsafe code to sanitize.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Longest input in bytes: more tells nothing new and takes longer.
const LONGEST: u32 = 4096;

/// Arguments of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The target; none: all of them, one after the other.
    target: Option<String>,
    /// Seconds for each target, besides going through its corpus.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// One target or all.
///
/// # Errors
/// A property does not hold; the error names the file with the input.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let known = targets(root)?;
    let wanted = match &arguments.target {
        Some(name) if !known.contains(name) => bail!("there is no fuzz target {name}; there are {}", known.join(", ")),
        Some(name) => std::slice::from_ref(name),
        None => known.as_slice(),
    };
    let folder = build(root)?;
    wanted.iter().try_for_each(|name| fuzz(root, &folder, name, arguments.seconds))
}

/// All targets, for as long each.
pub(crate) fn all(root: &Path, seconds: u64) -> Result<()> {
    run(root, &Arguments { target: None, seconds })
}

fn targets(root: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(root.join("tests/fuzz/targets"))?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let mut names: Vec<String> = paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Builds and gives the folder of the programs.
fn build(root: &Path) -> Result<PathBuf> {
    let version = Command::new("rustc").arg("-vV").output().context("rustc does not answer")?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let target = root.join("target/fuzz");
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--quiet", "--manifest-path", "tests/fuzz/Cargo.toml"]);
    // With a target named, build scripts and macros are built without the flags.
    cargo.args(["--target", host, "--target-dir"]).arg(&target).current_dir(root);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}")).env_remove("RUSTFLAGS");
    call(&mut cargo)?;
    Ok(target.join(host).join("release"))
}

fn fuzz(root: &Path, folder: &Path, name: &str, seconds: u64) -> Result<()> {
    println!("fuzzing {name} for {seconds} s");
    let kept = root.join("tests/fuzz/corpus").join(name);
    // New inputs go to the first folder; what is kept is chosen by hand.
    let (grown, found) = (root.join("target/fuzz/corpus").join(name), root.join("target/fuzz/found").join(name));
    fs::create_dir_all(&grown)?;
    fs::create_dir_all(&found)?;
    let log = root.join(format!("target/fuzz/{name}.log"));
    let mut command = Command::new(folder.join(name));
    command.args([&grown, &kept]).current_dir(root);
    command.arg(format!("-dict={}", root.join(format!("tests/fuzz/dictionaries/{name}.txt")).display()));
    command.arg(format!("-artifact_prefix={}/", found.display()));
    command.args([format!("-max_total_time={seconds}"), format!("-max_len={LONGEST}")]);
    command.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"]);
    let output = command.output().with_context(|| format!("cannot run the fuzz target {name}"))?;
    fs::write(&log, &output.stderr)?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        let last = text.lines().rev().find(|line| line.starts_with("Done ")).unwrap_or("done");
        println!("{name}: {last}");
        return Ok(());
    }
    bail!(
        "{name}: {}\nThe whole output is in {}. After mending it, put the input into tests/fuzz/corpus/{name} under a name \
         that says what was wrong.",
        told(&text).join("\n"),
        log.display()
    )
}

/// The lines of a failure that say what failed, and where the input is.
fn told(text: &str) -> Vec<&str> {
    let ends = |line: &&str| !["stack backtrace:", "note: ", "=="].iter().any(|start| line.starts_with(start));
    let what = text.lines().skip_while(|line| !line.contains(" panicked at ")).take_while(ends);
    let place = text.lines().filter(|line| line.contains("Test unit written to ") || line.starts_with("SUMMARY: "));
    what.chain(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_failed_and_where_the_input_is() {
        let text = "#2\tINITED cov: 1\n\nthread '<unnamed>' (7) panicked at sse.rs:1:2:\nassertion failed\n  left: 1\n right: 2\n\
                    stack backtrace:\n   0: main\n==7== ERROR: libFuzzer: deadly signal\n\
                    SUMMARY: libFuzzer: deadly signal\nartifact_prefix='f/'; Test unit written to f/crash-1\nBase64: AA==\n";
        let expected = [
            "thread '<unnamed>' (7) panicked at sse.rs:1:2:",
            "assertion failed",
            "  left: 1",
            " right: 2",
            "SUMMARY: libFuzzer: deadly signal",
            "artifact_prefix='f/'; Test unit written to f/crash-1",
        ];
        assert_eq!(told(text), expected);
        // A run that took too long has no panic.
        assert_eq!(told("ALARM: working\nSUMMARY: libFuzzer: timeout\n"), ["SUMMARY: libFuzzer: timeout"]);
    }
}
