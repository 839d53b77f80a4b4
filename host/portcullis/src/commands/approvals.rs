//! `portcullis approvals …`: what waits for a person, asked of the server that runs on the data folder.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Settings;
use crate::cli::{self, Log};
use crate::remote::{Running, Server};

pub(crate) fn run(command: &cli::Approvals) -> Result<ExitCode> {
    match command {
        cli::Approvals::List { log, all } => list(log, *all),
        cli::Approvals::Approve { log, id, comment } => decide(log, *id, "approve", comment.as_deref()),
        cli::Approvals::Deny { log, id, comment } => decide(log, *id, "deny", comment.as_deref()),
    }
}

fn server(log: &Log) -> Result<Server> {
    let data = Settings::read(&log.place)?.data()?;
    let running = Running::find(&data)
        .with_context(|| format!("{}: no server runs on this data folder; start it, or give --data", data.display()))?;
    Ok(running.server(Some(running.token(&log.tenant))))
}

fn list(log: &Log, all: bool) -> Result<ExitCode> {
    let answer = server(log)?.get(if all { "/v1/approvals" } else { "/v1/approvals?state=pending" })?;
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

fn decide(log: &Log, id: Uuid, decision: &str, comment: Option<&str>) -> Result<ExitCode> {
    let body = match comment {
        Some(comment) => json!({ "decision": decision, "comment": comment }),
        None => json!({ "decision": decision }),
    };
    let approval = server(log)?.post(&format!("/v1/approvals/{id}/decide"), &body.to_string())?;
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
    let shown = format!("{}  {:<9} until {}  {}", text("id"), text("state"), text("deadline"), text("summary"));
    super::ledger::printable(&shown)
}
