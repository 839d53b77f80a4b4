//! Compiled artefacts on disk, behind a keyed hash.
//!
//! A compiled artefact is machine code, and loading one is running whatever it holds. So a file counts only if it begins
//! with the HMAC-SHA-256 of its name and its content under the key of this installation. Whoever cannot read the key
//! cannot make such a file; a file that was changed, cut off, or moved from another installation is ignored and replaced.

use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use std::{fs, io};

use hmac::{Hmac, KeyInit as _, Mac as _};
use portcullis_model::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of the keyed hash.
const TAG: usize = 32;
/// Most files that are kept, and bytes of all of them; beyond it those go that were not used for longest.
const MAX_FILES: usize = 256;
const MAX_BYTES: u64 = 2 << 30;
/// First byte after the tag: the artefact is a snapshot.
const SNAPSHOT: u8 = 0;
/// First byte after the tag: the plugin takes the configuration, but is configured in each instance, and why.
const EACH_CALL: u8 = 1;
/// First byte after the tag: the artefact has no configuration yet.
const PLAIN: u8 = 2;

pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    /// Distinguishes the temporary files of this process.
    serial: AtomicU64,
}

/// What one file holds.
pub(crate) enum Cached {
    /// A component whose memory is configured.
    Configured(Component),
    /// That a configuration was taken; and why the component is configured in each instance.
    EachCall(String),
    /// A component that is configured in each instance.
    Plain(Component),
}

/// Name of one artefact: a function of everything it depends on and of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(Digest);

impl Cache {
    /// Opens the folder, making it if need be.
    pub(crate) fn open(folder: &Path, key: [u8; 32]) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), key, serial: AtomicU64::new(0) })
    }

    /// The name under which the artefact with this key is kept.
    pub(crate) fn name(&self, key: Digest) -> Name {
        // The number is the version of the form of what is kept.
        Name(self.hash(b"name 2", &key.0))
    }

    /// What is kept, if there is something that this installation made for this engine.
    pub(crate) fn get(&self, engine: &Engine, name: Name) -> Option<Cached> {
        let path = self.path(name);
        let file = fs::read(&path).ok()?;
        let found = self.checked(name, &file).and_then(|content| known(engine, content));
        if found.is_none() {
            tracing::warn!(file = %path.display(), "a compiled plugin in the cache is not ours and is made again");
            return None;
        }
        // What is used stays. If that cannot be noted, it may be compiled again one day.
        let _touched = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        found
    }

    /// Keeps something. Failing to is not an error of the plugin: it will be compiled again.
    pub(crate) fn put(&self, name: Name, what: &Cached) {
        let path = self.path(name);
        let content = match what {
            Cached::Configured(component) => component.serialize().map(|artefact| with_kind(SNAPSHOT, &artefact)),
            Cached::Plain(component) => component.serialize().map(|artefact| with_kind(PLAIN, &artefact)),
            Cached::EachCall(reason) => Ok(with_kind(EACH_CALL, reason.as_bytes())),
        };
        let kept = content
            .map_err(io::Error::other)
            .and_then(|content| self.write(&path, &self.tag(name, &content).0, &content));
        match kept {
            Ok(()) => self.prune(MAX_BYTES),
            Err(error) => tracing::warn!(file = %path.display(), %error, "a compiled plugin could not be cached"),
        }
    }

    /// What comes after the keyed hash, if that is right.
    fn checked<'a>(&self, name: Name, file: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, content) = file.split_first_chunk::<TAG>()?;
        let mut mac = self.mac()?;
        mac.update(b"content");
        mac.update(&name.0.0);
        mac.update(content);
        mac.verify_slice(tag).ok()?;
        Some(content)
    }

    fn write(&self, path: &Path, tag: &[u8], content: &[u8]) -> io::Result<()> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{serial}.tmp", std::process::id()));
        let write = || {
            let mut file = fs::File::create(&temporary)?;
            file.write_all(tag)?;
            file.write_all(content)?;
            fs::rename(&temporary, path)
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }

    /// Keeps the folder bounded, temporary files of killed processes included.
    fn prune(&self, most_bytes: u64) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        files.sort_unstable();
        let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
        let mut left = files.len();
        // The latest is what was just made.
        for (_, length, path) in files.iter().take(files.len().saturating_sub(1)) {
            if left <= MAX_FILES && bytes <= most_bytes {
                break;
            }
            let _ = fs::remove_file(path);
            left -= 1;
            bytes = bytes.saturating_sub(*length);
        }
    }

    fn path(&self, name: Name) -> PathBuf {
        self.folder.join(format!("{}.plugin", name.0.hex()))
    }

    fn tag(&self, name: Name, content: &[u8]) -> Digest {
        let Some(mut mac) = self.mac() else { return Digest::default() };
        mac.update(b"content");
        mac.update(&name.0.0);
        mac.update(content);
        Digest(mac.finalize().into_bytes().into())
    }

    fn hash(&self, purpose: &[u8], content: &[u8]) -> Digest {
        let Some(mut mac) = self.mac() else { return Digest::default() };
        mac.update(purpose);
        mac.update(content);
        Digest(mac.finalize().into_bytes().into())
    }

    /// Always there: HMAC takes keys of any length.
    fn mac(&self) -> Option<Hmac<Sha256>> {
        Hmac::new_from_slice(&self.key).ok()
    }
}

fn with_kind(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(rest.len() + 1);
    content.push(kind);
    content.extend_from_slice(rest);
    content
}

/// What a file holds whose keyed hash is right.
fn known(engine: &Engine, content: &[u8]) -> Option<Cached> {
    let (kind, rest) = content.split_first()?;
    match *kind {
        SNAPSHOT => deserialize(engine, rest).ok().map(Cached::Configured),
        PLAIN => deserialize(engine, rest).ok().map(Cached::Plain),
        EACH_CALL => String::from_utf8(rest.to_vec()).ok().map(Cached::EachCall),
        _ => None,
    }
}

/// Everything about an engine that compiled code depends on.
pub(crate) fn compatibility(engine: &Engine) -> Digest {
    struct Sink(Sha256);
    impl Hasher for Sink {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sink = Sink(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sink);
    Digest(sink.0.finalize().into())
}

#[allow(unsafe_code, reason = "the only way to load compiled code; the caller has checked its keyed hash")]
fn deserialize(engine: &Engine, artefact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `artefact` came out of `Component::serialize` in this installation: `checked` has verified its HMAC under
    // a key that only this installation has. wasmtime itself refuses another version or other settings.
    unsafe { Component::deserialize(engine, artefact) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), [1; 32]).unwrap();
        let engine = Engine::default();
        let names: Vec<_> = (0..4_u8).map(|number| cache.name(Digest::of(&[number]))).collect();
        let kept = Cached::EachCall("x".repeat(1000));
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(3600);
        for (name, seconds) in names.iter().zip(0..) {
            cache.put(*name, &kept);
            let file = fs::File::open(cache.path(*name)).unwrap();
            file.set_modified(long_ago + std::time::Duration::from_secs(seconds)).unwrap();
        }
        assert!(matches!(cache.get(&engine, names[0]), Some(Cached::EachCall(reason)) if reason.len() == 1000));
        cache.prune(2500);
        let there: Vec<_> = names.iter().map(|name| cache.path(*name).exists()).collect();
        assert_eq!(there, [true, false, false, true], "the first was used, the others are older than the last");
        cache.prune(1);
        assert_eq!(names.iter().filter(|name| cache.path(**name).exists()).count(), 1, "the latest stays");
    }
}
