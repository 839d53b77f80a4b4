//! Reads and verifies ledger entries; holds no writer code, no store and no network.
//!
//! [`Verifier`] takes the entries of one tenant in order and says where the log stops being what it claims to be.
//! [`read_export`] does the same for an exported file, whose form `docs/ledger-format.md` describes.
#![forbid(unsafe_code)]

mod export;
mod report;
mod verifier;

pub use export::{End, ExportError, FORMAT, FORMAT_VERSION, Header, Line, Row, read_export};
pub use report::{Fault, FaultKind, Head, Report};
pub use verifier::Verifier;
