//! Finding and asking the server that runs on a data folder.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Largest answer read from a server.
const MOST_ANSWER: u64 = 64 << 20;

/// What a running server leaves in its data folder, readable by its owner only.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Where it listens for the command line: its own address, or a loopback port beside it.
    pub address: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// Secret of the operators that the command line is until the server ends; see [`Running::token`].
    pub control: String,
}

impl Running {
    fn path(data: &Path) -> PathBuf {
        data.join("server.json")
    }

    /// Leaves the file; replaced as a whole, so that a reader never sees half of it.
    pub(crate) fn leave(&self, data: &Path) -> Result<()> {
        let path = Self::path(data);
        let fresh = path.with_extension("json.new");
        let written = fs::remove_file(&fresh)
            .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .and_then(|()| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh))
            .and_then(|mut file| file.write_all(serde_json::to_string(self)?.as_bytes()))
            .and_then(|()| fs::rename(&fresh, &path));
        written.with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// Removes the file on the way out.
    pub(crate) fn remove(data: &Path) {
        // A stale file does no harm: its process is gone and its token with it.
        let _ = fs::remove_file(Self::path(data));
    }

    /// The server that runs on a data folder, if one left its file and still lives.
    pub(crate) fn find(data: &Path) -> Option<Self> {
        let running: Self = serde_json::from_slice(&fs::read(Self::path(data)).ok()?).ok()?;
        Path::new(&format!("/proc/{}", running.pid)).exists().then_some(running)
    }

    /// The server, asked with a bearer token.
    pub(crate) fn server(&self, token: Option<String>) -> Server {
        Server { control: Some(self.control.clone()), ..Server::new(&self.url(), token) }
    }

    /// The token of the command line's operator in one tenant.
    pub(crate) fn token(&self, tenant: &str) -> String {
        control_token(&self.control, tenant)
    }

    /// Its base address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The token of the command line's operator in one tenant: the secret and the tenant's name.
pub(crate) fn control_token(control: &str, tenant: &str) -> String {
    format!("{control}.{tenant}")
}

/// A server to ask.
pub(crate) struct Server {
    base: String,
    token: Option<String>,
    /// What opens the port that is the command line's own.
    control: Option<String>,
    agent: ureq::Agent,
}

impl Server {
    /// A server at a base address, asked with a bearer token.
    pub(crate) fn new(base: &str, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(610)))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self { base: base.trim_end_matches('/').to_owned(), token, control: None, agent: config.into() }
    }

    /// Reads a route.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.answer(self.known(self.agent.get(format!("{}{path}", self.base))).call())
    }

    /// Sends a JSON body to a route.
    pub(crate) fn post(&self, path: &str, body: &str) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        self.answer(self.known(request).send(body))
    }

    fn known<B>(&self, mut request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(control) = &self.control {
            request = request.header("x-portcullis-control", control);
        }
        request
    }

    fn answer(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value> {
        let mut answer = answer.with_context(|| format!("no answer from {}", self.base))?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(MOST_ANSWER).read_to_string();
        let text = text.with_context(|| format!("half an answer from {}", self.base))?;
        let value: Value =
            serde_json::from_str(&text).with_context(|| format!("{} answered {status} without JSON", self.base))?;
        if status.is_success() {
            return Ok(value);
        }
        let part = |name: &str| {
            value.pointer(&format!("/error/{name}")).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let hint = if status == ureq::http::StatusCode::UNAUTHORIZED { self.flag().to_owned() } else { part("hint") };
        bail!("{} answered {status}: {}; {hint}", self.base, part("message"))
    }

    /// The option that says who asks.
    fn flag(&self) -> &'static str {
        match (&self.control, &self.token) {
            (Some(control), Some(token)) if token.starts_with(control) => "name one of its tenants with --tenant",
            _ => "give the token of one of its agents with --token or PORTCULLIS_TOKEN",
        }
    }
}
