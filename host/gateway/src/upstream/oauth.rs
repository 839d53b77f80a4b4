//! The credential of our own for an upstream: an access token from the OAuth client credentials grant (RFC 6749 section
//! 4.4), asked for with a resource indicator (RFC 8707) if one is configured.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::http::HttpClient;

/// How long a fetch may take in all, and how long a call waits for its turn at one.
const FETCH: Duration = Duration::from_secs(15);
const TURN: Duration = Duration::from_secs(20);
/// After a fetch that failed nobody tries again for this long.
const PAUSE: Duration = Duration::from_secs(1);
/// The same after one that did not: an upstream that takes no token, or an endpoint whose tokens are over at once, does not
/// make every call send the secret.
pub(crate) const APART: Duration = Duration::from_secs(5);
/// Most bytes of the endpoint's answer, of a token, of a secret.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_TOKEN: usize = 16 * 1024;
const MAX_SECRET: u64 = 4 * 1024;
/// How long before its end a token is not used any more: this, or a tenth of its life if that is less.
const MARGIN: Duration = Duration::from_secs(60);
/// Life of a token whose endpoint does not say, and the longest that is believed.
const UNKNOWN_LIFE: u64 = 300;
const LONGEST_LIFE: u64 = 86_400;

/// What a token is asked for with.
pub struct OauthSpec {
    /// The token endpoint, `https` or on loopback.
    pub token_url: String,
    /// The client's name at the endpoint.
    pub client_id: String,
    /// Its secret.
    pub client_secret: ClientSecret,
    /// What the token is for, as the endpoint names it.
    pub scope: Option<String>,
    /// The server that the token is for (RFC 8707).
    pub resource: Option<String>,
}

/// A client's secret.
pub enum ClientSecret {
    /// In a file, read for every fetch, so that it can be exchanged.
    File(PathBuf),
    /// As it is.
    Text(Zeroizing<String>),
}

/// Where an upstream's tokens come from, and the one in use.
pub(crate) struct Oauth {
    endpoint: Uri,
    client_id: String,
    client_secret: ClientSecret,
    /// Everything of the request that is always the same.
    form: Bytes,
    /// Read by every call without a lock.
    current: ArcSwapOption<Token>,
    /// Held by the one that fetches.
    turn: tokio::sync::Mutex<()>,
    /// The latest fetch, if it failed.
    failed: std::sync::Mutex<Option<(Instant, OauthError)>>,
}

/// An access token.
pub(crate) struct Token {
    /// The whole header value; marked as sensitive.
    pub(crate) header: HeaderValue,
    since: Instant,
    good_until: Instant,
}

/// Why there is no token. Never names what was sent or received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OauthError {
    #[error("the client secret cannot be read: {0}")]
    Secret(String),
    #[error("the token endpoint {0} could not be reached")]
    Unreachable(String),
    #[error("the token endpoint {0} did not answer in time")]
    TooSlow(String),
    #[error("the token endpoint {0} redirects, which is not followed: give its final address")]
    Redirected(String),
    #[error("the token endpoint {0} answered {1}{2}")]
    Refused(String, u16, String),
    #[error("the token endpoint {0} gave no usable answer: {1}")]
    Malformed(String, &'static str),
    #[error("too many calls wait for a token of {0}")]
    Busy(String),
}

/// The endpoint's answer, section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: Option<Value>,
}

impl fmt::Debug for OauthSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthSpec").field("token_url", &self.token_url).finish_non_exhaustive()
    }
}

impl fmt::Debug for Oauth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oauth").field("endpoint", &self.endpoint_name()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientSecret {
    /// Without the secret, and without the place where it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

impl ClientSecret {
    /// A secret as it is.
    #[must_use]
    pub fn text(secret: String) -> Self {
        Self::Text(Zeroizing::new(secret))
    }

    async fn read(&self) -> Result<Zeroizing<String>, OauthError> {
        self.reveal().await.map_err(OauthError::Secret)
    }

    /// The same, blocking.
    pub(crate) fn look(&self) -> Result<Zeroizing<String>, String> {
        match self {
            Self::Text(text) if text.is_empty() => Err("it is empty".to_owned()),
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => read_secret(path),
        }
    }

    /// The secret as it is now; else what is wrong, without anything of it.
    pub(crate) async fn reveal(&self) -> Result<Zeroizing<String>, String> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => path.clone(),
        };
        let read = tokio::task::spawn_blocking(move || read_secret(&path)).await;
        read.map_err(|error| error.to_string())?
    }
}

/// A secret from its file, without the line's end.
fn read_secret(path: &std::path::Path) -> Result<Zeroizing<String>, String> {
    use std::io::Read as _;
    let wrong = |what: &str| format!("{}: {what}", path.display());
    let regular = std::fs::metadata(path).map_err(|error| wrong(&error.to_string()))?.is_file();
    if !regular {
        return Err(wrong("is not a file"));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET as usize + 1));
    let file = std::fs::File::open(path).map_err(|error| wrong(&error.to_string()))?;
    file.take(MAX_SECRET + 1).read_to_string(&mut text).map_err(|error| wrong(&error.to_string()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    match secret.len() as u64 {
        0 => Err(wrong("is empty")),
        1..=MAX_SECRET => Ok(Zeroizing::new(secret.to_owned())),
        _ => Err(wrong("is too large for a secret")),
    }
}

/// Whether nobody on the way can read what is sent there.
pub(super) fn is_safe(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let loopback = host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => loopback,
        _ => false,
    }
}

impl Oauth {
    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn new(spec: OauthSpec) -> Result<Self, String> {
        let endpoint: Uri = spec.token_url.parse().map_err(|error| format!("token_url: {error}"))?;
        if !is_safe(&endpoint) || endpoint.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err("token_url: give an https:// URL without user name; http:// only on loopback".to_owned());
        }
        if spec.client_id.is_empty() {
            return Err("client_id: is empty".to_owned());
        }
        match &spec.client_secret {
            ClientSecret::File(path) => {
                drop(read_secret(path).map_err(|error| format!("client_secret_file: {error}"))?)
            }
            ClientSecret::Text(text) if text.is_empty() => return Err("the client secret is empty".to_owned()),
            ClientSecret::Text(_) => {}
        }
        if let Some(resource) = &spec.resource {
            let uri = resource.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some());
            if uri.is_none() || resource.contains('#') {
                return Err("resource: give an absolute URI without fragment".to_owned());
            }
        }
        let mut form = "grant_type=client_credentials".to_owned();
        for (key, value) in [("scope", &spec.scope), ("resource", &spec.resource)] {
            if let Some(value) = value {
                form.push_str(&format!("&{key}={}", form_encoded(value)));
            }
        }
        Ok(Self {
            endpoint,
            client_id: spec.client_id,
            client_secret: spec.client_secret,
            form: form.into(),
            current: ArcSwapOption::empty(),
            turn: tokio::sync::Mutex::default(),
            failed: std::sync::Mutex::default(),
        })
    }

    /// The token in use, or a new one. One fetch at a time.
    pub(super) async fn token(&self, client: &HttpClient) -> Result<Arc<Token>, OauthError> {
        if let Some(token) = self.good() {
            return Ok(token);
        }
        let turn = tokio::time::timeout(TURN, self.turn.lock()).await;
        let _turn = turn.map_err(|_| OauthError::Busy(self.endpoint_name()))?;
        if let Some(token) = self.good() {
            return Ok(token);
        }
        if let Some(error) = self.failed_just_now() {
            return Err(error);
        }
        let fetched = tokio::time::timeout(FETCH, self.fetch(client)).await;
        match fetched.unwrap_or_else(|_| Err(OauthError::TooSlow(self.endpoint_name()))) {
            Ok(token) => {
                let token = Arc::new(token);
                self.current.store(Some(Arc::clone(&token)));
                Ok(token)
            }
            Err(error) => {
                let failed = Some((Instant::now(), error.clone()));
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
                Err(error)
            }
        }
    }

    /// The upstream did not take this token: nobody uses it any more, unless it is so new that another one would fare no
    /// better. Whether to try again.
    pub(super) fn refused(&self, token: &Arc<Token>) -> bool {
        if token.since.elapsed() < APART {
            return false;
        }
        // Another one may have taken its place meanwhile.
        let current = self.current.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            self.current.compare_and_swap(&current, None);
        }
        true
    }

    fn good(&self) -> Option<Arc<Token>> {
        self.current.load_full().filter(|token| Instant::now() < token.good_until)
    }

    fn failed_just_now(&self) -> Option<OauthError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE).map(|(_, error)| error.clone())
    }

    /// Without its query, which may hold more than a name.
    fn endpoint_name(&self) -> String {
        let authority = self.endpoint.authority().map(ToString::to_string).unwrap_or_default();
        format!("{authority}{}", self.endpoint.path())
    }

    async fn fetch(&self, client: &HttpClient) -> Result<Token, OauthError> {
        let malformed = |what| OauthError::Malformed(self.endpoint_name(), what);
        let secret = self.client_secret.read().await?;
        // Section 2.3.1: both are form-encoded before they become user and password.
        let secret = Zeroizing::new(form_encoded(&secret));
        let pair = Zeroizing::new(format!("{}:{}", form_encoded(&self.client_id), *secret));
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut basic = HeaderValue::from_str(&basic).map_err(|_| malformed("the request could not be built"))?;
        basic.set_sensitive(true);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.endpoint.clone())
            .header(AUTHORIZATION, basic)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Full::new(self.form.clone()))
            .map_err(|_| malformed("the request could not be built"))?;
        let asked = Instant::now();
        let answer = client.exchange(request).await.map_err(|error| {
            tracing::debug!(endpoint = self.endpoint_name(), %error, "no answer of a token endpoint");
            OauthError::Unreachable(self.endpoint_name())
        })?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(OauthError::Redirected(self.endpoint_name()));
        }
        let body = client.whole(answer.into_body(), MAX_ANSWER).await;
        let body = Zeroizing::new(body.map_err(|_| malformed("it broke off or is too large"))?);
        if status != StatusCode::OK {
            return Err(OauthError::Refused(self.endpoint_name(), status.as_u16(), code(&body)));
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| malformed("it is not a token in JSON"))?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            return Err(malformed("its token is not a bearer token"));
        }
        let token = Zeroizing::new(granted.access_token);
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("its token cannot be sent"));
        }
        let header = Zeroizing::new(format!("Bearer {}", *token));
        let mut header = HeaderValue::from_str(&header).map_err(|_| malformed("its token cannot be sent"))?;
        header.set_sensitive(true);
        let life = Duration::from_secs(life(granted.expires_in.as_ref()));
        let since = Instant::now();
        let good_until = (asked + life.saturating_sub(MARGIN.min(life / 10))).max(since + APART);
        Ok(Token { header, since, good_until })
    }
}

/// Seconds of life. Some endpoints write the number as text.
fn life(expires_in: Option<&Value>) -> u64 {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    expires_in.and_then(number).unwrap_or(UNKNOWN_LIFE).min(LONGEST_LIFE)
}

/// The error code of section 5.2, if it is one: other text of the endpoint might repeat what it was sent.
fn code(body: &[u8]) -> String {
    const KNOWN: &[&str] = &[
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
    ];
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let sent = body.get("error").and_then(Value::as_str);
    sent.and_then(|sent| KNOWN.iter().find(|known| **known == sent))
        .map_or_else(String::new, |code| format!(" ({code})"))
}

/// `application/x-www-form-urlencoded`, as section 4.10.22.6 of HTML writes it.
fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form_encoded("a b+c&d=é/~*-._9"), "a+b%2Bc%26d%3D%C3%A9%2F%7E*-._9");
    }

    #[test]
    fn lives_are_bounded() {
        let life = |text: &str| life(serde_json::from_str::<Value>(text).ok().as_ref());
        assert_eq!([life("3600"), life("\"3600\""), life("0")], [3600, 3600, 0]);
        assert_eq!([life("null"), life("-5"), life("\"x\""), life("[]")], [UNKNOWN_LIFE; 4]);
        assert_eq!(life("99999999999"), LONGEST_LIFE);
    }

    #[test]
    fn only_codes_of_the_standard_are_repeated() {
        assert_eq!(code(br#"{"error":"invalid_client","error_description":"s3cret"}"#), " (invalid_client)");
        for other in [&br#"{"error":"s3cret"}"#[..], b"s3cret", b"", b"[]", br#"{"error":5}"#] {
            assert_eq!(code(other), "");
        }
    }

    fn spec(token_url: &str) -> OauthSpec {
        let client_secret = ClientSecret::Text(Zeroizing::new("s3cret".to_owned()));
        let token_url = token_url.to_owned();
        OauthSpec { token_url, client_id: "me".to_owned(), client_secret, scope: None, resource: None }
    }

    #[test]
    fn secrets_travel_over_https_or_loopback_only() {
        for good in ["https://id.example/token", "http://127.0.0.1:9/t", "http://[::1]/t", "http://localhost:1/t"] {
            assert!(Oauth::new(spec(good)).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example/token",
            "http://127.0.0.1.evil/t",
            "ftp://127.0.0.1/",
            "/t",
            "https://a:b@id.example/t",
            "",
        ] {
            assert!(Oauth::new(spec(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_at_the_start() {
        let with = |change: fn(&mut OauthSpec)| {
            let mut spec = spec("https://id.example/token");
            change(&mut spec);
            Oauth::new(spec).expect_err("it is refused")
        };
        assert!(with(|spec| spec.client_id.clear()).contains("client_id"));
        assert!(with(|spec| spec.client_secret = ClientSecret::Text(Zeroizing::default())).contains("empty"));
        assert!(with(|spec| spec.client_secret = ClientSecret::File("nowhere".into())).contains("nowhere"));
        for resource in ["not a uri", "/path", "https://a.example/#part"] {
            let mut spec = spec("https://id.example/token");
            spec.resource = Some(resource.to_owned());
            assert!(Oauth::new(spec).expect_err(resource).contains("resource"));
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let oauth = Oauth::new(spec("https://id.example/token?key=s3cret")).unwrap();
        assert_eq!(format!("{oauth:?}"), "Oauth { endpoint: \"id.example/token\", .. }");
        assert!(!format!("{:?}", spec("https://id.example/")).contains("s3cret"));
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_lines_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (written, read) in
            [("s3cret\n", Some("s3cret")), ("s3 cret\r\n", Some("s3 cret")), ("\n", None), ("", None)]
        {
            std::fs::write(&path, written).unwrap();
            assert_eq!(read_secret(&path).ok().as_ref().map(|text| text.as_str()), read, "{written:?}");
        }
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(read_secret(&path).unwrap_err().contains("too large"));
        assert!(read_secret(folder.path()).is_err());
    }
}
