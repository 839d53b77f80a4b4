use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::build::{BuildError, Job};
use crate::component::Output;
use crate::tool;

/// Names a zig to use instead of what is found.
const ZIG: &str = "PORTCULLIS_ZIG";
/// How to get it.
pub(super) const INSTALL: &str = "python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.0";
/// Places of Python environments, in the project's folder or in one above it.
const ENVIRONMENTS: &[&str] = &[".venv", "tools/python", "target/tools/python"];

pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let _ = job;
    Err(BuildError::Bindings { language: job.manifest().language, problem: "not written yet".to_owned() })
}

/// The program: the one that `PORTCULLIS_ZIG` names, one from PyPI in an environment of the project or of a folder above it,
/// or one in `PATH`.
pub(super) fn find(project: &Path) -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(ZIG) {
        return Some(program.into());
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
