//! Released versions of the plugin contract never change again: `wit/frozen.json` holds the SHA-256 of each of their files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::inputs;

const FROZEN: &str = "frozen.json";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Checks the frozen versions; this is what happens without any option, too.
    #[arg(long)]
    check: bool,
    /// Freezes a version, for instance plugin@1.1.0.
    #[arg(long, value_name = "VERSION", conflicts_with = "check")]
    freeze: Option<String>,
}

/// Version folder, file name, SHA-256.
type Frozen = BTreeMap<String, BTreeMap<String, String>>;

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let wit = root.join("wit");
    match &arguments.freeze {
        Some(version) => freeze(&wit, version),
        None => {
            let count = check(&wit)?;
            println!("{count} released versions of the plugin contract are unchanged");
            Ok(())
        }
    }
}

/// Compares every frozen version with its folder; how many there are.
pub(crate) fn check(wit: &Path) -> Result<usize> {
    let frozen = read(wit)?;
    if frozen.is_empty() {
        bail!("{} names no version", wit.join(FROZEN).display());
    }
    let mut changes = Vec::new();
    for (version, wanted) in &frozen {
        let found = hashes(&wit.join(version))?;
        for name in wanted.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>() {
            let what = match (wanted.get(name), found.get(name)) {
                (Some(wanted), Some(found)) if wanted == found => continue,
                (Some(_), Some(_)) => "has changed",
                (Some(_), None) => "is missing",
                (None, _) => "is new",
            };
            changes.push(format!("wit/{version}/{name} {what}"));
        }
    }
    if !changes.is_empty() {
        bail!("a released version must not change; put the change into a new folder:\n  {}", changes.join("\n  "));
    }
    Ok(frozen.len())
}

/// Adds a version to the frozen ones.
fn freeze(wit: &Path, version: &str) -> Result<()> {
    let mut frozen = if wit.join(FROZEN).exists() { read(wit)? } else { Frozen::new() };
    let files = hashes(&wit.join(version))?;
    if frozen.contains_key(version) {
        bail!("{version} is frozen already");
    }
    frozen.insert(version.to_owned(), files);
    let text = serde_json::to_string_pretty(&frozen)? + "\n";
    inputs::write_if_changed(&wit.join(FROZEN), text.as_bytes())
}

fn read(wit: &Path) -> Result<Frozen> {
    let path = wit.join(FROZEN);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is malformed", path.display()))
}

fn hashes(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, inputs::sha256(&fs::read(&path)?));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_contract_is_unchanged() {
        assert!(check(&crate::root().unwrap().join("wit")).unwrap() >= 1);
    }

    #[test]
    fn any_change_to_a_frozen_version_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let wit = folder.path();
        let version = wit.join("plugin@1.0.0");
        fs::create_dir(&version).unwrap();
        fs::write(version.join("a.wit"), "a").unwrap();
        fs::write(version.join("b.wit"), "b").unwrap();
        freeze(wit, "plugin@1.0.0").unwrap();
        assert_eq!(check(wit).unwrap(), 1);

        fs::write(version.join("a.wit"), "changed").unwrap();
        fs::remove_file(version.join("b.wit")).unwrap();
        fs::write(version.join("c.wit"), "c").unwrap();
        let error = check(wit).unwrap_err().to_string();
        for line in ["a.wit has changed", "b.wit is missing", "c.wit is new"] {
            assert!(error.contains(line), "{error}");
        }
        assert!(freeze(wit, "plugin@1.0.0").is_err(), "a frozen version cannot be frozen again");
    }
}
