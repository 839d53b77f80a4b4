//! Payment cards: issuer, length, grouping, Luhn.

use crate::checksum::{luhn, number, same};
use crate::context::{Context, Topics};
use crate::hit::Hit;
use crate::kind::Kind;
use crate::number::{Number, byte, byte_before, is_tail};

/// Groups on cards, as [`Number::shape`] tells.
const CARD_SHAPES: [u32; 6] = [0x4444, 0x465, 0x464, 0x44443, 0x4441, 0x4443];
/// Score of a number beside its label that no known issuer has given out.
const UNKNOWN_ISSUER: f32 = 0.7;
/// Numbers that payment companies print for tests.
const TEST_CARDS: &[&[u8]] = &[
    b"30569309025904",
    b"3056930009020004",
    b"3530111333300000",
    b"3566002020360505",
    b"36227206271667",
    b"371449635398431",
    b"378282246310005",
    b"378734493671000",
    b"38520000023237",
    b"4000056655665556",
    b"4012888888881881",
    b"4111111111111111",
    b"4222222222222",
    b"4242424242424242",
    b"4917610000000000",
    b"5019717010103742",
    b"5105105105105100",
    b"5200828282828210",
    b"5425233430109903",
    b"5555555555554444",
    b"6011000990139424",
    b"6011111111111117",
    b"6304000000000000",
    b"6331101999990016",
    b"6759649826438453",
];

/// The card that begins with the groups of `number`.
pub(crate) fn find(bytes: &[u8], cards: &Number, context: &mut Context<'_>) -> Option<Hit> {
    let first = cards.groups.first()?;
    if is_tail(bytes, first.start) {
        return None;
    }
    (1..=cards.groups.len()).rev().find_map(|count| {
        let digits = cards.digits(count);
        if !(12..=19).contains(&digits.len()) {
            return None;
        }
        let solid = count == 1;
        let shaped = cards.is_even(count) && CARD_SHAPES.contains(&cards.shape(count));
        if !(solid || shaped) || !cards.ends(bytes, count) {
            return None;
        }
        if !luhn(digits) || same(digits) {
            return None;
        }
        let end = cards.groups.get(count - 1)?.end;
        let Some(issued) = issuer(digits) else {
            let labelled = (14..=16).contains(&digits.len()) && context.beside(first.start).any(Topics::CARD);
            let (range, name) = (first.start..end, digits.to_vec());
            return labelled.then_some(Hit { kind: Kind::Card, range, score: UNKNOWN_ISSUER, quiet: false, name });
        };
        let mut score = match (shaped, digits.len(), issued) {
            (true, ..) if cards.goes_on_evenly(count) => 0.7,
            (true, ..) => 0.95,
            (_, 14..=16, Issuer::Common) => 0.85,
            (_, 14..=16, Issuer::Rare) => 0.6,
            (_, 13 | 17..=19, _) => 0.5,
            _ => 0.3,
        };
        let labelled = context.around(first.start, end).any(Topics::CARD);
        let path = byte_before(bytes, first.start) == b'/' || byte(bytes, end) == b'/';
        if labelled {
            score = 0.97;
        } else if path || context.is_other(first.start) {
            score *= 0.7;
        }
        let name = digits.to_vec();
        Some(Hit { kind: Kind::Card, range: first.start..end, score, quiet: is_example(&name), name })
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Issuer {
    Common,
    /// Its numbers begin like many others.
    Rare,
}

/// Who may have issued a card with this beginning and length (ISO/IEC 7812, as the networks publish their ranges).
fn issuer(digits: &[u8]) -> Option<Issuer> {
    use Issuer::{Common, Rare};
    let length = digits.len();
    let start = digits.get(..6).map(number)?;
    let (two, four) = (start / 10_000, start / 100);
    let found = match (four, length) {
        // Visa.
        (4000..=4999, 13 | 16 | 19) => Common,
        // Mastercard.
        (5100..=5599 | 2221..=2720, 16) => Common,
        // American Express.
        (_, 15) if matches!(two, 34 | 37) => Common,
        // Diners Club.
        (3000..=3059 | 3095 | 3600..=3699 | 3800..=3999, 14) => Common,
        (3000..=3059 | 3095 | 3600..=3699 | 3800..=3999, 16..=19) => Rare,
        // JCB.
        (3528..=3589, 16) | (1800 | 2131, 15) => Common,
        (3528..=3589, 17..=19) => Rare,
        // Discover.
        (6011 | 6440..=6599, 16) => Common,
        (6011 | 6440..=6599, 17..=19) => Rare,
        // UnionPay, RuPay.
        (6200..=6299, 16..=19) => Common,
        (6000..=6010 | 6012..=6099 | 8100..=8299 | 5080..=5089, 16) => Rare,
        // Mir, Troy, Elo, Hipercard.
        (2200..=2204 | 9792 | 5066 | 5067 | 6362 | 6363, 16) => Common,
        // Maestro and its kin.
        (5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763, 12..=19) => Rare,
        (5000..=5099 | 5600..=5899 | 6300..=6399 | 6700..=6799, 12..=19) => Rare,
        _ => return None,
    };
    Some(found)
}

fn is_example(digits: &[u8]) -> bool {
    // Issuers leave no eight zeros or other digits in a row.
    TEST_CARDS.contains(&digits) || digits.windows(8).any(same)
}
