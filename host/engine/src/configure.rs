//! Runs `configure` once and keeps the configured memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use portcullis_model::Digest;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, Linker};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

use crate::LoadError;
use crate::call::{CallState, Shared, Stop, at_once};
use crate::engine::Inner;
use crate::once::Use;
use crate::plugin::fault_of;

/// Name and type of the export, the same in all three worlds.
pub(crate) const EXPORT: &str = "configure";
pub(crate) type Params<'a> = (&'a str,);
pub(crate) type Answer = (Result<(), String>,);

/// What came of configuring a component.
pub(crate) enum Configured {
    /// A component whose memory is already configured.
    Snapshot {
        bytes: Vec<u8>,
        /// What `configure` read of granted folders: the snapshot depends on it too.
        inputs: Option<Digest>,
    },
    /// It took the configuration, but its memory cannot be kept.
    EachCall {
        /// Why.
        reason: String,
        /// As above.
        inputs: Option<Digest>,
    },
}

/// Larger components are not compiled for each configuration: an interpreter's takes ten seconds, and gains nothing by it.
const MAX_SNAPSHOT: usize = 8 * 1024 * 1024;

/// Whether the memory of this component could be kept; the reason if not.
pub(crate) fn snapshotting(component: &[u8]) -> Result<(), String> {
    small(component)?;
    guarded(|| Wizer::new().instrument_component(component).map(drop))
}

fn small(component: &[u8]) -> Result<(), String> {
    let size = component.len();
    if size > MAX_SNAPSHOT {
        return Err(format!("it has {} MiB, which would be compiled anew for each configuration", size >> 20));
    }
    Ok(())
}

/// Runs `configure` in the workshop and takes the snapshot.
pub(crate) fn configure(
    engine: &Inner,
    linker: &Linker<CallState>,
    shared: &Arc<Shared>,
    file: Digest,
    bytes: &[u8],
    config: &str,
) -> Result<Configured, LoadError> {
    let wizer = Wizer::new();
    let prepared = if engine.snapshots {
        small(bytes).and_then(|()| guarded(|| wizer.instrument_component(bytes)))
    } else {
        Err("this engine keeps no configured memory".to_owned())
    };
    let (plan, instrumented) = match &prepared {
        Ok((plan, instrumented)) => (Ok(plan), instrumented.as_slice()),
        Err(reason) => (Err(reason.clone()), bytes),
    };
    let wanted = if engine.snapshots { Use::Workshop } else { Use::Calls };
    let component = engine.once.get(file, wanted, || engine.compile(&engine.workshop, instrumented))?;
    let limits = &shared.limits;
    let mut store = CallState::new(shared)
        .into_store(&engine.workshop, limits.configure_fuel, limits.configure_deadline_ms)
        .map_err(LoadError::compile)?;
    let pre = linker.instantiate_pre(&component).map_err(LoadError::compile)?;
    let instance = run(&mut store, &pre, config)?;
    let inputs = store.data().inputs;
    let plan = match plan {
        Ok(plan) => plan,
        Err(reason) => return Ok(Configured::EachCall { reason, inputs }),
    };
    // From here on the host reads the memory through small functions of its own; they must not run into a limit.
    store.set_fuel(u64::MAX).map_err(LoadError::compile)?;
    store.set_epoch_deadline(u64::from(u32::MAX));
    store.set_hostcall_fuel(usize::MAX);
    let snapshot = guarded(|| {
        let mut state = WasmtimeWizerComponent { store: &mut store, instance };
        at_once(wizer.snapshot_component(plan, &mut state))
            .unwrap_or_else(|| Err(wasmtime::format_err!("taking the snapshot had to wait")))
    });
    match snapshot {
        Ok(bytes) => Ok(Configured::Snapshot { bytes, inputs }),
        Err(reason) => Ok(Configured::EachCall { reason, inputs }),
    }
}

fn run(store: &mut Store<CallState>, pre: &InstancePre<CallState>, config: &str) -> Result<Instance, LoadError> {
    let waited = || wasmtime::Error::from(Stop::Waited);
    let mut start = || -> wasmtime::Result<(Instance, Result<(), String>)> {
        let instance = at_once(pre.instantiate_async(&mut *store)).unwrap_or_else(|| Err(waited()))?;
        let function = instance.get_typed_func::<Params<'_>, Answer>(&mut *store, EXPORT)?;
        let (answer,) = at_once(function.call_async(&mut *store, (config,))).unwrap_or_else(|| Err(waited()))?;
        Ok((instance, answer))
    };
    match start() {
        Ok((instance, Ok(()))) => Ok(instance),
        Ok((_, Err(said))) => Err(LoadError::Refused(said)),
        Err(error) => Err(LoadError::Configure(fault_of(&error, store.data()))),
    }
}

/// What works on a stranger's bytes may find a case its authors did not think of; that is a reason, not the end of the
/// process.
fn guarded<T>(work: impl FnOnce() -> wasmtime::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(_) => Err("its form is not supported".to_owned()),
    }
}
