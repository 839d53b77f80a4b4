//! What differs between two definitions, in few words: for operators, never for clients.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use portcullis_plugin::pointer;

/// Most differences that are named; the rest is counted.
const MAX_CHANGES: usize = 16;
/// Most bytes of a pointer.
const MAX_POINTER: usize = 200;
/// Most bytes of an old or new value.
const MAX_EXCERPT: usize = 160;
/// Longest list of names whose items are looked up in another one: that takes their product in steps.
const MAX_NAMES: usize = 256;
/// Characters before the first difference that are shown.
const BEFORE: usize = 24;

/// One difference. Texts are shortened around their first difference; what could not be seen is escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// RFC 6901 pointer into the definition.
    pub(crate) at: String,
    /// What was there; none if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// What is there now; none if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
}

/// All differences, the first of them with their texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) first: Vec<Change>,
    /// How many there are beside those.
    pub(crate) more: u32,
}

impl Changes {
    pub(crate) fn between(old: &Value, new: &Value) -> Self {
        let mut changes = Self::default();
        changes.walk(old, new, "");
        changes
    }

    fn walk(&mut self, old: &Value, new: &Value, at: &str) {
        match (old, new) {
            _ if old == new => {}
            // Only counted from here on, and no deeper: a definition of an upstream may differ in very many places.
            _ if self.first.len() >= MAX_CHANGES => self.more = self.more.saturating_add(1),
            (Value::Object(old), Value::Object(new)) => {
                for (name, old) in old {
                    let at = pointer::child(at, name);
                    match new.get(name) {
                        Some(new) => self.walk(old, new, &at),
                        None => self.add(&at, Some(excerpt(&plain(old), 0)), None),
                    }
                }
                for (name, new) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                    self.add(&pointer::child(at, name), None, Some(excerpt(&plain(new), 0)));
                }
            }
            // Lists of names (`required`, `enum`): what came and went says more than what stands at which place.
            (Value::Array(old), Value::Array(new)) if names(old) && names(new) => {
                let missing = |from: &[Value], other: &[Value]| {
                    let missing: Vec<&Value> = from.iter().filter(|item| !other.contains(item)).collect();
                    if missing.is_empty() { None } else { serde_json::to_string(&missing).ok() }
                };
                let (gone, came) = (missing(old, new), missing(new, old));
                let whole = |items: &[Value]| serde_json::to_string(items).ok();
                let (from, to) = if gone.is_none() && came.is_none() { (whole(old), whole(new)) } else { (gone, came) };
                self.add(at, from.map(|text| excerpt(&text, 0)), to.map(|text| excerpt(&text, 0)));
            }
            (Value::Array(old), Value::Array(new)) => {
                for index in 0..old.len().max(new.len()) {
                    let at = pointer::child(at, &index.to_string());
                    match (old.get(index), new.get(index)) {
                        (Some(old), Some(new)) => self.walk(old, new, &at),
                        (old, new) => {
                            let shown = |value: Option<&Value>| value.map(|value| excerpt(&plain(value), 0));
                            self.add(&at, shown(old), shown(new));
                        }
                    }
                }
            }
            (old, new) => {
                let (old, new) = (plain(old), plain(new));
                let same = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
                self.add(at, Some(excerpt(&old, same)), Some(excerpt(&new, same)));
            }
        }
    }

    fn add(&mut self, at: &str, from: Option<String>, to: Option<String>) {
        if self.first.len() < MAX_CHANGES {
            let at = escaped(at.chars(), MAX_POINTER);
            self.first.push(Change { at, from, to });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

fn names(items: &[Value]) -> bool {
    items.len() <= MAX_NAMES && items.iter().all(|item| !item.is_object() && !item.is_array())
}

/// A text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A piece of the text around its character number `at`.
fn excerpt(text: &str, at: usize) -> String {
    let start = at.saturating_sub(BEFORE);
    let piece = escaped(text.chars().skip(start), MAX_EXCERPT);
    if start > 0 { format!("…{piece}") } else { piece }
}

/// Characters until there are too many bytes; control and invisible ones, quotes and backslashes are escaped.
fn escaped(characters: impl Iterator<Item = char>, most: usize) -> String {
    let mut out = String::new();
    for character in characters {
        let piece: String = character.escape_debug().collect();
        if out.len() + piece.len() + '…'.len_utf8() > most {
            out.push('…');
            break;
        }
        out.push_str(&piece);
    }
    out
}
