//! What a client keeps for us between two requests (`requestState`), so that nobody can read, change or make it.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use portcullis_model::Digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How our own states begin. What begins otherwise is the upstream's.
const PREFIX: &str = "portcullis.1.";
/// Bound to every state, so that the key serves nothing else.
const PURPOSE: &[u8] = b"portcullis mcp requestState 1";
/// Bytes of a random nonce.
const NONCE: usize = 24;
/// Most bytes of what is wrapped.
const MAX_WRAPPED: usize = 256 * 1024;

/// A key for states.
#[derive(Clone)]
pub struct Seal(Arc<XChaCha20Poly1305>);

/// What is in a state.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) tenant: Arc<str>,
    pub(super) agent: Arc<str>,
    pub(super) approval: Uuid,
    /// Of the call: the upstream, the tool and the arguments are in it.
    pub(super) digest: Digest,
    /// Milliseconds since the Unix epoch.
    pub(super) expires_ms: u64,
    /// The upstream's own state that came with the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) wrapped: Option<String>,
    /// The answers to the upstream's questions that came with it, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) responses: Option<String>,
}

impl Seal {
    /// With this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Arc::new(XChaCha20Poly1305::new(key.into())))
    }

    /// Seals a state; none if it would be too large for a client to carry.
    pub(super) fn seal(&self, state: &State) -> Option<String> {
        let plain = serde_json::to_vec(state).ok().filter(|plain| plain.len() <= MAX_WRAPPED)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let sealed = self.0.encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: PURPOSE }).ok()?;
        Some([PREFIX, &BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())].concat())
    }

    /// What is in a state of ours; none if it was not sealed here, or was changed.
    pub(super) fn open(&self, text: &str) -> Option<State> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let plain = self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: PURPOSE }).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}

/// A key that nobody else has, and that is forgotten with the process.
impl Default for Seal {
    fn default() -> Self {
        let mut key = [0; 32];
        // Two random ids: without the system's own random numbers these do not come, either.
        let (first, second) = key.split_at_mut(16);
        first.copy_from_slice(Uuid::new_v4().as_bytes());
        second.copy_from_slice(Uuid::new_v4().as_bytes());
        Self::new(&key)
    }
}

/// Whether a state says that it is ours.
pub(super) fn is_ours(state: &str) -> bool {
    state.starts_with(PREFIX)
}

#[cfg(test)]
mod tests;
