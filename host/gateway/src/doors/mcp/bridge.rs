//! A stdio server behind HTTP: the session's side of a child process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use portcullis_model::Outcome;
use tokio::sync::{mpsc, watch};

use super::answers::TOO_LARGE;
use super::envelope::Id;
use super::inspector::{FromServer, Inspector};
use super::mailbox::Mailbox;
use super::places::Place;
use super::shared::member::Member;
use super::start::NotStarted;
use super::{Counters, McpLimits};
use crate::upstream::stdio::{Line, LineReader, LineWriter, Process, SpawnError, Surroundings};
use crate::upstream::supervisor::{Ending, Run};
use crate::upstream::{StdioTarget, Upstream};

/// Messages under way to the child.
const UNDER_WAY: usize = 16;

/// Where the messages of a client go.
#[derive(Clone)]
pub(crate) enum Bridge {
    /// A child process of the session's own.
    Own(Arc<OwnChild>),
    /// A place at a process that others use too.
    Shared(Arc<Member>),
}

/// Why a message did not reach the child.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// The child is gone, or does not read.
    Gone,
    /// There is none, and none can be started.
    NotStarted(NotStarted),
    /// The session does not fit the child any more.
    Over,
}

impl From<NotStarted> for Undelivered {
    fn from(error: NotStarted) -> Self {
        Self::NotStarted(error)
    }
}

impl Bridge {
    pub(crate) fn mailbox(&self) -> &Mailbox {
        match self {
            Self::Own(child) => &child.mailbox,
            Self::Shared(member) => member.mailbox(),
        }
    }

    /// Whether the session cannot go on. One at a shared process can: the process is started again.
    pub(crate) fn over(&self) -> bool {
        matches!(self, Self::Own(child) if child.over())
    }

    /// Hands a message to the child.
    pub(crate) async fn send(&self, message: Bytes, limits: &McpLimits) -> Result<(), Undelivered> {
        match self {
            Self::Own(child) => child.send(message, limits).await.then_some(()).ok_or(Undelivered::Gone),
            Self::Shared(member) => member.send(message).await,
        }
    }

    /// Nobody waits for the answer to this request of ours any more.
    pub(crate) fn forget(&self, id: &Id) {
        self.mailbox().forget(id);
        if let Self::Shared(member) = self {
            member.abandon(id);
        }
    }

    /// Ends the session's side of it: its own child, until that is gone, or its place at a shared one.
    pub(crate) async fn stop(&self, outcome: Outcome) {
        match self {
            Self::Own(child) => child.stop(outcome).await,
            Self::Shared(member) => member.leave(),
        }
    }
}

/// One child process of one session.
pub(crate) struct OwnChild {
    mailbox: Mailbox,
    to_child: mpsc::Sender<Bytes>,
    over: AtomicBool,
    /// Why the child is to be ended.
    stop: watch::Sender<Option<Outcome>>,
    /// Closed when the child is gone and everything is recorded.
    gone: watch::Receiver<()>,
}

impl OwnChild {
    /// Starts the child. `place` is given back when it is gone.
    pub(crate) fn start(
        upstream: &Upstream,
        target: &StdioTarget,
        limits: &McpLimits,
        inspector: Arc<Inspector>,
        counters: Arc<Counters>,
        (place, run): (Place, Run),
    ) -> Result<Arc<Self>, SpawnError> {
        let process = match Process::spawn(&upstream.name, target, Surroundings::Closed, limits.message) {
            Ok(process) => process,
            Err(error) => {
                run.end(Ending::NotStarted);
                return Err(error);
            }
        };
        let (to_child, messages) = mpsc::channel(UNDER_WAY);
        let (stop, stopped) = watch::channel(None);
        let (alive, gone) = watch::channel(());
        let mailbox = Mailbox::new(counters, limits);
        let child = Arc::new(Self { mailbox, to_child, over: AtomicBool::new(false), stop, gone });
        let pump = Pump { child: Arc::clone(&child), inspector, answered: AtomicBool::new(false) };
        let (name, grace) = (Arc::clone(&upstream.name), limits.stop_grace);
        tokio::spawn(async move {
            let Process { stdin, stdout, mut handle } = process;
            let writer = tokio::spawn(write(stdin, messages));
            let asked = pump.run(stdout, stopped).await;
            // Before anybody is told: whoever comes next is judged by it.
            match asked {
                None => run.end(Ending::Itself),
                Some(_) if pump.answered.load(Ordering::Acquire) => run.end(Ending::Asked),
                Some(_) => drop(run),
            }
            pump.finish(asked).await;
            writer.abort();
            match handle.stop(grace).await {
                Ok(status) => tracing::info!(upstream = %name, %status, "child process ended"),
                Err(error) => tracing::warn!(upstream = %name, %error, "child process could not be waited for"),
            }
            drop((place, alive));
        });
        Ok(child)
    }

    /// Whether the child is gone, or going.
    fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Hands a message to the child. `false` if it is gone or does not read.
    async fn send(&self, message: Bytes, limits: &McpLimits) -> bool {
        !self.over() && self.to_child.send_timeout(message, limits.idle_wait).await.is_ok()
    }

    /// Ends the child and waits until it is gone.
    async fn stop(&self, outcome: Outcome) {
        self.over.store(true, Ordering::Release);
        self.mailbox.close();
        self.stop.send_replace(Some(outcome));
        // Closing is the signal.
        let _closed = self.gone.clone().changed().await;
    }
}

/// Writes messages to the child until it is gone or nobody has any.
async fn write(mut stdin: LineWriter<tokio::process::ChildStdin>, mut messages: mpsc::Receiver<Bytes>) {
    while let Some(message) = messages.recv().await {
        if stdin.write(&message).await.is_err() {
            return;
        }
    }
}

struct Pump {
    child: Arc<OwnChild>,
    inspector: Arc<Inspector>,
    /// Whether the child has answered anything.
    answered: AtomicBool,
}

impl Pump {
    /// Reads the child until it ends, or is to be ended: then what becomes of the requests in flight.
    async fn run(
        &self,
        mut stdout: LineReader<tokio::process::ChildStdout>,
        mut stopped: watch::Receiver<Option<Outcome>>,
    ) -> Option<Outcome> {
        loop {
            let line = tokio::select! {
                line = stdout.next() => line,
                outcome = stopped.wait_for(Option::is_some) => {
                    return Some(outcome.ok().and_then(|outcome| *outcome).unwrap_or(Outcome::Uncertain));
                }
            };
            match line {
                Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Line::Whole(line))) => self.message(line).await,
                Ok(Some(Line::TooLong(beginning))) => {
                    self.inspector.dropped(&TOO_LARGE);
                    self.unreadable(&beginning, TOO_LARGE).await;
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }

    async fn message(&self, line: Vec<u8>) {
        // Kept for the one case in which the message cannot be read; a copy of its beginning is enough for that.
        let beginning: Vec<u8> = line.iter().take(512).copied().collect();
        match self.inspector.server_sent(line, None).await {
            FromServer::Answer { id, bytes } => {
                self.answered.store(true, Ordering::Release);
                self.child.mailbox.answer(&id, bytes).await;
            }
            FromServer::Message { bytes, belongs } => {
                let belongs = belongs.or_else(|| self.inspector.only_one());
                self.child.mailbox.route(bytes, belongs.as_ref()).await;
            }
            FromServer::Refused(bytes) => {
                // Not waited for: a child that writes before it reads would never be read again.
                if self.child.to_child.try_send(bytes).is_err() {
                    tracing::debug!("the refusal of a child's request did not reach it");
                }
            }
            FromServer::Unmatched => {}
            FromServer::Malformed => self.unreadable(&beginning, "the upstream's answer is not a message").await,
        }
    }

    async fn unreadable(&self, beginning: &[u8], text: &'static str) {
        if let Some((id, bytes)) = self.inspector.fail_probable(beginning, text).await {
            self.child.mailbox.answer(&id, bytes).await;
        }
    }

    /// Answers what is in flight with errors and closes every stream.
    async fn finish(&self, asked: Option<Outcome>) {
        let (outcome, text) = match asked {
            Some(outcome) => (outcome, "the session was ended"),
            None => (Outcome::Uncertain, DIED),
        };
        self.child.over.store(true, Ordering::Release);
        for (id, bytes) in self.inspector.fail_all(outcome, text).await {
            self.child.mailbox.answer(&id, bytes).await;
        }
        self.child.mailbox.close();
        self.child.mailbox.clear();
    }
}

pub(super) const DIED: &str = "the upstream ended before it answered";
