//! Messages on their way to a client that may not take them: bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Messages that wait for a stream to be opened.
const WAITING: usize = 64;

/// What waits for a stream that nobody has opened. The oldest go first.
pub(crate) struct Waiting {
    messages: VecDeque<Bytes>,
    bytes: usize,
    limit: usize,
}

impl Waiting {
    /// `limit` bounds all messages in bytes; a single one may be longer.
    pub(crate) fn new(limit: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, limit }
    }

    /// Takes a message in. How many had to go for it.
    pub(crate) fn push(&mut self, message: Bytes) -> u64 {
        let mut lost = 0;
        while self.messages.len() >= WAITING || self.bytes.saturating_add(message.len()) > self.limit {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.len());
            lost += 1;
        }
        self.bytes = self.bytes.saturating_add(message.len());
        self.messages.push_back(message);
        lost
    }

    /// Opens the stream: a channel with `places` beside those of what waited.
    pub(crate) fn open(&mut self, places: usize) -> (Sender<Bytes>, Receiver<Bytes>) {
        let (sender, receiver) = channel(WAITING + places, self.limit);
        for message in std::mem::take(&mut self.messages) {
            // There is room for all of it.
            sender.try_send(message);
        }
        self.bytes = 0;
        (sender, receiver)
    }

    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }
}

/// What takes room in a channel.
pub(crate) trait Weight {
    /// In bytes.
    fn weight(&self) -> usize;
}

impl Weight for Bytes {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// A channel for so many messages and so many bytes. One that is longer than all of them gets the channel for itself.
pub(crate) fn channel<T: Weight>(places: usize, bytes: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(places);
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let room = Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(Semaphore::MAX_PERMITS)));
    (Sender { sender, room, bytes }, Receiver(receiver))
}

/// The end of a channel that fills it.
pub(crate) struct Sender<T> {
    sender: mpsc::Sender<(T, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    bytes: u32,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), room: Arc::clone(&self.room), bytes: self.bytes }
    }
}

impl<T: Weight> Sender<T> {
    /// Waits for room. `false` if nobody takes messages any more.
    pub(crate) async fn send(&self, message: T) -> bool {
        // What a receiver that goes has not taken gives its room back, so this does not wait for ever.
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(self.room_for(&message)).await else { return false };
        self.sender.send((message, room)).await.is_ok()
    }

    /// `false` if there is no room, or nobody takes messages any more.
    pub(crate) fn try_send(&self, message: T) -> bool {
        let room = Arc::clone(&self.room).try_acquire_many_owned(self.room_for(&message));
        room.is_ok_and(|room| self.sender.try_send((message, room)).is_ok())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Ready when nobody takes messages any more.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }

    fn room_for(&self, message: &T) -> u32 {
        u32::try_from(message.weight()).unwrap_or(u32::MAX).min(self.bytes)
    }
}

/// The end of a channel that empties it.
pub(crate) struct Receiver<T>(mpsc::Receiver<(T, OwnedSemaphorePermit)>);

impl<T> Receiver<T> {
    /// The next message; none at the end. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        self.0.recv().await.map(|(message, _room)| message)
    }

    pub(crate) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(context).map(|taken| taken.map(|(message, _room)| message))
    }
}

#[cfg(test)]
mod tests;
