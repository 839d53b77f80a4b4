//! Who may address the server: web pages of other origins and names bound to this address (DNS rebinding) may not.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::{Request, StatusCode, Uri};

use super::ApiError;

/// Names and origins that are let in besides the loopback ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    pub(crate) fn new(hosts: &[String], origins: &[String]) -> Self {
        let lower = |list: &[String]| list.iter().map(|text| text.to_ascii_lowercase()).collect();
        Self { hosts: lower(hosts), origins: lower(origins) }
    }

    /// Checks Host and Origin.
    ///
    /// # Errors
    /// 400 without exactly one host, 403 for a foreign host or origin.
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        self.check_host(request)?;
        for origin in request.headers().get_all(ORIGIN) {
            let fits = origin.to_str().is_ok_and(|origin| self.origin_fits(origin));
            if !fits {
                return Err(ApiError::forbidden(
                    "web pages of that origin may not call this server",
                    "add the origin to server.origins if they should",
                ));
            }
        }
        Ok(())
    }

    /// Checks Host alone.
    ///
    /// # Errors
    /// 400 without exactly one host, 403 for a foreign one.
    pub(crate) fn check_host<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        if self.host_fits(host(request)?) {
            return Ok(());
        }
        Err(ApiError::forbidden(
            "this server is not addressed by that host name",
            "use a loopback name or address, or add the name to server.hosts",
        ))
    }

    fn host_fits(&self, host: &str) -> bool {
        let name = without_port(host);
        is_loopback(name)
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(host))
    }

    fn origin_fits(&self, origin: &str) -> bool {
        let loopback = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|host| is_loopback(without_port(host)));
        loopback || self.origins.iter().any(|own| own.eq_ignore_ascii_case(origin))
    }
}

fn host<B>(request: &Request<B>) -> Result<&str, ApiError> {
    let one = |headers: &HeaderMap| headers.get_all(HOST).iter().count() == 1;
    // An absolute target names the host itself; RFC 9112 section 3.2.2 lets it win over the header.
    if let Some(authority) = Uri::authority(request.uri()) {
        return Ok(authority.as_str());
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    match host {
        Some(host) if one(request.headers()) => Ok(host),
        _ => Err(ApiError::new(StatusCode::BAD_REQUEST, "malformed", "one Host header is needed", "send HTTP/1.1")),
    }
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(host, |(address, _)| address);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(host: &str, origin: Option<&str>) -> Option<u16> {
        let guard = Guard::new(&["gate.example".to_owned()], &["https://app.example".to_owned()]);
        let mut request = Request::builder().uri("/v1/inspect").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        guard.check(&request.body(()).unwrap()).err().map(|error| error.status.as_u16())
    }

    #[test]
    fn loopback_and_listed_names_pass() {
        for host in
            ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]:7", "gate.example:9", "Gate.Example"]
        {
            assert_eq!(verdict(host, None), None, "{host}");
        }
    }

    #[test]
    fn rebound_names_do_not() {
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "[::2]", "", "0.0.0.0"]
        {
            assert_eq!(verdict(host, None), Some(403), "{host}");
        }
    }

    #[test]
    fn foreign_origins_do_not() {
        assert_eq!(verdict("localhost", Some("http://localhost:3000")), None);
        assert_eq!(verdict("localhost", Some("http://[::1]:3000")), None);
        assert_eq!(verdict("localhost", Some("https://app.example")), None);
        for origin in ["null", "https://evil.example", "http://localhost.evil.example", "file://localhost", ""] {
            assert_eq!(verdict("localhost", Some(origin)), Some(403), "{origin}");
        }
    }

    #[test]
    fn two_hosts_are_none() {
        let request = Request::builder().uri("/").header(HOST, "localhost").header(HOST, "evil.example");
        let error = Guard::default().check(&request.body(()).unwrap()).unwrap_err();
        assert_eq!(error.status, 400);
    }
}
