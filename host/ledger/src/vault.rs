//! Keys at rest, and everything that is done with them.
//!
//! `keys/master` wraps one random key per tenant in `keys/tenants/`; from a tenant's key four are derived: for binding
//! calls, for salts, for evidence and for kept answers. Destroying a tenant's key file makes all four unrecoverable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use portcullis_model::{Digest, Entry};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::folder::{replace_file, sync_folder};
use crate::layout::TenantId;

/// Bytes of a salt.
pub(crate) const SALT: usize = 16;
/// First byte of everything sealed.
const SEALED: u8 = 1;
const NONCE: usize = 24;
const KEY_ID: usize = 8;

/// Why keys, or something sealed with them, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file system refused.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The master key is missing although there are logs.
    #[error(
        "{} is missing although the ledger holds entries: restore it from the backup; without it nothing sealed can be opened",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A key file is not what was written.
    #[error("{} is damaged or was not written with this master key", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(String),
    /// It was sealed under a key that was destroyed.
    #[error("it was sealed under a key that no longer exists")]
    KeyGone,
    /// The sealed bytes were changed, moved or cut.
    #[error("the sealed bytes were changed, moved or cut")]
    Unsealed,
    /// Encryption failed, for which there is no known reason.
    #[error("encryption failed")]
    Seal,
}

/// The master key's doings.
pub(crate) struct Vault {
    folder: PathBuf,
    wrap: XChaCha20Poly1305,
    heads: Hmac<Sha256>,
    records: Sealer,
}

/// One tenant's keys.
pub(crate) struct TenantKeys {
    binding: Hmac<Sha256>,
    salt: Hmac<Sha256>,
    evidence: Sealer,
    answers: Sealer,
}

/// Authenticated encryption with a random nonce and the key's name in front.
struct Sealer {
    cipher: XChaCha20Poly1305,
    id: [u8; KEY_ID],
}

impl Vault {
    /// Opens the folder of keys; makes the master key if there is none and `fresh` says that nothing can depend on it.
    pub(crate) fn open(folder: &Path, fresh: bool) -> Result<Self, VaultError> {
        let tenants = folder.join("tenants");
        if !tenants.exists() {
            let create = |path: &Path| {
                fs::create_dir_all(path)?;
                fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
                sync_folder(folder)?;
                folder.parent().map_or(Ok(()), sync_folder)
            };
            create(&tenants).map_err(|source| file_error(&tenants, "creating the folder", source))?;
        }
        let path = folder.join("master");
        let master = match read_secret(&path)? {
            Some(text) => parse_key(&text).ok_or(VaultError::Damaged { path })?,
            None if fresh => {
                let key: [u8; 32] = random()?;
                write_secret(&path, format!("{}\n", Digest(key).hex()).as_bytes())?;
                key
            }
            None => return Err(VaultError::Missing { path }),
        };
        Ok(Self {
            folder: tenants,
            wrap: XChaCha20Poly1305::new(&derive(&master, b"portcullis wrap 1").into()),
            heads: mac(&derive(&master, b"portcullis heads 1")),
            records: Sealer::new(&derive(&master, b"portcullis records 1")),
        })
    }

    /// A tenant's keys, made at the first use.
    pub(crate) fn tenant(&self, id: TenantId) -> Result<TenantKeys, VaultError> {
        let path = self.path(id);
        // A key that was overwritten is gone, also if another one could not be made at once.
        let kept = read_secret(&path)?.filter(|bytes| bytes.iter().any(|byte| *byte != 0));
        let Some(bytes) = kept else { return self.make(id) };
        let damaged = || VaultError::Damaged { path: path.clone() };
        let (&version, rest) = bytes.split_first().ok_or_else(damaged)?;
        let (nonce, wrapped) = rest.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        if version != SEALED {
            return Err(damaged());
        }
        let payload = Payload { msg: wrapped, aad: &id.0 };
        let key = self.wrap.decrypt(&XNonce::from(*nonce), payload).map_err(|_| damaged())?;
        Ok(TenantKeys::new(&key.try_into().map_err(|_| damaged())?))
    }

    /// Destroys a tenant's key, overwriting it in place, and makes another.
    pub(crate) fn replace(&self, id: TenantId) -> Result<TenantKeys, VaultError> {
        let path = self.path(id);
        if path.exists() {
            let wipe = || {
                let mut file = OpenOptions::new().write(true).open(&path)?;
                let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
                file.write_all(&vec![0; length])?;
                file.sync_all()
            };
            wipe().map_err(|source| file_error(&path, "overwriting the key", source))?;
        }
        self.make(id)
    }

    /// HMAC over the head file.
    pub(crate) fn head_mac(&self, text: &[u8]) -> Digest {
        Digest(self.heads.clone().chain_update(text).finalize().into_bytes().into())
    }

    /// Seals the value of a record.
    pub(crate) fn seal_record(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.records.seal(value, key)
    }

    /// Opens the value of a record.
    pub(crate) fn open_record(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.records.open(sealed, key)
    }

    fn make(&self, id: TenantId) -> Result<TenantKeys, VaultError> {
        let key: [u8; 32] = random()?;
        let nonce: [u8; NONCE] = random()?;
        let payload = Payload { msg: &key, aad: &id.0 };
        let wrapped = self.wrap.encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Seal)?;
        write_secret(&self.path(id), &[&[SEALED][..], &nonce, &wrapped].concat())?;
        Ok(TenantKeys::new(&key))
    }

    fn path(&self, id: TenantId) -> PathBuf {
        self.folder.join(format!("{}.key", id.hex()))
    }
}

impl TenantKeys {
    fn new(key: &[u8; 32]) -> Self {
        Self {
            binding: mac(&derive(key, b"portcullis binding 1")),
            salt: mac(&derive(key, b"portcullis salt 1")),
            evidence: Sealer::new(&derive(key, b"portcullis evidence 1")),
            answers: Sealer::new(&derive(key, b"portcullis answers 1")),
        }
    }

    /// What an entry says of its call: equal calls look equal to the tenant, and nobody else can test a guess.
    pub(crate) fn bind(&self, call: &Digest) -> Digest {
        Digest(self.binding.clone().chain_update(call.0).finalize().into_bytes().into())
    }

    /// The salt of an entry's commitment.
    pub(crate) fn salt(&self, entry: &Entry) -> [u8; SALT] {
        // Callers choose ids, and may use one again for a call that was refused.
        let place = [&[entry.kind as u8, entry.phase as u8][..], &entry.time_ms.to_be_bytes()].concat();
        let mac: [u8; 32] =
            self.salt.clone().chain_update(entry.id.as_bytes()).chain_update(place).finalize().into_bytes().into();
        let mut salt = [0; SALT];
        salt.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        salt
    }

    /// Seals the payload of an entry, bound to the entry: its tenant, id, kind, phase and commitment.
    pub(crate) fn seal_evidence(&self, tenant: TenantId, entry: &Entry, payload: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.evidence.seal(payload, &evidence_place(tenant, entry))
    }

    /// Opens the payload of an entry.
    pub(crate) fn open_evidence(&self, tenant: TenantId, entry: &Entry, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.evidence.open(sealed, &evidence_place(tenant, entry))
    }

    /// Under which id it is kept what plugins were told. Nobody else can make it: ids of other kept answers are chosen by callers.
    pub(crate) fn told_id(&self, digest: &Digest) -> Uuid {
        let mac =
            self.binding.clone().chain_update(b"portcullis told 1").chain_update(digest.0).finalize().into_bytes();
        let mut id = [0; 16];
        id.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        Uuid::from_bytes(id)
    }

    /// Seals a kept answer.
    pub(crate) fn seal_answer(&self, tenant: TenantId, id: Uuid, answer: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.answers.seal(answer, &[&tenant.0[..], id.as_bytes()].concat())
    }

    /// Opens a kept answer.
    pub(crate) fn open_answer(&self, tenant: TenantId, id: Uuid, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.answers.open(sealed, &[&tenant.0[..], id.as_bytes()].concat())
    }
}

impl Sealer {
    fn new(key: &[u8; 32]) -> Self {
        let name = derive(key, b"portcullis key id 1");
        let mut id = [0; KEY_ID];
        id.iter_mut().zip(name).for_each(|(to, from)| *to = from);
        Self { cipher: XChaCha20Poly1305::new(&(*key).into()), id }
    }

    fn seal(&self, plain: &[u8], place: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE] = random()?;
        let payload = Payload { msg: plain, aad: place };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Seal)?;
        Ok([&[SEALED][..], &self.id, &nonce, &sealed].concat())
    }

    fn open(&self, sealed: &[u8], place: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (&version, rest) = sealed.split_first().ok_or(VaultError::Unsealed)?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID>().ok_or(VaultError::Unsealed)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(VaultError::Unsealed)?;
        if version != SEALED {
            return Err(VaultError::Unsealed);
        }
        if *id != self.id {
            return Err(VaultError::KeyGone);
        }
        let payload = Payload { msg: rest, aad: place };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::Unsealed)
    }
}

/// SHA-256 over salt and canonical payload: what an entry carries as its commitment.
pub(crate) fn commitment(salt: &[u8; SALT], canonical: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update(salt).chain_update(canonical).finalize().into())
}

fn evidence_place(tenant: TenantId, entry: &Entry) -> Vec<u8> {
    let place = [entry.kind as u8, entry.phase as u8];
    [&tenant.0[..], entry.id.as_bytes(), &place, &entry.commitment.unwrap_or_default().0].concat()
}

fn derive(key: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    // 32 bytes are far below the most that HKDF gives, which is its only error.
    let result = Hkdf::<Sha256>::new(None, key).expand(purpose, &mut out);
    debug_assert!(result.is_ok());
    out
}

fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC pads a short key with zeros itself; given a whole block there is no length to be wrong.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    <Hmac<Sha256> as hmac::KeyInit>::new(&block.into())
}

fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|error| VaultError::Random(error.to_string()))?;
    Ok(out)
}

fn parse_key(text: &[u8]) -> Option<[u8; 32]> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    format!("sha256:{text}").parse::<Digest>().ok().map(|digest| digest.0)
}

fn read_secret(path: &Path) -> Result<Option<Vec<u8>>, VaultError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(path, "opening", error)),
    };
    let mode = file.metadata().map_err(|error| file_error(path, "reading", error))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "a key file can be read by other users: chmod 600 it");
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| file_error(path, "reading", error))?;
    Ok(Some(bytes))
}

fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let write = |file: &mut OpenOptions| {
        file.mode(0o600);
    };
    replace_file(path, bytes, write).map_err(|source| file_error(path, "writing", source))
}

fn file_error(path: &Path, what: &'static str, source: io::Error) -> VaultError {
    VaultError::File { path: path.to_owned(), what, source }
}

#[cfg(test)]
mod tests;
