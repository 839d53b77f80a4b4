//! `build`, `up`: plugins embedded, one binary.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::guests::{self, Kind};
use crate::setup::{call, cargo};
use crate::toolchain::Choice;

/// Plugins, then the binary that holds them.
pub(crate) fn build(root: &Path) -> Result<()> {
    guests::build(root, Kind::Plugins, &[], Choice::Auto)?;
    println!("building target/release/portcullis (ten to twenty minutes on two cores the first time)");
    call(
        cargo()
            .args(["build", "--release", "--package", "portcullis", "--package", "portcullis-ledger-verify"])
            .current_dir(root),
    )
}

/// Builds, then becomes the server.
pub(crate) fn up(root: &Path, arguments: &[String]) -> Result<()> {
    build(root)?;
    let binary = root.join("target/release/portcullis");
    let data = root.join("target/portcullis-data");
    let mut server = Command::new(binary);
    server.arg("serve");
    if !arguments.iter().any(|argument| argument.starts_with("--data") || argument.starts_with("--config")) {
        server.arg("--data").arg(data);
    }
    Err(server.args(arguments).exec().into())
}
