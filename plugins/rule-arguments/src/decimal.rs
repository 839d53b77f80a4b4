//! Numbers as they are written: no digit is lost, whatever their size.

use std::cmp::Ordering;

/// Exponents beyond this are this: nobody tells such numbers apart.
const MAX_EXPONENT: i64 = 1 << 40;

/// The sign, and 0.DIGITS times ten to the exponent. Neither end of the digits is a zero; zero has none and is positive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// Reads a number as JSON writes it; a plus sign and leading zeros are taken, too.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, power) =
            text.split_once(['e', 'E']).map_or((text, None), |(before, after)| (before, Some(after)));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let power = power.map_or(Some(0), exponent)?;
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let zeros = all.iter().take_while(|digit| **digit == b'0').count();
        let end = all.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        let digits = all.get(zeros..end).unwrap_or_default().to_vec();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let place = |count: usize| i64::try_from(count).unwrap_or(MAX_EXPONENT);
        let exponent = power.saturating_add(place(whole.len())).saturating_sub(place(zeros));
        Some(Self { negative, digits, exponent: exponent.clamp(-MAX_EXPONENT, MAX_EXPONENT) })
    }

    pub(crate) fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let signs = sign(self).cmp(&sign(other));
        let size = self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        signs.then(if self.negative { size.reverse() } else { size })
    }
}

fn exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(MAX_EXPONENT).min(MAX_EXPONENT);
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_what_they_are_worth() {
        let order = |a: &str, b: &str| Decimal::parse(a).unwrap().cmp(&Decimal::parse(b).unwrap());
        for (a, b) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("-0", "0.00"),
            ("0.5", ".5"),
            ("1E+2", "100.000"),
            ("007", "7"),
            ("+5", "5."),
        ] {
            assert_eq!(order(a, b), Ordering::Equal, "{a} {b}");
        }
        for (small, large) in [
            ("9007199254740992", "9007199254740993"),
            ("-2", "-1"),
            ("-1", "0"),
            ("0", "1e-400"),
            ("9", "10"),
            ("0.09", "0.1"),
            ("1.5", "1.50000000000000000001"),
            ("1e99", "1e100"),
            ("-1e100", "1e-100"),
            ("5", "1e99999999999999999999"),
        ] {
            assert_eq!(order(small, large), Ordering::Less, "{small} {large}");
            assert_eq!(order(large, small), Ordering::Greater, "{large} {small}");
        }
        for text in ["", "-", ".", "e5", "1e", "1e+", "1.2.3", "0x10", "1_000", "NaN", "Infinity", "1 2", "--1", "１"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
