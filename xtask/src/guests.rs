//! Builds plugins and test guests into components.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use portcullis_project::toolchain::{TARGET, Toolchain};
use portcullis_project::{ABI_VERSION, Facts, facts, wrap};

use crate::inputs;
use crate::toolchain::{self, Choice};

const PROFILE: &str = "guest";
const TEST_GUESTS: &str = "test-guests";
/// What both kinds are built from.
const COMMON: &[&str] = &["Cargo.toml", "Cargo.lock", "wit", "sdk-guest/rust", "xtask/src"];
/// Name of the file that remembers what a folder of components was built from.
const STAMP: &str = ".built-from";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these, by name; all if none is given.
    names: Vec<String>,
    /// Only the plugins, not the test guests.
    #[arg(long)]
    plugins: bool,
    /// Which Rust builds them.
    #[arg(long, value_enum, default_value = "auto", env = "PORTCULLIS_GUEST_TOOLCHAIN")]
    toolchain: Choice,
}

/// The two kinds of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Crates in `plugins/`, into `target/plugins`.
    Plugins,
    /// Examples of `tests/guests`, into `target/guests`.
    Tests,
}

/// One component to build.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Guest {
    /// Name of the component.
    name: String,
    /// Package to build.
    package: String,
    /// Where cargo leaves the core module, below the profile's folder.
    module: PathBuf,
}

/// The part of `cargo metadata` that is needed here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    crate_types: Vec<String>,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let mut known = false;
    for kind in [Kind::Plugins, Kind::Tests] {
        if kind == Kind::Plugins || !arguments.plugins {
            known |= build(root, kind, &arguments.names, arguments.toolchain)?;
        }
    }
    if known { Ok(()) } else { bail!("no guest is called {}", arguments.names.join(" or ")) }
}

/// Builds what is out of date. With `names`, only those, whether out of date or not. False if there is none of that name.
pub(crate) fn build(root: &Path, kind: Kind, names: &[String], choice: Choice) -> Result<bool> {
    let mut guests = find(root, kind)?;
    guests.retain(|guest| names.is_empty() || names.contains(&guest.name));
    let Some(count) = (!guests.is_empty()).then_some(guests.len()) else { return Ok(names.is_empty()) };
    let (folder, word) = match kind {
        Kind::Plugins => (root.join("target/plugins"), "plugin"),
        Kind::Tests => (root.join("target/guests"), "test guest"),
    };
    let things = if count == 1 { word.to_owned() } else { format!("{word}s") };

    let rustc = Command::new("rustc").arg("-vV").output().map(|output| output.stdout).unwrap_or_default();
    let compiler = format!("{choice:?} {}", String::from_utf8_lossy(&rustc));
    let source = if kind == Kind::Plugins { ["plugins"] } else { ["tests/guests"] };
    let places: Vec<&str> = COMMON.iter().chain(&source).copied().collect();
    let digest = inputs::digest(root, &places, &compiler)?;
    let output = |guest: &Guest| folder.join(format!("{}.wasm", guest.name));
    let stamp = folder.join(STAMP);
    let fresh = fs::read_to_string(&stamp).is_ok_and(|old| old == digest);
    if names.is_empty() && fresh && guests.iter().all(|guest| output(guest).exists()) {
        println!("{count} {things} up to date");
        return Ok(true);
    }

    let toolchain = toolchain::find(choice)?;
    // From here on the components are of no one source until all of them are built.
    if let Err(error) = fs::remove_file(&stamp)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot remove {}", stamp.display()));
    }
    let started = Instant::now();
    println!("building {count} {things} with {} (two minutes or so the first time)", toolchain.version()?);
    let modules = compile(root, kind, &guests, &toolchain)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for guest in &guests {
        let component = component(guest, &modules, kind).with_context(|| format!("{word} {}", guest.name))?;
        inputs::write_if_changed(&output(guest), &component)?;
    }
    if names.is_empty() {
        prune(&folder, &guests)?;
        inputs::write_if_changed(&stamp, digest.as_bytes())?;
    }
    println!("built {count} {things} in {:.0} s, in {}", started.elapsed().as_secs_f32(), folder.display());
    Ok(true)
}

/// What there is to build, in order of name.
fn find(root: &Path, kind: Kind) -> Result<Vec<Guest>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata = serde_json::from_slice(&output.stdout).context("cargo metadata answers something unknown")?;
    Ok(pick(metadata, &root.join("plugins"), kind))
}

fn pick(metadata: Metadata, plugins: &Path, kind: Kind) -> Vec<Guest> {
    let mut guests = Vec::new();
    for package in metadata.packages {
        for target in package.targets.iter().filter(|target| target.crate_types.iter().any(|t| t == "cdylib")) {
            let example = target.kind.iter().any(|kind| kind == "example");
            let file = format!("{}.wasm", target.name.replace('-', "_"));
            let guest =
                |name: &str, module: PathBuf| Guest { name: name.to_owned(), package: package.name.clone(), module };
            match kind {
                Kind::Plugins if !example && package.manifest_path.starts_with(plugins) => {
                    guests.push(guest(&package.name, file.into()));
                }
                Kind::Tests if example && package.name == TEST_GUESTS => {
                    guests.push(guest(&target.name, Path::new("examples").join(file)));
                }
                Kind::Plugins | Kind::Tests => {}
            }
        }
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    guests
}

/// One cargo call for all, so that they agree on the features of what they share. The folder of the modules.
fn compile(root: &Path, kind: Kind, guests: &[Guest], toolchain: &Toolchain) -> Result<PathBuf> {
    // Beside the host's artefacts: two compilers in one folder would throw away each other's work.
    let build = root.join("target/guest-build");
    let mut command = toolchain.cargo_build(root)?;
    command.args(["--quiet", "--profile", PROFILE, "--target-dir"]).arg(&build);
    let packages: BTreeSet<&str> = guests.iter().map(|guest| guest.package.as_str()).collect();
    command.args(packages.iter().flat_map(|package| ["--package", package]));
    match kind {
        Kind::Plugins => {
            command.arg("--lib");
        }
        Kind::Tests => {
            command.args(guests.iter().flat_map(|guest| ["--example", &guest.name]));
        }
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the guests do not compile ({status})");
    }
    Ok(build.join(TARGET).join(PROFILE))
}

/// Turns a module into a component, checks it if it is a plugin, and says what it is.
fn component(guest: &Guest, modules: &Path, kind: Kind) -> Result<Vec<u8>> {
    let path = modules.join(&guest.module);
    let module = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let component = wrap(&module)?;
    if kind == Kind::Plugins {
        let facts = facts(&component)?;
        check(&facts)?;
        let asks: Vec<&str> = facts.asks()?.into_iter().collect();
        let asks =
            if asks.is_empty() { "asks for nothing".to_owned() } else { format!("asks for {}", asks.join(", ")) };
        println!("  {:20} {:>6} KiB, {asks}", guest.name, component.len().div_ceil(1024));
    }
    Ok(component)
}

/// Whether a built-in plugin may look like this: one role, one version stamp, nothing imported beside the contract.
fn check(facts: &Facts) -> Result<()> {
    if facts.asks()?.contains("locked_wasi") {
        bail!("imports WASI; built-in plugins import nothing beside the plugin contract");
    }
    if facts.role().is_none() {
        bail!("exports {:?}; a plugin exports configure and one of inspect, decide, route", facts.exports);
    }
    match facts.abi.as_slice() {
        [version] if version == ABI_VERSION => Ok(()),
        other => bail!("has the version stamps {other:?}; wanted one, {ABI_VERSION}"),
    }
}

/// Removes components that are no longer built.
fn prune(folder: &Path, guests: &[Guest]) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let built = guests.iter().any(|guest| path.file_stem().is_some_and(|stem| stem == guest.name.as_str()));
        if path.extension().is_some_and(|extension| extension == "wasm") && !built {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        serde_json::from_value(serde_json::json!({ "packages": [
            { "name": "rule-b", "manifest_path": "/r/plugins/rule-b/Cargo.toml", "targets": [
                { "name": "rule_b", "kind": ["cdylib", "rlib"], "crate_types": ["cdylib", "rlib"] },
                { "name": "more", "kind": ["example"], "crate_types": ["bin"] },
            ]},
            { "name": "detector-a", "manifest_path": "/r/plugins/detector-a/Cargo.toml", "targets": [
                { "name": "detector_a", "kind": ["cdylib", "rlib"], "crate_types": ["cdylib", "rlib"] },
            ]},
            { "name": "plugin-text", "manifest_path": "/r/plugins/text/Cargo.toml", "targets": [
                { "name": "plugin_text", "kind": ["lib"], "crate_types": ["lib"] },
            ]},
            { "name": "test-guests", "manifest_path": "/r/tests/guests/Cargo.toml", "targets": [
                { "name": "test_guests", "kind": ["lib"], "crate_types": ["lib"] },
                { "name": "endless-loop", "kind": ["example"], "crate_types": ["cdylib"] },
            ]},
            { "name": "elsewhere", "manifest_path": "/r/host/elsewhere/Cargo.toml", "targets": [
                { "name": "elsewhere", "kind": ["cdylib"], "crate_types": ["cdylib"] },
            ]},
        ]}))
        .unwrap()
    }

    #[test]
    fn plugins_are_the_cdylibs_in_their_folder() {
        let found = pick(metadata(), Path::new("/r/plugins"), Kind::Plugins);
        let names: Vec<_> = found.iter().map(|guest| (guest.name.as_str(), guest.module.to_str().unwrap())).collect();
        assert_eq!(names, [("detector-a", "detector_a.wasm"), ("rule-b", "rule_b.wasm")]);
    }

    #[test]
    fn test_guests_are_the_cdylib_examples_of_their_crate() {
        let found = pick(metadata(), Path::new("/r/plugins"), Kind::Tests);
        let names: Vec<_> = found.iter().map(|guest| (guest.name.as_str(), guest.module.to_str().unwrap())).collect();
        assert_eq!(names, [("endless-loop", "examples/endless_loop.wasm")]);
    }
}
