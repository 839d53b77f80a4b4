//! From a reference to a trusted plugin's bytes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_model::Digest;

use crate::MAX_PLUGIN_BYTES;
use crate::cache::{self, Cache};
use crate::credentials::{self, HostSettings};
use crate::distribution::{Access, Session};
use crate::error::Error;
use crate::files;
use crate::keys::PrivateKey;
use crate::lock::{LOCK_FILE, LockFile, Locked};
use crate::manifest::{self, Descriptor, Layer};
use crate::reference::{OciReference, Reference};
use crate::signature::{self, LARGEST_PAYLOAD, MOST_SIGNATURES, Signature};
use crate::trust::{Trust, Unsigned};

/// What a [`Registry`] works with.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Data folder, for the cache and the lock file. None: nothing is kept.
    pub data: Option<PathBuf>,
    /// How registries are spoken to; others without credentials over public TLS.
    pub hosts: Vec<HostSettings>,
    /// Docker's `config.json`, for hosts without credentials of their own.
    pub docker_config: Option<PathBuf>,
    /// What one conversation with a registry may take.
    pub timeout: Duration,
    /// Most bytes in the cache.
    pub cache_bytes: u64,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            data: None,
            hosts: Vec::new(),
            docker_config: None,
            timeout: Duration::from_secs(120),
            cache_bytes: 1 << 30,
        }
    }
}

/// Loads plugins from files, folders and OCI registries, and says whether they are trusted. Blocking.
#[derive(Clone, Debug)]
pub struct Registry {
    config: RegistryConfig,
    kept: Option<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    cache: Cache,
    lock: LockFile,
}

/// A plugin's bytes, and what is known of who signed them. Not to be run before [`Registry::admit`] said so.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// As it is written.
    pub reference: String,
    /// The WebAssembly file.
    pub bytes: Arc<[u8]>,
    /// Its SHA-256.
    pub digest: Digest,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    File { path: PathBuf },
    Oci { reference: OciReference, manifest: Digest, signatures: Vec<Signature>, asked: bool },
}

/// What [`Registry::push`] put there.
#[derive(Clone, Copy, Debug)]
pub struct Pushed {
    /// SHA-256 of the WebAssembly file.
    pub digest: Digest,
    /// SHA-256 of its manifest.
    pub manifest: Digest,
}

/// What [`Registry::sign`] signed.
#[derive(Clone, Debug)]
pub struct Signed {
    /// SHA-256 of the WebAssembly file.
    pub digest: Digest,
    /// SHA-256 of its manifest, in a registry.
    pub manifest: Option<Digest>,
    /// Where the signature is.
    pub place: String,
    /// Id of the key.
    pub key: Digest,
}

/// How a reference stands to the lock file.
#[derive(Clone, Debug)]
pub struct Change {
    /// What was recorded.
    pub old: Option<Locked>,
    /// What it stands for now.
    pub loaded: Loaded,
}

impl Loaded {
    /// SHA-256 of its manifest, if it comes from a registry.
    #[must_use]
    pub fn manifest(&self) -> Option<Digest> {
        match &self.from {
            From::File { .. } => None,
            From::Oci { manifest, .. } => Some(*manifest),
        }
    }
}

impl Registry {
    /// Nothing is read or sent yet.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        let kept = config.data.as_ref().map(|data| {
            let folder = data.join("registry");
            let lock = LockFile::new(data.join(LOCK_FILE), folder.join(".guard"));
            Kept { cache: Cache::new(folder, config.cache_bytes), lock }
        });
        Self { config, kept }
    }

    /// A plugin's bytes: what the lock file says, else what the reference stands for now. Relative paths start at `base`.
    ///
    /// # Errors
    /// It cannot be had, or is something else than its digest says.
    pub fn load(&self, reference: &Reference, base: &Path) -> Result<Loaded, Error> {
        Ok(self.load_with_lock(reference, base)?.loaded)
    }

    /// The same, beside what the lock file says.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn load_with_lock(&self, reference: &Reference, base: &Path) -> Result<Change, Error> {
        let unlocked = |loaded| Change { old: None, loaded };
        match reference {
            Reference::BuiltIn(name) => {
                let why = "it is the name of a built-in plugin, not of a file or of something in a registry".to_owned();
                Err(Error::Reference { text: name.clone(), why })
            }
            Reference::File { path, digest } => file(reference, base.join(path), *digest).map(unlocked),
            Reference::Folder { folder, name, version, digest } => {
                file(reference, files::find(&base.join(folder), name, version.as_deref())?, *digest).map(unlocked)
            }
            Reference::Oci(oci) => {
                let old = self.recorded(oci)?.filter(|old| oci.digest.is_none_or(|digest| digest == old.manifest));
                let loaded = self.oci(oci, old.as_ref())?;
                Ok(Change { old, loaded })
            }
        }
    }

    /// What a reference to a registry stands for now, beside what the lock file says. [`Registry::admit`] records it.
    ///
    /// # Errors
    /// It cannot be had, or is something else than its digest says.
    pub fn resolve_anew(&self, reference: &OciReference) -> Result<Change, Error> {
        Ok(Change { old: self.recorded(reference)?, loaded: self.oci(reference, None)? })
    }

    fn recorded(&self, reference: &OciReference) -> Result<Option<Locked>, Error> {
        self.kept.as_ref().map_or(Ok(None), |kept| kept.lock.find(&reference.to_string()))
    }

    fn oci(&self, reference: &OciReference, locked: Option<&Locked>) -> Result<Loaded, Error> {
        let began = Instant::now();
        let wanted = locked.map(|locked| locked.manifest).or(reference.digest);
        let mut session = None;
        let cached = wanted.and_then(|digest| Some((self.cached(digest)?, digest)));
        let (bytes, manifest) = match cached {
            Some(found) => found,
            None => {
                let exact = wanted.map_or_else(|| reference.clone(), |digest| reference.at(digest));
                tracing::info!(plugin = %reference, "asking the registry for a plugin");
                self.session(&mut session, reference, Access::Pull)?.manifest(&exact)?
            }
        };
        let Layer { digest, size } = manifest::plugin(reference, &bytes)?;
        if let Some(locked) = locked.filter(|locked| locked.digest != digest) {
            let path = self.config.data.as_deref().unwrap_or(Path::new("")).join(LOCK_FILE);
            let why =
                format!("{reference} has the manifest {manifest}, which holds {digest} and not {}", locked.digest);
            return Err(Error::Lock { path, why });
        }
        let wasm = match self.cached(digest) {
            Some(wasm) => wasm,
            None => {
                let wasm =
                    self.session(&mut session, reference, Access::Pull)?.blob(digest, size, &reference.to_string())?;
                let (length, took) = (wasm.len(), began.elapsed().as_millis());
                tracing::info!(plugin = %reference, %digest, bytes = length, ms = took, "plugin fetched");
                wasm
            }
        };
        if wasm.len() as u64 != size {
            let why = format!("its manifest says {size} bytes, and it has {}", wasm.len());
            return Err(Error::NotPlugin { reference: reference.to_string(), why });
        }
        if let Some(kept) = &self.kept {
            let mut keep = kept.lock.digests()?;
            keep.extend([manifest, digest]);
            kept.cache.put(manifest, &bytes, &keep)?;
            kept.cache.put(digest, &wasm, &keep)?;
        }
        let signatures = self.kept.as_ref().and_then(|kept| kept.cache.signatures(manifest));
        let signatures = signatures.map(|bytes| signature::from_json(&bytes)).unwrap_or_default();
        let from = From::Oci { reference: reference.clone(), manifest, signatures, asked: false };
        Ok(Loaded { reference: reference.to_string(), bytes: wasm.into(), digest, from })
    }

    /// Whether a tenant runs a plugin: ids of its trusted keys that signed it, none where it needs none. What comes from a
    /// registry is recorded in the lock file then.
    ///
    /// # Errors
    /// It does not; or its signatures cannot be read, or the lock file cannot be written.
    pub fn admit(&self, loaded: &mut Loaded, trust: &Trust) -> Result<Vec<Digest>, Error> {
        let keys = match &loaded.from {
            From::File { path } => return by_file(loaded, path, trust),
            From::Oci { .. } if trust.unsigned == Unsigned::Allow => Vec::new(),
            From::Oci { .. } => self.by_signatures(loaded, trust)?,
        };
        if let (Some(kept), From::Oci { reference, manifest, .. }) = (&self.kept, &loaded.from) {
            let resolved = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let reference = reference.to_string();
            let entry = Locked { reference, digest: loaded.digest, manifest: *manifest, keys: keys.clone(), resolved };
            kept.lock.record(entry)?;
        }
        Ok(keys)
    }

    /// How many signatures lie beside a plugin. Whose they are, and whether they are good, only [`Registry::admit`] says.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn signatures(&self, loaded: &Loaded) -> Result<usize, Error> {
        match &loaded.from {
            From::File { path } => Ok(usize::from(files::signature(path)?.is_some())),
            From::Oci { signatures, asked: true, .. } => Ok(signatures.len()),
            From::Oci { reference, manifest, .. } => Ok(self.fetch_signatures(reference, *manifest)?.len()),
        }
    }

    fn by_signatures(&self, loaded: &mut Loaded, trust: &Trust) -> Result<Vec<Digest>, Error> {
        let From::Oci { reference, manifest, signatures, asked } = &mut loaded.from else { return Ok(Vec::new()) };
        let fail = |why: String| Error::Untrusted { reference: loaded.reference.clone(), digest: loaded.digest, why };
        if trust.keys.is_empty() {
            return Err(fail(no_keys(true)));
        }
        let mut checked = signature::check(signatures, *manifest, &trust.keys);
        let mut silent = None;
        if checked.good.is_empty() && !*asked {
            match self.fetch_signatures(reference, *manifest) {
                Ok(found) => {
                    (*signatures, *asked) = (found, true);
                    checked = signature::check(signatures, *manifest, &trust.keys);
                    if let (Some(kept), false) = (&self.kept, checked.good.is_empty()) {
                        let mut keep = kept.lock.digests()?;
                        keep.extend([*manifest, loaded.digest]);
                        kept.cache.put_signatures(*manifest, &signature::to_json(signatures), &keep)?;
                    }
                }
                Err(error) if error.is_away() => silent = Some(error),
                Err(error) => return Err(error),
            }
        }
        if !checked.good.is_empty() {
            return Ok(checked.good);
        }
        let names = trust.names();
        let what = match (signatures.is_empty(), checked.elsewhere) {
            (true, _) => format!(
                "it is not signed: sign it with `portcullis plugin sign {reference} --key KEY`, with a key whose public half is in \
                 `tenant.trust.keys` (now {names}), or set `tenant.trust.unsigned`"
            ),
            (false, Some(key)) => {
                format!("its signature by {key} is one of another plugin: it was changed after signing")
            }
            (false, None) => format!(
                "none of its signatures is good with a key of `tenant.trust.keys` (now {names}): add the signer's public key \
                 there; if that is there, the signature is of other bytes"
            ),
        };
        Err(fail(match silent {
            Some(error) => format!("{what}. This is known from the cache only: {error}"),
            None => what,
        }))
    }

    fn fetch_signatures(&self, reference: &OciReference, manifest: Digest) -> Result<Vec<Signature>, Error> {
        let mut session = None;
        let session = self.session(&mut session, reference, Access::Pull)?;
        let listed = listed(session, reference, manifest)?;
        let mut signatures = Vec::new();
        for (layer, text) in listed {
            let (Ok(digest), Some(signature)) = (layer.digest.parse(), signature::decode(&text)) else { continue };
            match session.blob(digest, layer.size.min(LARGEST_PAYLOAD), &format!("a signature of {reference}")) {
                Ok(payload) => signatures.push(Signature { payload, signature }),
                Err(error) if error.is_away() => return Err(error),
                // One that is damaged takes nothing from the others.
                Err(error) => tracing::warn!(plugin = %reference, %error, "a signature cannot be read"),
            }
        }
        Ok(signatures)
    }

    /// Puts a plugin into a registry, in the layout that other tools for WebAssembly read.
    ///
    /// # Errors
    /// It is no WebAssembly, the reference has a digest and no tag, or the registry does not take it.
    pub fn push(&self, bytes: &[u8], reference: &OciReference) -> Result<Pushed, Error> {
        let fail = |why: String| Error::NotPlugin { reference: reference.to_string(), why };
        if bytes.len() as u64 > MAX_PLUGIN_BYTES {
            return Err(fail(format!("it is larger than {MAX_PLUGIN_BYTES} bytes")));
        }
        let (Some(tag), None) = (&reference.tag, reference.digest) else {
            let why = "a push needs a tag and no digest: oci://HOST/REPOSITORY:TAG".to_owned();
            return Err(Error::Reference { text: reference.to_string(), why });
        };
        let (config, manifest) = manifest::wrap(bytes).map_err(fail)?;
        let what = reference.to_string();
        let mut session = None;
        let session = self.session(&mut session, reference, Access::Push)?;
        session.put_blob(bytes, &what)?;
        session.put_blob(&config, &what)?;
        session.put_manifest(tag, &manifest, &what)?;
        Ok(Pushed { digest: Digest::of(bytes), manifest: Digest::of(&manifest) })
    }

    /// Signs what a reference stands for now: beside the file, or beside the artifact in its registry.
    ///
    /// # Errors
    /// It cannot be had, or the signature cannot be put there.
    pub fn sign(&self, reference: &Reference, base: &Path, key: &PrivateKey) -> Result<Signed, Error> {
        let key_id = key.public().id();
        let Reference::Oci(oci) = reference else {
            let Loaded { bytes, digest, from, .. } = self.load(reference, base)?;
            let From::File { path } = from else { return Err(Error::Missing(reference.to_string())) };
            let place = files::signature_path(&path);
            cache::write(&place, STANDARD.encode(key.sign(&bytes)?).as_bytes())?;
            return Ok(Signed { digest, manifest: None, place: place.display().to_string(), key: key_id });
        };
        let mut session = None;
        let session = self.session(&mut session, oci, Access::Push)?;
        let (bytes, manifest) = session.manifest(oci)?;
        let Layer { digest, .. } = manifest::plugin(oci, &bytes)?;
        let mut listed = listed(session, oci, manifest)?;
        let payload = signature::payload(&oci.name(), manifest);
        let ours = Digest::of(&payload).to_string();
        // One signature of a key is enough; ECDSA's are different each time.
        let public = key.public();
        listed.retain(|(layer, text)| {
            layer.digest != ours || !signature::decode(text).is_some_and(|old| public.verifies(&payload, &old))
        });
        if listed.len() >= MOST_SIGNATURES {
            let why = format!("there are {MOST_SIGNATURES} signatures of others, and no more are looked at");
            return Err(Error::Answer { what: oci.to_string(), why });
        }
        let signature = STANDARD.encode(key.sign(&payload)?);
        let (config, signatures) = manifest::with_signature(listed, &payload, signature)
            .map_err(|why| Error::Answer { what: oci.to_string(), why })?;
        let (tag, what) = (signature::tag(manifest), format!("the signature of {oci}"));
        session.put_blob(&payload, &what)?;
        session.put_blob(&config, &what)?;
        session.put_manifest(&tag, &signatures, &what)?;
        let place = format!("oci://{}:{tag}", oci.name());
        Ok(Signed { digest, manifest: Some(manifest), place, key: key_id })
    }

    /// What the lock file says, sorted by reference.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn locked(&self) -> Result<Vec<Locked>, Error> {
        self.kept.as_ref().map_or_else(|| Ok(Vec::new()), |kept| kept.lock.read())
    }

    /// Forgets what the lock file says of other references than these; returns what was forgotten.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn prune(&self, references: &HashSet<String>) -> Result<Vec<Locked>, Error> {
        self.kept.as_ref().map_or_else(|| Ok(Vec::new()), |kept| kept.lock.retain(references))
    }

    fn cached(&self, digest: Digest) -> Option<Vec<u8>> {
        self.kept.as_ref()?.cache.get(digest)
    }

    /// The conversation with a reference's registry, begun if it is not.
    fn session<'s>(
        &self,
        session: &'s mut Option<Session>,
        reference: &OciReference,
        access: Access,
    ) -> Result<&'s mut Session, Error> {
        let fresh = match session.take() {
            Some(session) => session,
            None => Session::new(self.settings(&reference.host)?, reference, access, self.config.timeout)?,
        };
        Ok(session.insert(fresh))
    }

    fn settings(&self, host: &str) -> Result<HostSettings, Error> {
        let known = self.config.hosts.iter().find(|known| known.host.eq_ignore_ascii_case(host));
        let mut settings = known.cloned().unwrap_or_default();
        settings.host = host.to_owned();
        if let (None, Some(path)) = (&settings.credentials, &self.config.docker_config) {
            settings.credentials = credentials::docker(path, host)?;
        }
        Ok(settings)
    }
}

/// Signatures beside an artifact: where each payload is, and its signature; none if there are none.
fn listed(
    session: &mut Session,
    reference: &OciReference,
    manifest: Digest,
) -> Result<Vec<(Descriptor, String)>, Error> {
    let beside = OciReference { tag: Some(signature::tag(manifest)), digest: None, ..reference.clone() };
    match session.manifest(&beside) {
        Ok((bytes, _)) => manifest::signatures(&bytes)
            .map_err(|why| Error::Answer { what: format!("the signatures of {reference}"), why }),
        Err(Error::Missing(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn file(reference: &Reference, path: PathBuf, expected: Option<Digest>) -> Result<Loaded, Error> {
    let (bytes, digest) = files::read(&path, expected)?;
    Ok(Loaded { reference: reference.to_string(), bytes: bytes.into(), digest, from: From::File { path } })
}

fn by_file(loaded: &Loaded, path: &Path, trust: &Trust) -> Result<Vec<Digest>, Error> {
    if trust.unsigned != Unsigned::Refuse {
        return Ok(Vec::new());
    }
    let fail = |why: String| Error::Untrusted { reference: loaded.reference.clone(), digest: loaded.digest, why };
    if trust.keys.is_empty() {
        return Err(fail(no_keys(false)));
    }
    let beside = files::signature_path(path);
    let Some(signature) = files::signature(path)? else {
        return Err(fail(format!(
            "it is not signed, there is no {}: sign it with `portcullis plugin sign {} --key KEY`, with a key whose public half is \
             in `tenant.trust.keys` (now {}), or set `tenant.trust.unsigned = \"files\"`",
            beside.display(),
            loaded.reference,
            trust.names()
        )));
    };
    let mut good: Vec<Digest> =
        trust.keys.iter().filter(|key| key.verifies(&loaded.bytes, &signature)).map(|key| key.id()).collect();
    good.sort_unstable();
    good.dedup();
    if good.is_empty() {
        return Err(fail(format!(
            "{} is not good with a key of `tenant.trust.keys` (now {}): add the signer's public key there; if that is there, the \
             file was changed after signing",
            beside.display(),
            trust.names()
        )));
    }
    Ok(good)
}

fn no_keys(oci: bool) -> String {
    let but = if oci { "\"allow\"" } else { "\"files\" for files like this one" };
    format!(
        "the tenant trusts no key: name the public key of its signer in `tenant.trust.keys`, or set `tenant.trust.unsigned` to {but}"
    )
}
