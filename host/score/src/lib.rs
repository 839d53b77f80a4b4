//! What scores of labelled texts come to: AUC, recall at a rate of false alarms, intervals, reliability, pictures.
//!
//! Everything is exact and in a fixed order, so that equal scores give equal figures on every machine.
#![forbid(unsafe_code)]

mod curve;
mod picture;
mod reliability;
mod share;

pub use crate::curve::{At, Point, Scores};
pub use crate::picture::{reliability_picture, roc_picture};
pub use crate::reliability::{Bin, Reliability};
pub use crate::share::Share;
