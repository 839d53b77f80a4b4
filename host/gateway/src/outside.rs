//! What plugins reach outside: requests to named hosts, with secrets they never see, and questions to language models.
//!
//! A plugin's call runs on a thread that may block; what waits for a network runs on threads of its own, so that neither the
//! server's workers nor its name look-ups ever wait for a plugin. Every request is bounded by what is left of the plugin's
//! time, and how many are under way is bounded for the server and for each tenant.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use crate::metrics::Metrics;

mod judge;
mod requests;
mod scrub;
mod secrets;

pub use judge::{
    AskError, Asking, JudgeApi, JudgeBudget, JudgeCache, JudgeConfigError, JudgeSpec, Judges, Meter, TemplateSpec,
};
pub use requests::{PluginRequest, PluginResponse, RequestError, Requests, RequestsSpec};
pub use secrets::{PlaceholderKey, Secret, SecretError, SecretSpec, Secrets};

/// Threads that look names up and connect.
const WORKERS: usize = 2;
const LOOKUPS: usize = 32;
/// How much longer than its time a request is waited for: it ends by itself.
const GRACE: Duration = Duration::from_millis(250);
/// Tenants without a request under way beyond which they are forgotten.
const IDLE_TENANTS: usize = 64;

/// How many requests of plugins may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CourierLimits {
    /// Of all tenants together.
    pub requests: usize,
    /// Of one tenant.
    pub per_tenant: usize,
}

/// Carries what plugins send. One per process.
pub struct Courier {
    /// Started with the first request; none if it cannot be.
    runtime: OnceLock<Option<Runtime>>,
    limits: CourierLimits,
    common: Arc<Semaphore>,
    /// Taken for a moment by calls that then wait for a network; others never see it.
    tenants: Mutex<HashMap<Arc<str>, Weak<Semaphore>>>,
    metrics: Arc<Metrics>,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotDone {
    /// It was begun, and took too long.
    TimedOut,
    /// There was no place for it in time: nothing was sent.
    NoPlace,
    /// There are no threads for it.
    NoThreads,
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Courier {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(limits: CourierLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            runtime: OnceLock::new(),
            limits,
            common: Arc::new(Semaphore::new(limits.requests)),
            tenants: Mutex::default(),
            metrics,
        })
    }

    /// Does something on the courier's threads and blocks this one until it is done, at most `within`. Waiting for a place
    /// counts.
    fn run<T: Send + 'static>(
        &self,
        tenant: &Arc<str>,
        within: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, NotDone> {
        let runtime = self.runtime.get_or_init(start).as_ref().ok_or(NotDone::NoThreads)?;
        let (common, own) = (Arc::clone(&self.common), self.own(tenant));
        let (tell, told) = sync_channel(1);
        let begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&begun);
        let task = runtime.spawn(async move {
            let done = tokio::time::timeout(within, async move {
                // The tenant's own place first: who waits for it keeps nobody else waiting.
                let _own = own.acquire_owned().await.ok()?;
                let _common = common.acquire_owned().await.ok()?;
                begins.store(true, Ordering::Release);
                Some(work.await)
            });
            // Nobody listens any more if it took too long all the same.
            let _ = tell.try_send(done.await.ok().flatten());
        });
        let done = told.recv_timeout(within.saturating_add(GRACE)).ok().flatten();
        if done.is_none() {
            task.abort();
        }
        let late = || if begun.load(Ordering::Acquire) { NotDone::TimedOut } else { NotDone::NoPlace };
        done.ok_or_else(late)
    }

    fn own(&self, tenant: &Arc<str>) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() > IDLE_TENANTS {
            tenants.retain(|_, own| own.strong_count() > 0);
        }
        let own = tenants.entry(Arc::clone(tenant)).or_default();
        own.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Semaphore::new(self.limits.per_tenant));
            *own = Arc::downgrade(&new);
            new
        })
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        // It may be dropped where waiting is not allowed.
        if let Some(runtime) = self.runtime.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

fn start() -> Option<Runtime> {
    let made = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(LOOKUPS)
        .thread_name("outside")
        .enable_io()
        .enable_time()
        .build();
    made.inspect_err(|error| tracing::error!(%error, "no threads for requests of plugins")).ok()
}
