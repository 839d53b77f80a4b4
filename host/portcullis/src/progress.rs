//! How far a generation is that is being prepared: for people who wait for it, and the log.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_gateway::gate::now_ms;
use portcullis_gateway::ports::PreparingView;

/// A step that takes longer is told in the log as often while it lasts.
const LONG: Duration = Duration::from_secs(10);
/// A step that took longer is told when it ends.
const NOTABLE: Duration = Duration::from_secs(1);

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The configuration is read.
    Reading,
    /// A component is read or fetched.
    Fetching,
    /// Its signatures are checked.
    Verifying,
    /// It is compiled, unless it was before, configured and tried.
    Compiling,
    /// Instances are made of it that wait for the first calls.
    Warming,
    /// All of it is put on record and in force.
    Activating,
}

/// Who looks at it and who works on it share this. One generation is prepared at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Mutex<Option<State>>>);

#[derive(Clone, Debug)]
struct State {
    began: Instant,
    began_ms: u64,
    step: Step,
    step_began: Instant,
    /// Plugins to compile, once that is known, and those that were begun.
    of: usize,
    number: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    phase: Work,
    tenant: Option<Arc<str>>,
    /// Its name, or where it comes from while that is all that is known.
    plugin: Option<Arc<str>>,
}

/// While it lasts, something is being prepared.
pub(crate) struct Under {
    progress: Progress,
    /// The thread that tells of it ends with this.
    _told: Option<Sender<()>>,
}

impl Work {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Fetching => "fetching",
            Self::Verifying => "verifying",
            Self::Compiling => "compiling",
            Self::Warming => "warming",
            Self::Activating => "activating",
        }
    }
}

impl Progress {
    /// From here on something is being prepared.
    pub(crate) fn begin(&self) -> Under {
        let now = Instant::now();
        let step = Step { phase: Work::Reading, tenant: None, plugin: None };
        *self.lock() = Some(State { began: now, began_ms: now_ms(), step, step_began: now, of: 0, number: 0 });
        let (told, ended) = channel();
        let progress = self.clone();
        let tell = move || {
            while ended.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
                progress.tell();
            }
        };
        // Without the thread the log says less, and that is all.
        let told = thread::Builder::new().name("progress".to_owned()).spawn(tell).ok().map(|_| told);
        Under { progress: self.clone(), _told: told }
    }

    /// So many plugins are to be compiled.
    pub(crate) fn plugins(&self, of: usize) {
        if let Some(state) = &mut *self.lock() {
            state.of = of;
        }
    }

    /// The next thing is begun; nothing where nothing is being prepared.
    pub(crate) fn step(&self, phase: Work, tenant: Option<&str>, plugin: Option<&str>) {
        let step = Step { phase, tenant: tenant.map(Into::into), plugin: plugin.map(Into::into) };
        let mut state = self.lock();
        let Some(state) = &mut *state else { return };
        state.number += usize::from(phase == Work::Compiling);
        state.ended();
        (state.step, state.step_began) = (step, Instant::now());
    }

    /// What is being prepared now, and how far it is.
    pub(crate) fn view(&self) -> Option<PreparingView> {
        let state = self.lock().clone()?;
        let ms = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(PreparingView {
            since_ms: state.began_ms,
            took_ms: ms(state.began),
            phase: state.step.phase.as_str(),
            phase_ms: ms(state.step_began),
            tenant: state.step.tenant,
            plugin: state.step.plugin,
            number: state.number,
            of: state.of,
        })
    }

    fn tell(&self) {
        let Some(view) = self.view() else { return };
        let PreparingView { took_ms, phase, phase_ms, tenant, plugin, number, of, .. } = view;
        let (tenant, plugin) = (tenant.as_deref(), plugin.as_deref());
        if Duration::from_millis(phase_ms) >= LONG {
            tracing::info!(phase, tenant, plugin, phase_ms, number, of, took_ms, "a generation is being prepared");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ended(&self) {
        let Step { phase, tenant, plugin } = &self.step;
        let took = self.step_began.elapsed();
        if took >= NOTABLE {
            let (tenant, plugin) = (tenant.as_deref(), plugin.as_deref());
            let (phase, ms) = (phase.as_str(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            tracing::info!(phase, tenant, plugin, ms, number = self.number, of = self.of, "done");
        }
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        if let Some(state) = self.progress.lock().take() {
            state.ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_prepared_is_seen_while_it_lasts() {
        let progress = Progress::default();
        progress.step(Work::Compiling, None, None);
        assert_eq!(progress.view(), None, "nobody began");
        let under = progress.begin();
        assert_eq!(progress.view().unwrap().phase, "reading");
        progress.plugins(2);
        for name in ["first", "second"] {
            progress.step(Work::Compiling, Some("acme"), Some(name));
        }
        let view = progress.view().unwrap();
        let seen = (view.phase, view.tenant.as_deref(), view.plugin.as_deref(), view.number, view.of);
        assert_eq!(seen, ("compiling", Some("acme"), Some("second"), 2, 2));
        drop(under);
        assert_eq!(progress.view(), None);
        let again = progress.begin();
        assert_eq!((progress.view().unwrap().number, progress.view().unwrap().of), (0, 0));
        drop(again);
    }
}
