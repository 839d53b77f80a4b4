//! Requests of plugins to the hosts that they were granted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use portcullis_model::Digest;
use zeroize::Zeroizing;

use super::scrub::Scrubber;
use super::{Courier, NotDone, PlaceholderKey, Secret, Secrets};
use crate::outbound::{Fetched, HostRule, Outgoing, TargetError, Targets};

/// Longest address of a request, in bytes.
const MAX_URL: usize = 8 * 1024;
/// Most headers of a request, and most bytes of their names and values.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Whatever a plugin's deadline is: no request takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// Headers that belong to the connection or are ours to say.
const OURS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Methods that a plugin may use.
const METHODS: &[Method] =
    &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// What one plugin may send, and where.
#[derive(Clone, Debug)]
pub struct RequestsSpec<'a> {
    /// Its tenant.
    pub tenant: &'a str,
    /// Its name in the pipeline.
    pub plugin: &'a str,
    /// SHA-256 of its file.
    pub digest: Digest,
    /// Hosts, as [`HostRule::read`] takes them.
    pub hosts: &'a [String],
    /// Networks that they may be in although they are not public.
    pub networks: &'a [String],
    /// Names of secrets.
    pub secrets: &'a [String],
    /// Authorities (PEM) that certificates must come from; none: the public ones.
    pub authorities: Option<&'a [u8]>,
    /// Most bytes of an answer, headers and body.
    pub most: usize,
}

/// A request as the plugin gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRequest {
    /// For instance `GET`.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: Vec<u8>,
}

/// An answer as the plugin gets it: without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginResponse {
    /// Status code.
    pub status: u16,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Refused by our own rules; another try would fare no better.
    #[error("{0}")]
    Forbidden(String),
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// Not in time.
    #[error("no answer in time")]
    TimedOut,
    /// Larger than it may be.
    #[error("the answer is larger than it may be")]
    TooLarge,
}

/// What one plugin may send.
pub struct Requests {
    courier: Arc<Courier>,
    tenant: Arc<str>,
    plugin: Arc<str>,
    hosts: Vec<HostRule>,
    targets: Targets,
    /// What stands for a secret, and the secret.
    secrets: Vec<(String, Arc<Secret>)>,
    most: usize,
}

/// A request that may be sent, and what must not come back.
struct Prepared {
    outgoing: Outgoing,
    values: Vec<Zeroizing<String>>,
}

impl RequestError {
    /// The word for metrics.
    fn word(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "forbidden",
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
        }
    }

    fn forbidden(why: impl Into<String>) -> Self {
        Self::Forbidden(why.into())
    }
}

impl From<TargetError> for RequestError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::TooSlow(_) => Self::TimedOut,
            TargetError::TooLarge(_) => Self::TooLarge,
            error if error.is_refusal() => Self::Forbidden(error.to_string()),
            error => Self::Unreachable(error.to_string()),
        }
    }
}

impl Requests {
    /// Reads what a plugin was granted.
    ///
    /// # Errors
    /// The grant that cannot be honoured (`http`, `http_networks` or `secrets`), and why.
    pub fn new(
        courier: Arc<Courier>,
        secrets: &Secrets,
        key: &PlaceholderKey,
        spec: &RequestsSpec<'_>,
    ) -> Result<Self, (&'static str, String)> {
        let read = |text: &String| HostRule::read(text).map_err(|error| ("http", error.to_string()));
        let hosts = spec.hosts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let patterns: Vec<String> = hosts.iter().map(HostRule::pattern).collect();
        let targets = Targets::new(&patterns, spec.networks, LONGEST);
        let mut targets = targets.map_err(|error| ("http_networks", error.to_string()))?;
        if let Some(pem) = spec.authorities {
            targets = targets.with_authorities(pem).map_err(|error| ("http", error.to_string()))?;
        }
        let held = spec.secrets.iter().map(|name| {
            let secret = secrets.get(spec.tenant, name).ok_or_else(|| {
                ("secrets", format!("there is no [[secret]] {name:?} that tenant {} may use", spec.tenant))
            })?;
            Ok((key.placeholder(spec.tenant, spec.plugin, spec.digest, name), secret))
        });
        Ok(Self {
            courier,
            tenant: spec.tenant.into(),
            plugin: spec.plugin.into(),
            hosts,
            targets,
            secrets: held.collect::<Result<_, _>>()?,
            most: spec.most,
        })
    }

    /// What stands for a secret in headers.
    ///
    /// # Errors
    /// The secret is not granted.
    pub fn placeholder(&self, name: &str) -> Result<String, String> {
        let found = self.secrets.iter().find(|(_, secret)| secret.name() == name);
        found.map(|(placeholder, _)| placeholder.clone()).ok_or_else(|| "the secret is not granted".to_owned())
    }

    /// Sends one request and blocks until it is answered, at most `within`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn send(&self, request: PluginRequest, within: Duration) -> Result<PluginResponse, RequestError> {
        let started = Instant::now();
        let (rule, answer) = match self.rule(&request.url) {
            Ok((url, rule)) => (Some(rule), self.send_to(url, rule, request, within)),
            Err(error) => (None, Err(error)),
        };
        // What was granted, not what was asked for: a plugin may build hosts out of a caller's words.
        let host = rule.map_or("none", HostRule::text);
        let outcome = answer.as_ref().map_or_else(RequestError::word, |_| "answered");
        self.courier.metrics.plugin_requested(&self.plugin, host, outcome);
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let (plugin, tenant) = (&*self.plugin, &*self.tenant);
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(target: "plugin", plugin, tenant, host, outcome, status, ms, "request");
        answer
    }

    /// Whether the address is granted. Sends nothing.
    ///
    /// # Errors
    /// [`RequestError::Forbidden`] if not.
    pub fn allows(&self, url: &str) -> Result<(), RequestError> {
        self.rule(url).map(|_| ())
    }

    /// The address, and the grant that lets it be called.
    fn rule(&self, url: &str) -> Result<(Uri, &HostRule), RequestError> {
        if url.len() > MAX_URL {
            return Err(RequestError::forbidden(format!("the address is longer than {MAX_URL} bytes")));
        }
        let url: Uri = url.parse().map_err(|_| RequestError::forbidden("the address is none"))?;
        let (host, port, secure) = self.targets.parts(&url)?;
        let rule = self.hosts.iter().find(|rule| rule.fits(&host, port, secure)).ok_or_else(|| {
            let scheme = if secure { "https" } else { "http" };
            RequestError::Forbidden(format!("{scheme}://{host}:{port} is not granted"))
        })?;
        Ok((url, rule))
    }

    fn send_to(
        &self,
        url: Uri,
        rule: &HostRule,
        request: PluginRequest,
        within: Duration,
    ) -> Result<PluginResponse, RequestError> {
        let Prepared { outgoing, values } = self.prepare(url, request)?;
        let (targets, most) = (self.targets.clone(), self.most);
        let work = async move { targets.fetch(outgoing, most).await };
        let fetched = match self.courier.run(&self.tenant, within.min(LONGEST), work) {
            Ok(fetched) => fetched?,
            Err(NotDone::TimedOut | NotDone::NoPlace) => return Err(RequestError::TimedOut),
            Err(NotDone::NoThreads) => return Err(RequestError::Unreachable("there are no threads for it".to_owned())),
        };
        self.clean(fetched, &values, rule)
    }

    /// Checks a request and puts its secrets in.
    fn prepare(&self, url: Uri, request: PluginRequest) -> Result<Prepared, RequestError> {
        let method = METHODS.iter().find(|method| method.as_str() == request.method).cloned();
        let method = method.ok_or_else(|| RequestError::forbidden("the method is none that plugins may use"))?;
        let bytes: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if request.headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            let why = format!("a request has at most {MAX_HEADERS} headers of together {MAX_HEADER_BYTES} bytes");
            return Err(RequestError::Forbidden(why));
        }
        let (host, port, secure) = self.targets.parts(&url)?;
        let values = self.secrets.iter().map(|(_, secret)| {
            secret.read().map_err(|error| {
                // Where it should be is for the operator only.
                tracing::warn!(target: "plugin", plugin = &*self.plugin, tenant = &*self.tenant, secret = secret.name(), %error,
                    "a request was not sent");
                RequestError::Forbidden(format!("the secret {:?} cannot be read", secret.name()))
            })
        });
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 3);
        for (name, value) in &request.headers {
            let known = HeaderName::from_bytes(name.as_bytes());
            let name = known.map_err(|_| RequestError::forbidden("the name of a header is none"))?;
            if OURS.contains(&name.as_str()) {
                return Err(RequestError::Forbidden(format!("the header {name} is not for plugins")));
            }
            let mut filled = Zeroizing::new(value.clone());
            let mut sensitive = false;
            for ((placeholder, secret), clear) in self.secrets.iter().zip(&values) {
                if !filled.contains(placeholder.as_str()) {
                    continue;
                }
                if !secret.is_for(&host, port, secure) {
                    return Err(RequestError::Forbidden(format!("the secret {:?} is not for {host}", secret.name())));
                }
                filled = Zeroizing::new(filled.replace(placeholder.as_str(), clear));
                sensitive = true;
            }
            let value = HeaderValue::from_bytes(filled.as_bytes());
            let mut value = value.map_err(|_| RequestError::Forbidden(format!("the value of {name} is none")))?;
            value.set_sensitive(sensitive);
            headers.append(name, value);
        }
        // What is packed cannot be searched for secrets, nor read by most plugins.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(Prepared { outgoing: Outgoing { method, url, headers, body: Bytes::from(request.body) }, values })
    }

    /// The answer without secrets, whichever request they were sent with.
    fn clean(
        &self,
        fetched: Fetched,
        values: &[Zeroizing<String>],
        rule: &HostRule,
    ) -> Result<PluginResponse, RequestError> {
        let Fetched { status, headers, body } = fetched;
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        if values.is_empty() {
            return Ok(PluginResponse { status, headers: headers.collect(), body: body.to_vec() });
        }
        let headers: Vec<(String, String)> = headers.collect();
        let packed = |(name, value): &(String, String)| {
            *name == CONTENT_ENCODING.as_str() && !value.eq_ignore_ascii_case("identity")
        };
        if headers.iter().any(packed) {
            let why = format!("{} packs its answer, which cannot be searched for secrets", rule.text());
            return Err(RequestError::Unreachable(why));
        }
        let secrets = self.secrets.iter().zip(values);
        let scrubber =
            Scrubber::new(secrets.map(|((placeholder, _), clear)| (placeholder.as_str(), clear.as_str())))
                .ok_or_else(|| RequestError::Unreachable("the answer cannot be searched for secrets".to_owned()))?;
        let body = scrubber.bytes(&body);
        let headers = headers.iter().map(|(name, value)| match name.as_str() {
            // The other one would tell how long the secret is.
            "content-length" => (name.clone(), body.len().to_string()),
            _ => (scrubber.text(name), scrubber.text(value)),
        });
        let headers: Vec<(String, String)> = headers.collect();
        let size = headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + body.len();
        if size > self.most {
            return Err(RequestError::TooLarge);
        }
        Ok(PluginResponse { status, headers, body })
    }
}

#[cfg(test)]
mod tests;
