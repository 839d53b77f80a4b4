//! `portcullis check`: everything that a start would do with the configuration, without serving.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::iter;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::Settings;
use crate::assemble;
use crate::channels;
use crate::cli::{Check, Where};
use crate::config::{self, Config};
use crate::host;
use crate::outside;
use crate::policies::Edited;
use crate::progress::Progress;
use crate::trials::Trials;

pub(crate) fn run(arguments: &Check) -> Result<ExitCode> {
    match check(arguments) {
        Ok((tenants, warnings)) => {
            report(arguments.json, &tenants, &warnings)?;
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

/// The tenants, and what is amiss, but not so that it could not be served.
fn check(arguments: &Check) -> Result<(Vec<serde_json::Value>, Vec<String>)> {
    let settings = Settings::read(&Where { config: arguments.config.clone(), data: None })?;
    assemble::directory(&settings.config, settings.place.as_ref(), None, None)?;
    host::upstreams(&settings.config, settings.place.as_ref(), &[])?;
    assemble::arden(&settings.config, settings.place.as_ref())?;
    let mut warnings =
        assemble::tls(&settings.config, settings.place.as_ref())?.map(|tls| tls.warnings).unwrap_or_default();
    warnings.extend(missing_programs(&settings.config));
    warnings.extend(patterns_without_upstream(&settings.config));
    channels::channels(&settings.config, settings.place.as_ref())?;
    let progress = Progress::default();
    let pipelines = assemble::pipelines(&settings.config, settings.place.as_ref(), &Edited::default(), &progress)?;
    warnings.extend(channels::warnings(&settings.config, &pipelines));
    warnings.extend(outside::warnings(&settings.config, &pipelines));
    let engine = host::lone_engine(&settings)?;
    for tried in
        assemble::candidates(&settings.config, settings.place.as_ref(), &Edited::default(), &pipelines, &progress)?
    {
        tried.build(&engine, &Trials::default(), &progress)?;
    }
    let mut tenants = Vec::new();
    for pipeline in pipelines {
        let generation = pipeline.build(&engine, &progress)?;
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

/// A program that is not there fails with the first session only.
fn missing_programs(config: &Config) -> Vec<String> {
    let path = |upstream: &config::Upstream| {
        upstream.env.get("PATH").map(OsString::from).or_else(|| env::var_os("PATH")).unwrap_or_default()
    };
    let there = |upstream: &config::Upstream, program: &str| match program.contains('/') {
        true => Path::new(program).exists(),
        false => env::split_paths(&path(upstream)).any(|folder| folder.join(program).is_file()),
    };
    let programs = config.upstream.iter().enumerate();
    let programs = programs.filter_map(|(index, one)| Some((index, one, one.command.as_ref()?.first()?)));
    let missing = programs.filter(|(_, upstream, program)| !there(upstream, program));
    missing
        .map(|(index, _, program)| format!("upstream[{index}].command: {program:?} is not there or not in PATH"))
        .collect()
}

/// A pattern that names an upstream fits no tool if there is none of that name, on the command line neither.
fn patterns_without_upstream(config: &Config) -> Vec<String> {
    let known = |name: &str| {
        name.contains(['*', '?', '[', '{']) || config.upstream.iter().any(|one| one.name.eq_ignore_ascii_case(name))
    };
    let mut warnings = Vec::new();
    for (index, tenant) in config.tenant.iter().enumerate() {
        let key = format!("tenant[{index}]");
        let agents = tenant.agent.iter().enumerate();
        let agents = agents.map(|(index, agent)| (format!("{key}.agent[{index}].tools"), &agent.tools));
        for (key, tools) in iter::once((format!("{key}.tools"), &tenant.tools)).chain(agents) {
            let named =
                tools.allow.iter().chain(&tools.hide).filter_map(|pattern| Some((pattern, pattern.split_once('/')?.0)));
            let unknown = named.filter(|(_, upstream)| !known(upstream));
            warnings.extend(unknown.map(|(pattern, upstream)| {
                format!("{key}: {pattern:?} fits no tool of this file's upstreams: none is called {upstream:?}")
            }));
        }
    }
    warnings
}

fn report(json: bool, tenants: &[serde_json::Value], warnings: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({ "good": true, "tenants": tenants, "warnings": warnings }))?;
        return Ok(());
    }
    let text = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|value| value.as_str()).unwrap_or("-").to_owned()
    };
    for warning in warnings {
        writeln!(out, "note: {warning}")?;
    }
    for tenant in tenants {
        writeln!(
            out,
            "good: tenant {} ({}), generation {}",
            text(tenant, "tenant"),
            text(tenant, "mode"),
            text(tenant, "generation")
        )?;
        for plugin in tenant.get("plugins").and_then(|plugins| plugins.as_array()).into_iter().flatten() {
            writeln!(
                out,
                "  {:<22} {:<9} {:<11} {:<9} on failure {}",
                text(plugin, "name"),
                text(plugin, "role"),
                text(plugin, "tier"),
                text(plugin, "prepared"),
                text(plugin, "on_failure")
            )?;
        }
        for warning in tenant.get("warnings").and_then(|warnings| warnings.as_array()).into_iter().flatten() {
            writeln!(out, "  note: {}", warning.as_str().unwrap_or_default())?;
        }
    }
    Ok(())
}
