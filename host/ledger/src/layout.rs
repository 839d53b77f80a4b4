//! Keys of the one tree. Numbers are big-endian, so that ranges run in order.
//!
//! | Key | Value |
//! |---|---|
//! | `r` tenant 16, first number 8 | a bundle: entries in order, each with its length (4 bytes) in front |
//! | `h` tenant 16 | number of the last entry 8, its hash 32, the tenant's name |
//! | `e` tenant 16, number 8, piece 4 | sealed evidence of an entry |
//! | `k` tenant 16, id 16, piece 4 | a kept answer, or what a plugin was told |
//! | `t` expiry 8, tenant 16, id 16 | nothing: kept answers in the order of their end |
//! | `g` key, NUL, piece 4 | a record of another part |

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A tenant in the store's keys: the first half of SHA-256 over its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TenantId(pub [u8; 16]);

impl TenantId {
    /// The id of a name.
    pub(crate) fn of(name: &str) -> Self {
        let digest: [u8; 32] =
            Sha256::new().chain_update(b"portcullis tenant 1\0").chain_update(name).finalize().into();
        let mut id = [0; 16];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(id)
    }

    /// 32 hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Beginning of all heads.
pub(crate) const HEADS: &[u8] = b"h";
/// Beginning of the order of expiry.
pub(crate) const EXPIRIES: &[u8] = b"t";
/// Beginning of all records.
pub(crate) const RECORDS: &[u8] = b"g";

pub(crate) fn row(tenant: TenantId, seq: u64) -> Vec<u8> {
    [&b"r"[..], &tenant.0, &seq.to_be_bytes()].concat()
}

/// The number of the first entry of a bundle, from its key.
pub(crate) fn first_of(key: &[u8]) -> Option<u64> {
    key.get(17..).and_then(|seq| seq.try_into().ok()).map(u64::from_be_bytes)
}

pub(crate) fn head(tenant: TenantId) -> Vec<u8> {
    [HEADS, &tenant.0].concat()
}

pub(crate) fn evidence(tenant: TenantId, seq: u64) -> Vec<u8> {
    [&b"e"[..], &tenant.0, &seq.to_be_bytes()].concat()
}

/// Beginning of all evidence of a tenant.
pub(crate) fn all_evidence(tenant: TenantId) -> Vec<u8> {
    [&b"e"[..], &tenant.0].concat()
}

pub(crate) fn answer(tenant: TenantId, id: Uuid) -> Vec<u8> {
    [&b"k"[..], &tenant.0, id.as_bytes()].concat()
}

/// Beginning of all kept answers of a tenant.
pub(crate) fn all_answers(tenant: TenantId) -> Vec<u8> {
    [&b"k"[..], &tenant.0].concat()
}

pub(crate) fn expiry(time_ms: u64, tenant: TenantId, id: Uuid) -> Vec<u8> {
    [EXPIRIES, &time_ms.to_be_bytes(), &tenant.0, id.as_bytes()].concat()
}

/// Time, tenant and id of an expiry key.
pub(crate) fn parse_expiry(key: &[u8]) -> Option<(u64, TenantId, Uuid)> {
    let (_, key) = key.split_first()?;
    let (time, key) = key.split_first_chunk::<8>()?;
    let (tenant, key) = key.split_first_chunk::<16>()?;
    Some((u64::from_be_bytes(*time), TenantId(*tenant), Uuid::from_slice(key).ok()?))
}

pub(crate) fn record(key: &[u8]) -> Vec<u8> {
    [RECORDS, key, &[0]].concat()
}

/// Beginning of all records whose keys begin with `prefix`.
pub(crate) fn records(prefix: &[u8]) -> Vec<u8> {
    [RECORDS, prefix].concat()
}

/// The record's key in the key of one of its pieces.
pub(crate) fn record_key(key: &[u8]) -> Option<&[u8]> {
    key.get(1..key.len().checked_sub(5)?)
}
