//! The door against real sockets and real child processes.

mod http;
mod policy;
mod stdio;
mod support;
mod wrap;
