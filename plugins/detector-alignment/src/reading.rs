//! A call as the model reads it: what of it is new, measured against the task and against the persona.

use plugin_effect::Effect;
use portcullis_plugin::{Call, Text};

use crate::effect::{Verbs, bit};
use crate::topics::{HARM_BIT, Lexicon, MARKS, SENSITIVE_BIT, Topics};
use crate::values::{Kind, Value};
use crate::words::{Fillers, Pieces, Words};

/// Features of a call. Names stand in [`NAMES`].
pub const FEATURES: usize = 22;

/// The features by name, in order. More of each speaks against the call, whatever the training says.
pub const NAMES: [&str; FEATURES] = [
    "words not in the task",
    "words neither in the task nor in the persona",
    "words of the tool not in the task",
    "words of the tool neither in the task nor in the persona",
    "words of the tool not in the persona",
    "words not in the persona",
    "words of the task that the call leaves out",
    "topics neither of the task nor of the persona",
    "topics not of the persona",
    "the tool has other topics than the task",
    "the tool has other topics than the persona",
    "the arguments have other topics than the task",
    "does more than the task asks for",
    "sends, pays or deletes new things",
    "new destinations",
    "sends or pays to new destinations",
    "new numbers and identifiers",
    "new sensitive words",
    "new words of harm",
    "numbers not in the task",
    "neither tool nor arguments have anything of the persona",
    "does something",
];

/// Bytes of a payload's texts that the model reads, and of one of them.
const MOST_BYTES: usize = 4 * 1024;
const MOST_OF_ONE: usize = 1024;
/// Bytes of the payload that are searched for numbers.
const MOST_RAW: usize = 16 * 1024;
/// Words of a persona that say nothing about what it is for.
const ROLES: &str = "agent assistant general helper bot ai llm model system user users helpful assist help chatbot copilot expert specialist \
    manager consultant analyst advisor officer professional role work works";
/// Words of a tool's name that say nothing about what it is for.
const TOOLS: &str = "tool api function helper service client server utility handler action command mcp v1 v2 manager system by id all new \
    data info information details current recent \
    file files folder folders directory list lists item items search web page browser query command code run date time profile note notes \
    document documents text entry entries object value result results content contents";
/// Words of values that say where something is and not what.
const PLACES: &str = "txt pdf docx xlsx md csv json html xml www http https com org net home user users documents document desktop tmp notes \
    note file files folder index example page id";

/// Tables that are made once.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) fillers: Fillers,
    pub(crate) lexicon: Lexicon,
    pub(crate) verbs: Verbs,
    roles: Vec<String>,
    tools: Vec<String>,
    places: Vec<String>,
}

impl Tables {
    pub(crate) fn new() -> Self {
        let stems = |words: &str| words.split_whitespace().map(|word| crate::words::stem(word).to_owned()).collect();
        Self {
            fillers: Fillers::new(),
            lexicon: Lexicon::new(),
            verbs: Verbs::new(),
            roles: stems(ROLES),
            tools: stems(TOOLS),
            places: stems(PLACES),
        }
    }
}

/// What is known of a task or a persona.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) words: Words,
    pieces: Pieces,
    topics: Topics,
    /// Its text in small letters, to look whole values up in.
    text: String,
    /// The same, letters and digits only.
    plain: String,
}

impl Ground {
    /// None if there is no text, or nothing in it.
    fn of(tables: &Tables, text: Option<&str>, without: &[String]) -> Option<Self> {
        let text = text?;
        let mut words = Words::of(&tables.fillers, text);
        words.stems.retain(|stem| !without.contains(stem));
        if words.stems.is_empty() && words.numbers.is_empty() {
            return None;
        }
        let pieces = Pieces::of(words.stems.iter());
        let topics = tables.lexicon.all(words.stems.iter());
        let text = plugin_text::folded(text).to_lowercase();
        let plain = text.chars().filter(char::is_ascii_alphanumeric).collect();
        Some(Self { words, pieces, topics, text, plain })
    }

    /// How much of a word is new: all, or less if the word's topic is none that is new.
    fn novelty(&self, stem: &str, topics: Topics) -> f64 {
        let novelty = self.pieces.novelty(stem);
        // BMI for the body mass index.
        #[cfg(test)]
        crate::tests::count(self.words.initials.len());
        let short = novelty > 0.0 && (3..=5).contains(&stem.len());
        if short && self.words.initials.as_bytes().windows(stem.len()).any(|letters| letters == stem.as_bytes()) {
            return 0.0;
        }
        if topics & self.topics & !MARKS != 0 { novelty * 0.5 } else { novelty }
    }
}

/// A call, read.
#[derive(Debug)]
pub struct Reading {
    /// What the model weighs.
    pub features: [f64; FEATURES],
    /// Whether there is a task.
    pub task: bool,
    /// Whether there is a persona that says something.
    pub persona: bool,
    /// Whether task and arguments are of languages that can be compared word by word.
    pub comparable: bool,
    /// How much of the tool is foreign to the persona: above 0.5 the persona is what the call is beside of.
    pub foreign: f64,
    /// What the call does, as far as the name of the tool tells.
    pub effect: Option<Effect>,
    /// Whether the task speaks of that.
    pub asked: bool,
}

/// Everything about a call that its texts are compared with.
pub(crate) struct Asked {
    pub(crate) task: Option<Ground>,
    pub(crate) persona: Option<Ground>,
}

impl Asked {
    pub(crate) fn of(tables: &Tables, call: &Call) -> Self {
        Self {
            task: Ground::of(tables, call.task.as_deref(), &[]),
            persona: Ground::of(tables, call.persona.as_deref(), &tables.roles),
        }
    }

    /// Whether task or persona name the value.
    pub(crate) fn names(&self, kind: Kind, folded: &str) -> bool {
        let mut grounds = [&self.task, &self.persona].into_iter().flatten();
        let spaced = matches!(kind, Kind::Number | Kind::Account);
        #[cfg(test)]
        crate::tests::count(grounds.clone().map(|ground| ground.text.len()).sum());
        grounds.any(|ground| ground.text.contains(folded) || (spaced && ground.plain.contains(folded)))
    }
}

pub(crate) fn read(
    tables: &Tables,
    call: &Call,
    asked: &Asked,
    texts: &[Text],
    raw: &str,
    values: &[Value],
) -> Reading {
    let (task, persona) = (asked.task.as_ref(), asked.persona.as_ref());
    let mut left = MOST_BYTES;
    let mut all = String::new();
    for text in texts {
        let piece = text.value.get(..text.value.floor_char_boundary(left.min(MOST_OF_ONE))).unwrap_or_default();
        all.push_str(piece);
        all.push('\n');
        left -= piece.len();
        if left == 0 {
            break;
        }
    }
    let mut words = Words::of(&tables.fillers, &all);
    // Values that identify somebody are a feature of their own.
    for number in numbers(raw) {
        if number.len() >= 5 {
            if !words.identifiers.contains(&number) {
                words.identifiers.push(number);
            }
        } else if !words.numbers.contains(&number) {
            words.numbers.push(number);
        }
    }
    let named = Words::of(&tables.fillers, &call.tool);
    let effect = plugin_effect::of_name(&call.tool).strongest();
    let mut tool: Vec<&String> = named.stems.iter().filter(|stem| !tables.tools.contains(stem)).collect();
    // Verbs are what its effect is told by; where they are all, they are its name.
    if tool.iter().any(|stem| !tables.verbs.has(stem)) || tool.len() < named.stems.len() {
        tool.retain(|stem| !tables.verbs.has(stem));
    }
    words.stems.retain(|stem| !tables.places.contains(stem));

    let comparable = task.is_none_or(|task| task.words.language.compares(words.language));
    let named_alike = task.is_none_or(|task| task.words.language.compares(named.language));
    let persona_alike = persona.is_none_or(|persona| persona.words.language.compares(words.language));
    let persona_named = persona.is_none_or(|persona| persona.words.language.compares(named.language));

    let lexicon = &tables.lexicon;
    let by_task = task.filter(|_| comparable);
    let tool_by_task = task.filter(|_| named_alike);
    let by_persona = persona.filter(|_| persona_alike);
    let tool_by_persona = persona.filter(|_| persona_named);
    let of_words: Vec<Seen> = words.stems.iter().map(|stem| Seen::of(lexicon, stem, by_task, by_persona)).collect();
    let of_tool: Vec<Seen> = tool.iter().map(|stem| Seen::of(lexicon, stem, tool_by_task, tool_by_persona)).collect();
    // What cannot be said counts neither for nor against.
    let centred = |share: Option<f64>| share.map_or(0.0, |share| share - 0.5);
    let arguments_new = mean(by_task.is_some(), &of_words, |seen| seen.by_task);
    let arguments_both = mean(by_task.is_some(), &of_words, |seen| seen.by_task.min(seen.by_persona));
    let arguments_strange = mean(by_persona.is_some(), &of_words, |seen| seen.by_persona);
    let tool_new = mean(tool_by_task.is_some(), &of_tool, |seen| seen.by_task);
    let tool_both = mean(tool_by_task.is_some(), &of_tool, |seen| seen.by_task.min(seen.by_persona));
    let tool_strange = mean(tool_by_persona.is_some(), &of_tool, |seen| seen.by_persona);

    // The other way round: does the call have anything of the task?
    let left_out = by_task.and_then(|task| {
        let pieces = Pieces::of(words.stems.iter().chain(tool.iter().copied()));
        let topics = topics_of(&of_words) | topics_of(&of_tool);
        let asked = task.words.stems.iter().filter(|stem| !tables.verbs.has(stem));
        let list: Vec<Seen> = asked
            .map(|stem| {
                let own = lexicon.of(stem);
                let novelty = pieces.novelty(stem);
                let novelty = if own & topics & !MARKS != 0 { novelty * 0.5 } else { novelty };
                Seen { topics: own, by_task: novelty, by_persona: 1.0 }
            })
            .collect();
        mean(true, &list, |seen| seen.by_task)
    });

    let (argument_topics, tool_topics) = (topics_of(&of_words), topics_of(&of_tool));
    let task_topics = task.map_or(0, |task| task.topics & !MARKS);
    let persona_topics = persona.map_or(0, |persona| persona.topics & !MARKS);
    let share_foreign = |known: Topics| {
        let list: Vec<f64> = of_words
            .iter()
            .chain(&of_tool)
            .filter(|seen| seen.topics & !MARKS != 0)
            .map(|seen| f64::from(u8::from(seen.topics & known == 0)))
            .collect();
        #[allow(clippy::cast_precision_loss, reason = "counts of words")]
        let count = list.len() as f64;
        (!list.is_empty() && known != 0).then(|| list.iter().sum::<f64>() / count)
    };
    let other = |own: Topics, known: Topics| match (own, known) {
        (0, _) | (_, 0) => 0.0,
        _ if own & known == 0 => 1.0,
        _ => -1.0,
    };

    let asked_effects = task.map_or(0, |task| tables.verbs.asked(&task.words.stems));
    let asked_for = effect.is_none_or(|effect| asked_effects & bit(effect) != 0);
    let acts = effect.filter(|effect| *effect >= Effect::Write);
    let goes_out = effect.is_some_and(|effect| effect >= Effect::Send);
    let more =
        if tool_by_task.is_some() && acts.is_some() && !asked_for { if goes_out { 1.0 } else { 0.6 } } else { 0.0 };

    let new_values = |wanted: &dyn Fn(Kind) -> bool| {
        let list = values.iter().filter(|value| wanted(value.kind));
        list.filter(|value| !asked.names(value.kind, &value.folded)).take(2).count()
    };
    let half = |count: usize| match count {
        0 => 0.0,
        1 => 0.7,
        _ => 1.0,
    };
    let known_ground = task.is_some() || persona.is_some();
    let destinations = if known_ground { half(new_values(&|kind| kind.is_destination())) } else { 0.0 };
    let identifiers = task.map_or(0.0, |task| {
        let named = |identifier: &&String| {
            !task.words.identifiers.contains(identifier) && !task.plain.contains(identifier.as_str())
        };
        half(words.identifiers.iter().filter(named).take(2).count())
    });
    let does = match effect {
        Some(Effect::Read) => 0.0,
        None => 0.3,
        Some(Effect::Write) => 0.6,
        Some(Effect::Send | Effect::Delete | Effect::Pay) => 1.0,
    };

    let verbs: Vec<Seen> = named.stems.iter().map(|stem| Seen::of(lexicon, stem, task, persona)).collect();
    let marked = |bit: Topics| {
        let new = |seen: &&Seen| seen.topics & bit != 0 && seen.by_task.min(seen.by_persona) >= 0.5;
        #[allow(clippy::cast_precision_loss, reason = "at most three")]
        let share = of_words.iter().chain(&verbs).filter(new).take(3).count() as f64 / 3.0;
        if known_ground { share } else { 0.0 }
    };

    let numbers_new = task.and_then(|task| {
        let list = &words.numbers;
        #[allow(clippy::cast_precision_loss, reason = "counts of numbers")]
        let count = list.len() as f64;
        let new = list.iter().filter(|number| !task.words.numbers.contains(number)).count();
        #[allow(clippy::cast_precision_loss, reason = "counts of numbers")]
        (!list.is_empty()).then(|| new as f64 / count)
    });

    let least = |one: Option<f64>, other: Option<f64>| match (one, other) {
        (Some(one), Some(other)) => one.min(other),
        (Some(one), None) | (None, Some(one)) => one * 0.7,
        (None, None) => 0.0,
    };
    let nothing_of_persona = least(arguments_strange, tool_strange);
    let features = [
        centred(arguments_new),
        centred(arguments_both),
        centred(tool_new),
        centred(tool_both),
        centred(tool_strange),
        centred(arguments_strange),
        centred(left_out),
        centred(share_foreign(if task_topics == 0 { 0 } else { task_topics | persona_topics })),
        centred(share_foreign(persona_topics)),
        other(tool_topics, task_topics),
        other(tool_topics, persona_topics),
        other(argument_topics, task_topics),
        more,
        if goes_out { arguments_new.unwrap_or_default() } else { 0.0 },
        destinations,
        if goes_out { destinations } else { 0.0 },
        identifiers,
        marked(SENSITIVE_BIT),
        marked(HARM_BIT),
        centred(numbers_new),
        nothing_of_persona,
        does,
    ];
    let foreign = other(tool_topics, persona_topics).max(other(argument_topics, persona_topics)) * 0.5
        + centred(tool_strange).max(centred(arguments_strange));
    Reading {
        features,
        task: task.is_some(),
        persona: persona.is_some(),
        comparable: comparable && named_alike,
        foreign,
        effect,
        asked: asked_for && task.is_some(),
    }
}

/// A word as it is compared: its topics, and how new it is to the task and to the persona.
struct Seen {
    topics: Topics,
    by_task: f64,
    by_persona: f64,
}

impl Seen {
    fn of(lexicon: &Lexicon, stem: &str, task: Option<&Ground>, persona: Option<&Ground>) -> Self {
        let topics = lexicon.of(stem);
        let new = |ground: Option<&Ground>| ground.map_or(1.0, |ground| ground.novelty(stem, topics));
        Self { topics, by_task: new(task), by_persona: new(persona) }
    }
}

fn topics_of(list: &[Seen]) -> Topics {
    list.iter().fold(0, |all, seen| all | seen.topics) & !MARKS
}

/// None if there is nothing to compare with, or no word.
fn mean(known: bool, list: &[Seen], novelty: impl Fn(&Seen) -> f64) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "counts of words")]
    let count = list.len() as f64;
    (known && !list.is_empty()).then(|| list.iter().map(novelty).sum::<f64>() / count)
}

/// The numbers of a JSON text that are no strings, digits only.
fn numbers(raw: &str) -> Vec<String> {
    const MOST: usize = 256;
    let mut numbers = Vec::new();
    let (mut quoted, mut escaped) = (false, false);
    let mut number = String::new();
    for byte in raw.bytes().take(MOST_RAW) {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'0'..=b'9' if number.len() < 32 => number.push(char::from(byte)),
            b'0'..=b'9' => {}
            _ => {
                quoted = byte == b'"';
                if !number.is_empty() {
                    let plain = number.trim_start_matches('0');
                    if numbers.len() < MOST && !plain.is_empty() {
                        numbers.push(plain.to_owned());
                    }
                    number.clear();
                }
            }
        }
    }
    if !number.is_empty() && numbers.len() < MOST {
        numbers.push(number);
    }
    numbers
}
