//! Finds definitions of tools that steer the agent: orders, concealment, other tools, look-alike names.
//!
//! Every string of a definition is brought into all the forms a reader may see it in ([`plugin_text::Views`]), searched for words by
//! meaning in one pass and matched against sequences of them (`rules`). What is found in one tool adds up, the
//! names of its parameters included; long names of members are read like texts wherever they stand; `names` compares the tools of
//! a list with each other.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ops::Range;

use plugin_text::{Gaps, HiddenKind, Kind, Limits, Sequences, Views, hidden};
use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, Text, join_spans};

mod config;
mod names;
mod rules;

pub use crate::config::Config;
use crate::rules::{CONCEPTS, Category, RULES, Rule, Where};

/// Most spans of a finding; with more of them it is about the whole list, and nothing can be taken out of it by them.
const MOST_SPANS: usize = 1000;
/// Where a tool of a list is likelier poisoned than not, the finding is about such tools only.
const LIKELY: f32 = 0.5;
/// Tools whose annotations are asked for.
const MOST_ANNOTATED: usize = 256;
/// Bytes of a word that says nothing alone.
const WORD: usize = 20;
/// Bytes of white space that nobody writes, so that what follows is not seen.
const BLANK: usize = 60;
/// Bytes of a run without spaces that are an encoding.
const RUN: usize = 240;

/// The detector.
#[derive(Debug)]
pub struct Tools {
    sequences: Sequences,
    disabled: Vec<Category>,
    config: Config,
}

/// What speaks against one tool, or is said in names of members.
#[derive(Debug, Default)]
struct Evidence {
    /// Category, weight and place: each rule once in a text, and with weight once in a tool.
    list: Vec<(Category, f32, Option<Span>)>,
    /// Of names, which do not tell whose they are.
    of_names: bool,
}

impl Detector for Tools {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let mut disabled = Vec::new();
        for (index, name) in config.disable.iter().enumerate() {
            let category = Category::ALL.into_iter().find(|category| category.name() == name);
            disabled.push(category.ok_or_else(|| {
                let known: Vec<_> = Category::ALL.iter().map(|category| category.name()).collect();
                format!("disable[{index}]: there is no category `{name}`; there are {}", known.join(", "))
            })?);
        }
        if !(0.0..=1.0).contains(&config.min_score) {
            return Err("min_score: must lie between 0 and 1".to_owned());
        }
        let sequences = Sequences::new(Gaps::Bytes, CONCEPTS, RULES.iter().map(|rule| rule.sequence))?;
        Ok(Self { sequences, disabled, config })
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        let trusted = call.upstream.as_ref().is_some_and(|upstream| self.config.trusted.contains(upstream));
        if call.phase != Phase::Listing || trusted {
            return Ok(Vec::new());
        }
        let texts = payload.texts();
        let mut tools: Vec<Evidence> = Vec::new();
        let mut listed: Vec<(usize, &str)> = Vec::new();
        let mut places = Vec::new();
        let mut next = 0;
        while let Some(first) = texts.get(next) {
            // The strings of one tool follow each other.
            let tool = tool_of(&first.pointer);
            let end = next
                + texts
                    .get(next..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|text| tool_of(&text.pointer) == tool)
                    .count();
            let of_tool = texts.get(next..end).unwrap_or_default();
            tools.push(self.tool(next, of_tool));
            let name = of_tool
                .iter()
                .position(|text| text.pointer.len() == tool.len() + "//name".len() && text.pointer.ends_with("/name"));
            if let Some(text) = name.and_then(|at| of_tool.get(at)) {
                listed.push((tools.len() - 1, text.value.as_str()));
            }
            places.push((next + name.unwrap_or(0), tool));
            next = end;
        }
        self.compare(&listed, &places, payload, &mut tools);
        tools.push(self.names(&payload.names()));
        Ok(self.report(&tools))
    }
}

/// The place of a tool in the list: the first part of the pointer.
fn tool_of(pointer: &str) -> &str {
    pointer.split('/').nth(1).unwrap_or_default()
}

/// Names of parameters in a pointer.
fn parameters(pointer: &str) -> impl Iterator<Item = &str> {
    let mut parts = pointer.split('/');
    std::iter::from_fn(move || {
        parts.by_ref().find(|part| *part == "properties")?;
        parts.next()
    })
}

impl Tools {
    /// One tool: its texts, the first of which has this index.
    fn tool(&self, first: usize, texts: &[Text]) -> Evidence {
        let mut evidence = Evidence::default();
        let mut found = vec![false; RULES.len()];
        let mut names = String::new();
        for (text, index) in texts.iter().zip(first..) {
            for name in parameters(&text.pointer) {
                if !names.ends_with(name) {
                    names.extend([" ; ", name]);
                }
            }
            // `string`, `object`, a name: most strings of a schema are one short word, which says nothing alone.
            if text.value.len() <= WORD && text.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                continue;
            }
            self.text(&text.value, Some(index), &mut found, &mut evidence);
        }
        self.find(&names, false, &mut found, |_, rule, _| {
            if rule.place == Where::Any {
                evidence.list.push((rule.category, rule.score, None));
            }
        });
        evidence
    }

    /// Names of members, wherever they stand: a model reads them as well.
    fn names(&self, names: &[String]) -> Evidence {
        let mut evidence = Evidence { of_names: true, ..Evidence::default() };
        let mut found = vec![false; RULES.len()];
        for name in names.iter().filter(|name| name.len() > WORD) {
            self.text(&name.replace('_', " "), None, &mut found, &mut evidence);
        }
        evidence
    }

    /// What rules find in one text, the string with this number or a name.
    fn text(&self, text: &str, index: Option<usize>, found: &mut [bool], evidence: &mut Evidence) {
        let views = Views::new(text, &Limits::default());
        let mut here = vec![false; RULES.len()];
        for (at, view) in views.iter() {
            let loose = view.kind == Kind::Joined;
            let mut behind = None;
            self.find(&view.text, loose, &mut here, |number, rule, range| {
                // What stands in two strings is no stronger for it, but both are told.
                let before = found.get_mut(number).is_some_and(|found| std::mem::replace(found, true));
                let span = index.map(|index| Span::of(index, views.origin(at, range)));
                if !matches!(view.kind, Kind::Plain | Kind::Unescaped) && rule.score >= 0.4 {
                    behind = Some(span);
                }
                evidence.list.push((rule.category, if before { 0.0 } else { rule.score }, span));
            });
            if let Some(span) = behind {
                evidence.list.push((Category::Concealment, 0.8, span));
            }
        }
        unseen(text, index, evidence);
    }

    /// Rules that are in `text` and were not found before, each once, with their bytes.
    fn find(&self, text: &str, loose: bool, found: &mut [bool], mut tell: impl FnMut(usize, &Rule, Range<usize>)) {
        let hits = self.sequences.hits(text, loose);
        for (at, hit) in hits.iter().enumerate() {
            for &number in self.sequences.beginning_with(hit.id) {
                let (Some(rule), Some(done)) = (RULES.get(number), found.get_mut(number)) else { continue };
                if *done {
                    continue;
                }
                if let Some(end) = self.sequences.end(number, text, &hits, at) {
                    *done = true;
                    tell(number, rule, hit.start..end);
                }
            }
        }
    }

    /// Names beside each other, and names beside annotations.
    fn compare(
        &self,
        listed: &[(usize, &str)],
        places: &[(usize, &str)],
        payload: &dyn Payload,
        tools: &mut [Evidence],
    ) {
        let whole = |tool: usize, name: &str| places.get(tool).map(|(index, _)| Span::of(*index, 0..name.len()));
        let name_of =
            |tool: usize| listed.binary_search_by_key(&tool, |(number, _)| *number).ok().and_then(|at| listed.get(at));
        for (_, second) in names::alike(listed) {
            if let (Some(evidence), Some((tool, name))) = (tools.get_mut(second), name_of(second)) {
                evidence.list.push((Category::Lookalike, 0.8, whole(*tool, name)));
            }
        }
        let mut asked = 0;
        for (tool, name) in listed {
            let Some(evidence) = tools.get_mut(*tool) else { continue };
            if names::mixed(name) {
                evidence.list.push((Category::Lookalike, 0.85, whole(*tool, name)));
            }
            if !names::changes(name) || asked == MOST_ANNOTATED {
                continue;
            }
            asked += 1;
            let place = places.get(*tool).map_or("", |(_, place)| *place);
            let says = |hint: &str| payload.get(&format!("/{place}/annotations/{hint}"));
            let reads = says("readOnlyHint").as_deref() == Some("true");
            let spares = names::destroys(name) && says("destructiveHint").as_deref() == Some("false");
            if reads || spares {
                evidence.list.push((Category::Contradiction, if reads { 0.7 } else { 0.6 }, whole(*tool, name)));
            }
        }
    }

    /// One finding for each category: as sure as it is of the worst tool.
    fn report(&self, tools: &[Evidence]) -> Vec<Finding> {
        let mut found: BTreeMap<Category, Vec<(f32, &Evidence)>> = BTreeMap::new();
        for evidence in tools {
            for (category, score) in evidence.scores() {
                if score >= self.config.min_score && !self.disabled.contains(&category) {
                    found.entry(category).or_default().push((score, evidence));
                }
            }
        }
        let finding = |(category, mut tools): (Category, Vec<(f32, &Evidence)>)| {
            let score = tools.iter().fold(0.0_f32, |best, (score, _)| best.max(*score));
            tools.retain(|(own, _)| *own >= LIKELY || score < LIKELY);
            let message = match tools.iter().filter(|(_, evidence)| !evidence.of_names).count() {
                0 | 1 => category.message().to_owned(),
                count => format!("{} ({count} tools)", category.message()),
            };
            // Names have no place: then the finding is about the whole list.
            let places = tools.iter().flat_map(|(_, evidence)| evidence.places(category));
            let spans = places.take(MOST_SPANS + 1).collect::<Option<Vec<Span>>>();
            let spans = spans.filter(|spans| spans.len() <= MOST_SPANS).unwrap_or_default();
            Finding::new(category.name(), score, message).with_spans(join_spans(spans))
        };
        found.into_iter().map(finding).collect()
    }
}

/// Whether it counts towards [`Category::Poisoned`]: what a definition says, not how a tool is called.
fn steers(category: Category) -> bool {
    !matches!(category, Category::Lookalike | Category::Contradiction)
}

/// Evidence of one kind says less each time: rules share their words.
fn together(mut scores: Vec<f32>, share: f32) -> f32 {
    scores.sort_by(|one, other| other.total_cmp(one));
    let mut weight = 1.0;
    let mut doubt = 1.0;
    for score in scores {
        doubt *= 1.0 - score * weight;
        weight *= share;
    }
    (1.0 - doubt).min(0.99)
}

impl Evidence {
    /// Where the tool is what the category says. Under [`Category::Poisoned`] all that steers counts together.
    fn places(&self, category: Category) -> impl Iterator<Item = Option<Span>> {
        let counts = move |of: Category| of == category || category == Category::Poisoned && steers(of);
        self.list.iter().filter(move |(of, _, _)| counts(*of)).map(|(_, _, span)| *span)
    }

    /// Each category, and under [`Category::Poisoned`] all that is said together.
    fn scores(&self) -> Vec<(Category, f32)> {
        let of = |category: Category| {
            let own = self.list.iter().filter(|(of, _, _)| *of == category).map(|(_, score, _)| *score);
            together(own.collect(), 0.5)
        };
        let mut scores: Vec<(Category, f32)> =
            Category::ALL.into_iter().map(|category| (category, of(category))).collect();
        scores.retain(|(_, score)| *score > 0.0);
        let all =
            together(scores.iter().filter(|(category, _)| steers(*category)).map(|(_, score)| *score).collect(), 0.6);
        let kinds = scores.iter().filter(|(category, _)| steers(*category)).count();
        match scores.iter_mut().find(|(category, _)| *category == Category::Poisoned) {
            Some((_, score)) => *score = all,
            None if kinds >= 2 => scores.push((Category::Poisoned, all)),
            None => {}
        }
        scores
    }
}

/// What a person does not see: invisible characters, terminal escapes, what stands far to the right or below, long encodings.
fn unseen(text: &str, index: Option<usize>, evidence: &mut Evidence) {
    let mut add = |score: f32, range: Range<usize>| {
        evidence.list.push((Category::Concealment, score, index.map(|index| Span::of(index, range))))
    };
    for hidden in hidden(text) {
        let score = match hidden.kind {
            HiddenKind::Tags if hidden.count >= 4 => 0.9,
            HiddenKind::Selectors if hidden.count >= 8 => 0.9,
            HiddenKind::ZeroWidth if hidden.count >= 8 => 0.8,
            HiddenKind::Tags | HiddenKind::Selectors => 0.5,
            HiddenKind::Bidi => 0.5,
            HiddenKind::ZeroWidth => 0.3,
        };
        add(score, hidden.range);
    }
    if let Some(at) = text.find("\u{1b}[").or_else(|| text.find("\u{9b}")) {
        add(0.85, at..text.ceil_char_boundary(at + 2));
    }
    // Runs of white space and of what has none, in one pass; the longest of each.
    let (mut blank, mut run) = (0..0, 0..0);
    let (mut blank_now, mut run_now) = (0..0, 0..0);
    let (mut lines, mut most_lines) = (0_usize, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        let now = if byte.is_ascii_whitespace() {
            lines += usize::from(byte == b'\n');
            run_now = at + 1..at + 1;
            &mut blank_now
        } else {
            most_lines = most_lines.max(lines);
            lines = 0;
            // White space counts where something follows.
            if blank_now.len() > blank.len() {
                blank = blank_now.clone();
            }
            blank_now = at + 1..at + 1;
            if !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_') {
                run_now = at + 1..at + 1;
                continue;
            }
            &mut run_now
        };
        now.end = at + 1;
        if run_now.len() > run.len() {
            run = run_now.clone();
        }
    }
    if blank.len() >= BLANK || most_lines >= 10 {
        add(0.6, blank);
    }
    if run.len() >= RUN {
        add(0.5, run);
    }
}

portcullis_plugin::detector!(Tools);

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
