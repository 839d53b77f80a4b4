//! E-mail addresses.

use crate::hit::Hit;
use crate::kind::Kind;
use crate::number::{byte, byte_before};

/// Longest local part, and longest domain.
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 253;

/// Endings that are open to everybody and common; all those of countries have two letters.
const TOP_LEVEL: &[&str] = &[
    "academy",
    "aero",
    "agency",
    "app",
    "art",
    "asia",
    "bank",
    "bio",
    "biz",
    "blog",
    "care",
    "cat",
    "center",
    "city",
    "click",
    "clinic",
    "cloud",
    "club",
    "coach",
    "com",
    "company",
    "consulting",
    "coop",
    "dev",
    "digital",
    "edu",
    "email",
    "energy",
    "events",
    "expert",
    "family",
    "finance",
    "foundation",
    "fun",
    "games",
    "global",
    "gmbh",
    "gov",
    "group",
    "guru",
    "health",
    "host",
    "house",
    "inc",
    "info",
    "int",
    "international",
    "jobs",
    "law",
    "legal",
    "life",
    "link",
    "live",
    "llc",
    "ltd",
    "marketing",
    "media",
    "mil",
    "mobi",
    "money",
    "museum",
    "name",
    "net",
    "network",
    "news",
    "one",
    "online",
    "org",
    "page",
    "photo",
    "post",
    "press",
    "pro",
    "school",
    "services",
    "shop",
    "site",
    "social",
    "software",
    "solutions",
    "space",
    "store",
    "studio",
    "systems",
    "team",
    "tech",
    "technology",
    "tel",
    "today",
    "tools",
    "top",
    "travel",
    "university",
    "ventures",
    "vip",
    "website",
    "wiki",
    "work",
    "works",
    "world",
    "xyz",
    "zone",
];
/// Endings of files and units that look like domains after an `@`.
const FILES: &[&str] = &[
    "conf", "css", "device", "gif", "htm", "html", "internal", "jpeg", "jpg", "js", "json", "jsx", "lan", "local",
    "log", "mount", "pdf", "png", "scope", "service", "slice", "socket", "svg", "target", "timer", "ts", "tsx", "txt",
    "webp", "xml", "yaml", "yml", "zip",
];
/// Local parts that belong to a machine or a role, not to a person.
const ROLES: &[&str] = &[
    "abuse",
    "admin",
    "billing",
    "bot",
    "careers",
    "contact",
    "do-not-reply",
    "donotreply",
    "hello",
    "help",
    "hostmaster",
    "info",
    "jobs",
    "mailer-daemon",
    "marketing",
    "news",
    "newsletter",
    "no-reply",
    "noreply",
    "notifications",
    "office",
    "postmaster",
    "press",
    "privacy",
    "root",
    "sales",
    "security",
    "service",
    "support",
    "team",
    "webmaster",
];
/// Domains that nobody gets mail at (RFC 2606, RFC 6761), and those of placeholders.
const EXAMPLES: &[&str] = &[
    "domain.com",
    "domain.tld",
    "email.tld",
    "example.com",
    "example.edu",
    "example.net",
    "example.org",
    "mydomain.com",
    "yourcompany.com",
    "yourdomain.com",
];

/// The address around the `@` at `at`.
pub(crate) fn find(bytes: &[u8], at: usize) -> Option<Hit> {
    let local = |byte: u8| byte.is_ascii_alphanumeric() || b"._+'-~".contains(&byte) || byte >= 0x80;
    let before = bytes.get(at.saturating_sub(LONGEST_LOCAL)..at)?;
    let length = before.iter().rev().take_while(|byte| local(**byte)).count();
    #[cfg(test)]
    crate::tests::looked_at(length);
    let mut start = at - length;
    while start < at && b".'-~+".contains(&byte(bytes, start)) {
        start += 1;
    }
    if start == at || byte_before(bytes, at) == b'.' || is_login(bytes, start) {
        return None;
    }
    let host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' || byte >= 0x80;
    let rest = bytes.get(at + 1..)?;
    let length = rest.iter().take(LONGEST_DOMAIN).take_while(|byte| host(**byte)).count();
    #[cfg(test)]
    crate::tests::looked_at(length);
    if !rest.get(..length)?.contains(&b'.') {
        return None;
    }
    let domain = std::str::from_utf8(rest.get(..length)?).ok()?.trim_end_matches(['.', '-']).to_ascii_lowercase();
    let (labels, last) = domain.rsplit_once('.')?;
    let label = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    let country = last.len() == 2;
    let ending = last.starts_with("xn--") || last.bytes().all(|byte| byte.is_ascii_alphabetic() || byte >= 0x80);
    if !labels.split('.').all(label)
        || !ending
        || !(2..=24).contains(&last.len())
        || byte(bytes, at + 1 + length) == b'@'
    {
        return None;
    }
    let known = country || TOP_LEVEL.binary_search(&last).is_ok() || last.starts_with("xn--");
    let name = bytes.get(start..at)?.to_ascii_lowercase();
    let who = name.as_slice();
    let role =
        ROLES.iter().any(|role| role.as_bytes() == who || who.starts_with(b"noreply") || who.starts_with(b"no-reply"));
    let digits = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let file = FILES.binary_search(&last).is_ok() || labels == "2x" || labels == "3x" || labels.split('.').all(digits);
    let score = match (file, known, role) {
        (true, ..) => 0.3,
        (_, true, false) => 0.95,
        (_, true, true) => 0.6,
        _ => 0.65,
    };
    let name = [who, b"@", domain.as_bytes()].concat();
    // `git@host` is a way to reach a server.
    let quiet = who == b"git" || is_example(&domain);
    Some(Hit { kind: Kind::Email, range: start..at + 1 + domain.len(), score, name, quiet })
}

/// The domain of a name as [`find`] makes it.
pub(crate) fn domain(name: &[u8]) -> &[u8] {
    name.iter().rposition(|byte| *byte == b'@').and_then(|at| name.get(at + 1..)).unwrap_or_default()
}

/// Whether the place lies between `://` and the host: a user name, or its password.
fn is_login(bytes: &[u8], start: usize) -> bool {
    let window = bytes.get(start.saturating_sub(96)..start).unwrap_or_default();
    let stop = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>?&,;".contains(byte);
    let from = window.iter().rposition(stop).map_or(0, |at| at + 1);
    let word = window.get(from..).unwrap_or_default();
    let scheme = word.windows(3).rposition(|three| three == b"://").and_then(|at| word.get(at + 3..));
    scheme.is_some_and(|rest| !rest.contains(&b'/'))
}

fn is_example(domain: &str) -> bool {
    let reserved = ["example", "test", "invalid", "localhost"];
    let last = domain.rsplit('.').next().unwrap_or_default();
    let within =
        |example: &&str| domain.strip_suffix(*example).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    reserved.contains(&last) || EXAMPLES.iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(TOP_LEVEL.is_sorted() && FILES.is_sorted());
    }
}
