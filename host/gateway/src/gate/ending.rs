//! What another part stores together with the entry about the end of a call.

use std::fmt;

use portcullis_ledger::Attachment;
use portcullis_model::{Document, Judgement, Outcome};

/// What the caller gets at the end of a call.
#[derive(Clone, Copy, Debug)]
pub enum Delivered<'d> {
    /// Nothing: the upstream failed, or its answer could not be looked at.
    Nothing,
    /// What the tool answered, as policy lets it pass.
    Result(&'d Document),
    /// The upstream's own error, as policy lets it pass.
    Error(&'d Document),
    /// Policy withholds the answer.
    Withheld(&'d Judgement),
}

/// Says what is stored in the same batch as the entry about the end of a call.
pub trait Ending: fmt::Debug + Send + Sync {
    /// The end is about to be recorded.
    fn ended(&self, outcome: Outcome, delivered: Delivered<'_>) -> Vec<Attachment>;
}
