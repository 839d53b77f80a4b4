//! Finds source code that reads secrets and sends them, decodes and runs, or hooks into an installation.
//!
//! Code is cut into names, strings and marks, whatever its language, and values are followed from where they come from, through
//! variables and functions, to the call that runs, sends or writes them. A finding points at both ends.
#![forbid(unsafe_code)]

use std::ops::Range;

use plugin_text::{Limits, Views};
use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, Text, join_findings};
use serde::Deserialize;

use crate::flow::{CREDENTIAL, DESTRUCTIVE, EXECUTION, EXFILTRATION, Flow, INSTALL, OBFUSCATED, PERSISTENCE, Seen};
use crate::lexer::{Kind, Token, tokens};
use crate::looks::looks;

mod facts;
mod flow;
mod lexer;
mod looks;
mod words;

/// Every category, for the configuration.
const CATEGORIES: &[&str] = &[EXECUTION, OBFUSCATED, EXFILTRATION, CREDENTIAL, PERSISTENCE, DESTRUCTIVE, INSTALL];
/// Longest text that is read.
const LONGEST: usize = 256 * 1024;
/// Most strings of a text that are read as code, and how deep.
const MOST_INNER: usize = 16;
const DEEPEST: u8 = 2;
/// Most findings of a payload: a text more is no reason to find nothing.
const MOST_FINDINGS: usize = 64;
/// Most findings of one text.
const MOST: usize = 32;

/// What is looked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Categories that are not reported, for instance `code.install_hook`.
    pub disable: Vec<String>,
    /// Findings below this score are not reported; 0 to 1.
    pub min_score: f32,
    /// Further names of arguments that hold code.
    pub code_keys: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config { disable: Vec::new(), min_score: 0.3, code_keys: Vec::new() }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Code {
    config: Config,
}

impl Detector for Code {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if let Some(unknown) = config.disable.iter().find(|name| !CATEGORIES.contains(&name.as_str())) {
            return Err(format!("disable: there is no category `{unknown}`; there are {}", CATEGORIES.join(", ")));
        }
        if !(0.0..=1.0).contains(&config.min_score) {
            return Err("min_score: must lie between 0 and 1".to_owned());
        }
        Ok(Self { config })
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        if call.phase != Phase::Call {
            return Ok(Vec::new());
        }
        let texts = payload.texts();
        let source = texts.iter().any(names_source);
        let mut findings = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let factor = self.factor(text, source);
            if factor == 0.0 {
                continue;
            }
            for seen in read(&text.value, DEEPEST) {
                let score = seen.score * factor;
                if score < self.config.min_score || self.config.disable.iter().any(|name| name == seen.category) {
                    continue;
                }
                let spans = seen.places.into_iter().map(|range| Span::of(index, range));
                findings.push(Finding::new(seen.category, score, format!("{}.", seen.message)).with_spans(spans));
            }
        }
        Ok(join_findings(findings, MOST_FINDINGS, 16 * MOST_FINDINGS))
    }
}

const CODE_KEYS: &[&str] = &[
    "code",
    "script",
    "source",
    "source_code",
    "snippet",
    "program",
    "python",
    "javascript",
    "js",
    "ts",
    "ruby",
    "expression",
    "function",
    "body_code",
    "cell",
    "notebook",
    "patch",
    "diff",
    "command",
    "cmd",
    "input",
    "arguments",
    "args",
    "payload",
    "eval",
    "file_text",
    "new_str",
    "new_string",
    "new_source",
    "file_content",
    "file_contents",
];
const ENDS: &[&str] = &[
    ".py",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".tsx",
    ".jsx",
    ".rb",
    ".go",
    ".php",
    ".ps1",
    ".psm1",
    ".sh",
    ".ipynb",
    ".gemspec",
    ".java",
    ".lua",
    ".pl",
    "package.json",
    "setup.cfg",
    "pyproject.toml",
];

/// Whether the text is the name of a file of source code.
fn names_source(text: &Text) -> bool {
    let name = text.value.as_str();
    name.len() < 512
        && ENDS.iter().any(|end| {
            name.len() >= end.len()
                && name.get(name.len() - end.len()..).is_some_and(|last| last.eq_ignore_ascii_case(end))
        })
}

impl Code {
    /// How much what is seen in a text counts: all where code is expected, less in what only looks like it, nothing in prose.
    fn factor(&self, text: &Text, source: bool) -> f32 {
        if text.value.len() < 12 {
            return 0.0;
        }
        let mut keys = text.pointer.rsplit('/').filter(|key| !key.bytes().all(|byte| byte.is_ascii_digit()));
        let key = keys.next().unwrap_or_default().to_ascii_lowercase();
        let expected = CODE_KEYS.contains(&key.as_str())
            || ["code", "script"].iter().any(|word| key.ends_with(word))
            || self.config.code_keys.iter().any(|known| known.eq_ignore_ascii_case(&key));
        if expected || source {
            return 1.0;
        }
        if code_like(&text.value) { 0.85 } else { 0.0 }
    }
}

/// Whether a text is source code by its looks: several lines that only code has.
fn code_like(text: &str) -> bool {
    let mut signs = 0;
    for line in text.lines().take(400) {
        let line = line.trim();
        let begins = [
            "import ",
            "from ",
            "const ",
            "let ",
            "var ",
            "def ",
            "function ",
            "class ",
            "require ",
            "require(",
            "return ",
            "if (",
            "for (",
            "package ",
            "func ",
            "async ",
            "export ",
            "#!/",
            "\"scripts\"",
            "try",
            "}",
        ];
        let ends = ["{", "}", ";", "):", "(", "),", "});"];
        signs += u32::from(
            begins.iter().any(|begin| line.starts_with(begin))
                && (line.contains(['(', '=', '{', ';', '.', ':', '}']) || line.starts_with("import ")),
        );
        // `name(...)`, `name.name = name(...)`
        let call = line.split('(').next().and_then(|lead| lead.chars().next_back());
        signs += u32::from(
            line.ends_with(')') && line.contains('(') && call.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_'),
        );
        signs += u32::from(line.len() > 1 && ends.iter().any(|end| line.ends_with(end)));
        if signs >= 3 {
            return true;
        }
    }
    false
}

/// Code in the strings of code, which other programs are given.
fn inner(tokens: &[Token], depth: u8, seen: &mut Vec<Seen>) {
    let code = |token: &&Token| {
        token.kind == Kind::Text
            && token.text.len() >= 40
            && token.text.contains('(')
            && ["import ", "exec(", "eval(", "require("].iter().any(|sign| token.text.contains(sign))
    };
    for token in tokens.iter().filter(code).take(MOST_INNER) {
        for one in read(&token.text, depth) {
            seen.push(Seen { score: one.score * 0.95, places: vec![token.range.clone()], ..one });
        }
    }
}

/// What one text does.
fn read(text: &str, depth: u8) -> Vec<Seen> {
    let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text);
    let views = Views::new(text, &Limits { views: 1, bytes: 0, depth: 0, disguises: false });
    let Some((number, view)) = views.iter().next() else { return Vec::new() };
    let (mut tokens, cut) = tokens(&view.text);
    let mut flow = Flow::read(&mut tokens);
    facts::together(&mut flow, &tokens);
    looks(&view.text, &tokens, &mut flow);
    let mut seen = std::mem::take(&mut flow.seen);
    if depth > 0 {
        inner(&tokens, depth - 1, &mut seen);
    }
    for one in &mut seen {
        one.places = one.places.drain(..).map(|range| views.origin(number, range)).collect();
    }
    seen.extend(disguised(text, &views, number, &tokens));
    if cut || flow.cut {
        seen.push(Seen {
            category: OBFUSCATED,
            score: 0.5,
            message: "Holds more code than can be read",
            places: std::iter::once(0..text.ceil_char_boundary(1)).collect(),
        });
    }
    strongest(seen)
}

/// Names that run code, written in letters that only look like theirs.
fn disguised(text: &str, views: &Views<'_>, number: usize, tokens: &[Token]) -> Option<Seen> {
    if text.is_ascii() {
        return None;
    }
    let runs = tokens.iter().filter(|token| {
        token.kind == Kind::Name
            && matches!(
                token.text.as_str(),
                "exec" | "eval" | "os.system" | "__import__" | "compile" | "import" | "subprocess" | "getattr"
            )
    });
    let mut places = runs.map(|token| views.origin(number, token.range.clone()));
    let place: Range<usize> =
        places.find(|place| text.get(place.clone()).is_some_and(|written| !written.is_ascii()))?;
    Some(Seen {
        category: OBFUSCATED,
        score: 0.88,
        message: "Writes what it runs in letters that only look like it",
        places: vec![place],
    })
}

/// The strongest of each category and message, at most [`MOST`].
fn strongest(mut seen: Vec<Seen>) -> Vec<Seen> {
    seen.sort_by(|one, other| {
        other.score.total_cmp(&one.score).then_with(|| {
            one.places.first().map(|place| place.start).cmp(&other.places.first().map(|place| place.start))
        })
    });
    let mut out: Vec<Seen> = Vec::new();
    for one in seen {
        if out.len() < MOST && !out.iter().any(|known| known.category == one.category && known.message == one.message) {
            out.push(one);
        }
    }
    out
}

portcullis_plugin::detector!(Code);

#[cfg(test)]
mod tests;
