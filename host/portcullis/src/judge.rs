//! The pipelines of all tenants as the gateway's judge.

use std::sync::Arc;

use portcullis_gateway::ports::{
    CandidateView, ChangeView, DifferenceView, GenerationView, Judge, PastView, PluginDifferenceView, PluginView,
};
use portcullis_model::{Call, Digest, Judgement, Mode};
use portcullis_pipeline::{
    Candidate, Change, Difference, Generation, GenerationSummary, Generations, Past, PluginSummary, What,
};
use serde_json::{Value, json};

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

    fn serves(&self, tenant: &str, generation: Digest) -> bool {
        self.0.serves(tenant, generation)
    }

    fn generations(&self, tenant: Option<&str>) -> Vec<GenerationView> {
        views(&self.0, tenant)
    }
}

/// What is live, as the API shows it; of one tenant only if `tenant` names it.
pub(crate) fn views(generations: &Generations, tenant: Option<&str>) -> Vec<GenerationView> {
    let all = match tenant {
        Some(tenant) => generations.current(tenant).into_iter().collect(),
        None => generations.all(),
    };
    all.iter()
        .filter_map(|generation| Some(view(generation, &generations.in_force(generation.tenant())?, generations)))
        .collect()
}

fn view(generation: &Generation, past: &Past, generations: &Generations) -> GenerationView {
    let GenerationSummary { tenant, generation, mode, plugins, .. } = generation.summary();
    GenerationView {
        mode,
        generation,
        configured: generations.configured(&tenant).unwrap_or(generation),
        activated_ms: past.activation.at_ms,
        by: Arc::clone(&past.activation.by),
        why: past.activation.why.as_str(),
        candidate: generations
            .candidate(&tenant)
            .map(|candidate| CandidateView { generation: candidate.id(), standing: candidate.standing().as_str() }),
        plugins: plugins.into_iter().map(plugin).collect(),
        tenant,
    }
}

/// A plugin's name, and its tier if that is another than most have.
pub(crate) fn named(plugin: &PluginView) -> String {
    match plugin.tier.as_str() {
        "sealed" => plugin.name.to_string(),
        tier => format!("{} ({tier})", plugin.name),
    }
}

/// The generation in force and those kept before it, latest first.
pub(crate) fn history(generations: &Generations, tenant: &str) -> Vec<PastView> {
    let current = generations.current(tenant).map(|current| current.id());
    generations.history(tenant).into_iter().map(|past| past_view(past, current)).collect()
}

fn past_view(past: Past, current: Option<Digest>) -> PastView {
    let GenerationSummary { generation, plugins, .. } = past.generation.summary();
    PastView {
        generation,
        current: current == Some(generation),
        configured: past.configured,
        activated_ms: past.activation.at_ms,
        by: past.activation.by,
        why: past.activation.why.as_str(),
        from: past.from,
        plugins: plugins.into_iter().map(plugin).collect(),
    }
}

/// A generation that is tried, how, and what came of it, as the API shows it.
pub(crate) fn trial_view(candidate: &Candidate, beside: Digest) -> Value {
    let (own, live) = candidate.figures();
    let plugins: Vec<PluginView> = candidate.generation().summary().plugins.into_iter().map(plugin).collect();
    json!({
        "generation": candidate.id(),
        "beside": beside,
        "standing": candidate.standing(),
        "trial": candidate.trial(),
        "evidence": candidate.evidence(),
        "canary": own,
        "live": live,
        "report": candidate.report(),
        "plugins": plugins,
    })
}

pub(crate) fn difference_view(difference: Difference) -> DifferenceView {
    let changes = |changes: Vec<Change>| changes.into_iter().map(|Change { at, from, to }| ChangeView { at, from, to });
    let plugins = difference.plugins.into_iter().map(|one| PluginDifferenceView {
        plugin: one.plugin,
        what: match one.what {
            What::Added => "added",
            What::Removed => "removed",
            What::Changed => "changed",
        },
        changes: changes(one.changes).collect(),
        more: one.more,
    });
    DifferenceView {
        from: difference.from,
        to: difference.to,
        changes: changes(difference.changes).collect(),
        plugins: plugins.collect(),
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
        quarantined: summary.quarantined,
        quarantines: summary.quarantines,
        skipped: summary.skipped,
    }
}
