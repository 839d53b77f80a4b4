//! `portcullis approvals …`: what waits for a person, asked of the server that runs on the data folder.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use portcullis_model::is_unseen;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ledger::printable;
use super::{server, text};
use crate::cli::{self, Log};

pub(crate) fn run(command: &cli::Approvals) -> Result<ExitCode> {
    match command {
        cli::Approvals::List { log, all, by, tool, reason } => {
            let filters = [("agent", by), ("tool", tool), ("reason", reason)];
            list(log, *all, filters.map(|(name, value)| (name, value.as_deref())))
        }
        cli::Approvals::Show { log, id } => show(log, *id),
        cli::Approvals::Watch { log } => watch(log),
        cli::Approvals::Outbox { log, retry } => outbox(log, *retry),
        cli::Approvals::Approve { log, id, digest, comment } => {
            decide(log, id, "approve", digest.as_deref(), comment.as_deref())
        }
        cli::Approvals::Deny { log, id, comment } => decide(log, id, "deny", None, comment.as_deref()),
        cli::Approvals::Claim { log, id, release } => {
            act(log, *id, if *release { "unclaim" } else { "claim" }, &json!({}))
        }
        cli::Approvals::Comment { log, id, text } => act(log, *id, "comment", &json!({ "comment": text })),
        cli::Approvals::Modify { log, id, set, comment } => modify(log, *id, set, comment.as_deref()),
    }
}

fn list(log: &Log, all: bool, filters: [(&str, Option<&str>); 3]) -> Result<ExitCode> {
    let mut query = form_urlencoded::Serializer::new("/v1/approvals?".to_owned());
    if !all {
        query.append_pair("state", "pending");
    }
    for (name, value) in filters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let answer = server(log, false)?.get(&query.finish())?;
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

/// Messages about parked calls that are not delivered; with an id, one of them is sent again first.
fn outbox(log: &Log, retry: Option<Uuid>) -> Result<ExitCode> {
    let server = server(log, retry.is_some())?;
    if let Some(id) = retry {
        server.post(&format!("/v1/outbox/{id}/retry"), "")?;
    }
    let answer = server.get("/v1/outbox")?;
    if log.json {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    let messages = answer.get("messages").and_then(Value::as_array).context("the server sent no messages")?;
    for message in messages {
        println!("{}", message_line(message));
    }
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    println!(
        "{} waiting, {} dead, {} lost in tenant {}",
        number("waiting"),
        number("dead"),
        number("lost"),
        log.tenant
    );
    Ok(ExitCode::SUCCESS)
}

fn message_line(message: &Value) -> String {
    let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or("-");
    let attempts = message.get("attempts").and_then(Value::as_u64).unwrap_or_default();
    let tries = if attempts == 1 { "1 try".to_owned() } else { format!("{attempts} tries") };
    let next = message.get("next").and_then(Value::as_str).map(|next| format!(", next {next}")).unwrap_or_default();
    let problem = message.get("problem").and_then(Value::as_str).map(|why| format!(": {why}")).unwrap_or_default();
    printable(&format!(
        "{}  {:<7} {:<9} to {} about {}; {tries}{next}{problem}",
        text("id"),
        text("state"),
        text("kind"),
        text("channel"),
        text("approval"),
    ))
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

fn decide(log: &Log, ids: &[Uuid], decision: &str, digest: Option<&str>, comment: Option<&str>) -> Result<ExitCode> {
    let mut body = json!({ "decision": decision });
    if let (Some(comment), Some(body)) = (comment, body.as_object_mut()) {
        body.insert("comment".to_owned(), comment.into());
    }
    let [id] = ids else {
        ensure!(digest.is_none(), "--digest is for one approval at a time");
        return decide_many(log, ids, &body);
    };
    if let (Some(digest), Some(body)) = (digest, body.as_object_mut()) {
        body.insert("digest".to_owned(), digest.into());
    } else if decision == "approve" {
        let known = server(log, false)?.get(&format!("/v1/approvals/{id}"))?;
        if let Some(changed) = known.get("modified") {
            // Nobody votes on what they were not shown.
            let (changes, by) = (changes(changed), text(changed, "/operator"));
            let digest = text(changed, "/digest");
            bail!("{by} changed the arguments:\n{changes}to approve that, repeat it with --digest {digest}");
        }
    }
    act(log, *id, "decide", &body)
}

/// What an approver put in place of arguments.
fn changes(changed: &Value) -> String {
    let each = changed.get("changes").and_then(Value::as_array).into_iter().flatten();
    let lines =
        each.map(|change| printable(&format!("            {} = {}", text(change, "/pointer"), text(change, "/value"))));
    lines.map(|line| line + "\n").collect()
}

/// Several decisions in one request. Exit code 1 if one of them does not count.
fn decide_many(log: &Log, ids: &[Uuid], decision: &Value) -> Result<ExitCode> {
    let each = |id: &Uuid| {
        let mut one = decision.clone();
        if let Some(one) = one.as_object_mut() {
            one.insert("id".to_owned(), json!(id));
        }
        one
    };
    let body = json!({ "decisions": ids.iter().map(each).collect::<Vec<_>>() });
    let answer = server(log, true)?.post("/v1/approvals/decide", &body.to_string())?;
    let results = answer.get("results").and_then(Value::as_array).context("the server sent no results")?;
    let mut all = true;
    for result in results {
        let approval = result.get("approval");
        all &= approval.is_some();
        match approval {
            _ if log.json => println!("{result}"),
            Some(approval) => println!("{}", line(approval)),
            None => println!("{}  {}", text(result, "/id"), printable(&text(result, "/error/message"))),
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Posts what is done to one approval and prints how it stands then, in a line.
fn act(log: &Log, id: Uuid, what: &str, body: &Value) -> Result<ExitCode> {
    act_and_show(log, id, what, body, |approval| line(approval) + "\n")
}

fn act_and_show(log: &Log, id: Uuid, what: &str, body: &Value, shown: impl Fn(&Value) -> String) -> Result<ExitCode> {
    let approval = server(log, true)?.post(&format!("/v1/approvals/{id}/{what}"), &body.to_string())?;
    if log.json {
        println!("{approval}");
    } else {
        print!("{}", shown(&approval));
    }
    Ok(ExitCode::SUCCESS)
}

fn modify(log: &Log, id: Uuid, set: &[String], comment: Option<&str>) -> Result<ExitCode> {
    if set.is_empty() {
        println!("{}", printable_json(&server(log, true)?.get(&format!("/v1/approvals/{id}/arguments"))?));
        return Ok(ExitCode::SUCCESS);
    }
    let change = |text: &String| {
        let form =
            || format!("--set {text}: write POINTER=JSON, for instance --set /amount=50 or --set '/note=\"less\"'");
        let (pointer, value) = text.split_once('=').with_context(form)?;
        let value: Value = serde_json::from_str(value).with_context(form)?;
        Ok(json!({ "pointer": pointer, "value": value }))
    };
    let changes = set.iter().map(change).collect::<Result<Vec<_>>>()?;
    let mut body = json!({ "changes": changes });
    if let (Some(comment), Some(body)) = (comment, body.as_object_mut()) {
        body.insert("comment".to_owned(), comment.into());
    }
    // With the digest that a vote on it has to name.
    act_and_show(log, id, "modify", &body, whole)
}

/// JSON in which nothing steers a terminal, and which is still the same JSON.
fn printable_json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if is_unseen(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
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
        let parked = text(approval, "/created").parse::<Timestamp>().ok();
        let due = parked.zip(i64::try_from(after).ok());
        let due = due.and_then(|(parked, after)| parked.checked_add(SignedDuration::from_secs(after)).ok());
        let is_due = due.is_some_and(|due| due <= Timestamp::now());
        let when = if is_due { "now      " } else { "later    " };
        lines.push(format!("  {when} after {after} s also: {}", more.join(", ")));
    }
    let claimed = text(approval, "/claimed/operator");
    if !claimed.is_empty() {
        lines.push(format!("  claimed   by {claimed}, until {}", text(approval, "/claimed/until")));
    }
    if let Some(changed) = approval.get("modified") {
        lines.push(format!(
            "  changed   by {}; the call is {} now",
            text(changed, "/operator"),
            text(changed, "/digest")
        ));
        for change in changed.get("changes").and_then(Value::as_array).into_iter().flatten() {
            lines.push(format!("            {} = {}", text(change, "/pointer"), text(change, "/value")));
        }
    }
    for comment in list("comments") {
        let [operator, comment, time] = ["/operator", "/comment", "/time"].map(|pointer| text(&comment, pointer));
        lines.push(format!("  comment   by {operator}, {time}: {comment}"));
    }
    let withdrawn = text(approval, "/withdrawn");
    if !withdrawn.is_empty() {
        lines.push(format!("  denied    without a vote: {withdrawn}"));
    }
    for vote in list("votes") {
        let [operator, decision, comment, time] =
            ["/operator", "/decision", "/comment", "/time"].map(|pointer| text(&vote, pointer));
        let comment = if comment.is_empty() { comment } else { format!(": {comment}") };
        let lapsed = vote.get("lapsed").and_then(Value::as_bool).unwrap_or_default();
        let lapsed = if lapsed { " (lapsed: does not count)" } else { "" };
        lines.push(format!("  vote      {decision} by {operator}, {time}{lapsed}{comment}"));
    }
    lines.iter().map(|line| printable(line) + "\n").collect()
}

/// `{"role": NAME}` or `{"operator": NAME}`.
fn approver(approver: &Value) -> String {
    let named = approver.as_object().and_then(|object| object.iter().next());
    named.map_or_else(|| "-".to_owned(), |(kind, name)| format!("{kind} {}", name.as_str().unwrap_or("-")))
}
