//! A second opinion on a command: hashed words, their neighbours and letters, weighed by a trained table together with what the
//! rules say. Marks count as words here, which is why [`Blocks`] are filled and not made of the text.

use std::ops::Range;

use plugin_model::{Blocks, Head, NOTHING, mix, pair, step};

use crate::report::{CREDENTIALS, DESTRUCTIVE, EXFILTRATION, OBFUSCATED, PERSISTENCE, Seen};
use crate::signatures::{LONGEST_RUN, in_run};

/// Dense features: the strongest rule of each category and how many there are, then the looks of the whole text.
pub const DENSE: usize = 16;
/// Pieces of a block; a window is two.
const BLOCK: usize = 48;
/// Longest piece that is hashed as one.
const MOST_LETTERS: usize = 40;
/// How much of a text is read: of a longer one its first bytes.
const LONGEST: usize = 64 * 1024;
/// What is not told apart: a long run of letters and digits.
const BLOB: u32 = 0x51ed_270b;

/// A command as the table reads it.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Hashes of words, of words beside each other and under their program, and of three to five letters.
    pub blocks: Blocks,
    /// Dense features of the whole text.
    pub dense: [f32; DENSE],
}

/// How sure the table is that the first 64 KiB of `text` do harm, and where.
pub(crate) fn opinion(head: &Head<'_>, text: &str, rules: &[Seen]) -> Option<(f32, Range<usize>)> {
    let reading = read(text, rules);
    let dense = head.dense(&reading.dense);
    let mut best: Option<(f32, Range<usize>)> = None;
    for (range, score) in head.windows(&reading.blocks) {
        let better = best.as_ref().is_none_or(|(known, _)| score + dense >= *known);
        if better && !text.get(range.clone()).is_some_and(encoded) {
            best = Some((score + dense, range));
        }
    }
    let (score, range) = best?;
    Some((head.probability(0, score), range))
}

/// Whether `text` is out of the middle of an encoded file: long runs of letters, the first and the last of which may be cut off.
/// The table has never seen enough of that to have an opinion.
fn encoded(text: &str) -> bool {
    let of_file = |byte: u8| in_run(byte) || byte == b'=';
    let mut short_before = false;
    let mut long = false;
    for (at, run) in text.split_ascii_whitespace().enumerate() {
        // A short one that was not the last.
        if short_before || !run.bytes().all(of_file) {
            return false;
        }
        short_before = run.len() <= LONGEST_RUN && at > 0;
        long |= run.len() > LONGEST_RUN;
    }
    long
}

pub(crate) fn read(text: &str, rules: &[Seen]) -> Reading {
    let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text);
    Reading { blocks: blocks(text), dense: dense(text, rules) }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') || byte >= 0x80
}

/// Whether a new command begins behind this mark.
fn separates(byte: u8) -> bool {
    matches!(byte, b'\n' | b'|' | b';' | b'&' | b'(' | b'`' | b'{')
}

fn blocks(text: &str) -> Blocks {
    let bytes = text.as_bytes();
    let mut blocks = Blocks::default();
    // The block that is being filled, and how many pieces it has.
    let (mut range, mut pieces) = (0..0, 0);
    // The two pieces before this one, and the program of this command.
    let (mut before, mut earlier, mut program) = (0, 0, None);
    let mut recent = [0_u8; 5];
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        if byte == b' ' || byte == b'\t' || byte == b'\r' || byte == b'"' || byte == b'\'' {
            at += 1;
            continue;
        }
        let hash = if in_word(byte) {
            while at - start < MOST_LETTERS && bytes.get(at).copied().is_some_and(in_word) {
                at += 1;
            }
            let piece = bytes.get(start..at).unwrap_or_default();
            word(piece)
        } else {
            at += 1;
            // `>>`, `&&`, `||`.
            if bytes.get(at) == Some(&byte) {
                at += 1;
            }
            bytes.get(start..at).unwrap_or_default().iter().fold(NOTHING, |hash, byte| step(hash, *byte))
        };
        letters(b' ', &mut recent, &mut blocks);
        let mut digits = false;
        for byte in bytes.get(start..at).unwrap_or_default() {
            // One digit stands for all of a number.
            if byte.is_ascii_digit() && std::mem::replace(&mut digits, true) {
                continue;
            }
            digits = byte.is_ascii_digit();
            letters(if digits { b'0' } else { byte.to_ascii_lowercase() }, &mut recent, &mut blocks);
        }
        let hash = mix(hash);
        blocks.push_word(hash);
        blocks.push_word(pair(0x9747_b28c, before, hash));
        blocks.push_word(pair(0x3c6e_f372, pair(0x1b87_3593, earlier, before), hash));
        if separates(byte) {
            program = None;
        } else if let Some(program) = program {
            blocks.push_word(pair(0xe654_6b64, program, hash));
        } else if in_word(byte) {
            program = Some(hash);
        }
        (earlier, before) = (before, hash);
        if pieces == 0 {
            range.start = text.floor_char_boundary(start);
        }
        range.end = text.ceil_char_boundary(at);
        pieces += 1;
        if pieces == BLOCK {
            blocks.end_block(range.clone());
            pieces = 0;
        }
    }
    if pieces > 0 {
        blocks.end_block(range);
    }
    blocks
}

/// A word in small letters, with one digit for each number in it.
fn word(piece: &[u8]) -> u32 {
    let mixed = piece.iter().any(u8::is_ascii_digit) && piece.iter().any(u8::is_ascii_uppercase);
    if piece.len() >= MOST_LETTERS || (piece.len() >= 20 && mixed) {
        return BLOB;
    }
    let mut hash = NOTHING;
    let mut digits = false;
    for byte in piece {
        if byte.is_ascii_digit() {
            if !digits {
                hash = step(hash, b'0');
            }
            digits = true;
        } else {
            digits = false;
            hash = step(hash, byte.to_ascii_lowercase());
        }
    }
    hash
}

fn letters(byte: u8, recent: &mut [u8; 5], blocks: &mut Blocks) {
    recent.rotate_left(1);
    if let Some(last) = recent.last_mut() {
        *last = byte;
    }
    let [a, b, c, d, e] = *recent;
    let three = step(step(step(NOTHING, e), d), c);
    blocks.push_letters(mix(three));
    let four = step(three, b);
    blocks.push_letters(mix(four));
    blocks.push_letters(mix(step(four, a)));
}

#[allow(clippy::cast_precision_loss, reason = "counts of a text of at most 64 KiB")]
fn dense(text: &str, rules: &[Seen]) -> [f32; DENSE] {
    let best = |category: &str| {
        rules.iter().filter(|seen| seen.category == category).map(|seen| seen.score).fold(0.0, f32::max)
    };
    let of_commands = rules.iter().filter(|seen| seen.category.starts_with("command."));
    let strongest = of_commands.clone().map(|seen| seen.score).fold(0.0, f32::max);
    let (mut lines, mut marks, mut upper, mut variables) = (0_u32, 0_u32, 0_u32, 0_u32);
    for byte in text.bytes() {
        match byte {
            b'\n' | b';' | b'|' | b'&' => lines += 1,
            b'$' => variables += 1,
            b'A'..=b'Z' => upper += 1,
            b'a'..=b'z' | b'0'..=b'9' | b' ' | b'-' | b'/' | b'.' | b'_' => {}
            _ => marks += 1,
        }
    }
    let length = text.len().max(1) as f32;
    let other =
        rules.iter().filter(|seen| !seen.category.starts_with("command.")).map(|seen| seen.score).fold(0.0, f32::max);
    [
        best(DESTRUCTIVE),
        best(EXFILTRATION),
        best(CREDENTIALS),
        best(PERSISTENCE),
        best(OBFUSCATED),
        strongest,
        (of_commands.count() as f32).min(4.0) / 4.0,
        other,
        (libm::logf(length) - 4.0) / 4.0,
        libm::logf(1.0 + lines as f32) / 4.0,
        marks as f32 / length,
        upper as f32 / length,
        libm::logf(1.0 + variables as f32) / 4.0,
        f32::from(u8::from(strongest >= 0.5)),
        f32::from(u8::from(strongest >= 0.7)),
        f32::from(u8::from(strongest > 0.0)),
    ]
}
