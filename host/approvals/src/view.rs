//! Approvals as the doors show them.

use jiff::Timestamp;
use portcullis_model::{Approver, Digest, Phase, Reason, Step};
use serde::Serialize;
use uuid::Uuid;

use crate::modification::ArgumentChange;
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
    /// Who looks at it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<ClaimView<'a>>,
    /// What was said of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<CommentView<'a>>,
    /// Whether an approver may change its arguments.
    pub may_modify: bool,
    /// What an approver changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<ModificationView<'a>>,
    /// Why it was denied without a vote: a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<&'a str>,
}

/// Who looks at a parked call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClaimView<'a> {
    /// Who.
    pub operator: &'a str,
    /// Until when, RFC 3339 in UTC.
    pub until: String,
}

/// What was said of a parked call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommentView<'a> {
    /// Who.
    pub operator: &'a str,
    /// What.
    pub comment: &'a str,
    /// When, RFC 3339 in UTC.
    pub time: String,
}

/// How a parked call was changed. Those who approve it must see the values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModificationView<'a> {
    /// Who.
    pub operator: &'a str,
    /// Digest of the call with the new arguments.
    pub digest: Digest,
    /// Sequence number of the entry about that call.
    pub entry: u64,
    /// What was replaced by what: pointers and JSON texts.
    pub changes: &'a [ArgumentChange],
    /// Why.
    pub comment: Option<&'a str>,
    /// When, RFC 3339 in UTC.
    pub time: String,
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
    /// Whether it does not count any more.
    pub lapsed: bool,
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
            lapsed: vote.lapsed,
        });
        let comments = self.comments.iter().map(|comment| CommentView {
            operator: &comment.operator,
            comment: &comment.text,
            time: time(comment.time_ms),
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
            claimed: self
                .claim_at(now_ms)
                .map(|claim| ClaimView { operator: &claim.operator, until: time(claim.until_ms) }),
            comments: comments.collect(),
            may_modify: self.plan.may_modify,
            modified: self.modification.as_ref().map(|changed| ModificationView {
                operator: &changed.operator,
                digest: changed.digest,
                entry: changed.entry,
                changes: &changed.changes,
                comment: changed.comment.as_deref(),
                time: time(changed.time_ms),
            }),
            withdrawn: self.withdrawn.as_deref(),
        }
    }
}

/// RFC 3339 with milliseconds. Times past the year 9999 are shown as its end.
#[must_use]
pub fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}
