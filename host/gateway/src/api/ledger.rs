use std::borrow::Cow;
use std::sync::Arc;

use hyper::StatusCode;
use portcullis_ledger::StoredEntry;
use portcullis_model::{Digest, Entry};
use serde::Serialize;

use super::{Api, Context, json_value, query};
use crate::gate::GateError;
use crate::http::{ApiError, Reply};
use crate::ports::JournalError;

/// Most entries of one answer.
const MAX_ENTRIES: u64 = 1000;
const DEFAULT_ENTRIES: u64 = 100;

#[derive(Serialize)]
struct Page<'a> {
    entries: Vec<Row<'a>>,
    /// Where the next page begins; null at the end.
    next: Option<u64>,
}

#[derive(Serialize)]
struct Row<'a> {
    seq: u64,
    hash: Digest,
    entry: &'a Entry,
}

#[derive(Serialize)]
struct Told<'a> {
    digest: Digest,
    /// What has this digest, exactly.
    told: Cow<'a, str>,
}

#[derive(Serialize)]
struct Head<'a> {
    tenant: &'a str,
    /// Null while there is no entry.
    seq: Option<u64>,
    hash: Option<Digest>,
}

impl<'a> Row<'a> {
    fn new(row: &'a StoredEntry) -> Self {
        Self { seq: row.entry.seq, hash: row.hash, entry: &row.entry }
    }
}

impl Api {
    pub(super) fn ledger_head(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let tenant = context.own_tenant()?;
        let head = self.gate.journal().head(tenant);
        let head = Head { tenant, seq: head.map(|head| head.seq), hash: head.map(|head| head.hash) };
        Ok(json_value(StatusCode::OK, &head))
    }

    pub(super) async fn ledger_entries(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [from, limit] = query::read(query, ["from", "limit"])?;
        let from = query::number("from", from, 0, 0..=u64::MAX)?;
        let limit = query::number("limit", limit, DEFAULT_ENTRIES, 1..=MAX_ENTRIES)?;
        let limit = usize::try_from(limit).unwrap_or(0);
        let rows = self.rows(context, from, limit).await?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|last| last.entry.seq + 1);
        let page = Page { entries: rows.iter().map(Row::new).collect(), next };
        Ok(json_value(StatusCode::OK, &page))
    }

    pub(super) async fn ledger_entry(
        &self,
        context: &Context,
        query: &str,
        seq: Option<String>,
    ) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let seq = query::number("seq", seq.as_deref(), 0, 0..=u64::MAX)?;
        let rows = self.rows(context, seq, 1).await?;
        let row = rows.first().filter(|row| row.entry.seq == seq);
        let row = row.ok_or_else(|| ApiError::not_found("there is no entry of this number"))?;
        Ok(json_value(StatusCode::OK, &Row::new(row)))
    }

    /// What a plugin was told. As sensitive as arguments: for administrators.
    pub(super) async fn ledger_answers(
        &self,
        context: &Context,
        query: &str,
        digest: Option<String>,
    ) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let operator = context.caller.operator.as_ref().filter(|operator| operator.admin).ok_or_else(|| {
            let hint = "send the token of an operator with the role admin";
            ApiError::forbidden("only administrators see what plugins were told", hint)
        })?;
        let digest: Digest = digest
            .as_deref()
            .and_then(|digest| digest.parse().ok())
            .ok_or_else(|| ApiError::malformed("this is no digest", "give it as the entry has it, sha256:…"))?;
        let (journal, tenant) = (Arc::clone(self.gate.journal()), Arc::clone(&operator.tenant));
        let read = move || journal.told(&tenant, digest);
        let told = tokio::task::spawn_blocking(read).await.map_err(|_| GateError::Failed)?.map_err(unreadable)?;
        let told = told.ok_or_else(|| ApiError::not_found("nothing of this digest is kept, or no longer"))?;
        Ok(json_value(StatusCode::OK, &Told { digest, told: String::from_utf8_lossy(&told) }))
    }

    pub(super) async fn ledger_verify(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let place = Arc::clone(&self.verifying).try_acquire_owned();
        let place = place.map_err(|_| ApiError {
            retry_after_s: Some(1),
            ..ApiError::unavailable("busy", "another verification is running")
        })?;
        let (journal, tenant) = (Arc::clone(self.gate.journal()), Arc::clone(context.own_tenant()?));
        let check = move || {
            let _place = place;
            journal.verify(&tenant)
        };
        let report = tokio::task::spawn_blocking(check).await.map_err(|_| GateError::Failed)?;
        let report = report.map_err(unreadable)?;
        let mut json = serde_json::to_value(&report).unwrap_or_default();
        if let Some(object) = json.as_object_mut() {
            object.insert("valid".to_owned(), report.is_good().into());
        }
        Ok(json_value(StatusCode::OK, &json))
    }

    /// Reads the store, which may have to read the disk.
    async fn rows(&self, context: &Context, from: u64, limit: usize) -> Result<Vec<StoredEntry>, ApiError> {
        let (journal, tenant) = (Arc::clone(self.gate.journal()), Arc::clone(context.own_tenant()?));
        let read = move || journal.entries(&tenant, from, limit);
        let rows = tokio::task::spawn_blocking(read).await.map_err(|_| GateError::Failed)?;
        rows.map_err(unreadable)
    }
}

fn unreadable(error: JournalError) -> ApiError {
    GateError::from(error).into()
}
