//! The door against real sockets and real child processes.

mod federation;
mod holding;
mod http;
mod oauth;
mod policy;
mod shared;
mod stateless;
mod stdio;
mod supervision;
mod support;
mod wrap;
