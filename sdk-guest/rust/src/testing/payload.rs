use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Payload, Text, pointer};

/// A payload from a JSON text, as the host would serve it.
#[derive(Clone, Debug)]
pub struct JsonPayload {
    raw: String,
    texts: Vec<Text>,
    names: Vec<String>,
    values: Vec<(String, String)>,
}

/// The text is not JSON.
#[derive(Debug)]
pub struct PayloadError(serde_json::Error);

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the payload is not JSON: {}", self.0)
    }
}

impl std::error::Error for PayloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl JsonPayload {
    /// Reads a JSON text.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn new(raw: &str) -> Result<Self, PayloadError> {
        let mut payload = Self { raw: raw.to_owned(), texts: Vec::new(), names: Vec::new(), values: Vec::new() };
        let value = serde_json::from_str(raw).map_err(PayloadError)?;
        payload.walk(value, String::new()).map_err(PayloadError)?;
        Ok(payload)
    }

    fn walk(&mut self, value: &RawValue, at: String) -> Result<(), serde_json::Error> {
        let json = value.get();
        match json.as_bytes().first() {
            Some(b'{') => {
                for (name, member) in serde_json::Deserializer::from_str(json).deserialize_map(Members)? {
                    let at = pointer::child(&at, &name);
                    if !self.names.contains(&name) {
                        self.names.push(name);
                    }
                    self.walk(member, at)?;
                }
            }
            Some(b'[') => {
                for (index, item) in serde_json::from_str::<Vec<&RawValue>>(json)?.into_iter().enumerate() {
                    self.walk(item, pointer::child(&at, &index.to_string()))?;
                }
            }
            Some(b'"') => self.texts.push(Text { pointer: at.clone(), value: serde_json::from_str(json)? }),
            _ => {}
        }
        self.values.push((at, json.to_owned()));
        Ok(())
    }
}

impl Payload for JsonPayload {
    fn raw(&self) -> String {
        self.raw.clone()
    }

    fn texts(&self) -> Vec<Text> {
        self.texts.clone()
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn get(&self, pointer: &str) -> Option<String> {
        self.values.iter().find(|(at, _)| at == pointer).map(|(_, json)| json.clone())
    }
}

/// Members of an object in order, with their JSON text.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
