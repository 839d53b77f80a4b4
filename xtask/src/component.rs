//! From a core module to a component, and what the component asks for.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{WorldItem, WorldKey};

/// Custom section that names the version of the plugin contract.
const ABI_SECTION: &str = "portcullis:abi";
const CONTRACT: &str = "portcullis:plugin/";

/// What a component shows of itself.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Names of imported interfaces, sorted.
    pub(crate) imports: BTreeSet<String>,
    /// Names of exports, sorted.
    pub(crate) exports: BTreeSet<String>,
    /// Content of every version stamp.
    pub(crate) abi: Vec<String>,
}

/// Wraps a core module that carries component metadata.
pub(crate) fn encode(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .module(module)
        .context("the module carries no usable component metadata")?
        .validate(true)
        .encode()
        .context("the module does not fit its world (does it import something beside the plugin contract?)")
}

/// Reads a component.
pub(crate) fn facts(component: &[u8]) -> Result<Facts> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("not a component");
    };
    let world = resolve.worlds.get(world).context("the component has no world")?;
    let mut abi = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::CustomSection(section) = payload?
            && section.name() == ABI_SECTION
        {
            abi.push(String::from_utf8_lossy(section.data()).into_owned());
        }
    }
    let names = |items: Vec<(&WorldKey, &WorldItem)>| {
        // Types that a world merely uses are not interfaces.
        let real = items.into_iter().filter(|(_, item)| !matches!(item, WorldItem::Type { .. }));
        real.map(|(key, _)| resolve.name_world_key(key)).collect()
    };
    Ok(Facts { imports: names(world.imports.iter().collect()), exports: names(world.exports.iter().collect()), abi })
}

impl Facts {
    /// Whether a built-in plugin may look like this: one role, one version stamp, nothing imported beside the contract.
    pub(crate) fn check(&self) -> Result<()> {
        let foreign: Vec<&str> =
            self.imports.iter().map(String::as_str).filter(|name| !name.starts_with(CONTRACT)).collect();
        if !foreign.is_empty() {
            bail!("imports {}; only {CONTRACT}* is allowed", foreign.join(", "));
        }
        let role = ["inspect", "decide", "route"].into_iter().filter(|role| self.exports.contains(*role)).count();
        if role != 1 || !self.exports.contains("configure") {
            bail!("exports {:?}; a plugin exports configure and one of inspect, decide, route", self.exports);
        }
        match self.abi.as_slice() {
            [version] if version == "1.0.0" => Ok(()),
            other => bail!("has the version stamps {other:?} in section {ABI_SECTION}; wanted one, 1.0.0"),
        }
    }

    /// The capabilities it asks for: imports without the ones that are always there.
    pub(crate) fn asks(&self) -> Vec<&str> {
        self.imports
            .iter()
            .filter_map(|import| import.strip_prefix(CONTRACT)?.split('@').next())
            .filter(|name| !["types", "routing", "payload", "log"].contains(name))
            .collect()
    }
}
