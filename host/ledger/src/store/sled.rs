//! The sled store: the only file that names sled.
//!
//! sled's `flush` hands the bytes to the system but never syncs the drive, so every commit ends with `fdatasync` on sled's
//! data file through a descriptor of our own. Two settings matter besides. sled puts what is longer than a quarter of
//! a segment into files of its own, which it neither syncs nor ever removes: segments are 8 MiB, so that the largest tree
//! node (17 values of 64 KiB) stays far below. And a segment that large is not reused within one commit, so that no old
//! row is overwritten before the new place of its page has been synced.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::folder::sync_folder;

use super::{Change, Commit, Pair, Store, StoreError, Visitor};

/// Bytes of one segment of sled's file.
const SEGMENT: usize = 8 << 20;
/// How long sled's own lock is waited for, and how often it is tried.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Folder for what sled left half-written.
const ASIDE: &str = "aside";

/// A sled database whose commits reach the disk.
#[derive(Debug)]
pub(crate) struct SledStore {
    tree: sled::Db,
    data: File,
    path: PathBuf,
    inode: (u64, u64),
}

impl SledStore {
    /// Opens or creates a database in this folder.
    ///
    /// # Errors
    /// sled refuses, or the file system does.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let path = folder.join("db");
        if !folder.exists() {
            create(folder, cache_bytes)?;
        }
        settle(folder)?;
        let tree = database(folder, cache_bytes)?;
        let system = |error: io::Error| StoreError::new("opening the data file", error);
        let data = OpenOptions::new().read(true).write(true).open(&path).map_err(system)?;
        let inode = identity(&data.metadata().map_err(system)?);
        sync_files(folder)?;
        Ok(Self { tree, data, path, inode })
    }

    fn sync(&self) -> Result<(), StoreError> {
        let system = |error: io::Error| StoreError::new("syncing the data file", error);
        // Were the file replaced, the sync would go to one that nobody reads.
        if identity(&fs::metadata(&self.path).map_err(system)?) != self.inode {
            return Err(StoreError::new("syncing the data file", "the file was replaced while in use"));
        }
        self.data.sync_data().map_err(system)
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(guarded("reading", || self.tree.get(key))?.map(|value| value.to_vec()))
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError> {
        let pair = guarded("reading", || self.tree.range(from..to).next_back().transpose())?;
        Ok(pair.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        guarded("reading", || {
            for pair in self.tree.range(from..to) {
                let (key, value) = pair?;
                if visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn commit(&self, changes: Vec<Change>) -> Result<Commit, StoreError> {
        let mut writes = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        guarded("writing", || {
            self.tree.apply_batch(writes)?;
            self.tree.flush()
        })?;
        let start = Instant::now();
        self.sync()?;
        Ok(Commit { sync_micros: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) })
    }

    fn size(&self) -> u64 {
        self.data.metadata().map_or(0, |metadata| metadata.blocks().saturating_mul(512))
    }
}

fn database(folder: &Path, cache_bytes: u64) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(cache_bytes)
        .flush_every_ms(None)
        .segment_size(SEGMENT)
        .mode(sled::Mode::HighThroughput);
    // Our own lock keeps other processes out. sled's is given up late: a database that was just dropped may still hold it.
    let began = Instant::now();
    // sled panics on some damage instead of returning an error.
    guarded("opening", || {
        loop {
            match config.open() {
                Err(sled::Error::Io(error)) if locked(&error) && began.elapsed() < LOCK_WAIT => {
                    thread::sleep(LOCK_PAUSE)
                }
                opened => return opened,
            }
        }
    })
}

/// sled reports a taken lock as an error of another kind, in words.
fn locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// Creates a database beside its place and moves it there when it is whole, since sled does not open half of one.
fn create(folder: &Path, cache_bytes: u64) -> Result<(), StoreError> {
    let beside = folder.with_added_extension("new");
    let system = |error: io::Error| StoreError::new("creating the store's folder", error);
    // What an interrupted creation left has never held an entry.
    match fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(system(error)),
        _ => fs::create_dir(&beside).map_err(system)?,
    }
    drop(database(&beside, cache_bytes)?);
    sync_files(&beside)?;
    fs::rename(&beside, folder).map_err(system)?;
    folder.parent().map_or(Ok(()), sync_folder).map_err(system)
}

/// Makes what an earlier process left fit to be opened.
fn settle(folder: &Path) -> Result<(), StoreError> {
    let system = |error: io::Error| StoreError::new("preparing the store's folder", error);
    // A snapshot is an index that sled can rebuild; a half-written one would block the start. It is moved, not deleted.
    for file in fs::read_dir(folder).map_err(system)? {
        let file = file.map_err(system)?;
        let name = file.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("snap.") && text.ends_with(".generating") {
            let aside = folder.join(ASIDE);
            fs::create_dir_all(&aside).map_err(system)?;
            fs::rename(file.path(), aside.join(&name)).map_err(system)?;
            tracing::warn!(file = %text, "a half-written index of the store was moved aside; the store rebuilds it");
        }
    }
    // sled writes its snapshot on opening, from bytes that a killed process may have left unsynced. Were the power cut
    // later, the snapshot would be ahead of the data and block every start; so the data goes to the disk first.
    sync_files(folder)
}

/// Makes all files of the store and their names durable: sled does not sync its settings, nor its snapshot's name.
fn sync_files(folder: &Path) -> Result<(), StoreError> {
    let sync = || {
        for file in fs::read_dir(folder)? {
            let file = file?;
            if file.file_type()?.is_file() {
                File::open(file.path())?.sync_all()?;
            }
        }
        sync_folder(folder)?;
        folder.parent().map_or(Ok(()), sync_folder)
    };
    sync().map_err(|error| StoreError::new("syncing the store's files", error))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn guarded<T>(what: &'static str, work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| StoreError::new(what, error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(StoreError::new(what, format!("the store panicked: {}", text.unwrap_or("without a message"))))
        }
    }
}
