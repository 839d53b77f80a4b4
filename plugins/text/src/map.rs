//! Where each piece of a made text comes from.

use std::ops::Range;

/// From offsets in a made text to offsets in the text it was made of.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// Where a run starts in the made text and in its source, both rising. A run of the same length on both sides maps
    /// byte by byte, any other one as a whole.
    runs: Vec<(u32, u32)>,
    /// Lengths of the made text and of its source.
    end: (u32, u32),
}

/// Builds a text and its map together.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
    runs: Vec<(u32, u32)>,
    /// Where the next byte must come from to go on with the current run; none after a run that maps as a whole.
    next: Option<u32>,
}

impl Map {
    /// The smallest source range that covers `range`. Not necessarily between two characters of the source.
    pub fn origin(&self, range: Range<usize>) -> Range<usize> {
        let start = to_u32(range.start);
        let end = to_u32(range.end).max(start);
        // A run of length 0 at the start stands for something left out before it: the last run at that place counts.
        let first = self.runs.partition_point(|run| run.0 <= start).saturating_sub(1);
        let from =
            self.run(first).map_or(start, |run| if run.straight() { run.from + (start - run.at) } else { run.from });
        let last = self.runs.partition_point(|run| run.0 < end).saturating_sub(1);
        let to = self.run(last).map_or(end, |run| if run.straight() { run.from + (end - run.at) } else { run.until });
        let (from, to) = (from.min(self.end.1) as usize, to.min(self.end.1) as usize);
        from..to.max(from)
    }

    fn run(&self, index: usize) -> Option<Run> {
        let &(at, from) = self.runs.get(index)?;
        let &(stop, until) = self.runs.get(index + 1).unwrap_or(&self.end);
        Some(Run { at, from, stop, until })
    }
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Writer {
        Writer { text: String::with_capacity(capacity), ..Writer::default() }
    }

    /// Appends `made`, which stands for the source bytes `from..to`.
    pub(crate) fn put(&mut self, made: &str, from: usize, to: usize) {
        let straight = made.len() == to - from;
        if !(straight && self.next == Some(to_u32(from))) {
            self.runs.push((to_u32(self.text.len()), to_u32(from)));
        }
        self.next = straight.then_some(to_u32(to));
        self.text.push_str(made);
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The text and its map; `source` is the length of the whole source.
    pub(crate) fn finish(self, source: usize) -> (String, Map) {
        // What follows the last run in the source does not belong to it.
        let end = (to_u32(self.text.len()), self.next.unwrap_or(to_u32(source)));
        (self.text, Map { runs: self.runs, end })
    }
}

struct Run {
    at: u32,
    from: u32,
    stop: u32,
    until: u32,
}

impl Run {
    fn straight(&self) -> bool {
        self.stop - self.at == self.until.saturating_sub(self.from)
    }
}

/// Texts are far below 4 GiB: the engine caps a plugin's memory at that.
fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
