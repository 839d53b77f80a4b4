use std::sync::Arc;

use portcullis_model::{Digest, Role, is_unseen};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use crate::bindings::{AttributedFinding, Call, Finding, Plan, Reason, Verdict};
use crate::cache::{self, Cache, Cached};
use crate::call::{CallState, Shared};
use crate::compiled::Compiled;
use crate::configure::{self, Configured};
use crate::engine::Inner;
use crate::files::Folders;
use crate::once::Use;
use crate::package::Package;
use crate::{
    Asker, Description, Engine, Fault, FolderError, GrantError, LimitsError, PackageError, Plugin, Prepared, Reach,
    Scope, Snapshotting, Source, Stores, Tier, capabilities,
};

/// A plugin cannot be loaded; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not a plugin, or asks for more than is granted.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A limit is out of bounds.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// A grant that leads outside cannot be honoured.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// A granted folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The code cannot be compiled or linked.
    #[error("the plugin cannot be compiled: {0}")]
    Compile(String),
    /// An export has another type than the contract says.
    #[error("the export {export:?} is not what the plugin contract asks for: {reason}")]
    Export {
        /// Which.
        export: &'static str,
        /// How it differs.
        reason: String,
    },
    /// The plugin did not take its configuration; the text is the plugin's own, word for word. It is shown on terminals and in
    /// logs, where a stranger's control characters have no business: all but line breaks and tabs are shown escaped.
    #[error("{}", printable(.0))]
    Refused(String),
    /// The plugin failed while it was configured.
    #[error("the plugin failed while it was configured: {0}")]
    Configure(Fault),
    /// The configured plugin cannot be started within the limits of a call.
    #[error("the configured plugin cannot be started within its limits: {0}")]
    Start(Fault),
}

impl LoadError {
    pub(crate) fn compile(error: wasmtime::Error) -> Self {
        Self::Compile(format!("{error:#}"))
    }
}

impl Engine {
    /// Checks, configures and compiles a plugin, or takes it from the cache. Blocking and CPU-heavy the first time
    /// (tenths of seconds to minutes for large interpreters): never on the path of a call.
    ///
    /// # Errors
    /// See [`LoadError`]; the plugin's own words if it refused its configuration.
    pub fn load(&self, source: &Source<'_>) -> Result<Plugin, LoadError> {
        self.load_into(source, None)
    }

    /// The same with state and labels that go elsewhere.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_apart(&self, source: &Source<'_>, stores: &Stores) -> Result<Plugin, LoadError> {
        self.load_into(source, Some(stores))
    }

    fn load_into(&self, source: &Source<'_>, stores: Option<&Stores>) -> Result<Plugin, LoadError> {
        source.limits.check()?;
        let key = self.0.key(source);
        if let Some(compiled) = self.0.compiled.get(key) {
            let shared = self.0.shared(source, compiled.tier, stores, self.reach(source)?)?;
            return Ok(Plugin::assemble(self.clone(), shared, compiled, source.instances));
        }
        let package = Package::open(source.file.bytes())?;
        package.check_imports(source.grants)?;
        let shared = self.0.shared(source, package.tier, stores, self.reach(source)?)?;
        let (component, prepared, inputs) = self.0.prepare(source, key, &package, &shared)?;
        let share = self.0.pool.share(&component, &package.component);
        let linker = linker(&self.0.calls, source)?;
        let pre = linker.instantiate_pre(&component).map_err(LoadError::compile)?;
        let configure = export::<configure::Params<'_>, configure::Answer>(&pre, configure::EXPORT)?;
        let export = match package.role {
            Role::Detector => export::<(Call<'_>,), (Result<Vec<Finding>, String>,)>(&pre, "inspect")?,
            Role::Rule => export::<(Call<'_>, &[AttributedFinding<'_>]), (Result<Verdict, String>,)>(&pre, "decide")?,
            Role::Router => {
                type Params<'a> = (Call<'a>, &'a [AttributedFinding<'a>], &'a [Reason<'a>]);
                export::<Params<'_>, (Result<Plan, String>,)>(&pre, "route")?
            }
        };
        let configure = match &prepared {
            Prepared::Snapshot => None,
            Prepared::EachCall { .. } => Some((configure, source.config.into())),
        };
        let digest = source.file.digest();
        let (role, tier) = (package.role, package.tier);
        let compiled = Arc::new(Compiled { digest, inputs, role, tier, prepared, pre, share, export, configure });
        let plugin = Plugin::assemble(self.clone(), shared, Arc::clone(&compiled), source.instances);
        // Without snapshots this would be one more time to configure; the first call finds out.
        if self.0.snapshots {
            plugin.try_start().map_err(LoadError::Start)?;
        }
        // What was read may be another thing the next time.
        if inputs.is_none() {
            self.0.compiled.put(key, &compiled);
        }
        Ok(plugin)
    }

    /// The ways outside of a plugin; none if nothing was granted that leads there.
    fn reach(&self, source: &Source<'_>) -> Result<Option<Arc<dyn Reach>>, GrantError> {
        if !source.grants.lead_outside() {
            return Ok(None);
        }
        let scope = Scope { tenant: source.tenant, plugin: source.name };
        let digest = source.file.digest();
        let asker = Asker { scope, digest, grants: source.grants, most: source.limits.output };
        self.1.open(&asker).map(Some)
    }

    /// What can be said of a file without a configuration.
    ///
    /// # Errors
    /// The file is not a plugin of this contract.
    pub fn describe(&self, bytes: &[u8]) -> Result<Description, LoadError> {
        let package = Package::open(bytes)?;
        let snapshot = match configure::snapshotting(&package.component) {
            Ok(()) => Snapshotting::Possible,
            Err(reason) => Snapshotting::Impossible(reason),
        };
        Ok(Description {
            digest: Digest::of(bytes),
            size: bytes.len(),
            role: package.role,
            abi: package.abi.clone(),
            asks: package.asks()?.into_iter().map(str::to_owned).collect(),
            imports: package.imports,
            tier: package.tier,
            snapshot,
            manifest: package.manifest,
        })
    }
}

impl Inner {
    /// Everything that the compiled and configured form of a plugin depends on; its name and owner do not belong to it.
    fn key(&self, source: &Source<'_>) -> Digest {
        // Plain structs: nothing in them that JSON cannot hold.
        let grants = serde_json::to_vec(source.grants).unwrap_or_default();
        let limits = serde_json::to_vec(&source.limits).unwrap_or_default();
        let file = source.file.digest();
        Digest::of_parts([&file.0[..], source.config.as_bytes(), &grants, &limits, &self.compatibility.0])
    }

    fn shared(
        &self,
        source: &Source<'_>,
        tier: Tier,
        stores: Option<&Stores>,
        reach: Option<Arc<dyn Reach>>,
    ) -> Result<Arc<Shared>, LoadError> {
        Ok(Arc::new(Shared {
            name: source.name.into(),
            tenant: source.tenant.into(),
            limits: source.limits,
            clock: source.grants.clock,
            wasi: tier == Tier::LockedWasi,
            folders: Folders::open(&source.grants.files)?,
            state: stores.map_or(&self.state, |stores| &stores.state).clone(),
            labels: stores.map_or(&self.labels, |stores| &stores.labels).clone(),
            reach,
            waits: source.grants.wait(),
        }))
    }

    /// The compiled plugin, configured: from the cache or made; and what it read of granted folders for that.
    fn prepare(
        &self,
        source: &Source<'_>,
        key: Digest,
        package: &Package<'_>,
        shared: &Arc<Shared>,
    ) -> Result<(Component, Prepared, Option<Digest>), LoadError> {
        let cached = self.cache.as_ref().map(|cache| (cache, cache.name(key)));
        // What is configured in each instance is the same code for all configurations.
        let file = Digest::of_parts([b"any configuration", &source.file.digest().0[..], &self.compatibility.0]);
        let any = self.cache.as_ref().map(|cache| (cache, cache.name(file)));
        match cached.and_then(|(cache, name)| cache.get(&self.calls, name)) {
            Some(Cached::Configured(component)) => return Ok((component, Prepared::Snapshot, None)),
            Some(Cached::EachCall(reason)) => {
                let component = self.for_each_call(source, package, any)?;
                return Ok((component, Prepared::EachCall { reason }, None));
            }
            Some(Cached::Plain(_)) | None => {}
        }
        let workshop = linker(&self.workshop, source)?;
        let configured =
            configure::configure(self, &workshop, shared, source.file.digest(), &package.component, source.config)?;
        let (component, prepared, inputs) = match configured {
            Configured::Snapshot { bytes, inputs } => (self.compile(&self.calls, &bytes)?, Prepared::Snapshot, inputs),
            Configured::EachCall { reason, inputs } => {
                (self.for_each_call(source, package, any)?, Prepared::EachCall { reason }, inputs)
            }
        };
        if let Some((cache, name)) = cached.filter(|_| inputs.is_none()) {
            match &prepared {
                Prepared::Snapshot => cache.put(name, &Cached::Configured(component.clone())),
                Prepared::EachCall { reason } => cache.put(name, &Cached::EachCall(reason.clone())),
            }
        }
        Ok((component, prepared, inputs))
    }

    /// The component that is configured in each instance: compiled once for all configurations.
    fn for_each_call(
        &self,
        source: &Source<'_>,
        package: &Package<'_>,
        cached: Option<(&Cache, cache::Name)>,
    ) -> Result<Component, LoadError> {
        self.once.get(source.file.digest(), Use::Calls, || {
            if let Some(Cached::Plain(component)) = cached.and_then(|(cache, name)| cache.get(&self.calls, name)) {
                return Ok(component);
            }
            let component = self.compile(&self.calls, &package.component)?;
            if let Some((cache, name)) = cached {
                cache.put(name, &Cached::Plain(component.clone()));
            }
            Ok(component)
        })
    }

    /// Compiles on the engine's own threads.
    pub(crate) fn compile(&self, engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Component, LoadError> {
        self.compilers.install(|| Component::new(engine, bytes)).map_err(LoadError::compile)
    }
}

fn linker(engine: &wasmtime::Engine, source: &Source<'_>) -> Result<Linker<CallState>, LoadError> {
    let mut linker = Linker::new(engine);
    capabilities::link(&mut linker, source.grants).map_err(LoadError::compile)?;
    Ok(linker)
}

/// Finds an export and checks its type.
fn export<P, R>(pre: &InstancePre<CallState>, name: &'static str) -> Result<ComponentExportIndex, LoadError>
where
    P: wasmtime::component::ComponentNamedList + wasmtime::component::Lower,
    R: wasmtime::component::ComponentNamedList + wasmtime::component::Lift,
{
    let refuse = |reason: String| LoadError::Export { export: name, reason };
    let (item, index) = pre.component().get_export(None, name).ok_or_else(|| refuse("it is missing".to_owned()))?;
    let ComponentItem::ComponentFunc(function) = item else { return Err(refuse("it is not a function".to_owned())) };
    function.typecheck::<P, R>(&pre.instance_type()).map_err(|error| refuse(format!("{error:#}")))?;
    Ok(index)
}

fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) && !matches!(c, '\n' | '\t') { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
