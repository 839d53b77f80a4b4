//! Short values that only a database would make sense of: what stands between, before and behind the marks is operand, operator,
//! operand, as in an expression, and not words beside each other, as in a sentence.

use super::{Kind, QUOTES, Token, catalogue, connects, operator, starts_statement, tokens, value};

/// Longest value that is looked at; an expression is short, a sentence is another reader's.
const LONGEST: usize = 400;

/// How a piece of an expression stands to its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Operand,
    Operator,
    Open,
    Close,
    /// A word that SQL puts between others.
    Keyword,
}

fn role(token: &Token<'_>, called: bool) -> Role {
    match &token.kind {
        Kind::Number | Kind::Text { .. } => Role::Operand,
        Kind::Comment { .. } => Role::Keyword,
        Kind::Punct => match &*token.text {
            "(" | "{" | "[" => Role::Open,
            ")" | "}" | "]" => Role::Close,
            _ => Role::Operator,
        },
        Kind::Word => match &*token.text {
            word if operator(word) || connects(word) || matches!(word, "null" | "escape" | "using") && !called => {
                Role::Operator
            }
            "select" | "from" | "where" | "case" | "when" | "then" | "else" | "end" | "union" | "all" | "distinct"
            | "having" | "order" | "group" | "by" | "limit" | "as" | "binary" | "match" | "against" | "exists"
            | "interval" | "into" | "procedure" => Role::Keyword,
            _ => Role::Operand,
        },
    }
}

/// Whether all of it is an expression: no two operands beside each other, and at least one operator between or before.
fn shaped(list: &[&Token<'_>]) -> bool {
    let mut before = Role::Operator;
    let mut operators = 0;
    for (at, token) in list.iter().enumerate() {
        let called = list.get(at + 1).is_some_and(|next| next.text == "(");
        let role = role(token, called);
        operators += usize::from(role == Role::Operator);
        if role == Role::Operand && matches!(before, Role::Operand | Role::Close) {
            return false;
        }
        before = role;
    }
    operators > 0
}

fn comparison(word: &str) -> bool {
    matches!(
        word,
        "=" | "<"
            | ">"
            | "<="
            | ">="
            | "<>"
            | "!="
            | "<=>"
            | "like"
            | "rlike"
            | "regexp"
            | "is"
            | "between"
            | "in"
            | "sounds"
    )
}

/// Functions that are asked for what somebody wants to know of a database.
fn asks(word: &str) -> bool {
    matches!(
        word,
        "version"
            | "user"
            | "database"
            | "current_user"
            | "session_user"
            | "system_user"
            | "schema"
            | "benchmark"
            | "sleep"
            | "pg_sleep"
            | "load_file"
            | "char"
            | "ascii"
            | "ord"
            | "substring"
            | "substr"
            | "mid"
            | "hex"
            | "unhex"
            | "coercibility"
            | "extractvalue"
            | "updatexml"
            | "row_count"
            | "connection_id"
            | "found_rows"
            | "isnull"
            | "ifnull"
            | "nullif"
            | "lpad"
            | "concat"
            | "concat_ws"
            | "group_concat"
            | "chr"
            | "cast"
            | "convert"
            | "exp"
            | "md5"
            | "sha1"
            | "if"
            | "elt"
            | "length"
            | "count"
            | "sqrt"
            | "coalesce"
            | "left"
            | "locate"
            | "instr"
            | "find_in_set"
    )
}

/// Whether a value may be an expression at all.
pub(super) fn may(text: &str) -> bool {
    let begins = |word: &str| text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    text.len() <= LONGEST
        && (text.contains(['\'', '"', '(', '@', '=', '|', '&', '#', '*', '{', '['])
            || begins("case ")
            || (text.starts_with(|c: char| c.is_ascii_digit())
                && text
                    .as_bytes()
                    .windows(5)
                    .any(|five| five.eq_ignore_ascii_case(b"union") || five.eq_ignore_ascii_case(b"order"))))
}

/// What a value does to the statement that it is put into, with a score.
pub(super) fn breaks(text: &str, statements: bool) -> Option<(f32, &'static str)> {
    let all = tokens(text, 0, None, 256);
    let whole = starts_statement(&all);
    let begun = if whole && statements { None } else { plain(&all, whole) };
    let quoted = QUOTES
        .iter()
        .filter(|_| !(whole && statements))
        .filter_map(|quote| behind(text, *quote))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    begun.into_iter().chain(quoted).max_by(|one, other| one.0.total_cmp(&other.0))
}

const CONDITION: &str = "Adds a condition of its own to a statement";
const CLOSES: &str = "Closes a quote and goes on with an operator";
const CUTS: &str = "Closes a quote and cuts off the rest of the statement";
const ASKS: &str = "Calls a function that attackers use to look into a database";
const OWN: &str = "Adds a statement of its own";
const JOINS: &str = "Joins another query to the one it is put into";

/// Behind a quote that ends the value it is put into.
fn behind(text: &str, quote: char) -> Option<(f32, &'static str)> {
    let (lead, rest) = text.split_once(quote)?;
    // `A 'RLIKE' B`: an operator between quotes, and hardly anything beside them.
    if quote == '\''
        && let Some((middle, tail)) = rest.split_once(quote)
    {
        let short = |side: &str| side.trim().len() <= 4 && side.trim().chars().all(|c| c.is_ascii_alphanumeric());
        let list = tokens(middle, 0, None, 8);
        let middle_is = !list.is_empty()
            && list.iter().all(|token| matches!(role(token, false), Role::Operator) && token.text != "null")
            && list.iter().any(|token| operator(&token.text) || matches!(&*token.text, "+" | "-" | "/" | "!" | "~"));
        if middle_is && short(lead) && short(tail) {
            // A dash between quotes is often only a dash.
            let mark = middle.trim().len() == 1 && lead.is_empty() && tail.is_empty();
            return Some((if mark { 0.8 } else { 0.82 }, CLOSES));
        }
    }
    if lead.split_whitespace().count() > 1 || lead.len() > 40 {
        return None;
    }
    let all = tokens(text, 0, Some(quote), 256);
    let comment = all.last().is_some_and(|token| matches!(token.kind, Kind::Comment { .. }));
    let cuts = all.last().is_some_and(|token| {
        token.text.starts_with("--") || token.text.starts_with("/*") || token.text.starts_with('#')
    });
    let list: Vec<&Token<'_>> =
        all.iter().skip(1).filter(|token| !matches!(token.kind, Kind::Comment { .. })).collect();
    let first = list.first()?;
    let open =
        list.last().filter(|token| matches!(token.kind, Kind::Text { open: true }) && token.text.starts_with(quote));
    let closed_by_value = open.is_some_and(|token| {
        let inside = token.text.trim_start_matches(quote).trim();
        inside.len() <= 12 && inside.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '%' | '_'))
    });
    let begins = role(first, list.get(1).is_some_and(|next| next.text == "("));
    let fits = matches!(begins, Role::Operator | Role::Close) && shaped(&list);
    let words = list
        .iter()
        .filter(|token| token.kind == Kind::Word && role(token, false) == Role::Operand && !value(token))
        .count();
    let operands = list.iter().filter(|token| role(token, false) == Role::Operand).count();
    let called = list.windows(2).any(|pair| matches!(pair, [word, open] if asks(&word.text) && open.text == "("));
    if fits && list.len() >= 2 {
        let compares = list.iter().any(|token| comparison(&token.text) || connects(&token.text));
        let single = quote == '\'';
        if closed_by_value && operands > 1 && (single || compares) {
            return Some((if compares { 0.86 } else { 0.82 }, CLOSES));
        }
        if comment && cuts && (compares || called || words == 0) {
            return Some((0.86, CUTS));
        }
    }
    if matches!(&*first.text, "declare") && list.get(1).is_some_and(|next| next.text.starts_with('@')) {
        return Some((0.88, OWN));
    }
    // `' or match a against (...) -- `
    if connects(&first.text)
        && cuts
        && list.iter().any(|token| matches!(&*token.text, "(" | "=" | "not" | "like" | "is"))
    {
        return Some((0.82, CUTS));
    }
    None
}

/// Without a quote to break out of.
fn plain(all: &[Token<'_>], whole: bool) -> Option<(f32, &'static str)> {
    let list: Vec<&Token<'_>> = all.iter().filter(|token| !matches!(token.kind, Kind::Comment { .. })).collect();
    let text = |at: usize| list.get(at).map_or("", |token| &*token.text);
    let comments = all.len() > list.len();
    let first = list.first()?;
    let begins = matches!(first.kind, Kind::Number)
        || matches!(text(0), "-" | "(" | ")" | ";" | "@" | "{")
        || first.text.starts_with('@');
    let calls = |at: usize| text(at + 1) == "(" && asks(text(at));
    let has = |word: &str| list.iter().any(|token| token.text == word);
    let numbered = list.iter().any(|token| token.kind == Kind::Number);
    // A statement where only a value was expected; `select x from y` may be a sentence.
    if whole {
        let marked = has("(") && has(",")
            || list.iter().skip(1).take(2).any(|token| {
                value(token) || matches!(&*token.text, "(" | "-" | "@" | "{" | "[" | "*") || token.text.starts_with('@')
            })
            || text(2) == "(";
        let asks_table = has("from") || has("union") || (0..list.len()).any(calls) || text(1) == "{" || text(1) == "[";
        if text(0) == "select" && marked && asks_table {
            return Some((0.82, "Brings a query where a value is expected"));
        }
        if matches!(text(0), "exec" | "execute")
            && (text(1) == "(" && text(2).starts_with('@')
                || ["sp_", "xp_", "@"].iter().any(|begin| text(1).starts_with(begin)))
        {
            return Some((0.85, OWN));
        }
        if text(0) == "declare" && text(1).starts_with('@') {
            return Some((0.85, OWN));
        }
        return None;
    }
    let joined = shaped(&list);
    for (at, token) in list.iter().enumerate() {
        let word = &*token.text;
        // `1e0UNION SELECT`, `1.UNION SELECT.2`
        let joins = word == "union"
            || (word.ends_with("union")
                && word.len() <= 8
                && at > 0
                && list.get(at - 1).is_some_and(|token| token.kind == Kind::Number));
        if joins && at > 0 {
            let next = text(at + 1);
            let selects = next == "select"
                || next.starts_with("select.")
                || next.starts_with("select@")
                || matches!(next, "all" | "distinct") && text(at + 2) == "select";
            let marked = list
                .iter()
                .skip(at + 2)
                .take(3)
                .any(|token| value(token) || matches!(&*token.text, "(" | "*" | "," | "@"));
            if selects && (begins || marked || comments || next.len() > 6) {
                return Some((0.9, JOINS));
            }
            if begins && at + 1 == list.len() && (comments || at > 2) {
                return Some((0.85, JOINS));
            }
        }
        if word == "(" && text(at + 1) == "select" && at > 0 {
            return Some((0.84, "Puts a query of its own into another"));
        }
        if word.starts_with("@@") && list.len() > 1 {
            return Some((0.85, ASKS));
        }
        if word == "update" && begins && has("set") && has("=") && has("(") {
            return Some((0.86, OWN));
        }
        if word == "load" && at > 0 && text(at - 1) == ";" && has("infile") {
            return Some((0.9, OWN));
        }
        if word == "from" && begins && at > 0 && text(at - 1) == ")" && has("where") {
            return Some((0.84, JOINS));
        }
        if word == "having" && text(at + 1) == "(" && at > 0 {
            return Some((0.82, CONDITION));
        }
        if word == "order"
            && text(at + 1) == "by"
            && begins
            && at + 3 == list.len()
            && numbered
            && list.last().is_some_and(|token| token.kind == Kind::Number)
        {
            return Some((0.82, "Probes the columns of a query"));
        }
        if word == "order" && text(at + 1) == "by" && begins && list.iter().skip(at + 2).any(|token| token.text == "(")
        {
            return Some((0.82, "Probes the columns of a query"));
        }
        if connects(word) && word != "having" {
            let rest = list.get(at + 1..).unwrap_or_default();
            let compares = rest.iter().any(|token| comparison(&token.text));
            let call = (at + 1..list.len()).any(calls)
                || rest.windows(2).any(|pair| matches!(pair, [one, two] if one.kind == Kind::Word && two.text == "("));
            let numbers = rest.iter().any(|token| token.kind == Kind::Number);
            let values = rest.iter().any(|token| value(token) || token.text == "null");
            if joined
                && at > 0
                && compares
                && (begins && values
                    || call && numbers
                    || rest.iter().all(|token| token.kind == Kind::Number || token.kind == Kind::Punct))
            {
                return Some((0.84, CONDITION));
            }
            if joined && call && (begins || at == 0) && (compares || numbers || (at + 1..list.len()).any(calls)) {
                return Some((0.82, CONDITION));
            }
        }
    }
    if text(0) == "case" && has("when") && has("then") && has("end") && (numbered || has("(")) {
        return Some((0.82, "Asks a database a question of its own"));
    }
    // `length((select ...))`, `coercibility(user())`
    let inner = list
        .windows(3)
        .any(|three| matches!(three, [word, open, close] if asks(&word.text) && open.text == "(" && close.text == ")"));
    if inner && list.len() > 3 && joined_or_called(&list) {
        return Some((0.82, ASKS));
    }
    if joined && list.len() > 5 && (0..list.len()).filter(|at| calls(*at)).count() > 1 {
        return Some((0.82, ASKS));
    }
    if begins && joined && (0..list.len()).any(calls) && list.len() > 5 && first.text != "(" {
        return Some((0.82, ASKS));
    }
    let unended = all.last().is_some_and(|token| token.text.starts_with("/*") && !token.text.ends_with("*/"));
    if unended && (begins || first.kind == Kind::Word && first.text.starts_with('@')) && list.len() <= 6 {
        return Some((0.82, "Cuts off the rest of the statement"));
    }
    let names = catalogue(&list);
    (names && has("(") && begins && joined).then_some((0.85, "Looks into the catalogue of a database"))
}

/// Whether it is one call, or an expression of calls.
fn joined_or_called(list: &[&Token<'_>]) -> bool {
    shaped(list)
        || list.first().is_some_and(|first| first.kind == Kind::Word)
            && list.get(1).is_some_and(|next| next.text == "(")
}
