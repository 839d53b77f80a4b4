//! What a session's child process says, sorted for the client: by request, and for the stream of everything else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::envelope::Id;
use super::queue::{Receiver, Sender, Waiting, Weight, channel};
use super::{Counters, McpLimits};

/// Messages under way to one stream; together they have at most the bytes of one message.
const UNDER_WAY: usize = 16;

/// A message on its way to an exchange.
#[derive(Debug)]
pub(crate) enum Routed {
    /// Something that belongs to the request.
    Message(Bytes),
    /// The end of the request.
    Answer(Bytes),
}

impl Weight for Routed {
    fn weight(&self) -> usize {
        let (Self::Message(bytes) | Self::Answer(bytes)) = self;
        bytes.len()
    }
}

/// Why a stream for messages cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this session has a stream already")]
pub(crate) struct StreamTaken;

/// The places where a client waits for messages.
pub(crate) struct Mailbox {
    counters: Arc<Counters>,
    /// How long a client may take for one message.
    patience: Duration,
    /// Bytes under way to one exchange.
    bytes: usize,
    routes: Mutex<Routes>,
    /// Set when nothing more is delivered.
    closed: watch::Sender<bool>,
}

struct Routes {
    /// Exchanges by the request they wait for.
    exchanges: HashMap<Id, Sender<Routed>>,
    /// The stream for everything else.
    stream: Option<Sender<Bytes>>,
    /// What came while there was no such stream.
    queue: Waiting,
}

impl Mailbox {
    pub(crate) fn new(counters: Arc<Counters>, limits: &McpLimits) -> Self {
        let (patience, bytes) = (limits.idle_wait, limits.message);
        let routes = Routes { exchanges: HashMap::new(), stream: None, queue: Waiting::new(bytes) };
        Self { counters, patience, bytes, routes: Mutex::new(routes), closed: watch::Sender::new(false) }
    }

    /// Where everything about this request will arrive. Ask before the request is sent.
    pub(crate) fn expect(&self, id: &Id) -> Receiver<Routed> {
        let (sender, receiver) = channel(UNDER_WAY, self.bytes);
        self.routes().exchanges.insert(id.clone(), sender);
        receiver
    }

    /// Nobody waits for this request any more.
    pub(crate) fn forget(&self, id: &Id) {
        self.routes().exchanges.remove(id);
    }

    /// Opens the stream for messages that belong to no request.
    pub(crate) fn open_stream(&self) -> Result<Receiver<Bytes>, StreamTaken> {
        let mut routes = self.routes();
        if routes.stream.as_ref().is_some_and(|stream| !stream.is_closed()) {
            return Err(StreamTaken);
        }
        let (sender, receiver) = routes.queue.open(UNDER_WAY);
        routes.stream = (!self.is_closed()).then_some(sender);
        Ok(receiver)
    }

    pub(crate) async fn answer(&self, id: &Id, bytes: Bytes) {
        let exchange = self.routes().exchanges.remove(id);
        if let Some(exchange) = exchange {
            self.deliver(&exchange, Routed::Answer(bytes)).await;
        }
    }

    /// To the request it belongs to, if that still waits; else to the stream.
    pub(crate) async fn route(&self, bytes: Bytes, belongs: Option<&Id>) {
        let exchange = belongs.and_then(|id| self.routes().exchanges.get(id).cloned());
        if let Some(exchange) = exchange
            && !exchange.is_closed()
        {
            return self.deliver(&exchange, Routed::Message(bytes)).await;
        }
        let stream = {
            let mut routes = self.routes();
            let stream = routes.stream.clone().filter(|stream| !stream.is_closed());
            if stream.is_none() {
                self.counters.undelivered.inc_by(routes.queue.push(bytes.clone()));
            }
            stream
        };
        if let Some(stream) = stream {
            self.deliver(&stream, bytes).await;
        }
    }

    /// Nothing more is delivered to clients that do not read.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Ends every exchange and the stream.
    pub(crate) fn clear(&self) {
        let mut routes = self.routes();
        routes.exchanges.clear();
        routes.stream = None;
        routes.queue.clear();
    }

    async fn deliver<T: Weight>(&self, to: &Sender<T>, message: T) {
        let mut closed = self.closed.subscribe();
        let sent = tokio::select! {
            biased;
            sent = tokio::time::timeout(self.patience, to.send(message)) => sent.unwrap_or(false),
            _ = closed.wait_for(|closed| *closed) => false,
        };
        if !sent {
            self.counters.undelivered.inc();
        }
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
