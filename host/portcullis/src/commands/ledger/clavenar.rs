//! A log as a SQLite database of Clavenar's schema: one row of its chain version 1 for every entry, so that its tools read
//! and verify what was decided here.
//!
//! The rows are a chain of their own. Each names the entry that it tells of by its hash, and nothing is written of a log
//! that does not verify.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use portcullis_ledger_verify::Verifier;
use portcullis_model::{Decision, Digest, Door, Entry, EntryKind, Outcome, Phase, codes, leaf_hash};
use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Source;
use crate::cli::Log;

/// The chain's format.
const VERSION: i64 = 1;
/// The tables of the reference, all of them: its tools expect each.
const SCHEMA: &str = "
CREATE TABLE entries (
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, timestamp TEXT NOT NULL, agent_id TEXT NOT NULL,
    method TEXT NOT NULL, intent_category TEXT NOT NULL, authorized INTEGER NOT NULL, reasoning TEXT NOT NULL,
    policy_decision TEXT, prev_hash TEXT NOT NULL, entry_hash TEXT NOT NULL,
    chain_version INTEGER NOT NULL DEFAULT 1, correlation_id TEXT
);
CREATE INDEX idx_entries_agent_id ON entries(agent_id);
CREATE INDEX idx_entries_seq ON entries(seq);
CREATE INDEX idx_entries_correlation_id ON entries(correlation_id);
CREATE TABLE pendings (
    correlation_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, tool_type TEXT NOT NULL, method TEXT NOT NULL,
    review_reasons_json TEXT NOT NULL, requested_at TEXT NOT NULL, decided_at TEXT, decision TEXT,
    decider_note TEXT, callback_url TEXT
);
CREATE INDEX idx_pendings_decided_at ON pendings(decided_at);
CREATE TABLE server_executions (
    agent_id TEXT NOT NULL, idempotency_id TEXT NOT NULL, execution_id TEXT NOT NULL UNIQUE,
    correlation_id TEXT NOT NULL, route TEXT NOT NULL, method TEXT NOT NULL, tool_name TEXT NOT NULL,
    submitted_request_sha256 TEXT NOT NULL, effective_request_sha256 TEXT NOT NULL,
    state TEXT NOT NULL CHECK(state IN ('in_flight', 'completed')), response_status INTEGER,
    response_content_type TEXT, response_body BLOB, result_sha256 TEXT, receipt_json TEXT,
    created_at TEXT NOT NULL, completed_at TEXT,
    reconciliation_state TEXT NOT NULL DEFAULT 'legacy'
        CHECK(reconciliation_state IN ('legacy', 'pending', 'resolved', 'uncertain')),
    reconciliation_attempts INTEGER NOT NULL DEFAULT 0, last_reconciled_at TEXT, reconciliation_error TEXT,
    reconciliation_resolved_at TEXT, owner_instance TEXT,
    PRIMARY KEY (agent_id, idempotency_id)
);
CREATE TABLE server_execution_outbox (
    event_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL UNIQUE, payload_json TEXT NOT NULL,
    created_at TEXT NOT NULL, delivered_at TEXT
);
";

/// How the note begins on the decision about a call whose approval was given.
const RELEASED: &str = "released by its approval";

/// What is hashed of a row, its members in this order.
#[derive(Serialize)]
struct Row {
    id: Uuid,
    timestamp: String,
    agent_id: String,
    method: String,
    intent_category: &'static str,
    authorized: bool,
    reasoning: String,
    policy_decision: Value,
    seq: u64,
    prev_hash: String,
}

/// Writes the log of a tenant to a new file.
pub(super) fn export(log: &Log, output: &Path) -> Result<ExitCode> {
    anyhow::ensure!(output.as_os_str() != "-", "a SQLite database is a file: name it with --output FILE");
    anyhow::ensure!(!output.exists(), "{}: is there already; name a new file", output.display());
    let source = Source::open(log)?;
    // Under another name until it is whole.
    let mut name = output.file_name().context("--output names no file")?.to_owned();
    name.push(".part");
    let part = Part(output.with_file_name(name));
    let rows = part.write(&source, &log.tenant)?;
    fs::rename(&part.0, output).with_context(|| format!("{}: cannot be written", output.display()))?;
    eprintln!("{rows} rows of the log of {} written to {}", log.tenant, output.display());
    Ok(ExitCode::SUCCESS)
}

/// A database that is not whole yet. It is removed if it never is.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Gone under this name once it was whole.
        let _gone = fs::remove_file(&self.0);
    }
}

impl Part {
    fn write(&self, source: &Source, tenant: &str) -> Result<u64> {
        let _left_over = fs::remove_file(&self.0);
        let opened = Connection::open(&self.0).with_context(|| format!("{}: cannot be written", self.0.display()));
        let mut database = opened?;
        let group = database.transaction()?;
        group.execute_batch(SCHEMA)?;
        let mut insert = group.prepare("INSERT INTO entries VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")?;
        let mut verifier = Verifier::new(Some(tenant));
        let mut prev_hash = "0".repeat(64);
        let mut rows = 0;
        let head = source.each(tenant, |bytes| {
            verifier.push(bytes);
            let entry = Entry::decode(bytes)?;
            let row = Row::of(&entry, leaf_hash(bytes), &prev_hash)?;
            let hash = row.hash()?;
            let stored_time = row.timestamp.replace('Z', "+00:00");
            let columns = rusqlite::params![
                row.id.to_string(),
                i64::try_from(row.seq)?,
                stored_time,
                row.agent_id,
                row.method,
                row.intent_category,
                i64::from(row.authorized),
                row.reasoning,
                row.policy_decision.to_string(),
                row.prev_hash,
                hash,
                VERSION,
                entry.id.to_string(),
            ];
            insert.execute(columns)?;
            prev_hash = hash;
            rows += 1;
            Ok(())
        })?;
        if let Some(head) = &head {
            verifier.expect_head(head);
        }
        let report = verifier.finish();
        // A chain made anew would hide what is wrong with the one that it tells of.
        anyhow::ensure!(report.is_good(), "the log does not verify, so nothing was written: {report}");
        drop(insert);
        group.commit()?;
        database.close().map_err(|(_, error)| error)?;
        Ok(rows)
    }
}

impl Row {
    fn of(entry: &Entry, hash: Digest, prev_hash: &str) -> Result<Self> {
        let (intent_category, authorized) = category(entry);
        let mut id = [0; 16];
        // The same entry is the same row in every export.
        id.iter_mut().zip(hash.0).for_each(|(to, from)| *to = from);
        Ok(Self {
            id: uuid::Builder::from_random_bytes(id).into_uuid(),
            timestamp: time(entry.time_ms)?,
            agent_id: entry.agent.to_string(),
            method: method(entry),
            intent_category,
            authorized,
            reasoning: reasoning(entry, intent_category),
            policy_decision: policy_decision(entry, hash),
            seq: entry.seq + 1,
            prev_hash: prev_hash.to_owned(),
        })
    }

    /// SHA-256 over the hash before, a stroke, and the row in compact JSON.
    fn hash(&self) -> Result<String> {
        let row = serde_json::to_vec(self)?;
        Ok(Digest::of(&[self.prev_hash.as_bytes(), b"|", &row].concat()).hex())
    }
}

/// RFC 3339 in UTC with no fraction, or three digits of one, as the reference writes milliseconds.
fn time(ms: u64) -> Result<String> {
    let time = Timestamp::from_millisecond(i64::try_from(ms)?).context("the time of an entry")?;
    let whole = time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    Ok(match ms % 1000 {
        0 => format!("{whole}Z"),
        fraction => format!("{whole}.{fraction:03}Z"),
    })
}

fn method(entry: &Entry) -> String {
    let tool = || entry.tool.as_deref().unwrap_or("<unknown>").to_owned();
    match (entry.kind, entry.phase) {
        (EntryKind::Activation, _) => "portcullis/activation".to_owned(),
        (EntryKind::Erasure, _) => "portcullis/erasure".to_owned(),
        (EntryKind::Trial, _) => "portcullis/trial".to_owned(),
        (_, Phase::Call | Phase::Result) => "tools/call".to_owned(),
        (_, Phase::Listing) => "tools/list".to_owned(),
        (_, Phase::Message) => tool(),
    }
}

/// The words of the reference for what an entry tells, and whether it let something happen.
fn category(entry: &Entry) -> (&'static str, bool) {
    let said = |word: &str| entry.reasons.iter().any(|reason| reason.code.contains(word));
    let passes = match entry.decision {
        Some(Decision::Allow) | None => true,
        // A changed call can be told at no door where the caller runs it itself.
        Some(Decision::Redact) => entry.door != Door::Clavenar || entry.upstream.is_some(),
        Some(Decision::Review | Decision::Deny) => false,
    };
    let refused = || match entry.decision {
        _ if entry.phase == Phase::Listing => "SupplyChain",
        Some(Decision::Review) => "PendingReview",
        _ if said("injection") => "PromptInjection",
        _ => "PolicyDeny",
    };
    match entry.kind {
        EntryKind::Activation | EntryKind::Erasure | EntryKind::Trial => ("Routine", true),
        EntryKind::Refusal if said(codes::RATE_LIMITED) => ("RateLimitDenied", false),
        EntryKind::Refusal => ("PolicyDeny", false),
        EntryKind::Approval if entry.phase == Phase::Listing => ("SupplyChain", passes),
        EntryKind::Approval => match entry.decision {
            Some(Decision::Allow) => ("PendingApproved", true),
            Some(_) => ("PendingDenied", false),
            // One vote of several.
            None => ("PendingReview", false),
        },
        EntryKind::Decision if passes => ("Routine", true),
        // The verdict is a review still; what it waited for is there.
        EntryKind::Decision if entry.note.as_ref().is_some_and(|note| note.starts_with(RELEASED)) => {
            ("PendingApproved", true)
        }
        EntryKind::Decision => (refused(), false),
        EntryKind::Outcome if entry.outcome != Some(Outcome::Answered) => ("ServerExecutionUncertain", false),
        EntryKind::Outcome if passes => ("ServerExecutionCompleted", true),
        EntryKind::Outcome => (refused(), false),
    }
}

/// `brain[CATEGORY]: what was seen | policy: reasons | review: reasons`, as the reference writes it.
fn reasoning(entry: &Entry, category: &str) -> String {
    let findings = entry.findings.iter().map(|found| {
        format!("{} {}.{:03} by {}", found.category, found.score / 1000, found.score % 1000, found.plugin)
    });
    let mut seen: Vec<String> = findings.collect();
    if seen.is_empty() {
        seen.push("nothing was found".to_owned());
    }
    let outcome = entry.outcome.and_then(|outcome| Some(json!(outcome).as_str()?.to_owned()));
    let (mut policy, review) = reasons(entry);
    if policy.is_empty() {
        policy.push("nothing against it".to_owned());
    }
    let mut parts = vec![format!("brain[{category}]: {}", seen.join(", ")), format!("policy: {}", policy.join(" | "))];
    parts.extend((!review.is_empty()).then(|| format!("review: {}", review.join(" | "))));
    parts.extend(outcome.map(|outcome| format!("outcome: {outcome}")));
    parts.extend(entry.note.as_ref().map(|note| format!("note: {note}")));
    parts.join(" | ")
}

/// Its members sorted, as readers of the chain sort them before they hash.
fn policy_decision(entry: &Entry, hash: Digest) -> Value {
    let (policy, review) = reasons(entry);
    let entry_hash = [("portcullis_entry", json!(hash))];
    let Some(decision) = entry.decision else { return object(entry_hash) };
    let [entry_hash] = entry_hash;
    // A review is allowed as far as policy goes, as there.
    let allow = ("allow", json!(decision != Decision::Deny));
    object([allow, entry_hash, ("reasons", json!(policy)), ("review_reasons", json!(review))])
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// What was said for the verdict, and what for a review.
fn reasons(entry: &Entry) -> (Vec<String>, Vec<String>) {
    let all = entry.reasons.iter().map(|reason| format!("{} ({})", reason.code, reason.plugin)).collect();
    if entry.decision == Some(Decision::Review) { (Vec::new(), all) } else { (all, Vec::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_reference_writes_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_700_000_000_100, "2023-11-14T22:13:20.100Z"),
            (1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
        ] {
            assert_eq!(time(ms).unwrap(), text);
        }
        assert!(time(u64::MAX).is_err());
    }
}
