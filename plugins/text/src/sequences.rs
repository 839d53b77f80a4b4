//! Concepts that follow each other: words by meaning in one pass over a text, then sequences of them.

use std::collections::BTreeSet;

use crate::{Hit, Lexicon, folded};

/// What the gap between two steps of a sequence is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gaps {
    /// Bytes, whatever they are.
    Bytes,
    /// Words; a sentence does not end in between unless the gap has a `+` before it.
    Words,
}

/// Sequences of concepts over one lexicon.
#[derive(Debug, Clone)]
pub struct Sequences {
    lexicon: Lexicon,
    gaps: Gaps,
    sequences: Vec<Sequence>,
    /// Sequences by their first concept.
    first: Vec<Vec<usize>>,
}

#[derive(Debug, Clone)]
struct Sequence {
    anchored: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    concept: u16,
    /// Most bytes or words since the step before.
    gap: usize,
    /// Whether a sentence may end in between.
    across: bool,
}

impl Sequences {
    /// `concepts` are names and words with a `|` between them: a `*` at its end or start lets a word go on there, `¦` stands for a
    /// `|` inside it. A sequence names concepts, each behind the largest gap to the one before (`when 60 leak`); a `^` before it lets
    /// it begin only where a sentence or line does. Hits and sequences have the numbers of their places in these lists.
    ///
    /// # Errors
    /// A sequence names no concept or one that is not there, one of its gaps does not stand between two concepts, or the words make
    /// no lexicon.
    pub fn new(
        gaps: Gaps,
        concepts: &[(impl AsRef<str>, impl AsRef<str>)],
        sequences: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Sequences, String> {
        let number = |name: &str| {
            let at = concepts.iter().position(|concept| concept.0.as_ref() == name);
            at.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| format!("no concept `{name}`"))
        };
        let mut words = Vec::new();
        for (name, list) in concepts {
            let (id, list) = (number(name.as_ref())?, list.as_ref().split('|'));
            words.extend(list.map(|word| (folded(word.trim_start()).to_lowercase().replace('¦', "|"), id)));
        }
        let lexicon =
            Lexicon::new(words.iter().map(|(word, id)| (word.as_str(), *id))).map_err(|error| error.to_string())?;
        let mut list = Vec::new();
        let mut first = vec![Vec::new(); concepts.len()];
        for sequence in sequences {
            let sequence = sequence.as_ref();
            let rest = sequence.strip_prefix('^');
            let mut steps = Vec::new();
            let (mut gap, mut across) = (0, false);
            // Whether a gap may follow; at the end, whether a concept came last.
            let mut open = false;
            for word in rest.unwrap_or(sequence).split_whitespace() {
                let digits = word.strip_prefix('+');
                match digits.unwrap_or(word).parse() {
                    Ok(_) if !open => return Err(format!("sequence `{sequence}`: no concept before the gap `{word}`")),
                    Ok(most) => (gap, across, open) = (most, digits.is_some(), false),
                    Err(_) => {
                        steps.push(Step { concept: number(word)?, gap, across });
                        open = true;
                    }
                }
            }
            if !open {
                let why = if steps.is_empty() { "it names no concept" } else { "no concept behind its last gap" };
                return Err(format!("sequence `{sequence}`: {why}"));
            }
            if let Some(slot) = steps.first().and_then(|step| first.get_mut(usize::from(step.concept))) {
                slot.push(list.len());
            }
            list.push(Sequence { anchored: rest.is_some(), steps });
        }
        Ok(Sequences { lexicon, gaps, sequences: list, first })
    }

    /// All words of the concepts in `text`, by where they start: a bound would let padding hide what comes after it. `loose`
    /// ignores word edges.
    pub fn hits(&self, text: &str, loose: bool) -> Vec<Hit> {
        let mut hits = self.lexicon.hits(text, loose, usize::MAX);
        hits.sort_by_key(|hit| hit.start);
        hits
    }

    /// The sequences that begin with a concept.
    pub fn beginning_with(&self, concept: u16) -> &[usize] {
        self.first.get(usize::from(concept)).map_or(&[], Vec::as_slice)
    }

    /// Where a sequence ends in `text` that begins with hit number `at` of its [`hits`](Self::hits); none if it does not follow.
    pub fn end(&self, sequence: usize, text: &str, hits: &[Hit], at: usize) -> Option<usize> {
        self.search(sequence, text, hits, at).0
    }

    /// As [`end`](Self::end), and how many hits were looked at.
    fn search(&self, sequence: usize, text: &str, hits: &[Hit], at: usize) -> (Option<usize>, usize) {
        let Some(Sequence { anchored, steps }) = self.sequences.get(sequence) else { return (None, 0) };
        if *anchored && !hits.get(at).is_some_and(|hit| begins(text, hit.start)) {
            return (None, 0);
        }
        let mut search = Search { text, hits, gaps: self.gaps, failed: BTreeSet::new(), looked: 0 };
        (search.follow(at, steps.get(1..).unwrap_or_default()), search.looked)
    }
}

/// The search for the steps of one sequence from one place on.
struct Search<'t> {
    text: &'t str,
    hits: &'t [Hit],
    gaps: Gaps,
    /// Steps left and hits from which they did not follow: without it, repeated words would be tried in every combination.
    failed: BTreeSet<(usize, usize)>,
    looked: usize,
}

impl Search<'_> {
    /// The end of the last of `steps` when they follow from hit number `from` on.
    fn follow(&mut self, from: usize, steps: &[Step]) -> Option<usize> {
        let end = self.hits.get(from)?.end;
        let Some((step, later)) = steps.split_first() else { return Some(end) };
        let reach = match self.gaps {
            Gaps::Bytes => end + step.gap,
            // Words are rarely longer than this; the exact count follows.
            Gaps::Words => end + step.gap * 16 + 20,
        };
        for (at, hit) in self.hits.iter().enumerate().skip(from + 1).take_while(|(_, hit)| hit.start <= reach) {
            self.looked += 1;
            let near = || self.gaps == Gaps::Bytes || near(self.text, end, hit.start, step);
            if hit.id != step.concept || hit.start < end || !near() {
                continue;
            }
            if later.is_empty() {
                return Some(hit.end);
            }
            if self.failed.contains(&(later.len(), at)) {
                continue;
            }
            if let Some(end) = self.follow(at, later) {
                return Some(end);
            }
            self.failed.insert((later.len(), at));
        }
        None
    }
}

/// Whether few enough words, and no end of a sentence, lie between two places.
fn near(text: &str, from: usize, to: usize, step: &Step) -> bool {
    let Some(between) = text.get(from..to) else { return false };
    let mut words = 0;
    let mut tokens = between.split_ascii_whitespace().peekable();
    while let Some(token) = tokens.next() {
        words += usize::from(token.bytes().any(|byte| byte.is_ascii_alphanumeric() || byte >= 0x80));
        let ends = token.ends_with(['.', '!', '?']) && !step.across;
        if words > step.gap
            || (ends && (tokens.peek().is_some() || between.ends_with(|c: char| c.is_ascii_whitespace())))
        {
            return false;
        }
    }
    step.across || !between.as_bytes().windows(2).any(|two| two == b"\n\n")
}

/// Whether a sentence or line begins at `at`.
fn begins(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let spaces = before.trim_end_matches([' ', '\t']);
    spaces.chars().next_back().is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '=' | '@')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONCEPTS: [(&str, &str); 3] = [("read", "read*"), ("file", "file"), ("mail", "mail|post")];

    fn found(gaps: Gaps, sequence: &str, text: &str) -> Option<String> {
        let sequences = Sequences::new(gaps, &CONCEPTS, [sequence]).unwrap();
        let hits = sequences.hits(text, false);
        (0..hits.len())
            .filter(|at| sequences.beginning_with(hits[*at].id) == [0])
            .find_map(|at| Some(text[hits[at].start..sequences.end(0, text, &hits, at)?].to_owned()))
    }

    #[test]
    fn steps_follow_within_their_gaps() {
        for (gaps, sequence, text, expected) in [
            (Gaps::Words, "read 2 file 3 mail", "now read the file and mail it", Some("read the file and mail")),
            (Gaps::Words, "read 2 file", "read one or two file", None),
            (Gaps::Words, "read 2 file", "read. A file", None),
            (Gaps::Words, "read +2 file", "read. A file", Some("read. A file")),
            (Gaps::Words, "^read 2 file", "I read a file", None),
            (Gaps::Words, "^read 2 file", "I see.\n read a file", Some("read a file")),
            (Gaps::Bytes, "read 4 file", "read. A file", Some("read. A file")),
            (Gaps::Bytes, "read 3 file", "read. A file", None),
            (Gaps::Bytes, "mail", "POST", Some("POST")),
        ] {
            assert_eq!(found(gaps, sequence, text).as_deref(), expected, "{sequence}: {text}");
        }
    }

    #[test]
    fn a_decoy_in_between_breaks_no_sequence() {
        let text = "read file a file b c d mail";
        for (gaps, sequence) in [(Gaps::Words, "read 3 file 3 mail"), (Gaps::Bytes, "read 9 file 7 mail")] {
            assert_eq!(found(gaps, sequence, text).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_concept_that_is_not_there_is_told() {
        assert_eq!(Sequences::new(Gaps::Words, &CONCEPTS, ["read 2 write"]).unwrap_err(), "no concept `write`");
    }

    #[test]
    fn a_sequence_without_concepts_or_with_a_gap_beside_none_is_told() {
        for (sequence, why) in [
            ("", "it names no concept"),
            ("^", "it names no concept"),
            ("2 read", "no concept before the gap `2`"),
            ("read 2", "no concept behind its last gap"),
            ("read 2 +3 file", "no concept before the gap `+3`"),
        ] {
            let error = Sequences::new(Gaps::Words, &CONCEPTS, ["read 2 file", sequence]).unwrap_err();
            assert_eq!(error, format!("sequence `{sequence}`: {why}"));
        }
    }

    #[test]
    fn the_search_grows_with_the_text_and_no_faster() {
        for gaps in [Gaps::Bytes, Gaps::Words] {
            let sequences = Sequences::new(gaps, &CONCEPTS, ["read 5 file 5 file 5 file 5 mail"]).unwrap();
            let looked = |times: usize| {
                let text = "read file ".repeat(times);
                let hits = sequences.hits(&text, false);
                (0..hits.len()).map(|at| sequences.search(0, &text, &hits, at).1).sum::<usize>()
            };
            let (one, ten) = (looked(200), looked(2000));
            assert!(one > 100 && ten <= 11 * one, "{one} {ten}");
        }
    }
}
