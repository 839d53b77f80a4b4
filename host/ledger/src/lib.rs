//! The append-only evidence log: chain, side records, group commit, the sled store.
#![forbid(unsafe_code)]
