use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use portcullis_engine::{Engine, Heard, LoadError, PackageError, Plugin, Prepared, Source, Stores};
use portcullis_model::{Call, Decision, Digest, Document, DocumentError, Judgement, Mode, Role};
use serde::Serialize;
use serde_json::json;

use crate::breaker::{Breaker, Clock};
use crate::difference::{self, Described, Difference};
use crate::judge::{HOST, Health, Stage, Turns, judge};
use crate::select::Selection;
use crate::{FailMode, MAX_PLUGINS, MAX_QUARANTINE_CALLS, PipelineSpec, PluginSpec, Quarantine};

/// One immutable, fully compiled pipeline of one tenant.
#[derive(Debug)]
pub struct Generation {
    id: Digest,
    tenant: Arc<str>,
    mode: Mode,
    inspect_redacted: bool,
    /// Detectors, then rules, each in the order of the configuration.
    stages: Vec<Stage>,
    router: Option<Stage>,
    /// In the same order, the router last.
    about: Vec<About>,
    /// About plugins that ask others and have no time for the answer.
    hasty: Vec<String>,
    leads_outside: bool,
}

/// A generation is ready for calls as long as this is kept.
#[derive(Debug)]
pub struct Warmed(Arc<Generation>);

impl Drop for Warmed {
    fn drop(&mut self) {
        self.0.retire();
    }
}

/// What is wrong with a pipeline, and where.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct BuildError {
    /// For instance `plugins[2].config`, `plugins[0].select.tools[1]` or `router`.
    pub path: String,
    /// What is wrong there.
    pub source: BuildProblem,
}

/// What can be wrong with a pipeline.
#[derive(Debug, thiserror::Error)]
pub enum BuildProblem {
    /// Too many plugins.
    #[error("a pipeline has at most {MAX_PLUGINS} plugins")]
    TooMany,
    /// The name is no label, or the host's.
    #[error("use 1 to 63 letters, digits, `.`, `_` or `-`, and not `{HOST}`")]
    Name,
    /// The name is taken.
    #[error("another plugin of this pipeline has this name; choose another one")]
    Duplicate,
    /// A router among the plugins, or something else in the router's place.
    #[error("this is a {found}; {expected}")]
    Role {
        /// What the component is.
        found: &'static str,
        /// What belongs here.
        expected: &'static str,
    },
    /// An early exit that would always be taken.
    #[error("`allow` would skip the rest of the pipeline always; use `redact`, `review` or `deny`")]
    StopOnAllow,
    /// The router cannot stop anything.
    #[error("the router runs last; remove `stop_on`")]
    RouterStops,
    /// A glob that does not compile.
    #[error("{0}")]
    Select(String),
    /// A quarantine that could never begin, or never end.
    #[error("{0}")]
    Quarantine(&'static str),
    /// The configuration is no acceptable JSON.
    #[error("the configuration cannot be used: {0}")]
    Config(#[from] DocumentError),
    /// The engine refuses the plugin.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// What is live, for people and machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GenerationSummary {
    /// Whose pipeline it is.
    pub tenant: Arc<str>,
    /// Its name.
    pub generation: Digest,
    /// Whether verdicts take effect.
    pub mode: Mode,
    /// Whether redacted payloads are judged again.
    pub inspect_redacted: bool,
    /// Detectors, rules and the router, in the order they run.
    pub plugins: Vec<PluginSummary>,
}

/// One plugin of a generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginSummary {
    /// Name in the pipeline.
    pub name: Arc<str>,
    /// What it is.
    pub role: Role,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// How it is sandboxed: `sealed` or `locked-wasi`.
    pub tier: &'static str,
    /// `snapshot`, or `warm: ` and why there is none.
    pub prepared: String,
    /// What its failure means.
    pub on_failure: FailMode,
    /// Early exit.
    pub stop_on: Option<Decision>,
    /// Calls it was asked about since the generation was built.
    pub calls: u64,
    /// How many of them it did not answer properly.
    pub faults: u64,
    /// Code of the latest fault.
    pub last_fault: Option<&'static str>,
    /// Whether it keeps failing and is not asked for now, but for probes.
    pub quarantined: bool,
    /// How often it was put in quarantine.
    pub quarantines: u64,
    /// Calls that did not go to it for that.
    pub skipped: u64,
}

#[derive(Debug)]
struct About {
    tier: &'static str,
    prepared: Prepared,
    /// What a verdict depends on, for comparisons, as JSON text: a tree of it would be most of what an idle tenant takes.
    settings: Box<str>,
}

impl Generation {
    /// Loads and checks everything. Blocking and slow: compiles what the engine has not compiled before.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the pipeline's configuration.
    pub fn build(engine: &Engine, spec: &PipelineSpec) -> Result<Self, BuildError> {
        Self::build_into(engine, spec, None, &|_| {})
    }

    /// The same; `begun` is told the name of each plugin before it is loaded.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_told(engine: &Engine, spec: &PipelineSpec, begun: &dyn Fn(&str)) -> Result<Self, BuildError> {
        Self::build_into(engine, spec, None, begun)
    }

    /// The same generation with state and labels that go elsewhere: what its plugins remember does not mix with what those
    /// of the generation in force do.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_apart(engine: &Engine, spec: &PipelineSpec, stores: &Stores) -> Result<Self, BuildError> {
        Self::build_into(engine, spec, Some(stores), &|_| {})
    }

    fn build_into(
        engine: &Engine,
        spec: &PipelineSpec,
        stores: Option<&Stores>,
        begun: &dyn Fn(&str),
    ) -> Result<Self, BuildError> {
        let engine = &Loader { engine, stores };
        if spec.plugins.len() > MAX_PLUGINS {
            return Err(BuildError { path: "plugins".to_owned(), source: BuildProblem::TooMany });
        }
        let mut id = Identity::new(spec);
        let mut names = HashSet::new();
        let mut built = Vec::new();
        for (index, plugin) in spec.plugins.iter().enumerate() {
            begun(&plugin.name);
            let made = stage(engine, &spec.tenant, plugin, &mut names, &mut id);
            built.push(
                made.map_err(|(key, source)| BuildError { path: join(&format!("plugins[{index}]"), &key), source })?,
            );
        }
        for (index, (stage, _)) in built.iter().enumerate() {
            if stage.role == Role::Router {
                let expected = "name it under `router`";
                let source = BuildProblem::Role { found: stage.role.as_str(), expected };
                return Err(BuildError { path: format!("plugins[{index}]"), source });
            }
        }
        // Stable: the order of the configuration is kept within each role.
        built.sort_by_key(|(stage, _)| stage.role == Role::Rule);
        let (stages, mut about): (Vec<_>, Vec<_>) = built.into_iter().unzip();
        let mut router = None;
        if let Some(plugin) = &spec.router {
            begun(&plugin.name);
            let made = router_stage(engine, &spec.tenant, plugin, &mut names, &mut id);
            let (stage, described) = made.map_err(|(key, source)| BuildError { path: join("router", &key), source })?;
            router = Some(stage);
            about.push(described);
        }
        Ok(Self {
            id: id.finish(),
            tenant: Arc::clone(&spec.tenant),
            mode: spec.mode,
            inspect_redacted: spec.inspect_redacted,
            stages,
            router,
            about,
            hasty: spec.plugins.iter().chain(&spec.router).filter_map(hasty).collect(),
            leads_outside: spec.plugins.iter().chain(&spec.router).any(|plugin| plugin.grants.lead_outside()),
        })
    }

    /// Judges one call. Never fails: what goes wrong is a verdict.
    #[must_use]
    pub fn judge(&self, call: &Call) -> Judgement {
        self.run(call, None).0
    }

    /// The same without reaching anybody: plugins get the answers that others got.
    #[must_use]
    pub fn judge_hearing(&self, call: &Call, heard: &Arc<Heard>) -> Judgement {
        self.run(call, Some(heard)).0
    }

    /// The same, and which plugins began or ended a quarantine by it.
    pub(crate) fn run(&self, call: &Call, heard: Option<&Arc<Heard>>) -> (Judgement, Turns) {
        let outcome = judge(&self.stages, self.router.as_ref(), self.inspect_redacted, call, heard);
        let judgement = Judgement {
            decision: outcome.decision,
            reasons: outcome.reasons,
            findings: outcome.findings,
            replacement: outcome.replacement,
            plugins: outcome.plugins,
            plan: outcome.plan,
            generation: self.id,
            mode: self.mode,
        };
        (judgement, outcome.turns)
    }

    /// The same generation, built again: its plugins' figures and quarantines go on. Another one is left as it is.
    #[must_use]
    pub fn continuing(mut self, old: &Self) -> Self {
        if self.id == old.id {
            let fresh = self.stages.iter_mut().chain(&mut self.router);
            for (fresh, old) in fresh.zip(old.stages.iter().chain(&old.router)) {
                fresh.health = Arc::clone(&old.health);
            }
        }
        self
    }

    /// What is another in `to`.
    #[must_use]
    pub fn difference(&self, to: &Self) -> Difference {
        let (plugins, order) = difference::plugins(&self.described(), &to.described());
        let mut changes = Vec::new();
        let of = |generation: &Self| [json!(generation.mode), json!(generation.inspect_redacted)];
        for ((name, from), to) in ["/mode", "/inspect_redacted"].into_iter().zip(of(self)).zip(of(to)) {
            if from != to {
                changes.push(difference::change(name.to_owned(), Some(&from), Some(&to)));
            }
        }
        changes.extend(order);
        Difference { from: self.id, to: to.id, changes, plugins }
    }

    fn described(&self) -> Vec<Described> {
        let stages = self.stages.iter().chain(&self.router).zip(&self.about);
        stages
            .map(|(stage, about)| Described {
                name: Arc::clone(&stage.name),
                // It was written here.
                settings: serde_json::from_str(&about.settings).unwrap_or_default(),
            })
            .collect()
    }

    /// Whether judging this call may wait for somebody else's answer: then it needs a thread that nobody else waits for.
    #[must_use]
    pub fn waits(&self, call: &Call) -> bool {
        self.stages.iter().chain(&self.router).any(|stage| stage.plugin.waits() && stage.select.fits(call))
    }

    /// Whether judging this call neither waits nor takes long: it may be done on a thread that others need.
    #[must_use]
    pub fn is_quick(&self, call: &Call) -> bool {
        let mut stages = self.stages.iter().chain(&self.router);
        // All of them get their slots from the same engine.
        self.stages.first().is_none_or(|stage| stage.plugin.starts_at_once())
            && stages.all(|stage| !(stage.plugin.waits() || stage.plugin.may_take_long()) || !stage.select.fits(call))
    }

    /// It judges calls from here on: its plugins keep instances ready. Each is to [`retire`](Self::retire) it once.
    pub(crate) fn employ(&self) {
        self.stages.iter().chain(&self.router).for_each(|stage| stage.plugin.employ());
    }

    /// One of those who let it judge calls does not any more; after the last one nothing is kept ready for it.
    pub(crate) fn retire(&self) {
        self.stages.iter().chain(&self.router).for_each(|stage| stage.plugin.retire());
    }

    /// Whether its judgements carry the words of what plugins were told.
    pub(crate) fn keep_words(&self, keep: bool) {
        self.stages.iter().chain(&self.router).for_each(|stage| stage.plugin.keep_words(keep));
    }

    /// Makes it ready to judge calls, so that the first ones find instances; what is not ready at `latest` is left to them. It
    /// stays so as long as the answer is kept or calls are judged by it. Blocking.
    #[must_use]
    pub fn warm(self: &Arc<Self>, latest: Instant) -> Warmed {
        self.employ();
        self.stages.iter().chain(&self.router).for_each(|stage| stage.plugin.fill_until(latest));
        Warmed(Arc::clone(self))
    }

    #[cfg(test)]
    pub(crate) fn of_stages(tenant: &str, id: Digest, stages: Vec<Stage>) -> Self {
        let (about, hasty, mode) = (Vec::new(), Vec::new(), Mode::Enforce);
        let (inspect_redacted, leads_outside) = (false, false);
        Self { id, tenant: tenant.into(), mode, inspect_redacted, stages, router: None, about, hasty, leads_outside }
    }

    /// Whether a plugin of it is granted what leads out of this process.
    #[must_use]
    pub fn leads_outside(&self) -> bool {
        self.leads_outside
    }

    /// Its name: the digest of everything a verdict of it depends on but the call.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Whose pipeline it is.
    #[must_use]
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// Whether verdicts take effect.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What it consists of and how its plugins are doing.
    #[must_use]
    pub fn summary(&self) -> GenerationSummary {
        let stages = self.stages.iter().chain(&self.router);
        let plugins = stages.zip(&self.about).map(|(stage, about)| PluginSummary {
            name: Arc::clone(&stage.name),
            role: stage.role,
            digest: stage.digest,
            tier: about.tier,
            prepared: match &about.prepared {
                Prepared::Snapshot => "snapshot".to_owned(),
                Prepared::EachCall { reason } => format!("in each instance: {reason}"),
            },
            on_failure: stage.on_failure,
            stop_on: stage.stop_on,
            calls: stage.health.calls.load(Ordering::Relaxed),
            faults: stage.health.faults.load(Ordering::Relaxed),
            last_fault: stage.health.last_fault(),
            quarantined: stage.health.breaker.as_ref().is_some_and(Breaker::is_open),
            quarantines: stage.health.breaker.as_ref().map_or(0, Breaker::quarantines),
            skipped: stage.health.breaker.as_ref().map_or(0, Breaker::skipped),
        });
        GenerationSummary {
            tenant: Arc::clone(&self.tenant),
            generation: self.id,
            mode: self.mode,
            inspect_redacted: self.inspect_redacted,
            plugins: plugins.collect(),
        }
    }

    /// What is allowed but probably not meant, in sentences for whoever configures.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.hasty.clone();
        if !self.stages.iter().any(|stage| stage.role == Role::Rule) {
            warnings.push("the pipeline has no rule: whatever detectors find, every call is allowed".to_owned());
        }
        warnings
    }
}

/// Less than this is no time to ask another machine, in milliseconds.
const HASTY_MS: u64 = 1000;

/// What to say of a plugin that asks others and has no time for the answer.
fn hasty(spec: &PluginSpec) -> Option<String> {
    let asks = match (spec.grants.judge.is_empty(), spec.grants.http.is_empty()) {
        (true, true) => return None,
        (false, _) => "judge",
        (true, false) => "http",
    };
    let (name, deadline) = (&spec.name, spec.limits.deadline_ms);
    (deadline < HASTY_MS).then(|| {
        format!(
            "the plugin {name} may use `{asks}`, but has {deadline} ms for the whole call: waiting for answers counts; raise \
             its `limits.deadline_ms` (at most 60000)"
        )
    })
}

/// What loads plugins, and where their state goes if not where it always goes.
struct Loader<'e> {
    engine: &'e Engine,
    stores: Option<&'e Stores>,
}

impl Loader<'_> {
    fn load(&self, source: &Source<'_>) -> Result<Plugin, LoadError> {
        match self.stores {
            Some(stores) => self.engine.load_apart(source, stores),
            None => self.engine.load(source),
        }
    }
}

/// A part of a plugin's key in the configuration, and what is wrong there.
type Wrong = (String, BuildProblem);

fn join(path: &str, key: &str) -> String {
    if key.is_empty() { path.to_owned() } else { format!("{path}.{key}") }
}

/// Loads one plugin and adds it to the generation's identity.
fn stage(
    engine: &Loader<'_>,
    tenant: &str,
    spec: &PluginSpec,
    names: &mut HashSet<Arc<str>>,
    id: &mut Identity,
) -> Result<(Stage, About), Wrong> {
    if !is_name(&spec.name) {
        return Err(("name".to_owned(), BuildProblem::Name));
    }
    if !names.insert(Arc::clone(&spec.name)) {
        return Err(("name".to_owned(), BuildProblem::Duplicate));
    }
    if spec.stop_on == Some(Decision::Allow) {
        return Err(("stop_on".to_owned(), BuildProblem::StopOnAllow));
    }
    if let Some(quarantine) = &spec.quarantine {
        check(quarantine).map_err(|(key, why)| (format!("quarantine.{key}"), BuildProblem::Quarantine(why)))?;
    }
    let select = Selection::new(&spec.select)
        .map_err(|(key, error)| (format!("select.{key}"), BuildProblem::Select(error.to_string())))?;
    // The canonical form, so that equal configurations share one name and one compiled snapshot.
    let config = Document::parse(spec.config.to_string()).map_err(|error| ("config".to_owned(), error.into()))?;
    let config = String::from_utf8_lossy(config.canonical()).into_owned();
    let source = Source {
        name: &spec.name,
        tenant,
        file: &spec.file,
        config: &config,
        grants: &spec.grants,
        limits: spec.limits,
        instances: spec.instances,
    };
    let plugin = engine.load(&source).map_err(|error| (key_of(&error), error.into()))?;
    id.add(spec, &plugin, &config);
    let settings = json!({
        "role": plugin.role(),
        "digest": plugin.digest(),
        "config_digest": Digest::of(config.as_bytes()),
        "config": spec.config,
        "grants": spec.grants,
        "limits": spec.limits,
        "select": spec.select,
        "on_failure": spec.on_failure,
        "stop_on": spec.stop_on,
        "quarantine": spec.quarantine,
        "reuse": spec.instances.reuse,
        "files_digest": plugin.inputs(),
        "outside_digest": plugin.outside(),
    });
    let settings = settings.to_string().into();
    let about = About { tier: plugin.tier().as_str(), prepared: plugin.prepared().clone(), settings };
    let stage = Stage {
        name: Arc::clone(&spec.name),
        role: plugin.role(),
        digest: plugin.digest(),
        plugin: Box::new(plugin),
        select,
        on_failure: spec.on_failure,
        stop_on: spec.stop_on,
        health: Arc::new(Health::new(spec.quarantine, Clock::default())),
    };
    Ok((stage, about))
}

/// Which key of a quarantine is wrong, and why.
fn check(quarantine: &Quarantine) -> Result<(), (&'static str, &'static str)> {
    let Quarantine { faults, calls, window_ms, cooldown_ms, probes } = *quarantine;
    if !(1..=MAX_QUARANTINE_CALLS).contains(&calls) {
        return Err(("calls", "give 1 to 1000"));
    }
    if !(1..=calls).contains(&faults) {
        return Err(("faults", "give at least 1 and at most `calls`, or 0 for no quarantine"));
    }
    if window_ms == 0 {
        return Err(("window_seconds", "give at least 1"));
    }
    if cooldown_ms == 0 {
        return Err(("cooldown_seconds", "give at least 1"));
    }
    if !(1..=MAX_QUARANTINE_CALLS).contains(&probes) {
        return Err(("probes", "give 1 to 1000"));
    }
    Ok(())
}

fn router_stage(
    engine: &Loader<'_>,
    tenant: &str,
    spec: &PluginSpec,
    names: &mut HashSet<Arc<str>>,
    id: &mut Identity,
) -> Result<(Stage, About), Wrong> {
    if spec.stop_on.is_some() {
        return Err(("stop_on".to_owned(), BuildProblem::RouterStops));
    }
    let (stage, about) = stage(engine, tenant, spec, names, id)?;
    if stage.role != Role::Router {
        let expected = "a router belongs here; detectors and rules stand under `plugins`";
        return Err((String::new(), BuildProblem::Role { found: stage.role.as_str(), expected }));
    }
    Ok((stage, about))
}

fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && name != HOST
}

/// Which key of a plugin's configuration an error of the engine is about; empty for the plugin as a whole.
fn key_of(error: &LoadError) -> String {
    match error {
        LoadError::Package(PackageError::Ungranted { .. }) => "grants".to_owned(),
        LoadError::Grant(error) => format!("grants.{}", error.grant),
        LoadError::Limits(error) => format!("limits.{}", error.name),
        LoadError::Folder(_) => "grants.files".to_owned(),
        LoadError::Refused(_) | LoadError::Configure(_) => "config".to_owned(),
        LoadError::Start(_) => "limits".to_owned(),
        LoadError::Package(_) | LoadError::Compile(_) | LoadError::Export { .. } => String::new(),
    }
}

/// Collects what a generation's name is made of.
struct Identity(Vec<Vec<u8>>);

impl Identity {
    fn new(spec: &PipelineSpec) -> Self {
        Self(vec![
            b"portcullis generation 2".to_vec(),
            spec.tenant.as_bytes().to_vec(),
            spec.mode.as_str().into(),
            vec![u8::from(spec.inspect_redacted), u8::from(spec.router.is_some())],
        ])
    }

    fn add(&mut self, spec: &PluginSpec, plugin: &Plugin, config: &str) {
        // Plain structs: nothing in them that JSON cannot hold.
        let settings = serde_json::to_vec(&(
            &spec.grants,
            &spec.limits,
            &spec.select,
            spec.on_failure,
            spec.stop_on,
            spec.quarantine,
        ));
        let (digest, inputs) =
            (plugin.digest().0.to_vec(), plugin.inputs().map_or(Vec::new(), |inputs| inputs.0.to_vec()));
        self.0.extend([spec.name.as_bytes().to_vec(), digest, inputs, config.into(), settings.unwrap_or_default()]);
        // Only what a verdict can depend on: where an instance answers several calls, one can see another.
        if spec.instances.reuse > 1 {
            self.0.push(format!("reuse {}", spec.instances.reuse).into_bytes());
        }
        self.0.extend(plugin.outside().map(|outside| outside.0.to_vec()));
    }

    fn finish(&self) -> Digest {
        Digest::of_parts(self.0.iter().map(Vec::as_slice))
    }
}
