//! An incoming webhook of a chat: one JSON member with text.

use bytes::Bytes;
use hyper::Uri;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::json;

use super::telling::{Telling, fitting};
use super::{SendError, accepted};
use crate::outbound::Targets;

/// Most bytes: the smallest room that a common chat gives.
const MAX_TEXT: usize = 1_900;

pub(super) async fn send(targets: &Targets, url: &Uri, field: &str, telling: &Telling<'_>) -> Result<(), SendError> {
    let body = json!({ (field): text(telling) }).to_string();
    accepted(&targets.post(url, json_headers(), Bytes::from(body)).await?)
}

pub(super) fn json_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// Lines with what agents and plugins chose in quotes that chats take as it is: it makes no link and calls nobody.
fn text(telling: &Telling<'_>) -> String {
    let facts = telling.facts().into_iter().map(|(name, value)| format!("{name}: {}", quoted(&value)));
    let mut text = fitting(std::iter::once(telling.title().to_owned()).chain(facts), MAX_TEXT);
    if let Some(link) = telling.link.as_ref().filter(|_| telling.is_open()) {
        text.push_str(&format!("\nDecide: {link}"));
    }
    text
}

/// Between backticks, which most chats take for plain text; and no `@name` in any of them.
fn quoted(value: &str) -> String {
    format!("`{}`", value.replace('`', "'").replace('@', "(at)"))
}
