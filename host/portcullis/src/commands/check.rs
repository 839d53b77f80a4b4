//! `portcullis check`: everything that a start would do with the configuration, without serving.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::iter;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use portcullis_pipeline::Generation;
use serde_json::{Map, Value, json};

use super::Settings;
use crate::assemble;
use crate::channels;
use crate::cli::{Check, Where};
use crate::config::{self, Config};
use crate::host;
use crate::outside;
use crate::policies::Edited;
use crate::progress::Progress;
use crate::trials::{Trials, described};

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
fn check(arguments: &Check) -> Result<(Vec<Value>, Vec<String>)> {
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
    let candidates =
        assemble::candidates(&settings.config, settings.place.as_ref(), &Edited::default(), &pipelines, &progress)?;
    let mut tried = HashMap::new();
    for candidate in candidates {
        let candidate = candidate.build(&engine, &Trials::default(), &progress)?;
        let mut about = about(candidate.generation());
        about.insert("trial".to_owned(), described(candidate.trial()).into());
        tried.insert(Arc::clone(candidate.generation().tenant()), Value::from(about));
    }
    let mut tenants = Vec::new();
    for pipeline in pipelines {
        let generation = pipeline.build(&engine, &progress)?;
        let mut about = about(&generation);
        about.insert("tenant".to_owned(), json!(pipeline.spec.tenant));
        about.insert("mode".to_owned(), json!(generation.mode()));
        about.insert("candidate".to_owned(), tried.remove(&pipeline.spec.tenant).unwrap_or_default());
        tenants.push(Value::from(about));
    }
    Ok((tenants, warnings))
}

fn about(generation: &Generation) -> Map<String, Value> {
    let summary = generation.summary();
    let plugins = summary.plugins.iter().map(|plugin| {
        json!({
            "name": plugin.name, "role": plugin.role, "digest": plugin.digest, "tier": plugin.tier, "prepared": plugin.prepared,
            "on_failure": plugin.on_failure,
        })
    });
    let about = [
        ("generation", json!(generation.id())),
        ("plugins", plugins.collect()),
        ("warnings", json!(generation.warnings())),
    ];
    about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
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

fn report(json: bool, tenants: &[Value], warnings: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({ "good": true, "tenants": tenants, "warnings": warnings }))?;
        return Ok(());
    }
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
        plugins(&mut out, tenant)?;
        if let Some(candidate) = tenant.get("candidate").filter(|candidate| candidate.is_object()) {
            writeln!(out, "  candidate {}: {}", text(candidate, "generation"), text(candidate, "trial"))?;
            plugins(&mut out, candidate)?;
        }
    }
    Ok(())
}

/// The plugins of a pipeline, and what is amiss with it.
fn plugins(out: &mut impl io::Write, pipeline: &Value) -> io::Result<()> {
    let list = |key: &str| pipeline.get(key).and_then(Value::as_array).into_iter().flatten();
    for plugin in list("plugins") {
        writeln!(
            out,
            "  {:<22} {:<9} {:<11} on failure {:<7} configured {}",
            text(plugin, "name"),
            text(plugin, "role"),
            text(plugin, "tier"),
            text(plugin, "on_failure"),
            text(plugin, "prepared")
        )?;
    }
    for warning in list("warnings") {
        writeln!(out, "  note: {}", warning.as_str().unwrap_or_default())?;
    }
    Ok(())
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}
