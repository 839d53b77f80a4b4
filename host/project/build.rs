//! Embeds what a new project is made of: the plugin contract, the SDKs, the templates, the shared cases; and the stand-in for
//! WASI preview 1, as a module.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut code = String::from("/// Every embedded file: its path from the root of the repository, its content.\n");
    code.push_str("pub(super) const FILES: &[(&str, &[u8])] = &[\n");
    for place in ["wit", "sdk-guest"] {
        let mut files = Vec::new();
        walk(&root.join(place), &mut files)?;
        println!("cargo::rerun-if-changed={}", root.join(place).display());
        for path in files {
            println!("cargo::rerun-if-changed={}", path.display());
            let name = path.strip_prefix(&root)?.to_string_lossy().into_owned();
            writeln!(code, "    ({name:?}, include_bytes!({path:?})),")?;
        }
    }
    code.push_str("];\n");
    fs::write(out.join("embedded.rs"), code)?;
    println!("cargo::rerun-if-changed=src/stub.wat");
    fs::write(out.join("stub.wasm"), wat::parse_file("src/stub.wat")?)?;
    Ok(())
}

/// Files below a folder, sorted; not what tools leave there.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let made = ["target", "build", "node_modules", "__pycache__", ".venv", ".zig-cache", "zig-out"];
        if made.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
