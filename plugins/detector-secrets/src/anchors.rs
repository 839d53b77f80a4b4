//! Finds every place where one of some hundred words may start, in one cheap pass.
//!
//! A bit set over hashes of three bytes (ASCII letters in either case) answers "surely not" for nearly every position
//! of ordinary text; only then the words with these three bytes are compared. The table is a few kilobytes, so that a
//! fresh instance touches few pages of its image: an automaton over the same words takes hundreds.

use crate::form::Class;

/// Log2 of the bits in the filter.
const BITS: u32 = 15;
const WORDS: usize = 1 << (BITS - 5);

/// Words and what they stand for.
#[derive(Debug)]
pub(crate) struct Anchors {
    filter: Box<[u32; WORDS]>,
    /// Three folded bytes and an index into `entries`, sorted.
    buckets: Vec<(u32, u16)>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    literal: Box<[u8]>,
    /// Whether letters match in either case.
    folded: bool,
    target: usize,
}

impl Anchors {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Self { filter: Box::new([0; WORDS]), buckets: Vec::new(), entries: Vec::new() }
    }

    /// Adds a word of two bytes or more. `next` is what may follow a word of two bytes. False if it is too short or
    /// there are too many.
    pub(crate) fn add(&mut self, literal: &[u8], next: Class, folded: bool, target: usize) -> bool {
        let Ok(index) = u16::try_from(self.entries.len()) else { return false };
        let mut keys: Vec<u32> = match literal {
            [a, b, c, ..] => vec![key(*a, *b, *c)],
            [a, b] => next.bytes().map(|c| key(*a, *b, c)).collect(),
            _ => return false,
        };
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let hash = hash(key);
            if let Some(word) = self.filter.get_mut((hash >> 5) as usize) {
                *word |= 1 << (hash & 31);
            }
            self.buckets.push((key, index));
        }
        self.entries.push(Entry { literal: literal.into(), folded, target });
        true
    }

    /// Call once after the last [`Self::add`].
    pub(crate) fn finish(&mut self) {
        self.buckets.sort_unstable();
        self.buckets.shrink_to_fit();
    }

    /// Calls `found(target, start, end)` for every place of every word, in order of place.
    pub(crate) fn scan(&self, bytes: &[u8], mut found: impl FnMut(usize, usize, usize)) {
        let [first, second, rest @ ..] = bytes else { return };
        let mut window = key(0, *first, *second);
        for (start, byte) in rest.iter().enumerate() {
            window = window >> 8 | u32::from(byte | 0x20) << 16;
            let hash = hash(window);
            // The shift leaves ten bits, so there is always a word.
            let word = self.filter.get((hash >> 5) as usize).copied().unwrap_or(0);
            if word >> (hash & 31) & 1 == 1 {
                self.compare(window, bytes, start, &mut found);
            }
        }
    }

    #[cold]
    fn compare(&self, window: u32, bytes: &[u8], start: usize, found: &mut impl FnMut(usize, usize, usize)) {
        let from = self.buckets.partition_point(|(key, _)| *key < window);
        let bucket = self.buckets.get(from..).unwrap_or_default().iter().take_while(|(key, _)| *key == window);
        for (_, index) in bucket {
            let Some(entry) = self.entries.get(usize::from(*index)) else { continue };
            let end = start + entry.literal.len();
            let Some(here) = bytes.get(start..end) else { continue };
            let same = if entry.folded { here.eq_ignore_ascii_case(&entry.literal) } else { *here == *entry.literal };
            if same {
                found(entry.target, start, end);
            }
        }
    }
}

/// Three bytes as a number, capital letters as small ones (some signs fall together too; the comparison sorts it out).
fn key(a: u8, b: u8, c: u8) -> u32 {
    u32::from_le_bytes([a | 0x20, b | 0x20, c | 0x20, 0])
}

/// Multiplicative hashing to the filter's number of bits.
fn hash(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1) >> (32 - BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(words: &[(&str, bool)], text: &str) -> Vec<(usize, usize, usize)> {
        let mut anchors = Anchors::new();
        for (target, (word, folded)) in words.iter().enumerate() {
            assert!(anchors.add(word.as_bytes(), Class::visible(), *folded, target));
        }
        anchors.finish();
        let mut out = Vec::new();
        anchors.scan(text.as_bytes(), |target, start, end| out.push((target, start, end)));
        out
    }

    #[test]
    fn words_are_found_wherever_they_stand_and_overlap() {
        assert_eq!(
            hits(&[("abc", false), ("bcd", false), ("abcd", false)], "xabcdx"),
            [(0, 1, 4), (2, 1, 5), (1, 2, 5)]
        );
        assert_eq!(hits(&[("abc", false)], "abcxabc"), [(0, 0, 3), (0, 4, 7)]);
        assert_eq!(hits(&[("abc", false)], "ab"), []);
    }

    #[test]
    fn case_counts_only_where_it_should() {
        assert_eq!(hits(&[("Token", true)], "TOKEN token"), [(0, 0, 5), (0, 6, 11)]);
        assert_eq!(hits(&[("SKa", false)], "skA SKa"), [(0, 4, 7)]);
    }

    #[test]
    fn two_bytes_are_enough() {
        assert_eq!(hits(&[("Q~", false)], "abQ~z"), [(0, 2, 4)]);
    }
}
