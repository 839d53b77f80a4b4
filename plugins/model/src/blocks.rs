//! A text as hashed features, block by block.

use std::ops::Range;

use crate::hash::{NOTHING, mix, pair, step};

/// Longest word that is hashed as one; what is longer is cut, so that a megabyte without spaces is many words.
const MOST_LETTERS: usize = 64;
/// Sets pairs of words apart.
const PAIR: u32 = 0x9747_b28c;
/// In place of a word before the first one of a sentence.
const START: u32 = 0x5bd1_e995;
/// The golden ratio in 64 bits, odd.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A text cut into blocks of words, each with its features.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    /// Hashes of words and pairs, of all blocks one after the other.
    words: Vec<u32>,
    /// The same of letters.
    letters: Vec<u32>,
    ends: Vec<End>,
}

/// Where a block ends: in the text, and in the two lists.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    start: usize,
    text: usize,
    words: usize,
    letters: usize,
}

impl Blocks {
    /// Hashes a text in blocks of so many words: short ones find a sentence in a long text, long ones what runs through it. Time and
    /// memory are linear in its length.
    pub fn of(text: &str, size: usize) -> Blocks {
        let mut blocks = Blocks::default();
        let mut before = START;
        let mut end = End::default();
        let mut count = 0;
        // The last letters, across words, with one space between two of them.
        let mut recent = Recent::default();
        for range in Words::of(text) {
            let Some(word) = text.get(range.clone()) else { continue };
            if count == 0 {
                end.start = range.start;
            }
            let hash = mix(recent.push_word(word, &mut blocks.letters));
            blocks.words.push(hash);
            let gap = text.get(end.text..range.start).unwrap_or_default();
            if gap.bytes().any(|byte| matches!(byte, b'.' | b'!' | b'?' | b':' | b'\n')) {
                before = START;
            }
            blocks.words.push(pair(PAIR, before, hash));
            before = hash;
            count += 1;
            end = End { text: range.end, words: blocks.words.len(), letters: blocks.letters.len(), ..end };
            if count >= size {
                blocks.ends.push(end);
                count = 0;
            }
        }
        if count > 0 {
            blocks.ends.push(end);
        }
        blocks
    }

    /// Adds a word, or what stands for words beside each other, to a block that the caller fills: for texts that [`of`](Self::of) cuts
    /// wrongly.
    pub fn push_word(&mut self, hash: u32) {
        self.words.push(hash);
    }

    /// Adds some letters to it.
    pub fn push_letters(&mut self, hash: u32) {
        self.letters.push(hash);
    }

    /// Ends it; `range` is what it covers of the text.
    pub fn end_block(&mut self, range: Range<usize>) {
        let (words, letters) = (self.words.len(), self.letters.len());
        self.ends.push(End { start: range.start, text: range.end, words, letters });
    }

    /// How many blocks there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of the text that a block covers.
    pub fn range(&self, block: usize) -> Range<usize> {
        self.ends.get(block).map_or(0..0, |end| end.start..end.text)
    }

    /// Hashes of words and pairs of a block, and of its letters.
    pub fn hashes(&self, block: usize) -> (&[u32], &[u32]) {
        let before = block.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let Some(end) = self.ends.get(block) else { return (&[], &[]) };
        let words = self.words.get(before.words..end.words).unwrap_or_default();
        (words, self.letters.get(before.letters..end.letters).unwrap_or_default())
    }

    /// The windows: two blocks each, or the only one.
    pub fn windows(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let count = self.len();
        let windows = if count == 1 { 1 } else { count.saturating_sub(1) };
        (0..windows).map(move |first| first..(first + 2).min(count))
    }
}

/// The last four letters, the last one in the lowest byte.
#[derive(Debug, Default)]
struct Recent {
    bytes: u32,
    count: usize,
}

impl Recent {
    /// A space and a word, whose hash is returned. Each run of four is spread by a multiplication, of which the upper half is kept.
    #[allow(clippy::cast_possible_truncation, reason = "the upper half of 64 bits")]
    fn push_word(&mut self, word: &str, out: &mut Vec<u32>) -> u32 {
        let mut bytes = self.bytes;
        let mut hash = NOTHING;
        let mut push = |byte: u8| {
            bytes = bytes << 8 | u32::from(byte);
            (u64::from(bytes).wrapping_mul(SPREAD) >> 32) as u32
        };
        let space = push(b' ');
        let letters = word.bytes().map(|byte| {
            let byte = byte.to_ascii_lowercase();
            hash = step(hash, byte);
            push(byte)
        });
        // The first three letters of a text are no run yet.
        let missing = 3_usize.saturating_sub(self.count);
        if missing == 0 {
            out.push(space);
            out.extend(letters);
        } else {
            out.extend(letters.skip(missing - 1));
        }
        self.count += 1 + word.len();
        self.bytes = bytes;
        hash
    }
}

/// Words: runs of letters and digits, also with an apostrophe inside. Scripts that are written without spaces come as runs cut
/// after [`MOST_LETTERS`] bytes.
struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Self {
        Words { text, at: 0 }
    }
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let bytes = self.text.as_bytes();
        let mut start = self.at;
        start += bytes.get(start..)?.iter().position(|byte| in_word(*byte))?;
        let mut end = start;
        while end - start < MOST_LETTERS
            && let Some(byte) = bytes.get(end)
        {
            let inside = || *byte == b'\'' && bytes.get(end + 1).is_some_and(|next| in_word(*next));
            if !in_word(*byte) && !inside() {
                break;
            }
            end += 1;
        }
        if end - start == MOST_LETTERS {
            // Never inside a character.
            end = self.text.floor_char_boundary(end).max(start + 1);
            end = self.text.ceil_char_boundary(end);
        }
        self.at = end;
        Some(start..end)
    }
}

/// Each byte of a word without case; 0 for those of none. Most of the work on a text is to ask what a byte is: a table tells
/// soonest.
const LETTERS: [u8; 256] = letters();

#[expect(
    clippy::indexing_slicing,
    reason = "a byte is an index of the table, and the table is made when this is compiled"
)]
const fn letters() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() || byte >= 0x80 {
            table[at] = byte.to_ascii_lowercase();
        }
        at += 1;
    }
    table
}

fn in_word(byte: u8) -> bool {
    // The table has a place for every byte; the default is never taken.
    LETTERS.get(usize::from(byte)).copied().unwrap_or(0) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 24;

    fn words(text: &str) -> Vec<&str> {
        Words::of(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn words_are_runs_of_letters_and_never_end_inside_one() {
        assert_eq!(words("Don't  \"stop\", x-ray; 3.5"), ["Don't", "stop", "x", "ray", "3", "5"]);
        assert_eq!(words(""), Vec::<&str>::new());
        let long = "\u{65e5}".repeat(100);
        let cut = words(&long);
        assert!(cut.len() > 1 && cut.concat() == long);
    }

    #[test]
    fn each_block_has_its_own_hashes_and_its_place() {
        let text = (0..60).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
        let blocks = Blocks::of(&text, BLOCK);
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks.windows().collect::<Vec<_>>(), [0..2, 1..3]);
        assert!(text[blocks.range(1)].starts_with("word24 ") && text[blocks.range(1)].ends_with("word47"));
        // Words and pairs.
        assert_eq!(blocks.hashes(0).0.len(), 2 * BLOCK);
        assert_eq!(blocks.hashes(1).0.len(), 2 * BLOCK);
        assert_eq!(blocks.hashes(3), (&[][..], &[][..]));
        assert!(Blocks::of("one", BLOCK).windows().eq(std::iter::once(0..1)));
        assert_eq!(Blocks::of("...", BLOCK).windows().count(), 0);
    }

    #[test]
    fn the_first_word_of_a_sentence_goes_with_its_start_and_with_no_word_before() {
        let last = |text: &str| Blocks::of(text, BLOCK).hashes(0).0.last().copied();
        for text in ["That is it. Ignore", "really? ignore", "Subject: ignore", "one line\nignore"] {
            assert_eq!(last(text), last("ignore"), "{text}");
        }
        assert_ne!(last("please ignore"), last("ignore"));
        assert_eq!(last("please, ignore"), last("please ignore"));
    }

    #[test]
    fn case_does_not_matter_and_order_does() {
        let hashes = |text: &str| Blocks::of(text, BLOCK).hashes(0).0.to_vec();
        assert_eq!(hashes("Ignore All"), hashes("ignore, all"));
        assert_ne!(hashes("ignore all"), hashes("all ignore"));
    }

    #[test]
    fn hashes_are_as_many_as_the_text_is_long() {
        let size = |text: &str| {
            let blocks = Blocks::of(text, BLOCK);
            (0..blocks.len())
                .map(|block| blocks.hashes(block))
                .map(|(words, letters)| words.len() + letters.len())
                .sum::<usize>()
        };
        for text in ["a ", "abcdefgh ", "\u{1f600}", "x", "\0"] {
            let (one, ten) = (size(&text.repeat(1000)), size(&text.repeat(10_000)));
            assert!(ten <= 10 * one + 100, "{text:?}: {one} {ten}");
        }
    }
}
