//! Finds the word of its configuration: what a small plugin looks like.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively nothing is exported"))]
use portcullis_plugin::{Call, Detector, Finding, Payload, Span};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    word: String,
}

struct Words(Config);

impl Detector for Words {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if config.word.is_empty() { Err("word: must not be empty".to_owned()) } else { Ok(Self(config)) }
    }

    fn inspect(&self, _call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        let mut findings = Vec::new();
        for (index, text) in payload.texts().iter().enumerate() {
            for (start, found) in text.value.match_indices(&self.0.word) {
                let finding = Finding::new("word.found", 0.9, "the word is there");
                findings.push(finding.with_span(Span::of(index, start..start + found.len())));
            }
        }
        Ok(findings)
    }
}

portcullis_plugin::detector!(Words);
