//! The pipelines of all tenants as the gateway's judge.

use std::sync::Arc;

use portcullis_gateway::ports::{GenerationView, Judge, PluginView};
use portcullis_model::{Call, Judgement, Mode};
use portcullis_pipeline::{Generation, GenerationSummary, Generations, PluginSummary};

/// What stands behind the gateway's [`Judge`].
pub(crate) struct Pipelines(pub Arc<Generations>);

impl Judge for Pipelines {
    fn judge(&self, call: &Call) -> Option<Judgement> {
        self.0.judge(call)
    }

    fn judge_at_once(&self, call: &Call) -> Option<Option<Judgement>> {
        self.0.judge_at_once(call)
    }

    fn waits(&self, call: &Call) -> bool {
        self.0.waits(call)
    }

    fn mode(&self, tenant: &str) -> Option<Mode> {
        self.0.current(tenant).map(|generation| generation.mode())
    }

    fn generations(&self, tenant: Option<&str>) -> Vec<GenerationView> {
        views(&self.0, tenant)
    }
}

/// What is live, as the API shows it; of one tenant only if `tenant` names it.
pub(crate) fn views(generations: &Generations, tenant: Option<&str>) -> Vec<GenerationView> {
    match tenant {
        Some(tenant) => generations.current(tenant).iter().map(view).collect(),
        None => generations.all().iter().map(view).collect(),
    }
}

fn view(generation: &Arc<Generation>) -> GenerationView {
    let GenerationSummary { tenant, generation, mode, plugins, .. } = generation.summary();
    GenerationView { tenant, generation, mode, plugins: plugins.into_iter().map(plugin).collect() }
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
