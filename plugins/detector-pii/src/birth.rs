//! Dates of birth: dates in figures or words, only beside a label.

use crate::checksum::number;
use crate::context::{Context, Topics};
use crate::hit::Hit;
use crate::kind::Kind;
use crate::number::{Number, byte, is_word};

/// Score of a date beside its label.
const SCORE: f32 = 0.85;
/// Beginnings of the months' names in English, German, French, Spanish, Italian, Portuguese, Dutch, Polish and Swedish,
/// three letters without accents.
const MONTHS: &[&[u8; 3]] = &[
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec", b"mai", b"okt",
    b"dez", b"fev", b"avr", b"jui", b"aou", b"ene", b"abr", b"ago", b"dic", b"gen", b"mag", b"giu", b"lug", b"set",
    b"ott", b"mei", b"maa", b"sty", b"lut", b"kwi", b"maj", b"cze", b"lip", b"sie", b"wrz", b"paz", b"lis", b"gru",
    b"out", b"jaa",
];

/// A date in figures that begins with the groups of `date`.
pub(crate) fn figures(date: &Number, context: &mut Context<'_>) -> Option<Hit> {
    let (first, last) = (date.groups.first()?, date.groups.get(2)?);
    hit(first.start, last.end, date.digits(3).to_vec(), context)
}

/// A date whose day is the one or two digits at `start..end`: `12 March 1985`, `March 12th, 1985`.
pub(crate) fn words(bytes: &[u8], start: usize, end: usize, context: &mut Context<'_>) -> Option<Hit> {
    let rest = bytes.get(start..).unwrap_or_default();
    let day = rest.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
    let (from, to) = match letters_from(bytes, end).filter(|word| is_month(bytes, word.0, word.1)) {
        Some((_, month)) => (start, year(bytes, month)?),
        None => (letters_before(bytes, start).filter(|word| is_month(bytes, word.0, word.1))?.0, year(bytes, end)?),
    };
    if !(1..=31).contains(&number(rest.get(..day)?)) {
        return None;
    }
    let name = bytes.get(from..to)?.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase);
    hit(from, to, name.collect(), context)
}

fn hit(start: usize, end: usize, name: Vec<u8>, context: &mut Context<'_>) -> Option<Hit> {
    let labelled = context.around(start, end).any(Topics::BIRTH);
    labelled.then_some(Hit { kind: Kind::DateOfBirth, range: start..end, score: SCORE, name, quiet: false })
}

/// The next word of letters behind `at`, over `of`, dots, commas and spaces.
fn letters_from(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut start = skip(bytes, at);
    for filler in [&b"of "[..], b"de "] {
        if bytes.get(start..start + 3)?.eq_ignore_ascii_case(filler) {
            start += 3;
        }
    }
    let length = bytes.get(start..)?.iter().take(12).take_while(|byte| is_word(**byte)).count();
    (length >= 3).then_some((start, start + length))
}

fn letters_before(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = at.checked_sub(1).filter(|end| byte(bytes, *end) == b' ')?;
    let end = if end > 0 && byte(bytes, end - 1) == b'.' { end - 1 } else { end };
    let before = bytes.get(end.saturating_sub(12)..end)?;
    let length = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80).count();
    (length >= 3).then_some((end - length, end))
}

fn is_month(bytes: &[u8], start: usize, end: usize) -> bool {
    let begin = bytes.get(start..start + 3).map(<[u8]>::to_ascii_lowercase).unwrap_or_default();
    let letters = bytes.get(start..end).is_some_and(|word| !word.iter().any(u8::is_ascii_digit));
    letters && MONTHS.iter().any(|month| **month == begin[..])
}

/// The end of a year of the last or this century behind `at`.
fn year(bytes: &[u8], at: usize) -> Option<usize> {
    let mut start = skip(bytes, at);
    if bytes.get(start..start + 3).is_some_and(|filler| filler.eq_ignore_ascii_case(b"de ")) {
        start += 3;
    }
    let digits = bytes.get(start..start + 4).filter(|year| year.iter().all(u8::is_ascii_digit))?;
    (matches!(number(digits), 1900..=2100) && !is_word(byte(bytes, start + 4))).then_some(start + 4)
}

fn skip(bytes: &[u8], at: usize) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take(3).take_while(|byte| b" .,-".contains(byte)).count()
}
