//! Finds destructive or exfiltrating shell, SQL, code and HTTP targets.
//!
//! What a text is there for decides how it is read: an argument named `command` is lexed as a shell would lex it, a
//! `query` as a database would, a document is searched for commands in it, which count less. Encoded pieces are decoded
//! first ([`plugin_text::Views`]).
#![forbid(unsafe_code)]

use std::collections::HashMap;

use plugin_model::Head;
use plugin_text::{Hit, Kind, Limits, View, Views, without};
use portcullis_plugin::{Call, Detector, Finding, Payload, Span, Text, join_findings};

pub use crate::config::Config;
use crate::context::Context;
use crate::http::Options;
pub use crate::opinion::{DENSE, Reading};
use crate::report::{CATEGORIES, CREDENTIALS, OBFUSCATED, PERSISTENCE, Report, SUSPICIOUS, Seen, keep_strongest};
use crate::signatures::Signatures;

mod config;
mod context;
mod http;
mod opinion;
mod report;
mod shell;
mod signatures;
mod sql;
mod unix;

/// The detector.
#[derive(Debug)]
pub struct Commands {
    signatures: Signatures,
    disabled: Vec<String>,
    min_score: f32,
    options: Options,
    command_keys: Vec<String>,
    head: Option<Head<'static>>,
}

/// The trained table.
const MODEL: &[u8] = include_bytes!("../model.bin");
/// No table is surer than this: what it says, it cannot explain.
const SUREST: f32 = 0.9;
/// Programs whose name in a document is worth a look at what follows.
const PROGRAMS: &[&str] = &[
    "rm",
    "sudo",
    "curl",
    "wget",
    "dd",
    "mkfs*",
    "chmod",
    "chown",
    "nc",
    "ncat",
    "netcat",
    "socat",
    "bash",
    "sh",
    "shutdown",
    "reboot",
    "crontab",
    "cat",
    "scp",
    "find",
    "base64",
    "echo",
    "shred",
    "wipefs",
    "systemctl",
    "iptables",
    "python",
    "python3",
    "perl",
    "eval",
    "history",
    "unset",
    "kubectl",
    "terraform",
    "aws",
    "dropdb",
    "diskutil",
    "mv",
    "truncate",
    "tee",
    "useradd",
    "usermod",
    "nsenter",
    "docker",
    "git",
    "*:(){*",
    "*/dev/tcp/*",
    "tar",
    "env",
    "xargs",
];
/// Members that name the program beside a list of its arguments.
const PROGRAM_KEYS: &[&str] = &["command", "cmd", "program", "executable", "file", "bin"];
/// Longest text that is lexed as a whole.
const LONGEST: usize = 64 * 1024;
/// Longest path of a file.
const LONGEST_PATH: usize = 4096;
/// Most places in a document from which a command is tried.
const MOST_TRIES: usize = 4096;
/// Most bytes of a line on either side of such a place.
const LONGEST_LINE: usize = 1000;
/// Most findings of one text.
const MOST_FINDINGS: usize = 64;
/// Most findings of a payload, and most of their spans: a text more is no reason to find nothing.
const MOST_REPORTED: usize = 128;
const MOST_SPANS: usize = 4096;

impl Detector for Commands {
    type Config = Config;

    fn configure(config: Config) -> Result<Commands, String> {
        Commands::with_model(config, Some(MODEL))
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        self.all(call, payload)
    }
}

impl Commands {
    /// A detector whose second opinion is another table, or that has none.
    ///
    /// # Errors
    /// The configuration or the table cannot be used.
    pub fn with_model(config: Config, model: Option<&'static [u8]>) -> Result<Commands, String> {
        let head = model.map(|model| Head::of_features(model, DENSE)).transpose();
        let head = head.map_err(|error| error.to_string())?;
        unix::prepare();
        if let Some(unknown) = config.disable.iter().find(|name| !CATEGORIES.contains(&name.as_str())) {
            return Err(format!("disable: there is no category `{unknown}`; there are {}", CATEGORIES.join(", ")));
        }
        if !(0.0..=1.0).contains(&config.min_score) {
            return Err("min_score: must lie between 0 and 1".to_owned());
        }
        if let Some(bad) = config
            .drop_sites
            .iter()
            .chain(&config.allow_hosts)
            .find(|host| host.is_empty() || host.contains(['/', ':', ' ']))
        {
            return Err(format!(
                "drop_sites, allow_hosts: `{bad}` is no host name; write it without scheme, port and path"
            ));
        }
        Ok(Commands {
            signatures: Signatures::new(PROGRAMS)?,
            disabled: config.disable,
            min_score: config.min_score,
            options: Options {
                block_private: config.block_private,
                sites: config.drop_sites,
                allow_hosts: config.allow_hosts,
            },
            command_keys: config.command_keys,
            head,
        })
    }

    /// A command as the second opinion reads it.
    #[must_use]
    pub fn read(&self, text: &str) -> Reading {
        let views = Views::new(text, &Limits::default());
        let plain = views.iter().next().map_or(text, |(_, view)| &view.text);
        opinion::read(plain, &self.rules(Context::Run, &views, text))
    }

    fn all(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        let texts = payload.texts();
        let mut findings = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let context = context::of(call, &text.pointer, &self.command_keys);
            let mut seen = self.text(context, &text.value);
            if let Some(writes) = context::file(call, &text.pointer) {
                seen.extend(self.file(&text.value, writes));
            }
            findings.extend(seen.into_iter().map(|seen| {
                Finding::new(seen.category, seen.score, format!("{}.", seen.message))
                    .with_span(Span::of(index, seen.range))
            }));
        }
        self.split(call, &texts, &mut findings);
        Ok(join_findings(findings, MOST_REPORTED, MOST_SPANS))
    }
}

impl Commands {
    /// A command given in pieces: `{"command": "rm", "args": ["-rf", "/"]}` or `["rm", "-rf", "/"]`.
    fn split(&self, call: &Call, texts: &[Text], findings: &mut Vec<Finding>) {
        // Made when the first such list is met; most calls have none.
        let mut places: Option<HashMap<&str, usize>> = None;
        let mut at = 0;
        while let Some(text) = texts.get(at) {
            let Some(parent) = text.pointer.strip_suffix("/0") else {
                at += 1;
                continue;
            };
            let in_list = |text: &&Text| text.pointer.rsplit_once('/').is_some_and(|(folder, _)| folder == parent);
            let end = at + texts.get(at..).unwrap_or_default().iter().take(256).take_while(in_list).count();
            let start = at;
            at = end;
            if context::of(call, &text.pointer, &self.command_keys) != Context::Run {
                continue;
            }
            let mut pieces: Vec<usize> = (start..end).collect();
            // The program may be named beside its arguments.
            let holder = parent.rsplit_once('/').map_or("", |pair| pair.0);
            let places = places.get_or_insert_with(|| {
                texts.iter().enumerate().rev().map(|(at, text)| (text.pointer.as_str(), at)).collect()
            });
            let named = PROGRAM_KEYS.iter().filter_map(|key| places.get(format!("{holder}/{key}").as_str())).min();
            if let Some(named) = named {
                pieces.insert(0, *named);
            }
            if pieces.len() < 2 {
                continue;
            }
            let values: Vec<&str> =
                pieces.iter().filter_map(|piece| texts.get(*piece)).map(|text| text.value.as_str()).collect();
            let quoted: Vec<String> =
                values.iter().map(|value| format!("'{}'", value.replace('\'', "'\\''"))).collect();
            for seen in self.text(Context::Run, &quoted.join(" ")) {
                let spans = pieces.iter().filter_map(|piece| Some(Span::whole(*piece, texts.get(*piece)?)));
                findings.push(Finding::new(seen.category, seen.score, format!("{}.", seen.message)).with_spans(spans));
            }
        }
    }

    /// A file that a tool reads or writes by itself, without a command.
    fn file(&self, path: &str, writes: bool) -> Option<Seen> {
        if path.len() > LONGEST_PATH || path.contains(['\n', '\0']) {
            return None;
        }
        let whole = path.len();
        let path = path.strip_prefix("file://").unwrap_or(path);
        let credentials = unix::sensitive(path).map(|(score, message)| (CREDENTIALS, score, message));
        let start = unix::autostart(path).filter(|_| writes).map(|(score, message)| (PERSISTENCE, score, message));
        let (category, score, message) = start.or(credentials)?;
        let counts = score >= self.min_score && !self.disabled.iter().any(|name| name == category);
        counts.then_some(Seen { category, score, message, range: 0..whole })
    }

    /// Everything in one text, in every form it may be read in; the strongest of each category and place.
    fn text(&self, context: Context, text: &str) -> Vec<Seen> {
        let views = Views::new(text, &Limits::default());
        let mut all = self.rules(context, &views, text);
        if context == Context::Run && !self.disabled.iter().any(|name| name == SUSPICIOUS) {
            self.suspect(&views, &mut all);
        }
        all
    }

    /// The second opinion, where it is surer than every rule on commands.
    fn suspect(&self, views: &Views<'_>, all: &mut Vec<Seen>) {
        let Some((at, view)) = views.iter().next() else { return };
        let Some(head) = &self.head else { return };
        let Some((score, range)) = opinion::opinion(head, &view.text, all) else { return };
        let score = score.min(SUREST);
        let known = all.iter().filter(|seen| seen.category.starts_with("command.")).map(|seen| seen.score);
        if score >= self.min_score && known.fold(0.0, f32::max) < score {
            let message = "Reads like what attackers run, though no rule names it for sure";
            let range = views.origin(at, range);
            keep_strongest(all, Seen { category: SUSPICIOUS, score, message, range }, MOST_FINDINGS);
        }
    }

    /// What the rules find.
    fn rules(&self, context: Context, views: &Views<'_>, text: &str) -> Vec<Seen> {
        // What cannot be read to its end is a sign where commands are expected, and hardly one in a document.
        let hides = if context == Context::Run { 0.75 } else { 0.3 };
        let mut all: Vec<Seen> = Vec::new();
        for (at, view) in views.iter() {
            if view.kind == Kind::Joined {
                continue;
            }
            let mut report = Report::default();
            self.view(context, view, &mut report);
            if report.cut {
                report.add(
                    OBFUSCATED,
                    hides,
                    "Holds more commands, or more deeply nested ones, than can be read",
                    &(0..1),
                );
            }
            for mut seen in report.seen {
                seen.range = views.origin(at, seen.range);
                if seen.score < self.min_score || self.disabled.iter().any(|name| name == seen.category) {
                    continue;
                }
                let rival = all.iter().position(|one| {
                    one.category == seen.category
                        && one.range.start < seen.range.end.max(one.range.start + 1)
                        && seen.range.start < one.range.end
                });
                match rival {
                    Some(rival) => {
                        if let Some(rival) = all.get_mut(rival).filter(|rival| rival.score < seen.score) {
                            *rival = seen;
                        }
                    }
                    None => keep_strongest(&mut all, seen, MOST_FINDINGS),
                }
            }
        }
        if views.cut() {
            let message = "Holds more encoded pieces than can be read";
            let seen = Seen { category: OBFUSCATED, score: hides, message, range: 0..text.ceil_char_boundary(1) };
            if seen.score >= self.min_score && !self.disabled.iter().any(|name| name == seen.category) {
                keep_strongest(&mut all, seen, MOST_FINDINGS);
            }
        }
        all
    }

    fn view(&self, context: Context, view: &View<'_>, report: &mut Report) {
        let text: &str = &view.text;
        // Nobody knows what it is for, but it is a document by its shape.
        let document = || text.len() > 1500 || text.bytes().filter(|byte| *byte == b'\n').count() > 4;
        let context = if context == Context::Unknown && document() { Context::Prose } else { context };
        // What hides behind an encoding is meant for something other than reading.
        let context = if view.kind != Kind::Plain && view.kind != Kind::Unescaped && context == Context::Unknown {
            Context::Run
        } else {
            context
        };
        let run = context == Context::Run;
        let words = self.signatures.words(text);
        // One word that nobody said to run, without a mark of the shell, is a name, a path, an address.
        let several = || text.contains(|c: char| c.is_whitespace() || "$;|&`<>({".contains(c));
        if text.len() <= LONGEST
            && (run || (matches!(context, Context::Unknown | Context::Query) && !text.contains('\n') && several()))
        {
            let factor = if run { 1.0 } else { 0.95 };
            let mut inner = Report::default();
            unix::inspect(text, None, 0, &mut inner);
            scale(inner, factor, report);
        } else {
            // Too long to be read as one, what is to be run counts by the line.
            let factors = if run { (1.0, 0.85) } else { (0.75, 0.6) };
            prose(text, &words.programs, factors, report);
        }
        report.cut |= words.cut;
        let mut inner = Report::default();
        self.signatures.inspect(&words, |range| range, &mut inner);
        if run
            && let Some((plain, map)) = without(text, |c| matches!(c, '^' | '`' | '"' | '\'' | '+' | '(' | ')'))
                .filter(|_| text.len() <= LONGEST)
        {
            // Marks that shells drop or that only join pieces.
            self.signatures.inspect(&self.signatures.words(&plain), |range| map.origin(range), &mut inner);
        }
        let factor = match context {
            Context::Run => 1.0,
            Context::Unknown | Context::Query => 0.9,
            Context::Request | Context::Prose => 0.6,
        };
        scale(inner, factor, report);
        let mut inner = Report::default();
        // Quotes and marks of a shell look like those of an injection.
        let part = match context {
            Context::Run => sql::Part::Statement,
            Context::Query => sql::Part::Either,
            Context::Unknown | Context::Prose | Context::Request => sql::Part::Value,
        };
        sql::inspect(text, part, &mut inner);
        scale(inner, if context == Context::Prose { 0.7 } else { 1.0 }, report);
        http::inspect(text, context == Context::Request || run, &self.options, report);
    }
}

/// Commands in a document: from the name of a program to the end of its line or quotation. A finding counts by the first of
/// `factors` where the command stands alone on its line, by the other in a sentence.
fn prose(text: &str, programs: &[Hit], factors: (f32, f32), report: &mut Report) {
    let mut covered = 0;
    let mut tries = 0;
    for hit in programs {
        if hit.start < covered {
            continue;
        }
        tries += 1;
        if tries > MOST_TRIES {
            report.cut = true;
            break;
        }
        let near = text.get(text.floor_char_boundary(hit.start.saturating_sub(LONGEST_LINE))..hit.start);
        let near = near.unwrap_or_default();
        let lead = near.rfind('\n').and_then(|at| near.get(at + 1..)).unwrap_or(near);
        let rest = text.get(hit.start..text.floor_char_boundary(hit.start + LONGEST_LINE)).unwrap_or_default();
        let line = rest.find('\n').unwrap_or(rest.len());
        // A quotation ends with the mark it began with.
        let quote = lead.chars().next_back().filter(|c| matches!(c, '`' | '"' | '\''));
        let line = quote.and_then(|quote| rest.get(..line)?.find(quote)).unwrap_or(line);
        let Some(piece) = rest.get(..line) else { continue };
        covered = hit.start + line;
        let mut inner = Report::default();
        unix::inspect(piece, None, 1, &mut inner);
        for seen in &mut inner.seen {
            seen.range = hit.start + seen.range.start..hit.start + seen.range.end;
        }
        // Alone on a line it is something to be run; inside a sentence it is something to be read.
        let alone = lead.trim_matches([' ', '\t', '$', '#', '>', '`', '*', '-']).is_empty();
        scale(inner, if alone { factors.0 } else { factors.1 }, report);
    }
}

fn scale(from: Report, factor: f32, to: &mut Report) {
    to.cut |= from.cut;
    for seen in from.seen {
        to.add(seen.category, seen.score * factor, seen.message, &seen.range);
    }
}

portcullis_plugin::detector!(Commands);

#[cfg(test)]
mod tests;
