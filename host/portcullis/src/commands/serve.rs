//! `portcullis serve`

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::{BoxFuture, FutureExt as _};
use portcullis_gateway::api::{Api, ApiConfig};
use portcullis_gateway::doors::mcp::{McpDoor, McpLimits};
use portcullis_gateway::http::{Drained, Server, ServerConfig};
use portcullis_gateway::ports::{GenerationView, Reload, ReloadError};
use portcullis_tenancy::generate_token;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::Settings;
use crate::cli::{self, Where};
use crate::descriptors;
use crate::host::{Fingerprint, Host, upstreams};
use crate::judge::views;
use crate::logs;
use crate::remote::Running;

pub(crate) fn run(arguments: &cli::Serve) -> Result<ExitCode> {
    let settings = Settings { adopt: arguments.adopt, ..Settings::read(&arguments.place)? };
    let _telemetry = logs::start(&settings.config.logs, &settings.config.traces)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("portcullis").build()?;
    runtime.block_on(serve(arguments, settings))
}

async fn serve(arguments: &cli::Serve, settings: Settings) -> Result<ExitCode> {
    let upstreams = upstreams(&settings.config, &arguments.upstreams)?;
    let control = generate_token()?;
    if !arguments.json {
        eprintln!("loading plugins (the first start on a data folder compiles them: some seconds) …");
    }
    let host = Arc::new(Host::start(&settings, control.expose().to_owned()).await?);
    let reloader = Arc::new(Reloader {
        host: Arc::clone(&host),
        place: arguments.place.clone(),
        turn: tokio::sync::Mutex::default(),
    });
    let own = &settings.config.server;
    let mcp_limits = McpLimits {
        sessions: own.mcp_sessions,
        session_idle: Duration::from_secs(own.mcp_idle_minutes.saturating_mul(60)),
        ..McpLimits::default()
    };
    let federations = upstreams.federations().map(|federation| &federation.name);
    let names = upstreams.iter().map(|upstream| &upstream.name).chain(federations);
    let all = upstreams.all().map(|_| "/mcp".to_owned());
    let paths: Vec<String> = names.map(|name| format!("/mcp/{name}")).chain(all).collect();
    let mcp = McpDoor::new(Arc::clone(&host.gate), upstreams, mcp_limits);
    let read_timeout = Duration::from_secs(own.read_timeout_seconds);
    let api_config = ApiConfig { hosts: own.hosts.clone(), origins: own.origins.clone(), body_timeout: read_timeout };
    let reload = Arc::<Reloader>::clone(&reloader);
    let api = Arc::new(Api::new(Arc::clone(&host.gate), reload, vec![Arc::new(mcp)], &api_config));
    let server_config = ServerConfig {
        connections: descriptors::connections(own.connections),
        read_timeout,
        drain: Duration::from_secs(own.drain_seconds),
        ..ServerConfig::default()
    };
    let listen = arguments.listen.unwrap_or(settings.config.listen);
    let server = Server::bind(listen, server_config, Arc::clone(&api))?;
    let data = settings.data()?;
    let running = Running { address: server.address(), pid: std::process::id(), control: control.expose().to_owned() };
    running.leave(&data)?;
    announce(arguments, &settings, &host, &running.url(), &paths)?;

    let background = [
        tokio::spawn(async move { api.expire().await }),
        tokio::spawn(Arc::clone(&reloader).on_hangup()?),
        tokio::spawn(reloader.on_change(settings)),
    ];
    let drained = server.run(shutdown()?).await;
    for task in background {
        task.abort();
        // Its end is what counts; being aborted is no failure.
        let _ = task.await;
    }
    if let Drained::Cut(connections) = drained {
        tracing::warn!(connections, "cut at the end of the drain time");
    }
    host.ledger.clone().close().await;
    Running::remove(&data);
    tracing::info!("stopped; every acknowledged entry is on disk");
    Ok(ExitCode::SUCCESS)
}

fn announce(arguments: &cli::Serve, settings: &Settings, host: &Host, url: &str, paths: &[String]) -> Result<()> {
    if arguments.json {
        println!("{}", json!({ "url": url, "data": settings.data()?, "pid": std::process::id() }));
        return Ok(());
    }
    println!("portcullis {} listens on {url}", env!("CARGO_PKG_VERSION"));
    println!("  data      {}", settings.data()?.display());
    match settings.file() {
        Some(file) => println!("  config    {}", file.display()),
        None => println!("  config    embedded default: tenant default, open agent local, policy baseline"),
    }
    let views = views(&host.generations, None);
    for view in views.iter().take(10) {
        let plugins: Vec<&str> = view.plugins.iter().map(|plugin| &*plugin.name).collect();
        println!("  tenant    {} ({}): {}", view.tenant, view.mode.as_str(), plugins.join(", "));
    }
    if views.len() > 10 {
        println!("            and {} more tenants", views.len() - 10);
    }
    for path in paths {
        println!("  mcp       {url}{path}");
    }
    println!("make the first call:");
    let body = r#"{"tool":"shell","arguments":{"command":"rm -rf /"},"explain":true}"#;
    let token = if settings.config.tenant.is_empty() { "" } else { " -H \"authorization: Bearer $TOKEN\"" };
    println!("  curl -s {url}/v1/inspect -H 'content-type: application/json'{token} -d '{body}'");
    Ok(())
}

/// SIGTERM or SIGINT.
fn shutdown() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("draining");
    })
}

/// Reads the configuration again: on request, on SIGHUP, when a file of it changes.
struct Reloader {
    host: Arc<Host>,
    place: Where,
    /// One at a time, or an older configuration could come last.
    turn: tokio::sync::Mutex<()>,
}

impl Reloader {
    async fn again(&self) -> Result<(), ReloadError> {
        let _turn = self.turn.lock().await;
        let settings = Settings::read(&self.place).map_err(|error| ReloadError::Invalid(format!("{error:#}")))?;
        self.host.reload(Arc::new(settings)).await.map_err(|error| {
            if error.downcast_ref::<portcullis_ledger::AppendError>().is_some() {
                ReloadError::Failed(format!("{error:#}"))
            } else {
                ReloadError::Invalid(format!("{error:#}"))
            }
        })
    }

    async fn tell(&self, why: &str) {
        match self.again().await {
            Ok(()) => tracing::info!(why, "configuration read again"),
            Err(error) => tracing::error!(why, %error, "nothing was changed"),
        }
    }

    fn on_hangup(self: Arc<Self>) -> Result<impl Future<Output = ()>> {
        let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
        Ok(async move {
            while hangup.recv().await.is_some() {
                self.tell("SIGHUP").await;
            }
        })
    }

    async fn on_change(self: Arc<Self>, mut settings: Settings) {
        // It reads files, which may be slow.
        let look = |settings: &Settings| tokio::task::block_in_place(|| Fingerprint::take(settings));
        let mut known = look(&settings);
        let mut changing = None;
        loop {
            tokio::time::sleep(Fingerprint::EVERY).await;
            let now = look(&settings);
            if now == known {
                changing = None;
                continue;
            }
            // A file that is being written is read when it has come to rest.
            if changing.as_ref() != Some(&now) {
                changing = Some(now);
                continue;
            }
            self.tell("file changed").await;
            // A configuration that cannot be read keeps the old list of files under watch.
            if let Ok(fresh) = Settings::read(&self.place) {
                settings = fresh;
            }
            known = look(&settings);
        }
    }
}

impl Reload for Reloader {
    fn reload(&self) -> BoxFuture<'_, Result<Vec<GenerationView>, ReloadError>> {
        async move {
            self.again().await?;
            Ok(views(&self.host.generations, None))
        }
        .boxed()
    }
}
