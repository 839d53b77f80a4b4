//! What one HTTP/2 connection has open: whether it is idle, and whether its client takes what it is sent.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::Body;

/// Largest piece of a body handed over at once, so that what a client does not take stays ours to watch.
const PIECE: usize = 16 * 1024;
/// Ended streams are forgotten once so many are on the list.
const MANY: usize = 256;

/// The open streams of one connection.
pub(super) struct Streams {
    started: Instant,
    open: AtomicUsize,
    /// Milliseconds since the start when the latest one ended.
    last_ms: AtomicU64,
    /// One for each body under way.
    handed_ms: Mutex<Vec<Weak<AtomicU64>>>,
}

/// How a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Something is being answered, or was a moment ago.
    Busy,
    /// Nothing was asked for a while.
    Idle,
    /// The client takes nothing of an answer.
    Stalled,
}

/// A stream that is open for as long as this lives.
pub(super) struct Open(Arc<Streams>);

impl Streams {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            open: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
            handed_ms: Mutex::default(),
        })
    }

    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::AcqRel);
        Open(Arc::clone(self))
    }

    /// Milliseconds since the start, at least 1.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    pub(super) fn look(&self, idle: Duration, patience: Duration) -> Look {
        let now = self.now_ms();
        let longer = |since: u64, most: Duration| u128::from(now.saturating_sub(since)) >= most.as_millis();
        let mut handed = self.handed_ms.lock().unwrap_or_else(PoisonError::into_inner);
        handed.retain(|one| one.strong_count() > 0);
        let stalled = |since: u64| since > 0 && longer(since, patience);
        if handed.iter().filter_map(Weak::upgrade).any(|since| stalled(since.load(Ordering::Acquire))) {
            return Look::Stalled;
        }
        let idle = self.open.load(Ordering::Acquire) == 0 && longer(self.last_ms.load(Ordering::Acquire), idle);
        if idle { Look::Idle } else { Look::Busy }
    }

    fn watch(&self) -> Arc<AtomicU64> {
        let watched = Arc::new(AtomicU64::new(0));
        let mut handed = self.handed_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if handed.len() >= MANY {
            handed.retain(|one| one.strong_count() > 0);
        }
        handed.push(Arc::downgrade(&watched));
        watched
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.last_ms.store(self.0.now_ms(), Ordering::Release);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body that is handed over in small pieces and notes since when the latest one has been waiting for its client.
pub(super) struct Watched {
    body: Body,
    rest: Bytes,
    handed_ms: Arc<AtomicU64>,
    open: Open,
}

impl Watched {
    pub(super) fn new(body: Body, open: Open) -> Self {
        Self { body, rest: Bytes::new(), handed_ms: open.0.watch(), open }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        this.handed_ms.store(0, Ordering::Release);
        if this.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        this.handed_ms.store(this.open.0.now_ms(), Ordering::Release);
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(this.rest.len().min(PIECE))))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
