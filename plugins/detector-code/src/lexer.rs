//! Source code as names, strings and marks, whatever the language: Python, JavaScript, Ruby, Go, PHP, PowerShell and their kin agree
//! on enough of it.

use std::ops::Range;

/// What a piece of code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name with all behind its dots: `os.environ`, `Net::HTTP.post`.
    Name,
    /// What stands between quotes.
    Text,
    /// A number.
    Number,
    /// One mark.
    Mark(u8),
    /// The end of a line outside brackets, or `;`.
    End,
}

/// A piece of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// A name in its plain form (`.` between its parts), or the text between quotes with its escapes undone.
    pub(crate) text: String,
    /// Bytes of the text, with the quotes.
    pub(crate) range: Range<usize>,
    /// Escapes of single characters in a text, or 1 for a name that was put together from strings.
    pub(crate) escapes: u32,
    /// What it stands for by itself, once that is known.
    pub(crate) labels: u32,
    /// A name with the alias that it begins with put in, if it has one.
    pub(crate) resolved: Option<String>,
}

impl Token {
    /// The name that it stands for.
    pub(crate) fn name(&self) -> &str {
        self.resolved.as_deref().unwrap_or(&self.text)
    }
}

/// Most tokens of one text.
pub(crate) const MOST: usize = 40_000;
/// Most bytes of a string that are kept.
const LONGEST: usize = 4096;

/// The tokens of `text`, and whether some were left out.
pub(crate) fn tokens(text: &str) -> (Vec<Token>, bool) {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, out: Vec::new(), depth: 0, braces: Vec::new() };
    lexer.run();
    let cut = lexer.at < text.len();
    (merged(lexer.out), cut)
}

struct Lexer<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    out: Vec<Token>,
    /// Round and square brackets that are open: lines end only outside.
    depth: usize,
    /// Braces that are open: whether each holds statements.
    braces: Vec<bool>,
}

fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn in_name(byte: u8) -> bool {
    begins_name(byte) || byte.is_ascii_digit()
}

impl Lexer<'_> {
    fn get(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, kind: Kind, text: String, start: usize, escapes: u32) {
        self.out.push(Token { kind, text, range: start..self.at, escapes, labels: 0, resolved: None });
    }

    fn line(&self) -> usize {
        self.rest().iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |end| self.at + end)
    }

    fn run(&mut self) {
        while self.at < self.bytes.len() && self.out.len() < MOST {
            let start = self.at;
            let byte = self.get(0);
            let before = start.checked_sub(1).and_then(|at| self.bytes.get(at)).copied().unwrap_or(b'\n');
            match byte {
                b'\n' | b';' => {
                    self.at += 1;
                    if self.depth == 0 || byte == b';' {
                        self.depth = 0;
                        self.end(start);
                    }
                }
                b if b.is_ascii_whitespace() => self.at += 1,
                // A comment, and not a private member or a colour.
                b'#' if before.is_ascii_whitespace()
                    && (matches!(self.get(1), b' ' | b'!' | b'#' | b'\t' | b'\n') || before == b'\n') =>
                {
                    self.at = self.line()
                }
                b'/' if self.get(1) == b'/' && before != b':' => self.at = self.line(),
                b'/' if self.get(1) == b'*' => {
                    let rest = self.bytes.get(self.at + 2..).unwrap_or_default();
                    self.at = find(rest, b"*/").map_or(self.bytes.len(), |end| self.at + 2 + end + 2);
                }
                b'"' | b'\'' | b'`' => self.string(byte),
                // `f"..."`, `b'...'`
                b'f' | b'F' | b'r' | b'R' | b'b' | b'B' | b'u'
                    if matches!(self.get(1), b'"' | b'\'') && !in_name(before) =>
                {
                    self.at += 1;
                    self.string(self.get(0));
                }
                b if b.is_ascii_digit() => {
                    while in_name(self.get(0)) || (self.get(0) == b'.' && self.get(1).is_ascii_digit()) {
                        self.at += 1;
                    }
                    let text = self.text.get(start..self.at).unwrap_or_default().to_owned();
                    self.push(Kind::Number, text, start, 0);
                }
                b if begins_name(b) => self.name(),
                _ => {
                    self.at += 1;
                    match byte {
                        b'(' | b'[' => self.depth += 1,
                        b')' | b']' => self.depth = self.depth.saturating_sub(1),
                        _ => {}
                    }
                    let statements = match byte {
                        b'{' => {
                            let statements = self.block();
                            self.depth += usize::from(!statements);
                            self.braces.push(statements);
                            statements
                        }
                        b'}' => {
                            let statements = self.braces.pop().unwrap_or(true);
                            self.depth = self.depth.saturating_sub(usize::from(!statements));
                            statements
                        }
                        _ => false,
                    };
                    self.push(Kind::Mark(byte), String::new(), start, 0);
                    if statements && self.depth == 0 {
                        self.end(start);
                    }
                }
            }
        }
    }

    /// Whether a brace that begins here holds statements, and not the members of a value or names.
    fn block(&self) -> bool {
        match self.out.last() {
            Some(Token { kind: Kind::Mark(mark), .. }) => {
                !matches!(mark, b'=' | b'(' | b',' | b':' | b'[' | b'?' | b'|')
            }
            Some(Token { kind: Kind::Name, text, .. }) => {
                !matches!(text.as_str(), "const" | "let" | "var" | "import" | "export" | "return" | "from")
            }
            _ => true,
        }
    }

    fn end(&mut self, start: usize) {
        if self.out.last().is_some_and(|last| last.kind != Kind::End) {
            self.push(Kind::End, String::new(), start, 0);
        }
    }

    fn name(&mut self) {
        let start = self.at;
        let mut name = String::new();
        loop {
            let from = self.at;
            while in_name(self.get(0)) {
                self.at += 1;
            }
            name.push_str(self.text.get(from..self.at).unwrap_or_default());
            // `a.b`, `a?.b`, `A::b`, `$a->b`; and the verbs of PowerShell.
            let skip = match (self.get(0), self.get(1)) {
                (b'.', next) if begins_name(next) => 1,
                (b'?', b'.') | (b':', b':') | (b'-', b'>') if begins_name(self.get(2)) => 2,
                (b'-', next)
                    if next.is_ascii_alphabetic() && VERBS.iter().any(|verb| name.eq_ignore_ascii_case(verb)) =>
                {
                    name.push('-');
                    self.at += 1;
                    continue;
                }
                _ => break,
            };
            self.at += skip;
            name.push('.');
        }
        self.push(Kind::Name, name, start, 0);
    }

    fn string(&mut self, quote: u8) {
        let start = self.at;
        let triple = [quote; 3];
        if quote != b'`' && self.rest().starts_with(&triple) {
            let body = self.at + 3;
            let rest = self.bytes.get(body..).unwrap_or_default();
            let length = find(rest, &triple).unwrap_or(rest.len());
            self.at = (body + length + 3).min(self.bytes.len());
            // What stands alone is there for readers.
            let alone = self.out.last().is_none_or(|last| matches!(last.kind, Kind::End | Kind::Mark(b':')));
            if !alone {
                let text = self
                    .text
                    .get(body..self.text.floor_char_boundary(body + length.min(LONGEST)))
                    .unwrap_or_default()
                    .to_owned();
                self.push(Kind::Text, text, start, 0);
            }
            return;
        }
        self.at += 1;
        let mut text = Vec::new();
        let mut escapes = 0;
        while self.at < self.bytes.len() {
            let byte = self.get(0);
            if byte == quote {
                self.at += 1;
                break;
            }
            // Only template strings go on over lines.
            if byte == b'\n' && quote != b'`' {
                break;
            }
            self.at += 1;
            if byte != b'\\' {
                if text.len() < LONGEST {
                    text.push(byte);
                }
                continue;
            }
            escapes += 1;
            let (value, length) = escape(self.rest());
            self.at += length;
            if text.len() < LONGEST {
                match value {
                    Some(value) => {
                        let mut buffer = [0; 4];
                        text.extend(value.encode_utf8(&mut buffer).as_bytes());
                    }
                    None => text.push(b'\\'),
                }
            }
        }
        // A byte above 0x7f may have been cut from its character.
        self.at = self.text.ceil_char_boundary(self.at.min(self.text.len()));
        let text = String::from_utf8_lossy(&text).into_owned();
        let plain = text.len() + 8 < self.at - start;
        self.push(Kind::Text, text, start, if plain { escapes } else { 0 });
    }
}

const VERBS: &[&str] =
    &["invoke", "new", "start", "get", "set", "out", "add", "iwr", "convertto", "convertfrom", "remove", "copy"];

/// The character that an escape stands for, and its bytes behind the backslash.
fn escape(rest: &[u8]) -> (Option<char>, usize) {
    let number = |from: usize, most: usize, radix: u32| {
        let digits: String =
            rest.iter().skip(from).take(most).map(|byte| char::from(*byte)).take_while(|c| c.is_digit(radix)).collect();
        (u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32), from + digits.len())
    };
    match rest.first() {
        Some(b'x') => number(1, 2, 16),
        Some(b'u') if rest.get(1) == Some(&b'{') => {
            let (value, length) = number(2, 6, 16);
            (value, length + 1)
        }
        Some(b'u') => number(1, 4, 16),
        Some(b'0'..=b'7') => number(0, 3, 8),
        Some(b'n' | b'r' | b't') => (Some(' '), 1),
        Some(byte) if byte.is_ascii() => (Some(char::from(*byte)), 1),
        _ => (None, 0),
    }
}

pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

/// `process['en' + 'v']` as `process.env`, `__import__('os').system` as `os.system`.
fn merged(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let mark = |ahead: usize, byte: u8| tokens.get(at + ahead).is_some_and(|token| token.kind == Kind::Mark(byte));
        if token.kind == Kind::Mark(b'[') && out.last().is_some_and(|last| last.kind == Kind::Name) {
            // Strings with `+` between them up to the bracket.
            let mut ahead = 1;
            let mut name = String::new();
            while let Some(part) =
                tokens.get(at + ahead).filter(|part| part.kind == Kind::Text && name.len() < 80 && ahead < 64)
            {
                name.push_str(&part.text);
                ahead += 1;
                if !mark(ahead, b'+') {
                    break;
                }
                ahead += 1;
            }
            let is_name = !name.is_empty() && name.len() < 60 && name.bytes().all(in_name);
            if is_name && mark(ahead, b']') {
                if let Some(last) = out.last_mut() {
                    last.text.push('.');
                    last.text.push_str(&name);
                    last.escapes = last.escapes.max(u32::from(ahead > 2));
                    last.range.end = tokens.get(at + ahead).map_or(last.range.end, |token| token.range.end);
                }
                at += ahead + 1;
                continue;
            }
        }
        let imports = token.kind == Kind::Name
            && matches!(token.text.as_str(), "__import__" | "require" | "importlib.import_module" | "import_module");
        if imports
            && mark(1, b'(')
            && mark(3, b')')
            && mark(4, b'.')
            && let Some([module, _, _, rest]) = tokens.get(at + 2..at + 6)
            && module.kind == Kind::Text
            && rest.kind == Kind::Name
        {
            let text = format!("{}.{}", module.text.trim_start_matches("node:"), rest.text);
            let range = token.range.start..rest.range.end;
            out.push(Token { text, range, ..token.clone() });
            at += 6;
            continue;
        }
        out.push(token.clone());
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        tokens(text).0.into_iter().filter(|token| token.kind == Kind::Name).map(|token| token.text).collect()
    }

    #[test]
    fn names_are_put_together() {
        assert_eq!(names("process['en' + 'v'].HOME"), ["process.env", "HOME"]);
        assert_eq!(names("__import__('os').system('x')"), ["os.system"]);
        assert_eq!(names("Net::HTTP.post(a?.b)"), ["Net.HTTP.post", "a.b"]);
        assert_eq!(names("Invoke-WebRequest -Uri $u"), ["Invoke-WebRequest", "Uri", "$u"]);
    }

    #[test]
    fn comments_and_docstrings_are_left_out() {
        assert_eq!(names("# os.system\n// eval\n/* exec */ run"), ["run"]);
        let (list, _) = tokens("\"\"\"Never call eval.\"\"\"\nx = '\\x65val' # eval");
        assert!(list.iter().any(|token| token.kind == Kind::Text && token.text == "eval"), "{list:?}");
        assert_eq!(list.iter().filter(|token| token.kind == Kind::Text).count(), 1);
    }

    #[test]
    fn nothing_breaks_it() {
        for text in [
            "",
            "'",
            "\"\"\"",
            "`",
            "\\",
            "/*",
            "a[",
            "a['",
            "a.",
            "\u{e9}.\u{e9}",
            "'\\",
            "'\\u{",
            "'\\xz",
            "b'",
            "\0",
            "((((",
            "]]]]",
            "__import__('",
        ] {
            tokens(text);
        }
    }
}
