//! Routes parked calls to one approver with a deadline. See the README for the configuration.

use std::collections::BTreeSet;

use portcullis_plugin::{Approver, AttributedFinding, Call, Payload, Plan, Reason, Router, Step};
use serde::Deserialize;

/// Longest name or code shown in the summary, in characters.
const SHOWN: usize = 80;
/// Most codes and categories named in the summary.
const NAMED: usize = 5;
/// A week.
const LONGEST_DEADLINE: u32 = 7 * 24 * 60 * 60;

/// The configuration of the plugin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who may decide; at least one.
    pub approvers: Vec<Approver>,
    /// How many must approve; at least 1.
    pub quorum: u32,
    /// Seconds until the call is denied by itself; 1 second to 7 days.
    pub deadline_seconds: u32,
    /// Through which channels the approvers are told.
    pub channels: Vec<String>,
    /// Who is asked later, each before the deadline.
    pub escalation: Vec<Step>,
    /// Whether the approver may change arguments before release.
    pub may_modify: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            approvers: vec![Approver::Role("approver".to_owned())],
            quorum: 1,
            deadline_seconds: 15 * 60,
            channels: Vec::new(),
            escalation: Vec::new(),
            may_modify: false,
        }
    }
}

/// The configured router.
pub struct DefaultRouter(Config);

impl Router for DefaultRouter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if config.approvers.is_empty() {
            return Err("approvers: name at least one, for instance {\"role\": \"approver\"}".to_owned());
        }
        if config.quorum == 0 {
            return Err("quorum: must be at least 1".to_owned());
        }
        let only_operators = config.approvers.iter().chain(config.escalation.iter().flat_map(|step| &step.approvers));
        let named: Option<BTreeSet<&str>> = only_operators
            .map(|approver| match approver {
                Approver::Operator(name) => Some(name.as_str()),
                // Any number of people may have a role.
                Approver::Role(_) => None,
            })
            .collect();
        if named.is_some_and(|named| named.len() < config.quorum as usize) {
            return Err(format!("quorum: {} people are wanted, but fewer operators are named", config.quorum));
        }
        if !(1..=LONGEST_DEADLINE).contains(&config.deadline_seconds) {
            return Err(format!("deadline_seconds: use 1 to {LONGEST_DEADLINE}"));
        }
        for (index, step) in config.escalation.iter().enumerate() {
            if step.after_seconds >= config.deadline_seconds {
                return Err(format!("escalation[{index}].after_seconds: must be before the deadline"));
            }
            if step.approvers.is_empty() {
                return Err(format!("escalation[{index}].approvers: name at least one"));
            }
        }
        Ok(Self(config))
    }

    fn route(
        &self,
        call: &Call,
        _payload: &dyn Payload,
        findings: &[AttributedFinding],
        reasons: &[Reason],
    ) -> Result<Plan, String> {
        let config = self.0.clone();
        Ok(Plan {
            approvers: config.approvers,
            quorum: config.quorum,
            deadline_seconds: config.deadline_seconds,
            channels: config.channels,
            escalation: config.escalation,
            summary: summary(call, findings, reasons),
            may_modify: config.may_modify,
        })
    }
}

portcullis_plugin::router!(DefaultRouter);

/// One line. Names, codes and categories only: messages and arguments may hold what the approver should not be told by
/// the agent.
fn summary(call: &Call, findings: &[AttributedFinding], reasons: &[Reason]) -> String {
    let mut line = format!("{} wants {}", shown(&call.agent), shown(&call.tool));
    if let Some(upstream) = &call.upstream {
        line.push_str(&format!(" on {}", shown(upstream)));
    }
    if call.phase != portcullis_plugin::Phase::Call {
        line.push_str(&format!(" (phase {})", call.phase.as_str()));
    }
    let codes: BTreeSet<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
    let categories: BTreeSet<&str> = findings.iter().map(|found| found.finding.category.as_str()).collect();
    for (title, names) in [("held for", codes), ("seen", categories)] {
        if !names.is_empty() {
            line.push_str(&format!("; {title} {}", listed(&names)));
        }
    }
    line
}

fn listed(names: &BTreeSet<&str>) -> String {
    let mut list = names.iter().take(NAMED).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        list.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    list
}

/// A name without what could forge a line or turn the reading direction, and not too long.
fn shown(name: &str) -> String {
    let clean = |c: char| {
        if c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut shown: String = name.chars().take(SHOWN).map(clean).collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('\u{2026}');
    }
    shown
}

#[cfg(test)]
mod tests;
