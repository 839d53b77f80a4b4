//! Runs a plugin's cases in the real engine, under the limits of a real call.
//!
//! A [`Trial`] holds one component. Each case brings its configuration, its call and what must come out; plugins are loaded
//! once for each configuration, state and labels are empty before each case.

mod outside;
mod stores;
mod translate;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use portcullis_engine::{
    Engine, EngineConfig, EngineError, Grants, Instances, LabelStore as _, Limits, LoadError, Plugin, PluginFile,
    Source,
};
use portcullis_model::PluginRun;
pub use portcullis_plugin::testing::{Case, Outcome, read_cases};

pub use crate::outside::Answering;
pub use crate::stores::PerCase;
pub use crate::translate::{call, seen, verdict};

/// Owner of the calls of all cases, and of what plugins keep in them.
pub const TENANT: &str = "acme";
/// Most configurations whose plugins are kept loaded; beyond it all are dropped and loaded again when needed.
const MAX_LOADED: usize = 64;

/// Instances at a time: as many as may wait ahead of calls, also of a language that takes many modules.
const SLOTS: u32 = 64;

/// What a trial runs.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What the plugin is called in its log lines and state.
    pub name: String,
    /// The component.
    pub file: PluginFile,
    /// What it may import.
    pub grants: Grants,
    /// What one call may take.
    pub limits: Limits,
    /// How its instances are made and used.
    pub instances: Instances,
    /// JSON text that a development loader is given beside each configuration: it becomes the member `source` of an object whose
    /// `config` is the configuration. None for a component that is the plugin itself.
    pub source: Option<Arc<str>>,
}

/// A plugin that did not load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NotLoaded {
    /// Why, with every cause; the plugin's own words if it refused its configuration.
    pub text: String,
    /// Whether these are the plugin's own words.
    pub refused: bool,
}

/// One component under trial.
pub struct Trial {
    engine: Engine,
    stores: Arc<PerCase>,
    answers: Arc<Answering>,
    subject: Subject,
    /// In place of the subject's.
    instances: Option<Instances>,
    /// By configuration.
    loaded: BTreeMap<String, Result<Plugin, NotLoaded>>,
}

/// What came of one case.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// How it differs from what is expected; empty if it does not.
    pub differences: Vec<String>,
    /// What the plugin answered.
    pub outcome: Outcome,
    /// What the call took; none if there was no call.
    pub cost: Option<PluginRun>,
    /// Microseconds that loading took: configuration, snapshot, compilation. None if the plugin was loaded already.
    pub load_micros: Option<u64>,
}

impl Trial {
    /// A trial of this component. Compiled plugins are kept in `cache`, if there is one, guarded by `key`.
    ///
    /// # Errors
    /// The engine does not work on this machine.
    pub fn new(subject: Subject, cache: Option<(PathBuf, [u8; 32])>) -> Result<Self, EngineError> {
        Self::with(subject, cache, true)
    }

    /// A trial for one edit after the other: each component is compiled once, and instances are configured anew, where
    /// [`new`](Self::new) keeps and compiles what each configuration leaves. Answers are the same, and the fuel of calls but for single steps.
    ///
    /// # Errors
    /// The engine does not work on this machine.
    pub fn for_edits(subject: Subject) -> Result<Self, EngineError> {
        Self::with(subject, None, false)
    }

    fn with(subject: Subject, cache: Option<(PathBuf, [u8; 32])>, snapshots: bool) -> Result<Self, EngineError> {
        let stores = Arc::new(PerCase::default());
        let compile_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let defaults = EngineConfig::default();
        let engine = Engine::new(EngineConfig {
            cache_key: cache.as_ref().map_or(defaults.cache_key, |(_, key)| *key),
            cache_dir: cache.map(|(folder, _)| folder),
            slots: SLOTS,
            compile_threads,
            snapshots,
            state: Arc::<PerCase>::clone(&stores),
            labels: Arc::<PerCase>::clone(&stores),
            ..defaults
        })?;
        // Made ahead, what configuring takes is no part of a call.
        let instances = (!snapshots).then_some(Instances { ahead: Some(1), reuse: 1 });
        let answers = Arc::new(Answering::default());
        let engine = engine.with_outside(Arc::<Answering>::clone(&answers));
        Ok(Self { engine, stores, answers, subject, instances, loaded: BTreeMap::new() })
    }

    /// Puts another component in the place of this one; what is compiled of the old one is dropped.
    pub fn replace(&mut self, subject: Subject) {
        self.loaded.clear();
        self.subject = subject;
    }

    /// Loads the plugin with a configuration, if it is not loaded.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub fn load(&mut self, config: &str) -> Result<Plugin, NotLoaded> {
        if self.loaded.len() >= MAX_LOADED && !self.loaded.contains_key(config) {
            self.loaded.clear();
        }
        let (engine, subject, instances) = (&self.engine, &self.subject, self.instances);
        let load = || {
            let Subject { name, file, grants, limits, instances: wanted, source } = subject;
            let instances = instances.unwrap_or(*wanted);
            let wrapped = source.as_ref().map(|source| {
                let config = serde_json::Value::from(config);
                format!("{{\"source\":{source},\"config\":{config}}}")
            });
            let config = wrapped.as_deref().unwrap_or(config);
            let source = Source { name, tenant: TENANT, file, config, grants, limits: *limits, instances };
            engine
                .load(&source)
                .map_err(|error| NotLoaded { refused: matches!(error, LoadError::Refused(_)), text: chain(&error) })
        };
        self.loaded.entry(config.to_owned()).or_insert_with(load).clone()
    }

    /// Runs one case.
    pub fn run(&mut self, case: &Case) -> Report {
        self.stores.reset();
        self.answers.reset(case);
        let started = Instant::now();
        let config = case.config_text();
        let known = self.loaded.contains_key(&config);
        let loaded = self.load(&config);
        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let load_micros = (!known).then_some(took);
        let mut differences = Vec::new();
        let (outcome, cost) = match loaded {
            Ok(plugin) => match self.ask(&plugin, case, &mut differences) {
                Ok((outcome, cost)) => {
                    differences.extend(self.answers.problems());
                    (outcome, Some(cost))
                }
                Err(problem) => {
                    let name = case.name.clone();
                    return Report {
                        name,
                        differences: vec![problem.clone()],
                        outcome: Outcome::Error(problem),
                        cost: None,
                        load_micros,
                    };
                }
            },
            Err(error) => (Outcome::Error(error.text), None),
        };
        differences.extend(case.check(&outcome));
        Report { name: case.name.clone(), differences, outcome, cost, load_micros }
    }

    /// What the plugin answers to one call, as JSON with what it cost.
    ///
    /// # Errors
    /// The plugin cannot be loaded, or the case not be run.
    pub fn answer(&mut self, case: &Case) -> Result<serde_json::Value, String> {
        self.stores.reset();
        self.answers.reset(case);
        let plugin = self.load(&case.config_text()).map_err(|error| error.text)?;
        let (answer, cost) = self.ask(&plugin, case, &mut Vec::new())?;
        let problems = self.answers.problems();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let mut value = translate::json(&answer);
        if let Some(members) = value.as_object_mut() {
            let cost = serde_json::json!({ "fuel": cost.fuel, "micros": cost.micros, "memory": cost.memory });
            members.insert("cost".to_owned(), cost);
        }
        Ok(value)
    }

    /// What the plugin answers, after the calls that come before; or why the case cannot be run. Configuring is no part of a
    /// call.
    fn ask(&self, plugin: &Plugin, case: &Case, differences: &mut Vec<String>) -> Result<(Outcome, PluginRun), String> {
        let call = translate::call(case)?;
        for (label, value) in &case.labels {
            let session = call.session.as_deref().unwrap_or_default();
            self.stores.add(TENANT, session, label, value, call.time_ms).map_err(|error| error.to_string())?;
        }
        for earlier in case.earlier() {
            plugin.make_ahead().map_err(|fault| fault.to_string())?;
            let (outcome, _) = translate::ask(plugin, &earlier, &translate::call(&earlier)?)?;
            differences.extend(earlier.check(&outcome).iter().map(|text| format!("before: {text}")));
        }
        plugin.make_ahead().map_err(|fault| fault.to_string())?;
        translate::ask(plugin, case, &call)
    }
}

/// An error and everything under it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
