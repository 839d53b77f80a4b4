//! Folding: one character for all that look the same, nothing for what is not seen.

use crate::confusables::{Folded, fold as fold_char};
use crate::map::{Map, Writer};

/// The folded text, or none where folding changes nothing (as in all plain ASCII). Case and white space stay: what reads
/// the text ignores both.
pub(crate) fn fold(text: &str) -> Option<(String, Map)> {
    if text.is_ascii() {
        return None;
    }
    let mut out = Writer::with_capacity(text.len());
    let mut changed = false;
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        if c.is_ascii() {
            continue;
        }
        let mut buffer = [0; 4];
        let made = match fold_char(c) {
            Folded::Same if c.is_lowercase() || !c.is_alphabetic() => continue,
            Folded::Same => match single_lower(c) {
                Some(lower) => &*lower.encode_utf8(&mut buffer),
                None => continue,
            },
            Folded::Gone => "",
            Folded::Byte(byte) => &*char::from(byte).encode_utf8(&mut buffer),
            Folded::Text(text) => text,
        };
        if let Some(before) = text.get(plain..at)
            && !before.is_empty()
        {
            out.put(before, plain, at);
        }
        plain = at + c.len_utf8();
        out.put(made, at, plain);
        changed = true;
    }
    if !changed {
        return None;
    }
    if let Some(rest) = text.get(plain..)
        && !rest.is_empty()
    {
        out.put(rest, plain, text.len());
    }
    Some(out.finish(text.len()))
}

/// Letters outside ASCII get their small form, since the readers ignore case in ASCII only.
fn single_lower(c: char) -> Option<char> {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(small), None) if small != c => Some(small),
        _ => None,
    }
}
