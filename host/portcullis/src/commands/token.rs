//! `portcullis token`

use std::process::ExitCode;

use anyhow::Result;
use portcullis_tenancy::generate_token;

pub(crate) fn run() -> Result<ExitCode> {
    let token = generate_token()?;
    println!("token         {}", token.expose());
    println!("token_sha256  {}", token.digest());
    eprintln!("Give the token to its holder; put its SHA-256 into the configuration. It is not shown again.");
    Ok(ExitCode::SUCCESS)
}
