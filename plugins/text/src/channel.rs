//! What kind of text a string is, by its shape.

use memchr::{memchr, memchr_iter};

/// The kinds of text that agents are given. What is ordinary in one is odd in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// What a person types: a request, a question, a line of chat.
    User,
    /// A letter: with headers, or with a greeting and a close.
    Email,
    /// A page, a manual, a report: longer text with headings, lists, tables or paragraphs.
    Document,
    /// Source, configuration, logs, commands.
    Code,
    /// A value of JSON, or one in each line.
    Json,
}

/// So much of a text is looked at.
const HEAD: usize = 4096;
/// Longest text without any structure that a person is taken to type.
const TYPED: usize = 1200;

const HEADERS: &[&str] = &[
    "from:",
    "to:",
    "cc:",
    "subject:",
    "date:",
    "sent:",
    "reply-to:",
    "message-id:",
    "mime-version:",
    "return-path:",
    "received:",
    "von:",
    "an:",
    "betreff:",
    "de:",
    "objet:",
    "asunto:",
    "para:",
    "oggetto:",
];
const GREETINGS: &[&str] = &[
    "hi",
    "hello",
    "dear",
    "hey",
    "good morning",
    "good afternoon",
    "good evening",
    "greetings",
    "hallo",
    "liebe",
    "lieber",
    "sehr geehrte",
    "guten tag",
    "bonjour",
    "cher",
    "ch\u{e8}re",
    "hola",
    "estimado",
    "estimada",
    "ciao",
    "gentile",
    "beste",
];
const CLOSES: &[&str] = &[
    "regards",
    "best",
    "best regards",
    "kind regards",
    "warm regards",
    "thanks",
    "thank you",
    "many thanks",
    "cheers",
    "sincerely",
    "yours",
    "yours sincerely",
    "yours truly",
    "all the best",
    "talk soon",
    "best wishes",
    "mit freundlichen",
    "viele gr\u{fc}\u{df}e",
    "cordialement",
    "bien \u{e0} vous",
    "saludos",
    "un saludo",
    "cordiali saluti",
    "met vriendelijke",
    "sent from my",
];
/// What begins a line of code, by its first byte in small letters: only a few are to be compared with each line.
fn code_starts(first: u8) -> &'static [&'static str] {
    match first {
        b'#' => &["#!/", "#include", "#define"],
        b'$' => &["$ "],
        b'*' => &["* "],
        b'+' => &["+++ "],
        b'-' => &["--- a/"],
        b'/' => &["//", "/*"],
        b'<' => &["<?php"],
        b'@' => &["@@ "],
        b'a' => &["async ", "await "],
        b'c' => &["class ", "const ", "catch (", "create table"],
        b'd' => &["def ", "diff --git"],
        b'e' => &["else {", "elif ", "else:", "except ", "export ", "echo "],
        b'f' => &["from ", "function ", "fn ", "func ", "for ("],
        b'i' => &["import ", "impl ", "if (", "if [", "insert into"],
        b'l' => &["let "],
        b'p' => &["public ", "private ", "protected ", "pub ", "package ", "print("],
        b'r' => &["return ", "return;"],
        b's' => &["select ", "sudo ", "self."],
        b't' => &["try:", "try {", "this."],
        b'u' => &["use ", "update "],
        b'v' => &["var "],
        b'w' => &["while ("],
        b'}' => &["} else"],
        _ => &[],
    }
}

/// What begins a block of code.
const OPENS: &[&str] =
    &["if ", "for ", "while ", "with ", "def ", "class ", "elif ", "except", "print(", "assert ", "raise ", "return "];

/// The kind that a text looks like. A guess by cheap marks in its first 4 KiB: it picks thresholds, it proves nothing, and a
/// writer who wants another kind gets it. So no kind may be a way around a detector.
pub fn channel(text: &str) -> Channel {
    let text = text.trim_start_matches('\u{feff}').trim();
    let head = text.get(..text.floor_char_boundary(HEAD)).unwrap_or(text);
    if is_json(text, head) {
        return Channel::Json;
    }
    let mut seen = Seen::default();
    for line in head.lines() {
        seen.line(line);
    }
    if seen.headers >= 2 || (seen.greeting && (seen.close || seen.lines >= 4)) || (seen.close && seen.lines >= 4) {
        return Channel::Email;
    }
    // Comments are neither, and what stands in code is set in.
    let (lines, code) = (seen.lines.saturating_sub(seen.remarks).max(1), seen.code);
    let set_in = code >= 2 && (code + seen.set_in) * 10 >= lines * 6;
    if head.starts_with("#!") || set_in || (code >= 2 && code * 10 >= lines * 4) || (code == 1 && lines == 1) {
        return Channel::Code;
    }
    let marked = seen.headings >= 1 && seen.lines >= 3 || seen.items >= 3 || seen.rows >= 2 || seen.tags >= 3;
    if marked || (seen.paragraphs >= 3 && text.len() > TYPED / 2) || text.len() > TYPED {
        return Channel::Document;
    }
    Channel::User
}

/// An object or array that closes, or one in each line.
fn is_json(text: &str, head: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |open: u8, close: u8| bytes.first() == Some(&open) && bytes.last() == Some(&close) && bytes.len() >= 2;
    let next = |skip: &[u8]| head.bytes().skip(1).find(|byte| !byte.is_ascii_whitespace() && !skip.contains(byte));
    match bytes.first() {
        Some(b'{') if ends(b'{', b'}') => {
            matches!(next(b""), Some(b'"' | b'}')) && (memchr(b':', head.as_bytes()).is_some() || bytes.len() == 2)
        }
        // `[INST]` and `[x]` are none.
        Some(b'[') if ends(b'[', b']') => {
            matches!(next(b"["), Some(b'{' | b'"' | b']' | b'0'..=b'9' | b'-'))
                || ["[true", "[false", "[null"].iter().any(|start| head.starts_with(start))
        }
        _ => false,
    }
}

/// What stands in the lines.
#[derive(Default)]
struct Seen {
    /// Lines with anything in them.
    lines: usize,
    headers: usize,
    greeting: bool,
    close: bool,
    code: usize,
    /// Lines that are code by where they begin only.
    set_in: usize,
    /// Comments of code, or headings.
    remarks: usize,
    headings: usize,
    items: usize,
    rows: usize,
    tags: usize,
    paragraphs: usize,
    blank: bool,
}

impl Seen {
    fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            self.blank = true;
            return;
        }
        self.lines += 1;
        self.paragraphs += usize::from(self.blank || self.lines == 1);
        self.blank = false;
        let begins = |starts: &[&str]| starts.iter().any(|start| starts_with(trimmed, start));
        if self.lines <= 20
            && memchr(b':', line.as_bytes().get(..16.min(line.len())).unwrap_or_default()).is_some()
            && begins(HEADERS)
        {
            self.headers += 1;
        }
        // A greeting stands alone in the first line, or ends with a comma soon.
        if self.lines <= 2 && GREETINGS.iter().any(|word| starts_word(trimmed, word)) {
            let comma = trimmed.find([',', '!', ':', '\u{2014}']).unwrap_or(trimmed.len());
            self.greeting |= comma <= 40 && (trimmed.len() <= 48 || trimmed.as_bytes().get(comma) == Some(&b','));
        }
        self.close |= self.lines >= 2 && trimmed.len() <= 40 && CLOSES.iter().any(|word| starts_word(trimmed, word));
        let bytes = trimmed.as_bytes();
        let last = bytes.last().copied().unwrap_or_default();
        // A sentence begins with `from` or `let`, too: it ends like one.
        let sentence = matches!(last, b'.' | b'?' | b'!' | b',') && memchr_iter(b' ', bytes).nth(2).is_some();
        let assigned = memchr_iter(b'=', bytes)
            .filter_map(|at| at.checked_sub(1))
            .find(|at| bytes.get(*at..at + 3).is_some_and(|sign| sign == b" = "));
        let assigns = assigned
            .and_then(|at| trimmed.get(..at))
            .is_some_and(|name| !name.contains(' ') || name.contains("let ") || name.contains(':'));
        let calls = trimmed.ends_with("()")
            || trimmed.ends_with(");")
            || trimmed.ends_with("),")
            || trimmed.ends_with("):")
            || (trimmed.ends_with([')', ':', ']']) && OPENS.iter().any(|start| starts_with(trimmed, start)));
        if !sentence && (matches!(last, b';' | b'{' | b'}' | b'\\') || assigns || calls || self.starts_code(trimmed)) {
            self.code += 1;
        } else if !sentence && (line.starts_with("    ") || line.starts_with('\t')) && !item(trimmed) {
            self.set_in += 1;
        }
        self.remarks += usize::from(trimmed.starts_with("# ") || trimmed.starts_with("//"));
        self.headings += usize::from(heading(trimmed));
        self.items += usize::from(item(trimmed));
        self.rows += usize::from(bytes.first() == Some(&b'|') && last == b'|' && bytes.len() > 2);
        let tag =
            |at: usize| bytes.get(at + 1).is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'!'));
        self.tags += memchr_iter(b'<', bytes).filter(|at| tag(*at)).take(4).count();
    }

    fn starts_code(&self, line: &str) -> bool {
        let first = line.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
        let found = code_starts(first).iter().find(|start| starts_with(line, start));
        // Small words begin sentences and lists, too: the rest of the line must not read like one.
        let Some(start) = found else { return false };
        let item = line.starts_with("* ") && !line.contains(';');
        let short = memchr_iter(b' ', line.as_bytes()).nth(4).is_none();
        let word = start.ends_with(' ') && *start != "$ ";
        !item && (!word || short || line.contains(['(', '{', ';', '=']))
    }
}

/// `start` is in small letters.
fn starts_with(line: &str, start: &str) -> bool {
    // Most are told apart by their first byte.
    let (Some(first), Some(wanted)) = (line.as_bytes().first(), start.as_bytes().first()) else { return false };
    first.to_ascii_lowercase() == *wanted
        && line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// As above, and a word ends there.
fn starts_word(line: &str, word: &str) -> bool {
    // Letters outside ASCII are compared as they are.
    starts_with(line, word) && !line.get(word.len()..).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
}

/// `# Title`, `=====`.
fn heading(line: &str) -> bool {
    let marks = line.bytes().take_while(|byte| *byte == b'#').count();
    let under = line.len() >= 3 && (line.bytes().all(|byte| byte == b'=') || line.bytes().all(|byte| byte == b'-'));
    ((1..=6).contains(&marks) && line.as_bytes().get(marks) == Some(&b' ')) || under
}

/// `- item`, `* item`, `1. item`.
fn item(line: &str) -> bool {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let after = |at: usize| line.as_bytes().get(at + 1) == Some(&b' ');
    match line.as_bytes().get(digits) {
        Some(b'-' | b'*' | b'+') if digits == 0 => after(0),
        Some(b'.' | b')') if (1..=3).contains(&digits) => after(digits),
        _ => line.starts_with("\u{2022} "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(of: Channel, texts: &[&str]) {
        for text in texts {
            assert_eq!(channel(text), of, "{text}");
        }
    }

    #[test]
    fn what_people_type() {
        all(
            Channel::User,
            &[
                "",
                "book me a table for two on Friday",
                "What does the warranty say about water damage?",
                "Hi, can you tell me when the parcel arrives?",
                "import the contacts from last week into the new list, please.",
                "From now on answer in French.",
                "Select the cheapest flight and tell me the price",
                "Can you explain {this} to me",
                "[INST] do it [/INST]",
                "thanks!",
                "let me know when it is done, and use the blue template",
                "\u{5e97}\u{306e}\u{55b6}\u{696d}\u{6642}\u{9593}\u{3092}\u{6559}\u{3048}\u{3066}",
                "end the subscription",
                "I need three things: milk, eggs and bread. Order them for tomorrow morning.",
            ],
        );
    }

    #[test]
    fn letters() {
        all(
            Channel::Email,
            &[
                "From: Mara Lind <mara@corp.example>\nTo: team@corp.example\nSubject: Plan\n\nThe plan is below.",
                "Hi Jonas,\n\nthe invoice for May is attached. Please pay it by Friday.\n\nBest regards,\nAda",
                "Dear Ms Okafor,\nyour appointment is on Monday.\nWe look forward to seeing you.\nThe front desk",
                "Sehr geehrte Frau Blum,\n\nanbei der Vertrag.\n\nMit freundlichen Gr\u{fc}\u{df}en\nT. Rau",
                "The meeting moved to room 4.\nBring the slides.\nLunch is at noon.\nCheers,\nPim",
                "Subject: lunch\nFrom: pim@corp.example\n\nSoup or salad?",
            ],
        );
    }

    #[test]
    fn documents() {
        let paragraphs =
            "The valley was settled early. Its mills drove the town for two centuries and left their marks.\n\n"
                .repeat(8);
        all(
            Channel::Document,
            &[
                "# Setup\n\nInstall the tool.\nRun it once.",
                "Shopping\n- milk\n- eggs\n- bread",
                "1. Open the lid\n2. Fill in water\n3. Close the lid",
                "| name | price |\n|---|---|\n| tea | 3 |",
                "<html><body><h1>News</h1><p>The fair opens.</p></body></html>",
                paragraphs.as_str(),
            ],
        );
    }

    #[test]
    fn source() {
        all(
            Channel::Code,
            &[
                "#!/bin/sh\nset -e\nls",
                "def add(a, b):\n    return a + b",
                "const x = 3;\nfunction f() {\n  return x;\n}",
                "#include <stdio.h>\nint main(void) {\n  puts(\"hi\");\n}",
                "SELECT name FROM users WHERE id = 3;",
                "import os\nimport sys\n\nprint(os.getcwd())",
                "fn main() {\n    let x = 1;\n}",
                "name = \"tool\"\nversion = \"1.0\"\nedition = \"2024\"",
                "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b",
            ],
        );
    }

    #[test]
    fn json() {
        all(
            Channel::Json,
            &[
                "{}",
                "{\"a\": 1}",
                " [1, 2, 3] ",
                "[{\"id\": 1}, {\"id\": 2}]",
                "[]",
                "{\n  \"mail\": \"Dear Sir,\\nhello\\nRegards\"\n}",
                "{\"a\":1}\n{\"a\":2}",
                "[true, false]",
                "\u{feff}{\"a\": null}",
            ],
        );
    }

    #[test]
    fn only_the_beginning_of_a_text_is_read() {
        let long = "word ".repeat(2_000_000);
        assert_eq!(channel(&long), Channel::Document);
        assert_eq!(channel(&"\u{200b}".repeat(100_000)), Channel::Document);
        assert_eq!(channel("\0\0\0"), Channel::User);
        assert_eq!(channel(&"{\"a\":".repeat(100_000)), Channel::Code);
    }
}
