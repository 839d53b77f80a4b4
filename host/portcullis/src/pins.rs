//! The pins that plugins keep in their state, in the form that `rule-tool-pin` documents: any plugin that keeps pins in this
//! form is served.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_engine::{Scope, StateStore, StoreError};
use portcullis_gateway::gate::now_ms;
use portcullis_gateway::ports::{Pin, PinChange, PinDefinition, PinError, PinState, Pins};
use portcullis_model::{Digest, Role};
use portcullis_pipeline::Generations;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The beginning of the keys; its number is the version of the form.
const PREFIX: &str = "pin/1/";
/// A tool that was listed so much earlier than another one of its upstream is gone: the times are right to the hour.
const VANISHED_MS: u64 = 2 * 60 * 60 * 1000;
/// How often a pin is read again that its plugin changed meanwhile.
const TRIES: usize = 8;

/// Least bytes of an accepted definition and the spaces behind the value: the room that noting a change needs at most.
const ROOM: usize = 256;

/// What stands behind the gateway's [`Pins`].
pub(crate) struct StatePins {
    pub state: Arc<dyn StateStore>,
    pub generations: Arc<Generations>,
}

/// A value under such a key.
#[derive(Deserialize)]
struct Record {
    upstream: String,
    tool: String,
    pinned: Option<Part>,
    pending: Option<Part>,
    listed_ms: u64,
}

#[derive(Deserialize)]
struct Part {
    #[serde(deserialize_with = "digest")]
    digest: Digest,
    at_ms: u64,
    by: Option<String>,
    kept: String,
    definition: Box<RawValue>,
    #[serde(default)]
    changes: Vec<Change>,
    #[serde(default)]
    more: u32,
}

#[derive(Deserialize)]
struct Change {
    at: String,
    from: Option<String>,
    to: Option<String>,
}

impl StatePins {
    /// Whether this plugin is part of the tenant's live pipeline; its name as the pipeline has it.
    fn plugins(&self, tenant: &str) -> Vec<Arc<str>> {
        let Some(generation) = self.generations.current(tenant) else { return Vec::new() };
        let plugins = generation.summary().plugins.into_iter();
        plugins.filter(|plugin| plugin.role == Role::Rule).map(|plugin| plugin.name).collect()
    }

    /// The place of a pin; none if the id names no plugin of the live pipeline.
    fn place(&self, tenant: &str, id: &str) -> Option<(Arc<str>, String)> {
        let (plugin, hash) = id.rsplit_once('.')?;
        let plugin = self.plugins(tenant).into_iter().find(|name| **name == *plugin)?;
        let hash = (hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hash)?;
        Some((plugin, format!("{PREFIX}{hash}")))
    }

    /// Whether a tool is gone: only its neighbours tell.
    fn vanished(&self, tenant: &str, id: &str) -> Result<bool, PinError> {
        Ok(self.list(tenant)?.iter().any(|pin| pin.id == id && pin.vanished))
    }

    fn read(&self, tenant: &str, plugin: &Arc<str>, key: &str, whole: bool) -> Result<Option<Pin>, PinError> {
        let bytes = self.state.get(Scope { tenant, plugin }, key, now_ms()).map_err(|error| unavailable(&error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) => Ok(Some(record.pin(plugin, key, whole))),
            Err(_) => {
                tracing::warn!(tenant, plugin = &**plugin, key, "a pin is not in a known form and is left out");
                Ok(None)
            }
        }
    }
}

impl Pins for StatePins {
    fn list(&self, tenant: &str) -> Result<Vec<Pin>, PinError> {
        let mut pins = Vec::new();
        for plugin in self.plugins(tenant) {
            let scope = Scope { tenant, plugin: &plugin };
            let keys = self.state.keys(scope, PREFIX, now_ms()).map_err(|error| unavailable(&error))?;
            for key in keys {
                pins.extend(self.read(tenant, &plugin, &key, false)?);
            }
        }
        let mut newest: HashMap<(Arc<str>, String), u64> = HashMap::new();
        for pin in &pins {
            let newest = newest.entry((Arc::clone(&pin.plugin), pin.upstream.clone())).or_default();
            *newest = pin.listed_ms.max(*newest);
        }
        for pin in &mut pins {
            let newest = newest.get(&(Arc::clone(&pin.plugin), pin.upstream.clone())).copied().unwrap_or_default();
            pin.vanished = pin.listed_ms.saturating_add(VANISHED_MS) < newest;
        }
        pins.sort_by(|a, b| (&a.upstream, &a.tool, &a.id).cmp(&(&b.upstream, &b.tool, &b.id)));
        Ok(pins)
    }

    fn get(&self, tenant: &str, id: &str) -> Result<Option<Pin>, PinError> {
        let Some((plugin, key)) = self.place(tenant, id) else { return Ok(None) };
        let Some(mut pin) = self.read(tenant, &plugin, &key, true)? else { return Ok(None) };
        pin.vanished = self.vanished(tenant, &pin.id)?;
        Ok(Some(pin))
    }

    fn accept(&self, tenant: &str, id: &str, digest: Digest, by: &str, now_ms: u64) -> Result<Pin, PinError> {
        let (plugin, key) = self.place(tenant, id).ok_or(PinError::Unknown)?;
        let scope = Scope { tenant, plugin: &plugin };
        for _ in 0..TRIES {
            let old = self.state.get(scope, &key, now_ms).map_err(|error| unavailable(&error))?;
            let old = old.ok_or(PinError::Unknown)?;
            let fresh = accepted(&old, digest, by, now_ms)?;
            let record: Record = serde_json::from_slice(&fresh).map_err(|_| unknown_form())?;
            let replaced = self.state.replace(scope, &key, Some(&old), Some(&fresh), 0, now_ms);
            if replaced.map_err(|error| unavailable(&error))? {
                // It is in effect: what can no longer be read is no error.
                let mut pin = record.pin(&plugin, &key, true);
                pin.vanished = self.vanished(tenant, &pin.id).unwrap_or(false);
                return Ok(pin);
            }
        }
        Err(PinError::Unavailable("the pin changes all the time".to_owned()))
    }
}

impl Record {
    fn pin(self, plugin: &Arc<str>, key: &str, whole: bool) -> Pin {
        let state = match (&self.pinned, &self.pending) {
            (None, _) => PinState::New,
            (Some(_), Some(_)) => PinState::Changed,
            (Some(_), None) => PinState::Pinned,
        };
        let hash = key.strip_prefix(PREFIX).unwrap_or(key);
        Pin {
            id: format!("{plugin}.{hash}"),
            plugin: Arc::clone(plugin),
            upstream: self.upstream,
            tool: self.tool,
            state,
            listed_ms: self.listed_ms,
            vanished: false,
            pinned: self.pinned.map(|part| part.shown(whole, false)),
            pending: self.pending.map(|part| part.shown(whole, whole)),
        }
    }
}

impl Part {
    fn shown(self, whole: bool, compared: bool) -> PinDefinition {
        let changes = self.changes.into_iter().map(|Change { at, from, to }| PinChange { at, from, to });
        PinDefinition {
            digest: self.digest,
            at_ms: self.at_ms,
            by: self.by,
            kept: whole.then_some(self.kept),
            definition: whole.then_some(self.definition),
            changes: compared.then(|| changes.collect()),
            more: compared.then_some(self.more),
        }
    }
}

/// The value after the definition that waits was accepted. Members that this version does not know are kept.
fn accepted(old: &[u8], digest: Digest, by: &str, now_ms: u64) -> Result<Vec<u8>, PinError> {
    let mut record: Value = serde_json::from_slice(old).map_err(|_| unknown_form())?;
    let pending = record.get("pending").filter(|pending| !pending.is_null()).cloned().ok_or(PinError::Other)?;
    let text = |name: &str| pending.get(name).cloned().unwrap_or_default();
    if text("digest").as_str() != Some(&digest.to_string()) {
        return Err(PinError::Other);
    }
    let pinned = json!({
        "digest": digest, "by": by, "at_ms": now_ms, "kept": text("kept"), "definition": text("definition"),
    });
    let spare = ROOM.saturating_sub(text("definition").to_string().len());
    if let Some(record) = record.as_object_mut() {
        record.insert("pinned".to_owned(), pinned);
        record.insert("pending".to_owned(), Value::Null);
    }
    let mut value = serde_json::to_vec(&record).map_err(|_| unknown_form())?;
    value.resize(value.len() + spare, b' ');
    Ok(value)
}

fn digest<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(source)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn unknown_form() -> PinError {
    PinError::Unavailable("the pin is not in a known form".to_owned())
}

fn unavailable(error: &StoreError) -> PinError {
    PinError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(pending: &Value) -> Vec<u8> {
        let pinned = json!({ "digest": Digest::of(b"one"), "by": "first use", "at_ms": 1, "kept": "whole",
            "definition": { "name": "a", "number": 1 } });
        json!({ "upstream": "files", "tool": "a", "pinned": pinned, "pending": pending, "listed_ms": 7, "later": true })
            .to_string()
            .into_bytes()
    }

    #[test]
    fn only_the_definition_that_was_named_is_accepted() {
        let text = r#"{"name":"a","number":1.50,"huge":18446744073709551616000}"#;
        let pending = json!({ "digest": Digest::of(b"two"), "at_ms": 2, "kept": "whole", "changes": [], "more": 0,
            "definition": serde_json::from_str::<Value>(text).unwrap() });
        let old = value(&pending);
        assert_eq!(accepted(&old, Digest::of(b"three"), "ann", 9), Err(PinError::Other));
        assert_eq!(accepted(&value(&Value::Null), Digest::of(b"two"), "ann", 9), Err(PinError::Other));
        let fresh = accepted(&old, Digest::of(b"two"), "ann", 9).unwrap();
        let kept: Value = serde_json::from_slice(&fresh).unwrap();
        assert_eq!(kept["pending"], Value::Null);
        assert_eq!((&kept["pinned"]["by"], &kept["pinned"]["at_ms"]), (&json!("ann"), &json!(9)));
        assert_eq!((kept["later"].as_bool(), kept["listed_ms"].as_u64()), (Some(true), Some(7)));
        assert!(String::from_utf8(fresh).unwrap().contains(text), "digits are kept as they were");
    }

    #[test]
    fn a_record_says_how_it_stands() {
        let plugin: Arc<str> = "rule-tool-pin".into();
        let key = format!("{PREFIX}{}", "0".repeat(64));
        let record: Record = serde_json::from_slice(&value(&Value::Null)).unwrap();
        let pin = record.pin(&plugin, &key, false);
        assert_eq!((pin.state, pin.id.len()), (PinState::Pinned, "rule-tool-pin.".len() + 64));
        assert!(pin.pinned.unwrap().definition.is_none(), "lists are short");
        let pending = json!({ "digest": Digest::of(b"two"), "at_ms": 2, "kept": "nothing", "definition": null });
        let record: Record = serde_json::from_slice(&value(&pending)).unwrap();
        let pin = record.pin(&plugin, &key, true);
        assert_eq!((pin.state, pin.pending.unwrap().changes), (PinState::Changed, Some(Vec::new())));
    }
}
