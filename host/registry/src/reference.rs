//! How a configuration names a plugin.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use portcullis_model::Digest;

use crate::error::Error;
use crate::files;

/// Longest reference, in bytes.
const LONGEST: usize = 1024;
/// Longest path of a repository: the limit of the distribution specification, host included.
const LONGEST_REPOSITORY: usize = 255;

/// How a configuration names a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A plugin that is part of the program: `detector-pii`.
    BuiltIn(String),
    /// A file: `plugins/pii.wasm`, or `plugins/pii.wasm@sha256:…`.
    File {
        /// Path as it is written.
        path: String,
        /// What its bytes must hash to.
        digest: Option<Digest>,
    },
    /// A plugin in a folder of plugins: `plugins/pii`, `plugins/pii@1.2.0`, either with `@sha256:…` behind it.
    Folder {
        /// The folder as it is written.
        folder: String,
        /// Name of the plugin.
        name: String,
        /// Its version.
        version: Option<String>,
        /// What its bytes must hash to.
        digest: Option<Digest>,
    },
    /// A plugin in an OCI registry.
    Oci(OciReference),
}

/// A plugin in an OCI registry: `oci://HOST[:PORT]/REPOSITORY:TAG`, `…@sha256:…` or both. A digest is the manifest's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OciReference {
    /// Host, and port if it is written.
    pub host: String,
    /// Path of the repository.
    pub repository: String,
    /// Tag. With a digest it is only a note to the reader.
    pub tag: Option<String>,
    /// Digest of the manifest.
    pub digest: Option<Digest>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fail = |why: &str| Error::Reference { text: text.chars().take(200).collect(), why: why.to_owned() };
        if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(fail("a reference has 1 to 1024 characters and no control characters"));
        }
        if let Some(rest) = text.strip_prefix("oci://") {
            return oci(rest).map(Self::Oci).map_err(fail);
        }
        if text.contains("://") {
            return Err(fail("of addresses only oci:// is known"));
        }
        let (rest, digest) = pinned(text).map_err(fail)?;
        if rest.ends_with(".wasm") {
            return Ok(Self::File { path: rest.to_owned(), digest });
        }
        if let Some((folder, last)) = rest.rsplit_once('/') {
            let (name, version) = match last.split_once('@') {
                Some((name, version)) => (name, Some(version)),
                None => (last, None),
            };
            let plain = |text: &str| {
                text.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))
            };
            if !plain(name) || !version.is_none_or(plain) {
                return Err(fail("write FOLDER/NAME or FOLDER/NAME@VERSION with letters, digits, `.`, `_`, `-`, `+`"));
            }
            let folder = if folder.is_empty() { "/" } else { folder };
            let version = version.map(str::to_owned);
            return Ok(Self::Folder { folder: folder.to_owned(), name: name.to_owned(), version, digest });
        }
        if rest.contains('@') || digest.is_some() {
            return Err(fail(
                "a built-in plugin has no version and no digest; write a folder's with a slash: ./NAME@1.0",
            ));
        }
        Ok(Self::BuiltIn(rest.to_owned()))
    }
}

/// The reference without the digest at its end, and the digest.
fn pinned(text: &str) -> Result<(&str, Option<Digest>), &'static str> {
    match text.rsplit_once('@') {
        Some((rest, digest)) if digest.starts_with("sha256:") => match digest.parse() {
            Ok(digest) => Ok((rest, Some(digest))),
            Err(_) => Err("a digest is written @sha256: and 64 lower-case hexadecimal digits"),
        },
        _ => Ok((text, None)),
    }
}

fn oci(text: &str) -> Result<OciReference, &'static str> {
    let (rest, digest) = pinned(text)?;
    let (host, path) = rest.split_once('/').ok_or("write oci://HOST/REPOSITORY:TAG")?;
    let (repository, tag) = match path.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or("the host's address has no end")?;
            let good = address.parse::<std::net::Ipv6Addr>().is_ok() && (rest.is_empty() || rest.starts_with(':'));
            (if good { "v6" } else { "" }, rest.strip_prefix(':'))
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if !name.split('.').all(label) || name.len() > 253 {
        return Err("the host is a name or an address, as registry.example or 127.0.0.1:5000");
    }
    if !port
        .is_none_or(|port| port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0))
    {
        return Err("the port is a number from 1 to 65535");
    }
    let part = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().next_back())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
    };
    if repository.len() + host.len() + 1 > LONGEST_REPOSITORY || !repository.split('/').all(part) {
        return Err("a repository has lower-case letters, digits, `.`, `_` and `-` between its slashes");
    }
    let word = |tag: &str| {
        tag.len() <= 128
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    if !tag.is_none_or(word) {
        return Err("a tag has up to 128 letters, digits, `.`, `_` and `-`");
    }
    if tag.is_none() && digest.is_none() {
        return Err("give a version, as :1.0.0, or a digest, as @sha256:…; there is no silent `latest`");
    }
    Ok(OciReference {
        host: host.to_ascii_lowercase(),
        repository: repository.to_owned(),
        tag: tag.map(str::to_owned),
        digest,
    })
}

impl Reference {
    /// The files and folders that a change of which may change what it stands for. Relative paths start at `base`.
    #[must_use]
    pub fn files(&self, base: &Path) -> Vec<PathBuf> {
        let (path, folder) = match self {
            Self::BuiltIn(_) | Self::Oci(_) => return Vec::new(),
            Self::File { path, .. } => (base.join(path), None),
            Self::Folder { folder, name, version: Some(version), .. } => {
                (base.join(folder).join(format!("{name}@{version}.wasm")), None)
            }
            Self::Folder { folder, name, version: None, .. } => {
                let folder = base.join(folder);
                let found = files::find(&folder, name, None);
                (found.unwrap_or_else(|_| folder.join(format!("{name}.wasm"))), Some(folder))
            }
        };
        [files::signature_path(&path), path].into_iter().chain(folder).collect()
    }
}

impl OciReference {
    /// What a signature names: `HOST/REPOSITORY`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// The same repository at another manifest.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// What a registry is asked for: the digest, or the tag where none is written.
    pub(crate) fn target(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => String::new(),
        }
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = match self {
            Self::BuiltIn(name) => return f.write_str(name),
            Self::Oci(oci) => return oci.fmt(f),
            Self::File { path, digest } => {
                f.write_str(path)?;
                digest
            }
            Self::Folder { folder, name, version, digest } => {
                write!(f, "{}/{name}", folder.trim_end_matches('/'))?;
                if let Some(version) = version {
                    write!(f, "@{version}")?;
                }
                digest
            }
        };
        match digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_written_again() {
        let digest = Digest::of(b"plugin");
        for text in [
            "detector-pii".to_owned(),
            "a.wasm".to_owned(),
            "../x/a.wasm".to_owned(),
            format!("a.wasm@{digest}"),
            "./plugins/pii".to_owned(),
            "plugins/pii@1.2.0-rc.1+b".to_owned(),
            format!("plugins/pii@1.2.0@{digest}"),
            "oci://ghcr.io/acme/plugins/pii:1.0.0".to_owned(),
            "oci://127.0.0.1:5000/pii:v1_x".to_owned(),
            "oci://[::1]:5000/pii:1".to_owned(),
            format!("oci://localhost/pii@{digest}"),
            format!("oci://localhost/pii:1.0@{digest}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_with_what_to_write() {
        for (text, why) in [
            ("", "1 to 1024"),
            ("a\nb", "control"),
            ("https://x/y.wasm", "only oci://"),
            ("oci://host", "oci://HOST/REPOSITORY:TAG"),
            ("oci://host/repo", "no silent `latest`"),
            ("oci://host/Repo:1", "lower-case"),
            ("oci://host//repo:1", "lower-case"),
            ("oci://host/../etc:1", "lower-case"),
            ("oci://user@host/repo:1", "host is a name"),
            ("oci://host:99999/repo:1", "port"),
            ("oci://host:/repo:1", "port"),
            ("oci://[::1/repo:1", "no end"),
            ("oci://[nonsense]/repo:1", "host is a name"),
            ("oci://host/repo:a b", "tag"),
            ("oci://host/repo:1?x=1", "tag"),
            ("oci://host/repo@sha256:abc", "64 lower-case"),
            ("a.wasm@sha256:ABC", "64 lower-case"),
            ("pii@1.0", "built-in"),
            ("plugins/", "FOLDER/NAME"),
            ("plugins/..", "FOLDER/NAME"),
            ("plugins/pii@", "FOLDER/NAME"),
        ] {
            let said = text.parse::<Reference>().unwrap_err().to_string();
            assert!(said.contains(why), "{text:?}: {said}");
        }
        assert!(format!("oci://host/{}:1", "a".repeat(300)).parse::<Reference>().is_err());
    }
}
