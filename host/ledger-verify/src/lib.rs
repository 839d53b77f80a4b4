//! Reads and verifies ledger entries; holds no writer code.
#![forbid(unsafe_code)]
