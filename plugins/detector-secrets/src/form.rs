//! A small notation for token formats, and its matcher.
//!
//! A form is literal text with runs in braces: `ghp_{alnum:36}` is the prefix and 36 letters or digits, `{hex:20-40}` a
//! run of 20 to 40, `{uuid}` a UUID, `{pad}` none to two equals signs, `{[A-F0-9-]:12}` a run over an alphabet of one's
//! own. Round brackets mark the part that is the secret; without them it is everything. A run takes as many bytes as it
//! may and never gives any back, which is enough for token formats and makes matching linear.

use std::ops::Range;

/// A set of ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Class([u64; 2]);

/// A parsed form.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    segments: Vec<Segment>,
    /// Which segments are the secret.
    secret: Range<usize>,
}

/// The bytes that give a form away and that the scanner looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// Two bytes or more.
    pub(crate) literal: Vec<u8>,
    /// Bytes of the form in front of it.
    pub(crate) lead: usize,
    /// What may follow a literal of two bytes.
    pub(crate) next: Class,
}

/// Where a form fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) whole: Range<usize>,
    /// The part that is the secret.
    pub(crate) secret: Range<usize>,
    /// Whether what follows could belong to it.
    pub(crate) goes_on: bool,
    /// Bytes of it that the last run could do without.
    pub(crate) spare: usize,
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(Vec<u8>),
    Run { class: Class, min: usize, max: usize },
}

/// Longest run a form may name.
const MAX_RUN: usize = 8192;

impl Class {
    /// Whether the byte belongs to the set.
    pub(crate) fn has(self, byte: u8) -> bool {
        let [low, high] = self.0;
        match byte {
            0..=63 => low >> byte & 1 == 1,
            64..=127 => high >> (byte - 64) & 1 == 1,
            _ => false,
        }
    }

    /// The members, in order.
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> {
        (0..128_u8).filter(move |byte| self.has(*byte))
    }

    /// Every visible ASCII character and the space.
    pub(crate) fn visible() -> Self {
        Self::of(b' '..=b'~')
    }

    fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let mut class = Self::default();
        bytes.into_iter().for_each(|byte| class.add(byte));
        class
    }

    fn add(&mut self, byte: u8) {
        let [low, high] = &mut self.0;
        match byte {
            0..=63 => *low |= 1 << byte,
            64..=127 => *high |= 1 << (byte - 64),
            _ => {}
        }
    }

    fn union(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a | c, b | d])
    }

    fn named(name: &str) -> Option<Self> {
        let digit = || Self::of(b'0'..=b'9');
        let small = || Self::of(b'a'..=b'z');
        let capital = || Self::of(b'A'..=b'Z');
        let alnum = || digit().union(small()).union(capital());
        Some(match name {
            "digit" => digit(),
            "hex" => digit().union(Self::of(b'a'..=b'f')),
            "xdigit" => digit().union(Self::of(b'a'..=b'f')).union(Self::of(b'A'..=b'F')),
            "lower" => digit().union(small()),
            "upper" => digit().union(capital()),
            "letter" => small().union(capital()),
            "alnum" => alnum(),
            "url" => alnum().union(Self::of(*b"-_")),
            "token" => alnum().union(Self::of(*b"-_.")),
            "b64" => alnum().union(Self::of(*b"+/")),
            "b32" => capital().union(Self::of(b'2'..=b'7')),
            "bech" => Self::of(*b"qpzry9x8gf2tvdw0s3jn54khce6mua7lQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
            "any" => Self::of((b'!'..=b'~').filter(|byte| !b"\"'`\\<>".contains(byte))),
            _ => return None,
        })
    }

    /// The inside of `[…]`: characters and ranges; a hyphen at the end is itself.
    fn custom(text: &str) -> Option<Self> {
        let mut class = Self::default();
        let mut rest = text.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            if let [b'-', last, after @ ..] = tail {
                if first > *last {
                    return None;
                }
                class = class.union(Self::of(first..=*last));
                rest = after;
            } else {
                class.add(first);
            }
        }
        (text.is_ascii() && class != Self::default()).then_some(class)
    }
}

impl Form {
    /// Reads the notation.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = |what: &str| format!("{what} in the form `{text}`");
        let mut segments: Vec<Segment> = Vec::new();
        let (mut from, mut to) = (None, None);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            match first {
                '(' if from.is_none() => from = Some(segments.len()),
                ')' if from.is_some() && to.is_none() => to = Some(segments.len()),
                '{' => {
                    let inside = rest.get(1..).unwrap_or_default();
                    // A class of one's own may hold braces itself.
                    let skip = if inside.starts_with('[') {
                        inside.find("]:").ok_or_else(|| bad("`[` without `]:`"))?
                    } else {
                        0
                    };
                    let close =
                        inside.get(skip..).and_then(|tail| tail.find('}')).ok_or_else(|| bad("`{` without `}`"))?;
                    let name = inside.get(..skip + close).unwrap_or_default();
                    push_run(&mut segments, name).ok_or_else(|| bad(&format!("unknown run `{{{name}}}`")))?;
                    rest = inside.get(skip + close + 1..).unwrap_or_default();
                    continue;
                }
                _ => {
                    let mut buffer = [0; 4];
                    let bytes = first.encode_utf8(&mut buffer).as_bytes();
                    // The secret's brackets also divide literals.
                    let divided = from == Some(segments.len()) || to == Some(segments.len());
                    match segments.last_mut() {
                        Some(Segment::Literal(literal)) if !divided => literal.extend_from_slice(bytes),
                        _ => segments.push(Segment::Literal(bytes.to_vec())),
                    }
                }
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
        if segments.is_empty() {
            return Err(bad("nothing to look for"));
        }
        if from.is_some() != to.is_some() {
            return Err(bad("`(` without `)`"));
        }
        let secret = from.unwrap_or(0)..to.unwrap_or(segments.len());
        Ok(Self { segments, secret })
    }

    /// The longest literal that stands at a fixed distance from the start and has at least two bytes.
    pub(crate) fn anchor(&self) -> Option<Anchor> {
        let mut best: Option<Anchor> = None;
        let mut lead = 0;
        for (index, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Literal(literal) => {
                    if literal.len() >= 2 && best.as_ref().is_none_or(|best| best.literal.len() < literal.len()) {
                        let next = match self.segments.get(index + 1) {
                            Some(Segment::Run { class, min: 1.., .. }) => *class,
                            _ => Class::visible(),
                        };
                        best = Some(Anchor { literal: literal.clone(), lead, next });
                    }
                    lead += literal.len();
                }
                Segment::Run { min, max, .. } if min == max => lead += min,
                Segment::Run { .. } => break,
            }
        }
        best
    }

    /// Bytes of literal text in the form: how much it says by itself.
    pub(crate) fn literal_len(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| if let Segment::Literal(literal) = segment { literal.len() } else { 0 })
            .sum()
    }

    /// Matches from `start` and returns the whole match and the secret in it. What follows must not continue the token.
    pub(crate) fn match_at(&self, bytes: &[u8], start: usize) -> Option<(Range<usize>, Range<usize>)> {
        self.find_at(bytes, start).filter(|found| !found.goes_on).map(|found| (found.whole, found.secret))
    }

    /// As [`match_at`](Self::match_at), also where the text goes on as if the token were longer.
    pub(crate) fn find_at(&self, bytes: &[u8], start: usize) -> Option<Found> {
        let mut at = start;
        let mut secret = start..start;
        let mut last = Class::default();
        let mut spare = 0;
        for (index, segment) in self.segments.iter().enumerate() {
            if index == self.secret.start {
                secret.start = at;
            }
            let rest = bytes.get(at..)?;
            match segment {
                Segment::Literal(literal) => {
                    if !rest.starts_with(literal) {
                        return None;
                    }
                    at += literal.len();
                    last = Class::default();
                    spare = 0;
                }
                Segment::Run { class, min, max } => {
                    let mut length = rest.iter().take(*max).take_while(|byte| class.has(**byte)).count();
                    #[cfg(test)]
                    crate::tests::looked_at(length);
                    // The full stop after a token ends the sentence, it does not belong to the token.
                    while length > *min && rest.get(length - 1) == Some(&b'.') {
                        length -= 1;
                    }
                    if length < *min {
                        return None;
                    }
                    at += length;
                    last = *class;
                    spare = length - *min;
                }
            }
            if index + 1 == self.secret.end {
                secret.end = at;
            }
        }
        let ends_in_run = matches!(self.segments.last(), Some(Segment::Run { .. }));
        let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || (last.has(byte) && byte != b'.');
        let goes_on = ends_in_run && bytes.get(at).copied().is_some_and(goes_on);
        Some(Found { whole: start..at, secret, goes_on, spare })
    }

    /// Matches the whole of `bytes` and returns the secret in it.
    pub(crate) fn match_whole(&self, bytes: &[u8]) -> Option<Range<usize>> {
        self.match_at(bytes, 0).filter(|(whole, _)| whole.end == bytes.len()).map(|(_, secret)| secret)
    }

    /// Writes a member of the format: each run at its shortest (or longest up to 64 more), filled by `pick`, which is
    /// asked for a number below its argument.
    #[cfg(test)]
    pub(crate) fn example(&self, longest: bool, mut pick: impl FnMut(usize) -> usize) -> String {
        let mut out = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => out.extend_from_slice(literal),
                Segment::Run { class, min, max } => {
                    let members: Vec<u8> = class.bytes().filter(|byte| *byte != b'.').collect();
                    let length = if longest { (*max).min(min + 64) } else { *min };
                    out.extend((0..length).map(|_| members[pick(members.len())]));
                }
            }
        }
        String::from_utf8(out).unwrap()
    }
}

fn push_run(segments: &mut Vec<Segment>, text: &str) -> Option<()> {
    if text == "pad" {
        segments.push(Segment::Run { class: Class::of(*b"="), min: 0, max: 3 });
        return Some(());
    }
    if text == "uuid" {
        for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
            if index > 0 {
                segments.push(Segment::Literal(b"-".to_vec()));
            }
            segments.push(Segment::Run { class: Class::named("xdigit")?, min: length, max: length });
        }
        return Some(());
    }
    let (name, length) = text.rsplit_once(':')?;
    let class = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(custom) => Class::custom(custom)?,
        None => Class::named(name)?,
    };
    let (min, max) = length.split_once('-').unwrap_or((length, length));
    let (min, max) = (min.parse::<usize>().ok()?, max.parse::<usize>().ok()?);
    (min <= max && max > 0 && max <= MAX_RUN).then(|| segments.push(Segment::Run { class, min, max }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_matches_its_members_and_nothing_longer() {
        let form = Form::parse("ab_{hex:4}-{digit:2-3}").unwrap();
        assert_eq!(form.match_at(b"xab_0a1f-12 ", 1), Some((1..11, 1..11)));
        assert_eq!(form.match_at(b"ab_0a1f-1234", 0), None, "a fourth digit makes it something else");
        assert_eq!(form.match_at(b"ab_0a1f-12x", 0), None);
        assert_eq!(form.match_at(b"ab_0a1g-12", 0), None);
        assert_eq!(form.match_at(b"ab_0a", 0), None);
    }

    #[test]
    fn brackets_mark_the_secret() {
        let form = Form::parse("Key=({[a-c+-]:3}=)!").unwrap();
        assert_eq!(form.match_at(b"Key=a-+=!", 0), Some((0..9, 4..8)));
    }

    #[test]
    fn a_full_stop_at_the_end_is_punctuation() {
        let form = Form::parse("t-{token:4-9}").unwrap();
        assert_eq!(form.match_at(b"t-ab.cd.", 0), Some((0..7, 0..7)));
    }

    #[test]
    fn the_anchor_is_the_longest_literal_at_a_fixed_place() {
        let anchor = Form::parse("{alnum:14}.atlasv1.{url:60}").unwrap().anchor().unwrap();
        assert_eq!((anchor.literal.as_slice(), anchor.lead), (&b".atlasv1."[..], 14));
        assert_eq!(Form::parse("{alnum:1-4}long_literal").unwrap().anchor(), None);
        let anchor = Form::parse("gh{[po]:1}_{alnum:36}").unwrap().anchor().unwrap();
        assert_eq!(anchor.next.bytes().collect::<Vec<_>>(), b"op");
    }

    #[test]
    fn bad_notation_is_explained() {
        for (text, what) in [
            ("", "nothing"),
            ("{hex}", "unknown run"),
            ("{nope:3}", "unknown run"),
            ("{hex:3", "without `}`"),
            ("{[a-z:3}", "without `]:`"),
            ("{[z-a]:3}", "unknown run"),
            ("{hex:5-2}", "unknown run"),
            ("{hex:99999}", "unknown run"),
            ("a(b", "without `)`"),
        ] {
            let error = Form::parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
