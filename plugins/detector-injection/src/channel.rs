//! What kind of text is read: each has its own calibration, since what is ordinary in one is odd in another.

use plugin_text::{Channel as Shape, channel};
use portcullis_plugin::Phase;

/// A kind of text, by its place among the calibrations of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Typed by a user, or as short and plain as that.
    Message,
    /// A letter.
    Mail,
    /// Pages, manuals, reports.
    Document,
    /// Source, configuration, logs.
    Code,
    /// JSON within a string.
    Json,
    /// Definitions of tools.
    Listing,
}

impl Channel {
    /// All of them, in order.
    pub const ALL: [Channel; 6] =
        [Channel::Message, Channel::Mail, Channel::Document, Channel::Code, Channel::Json, Channel::Listing];

    /// The channel of a text, by where it stands and by its shape.
    #[must_use]
    pub fn of(phase: Phase, text: &str) -> Channel {
        if phase == Phase::Listing {
            return Channel::Listing;
        }
        match channel(text) {
            Shape::User => Channel::Message,
            Shape::Email => Channel::Mail,
            Shape::Document => Channel::Document,
            Shape::Code => Channel::Code,
            Shape::Json => Channel::Json,
        }
    }

    /// Its place among the calibrations.
    #[must_use]
    pub fn number(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_place() {
        for (number, channel) in Channel::ALL.into_iter().enumerate() {
            assert_eq!(channel.number(), number);
        }
        assert_eq!(Channel::of(Phase::Message, "Book a table for two on Friday."), Channel::Message);
        assert_eq!(Channel::of(Phase::Result, r#"{"id": "7", "items": ["lamp", "bulb"]}"#), Channel::Json);
        assert_eq!(Channel::of(Phase::Listing, r#"{"id": "7", "items": ["lamp", "bulb"]}"#), Channel::Listing);
    }
}
