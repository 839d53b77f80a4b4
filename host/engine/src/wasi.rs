//! WASI for guests whose language runtime needs it, with everything denied.
//!
//! No files, no network, no environment, no arguments; output is thrown away; random bytes come from a fixed stream; the
//! clocks stand still, at the time of the call if `clock` is granted and there is a call. Nothing waits: whatever is polled is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll::HostPollable as _;
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

use crate::call::{CallState, Wasi};

/// Packages that are linked, in any 0.2 version.
const PACKAGES: &[&str] = &["cli", "clocks", "filesystem", "io", "random", "sockets"];
/// 2000-01-01 in milliseconds: what the clock shows when it is not granted. Some runtimes do not start at 0.
const STANDING_STILL: u64 = 946_684_800_000;
/// Most handles a guest may hold.
const MAX_HANDLES: usize = 4096;
/// The interface that waits, under the version that wasmtime-wasi links; guests of other 0.2 versions get it too.
const POLL: &str = "wasi:io/poll@0.2.12";
/// Most random bytes of one call to the host.
const MAX_RANDOM: u64 = 64 * 1024;

type Data<'a> = StoreContextMut<'a, CallState>;
type Pollable = Resource<DynPollable>;

/// Whether an import is one of the WASI interfaces that can be linked.
pub(crate) fn offers(import: &str) -> bool {
    let parts = import.strip_prefix("wasi:").and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(package, interface)| PACKAGES.contains(&package) && interface.contains("@0.2."))
}

pub(crate) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    // Waiting would hold the thread, and no deadline could end it.
    linker.allow_shadowing(true);
    let mut poll = linker.instance(POLL)?;
    poll.resource("pollable", ResourceType::host::<DynPollable>(), |mut store, handle| {
        store.data_mut().ctx().table.drop(Resource::new_own(handle))
    })?;
    poll.func_wrap("[method]pollable.block", |mut store: Data<'_>, (_,): (Pollable,)| {
        store.data_mut().enter()?;
        Ok(())
    })?;
    poll.func_wrap("[method]pollable.ready", |mut store: Data<'_>, (_,): (Pollable,)| {
        store.data_mut().enter()?;
        Ok((true,))
    })?;
    poll.func_wrap("poll", |mut store: Data<'_>, (list,): (Vec<Pollable>,)| {
        store.data_mut().enter()?;
        Ok((list.iter().zip(0..).map(|(_, position)| position).collect::<Vec<u32>>(),))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The context of one instance, whose clocks stand still.
pub(crate) fn context() -> Wasi {
    let time = Arc::new(AtomicU64::new(STANDING_STILL));
    let still = Still(Arc::clone(&time));
    let context = WasiCtx::builder()
        .allow_blocking_current_thread(true)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .secure_random(stream())
        .insecure_random(stream())
        .insecure_random_seed(0)
        .max_random_size(MAX_RANDOM)
        .wall_clock(still.clone())
        .monotonic_clock(still)
        .build();
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_HANDLES);
    Wasi { context, table, time }
}

/// The same bytes in every call.
fn stream() -> Deterministic {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    Deterministic::new(bytes.take(128).flatten().collect())
}

#[derive(Clone)]
struct Still(Arc<AtomicU64>);

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // Only components with WASI imports come here, and those have a context from the start.
        let wasi = self.wasi.get_or_insert_with(|| Box::new(context()));
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_packages_of_wasi_0_2_are_offered() {
        assert!(offers("wasi:io/streams@0.2.9") && offers("wasi:cli/environment@0.2.12"));
        for import in ["wasi:http/types@0.2.0", "wasi:io/streams@0.3.0", "wasi:io", "other:io/streams@0.2.0"] {
            assert!(!offers(import), "{import}");
        }
    }
}
