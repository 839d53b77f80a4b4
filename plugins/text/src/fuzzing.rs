//! What must hold for any bytes: the properties that the fuzz target `front_end` of `tests/fuzz` checks.
//!
//! Compiled for fuzzing and for tests only; the tests go through the kept corpus, and through texts of their own making.

use std::ops::Range;

use crate::{Kind, Lexicon, Limits, View, Views, channel, folded, hidden};

#[cfg(test)]
mod growth;
#[cfg(test)]
mod tests;

/// Words that are looked for, taken out, and looked for again.
const WORDS: [&str; 3] = ["ignore", "password", "rm -rf"];

/// Any bytes. The last one says how far decoding goes.
///
/// # Panics
/// A property does not hold.
pub fn front_end(input: &[u8]) {
    let (depth, rest) = input.split_last().map_or((2, input), |(last, rest)| (last % 4, rest));
    let text = String::from_utf8_lossy(rest);
    for limits in [
        Limits { depth, ..Limits::default() },
        Limits { depth, disguises: true, ..Limits::default() },
        Limits { depth, views: 4, bytes: 256, ..Limits::default() },
    ] {
        check(&text, &limits);
    }
    told(&text);
    taken_out(&text, 8);
}

/// Folding, the views and the ways back.
fn check(text: &str, limits: &Limits) {
    let once = folded(text);
    assert_eq!(folded(&once), once, "folding twice is folding once");
    // Nothing grows by more than a third.
    assert!(once.len() <= text.len() / 3 * 4 + 4);
    let views = Views::new(text, limits);
    let again = Views::new(text, limits);
    let list: Vec<(usize, &View<'_>)> = views.iter().collect();
    assert_eq!(list.len(), again.iter().count());
    assert!(list.len() <= limits.views.max(1));
    assert!(list.iter().skip(1).map(|(_, view)| view.text.len()).sum::<usize>() <= limits.bytes);
    assert_eq!(list.first().map(|(_, view)| view.text.as_ref()), Some(once.as_ref()));
    for ((at, view), (_, same)) in list.iter().zip(again.iter()) {
        assert_eq!((view.kind, view.depth, &view.text), (same.kind, same.depth, &same.text), "the same each time");
        assert!(view.depth <= limits.depth && (view.depth > 0 || *at == 0));
        assert_eq!(folded(&view.text), view.text, "every view is folded");
        back(text, &views, *at, view);
    }
}

/// Every place of a view leads to whole characters of the original, in order, and a range to what its parts lead to.
fn back(text: &str, views: &Views<'_>, at: usize, view: &View<'_>) {
    let all = views.origin(at, 0..view.text.len());
    let mut last = 0..0;
    for (start, c) in view.text.char_indices() {
        let end = start + c.len_utf8();
        let origin = views.origin(at, start..end);
        assert!(text.get(origin.clone()).is_some(), "{origin:?} is not between characters");
        assert!(origin.start >= last.start && origin.end >= last.end, "{origin:?} after {last:?}");
        assert!(all.start <= origin.start && origin.end <= all.end, "{origin:?} is not in {all:?}");
        assert!(!origin.is_empty(), "character {start} of a view comes from nothing");
        if at == 0 && start > 0 && origin.start > last.end {
            assert_eq!(folded(&text[last.end..origin.start]), "", "what has no place in the folded text is not seen");
        }
        let both = views.origin(at, start.saturating_sub(1).min(floor(&view.text, start))..end);
        assert!(both.end >= origin.end);
        last = origin;
    }
    if view.depth == 1 && matches!(view.kind, Kind::Base64 | Kind::Hex) {
        let run = folded(&text[all.clone()]);
        let code = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(&byte);
        assert!(run.bytes().all(code), "more than the run: {run:?}");
        let beside = |byte: Option<u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let first = views.iter().next().map(|(_, first)| first.text.clone()).unwrap_or_default();
        if first == text && view.kind == Kind::Hex {
            let bytes = text.as_bytes();
            assert!(beside(all.start.checked_sub(1).map(|before| bytes[before])), "less than the run");
            assert!(beside(bytes.get(all.end).copied()), "less than the run");
        }
    }
}

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.saturating_sub(1))
}

/// What is said about a text: places in it, in order, none over another.
fn told(text: &str) {
    let in_order = |ranges: &[Range<usize>]| {
        let mut end = 0;
        for range in ranges {
            assert!(text.get(range.clone()).is_some_and(|piece| !piece.is_empty()), "{range:?}");
            assert!(range.start >= end, "{range:?} begins before {end}");
            end = range.end;
        }
    };
    in_order(&hidden(text).into_iter().map(|one| one.range).collect::<Vec<_>>());
    assert_eq!(channel(&format!("{text} \n")), channel(text), "white space at the end makes no other kind");
}

/// What is found can be taken out: then it is not found again. Taking out joins nothing, but it may lay open what was
/// hidden before, so it takes some rounds.
fn taken_out(text: &str, rounds: usize) -> String {
    let mut text = text.to_owned();
    for _ in 0..rounds {
        let found = places(&text);
        if found.is_empty() {
            return text;
        }
        text = without(&text, &found);
    }
    assert_eq!(places(&text), [], "still found in {text:?}");
    text
}

/// Where the words come from, whichever view they are found in.
fn places(text: &str) -> Vec<Range<usize>> {
    let words = WORDS.iter().zip(0..).map(|(word, id)| (*word, id));
    let lexicon = Lexicon::new(words).expect("the words are no empty ones");
    let views = Views::new(text, &Limits::default());
    let mut found = Vec::new();
    for (at, view) in views.iter() {
        for hit in lexicon.hits(&view.text, view.kind == Kind::Joined, usize::MAX) {
            let range = views.origin(at, hit.start..hit.end);
            assert!(!range.is_empty(), "a word comes from nothing");
            found.push(range);
        }
    }
    found
}

/// `text` with a mark in place of each of the ranges.
fn without(text: &str, ranges: &[Range<usize>]) -> String {
    let mut ranges = ranges.to_vec();
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for range in ranges {
        if range.start > done || out.is_empty() {
            out.push_str(&text[done.min(range.start)..range.start]);
            out.push('\u{25a0}');
        }
        done = done.max(range.end);
    }
    out.push_str(&text[done..]);
    out
}
