//! Write Portcullis plugins in Rust.
//!
//! A plugin is a type that implements one of the three role traits, [`Detector`], [`Rule`] or [`Router`], and one macro
//! line, [`detector!`], [`rule!`] or [`router!`], that exports it as a WebAssembly component:
//!
//! ```
//! use portcullis_plugin::{Call, Detector, Finding, Payload, Span};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config {
//!     word: String,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { word: "plutonium".to_owned() }
//!     }
//! }
//!
//! struct Words(Config);
//!
//! impl Detector for Words {
//!     type Config = Config;
//!
//!     fn configure(config: Config) -> Result<Self, String> {
//!         if config.word.is_empty() { Err("word: must not be empty".to_owned()) } else { Ok(Self(config)) }
//!     }
//!
//!     fn inspect(&self, _call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
//!         let mut findings = Vec::new();
//!         for (index, text) in payload.texts().iter().enumerate() {
//!             for (start, found) in text.value.match_indices(&self.0.word) {
//!                 let finding = Finding::new("word.forbidden", 0.9, "a forbidden word");
//!                 findings.push(finding.with_span(Span::of(index, start..start + found.len())));
//!             }
//!         }
//!         Ok(findings)
//!     }
//! }
//!
//! portcullis_plugin::detector!(Words);
//! # fn main() {}
//! ```
//!
//! The same code compiles natively, where the macro exports nothing and the host's capabilities are doubles, so that a
//! plugin is tested with plain `cargo test`: see `testing`.
//!
//! A plugin imports only what its code uses: [`clock`], [`state`], [`labels`], [`files`], [`http`], [`secrets`] and [`judge`]
//! become imports (and must then be granted) when their functions are called. It must be deterministic: the same configuration, call and host answers
//! must give the same answer and the same fuel.

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
pub mod clock;
pub mod files;
#[doc(hidden)]
pub mod glue;
pub mod http;
pub mod judge;
pub mod labels;
pub mod log;
mod macros;
pub mod pointer;
mod roles;
pub mod secrets;
pub mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod types;

pub use roles::{Detector, Payload, Router, Rule};
pub use types::{
    Approver, AttributedFinding, Call, Finding, Phase, Plan, Reason, Redaction, Replacement, Span, Step, Text, Verdict,
    find_text, join_findings, join_spans, widen_spans,
};

/// Version of the plugin contract (`wit/plugin@1.0.0`) that this crate speaks; stamped into every component as custom
/// section `portcullis:abi`.
pub const ABI: &str = "1.0.0";
