//! The data folder: its lock, its format, and files that change as a whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// Format of the data folder that this build writes.
const FORMAT: u32 = 1;
/// First words of the `VERSION` file.
const TITLE: &str = "portcullis data folder, format ";

/// A data folder that nobody else works on.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Holds the lock as long as it lives.
    _lock: File,
}

impl Folder {
    /// Takes a data folder, creating it if needed.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        if !path.exists() {
            fs::create_dir_all(path).map_err(|source| classify(path, path, "creating it", source))?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_folder(parent).map_err(|source| classify(path, parent, "syncing it", source))?;
            }
        }
        let lock = lock(path)?;
        check_version(path)?;
        let folder = Self { path: path.to_owned(), _lock: lock };
        let keys = folder.keys();
        fs::create_dir_all(&keys).map_err(|source| classify(path, &keys, "creating it", source))?;
        sync_folder(path).map_err(|source| classify(path, path, "syncing it", source))?;
        Ok(folder)
    }

    /// The folder of keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("ledger")
    }

    /// The head file.
    pub(crate) fn heads(&self) -> PathBuf {
        self.path.join("heads")
    }
}

/// Replaces a file as a whole: written beside it, synced, renamed, the folder synced.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], options: impl FnOnce(&mut OpenOptions)) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true);
    options(&mut open);
    let mut file = open.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let name = path.join("LOCK");
    let refuse = |source| classify(path, &name, "locking it", source);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let holder = if known { format!("pid {}", pid.trim()) } else { "another process".to_owned() };
            return Err(OpenError::InUse { path: path.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(refuse(error)),
    }
    file.set_len(0).map_err(refuse)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(refuse)?;
    Ok(file)
}

fn check_version(path: &Path) -> Result<(), OpenError> {
    let name = path.join("VERSION");
    let wrong = |reason: &str| OpenError::Version { path: path.to_owned(), reason: reason.to_owned() };
    let text = match fs::read_to_string(&name) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if path.join("ledger").exists() {
                return Err(wrong("there is a ledger but no VERSION file"));
            }
            return replace_file(&name, format!("{TITLE}{FORMAT}\n").as_bytes(), |_| ())
                .map_err(|source| classify(path, &name, "writing it", source));
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(wrong("VERSION is not text")),
        Err(source) => return Err(classify(path, &name, "reading it", source)),
    };
    let format = text.trim_end().strip_prefix(TITLE).and_then(|number| number.parse::<u32>().ok());
    match format {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT }),
        _ => Err(wrong("VERSION does not name a format")),
    }
}

fn classify(folder: &Path, path: &Path, what: &'static str, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            OpenError::ReadOnly { path: folder.to_owned(), source }
        }
        io::ErrorKind::StorageFull => OpenError::Full { path: folder.to_owned(), source },
        _ => OpenError::Folder { path: path.to_owned(), what, source },
    }
}
