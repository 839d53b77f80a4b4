//! One run of a pipeline over one call: pure but for the plugins.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use portcullis_engine::{Fault, Heard, Plugin, Run};
use portcullis_model::{
    Approver, AttributedFinding, Call, Decision, Digest, Document, EditError, Finding, Plan, PluginRun, Reason,
    Replacement, Role, Verdict, codes,
};

use crate::breaker::{Breaker, Clock, Pass};
use crate::select::Selection;
use crate::{FailMode, Quarantine, Turn};

/// Most findings of one call. The detector that goes beyond counts as failed with `plugin_oversize`.
pub const MAX_FINDINGS: usize = 1024;
/// Most reasons of one call; the weakest are left out.
pub const MAX_REASONS: usize = 128;

/// Who gives the host's own reasons.
pub(crate) const HOST: &str = "portcullis";

/// What the pipeline needs of a plugin.
pub(crate) trait Ask: fmt::Debug + Send + Sync {
    fn inspect(&self, call: &Call) -> Run<Vec<Finding>>;
    fn decide(&self, call: &Call, findings: &[AttributedFinding]) -> Run<Verdict>;
    fn route(&self, call: &Call, findings: &[AttributedFinding], reasons: &[Reason]) -> Run<Plan>;

    /// Whether it may wait for somebody else's answer.
    fn waits(&self) -> bool {
        false
    }

    /// Whether a call of it may keep a thread busy for long.
    fn may_take_long(&self) -> bool {
        false
    }

    /// Whether a call finds a slot without waiting.
    fn starts_at_once(&self) -> bool {
        true
    }

    /// One more generation in use has it.
    fn employ(&self) {}

    /// Makes what is to be kept ready, and begins nothing after this. Blocking.
    fn fill_until(&self, _latest: Instant) {}

    /// One of these is not in use any more.
    fn retire(&self) {}

    /// Whether its runs carry the words of what it was told.
    fn keep_words(&self, _keep: bool) {}

    /// The same with answers that stand for asking others; none if it asks nobody.
    fn hearing(&self, _heard: &Arc<Heard>) -> Option<Box<dyn Ask>> {
        None
    }
}

/// One plugin in its place.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    /// SHA-256 of the component.
    pub(crate) digest: Digest,
    pub(crate) plugin: Box<dyn Ask>,
    pub(crate) select: Selection,
    pub(crate) on_failure: FailMode,
    pub(crate) stop_on: Option<Decision>,
    /// Shared with the generation of the same name that takes this one's place.
    pub(crate) health: Arc<Health>,
}

/// How a plugin has been doing since its generation was built first.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(crate) calls: AtomicU64,
    pub(crate) faults: AtomicU64,
    last_fault: Mutex<Option<&'static str>>,
    /// None if it is asked whatever it does.
    pub(crate) breaker: Option<Breaker>,
}

/// Plugins that were put in quarantine by a call, or recovered.
pub(crate) type Turns = Vec<(Arc<str>, Turn)>;

/// What a pipeline comes to, apart from what is the same for every call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) findings: Vec<AttributedFinding>,
    pub(crate) replacement: Option<Arc<Document>>,
    pub(crate) plugins: Vec<PluginRun>,
    pub(crate) plan: Option<Plan>,
    pub(crate) turns: Turns,
}

/// The verdict so far.
#[derive(Debug, Default)]
struct Tally {
    /// Answers that stand for asking others.
    heard: Option<Arc<Heard>>,
    decision: Decision,
    /// In the order they came, with the verdict each of them stands for.
    reasons: Vec<(Decision, Reason)>,
    findings: Vec<AttributedFinding>,
    replacements: Vec<Replacement>,
    runs: Vec<PluginRun>,
    turns: Turns,
}

#[derive(Debug, thiserror::Error)]
enum RedactError {
    #[error("nothing was replaced")]
    Nothing,
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Runs detectors and rules (`stages`, in this order), makes the redaction, asks the router. With `heard` no plugin reaches
/// anybody outside.
pub(crate) fn judge(
    stages: &[Stage],
    router: Option<&Stage>,
    inspect_redacted: bool,
    call: &Call,
    heard: Option<&Arc<Heard>>,
) -> Outcome {
    let mut tally = run(stages, call, heard);
    let mut replacement = None;
    if tally.decision == Decision::Redact {
        replacement = redact(&mut tally, stages, inspect_redacted, call);
    }
    let mut plan = None;
    if tally.decision == Decision::Review {
        plan = route(&mut tally, router, call);
    }
    // Whatever came after the redaction, only a redact forwards it.
    let replacement = replacement.filter(|_| tally.decision == Decision::Redact);
    let reasons = tally.reasons();
    let Tally { decision, findings, runs, turns, .. } = tally;
    Outcome { decision, reasons, findings, replacement, plugins: runs, plan, turns }
}

/// The plan of a call that wants review where no router says otherwise.
pub(crate) fn default_plan(call: &Call) -> Plan {
    Plan {
        approvers: vec![Approver::Role("approver".to_owned())],
        quorum: 1,
        deadline_seconds: 15 * 60,
        channels: Vec::new(),
        escalation: Vec::new(),
        summary: format!("{} wants to use {}", call.agent, call.tool),
        may_modify: false,
    }
}

fn run(stages: &[Stage], call: &Call, heard: Option<&Arc<Heard>>) -> Tally {
    let mut tally = Tally { heard: heard.cloned(), ..Tally::default() };
    for stage in stages.iter().filter(|stage| stage.select.fits(call)) {
        match stage.role {
            Role::Detector => tally.detect(stage, call),
            Role::Rule => tally.decide(stage, call),
            // Built pipelines keep their router apart.
            Role::Router => continue,
        }
        if stage.stop_on.is_some_and(|at| tally.decision >= at) {
            break;
        }
    }
    tally
}

/// The redacted payload; if it cannot be made, or is judged worse when looked at again, the tally says so.
fn redact(tally: &mut Tally, stages: &[Stage], again: bool, call: &Call) -> Option<Arc<Document>> {
    let first = replace(call, &tally.replacements);
    if !again {
        return first.map_err(|error| tally.redaction_failed(&error)).ok();
    }
    let redacted = match first {
        Ok(payload) => Call { payload, ..call.clone() },
        Err(error) => {
            tally.redaction_failed(&error);
            return None;
        }
    };
    let second = run(stages, &redacted, tally.heard.as_ref());
    let replacements = tally.absorb(second);
    if replacements.is_empty() {
        return Some(redacted.payload);
    }
    replace(&redacted, &replacements).map_err(|error| tally.redaction_failed(&error)).ok()
}

fn replace(call: &Call, replacements: &[Replacement]) -> Result<Arc<Document>, RedactError> {
    if replacements.is_empty() {
        return Err(RedactError::Nothing);
    }
    Ok(Arc::new(call.payload.replace(replacements)?))
}

/// The plan of a call that wants review. A router that fails closed turns the review into a deny.
fn route(tally: &mut Tally, router: Option<&Stage>, call: &Call) -> Option<Plan> {
    let Some(router) = router.filter(|router| router.select.fits(call)) else { return Some(default_plan(call)) };
    let reasons = tally.reasons();
    let findings = std::mem::take(&mut tally.findings);
    let plan = tally.ask(router, |plugin| plugin.route(call, &findings, &reasons));
    tally.findings = findings;
    (tally.decision == Decision::Review).then(|| plan.unwrap_or_else(|| default_plan(call)))
}

impl Tally {
    fn detect(&mut self, stage: &Stage, call: &Call) {
        let room = MAX_FINDINGS.saturating_sub(self.findings.len());
        let mut found = Vec::new();
        self.ask(stage, |plugin| {
            let Run { result, cost } = plugin.inspect(call);
            let result = result.and_then(|findings| {
                found = findings;
                if found.len() > room { Err(Fault::Oversize) } else { Ok(()) }
            });
            Run { result, cost }
        });
        let named = |finding| AttributedFinding { plugin: stage.name.to_string(), finding };
        self.findings.extend(found.into_iter().take(room).map(named));
    }

    fn decide(&mut self, stage: &Stage, call: &Call) {
        let findings = std::mem::take(&mut self.findings);
        let verdict = self.ask(stage, |plugin| plugin.decide(call, &findings));
        self.findings = findings;
        let Some(verdict) = verdict else { return };
        let Verdict { decision, reasons, replacements } = verdict;
        match decision {
            Decision::Allow => {}
            Decision::Redact if replacements.is_empty() => {
                let message = format!("rule {} wants a redaction but names nothing to replace", stage.name);
                self.add(Decision::Deny, reason(codes::REDACTION_FAILED, message, &stage.name));
            }
            Decision::Redact | Decision::Review | Decision::Deny => {
                self.decision = self.decision.max(decision);
                if reasons.is_empty() && decision != Decision::Redact {
                    let message = format!("rule {} gave no reason", stage.name);
                    self.add(decision, reason("unspecified", message, &stage.name));
                }
                self.reasons.extend(reasons.into_iter().map(|reason| (decision, reason)));
            }
        }
        if decision == Decision::Redact {
            self.replacements.extend(replacements);
        }
    }

    /// Asks a plugin and records the run; its answer, if there is one, else the fail mode is applied. A plugin in quarantine
    /// is not asked.
    fn ask<T>(&mut self, stage: &Stage, ask: impl FnOnce(&dyn Ask) -> Run<T>) -> Option<T> {
        let breaker = stage.health.breaker.as_ref();
        let pass = breaker.map_or(Pass::Free, Breaker::admit);
        if pass == Pass::Not {
            self.runs.push(stage.not_asked());
            self.failed(stage, codes::PLUGIN_QUARANTINED, "failed too often and is not asked for now");
            return None;
        }
        let unsent = self.heard.as_ref().map_or(0, |heard| heard.unsent());
        let hearing = self.heard.as_ref().and_then(|heard| stage.plugin.hearing(heard));
        let Run { result, cost } = ask(hearing.as_deref().unwrap_or(&*stage.plugin));
        self.runs.push(cost);
        stage.health.calls.fetch_add(1, Ordering::Relaxed);
        // That it was told nothing is no fault of its own, and later calls are still to be compared.
        let refused = self.heard.as_ref().is_some_and(|heard| heard.unsent() > unsent);
        let turn = breaker.and_then(|breaker| breaker.done(pass, result.is_err() && !refused));
        self.turned(stage, turn);
        match result {
            Ok(answer) => Some(answer),
            Err(fault) => {
                self.fault(stage, &fault);
                None
            }
        }
    }

    fn turned(&mut self, stage: &Stage, turn: Option<Turn>) {
        self.turns.extend(turn.map(|turn| (Arc::clone(&stage.name), turn)));
    }

    /// The stage whose run was recorded last failed.
    fn fault(&mut self, stage: &Stage, fault: &Fault) {
        let code = fault.code();
        stage.health.fault(code);
        if let Some(run) = self.runs.last_mut() {
            run.fault = Some(code.to_owned());
        }
        // The fault's own text may quote the call, so the agent gets a fixed sentence.
        self.failed(stage, code, sentence(fault));
    }

    fn failed(&mut self, stage: &Stage, code: &str, sentence: &str) {
        let decision = match stage.on_failure {
            FailMode::Closed => Decision::Deny,
            FailMode::Review => Decision::Review,
            FailMode::Open => return,
        };
        self.add(decision, reason(code, format!("plugin {} {sentence}", stage.name), &stage.name));
    }

    fn redaction_failed(&mut self, error: &RedactError) {
        self.add(Decision::Deny, reason(codes::REDACTION_FAILED, format!("the redaction failed: {error}"), HOST));
    }

    fn add(&mut self, decision: Decision, reason: Reason) {
        self.decision = self.decision.max(decision);
        self.reasons.push((decision, reason));
    }

    /// Takes over verdict, reasons and runs of a second pass, not its findings, whose spans are in a text that the
    /// caller never sent; returns its replacements.
    fn absorb(&mut self, second: Self) -> Vec<Replacement> {
        self.decision = self.decision.max(second.decision);
        self.reasons.extend(second.reasons);
        self.runs.extend(second.runs);
        self.turns.extend(second.turns);
        second.replacements
    }

    /// Strongest first, then in the order they came; each once.
    fn reasons(&self) -> Vec<Reason> {
        let mut order: Vec<_> = self.reasons.iter().collect();
        order.sort_by_key(|(decision, _)| Reverse(*decision));
        let mut seen = HashSet::new();
        order
            .into_iter()
            .map(|(_, reason)| reason)
            .filter(|reason| seen.insert(*reason))
            .take(MAX_REASONS)
            .cloned()
            .collect()
    }
}

impl Stage {
    /// What stands in the place of a run that there was none of.
    fn not_asked(&self) -> PluginRun {
        PluginRun {
            name: Arc::clone(&self.name),
            role: self.role,
            digest: self.digest,
            fuel: 0,
            micros: 0,
            memory: 0,
            answers: None,
            told: None,
            fault: Some(codes::PLUGIN_QUARANTINED.to_owned()),
        }
    }
}

impl Health {
    pub(crate) fn new(quarantine: Option<Quarantine>, clock: Clock) -> Self {
        Self { breaker: quarantine.map(|settings| Breaker::new(settings, clock)), ..Self::default() }
    }

    pub(crate) fn last_fault(&self) -> Option<&'static str> {
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, code: &'static str) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
    }
}

impl Ask for Plugin {
    fn inspect(&self, call: &Call) -> Run<Vec<Finding>> {
        self.inspect(call)
    }

    fn decide(&self, call: &Call, findings: &[AttributedFinding]) -> Run<Verdict> {
        self.decide(call, findings)
    }

    fn route(&self, call: &Call, findings: &[AttributedFinding], reasons: &[Reason]) -> Run<Plan> {
        self.route(call, findings, reasons)
    }

    fn waits(&self) -> bool {
        self.waits()
    }

    fn may_take_long(&self) -> bool {
        self.may_take_long()
    }

    fn starts_at_once(&self) -> bool {
        self.starts_at_once()
    }

    fn employ(&self) {
        self.employ();
    }

    fn retire(&self) {
        self.retire();
    }

    fn fill_until(&self, latest: Instant) {
        self.fill_until(latest);
    }

    fn keep_words(&self, keep: bool) {
        self.keep_words(keep);
    }

    fn hearing(&self, heard: &Arc<Heard>) -> Option<Box<dyn Ask>> {
        // Only these reach others; all else is as on any call.
        self.waits().then(|| Box::new(self.hearing(heard)) as Box<dyn Ask>)
    }
}

fn reason(code: &str, message: String, plugin: &str) -> Reason {
    Reason { code: code.to_owned(), message, plugin: plugin.to_owned() }
}

fn sentence(fault: &Fault) -> &'static str {
    match fault {
        Fault::Trap(_) => "crashed",
        Fault::Fuel => "used up its fuel",
        Fault::Deadline => "took too long",
        Fault::Memory => "wanted too much memory",
        Fault::HostCalls => "called the host too often",
        Fault::Oversize => "answered too much",
        Fault::BadAnswer(_) => "gave an answer that breaks its contract",
        Fault::Guest(_) => "could not answer",
    }
}

#[cfg(test)]
pub(crate) mod tests;
