//! The configuration.

use portcullis_plugin::Phase;
use serde::Deserialize;

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Packages that harm, as `npm:name` or `pypi:name`, beside those of the table. Also `cargo:`, `gem:`, `go:`, `brew:`,
    /// `conda:` and `composer:`.
    pub bad: Vec<String>,
    /// Packages that are let through whatever they look like. One `*` at the end stands for anything: `npm:@acme/*`.
    pub good: Vec<String>,
    /// Hosts of registries and source repositories that are trusted.
    pub hosts: Vec<String>,
    /// Phases to look at.
    pub phases: Vec<Phase>,
    /// Findings below it are not reported.
    pub min_score: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { bad: Vec::new(), good: Vec::new(), hosts: Vec::new(), phases: vec![Phase::Call], min_score: 0.3 }
    }
}
