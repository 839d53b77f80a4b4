//! Takes secrets out of answers: as they are, in Base64 at any alignment, in hexadecimal, and with any of their characters
//! percent-encoded or escaped as in JSON, also twice.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Finds secrets in whatever comes back.
pub(super) struct Scrubber {
    finder: AhoCorasick,
    /// What is put in the place of each pattern.
    instead: Vec<String>,
    /// The secrets alone, for texts whose escapes have been read.
    plain: AhoCorasick,
    plain_instead: Vec<String>,
}

impl Scrubber {
    /// Finds these: what stands for a secret, and the secret. None if that cannot be built.
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Option<Self> {
        let (mut patterns, mut instead) = (Vec::new(), Vec::new());
        let (mut plain, mut plain_instead) = (Vec::new(), Vec::new());
        for (placeholder, secret) in secrets {
            plain.push(secret.as_bytes().to_vec());
            plain_instead.push(placeholder.to_owned());
            // In forms, a space is a plus.
            if secret.contains(' ') {
                plain.push(secret.replace(' ', "+").into_bytes());
                plain_instead.push(placeholder.to_owned());
            }
            for form in forms(secret) {
                patterns.push(form);
                instead.push(placeholder.to_owned());
            }
        }
        let mut builder = AhoCorasick::builder();
        // Hexadecimal digits, and names of headers, come in either case.
        let finder = builder.match_kind(MatchKind::LeftmostLongest).ascii_case_insensitive(true);
        Some(Self { finder: finder.build(&patterns).ok()?, instead, plain: finder.build(&plain).ok()?, plain_instead })
    }

    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut text = self.finder.replace_all_bytes(bytes, &self.instead);
        // Each turn cleans one depth.
        for _ in 0..DEEPEST {
            match self.unescaped(&text) {
                Some(clean) => text = clean,
                None => break,
            }
        }
        text
    }

    /// The text without the secrets that are there once escapes are read, at the least depth that has one.
    fn unescaped(&self, text: &[u8]) -> Option<Vec<u8>> {
        // Most texts have none, and need no copy then.
        if !may_be_escaped(text) {
            return None;
        }
        let first = Read::of(text).once();
        let depths = std::iter::successors(first, |read| read.once()).take(DEEPEST);
        depths.into_iter().find_map(|read| self.replace(text, &read))
    }

    pub(super) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// The text without the places that read as a secret; none if there is none.
    fn replace(&self, text: &[u8], read: &Read) -> Option<Vec<u8>> {
        let mut clean = Vec::new();
        let mut done = 0;
        for found in self.plain.find_iter(&read.bytes) {
            let (start, end) = (*read.places.get(found.start())?, *read.places.get(found.end())?);
            clean.extend_from_slice(text.get(done..start)?);
            clean.extend_from_slice(self.plain_instead.get(found.pattern().as_usize())?.as_bytes());
            done = end;
        }
        if done == 0 {
            return None;
        }
        clean.extend_from_slice(text.get(done..)?);
        Some(clean)
    }
}

/// How often escapes are read: once, and what was escaped again.
const DEEPEST: usize = 3;

/// A text whose escapes have been read.
struct Read {
    bytes: Vec<u8>,
    /// Where each byte begins in the text as it came, and the end of that.
    places: Vec<usize>,
}

impl Read {
    fn of(text: &[u8]) -> Self {
        Self { bytes: text.to_vec(), places: (0..=text.len()).collect() }
    }

    /// With one more level of escapes read; none if there are no more.
    fn once(&self) -> Option<Self> {
        if !may_be_escaped(&self.bytes) {
            return None;
        }
        let mut next = Self { bytes: Vec::with_capacity(self.bytes.len()), places: Vec::new() };
        let (mut at, mut changed) = (0, false);
        while let (Some(rest @ [first, ..]), Some(place)) = (self.bytes.get(at..), self.places.get(at)) {
            let length = match escaped(rest) {
                Some((one, length)) => {
                    changed = true;
                    next.push(one, *place);
                    length
                }
                None => {
                    next.push(One::Byte(*first), *place);
                    1
                }
            };
            at += length;
        }
        next.places.extend(self.places.last());
        changed.then_some(next)
    }

    fn push(&mut self, one: One, place: usize) {
        let before = self.bytes.len();
        match one {
            One::Byte(byte) => self.bytes.push(byte),
            One::Char(character) => self.bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        self.places.resize(self.places.len() + self.bytes.len() - before, place);
    }
}

/// What an escape stands for.
enum One {
    Byte(u8),
    Char(char),
}

fn may_be_escaped(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'%' | b'\\'))
}

/// What a text begins with, if that is an escape of a URL or of JSON, and how long it is.
fn escaped(text: &[u8]) -> Option<(One, usize)> {
    let digits = |range: std::ops::Range<usize>| {
        let digits = std::str::from_utf8(text.get(range)?).ok()?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    };
    match text {
        [b'%', ..] => Some((One::Byte(u8::try_from(digits(1..3)?).ok()?), 3)),
        [b'\\', b'u', ..] => {
            let unit = digits(2..6)?;
            let low = text.get(6..8).filter(|next| *next == br"\u").and_then(|_| digits(8..12));
            let pair = low.filter(|low| (0xd800..0xdc00).contains(&unit) && (0xdc00..0xe000).contains(low));
            let (code, length) = match pair {
                Some(low) => (0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12),
                None => (unit, 6),
            };
            Some((One::Char(char::from_u32(code)?), length))
        }
        [b'\\', simple, ..] => {
            let byte = match simple {
                b'"' | b'\\' | b'/' => *simple,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                _ => return None,
            };
            Some((One::Byte(byte), 2))
        }
        _ => None,
    }
}

/// How a secret may come back.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    for alignment in 0..3_usize {
        let padded: Vec<u8> = std::iter::repeat_n(0, alignment).chain(secret.bytes()).collect();
        // Characters that depend on nothing but the secret.
        let (first, end) = ((alignment * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.extend(encoded.as_bytes().get(first..end).map(<[u8]>::to_vec));
        }
    }
    forms.push(secret.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
    forms.sort_unstable();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = r#"sk-live/"a+b=c 100%"#;
        let scrubber = Scrubber::new([("{{S}}", secret)]).unwrap();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
        let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for text in [
            format!("x{secret}y"),
            secret.to_uppercase(),
            hex,
            percent,
            serde_json::json!({ "echo": secret }).to_string(),
            serde_json::json!({ "echo": secret }).to_string().replace('/', "\\/"),
            form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            "sk-live%2F%22a%2Bb%3Dc%20100%25".to_owned(),
            "sk-live/%22a+b=c%20100%25".to_owned(),
            // As Python's and JavaScript's functions leave some characters, and others' some more.
            "sk-live/%22a%2Bb%3Dc%20100%25".to_owned(),
            r"sk-live\u002f\u0022a\u002Bb=c 100%".to_owned(),
            "sk-live%252F%2522a%252Bb%253Dc%2520100%2525".to_owned(),
            r"sk-live%5c/%5C%22a+b=c 100%".to_owned(),
            r#"{"x":"%zz \q \ud800 sk\u002dlive/\"a+b=c 100%"}"#.to_owned(),
        ] {
            let clean = scrubber.text(&text);
            assert!(clean.contains("{{S}}") && !clean.contains("live"), "{text} became {clean}");
        }
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        let secret = "correct-horse-battery";
        let scrubber = Scrubber::new([("{{S}}", secret)]).unwrap();
        for before in ["", "a", "ab", "abc", "user:", "Basic 12:"] {
            for after in ["", "z", "zz", "zzz"] {
                let plain = format!("{before}{secret}{after}");
                for encoded in [STANDARD_NO_PAD.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)] {
                    let clean = scrubber.text(&encoded);
                    assert!(clean.contains("{{S}}"), "{plain}: {encoded} became {clean}");
                    // What is left at the edges cannot be more than a character's bits.
                    assert!(clean.len() < encoded.len().max(40), "{clean}");
                }
            }
        }
        assert_eq!(scrubber.bytes(b"\xff\xfe nothing here"), b"\xff\xfe nothing here");
    }
}
