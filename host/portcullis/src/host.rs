//! The parts of a running Portcullis, wired.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::iter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use portcullis_approvals::{Approvals, Limits as ApprovalLimits, OUTBOX_RECORDS, RECORDS};
use portcullis_engine::{Engine, EngineConfig, MemoryLabels, MemoryState, Outside, Persist};
use portcullis_gateway::channels::{ChannelSet, Channels, LinkKey};
use portcullis_gateway::doors::mcp::HoldLimits;
use portcullis_gateway::events::Events;
use portcullis_gateway::gate::{ATTEMPTS, Gate, Heavy, Ports, Transcripts, now_ms};
use portcullis_gateway::metrics::Metrics;
use portcullis_gateway::ports::{Credentials, PolicyChange, PolicyError, PolicyView, Who};
use portcullis_gateway::upstream::{ClientSecret, OauthSpec, Upstream, UpstreamError, Upstreams, Withholds};
use portcullis_ledger::{Attachment, Evidence, Ledger, LedgerConfig, Record};
use portcullis_model::{Door, Draft, EntryKind, Phase};
use portcullis_pipeline::{Activation, Candidate, Generation, Generations, Warmed, Why};
use portcullis_registry::Trust;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::assemble::{self, Control, Pipeline};
use crate::commands::Settings;
use crate::config::{self, Config, Place, Withhold};
use crate::judge::Pipelines;
use crate::live;
use crate::outside::{self, Ways};
use crate::pins::StatePins;
use crate::policies::{self, Edit, Edited};
use crate::progress::{Progress, Work};
use crate::remote::Running;
use crate::trials::{Recorder, Trials};

/// What serves calls: everything but the listener.
pub(crate) struct Host {
    pub gate: Arc<Gate>,
    pub ledger: Ledger,
    pub generations: Arc<Generations>,
    credentials: Arc<Credentials>,
    transcripts: Arc<Transcripts>,
    engine: Engine,
    ways: Ways,
    control: Control,
    /// What is in force, what plugins reach by it, and what operators edited of it.
    settings: Mutex<Arc<Settings>>,
    outside: Mutex<Arc<dyn Outside>>,
    edited: Mutex<Edited>,
    /// Whose plugins each tenant runs.
    trust: Mutex<HashMap<Arc<str>, Trust>>,
    pub trials: Trials,
    /// What is prepared to come into force, one at a time: or an older configuration could come last. It may take minutes.
    pub preparation: Arc<tokio::sync::Mutex<()>>,
    /// What comes into force, one at a time. Held for no longer than recording it takes.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    /// How far the generation is that is being prepared.
    pub progress: Progress,
}

impl Host {
    /// Opens the data folder, compiles every pipeline and puts them in force. Slow at the first start.
    ///
    /// # Errors
    /// The data folder cannot be used, or the configuration is wrong; nothing was changed then.
    pub(crate) async fn start(settings: &Settings, control: Control) -> Result<Self> {
        let ledger = Ledger::open(LedgerConfig {
            cache_bytes: settings.config.ledger.cache_mib << 20,
            evidence: match settings.config.ledger.evidence {
                config::Evidence::Commitment => Evidence::Commitment,
                config::Evidence::Sealed => Evidence::Sealed,
            },
            adopt: settings.adopt,
            ..LedgerConfig::new(settings.data()?)
        })?;
        // Of a process that was killed: the folder is ours now.
        Running::remove(&settings.data()?);
        let engine = engine(settings, Some(&ledger))?;
        let limits = &settings.config.approvals;
        let limits = ApprovalLimits {
            pending_per_tenant: limits.pending_per_tenant,
            pending_per_agent: limits.pending_per_agent,
            kept_per_tenant: limits.kept_per_tenant,
            use_within_ms: limits.use_within_seconds * 1000,
        };
        let records = ledger.records(RECORDS)?.into_iter().chain(ledger.records(OUTBOX_RECORDS)?);
        let (approvals, damaged) = Approvals::load(limits, records);
        for record in damaged {
            tracing::warn!(
                key = record.key,
                problem = record.problem,
                "a parked call or a message about one could not be read back; the call stays unapproved, nobody is told"
            );
        }
        let place = settings.place.as_ref();
        let directory = assemble::directory(&settings.config, place, None, Some(&control))?;
        let (metrics, events) = (Arc::new(Metrics::new()), Events::default());
        let (withdrawn, withdrawals) = tokio::sync::mpsc::unbounded_channel();
        let told = live::listener(Arc::clone(&metrics), events.clone(), withdrawn);
        let generations = Arc::new(Generations::keeping(settings.config.generations.keep, told));
        let credentials = Arc::new(Credentials::new(directory));
        let ports = Ports {
            judge: Arc::new(Pipelines(Arc::clone(&generations))),
            journal: Arc::new(ledger.clone()),
            identity: Arc::<Credentials>::clone(&credentials),
            approvals,
            pins: Arc::new(StatePins { state: Arc::clone(engine.state()), generations: Arc::clone(&generations) }),
        };
        let key = folder_key(&settings.data()?.join("placeholders.key"))?;
        let ways = Ways::new(&settings.config.outbound, key, Arc::clone(&metrics), Arc::clone(engine.state()));
        let transcripts = Arc::new(Transcripts::new(ways.meter()));
        let keeping = outside::keeping(&settings.config);
        generations.keep_words(keeping.keys().cloned());
        transcripts.replace(keeping);
        let gate = Gate::new(ports, metrics, events, heavy()).with_transcripts(Arc::clone(&transcripts));
        let gate = Arc::new(gate.with_waiting(outside::waiting(&settings.config.outbound)));
        let outside = ways.configure(&settings.config, place)?;
        let edited = Mutex::new(Edited::load(&ledger)?);
        let current = Mutex::new(Arc::new(settings.clone()));
        let built = Arc::clone(&outside);
        let outside = Mutex::new(outside);
        let trials = Trials::load(&ledger)?;
        let turn = Arc::default();
        let recorder = Recorder {
            ledger: ledger.clone(),
            generations: Arc::clone(&generations),
            trials: trials.clone(),
            turn: Arc::clone(&turn),
        };
        let recording = recorder.record(withdrawals);
        let host = Self {
            gate,
            ledger,
            generations,
            credentials,
            transcripts,
            progress: Progress::default(),
            preparation: Arc::default(),
            turn,
            engine,
            ways,
            control,
            settings: current,
            outside,
            edited,
            trust: Mutex::default(),
            trials,
        };
        let under = host.progress.begin();
        let Built { fresh, candidates, trust, warmed } = host.build(settings, built)?;
        host.activate(&fresh, None, Why::Start, |_| true).await?;
        *lock(&host.trust) = trust;
        host.try_out(candidates, None, &HashSet::new(), |_| true).await?;
        drop((under, warmed));
        tokio::spawn(recording);
        // Before any call is made: of those that were under way, nobody knows whether they ran.
        host.gate.settle_interrupted(host.ledger.records(ATTEMPTS)?).await?;
        Ok(host)
    }

    /// What tells people of parked calls, over these channels.
    ///
    /// # Errors
    /// The key of decision links cannot be read or made.
    pub(crate) fn channels(&self, settings: &Settings, channels: ChannelSet) -> Result<Arc<Channels>> {
        let key = LinkKey::new(folder_key(&settings.data()?.join("links.key"))?);
        let (gate, keep) = (Arc::clone(&self.gate), Arc::new(self.ledger.clone()));
        Ok(Channels::new(gate, keep, key, settings.config.server.public_url.clone(), channels))
    }

    /// Builds every pipeline of a configuration without changing anything. Blocking.
    fn build(&self, settings: &Settings, outside: Arc<dyn Outside>) -> Result<Built> {
        let (place, edited) = (settings.place.as_ref(), lock(&self.edited).clone());
        let progress = &self.progress;
        let pipelines = assemble::pipelines(&settings.config, place, &edited, progress)?;
        let tried = assemble::candidates(&settings.config, place, &edited, &pipelines, progress)?;
        let all = pipelines.iter().chain(tried.iter().map(|tried| &tried.pipeline));
        progress.plugins(all.map(Pipeline::plugins).sum());
        let engine = self.engine.with_outside(outside);
        let built = pipelines.iter().map(|pipeline| Ok(self.continued(pipeline.build(&engine, progress)?)));
        let fresh = built.collect::<Result<Vec<_>>>()?;
        let candidates = tried.iter().map(|tried| Ok(tried.build(&engine, &self.trials, progress)?));
        let candidates = candidates.collect::<Result<Vec<_>>>()?;
        let trust = pipelines.into_iter().map(|pipeline| (pipeline.spec.tenant, pipeline.trust)).collect();
        let canaries = candidates.iter().filter(|candidate| candidate.is_canary()).map(Candidate::generation);
        let warmed = self.warmed(fresh.iter().chain(canaries));
        progress.step(Work::Activating, None, None);
        Ok(Built { fresh, candidates, trust, warmed })
    }

    /// Makes generations ready that are to judge calls soon. Blocking.
    fn warmed<'g>(&self, soon: impl Iterator<Item = &'g Arc<Generation>>) -> Vec<Warmed> {
        let latest = Instant::now() + WARMING;
        let warm = |generation: &Arc<Generation>| {
            self.progress.step(Work::Warming, Some(generation.tenant()), None);
            generation.warm(latest)
        };
        // Those that judge calls already come last: most of a file's tenants are as they were.
        let in_force = |generation: &Arc<Generation>| {
            self.generations.current(generation.tenant()).is_some_and(|current| current.id() == generation.id())
        };
        let (again, new): (Vec<_>, Vec<_>) = soon.partition(|generation| in_force(generation));
        new.into_iter().chain(again).map(warm).collect()
    }

    /// Tenants that trust fewer than until now, and whether what leads outside is another: then generations of before must not
    /// come back, or going back would be the way around.
    fn narrowed(&self, settings: &Settings, trust: &HashMap<Arc<str>, Trust>) -> (HashSet<Arc<str>>, bool) {
        let before = lock(&self.trust);
        let fewer = trust.iter().filter(|(tenant, trust)| before.get(*tenant).is_some_and(|old| !trust.covers(old)));
        let fewer = fewer.map(|(tenant, _)| Arc::clone(tenant)).collect();
        let old = Arc::clone(&lock(&self.settings));
        let outward = |config: &Config| (config.secret.clone(), config.judge.clone(), config.outbound.clone());
        (fewer, outward(&old.config) != outward(&settings.config))
    }

    /// What was built again goes on where it was.
    fn continued(&self, built: Generation) -> Arc<Generation> {
        let old = self.generations.kept(built.tenant(), built.id());
        Arc::new(match old {
            Some(old) => built.continuing(&old),
            None => built,
        })
    }

    /// Reads a configuration again: pipelines and credentials change together or not at all.
    pub(crate) async fn reload(self: &Arc<Self>, settings: Arc<Settings>, by: Option<Who>) -> Result<()> {
        let previous = self.credentials.directory();
        // An emptied or half-written file must not turn a guarded server into one that takes anybody.
        if settings.config.tenant.is_empty() && previous.open_agent().is_none() {
            anyhow::bail!("the configuration names no tenant any more; to serve openly without credentials, restart");
        }
        let place = settings.place.as_ref();
        let directory = assemble::directory(&settings.config, place, Some(&previous), Some(&self.control))?;
        let host = Arc::clone(self);
        let under = self.progress.begin();
        let seen = self.generations.ids();
        let building = Arc::clone(&settings);
        let build = move || {
            let outside = host.ways.configure(&building.config, building.place.as_ref())?;
            Ok::<_, anyhow::Error>((host.build(&building, Arc::clone(&outside))?, outside))
        };
        let (Built { fresh, candidates, trust, warmed }, outside) = tokio::task::spawn_blocking(build).await??;
        let host = Arc::clone(self);
        // A task of its own: whoever asked for it may go away in the middle.
        let change = async move {
            let (_under, _warmed) = (under, warmed);
            let _turn = host.turn.lock().await;
            let (fewer, otherwise) = host.narrowed(&settings, &trust);
            let allowed = |past: &Generation| !(fewer.contains(past.tenant()) || otherwise && past.leads_outside());
            // What an operator did meanwhile counts for more than what was prepared before it.
            let overtaken = |tenant: &str| {
                let now = host.generations.current(tenant);
                now.is_some_and(|now| seen.get(tenant).is_some_and(|seen| *seen != now.id()) && allowed(&now))
            };
            let tenants: HashSet<_> = fresh.iter().map(|generation| Arc::clone(generation.tenant())).collect();
            let (stale, fresh): (Vec<_>, Vec<_>) =
                fresh.into_iter().partition(|generation| overtaken(generation.tenant()));
            let stale: HashSet<_> = stale.iter().map(|generation| Arc::clone(generation.tenant())).collect();
            for tenant in &stale {
                tracing::warn!(
                    tenant = &**tenant,
                    "an operator changed the pipeline while this configuration was prepared: it stays, and what is written comes into \
                     force when the file is read again"
                );
            }
            // Whoever gets in finds a pipeline: a new tenant's is there before its tokens, an old one's goes after them.
            host.activate(&fresh, by.as_ref(), Why::Reload, allowed).await?;
            for tenant in &tenants {
                host.generations.let_go(tenant, allowed);
            }
            *lock(&host.trust) = trust;
            host.credentials.replace(directory);
            let keeping = outside::keeping(&settings.config);
            host.generations.keep_words(keeping.keys().cloned());
            host.transcripts.replace(keeping);
            // What is in force has changed by now: a trial that is not on record stays as it was, and that is all.
            if let Err(error) = host.try_out(candidates, by.as_ref(), &stale, allowed).await {
                tracing::error!("trials of candidates stay as they were: {error:#}");
            }
            host.generations.retain(|tenant| tenants.contains(tenant));
            *lock(&host.settings) = settings;
            *lock(&host.outside) = outside;
            Ok(())
        };
        tokio::spawn(change).await?
    }
}

/// How MCP clients wait for decisions.
pub(crate) fn hold_limits(mcp: &config::Mcp) -> HoldLimits {
    HoldLimits {
        wait: Duration::from_secs(mcp.hold_seconds),
        calls: mcp.hold_calls,
        calls_per_agent: mcp.hold_calls_per_agent,
        ..HoldLimits::default()
    }
}

impl Host {
    /// The policies of a tenant's plugins that take theirs from operators. Blocking.
    pub(crate) fn policies(&self, tenant: &str) -> Result<Vec<PolicyView>, PolicyError> {
        let edited = lock(&self.edited).clone();
        edited.views(&self.pipeline(tenant, &edited)?)
    }

    /// Builds the pipeline with the new policies, records the change and puts it in force, in this order. One at a time, and
    /// not beside a reload.
    pub(crate) async fn replace_policies(
        self: &Arc<Self>,
        change: PolicyChange,
        preparation: OwnedMutexGuard<()>,
    ) -> Result<PolicyView, PolicyError> {
        let host = Arc::clone(self);
        let seen = self.generations.ids();
        let PolicyChange { operator, plugin, policies, replaces } = change;
        let tenant = Arc::clone(&operator.tenant);
        let plugin: Arc<str> = plugin.into();
        let edit = match policies {
            Some(policies) => Some(Edit {
                tenant: Arc::clone(&tenant),
                plugin: Arc::clone(&plugin),
                by: Arc::clone(&operator.name),
                at_ms: now_ms(),
                policies: serde_json::from_str(policies.get())
                    .map_err(|error| PolicyError::Invalid(error.to_string()))?,
            }),
            None => None,
        };
        let unavailable = |error: &dyn std::fmt::Display| PolicyError::Unavailable(error.to_string());
        let record = policies::record(&tenant, &plugin, edit.as_ref()).map_err(|error| unavailable(&error))?;
        let under = self.progress.begin();
        let build = move || {
            let present = host.policies(&tenant)?;
            let present = present.into_iter().find(|view| view.plugin == plugin).ok_or(PolicyError::Unknown)?;
            if replaces.is_some_and(|replaces| replaces != present.digest) {
                return Err(PolicyError::Changed);
            }
            let mut edited = lock(&host.edited).clone();
            match edit {
                Some(edit) => edited.put(edit),
                None => edited.remove(&tenant, &plugin),
            }
            let pipeline = host.pipeline(&tenant, &edited)?;
            let view = edited.views(&pipeline)?.into_iter().find(|view| view.plugin == plugin);
            // What is wrong is in the request: lines of the file would mislead.
            let engine = host.engine.with_outside(Arc::clone(&lock(&host.outside)));
            host.progress.plugins(pipeline.plugins());
            let generation =
                pipeline.build(&engine, &host.progress).map_err(|error| PolicyError::Invalid(error.message))?;
            let generation = host.continued(generation);
            let warmed = host.warmed(iter::once(&generation));
            host.progress.step(Work::Activating, Some(&pipeline.spec.tenant), None);
            Ok((edited, view.ok_or(PolicyError::Unknown)?, generation, warmed))
        };
        let built = tokio::task::spawn_blocking(build).await.map_err(|error| unavailable(&error))?;
        let (edited, view, generation, warmed) = built?;
        let host = Arc::clone(self);
        // A task of its own: what is recorded comes into effect, whether or not anybody still waits. What keeps
        // others from preparing goes with it.
        let change = async move {
            let (_preparation, _under, _warmed) = (preparation, under, warmed);
            let _turn = host.turn.lock().await;
            let old = host.generations.current(generation.tenant()).map(|old| old.id());
            if old != seen.get(generation.tenant()).copied() {
                return Err(PolicyError::Changed);
            }
            let note = Some(policies::note(&view, old));
            let by = operator.name;
            let entry = Draft { agent: Arc::clone(&by), note, ..activation(&generation) };
            let attach = vec![Attachment::Record(record), live::Held::record(generation.tenant(), None)];
            let appended = host.ledger.append_with(entry, attach).await;
            appended.map_err(|error| PolicyError::Unavailable(error.to_string()))?;
            host.generations.activate(&generation, Activation { at_ms: now_ms(), by, why: Why::Policies });
            host.generations.configure(generation.tenant(), generation.id());
            *lock(&host.edited) = edited;
            host.end_needless_trial(generation.tenant());
            host.tell(generation.tenant(), Why::Policies);
            Ok(view)
        };
        tokio::spawn(change).await.map_err(|error| unavailable(&error))?
    }

    /// The pipeline of one tenant, as it is configured and with this edited.
    fn pipeline(&self, tenant: &str, edited: &Edited) -> Result<Pipeline, PolicyError> {
        let settings = Arc::clone(&lock(&self.settings));
        let all = assemble::pipelines(&settings.config, settings.place.as_ref(), edited, &Progress::default());
        let all = all.map_err(|error| PolicyError::Unavailable(format!("{error:#}")))?;
        all.into_iter().find(|pipeline| &*pipeline.spec.tenant == tenant).ok_or(PolicyError::Unknown)
    }
}

/// What a configuration makes.
struct Built {
    fresh: Vec<Arc<Generation>>,
    candidates: Vec<Candidate>,
    /// Whose plugins each tenant runs.
    trust: HashMap<Arc<str>, Trust>,
    /// Keeps ready what is to judge calls, until it does.
    warmed: Vec<Warmed>,
}

/// For as long, at most, instances are made before what is built comes into force. Those that are missing are made afterwards.
const WARMING: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Large payloads judged at a time: each takes a thread, and with one for each core the workers that judge small ones
/// keep half of the machine.
fn heavy() -> Heavy {
    let places = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Heavy { places, wait: Duration::from_secs(10) }
}

/// The entry about a generation that is put in force, by nobody in particular and without a note.
pub(crate) fn activation(generation: &Generation) -> Draft {
    Draft {
        kind: EntryKind::Activation,
        tenant: Arc::clone(generation.tenant()),
        id: Uuid::now_v7(),
        time_ms: now_ms(),
        agent: "portcullis".into(),
        session: None,
        door: Door::Control,
        upstream: None,
        tool: None,
        phase: Phase::Call,
        mode: generation.mode(),
        decision: None,
        reasons: Vec::new(),
        findings: Vec::new(),
        plugins: Vec::new(),
        generation: Some(generation.id()),
        approval: None,
        outcome: None,
        duration_ms: None,
        call_digest: None,
        payload: None,
        note: None,
    }
}

/// An engine for a command that serves nobody: its plugins reach what the configuration lets them reach.
///
/// # Errors
/// What is wrong with it, with file, line and key.
pub(crate) fn lone_engine(settings: &Settings) -> Result<Engine> {
    let key = settings.data()?.join("placeholders.key");
    let key = if key.is_file() { folder_key(&key)? } else { [0; 32] };
    let engine = engine(settings, None)?;
    let ways = Ways::new(&settings.config.outbound, key, Arc::new(Metrics::new()), Arc::clone(engine.state()));
    Ok(engine.with_outside(ways.configure(&settings.config, settings.place.as_ref())?))
}

/// The engine of a configuration. With a ledger, plugin state survives restarts; without one, nothing is written but
/// compiled plugins, and those only into a data folder that exists.
fn engine(settings: &Settings, ledger: Option<&Ledger>) -> Result<Engine> {
    let data = settings.data()?;
    let cached = ledger.is_some() || data.is_dir();
    let key = cached.then(|| folder_key(&data.join("cache.key"))).transpose();
    let key = match (key, ledger) {
        (Ok(key), _) => key,
        (Err(error), Some(_)) => return Err(error),
        (Err(_), None) => None,
    };
    let persist = |prefix: &'static str| {
        ledger.map(|ledger| Arc::new(Kept { ledger: ledger.clone(), prefix }) as Arc<dyn Persist>)
    };
    Ok(Engine::new(EngineConfig {
        cache_dir: key.is_some().then(|| data.join("cache")),
        cache_key: key.unwrap_or_default(),
        slots: settings.config.engine.slots,
        keep_resident: settings.config.engine.keep_resident_kib << 10,
        snapshots: true,
        compile_threads: settings.config.engine.compile_threads,
        state: Arc::new(MemoryState::new(persist("state/"))),
        labels: Arc::new(MemoryLabels::new(persist("labels/"))),
        wait: |work| tokio::task::block_in_place(work),
    })?)
}

/// Plugin state in the ledger's store, under a prefix.
struct Kept {
    ledger: Ledger,
    prefix: &'static str,
}

impl Kept {
    /// The key of the record. A record's key has no NUL, a plugin's may: 0 becomes 1 1, and 1 becomes 1 2.
    fn key(&self, key: &[u8]) -> Vec<u8> {
        let mut record = self.prefix.as_bytes().to_vec();
        for byte in key {
            match byte {
                0 => record.extend_from_slice(&[1, 1]),
                1 => record.extend_from_slice(&[1, 2]),
                other => record.push(*other),
            }
        }
        record
    }

    /// The plugin's key of a record; none if it is no such record.
    fn plain(&self, record: &[u8]) -> Option<Vec<u8>> {
        let mut rest = record.strip_prefix(self.prefix.as_bytes())?;
        let mut key = Vec::with_capacity(rest.len());
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if *byte == 1 {
                let (escaped, after) = rest.split_first()?;
                key.push(escaped.checked_sub(1)?);
                rest = after;
            } else {
                key.push(*byte);
            }
        }
        Some(key)
    }
}

impl Persist for Kept {
    fn put(&self, key: &[u8], value: Option<&[u8]>) {
        let record = Record { key: self.key(key), value: value.map(<[u8]>::to_vec) };
        if let Err(error) = self.ledger.put_records_later(&[record]) {
            tracing::warn!(%error, "plugin state was not kept");
        }
    }

    fn load(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let records = self.ledger.records(self.prefix.as_bytes()).unwrap_or_else(|error| {
            tracing::warn!(%error, "plugin state could not be read back");
            Vec::new()
        });
        records.into_iter().filter_map(|(key, value)| Some((self.plain(&key)?, value))).collect()
    }
}

/// A key of the data folder, made at the first start: one that compiled plugins are checked with, one that seals what MCP
/// clients keep, one that decision links are signed with, one that makes what stands for secrets.
pub(crate) fn folder_key(path: &Path) -> Result<[u8; 32]> {
    let mut key = [0_u8; 32];
    match fs::File::open(path) {
        Ok(mut file) => {
            file.read_exact(&mut key).with_context(|| format!("{}: is too short; remove it", path.display()))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            getrandom::fill(&mut key).map_err(io::Error::from)?;
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            file.and_then(|mut file| file.write_all(&key))
                .with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", path.display())),
    }
    Ok(key)
}

/// The upstreams of a configuration and of the command line, and what is made of several of them.
pub(crate) fn upstreams(config: &Config, place: Option<&Place>, more: &[String]) -> Result<Upstreams> {
    let at = |key: &str, error: anyhow::Error| match place {
        Some(place) => anyhow::Error::from(place.error(key, format!("{error:#}"))),
        None => error,
    };
    let mut all = Vec::new();
    for (index, one) in config.upstream.iter().enumerate() {
        all.push(upstream(one).map_err(|error| at(&format!("upstream[{index}]"), error))?);
    }
    for text in more {
        all.push(text.parse().with_context(|| format!("--upstream {text}"))?);
    }
    let mut upstreams = Upstreams::new(all).map_err(|error| {
        let last =
            error.upstreams().iter().filter_map(|name| config.upstream.iter().rposition(|one| one.name == *name)).max();
        match last {
            Some(index) => at(&format!("upstream[{index}].name"), error.into()),
            None => error.into(),
        }
    })?;
    for (index, federation) in config.federation.iter().enumerate() {
        let members = federation.upstreams.iter().map(String::as_str);
        upstreams.federate(&federation.name, members).map_err(|error| {
            let key = if matches!(error, UpstreamError::FederationName(_)) { "name" } else { "upstreams" };
            at(&format!("federation[{index}].{key}"), error.into())
        })?;
    }
    Ok(upstreams)
}

fn upstream(config: &config::Upstream) -> Result<Upstream> {
    let made = match (&config.url, config.command.as_deref()) {
        (Some(url), None) => {
            let headers = config.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let plain = Upstream::http(&config.name, url, headers)?;
            match &config.oauth {
                Some(oauth) => plain.with_oauth(access_token(&config.name, oauth)?)?,
                None => plain,
            }
        }
        (None, Some([program, arguments @ ..])) => {
            let started = Upstream::stdio(&config.name, program, arguments.to_vec(), config.env.clone())?;
            started.sharing(config.shared)
        }
        _ => anyhow::bail!("upstream {}: give exactly one of `url` and `command`", config.name),
    };
    let withhold = |what| config.withhold.contains(&what);
    let withholds = Withholds {
        sampling: withhold(Withhold::Sampling),
        elicitation: withhold(Withhold::Elicitation),
        roots: withhold(Withhold::Roots),
    };
    Ok(Upstream { withholds, ..made })
}

/// What an upstream's access token is asked for with.
fn access_token(upstream: &str, oauth: &config::Oauth) -> Result<OauthSpec> {
    let client_secret = match (&oauth.client_secret_file, &oauth.client_secret_env) {
        (Some(path), None) => ClientSecret::File(path.clone()),
        (None, Some(name)) => {
            let secret = std::env::var(name).ok().filter(|secret| !secret.is_empty());
            ClientSecret::text(secret.with_context(|| {
                format!("upstream {upstream}: the environment variable {name} of client_secret_env is not set")
            })?)
        }
        _ => anyhow::bail!("upstream {upstream}: give exactly one of `client_secret_file` and `client_secret_env`"),
    };
    Ok(OauthSpec {
        token_url: oauth.token_url.clone(),
        client_id: oauth.client_id.clone(),
        client_secret,
        scope: oauth.scope.clone(),
        resource: oauth.resource.clone(),
    })
}

/// When the files of a configuration were last written, so that a change is noticed.
#[derive(PartialEq, Eq)]
pub(crate) struct Fingerprint(BTreeMap<PathBuf, Option<(SystemTime, u64)>>);

impl Fingerprint {
    /// How often to look.
    pub(crate) const EVERY: Duration = Duration::from_secs(1);

    /// The configuration file, the packs and the components that it names.
    pub(crate) fn take(settings: &Settings) -> Self {
        let files = assemble::files(&settings.config, settings.place.as_ref());
        let stamp = |path: &Path| fs::metadata(path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
        Self(files.into_iter().map(|path| (path.clone(), stamp(&path))).collect())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_engine::{LabelStore as _, Scope, StateStore as _};
    use portcullis_ledger::LedgerConfig;

    use super::*;

    #[test]
    fn what_plugins_remember_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let scope = Scope { tenant: "acme", plugin: "quota" };
        // Every byte that a key may have.
        for key in ["calls", "", "a\0b\u{1}c\u{2}\u{ff}"] {
            for round in 1..=3 {
                let ledger = Ledger::open(LedgerConfig::new(folder.path())).unwrap();
                let persist = |prefix| Some(Arc::new(Kept { ledger: ledger.clone(), prefix }) as Arc<dyn Persist>);
                let state = MemoryState::new(persist("state/"));
                let labels = MemoryLabels::new(persist("labels/"));
                assert_eq!(state.increment(scope, key, 2, 0, 1_000), Ok(2 * round), "{key:?}");
                assert_eq!(labels.all("acme", "session", 1_000).is_empty(), round == 1 && key == "calls");
                labels.add("acme", "session", "source", "untrusted", 1_000).unwrap();
                drop((state, labels));
                runtime.block_on(ledger.close());
            }
        }
    }
}
