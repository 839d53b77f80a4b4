//! `portcullis plugin push|pull|sign|verify|keygen`

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use portcullis_engine::{Engine, EngineConfig};
use portcullis_model::Digest;
use portcullis_registry::{
    Error, KeyKind, Loaded, MAX_PLUGIN_BYTES, OciReference, PrivateKey, PublicKey, Reference, Registry, Trust,
    Unsigned, generate, read_file,
};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::super::Settings;
use crate::assemble;
use crate::cli::{self, KeyKindArg, Where};
use crate::sources;

/// The variable with the password of an encrypted key; cosign reads the same.
const PASSWORD: &str = "COSIGN_PASSWORD";

/// A registry that keeps nothing: what these commands ask for is what is there now.
fn registry(place: &Where) -> Result<Registry> {
    let settings = Settings::read(place)?;
    sources::registry(&settings.config, settings.place.as_ref(), None)
}

fn password() -> Option<Zeroizing<String>> {
    std::env::var(PASSWORD).ok().map(Zeroizing::new)
}

fn private_key(path: &Path) -> Result<PrivateKey> {
    let password = password();
    Ok(PrivateKey::read(path, password.as_deref().map(String::as_str))?)
}

fn oci(text: &str) -> Result<OciReference> {
    match text.parse()? {
        Reference::Oci(oci) => Ok(oci),
        other => bail!("{other} is not in a registry: write oci://HOST/REPOSITORY:TAG"),
    }
}

pub(crate) fn push(arguments: &cli::Push) -> Result<ExitCode> {
    let reference = oci(&arguments.reference)?;
    // Before anything is sent.
    let key = arguments.key.as_deref().map(private_key).transpose()?;
    let registry = registry(&arguments.place)?;
    let bytes = read_file(&arguments.file, MAX_PLUGIN_BYTES)
        .with_context(|| format!("{}: cannot be read", arguments.file.display()))?;
    let pushed = registry.push(&bytes, &reference)?;
    let exact = Reference::Oci(reference.at(pushed.manifest));
    let signed = key.map(|key| registry.sign(&exact, Path::new(""), &key)).transpose()?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let value = json!({
            "reference": reference.to_string(), "digest": pushed.digest, "manifest": pushed.manifest,
            "signed_by": signed.map(|signed| signed.key),
        });
        writeln!(out, "{value}")?;
    } else {
        writeln!(out, "pushed    {reference}")?;
        writeln!(out, "digest    {}", pushed.digest)?;
        writeln!(out, "manifest  {}", pushed.manifest)?;
        if let Some(signed) = signed {
            writeln!(out, "signed    by key {}", signed.key)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn sign(arguments: &cli::Sign) -> Result<ExitCode> {
    let key = private_key(&arguments.key)?;
    let reference: Reference = arguments.reference.parse()?;
    let signed = registry(&arguments.place)?.sign(&reference, Path::new(""), &key)?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let value = json!({
            "reference": reference.to_string(), "digest": signed.digest, "manifest": signed.manifest, "place": signed.place,
            "key": signed.key,
        });
        writeln!(out, "{value}")?;
    } else {
        writeln!(out, "signed    {reference}")?;
        writeln!(out, "digest    {}", signed.digest)?;
        writeln!(out, "key       {}", signed.key)?;
        writeln!(out, "in        {}", signed.place)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys that a command line names, or those of a tenant.
fn trust(keys: &[PathBuf], tenant: Option<&str>, place: &Where) -> Result<Trust> {
    let Some(name) = tenant else {
        let keys = keys.iter().map(|path| PublicKey::read(path)).collect::<Result<_, _>>()?;
        return Ok(Trust { keys, unsigned: Unsigned::Refuse });
    };
    let settings = Settings::read(place)?;
    let file = settings.place.as_ref().context("a tenant's keys are in the configuration: give --config")?;
    let mut tenants = settings.config.tenant.iter().enumerate();
    let (index, tenant) =
        tenants.find(|(_, tenant)| tenant.name == name).with_context(|| format!("there is no tenant {name:?}"))?;
    Ok(Trust { unsigned: Unsigned::Refuse, ..sources::trust(&tenant.trust, file, &format!("tenant[{index}].trust"))? })
}

/// How far a component is shut in and what it asks for: whoever installs it must allow that.
struct Needs {
    tier: Option<&'static str>,
    asks: Vec<String>,
    /// For people.
    lines: Vec<String>,
}

impl Needs {
    fn of(bytes: &[u8]) -> Result<Self> {
        let engine = Engine::new(EngineConfig { slots: 4, ..EngineConfig::default() })?;
        // What no host here could run can be fetched and checked all the same.
        let about = match engine.describe(bytes) {
            Ok(about) => about,
            Err(error) => {
                let lines = vec![format!("tier      none, it cannot be loaded: {error}")];
                return Ok(Self { tier: None, asks: Vec::new(), lines });
            }
        };
        let mut lines = vec![format!("tier      {}", about.tier.as_str())];
        if !about.asks.is_empty() {
            lines.push(format!("asks      {}; it runs only where `grants` allows it", about.asks.join(", ")));
        }
        Ok(Self { tier: Some(about.tier.as_str()), asks: about.asks, lines })
    }
}

/// What a reference stands for now, checked against keys.
fn checked(registry: &Registry, reference: &Reference, trust: &Trust) -> Result<(Loaded, Result<Vec<Digest>, Error>)> {
    let mut loaded = registry.load(reference, Path::new(""))?;
    match registry.admit(&mut loaded, trust) {
        Err(error @ Error::Untrusted { .. }) => Ok((loaded, Err(error))),
        other => Ok((loaded, Ok(other?))),
    }
}

/// What is known of who signed a plugin.
#[derive(Debug, Serialize)]
pub(crate) struct Signatures {
    /// How many lie beside it.
    found: usize,
    /// The keys of the command line that signed it: file and id.
    good: Vec<(String, Digest)>,
    /// Why none of them did.
    error: Option<String>,
}

impl Signatures {
    pub(crate) fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        for (name, id) in &self.good {
            writeln!(out, "signed    by {name}, key {id}")?;
        }
        match (&self.error, self.found) {
            (Some(error), _) => writeln!(out, "signed    not by these keys: {error}"),
            (None, 0) => writeln!(out, "signed    no"),
            (None, _) if !self.good.is_empty() => Ok(()),
            (None, 1) => writeln!(out, "signed    once; --key says by whom"),
            (None, found) => writeln!(out, "signed    {found} times; --key says by whom"),
        }
    }
}

/// A plugin's bytes, and its signatures.
pub(crate) fn signatures(reference: &Reference, arguments: &cli::Inspected) -> Result<(Arc<[u8]>, Signatures)> {
    let trust = trust(&arguments.key, None, &arguments.place)?;
    let registry = registry(&arguments.place)?;
    let (loaded, keys) = match trust.keys.is_empty() {
        true => (registry.load(reference, Path::new(""))?, Ok(Vec::new())),
        false => checked(&registry, reference, &trust)?,
    };
    let found = registry.signatures(&loaded)?;
    let (keys, error) = match keys {
        Ok(keys) => (keys, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let good = keys.into_iter().map(|id| (trust.name(id).to_owned(), id)).collect();
    Ok((loaded.bytes, Signatures { found, good, error }))
}

pub(crate) fn verify(arguments: &cli::Verify) -> Result<ExitCode> {
    let trust = trust(&arguments.key, arguments.tenant.as_deref(), &arguments.place)?;
    let (loaded, keys) = checked(&registry(&arguments.place)?, &arguments.reference.parse()?, &trust)?;
    let needs = Needs::of(&loaded.bytes)?;
    let good = keys.is_ok();
    let mut out = io::stdout().lock();
    if arguments.json {
        let (keys, error) = match keys {
            Ok(keys) => (keys, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let value = json!({
            "good": good, "reference": loaded.reference, "digest": loaded.digest, "manifest": loaded.manifest(), "keys": keys,
            "tier": needs.tier, "asks": needs.asks, "error": error,
        });
        writeln!(out, "{value}")?;
    } else {
        match keys {
            Ok(keys) => {
                writeln!(out, "good      {}", loaded.reference)?;
                writeln!(out, "digest    {}", loaded.digest)?;
                for id in keys {
                    writeln!(out, "signed    by {}, key {id}", trust.name(id))?;
                }
                needs.lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            }
            Err(error) => {
                drop(out);
                eprintln!("bad: {error}");
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

pub(crate) fn pull(arguments: &cli::Pull) -> Result<ExitCode> {
    match &arguments.reference {
        Some(reference) => pull_one(reference, arguments),
        None => pull_all(arguments),
    }
}

/// Into a file. The lock file is the configuration's, and stays as it is.
fn pull_one(reference: &str, arguments: &cli::Pull) -> Result<ExitCode> {
    ensure!(
        !arguments.update && !arguments.prune,
        "--update and --prune are for what the configuration names: leave the reference out"
    );
    let reference = reference.parse()?;
    let trust = trust(&arguments.key, None, &arguments.place)?;
    let registry = registry(&arguments.place)?;
    let (loaded, keys) = if trust.keys.is_empty() {
        (registry.load(&reference, Path::new(""))?, None)
    } else {
        let (loaded, keys) = checked(&registry, &reference, &trust)?;
        match keys {
            Ok(keys) => (loaded, Some(keys)),
            Err(error) => {
                eprintln!("bad: {error}");
                return Ok(ExitCode::from(2));
            }
        }
    };
    let needs = Needs::of(&loaded.bytes)?;
    if let Some(path) = &arguments.output {
        write(path, &loaded.bytes, 0o644, true)?;
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        let value = json!({
            "reference": loaded.reference, "digest": loaded.digest, "manifest": loaded.manifest(), "bytes": loaded.bytes.len(),
            "keys": keys, "output": arguments.output, "tier": needs.tier, "asks": needs.asks,
        });
        writeln!(out, "{value}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "pulled    {}", loaded.reference)?;
    writeln!(out, "digest    {}", loaded.digest)?;
    if let Some(manifest) = loaded.manifest() {
        writeln!(out, "manifest  {manifest}")?;
    }
    match keys {
        None => writeln!(out, "signed    not looked at: give --key")?,
        Some(keys) => {
            for key in keys {
                writeln!(out, "signed    by key {key}")?;
            }
        }
    }
    needs.lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    match &arguments.output {
        Some(path) => writeln!(out, "in        {}, {} bytes", path.display(), loaded.bytes.len())?,
        None => writeln!(out, "in        no file: name one with --output")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that the configuration names, into cache and lock file.
fn pull_all(arguments: &cli::Pull) -> Result<ExitCode> {
    ensure!(
        arguments.output.is_none() && arguments.key.is_empty(),
        "--output and --key are for one plugin: name it, or leave them out to pull what the configuration names"
    );
    let settings = Settings::read(&arguments.place)?;
    let data = settings.data()?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&data)
        .with_context(|| format!("{}: cannot be made", data.display()))?;
    let fetched = assemble::fetch(&settings.config, settings.place.as_ref(), arguments.update)?;
    let registry = sources::registry(&settings.config, settings.place.as_ref(), Some(data))?;
    let gone = match arguments.prune {
        true => registry.prune(&fetched.iter().map(|one| one.loaded.reference.clone()).collect::<HashSet<_>>())?,
        false => Vec::new(),
    };
    let mut out = io::stdout().lock();
    if arguments.json {
        let plugins = fetched.iter().map(|one| {
            let needs = Needs::of(&one.loaded.bytes)?;
            Ok(json!({
                "reference": one.loaded.reference, "digest": one.loaded.digest, "manifest": one.loaded.manifest(),
                "was": one.old.as_ref().map(|old| old.digest), "tier": needs.tier, "asks": needs.asks,
            }))
        });
        let value = json!({
            "plugins": plugins.collect::<Result<Vec<_>>>()?, "forgotten": gone.iter().map(|one| &one.reference).collect::<Vec<_>>(),
        });
        writeln!(out, "{value}")?;
        return Ok(ExitCode::SUCCESS);
    }
    for one in &fetched {
        let what = match &one.old {
            None => "new      ",
            Some(old) if Some(old.manifest) == one.loaded.manifest() => "unchanged",
            Some(_) => "moved    ",
        };
        writeln!(out, "{what} {}", one.loaded.reference)?;
        if let Some(old) = one.old.as_ref().filter(|old| old.digest != one.loaded.digest) {
            writeln!(out, "  from    {}", old.digest)?;
        }
        writeln!(out, "  digest  {}", one.loaded.digest)?;
        for line in Needs::of(&one.loaded.bytes)?.lines {
            writeln!(out, "  {}", line.replacen("  ", "", 1))?;
        }
    }
    for one in &gone {
        writeln!(out, "forgotten {}", one.reference)?;
    }
    if fetched.is_empty() && gone.is_empty() {
        writeln!(out, "the configuration names no plugin in a registry")?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn keygen(arguments: &cli::Keygen) -> Result<ExitCode> {
    let kind = match arguments.kind {
        KeyKindArg::EcdsaP256 => KeyKind::EcdsaP256,
        KeyKindArg::Ed25519 => KeyKind::Ed25519,
    };
    let password = password();
    let (private, public) = generate(kind, password.as_deref().map(String::as_str))?;
    let file = |end: &str| {
        let mut name = arguments.output.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let (private_file, public_file) = (file(".key"), file(".pub"));
    ensure!(!public_file.exists(), "{} exists; it is not replaced", public_file.display());
    write(&private_file, private.as_bytes(), 0o600, false)?;
    write(&public_file, public.as_bytes(), 0o644, false)?;
    let id = PublicKey::read(&public_file)?.id();
    let mut out = io::stdout().lock();
    if arguments.json {
        let value = json!({ "kind": kind.as_str(), "key": id, "private": private_file, "public": public_file });
        writeln!(out, "{value}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let how = if password.is_some() { "encrypted" } else { "not encrypted; set COSIGN_PASSWORD to have it so" };
    writeln!(out, "key       {id}")?;
    writeln!(out, "private   {} ({how}): keep it where plugins are signed", private_file.display())?;
    writeln!(out, "public    {}: name it in tenant.trust.keys", public_file.display())?;
    Ok(ExitCode::SUCCESS)
}

/// A whole file or none. An old one stays unless it may be replaced.
fn write(path: &Path, bytes: &[u8], mode: u32, replace: bool) -> Result<()> {
    let context = || format!("{}: cannot be written", path.display());
    if !replace {
        let mut file = File::options().write(true).create_new(true).mode(mode).open(path).with_context(context)?;
        return file.write_all(bytes).with_context(context);
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    let unfinished = PathBuf::from(unfinished);
    let written =
        File::options().write(true).create(true).truncate(true).mode(mode).open(&unfinished).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        });
    if written.is_err() {
        let _gone = fs::remove_file(&unfinished);
    }
    written.with_context(context)
}
