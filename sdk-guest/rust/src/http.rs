//! Requests to the hosts that the plugin was granted. Using them asks for the grant `http`; such a plugin needs a deadline of
//! seconds. There are none while it is configured.

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// For instance `GET`.
    pub method: String,
    /// Absolute; its host must be granted.
    pub url: String,
    /// In order; names in any case. `host`, `content-length` and what belongs to the connection are the host's to say.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: Vec<u8>,
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The host, method, header or address is not granted.
    Forbidden(String),
    /// No connection, or it broke.
    Unreachable(String),
    /// No answer in time.
    TimedOut,
    /// The answer is larger than it may be.
    TooLarge,
}

impl Request {
    /// A request without body.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: "GET".to_owned(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A request with a body of JSON text.
    #[must_use]
    pub fn post_json(url: impl Into<String>, json: impl Into<Vec<u8>>) -> Self {
        let request = Self { method: "POST".to_owned(), body: json.into(), ..Self::get(url) };
        request.with_header("content-type", "application/json")
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Response {
    /// The value of a header; its first if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Forbidden(why) | Self::Unreachable(why) => f.write_str(why),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::TooLarge => f.write_str("the answer is larger than it may be"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

/// Sends one request; redirects are not followed.
///
/// # Errors
/// See [`Error`].
pub fn send(request: &Request) -> Result<Response, Error> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::http::send(&request.clone().into()).map(Into::into).map_err(Into::into);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| doubles.send(request));
}
