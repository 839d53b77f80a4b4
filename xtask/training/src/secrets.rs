//! `detector-secrets` scored: strings made after a list of formats (the rules of gitleaks) by the expressions it gives, and
//! strings that look like credentials and are none. Nothing is trained. With `SHOW` in the environment, what is missed and what
//! is found in vain is printed.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use detector_secrets::{Config, Secrets};
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector as _};
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use serde::Deserialize;

use crate::lookalikes;
use crate::random::Random;
use crate::trained::{HeldOut, Set, Trained};

/// Strings for each rule, and for each kind of what is no credential.
const EACH: usize = 20;
/// The score from which the pack `baseline` takes secrets out, for what is printed.
const ACTS: f64 = 0.6;
/// Attempts for each string: the expression, the entropy and the exceptions must all agree.
const ATTEMPTS: usize = 200;

#[derive(Deserialize)]
struct File {
    rules: Vec<Rule>,
}

/// One format. Paths and other fields say nothing about the string.
#[derive(Deserialize)]
struct Rule {
    id: String,
    regex: Option<String>,
    entropy: Option<f64>,
    #[serde(rename = "secretGroup")]
    group: Option<usize>,
}

pub(crate) fn train(data: &Path) -> Result<Trained> {
    let path = data.join("gitleaks.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let detector = Secrets::configure(Config::default()).map_err(anyhow::Error::msg)?;
    let mut random = Random::seeded(41);
    let mut held_out = Vec::new();
    for rule in &file.rules {
        let Some(expression) = &rule.regex else { continue };
        let format = Format::new(rule, expression).with_context(|| rule.id.clone())?;
        for _ in 0..EACH {
            let Some((text, secret)) = format.example(&rule.id, &mut random) else { continue };
            let score = score(&detector, &text, Some(&secret))?;
            held_out.push(HeldOut {
                set: Set::Secrets,
                source: "gitleaks".to_owned(),
                kind: format!("secret.{}", rule.id),
                attack: true,
                score,
            });
            if score < ACTS && std::env::var_os("SHOW").is_some() {
                eprintln!("missed {}: {text:?}", rule.id);
            }
        }
    }
    for (kind, make) in lookalikes::KINDS {
        for _ in 0..EACH {
            let text = make(&mut random);
            let score = score(&detector, &text, None)?;
            if score >= ACTS && std::env::var_os("SHOW").is_some() {
                eprintln!("in vain {kind}: {text:?}");
            }
            let kind = format!("lookalike.{kind}");
            held_out.push(HeldOut { set: Set::Secrets, source: "generated".to_owned(), kind, attack: false, score });
        }
    }
    Ok(Trained { package: "detector-secrets", files: Vec::new(), held_out })
}

/// The best score of what is found in `text`, or of what is found in the place of `secret`.
fn score(detector: &Secrets, text: &str, secret: Option<&str>) -> Result<f64> {
    let json = serde_json::json!({ "text": text }).to_string();
    let payload = JsonPayload::new(&json).map_err(|error| anyhow::anyhow!("{error}"))?;
    let findings = detector.inspect(&Call::default(), &payload).map_err(anyhow::Error::msg)?;
    let place = secret.and_then(|secret| text.find(secret).map(|at| at..at + secret.len()));
    let mut best = 0.0_f64;
    for finding in findings {
        let met = finding.spans.iter().any(|span| {
            let (start, end) = (span.start as usize, span.end as usize);
            place.as_ref().is_none_or(|place| start < place.end && place.start < end)
        });
        if met {
            best = best.max(f64::from(finding.score));
        }
    }
    Ok(best)
}

/// An expression from which members are made.
struct Format {
    checks: Regex,
    hir: Hir,
    /// Whether letters may be of either case.
    folded: bool,
    /// Whether only what a group holds is the secret.
    grouped: bool,
    group: Option<usize>,
    entropy: f64,
}

/// How one member is written.
struct Style<'r> {
    random: &'r mut Random,
    /// Capital letters where case does not matter: as in a variable of the environment.
    capital: bool,
    /// Letters of both cases within the secret.
    mixed: bool,
    /// The quote that is open, and the one that this text uses where either may stand.
    quote: Option<u8>,
    mark: u8,
    /// Whether the secret is written: what follows is no name.
    done: bool,
    out: Vec<u8>,
}

impl Format {
    fn new(rule: &Rule, expression: &str) -> Result<Self> {
        let checks = RegexBuilder::new(expression).unicode(false).size_limit(1 << 26).build()?;
        // As it is written down, which is how the credentials are spelt: letters of both cases would match, and nobody
        // gives out hexadecimal digits of both.
        let written = expression.replace("(?i)", "").replace("(?i:", "(?:").replace("(?-i:", "(?:");
        let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(&written)?;
        Ok(Self {
            folded: written != expression,
            grouped: hir.properties().explicit_captures_len() > 0,
            group: rule.group,
            entropy: rule.entropy.unwrap_or_default(),
            checks,
            hir,
        })
    }

    /// A text with a member, and the secret in it.
    fn example(&self, id: &str, random: &mut Random) -> Option<(String, String)> {
        for _ in 0..ATTEMPTS {
            let member = self.member(id, random)?;
            let frames = [("", ""), ("", "\n"), ("# settings\n", "\n"), ("use this:\n", "\nand nothing else")];
            let (before, after) = frames.get(random.below(frames.len())).copied().unwrap_or_default();
            let text = format!("{before}{member}{after}");
            let Some(found) = self.checks.captures(text.as_bytes()) else { continue };
            let inner = match self.group {
                Some(group) => found.get(group),
                None => found.iter().skip(1).flatten().find(|group| !group.is_empty()).or_else(|| found.get(0)),
            };
            let Some(secret) = inner.and_then(|inner| String::from_utf8(inner.as_bytes().to_vec()).ok()) else {
                continue;
            };
            if !secret.is_empty() && entropy(secret.as_bytes()) >= self.entropy {
                return Some((text, secret));
            }
        }
        None
    }

    fn member(&self, id: &str, random: &mut Random) -> Option<String> {
        if let Some((_, make)) = WRITTEN.iter().find(|(known, _)| *known == id) {
            return Some(make(random));
        }
        let (capital, mixed) = (self.folded && random.below(2) == 0, self.folded && random.below(3) == 0);
        let mark = if random.below(2) == 0 { b'"' } else { b'\'' };
        let mut style = Style { random, capital, mixed, quote: None, mark, done: false, out: Vec::new() };
        style.write(&self.hir, !self.grouped);
        let open = style.quote.filter(|quote| !style.out.ends_with(&[*quote]));
        style.out.extend(open);
        String::from_utf8(style.out).ok()
    }
}

/// Writes one text with a secret.
type Write = fn(&mut Random) -> String;

/// Structures whose expressions leave too much open: members of them at random are nothing that anybody writes.
const WRITTEN: &[(&str, Write)] = &[
    ("jwt", |random| web_token(random)),
    ("jwt-base64", |random| STANDARD_NO_PAD.encode(web_token(random))),
    ("private-key", |random| {
        let kind = lookalikes::pick(random, &["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "]);
        let body: Vec<String> = (0..6).map(|_| lookalikes::run(random, lookalikes::B64, 64)).collect();
        format!("-----BEGIN {kind}PRIVATE KEY-----\n{}\n-----END {kind}PRIVATE KEY-----", body.join("\n"))
    }),
    ("kubernetes-secret-yaml", |random| {
        let value = STANDARD_NO_PAD.encode(lookalikes::run(random, lookalikes::URL, 15));
        let name = lookalikes::pick(random, &["password", "api-key", "tls.key", "dsn"]);
        match random.below(2) {
            0 => format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n  {name}: {value}\n"),
            _ => format!("apiVersion: v1\ndata:\n  {name}: \"{value}\"\nkind: Secret\n"),
        }
    }),
    ("curl-auth-user", |random| {
        let (name, password) =
            (lookalikes::run(random, b"abcdefghij", 6), lookalikes::run(random, lookalikes::URL, 12));
        let flag = lookalikes::pick(random, &["-u ", "--user ", "--user="]);
        let quote = lookalikes::pick(random, &["", "\"", "'"]);
        format!("curl -s {flag}{quote}{name}:{password}{quote} https://api.corp.test/v1/items")
    }),
];

/// A signed token with claims of its own.
fn web_token(random: &mut Random) -> String {
    let header = lookalikes::pick(
        random,
        &[
            "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
            "{\"typ\":\"JWT\",\"alg\":\"RS256\"}",
            "{\"alg\":\"ES256\",\"kid\":\"k-7\"}",
        ],
    );
    let name = lookalikes::run(random, b"abcdefghijklmnop", 8);
    let claims =
        format!("{{\"sub\":\"{name}\",\"iat\":{},\"aud\":\"shop\"}}", 1_700_000_000 + random.below(90_000_000));
    let signature = lookalikes::run(random, lookalikes::URL, 43);
    format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

impl Style<'_> {
    /// Writes a member of `hir`; `secret`: whether it is part of the secret.
    fn write(&mut self, hir: &Hir, secret: bool) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => {
                let capital = self.capital && !secret && !self.done;
                let spelt = |byte: &u8| if capital { byte.to_ascii_uppercase() } else { *byte };
                self.out.extend(literal.0.iter().map(spelt));
            }
            HirKind::Class(class) => self.class(class, secret),
            HirKind::Repetition(repetition) => {
                let (least, most) = (repetition.min as usize, repetition.max.map(|most| most as usize));
                if !secret && least == 0 {
                    if let HirKind::Class(class) = repetition.sub.kind()
                        && self.filler(class)
                    {
                        return;
                    }
                    if most.is_none_or(|most| most > 1) {
                        return;
                    }
                }
                // What has no end is no shorter than a key.
                let blank = matches!(repetition.sub.kind(), HirKind::Class(class) if blank(class));
                let (least, most) = match most {
                    _ if blank => (least.min(1), least.min(1)),
                    Some(most) => (least, most.min(least + 40)),
                    None if secret => (least + 10, least + 30),
                    None => (least, least),
                };
                let count = least + self.random.below(most - least + 1);
                for _ in 0..count {
                    self.write(&repetition.sub, secret);
                }
            }
            HirKind::Capture(capture) => {
                self.write(&capture.sub, true);
                self.done = true;
            }
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.write(part, secret)),
            HirKind::Alternation(choices) => {
                // Most assignments are written with one sign of two.
                let common =
                    |choice: &&Hir| matches!(choice.kind(), HirKind::Literal(sign) if matches!(&*sign.0, b"=" | b":"));
                let common: Vec<&Hir> = choices.iter().filter(common).collect();
                let all: Vec<&Hir> = choices.iter().collect();
                let from = if !secret && !common.is_empty() && self.random.below(5) > 0 { common } else { all };
                if let Some(choice) = from.get(self.random.below(from.len())) {
                    self.write(choice, secret);
                }
            }
        }
    }

    fn class(&mut self, class: &Class, secret: bool) {
        let members: Vec<u8> = (0..=0x7e).filter(|byte| has(class, *byte)).collect();
        if has(class, b' ') && has(class, b'@') {
            // Any character: a full stop that nobody escaped.
            self.out.push(b'.');
            return;
        }
        if members.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            // A command goes on in the next line.
            self.out.extend(b" \\\n ");
            return;
        }
        if !secret && has(class, b' ') {
            // What stands before a value, and what ends it.
            let end = self.quote.take().filter(|quote| has(class, *quote));
            let end = end.unwrap_or(if self.done && has(class, b'\n') { b'\n' } else { b' ' });
            self.out.push(end);
            return;
        }
        if members.iter().all(|byte| matches!(byte, b'"' | b'\'')) {
            self.out.push(if has(class, self.mark) { self.mark } else { b'"' });
            return;
        }
        let plain = |byte: &u8| if members.len() > 80 { byte.is_ascii_alphanumeric() } else { byte.is_ascii_graphic() };
        let seen: Vec<u8> = members.iter().copied().filter(plain).collect();
        let from = if seen.is_empty() { members } else { seen };
        let Some(&byte) = from.get(self.random.below(from.len())) else { return };
        // Letters beyond those of hexadecimal digits may be capital, too, where case does not matter.
        let wide = has(class, b'z') && !has(class, b'Z');
        let byte =
            if secret && self.mixed && wide && self.random.below(2) == 0 { byte.to_ascii_uppercase() } else { byte };
        self.out.push(if self.capital && !secret && !self.done { byte.to_ascii_uppercase() } else { byte });
    }

    /// What may stand around a name and its sign; false if `class` is no such place.
    fn filler(&mut self, class: &Class) -> bool {
        let (word, space, quote, sign) = (has(class, b'_'), has(class, b' '), has(class, b'"'), has(class, b'='));
        let choices: &[&str] = match (word, space, quote, sign) {
            (true, false, false, false) => &["", "", "", "my_", "prod.", "x-"],
            (true, true, false, false) => &["", "_key", "_api_key", "_token", "_secret", "Key", "-token", ".token"],
            (false, true, true, true) => &["", "", " ", "\"", " \"", "'", " '"],
            (false, true, true, false) => &["", "", " ", "\""],
            _ => return false,
        };
        let choice = choices.get(self.random.below(choices.len())).copied().unwrap_or_default();
        if sign {
            self.quote = choice.bytes().find(|byte| matches!(byte, b'"' | b'\''));
        }
        let capital = self.capital && word;
        self.out.extend(choice.bytes().map(|byte| match (capital, byte) {
            (true, b'-' | b'.') => b'_',
            (true, _) => byte.to_ascii_uppercase(),
            (false, _) => byte,
        }));
        true
    }
}

/// Whether a class holds white space only.
fn blank(class: &Class) -> bool {
    (0..=0x7e).filter(|byte| has(class, *byte)).all(|byte| byte.is_ascii_whitespace() || byte == 0x0b)
}

fn has(class: &Class, byte: u8) -> bool {
    match class {
        Class::Bytes(class) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&byte)),
        Class::Unicode(class) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&char::from(byte)))
        }
    }
}

/// Bits for each byte (Shannon).
#[allow(clippy::cast_precision_loss, reason = "lengths of strings")]
fn entropy(bytes: &[u8]) -> f64 {
    let total = bytes.len() as f64;
    let mut counts = [0_u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let share = |count: &u32| f64::from(*count) / total;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * libm::log2(share)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_an_expression_match_it() {
        let mut random = Random::seeded(1);
        for expression in [
            r"\b(tok_[a-f0-9]{32}(?:-\d)?)(?:[\x60'\x22\s;]|\\[nr]|$)",
            r"(?i)[\w.-]{0,50}?(?:acme)(?:[ \t\w.-]{0,20})[\s'\x22]{0,3}(?:=|>|:=|:)[\x60'\x22\s=]{0,5}([a-z0-9]{20})(?:[\x60'\x22\s;]|\\[nr]|$)",
            r"x-[A-Z]+-(?:a|b){2,}",
        ] {
            let rule = Rule { id: String::new(), regex: None, entropy: Some(1.0), group: None };
            let format = Format::new(&rule, expression).unwrap();
            for _ in 0..50 {
                let (text, secret) = format.example("", &mut random).unwrap();
                assert!(format.checks.is_match(text.as_bytes()) && text.contains(&secret), "{text}");
            }
        }
    }
}
