//! Approvals as the doors show them.

use jiff::Timestamp;
use portcullis_model::{Approver, Digest, Phase, Reason, Step};
use serde::Serialize;
use uuid::Uuid;

use crate::{Approval, State};

/// What the agent is told about its parked call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice<'a> {
    /// Id of the approval.
    pub id: Uuid,
    /// Where it stands now.
    pub state: State,
    /// When it expires, RFC 3339 in UTC.
    pub deadline: String,
    /// Where to ask again.
    pub poll: String,
    /// How many must approve.
    pub required: u32,
    /// Why the call was parked, strongest first.
    pub reasons: &'a [Reason],
}

/// What approvers and auditors see: the notice, what the call was, who decides and who has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View<'a> {
    /// What the agent is told.
    #[serde(flatten)]
    pub notice: Notice<'a>,
    /// Owner of the call.
    pub tenant: &'a str,
    /// Who made the call.
    pub agent: &'a str,
    /// The run of the agent.
    pub session: Option<&'a str>,
    /// Owner of the tool.
    pub upstream: Option<&'a str>,
    /// Tool name.
    pub tool: &'a str,
    /// What was judged.
    pub phase: Phase,
    /// Id of the parked call.
    pub call: Uuid,
    /// Digest of the parked call.
    pub digest: Digest,
    /// The generation that judged.
    pub generation: Digest,
    /// What the approver reads first.
    pub summary: &'a str,
    /// Who may decide.
    pub approvers: &'a [Approver],
    /// Who is asked later.
    pub escalation: &'a [Step],
    /// Through which channels they are told.
    pub channels: &'a [String],
    /// How many have approved.
    pub approved: u32,
    /// Who voted.
    pub votes: Vec<VoteView<'a>>,
    /// When it was parked, RFC 3339 in UTC.
    pub created: String,
    /// When it became final, RFC 3339 in UTC.
    pub ended: Option<String>,
    /// When the approved call was released, RFC 3339 in UTC.
    pub released: Option<String>,
}

/// One operator's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VoteView<'a> {
    /// Who.
    pub operator: &'a str,
    /// `approve` or `deny`.
    pub decision: &'static str,
    /// Why.
    pub comment: Option<&'a str>,
    /// When, RFC 3339 in UTC.
    pub time: String,
}

impl Approval {
    /// What the agent is told: the `approval` object of an inspect answer.
    #[must_use]
    pub fn notice(&self, now_ms: u64) -> Notice<'_> {
        Notice {
            id: self.id,
            state: self.state_at(now_ms),
            deadline: time(self.deadline_ms),
            poll: format!("/v1/approvals/{}", self.id),
            required: self.plan.quorum,
            reasons: &self.reasons,
        }
    }

    /// What approvers and auditors see.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> View<'_> {
        let votes = self.votes.iter().map(|vote| VoteView {
            operator: &vote.operator,
            decision: if vote.approve { "approve" } else { "deny" },
            comment: vote.comment.as_deref(),
            time: time(vote.time_ms),
        });
        View {
            notice: self.notice(now_ms),
            tenant: &self.tenant,
            agent: &self.agent,
            session: self.session.as_deref(),
            upstream: self.upstream.as_deref(),
            tool: &self.tool,
            phase: self.phase,
            call: self.call,
            digest: self.digest,
            generation: self.generation,
            summary: &self.plan.summary,
            approvers: &self.plan.approvers,
            escalation: &self.plan.escalation,
            channels: &self.plan.channels,
            approved: self.approvals(),
            votes: votes.collect(),
            created: time(self.created_ms),
            ended: self.ended_ms.map(time),
            released: self.released_ms.map(time),
        }
    }
}

/// RFC 3339 with milliseconds. Times past the year 9999 are shown as its end.
fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}
