//! Text that a person does not see.

use std::ops::Range;

use crate::others::others;

/// How it is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenKind {
    /// Tag characters (U+E0020 to U+E007E): a whole alphabet that is never drawn.
    Tags,
    /// Runs of variation selectors: bytes hidden behind one character.
    Selectors,
    /// Runs of zero-width characters, or single ones inside words of plain letters.
    ZeroWidth,
    /// Characters that turn the direction of reading.
    Bidi,
}

/// One hidden stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// How.
    pub kind: HiddenKind,
    /// Bytes of the text.
    pub range: Range<usize>,
    /// How many characters.
    pub count: usize,
}

/// At most this many stretches are reported.
const MOST: usize = 64;

/// Stretches of `text` that are not seen when it is shown. What writing systems and emoji need is left alone: joiners
/// beside letters that are not ASCII, one selector after a character, the tags of a flag.
pub fn hidden(text: &str) -> Vec<Hidden> {
    let mut found: Vec<Hidden> = Vec::new();
    let mut chars = others(text).peekable();
    while let Some((start, c)) = chars.next() {
        let Some(kind) = kind_of(c) else { continue };
        let mut count = 1;
        let mut end = start + c.len_utf8();
        while let Some((at, next)) = chars.next_if(|(at, next)| *at == end && kind_of(*next) == Some(kind)) {
            count += 1;
            end = at + next.len_utf8();
        }
        let before = text.get(..start).and_then(|before| before.chars().next_back()).unwrap_or('\0');
        let after = text.get(end..).and_then(|after| after.chars().next()).unwrap_or('\0');
        let told = match kind {
            // A flag of a region: a black flag, at most six tags and a last one.
            HiddenKind::Tags => !(before == '\u{1f3f4}' && count <= 7),
            HiddenKind::Selectors => count >= 3,
            HiddenKind::ZeroWidth => count >= 3 || (before.is_ascii_alphanumeric() && after.is_ascii_alphanumeric()),
            HiddenKind::Bidi => true,
        };
        if told {
            found.push(Hidden { kind, range: start..end, count });
            if found.len() == MOST {
                break;
            }
        }
    }
    found
}

fn kind_of(c: char) -> Option<HiddenKind> {
    match c as u32 {
        0xe0001..=0xe007f => Some(HiddenKind::Tags),
        0xfe00..=0xfe0f | 0xe0100..=0xe01ef => Some(HiddenKind::Selectors),
        0x200b..=0x200d | 0x2060..=0x2064 | 0xfeff | 0x180e | 0x3164 | 0xffa0 => Some(HiddenKind::ZeroWidth),
        0x202a..=0x202e | 0x2066..=0x2069 => Some(HiddenKind::Bidi),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_writing_needs_is_left_alone() {
        for text in ["plain", "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}", "\u{2764}\u{fe0f}"] {
            assert_eq!(hidden(text), [], "{text}");
        }
        assert_eq!(hidden("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{645}\u{6cc}\u{200c}\u{62e}\u{648}"), []);
    }

    #[test]
    fn hidden_text_is_told_with_its_place() {
        let found = hidden("a\u{e0068}\u{e0069}b");
        assert_eq!(found, [Hidden { kind: HiddenKind::Tags, range: 1..9, count: 2 }]);
        assert_eq!(hidden("ig\u{200b}nore").len(), 1);
        assert_eq!(hidden("x \u{200b}\u{200c}\u{200b}\u{200b} y")[0].count, 4);
        assert_eq!(hidden("safe\u{202e}cod.exe")[0].kind, HiddenKind::Bidi);
        assert_eq!(hidden("x\u{fe01}\u{e0121}\u{e0132}\u{e0143}")[0].kind, HiddenKind::Selectors);
    }
}
