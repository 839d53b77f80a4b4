//! `portcullis token`

use std::process::ExitCode;

use anyhow::Result;
use portcullis_tenancy::generate_token_as;

pub(crate) fn run(prefix: &str) -> Result<ExitCode> {
    let plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    anyhow::ensure!(plain && prefix.len() <= 64, "--prefix: use at most 64 letters, digits, `_` or `-`");
    let token = generate_token_as(prefix)?;
    println!("token         {}", token.expose());
    println!("token_sha256  {}", token.digest());
    eprintln!("Give the token to its holder; put its SHA-256 into the configuration. It is not shown again.");
    Ok(ExitCode::SUCCESS)
}
