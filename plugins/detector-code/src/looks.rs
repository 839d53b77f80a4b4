//! What code looks like when somebody has hidden what it does.

use std::collections::BTreeSet;

use crate::flow::{Flow, OBFUSCATED, Seen, blob};
use crate::lexer::{Kind, Token};
use crate::words::{RUNNER, Sink};

/// Spaces before something that is to stand beyond the edge of a screen.
const FAR: usize = 150;

pub(crate) fn looks(text: &str, tokens: &[Token], flow: &mut Flow) {
    let runs = flow.facts.sinks.contains_key(&Sink::Code) || flow.facts.labels.contains_key(&RUNNER);
    let mut found = Vec::new();
    let mut add = |score, message, range: &std::ops::Range<usize>| {
        found.push(Seen { category: OBFUSCATED, score, message, places: vec![range.clone()] });
    };
    // Names that a program has made.
    let made: BTreeSet<&str> = tokens
        .iter()
        .filter(|token| token.kind == Kind::Name)
        .flat_map(|token| token.text.split('.'))
        .filter(|name| made(name))
        .take(64)
        .collect();
    if made.len() >= 4
        && let Some(first) =
            tokens.iter().find(|token| token.kind == Kind::Name && token.text.split('.').any(crate::looks::made))
    {
        add(
            if made.len() >= 8 || runs { 0.82 } else { 0.72 },
            "Is written with names that a program has made to hide what it does",
            &first.range,
        );
    }
    let texts = || tokens.iter().filter(|token| token.kind == Kind::Text);
    let blobs: Vec<&Token> = texts().filter(|token| token.text.len() >= 160 && blob(&token.text)).take(16).collect();
    if let Some(first) = blobs.first() {
        let many = blobs.len() >= 3;
        let score = match (runs, many) {
            (true, _) => 0.78,
            (false, true) => 0.62,
            _ => 0.35,
        };
        add(score, "Holds long strings of something encoded", &first.range);
    }
    if let Some(token) = texts().find(|token| {
        token.escapes >= 20
            && token.escapes as usize * 2 > token.text.chars().count()
            && token.text.bytes().filter(u8::is_ascii_alphabetic).count() * 2 > token.text.len()
    }) {
        add(if runs { 0.82 } else { 0.62 }, "Writes letters as escapes", &token.range);
    }
    // Characters one by one.
    let single = |token: &Token| {
        token.kind == Kind::Name
            && (matches!(token.text.as_str(), "chr" | "fromCharCode") || token.text.ends_with(".fromCharCode"))
    };
    let calls = tokens.iter().filter(|token| single(token)).count();
    let longest = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| single(token))
        .take(64)
        .map(|(at, _)| {
            tokens
                .iter()
                .skip(at + 2)
                .take(400)
                .take_while(|token| matches!(token.kind, Kind::Number | Kind::Mark(b',' | b'-' | b'^' | b'+')))
                .filter(|token| token.kind == Kind::Number)
                .count()
        })
        .max();
    if (calls >= 8 || longest.is_some_and(|longest| longest >= 10))
        && let Some(first) = tokens.iter().find(|token| single(token))
    {
        add(if runs { 0.85 } else { 0.6 }, "Puts text together character by character", &first.range);
    }
    // Nothing but brackets.
    let brackets =
        text.bytes().filter(|byte| matches!(byte, b'[' | b']' | b'(' | b')' | b'!' | b'+' | b'{' | b'}')).count();
    if text.len() >= 200 && brackets * 10 > text.len() * 8 {
        add(0.85, "Is written in brackets only", &(0..text.floor_char_boundary(200)));
    }
    if let Some(token) = tokens.iter().find(|token| {
        token.kind == Kind::Name
            && (token.text.contains("__pyarmor__")
                || token.text.contains("pyarmor_runtime")
                || token.text.contains("pytransform")
                || token.text == "__pyobfuscate__")
    }) {
        add(0.7, "Is encrypted by a program that hides code", &token.range);
    }
    // Beyond the edge of the screen.
    let mut spaces = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b' ' | b'\t' => spaces += 1,
            b'\n' | b'\r' => spaces = 0,
            _ => {
                if spaces >= FAR {
                    let rest = text.get(at..text.floor_char_boundary(at + 200)).unwrap_or_default();
                    let acts =
                        ["exec", "eval", "import", "require", "http", "global", "fetch", "system", "child_process"]
                            .iter()
                            .any(|word| rest.contains(word));
                    let end = at + rest.find('\n').unwrap_or(rest.len());
                    add(if acts { 0.84 } else { 0.5 }, "Hides code beyond the edge of the screen", &(at..end));
                    break;
                }
                spaces = 0;
            }
        }
    }
    flow.seen.extend(found);
}

/// `_0x1a2b`, `O0O0OO0O`, `lIlIlIIl`.
fn made(name: &str) -> bool {
    let hex = name
        .strip_prefix("_0x")
        .is_some_and(|rest| rest.len() >= 2 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let alike = name.len() >= 8
        && (name.bytes().all(|byte| matches!(byte, b'O' | b'0' | b'o' | b'_'))
            || name.bytes().all(|byte| matches!(byte, b'l' | b'I' | b'1' | b'i')))
        && name.bytes().any(|byte| byte != b'_');
    hex || alike
}
