//! The Portcullis binary: arguments, configuration, wiring.
#![forbid(unsafe_code)]

mod cli;
mod config;
mod embedded;
mod reference;

fn main() {}
