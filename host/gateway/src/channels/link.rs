//! Decision links and buttons: what they are bound to, signed with the server's own key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use portcullis_model::Digest;
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::signature::hmac;

/// Version of the form below, its first byte.
const VERSION: u8 = 1;
/// Bytes of the signature at the end.
const SIGNATURE: usize = 32;
/// Longest text that is looked at.
const MAX_TEXT: usize = 1024;

/// The key that links and buttons are signed with.
#[derive(Clone)]
pub struct LinkKey(Zeroizing<[u8; 32]>);

/// What holds for a sealed text: a link is no button, although both are signed with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Whoever has it decides as an operator.
    Link,
    /// Whoever presses it is known by the one who tells.
    Button,
}

/// What a link or button is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Owner of the approval.
    pub(crate) tenant: String,
    /// The approval.
    pub(crate) approval: Uuid,
    /// The call that was shown.
    pub(crate) digest: Digest,
    /// The operator that decides by a link; the channel that shows a button.
    pub(crate) by: String,
    /// Milliseconds since the Unix epoch from which on it is good for nothing.
    pub(crate) expires_ms: u64,
}

impl LinkKey {
    /// This key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Text of letters, digits, `-` and `_` that only this key makes.
    pub(crate) fn seal(&self, purpose: Purpose, bound: &Bound) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(bound.expires_ms.to_be_bytes());
        bytes.extend(bound.approval.as_bytes());
        bytes.extend(bound.digest.0);
        for text in [&bound.tenant, &bound.by] {
            // Names have at most 256 bytes; a longer one would not open again.
            bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        let signature = self.mac(purpose, &bytes).finalize().into_bytes();
        bytes.extend(signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What was sealed; none if this key did not make it for this purpose. Compared in constant time.
    pub(crate) fn open(&self, purpose: Purpose, text: &str) -> Option<Bound> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (signed, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE)?)?;
        self.mac(purpose, signed).verify_slice(signature).ok()?;
        let (&VERSION, rest) = signed.split_first()? else { return None };
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (approval, rest) = rest.split_first_chunk::<16>()?;
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        let (tenant, rest) = text_of(rest)?;
        let (by, rest) = text_of(rest)?;
        rest.is_empty().then(|| Bound {
            tenant,
            approval: Uuid::from_bytes(*approval),
            digest: Digest(*digest),
            by,
            expires_ms: u64::from_be_bytes(*expires),
        })
    }

    fn mac(&self, purpose: Purpose, bytes: &[u8]) -> Hmac<Sha256> {
        let label: &[u8] = match purpose {
            Purpose::Link => b"portcullis decision link\0",
            Purpose::Button => b"portcullis decision button\0",
        };
        hmac(&*self.0, &[label, bytes])
    }
}

fn text_of(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Bound {
        Bound {
            tenant: "acme".into(),
            approval: Uuid::from_u128(7),
            digest: Digest::of(b"call"),
            by: "ann".into(),
            expires_ms: 1_800_000_000_000,
        }
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_only() {
        let key = LinkKey::new([7; 32]);
        let text = key.seal(Purpose::Link, &bound());
        assert_eq!(key.open(Purpose::Link, &text), Some(bound()));
        assert_eq!(key.open(Purpose::Button, &text), None);
        assert_eq!(LinkKey::new([8; 32]).open(Purpose::Link, &text), None);
        assert!(text.len() < 250, "{}", text.len());
    }

    #[test]
    fn no_changed_character_opens() {
        let key = LinkKey::new([7; 32]);
        let text = key.seal(Purpose::Link, &bound());
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(key.open(Purpose::Link, std::str::from_utf8(&changed).unwrap()), None, "at {at}");
            assert_eq!(key.open(Purpose::Link, &text[..at]), None, "cut at {at}");
        }
        for text in ["", "A", "====", "…", &text.replace('-', "+"), &format!("{text}A"), &"A".repeat(100_000)] {
            if text != key.seal(Purpose::Link, &bound()) {
                assert_eq!(key.open(Purpose::Link, text), None, "{text}");
            }
        }
    }
}
