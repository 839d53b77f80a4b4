//! The core's API over real sockets: the contract field by field, hostile bytes, races, restarts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]
#![allow(unreachable_pub, reason = "modules of one test binary")]

mod approvals;
mod arden;
mod channels;
mod clavenar;
mod contract;
mod core;
mod execution;
mod hostile;
mod lifecycle;
mod matrix;
mod people;
mod pins;
mod support;
mod tls;
