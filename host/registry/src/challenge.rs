//! What a registry says when it wants to know who asks (`WWW-Authenticate`).

use std::collections::BTreeMap;

/// What a registry wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from `realm`.
    Bearer { realm: String, service: Option<String> },
}

/// Reads the header. Bearer is preferred where both are offered in headers of their own.
pub(crate) fn parse<'h>(headers: impl Iterator<Item = &'h str>) -> Option<Challenge> {
    let mut basic = false;
    for header in headers {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            basic = true;
        } else if scheme.eq_ignore_ascii_case("bearer") {
            let mut parameters = parameters(rest);
            if let Some(realm) = parameters.remove("realm") {
                return Some(Challenge::Bearer { realm, service: parameters.remove("service") });
            }
        }
    }
    basic.then_some(Challenge::Basic)
}

/// `a="b",c=d`, with backslashes before quotes.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut chars = text.chars().peekable();
    loop {
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=') {
            if !matches!(c, ',' | ' ' | '\t') {
                name.push(c.to_ascii_lowercase());
            }
        }
        if chars.next().is_none() {
            return found;
        }
        let mut value = String::new();
        if chars.next_if_eq(&'"').is_some() {
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => value.extend(chars.next()),
                    c => value.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                value.push(c);
            }
        }
        found.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<Challenge> {
        parse([text].into_iter())
    }

    #[test]
    fn challenges_of_known_registries_are_read() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        let hub =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#;
        assert_eq!(one(hub), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(
            one(r#"bearer  service=x, realm="https://h/t?a=\"b\",c""#),
            bearer("https://h/t?a=\"b\",c", Some("x"))
        );
        assert_eq!(one("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(parse(["Basic realm=a", "Bearer realm=\"https://h\""].into_iter()), bearer("https://h", None));
        for text in ["", "Bearer", "Bearer realm", "Digest realm=\"x\"", "Bearer service=\"x\"", "Bearer ====,,,\""] {
            assert_eq!(one(text), None, "{text}");
        }
    }
}
