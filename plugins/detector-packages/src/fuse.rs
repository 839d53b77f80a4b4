//! A set of 64-bit keys in nine fifths of their count of bytes, give or take: a binary fuse filter with fingerprints of 16 bits,
//! after Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters" (2022).
//!
//! A key that is in it is always found; one that is not is found once in 65,536 times. Crate `xorf` has the filter, too, but not
//! as bytes that lie in a file and are read where they lie, and the reader is ten lines.

use std::fmt;

use plugin_model::Reader;

/// Seeds that are tried before building is given up; one of two works.
const TRIES: u64 = 100;

/// Where a filter's keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    seed: u64,
    /// Slots of a segment, a power of two.
    segment: u32,
    /// Segments that a key may begin in.
    segments: u32,
}

/// A filter.
#[derive(Clone)]
pub struct Fuse {
    shape: Shape,
    slots: Vec<u16>,
}

impl fmt::Debug for Fuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fuse").field("shape", &self.shape).field("slots", &self.slots.len()).finish()
    }
}

/// Spreads the bits: the end of MurmurHash3.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The key of a text: FNV-1a.
#[must_use]
pub(crate) fn key(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

impl Shape {
    /// The three slots of a key and its fingerprint.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the slot is the upper half of a product, the fingerprint the lower bits"
    )]
    fn of(self, key: u64) -> ([usize; 3], u16) {
        let hash = mix(key.wrapping_add(self.seed));
        let starts = u64::from(self.segments) * u64::from(self.segment);
        let first = ((u128::from(hash) * u128::from(starts)) >> 64) as u32;
        let mask = self.segment.wrapping_sub(1);
        let second = first.wrapping_add(self.segment) ^ ((hash >> 18) as u32 & mask);
        let third = first.wrapping_add(self.segment.wrapping_mul(2)) ^ (hash as u32 & mask);
        ([first as usize, second as usize, third as usize], (hash ^ (hash >> 32)) as u16)
    }

    fn slots(self) -> usize {
        (self.segments as usize + 2) * self.segment as usize
    }
}

impl Fuse {
    /// A filter of these keys, the same at each run; none if it cannot be built.
    #[must_use]
    pub fn build(keys: &[u64]) -> Option<Self> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        // The figures of the paper for three slots: a segment grows with the count, small sets need more room.
        #[allow(clippy::cast_precision_loss, reason = "counts of names")]
        let count = keys.len().max(2) as f64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 18")]
        let bits = (libm::log(count) / libm::log(3.33) + 2.25).clamp(2.0, 18.0) as u32;
        let segment = 1_u32 << bits;
        let factor = (0.875 + 0.25 * libm::log(1e6) / libm::log(count)).max(1.125);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of names")]
        let capacity = (count * factor) as u32;
        let segments = capacity.div_ceil(segment).saturating_sub(2).max(1);
        (0..TRIES).find_map(|seed| Self::peel(&keys, Shape { seed: mix(seed + 1), segment, segments }))
    }

    /// Takes away keys that are alone in a slot until none is left, and fills the slots in reverse.
    fn peel(keys: &[u64], shape: Shape) -> Option<Self> {
        // How many keys a slot has, and all of them by exclusive or.
        let mut load = vec![(0_u32, 0_u64); shape.slots()];
        for key in keys {
            for slot in shape.of(*key).0 {
                let slot = load.get_mut(slot)?;
                *slot = (slot.0 + 1, slot.1 ^ key);
            }
        }
        let mut alone: Vec<usize> =
            (0..load.len()).filter(|slot| load.get(*slot).is_some_and(|slot| slot.0 == 1)).collect();
        let mut order = Vec::with_capacity(keys.len());
        while let Some(at) = alone.pop() {
            let (1, key) = *load.get(at)? else { continue };
            order.push((at, key));
            for slot in shape.of(key).0 {
                let entry = load.get_mut(slot)?;
                *entry = (entry.0 - 1, entry.1 ^ key);
                if entry.0 == 1 {
                    alone.push(slot);
                }
            }
        }
        if order.len() != keys.len() {
            return None;
        }
        let mut slots = vec![0_u16; shape.slots()];
        for (at, key) in order.into_iter().rev() {
            let (places, mut print) = shape.of(key);
            for place in places.into_iter().filter(|place| *place != at) {
                print ^= slots.get(place)?;
            }
            *slots.get_mut(at)? = print;
        }
        Some(Self { shape, slots })
    }

    /// Whether the key is in it: never no for one that is.
    #[must_use]
    pub fn contains(&self, key: u64) -> bool {
        let (places, print) = self.shape.of(key);
        let found = places.iter().try_fold(0, |sum, place| Some(sum ^ self.slots.get(*place)?));
        found == Some(print)
    }

    /// Its bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.shape.seed.to_le_bytes());
        out.extend(self.shape.segment.to_le_bytes());
        out.extend(self.shape.segments.to_le_bytes());
        out.extend(self.slots.iter().flat_map(|slot| slot.to_le_bytes()));
    }

    /// Reads its bytes.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let shape = Shape {
            seed: u64::from_le_bytes(reader.bytes().ok()?),
            segment: u32::from_le_bytes(reader.bytes().ok()?),
            segments: u32::from_le_bytes(reader.bytes().ok()?),
        };
        if !shape.segment.is_power_of_two() || shape.segment > 1 << 18 || shape.segments > 1 << 18 {
            return None;
        }
        let slots = reader.take(shape.slots().checked_mul(2)?).ok()?;
        let slots = slots.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
        Some(Self { shape, slots })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it_is_found_and_what_is_not_hardly_ever() {
        for count in [0_u64, 1, 2, 3, 50, 5000] {
            let keys: Vec<u64> = (0..count).map(|n| key(&["npm:", &n.to_string()])).collect();
            let filter = Fuse::build(&keys).unwrap();
            let mut bytes = Vec::new();
            filter.write(&mut bytes);
            assert!(bytes.len() < 64 + 3 * usize::try_from(count).unwrap().max(60), "{count}: {}", bytes.len());
            let mut reader = Reader::new(&bytes, "").unwrap();
            let filter = Fuse::read(&mut reader).unwrap();
            assert!(reader.end().is_ok() && keys.iter().all(|key| filter.contains(*key)));
            let wrong = (0..100_000).filter(|n| filter.contains(key(&["pypi:", &n.to_string()]))).count();
            assert!(wrong < 12, "{count}: {wrong}");
        }
    }

    #[test]
    fn bytes_that_are_no_filter_are_refused() {
        for bytes in [[].as_slice(), &[0xff; 200], &[0; 40]] {
            assert!(Fuse::read(&mut Reader::new(bytes, "").unwrap()).is_none());
        }
    }
}
