//! The door against real sockets and real child processes.

mod federation;
mod http;
mod oauth;
mod policy;
mod stdio;
mod support;
mod wrap;
