//! A text as the model reads it: windows of each view, each with what the rules found in it and what it looks like.

use std::borrow::Cow;
use std::ops::Range;

use plugin_model::Blocks;
use plugin_text::{Kind, Views};
use portcullis_plugin::Phase;

use crate::channel::Channel;
use crate::rules::Category;
use crate::{Evidence, Injection, LIMITS};

/// Dense features of a window: the eight categories of rules, then eight of the looks, then the rules anywhere in the text, then
/// the form that it is in.
pub const DENSE: usize = 28;
/// Whether a dense feature is what rules found: more of it is never a sign of ordinary text.
#[must_use]
pub fn is_rule(feature: usize) -> bool {
    feature < 8 || (16..24).contains(&feature)
}

/// Words of a block; a window has two: about a sentence.
const BLOCK: usize = 16;
/// Fewest words that are a sentence: values and identifiers are left to the rules.
const FEWEST: usize = 3;
/// Views that are read, the text itself first: each costs as much as it is long.
const MOST_VIEWS: usize = 32;

/// A text as the model reads it.
#[derive(Debug)]
pub struct Reading {
    /// Its views that have words, the text itself first.
    pub views: Vec<Seen>,
}

/// One view.
#[derive(Debug)]
pub struct Seen {
    /// Its number among the views.
    pub number: usize,
    /// How it was made.
    pub kind: Kind,
    /// What it looks like.
    pub channel: Channel,
    /// Its words and letters.
    pub blocks: Blocks,
    /// For each window of the blocks, in order: bytes of the original text, and the dense features.
    pub windows: Vec<(Range<usize>, [f32; DENSE])>,
}

impl Injection {
    /// Reads a text as `inspect` does.
    #[must_use]
    pub fn read(&self, phase: Phase, text: &str) -> Reading {
        let views = Views::new(text, &LIMITS);
        let evidence = self.evidence(phase, text, &views);
        self.reading(phase, &views, &evidence)
    }

    pub(crate) fn reading(&self, phase: Phase, views: &Views<'_>, evidence: &[Evidence]) -> Reading {
        let mut seen = Vec::new();
        let mut all = [0.0; DENSE];
        rules(evidence.iter(), &mut all);
        let whole: Vec<f32> = all.iter().take(8).copied().collect();
        for (number, view) in views.iter().take(MOST_VIEWS) {
            let blocks = Blocks::of(&prose(&self.unallowed(&view.text)), BLOCK);
            // A word and the pair that it ends.
            if blocks.hashes(0).0.len() < 2 * FEWEST {
                continue;
            }
            let mut here: Vec<&Evidence> = evidence.iter().filter(|one| one.view == number).collect();
            here.sort_by_key(|one| one.place.start);
            let looks: Vec<Looks> = (0..blocks.len()).map(|block| Looks::of(&view.text, blocks.range(block))).collect();
            // Evidence is a few words long, windows come in order: what ends before one lies before all later ones, but for few.
            let mut first = 0;
            let mut windows = Vec::new();
            for window in blocks.windows() {
                let place = blocks.range(window.start).start..blocks.range(window.end.saturating_sub(1)).end;
                while here.get(first).is_some_and(|one| one.place.end <= place.start) {
                    first += 1;
                }
                let within = here.iter().skip(first).take_while(|one| one.place.start < place.end);
                let mut dense = [0.0; DENSE];
                rules(within.copied(), &mut dense);
                Looks::sum(looks.get(window).unwrap_or_default()).write(place.len(), &mut dense);
                for (slot, value) in dense.iter_mut().skip(16).zip(whole.iter().copied()) {
                    *slot = value;
                }
                if let Some(slot) = dense.get_mut(form(view.kind)) {
                    *slot = 1.0;
                }
                windows.push((views.origin(number, place), dense));
            }
            seen.push(Seen { number, kind: view.kind, channel: Channel::of(phase, &view.text), blocks, windows });
        }
        Reading { views: seen }
    }

    /// The text without the phrases that are no sign of anything here.
    fn unallowed<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(allow) = &self.allow else { return Cow::Borrowed(text) };
        let mut out = String::new();
        let mut done = 0;
        for hit in allow.hits(text, false, usize::MAX) {
            let before = text.get(done..hit.start.max(done)).unwrap_or_default();
            out.push_str(before);
            blank(text.get(hit.start.max(done)..hit.end).unwrap_or_default(), &mut out);
            done = hit.end.max(done);
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(out)
    }
}

/// What is prose in a text that is JSON: its strings of a few words. The rest is blanked, so that an answer of a program is read
/// alike whether it comes as a structure or as the text of one. Any other text is prose as it is.
fn prose(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    let json =
        (trimmed.starts_with('{') && trimmed.ends_with('}')) || (trimmed.starts_with('[') && trimmed.ends_with(']'));
    if !json {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        let (before, quoted) = rest.split_at(start + 1);
        blank(before, &mut out);
        let length = end_of_string(quoted);
        let (string, after) = quoted.split_at(length);
        if string.split_ascii_whitespace().nth(FEWEST - 1).is_some() {
            out.push_str(string);
        } else {
            blank(string, &mut out);
        }
        let closing = after.len().min(1);
        blank(after.get(..closing).unwrap_or_default(), &mut out);
        rest = after.get(closing..).unwrap_or_default();
    }
    blank(rest, &mut out);
    Cow::Owned(out)
}

/// Where a string of JSON ends: at the first quotation mark that is not escaped.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    text.len()
}

/// Spaces for bytes, so that places stay what they are.
fn blank(text: &str, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', text.len()));
}

/// The feature of a form that text is in.
fn form(kind: Kind) -> usize {
    match kind {
        Kind::Plain => DENSE - 4,
        Kind::Unescaped => DENSE - 3,
        Kind::Joined => DENSE - 2,
        _ => DENSE - 1,
    }
}

/// What the rules of each category come to, as independent evidence: `dense` is 0 before, and stays so without any.
fn rules<'e>(evidence: impl Iterator<Item = &'e Evidence>, dense: &mut [f32; DENSE]) {
    let mut seen: Vec<(Category, usize, f32)> = Vec::new();
    for one in evidence {
        match seen.iter_mut().find(|(category, rule, _)| (*category, *rule) == (one.category, one.rule)) {
            Some((_, _, score)) => *score = score.max(one.score),
            None => seen.push((one.category, one.rule, one.score)),
        }
    }
    // As in most windows.
    if seen.is_empty() {
        return;
    }
    for (category, slot) in Category::RULED.iter().zip(dense) {
        let doubt: f32 = seen.iter().filter(|(of, _, _)| of == category).map(|(_, _, score)| 1.0 - score).product();
        *slot = 1.0 - doubt;
    }
}

/// What a byte looks like, as the place of its count: a table tells soonest.
const CAPITAL: u8 = 0;
const LINE: u8 = 1;
const DIGIT: u8 = 2;
const CALL: u8 = 3;
const QUESTION: u8 = 4;
const BRACKET: u8 = 5;
const MARK: u8 = 6;
const OTHER: u8 = 7;
const LOOKS: [u8; 256] = looks();

#[expect(
    clippy::indexing_slicing,
    reason = "a byte is an index of the table, and the table is made when this is compiled"
)]
const fn looks() -> [u8; 256] {
    let mut table = [OTHER; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = match at as u8 {
            b'A'..=b'Z' => CAPITAL,
            b'0'..=b'9' => DIGIT,
            b'\n' => LINE,
            b'!' => CALL,
            b'?' => QUESTION,
            b'[' | b'<' | b'{' => BRACKET,
            byte if byte.is_ascii_punctuation() => MARK,
            _ => OTHER,
        };
        at += 1;
    }
    table
}

/// Counts of what a text looks like.
#[derive(Debug, Clone, Copy, Default)]
struct Looks([u32; 8]);

impl Looks {
    fn of(text: &str, place: Range<usize>) -> Looks {
        let mut looks = Looks::default();
        for byte in text.get(place).unwrap_or_default().bytes() {
            // The table has a place for every byte, and a count for all that it holds; the defaults are never taken.
            let kind = LOOKS.get(usize::from(byte)).copied().unwrap_or(OTHER);
            if let Some(count) = looks.0.get_mut(usize::from(kind & OTHER)) {
                *count += 1;
            }
        }
        looks
    }

    fn sum(parts: &[Looks]) -> Looks {
        let mut sum = Looks::default();
        for part in parts {
            for (sum, count) in sum.0.iter_mut().zip(part.0) {
                *sum += count;
            }
        }
        sum
    }

    /// Each from 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "counts within a window")]
    fn write(self, bytes: usize, dense: &mut [f32; DENSE]) {
        let length = bytes.max(1) as f32;
        let share = |count: u32, times: f32| (count as f32 / length * times).min(1.0);
        let count = |count: u32, most: u32| count.min(most) as f32 / most as f32;
        let [capitals, lines, digits, calls, questions, brackets, others, _] = self.0;
        let values = [
            share(capitals, 4.0),
            share(lines, 10.0),
            share(digits, 4.0),
            share(others + calls + questions + brackets, 4.0),
            count(calls, 4),
            count(questions, 4),
            count(brackets, 6),
            (bytes as f32 / 300.0).min(1.0),
        ];
        for (slot, value) in dense.iter_mut().skip(Category::RULED.len()).zip(values) {
            *slot = value;
        }
    }
}
