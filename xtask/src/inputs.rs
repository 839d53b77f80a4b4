//! Whether something must be built again: a digest over the files it is built from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// SHA-256 over names and contents of all files in these places (folders are walked), and over `extra`. Pages for people
/// and test cases do not count.
pub(crate) fn digest(root: &Path, places: &[&str], extra: &str) -> Result<String> {
    let mut hasher = Sha256::new();
    part(&mut hasher, extra.as_bytes());
    for place in places {
        for path in files(&root.join(place))? {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            part(&mut hasher, name.as_bytes());
            part(&mut hasher, &fs::read(&path).with_context(|| format!("cannot read {name}"))?);
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Writes a file if its content changes, so that what is built from it is not built again. The file is complete or old,
/// never half written.
pub(crate) fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let beside = path.with_extension("new");
    fs::write(&beside, content).with_context(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}

fn part(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// All files in a place, sorted; a place that is not there has none.
fn files(place: &Path) -> Result<Vec<PathBuf>> {
    if !place.is_dir() {
        return Ok(if place.exists() { vec![place.to_path_buf()] } else { Vec::new() });
    }
    let mut names = fs::read_dir(place)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    names.sort_unstable();
    let mut all = Vec::new();
    for path in names {
        let name = path.file_name().unwrap_or_default();
        if name != "target" && name != "cases" && name != "README.md" {
            all.extend(files(&path)?);
        }
    }
    Ok(all)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_follows_names_and_contents_but_not_pages() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let now = || digest(folder.path(), &["."], "x").unwrap();
        file("a", "1");
        let first = now();
        file("README.md", "page");
        assert_eq!(now(), first);
        file("a", "2");
        let second = now();
        assert_ne!(second, first);
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_ne!(now(), second);
        assert_ne!(digest(folder.path(), &["."], "y").unwrap(), now());
    }

    #[test]
    fn an_unchanged_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        write_if_changed(&path, b"one").unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        write_if_changed(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
        write_if_changed(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn sha256_is_the_known_one() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
