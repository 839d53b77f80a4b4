use std::collections::BTreeMap;

use plugin_effect::Effect;
use serde::Deserialize;

/// The configuration; every key has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Prompt template of the host that is asked: the one in `judge.toml`, or another with its variables and schema.
    pub template: String,
    /// First score of the grey band: what scores less is clear without a model.
    pub low: f32,
    /// First score above the band: what scores as much is for the other detectors.
    pub high: f32,
    /// What is done about results and messages in the band.
    pub results: Results,
    /// Minutes for which a session is remembered whose results were in the band or above, 1 to 1440.
    pub remember_minutes: u32,
    /// Most questions of one agent in a minute, so that none spends the whole budget of its tenant; 0: no limit.
    pub questions_per_minute: u32,
    /// Most bytes of the text that the model is shown, 256 to 16384.
    pub most_bytes: usize,
    /// Domains that are no news in a call, with all names below them.
    pub own_domains: Vec<String>,
    /// What tools do whose names do not tell; by globs: `*` is anything, `?` one character.
    pub effects: BTreeMap<String, Effect>,
    /// Whether what looks like a key is left out of what the model is shown.
    pub mask: bool,
}

/// What is done about results and messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Results {
    /// Nobody is asked; the next calls of the session that can write or send are looked at more closely.
    #[default]
    Note,
    /// The model is asked at once.
    Ask,
    /// Nothing.
    Skip,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            template: "judge".to_owned(),
            low: 0.35,
            high: 0.9,
            results: Results::Note,
            remember_minutes: 30,
            questions_per_minute: 10,
            most_bytes: 2048,
            own_domains: Vec::new(),
            effects: BTreeMap::new(),
            mask: true,
        }
    }
}

impl Config {
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.template.is_empty() {
            return Err("template: give the id of a prompt template of the host".to_owned());
        }
        // Comparisons with what is no number are false.
        if !(0.0 < self.low && self.low < self.high && self.high <= 1.0) {
            return Err("low, high: the band goes from above 0 to at most 1, and `low` is less than `high`".to_owned());
        }
        if !(1..=24 * 60).contains(&self.remember_minutes) {
            return Err("remember_minutes: give 1 to 1440".to_owned());
        }
        if !(256..=16 * 1024).contains(&self.most_bytes) {
            return Err("most_bytes: give 256 to 16384".to_owned());
        }
        for (index, domain) in self.own_domains.iter().enumerate() {
            if domain.is_empty() || domain.starts_with('.') || domain.contains(['*', '@', '/', ':', ' ']) {
                return Err(format!(
                    "own_domains[{index}]: give a domain such as corp.example; names below it count too"
                ));
            }
        }
        Ok(())
    }
}
