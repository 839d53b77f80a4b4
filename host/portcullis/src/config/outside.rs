//! `[outbound]` and `[[secret]]`: what plugins reach outside.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Place};

/// Most requests under way that can be configured: each takes a thread.
const MOST_REQUESTS: usize = 256;

/// Requests that plugins send, and questions that they ask language models.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Outbound {
    /// Calls at a time whose plugins may wait for others (grants `http` and `judge`), 1 to 256: each takes a thread. More calls
    /// wait up to 10 seconds and are refused then. Read at the start only.
    pub calls: usize,
    /// Most of these of one tenant; half of them of one agent. Read at the start only.
    pub calls_per_tenant: usize,
    /// File with certificates (PEM) of the authorities that certificates of granted hosts must come from. Default: the public ones.
    /// A relative path starts at the configuration file.
    pub ca: Option<PathBuf>,
}

/// A secret that plugins use in headers of requests and never see. Exactly one of `file` and `env` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// Name by which plugins are granted it. Letters, digits, `.`, `_`, `-`; at most 63.
    pub name: String,
    /// File with the secret, at least 8 visible ASCII characters; read again for every request. A relative path starts at the
    /// configuration file.
    pub file: Option<PathBuf>,
    /// Name of the environment variable with the secret.
    pub env: Option<String>,
    /// Tenants whose plugins may be granted it. Default: all.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Hosts that it may be sent to, at least one: `api.example.com`, `*.example.com:8443`. A plugin must be granted the host too.
    pub hosts: Vec<String>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self { calls: 64, calls_per_tenant: 16, ca: None }
    }
}

impl Outbound {
    /// Makes its paths start at the configuration file's folder.
    pub(super) fn relative_to(&mut self, place: &Place) {
        if let Some(path) = &mut self.ca {
            *path = place.relative(path);
        }
    }

    pub(super) fn check(&self, place: &Place) -> Result<(), ConfigError> {
        if !(1..=MOST_REQUESTS).contains(&self.calls) {
            return Err(place.error("outbound.calls", format!("give 1 to {MOST_REQUESTS}")));
        }
        if !(1..=self.calls).contains(&self.calls_per_tenant) {
            return Err(place.error("outbound.calls_per_tenant", "give at least 1 and at most `outbound.calls`"));
        }
        Ok(())
    }
}

impl Secret {
    /// Makes its paths start at the configuration file's folder.
    pub(super) fn relative_to(&mut self, place: &Place) {
        if let Some(path) = &mut self.file {
            *path = place.relative(path);
        }
    }

    pub(super) fn check(&self, key: &str, place: &Place) -> Result<(), ConfigError> {
        if self.file.is_some() == self.env.is_some() {
            return Err(place.error(key, "give exactly one of `file` and `env`"));
        }
        Ok(())
    }
}
