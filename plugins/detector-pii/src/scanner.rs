//! One pass over a text: digits, `@` and colons are looked at, everything else is passed over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use plugin_text::{Kind as ViewKind, Limits, Views};
use portcullis_plugin::Text;
use sha2::{Digest as _, Sha256};

use crate::address::{Dotted, find_v4, find_v6};
use crate::context::{Context, Topics, of_label, of_pointer};
use crate::hit::Hit;
use crate::kind::{Kind, Region};
use crate::national::{FORMS, Form};
use crate::number::{MOST_DIGITS, Number, byte, byte_before, is_word};
use crate::{birth, card, mail, national, phone};

/// Longest text that is taken for the value of its member, so that the member's name is its label.
const LONGEST_VALUE: usize = 256;
/// Members that hold the label of their neighbour `value`.
const LABELS: [&str; 5] = ["name", "label", "key", "type", "field"];

/// What is looked for, and what is let through.
#[derive(Debug)]
pub(crate) struct Scanner {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) regions: Vec<Region>,
    pub(crate) forms: Vec<&'static Form>,
    pub(crate) min_score: f32,
    /// Domains in small letters.
    pub(crate) domains: Vec<String>,
    /// Digests of values.
    pub(crate) digests: Vec<[u8; 32]>,
    pub(crate) examples: bool,
    pub(crate) private_addresses: bool,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Scanner {
    /// The forms of these kinds.
    pub(crate) fn forms(kinds: &[Kind]) -> Vec<&'static Form> {
        FORMS.iter().filter(|form| kinds.contains(&form.kind)).collect()
    }

    /// Every value in a payload, with the index of its text.
    pub(crate) fn payload(&self, texts: &[Text]) -> Vec<(usize, Hit)> {
        let mut out = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let name = if text.value.len() <= LONGEST_VALUE { named(texts, index) } else { Topics::NONE };
            out.extend(self.text(&text.value, name).into_iter().map(|hit| (index, hit)));
        }
        out
    }

    /// Every value in one text, in all its forms, in order of place. `name` is what the member's name says.
    pub(crate) fn text(&self, text: &str, name: Topics) -> Vec<Hit> {
        let views = Views::new(text, &Limits::default());
        let mut all: Vec<Hit> = Vec::new();
        for (at, view) in views.iter().filter(|(_, view)| view.kind != ViewKind::Joined) {
            let found = self.view(view.text.as_bytes(), name);
            if at == 0 && matches!(view.text, Cow::Borrowed(_)) {
                all = found;
                continue;
            }
            let first = all.len();
            for hit in found {
                let range = views.origin(at, hit.range.clone());
                // What stands in the text itself needs no other form of it.
                if !known(all.get(..first).unwrap_or_default(), &hit, &range) {
                    all.push(Hit { range, ..hit });
                }
            }
            all.sort_by_key(|hit| (hit.range.start, hit.range.end, hit.kind));
        }
        all
    }

    /// Every value in a text that has only one form, such as a name.
    pub(crate) fn alone(&self, text: &str) -> Vec<Hit> {
        self.view(text.as_bytes(), Topics::NONE)
    }

    /// Every value in one form of a text, none overlapping another, in order of place.
    fn view(&self, bytes: &[u8], name: Topics) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut context = Context::new(bytes, name);
        let mut number = Number::default();
        let mut at = 0;
        // Where the last word ended, and up to where colons have been looked at.
        let (mut floor, mut colons) = (0, 0);
        while let Some(found) = next(bytes, at) {
            #[cfg(test)]
            crate::tests::looked_at(found - at);
            at = found + 1;
            match byte(bytes, found) {
                b'@' => {
                    if let Some(hit) = mail::find(bytes, found).filter(|_| self.wants(Kind::Email)) {
                        // Digits of the domain are no number.
                        at = at.max(hit.range.end);
                        hits.push(hit);
                    }
                }
                b':' if found >= colons => {
                    let next = byte(bytes, found + 1);
                    let inside = next.is_ascii_hexdigit() || next == b':' || byte_before(bytes, found) == b':';
                    if inside && self.wants(Kind::Ip) {
                        let (hit, end) = find_v6(bytes, found, &mut context);
                        colons = end;
                        if let Some(hit) = hit {
                            at = at.max(hit.range.end);
                            hits.push(hit);
                        }
                    }
                }
                b':' => {}
                _ => {
                    let lead = bytes.get(floor..found).unwrap_or_default();
                    let start = found - lead.iter().rev().take_while(|byte| is_word(**byte)).count();
                    let rest = bytes.get(found..).unwrap_or_default();
                    let end = found + rest.iter().take_while(|byte| is_word(**byte)).count();
                    #[cfg(test)]
                    crate::tests::looked_at(end - start);
                    floor = end;
                    at = end;
                    let first = hits.len();
                    let to = self.word(bytes, start..end, &mut number, &mut context, &mut hits);
                    // The digits of a sure value begin no other one.
                    let sure = hits.get(first..).unwrap_or_default().iter().filter(|hit| hit.score >= 0.6 || hit.quiet);
                    at = sure.map(|hit| hit.range.end).fold(at.max(to), usize::max);
                    floor = floor.max(at);
                }
            }
        }
        self.settle(bytes, hits)
    }

    /// Looks at a word that holds a digit; returns up to where nothing else is to be found.
    fn word(
        &self,
        bytes: &[u8],
        word: Range<usize>,
        number: &mut Number,
        context: &mut Context<'_>,
        hits: &mut Vec<Hit>,
    ) -> usize {
        let Range { start, end } = word;
        let text = bytes.get(word.clone()).unwrap_or_default();
        let digits = text.iter().take(MOST_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
        if digits > MOST_DIGITS {
            return end;
        }
        if text.len() <= 4 && (1..=2).contains(&digits) {
            hits.extend(birth::words(bytes, start, end, context).filter(|_| self.wants(Kind::DateOfBirth)));
        }
        // A telephone extension may follow the digits.
        if digits < text.len() && !(digits >= 4 && byte(text, digits) == b'x') {
            national::letters(bytes, start, end, context, hits);
            national::documents(bytes, start, end, context, hits);
            return end;
        }
        match find_v4(bytes, start, context) {
            Dotted::Address(hit) => {
                let end = hit.range.end;
                hits.extend(Some(hit).filter(|_| self.wants(Kind::Ip)));
                return end;
            }
            Dotted::Other(end) => return end,
            Dotted::None => {}
        }
        number.read(bytes, start);
        if number.groups.is_empty() {
            return end;
        }
        if number.is_date() {
            hits.extend(birth::figures(number, context).filter(|_| self.wants(Kind::DateOfBirth)));
            return number.groups.get(2).map_or(end, |last| last.end);
        }
        if self.wants(Kind::Phone) {
            hits.extend(phone::find(bytes, number, &self.regions, context));
        }
        if self.wants(Kind::Card) {
            hits.extend(card::find(bytes, number, context));
        }
        national::digits(bytes, number, &self.forms, context, hits);
        national::foreigner(bytes, start, context, hits);
        national::documents(bytes, start, end, context, hits);
        end
    }

    /// Drops what is not wanted, too weak or let through; of what overlaps, the surest stays.
    fn settle(&self, bytes: &[u8], mut hits: Vec<Hit>) -> Vec<Hit> {
        hits.retain(|hit| self.wants(hit.kind) && (hit.score >= self.min_score || hit.quiet));
        hits.sort_by(|a, b| {
            let key = |hit: &Hit| (hit.range.start, hit.kind);
            b.score.total_cmp(&a.score).then(b.range.len().cmp(&a.range.len())).then(key(a).cmp(&key(b)))
        });
        let mut kept: BTreeMap<usize, Hit> = BTreeMap::new();
        for hit in hits {
            let before = kept.range(..hit.range.end).next_back();
            if before.is_none_or(|(_, before)| before.range.end <= hit.range.start) {
                kept.insert(hit.range.start, hit);
            }
        }
        kept.into_values().filter(|hit| !self.lets_through(bytes, hit)).collect()
    }

    fn wants(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    fn lets_through(&self, bytes: &[u8], hit: &Hit) -> bool {
        if hit.quiet && if hit.kind == Kind::Ip { self.private_addresses } else { self.examples } {
            return true;
        }
        if hit.kind == Kind::Email {
            let domain = mail::domain(&hit.name);
            let within = |allowed: &String| {
                domain.strip_suffix(allowed.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
            };
            if self.domains.iter().any(within) {
                return true;
            }
        }
        let allowed = |value: &[u8]| self.digests.contains(&Sha256::digest(value).into());
        !self.digests.is_empty() && (allowed(&hit.name) || bytes.get(hit.range.clone()).is_some_and(allowed))
    }
}

/// The next digit, `@` or colon from `at` on.
fn next(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'0'..=b':' | b'@')).map(|found| at + found)
}

/// Whether one of `hits`, sorted by place, is of the same kind and overlaps `range`.
fn known(hits: &[Hit], hit: &Hit, range: &Range<usize>) -> bool {
    let from = hits.partition_point(|one| one.range.end <= range.start);
    let here = hits.get(from..).unwrap_or_default().iter().take_while(|one| one.range.start < range.end);
    here.take(8).any(|one| one.kind == hit.kind)
}

/// What the names around a text say it is.
fn named(texts: &[Text], index: usize) -> Topics {
    let Some(text) = texts.get(index) else { return Topics::NONE };
    let Some(parent) = text.pointer.strip_suffix("/value") else { return of_pointer(&text.pointer) };
    let label = index.checked_sub(1).and_then(|before| texts.get(before)).filter(|before| {
        before.pointer.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')).is_some_and(|n| LABELS.contains(&n))
    });
    label.filter(|label| label.value.len() <= 64).map_or_else(|| of_pointer(parent), |label| of_label(&label.value))
}
