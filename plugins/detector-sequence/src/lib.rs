//! Finds what only a row of calls shows: a sensitive read and then a send, escalation, loops, haste. See the README.
#![forbid(unsafe_code)]

use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, Text, clock, labels, state};
use sha2::{Digest as _, Sha256};

mod acts;
mod config;
mod record;
mod sensitive;

pub use config::{Config, Kind, Repeats, Velocity};

use acts::{Act, Acts};
use plugin_effect::{Effect, Globs, fits_all};
use record::{Record, Slot};
use sensitive::Sensitive;

/// Label of a session that read something sensitive; its value says what.
const LABEL: &str = "sensitive";
const EXFILTRATION: &str = "sequence.exfiltration";
const ESCALATION: &str = "sequence.escalation";
const LOOP: &str = "sequence.loop";
const VELOCITY: &str = "sequence.velocity";
const CATEGORIES: [&str; 4] = [EXFILTRATION, ESCALATION, LOOP, VELOCITY];
/// How often a record is read again that another call changed meanwhile.
const TRIES: usize = 8;
/// Bytes behind the host of a web address from which on a read may carry something away.
const LADEN: usize = 96;
/// Most targets that a finding points at.
const MOST_SPANS: usize = 32;

/// The configured detector.
#[derive(Debug)]
pub struct Sequence {
    config: Config,
    acts: Acts,
    sensitive: Sensitive,
    /// Tools that may be called again and again.
    repeated: Globs,
}

/// What a session was before this call, and what it is with it.
struct Visit {
    before: Record,
    after: Record,
    repeated: u16,
}

impl Detector for Sequence {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        check(&config)?;
        let sensitive = Sensitive::new(&config)?;
        let repeated = Globs::new(&config.repeats.ignore);
        Ok(Self { acts: Acts::new(&config.effects)?, sensitive, repeated, config })
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        match call.phase {
            Phase::Call => self.call(call, &payload.texts()),
            Phase::Result => self.result(call, &payload.texts()).map(|()| Vec::new()),
            Phase::Listing | Phase::Message => Ok(Vec::new()),
        }
    }
}

portcullis_plugin::detector!(Sequence);

fn check(config: &Config) -> Result<(), String> {
    for (index, category) in config.disable.iter().enumerate() {
        if !CATEGORIES.contains(&category.as_str()) {
            return Err(format!("disable[{index}]: {category:?} is none of {}", CATEGORIES.join(", ")));
        }
    }
    if !(1..=24 * 60).contains(&config.remember_minutes) {
        return Err("remember_minutes: give 1 to 1440".to_owned());
    }
    if !(1..=4096).contains(&config.slots) {
        return Err("slots: give 1 to 4096".to_owned());
    }
    for (index, domain) in config.own_domains.iter().enumerate() {
        if domain.is_empty() || domain.starts_with('.') || domain.contains(['*', '@', '/', ':', ' ']) {
            return Err(format!("own_domains[{index}]: give a domain such as corp.example; names below it count too"));
        }
    }
    if config.repeats.calls == 1 || config.repeats.reads == 1 {
        return Err("repeats: one call is no loop; give 2 or more, or 0 for none".to_owned());
    }
    if !(1..=24 * 3600).contains(&config.repeats.seconds) {
        return Err("repeats.seconds: give 1 to 86400".to_owned());
    }
    for (index, tool) in config.repeats.ignore.iter().enumerate() {
        if fits_all(tool) {
            return Err(format!("repeats.ignore[{index}]: give a glob of tools that does not fit every tool"));
        }
    }
    Ok(())
}

impl Sequence {
    /// A call is put down whatever becomes of it: a detector does not hear of verdicts.
    fn call(&self, call: &Call, texts: &[Text]) -> Result<Vec<Finding>, String> {
        let second = second();
        let act = self.acts.of(&call.tool);
        let reads = self.sensitive.of_call(act.effect == Effect::Read, &call.tool, texts);
        let labels = labels::all();
        let visit = self.visit(call, second, |record| {
            record.all.count(second);
            if act.reads() {
                record.reads = record.reads.saturating_add(1);
            } else {
                record.acts.count(second);
                record.reads = 0;
            }
            record.done |= act.bits();
            record.sensitive |= reads;
            record.repeated(fingerprint(call), second, self.config.repeats.seconds)
        })?;
        self.label(call, reads & !self.known(&labels, 0))?;

        let agent = hash(&[b"agent", call.agent.as_bytes()]);
        let of_agent = |what: char| state::increment(&format!("{what}/{agent:016x}"), 1, 60);
        let limits = &self.config.velocity;
        let looks = |limit: u32| limit > 0 && self.wants(VELOCITY);
        let all = if looks(limits.agent) { of_agent('n')? } else { 0 };
        let acts = if !act.reads() && looks(limits.agent_acts) { of_agent('m')? } else { 0 };

        let mut findings = Vec::new();
        findings.extend(self.exfiltration(call, texts, act, self.known(&labels, visit.before.sensitive)));
        findings.extend(self.escalation(call, act, &visit.before));
        findings.extend(self.repetition(call, act, visit.repeated));
        findings.extend(self.haste(act, second, &visit.after, (all, acts)));
        findings.retain(|finding| self.wants(&finding.category));
        Ok(findings)
    }

    fn result(&self, call: &Call, texts: &[Text]) -> Result<(), String> {
        let found = self.sensitive.of_result(texts);
        if found != 0 {
            self.visit(call, second(), |record| {
                record.sensitive |= found;
                0
            })?;
            self.label(call, found)?;
        }
        Ok(())
    }

    fn wants(&self, category: &str) -> bool {
        !self.config.disable.iter().any(|off| off == category)
    }

    /// Puts something down about the call's session, between what other calls put down at the same time.
    fn visit(&self, call: &Call, second: u32, note: impl Fn(&mut Record) -> u16) -> Result<Visit, String> {
        let id = hash(&[b"session", call.agent.as_bytes(), call.session.as_deref().unwrap_or_default().as_bytes()]);
        let agent = hash(&[b"agent", call.agent.as_bytes()]);
        let key = format!("s/{agent:016x}/{:x}", id % u64::from(self.config.slots));
        let remember = self.config.remember_minutes * 60;
        for _ in 0..TRIES {
            let old = state::get(&key)?;
            let mut slot = old.as_deref().map(Slot::read).unwrap_or_default();
            let record = slot.session(id, second, remember);
            let before = record.clone();
            let repeated = note(record);
            let visit = Visit { before, after: record.clone(), repeated };
            if state::replace(&key, old.as_deref(), Some(&slot.write()), remember)? {
                return Ok(visit);
            }
        }
        Err(format!("{TRIES} other calls of this session came in between; it cannot be put down"))
    }

    /// Lets the session carry what it read, for other plugins too. Without a session there is nothing to carry it.
    fn label(&self, call: &Call, bits: u32) -> Result<(), String> {
        if call.session.is_some() {
            for bit in Sensitive::each(bits) {
                labels::add(LABEL, self.sensitive.name(bit))?;
            }
        }
        Ok(())
    }

    /// What the session read: by its labels, which last longer, and by its record.
    fn known(&self, labels: &[(String, String)], bits: u32) -> u32 {
        let own = labels.iter().filter(|(label, _)| label == LABEL);
        own.fold(bits, |bits, (_, what)| bits | self.sensitive.bit_of(what))
    }

    fn exfiltration(&self, call: &Call, texts: &[Text], act: Act, read: u32) -> Option<Finding> {
        if read == 0 {
            return None;
        }
        let task = call.task.as_deref().map(str::to_lowercase);
        let asked = |what: &str| {
            #[cfg(test)]
            tests::count(what.len());
            task.as_ref().is_some_and(|task| task.contains(&what.to_lowercase()))
        };
        let (mut spans, mut outside, mut inside, mut named, mut mails) = (Vec::new(), 0_usize, 0_usize, true, true);
        for (index, text) in texts.iter().enumerate() {
            for target in plugin_text::targets(&text.value) {
                // A read of a web address takes something along if there is room for it.
                if act.effect == Effect::Read && target.behind < LADEN {
                    continue;
                }
                if target.within(&self.config.own_domains) {
                    inside += 1;
                    continue;
                }
                outside += 1;
                mails &= target.mail;
                if spans.len() < MOST_SPANS {
                    // Who names a whole web address names its host.
                    named = named && asked(if target.behind > 0 { target.host } else { target.written });
                    spans.push(Span::of(index, target.range));
                } else {
                    named = false;
                }
            }
        }
        let sends = matches!(act.effect, Effect::Send) || outside > 0;
        if !sends || (outside == 0 && inside > 0) {
            return None;
        }
        // What it read for certain, or else perhaps.
        let certain = Sensitive::each(read).next().is_some();
        let kinds = if certain { read } else { Sensitive::perhaps(read) };
        let what: Vec<&str> = Sensitive::each(kinds).take(4).map(|bit| self.sensitive.name(bit)).collect();
        let (mut score, mut how): (f32, _) = match (outside, act.effect) {
            (0, _) => (0.45, "and where to is not said"),
            (_, Effect::Read) => (0.7, "in a web address outside that has room for it"),
            (_, Effect::Send) => (0.85, "to a place outside"),
            // People's addresses are what many calls are about.
            _ => (if mails { 0.4 } else { 0.55 }, "and names a place outside"),
        };
        if outside > 0 && named {
            (score, how) = (0.35, "to a place that the task names");
        } else if Sensitive::opens_doors(read) {
            score += 0.1;
        }
        if !certain {
            score -= 0.3;
        }
        // Without a session these are all calls of the agent, of several runs perhaps.
        if call.session.is_none() {
            score *= 0.75;
        }
        let what = what.join(", ");
        let read = if certain { "read" } else { "asked about" };
        let message =
            format!("{} {how}, after this session {read} {what}: what was read may go out with it", act.says());
        Some(Finding::new(EXFILTRATION, score.max(0.1), message).with_spans(spans))
    }

    fn escalation(&self, call: &Call, act: Act, before: &Record) -> Option<Finding> {
        let least = self.config.reads_before;
        let first = act.grave() & !before.done;
        if least == 0 || first == 0 || before.reads < least {
            return None;
        }
        let more = f32::from((before.reads - least).min(10));
        let mut score = 0.45 + 0.015 * more;
        let mut why = "";
        if let Some(task) = &call.task {
            if self.acts.asked(task) & first == 0 {
                score += 0.2;
                why = ", which the task does not ask for";
            } else {
                score -= 0.25;
            }
        }
        let message = format!(
            "{} for the first time in this session, after {} calls that only read{why}",
            act.says(),
            before.reads
        );
        Some(Finding::new(ESCALATION, score, message))
    }

    fn repetition(&self, call: &Call, act: Act, count: u16) -> Option<Finding> {
        let Repeats { calls, reads, seconds, .. } = &self.config.repeats;
        let limit = if act.reads() { *reads } else { *calls };
        if limit == 0 || count < limit || self.repeated.contain(&call.tool.to_lowercase()) {
            return None;
        }
        let message = format!("the same call with the same arguments for the {count}th time within {seconds} seconds");
        Some(Finding::new(LOOP, over(count.into(), limit.into()), message))
    }

    fn haste(&self, act: Act, second: u32, session: &Record, (agent, agent_acts): (u64, u64)) -> Option<Finding> {
        let limits = &self.config.velocity;
        let acts = if act.reads() { 0 } else { session.acts.per_minute(second) };
        let counts = [
            (u64::from(acts), limits.session_acts, "calls of this session that change or send something"),
            (agent_acts, limits.agent_acts, "calls of this agent that change or send something"),
            (session.all.per_minute(second).into(), limits.session, "calls of this session"),
            (agent, limits.agent, "calls of this agent"),
        ];
        let over_limit = counts.iter().filter(|(count, limit, _)| *limit > 0 && *count > u64::from(*limit));
        let scored = over_limit.map(|(count, limit, what)| (over(*count, u64::from(*limit)), count, limit, what));
        let (score, count, limit, what) = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
        Some(Finding::new(VELOCITY, score, format!("{count} {what} within a minute; {limit} are usual")))
    }
}

/// From 0.5 at the limit to 0.95 at four times as much.
#[allow(clippy::cast_precision_loss, reason = "counts")]
fn over(count: u64, limit: u64) -> f32 {
    let times = count as f32 / limit.max(1) as f32;
    (0.5 + 0.15 * (times - 1.0)).clamp(0.5, 0.95)
}

fn second() -> u32 {
    u32::try_from(clock::now_ms() / 1000).unwrap_or(u32::MAX)
}

/// What makes two calls the same: upstream, tool and arguments.
fn fingerprint(call: &Call) -> u64 {
    hash(&[b"call", call.upstream.as_deref().unwrap_or_default().as_bytes(), call.tool.as_bytes(), &call.digest])
}

/// The first bytes of SHA-256 over the parts, each with its length: names may be long, and nobody finds two that are one.
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
