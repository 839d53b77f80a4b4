use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use portcullis_model::Digest;

use crate::rate::Bucket;
use crate::tools::{ToolFilter, ToolRules, ToolRulesError};
use crate::{RateLimit, RateLimited, SpiffeId, is_label, token_digest};

/// The tenant that is served without a configuration file.
pub const OPEN_TENANT: &str = "default";
/// The agent that needs no token in open mode.
pub const OPEN_AGENT: &str = "local";

/// Longest text that is looked at as a token; longer ones are nobody's.
const MAX_TOKEN: usize = 512;
/// Most bytes of a persona.
const MAX_PERSONA: usize = 4 * 1024;
/// Most tokens of one agent or operator; two are enough to rotate.
const MAX_TOKENS: usize = 16;
/// Most SPIFFE ids of one agent.
const MAX_SPIFFE: usize = 64;
/// Most roles of one operator.
const MAX_ROLES: usize = 32;

/// Role names with a meaning to the host. Others only mean something to the plans of routers.
pub mod roles {
    /// May read entries, generations and approvals of its tenant.
    pub const VIEWER: &str = "viewer";
    /// May decide parked calls whose plan asks for approvers.
    pub const APPROVER: &str = "approver";
    /// May change pipelines and halt agents; decides parked calls only if it is an approver too.
    pub const ADMIN: &str = "admin";
}

/// How an agent is told that its tool call was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenialForm {
    /// As a tool result with `isError`: the model reads why.
    #[default]
    Result,
    /// As a JSON-RPC error: the agent's program sees it.
    Error,
}

/// One tenant, as configured.
#[derive(Clone, Debug, Default)]
pub struct TenantSpec {
    /// A label (see [`is_label`]), unique.
    pub name: String,
    /// Most calls of all its agents together.
    pub rate: Option<RateLimit>,
    /// Which tools its agents may know of.
    pub tools: ToolRules,
    /// How its agents are told of refused tool calls.
    pub denials: DenialForm,
    /// Who may call.
    pub agents: Vec<AgentSpec>,
    /// Who may decide and administer.
    pub operators: Vec<OperatorSpec>,
}

/// One agent, as configured.
#[derive(Clone, Debug)]
pub struct AgentSpec {
    /// A label, unique among the tenant's agents.
    pub name: String,
    /// SHA-256 of its tokens, at most 16. Several make rotation possible; without any it needs a client
    /// certificate to call.
    pub token_sha256: Vec<Digest>,
    /// SPIFFE ids of its client certificates, at most 64. `/*` at the end of one stands for any one segment.
    pub spiffe: Vec<String>,
    /// What it is for, at most 4 KiB.
    pub persona: Option<String>,
    /// Whether its answers may carry findings and costs.
    pub may_explain: bool,
    /// Refuse everything it asks.
    pub halted: bool,
    /// Most calls.
    pub rate: Option<RateLimit>,
    /// Which tools it may know of, of those that its tenant lets it know.
    pub tools: ToolRules,
}

/// One operator, as configured.
#[derive(Clone, Debug)]
pub struct OperatorSpec {
    /// A label, unique among the tenant's operators.
    pub name: String,
    /// SHA-256 of its tokens, at most 16.
    pub token_sha256: Vec<Digest>,
    /// Labels: those of [`roles`] and others that routers name.
    pub roles: Vec<String>,
    /// Agents of the tenant that it runs: it approves none of their calls.
    pub runs: Vec<String>,
}

/// Who may call and who may decide, all tenants together. Immutable; cheap to read from every thread.
#[derive(Debug, Default)]
pub struct Directory {
    tenants: HashMap<Arc<str>, Tenant>,
    tokens: HashMap<Digest, Principal>,
    workloads: HashMap<SpiffeId, Arc<Agent>>,
    /// By the id without its last segment, which names one of several instances.
    instances: HashMap<SpiffeId, Arc<Agent>>,
    open: Option<Arc<Agent>>,
}

/// Whom a token stands for.
#[derive(Clone, Debug)]
pub enum Principal {
    /// An agent: it makes calls.
    Agent(Arc<Agent>),
    /// An operator: decides, reads, administers.
    Operator(Arc<Operator>),
}

/// An agent of a tenant.
#[derive(Debug)]
pub struct Agent {
    /// Owner of its traffic.
    pub tenant: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub persona: Option<Arc<str>>,
    /// Whether its answers may carry findings and costs.
    pub may_explain: bool,
    /// Whether everything it asks is refused.
    pub halted: bool,
    /// How it is told of refused tool calls.
    pub denials: DenialForm,
    tools: ToolFilter,
    tenant_tools: Arc<ToolFilter>,
    tools_version: u64,
    rate: Option<RateLimit>,
    bucket: Arc<Bucket>,
    tenant_rate: Option<RateLimit>,
    tenant_bucket: Arc<Bucket>,
}

/// An operator of a tenant.
#[derive(Debug)]
pub struct Operator {
    /// The tenant it works for.
    pub tenant: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its roles.
    pub roles: Arc<[String]>,
    /// Agents that it runs: it approves none of their calls.
    pub runs: Arc<[String]>,
}

/// Why an agent's call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its operator stopped it.
    #[error("the agent is halted")]
    Halted,
    /// Its rate limit or its tenant's is used up.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The directory has no such agent (any more).
    #[error("the agent is not known")]
    Unknown,
}

/// What is wrong with the configured tenants, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct DirectoryError {
    /// For instance `tenant[0].agent[2].name`.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with configured tenants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not a label.
    #[error("use 1 to 63 letters, digits, `.`, `_` or `-`")]
    Label,
    /// The name is taken.
    #[error("the name is taken; choose another one")]
    Duplicate,
    /// The same token is listed for two agents or operators, or twice for one.
    #[error("this token is listed already; every agent and operator needs tokens of its own")]
    SharedToken,
    /// Not the id of a workload.
    #[error("use `spiffe://TRUST-DOMAIN/PATH`: the trust domain in lower case, no empty segment, no trailing slash")]
    Spiffe,
    /// The same SPIFFE id is listed for two agents, or twice for one.
    #[error("this SPIFFE id is listed already; it stands for one agent only")]
    SharedSpiffe,
    /// Too many SPIFFE ids.
    #[error("at most {MAX_SPIFFE} SPIFFE ids")]
    TooManySpiffe,
    /// Too many tokens.
    #[error("at most {MAX_TOKENS} tokens")]
    TooManyTokens,
    /// Too many roles.
    #[error("at most {MAX_ROLES} roles")]
    TooManyRoles,
    /// An operator is said to run an agent that is not there.
    #[error("the tenant has no agent of this name")]
    NoSuchAgent,
    /// The persona is too long.
    #[error("at most {MAX_PERSONA} bytes")]
    Persona,
    /// A rate limit is out of range.
    #[error("a rate is at most 1000000 calls per second and at least one a day, with a burst of 1 to 1000000")]
    Rate,
    /// A list of tools does not compile.
    #[error(transparent)]
    Tools(ToolRulesError),
}

#[derive(Debug)]
struct Tenant {
    agents: HashMap<Arc<str>, Arc<Agent>>,
    operators: HashMap<Arc<str>, Arc<Operator>>,
    bucket: Arc<Bucket>,
}

impl Directory {
    /// Checks and indexes the configured tenants. With the directory it follows, rate limits go on where they were.
    ///
    /// # Errors
    /// A name that is no label or is taken, a token or SPIFFE id that is listed twice, a limit out of range; with its place.
    pub fn new(tenants: &[TenantSpec], previous: Option<&Self>) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        for (index, spec) in tenants.iter().enumerate() {
            let path = format!("tenant[{index}]");
            directory.add_tenant(spec, previous, &path)?;
        }
        Ok(directory)
    }

    /// The directory of a server without a configuration file: tenant `default`, agent `local` without a token, and
    /// these operators. Only for listeners on loopback addresses.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn open(operators: Vec<OperatorSpec>) -> Result<Self, DirectoryError> {
        let agent = AgentSpec {
            name: OPEN_AGENT.to_owned(),
            token_sha256: Vec::new(),
            spiffe: Vec::new(),
            persona: None,
            may_explain: true,
            halted: false,
            rate: None,
            tools: ToolRules::default(),
        };
        let tenant =
            TenantSpec { name: OPEN_TENANT.to_owned(), agents: vec![agent], operators, ..TenantSpec::default() };
        let mut directory = Self::new(&[tenant], None)?;
        directory.open = directory.agent(OPEN_TENANT, OPEN_AGENT).cloned();
        Ok(directory)
    }

    /// Whom a bearer token stands for. Takes the same time for every wrong token of the same length.
    #[must_use]
    pub fn authenticate(&self, token: &str) -> Option<Principal> {
        (token.len() <= MAX_TOKEN).then(|| self.tokens.get(&token_digest(token)).cloned()).flatten()
    }

    /// Whom a SPIFFE id stands for. The caller has verified the certificate that it comes from.
    #[must_use]
    pub fn workload(&self, id: &SpiffeId) -> Option<&Arc<Agent>> {
        self.workloads.get(id).or_else(|| self.instances.get(&id.parent()?))
    }

    /// The agent that needs no token; only in open mode.
    #[must_use]
    pub fn open_agent(&self) -> Option<&Arc<Agent>> {
        self.open.as_ref()
    }

    /// An agent by name.
    #[must_use]
    pub fn agent(&self, tenant: &str, name: &str) -> Option<&Arc<Agent>> {
        self.tenants.get(tenant)?.agents.get(name)
    }

    /// An operator by name.
    #[must_use]
    pub fn operator(&self, tenant: &str, name: &str) -> Option<&Arc<Operator>> {
        self.tenants.get(tenant)?.operators.get(name)
    }

    /// Names of all tenants, sorted.
    #[must_use]
    pub fn tenants(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.tenants.keys().cloned().collect();
        names.sort();
        names
    }

    /// Whether an agent may make a call now; counts the call if so.
    ///
    /// # Errors
    /// Halted, over a limit, or removed since it was authenticated.
    pub fn admit(&self, tenant: &str, agent: &str) -> Result<(), Refused> {
        self.admit_all(tenant, agent, 1)
    }

    /// The same for several calls that go together: all of them are counted, or none.
    ///
    /// # Errors
    /// As [`admit`](Self::admit); more calls than a limit lets through at once never pass.
    pub fn admit_all(&self, tenant: &str, agent: &str, calls: u32) -> Result<(), Refused> {
        self.agent(tenant, agent).ok_or(Refused::Unknown)?.admit(calls)
    }

    fn add_tenant(&mut self, spec: &TenantSpec, previous: Option<&Self>, path: &str) -> Result<(), DirectoryError> {
        let name: Arc<str> = label(&spec.name, || format!("{path}.name"))?;
        if self.tenants.contains_key(&name) {
            return Err(problem(format!("{path}.name"), Problem::Duplicate));
        }
        check_rate(spec.rate, || format!("{path}.rate"))?;
        let tenant_tools = Arc::new(filter(&spec.tools, path)?);
        let before = previous.and_then(|directory| directory.tenants.get(&name));
        let mut tenant = Tenant {
            agents: HashMap::new(),
            operators: HashMap::new(),
            bucket: before.map_or_else(|| Arc::new(Bucket::new()), |tenant| Arc::clone(&tenant.bucket)),
        };
        for (index, agent) in spec.agents.iter().enumerate() {
            let path = format!("{path}.agent[{index}]");
            let bucket =
                before.and_then(|tenant| tenant.agents.get(agent.name.as_str())).map(|agent| Arc::clone(&agent.bucket));
            let made = Arc::new(Agent {
                tenant: Arc::clone(&name),
                name: label(&agent.name, || format!("{path}.name"))?,
                persona: persona(agent.persona.as_deref(), &path)?,
                may_explain: agent.may_explain,
                halted: agent.halted,
                denials: spec.denials,
                tools: filter(&agent.tools, &path)?,
                tenant_tools: Arc::clone(&tenant_tools),
                tools_version: version((&spec.tools, &agent.tools)),
                rate: check_rate(agent.rate, || format!("{path}.rate"))?,
                bucket: bucket.unwrap_or_else(|| Arc::new(Bucket::new())),
                tenant_rate: spec.rate,
                tenant_bucket: Arc::clone(&tenant.bucket),
            });
            if tenant.agents.insert(Arc::clone(&made.name), Arc::clone(&made)).is_some() {
                return Err(problem(format!("{path}.name"), Problem::Duplicate));
            }
            self.add_workloads(&agent.spiffe, &made, &path)?;
            self.add_tokens(&agent.token_sha256, &Principal::Agent(made), &path)?;
        }
        for (index, operator) in spec.operators.iter().enumerate() {
            let path = format!("{path}.operator[{index}]");
            let made = Arc::new(Operator {
                tenant: Arc::clone(&name),
                name: label(&operator.name, || format!("{path}.name"))?,
                roles: check_roles(&operator.roles, &path)?,
                runs: check_runs(&operator.runs, &tenant, &path)?,
            });
            if tenant.operators.insert(Arc::clone(&made.name), Arc::clone(&made)).is_some() {
                return Err(problem(format!("{path}.name"), Problem::Duplicate));
            }
            self.add_tokens(&operator.token_sha256, &Principal::Operator(made), &path)?;
        }
        self.tenants.insert(name, tenant);
        Ok(())
    }

    fn add_workloads(&mut self, ids: &[String], owner: &Arc<Agent>, path: &str) -> Result<(), DirectoryError> {
        if ids.len() > MAX_SPIFFE {
            return Err(problem(format!("{path}.spiffe"), Problem::TooManySpiffe));
        }
        for (index, id) in ids.iter().enumerate() {
            let wrong = |what| problem(format!("{path}.spiffe[{index}]"), what);
            let (known, id) = match id.strip_suffix("/*") {
                Some(parent) => (&mut self.instances, parent),
                None => (&mut self.workloads, id.as_str()),
            };
            let id = SpiffeId::parse(id).ok_or_else(|| wrong(Problem::Spiffe))?;
            if known.insert(id, Arc::clone(owner)).is_some() {
                return Err(wrong(Problem::SharedSpiffe));
            }
        }
        Ok(())
    }

    fn add_tokens(&mut self, tokens: &[Digest], owner: &Principal, path: &str) -> Result<(), DirectoryError> {
        if tokens.len() > MAX_TOKENS {
            return Err(problem(format!("{path}.token_sha256"), Problem::TooManyTokens));
        }
        for (index, token) in tokens.iter().enumerate() {
            if self.tokens.insert(*token, owner.clone()).is_some() {
                return Err(problem(format!("{path}.token_sha256[{index}]"), Problem::SharedToken));
            }
        }
        Ok(())
    }
}

impl Agent {
    /// Whether any rule says which tools it may know of.
    #[must_use]
    pub fn has_tool_rules(&self) -> bool {
        !(self.tools.is_empty() && self.tenant_tools.is_empty())
    }

    /// A number that changes with the rules about tools: the same rules have the same number while the program runs.
    #[must_use]
    pub fn tools_version(&self) -> u64 {
        self.tools_version
    }

    /// Whether it may know of this tool.
    #[must_use]
    pub fn sees(&self, upstream: &str, tool: &str) -> bool {
        self.tenant_tools.shows(upstream, tool) && self.tools.shows(upstream, tool)
    }

    /// Whether it may make so many calls now; counts all of them if so, else none. Takes no lock.
    ///
    /// # Errors
    /// Halted, or over its own or its tenant's limit.
    pub fn admit(&self, calls: u32) -> Result<(), Refused> {
        if self.halted {
            return Err(Refused::Halted);
        }
        let now = Instant::now();
        if let Some(rate) = &self.rate {
            self.bucket.take(rate, calls, now)?;
        }
        if let Some(rate) = &self.tenant_rate
            && let Err(limited) = self.tenant_bucket.take(rate, calls, now)
        {
            if let Some(own) = &self.rate {
                self.bucket.give_back(own, calls);
            }
            return Err(limited.into());
        }
        Ok(())
    }
}

impl Operator {
    /// Whether it has a role.
    #[must_use]
    pub fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

impl Principal {
    /// The tenant it belongs to.
    #[must_use]
    pub fn tenant(&self) -> &Arc<str> {
        match self {
            Self::Agent(agent) => &agent.tenant,
            Self::Operator(operator) => &operator.tenant,
        }
    }

    /// The agent, if it is one.
    #[must_use]
    pub fn agent(&self) -> Option<&Arc<Agent>> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Operator(_) => None,
        }
    }

    /// The operator, if it is one.
    #[must_use]
    pub fn operator(&self) -> Option<&Arc<Operator>> {
        match self {
            Self::Agent(_) => None,
            Self::Operator(operator) => Some(operator),
        }
    }
}

fn problem(path: String, problem: Problem) -> DirectoryError {
    DirectoryError { path, problem }
}

fn label(text: &str, path: impl Fn() -> String) -> Result<Arc<str>, DirectoryError> {
    if is_label(text) { Ok(Arc::from(text)) } else { Err(problem(path(), Problem::Label)) }
}

fn persona(text: Option<&str>, path: &str) -> Result<Option<Arc<str>>, DirectoryError> {
    match text {
        Some(text) if text.len() > MAX_PERSONA => Err(problem(format!("{path}.persona"), Problem::Persona)),
        text => Ok(text.map(Arc::from)),
    }
}

fn version(rules: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    rules.hash(&mut hasher);
    hasher.finish()
}

fn filter(rules: &ToolRules, path: &str) -> Result<ToolFilter, DirectoryError> {
    ToolFilter::new(rules).map_err(|(key, error)| problem(format!("{path}.tools.{key}"), Problem::Tools(error)))
}

fn check_rate(rate: Option<RateLimit>, path: impl Fn() -> String) -> Result<Option<RateLimit>, DirectoryError> {
    match rate {
        Some(rate) if !rate.is_valid() => Err(problem(path(), Problem::Rate)),
        rate => Ok(rate),
    }
}

fn check_roles(roles: &[String], path: &str) -> Result<Arc<[String]>, DirectoryError> {
    if roles.len() > MAX_ROLES {
        return Err(problem(format!("{path}.roles"), Problem::TooManyRoles));
    }
    let mut seen = HashSet::new();
    for (index, role) in roles.iter().enumerate() {
        label(role, || format!("{path}.roles[{index}]"))?;
        if !seen.insert(role) {
            return Err(problem(format!("{path}.roles[{index}]"), Problem::Duplicate));
        }
    }
    Ok(roles.into())
}

fn check_runs(runs: &[String], tenant: &Tenant, path: &str) -> Result<Arc<[String]>, DirectoryError> {
    for (index, agent) in runs.iter().enumerate() {
        let place = || format!("{path}.runs[{index}]");
        if !tenant.agents.contains_key(agent.as_str()) {
            return Err(problem(place(), Problem::NoSuchAgent));
        }
        if runs.iter().take(index).any(|other| other == agent) {
            return Err(problem(place(), Problem::Duplicate));
        }
    }
    Ok(runs.into())
}

#[cfg(test)]
mod tests;
