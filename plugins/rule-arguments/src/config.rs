use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::decimal::Decimal;

const MAX_POLICIES: usize = 256;
const MAX_RULES: usize = 64;
const MAX_CONDITIONS: usize = 16;
const MAX_VALUES: usize = 256;
const MAX_MESSAGE: usize = 400;

/// The configuration of the plugin; an empty one allows everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What happens to tools that no policy is for.
    pub unmatched: Effect,
    /// The policies; the first whose tool, agents and upstreams fit counts.
    pub policies: Vec<PolicyConfig>,
}

/// What counts for some tools.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// A tool's name, what it begins with and `*`, or `*` for all.
    pub tool: String,
    /// Only calls of these agents; all if there is none.
    #[serde(default)]
    pub agents: Vec<String>,
    /// Only tools of these upstreams; all if there is none.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// The first whose conditions all hold counts.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// What happens if none does.
    pub default: Effect,
    /// One sentence for people.
    #[serde(default)]
    pub message: Option<String>,
}

/// Conditions and what they mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// All of them must hold; at least one.
    pub when: Vec<ConditionConfig>,
    /// What happens then.
    pub effect: Effect,
    /// One sentence for people.
    #[serde(default)]
    pub message: Option<String>,
}

/// A condition on one argument: exactly one comparison.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionConfig {
    /// The argument's name, or an RFC 6901 pointer, which begins with `/`.
    pub argument: String,
    /// It is this text, number or truth value.
    pub equals: Option<Value>,
    /// It is there and another one.
    pub not_equals: Option<Value>,
    /// It is one of these.
    pub one_of: Option<Vec<Value>>,
    /// It is there and none of these.
    pub none_of: Option<Vec<Value>>,
    /// It is a number up to this.
    pub at_most: Option<Value>,
    /// It is a smaller number.
    pub below: Option<Value>,
    /// It is a number from this on.
    pub at_least: Option<Value>,
    /// It is a larger number.
    pub above: Option<Value>,
    /// It is a text that fits this glob, which knows `*` and `?`.
    pub matches: Option<String>,
    /// Whether it is there at all.
    pub exists: Option<bool>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It runs.
    #[default]
    Allow,
    /// A person decides.
    #[serde(alias = "requires_approval")]
    Review,
    /// It is refused.
    #[serde(alias = "block")]
    Deny,
}

impl Default for Config {
    fn default() -> Self {
        Self { unmatched: Effect::Allow, policies: Vec::new() }
    }
}

impl Config {
    /// What serde cannot check. The error names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        at_most("policies", self.policies.len(), MAX_POLICIES)?;
        for (index, policy) in self.policies.iter().enumerate() {
            policy.check().map_err(|error| format!("policies[{index}].{error}"))?;
            let before = self.policies.iter().take(index).position(|earlier| earlier.covers(policy));
            if let Some(before) = before {
                return Err(format!(
                    "policies[{index}].tool: policies[{before}] comes first and takes all of its calls"
                ));
            }
        }
        Ok(())
    }
}

impl PolicyConfig {
    fn check(&self) -> Result<(), String> {
        let name = self.tool.strip_suffix('*').unwrap_or(&self.tool);
        if self.tool.is_empty() || name.contains('*') {
            return Err("tool: write a tool's name, what it begins with and `*` (`stripe.*`), or `*`".to_owned());
        }
        for (key, list) in [("agents", &self.agents), ("upstreams", &self.upstreams)] {
            at_most(key, list.len(), MAX_VALUES)?;
            if list.iter().any(|name| name.is_empty() || name.contains('*')) {
                return Err(format!("{key}: write whole names"));
            }
        }
        check_message(self.message.as_ref())?;
        at_most("rules", self.rules.len(), MAX_RULES)?;
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check().map_err(|error| format!("rules[{index}].{error}"))?;
        }
        Ok(())
    }

    /// Whether every call that fits the other fits this.
    fn covers(&self, other: &Self) -> bool {
        let tool = match self.tool.strip_suffix('*') {
            Some(prefix) => other.tool.starts_with(prefix),
            None => self.tool == other.tool,
        };
        let list = |own: &[String], other: &[String]| {
            let own: HashSet<_> = own.iter().collect();
            own.is_empty() || (!other.is_empty() && other.iter().all(|name| own.contains(name)))
        };
        tool && list(&self.agents, &other.agents) && list(&self.upstreams, &other.upstreams)
    }
}

impl RuleConfig {
    fn check(&self) -> Result<(), String> {
        if self.when.is_empty() {
            return Err("when: without a condition it is the policy's `default`".to_owned());
        }
        at_most("when", self.when.len(), MAX_CONDITIONS)?;
        check_message(self.message.as_ref())?;
        for (index, condition) in self.when.iter().enumerate() {
            condition.check().map_err(|error| format!("when[{index}]{error}"))?;
        }
        Ok(())
    }
}

impl ConditionConfig {
    fn check(&self) -> Result<(), String> {
        let broken = self.argument.starts_with('/')
            && self.argument.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
        if self.argument.is_empty() || broken {
            return Err(".argument: write the argument's name, or a pointer such as /order/amount".to_owned());
        }
        let Self {
            equals, not_equals, one_of, none_of, at_most: most, below, at_least, above, matches, exists, ..
        } = self;
        let given = [
            equals.is_some(),
            not_equals.is_some(),
            one_of.is_some(),
            none_of.is_some(),
            most.is_some(),
            below.is_some(),
            at_least.is_some(),
            above.is_some(),
            matches.is_some(),
            exists.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            let known = "equals, not_equals, one_of, none_of, at_most, below, at_least, above, matches, exists";
            return Err(format!(": give exactly one of {known}"));
        }
        let scalar = |key: &str, value: &Value| match value {
            Value::Array(_) | Value::Object(_) => {
                Err(format!(".{key}: compare with a text, number, truth value or null"))
            }
            _ => Ok(()),
        };
        for (key, value) in [("equals", equals), ("not_equals", not_equals)] {
            value.as_ref().map_or(Ok(()), |value| scalar(key, value))?;
        }
        for (key, values) in [("one_of", one_of), ("none_of", none_of)] {
            let Some(values) = values else { continue };
            if values.is_empty() {
                return Err(format!(".{key}: the list is empty"));
            }
            at_most(&format!(".{key}"), values.len(), MAX_VALUES)?;
            values.iter().try_for_each(|value| scalar(key, value))?;
        }
        for (key, value) in [("at_most", most), ("below", below), ("at_least", at_least), ("above", above)] {
            let number =
                |value: &Value| matches!(value, Value::Number(number) if Decimal::parse(&number.to_string()).is_some());
            if value.as_ref().is_some_and(|value| !number(value)) {
                return Err(format!(".{key}: write a number"));
            }
        }
        Ok(())
    }
}

fn check_message(message: Option<&String>) -> Result<(), String> {
    match message {
        Some(message) if message.is_empty() || message.len() > MAX_MESSAGE => {
            Err(format!("message: write 1 to {MAX_MESSAGE} bytes"))
        }
        _ => Ok(()),
    }
}

fn at_most(key: &str, count: usize, most: usize) -> Result<(), String> {
    if count > most { Err(format!("{key}: at most {most}")) } else { Ok(()) }
}
