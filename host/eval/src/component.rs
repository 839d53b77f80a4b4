//! Answers of the built components, in the engine.

use portcullis_engine::{Engine, Grants, Instances, Limits, LoadError, Plugin, PluginFile, Source};
use portcullis_model::{Call, Finding, Role};

use crate::evaluation::Answer;
use crate::question::Question;

/// Detectors that are scored, each loaded once.
#[derive(Debug)]
pub struct Components {
    plugins: Vec<Plugin>,
}

/// A plugin that cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum NotScored {
    /// It does not load.
    #[error("{name}: cannot be loaded")]
    Load {
        /// Its name.
        name: String,
        /// Why.
        source: Box<LoadError>,
    },
    /// It finds nothing, it decides.
    #[error("{name}: is a {role}; only detectors have scores")]
    Role {
        /// Its name.
        name: String,
        /// What it is.
        role: &'static str,
    },
}

/// What is granted, as [`Description::asks`](portcullis_engine::Description::asks) names it: what stays on this machine. A model is
/// asked, and a host reached, only where somebody has said which.
pub const GRANTED: [&str; 3] = ["clock", "labels", "state"];

impl Components {
    /// Loads detectors, each with a name, its component and its configuration as JSON text. Slow the first time.
    ///
    /// # Errors
    /// One does not load, or is no detector.
    pub fn load<'c>(
        engine: &Engine,
        components: impl IntoIterator<Item = (&'c str, PluginFile, &'c str)>,
        limits: Limits,
    ) -> Result<Self, NotScored> {
        let mut plugins = Vec::new();
        for (name, file, config) in components {
            let granted = |what| GRANTED.contains(&what);
            let grants = Grants {
                clock: granted("clock"),
                labels: granted("labels"),
                state: granted("state"),
                ..Grants::default()
            };
            let instances = Instances::default();
            let source = Source { name, tenant: "eval", file: &file, config, grants: &grants, limits, instances };
            let plugin = engine
                .load(&source)
                .map_err(|error| NotScored::Load { name: name.to_owned(), source: Box::new(error) })?;
            if plugin.role() != Role::Detector {
                return Err(NotScored::Role { name: name.to_owned(), role: plugin.role().as_str() });
            }
            plugins.push(plugin);
        }
        Ok(Self { plugins })
    }

    /// Names of the detectors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().map(|plugin| &**plugin.name())
    }

    /// What each detector says of a call, in order. What answers another question does not count.
    #[must_use]
    pub fn answers(&self, question: Question, call: &Call) -> Vec<Answer> {
        let answer = |plugin: &Plugin| {
            let run = plugin.inspect(call);
            let (findings, fault) = match run.result {
                Ok(findings) => (findings, None),
                Err(fault) => (Vec::new(), Some(fault.code().to_owned())),
            };
            Answer::new(question, &findings, fault, Some((run.cost.fuel, run.cost.micros)))
        };
        self.plugins.iter().map(answer).collect()
    }
}

impl Answer {
    /// The strongest of the findings that answer a question.
    #[must_use]
    pub fn new(question: Question, findings: &[Finding], fault: Option<String>, cost: Option<(u64, u32)>) -> Self {
        let fits = |finding: &&Finding| question.categories().iter().any(|prefix| finding.category.starts_with(prefix));
        let score = findings.iter().filter(fits).map(|finding| f64::from(finding.score)).fold(0.0, f64::max);
        Self { score, fault, cost }
    }
}
