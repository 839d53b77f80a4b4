//! The two wire forms: the Messages API of Anthropic, where the answer is the input of a tool that must be used, and chat
//! completions, where it is text that follows a JSON Schema.

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::template::Template;
use super::{JudgeApi, Model};
use crate::outbound::Outgoing;

/// Version of Anthropic's API that is spoken.
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// Name of the tool, and of the schema, that the answer goes through.
const ANSWER: &str = "answer";
/// The one server that does not take the old name of the limit for all its models.
const OPENAI: &str = "api.openai.com";

/// What a model's server said.
pub(super) struct Said {
    pub(super) answer: Result<Value, WireError>,
    /// Of question and answer, if it says so.
    pub(super) tokens: Option<u64>,
}

/// Why there is no answer in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireError {
    /// Not the form of this API.
    NotTheirs,
    /// It was cut off.
    Cut,
    /// The model would not answer.
    Refused,
    /// It said something else than JSON.
    NotJson,
}

impl WireError {
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::NotTheirs => "the server of the language model does not speak the configured API",
            Self::Cut => "the answer of the language model was cut off: raise `max_tokens`",
            Self::Refused => "the language model refuses to answer",
            Self::NotJson => "the language model did not answer in JSON",
        }
    }
}

/// The request for a question; none if a header cannot hold the key.
pub(super) fn question(model: &Model, template: &Template, prompt: &str, key: Option<&str>) -> Option<Outgoing> {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json.clone());
    headers.insert(ACCEPT, json);
    let body = match model.api {
        JudgeApi::Anthropic => {
            headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
            add_key(&mut headers, HeaderName::from_static("x-api-key"), "", key)?;
            json!({
                "model": model.model,
                "max_tokens": model.max_tokens,
                "system": template.system,
                "messages": [{ "role": "user", "content": prompt }],
                "tools": [{
                    "name": ANSWER, "description": "Gives the answer to the question.", "input_schema": template.schema,
                }],
                "tool_choice": { "type": "tool", "name": ANSWER },
            })
        }
        JudgeApi::OpenAi => {
            add_key(&mut headers, AUTHORIZATION, "Bearer ", key)?;
            let limit = if model.url.host() == Some(OPENAI) { "max_completion_tokens" } else { "max_tokens" };
            json!({
                "model": model.model,
                limit: model.max_tokens,
                "messages": [
                    { "role": "system", "content": template.system },
                    { "role": "user", "content": prompt },
                ],
                "response_format": {
                    "type": "json_schema", "json_schema": { "name": ANSWER, "schema": template.schema },
                },
            })
        }
    };
    let body = Bytes::from(body.to_string());
    Some(Outgoing { method: Method::POST, url: model.url.clone(), headers, body })
}

fn add_key(headers: &mut HeaderMap, name: HeaderName, before: &str, key: Option<&str>) -> Option<()> {
    let Some(key) = key else { return Some(()) };
    let text = Zeroizing::new([before, key].concat());
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Some(())
}

/// Reads what a server said.
pub(super) fn answer(api: JudgeApi, body: &[u8]) -> Said {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Said { answer: Err(WireError::NotTheirs), tokens: None };
    };
    let count = |pointer: &str| body.pointer(pointer).and_then(Value::as_u64);
    match api {
        JudgeApi::Anthropic => Said {
            answer: anthropic(&body),
            tokens: count("/usage/input_tokens")
                .zip(count("/usage/output_tokens"))
                .map(|(input, output)| input.saturating_add(output)),
        },
        JudgeApi::OpenAi => Said { answer: openai(&body), tokens: count("/usage/total_tokens") },
    }
}

fn anthropic(body: &Value) -> Result<Value, WireError> {
    let content = body.get("content").and_then(Value::as_array).ok_or(WireError::NotTheirs)?;
    match body.get("stop_reason").and_then(Value::as_str) {
        Some("max_tokens") => return Err(WireError::Cut),
        Some("refusal") => return Err(WireError::Refused),
        _ => {}
    }
    let is = |block: &&Value, key: &str, word: &str| block.get(key).and_then(Value::as_str) == Some(word);
    let used = content.iter().find(|block| is(block, "type", "tool_use") && is(block, "name", ANSWER));
    used.and_then(|block| block.get("input")).cloned().ok_or(WireError::NotJson)
}

fn openai(body: &Value) -> Result<Value, WireError> {
    let choice = body.pointer("/choices/0").ok_or(WireError::NotTheirs)?;
    let message = choice.get("message").ok_or(WireError::NotTheirs)?;
    match choice.get("finish_reason").and_then(Value::as_str) {
        Some("length") => return Err(WireError::Cut),
        Some("content_filter") => return Err(WireError::Refused),
        _ => {}
    }
    if message.get("refusal").is_some_and(|refusal| !refusal.is_null()) {
        return Err(WireError::Refused);
    }
    let text = message.get("content").and_then(Value::as_str).ok_or(WireError::NotTheirs)?;
    serde_json::from_str(text).map_err(|_| WireError::NotJson)
}
