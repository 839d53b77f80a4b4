//! Folding: one character for all that look the same, nothing for what is not seen.

use crate::confusables::{Folded, fold as fold_char};
use crate::map::{Map, Writer};
use crate::others::others;

/// The folded text, or none where folding changes nothing (as in all plain ASCII). Case and white space stay: what reads
/// the text ignores both.
pub(crate) fn fold(text: &str) -> Option<(String, Map)> {
    if text.is_ascii() {
        return None;
    }
    let mut out = Writer::with_capacity(text.len());
    let mut changed = false;
    let mut plain = 0;
    for (at, c) in others(text) {
        let mut buffer = [0; 4];
        let mut folded = fold_char(c);
        let small = if folded == Folded::Same { single_lower(c) } else { None };
        if let Some(small) = small {
            // The small letter may look like another one.
            folded = fold_char(small);
        }
        let made = match (folded, small) {
            (Folded::Gone, _) => "",
            (Folded::Byte(byte), _) => &*char::from(byte).encode_utf8(&mut buffer),
            (Folded::Text(text), _) => text,
            (Folded::Same, Some(small)) => &*small.encode_utf8(&mut buffer),
            (Folded::Same, None) => continue,
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
    if !cased(c) || c.is_lowercase() || !c.is_alphabetic() {
        return None;
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(small), None) if small != c => Some(small),
        _ => None,
    }
}

/// False for characters of scripts that have no capital letters, which is most of them: asking the tables of the standard
/// library takes long.
fn cased(c: char) -> bool {
    !matches!(
        c as u32,
        0x590..=0x109f
            | 0x1100..=0x139f
            | 0x1400..=0x1c7f
            | 0x2190..=0x24b5
            | 0x2e00..=0xa63f
            | 0xabc0..=0xff20
            | 0x20000..=0xdffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_said_to_have_no_capitals_have_none() {
        for c in ('\0'..=char::MAX).filter(|c| !cased(*c)) {
            assert!(c.to_lowercase().eq([c]), "{:x}", c as u32);
        }
    }
}
