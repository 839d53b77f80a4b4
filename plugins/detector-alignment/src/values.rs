//! Values that identify somebody or some place: addresses, accounts, hosts, numbers, paths, packages.

use std::ops::Range;

use plugin_text::{Kind as Reading, Limits, Views, folded, host_of};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Mail,
    Host,
    /// IBANs and account numbers with letters.
    Account,
    /// Accounts and phone numbers: digits, however they are set apart.
    Number,
    Crypto,
    Path,
    Package,
}

impl Kind {
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Mail => 'm',
            Self::Host => 'h',
            Self::Account => 'a',
            Self::Number => 'n',
            Self::Crypto => 'c',
            Self::Path => 'f',
            Self::Package => 'p',
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mail => "a mail address",
            Self::Host => "a web address",
            Self::Account => "an account",
            Self::Number => "an account or phone number",
            Self::Crypto => "a wallet",
            Self::Path => "a file",
            Self::Package => "a package",
        }
    }

    /// Whether somebody may get something there.
    pub(crate) fn is_destination(self) -> bool {
        !matches!(self, Self::Path | Self::Package)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    /// The same however it is written.
    pub(crate) folded: String,
    pub(crate) range: Range<usize>,
}

/// Longest value.
const LONGEST: usize = 512;
/// Fewest digits that are an account or a phone.
const FEWEST_DIGITS: usize = 7;
/// Last labels by which a name without `http` is one of a host.
const ENDINGS: &[&str] = &[
    "com", "net", "org", "io", "dev", "app", "info", "biz", "co", "ai", "me", "site", "online", "top", "xyz",
    "example", "ru", "cn", "de", "uk", "eu", "fr", "it", "es", "nl", "ch", "at", "us", "in", "br", "jp", "cloud",
    "link", "shop", "live", "onion", "gov", "edu", "invalid", "test",
];

/// The values in a text, at most `most` of them. Nothing is kept of a text but these.
pub(crate) fn find(text: &str, most: usize) -> Vec<Value> {
    let mut values = Vec::new();
    let mut install = false;
    let mut digits = Digits::default();
    for token in tokens(text) {
        if values.len() >= most {
            return values;
        }
        let range = token.start..token.start + token.text.len();
        if (token.digits > 0 || digits.begun()) && !digits.take(token.text, &range) {
            values.extend(std::mem::take(&mut digits).value());
            digits.take(token.text, &range);
        }
        let text = token.text;
        let fits = text.len() <= LONGEST;
        if fits
            && token.value
            && let Some((kind, folded)) = of_token(text)
        {
            values.push(Value { kind, folded, range });
        } else if fits && install && is_package(text) {
            values.push(Value { kind: Kind::Package, folded: text.to_ascii_lowercase(), range });
        }
        install = (install && fits && (text.starts_with('-') || is_package(text)))
            || matches!(text, "install" | "add" | "require" | "-i");
    }
    values.extend(digits.value());
    values.truncate(most);
    values
}

/// The values in what else a reader makes of a text, at most `most` of them: with encodings undone, and with the marks taken out
/// that keep an address from being followed by mistake.
pub(crate) fn find_behind(text: &str, most: usize) -> Vec<Value> {
    let mut values = Vec::new();
    if let Some(plain) = refanged(text) {
        values.extend(find(&plain, most).into_iter().map(|value| Value { range: 0..text.len(), ..value }));
    }
    let views = Views::new(text, &Limits::default());
    for (at, view) in views.iter().filter(|(_, view)| view.kind != Reading::Plain) {
        let found = find(&view.text, most.saturating_sub(values.len()));
        values.extend(found.into_iter().map(|value| Value { range: views.origin(at, value.range), ..value }));
    }
    values
}

/// What stands for a mark of an address.
const FANGS: &[(&str, &str)] = &[
    ("hxxp", "http"),
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("<dot>", "."),
    (" dot ", "."),
    ("[@]", "@"),
    ("(@)", "@"),
    ("{@}", "@"),
    ("[at]", "@"),
    ("(at)", "@"),
    ("{at}", "@"),
    ("<at>", "@"),
    (" at ", "@"),
    ("[:]", ":"),
    ("[://]", "://"),
    ("[/]", "/"),
];

/// The text with the addresses in it as they are meant (`hxxps://a[.]example`, `me [at] a (dot) example`); none if there is no such
/// address in it.
fn refanged(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['[', '(', '{', '<', ' ', 'h', 'H']) {
        let (before, behind) = rest.split_at_checked(at)?;
        plain.push_str(before);
        let next = match spelt(behind) {
            // ` at ` is a word like others, unless a name with a dot that is spelt out comes next.
            Some((fang, mark, next)) if fang != " at " || names_host(next) => {
                plain.push_str(mark);
                next
            }
            _ => {
                let next = behind.trim_start_matches(' ');
                let next = if next.len() < behind.len() { next } else { behind.get(1..)? };
                plain.push_str(behind.get(..behind.len() - next.len())?);
                next
            }
        };
        rest = next;
    }
    plain.push_str(rest);
    (plain != text).then_some(plain)
}

/// The mark that is spelt out at the beginning of the text: how, what for, and what is behind it. Blanks around it are part of it.
fn spelt(text: &str) -> Option<(&'static str, &'static str, &str)> {
    let inner = text.trim_start_matches(' ');
    let last = text.get((text.len() - inner.len()).saturating_sub(1)..)?;
    let fang = |text: &str| {
        // Nearly every blank and letter is seen not to begin one at its second byte.
        let likely = text.as_bytes().get(1).is_some_and(|byte| b".dDaA@:/xX".contains(byte));
        let begins = |fang: &str| text.get(..fang.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(fang));
        FANGS.iter().find(|(fang, _)| likely && begins(fang)).copied()
    };
    let bracket = || Some((fang(inner)?, inner)).filter(|_| inner.starts_with(['[', '(', '{', '<']));
    let ((fang, mark), from) = fang(last).map(|fang| (fang, last)).or_else(bracket)?;
    let behind = from.get(fang.len()..)?;
    Some((fang, mark, if mark == "http" { behind } else { behind.trim_start_matches(' ') }))
}

/// Whether the text begins with a name and a dot that is spelt out.
fn names_host(text: &str) -> bool {
    let name = text.bytes().take(64).take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-').count();
    name > 0 && text.get(name..).and_then(spelt).is_some_and(|(_, mark, _)| mark == ".")
}

/// A whole value that is said to be the name of a package.
pub(crate) fn package(text: &str) -> Option<String> {
    let name = text.trim();
    is_package(name).then(|| name.to_ascii_lowercase())
}

fn is_package(token: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@/._-".contains(&byte);
    (2..=128).contains(&token.len())
        && token.bytes().all(plain)
        && token.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !token.starts_with('-')
}

/// What a byte is to the cutting of tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Ends a token.
    Gap,
    /// Says nothing.
    Plain,
    /// Stands in values and seldom in words.
    Mark,
    Digit,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let class = match byte as u8 {
            b'0'..=b'9' => Class::Digit,
            // Full-width forms begin with the last one.
            b'@' | b':' | b'.' | b'/' | b'\\' | 0xef => Class::Mark,
            0..=b' '
            | b'"'
            | b'\''
            | b'`'
            | b'<'
            | b'>'
            | b'('
            | b')'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b','
            | b';'
            | b'|'
            | 0x7f => Class::Gap,
            _ => Class::Plain,
        };
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            classes[byte] = class;
        }
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Plain)
}

/// A piece of a text between white space, quotes and brackets, without the marks around it.
struct Token<'t> {
    start: usize,
    text: &'t str,
    /// Whether it may be a value by itself: most words are seen not to be at the first look.
    value: bool,
    digits: usize,
}

/// The pieces of a text.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let bytes = text.as_bytes();
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + bytes.get(from..)?.iter().position(|byte| class(*byte) != Class::Gap)?;
            let (mut end, mut marks, mut digits) = (start, 0_usize, 0_usize);
            for byte in bytes.get(start..)? {
                match class(*byte) {
                    Class::Gap => break,
                    Class::Mark => marks += 1,
                    Class::Digit => digits += 1,
                    Class::Plain => {}
                }
                end += 1;
            }
            from = end;
            let whole = text.get(start..end)?;
            let token = whole.trim_end_matches(['.', ':', '!', '?', '*', '…']);
            let begins = token.len();
            let token = token.trim_start_matches(['*', ':', '=']);
            if !token.is_empty() {
                let start = start + (begins - token.len());
                // A mark at the end is the end of a sentence.
                let value = digits >= 2 || marks > whole.len() - begins;
                return Some(Token { start, text: token, value, digits });
            }
        }
    })
}

fn of_token(token: &str) -> Option<(Kind, String)> {
    let folded = folded(token);
    let token = folded.as_ref();
    let (mut at, mut dot, mut slash, mut colon, mut digits) = (false, false, false, false, 0);
    for byte in token.bytes() {
        match byte {
            b'@' => at = true,
            b'.' => dot = true,
            b'/' | b'\\' => slash = true,
            b':' => colon = true,
            b'0'..=b'9' => digits += 1,
            _ => {}
        }
    }
    if colon
        && slash
        && let Some((_, rest)) = token.split_once("://")
    {
        return host(rest).map(|host| (Kind::Host, host));
    }
    if at {
        let (name, domain) = token.rsplit_once('@')?;
        let name = name.rsplit(['=', ':', '/']).next().unwrap_or_default();
        let good = !name.is_empty() && domain.contains('.') && domain.chars().all(is_of_host);
        return good.then(|| (Kind::Mail, format!("{name}@{domain}").to_lowercase()));
    }
    if slash && is_path(token) {
        return Some((Kind::Path, token.to_lowercase().replace('\\', "/")));
    }
    if digits >= 2 && token.len() >= 14 {
        if is_crypto(token) {
            return Some((Kind::Crypto, token.to_owned()));
        }
        let plain: String = token.chars().filter(|c| *c != '-').collect();
        if is_account(&plain) {
            return Some((Kind::Account, plain.to_lowercase()));
        }
    }
    if !dot {
        return None;
    }
    let bare = token.split('/').next().unwrap_or_default();
    let (front, last) = bare.rsplit_once('.')?;
    let named =
        front.bytes().any(|byte| byte.is_ascii_alphabetic()) && ENDINGS.contains(&last.to_ascii_lowercase().as_str());
    if named { host(bare).map(|host| (Kind::Host, host)) } else { None }
}

fn is_of_host(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '.')
}

/// The host of what follows `://`.
fn host(rest: &str) -> Option<String> {
    let name = host_of(rest).to_lowercase();
    let name = name.strip_prefix("www.").unwrap_or(&name).trim_end_matches('.');
    (name.len() >= 3 && name.chars().all(is_of_host)).then(|| name.to_owned())
}

fn is_path(token: &str) -> bool {
    let bytes = token.as_bytes();
    let drive = matches!(bytes, [letter, b':', b'\\' | b'/', _, ..] if letter.is_ascii_alphabetic());
    let rooted = ["/", "~/", "./", "../", "\\\\"].iter().any(|start| token.starts_with(start));
    (drive || rooted) && token.len() >= 4 && token.bytes().filter(u8::is_ascii_alphabetic).count() >= 2
}

fn is_crypto(token: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(rest) = token.strip_prefix("0x") {
        return rest.len() == 40 && hex(rest);
    }
    if let Some(rest) = token.strip_prefix("bc1") {
        return (20..=80).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    }
    let (mut small, mut great, mut digits) = (0, 0, 0);
    for byte in token.bytes() {
        match byte {
            b'a'..=b'z' => small += 1,
            b'A'..=b'Z' => great += 1,
            b'0'..=b'9' => digits += 1,
            _ => return false,
        }
    }
    (26..=44).contains(&token.len()) && small > 2 && great > 2 && digits > 2
}

/// An IBAN or what looks like one: two letters and mostly digits.
fn is_account(token: &str) -> bool {
    let bytes = token.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let begins = matches!(bytes, [one, two, three, four, ..]
        if one.is_ascii_alphabetic() && two.is_ascii_alphabetic() && three.is_ascii_digit() && four.is_ascii_digit());
    begins
        && (14..=34).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && digits * 2 >= bytes.len()
}

/// A number in the making: digits in groups, perhaps the rest of an IBAN that is written in groups of four.
#[derive(Debug, Default)]
struct Digits {
    text: String,
    range: Option<Range<usize>>,
    groups: usize,
}

impl Digits {
    fn begun(&self) -> bool {
        self.range.is_some()
    }

    /// Goes on with a token; false if it does not belong to it.
    fn take(&mut self, token: &str, range: &Range<usize>) -> bool {
        if token.len() > 40 || self.text.len() > 40 || !token.is_ascii() {
            return false;
        }
        let begins = self.range.is_none();
        let iban = |text: &str| {
            matches!(text.as_bytes(), [a, b, c, d, ..]
                if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit())
        };
        let goes_on = if begins {
            is_number(token) || (token.len() == 4 && iban(token))
        } else if iban(&self.text) {
            (1..=4).contains(&token.len())
                && token.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        } else {
            token.len() >= 2 && is_number(token) && !token.starts_with('+') && self.groups < 6
        };
        // The gap is one mark, or it is another number.
        let near = self.range.as_ref().is_none_or(|own| range.start.saturating_sub(own.end) <= 2);
        if !goes_on || !near {
            return false;
        }
        self.text.extend(token.chars().filter(char::is_ascii_alphanumeric));
        self.groups += 1;
        self.range = Some(self.range.as_ref().map_or(range.start, |own| own.start)..range.end);
        true
    }

    fn value(self) -> Option<Value> {
        let range = self.range?;
        if self.groups > 1 && is_account(&self.text) {
            return Some(Value { kind: Kind::Account, folded: self.text.to_lowercase(), range });
        }
        let count = self.text.len();
        let good = (FEWEST_DIGITS..=20).contains(&count) && self.text.bytes().all(|byte| byte.is_ascii_digit());
        good.then_some(Value { kind: Kind::Number, folded: self.text, range })
    }
}

/// Digits, perhaps set apart, that are no date, time, amount or version.
fn is_number(token: &str) -> bool {
    let rest = token.strip_prefix('+').unwrap_or(token);
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    let plain = rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let dated = matches!(rest.as_bytes(), [b'1' | b'2', b'0' | b'9', _, _, b'-', _, _, b'-', _, _])
        || matches!(rest.as_bytes(), [_, _, b'-', _, _, b'-', _, _, _, _]);
    plain && digits > 0 && !dated && !rest.starts_with('-')
}
