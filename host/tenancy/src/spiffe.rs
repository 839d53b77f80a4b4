use std::fmt;
use std::sync::Arc;

/// Most bytes of a SPIFFE id.
const MAX_ID: usize = 2048;
/// Most bytes of a trust domain.
const MAX_TRUST_DOMAIN: usize = 255;

/// The name of a workload: `spiffe://TRUST-DOMAIN/PATH`, as the SPIFFE ID standard spells it (section 2). Ids are compared
/// byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId(Arc<str>);

impl SpiffeId {
    /// The id that a text spells; `None` if it is none, or names no workload but a trust domain alone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("spiffe://").filter(|_| text.len() <= MAX_ID)?;
        let (trust_domain, path) = rest.split_once('/')?;
        let in_domain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let domain_fits = (1..=MAX_TRUST_DOMAIN).contains(&trust_domain.len()) && trust_domain.bytes().all(in_domain);
        let path_fits = path
            .split('/')
            .all(|segment| !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(in_path));
        (domain_fits && path_fits).then(|| Self(text.into()))
    }

    /// The id without the last segment of its path; `None` if the path has no other.
    pub(crate) fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Self::parse(parent)
    }

    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_workloads_are_taken() {
        for good in ["spiffe://acme/agents/bot", "spiffe://acme.example/a", "spiffe://a-b_c.9/A.b/_-/..."] {
            assert_eq!(SpiffeId::parse(good).map(|id| id.to_string()).as_deref(), Some(good));
        }
        let long = format!("spiffe://acme/{}", "a".repeat(MAX_ID));
        let wide = format!("spiffe://{}/a", "a".repeat(MAX_TRUST_DOMAIN + 1));
        for bad in [
            "",
            "spiffe://",
            "spiffe://acme",
            "spiffe://acme/",
            "spiffe:///bot",
            "spiffe://acme/a/",
            "spiffe://acme//a",
            "spiffe://acme/./a",
            "spiffe://acme/../a",
            "spiffe://Acme/a",
            "SPIFFE://acme/a",
            "spiffe://acme:443/a",
            "spiffe://user@acme/a",
            "spiffe://acme/a?b",
            "spiffe://acme/a#b",
            "spiffe://acme/%61",
            "spiffe://acme/ä",
            "spiffe://acme/a\0",
            "https://acme/a",
            &long,
            &wide,
        ] {
            assert_eq!(SpiffeId::parse(bad), None, "{bad}");
        }
    }
}
