//! From configuration to where plugins come from: registries, trusted keys, references.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result};
use portcullis_engine::PluginFile;
use portcullis_registry::{
    Change, Credentials, HostSettings, LOCK_FILE, PublicKey, Reference, Registry, RegistryConfig, Trust, Unsigned,
};
use zeroize::Zeroizing;

use crate::config::{self, Config, Place, RegistryHost};
use crate::embedded;
use crate::progress::{Progress, Work};

/// The registries of a configuration. What is fetched is kept in the data folder, if there is one.
///
/// # Errors
/// A password or certificate that cannot be read, with file, line and key.
pub(crate) fn registry(config: &Config, place: Option<&Place>, data: Option<PathBuf>) -> Result<Registry> {
    let registries = &config.registry;
    let mut hosts = Vec::new();
    for (index, entry) in registries.host.iter().enumerate() {
        hosts.push(host(entry).map_err(|error| match place {
            Some(place) => place.error(&format!("registry.host[{index}]"), format!("{error:#}")).into(),
            None => error,
        })?);
    }
    Ok(Registry::new(RegistryConfig {
        data,
        hosts,
        docker_config: registries.docker_config.clone().or_else(docker_config),
        timeout: Duration::from_secs(registries.timeout_seconds),
        cache_bytes: registries.cache_mib << 20,
    }))
}

fn docker_config() -> Option<PathBuf> {
    let folder = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")))?;
    Some(folder.join("config.json"))
}

fn host(entry: &RegistryHost) -> Result<HostSettings> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("{}: cannot be read", path.display()));
    let password = match (&entry.password_file, &entry.password_env) {
        (Some(path), _) => {
            let text = String::from_utf8(read(path)?).ok().map(Zeroizing::new);
            Some(text.with_context(|| format!("{}: is no text", path.display()))?)
        }
        (None, Some(name)) => {
            let value = env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new);
            Some(value.with_context(|| format!("the environment variable {name} is not set"))?)
        }
        (None, None) => None,
    };
    let credentials = entry.user.clone().zip(password).map(|(user, password)| Credentials {
        user,
        // Editors end files with a line break.
        password: Zeroizing::new(password.trim_end_matches(['\r', '\n']).to_owned()),
    });
    let ca = entry.ca.as_ref().map(read).transpose()?;
    Ok(HostSettings { host: entry.host.clone(), credentials, ca, plain_http: entry.plain_http })
}

/// Whose plugins a tenant runs. `key` is that of its table.
///
/// # Errors
/// A key that cannot be used, with file, line and key.
pub(crate) fn trust(trust: &config::Trust, place: &Place, key: &str) -> Result<Trust> {
    let read = |(index, path): (usize, &PathBuf)| {
        PublicKey::read(&place.relative(path))
            .map_err(|error| place.error(&format!("{key}.keys[{index}]"), error.to_string()))
    };
    let keys = trust.keys.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let unsigned = match trust.unsigned {
        config::Unsigned::Refuse => Unsigned::Refuse,
        config::Unsigned::Files => Unsigned::Files,
        config::Unsigned::Allow => Unsigned::Allow,
    };
    Ok(Trust { keys, unsigned })
}

/// Components, each had once however many tenants use it.
pub(crate) struct Sources {
    registry: Registry,
    /// Whether tags are asked for again.
    anew: bool,
    progress: Progress,
    known: HashMap<(PathBuf, Reference), (Change, PluginFile)>,
    built_in: HashMap<String, PluginFile>,
}

impl Sources {
    /// With the data folder of a configuration, where it is there: what only looks does not make one.
    ///
    /// # Errors
    /// As [`registry`].
    pub(crate) fn of(config: &Config, place: Option<&Place>) -> Result<Self> {
        let data = Some(std::path::absolute(&config.data)?).filter(|data| data.is_dir());
        Ok(Self {
            registry: registry(config, place, data)?,
            anew: false,
            progress: Progress::default(),
            known: HashMap::new(),
            built_in: HashMap::new(),
        })
    }

    /// The same, telling this of what it does.
    pub(crate) fn telling(self, progress: &Progress) -> Self {
        Self { progress: progress.clone(), ..self }
    }

    /// The same, whatever the lock file says.
    pub(crate) fn anew(self) -> Self {
        Self { anew: true, ..self }
    }

    /// What came from registries, sorted by reference.
    pub(crate) fn fetched(self) -> Vec<Change> {
        let mut all: Vec<Change> = self.known.into_values().map(|(change, _)| change).collect();
        all.retain(|change| change.loaded.manifest().is_some());
        all.sort_by(|one, other| one.loaded.reference.cmp(&other.loaded.reference));
        // Packs in several folders may name the same one.
        all.dedup_by(|one, other| one.loaded.reference == other.loaded.reference);
        all
    }

    /// The component that a text of `place` names, if the tenant trusts it.
    pub(crate) fn component(&mut self, name: &str, place: &Place, trust: &Trust) -> Result<PluginFile> {
        let reference: Reference = name.parse()?;
        if let Reference::BuiltIn(name) = &reference {
            // The bytes are copied: once, not for each of a thousand tenants.
            if let Some(file) = self.built_in.get(name) {
                return Ok(file.clone());
            }
            let file = PluginFile::new(embedded::plugin(name)?);
            self.built_in.insert(name.clone(), file.clone());
            return Ok(file);
        }
        let base = place.relative(Path::new(""));
        let key = (base, reference);
        if !self.known.contains_key(&key) {
            self.progress.step(Work::Fetching, None, Some(name));
            let change = match &key.1 {
                Reference::Oci(oci) if self.anew => self.registry.resolve_anew(oci)?,
                reference => self.registry.load_with_lock(reference, &key.0)?,
            };
            let file = PluginFile::new(Arc::clone(&change.loaded.bytes));
            self.known.insert(key.clone(), (change, file));
        }
        self.progress.step(Work::Verifying, None, Some(name));
        let (change, file) = self.known.get_mut(&key).context("it was just put there")?;
        self.registry.admit(&mut change.loaded, trust)?;
        Ok(file.clone())
    }
}

/// Whether a text names a plugin that comes with us.
pub(crate) fn built_in(name: &str) -> bool {
    matches!(name.parse(), Ok(Reference::BuiltIn(_)))
}

/// The files that a reference leads to.
pub(crate) fn files(name: &str, place: &Place) -> Vec<PathBuf> {
    let base = place.relative(Path::new(""));
    name.parse::<Reference>().map(|reference| reference.files(&base)).unwrap_or_default()
}

/// The files that say what plugins are trusted and what references stand for.
pub(crate) fn settings(config: &Config, place: &Place) -> Vec<PathBuf> {
    let keys = config.tenant.iter().flat_map(|tenant| &tenant.trust.keys).map(|path| place.relative(path));
    let hosts = config.registry.host.iter().flat_map(|host| [&host.password_file, &host.ca]).flatten().cloned();
    keys.chain(hosts).chain([config.data.join(LOCK_FILE)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_built_in_plugin_are_there_once_for_all_tenants() {
        let Some((name, _)) = embedded::plugins().next() else {
            eprintln!("this binary was built without its plugins");
            return;
        };
        let mut sources = Sources::of(&Config::default(), None).unwrap();
        let place = Place::embedded("test", "");
        let mut bytes = || sources.component(name, &place, &Trust::default()).unwrap().bytes().as_ptr();
        assert_eq!(bytes(), bytes());
    }
}
