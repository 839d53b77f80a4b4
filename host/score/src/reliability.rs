//! Whether a score of 0.8 is right eight times of ten.

use serde::Serialize;

use crate::curve::Scores;
use crate::share::{Share, number};

/// Scores in ten bins of equal width, and how far they are from what they say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// Those that hold a text, lowest first.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean distance between score and share of attacks, weighed by texts.
    pub error: f64,
    /// Mean squared distance between score and label (Brier, 1950).
    pub brier: f64,
}

/// Texts whose scores lie in one tenth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Their mean score.
    pub score: f64,
    /// Attacks among them.
    pub attacks: Share,
}

impl Reliability {
    /// None without a text.
    #[must_use]
    pub fn of(scores: &Scores) -> Option<Self> {
        let (attacks, benign) = scores.parts();
        let labelled: Vec<(f64, bool)> =
            attacks.iter().map(|score| (*score, true)).chain(benign.iter().map(|score| (*score, false))).collect();
        if labelled.is_empty() {
            return None;
        }
        let (mut bins, mut error) = (Vec::new(), 0.0);
        let mut tenths: [(f64, Share); 10] = Default::default();
        for (score, attack) in &labelled {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 10")]
            let tenth = ((score.clamp(0.0, 1.0) * 10.0) as usize).min(9);
            if let Some((sum, share)) = tenths.get_mut(tenth) {
                *sum += score;
                share.of += 1;
                share.found += usize::from(*attack);
            }
        }
        for (sum, attacks) in tenths.into_iter().filter(|(_, share)| share.of > 0) {
            let score = sum / number(attacks.of);
            error += (score - attacks.value().unwrap_or(0.0)).abs() * number(attacks.of);
            bins.push(Bin { score, attacks });
        }
        let square = |(score, attack): &(f64, bool)| (score - f64::from(u8::from(*attack))).powi(2);
        let brier = labelled.iter().map(square).sum::<f64>() / number(labelled.len());
        Some(Self { bins, error: error / number(labelled.len()), brier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_that_says_what_it_is_has_no_error() {
        let mut scores = Scores::default();
        for n in 0..10 {
            scores.add(0.8, n < 8);
            scores.add(0.2, n < 2);
        }
        let reliability = Reliability::of(&scores).unwrap();
        assert!(reliability.error < 1e-9 && (reliability.brier - 0.16).abs() < 1e-9, "{reliability:?}");
        assert_eq!(reliability.bins.len(), 2);
        let mut edges = Scores::default();
        for score in [0.0, 0.1, 0.3, 0.3_f64.next_down(), 0.799_999_999_999_999_9, 0.9, 1.0] {
            edges.add(score, true);
        }
        let bins = Reliability::of(&edges).unwrap().bins;
        assert_eq!(bins.iter().map(|bin| bin.attacks.of).sum::<usize>(), 7, "each text is in one bin");
        let mut wrong = Scores::default();
        wrong.add(1.0, false);
        assert_eq!(Reliability::of(&wrong).unwrap().error, 1.0);
        assert_eq!(Reliability::of(&Scores::default()), None);
    }
}
