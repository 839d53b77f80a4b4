//! What happens, as a bounded stream per tenant. Nobody waits for a slow reader: it loses events and is told so.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use portcullis_approvals::{Approval, State};
use portcullis_model::{Call, Decision, Digest, Door, Mode, Phase};
use serde::Serialize;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::gate::{Ruling, now_ms};
use crate::ports::{GenerationView, Owner};
use crate::shares::{Limits, Share, Shares};

/// Events a reader may lag behind before it loses some.
const BACKLOG: usize = 1024;
/// Most readers at once.
const READERS: Limits = Limits { all: 1024, of_tenant: 128, of_caller: 16 };

/// The senders of all tenants that have, or had, a reader.
#[derive(Clone, Default)]
pub struct Events(Arc<Inner>);

struct Inner {
    readers: Shares,
    tenants: RwLock<HashMap<Arc<str>, broadcast::Sender<Bytes>>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { readers: Shares::new(READERS), tenants: RwLock::default() }
    }
}

/// One event; arguments never appear in it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// A call was decided.
    Verdict {
        /// Milliseconds since the Unix epoch.
        time_ms: u64,
        /// Id of the call.
        id: Uuid,
        /// Who made it.
        agent: Arc<str>,
        /// The run of the agent.
        session: Option<Arc<str>>,
        /// The way in.
        door: Door,
        /// What was looked at.
        phase: Phase,
        /// Tool name.
        tool: Arc<str>,
        /// The true verdict.
        verdict: Decision,
        /// Whether it takes effect.
        mode: Mode,
        /// Codes of the reasons.
        reasons: Vec<String>,
        /// Sequence number of the entry.
        entry: u64,
        /// The parked call.
        approval: Option<Uuid>,
    },
    /// A parked call was changed in any way.
    Approval {
        /// Milliseconds since the Unix epoch.
        time_ms: u64,
        /// Id of the approval.
        id: Uuid,
        /// Who made the call.
        agent: Arc<str>,
        /// Tool name.
        tool: Arc<str>,
        /// Where it stands now.
        state: State,
    },
    /// A generation became current.
    Generation {
        /// Milliseconds since the Unix epoch.
        time_ms: u64,
        /// Its name.
        generation: Digest,
        /// Whether verdicts take effect.
        mode: Mode,
        /// Who put it in force: an operator, or `portcullis`.
        by: Arc<str>,
        /// Why: `start`, `reload`, `policies`, `activate`, `rollback`, `promote`.
        why: &'static str,
    },
    /// A plugin kept failing and is not asked any more, or answers again.
    Plugin {
        /// Milliseconds since the Unix epoch.
        time_ms: u64,
        /// Its name.
        plugin: Arc<str>,
        /// Its generation.
        generation: Digest,
        /// `quarantined` or `recovered`.
        state: &'static str,
    },
    /// A generation is tried, or is no longer.
    Candidate {
        /// Milliseconds since the Unix epoch.
        time_ms: u64,
        /// Its name.
        generation: Digest,
        /// `shadow`, `canary`, `withdrawn`, `promoted` or `dropped`.
        state: &'static str,
    },
}

impl Event {
    pub(crate) fn verdict(call: &Call, door: Door, ruling: &Ruling) -> Self {
        Self::Verdict {
            time_ms: now_ms(),
            id: call.id,
            agent: Arc::clone(&call.agent),
            session: call.session.clone(),
            door,
            phase: call.phase,
            tool: Arc::clone(&call.tool),
            verdict: ruling.judgement.decision,
            mode: ruling.judgement.mode,
            reasons: ruling.judgement.reasons.iter().map(|reason| reason.code.clone()).collect(),
            entry: ruling.entry.seq,
            approval: ruling.approval.as_ref().map(|approval| approval.id),
        }
    }

    pub(crate) fn approval(approval: &Approval) -> Self {
        let (agent, tool) = (Arc::clone(&approval.agent), Arc::clone(&approval.tool));
        Self::Approval { time_ms: now_ms(), id: approval.id, agent, tool, state: approval.state }
    }

    pub(crate) fn generation(view: &GenerationView) -> Self {
        let by = Arc::clone(&view.by);
        Self::Generation { time_ms: now_ms(), generation: view.generation, mode: view.mode, by, why: view.why }
    }
}

/// One reader's end.
pub struct Reader {
    events: broadcast::Receiver<Bytes>,
    _place: Share,
}

impl Events {
    /// Publishes to the tenant's readers. Without readers the event is not even built.
    pub fn publish(&self, tenant: &str, event: impl FnOnce() -> Event) {
        if self.0.readers.taken() == 0 {
            return;
        }
        let tenants = self.0.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = tenants.get(tenant).filter(|sender| sender.receiver_count() > 0) else { return };
        if let Ok(json) = serde_json::to_vec(&event()) {
            // An error means that the last reader has just gone.
            let _ = sender.send(Bytes::from(json));
        }
    }

    /// Tells the readers of the tenant that a generation became current.
    pub fn generation(&self, view: &GenerationView) {
        self.publish(&view.tenant, || Event::generation(view));
    }

    /// Tells the readers of the tenant that a plugin is not asked any more, or is again.
    pub fn plugin(&self, tenant: &str, generation: Digest, plugin: &str, state: &'static str) {
        self.publish(tenant, || Event::Plugin { time_ms: now_ms(), plugin: plugin.into(), generation, state });
    }

    /// Tells the readers of the tenant that a generation is tried, or is no longer.
    pub fn candidate(&self, tenant: &str, generation: Digest, state: &'static str) {
        self.publish(tenant, || Event::Candidate { time_ms: now_ms(), generation, state });
    }

    /// Starts reading the events of the caller's tenant; `None` if there are too many readers, or the tenant or caller has
    /// its share of them.
    #[must_use]
    pub fn subscribe(&self, caller: Owner) -> Option<Reader> {
        let place = self.0.readers.take(&caller)?;
        let mut tenants = self.0.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, sender| sender.receiver_count() > 0);
        let sender = tenants.entry(caller.0).or_insert_with(|| broadcast::channel(BACKLOG).0);
        Some(Reader { events: sender.subscribe(), _place: place })
    }
}

impl Reader {
    /// The next event as server-sent event, or a marker with the number of events lost; `None` at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        let text = match self.events.recv().await {
            Ok(json) => [b"data: ", json.as_ref(), b"\n\n"].concat(),
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                format!("event: dropped\ndata: {{\"dropped\":{lost}}}\n\n").into_bytes()
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some(Bytes::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_of_one_caller_or_tenant_leave_room_for_others() {
        let events = Events::default();
        let caller = |tenant: &str, name: usize| (Arc::from(tenant), Arc::from(name.to_string()));
        let mut readers: Vec<_> = (0..READERS.of_caller).map(|_| events.subscribe(caller("one", 0)).unwrap()).collect();
        assert!(events.subscribe(caller("one", 0)).is_none());
        for name in 1..READERS.of_tenant / READERS.of_caller {
            readers.extend((0..READERS.of_caller).map(|_| events.subscribe(caller("one", name)).unwrap()));
        }
        assert!(events.subscribe(caller("one", 99)).is_none());
        readers.push(events.subscribe(caller("two", 0)).unwrap());
        drop(readers);
        assert!(events.subscribe(caller("one", 99)).is_some());
        assert_eq!((events.0.readers.holders(), events.0.readers.taken()), (0, 0));
    }
}
