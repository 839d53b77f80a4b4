//! Each sentence of a text as the model reads it: what it asks and of whom, what its words are, and how it stands to the rest.

use std::ops::Range;

use crate::tokens::{ADVERB, Sentence, Shape, Token, Tokens, markup};
use crate::words::{self as w, Kinds, Words};

/// How a sentence asks.
const MOODS: usize = 9;
/// Kinds of verbs that are told apart for each way of asking.
const VERBS: [Kinds; 4] = [w::MAKE, w::DO, w::PEOPLE, w::MANUAL];
/// Kinds of words whose presence is a feature each.
const PRESENT: [Kinds; 30] = [
    w::YOU,
    w::I,
    w::WE,
    w::MUST,
    w::CAN,
    w::POLITE,
    w::AGENT,
    w::ORDERS,
    w::ANSWER,
    w::URGENT,
    w::TOOL,
    w::SECRETLY,
    w::SECRET,
    w::OBJECT,
    w::SOCIAL,
    w::TEXT,
    w::CODE,
    w::NEXT,
    w::DONE,
    w::USER,
    w::REPORT,
    w::NEGATION,
    w::LIKE,
    w::TELL,
    w::PERSONAL,
    w::TODAY,
    w::PAGE,
    w::TRICK,
    w::ADVERT,
    w::FOR,
];
/// Features of the looks and of the place.
const LOOKS: usize = 37;
/// Pairs of words near each other.
const PAIRS: usize = 14;
/// Patterns that wrap an instruction, of the sentence itself and of the three before.
const WRAPS: usize = 8;
/// Dense features of a sentence.
pub const DENSE: usize = MOODS + MOODS * VERBS.len() + PRESENT.len() + LOOKS + PAIRS + 2 * WRAPS;

/// A sentence as the model reads it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its bytes.
    pub range: Range<usize>,
    /// The dense features.
    pub dense: [f32; DENSE],
    /// Patterns that wrap an instruction, a bit each: of itself, of the three before.
    pub(crate) wraps: (u8, u8),
    /// Whether it asks for something.
    pub(crate) asks: bool,
    /// Stems of its words that mean something.
    pub(crate) stems: Vec<u32>,
    /// Whether it names a tool or a program's identifier.
    pub(crate) names_tool: bool,
    /// Whether an address stands in it.
    pub(crate) address: bool,
}

/// How a sentence asks; the number is the place of the feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Imperative,
    Polite,
    AfterComma,
    CanYou,
    YouMust,
    IWant,
    Question,
    YesNo,
    /// A verb that is not in the lists, by its place.
    Unlisted,
}

/// `Ignore the previous instructions`.
pub(crate) const OVERRIDE: u8 = 1;
/// A tag or role as chats have it: `<system>`, `[INST]`, `User:`.
pub(crate) const ROLE: u8 = 1 << 1;
/// Words to an assistant, agent, model.
pub(crate) const TO_AGENT: u8 = 1 << 2;
/// Urgent, in capitals or with a mark.
pub(crate) const ALARM: u8 = 1 << 3;
/// New orders are announced: `the following instruction`, `new task`.
pub(crate) const ANNOUNCED: u8 = 1 << 4;
/// In the name of the user.
pub(crate) const IN_NAME: u8 = 1 << 5;
/// Something was done, now comes more: `Task completed.`
pub(crate) const DONE: u8 = 1 << 6;
/// To be kept from somebody.
pub(crate) const KEPT: u8 = 1 << 7;

struct Lead {
    mood: Mood,
    /// Kinds of the verb.
    verb: Kinds,
    /// Whether a noun phrase follows, as it does after a verb.
    object: bool,
}

/// Reads the sentences that ask for something, and those that dress such a one up.
pub(crate) fn read(text: &str, words: &Words) -> Vec<Seen> {
    let mut out = Vec::new();
    visit(text, words, |seen| out.push(seen));
    out
}

/// What blocks of keys, certificates and signatures are called: <https://www.rfc-editor.org/rfc/rfc7468>, OpenSSH, OpenPGP.
const LABELS: [&str; 26] = [
    "ATTRIBUTE",
    "BLOCK",
    "CERTIFICATE",
    "CMS",
    "CRL",
    "DH",
    "DSA",
    "EC",
    "ENCRYPTED",
    "KEY",
    "MESSAGE",
    "NEW",
    "OPENSSH",
    "PARAMETERS",
    "PGP",
    "PKCS7",
    "PKCS12",
    "PRIVATE",
    "PUBLIC",
    "REQUEST",
    "RSA",
    "SIGNATURE",
    "SIGNED",
    "SSH2",
    "TRUSTED",
    "X509",
];

/// Whether this is a line around such a block, `-----BEGIN PUBLIC KEY-----`, which asks for nothing. The last line of the key may
/// stand before it where what looks like a line that goes on (`=` at its end) was put together.
fn is_armor(text: &str, range: &Range<usize>) -> bool {
    let behind = text.get(range.end..).unwrap_or_default().trim_start_matches(' ');
    if !behind.starts_with("----") {
        return false;
    }
    let piece = text.get(range.clone()).unwrap_or_default();
    let (key, label) = piece.rsplit_once("----").unwrap_or(("", piece));
    let mut words = label.split_ascii_whitespace().map(|word| word.trim_matches('-'));
    if !matches!(words.next(), Some("BEGIN" | "END")) || !words.all(|word| LABELS.contains(&word)) {
        return false;
    }
    let before = text.get(..range.end - label.len()).unwrap_or_default().trim_end_matches(' ');
    !key.contains(char::is_whitespace) && before.ends_with("----")
}

/// The same, one by one: each is far larger than what it was read of.
#[allow(clippy::cast_precision_loss, reason = "counts within a text")]
pub(crate) fn visit(text: &str, words: &Words, mut each: impl FnMut(Seen)) {
    let tokens = Tokens::new(text, words);
    let count = tokens.sentences.len();
    let leads: Vec<Option<Lead>> = tokens.sentences.iter().map(|one| lead(tokens.of(one), one.end)).collect();
    let asks = |lead: &Option<Lead>| {
        lead.as_ref().is_some_and(|lead| !matches!(lead.mood, Mood::Question | Mood::YesNo | Mood::AfterComma))
    };
    let asking = leads.iter().filter(|lead| asks(lead)).count();
    // How often each stem is there, in buckets.
    let mut stems = vec![0_u16; 2048];
    let meaning = |token: &&Token| token.range.len() >= 4 && token.kinds & LITTLE == 0;
    for token in tokens.tokens.iter().filter(meaning) {
        if let Some(slot) = stems.get_mut(token.stem as usize & 2047) {
            *slot = slot.saturating_add(1);
        }
    }
    let all = tokens.tokens.len().max(1) as f32;
    // The share of the words that are of some kinds.
    let mut shares = [w::SOCIAL, w::YOU, w::I | w::WE, w::CODE | w::PAGE, ABOUT_AGENTS].map(|kinds| (kinds, 0_u32));
    for token in tokens.tokens.iter().filter(|token| token.kinds != 0) {
        for (kinds, count) in &mut shares {
            *count += u32::from(token.kinds & *kinds != 0);
        }
    }
    let [social, you, i, about_code, about_agents] = shares.map(|(_, count)| count as f32 / all);
    let odd = (markup(text) as f32 / text.len().max(1) as f32 * 10.0).min(1.0);
    // A greeting first, or a name and good wishes last.
    let polite =
        |one: &Sentence| tokens.of(one).len() <= 4 && tokens.of(one).iter().any(|token| token.kinds & w::SOCIAL != 0);
    let mail = tokens.sentences.iter().take(3).any(polite) || tokens.sentences.iter().rev().take(4).any(polite);

    let mut recent = [0_u8; 3];
    for (number, (sentence, lead)) in tokens.sentences.iter().zip(&leads).enumerate() {
        let list = tokens.of(sentence);
        let (Some(first), Some(last)) = (list.first(), list.last()) else { continue };
        let range = first.range.start..last.range.end;
        let piece = text.get(range.clone()).unwrap_or_default();
        let kinds = list.iter().fold(0, |kinds, token| kinds | token.kinds);
        let wraps = wraps(list, sentence, kinds, lead.as_ref());
        let previous = recent.iter().fold(0, |all, one| all | one);
        recent.rotate_left(1);
        if let Some(last) = recent.last_mut() {
            *last = wraps;
        }
        // What neither asks nor wraps is not read further: most of a text.
        if list.len() < 2 || (lead.is_none() && wraps & !ALARM == 0) || is_armor(text, &range) {
            continue;
        }
        let mut dense = Dense { slots: [0.0; DENSE], at: 0 };
        for mood in 0..MOODS {
            dense.bit(lead.as_ref().is_some_and(|lead| lead.mood as usize == mood));
        }
        for mood in 0..MOODS {
            for verb in VERBS {
                dense.bit(lead.as_ref().is_some_and(|lead| lead.mood as usize == mood && lead.verb & verb != 0));
            }
        }
        for kind in PRESENT {
            dense.bit(kinds & kind != 0);
        }
        // Looks.
        let shapes = list.iter().fold(0_u8, |shapes, token| shapes | 1 << token.shape as u8);
        let has = |shape: Shape| shapes >> shape as u8 & 1 == 1;
        let share =
            |is: &dyn Fn(&Token) -> bool| list.iter().filter(|token| is(token)).count() as f32 / list.len() as f32;
        let asked = asks(lead);
        let others = (count - 1).max(1) as f32;
        let density = (asking - usize::from(asked)) as f32 / others;
        let meant = || list.iter().filter(meaning);
        // How many of its words the rest of the text has too.
        let overlap = || {
            let rest = |token: &&Token| {
                let total = stems.get(token.stem as usize & 2047).copied().unwrap_or_default();
                usize::from(total) > list.iter().filter(|one| one.stem == token.stem).count()
            };
            let of = meant().count();
            if of > 0 && count > 1 { meant().filter(rest).count() as f32 / of as f32 } else { 0.5 }
        };
        let before_first = first.before;
        dense.bit(has(Shape::Mail));
        dense.bit(has(Shape::Address));
        dense.bit(has(Shape::Number));
        dense.bit(has(Shape::Identifier));
        dense.bit(has(Shape::Shouted));
        dense.value(share(&|token| token.shape == Shape::Capital));
        dense.value(share(&|token| token.kinds & (w::SMALL | w::OF) != 0));
        dense.value(share(&|token| token.kinds == 0));
        dense.value((list.len() as f32 / 24.0).min(1.5));
        dense.bit(list.len() < 5);
        dense.bit(sentence.end == b'?');
        dense.bit(sentence.end == b'!');
        dense.bit(sentence.end == b'.');
        let quoted = piece.bytes().any(|byte| matches!(byte, b'"' | b'\'' | b'`'));
        dense.bit(quoted || piece.contains('\u{201c}'));
        dense.bit(sentence.line);
        dense.bit(
            matches!(before_first, b'*' | b'-' | b'#' | b'|' | b'`' | b'>' | b')') || first.shape == Shape::Number,
        );
        dense.bit(number + 1 == count);
        dense.bit(number == 0);
        dense.bit(count == 1);
        dense.value((libm::logf(count as f32) / 4.0).min(1.2));
        dense.value(if asked { density } else { 0.0 });
        dense.value(if asked { 1.0 - overlap() } else { 0.0 });
        dense.bit(lead.as_ref().is_some_and(|lead| lead.object));
        dense.value((social * 10.0).min(1.0));
        dense.value((you * 10.0).min(1.0));
        dense.value(odd);
        let neighbour = |at: Option<usize>| at.and_then(|at| leads.get(at)).is_some_and(&asks);
        dense.bit(neighbour(number.checked_sub(1)));
        dense.bit(neighbour(Some(number + 1)));
        dense.bit(sentence.apart);
        dense.value(((count - number) as f32 / 8.0).min(1.0));
        dense.value((number as f32 / 8.0).min(1.0));
        dense.bit(mail);
        dense.value((about_agents * 10.0 - kinds_here(list, ABOUT_AGENTS) / all * 10.0).clamp(0.0, 1.0));
        dense.value((about_code * 10.0).min(1.0));
        dense.value((i * 10.0).min(1.0));
        dense.value((text.len() as f32 / 2000.0).min(1.0));
        dense.value((all / count as f32 / 30.0).min(1.0));
        let near = |first: Kinds, second: Kinds, within: usize| {
            kinds & first != 0 && kinds & second != 0 && near(list, first, second, within)
        };
        dense.bit(near(w::YOU, w::ANSWER | w::TEXT | w::TRICK, 2));
        dense.bit(near(w::YOU, w::CODE, 2));
        dense.bit(near(w::NEXT | w::SMALL, w::CODE, 2));
        dense.bit(near(w::I, w::OBJECT | w::SECRET, 3));
        dense.bit(near(w::DO, w::OBJECT, 4));
        dense.bit(near(w::DO, w::SECRET, 5));
        dense.bit(near(w::MAKE, w::TEXT | w::CODE, 4));
        dense.bit(near(w::PERSONAL, w::OBJECT | w::SECRET, 3));
        dense.bit(near(w::OBJECT, w::OF, 1));
        dense.bit(near(w::AND, w::DO | w::MAKE, 1));
        dense.bit(near(w::PEOPLE, w::I | w::WE, 1));
        dense.bit(list.windows(2).any(|two| matches!(two, [a, b] if a.kinds & (w::OBJECT | w::OF) != 0 && matches!(b.shape, Shape::Number | Shape::Mail | Shape::Address))));
        dense.bit(
            list.windows(2)
                .any(|two| matches!(two, [a, b] if a.kinds & (w::OBJECT | w::OF) != 0 && b.shape == Shape::Capital)),
        );
        dense.bit(
            list.iter()
                .any(|token| matches!(token.before, b'\'' | b'"' | b'`') && token.range.start > first.range.start),
        );
        for bit in 0..WRAPS {
            dense.bit(wraps >> bit & 1 == 1);
        }
        for bit in 0..WRAPS {
            dense.bit(previous >> bit & 1 == 1);
        }
        each(Seen {
            range,
            dense: dense.slots,
            wraps: (wraps, previous),
            asks: lead.is_some(),
            stems: if lead.is_some() { meant().map(|token| token.stem).collect() } else { Vec::new() },
            names_tool: has(Shape::Identifier) || kinds & w::TOOL != 0,
            address: has(Shape::Mail) || has(Shape::Address),
        });
    }
}

/// Words about assistants and what they are told.
const ABOUT_AGENTS: Kinds = w::AGENT | w::TOOL | w::ORDERS | w::ANSWER;
/// Words that hold sentences together.
const LITTLE: Kinds =
    w::SMALL | w::OF | w::AND | w::BE | w::YOU | w::I | w::WE | w::MUST | w::CAN | w::POLITE | w::NEGATION | w::NEXT;

struct Dense {
    slots: [f32; DENSE],
    at: usize,
}

impl Dense {
    fn value(&mut self, value: f32) {
        if let Some(slot) = self.slots.get_mut(self.at) {
            *slot = value;
        }
        self.at += 1;
    }

    fn bit(&mut self, is: bool) {
        self.value(f32::from(u8::from(is)));
    }
}

/// Whether and how a sentence asks.
fn lead(list: &[Token], end: u8) -> Option<Lead> {
    let verbs = VERBS.iter().fold(0, |all, one| all | one);
    let at = |place: usize| list.get(place);
    let kinds = |place: usize| at(place).map_or(0, |token| token.kinds);
    let found = |mood: Mood, place: usize| {
        let next = at(place + 1);
        let object = next.is_some_and(|token| {
            token.kinds & (w::SMALL | w::I | w::YOU | w::WE | w::PERSONAL | w::OBJECT | w::BEFORE) != 0
                || matches!(
                    token.shape,
                    Shape::Number | Shape::Capital | Shape::Mail | Shape::Address | Shape::Identifier
                )
        });
        Lead { mood, verb: kinds(place) & verbs, object }
    };
    // What may stand before the verb.
    let skipped = w::POLITE | w::NEXT | w::AND | w::URGENT | w::DONT;
    let mut start = 0;
    while start + 1 < list.len().min(6)
        && at(start).is_some_and(|token| {
            (token.kinds & skipped != 0 && token.kinds & verbs == 0)
                || token.shape == Shape::Number
                || (start == 0 && token.after == b',' && token.kinds & verbs == 0)
        })
    {
        start += 1;
    }
    if let Some(polite) = list.iter().position(|token| token.kinds & w::POLITE != 0) {
        let mut verb = polite + 1;
        while at(verb).is_some_and(|token| {
            token.kinds & verbs == 0 && (token.kinds & (skipped | w::MUST) != 0 || token.ending == ADVERB)
        }) {
            verb += 1;
        }
        let unlisted =
            at(verb).is_some_and(|token| token.kinds == 0 && token.ending == 0 && token.shape == Shape::Small);
        if kinds(verb) & verbs != 0 || unlisted {
            return Some(found(Mood::Polite, verb));
        }
    }
    let first = kinds(start);
    if first & w::CAN != 0 && kinds(start + 1) & w::YOU != 0 {
        let verb = (start + 2..(start + 5).min(list.len())).find(|place| kinds(*place) & verbs != 0);
        return Some(found(Mood::CanYou, verb.unwrap_or(start + 2)));
    }
    if first & verbs != 0 {
        // `Report of`, `Order:`, `Contact` alone are names of things, and so is what a form of `to be` follows.
        let next = kinds(start + 1);
        let thing = at(start).is_some_and(|token| matches!(token.after, b':' | b'=' | b'/' | b')'))
            || next & w::BE != 0
            || list.len() < start + 2
            || (next & w::OF != 0 && first & (w::MAKE | w::DO) == 0);
        if !thing {
            return Some(found(Mood::Imperative, start));
        }
    }
    let unlisted = at(start).is_some_and(|token| {
        token.kinds & !w::CODE == 0
            && token.ending == 0
            && matches!(token.shape, Shape::Capital | Shape::Small)
            && token.after != b','
    });
    let thing = w::SMALL | w::YOU | w::I | w::PERSONAL | w::OBJECT | w::TEXT | w::ANSWER | w::CODE | w::TRICK;
    if unlisted && at(start + 1).is_some_and(|token| token.kinds & thing != 0 && token.shape == Shape::Small) {
        return Some(found(Mood::Unlisted, start));
    }
    for place in start..list.len().min(24) {
        let here = kinds(place);
        if here & (w::YOU | w::AGENT) != 0 && kinds(place + 1) & w::MUST != 0 {
            let verb = (place + 2..(place + 5).min(list.len())).find(|place| kinds(*place) & verbs != 0);
            return Some(found(Mood::YouMust, verb.unwrap_or(place + 2)));
        }
        if here & w::YOU != 0
            && kinds(place + 1) & (w::CODE | w::ANSWER) != 0
            && kinds(place + 2) & (w::MUST | w::CAN) != 0
        {
            return Some(found(Mood::YouMust, place + 3));
        }
        if here & (w::I | w::WE) != 0 && (place..place + 3).any(|near| kinds(near) & (w::LIKE | w::MUST) != 0) {
            let verb = (place + 2..(place + 7).min(list.len())).find(|place| kinds(*place) & verbs != 0);
            return Some(found(Mood::IWant, verb.unwrap_or(place + 2)));
        }
    }
    if first & w::ASK != 0 && (end == b'?' || kinds(start + 1) & (w::BE | w::CAN) != 0) {
        return Some(found(Mood::Question, start + 1));
    }
    if first & (w::BE | w::CAN) != 0 && end == b'?' {
        return Some(found(Mood::YesNo, start + 1));
    }
    if let Some(colon) = list.iter().take(8).position(|token| token.after == b':')
        && kinds(colon + 1) & verbs != 0
        && at(colon + 2).is_some_and(|token| token.kinds & (w::SMALL | w::I | w::YOU | w::PERSONAL) != 0)
    {
        return Some(found(Mood::Imperative, colon + 1));
    }
    let comma = list.iter().position(|token| token.after == b',')?;
    let verb = (comma + 1..(comma + 3).min(list.len())).find(|place| kinds(*place) & verbs != 0)?;
    let plain = at(verb).is_some_and(|token| token.shape == Shape::Small)
        && kinds(verb + 1) & (w::SMALL | w::I | w::PERSONAL) != 0;
    plain.then(|| found(Mood::AfterComma, verb))
}

/// Whether a word of the second kind comes soon after one of the first.
fn near(list: &[Token], first: Kinds, second: Kinds, within: usize) -> bool {
    list.iter().enumerate().any(|(place, token)| {
        let mut after = list.iter().skip(place + 1).take(within);
        token.kinds & first != 0 && after.any(|other| other.kinds & second != 0)
    })
}

#[allow(clippy::cast_precision_loss, reason = "words of a sentence")]
fn kinds_here(list: &[Token], kinds: Kinds) -> f32 {
    list.iter().filter(|token| token.kinds & kinds != 0).count() as f32
}

/// What wraps an instruction.
fn wraps(list: &[Token], sentence: &Sentence, kinds: Kinds, lead: Option<&Lead>) -> u8 {
    let near = |first: Kinds, second: Kinds, within: usize| {
        kinds & first != 0 && kinds & second != 0 && near(list, first, second, within)
    };
    let mut wraps = 0;
    let earlier = near(w::IGNORE, w::ORDERS, 6) && near(w::BEFORE | w::YOU, w::ORDERS, 3);
    let first = |kinds: Kinds| list.iter().take(4).any(|token| token.kinds & kinds != 0);
    let all = first(w::IGNORE)
        && near(w::IGNORE, w::BEFORE, 3)
        && kinds & (w::YOU | w::ORDERS) != 0
        && near(w::YOU, w::BEFORE | w::TELL | w::BE, 2);
    let void = near(w::YOU | w::BEFORE, w::ORDERS, 2) && near(w::ORDERS, w::UPDATED, 4);
    let prompt = near(w::YOU, w::SYSTEM, 1) && near(w::SYSTEM, w::ORDERS, 1);
    if earlier || all || void || prompt {
        wraps |= OVERRIDE;
    }
    let marked = |token: &Token| {
        let tag = matches!(token.before, b'<' | b'[' | b'#' | b'|' | b'/' | b'{')
            && matches!(token.after, b'>' | b']' | b':' | b'#' | b'|' | b'}');
        // `<COMMAND>` is a gap to fill in, `[warning]` is the level of a line of a log.
        let printed = match token.before {
            b'<' => token.kinds & w::GAP != 0,
            b'[' => token.kinds & w::LEVEL != 0,
            _ => false,
        };
        tag && !printed && token.kinds & (w::SYSTEM | w::AGENT | w::USER | w::URGENT | w::ORDERS) != 0
    };
    let spoken = |token: &Token| token.after == b':' && token.kinds & (w::SYSTEM | w::AGENT | w::USER) != 0;
    if list.iter().take(4).any(marked) || list.first().is_some_and(spoken) {
        wraps |= ROLE;
    }
    let colon = sentence.end == b':' || list.iter().take(6).any(|token| token.after == b':');
    let addressed = list.iter().enumerate().any(|(place, token)| {
        let named = place > 0 && list.get(place - 1).is_some_and(|before| before.kinds & w::LANGUAGE != 0);
        let called = place < 4 && matches!(token.after, b',' | b':' | b'!');
        let must = list.get(place + 1).is_some_and(|next| next.kinds & w::MUST != 0);
        // `User-agent:` is a line of HTTP.
        token.kinds & w::AGENT != 0 && token.before != b'-' && (token.kinds & w::WEAK == 0 || named || called || must)
    });
    let noted = first(w::URGENT | w::PEOPLE) && near(w::OF, w::AGENT, 3);
    if (addressed && (lead.is_some() || near(w::AGENT, w::MUST, 3) || colon)) || noted {
        wraps |= TO_AGENT;
    }
    let urgent = list.iter().take(3).any(|token| {
        token.kinds & w::URGENT != 0 && (token.shape == Shape::Shouted || token.after == b'!' || token.after == b':')
    });
    if urgent || (kinds & w::URGENT != 0 && sentence.end == b'!') {
        wraps |= ALARM;
    }
    let new = near(w::NEXT | w::URGENT, w::ORDERS, 3) || near(w::ORDERS, w::NEXT, 3);
    if new && (kinds & (w::MUST | w::YOU) != 0 || colon) {
        wraps |= ANNOUNCED;
    }
    if kinds & w::USER != 0
        && (near(w::OF, w::USER, 3) || near(w::USER, w::LIKE | w::ORDERS, 4))
        && kinds & (w::YOU | w::I | w::ANSWER | w::ORDERS | w::URGENT) != 0
    {
        wraps |= IN_NAME;
    }
    if list.len() <= 8 && kinds & w::DONE != 0 && kinds & (w::ORDERS | w::ANSWER) != 0 {
        wraps |= DONE;
    }
    if near(w::NEGATION | w::DONT, w::TELL, 2) && kinds & (w::USER | w::AND) != 0
        || (kinds & w::SECRETLY != 0 && near(w::SECRETLY, w::TELL | w::USER, 3))
    {
        wraps |= KEPT;
    }
    wraps
}
