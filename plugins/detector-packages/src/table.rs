//! The table: names known to harm, popular names, and the model of names.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `PCLPKGS1` |
//! | 8, 4, 4 | filter: seed, slots of a segment, segments; then two bytes for each of (segments + 2) × slots |
//! | 4 | length of the popular names |
//! | as long | the popular names: DEFLATE of, for each name in order, one byte for the letters shared with the one before, the rest, and a line end |
//! | 1, 1, 2 | binary logarithm of the length of the weights, dense weights, 0 |
//! | 4 each, `f32` | scale of the weights, bias, slope, offset, the dense weights |
//! | 1 each, signed | the weights |
//!
//! Numbers are little-endian. Keys of the filter are FNV-1a of `npm:name`, or of `!npm:name` for a package some versions of
//! which were taken over.

use plugin_model::{Calibration, Reader};

use crate::fuse::{Fuse, key};
use crate::look::{DENSE, Look};
use crate::name::Registry;
use crate::popular::Popular;

const MAGIC: &str = "PCLPKGS1";
/// Binary logarithm of the length of the weights.
pub const BITS: u8 = 15;
/// Most bytes of the popular names, unpacked.
const MOST_NAMES: usize = 4 << 20;

/// What is known to harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// The package itself.
    Made,
    /// A package some versions of which were taken over.
    TakenOver,
}

/// A model of names.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Of hashes, a power of two of them.
    pub hashed: Vec<i8>,
    /// What one of them counts.
    pub scale: f32,
    /// Added to all.
    pub bias: f32,
    /// Of dense features.
    pub dense: Vec<f32>,
    /// What a score means.
    pub calibration: Calibration,
}

/// All three.
#[derive(Clone, Debug)]
pub struct Table {
    /// Names known to harm.
    pub bad: Fuse,
    /// Popular names.
    pub popular: Popular,
    /// The model.
    pub weights: Weights,
}

/// Why a table cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not the file of a table.
    #[error("not a table of packages: it does not begin with PCLPKGS1")]
    Magic,
    /// The filter is cut or wrong.
    #[error("the filter of the table cannot be read")]
    Filter,
    /// The names are cut or wrong.
    #[error("the popular names of the table cannot be read")]
    Names,
    /// The model is cut or wrong.
    #[error("the model of the table cannot be read")]
    Weights,
}

impl Weights {
    /// How much a name looks like one that is known to harm; the greater the more.
    #[must_use]
    pub fn score(&self, look: &Look) -> f32 {
        let mask = self.hashed.len().wrapping_sub(1);
        let weight = |hash: &u32| self.hashed.get(*hash as usize & mask).map_or(0, |weight| i32::from(*weight));
        let sum: i32 = look.hashes.iter().map(weight).sum();
        #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
        let (sum, over) = (sum as f32, libm::sqrtf(look.hashes.len().max(1) as f32));
        let dense: f32 = self.dense.iter().zip(&look.dense).map(|(weight, value)| weight * value).sum();
        self.bias + self.scale * sum / over + dense
    }

    /// The probability that a score stands for.
    #[must_use]
    pub fn probability(&self, score: f32) -> f32 {
        self.calibration.probability(score)
    }
}

impl Table {
    /// The key of a name in the filter.
    #[must_use]
    pub fn key(registry: Registry, name: &str, bad: Bad) -> u64 {
        key(&[if bad == Bad::TakenOver { "!" } else { "" }, registry.prefix(), name])
    }

    /// Whether a name is in the filter.
    #[must_use]
    pub fn bad(&self, registry: Registry, name: &str) -> Option<Bad> {
        [Bad::Made, Bad::TakenOver].into_iter().find(|bad| self.bad.contains(Self::key(registry, name, *bad)))
    }

    /// The bytes of its file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.as_bytes().to_vec();
        self.bad.write(&mut out);
        let mut list = Vec::new();
        let mut before = String::new();
        for (registry, name) in self.popular.all() {
            let name = format!("{}{name}", registry.prefix());
            let shared = name.bytes().zip(before.bytes()).take(250).take_while(|(a, b)| a == b).count();
            list.push(u8::try_from(shared).unwrap_or_default());
            list.extend(name.bytes().skip(shared));
            list.push(b'\n');
            before = name;
        }
        let packed = miniz_oxide::deflate::compress_to_vec(&list, 10);
        out.extend(u32::try_from(packed.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(packed);
        let weights = &self.weights;
        let bits = u8::try_from(weights.hashed.len().trailing_zeros()).unwrap_or(u8::MAX);
        out.extend([bits, u8::try_from(weights.dense.len()).unwrap_or(u8::MAX), 0, 0]);
        let floats = [weights.scale, weights.bias, weights.calibration.slope, weights.calibration.offset]
            .into_iter()
            .chain(weights.dense.iter().copied());
        out.extend(floats.flat_map(f32::to_le_bytes));
        let hashed: Vec<u8> = weights.hashed.iter().map(|weight| weight.cast_unsigned()).collect();
        out.extend(miniz_oxide::deflate::compress_to_vec(&hashed, 10));
        out
    }

    /// Reads it.
    ///
    /// # Errors
    /// The bytes are no table.
    pub fn read(bytes: &[u8]) -> Result<Self, TableError> {
        let mut reader = Reader::new(bytes, MAGIC).map_err(|_| TableError::Magic)?;
        let bad = Fuse::read(&mut reader).ok_or(TableError::Filter)?;
        let popular = names(&mut reader).ok_or(TableError::Names)?;
        let weights = weights(reader).ok_or(TableError::Weights)?;
        Ok(Self { bad, popular, weights })
    }
}

fn names(reader: &mut Reader<'_>) -> Option<Popular> {
    let length = u32::from_le_bytes(reader.bytes().ok()?);
    let packed = reader.take(length as usize).ok()?;
    let list = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, MOST_NAMES).ok()?;
    let mut names: Vec<String> = Vec::new();
    let mut left = list.as_slice();
    while let Some((shared, after)) = left.split_first() {
        let end = after.iter().position(|byte| *byte == b'\n')?;
        let (own, after) = after.split_at_checked(end)?;
        let before = names.last().map_or("", String::as_str).get(..usize::from(*shared))?;
        names.push(format!("{before}{}", str::from_utf8(own).ok()?));
        left = after.get(1..)?;
    }
    Some(Popular::new(names.iter().map(String::as_str)))
}

fn weights(mut reader: Reader<'_>) -> Option<Weights> {
    let [bits, dense, ..] = reader.bytes::<4>().ok()?;
    if bits > 16 || usize::from(dense) != DENSE {
        return None;
    }
    let (scale, bias) = (reader.float().ok()?, reader.float().ok()?);
    let (calibration, dense) = (reader.calibration().ok()?, reader.floats(DENSE).ok()?);
    let table = miniz_oxide::inflate::decompress_to_vec_with_limit(reader.rest(), 1 << bits).ok()?;
    let hashed: Vec<i8> = table.iter().map(|byte| byte.cast_signed()).collect();
    (hashed.len() == 1 << bits).then_some(Weights { hashed, scale, bias, dense, calibration })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_written_and_nothing_else_is() {
        let popular = Popular::new(["npm:react", "npm:react-dom", "npm:@types/node", "pypi:requests"]);
        let bad = Fuse::build(&[Table::key(Registry::Npm, "evil", Bad::Made)]).unwrap();
        let weights = Weights {
            hashed: vec![1; 1 << BITS],
            scale: 1.0,
            bias: 0.5,
            dense: vec![0.1; DENSE],
            calibration: Calibration::default(),
        };
        let bytes = Table { bad, popular, weights: weights.clone() }.write();
        let table = Table::read(&bytes).unwrap();
        assert_eq!(table.weights, weights);
        assert_eq!(table.bad(Registry::Npm, "evil"), Some(Bad::Made));
        assert_eq!(table.popular.find(Registry::Npm, "@types/node"), Some("@types/node"));
        assert_eq!(table.popular.all().count(), 4);
        for end in 0..bytes.len() {
            assert!(Table::read(&bytes[..end]).is_err());
        }
        assert!(Table::read(&[0xff; 100]).is_err());
    }
}
