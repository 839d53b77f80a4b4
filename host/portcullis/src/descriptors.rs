//! File descriptors: without any left, the ledger could not write and no connection could be taken.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything but connections: store, logs, plugins, child processes.
const OWN: u64 = 512;
/// A connection may have one to an upstream behind it.
const EACH: u64 = 2;

/// Asks the system for as many descriptors as it gives, and says how many of the configured connections fit.
pub(crate) fn connections(configured: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::warn!("the limit of open files could not be raised");
    }
    // No limit is said by none.
    let Some(limit) = getrlimit(Resource::Nofile).current else { return configured };
    let fits = fitting(limit);
    if configured > fits {
        tracing::warn!(limit, connections = fits, "the limit of open files allows fewer connections than configured");
    }
    configured.min(fits)
}

fn fitting(limit: u64) -> usize {
    let own = OWN.min(limit / 2);
    usize::try_from((limit.saturating_sub(own) / EACH).max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_rest() {
        assert_eq!([fitting(0), fitting(64), fitting(1_024), fitting(1 << 20)], [1, 16, 256, 524_032]);
    }
}
