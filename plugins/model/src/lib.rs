//! Small linear text models: hashed words and letters, scored window by window.
//!
//! A text is cut into blocks of words; a window is two blocks beside each other, so that each word lies in two windows.
//! [`Blocks::of`] hashes every word, pair of words and run of four letters once; of texts that are not cut at words, such
//! as commands, whose marks matter, the caller fills [`Blocks`]. A [`Head`] adds up its weights once for each block. The score of a
//! window is a logistic regression over the two sums, each divided by the root of how many were added, and a few dense features.
//! Hashing features into a fixed table is after Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009).
//!
//! Training code uses the same functions, so what was trained is what is scored. [`Reader`] and [`Calibration`] also serve models
//! of other kinds.
#![forbid(unsafe_code)]

mod blocks;
mod hash;
mod head;
mod table;

pub use crate::blocks::Blocks;
pub use crate::hash::{NOTHING, mix, pair, step};
pub use crate::head::{Head, Model};
pub use crate::table::{Calibration, ModelError, Reader};
