//! A trained model: two tables of weights, a few dense ones, and what a score means in each channel.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `PCLMODL1` |
//! | 1 | binary logarithm of the length of a table |
//! | 1 | dense features |
//! | 1 | channels |
//! | 1 | 0 |
//! | 4 each, little-endian `f32` | scale of words, scale of letters, bias, the dense weights, slope and offset of each channel |
//! | 1 each, signed | the table of words, the table of letters |

use std::ops::Range;

use crate::blocks::Blocks;
use crate::table::{Calibration, ModelError, Reader};

const MAGIC: &str = "PCLMODL1";
/// Largest table: 2^16 weights.
const MAX_BITS: u8 = 16;

/// A model as it is trained, in whole numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Weights of words and pairs, a power of two of them.
    pub words: Vec<i8>,
    /// Weights of letters, as many.
    pub letters: Vec<i8>,
    /// What a weight of words counts.
    pub word_scale: f32,
    /// What a weight of letters counts.
    pub letter_scale: f32,
    /// Added to every score.
    pub bias: f32,
    /// Weights of the dense features.
    pub dense: Vec<f32>,
    /// By channel.
    pub calibrations: Vec<Calibration>,
}

/// A model, read where it lies.
#[derive(Debug, Clone)]
pub struct Head<'t> {
    words: &'t [u8],
    letters: &'t [u8],
    word_scale: f32,
    letter_scale: f32,
    bias: f32,
    dense: Vec<f32>,
    calibrations: Vec<Calibration>,
}

impl Model {
    /// The bytes of its file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let bits = u8::try_from(self.words.len().trailing_zeros()).unwrap_or(u8::MAX);
        let count = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
        let mut out = MAGIC.as_bytes().to_vec();
        out.extend([bits, count(self.dense.len()), count(self.calibrations.len()), 0]);
        let floats = [self.word_scale, self.letter_scale, self.bias].into_iter().chain(self.dense.iter().copied());
        let calibrations = self.calibrations.iter().flat_map(|one| [one.slope, one.offset]);
        out.extend(floats.chain(calibrations).flat_map(f32::to_le_bytes));
        out.extend(self.words.iter().chain(&self.letters).map(|weight| weight.cast_unsigned()));
        out
    }
}

impl<'t> Head<'t> {
    /// Reads a model.
    ///
    /// # Errors
    /// The bytes are no model.
    pub fn read(bytes: &'t [u8]) -> Result<Head<'t>, ModelError> {
        let mut reader = Reader::new(bytes, MAGIC)?;
        let [bits, dense, channels, _] = reader.bytes()?;
        if bits > MAX_BITS {
            return Err(ModelError::Size(format!("it has 2^{bits} weights; at most 2^16 are read")));
        }
        let (word_scale, letter_scale, bias) = (reader.float()?, reader.float()?, reader.float()?);
        let dense = reader.floats(usize::from(dense))?;
        let calibrations = (0..channels).map(|_| reader.calibration()).collect::<Result<_, _>>()?;
        let (words, letters) = (reader.take(1 << bits)?, reader.take(1 << bits)?);
        reader.end()?;
        Ok(Head { words, letters, word_scale, letter_scale, bias, dense, calibrations })
    }

    /// Reads a model of readings that have this many dense features.
    ///
    /// # Errors
    /// The bytes are no model, or one of other readings.
    pub fn of_features(bytes: &'t [u8], features: usize) -> Result<Head<'t>, ModelError> {
        let head = Self::read(bytes)?;
        let found = head.features();
        if found != features {
            return Err(ModelError::Size(format!("it has {found} dense features, not {features}; train it again")));
        }
        Ok(head)
    }

    /// What the words and letters of each window come to, with the bytes that it covers.
    pub fn windows<'b>(&self, blocks: &'b Blocks) -> impl Iterator<Item = (Range<usize>, f32)> + use<'b, 't> {
        let mask = self.words.len() - 1;
        let (words, letters) = (self.words, self.letters);
        let (word_scale, letter_scale, bias) = (self.word_scale, self.letter_scale, self.bias);
        let sum = move |table: &[u8], hashes: &[u32]| {
            let weight =
                |hash: &u32| table.get(*hash as usize & mask).map_or(0, |weight| i32::from(weight.cast_signed()));
            // Eight at a time: in the sandbox a step of a loop costs as much as what is done in it.
            let (eights, rest) = hashes.as_chunks::<8>();
            let of_eights = eights.iter().map(|eight| eight.iter().map(weight).sum::<i32>()).sum::<i32>();
            of_eights + rest.iter().map(weight).sum::<i32>()
        };
        let sums: Vec<[(i32, usize); 2]> = (0..blocks.len())
            .map(|block| {
                let (of_words, of_letters) = blocks.hashes(block);
                [(sum(words, of_words), of_words.len()), (sum(letters, of_letters), of_letters.len())]
            })
            .collect();
        blocks.windows().map(move |window| {
            let mut totals = [(0, 0); 2];
            for part in sums.get(window.clone()).unwrap_or_default() {
                for (total, (sum, count)) in totals.iter_mut().zip(part) {
                    *total = (total.0 + sum, total.1 + count);
                }
            }
            let [of_words, of_letters] = totals;
            let score = bias + word_scale * normal(of_words) + letter_scale * normal(of_letters);
            (blocks.range(window.start).start..blocks.range(window.end.saturating_sub(1)).end, score)
        })
    }

    /// The score of a window given as shares of features: what [`windows`](Self::windows) and [`dense`](Self::dense) come to. For
    /// training, where windows are kept in this form.
    #[must_use]
    pub fn score_of(&self, words: &[(u32, f64)], letters: &[(u32, f64)], dense: &[f64]) -> f64 {
        let sum = |table: &[u8], features: &[(u32, f64)]| -> f64 {
            let weight = |at: u32| table.get(at as usize).map_or(0, |weight| weight.cast_signed());
            features.iter().map(|(at, value)| f64::from(weight(*at)) * value).sum()
        };
        let dense: f64 = self.dense.iter().zip(dense).map(|(weight, value)| f64::from(*weight) * value).sum();
        let of_words = f64::from(self.word_scale) * sum(self.words, words);
        f64::from(self.bias) + of_words + f64::from(self.letter_scale) * sum(self.letters, letters) + dense
    }

    /// How many dense features it has.
    #[must_use]
    pub fn features(&self) -> usize {
        self.dense.len()
    }

    /// What dense features add to the score of a window.
    #[must_use]
    pub fn dense(&self, features: &[f32]) -> f32 {
        self.dense.iter().zip(features).map(|(weight, feature)| weight * feature).sum()
    }

    /// What a score means in a channel; that of the last one where there are not so many.
    #[must_use]
    pub fn probability(&self, channel: usize, score: f32) -> f32 {
        let calibration = self.calibrations.get(channel).or(self.calibrations.last());
        calibration.copied().unwrap_or_default().probability(score)
    }
}

/// A sum over the root of how many were added.
#[allow(clippy::cast_precision_loss, reason = "weights of a window: some thousands of at most 127")]
fn normal((sum, count): (i32, usize)) -> f32 {
    if count == 0 { 0.0 } else { sum as f32 / libm::sqrtf(count as f32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let mut words = vec![0; 1 << 10];
        // The word `ignore` counts.
        let hash = Blocks::of("ignore", 1).hashes(0).0[0];
        words[hash as usize & 0x3ff] = 100;
        Model {
            words,
            letters: vec![0; 1 << 10],
            word_scale: 0.05,
            letter_scale: 0.01,
            bias: -2.0,
            dense: vec![1.5, -0.5],
            calibrations: vec![Calibration { slope: 2.0, offset: -1.0 }],
        }
    }

    #[test]
    fn a_model_reads_back_and_points_at_the_window() {
        let bytes = model().write();
        let head = Head::read(&bytes).unwrap();
        let text = format!("{} please ignore this {}", "word ".repeat(100), "word ".repeat(100));
        let blocks = Blocks::of(&text, 24);
        let best = head.windows(&blocks).max_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
        assert!(text[best.0.clone()].contains("ignore") && best.1 > -2.0, "{best:?}");
        assert_eq!(head.dense(&[2.0, 1.0]), 2.5);
        assert_eq!(head.probability(0, 0.5), 0.5);
        assert_eq!(head.probability(7, 0.5), 0.5);
    }

    #[test]
    fn a_window_is_the_sum_of_its_blocks_over_the_root_of_their_words() {
        let bytes = model().write();
        let head = Head::read(&bytes).unwrap();
        let windows = |text: &str, size| head.windows(&Blocks::of(text, size)).collect::<Vec<_>>();
        // As many pairs as words, since the first goes with the start of the sentence.
        let of = |words: f32| -2.0 + 0.05 * (100.0 / libm::sqrtf(2.0 * words));
        assert_eq!(windows("ignore", 1), [(0..6, of(1.0))]);
        // As one block or as two.
        let expected = of(3.0);
        assert_eq!(windows("please ignore this", 3), [(0..18, expected)]);
        assert_eq!(windows("please ignore this", 2), [(0..18, expected)]);
        assert_eq!(windows("", 2), []);
    }

    #[test]
    fn blocks_that_a_caller_fills_count_as_those_of_a_text() {
        let bytes = model().write();
        let head = Head::read(&bytes).unwrap();
        let of_text = Blocks::of("you may ignore this", 2);
        let mut filled = Blocks::default();
        for block in 0..of_text.len() {
            let (words, letters) = of_text.hashes(block);
            words.iter().for_each(|hash| filled.push_word(*hash));
            letters.iter().for_each(|hash| filled.push_letters(*hash));
            filled.end_block(of_text.range(block));
        }
        assert!(head.windows(&filled).eq(head.windows(&of_text)));
        assert!(head.windows(&filled).next().is_some_and(|(range, score)| range == (0..19) && score > -2.0));
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let bytes = model().write();
        assert_eq!(Head::read(b"").unwrap_err(), ModelError::Magic(MAGIC));
        assert_eq!(Head::read(&bytes[1..]).unwrap_err(), ModelError::Magic(MAGIC));
        for length in 8..bytes.len() {
            assert_eq!(Head::read(&bytes[..length]).unwrap_err(), ModelError::Cut, "{length}");
        }
        assert_eq!(Head::read(&[bytes.as_slice(), &[0]].concat()).unwrap_err(), ModelError::Long(1));
        let mut wrong = bytes.clone();
        wrong[8] = 40;
        assert!(matches!(Head::read(&wrong).unwrap_err(), ModelError::Size(_)));
        wrong.clone_from(&bytes);
        wrong[12..16].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(Head::read(&wrong).unwrap_err(), ModelError::NotFinite);
        let features = Head::read(&bytes).unwrap().features();
        assert!(Head::of_features(&bytes, features).is_ok());
        assert!(matches!(Head::of_features(&bytes, features + 1).unwrap_err(), ModelError::Size(_)));
    }
}
