//! Instances that are made before a call wants them.
//!
//! Where a configured memory cannot be kept as a snapshot, `configure` would run in every call; and large interpreters take
//! longer to start than to answer. So some instances are made ahead of time, by a thread of the engine, off the path of
//! calls. Each is used for one call and dropped, unless its pipeline allows more.
//!
//! An instance that was made ahead answers as a fresh one would, and for the same fuel: what starting it took is counted to
//! the call that uses it, and no time or call is known before.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};

use crossbeam_queue::ArrayQueue;
use serde::{Deserialize, Serialize};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::call::CallState;
use crate::plugin;

/// Most instances of one plugin that wait; more are not taken from the configuration.
pub const MAX_AHEAD: u16 = 64;
/// Most calls of one instance.
pub const MAX_REUSE: u32 = 100_000;
/// Plugins that can wait for their turn to be filled; more are filled at their next call.
const MAX_ASKED: usize = 1024;
/// Instances that wait where the pipeline does not say how many and the configuration cannot be kept.
const DEFAULT_AHEAD: u16 = 4;

/// How the instances of one plugin are made and used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Instances {
    /// How many are made ahead of calls, at most 64. None: 4 where the configured memory cannot be kept, else 0.
    pub ahead: Option<u16>,
    /// Calls that one instance answers, at most 100,000. 1: each call has an instance of its own. More: what a call leaves in
    /// memory is there in the next one of this plugin in this tenant, and fuel is no longer the same at each replay.
    pub reuse: u32,
}

impl Default for Instances {
    fn default() -> Self {
        Self { ahead: None, reuse: 1 }
    }
}

/// An instance that waits for a call.
pub(crate) struct Made {
    pub(crate) store: Store<CallState>,
    pub(crate) instance: Instance,
    /// What starting it took of a call's fuel.
    pub(crate) fuel: u64,
    /// Calls that it has answered.
    pub(crate) calls: u32,
}

/// The waiting instances of one plugin.
pub(crate) struct Ready {
    waiting: ArrayQueue<Made>,
    /// How many are kept.
    ahead: usize,
    /// Calls of one instance.
    pub(crate) reuse: u32,
    /// Whether the engine has been asked to fill it.
    asked: AtomicBool,
    filler: Filler,
}

impl Ready {
    /// Waiting places as a pipeline wants them; none if nothing is to wait. `kept` is whether the configured memory is.
    pub(crate) fn new(wanted: Instances, kept: bool, filler: &Filler) -> Option<Self> {
        let ahead = usize::from(wanted.ahead.unwrap_or(if kept { 0 } else { DEFAULT_AHEAD }).min(MAX_AHEAD));
        let reuse = wanted.reuse.clamp(1, MAX_REUSE);
        // What comes back from a call needs a place, too.
        let places = if reuse > 1 { ahead.max(usize::from(DEFAULT_AHEAD)) } else { ahead };
        let waiting = (places > 0).then(|| ArrayQueue::new(places))?;
        Some(Self { waiting, ahead, reuse, asked: AtomicBool::new(false), filler: filler.clone() })
    }

    /// One that waits, if there is one.
    pub(crate) fn take(&self) -> Option<Made> {
        let made = self.waiting.pop()?;
        self.filler.0.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(made)
    }

    /// Lets one wait; it is dropped if there is no room.
    pub(crate) fn put(&self, made: Made) {
        // Counted first: a taker may be faster than this thread.
        self.filler.0.waiting.fetch_add(1, Ordering::Relaxed);
        if self.waiting.push(made).is_err() {
            self.filler.0.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether more should be made.
    fn wants(&self) -> bool {
        self.waiting.len() < self.ahead
    }

    /// Asks the engine to fill it, unless that is asked already. Never waits.
    pub(crate) fn ask(&self, plugin: &Arc<plugin::Inner>) {
        if self.wants() && !self.asked.swap(true, Ordering::AcqRel) && !self.filler.ask(Arc::downgrade(plugin)) {
            self.asked.store(false, Ordering::Release);
        }
    }

    /// Makes what is missing, as far as the engine has room. Runs on the engine's own thread.
    fn fill(&self, plugin: &plugin::Inner) {
        self.asked.store(false, Ordering::Release);
        while self.wants() && self.filler.has_room() {
            match plugin.make() {
                Ok(made) => self.put(made),
                Err(fault) => {
                    // The next call tries for itself, and says what is wrong.
                    tracing::debug!(code = fault.code(), "an instance could not be made ahead of time");
                    return;
                }
            }
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.filler.0.waiting.fetch_sub(self.waiting.len(), Ordering::Relaxed);
    }
}

/// The thread that makes instances; it ends with the engine.
#[derive(Clone)]
pub(crate) struct Filler(Arc<Shared>);

struct Shared {
    asks: SyncSender<Weak<plugin::Inner>>,
    /// Waiting instances of all plugins: each holds a slot of the pool.
    waiting: AtomicUsize,
    most: usize,
}

impl Filler {
    /// Starts the thread; no more than `most` instances wait at a time.
    pub(crate) fn start(most: usize) -> std::io::Result<Self> {
        let (asks, asked): (_, Receiver<Weak<plugin::Inner>>) = sync_channel(MAX_ASKED);
        let work = move || {
            for plugin in asked {
                if let Some(plugin) = plugin.upgrade()
                    && let Some(ready) = &plugin.ready
                {
                    ready.fill(&plugin);
                }
            }
        };
        std::thread::Builder::new().name("plugin-instances".to_owned()).spawn(work)?;
        Ok(Self(Arc::new(Shared { asks, waiting: AtomicUsize::new(0), most })))
    }

    fn ask(&self, plugin: Weak<plugin::Inner>) -> bool {
        self.0.asks.try_send(plugin).is_ok()
    }

    fn has_room(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) < self.0.most
    }
}
