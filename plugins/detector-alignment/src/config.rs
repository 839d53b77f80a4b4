//! Configuration.

use serde::Deserialize;

/// What is looked at.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Findings below this score are not reported; 0 to 1.
    pub min_score: f32,
    /// Globs of tools whose results are trusted: no value of theirs is foreign.
    pub trusted_tools: Vec<String>,
    /// Globs of tools that are part of any task: the model is not asked about them. Values are looked at all the same.
    pub always_on_task: Vec<String>,
    /// Domains of mail and web addresses that are nobody foreign, for instance one's own; subdomains are, too.
    pub own_domains: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { min_score: 0.05, trusted_tools: Vec::new(), always_on_task: Vec::new(), own_domains: Vec::new() }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.min_score) {
            return Err("min_score: must lie between 0 and 1".to_owned());
        }
        for (key, list) in [("trusted_tools", &self.trusted_tools), ("always_on_task", &self.always_on_task)] {
            if list.iter().any(|glob| glob.is_empty()) {
                return Err(format!("{key}: an empty glob fits nothing"));
            }
        }
        let bad = |domain: &String| !domain.contains('.') || domain.contains(['@', '/', ' ', '*']);
        if let Some(index) = self.own_domains.iter().position(bad) {
            return Err(format!("own_domains[{index}]: give a domain such as corp.example; names below it count too"));
        }
        Ok(())
    }

    /// Whether a mail address or host is under an own domain.
    pub(crate) fn owns(&self, folded: &str) -> bool {
        let host = folded.rsplit('@').next().unwrap_or_default();
        self.own_domains.iter().any(|domain| plugin_text::within(host, &domain.to_lowercase()))
    }
}
