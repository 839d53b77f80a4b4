//! Keys of signatures: ECDSA P-256 with SHA-256, and Ed25519, in the PEM forms that cosign and openssl write.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use pem::Pem;
use portcullis_model::Digest;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files;

/// What stands before the point in a P-256 public key (RFC 5480), and before the key in an Ed25519 one (RFC 8410).
const P256_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What stands before the seed in an Ed25519 private key (RFC 8410).
const ED25519_PRIVATE_HEAD: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Largest key file, in bytes.
const LARGEST: u64 = 64 << 10;

/// What cosign calls its encrypted keys, now and before.
const ENCRYPTED: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

/// A key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {why}")]
pub struct KeyError {
    /// File or name of the key.
    pub name: String,
    /// Why not, and what to do.
    pub why: String,
}

/// Kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA over P-256 with SHA-256: what cosign makes.
    EcdsaP256,
    /// Ed25519 over the bytes themselves.
    Ed25519,
}

/// A key that signatures are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: Arc<str>,
    kind: KeyKind,
    /// The point or key without its head.
    key: Vec<u8>,
}

/// A key that signs.
pub struct PrivateKey {
    name: String,
    pair: Pair,
}

enum Pair {
    P256(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl KeyKind {
    /// Its name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// A small file's text. Wiped, since it may be a private key.
fn read(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let fail = |why: String| KeyError { name: path.display().to_string(), why };
    files::read_text(path, LARGEST).map_err(|error| fail(format!("cannot be read: {error}")))
}

impl PublicKey {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// It cannot be read, or is no P-256 or Ed25519 public key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let name =
            path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        Self::from_pem(&name, &read(path)?)
            .map_err(|error| KeyError { name: path.display().to_string(), why: error.why })
    }

    /// Reads PEM. The name is for messages.
    ///
    /// # Errors
    /// It is no P-256 or Ed25519 public key.
    pub fn from_pem(name: &str, text: &str) -> Result<Self, KeyError> {
        let fail = |why: String| KeyError { name: name.to_owned(), why };
        let block = pem::parse(text.trim_ascii())
            .map_err(|_| fail("is no PEM file with one public key (BEGIN PUBLIC KEY)".to_owned()))?;
        if block.tag() != "PUBLIC KEY" {
            let tag = block.tag();
            let hint =
                if tag.contains("PRIVATE") { "; name the public key, and keep the private one elsewhere" } else { "" };
            return Err(fail(format!("holds a {tag}, not a PUBLIC KEY{hint}")));
        }
        let der = block.contents();
        let key = |kind, key: &[u8]| Self { name: name.into(), kind, key: key.to_vec() };
        match (der.strip_prefix(P256_HEAD), der.strip_prefix(ED25519_HEAD)) {
            (Some(point), _) if point.len() == 65 && point.first() == Some(&4) => Ok(key(KeyKind::EcdsaP256, point)),
            (_, Some(bytes)) if bytes.len() == 32 => Ok(key(KeyKind::Ed25519, bytes)),
            _ => Err(fail("is neither an ECDSA P-256 nor an Ed25519 key; others are not known".to_owned())),
        }
    }

    /// PEM, as cosign and openssl read it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&Pem::new("PUBLIC KEY", self.der()), config)
    }

    /// SHA-256 of its DER form: what the lock file calls it.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of(&self.der())
    }

    /// Its file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether this key made the signature over exactly these bytes.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.kind {
            KeyKind::EcdsaP256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.key).verify(message, signature).is_ok()
            }
            KeyKind::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.key).verify(message, signature).is_ok(),
        }
    }

    fn der(&self) -> Vec<u8> {
        let head = match self.kind {
            KeyKind::EcdsaP256 => P256_HEAD,
            KeyKind::Ed25519 => ED25519_HEAD,
        };
        [head, &self.key].concat()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({}, {})", self.name, self.id())
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({}, …)", self.name)
    }
}

impl PrivateKey {
    /// Reads a PEM file: PKCS #8, or encrypted by cosign.
    ///
    /// # Errors
    /// It cannot be read, is another kind of key, or the password is missing or wrong.
    pub fn read(path: &Path, password: Option<&str>) -> Result<Self, KeyError> {
        Self::from_pem(&path.display().to_string(), &read(path)?, password)
    }

    /// Reads PEM. The name is for messages.
    ///
    /// # Errors
    /// It is another kind of key, or the password is missing or wrong.
    pub fn from_pem(name: &str, text: &str, password: Option<&str>) -> Result<Self, KeyError> {
        let fail = |why: String| KeyError { name: name.to_owned(), why };
        let block =
            pem::parse(text.trim_ascii()).map_err(|_| fail("is no PEM file with one private key".to_owned()))?;
        let (tag, contents) = (block.tag().to_owned(), Zeroizing::new(block.into_contents()));
        let der = match tag.as_str() {
            "PRIVATE KEY" => contents,
            tag if ENCRYPTED.contains(&tag) => {
                let password = password.ok_or_else(|| {
                    fail("is encrypted: set COSIGN_PASSWORD, to nothing where it has an empty password".to_owned())
                })?;
                decrypt(&contents, password).map_err(fail)?
            }
            "PUBLIC KEY" => return Err(fail("is a public key; signing needs the private one".to_owned())),
            "EC PRIVATE KEY" => {
                return Err(fail(
                    "is in SEC 1 form; make PKCS #8 of it: openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.p8"
                        .to_owned(),
                ));
            }
            tag => {
                return Err(fail(format!(
                    "holds a {tag}; known are PRIVATE KEY (PKCS #8) and cosign's encrypted form"
                )));
            }
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &SystemRandom::new());
        let pair = match pair {
            Ok(pair) => Pair::P256(Box::new(pair)),
            Err(_) => Pair::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| {
                fail("is neither an ECDSA P-256 nor an Ed25519 key in PKCS #8; others are not known".to_owned())
            })?),
        };
        Ok(Self { name: name.to_owned(), pair })
    }

    /// The other half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let (kind, key) = match &self.pair {
            Pair::P256(pair) => (KeyKind::EcdsaP256, pair.public_key().as_ref().to_vec()),
            Pair::Ed25519(pair) => (KeyKind::Ed25519, pair.public_key().as_ref().to_vec()),
        };
        PublicKey { name: self.name.as_str().into(), kind, key }
    }

    /// Signs bytes.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.pair {
            Pair::P256(pair) => match pair.sign(&SystemRandom::new(), message) {
                Ok(signature) => Ok(signature.as_ref().to_vec()),
                Err(_) => Err(KeyError { name: self.name.clone(), why: "cannot sign: no random numbers".to_owned() }),
            },
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// A new key pair: the private key's PEM, encrypted as cosign does it if there is a password, and the public key's.
///
/// # Errors
/// The system gives no random numbers.
pub fn generate(kind: KeyKind, password: Option<&str>) -> Result<(Zeroizing<String>, String), KeyError> {
    let fail = || KeyError { name: "a new key".to_owned(), why: "the system gives no random numbers".to_owned() };
    let der = Zeroizing::new(match kind {
        KeyKind::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| fail())?
            .as_ref()
            .to_vec(),
        // Not ring's own: that is PKCS #8 version 2, which openssl does not read.
        KeyKind::Ed25519 => {
            let mut seed = Zeroizing::new([0_u8; 32]);
            getrandom::fill(seed.as_mut_slice()).map_err(|_| fail())?;
            [ED25519_PRIVATE_HEAD, seed.as_slice()].concat()
        }
    });
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let block = match password {
        None => Pem::new("PRIVATE KEY", der.to_vec()),
        Some(password) => {
            let sealed = encrypt(&der, password).map_err(|why| KeyError { name: "a new key".to_owned(), why })?;
            Pem::new(ENCRYPTED[0], sealed)
        }
    };
    let private = Zeroizing::new(pem::encode_config(&block, config));
    let public = PrivateKey::from_pem("a new key", &private, password)?.public().to_pem();
    Ok((private, public))
}

/// Cosign's encrypted form: scrypt makes a key of the password, NaCl's secretbox seals the PKCS #8 bytes.
#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Memory that a key file may make scrypt take, in bytes: 128 N r.
const MOST_SCRYPT: u64 = 512 << 20;

fn stretch(password: &str, salt: &[u8], params: &Params) -> Result<Zeroizing<[u8; 32]>, String> {
    let Params { n, r, p } = *params;
    let memory = n.checked_mul(u64::from(r)).and_then(|memory| memory.checked_mul(128));
    let modest = memory.is_some_and(|memory| memory <= MOST_SCRYPT) && (1..=16).contains(&p);
    if !n.is_power_of_two() || !modest {
        return Err("its scrypt parameters are out of bounds".to_owned());
    }
    let wrong = || "its scrypt parameters cannot be used".to_owned();
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| wrong())?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| wrong())?;
    let mut key = Zeroizing::new([0_u8; 32]);
    scrypt::scrypt(password.as_bytes(), salt, &params, key.as_mut_slice()).map_err(|_| wrong())?;
    Ok(key)
}

fn secretbox(key: &[u8; 32]) -> XSalsa20Poly1305 {
    XSalsa20Poly1305::new(key.into())
}

fn decrypt(json: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let sealed: Sealed = serde_json::from_slice(json).map_err(|_| "its encryption cannot be read".to_owned())?;
    if sealed.kdf.name != "scrypt" || sealed.cipher.name != "nacl/secretbox" {
        return Err("it is encrypted by something else than scrypt and nacl/secretbox".to_owned());
    }
    let bytes = |text: &str| STANDARD.decode(text).map_err(|_| "its encryption is no base64".to_owned());
    let nonce: [u8; 24] =
        bytes(&sealed.cipher.nonce)?.try_into().map_err(|_| "its nonce has another length than 24".to_owned())?;
    let key = stretch(password, &bytes(&sealed.kdf.salt)?, &sealed.kdf.params)?;
    let opened = secretbox(&key).decrypt(Nonce::from_slice(&nonce), bytes(&sealed.ciphertext)?.as_slice());
    opened.map(Zeroizing::new).map_err(|_| "the password in COSIGN_PASSWORD is not that of this key".to_owned())
}

fn encrypt(der: &[u8], password: &str) -> Result<Vec<u8>, String> {
    let no_random = |_| "the system gives no random numbers".to_owned();
    let (mut salt, mut nonce) = ([0_u8; 32], [0_u8; 24]);
    getrandom::fill(&mut salt).map_err(no_random)?;
    getrandom::fill(&mut nonce).map_err(no_random)?;
    let params = Params { n: 1 << 16, r: 8, p: 1 };
    let key = stretch(password, &salt, &params)?;
    let sealed = secretbox(&key).encrypt(Nonce::from_slice(&nonce), der).map_err(|_| "cannot encrypt".to_owned())?;
    let sealed = Sealed {
        kdf: Kdf { name: "scrypt".to_owned(), params, salt: STANDARD.encode(salt) },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(sealed),
    };
    serde_json::to_vec(&sealed).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
