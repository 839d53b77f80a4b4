//! stdio in front of stdio: Portcullis in the place of a server that a client starts itself.

mod changed;

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_model::Outcome;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use self::changed::{Changed, Meta};
use super::answers;
use super::changes;
use super::envelope::{Frame, INVALID_REQUEST};
use super::holding::{Asking, Holds};
use super::inspector::{FromClient, FromServer, Held, Inspector};
use super::queue;
use super::{Counters, Desk, McpLimits, Origin};
use crate::gate::Gate;
use crate::ports::AgentIdentity;
use crate::upstream::stdio::{Line, LineReader, LineWriter, Process, SpawnError, Surroundings};
use crate::upstream::{Target, Upstream};

/// Messages under way to the client.
const UNDER_WAY: usize = 16;
/// How often a child that should end by itself is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Why a command could not be wrapped.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// The upstream is not a command.
    #[error("only a command can be wrapped; serve an HTTP upstream instead")]
    NotACommand,
    /// It did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Its end could not be waited for.
    #[error("the wrapped command could not be waited for: {0}")]
    Wait(#[source] std::io::Error),
}

/// Who wraps what.
#[derive(Clone)]
pub struct Wrapping {
    /// Decides and records.
    pub gate: Arc<Gate>,
    /// Who calls.
    pub agent: AgentIdentity,
    /// The run of the agent, if known.
    pub session: Option<Arc<str>>,
    /// The command.
    pub upstream: Arc<Upstream>,
    /// Bounds.
    pub limits: McpLimits,
    /// Where its parked calls are decided.
    pub desk: Desk,
}

/// Runs the command with Portcullis between it and the client on `stdin` and `stdout`, until the command ends, the client
/// closes `stdin`, or `shutdown` completes. Nothing but MCP messages goes to `stdout`; the command inherits the environment
/// and standard error. The exit status for our own process: the command's, or 128 and the signal that ended it.
///
/// # Errors
/// The command cannot be started or waited for.
pub async fn wrap(
    wrapping: Wrapping,
    stdin: impl AsyncRead + Unpin + Send + 'static,
    stdout: impl AsyncWrite + Unpin + Send + 'static,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<i32, WrapError> {
    let Wrapping { gate, agent, session, upstream, limits, desk } = wrapping;
    let Target::Stdio(target) = &upstream.target else { return Err(WrapError::NotACommand) };
    let process = Process::spawn(&upstream.name, target, Surroundings::Open, limits.message)?;
    let Process { stdin: child_in, stdout: child_out, mut handle } = process;
    let counters = Arc::new(Counters::new(gate.metrics()));
    let name = Arc::clone(&upstream.name);
    let origin = Origin { agent, session, upstream: name, withholds: upstream.withholds, desk, tasks: false };
    let holds = Holds::new(limits.hold.clone(), Asking::default(), watch::Sender::new(()));
    let inspector = Arc::new(Inspector::new(gate, origin, counters, holds, limits.in_flight));
    let (to_client, answers) = queue::channel(UNDER_WAY, limits.message);
    let writer = tokio::spawn(write(LineWriter::new(stdout), answers));
    let (stop, stopped) = oneshot::channel();
    let (to_child, from_here) = mpsc::channel(UNDER_WAY);
    let meta = Meta::default();
    let client = FromClientPump {
        inspector: Arc::clone(&inspector),
        to_client: to_client.clone(),
        lines: LineReader::new(stdin, limits.message),
        child: child_in,
        from_here,
        to_child: to_child.clone(),
        meta: meta.clone(),
        keep_alive: limits.keep_alive,
        held: JoinSet::new(),
        gone: watch::Sender::new(false),
    };
    let mut client = tokio::spawn(client.run(stopped));
    let mut server = FromServerPump {
        inspector: Arc::clone(&inspector),
        to_client: to_client.clone(),
        changed: Changed::new(Arc::clone(&inspector), to_child.clone(), meta),
        to_child,
        lines: child_out,
        limits: limits.clone(),
    };
    let (outcome, text) = server.run(&client, shutdown).await;
    server.changed.end().await;
    drop(server);
    // A call that is being judged gets to its end, so that it is recorded; then the child's input is closed.
    let _ended = stop.send(());
    if tokio::time::timeout(limits.stop_grace, &mut client).await.is_err() {
        client.abort();
    }
    for (_, bytes) in inspector.fail_all(outcome, text).await {
        if !tokio::time::timeout(limits.stop_grace, to_client.send(bytes)).await.unwrap_or(false) {
            break;
        }
    }
    drop(to_client);
    let status = handle.stop(limits.stop_grace).await.map_err(WrapError::Wait)?;
    // The pumps are gone, so the writer ends as soon as everything is written, or the client does not read.
    let _written = tokio::time::timeout(limits.stop_grace, writer).await;
    Ok(exit_code(status))
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

async fn write(mut stdout: LineWriter<impl AsyncWrite + Unpin>, mut messages: queue::Receiver<Bytes>) {
    while let Some(message) = messages.recv().await {
        if stdout.write(&message).await.is_err() {
            return;
        }
    }
}

struct FromClientPump<R> {
    inspector: Arc<Inspector>,
    to_client: queue::Sender<Bytes>,
    lines: LineReader<R>,
    child: LineWriter<ChildStdin>,
    /// What Portcullis itself says to the child, in the client's place.
    from_here: mpsc::Receiver<Bytes>,
    to_child: mpsc::Sender<Bytes>,
    meta: Meta,
    /// Between two signs of life of a call that waits for a person.
    keep_alive: Duration,
    /// Calls that wait for a person. Everything else goes on meanwhile.
    held: JoinSet<()>,
    /// Set when the client is gone.
    gone: watch::Sender<bool>,
}

impl<R: AsyncRead + Unpin> FromClientPump<R> {
    /// Ends with the client's input or the child's. Then the child's input is closed.
    async fn run(mut self, stopped: oneshot::Receiver<()>) {
        self.pump(stopped).await;
        // Nobody waits for what is still held.
        self.gone.send_replace(true);
        while self.held.join_next().await.is_some() {}
    }

    async fn pump(&mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let line = tokio::select! {
                line = self.lines.next() => line,
                Some(_) = self.held.join_next() => continue,
                Some(message) = self.from_here.recv() => {
                    if self.child.write(&message).await.is_err() {
                        return;
                    }
                    continue;
                }
                _ = &mut stopped => return,
            };
            let Ok(Some(line)) = line else { return };
            let frame = match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => Frame::parse(line).map_err(|rejected| {
                    answers::error(rejected.id.as_ref(), rejected.error.code(), &rejected.to_string(), None)
                }),
                Line::TooLong(_) => Err(answers::error(None, INVALID_REQUEST, "the message is too large", None)),
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(answer) => {
                    if !self.to_client.send(answer).await {
                        return;
                    }
                    continue;
                }
            };
            self.meta.note(&frame);
            let went = match self.inspector.client_sent(&frame).await {
                FromClient::Answer(bytes) => self.to_client.send(bytes).await,
                FromClient::Forward { bytes, cancels } => {
                    // A call that is on its way goes before what cancels it.
                    (cancels.is_none() || self.drain().await) && self.child.write(&bytes).await.is_ok()
                }
                FromClient::Held(held) => {
                    self.hold(held, frame);
                    true
                }
            };
            if !went {
                return;
            }
        }
    }
}

impl<R> FromClientPump<R> {
    /// Writes what waits to be written from here; `false` once the child takes no more.
    async fn drain(&mut self) -> bool {
        while let Ok(message) = self.from_here.try_recv() {
            if self.child.write(&message).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Waits for a person beside everything else.
    fn hold(&mut self, held: Box<Held>, frame: Frame) {
        let (inspector, to_client, to_child) =
            (Arc::clone(&self.inspector), self.to_client.clone(), self.to_child.clone());
        let (mut gone, mut over) = (self.gone.subscribe(), self.gone.subscribe());
        let mut progress = held.parked(&frame).progress;
        let mut every = tokio::time::interval(self.keep_alive);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.held.spawn(async move {
            let gone = async move {
                let _gone = gone.wait_for(|gone| *gone).await;
            };
            let done = {
                let mut waiting = std::pin::pin!(inspector.wait(held, &frame, gone));
                loop {
                    tokio::select! {
                        biased;
                        done = &mut waiting => break done,
                        _ = every.tick() => {
                            // Not waited for: it is only a sign of life.
                            if let Some(message) = progress.next() {
                                to_client.try_send(message);
                            }
                        }
                    }
                }
            };
            let deliver = async {
                match done {
                    FromClient::Answer(bytes) => drop(to_client.send(bytes).await),
                    FromClient::Forward { bytes, .. } => drop(to_child.send(bytes).await),
                    FromClient::Held(_) => {}
                }
            };
            // Where nobody reads any more, what was not delivered is ended with all the rest.
            tokio::select! {
                biased;
                () = deliver => {}
                _ = over.wait_for(|over| *over) => {}
            }
        });
    }
}

struct FromServerPump {
    inspector: Arc<Inspector>,
    to_client: queue::Sender<Bytes>,
    to_child: mpsc::Sender<Bytes>,
    changed: Changed,
    lines: LineReader<ChildStdout>,
    limits: McpLimits,
}

impl FromServerPump {
    /// Reads the child until it ends or has to. What becomes of the requests in flight.
    async fn run(
        &mut self,
        client: &tokio::task::JoinHandle<()>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> (Outcome, &'static str) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut patience: Option<(Instant, Instant)> = None;
        loop {
            let line = tokio::select! {
                biased;
                () = &mut shutdown => return (Outcome::Uncertain, "Portcullis was stopped"),
                // Before the lines: a child that writes without pause does not keep it from its turn.
                _ = poll.tick() => {
                    if client.is_finished() && self.out_of_patience(&mut patience) {
                        return (Outcome::Disconnected, "the client closed its end");
                    }
                    None
                }
                line = self.lines.next() => match line {
                    Ok(Some(line)) => Some(line),
                    Ok(None) | Err(_) => return (Outcome::Uncertain, "the upstream ended before it answered"),
                },
            };
            let delivered = async {
                match line {
                    Some(line) => self.line(line).await,
                    None => match self.changed.tick().await {
                        Some(message) => self.tell(message).await,
                        None => true,
                    },
                }
            };
            let delivered = tokio::select! {
                biased;
                // Also while the client does not read.
                () = &mut shutdown => return (Outcome::Uncertain, "Portcullis was stopped"),
                delivered = delivered => delivered,
            };
            if !delivered {
                return (Outcome::Disconnected, "the client closed its end");
            }
        }
    }

    /// After the client's last message the child may finish what is in flight, and has a moment when nothing is.
    fn out_of_patience(&self, patience: &mut Option<(Instant, Instant)>) -> bool {
        let now = Instant::now();
        let (last, quiet) = patience.get_or_insert((now + self.limits.idle_wait, now + self.limits.stop_grace));
        if self.inspector.is_busy() {
            *quiet = now + self.limits.stop_grace;
        }
        now >= *last || now >= *quiet
    }

    /// Whether the client can still be reached.
    async fn line(&mut self, line: Line) -> bool {
        let mut whole = None;
        let (beginning, text, message) = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => return true,
            Line::Whole(line) => {
                let beginning: Vec<u8> = line.iter().take(512).copied().collect();
                whole = self.changed.looks().then(|| line.clone());
                (beginning, "the upstream's answer is not a message", self.inspector.server_sent(line, None).await)
            }
            Line::TooLong(beginning) => {
                self.inspector.dropped(&answers::TOO_LARGE);
                (beginning, answers::TOO_LARGE, FromServer::Malformed)
            }
        };
        let bytes = match message {
            FromServer::Answer { id, .. } if self.changed.asked(&id) => {
                // Where the next page begins, the upstream says, whatever policy makes of this one.
                match self.changed.answered(whole.as_deref().unwrap_or_default()).await {
                    Some(bytes) => bytes,
                    None => return true,
                }
            }
            FromServer::Message { bytes, .. } if changes::is_list_changed(&bytes) => {
                self.changed.hold(bytes);
                return true;
            }
            FromServer::Answer { bytes, .. } | FromServer::Message { bytes, .. } => bytes,
            FromServer::Refused(bytes) => {
                // Not waited for: a child that writes before it reads would never be read again.
                if self.to_child.try_send(bytes).is_err() {
                    tracing::debug!("the refusal of a child's request did not reach it");
                }
                return true;
            }
            FromServer::Unmatched => return true,
            // Never answered to the server: two sides that complain about each other's complaints do not stop.
            FromServer::Malformed => match self.inspector.fail_probable(&beginning, text).await {
                // Ours: the client knows nothing of it.
                Some((id, _)) if self.changed.asked(&id) => match self.changed.answered(b"").await {
                    Some(bytes) => bytes,
                    None => return true,
                },
                Some((_, bytes)) => bytes,
                None => return true,
            },
        };
        self.tell(bytes).await
    }

    /// `false` if the client is gone, or does not read for too long.
    async fn tell(&self, bytes: Bytes) -> bool {
        tokio::time::timeout(self.limits.idle_wait, self.to_client.send(bytes)).await.unwrap_or(false)
    }
}
