//! Rust: cargo for `wasm32-unknown-unknown`; the SDK's macro puts the types of the world into the module.

use std::path::PathBuf;

use serde::Deserialize;

use crate::build::{BuildError, Job, read};
use crate::component::Output;
use crate::tool::{self, ToolError};
use crate::toolchain::Toolchain;

/// A line of what cargo says to programs.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

/// A failure without the lines that are for programs.
fn readable(error: ToolError) -> ToolError {
    let ToolError::Failed { tool, status, output } = error else { return error };
    let lines: Vec<&str> = output.lines().filter(|line| !line.starts_with("{\"reason\":")).collect();
    ToolError::Failed { tool, status, output: lines.join("\n") }
}

pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let toolchain = Toolchain::installed()?;
    let mut command = toolchain.cargo_build(job.root())?;
    command.args(["--release", "--quiet", "--lib", "--message-format=json-render-diagnostics"]);
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        let folder = job.made("cargo")?;
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(&folder)).unwrap_or(folder);
        command.arg("--target-dir").arg(folder);
    }
    (job.progress)("cargo build (the first one compiles the standard library or the dependencies, too)");
    let said = tool::run(&mut command).map_err(readable)?;
    let said = String::from_utf8_lossy(&said);
    let modules = said.lines().filter_map(|line| {
        let message: Message = serde_json::from_str(line).ok()?;
        let library = message.target?.crate_types.iter().any(|kind| kind == "cdylib");
        let made = message.reason == "compiler-artifact" && library;
        message.filenames.into_iter().find(|name| made && name.extension().is_some_and(|extension| extension == "wasm"))
    });
    let module = modules.into_iter().next_back().ok_or_else(|| ToolError::Failed {
        tool: "cargo".to_owned(),
        status: "no module".to_owned(),
        output: "the crate makes no cdylib; Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`".to_owned(),
    })?;
    Ok(Output::Module(read(&module)?))
}
