//! Checksums and structure rules of numbers that states and banks give out. Digits come as ASCII, without separators.

pub(crate) use plugin_text::luhn;

/// Letters of the Spanish identity number, by its remainder of 23.
const DNI: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
/// Letters that stand for the twelve months in an Italian fiscal code.
const CF_MONTHS: &[u8; 12] = b"ABCDEHLMPRST";
/// What a character at an odd place of an Italian fiscal code counts: digits and the first ten letters, then K to Z.
const CF_ODD: [u32; 26] =
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
/// Letters in place of the digits 0 to 9 in a fiscal code that two people would share.
const CF_DIGITS: &[u8; 10] = b"LMNPQRSTUV";

/// ISO 13616 with ISO 7064 mod 97-10, over capital letters and digits: the first four characters go to the end.
pub(crate) fn iban(text: &[u8]) -> bool {
    let (Some(head), Some(rest)) = (text.get(..4), text.get(4..)) else { return false };
    mod97(rest.iter().chain(head)) == Some(1)
}

/// Verhoeff's scheme over the dihedral group of ten elements, check digit last (Aadhaar).
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    const STEP: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    // A turn (0 to 4) or a reflection (5 to 9) after another one.
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - b) % 5,
        (false, false) => (5 + a - b) % 5,
    };
    let permuted = |digit: u32, times: usize| {
        (0..times).fold(digit, |digit, _| STEP.get(digit as usize).copied().unwrap_or_default())
    };
    values(digits).rev().enumerate().fold(0, |sum, (at, digit)| product(sum, permuted(digit, at % 8))) == 0
}

/// NHS number: weights 10 to 2, modulus 11.
pub(crate) fn nhs(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
    // 10 is given to nobody.
    values(digits).nth(9) == Some((11 - sum % 11) % 11)
}

/// German tax identification number: ISO 7064 mod 11,10, and of the first ten digits exactly one comes more than once,
/// two or three times (not three in a row).
pub(crate) fn de_tax_id(digits: &[u8]) -> bool {
    let Some((last, body)) = digits.split_last().filter(|(_, body)| body.len() == 10) else { return false };
    if body.first() == Some(&b'0') {
        return false;
    }
    let count = |digit: u8| body.iter().filter(|one| **one == digit).count();
    let often: Vec<usize> = (b'0'..=b'9').map(count).filter(|count| *count > 1).collect();
    let in_a_row = body.windows(3).any(|three| three.iter().all(|one| Some(one) == three.first()));
    if !matches!(often[..], [2] | [3]) || in_a_row {
        return false;
    }
    let product = values(body).fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        2 * if sum == 0 { 10 } else { sum } % 11
    });
    u32::from(*last - b'0') == (11 - product) % 10
}

/// French social security number of 13 digits and a key of two: modulus 97, month, department. Corsica's `2A` and `2B` come
/// as the digits 19 and 18 in `digits`.
pub(crate) fn nir(digits: &[u8]) -> bool {
    let (Some(body), Some(key)) = (digits.get(..13), digits.get(13..15)) else { return false };
    nir_body(body) && mod97(body.iter()).is_some_and(|rest| 97 - rest == number(key))
}

/// The thirteen digits of a French social security number: sex, month, department.
pub(crate) fn nir_body(digits: &[u8]) -> bool {
    let (Some(sex), Some(month), Some(place)) = (digits.first(), digits.get(3..5), digits.get(5..7)) else {
        return false;
    };
    // Months from 20 on stand for civil records that are incomplete.
    let month = matches!(number(month), 1..=12 | 20..=42 | 50..=99);
    digits.len() == 13 && matches!(sex, b'1' | b'2' | b'7' | b'8') && month && number(place) > 0
}

/// Spanish DNI (eight digits) or NIE (X, Y or Z and seven digits) with its letter.
pub(crate) fn dni(text: &[u8]) -> bool {
    let Some((letter, body)) = text.split_last().filter(|(_, body)| body.len() == 8) else { return false };
    let mut digits = body.to_vec();
    if let Some(first) = digits.first_mut().filter(|first| matches!(first, b'X'..=b'Z')) {
        *first = *first - b'X' + b'0';
    }
    digits.iter().all(u8::is_ascii_digit) && DNI.get((number(&digits) % 23) as usize) == Some(letter)
}

/// Italian fiscal code of a person, sixteen capital letters and digits.
pub(crate) fn fiscal_code(text: &[u8]) -> bool {
    let Some((last, body)) = text.split_last().filter(|(_, body)| body.len() == 15) else { return false };
    let digit = |at: usize| {
        let byte = body.get(at).copied()?;
        match byte {
            b'0'..=b'9' => Some(u32::from(byte - b'0')),
            _ => CF_DIGITS.iter().position(|one| *one == byte).map(|digit| digit as u32),
        }
    };
    let letters = [0, 1, 2, 3, 4, 5, 8, 11].iter().all(|at| body.get(*at).is_some_and(u8::is_ascii_uppercase));
    let numbers = [6, 7, 9, 10, 12, 13, 14].iter().all(|at| digit(*at).is_some());
    let month = body.get(8).is_some_and(|month| CF_MONTHS.contains(month));
    // Women have 40 added to their day.
    let day = digit(9).zip(digit(10)).map(|(tens, ones)| 10 * tens + ones);
    if !letters || !numbers || !month || !day.is_some_and(|day| matches!(day, 1..=31 | 41..=71)) {
        return false;
    }
    let rank = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
    let sum: u32 = body
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            let rank = rank(*byte);
            if at % 2 == 0 { CF_ODD.get(rank as usize).copied().unwrap_or_default() } else { rank }
        })
        .sum();
    last.is_ascii_uppercase() && rank(*last) == sum % 26
}

/// Dutch citizen service number: weights 9 to 2 and -1, modulus 11. Eight digits have lost a leading zero.
pub(crate) fn bsn(digits: &[u8]) -> bool {
    let mut padded = vec![b'0'; 9_usize.saturating_sub(digits.len())];
    padded.extend(digits);
    let sum = weighted(&padded, &[9, 8, 7, 6, 5, 4, 3, 2]);
    let last = values(&padded).next_back().unwrap_or_default();
    padded.len() == 9 && sum > 0 && sum % 11 == last
}

/// Polish personal number: weights 1, 3, 7, 9, and a date whose month carries the century.
pub(crate) fn pesel(digits: &[u8]) -> bool {
    let (Some(month), Some(day)) = (digits.get(2..4).map(number), digits.get(4..6).map(number)) else { return false };
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    (1..=12).contains(&(month % 20)) && (1..=31).contains(&day) && values(digits).nth(10) == Some((10 - sum % 10) % 10)
}

/// Swedish personal number, ten digits or twelve with the century: a date (60 added to the day of a coordination number)
/// and Luhn over the last ten.
pub(crate) fn personnummer(digits: &[u8]) -> bool {
    let ten = match digits.len() {
        12 if matches!(digits.get(..2), Some(b"18" | b"19" | b"20")) => digits.get(2..),
        10 => Some(digits),
        _ => None,
    };
    ten.is_some_and(|ten| {
        let part = |from: usize| ten.get(from..from + 2).map_or(0, number);
        (1..=12).contains(&part(2)) && matches!(part(4), 1..=31 | 61..=91) && luhn(ten)
    })
}

/// Aadhaar: Verhoeff, and no number begins with 0 or 1.
pub(crate) fn aadhaar(digits: &[u8]) -> bool {
    digits.first().is_some_and(|first| *first > b'1') && verhoeff(digits)
}

/// Brazilian CPF: two check digits, modulus 11.
pub(crate) fn cpf(digits: &[u8]) -> bool {
    !same(digits)
        && brazilian(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2], 9)
        && brazilian(digits, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2], 10)
}

/// Brazilian CNPJ of digits: two check digits, modulus 11.
pub(crate) fn cnpj(digits: &[u8]) -> bool {
    !same(digits)
        && brazilian(digits, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], 12)
        && brazilian(digits, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], 13)
}

/// Canadian social insurance number: Luhn; 0 and 8 begin no number of a person.
pub(crate) fn sin(digits: &[u8]) -> bool {
    digits.first().is_some_and(|first| !matches!(first, b'0' | b'8')) && luhn(digits)
}

/// Australian tax file number of nine digits, or eight of the older ones: modulus 11.
pub(crate) fn tfn(digits: &[u8]) -> bool {
    let sum = match digits.len() {
        9 => weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]),
        8 => weighted(digits, &[10, 7, 8, 4, 6, 3, 5, 1]),
        _ => 1,
    };
    sum > 0 && sum % 11 == 0
}

/// Australian Medicare card number: first digit 2 to 6, weights 1, 3, 7, 9, then check digit, issue and, if there, the place
/// on the card.
pub(crate) fn medicare(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9]);
    let counted = digits.get(9..).is_some_and(|rest| !rest.is_empty() && !rest.contains(&b'0'));
    matches!(digits.first(), Some(b'2'..=b'6')) && values(digits).nth(8) == Some(sum % 10) && counted
}

/// US social security number as given out since 2011: no area 000, 666 or from 900 on, no group 00, no serial 0000.
pub(crate) fn ssn(digits: &[u8]) -> bool {
    let (Some(area), Some(group), Some(serial)) = (digits.get(..3), digits.get(3..5), digits.get(5..9)) else {
        return false;
    };
    let area = number(area);
    area != 0 && area != 666 && area < 900 && group != b"00" && serial != b"0000"
}

/// US individual taxpayer number: 9 first, fourth and fifth digit in the ranges of the tax authority.
pub(crate) fn itin(digits: &[u8]) -> bool {
    let group = digits.get(3..5).map_or(0, number);
    digits.first() == Some(&b'9') && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// UK national insurance number, nine capital letters and digits: prefixes that are never given out, suffix A to D.
pub(crate) fn nino(text: &[u8]) -> bool {
    let [first, second, digits @ .., last] = text else { return false };
    let never: &[&[u8; 2]] = &[b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    let letter = |byte: &u8, not: &[u8]| byte.is_ascii_uppercase() && !not.contains(byte);
    letter(first, b"DFIQUV")
        && letter(second, b"DFIQUVO")
        && !never.contains(&&[*first, *second])
        && digits.len() == 6
        && digits.iter().all(u8::is_ascii_digit)
        && matches!(last, b'A'..=b'D')
}

/// Whether all characters are the same.
pub(crate) fn same(digits: &[u8]) -> bool {
    digits.iter().all(|digit| Some(digit) == digits.first())
}

/// The number that ASCII digits write; what does not fit is cut off at the front.
pub(crate) fn number(digits: &[u8]) -> u32 {
    values(digits).fold(0, |number: u32, digit| number.wrapping_mul(10).wrapping_add(digit))
}

fn values(digits: &[u8]) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + '_ {
    digits.iter().map(|digit| u32::from(digit.wrapping_sub(b'0')) % 10)
}

fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    values(digits).zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn brazilian(digits: &[u8], weights: &[u32], check: usize) -> bool {
    let rest = weighted(digits, weights) % 11;
    values(digits).nth(check) == Some(if rest < 2 { 0 } else { 11 - rest })
}

/// Remainder of 97 of capital letters (10 to 35) and digits; none for other bytes.
fn mod97<'a>(mut text: impl Iterator<Item = &'a u8>) -> Option<u32> {
    text.try_fold(0, |rest, byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((rest * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
