//! `portcullis inspect`: one verdict, from the running server or worked out here by the same evaluator.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use portcullis_model::{Call, Document, Judgement, Phase};
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use super::Settings;
use crate::assemble;
use crate::cli::Inspect;
use crate::host;
use crate::policies::Edited;
use crate::progress::Progress;
use crate::remote::{Running, Server};

pub(crate) fn run(arguments: &Inspect) -> Result<ExitCode> {
    let verdict = if arguments.offline { offline(arguments)? } else { online(arguments)? };
    if arguments.json {
        println!("{verdict}");
    } else {
        print!("{}", for_people(&verdict));
    }
    let said = verdict.get("verdict").and_then(Value::as_str);
    let approval = verdict.pointer("/approval/state").and_then(Value::as_str);
    Ok(match (said, approval) {
        // An approved review was used up by this call.
        (Some("allow" | "redact"), _) | (Some("review"), Some("approved")) => ExitCode::SUCCESS,
        (Some("deny"), _) => ExitCode::from(2),
        (Some("review"), _) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    })
}

fn online(arguments: &Inspect) -> Result<Value> {
    let settings = Settings::read(&arguments.place)?;
    let server = match &arguments.server {
        Some(url) => Server::new(url, arguments.token.clone()),
        None => {
            let data = settings.data()?;
            let running = Running::on(&data).context("to judge without a server use --offline; --server names one")?;
            running.server(arguments.token.clone())
        }
    };
    let mut body = json!({ "tool": arguments.tool, "phase": Phase::from(arguments.phase).as_str(), "explain": true });
    let optional = [("session", &arguments.session), ("upstream", &arguments.upstream), ("task", &arguments.task)];
    for (name, value) in optional {
        if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
            body.insert(name.to_owned(), Value::from(value.as_str()));
        }
    }
    let mut text = body.to_string();
    // The payload goes in as written: numbers and duplicate members are the server's to judge.
    text.truncate(text.len() - 1);
    text.push_str(&format!(",\"arguments\":{}", raw(&arguments.arguments)?));
    if let Some(content) = &arguments.content {
        text.push_str(&format!(",\"content\":{}", raw(content)?));
    }
    text.push('}');
    server.post("/v1/inspect", &text)
}

fn offline(arguments: &Inspect) -> Result<Value> {
    let settings = Settings::read(&arguments.place)?;
    let pipelines =
        assemble::pipelines(&settings.config, settings.place.as_ref(), &Edited::default(), &Progress::default())?;
    let pipeline = pipelines.iter().find(|pipeline| *pipeline.spec.tenant == *arguments.tenant);
    let pipeline = pipeline.with_context(|| format!("there is no tenant `{}`", arguments.tenant))?;
    let engine = host::lone_engine(&settings)?;
    let generation = pipeline.build(&engine, &Progress::default())?;
    let phase = Phase::from(arguments.phase);
    let payload = match (phase, &arguments.content) {
        (Phase::Call, None) => &arguments.arguments,
        (Phase::Call, Some(_)) => bail!("--content belongs to the phases result, listing and message"),
        (_, Some(content)) => content,
        (_, None) => bail!("the phase {} needs --content", phase.as_str()),
    };
    let payload = Document::parse(read(payload)?).context("the payload is not a JSON document")?;
    let shared = |text: &Option<String>| text.as_deref().map(Arc::from);
    let call = Call {
        id: Uuid::now_v7(),
        phase,
        tenant: Arc::clone(&pipeline.spec.tenant),
        agent: "local".into(),
        session: shared(&arguments.session),
        persona: None,
        task: shared(&arguments.task),
        upstream: shared(&arguments.upstream),
        tool: arguments.tool.as_str().into(),
        payload: Arc::new(payload),
        time_ms: u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
        attached: None,
    };
    verdict(&call, &generation.judge(&call))
}

/// The judgement in the words of the inspect API.
fn verdict(call: &Call, judgement: &Judgement) -> Result<Value> {
    let replacement = judgement.replacement.as_ref().map(|document| document.raw().to_owned());
    let replacement = replacement.map(RawValue::from_string).transpose()?;
    let (arguments, content) = if call.phase == Phase::Call { (replacement, None) } else { (None, replacement) };
    Ok(json!({
        "id": call.id,
        "verdict": judgement.decision.as_str(),
        "mode": judgement.mode.as_str(),
        "reasons": judgement.reasons,
        "findings": judgement.findings,
        "arguments": arguments,
        "content": content,
        "approval": null,
        "generation": judgement.generation,
        "entry": null,
        "plugins": judgement.plugins,
    }))
}

/// The JSON text that an argument is, or that stands in the file it names.
pub(super) fn raw(argument: &str) -> Result<String> {
    let text = read(argument)?;
    serde_json::from_str::<&RawValue>(&text).with_context(|| format!("not JSON: {}", short(argument)))?;
    Ok(text)
}

fn read(argument: &str) -> Result<String> {
    match argument.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("{file}: cannot be read")),
        None => Ok(argument.to_owned()),
    }
}

/// Names a file, and keeps literal arguments out of messages.
fn short(argument: &str) -> &str {
    argument.strip_prefix('@').unwrap_or("the value on the command line")
}

fn for_people(verdict: &Value) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |key: &str| verdict.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = format!("{} ({})\n", text(verdict, "verdict"), text(verdict, "mode"));
    for reason in list("reasons") {
        out.push_str(&format!(
            "  {}: {} [{}]\n",
            text(&reason, "code"),
            text(&reason, "message"),
            text(&reason, "plugin")
        ));
    }
    for finding in list("findings") {
        let score = finding.get("score").and_then(Value::as_f64).unwrap_or_default();
        let places = finding.get("spans").and_then(Value::as_array).into_iter().flatten();
        let mut places: Vec<_> = places.map(|span| text(span, "pointer")).collect();
        places.dedup();
        let at = if places.is_empty() { String::new() } else { format!(" at {}", places.join(", ")) };
        let (category, plugin) = (text(&finding, "category"), text(&finding, "plugin"));
        out.push_str(&format!("  {category} {score:.2}: {}{at} [{plugin}]\n", text(&finding, "message")));
    }
    for key in ["arguments", "content"] {
        if let Some(value) = verdict.get(key).filter(|value| !value.is_null()) {
            out.push_str(&format!("  {key} to forward: {value}\n"));
        }
    }
    if let Some(approval) = verdict.get("approval").filter(|approval| !approval.is_null()) {
        let state = text(approval, "state");
        let stands = match &*state {
            "approved" => "approved: this call may run, once; the next one like it asks again".to_owned(),
            "pending" => format!("pending until {}", text(approval, "deadline")),
            _ => state,
        };
        out.push_str(&format!("  approval {} {stands}\n", text(approval, "id")));
    }
    for plugin in list("plugins") {
        let number = |key: &str| plugin.get(key).and_then(Value::as_u64).unwrap_or(0);
        let fault = plugin.get("fault").and_then(Value::as_str).map(|fault| format!(", {fault}")).unwrap_or_default();
        out.push_str(&format!(
            "  {}: {} fuel, {} us{fault}\n",
            text(&plugin, "name"),
            number("fuel"),
            number("micros")
        ));
    }
    out
}
