//! The trained weights and what a score means.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `PCLALGN1` |
//! | 1 | number of features |
//! | 3 | 0 |
//! | 4 each, little-endian `f32` | bias, the weights, slope and offset of the calibration |

use plugin_model::{Calibration, ModelError, Reader};

use crate::reading::FEATURES;

const MAGIC: &str = "PCLALGN1";

/// The weights of the features.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Score of a call of which nothing is known.
    pub bias: f32,
    /// What each feature adds.
    pub weights: [f32; FEATURES],
    /// What a score means.
    pub calibration: Calibration,
}

impl Model {
    /// The model as it is kept.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = MAGIC.as_bytes().to_vec();
        bytes.push(u8::try_from(FEATURES).unwrap_or(u8::MAX));
        bytes.extend([0; 3]);
        let numbers =
            [self.bias].into_iter().chain(self.weights).chain([self.calibration.slope, self.calibration.offset]);
        bytes.extend(numbers.flat_map(f32::to_le_bytes));
        bytes
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// Something else, or a number in it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut reader = Reader::new(bytes, MAGIC)?;
        let [features, ..] = reader.bytes::<4>()?;
        let other = |_| ModelError::Size(format!("it has {features} features, not {FEATURES}"));
        let (bias, weights) = (reader.float()?, reader.floats(usize::from(features))?);
        let weights = weights.try_into().map_err(other)?;
        let calibration = reader.calibration()?;
        reader.end()?;
        Ok(Self { bias, weights, calibration })
    }

    /// The score of a call, higher for worse ones.
    #[must_use]
    pub fn score(&self, features: &[f64; FEATURES]) -> f64 {
        let sum: f64 = self.weights.iter().zip(features).map(|(weight, value)| f64::from(*weight) * value).sum();
        f64::from(self.bias) + sum
    }

    /// What a score means, 0 to 1.
    #[must_use]
    pub fn probability(&self, score: f64) -> f32 {
        #[allow(clippy::cast_possible_truncation, reason = "half the digits are enough")]
        self.calibration.probability(score as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_model_is_refused() {
        let model = Model { bias: -1.0, weights: [0.5; FEATURES], calibration: Calibration::default() };
        let bytes = model.write();
        assert_eq!(Model::read(&bytes), Ok(model));
        for length in 0..bytes.len() {
            assert!(Model::read(&bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(Model::read(&[bytes.as_slice(), &[0]].concat()), Err(ModelError::Long(1)));
        let mut wrong = bytes.clone();
        wrong[8] -= 1;
        assert!(matches!(Model::read(&wrong), Err(ModelError::Size(_))));
        wrong.clone_from(&bytes);
        let end = wrong.len();
        wrong[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
        assert_eq!(Model::read(&wrong), Err(ModelError::NotFinite));
    }
}
