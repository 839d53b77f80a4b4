//! Which generation is in force: going back, and what is told of plugins.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use portcullis_gateway::events::Events;
use portcullis_gateway::gate::now_ms;
use portcullis_gateway::metrics::Metrics;
use portcullis_gateway::ports::{Step, StepError, Stepped, Who};
use portcullis_ledger::{Attachment, Ledger, Record};
use portcullis_model::{Digest, Draft};
use portcullis_pipeline::{Activation, Generation, Listener, News, Notice, Past, Turn, Warmed, Why};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use tokio::sync::mpsc::UnboundedSender;

use crate::host::{Host, activation};
use crate::judge::{named, views};
use crate::trials::{Withdrawal, entry};

/// Keys of records about tenants where an operator went back start with this; the number is the version of their form.
const RECORDS: &str = "generations/1/";
/// For as long, at most, instances are made of what an operator puts in force.
const HURRY: Duration = Duration::from_secs(1);
/// The end of a note about a generation that is in force although it is not the configuration's.
pub(crate) const NOT_CONFIGURED: &str = "; not what the configuration says";
/// Who changes pipelines where no operator does.
const OURSELVES: &str = "portcullis";

/// That another generation is in force than the configuration says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub generation: Digest,
    pub by: Arc<str>,
}

impl Held {
    /// What is on record, by tenant. Blocking.
    pub(crate) fn load(ledger: &Ledger) -> Result<HashMap<String, Self>> {
        let mut held = HashMap::new();
        for (key, value) in ledger.records(RECORDS.as_bytes())? {
            let tenant = key.strip_prefix(RECORDS.as_bytes()).map(String::from_utf8_lossy).unwrap_or_default();
            // It only says what to tell people: one that cannot be read is no reason not to start.
            if let Ok(one) = serde_json::from_slice(&value) {
                held.insert(tenant.into_owned(), one);
            }
        }
        Ok(held)
    }

    /// What becomes durable with the entry about an activation; none removes it.
    pub(crate) fn record(tenant: &str, held: Option<&Self>) -> Attachment {
        let value = held.and_then(|held| serde_json::to_vec(held).ok());
        Attachment::Record(Record { key: format!("{RECORDS}{tenant}").into_bytes(), value })
    }
}

/// Who a change of one tenant's pipeline is put down to: nobody of another tenant.
pub(crate) fn author(by: Option<&Who>, tenant: &str) -> Arc<str> {
    by.filter(|by| *by.tenant == *tenant).map_or_else(|| OURSELVES.into(), |by| Arc::clone(&by.name))
}

/// Tells people of plugins that keep failing, or do not any more, and hands on canaries that were withdrawn.
pub(crate) fn listener(metrics: Arc<Metrics>, events: Events, withdrawn: UnboundedSender<Withdrawal>) -> Listener {
    Arc::new(move |notice: &Notice<'_>| {
        let Notice { generation, news } = *notice;
        let tenant = &**generation.tenant();
        let (plugin, turn) = match news {
            News::Plugin { plugin, turn } => (plugin, turn),
            News::Withdrawn(evidence) => {
                metrics.withdrawn(tenant, evidence.bound);
                tracing::error!(
                    tenant,
                    generation = %generation.id(),
                    "the canary is withdrawn, all calls are judged by the generation in force: {}",
                    evidence.line()
                );
                events.candidate(tenant, generation.id(), "withdrawn");
                // At most one of each candidate. It fails when the server ends.
                let _sent = withdrawn.send(Withdrawal { entry: entry(generation), why: evidence.line() });
                return;
            }
        };
        let state = match turn {
            Turn::Quarantined => {
                metrics.quarantined(tenant, plugin);
                tracing::error!(
                    tenant,
                    plugin,
                    generation = %generation.id(),
                    "the plugin keeps failing and is not asked for now; its fail mode counts instead"
                );
                "quarantined"
            }
            Turn::Recovered => {
                tracing::info!(tenant, plugin, generation = %generation.id(), "the plugin answers again");
                "recovered"
            }
        };
        events.plugin(tenant, generation.id(), plugin, state);
    })
}

impl Host {
    /// Puts generations in force, each as soon as that is on record; those that were are so also if a later one cannot be
    /// recorded. Other tenants keep theirs, and so does a tenant where an operator went back, as long as its configuration says
    /// the same as then and both generations are still `allowed`.
    pub(crate) async fn activate(
        &self,
        fresh: &[Arc<Generation>],
        by: Option<&Who>,
        why: Why,
        allowed: impl Fn(&Generation) -> bool,
    ) -> Result<()> {
        let held = if why == Why::Start { Held::load(&self.ledger)? } else { HashMap::new() };
        for generation in fresh {
            let (tenant, id) = (generation.tenant(), generation.id());
            let current = self.generations.current(tenant);
            let old = current.as_ref().map(|old| old.id());
            let configured = self.generations.configured(tenant);
            let activation = Activation { at_ms: now_ms(), by: author(by, tenant), why };
            if old == Some(id) {
                self.generations.activate(generation, activation);
                self.generations.configure(tenant, id);
                continue;
            }
            let stays = current.is_some_and(|current| allowed(&current) && allowed(generation));
            if stays && configured == Some(id) {
                tracing::info!(
                    tenant = &**tenant,
                    "the configuration is as before, so the generation that an operator put in force stays"
                );
                continue;
            }
            let mut note = note(why, old);
            let given_up = held.get(&**tenant).filter(|held| held.generation != id);
            if let Some(held) = given_up {
                note = format!("{note}; {} had put {} in force, until this start", held.by, held.generation);
            } else if old.is_some() && configured != old {
                note = format!("{note}; the configuration changed, so it counts again");
            }
            if given_up.is_some() || (old.is_some() && configured != old) {
                tracing::warn!(
                    tenant = &**tenant,
                    generation = %id,
                    "what the configuration says takes the place of the generation that an operator had put in force"
                );
            }
            let entry = Draft { agent: Arc::clone(&activation.by), note: Some(note), ..self::activation(generation) };
            self.ledger.append_with(entry, vec![Held::record(tenant, None)]).await?;
            self.generations.activate(generation, activation);
            self.generations.configure(tenant, id);
            self.tell(tenant, why);
        }
        Ok(())
    }

    /// Records that another kept generation is put in force, and does so.
    pub(crate) async fn step(self: &Arc<Self>, step: Step, turn: OwnedMutexGuard<()>) -> Result<Stepped, StepError> {
        let Step { by, to, from: expected } = step;
        let history = self.generations.history(&by.tenant);
        let from = history.first().ok_or(StepError::Nothing)?.generation.id();
        if expected.is_some_and(|expected| expected != from) {
            return Err(StepError::Changed(from));
        }
        let (to, why) = match to {
            Some(id) => {
                (history.iter().find(|past| past.generation.id() == id).ok_or(StepError::Unknown)?, Why::Activate)
            }
            None => (history.get(1).ok_or(StepError::Nothing)?, Why::Rollback),
        };
        let Past { generation, configured, .. } = to.clone();
        let to = generation.id();
        if to == from {
            return Err(StepError::Current);
        }
        let host = Arc::clone(self);
        // A task of its own: what is recorded comes into effect, whether or not anybody still waits. The turn goes with it.
        let change = async move {
            let _turn = turn;
            let _warmed = warmed(&generation).await;
            let held = Held { generation: to, by: Arc::clone(&by.name) };
            let record = Held::record(&by.tenant, Some(&held).filter(|_| !configured));
            let mut note = note(why, Some(from));
            if !configured {
                note.push_str(NOT_CONFIGURED);
            }
            let entry = Draft { agent: Arc::clone(&by.name), note: Some(note), ..activation(&generation) };
            let appended = host.ledger.append_with(entry, vec![record]).await;
            appended.map_err(|error| StepError::Unavailable(error.to_string()))?;
            let activation = Activation { at_ms: now_ms(), by: Arc::clone(&by.name), why };
            host.generations.activate(&generation, activation);
            host.end_needless_trial(&by.tenant);
            host.tell(&by.tenant, why);
            Ok(Stepped { from, to, generations: views(&host.generations, Some(&by.tenant)) })
        };
        tokio::spawn(change).await.map_err(|error| StepError::Unavailable(error.to_string()))?
    }

    /// Tells people which generation of a tenant is in force.
    pub(crate) fn tell(&self, tenant: &str, why: Why) {
        self.gate.metrics().activated(tenant, why.as_str());
        for view in views(&self.generations, Some(tenant)) {
            let plugins: Vec<_> = view.plugins.iter().map(named).collect();
            let plugins = plugins.join(", ");
            tracing::info!(
                tenant,
                generation = %view.generation,
                by = &*view.by,
                why = view.why,
                plugins,
                "generation activated"
            );
            self.gate.events().generation(&view);
        }
    }
}

/// Makes ready what comes back into force, but not for long: whoever goes back is in a hurry.
pub(crate) async fn warmed(generation: &Arc<Generation>) -> Option<Warmed> {
    let (generation, latest) = (Arc::clone(generation), Instant::now() + HURRY);
    let warming = tokio::task::spawn_blocking(move || generation.warm(latest));
    // Also where calls hold all threads, perhaps just because of what is in force. What is not ready then, the first calls make.
    tokio::time::timeout(HURRY, warming).await.ok()?.ok()
}

/// One line of the ledger about an activation.
pub(crate) fn note(why: Why, old: Option<Digest>) -> String {
    match old {
        Some(old) => format!("{}; from {old}", why.as_str()),
        None if why == Why::Start => "at start".to_owned(),
        None => format!("{}; the tenant is new", why.as_str()),
    }
}
