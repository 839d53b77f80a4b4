//! Tenants, agents, operators, their credentials and limits.
#![forbid(unsafe_code)]
