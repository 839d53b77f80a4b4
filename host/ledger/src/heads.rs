//! The head file: what was durable a moment ago, kept outside the store, so that a store that went back is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use portcullis_model::Digest;

use crate::error::OpenError;
use crate::folder::replace_file;
use crate::layout::TenantId;
use crate::vault::Vault;

/// First line.
const TITLE: &str = "portcullis heads 1";

/// Last number and hash of every tenant.
pub(crate) type Heads = BTreeMap<TenantId, (u64, Digest)>;

/// The head file of one data folder.
pub(crate) struct HeadFile {
    path: PathBuf,
}

impl HeadFile {
    /// The head file at this path, which may not exist yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; `None` if there is none.
    pub(crate) fn read(&self, vault: &Vault) -> Result<Option<Heads>, OpenError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.wrong(format!("cannot be read ({error})"))),
        };
        let (body, mac) = text.trim_end().rsplit_once('\n').ok_or_else(|| self.wrong("is cut short".to_owned()))?;
        let body = format!("{body}\n");
        if mac.parse() != Ok(vault.head_mac(body.as_bytes())) {
            return Err(self.wrong("was changed, or written with other keys".to_owned()));
        }
        let mut lines = body.lines();
        if lines.next() != Some(TITLE) {
            return Err(self.wrong("has a form that this build does not know".to_owned()));
        }
        let heads = lines.map(|line| parse(line).ok_or_else(|| self.wrong(format!("holds the line {line:?}"))));
        heads.collect::<Result<_, _>>().map(Some)
    }

    /// Replaces it.
    pub(crate) fn write(&self, vault: &Vault, heads: &Heads) -> io::Result<()> {
        let mut text = format!("{TITLE}\n");
        for (tenant, (seq, hash)) in heads {
            text.push_str(&format!("{} {seq} {hash}\n", tenant.hex()));
        }
        let mac = vault.head_mac(text.as_bytes());
        replace_file(&self.path, format!("{text}{mac}\n").as_bytes(), |_| ())
    }

    /// Puts the present file aside under another name, which is returned.
    pub(crate) fn put_aside(&self) -> io::Result<Option<PathBuf>> {
        let seconds = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let aside = self.path.with_added_extension(format!("before-adopt-{seconds}"));
        match fs::rename(&self.path, &aside) {
            Ok(()) => Ok(Some(aside)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn wrong(&self, reason: String) -> OpenError {
        OpenError::HeadFile { path: self.path.clone(), reason }
    }
}

fn parse(line: &str) -> Option<(TenantId, (u64, Digest))> {
    let mut words = line.split(' ');
    let [id, seq, hash] = [words.next()?, words.next()?, words.next()?];
    if words.next().is_some() {
        return None;
    }
    let id = u128::from_str_radix(id, 16).ok().filter(|_| id.len() == 32)?;
    Some((TenantId(id.to_be_bytes()), (seq.parse().ok()?, hash.parse().ok()?)))
}
