//! How the Rust that builds guests gets onto the machine.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use portcullis_project::toolchain::{DEBIAN_PACKAGES, TARGET, Toolchain, newest_lld};

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// The user's own, then rustup, then Debian's packages.
    Auto,
    /// The user's own toolchain only, with rustup if need be.
    Own,
    /// Debian's packages only.
    Debian,
}

/// Finds a toolchain, installing what is missing.
///
/// # Errors
/// None can be had; the text says what to install.
pub(crate) fn find(choice: Choice) -> Result<Toolchain> {
    let mut refusals = Vec::new();
    if choice != Choice::Debian {
        match own() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => refusals.push(error),
        }
    }
    if choice != Choice::Own {
        match debian() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => refusals.push(error),
        }
    }
    let refusals: Vec<String> = refusals.iter().map(|error| format!("  - {error:#}")).collect();
    bail!(
        "no Rust here can build WebAssembly plugins:\n{}\nInstall one of: `rustup target add {TARGET}`, or Debian's packages \
         {} and lld.",
        refusals.join("\n"),
        DEBIAN_PACKAGES.join(", ")
    )
}

fn own() -> Result<Toolchain> {
    if let Ok(toolchain) = Toolchain::own() {
        return Ok(toolchain);
    }
    if !works("rustup", ["--version"]) {
        bail!("its target {TARGET} is not there, and there is no rustup to add it");
    }
    println!("adding the target {TARGET} with rustup");
    output(Command::new("rustup").args(["target", "add", TARGET])).context("rustup could not add the target")?;
    Ok(Toolchain::own()?)
}

fn debian() -> Result<Toolchain> {
    if let Ok(toolchain) = Toolchain::debian() {
        return Ok(toolchain);
    }
    if !works("apt-get", ["--version"]) {
        bail!("no apt-get to install Debian's Rust packages with");
    }
    println!("installing Debian's {} and lld (about half a minute)", DEBIAN_PACKAGES.join(", "));
    apt(&["update"])?;
    let linker = newest_lld().context("apt knows no lld")?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(DEBIAN_PACKAGES);
    arguments.push(&linker);
    apt(&arguments)?;
    Ok(Toolchain::debian()?)
}

/// Debian's package manager, as root or through sudo.
pub(crate) fn apt(arguments: &[&str]) -> Result<()> {
    let root = output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    let mut command = if root {
        Command::new("apt-get")
    } else {
        let mut command = Command::new("sudo");
        command.args(["--non-interactive", "apt-get"]);
        command
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    output(&mut command).map(drop).context("neither root nor sudo without a password?")
}

fn works(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// What a command prints, trimmed; its complaints are the error.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    if !done.status.success() {
        let complaints = String::from_utf8_lossy(&done.stderr);
        let last: Vec<&str> = complaints.lines().rev().take(4).collect();
        bail!("{name}: {}", last.into_iter().rev().collect::<Vec<_>>().join("; "));
    }
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}
