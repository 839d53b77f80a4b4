//! What is kept of a tool: five numbers, and only where its definition says something else than its name.

use plugin_effect::{Effect, Effects};
use portcullis_plugin::{log, state};
use sha2::{Digest as _, Sha256};

/// The beginning of the keys; its number is the version of the form.
const PREFIX: &str = "effect/1/";
/// Bytes of the digest in a key.
const DIGEST: usize = 16;
/// What no list named for so long is forgotten: 30 days.
const TTL_SECONDS: u32 = 30 * 24 * 60 * 60;

/// The key of a tool: one length, whatever the names are.
pub(crate) fn key(upstream: &str, tool: &str) -> String {
    let mut digest = Sha256::new();
    // The length keeps `ab` and `c` from `a` and `bc`.
    digest.update((upstream.len() as u64).to_be_bytes());
    digest.update(upstream.as_bytes());
    digest.update(tool.as_bytes());
    let mut out = PREFIX.to_owned();
    for byte in digest.finalize().iter().take(DIGEST) {
        for half in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    out
}

/// Percent of each effect, in their order.
fn packed(effects: Effects) -> [u8; 5] {
    Effect::ALL.map(|effect| (effects.score(effect) * 100.0).round() as u8)
}

fn unpacked(bytes: &[u8]) -> Option<Effects> {
    let percent: [u8; 5] = bytes.try_into().ok()?;
    let mut out = Effects::default();
    for (effect, percent) in Effect::ALL.into_iter().zip(percent) {
        out.raise(effect, f32::from(percent) / 100.0);
    }
    Some(out)
}

/// Remembers a tool, if its name does not say as much, and writes only what changed.
pub(crate) fn keep(upstream: &str, tool: &str, effects: Effects, by_name: Effects) -> Result<(), String> {
    let key = key(upstream, tool);
    let old = state::get(&key)?;
    let value = packed(effects);
    let value = (value != packed(by_name)).then_some(value);
    let value = value.as_ref().map(<[u8; 5]>::as_slice);
    if old.as_deref() == value {
        return Ok(());
    }
    // Somebody else who wrote meanwhile has read a list as well: the next one sets it right.
    if state::replace(&key, old.as_deref(), value, TTL_SECONDS).is_err() {
        log::warn("there is no room for what a tool does: its name decides");
    }
    Ok(())
}

/// What is remembered; none for a tool whose name says it, or that was in no list.
pub(crate) fn recall(upstream: &str, tool: &str) -> Result<Option<Effects>, String> {
    Ok(state::get(&key(upstream, tool))?.as_deref().and_then(unpacked))
}
