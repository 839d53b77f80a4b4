//! The native test harness: doubles for the host's capabilities, and case files that run natively and, by the host's own
//! tests, against the built component.
//!
//! ```no_run
//! # use portcullis_plugin::{Call, Detector, Finding, Payload};
//! # struct Words;
//! # impl Detector for Words {
//! #     type Config = serde_json::Value;
//! #     fn configure(_: serde_json::Value) -> Result<Self, String> { Ok(Self) }
//! #     fn inspect(&self, _: &Call, _: &dyn Payload) -> Result<Vec<Finding>, String> { Ok(Vec::new()) }
//! # }
//! # portcullis_plugin::detector!(Words);
//! # fn main() {
//! portcullis_plugin::testing::run_cases::<Words>("cases");
//! # }
//! ```

mod answers;
mod case;
mod doubles;
mod payload;

use std::path::Path;

pub use answers::{Answers, HttpAnswer, HttpFailure, JudgeAnswer, JudgeFailure};
pub use case::{
    Before, CallSpec, Case, CaseError, Expect, ExpectedFinding, GivenFinding, Outcome, Place, Seen, read_cases,
};
pub(crate) use doubles::doubles;
pub use doubles::{
    Question, add_folder, add_judge_answer, add_response, asked, grant_secret, logged, reset, sent, set_labels,
    set_now, stored,
};
pub use payload::{JsonPayload, PayloadError};

/// What runs a case; the role macros implement it for the plugin's type.
pub trait Subject {
    /// Configures the plugin as the case says and asks it.
    fn run(case: &Case) -> Result<Outcome, CaseError>;
}

/// Runs every case of a folder (`*.json`, in order of name; one case or an array of cases per file). Doubles are reset
/// before each.
///
/// # Panics
/// If the folder holds no case, a file is malformed, or an answer is not as expected; the text names all such cases.
pub fn run_cases<S: Subject>(folder: impl AsRef<Path>) {
    let failures = match read_cases(folder.as_ref()) {
        Ok(cases) => cases.iter().filter_map(failure::<S>).collect(),
        Err(error) => vec![error.to_string()],
    };
    assert!(failures.is_empty(), "{} of the cases failed:\n{}", failures.len(), failures.join("\n"));
}

fn failure<S: Subject>(case: &Case) -> Option<String> {
    reset();
    set_labels(case.labels.clone());
    doubles(|doubles| doubles.answers = Some(Answers::of(case)));
    let mut differences = Vec::new();
    for earlier in case.earlier() {
        set_now(earlier.call.time_ms);
        match S::run(&earlier) {
            Ok(outcome) => differences.extend(earlier.check(&outcome).iter().map(|text| format!("before: {text}"))),
            Err(error) => differences.push(format!("before: {error}")),
        }
    }
    set_now(case.call.time_ms);
    match S::run(case) {
        Ok(outcome) => differences.extend(case.check(&outcome)),
        Err(error) => differences.push(error.to_string()),
    }
    differences.extend(doubles(|doubles| doubles.answers.as_mut().map_or_else(Vec::new, Answers::problems)));
    (!differences.is_empty()).then(|| format!("- {}:\n    {}", case.name, differences.join("\n    ")))
}

#[cfg(test)]
mod tests;
