//! Calls that were released by their approval and have no outcome yet. A record is written with the release and removed
//! with the outcome: what is left after the process was killed is a call of which nobody knows whether it ran.

use std::sync::Arc;

use portcullis_approvals::Approval;
use portcullis_ledger::{Attachment, Record};
use portcullis_model::{Call, Digest, Document, Door, EntryKind, Mode, Outcome, Phase};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CallFacts, Gate, GateError, blank, now_ms};

/// Keys of all these records start with this.
pub const ATTEMPTS: &[u8] = b"attempt/";

/// Version of the record format, the first byte of every record; JSON follows.
const VERSION: u8 = 1;

/// What the outcome's entry needs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attempt {
    tenant: Arc<str>,
    agent: Arc<str>,
    session: Option<Arc<str>>,
    upstream: Option<Arc<str>>,
    tool: Arc<str>,
    door: Door,
    call: Uuid,
    digest: Digest,
    generation: Digest,
    approval: Uuid,
}

fn key(tenant: &str, approval: Uuid) -> Vec<u8> {
    [ATTEMPTS, tenant.as_bytes(), b"/", approval.to_string().as_bytes()].concat()
}

/// The record to be stored with a change that releases a call to a door which runs it itself.
pub(super) fn begun(approval: &Approval, call: Uuid, door: Door) -> Option<Attachment> {
    if approval.released_ms.is_none() || door != Door::Mcp {
        return None;
    }
    let attempt = Attempt {
        tenant: Arc::clone(&approval.tenant),
        agent: Arc::clone(&approval.agent),
        session: approval.session.clone(),
        upstream: approval.upstream.clone(),
        tool: Arc::clone(&approval.tool),
        door,
        call,
        digest: approval.digest,
        generation: approval.generation,
        approval: approval.id,
    };
    // Plain strings: nothing in them that JSON cannot hold.
    let json = serde_json::to_vec(&attempt).unwrap_or_default();
    let value = Some([&[VERSION][..], &json].concat());
    Some(Attachment::Record(Record { key: key(&approval.tenant, approval.id), value }))
}

impl CallFacts {
    /// What is stored with the entry about the outcome: the attempt is over.
    pub(super) fn ended(&self) -> Vec<Attachment> {
        let approval = self.approval.filter(|_| self.door == Door::Mcp);
        let over = approval.map(|id| Record { key: key(&self.call.tenant, id), value: None });
        over.map(Attachment::Record).into_iter().collect()
    }
}

impl Gate {
    /// Records that nobody knows how the calls ended of which these records tell: every record whose key starts with
    /// [`ATTEMPTS`], at the start, before any call is made. How many there were.
    ///
    /// # Errors
    /// An entry could not be written; the rest is left for the next start.
    pub async fn settle_interrupted(
        &self,
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<usize, GateError> {
        let mut settled = 0;
        for (stored_key, value) in records {
            let attempt = match read(&stored_key, &value) {
                Ok(attempt) => attempt,
                Err(problem) => {
                    let key = stored_key.escape_ascii().to_string();
                    tracing::warn!(key, problem, "the record of a call that was under way cannot be read");
                    continue;
                }
            };
            let call = Call {
                id: attempt.call,
                phase: Phase::Call,
                tenant: attempt.tenant,
                agent: attempt.agent,
                session: attempt.session,
                persona: None,
                task: None,
                upstream: attempt.upstream,
                tool: attempt.tool,
                payload: Arc::new(Document::empty()),
                time_ms: now_ms(),
                attached: None,
            };
            // Calls are parked only where verdicts take effect.
            let mut draft = blank(EntryKind::Outcome, &call, attempt.door, Mode::Enforce);
            draft.generation = Some(attempt.generation);
            draft.outcome = Some(Outcome::Uncertain);
            draft.approval = Some(attempt.approval);
            draft.call_digest = Some(attempt.digest);
            draft.note = Some("Portcullis ended before the outcome was known".to_owned());
            self.append(draft, vec![Attachment::Record(Record { key: stored_key, value: None })]).await?;
            tracing::warn!(call = %attempt.call, approval = %attempt.approval, "it is not known whether this approved call ran");
            settled += 1;
        }
        Ok(settled)
    }
}

fn read(stored_key: &[u8], value: &[u8]) -> Result<Attempt, String> {
    match value.split_first() {
        Some((&VERSION, json)) => {
            let attempt: Attempt = serde_json::from_slice(json).map_err(|error| error.to_string())?;
            let fits = key(&attempt.tenant, attempt.approval) == stored_key;
            if fits { Ok(attempt) } else { Err("it belongs to another approval".to_owned()) }
        }
        Some((version, _)) => Err(format!("it has version {version}, this build reads version {VERSION}")),
        None => Err("it is empty".to_owned()),
    }
}
