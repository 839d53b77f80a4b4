//! `portcullis check`: everything that a start would do with the configuration, without serving.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::Settings;
use crate::assemble;
use crate::cli::{Check, Where};
use crate::host;

pub(crate) fn run(arguments: &Check) -> Result<ExitCode> {
    match check(arguments) {
        Ok((tenants, warnings)) => {
            report(arguments.json, &tenants, &warnings);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if arguments.json => {
            println!("{}", json!({ "good": false, "error": format!("{error:#}") }));
            Ok(ExitCode::from(2))
        }
        Err(error) => {
            eprintln!("bad: {error:#}");
            Ok(ExitCode::from(2))
        }
    }
}

/// The tenants, and what is wrong with certificates, but not so that it could not be served.
fn check(arguments: &Check) -> Result<(Vec<serde_json::Value>, Vec<String>)> {
    let settings = Settings::read(&Where { config: arguments.config.clone(), data: None })?;
    assemble::directory(&settings.config, settings.place.as_ref(), None, "")?;
    host::upstreams(&settings.config, &[])?;
    let warnings =
        assemble::tls(&settings.config, settings.place.as_ref())?.map(|tls| tls.warnings).unwrap_or_default();
    let engine = host::engine(&settings, None)?;
    let mut tenants = Vec::new();
    for pipeline in assemble::pipelines(&settings.config, settings.place.as_ref())? {
        let generation = pipeline.build(&engine)?;
        tenants.push(json!({
            "tenant": pipeline.spec.tenant, "mode": generation.mode(), "generation": generation.id(),
            "plugins": generation.summary().plugins.iter().map(|plugin| json!({
                "name": plugin.name, "role": plugin.role, "digest": plugin.digest, "tier": plugin.tier, "prepared": plugin.prepared,
                "on_failure": plugin.on_failure,
            })).collect::<Vec<_>>(),
            "warnings": generation.warnings(),
        }));
    }
    Ok((tenants, warnings))
}

fn report(json: bool, tenants: &[serde_json::Value], warnings: &[String]) {
    if json {
        println!("{}", json!({ "good": true, "tenants": tenants, "warnings": warnings }));
        return;
    }
    let text = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|value| value.as_str()).unwrap_or("-").to_owned()
    };
    for warning in warnings {
        println!("note: {warning}");
    }
    for tenant in tenants {
        println!(
            "good: tenant {} ({}), generation {}",
            text(tenant, "tenant"),
            text(tenant, "mode"),
            text(tenant, "generation")
        );
        for plugin in tenant.get("plugins").and_then(|plugins| plugins.as_array()).into_iter().flatten() {
            println!(
                "  {:<22} {:<9} {:<11} {:<9} on failure {}",
                text(plugin, "name"),
                text(plugin, "role"),
                text(plugin, "tier"),
                text(plugin, "prepared"),
                text(plugin, "on_failure")
            );
        }
        for warning in tenant.get("warnings").and_then(|warnings| warnings.as_array()).into_iter().flatten() {
            println!("  note: {}", warning.as_str().unwrap_or_default());
        }
    }
}
