//! What happens, as a bounded stream per tenant. Nobody waits for a slow reader: it loses events and is told so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use portcullis_approvals::{Approval, State};
use portcullis_model::{Call, Decision, Digest, Door, Mode, Phase};
use serde::Serialize;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::gate::{Ruling, now_ms};
use crate::ports::{GenerationView, Owner};

/// Events a reader may lag behind before it loses some.
const BACKLOG: usize = 1024;
/// Most readers at once: of all tenants, of one tenant, of one caller.
const READERS: usize = 1024;
const READERS_OF_TENANT: usize = 128;
const READERS_OF_CALLER: usize = 16;

/// The senders of all tenants that have, or had, a reader.
#[derive(Clone, Default)]
pub struct Events(Arc<Inner>);

#[derive(Default)]
struct Inner {
    readers: AtomicUsize,
    /// Readers by caller.
    callers: Mutex<HashMap<Owner, usize>>,
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
    caller: Owner,
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

    /// Starts reading the events of the caller's tenant; `None` if there are too many readers, or the tenant or caller has
    /// its share of them.
    #[must_use]
    pub fn subscribe(&self, caller: Owner) -> Option<Reader> {
        let inner = Arc::clone(&self.0);
        {
            let mut callers = inner.callers.lock().unwrap_or_else(PoisonError::into_inner);
            let of_tenant: usize =
                callers.iter().filter(|((tenant, _), _)| *tenant == caller.0).map(|(_, count)| count).sum();
            let own = callers.get(&caller).copied().unwrap_or_default();
            let all = inner.readers.load(Ordering::Relaxed);
            if all >= READERS || of_tenant >= READERS_OF_TENANT || own >= READERS_OF_CALLER {
                return None;
            }
            callers.insert(caller.clone(), own + 1);
            inner.readers.fetch_add(1, Ordering::Relaxed);
        }
        let mut tenants = inner.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, sender| sender.receiver_count() > 0);
        let sender = tenants.entry(Arc::clone(&caller.0)).or_insert_with(|| broadcast::channel(BACKLOG).0);
        let events = sender.subscribe();
        drop(tenants);
        Some(Reader { events, inner, caller })
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
        let mut callers = self.inner.callers.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.readers.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = callers.get_mut(&self.caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_of_one_caller_or_tenant_leave_room_for_others() {
        let events = Events::default();
        let caller = |tenant: &str, name: usize| (Arc::from(tenant), Arc::from(name.to_string()));
        let mut readers: Vec<_> = (0..READERS_OF_CALLER).map(|_| events.subscribe(caller("one", 0)).unwrap()).collect();
        assert!(events.subscribe(caller("one", 0)).is_none());
        for name in 1..READERS_OF_TENANT / READERS_OF_CALLER {
            readers.extend((0..READERS_OF_CALLER).map(|_| events.subscribe(caller("one", name)).unwrap()));
        }
        assert!(events.subscribe(caller("one", 99)).is_none());
        readers.push(events.subscribe(caller("two", 0)).unwrap());
        drop(readers);
        assert!(events.subscribe(caller("one", 99)).is_some());
        assert!(events.0.callers.lock().unwrap().is_empty());
    }
}
