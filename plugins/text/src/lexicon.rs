//! Many words found in one pass: an Aho-Corasick automaton whose alphabet already joins upper and lower case, kinds of
//! white space and leet digits, and in which a stretch of white space counts as one space.
//!
//! The states near the root, where a search spends nearly all its time, have a full row of next states each; the others
//! have the few steps that go on, and the state to fall back to. All rows together would be megabytes, which no cache holds
//! and every snapshot would carry.
//!
//! Crate `aho-corasick` has the automaton but neither the joined alphabet nor the stretch of white space, and a second
//! pass to bring them about costs as much as the search.

/// Words with a number each.
#[derive(Debug, Clone)]
pub struct Lexicon {
    /// Symbol of each byte; 0 is "in no word".
    symbols: [u8; 256],
    /// Binary logarithm of the width of a row: at least as wide as there are symbols.
    shift: u32,
    /// Next state by state and symbol, for the states near the root, which have the lowest numbers. The top bit says that
    /// words end in that next state.
    next: Vec<u16>,
    deep: Deep,
    ends: Ends,
    /// Whether all words that end in a state must end between letters, by state.
    closed: Vec<bool>,
    words: Vec<Word>,
    /// Symbols of all words, one after the other: thousands of lists of a few bytes would lie in as many places of the snapshot
    /// of a plugin, with gaps that calls would fill, each in a page of its own.
    spelt: Vec<u8>,
}

/// Words that end in a state, by state.
#[derive(Debug, Clone, Default)]
struct Ends {
    /// Where the words of a state begin in the list; those of the next one are behind them.
    from: Vec<u32>,
    list: Vec<u16>,
}

/// A word found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// The number it was added with.
    pub id: u16,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Why a lexicon cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum LexiconError {
    /// Nothing left of a word once its marks are taken away.
    #[error("an empty word (number {0}) cannot be searched for: remove it or write the word")]
    Empty(u16),
    /// More than the table can number.
    #[error("too many words: at most {MOST_STATES} different word beginnings fit; remove some of the extra words")]
    TooMany,
}

const MOST_STATES: usize = 0x7fff;
const ENDS: u16 = 0x8000;
const SPACE: u8 = 1;
/// Longest beginnings of words that have a full row, and most rows.
const NEAR: usize = 2;
const MOST_ROWS: usize = 1024;
/// No byte's symbol.
const NO_STEP: u16 = 0x100;

/// The states that have no full row.
#[derive(Debug, Clone)]
struct Deep {
    /// Number of the first of them.
    first: usize,
    states: Vec<State>,
    /// Steps of those that have more than one: symbol and target.
    further: Vec<(u8, u16)>,
}

/// A state that has no full row. Nearly all of them have one step or none, which is looked at first.
#[derive(Debug, Clone)]
struct State {
    /// Symbol and target of the first step; [`NO_STEP`] where there is none.
    symbol: u16,
    target: u16,
    /// Where to go on from where no step fits.
    fail: u16,
    /// What a space leads to where it leads back to the state itself, 0 elsewhere.
    again: u16,
    /// Where the other steps lie.
    from: u32,
    to: u32,
}

#[derive(Debug, Clone)]
struct Word {
    id: u16,
    /// Where its symbols are.
    from: u32,
    to: u32,
    /// Whether it holds spaces, and so may be longer in a text.
    spaced: bool,
    /// Whether it is the beginning of longer words.
    goes_on: bool,
    /// Whether the byte before must not be a letter or digit, and the one after.
    edges: (bool, bool),
}

impl Lexicon {
    /// Builds the automaton. A word may hold single spaces, which stand for any white space; a `*` at its end (or start)
    /// lets it go on there, otherwise it must end between letters. Words are compared without case.
    ///
    /// # Errors
    /// An empty word, or more than 32,767 states.
    pub fn new<'w>(words: impl IntoIterator<Item = (&'w str, u16)>) -> Result<Lexicon, LexiconError> {
        let mut symbols = [0u8; 256];
        let mut width = usize::from(SPACE) + 1;
        for byte in b" \t\r\n\x0b\x0c" {
            set(&mut symbols, *byte, SPACE);
        }
        let mut list = Vec::new();
        let mut spelt = Vec::new();
        for (text, id) in words {
            let (open_start, text) = text.strip_prefix('*').map_or((false, text), |text| (true, text));
            let (open_end, text) = text.strip_suffix('*').map_or((false, text), |text| (true, text));
            let from = spelt.len();
            for byte in text.bytes() {
                let byte = plain(byte);
                let mut symbol = symbol_of(&symbols, byte);
                if symbol == 0 {
                    // 255 symbols are enough for every byte but the six of white space.
                    symbol = u8::try_from(width).map_err(|_| LexiconError::TooMany)?;
                    width += 1;
                    set(&mut symbols, byte, symbol);
                    set(&mut symbols, byte.to_ascii_uppercase(), symbol);
                }
                spelt.push(symbol);
            }
            let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let edges = (!open_start && edge(text.as_bytes().first()), !open_end && edge(text.as_bytes().last()));
            if text.is_empty() {
                return Err(LexiconError::Empty(id));
            }
            let spaced = spelt.iter().skip(from).any(|symbol| *symbol == SPACE);
            let goes_on = open_end && !open_start && edge(text.as_bytes().last());
            let (from, to) = (place(from)?, place(spelt.len())?);
            list.push(Word { id, from, to, spaced, goes_on, edges });
        }
        // The digit of a leet spelling is its letter, in words as in texts.
        for leet in b"013457" {
            let symbol = symbol_of(&symbols, plain(*leet));
            set(&mut symbols, *leet, symbol);
        }
        // A shift takes a third of the time of the multiplication that would wait for every byte.
        let shift = width.next_power_of_two().trailing_zeros();
        let Automaton { next, deep, ends } = automaton(&list, &spelt, 1 << shift)?;
        let ends_between = |word: &u16| list.get(usize::from(*word)).is_some_and(|word: &Word| word.edges.1);
        let closed = (0..ends.from.len()).map(|state| ends.of(state).iter().all(ends_between)).collect();
        Ok(Lexicon { symbols, shift, next, deep, ends, closed, words: list, spelt })
    }

    /// All words in `text` in order of their ends, at most `most`. `loose` ignores word edges (for letters that were set
    /// apart).
    pub fn hits(&self, text: &str, loose: bool, most: usize) -> Vec<Hit> {
        let mut found = Vec::new();
        let bytes = text.as_bytes();
        let (symbols, next, shift) = (&self.symbols, self.next.as_slice(), self.shift);
        let mut state = 0usize;
        for (at, byte) in bytes.iter().enumerate() {
            // Both tables cover every byte and state; the default is never taken.
            let symbol = symbols.get(usize::from(*byte)).copied().unwrap_or(0);
            let row = state << shift;
            let entry = match next.get(row | usize::from(symbol)) {
                Some(entry) => *entry,
                None => self.deep.step(state, symbol, next, shift),
            };
            state = usize::from(entry & !ENDS);
            if entry & ENDS == 0 {
                continue;
            }
            // Most words that end here are only the beginning of others.
            let inside = bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
            if inside && !loose && self.closed.get(state).copied().unwrap_or(false) {
                continue;
            }
            self.report(bytes, at + 1, state, loose, &mut found);
            if found.len() >= most {
                found.truncate(most);
                break;
            }
        }
        found
    }

    /// Adds the words that end at `end` and stand alone.
    fn report(&self, bytes: &[u8], end: usize, state: usize, loose: bool, found: &mut Vec<Hit>) {
        let letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        for word in self.ends.of(state).iter().filter_map(|word| self.words.get(usize::from(*word))) {
            if !loose && word.edges.1 && letter(Some(end)) {
                continue;
            }
            let spelt = self.spelt.get(word.from as usize..word.to as usize).unwrap_or_default();
            let mut start = end.saturating_sub(spelt.len());
            if word.spaced {
                // Backwards, since a space may be any stretch of white space.
                start = end;
                for symbol in spelt.iter().rev() {
                    start = start.saturating_sub(1);
                    if *symbol == SPACE {
                        while start > 0 && bytes.get(start - 1).is_some_and(u8::is_ascii_whitespace) {
                            start -= 1;
                        }
                    }
                }
            }
            if !loose && word.edges.0 && letter(start.checked_sub(1)) {
                continue;
            }
            // A word that may go on is told as a whole.
            let more = if word.goes_on {
                bytes.iter().skip(end).take(24).take_while(|byte| byte.is_ascii_alphanumeric()).count()
            } else {
                0
            };
            found.push(Hit { id: word.id, start, end: end + more });
        }
    }
}

/// The letter a byte stands for: small, and no leet digit.
fn plain(byte: u8) -> u8 {
    match byte {
        b'0' => b'o',
        b'1' => b'i',
        b'3' => b'e',
        b'4' => b'a',
        b'5' => b's',
        b'7' => b't',
        _ => byte.to_ascii_lowercase(),
    }
}

fn set(symbols: &mut [u8; 256], byte: u8, symbol: u8) {
    if let Some(slot) = symbols.get_mut(usize::from(byte)) {
        *slot = symbol;
    }
}

fn symbol_of(symbols: &[u8; 256], byte: u8) -> u8 {
    symbols.get(usize::from(byte)).copied().unwrap_or(0)
}

impl Ends {
    /// Numbers of the words that end in a state.
    fn of(&self, state: usize) -> &[u16] {
        let Some(from) = self.from.get(state) else { return &[] };
        let to = self.from.get(state + 1).map_or(self.list.len(), |to| *to as usize);
        self.list.get(*from as usize..to).unwrap_or_default()
    }
}

impl Deep {
    /// The next state from `state`, or from the first of those it falls back to that knows the symbol.
    fn step(&self, mut state: usize, symbol: u8, next: &[u16], shift: u32) -> u16 {
        // A state falls back to one nearer to the root, so this ends; the defaults are never taken.
        while let Some(deep) = state.checked_sub(self.first) {
            let Some(here) = self.states.get(deep) else { return 0 };
            if here.symbol == u16::from(symbol) {
                return here.target;
            }
            if here.from < here.to {
                let further = self.further.get(here.from as usize..here.to as usize).unwrap_or_default();
                if let Some((_, target)) = further.iter().find(|(known, _)| *known == symbol) {
                    return *target;
                }
            }
            if symbol == SPACE && here.again != 0 {
                return here.again;
            }
            state = usize::from(here.fail);
        }
        next.get((state << shift) | usize::from(symbol)).copied().unwrap_or(0)
    }
}

/// What a search needs of the words.
struct Automaton {
    /// Full rows of the states near the root.
    next: Vec<u16>,
    deep: Deep,
    ends: Ends,
}

fn place(at: usize) -> Result<u32, LexiconError> {
    u32::try_from(at).map_err(|_| LexiconError::TooMany)
}

/// A state while the automaton is built.
#[derive(Default)]
struct Node {
    children: Vec<(u8, u16)>,
    ends: Vec<u16>,
    /// The symbol that leads here.
    last: u8,
    depth: usize,
    fail: usize,
}

#[expect(clippy::indexing_slicing, reason = "states and symbols are numbered by this very function")]
fn automaton(words: &[Word], spelt: &[u8], width: usize) -> Result<Automaton, LexiconError> {
    let number = |at: usize| u16::try_from(at).map_err(|_| LexiconError::TooMany);
    let mut nodes = vec![Node::default()];
    for (index, word) in words.iter().enumerate() {
        let mut state = 0;
        for symbol in &spelt[word.from as usize..word.to as usize] {
            let known = nodes[state].children.iter().find(|(known, _)| known == symbol).map(|(_, child)| *child);
            state = match known {
                Some(child) => usize::from(child),
                None => {
                    let child = nodes.len();
                    if child > MOST_STATES {
                        return Err(LexiconError::TooMany);
                    }
                    nodes.push(Node { last: *symbol, depth: nodes[state].depth + 1, ..Node::default() });
                    nodes[state].children.push((*symbol, number(child)?));
                    child
                }
            };
        }
        nodes[state].ends.push(number(index)?);
    }
    // Breadth first, so that the state to fall back to is complete when it is needed.
    let mut order = vec![0usize];
    let mut at = 0;
    while at < order.len() {
        let state = order[at];
        at += 1;
        for (symbol, child) in nodes[state].children.clone() {
            let child = usize::from(child);
            let fail = if state == 0 { 0 } else { follow(&nodes, nodes[state].fail, symbol) };
            let inherited = nodes[fail].ends.clone();
            nodes[child].ends.extend(inherited);
            nodes[child].fail = fail;
            order.push(child);
        }
    }
    // Numbered anew in that order: the states near the root come first.
    let mut renamed = vec![0u16; nodes.len()];
    for (new, old) in order.iter().enumerate() {
        renamed[*old] = number(new)?;
    }
    let entry = |state: usize| renamed[state] | if nodes[state].ends.is_empty() { 0 } else { ENDS };
    let first = order.iter().take(MOST_ROWS).take_while(|state| nodes[**state].depth <= NEAR).count();
    let mut next = Vec::with_capacity(first * width);
    for state in &order[..first] {
        let symbols = (0..width).map(|symbol| u8::try_from(symbol).unwrap_or(0));
        next.extend(symbols.map(|symbol| entry(follow(&nodes, *state, symbol))));
    }
    let mut deep = Deep { first, states: Vec::with_capacity(order.len() - first), further: Vec::new() };
    for state in &order[first..] {
        let node = &nodes[*state];
        let mut steps = node.children.iter().map(|(symbol, child)| (*symbol, entry(usize::from(*child))));
        let (symbol, target) = steps.next().map_or((NO_STEP, 0), |(symbol, target)| (u16::from(symbol), target));
        let from = place(deep.further.len())?;
        deep.further.extend(steps);
        let to = place(deep.further.len())?;
        let again = if node.last == SPACE { entry(*state) } else { 0 };
        deep.states.push(State { symbol, target, fail: renamed[node.fail], again, from, to });
    }
    let mut ends = Ends::default();
    for state in &order {
        ends.from.push(place(ends.list.len())?);
        ends.list.extend_from_slice(&nodes[*state].ends);
    }
    Ok(Automaton { next, deep, ends })
}

/// Where `symbol` leads from `state`: to a longer beginning of a word, back to the state itself for another space, or to where
/// the state falls back to.
#[expect(clippy::indexing_slicing, reason = "states are numbered by the caller")]
fn follow(nodes: &[Node], mut state: usize, symbol: u8) -> usize {
    loop {
        let node = &nodes[state];
        if let Some((_, child)) = node.children.iter().find(|(known, _)| *known == symbol) {
            return usize::from(*child);
        }
        if symbol == SPACE && node.last == SPACE {
            return state;
        }
        if state == 0 {
            return 0;
        }
        state = node.fail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &[&str], text: &str, loose: bool) -> Vec<(u16, String)> {
        let lexicon = Lexicon::new(words.iter().zip(0..).map(|(word, id)| (*word, id))).unwrap();
        lexicon.hits(text, loose, 100).iter().map(|hit| (hit.id, text[hit.start..hit.end].to_string())).collect()
    }

    #[test]
    fn words_are_found_whatever_their_case_spaces_and_digits() {
        let words = ["ignore", "system prompt", "instruct*", "he", "she"];
        assert_eq!(found(&words, "IGNORE it", false), [(0, "IGNORE".into())]);
        assert_eq!(found(&words, "1gn0r3 it", false), [(0, "1gn0r3".into())]);
        assert_eq!(found(&words, "the system \r\n\t prompt.", false), [(1, "system \r\n\t prompt".into())]);
        assert_eq!(found(&words, "instructions", false), [(2, "instructions".into())]);
        assert_eq!(found(&words, "ignored ushers", false), []);
        assert_eq!(found(&words, "ushers", true), [(4, "she".into()), (3, "he".into())]);
        assert_eq!(found(&words, "system  system prompt", false), [(1, "system prompt".into())]);
    }

    #[test]
    fn it_agrees_with_a_plain_search() {
        let words = ["ab", "ba b", "b a", "aab", "c", "abc a", "a  a"].map(|word| word.replace("  ", " "));
        let words: Vec<String> = words.iter().map(|word| format!("*{word}*")).collect();
        let lexicon = Lexicon::new(words.iter().zip(0..).map(|(word, id)| (word.as_str(), id))).unwrap();
        let mut seed = 7u32;
        for _ in 0..2000 {
            let text: String = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ['a', 'b', 'c', 'd', ' '][(seed >> 24) as usize % 5]
                })
                .collect();
            let mut squeezed = String::new();
            for c in text.chars() {
                if c != ' ' || !squeezed.ends_with(' ') {
                    squeezed.push(c);
                }
            }
            for (id, word) in words.iter().enumerate() {
                let word = word.trim_matches('*');
                let expected = (0..squeezed.len()).filter(|at| squeezed[*at..].starts_with(word)).count();
                let got = lexicon.hits(&text, false, 1000).iter().filter(|hit| usize::from(hit.id) == id).count();
                assert_eq!(got, expected, "{word:?} in {text:?}");
            }
        }
    }

    #[test]
    fn an_empty_word_is_refused() {
        assert!(matches!(Lexicon::new([("*", 3)]), Err(LexiconError::Empty(3))));
    }
}
