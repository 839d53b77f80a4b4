//! Server-sent events, read piece by piece and written again (WHATWG HTML, section "Server-sent events").

use bytes::Bytes;

/// A piece of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Fields up to an empty line.
    Event(Event),
    /// A comment line: a sign of life.
    Comment,
}

/// Bytes of an event's id, and digits of its wait in milliseconds.
const MAX_ID: usize = 1024;
const MAX_RETRY: usize = 9;

/// The fields of one event, as far as they were there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) retry: Option<String>,
    /// The `data` lines, joined by line feeds.
    pub(crate) data: Option<Vec<u8>>,
}

/// One event is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {limit} bytes")]
pub(crate) struct TooLarge {
    limit: usize,
}

/// Incremental reader. Holds at most one event.
#[derive(Debug)]
pub(crate) struct Parser {
    limit: usize,
    line: Vec<u8>,
    event: Event,
    /// Bytes of the event so far, the open line included.
    size: usize,
    /// The last byte was a carriage return: a line feed right after it belongs to it.
    after_return: bool,
    first_line: bool,
}

impl Parser {
    /// `limit` bounds one event in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), event: Event::default(), size: 0, after_return: false, first_line: true }
    }

    /// Takes the next bytes and appends what they complete to `out`.
    pub(crate) fn push(&mut self, mut chunk: &[u8], out: &mut Vec<Item>) -> Result<(), TooLarge> {
        if !chunk.is_empty() && std::mem::take(&mut self.after_return) {
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        while let Some(end) = chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let (line, rest) = chunk.split_at(end);
            self.grow(line)?;
            chunk = match rest {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
            let line = std::mem::take(&mut self.line);
            self.end_line(&line, out);
        }
        self.grow(chunk)
    }

    /// Bytes that are kept for what is not complete yet.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        let Event { id, kind, retry, data } = &self.event;
        let texts: usize = [id, kind, retry].into_iter().flatten().map(String::len).sum();
        self.line.len() + texts + data.as_ref().map_or(0, Vec::len)
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.size = self.size.saturating_add(bytes.len());
        if self.size > self.limit {
            return Err(TooLarge { limit: self.limit });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, mut line: &[u8], out: &mut Vec<Item>) {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.size = 0;
            let event = std::mem::take(&mut self.event);
            if event != Event::default() {
                out.push(Item::Event(event));
            }
            return;
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(0) => {
                // A long run of comments is no event: it must not fill the limit.
                self.size = self.size.saturating_sub(line.len());
                out.push(Item::Comment);
                return;
            }
            Some(at) => {
                let (name, value) = line.split_at(at);
                let value = value.strip_prefix(b":").unwrap_or(value);
                (name, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match name {
            b"data" => match &mut self.event.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                none => *none = Some(value.to_vec()),
            },
            b"id" if !value.contains(&0) => self.event.id = text(value).or(self.event.id.take()),
            b"event" => self.event.kind = text(value).or(self.event.kind.take()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => self.event.retry = text(value),
            _ => {}
        }
    }
}

fn text(value: &[u8]) -> Option<String> {
    std::str::from_utf8(value).ok().map(str::to_owned)
}

impl Event {
    /// An event that carries one message.
    pub(crate) fn message(data: &[u8]) -> Self {
        Self { kind: Some("message".to_owned()), data: Some(data.to_vec()), ..Self::default() }
    }

    /// Without what no client could use: an id that no `Last-Event-ID` can carry back, or a wait of more than some days.
    /// Nobody looks at these fields, so little fits in.
    pub(crate) fn trimmed(mut self) -> Self {
        let fits = |id: &String| id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        self.id = self.id.filter(fits);
        self.retry = self.retry.filter(|retry| retry.len() <= MAX_RETRY);
        self
    }

    /// Whether the data is a message to the client: the default type, or `message` by name.
    pub(crate) fn is_message(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind.is_empty() || kind == "message")
    }

    /// The wire form. Line ends inside the data (in JSON they are white space) become several `data` lines.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64 + self.data.as_ref().map_or(0, Vec::len));
        let mut field = |name: &str, value: &[u8]| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.push(b'\n');
        };
        for (name, value) in [("event", &self.kind), ("id", &self.id), ("retry", &self.retry)] {
            if let Some(value) = value {
                field(name, value.as_bytes());
            }
        }
        if let Some(data) = &self.data {
            for line in data.split(|byte| matches!(byte, b'\r' | b'\n')) {
                field("data", line);
            }
        }
        out.push(b'\n');
        out.into()
    }
}

/// A comment, as a keep-alive.
pub(crate) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

#[cfg(test)]
mod tests;
