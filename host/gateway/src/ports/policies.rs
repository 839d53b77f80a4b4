use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_model::Digest;
use serde::Serialize;
use serde_json::value::RawValue;

use super::OperatorIdentity;

/// The policies of plugins that take theirs from operators.
pub trait Policies: Send + Sync + 'static {
    /// Those of a tenant's pipeline, in its order.
    fn list<'p>(&'p self, tenant: &'p str) -> BoxFuture<'p, Result<Vec<PolicyView>, PolicyError>>;

    /// Replaces the policies of one plugin: a new generation is built, recorded and put in force, or nothing changes.
    fn replace(&self, change: PolicyChange) -> BoxFuture<'_, Result<PolicyView, PolicyError>>;
}

/// The policies of one plugin.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyView {
    /// The plugin's name in the pipeline.
    pub plugin: Arc<str>,
    /// SHA-256 of the policies' canonical form.
    pub digest: Digest,
    /// Who replaced them; none if they are those of the configuration.
    pub by: Option<Arc<str>>,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: Option<u64>,
    /// The policies, an array.
    pub policies: Box<RawValue>,
}

/// What an operator wants.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    /// Who.
    pub operator: OperatorIdentity,
    /// The plugin's name in the pipeline.
    pub plugin: String,
    /// The new policies, an array; none: those of the configuration.
    pub policies: Option<Box<RawValue>>,
    /// Only if the present ones have this digest.
    pub replaces: Option<Digest>,
}

/// Why policies were not read or replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The tenant's pipeline has no such plugin, or one that takes no policies.
    #[error("the pipeline has no plugin of this name that takes policies")]
    Unknown,
    /// Others are in force than the ones to be replaced.
    #[error("the policies in force are not those that were to be replaced")]
    Changed,
    /// The policies are wrong; the text names the place.
    #[error("{0}")]
    Invalid(String),
    /// They could not be recorded or read.
    #[error("the policies are not available: {0}")]
    Unavailable(String),
}
