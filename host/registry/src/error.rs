//! What can go wrong on the way to a plugin.

use std::io;
use std::path::PathBuf;

use portcullis_model::Digest;

use crate::keys::KeyError;

/// What can go wrong on the way to a plugin. Messages name the plugin or the registry, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is no reference.
    #[error("{text:?} names no plugin: {why}")]
    Reference {
        /// The text.
        text: String,
        /// What to write.
        why: String,
    },
    /// A registry cannot be reached, or does not answer in time.
    #[error("the registry {host} cannot be reached: {why}")]
    Away {
        /// Its host.
        host: String,
        /// What the network said.
        why: String,
    },
    /// A registry took too long.
    #[error("the registry {host} did not deliver within {seconds} seconds (`registry.timeout_seconds`)")]
    Slow {
        /// Its host.
        host: String,
        /// How long was waited.
        seconds: u64,
    },
    /// There is no such thing in the registry.
    #[error("{0} is not in the registry")]
    Missing(String),
    /// A registry wants other credentials.
    #[error(
        "the registry {host} refuses {what} (status {status}): give `user` and a password in a [[registry.host]] for it, or log \
         in with docker's `config.json`"
    )]
    Credentials {
        /// Its host.
        host: String,
        /// What was asked for.
        what: String,
        /// Status code.
        status: u16,
    },
    /// A registry answered with something unexpected.
    #[error("the registry {host} answered {status} to {what}{said}")]
    Status {
        /// Its host.
        host: String,
        /// What was asked for.
        what: String,
        /// Status code.
        status: u16,
        /// What it said, shortened.
        said: String,
    },
    /// A registry served something else than was asked for.
    #[error(
        "{what}: the registry served other bytes than the digest says: expected {expected}, got {got}; nothing was used"
    )]
    OtherBytes {
        /// What was asked for.
        what: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        got: Digest,
    },
    /// A registry sent a client somewhere it does not go.
    #[error("the registry {host} sends us to {to}, which is not followed: {why}")]
    Redirect {
        /// Its host.
        host: String,
        /// Where to: scheme and host only, since the rest may be a secret.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// A registry's answer cannot be used.
    #[error("{what}: {why}")]
    Answer {
        /// What was asked for.
        what: String,
        /// Why not.
        why: String,
    },
    /// What was found is no plugin.
    #[error("{reference} is no plugin: {why}")]
    NotPlugin {
        /// What was named.
        reference: String,
        /// Why.
        why: String,
    },
    /// A file or its signature cannot be read, is too large, or has other bytes than its reference says.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Nothing can be written or read in the data folder.
    #[error("{path}: {doing}")]
    Store {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The lock file cannot be used.
    #[error("{path}: {why}; mend it, or remove it so that everything is resolved anew")]
    Lock {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Credentials cannot be used.
    #[error("{path}: {why}")]
    Login {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A plugin is not signed as the tenant wants it.
    #[error("{reference} ({digest}) is not trusted: {why}")]
    Untrusted {
        /// Which plugin.
        reference: String,
        /// Of its WebAssembly file.
        digest: Digest,
        /// Why, and which key to set.
        why: String,
    },
}

impl Error {
    /// Whether nothing is known, because a registry could not be asked.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Slow { .. })
    }
}
