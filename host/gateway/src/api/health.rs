use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::Response;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use portcullis_model::{Digest, Mode};
use serde::Serialize;

use super::{Api, json_value};
use crate::http::{Body, Reply};
use crate::metrics::Snapshot;
use crate::ports::{CandidateView, GenerationView, JournalHealth, PreparingView};

#[derive(Serialize)]
pub(super) struct Alive {
    pub(super) status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// Why not.
    problems: Vec<String>,
    ledger: JournalHealth,
    generations: Vec<Live>,
    /// Plugins that have failed since their generation became current.
    plugin_faults: Vec<PluginFaults>,
    /// What is compiled or fetched to take the place of what is in force.
    preparing: Option<PreparingView>,
    approvals_pending: usize,
}

#[derive(Serialize)]
struct Live {
    tenant: Arc<str>,
    generation: Digest,
    mode: Mode,
    /// What the configuration says: another generation where an operator went back.
    configured: Digest,
    /// What is tried beside it.
    candidate: Option<CandidateView>,
}

#[derive(Serialize)]
struct PluginFaults {
    tenant: Arc<str>,
    plugin: Arc<str>,
    faults: u64,
    last: Option<String>,
    /// Whether it is not asked for now because it keeps failing.
    quarantined: bool,
}

impl Api {
    /// A failing plugin is told but does not make the server unready: its fail mode decides about the calls.
    pub(super) fn ready(&self) -> Reply {
        let ledger = self.gate.journal().health();
        let views = self.gate.judge().generations(None);
        let mut problems = Vec::new();
        if let Some(problem) = &ledger.problem {
            problems.push(format!("the ledger cannot be written: {problem}"));
        }
        if views.is_empty() {
            problems.push("no tenant has a pipeline".to_owned());
        }
        if self.draining.load(Ordering::Relaxed) {
            problems.push("the server is stopping".to_owned());
        }
        let ready = problems.is_empty() && ledger.writable;
        // It serves what it served before.
        if self.reload.refused() {
            problems.push(
                "the configuration was refused when it was last read, see the log; what it said before is in force"
                    .to_owned(),
            );
        }
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = Ready {
            ready,
            problems,
            ledger,
            plugin_faults: views.iter().flat_map(faults).collect(),
            generations: views.iter().map(live).collect(),
            preparing: self.reload.preparing(),
            approvals_pending: self.gate.approvals().pending(),
        };
        json_value(status, &body)
    }

    pub(super) fn figures(&self) -> Reply {
        let snapshot = Snapshot {
            journal: self.gate.journal().health(),
            generations: &self.gate.judge().generations(None),
            approvals_pending: self.gate.approvals().pending(),
            uptime: self.started.elapsed(),
        };
        let mut reply = Response::new(Body::from(self.metrics().render(&snapshot)));
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        reply.headers_mut().insert(CONTENT_TYPE, kind);
        reply
    }
}

fn live(view: &GenerationView) -> Live {
    Live {
        tenant: Arc::clone(&view.tenant),
        generation: view.generation,
        mode: view.mode,
        configured: view.configured,
        candidate: view.candidate.clone(),
    }
}

fn faults(view: &GenerationView) -> impl Iterator<Item = PluginFaults> {
    let failed = view.plugins.iter().filter(|plugin| plugin.faults > 0);
    failed.map(|plugin| PluginFaults {
        tenant: Arc::clone(&view.tenant),
        plugin: Arc::clone(&plugin.name),
        faults: plugin.faults,
        last: plugin.last_fault.clone(),
        quarantined: plugin.quarantined,
    })
}
