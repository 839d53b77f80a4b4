//! A look at a text before it is read as SQL: whether the reader could find anything in it.
//!
//! Ordinary text is full of `and` and `or`, so a word counts only with what the reader wants to see beside it. More texts
//! pass than the reader finds something in, and never fewer: words inside quotes and comments count like others, and where
//! a word is waited for, a comment counts as that word. One pass over the bytes; nothing is allocated.

use super::{QUOTES, STARTS, connects, lets_out, operator, tokens};

/// What a word or a mark is to the reader; it may be several of these.
type Bits = u32;

/// Hardly ever met outside SQL.
const STRONG: Bits = 1;
// The second of two words that are SQL together.
const OBJECT: Bits = 1 << 1;
const FROM: Bits = 1 << 2;
const TABLE: Bits = 1 << 3;
const ALL: Bits = 1 << 4;
const ANALYSE: Bits = 1 << 5;
const QUERY: Bits = 1 << 6;
const VALUE: Bits = 1 << 7;
// The second of two words that are SQL in a text that breaks out of a statement.
const WHEN: Bits = 1 << 8;
const INNER: Bits = 1 << 9;
const CALLED: Bits = 1 << 10;
/// Begins a statement, behind the end of another.
const STACKED: Bits = 1 << 11;
/// Stands between a condition and its left side: `not`, and marks.
const SKIPPED: Bits = 1 << 12;
// Words and marks that count with others anywhere.
const FUNCTION: Bits = 1 << 13;
const SELECT: Bits = 1 << 14;
const COPY: Bits = 1 << 15;
const PROGRAM: Bits = 1 << 16;
const UPDATE: Bits = 1 << 17;
const SET: Bits = 1 << 18;
const OPEN: Bits = 1 << 19;
const EQUALS: Bits = 1 << 20;
const COMMENT: Bits = 1 << 21;
const QUOTE: Bits = 1 << 22;

/// What a condition waits for.
const LEFT: Bits = VALUE | INNER | SKIPPED;

/// Whether the text could be a whole statement: whether it begins with a word that begins one.
pub(super) fn may_start(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begin = bytes.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'(').unwrap_or(bytes.len());
    let rest = bytes.get(begin..).unwrap_or_default();
    let word = rest.get(..rest.iter().take_while(|byte| letter(**byte)).count()).unwrap_or_default();
    // What is no word may be a comment before the first one.
    if word.is_empty() {
        !rest.is_empty()
    } else {
        STARTS.iter().any(|start| word.eq_ignore_ascii_case(start.as_bytes()))
    }
}

/// Whether the reader could find anything in `text`, whatever it is to a database.
pub(super) fn may_match(text: &str) -> bool {
    let bytes = text.as_bytes();
    let get = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let (mut seen, mut wait): (Bits, Bits) = (0, 0);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += bytes.get(at..).unwrap_or_default().iter().take_while(|byte| letter(**byte)).count();
        if at > start {
            let (word, next) = meaning(bytes, start, at);
            let hit = word & wait;
            if word & STRONG != 0 || hit & (OBJECT | FROM | TABLE | ALL | ANALYSE | QUERY | VALUE) != 0 {
                return true;
            }
            seen |= word & (FUNCTION | SELECT | COPY | PROGRAM | UPDATE | SET) | hit & (WHEN | INNER | STACKED);
            if hit & SKIPPED == 0 {
                // The left side of a condition may be a call.
                wait = next | if wait & SKIPPED == 0 { 0 } else { CALLED };
            }
            continue;
        }
        at += 1;
        let next = get(at);
        let keep = match (byte, next) {
            (b' ' | b'\t' | b'\n' | b'\r' | b'\x0c', _) => continue,
            (b'#', _) | (b'-', b'-') | (b'/', b'*') | (b'*', b'/') => {
                seen |= COMMENT;
                // The database runs what is in `/*!`.
                if wait != 0 || get(at + 1) == b'!' {
                    return true;
                }
                0
            }
            // Conditions without a word, and numbers that may end before a word does.
            (b'|', b'|') | (b'&', b'&') | (b'0', b'x' | b'X') => return true,
            (b'0'..=b'9' | b'\'' | b'"' | b'@', _) | (b'.', b'0'..=b'9') if wait & VALUE != 0 => return true,
            (b'(', _) => {
                seen |= OPEN | wait & CALLED;
                SKIPPED | QUERY
            }
            (b')', _) => SKIPPED | CALLED,
            (b'!' | b'-' | b'+' | b'~', _) => SKIPPED,
            (b';', _) => {
                wait = STACKED;
                STACKED
            }
            (b'=', _) => {
                seen |= EQUALS;
                0
            }
            (b'\'' | b'"', _) => {
                // All before the quote that ends a value is one word to the reader.
                seen |= QUOTE;
                Bits::MAX
            }
            _ => 0,
        };
        if wait & keep == 0 {
            wait = 0;
        }
    }
    let any = |bits: Bits| seen & bits != 0;
    let all = |bits: Bits| seen & bits == bits;
    let mut quotes = QUOTES.iter().filter(|quote| any(QUOTE) && lets_out(text, **quote)).peekable();
    let broken = quotes.peek().is_some() || begins_broken(bytes);
    (broken && any(COMMENT | WHEN | INNER | CALLED | SELECT))
        || ((broken || any(COMMENT)) && any(STACKED))
        || (any(OPEN) && any(FUNCTION | SELECT))
        || all(COPY | PROGRAM)
        || all(UPDATE | SET | EQUALS)
        || quotes.any(|quote| {
            // Right behind the quote the reader asks for less.
            let head = tokens(text, 0, Some(*quote), 4);
            let mut behind = head.iter().skip(1);
            behind.clone().any(|token| connects(&token.text))
                || behind.next().is_some_and(|token| operator(&token.text))
        })
}

/// Whether the first thing in the text may be the end of something: a number, or a mark.
fn begins_broken(bytes: &[u8]) -> bool {
    let mut rest = bytes.trim_ascii_start();
    while rest.first() == Some(&b'#') {
        rest = rest.get(super::line_end(rest, 0)..).unwrap_or_default().trim_ascii_start();
    }
    matches!(rest, [b'0'..=b'9' | b'.' | b'-' | b'(' | b')' | b';' | b'@' | b'/', ..] | [b'*', b'/', ..])
}

/// Bytes that words are made of; a look into a table takes half the time of comparisons.
static LETTERS: [bool; 256] = letters();

#[expect(clippy::indexing_slicing, reason = "runs only at compile time, where a wrong index is an error")]
const fn letters() -> [bool; 256] {
    let mut out = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        out[byte as usize] = byte.is_ascii_alphabetic() || byte == b'_';
        byte += 1;
    }
    out
}

fn letter(byte: u8) -> bool {
    LETTERS.get(usize::from(byte)).copied().unwrap_or(false)
}

/// The words that the reader knows: what they are, and what they wait for.
const WORDS: &[(Bits, Bits, &[&str])] = &[
    (0, LEFT, &["and", "or", "xor", "having"]),
    (SKIPPED, 0, &["not", "binary"]),
    (VALUE, 0, &["true", "false", "null"]),
    (INNER, 0, &["exists"]),
    (SELECT | QUERY | INNER | STACKED, 0, &["select"]),
    (0, QUERY, &["union"]),
    (QUERY, 0, &["distinct", "distinctrow"]),
    (QUERY | ALL, 0, &["all"]),
    (STACKED, ALL, &["grant"]),
    (STACKED, OBJECT, &["drop"]),
    (OBJECT | TABLE, 0, &["table"]),
    (OBJECT, 0, &["database", "schema", "tablespace", "keyspace", "user", "role", "owned", "view", "index", "column"]),
    (OBJECT, 0, &["trigger", "function", "sequence", "materialized", "collection"]),
    (OBJECT, ANALYSE, &["procedure"]),
    (ANALYSE, 0, &["analyse"]),
    (STACKED, FROM, &["delete"]),
    (FROM, 0, &["from"]),
    (STACKED, TABLE, &["alter"]),
    (0, WHEN, &["case"]),
    (WHEN, 0, &["when"]),
    (STACKED | COPY, 0, &["copy"]),
    (PROGRAM, 0, &["program"]),
    (STACKED | UPDATE, 0, &["update"]),
    (STACKED | SET, 0, &["set"]),
    (STACKED, 0, &["insert", "exec", "execute", "declare", "create", "load", "call", "begin", "if", "master", "use"]),
    (STACKED, 0, &["do", "while", "handler", "rename", "print", "backup", "merge"]),
    (FUNCTION, 0, &["sleep", "benchmark", "elt", "chr", "exp"]),
    (STRONG, 0, &["truncate", "shutdown", "waitfor", "outfile", "dumpfile", "infile", "load_file", "lo_import"]),
    (STRONG, 0, &["lo_export", "pg_ls_dir", "pg_read_file", "pg_read_binary_file", "pg_sleep", "extractvalue"]),
    (STRONG, 0, &["updatexml", "xmltype", "utl_inaddr", "utl_http", "dbms_pipe", "dbms_lock", "dbms_utility"]),
    (STRONG, 0, &["randomblob", "json_keys", "make_set", "gtid_subset", "name_const", "ctxsys", "xp_cmdshell"]),
    (STRONG, 0, &["xp_regread", "xp_dirtree", "xp_regwrite", "sp_oacreate"]),
];

/// [`WORDS`] by their keys, each in the first free slot from its own one on; a free slot has key 0.
static SLOTS: [(u64, Bits, Bits); 512] = slots();

#[expect(clippy::indexing_slicing, reason = "runs only at compile time, where a wrong index is an error")]
const fn slots() -> [(u64, Bits, Bits); 512] {
    let mut out = [(0, 0, 0); 512];
    let mut row = 0;
    while row < WORDS.len() {
        let (is, waits, words) = WORDS[row];
        let mut at = 0;
        while at < words.len() {
            let word = words[at].as_bytes();
            let mut letters = [0; 8];
            let mut index = 0;
            while index < word.len() && index < letters.len() {
                letters[index] = word[index];
                index += 1;
            }
            let key = key(letters, word.len());
            let mut slot = slot(key);
            while out[slot].0 != 0 {
                assert!(out[slot].0 != key, "two words have one key");
                slot = (slot + 1) % out.len();
            }
            out[slot] = (key, is, waits);
            at += 1;
        }
        row += 1;
    }
    out
}

/// The first eight letters of a word of that length, made small. Long words may share a key with a known one, and pass
/// for it.
const fn key(letters: [u8; 8], length: usize) -> u64 {
    let kept = if length < 8 { !(u64::MAX << (8 * length)) } else { u64::MAX };
    ((u64::from_le_bytes(letters) & kept) | 0x2020_2020_2020_2020).wrapping_add(length as u64)
}

const fn slot(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}

/// What the word at `start` is, and what it waits for.
fn meaning(bytes: &[u8], start: usize, end: usize) -> (Bits, Bits) {
    let rest = bytes.get(start..).unwrap_or_default();
    let letters = rest.first_chunk().copied().unwrap_or_else(|| {
        let mut letters = [0; 8];
        letters.iter_mut().zip(rest).for_each(|(letter, byte)| *letter = *byte);
        letters
    });
    let key = key(letters, end - start);
    let mut at = slot(key);
    while let Some((known, is, waits)) = SLOTS.get(at).filter(|slot| slot.0 != 0) {
        if *known == key {
            return (*is, *waits);
        }
        at = (at + 1) % SLOTS.len();
    }
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::INJECTED;
    use super::super::{Part, read};
    use super::*;
    use crate::report::Report;

    /// Every word and mark that the reader or the gate knows, and some that neither does.
    const PIECES: &str = "and or xor having not binary true false null exists select union distinct distinctrow all grant \
        drop table database schema tablespace keyspace user role owned view index column trigger function sequence \
        materialized collection procedure analyse delete from alter case when copy program update set insert into exec \
        execute declare create load data call begin if master use do while handler rename print backup merge replace with \
        sleep benchmark elt chr exp truncate shutdown waitfor delay time outfile dumpfile infile load_file lo_import \
        lo_export pg_ls_dir pg_read_file pg_read_binary_file pg_sleep extractvalue updatexml xmltype \
        utl_inaddr.get_host_address utl_http.request dbms_pipe.receive_message dbms_lock.sleep \
        dbms_utility.sqlid_to_sqlhash randomblob json_keys make_set gtid_subset name_const ctxsys.drithsx.sn xp_cmdshell \
        xp_regread xp_dirtree xp_regwrite sp_oacreate master..xp_cmdshell order group by where limit values like rlike \
        regexp between is in div mod sounds collate eqv imp ascii substring version count information_schema.tables \
        sysobjects dual sys.x pg_user @@version mysql.user the report user's it's \u{e9}t\u{e9} \u{a0} _x $1 \
        ' ' ' ' \" \" ` ( ( ( ) ) ; ; ; , . - -- -- # /* */ /*! /**/ * / + ! ~ = = = < > <= >= <> != <=> := || && | & ^ % @ \
        @x : \\ 0 1 1 2.5 .5 0x1f 0xaor 1or 7and";

    fn finds(text: &str, part: Part) -> bool {
        let mut report = Report::default();
        read(text, part, &mut report);
        !report.seen.is_empty()
    }

    /// Whether the reader finds anything; what it finds must pass.
    #[track_caller]
    fn check(text: &str) -> bool {
        let found = [Part::Value, Part::Either, Part::Statement].map(|part| finds(text, part));
        assert!(may_match(text) || found == [false; 3], "{text:?}");
        assert!(may_start(text) || !found[2], "{text:?}");
        found.contains(&true)
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, most: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % most
        }
    }

    #[test]
    fn no_row_of_words_and_marks_that_the_reader_tells_is_kept_from_it() {
        let pieces: Vec<&str> = PIECES.split_ascii_whitespace().collect();
        let gaps = [" ", " ", " ", " ", "", "", "\n", "/**/", "/* x */", " -- x\n", "#\n", "\t ", "\u{a0}"];
        let mut random = Random(1);
        let mut found = 0;
        for _ in 0..100_000 {
            // All before a quote is one word to the reader.
            let quoted = random.below(8) == 0;
            let mut text = if quoted { format!("{}'", pieces[random.below(pieces.len())]) } else { String::new() };
            for _ in 0..=random.below(10) {
                let piece = pieces[random.below(pieces.len())];
                text += &if random.below(4) == 0 { piece.to_uppercase() } else { piece.to_owned() };
                text += gaps[random.below(gaps.len())];
            }
            found += u32::from(check(&text));
        }
        assert!(found > 3_000, "{found}");
    }

    #[test]
    fn no_change_of_an_attack_that_the_reader_tells_is_kept_from_it() {
        let cases: serde_json::Value = serde_json::from_str(include_str!("../../cases/commands.json")).unwrap();
        let others = [
            "x' rlike 'y",
            "(1 or 'a') --",
            "x' and y = 'z",
            "1 or ascii(substring(a,1,1)) > 64",
            "1 and exists (select 1)",
            "x' order by 3#",
            "1 procedure analyse(1)",
            "1 or not ((true)) = 1",
            "# note\n1 case when 1 then 2 end",
            "drop/**/table users",
            "update t set a = 1",
            "grant all on t",
            "union' select 1",
            ";'copy a",
            "copy t to program 'sh'",
            "delete from t",
            "alter table t drop column a",
            "a'; declare @x int",
            "1'||(select 1 from dual)||'",
        ];
        let mut attacks: Vec<String> = INJECTED.into_iter().chain(others).map(str::to_owned).collect();
        let payloads = cases.as_array().unwrap().iter().flat_map(|case| case["payload"].as_object().unwrap().values());
        attacks.extend(payloads.filter_map(|value| value.as_str()).map(str::to_owned));
        let inserts =
            ["'", "\"", " ", "(", ")", ";", "--", "#", "/**/", "0", "x", "\u{e9}", "\n", "and ", "the ", "=", "-", "_"];
        let mut random = Random(2);
        let mut found = 0;
        for attack in &attacks {
            for _ in 0..1_000 {
                let mut text: Vec<char> = attack.chars().take(200).collect();
                for _ in 0..random.below(4) {
                    let at = random.below(text.len() + 1);
                    match random.below(4) {
                        0 => drop(text.drain(at..(at + 1 + random.below(3)).min(text.len()))),
                        1 => text.truncate(at),
                        2 => drop(text.splice(at..at, inserts[random.below(inserts.len())].chars())),
                        _ => {
                            let other: Vec<char> = attacks[random.below(attacks.len())].chars().take(60).collect();
                            let from = random.below(other.len() + 1);
                            text.splice(at..at, other[from..].iter().copied());
                        }
                    }
                }
                found += u32::from(check(&text.into_iter().collect::<String>()));
            }
        }
        assert!(found > 3_000, "{found}");
    }

    #[test]
    fn ordinary_text_is_not_read() {
        for text in [
            "The quarterly report lists revenue by region and the notes explain each change against the plan.",
            "I'm writing to ask whether the update, or a copy of it, could be sent to the union. Don't pick any (of it).",
            "Please drop me a line if you're in case of need; we use the table and the chairs.",
            "reports/q3.txt",
            "# Title\n\nSome words and (others) or so.",
        ] {
            assert!(!may_match(text), "{text}");
        }
    }
}
