//! Definitions of tools: the name, and what description, arguments and annotations add to it.

use serde_json::Value;

use crate::name::{self, Form, deed_in_sentence, inflected, scores};
use crate::{Effect, Effects, LIKELY};

/// Most bytes of a description that are read, most sentences, most words of a sentence, most names of arguments.
const MAX_TEXT: usize = 2_000;
const MAX_SENTENCES: usize = 8;
const MAX_WORDS: usize = 48;
const MAX_ARGUMENTS: usize = 64;

/// Whether annotations may say that a tool does less than its words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// They are claims of a stranger: they only raise.
    #[default]
    Untrusted,
    /// They are believed.
    Trusted,
}

/// What a tool of a list can do: `name`, `description`, `inputSchema` (or `parameters`, or `arguments`) and
/// `annotations`. What is missing or of another type is not looked at.
#[must_use]
pub fn of_definition(definition: &Value, trust: Trust) -> Effects {
    let text = |member: &str| definition.get(member).and_then(Value::as_str).unwrap_or_default();
    let named = name::of(text("name"));
    let described = of_description(text("description"));
    let mut out = joined(named, described);
    let arguments = arguments(definition);
    by_arguments(&mut out, &arguments);
    if let Some(annotations) = definition.get("annotations") {
        by_annotations(&mut out, annotations, trust);
    }
    out
}

/// The name and the description together. A certain name is never lowered.
fn joined(named: Option<Effects>, described: Option<Effects>) -> Effects {
    let (named, described) = match (named, described) {
        (Some(named), Some(described)) => (named, described),
        (named, described) => return named.or(described).unwrap_or_default(),
    };
    let certain = named.greatest() >= 0.85;
    let mut out = Effects::default();
    for effect in Effect::ALL {
        let (by_name, by_text) = (named.score(effect), described.score(effect));
        // A plain reading name and a description that speaks of a change: "Makes a summary", "Logs of a pod".
        let by_text = if effect == Effect::Write && named.score(Effect::Read) >= 0.9 && !named.acts() {
            by_text * 0.5
        } else {
            by_text
        };
        let score = if by_name >= 0.7 || by_text >= LIKELY {
            by_name.max(by_text * if certain { 0.85 } else { 1.0 })
        } else {
            // A guess that the description does not repeat.
            by_name.min(by_name * 0.6 + by_text)
        };
        out.raise(effect, score);
    }
    // `create_note`, "Returns the note that was created": that is no reading tool.
    if certain && named.acts() {
        out.lower(Effect::Read, named.score(Effect::Read).max(0.3));
    }
    out
}

/// What the sentences say is done: the first one and its `and`s, and what later ones say that it does as well.
fn of_description(text: &str) -> Option<Effects> {
    let text = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default();
    let folded = if text.is_ascii() { text.to_ascii_lowercase() } else { plugin_text::folded(text).to_lowercase() };
    let folded = folded.replace("e-mail", "email");
    let mut out: Option<Effects> = None;
    let sentences = folded.split(['\n', '!', '?', ';']).flat_map(|line| line.split(". "));
    let sentences = sentences.map(str::trim).filter(|sentence| !sentence.is_empty());
    for (index, sentence) in sentences.take(MAX_SENTENCES).enumerate() {
        let words = words_of(sentence);
        let found = if index == 0 { first(&words) } else { later(&words).map(|found| weighted(found, 0.7)) };
        out = match (out, found) {
            (Some(out), Some(found)) => Some(out.or(found, 1.0)),
            (out, found) => out.or(found),
        };
    }
    out
}

fn weighted(effects: Effects, weight: f32) -> Effects {
    Effects::default().or(effects, weight)
}

/// Words and commas.
fn words_of(sentence: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for piece in sentence.split([' ', '\t', '\r', '-', '/', '(', ')', '"', '`', '*', ':']) {
        let word = piece.trim_matches(|letter: char| !letter.is_alphanumeric());
        if !word.is_empty() {
            out.push(word);
        }
        if piece.ends_with(',') {
            out.push(",");
        }
        if out.len() >= MAX_WORDS {
            break;
        }
    }
    out
}

/// Words that may stand before the verb of a description.
const OPENING: &[&str] = &[
    "a",
    "able",
    "action",
    "agent",
    "ai",
    "allow",
    "allowing",
    "allows",
    "also",
    "an",
    "and",
    "api",
    "are",
    "assistant",
    "automatically",
    "be",
    "can",
    "capable",
    "client",
    "command",
    "designed",
    "easily",
    "enable",
    "enables",
    "endpoint",
    "for",
    "function",
    "help",
    "helper",
    "helps",
    "intended",
    "is",
    "it",
    "let",
    "lets",
    "llm",
    "may",
    "mcp",
    "me",
    "method",
    "model",
    "of",
    "on",
    "one",
    "operation",
    "optionally",
    "plugin",
    "provides",
    "server",
    "service",
    "simple",
    "simply",
    "that",
    "the",
    "then",
    "these",
    "this",
    "to",
    "tool",
    "tools",
    "use",
    "used",
    "user",
    "users",
    "useful",
    "using",
    "utility",
    "want",
    "wants",
    "way",
    "when",
    "which",
    "will",
    "you",
    "your",
];
/// Words that show that the word before them was a verb: "emails the customer".
const DETERMINERS: &[&str] = &["a", "all", "an", "each", "every", "it", "its", "that", "the", "them", "this", "your"];
/// Words before which something else is named than what is done.
const ENDING: &[&str] = &[",", "and", "or", "then", "but"];

/// The first sentence.
fn first(words: &[&str]) -> Option<Effects> {
    let at = words.iter().position(|word| !OPENING.contains(word) && !word.ends_with("ly"))?;
    let opening = words.get(..at).unwrap_or_default();
    match inflected(words.get(at)?) {
        // "Email of the user", "Orders of a customer": a noun.
        Some((verb, form)) if form != Form::Ing || !opening.is_empty() || !verb.weak => {
            let after = words.get(at + 1..).unwrap_or_default();
            if verb.weak && form == Form::Base {
                let end = after.iter().position(|word| ENDING.contains(word)).unwrap_or(after.len()).min(6);
                let mut clause = vec![verb.word];
                clause.extend(after.get(..end).unwrap_or_default());
                let lead = name::clause_of(&clause, &[])?;
                return Some(lead.or(coordinated(after, form), 0.85));
            }
            let lead = deed_in_sentence(verb, object(after));
            Some(lead.or(coordinated(after, form), 0.85))
        }
        // "Powerful instrument for deleting files"
        _ => {
            let pairs = words.iter().zip(words.iter().skip(1)).enumerate().take(14);
            let mut verbs = pairs.filter_map(|(index, (before, word))| {
                let (verb, form) = inflected(word)?;
                let fits = match form {
                    Form::Ing => ["for", "of"].contains(before),
                    Form::Base => ["to"].contains(before),
                    Form::Third => ["that", "which"].contains(before),
                };
                (fits && !verb.weak).then_some((index + 2, verb, form))
            });
            let (after, verb, form) = verbs.next()?;
            let after = words.get(after..).unwrap_or_default();
            Some(weighted(deed_in_sentence(verb, object(after)).or(coordinated(after, form), 0.85), 0.75))
        }
    }
}

/// What the verb is done to: up to the next pause.
fn object<'a, 'b>(after: &'b [&'a str]) -> &'b [&'a str] {
    let end = after.iter().position(|word| ENDING.contains(word)).unwrap_or(after.len()).min(6);
    after.get(..end).unwrap_or_default()
}

/// Verbs of the same form behind `and`, `or`, `then` and commas.
fn coordinated(words: &[&str], form: Form) -> Effects {
    let mut out = Effects::default();
    for (index, pause) in words.iter().enumerate() {
        if !ENDING.contains(pause) {
            continue;
        }
        let mut rest = words.get(index + 1..).unwrap_or_default();
        while let Some((word, more)) = rest.split_first() {
            let passed = ENDING.contains(word) || word.ends_with("ly") || ["also", "it", "will"].contains(word);
            if !passed {
                break;
            }
            rest = more;
        }
        let Some((word, after)) = rest.split_first() else { continue };
        if let Some((verb, found)) = inflected(word)
            && found == form
            && (!verb.weak || form == Form::Third && after.first().is_some_and(|word| DETERMINERS.contains(word)))
        {
            out = out.or(deed_in_sentence(verb, object(after)), 1.0);
        }
    }
    out
}

/// A later sentence: what it says that the tool does. Orders to whoever calls ("Use ISO dates") are none.
fn later(words: &[&str]) -> Option<Effects> {
    let at = words.iter().position(|word| {
        !["it", "also", "then", "this", "the", "tool", "will", "and", "automatically", "optionally", "can", "function"]
            .contains(word)
    })?;
    let (verb, form) = inflected(words.get(at)?)?;
    let told = form == Form::Third
        || form == Form::Base && at > 0 && words.get(at - 1).is_some_and(|word| ["will", "can", "also"].contains(word));
    (told && !verb.weak).then(|| {
        let after = words.get(at + 1..).unwrap_or_default();
        deed_in_sentence(verb, object(after)).or(coordinated(after, form), 0.85)
    })
}

/// Names of the arguments, in lower case without signs between words: `toAddress` is `toaddress`.
fn arguments(definition: &Value) -> Vec<String> {
    let schema = ["inputSchema", "input_schema", "parameters"].into_iter().find_map(|member| definition.get(member));
    let plain = |name: &str| -> String {
        name.chars().take(40).filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    if let Some(properties) = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object) {
        return properties.keys().take(MAX_ARGUMENTS).map(|name| plain(name)).collect();
    }
    let listed = definition.get("arguments").and_then(Value::as_array);
    let names = listed.into_iter().flatten().filter_map(|argument| argument.get("name").and_then(Value::as_str));
    names.take(MAX_ARGUMENTS).map(plain).collect()
}

/// What the arguments say. For a tool that by its words reads, they are a hint and no more.
fn by_arguments(out: &mut Effects, arguments: &[String]) {
    let has = |names: &[&str]| arguments.iter().any(|argument| names.contains(&argument.as_str()));
    let reads = out.score(Effect::Read) >= 0.7 && !out.acts();
    let known = out.known();
    let ceiling: f32 = if reads { 0.4 } else { 0.75 };
    let to = has(&[
        "to",
        "recipient",
        "recipients",
        "toemail",
        "toaddress",
        "tonumber",
        "phonenumber",
        "cc",
        "bcc",
        "channel",
        "channelid",
        "chatid",
        "roomid",
    ]);
    let body = has(&["body", "message", "messagetext", "text", "content", "subject", "html", "messagebody"]);
    if to && body || has(&["bcc", "cc"]) && has(&["subject"]) {
        out.raise(Effect::Send, ceiling.min(if known { 0.45 } else { 0.75 }));
    }
    let amount = has(&["amount", "amountcents", "amountusd", "sum", "value"]);
    let account = has(&[
        "iban",
        "toaccount",
        "toaccountid",
        "destinationaccount",
        "beneficiary",
        "payee",
        "cardnumber",
        "cardid",
        "paymentmethod",
        "paymentmethodid",
        "accountnumber",
        "walletaddress",
        "recipientaccount",
        "routingnumber",
        "creditor",
    ]);
    if amount && account || has(&["iban", "beneficiary", "payee", "creditor"]) && has(&["currency"]) {
        out.raise(Effect::Pay, ceiling);
    }
    if has(&["path", "filepath", "filename", "file"]) && has(&["content", "contents", "data", "newcontent", "newtext"])
    {
        out.raise(Effect::Write, ceiling);
    }
    if has(&["url", "endpoint", "uri"]) && has(&["body", "data", "payload", "json"]) && (has(&["method", "headers"])) {
        out.raise(Effect::Send, ceiling);
    }
    if !known && has(&["command", "cmd", "commandline", "shellcommand"]) {
        out.raise(Effect::Write, 0.7);
        out.raise(Effect::Delete, LIKELY);
        out.raise(Effect::Send, LIKELY);
    }
    if !known && !out.known() {
        let asks =
            ["query", "q", "search", "filter", "filters", "limit", "page", "offset", "cursor", "keyword", "keywords"];
        out.raise(Effect::Read, if has(&asks) { 0.7 } else { 0.4 });
    }
}

fn by_annotations(out: &mut Effects, annotations: &Value, trust: Trust) {
    let hint = |name: &str| annotations.get(name).and_then(Value::as_bool);
    if hint("destructiveHint") == Some(true) && hint("readOnlyHint") != Some(true) {
        out.raise(Effect::Write, 0.7);
        out.raise(Effect::Delete, 0.6);
    }
    if hint("readOnlyHint") == Some(false) {
        out.raise(Effect::Write, 0.6);
    }
    if hint("readOnlyHint") == Some(true) && !out.acts() {
        out.raise(Effect::Read, 0.8);
    }
    if trust == Trust::Untrusted {
        return;
    }
    if hint("readOnlyHint") == Some(true) {
        *out = scores(&[(Effect::Read, 0.95)]);
    }
    if hint("destructiveHint") == Some(false) {
        out.lower(Effect::Delete, 0.3);
    }
    if hint("openWorldHint") == Some(false) {
        out.lower(Effect::Send, 0.3);
    }
}
