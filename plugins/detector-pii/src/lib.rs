//! Finds personal data by format, checksum and the words beside it.
//!
//! One pass over each text stops at digits, `@` and colons; only there the forms of e-mail addresses, telephone numbers,
//! cards, accounts, national numbers and IP addresses are tried. See the README for the configuration.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, widen_spans};
use serde::Deserialize;

pub use crate::kind::{Kind, Region};
use crate::scanner::Scanner;

mod address;
mod birth;
mod card;
mod checksum;
mod context;
mod hit;
mod kind;
mod mail;
mod national;
mod number;
mod phone;
mod scanner;

/// Configuration. Everything has a default; unknown keys are refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Kinds to switch on or off; all are on.
    pub kinds: BTreeMap<Kind, bool>,
    /// Countries whose national forms are looked for.
    pub regions: Vec<Region>,
    /// Findings below this score are not reported, 0 to 1.
    pub min_score: f32,
    /// What is let through.
    pub allow: Allow,
    /// Phases to look at.
    pub phases: Vec<Phase>,
    /// Whether member names are searched, too. Findings in names have no span: names are never redacted.
    pub names: bool,
}

/// Values that are let through.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// Domains of e-mail addresses, with what is below them.
    pub domains: Vec<String>,
    /// SHA-256 of values in hexadecimal digits: as written, or in the form that the README tells.
    pub sha256: Vec<String>,
    /// Test cards, `example.com`, numbers kept free for films and manuals.
    pub examples: bool,
    /// Addresses of private networks, of this machine, of documents, of public name servers.
    pub private_addresses: bool,
}

/// The detector.
#[derive(Debug)]
pub struct Pii {
    scanner: Scanner,
    phases: Vec<Phase>,
    names: bool,
}

/// Most values of a payload that get a finding of their own; the host takes a thousand findings of a plugin.
const MOST_VALUES: usize = 400;
/// Most spans of an answer; beyond it they are widened, so that nothing is left out. The host takes 10,000.
const MOST_SPANS: usize = 8000;
/// Score from which a value in a member's name is reported: it cannot be redacted, so it had better be one.
const SURE: f32 = 0.8;
/// Shortest name that is searched.
const SHORTEST_NAME: usize = 6;

impl Default for Config {
    fn default() -> Self {
        Self {
            kinds: BTreeMap::new(),
            regions: Region::ALL.to_vec(),
            min_score: 0.4,
            allow: Allow::default(),
            phases: vec![Phase::Call, Phase::Result, Phase::Listing, Phase::Message],
            names: true,
        }
    }
}

impl Default for Allow {
    fn default() -> Self {
        Self { domains: Vec::new(), sha256: Vec::new(), examples: true, private_addresses: true }
    }
}

impl Detector for Pii {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&config.min_score) {
            return Err(format!("min_score: {} is not between 0 and 1", config.min_score));
        }
        let on = |kind: &Kind| {
            config.kinds.get(kind) != Some(&false)
                && kind.region().is_none_or(|region| config.regions.contains(&region))
        };
        let named = config.kinds.iter().filter(|(_, on)| **on).map(|(kind, _)| kind);
        if let Some(kind) = named.copied().find(|kind| !on(kind)) {
            return Err(format!("kinds.{}: its country is not among the regions", kind.name()));
        }
        let kinds: Vec<Kind> = Kind::ALL.iter().map(|row| row.0).filter(on).collect();
        let scanner = Scanner {
            forms: Scanner::forms(&kinds),
            kinds,
            regions: config.regions,
            min_score: config.min_score,
            domains: config.allow.domains.iter().map(|text| domain(text)).collect::<Result<_, _>>()?,
            digests: config.allow.sha256.iter().map(|text| digest(text)).collect::<Result<_, _>>()?,
            examples: config.allow.examples,
            private_addresses: config.allow.private_addresses,
        };
        Ok(Self { scanner, phases: config.phases, names: config.names })
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        if !self.phases.contains(&call.phase) {
            return Ok(Vec::new());
        }
        // One finding for each value, in the order in which the values are first met: so they can be told apart.
        let mut numbers: BTreeMap<(Kind, Vec<u8>), usize> = BTreeMap::new();
        let mut values: Vec<(Kind, f32, Vec<Span>)> = Vec::new();
        let mut rest: BTreeMap<Kind, usize> = BTreeMap::new();
        for (text, hit) in self.scanner.payload(&payload.texts()) {
            let new = values.len();
            let index = match numbers.get(&(hit.kind, hit.name.clone())) {
                Some(index) => *index,
                None if numbers.len() < MOST_VALUES => *numbers.entry((hit.kind, hit.name)).or_insert(new),
                // Beyond that, one finding for all further values of a kind.
                None => *rest.entry(hit.kind).or_insert(new),
            };
            if index == new {
                values.push((hit.kind, 0.0, Vec::new()));
            }
            if let Some((_, score, spans)) = values.get_mut(index) {
                *score = score.max(hit.score);
                spans.push(Span::of(text, hit.range));
            }
        }
        let mut findings: Vec<Finding> = Vec::with_capacity(values.len());
        for (kind, score, spans) in values {
            let places = if spans.len() > 1 { format!(" in {} places", spans.len()) } else { String::new() };
            let finding = Finding::new(category(kind), score, format!("{}{places}", kind.title()));
            findings.push(finding.with_spans(spans));
        }
        widen_spans(&mut findings, MOST_SPANS);
        if self.names {
            self.inspect_names(&payload.names(), &mut findings);
        }
        Ok(findings)
    }
}

portcullis_plugin::detector!(Pii);

impl Pii {
    fn inspect_names(&self, names: &[String], findings: &mut Vec<Finding>) {
        let mut found: BTreeMap<Kind, f32> = BTreeMap::new();
        let long = names.iter().filter(|name| name.len() >= SHORTEST_NAME);
        for hit in long.flat_map(|name| self.scanner.alone(name)).filter(|hit| hit.score >= SURE) {
            let score = found.entry(hit.kind).or_default();
            *score = score.max(hit.score);
        }
        for (kind, score) in found {
            findings.push(Finding::new(category(kind), score, format!("{} in a member's name", kind.title())));
        }
    }
}

fn category(kind: Kind) -> String {
    format!("pii.{}", kind.name())
}

fn domain(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte) || byte >= 0x80;
    if text.is_empty() || text.starts_with('.') || text.ends_with('.') || !text.bytes().all(allowed) {
        return Err(format!("allow.domains: `{text}` is no domain; write it like `corp.example`"));
    }
    Ok(text.to_ascii_lowercase())
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let error = || "allow.sha256: must be 64 hexadecimal digits each".to_owned();
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(error());
    }
    for (at, byte) in out.iter_mut().enumerate() {
        let two = text.get(2 * at..2 * at + 2).ok_or_else(error)?;
        *byte = u8::from_str_radix(two, 16).map_err(|_| error())?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
