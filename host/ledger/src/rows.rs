//! Entries in the store: bundles of the entries of one tenant that were written in one group.

use std::ops::ControlFlow;

use crate::layout::{self, TenantId};
use crate::store::{Store, StoreError, after};

/// Bytes after which a bundle is full.
const FULL: usize = 32 * 1024;

/// A bundle that is being filled.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Number of the first entry.
    first: u64,
    bytes: Vec<u8>,
}

impl Bundle {
    /// An empty bundle.
    pub(crate) fn new(first: u64) -> Self {
        Self { first, bytes: Vec::new() }
    }

    /// Appends what `write` appends as one entry; returns where it stands.
    pub(crate) fn push<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<std::ops::Range<usize>, E> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes)?;
        let range = start + 4..self.bytes.len();
        let length = u32::try_from(range.len()).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = self.bytes.get_mut(start..range.start) {
            place.copy_from_slice(&length);
        }
        Ok(range)
    }

    /// The bytes of an entry just pushed.
    pub(crate) fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Whether another entry of this size should go into the next bundle.
    pub(crate) fn is_full_for(&self, size: usize) -> bool {
        !self.bytes.is_empty() && self.bytes.len() + size > FULL
    }

    /// Key and value.
    pub(crate) fn into_pair(self, tenant: TenantId) -> (Vec<u8>, Vec<u8>) {
        (layout::row(tenant, self.first), self.bytes)
    }
}

/// Visits the stored bytes of entries from `from` on, in order, with their numbers.
pub(crate) fn visit(
    store: &dyn Store,
    tenant: TenantId,
    from: u64,
    visit: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let [begin, wanted] = [0, from].map(|seq| layout::row(tenant, seq));
    let mut past = wanted.clone();
    past.push(0);
    // The bundle that holds `from` begins at or before it.
    let begin = store.last(&begin, &past)?.map_or(wanted, |(key, _)| key);
    let mut cut = false;
    store.scan(&begin, &end(tenant), &mut |key, value| {
        let Some(mut seq) = layout::first_of(key) else {
            cut = true;
            return ControlFlow::Break(());
        };
        let mut rest = value;
        while !rest.is_empty() {
            let Some((entry, after)) = split(rest) else {
                cut = true;
                return ControlFlow::Break(());
            };
            if seq >= from {
                visit(seq, entry)?;
            }
            rest = after;
            seq = seq.saturating_add(1);
        }
        ControlFlow::Continue(())
    })?;
    if cut { Err(StoreError::new("reading entries", "a bundle is damaged")) } else { Ok(()) }
}

/// The bytes of one entry.
pub(crate) fn entry(store: &dyn Store, tenant: TenantId, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found = None;
    visit(store, tenant, seq, &mut |number, bytes| {
        found = (number == seq).then(|| bytes.to_vec());
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// The number of the first entry of the last bundle.
pub(crate) fn last_bundle(store: &dyn Store, tenant: TenantId) -> Result<Option<u64>, StoreError> {
    let pair = store.last(&layout::row(tenant, 0), &end(tenant))?;
    Ok(pair.and_then(|(key, _)| layout::first_of(&key)))
}

fn end(tenant: TenantId) -> Vec<u8> {
    let mut end = after(&layout::row(tenant, u64::MAX));
    end.truncate(17);
    end
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
