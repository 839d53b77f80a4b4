//! Which Rust builds plugins.
//!
//! The user's own toolchain if it has the target's libraries; else Debian's packages, whose compiler builds the standard
//! library from source. Nothing is installed here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{self, ToolError};

/// What plugins are compiled for: no WASI, so a component imports nothing but the plugin contract.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's packages, beside a linker `lld-N`.
pub const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

const DEBIAN_BIN: &str = "/usr/bin";
/// Second number of the oldest version of Rust that builds plugins.
const OLDEST: u32 = 95;

/// A Rust that builds for [`TARGET`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The user's own.
    Own,
    /// Debian's, with this linker.
    Debian {
        /// `wasm-ld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The user's own toolchain, if it can build for the target.
    ///
    /// # Errors
    /// It cannot; the text says how it could.
    pub fn own() -> Result<Self, ToolError> {
        let missing = |tool: String, install: &str| ToolError::Missing { tool, install: install.to_owned() };
        let folder = text(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))
            .map_err(|_| missing("Rust".to_owned(), "install it from https://rustup.rs"))?;
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let present = entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"));
        let install = format!("add it with `rustup target add {TARGET}`");
        if present { Ok(Self::Own) } else { Err(missing(format!("Rust's target {TARGET}"), &install)) }
    }

    /// Debian's packages, if they are installed.
    ///
    /// # Errors
    /// They are not; the text says how to install them.
    pub fn debian() -> Result<Self, ToolError> {
        let packages = DEBIAN_PACKAGES.join(" ");
        let missing = |tool: String| ToolError::Missing {
            tool,
            install: format!("install it with `apt-get install --no-install-recommends {packages} lld-22`"),
        };
        for program in ["rustc", "cargo"] {
            let path = Path::new(DEBIAN_BIN).join(program);
            if !path.exists() {
                return Err(missing(path.display().to_string()));
            }
        }
        let sources = debian_sources()?;
        if !sources.join("std").exists() {
            return Err(missing(sources.display().to_string()));
        }
        let version = text(Command::new(Path::new(DEBIAN_BIN).join("rustc")).arg("--version"))?;
        if minor(&version).is_none_or(|minor| minor < OLDEST) {
            return Err(missing(format!("a Rust of at least 1.{OLDEST} ({version} is Debian's)")));
        }
        let linker = newest_linker().ok_or_else(|| missing("wasm-ld".to_owned()))?;
        Ok(Self::Debian { linker })
    }

    /// The one that is installed: the user's own, else Debian's.
    ///
    /// # Errors
    /// There is none; the text says how to get one.
    pub fn installed() -> Result<Self, ToolError> {
        Self::own().or_else(|own| {
            Self::debian().map_err(|_| match own {
                ToolError::Missing { tool, install } => {
                    let debian = DEBIAN_PACKAGES.join(" ");
                    let install = format!("{install}, or install Debian's packages {debian} lld-22");
                    ToolError::Missing { tool, install }
                }
                other => other,
            })
        })
    }

    /// A `cargo build` for the target in `root`, with flags and environment set. `root` and other places of this machine do
    /// not show in what it builds.
    ///
    /// # Errors
    /// Debian's sources cannot be found.
    pub fn cargo_build(&self, root: &Path) -> Result<Command, ToolError> {
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
    ///
    /// # Errors
    /// It does not answer.
    pub fn version(&self) -> Result<String, ToolError> {
        let rustc = match self {
            Self::Own => PathBuf::from("rustc"),
            Self::Debian { .. } => Path::new(DEBIAN_BIN).join("rustc"),
        };
        text(Command::new(rustc).arg("--version"))
    }

    /// Compiler flags, separated as cargo wants them.
    fn flags(&self, root: &Path) -> Result<String, ToolError> {
        let mut remap = BTreeMap::from([(root.to_path_buf(), "/portcullis".to_owned())]);
        for sources in registry_sources() {
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

/// The newest `lld-N` that apt knows.
#[must_use]
pub fn newest_lld() -> Option<String> {
    let names = text(Command::new("apt-cache").args(["pkgnames", "lld-"])).ok()?;
    let newest = names.lines().filter_map(|name| name.strip_prefix("lld-")?.parse::<u32>().ok()).max()?;
    Some(format!("lld-{newest}"))
}

/// The newest `wasm-ld` among Debian's versioned names.
fn newest_linker() -> Option<PathBuf> {
    let newest = std::fs::read_dir(DEBIAN_BIN)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix("wasm-ld")?.trim_start_matches('-');
            Some((version.parse::<u32>().unwrap_or(0), entry.path()))
        })
        .max();
    newest.map(|(_, path)| path)
}

/// The second number of the first word that looks like a version.
fn minor(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split('.').nth(1)?.parse().ok()
}

fn debian_sources() -> Result<PathBuf, ToolError> {
    let sysroot = text(Command::new(Path::new(DEBIAN_BIN).join("rustc")).args(["--print", "sysroot"]))?;
    Ok(Path::new(&sysroot).join("lib/rustlib/src/rust/library"))
}

/// Folders in which cargo unpacks crates.
fn registry_sources() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let Some(home) = home else { return Vec::new() };
    let entries = std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
    entries.into_iter().map(|entry| entry.path()).collect()
}

/// What a command prints, trimmed.
fn text(command: &mut Command) -> Result<String, ToolError> {
    Ok(String::from_utf8_lossy(&tool::run(command)?).trim().to_owned())
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
    fn no_place_of_this_machine_is_left_in_the_flags() {
        let flags = Toolchain::Own.flags(Path::new("/somewhere/else")).unwrap();
        assert!(flags.contains("--remap-path-prefix=/somewhere/else=/portcullis"), "{flags}");
        assert!(flags.contains("registry/src/"), "the unpacked crates are remapped: {flags}");
    }
}
