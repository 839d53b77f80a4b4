//! The Portcullis binary: arguments, configuration, wiring.
#![forbid(unsafe_code)]

mod assemble;
mod channels;
mod cli;
mod commands;
mod config;
mod descriptors;
mod embedded;
mod host;
mod judge;
mod live;
mod logs;
mod outside;
mod pins;
mod policies;
mod progress;
mod reference;
mod remote;
mod sources;
mod trials;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::cli::{Cli, Command, ReferenceFormat};

fn main() -> ExitCode {
    quiet_about_closed_output();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; 2 would read as a deny.
            let status = if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            let _printed = error.print();
            return status;
        }
    };
    run(&cli.command).unwrap_or_else(|error| {
        // Who reads the output has enough.
        let enough = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
        if !error.downcast_ref().is_some_and(enough) {
            eprintln!("error: {error:#}");
        }
        ExitCode::FAILURE
    })
}

/// `print!` panics where nobody reads any more, as behind `| head`: that is no fault, and nothing to report.
fn quiet_about_closed_output() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let closed = |text: &str| text.starts_with("failed printing to std") && text.contains("Broken pipe");
        if panic.payload_as_str().is_some_and(closed) {
            std::process::exit(1);
        }
        report(panic);
    }));
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Serve(arguments) => commands::serve::run(arguments),
        Command::Wrap(arguments) => commands::wrap::run(arguments),
        Command::Check(arguments) => commands::check::run(arguments),
        Command::Inspect(arguments) => commands::inspect::run(arguments),
        Command::Ledger(command) => commands::ledger::run(command),
        Command::Approvals(command) => commands::approvals::run(command),
        Command::Generations(command) => commands::generations::run(command),
        Command::Pins(command) => commands::pins::run(command),
        Command::Plugin(command) => commands::plugin::run(command),
        Command::Eval(arguments) => commands::eval::run(arguments),
        Command::Token { prefix } => commands::token::run(prefix),
        Command::Reference { format } => {
            let text = match format {
                ReferenceFormat::Markdown => reference::markdown()?,
                ReferenceFormat::Schema => reference::schema()?,
            };
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
    }
}
