//! Many words found in one pass: an Aho-Corasick automaton as one dense table, whose alphabet already joins upper and
//! lower case, kinds of white space and leet digits, and in which a stretch of white space counts as one space.
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
    /// Next state by state and symbol. The top bit says that words end in that next state.
    next: Vec<u16>,
    /// Words that end in a state, by state.
    ends: Vec<Vec<u16>>,
    /// Whether all words that end in a state must end between letters, by state.
    closed: Vec<bool>,
    words: Vec<Word>,
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

#[derive(Debug, Clone)]
struct Word {
    id: u16,
    symbols: Vec<u8>,
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
        for (text, id) in words {
            let (open_start, text) = text.strip_prefix('*').map_or((false, text), |text| (true, text));
            let (open_end, text) = text.strip_suffix('*').map_or((false, text), |text| (true, text));
            let mut word = Vec::with_capacity(text.len());
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
                word.push(symbol);
            }
            let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let edges = (!open_start && edge(text.as_bytes().first()), !open_end && edge(text.as_bytes().last()));
            if word.is_empty() {
                return Err(LexiconError::Empty(id));
            }
            let spaced = word.contains(&SPACE);
            let goes_on = open_end && !open_start && edge(text.as_bytes().last());
            list.push(Word { id, symbols: word, spaced, goes_on, edges });
        }
        // The digit of a leet spelling is its letter, in words as in texts.
        for leet in b"013457" {
            let symbol = symbol_of(&symbols, plain(*leet));
            set(&mut symbols, *leet, symbol);
        }
        // A shift takes a third of the time of the multiplication that would wait for every byte.
        let shift = width.next_power_of_two().trailing_zeros();
        let (next, ends) = automaton(&list, 1 << shift)?;
        let closed = ends
            .iter()
            .map(|words| words.iter().all(|word| list.get(usize::from(*word)).is_some_and(|word| word.edges.1)))
            .collect();
        Ok(Lexicon { symbols, shift, next, ends, closed, words: list })
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
            let entry = next.get((state << shift) | usize::from(symbol)).copied().unwrap_or(0);
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
        for word in self.ends.get(state).into_iter().flatten().filter_map(|word| self.words.get(usize::from(*word))) {
            if !loose && word.edges.1 && letter(Some(end)) {
                continue;
            }
            let mut start = end.saturating_sub(word.symbols.len());
            if word.spaced {
                // Backwards, since a space may be any stretch of white space.
                start = end;
                for symbol in word.symbols.iter().rev() {
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

/// The trie of the words with all failing steps filled in.
#[expect(clippy::indexing_slicing, reason = "states and symbols are numbered by this very function")]
fn automaton(words: &[Word], width: usize) -> Result<(Vec<u16>, Vec<Vec<u16>>), LexiconError> {
    let mut next = vec![0u16; width];
    let mut ends: Vec<Vec<u16>> = vec![Vec::new()];
    let mut last = vec![0u8];
    for (index, word) in words.iter().enumerate() {
        let mut state = 0;
        for symbol in &word.symbols {
            let slot = state * width + usize::from(*symbol);
            if next[slot] == 0 {
                if ends.len() > MOST_STATES {
                    return Err(LexiconError::TooMany);
                }
                next[slot] = u16::try_from(ends.len()).map_err(|_| LexiconError::TooMany)?;
                next.resize(next.len() + width, 0);
                ends.push(Vec::new());
                last.push(*symbol);
            }
            state = usize::from(next[slot]);
        }
        ends[state].push(u16::try_from(index).map_err(|_| LexiconError::TooMany)?);
    }
    // Breadth first, so that the state to fall back to is complete when it is needed.
    let mut fail = vec![0usize; ends.len()];
    let mut queue = std::collections::VecDeque::from([0usize]);
    while let Some(state) = queue.pop_front() {
        for symbol in 0..width {
            let slot = state * width + symbol;
            let fallback = if state == 0 { 0 } else { usize::from(next[fail[state] * width + symbol]) };
            match usize::from(next[slot]) {
                0 if symbol == usize::from(SPACE) && last[state] == SPACE => {
                    next[slot] = u16::try_from(state).unwrap_or(0)
                }
                0 => next[slot] = u16::try_from(fallback).unwrap_or(0),
                child => {
                    fail[child] = fallback;
                    let inherited = ends[fallback].clone();
                    ends[child].extend(inherited);
                    queue.push_back(child);
                }
            }
        }
    }
    for entry in &mut next {
        if !ends[usize::from(*entry)].is_empty() {
            *entry |= ENDS;
        }
    }
    Ok((next, ends))
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
