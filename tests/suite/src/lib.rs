//! Scenarios, real clients, bad input and power cuts against the built binary.
#![forbid(unsafe_code)]
