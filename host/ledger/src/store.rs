//! What the ledger needs of a store: ordered keys, atomic batches that are durable when they return.

mod sled;

use std::ops::ControlFlow;

pub(crate) use self::sled::SledStore;

/// Bytes of one piece of a long value.
const PIECE: usize = 32 * 1024;

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct StoreError {
    /// What was tried.
    pub what: &'static str,
    /// What the store or the system said.
    pub reason: String,
}

impl StoreError {
    /// An error of one attempt.
    pub(crate) fn new(what: &'static str, reason: impl ToString) -> Self {
        Self { what, reason: reason.to_string() }
    }
}

/// What is written together or not at all; `None` removes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Keys and what they become.
    pub(crate) writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets one key to a short value: at most an entry and its length.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.push((key, Some(value)));
    }

    /// Removes one key.
    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.writes.push((key, None));
    }

    /// Sets `key` followed by 0, 1, 2... (4 bytes) to the pieces of a value of any length. [`long_value`] reads it back.
    pub(crate) fn put_long(&mut self, key: &[u8], value: &[u8]) {
        let total = (value.len() as u64).to_be_bytes();
        let mut number = 0_u32;
        let mut rest = value;
        loop {
            let (piece, after) = rest.split_at(rest.len().min(PIECE));
            // The first piece says how long the whole is, so that a piece left over from a longer value is not read.
            let head: &[u8] = if number == 0 { &total } else { &[] };
            self.put([key, &number.to_be_bytes()].concat(), [head, piece].concat());
            number = number.wrapping_add(1);
            rest = after;
            if rest.is_empty() {
                return;
            }
        }
    }
}

/// Ordered bytes on a disk.
pub(crate) trait Store: Send + Sync {
    /// The value of one key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The greatest key in `from..to` and its value.
    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError>;

    /// Visits the keys in `from..to` in ascending order until the visitor breaks.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visitor<'_>) -> Result<(), StoreError>;

    /// Writes a batch: all of it or nothing, and on the disk when it returns.
    fn commit(&self, batch: Batch) -> Result<Commit, StoreError>;

    /// Bytes on the disk.
    fn size(&self) -> u64;
}

/// Is shown keys and values until it breaks.
pub(crate) type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// What a commit took, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Commit {
    /// The last step alone: `fdatasync`.
    pub(crate) sync_micros: u64,
}

/// Reads what [`Batch::put_long`] wrote; `None` if there is nothing, an error if a piece is missing.
pub(crate) fn long_value(store: &dyn Store, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let piece = |number: u32| store.get(&[key, &number.to_be_bytes()].concat());
    let Some(first) = piece(0)? else { return Ok(None) };
    let cut = || StoreError::new("reading a long value", "a piece is missing");
    let (total, first) = first.split_first_chunk::<8>().ok_or_else(cut)?;
    let total = usize::try_from(u64::from_be_bytes(*total)).map_err(|_| cut())?;
    let mut value = first.to_vec();
    let mut number = 0;
    while value.len() < total {
        number += 1;
        value.extend_from_slice(&piece(number)?.ok_or_else(cut)?);
    }
    if value.len() == total { Ok(Some(value)) } else { Err(cut()) }
}

/// Adds the removal of what [`Batch::put_long`] wrote under a key, if anything.
pub(crate) fn remove_long(store: &dyn Store, key: &[u8], batch: &mut Batch) -> Result<(), StoreError> {
    let piece = |number: u32| [key, &number.to_be_bytes()].concat();
    let Some(first) = store.get(&piece(0))? else { return Ok(()) };
    let total = first.first_chunk::<8>().map_or(0, |total| u64::from_be_bytes(*total));
    let pieces = u32::try_from(total.div_ceil(PIECE as u64)).unwrap_or(u32::MAX).max(1);
    (0..pieces).for_each(|number| batch.remove(piece(number)));
    Ok(())
}

/// The first key after all keys that begin with `prefix`.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return end;
        }
        end.pop();
    }
    // Every key of the ledger begins with an ASCII letter, so that this is after all of them.
    vec![u8::MAX]
}
