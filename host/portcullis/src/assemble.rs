//! From configuration to what the host runs: pipelines, credentials, upstreams.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use portcullis_engine::{Engine, Folder, Grants, Instances, Limits, Stores};
use portcullis_gateway::doors::arden::{ArdenSettings, Endpoint, Environment, Price};
use portcullis_gateway::http::{TlsFile, TlsFiles, TlsMaterial};
use portcullis_model::Mode;
use portcullis_pipeline::{
    Bounds, BuildError, Candidate, FailMode, Generation, Outward, PipelineSpec, PluginSpec, Quarantine, Selector, Trial,
};
use portcullis_registry::{Change, Trust};
use portcullis_tenancy::{
    AgentSpec, DenialForm, Directory, OPEN_TENANT, OperatorSpec, RateLimit, TenantSpec, ToolRules, roles, token_digest,
};
use zeroize::Zeroizing;

use crate::config::{self, ArdenEnvironment, ClientCertificates, Config, ConfigError, Denials, OnFailure, Pack, Place};
use crate::embedded;
use crate::policies::{self, Edited};
use crate::progress::{Progress, Work};
use crate::remote::control_token;
use crate::sources::{self, Sources};
use crate::trials::Trials;

/// The policy of tenants that name none.
pub(crate) const DEFAULT_POLICY: &str = "baseline";

/// A tenant's pipeline and where its text stands, so that what is wrong with it can be placed.
pub(crate) struct Pipeline {
    pub spec: PipelineSpec,
    /// Names of its plugins that take policies from operators.
    pub editable: Vec<Arc<str>>,
    /// Whose plugins its tenant runs.
    pub trust: Trust,
    place: Place,
    /// Key of the tables in that text: `tenant[2].` or nothing for a pack.
    prefix: String,
    /// The same of its router, which may stand elsewhere.
    router_at: Option<(Place, String)>,
}

/// The pipelines of a configuration; of the embedded default without one. What operators edited takes the place of what is
/// written there.
///
/// # Errors
/// A policy, plugin or folder that is not there, with file, line and key.
pub(crate) fn pipelines(
    config: &Config,
    place: Option<&Place>,
    edited: &Edited,
    progress: &Progress,
) -> Result<Vec<Pipeline>> {
    let mut sources = Sources::of(config, place)?.telling(progress);
    let mut pipelines = written(config, place, &mut sources)?;
    for pipeline in &mut pipelines {
        edited.apply(pipeline);
    }
    Ok(pipelines)
}

/// Fetches what a configuration names in registries, and records it in the lock file; `anew` asks again where tags point to.
///
/// # Errors
/// A plugin that cannot be had or is not trusted, with file, line and key.
pub(crate) fn fetch(config: &Config, place: Option<&Place>, anew: bool) -> Result<Vec<Change>> {
    let sources = Sources::of(config, place)?;
    let mut sources = if anew { sources.anew() } else { sources };
    let pipelines = written(config, place, &mut sources)?;
    tried(config, place, &Edited::default(), &pipelines, &mut sources)?;
    Ok(sources.fetched())
}

fn written(config: &Config, place: Option<&Place>, sources: &mut Sources) -> Result<Vec<Pipeline>> {
    if config.tenant.is_empty() {
        let pack = Place::embedded("policy baseline", embedded::pack(DEFAULT_POLICY)?);
        let owner = Owner { tenant: OPEN_TENANT, trust: &Trust::default() };
        return Ok(vec![from_pack(owner, None, false, &pack, None, sources)?]);
    }
    let place = place.context("tenants come from a file")?;
    let tenants = config.tenant.iter().enumerate();
    tenants
        .map(|(index, tenant)| {
            let policy = tenant.policy.as_deref().or_else(|| tenant.plugins.is_empty().then_some(DEFAULT_POLICY));
            let of = Of {
                policy,
                plugins: &tenant.plugins,
                router: tenant.router.as_ref(),
                mode: tenant.mode,
                prefix: format!("tenant[{index}]."),
            };
            let trust = sources::trust(&tenant.trust, place, &format!("tenant[{index}].trust"))?;
            of.pipeline(tenant, &trust, place, sources)
        })
        .collect()
}

/// A pipeline that is to be tried beside a tenant's, and how.
pub(crate) struct Tried {
    pub pipeline: Pipeline,
    pub trial: Trial,
}

/// The pipelines that are to be tried, of a configuration whose pipelines are these; what operators edited counts here too.
///
/// # Errors
/// As [`pipelines`].
pub(crate) fn candidates(
    config: &Config,
    place: Option<&Place>,
    edited: &Edited,
    pipelines: &[Pipeline],
    progress: &Progress,
) -> Result<Vec<Tried>> {
    tried(config, place, edited, pipelines, &mut Sources::of(config, place)?.telling(progress))
}

fn tried(
    config: &Config,
    place: Option<&Place>,
    edited: &Edited,
    pipelines: &[Pipeline],
    sources: &mut Sources,
) -> Result<Vec<Tried>> {
    let mut out = Vec::new();
    for (index, (tenant, beside)) in config.tenant.iter().zip(pipelines).enumerate() {
        let Some(candidate) = &tenant.candidate else { continue };
        let of = Of {
            policy: candidate.policy.as_deref(),
            plugins: &candidate.plugins,
            router: candidate.router.as_ref(),
            // One tenant, one mode.
            mode: Some(beside.spec.mode),
            prefix: format!("tenant[{index}].candidate."),
        };
        let place = place.context("tenants come from a file")?;
        let trust = sources::trust(&tenant.trust, place, &format!("tenant[{index}].trust"))?;
        let mut pipeline = of.pipeline(tenant, &trust, place, sources)?;
        edited.apply(&mut pipeline);
        out.push(Tried { pipeline, trial: trial(candidate) });
    }
    Ok(out)
}

impl Tried {
    /// Loads and checks it, twice: as it would be in force, and with a state of its own.
    ///
    /// # Errors
    /// What is wrong, with file, line and key.
    pub(crate) fn build(
        &self,
        engine: &Engine,
        trials: &Trials,
        progress: &Progress,
    ) -> Result<Candidate, ConfigError> {
        let generation = Arc::new(self.pipeline.build(engine, progress)?);
        let withdrawn = trials.withdrawn(generation.tenant(), generation.id(), &self.trial);
        let shadow = Arc::new(self.pipeline.build_apart(engine, &Stores::default())?);
        let made = Candidate::new(generation, shadow, self.trial.clone(), withdrawn);
        made.map_err(|error| self.pipeline.locate(&error))
    }
}

fn trial(candidate: &config::Candidate) -> Trial {
    let given = &candidate.rollback;
    Trial {
        shadow: candidate.shadow_percent / 100.0,
        canary: candidate.canary_percent / 100.0,
        canary_agents: candidate.canary_agents.clone(),
        outside: match candidate.outside {
            config::Outward::Refuse => Outward::Refuse,
            config::Outward::Send => Outward::Send,
        },
        bounds: Bounds {
            min_calls: given.min_calls,
            window_ms: given.window_seconds.saturating_mul(1000),
            max_trap_rate: Some(given.max_trap_rate),
            max_deadline_rate: Some(given.max_deadline_rate),
            max_latency_ratio: Some(given.max_latency_ratio).filter(|ratio| *ratio > 0.0),
            max_p99_ms: given.max_p99_ms,
            max_deny_drift: Some(given.max_deny_drift),
        },
    }
}

/// What a tenant's pipeline, or the one to be tried, is written as.
struct Of<'c> {
    policy: Option<&'c str>,
    plugins: &'c [config::Plugin],
    router: Option<&'c config::Plugin>,
    mode: Option<Mode>,
    prefix: String,
}

impl Of<'_> {
    fn pipeline(
        self,
        tenant: &config::Tenant,
        trust: &Trust,
        place: &Place,
        sources: &mut Sources,
    ) -> Result<Pipeline> {
        let Self { policy, plugins, router, mode, prefix } = self;
        let owner = Owner { tenant: &tenant.name, trust };
        let Some(policy) = policy else {
            let own = |plugin| Router { plugin, place, prefix: prefix.clone() };
            let parts = Parts { mode: mode.unwrap_or_default(), plugins, router: router.map(own) };
            return parts.pipeline(owner, tenant.inspect_redacted, place, prefix, sources);
        };
        let pack = find_pack(policy, place);
        let pack = pack.map_err(|error| place.error(&format!("{prefix}policy"), format!("{error:#}")))?;
        let own = router.map(|plugin| Router { plugin, place, prefix });
        from_pack(owner, mode, tenant.inspect_redacted, &pack, own, sources)
    }
}

impl Pipeline {
    /// Loads and checks the pipeline. Slow the first time.
    ///
    /// # Errors
    /// What is wrong, with file, line and key.
    pub(crate) fn build(&self, engine: &Engine, progress: &Progress) -> Result<Generation, ConfigError> {
        let begun = |plugin: &str| progress.step(Work::Compiling, Some(&self.spec.tenant), Some(plugin));
        Generation::build_told(engine, &self.spec, &begun).map_err(|error| self.locate(&error))
    }

    /// How many plugins it has.
    pub(crate) fn plugins(&self) -> usize {
        self.spec.plugins.len() + usize::from(self.spec.router.is_some())
    }

    /// The same with state that goes elsewhere.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub(crate) fn build_apart(&self, engine: &Engine, stores: &Stores) -> Result<Generation, ConfigError> {
        Generation::build_apart(engine, &self.spec, stores).map_err(|error| self.locate(&error))
    }

    pub(crate) fn locate(&self, error: &BuildError) -> ConfigError {
        let mut message = error.source.to_string();
        let mut cause = std::error::Error::source(&error.source);
        while let Some(inner) = cause {
            let text = inner.to_string();
            // Some errors print their cause themselves.
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = inner.source();
        }
        let of_router = self.router_at.as_ref().filter(|_| error.path.starts_with("router"));
        let (place, prefix) = of_router.map_or((&self.place, &self.prefix), |(place, prefix)| (place, prefix));
        place.error(&format!("{prefix}{}", error.path), message)
    }
}

/// Name of the operator that the command line is on its own data folder.
const CONTROL_OPERATOR: &str = "portcullis-cli";

/// What the command line may do on a data folder that is in use.
pub(crate) struct Control {
    /// The secret from which it makes its operator tokens, one per tenant.
    pub secret: String,
    /// Whether it decides and administers; otherwise it reads.
    pub decides: bool,
}

/// The credentials of a configuration.
///
/// # Errors
/// A name that is no label or is taken, a token listed twice, a limit out of range; with file, line and key.
pub(crate) fn directory(
    config: &Config,
    place: Option<&Place>,
    previous: Option<&Directory>,
    control: Option<&Control>,
) -> Result<Directory> {
    let operator = |tenant: &str| {
        let Control { secret, decides } = control?;
        let roles = if *decides { &[roles::VIEWER, roles::APPROVER, roles::ADMIN][..] } else { &[roles::VIEWER] };
        Some(OperatorSpec {
            name: CONTROL_OPERATOR.to_owned(),
            token_sha256: vec![token_digest(&control_token(secret, tenant))],
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            runs: Vec::new(),
        })
    };
    if config.tenant.is_empty() {
        return Ok(Directory::open(operator(OPEN_TENANT).into_iter().collect())?);
    }
    let mut specs: Vec<TenantSpec> = config.tenant.iter().map(tenant).collect();
    for spec in &mut specs {
        spec.operators.extend(operator(&spec.name));
    }
    Directory::new(&specs, previous).map_err(|error| match place {
        Some(place) => place.error(&error.path, error.problem.to_string()).into(),
        None => error.into(),
    })
}

fn tenant(tenant: &config::Tenant) -> TenantSpec {
    let agents = tenant.agent.iter().map(|agent| AgentSpec {
        name: agent.name.clone(),
        token_sha256: agent.token_sha256.clone(),
        spiffe: agent.spiffe.clone(),
        persona: agent.persona.clone(),
        may_explain: agent.explain,
        halted: agent.halted,
        rate: agent.rate.map(|rate| RateLimit { per_second: rate.per_second, burst: rate.burst }),
        tools: tools(&agent.tools),
    });
    let operators = tenant.operator.iter().map(|operator| OperatorSpec {
        name: operator.name.clone(),
        token_sha256: operator.token_sha256.clone(),
        roles: operator.roles.clone(),
        runs: operator.runs.clone(),
    });
    TenantSpec {
        name: tenant.name.clone(),
        rate: None,
        tools: tools(&tenant.tools),
        denials: match tenant.denials {
            Denials::Result => DenialForm::Result,
            Denials::Error => DenialForm::Error,
        },
        agents: agents.collect(),
        operators: operators.collect(),
    }
}

fn tools(tools: &config::Tools) -> ToolRules {
    ToolRules { allow: tools.allow.clone(), hide: tools.hide.clone() }
}

/// What the listener serves HTTPS with; none for plain HTTP. Blocking.
///
/// # Errors
/// A file that cannot be used, with file, line and key.
pub(crate) fn tls(config: &Config, place: Option<&Place>) -> Result<Option<TlsMaterial>> {
    let Some(tls) = &config.tls else { return Ok(None) };
    let files = TlsFiles {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        client_required: tls.client_certificates == Some(ClientCertificates::Required),
    };
    let material = files.read().map_err(|error| match place {
        Some(place) => {
            let key = match error.file {
                TlsFile::Certificate => "tls.certificate",
                TlsFile::Key => "tls.key",
                TlsFile::ClientCa => "tls.client_ca",
            };
            anyhow::Error::from(place.error(key, error.to_string()))
        }
        None => error.into(),
    })?;
    Ok(Some(material))
}

/// What the door for Arden's client is configured with. Blocking.
///
/// # Errors
/// An endpoint, key or price that cannot be used, with file, line and key.
pub(crate) fn arden(config: &Config, place: Option<&Place>) -> Result<ArdenSettings> {
    let at = |key: String, error: anyhow::Error| match place {
        Some(place) => anyhow::Error::from(place.error(&key, format!("{error:#}"))),
        None => error,
    };
    let mut settings = ArdenSettings::default();
    for (index, webhook) in config.arden.webhook.iter().enumerate() {
        let key = signing_key(webhook)
            .and_then(|key| Ok(Arc::new(Endpoint::new(&webhook.url, &key, webhook.private_address)?)));
        let endpoint = key.map_err(|error| at(format!("arden.webhook[{index}]"), error))?;
        let sides = match webhook.environment {
            None => &[Environment::Live, Environment::Test][..],
            Some(ArdenEnvironment::Live) => &[Environment::Live],
            Some(ArdenEnvironment::Test) => &[Environment::Test],
        };
        for side in sides {
            let owner = (webhook.tenant.as_str().into(), webhook.agent.as_str().into(), *side);
            settings.webhooks.insert(owner, Arc::clone(&endpoint));
        }
    }
    for (index, price) in config.arden.price.iter().enumerate() {
        let made = Price::new(&price.model, price.prompt_usd, price.completion_usd);
        settings.prices.push(made.map_err(|error| at(format!("arden.price[{index}]"), error.into()))?);
    }
    Ok(settings)
}

fn signing_key(webhook: &config::ArdenWebhook) -> Result<Zeroizing<String>> {
    let key = match (&webhook.signing_key_file, &webhook.signing_key_env) {
        (Some(path), None) => {
            let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
            Zeroizing::new(text)
        }
        (None, Some(name)) => {
            let key = std::env::var(name).ok();
            Zeroizing::new(key.with_context(|| format!("the environment variable {name} is not set"))?)
        }
        _ => anyhow::bail!("give exactly one of `signing_key_file` and `signing_key_env`"),
    };
    // Editors end files with a line break.
    Ok(Zeroizing::new(key.trim_end_matches(['\r', '\n']).to_owned()))
}

fn find_pack(policy: &str, place: &Place) -> Result<Place> {
    if policy.contains('/') || policy.starts_with('.') {
        let path = place.relative(Path::new(policy));
        let path = if path.is_dir() { path.join("pack.toml") } else { path };
        return Ok(Place::read(&path)?);
    }
    Ok(Place::embedded(&format!("policy {policy}"), embedded::pack(policy)?))
}

/// Whose pipeline, and whose plugins may be in it.
#[derive(Clone, Copy)]
struct Owner<'c> {
    tenant: &'c str,
    trust: &'c Trust,
}

/// The pipeline of a pack, with another router if there is one.
fn from_pack(
    owner: Owner<'_>,
    mode: Option<Mode>,
    twice: bool,
    place: &Place,
    router: Option<Router<'_>>,
    sources: &mut Sources,
) -> Result<Pipeline> {
    let pack: Pack = place.parse()?;
    let mode = mode.or(pack.mode).unwrap_or_default();
    let own = || pack.router.as_ref().map(|plugin| Router { plugin, place, prefix: String::new() });
    Parts { mode, plugins: &pack.plugins, router: router.or_else(own) }.pipeline(
        owner,
        twice,
        place,
        String::new(),
        sources,
    )
}

struct Parts<'c> {
    mode: Mode,
    plugins: &'c [config::Plugin],
    router: Option<Router<'c>>,
}

/// A router, and where it is written.
struct Router<'c> {
    plugin: &'c config::Plugin,
    place: &'c Place,
    prefix: String,
}

impl Parts<'_> {
    fn pipeline(
        &self,
        owner: Owner<'_>,
        twice: bool,
        place: &Place,
        prefix: String,
        sources: &mut Sources,
    ) -> Result<Pipeline> {
        let mut make = |plugin: &config::Plugin, place: &Place, key: String| {
            plugin_spec(plugin, place, owner.trust, sources).map_err(|error| place.error(&key, format!("{error:#}")))
        };
        let plugins = self.plugins.iter().enumerate();
        let plugins = plugins.map(|(index, plugin)| make(plugin, place, format!("{prefix}plugins[{index}].plugin")));
        let plugins = plugins.collect::<Result<Vec<_>, _>>()?;
        let at = self.router.as_ref();
        let mut router = at.map(|at| make(at.plugin, at.place, format!("{}router.plugin", at.prefix))).transpose()?;
        // Whom to ask depends on the time, in many a house: the router that comes with us knows it without being granted it.
        if let (Some(router), Some(Router { plugin, .. })) = (&mut router, at)
            && sources::built_in(plugin.plugin.as_deref().unwrap_or(&plugin.name))
        {
            router.grants.clock = true;
        }
        let spec =
            PipelineSpec { tenant: owner.tenant.into(), mode: self.mode, plugins, router, inspect_redacted: twice };
        let editable = self.plugins.iter().filter(|plugin| policies::editable(plugin));
        let editable = editable.map(|plugin| plugin.name.as_str().into()).collect();
        let router_at = at.map(|at| (at.place.clone(), at.prefix.clone()));
        let trust = owner.trust.clone();
        Ok(Pipeline { spec, editable, trust, place: place.clone(), prefix, router_at })
    }
}

fn plugin_spec(plugin: &config::Plugin, place: &Place, trust: &Trust, sources: &mut Sources) -> Result<PluginSpec> {
    let name = plugin.plugin.as_deref().unwrap_or(&plugin.name);
    let given = Limits::default();
    let limits = &plugin.limits;
    let grants = &plugin.grants;
    let folder =
        |(name, path): (&String, &std::path::PathBuf)| Folder { name: name.clone(), path: place.relative(path) };
    Ok(PluginSpec {
        name: plugin.name.as_str().into(),
        file: sources.component(name, place, trust)?,
        config: serde_json::to_value(&plugin.config).context("config")?,
        grants: Grants {
            clock: grants.clock,
            state: grants.state,
            labels: grants.labels,
            files: grants.files.iter().map(folder).collect(),
            judge: grants.judge.clone(),
            http: grants.http.clone(),
            http_networks: grants.http_networks.clone(),
            secrets: grants.secrets.clone(),
            locked_wasi: grants.locked_wasi,
        },
        limits: Limits {
            fuel: limits.fuel.unwrap_or(given.fuel),
            configure_fuel: limits.configure_fuel.unwrap_or(given.configure_fuel),
            memory: limits.memory_mib.map_or(given.memory, |mib| mib.saturating_mul(1 << 20)),
            deadline_ms: limits.deadline_ms.unwrap_or(given.deadline_ms),
            host_calls: limits.host_calls.unwrap_or(given.host_calls),
            output: limits.output_kib.map_or(given.output, |kib| kib.saturating_mul(1 << 10)),
            ..given
        },
        instances: Instances { ahead: plugin.instances.ahead, reuse: plugin.instances.reuse },
        select: Selector {
            tools: plugin.select.tools.clone(),
            upstreams: plugin.select.upstreams.clone(),
            phases: plugin.select.phases.clone(),
            agents: plugin.select.agents.clone(),
        },
        on_failure: match plugin.on_failure {
            OnFailure::Closed => FailMode::Closed,
            OnFailure::Open => FailMode::Open,
            OnFailure::Review => FailMode::Review,
        },
        stop_on: plugin.stop_on,
        quarantine: quarantine(plugin),
    })
}

/// When a plugin is not asked any more. One that is left out when it fails, only if that is asked for: whoever can make it
/// fail would switch it off for everybody.
fn quarantine(plugin: &config::Plugin) -> Option<Quarantine> {
    let given = match &plugin.quarantine {
        Some(given) => given.clone(),
        None if plugin.on_failure == OnFailure::Open => return None,
        None => config::Quarantine::default(),
    };
    (given.faults > 0).then(|| Quarantine {
        faults: given.faults,
        calls: given.calls,
        window_ms: given.window_seconds.saturating_mul(1000),
        cooldown_ms: given.cooldown_seconds.saturating_mul(1000),
        probes: given.probes,
    })
}

/// The files that a configuration is made of: itself, its certificates, its packs, its components, its keys, its lock file.
pub(crate) fn files(config: &Config, place: Option<&Place>) -> Vec<PathBuf> {
    let Some(place) = place else { return Vec::new() };
    let mut files = vec![place.file().to_owned()];
    if let Some(tls) = &config.tls {
        files.extend([&tls.certificate, &tls.key].into_iter().chain(&tls.client_ca).cloned());
    }
    files.extend(config.channel.iter().filter_map(|channel| channel.ca.clone()));
    files.extend(config.outbound.ca.clone());
    files.extend(config.judge.iter().filter_map(|judge| judge.ca.clone()));
    files.extend(config.arden.webhook.iter().filter_map(|webhook| webhook.signing_key_file.clone()));
    let components = |place: &Place, plugins: &mut dyn Iterator<Item = &config::Plugin>, files: &mut Vec<PathBuf>| {
        let names = plugins.map(|plugin| plugin.plugin.as_deref().unwrap_or(&plugin.name));
        files.extend(names.flat_map(|name| sources::files(name, place)));
    };
    files.extend(sources::settings(config, place));
    let pipelines = config.tenant.iter().flat_map(|tenant| {
        let tried = tenant.candidate.as_ref();
        let tried = tried.map(|candidate| (&candidate.policy, &candidate.plugins, &candidate.router));
        [(&tenant.policy, &tenant.plugins, &tenant.router)].into_iter().chain(tried)
    });
    for (policy, plugins, router) in pipelines {
        components(place, &mut plugins.iter().chain(router), &mut files);
        let Some(pack) = policy.as_deref().and_then(|policy| find_pack(policy, place).ok()) else { continue };
        files.push(pack.file().to_owned());
        if let Ok(parts) = pack.parse::<Pack>() {
            components(&pack, &mut parts.plugins.iter().chain(&parts.router), &mut files);
        }
    }
    files
}
