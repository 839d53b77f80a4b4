use std::io::Read as _;
use std::path::PathBuf;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::Folder;

/// Largest file that is read.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// Most names that a folder may have to be listed.
const MAX_ENTRIES: usize = 10_000;

/// A granted folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the folder {name:?} ({}) cannot be opened: {reason}", path.display())]
pub struct FolderError {
    /// Name of the grant.
    pub name: String,
    /// Where it should be.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

/// The folders granted to one plugin, each opened once; nothing outside them can be reached, links included.
#[derive(Debug, Default)]
pub(crate) struct Folders(Vec<(String, Dir)>);

impl Folders {
    pub(crate) fn open(folders: &[Folder]) -> Result<Self, FolderError> {
        let mut opened: Vec<(String, Dir)> = Vec::with_capacity(folders.len());
        for Folder { name, path } in folders {
            let refuse = |reason: String| FolderError { name: name.clone(), path: path.clone(), reason };
            if name.is_empty() || name.contains('/') || name.starts_with('.') {
                return Err(refuse("its name must not be empty, hold a slash or begin with a dot".to_owned()));
            }
            if opened.iter().any(|(other, _)| other == name) {
                return Err(refuse("another folder has this name".to_owned()));
            }
            let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| refuse(error.to_string()))?;
            opened.push((name.clone(), dir));
        }
        Ok(Self(opened))
    }

    /// The bytes of `<folder>/<relative path>`. The error is for the plugin and names nothing of the host.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let (dir, relative) = self.find(path)?;
        // Before opening: a pipe would block.
        let metadata = dir.metadata(relative).map_err(|error| said(path, error.kind()))?;
        if !metadata.is_file() {
            return Err(format!("{path}: not a file"));
        }
        let file = dir.open(relative).map_err(|error| said(path, error.kind()))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| said(path, error.kind()))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(format!("{path}: larger than {MAX_FILE} bytes"));
        }
        Ok(bytes)
    }

    /// Names in `<folder>` or `<folder>/<relative path>`, sorted; folders end with `/`.
    pub(crate) fn entries(&self, path: &str) -> Result<Vec<String>, String> {
        let (dir, relative) = self.find(path)?;
        let relative = if relative.is_empty() { "." } else { relative };
        let mut names = Vec::new();
        for entry in dir.read_dir(relative).map_err(|error| said(path, error.kind()))? {
            let entry = entry.map_err(|error| said(path, error.kind()))?;
            if names.len() == MAX_ENTRIES {
                return Err(format!("{path}: more than {MAX_ENTRIES} entries"));
            }
            // A name that is not UTF-8 could not be asked for either.
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            if entry.file_type().map_err(|error| said(path, error.kind()))?.is_dir() {
                name.push('/');
            }
            names.push(name);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn find<'a>(&self, path: &'a str) -> Result<(&Dir, &'a str), String> {
        let (name, relative) = path.split_once('/').unwrap_or((path, ""));
        let folder = self.0.iter().find(|(folder, _)| folder == name);
        let (_, dir) = folder.ok_or_else(|| format!("{path}: no folder of this name is granted"))?;
        Ok((dir, relative))
    }
}

fn said(path: &str, kind: std::io::ErrorKind) -> String {
    format!("{path}: {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_and_never_left() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "no").unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::fs::create_dir(inside.path().join("sub")).unwrap();
        std::fs::write(inside.path().join("sub/list.txt"), "yes").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), inside.path().join("link")).unwrap();
        let folders = Folders::open(&[Folder { name: "data".into(), path: inside.path().into() }]).unwrap();

        assert_eq!(folders.read("data/sub/list.txt").unwrap(), b"yes");
        assert_eq!(folders.entries("data").unwrap(), ["link", "sub/"]);
        assert_eq!(folders.entries("data/sub").unwrap(), ["list.txt"]);
        let secret = outside.path().join("secret");
        let absolute = format!("data/{}", secret.display());
        let up = format!("data/../{}/secret", outside.path().file_name().unwrap().to_str().unwrap());
        for path in ["data/link", &absolute, &up, "data/sub", "data", "data/none", "other/x", "", "/etc/passwd"] {
            let error = folders.read(path).unwrap_err();
            let place = inside.path().to_str().unwrap();
            assert!(!error.contains(place), "{path}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let inside = tempfile::tempdir().unwrap();
        std::fs::File::create(inside.path().join("big")).unwrap().set_len(MAX_FILE + 1).unwrap();
        let folders = Folders::open(&[Folder { name: "data".into(), path: inside.path().into() }]).unwrap();
        assert!(folders.read("data/big").unwrap_err().contains("larger than"));
    }

    #[test]
    fn unusable_folders_are_named() {
        let missing = Folder { name: "data".into(), path: "/does/not/exist".into() };
        let error = Folders::open(std::slice::from_ref(&missing)).unwrap_err().to_string();
        assert!(error.contains("\"data\"") && error.contains("/does/not/exist"), "{error}");
        for name in ["", "a/b", ".."] {
            assert!(Folders::open(&[Folder { name: name.into(), path: "/".into() }]).is_err(), "{name}");
        }
    }
}
