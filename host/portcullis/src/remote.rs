//! Finding and asking the server that runs on a data folder.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
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
    /// When the system and the process began: another process may have got the same number.
    began: String,
    /// Secret of the operators that the command line is until the server ends; see [`Running::token`].
    pub control: String,
    /// Whether approvals and pins are decided with it.
    pub decides: bool,
}

/// Removes the file on the way out.
pub(crate) struct Left(PathBuf);

impl Drop for Left {
    fn drop(&mut self) {
        Running::remove(&self.0);
    }
}

impl Running {
    fn path(data: &Path) -> PathBuf {
        data.join("server.json")
    }

    /// This process, which listens for the command line at `address`.
    pub(crate) fn new(address: SocketAddr, control: &str, decides: bool) -> Self {
        let pid = std::process::id();
        Self { address, pid, began: began(pid).unwrap_or_default(), control: control.to_owned(), decides }
    }

    /// Leaves the file for as long as the answer lives; replaced as a whole, so that a reader never sees half of it.
    pub(crate) fn leave(&self, data: &Path) -> Result<Left> {
        let path = Self::path(data);
        let fresh = path.with_extension("json.new");
        let written = fs::remove_file(&fresh)
            .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .and_then(|()| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh))
            .and_then(|mut file| file.write_all(serde_json::to_string(self)?.as_bytes()))
            .and_then(|()| fs::rename(&fresh, &path));
        written.with_context(|| format!("{}: cannot be written", path.display()))?;
        Ok(Left(data.to_owned()))
    }

    /// Removes the file of the process whose data folder it is, or was.
    pub(crate) fn remove(data: &Path) {
        // A stale file does no harm: its process is gone and its token with it.
        let _ = fs::remove_file(Self::path(data));
    }

    /// The server that runs on a data folder, if one left its file and still lives.
    pub(crate) fn find(data: &Path) -> Option<Self> {
        let running: Self = serde_json::from_slice(&fs::read(Self::path(data)).ok()?).ok()?;
        (began(running.pid).as_ref() == Some(&running.began)).then_some(running)
    }

    /// The same, or why there is none.
    pub(crate) fn on(data: &Path) -> Result<Self> {
        Self::find(data).with_context(|| {
            let folder = data.display();
            format!("nothing runs on {folder}: start `portcullis serve` or the client of its `wrap`, or name another with --data")
        })
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

/// When the system and a process began; none if there is no such process, or only what is left for its parent.
/// From `/proc/PID/stat`: behind the name in parentheses, the state is the first word and the start time the 20th.
fn began(pid: u32) -> Option<String> {
    let system = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?;
    let start = words.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| format!("{} {start}", system.trim()))
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

    /// What happens from now on, event by event, until the server ends.
    pub(crate) fn events(&self) -> Result<impl Iterator<Item = Result<Value>>> {
        let request = self.agent.get(format!("{}/v1/events", self.base)).config().timeout_global(None).build();
        let answer = self.known(request).call();
        let answer = answer.with_context(|| format!("no answer from {}", self.base))?;
        if !answer.status().is_success() {
            let told = self.answer(Ok(answer));
            bail!("no events: {}", told.err().map_or_else(String::new, |error| format!("{error:#}")));
        }
        // Its first line says that nothing is missed from here on.
        let mut lines = BufReader::new(answer.into_body().into_reader()).lines();
        lines.next().transpose().context("the stream of events broke off")?;
        Ok(lines.filter_map(|line| match line {
            Ok(line) => Some(serde_json::from_str(line.strip_prefix("data:")?).context("an event that is not JSON")),
            Err(error) => Some(Err(error).context("the stream of events broke off")),
        }))
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
