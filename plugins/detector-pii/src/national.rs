//! Bank account numbers and the numbers that states give their people.

use crate::checksum::{
    aadhaar, bsn, cnpj, cpf, de_tax_id, dni, fiscal_code, iban, itin, medicare, nhs, nino, nir, nir_body, personnummer,
    pesel, same, sin, ssn, tfn,
};
use crate::context::{Context, Topics};
use crate::hit::{Hit, LABELLED};
use crate::kind::Kind;
use crate::number::{Number, byte, byte_before, goes_on, is_tail, is_word};

/// A number of digits only.
pub(crate) struct Form {
    pub(crate) kind: Kind,
    length: usize,
    /// How it is written in groups, as [`Number::shape`] tells.
    shapes: &'static [u32],
    check: fn(&[u8]) -> bool,
    /// Score of digits in a row and of groups, both without a label. Where neither reaches the least score, a label it needs.
    solid: f32,
    shaped: f32,
}

const fn form(
    kind: Kind,
    length: usize,
    shapes: &'static [u32],
    check: fn(&[u8]) -> bool,
    solid: f32,
    shaped: f32,
) -> Form {
    Form { kind, length, shapes, check, solid, shaped }
}

/// How often a random number passes decides what a number without a label scores: one in 10 or 11 is nothing, one in 97 is
/// something.
pub(crate) const FORMS: &[Form] = &[
    form(Kind::UsSsn, 9, &[0x324], ssn, 0.0, 0.6),
    form(Kind::UsItin, 9, &[0x324], itin, 0.0, 0.6),
    form(Kind::UkNhs, 10, &[0x334], nhs, 0.3, 0.45),
    form(Kind::DeTaxId, 11, &[0x2333], de_tax_id, 0.45, 0.75),
    form(Kind::FrNir, 15, &[0x1222332, 0xd2], nir, 0.85, 0.95),
    form(Kind::FrNir, 13, &[0x122233], nir_body, 0.0, 0.5),
    form(Kind::NlBsn, 9, &[0x423, 0x333, 0x432], bsn, 0.3, 0.4),
    form(Kind::NlBsn, 8, &[0x233, 0x422], bsn, 0.0, 0.0),
    form(Kind::PlPesel, 11, &[], pesel, 0.45, 0.0),
    form(Kind::SePersonnummer, 10, &[0x64], personnummer, 0.4, 0.75),
    form(Kind::SePersonnummer, 12, &[0x84], personnummer, 0.6, 0.85),
    form(Kind::InAadhaar, 12, &[0x444], aadhaar, 0.4, 0.5),
    form(Kind::BrCpf, 11, &[0x3332, 0x92], cpf, 0.45, 0.9),
    form(Kind::BrCnpj, 14, &[0x23342, 0x842], cnpj, 0.6, 0.95),
    form(Kind::CaSin, 9, &[0x333], sin, 0.3, 0.5),
    form(Kind::AuTfn, 9, &[0x333], tfn, 0.3, 0.4),
    form(Kind::AuTfn, 8, &[0x233, 0x332, 0x323], tfn, 0.0, 0.0),
    form(Kind::AuMedicare, 10, &[0x451], medicare, 0.3, 0.85),
    form(Kind::AuMedicare, 11, &[0x4511, 0x452], medicare, 0.3, 0.85),
];

/// Score of a number that passes its check beside its label.
const CERTAIN: f32 = 0.95;

/// Numbers that offices and manuals print as examples.
const EXAMPLES: &[(Kind, &[&[u8]])] = &[
    (Kind::UsSsn, &[b"078051120", b"219099999", b"123456789", b"457555462", b"111223333", b"123121234"]),
    (Kind::UsItin, &[b"900700000", b"912345678"]),
    (Kind::CaSin, &[b"046454286", b"123456782", b"130692544"]),
    (Kind::UkNino, &[b"AB123456C", b"JG103759A", b"AA123456A", b"AA000000A"]),
    (Kind::UkNhs, &[b"9434765919", b"9434765870", b"4505577104", b"1234567881"]),
    (Kind::DeTaxId, &[b"86095742719", b"02476291358", b"65929970489", b"57549285017", b"12345678903", b"36574261809"]),
    (Kind::FrNir, &[b"255081416802538", b"269054958815780", b"2550814168025"]),
    (Kind::EsDni, &[b"12345678Z", b"00000000T", b"99999999R", b"11111111H"]),
    (Kind::EsNie, &[b"X1234567L", b"Y1234567X", b"Z1234567R", b"X0000000T"]),
    (Kind::ItFiscalCode, &[b"RSSMRA85T10A562S", b"MRTMTT91D08F205J", b"RSSMRA80A01H501U", b"RSSMRA70A01H501S"]),
    (Kind::NlBsn, &[b"111222333", b"123456782", b"999999990"]),
    (Kind::PlPesel, &[b"44051401359", b"44051401458", b"02070803628"]),
    (
        Kind::SePersonnummer,
        &[b"8112189876", b"198112189876", b"6408233234", b"196408233234", b"1212121212", b"191212121212"],
    ),
    (Kind::InAadhaar, &[b"999999990019", b"234123412346", b"234567890124"]),
    (Kind::BrCpf, &[b"11144477735", b"12345678909", b"52998224725"]),
    (Kind::BrCnpj, &[b"11222333000181", b"11444777000161"]),
    (Kind::AuTfn, &[b"123456782", b"876543210"]),
    (Kind::AuMedicare, &[b"2123456701", b"21234567011"]),
    (
        Kind::Iban,
        &[
            b"GB82WEST12345698765432",
            b"GB29NWBK60161331926819",
            b"GB33BUKB20201555555555",
            b"DE89370400440532013000",
            b"DE75512108001245126199",
            b"FR1420041010050500013M02606",
            b"FR7630006000011234567890189",
            b"ES9121000418450200051332",
            b"ES7921000813610123456789",
            b"IT60X0542811101000000123456",
            b"NL91ABNA0417164300",
            b"BE68539007547034",
            b"CH9300762011623852957",
            b"AT611904300234573201",
            b"PL61109010140000071219812874",
            b"SE4550000000058398257466",
            b"NO9386011117947",
            b"DK5000400440116243",
        ],
    ),
];

/// Length of a country's IBAN (ISO 13616 registry).
const IBAN_LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// Every number of digits that begins with the groups of `number`.
pub(crate) fn digits(
    bytes: &[u8],
    number: &Number,
    forms: &[&'static Form],
    context: &mut Context<'_>,
    hits: &mut Vec<Hit>,
) {
    let Some(first) = number.groups.first().filter(|first| !is_tail(bytes, first.start)) else { return };
    for count in 1..=number.groups.len() {
        let digits = number.digits(count);
        if !(8..=15).contains(&digits.len()) {
            continue;
        }
        let shape = number.shape(count);
        let fitting = forms.iter().filter(|form| form.length == digits.len());
        for form in fitting {
            let solid = count == 1;
            let shaped = form.shapes.contains(&shape);
            if !(solid || shaped)
                || number.goes_on_evenly(count)
                || !number.ends(bytes, count)
                || !(form.check)(digits)
                || same(digits)
            {
                continue;
            }
            let Some(end) = number.groups.get(count - 1).map(|group| group.end) else { continue };
            let bare = if !solid && number.is_even(count) || is_brazilian(form.kind, number, count) {
                form.shaped
            } else if solid {
                form.solid
            } else {
                form.shaped * 0.5
            };
            // Spaces stand between all kinds of numbers.
            let spaced =
                matches!(form.kind, Kind::UsSsn | Kind::UsItin) && number.groups.get(1).is_some_and(|g| g.sep == b' ');
            let bare = if spaced { 0.45 } else { bare };
            let score = if context.around(first.start, end).any(Topics::of(form.kind)) {
                CERTAIN
            } else if context.is_other(first.start) {
                bare * 0.7
            } else {
                bare
            };
            push(hits, form.kind, first.start, end, score, digits.to_vec());
        }
    }
    // A letter behind: `12345678-Z`.
    let dash = usize::from(byte(bytes, first.end) == b'-');
    let letter = byte(bytes, first.end + dash);
    let end = first.end + dash + 1;
    if first.total == 8 && dash == 1 && letter.is_ascii_uppercase() && !goes_on(bytes, end) {
        let text = [number.digits(1), &[letter]].concat();
        if dni(&text) {
            let score = labelled(context, Kind::EsDni, first.start, end, 0.75);
            push(hits, Kind::EsDni, first.start, end, score, text);
        }
    }
    // `AB 12 34 56 C`.
    if matches!(first.end - first.start, 2 | 6) && b" -".contains(&byte_before(bytes, first.start)) && first.start >= 3
    {
        insurance(bytes, first.start - 3, context, hits);
    }
}

/// CPF and CNPJ have signs of their own between their groups.
fn is_brazilian(kind: Kind, number: &Number, count: usize) -> bool {
    let seps: Vec<u8> = number.groups.iter().take(count).skip(1).map(|group| group.sep).collect();
    match kind {
        Kind::BrCpf => matches!(&seps[..], b"..-" | b"-"),
        Kind::BrCnpj => matches!(&seps[..], b"../-" | b"/-"),
        _ => false,
    }
}

/// Every number with letters that begins at `start`, where a word with letters and digits begins that ends at `end`.
pub(crate) fn letters(bytes: &[u8], start: usize, end: usize, context: &mut Context<'_>, hits: &mut Vec<Hit>) {
    if is_word(byte_before(bytes, start)) {
        return;
    }
    account(bytes, start, hits);
    if is_tail(bytes, start) {
        return;
    }
    insurance(bytes, start, context, hits);
    let Some(word) = bytes.get(start..end).filter(|word| matches!(word.len(), 9 | 15 | 16)) else { return };
    if goes_on(bytes, end) {
        return;
    }
    let lower = !word.iter().any(u8::is_ascii_uppercase);
    let text = word.to_ascii_uppercase();
    match text.len() {
        16 if fiscal_code(&text) => push(hits, Kind::ItFiscalCode, start, end, CERTAIN, text),
        9 if dni(&text) => {
            let kind = if text.first().is_some_and(u8::is_ascii_digit) { Kind::EsDni } else { Kind::EsNie };
            let score = labelled(context, kind, start, end, if lower { 0.3 } else { 0.7 });
            push(hits, kind, start, end, score, text);
        }
        15 => {
            // Corsica.
            let place = match text.get(5..7) {
                Some(b"2A") => b"19",
                Some(b"2B") => b"18",
                _ => return,
            };
            let plain = [text.get(..5).unwrap_or_default(), place, text.get(7..).unwrap_or_default()].concat();
            if plain.iter().all(u8::is_ascii_digit) && nir(&plain) {
                let score = labelled(context, Kind::FrNir, start, end, 0.9);
                push(hits, Kind::FrNir, start, end, score, text);
            }
        }
        _ => {}
    }
}

/// `X-1234567-L`: a word of one letter before the digits at `digits`.
pub(crate) fn foreigner(bytes: &[u8], digits: usize, context: &mut Context<'_>, hits: &mut Vec<Hit>) {
    let Some(start) = digits.checked_sub(2).filter(|start| !is_tail(bytes, *start)) else { return };
    let Some([first, b'-', number @ .., b'-', last]) = bytes.get(start..start + 11) else { return };
    let text = [&[*first], number, &[*last]].concat();
    if matches!(first, b'X'..=b'Z') && number.len() == 7 && dni(&text) && !goes_on(bytes, start + 11) {
        let score = labelled(context, Kind::EsNie, start, start + 11, 0.8);
        push(hits, Kind::EsNie, start, start + 11, score, text);
    }
}

/// An IBAN in one piece or in groups of four.
fn account(bytes: &[u8], start: usize, hits: &mut Vec<Hit>) {
    let head = bytes.get(start..start + 4).unwrap_or_default();
    let [a, b, c, d] = head else { return };
    if !(c.is_ascii_digit() && d.is_ascii_digit()) || is_word(byte_before(bytes, start)) {
        return;
    }
    let country = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
    let Ok(at) = IBAN_LENGTHS.binary_search_by(|row| row.0.cmp(&country)) else { return };
    let length = IBAN_LENGTHS.get(at).map_or(0, |row| row.1);
    let Some((text, end)) = collect(bytes, start, length) else { return };
    if iban(&text) && !is_word(byte(bytes, end)) {
        push(hits, Kind::Iban, start, end, CERTAIN, text);
    }
}

/// A national insurance number: two letters, six digits, a letter.
fn insurance(bytes: &[u8], start: usize, context: &mut Context<'_>, hits: &mut Vec<Hit>) {
    let letters = bytes.get(start..start + 2).is_some_and(|two| two.iter().all(u8::is_ascii_alphabetic));
    if !letters || is_tail(bytes, start) {
        return;
    }
    let Some((text, end)) = collect(bytes, start, 9) else { return };
    let shown = bytes.get(start..end).unwrap_or_default();
    if !nino(&text) || goes_on(bytes, end) {
        return;
    }
    let lower = shown.iter().any(u8::is_ascii_lowercase);
    let grouped = shown.len() > 9;
    let bare = if lower {
        0.3
    } else if grouped {
        0.65
    } else {
        0.5
    };
    let score = labelled(context, Kind::UkNino, start, end, bare);
    push(hits, Kind::UkNino, start, end, score, text);
}

/// A passport or driving licence number, only beside its label; the word `start..end` holds a digit.
pub(crate) fn documents(bytes: &[u8], start: usize, end: usize, context: &mut Context<'_>, hits: &mut Vec<Hit>) {
    // Cheap before the look at the words.
    if end - start > 20 || is_word(byte_before(bytes, start)) || byte_before(bytes, start) == b'-' {
        return;
    }
    let rest = bytes.get(start..).unwrap_or_default();
    let length = rest.iter().take(24).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    let text = rest.get(..length).unwrap_or_default();
    let text = text.strip_suffix(b"-").unwrap_or(text);
    if text.len() < 5 {
        return;
    }
    let name: Vec<u8> = text.iter().filter(|byte| **byte != b'-').map(u8::to_ascii_uppercase).collect();
    let digits = name.iter().filter(|byte| byte.is_ascii_digit()).count();
    if !(5..=17).contains(&name.len()) || digits < 4 || digits + 3 < name.len() || same(&name) {
        return;
    }
    let topics = context.beside(start);
    let end = start + text.len();
    let tail = name.get(1..).is_some_and(|tail| tail.iter().all(u8::is_ascii_digit));
    if topics.any(Topics::PASSPORT) && name.len() == 9 && tail {
        push(hits, Kind::UsPassport, start, end, LABELLED, name);
    } else if topics.any(Topics::LICENCE) {
        push(hits, Kind::UsDriverLicence, start, end, 0.85, name);
    }
}

fn labelled(context: &mut Context<'_>, kind: Kind, start: usize, end: usize, bare: f32) -> f32 {
    if context.around(start, end).any(Topics::of(kind)) { CERTAIN.max(bare) } else { bare }
}

fn push(hits: &mut Vec<Hit>, kind: Kind, start: usize, end: usize, score: f32, name: Vec<u8>) {
    let known = EXAMPLES.iter().any(|(of, names)| *of == kind && names.contains(&&name[..]));
    // The NHS gives out no number from 999 on and uses them for tests.
    let quiet = known || (kind == Kind::UkNhs && name.starts_with(b"999"));
    hits.push(Hit { kind, range: start..end, score, name, quiet });
}

/// `length` letters and digits from `start` in capitals, and where they end: in one piece, or with single spaces or dashes
/// in between.
fn collect(bytes: &[u8], start: usize, length: usize) -> Option<(Vec<u8>, usize)> {
    let mut text = Vec::with_capacity(length);
    let mut at = start;
    let mut sign = None;
    while text.len() < length {
        let here = byte(bytes, at);
        if here.is_ascii_alphanumeric() {
            text.push(here.to_ascii_uppercase());
        } else if matches!(here, b' ' | b'-')
            && sign.is_none_or(|sign| sign == here)
            && byte(bytes, at + 1).is_ascii_alphanumeric()
        {
            sign = Some(here);
        } else {
            return None;
        }
        at += 1;
    }
    Some((text, at))
}
