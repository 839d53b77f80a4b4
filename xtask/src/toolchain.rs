//! Which Rust builds the guests, and how it gets onto the machine.
//!
//! The user's own toolchain if it has the target's libraries or rustup can add them; else Debian's packages, whose compiler
//! builds the standard library from source.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

/// What guests are compiled for: no WASI, so a component imports nothing but the plugin contract.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_BIN: &str = "/usr/bin";

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

/// A Rust that builds for [`TARGET`].
pub(crate) enum Toolchain {
    /// The cargo that runs this program.
    Own,
    /// Debian's, with this linker.
    Debian { linker: PathBuf },
}

impl Toolchain {
    /// A `cargo` command that builds for the target, with flags and environment set. `root` and other places of this
    /// machine do not show in what it builds.
    pub(crate) fn cargo_build(&self, root: &Path) -> Result<Command> {
        let mut command = match self {
            Self::Own => {
                let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                command.arg("build");
                command
            }
            Self::Debian { linker } => {
                let bin = Path::new(DEBIAN_BIN);
                let mut command = Command::new(bin.join("cargo"));
                command
                    .args(["build", "-Zbuild-std=std,panic_abort"])
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", bin.join("rustc"))
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        };
        command.args(["--target", TARGET]).current_dir(root).env("CARGO_ENCODED_RUSTFLAGS", self.flags(root)?);
        Ok(command)
    }

    /// One line that names the compiler.
    pub(crate) fn version(&self) -> Result<String> {
        let rustc = match self {
            Self::Own => PathBuf::from("rustc"),
            Self::Debian { .. } => Path::new(DEBIAN_BIN).join("rustc"),
        };
        output(Command::new(rustc).arg("--version"))
    }

    /// Compiler flags, separated as cargo wants them.
    fn flags(&self, root: &Path) -> Result<String> {
        let mut remap = BTreeMap::from([(root.to_path_buf(), "/portcullis".to_owned())]);
        for sources in registry_sources()? {
            remap.insert(sources, "/crates".to_owned());
        }
        if let Self::Debian { .. } = self {
            remap.insert(debian_sources()?, "/rust".to_owned());
        }
        let mut flags: Vec<String> =
            remap.into_iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
        // Plugins are searches over bytes: a vector of them at a time costs as much fuel as one. Fixed-width vectors give
        // the same on every machine.
        flags.push("-Ctarget-feature=+simd128".to_owned());
        // Plugins recurse no deeper than their inputs are nested. The host looks through the whole memory after each call, of
        // which the linker's default of 1 MiB would be nearly all; what runs over it traps.
        flags.push("-Clink-arg=-zstack-size=262144".to_owned());
        // Where a dependency wants randomness, the plugin must bring a fixed source itself: verdicts are replayed.
        flags.push("--cfg=getrandom_backend=\"custom\"".to_owned());
        Ok(flags.join("\u{1f}"))
    }
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
    let libraries = || output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    let present = |folder: &str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    };
    let folder = libraries().context("rustc does not answer")?;
    if present(&folder) {
        return Ok(Toolchain::Own);
    }
    if !works("rustup", ["--version"]) {
        bail!("{folder} is not there, and there is no rustup to add it");
    }
    println!("adding the target {TARGET} with rustup");
    output(Command::new("rustup").args(["target", "add", TARGET])).context("rustup could not add the target")?;
    if present(&libraries()?) { Ok(Toolchain::Own) } else { bail!("rustup added {TARGET}, but {folder} is not there") }
}

fn debian() -> Result<Toolchain> {
    if let Ok(toolchain) = installed_debian() {
        return Ok(toolchain);
    }
    if !works("apt-get", ["--version"]) {
        bail!("no apt-get to install Debian's Rust packages with");
    }
    println!("installing Debian's {} and lld (about half a minute)", DEBIAN_PACKAGES.join(", "));
    apt(&["update"])?;
    let linker = newest_lld()?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(DEBIAN_PACKAGES);
    arguments.push(&linker);
    apt(&arguments)?;
    installed_debian()
}

fn installed_debian() -> Result<Toolchain> {
    for tool in ["rustc", "cargo"] {
        let path = Path::new(DEBIAN_BIN).join(tool);
        if !path.exists() {
            bail!("{} is not there", path.display());
        }
    }
    let sources = debian_sources()?;
    if !sources.join("std").exists() {
        bail!("{} is not there", sources.display());
    }
    let version = output(Command::new(Path::new(DEBIAN_BIN).join("rustc")).arg("--version"))?;
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    if minor(&version) < minor(wanted) {
        bail!("Debian's {version} is older than {wanted}");
    }
    Ok(Toolchain::Debian { linker: linker()? })
}

/// The second number of the first word that looks like a version.
fn minor(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split('.').nth(1)?.parse().ok()
}

fn debian_sources() -> Result<PathBuf> {
    let sysroot = output(Command::new(Path::new(DEBIAN_BIN).join("rustc")).args(["--print", "sysroot"]))?;
    Ok(Path::new(&sysroot).join("lib/rustlib/src/rust/library"))
}

/// The newest `wasm-ld` among Debian's versioned names.
fn linker() -> Result<PathBuf> {
    let newest = std::fs::read_dir(DEBIAN_BIN)?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix("wasm-ld")?.trim_start_matches('-');
            Some((version.parse::<u32>().unwrap_or(0), entry.path()))
        })
        .max();
    newest.map(|(_, path)| path).context("no wasm-ld in /usr/bin")
}

/// The newest `lld-N` that apt knows.
fn newest_lld() -> Result<String> {
    let names = output(Command::new("apt-cache").args(["pkgnames", "lld-"]))?;
    let newest = names.lines().filter_map(|name| name.strip_prefix("lld-")?.parse::<u32>().ok()).max();
    newest.map(|version| format!("lld-{version}")).context("apt knows no lld")
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

/// Folders in which cargo unpacks crates.
fn registry_sources() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folder = home.context("no home folder")?.join("registry/src");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_second_number() {
        assert_eq!(minor("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some(96));
        assert_eq!(minor("1.95"), Some(95));
        assert_eq!(minor("rustc"), None);
        assert!(minor("no version") < minor("1.95"));
    }

    #[test]
    fn no_place_of_this_machine_is_left_in_the_flags_target() {
        let flags = Toolchain::Own.flags(Path::new("/somewhere/else")).unwrap();
        assert!(flags.contains("--remap-path-prefix=/somewhere/else=/portcullis"), "{flags}");
        assert!(flags.contains("registry/src/"), "the unpacked crates are remapped: {flags}");
    }
}
