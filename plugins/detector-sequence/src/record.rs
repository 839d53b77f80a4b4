//! What is remembered of sessions: a few hundred bytes each, four to a key, so that an agent that makes up names of
//! sessions takes a bounded part of the store.

/// Version of this form; what has another one is forgotten.
const VERSION: u8 = 1;
/// Sessions under one key; the one that rested longest makes room.
const SESSIONS: usize = 4;
/// Calls of a session that are told apart; the one that rested longest makes room.
const CALLS: usize = 16;
const MINUTE: u32 = 60;

/// The sessions under one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot(Vec<Record>);

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Hash of its name.
    id: u64,
    /// Second of its last call.
    last: u32,
    /// Calls since the last one that did more than read.
    pub(crate) reads: u16,
    /// What it did before, a bit each.
    pub(crate) done: u8,
    /// Which sensitive things it read, a bit each.
    pub(crate) sensitive: u32,
    /// All calls.
    pub(crate) all: Rate,
    /// Those that did more than read.
    pub(crate) acts: Rate,
    repeats: Vec<Repeat>,
}

/// Calls in about the last minute: those of this minute of the clock, and as much of the one before as is still near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    minute: u32,
    now: u16,
    before: u16,
}

/// One call that may come again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Repeat {
    /// Hash of tool and arguments.
    call: u64,
    /// Second since when it is counted.
    since: u32,
    /// Second of the last time.
    last: u32,
    count: u16,
}

impl Rate {
    pub(crate) fn count(&mut self, second: u32) {
        let minute = second / MINUTE;
        if minute != self.minute {
            self.before = if minute == self.minute.saturating_add(1) { self.now } else { 0 };
            (self.minute, self.now) = (minute, 0);
        }
        self.now = self.now.saturating_add(1);
    }

    /// Calls in the minute that ends with this second, as far as this minute's and the last one's numbers tell.
    pub(crate) fn per_minute(self, second: u32) -> u32 {
        let left = MINUTE - 1 - second % MINUTE;
        u32::from(self.now) + u32::from(self.before) * left / MINUTE
    }
}

impl Record {
    /// Counts a call and says how often it came within so many seconds.
    pub(crate) fn repeated(&mut self, call: u64, second: u32, within: u32) -> u16 {
        if let Some(known) = self.repeats.iter_mut().find(|known| known.call == call) {
            if second.saturating_sub(known.since) > within {
                // Half of it goes on, so that a loop is not forgotten each time the window is over.
                let near = second.saturating_sub(known.last) <= within;
                known.count = if near { known.count / 2 } else { 0 };
                known.since = second;
            }
            known.count = known.count.saturating_add(1);
            known.last = second;
            return known.count;
        }
        if self.repeats.len() >= CALLS
            && let Some((oldest, _)) = self.repeats.iter().enumerate().min_by_key(|(_, one)| one.last)
        {
            self.repeats.swap_remove(oldest);
        }
        self.repeats.push(Repeat { call, since: second, last: second, count: 1 });
        1
    }
}

impl Slot {
    /// What is kept under a key; nothing if it has another form.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut input = Input(bytes);
        input.slot().unwrap_or_default()
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for record in &self.0 {
            out.extend(record.id.to_le_bytes());
            out.extend(record.last.to_le_bytes());
            out.extend(record.reads.to_le_bytes());
            out.push(record.done);
            out.extend(record.sensitive.to_le_bytes());
            for rate in [record.all, record.acts] {
                out.extend(rate.minute.to_le_bytes());
                out.extend(rate.now.to_le_bytes());
                out.extend(rate.before.to_le_bytes());
            }
            out.push(u8::try_from(record.repeats.len()).unwrap_or(u8::MAX));
            for repeat in &record.repeats {
                out.extend(repeat.call.to_le_bytes());
                out.extend(repeat.since.to_le_bytes());
                out.extend(repeat.last.to_le_bytes());
                out.extend(repeat.count.to_le_bytes());
            }
        }
        out
    }

    /// The session with this id, a new one if it is not there or rested longer than `remember` seconds. It is the last one
    /// from now on.
    pub(crate) fn session(&mut self, id: u64, second: u32, remember: u32) -> &mut Record {
        self.0.retain(|record| second.saturating_sub(record.last) <= remember);
        let known = self.0.iter().position(|record| record.id == id).map(|at| self.0.remove(at));
        if known.is_none()
            && self.0.len() >= SESSIONS
            && let Some((oldest, _)) = self.0.iter().enumerate().min_by_key(|(_, record)| record.last)
        {
            self.0.remove(oldest);
        }
        let mut record = known.unwrap_or_else(|| Record { id, ..Record::default() });
        // A call taken earlier may come later.
        record.last = record.last.max(second);
        self.0.push_mut(record)
    }
}

/// Bytes that are read one number after the other.
struct Input<'b>(&'b [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn short(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn slot(&mut self) -> Option<Slot> {
        if self.byte()? != VERSION {
            return None;
        }
        let mut records = Vec::new();
        while !self.0.is_empty() {
            records.push(self.record()?);
        }
        Some(Slot(records))
    }

    fn record(&mut self) -> Option<Record> {
        let (id, last, reads, done, sensitive) =
            (self.long()?, self.word()?, self.short()?, self.byte()?, self.word()?);
        let (all, acts) = (self.rate()?, self.rate()?);
        let count = self.byte()?;
        let repeats = (0..count).map(|_| self.repeat()).collect::<Option<Vec<_>>>()?;
        Some(Record { id, last, reads, done, sensitive, all, acts, repeats })
    }

    fn rate(&mut self) -> Option<Rate> {
        Some(Rate { minute: self.word()?, now: self.short()?, before: self.short()? })
    }

    fn repeat(&mut self) -> Option<Repeat> {
        Some(Repeat { call: self.long()?, since: self.word()?, last: self.word()?, count: self.short()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut slot = Slot::default();
        for session in 0..3 {
            let record = slot.session(session, 1_000, 60);
            record.all.count(1_000);
            record.sensitive = 5;
            for call in 0..20 {
                record.repeated(call, 1_000, 60);
            }
        }
        let bytes = slot.write();
        assert_eq!(Slot::read(&bytes), slot);
        for length in 0..bytes.len() {
            Slot::read(&bytes[..length]);
        }
        assert_eq!(Slot::read(b"\xff\x00"), Slot::default());
        assert!(bytes.len() < 1_500, "{}", bytes.len());
    }

    #[test]
    fn sessions_and_calls_are_bounded_and_the_oldest_goes() {
        let mut slot = Slot::default();
        for session in 0..10_000_u32 {
            slot.session(session.into(), 1_000 + session / 1_000, 60).reads = 7;
        }
        assert_eq!(slot.0.len(), SESSIONS);
        assert_eq!(slot.session(9_999, 1_010, 60).reads, 7);
        assert_eq!(slot.session(1, 1_010, 60).reads, 0);
        let record = slot.session(1, 1_010, 60);
        for call in 0..10_000 {
            record.repeated(call, 1_010, 60);
        }
        assert_eq!(record.repeats.len(), CALLS);
        assert_eq!(slot.session(9_999, 1_071, 60).reads, 0, "it rested too long");
    }

    #[test]
    fn a_rate_forgets_what_was_a_minute_ago() {
        let mut rate = Rate::default();
        for second in 600..660 {
            rate.count(second);
        }
        assert_eq!(rate.per_minute(659), 60);
        rate.count(690);
        assert_eq!(rate.per_minute(690), 1 + 60 * 29 / 60);
        rate.count(900);
        assert_eq!(rate.per_minute(900), 1);
    }

    #[test]
    fn a_loop_is_counted_within_its_window() {
        let mut record = Record::default();
        assert_eq!((0..8).map(|n| record.repeated(1, 100 + n, 60)).last(), Some(8));
        assert_eq!(record.repeated(2, 108, 60), 1);
        assert_eq!(record.repeated(1, 165, 60), 5, "half of it");
        assert_eq!(record.repeated(1, 500, 60), 1, "long ago");
    }
}
