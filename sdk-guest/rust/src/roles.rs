use serde::de::DeserializeOwned;

use crate::{AttributedFinding, Call, Finding, Plan, Reason, Text, Verdict};

/// The payload of the call at hand.
pub trait Payload {
    /// The payload as JSON text, exactly as received.
    fn raw(&self) -> String;

    /// Every string in the payload (member names excluded), in document order. A span's `text` is an index into this list.
    fn texts(&self) -> Vec<Text>;

    /// Every distinct member name, decoded, in order of first appearance.
    fn names(&self) -> Vec<String>;

    /// The JSON text at an RFC 6901 pointer, or none.
    fn get(&self, pointer: &str) -> Option<String>;
}

/// Looks at a call and reports findings.
pub trait Detector: Sized + 'static {
    /// The plugin's configuration, read from JSON. No configuration at all is read as `{}`.
    type Config: DeserializeOwned;

    /// Runs once per configuration, before the snapshot: parse, compile and build tables here.
    ///
    /// # Errors
    /// Shown to whoever configures, word for word: name the key and say what to write instead.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// Looks at one call.
    ///
    /// # Errors
    /// Counts as a failed plugin and follows its fail mode (by default the call is denied).
    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String>;
}

/// Decides a call, given what the detectors saw.
pub trait Rule: Sized + 'static {
    /// The plugin's configuration, read from JSON. No configuration at all is read as `{}`.
    type Config: DeserializeOwned;

    /// Runs once per configuration, before the snapshot: parse, compile and build tables here.
    ///
    /// # Errors
    /// Shown to whoever configures, word for word: name the key and say what to write instead.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// Decides one call.
    ///
    /// # Errors
    /// Counts as a failed plugin and follows its fail mode (by default the call is denied).
    fn decide(&self, call: &Call, payload: &dyn Payload, findings: &[AttributedFinding]) -> Result<Verdict, String>;
}

/// Says who must approve a parked call.
pub trait Router: Sized + 'static {
    /// The plugin's configuration, read from JSON. No configuration at all is read as `{}`.
    type Config: DeserializeOwned;

    /// Runs once per configuration, before the snapshot: parse, compile and build tables here.
    ///
    /// # Errors
    /// Shown to whoever configures, word for word: name the key and say what to write instead.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// Says who decides, given why the call was parked.
    ///
    /// # Errors
    /// Counts as a failed plugin and follows its fail mode (by default the call is denied).
    fn route(
        &self,
        call: &Call,
        payload: &dyn Payload,
        findings: &[AttributedFinding],
        reasons: &[Reason],
    ) -> Result<Plan, String>;
}
