//! `portcullis-ledger-verify FILE`: verifies an exported ledger, offline, without anything of the server.
//!
//! Exit codes: 0 the log is good, 2 the log is bad, 1 it could not be checked.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;

use portcullis_ledger_verify::{Head, read_export};

const USAGE: &str = "usage: portcullis-ledger-verify [--json] [--head TENANT SEQ HASH] FILE
Verifies a ledger export (FILE, or - for standard input): encoding, numbers, chain and head.
  --head  the last entry as you know it from elsewhere, for instance from a receipt: shows a log that was cut or replaced
  --json  print the report as JSON
Exit codes: 0 good, 2 bad, 1 could not be checked.";

struct Arguments {
    json: bool,
    head: Option<Head>,
    file: String,
}

fn main() -> ExitCode {
    if std::env::args().skip(1).any(|word| matches!(word.as_str(), "--help" | "-h")) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            eprintln!("could not check: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let Arguments { json, head, file } = parse(std::env::args().skip(1))?;
    let input: Box<dyn BufRead> = match file.as_str() {
        "-" => Box::new(io::stdin().lock()),
        path => {
            let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
            Box::new(BufReader::with_capacity(1 << 20, file))
        }
    };
    let report = read_export(input, head.as_ref())?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(report.is_good())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, Box<dyn Error>> {
    let (mut json, mut head, mut file) = (false, None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => json = true,
            "--head" => {
                let mut next = || words.next().ok_or(USAGE);
                head = Some(Head { tenant: next()?.into(), seq: next()?.parse()?, hash: next()?.parse()? });
            }
            option if option.starts_with("--") => return Err(format!("{option} is not known\n{USAGE}").into()),
            _ if file.is_some() => return Err(USAGE.into()),
            _ => file = Some(word),
        }
    }
    Ok(Arguments { json, head, file: file.ok_or(USAGE)? })
}
