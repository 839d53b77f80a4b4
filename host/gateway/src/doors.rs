//! The ways in. A door translates between its wire and the gate; it decides nothing.

pub mod arden;
pub mod clavenar;
pub mod inspect;
pub mod mcp;
