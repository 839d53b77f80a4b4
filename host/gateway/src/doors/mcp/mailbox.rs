//! What a session's child process says, sorted for the client: by request, and for the stream of everything else.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::Counters;
use super::envelope::Id;

/// Messages that wait for a stream to be opened.
const QUEUE: usize = 64;
/// Messages under way to one stream.
const UNDER_WAY: usize = 16;

/// A message on its way to an exchange.
#[derive(Debug)]
pub(crate) enum Routed {
    /// Something that belongs to the request.
    Message(Bytes),
    /// The end of the request.
    Answer(Bytes),
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
    routes: Mutex<Routes>,
    /// Set when nothing more is delivered.
    closed: watch::Sender<bool>,
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

impl Mailbox {
    pub(crate) fn new(counters: Arc<Counters>, patience: Duration) -> Self {
        Self { counters, patience, routes: Mutex::default(), closed: watch::Sender::new(false) }
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

    async fn deliver<T>(&self, to: &mpsc::Sender<T>, message: T) {
        let mut closed = self.closed.subscribe();
        let sent = tokio::select! {
            biased;
            sent = to.send_timeout(message, self.patience) => sent.is_ok(),
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
