//! What a candidate said of copies of calls, beside what was said with effect. Bounded however many tools and calls there
//! are; nothing of a call's arguments is kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use portcullis_model::{Call, Decision, Judgement, Phase};
use serde::Serialize;
use uuid::Uuid;

use crate::candidate::{Buckets, EMPTY, bucket, percentile};

/// Most tools that are told apart; the rest is counted together under [`OTHERS`].
pub const MAX_TOOLS: usize = 256;
/// Name of the tools beyond [`MAX_TOOLS`].
pub const OTHERS: &str = "(others)";
/// Latest calls that are kept as examples.
pub const MAX_EXAMPLES: usize = 50;
/// Most reason codes of an example, and most bytes of one.
const MAX_CODES: usize = 8;
const MAX_CODE: usize = 128;

/// What a candidate said of copies of calls.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Copies that were taken.
    pub sampled: u64,
    /// Copies that it judged, those that are not compared among them.
    pub judged: u64,
    /// Copies on which one of its plugins asked outside what the generation in force did not ask: nothing was sent, so what it
    /// said is not compared and counts nowhere else.
    pub unsent: u64,
    /// Copies that were given up because too many waited.
    pub dropped: u64,
    /// Those with another verdict.
    pub changed: u64,
    /// Those in which one of its plugins failed.
    pub failed: u64,
    /// By tool, in the order of their names.
    pub tools: Vec<ToolReport>,
    /// Latest calls with another verdict or a failure, latest first.
    pub examples: Vec<Example>,
}

/// The copies of one tool's calls.
#[derive(Clone, Debug, Serialize)]
pub struct ToolReport {
    /// Its name.
    pub tool: Arc<str>,
    /// Copies that were judged and compared.
    pub calls: u64,
    /// Copies that were not compared, because a question outside was not sent.
    pub unsent: u64,
    /// How verdicts differ.
    pub changes: Vec<VerdictChange>,
    /// What was said with effect.
    pub live: Side,
    /// What the candidate said.
    pub candidate: Side,
}

/// One way in which verdicts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictChange {
    /// With effect.
    pub from: Decision,
    /// The candidate's.
    pub to: Decision,
    /// So many calls.
    pub calls: u64,
}

/// Costs and failures of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Calls in which a plugin failed.
    pub failed: u64,
    /// Fuel of all plugins together: mean and most of a call.
    pub fuel_mean: u64,
    /// Most fuel of a call.
    pub fuel_max: u64,
    /// Time in all plugins together, in microseconds: mean of a call.
    pub mean_us: u64,
    /// 99 of 100 calls took no longer, to a quarter more.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// A call whose verdicts differ, or in which the candidate failed.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// The call's id.
    pub id: Uuid,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Who made it.
    pub agent: Arc<str>,
    /// The tool.
    pub tool: Arc<str>,
    /// What was looked at.
    pub phase: Phase,
    /// What was said with effect.
    pub live: Said,
    /// What the candidate said.
    pub candidate: Said,
}

/// A verdict in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The verdict.
    pub verdict: Decision,
    /// Codes of its reasons, the first few.
    pub reasons: Vec<String>,
    /// Codes of faults of plugins.
    pub faults: Vec<String>,
    /// Fuel of all plugins.
    #[serde(skip)]
    pub(crate) fuel: u64,
    /// Time in all plugins, in microseconds.
    #[serde(skip)]
    pub(crate) micros: u64,
}

impl Said {
    pub(crate) fn of(judgement: &Judgement) -> Self {
        let cut = |code: &str| code.chars().take(MAX_CODE).collect::<String>();
        let faults = judgement.plugins.iter().filter_map(|run| run.fault.as_deref());
        Self {
            verdict: judgement.decision,
            reasons: judgement.reasons.iter().take(MAX_CODES).map(|reason| cut(&reason.code)).collect(),
            faults: faults.take(MAX_CODES).map(cut).collect(),
            fuel: judgement.plugins.iter().fold(0, |sum, run| sum.saturating_add(run.fuel)),
            micros: judgement.plugins.iter().map(|run| u64::from(run.micros)).sum(),
        }
    }
}

/// The report as it is counted.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    tools: BTreeMap<Arc<str>, Tool>,
    examples: VecDeque<Example>,
    judged: u64,
    unsent: u64,
    changed: u64,
    failed: u64,
}

#[derive(Debug, Default)]
struct Tool {
    calls: u64,
    unsent: u64,
    changes: [[u64; 4]; 4],
    live: Sums,
    candidate: Sums,
}

#[derive(Debug)]
struct Sums {
    failed: u64,
    fuel: u64,
    fuel_max: u64,
    micros: u64,
    max_us: u64,
    buckets: Buckets,
}

const VERDICTS: [Decision; 4] = [Decision::Allow, Decision::Redact, Decision::Review, Decision::Deny];

impl Tools {
    pub(crate) fn add(&mut self, call: &Call, live: Said, candidate: Said) {
        let tool = self.tool(call);
        tool.calls += 1;
        let place = |decision| VERDICTS.iter().position(|one| *one == decision).unwrap_or_default();
        if let Some(count) =
            tool.changes.get_mut(place(live.verdict)).and_then(|row| row.get_mut(place(candidate.verdict)))
        {
            *count += 1;
        }
        tool.live.add(&live);
        tool.candidate.add(&candidate);
        self.judged += 1;
        let (changed, failed) = (live.verdict != candidate.verdict, !candidate.faults.is_empty());
        self.changed += u64::from(changed);
        self.failed += u64::from(failed);
        if changed || failed {
            self.examples.truncate(MAX_EXAMPLES - 1);
            self.examples.push_front(Example {
                id: call.id,
                time_ms: call.time_ms,
                agent: Arc::clone(&call.agent),
                tool: Arc::clone(&call.tool),
                phase: call.phase,
                live,
                candidate,
            });
        }
    }

    /// Counts a call on which a question was not sent.
    pub(crate) fn add_unsent(&mut self, call: &Call) {
        self.tool(call).unsent += 1;
        self.judged += 1;
        self.unsent += 1;
    }

    fn tool(&mut self, call: &Call) -> &mut Tool {
        let known = self.tools.contains_key(&call.tool) || self.tools.len() < MAX_TOOLS;
        let name: Arc<str> = if known { Arc::clone(&call.tool) } else { OTHERS.into() };
        self.tools.entry(name).or_default()
    }

    pub(crate) fn report(&self, sampled: u64, dropped: u64) -> Report {
        let tools = self.tools.iter().map(|(name, tool)| ToolReport {
            tool: Arc::clone(name),
            calls: tool.calls,
            unsent: tool.unsent,
            changes: tool.changes(),
            live: tool.live.side(tool.calls),
            candidate: tool.candidate.side(tool.calls),
        });
        Report {
            sampled,
            judged: self.judged,
            unsent: self.unsent,
            dropped,
            changed: self.changed,
            failed: self.failed,
            tools: tools.collect(),
            examples: self.examples.iter().cloned().collect(),
        }
    }
}

impl Tool {
    fn changes(&self) -> Vec<VerdictChange> {
        let rows = VERDICTS.iter().zip(&self.changes);
        let all = rows.flat_map(|(from, row)| {
            VERDICTS.iter().zip(row).map(|(to, calls)| VerdictChange { from: *from, to: *to, calls: *calls })
        });
        all.filter(|change| change.calls > 0 && change.from != change.to).collect()
    }
}

impl Default for Sums {
    fn default() -> Self {
        Self { failed: 0, fuel: 0, fuel_max: 0, micros: 0, max_us: 0, buckets: EMPTY }
    }
}

impl Sums {
    fn add(&mut self, said: &Said) {
        self.failed += u64::from(!said.faults.is_empty());
        self.fuel = self.fuel.saturating_add(said.fuel);
        self.fuel_max = self.fuel_max.max(said.fuel);
        self.micros = self.micros.saturating_add(said.micros);
        self.max_us = self.max_us.max(said.micros);
        if let Some(bucket) = self.buckets.get_mut(bucket(said.micros)) {
            *bucket += 1;
        }
    }

    fn side(&self, calls: u64) -> Side {
        let mean = |sum: u64| sum.checked_div(calls).unwrap_or_default();
        Side {
            failed: self.failed,
            fuel_mean: mean(self.fuel),
            fuel_max: self.fuel_max,
            mean_us: mean(self.micros),
            p99_us: percentile(&self.buckets, 99),
            max_us: self.max_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::call;

    fn said(verdict: Decision) -> Said {
        Said { verdict, reasons: vec![], faults: vec![], fuel: 1, micros: 3 }
    }

    #[test]
    fn tools_and_examples_without_end_take_bounded_room() {
        let mut tools = Tools::default();
        for number in 0..1_000 {
            let call = Call { tool: format!("tool-{number}").into(), ..call("{}") };
            tools.add(&call, said(Decision::Allow), said(Decision::Deny));
        }
        let report = tools.report(1_000, 0);
        assert_eq!((report.tools.len(), report.examples.len(), report.changed), (MAX_TOOLS + 1, MAX_EXAMPLES, 1_000));
        let others = report.tools.iter().find(|tool| &*tool.tool == OTHERS).unwrap();
        assert_eq!(others.calls, 1_000 - MAX_TOOLS as u64);
        assert_eq!((&*report.examples[0].tool, &*report.examples[49].tool), ("tool-999", "tool-950"));
        let side = Side { failed: 0, fuel_mean: 1, fuel_max: 1, mean_us: 3, p99_us: 3, max_us: 3 };
        assert_eq!(others.candidate, side);
    }
}
