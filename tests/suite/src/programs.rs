use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{binary, root};

/// A file under `target/tools` or another that the set-up makes.
fn installed(path: &str) -> Result<PathBuf> {
    let path = root().join(path);
    ensure!(path.exists(), "{} is missing; run `cargo xtask setup`", path.display());
    // Not resolved through links: a virtual environment knows itself by the path of its Python.
    Ok(std::path::absolute(path)?)
}

/// The Python that has the published packages.
///
/// # Errors
/// It is not installed.
pub fn python() -> Result<PathBuf> {
    installed("target/tools/python/bin/python")
}

/// Node 22.
///
/// # Errors
/// It is not installed.
pub fn node() -> Result<PathBuf> {
    installed("target/tools/node/node_modules/node/bin/node")
}

/// The entry file of an installed npm package: a path below `node_modules`.
///
/// # Errors
/// It is not installed.
pub fn package(file: &str) -> Result<PathBuf> {
    installed(&format!("target/tools/node/node_modules/{file}"))
}

/// The published Rust client and server: tests/peers.
///
/// # Errors
/// It was not built.
pub fn peers() -> Result<PathBuf> {
    installed("target/peers/debug/peers")
}

/// A program of tests/clients.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    root().join("tests/clients").join(name)
}

/// A published client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The Python package `mcp`.
    Python,
    /// The npm package `@modelcontextprotocol/sdk`, which ends with 2025-11-25.
    FirstTypeScript,
    /// The npm package `@modelcontextprotocol/client`.
    SecondTypeScript,
    /// The crate `rmcp`.
    Rust,
}

/// How a client finds out which era a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It takes the era with sessions.
    Legacy,
    /// It asks.
    Auto,
    /// It takes 2026-07-28.
    Modern,
}

/// Where a server is.
#[derive(Clone, Debug)]
pub enum Place {
    /// An address and the token to show there.
    Http(String, String),
    /// A program and its arguments.
    Command(Vec<String>),
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Python, Self::FirstTypeScript, Self::SecondTypeScript, Self::Rust];

    /// One session: connects, takes the steps, and gives what the client saw. tests/clients/README.md describes both.
    ///
    /// # Errors
    /// The client failed; its standard error is in the message.
    pub fn session(self, place: &Place, mode: Mode, steps: &Value) -> Result<Value> {
        let mode = match mode {
            Mode::Legacy => "legacy",
            Mode::Auto => "auto",
            Mode::Modern => "modern",
        };
        let plan = match place {
            Place::Http(url, token) => json!({ "mode": mode, "url": url, "token": token, "steps": steps }),
            Place::Command(command) => json!({ "mode": mode, "command": command, "steps": steps }),
        };
        let mut command = self.command()?;
        let output = command.arg(plan.to_string()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{self:?} failed ({mode}):\n{errors}");
        serde_json::from_slice(&output.stdout).with_context(|| format!("{self:?} printed no JSON:\n{errors}"))
    }

    fn command(self) -> Result<Command> {
        let typescript = |name: &str| -> Result<Command> {
            let mut command = Command::new(node()?);
            command.arg("--import").arg(script("packages.mjs").canonicalize()?).arg(script(name));
            Ok(command)
        };
        Ok(match self {
            Self::Python => {
                let mut command = Command::new(python()?);
                command.arg(script("session.py"));
                command
            }
            Self::FirstTypeScript => typescript("session_v1.mjs")?,
            Self::SecondTypeScript => typescript("session_v2.mjs")?,
            Self::Rust => {
                let mut command = Command::new(peers()?);
                command.arg("session");
                command
            }
        })
    }
}

/// A server that says in its first line where it listens. Killed when dropped.
#[derive(Debug)]
pub struct Listening {
    child: Child,
    /// Its address.
    pub url: String,
}

impl Listening {
    /// Starts it and waits for the line.
    ///
    /// # Errors
    /// It ends instead; what it had to say is on standard error.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("standard output is piped")?).read_line(&mut line)?;
        let url = serde_json::from_str::<Value>(&line).ok();
        let Some(url) = url.as_ref().and_then(|line| line.get("url")?.as_str()) else {
            let _ = child.kill();
            let status = child.wait()?;
            anyhow::bail!("{command:?} did not start ({status}): {line:?}");
        };
        Ok(Self { child, url: url.to_owned() })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `portcullis ledger` prints about a data folder.
///
/// # Errors
/// It fails; what it printed is in the message.
pub fn ledger(data: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(binary()?).arg("ledger").args(arguments).arg("--data").arg(data).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "ledger {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}
