//! Runs every folder in `tests/scenarios`: adding one needs no Rust. Their README says what may stand in them.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use test_suite::{Server, Setup, fits, root};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows.
    #[allow(dead_code, reason = "for readers of the file")]
    about: String,
    /// Requests in order.
    steps: Vec<Step>,
    /// Entries that the tenant's log must hold after the steps, in order, activations left out.
    #[serde(default)]
    entries: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default = "post")]
    method: String,
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// A JSON body.
    body: Option<Value>,
    /// A body as it is, for what JSON cannot say.
    raw: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default = "ok")]
    status: u16,
    json: Option<Value>,
    /// Pieces that the body must hold.
    #[serde(default)]
    contains: Vec<String>,
    /// Pieces that the body must not hold.
    #[serde(default)]
    lacks: Vec<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

fn post() -> String {
    "POST".to_owned()
}

fn ok() -> u16 {
    200
}

#[test]
fn every_scenario_holds() {
    let mut failures = Vec::new();
    let mut count = 0;
    let mut folders: Vec<_> =
        fs::read_dir(root().join("tests/scenarios")).unwrap().map(|one| one.unwrap().path()).collect();
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.join("scenario.json").is_file()) {
        count += 1;
        if let Err(problem) = run(folder) {
            failures.push(format!("{}: {problem}", folder.file_name().unwrap().to_string_lossy()));
        }
    }
    assert!(count > 0, "no scenario was found");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
}

fn run(folder: &Path) -> Result<(), String> {
    let text = fs::read_to_string(folder.join("scenario.json")).map_err(|error| error.to_string())?;
    let scenario: Scenario = serde_json::from_str(&text).map_err(|error| format!("scenario.json: {error}"))?;
    let config = fs::read_to_string(folder.join("portcullis.toml")).ok();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|one| one.unwrap().path()).filter(|path| path.is_file()) {
        files.push((entry.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&entry).unwrap()));
    }
    let server = Server::start(&Setup { config, files, ..Setup::default() }).map_err(|error| format!("{error:#}"))?;
    for (index, step) in scenario.steps.iter().enumerate() {
        take(&server, step).map_err(|problem| format!("step {index}: {problem}"))?;
    }
    if scenario.entries.is_empty() {
        return Ok(());
    }
    let (code, out, errors) = server
        .portcullis(&["ledger", "show", "--json", "--limit", "1000", "--data", "data"])
        .map_err(|error| error.to_string())?;
    if code != 0 {
        return Err(format!("ledger show: {errors}"));
    }
    let entries = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let calls: Vec<Value> = entries.filter(|entry| entry["kind"] != "activation" && entry["kind"] != "trial").collect();
    fits(&Value::from(scenario.entries), &Value::from(calls)).map_err(|problem| format!("entries{problem}"))
}

fn take(server: &Server, step: &Step) -> Result<(), String> {
    let mut headers: Vec<(&str, &str)> =
        step.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = match (&step.body, &step.raw) {
        (Some(body), _) => body.to_string(),
        (None, Some(raw)) => raw.clone(),
        (None, None) => String::new(),
    };
    if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type", "application/json"));
    }
    let answer = server
        .request(&step.method, &step.path, &headers, body.as_bytes())
        .map_err(|error| format!("{error:#}; {}", server.errors().unwrap_or_default()))?;
    let text = answer.text();
    if answer.status != step.expect.status {
        return Err(format!("status {} instead of {}: {text}", answer.status, step.expect.status));
    }
    for (name, value) in &step.expect.headers {
        if answer.header(name) != Some(value) {
            return Err(format!("header {name} is {:?}", answer.header(name)));
        }
    }
    if let Some(piece) = step.expect.contains.iter().find(|piece| !text.contains(*piece)) {
        return Err(format!("{piece:?} is not in {text}"));
    }
    if let Some(piece) = step.expect.lacks.iter().find(|piece| text.contains(*piece)) {
        return Err(format!("{piece:?} is in the body"));
    }
    match &step.expect.json {
        Some(expected) => fits(expected, &answer.json().map_err(|error| error.to_string())?),
        None => Ok(()),
    }
}
