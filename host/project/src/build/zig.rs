//! Zig, freestanding: no library of C, no WASI.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::{self, BuildError, Job};
use crate::component::Output;
use crate::tool::{self, ToolError};

/// Names a zig to use instead of what is found.
const ZIG: &str = "PORTCULLIS_ZIG";
/// The release that the SDK is written for: the language still changes from one to the next.
const RELEASE: &str = "0.17.";
/// How to get it.
pub(super) const INSTALL: &str =
    "run `python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.0` in the project's folder";
/// Places of Python environments, in the project's folder or in one above it.
const ENVIRONMENTS: &[&str] =
    &[".venv", "tools/guest-python", "target/tools/guest-python", "tools/python", "target/tools/python"];

pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let missing = |tool: String| ToolError::Missing { tool, install: INSTALL.to_owned() };
    let program = find(job.root()).ok_or_else(|| missing("zig".to_owned()))?;
    let version = tool::run(Command::new(&program).arg("version"))?;
    let version = String::from_utf8_lossy(&version).trim().to_owned();
    if !version.starts_with(RELEASE) {
        return Err(missing(format!("zig {RELEASE}x is needed and {} is {version}; it", program.display())).into());
    }
    (job.progress)(&format!("zig {version} build-exe"));
    let module = build::absolute(&job.made("zig/plugin.core.wasm")?)?;
    let mut command = Command::new(program);
    command.current_dir(job.root()).args(["build-exe", "-fno-entry", "-rdynamic", "-fstrip", "--stack", "65536"]);
    // What the host calls is in the SDK; it imports the plugin, and both import the SDK's public half.
    for (name, source, imports) in [
        ("root", "sdk/root.zig", &["plugin", "portcullis"][..]),
        ("plugin", "src/plugin.zig", &["portcullis"]),
        ("portcullis", "sdk/portcullis.zig", &[]),
    ] {
        command.args(imports.iter().flat_map(|import| ["--dep", *import]));
        command.args(["-target", "wasm32-freestanding", "-O", "safe"]).arg(format!("-M{name}={source}"));
    }
    command.arg("--cache-dir").arg(module.with_file_name("cache"));
    command.arg(format!("-femit-bin={}", module.display()));
    tool::run_noted(&mut command, job.progress)?;
    Ok(Output::Bare(build::read(&module)?))
}

/// The program that `PORTCULLIS_ZIG` names.
pub(super) fn named() -> Option<PathBuf> {
    std::env::var_os(ZIG).filter(|name| !name.is_empty()).map(PathBuf::from)
}

/// The program: the one that `PORTCULLIS_ZIG` names, one from PyPI in an environment of the project or of a folder above it,
/// or one in `PATH`.
pub(super) fn find(project: &Path) -> Option<PathBuf> {
    if let Some(program) = named() {
        return Some(program);
    }
    let environments = ENVIRONMENTS.iter().flat_map(|name| tool::upward(project, name));
    let packages: Vec<PathBuf> = environments.flat_map(|one| packages(&one)).collect();
    tool::find(&["zig"], &packages)
}

/// Where the package from PyPI lies in a Python environment: the program is part of it.
fn packages(environment: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
    let python = |name: &OsStr| name.to_string_lossy().starts_with("python3");
    let mut found: Vec<PathBuf> =
        versions.filter(|one| python(&one.file_name())).map(|one| one.path().join("site-packages/ziglang")).collect();
    found.sort();
    found
}
