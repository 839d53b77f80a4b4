//! The doors: HTTP server, inspect API, MCP, upstreams.
#![forbid(unsafe_code)]
