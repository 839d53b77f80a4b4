//! The process side of an upstream: one child, its lines, its end.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::StdioTarget;

/// Bytes read at once.
const READ: usize = 16 * 1024;
/// Longest piece of a line of standard error that is logged.
const STDERR_LINE: usize = 1024;
/// Lines of standard error that are logged per window and child.
const STDERR_LINES: usize = 50;
/// The window.
const STDERR_WINDOW: Duration = Duration::from_secs(10);
/// Beginning of a line over the limit that is kept.
const LONG_LINE_BEGINNING: usize = 512;

/// A running child and its standard streams.
pub(crate) struct Process {
    pub(crate) stdin: LineWriter<ChildStdin>,
    pub(crate) stdout: LineReader<ChildStdout>,
    pub(crate) handle: Handle,
}

/// The part of a child that ends it. Dropping it kills the child.
pub(crate) struct Handle {
    child: Child,
    group: Option<Pid>,
}

/// What a child does with its environment and its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surroundings {
    /// An upstream of the server: its environment comes from the configuration, its standard error goes to the log.
    Closed,
    /// A command of the user's own: both are the user's.
    Open,
}

/// The child could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {command:?}")]
pub struct SpawnError {
    /// The program.
    pub command: String,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// One line, or what is left of one over the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(Vec<u8>),
    /// Its beginning; the rest was skipped.
    TooLong(Vec<u8>),
}

/// Reads lines of bounded length.
pub(crate) struct LineReader<R> {
    source: R,
    limit: usize,
    buffer: BytesMut,
    /// Bytes of the buffer that hold no line feed.
    searched: usize,
    /// Beginning of the line that is being skipped.
    skipping: Option<Vec<u8>>,
}

/// Writes messages, one per line.
pub(crate) struct LineWriter<W> {
    sink: W,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(source: R, limit: usize) -> Self {
        Self { source, limit, buffer: BytesMut::new(), searched: 0, skipping: None }
    }

    /// The next line without its end; `None` at the end of the stream. A last line without an end is a line.
    ///
    /// Cancel-safe: what was read stays in the buffer.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                line.truncate(line.len() - 1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(self.finish(line)));
            }
            self.searched = self.buffer.len();
            if self.skipping.is_some() {
                self.buffer.clear();
                self.searched = 0;
            } else if self.buffer.len() > self.limit {
                let beginning = self.buffer.get(..LONG_LINE_BEGINNING).unwrap_or(&self.buffer);
                self.skipping = Some(beginning.to_vec());
                self.buffer = BytesMut::new();
                self.searched = 0;
            }
            self.buffer.reserve(READ);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                let line = self.buffer.split();
                self.searched = 0;
                let open = !line.is_empty() || self.skipping.is_some();
                return Ok(open.then(|| self.finish(line)));
            }
        }
    }

    fn finish(&mut self, line: BytesMut) -> Line {
        match self.skipping.take() {
            Some(beginning) => Line::TooLong(beginning),
            None if line.len() > self.limit => Line::TooLong(line.get(..LONG_LINE_BEGINNING).unwrap_or(&line).to_vec()),
            None => Line::Whole(line.to_vec()),
        }
    }
}

impl<W: tokio::io::AsyncWrite + Unpin> LineWriter<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink }
    }

    /// Writes one message. Line ends inside it (in JSON they are white space) become spaces.
    pub(crate) async fn write(&mut self, message: &Bytes) -> std::io::Result<()> {
        let mut line = Vec::with_capacity(message.len() + 1);
        line.extend(message.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        line.push(b'\n');
        self.sink.write_all(&line).await?;
        self.sink.flush().await
    }
}

impl Process {
    /// Starts the child in a process group of its own, so that what it starts ends with it.
    pub(crate) fn spawn(
        name: &Arc<str>,
        target: &StdioTarget,
        surroundings: Surroundings,
        line_limit: usize,
    ) -> Result<Self, SpawnError> {
        let mut command = Command::new(&target.command);
        command
            .args(&target.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if surroundings == Surroundings::Closed {
            command.env_clear().stderr(Stdio::piped());
            let inherited = StdioTarget::INHERITED.iter().filter_map(|key| Some((key, std::env::var_os(key)?)));
            command.envs(inherited);
        }
        command.envs(&target.environment);
        let failed = |source| SpawnError { command: target.command.clone(), source };
        let mut child = command.spawn().map_err(failed)?;
        let missing = || failed(std::io::Error::other("a standard stream is missing"));
        let stdin = LineWriter::new(child.stdin.take().ok_or_else(missing)?);
        let stdout = LineReader::new(child.stdout.take().ok_or_else(missing)?, line_limit);
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log_lines(Arc::clone(name), stderr));
        }
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { stdin, stdout, handle: Handle { child, group } })
    }
}

impl Handle {
    /// Ends the child: a moment to end by itself (its standard input should be closed by now), SIGTERM, a moment,
    /// SIGKILL. Signals go to the whole group.
    pub(crate) async fn stop(&mut self, grace: Duration) -> std::io::Result<ExitStatus> {
        for signal in [Signal::TERM, Signal::KILL] {
            if let Ok(ended) = tokio::time::timeout(grace, self.child.wait()).await {
                self.signal(Signal::KILL);
                return ended;
            }
            self.signal(signal);
        }
        self.child.wait().await
    }

    /// Sends a signal to the child and what it started. One that is gone needs none.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _gone = kill_process_group(group, signal);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
        }
    }
}

/// Puts the lines of a child's standard error into the log: cut, and not more than a few per window.
async fn log_lines(name: Arc<str>, stderr: impl AsyncRead + Unpin) {
    let mut lines = LineReader::new(stderr, STDERR_LINE);
    let mut recent: VecDeque<Instant> = VecDeque::with_capacity(STDERR_LINES);
    let mut left_out = 0_u64;
    while let Ok(Some(line)) = lines.next().await {
        let now = Instant::now();
        while recent.front().is_some_and(|at| now.duration_since(*at) > STDERR_WINDOW) {
            recent.pop_front();
        }
        if recent.len() >= STDERR_LINES {
            left_out += 1;
            continue;
        }
        recent.push_back(now);
        if left_out > 0 {
            tracing::warn!(upstream = %name, lines = left_out, "lines of standard error were left out");
            left_out = 0;
        }
        let (Line::Whole(bytes) | Line::TooLong(bytes)) = line;
        tracing::info!(upstream = %name, line = %printable(&bytes), "standard error");
    }
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
