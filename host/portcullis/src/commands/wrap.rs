//! `portcullis wrap -- COMMAND …`: one stdio MCP server behind Portcullis, for one client.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::{BoxFuture, FutureExt as _};
use portcullis_gateway::api::{Api, ApiConfig};
use portcullis_gateway::channels::Channels;
use portcullis_gateway::doors::mcp::{Desk, McpLimits, Wrapping, wrap};
use portcullis_gateway::http::{Drained, Server};
use portcullis_gateway::ports::{AgentIdentity, GenerationView, Reload, ReloadError, Who};
use portcullis_gateway::upstream::Upstream;
use portcullis_model::Digest;
use portcullis_tenancy::{OPEN_AGENT, OPEN_TENANT, generate_token};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Settings;
use crate::assemble::Control;
use crate::channels;
use crate::cli;
use crate::host::{Host, hold_limits};
use crate::logs;
use crate::remote::{Left, Running};

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
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let told = channels::channels(&settings.config, settings.place.as_ref())?;
    let secret = generate_token()?.expose().to_owned();
    let host = Host::start(settings, Control { secret: secret.clone(), decides: arguments.decide }).await?;
    let agent = AgentIdentity {
        tenant: arguments.tenant.as_str().into(),
        name: arguments.agent.as_str().into(),
        persona: None,
        may_explain: false,
    };
    let channels = host.channels(settings, told)?;
    let port = Port::open(&host, &channels, &settings.data()?, Arc::clone(&upstream.name), &secret, arguments.decide);
    if let Err(error) = &port {
        tracing::warn!("while this runs, no other command can look at its data folder: {error:#}");
    }
    let wrapping = Wrapping {
        gate: Arc::clone(&host.gate),
        agent,
        session: None,
        upstream: Arc::new(upstream),
        limits: McpLimits { hold: hold_limits(&settings.config.mcp), ..McpLimits::default() },
        desk: if port.is_ok() && arguments.decide { Desk::CommandLine } else { Desk::Nowhere },
    };
    let gate = Arc::clone(&host.gate);
    let expiring = tokio::spawn(async move { gate.keep_expiring().await });
    let telling = tokio::spawn(channels.run());
    let status = wrap(wrapping, tokio::io::stdin(), tokio::io::stdout(), shutdown).await;
    for task in [expiring, telling] {
        task.abort();
        // Its end is what counts; being aborted is no failure.
        let _ = task.await;
    }
    if let Ok(port) = port {
        port.close().await;
    }
    host.ledger.clone().close().await;
    Ok(status?)
}

/// Where the other commands look, and decide, while the client runs.
struct Port {
    left: Left,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
}

impl Port {
    /// How long a command may take to get its answer after the client has gone.
    const DRAIN: Duration = Duration::from_secs(1);

    fn open(
        host: &Host,
        channels: &Arc<Channels>,
        data: &Path,
        upstream: Arc<str>,
        secret: &str,
        decides: bool,
    ) -> Result<Self> {
        let config = ApiConfig { upstreams: vec![upstream], ..ApiConfig::default() };
        let api = Api::new(Arc::clone(&host.gate), Arc::new(Fixed), Vec::new(), &config);
        let api = Arc::new(api.with_channels(Arc::clone(channels)));
        let server = Server::local(secret, Self::DRAIN, api)?;
        let left = Running::new(server.address(), secret, decides).leave(data)?;
        tracing::info!("other commands find this with --data {}", data.display());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(stopped.map(drop)));
        Ok(Self { left, stop, serving })
    }

    async fn close(self) {
        drop((self.left, self.stop));
        // Commands that were cut off say so themselves.
        let _drained = self.serving.await;
    }
}

/// A wrapped server's client starts it anew to read another configuration.
struct Fixed;

impl Reload for Fixed {
    fn reload(&self, _by: Who) -> BoxFuture<'_, Result<Vec<GenerationView>, ReloadError>> {
        let why = "a wrapped server reads its configuration when its client starts it";
        std::future::ready(Err(ReloadError::Failed(why.to_owned()))).boxed()
    }
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
