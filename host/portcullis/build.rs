//! Embeds the built plugins and the policy packs into the binary.
//!
//! `cargo xtask build` puts the plugins into `target/plugins` first. Without them the binary still builds, for the sake
//! of `cargo check`; it then says at start which command builds it whole.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let plugins = root.join("target/plugins");
    println!("cargo::rerun-if-changed={}", plugins.display());
    let mut code = String::from("pub(super) const PLUGINS: &[(&str, &[u8])] = &[\n");
    for path in files(&plugins, "wasm") {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    code.push_str("];\npub(super) const PACKS: &[(&str, &str)] = &[\n");
    let policies = root.join("policies");
    println!("cargo::rerun-if-changed={}", policies.display());
    for folder in entries(&policies) {
        let pack = folder.join("pack.toml");
        if pack.is_file() {
            println!("cargo::rerun-if-changed={}", pack.display());
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            writeln!(code, "    ({name:?}, include_str!({pack:?})),")?;
        }
    }
    code.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("embedded.rs"), code)?;
    Ok(())
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let wanted = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    entries(folder).into_iter().filter(wanted).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    found.sort();
    found
}
