//! Generations that are tried beside the one in force: beginning, ending, and what is put on record of them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use portcullis_gateway::gate::now_ms;
use portcullis_gateway::ports::{StepError, Stepped, TrialStep, Who};
use portcullis_ledger::{Attachment, Ledger, Record};
use portcullis_model::{Digest, Draft, EntryKind};
use portcullis_pipeline::{Activation, Candidate, Generation, Generations, Standing, Trial, Why};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::host::{Host, activation};
use crate::judge::views;
use crate::live::{Held, NOT_CONFIGURED, author, note, warmed};

/// Keys of records about trials that ended start with this; the number is the version of their form.
const RECORDS: &str = "candidates/1/";
/// Between two tries to record a withdrawal.
const AGAIN: Duration = Duration::from_secs(1);

/// A canary that was withdrawn: it judges nothing any more, and that is still to be put on record.
pub(crate) struct Withdrawal {
    pub entry: Draft,
    pub why: String,
}

/// How a trial ended that the configuration still asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// What was tried, and how: anything else is another trial.
    trial: Digest,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum How {
    /// It went beyond a bound. Copies of calls are judged all the same.
    Withdrawn,
    /// An operator put it in force.
    Promoted,
    /// An operator ended it.
    Dropped,
}

/// The trials that ended, by tenant.
#[derive(Clone, Default)]
pub(crate) struct Trials(Arc<Mutex<HashMap<Arc<str>, Ended>>>);

impl Trials {
    /// What is on record. Blocking.
    pub(crate) fn load(ledger: &Ledger) -> Result<Self> {
        let mut ended = HashMap::new();
        for (key, value) in ledger.records(RECORDS.as_bytes())? {
            let tenant = key.strip_prefix(RECORDS.as_bytes()).map(String::from_utf8_lossy).unwrap_or_default();
            let one: Ended = serde_json::from_slice(&value).map_err(|error| {
                anyhow::anyhow!("the record {} of a canary cannot be read: {error}", key.escape_ascii())
            })?;
            ended.insert(Arc::from(&*tenant), one);
        }
        Ok(Self(Arc::new(Mutex::new(ended))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Ended>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How this trial ended, if it did.
    fn of(&self, tenant: &str, trial: Digest) -> Option<How> {
        self.lock().get(tenant).filter(|ended| ended.trial == trial).map(|ended| ended.how)
    }

    /// Whether it was withdrawn.
    pub(crate) fn withdrawn(&self, tenant: &str, generation: Digest, trial: &Trial) -> bool {
        self.of(tenant, key(generation, trial)) == Some(How::Withdrawn)
    }
}

/// The name of a trial.
fn key(generation: Digest, trial: &Trial) -> Digest {
    let how = serde_json::to_vec(trial).unwrap_or_default();
    Digest::of_parts([&generation.0[..], &how])
}

/// The entry about a generation that is tried, by nobody in particular and without a note.
pub(crate) fn entry(generation: &Generation) -> Draft {
    Draft { kind: EntryKind::Trial, ..activation(generation) }
}

fn record(tenant: &str, ended: Option<&Ended>) -> Attachment {
    let value = ended.and_then(|ended| serde_json::to_vec(ended).ok());
    Attachment::Record(Record { key: format!("{RECORDS}{tenant}").into_bytes(), value })
}

/// How a candidate is tried, for the ledger and the log.
pub(crate) fn described(trial: &Trial) -> String {
    let mut parts = Vec::new();
    if trial.shadow > 0.0 {
        parts.push(format!("shadow {} % of calls", trial.shadow * 100.0));
    }
    if trial.canary > 0.0 {
        parts.push(format!("canary {} % of sessions", trial.canary * 100.0));
    }
    if !trial.canary_agents.is_empty() {
        parts.push(format!("canary for agents {}", trial.canary_agents.join(", ")));
    }
    if parts.is_empty() { "not used".to_owned() } else { parts.join(", ") }
}

/// Puts withdrawals on record: they have taken effect already, back to what is on record.
pub(crate) struct Recorder {
    pub ledger: Ledger,
    pub generations: Arc<Generations>,
    pub trials: Trials,
    /// See [`Host::turn`].
    pub turn: Arc<tokio::sync::Mutex<()>>,
}

impl Recorder {
    /// Works for as long as it is polled. What cannot be recorded waits, and keeps no other tenant waiting.
    pub(crate) async fn record(self, mut withdrawn: UnboundedReceiver<Withdrawal>) {
        let mut waiting = VecDeque::new();
        loop {
            let next = match waiting.is_empty() {
                true => withdrawn.recv().await,
                false => tokio::time::timeout(AGAIN, withdrawn.recv()).await.unwrap_or_else(|_| waiting.pop_front()),
            };
            let Some(withdrawal) = next else { return };
            if let Err(error) = self.one(&withdrawal).await {
                let tenant = &*withdrawal.entry.tenant;
                tracing::error!(tenant, %error, "that the canary was withdrawn is not on record yet");
                waiting.push_back(withdrawal);
            }
        }
    }

    async fn one(&self, Withdrawal { entry, why }: &Withdrawal) -> Result<()> {
        // Whoever drops or promotes it meanwhile has the last word on record.
        let _turn = self.turn.lock().await;
        let tenant = &entry.tenant;
        let candidate = self.generations.candidate(tenant).filter(|candidate| Some(candidate.id()) == entry.generation);
        let trial = candidate.map(|candidate| key(candidate.id(), candidate.trial()));
        let ended = trial.map(|trial| Ended { trial, how: How::Withdrawn });
        let beside = self.generations.current(tenant).map(|current| current.id().to_string()).unwrap_or_default();
        let entry = Draft { note: Some(format!("canary withdrawn; {why}; in force stays {beside}")), ..entry.clone() };
        let attach = ended.as_ref().map(|ended| record(tenant, Some(ended))).into_iter().collect();
        self.ledger.append_with(entry, attach).await?;
        if let Some(ended) = ended {
            self.trials.lock().insert(Arc::clone(tenant), ended);
        }
        Ok(())
    }
}

impl Host {
    /// Begins the trials of a configuration, after recording those that are new or not `allowed` as they were, and ends the
    /// others; those of some tenants stay as they are.
    pub(crate) async fn try_out(
        &self,
        candidates: Vec<Candidate>,
        by: Option<&Who>,
        stay: &HashSet<Arc<str>>,
        allowed: impl Fn(&Generation) -> bool,
    ) -> Result<()> {
        let mut candidates: HashMap<_, _> =
            candidates.into_iter().map(|candidate| (Arc::clone(candidate.generation().tenant()), candidate)).collect();
        for current in self.generations.all().iter().filter(|current| !stay.contains(current.tenant())) {
            let tenant = current.tenant();
            let before = self.generations.candidate(tenant);
            let Some(candidate) = candidates.remove(tenant) else {
                if let Some(before) = before {
                    self.end(&before, by, "the configuration names it no longer").await?;
                }
                continue;
            };
            let (id, trial) = (candidate.id(), key(candidate.id(), candidate.trial()));
            if id == current.id() {
                tracing::info!(tenant = &**tenant, "the candidate is what is in force: there is nothing to try");
                self.generations.try_out(tenant, None);
                continue;
            }
            // Read again unchanged, a trial goes on.
            let goes_on =
                |before: &Arc<Candidate>| key(before.id(), before.trial()) == trial && allowed(before.generation());
            if before.as_ref().is_some_and(goes_on) {
                continue;
            }
            if let Some(how @ (How::Promoted | How::Dropped)) = self.trials.of(tenant, trial) {
                tracing::info!(tenant = &**tenant, ?how, "the trial of the candidate has ended and is not begun again");
                self.generations.try_out(tenant, None);
                continue;
            }
            let standing = candidate.standing();
            let mut what = described(candidate.trial());
            if standing == Standing::Withdrawn {
                what.push_str("; it was withdrawn before and judges no call with effect");
            }
            let entry = Draft {
                agent: author(by, tenant),
                note: Some(format!("candidate: {what}; beside {}", current.id())),
                ..entry(candidate.generation())
            };
            let forgotten = (standing != Standing::Withdrawn).then(|| record(tenant, None));
            self.ledger.append_with(entry, forgotten.into_iter().collect()).await?;
            if standing != Standing::Withdrawn {
                self.trials.lock().remove(tenant);
            }
            tracing::info!(tenant = &**tenant, generation = %id, "candidate: {what}");
            self.generations.try_out(tenant, Some(Arc::new(candidate)));
            self.gate.events().candidate(tenant, id, standing.as_str());
        }
        Ok(())
    }

    async fn end(&self, candidate: &Candidate, by: Option<&Who>, why: &str) -> Result<()> {
        let tenant = candidate.generation().tenant();
        let note = Some(format!("candidate ended: {why}"));
        let entry = Draft { agent: author(by, tenant), note, ..entry(candidate.generation()) };
        self.ledger.append(entry).await?;
        self.generations.try_out(tenant, None);
        self.gate.events().candidate(tenant, candidate.id(), "dropped");
        Ok(())
    }

    /// What is in force need not be tried.
    pub(crate) fn end_needless_trial(&self, tenant: &str) {
        let current = self.generations.current(tenant).map(|current| current.id());
        if self.generations.candidate(tenant).is_some_and(|candidate| Some(candidate.id()) == current) {
            self.generations.try_out(tenant, None);
        }
    }

    /// The candidate that an operator means.
    fn meant(&self, step: &TrialStep) -> Result<Arc<Candidate>, StepError> {
        let candidate = self.generations.candidate(&step.by.tenant).ok_or(StepError::NoCandidate)?;
        match step.candidate {
            Some(id) if id != candidate.id() => Err(StepError::NoCandidate),
            _ => Ok(candidate),
        }
    }

    /// Records that the candidate is put in force, and does so.
    pub(crate) async fn promote(
        self: &Arc<Self>,
        step: TrialStep,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Stepped, StepError> {
        let candidate = self.meant(&step)?;
        if candidate.standing() == Standing::Withdrawn && !step.withdrawn {
            return Err(StepError::Withdrawn);
        }
        let from = self.generations.current(&step.by.tenant).ok_or(StepError::Nothing)?.id();
        let (host, by, knowingly) = (Arc::clone(self), step.by, step.withdrawn);
        // A task of its own: what is recorded comes into effect, whether or not anybody still waits. The turn goes with it.
        let change = async move {
            let _turn = turn;
            let (tenant, generation) = (&by.tenant, candidate.generation());
            let _warmed = warmed(generation).await;
            // Calls are judged meanwhile.
            let withdrawn = candidate.standing() == Standing::Withdrawn;
            if withdrawn && !knowingly {
                return Err(StepError::Withdrawn);
            }
            let held = Held { generation: generation.id(), by: Arc::clone(&by.name) };
            let held = Some(&held).filter(|held| host.generations.configured(tenant) != Some(held.generation));
            let ended = Ended { trial: key(candidate.id(), candidate.trial()), how: How::Promoted };
            let mut note = note(Why::Promote, Some(from));
            if held.is_some() {
                note.push_str(NOT_CONFIGURED);
            }
            let attach = vec![Held::record(tenant, held), record(tenant, Some(&ended))];
            if withdrawn {
                note.push_str("; although it was withdrawn as a canary");
            }
            let entry = Draft { agent: Arc::clone(&by.name), note: Some(note), ..activation(generation) };
            let appended = host.ledger.append_with(entry, attach).await;
            appended.map_err(|error| StepError::Unavailable(error.to_string()))?;
            let activation = Activation { at_ms: now_ms(), by: Arc::clone(&by.name), why: Why::Promote };
            // In this order: no session of the canary goes back in between.
            host.generations.activate(generation, activation);
            host.generations.try_out(tenant, None);
            host.trials.lock().insert(Arc::clone(tenant), ended);
            host.gate.events().candidate(tenant, candidate.id(), "promoted");
            host.tell(tenant, Why::Promote);
            Ok(Stepped { from, to: generation.id(), generations: views(&host.generations, Some(tenant)) })
        };
        tokio::spawn(change).await.map_err(|error| StepError::Unavailable(error.to_string()))?
    }

    /// Records that the candidate is not tried any more, and ends it.
    pub(crate) async fn drop_candidate(
        self: &Arc<Self>,
        step: TrialStep,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Digest, StepError> {
        let candidate = self.meant(&step)?;
        let (host, by) = (Arc::clone(self), step.by);
        let change = async move {
            let _turn = turn;
            let ended = Ended { trial: key(candidate.id(), candidate.trial()), how: How::Dropped };
            let note = Some("candidate ended: dropped".to_owned());
            let entry = Draft { agent: Arc::clone(&by.name), note, ..entry(candidate.generation()) };
            let appended = host.ledger.append_with(entry, vec![record(&by.tenant, Some(&ended))]).await;
            appended.map_err(|error| StepError::Unavailable(error.to_string()))?;
            host.generations.try_out(&by.tenant, None);
            host.trials.lock().insert(Arc::clone(&by.tenant), ended);
            host.gate.events().candidate(&by.tenant, candidate.id(), "dropped");
            Ok(candidate.id())
        };
        tokio::spawn(change).await.map_err(|error| StepError::Unavailable(error.to_string()))?
    }
}
