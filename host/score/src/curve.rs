//! Scores of texts that are attacks and of texts that are not, and what a threshold makes of them.

use serde::Serialize;

use crate::share::{Share, Z, number};

/// Scores of labelled texts.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    attacks: Vec<f64>,
    benign: Vec<f64>,
}

/// What a threshold finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct At {
    /// Texts with this score or more are called attacks.
    pub threshold: f64,
    /// Attacks that are found.
    pub recall: Share,
    /// Benign texts that are called attacks.
    pub false_alarms: Share,
}

/// A point of a receiver operating characteristic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Share of benign texts that are called attacks.
    pub false_alarms: f64,
    /// Share of attacks that are found.
    pub recall: f64,
}

impl Scores {
    /// Adds a text. What is no finite number counts as 0.
    pub fn add(&mut self, score: f64, attack: bool) {
        let score = if score.is_finite() { score } else { 0.0 };
        if attack { self.attacks.push(score) } else { self.benign.push(score) }
    }

    /// Adds others.
    pub fn extend(&mut self, others: &Self) {
        self.attacks.extend_from_slice(&others.attacks);
        self.benign.extend_from_slice(&others.benign);
    }

    /// How many attacks and how many benign texts.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.attacks.len(), self.benign.len())
    }

    /// Scores of attacks, and of benign texts.
    #[must_use]
    pub fn parts(&self) -> (&[f64], &[f64]) {
        (&self.attacks, &self.benign)
    }

    /// Whether no text scores anything.
    #[must_use]
    pub fn are_zero(&self) -> bool {
        self.attacks.iter().chain(&self.benign).all(|score| *score == 0.0)
    }

    /// Area under the curve: how often an attack scores more than a benign text, ties counted half (Mann and Whitney). None
    /// without one of each.
    #[must_use]
    pub fn auc(&self) -> Option<f64> {
        if self.attacks.is_empty() || self.benign.is_empty() {
            return None;
        }
        let benign = sorted(&self.benign);
        let wins: f64 = self
            .attacks
            .iter()
            .map(|score| {
                let below = benign.partition_point(|other| other < score);
                let not_above = benign.partition_point(|other| other <= score);
                number(below) + number(not_above - below) / 2.0
            })
            .sum();
        Some(wins / (number(self.attacks.len()) * number(self.benign.len())))
    }

    /// Where the area lies with 95 % confidence, after Hanley and McNeil (1982). None where all pairs are one way: the formula
    /// would say that this is certain.
    #[must_use]
    pub fn auc_interval(&self) -> Option<(f64, f64)> {
        let area = self.auc().filter(|area| *area > 0.0 && *area < 1.0)?;
        let (attacks, benign) = (number(self.attacks.len()), number(self.benign.len()));
        let (one, two) = (area / (2.0 - area), 2.0 * area * area / (1.0 + area));
        let square = area * area;
        let variance = area * (1.0 - area) + (attacks - 1.0) * (one - square) + (benign - 1.0) * (two - square);
        let half = Z * (variance / (attacks * benign)).max(0.0).sqrt();
        Some(((area - half).max(0.0), (area + half).min(1.0)))
    }

    /// What a threshold finds.
    #[must_use]
    pub fn at(&self, threshold: f64) -> At {
        let over = |scores: &[f64]| Share {
            found: scores.iter().filter(|score| **score >= threshold).count(),
            of: scores.len(),
        };
        At { threshold, recall: over(&self.attacks), false_alarms: over(&self.benign) }
    }

    /// The lowest threshold at which no more than this share of benign texts are called attacks. None without benign texts, or
    /// where every threshold will do.
    #[must_use]
    pub fn at_rate(&self, rate: f64) -> Option<At> {
        let benign = sorted(&self.benign);
        let mut allowed = 0;
        while allowed < benign.len() && number(allowed + 1) <= rate * number(benign.len()) {
            allowed += 1;
        }
        // The first benign text from above that must not be found: the threshold lies just over it.
        let first = benign.get(benign.len().checked_sub(allowed + 1)?)?;
        Some(self.at(first.next_up()))
    }

    /// The receiver operating characteristic, from (0, 0) to (1, 1).
    #[must_use]
    pub fn curve(&self) -> Vec<Point> {
        let mut thresholds: Vec<f64> = self.attacks.iter().chain(&self.benign).copied().collect();
        thresholds.sort_by(|one, other| other.total_cmp(one));
        thresholds.dedup();
        let (attacks, benign) = (sorted(&self.attacks), sorted(&self.benign));
        let over = |scores: &[f64], threshold: f64| {
            let found = scores.len() - scores.partition_point(|score| *score < threshold);
            if scores.is_empty() { 0.0 } else { number(found) / number(scores.len()) }
        };
        let mut points = vec![Point { false_alarms: 0.0, recall: 0.0 }];
        points.extend(
            thresholds
                .into_iter()
                .map(|threshold| Point { false_alarms: over(&benign, threshold), recall: over(&attacks, threshold) }),
        );
        points
    }
}

fn sorted(scores: &[f64]) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(attacks: &[f64], benign: &[f64]) -> Scores {
        Scores { attacks: attacks.to_vec(), benign: benign.to_vec() }
    }

    #[test]
    fn the_area_counts_pairs() {
        assert_eq!(scores(&[0.9, 0.4], &[0.1, 0.4]).auc(), Some(3.5 / 4.0));
        assert_eq!(scores(&[0.9], &[0.1]).auc(), Some(1.0));
        assert_eq!(scores(&[0.5; 4], &[0.5; 9]).auc(), Some(0.5));
        assert_eq!(scores(&[0.5], &[]).auc(), None);
    }

    #[test]
    fn the_interval_is_that_of_the_paper() {
        // Their example: 51 abnormal and 58 normal images, an area of 0.893, a standard error of 0.032.
        let mut scores = Scores::default();
        // Pairs in which the attack wins: 0.893 of 51 times 58, in whole attacks and one in between.
        for n in 0..58 {
            scores.add(f64::from(n), false);
        }
        for n in 0..51 {
            scores.add(if n < 45 { 100.0 } else { 5.5 }, true);
        }
        let (area, (low, high)) = (scores.auc().unwrap(), scores.auc_interval().unwrap());
        assert!((area - 0.8945).abs() < 0.001, "{area}");
        let error = (high - low) / 2.0 / 1.96;
        assert!((error - 0.0323).abs() < 0.0005, "{error}");
        let certain = Scores { attacks: vec![1.0], benign: vec![0.0] };
        assert_eq!((certain.auc(), certain.auc_interval()), (Some(1.0), None));
    }

    #[test]
    fn a_rate_is_never_passed_also_with_ties() {
        let benign: Vec<f64> = (0..100).map(|n| if n < 5 { 0.9 } else { f64::from(n) / 1000.0 }).collect();
        let scores = scores(&[0.95, 0.9, 0.5, 0.05], &benign);
        // One of a hundred may be called an attack, but five have the same score.
        let at = scores.at_rate(0.01).unwrap();
        assert_eq!((at.false_alarms.found, at.recall.found), (0, 1));
        let at = scores.at_rate(0.05).unwrap();
        assert_eq!((at.false_alarms.found, at.recall.found), (5, 3));
        let at = scores.at_rate(1.0);
        assert_eq!(at, None, "every threshold will do");
    }

    #[test]
    fn the_curve_goes_from_corner_to_corner() {
        let curve = scores(&[0.9, 0.4], &[0.1, 0.4]).curve();
        assert_eq!(curve.first(), Some(&Point { false_alarms: 0.0, recall: 0.0 }));
        assert_eq!(curve.last(), Some(&Point { false_alarms: 1.0, recall: 1.0 }));
        assert!(
            curve.windows(2).all(|two| two[0].recall <= two[1].recall && two[0].false_alarms <= two[1].false_alarms)
        );
    }
}
