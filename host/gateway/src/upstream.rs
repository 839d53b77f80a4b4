//! Where calls are forwarded to: named MCP servers, over HTTP or as child processes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

pub(crate) mod http;
pub(crate) mod oauth;
pub(crate) mod stdio;
pub(crate) mod supervisor;

pub use supervisor::Restarts;

use oauth::Oauth;
pub use oauth::{ClientSecret, OauthSpec};

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
    /// What it may not ask of clients.
    pub withholds: Withholds,
}

/// What an upstream may not ask of clients: it is told that they do not offer it, and refused if it asks all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withholds {
    /// Answers of the client's language model.
    pub sampling: bool,
    /// Answers of the client's user.
    pub elicitation: bool,
    /// The folders that the client works in.
    pub roots: bool,
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
    /// Where an access token for it comes from, if it needs one.
    pub(crate) oauth: Option<Arc<Oauth>>,
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

/// Several MCP servers under one endpoint.
#[derive(Clone, Debug)]
pub struct Federation {
    /// Its name, unlike that of any upstream.
    pub name: Arc<str>,
    /// Its members, in the order in which their tools are listed. No name with [`Federation::SEPARATOR`] begins like another.
    pub members: Vec<Arc<Upstream>>,
}

impl Federation {
    /// What stands between the name of a member and that of its tool.
    pub const SEPARATOR: &'static str = "__";
    /// Most members.
    pub const MEMBERS: usize = 64;
    /// The name of the federation of all upstreams: no configuration can give it.
    const ALL: &'static str = "*";
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
    /// A tool of one could not be told from a tool of the other in a federation.
    #[error(
        "upstreams {0:?} and {1:?} cannot be told apart in names such as {0}__TOOL and {1}__TOOL: rename one of them"
    )]
    Ambiguous(String, String),
    /// The name of a federation is taken, or does not fit.
    #[error("federation {0:?}: the name is taken by an upstream or another federation, or is no name for an upstream")]
    FederationName(String),
    /// A member that is not there, or there twice.
    #[error("federation {0:?}: {1:?} is not the name of an upstream, or is named twice")]
    Member(String, String),
    /// Too few or too many members.
    #[error("federation {0:?}: give 1 to 64 upstreams")]
    Members(String),
    /// Not an http or https URL with a host.
    #[error("the address of upstream {0:?} is not an http:// or https:// URL without user name: {1}")]
    Url(String, String),
    /// Quotes that do not match, or no command at all.
    #[error("the command of upstream {0:?} is empty or its quotes do not match")]
    Command(String),
    /// A header that cannot be set.
    #[error("header {1:?} of upstream {0:?} is not valid or not yours to set")]
    Header(String, String),
    /// Its access token cannot be asked for.
    #[error("the access token of upstream {0:?}: {1}")]
    Oauth(String, String),
    /// A variable that cannot be set.
    #[error("variable {1:?} of upstream {0:?} has no valid name or value")]
    Variable(String, String),
}

impl UpstreamError {
    /// The names that two upstreams do not go together with.
    #[must_use]
    pub fn upstreams(&self) -> Vec<&str> {
        match self {
            Self::Duplicate(name) => vec![name],
            Self::Ambiguous(one, other) => vec![one, other],
            _ => Vec::new(),
        }
    }
}

impl Withholds {
    /// Names of the client capabilities that the upstream does not get to see.
    pub(crate) fn capabilities(self) -> Vec<&'static str> {
        let all = [(self.sampling, "sampling"), (self.elicitation, "elicitation"), (self.roots, "roots")];
        all.into_iter().filter_map(|(withheld, name)| withheld.then_some(name)).collect()
    }

    /// Whether it may not ask this.
    pub(crate) fn refuses(self, method: &str) -> bool {
        self.capabilities().iter().any(|name| method.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
    }
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
        f.debug_struct("HttpTarget")
            .field("url", &self.url)
            .field("headers", &headers)
            .field("oauth", &self.oauth)
            .finish()
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
        let target = Target::Http(HttpTarget { url, headers: map, oauth: None });
        Ok(Self { name, target, withholds: Withholds::default() })
    }

    /// The same upstream over HTTP, with an access token of our own on every request.
    ///
    /// # Errors
    /// It is a child process, has an `Authorization` header already, is neither `https` nor on loopback, or what the token
    /// is asked for with is not valid.
    pub fn with_oauth(self, spec: OauthSpec) -> Result<Self, UpstreamError> {
        let wrong = |why: String| UpstreamError::Oauth(self.name.to_string(), why);
        let Target::Http(target) = &self.target else { return Err(wrong("it is not reached over HTTP".to_owned())) };
        if target.headers.contains_key(AUTHORIZATION) {
            return Err(wrong("it has an Authorization header of its own; remove one of the two".to_owned()));
        }
        if !oauth::is_safe(&target.url) {
            return Err(wrong("its token would travel in the clear: give an https:// URL".to_owned()));
        }
        let oauth = Some(Arc::new(Oauth::new(spec).map_err(wrong)?));
        let target = Target::Http(HttpTarget { oauth, ..target.clone() });
        Ok(Self { target, ..self })
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
        let target = Target::Stdio(StdioTarget { command: command.to_owned(), arguments, environment, shared: false });
        Ok(Self { name, target, withholds: Withholds::default() })
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

/// All upstreams, by name, and what is made of several of them.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    map: BTreeMap<Arc<str>, Arc<Upstream>>,
    federations: BTreeMap<Arc<str>, Arc<Federation>>,
    /// All of them, if there are several and not too many.
    all: Option<Arc<Federation>>,
}

impl Upstreams {
    /// The upstreams of a configuration.
    ///
    /// # Errors
    /// Two have the same name, or names that could not be told apart in a federation.
    pub fn new(upstreams: impl IntoIterator<Item = Upstream>) -> Result<Self, UpstreamError> {
        let mut map = BTreeMap::new();
        for upstream in upstreams {
            if let Some(other) = map.insert(Arc::clone(&upstream.name), Arc::new(upstream)) {
                return Err(UpstreamError::Duplicate(other.name.to_string()));
            }
        }
        let opening = |name: &str| format!("{name}{}", Federation::SEPARATOR);
        for (one, other) in map.keys().flat_map(|one| map.keys().map(move |other| (one, other))) {
            if one != other && opening(other).starts_with(&opening(one)) {
                return Err(UpstreamError::Ambiguous(one.to_string(), other.to_string()));
            }
        }
        let all = (2..=Federation::MEMBERS)
            .contains(&map.len())
            .then(|| Arc::new(Federation { name: Federation::ALL.into(), members: map.values().cloned().collect() }));
        Ok(Self { map, federations: BTreeMap::new(), all })
    }

    /// Adds a federation of some of them, in this order.
    ///
    /// # Errors
    /// Its name is taken or not valid, or a member is unknown or named twice, or there are too few or too many.
    pub fn federate<'n>(
        &mut self,
        name: &str,
        members: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), UpstreamError> {
        let refused = || UpstreamError::FederationName(name.to_owned());
        let name = checked_name(name).map_err(|_| refused())?;
        if self.map.contains_key(&name) || self.federations.contains_key(&name) {
            return Err(refused());
        }
        let mut found: Vec<Arc<Upstream>> = Vec::new();
        for member in members {
            let upstream = self.get(member).filter(|_| found.iter().all(|other| &*other.name != member));
            let upstream = upstream.ok_or_else(|| UpstreamError::Member(name.to_string(), member.to_owned()))?;
            found.push(Arc::clone(upstream));
        }
        if !(1..=Federation::MEMBERS).contains(&found.len()) {
            return Err(UpstreamError::Members(name.to_string()));
        }
        self.federations.insert(Arc::clone(&name), Arc::new(Federation { name, members: found }));
        Ok(())
    }

    /// The upstream with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.map.get(name)
    }

    /// The upstream, if there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<Upstream>> {
        let mut all = self.map.values();
        all.next().filter(|_| all.next().is_none())
    }

    /// The federation with this name.
    #[must_use]
    pub fn federation(&self, name: &str) -> Option<&Arc<Federation>> {
        self.federations.get(name)
    }

    /// The federation of all upstreams, in the order of their names, if there are 2 to 64.
    #[must_use]
    pub fn all(&self) -> Option<&Arc<Federation>> {
        self.all.as_ref()
    }

    /// The federations with a name of their own.
    pub fn federations(&self) -> impl Iterator<Item = &Arc<Federation>> {
        self.federations.values()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.map.values()
    }
}

#[cfg(test)]
mod tests;
