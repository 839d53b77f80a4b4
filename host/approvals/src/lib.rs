//! Parked calls: who may release them, how many must agree, until when.
//!
//! [`Approval`] is the state machine, without clock or I/O: it maps a state and an event to the next state.
//! [`Approvals`] keeps the approvals of all tenants and makes every change in two steps: a [`Change`] is worked out and
//! holds the turn; its records are made durable together with the ledger entry about it; then [`Change::commit`] lets
//! everybody see it. A change that is dropped never happened. So nobody acts on an approval that a restart would forget,
//! and of two changes at the same time exactly one is made.
//!
//! The arguments of a call are not kept here, only its digest and what the router wrote for the approver.
#![forbid(unsafe_code)]

mod approval;
mod index;
mod view;

pub use approval::{Approval, DecideError, MAX_COMMENT, MAX_DEADLINE_SECONDS, PlanError, ReleaseError, State, Vote};
pub use index::{Approvals, Ballot, Change, Event, Limits, LoadError, ParkError, ParkRequest, RECORDS, Record};
pub use view::{Notice, View, VoteView};
