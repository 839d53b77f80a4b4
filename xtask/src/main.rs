//! Set-up, guests, build, tests and benchmarks of this repository: `cargo xtask --help`.
#![forbid(unsafe_code)]

mod component;
mod guests;
mod inputs;
mod toolchain;
mod wit;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, guests, build, tests and benchmarks of this repository.")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the plugins into target/plugins and the test guests into target/guests.
    Guests(guests::Arguments),
    /// Checks that no released version of the plugin contract has changed.
    Wit(wit::Arguments),
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    let root = root()?;
    match task {
        Task::Guests(arguments) => guests::run(&root, arguments),
        Task::Wit(arguments) => wit::run(&root, arguments),
    }
}

/// The folder of the workspace.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_path_buf).context("xtask has no parent folder")
}
