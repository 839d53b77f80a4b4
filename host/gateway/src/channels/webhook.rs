//! A webhook for programs: JSON, signed with a shared secret.

use bytes::Bytes;
use hyper::Uri;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use portcullis_approvals::Message;

use super::{SendError, accepted};
use crate::outbound::Targets;
use crate::signature::hmac_hex;

/// Id of the message, the same at every try.
static ID: HeaderName = HeaderName::from_static("x-portcullis-message");
/// Seconds since the Unix epoch at which this try was signed.
static TIMESTAMP: HeaderName = HeaderName::from_static("x-portcullis-timestamp");
/// `v1=` and HMAC-SHA256 over timestamp, a dot and the body, in hexadecimal.
static SIGNATURE: HeaderName = HeaderName::from_static("x-portcullis-signature");
/// Which try it is, from 1.
static ATTEMPT: HeaderName = HeaderName::from_static("x-portcullis-attempt");

/// Sends a body, signed now.
pub(super) async fn send(
    targets: &Targets,
    url: &Uri,
    key: &[u8],
    message: &Message,
    body: Vec<u8>,
    now_ms: u64,
) -> Result<(), SendError> {
    let timestamp = (now_ms / 1000).to_string();
    let signature = format!("v1={}", hmac_hex(key, &[timestamp.as_bytes(), b".", &body]));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let id = message.id.to_string();
    let attempt = message.attempts.saturating_add(1).to_string();
    for (name, text) in [(&ID, &id), (&TIMESTAMP, &timestamp), (&SIGNATURE, &signature), (&ATTEMPT, &attempt)] {
        // Digits, letters and signs that a header may have.
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name.clone(), value);
        }
    }
    accepted(&targets.post(url, headers, Bytes::from(body)).await?)
}
