//! What must hold for any bytes: the properties that the fuzz targets of `tests/fuzz` check. Each compares the code with a
//! second reading of the same bytes, written as simply as can be.
//!
//! Compiled for fuzzing and for tests only; the tests go through the kept corpora.

mod envelope;
mod headers;
mod json;
mod sse;

#[cfg(test)]
mod tests;

/// One JSON-RPC message.
///
/// # Panics
/// A property does not hold.
pub fn envelope(input: &[u8]) {
    envelope::check(input);
}

/// An event stream. The last five bytes say how large an event may be and where the stream is cut.
///
/// # Panics
/// A property does not hold.
pub fn sse(input: &[u8]) {
    sse::check(input);
}

/// Header lines, an empty line, a message.
///
/// # Panics
/// A property does not hold.
pub fn headers(input: &[u8]) {
    headers::check(input);
}
