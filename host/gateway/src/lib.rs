//! The doors: HTTP server, inspect API, MCP, upstreams.
//!
//! A [door](doors) translates between its wire and the [gate]; the gate takes a call through limits, pipeline, ledger and
//! approval. [Channels](channels) tell people of what is parked. Pipelines, ledger, credentials and parked calls stand behind the traits of [ports].
#![forbid(unsafe_code)]

pub mod api;
pub mod channels;
pub mod doors;
pub mod events;
pub mod gate;
pub mod http;
pub mod metrics;
pub mod outbound;
pub mod outside;
pub mod ports;
mod shares;
mod signature;
pub mod upstream;
