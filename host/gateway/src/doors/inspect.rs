//! The inspect API.
