//! Secrets that plugins use and never see.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use portcullis_model::Digest;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::outbound::{HostRule, TargetError};
use crate::upstream::ClientSecret;

/// Least bytes of a secret: a shorter one could not be found in an answer without finding it everywhere.
const LEAST: usize = 8;
/// Bytes of a placeholder that cannot be guessed.
const TAG: usize = 16;

/// A secret of the configuration.
pub struct SecretSpec {
    /// Its name: letters, digits, `.`, `_`, `-`; at most 63.
    pub name: String,
    /// Where it is.
    pub value: ClientSecret,
    /// Tenants whose plugins may use it; empty: all.
    pub tenants: Vec<String>,
    /// Hosts that it may be sent to, as [`HostRule::read`] takes them; at least one.
    pub hosts: Vec<String>,
}

/// A secret, the tenants that may use it and the hosts that it may be sent to.
pub struct Secret {
    name: Box<str>,
    value: ClientSecret,
    tenants: Vec<String>,
    hosts: Vec<HostRule>,
}

/// All secrets of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Arc<[Arc<Secret>]>);

/// Why a secret cannot be used. Never names its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The name is no label.
    #[error("the name of a secret is 1 to 63 letters, digits, `.`, `_` or `-`")]
    Name,
    /// The name is taken.
    #[error("the name is taken by another secret")]
    Taken,
    /// It could be sent nowhere.
    #[error("give `hosts`, at least one: the hosts that it may be sent to")]
    NoHosts,
    /// A host that cannot be read.
    #[error(transparent)]
    Host(#[from] TargetError),
    /// Its value cannot be read.
    #[error("the secret cannot be read: {0}")]
    Unreadable(String),
    /// Its value cannot stand in a header, or not be told from other text.
    #[error("the secret must have at least {LEAST} bytes, all of them visible ASCII characters or spaces between them")]
    Unfit,
}

/// What placeholders are made with, secret to this installation.
#[derive(Clone)]
pub struct PlaceholderKey(Zeroizing<[u8; 32]>);

impl PlaceholderKey {
    /// A key of 32 random bytes.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// What stands for a secret in one plugin of one tenant: the same in all its calls, another one elsewhere.
    pub(super) fn placeholder(&self, tenant: &str, plugin: &str, digest: Digest, name: &str) -> String {
        let parts = Digest::of_parts([tenant.as_bytes(), plugin.as_bytes(), &digest.0, name.as_bytes()]);
        let mut out = format!("{{{{secret:{name}:");
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0[..]) {
            mac.update(b"portcullis placeholder 1");
            mac.update(&parts.0);
            for byte in mac.finalize().into_bytes().iter().take(TAG) {
                let _ = write!(out, "{byte:02x}");
            }
        }
        out.push_str("}}");
        out
    }
}

impl fmt::Debug for PlaceholderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlaceholderKey")
    }
}

impl fmt::Debug for Secret {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).field("tenants", &self.tenants).finish_non_exhaustive()
    }
}

impl fmt::Debug for SecretSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Checks them all and reads each once. Blocking.
    ///
    /// # Errors
    /// The position of the first that cannot be used, and why.
    pub fn new(specs: Vec<SecretSpec>) -> Result<Self, (usize, SecretError)> {
        let mut all: Vec<Arc<Secret>> = Vec::new();
        for (index, spec) in specs.into_iter().enumerate() {
            let secret = Secret::new(spec).map_err(|error| (index, error))?;
            if all.iter().any(|other| other.name == secret.name) {
                return Err((index, SecretError::Taken));
            }
            all.push(Arc::new(secret));
        }
        Ok(Self(all.into()))
    }

    /// The secret of this name, if the tenant may use it.
    #[must_use]
    pub fn get(&self, tenant: &str, name: &str) -> Option<Arc<Secret>> {
        let fits = |secret: &&Arc<Secret>| {
            *secret.name == *name && (secret.tenants.is_empty() || secret.tenants.iter().any(|one| one == tenant))
        };
        self.0.iter().find(fits).cloned()
    }
}

impl Secret {
    fn new(SecretSpec { name, value, tenants, hosts }: SecretSpec) -> Result<Self, SecretError> {
        let label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=63).contains(&name.len()) || !name.bytes().all(label) {
            return Err(SecretError::Name);
        }
        if hosts.is_empty() {
            return Err(SecretError::NoHosts);
        }
        let hosts = hosts.iter().map(|text| HostRule::read(text)).collect::<Result<_, _>>()?;
        let secret = Self { name: name.into(), value, tenants, hosts };
        secret.read()?;
        Ok(secret)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its value as it is now. Blocking.
    pub(super) fn read(&self) -> Result<Zeroizing<String>, SecretError> {
        let value = self.value.look().map_err(SecretError::Unreadable)?;
        let fit = value.len() >= LEAST
            && value.trim().len() == value.len()
            && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if fit { Ok(value) } else { Err(SecretError::Unfit) }
    }

    /// Whether it may be sent there.
    pub(super) fn is_for(&self, host: &str, port: u16, secure: bool) -> bool {
        self.hosts.iter().any(|rule| rule.fits(host, port, secure))
    }
}
