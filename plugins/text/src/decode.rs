//! Decoders: escapes inside a text, and encoded runs.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::map::{Map, Writer};
use crate::views::Kind;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Shortest run taken for base64 or hex: 12 bytes of text in base64, 8 in hex.
const SHORTEST: usize = 16;

/// Undoes backslash escapes (JSON, C, shell), percent escapes, character references and quoted-printable in one pass; none
/// where there is nothing to undo.
pub(crate) fn unescape(text: &str, longest: usize) -> Option<(String, Map)> {
    let quoted = quoted_printable(text.as_bytes());
    let mark = memchr::memchr3(b'\\', b'%', b'&', text.as_bytes());
    let first = match (mark, quoted) {
        (Some(mark), Some(quoted)) => mark.min(quoted),
        (mark, quoted) => mark.or(quoted)?,
    };
    let quoted = quoted.is_some();
    let form = !text.bytes().take(longest).any(|byte| byte.is_ascii_whitespace());
    let mut out = Writer::default();
    let mut done = 0;
    let mut at = first;
    while at < text.len() && out.len() < longest {
        let rest = text.get(at..)?;
        let plus = form && rest.starts_with('+');
        if let Some((made, taken)) = if plus { Some((" ".to_owned(), 1)) } else { escape(rest, quoted) } {
            if done < at {
                out.put(text.get(done..at)?, done, at);
            }
            out.put(&made, at, at + taken);
            at += taken;
            done = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
        let marked =
            |byte: &u8| matches!(byte, b'\\' | b'%' | b'&') || (form && *byte == b'+') || (quoted && *byte == b'=');
        match text.as_bytes().get(at..).and_then(|rest| rest.iter().position(marked)) {
            Some(next) => at += next,
            None => break,
        }
    }
    if done == 0 {
        return None;
    }
    let stop = text.floor_char_boundary(text.len().min(done + longest));
    if done < stop {
        out.put(text.get(done..stop)?, done, stop);
    }
    Some(out.finish(text.len()))
}

/// Whether a text is quoted-printable, as mails are: a line that ends in `=`, an escaped `=`, or one escape after the other.
/// The place of its first `=`; a lone `=20` is a number that something equals.
fn quoted_printable(bytes: &[u8]) -> Option<usize> {
    let mut first = None;
    for at in memchr::memchr_iter(b'=', bytes) {
        first = first.or(Some(at));
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let found = match rest {
            [b'\n', ..] | [b'\r', b'\n', ..] => at > 0,
            [b'3', b'D', ..] => true,
            [a, b, b'=', c, d, ..] => [a, b, c, d].into_iter().all(|digit| is_capital_hex(*digit)),
            _ => false,
        };
        if found {
            return first;
        }
    }
    None
}

fn is_capital_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

/// The escape at the start of `rest`: what it stands for and how long it is. `quoted`: whether `=` begins one.
fn escape(rest: &str, quoted: bool) -> Option<(String, usize)> {
    match rest.as_bytes().first()? {
        b'=' if quoted => match rest.as_bytes() {
            [_, b'\n', ..] => Some((String::new(), 2)),
            [_, b'\r', b'\n', ..] => Some((String::new(), 3)),
            [_, a, b, ..] if is_capital_hex(*a) && is_capital_hex(*b) => character(rest, "="),
            _ => None,
        },
        b'\\' => backslash(rest),
        b'%' => character(rest, "%"),
        b'&' => reference(rest),
        _ => None,
    }
}

fn backslash(rest: &str) -> Option<(String, usize)> {
    let bytes = rest.as_bytes();
    let short = |c: char| Some((c.to_string(), 2));
    match bytes.get(1)? {
        b'n' => short('\n'),
        b'r' => short('\r'),
        b't' => short('\t'),
        b'"' => short('"'),
        b'\'' => short('\''),
        b'\\' => short('\\'),
        b'/' => short('/'),
        b'x' => character(rest, "\\x"),
        b'u' if bytes.get(2) == Some(&b'{') => {
            let close = memchr::memchr(b'}', bytes.get(..12.min(bytes.len()))?)?;
            let code = u32::from_str_radix(rest.get(3..close)?, 16).ok()?;
            Some((char::from_u32(code)?.to_string(), close + 1))
        }
        b'u' => {
            let unit = |at: usize| u16::from_str_radix(rest.get(at..at + 4)?, 16).ok();
            let first = unit(2)?;
            if let Some(c) = char::from_u32(u32::from(first)) {
                return Some((c.to_string(), 6));
            }
            let second = rest.get(6..8).filter(|next| *next == "\\u").and_then(|_| unit(8))?;
            let c = char::decode_utf16([first, second]).next()?.ok()?;
            Some((c.to_string(), 12))
        }
        _ => None,
    }
}

/// The first character of a run of `prefix` + two hex digits, which is a text in UTF-8, and its length.
fn character(rest: &str, prefix: &str) -> Option<(String, usize)> {
    let step = prefix.len() + 2;
    let byte = |number: usize| {
        let pair = rest.get(number * step..(number + 1) * step)?.strip_prefix(prefix)?;
        hex_pair(pair.as_bytes())
    };
    let first = byte(0)?;
    // How many bytes the character has, the first one says.
    let length = match first {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let codes: Option<Vec<u8>> = (0..length).map(byte).collect();
    Some((String::from_utf8(codes?).ok()?, length * step))
}

fn reference(rest: &str) -> Option<(String, usize)> {
    let close = memchr::memchr(b';', rest.as_bytes().get(..12.min(rest.len()))?)?;
    let name = rest.get(1..close)?;
    let c = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((c.to_string(), close + 1))
}

/// Runs of base64 or hex in `text` that decode to readable text, in order: where, how and what. At most `most` of them
/// and `longest` bytes decoded.
pub(crate) fn runs(text: &str, most: usize, longest: usize) -> Vec<(Range<usize>, Kind, String)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut left = longest;
    // A run of SHORTEST bytes covers a multiple of SHORTEST: most of the text need not be looked at.
    let mut at = SHORTEST - 1;
    let mut done = 0;
    while let Some(&byte) = bytes.get(at) {
        if !is_code(byte) {
            at += SHORTEST;
            continue;
        }
        let start =
            bytes.get(done..at).map_or(0, |before| before.iter().rev().take_while(|byte| is_code(**byte)).count());
        let start = at - start;
        let end = run_end(bytes, at);
        done = end;
        at = end + SHORTEST;
        if end - start < SHORTEST {
            continue;
        }
        let Some(run) = text.get(start..end) else { continue };
        let Some((kind, decoded)) = decode(run, left) else { continue };
        left = left.saturating_sub(decoded.len());
        found.push((start..end, kind, decoded));
        if found.len() == most || left == 0 {
            break;
        }
    }
    found
}

/// Where the run around `at` ends; a line break is part of it when the line before it is a full one.
fn run_end(bytes: &[u8], at: usize) -> usize {
    let mut line = at;
    let mut end = at;
    loop {
        while bytes.get(end).is_some_and(|byte| is_code(*byte)) {
            end += 1;
        }
        let stop = end;
        while bytes.get(end) == Some(&b'=') && end - stop < 2 {
            end += 1;
        }
        if end > stop {
            return end;
        }
        let next = match bytes.get(end..end + 2) {
            Some(b"\r\n") => end + 2,
            Some([b'\n', _]) => end + 1,
            _ => return end,
        };
        if end - line < 48 || !bytes.get(next).is_some_and(|byte| is_code(*byte)) {
            return end;
        }
        (line, end) = (next, next);
    }
}

/// Bytes of base64 and hex, and marks that set letters apart: most of what is read is neither, and a table tells soonest.
const CODE: u8 = 1;
const MARK: u8 = 2;
const CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    reason = "a byte is an index of the table, and the table is made when this is compiled"
)]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_') {
            table[at] |= CODE;
        }
        if matches!(byte, b' ' | b'.' | b'-' | b'_' | b'*' | b'|' | b'/' | b',') {
            table[at] |= MARK;
        }
        at += 1;
    }
    table
}

fn is_code(byte: u8) -> bool {
    // The table has a place for every byte; the default is never taken.
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0) & CODE != 0
}

fn is_mark(byte: u8) -> bool {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0) & MARK != 0
}

fn decode(run: &str, longest: usize) -> Option<(Kind, String)> {
    let bytes = run.as_bytes();
    if bytes.iter().all(u8::is_ascii_hexdigit) && bytes.len().is_multiple_of(2) {
        let codes: Option<Vec<u8>> = bytes.chunks_exact(2).take(longest).map(hex_pair).collect();
        if let Some(text) = readable(codes?) {
            return Some((Kind::Hex, text));
        }
    }
    // Words and paths are runs too: base64 of text mixes cases.
    if !(bytes.iter().any(u8::is_ascii_uppercase) && bytes.iter().any(u8::is_ascii_lowercase)) {
        return None;
    }
    let url = bytes.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if url { &URL } else { &STANDARD };
    // The first characters tell whether it is worth more.
    let head = engine.decode(bytes.get(..SHORTEST)?).ok()?;
    if !head.iter().all(|byte| *byte >= 0x20 || matches!(byte, b'\n' | b'\r' | b'\t' | 0)) {
        return None;
    }
    let wrapped = bytes.contains(&b'\n');
    let cut = if url || wrapped { None } else { Some(bytes.get(..bytes.len().min(longest / 3 * 4 + 4))?) };
    let decoded = match cut {
        Some(bytes) => lenient(engine, bytes)?,
        None => {
            let joined: Vec<u8> =
                bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(longest).collect();
            lenient(engine, &joined)?
        }
    };
    Some((Kind::Base64, readable(decoded)?))
}

/// Decodes all whole groups; a last single character is dropped.
fn lenient(engine: &GeneralPurpose, bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let end = if end % 4 == 1 { end - 1 } else { end };
    engine.decode(bytes.get(..end)?).ok()
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)
}

/// The bytes as text, if they are text: UTF-8, or UTF-16 as PowerShell takes it, with nearly nothing unprintable.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let wide =
        bytes.len() >= 8 && bytes.iter().skip(1).step_by(2).filter(|byte| **byte == 0).count() * 5 >= bytes.len() * 2;
    let text = if wide {
        let units =
            bytes.chunks_exact(2).map(|pair| pair.iter().rev().fold(0u16, |unit, byte| unit << 8 | u16::from(*byte)));
        char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect()
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => text,
            // A cut at the end may split a character.
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let bytes = error.into_bytes();
                if bytes.len() - valid > 4 {
                    return None;
                }
                String::from_utf8(bytes.get(..valid)?.to_vec()).ok()?
            }
        }
    };
    let (mut odd, mut all) = (0usize, 0usize);
    for c in text.chars() {
        all += 1;
        odd += usize::from(c == '\u{fffd}' || (c.is_control() && !matches!(c, '\n' | '\r' | '\t')));
    }
    (all >= 6 && odd * 20 <= all).then_some(text)
}

/// The text hidden in tag characters and runs of variation selectors, with its place.
pub(crate) fn invisible(text: &str, most: usize) -> Vec<(Range<usize>, Kind, String)> {
    let mut found = Vec::new();
    for hidden in crate::hidden::hidden(text) {
        let chars = text.get(hidden.range.clone()).unwrap_or("").chars().map(|c| c as u32);
        let (kind, decoded) = match hidden.kind {
            crate::HiddenKind::Tags => {
                let letters = chars.filter_map(|code| char::from_u32(code.checked_sub(0xe0000)?));
                (Kind::Tags, Some(letters.filter(|c| matches!(c, ' '..='~')).collect::<String>()))
            }
            crate::HiddenKind::Selectors => {
                let bytes: Vec<u8> = chars
                    .filter_map(|code| {
                        u8::try_from(if code >= 0xe0100 { code - 0xe0100 + 16 } else { code - 0xfe00 }).ok()
                    })
                    .collect();
                (Kind::Selectors, String::from_utf8(bytes).ok())
            }
            _ => continue,
        };
        if let Some(decoded) = decoded.filter(|decoded| decoded.len() >= 3) {
            found.push((hidden.range, kind, decoded));
            if found.len() == most {
                break;
            }
        }
    }
    found
}

/// Letters set apart by single marks (`i g n o r e`, `i.g.n.o.r.e`) joined; a wider gap stays as a space.
pub(crate) fn joined(text: &str, most: usize) -> Vec<(Range<usize>, String, Map)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    // Eight letters and their marks cover a multiple of 8 with two letters on.
    let mut at = 0;
    while at + 4 < bytes.len() && found.len() < most {
        let Some(phase) = apart(bytes, at) else {
            at += 8;
            continue;
        };
        let mark = bytes.get(at + phase + 1).copied().unwrap_or(b' ');
        let mut start = at + phase;
        while start >= 2
            && bytes.get(start - 1) == Some(&mark)
            && bytes.get(start - 2).is_some_and(u8::is_ascii_alphanumeric)
            && (start == 2 || !bytes.get(start - 3).is_some_and(u8::is_ascii_alphanumeric))
        {
            start -= 2;
        }
        let mut out = Writer::default();
        let mut letters = 0;
        let mut next = start;
        // Between spaces, marks stand apart as letters do; a line ends as a word does.
        let spaced = mark == b' ';
        let single = |at: usize| {
            bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || (spaced && byte.is_ascii_graphic()))
        };
        let between = |byte: &u8| *byte == mark || *byte == b' ' || (spaced && matches!(byte, b'\n' | b'\r' | b'\t'));
        while single(next)
            && let Some(letter) = text.get(next..next + 1)
        {
            out.put(letter, next, next + 1);
            letters += 1;
            next += 1;
            let gap = bytes.get(next..).map_or(0, |rest| rest.iter().take(4).take_while(|byte| between(byte)).count());
            if gap == 0 || !single(next + gap) || single(next + gap + 1) {
                break;
            }
            out.put(if gap > 1 { " " } else { "" }, next, next + gap);
            next += gap;
        }
        if letters >= 6 {
            let (joined, map) = out.finish(text.len());
            found.push((start..next, joined, map));
        }
        at = next.max(at + 8);
    }
    found
}

/// Whether single letters with one mark between them lie at `at`: the distance to the first of them.
fn apart(bytes: &[u8], at: usize) -> Option<usize> {
    // One of two neighbours is such a mark; most places are ruled out by that alone.
    let mark = |offset: usize| bytes.get(at + offset).is_some_and(|byte| is_mark(*byte));
    let phase = if mark(1) {
        0
    } else if mark(2) {
        1
    } else {
        return None;
    };
    let byte = |offset: usize| bytes.get(at + phase + offset).copied().unwrap_or(0);
    let (one, two) = (byte(1), byte(3));
    let found = (two == one || two == b' ')
        && byte(0).is_ascii_alphanumeric()
        && byte(2).is_ascii_alphanumeric()
        && byte(4).is_ascii_alphanumeric()
        && !byte(5).is_ascii_alphanumeric();
    found.then_some(phase)
}
