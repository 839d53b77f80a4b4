//! Parked calls: who may release them, how many must agree, until when.
//!
//! [`Approval`] is the state machine, without clock or I/O: it maps a state and an event to the next state.
//! [`Approvals`] keeps the approvals of all tenants and makes every change in two steps: a [`Change`] is worked out and
//! holds the turn; its records are made durable together with the ledger entry about it; then [`Change::commit`] lets
//! everybody see it. A change that is dropped never happened. So nobody acts on an approval that a restart would forget,
//! and of two changes at the same time exactly one is made.
//!
//! [`Outbox`] holds what people must be told of these changes: its messages are durable with the change that they are
//! about.
//!
//! The arguments of a call are not kept, only its digest and what the router wrote for the approver; unless the router lets
//! approvers change them: then they are among the [`records`](Change::records) until the approval is final.
#![forbid(unsafe_code)]

mod approval;
mod index;
mod modification;
mod outbox;
mod view;

pub use approval::{
    Approval, CLAIM_MS, Claim, Comment, DecideError, MAX_COMMENT, MAX_COMMENTS, MAX_DEADLINE_SECONDS, PlanError,
    ReleaseError, State, Vote, Voter,
};
pub use index::{
    Approvals, Ballot, Change, Event, Filter, Limits, LoadError, MAX_ARGUMENTS, ParkError, ParkRequest, RECORDS, Record,
};
pub use modification::{ArgumentChange, KeptCall, MAX_CHANGES, Modification, ModificationError, modify};
pub use outbox::{Backoff, Message, MessageKind, MessageState, OUTBOX_RECORDS, Outbox, OutboxCounts, OutboxLimits};
pub use view::{ClaimView, CommentView, ModificationView, Notice, View, VoteView, time};
