use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{binary, compiled};

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Text of the configuration file; none: the embedded default.
    pub config: Option<String>,
    /// More arguments of `portcullis serve`.
    pub arguments: Vec<String>,
    /// Files beside the configuration: relative path and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Bytes beyond which the server cannot make a file grow: a disk that is full for it alone.
    pub largest_file: Option<u64>,
    /// Whether it finds the plugins compiled that earlier servers compiled.
    pub warm: bool,
}

/// A running server on a folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: TempDir,
    /// `http://ADDRESS`.
    pub url: String,
}

/// What came back from a request.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Server {
    /// Starts a server on a fresh folder and waits until it listens.
    ///
    /// # Errors
    /// It ends instead; its standard error is in the message.
    pub fn start(setup: &Setup) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, setup)
    }

    /// Starts a server on a folder that may hold data already.
    ///
    /// # Errors
    /// It ends instead; its standard error is in the message.
    pub fn start_in(folder: TempDir, setup: &Setup) -> Result<Self> {
        if setup.warm {
            compiled::bring(&folder.path().join("data"))?;
        }
        for (name, content) in &setup.files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            fs::write(path, content)?;
        }
        let mut command = match setup.largest_file {
            None => Command::new(binary()?),
            Some(bytes) => {
                // Without the trap the signal would end it; with it the write fails. POSIX counts in 512 bytes.
                let mut shell = Command::new("sh");
                shell.args(["-c", r#"trap "" XFSZ; ulimit -f "$0"; exec "$@""#, &(bytes / 512).to_string()]);
                shell.arg(binary()?);
                shell
            }
        };
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
        if let Some(config) = &setup.config {
            let path = folder.path().join("portcullis.toml");
            fs::write(&path, config)?;
            command.arg("--config").arg(path);
        }
        let errors = folder.path().join("stderr.txt");
        let mut child = command
            .args(&setup.arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::OpenOptions::new().create(true).append(true).open(&errors)?)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("standard output is piped")?).read_line(&mut line)?;
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            let _ = child.kill();
            let status = child.wait()?;
            bail!("the server did not start ({status}): {}", fs::read_to_string(errors)?);
        };
        let url = ready.get("url").and_then(Value::as_str).context("the first line names the url")?.to_owned();
        if setup.warm {
            compiled::keep(&folder.path().join("data"))?;
        }
        Ok(Self { child, folder, url })
    }

    /// The server's folder; `data` is in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn errors(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("stderr.txt"))?)
    }

    /// One request.
    ///
    /// # Errors
    /// No answer.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        request(method, &format!("{}{path}", self.url), headers, body)
    }

    /// One inspect call without credentials.
    ///
    /// # Errors
    /// No answer, or one that is not JSON.
    pub fn inspect(&self, body: &Value) -> Result<Value> {
        let headers = [("content-type", "application/json")];
        self.request("POST", "/v1/inspect", &headers, body.to_string().as_bytes())?.json()
    }

    /// SIGKILL: nothing is flushed. Gives the folder back for another start.
    ///
    /// # Errors
    /// The process cannot be killed.
    pub fn kill(mut self) -> Result<TempDir> {
        self.child.kill()?;
        self.child.wait()?;
        self.take_folder()
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// It does not end within a minute.
    pub fn terminate(mut self) -> Result<(TempDir, ExitStatus)> {
        let status = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(status.success(), "kill failed");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((self.take_folder()?, status));
            }
            ensure!(started.elapsed() < Duration::from_secs(60), "the server did not end a minute after SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn take_folder(&mut self) -> Result<TempDir> {
        Ok(std::mem::replace(&mut self.folder, tempfile::tempdir()?))
    }

    /// Runs the binary with arguments, on this server's data folder if they name it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn portcullis(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        let output = Command::new(binary()?).args(arguments).current_dir(self.folder.path()).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request to any address.
///
/// # Errors
/// No answer.
fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .proxy(None)
        .allow_non_standard_methods(true)
        .build();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent = ureq::Agent::from(config);
    let answer = if body.is_empty() && method != "POST" {
        agent.run(request.body(())?)?
    } else {
        agent.run(request.body(body)?)?
    };
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut content = Vec::new();
    answer.into_body().into_reader().read_to_end(&mut content)?;
    Ok(Answer { status, headers, body: content })
}
