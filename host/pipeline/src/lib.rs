//! The ordered plugins of a tenant: selectors, fail modes, verdict merge, generations.
#![forbid(unsafe_code)]
