use std::path::{Path, PathBuf};

use portcullis_model::Role;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Language;

/// Name of the file in a project's folder.
pub(crate) const FILE: &str = "plugin.toml";
/// Most bytes of the file, and of the schema.
const MAX_BYTES: u64 = 256 * 1024;

/// `plugin.toml`: what a plugin is and asks for. It is stamped into the component as JSON, with the schema in place of its
/// file's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// A label: 1 to 63 letters, digits, `.`, `_` or `-`.
    pub name: String,
    /// `MAJOR.MINOR.PATCH`, with what semantic versions may add.
    pub version: String,
    /// `detector`, `rule` or `router`.
    pub role: Role,
    /// What it is written in.
    pub language: Language,
    /// One sentence for whoever installs it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Capabilities that it uses beside `payload` and `log`, which are always there.
    #[serde(default)]
    pub asks: Vec<Ask>,
    /// What one call of it should be granted; what is left out is the host's default.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// File with the JSON Schema of its configuration, from the project's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<PathBuf>,
}

/// A capability, by the name of its interface in the contract; `locked_wasi` is WASI with everything denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The time of the call.
    Clock,
    /// Counters and small values.
    State,
    /// Labels of the session.
    Labels,
    /// A language model asked by the host.
    Judge,
    /// Requests to named hosts.
    Http,
    /// Secrets by name.
    Secrets,
    /// Read-only folders.
    Files,
    /// WASI for language runtimes that need it.
    LockedWasi,
}

/// Limits that a plugin's author suggests, in the units of the host's configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Fuel of one call, about one unit per instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Fuel of `configure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configure_fuel: Option<u64>,
    /// Linear memory, MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<usize>,
    /// Wall-clock milliseconds of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Host calls in one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_calls: Option<u32>,
    /// Largest answer, KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_kib: Option<usize>,
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be; the text says line and key where it can.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Ask {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Clock,
        Self::State,
        Self::Labels,
        Self::Judge,
        Self::Http,
        Self::Secrets,
        Self::Files,
        Self::LockedWasi,
    ];

    /// The word used in manifests, grants and error messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::State => "state",
            Self::Labels => "labels",
            Self::Judge => "judge",
            Self::Http => "http",
            Self::Secrets => "secrets",
            Self::Files => "files",
            Self::LockedWasi => "locked_wasi",
        }
    }
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Manifest {
    /// Reads `plugin.toml` in a project's folder, and checks it.
    ///
    /// # Errors
    /// It is not there, or not as it should be; with file, line and key.
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join(FILE);
        let text = read(&path)?;
        let malformed = |problem: String| ManifestError::Malformed { path: path.clone(), problem };
        let manifest: Self =
            toml::from_str(&text).map_err(|error| malformed(error.to_string().trim_end().to_owned()))?;
        if !is_label(&manifest.name) {
            return Err(malformed(format!("name {:?}: use 1 to 63 letters, digits, `.`, `_` or `-`", manifest.name)));
        }
        if !is_version(&manifest.version) {
            return Err(malformed(format!(
                "version {:?}: use MAJOR.MINOR.PATCH, for instance 0.1.0",
                manifest.version
            )));
        }
        Ok(manifest)
    }

    /// The JSON Schema of the configuration, if the manifest names one.
    ///
    /// # Errors
    /// The file cannot be read or holds no JSON object.
    pub fn schema(&self, folder: &Path) -> Result<Option<Value>, ManifestError> {
        let Some(name) = &self.config_schema else { return Ok(None) };
        let path = folder.join(name);
        let malformed = |problem: String| ManifestError::Malformed { path: path.clone(), problem };
        // It is stamped into the component, and so given to whoever gets that.
        let within = |path: &Path| Ok::<_, std::io::Error>(path.canonicalize()?.starts_with(folder.canonicalize()?));
        if !within(&path).map_err(|source| ManifestError::Read { path: path.clone(), source })? {
            return Err(malformed("config_schema must be a file in the project's folder".to_owned()));
        }
        let text = read(&path)?;
        let schema: Value = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if !schema.is_object() {
            return Err(malformed("a JSON Schema is an object".to_owned()));
        }
        Ok(Some(schema))
    }

    /// What is stamped into the component: the manifest as JSON, with the schema itself.
    pub(crate) fn stamp(&self, schema: Option<Value>) -> Result<Vec<u8>, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let Some(members) = value.as_object_mut() {
            members.remove("config_schema");
            members.extend(schema.map(|schema| ("config_schema".to_owned(), schema)));
        }
        serde_json::to_vec(&value)
    }
}

fn read(path: &Path) -> Result<String, ManifestError> {
    let unreadable = |source| ManifestError::Read { path: path.to_owned(), source };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(ManifestError::Malformed { path: path.to_owned(), problem: "is not a file".to_owned() });
    }
    let size = about.len();
    if size > MAX_BYTES {
        let problem = format!("has {size} bytes; at most {MAX_BYTES} are read");
        return Err(ManifestError::Malformed { path: path.to_owned(), problem });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Whether a plugin may have this name.
pub(crate) fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        // Packages of the SDKs have these names.
        && name != "portcullis"
        && !name.starts_with("portcullis-plugin")
}

fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let mut parts = core.split('.');
    let number = |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part.parse::<u32>().is_ok());
    number(parts.next())
        && number(parts.next())
        && number(parts.next())
        && parts.next().is_none()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Result<Manifest, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        Manifest::read(folder.path()).map_err(|error| error.to_string())
    }

    const WORDS: &str = "name = \"words\"\nversion = \"0.1.0\"\nrole = \"detector\"\nlanguage = \"go\"\n";

    #[test]
    fn a_manifest_says_what_a_plugin_is() {
        let read =
            manifest(&format!("{WORDS}asks = [\"state\", \"locked_wasi\"]\n[limits]\nmemory_mib = 128\n")).unwrap();
        assert_eq!((read.role, read.language), (Role::Detector, Language::Go));
        assert_eq!(read.asks, [Ask::State, Ask::LockedWasi]);
        assert_eq!(read.limits.memory_mib, Some(128));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, wanted) in [
            (format!("{WORDS}ask = []\n"), "line 5"),
            (format!("{WORDS}asks = [\"network\"]\n"), "network"),
            (WORDS.replace("words", "two words"), "name \"two words\""),
            (WORDS.replace("0.1.0", "1.0"), "version \"1.0\""),
            (WORDS.replace("detector", "filter"), "filter"),
            (String::new(), "name"),
        ] {
            let error = manifest(&text).unwrap_err();
            assert!(error.contains(wanted) && error.contains(FILE), "{error}");
        }
    }

    #[test]
    fn the_stamp_holds_the_schema_itself() {
        let mut read = manifest(WORDS).unwrap();
        read.config_schema = Some("config.schema.json".into());
        let stamp = read.stamp(Some(serde_json::json!({ "type": "object" }))).unwrap();
        let stamp: Value = serde_json::from_slice(&stamp).unwrap();
        assert_eq!(stamp["config_schema"]["type"], "object");
        assert_eq!((&stamp["name"], &stamp["asks"]), (&"words".into(), &serde_json::json!([])));
    }
}
