//! The door against real sockets and real child processes.

mod http;
mod shared;
mod stateless;
mod stdio;
mod supervision;
mod support;
mod wrap;
