use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use portcullis_model::Digest;
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

use crate::cache::{self, Cache};
use crate::compiled::InUse;
use crate::limits::{MAX_INSTANCES, MAX_MEMORY, MAX_TABLE_ELEMENTS};
use crate::once::Once;
use crate::outside::Closed;
use crate::pool::{Places, Pool};
use crate::ready::Filler;
use crate::{LabelStore, MemoryLabels, MemoryState, Outside, StateStore};

/// Version of wasmtime this crate is built with.
const WASMTIME: &str = "48.0.8";
/// How often the epoch moves on: the grain of deadlines.
const TICK: Duration = Duration::from_millis(5);
/// Stack of a plugin: how deep it may recurse.
const WASM_STACK: usize = 512 * 1024;

/// How an engine is built.
#[derive(Clone)]
pub struct EngineConfig {
    /// Where compiled plugins are kept; none: they are compiled at every start.
    pub cache_dir: Option<PathBuf>,
    /// Key of the hash that guards the cache; secret to this installation.
    pub cache_key: [u8; 32],
    /// Plugin calls that can run at the same moment; further ones wait for a slot within their deadline.
    pub slots: u32,
    /// Bytes of each slot that stay in memory between calls.
    pub keep_resident: usize,
    /// Threads that compile; loading a plugin never takes more.
    pub compile_threads: usize,
    /// Whether configured memory is kept and compiled: what calls should start from. Without it a file is compiled once for all
    /// its configurations, and each instance is configured anew: for an author who tries one edit after the other.
    pub snapshots: bool,
    /// Counters and values of plugins.
    pub state: Arc<dyn StateStore>,
    /// Labels of sessions.
    pub labels: Arc<dyn LabelStore>,
    /// Does the work that it is given, which may hold up its thread for as long as a call may take: waiting for a slot. Where
    /// others need that thread, they are to be handed on first.
    pub wait: fn(&mut dyn FnMut()),
}

/// What came out of building an engine on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineNotes {
    /// Version of wasmtime.
    pub wasmtime: &'static str,
    /// Whether instances come from a pool.
    pub pooling: bool,
    /// Whether used memory is found with `PAGEMAP_SCAN` (Linux 6.7 or newer), which makes small calls about four times
    /// faster.
    pub pagemap_scan: bool,
    /// Why one of the two could not be had.
    pub missing: Option<String>,
}

/// An engine cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder of compiled plugins cannot be used.
    #[error("the folder for compiled plugins ({}) cannot be used", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// wasmtime does not work on this machine.
    #[error("the WebAssembly engine cannot be started on this machine: {0}")]
    Wasmtime(String),
    /// A thread could not be started.
    #[error("a thread of the WebAssembly engine cannot be started: {0}")]
    Thread(String),
}

/// Compiles and runs plugins. One per process; cloning shares it.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>, pub(crate) Arc<dyn Outside>);

pub(crate) struct Inner {
    /// Runs calls.
    pub(crate) calls: wasmtime::Engine,
    /// Runs `configure`: quick to compile, with memory of its own, so that it takes no slot from calls.
    pub(crate) workshop: wasmtime::Engine,
    /// Whether configured memory is kept.
    pub(crate) snapshots: bool,
    pub(crate) compilers: rayon::ThreadPool,
    pub(crate) cache: Option<Cache>,
    pub(crate) compiled: InUse,
    pub(crate) once: Once,
    /// Makes instances ahead of calls.
    pub(crate) filler: Filler,
    /// Where the instances of calls come from.
    pub(crate) pool: Pool,
    /// See [`EngineConfig::wait`].
    pub(crate) wait: fn(&mut dyn FnMut()),
    /// What compiled code depends on.
    pub(crate) compatibility: Digest,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) labels: Arc<dyn LabelStore>,
    notes: EngineNotes,
    /// The ticker ends when this is dropped.
    _ticker: Sender<()>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            cache_key: [0; 32],
            slots: 256,
            keep_resident: 128 * 1024,
            compile_threads: 1,
            snapshots: true,
            state: Arc::new(MemoryState::default()),
            labels: Arc::new(MemoryLabels::default()),
            wait: |work| work(),
        }
    }
}

impl fmt::Debug for EngineConfig {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("cache_dir", &self.cache_dir)
            .field("slots", &self.slots)
            .field("keep_resident", &self.keep_resident)
            .field("compile_threads", &self.compile_threads)
            .field("snapshots", &self.snapshots)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("notes", &self.0.notes).finish_non_exhaustive()
    }
}

impl Engine {
    /// Builds an engine with the fastest settings this machine has.
    ///
    /// # Errors
    /// The cache folder cannot be made, or wasmtime does not work here at all.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        Self::filled_by(config, Filler::start)
    }

    pub(crate) fn filled_by(
        config: EngineConfig,
        filler: impl FnOnce(Pool) -> std::io::Result<Filler>,
    ) -> Result<Self, EngineError> {
        let cache = match &config.cache_dir {
            None => None,
            Some(path) => Some(
                Cache::open(path, config.cache_key)
                    .map_err(|source| EngineError::Cache { path: path.clone(), source })?,
            ),
        };
        let (calls, notes) = calls(&config)?;
        let refuse = |error: wasmtime::Error| EngineError::Wasmtime(format!("{error:#}"));
        let workshop = if config.snapshots {
            wasmtime::Engine::new(settings().cranelift_opt_level(OptLevel::None)).map_err(refuse)?
        } else {
            // What is compiled for calls is all there is.
            calls.clone()
        };
        let compilers = rayon::ThreadPoolBuilder::new()
            .num_threads(config.compile_threads.max(1))
            .thread_name(|number| format!("compile-{number}"))
            .build()
            .map_err(|error| EngineError::Thread(error.to_string()))?;
        let pool = Pool::new(&calls, Places::of(config.slots));
        let filler = filler(pool.clone()).map_err(|error| EngineError::Thread(error.to_string()))?;
        let ticked = if config.snapshots { vec![calls.weak(), workshop.weak()] } else { vec![calls.weak()] };
        let ticker = start_ticker(ticked)?;
        let compatibility = cache::compatibility(&calls);
        let compatibility =
            if config.snapshots { compatibility } else { Digest::of_parts([&compatibility.0[..], b"no snapshots"]) };
        let inner = Inner {
            compatibility,
            calls,
            workshop,
            snapshots: config.snapshots,
            compilers,
            cache,
            compiled: InUse::default(),
            once: Once::default(),
            filler,
            pool,
            wait: config.wait,
            state: config.state,
            labels: config.labels,
            notes,
            _ticker: ticker,
        };
        Ok(Self(Arc::new(inner), Arc::new(Closed)))
    }

    /// The same engine, whose plugins get outside this way from now on; those that are loaded keep theirs. Without it nothing
    /// that leads outside can be granted.
    #[must_use]
    pub fn with_outside(&self, outside: Arc<dyn Outside>) -> Self {
        Self(Arc::clone(&self.0), outside)
    }

    /// What came out of building it on this machine.
    #[must_use]
    pub fn notes(&self) -> EngineNotes {
        self.0.notes.clone()
    }

    /// What the plugins keep, for operators' tools.
    #[must_use]
    pub fn state(&self) -> &Arc<dyn StateStore> {
        &self.0.state
    }
}

/// Epoch ticks after which a call that may take so long is stopped: never early, at most two ticks late.
pub(crate) fn ticks(deadline_ms: u64) -> u64 {
    let tick = u64::try_from(TICK.as_millis()).unwrap_or(1);
    deadline_ms.div_ceil(tick).saturating_add(1)
}

/// Settings on which an answer or its fuel depend, and limits of what is compiled at all: the same for both engines.
fn settings() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .memory_init_cow(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .concurrency_support(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(None)
        .shared_memory(false)
        .native_unwind_info(false);
    let off = WasmFeatures::THREADS
        | WasmFeatures::SHARED_EVERYTHING_THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::GC
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::STACK_SWITCHING
        | WasmFeatures::CM_ASYNC;
    config.wasm_features(off, false);
    config
}

fn calls(config: &EngineConfig) -> Result<(wasmtime::Engine, EngineNotes), EngineError> {
    let notes = |pooling, pagemap_scan, missing| EngineNotes { wasmtime: WASMTIME, pooling, pagemap_scan, missing };
    let build = |strategy: InstanceAllocationStrategy| {
        wasmtime::Engine::new(settings().allocation_strategy(strategy)).map_err(|error| format!("{error:#}"))
    };
    let scan = match build(InstanceAllocationStrategy::Pooling(pool(config, Enabled::Yes))) {
        Ok(engine) => return Ok((engine, notes(true, true, None))),
        Err(error) => error,
    };
    let pooling = match build(InstanceAllocationStrategy::Pooling(pool(config, Enabled::No))) {
        Ok(engine) => return Ok((engine, notes(true, false, Some(scan)))),
        Err(error) => error,
    };
    let engine = build(InstanceAllocationStrategy::OnDemand).map_err(EngineError::Wasmtime)?;
    Ok((engine, notes(false, false, Some(pooling))))
}

fn pool(config: &EngineConfig, scan: Enabled) -> PoolingAllocationConfig {
    let Places { components, core_instances, memories, tables } = Places::of(config.slots);
    let instances = u32::try_from(MAX_INSTANCES).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.pagemap_scan(scan)
        .linear_memory_keep_resident(config.keep_resident)
        .table_keep_resident(config.keep_resident)
        .max_unused_warm_slots(components)
        .total_component_instances(components)
        .total_core_instances(core_instances)
        .total_memories(memories)
        .total_tables(tables)
        .total_stacks(components)
        .max_core_instances_per_component(instances)
        .max_memories_per_component(20)
        .max_tables_per_component(50)
        .max_tables_per_module(8)
        .max_component_instance_size(4 * 1024 * 1024)
        .max_core_instance_size(4 * 1024 * 1024)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(MAX_MEMORY);
    pool
}

fn start_ticker(engines: Vec<wasmtime::EngineWeak>) -> Result<Sender<()>, EngineError> {
    let (alive, ended): (Sender<()>, Receiver<()>) = channel();
    let tick = move || {
        while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            for engine in engines.iter().filter_map(wasmtime::EngineWeak::upgrade) {
                engine.increment_epoch();
            }
        }
    };
    let thread = std::thread::Builder::new().name("plugin-epoch".to_owned()).spawn(tick);
    thread.map(|_| alive).map_err(|error| EngineError::Thread(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_version_is_the_one_in_the_lock_file() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME}\"\n")));
    }

    #[test]
    fn a_deadline_is_never_early() {
        assert_eq!((ticks(1), ticks(5), ticks(100)), (2, 2, 21));
    }
}
