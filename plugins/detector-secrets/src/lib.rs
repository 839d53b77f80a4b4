//! Finds credentials by format, checksum, name and entropy.
//!
//! One pass over each text looks for the literal parts of some hundred token formats and for names that promise a
//! secret; only there the formats are matched. See the README for the configuration.

use std::collections::BTreeMap;

use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, widen_spans};
use serde::Deserialize;

mod anchors;
mod checksum;
mod form;
mod generic;
mod placeholder;
mod rule;
mod scanner;
mod structure;
mod table;
mod value;

#[cfg(test)]
mod tests;

use form::Form;
use rule::Check;
use scanner::{Compiled, Scanner, Structure};

/// Configuration. Everything has a default; unknown keys are refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Rules to use, by id; none means all.
    pub enable: Option<Vec<String>>,
    /// Rules to leave out, by id.
    pub disable: Vec<String>,
    /// Rules of one's own.
    pub rules: Vec<ExtraRule>,
    /// Bits per character that a value under a secret's name needs to be one, 0 to 8.
    pub entropy: f32,
    /// Values to let through: exact, or with a `*` at one end.
    pub allow: Vec<String>,
    /// Phases to look at.
    pub phases: Vec<Phase>,
    /// Whether member names are searched too. Findings in names have no span: names are never redacted.
    pub names: bool,
}

/// A rule of one's own: `form`, or `prefix` with `alphabet` and `length`, or `regex`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraRule {
    /// Letters, digits and `_`; the category is `secret.` and this.
    pub id: String,
    /// What it finds, for people; the id if left out.
    #[serde(default)]
    pub title: Option<String>,
    /// The format in the notation of the README, for instance `acme_{alnum:32}`.
    #[serde(default)]
    pub form: Option<String>,
    /// What the token starts with.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Characters after the prefix: a class (`alnum`, `hex`, …) or `[…]`; `alnum` if left out.
    #[serde(default)]
    pub alphabet: Option<String>,
    /// How many: `32` or `20-40`.
    #[serde(default)]
    pub length: Option<String>,
    /// A regular expression; its first group, or all of it, is the secret.
    #[serde(default)]
    pub regex: Option<String>,
    /// Words one of which must stand in the value's name.
    #[serde(default)]
    pub near: Vec<String>,
    /// Score of a match, 0 to 1.
    #[serde(default = "extra_score")]
    pub score: f32,
}

/// The detector.
pub struct Secrets {
    scanner: Scanner,
    phases: Vec<Phase>,
    names: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enable: None,
            disable: Vec::new(),
            rules: Vec::new(),
            entropy: 3.5,
            allow: Vec::new(),
            phases: vec![Phase::Call, Phase::Result, Phase::Listing, Phase::Message],
            names: true,
        }
    }
}

/// Most spans of an answer; beyond it they are widened, so that nothing is left out. The host takes 10,000.
const MOST_SPANS: usize = 8000;

impl Detector for Secrets {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if !(0.0..=8.0).contains(&config.entropy) {
            return Err("entropy: must be between 0 and 8 bits".to_owned());
        }
        let mut rules = built_in()?;
        for (index, extra) in config.rules.iter().enumerate() {
            let rule = extra.compile().map_err(|error| format!("rules[{index}]: {error}"))?;
            if rules.iter().any(|known| known.id == rule.id) {
                return Err(format!("rules[{index}]: there is already a rule `{}`", rule.id));
            }
            rules.push(rule);
        }
        let named = [("enable", config.enable.as_deref().unwrap_or_default()), ("disable", &config.disable)];
        for (key, ids) in named {
            if let Some(id) = ids.iter().find(|id| !rules.iter().any(|rule| rule.id == **id)) {
                return Err(format!("{key}: there is no rule `{id}`; the README tells how to list them"));
            }
        }
        rules.retain(|rule| {
            config.enable.as_ref().is_none_or(|enable| enable.contains(&rule.id)) && !config.disable.contains(&rule.id)
        });
        let scanner = Scanner::new(rules, &config.allow, config.entropy)?;
        Ok(Self { scanner, phases: config.phases, names: config.names })
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        if !self.phases.contains(&call.phase) {
            return Ok(Vec::new());
        }
        // One finding per rule and score, in the order of the table.
        let mut found: BTreeMap<(usize, u32), Vec<Span>> = BTreeMap::new();
        for (text, hit) in self.scanner.payload(&payload.texts()) {
            found.entry((hit.rule, hit.score.to_bits())).or_default().push(Span::of(text, hit.range));
        }
        let mut findings: Vec<Finding> = Vec::with_capacity(found.len());
        for ((rule, score), spans) in found {
            let Some(rule) = self.scanner.rules().get(rule) else { continue };
            let places = if spans.len() > 1 { format!(" in {} places", spans.len()) } else { String::new() };
            let finding = Finding::new(rule.category(), f32::from_bits(score), format!("{}{places}", rule.title));
            findings.push(finding.with_spans(spans));
        }
        widen_spans(&mut findings, MOST_SPANS);
        if self.names {
            self.inspect_names(&payload.names(), &mut findings);
        }
        Ok(findings)
    }
}

portcullis_plugin::detector!(Secrets);

impl Secrets {
    fn inspect_names(&self, names: &[String], findings: &mut Vec<Finding>) {
        let mut found: BTreeMap<usize, f32> = BTreeMap::new();
        // Shorter names hold no secret worth the search.
        for hit in names.iter().filter(|name| name.len() >= 16).flat_map(|name| self.scanner.alone(name)) {
            let score = found.entry(hit.rule).or_default();
            *score = score.max(hit.score);
        }
        for (rule, score) in found {
            if let Some(rule) = self.scanner.rules().get(rule) {
                findings.push(Finding::new(rule.category(), score, format!("{} in a member's name", rule.title)));
            }
        }
    }
}

impl Compiled {
    fn category(&self) -> String {
        format!("secret.{}", self.id)
    }
}

impl ExtraRule {
    fn compile(&self) -> Result<Compiled, String> {
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if self.id.is_empty() || self.id.len() > 48 || !self.id.bytes().all(valid) {
            return Err("id: must be 1 to 48 small letters, digits and `_`".to_owned());
        }
        if !(0.0..=1.0).contains(&self.score) {
            return Err("score: must be between 0 and 1".to_owned());
        }
        let short = self.near.iter().find(|word| word.len() < 2);
        if let Some(word) = short {
            return Err(format!("near: `{word}` is too short"));
        }
        let mut forms = Vec::new();
        let mut regex = None;
        match (&self.form, &self.prefix, &self.regex) {
            (Some(form), None, None) => forms.push(Form::parse(form)?),
            (None, Some(prefix), None) => {
                let alphabet = self.alphabet.as_deref().unwrap_or("alnum");
                let length = self.length.as_deref().ok_or("length: say how many characters follow the prefix")?;
                if prefix.contains(['{', '(', ')']) {
                    return Err("prefix: write brackets with `regex`".to_owned());
                }
                forms.push(Form::parse(&format!("{prefix}{{{alphabet}:{length}}}"))?);
            }
            (None, None, Some(text)) => {
                let built = regex_lite::RegexBuilder::new(text).size_limit(1 << 20).build();
                regex = Some(built.map_err(|error| format!("regex: {error}"))?);
            }
            _ => return Err("write either `form`, or `prefix` and `length`, or `regex`".to_owned()),
        }
        if regex.is_some() && !self.near.is_empty() {
            return Err("near: does not go with `regex`; write the words into the expression".to_owned());
        }
        Ok(Compiled {
            id: self.id.clone(),
            title: self.title.clone().unwrap_or_else(|| self.id.clone()),
            forms,
            near: self.near.clone(),
            check: Check::None,
            score: self.score,
            regex,
            structure: None,
        })
    }
}

fn extra_score() -> f32 {
    0.9
}

fn built_in() -> Result<Vec<Compiled>, String> {
    let mut rules = Vec::new();
    for rule in table::RULES {
        let forms = rule.forms.iter().map(|form| Form::parse(form)).collect::<Result<_, _>>()?;
        rules.push(Compiled {
            id: rule.id.to_owned(),
            title: rule.title.to_owned(),
            forms,
            near: rule.near.iter().map(|word| (*word).to_owned()).collect(),
            check: rule.check,
            score: rule.score,
            regex: None,
            structure: None,
        });
    }
    for (structure, id, title, score) in Structure::ALL {
        rules.push(Compiled {
            id: id.to_owned(),
            title: title.to_owned(),
            forms: Vec::new(),
            near: Vec::new(),
            check: Check::None,
            score,
            regex: None,
            structure: Some(structure),
        });
    }
    Ok(rules)
}

/// Id, provider and title of every built-in rule with a format, for lists and comparisons.
pub fn catalogue() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let structures = Structure::ALL.iter().map(|(_, id, title, _)| (*id, "", *title));
    table::RULES.iter().map(|rule| (rule.id, rule.provider, rule.title)).chain(structures)
}
