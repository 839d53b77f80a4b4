//! What plugins were told, kept with the entry for tenants that ask for it: whoever wants to run a call again needs it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_ledger::Attachment;
use portcullis_model::PluginRun;

use crate::metrics::Metrics;
use crate::outside::Meter;

/// What a tenant keeps of what its plugins were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// How long.
    pub keep: Duration,
    /// Most that are kept at a time.
    pub most: u64,
    /// Most bytes of one; a longer one is not kept.
    pub bytes: usize,
}

/// Which tenants keep what their plugins were told.
pub struct Transcripts {
    tenants: ArcSwap<HashMap<Arc<str>, Keeping>>,
    /// Counts over restarts, so that the bound holds.
    meter: Arc<dyn Meter>,
}

impl fmt::Debug for Transcripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcripts").field("tenants", &self.tenants).finish_non_exhaustive()
    }
}

impl Transcripts {
    /// No tenant keeps any.
    #[must_use]
    pub fn new(meter: Arc<dyn Meter>) -> Self {
        Self { tenants: ArcSwap::default(), meter }
    }

    /// From here on these tenants do, and no others.
    pub fn replace(&self, tenants: HashMap<Arc<str>, Keeping>) {
        self.tenants.store(Arc::new(tenants));
    }

    /// What is written with the entry about these runs.
    pub(super) fn keep(&self, tenant: &str, runs: &[PluginRun], metrics: &Metrics) -> Vec<Attachment> {
        // Nearly all runs are told nothing.
        if runs.iter().all(|run| run.answers.is_none()) {
            return Vec::new();
        }
        let tenants = self.tenants.load();
        let Some((tenant, keeping)) = tenants.get_key_value(tenant) else { return Vec::new() };
        let mut kept = Vec::new();
        for run in runs {
            let Some(digest) = run.answers else { continue };
            let outcome = match run.told.as_ref().filter(|told| told.len() <= keeping.bytes) {
                None => "too_large",
                Some(_) if !self.has_room(tenant, keeping) => "too_many",
                Some(told) => {
                    kept.push(Attachment::Told { digest, told: Arc::clone(told), ttl: keeping.keep });
                    "kept"
                }
            };
            metrics.transcript(tenant, outcome);
        }
        kept
    }

    fn has_room(&self, tenant: &str, keeping: &Keeping) -> bool {
        let window = u32::try_from(keeping.keep.as_secs()).unwrap_or(u32::MAX).max(1);
        // What is refused is not counted, or there would be no room ever again.
        let count = |by| self.meter.add(tenant, "answers", by, window);
        count(0).is_ok_and(|kept| kept < keeping.most) && count(1).is_ok_and(|kept| kept <= keeping.most)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use portcullis_model::{Digest, Role};

    use super::*;

    #[derive(Default)]
    struct Counter(Mutex<u64>);

    impl Meter for Counter {
        fn add(&self, tenant: &str, what: &str, by: u64, window_seconds: u32) -> Result<u64, String> {
            assert_eq!((tenant, what, window_seconds), ("acme", "answers", 3600));
            let mut count = self.0.lock().unwrap();
            *count += by;
            Ok(*count)
        }
    }

    fn run(told: Option<&str>) -> PluginRun {
        PluginRun {
            name: "p".into(),
            role: Role::Detector,
            digest: Digest::of(b"p"),
            fuel: 1,
            micros: 1,
            memory: 0,
            fault: None,
            answers: Some(told.map_or(Digest::of(b"long"), |told| Digest::of(told.as_bytes()))),
            told: told.map(Into::into),
        }
    }

    #[test]
    fn a_tenant_keeps_so_many_of_such_a_length_and_others_keep_none() {
        let metrics = Metrics::new();
        let transcripts = Transcripts::new(Arc::new(Counter::default()));
        let one = [run(Some("12345678"))];
        assert!(transcripts.keep("acme", &one, &metrics).is_empty(), "nobody asked for it");
        let keeping = Keeping { keep: Duration::from_secs(3600), most: 3, bytes: 8 };
        transcripts.replace(HashMap::from([("acme".into(), keeping)]));
        assert!(transcripts.keep("globex", &one, &metrics).is_empty());
        let quiet = PluginRun { answers: None, ..run(None) };
        let runs = [run(Some("12345678")), run(Some("123456789")), run(None), quiet, run(Some("1"))];
        let kept = transcripts.keep("acme", &runs, &metrics);
        let digests: Vec<_> = kept
            .iter()
            .map(|kept| match kept {
                Attachment::Told { digest, told, ttl } => {
                    assert_eq!((*digest, ttl.as_secs()), (Digest::of(told.as_bytes()), 3600));
                    &**told
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(digests, ["12345678", "1"]);
        assert_eq!(transcripts.keep("acme", &runs, &metrics).len(), 1, "there is room for one more");
        assert!(transcripts.keep("acme", &runs, &metrics).is_empty());
    }
}
