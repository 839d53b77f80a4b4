//! Decides by the tool's name and ordered conditions on its arguments. See the README for the configuration.

mod condition;
mod config;
mod decimal;

use std::collections::HashMap;

use portcullis_plugin::{AttributedFinding, Call, Payload, Phase, Rule, Verdict};

pub use config::{ConditionConfig, Config, Effect, PolicyConfig, RuleConfig};

use condition::Condition;

/// The configured rule.
pub struct Arguments {
    unmatched: Effect,
    policies: Vec<Policy>,
}

/// What counts for the tools of one pattern.
struct Policy {
    pattern: String,
    agents: Vec<String>,
    upstreams: Vec<String>,
    rules: Vec<Line>,
    default: Effect,
    message: Option<String>,
}

/// Conditions that must all hold, and what they mean.
struct Line {
    when: Vec<Condition>,
    effect: Effect,
    message: Option<String>,
}

/// The arguments that were looked at so far, as JSON; each is fetched once.
struct Seen<'a> {
    payload: &'a dyn Payload,
    values: HashMap<String, Option<String>>,
}

impl Rule for Arguments {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        config.check()?;
        let policies = config.policies.into_iter().map(Policy::new).collect();
        Ok(Self { unmatched: config.unmatched, policies })
    }

    fn decide(&self, call: &Call, payload: &dyn Payload, _: &[AttributedFinding]) -> Result<Verdict, String> {
        if call.phase != Phase::Call {
            return Ok(Verdict::Allow);
        }
        let Some(policy) = self.policies.iter().find(|policy| policy.fits(call)) else {
            return Ok(verdict(self.unmatched, "policy.unmatched", "there is no policy for this tool"));
        };
        let mut seen = Seen { payload, values: HashMap::new() };
        let line = policy.rules.iter().find(|line| line.when.iter().all(|condition| seen.meets(condition)));
        let (effect, message) = match line {
            Some(line) => (line.effect, line.message.as_ref().or(policy.message.as_ref())),
            None => (policy.default, policy.message.as_ref()),
        };
        let (code, what) = match effect {
            Effect::Deny => ("policy.denied", "refuses this call"),
            Effect::Review | Effect::Allow => ("policy.review", "wants a person's approval"),
        };
        let message = message.cloned().unwrap_or_else(|| format!("the policy for {} {what}", policy.pattern));
        Ok(verdict(effect, code, message))
    }
}

portcullis_plugin::rule!(Arguments);

fn verdict(effect: Effect, code: &str, message: impl Into<String>) -> Verdict {
    match effect {
        Effect::Allow => Verdict::Allow,
        Effect::Review => Verdict::review(code, message),
        Effect::Deny => Verdict::deny(code, message),
    }
}

impl Policy {
    fn new(config: PolicyConfig) -> Self {
        let line = |rule: RuleConfig| Line {
            when: rule.when.into_iter().map(Condition::new).collect(),
            effect: rule.effect,
            message: rule.message,
        };
        Self {
            pattern: config.tool,
            agents: config.agents,
            upstreams: config.upstreams,
            rules: config.rules.into_iter().map(line).collect(),
            default: config.default,
            message: config.message,
        }
    }

    fn fits(&self, call: &Call) -> bool {
        let tool = match self.pattern.strip_suffix('*') {
            Some(prefix) => call.tool.starts_with(prefix),
            None => call.tool == self.pattern,
        };
        let upstream = call.upstream.as_deref().unwrap_or_default();
        tool && (self.agents.is_empty() || self.agents.contains(&call.agent))
            && (self.upstreams.is_empty() || self.upstreams.iter().any(|name| name == upstream))
    }
}

impl Seen<'_> {
    fn meets(&mut self, condition: &Condition) -> bool {
        let pointer = condition.pointer();
        if !self.values.contains_key(pointer) {
            self.values.insert(pointer.to_owned(), self.payload.get(pointer));
        }
        condition.holds(self.values.get(pointer).and_then(Option::as_deref))
    }
}

#[cfg(test)]
mod tests;
