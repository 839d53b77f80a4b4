//! A share and how sure it is.

use std::fmt;

use serde::Serialize;

/// Two-sided 95 % of the normal distribution.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Those that are.
    pub found: usize,
    /// All of them.
    pub of: usize,
}

impl Share {
    /// The share, from 0 to 1; none of nothing.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| number(self.found) / number(self.of))
    }

    /// Where it lies with 95 % confidence: the score interval of Wilson (1927), which holds for few and for extreme shares, too.
    #[must_use]
    pub fn interval(self) -> Option<(f64, f64)> {
        let (share, of) = (self.value()?, number(self.of));
        let (square, over) = (Z * Z, 1.0 + Z * Z / of);
        let middle = (share + square / (2.0 * of)) / over;
        let half = Z / over * (share * (1.0 - share) / of + square / (4.0 * of * of)).sqrt();
        Some(((middle - half).max(0.0), (middle + half).min(1.0)))
    }
}

/// For people: `94.1 % [89.2 to 97.0]`; `-` of nothing.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.value(), self.interval()) {
            (Some(value), Some((low, high))) => {
                write!(f, "{:.1} % [{:.1} to {:.1}]", value * 100.0, low * 100.0, high * 100.0)
            }
            _ => f.write_str("-"),
        }
    }
}

/// Counts are far below 2^53.
#[allow(clippy::cast_precision_loss, reason = "counts of texts are far below 2^53")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_wilson() {
        let (low, high) = Share { found: 8, of: 10 }.interval().unwrap();
        assert!((low - 0.490_162).abs() < 1e-5 && (high - 0.943_318).abs() < 1e-5, "{low} {high}");
        let (low, high) = Share { found: 0, of: 20 }.interval().unwrap();
        assert!(low == 0.0 && (high - 0.161_125).abs() < 1e-5, "{high}");
        assert_eq!(Share::default().interval(), None);
    }
}
