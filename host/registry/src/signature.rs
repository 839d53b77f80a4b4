//! Signatures as cosign's key mode stores them.
//!
//! Beside an artifact: a manifest under the tag `sha256-<hex of the artifact's manifest>.sig`, each layer a payload in the
//! "simple signing" form with its signature in an annotation. Beside a file: base64 over the bytes of the file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::keys::PublicKey;

/// What is behind a file's name to name its signature.
pub const SIGNATURE_SUFFIX: &str = ".sig";

/// Media type of a payload.
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotation of its layer with the signature in base64.
pub(crate) const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// What a payload says that it is.
const PAYLOAD_KIND: &str = "cosign container image signature";
/// Most signatures of one artifact that are looked at.
pub(crate) const MOST_SIGNATURES: usize = 32;
/// Largest payload, in bytes.
pub(crate) const LARGEST_PAYLOAD: u64 = 64 << 10;

/// One signature and what it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Exactly the signed bytes.
    pub payload: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// A signature in the cache.
#[derive(Serialize, Deserialize)]
struct Kept {
    payload: String,
    signature: String,
}

/// The tag under which the signatures of a manifest are.
pub(crate) fn tag(manifest: Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

/// What is signed for a manifest in a repository.
pub(crate) fn payload(repository: &str, manifest: Digest) -> Vec<u8> {
    json!({
        "critical": {
            "identity": { "docker-reference": repository },
            "image": { "docker-manifest-digest": manifest },
            "type": PAYLOAD_KIND,
        },
        "optional": null,
    })
    .to_string()
    .into_bytes()
}

/// The manifest that a payload is about. Its repository is not looked at: copies of a plugin keep their signatures.
fn about(payload: &[u8]) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Payload {
        critical: Critical,
    }
    #[derive(Deserialize)]
    struct Critical {
        image: Image,
        r#type: String,
    }
    #[derive(Deserialize)]
    struct Image {
        #[serde(rename = "docker-manifest-digest")]
        digest: String,
    }
    let Payload { critical } = serde_json::from_slice(payload).ok()?;
    (critical.r#type == PAYLOAD_KIND).then(|| critical.image.digest.parse().ok())?
}

/// What signatures say of a manifest.
pub(crate) struct Checked {
    /// Ids of the keys that signed it.
    pub good: Vec<Digest>,
    /// Name of a key that signed another manifest, whose signature lies here.
    pub elsewhere: Option<String>,
}

/// Checks signatures of a manifest against keys.
pub(crate) fn check(signatures: &[Signature], manifest: Digest, keys: &[PublicKey]) -> Checked {
    let mut checked = Checked { good: Vec::new(), elsewhere: None };
    for key in keys {
        for one in signatures.iter().filter(|one| key.verifies(&one.payload, &one.signature)) {
            if about(&one.payload) == Some(manifest) {
                checked.good.push(key.id());
                break;
            }
            checked.elsewhere = Some(key.name().to_owned());
        }
    }
    checked.good.sort_unstable();
    checked.good.dedup();
    checked
}

/// Signatures as they are kept in the cache.
pub(crate) fn to_json(signatures: &[Signature]) -> Vec<u8> {
    let kept =
        |one: &Signature| Kept { payload: STANDARD.encode(&one.payload), signature: STANDARD.encode(&one.signature) };
    let kept: Vec<Kept> = signatures.iter().map(kept).collect();
    serde_json::to_vec(&kept).unwrap_or_default()
}

/// Signatures out of the cache; none if it cannot be read. They are checked against keys at every use.
pub(crate) fn from_json(bytes: &[u8]) -> Vec<Signature> {
    let kept: Vec<Kept> = serde_json::from_slice(bytes).unwrap_or_default();
    let read = |one: Kept| {
        Some(Signature { payload: STANDARD.decode(one.payload).ok()?, signature: STANDARD.decode(one.signature).ok()? })
    };
    kept.into_iter().take(MOST_SIGNATURES).filter_map(read).collect()
}

/// The signature in a `.sig` file or an annotation; cosign writes no line break, editors do.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyKind, PrivateKey, generate};

    #[test]
    fn a_signature_is_good_for_its_own_manifest_only() {
        let (key, other) = (generate(KeyKind::Ed25519, None).unwrap(), generate(KeyKind::EcdsaP256, None).unwrap());
        let public = |pem: &str| PublicKey::from_pem("k", pem).unwrap();
        let manifest = Digest::of(b"manifest");
        let private = PrivateKey::from_pem("k", &key.0, None).unwrap();
        let payload = payload("host/repo", manifest);
        let one = Signature { signature: private.sign(&payload).unwrap(), payload };
        let signatures = from_json(&to_json(std::slice::from_ref(&one)));
        assert_eq!(signatures, std::slice::from_ref(&one));
        assert_eq!(check(&signatures, manifest, &[public(&key.1)]).good, [public(&key.1).id()]);
        assert!(check(&signatures, manifest, &[public(&other.1)]).good.is_empty());
        let moved = check(&signatures, Digest::of(b"another"), &[public(&key.1)]);
        assert!(moved.good.is_empty() && moved.elsewhere.is_some());
        // Any signed text is not yet a statement about a plugin.
        let digest = manifest.to_string();
        for text in [
            format!(
                r#"{{"critical":{{"image":{{"docker-manifest-digest":"{digest}"}},"type":"atomic container signature"}}}}"#
            ),
            digest,
            String::new(),
        ] {
            let payload = text.into_bytes();
            let odd = Signature { signature: private.sign(&payload).unwrap(), payload };
            assert!(check(&[odd], manifest, &[public(&key.1)]).good.is_empty());
        }
    }
}
