use crate::build::{BuildError, Job};
use crate::component::Output;

pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let _ = job;
    Err(BuildError::Bindings { language: job.manifest().language, problem: "not written yet".to_owned() })
}
