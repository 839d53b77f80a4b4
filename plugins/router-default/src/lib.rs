//! Routes parked calls to people, by tool, findings, amount and time. See the README for the configuration.

use std::collections::BTreeSet;

mod condition;

use condition::{Asked, Condition, Offset};
use portcullis_plugin::{Approver, AttributedFinding, Call, Payload, Plan, Reason, Router, Step};
use serde::Deserialize;

/// Longest name or code shown in the summary, in characters.
const SHOWN: usize = 80;
/// Most codes and categories named in the summary.
const NAMED: usize = 5;
/// Most routes.
const MAX_ROUTES: usize = 100;
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
    /// Where clocks stand, for routes that look at the time.
    utc_offset: Offset,
    /// Other plans for some calls: the first that fits is taken.
    routes: Vec<Route>,
}

/// A plan for some calls. What it does not say is as above it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    when: Condition,
    approvers: Option<Vec<Approver>>,
    quorum: Option<u32>,
    deadline_seconds: Option<u32>,
    channels: Option<Vec<String>>,
    escalation: Option<Vec<Step>>,
    may_modify: Option<bool>,
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
            utc_offset: Offset::default(),
            routes: Vec::new(),
        }
    }
}

/// Who decides, without the summary, which is made for each call.
#[derive(Clone, Debug)]
struct Draft {
    approvers: Vec<Approver>,
    quorum: u32,
    deadline_seconds: u32,
    channels: Vec<String>,
    escalation: Vec<Step>,
    may_modify: bool,
}

/// The configured router.
pub struct DefaultRouter {
    offset: Offset,
    routes: Vec<(Condition, Draft)>,
    otherwise: Draft,
}

impl Draft {
    /// What is wrong with it: the key and why.
    fn check(&self) -> Result<(), String> {
        if self.approvers.is_empty() {
            return Err("approvers: name at least one, for instance {\"role\": \"approver\"}".to_owned());
        }
        if self.quorum == 0 {
            return Err("quorum: must be at least 1".to_owned());
        }
        let all = self.approvers.iter().chain(self.escalation.iter().flat_map(|step| &step.approvers));
        let named: Option<BTreeSet<&str>> = all
            .map(|approver| match approver {
                Approver::Operator(name) => Some(name.as_str()),
                // Any number of people may have a role.
                Approver::Role(_) => None,
            })
            .collect();
        if named.is_some_and(|named| named.len() < self.quorum as usize) {
            return Err(format!("quorum: {} people are wanted, but fewer operators are named", self.quorum));
        }
        if !(1..=LONGEST_DEADLINE).contains(&self.deadline_seconds) {
            return Err(format!("deadline_seconds: use 1 to {LONGEST_DEADLINE}"));
        }
        for (index, step) in self.escalation.iter().enumerate() {
            if step.after_seconds >= self.deadline_seconds {
                return Err(format!("escalation[{index}].after_seconds: must be before the deadline"));
            }
            if step.approvers.is_empty() {
                return Err(format!("escalation[{index}].approvers: name at least one"));
            }
        }
        Ok(())
    }
}

impl Router for DefaultRouter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let Config {
            approvers,
            quorum,
            deadline_seconds,
            channels,
            escalation,
            may_modify,
            utc_offset: offset,
            routes: given,
        } = config;
        let otherwise = Draft { approvers, quorum, deadline_seconds, channels, escalation, may_modify };
        otherwise.check()?;
        if given.len() > MAX_ROUTES {
            return Err(format!("routes: at most {MAX_ROUTES}"));
        }
        let mut routes = Vec::with_capacity(given.len());
        for (index, route) in given.into_iter().enumerate() {
            let at = |error: String| format!("routes[{index}].{error}");
            let Route { when, approvers, quorum, deadline_seconds, channels, escalation, may_modify } = route;
            if when.is_empty() {
                return Err(at("when: say which calls it is for; for all others there is the plan above".to_owned()));
            }
            when.check().map_err(|error| at(format!("when.{error}")))?;
            let draft = Draft {
                approvers: approvers.unwrap_or_else(|| otherwise.approvers.clone()),
                quorum: quorum.unwrap_or(otherwise.quorum),
                deadline_seconds: deadline_seconds.unwrap_or(otherwise.deadline_seconds),
                channels: channels.unwrap_or_else(|| otherwise.channels.clone()),
                escalation: escalation.unwrap_or_else(|| otherwise.escalation.clone()),
                may_modify: may_modify.unwrap_or(otherwise.may_modify),
            };
            draft.check().map_err(at)?;
            routes.push((when, draft));
        }
        Ok(Self { offset, routes, otherwise })
    }

    fn route(
        &self,
        call: &Call,
        payload: &dyn Payload,
        findings: &[AttributedFinding],
        reasons: &[Reason],
    ) -> Result<Plan, String> {
        let asked = Asked { call, payload, findings, reasons, offset: self.offset };
        let fitting = self.routes.iter().find(|(when, _)| when.fits(&asked));
        let draft = fitting.map_or(&self.otherwise, |(_, draft)| draft).clone();
        Ok(Plan {
            approvers: draft.approvers,
            quorum: draft.quorum,
            deadline_seconds: draft.deadline_seconds,
            channels: draft.channels,
            escalation: draft.escalation,
            summary: summary(call, findings, reasons),
            may_modify: draft.may_modify,
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
