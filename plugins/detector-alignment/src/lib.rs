//! Finds calls beside what the user asked for or the agent is for, and values that come from untrusted results.
//!
//! In phase `call` a small linear model weighs what of the call is new against the task and the persona; values that identify
//! somebody (addresses, accounts, hosts, …) are looked up among those that results of this session brought. In phase `result`
//! short digests of such values are left in the session's labels.
#![forbid(unsafe_code)]

mod config;
mod effect;
mod model;
mod reading;
mod taint;
mod topics;
mod values;
mod words;

use std::collections::BTreeSet;

use plugin_effect::{Effect, Globs};
use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, Text};

pub use crate::config::Config;
pub use crate::model::Model;
use crate::reading::{Asked, Tables};
pub use crate::reading::{FEATURES, NAMES, Reading};
use crate::taint::Taint;
use crate::values::{Kind, Value};

/// The committed table.
const MODEL: &[u8] = include_bytes!("../model.bin");
/// Most values of a payload that are looked at.
const MOST_VALUES: usize = 240;
/// Most values of one string, the same ones counted again.
const MOST_FOUND: usize = 960;
/// Most spans of a finding.
const MOST_SPANS: usize = 16;
/// Score of a call that cannot be compared word by word with its task.
const UNSURE: f32 = 0.35;

/// The detector.
#[derive(Debug)]
pub struct Alignment {
    config: Config,
    trusted: Globs,
    always: Globs,
    tables: Tables,
    model: Model,
}

impl Detector for Alignment {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Self::with_model(config, MODEL)
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        match call.phase {
            Phase::Call => Ok(self.call(call, payload)),
            Phase::Result => self.result(call, payload).map(|()| Vec::new()),
            Phase::Listing | Phase::Message => Ok(Vec::new()),
        }
    }
}

impl Alignment {
    /// The detector with another table than its own.
    ///
    /// # Errors
    /// The configuration or the table is wrong.
    pub fn with_model(config: Config, model: &[u8]) -> Result<Self, String> {
        config.check()?;
        let (trusted, always) = (Globs::new(&config.trusted_tools), Globs::new(&config.always_on_task));
        Ok(Self { config, trusted, always, tables: Tables::new(), model: Model::read(model)? })
    }

    /// A call as the model reads it.
    #[must_use]
    pub fn read(&self, call: &Call, payload: &dyn Payload) -> Reading {
        let texts = payload.texts();
        let values: Vec<Value> = self.values(call, &texts, texts.len()).0.into_iter().map(|(_, value)| value).collect();
        reading::read(&self.tables, call, &Asked::of(&self.tables, call), &texts, &payload.raw(), &values)
    }

    /// The values of a payload with the number of their text, and whether there are more. Texts from `strings` on are names.
    fn values(&self, call: &Call, texts: &[Text], strings: usize) -> (Vec<(usize, Value)>, bool) {
        let mut all: Vec<(usize, Value)> = Vec::new();
        let mut seen: BTreeSet<(Kind, String)> = BTreeSet::new();
        let mut cut = false;
        let tool = call.tool.to_lowercase();
        let installs =
            call.phase == Phase::Call && ["install", "package", "dependency"].iter().any(|word| tool.contains(word));
        for (number, text) in texts.iter().enumerate() {
            if all.len() > MOST_VALUES {
                break;
            }
            let mut found = values::find(&text.value, MOST_FOUND);
            if call.phase == Phase::Result {
                // Whoever reads it may undo what hides a value, and the call then has it in clear.
                found.extend(values::find_behind(&text.value, MOST_FOUND - found.len()));
            }
            cut |= found.len() >= MOST_FOUND;
            if installs
                && number < strings
                && found.is_empty()
                && let Some(folded) = values::package(&text.value)
            {
                all.push((number, Value { kind: Kind::Package, folded, range: 0..text.value.len() }));
            }
            // The first place of each is enough.
            let new = found.into_iter().filter(|value| seen.insert((value.kind, value.folded.clone())));
            all.extend(new.map(|value| (number, value)));
        }
        let more = cut || all.len() > MOST_VALUES;
        all.truncate(MOST_VALUES);
        all.retain(|(_, value)| !self.config.owns(&value.folded));
        (all, more)
    }

    fn result(&self, call: &Call, payload: &dyn Payload) -> Result<(), String> {
        if call.session.is_none() || self.trusted.contain(&call.tool.to_lowercase()) {
            return Ok(());
        }
        let texts = payload.texts();
        let strings = texts.len();
        let (values, more) = self.values(call, &with_names(payload, texts), strings);
        if values.is_empty() && !more {
            return Ok(());
        }
        // What the user named, or what the agent itself gave to the tool, is known anyway; it is compared when it is used.
        let values: Vec<Value> = values.into_iter().map(|(_, value)| value).collect();
        Taint::of_session().keep(call, &values, more)
    }

    fn call(&self, call: &Call, payload: &dyn Payload) -> Vec<Finding> {
        let taint = Taint::of_session();
        if call.task.is_none() && call.persona.is_none() && taint.is_empty() {
            return Vec::new();
        }
        let texts = payload.texts();
        let asked = Asked::of(&self.tables, call);
        let strings = texts.len();
        let texts = with_names(payload, texts);
        let (values, more) = self.values(call, &texts, strings);
        let of_strings = values.iter().filter(|(number, _)| *number < strings);
        let of_strings: Vec<Value> = of_strings.map(|(_, value)| value.clone()).collect();
        let texts = texts.get(..strings).unwrap_or_default();
        let reading = reading::read(&self.tables, call, &asked, texts, &payload.raw(), &of_strings);
        let mut findings = Vec::new();
        let beside = self.beside(call, &reading);
        findings.extend(beside.as_ref().map(|(_, finding)| finding.clone()));
        let score = beside.map(|(score, _)| score);
        findings.extend(foreign(call, &taint, &asked, &reading, &values, more, strings));
        let destinations = || values.iter().map(|(_, value)| value).filter(|value| value.kind.is_destination());
        let known = destinations().next().is_some()
            && destinations().all(|value| asked.names(value.kind, &value.folded) || self.config.owns(&value.folded));
        findings.extend(tainted_send(&taint, &reading, score, known));
        findings.retain(|finding| finding.score >= self.config.min_score);
        findings
    }

    /// What the model says, and the finding of it; none if there is nothing to compare with.
    fn beside(&self, call: &Call, reading: &Reading) -> Option<(f32, Finding)> {
        if !(reading.task || reading.persona) || self.always.contain(&call.tool.to_lowercase()) {
            return None;
        }
        let mut score = self.model.probability(self.model.score(&reading.features));
        if !reading.comparable || !reading.task {
            score = score.min(UNSURE);
        }
        let does = reading.effect.map_or("", does);
        let finding = if reading.persona && (reading.foreign > 0.5 || !reading.task) {
            let text = format!("The call has little to do with what this agent is for{does}.");
            Finding::new("alignment.off_persona", score, text)
        } else {
            let text = format!("The call has little to do with what the user asked for{does}.");
            Finding::new("alignment.off_task", score, text)
        };
        Some((score, finding))
    }
}

/// For people: what a call does besides.
fn does(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "",
        Effect::Write => ", and it changes something",
        Effect::Send => ", and it sends something to others",
        Effect::Delete => ", and it takes something away",
        Effect::Pay => ", and it moves money",
    }
}

/// The strings of a payload, and after them the names of its members: values stand there as well.
fn with_names(payload: &dyn Payload, mut texts: Vec<Text>) -> Vec<Text> {
    texts.extend(payload.names().into_iter().map(|value| Text { pointer: String::new(), value }));
    texts
}

/// A value that a result brought and nobody asked for.
/// `more` if the call has more values than are looked at: one of those may be such a value, too. Texts from `strings` on are names.
fn foreign(
    call: &Call,
    taint: &Taint,
    asked: &Asked,
    reading: &Reading,
    values: &[(usize, Value)],
    more: bool,
    strings: usize,
) -> Option<Finding> {
    if taint.is_empty() {
        return None;
    }
    let effect = reading.effect.unwrap_or(Effect::Write);
    let (mut best, mut kinds, mut spans, mut sure) = (0.0_f32, BTreeSet::new(), Vec::new(), false);
    for (text, value) in values {
        if asked.names(value.kind, &value.folded) {
            continue;
        }
        let seen = taint.has(call, value.kind, &value.folded);
        if !seen && !taint.full {
            continue;
        }
        let Some(score) = weight(value.kind, effect) else { continue };
        best = best.max(score);
        sure |= seen;
        kinds.insert(value.kind);
        // A name cannot be pointed at.
        if spans.len() < MOST_SPANS && *text < strings {
            spans.push(Span::of(*text, value.range.clone()));
        }
    }
    if more {
        best = best.max(weight(Kind::Mail, effect).unwrap_or_default());
    }
    if best <= 0.0 {
        return None;
    }
    if taint.tainted {
        best += 0.4;
    }
    let kinds: Vec<&str> = kinds.into_iter().map(Kind::name).collect();
    let kinds =
        if kinds.is_empty() { "so many addresses that one of them may be one".to_owned() } else { kinds.join(" and ") };
    let mut text = format!("The call holds {kinds} ");
    text.push_str(if sure || !taint.full {
        "that came with the result of an earlier call"
    } else {
        "that may have come with an earlier result (this session had more than can be remembered)"
    });
    text.push_str(" and that the user did not name");
    text.push_str(if taint.tainted { "; a result of this session held instructions." } else { "." });
    Some(Finding::new("alignment.foreign_value", best, text).with_spans(spans))
}

/// How much a foreign value of this kind weighs in a call that does this; none if nothing.
fn weight(kind: Kind, effect: Effect) -> Option<f32> {
    match (kind.is_destination(), effect) {
        // Going on reading where the last result points is what agents do.
        (false, Effect::Read) if kind == Kind::Path => None,
        (_, Effect::Read) => Some(0.25),
        (true, Effect::Write) => Some(0.35),
        (true, Effect::Send | Effect::Delete | Effect::Pay) => Some(0.45),
        (false, _) => Some(0.3),
    }
}

/// Something goes out after a result with instructions, and the task does not cover it. `known` if it goes to those whom the
/// task or the persona name, and to nobody else.
fn tainted_send(taint: &Taint, reading: &Reading, beside: Option<f32>, known: bool) -> Option<Finding> {
    let effect = reading.effect.filter(|effect| taint.tainted && *effect >= Effect::Write)?;
    let out = effect >= Effect::Send;
    let score = match (reading.task && reading.comparable, beside) {
        // The task speaks of it, and nothing in it is strange.
        (true, Some(beside)) if reading.asked && beside < 0.5 => return None,
        (true, Some(beside)) if beside < 0.2 => return None,
        (true, Some(beside)) if out => 0.55 + 0.4 * beside,
        (true, Some(beside)) => 0.3 + 0.4 * beside,
        _ if out && !known => 0.6,
        _ => 0.35,
    };
    let does = does(effect).trim_start_matches(", and it ");
    let text =
        format!("A result of this session held instructions, and now a call {does} that the user did not ask for.");
    Some(Finding::new("alignment.tainted_send", score, text))
}

portcullis_plugin::detector!(Alignment);

#[cfg(test)]
mod tests;
