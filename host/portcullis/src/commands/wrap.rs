//! `portcullis wrap -- COMMAND …`: one stdio MCP server behind Portcullis, for one client.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use portcullis_gateway::doors::mcp::{McpLimits, Wrapping, wrap};
use portcullis_gateway::ports::AgentIdentity;
use portcullis_gateway::upstream::Upstream;
use portcullis_model::Digest;
use portcullis_tenancy::{OPEN_AGENT, OPEN_TENANT};
use tokio::signal::unix::{SignalKind, signal};

use super::Settings;
use crate::cli;
use crate::host::Host;
use crate::logs;

pub(crate) fn run(arguments: &cli::Wrap) -> Result<ExitCode> {
    let mut settings = Settings::read(&arguments.place)?;
    let (program, rest) = arguments.command.split_first().context("a command is needed")?;
    let name = arguments.name.clone().unwrap_or_else(|| file_name(program));
    if arguments.place.data.is_none() && arguments.place.config.is_none() {
        settings.config.data = default_data(&name, &arguments.command)?;
    }
    let _telemetry = logs::start(&settings.config.logs, &settings.config.traces)?;
    let upstream = Upstream::stdio(&name, program, rest.to_vec(), [])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let status = runtime.block_on(serve(arguments, &settings, upstream))?;
    // Reading standard input is a blocking task that only its next line would end.
    runtime.shutdown_background();
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

async fn serve(arguments: &cli::Wrap, settings: &Settings, upstream: Upstream) -> Result<i32> {
    check_agent(arguments, settings)?;
    let host = Host::start(settings, String::new()).await?;
    let agent = AgentIdentity {
        tenant: arguments.tenant.as_str().into(),
        name: arguments.agent.as_str().into(),
        persona: None,
        may_explain: false,
    };
    let wrapping = Wrapping {
        gate: Arc::clone(&host.gate),
        agent,
        session: None,
        upstream: Arc::new(upstream),
        limits: McpLimits::default(),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let gate = Arc::clone(&host.gate);
    let expiring = tokio::spawn(async move { gate.keep_expiring().await });
    let status = wrap(wrapping, tokio::io::stdin(), tokio::io::stdout(), shutdown).await;
    expiring.abort();
    // Its end is what counts; being aborted is no failure.
    let _ = expiring.await;
    host.ledger.clone().close().await;
    Ok(status?)
}

/// The calls of an agent that is not there would all be refused.
fn check_agent(arguments: &cli::Wrap, settings: &Settings) -> Result<()> {
    let (tenants, cli::Wrap { tenant, agent, .. }) = (&settings.config.tenant, arguments);
    if tenants.is_empty() {
        let open = tenant == OPEN_TENANT && agent == OPEN_AGENT;
        anyhow::ensure!(open, "without a configuration there is tenant `{OPEN_TENANT}` with agent `{OPEN_AGENT}` only");
        return Ok(());
    }
    let found = tenants.iter().find(|one| one.name == *tenant);
    let found = found.with_context(|| format!("the configuration has no tenant `{tenant}`; name one with --tenant"))?;
    let names: Vec<&str> = found.agent.iter().map(|one| one.name.as_str()).take(10).collect();
    let known = names.join(", ");
    let there = found.agent.iter().any(|one| one.name == *agent);
    anyhow::ensure!(there, "tenant `{tenant}` has no agent `{agent}`; name one with --agent: {known}");
    Ok(())
}

fn file_name(program: &str) -> String {
    let name = Path::new(program).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    name.chars().map(fits).collect()
}

/// A data folder per wrapped command line, where the user's programs keep their data: most servers are started by the same
/// few programs.
fn default_data(name: &str, command: &[String]) -> Result<PathBuf> {
    let digest = Digest::of_parts(command.iter().map(String::as_bytes)).hex();
    let folder = format!("{name}-{}", digest.get(..8).unwrap_or_default());
    let base = match std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => Path::new(&std::env::var_os("HOME").context("neither XDG_DATA_HOME nor HOME is set; give --data")?)
            .join(".local/share"),
    };
    let data = base.join("portcullis").join(folder);
    std::fs::create_dir_all(&data).with_context(|| format!("{}: cannot be made", data.display()))?;
    Ok(data)
}
