//! `test`: everything that CI checks, in the order in which it is cheap to fail.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::fuzz;
use crate::guests::{self, Kind};
use crate::setup::{self, call};
use crate::toolchain::Choice;
use crate::wit;

/// How long each fuzz target runs: what takes longer to find is looked for with `cargo xtask fuzz --seconds N`.
const FUZZ_SECONDS: u64 = 10;
/// A workspace of its own, see there.
const PEERS: &str = "tests/peers/Cargo.toml";

pub(crate) fn run(root: &Path) -> Result<()> {
    let all = Instant::now();
    let cargo = |arguments: &[&str]| {
        let mut command = setup::cargo();
        command.args(arguments).current_dir(root);
        command
    };
    step("set-up", || setup::run(root))?;
    step("formatting", || {
        call(&mut cargo(&["fmt", "--all", "--check"]))?;
        call(&mut cargo(&["fmt", "--check", "--manifest-path", PEERS]))
    })?;
    step("plugin contract", || wit::check(&root.join("wit")).map(drop))?;
    step("guests", || {
        guests::build(root, Kind::Plugins, &[], Choice::Auto)?;
        guests::build(root, Kind::Tests, &[], Choice::Auto).map(drop)
    })?;
    step("peers", || {
        let arguments = ["build", "--locked", "--quiet", "--manifest-path", PEERS, "--target-dir", "target/peers"];
        call(&mut cargo(&arguments))
    })?;
    // One selection of packages for everything: another one would compile wasmtime again with other features.
    step("build", || call(&mut cargo(&["build", "--release", "--workspace", "--all-targets"])))?;
    step("lints", || {
        let clippy = |targets: &[&str], allowed: &[&str]| {
            let mut command = cargo(&["clippy", "--release", "--workspace", "--quiet"]);
            command.args(targets).args(["--", "--deny", "warnings"]);
            command.args(allowed.iter().flat_map(|lint| ["--allow", lint]));
            call(&mut command)
        };
        clippy(&["--lib", "--bins"], &[])?;
        // Test files and examples may panic: that is how a test fails.
        clippy(
            &["--all-targets"],
            &["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::indexing_slicing"],
        )
    })?;
    step("tests", || call(&mut tests(root)))?;
    step("fuzzing", || fuzz::all(root, FUZZ_SECONDS))?;
    step("documentation", || {
        let mut docs = cargo(&["doc", "--release", "--workspace", "--no-deps", "--quiet"]);
        call(docs.env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    step("dependencies", || {
        let checks = ["check", "bans", "licenses", "sources"];
        for folder in ["", "tests/fuzz", "tests/peers"] {
            call(&mut deny(root, &root.join(folder), &checks))?;
        }
        Ok(())
    })?;
    step("advisories", || {
        if let Err(error) = call(&mut deny(root, root, &["check", "advisories"])) {
            // The database may be out of reach; where it is not, an advisory fails the run.
            let known = deny(root, root, &["fetch", "db"]).output().context("cargo deny")?.status.success();
            anyhow::ensure!(!known, "{error:#}");
            println!("the advisory database cannot be reached: not checked");
        }
        Ok(())
    })?;
    println!("everything passed in {} s", all.elapsed().as_secs());
    Ok(())
}

fn tests(root: &Path) -> Command {
    let mut command = setup::cargo();
    let nextest = setup::cargo().args(["nextest", "--version"]).output().is_ok_and(|out| out.status.success());
    if nextest {
        command.args(["nextest", "run", "--release", "--workspace", "--no-fail-fast", "--status-level", "slow"]);
    } else {
        command.args(["test", "--release", "--workspace", "--no-fail-fast", "--all-targets"]);
    }
    command.current_dir(root).env("PORTCULLIS_TEST_PYTHON", setup::python(root));
    command
}

fn deny(root: &Path, workspace: &Path, checks: &[&str]) -> Command {
    let mut command = setup::cargo();
    command.args(["deny", "--log-level", "error", "--config"]).arg(root.join(".ci/deny.toml"));
    command.arg("--manifest-path").arg(workspace.join("Cargo.toml")).args(checks).current_dir(root);
    command
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let started = Instant::now();
    work().with_context(|| name.to_owned())?;
    println!("== {name}: {} s", started.elapsed().as_secs());
    Ok(())
}
