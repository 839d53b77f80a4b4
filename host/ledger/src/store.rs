//! What the ledger needs of a store: ordered keys, atomic batches that are durable when they return.

mod sled;

use std::collections::HashMap;
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

/// What is to be written together or not at all, in this order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) writes: Vec<Write>,
}

/// One step of a batch.
#[derive(Debug)]
pub(crate) enum Write {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key.
    Remove(Vec<u8>),
    /// Removes the pieces of the long value under a key, of which only the writer knows how many there are by then.
    Clear(Vec<u8>),
}

/// A key and what it becomes; `None` removes it. Of several changes of one key the last counts.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

impl Batch {
    /// Sets one key to a short value: at most an entry and its length.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.push(Write::Put(key, value));
    }

    /// Removes one key.
    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.writes.push(Write::Remove(key));
    }

    /// Removes what [`put_long`](Self::put_long) wrote under a key, if anything.
    pub(crate) fn clear_long(&mut self, key: &[u8]) {
        self.writes.push(Write::Clear(key.to_vec()));
    }

    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let size = |write: &Write| match write {
            Write::Put(key, value) => key.len() + value.len(),
            Write::Remove(key) | Write::Clear(key) => key.len(),
        };
        self.writes.iter().map(size).sum()
    }

    /// What it changes in a store that nobody else writes to.
    pub(crate) fn resolve(self, store: &dyn Store) -> Result<Vec<Change>, StoreError> {
        let clears = self.writes.iter().any(|write| matches!(write, Write::Clear(_)));
        let mut changes = Vec::with_capacity(self.writes.len());
        // Which keys are there after the changes so far, where that is not what the store says.
        let mut there: HashMap<Vec<u8>, bool> = HashMap::new();
        for write in self.writes {
            match write {
                Write::Put(key, value) => {
                    if clears {
                        there.insert(key.clone(), true);
                    }
                    changes.push((key, Some(value)));
                }
                Write::Remove(key) => {
                    if clears {
                        there.insert(key.clone(), false);
                    }
                    changes.push((key, None));
                }
                Write::Clear(key) => {
                    for number in 0.. {
                        let piece = piece(&key, number);
                        let exists = match there.get(&piece) {
                            Some(exists) => *exists,
                            None => store.get(&piece)?.is_some(),
                        };
                        if !exists {
                            break;
                        }
                        there.insert(piece.clone(), false);
                        changes.push((piece, None));
                    }
                }
            }
        }
        Ok(changes)
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
            self.put(self::piece(key, number), [head, piece].concat());
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

    /// Makes changes: all of them or nothing, and on the disk when it returns.
    fn commit(&self, changes: Vec<Change>) -> Result<Commit, StoreError>;

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
    let piece = |number| store.get(&piece(key, number));
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

/// Key of one piece of a long value.
pub(crate) fn piece(key: &[u8], number: u32) -> Vec<u8> {
    [key, &number.to_be_bytes()].concat()
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
