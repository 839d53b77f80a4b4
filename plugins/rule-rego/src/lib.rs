//! Decides by Rego policies, with the regorus interpreter inside the sandbox.
//!
//! Policies are parsed, checked and run once in `configure`, so that the snapshot holds them ready. See the README for
//! what a policy sees and what it may say.

use std::cell::RefCell;

use portcullis_plugin::{AttributedFinding, Call, Payload, Phase, Rule, Verdict};
use serde::Deserialize;

mod answer;
mod clavenar;
mod input;
mod literals;
mod policy;
#[cfg(target_family = "wasm")]
mod random;
mod time;

#[cfg(test)]
mod tests;

use input::CounterKey;
use policy::Policies;

/// Configuration. Unknown keys are refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Policy files; several may share a package, and they may import each other.
    pub policies: Vec<PolicyText>,
    /// Granted folders to read `*.rego` and `data.json` from, for instance `policies` or `policies/prod`.
    #[cfg(feature = "files")]
    pub folders: Vec<String>,
    /// Documents under `data`.
    pub data: serde_json::Map<String, serde_json::Value>,
    /// The package whose `deny`, `review`, `redact` and `allow` decide.
    pub package: String,
    /// Counters to show as `input.counters`.
    pub counters: Vec<Counter>,
    /// Whether a built-in function that fails (`to_number("x")`) is an error, as against undefined.
    pub strict: bool,
}

/// One policy file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// Name in messages, for instance `payments.rego`. Unique.
    pub name: String,
    /// Rego, version 1.
    pub text: String,
}

/// A counter over a sliding window; each decided call adds one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// Member of `input.counters`. Unique.
    pub name: String,
    /// What is counted apart: text with `{tool}`, `{agent}`, `{session}`, `{upstream}` and `{phase}`.
    #[serde(default = "default_key")]
    pub key: String,
    /// Seconds; 0 never forgets.
    pub window: u32,
    /// Phases that count; in others the counter is absent.
    #[serde(default = "default_phases")]
    pub phases: Vec<Phase>,
}

/// The rule.
pub struct Rego {
    policies: RefCell<Policies>,
    /// Whether the deciding package is Clavenar's.
    clavenar: bool,
    counters: Vec<(Counter, CounterKey)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            #[cfg(feature = "files")]
            folders: Vec::new(),
            data: serde_json::Map::new(),
            package: "portcullis".to_owned(),
            counters: Vec::new(),
            strict: true,
        }
    }
}

impl Rule for Rego {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let mut counters: Vec<(Counter, CounterKey)> = Vec::with_capacity(config.counters.len());
        for (index, counter) in config.counters.iter().enumerate() {
            let key = CounterKey::parse(&counter.key).map_err(|error| format!("counters[{index}].key: {error}"))?;
            if counter.name.is_empty() || counters.iter().any(|(known, _)| known.name == counter.name) {
                return Err(format!("counters[{index}].name: must be unique and not empty"));
            }
            counters.push((counter.clone(), key));
        }
        let mut policies = Policies::load(&config)?;
        policies.warm_up(&config.data)?;
        let clavenar = config.package == clavenar::PACKAGE;
        Ok(Self { policies: RefCell::new(policies), clavenar, counters })
    }

    fn decide(&self, call: &Call, payload: &dyn Payload, findings: &[AttributedFinding]) -> Result<Verdict, String> {
        // These policies know requests only.
        if self.clavenar && call.phase != Phase::Call {
            return Ok(Verdict::Allow);
        }
        let texts =
            if findings.iter().any(|finding| !finding.finding.spans.is_empty()) { payload.texts() } else { Vec::new() };
        let counters = self.count(call)?;
        let mut members = input::members(call, &payload.raw(), &texts, findings, &counters)?;
        if self.clavenar {
            members.extend(clavenar::members(call, findings, clavenar::count(call)?));
        }
        let mut said = self.policies.borrow_mut().evaluate(input::object(members))?;
        if self.clavenar {
            said.allow_or_review();
        }
        said.verdict(payload, texts, findings)
    }
}

portcullis_plugin::rule!(Rego);

impl Rego {
    fn count(&self, call: &Call) -> Result<Vec<(&str, u64)>, String> {
        let counted = self.counters.iter().filter(|(counter, _)| counter.phases.contains(&call.phase));
        let count = |(counter, key): &'_ (Counter, CounterKey)| {
            let key = format!("{}/{}", counter.name, key.expand(call));
            portcullis_plugin::state::increment(&key, 1, counter.window)
        };
        counted
            .map(|pair| count(pair).map(|sum| (pair.0.name.as_str(), sum)))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("a counter could not be raised: {error}"))
    }
}

fn default_key() -> String {
    "{agent}".to_owned()
}

fn default_phases() -> Vec<Phase> {
    vec![Phase::Call]
}
