//! The door against real sockets and real child processes.

mod http;
mod stdio;
mod supervision;
mod support;
mod wrap;
