//! Ids on the way to a process that several clients share, and back: every request has a number of its own there, which is its
//! progress token too. No two clients meet, whatever ids they choose. Every other byte stays.

use portcullis_model::Value;

use super::envelope::{Frame, Id};

/// Where a notification about a subscription names the request that opened it.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The request of a client that a notification of the process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Progress(u64),
    Subscription(u64),
    /// The process will not answer it.
    Cancelled(u64),
    /// It says so, and names nothing that was given out.
    Nothing,
    Everybody,
}

/// A client's request as the process gets it.
pub(super) fn request(frame: &Frame, number: u64) -> String {
    let token = frame.offered_token().and_then(|_| frame.params()?.get("_meta")?.get("progressToken"));
    let number = number.to_string();
    rewritten(frame, [frame.root().get("id"), token], &number)
}

/// A client's `notifications/cancelled` as the process gets it.
pub(super) fn cancelled(frame: &Frame, number: u64) -> String {
    rewritten(frame, [frame.params().and_then(|params| params.get("requestId")), None], &number.to_string())
}

/// The answer to the request with this number as its client gets it. The last answer of a subscription names it once more.
pub(super) fn answer(frame: &Frame, number: u64, id: &Id) -> String {
    let meta = frame.root().get("result").and_then(|result| result.get("_meta"));
    let subscription = meta.and_then(|meta| meta.get(SUBSCRIPTION)).filter(|value| read(*value) == Some(number));
    rewritten(frame, [frame.root().get("id"), subscription], &id.to_string())
}

/// A progress notification as the client that it is about gets it.
pub(super) fn progress(frame: &Frame, token: &Id) -> String {
    rewritten(frame, [frame.params().and_then(|params| params.get("progressToken")), None], &token.to_string())
}

/// A notification of a subscription as the client that opened it gets it.
pub(super) fn subscribed(frame: &Frame, id: &Id) -> String {
    let named = frame.params().and_then(|params| params.get("_meta")?.get(SUBSCRIPTION));
    rewritten(frame, [named, None], &id.to_string())
}

/// Whom a notification of the process is about.
pub(super) fn about(method: &str, frame: &Frame) -> About {
    let params = || frame.params();
    match method {
        "notifications/progress" => {
            let token = params().and_then(|params| params.get("progressToken")).and_then(read);
            token.map_or(About::Nothing, About::Progress)
        }
        "notifications/cancelled" => {
            let id = params().and_then(|params| params.get("requestId")).and_then(read);
            id.map_or(About::Nothing, About::Cancelled)
        }
        _ => match params().and_then(|params| params.get("_meta")?.get(SUBSCRIPTION)) {
            Some(value) => read(value).map_or(About::Nothing, About::Subscription),
            None => About::Everybody,
        },
    }
}

/// The number that an answer is for.
pub(super) fn number(id: &Id) -> Option<u64> {
    match id {
        Id::Number(raw) if id.is_exact() => raw.parse().ok(),
        _ => None,
    }
}

/// The numbers that stand as ids at the beginning of something unreadable.
pub(super) fn numbers_in(unreadable: &[u8]) -> Vec<u64> {
    let beginning = String::from_utf8_lossy(unreadable.get(..512).unwrap_or(unreadable));
    let beginning: String = beginning.chars().filter(|c| !c.is_whitespace()).collect();
    let after = beginning.split("\"id\":").skip(1);
    let digits = after.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        // A number that goes on is another one.
        matches!(rest.as_bytes().get(end), Some(b',' | b'}')).then(|| rest.get(..end))?
    });
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

fn read(value: Value<'_>) -> Option<u64> {
    number(&Id::read(value)?)
}

fn rewritten(frame: &Frame, values: [Option<Value<'_>>; 2], new: &str) -> String {
    let mut ranges: Vec<_> = values.into_iter().flatten().map(Value::range).collect();
    ranges.sort_by_key(|range| range.start);
    let (raw, mut out, mut done) = (frame.raw(), String::with_capacity(frame.raw().len() + 32), 0);
    for range in ranges {
        out.push_str(raw.get(done..range.start).unwrap_or_default());
        out.push_str(new);
        done = range.end;
    }
    out.push_str(raw.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
