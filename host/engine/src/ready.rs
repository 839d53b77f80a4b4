//! Instances that are made before a call wants them.
//!
//! Where a configured memory cannot be kept as a snapshot, `configure` would run in every call; and large interpreters take
//! longer to start than to answer. So some instances are made ahead of time, by a thread of the engine, off the path of
//! calls. Each is used for one call and dropped, unless its pipeline allows more.
//!
//! An instance that was made ahead answers as a fresh one would, and for the same fuel: what starting it took is counted to
//! the call that uses it, and no time or call is known before.
//!
//! What waits takes places of the pool that calls need. So no more than a quarter of the pool waits, nothing waits for a plugin
//! that is not in use any more, and a call that finds no place gets that of an instance that waits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use serde::{Deserialize, Serialize};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::call::CallState;
use crate::plugin;
use crate::pool::{Pool, WHOLE};

/// Most instances of one plugin that wait; more are not taken from the configuration.
pub const MAX_AHEAD: u16 = 64;
/// Most calls of one instance.
pub const MAX_REUSE: u32 = 100_000;
/// Plugins that can wait for their turn to be filled; more are filled at their next call.
const MAX_ASKED: usize = 1024;
/// Instances that wait where the pipeline does not say how many and the configuration cannot be kept.
const DEFAULT_AHEAD: u16 = 4;
/// Part of the pool that waiting instances of all plugins take at most.
const MOST_WAITING: usize = WHOLE / 4;
/// Part of the pool that may be taken, by calls and what waits, for more to be made ahead: the rest is for calls.
const MOST_USED: usize = WHOLE / 4 * 3;

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
    /// What one takes of the pool.
    share: usize,
    /// Whether the engine has been asked to fill it.
    asked: AtomicBool,
    /// Whether nothing may wait here.
    closed: AtomicBool,
    /// How many have put the plugin to use and did not retire it yet. Not touched by calls.
    users: Mutex<usize>,
    filler: Filler,
}

impl Ready {
    /// Waiting places as a pipeline wants them; none if nothing is to wait. `kept` is whether the configured memory is, `share`
    /// what an instance takes of the pool.
    pub(crate) fn new(wanted: Instances, kept: bool, share: usize, filler: &Filler) -> Option<Self> {
        let ahead = usize::from(wanted.ahead.unwrap_or(if kept { 0 } else { DEFAULT_AHEAD }).min(MAX_AHEAD));
        let reuse = wanted.reuse.clamp(1, MAX_REUSE);
        // What comes back from a call needs a place, too.
        let places = if reuse > 1 { ahead.max(usize::from(DEFAULT_AHEAD)) } else { ahead };
        let waiting = (places > 0).then(|| ArrayQueue::new(places))?;
        Some(Self {
            waiting,
            ahead,
            reuse,
            share,
            asked: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            users: Mutex::new(0),
            filler: filler.clone(),
        })
    }

    /// One that waits, if there is one.
    pub(crate) fn take(&self) -> Option<Made> {
        let made = self.waiting.pop()?;
        self.filler.0.taken.fetch_sub(self.share, Ordering::Relaxed);
        Some(made)
    }

    /// Lets one wait; it is dropped if there is no room, or nothing is to wait here any more.
    pub(crate) fn put(&self, made: Made) {
        // Counted first: a taker may be faster than this thread.
        if self.closed.load(Ordering::Relaxed) || !self.filler.reserve(self.share) {
            return;
        }
        if self.waiting.push(made).is_err() {
            self.filler.0.taken.fetch_sub(self.share, Ordering::Relaxed);
        }
        // Whoever closed it meanwhile may not have seen this one.
        if self.closed.load(Ordering::SeqCst) {
            self.empty();
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether more should be made.
    fn wants(&self) -> bool {
        self.waiting.len() < self.ahead && !self.closed.load(Ordering::Relaxed)
    }

    /// Asks the engine to fill it, unless that is asked already. Never waits.
    pub(crate) fn ask(&self, plugin: &Arc<plugin::Inner>) {
        if self.wants() && !self.asked.swap(true, Ordering::AcqRel) && !self.filler.ask(Arc::downgrade(plugin)) {
            self.asked.store(false, Ordering::Release);
        }
    }

    /// One more puts it to use.
    pub(crate) fn employ(&self, plugin: &Arc<plugin::Inner>) {
        let mut users = self.users();
        *users += 1;
        self.closed.store(false, Ordering::SeqCst);
        drop(users);
        self.ask(plugin);
    }

    /// One no longer does. After the last one nothing waits here until somebody puts it to use.
    pub(crate) fn retire(&self, plugin: &Arc<plugin::Inner>) {
        let mut users = self.users();
        *users = users.saturating_sub(1);
        if *users > 0 {
            drop(users);
            // Whoever warmed it goes when what it takes the place of is gone: there may be room now.
            self.ask(plugin);
            return;
        }
        self.closed.store(true, Ordering::SeqCst);
        drop(users);
        self.empty();
    }

    fn users(&self) -> MutexGuard<'_, usize> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn empty(&self) {
        while self.take().is_some() {}
    }

    /// Makes one, if one is missing, and asks for the next turn: plugins are filled in turns. Runs on the engine's own thread.
    fn fill(&self, plugin: &Arc<plugin::Inner>) {
        self.asked.store(false, Ordering::Release);
        if self.add(plugin) {
            self.ask(plugin);
        }
    }

    /// Makes all that are missing, beside the engine's thread, as long as it is not later than this.
    pub(crate) fn fill_until(&self, plugin: &plugin::Inner, latest: Instant) {
        for _ in 0..self.ahead {
            if Instant::now() >= latest || !self.add(plugin) {
                return;
            }
        }
    }

    /// Makes one, if one is missing and the engine has room.
    fn add(&self, plugin: &plugin::Inner) -> bool {
        if !self.wants() || !self.has_room() {
            return false;
        }
        match plugin.make_now() {
            Ok(made) => {
                self.put(made);
                true
            }
            Err(fault) => {
                // The next call tries for itself, and says what is wrong.
                tracing::debug!(code = fault.code(), "an instance could not be made ahead of time");
                false
            }
        }
    }

    /// Whether one more may wait. One for each plugin comes before a second one of any.
    fn has_room(&self) -> bool {
        let filler = &self.filler;
        let room = || filler.has_room(self.share);
        room() || (self.waiting() == 0 && filler.give_way(2) && room())
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.empty();
    }
}

/// The thread that makes instances; it ends with the engine.
#[derive(Clone)]
pub(crate) struct Filler(Arc<Shared>);

struct Shared {
    asks: SyncSender<Weak<plugin::Inner>>,
    pool: Pool,
    /// What waiting instances of all plugins take of the pool.
    taken: AtomicUsize,
    /// Plugins of which instances may wait. Not touched by calls that find a place.
    plugins: Mutex<Vec<Weak<plugin::Inner>>>,
}

impl Filler {
    /// Starts the thread.
    pub(crate) fn start(pool: Pool) -> std::io::Result<Self> {
        let (filler, asked) = Self::idle(pool);
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
        Ok(filler)
    }

    /// One without a thread, and what it is asked.
    fn idle(pool: Pool) -> (Self, Receiver<Weak<plugin::Inner>>) {
        let (asks, asked) = sync_channel(MAX_ASKED);
        let (taken, plugins) = (AtomicUsize::new(0), Mutex::default());
        (Self(Arc::new(Shared { asks, pool, taken, plugins })), asked)
    }

    /// Gets to know a plugin of which instances may wait.
    pub(crate) fn know(&self, plugin: &Arc<plugin::Inner>) {
        let mut plugins = self.plugins();
        plugins.retain(|plugin| plugin.strong_count() > 0);
        plugins.push(Arc::downgrade(plugin));
    }

    /// Drops an instance that waits, of the plugin whose waiting instances take most; it must have so many. False if there is
    /// none.
    pub(crate) fn give_way(&self, at_least: usize) -> bool {
        let plugins: Vec<_> = self.plugins().iter().filter_map(Weak::upgrade).collect();
        let ready = plugins.iter().filter_map(|plugin| plugin.ready.as_ref());
        let most = ready.filter(|ready| ready.waiting() >= at_least).max_by_key(|ready| ready.waiting() * ready.share);
        most.is_some_and(|ready| ready.take().is_some())
    }

    fn plugins(&self) -> MutexGuard<'_, Vec<Weak<plugin::Inner>>> {
        self.0.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, plugin: Weak<plugin::Inner>) -> bool {
        self.0.asks.try_send(plugin).is_ok()
    }

    /// Takes so much of what may wait. However large it is, one instance may.
    fn reserve(&self, share: usize) -> bool {
        let add = |taken| fits(taken, share).then(|| taken + share);
        self.0.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn has_room(&self, share: usize) -> bool {
        let taken = self.0.taken.load(Ordering::Relaxed);
        let used = self.0.pool.used();
        fits(taken, share) && (used == 0 || used.saturating_add(share) <= MOST_USED)
    }
}

fn fits(taken: usize, share: usize) -> bool {
    taken == 0 || taken.saturating_add(share) <= MOST_WAITING
}

#[cfg(test)]
mod tests;
