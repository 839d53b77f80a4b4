use futures_util::future::BoxFuture;
use portcullis_ledger::{KeyValue, Ledger, Record};

use super::JournalError;

/// Small facts that are kept beside the log. Keys of one part begin with a prefix of its own.
pub trait Records: Send + Sync + 'static {
    /// Makes records durable, all or none.
    fn put(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), JournalError>>;

    /// Hands records over without waiting: they become durable in the order of the calls.
    ///
    /// # Errors
    /// They are not taken.
    fn put_later(&self, records: &[Record]) -> Result<(), JournalError>;

    /// The records whose keys begin with `prefix`. Blocking.
    ///
    /// # Errors
    /// The store could not be read.
    fn read(&self, prefix: &[u8]) -> Result<Vec<KeyValue>, JournalError>;
}

impl Records for Ledger {
    fn put(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move { Ok(self.put_records(records).await?) })
    }

    fn put_later(&self, records: &[Record]) -> Result<(), JournalError> {
        Ok(self.put_records_later(records)?)
    }

    fn read(&self, prefix: &[u8]) -> Result<Vec<KeyValue>, JournalError> {
        Ok(self.records(prefix)?)
    }
}
