//! Configuration.

use serde::Deserialize;

/// What is looked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Categories that are not reported, for instance `injection.jailbreak`.
    pub disable: Vec<String>,
    /// Findings below this score are not reported; 0 to 1.
    pub min_score: f32,
    /// Phrases that are no sign of anything here; what overlaps them is not reported. Compared without case.
    pub allow: Vec<String>,
    /// Patterns of your own.
    pub patterns: Vec<Pattern>,
    /// Whether member names of tool definitions and schemas are looked at too.
    pub names: bool,
    /// Whether the trained model is asked. Without it the rules alone count.
    pub model: bool,
    /// Findings of the model alone (`injection.likely`) below this score are not reported; 0 to 1.
    pub likely_score: f32,
}

/// A pattern of the configuration: words in this order, not far from each other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Category of its findings; must begin with `injection.`.
    pub category: String,
    /// Score of its findings, 0 to 1.
    pub score: f32,
    /// One or more steps, each a list of words or phrases separated by `|`; `*` at the end of a word lets it go on.
    pub sequence: Vec<String>,
    /// Most words between two steps.
    #[serde(default = "gap")]
    pub gap: u16,
    /// One sentence for the person who decides.
    #[serde(default = "message")]
    pub message: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            disable: Vec::new(),
            min_score: 0.3,
            allow: Vec::new(),
            patterns: Vec::new(),
            names: true,
            model: true,
            likely_score: 0.5,
        }
    }
}

fn gap() -> u16 {
    4
}

fn message() -> String {
    "A configured pattern was found".to_owned()
}
