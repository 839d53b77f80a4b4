//! `portcullis plugin …`

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use portcullis_engine::{Engine, EngineConfig, Snapshotting};
use portcullis_model::Digest;
use serde_json::json;

use crate::cli;
use crate::embedded;

pub(crate) fn run(command: &cli::Plugin) -> Result<ExitCode> {
    match command {
        cli::Plugin::List => {
            for (name, bytes) in embedded::plugins() {
                println!("{name:<20} {:>8} bytes  {}", bytes.len(), Digest::of(bytes));
            }
        }
        cli::Plugin::Inspect { file, json } => inspect(file, *json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn inspect(file: &str, json: bool) -> Result<()> {
    let bytes = if file.ends_with(".wasm") {
        std::fs::read(file).with_context(|| format!("{file}: cannot be read"))?
    } else {
        embedded::plugin(file)?.to_vec()
    };
    let engine = Engine::new(EngineConfig { slots: 4, ..EngineConfig::default() })?;
    let about = engine.describe(&bytes).with_context(|| file.to_owned())?;
    let snapshot = match &about.snapshot {
        Snapshotting::Possible => "possible".to_owned(),
        Snapshotting::Impossible(reason) => format!("not possible: {reason}"),
    };
    if json {
        let value = json!({
            "digest": about.digest, "bytes": about.size, "role": about.role, "abi": about.abi, "imports": about.imports,
            "asks": about.asks, "tier": about.tier.as_str(), "snapshot": snapshot,
        });
        println!("{value}");
        return Ok(());
    }
    let list = |items: &[String]| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    println!("digest    {}", about.digest);
    println!("size      {} bytes", about.size);
    println!("role      {}", about.role.as_str());
    println!("abi       {}", about.abi);
    println!("tier      {}", about.tier.as_str());
    println!("imports   {}", list(&about.imports));
    println!("asks      {}", list(&about.asks));
    println!("snapshot  {snapshot}");
    Ok(())
}
