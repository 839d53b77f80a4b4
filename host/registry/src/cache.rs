//! Bytes by their digest, in the data folder: usable without any network.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use portcullis_model::Digest;

use crate::MAX_PLUGIN_BYTES;
use crate::error::Error;
use crate::files;

/// Most files.
const MOST_FILES: usize = 4096;
/// What a file that is being written begins with.
const UNFINISHED: &str = ".new-";
/// When a file that is being written is somebody's who died.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Largest file of signatures, in bytes.
const LARGEST_SIGNATURES: u64 = 8 << 20;

/// Bytes by their digest. Every read is hashed again; every write is whole or not there.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    most_bytes: u64,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf, most_bytes: u64) -> Self {
        Self { folder, most_bytes }
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.hex())
    }

    fn notes(&self, manifest: Digest) -> PathBuf {
        self.folder.join("signatures").join(format!("{}.json", manifest.hex()))
    }

    /// The bytes of a digest. What has other bytes by now is removed, and is not there.
    pub(crate) fn get(&self, digest: Digest) -> Option<Vec<u8>> {
        let path = self.blob(digest);
        let bytes = read(&path, MAX_PLUGIN_BYTES)?;
        if Digest::of(&bytes) != digest {
            tracing::warn!(path = %path.display(), "a cached file has other bytes than its name says; it is removed");
            let _gone = fs::remove_file(&path);
            return None;
        }
        // So that the ones in use are the last to go. Where it cannot be written, nothing goes.
        let _touched = File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Keeps bytes under their digest; what was not used for longest makes room, but nothing of `keep`.
    pub(crate) fn put(&self, digest: Digest, bytes: &[u8], keep: &HashSet<Digest>) -> Result<(), Error> {
        let path = self.blob(digest);
        if read(&path, MAX_PLUGIN_BYTES).is_some_and(|kept| Digest::of(&kept) == digest) {
            return Ok(());
        }
        self.make_room(bytes.len() as u64, keep)?;
        write(&path, bytes)
    }

    /// The signatures of a manifest, as they were put. They are not hashed: each use checks them against keys.
    pub(crate) fn signatures(&self, manifest: Digest) -> Option<Vec<u8>> {
        read(&self.notes(manifest), LARGEST_SIGNATURES)
    }

    pub(crate) fn put_signatures(&self, manifest: Digest, bytes: &[u8], keep: &HashSet<Digest>) -> Result<(), Error> {
        if self.signatures(manifest).as_deref() == Some(bytes) {
            return Ok(());
        }
        self.make_room(bytes.len() as u64, keep)?;
        write(&self.notes(manifest), bytes)
    }

    fn make_room(&self, wanted: u64, keep: &HashSet<Digest>) -> Result<(), Error> {
        let kept: HashSet<String> = keep.iter().map(Digest::hex).collect();
        let (mut files, mut total) = (Vec::new(), 0_u64);
        for folder in ["blobs", "signatures"] {
            for entry in fs::read_dir(self.folder.join(folder)).into_iter().flatten().flatten() {
                let (Ok(metadata), name) = (entry.metadata(), entry.file_name().to_string_lossy().into_owned()) else {
                    continue;
                };
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                if name.starts_with(UNFINISHED) {
                    if modified.elapsed().is_ok_and(|age| age > ABANDONED) {
                        let _gone = fs::remove_file(entry.path());
                    }
                    continue;
                }
                total += metadata.len();
                files.push((kept.contains(name.trim_end_matches(".json")), modified, metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut count = files.len();
        for (kept, _, length, path) in files {
            if total + wanted <= self.most_bytes && count < MOST_FILES {
                return Ok(());
            }
            if kept {
                break;
            }
            if fs::remove_file(&path).is_ok() {
                total -= length;
                count -= 1;
            }
        }
        if total + wanted <= self.most_bytes && count < MOST_FILES {
            return Ok(());
        }
        let why = "the cache is full of plugins that are in plugins.lock: raise `registry.cache_mib`, or let \
                   `portcullis plugin pull --prune` forget what is not configured any more";
        Err(Error::File { path: self.folder.clone(), why: why.to_owned() })
    }
}

fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    files::read_file(path, most).ok()
}

/// Writes a file so that it is there whole or not at all, also after a power cut.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fail = |doing| move |source| Error::Store { path: path.to_owned(), doing, source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(fail("its folder cannot be made"))?;
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(|error| fail("no random name")(std::io::Error::other(error.to_string())))?;
    let unfinished = folder.join(format!("{UNFINISHED}{:x}", u64::from_ne_bytes(random)));
    let written = File::options().write(true).create_new(true).open(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written
        .map_err(fail("cannot be stored"))
        .and_then(|()| fs::rename(&unfinished, path).map_err(fail("cannot be put in its place")));
    if done.is_err() {
        let _gone = fs::remove_file(&unfinished);
        return done;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail("its folder cannot be synced"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder.join("blobs")).map_or(0, Iterator::count)
    }

    #[test]
    fn what_was_changed_on_disk_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned(), 1 << 20);
        let digest = Digest::of(b"plugin");
        assert!(cache.get(digest).is_none());
        cache.put(digest, b"plugin", &HashSet::new()).unwrap();
        cache.put(digest, b"plugin", &HashSet::new()).unwrap();
        assert_eq!(cache.get(digest).unwrap(), b"plugin");
        fs::write(cache.blob(digest), b"plugim").unwrap();
        assert!(cache.get(digest).is_none());
        assert_eq!(files(folder.path()), 0);
        // Put again, it is mended.
        fs::write(cache.blob(digest), b"plugim").unwrap();
        cache.put(digest, b"plugin", &HashSet::new()).unwrap();
        assert_eq!(cache.get(digest).unwrap(), b"plugin");
    }

    #[test]
    fn the_longest_unused_makes_room_but_nothing_that_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned(), 100);
        let blob = |n: u8| vec![n; 40];
        let digest = |n: u8| Digest::of(&blob(n));
        let keep = HashSet::from([digest(1)]);
        for n in 1..=5 {
            cache.put(digest(n), &blob(n), &keep).unwrap();
            let age = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(n));
            File::options().write(true).open(cache.blob(digest(n))).unwrap().set_modified(age).unwrap();
        }
        assert_eq!(files(folder.path()), 2);
        assert!(cache.get(digest(1)).is_some() && cache.get(digest(5)).is_some());
        let all = HashSet::from([digest(1), digest(5)]);
        let said = cache.put(digest(6), &blob(6), &all).unwrap_err().to_string();
        assert!(said.contains("registry.cache_mib"), "{said}");
        assert!(cache.get(digest(6)).is_none());
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("there");
        fs::create_dir_all(path.join("x")).unwrap();
        let said = write(&path, b"bytes").unwrap_err().to_string();
        assert!(said.contains("there"), "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
