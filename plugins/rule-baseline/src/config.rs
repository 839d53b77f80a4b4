use plugin_effect::Effect;
use portcullis_plugin::Phase;
use serde::Deserialize;

use crate::placeholder::{Placeholder, SHORTEST_KEY};

/// The configuration of the plugin; an empty one uses the built-in rules and list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the built-in rules count, before `rules`.
    pub builtin: bool,
    /// Rules of one's own.
    pub rules: Vec<RuleConfig>,
    /// Findings that no rule looks at.
    pub ignore: Vec<IgnoreConfig>,
    /// Globs of tools that always want review in phase `call`; replaces the built-in list. A tool of the built-in list that
    /// only reads is left out.
    pub review_tools: Option<Vec<String>>,
    /// Globs of tools that are left out of `review_tools`; replaces the built-in list.
    pub review_except: Option<Vec<String>>,
    /// Key of the placeholders that stay the same within a session, at least 32 bytes.
    pub placeholder_key: Option<String>,
}

/// One rule: findings like these get this verdict.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Globs of categories; at least one.
    pub categories: Vec<String>,
    /// Globs of categories that `categories` would hold otherwise.
    #[serde(default)]
    pub except_categories: Vec<String>,
    /// Least score, 0 to 1.
    #[serde(default)]
    pub min_score: f32,
    /// Phases in which the rule looks.
    #[serde(default = "every_phase")]
    pub phases: Vec<Phase>,
    /// Globs of tools for which the rule looks.
    #[serde(default = "every_tool")]
    pub tools: Vec<String>,
    /// Globs of tools for which it does not.
    #[serde(default)]
    pub except_tools: Vec<String>,
    /// The rule looks only at calls that have one of these effects; absent for all calls.
    #[serde(default)]
    pub effects: Option<Vec<Effect>>,
    /// What to do.
    pub verdict: Action,
    /// What is put in place of what is redacted.
    #[serde(default)]
    pub placeholder: Placeholder,
    /// How much is redacted.
    #[serde(default)]
    pub extent: Extent,
    /// Reason code: lower-case letters, digits, `_`, `-`, `.`; at most 64 bytes.
    pub code: String,
    /// One sentence for people.
    pub message: String,
}

/// Findings to leave out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgnoreConfig {
    /// Globs of categories; at least one.
    pub categories: Vec<String>,
    /// Phases in which they are left out.
    #[serde(default = "every_phase")]
    pub phases: Vec<Phase>,
    /// Globs of tools for which they are left out.
    #[serde(default = "every_tool")]
    pub tools: Vec<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Take the finding's spans out.
    Redact,
    /// Park the call.
    Review,
    /// Refuse it.
    Deny,
}

/// How much a rule that redacts takes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// The finding's spans.
    #[default]
    Span,
    /// Each string that one of them lies in: of an order nothing is left that could still be followed.
    Text,
}

pub(crate) fn every_phase() -> Vec<Phase> {
    vec![Phase::Call, Phase::Result, Phase::Listing, Phase::Message]
}

pub(crate) fn every_tool() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Default for Config {
    fn default() -> Self {
        Self {
            builtin: true,
            rules: Vec::new(),
            ignore: Vec::new(),
            review_tools: None,
            review_except: None,
            placeholder_key: None,
        }
    }
}

impl Config {
    /// What serde cannot check. The error names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check().map_err(|error| format!("rules[{index}].{error}"))?;
            if rule.placeholder == Placeholder::Session && self.placeholder_key.is_none() {
                return Err(format!("rules[{index}].placeholder: `session` needs `placeholder_key`"));
            }
        }
        if self.placeholder_key.as_ref().is_some_and(|key| key.len() < SHORTEST_KEY) {
            return Err(format!("placeholder_key: write at least {SHORTEST_KEY} random characters"));
        }
        for (index, ignore) in self.ignore.iter().enumerate() {
            let lists = [("categories", ignore.categories.is_empty()), ("phases", ignore.phases.is_empty())];
            not_empty(&lists).map_err(|error| format!("ignore[{index}].{error}"))?;
        }
        Ok(())
    }
}

impl RuleConfig {
    fn check(&self) -> Result<(), String> {
        not_empty(&[
            ("categories", self.categories.is_empty()),
            ("phases", self.phases.is_empty()),
            ("tools", self.tools.is_empty()),
            ("effects", self.effects.as_ref().is_some_and(Vec::is_empty)),
        ])?;
        if !(0.0..=1.0).contains(&self.min_score) {
            return Err(format!("min_score: {} is not between 0 and 1", self.min_score));
        }
        if self.placeholder != Placeholder::Category && self.verdict != Action::Redact {
            return Err("placeholder: goes with the verdict `redact` only".to_owned());
        }
        if self.extent != Extent::Span && self.verdict != Action::Redact {
            return Err("extent: goes with the verdict `redact` only".to_owned());
        }
        if self.extent == Extent::Text && self.placeholder != Placeholder::Category {
            return Err("extent: `text` goes with the placeholder `category` only".to_owned());
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
        if self.code.is_empty() || self.code.len() > 64 || !self.code.bytes().all(allowed) {
            return Err("code: use 1 to 64 lower-case letters, digits, `_`, `-` or `.`".to_owned());
        }
        Ok(())
    }
}

fn not_empty(lists: &[(&str, bool)]) -> Result<(), String> {
    match lists.iter().find(|(_, empty)| *empty) {
        Some((key, _)) => Err(format!("{key}: the list is empty, so this would never apply")),
        None => Ok(()),
    }
}
