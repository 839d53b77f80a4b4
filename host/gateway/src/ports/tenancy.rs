use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use portcullis_tenancy::{Agent, Directory, Operator, Principal, Refused, roles};

use super::{Admission, AgentIdentity, Caller, DenialForm, Identity, OperatorIdentity, PeerIdentity};

/// The directory that is in force, behind one atomic pointer.
#[derive(Debug)]
pub struct Credentials(ArcSwap<Directory>);

impl Credentials {
    /// With this directory.
    #[must_use]
    pub fn new(directory: Directory) -> Self {
        Self(ArcSwap::from_pointee(directory))
    }

    /// Puts another directory in force: the next request sees it.
    pub fn replace(&self, directory: Directory) {
        self.0.store(Arc::new(directory));
    }

    /// The directory that is in force.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.0.load_full()
    }
}

impl Identity for Credentials {
    fn authenticate(&self, token: Option<&str>, peer: Option<&PeerIdentity>) -> Option<Caller> {
        let directory = self.0.load();
        if peer.is_some_and(|peer| peer.valid_until <= SystemTime::now()) {
            return None;
        }
        let workload = peer.and_then(|peer| directory.workload(&peer.spiffe));
        let Some(token) = token else {
            if peer.is_some() {
                return Some(Caller { agent: Some(agent_identity(workload?)), operator: None, open: false });
            }
            let agent = directory.open_agent()?;
            return Some(Caller { agent: Some(agent_identity(agent)), operator: None, open: true });
        };
        let principal = directory.authenticate(token)?;
        // Two credentials of two principals: at least one of them is not where it belongs.
        if workload.is_some_and(|workload| !principal.agent().is_some_and(|agent| Arc::ptr_eq(agent, workload))) {
            return None;
        }
        Some(match principal {
            Principal::Agent(agent) => Caller { agent: Some(agent_identity(&agent)), operator: None, open: false },
            Principal::Operator(operator) => {
                Caller { agent: None, operator: Some(operator_identity(&operator)), open: false }
            }
        })
    }

    fn admit(&self, tenant: &str, agent: &str, calls: u32) -> Admission {
        match self.0.load().admit_all(tenant, agent, calls) {
            Ok(()) => Admission::Admitted,
            Err(Refused::Halted) => Admission::Halted,
            Err(Refused::Unknown) => Admission::Removed,
            Err(Refused::RateLimited(limited)) => Admission::Limited { retry_after_s: limited.retry_after_s },
        }
    }

    fn standing(&self, tenant: &str, agent: &str) -> Admission {
        match self.0.load().agent(tenant, agent) {
            Some(agent) if agent.halted => Admission::Halted,
            Some(_) => Admission::Admitted,
            None => Admission::Removed,
        }
    }

    fn has_tool_rules(&self, tenant: &str, agent: &str) -> bool {
        self.0.load().agent(tenant, agent).is_none_or(|agent| agent.has_tool_rules())
    }

    fn sees(&self, tenant: &str, agent: &str, upstream: &str, tool: &str) -> bool {
        self.0.load().agent(tenant, agent).is_some_and(|agent| agent.sees(upstream, tool))
    }

    fn tools_version(&self, tenant: &str, agent: &str) -> u64 {
        self.0.load().agent(tenant, agent).map_or(0, |agent| agent.tools_version())
    }

    fn operator(&self, tenant: &str, name: &str) -> Option<OperatorIdentity> {
        self.0.load().operator(tenant, name).map(|operator| operator_identity(operator))
    }

    fn denials(&self, tenant: &str, agent: &str) -> DenialForm {
        self.0.load().agent(tenant, agent).map(|agent| agent.denials).unwrap_or_default()
    }
}

fn agent_identity(agent: &Agent) -> AgentIdentity {
    AgentIdentity {
        tenant: Arc::clone(&agent.tenant),
        name: Arc::clone(&agent.name),
        persona: agent.persona.clone(),
        may_explain: agent.may_explain,
    }
}

fn operator_identity(operator: &Operator) -> OperatorIdentity {
    OperatorIdentity {
        name: Arc::clone(&operator.name),
        tenant: Arc::clone(&operator.tenant),
        roles: Arc::clone(&operator.roles),
        runs: Arc::clone(&operator.runs),
        admin: operator.has(roles::ADMIN),
    }
}
