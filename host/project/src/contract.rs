use std::collections::BTreeMap;
use std::path::Path;

use portcullis_model::{Digest, Role};
use wit_parser::{PackageId, Resolve, UnresolvedPackageGroup, WorldId};

use crate::component::{ABI_VERSION, ComponentError};
use crate::embedded;
use crate::manifest::Ask;

/// The world that lists every capability.
const IMPORTS: &str = "world imports {";

/// The plugin contract as one plugin sees it: its role's world, importing `payload`, `log` and what is asked for.
///
/// The tools of JavaScript and Python import every interface that their world names, so the world is trimmed to the asks
/// before they see it.
#[derive(Clone, Debug)]
pub struct Contract {
    role: Role,
    /// Name and text of each WIT file.
    files: BTreeMap<String, String>,
}

impl Contract {
    /// The contract for a role, with these capabilities.
    #[must_use]
    pub fn new(role: Role, asks: &[Ask]) -> Self {
        let mut files = BTreeMap::new();
        for (name, content) in embedded::below(&format!("wit/plugin@{ABI_VERSION}")) {
            let text = String::from_utf8_lossy(content);
            files.insert(name.to_owned(), if text.contains(IMPORTS) { trim(&text, asks) } else { text.into_owned() });
        }
        Self { role, files }
    }

    /// The contract for a role, with every capability: for modules that import only what their code uses.
    #[must_use]
    pub fn whole(role: Role) -> Self {
        Self::new(role, Ask::ALL)
    }

    /// Name of the world: `detector`, `rule` or `router`.
    #[must_use]
    pub fn world(&self) -> &'static str {
        self.role.as_str()
    }

    /// The WIT files, by name, for tools that read them from a folder.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.files.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes()))
    }

    /// All of it, by hash.
    pub(crate) fn digest(&self) -> Digest {
        let parts = self.files.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
        Digest::of_parts(parts.chain([self.world().as_bytes()]))
    }

    /// The contract, parsed, and its world.
    ///
    /// # Errors
    /// It does not parse: a fault of this build.
    pub fn resolve(&self) -> Result<(Resolve, WorldId), ComponentError> {
        let broken = |error: &dyn std::fmt::Display| ComponentError::Contract(format!("{error:#}"));
        let mut map = wit_parser::SourceMap::new();
        for (name, text) in &self.files {
            map.push(Path::new(name), text.as_str());
        }
        let group: UnresolvedPackageGroup = map.parse().map_err(|(_, error)| broken(&error))?;
        let mut resolve = Resolve::default();
        let package: PackageId = resolve.push_group(group).map_err(|error| broken(&error))?;
        let world = resolve.select_world(&[package], Some(self.world())).map_err(|error| broken(&error))?;
        Ok((resolve, world))
    }
}

/// The text with only `payload`, `log` and what is asked for left of the world of all capabilities.
fn trim(text: &str, asks: &[Ask]) -> String {
    let kept = |line: &str| {
        let Some(name) = line.trim().strip_prefix("import ").and_then(|rest| rest.strip_suffix(';')) else {
            return true;
        };
        name == "payload" || name == "log" || asks.iter().any(|ask| ask.as_str() == name)
    };
    let (before, world) = text.split_once(IMPORTS).unwrap_or((text, ""));
    let world: Vec<&str> = world.lines().filter(|line| kept(line)).collect();
    format!("{before}{IMPORTS}{}\n", world.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_imports_what_is_asked_for_and_nothing_else() {
        for role in [Role::Detector, Role::Rule, Role::Router] {
            let (resolve, world) = Contract::new(role, &[Ask::State, Ask::LockedWasi]).resolve().unwrap();
            let world = &resolve.worlds[world];
            assert_eq!(world.name, role.as_str());
            let mut imports: Vec<String> = world.imports.keys().map(|key| resolve.name_world_key(key)).collect();
            imports.retain(|name| name.contains(':'));
            imports.retain(|name| !name.contains("/types@") && !name.contains("/routing@"));
            imports.sort();
            let named = |name: &str| format!("portcullis:plugin/{name}@{ABI_VERSION}");
            assert_eq!(imports, [named("log"), named("payload"), named("state")]);
        }
    }
}
