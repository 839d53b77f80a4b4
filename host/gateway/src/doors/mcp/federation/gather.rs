//! Answers of members that are read here instead of passing through.

use std::collections::VecDeque;

use http_body_util::BodyExt as _;

use super::super::envelope::{Frame, Shape};
use super::super::sse::{Event, Item, Parser};
use super::Absent;
use crate::http::{Plain, Reply, StreamBody};

/// The events of one member's stream.
pub(super) struct Events {
    stream: StreamBody,
    parser: Parser,
    items: Vec<Item>,
    ready: VecDeque<Event>,
}

impl Events {
    pub(super) fn new(stream: StreamBody, limit: usize) -> Self {
        let (items, ready) = Default::default();
        Self { stream, parser: Parser::new(limit.saturating_mul(2)), items, ready }
    }

    /// The next one; none at the end of the stream, clean or not.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let chunk = self.stream.frame().await?.ok()?.into_data().unwrap_or_default();
            self.parser.push(&chunk, &mut self.items).ok()?;
            let events = self.items.drain(..).filter_map(|item| match item {
                Item::Event(event) => Some(event),
                Item::Comment => None,
            });
            self.ready.extend(events);
        }
    }
}

/// The answer to a request of ours. What comes before it on its stream goes to `beside`.
pub(in crate::doors::mcp) async fn answer(
    reply: Reply,
    limit: usize,
    mut beside: impl FnMut(Vec<u8>),
) -> Result<Frame, Absent> {
    let stream = match reply.into_body().plain() {
        Plain::Whole(bytes) => return response(bytes.into()).map_err(|_| Absent::Failed),
        Plain::Stream(stream) => stream,
    };
    let mut events = Events::new(stream, limit);
    while let Some(event) = events.next().await {
        let Some(data) = event.data.filter(|data| !data.is_empty()) else { continue };
        match response(data) {
            Ok(frame) => return Ok(frame),
            Err(other) => beside(other),
        }
    }
    Err(Absent::Failed)
}

/// The message, if it is an answer; else its bytes.
fn response(bytes: Vec<u8>) -> Result<Frame, Vec<u8>> {
    match Frame::parse(&*bytes) {
        Ok(frame) if matches!(frame.shape(), Shape::Response { .. }) => Ok(frame),
        _ => Err(bytes),
    }
}
