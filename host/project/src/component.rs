//! From what a compiler leaves to a stamped component, and what a component shows of itself.

use std::borrow::Cow;
use std::collections::BTreeSet;

use portcullis_model::Role;
use wasm_encoder::{ComponentSection as _, CustomSection};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};
use wit_parser::{WorldItem, WorldKey};

use crate::contract::Contract;
use crate::embedded;
use crate::manifest::{Ask, Manifest};

/// Custom section that names the version of the plugin contract.
pub const ABI_SECTION: &str = "portcullis:abi";
/// Custom section with the manifest as JSON.
pub const MANIFEST_SECTION: &str = "portcullis:manifest";
/// The version of the plugin contract that projects are built for.
pub const ABI_VERSION: &str = "1.0.0";

const CONTRACT: &str = "portcullis:plugin/";
/// Interfaces of the contract that need not be asked for.
const FREE: &[&str] = &["types", "routing", "payload", "log"];
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// What a language's tool makes.
#[derive(Debug)]
pub(crate) enum Output {
    /// A core module that carries the types of its world.
    Module(Vec<u8>),
    /// A core module without them: they are embedded here.
    Bare(Vec<u8>),
    /// A component.
    Component(Vec<u8>),
}

/// Why something is no component of this project.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The embedded contract cannot be read: a fault of this build.
    #[error("the plugin contract of this build cannot be read: {0}")]
    Contract(String),
    /// It is no WebAssembly, or damaged.
    #[error("what the compiler made is not WebAssembly that can be read: {0}")]
    Malformed(String),
    /// The module does not fit the world.
    #[error("the module does not fit the world {world}: {problem}")]
    World {
        /// `detector`, `rule` or `router`.
        world: &'static str,
        /// How.
        problem: String,
    },
    /// It exports another role's function.
    #[error("plugin.toml says {wanted}, but the component exports {}", if .exports.is_empty() { "nothing" } else { .exports })]
    Role {
        /// The manifest's role.
        wanted: &'static str,
        /// What there is, separated by commas.
        exports: String,
    },
    /// It uses a capability that its manifest does not ask for.
    #[error("the component imports {import}; add {ask:?} to asks in plugin.toml, or do without it")]
    NotAsked {
        /// The import.
        import: String,
        /// The ask.
        ask: String,
    },
    /// It imports something that no host offers.
    #[error("the component imports {0}, which the host does not offer to plugins")]
    Foreign(String),
    /// The stamp cannot be made.
    #[error("the manifest cannot be stamped: {0}")]
    Stamp(#[from] serde_json::Error),
}

/// What a component shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Names of imported interfaces, sorted.
    pub imports: BTreeSet<String>,
    /// Names of exports, sorted.
    pub exports: BTreeSet<String>,
    /// Content of every version stamp.
    pub abi: Vec<String>,
    /// The stamped manifest's JSON text.
    pub manifest: Option<String>,
}

/// Wraps a core module that carries the types of its world.
///
/// # Errors
/// It does not carry them, or does not fit them.
pub fn wrap(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    encode(module, "that it names")
}

/// Makes the stamped component of a project, and checks that it is what the manifest says; with the capabilities it needs.
pub(crate) fn finish(
    output: Output,
    manifest: &Manifest,
    stamp: &[u8],
) -> Result<(Vec<u8>, BTreeSet<String>), ComponentError> {
    let world = manifest.role.as_str();
    let mut component = match output {
        Output::Component(bytes) => bytes,
        Output::Module(module) => encode(&module, world)?,
        Output::Bare(mut module) => {
            // Imports that are not asked for are found below, with a better word than that they do not fit.
            let (resolve, id) = Contract::whole(manifest.role).resolve()?;
            wit_component::embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8)
                .map_err(|error| ComponentError::World { world, problem: format!("{error:#}") })?;
            encode(&module, world)?
        }
    };
    let found = facts(&component)?;
    found.check(manifest)?;
    if found.abi.is_empty() {
        section(&mut component, ABI_SECTION, ABI_VERSION.as_bytes());
    }
    section(&mut component, MANIFEST_SECTION, stamp);
    let asks = found.asks()?.into_iter().map(str::to_owned).collect();
    Ok((component, asks))
}

fn section(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    CustomSection { name: Cow::Borrowed(name), data: Cow::Borrowed(data) }.append_to_component(component);
}

fn encode(module: &[u8], world: &'static str) -> Result<Vec<u8>, ComponentError> {
    let problem = |error: &dyn std::fmt::Display| ComponentError::World { world, problem: format!("{error:#}") };
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module).map_err(|error| problem(&error))?;
    if imports_preview1(module)? {
        encoder.adapter(PREVIEW1, embedded::STUB).map_err(|error| problem(&error))?;
    }
    encoder.encode().map_err(|error| problem(&error))
}

fn imports_preview1(module: &[u8]) -> Result<bool, ComponentError> {
    let malformed = |error: wasmparser::BinaryReaderError| ComponentError::Malformed(error.to_string());
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(section) = payload.map_err(malformed)? {
            for import in section.into_imports() {
                if import.map_err(malformed)?.module == PREVIEW1 {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Reads a component.
///
/// # Errors
/// It is none, or damaged.
pub fn facts(component: &[u8]) -> Result<Facts, ComponentError> {
    let malformed = |error: &dyn std::fmt::Display| ComponentError::Malformed(format!("{error:#}"));
    let decoded = wit_component::decode(component).map_err(|error| malformed(&error))?;
    let DecodedWasm::Component(resolve, world) = decoded else { return Err(malformed(&"it is not a component")) };
    let world = resolve.worlds.get(world).ok_or_else(|| malformed(&"the component has no world"))?;
    let (mut abi, mut manifest) = (Vec::new(), None);
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::CustomSection(section) = payload.map_err(|error| malformed(&error))? {
            let text = || String::from_utf8_lossy(section.data()).into_owned();
            match section.name() {
                ABI_SECTION => abi.push(text()),
                MANIFEST_SECTION => manifest = Some(text()),
                _ => {}
            }
        }
    }
    let names = |items: Vec<(&WorldKey, &WorldItem)>| {
        // Types that a world merely uses are not interfaces.
        let real = items.into_iter().filter(|(_, item)| !matches!(item, WorldItem::Type { .. }));
        real.map(|(key, _)| resolve.name_world_key(key)).collect()
    };
    let imports = names(world.imports.iter().collect());
    Ok(Facts { imports, exports: names(world.exports.iter().collect()), abi, manifest })
}

impl Facts {
    /// What the component is: by the one of the three roles' functions that it exports beside `configure`.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        let roles = [("inspect", Role::Detector), ("decide", Role::Rule), ("route", Role::Router)];
        let mut found = roles.into_iter().filter(|(export, _)| self.exports.contains(*export)).map(|(_, role)| role);
        match (found.next(), found.next()) {
            (Some(role), None) if self.exports.contains("configure") => Some(role),
            _ => None,
        }
    }

    /// The capabilities it needs: the imports beside those that are always there.
    ///
    /// # Errors
    /// An import that no host offers.
    pub fn asks(&self) -> Result<BTreeSet<&str>, ComponentError> {
        let mut asks = BTreeSet::new();
        for import in &self.imports {
            let ours = import.strip_prefix(CONTRACT).and_then(|rest| rest.split('@').next());
            match ours {
                Some(name) if FREE.contains(&name) => {}
                Some(name) => {
                    asks.insert(name);
                }
                None if import.starts_with("wasi:") => {
                    asks.insert(Ask::LockedWasi.as_str());
                }
                None => return Err(ComponentError::Foreign(import.clone())),
            }
        }
        Ok(asks)
    }

    /// Whether it is what the manifest says.
    fn check(&self, manifest: &Manifest) -> Result<(), ComponentError> {
        if self.role() != Some(manifest.role) {
            let exports: Vec<&str> = self.exports.iter().map(String::as_str).collect();
            return Err(ComponentError::Role { wanted: manifest.role.as_str(), exports: exports.join(", ") });
        }
        for ask in self.asks()? {
            if !manifest.asks.iter().any(|one| one.as_str() == ask) {
                let is = |import: &&String| {
                    import.contains(&format!("/{ask}@"))
                        || (ask == Ask::LockedWasi.as_str() && import.starts_with("wasi:"))
                };
                let import = self.imports.iter().find(is).cloned().unwrap_or_default();
                return Err(ComponentError::NotAsked { import, ask: ask.to_owned() });
            }
        }
        Ok(())
    }
}
