//! The Portcullis binary.
#![forbid(unsafe_code)]

fn main() {}
