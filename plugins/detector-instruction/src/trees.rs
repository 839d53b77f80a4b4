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

/// Sentences that are asked together: a byte of a word for each.
pub(crate) const TOGETHER: usize = 8;

/// A model as it is asked: trees share most of their questions.
#[derive(Debug, Clone)]
pub(crate) struct Forest {
    bias: f32,
    scale: f32,
    calibration: Calibration,
    levels: usize,
    /// Each once: feature and threshold.
    questions: Vec<(u8, f32)>,
    /// The numbers of the questions of all trees.
    asked: Vec<u16>,
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
        let mut questions: Vec<(u8, f32)> = Vec::new();
        let (mut asked, mut leaves) = (Vec::with_capacity(count * levels), Vec::with_capacity(count << levels));
        for _ in 0..count {
            for _ in 0..levels {
                let [feature] = reader.bytes()?;
                if usize::from(feature) >= features {
                    return Err(ModelError::Size(format!("it asks for feature {feature} of {features}")));
                }
                let question = (feature, reader.float()?);
                let number = questions.iter().position(|known| *known == question).unwrap_or(questions.len());
                if number == questions.len() {
                    questions.push(question);
                }
                asked
                    .push(u16::try_from(number).map_err(|_| ModelError::Size("it has too many questions".to_owned()))?);
            }
            leaves.extend(reader.take(1 << levels)?.iter().map(|leaf| leaf.cast_signed()));
        }
        reader.end()?;
        Ok(Forest { bias, scale, calibration, levels, questions, asked, leaves })
    }

    /// The scores of the first [`TOGETHER`] sentences, by their features.
    #[allow(clippy::cast_precision_loss, reason = "at most 2^16 leaves of at most 127")]
    pub(crate) fn scores<'f>(&self, sentences: impl Iterator<Item = &'f [f32]>) -> [f32; TOGETHER] {
        let mut answers = vec![0_u64; self.questions.len()];
        for (lane, features) in sentences.take(TOGETHER).enumerate() {
            for (answer, (feature, threshold)) in answers.iter_mut().zip(&self.questions) {
                let value = features.get(usize::from(*feature)).copied().unwrap_or_default();
                *answer |= u64::from(value > *threshold) << (8 * lane);
            }
        }
        let sums = match self.levels {
            1 => self.sums::<1>(&answers),
            2 => self.sums::<2>(&answers),
            3 => self.sums::<3>(&answers),
            4 => self.sums::<4>(&answers),
            5 => self.sums::<5>(&answers),
            _ => self.sums::<6>(&answers),
        };
        sums.map(|sum| self.bias + self.scale * sum as f32)
    }

    /// What the leaves come to in each lane. The levels, which [`read`](Self::read) found, are known here, so that the questions of a
    /// tree are no loop: in the sandbox, a step of a loop costs as much as what is done in it.
    fn sums<const LEVELS: usize>(&self, answers: &[u64]) -> [i32; TOGETHER] {
        let mut sums = [0; TOGETHER];
        let (trees, _) = self.asked.as_chunks::<LEVELS>();
        for (tree, leaves) in trees.iter().zip(self.leaves.chunks_exact(1 << LEVELS)) {
            // At most six bits in each byte: none reaches the next one.
            let answer = |question: &u16| answers.get(usize::from(*question)).copied().unwrap_or_default();
            let places = tree.iter().fold(0_u64, |places, question| places << 1 | answer(question));
            for (sum, place) in sums.iter_mut().zip(places.to_le_bytes()) {
                *sum += leaves.get(usize::from(place)).map_or(0, |leaf| i32::from(*leaf));
            }
        }
        sums
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
        let sentences: [&[f32]; 9] =
            [&[1.0, 0.0, 2.0], &[1.0, 0.0, 0.0], &[], &[], &[0.0, 0.0, 2.0], &[], &[], &[1.0, 0.0, 2.0], &[1.0]];
        assert_eq!(trees.scores(sentences.into_iter()), [19.0, 0.0, -3.0, -3.0, -2.0, -3.0, -3.0, 19.0]);
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
