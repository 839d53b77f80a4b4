//! Finds every place where one of some hundred words may start, in one cheap pass.
//!
//! A bit set over hashes of three bytes (ASCII letters in either case) answers "surely not" for nearly every position
//! of ordinary text; only then the words with these three bytes are compared. The table is a few kilobytes, so that a
//! fresh instance touches few pages of its image: an automaton over the same words takes hundreds.

use crate::form::Class;

/// Log2 of the bits in the filter.
const BITS: u32 = 15;
const WORDS: usize = 1 << (BITS - 5);
/// Log2 of the buckets that places are sorted into.
const BUCKET_BITS: u32 = 11;
const BUCKETS: usize = 1 << BUCKET_BITS;

/// Words and what they stand for.
#[derive(Debug)]
pub(crate) struct Anchors {
    filter: Box<[u32; WORDS]>,
    /// Where each bucket begins in `places`.
    buckets: Vec<u16>,
    places: Vec<Place>,
    entries: Vec<Entry>,
}

/// Three bytes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    bucket: u16,
    /// The bytes, folded.
    key: u32,
    /// Index into `entries`.
    entry: u16,
}

#[derive(Debug)]
struct Entry {
    literal: Box<[u8]>,
    /// Where in the literal the three bytes stand that it is found by.
    offset: usize,
    /// Whether letters match in either case.
    folded: bool,
    target: usize,
}

impl Anchors {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Self { filter: Box::new([0; WORDS]), buckets: Vec::new(), places: Vec::new(), entries: Vec::new() }
    }

    /// Adds a word of two bytes or more. `next` is what may follow a word of two bytes. False if it is too short or
    /// there are too many.
    pub(crate) fn add(&mut self, literal: &[u8], next: Class, folded: bool, target: usize) -> bool {
        let Ok(index) = u16::try_from(self.entries.len()) else { return false };
        let mut offset = 0;
        let mut keys: Vec<u32> = match literal {
            [a, b] => next.bytes().map(|c| key(*a, *b, c)).collect(),
            // The rarest three bytes of the word: they are looked for most often in vain.
            _ => {
                let windows = literal.windows(3).enumerate();
                let Some((at, window)) = windows.min_by_key(|(_, window)| commonness(window)) else { return false };
                offset = at;
                if let [a, b, c] = window { vec![key(*a, *b, *c)] } else { return false }
            }
        };
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let hash = hash(key);
            if let Some(word) = self.filter.get_mut((hash >> 5) as usize) {
                *word |= 1 << (hash & 31);
            }
            self.places.push(Place { bucket: bucket(hash), key, entry: index });
        }
        self.entries.push(Entry { literal: literal.into(), offset, folded, target });
        self.places.len() < usize::from(u16::MAX)
    }

    /// Call once after the last [`Self::add`].
    pub(crate) fn finish(&mut self) {
        self.places.sort_unstable();
        self.places.shrink_to_fit();
        let begin = |bucket: usize| self.places.partition_point(|place| usize::from(place.bucket) < bucket) as u16;
        self.buckets = (0..=BUCKETS).map(begin).collect();
    }

    /// Calls `found(target, start, end)` for every place of every word.
    pub(crate) fn scan(&self, bytes: &[u8], mut found: impl FnMut(usize, usize, usize)) {
        let mut at = 0;
        // Six windows of three bytes lie in eight.
        while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let folded = u64::from_le_bytes(*eight) | 0x2020_2020_2020_2020;
            let window = |index: u32| (folded >> (8 * index)) as u32;
            let bits = self.bit(window(0))
                | self.bit(window(1))
                | self.bit(window(2))
                | self.bit(window(3))
                | self.bit(window(4))
                | self.bit(window(5));
            if bits & 1 == 1 {
                for index in 0..6 {
                    self.compare(window(index), bytes, at + index as usize, &mut found);
                }
            }
            at += 6;
        }
        for (index, window) in bytes.get(at..).unwrap_or_default().windows(3).enumerate() {
            if let [a, b, c] = window {
                self.compare(key(*a, *b, *c), bytes, at + index, &mut found);
            }
        }
    }

    /// Zero in the lowest bit if surely no word is found by the three bytes (the fourth is not looked at).
    fn bit(&self, window: u32) -> u32 {
        let hash = hash(window);
        // The hash has fifteen bits, so there is always a word.
        self.filter.get((hash >> 5) as usize).copied().unwrap_or(1) >> (hash & 31)
    }

    fn compare(&self, window: u32, bytes: &[u8], at: usize, found: &mut impl FnMut(usize, usize, usize)) {
        if self.bit(window) & 1 == 0 {
            return;
        }
        let key = window & 0x00ff_ffff;
        let bucket = usize::from(bucket(hash(key)));
        let (Some(from), Some(to)) = (self.buckets.get(bucket), self.buckets.get(bucket + 1)) else { return };
        let places = self.places.get(usize::from(*from)..usize::from(*to)).unwrap_or_default();
        for place in places.iter().filter(|place| place.key == key) {
            let Some(entry) = self.entries.get(usize::from(place.entry)) else { continue };
            let Some(start) = at.checked_sub(entry.offset) else { continue };
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

/// Multiplicative hashing of the lower three bytes to the filter's number of bits: the factor shifts the fourth out.
fn hash(window: u32) -> u32 {
    window.wrapping_mul(0x9E37_79B1 << 8) >> (32 - BITS)
}

fn bucket(hash: u32) -> u16 {
    (hash >> (BITS - BUCKET_BITS)) as u16
}

/// How often three bytes are met in text, roughly: by the frequency of English letters.
fn commonness(window: &[u8]) -> usize {
    const BY_FREQUENCY: &[u8] = b"qjzxvkwbypfgmucdlhrsnioate";
    let rank =
        |byte: &u8| BY_FREQUENCY.iter().position(|letter| *letter == byte.to_ascii_lowercase()).map_or(0, |at| at + 1);
    window.iter().map(rank).sum()
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
        out.sort_unstable();
        out
    }

    #[test]
    fn words_are_found_wherever_they_stand_and_overlap() {
        assert_eq!(
            hits(&[("abc", false), ("bcd", false), ("abcd", false)], "xabcdx"),
            [(0, 1, 4), (1, 2, 5), (2, 1, 5)]
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
    fn every_place_in_a_long_text_is_found() {
        for lead in 0..40 {
            let text = format!("{}needle{}", " ".repeat(lead), ".".repeat(40 - lead));
            assert_eq!(hits(&[("needle", false)], &text), [(0, lead, lead + 6)]);
            assert_eq!(hits(&[("needle", false)], text.trim_end_matches('.')), [(0, lead, lead + 6)]);
        }
    }

    #[test]
    fn two_bytes_are_enough() {
        assert_eq!(hits(&[("Q~", false)], "abQ~z"), [(0, 2, 4)]);
    }
}
