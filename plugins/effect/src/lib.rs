//! What a tool can do, from its name, description, schema and annotations: read, write, send, delete or pay.
//!
//! [`of_name`] is made for every call: one short string, a few hundred nanoseconds. [`of_definition`] is made for tool
//! lists: it also reads the description, the names of the arguments and the annotations.
#![forbid(unsafe_code)]

mod definition;
mod globs;
mod lexicon;
mod name;

use serde::{Deserialize, Serialize};

pub use definition::{Trust, of_definition};
pub use globs::{Globs, Overrides, fits_all};

/// What a call can do. Ordered: what comes later weighs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Looks and changes nothing.
    Read,
    /// Changes something here.
    Write,
    /// Gives something to others: mail, posts, requests.
    Send,
    /// Takes something away for good.
    Delete,
    /// Moves money.
    Pay,
}

impl Effect {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Send, Self::Delete, Self::Pay];

    /// As in configurations and in categories such as `effect.send`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Send => "send",
            Self::Delete => "delete",
            Self::Pay => "pay",
        }
    }

    /// The effect with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.name() == name)
    }
}

/// A confidence, 0 to 1, for each effect: a tool may have several.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Effects([f32; 5]);

/// From this score on a tool is said to have an effect.
pub const LIKELY: f32 = 0.5;

impl Effects {
    /// Certainly these and no others.
    #[must_use]
    pub fn of(effects: &[Effect]) -> Self {
        let mut out = Self::default();
        for effect in effects {
            out.raise(*effect, 1.0);
        }
        out
    }

    /// How sure it is that the tool has this effect, 0 to 1.
    #[must_use]
    pub fn score(self, effect: Effect) -> f32 {
        let [read, write, send, delete, pay] = self.0;
        match effect {
            Effect::Read => read,
            Effect::Write => write,
            Effect::Send => send,
            Effect::Delete => delete,
            Effect::Pay => pay,
        }
    }

    /// Whether the tool likely has this effect.
    #[must_use]
    pub fn has(self, effect: Effect) -> bool {
        self.score(effect) >= LIKELY
    }

    /// Whether the tool likely changes, sends, deletes or pays something.
    #[must_use]
    pub fn acts(self) -> bool {
        Effect::ALL.into_iter().any(|effect| effect != Effect::Read && self.has(effect))
    }

    /// Whether anything likely is known of the tool. Of a tool called `process` nothing is.
    #[must_use]
    pub fn known(self) -> bool {
        Effect::ALL.into_iter().any(|effect| self.has(effect))
    }

    /// The weightiest of the likely effects; none if nothing is known.
    #[must_use]
    pub fn strongest(self) -> Option<Effect> {
        Effect::ALL.into_iter().rev().find(|effect| self.has(*effect))
    }

    /// The likely effects with their scores, in order.
    pub fn likely(self) -> impl Iterator<Item = (Effect, f32)> {
        Effect::ALL.into_iter().map(move |effect| (effect, self.score(effect))).filter(|(_, score)| *score >= LIKELY)
    }

    /// Makes the score of an effect at least this.
    pub fn raise(&mut self, effect: Effect, score: f32) {
        let place = self.place(effect);
        *place = place.max(score.clamp(0.0, 1.0));
    }

    /// Makes the score of an effect at most this.
    pub fn lower(&mut self, effect: Effect, score: f32) {
        let place = self.place(effect);
        *place = place.min(score.clamp(0.0, 1.0));
    }

    /// The greater score of each effect, those of `other` weighted.
    #[must_use]
    pub fn or(mut self, other: Self, weight: f32) -> Self {
        for effect in Effect::ALL {
            self.raise(effect, other.score(effect) * weight);
        }
        self
    }

    fn greatest(self) -> f32 {
        self.0.into_iter().fold(0.0, f32::max)
    }

    fn place(&mut self, effect: Effect) -> &mut f32 {
        let [read, write, send, delete, pay] = &mut self.0;
        match effect {
            Effect::Read => read,
            Effect::Write => write,
            Effect::Send => send,
            Effect::Delete => delete,
            Effect::Pay => pay,
        }
    }
}

/// What a tool can do, by its name alone.
///
/// ```
/// use plugin_effect::{Effect, of_name};
///
/// assert_eq!(of_name("bank.wire_transfer").strongest(), Some(Effect::Pay));
/// assert_eq!(of_name("getPaymentStatus").strongest(), Some(Effect::Read));
/// assert!(!of_name("draft_email").has(Effect::Send));
/// ```
#[must_use]
pub fn of_name(name: &str) -> Effects {
    name::of(name).unwrap_or_default()
}
