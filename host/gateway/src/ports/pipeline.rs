use std::sync::Arc;

use portcullis_model::{Call, Judgement, Mode};
use portcullis_pipeline::{Generation, GenerationSummary, Generations, PluginSummary};

use super::{GenerationView, Judge, PluginView};

impl Judge for Generations {
    fn judge(&self, call: &Call) -> Option<Judgement> {
        Generations::judge(self, call)
    }

    fn mode(&self, tenant: &str) -> Option<Mode> {
        self.current(tenant).map(|generation| generation.mode())
    }

    fn generations(&self, tenant: Option<&str>) -> Vec<GenerationView> {
        match tenant {
            Some(tenant) => self.current(tenant).iter().map(GenerationView::of).collect(),
            None => self.all().iter().map(GenerationView::of).collect(),
        }
    }
}

impl GenerationView {
    /// What the API shows of a generation.
    #[must_use]
    pub fn of(generation: &Arc<Generation>) -> Self {
        let GenerationSummary { tenant, generation, mode, plugins, .. } = generation.summary();
        Self { tenant, generation, mode, plugins: plugins.into_iter().map(plugin).collect() }
    }
}

fn plugin(summary: PluginSummary) -> PluginView {
    PluginView {
        name: summary.name,
        role: summary.role,
        digest: summary.digest,
        tier: summary.tier.to_owned(),
        prepared: summary.prepared,
        on_failure: summary.on_failure.as_str().to_owned(),
        calls: summary.calls,
        faults: summary.faults,
        last_fault: summary.last_fault.map(str::to_owned),
    }
}
