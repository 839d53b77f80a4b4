//! The published Rust client and server of the protocol, as programs that the suite puts around Portcullis.
//!
//! `peers session PLAN` is a client, like the programs of tests/clients: plan and answer are described there.
//! `peers serve PAGES` is a Streamable HTTP server for both eras with one tool, `read`, and one resource for each page of a
//! JSON object of names and texts. It prints its address.
#![forbid(unsafe_code)]

mod serve;
mod session;

use anyhow::{Result, bail};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["session", plan] => session::run(&serde_json::from_str(plan)?).await,
        ["serve", pages] => serve::run(serde_json::from_str(pages)?).await,
        _ => bail!("usage: peers session PLAN | peers serve PAGES"),
    }
}
