use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_model::Digest;
use serde::Serialize;
use serde_json::Value;

use super::{GenerationView, PluginView};

/// The generations of a tenant that are kept beside the one in force.
pub trait Activations: Send + Sync + 'static {
    /// The one in force and those before it, latest first.
    fn history(&self, tenant: &str) -> Vec<PastView>;

    /// One that is kept, whole.
    fn show(&self, tenant: &str, generation: Digest) -> Option<PastView>;

    /// What differs between two that are kept; none if one of them is not.
    fn difference(&self, tenant: &str, from: Digest, to: Digest) -> Option<DifferenceView>;

    /// The generation that is tried, how, and what it said of copies of calls: an object. None if none is.
    fn trial(&self, tenant: &str) -> Option<Value>;

    /// Records that the candidate is put in force, and does so.
    fn promote(&self, trial: TrialStep) -> BoxFuture<'_, Result<Stepped, StepError>>;

    /// Records that the candidate is not tried any more, and ends it. Gives its name.
    fn drop_candidate(&self, trial: TrialStep) -> BoxFuture<'_, Result<Digest, StepError>>;

    /// Records that another one is put in force, and does so.
    fn step(&self, step: Step) -> BoxFuture<'_, Result<Stepped, StepError>>;
}

/// Somebody who changes pipelines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Whose pipelines.
    pub tenant: Arc<str>,
    /// The operator's name; the open agent's where there are no operators.
    pub name: Arc<str>,
}

/// What an operator wants.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who.
    pub by: Who,
    /// The generation to put in force; none: the one before the present one.
    pub to: Option<Digest>,
    /// Only if this one is in force.
    pub from: Option<Digest>,
}

/// What an operator wants of a candidate.
#[derive(Clone, Debug)]
pub struct TrialStep {
    /// Who.
    pub by: Who,
    /// Only if this one is tried.
    pub candidate: Option<Digest>,
    /// Whether one may be promoted that was withdrawn by its bounds.
    pub withdrawn: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Stepped {
    /// What was in force.
    pub from: Digest,
    /// What is now.
    pub to: Digest,
    /// It, as the list shows it.
    pub generations: Vec<GenerationView>,
}

/// A generation that is, or was, in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PastView {
    /// Its name.
    pub generation: Digest,
    /// Whether it is in force.
    pub current: bool,
    /// Whether it is what the configuration says.
    pub configured: bool,
    /// When it was put in force the last time, in milliseconds since the Unix epoch.
    pub activated_ms: u64,
    /// Who did: an operator, or `portcullis`.
    pub by: Arc<str>,
    /// Why: `start`, `reload`, `policies`, `activate`, `rollback`, `promote`.
    pub why: &'static str,
    /// What was in force before it.
    pub from: Option<Digest>,
    /// Its plugins in pipeline order.
    pub plugins: Vec<PluginView>,
}

/// What differs between two generations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DifferenceView {
    /// The one before.
    pub from: Digest,
    /// The one after.
    pub to: Digest,
    /// What is not of one plugin.
    pub changes: Vec<ChangeView>,
    /// Plugins that differ.
    pub plugins: Vec<PluginDifferenceView>,
}

/// How one plugin differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginDifferenceView {
    /// Its name.
    pub plugin: Arc<str>,
    /// `added`, `removed` or `changed`.
    pub what: &'static str,
    /// What changed of one that both have.
    pub changes: Vec<ChangeView>,
    /// Changes that are not told.
    pub more: usize,
}

/// One value that is another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeView {
    /// Where: a JSON pointer into the plugin's settings.
    pub at: String,
    /// Before; none if it was not there, or is not for this caller.
    pub from: Option<Value>,
    /// After.
    pub to: Option<Value>,
}

impl DifferenceView {
    /// Without the values of plugins' configurations, for those who may not see them.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        for change in self.plugins.iter_mut().flat_map(|plugin| &mut plugin.changes) {
            if change.at.starts_with("/config/") || change.at == "/config" {
                (change.from, change.to) = (None, None);
            }
        }
        self
    }
}

/// Why no other generation was put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The candidate was withdrawn, and whoever promotes it does not say that they know.
    #[error("the candidate was withdrawn by its bounds")]
    Withdrawn,
    /// None of this name is kept.
    #[error("no generation of this name is kept")]
    Unknown,
    /// There is none before the present one.
    #[error("no generation before the present one is kept")]
    Nothing,
    /// It is in force already.
    #[error("this generation is in force already")]
    Current,
    /// Another one is in force than the caller knew of.
    #[error("another generation is in force by now: {0}")]
    Changed(Digest),
    /// Nothing is tried, or something else than the caller knew of.
    #[error("no generation is tried, or another one than was named")]
    NoCandidate,
    /// It could not be recorded.
    #[error("it could not be recorded, so nothing was changed: {0}")]
    Unavailable(String),
}
