//! `portcullis serve`

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::{BoxFuture, FutureExt as _};
use portcullis_gateway::api::{Api, ApiConfig};
use portcullis_gateway::channels::Channels;
use portcullis_gateway::doors::arden::ArdenDoor;
use portcullis_gateway::doors::clavenar::{self, AllowBody, ClavenarDoor};
use portcullis_gateway::doors::mcp::{Asking, McpDoor, McpLimits, Seal};
use portcullis_gateway::http::{Drained, Mount, Server, ServerConfig, Tls};
use portcullis_gateway::ports::{
    Activations, DifferenceView, GenerationView, PastView, Policies, PolicyChange, PolicyError, PolicyView,
    PreparingView, Reload, ReloadError, Step, StepError, Stepped, TrialStep, Who,
};
use portcullis_model::Digest;
use portcullis_tenancy::generate_token;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::Settings;
use crate::assemble::{self, Control};
use crate::channels;
use crate::cli::{self, Where};
use crate::config::{Allow, ClientCertificates};
use crate::descriptors;
use crate::host::{Fingerprint, Host, folder_key, hold_limits, upstreams};
use crate::judge::{self, views};
use crate::logs;
use crate::remote::Running;

pub(crate) fn run(arguments: &cli::Serve) -> Result<ExitCode> {
    let settings = Settings { adopt: arguments.adopt, ..Settings::read(&arguments.place)? };
    let _telemetry = logs::start(&settings.config.logs, &settings.config.traces)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("portcullis").build()?;
    let served = runtime.block_on(serve(arguments, settings));
    // What is being fetched or compiled has no effect any more; nobody waits for it.
    runtime.shutdown_background();
    served
}

async fn serve(arguments: &cli::Serve, settings: Settings) -> Result<ExitCode> {
    let upstreams = upstreams(&settings.config, settings.place.as_ref(), &arguments.upstreams)?;
    // Before anything is opened: a certificate that cannot be used is no reason to touch the ledger.
    let material = assemble::tls(&settings.config, settings.place.as_ref())?;
    let arden = assemble::arden(&settings.config, settings.place.as_ref())?;
    let listen = arguments.listen.unwrap_or(settings.config.listen);
    if !listen.ip().is_loopback() && settings.config.server.hosts.is_empty() && !settings.config.tenant.is_empty() {
        bail!("{listen} is not a loopback address: name the host under which clients address it in server.hosts");
    }
    let told = channels::channels(&settings.config, settings.place.as_ref())?;
    let control = generate_token()?;
    if !arguments.json {
        eprintln!("loading plugins (the first start on a data folder compiles them: some seconds) …");
    }
    // Before the files are used: what changes while plugins are compiled is a change.
    let known = tokio::task::block_in_place(|| Fingerprint::take(&settings));
    let host = Arc::new(Host::start(&settings, Control { secret: control.expose().to_owned(), decides: true }).await?);
    let tls = material.map(|material| {
        warn(&material.warnings);
        Arc::new(Tls::new(material, Arc::clone(host.gate.metrics())))
    });
    let channels = host.channels(&settings, told)?;
    let reloader = Arc::new(Reloader {
        host: Arc::clone(&host),
        channels: Arc::clone(&channels),
        tls: tls.clone(),
        place: arguments.place.clone(),
        refused: Arc::default(),
        door: OnceLock::new(),
        arden: OnceLock::new(),
    });
    let own = &settings.config.server;
    let mcp_limits = McpLimits {
        sessions: own.mcp_sessions,
        session_idle: Duration::from_secs(own.mcp_idle_minutes.saturating_mul(60)),
        hold: hold_limits(&settings.config.mcp),
        ..McpLimits::default()
    };
    let federations = upstreams.federations().map(|federation| &federation.name);
    let names = upstreams.iter().map(|upstream| &upstream.name).chain(federations);
    let all = upstreams.all().map(|_| "/mcp".to_owned());
    let paths: Vec<String> = names.map(|name| format!("/mcp/{name}")).chain(all).collect();
    let own_upstreams = upstreams.iter().map(|upstream| Arc::clone(&upstream.name)).collect();
    let seal = Seal::new(&folder_key(&settings.data()?.join("state.key"))?);
    let asking = Asking { address: settings.config.mcp.approval_url.clone(), seal };
    let mcp = McpDoor::asking(Arc::clone(&host.gate), upstreams, mcp_limits, asking);
    // Only set here.
    let _set = reloader.door.set(mcp.clone());
    let read_timeout = Duration::from_secs(own.read_timeout_seconds);
    let api_config = ApiConfig {
        hosts: own.hosts.iter().cloned().chain(own.public_host().map(str::to_owned)).collect(),
        origins: own.origins.clone(),
        body_timeout: read_timeout,
        upstreams: own_upstreams,
    };
    let reload = Arc::<Reloader>::clone(&reloader);
    let allow = match settings.config.clavenar.allow {
        Allow::Verdict => AllowBody::Verdict,
        Allow::Contract => AllowBody::Contract,
    };
    let clavenar = ClavenarDoor::new(Arc::clone(&host.gate), mcp, allow);
    let cut_off = clavenar.recover(host.ledger.records(clavenar::RECORDS)?).await?;
    if cut_off > 0 {
        tracing::warn!(
            calls = cut_off,
            "calls that were being run when the last process ended are on record as uncertain"
        );
    }
    let arden = ArdenDoor::start(Arc::clone(&host.gate), Arc::new(host.ledger.clone()), arden).await?;
    let _set = reloader.arden.set(arden.clone());
    let mut mounts = clavenar.mounts();
    mounts.push(Arc::new(arden) as Arc<dyn Mount>);
    let api = Api::new(Arc::clone(&host.gate), reload, mounts, &api_config);
    let api = Arc::new(api.with_channels(Arc::clone(&channels)));
    let handshake = settings.config.tls.as_ref().map_or(10, |tls| tls.handshake_timeout_seconds);
    let server_config = ServerConfig {
        tls: tls.clone(),
        plain_beyond_loopback: own.plain_http_beyond_loopback,
        handshake_timeout: Duration::from_secs(handshake),
        connections: descriptors::connections(own.connections),
        read_timeout,
        drain: Duration::from_secs(own.drain_seconds),
        ..ServerConfig::default()
    };
    let bound = Server::bind(listen, server_config, Arc::clone(&api));
    let mut server = bound.context("not started (--listen takes another address)")?;
    let public = server.address();
    let mut address = public;
    // The command line has no certificate and knows no public name: it gets a port of its own.
    if tls.is_some() || !public.ip().is_loopback() {
        (server, address) = server.with_local(control.expose())?;
    }
    let data = settings.data()?;
    let left = Running::new(address, control.expose(), true).leave(&data)?;
    announce(arguments, &settings, &host, &url(public, &settings), &paths)?;

    let background = [
        tokio::spawn(async move { api.expire().await }),
        tokio::spawn(channels.run()),
        tokio::spawn(Arc::clone(&reloader).on_hangup()?),
        tokio::spawn(reloader.on_change(settings, known)),
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
    drop(left);
    tracing::info!("stopped; every acknowledged entry is on disk");
    Ok(ExitCode::SUCCESS)
}

/// Where clients find the server.
fn url(address: SocketAddr, settings: &Settings) -> String {
    let scheme = if settings.config.tls.is_some() { "https" } else { "http" };
    let name = settings.config.server.hosts.first().filter(|_| !address.ip().is_loopback());
    match name {
        // A name may come with its port.
        Some(name) if name.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) => {
            format!("{scheme}://{name}")
        }
        Some(name) => format!("{scheme}://{name}:{}", address.port()),
        None => format!("{scheme}://{address}"),
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
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
        let plugins: Vec<String> = view.plugins.iter().map(judge::named).collect();
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
    // A certificate rarely has a loopback address in it.
    let url = url.replacen("https://127.0.0.1:", "https://localhost:", 1);
    let ca = if settings.config.tls.is_some() { " --cacert CA.pem" } else { "" };
    let agents = || settings.config.tenant.iter().flat_map(|tenant| &tenant.agent);
    let certificate = match &settings.config.tls {
        Some(tls) if tls.client_certificates == Some(ClientCertificates::Required) => true,
        _ => agents().next().is_some() && agents().all(|agent| agent.token_sha256.is_empty()),
    };
    let certificate = if certificate { " --cert AGENT.pem --key AGENT.key" } else { "" };
    let token = agents().any(|agent| !agent.token_sha256.is_empty());
    let token = if token { " -H \"authorization: Bearer $PORTCULLIS_TOKEN\"" } else { "" };
    println!("  curl -sS{ca}{certificate} {url}/v1/inspect -H 'content-type: application/json'{token} -d '{body}'");
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

/// How long after a configuration could not be put in force it is read once more, and at most.
const AGAIN: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Reads the configuration again: on request, on SIGHUP, when a file of it changes.
#[derive(Clone)]
struct Reloader {
    host: Arc<Host>,
    channels: Arc<Channels>,
    tls: Option<Arc<Tls>>,
    place: Where,
    /// Whether the configuration was last read in vain.
    refused: Arc<AtomicBool>,
    /// Whose clients are told when they can see other tools.
    door: OnceLock<McpDoor>,
    /// Whose endpoints and prices are replaced.
    arden: OnceLock<ArdenDoor>,
}

impl Reloader {
    /// All or nothing, also where whoever asked for it goes away in the middle.
    async fn again(&self, by: Option<Who>) -> Result<(), ReloadError> {
        let reloader = self.clone();
        let reload = tokio::spawn(async move {
            let done = reloader.exchange(by).await;
            reloader.refused.store(done.is_err(), Ordering::Release);
            done
        });
        reload.await.map_err(|error| ReloadError::Failed(error.to_string()))?
    }

    async fn exchange(&self, by: Option<Who>) -> Result<(), ReloadError> {
        let _preparation = self.host.preparation.lock().await;
        let settings = Settings::read(&self.place).map_err(|error| ReloadError::Invalid(format!("{error:#}")))?;
        let invalid = |error: anyhow::Error| ReloadError::Invalid(format!("{error:#}"));
        let settings = Arc::new(settings);
        let reading = Arc::clone(&settings);
        let read = move || {
            let place = reading.place.as_ref();
            let told = channels::channels(&reading.config, place)?;
            Ok((assemble::tls(&reading.config, place)?, assemble::arden(&reading.config, place)?, told))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|error| ReloadError::Failed(error.to_string()))?;
        let (material, arden, told) = read.map_err(invalid)?;
        self.host.reload(settings, by).await.map_err(|error| {
            if error.downcast_ref::<portcullis_ledger::AppendError>().is_some() {
                ReloadError::Failed(format!("{error:#}"))
            } else {
                invalid(error)
            }
        })?;
        self.channels.replace(told);
        match (&self.tls, material) {
            (Some(tls), Some(material)) => {
                warn(&material.warnings);
                tls.replace(material);
            }
            (None, None) => {}
            (Some(_), None) => tracing::warn!("[tls] is gone; HTTPS is served until a restart"),
            (None, Some(_)) => tracing::warn!("[tls] is new; plain HTTP is served until a restart"),
        }
        if let Some(door) = self.arden.get() {
            door.configure(arden);
        }
        if let Some(door) = self.door.get() {
            door.policy_changed();
        }
        Ok(())
    }

    /// Reads the configuration again and says what came of it; whether it is in force.
    async fn tell(&self, why: &str) -> bool {
        let done = self.again(None).await;
        match &done {
            Ok(()) => tracing::info!(why, "configuration read again"),
            // A plugin's own words may be in it, and make no line of the log.
            Err(error) => tracing::error!(why, error = error.to_string().replace('\n', "\\n"), "nothing was changed"),
        }
        done.is_ok()
    }

    fn on_hangup(self: Arc<Self>) -> Result<impl Future<Output = ()>> {
        let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
        Ok(async move {
            while hangup.recv().await.is_some() {
                self.tell("SIGHUP").await;
            }
        })
    }

    async fn on_change(self: Arc<Self>, mut settings: Settings, mut known: Fingerprint) {
        // It reads files, which may be slow.
        let look = |settings: &Settings| tokio::task::block_in_place(|| Fingerprint::take(settings));
        let mut changing = None;
        // What fails may be away for a while only, a registry for instance.
        let mut pause = AGAIN;
        let mut again: Option<Instant> = None;
        loop {
            tokio::time::sleep(Fingerprint::EVERY).await;
            let now = look(&settings);
            let due = again.is_some_and(|at| at <= Instant::now());
            if now == known && !due {
                changing = None;
                continue;
            }
            // A file that is being written is read when it has come to rest.
            if now != known && changing.as_ref() != Some(&now) {
                (changing, pause) = (Some(now), AGAIN);
                continue;
            }
            if self.tell(if now == known { "once more" } else { "file changed" }).await {
                (again, pause) = (None, AGAIN);
            } else {
                again = Some(Instant::now() + pause);
                pause = (pause * 2).min(LONGEST);
            }
            // A configuration that cannot be read keeps the old list of files under watch.
            if let Ok(fresh) = Settings::read(&self.place) {
                settings = fresh;
            }
            // As they were before they were read: what was written since is noticed at the next look.
            known = now;
        }
    }
}

impl Reload for Reloader {
    fn reload(&self, by: Who) -> BoxFuture<'_, Result<Vec<GenerationView>, ReloadError>> {
        async move {
            self.again(Some(by)).await?;
            Ok(views(&self.host.generations, None))
        }
        .boxed()
    }

    fn preparing(&self) -> Option<PreparingView> {
        self.host.progress.view()
    }

    fn refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    fn policies(&self) -> Option<&dyn Policies> {
        Some(self)
    }

    fn activations(&self) -> Option<&dyn Activations> {
        Some(self)
    }
}

impl Activations for Reloader {
    fn history(&self, tenant: &str) -> Vec<PastView> {
        judge::history(&self.host.generations, tenant)
    }

    fn show(&self, tenant: &str, generation: Digest) -> Option<PastView> {
        self.history(tenant).into_iter().find(|past| past.generation == generation)
    }

    fn difference(&self, tenant: &str, from: Digest, to: Digest) -> Option<DifferenceView> {
        let kept = |id| self.host.generations.kept(tenant, id);
        Some(judge::difference_view(kept(from)?.difference(&*kept(to)?)))
    }

    fn trial(&self, tenant: &str) -> Option<Value> {
        let generations = &self.host.generations;
        Some(judge::trial_view(&*generations.candidate(tenant)?, generations.current(tenant)?.id()))
    }

    fn promote(&self, step: TrialStep) -> BoxFuture<'_, Result<Stepped, StepError>> {
        async move {
            let turn = Arc::clone(&self.host.turn).lock_owned().await;
            let done = self.host.promote(step, turn).await?;
            if let Some(door) = self.door.get() {
                door.policy_changed();
            }
            Ok(done)
        }
        .boxed()
    }

    fn drop_candidate(&self, step: TrialStep) -> BoxFuture<'_, Result<Digest, StepError>> {
        async move {
            let turn = Arc::clone(&self.host.turn).lock_owned().await;
            self.host.drop_candidate(step, turn).await
        }
        .boxed()
    }

    fn step(&self, step: Step) -> BoxFuture<'_, Result<Stepped, StepError>> {
        async move {
            let turn = Arc::clone(&self.host.turn).lock_owned().await;
            let done = self.host.step(step, turn).await?;
            if let Some(door) = self.door.get() {
                door.policy_changed();
            }
            Ok(done)
        }
        .boxed()
    }
}

impl Policies for Reloader {
    fn list<'p>(&'p self, tenant: &'p str) -> BoxFuture<'p, Result<Vec<PolicyView>, PolicyError>> {
        let (host, tenant) = (Arc::clone(&self.host), tenant.to_owned());
        async move {
            let read = tokio::task::spawn_blocking(move || host.policies(&tenant)).await;
            read.map_err(|error| PolicyError::Unavailable(error.to_string()))?
        }
        .boxed()
    }

    fn replace(&self, change: PolicyChange) -> BoxFuture<'_, Result<PolicyView, PolicyError>> {
        async move {
            let preparation = Arc::clone(&self.host.preparation).lock_owned().await;
            let view = self.host.replace_policies(change, preparation).await?;
            if let Some(door) = self.door.get() {
                door.policy_changed();
            }
            Ok(view)
        }
        .boxed()
    }
}
