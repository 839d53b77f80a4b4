//! A stdio server behind HTTP: one child process per session, and who of the session's streams gets which message.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portcullis_model::Outcome;
use tokio::sync::{mpsc, watch};

use super::answers::TOO_LARGE;
use super::envelope::Id;
use super::inspector::{FromServer, Inspector};
use super::sessions::Place;
use super::{Counters, McpLimits};
use crate::upstream::stdio::{Line, LineReader, LineWriter, Process, SpawnError, Surroundings};
use crate::upstream::{StdioTarget, Upstream};

/// Messages that wait for a stream to be opened.
const QUEUE: usize = 64;
/// Messages under way to one stream, or to the child.
const UNDER_WAY: usize = 16;

/// The session's side of a child process.
pub(crate) struct Bridge {
    to_child: mpsc::Sender<Bytes>,
    routes: Mutex<Routes>,
    over: AtomicBool,
    /// Why the child is to be ended.
    stop: watch::Sender<Option<Outcome>>,
    /// Closed when the child is gone and everything is recorded.
    gone: watch::Receiver<()>,
}

/// A message on its way to an exchange.
#[derive(Debug)]
pub(crate) enum Routed {
    /// Something that belongs to the request.
    Message(Bytes),
    /// The end of the request.
    Answer(Bytes),
}

#[derive(Default)]
struct Routes {
    /// Exchanges by the request they wait for.
    exchanges: HashMap<Id, mpsc::Sender<Routed>>,
    /// The stream for everything else.
    stream: Option<mpsc::Sender<Bytes>>,
    /// What came while there was no such stream.
    queue: VecDeque<Bytes>,
}

/// Why a stream for messages cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this session has a stream already")]
pub(crate) struct StreamTaken;

impl Bridge {
    /// Starts the child. `place` is given back when it is gone.
    pub(crate) fn start(
        upstream: &Upstream,
        target: &StdioTarget,
        limits: &McpLimits,
        inspector: Arc<Inspector>,
        counters: Arc<Counters>,
        place: Place,
    ) -> Result<Arc<Self>, SpawnError> {
        let process = Process::spawn(&upstream.name, target, Surroundings::Closed, limits.message)?;
        let (to_child, messages) = mpsc::channel(UNDER_WAY);
        let (stop, stopped) = watch::channel(None);
        let (alive, gone) = watch::channel(());
        let bridge = Arc::new(Self { to_child, routes: Mutex::default(), over: AtomicBool::new(false), stop, gone });
        let pump = Pump { bridge: Arc::clone(&bridge), inspector, counters, limits: limits.clone() };
        let name = Arc::clone(&upstream.name);
        tokio::spawn(async move {
            let Process { stdin, stdout, mut handle } = process;
            let writer = tokio::spawn(write(stdin, messages));
            let (outcome, text) = pump.run(stdout, stopped).await;
            pump.finish(outcome, text).await;
            writer.abort();
            match handle.stop(pump.limits.stop_grace).await {
                Ok(status) => tracing::info!(upstream = %name, %status, "child process ended"),
                Err(error) => tracing::warn!(upstream = %name, %error, "child process could not be waited for"),
            }
            drop((place, alive));
        });
        Ok(bridge)
    }

    /// Whether the child is gone, or going.
    pub(crate) fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Hands a message to the child. `false` if it is gone or does not read.
    pub(crate) async fn send(&self, message: Bytes, limits: &McpLimits) -> bool {
        !self.over() && self.to_child.send_timeout(message, limits.idle_wait).await.is_ok()
    }

    /// Where everything about this request will arrive. Ask before the request is sent.
    pub(crate) fn expect(&self, id: &Id) -> mpsc::Receiver<Routed> {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        self.routes().exchanges.insert(id.clone(), sender);
        receiver
    }

    /// Nobody waits for this request any more.
    pub(crate) fn forget(&self, id: &Id) {
        self.routes().exchanges.remove(id);
    }

    /// Opens the stream for messages that belong to no request.
    pub(crate) fn open_stream(&self) -> Result<mpsc::Receiver<Bytes>, StreamTaken> {
        let mut routes = self.routes();
        if routes.stream.as_ref().is_some_and(|stream| !stream.is_closed()) {
            return Err(StreamTaken);
        }
        let (sender, receiver) = mpsc::channel(QUEUE + UNDER_WAY);
        for message in routes.queue.drain(..) {
            // There is room for the whole queue.
            let _sent = sender.try_send(message);
        }
        routes.stream = (!self.over()).then_some(sender);
        Ok(receiver)
    }

    /// Ends the child and waits until it is gone.
    pub(crate) async fn stop(&self, outcome: Outcome) {
        self.over.store(true, Ordering::Release);
        self.stop.send_replace(Some(outcome));
        // Closing is the signal.
        let _closed = self.gone.clone().changed().await;
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
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
    bridge: Arc<Bridge>,
    inspector: Arc<Inspector>,
    counters: Arc<Counters>,
    limits: McpLimits,
}

impl Pump {
    /// Reads the child until it ends or is to be ended. What becomes of the requests in flight.
    async fn run(
        &self,
        mut stdout: LineReader<tokio::process::ChildStdout>,
        mut stopped: watch::Receiver<Option<Outcome>>,
    ) -> (Outcome, &'static str) {
        loop {
            let line = tokio::select! {
                line = stdout.next() => line,
                outcome = stopped.wait_for(Option::is_some) => {
                    let outcome = outcome.ok().and_then(|outcome| *outcome).unwrap_or(Outcome::Uncertain);
                    return (outcome, "the session was ended");
                }
            };
            match line {
                Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Line::Whole(line))) => self.message(line).await,
                Ok(Some(Line::TooLong(beginning))) => {
                    self.inspector.dropped(&TOO_LARGE);
                    self.unreadable(&beginning, TOO_LARGE).await;
                }
                Ok(None) | Err(_) => return (Outcome::Uncertain, "the upstream ended before it answered"),
            }
        }
    }

    async fn message(&self, line: Vec<u8>) {
        // Kept for the one case in which the message cannot be read; a copy of its beginning is enough for that.
        let beginning: Vec<u8> = line.iter().take(512).copied().collect();
        match self.inspector.server_sent(line, None).await {
            FromServer::Answer { id, bytes } => self.answer(id, bytes).await,
            FromServer::Message { bytes, belongs } => self.route(bytes, belongs).await,
            FromServer::Refused(bytes) => {
                // Not waited for: a child that writes before it reads would never be read again.
                if self.bridge.to_child.try_send(bytes).is_err() {
                    self.counters.undelivered.inc();
                }
            }
            FromServer::Unmatched => {}
            FromServer::Malformed => self.unreadable(&beginning, "the upstream's answer is not a message").await,
        }
    }

    async fn unreadable(&self, beginning: &[u8], text: &'static str) {
        if let Some((id, bytes)) = self.inspector.fail_probable(beginning, text).await {
            self.answer(id, bytes).await;
        }
    }

    async fn answer(&self, id: Id, bytes: Bytes) {
        let exchange = self.bridge.routes().exchanges.remove(&id);
        if let Some(exchange) = exchange {
            self.deliver(&exchange, Routed::Answer(bytes)).await;
        }
    }

    /// To the request it belongs to, to the only one in flight, to the session's stream, or to the queue for it.
    async fn route(&self, bytes: Bytes, belongs: Option<Id>) {
        let exchange = belongs.or_else(|| self.inspector.only_one());
        let exchange = exchange.and_then(|id| self.bridge.routes().exchanges.get(&id).cloned());
        if let Some(exchange) = exchange
            && !exchange.is_closed()
        {
            return self.deliver(&exchange, Routed::Message(bytes)).await;
        }
        let stream = {
            let mut routes = self.bridge.routes();
            let stream = routes.stream.clone().filter(|stream| !stream.is_closed());
            if stream.is_none() {
                if routes.queue.len() >= QUEUE {
                    routes.queue.pop_front();
                    self.counters.undelivered.inc();
                }
                routes.queue.push_back(bytes.clone());
            }
            stream
        };
        if let Some(stream) = stream {
            self.deliver(&stream, bytes).await;
        }
    }

    async fn deliver<T>(&self, to: &mpsc::Sender<T>, message: T) {
        let mut stopped = self.bridge.stop.subscribe();
        let sent = tokio::select! {
            biased;
            sent = to.send_timeout(message, self.limits.idle_wait) => sent.is_ok(),
            _ = stopped.wait_for(Option::is_some) => false,
        };
        if !sent {
            self.counters.undelivered.inc();
        }
    }

    /// Answers what is in flight with errors and closes every stream.
    async fn finish(&self, outcome: Outcome, text: &'static str) {
        self.bridge.over.store(true, Ordering::Release);
        for (id, bytes) in self.inspector.fail_all(outcome, text).await {
            self.answer(id, bytes).await;
        }
        let mut routes = self.bridge.routes();
        routes.exchanges.clear();
        routes.stream = None;
        routes.queue.clear();
    }
}
