//! `portcullis approvals …`: what waits for a person, asked of the server that runs on the data folder.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::ledger::printable;
use super::{server, text};
use crate::cli::{self, Log};

pub(crate) fn run(command: &cli::Approvals) -> Result<ExitCode> {
    match command {
        cli::Approvals::List { log, all } => list(log, *all),
        cli::Approvals::Show { log, id } => show(log, *id),
        cli::Approvals::Watch { log } => watch(log),
        cli::Approvals::Approve { log, id, comment } => decide(log, *id, "approve", comment.as_deref()),
        cli::Approvals::Deny { log, id, comment } => decide(log, *id, "deny", comment.as_deref()),
    }
}

fn list(log: &Log, all: bool) -> Result<ExitCode> {
    let answer = server(log, false)?.get(if all { "/v1/approvals" } else { "/v1/approvals?state=pending" })?;
    if log.json {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    let approvals = answer.get("approvals").and_then(Value::as_array).context("the server sent no approvals")?;
    for approval in approvals {
        println!("{}", line(approval));
    }
    if approvals.is_empty() {
        println!("nothing waits in tenant {}", log.tenant);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(log: &Log, id: Uuid) -> Result<ExitCode> {
    let approval = server(log, false)?.get(&format!("/v1/approvals/{id}"))?;
    if log.json {
        println!("{approval}");
    } else {
        print!("{}", whole(&approval));
    }
    Ok(ExitCode::SUCCESS)
}

fn watch(log: &Log) -> Result<ExitCode> {
    let server = server(log, false)?;
    // Before the list is read: what is parked meanwhile is in one of the two.
    let events = server.events()?;
    let mut seen = HashMap::new();
    let mut print = |approval: &Value| {
        let (id, now) = (text(approval, "/id"), line(approval));
        // A call that waits already may be asked about again.
        if seen.insert(id, now.clone()).as_ref() == Some(&now) {
            return;
        }
        if log.json { println!("{approval}") } else { println!("{now}") }
    };
    let waiting = |print: &mut dyn FnMut(&Value)| -> Result<()> {
        let answer = server.get("/v1/approvals?state=pending")?;
        let approvals = answer.get("approvals").and_then(Value::as_array);
        approvals.into_iter().flatten().rev().for_each(print);
        Ok(())
    };
    waiting(&mut print)?;
    for event in events {
        let event = event?;
        let id = match text(&event, "/type").as_str() {
            "verdict" => text(&event, "/approval"),
            "approval" => text(&event, "/id"),
            _ if event.get("dropped").is_some() => {
                waiting(&mut print)?;
                continue;
            }
            _ => continue,
        };
        if !id.is_empty() {
            print(&server.get(&format!("/v1/approvals/{id}"))?);
        }
    }
    bail!("the server has ended")
}

fn decide(log: &Log, id: Uuid, decision: &str, comment: Option<&str>) -> Result<ExitCode> {
    let body = match comment {
        Some(comment) => json!({ "decision": decision, "comment": comment }),
        None => json!({ "decision": decision }),
    };
    let approval = server(log, true)?.post(&format!("/v1/approvals/{id}/decide"), &body.to_string())?;
    if log.json {
        println!("{approval}");
    } else {
        println!("{}", line(&approval));
    }
    Ok(ExitCode::SUCCESS)
}

/// One approval for people. What it says was checked by the server: no text of a call is in it.
fn line(approval: &Value) -> String {
    let text = |key: &str| approval.get(key).and_then(Value::as_str).unwrap_or("-");
    let used =
        approval.get("released").and_then(Value::as_str).map(|time| format!("; used {time}")).unwrap_or_default();
    let shown = format!("{}  {:<9} until {}  {}{used}", text("id"), text("state"), text("deadline"), text("summary"));
    printable(&shown)
}

/// The same with everything that is known of it.
fn whole(approval: &Value) -> String {
    let list = |key: &str| approval.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines = vec![line(approval)];
    let facts = [("agent", "/agent"), ("session", "/session"), ("upstream", "/upstream"), ("tool", "/tool")];
    let facts = facts.into_iter().chain([("call", "/call"), ("digest", "/digest"), ("parked", "/created")]);
    for (name, pointer) in facts {
        match text(approval, pointer) {
            value if value.is_empty() => {}
            value => lines.push(format!("  {name:<9} {value}")),
        }
    }
    for reason in list("reasons") {
        let [code, message, plugin] = ["/code", "/message", "/plugin"].map(|pointer| text(&reason, pointer));
        lines.push(format!("  held      {code}: {message} [{plugin}]"));
    }
    let number = |key: &str| approval.get(key).and_then(Value::as_u64).unwrap_or_default();
    let approvers: Vec<String> = list("approvers").iter().map(approver).collect();
    lines.push(format!("  wants     {} of: {}", number("required"), approvers.join(", ")));
    for step in list("escalation") {
        let more: Vec<String> =
            step.get("approvers").and_then(Value::as_array).into_iter().flatten().map(approver).collect();
        let after = step.get("after_seconds").and_then(Value::as_u64).unwrap_or_default();
        lines.push(format!("  later     after {after} s also: {}", more.join(", ")));
    }
    for vote in list("votes") {
        let [operator, decision, comment, time] =
            ["/operator", "/decision", "/comment", "/time"].map(|pointer| text(&vote, pointer));
        let comment = if comment.is_empty() { comment } else { format!(": {comment}") };
        lines.push(format!("  vote      {decision} by {operator}, {time}{comment}"));
    }
    lines.iter().map(|line| printable(line) + "\n").collect()
}

/// `{"role": NAME}` or `{"operator": NAME}`.
fn approver(approver: &Value) -> String {
    let named = approver.as_object().and_then(|object| object.iter().next());
    named.map_or_else(|| "-".to_owned(), |(kind, name)| format!("{kind} {}", name.as_str().unwrap_or("-")))
}
