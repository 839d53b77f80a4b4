use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_model::Digest;
use serde::{Deserialize, Serialize};

use crate::{Instances, Limits};

/// A plugin file in memory, and its SHA-256. Cheap to clone, so that the pipelines of all tenants share one.
#[derive(Clone, PartialEq, Eq)]
pub struct PluginFile {
    bytes: Arc<[u8]>,
    digest: Digest,
}

/// Everything [`crate::Engine::load`] needs to know about one plugin of one pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Name in the pipeline: what its findings, reasons, log lines and state are attributed to.
    pub name: &'a str,
    /// Owner of the pipeline: what its state belongs to.
    pub tenant: &'a str,
    /// The file: a component, or a core module that carries component metadata.
    pub file: &'a PluginFile,
    /// JSON text handed to the plugin's `configure`.
    pub config: &'a str,
    /// What it may import.
    pub grants: &'a Grants,
    /// What one call may take.
    pub limits: Limits,
    /// How its instances are made and used.
    pub instances: Instances,
}

/// What a pipeline lets a plugin import. `payload` and `log` are always there; everything else is absent unless named
/// here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// The time at which the call was taken.
    pub clock: bool,
    /// Counters and small values of this plugin in this tenant.
    pub state: bool,
    /// Labels that the session carries from call to call.
    pub labels: bool,
    /// Folders that can be read.
    pub files: Vec<Folder>,
    /// Ids of prompt templates with which a language model can be asked.
    pub judge: Vec<String>,
    /// Hosts that can be called: `api.example.com`, `*.example.com`, with `:PORT`; `http://HOST:PORT` for plain HTTP.
    pub http: Vec<String>,
    /// Networks that these hosts may be in although they are not public.
    pub http_networks: Vec<String>,
    /// Names of secrets that can be used in the headers of requests.
    pub secrets: Vec<String>,
    /// WASI for guests whose language runtime needs it, with everything denied.
    pub locked_wasi: bool,
}

/// A folder a plugin may read, and the name under which it does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// First part of the paths the plugin uses.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Grants {
    /// Whether something is granted that leads out of this process.
    #[must_use]
    pub fn lead_outside(&self) -> bool {
        !(self.judge.is_empty() && self.http.is_empty() && self.secrets.is_empty())
    }

    /// Whether calls may have to wait for somebody else's answer.
    pub(crate) fn wait(&self) -> bool {
        !(self.judge.is_empty() && self.http.is_empty())
    }
}

impl PluginFile {
    /// Takes the bytes of a file as they are; whether they are a plugin is found out when it is loaded.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), bytes }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their SHA-256.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Debug for PluginFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginFile").field("digest", &self.digest).field("size", &self.bytes.len()).finish()
    }
}
