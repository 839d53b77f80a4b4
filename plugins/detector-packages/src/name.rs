//! Names of packages as their registries compare them.

/// Where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// npm, for JavaScript.
    Npm,
    /// PyPI, for Python.
    Pypi,
    /// crates.io.
    Cargo,
    /// RubyGems.
    Gem,
    /// Go modules.
    Go,
    /// Homebrew.
    Brew,
    /// Conda channels.
    Conda,
    /// Packagist.
    Composer,
}

/// Longest name that is looked at, as npm has it.
const LONGEST: usize = 214;

impl Registry {
    /// All of them.
    pub(crate) const ALL: [Self; 8] =
        [Self::Npm, Self::Pypi, Self::Cargo, Self::Gem, Self::Go, Self::Brew, Self::Conda, Self::Composer];

    /// Its short name with the colon, as in `npm:left-pad`.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Npm => "npm:",
            Self::Pypi => "pypi:",
            Self::Cargo => "cargo:",
            Self::Gem => "gem:",
            Self::Go => "go:",
            Self::Brew => "brew:",
            Self::Conda => "conda:",
            Self::Composer => "composer:",
        }
    }

    /// The registry and the rest of `npm:left-pad`.
    #[must_use]
    pub fn split(text: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|registry| Some((registry, text.strip_prefix(registry.prefix())?)))
    }

    /// The name as the registry compares it; none if it is no name.
    #[must_use]
    pub fn name(self, text: &str) -> Option<String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        let begins = |part: &str| part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        match self {
            Self::Pypi => {
                if !begins(text) || !text.bytes().all(fits) {
                    return None;
                }
                // PEP 503: runs of separators are one hyphen.
                let mut name = String::with_capacity(text.len());
                for byte in text.bytes() {
                    let byte = if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
                    if byte != b'-' || !name.ends_with('-') {
                        name.push(char::from(byte));
                    }
                }
                Some(name)
            }
            Self::Npm => {
                let (scope, base) = match text.strip_prefix('@') {
                    Some(rest) => rest.split_once('/').map(|(scope, base)| (Some(scope), base))?,
                    None => (None, text),
                };
                let whole =
                    |part: &str| part.bytes().all(fits) && part.bytes().any(|byte| byte.is_ascii_alphanumeric());
                if !scope.is_none_or(whole) || !whole(base) || text.starts_with(['.', '-']) {
                    return None;
                }
                Some(text.to_ascii_lowercase())
            }
            _ => {
                let fits = |byte: u8| fits(byte) || byte == b'/' || byte == b'@';
                (begins(text) && text.bytes().all(fits)).then(|| text.to_ascii_lowercase())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_their_registry_compares_them() {
        assert_eq!(Registry::Pypi.name("Typing_.Extensions").as_deref(), Some("typing-extensions"));
        assert_eq!(Registry::Npm.name("@Types/Node").as_deref(), Some("@types/node"));
        assert_eq!(Registry::Go.name("golang.org/x/text").as_deref(), Some("golang.org/x/text"));
        for text in ["", ".", "-r", "a b", "$NAME", "@types", "@/x", "caf\u{e9}", &"x".repeat(300)] {
            assert_eq!(Registry::Npm.name(text), None, "{text}");
        }
        assert_eq!(Registry::split("pypi:flask"), Some((Registry::Pypi, "flask")));
    }
}
