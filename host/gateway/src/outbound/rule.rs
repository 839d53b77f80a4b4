//! One entry of a list of hosts that also says scheme and port.

use super::{Host, TargetError};

const FORM: &str = "is no host such as api.example.com, *.example.com:8443 or http://127.0.0.1:8080";

/// A host, the scheme and the port by which it may be called. `https` and 443 unless written otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    text: String,
    secure: bool,
    host: Host,
    port: u16,
}

impl HostRule {
    /// Reads `HOST`, `HOST:PORT` or `*.HOST`, with `https://` or `http://` before it. `*` alone is refused.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError::Rule(text.to_owned(), FORM);
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => (true, text),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
                let address = host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(wrong)?) };
                (address.to_string(), port)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (rest.to_owned(), None),
            },
        };
        let port = match port {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
        };
        let host = Host::read(&host).map_err(|_| wrong())?;
        if port == 0 || host == Host::Any {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), secure, host, port })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The host as lists of hosts name it.
    pub(crate) fn pattern(&self) -> String {
        match &self.host {
            Host::Any => "*".to_owned(),
            Host::Name(name) => name.clone(),
            Host::Below(end) => format!("*{end}"),
        }
    }

    /// Whether it lets this be called; the host in lower case and without brackets.
    pub(crate) fn fits(&self, host: &str, port: u16, secure: bool) -> bool {
        self.secure == secure && self.port == port && self.host.fits(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fits_scheme_host_and_port() {
        let fits = |rule: &str, host: &str, port, secure| HostRule::read(rule).unwrap().fits(host, port, secure);
        assert!(fits("api.example.com", "api.example.com", 443, true));
        assert!(fits("https://API.example.com:8443", "api.example.com", 8443, true));
        assert!(fits("*.example.com", "a.b.example.com", 443, true));
        assert!(fits("http://127.0.0.1:9000", "127.0.0.1", 9000, false));
        assert!(fits("http://[::1]:9000", "::1", 9000, false));
        assert!(fits("[2001:db8:0::1]", "2001:db8::1", 443, true));
        for (rule, host, port, secure) in [
            ("api.example.com", "api.example.com", 443, false),
            ("api.example.com", "api.example.com", 8443, true),
            ("api.example.com", "api.example.com.evil.example", 443, true),
            ("*.example.com", "example.com", 443, true),
            ("*.example.com", "evilexample.com", 443, true),
            ("http://api.example.com", "api.example.com", 443, true),
        ] {
            assert!(!fits(rule, host, port, secure), "{rule} {host} {port} {secure}");
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for rule in [
            "",
            "*",
            "*:443",
            "https://",
            "https://*",
            "ftp://a.example",
            "a.example/x",
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:+1",
            "a:1:2",
            "user@a.example",
            "[::1",
            "[x]:1",
            "[::1]x",
            "*.",
            "a b",
        ] {
            assert!(HostRule::read(rule).is_err(), "{rule}");
        }
    }
}
