//! Configuration.

use portcullis_plugin::Phase;
use serde::Deserialize;

/// What is looked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Findings below this score are not reported; 0 to 1.
    pub min_score: f32,
    /// From this score on the session is labelled `tainted`; above 1 it never is.
    pub taint_score: f32,
    /// Categories that are not reported, for instance `instruction.request`.
    pub disable: Vec<String>,
    /// Phases to look at.
    pub phases: Vec<Phase>,
}

impl Default for Config {
    fn default() -> Config {
        Config { min_score: 0.3, taint_score: 0.5, disable: Vec::new(), phases: vec![Phase::Result] }
    }
}

impl Config {
    pub(crate) fn check(&self, categories: &[&str]) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.min_score) {
            return Err("min_score: must lie between 0 and 1".to_owned());
        }
        if self.taint_score.is_nan() || self.taint_score < 0.0 {
            return Err("taint_score: must not be below 0".to_owned());
        }
        match self.disable.iter().find(|name| !categories.contains(&name.as_str())) {
            Some(name) => Err(format!("disable: there is no category `{name}`; there are {}", categories.join(", "))),
            None => Ok(()),
        }
    }
}
