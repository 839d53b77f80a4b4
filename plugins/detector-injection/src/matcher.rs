//! Finds the rules in one text: concepts by one pass over it, then sequences of them.

use std::collections::BTreeSet;

use plugin_text::{Hit, Lexicon, folded};

use crate::rules::{Category, Where};

/// A rule ready to be looked for.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) category: Category,
    pub(crate) score: f32,
    pub(crate) place: Where,
    anchored: bool,
    steps: Vec<Step>,
}

/// A rule found.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    /// Index of the rule.
    pub(crate) rule: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// All rules over one lexicon.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    lexicon: Lexicon,
    rules: Vec<Rule>,
    /// Rules by their first concept.
    first: Vec<Vec<usize>>,
    comment: u16,
    style: u16,
}

/// What one text holds.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) matches: Vec<Match>,
    /// Where HTML comments and hidden styles begin.
    pub(crate) veils: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Step {
    concept: u16,
    /// Most words since the step before.
    gap: usize,
    /// Whether a sentence may end in between.
    across: bool,
}

/// Matches of one rule nearer to each other than this say the same; told once, they are as many as the text is long.
const APART: usize = 900;

impl Matcher {
    /// `concepts` as names and words, `rules` as sequences of names.
    pub(crate) fn new(
        concepts: &[(String, String)],
        rules: impl IntoIterator<Item = (Category, f32, Where, String)>,
    ) -> Result<Matcher, String> {
        let number = |name: &str| {
            let at = concepts.iter().position(|concept| concept.0 == name);
            at.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| format!("no concept `{name}`"))
        };
        let mut words = Vec::new();
        for (name, list) in concepts {
            let id = number(name)?;
            words.extend(list.split('|').map(|word| (folded(word.trim_start()).to_lowercase().replace('¦', "|"), id)));
        }
        let lexicon =
            Lexicon::new(words.iter().map(|(word, id)| (word.as_str(), *id))).map_err(|error| error.to_string())?;
        let mut list = Vec::new();
        let mut first = vec![Vec::new(); concepts.len()];
        for (category, score, place, sequence) in rules {
            let (anchored, sequence) = match sequence.strip_prefix('^') {
                Some(rest) => (true, rest),
                None => (false, sequence.as_str()),
            };
            let mut steps = Vec::new();
            let mut gap = 0;
            let mut across = false;
            for word in sequence.split_whitespace() {
                let (crossing, digits) = word.strip_prefix('+').map_or((false, word), |digits| (true, digits));
                match digits.parse() {
                    Ok(words) => (gap, across) = (words, crossing),
                    Err(_) => steps.push(Step { concept: number(word)?, gap, across }),
                }
            }
            if let Some(slot) = steps.first().and_then(|step| first.get_mut(usize::from(step.concept))) {
                slot.push(list.len());
            }
            list.push(Rule { category, score, place, anchored, steps });
        }
        Ok(Matcher { lexicon, rules: list, first, comment: number("comment")?, style: number("hiddenstyle")? })
    }

    pub(crate) fn rule(&self, index: usize) -> Option<&Rule> {
        self.rules.get(index)
    }

    /// Every rule found in `text` outside of what is `allowed`.
    pub(crate) fn find(&self, text: &str, loose: bool, allowed: &[Hit]) -> Seen {
        // As many as there are: a bound would let padding hide what comes after it.
        let mut hits = self.lexicon.hits(text, loose, usize::MAX);
        let mut told: Vec<Option<usize>> = vec![None; self.rules.len()];
        hits.sort_by_key(|hit| hit.start);
        let mut seen = Seen::default();
        for (at, hit) in hits.iter().enumerate() {
            if hit.id == self.comment || hit.id == self.style {
                seen.veils.push(hit.start);
            }
            for &index in self.first.get(usize::from(hit.id)).into_iter().flatten() {
                let Some(rule) = self.rules.get(index) else { continue };
                let last = told.get(index).copied().flatten();
                // What is hidden says more than the same in the open.
                let shown = |last: usize| seen.veils.last().is_none_or(|veil| *veil <= last);
                if last.is_some_and(|last| hit.start < last + APART && shown(last))
                    || (rule.anchored && !begins(text, hit.start))
                {
                    continue;
                }
                let steps = rule.steps.get(1..).unwrap_or_default();
                let end = Search { text, hits: &hits, failed: BTreeSet::new() }.follow(at, steps);
                let within = |end: &usize| !allowed.iter().any(|phrase| phrase.start < *end && hit.start < phrase.end);
                if let Some(end) = end.filter(within) {
                    seen.matches.push(Match { rule: index, start: hit.start, end });
                    if let Some(told) = told.get_mut(index) {
                        *told = Some(hit.start);
                    }
                }
            }
        }
        seen
    }
}

/// The search for the steps of one rule from one place on.
struct Search<'t> {
    text: &'t str,
    hits: &'t [Hit],
    /// Steps left and hits from which they did not follow: without it, repeated words would be tried in every combination.
    failed: BTreeSet<(usize, usize)>,
}

impl Search<'_> {
    /// The end of the last of `steps` when they follow from hit number `from` on.
    fn follow(&mut self, from: usize, steps: &[Step]) -> Option<usize> {
        let end = self.hits.get(from)?.end;
        let Some((step, later)) = steps.split_first() else { return Some(end) };
        // Words are rarely longer than this; the exact count follows.
        let reach = end + step.gap * 16 + 20;
        for (at, hit) in self.hits.iter().enumerate().skip(from + 1).take_while(|(_, hit)| hit.start <= reach) {
            if hit.id != step.concept || hit.start < end || !near(self.text, end, hit.start, step) {
                continue;
            }
            if later.is_empty() {
                return Some(hit.end);
            }
            if self.failed.contains(&(later.len(), at)) {
                continue;
            }
            if let Some(end) = self.follow(at, later) {
                return Some(end);
            }
            self.failed.insert((later.len(), at));
        }
        None
    }
}

/// Whether few enough words, and no end of a sentence, lie between two places.
fn near(text: &str, from: usize, to: usize, step: &Step) -> bool {
    let Some(between) = text.get(from..to) else { return false };
    let mut words = 0;
    let mut tokens = between.split_ascii_whitespace().peekable();
    while let Some(token) = tokens.next() {
        words += usize::from(token.bytes().any(|byte| byte.is_ascii_alphanumeric() || byte >= 0x80));
        let ends = token.ends_with(['.', '!', '?']) && !step.across;
        if words > step.gap
            || (ends && (tokens.peek().is_some() || between.ends_with(|c: char| c.is_ascii_whitespace())))
        {
            return false;
        }
    }
    step.across || !between.contains("\n\n")
}

/// Whether a sentence or line begins at `at`.
fn begins(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let spaces = before.trim_end_matches([' ', '\t']);
    spaces.chars().next_back().is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '=' | '@')))
}
