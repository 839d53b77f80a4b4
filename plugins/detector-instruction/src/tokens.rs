//! A text as words in sentences.

use std::ops::Range;

use crate::words::{Kinds, Words, hashes};

/// Longest word; what is longer is cut, so that a megabyte without spaces is many words.
const MOST_BYTES: usize = 64;
/// Letters of a word that are its stem.
const STEM: usize = 5;
/// The ending of `quickly`.
pub(crate) const ADVERB: u32 = 3;
/// Most words of a sentence; what is longer is cut.
const MOST_WORDS: usize = 48;

/// What a word looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Small letters.
    Small,
    /// A capital first.
    Capital,
    /// Capitals only, two or more.
    Shouted,
    /// Begins with a digit.
    Number,
    /// An e-mail address.
    Mail,
    /// A web address or path.
    Address,
    /// A name as programs have it: `snake_case`, `camelCase`.
    Identifier,
}

/// A word.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) range: Range<usize>,
    /// How it ends: `-ing`, `-ed`, `-ly`, `-s`, others.
    pub(crate) ending: u32,
    /// Of its first letters: much the same for all forms of a word.
    pub(crate) stem: u32,
    pub(crate) kinds: Kinds,
    pub(crate) shape: Shape,
    /// The last byte before it and the first one after it that are no space.
    pub(crate) before: u8,
    pub(crate) after: u8,
}

/// A sentence: its words, and how it begins.
#[derive(Debug, Clone)]
pub(crate) struct Sentence {
    pub(crate) tokens: Range<usize>,
    /// Whether it begins a line.
    pub(crate) line: bool,
    /// Whether an empty line is before it.
    pub(crate) apart: bool,
    /// What ends it: one of `.!?:`, or 0.
    pub(crate) end: u8,
}

/// All words and sentences.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    pub(crate) tokens: Vec<Token>,
    pub(crate) sentences: Vec<Sentence>,
}

impl Tokens {
    /// Reads a text. Time and memory are linear in its length.
    pub(crate) fn new(text: &str, words: &Words) -> Tokens {
        let bytes = text.as_bytes();
        let mut out = Tokens { tokens: Vec::with_capacity(bytes.len() / 5), sentences: Vec::new() };
        let mut at = 0;
        let mut begin = 0;
        let (mut line, mut apart) = (true, true);
        loop {
            let gap = at;
            let mut before = 0;
            while let Some(byte) = bytes.get(at).filter(|byte| class(**byte) & WORD == 0) {
                if !byte.is_ascii_whitespace() {
                    before = *byte;
                }
                at += 1;
            }
            let between = bytes.get(gap..at).unwrap_or_default();
            if let Some(last) = out.tokens.last_mut() {
                last.after = between.iter().copied().find(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
                let next = bytes.get(at).copied().unwrap_or_default();
                let count = out.tokens.len() - begin;
                if let Some(cut) = cut(between, next).or((count >= MOST_WORDS).then_some(Cut::default())) {
                    out.sentences.push(Sentence { tokens: begin..out.tokens.len(), line, apart, end: cut.end });
                    begin = out.tokens.len();
                    (line, apart) = (cut.line, cut.apart);
                }
            }
            if at >= bytes.len() {
                break;
            }
            let start = at;
            let (end, classes) = end_of(text, start);
            at = end;
            let Some(word) = bytes.get(start..at) else { break };
            let (stem, whole) = hashes(word, STEM);
            let (kinds, ending, shape) = (words.kinds(whole), ending(word), shape(word, classes));
            out.tokens.push(Token { range: start..at, ending, stem, kinds, shape, before, after: 0 });
        }
        if out.tokens.len() > begin {
            out.sentences.push(Sentence { tokens: begin..out.tokens.len(), line, apart, end: 0 });
        }
        out
    }

    /// The words of a sentence.
    pub(crate) fn of(&self, sentence: &Sentence) -> &[Token] {
        self.tokens.get(sentence.tokens.clone()).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    end: u8,
    line: bool,
    apart: bool,
}

/// Whether a sentence ends in what lies between two words.
fn cut(between: &[u8], next: u8) -> Option<Cut> {
    if between == b" " {
        return None;
    }
    let lines = between.iter().filter(|byte| **byte == b'\n').count();
    let space = between.iter().any(u8::is_ascii_whitespace);
    let capital = next.is_ascii_uppercase();
    let end = between.iter().copied().find(|byte| matches!(byte, b'.' | b'!' | b'?' | b':' | b';')).unwrap_or_default();
    // Values of JSON, cells of tables, pieces of markup.
    let edge = between.len() > 1
        && between.iter().any(|byte| matches!(byte, b'|' | b'"' | b'{' | b'}' | b'<' | b'>' | b'[' | b']'))
        && between.iter().any(|byte| matches!(byte, b',' | b':' | b'|' | b'>' | b'}' | b']'));
    let ended = match end {
        b'.' | b';' => space || capital,
        b'!' | b'?' => true,
        b':' => (space && (capital || lines > 0)) || between.contains(&b'\''),
        _ => false,
    };
    // Mail is often broken into lines by programs: such a line goes on with a small letter.
    let broken = lines > 1 || (lines == 1 && !next.is_ascii_lowercase());
    (ended || edge || broken).then_some(Cut { end: if ended { end } else { 0 }, line: lines > 0, apart: lines > 1 })
}

/// What a byte may be, a bit each: a table tells soonest.
const SMALL: u8 = 1;
const CAPITAL: u8 = 1 << 1;
/// A digit, or a part of a character beyond ASCII.
const OTHER: u8 = 1 << 2;
const WORD: u8 = SMALL | CAPITAL | OTHER;
const AT: u8 = 1 << 3;
const DOT: u8 = 1 << 4;
const SLASH: u8 = 1 << 5;
const LINE: u8 = 1 << 6;
/// A mark of code or markup.
const MARKUP: u8 = 1 << 7;
const CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    reason = "a byte is an index of the table, and the table is made when this is compiled"
)]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = match at as u8 {
            b'a'..=b'z' => SMALL,
            b'A'..=b'Z' => CAPITAL,
            b'0'..=b'9' | 0x80.. => OTHER,
            b'@' => AT,
            b'.' => DOT,
            b'/' => SLASH,
            b'_' => LINE,
            b'`' | b'{' | b'}' | b'<' | b'>' | b'=' | b'#' | b'*' | b'|' => MARKUP,
            _ => 0,
        };
        at += 1;
    }
    table
}

/// How many marks of code or markup are in a text.
pub(crate) fn markup(text: &str) -> usize {
    text.bytes().filter(|byte| class(*byte) & MARKUP != 0).count()
}

fn class(byte: u8) -> u8 {
    // The table has a place for every byte; the default is never taken.
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Where the word that begins at `start` ends, and the classes of its bytes but the first.
fn end_of(text: &str, start: usize) -> (usize, u8) {
    let bytes = text.as_bytes();
    let mut end = start;
    let mut seen = 0;
    let mut address = false;
    while end - start < MOST_BYTES
        && let Some(byte) = bytes.get(end)
    {
        let class = class(*byte);
        if class & WORD == 0 && !goes_on(bytes, end, &mut address, seen) {
            break;
        }
        if end > start {
            seen |= class;
        }
        end += 1;
    }
    // Never inside a character.
    let end = text.floor_char_boundary(end).max(start + 1);
    (text.ceil_char_boundary(end), seen)
}

/// Whether a word goes on with this mark. `seen`: the classes of its bytes so far; `address`: whether it is known for one.
fn goes_on(bytes: &[u8], at: usize, address: &mut bool, seen: u8) -> bool {
    let byte = bytes.get(at).copied().unwrap_or_default();
    let next = bytes.get(at + 1).copied().unwrap_or_default();
    match byte {
        b'\'' => next.is_ascii_alphabetic(),
        b'_' | b'@' => {
            *address |= byte == b'@';
            class(next) & WORD != 0
        }
        b'.' => next.is_ascii_lowercase() || next.is_ascii_digit(),
        b':' if next == b'/' => {
            *address = true;
            true
        }
        b'/' => *address || seen & DOT != 0,
        b'-' | b'?' | b'=' | b'&' | b'%' | b'~' | b'#' => *address && class(next) & WORD != 0,
        b'+' => byte == next,
        _ => false,
    }
}

fn ending(word: &[u8]) -> u32 {
    match word {
        [_, _, _, .., b'i', b'n', b'g'] => 1,
        [_, _, _, .., b'e', b'd'] => 2,
        [_, _, _, .., b'l', b'y'] => ADVERB,
        [_, _, _, .., b't', b'i', b'o', b'n'] => 4,
        [_, _, _, .., b'm', b'e', b'n', b't'] => 5,
        [_, _, _, .., b's'] => 6,
        _ => 0,
    }
}

/// `classes`: those of the bytes but the first, which is no mark.
fn shape(word: &[u8], classes: u8) -> Shape {
    let first = word.first().copied().unwrap_or_default();
    let has = |class: u8| classes & class != 0;
    if has(AT) {
        return Shape::Mail;
    }
    if has(SLASH) || (has(DOT) && word.len() > 5 && !first.is_ascii_digit()) {
        return Shape::Address;
    }
    if has(LINE) {
        return Shape::Identifier;
    }
    if first.is_ascii_digit() {
        return Shape::Number;
    }
    if has(CAPITAL) {
        return if has(SMALL) { Shape::Identifier } else { Shape::Shouted };
    }
    if first.is_ascii_uppercase() { Shape::Capital } else { Shape::Small }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &str) -> Vec<String> {
        let tokens = Tokens::new(text, &Words::new());
        let word = |token: &Token| text[token.range.clone()].to_owned();
        tokens.sentences.iter().map(|one| tokens.of(one).iter().map(word).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn sentences_end_where_readers_think_so() {
        assert_eq!(
            sentences("It is done.Send 3.5 to a.b@c.org! Why? Because"),
            ["It is done", "Send 3.5 to a.b@c.org", "Why", "Because"]
        );
        assert_eq!(sentences("a line that\ngoes on\nAnd one\n\nmore"), ["a line that goes on", "And one", "more"]);
        assert_eq!(
            sentences(r#"{"name": "Jo", "note": "call https://x.org/a?b=1 now"}"#),
            ["name", "Jo", "note", "call https://x.org/a?b=1 now"]
        );
        assert_eq!(sentences("Do this: Read it, with cat"), ["Do this", "Read it with cat"]);
        assert!(sentences("").is_empty() && sentences("...\n\n!").is_empty());
    }

    #[test]
    fn tokens_grow_with_the_text_and_no_faster() {
        let size = |text: &str| Tokens::new(text, &Words::new()).tokens.len();
        for text in ["a ", "abcdefgh ", "\u{1f600}", "x", "\0", "a.", "a\n\n", "a@", "\u{5d0}"] {
            let (one, ten) = (size(&text.repeat(1000)), size(&text.repeat(10_000)));
            assert!(ten <= 10 * one + 100, "{text:?}: {one} {ten}");
        }
    }
}
