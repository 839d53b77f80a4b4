//! Plugins in files and folders.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_model::Digest;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::MAX_PLUGIN_BYTES;
use crate::error::Error;
use crate::signature::{self, SIGNATURE_SUFFIX};

/// Most files of one plugin's name that a folder may hold.
const MOST_VERSIONS: usize = 10_000;

/// The file of a plugin in a folder: `NAME@VERSION.wasm`, or without a version `NAME.wasm`, or the only version there is.
pub(crate) fn find(folder: &Path, name: &str, version: Option<&str>) -> Result<PathBuf, Error> {
    if let Some(version) = version {
        return Ok(folder.join(format!("{name}@{version}.wasm")));
    }
    let plain = folder.join(format!("{name}.wasm"));
    if plain.is_file() {
        return Ok(plain);
    }
    let fail = |why: String| Error::File { path: folder.to_owned(), why };
    let entries = fs::read_dir(folder).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let mut versions = BTreeMap::new();
    for entry in entries.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let version = file.strip_suffix(".wasm").and_then(|file| file.strip_prefix(name)?.strip_prefix('@'));
        if let Some(version) = version.filter(|_| versions.len() < MOST_VERSIONS) {
            versions.insert(version.to_owned(), entry.path());
        }
    }
    let known = || versions.keys().map(|version| format!("{name}@{version}")).collect::<Vec<_>>().join(", ");
    match versions.len() {
        0 => Err(fail(format!(
            "there is neither {name}.wasm nor {name}@VERSION.wasm; for a file write its name with .wasm"
        ))),
        1 => Ok(versions.pop_first().map(|(_, path)| path).unwrap_or(plain)),
        _ => Err(fail(format!("there are several versions of {name}; name one of {}", known()))),
    }
}

/// A whole file of at most so many bytes. What is no file, a pipe for instance, is not waited for.
///
/// # Errors
/// It is not there, no file, larger, or cannot be read.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let unusable = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(unusable("it is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    // One byte more is enough to know.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(unusable(format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
}

/// The same, of text.
///
/// # Errors
/// As [`read_file`]; and it is no UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<Zeroizing<String>> {
    let text = String::from_utf8(read_file(path, most)?);
    text.map(Zeroizing::new).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text in UTF-8"))
}

/// A plugin's bytes.
pub(crate) fn read(path: &Path, expected: Option<Digest>) -> Result<(Vec<u8>, Digest), Error> {
    let fail = |why: String| Error::File { path: path.to_owned(), why };
    let bytes = read_file(path, MAX_PLUGIN_BYTES).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let digest = Digest::of(&bytes);
    match expected {
        Some(expected) if expected != digest => {
            Err(fail(format!("has other bytes than the reference says: expected {expected}, got {digest}")))
        }
        _ => Ok((bytes, digest)),
    }
}

/// Where the signature of a file is.
pub(crate) fn signature_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SIGNATURE_SUFFIX);
    PathBuf::from(name)
}

/// The signature beside a file; none if there is none.
pub(crate) fn signature(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    const LARGEST: u64 = 16 << 10;
    let path = signature_path(path);
    let fail = |why: String| Error::File { path: path.clone(), why };
    let text = match read_text(&path, LARGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(format!("cannot be read: {error}"))),
    };
    let bytes = signature::decode(&text);
    bytes.map(Some).ok_or_else(|| fail("is no signature: base64, as `cosign sign-blob` writes it".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_the_named_version_and_never_guesses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let name = |found: Result<PathBuf, Error>| found.unwrap().file_name().unwrap().to_string_lossy().into_owned();
        assert!(find(path, "pii", None).unwrap_err().to_string().contains("neither pii.wasm"));
        fs::write(path.join("pii@1.0.0.wasm"), b"1").unwrap();
        fs::write(path.join("pii-more@1.0.0.wasm"), b"1").unwrap();
        assert_eq!(name(find(path, "pii", None)), "pii@1.0.0.wasm");
        fs::write(path.join("pii@1.1.0.wasm"), b"2").unwrap();
        let said = find(path, "pii", None).unwrap_err().to_string();
        assert!(said.contains("pii@1.0.0, pii@1.1.0") && !said.contains("more"), "{said}");
        assert_eq!(name(find(path, "pii", Some("1.1.0"))), "pii@1.1.0.wasm");
        fs::write(path.join("pii.wasm"), b"3").unwrap();
        assert_eq!(name(find(path, "pii", None)), "pii.wasm");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (plugin, pipe) = (folder.path().join("x.wasm"), folder.path().join("x.wasm.sig"));
        fs::write(&plugin, b"x").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(signature(&plugin).unwrap_err().to_string().contains("it is not a file"));
        assert!(read(&pipe, None).unwrap_err().to_string().contains("it is not a file"));
        assert!(read_file(std::path::Path::new("/dev/zero"), 10).unwrap_err().to_string().contains("not a file"));
    }

    #[test]
    fn a_file_of_another_digest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        fs::write(&path, b"plugin").unwrap();
        assert!(read(&path, Some(Digest::of(b"plugin"))).is_ok());
        assert!(read(&path, Some(Digest::of(b"other"))).unwrap_err().to_string().contains("other bytes"));
        assert!(read(folder.path(), None).unwrap_err().to_string().contains("not a file"));
        assert!(read(&folder.path().join("b.wasm"), None).unwrap_err().to_string().contains("cannot be read"));
        fs::write(folder.path().join("a.wasm.sig"), "not base64!").unwrap();
        assert!(signature(&path).unwrap_err().to_string().contains("sign-blob"));
    }
}
