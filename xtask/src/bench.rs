//! `bench`: builds what measures and runs it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::guests::{self, Kind};
use crate::setup::{call, cargo};
use crate::toolchain::Choice;

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    guests::build(root, Kind::Plugins, &[], Choice::Auto)?;
    guests::build(root, Kind::Tests, &[], Choice::Auto)?;
    println!("building (the same selection of packages as `test`)");
    let mut build = cargo();
    call(build.args(["build", "--release", "--workspace", "--all-targets", "--quiet"]).current_dir(root))?;
    call(Command::new(root.join("target/release/test-bench")).args(arguments).current_dir(root))
}
