//! Groups of digits, and where values may begin and end.

/// Most groups of one number, and most digits.
const MOST_GROUPS: usize = 7;
pub(crate) const MOST_DIGITS: usize = 20;

/// Digits in groups, read from one place on. Kept from place to place for its memory.
#[derive(Debug, Default)]
pub(crate) struct Number {
    /// The digits of all groups, as ASCII.
    digits: Vec<u8>,
    pub(crate) groups: Vec<Group>,
}

/// Digits without anything in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Digits up to the end of this group.
    pub(crate) total: usize,
    /// What separates it from the group before: the most telling byte, and whether there are more.
    pub(crate) sep: u8,
    pub(crate) wide: bool,
}

impl Number {
    /// Reads groups of digits from `start`, where a group begins. A group that runs into a letter is not one.
    pub(crate) fn read(&mut self, bytes: &[u8], start: usize) {
        self.digits.clear();
        self.groups.clear();
        let (mut at, mut sep, mut wide) = (start, 0, false);
        while self.groups.len() < MOST_GROUPS {
            let rest = bytes.get(at..).unwrap_or_default();
            let run = rest.iter().take(MOST_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
            let end = at + run;
            #[cfg(test)]
            crate::tests::looked_at(run);
            let goes_on = is_word(byte(bytes, end)) && !extension(bytes, end, self.digits.len() + run);
            if run == 0 || goes_on || self.digits.len() + run > MOST_DIGITS {
                break;
            }
            self.digits.extend(rest.iter().take(run));
            self.groups.push(Group { start: at, end, total: self.digits.len(), sep, wide });
            let rest = bytes.get(end..).unwrap_or_default();
            let gap = rest.iter().take(4).take_while(|byte| b" -./()".contains(byte)).count();
            if gap == 0 || gap > 3 {
                break;
            }
            let signs = rest.get(..gap).unwrap_or_default();
            sep = signs.iter().copied().find(|sign| *sign != b' ').unwrap_or(b' ');
            wide = gap > 1;
            at = end + gap;
        }
    }

    /// The digits of the first `count` groups.
    pub(crate) fn digits(&self, count: usize) -> &[u8] {
        let total = count.checked_sub(1).and_then(|last| self.groups.get(last)).map_or(0, |group| group.total);
        self.digits.get(..total).unwrap_or_default()
    }

    /// Lengths of the first `count` groups, four bits each: 0x334 for three, three and four digits. Longer ones than 15
    /// count as 15.
    pub(crate) fn shape(&self, count: usize) -> u32 {
        let lengths = self.groups.iter().take(count).map(|group| (group.end - group.start).min(15) as u32);
        lengths.fold(0, |shape, length| shape << 4 | length)
    }

    /// Whether one sign, and always the same, separates the first `count` groups.
    pub(crate) fn is_even(&self, count: usize) -> bool {
        let mut seps = self.groups.iter().take(count).skip(1);
        let first = self.groups.get(1).map(|group| group.sep);
        seps.all(|group| !group.wide && Some(group.sep) == first)
    }

    /// Whether the group after the first `count` is one more of the same: a row goes on.
    pub(crate) fn goes_on_evenly(&self, count: usize) -> bool {
        let (Some(last), Some(next)) =
            (count.checked_sub(1).and_then(|at| self.groups.get(at)), self.groups.get(count))
        else {
            return false;
        };
        count > 1 && next.end - next.start == last.end - last.start && next.sep == last.sep
    }

    /// Whether a value may end with group number `count`: what follows does not go on with it.
    pub(crate) fn ends(&self, bytes: &[u8], count: usize) -> bool {
        let Some(last) = count.checked_sub(1).and_then(|last| self.groups.get(last)) else { return false };
        match self.groups.get(count) {
            Some(next) => byte(bytes, last.end) == b' ' && (next.sep == b' ' || next.sep == b'('),
            None => !goes_on(bytes, last.end),
        }
    }

    /// Whether the first three groups are a date of the last or this century.
    pub(crate) fn is_date(&self) -> bool {
        let value = |at: usize| {
            let group = self.groups.get(at)?;
            let from = group.total - (group.end - group.start);
            Some((group.end - group.start, crate::checksum::number(self.digits.get(from..group.total)?)))
        };
        let (Some(a), Some(b), Some(c)) = (value(0), value(1), value(2)) else { return false };
        let same = self.groups.get(1).map(|group| group.sep) == self.groups.get(2).map(|group| group.sep);
        let year = |part: (usize, u32)| part.0 == 4 && matches!(part.1, 1900..=2100);
        let short = |part: (usize, u32), most: u32| part.0 <= 2 && (1..=most).contains(&part.1);
        let either = (short(a, 31) && short(b, 12)) || (short(a, 12) && short(b, 31));
        let last = year(c) || (c.0 == 2 && self.groups.len() == 3 && a.0 == 2 && b.0 == 2);
        same && ((year(a) && short(b, 12) && short(c, 31)) || (either && last))
    }
}

/// The byte at a place; zero beyond the end.
pub(crate) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

/// The byte before a place; zero at the beginning.
pub(crate) fn byte_before(bytes: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(0, |at| byte(bytes, at))
}

/// Letters of any script, digits and `_`.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether the value that begins at `start` is the tail of a longer one: `-` or `.` joins it to a word with a digit.
pub(crate) fn is_tail(bytes: &[u8], start: usize) -> bool {
    let before = byte_before(bytes, start);
    if is_word(before) {
        return true;
    }
    b"-./:".contains(&before) && {
        let end = start - 1;
        let word = bytes.get(end.saturating_sub(8)..end).unwrap_or_default();
        let mut word = word.iter().rev().take_while(|byte| is_word(**byte));
        if b"-.".contains(&before) { word.any(u8::is_ascii_digit) } else { word.next().is_some_and(u8::is_ascii_digit) }
    }
}

/// Whether what ends at `end` goes on: a word, or a sign and a word with a digit.
pub(crate) fn goes_on(bytes: &[u8], end: usize) -> bool {
    let next = byte(bytes, end);
    if is_word(next) {
        return !extension(bytes, end, 7);
    }
    b"-./:".contains(&next) && {
        let rest = bytes.get(end + 1..).unwrap_or_default();
        let mut word = rest.iter().take(8).take_while(|byte| is_word(**byte));
        if b"-.".contains(&next) { word.any(u8::is_ascii_digit) } else { word.next().is_some_and(u8::is_ascii_digit) }
    }
}

/// Whether a telephone extension follows a number of `digits`: `x` and digits.
fn extension(bytes: &[u8], end: usize, digits: usize) -> bool {
    digits >= 7 && byte(bytes, end) == b'x' && byte(bytes, end + 1).is_ascii_digit()
}
