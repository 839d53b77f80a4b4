//! Lines for the operator. Always granted. Never write arguments or findings' text: the host does not log them either.

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// For the plugin's author.
    Debug,
    /// For the operator.
    Info,
    /// Something is not right, the plugin goes on.
    Warn,
    /// Something is wrong.
    Error,
}

/// Writes one line; at most 4 KiB are kept.
pub fn write(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::log::write(level.into(), message);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::doubles(|doubles| doubles.log.push((level, message.to_owned())));
}

/// Writes one line at [`Level::Debug`].
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Writes one line at [`Level::Info`].
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes one line at [`Level::Warn`].
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Writes one line at [`Level::Error`].
pub fn error(message: &str) {
    write(Level::Error, message);
}
