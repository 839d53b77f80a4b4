use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis_ledger::{AppendError, Attachment, Kept, Ledger, ReadError, Record, Report, StoredEntry};
use portcullis_model::{Digest, Draft};
use uuid::Uuid;

use super::{EntryRef, Journal, JournalError, JournalHealth, Keep};

impl Journal for Ledger {
    fn append(&self, draft: Draft, attach: Vec<Attachment>) -> BoxFuture<'_, Result<EntryRef, JournalError>> {
        let append = self.append_with(draft, attach);
        append.map(|done| Ok(done.map(|receipt| EntryRef { seq: receipt.seq, hash: receipt.hash })?)).boxed()
    }

    fn kept(&self, tenant: &str, id: Uuid) -> Result<Option<Kept>, JournalError> {
        Ok(self.kept_answer(tenant, id)?)
    }

    fn told(&self, tenant: &str, digest: Digest) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(Ledger::told(self, tenant, digest)?)
    }

    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(Ledger::record(self, key)?)
    }

    fn head(&self, tenant: &str) -> Option<EntryRef> {
        Ledger::head(self, tenant).map(|head| EntryRef { seq: head.seq, hash: head.hash })
    }

    fn entries(&self, tenant: &str, from: u64, limit: usize) -> Result<Vec<StoredEntry>, JournalError> {
        Ok(Ledger::entries(self, tenant, from, limit)?)
    }

    fn verify(&self, tenant: &str) -> Result<Report, JournalError> {
        Ok(Ledger::verify(self, tenant)?)
    }

    fn health(&self) -> JournalHealth {
        let problem = self.trouble();
        JournalHealth { writable: problem.is_none(), problem, queued: self.metrics().waiting }
    }
}

impl Keep for Ledger {
    fn keep(&self, records: &[Record]) -> Result<(), JournalError> {
        Ok(self.put_records_later(records)?)
    }
}

impl From<AppendError> for JournalError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Busy { .. } => Self::Busy(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<ReadError> for JournalError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
