//! `[registry]` and `[tenant.trust]`: where plugins come from, and whose are run.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Place};

/// OCI registries that plugins come from: see plugins/registry.md.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Registries {
    /// Seconds that fetching one plugin may take, 1 to 3600.
    pub timeout_seconds: u64,
    /// MiB of fetched plugins that are kept in the data folder, 64 to 1048576. Those in `plugins.lock` are never dropped.
    pub cache_mib: u64,
    /// Docker's `config.json`, for registries without a `user` here. Default: the one in `$DOCKER_CONFIG` or `~/.docker`, if there.
    pub docker_config: Option<PathBuf>,
    /// How single registries are spoken to.
    pub host: Vec<RegistryHost>,
}

/// How one registry is spoken to. Others: public TLS, and docker's login if there is one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistryHost {
    /// Its host as references write it, with the port if they write one: `registry.example`, `127.0.0.1:5000`.
    pub host: String,
    /// User. With exactly one of `password_file` and `password_env`.
    pub user: Option<String>,
    /// File with the password or access token. A relative path starts at the configuration file.
    pub password_file: Option<PathBuf>,
    /// Name of the environment variable with the password or access token.
    pub password_env: Option<String>,
    /// File with certificates (PEM) of the authorities that its certificate must come from. Default: the public ones. A relative
    /// path starts at the configuration file.
    pub ca: Option<PathBuf>,
    /// Speak without TLS: whoever is on the way reads the password, though no plugin of theirs passes for a signed one. Default: only
    /// on loopback, where no `ca` is given.
    pub plain_http: Option<bool>,
}

/// Whose plugins the tenant runs. Those that are part of Portcullis need no signature.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Trust {
    /// Files with public keys (PEM, ECDSA P-256 or Ed25519, as `portcullis plugin keygen`, cosign and openssl write them). A
    /// signature by any of them is enough. Relative paths start at the configuration file.
    pub keys: Vec<PathBuf>,
    /// What needs no signature: nothing (`refuse`), local files (`files`) or anything (`allow`).
    pub unsigned: Unsigned,
}

/// What needs no signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unsigned {
    /// Nothing.
    #[default]
    Refuse,
    /// Local files.
    Files,
    /// Anything.
    Allow,
}

impl Default for Registries {
    fn default() -> Self {
        Self { timeout_seconds: 120, cache_mib: 1024, docker_config: None, host: Vec::new() }
    }
}

impl Registries {
    /// Makes its paths start at the configuration file's folder.
    pub(super) fn relative_to(&mut self, place: &Place) {
        let hosts = self.host.iter_mut().flat_map(|host| [&mut host.password_file, &mut host.ca]);
        for path in hosts.chain([&mut self.docker_config]).flatten() {
            *path = place.relative(path);
        }
    }

    pub(super) fn check(&self, place: &Place) -> Result<(), ConfigError> {
        if !(1..=3600).contains(&self.timeout_seconds) {
            return Err(place.error("registry.timeout_seconds", "give 1 to 3600 seconds"));
        }
        if !(64..=1 << 20).contains(&self.cache_mib) {
            return Err(place.error("registry.cache_mib", "give 64 to 1048576 MiB"));
        }
        for (index, host) in self.host.iter().enumerate() {
            let key = format!("registry.host[{index}]");
            if self.host.iter().take(index).any(|other| other.host.eq_ignore_ascii_case(&host.host)) {
                return Err(place.error(&format!("{key}.host"), "another entry is for the same registry"));
            }
            if host.host.is_empty() || host.host.contains(['/', '@']) {
                let why = "give a host as references write it, such as registry.example:5000, without scheme and path";
                return Err(place.error(&format!("{key}.host"), why));
            }
            let passwords = usize::from(host.password_file.is_some()) + usize::from(host.password_env.is_some());
            if passwords != usize::from(host.user.is_some()) {
                let why = "a login needs `user` and exactly one of `password_file` and `password_env`";
                return Err(place.error(&key, why));
            }
            if host.plain_http == Some(true) && host.ca.is_some() {
                return Err(
                    place.error(&format!("{key}.ca"), "there is no certificate without TLS: `plain_http` is set")
                );
            }
        }
        Ok(())
    }
}
