//! `portcullis plugin …`

mod project;
mod registry;
mod trial;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use portcullis_engine::{Description, Engine, EngineConfig, Snapshotting};
use portcullis_model::Digest;
use portcullis_registry::Reference;
use serde_json::{Map, Value, json};

use crate::cli;
use crate::commands::ledger::printable;
use crate::embedded;

pub(crate) fn run(command: &cli::Plugin) -> Result<ExitCode> {
    match command {
        cli::Plugin::List => {
            let mut out = io::stdout().lock();
            for (name, bytes) in embedded::plugins() {
                writeln!(out, "{name:<20} {:>8} bytes  {}", bytes.len(), Digest::of(bytes))?;
            }
        }
        cli::Plugin::Inspect(arguments) => inspect(arguments)?,
        cli::Plugin::New { name, lang, role, path } => project::new(name, *lang, (*role).into(), path.as_deref())?,
        cli::Plugin::Build { folder, json } => project::build(folder, *json)?,
        cli::Plugin::Test { subject, only, cases, watch, json } => {
            let chosen = trial::Chosen { only: only.as_deref(), folder: cases.as_deref() };
            return if *watch { trial::watch(subject, &chosen) } else { trial::test(subject, &chosen, *json) };
        }
        cli::Plugin::Run(call) => trial::run(call)?,
        cli::Plugin::Bench(measured) => trial::bench(measured)?,
        cli::Plugin::Push(arguments) => return registry::push(arguments),
        cli::Plugin::Pull(arguments) => return registry::pull(arguments),
        cli::Plugin::Sign(arguments) => return registry::sign(arguments),
        cli::Plugin::Verify(arguments) => return registry::verify(arguments),
        cli::Plugin::Keygen(arguments) => return registry::keygen(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn inspect(arguments: &cli::Inspected) -> Result<()> {
    let cli::Inspected { reference, json, .. } = arguments;
    let (bytes, signed) = match reference.parse()? {
        Reference::BuiltIn(name) => {
            ensure!(arguments.key.is_empty(), "{reference} is built in and carries no signature: leave out --key");
            (embedded::plugin(&name)?.into(), None)
        }
        other => {
            let (bytes, signed) = registry::signatures(&other, arguments)?;
            (bytes, Some(signed))
        }
    };
    let engine = Engine::new(EngineConfig { slots: 4, ..EngineConfig::default() })?;
    let about = engine.describe(&bytes).with_context(|| reference.to_owned())?;
    let mut out = io::stdout().lock();
    if *json {
        let mut value = facts(&about);
        value.insert("manifest".to_owned(), json!(about.manifest));
        value.insert("signatures".to_owned(), json!(signed));
        writeln!(out, "{}", Value::from(value))?;
        return Ok(());
    }
    if let Some(manifest) = &about.manifest {
        // A stranger wrote it.
        let text = |key: &str| printable(manifest.get(key).and_then(serde_json::Value::as_str).unwrap_or_default());
        writeln!(out, "plugin    {} {} ({})", text("name"), text("version"), text("language"))?;
    }
    writeln!(out, "digest    {}", about.digest)?;
    writeln!(out, "size      {} bytes", about.size)?;
    writeln!(out, "role      {}", about.role.as_str())?;
    print(&mut out, &about)?;
    match signed {
        None => writeln!(out, "signed    built in: with the binary")?,
        Some(signed) => signed.print(&mut out)?,
    }
    Ok(())
}

/// What a component is, for programs.
fn facts(about: &Description) -> Map<String, Value> {
    let facts = [
        ("digest", json!(about.digest)),
        ("bytes", json!(about.size)),
        ("role", json!(about.role)),
        ("abi", json!(about.abi)),
        ("imports", json!(about.imports)),
        ("asks", json!(about.asks)),
        ("tier", json!(about.tier.as_str())),
        ("snapshot", json!(snapshot(about))),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a component needs and allows, for people.
fn print(out: &mut impl io::Write, about: &Description) -> Result<()> {
    let list = |items: &[String]| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    writeln!(out, "abi       {}", about.abi)?;
    writeln!(out, "tier      {}", about.tier.as_str())?;
    writeln!(out, "imports   {}", list(&about.imports))?;
    writeln!(out, "asks      {}", list(&about.asks))?;
    writeln!(out, "snapshot  {}", snapshot(about))?;
    Ok(())
}

fn snapshot(about: &Description) -> String {
    match &about.snapshot {
        Snapshotting::Possible => "possible".to_owned(),
        Snapshotting::Impossible(reason) => format!("not possible: {reason}"),
    }
}
