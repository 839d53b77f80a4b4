//! SQL: statements that destroy, and input that breaks out of a statement.

use std::borrow::Cow;
use std::ops::Range;

use crate::report::{Report, SQL_DESTRUCTIVE, SQL_INJECTION};

mod gate;
mod short;

/// One token; words are small letters.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Word,
    Number,
    Text { open: bool },
    Comment { line: bool, code: bool },
    Punct,
}

#[derive(Debug, Clone)]
struct Token<'t> {
    kind: Kind,
    text: Cow<'t, str>,
    range: Range<usize>,
}

/// What a text may be to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A whole statement, or no SQL at all.
    Statement,
    /// A value that is put into a statement.
    Value,
    /// Either.
    Either,
}

/// Longest value that is looked at, and how much of a statement is read as a value.
const LONGEST: usize = 64 * 1024;
/// Most words and marks that are read at once.
const MOST_TOKENS: usize = 32 * 1024;

/// Looks at `text`.
pub(crate) fn inspect(text: &str, part: Part, report: &mut Report) {
    if text.len() > LONGEST && part != Part::Value {
        script(text, part, report);
    }
    let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text);
    if part != Part::Statement
        && short::may(text)
        && let Some((score, message)) = short::breaks(text, part == Part::Either)
    {
        report.add(SQL_INJECTION, score, message, &(0..text.len()));
    }
    if (part != Part::Statement || gate::may_start(text)) && gate::may_match(text) {
        read(text, part, report);
    }
}

/// The worst that a whole statement, or several, destroy.
pub(crate) fn destroys(text: &str) -> Option<(f32, &'static str)> {
    let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text);
    let tokens = tokens(text, 0, None, usize::MAX);
    let mut report = Report::default();
    statements(&tokens, true, &mut report);
    let worst = report.seen.iter().filter(|seen| seen.category == SQL_DESTRUCTIVE && seen.score >= 0.5);
    worst.max_by(|one, other| one.score.total_cmp(&other.score)).map(|seen| (seen.score, seen.message))
}

/// Reads the statements of a long text, some at a time.
fn script(text: &str, part: Part, report: &mut Report) {
    if !gate::may_match(text) || (part == Part::Statement && !gate::may_start(text)) {
        return;
    }
    let mut from = 0;
    loop {
        let mut piece = tokens(text, from, None, MOST_TOKENS);
        if from == 0 && part == Part::Statement && !starts_statement(&piece) {
            return;
        }
        let more = piece.len() >= MOST_TOKENS;
        // A statement that begins here is read with the next piece; one that is longer than a piece is read in several.
        let ends = |token: &Token<'_>| token.kind == Kind::Punct && token.text == ";";
        if more && let Some(end) = piece.iter().rposition(ends) {
            piece.truncate(end + 1);
        }
        statements(&piece, true, report);
        match piece.last() {
            Some(last) if more => from = last.range.end,
            _ => return,
        }
    }
}

/// Reads `text` word by word; what this looks for, [`gate`] must let through.
fn read(text: &str, part: Part, report: &mut Report) {
    let plain = tokens(text, 0, None, usize::MAX);
    let whole = starts_statement(&plain) && part != Part::Value;
    if part == Part::Statement && !whole {
        return;
    }
    statements(&plain, part != Part::Value, report);
    injected(&plain, Break::None, whole, report);
    // The text may be put between quotes: what it looks like after its first one.
    for quote in QUOTES {
        if !whole && lets_out(text, quote) {
            injected(&tokens(text, 0, Some(quote), usize::MAX), Break::Quote, false, report);
        }
    }
}

const QUOTES: [char; 2] = ['\'', '"'];

/// Whether the first such quote may end a value: one is short; a quote after a sentence is one of the sentence's own.
fn lets_out(text: &str, quote: char) -> bool {
    let lead = text.get(..text.floor_char_boundary(49)).unwrap_or(text).split_once(quote).map(|pair| pair.0);
    lead.is_some_and(|lead| lead.split_whitespace().count() <= 4)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    None,
    Quote,
}

const STARTS: &[&str] = &[
    "select", "insert", "update", "delete", "drop", "truncate", "alter", "create", "with", "grant", "revoke", "exec",
    "execute", "call", "merge", "replace", "explain", "set", "show", "use", "begin", "declare", "vacuum", "copy",
    "pragma",
];

fn starts_statement(tokens: &[Token<'_>]) -> bool {
    let first = tokens.iter().find(|token| !matches!(token.kind, Kind::Comment { .. }) && token.text != "(");
    first.is_some_and(|token| token.kind == Kind::Word && STARTS.contains(&&*token.text))
}

/// At most `most` tokens; with `open`, the first is all before that quote.
fn tokens(text: &str, from: usize, open: Option<char>, most: usize) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = from;
    if let Some(quote) = open {
        let end = text.find(quote).map_or(text.len(), |at| at + 1);
        out.push(Token {
            kind: Kind::Text { open: false },
            text: Cow::Borrowed(text.get(..end.saturating_sub(1)).unwrap_or_default()),
            range: 0..end,
        });
        at = end;
    }
    let token = |kind: Kind, range: Range<usize>| {
        let text = text.get(range.clone()).unwrap_or_default();
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        let text = if upper { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
        Token { kind, text, range }
    };
    let get = |at: usize| bytes.get(at).copied().unwrap_or(0);
    while let Some(&byte) = bytes.get(at).filter(|_| out.len() < most) {
        let start = at;
        match byte {
            b if b.is_ascii_whitespace() || b == 0xa0 => at += 1,
            b'\'' | b'"' | b'`' => {
                at += 1;
                let mut open = true;
                while at < bytes.len() {
                    if get(at) == b'\\' || (get(at) == byte && get(at + 1) == byte) {
                        at += 2;
                    } else if get(at) == byte {
                        at += 1;
                        open = false;
                        break;
                    } else {
                        at += 1;
                    }
                }
                at = at.min(bytes.len());
                out.push(token(if byte == b'`' { Kind::Word } else { Kind::Text { open } }, start..at));
            }
            b'-' if get(at + 1) == b'-' => {
                at = line_end(bytes, at);
                out.push(token(Kind::Comment { line: true, code: false }, start..at));
            }
            b'#' => {
                at = line_end(bytes, at);
                out.push(token(Kind::Comment { line: true, code: false }, start..at));
            }
            b'/' if get(at + 1) == b'*' && get(at + 2) == b'!' => {
                // MySQL runs what is inside.
                at += 3;
                while get(at).is_ascii_digit() {
                    at += 1;
                }
                out.push(token(Kind::Comment { line: false, code: true }, start..at));
            }
            b'/' if get(at + 1) == b'*' => {
                let rest = bytes.get(at + 2..).unwrap_or_default();
                at = rest.windows(2).position(|pair| pair == b"*/").map_or(bytes.len(), |end| at + 2 + end + 2);
                out.push(token(Kind::Comment { line: false, code: false }, start..at));
            }
            b'*' if get(at + 1) == b'/' => at += 2,
            b if b.is_ascii_digit() || (b == b'.' && get(at + 1).is_ascii_digit()) => {
                let hex = b == b'0' && matches!(get(at + 1), b'x' | b'X');
                at += if hex { 2 } else { 1 };
                while get(at).is_ascii_digit() || (hex && get(at).is_ascii_hexdigit()) || (!hex && get(at) == b'.') {
                    at += 1;
                }
                out.push(token(Kind::Number, start..at));
            }
            b if b.is_ascii_alphabetic() || matches!(b, b'_' | b'@' | b'$') || b >= 0x80 => {
                while get(at).is_ascii_alphanumeric() || matches!(get(at), b'_' | b'@' | b'$' | b'.') || get(at) >= 0x80
                {
                    at += 1;
                }
                out.push(token(Kind::Word, start..at));
            }
            _ => {
                at += 1;
                if matches!(
                    (byte, get(at)),
                    (b'|', b'|')
                        | (b'&', b'&')
                        | (b'<', b'=' | b'>')
                        | (b'>', b'=')
                        | (b'!', b'=')
                        | (b':', b'=')
                        | (b'<', b'<')
                        | (b'>', b'>')
                ) {
                    at += 1;
                }
                out.push(token(Kind::Punct, start..at));
            }
        }
    }
    // A byte above 0x7f may end inside a character.
    for token in &mut out {
        token.range = text.floor_char_boundary(token.range.start)..text.ceil_char_boundary(token.range.end);
    }
    out
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')).map_or(bytes.len(), |end| at + end)
}

/// Statements that destroy data or reach outside the database.
fn statements(tokens: &[Token<'_>], expected: bool, report: &mut Report) {
    let list: Vec<&Token<'_>> = tokens.iter().filter(|token| !matches!(token.kind, Kind::Comment { .. })).collect();
    for statement in list.split(|token| token.kind == Kind::Punct && token.text == ";") {
        let words: Vec<&str> = statement.iter().map(|token| &*token.text).collect();
        let Some(begin) = statement.iter().position(|token| token.kind == Kind::Word) else { continue };
        let body = words.get(begin..).unwrap_or_default();
        let range = statement.get(begin).map_or(0, |token| token.range.start)
            ..statement.last().map_or(0, |token| token.range.end);
        let weak = if expected { 1.0 } else { 0.75 };
        // A word alone is English; with what belongs to it, it is SQL.
        let (score, message) = match body {
            ["drop", "database" | "schema" | "tablespace" | "keyspace", ..] => (0.93, "Drops a database"),
            ["drop", "table", ..] => (0.9, "Drops a table"),
            ["drop", "user" | "role" | "owned", _, ..] => (0.85, "Drops a user or what it owns"),
            [
                "drop",
                "view" | "index" | "column" | "trigger" | "function" | "procedure" | "sequence" | "materialized"
                | "collection",
                _,
                ..,
            ] => (0.6, "Drops a part of a database"),
            ["truncate", "table", ..] => (0.9, "Empties a table"),
            ["truncate", name, ..] if expected && !name.is_empty() => (0.88, "Empties a table"),
            ["delete", "from", rest @ ..] if !rest.is_empty() => {
                if !rest.contains(&"where") && !rest.contains(&"limit") {
                    (if expected || rest.len() <= 2 { 0.9 } else { 0.5 }, "Deletes every row of a table")
                } else if always(rest) {
                    (0.9, "Deletes every row of a table behind a condition that always holds")
                } else {
                    (0.2, "Deletes rows")
                }
            }
            ["update", rest @ ..] if rest.contains(&"set") && rest.contains(&"=") => {
                if !rest.contains(&"where") && !rest.contains(&"limit") {
                    (0.85, "Changes every row of a table")
                } else if always(rest) {
                    (0.88, "Changes every row of a table behind a condition that always holds")
                } else {
                    (0.0, "")
                }
            }
            ["alter", "table", rest @ ..] if rest.contains(&"drop") => (0.75, "Drops a part of a table"),
            ["shutdown"] | ["shutdown", "with", ..] if expected => (0.85, "Stops the database"),
            ["grant", "all", ..] => (0.7, "Gives every right away"),
            ["copy", rest @ ..] if rest.contains(&"program") => (0.9, "Runs a program from the database"),
            _ => (0.0, ""),
        };
        report.add(SQL_DESTRUCTIVE, score * weak, message, &range);
        let reach = body.windows(2).find_map(|pair| match pair {
            ["into", "outfile" | "dumpfile"] => Some((0.88, "Writes a file on the database's machine")),
            ["load_file" | "pg_read_file" | "pg_read_binary_file" | "pg_ls_dir" | "lo_import" | "lo_export", "("] => {
                Some((0.85, "Reads or writes a file on the database's machine"))
            }
            ["load", "data"] if body.contains(&"infile") => Some((0.7, "Reads a file on the database's machine")),
            _ => None,
        });
        let program = body.iter().any(|word| {
            matches!(*word, "xp_cmdshell" | "xp_regread" | "xp_dirtree" | "sp_oacreate" | "xp_regwrite")
                || word.ends_with("..xp_cmdshell")
                || word.ends_with(".xp_cmdshell")
        });
        if program {
            report.add(SQL_INJECTION, 0.92, "Runs a program from the database", &range);
        } else if let Some((score, message)) = reach {
            report.add(SQL_INJECTION, score, message, &range);
        }
    }
}

/// Whether the condition after `where` always holds: `where 1=1`, `where true`.
fn always(words: &[&str]) -> bool {
    let Some(at) = words.iter().position(|word| *word == "where") else { return false };
    match words.get(at + 1..).unwrap_or_default() {
        ["true"] | ["1"] => true,
        [a, "=", b] => a == b && (a.starts_with(|c: char| c.is_ascii_digit()) || a.starts_with(['\'', '"'])),
        _ => false,
    }
}

fn value(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Number | Kind::Text { .. })
        || matches!(&*token.text, "true" | "false" | "null")
        || token.text.starts_with('@')
}

/// Input that breaks out of the statement it is put into.
fn injected(all: &[Token<'_>], broken: Break, whole: bool, report: &mut Report) {
    let tokens: Vec<&Token<'_>> = all.iter().filter(|token| !matches!(token.kind, Kind::Comment { .. })).collect();
    let comments = all.iter().any(|token| matches!(token.kind, Kind::Comment { .. }));
    let last_comment = all.last().is_some_and(|token| {
        matches!(token.kind, Kind::Comment { line: true, .. })
            || (matches!(token.kind, Kind::Comment { line: false, .. }) && all.len() > 1)
    });
    let Some((first, last)) = tokens.first().zip(tokens.last()) else { return };
    let range = first.range.start..last.range.end;
    let mut found = |score: f32, message: &'static str| {
        // A tool that takes whole statements may well be given these.
        report.add(SQL_INJECTION, if whole { score * 0.6 } else { score }, message, &range);
    };
    let text = |at: usize| tokens.get(at).map_or("", |token| &*token.text);
    // Whether the catalogue is named; every `select` asks.
    let mut names = None;
    let begins_broken = broken == Break::Quote
        || matches!(first.kind, Kind::Number)
        || matches!(text(0), "-" | "(" | ")" | "'" | ";" | "@");
    for at in 0..tokens.len() {
        match text(at) {
            "union" => {
                let mut next = at + 1;
                while matches!(text(next), "all" | "distinct" | "(" | "distinctrow") {
                    next += 1;
                }
                if text(next) == "select" {
                    let listed = tokens
                        .get(next + 1..)
                        .unwrap_or_default()
                        .iter()
                        .take(3)
                        .all(|token| value(token) || token.text == "," || token.text == "(");
                    if !whole {
                        found(
                            if begins_broken || at == 0 || comments {
                                0.95
                            } else if text(next + 1).is_empty() {
                                0.6
                            } else {
                                0.85
                            },
                            "Joins another query to the one it is put into",
                        );
                    } else if listed && (comments || tokens.len() > next + 2) {
                        found(0.9, "Joins a query of made-up values to another");
                    }
                } else if begins_broken && next >= tokens.len() && last_comment {
                    found(0.85, "Joins another query to the one it is put into");
                }
            }
            word if connects(word) && (at > 0 || broken == Break::Quote) => {
                boolean(&tokens, at, begins_broken, last_comment, &mut found);
            }
            ";" if begins_broken || comments => {
                let next = text(at + 1);
                let stacked = matches!(
                    next,
                    "drop"
                        | "delete"
                        | "insert"
                        | "update"
                        | "exec"
                        | "execute"
                        | "shutdown"
                        | "declare"
                        | "waitfor"
                        | "truncate"
                        | "alter"
                        | "create"
                        | "load"
                        | "call"
                        | "select"
                        | "begin"
                        | "if"
                        | "set"
                        | "copy"
                        | "grant"
                        | "master"
                        | "use"
                        | "do"
                        | "while"
                        | "handler"
                        | "rename"
                        | "print"
                        | "backup"
                        | "merge"
                );
                let after = text(at + 2);
                let shaped = match next {
                    "drop" | "truncate" | "alter" | "create" => matches!(
                        after,
                        "table"
                            | "database"
                            | "user"
                            | "view"
                            | "schema"
                            | "function"
                            | "procedure"
                            | "trigger"
                            | "role"
                            | "login"
                            | "or"
                            | "index"
                            | "column"
                            | "alias"
                            | "materialized"
                    ),
                    "exec" | "execute" => {
                        after == "("
                            || after.contains('_')
                            || after.starts_with(['@', '\'', '"'])
                            || after.starts_with("master")
                            || after.starts_with("sp")
                            || after.starts_with("xp")
                    }
                    "set" | "declare" | "print" => {
                        after.starts_with('@') || tokens.get(at + 3).is_some_and(|token| token.text == "=")
                    }
                    "insert" => after == "into",
                    "delete" => after == "from",
                    "load" => after == "data" || after == "(",
                    "if" | "while" | "begin" | "do" | "call" => {
                        !after.is_empty() && tokens.iter().skip(at).any(|token| matches!(&*token.text, "(" | ";" | "="))
                    }
                    _ => !after.is_empty(),
                };
                if stacked && shaped && !whole {
                    found(0.9, "Adds a statement of its own");
                }
            }
            "sleep"
            | "benchmark"
            | "pg_sleep"
            | "extractvalue"
            | "updatexml"
            | "xmltype"
            | "utl_inaddr.get_host_address"
            | "utl_http.request"
            | "dbms_pipe.receive_message"
            | "dbms_lock.sleep"
            | "load_file"
            | "randomblob"
            | "json_keys"
            | "make_set"
            | "gtid_subset"
            | "name_const"
            | "ctxsys.drithsx.sn"
            | "pg_read_file"
            | "dbms_utility.sqlid_to_sqlhash"
            | "elt"
            | "chr"
            | "exp"
                if text(at + 1) == "(" && !whole =>
            {
                let strong = !matches!(text(at), "sleep" | "exp" | "elt" | "chr" | "make_set") || begins_broken;
                if strong && (begins_broken || tokens.len() > 4) {
                    found(0.88, "Calls a function that attackers use to look into a database");
                }
            }
            "waitfor" if matches!(text(at + 1), "delay" | "time") => {
                found(0.9, "Makes the database wait to find out what is true")
            }
            "procedure" if text(at + 1) == "analyse" => {
                found(0.9, "Calls a function that attackers use to look into a database")
            }
            "order" | "group" if text(at + 1) == "by" && begins_broken && last_comment && !whole => {
                found(0.85, "Probes the columns of a query")
            }
            "select" if at > 0 && !whole => {
                let before = text(at - 1);
                let inner = before == "(";
                if *names.get_or_insert_with(|| catalogue(&tokens)) && (inner || begins_broken) {
                    found(0.92, "Looks into the catalogue of a database");
                } else if inner && begins_broken {
                    found(0.82, "Puts a query of its own into another");
                }
            }
            "into" if matches!(text(at + 1), "outfile" | "dumpfile") => {
                found(0.92, "Writes a file on the database's machine")
            }
            "case" if text(at + 1) == "when" && begins_broken && !whole => {
                found(0.82, "Asks a database a question of its own")
            }
            _ => {}
        }
    }
    // `admin'--`: the rest of the statement is cut off.
    if broken == Break::Quote && !whole && last_comment {
        let after = all.get(1);
        let direct = after
            .is_some_and(|token| matches!(token.kind, Kind::Comment { line, .. } if line || all.len() == 2))
            && all.len() <= 3;
        // `7" #2` is a size and a number.
        let cut = all.last().is_some_and(|token| {
            token.text.starts_with("--")
                || token.text.starts_with("/*")
                || token.text.trim_matches(['#', ' ']).is_empty()
        });
        let closing = tokens.iter().skip(1).all(|token| matches!(&*token.text, ")" | "(" | ";"));
        let lead = all.first().map_or(0, |token| token.range.end);
        let short = lead <= 32 && !all.first().is_some_and(|token| token.text.contains(' '));
        if (direct || closing) && short && cut {
            found(0.85, "Closes a quote and cuts off the rest of the statement");
        }
    }
    // `x' rlike 'y`: an operator between the value's own quote and one left open.
    if broken == Break::Quote && !whole && matches!(last.kind, Kind::Text { open: true }) && tokens.len() >= 3 {
        let mut at = 1;
        // `A' rlike 'B`, but not `small "&" sign`.
        let lead = first.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !first.text.is_empty();
        let joined = lead && operator(text(at));
        while operator(text(at)) || matches!(text(at), "(" | "!" | "~" | "-" | "+" | "@" | "binary") {
            at += 1;
        }
        let letters = tokens.iter().any(|token| token.text.contains(|c: char| c.is_ascii_alphanumeric()));
        let next = tokens.get(at).is_some_and(|token| value(token));
        let shaped = next
            && (tokens.len() == at + 1
                || tokens
                    .iter()
                    .skip(at)
                    .any(|token| matches!(&*token.text, "=" | "!=" | "or" | "and" | "||" | "&&" | "<" | ">" | "is")));
        if joined && letters && shaped {
            found(0.84, "Closes a quote and goes on with an operator");
        }
    }
    // `(1 or 'a') --`: nothing but values, operators and functions, with the rest of the statement cut off.
    if broken == Break::None && !whole && first.text == "(" && last_comment && tokens.len() >= 3 {
        let values = tokens.iter().any(|token| value(token));
        let known = tokens.iter().enumerate().all(|(at, token)| {
            token.kind != Kind::Word
                || value(token)
                || text(at + 1) == "("
                || matches!(
                    &*token.text,
                    "or" | "and"
                        | "xor"
                        | "binary"
                        | "select"
                        | "in"
                        | "not"
                        | "like"
                        | "is"
                        | "null"
                        | "div"
                        | "mod"
                        | "from"
                        | "distinct"
                        | "between"
                )
        });
        if values && known {
            found(0.84, "Closes a quote and cuts off the rest of the statement");
        }
    }
    // Code in a comment is there for getting past filters.
    if all.iter().any(|token| matches!(token.kind, Kind::Comment { code: true, .. }))
        && tokens.iter().any(|token| matches!(&*token.text, "union" | "select" | "or" | "and"))
    {
        found(0.92, "Hides SQL in a comment that the database runs");
    }
    // Words held apart by comments.
    let apart = all.windows(3).filter(|three| matches!(three, [a, b, c] if a.kind == Kind::Word && matches!(b.kind, Kind::Comment { line: false, .. }) && c.kind == Kind::Word)).count();
    if apart >= 1
        && tokens.iter().any(|token| matches!(&*token.text, "union" | "select" | "or" | "and" | "from"))
        && begins_broken
    {
        found(0.88, "Holds the words of a statement apart with comments");
    }
}

/// Whether a condition begins with this.
fn connects(word: &str) -> bool {
    matches!(word, "or" | "and" | "xor" | "||" | "&&" | "having")
}

/// Whether this may stand between a value's own quote and one left open.
fn operator(word: &str) -> bool {
    matches!(
        word,
        "rlike"
            | "regexp"
            | "like"
            | "xor"
            | "or"
            | "and"
            | "div"
            | "mod"
            | "is"
            | "in"
            | "between"
            | "sounds"
            | "collate"
            | "not"
            | "eqv"
            | "imp"
            | "<=>"
            | "||"
            | "&&"
            | "<>"
            | "!="
            | "^"
            | "<<"
            | ">>"
            | "|"
            | "&"
            | "="
            | "<"
            | ">"
            | "*"
            | "%"
    )
}

/// Whether any word names the catalogue of a database.
fn catalogue(tokens: &[&Token<'_>]) -> bool {
    tokens.iter().any(|token| {
        token.text.starts_with("information_schema")
            || token.text.starts_with("mysql.")
            || matches!(
                &*token.text,
                "sysobjects"
                    | "sysusers"
                    | "pg_user"
                    | "pg_catalog.pg_tables"
                    | "sqlite_master"
                    | "all_tables"
                    | "dual"
                    | "user_tables"
                    | "syscolumns"
                    | "pg_shadow"
                    | "rdb$fields"
                    | "sysibm.systables"
                    | "domain.domains"
            )
            || token.text.starts_with("sys.")
            || token.text.starts_with("pg_")
            || token.text.starts_with("@@")
    })
}

/// A condition that is put beside the one of the statement.
fn boolean(
    tokens: &[&Token<'_>],
    at: usize,
    begins_broken: bool,
    last_comment: bool,
    found: &mut impl FnMut(f32, &'static str),
) {
    const MESSAGE: &str = "Adds a condition of its own to a statement";
    let skip = |mut at: usize| {
        while tokens
            .get(at)
            .is_some_and(|token| matches!(&*token.text, "(" | "not" | "!" | "-" | "+" | "~" | "binary" | ")"))
        {
            at += 1;
        }
        at
    };
    let left_at = skip(at + 1);
    let Some(left) = tokens.get(left_at) else {
        return;
    };
    let operator_at = {
        let mut at = left_at + 1;
        while tokens.get(at).is_some_and(|token| token.text == ")") {
            at += 1;
        }
        at
    };
    let operator = tokens.get(operator_at).map_or("", |token| &*token.text);
    let compares = matches!(
        operator,
        "=" | "<"
            | ">"
            | "<="
            | ">="
            | "<>"
            | "!="
            | "like"
            | "rlike"
            | "regexp"
            | "in"
            | "is"
            | "between"
            | "<=>"
            | "sounds"
            | "+"
            | "-"
            | "*"
            | "/"
            | "||"
            | "&&"
            | "or"
            | "and"
            | "xor"
            | "div"
            | "mod"
            | "not"
            | "^"
            | "%"
            | "|"
            | "&"
            | "collate"
    );
    let right = tokens.get(skip(operator_at + 1));
    let open = matches!(left.kind, Kind::Text { open: true });
    let quoted = tokens.first().is_some_and(|token| matches!(token.kind, Kind::Text { .. }));
    if compares && value(left) {
        match right {
            Some(right) if value(right) => {
                // `13" or 14"` are sizes, not conditions: a comparison is needed.
                let comparing = matches!(
                    operator,
                    "=" | "<"
                        | ">"
                        | "<="
                        | ">="
                        | "<>"
                        | "!="
                        | "like"
                        | "rlike"
                        | "regexp"
                        | "<=>"
                        | "is"
                        | "between"
                );
                found(
                    if comparing && begins_broken {
                        0.93
                    } else if comparing {
                        0.82
                    } else if begins_broken && (last_comment || quoted) {
                        0.85
                    } else {
                        0.4
                    },
                    MESSAGE,
                );
            }
            None if begins_broken && operator == "=" => found(0.85, MESSAGE),
            Some(_) if begins_broken && last_comment => found(0.82, MESSAGE),
            _ => {}
        }
    } else if left.kind == Kind::Word && begins_broken {
        let call = operator == "(";
        let select = left.text == "select" || left.text == "exists";
        if select
            || (call
                && matches!(
                    &*left.text,
                    "ascii"
                        | "substring"
                        | "substr"
                        | "length"
                        | "mid"
                        | "ord"
                        | "if"
                        | "char"
                        | "count"
                        | "user"
                        | "database"
                        | "version"
                        | "sleep"
                        | "benchmark"
                        | "concat"
                        | "hex"
                        | "unhex"
                        | "row"
                        | "cos"
                        | "sin"
                        | "utc_date"
                        | "left"
                        | "right"
                        | "lower"
                        | "upper"
                        | "ifnull"
                        | "nullif"
                        | "convert"
                        | "cast"
                        | "pi"
                        | "rand"
                        | "exp"
                        | "json_keys"
                        | "extractvalue"
                        | "updatexml"
                        | "elt"
                        | "make_set"
                        | "quote"
                        | "bin"
                        | "chr"
                        | "instr"
                        | "locate"
                ))
        {
            found(0.88, MESSAGE);
        } else if compares
            && right.is_some_and(|right| value(right))
            && matches!(
                operator,
                "=" | "like" | "<" | ">" | "<>" | "!=" | "is" | "rlike" | "regexp" | "between" | "sounds"
            )
            // Right behind the quote that it breaks out of.
            && (last_comment || (quoted && at <= 3))
        {
            found(0.85, MESSAGE);
        } else if last_comment {
            found(0.7, MESSAGE);
        }
    } else if value(left) && operator.is_empty() && begins_broken && (last_comment || (open && quoted)) {
        found(if last_comment { 0.87 } else { 0.6 }, MESSAGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(text: &str, statement: bool) -> (f32, &'static str) {
        let mut report = Report::default();
        inspect(text, if statement { Part::Either } else { Part::Value }, &mut report);
        report
            .seen
            .iter()
            .fold((0.0, ""), |best, seen| if seen.score > best.0 { (seen.score, seen.category) } else { best })
    }

    #[test]
    fn destroying_statements_are_found() {
        for text in [
            "DROP TABLE users",
            "drop/**/database prod;",
            "TRUNCATE orders",
            "DELETE FROM customers;",
            "delete from customers where 1=1",
            "UPDATE accounts SET balance = 0",
            "select 1; drop table logs",
        ] {
            assert!(best(text, true).0 >= 0.8, "{text} {:?}", best(text, true));
        }
    }

    #[test]
    fn ordinary_statements_are_left_alone() {
        for text in [
            "SELECT id, name FROM users WHERE id = 7",
            "DELETE FROM sessions WHERE expires < now()",
            "UPDATE accounts SET balance = balance - 5 WHERE id = 3",
            "INSERT INTO notes (text) VALUES ('drop table x; delete from y')",
            "SELECT a FROM t UNION SELECT b FROM u",
            "SELECT * FROM t -- all of them",
            "CREATE TABLE t (id int)",
        ] {
            assert!(best(text, true).0 < 0.8, "{text} {:?}", best(text, true));
        }
    }

    #[test]
    fn short_expressions_are_found() {
        for text in [
            "x' / current_date != '1",
            "q'^0!='1",
            "b' rlike binary 0 #",
            "A' + 'B",
            "'REGEXP'",
            "1 or name like '%'",
            "2e0UNION SELECT 3",
            "length((select version()))",
            "(select password from users limit 1)",
            "7 and ascii(substring(pass,1,1)) > 64",
            "select 'x', sin(1) from t where",
            "exec(@stored)",
            "k' declare @found int",
            "5) order by 3",
            "case when (1=1) then 2 end",
        ] {
            assert!(best(text, false).0 >= 0.8, "{text} {:?}", best(text, false));
        }
    }

    /// Injections that are read as such, also by the gate.
    pub(super) const INJECTED: [&str; 11] = [
        "1' OR '1'='1",
        "1 or 1=1",
        "' or 1=1--",
        "admin'--",
        "x' UNION SELECT null, password FROM users--",
        "1; DROP TABLE users",
        "1/**/union/**/select/**/2",
        "1 AND SLEEP(5)",
        "1'; exec xp_cmdshell 'dir'--",
        "0 union select load_file('/etc/passwd')",
        "-1 UNION ALL SELECT 1,2,3 INTO OUTFILE '/var/www/x.php'",
    ];

    #[test]
    fn injected_pieces_are_found() {
        for text in INJECTED {
            assert!(best(text, false).0 >= 0.8, "{text} {:?}", best(text, false));
        }
    }

    #[test]
    fn ordinary_words_are_left_alone() {
        for text in [
            "It's five o'clock -- or later",
            "LAPTOP CASE 13\" AND PHONE",
            "Select one or the other; update me when you're done",
            "necklace length 16\" or 18\"",
            "The credit union selected 3 members",
            "Let's drop the table by the window",
            "delete from here to there",
            "O'Brien and 2 others",
            "the 'null' value",
            "\"Like\" button",
            "select 'and' here",
            "Rock 'n' Roll",
            "'70s & '80s music",
            "f(x) = 2*x + 1",
            "size 10 (8 or 9 in US)",
            "2 * (3 + 4)",
            "price < 100",
            "cats AND (dogs OR birds)",
            "user@example.com (Ann)",
            "Don't select more than 5 (or 6) from the list",
            "case 12 (when needed)",
            "C# and F#",
            "AT&T",
            "{\"a\": 1}",
            "[1, 2, 3]",
            "from:ann subject:\"order by Monday\"",
            "status = 'open' and priority",
            "24\" x 36\" poster",
        ] {
            assert!(best(text, false).0 < 0.8, "{text} {:?}", best(text, false));
        }
    }
}
