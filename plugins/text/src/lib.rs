//! The text front end of the detectors: folding and decoding with a way back to the original bytes.
//!
//! [`Views::new`] turns one string into the forms a reader (a model, a shell, a browser) may see in it: folded
//! (look-alike letters, full width, accents, invisible characters), unescaped (JSON and percent escapes, character
//! references), decoded (base64, hex, hidden tag characters) and joined (`s p a c e d` letters), up to two layers deep.
//! [`Views::origin`] leads from a place in any of them back to bytes of the original. [`Lexicon`] finds many words in one
//! pass, whatever their case, white space and leet spelling, and [`Sequences`] what follows each other.
//!
//! Work is bounded by [`Limits`]; a plain ASCII text is borrowed, not copied.
#![forbid(unsafe_code)]

use std::borrow::Cow;

pub use crate::channel::{Channel, channel};
pub use crate::hidden::{Hidden, HiddenKind, hidden};
pub use crate::hosts::{host_of, within};
pub use crate::lexicon::{Hit, Lexicon, LexiconError};
pub use crate::map::Map;
pub use crate::numbers::luhn;
pub use crate::sequences::{Gaps, Sequences};
pub use crate::targets::{Target, targets};
pub use crate::views::{Kind, Limits, View, Views};

mod channel;
mod confusables;
mod decode;
mod disguise;
mod fold;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hidden;
mod hosts;
mod lexicon;
mod lookalikes;
mod map;
mod markup;
mod numbers;
mod others;
mod sequences;
mod targets;
mod views;

/// Label of a session that has read what may steer the agent; its value is the category of the finding.
pub const TAINTED: &str = "tainted";

/// The folded form of `text`: what look-alike characters stand for, without what is not seen. Case and white space stay.
/// Words for a [`Lexicon`] in other scripts are folded by this, as the texts are.
pub fn folded(text: &str) -> Cow<'_, str> {
    fold::fold(text).map_or(Cow::Borrowed(text), |(folded, _)| Cow::Owned(folded))
}

/// `text` without the characters that `drop` names, and the way back; none where there is none of them.
pub fn without(text: &str, drop: impl Fn(char) -> bool) -> Option<(String, Map)> {
    text.find(&drop)?;
    let mut out = map::Writer::with_capacity(text.len());
    let mut kept = 0;
    for (at, found) in text.match_indices(&drop) {
        if let Some(piece) = text.get(kept..at)
            && !piece.is_empty()
        {
            out.put(piece, kept, at);
        }
        kept = at + found.len();
        out.put("", at, kept);
    }
    if let Some(piece) = text.get(kept..)
        && !piece.is_empty()
    {
        out.put(piece, kept, text.len());
    }
    Some(out.finish(text.len()))
}
