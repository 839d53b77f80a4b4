//! Names of tools: words, clauses, the verb that decides and what it is done to.

use std::borrow::Cow;

use crate::lexicon::{self, Noun, Verb, Word};
use crate::{Effect, Effects};

/// Most bytes of a name that are looked at, and most words.
const MAX_NAME: usize = 200;
/// Most bytes of a name before what cannot be seen is taken out.
const MAX_FOLDED: usize = 4096;
const MAX_WORDS: usize = 24;

/// Words that say nothing of what is done: of names, and of descriptions, which are not cut at `_` and `'`.
const SKIPPED: &[&str] = &[
    "a",
    "all",
    "an",
    "any",
    "api",
    "async",
    "auto",
    "batch",
    "bulk",
    "by_id",
    "default",
    "fast",
    "force",
    "hard",
    "it",
    "its",
    "many",
    "mass",
    "mcp",
    "multi",
    "multiple",
    "my",
    "new",
    "now",
    "one",
    "or",
    "permanently",
    "quick",
    "safe",
    "server",
    "single",
    "smart",
    "soft",
    "some",
    "specified",
    "sync",
    "the",
    "their",
    "to_be",
    "tool",
    "tools",
    "try",
    "user's",
    "v",
    "your",
];
/// Words after which the object of a verb has ended.
const PREPOSITIONS: &[&str] = &[
    "about", "across", "after", "against", "as", "at", "based", "before", "between", "by", "during", "for", "from",
    "if", "in", "inside", "into", "of", "on", "onto", "over", "per", "since", "so", "that", "through", "to", "under",
    "until", "upon", "using", "via", "when", "where", "which", "while", "with", "within", "without",
];
/// Words between two things that are done.
const CONJUNCTIONS: &[&str] = &["and", "or", "plus", "then"];
/// Nouns that look like `writer` and are none.
const NO_AGENTS: &[&str] = &[
    "author", "computer", "folder", "letter", "number", "order", "poster", "register", "reminder", "transfer", "user",
];

/// What the words before a verb and beside it are about.
#[derive(Clone, Copy, Debug, Default)]
struct Object {
    noun: Option<Noun>,
    /// There are words at all.
    any: bool,
    /// One of them is a draft.
    draft: bool,
    /// One of them is a meeting.
    meeting: bool,
}

/// What a name says; none if it says nothing.
pub(crate) fn of(name: &str) -> Option<Effects> {
    let name = name.get(..name.floor_char_boundary(MAX_FOLDED)).unwrap_or_default();
    let folded = if name.is_ascii() { Cow::Borrowed(name) } else { plugin_text::folded(name) };
    let kept = folded.get(..folded.floor_char_boundary(MAX_NAME)).unwrap_or_default();
    let text = spaced(kept);
    let mut words: Vec<&str> = Vec::with_capacity(8);
    // Where the last segment of `bank.transfers.create` begins.
    let mut segment = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if word == "." {
            segment = words.len();
        } else if words.len() < MAX_WORDS && !word.bytes().all(|byte| byte.is_ascii_digit()) {
            words.push(word);
        }
    }
    // `email.send.v2`
    let last = words.get(segment..).unwrap_or_default();
    let versions = last.iter().all(|word| SKIPPED.contains(word));
    let from = if versions || !last.iter().any(|word| verb_of(word).is_some()) { 0 } else { segment };
    of_words(&words, from)
}

/// What is done in words of which those before `from` are only about what it is done to.
fn of_words(words: &[&str], from: usize) -> Option<Effects> {
    let (context, rest) = words.split_at_checked(from)?;
    let mut out: Option<Effects> = None;
    for (index, clause) in rest.split(|word| CONJUNCTIONS.contains(word)).enumerate() {
        // What follows `and` may be a second object: only a word that is nothing but a verb makes it a second deed.
        let found = if index == 0 || clause.iter().any(|word| verb_of(word).is_some_and(|verb| !verb.weak)) {
            clause_of(clause, context)
        } else {
            None
        };
        out = match (out, found) {
            (Some(out), Some(found)) => Some(out.or(found, 1.0)),
            (out, found) => out.or(found),
        };
    }
    out
}

/// Lower-case words with one space between them, and a dot of its own where a segment ends.
fn spaced(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 16);
    let mut before = ' ';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied().unwrap_or(' ');
        if letter.is_alphanumeric() {
            let hump = letter.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit())
                // The end of `HTTP` in `HTTPPost`.
                || letter.is_uppercase() && before.is_uppercase() && next.is_lowercase()
                || letter.is_ascii_digit() != before.is_ascii_digit() && before.is_alphanumeric();
            if hump {
                out.push(' ');
            }
            out.extend(letter.to_lowercase());
        } else if ".:/#".contains(letter) || letter == '_' && before == '_' {
            out.push_str(" . ");
        } else {
            out.push(' ');
        }
        before = letter;
    }
    out
}

/// The word as a verb. Nouns that are compounds of one, such as `sendmail`, count by their beginning.
fn verb_of(word: &str) -> Option<&'static Word> {
    match lexicon::find(word) {
        Some(found) => found.verb.map(|_| found),
        None => compound(word).map(|(verb, _)| verb),
    }
}

/// `sendmail` is `send` and `mail`.
fn compound(word: &str) -> Option<(&'static Word, &str)> {
    if word.len() < 7 || !word.is_ascii() {
        return None;
    }
    (3..word.len().saturating_sub(2)).rev().find_map(|at| {
        let (head, tail) = word.split_at_checked(at)?;
        let verb = lexicon::find(head).filter(|verb| verb.verb.is_some() && (!verb.weak || head == "wire"))?;
        let common = ["file", "files", "user", "users", "data", "all", "item", "items"].contains(&tail);
        (common || lexicon::about(tail).is_some()).then_some((verb, tail))
    })
}

/// Whether a word may say something: no filler, no single letter.
fn tells(word: &str) -> bool {
    !SKIPPED.contains(&word) && (word.len() != 1 || !word.is_ascii())
}

/// What one clause says, with the words of the names around it.
pub(crate) fn clause_of(clause: &[&str], context: &[&str]) -> Option<Effects> {
    let told = |word: &&&str| tells(word);
    let words: Vec<&str> = clause.iter().filter(told).copied().collect();
    // `preview_delete`, `dry_run_migration`, `draft_reply`: nothing is done yet, whatever verb comes next.
    let first = words.first().and_then(|word| verb_of(word)).filter(|_| words.len() > 1);
    if first.is_some_and(|word| matches!(word.verb, Some(Verb::Preview | Verb::Draft))) && words.get(1) != Some(&"to") {
        return Some(deed(&words, 0, context));
    }
    let strong = words.iter().position(|word| verb_of(word).is_some_and(|verb| !verb.weak));
    if let Some(at) = strong {
        return Some(deed(&words, at, context));
    }
    let object = object_of(&words, context);
    let first = words.first().and_then(|word| verb_of(word));
    // `payment_status`: what is about something is looked at.
    if words.len() > 1 && object.noun == Some(Noun::About) {
        return Some(match first {
            Some(Word { verb: Some(verb), noun, .. }) if !named(*noun) => {
                effects_of(*verb, object, "", false).or(READ, 0.3)
            }
            _ => scores(&[(Effect::Read, 0.8)]),
        });
    }
    // `slack_post_message`, `payment_request_payment`: a noun, and behind it a verb with an object.
    let second = words.get(1).and_then(|word| verb_of(word));
    if let (Some(first), Some(second)) = (first, second)
        && words.len() > 2
        && named(first.noun)
        && !(named(second.noun) && second.word != "post")
    {
        return Some(deed(&words, 1, context));
    }
    if let Some(word) = first {
        return Some(weak_deed(&words, word, context));
    }
    // `file_upload`, `slack_post_message`
    let at = words.iter().position(|word| lexicon::find(word).is_some_and(|word| word.verb.is_some()));
    if let Some(at) = at {
        return Some(deed(&words, at, context));
    }
    agent(&words, context)
}

const READ: Effects = Effects([1.0, 0.0, 0.0, 0.0, 0.0]);

/// Nouns that are verbs at the beginning of a name only if nothing else explains them.
fn named(noun: Option<Noun>) -> bool {
    use Noun::{About, Call, Letter, Message, Money, Order, Post};
    matches!(noun, Some(Money | Message | Letter | Order | Post | Call | About))
}

/// A verb that may be a noun, at the beginning of a clause without a better one.
fn weak_deed(words: &[&str], word: &Word, context: &[&str]) -> Effects {
    let last = words.last().copied().unwrap_or_default();
    let second = words.get(1).copied().unwrap_or_default();
    let sends = matches!(word.verb, Some(Verb::Send));
    // `text_to_speech`, `text_generation`, `book_recommendation`
    let noun_phrase = words.len() > 1
        && matches!(word.verb, Some(Verb::Send | Verb::Book | Verb::Order | Verb::Look))
        && lexicon::about(last).is_none()
        && !["meeting", "filing", "listing", "clothing", "document", "apartment", "appointment", "equipment"]
            .contains(&last)
        && ["tion", "sion", "ment", "ing", "ance", "ence", "ity", "ics", "ism"].iter().any(|end| last.ends_with(end));
    let softly =
        matches!(word.word, "text" | "page" | "phone" | "contact" | "chat" | "record" | "file" | "note" | "book");
    if noun_phrase || second == "to" && word.word == "text" {
        return scores(&[(Effect::Read, 0.6)]);
    }
    let mut out = deed(words, 0, context);
    if softly && sends && words.len() > 1 {
        let person = words.iter().skip(1).any(|word| {
            matches!(lexicon::about(word), Some(Noun::Person | Noun::Message | Noun::Letter | Noun::Paper))
        });
        if !person {
            out.lower(Effect::Send, 0.4);
        }
    }
    for effect in Effect::ALL {
        out.lower(effect, 0.85);
    }
    out
}

/// `email_sender`, `file_manager`
fn agent(words: &[&str], context: &[&str]) -> Option<Effects> {
    let last = *words.last()?;
    let stem = last.strip_suffix("er").or_else(|| last.strip_suffix("or")).or_else(|| last.strip_suffix("ing"))?;
    if NO_AGENTS.contains(&last) {
        return None;
    }
    let verb = [stem, &format!("{stem}e"), halved(stem)].into_iter().find_map(|stem| lexicon::find(stem)?.verb)?;
    let object = object_of(words.get(..words.len().saturating_sub(1))?, context);
    let mut out = effects_of(verb, object, last, false);
    for effect in Effect::ALL {
        out.lower(effect, 0.6);
    }
    Some(out)
}

/// `plann` is `plan`.
fn halved(stem: &str) -> &str {
    let mut letters = stem.chars().rev();
    match (letters.next(), letters.next()) {
        (Some(last), Some(before)) if last == before => stem.strip_suffix(last).unwrap_or(stem),
        _ => stem,
    }
}

/// What the verb at this place does.
fn deed(words: &[&str], at: usize, context: &[&str]) -> Effects {
    let (before, rest) = words.split_at_checked(at).unwrap_or_default();
    let word = rest.first().copied().unwrap_or_default();
    let Some(verb) = verb_of(word) else { return Effects::default() };
    let after = rest.get(1..).unwrap_or_default();
    let tail = compound(word).filter(|_| lexicon::find(word).is_none()).map(|(_, tail)| tail);
    let object = match tail {
        Some(tail) => object_of(&[tail], &[]),
        None if after.is_empty() || after.first().is_some_and(|word| PREPOSITIONS.contains(word)) => {
            let mut object = object_of(before, context);
            // `payments.list` and the like: what stands before is what it is done to, and something is there.
            if object.noun.is_none() && !after.is_empty() {
                object.noun = after.iter().find_map(|word| lexicon::about(word)).filter(|noun| *noun != Noun::About);
            }
            object
        }
        None => object_of(after, &[]),
    };
    let bank = words.iter().chain(context).any(|word| matches!(lexicon::about(word), Some(Noun::Bank | Noun::Money)));
    let Some(kind) = verb.verb else { return Effects::default() };
    effects_of(kind, object, verb.word, bank)
}

/// What words are about: the last one before a preposition, or else the nearest known one before it, or else the context.
fn object_of(words: &[&str], context: &[&str]) -> Object {
    let end = words.iter().position(|word| PREPOSITIONS.contains(word)).unwrap_or(words.len());
    let words = words.get(..end).unwrap_or_default();
    let draft = words.iter().any(|word| lexicon::about(word) == Some(Noun::Draft));
    let meeting = words.iter().any(|word| lexicon::about(word) == Some(Noun::Call));
    let noun = words.last().and_then(|word| lexicon::about(word)).filter(|noun| *noun != Noun::Draft);
    let noun =
        noun.or_else(|| words.iter().rev().find_map(|word| lexicon::about(word)).filter(|noun| *noun != Noun::About));
    let noun = noun.or_else(|| {
        context
            .iter()
            .rev()
            .find_map(|word| lexicon::about(word))
            .filter(|noun| *noun != Noun::About && words.is_empty())
    });
    Object { noun, any: !words.is_empty(), draft, meeting }
}

pub(crate) fn scores(pairs: &[(Effect, f32)]) -> Effects {
    let mut out = Effects::default();
    for (effect, score) in pairs {
        out.raise(*effect, *score);
    }
    out
}

/// What a verb does to an object.
fn effects_of(verb: Verb, object: Object, word: &str, bank: bool) -> Effects {
    use Effect::{Delete, Pay, Read, Send, Write};
    use Noun::{
        Bank, Branch, Call, Case, Check, Code, Comment, Crypto, Http, Letter, Light, Message, Money, Order, Person,
        Post, Query, Table, Thing, Ticket, Transfer,
    };
    let noun = object.noun;
    let money = matches!(noun, Some(Money)) || bank && matches!(noun, Some(Transfer | Order));
    let sale = money || matches!(noun, Some(Transfer | Order));
    match verb {
        Verb::Look if word == "capture" && money => scores(&[(Pay, 0.9)]),
        Verb::Look if matches!(word, "open" | "resolve") && matches!(noun, Some(Case)) => scores(&[(Write, 0.85)]),
        Verb::Look if word == "pull" => scores(&[(Read, 0.7), (Write, 0.4)]),
        Verb::Look if noun == Some(Http) && word != "list" => scores(&[(Read, 0.9), (Send, 0.3)]),
        Verb::Compute if word == "generate" => scores(&[(Read, 0.6), (Write, 0.4)]),
        Verb::Look | Verb::Compute => scores(&[(Read, 0.95)]),
        Verb::Preview => scores(&[(Read, 0.9)]),
        Verb::Draft => scores(&[(Write, 0.9), (Send, 0.1)]),
        Verb::Create | Verb::Change if object.draft => scores(&[(Write, 0.9), (Send, 0.1)]),
        Verb::Create => match noun {
            _ if word == "add" && !money => {
                scores(&[(Write, 0.95), (Send, if noun == Some(Comment) { 0.55 } else { 0.1 })])
            }
            Some(Http) => scores(&[(Send, 0.55), (Read, 0.5)]),
            _ if money => scores(&[(Pay, 0.85), (Write, 0.4)]),
            Some(Transfer | Order) => scores(&[(Pay, 0.75), (Write, 0.45)]),
            Some(Message) => scores(&[(Send, 0.8), (Write, 0.4)]),
            Some(Letter) if matches!(word, "schedule" | "trigger" | "start" | "initiate" | "launch" | "begin") => {
                scores(&[(Send, 0.8), (Write, 0.45)])
            }
            Some(Letter) => scores(&[(Write, 0.85), (Send, 0.4)]),
            Some(Call) if word != "add" => scores(&[(Send, 0.8)]),
            Some(Post) => scores(&[(Send, 0.8), (Write, 0.5)]),
            Some(Comment) => scores(&[(Write, 0.9), (Send, 0.55)]),
            Some(Query | Check) => scores(&[(Write, 0.6), (Read, 0.5)]),
            _ => scores(&[(Write, 0.95)]),
        },
        Verb::Change => match noun {
            _ if sale && matches!(word, "approve" | "move" | "sign" | "complete" | "resume" | "accept" | "apply") => {
                scores(&[(Pay, 0.85), (Write, 0.4)])
            }
            Some(Crypto) if matches!(word, "sign" | "approve" | "move" | "swap") => scores(&[(Pay, 0.8), (Write, 0.4)]),
            Some(Letter | Message) if matches!(word, "write" | "schedule") => scores(&[(Write, 0.85), (Send, 0.4)]),
            _ => scores(&[(Write, 0.95)]),
        },
        Verb::Do => match noun {
            Some(Money) if word == "request" => scores(&[(Send, 0.7), (Pay, 0.4)]),
            _ if word == "request" && noun != Some(Http) => scores(&[(Send, 0.6), (Write, 0.5)]),
            _ if sale => scores(&[(Pay, 0.9), (Write, 0.4)]),
            Some(Message | Letter | Call | Post) => scores(&[(Send, 0.85)]),
            Some(Person) if word == "call" => scores(&[(Send, 0.8)]),
            Some(Http) => scores(&[(Send, 0.6), (Read, 0.6)]),
            Some(Query) => scores(&[(Read, 0.7), (Write, 0.5)]),
            _ if word == "submit" => scores(&[(Write, 0.8), (Send, 0.6)]),
            _ if !object.any || word == "call" => scores(&[(Write, 0.4)]),
            _ => scores(&[(Write, 0.65)]),
        },
        Verb::Exec => match noun {
            Some(Query) => scores(&[(Read, 0.7), (Write, 0.6), (Delete, 0.5)]),
            Some(Check) => scores(&[(Read, 0.6), (Write, 0.4)]),
            Some(Code) => scores(&[(Write, 0.85), (Delete, 0.5), (Send, 0.5)]),
            _ if !object.any => scores(&[(Write, 0.75), (Delete, 0.5), (Send, 0.5)]),
            _ => scores(&[(Write, 0.75)]),
        },
        Verb::Send => match noun {
            Some(Money) if word == "post" => scores(&[(Pay, 0.7), (Write, 0.6)]),
            Some(Money) => scores(&[(Pay, 0.95), (Send, 0.3)]),
            Some(Crypto) if bank || object.any => scores(&[(Pay, 0.85), (Send, 0.4)]),
            Some(Http) if word == "send" => scores(&[(Send, 0.6), (Read, 0.5)]),
            _ if word == "publish" => scores(&[(Send, 0.9), (Write, 0.7)]),
            _ => scores(&[(Send, 0.95)]),
        },
        Verb::Share if word == "comment" => scores(&[(Write, 0.9), (Send, 0.55)]),
        Verb::Share if word == "invite" => scores(&[(Send, 0.85), (Write, 0.7)]),
        Verb::Share if matches!(word, "delegate" | "expose") => scores(&[(Write, 0.8), (Send, 0.4)]),
        Verb::Share => scores(&[(Send, 0.9), (Write, 0.6)]),
        Verb::Upload if word == "push" && matches!(noun, Some(Message | Letter)) => scores(&[(Send, 0.9)]),
        Verb::Upload => scores(&[(Write, 0.85), (Send, 0.65)]),
        Verb::Delete if word == "drop" && !matches!(noun, Some(Table | Ticket)) => {
            scores(&[(Delete, 0.7), (Write, 0.4)])
        }
        Verb::Delete => scores(&[(Delete, 0.95)]),
        Verb::Remove if matches!(noun, Some(Light | Person)) => scores(&[(Write, 0.9), (Delete, 0.4)]),
        Verb::Remove => scores(&[(Delete, 0.8), (Write, 0.4)]),
        Verb::Cancel if noun == Some(Table) && word == "reset" => scores(&[(Delete, 0.8), (Write, 0.6)]),
        Verb::Cancel => scores(&[(Write, 0.95), (Delete, 0.4)]),
        Verb::Pay => scores(&[(Pay, 0.95)]),
        Verb::Charge if word == "swap" && !bank && !matches!(noun, Some(Crypto | Money)) => scores(&[(Write, 0.7)]),
        Verb::Charge if word == "redeem" => scores(&[(Write, 0.7), (Pay, 0.4)]),
        Verb::Charge => scores(&[(Pay, 0.9)]),
        Verb::Transfer => match noun {
            Some(Thing | Case | Person | Branch | Call) => scores(&[(Write, 0.85), (Send, 0.3)]),
            Some(Money | Bank | Crypto) => scores(&[(Pay, 0.95)]),
            _ if bank => scores(&[(Pay, 0.95)]),
            _ if object.any => scores(&[(Write, 0.7), (Pay, 0.5)]),
            _ => scores(&[(Pay, 0.7)]),
        },
        Verb::Order if matches!(noun, Some(Branch)) => scores(&[(Write, 0.9)]),
        Verb::Order => scores(&[(Pay, 0.8)]),
        Verb::Book if matches!(noun, Some(Ticket)) && !object.meeting => scores(&[(Write, 0.85), (Pay, 0.6)]),
        Verb::Book => scores(&[(Write, 0.9), (Pay, 0.3)]),
    }
}

/// A verb in the form in which descriptions use it, and its form.
pub(crate) fn inflected(word: &str) -> Option<(&'static Word, Form)> {
    let verb = |word: &str| lexicon::find(word).filter(|word| word.verb.is_some());
    if let Some(found) = verb(word) {
        return Some((found, Form::Base));
    }
    if let Some(stem) = word.strip_suffix("ing") {
        let found = verb(stem).or_else(|| verb(&format!("{stem}e"))).or_else(|| verb(halved(stem)));
        return found.map(|found| (found, Form::Ing));
    }
    let stem = word.strip_suffix('s')?;
    let found = verb(stem).or_else(|| verb(stem.strip_suffix('e')?));
    let found = found.or_else(|| verb(&format!("{}y", stem.strip_suffix("ie")?)));
    found.map(|found| (found, Form::Third))
}

/// How a verb stands in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// send
    Base,
    /// sends
    Third,
    /// sending
    Ing,
}

/// What is done to the words after a verb in a sentence.
pub(crate) fn deed_in_sentence(verb: &'static Word, after: &[&str]) -> Effects {
    let told = |word: &&&str| tells(word);
    let mut words = vec![verb.word];
    words.extend(after.iter().filter(told));
    let reads = match verb.word {
        "return" => true,
        "turn" | "make" => after.contains(&"into"),
        "run" | "execute" => after.contains(&"read") && after.contains(&"only"),
        _ => false,
    };
    if reads { scores(&[(Effect::Read, 0.9)]) } else { deed(&words, 0, &[]) }
}

#[cfg(test)]
mod tests;
