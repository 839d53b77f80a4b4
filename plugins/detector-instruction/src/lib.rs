//! Finds what in a result asks the agent to do something. See the README.
#![forbid(unsafe_code)]

use std::ops::Range;

use plugin_text::{Kind, Limits, Views};
use portcullis_plugin::{Call, Detector, Finding, Payload, Phase, Span, join_findings, join_spans, labels};

pub use crate::config::Config;
pub use crate::reading::{DENSE, Seen};
use crate::trees::{Forest, TOGETHER};
pub use crate::trees::{Tree, Trees};
use crate::words::Words;

mod config;
mod reading;
mod tokens;
mod trees;
mod words;

/// The table that is shipped.
const MODEL: &[u8] = include_bytes!("../model.bin");
/// Most findings of a payload: a text more is no reason to find nothing.
const MOST_FINDINGS: usize = 64;
/// At most this many spans in one finding.
const MOST_SPANS: usize = 16;
/// Bytes of an identifier: a longer name with blanks may be a sentence.
const LONGEST_WORD: usize = 20;
/// What dresses a request up.
const WRAPS: [u8; 6] =
    [reading::OVERRIDE, reading::ROLE, reading::TO_AGENT, reading::KEPT, reading::ANNOUNCED, reading::IN_NAME];
/// A request of whose words this share is in the user's task is the user's own.
const COVERED: f32 = 0.7;
/// How much the score of a request falls that the task covers, and rises that somebody hid in an encoding.
const OWN: f32 = -2.5;
const ENCODED: f32 = 1.5;
/// How sure it is where there are more encoded pieces than are read: nobody writes that many for people.
const CUT: f32 = 0.5;
/// How much more sure it is where earlier instructions are to be ignored, and where a request is dressed up in other ways.
const OVERRIDING: f32 = 3.0;
const WRAPPED: f32 = 1.0;

/// The detector.
#[derive(Debug)]
pub struct Instruction {
    config: Config,
    words: Words,
    forest: Forest,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Category {
    Wrapped,
    Tool,
    Address,
    Request,
    Unread,
}

impl Category {
    const ALL: [Category; 5] =
        [Category::Wrapped, Category::Tool, Category::Address, Category::Request, Category::Unread];

    fn name(self) -> &'static str {
        match self {
            Category::Wrapped => "instruction.wrapped",
            Category::Tool => "instruction.tool",
            Category::Address => "instruction.address",
            Category::Request => "instruction.request",
            Category::Unread => "instruction.unread",
        }
    }
}

/// A sentence that asks for something, or where there may be one.
struct Asked {
    category: Category,
    score: f32,
    range: Range<usize>,
    wraps: u8,
    via: Kind,
}

impl Detector for Instruction {
    type Config = Config;

    fn configure(config: Config) -> Result<Instruction, String> {
        Instruction::with_model(config, MODEL)
    }

    fn inspect(&self, call: &Call, payload: &dyn Payload) -> Result<Vec<Finding>, String> {
        if !self.config.phases.contains(&call.phase) {
            return Ok(Vec::new());
        }
        let task = call.task.as_deref().map(|task| self.stems(task)).unwrap_or_default();
        let mut findings = Vec::new();
        for (index, text) in payload.texts().iter().enumerate() {
            self.text(call, &task, index, &text.value, &mut findings);
        }
        let mut named = Vec::new();
        for name in payload.names().iter().filter(|name| is_sentence(name)) {
            self.text(call, &task, 0, name, &mut named);
        }
        // `Name of the person` is a label and reads like a request: without more than that it is none.
        named.retain(|finding| finding.category != Category::Request.name());
        // A name cannot be pointed at; the finding is about the whole.
        findings.extend(named.into_iter().map(|finding| Finding { spans: Vec::new(), ..finding }));
        self.taint(call, &findings)?;
        Ok(join_findings(findings, MOST_FINDINGS, MOST_SPANS * MOST_FINDINGS))
    }
}

impl Instruction {
    /// The detector with another table, as training makes it.
    ///
    /// # Errors
    /// The configuration or the table is none.
    pub fn with_model(config: Config, model: &[u8]) -> Result<Instruction, String> {
        config.check(&Category::ALL.map(Category::name))?;
        let forest = Forest::read(model, DENSE)?;
        Ok(Instruction { config, words: Words::new(), forest })
    }

    /// The sentences of each view of a text, as the model reads them.
    #[must_use]
    pub fn read(&self, text: &str) -> Vec<Vec<Seen>> {
        let views = Views::new(text, &Limits::default());
        views.iter().map(|(_, view)| reading::read(&view.text, &self.words)).collect()
    }

    fn stems(&self, task: &str) -> Vec<u32> {
        let mut stems: Vec<u32> = Vec::new();
        reading::visit(task, &self.words, |seen| stems.extend(seen.stems));
        stems.sort_unstable();
        stems
    }

    fn text(&self, call: &Call, task: &[u32], index: usize, text: &str, findings: &mut Vec<Finding>) {
        let views = Views::new(text, &Limits::default());
        let mut all: Vec<Asked> = Vec::new();
        for (number, view) in views.iter() {
            let mut judge = |batch: &[Seen]| {
                let scores = self.forest.scores(batch.iter().map(|seen| seen.dense.as_slice()));
                for (seen, raw) in batch.iter().zip(scores) {
                    let asked = self.asked(seen, raw, view.kind, task);
                    all.extend(asked.map(|asked| Asked { range: views.origin(number, asked.range), ..asked }));
                }
            };
            let mut batch: Vec<Seen> = Vec::with_capacity(TOGETHER);
            reading::visit(&view.text, &self.words, |seen| {
                batch.push(seen);
                if batch.len() == TOGETHER {
                    judge(&batch);
                    batch.clear();
                }
            });
            judge(&batch);
        }
        if views.cut() && CUT >= self.config.min_score {
            let range = 0..text.ceil_char_boundary(1);
            all.push(Asked { category: Category::Unread, score: CUT, range, wraps: 0, via: Kind::Plain });
        }
        for category in Category::ALL {
            if self.config.disable.iter().any(|name| name == category.name()) {
                continue;
            }
            let here = || all.iter().filter(|one| one.category == category);
            let Some(best) = here().max_by(|one, other| one.score.total_cmp(&other.score)) else { continue };
            let spans = here().take(MOST_SPANS).map(|one| Span::of(index, one.range.clone())).collect();
            let message = message(best, call);
            findings.push(Finding::new(category.name(), best.score, message).with_spans(join_spans(spans)));
        }
    }

    /// What a sentence with this score of the model asks, with its bytes in the view; none where that is likely nothing.
    fn asked(&self, seen: &Seen, mut raw: f32, via: Kind, task: &[u32]) -> Option<Asked> {
        let wraps = seen.wraps.0 | seen.wraps.1;
        let wrapped = WRAPS.iter().any(|wrap| wraps & wrap != 0);
        if wraps & reading::OVERRIDE != 0 {
            raw += OVERRIDING;
        } else if wrapped && seen.asks {
            raw += WRAPPED * WRAPS.iter().filter(|wrap| wraps & **wrap != 0).count() as f32;
        }
        if !wrapped && covered(&seen.stems, task) >= COVERED {
            raw += OWN;
        }
        if !matches!(via, Kind::Plain | Kind::Unescaped) {
            raw += ENCODED;
        }
        let score = self.forest.probability(raw);
        if score < self.config.min_score {
            return None;
        }
        let category = match () {
            () if wrapped => Category::Wrapped,
            () if seen.names_tool && seen.asks => Category::Tool,
            () if seen.address && seen.asks => Category::Address,
            () => Category::Request,
        };
        Some(Asked { category, score, range: seen.range.clone(), wraps, via })
    }

    /// Tells later calls of the session that its content may steer.
    fn taint(&self, call: &Call, findings: &[Finding]) -> Result<(), String> {
        if call.phase != Phase::Result || call.session.is_none() {
            return Ok(());
        }
        let Some(best) = findings.iter().max_by(|one, other| one.score.total_cmp(&other.score)) else { return Ok(()) };
        if best.score >= self.config.taint_score {
            labels::add(plugin_text::TAINTED, &best.category)?;
        }
        Ok(())
    }
}

/// Whether the name of a member may be a sentence.
fn is_sentence(name: &str) -> bool {
    name.len() > LONGEST_WORD && name.contains(char::is_whitespace)
}

/// The share of a sentence's words that the task has too; 0 without a task.
#[allow(clippy::cast_precision_loss, reason = "words of a sentence")]
fn covered(stems: &[u32], task: &[u32]) -> f32 {
    if stems.len() < 2 || task.is_empty() {
        return 0.0;
    }
    let known = stems.iter().filter(|stem| task.binary_search(stem).is_ok()).count();
    known as f32 / stems.len() as f32
}

fn message(asked: &Asked, call: &Call) -> String {
    let what = match asked.category {
        Category::Wrapped => match asked.wraps {
            wraps if wraps & reading::OVERRIDE != 0 => "tells the agent to set aside its instructions and gives others",
            wraps if wraps & reading::KEPT != 0 => "asks for something that is to be kept from the user",
            wraps if wraps & reading::ROLE != 0 => {
                "poses as a message of the system or the user and asks for something"
            }
            wraps if wraps & reading::TO_AGENT != 0 => "speaks to the assistant that reads it and asks for something",
            wraps if wraps & reading::IN_NAME != 0 => "asks for something in the name of the user",
            _ => "announces new instructions",
        },
        Category::Tool => "asks the reader to use a tool or function",
        Category::Address => "asks the reader to do something with an address",
        Category::Request => "asks the reader to do something",
        Category::Unread => {
            "holds more encoded or escaped pieces than are read, so that a request may be among the rest"
        }
    };
    let source = if call.phase == Phase::Result { "The result" } else { "The text" };
    let hidden = match asked.via {
        Kind::Plain | Kind::Unescaped => String::new(),
        kind => format!(", hidden in {}", kind.name()),
    };
    format!(
        "{source} {what}{hidden}. Data should not give orders: check that the next calls are what the user asked for."
    )
}

portcullis_plugin::detector!(Instruction);

#[cfg(test)]
mod tests;
