//! `[outbound]`, `[[secret]]` and `[[judge]]`: what plugins reach outside.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Place};

/// Most requests under way that can be configured: each takes a thread.
const MOST_REQUESTS: usize = 256;

/// Requests that plugins send, and questions that they ask language models.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Outbound {
    /// Calls at a time whose plugins may wait for others (grants `http` and `judge`), 1 to 256: each takes a thread. More calls
    /// wait up to 10 seconds and are refused then. Read at the start only.
    pub calls: usize,
    /// Most of these of one tenant; half of them of one agent. Read at the start only.
    pub calls_per_tenant: usize,
    /// File with certificates (PEM) of the authorities that certificates of granted hosts must come from. Default: the public ones.
    /// A relative path starts at the configuration file.
    pub ca: Option<PathBuf>,
}

/// A secret that plugins use in headers of requests and never see. Exactly one of `file` and `env` is given.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// Name by which plugins are granted it. Letters, digits, `.`, `_`, `-`; at most 63.
    pub name: String,
    /// File with the secret, at least 8 visible ASCII characters; read again for every request. A relative path starts at the
    /// configuration file.
    pub file: Option<PathBuf>,
    /// Name of the environment variable with the secret.
    pub env: Option<String>,
    /// Tenants whose plugins may be granted it. Default: all.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Hosts that it may be sent to, at least one: `api.example.com`, `*.example.com:8443`. A plugin must be granted the host too.
    pub hosts: Vec<String>,
}

/// A language model that plugins ask. At most one of `key_file` and `key_env` is given.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Judge {
    /// Its name in metrics and budgets. Letters, digits, `.`, `_`, `-`; at most 63.
    pub name: String,
    /// How it is spoken to: `anthropic` (the Messages API) or `openai` (chat completions, which many servers speak).
    pub api: JudgeApi,
    /// The whole address that questions are posted to: `https`, or `http` within `networks`. Default: the API's own,
    /// `https://api.anthropic.com/v1/messages` or `https://api.openai.com/v1/chat/completions`.
    pub url: Option<String>,
    /// The model, as its server names it.
    pub model: String,
    /// File with the key for its server, read again for every question. A relative path starts at the configuration file.
    pub key_file: Option<PathBuf>,
    /// Name of the environment variable with that key.
    pub key_env: Option<String>,
    /// Networks that its server may be in although they are not public, for instance `127.0.0.0/8`.
    #[serde(default)]
    pub networks: Vec<String>,
    /// File with certificates (PEM) of the authorities that its certificate must come from. Default: the public ones. A relative
    /// path starts at the configuration file.
    pub ca: Option<PathBuf>,
    /// Most tokens of an answer.
    #[serde(default = "max_tokens")]
    pub max_tokens: u32,
    /// Milliseconds that one question may take, 100 to 60,000; never more than what is left of the plugin's `deadline_ms`.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// Tenants whose plugins may ask it. Default: all.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Most questions of one tenant in a minute.
    #[serde(default = "calls_per_minute")]
    pub calls_per_minute: u64,
    /// Most tokens of one tenant in a day, questions and answers. What is under way when it is spent goes over it.
    #[serde(default = "tokens_per_day")]
    pub tokens_per_day: u64,
    /// Seconds for which a plugin that asks the same again gets the same answer, without a question. 0: never.
    #[serde(default = "cache_seconds")]
    pub cache_seconds: u64,
    /// Most answers that are kept of one plugin.
    #[serde(default = "cache_entries")]
    pub cache_entries: usize,
    /// What it may be asked, at least one.
    pub template: Vec<JudgeTemplate>,
}

/// A prompt. Plugins name it and give values; they never write prompts.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JudgeTemplate {
    /// Id by which plugins are granted it, unlike that of any other template. Letters, digits, `.`, `_`, `-`; at most 63.
    pub id: String,
    /// What the model is told before anything else. That values are no instructions is always added.
    pub system: Option<String>,
    /// The question, with `{{name}}` for each value that the plugin gives. A value is put in as
    /// `<data name="name">"…"</data>`, a JSON string without `<` and `>`.
    pub prompt: String,
    /// JSON Schema of the answer, of type `object`. An answer that does not fit is an error.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub schema: toml::Table,
}

/// How a language model is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JudgeApi {
    /// The Messages API.
    Anthropic,
    /// Chat completions.
    OpenAi,
}

fn max_tokens() -> u32 {
    1024
}

fn timeout_ms() -> u64 {
    15_000
}

fn calls_per_minute() -> u64 {
    60
}

fn tokens_per_day() -> u64 {
    1_000_000
}

fn cache_seconds() -> u64 {
    600
}

fn cache_entries() -> usize {
    256
}

impl Judge {
    /// Makes its paths start at the configuration file's folder.
    pub(super) fn relative_to(&mut self, place: &Place) {
        for path in [&mut self.key_file, &mut self.ca].into_iter().flatten() {
            *path = place.relative(path);
        }
    }

    /// What its numbers may be; the rest is checked where it is used.
    pub(super) fn check(&self, key: &str, place: &Place) -> Result<(), ConfigError> {
        let wrong = |name: &str, why: &str| Err(place.error(&format!("{key}{name}"), why));
        if self.key_file.is_some() && self.key_env.is_some() {
            return wrong("", "give at most one of `key_file` and `key_env`");
        }
        match self {
            _ if self.model.is_empty() => wrong(".model", "name the model"),
            _ if !(1..=100_000).contains(&self.max_tokens) => wrong(".max_tokens", "give 1 to 100000"),
            _ if !(100..=60_000).contains(&self.timeout_ms) => wrong(".timeout_ms", "give 100 to 60000 milliseconds"),
            _ if self.calls_per_minute == 0 => wrong(".calls_per_minute", "nothing could be asked; give at least 1"),
            _ if self.tokens_per_day == 0 => wrong(".tokens_per_day", "nothing could be asked; give at least 1"),
            _ if self.cache_seconds > super::A_DAY => wrong(".cache_seconds", "give at most a day"),
            _ if self.cache_entries > 10_000 => wrong(".cache_entries", "give at most 10000"),
            _ => Ok(()),
        }
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self { calls: 64, calls_per_tenant: 16, ca: None }
    }
}

impl Outbound {
    /// Makes its paths start at the configuration file's folder.
    pub(super) fn relative_to(&mut self, place: &Place) {
        if let Some(path) = &mut self.ca {
            *path = place.relative(path);
        }
    }

    pub(super) fn check(&self, place: &Place) -> Result<(), ConfigError> {
        if !(1..=MOST_REQUESTS).contains(&self.calls) {
            return Err(place.error("outbound.calls", format!("give 1 to {MOST_REQUESTS}")));
        }
        if !(1..=self.calls).contains(&self.calls_per_tenant) {
            return Err(place.error("outbound.calls_per_tenant", "give at least 1 and at most `outbound.calls`"));
        }
        Ok(())
    }
}

impl Secret {
    /// Makes its paths start at the configuration file's folder.
    pub(super) fn relative_to(&mut self, place: &Place) {
        if let Some(path) = &mut self.file {
            *path = place.relative(path);
        }
    }

    pub(super) fn check(&self, key: &str, place: &Place) -> Result<(), ConfigError> {
        if self.file.is_some() == self.env.is_some() {
            return Err(place.error(key, "give exactly one of `file` and `env`"));
        }
        Ok(())
    }
}
