//! What can be learned from a plugin file without compiling it.

use std::borrow::Cow;

use portcullis_model::{Digest, Role};
use serde::Serialize;
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};

use crate::Grants;

/// Name of the custom section that says for which plugin contract a file was built.
pub const ABI_SECTION: &str = "portcullis:abi";
/// Name of the custom section with the manifest of the plugin's project, as JSON.
pub const MANIFEST_SECTION: &str = "portcullis:manifest";
/// Most bytes of a manifest that are read.
const MAX_MANIFEST: usize = 512 * 1024;
/// The versions of the plugin contract that this build speaks, oldest first; all at once.
pub const ABI_VERSIONS: &[&str] = &["1.0.0", "1.1.0"];
/// Largest plugin file that is read.
pub const MAX_PLUGIN_BYTES: usize = 64 * 1024 * 1024;

/// Interfaces of the contract that need no grant.
const FREE: &[&str] = &["payload", "log", "types", "routing"];
/// Interfaces of the contract that need the grant of the same name.
const GRANTED: &[&str] = &["clock", "state", "labels", "files", "judge", "http", "secrets"];

/// How far a plugin is shut in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Imports nothing but the plugin contract.
    Sealed,
    /// Imports WASI too, which is linked with everything denied.
    LockedWasi,
}

impl Tier {
    /// The word used on the wire and by the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::LockedWasi => "locked-wasi",
        }
    }
}

/// Whether the memory of a configured plugin can be kept as a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "snapshot", content = "reason")]
pub enum Snapshotting {
    /// It can.
    Possible,
    /// It cannot, for this reason: `configure` will run in each instance, ahead of the call where one waits.
    Impossible(String),
}

/// What [`crate::Engine::describe`] says about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Bytes of the file.
    pub size: usize,
    /// What the plugin is.
    pub role: Role,
    /// The contract it was built for.
    pub abi: String,
    /// Interfaces it imports, in the order of the file.
    pub imports: Vec<String>,
    /// Grants without which it does not load.
    pub asks: Vec<String>,
    /// How far it is shut in.
    pub tier: Tier,
    /// Whether its configured memory can be kept.
    pub snapshot: Snapshotting,
    /// The manifest of its project, if one is stamped. The plugin's own word: nothing is decided by it.
    pub manifest: Option<serde_json::Value>,
}

/// Why a file is not a plugin of this contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Something else altogether.
    #[error("the file is not WebAssembly: it does not begin with the bytes 00 61 73 6d")]
    NotWasm,
    /// Too large to be read.
    #[error("the file has {size} bytes; a plugin may have at most {MAX_PLUGIN_BYTES}")]
    TooLarge {
        /// Bytes of the file.
        size: usize,
    },
    /// Cut off or damaged.
    #[error("the file is damaged or cut off: {0}")]
    Malformed(String),
    /// No stamp of the contract.
    #[error(
        "the file carries no plugin ABI stamp (custom section {ABI_SECTION:?}); build it with the Portcullis plugin SDK"
    )]
    NoAbi,
    /// A stamp of a contract that this build does not speak.
    #[error(
        "the file was built for plugin ABI {found:?}, but this build of Portcullis speaks {}; {}",
        ABI_VERSIONS.join(" and "),
        if *.newer { "upgrade Portcullis or rebuild the plugin" } else { "rebuild the plugin with the current SDK" }
    )]
    Abi {
        /// What the stamp says.
        found: String,
        /// Whether it is a later version than ours.
        newer: bool,
    },
    /// A core module that does not say which component it is.
    #[error(
        "the file is a core module without component metadata ({0}); build it with the Portcullis plugin SDK or wrap it \
         with `wasm-tools component new`"
    )]
    NoMetadata(String),
    /// None of the three worlds.
    #[error(
        "the component is neither a detector (exports configure, inspect) nor a rule (configure, decide) nor a router \
         (configure, route); it exports: {}", list(.exports)
    )]
    UnknownWorld {
        /// What it exports.
        exports: Vec<String>,
    },
    /// An interface the contract does not have.
    #[error("the component imports {import:?}, which Portcullis does not offer to plugins")]
    UnknownImport {
        /// The import.
        import: String,
    },
    /// An interface the pipeline did not grant.
    #[error("the component imports {import:?}, which is not granted; add {} to its grants or remove the import", hint(.grant))]
    Ungranted {
        /// The import.
        import: String,
        /// The grant that would allow it.
        grant: &'static str,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn hint(grant: &str) -> String {
    match grant {
        "files" => "`files = [{ name = \"…\", path = \"…\" }]`".to_owned(),
        "http" => "the hosts that it may call, `http = [\"…\"]`,".to_owned(),
        "secrets" => "the names of the secrets that it may use, `secrets = [\"…\"]`,".to_owned(),
        "judge" => "the ids of the templates that it may use, `judge = [\"…\"]`,".to_owned(),
        other => format!("`{other} = true`"),
    }
}

/// A file that passed every check that needs no compiler.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    pub(crate) component: Cow<'a, [u8]>,
    pub(crate) role: Role,
    pub(crate) tier: Tier,
    /// Version of the contract that it was built for.
    pub(crate) abi: String,
    pub(crate) imports: Vec<String>,
    pub(crate) manifest: Option<serde_json::Value>,
}

impl<'a> Package<'a> {
    /// Reads a file: size, magic, ABI stamp, component form, role. A core module is made a component.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, PackageError> {
        if bytes.len() > MAX_PLUGIN_BYTES {
            return Err(PackageError::TooLarge { size: bytes.len() });
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(PackageError::NotWasm);
        }
        let outline = Outline::read(bytes)?;
        let abi = abi_of(&outline.stamps)?;
        let (component, outline) = match outline.encoding {
            Encoding::Component => (Cow::Borrowed(bytes), outline),
            Encoding::Module => {
                let component = componentise(bytes)?;
                let outline = Outline::read(&component)?;
                (Cow::Owned(component), outline)
            }
        };
        let role = role_of(&outline.exports)?;
        let wasi = outline.imports.iter().any(|import| import.starts_with("wasi:"));
        let tier = if wasi { Tier::LockedWasi } else { Tier::Sealed };
        Ok(Self { component, role, tier, abi, imports: outline.imports, manifest: outline.manifest })
    }

    /// Grants without which it does not load, in a stable order.
    pub(crate) fn asks(&self) -> Result<Vec<&'static str>, PackageError> {
        let mut asks = Vec::new();
        for import in &self.imports {
            match ask_of(import)? {
                Some(ask) if !asks.contains(&ask) => asks.push(ask),
                _ => {}
            }
        }
        asks.sort_unstable();
        Ok(asks)
    }

    /// Every import must be free or granted.
    pub(crate) fn check_imports(&self, grants: &Grants) -> Result<(), PackageError> {
        for import in &self.imports {
            let Some(grant) = ask_of(import)? else { continue };
            let granted = match grant {
                "clock" => grants.clock,
                "state" => grants.state,
                "labels" => grants.labels,
                "files" => !grants.files.is_empty(),
                "locked_wasi" => grants.locked_wasi,
                "judge" => !grants.judge.is_empty(),
                "http" => !grants.http.is_empty(),
                "secrets" => !grants.secrets.is_empty(),
                _ => false,
            };
            if !granted {
                return Err(PackageError::Ungranted { import: import.clone(), grant });
            }
        }
        Ok(())
    }
}

/// The grant an import needs; none if it is free.
fn ask_of(import: &str) -> Result<Option<&'static str>, PackageError> {
    if let Some(rest) = import.strip_prefix("portcullis:plugin/") {
        let interface =
            rest.split_once('@').filter(|(_, version)| ABI_VERSIONS.contains(version)).map(|(name, _)| name);
        if interface.is_some_and(|name| FREE.contains(&name)) {
            return Ok(None);
        }
        let known = GRANTED.iter().find(|name| Some(**name) == interface);
        if let Some(name) = known {
            return Ok(Some(name));
        }
    } else if crate::wasi::offers(import) {
        return Ok(Some("locked_wasi"));
    }
    Err(PackageError::UnknownImport { import: import.to_owned() })
}

fn role_of(exports: &[String]) -> Result<Role, PackageError> {
    let has = |name: &str| exports.iter().any(|export| export == name);
    let roles = [("inspect", Role::Detector), ("decide", Role::Rule), ("route", Role::Router)];
    let mut found = roles.into_iter().filter(|(export, _)| has("configure") && has(export)).map(|(_, role)| role);
    match (found.next(), found.next()) {
        (Some(role), None) => Ok(role),
        _ => Err(PackageError::UnknownWorld { exports: exports.to_vec() }),
    }
}

/// The version of the contract that the stamps name.
fn abi_of(stamps: &[String]) -> Result<String, PackageError> {
    let foreign = stamps.iter().find(|stamp| !ABI_VERSIONS.contains(&stamp.as_str()));
    match (stamps.first(), foreign) {
        (None, _) => Err(PackageError::NoAbi),
        // What is linked together speaks the newest version of its parts.
        (Some(first), None) => {
            let newest = ABI_VERSIONS.iter().rev().find(|version| stamps.iter().any(|stamp| stamp == **version));
            Ok(newest.map_or_else(|| first.clone(), |version| (*version).to_owned()))
        }
        (_, Some(found)) => {
            let newest = ABI_VERSIONS.iter().copied().filter_map(version).max();
            let newer = version(found).zip(newest).is_some_and(|(found, newest)| found > newest);
            Err(PackageError::Abi { found: found.clone(), newer })
        }
    }
}

fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}

fn componentise(module: &[u8]) -> Result<Vec<u8>, PackageError> {
    let refuse = |error: &dyn std::fmt::Display| PackageError::NoMetadata(error.to_string());
    let (stripped, _) = wit_component::metadata::decode(module).map_err(|error| refuse(&error))?;
    if stripped.is_none() {
        return Err(PackageError::NoMetadata("no component-type section".to_owned()));
    }
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| PackageError::NoMetadata(format!("{error:#}")))
}

/// The parts of a file that matter before compiling.
struct Outline {
    encoding: Encoding,
    /// Contents of all ABI sections, nested modules included.
    stamps: Vec<String>,
    /// Names imported by the outermost component.
    imports: Vec<String>,
    /// Names exported by the outermost component.
    exports: Vec<String>,
    /// The stamped manifest, if it is JSON.
    manifest: Option<serde_json::Value>,
}

impl Outline {
    fn read(bytes: &[u8]) -> Result<Self, PackageError> {
        fn malformed(error: wasmparser::BinaryReaderError) -> PackageError {
            PackageError::Malformed(error.to_string())
        }
        let mut outline = Self {
            encoding: Encoding::Module,
            stamps: Vec::new(),
            imports: Vec::new(),
            exports: Vec::new(),
            manifest: None,
        };
        let mut depth = 0_usize;
        let mut ended = false;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding, .. } => {
                    if depth == 0 {
                        outline.encoding = encoding;
                    }
                    depth += 1;
                }
                Payload::End(_) => {
                    depth = depth.saturating_sub(1);
                    ended = depth == 0;
                }
                Payload::CustomSection(section) if section.name() == ABI_SECTION => {
                    outline.stamps.push(String::from_utf8_lossy(section.data()).into_owned());
                }
                Payload::CustomSection(section) if section.name() == MANIFEST_SECTION && depth == 1 => {
                    let text = Some(section.data()).filter(|data| data.len() <= MAX_MANIFEST);
                    outline.manifest = text.and_then(|text| serde_json::from_slice(text).ok());
                }
                Payload::ComponentImportSection(reader) if depth == 1 => {
                    for import in reader {
                        let import = import.map_err(malformed)?;
                        // Worlds that `use` a type import it under its bare name; there is nothing to grant.
                        if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                            outline.imports.push(import.name.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(reader) if depth == 1 => {
                    for export in reader {
                        outline.exports.push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        if ended { Ok(outline) } else { Err(PackageError::Malformed("the end is missing".to_owned())) }
    }
}
