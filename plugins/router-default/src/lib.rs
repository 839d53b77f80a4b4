//! Routes parked calls to one approver with a deadline.
