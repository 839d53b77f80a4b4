//! `build`, `up`: plugins embedded, one binary.

use std::env;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::guests::{self, Kind};
use crate::setup::{call, cargo};
use crate::toolchain::Choice;

/// Where the server listens unless told otherwise.
const LISTENS: &str = "127.0.0.1:8787";

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
    let named = |name: &str| arguments.iter().any(|argument| argument.starts_with(name));
    // Better before the build than after it.
    let elsewhere = named("--listen") || named("--config") || env::var_os("PORTCULLIS_CONFIG").is_some();
    if !elsewhere && TcpListener::bind(LISTENS).is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
        bail!("{LISTENS} is taken; another address: `cargo xtask up --listen 127.0.0.1:8788`");
    }
    build(root)?;
    let binary = root.join("target/release/portcullis");
    let data = root.join("target/portcullis-data");
    let mut server = Command::new(binary);
    server.arg("serve");
    if !named("--data") && !named("--config") {
        server.arg("--data").arg(data);
    }
    Err(server.args(arguments).exec().into())
}
