//! `portcullis pins …`: what tools are pinned to, and the word on those that changed, asked of the server that runs on the
//! data folder.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{server, text};
use crate::cli::{self, Log};
use crate::remote::Server;

/// Pins asked for at a time.
const PAGE: usize = 500;
/// Characters of a digest that people see.
const SHORT: usize = "sha256:".len() + 12;

pub(crate) fn run(command: &cli::Pins) -> Result<ExitCode> {
    match command {
        cli::Pins::List { log, waiting } => list(log, *waiting),
        cli::Pins::Diff { log, name } => diff(log, name),
        cli::Pins::Accept { log, name, digest } => accept(log, name, digest.as_deref()),
    }
}

fn all(server: &Server) -> Result<Vec<Value>> {
    let mut pins = Vec::new();
    let mut after = String::new();
    loop {
        let mut answer = server.get(&format!("/v1/pins?limit={PAGE}{after}"))?;
        let page = answer.get_mut("pins").and_then(Value::as_array_mut).context("the server sent no pins")?;
        pins.append(page);
        match answer.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(pins),
        }
    }
}

/// The one pin of this name, with both definitions.
fn one(server: &Server, name: &str) -> Result<Value> {
    let fits = |pin: &&Value| {
        let (upstream, tool) = (text(pin, "/upstream"), text(pin, "/tool"));
        text(pin, "/id") == name || tool == name || format!("{upstream}/{tool}") == name
    };
    let pins = all(server)?;
    let found: Vec<&Value> = pins.iter().filter(fits).collect();
    match found.as_slice() {
        [pin] => server.get(&format!("/v1/pins/{}", text(pin, "/id"))),
        [] => bail!("no tool called `{name}` was listed so far; `portcullis pins list` shows them all"),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|pin| format!("{}/{} ({})", text(pin, "/upstream"), text(pin, "/tool"), text(pin, "/id")))
                .collect();
            bail!("several tools are called `{name}`; name one as UPSTREAM/TOOL or by its id: {}", names.join(", "))
        }
    }
}

fn list(log: &Log, waiting: bool) -> Result<ExitCode> {
    let mut pins = all(&server(log, false)?)?;
    pins.retain(|pin| !waiting || text(pin, "/state") != "pinned");
    if log.json {
        println!("{}", json!({ "pins": pins }));
        return Ok(ExitCode::SUCCESS);
    }
    for pin in &pins {
        println!("{}", line(pin));
    }
    if pins.is_empty() {
        let what = if waiting { "no tool waits to be accepted" } else { "no tool is pinned" };
        println!("{what} in tenant {}", log.tenant);
    }
    Ok(ExitCode::SUCCESS)
}

fn diff(log: &Log, name: &str) -> Result<ExitCode> {
    let pin = one(&server(log, false)?, name)?;
    if log.json {
        println!("{pin}");
    } else {
        print!("{}", differences(&pin));
    }
    // 2 as everywhere: there is something that is not good.
    Ok(if pin.get("pending").is_none_or(Value::is_null) { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn accept(log: &Log, name: &str, digest: Option<&str>) -> Result<ExitCode> {
    let server = server(log, true)?;
    let pin = one(&server, name)?;
    let waits = text(&pin, "/pending/digest");
    if waits.is_empty() {
        bail!(
            "nothing waits at {}/{}: its latest definition is the accepted one",
            text(&pin, "/upstream"),
            text(&pin, "/tool")
        );
    }
    // Without a digest this accepts what it shows, and nothing that comes meanwhile.
    if digest.is_none() && !log.json {
        print!("{}", differences(&pin));
    }
    let body = json!({ "digest": digest.unwrap_or(&waits) });
    let accepted = server.post(&format!("/v1/pins/{}/accept", text(&pin, "/id")), &body.to_string())?;
    if log.json {
        println!("{accepted}");
    } else {
        println!("{}", line(&accepted));
    }
    Ok(ExitCode::SUCCESS)
}

fn time(value: &Value, pointer: &str) -> String {
    let ms = value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn short(digest: &str) -> String {
    digest.get(..SHORT).unwrap_or(digest).to_owned()
}

/// One pin for people, without anything that could fake another line.
fn line(pin: &Value) -> String {
    let state = text(pin, "/state");
    let state = match (&*state, pin.get("vanished").and_then(Value::as_bool)) {
        ("pinned", Some(true)) => "vanished",
        (state, _) => state,
    };
    let digest = |part: &str| short(&text(pin, &format!("/{part}/digest")));
    let rest = match state {
        "changed" => format!("{}, waits {} since {}", digest("pinned"), digest("pending"), time(pin, "/pending/at_ms")),
        "new" => format!("waits {} since {}", digest("pending"), time(pin, "/pending/at_ms")),
        "vanished" => format!("{}, last listed {}", digest("pinned"), time(pin, "/listed_ms")),
        _ => format!("{} by {}, {}", digest("pinned"), text(pin, "/pinned/by"), time(pin, "/pinned/at_ms")),
    };
    let name = format!("{}/{}", text(pin, "/upstream"), text(pin, "/tool"));
    super::ledger::printable(&format!("{state:<9} {name:<32} {rest}"))
}

/// What waits at a pin, for people.
fn differences(pin: &Value) -> String {
    let name = format!("{}/{}", text(pin, "/upstream"), text(pin, "/tool"));
    let mut lines = vec![name];
    if !text(pin, "/pinned/digest").is_empty() {
        let (digest, by) = (text(pin, "/pinned/digest"), text(pin, "/pinned/by"));
        lines.push(format!("  pinned   {digest} by {by}, {}", time(pin, "/pinned/at_ms")));
    }
    let pending = pin.get("pending").filter(|pending| !pending.is_null());
    let Some(pending) = pending else {
        lines.push("  nothing waits: the latest definition is the accepted one".to_owned());
        return printed(&lines);
    };
    lines.push(format!("  waits    {} since {}", text(pending, "/digest"), time(pending, "/at_ms")));
    let changes = pending.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
    for change in &changes {
        lines.push(format!("  {}", text(change, "/at")));
        let part =
            |sign: char, key: &str| change.get(key).and_then(Value::as_str).map(|text| format!("    {sign} {text}"));
        lines.extend(part('-', "from"));
        lines.extend(part('+', "to"));
    }
    match pending.get("more").and_then(Value::as_u64).unwrap_or_default() {
        0 => {}
        more => lines.push(format!("  and {more} more differences; --json shows both definitions")),
    }
    if text(pin, "/pinned/digest").is_empty() {
        lines.push(format!("  new: {}", pending.get("definition").unwrap_or(&Value::Null)));
    } else if changes.is_empty() {
        lines.push("  it differs in a part that is too long to be kept; --json shows what is kept".to_owned());
    }
    printed(&lines)
}

fn printed(lines: &[String]) -> String {
    lines.iter().map(|line| super::ledger::printable(line) + "\n").collect()
}
