use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_model::{AttributedFinding, Call, Digest, Finding, Plan, PluginRun, Reason, Role, Verdict, codes};
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use crate::answer::{self, Findings, Header};
use crate::call::{CallState, Shared, Stop, Subject, at_once};
use crate::capabilities::printable;
use crate::compiled::Compiled;
use crate::configure::{Answer, Params};
use crate::engine::ticks;
use crate::pool::WHOLE;
use crate::ready::{Made, Ready};
use crate::{Engine, Heard, Instances, Limits, Tier, bindings};

/// Longest error text of a guest that is kept.
const MAX_SAID: usize = 1024;
/// Pause before asking again for a slot of the pool.
const PAUSE: Duration = Duration::from_micros(50);
/// Plugins whose limits allow more than both of these in a call may take long: milliseconds, and fuel.
const LONG_MS: u64 = 5_000;
const LONG_FUEL: u64 = 4_000_000_000;
/// With more of the pool than this taken, a call may have to wait for a slot.
const NEARLY_FULL: usize = WHOLE / 8 * 7;

/// How a plugin's configuration gets into its instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// Each instance starts from the memory that `configure` left.
    Snapshot,
    /// The memory cannot be kept; `configure` runs in each instance, on fuel of its own: ahead of the call where one waits, else
    /// within the call and its deadline. Such a plugin [may take long](Plugin::may_take_long).
    EachCall {
        /// Why it cannot be kept.
        reason: String,
    },
}

/// Why a plugin gave no proper answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It stopped by itself: a panic, a division by zero, an access out of bounds.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// It used up its fuel.
    #[error("the plugin used up its fuel")]
    Fuel,
    /// It ran past its wall-clock deadline.
    #[error("the plugin ran past its deadline")]
    Deadline,
    /// It wanted more memory, table or stack than it may have.
    #[error("the plugin wanted more memory than it may have")]
    Memory,
    /// It called the host more often than it may.
    #[error("the plugin called the host more often than it may")]
    HostCalls,
    /// Its answer, or what it handed to the host, was larger than it may be.
    #[error("the plugin's answer is larger than it may be")]
    Oversize,
    /// Its answer breaks the contract.
    #[error("the plugin's answer breaks the contract: {0}")]
    BadAnswer(String),
    /// It said itself that it could not answer.
    #[error("the plugin reported an error: {0}")]
    Guest(String),
}

impl Fault {
    /// The stable code, one of [`portcullis_model::codes`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap(_) => codes::PLUGIN_TRAP,
            Self::Fuel => codes::PLUGIN_FUEL,
            Self::Deadline => codes::PLUGIN_DEADLINE,
            Self::Memory => codes::PLUGIN_MEMORY,
            Self::HostCalls => codes::PLUGIN_HOST_CALLS,
            Self::Oversize => codes::PLUGIN_OVERSIZE,
            Self::BadAnswer(_) => codes::PLUGIN_BAD_ANSWER,
            Self::Guest(_) => codes::PLUGIN_ERROR,
        }
    }
}

/// What one call of a plugin gave and cost.
#[derive(Clone, Debug)]
pub struct Run<T> {
    /// The answer, checked against the contract.
    pub result: Result<T, Fault>,
    /// What it took, whatever came of it.
    pub cost: PluginRun,
}

/// A loaded plugin. Cheap to clone; calls may run on any number of threads at once.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>, Option<Arc<Heard>>);

pub(crate) struct Inner {
    engine: Engine,
    shared: Arc<Shared>,
    compiled: Arc<Compiled>,
    /// Instances that wait for calls; none if none do.
    pub(crate) ready: Option<Ready>,
    /// Whether what it is told is held in words.
    words: AtomicBool,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("name", self.name()).field("digest", &self.digest()).finish_non_exhaustive()
    }
}

impl Plugin {
    pub(crate) fn assemble(engine: Engine, shared: Arc<Shared>, compiled: Arc<Compiled>, instances: Instances) -> Self {
        let kept = compiled.prepared == Prepared::Snapshot;
        let ready = Ready::new(instances, kept, compiled.share, &engine.0.filler);
        let inner = Arc::new(Inner { engine, shared, compiled, ready, words: AtomicBool::new(true) });
        if inner.ready.is_some() {
            inner.engine.0.filler.know(&inner);
        }
        Self(inner, None)
    }

    /// The same plugin, for calls on which it reaches nobody: it gets the answers that others got.
    #[must_use]
    pub fn hearing(&self, heard: &Arc<Heard>) -> Self {
        Self(Arc::clone(&self.0), Some(Arc::clone(heard)))
    }

    /// One more puts the plugin to use: from here on instances wait for calls, made by a thread of the engine. Each is to
    /// [retire](Self::retire) it once.
    pub fn employ(&self) {
        if let Some(ready) = &self.0.ready {
            ready.employ(&self.0);
        }
    }

    /// Makes the instances that are to wait for calls now, as far as there is room for them, and begins none after `latest`.
    /// Blocking.
    pub fn fill_until(&self, latest: Instant) {
        if let Some(ready) = &self.0.ready {
            ready.fill_until(&self.0, latest);
        }
    }

    /// One of those who put the plugin to use does not any more; after the last one nothing waits for calls until it is put to
    /// use again. It can still be called: each call makes an instance of its own.
    pub fn retire(&self) {
        if let Some(ready) = &self.0.ready {
            ready.retire(&self.0);
        }
    }

    /// Whether runs from here on carry the words of what the plugin was told ([`PluginRun::told`]); at first they do. Their hash
    /// they carry in any case.
    pub fn keep_words(&self, keep: bool) {
        self.0.words.store(keep, Ordering::Relaxed);
    }

    /// Name in the pipeline.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.shared.name
    }

    /// SHA-256 of the file as given.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.compiled.digest
    }

    /// What it read of granted folders while it was configured, by hash; none if nothing. What it reads during calls is
    /// not in it.
    #[must_use]
    pub fn inputs(&self) -> Option<Digest> {
        self.0.compiled.inputs
    }

    /// What the configuration says of what it reaches outside, by hash: prompts and models, not secrets. None if nothing.
    #[must_use]
    pub fn outside(&self) -> Option<Digest> {
        self.0.shared.reach.as_ref().and_then(|reach| reach.configuration())
    }

    /// What it is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.0.compiled.role
    }

    /// How far it is shut in.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.0.compiled.tier
    }

    /// How its configuration gets into its instances.
    #[must_use]
    pub fn prepared(&self) -> &Prepared {
        &self.0.compiled.prepared
    }

    /// How many instances wait for calls.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.ready.as_ref().map_or(0, Ready::waiting)
    }

    /// Whether a call of it may wait for somebody else's answer, up to its deadline: not for threads that others need.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.0.shared.waits
    }

    /// Whether a call of it may keep a thread busy for long: it is configured in each instance, or its limits allow more than
    /// five seconds. Not for threads that others need.
    #[must_use]
    pub fn may_take_long(&self) -> bool {
        let Limits { deadline_ms, fuel, .. } = self.0.shared.limits;
        self.0.compiled.configure.is_some() || (deadline_ms > LONG_MS && fuel > LONG_FUEL)
    }

    /// Whether a call finds an instance, or a slot for one, without waiting. Others may be faster.
    #[must_use]
    pub fn starts_at_once(&self) -> bool {
        self.0.engine.0.pool.used() < NEARLY_FULL
    }

    /// Asks a detector.
    pub fn inspect(&self, call: &Call) -> Run<Vec<Finding>> {
        self.run(Role::Detector, call, |session| {
            let header = Header::new(call);
            let (answer,): (Result<Vec<bindings::Finding>, String>,) = session.call((header.lowered(),))?;
            answer::findings(answer.map_err(said)?, call)
        })
    }

    /// Asks a rule. `findings` are those of the detectors, in pipeline order.
    pub fn decide(&self, call: &Call, findings: &[AttributedFinding]) -> Run<Verdict> {
        self.run(Role::Rule, call, |session| {
            let header = Header::new(call);
            let findings = Findings::new(findings, call);
            let (answer,): (Result<bindings::Verdict, String>,) =
                session.call((header.lowered(), findings.lowered().as_slice()))?;
            answer::verdict(answer.map_err(said)?, call, self.name())
        })
    }

    /// Asks a router who must approve a call that was parked for `reasons`.
    pub fn route(&self, call: &Call, findings: &[AttributedFinding], reasons: &[Reason]) -> Run<Plan> {
        self.run(Role::Router, call, |session| {
            let header = Header::new(call);
            let findings = Findings::new(findings, call);
            let (findings, reasons) = (findings.lowered(), answer::reasons(reasons));
            let (answer,): (Result<bindings::Plan, String>,) =
                session.call((header.lowered(), findings.as_slice(), reasons.as_slice()))?;
            answer::plan(answer.map_err(said)?)
        })
    }

    /// Makes the instance of the next call now if it must be configured first and none waits, so that configuring is no part of
    /// the call. Blocking.
    ///
    /// # Errors
    /// It cannot be started or configured.
    pub fn make_ahead(&self) -> Result<(), Fault> {
        let Some(ready) = self.0.ready.as_ref().filter(|ready| ready.waiting() == 0) else { return Ok(()) };
        if self.0.compiled.configure.is_some() {
            ready.put(self.0.make()?);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Starts an instance and throws it away, to see that it can be done.
    pub(crate) fn try_start(&self) -> Result<(), Fault> {
        // Once, and also on a machine that is busy: what may be slow here may be slow while configuring.
        self.0.make().map(drop)
    }

    fn run<T>(&self, role: Role, call: &Call, work: impl FnOnce(&mut Session<'_>) -> Result<T, Fault>) -> Run<T> {
        let started = Instant::now();
        let (result, fuel, memory, (answers, told)) = if role == self.role() {
            let answer = self.0.answer(Subject::of(call, self.1.as_ref(), self.0.words.load(Ordering::Relaxed)), work);
            if let Some(ready) = &self.0.ready {
                ready.ask(&self.0);
            }
            answer
        } else {
            (
                Err(Fault::BadAnswer(format!("it is a {}, not a {}", self.role().as_str(), role.as_str()))),
                0,
                0,
                (None, None),
            )
        };
        if let Err(fault) = &result {
            let (plugin, tenant, code) = (&*self.0.shared.name, &*self.0.shared.tenant, fault.code());
            // Not louder: it is the guest's own text, which may repeat what it was given.
            tracing::debug!(target: "plugin", plugin, tenant, call = %call.id, code, "{}", printable(&fault.to_string()));
        }
        let cost = PluginRun {
            name: self.0.shared.name.clone(),
            role: self.role(),
            digest: self.digest(),
            fuel,
            micros: u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX),
            memory,
            fault: result.as_ref().err().map(|fault| fault.code().to_owned()),
            answers,
            told,
        };
        Run { result, cost }
    }
}

/// What a call was told: the hash, and the text if it is held.
type Told = (Option<Digest>, Option<Arc<str>>);

/// One instance for one call.
struct Session<'a> {
    plugin: &'a Inner,
    made: Made,
}

impl Inner {
    /// The answer, the fuel it took, the peak memory, and what it was told, by hash and in words.
    fn answer<T>(
        &self,
        subject: Subject,
        work: impl FnOnce(&mut Session<'_>) -> Result<T, Fault>,
    ) -> (Result<T, Fault>, u64, u64, Told) {
        let mut session = match self.start(subject) {
            Ok(session) => session,
            Err(fault) => return (Err(fault), 0, 0, (None, None)),
        };
        let result = work(&mut session);
        let Session { mut made, .. } = session;
        let left = made.store.get_fuel().unwrap_or(0);
        let state = made.store.data_mut();
        let (memory, answers) = (state.limiter.peak(), (state.answers.digest(), state.answers.told()));
        if result.is_ok() {
            self.keep(made, memory);
        }
        (result, self.shared.limits.fuel.saturating_sub(left), memory, answers)
    }

    /// Lets an instance answer further calls, where the pipeline allows it and its memory has not grown too far.
    fn keep(&self, mut made: Made, memory: u64) {
        let Some(ready) = &self.ready else { return };
        made.calls += 1;
        let most = self.shared.limits.memory as u64 / 4 * 3;
        if made.calls < ready.reuse && memory <= most {
            made.store.data_mut().subject = None;
            made.fuel = 0;
            ready.put(made);
        }
    }

    /// An instance with the limits of a call: one that waits, else a fresh one. Waiting for a slot, configuring and the call
    /// together take no longer than the call may.
    fn start(&self, subject: Subject) -> Result<Session<'_>, Fault> {
        let limits = &self.shared.limits;
        let began = Instant::now();
        let mut made = match self.ready.as_ref().and_then(Ready::take) {
            Some(made) => made,
            None => self.make_within(limits.deadline_ms)?,
        };
        let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let store = &mut made.store;
        store.set_fuel(limits.fuel.saturating_sub(made.fuel)).map_err(|error| trap(&error))?;
        store.set_hostcall_fuel(limits.output);
        let left_ms = limits.deadline_ms.saturating_sub(waited);
        store.set_epoch_deadline(ticks(left_ms));
        store.data_mut().begin(subject, left_ms);
        Ok(Session { plugin: self, made })
    }

    /// An instance that waits for its call.
    pub(crate) fn make(&self) -> Result<Made, Fault> {
        self.make_within(self.shared.limits.configure_deadline_ms)
    }

    /// The same, unless there is no slot for it now.
    pub(crate) fn make_now(&self) -> Result<Made, Fault> {
        let slot = self.slot(self.fuel(), self.shared.limits.configure_deadline_ms)?;
        self.configured(slot.ok_or(Fault::Deadline)?)
    }

    /// A fresh instance; a configured one, where that could not be kept.
    fn make_within(&self, deadline_ms: u64) -> Result<Made, Fault> {
        let fuel = self.fuel();
        let slot = match self.slot(fuel, deadline_ms)? {
            Some(slot) => slot,
            None => self.wait_for_slot(fuel, deadline_ms)?,
        };
        self.configured(slot)
    }

    /// What a new instance has until its call begins.
    fn fuel(&self) -> u64 {
        let limits = &self.shared.limits;
        if self.compiled.configure.is_none() { limits.fuel } else { limits.configure_fuel }
    }

    /// A new instance, not configured. None if all slots are taken.
    fn slot(&self, fuel: u64, deadline_ms: u64) -> Result<Option<(Store<CallState>, Instance)>, Fault> {
        let state = CallState::new(&self.shared);
        let mut store = state.into_store(&self.engine.0.calls, fuel, deadline_ms).map_err(|error| trap(&error))?;
        match self.instantiate(&mut store) {
            Ok(instance) => Ok(Some((store, instance))),
            Err(error) if error.is::<PoolConcurrencyLimitError>() => Ok(None),
            Err(error) => Err(fault_of(&error, store.data())),
        }
    }

    /// The same as soon as there is one, but not later than the call may take: what waits for a call gives way first.
    fn wait_for_slot(&self, fuel: u64, deadline_ms: u64) -> Result<(Store<CallState>, Instance), Fault> {
        let began = Instant::now();
        let next = || {
            let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let left_ms = deadline_ms.checked_sub(waited).filter(|left| *left > 0).ok_or(Fault::Deadline)?;
            self.slot(fuel, left_ms)
        };
        while self.engine.0.filler.give_way(1) {
            if let Some(slot) = next()? {
                return Ok(slot);
            }
        }
        let mut found = Err(Fault::Deadline);
        (self.engine.0.wait)(&mut || {
            found = loop {
                match next() {
                    Ok(Some(slot)) => break Ok(slot),
                    // Something may have been made ahead, or come back, meanwhile.
                    Ok(None) if self.engine.0.filler.give_way(1) => {}
                    Ok(None) => std::thread::sleep(PAUSE),
                    Err(fault) => break Err(fault),
                }
            };
        });
        found
    }

    fn configured(&self, (store, instance): (Store<CallState>, Instance)) -> Result<Made, Fault> {
        let used = self.fuel().saturating_sub(store.get_fuel().unwrap_or(0));
        let Some((export, config)) = &self.compiled.configure else {
            return Ok(Made { store, instance, fuel: used, calls: 0 });
        };
        let mut session = Session { plugin: self, made: Made { store, instance, fuel: 0, calls: 0 } };
        let (answer,): Answer = session.call_export::<Params<'_>, Answer>(*export, (config,))?;
        answer.map_err(said)?;
        Ok(session.made)
    }

    fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<Instance> {
        if self.shared.wasi {
            at_once(self.compiled.pre.instantiate_async(store)).unwrap_or_else(|| Err(Stop::Waited.into()))
        } else {
            self.compiled.pre.instantiate(store)
        }
    }
}

impl Session<'_> {
    /// Calls the export of the plugin's role.
    fn call<P, R>(&mut self, params: P) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        self.call_export(self.plugin.compiled.export, params)
    }

    fn call_export<P, R>(&mut self, export: ComponentExportIndex, params: P) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let (store, wasi) = (&mut self.made.store, self.plugin.shared.wasi);
        let answer = self.made.instance.get_typed_func::<P, R>(&mut *store, export).and_then(|function| {
            if wasi {
                at_once(function.call_async(&mut *store, params)).unwrap_or_else(|| Err(Stop::Waited.into()))
            } else {
                function.call(&mut *store, params)
            }
        });
        answer.map_err(|error| fault_of(&error, self.made.store.data()))
    }
}

fn trap(error: &wasmtime::Error) -> Fault {
    Fault::Trap(format!("{error:#}"))
}

fn said(text: String) -> Fault {
    let end = text.floor_char_boundary(MAX_SAID);
    Fault::Guest(text.get(..end).unwrap_or_default().to_owned())
}

/// What an error of wasmtime means.
pub(crate) fn fault_of(error: &wasmtime::Error, state: &CallState) -> Fault {
    match (error.downcast_ref::<Stop>(), error.downcast_ref::<Trap>()) {
        (Some(Stop::HostCalls), _) => Fault::HostCalls,
        (Some(stop), _) => Fault::Trap(stop.to_string()),
        (_, Some(Trap::OutOfFuel)) => Fault::Fuel,
        (_, Some(Trap::Interrupt)) => Fault::Deadline,
        (_, Some(Trap::StackOverflow)) => Fault::Memory,
        // A guest that does not get memory stops by itself.
        _ if state.limiter.refused() => Fault::Memory,
        (_, Some(trap)) => Fault::Trap(trap.to_string()),
        _ if error.is::<wasmtime_wasi::I32Exit>() => Fault::Trap("it called exit".to_owned()),
        _ => {
            let text = format!("{error:#}");
            // These two errors of wasmtime have no public type.
            if text.contains("fuel allocated for hostcalls has been exhausted") {
                Fault::Oversize
            } else if text.contains("resource limit exceeded") {
                Fault::Memory
            } else {
                Fault::BadAnswer(text)
            }
        }
    }
}
