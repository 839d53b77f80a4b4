//! Hashes of words, letter by letter: FNV-1a (Fowler, Noll and Vo), spread by the end of MurmurHash3 (Appleby).

/// The hash of no letter.
pub const NOTHING: u32 = 0x811c_9dc5;
/// Prime of FNV-1a.
const PRIME: u32 = 0x0100_0193;

/// A hash with one more letter.
#[must_use]
pub fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte)).wrapping_mul(PRIME)
}

/// Spreads what differs in few bits.
#[must_use]
pub fn mix(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// The hash of two in this order; `kind` sets it apart from other pairs of them and from words that look like it.
#[must_use]
pub fn pair(kind: u32, one: u32, other: u32) -> u32 {
    mix(kind ^ one.rotate_left(7) ^ other.wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_the_tables_were_made_with() {
        let word = |word: &str| word.bytes().fold(NOTHING, step);
        // From the authors' own lists.
        assert_eq!((word(""), word("a"), word("foobar")), (0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968));
        assert_eq!((mix(0), mix(1)), (0, 0x514e_28b7));
        assert_ne!(pair(1, word("a"), word("b")), pair(1, word("b"), word("a")));
        assert_ne!(pair(1, word("a"), word("b")), pair(2, word("a"), word("b")));
    }
}
