//! The configuration.

use serde::Deserialize;

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Categories to leave out.
    pub disable: Vec<String>,
    /// Findings below it are not reported.
    pub min_score: f32,
    /// Upstreams whose definitions are not looked at.
    pub trusted: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { disable: Vec::new(), min_score: 0.3, trusted: Vec::new() }
    }
}
