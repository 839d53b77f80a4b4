//! Asks a language model about texts that the other means are not sure of. See the README.
#![forbid(unsafe_code)]

use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, Text, judge, state};
use sha2::{Digest as _, Sha256};

mod answer;
mod config;
mod grey;
mod question;

pub use config::{Config, Results};
pub use grey::{Grey, Look, novelty};

use grey::either;
use plugin_effect::{Effect, Overrides};
use question::Question;

/// What is added where the session was told something in the band before.
const NOTED: f32 = 0.4;
/// Keys that the notes of one agent may take.
const NOTES: u64 = 256;

/// The configured detector.
#[derive(Debug)]
pub struct Judge {
    config: Config,
    effects: Overrides,
    grey: Grey,
}

impl Detector for Judge {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        config.check()?;
        Ok(Self { effects: Overrides::new(&config.effects)?, config, grey: Grey::new()? })
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        match (call.phase, self.config.results) {
            (Phase::Call, _) => self.call(call, payload),
            (Phase::Listing, _) | (Phase::Result | Phase::Message, Results::Skip) => Ok(Vec::new()),
            (Phase::Result | Phase::Message, how) => self.given(call, &payload.texts(), how),
        }
    }
}

portcullis_plugin::detector!(Judge);

impl Judge {
    /// A call that only reads is nobody's question: what it gives back is looked at when it comes.
    fn call(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        let effect = self.effects.effect(&call.tool);
        if effect == Effect::Read {
            return Ok(Vec::new());
        }
        let texts = payload.texts();
        let mut look = self.grey.look(&texts, true);
        let (news, place) = novelty(call.task.as_deref(), &texts, &self.config.own_domains);
        if look.place.is_none() {
            look.place = place;
        }
        let strange = self.grey.strangeness(&call.tool, call.task.as_deref(), call.persona.as_deref(), &texts);
        look.score = either(look.score, news.max(strange));
        let noted = look.score < self.config.high && state::get(&note(call))?.is_some();
        self.ask(call, effect, &texts, &look, noted)
    }

    /// What the agent is about to read.
    fn given(&self, call: &Call, texts: &[Text], how: Results) -> Result<Vec<Finding>, String> {
        let look = self.grey.look(texts, false);
        if how == Results::Ask {
            return self.ask(call, self.effects.effect(&call.tool), texts, &look, false);
        }
        if look.score >= self.config.low {
            self.remember(&note(call))?;
        }
        Ok(Vec::new())
    }

    /// Asks in the band, and only there. What was noted of the session lifts a call into the band, never over it: nobody else knows
    /// of the note. Answers only add findings: no other plugin hears of a `benign`.
    fn ask(
        &self,
        call: &Call,
        effect: Effect,
        texts: &[Text],
        look: &Look,
        noted: bool,
    ) -> Result<Vec<Finding>, String> {
        let Config { low, high, most_bytes, mask, questions_per_minute: most, ref template, .. } = self.config;
        let asked = if noted { either(look.score, NOTED) } else { look.score };
        if asked < low || look.score >= high {
            return Ok(Vec::new());
        }
        let content = question::content(call, texts, look, most_bytes, mask);
        let question = Question::new(call, effect, content)?;
        if most > 0 && state::increment(&format!("q/{:016x}", hash(&[call.agent.as_bytes()])), 1, 60)? > most.into() {
            return Err(format!("the agent asks the language model more than {most} questions a minute"));
        }
        let answer = judge::ask(template, &question.variables())?;
        let span = look.place.clone().map(|(index, range)| Span::of(index, range));
        let finding = answer::finding(&answer, &question.canary)?;
        Ok(finding.map(|finding| finding.with_spans(span)).into_iter().collect())
    }

    /// Notes that the session was told something; once more, for as long again.
    fn remember(&self, key: &str) -> Result<(), String> {
        let seconds = self.config.remember_minutes * 60;
        let old = state::get(key)?;
        // Another call that came in between noted the same.
        state::replace(key, old.as_deref(), Some(b"1"), seconds).map(|_| ())
    }
}

/// Where it is noted that a session was told something. Two sessions of an agent may share a note: then a question more is
/// asked. No agent takes more than so many keys, whatever it calls its sessions.
fn note(call: &Call) -> String {
    let session = call.session.as_deref().unwrap_or_default();
    format!("n/{:016x}/{:x}", hash(&[call.agent.as_bytes()]), hash(&[session.as_bytes()]) % NOTES)
}

/// The first bytes of SHA-256 over the parts, each with its length.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests;
