//! The ordered plugins of a tenant: selectors, fail modes, verdict merge, generations.
//!
//! A [`PipelineSpec`] says what a tenant's pipeline is; [`Generation::build`] loads and checks all of it, off to the
//! side; [`Generation::judge`] runs it over one call. [`Generations`] holds the current generation of every tenant behind
//! one atomic pointer.
//!
//! Detectors run first, in order, then rules, in order; every rule sees what all detectors found. The strongest verdict
//! wins: deny, review, redact, allow. A plugin that does not answer properly counts as its fail mode says; one that keeps
//! failing is not asked for a while.
#![forbid(unsafe_code)]

mod breaker;
mod candidate;
mod difference;
mod generation;
mod generations;
mod judge;
mod report;
mod select;
mod shadow;
mod spec;

pub use breaker::{MAX_QUARANTINE_CALLS, Quarantine, Turn};
pub use candidate::{Bounds, Candidate, Evidence, Figures, Outward, Standing, Trial};
pub use difference::{Change, Difference, PluginDifference, What};
pub use generation::{BuildError, BuildProblem, Generation, GenerationSummary, PluginSummary, Warmed};
pub use generations::{Activation, Generations, Listener, MAX_KEPT, News, Notice, Past, Why};
pub use judge::{MAX_FINDINGS, MAX_REASONS};
pub use report::{Example, MAX_EXAMPLES, MAX_TOOLS, OTHERS, Report, Said, Side, ToolReport, VerdictChange};
pub use shadow::{MAX_WAITING, MAX_WAITING_BYTES};
pub use spec::{FailMode, MAX_PLUGINS, PipelineSpec, PluginSpec, Selector};
