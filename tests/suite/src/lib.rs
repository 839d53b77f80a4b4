//! Scenarios, real clients, bad input and power cuts against the built binary.
//!
//! Every test here starts `target/release/portcullis` as a user would, on a folder of its own, and talks to it from
//! outside. `cargo xtask test` builds the binary first.
#![forbid(unsafe_code)]

pub mod compiled;
mod matching;
mod programs;
mod projects;
mod registry;
mod server;

pub use matching::fits;
pub use programs::{Client, Listening, Mode, Place, ledger, node, package, peers, python, script};
pub use projects::{Projects, printed};
pub use registry::Registry;
pub use server::{Answer, Server, Setup};

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The checkout.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary under test; the variable `PORTCULLIS_TEST_BINARY` names another one than the checkout's own.
///
/// # Errors
/// It was not built.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PORTCULLIS_TEST_BINARY") {
        return Ok(path.into());
    }
    let path = root().join("target/release/portcullis");
    ensure!(path.is_file(), "target/release/portcullis is missing; run `cargo xtask build`");
    Ok(path)
}
