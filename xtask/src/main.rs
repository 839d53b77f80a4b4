//! Set-up, guests, build, tests and benchmarks of this repository: `cargo xtask --help`.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod fuzz;
mod guests;
mod inputs;
mod setup;
mod test;
mod toolchain;
mod training;
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
    /// Installs what guests need, builds plugins and binary, and starts the server with the embedded default.
    Up {
        /// More arguments of `portcullis serve`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Builds plugins and the binary that holds them: target/release/portcullis.
    Build,
    /// Checks everything that CI checks.
    Test,
    /// Measures and writes docs/benchmarks.md.
    Bench {
        /// Arguments of the measuring program: --runs N, --seconds N, --print, --only PART.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Makes the tables of the detectors from labelled texts anew, the same to the last bit.
    Train {
        /// The folder of labelled texts.
        #[arg(long)]
        data: PathBuf,
        /// Writes nothing, and fails where the committed tables differ from what the texts give.
        #[arg(long)]
        check: bool,
        /// Only this detector.
        #[arg(long)]
        only: Option<String>,
    },
    /// Scores the built detectors on labelled texts, and then tells which goals are met on sources that were left out of training.
    Eval {
        /// A JSONL file or a folder of them: before other arguments. The goals need the folder that the tables were made from.
        #[arg(long)]
        data: PathBuf,
        /// Only the goals.
        #[arg(long)]
        goals: bool,
        /// More arguments of `portcullis eval`: --plugin NAME, --api URL, --pictures DIR, --json. With any of them no goals are told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Looks for inputs for which a property of the doors does not hold.
    Fuzz(fuzz::Arguments),
    /// Installs what the tests need besides Rust.
    Setup,
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
        Task::Up { arguments } => build::up(&root, arguments),
        Task::Build => build::build(&root),
        Task::Test => test::run(&root),
        Task::Bench { arguments } => bench::run(&root, arguments),
        Task::Train { data, check, only } => training::train(&root, data, *check, only.as_deref()),
        Task::Eval { data, goals, arguments } => training::eval(&root, data, *goals, arguments),
        Task::Fuzz(arguments) => fuzz::run(&root, arguments),
        Task::Setup => setup::run(&root),
        Task::Guests(arguments) => guests::run(&root, arguments),
        Task::Wit(arguments) => wit::run(&root, arguments),
    }
}

/// The folder of the workspace.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_path_buf).context("xtask has no parent folder")
}
