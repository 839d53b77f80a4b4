//! One condition, ready to be looked at.

use std::cmp::Ordering;

use serde_json::Value;
use wildmatch::WildMatch;

use crate::config::ConditionConfig;
use crate::decimal::Decimal;

/// Bytes of an argument that may still be a number.
const MAX_NUMBER: usize = 1024;

pub(crate) struct Condition {
    pointer: String,
    test: Test,
}

enum Test {
    OneOf(Vec<Value>),
    NoneOf(Vec<Value>),
    /// A number that stands so to this one.
    Number(Decimal, &'static [Ordering]),
    Matches(WildMatch),
    Exists(bool),
    /// What the configuration's check lets through nowhere.
    Never,
}

impl Condition {
    /// The configuration has been checked.
    pub(crate) fn new(config: ConditionConfig) -> Self {
        use Ordering::{Equal, Greater, Less};
        let pointer = match config.argument.starts_with('/') {
            true => config.argument,
            false => format!("/{}", config.argument.replace('~', "~0").replace('/', "~1")),
        };
        let number = |value: Option<Value>, orders: &'static [Ordering]| {
            let decimal = Decimal::parse(&value?.to_string())?;
            Some(Test::Number(decimal, orders))
        };
        let test = config.equals.map(|value| Test::OneOf(vec![value]));
        let test = test.or(config.not_equals.map(|value| Test::NoneOf(vec![value])));
        let test = test.or(config.one_of.map(Test::OneOf)).or(config.none_of.map(Test::NoneOf));
        let test = test.or(number(config.at_most, &[Less, Equal])).or(number(config.below, &[Less]));
        let test = test.or(number(config.at_least, &[Greater, Equal])).or(number(config.above, &[Greater]));
        let test = test.or(config.matches.map(|glob| Test::Matches(WildMatch::new(&glob))));
        let test = test.or(config.exists.map(Test::Exists));
        Self { pointer, test: test.unwrap_or(Test::Never) }
    }

    pub(crate) fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Whether it holds for an argument, given as JSON. Nothing is said of one that is not there, but that it is not.
    pub(crate) fn holds(&self, argument: Option<&str>) -> bool {
        let Some(json) = argument else { return matches!(self.test, Test::Exists(false)) };
        match &self.test {
            Test::OneOf(values) => values.iter().any(|value| same(json, value)),
            Test::NoneOf(values) => !values.iter().any(|value| same(json, value)),
            Test::Number(other, orders) => number(json).is_some_and(|number| orders.contains(&number.cmp(other))),
            Test::Matches(glob) => text(json).is_some_and(|text| glob.matches(&text)),
            Test::Exists(wanted) => *wanted == (json != "null"),
            Test::Never => false,
        }
    }
}

/// Whether an argument is this value: numbers by what they are worth, texts by their characters.
fn same(json: &str, value: &Value) -> bool {
    match value {
        Value::String(value) => text(json).is_some_and(|text| text == *value),
        Value::Number(value) => {
            let value = Decimal::parse(&value.to_string());
            value.is_some_and(|value| number(json).is_some_and(|number| number.cmp(&value) == Ordering::Equal))
        }
        Value::Bool(value) => json == if *value { "true" } else { "false" },
        Value::Null => json == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// A number, or a text that is written as one: a tool takes it for one as well.
fn number(json: &str) -> Option<Decimal> {
    if json.len() > MAX_NUMBER {
        return None;
    }
    match json.starts_with('"') {
        true => Decimal::parse(text(json)?.trim()),
        false => Decimal::parse(json),
    }
}

fn text(json: &str) -> Option<String> {
    json.starts_with('"').then(|| serde_json::from_str(json).ok()).flatten()
}
