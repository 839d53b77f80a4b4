//! Tenants, agents, operators, their credentials and limits.
//!
//! A [`Directory`] is an immutable snapshot of who may call and who may decide; a reload makes a new one. Identity
//! comes from a credential only: a bearer token, of which the directory holds the SHA-256 value and never the token, or
//! the SPIFFE id of a verified client certificate.
#![forbid(unsafe_code)]

mod directory;
mod label;
mod rate;
mod spiffe;
mod token;
mod tools;

pub use directory::{
    Agent, AgentSpec, DenialForm, Directory, DirectoryError, OPEN_AGENT, OPEN_TENANT, Operator, OperatorSpec,
    Principal, Problem, Refused, TenantSpec, roles,
};
pub use label::{MAX_LABEL, is_label};
pub use rate::{RateLimit, RateLimited};
pub use spiffe::SpiffeId;
pub use token::{Token, TokenError, generate_token, generate_token_as, token_digest};
pub use tools::{ToolRules, ToolRulesError};
