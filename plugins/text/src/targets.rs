//! Where something goes: e-mail addresses and hosts of web addresses in a text.

use std::ops::Range;

use crate::hosts::{host_range, within};

/// Longest name of a host that is believed.
const MOST_HOST: usize = 253;
/// Longest part of an address before the `@`.
const MOST_LOCAL: usize = 64;
/// Most bytes before the `://` that are looked at.
const MOST_SCHEME: usize = 16;
/// What ends an address in most texts, though browsers let it stand before an `@`.
const QUOTES: [char; 5] = ['"', '\'', '<', '>', '`'];

/// A place that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'t> {
    /// Of the whole address in the text.
    pub range: Range<usize>,
    /// The address or web address as written.
    pub written: &'t str,
    /// Its host.
    pub host: &'t str,
    /// Bytes of a web address behind its host: room for what is taken out.
    pub behind: usize,
    /// Whether it is an e-mail address.
    pub mail: bool,
}

impl Target<'_> {
    /// Whether its host is one of these domains or below one.
    #[must_use]
    pub fn within(&self, domains: &[String]) -> bool {
        domains.iter().any(|domain| within(self.host, domain))
    }
}

/// E-mail addresses, then web addresses. Time is linear in the length of the text.
pub fn targets(text: &str) -> impl Iterator<Item = Target<'_>> {
    mails(text).chain(webs(text))
}

fn mails(text: &str) -> impl Iterator<Item = Target<'_>> {
    let bytes = text.as_bytes();
    text.match_indices('@').filter_map(move |(at, _)| {
        let local = bytes.get(at.saturating_sub(MOST_LOCAL)..at)?;
        let length = local.iter().rev().take_while(|byte| is_local(**byte)).count();
        if length == 0 {
            return None;
        }
        let host = host_at(text, at + 1)?;
        if !host.contains('.') {
            return None;
        }
        let range = at - length..at + 1 + host.len();
        Some(Target { written: text.get(range.clone())?, range, host, behind: 0, mail: true })
    })
}

fn webs(text: &str) -> impl Iterator<Item = Target<'_>> {
    // Where the run of visible characters ends that was looked at last: one run may hold many addresses.
    let mut run = 0;
    text.match_indices("://").flat_map(move |(at, mark)| {
        let from = at + mark.len();
        let rest = text.get(from..).unwrap_or_default();
        if run < from {
            let seen = |byte: &u8| byte.is_ascii_graphic() && !QUOTES.contains(&char::from(*byte));
            run = from + rest.bytes().take_while(seen).count();
        }
        let end = run;
        // No other `://` begins before the host is over, so that all of them together are read once.
        let open = rest.split(|c: char| c == '/' || c.is_whitespace()).next().unwrap_or_default();
        let (plain, whole) = (host_range(open.split(QUOTES).next().unwrap_or_default()), host_range(open));
        let other = (plain != whole).then_some(whole);
        [Some(plain), other].into_iter().flatten().filter_map(move |host| web(text, at, from + host.start, end))
    })
}

/// The web address with its `://` at `at` and a host that begins at `from`; `run` is where its visible characters end.
fn web(text: &str, at: usize, from: usize, run: usize) -> Option<Target<'_>> {
    let before = text.as_bytes().get(at.saturating_sub(MOST_SCHEME)..at)?;
    let scheme = before.rsplit(|byte| !is_scheme(*byte)).next()?;
    let scheme = scheme.iter().skip_while(|byte| !byte.is_ascii_alphabetic()).count();
    let (host, end) = if from > 0 && text.as_bytes().get(from - 1) == Some(&b'[') {
        let rest = text.get(from..)?;
        let length = rest.bytes().take(MOST_HOST).take_while(|byte| is_host(*byte) || *byte == b':').count();
        let host = rest.get(..rest.floor_char_boundary(length))?;
        (host, from + host.len() + usize::from(rest.as_bytes().get(host.len()) == Some(&b']')))
    } else {
        let host = host_at(text, from)?;
        (host, from + host.len())
    };
    let range = at - scheme..run.max(end);
    let (written, behind) = (text.get(range.clone())?, range.end - end);
    (scheme > 0 && !host.is_empty()).then_some(Target { written, range, host, behind, mail: false })
}

/// The name of a host that begins here.
fn host_at(text: &str, from: usize) -> Option<&str> {
    let rest = text.get(from..)?;
    let length = rest.bytes().take(MOST_HOST).take_while(|byte| is_host(*byte)).count();
    let host = rest.get(..rest.floor_char_boundary(length))?.trim_end_matches(['.', '-']);
    (!host.is_empty()).then_some(host)
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~".contains(&byte) || byte >= 0x80
}

fn is_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-')
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(&str, &str, usize)> {
        targets(text).map(|target| (target.written, target.host, target.behind)).collect()
    }

    #[test]
    fn addresses_and_hosts_are_found() {
        assert_eq!(all("to a.b@Mail.example.org, or @x, a@b"), [("a.b@Mail.example.org", "Mail.example.org", 0)]);
        assert_eq!(
            all("see https://drop.example/in?d=1 and ftp://10.0.0.1"),
            [("https://drop.example/in?d=1", "drop.example", 7), ("ftp://10.0.0.1", "10.0.0.1", 0),]
        );
        let tricked = all("https://intra.example@evil.test/x");
        assert!(
            tricked.iter().any(|(written, host, _)| written.starts_with("https") && *host == "evil.test"),
            "{tricked:?}"
        );
        assert_eq!(all("://, @, a@, ://x, http://"), []);
    }

    #[test]
    fn no_spelling_of_an_address_hides_where_it_goes() {
        let inside = ["corp.example".to_owned()];
        for (text, written, host, behind) in [
            ("s3://bucket/x", "s3://bucket/x", "bucket", 2),
            ("1git+ssh://a.test", "git+ssh://a.test", "a.test", 0),
            ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x", "2001:db8::1", 2),
            ("x://u@[::1]:80", "x://u@[::1]:80", "::1", 3),
            (r"https://evil.test\@corp.example/x", r"https://evil.test\@corp.example/x", "evil.test", 16),
        ] {
            let found: Vec<_> = targets(text).filter(|target| !target.mail).collect();
            assert!(matches!(&found[..], [one] if !one.within(&inside)), "{found:?}");
            assert_eq!((found[0].written, found[0].host, found[0].behind), (written, host, behind));
        }
        for text in [
            format!("https://corp.example:{}@evil.test/", "x".repeat(300)),
            r#"["https://evil.test","a@corp.example"]"#.to_owned(),
            r#"https://corp.example"@evil.test/"#.to_owned(),
        ] {
            assert!(targets(&text).any(|target| !target.mail && target.host == "evil.test"), "{text}");
        }
    }

    #[test]
    fn domains_hold_what_is_below_them() {
        let inside = ["corp.example".to_owned()];
        let within = |text: &str| targets(text).next().unwrap().within(&inside);
        assert!(within("a@corp.example") && within("https://mail.CORP.example/"));
        assert!(!within("a@evilcorp.example") && !within("a@corp.example.evil.test") && !within("a@e.e"));
    }

    #[test]
    fn odd_texts_are_no_trouble() {
        for text in [
            "@".repeat(100_000),
            "a@b.c".repeat(50_000),
            "://".repeat(50_000),
            "a://[::".repeat(50_000),
            "\u{202e}é@é.é\0".repeat(1_000),
        ] {
            for target in targets(&text) {
                assert_eq!(text.get(target.range), Some(target.written));
            }
        }
    }
}
