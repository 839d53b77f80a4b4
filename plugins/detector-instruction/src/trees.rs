//! The model: boosted trees whose levels ask one question each ("oblivious", after Kohavi and Li, 1995), so that a tree is a few
//! comparisons and one look-up.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `PCLTREE1` |
//! | 1 each | features, levels of a tree |
//! | 2 | trees, little-endian |
//! | 4 each, little-endian `f32` | bias, what a leaf counts, slope, offset |
//! | each tree | for each level: feature (1 byte), threshold (4 bytes); then the leaves, 2^levels signed bytes |

use plugin_model::{Calibration, ModelError, Reader};

const MAGIC: &str = "PCLTREE1";
/// Most levels.
const MOST_LEVELS: u8 = 6;

/// A question and its tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    /// Feature and threshold of each level; above it the answer is yes.
    pub levels: Vec<(u8, f32)>,
    /// By the answers, the first one in the highest bit.
    pub leaves: Vec<i8>,
}

/// A model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trees {
    /// How many features a sentence has.
    pub features: u8,
    /// Added to every score.
    pub bias: f32,
    /// What a leaf counts.
    pub scale: f32,
    /// What a score means: the probability is that of `slope * score + offset`.
    pub slope: f32,
    /// See there.
    pub offset: f32,
    /// The trees, all with as many levels.
    pub trees: Vec<Tree>,
}

impl Trees {
    /// The bytes of its file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.as_bytes().to_vec();
        let levels = self.trees.first().map_or(0, |tree| tree.levels.len());
        out.extend([self.features, u8::try_from(levels).unwrap_or(u8::MAX)]);
        out.extend(u16::try_from(self.trees.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend([self.bias, self.scale, self.slope, self.offset].into_iter().flat_map(f32::to_le_bytes));
        for tree in &self.trees {
            for (feature, threshold) in &tree.levels {
                out.push(*feature);
                out.extend(threshold.to_le_bytes());
            }
            out.extend(tree.leaves.iter().map(|leaf| leaf.cast_unsigned()));
        }
        out
    }
}

/// A model as it is asked: all questions in one row, all leaves in another.
#[derive(Debug, Clone)]
pub(crate) struct Forest {
    bias: f32,
    scale: f32,
    calibration: Calibration,
    levels: usize,
    questions: Vec<(u8, f32)>,
    leaves: Vec<i8>,
}

impl Forest {
    /// Reads a model for sentences with so many features.
    ///
    /// # Errors
    /// The bytes are no such model.
    pub(crate) fn read(bytes: &[u8], features: usize) -> Result<Forest, ModelError> {
        let mut reader = Reader::new(bytes, MAGIC)?;
        let [of, levels, low, high] = reader.bytes()?;
        let count = usize::from(u16::from_le_bytes([low, high]));
        if usize::from(of) != features || !(1..=MOST_LEVELS).contains(&levels) {
            let found = format!("it has {of} features and {levels} levels, not {features} features");
            return Err(ModelError::Size(found));
        }
        let (bias, scale, calibration) = (reader.float()?, reader.float()?, reader.calibration()?);
        let levels = usize::from(levels);
        let (mut questions, mut leaves) = (Vec::with_capacity(count * levels), Vec::with_capacity(count << levels));
        for _ in 0..count {
            for _ in 0..levels {
                let [feature] = reader.bytes()?;
                if usize::from(feature) >= features {
                    return Err(ModelError::Size(format!("it asks for feature {feature} of {features}")));
                }
                questions.push((feature, reader.float()?));
            }
            leaves.extend(reader.take(1 << levels)?.iter().map(|leaf| leaf.cast_signed()));
        }
        reader.end()?;
        Ok(Forest { bias, scale, calibration, levels, questions, leaves })
    }

    /// The score of a sentence.
    #[allow(clippy::cast_precision_loss, reason = "at most 2^16 leaves of at most 127")]
    pub(crate) fn score(&self, features: &[f32]) -> f32 {
        let trees = self.questions.chunks_exact(self.levels).zip(self.leaves.chunks_exact(1 << self.levels));
        let leaf = |(questions, leaves): (&[(u8, f32)], &[i8])| {
            let place = questions.iter().fold(0, |place, (feature, threshold)| {
                let value = features.get(usize::from(*feature)).copied().unwrap_or_default();
                place << 1 | usize::from(value > *threshold)
            });
            leaves.get(place).map_or(0, |leaf| i32::from(*leaf))
        };
        self.bias + self.scale * trees.map(leaf).sum::<i32>() as f32
    }

    /// What a score means.
    pub(crate) fn probability(&self, score: f32) -> f32 {
        self.calibration.probability(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Trees {
        let tree = Tree { levels: vec![(0, 0.5), (2, 1.5)], leaves: vec![-10, -5, 5, 100] };
        Trees { features: 3, bias: -1.0, scale: 0.1, slope: 2.0, offset: 1.0, trees: vec![tree.clone(), tree] }
    }

    #[test]
    fn a_model_reads_back_and_answers() {
        let trees = Forest::read(&model().write(), 3).unwrap();
        assert_eq!(trees.score(&[1.0, 0.0, 2.0]), 19.0);
        assert_eq!(trees.score(&[1.0, 0.0, 0.0]), 0.0);
        assert_eq!(trees.score(&[]), -3.0);
        assert_eq!(trees.probability(-0.5), 0.5);
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let bytes = model().write();
        for length in 0..bytes.len() {
            assert!(Forest::read(&bytes[..length], 3).is_err(), "{length}");
        }
        assert_eq!(Forest::read(&[bytes.as_slice(), &[0]].concat(), 3).unwrap_err(), ModelError::Long(1));
        assert!(Forest::read(&bytes, 4).is_err());
        let mut wrong = bytes.clone();
        wrong[12..16].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(Forest::read(&wrong, 3).is_err());
        let mut wrong = bytes;
        wrong[28] = 7;
        assert!(Forest::read(&wrong, 3).is_err());
    }

    #[test]
    fn a_threshold_that_is_no_number_is_refused() {
        for (level, number) in [(0, f32::NAN), (1, f32::INFINITY)] {
            let mut model = model();
            model.trees[1].levels[level].1 = number;
            assert_eq!(Forest::read(&model.write(), 3).unwrap_err(), ModelError::NotFinite);
        }
    }
}
