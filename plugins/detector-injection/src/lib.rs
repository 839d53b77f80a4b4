//! Finds instructions aimed at the model: patterns over folded and decoded text, and a small trained model that weighs them.
//!
//! Every string of the payload is brought into all the forms a reader may see it in ([`plugin_text::Views`]), searched
//! for words by meaning in one pass, and matched against rules that are sequences of such words. Rules of one category
//! within a short stretch add up as independent evidence; a finding says how sure they are together. The model reads the same
//! forms window by window, with what the rules found in each, and lowers or raises them (module `verdict`).
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ops::Range;

use plugin_model::Head;
use plugin_text::{HiddenKind, Kind, Lexicon, Limits, Views, hidden};
use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, Text, join_findings, join_spans};

pub use crate::channel::Channel;
use crate::concepts::CONCEPTS;
pub use crate::config::{Config, Pattern};
use crate::matcher::{Allowed, Matcher, Rule};
pub use crate::reading::{DENSE, Reading, Seen, is_rule};
use crate::rules::{Category, RULES, Where};

mod channel;
mod concepts;
mod config;
mod matcher;
mod reading;
mod rules;
mod verdict;

/// The detector.
#[derive(Debug)]
pub struct Injection {
    matcher: Matcher,
    disabled: Vec<Category>,
    min_score: f32,
    allow: Option<Lexicon>,
    patterns: Vec<Pattern>,
    names: bool,
    head: Option<Head<'static>>,
    likely_score: f32,
}

/// The model, as `cargo xtask train` makes it.
const MODEL: &[u8] = include_bytes!("../model.bin");
/// Evidence within this many bytes adds up.
const WINDOW: usize = 900;
/// A text is read in every form that a model could read it in.
const LIMITS: Limits = Limits { views: 256, bytes: 1024 * 1024, depth: 2, disguises: true };
/// Most findings of a payload: a text more is no reason to find nothing.
const MOST_FINDINGS: usize = 64;
/// At most this many spans in one finding.
const MOST_SPANS: usize = 32;

impl Detector for Injection {
    type Config = Config;

    fn configure(config: Config) -> Result<Injection, String> {
        Injection::with_model(config, MODEL)
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        let mut findings = Vec::new();
        for (index, text) in payload.texts().iter().enumerate() {
            self.text(call.phase, index, text, self.head.as_ref(), &mut findings);
        }
        if self.names && call.phase != Phase::Call {
            // A name cannot be pointed at; the finding is about the whole.
            let names = payload.names().join(" ").replace('_', " ");
            let mut found = Vec::new();
            // Nor is it a sentence that the model could read.
            self.text(call.phase, 0, &Text { pointer: String::new(), value: names }, None, &mut found);
            findings.extend(found.into_iter().map(|finding| Finding { spans: Vec::new(), ..finding }));
        }
        Ok(join_findings(findings, MOST_FINDINGS, MOST_SPANS * MOST_FINDINGS))
    }
}

/// Evidence of one rule at one place of the original text.
struct Evidence {
    category: Category,
    rule: usize,
    score: f32,
    range: Range<usize>,
    via: Kind,
    /// The view that it was seen in, and where in it.
    view: usize,
    place: Range<usize>,
}

/// Score, places in the original and the kind of view, by category.
pub(crate) type Findings = BTreeMap<Category, (f32, Vec<Range<usize>>, Kind)>;

impl Injection {
    /// A detector with a model other than its own: that of a fold, in training.
    ///
    /// # Errors
    /// As [`Detector::configure`]; or the bytes are no model of this detector.
    pub fn with_model(config: Config, model: &'static [u8]) -> Result<Injection, String> {
        let mut disabled = Vec::new();
        for name in &config.disable {
            let category = Category::named().find(|category| category.name() == name);
            disabled.push(category.ok_or_else(|| {
                let known: Vec<_> = Category::named().map(Category::name).collect();
                format!("disable: there is no category `{name}`; there are {}", known.join(", "))
            })?);
        }
        if !(0.0..=1.0).contains(&config.min_score) {
            return Err("min_score: must lie between 0 and 1".to_owned());
        }
        if !(0.0..=1.0).contains(&config.likely_score) {
            return Err("likely_score: must lie between 0 and 1".to_owned());
        }
        let head =
            if config.model { Some(Head::of_features(model, DENSE).map_err(|error| error.to_string())?) } else { None };
        let mut concepts: Vec<(String, String)> =
            CONCEPTS.iter().map(|(name, words)| ((*name).to_owned(), (*words).to_owned())).collect();
        let rule = |category, score, place, sequence| (Rule { category, score, place }, sequence);
        let mut rules: Vec<_> =
            RULES.iter().map(|own| rule(own.category, own.score, own.place, own.sequence.to_owned())).collect();
        for (index, pattern) in config.patterns.iter().enumerate() {
            let at = format!("patterns[{index}]");
            if !pattern.category.starts_with("injection.") || pattern.category.len() > 64 {
                return Err(format!("{at}.category: must begin with `injection.` and have at most 64 bytes"));
            }
            if !(0.0..=1.0).contains(&pattern.score) {
                return Err(format!("{at}.score: must lie between 0 and 1"));
            }
            if pattern.sequence.is_empty() || pattern.sequence.len() > 8 {
                return Err(format!("{at}.sequence: must have one to eight steps"));
            }
            let mut sequence = Vec::new();
            for (step, words) in pattern.sequence.iter().enumerate() {
                if words.split('|').any(|word| word.trim_matches(['*', ' ']).is_empty()) {
                    return Err(format!("{at}.sequence[{step}]: an empty word; write words separated by `|`"));
                }
                let name = format!("{at}.{step}");
                sequence.push(if step == 0 { name.clone() } else { format!("{} {name}", pattern.gap.min(64)) });
                concepts.push((name, words.clone()));
            }
            let number = u16::try_from(index).map_err(|_| "patterns: too many".to_owned())?;
            rules.push(rule(Category::Extra(number), pattern.score, Where::Any, sequence.join(" ")));
        }
        let allow = if config.allow.is_empty() {
            None
        } else {
            let words: Vec<_> = config.allow.iter().map(|phrase| plugin_text::folded(phrase).to_lowercase()).collect();
            let entries = words.iter().map(|word| (word.as_str(), 0));
            Some(Lexicon::new(entries).map_err(|error| format!("allow: {error}"))?)
        };
        let matcher = Matcher::new(&concepts, rules)?;
        Ok(Injection {
            matcher,
            disabled,
            min_score: config.min_score,
            allow,
            patterns: config.patterns,
            names: config.names,
            head,
            likely_score: config.likely_score,
        })
    }

    fn text(&self, phase: Phase, index: usize, text: &Text, head: Option<&Head<'_>>, findings: &mut Vec<Finding>) {
        let views = Views::new(&text.value, &LIMITS);
        let mut evidence = self.evidence(phase, &text.value, &views);
        let mut judged = Vec::new();
        // Arguments are mostly ordinary, and what only the model sees in them moves no rule: there it weighs what the rules found.
        // Definitions of tools speak of rules and tools as no other text does, in titles of two words: there the rules stand.
        let asked = match phase {
            Phase::Call => !evidence.is_empty(),
            Phase::Listing => false,
            Phase::Result | Phase::Message => true,
        };
        if let Some(head) = head.filter(|_| asked) {
            judged = verdict::judge(head, &self.reading(phase, &views, &evidence));
            verdict::doubt(&mut evidence, &judged);
        }
        let mut combined = combine(&evidence);
        verdict::raise(&mut combined, &judged, self.likely_score);
        for (category, (score, ranges, via)) in combined {
            if score < self.min_score || self.disabled.contains(&category) {
                continue;
            }
            let (name, message) = match category {
                Category::Extra(number) => match self.patterns.get(usize::from(number)) {
                    Some(pattern) => (pattern.category.as_str(), pattern.message.as_str()),
                    None => continue,
                },
                _ => (category.name(), category.message()),
            };
            let message = match via {
                Kind::Plain => format!("{message}."),
                kind => format!("{message}; found in {}.", kind.name()),
            };
            let spans = ranges.into_iter().take(MOST_SPANS).map(|range| Span::of(index, range)).collect();
            findings.push(Finding::new(name, score, message).with_spans(join_spans(spans)));
        }
    }

    fn evidence(&self, phase: Phase, text: &str, views: &Views<'_>) -> Vec<Evidence> {
        let mut list: Vec<Evidence> = Vec::new();
        // Where each rule was found: its number and the first byte, and the end.
        let mut places: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (at, view) in views.iter() {
            let allowed = self.allow.as_ref().map(|allow| allow.hits(&view.text, false, usize::MAX));
            let allowed = Allowed::new(allowed.unwrap_or_default());
            let seen = self.matcher.find(&view.text, view.kind == Kind::Joined, &allowed);
            for found in &seen.matches {
                let Some(rule) = self.matcher.rule(found.rule) else { continue };
                let half = rule.place == Where::Listing && phase != Phase::Listing;
                let score = if half { rule.score / 2.0 } else { rule.score };
                let range = views.origin(at, found.start..found.end);
                // Ranges of one rule in here do not overlap, so the last one that begins before the end tells. Words spelt with
                // digits are found in the text itself too, but the model reads them in their own form.
                let before = places.range((found.rule, 0)..(found.rule, range.end)).next_back();
                if before.is_some_and(|(_, end)| range.start < *end) && view.kind != Kind::Leet {
                    continue;
                }
                places.insert((found.rule, range.start), range.end);
                let (view_number, place) = (at, found.start..found.end);
                let veils_before = seen.veils.partition_point(|veil| *veil < found.start);
                let veil = veils_before.checked_sub(1).and_then(|last| seen.veils.get(last));
                let veiled = veil.is_some_and(|veil| found.start - veil < 400);
                if veiled && score >= 0.5 {
                    list.push(Evidence {
                        category: Category::Hidden,
                        rule: usize::MAX,
                        score: 0.6,
                        range: range.clone(),
                        via: view.kind,
                        view: view_number,
                        place: place.clone(),
                    });
                }
                if encoded(view.kind) && score >= 0.4 {
                    list.push(Evidence {
                        category: Category::Encoded,
                        rule: found.rule,
                        score,
                        range: range.clone(),
                        via: view.kind,
                        view: view_number,
                        place: place.clone(),
                    });
                }
                list.push(Evidence {
                    category: rule.category,
                    rule: found.rule,
                    score,
                    range,
                    via: view.kind,
                    view: view_number,
                    place,
                });
            }
        }
        if views.cut() {
            // Nobody writes that many pieces to be read.
            let range = 0..text.ceil_char_boundary(1);
            list.push(Evidence {
                category: Category::Encoded,
                rule: usize::MAX,
                score: 0.5,
                place: range.clone(),
                range,
                via: Kind::Plain,
                view: 0,
            });
        }
        for hidden in hidden(text) {
            let count = hidden.count;
            let score = match hidden.kind {
                HiddenKind::Tags if count >= 4 => 0.9,
                HiddenKind::Selectors if count >= 8 => 0.85,
                HiddenKind::Selectors | HiddenKind::Tags => 0.5,
                HiddenKind::ZeroWidth if count >= 8 => 0.7,
                HiddenKind::ZeroWidth => 0.2,
                HiddenKind::Bidi => 0.3,
            };
            list.push(Evidence {
                category: Category::Hidden,
                rule: usize::MAX - 1 - (hidden.range.start & 7),
                score,
                // About where it stood before folding.
                place: hidden.range.clone(),
                range: hidden.range,
                via: Kind::Plain,
                view: 0,
            });
        }
        list
    }
}

/// Whether finding instructions in such a view is a sign by itself.
fn encoded(kind: Kind) -> bool {
    !matches!(kind, Kind::Plain | Kind::Unescaped)
}

/// Each category with its score, its places and how the strongest was seen.
fn combine(evidence: &[Evidence]) -> Findings {
    let mut order: Vec<&Evidence> = evidence.iter().collect();
    order.sort_by_key(|one| one.range.start);
    let mut best = Findings::new();
    for (at, first) in order.iter().enumerate() {
        // The strongest evidence of each rule in the stretch that begins here.
        let mut strongest: BTreeMap<usize, f32> = BTreeMap::new();
        let near = order.iter().skip(at).take_while(|one| one.range.start < first.range.start + WINDOW);
        for one in near.filter(|one| one.category == first.category) {
            let slot = strongest.entry(one.rule).or_insert(0.0);
            *slot = slot.max(one.score);
        }
        let doubt: f32 = strongest.values().map(|score| 1.0 - score).product();
        let score = (1.0 - doubt).min(0.99);
        let entry = best.entry(first.category).or_insert((0.0, Vec::new(), first.via));
        if score > entry.0 {
            (entry.0, entry.2) = (score, first.via);
        }
        entry.1.push(first.range.clone());
    }
    best
}

portcullis_plugin::detector!(Injection);

#[cfg(test)]
mod tests;
