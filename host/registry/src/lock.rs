//! `plugins.lock`: what references stood for when they were resolved.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;

use portcullis_model::Digest;
use serde::{Deserialize, Serialize};

use crate::cache;
use crate::error::Error;
use crate::files;

/// Name of the lock file in the data folder.
pub const LOCK_FILE: &str = "plugins.lock";
/// Most entries, and the largest file in bytes.
const MOST: usize = 4096;
const LARGEST: u64 = 4 << 20;

const HEAD: &str = "# Written by Portcullis: what the references of its configuration stood for when they were resolved.\n\
                    # A start uses this and does not ask again where a tag points to; `portcullis plugin pull --update` does.\n\n";

/// What a reference stood for when it was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// As the configuration writes it.
    pub reference: String,
    /// SHA-256 of the WebAssembly file.
    pub digest: Digest,
    /// SHA-256 of its manifest in the registry.
    pub manifest: Digest,
    /// Ids of trusted keys that had signed it, sorted.
    #[serde(default)]
    pub keys: Vec<Digest>,
    /// When, in UTC.
    pub resolved: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    #[serde(default)]
    plugin: Vec<Locked>,
}

/// The lock file of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    /// Held while the lock file is changed, so that two processes do not lose each other's lines.
    guard: PathBuf,
}

impl LockFile {
    pub(crate) fn new(path: PathBuf, guard: PathBuf) -> Self {
        Self { path, guard }
    }

    /// Everything in it, sorted by reference; nothing if there is none.
    pub(crate) fn read(&self) -> Result<Vec<Locked>, Error> {
        let fail = |why: String| Error::Lock { path: self.path.clone(), why };
        let text = match files::read_text(&self.path, LARGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(format!("cannot be read: {error}"))),
        };
        let contents: Contents = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            fail(format!("line {line}: {}", error.message()))
        })?;
        if contents.version != 1 {
            return Err(fail(format!("is of version {}; this program knows version 1", contents.version)));
        }
        Ok(contents.plugin)
    }

    pub(crate) fn find(&self, reference: &str) -> Result<Option<Locked>, Error> {
        Ok(self.read()?.into_iter().find(|one| one.reference == reference))
    }

    /// What the cache must not drop.
    pub(crate) fn digests(&self) -> Result<HashSet<Digest>, Error> {
        Ok(self.read()?.iter().flat_map(|one| [one.digest, one.manifest]).collect())
    }

    /// Records one reference. Keys of other tenants that were recorded for the same plugin stay.
    pub(crate) fn record(&self, mut fresh: Locked) -> Result<(), Error> {
        self.change(|entries| {
            let old = entries.iter().position(|one| one.reference == fresh.reference);
            if let Some(old) = old.map(|at| entries.remove(at))
                && (old.digest, old.manifest) == (fresh.digest, fresh.manifest)
            {
                fresh.keys.extend(&old.keys);
                fresh.resolved.clone_from(&old.resolved);
            }
            fresh.keys.sort_unstable();
            fresh.keys.dedup();
            entries.push(fresh);
        })
    }

    /// Forgets what is not among these references; returns what was forgotten.
    pub(crate) fn retain(&self, references: &HashSet<String>) -> Result<Vec<Locked>, Error> {
        let mut gone = Vec::new();
        self.change(|entries| {
            gone = entries.extract_if(.., |one| !references.contains(&one.reference)).collect();
        })?;
        Ok(gone)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Locked>)) -> Result<(), Error> {
        let folder = self.guard.parent().unwrap_or(&self.guard);
        let fail = |source| Error::Store { path: self.guard.clone(), doing: "cannot be locked", source };
        fs::create_dir_all(folder).map_err(fail)?;
        let guard = File::options().write(true).create(true).truncate(false).open(&self.guard).map_err(fail)?;
        guard.lock().map_err(fail)?;
        let old = self.read()?;
        let mut plugin = old.clone();
        change(&mut plugin);
        plugin.sort_by(|one, other| one.reference.cmp(&other.reference));
        if plugin == old {
            return Ok(());
        }
        if plugin.len() > MOST {
            let why = format!(
                "holds {MOST} references already; `portcullis plugin pull --prune` forgets what is not configured"
            );
            return Err(Error::Lock { path: self.path.clone(), why });
        }
        let text = toml::to_string(&Contents { version: 1, plugin })
            .map_err(|error| Error::Lock { path: self.path.clone(), why: error.to_string() })?;
        cache::write(&self.path, format!("{HEAD}{text}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(reference: &str, wasm: &[u8], key: &[u8]) -> Locked {
        Locked {
            reference: reference.to_owned(),
            digest: Digest::of(wasm),
            manifest: Digest::of(b"manifest"),
            keys: vec![Digest::of(key)],
            resolved: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn entries_are_sorted_and_keys_of_the_same_plugin_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = LockFile::new(folder.path().join(LOCK_FILE), folder.path().join("registry/.guard"));
        assert!(file.read().unwrap().is_empty());
        file.record(locked("oci://h/b:1", b"b", b"key")).unwrap();
        file.record(locked("oci://h/a:1", b"a", b"key")).unwrap();
        let later = Locked { resolved: "2026-02-01T00:00:00Z".to_owned(), ..locked("oci://h/b:1", b"b", b"other") };
        file.record(later).unwrap();
        let all = file.read().unwrap();
        assert_eq!(all.iter().map(|one| one.reference.as_str()).collect::<Vec<_>>(), ["oci://h/a:1", "oci://h/b:1"]);
        assert_eq!((all[1].keys.len(), all[1].resolved.as_str()), (2, "2026-01-01T00:00:00Z"));
        // Another plugin under the same tag starts anew.
        file.record(locked("oci://h/b:1", b"c", b"third")).unwrap();
        assert_eq!(file.find("oci://h/b:1").unwrap().unwrap().keys, [Digest::of(b"third")]);
        let gone = file.retain(&HashSet::from(["oci://h/a:1".to_owned()])).unwrap();
        assert_eq!((gone.len(), file.read().unwrap().len()), (1, 1));
    }

    #[test]
    fn a_damaged_lock_file_is_an_error_and_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        let file = LockFile::new(path.clone(), folder.path().join(".guard"));
        for (text, why) in [
            ("version = 1\n[[plugin]]\nreference = 5\n", "line 3"),
            ("version = 2\n", "version 2"),
            ("nonsense", "line 1"),
            ("version = 1\nmore = 1\n", "line 2"),
        ] {
            fs::write(&path, text).unwrap();
            let said = file.read().unwrap_err().to_string();
            assert!(said.contains(why) && said.contains("plugins.lock"), "{said}");
            assert!(file.record(locked("oci://h/a:1", b"a", b"k")).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
