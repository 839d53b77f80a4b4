//! Telephone numbers: international (E.164) and national forms.

use std::borrow::Cow;

use crate::checksum::{number, same};
use crate::context::{Context, Topics};
use crate::hit::{Hit, LABELLED};
use crate::kind::{Kind, Region};
use crate::number::{Number, byte, byte_before, is_tail, is_word};

/// Score of an international number, and of a number that only its label makes one.
const INTERNATIONAL: f32 = 0.9;
const UNKNOWN_FORM: f32 = 0.7;
/// Score of what stands beside a word like `call` instead of a label.
const CALLED: f32 = 0.6;
/// Most digits of a number with its calling code.
const LONGEST: usize = 15;

/// Groups of national numbers that begin without a zero, as [`Number::shape`] tells.
const SHAPES: [u32; 13] = [0x28, 0x36, 0x37, 0x55, 0x244, 0x254, 0x333, 0x334, 0x344, 0x1334, 0x2322, 0x3222, 0x13322];

/// The number that begins with the groups of `number`.
pub(crate) fn find(bytes: &[u8], number: &Number, regions: &[Region], context: &mut Context<'_>) -> Option<Hit> {
    let first = number.groups.first()?;
    let mut start = first.start;
    // `(+44)`, `+(44)`, `+44`, `(020)`.
    let mut plus = false;
    let mut paren = false;
    for _ in 0..2 {
        match byte_before(bytes, start) {
            b'+' if !plus => plus = true,
            b'(' if !paren && byte(bytes, first.end) == b')' => paren = true,
            _ => break,
        }
        start -= 1;
    }
    let before = byte_before(bytes, start);
    if is_tail(bytes, start) || b"#$/\\+=".contains(&before) && !(plus || before == b'=') {
        return None;
    }
    let area = |count: usize| paren || number.groups.iter().take(count).skip(1).any(|group| group.sep == b'(');
    let mut best = None;
    let mut address = None;
    for count in (1..=number.groups.len()).rev() {
        if !number.ends(bytes, count) || byte(bytes, number.groups.get(count - 1)?.end) == b'%' {
            continue;
        }
        let end = number.groups.get(count - 1)?.end;
        let total = number.digits(count).len();
        // Most numbers end here: too short, or in groups that no number has, without a word that calls it one.
        let formed =
            plus || number.digits(1).first() == Some(&b'0') || SHAPES.binary_search(&number.shape(count)).is_ok();
        if !(7..=LONGEST + 3).contains(&total)
            || !(formed
                || *address.get_or_insert_with(|| beside_address(bytes, start))
                || context.around(start, end).any(Topics::PHONE.and(Topics::CALL).and(Topics::CALLED)))
        {
            continue;
        }
        let digits = trunk_dropped(bytes, number, count);
        let total = digits.len();
        if same(&digits) {
            continue;
        }
        let abroad = if plus { Some(&digits[..]) } else { digits.strip_prefix(b"00").filter(|rest| rest.len() >= 10) };
        let found = match abroad {
            Some(abroad) => international(abroad).map(|found| match (plus, count) {
                (true, _) => found,
                // Other numbers begin with zeros, too.
                (_, 1) => Found { score: 0.3, ..found },
                _ => Found { score: 0.65, ..found },
            }),
            None => {
                let known = national(number, count, &digits, area(count), regions);
                // Whoever names countries wants the forms of those only.
                let all = regions.len() == Region::ALL.len();
                let other = if all { elsewhere(number, count, &digits, area(count)) } else { None };
                match (known, other) {
                    (Some(known), Some(other)) if known.score < other.score => Some(other),
                    (known, other) => known.or(other),
                }
            }
        };
        if let Some(found) = found {
            best = Some((found, start..end, digits));
            break;
        }
        if best.is_none() && total <= LONGEST && (plus || plausible(number, count, total)) {
            let name = [if plus { &b"+"[..] } else { b"" }, &digits].concat();
            let fictional = is_sequence(&digits);
            best = Some((Found { score: 0.0, name, fictional }, start..end, digits));
        }
    }
    let (found, range, digits) = best?;
    let mut topics = context.around(range.start, range.end);
    if address.unwrap_or_else(|| beside_address(bytes, range.start)) {
        topics = topics.and(Topics::CALL);
    }
    let grouped = digits.len() < range.len();
    let called = topics.any(Topics::CALL) || (grouped && topics.any(Topics::CALLED));
    let score = match (found.score > 0.0, topics.any(Topics::PHONE), called) {
        (true, true, _) => LABELLED.max(found.score),
        // Digits without any group need more than a structure.
        (true, false, true) => found.score.max(if grouped { 0.75 } else { CALLED }),
        // `the line is +90 529 …`: a word such as this takes less from a number that says itself what it is.
        (true, false, false) if context.is_other(range.start) => found.score * if plus { 0.7 } else { 0.5 },
        (true, false, false) => found.score,
        (false, true, _) => UNKNOWN_FORM,
        (false, false, true) if grouped => CALLED,
        _ => 0.0,
    };
    let range = range.start..extended(bytes, range.end);
    (score > 0.0).then_some(Hit { kind: Kind::Phone, range, score, name: found.name, quiet: found.fictional })
}

/// A number whose form is known.
struct Found {
    /// Without any label.
    score: f32,
    /// The same for every way to write it: `+` and the digits.
    name: Vec<u8>,
    /// From a range that is kept free for films and books.
    fictional: bool,
}

/// Whether an e-mail address stands right before a number, as where people can be reached: `ana@corp.test, 980 93 497`.
fn beside_address(bytes: &[u8], start: usize) -> bool {
    let before = bytes.get(start.saturating_sub(48)..start).unwrap_or_default();
    let gap = before.iter().rev().take(6).take_while(|byte| b" \t\r\n,;|>)/-:(".contains(byte)).count();
    let rest = before.get(..before.len() - gap).unwrap_or_default();
    let word = rest.iter().rev().take_while(|byte| is_word(**byte) || b".-@+".contains(byte));
    gap > 0 && gap < 6 && word.filter(|byte| **byte == b'@').count() == 1
}

/// The digits of the first `count` groups without the `(0)` of `+41 (0)71 …`.
fn trunk_dropped<'a>(bytes: &[u8], number: &'a Number, count: usize) -> Cow<'a, [u8]> {
    let mut digits = Cow::Borrowed(number.digits(count));
    let trunk = number.groups.iter().take(count).skip(1).find(|group| {
        group.end - group.start == 1
            && byte(bytes, group.start) == b'0'
            && byte_before(bytes, group.start) == b'('
            && byte(bytes, group.end) == b')'
    });
    if let Some(group) = trunk {
        digits.to_mut().remove(group.total - 1);
    }
    digits
}

/// `digits` begin with a calling code.
fn international(digits: &[u8]) -> Option<Found> {
    let code = calling_code(digits)?;
    let rest = digits.get(code..)?;
    let country = Region::ALL.iter().find(|region| digits.get(..code) == Some(region.calling_code()));
    let fits = match country {
        Some(region) => significant(*region, rest),
        // No subscriber number is shorter, and none is longer with its code.
        None => rest.len() >= 6 && digits.len() <= LONGEST && rest.first() != Some(&b'0'),
    };
    let name = [b"+", digits].concat();
    let fictional = is_sequence(rest) || country.is_some_and(|region| is_fictional(*region, rest));
    fits.then_some(Found { score: INTERNATIONAL, name, fictional })
}

/// Whether `digits` are a national number of `region` without its trunk prefix.
fn significant(region: Region, digits: &[u8]) -> bool {
    let length = digits.len();
    let first = digits.first().copied().unwrap_or_default();
    match region {
        Region::Us | Region::Ca => nanp(digits),
        Region::Uk => matches!(first, b'1'..=b'3' | b'5' | b'7'..=b'9') && matches!(length, 9 | 10),
        Region::De => first != b'0' && matches!(length, 6..=12),
        Region::Fr => first != b'0' && length == 9,
        Region::Es => matches!(first, b'6'..=b'9') && length == 9,
        // The zero of Italian land lines is part of the number.
        Region::It => matches!((first, length), (b'0', 6..=11) | (b'3', 9 | 10)),
        Region::Nl => first != b'0' && matches!(length, 9 | 10),
        Region::Pl => first > b'0' && length == 9,
        Region::Se => first != b'0' && matches!(length, 7..=9),
        Region::In => first > b'0' && length == 10,
        Region::Au => matches!(first, b'2' | b'3' | b'4' | b'7' | b'8') && length == 9,
        Region::Br => matches!(length, 10 | 11) && !digits.iter().take(2).any(|digit| *digit == b'0'),
    }
}

/// North American numbering plan: area and exchange begin with 2 to 9, neither is a service code, no area has 9 in the middle.
fn nanp(digits: &[u8]) -> bool {
    let (Some(area), Some(exchange)) = (digits.get(..3), digits.get(3..6)) else { return false };
    let begins = |code: &[u8]| code.first().is_some_and(|first| *first >= b'2') && !code.ends_with(b"11");
    digits.len() == 10 && begins(area) && begins(exchange) && area.get(1) != Some(&b'9')
}

/// The best national form of the regions, by structure and grouping. Numbers without groups need a label.
fn national(number: &Number, count: usize, digits: &[u8], area: bool, regions: &[Region]) -> Option<Found> {
    let mut best: Option<Found> = None;
    for region in regions {
        let trunk = match region {
            Region::Us | Region::Ca => usize::from(digits.len() == 11 && digits.first() == Some(&b'1')),
            Region::Es | Region::It | Region::Pl => 0,
            Region::Br => usize::from(digits.len() > 11 && digits.first() == Some(&b'0')),
            Region::In => usize::from(digits.len() == 11 && digits.first() == Some(&b'0')),
            // Two zeros lead abroad.
            _ if digits.first() == Some(&b'0') && digits.get(1) != Some(&b'0') => 1,
            _ => continue,
        };
        let Some(rest) = digits.get(trunk..).filter(|rest| significant(*region, rest)) else { continue };
        let score = grouped(*region, number, count, rest, area);
        if best.as_ref().is_none_or(|best| best.score < score) {
            let name = [b"+", region.calling_code(), rest].concat();
            best = Some(Found { score, name, fictional: is_sequence(rest) || is_fictional(*region, rest) });
        }
    }
    best
}

/// Forms of the other countries that nothing but a telephone number has: in groups, with the zero that is dialled within a
/// country before the area, or an area that only mobile telephones have.
fn elsewhere(number: &Number, count: usize, digits: &[u8], area: bool) -> Option<Found> {
    let shape = number.shape(count);
    let spaces = number.groups.iter().take(count).skip(1).all(|group| group.sep == b' ' && !group.wide);
    let hyphens = number.groups.iter().take(count).skip(1).all(|group| group.sep == b'-' && !group.wide);
    let short = number.groups.iter().take(count).skip(1).all(|group| (2..=4).contains(&(group.end - group.start)));
    let score = match digits {
        // Russia and its neighbours: `8 (912) 345-67-89`.
        [b'8', b'3' | b'4' | b'8' | b'9', ..] if area && shape == 0x13322 => 0.75,
        // Zero and an area: `0664 123 4567`, `079 123 45 67`, `02 345 67 89`.
        [b'0', b'1'..=b'9', ..] if spaces && short && count >= 3 && (9..=11).contains(&digits.len()) => 0.6,
        // Japan, Korea, Israel, South Africa: `090-1234-5678`, `052-123-4567`.
        [b'0', b'2'..=b'9', ..] if hyphens && matches!(shape, 0x344 | 0x334 | 0x244) => 0.6,
        // Mobile numbers in China.
        [b'1', b'3'..=b'9', ..] if (spaces || hyphens) && shape == 0x344 => 0.6,
        _ => return None,
    };
    Some(Found { score, name: digits.to_vec(), fictional: is_sequence(digits) })
}

/// How sure the grouping makes a number that the structure allows.
fn grouped(region: Region, number: &Number, count: usize, rest: &[u8], area: bool) -> f32 {
    let shape = number.shape(count);
    let signs = number.groups.iter().take(count).skip(1).any(|group| group.sep != b' ');
    let of = |shapes: &[u32]| shapes.contains(&shape);
    let first = number.groups.first().map_or(0, |group| group.end - group.start);
    let mobile = rest.first();
    // Digits in a row are everything else, too.
    let lone = 0.3;
    if count == 1 {
        return if region == Region::Uk && mobile == Some(&b'7') { 0.45 } else { lone };
    }
    match region {
        Region::Us | Region::Ca if area && of(&[0x37]) => 0.65,
        Region::Us | Region::Ca if of(&[0x334, 0x1334]) => match (area, signs) {
            (true, _) => 0.75,
            (_, true) => 0.65,
            _ => 0.45,
        },
        Region::Uk if of(&[0x56, 0x344, 0x434, 0x533, 0x47, 0x38, 0x55, 0x46]) => {
            if area {
                0.75
            } else {
                0.6
            }
        }
        // An area code and the rest in one or more groups; three even groups are an article number as well.
        Region::De if (3..=5).contains(&first) && rest.len() >= 8 && (count == 2 || area) => {
            if signs || area {
                0.6
            } else {
                0.5
            }
        }
        Region::Fr if of(&[0x22222]) => 0.75,
        Region::Es if of(&[0x3222, 0x2322]) => 0.6,
        Region::Es if of(&[0x333]) => 0.4,
        Region::It if of(&[0x37, 0x334, 0x28, 0x46, 0x47, 0x36]) => 0.5,
        Region::Nl if of(&[0x28, 0x37, 0x46, 0x244, 0x334, 0x22222]) => 0.6,
        Region::Pl if of(&[0x333, 0x2322]) => 0.4,
        Region::Se if signs && of(&[0x28, 0x37, 0x432, 0x2332, 0x2222, 0x3222, 0x3322]) => 0.6,
        Region::In if of(&[0x55, 0x65]) && rest.first() > Some(&b'5') => 0.6,
        Region::In if of(&[0x38, 0x47]) => 0.5,
        Region::Au if of(&[0x433, 0x244]) => {
            if area {
                0.75
            } else {
                0.65
            }
        }
        Region::Br if of(&[0x254]) && rest.get(2) == Some(&b'9') => {
            if area {
                0.8
            } else {
                0.65
            }
        }
        Region::Br if of(&[0x244]) && area => 0.7,
        _ => lone,
    }
}

/// Whether digits that fit no known form may be a number where a label says so.
fn plausible(number: &Number, count: usize, total: usize) -> bool {
    if count == 1 {
        (7..=13).contains(&total)
    } else {
        number.groups.iter().take(count).all(|group| group.end - group.start <= 8)
    }
}

/// Ranges that the authorities keep free for films, books and examples. `digits` have no trunk prefix.
fn is_fictional(region: Region, digits: &[u8]) -> bool {
    let starts: &[&[u8]] = match region {
        Region::Us | Region::Ca => {
            return digits.starts_with(b"555")
                || digits.get(3..8) == Some(b"55501")
                || (digits.get(3..6) == Some(b"555") && digits.get(6..).is_some_and(same));
        }
        Region::Uk => &[
            b"1134960", b"1144960", b"1154960", b"1164960", b"1174960", b"1184960", b"1214960", b"1314960", b"1414960",
            b"1514960", b"1614960", b"2079460", b"1914980", b"2896496", b"2920180", b"1632960", b"7700900", b"8081570",
            b"9098790", b"3069990",
        ],
        Region::De => &[b"3023125", b"6990009", b"4066969", b"2214710", b"8999998", b"15228817386", b"1713920"],
        Region::Fr => &[b"19900", b"26191", b"35301", b"46571", b"53649", b"63998"],
        Region::Au => &[
            b"25550", b"27010", b"35550", b"37010", b"75550", b"77010", b"85550", b"87010", b"4915700", b"491571",
            b"491572", b"4915731", b"4915737", b"4915742", b"4915747",
        ],
        Region::Se => &[b"313900600", b"40628045", b"8465004", b"980319", b"701740605"],
        _ => &[],
    };
    starts.iter().any(|start| digits.starts_with(start))
}

/// Whether somebody counted instead of writing a number.
fn is_sequence(digits: &[u8]) -> bool {
    digits.windows(7).any(|seven| seven == b"1234567" || seven == b"2345678")
}

/// Length of the calling code at the start of `digits`, of those that the ITU has assigned.
fn calling_code(digits: &[u8]) -> Option<usize> {
    let first = digits.get(..3).map(number)?;
    match first {
        100..=199 | 700..=799 => Some(1),
        200..=209 | 270..=289 | 300..=349 | 360..=369 | 390..=419 | 430..=499 | 510..=589 | 600..=669 => Some(2),
        810..=829 | 840..=849 | 860..=869 | 900..=959 | 980..=989 => Some(2),
        210..=269 | 290..=299 | 350..=359 | 370..=389 | 420..=429 | 500..=509 | 590..=599 | 670..=699 => Some(3),
        800 | 808 | 850..=859 | 870 | 878 | 880..=889 | 960..=979 | 992..=998 => Some(3),
        _ => None,
    }
}

/// The end with an extension: `x12`, ` ext. 12`.
fn extended(bytes: &[u8], end: usize) -> usize {
    let rest = bytes.get(end..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(12)).unwrap_or_default();
    let lead = rest.iter().take_while(|byte| **byte == b' ').count();
    let word = rest.get(lead..).unwrap_or_default();
    let mark = [&b"ext. "[..], b"ext.", b"ext ", b"x "].into_iter().find(|mark| word.starts_with(mark));
    let mark = mark.map(|mark| mark.len()).or_else(|| (word.first() == Some(&b'x')).then_some(1));
    let Some(from) = mark.map(|mark| lead + mark) else { return end };
    let digits = rest.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    let to = end + from + digits;
    if (1..=6).contains(&digits) && !is_word(byte(bytes, to)) { to } else { end }
}
