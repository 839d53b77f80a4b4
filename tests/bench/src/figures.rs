//! Figures with their ranges.

use std::fmt;

/// Several runs of one measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figure(Vec<f64>);

impl From<Vec<f64>> for Figure {
    fn from(runs: Vec<f64>) -> Self {
        Self(runs)
    }
}

impl Figure {
    /// Before the first run.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The median alone.
    pub(crate) fn one(&self) -> String {
        short(self.median())
    }

    pub(crate) fn median(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// The value below which a share of the values lies.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
    let index = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// `median [least to most]`, with digits that fit the size.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else { return write!(f, "-") };
        write!(f, "{} [{} to {}]", short(self.median()), short(*least), short(*most))
    }
}

fn short(value: f64) -> String {
    if value >= 1000.0 {
        let whole = format!("{value:.0}");
        let head = whole.len() % 3;
        let mut out = String::new();
        for (position, digit) in whole.chars().enumerate() {
            if position > 0 && position % 3 == head {
                out.push(',');
            }
            out.push(digit);
        }
        out
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_show_median_and_range() {
        assert_eq!(Figure(vec![3.0, 1.0, 2.0]).to_string(), "2.00 [1.00 to 3.00]");
        assert_eq!(Figure(vec![12345.6, 999.0, 1_234_567.0]).to_string(), "12,346 [999 to 1,234,567]");
        assert_eq!(quantile(&(0..=100).map(f64::from).collect::<Vec<_>>(), 0.99), 99.0);
    }
}
