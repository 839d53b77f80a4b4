//! Scores detectors on labelled texts, as they are built and as they run: in the engine, under the limits of a call.
//!
//! A [`Row`] is one labelled text. Its [`Question`] says which call it stands for and which findings answer it. An
//! [`Evaluation`] takes the answers in and tells, for each question and each source, what the scores come to. Beside every
//! detector stands a list of [keywords](keyword_score): what is not better than that is not worth its name.
#![forbid(unsafe_code)]

mod component;
mod evaluation;
mod keywords;
mod question;
mod row;

pub use crate::component::{Components, GRANTED, NotScored};
pub use crate::evaluation::{Answer, Cost, Evaluation, Figures, OfQuestion, OfSource};
pub use crate::keywords::keyword_score;
pub use crate::question::Question;
pub use crate::row::{MAX_LINE, Row, RowError, Rows};
