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

use crate::Prepared;

/// Bytes of the keyed hash.
const TAG: usize = 32;
/// Most files that are kept; beyond it the oldest go.
const MAX_FILES: usize = 256;
/// First byte after the tag: the artefact is a snapshot.
const SNAPSHOT: u8 = 0;
/// First byte after the tag: the artefact still has to be configured in each call, and why.
const EACH_CALL: u8 = 1;

pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    /// Distinguishes the temporary files of this process.
    serial: AtomicU64,
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
        Name(self.hash(b"name", &key.0))
    }

    /// The kept artefact, if there is one that this installation made for this engine.
    pub(crate) fn get(&self, engine: &Engine, name: Name) -> Option<(Component, Prepared)> {
        let file = fs::read(self.path(name)).ok()?;
        let found = self.checked(name, &file).and_then(|(artefact, prepared)| {
            let component = deserialize(engine, artefact).ok()?;
            Some((component, prepared))
        });
        if found.is_none() {
            tracing::warn!(file = %self.path(name).display(), "a compiled plugin in the cache is not ours and is made again");
        }
        found
    }

    /// Keeps an artefact. Failing to is not an error of the plugin: it will be compiled again.
    pub(crate) fn put(&self, name: Name, component: &Component, prepared: &Prepared) {
        let path = self.path(name);
        let kept = component.serialize().map_err(io::Error::other).and_then(|artefact| {
            let mut content = Vec::with_capacity(artefact.len() + 64);
            let reason = match prepared {
                Prepared::Snapshot => {
                    content.push(SNAPSHOT);
                    ""
                }
                Prepared::EachCall { reason } => {
                    content.push(EACH_CALL);
                    reason
                }
            };
            content.extend_from_slice(&u32::try_from(reason.len()).unwrap_or(0).to_be_bytes());
            content.extend_from_slice(reason.as_bytes());
            content.extend_from_slice(&artefact);
            self.write(&path, &self.tag(name, &content).0, &content)
        });
        match kept {
            Ok(()) => self.prune(),
            Err(error) => tracing::warn!(file = %path.display(), %error, "a compiled plugin could not be cached"),
        }
    }

    fn checked<'a>(&self, name: Name, file: &'a [u8]) -> Option<(&'a [u8], Prepared)> {
        let (tag, content) = file.split_first_chunk::<TAG>()?;
        let mut mac = self.mac()?;
        mac.update(b"content");
        mac.update(&name.0.0);
        mac.update(content);
        mac.verify_slice(tag).ok()?;
        let (kind, rest) = content.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (reason, artefact) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let prepared = match *kind {
            SNAPSHOT => Prepared::Snapshot,
            EACH_CALL => Prepared::EachCall { reason: String::from_utf8(reason.to_vec()).ok()? },
            _ => return None,
        };
        Some((artefact, prepared))
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
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((metadata.modified().ok()?, entry.path()))
            })
            .collect();
        files.sort_unstable();
        for (_, path) in files.iter().take(files.len().saturating_sub(MAX_FILES)) {
            let _ = fs::remove_file(path);
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
