//! Remembers the definitions of tools and refuses those that changed. See the README for the configuration.

mod config;
mod definition;
mod diff;
mod record;

use std::collections::HashSet;

use portcullis_plugin::{AttributedFinding, Call, Payload, Phase, Reason, Rule, Verdict, clock};
use serde_json::Value;

pub use config::{Config, OnChange, OnNew, OnUnlisted};

use definition::Definition;
use record::{Pending, Record, Slot, Unwritten};

/// A tool that is still listed is noted as such this often.
const NOTED_EVERY_MS: u64 = 60 * 60 * 1000;
/// How often a pin is read again that somebody else changed meanwhile.
const TRIES: usize = 8;
/// Most changed tools that have a reason of their own; the rest is counted in one.
const MAX_REASONS: usize = 16;
/// Longest name of a tool in a reason.
const MAX_NAME: usize = 64;
/// Members of a definition that are known, and thus no words of an upstream.
const KNOWN: &[&str] = &["name", "title", "description", "inputSchema", "outputSchema", "annotations", "execution"];

/// The configured rule.
pub struct ToolPin(Config);

/// What one tool of a list means.
enum Finding {
    Fine,
    New,
    /// In which members.
    Changed(String),
    NoRoom,
}

impl Rule for ToolPin {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn decide(&self, call: &Call, payload: &dyn Payload, _: &[AttributedFinding]) -> Result<Verdict, String> {
        let upstream = call.upstream.as_deref().unwrap_or_default();
        match call.phase {
            Phase::Listing => self.list(upstream, &payload.raw()),
            Phase::Call => self.call(upstream, &call.tool),
            Phase::Result | Phase::Message => Ok(Verdict::Allow),
        }
    }
}

portcullis_plugin::rule!(ToolPin);

impl ToolPin {
    /// One page of a list: what it does not name may stand on another one. Clients read the reasons, so no word of a
    /// definition that nobody accepted is in them, the names of new tools included; operators read pins.
    fn list(&self, upstream: &str, list: &str) -> Result<Verdict, String> {
        let definitions = match read(list) {
            Ok(definitions) => definitions,
            Err(text) => return Ok(Verdict::deny("pin.malformed", text)),
        };
        let now_ms = clock::now_ms();
        let (mut changed, mut new, mut no_room) = (Vec::new(), 0, 0);
        for definition in &definitions {
            match self.look(upstream, definition, now_ms)? {
                Finding::Fine => {}
                Finding::New => new += 1,
                Finding::Changed(members) => changed.push((definition.name.as_str(), members)),
                Finding::NoRoom => no_room += 1,
            }
        }
        let (mut denials, mut reviews) = (Vec::new(), Vec::new());
        let place = if self.0.on_change == OnChange::Review { &mut reviews } else { &mut denials };
        place.extend(changed.iter().take(MAX_REASONS).map(|(name, members)| {
            let tool = shown(name);
            Reason::new(
                "pin.changed",
                format!("{tool} is not what was pinned ({members}): an operator has to look at it"),
            )
        }));
        let more = changed.len().saturating_sub(MAX_REASONS);
        if more > 0 {
            place.push(Reason::new("pin.changed", format!("nor are {more} more tools")));
        }
        if new > 0 {
            let place = if self.0.on_new == OnNew::Review { &mut reviews } else { &mut denials };
            place.push(Reason::new("pin.new", format!("tools of this list that nobody accepted yet: {new}")));
        }
        if no_room > 0 {
            denials.push(Reason::new(
                "pin.no_room",
                format!("tools of this list for whose pins there is no room: {no_room}"),
            ));
        }
        Ok(match (denials.is_empty(), reviews.is_empty()) {
            (false, _) => Verdict::Deny(denials),
            (true, false) => Verdict::Review(reviews),
            (true, true) => Verdict::Allow,
        })
    }

    /// Compares a tool with its pin and notes what is new.
    fn look(&self, upstream: &str, definition: &Definition, now_ms: u64) -> Result<Finding, String> {
        for _ in 0..TRIES {
            let mut slot = Slot::read(upstream, &definition.name)?;
            let fresh = slot.record.is_none();
            let mut record = slot.record.take().unwrap_or_else(|| Record::new(upstream, &definition.name, now_ms));
            let pinned = record.pinned.as_ref().map(|pinned| pinned.digest == definition.digest);
            let noted = record.pending.as_ref().is_some_and(|pending| pending.digest == definition.digest);
            let (finding, changed) = match pinned {
                Some(true) => (Finding::Fine, record.pending.take().is_some()),
                None if self.0.on_new == OnNew::Pin => {
                    record.pin(definition, now_ms);
                    (Finding::Fine, true)
                }
                known => {
                    if !noted {
                        record.note(definition, now_ms);
                    }
                    let finding = match (known, &record.pending) {
                        (Some(_), Some(pending)) => Finding::Changed(members(pending)),
                        _ => Finding::New,
                    };
                    (finding, !noted)
                }
            };
            if !changed && now_ms < record.listed_ms.saturating_add(NOTED_EVERY_MS) {
                return Ok(finding);
            }
            record.listed_ms = record.listed_ms.max(now_ms);
            match slot.write(&record) {
                Ok(()) => return Ok(finding),
                Err(Unwritten::Overtaken) => continue,
                // When it was last listed is not worth a refusal.
                Err(Unwritten::NoRoom) if !changed => return Ok(finding),
                Err(Unwritten::NoRoom) if fresh => return Ok(Finding::NoRoom),
                Err(Unwritten::NoRoom) => {}
            }
            // That the tool changed has to be known to its calls, whatever else is lost.
            record.shrink(definition);
            match slot.write(&record) {
                Ok(()) => return Ok(finding),
                Err(Unwritten::Overtaken) => continue,
                Err(Unwritten::NoRoom) => return Ok(Finding::NoRoom),
            }
        }
        Err("the pin of a tool changes all the time".to_owned())
    }

    /// A call is refused if the tool's latest definition is not the pinned one. No word of that definition is in the
    /// reason: whoever called reads it.
    fn call(&self, upstream: &str, tool: &str) -> Result<Verdict, String> {
        let Some(record) = Slot::read(upstream, tool)?.record else {
            let reason = || Reason::new("pin.unlisted", "this tool was in no list of its upstream so far");
            return Ok(match self.0.on_unlisted {
                OnUnlisted::Allow => Verdict::Allow,
                OnUnlisted::Review => Verdict::Review(vec![reason()]),
                OnUnlisted::Deny => Verdict::Deny(vec![reason()]),
            });
        };
        let Record { pinned, pending: Some(pending), .. } = record else { return Ok(Verdict::Allow) };
        if pinned.is_none() {
            let reason = || Reason::new("pin.new", "nobody accepted this tool yet: an operator has to");
            return Ok(match self.0.on_new {
                OnNew::Pin => Verdict::Allow,
                OnNew::Review => Verdict::Review(vec![reason()]),
                OnNew::Deny => Verdict::Deny(vec![reason()]),
            });
        }
        let members = members(&pending);
        let message = format!("the tool's definition ({members}) is not the pinned one: an operator has to look at it");
        let reason = vec![Reason::new("pin.changed", message)];
        Ok(if self.0.on_change == OnChange::Review { Verdict::Review(reason) } else { Verdict::Deny(reason) })
    }
}

/// The definitions of a list.
fn read(list: &str) -> Result<Vec<Definition>, String> {
    let Ok(Value::Array(items)) = serde_json::from_str(list) else {
        return Err("a list of tools must be an array".to_owned());
    };
    let mut names = HashSet::new();
    let mut definitions = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let definition =
            Definition::of(item).ok_or_else(|| format!("item {index} of the list is no tool with a name"))?;
        if !names.insert(definition.name.clone()) {
            return Err(format!("item {index} of the list has the name of an earlier one"));
        }
        definitions.push(definition);
    }
    Ok(definitions)
}

/// The members of a definition in which changes are, by names that no upstream chose.
fn members(pending: &Pending) -> String {
    let mut members: Vec<&str> = Vec::new();
    for change in &pending.changes {
        let first = change.at.trim_start_matches('/').split('/').next().unwrap_or_default();
        let member = KNOWN.iter().find(|known| **known == first).copied().unwrap_or("another member");
        if !members.contains(&member) {
            members.push(member);
        }
    }
    match (members.is_empty(), pending.more) {
        (true, _) => "a long part of it".to_owned(),
        (false, 0) => members.join(", "),
        (false, _) => format!("{} and more", members.join(", ")),
    }
}

/// A pinned tool as a client may read of it: by its name if that is short and plain, since nobody may have looked at it
/// when it was pinned.
fn shown(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    if name.len() <= MAX_NAME && name.bytes().all(plain) { format!("the tool \"{name}\"") } else { "a tool".to_owned() }
}

#[cfg(test)]
mod tests;
