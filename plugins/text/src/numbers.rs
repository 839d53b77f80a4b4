//! Numbers that are more than digits.

/// ISO/IEC 7812-1 annex B over ASCII digits: their sum, every second one from the right doubled, ends in 0.
pub fn luhn(digits: &[u8]) -> bool {
    let doubled = |(at, digit): (usize, u32)| if at % 2 == 0 { digit } else { 2 * digit - 9 * u32::from(digit > 4) };
    let values = digits.iter().rev().map(|digit| u32::from(digit.wrapping_sub(b'0') % 10));
    values.enumerate().map(doubled).sum::<u32>().is_multiple_of(10)
}
