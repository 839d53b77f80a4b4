//! A tool's definition: its canonical form, its digest, and as much of it as is kept.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Members that are no part of the definition: neither is shown to a model, and both may differ from list to list.
const LEFT_OUT: [&str; 2] = ["_meta", "icons"];
/// Most bytes of a definition that are kept.
const MAX_KEPT: usize = 20 * 1024;
/// Bytes of a text that are kept where a definition is too long.
const KEPT_TEXT: usize = 256;
/// Bytes of a member that is kept as it is where shorter texts are not enough.
const KEPT_MEMBER: usize = 1024;

/// One tool of a list.
pub(crate) struct Definition {
    /// Its name, as the upstream calls it.
    pub(crate) name: String,
    /// SHA-256 of the canonical form, as `sha256:` and hexadecimal digits.
    pub(crate) digest: String,
    /// The definition with its members sorted.
    value: Value,
}

/// How much of a definition is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kept {
    /// All of it.
    Whole,
    /// Long texts are shortened.
    Texts,
    /// Large members, too.
    Members,
    /// Nothing but a mark.
    Nothing,
}

impl Definition {
    /// Takes an item of a list; none if it is no definition.
    pub(crate) fn of(item: Value) -> Option<Self> {
        let Value::Object(mut members) = item else { return None };
        let name = members.get("name")?.as_str()?.to_owned();
        members.retain(|member, _| !LEFT_OUT.contains(&member.as_str()));
        let value = sorted(Value::Object(members));
        let digest = format!("sha256:{}", hex(Sha256::digest(value.to_string().as_bytes()).as_slice()));
        Some(Self { name, digest, value })
    }

    /// The part that can be kept, and how much it is.
    pub(crate) fn kept(&self) -> (Kept, Box<RawValue>) {
        for kept in [Kept::Whole, Kept::Texts, Kept::Members] {
            let text = self.part(kept).to_string();
            if text.len() <= MAX_KEPT
                && let Ok(raw) = RawValue::from_string(text)
            {
                return (kept, raw);
            }
        }
        self.mark()
    }

    /// As little as can be kept.
    pub(crate) fn mark(&self) -> (Kept, Box<RawValue>) {
        (Kept::Nothing, RawValue::NULL.to_owned())
    }

    /// The same part of this definition as was kept of another one, so that the two can be compared.
    pub(crate) fn part(&self, kept: Kept) -> Value {
        match kept {
            Kept::Whole => self.value.clone(),
            Kept::Texts => shortened(&self.value),
            Kept::Members => {
                let members = self.value.as_object().into_iter().flatten();
                let members = members.map(|(name, member)| {
                    let short = shortened(member);
                    let length = short.to_string().len();
                    (name.clone(), if length > KEPT_MEMBER { mark(member) } else { short })
                });
                Value::Object(members.collect())
            }
            Kept::Nothing => Value::Null,
        }
    }
}

/// The value with the members of all objects in the order of their names.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> =
                members.into_iter().map(|(name, member)| (name, sorted(member))).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(Map::from_iter(members))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > KEPT_TEXT => {
            let start = text.get(..text.floor_char_boundary(KEPT_TEXT)).unwrap_or_default();
            format!("{start}{}", mark_of(text.as_bytes())).into()
        }
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), shortened(member))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(shortened).collect()),
        other => other.clone(),
    }
}

/// What stands in place of a part that is not kept. It names the part's hash, so that another part shows.
fn mark(value: &Value) -> Value {
    mark_of(value.to_string().as_bytes()).into()
}

fn mark_of(bytes: &[u8]) -> String {
    let hash = hex(Sha256::digest(bytes).as_slice());
    format!("[shortened: {} bytes, sha256 {}]", bytes.len(), hash.get(..16).unwrap_or_default())
}

/// The key under which a tool's pin is kept: whatever names are made of, it is short, and no two tools share it.
pub(crate) fn key(upstream: &str, tool: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update((upstream.len() as u64).to_be_bytes());
    hasher.update(upstream.as_bytes());
    hasher.update(tool.as_bytes());
    format!("{}{}", crate::record::PREFIX, hex(hasher.finalize().as_slice()))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}
