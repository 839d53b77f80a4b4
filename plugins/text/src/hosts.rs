//! Hosts of web addresses, as browsers read them.

use std::ops::Range;

/// Host of what follows `://`: without user, password and port; of an IPv6 address what stands between the brackets.
#[must_use]
pub fn host_of(rest: &str) -> &str {
    rest.get(host_range(rest)).unwrap_or_default()
}

/// Whether a host is this domain or below it, in any case of ASCII letters.
#[must_use]
pub fn within(host: &str, domain: &str) -> bool {
    let Some(before) = host.len().checked_sub(domain.len()) else { return false };
    let same = host.get(before..).is_some_and(|end| end.eq_ignore_ascii_case(domain));
    same && (before == 0 || host.as_bytes().get(before - 1) == Some(&b'.'))
}

/// Where [`host_of`] stands.
pub(crate) fn host_range(rest: &str) -> Range<usize> {
    // Browsers take a `\` for a `/`; what stands before the last `@` is a name and a password.
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let user = authority.rfind('@').map_or(0, |sign| sign + 1);
    let host = authority.get(user..).unwrap_or_default();
    let (from, end) = if host.starts_with('[') { (1, ']') } else { (0, ':') };
    user + from..host.find(end).map_or(authority.len(), |at| user + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_that_browsers_go_to() {
        for (rest, host) in [
            ("a.example", "a.example"),
            ("a.example:80/x@y.example", "a.example"),
            ("name:word@a.example?x", "a.example"),
            ("evil.test\\@corp.example/x", "evil.test"),
            ("a@b@c.example#@d", "c.example"),
            ("[2001:db8::1]:80/x", "2001:db8::1"),
            ("u@[::1]", "::1"),
            ("[::1", "::1"),
            ("[", ""),
            ("@", ""),
            ("", ""),
        ] {
            assert_eq!(host_of(rest), host, "{rest}");
        }
    }

    #[test]
    fn a_domain_holds_what_is_below_it_only() {
        assert!(within("corp.example", "corp.example") && within("Mail.CORP.example", "corp.example"));
        assert!(!within("evilcorp.example", "corp.example") && !within("example", "corp.example"));
        assert!(!within("\u{e9}a.b", "\u{e8}a.b") && !within("", "a"));
    }
}
