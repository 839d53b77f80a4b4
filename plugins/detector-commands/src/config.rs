//! Configuration.

use serde::Deserialize;

/// What is looked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Categories that are not reported, for instance `sql.injection`.
    pub disable: Vec<String>,
    /// Findings below this score are not reported; 0 to 1.
    pub min_score: f32,
    /// Whether addresses of the local machine and of private networks count.
    pub block_private: bool,
    /// Further hosts that data must not go to, with all their subdomains.
    pub drop_sites: Vec<String>,
    /// Hosts that are never reported.
    pub allow_hosts: Vec<String>,
    /// Further names of arguments that hold commands, code or statements.
    pub command_keys: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            disable: Vec::new(),
            min_score: 0.3,
            block_private: false,
            drop_sites: Vec::new(),
            allow_hosts: Vec::new(),
            command_keys: Vec::new(),
        }
    }
}
