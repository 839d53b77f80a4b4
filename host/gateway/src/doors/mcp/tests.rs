//! The door against real sockets and real child processes.

mod http;
mod oauth;
mod stdio;
mod support;
mod wrap;
