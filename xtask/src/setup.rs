//! Installs what the tests need besides Rust: everything by the system's package manager, cargo, pip and npm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::toolchain::{self, Choice};

const CARGO_DENY: &str = "0.20.2";
/// Python packages of the real clients, pinned.
const PYTHON: &[&str] =
    &["mcp==2.3.0", "clavenar-agent-sdk==1.5.3", "ardenpy==0.5.7", "langchain-core==1.7.2", "aiosmtpd==1.4.6"];
/// npm packages of the real clients and servers, and Node itself, pinned.
const NODE: &str = "tests/clients/package.json";

/// A Python with the packages of the real clients.
pub(crate) fn python(root: &Path) -> PathBuf {
    root.join("target/tools/python/bin/python")
}

/// Everything; quick when nothing is to do.
///
/// # Errors
/// Something cannot be had; the text says what and how to install it by hand.
pub(crate) fn run(root: &Path) -> Result<()> {
    toolchain::find(Choice::Auto)?;
    programs(&[("c++", "g++"), ("strace", "strace"), ("npm", "npm"), ("python3", "python3-venv")])?;
    cargo_deny()?;
    python_packages(root)?;
    node_packages(root)?;
    // The conformance runs know themselves what they need.
    call(Command::new("python3").arg(root.join("tests/conformance/peers.py")))
}

/// Programs and the Debian packages that bring them.
fn programs(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !found(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    if !found("apt-get") {
        bail!("{names} missing, and there is no apt-get; install them with this system's package manager");
    }
    println!("installing {names}");
    toolchain::apt(&["update"]).with_context(|| format!("installing {names}"))?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&missing);
    toolchain::apt(&arguments).with_context(|| format!("installing {names}"))
}

fn found(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

fn cargo_deny() -> Result<()> {
    if found("cargo-deny") {
        return Ok(());
    }
    println!("installing cargo-deny {CARGO_DENY} (about ten minutes on two cores, once)");
    let arguments = ["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--no-default-features", "--quiet"];
    call(cargo().args(arguments))
}

fn python_packages(root: &Path) -> Result<()> {
    let folder = root.join("target/tools/python");
    let wanted = PYTHON.join("\n");
    if !stale(&folder, &wanted) {
        return Ok(());
    }
    println!("installing the Python packages {} (about half a minute)", PYTHON.join(", "));
    fs::create_dir_all(root.join("target/tools"))?;
    let venv = call(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    venv.context("python3 cannot make a virtual environment; on Debian install python3-venv")?;
    let mut pip = Command::new(python(root));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PYTHON);
    call(&mut pip)?;
    remember(&folder, &wanted)
}

fn node_packages(root: &Path) -> Result<()> {
    let folder = root.join("target/tools/node");
    let wanted = fs::read_to_string(root.join(NODE)).context(NODE)?;
    if !stale(&folder, &wanted) {
        return Ok(());
    }
    println!("installing the npm packages of {NODE} (about half a minute)");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), &wanted)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    call(&mut npm)?;
    remember(&folder, &wanted)
}

const STAMP: &str = ".installed";

fn stale(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).ok().as_deref() != Some(wanted)
}

fn remember(folder: &Path, wanted: &str) -> Result<()> {
    Ok(fs::write(folder.join(STAMP), wanted)?)
}

/// Cargo, as if it was called by hand.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    // Build scripts ask for some of these: with our own in place of none, half of everything would be built again after a
    // `cargo build` by hand, and once more after the next task.
    let ours = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
        command.env_remove(name);
    }
    command
}

/// Runs a command that prints to this terminal; its failure is an error.
pub(crate) fn call(command: &mut Command) -> Result<()> {
    let text = format!("{command:?}").replace('"', "");
    // Without the variables that it is not to have.
    let mut words = text.split(' ').filter(|word| *word != "env");
    let mut shown = Vec::new();
    while let Some(word) = words.next() {
        if word == "-u" {
            let _variable = words.next();
        } else {
            shown.push(word);
        }
    }
    let shown = shown.join(" ");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {shown}"))?;
    if status.success() { Ok(()) } else { bail!("failed ({status}): {shown}") }
}
