//! What a message says: who wants what, why it waits, until when. Never its arguments.

use portcullis_approvals::{Approval, MessageKind, State, View};
use portcullis_model::{Digest, is_unseen};
use serde::Serialize;
use uuid::Uuid;

/// Most characters of a name and of the router's summary.
const MAX_NAME: usize = 120;
const MAX_SUMMARY: usize = 1_000;
/// Reasons named in texts.
const MAX_REASONS: usize = 8;

/// A message and the approval as it is now.
pub(crate) struct Telling<'a> {
    id: Uuid,
    kind: MessageKind,
    view: View<'a>,
    /// Of the call that would run now.
    digest: Digest,
    /// A link that decides, if its reader may.
    pub(crate) link: Option<String>,
    /// Where the approval is read by programs.
    pub(crate) poll: Option<String>,
}

/// The body of a webhook.
#[derive(Serialize)]
pub(crate) struct Wire<'a> {
    id: Uuid,
    kind: &'static str,
    tenant: &'a str,
    approval: WireApproval<'a>,
    /// A page on which a person decides.
    link: Option<&'a str>,
    /// Where a program reads the approval, with a token of its own.
    poll: Option<&'a str>,
}

#[derive(Serialize)]
struct WireApproval<'a> {
    id: Uuid,
    state: State,
    agent: &'a str,
    session: Option<&'a str>,
    upstream: Option<&'a str>,
    tool: &'a str,
    summary: &'a str,
    reasons: Vec<&'a str>,
    digest: Digest,
    required: u32,
    approved: u32,
    votes: Vec<WireVote<'a>>,
    created: &'a str,
    deadline: &'a str,
    ended: Option<&'a str>,
}

#[derive(Serialize)]
struct WireVote<'a> {
    operator: &'a str,
    decision: &'static str,
    time: &'a str,
}

impl<'a> Telling<'a> {
    pub(crate) fn new(id: Uuid, kind: MessageKind, approval: &'a Approval, now_ms: u64) -> Self {
        Self { id, kind, view: approval.view(now_ms), digest: approval.shown(), link: None, poll: None }
    }

    /// The body of a webhook.
    pub(crate) fn wire(&self) -> Wire<'_> {
        let view = &self.view;
        let votes = view.votes.iter().filter(|vote| !vote.lapsed).map(|vote| WireVote {
            operator: vote.operator,
            decision: vote.decision,
            time: &vote.time,
        });
        Wire {
            id: self.id,
            kind: self.kind.as_str(),
            tenant: view.tenant,
            approval: WireApproval {
                id: view.notice.id,
                state: view.notice.state,
                agent: view.agent,
                session: view.session,
                upstream: view.upstream,
                tool: view.tool,
                summary: view.summary,
                reasons: self.codes(),
                digest: self.digest,
                required: view.notice.required,
                approved: view.approved,
                votes: votes.collect(),
                created: &view.created,
                deadline: &view.notice.deadline,
                ended: view.ended.as_deref(),
            },
            link: self.link.as_deref(),
            poll: self.poll.as_deref(),
        }
    }

    /// Whether there is still something to decide.
    pub(crate) fn is_open(&self) -> bool {
        self.view.notice.state == State::Pending
    }

    /// One line without names that an agent chose.
    pub(crate) fn title(&self) -> &'static str {
        match (self.view.notice.state, self.kind) {
            (State::Pending, MessageKind::Escalated) => "A call still waits for approval",
            (State::Pending, MessageKind::Modified) => "A call with changed arguments waits for approval",
            (State::Pending, _) => "A call waits for approval",
            (State::Approved, _) => "A call was approved",
            (State::Denied, _) => "A call was denied",
            (State::Expired, _) => "A call was denied: nobody decided in time",
            (State::Cancelled, _) => "A call was cancelled by its caller",
        }
    }

    /// What there is to know, by name; cleaned, but not escaped for any markup.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let view = &self.view;
        let tool = match view.upstream {
            Some(upstream) => format!("{}/{}", shown(upstream, MAX_NAME), shown(view.tool, MAX_NAME)),
            None => shown(view.tool, MAX_NAME),
        };
        let mut facts = vec![("Tool", tool), ("Agent", shown(view.agent, MAX_NAME))];
        if !view.summary.is_empty() {
            facts.push(("Summary", shown(view.summary, MAX_SUMMARY)));
        }
        let codes = self.codes();
        let mut named: Vec<String> = codes.iter().take(MAX_REASONS).map(|code| shown(code, MAX_NAME)).collect();
        if codes.len() > MAX_REASONS {
            named.push(format!("and {} more", codes.len() - MAX_REASONS));
        }
        if !named.is_empty() {
            facts.push(("Held for", named.join(", ")));
        }
        match view.notice.state {
            State::Pending => {
                facts.push(("Approvals", format!("{} of {}", view.approved, view.notice.required)));
                facts.push(("Until", view.notice.deadline.clone()));
            }
            _ => {
                let votes = view.votes.iter().filter(|vote| !vote.lapsed);
                let votes = votes.map(|vote| format!("{} by {}", vote.decision, shown(vote.operator, 63)));
                let votes: Vec<String> = votes.collect();
                if !votes.is_empty() {
                    facts.push(("Decided", votes.join(", ")));
                }
            }
        }
        facts.push(("Approval", view.notice.id.to_string()));
        facts.push(("Digest", self.digest.to_string()));
        facts
    }

    /// All of it as plain text, for mails.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}.\n\n", self.title());
        for (name, value) in self.facts() {
            text.push_str(&format!("{:<10} {value}\n", format!("{name}:")));
        }
        if let Some(link) = self.link.as_ref().filter(|_| self.is_open()) {
            text.push_str(&format!("\nDecide here (the page asks once more; the link is yours alone):\n{link}\n"));
        }
        text
    }

    fn codes(&self) -> Vec<&'a str> {
        let mut codes: Vec<&str> = Vec::new();
        for reason in self.view.notice.reasons {
            if !codes.contains(&reason.code.as_str()) {
                codes.push(&reason.code);
            }
        }
        codes
    }
}

/// A text of a call or plugin, of bounded length, without what could forge a line or turn the reading direction.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let clean = |c: char| if is_unseen(c) { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(most).map(clean).collect();
    if text.chars().nth(most).is_some() {
        shown.push('\u{2026}');
    }
    shown
}

/// The lines that fit into so many bytes; none is cut in the middle, where markup would stay open.
pub(crate) fn fitting(lines: impl Iterator<Item = String>, most: usize) -> String {
    let mut text = String::new();
    for line in lines {
        if text.len() + line.len() < most {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
        }
    }
    text
}
