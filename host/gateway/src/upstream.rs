//! Where calls are forwarded to: named MCP servers, over HTTP or as child processes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

pub(crate) mod http;
pub(crate) mod stdio;
pub(crate) mod supervisor;

pub use supervisor::Restarts;

/// Longest name of an upstream in bytes.
const MAX_NAME: usize = 64;
/// Headers that belong to the connection or to the protocol, which a configuration must not set.
const RESERVED_HEADERS: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "accept",
    "accept-encoding",
    "mcp-session-id",
    "mcp-protocol-version",
    "last-event-id",
];

/// One MCP server.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or digit.
    pub name: Arc<str>,
    /// How it is reached.
    pub target: Target,
}

/// How an MCP server is reached.
#[derive(Clone, Debug)]
pub enum Target {
    /// Streamable HTTP.
    Http(HttpTarget),
    /// A child process that speaks over its standard streams.
    Stdio(StdioTarget),
}

/// An MCP server behind HTTP.
#[derive(Clone)]
pub struct HttpTarget {
    /// Its endpoint, `http` or `https`.
    pub url: Uri,
    /// Headers of our own for it, such as a credential. The caller's credential is never passed on.
    pub headers: HeaderMap,
}

/// An MCP server that is started as a child process: no shell is involved.
#[derive(Clone)]
pub struct StdioTarget {
    /// The program, looked up in `PATH` if it has no slash.
    pub command: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, on top of the few variables that every program needs (see [`StdioTarget::INHERITED`]).
    pub environment: BTreeMap<String, String>,
    /// Whether the sessions of one tenant share a process, instead of having one each.
    pub shared: bool,
}

/// Why a text does not name an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No `=`.
    #[error("an upstream is written NAME=URL or NAME=stdio:COMMAND")]
    Form,
    /// The name does not fit.
    #[error(
        "{0:?} is not a name for an upstream: 1 to {MAX_NAME} letters, digits, '.', '_' or '-', a letter or digit first"
    )]
    Name(String),
    /// Two upstreams with one name.
    #[error("two upstreams are called {0:?}: give each its own name")]
    Duplicate(String),
    /// Not an http or https URL with a host.
    #[error("the address of upstream {0:?} is not an http:// or https:// URL without user name: {1}")]
    Url(String, String),
    /// Quotes that do not match, or no command at all.
    #[error("the command of upstream {0:?} is empty or its quotes do not match")]
    Command(String),
    /// A header that cannot be set.
    #[error("header {1:?} of upstream {0:?} is not valid or not yours to set")]
    Header(String, String),
    /// A variable that cannot be set.
    #[error("variable {1:?} of upstream {0:?} has no valid name or value")]
    Variable(String, String),
}

impl StdioTarget {
    /// Variables that a child takes from Portcullis' own environment. Everything else stays behind: it may hold secrets.
    pub const INHERITED: &'static [&'static str] =
        &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM"];
}

/// Values may be credentials: only the names are shown.
impl fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("HttpTarget").field("url", &self.url).field("headers", &headers).finish()
    }
}

/// Arguments and values may be credentials: only the program and the names are shown.
impl fmt::Debug for StdioTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let environment: Vec<&String> = self.environment.keys().collect();
        f.debug_struct("StdioTarget").field("command", &self.command).field("environment", &environment).finish()
    }
}

impl Upstream {
    /// An upstream over Streamable HTTP.
    ///
    /// # Errors
    /// The name, the URL or a header is not valid.
    pub fn http<'h>(
        name: &str,
        url: &str,
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    ) -> Result<Self, UpstreamError> {
        let name = checked_name(name)?;
        let wrong = |why: &str| UpstreamError::Url(name.to_string(), why.to_owned());
        let url: Uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| wrong(&error.to_string()))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(wrong("its scheme is neither http nor https"));
        }
        let authority = url.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has a user name; set an Authorization header instead"));
        }
        let mut map = HeaderMap::new();
        for (key, value) in headers {
            let refused = || UpstreamError::Header(name.to_string(), key.to_owned());
            let key = HeaderName::from_bytes(key.as_bytes()).map_err(|_| refused())?;
            if RESERVED_HEADERS.contains(&key.as_str()) {
                return Err(refused());
            }
            let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
            value.set_sensitive(true);
            map.append(key, value);
        }
        Ok(Self { name, target: Target::Http(HttpTarget { url, headers: map }) })
    }

    /// An upstream that is a child process.
    ///
    /// # Errors
    /// The name, the command or a variable is not valid.
    pub fn stdio(
        name: &str,
        command: &str,
        arguments: impl IntoIterator<Item = String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, UpstreamError> {
        let name = checked_name(name)?;
        let arguments: Vec<String> = arguments.into_iter().collect();
        if command.is_empty() || command.contains('\0') || arguments.iter().any(|text| text.contains('\0')) {
            return Err(UpstreamError::Command(name.to_string()));
        }
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        for (key, value) in &environment {
            if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
                return Err(UpstreamError::Variable(name.to_string(), key.clone()));
            }
        }
        Ok(Self {
            name,
            target: Target::Stdio(StdioTarget { command: command.to_owned(), arguments, environment, shared: false }),
        })
    }

    /// With one child process for all sessions of a tenant, if `shared`. An HTTP upstream stays as it is.
    #[must_use]
    pub fn sharing(mut self, shared: bool) -> Self {
        if let Target::Stdio(target) = &mut self.target {
            target.shared = shared;
        }
        self
    }
}

/// `NAME=URL` or `NAME=stdio:COMMAND`. The command is split into words as a shell would, but no shell runs it.
impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, target) = text.split_once('=').ok_or(UpstreamError::Form)?;
        let Some(command) = target.strip_prefix("stdio:") else { return Self::http(name, target, []) };
        let mut words = shlex::split(command).unwrap_or_default().into_iter();
        let command = words.next().ok_or_else(|| UpstreamError::Command(name.to_owned()))?;
        Self::stdio(name, &command, words, [])
    }
}

fn checked_name(name: &str) -> Result<Arc<str>, UpstreamError> {
    let fits = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if fits { Ok(name.into()) } else { Err(UpstreamError::Name(name.chars().take(MAX_NAME).collect())) }
}

/// All upstreams, by name.
#[derive(Clone, Debug, Default)]
pub struct Upstreams(BTreeMap<Arc<str>, Arc<Upstream>>);

impl Upstreams {
    /// The upstreams of a configuration.
    ///
    /// # Errors
    /// Two have the same name.
    pub fn new(upstreams: impl IntoIterator<Item = Upstream>) -> Result<Self, UpstreamError> {
        let mut map = BTreeMap::new();
        for upstream in upstreams {
            if let Some(other) = map.insert(Arc::clone(&upstream.name), Arc::new(upstream)) {
                return Err(UpstreamError::Duplicate(other.name.to_string()));
            }
        }
        Ok(Self(map))
    }

    /// The upstream with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.0.get(name)
    }

    /// The upstream, if there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<Upstream>> {
        let mut all = self.0.values();
        all.next().filter(|_| all.next().is_none())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests;
