//! Copies of calls on their way to candidates, off the path of the calls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use portcullis_engine::Heard;
use portcullis_model::{Call, Judgement};

use crate::candidate::{Candidate, Outward};
use crate::report::Said;

/// Most copies that wait.
pub const MAX_WAITING: usize = 256;
/// Most bytes of copies that wait: payloads, and what plugins were told.
pub const MAX_WAITING_BYTES: usize = 32 << 20;

/// A copy of a call, and what was said of it with effect.
struct Sample {
    candidate: Arc<Candidate>,
    call: Call,
    live: Said,
    /// What plugins were told for that.
    told: Vec<Arc<str>>,
    /// Bytes that it counts for.
    size: usize,
}

/// One thread judges all copies, one after the other; it begins with the first one.
#[derive(Default)]
pub(crate) struct Shadows {
    queue: OnceLock<Option<SyncSender<Sample>>>,
    bytes: Arc<AtomicUsize>,
}

impl Shadows {
    /// Never waits: a copy that finds no room is given up and counted.
    pub(crate) fn take(&self, candidate: &Arc<Candidate>, call: &Call, live: &Judgement) {
        candidate.sampled.fetch_add(1, Ordering::Relaxed);
        let told: Vec<_> = live.plugins.iter().filter_map(|run| run.told.clone()).collect();
        let size = call.payload.raw().len() + told.iter().map(|told| told.len()).sum::<usize>();
        let before = self.bytes.fetch_add(size, Ordering::AcqRel);
        let room = before.saturating_add(size) <= MAX_WAITING_BYTES;
        let queue = self.queue.get_or_init(|| start(Arc::clone(&self.bytes)));
        let sent = room
            && queue.as_ref().is_some_and(|queue| {
                let (candidate, call, live) = (Arc::clone(candidate), call.clone(), Said::of(live));
                let copy = Sample { candidate, call, live, told, size };
                queue.try_send(copy).is_ok()
            });
        if !sent {
            self.bytes.fetch_sub(size, Ordering::AcqRel);
            candidate.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread ends when nobody sends any more.
fn start(bytes: Arc<AtomicUsize>) -> Option<SyncSender<Sample>> {
    let (sender, receiver) = sync_channel(MAX_WAITING);
    let work = move || judge_all(&receiver, &bytes);
    thread::Builder::new().name("portcullis-shadow".to_owned()).spawn(work).ok().map(|_| sender)
}

fn judge_all(copies: &Receiver<Sample>, bytes: &AtomicUsize) {
    while let Ok(Sample { candidate, call, live, told, size }) = copies.recv() {
        // One call is no reason to look at none any more.
        let judged = catch_unwind(AssertUnwindSafe(|| match candidate.trial().outside {
            Outward::Send => (candidate.shadow().judge(&call), 0),
            Outward::Refuse => {
                let heard = Arc::new(Heard::of(told.iter().map(|told| &**told)));
                (candidate.shadow().judge_hearing(&call, &heard), heard.unsent())
            }
        }));
        bytes.fetch_sub(size, Ordering::AcqRel);
        let Ok((judgement, unsent)) = judged else {
            candidate.dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        if unsent > 0 {
            // What it said is no sign of what it would say.
            candidate.tools().add_unsent(&call);
        } else {
            candidate.tools().add(&call, live, Said::of(&judgement));
        }
    }
}
