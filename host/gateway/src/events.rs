//! What happens, as a bounded stream per tenant. Nobody waits for a slow reader: it loses events and is told so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use portcullis_approvals::{Approval, State};
use portcullis_model::{Call, Decision, Digest, Door, Mode, Phase};
use serde::Serialize;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::gate::{Ruling, now_ms};
use crate::ports::GenerationView;

/// Events a reader may lag behind before it loses some.
const BACKLOG: usize = 1024;
/// Most readers at once, over all tenants.
const READERS: usize = 256;

/// The senders of all tenants that have, or had, a reader.
#[derive(Clone, Default)]
pub struct Events(Arc<Inner>);

#[derive(Default)]
struct Inner {
    readers: AtomicUsize,
    tenants: RwLock<HashMap<Arc<str>, broadcast::Sender<Bytes>>>,
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
    /// A parked call was decided or expired.
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
        Self::Generation { time_ms: now_ms(), generation: view.generation, mode: view.mode }
    }
}

/// One reader's end.
pub struct Reader {
    events: broadcast::Receiver<Bytes>,
    inner: Arc<Inner>,
}

impl Events {
    /// Publishes to the tenant's readers. Without readers the event is not even built.
    pub fn publish(&self, tenant: &str, event: impl FnOnce() -> Event) {
        if self.0.readers.load(Ordering::Relaxed) == 0 {
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

    /// Starts reading the events of one tenant; `None` if there are too many readers.
    #[must_use]
    pub fn subscribe(&self, tenant: &Arc<str>) -> Option<Reader> {
        let inner = Arc::clone(&self.0);
        if inner.readers.fetch_add(1, Ordering::Relaxed) >= READERS {
            inner.readers.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut tenants = inner.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, sender| sender.receiver_count() > 0);
        let sender = tenants.entry(Arc::clone(tenant)).or_insert_with(|| broadcast::channel(BACKLOG).0);
        let events = sender.subscribe();
        drop(tenants);
        Some(Reader { events, inner })
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

impl Drop for Reader {
    fn drop(&mut self) {
        self.inner.readers.fetch_sub(1, Ordering::Relaxed);
    }
}
