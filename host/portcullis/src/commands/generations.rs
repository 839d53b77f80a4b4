//! `portcullis generations …`: which pipeline is in force, asked of the server that runs on the data folder.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ledger::printable;
use super::{server, text};
use crate::cli::{self, Log};
use crate::remote::Server;

pub(crate) fn run(command: &cli::Generations) -> Result<ExitCode> {
    match command {
        cli::Generations::List { log } => list(log),
        cli::Generations::Show { log, generation } => show(log, generation.as_deref()),
        cli::Generations::Diff { log, from, to } => diff(log, from.as_deref(), to.as_deref()),
        cli::Generations::Activate { log, generation } => activate(log, generation),
        cli::Generations::Rollback { log } => rollback(log),
        cli::Generations::Report { log } => report(log),
        cli::Generations::Promote { log, withdrawn } => end_trial(log, "promote", *withdrawn),
        cli::Generations::Drop { log } => end_trial(log, "drop", false),
    }
}

fn list(log: &Log) -> Result<ExitCode> {
    let server = server(log, false)?;
    let history = History::read(&server)?;
    if log.json {
        println!("{}", Value::Array(history.0));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(preparing) = server.get("/v1/generations")?.get("preparing").filter(|one| one.is_object()) {
        println!("{}", printable(&prepared(preparing)));
    }
    // A file that was refused, for instance: what is in force is not what is written then.
    let health = server.get("/readyz").unwrap_or_default();
    for problem in health.get("problems").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        println!("! {}", printable(problem));
    }
    for past in &history.0 {
        println!("{}", line(past));
    }
    let configured = |past: &Value| flag(past, "configured");
    if history.0.first().is_some_and(|first| !configured(first)) {
        let said = history.0.iter().find(|past| configured(past)).map(|past| short(past, "/generation"));
        println!("not what the configuration says, which is {}", said.as_deref().unwrap_or("not kept"));
    }
    Ok(ExitCode::SUCCESS)
}

/// How far a generation is that is being prepared.
fn prepared(preparing: &Value) -> String {
    let number = |key: &str| preparing.get(key).and_then(Value::as_u64).unwrap_or_default();
    let mut out = format!("+ being prepared for {} s: {}", number("took_ms") / 1000, text(preparing, "/phase"));
    for (before, key) in [(" ", "/plugin"), (" of ", "/tenant")] {
        if let Some(name) = preparing.pointer(key).and_then(Value::as_str) {
            out.push_str(&format!("{before}{name}"));
        }
    }
    if number("of") > 0 {
        out.push_str(&format!(", plugin {} of {}", number("number"), number("of")));
    }
    out
}

fn line(past: &Value) -> String {
    let names = past.pointer("/plugins").and_then(Value::as_array);
    let names: Vec<_> = names.into_iter().flatten().map(|plugin| text(plugin, "/name")).collect();
    let mark = if flag(past, "current") { "*" } else { " " };
    let since = past.get("activated_ms").and_then(Value::as_u64).unwrap_or_default();
    printable(&format!(
        "{mark} {}  {}  {:<16} {:<9} {}",
        short(past, "/generation"),
        time(since),
        text(past, "/by"),
        text(past, "/why"),
        names.join(", "),
    ))
}

fn show(log: &Log, generation: Option<&str>) -> Result<ExitCode> {
    let server = server(log, false)?;
    let history = History::read(&server)?;
    let past = match generation {
        Some(name) => history.find(name)?,
        None => history.0.first().context("no generation is in force")?,
    };
    if log.json {
        println!("{past}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("generation  {}", text(past, "/generation"));
    let said = if flag(past, "configured") { "" } else { "; not what the configuration says" };
    let force = if flag(past, "current") { "in force" } else { "kept" };
    println!("state       {force}{said}");
    let since = time(past.get("activated_ms").and_then(Value::as_u64).unwrap_or_default());
    println!("put there   {}", printable(&format!("{since} by {}: {}", text(past, "/by"), text(past, "/why"))));
    for plugin in past.pointer("/plugins").and_then(Value::as_array).into_iter().flatten() {
        let number = |key: &str| plugin.get(key).and_then(Value::as_u64).unwrap_or_default();
        let quarantine = if flag(plugin, "quarantined") {
            format!(", in quarantine: {} calls did not go to it", number("skipped"))
        } else {
            String::new()
        };
        let name = format!("{} {}", text(plugin, "/role"), text(plugin, "/name"));
        println!(
            "  {}",
            printable(&format!(
                "{name:<32} {}  {}  {} calls, {} faults{quarantine}",
                short(plugin, "/digest"),
                text(plugin, "/tier"),
                number("calls"),
                number("faults"),
            ))
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn diff(log: &Log, from: Option<&str>, to: Option<&str>) -> Result<ExitCode> {
    let server = server(log, false)?;
    let history = History::read(&server)?;
    let mut path = "/v1/generations/diff?".to_owned();
    for (key, name) in [("from", from), ("to", to)] {
        if let Some(name) = name {
            path = format!("{path}{key}={}&", text(history.find(name)?, "/generation"));
        }
    }
    let found = server.get(path.trim_end_matches(['?', '&']))?;
    if log.json {
        println!("{found}");
    } else {
        print!("{}", differences(&found));
    }
    let empty = |pointer| found.pointer(pointer).and_then(Value::as_array).is_none_or(Vec::is_empty);
    Ok(if empty("/changes") && empty("/plugins") { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn differences(found: &Value) -> String {
    let mut out = format!("from {} to {}\n", short(found, "/from"), short(found, "/to"));
    let mut add = |indent: &str, line: &str| {
        out.push_str(indent);
        out.push_str(&printable(line));
        out.push('\n');
    };
    let list = |value: &Value, pointer: &str| -> Vec<Value> {
        value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let change = |change: &Value| {
        let value =
            |key: &str| change.get(key).filter(|value| !value.is_null()).map_or("-".to_owned(), Value::to_string);
        format!("{}: {} -> {}", text(change, "/at"), value("from"), value("to"))
    };
    for one in list(found, "/changes") {
        add("", &change(&one));
    }
    for plugin in list(found, "/plugins") {
        add("", &format!("{} {}", text(&plugin, "/what"), text(&plugin, "/plugin")));
        for one in list(&plugin, "/changes") {
            add("  ", &change(&one));
        }
        if let Some(more) = plugin.get("more").and_then(Value::as_u64).filter(|more| *more > 0) {
            add("  ", &format!("and {more} more"));
        }
    }
    out
}

fn activate(log: &Log, generation: &str) -> Result<ExitCode> {
    let server = server(log, true)?;
    let history = History::read(&server)?;
    let name = text(history.find(generation)?, "/generation");
    step(log, &server, &history, &format!("/v1/generations/{name}/activate"))
}

fn rollback(log: &Log) -> Result<ExitCode> {
    let server = server(log, true)?;
    let history = History::read(&server)?;
    step(log, &server, &history, "/v1/generations/rollback")
}

/// Says what it saw: of two who go back at once, one does.
fn step(log: &Log, server: &Server, history: &History, path: &str) -> Result<ExitCode> {
    let first = history.0.first().context("no generation is in force")?;
    let done = server.post(path, &json!({ "from": text(first, "/generation") }).to_string())?;
    if log.json {
        println!("{done}");
    } else {
        println!("in force: {} in place of {}", short(&done, "/to"), short(&done, "/from"));
    }
    Ok(ExitCode::SUCCESS)
}

fn report(log: &Log) -> Result<ExitCode> {
    let trial = server(log, false)?.get("/v1/generations/shadow")?;
    if log.json {
        println!("{trial}");
        return Ok(ExitCode::SUCCESS);
    }
    let number = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let list = |value: &Value, pointer: &str| -> Vec<Value> {
        value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    println!(
        "candidate {} beside {}: {}",
        short(&trial, "/generation"),
        short(&trial, "/beside"),
        text(&trial, "/standing")
    );
    if trial.pointer("/evidence").is_some_and(Value::is_object) {
        let part = |key: &str| trial.pointer(&format!("/evidence/{key}")).and_then(Value::as_f64).unwrap_or_default();
        let bound = text(&trial, "/evidence/bound");
        println!("withdrawn: {bound} {:.4} is more than {:.4}", part("seen"), part("allowed"));
    }
    for (name, side) in [("canary", "/canary"), ("in force", "/live")] {
        if number(&trial, &format!("{side}/calls")) > 0 {
            let part = |key: &str| number(&trial, &format!("{side}/{key}"));
            println!(
                "{name:<8}  {} calls of late, {} traps, {} deadlines, {} denied, mean {} us, p50 {} us, p99 {} us",
                part("calls"),
                part("traps"),
                part("deadlines"),
                part("denied"),
                part("mean_us"),
                part("p50_us"),
                part("p99_us")
            );
        }
    }
    let part = |key: &str| number(&trial, &format!("/report/{key}"));
    println!(
        "shadow    {} copies, {} judged, {} given up, {} with another verdict, {} with a failure",
        part("sampled"),
        part("judged"),
        part("dropped"),
        part("changed"),
        part("failed")
    );
    if part("unsent") > 0 {
        println!(
            "          {} not compared: a plugin asked outside what the pipeline in force did not ask, and nothing was sent",
            part("unsent")
        );
    }
    for tool in list(&trial, "/report/tools") {
        let changes = list(&tool, "/changes").into_iter();
        let changes: Vec<_> = changes
            .map(|one| format!("{} -> {}: {}", text(&one, "/from"), text(&one, "/to"), number(&one, "/calls")))
            .collect();
        let changes = if changes.is_empty() { "same verdicts".to_owned() } else { changes.join(", ") };
        let (calls, unsent) = (number(&tool, "/calls"), number(&tool, "/unsent"));
        let said = match (calls, unsent) {
            (_, 0) => changes,
            (0, unsent) => format!("{unsent} not compared"),
            (_, unsent) => format!("{changes}; {unsent} not compared"),
        };
        let side = |side: &str| {
            let part = |key: &str| number(&tool, &format!("/{side}/{key}"));
            format!(
                "fuel {}, mean {} us, p99 {} us, {} failed",
                part("fuel_mean"),
                part("mean_us"),
                part("p99_us"),
                part("failed")
            )
        };
        println!("  {}", printable(&format!("{:<24} {}; {said}", text(&tool, "/tool"), counted(calls))));
        if calls > 0 {
            println!("    in force   {}", side("live"));
            println!("    candidate  {}", side("candidate"));
        }
    }
    for example in list(&trial, "/report/examples").iter().take(10) {
        let said = |side: &str| {
            let codes =
                list(example, &format!("/{side}/reasons")).into_iter().chain(list(example, &format!("/{side}/faults")));
            let mut codes: Vec<_> = codes.filter_map(|code| code.as_str().map(str::to_owned)).collect();
            codes.dedup();
            format!("{} [{}]", text(example, &format!("/{side}/verdict")), codes.join(", "))
        };
        println!(
            "  {}",
            printable(&format!(
                "{} {} {}: {} -> {}",
                text(example, "/id"),
                text(example, "/agent"),
                text(example, "/tool"),
                said("live"),
                said("candidate")
            ))
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn counted(calls: u64) -> String {
    if calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") }
}

/// Names what it saw: nobody puts another one in force than was looked at.
fn end_trial(log: &Log, how: &str, withdrawn: bool) -> Result<ExitCode> {
    let server = server(log, true)?;
    let trial = server.get("/v1/generations/shadow")?;
    if how == "promote" && !withdrawn && text(&trial, "/standing") == "withdrawn" {
        bail!(
            "the candidate was withdrawn by its bounds, `portcullis generations report` says why; --withdrawn puts it in force all the same"
        );
    }
    let candidate = text(&trial, "/generation");
    let meant = match withdrawn {
        true => json!({ "candidate": candidate, "withdrawn": true }),
        false => json!({ "candidate": candidate }),
    };
    let done = server.post(&format!("/v1/generations/candidate/{how}"), &meant.to_string())?;
    if log.json {
        println!("{done}");
    } else if how == "promote" {
        println!("in force: {} in place of {}", short(&done, "/to"), short(&done, "/from"));
    } else {
        println!("not tried any more: {}", short(&done, "/dropped"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is kept of a tenant, latest first.
struct History(Vec<Value>);

impl History {
    fn read(server: &Server) -> Result<Self> {
        let answer = server.get("/v1/generations/history")?;
        let history = answer.get("history").and_then(Value::as_array).context("the server sent no history")?;
        Ok(Self(history.clone()))
    }

    /// The one whose name begins like this.
    fn find(&self, name: &str) -> Result<&Value> {
        let begins = |past: &&Value| {
            let whole = text(past, "/generation");
            whole.starts_with(name) || whole.strip_prefix("sha256:").is_some_and(|hex| hex.starts_with(name))
        };
        let mut found = self.0.iter().filter(begins);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => bail!("no generation that is kept begins with {name}: see `portcullis generations list`"),
            (Some(_), Some(_)) => bail!("several generations begin with {name}: give more of the name"),
        }
    }
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// The first digits of a digest.
fn short(value: &Value, pointer: &str) -> String {
    let whole = text(value, pointer);
    let hex = whole.strip_prefix("sha256:").unwrap_or(&whole);
    hex.get(..12).unwrap_or(hex).to_owned()
}

fn time(ms: u64) -> String {
    let ms = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(ms).map_or_else(|_| "-".to_owned(), |time| time.to_string())
}
