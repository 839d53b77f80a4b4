//! What is run in place of the component while its author edits: where the tool that makes it takes seconds, a loader that was
//! made by it once, and takes the source with each configuration.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use portcullis_model::Digest;

use crate::Project;
use crate::build::{BuildError, Job, replace};

/// Folder of what is made for it, in the folder of everything that is made.
pub(crate) const FOLDER: &str = "development";
/// Lines that the author's imports have added: modules that are to be in the loader.
const MODULES: &str = "modules.txt";
/// Most modules that are added, and the longest name.
const MOST_MODULES: usize = 500;
const LONGEST: usize = 200;

/// A project's source, for a loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Development {
    /// Everything that the loader is made from, by hash.
    pub loader: Digest,
    /// The source as JSON text. The loader's configuration is an object with this as `source`, and the plugin's own
    /// configuration, a text, as `config`.
    pub source: String,
}

/// Why a loader could not take a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unloaded {
    /// The source fails when it is loaded; what its language says.
    Broken(String),
    /// The loader lacks these modules.
    Needs(Vec<String>),
    /// It needs the real build; why.
    Unfit(String),
}

impl Unloaded {
    /// What a loader's `configure` said, unless that was the plugin's own word.
    #[must_use]
    pub fn parse(said: &str) -> Option<Self> {
        let (kind, text) = said.strip_prefix("portcullis:")?.split_once('\n')?;
        match kind {
            "broken" => Some(Self::Broken(text.to_owned())),
            "needs" => Some(Self::Needs(text.lines().map(str::to_owned).collect())),
            "unfit" => Some(Self::Unfit(text.to_owned())),
            _ => None,
        }
    }
}

/// Where the loader is kept from one start to the next.
fn place(job: &Job<'_>, development: &Development) -> Result<PathBuf, BuildError> {
    job.made(&format!("{FOLDER}/{}.wasm", development.loader.hex()))
}

/// The loader, if it is made already.
pub(super) fn kept(job: &Job<'_>, development: &Development) -> Result<Option<Vec<u8>>, BuildError> {
    let path = place(job, development)?;
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BuildError::File { path, source }),
    }
}

/// Keeps the loader in place of an older one.
pub(super) fn keep(job: &Job<'_>, development: &Development, component: &[u8]) -> Result<(), BuildError> {
    let path = place(job, development)?;
    for old in path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
        if old.path().extension().is_some_and(|extension| extension == "wasm") {
            let _ = fs::remove_file(old.path());
        }
    }
    replace(&path, component).map_err(|source| BuildError::File { path, source })
}

fn list(project: &Project) -> PathBuf {
    project.made().join(FOLDER).join(MODULES)
}

/// Modules that are to be in the loader because the source imports them.
pub(super) fn modules(project: &Project) -> BTreeSet<String> {
    let text = fs::read_to_string(list(project)).unwrap_or_default();
    text.lines().filter(|name| is_module(name)).take(MOST_MODULES).map(str::to_owned).collect()
}

/// Adds modules to those; whether that is something new.
pub(crate) fn add_modules(project: &Project, names: &[String]) -> Result<bool, BuildError> {
    let before = modules(project);
    let more = names.iter().filter(|name| is_module(name)).cloned();
    let after: BTreeSet<String> = before.iter().cloned().chain(more).take(MOST_MODULES).collect();
    if after == before {
        return Ok(false);
    }
    let path = list(project);
    let text: Vec<&str> = after.iter().map(String::as_str).collect();
    replace(&path, text.join("\n").as_bytes()).map_err(|source| BuildError::File { path, source })?;
    Ok(true)
}

fn is_module(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric());
    name.len() <= LONGEST && name.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loader_says_of_the_source_is_not_taken_for_the_plugins_word() {
        assert_eq!(Unloaded::parse("portcullis:broken\nSyntaxError"), Some(Unloaded::Broken("SyntaxError".to_owned())));
        let needs = Unloaded::Needs(vec!["a".to_owned(), "b.c".to_owned()]);
        assert_eq!(Unloaded::parse("portcullis:needs\na\nb.c"), Some(needs));
        assert_eq!(Unloaded::parse("words: give a list"), None);
        assert_eq!(Unloaded::parse("portcullis:other\na"), None);
    }

    #[test]
    fn only_names_of_modules_are_taken() {
        for name in ["json", "urllib.parse", "_x1"] {
            assert!(is_module(name), "{name}");
        }
        for name in ["", "a..b", "a b", "a\"", ".a", &"x".repeat(LONGEST + 1)] {
            assert!(!is_module(name), "{name}");
        }
    }
}
