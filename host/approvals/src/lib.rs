//! Parked calls: state machine, quorum, deadlines.
#![forbid(unsafe_code)]
