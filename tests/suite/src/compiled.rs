//! Plugins that earlier servers compiled: to compile them takes longer than most tests.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::root;

const KEY: &str = "cache.key";
const CACHE: &str = "cache";

/// What is kept holds for any binary: artefacts are named by what they were compiled from and with.
fn kept() -> PathBuf {
    root().join("target/tmp/compiled")
}

/// Puts what is kept into a data folder that is not there yet.
///
/// # Errors
/// A file cannot be copied.
pub fn bring(data: &Path) -> Result<()> {
    if kept().exists() && !data.join(KEY).exists() {
        fs::create_dir_all(data)?;
        copy(&kept(), data)?;
    }
    Ok(())
}

/// Keeps what a server compiled on its data folder. The first one's key is everybody's.
///
/// # Errors
/// A file cannot be copied.
pub fn keep(data: &Path) -> Result<()> {
    let kept = kept();
    let above = kept.parent().context("the folder has a parent")?;
    fs::create_dir_all(above)?;
    if !kept.exists() {
        let own = tempfile::tempdir_in(above)?;
        copy(data, own.path())?;
        // Another test may have been quicker.
        let _ = fs::rename(own.path(), &kept);
    }
    if fs::read(data.join(KEY))? == fs::read(kept.join(KEY))? {
        copy(data, &kept)?;
    }
    Ok(())
}

/// Copies key and artefacts that are not there yet. Nobody ever sees half a file.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.join(CACHE))?;
    let mut names = vec![PathBuf::from(KEY)];
    for entry in fs::read_dir(from.join(CACHE))? {
        names.push(Path::new(CACHE).join(entry?.file_name()));
    }
    for name in names.iter().filter(|name| !to.join(name).exists()) {
        let half = tempfile::NamedTempFile::new_in(to)?;
        match fs::copy(from.join(name), half.path()) {
            Ok(_) => drop(half.persist(to.join(name))?),
            // A server that is writing renames its files too.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
