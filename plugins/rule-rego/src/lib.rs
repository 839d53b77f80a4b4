//! Decides by Rego policies.
