//! What training gives: tables to commit, and how well they do on sources that they do not know.

use anyhow::Result;
use portcullis_plugin::testing::JsonPayload;
use portcullis_plugin::{Call, Detector};
use serde::Serialize;

/// What training one detector gives.
pub(crate) struct Trained {
    /// Its package: the folder in `plugins/`.
    pub(crate) package: &'static str,
    /// What is committed: path below the package's folder, and content.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    /// Texts, each scored by the detector with tables that were made without its source.
    pub(crate) held_out: Vec<HeldOut>,
}

/// What a text is scored for. Each is one row or more of the goals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Set {
    /// Overrides and jailbreaks typed by users, and what users type otherwise.
    Overrides,
    /// Benign sentences full of words that attacks are made of.
    Triggers,
    /// Payloads that are found plain, obfuscated; `kind` says how. Only attacks: the threshold is that of the overrides.
    Obfuscated,
    /// Instructions wrapped in results as `detector-injection` alone sees them.
    Wrapped,
    /// Instructions in results, wrapped and bare, and ordinary results; `kind` as in the data.
    Results,
    /// Calls with persona and task: hijacked, beside the persona, ordinary.
    Calls,
    /// Bare instructions that a result brings, with the call that follows, and ordinary calls.
    Bare,
    /// Unix shell.
    Shell,
    /// Destructive commands, of every kind of shell.
    Destructive,
    /// Values that inject SQL, and values that look like it.
    Sql,
    /// Source code.
    Code,
    /// Definitions of tools.
    Tools,
    /// Names of packages that are not in the list.
    Packages,
    /// Strings that are credentials, and strings that look like one.
    Secrets,
    /// Places in texts: an attack is a labelled place with the score of what is found there, 0 if nothing is; a benign row is
    /// a place that was found where nothing is labelled. `kind` is that of the data.
    Pii,
}

/// A text that was scored.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HeldOut {
    /// What for.
    pub(crate) set: Set,
    /// Where the text comes from.
    pub(crate) source: String,
    /// Its kind.
    pub(crate) kind: String,
    /// What it is.
    pub(crate) attack: bool,
    /// The score of the whole detector, as it would be shipped: 0 to 1.
    pub(crate) score: f64,
}

/// The highest score of what a detector finds in a payload, of findings whose category begins like that; 0 if there is none.
pub(crate) fn highest(detector: &impl Detector, call: &Call, payload: &str, begins: &str) -> Result<f64> {
    let payload = JsonPayload::new(payload)?;
    let findings = detector.inspect(call, &payload).map_err(anyhow::Error::msg)?;
    let counted = findings.iter().filter(|finding| finding.category.starts_with(begins));
    Ok(counted.map(|finding| f64::from(finding.score)).fold(0.0, f64::max))
}
