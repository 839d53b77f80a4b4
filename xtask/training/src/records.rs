//! What programs answer: objects, lists and settings, with ordinary values.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::correspondence;
use crate::generate;
use crate::random::Random;

/// Words that names of fields are made of.
const NOUNS: &[&str] = &[
    "account",
    "added",
    "address",
    "amount",
    "answer",
    "author",
    "balance",
    "body",
    "branch",
    "build",
    "category",
    "city",
    "code",
    "color",
    "comment",
    "commit",
    "config",
    "contact",
    "content",
    "count",
    "country",
    "created",
    "currency",
    "customer",
    "data",
    "date",
    "default",
    "description",
    "detail",
    "device",
    "display",
    "document",
    "due",
    "email",
    "enabled",
    "end",
    "entity",
    "entry",
    "environment",
    "error",
    "event",
    "fact",
    "field",
    "file",
    "filter",
    "first",
    "folder",
    "format",
    "group",
    "hash",
    "height",
    "host",
    "id",
    "image",
    "index",
    "invoice",
    "item",
    "job",
    "key",
    "kind",
    "label",
    "language",
    "last",
    "level",
    "limit",
    "line",
    "link",
    "list",
    "location",
    "log",
    "member",
    "memory",
    "message",
    "method",
    "mode",
    "model",
    "name",
    "next",
    "node",
    "note",
    "number",
    "object",
    "observation",
    "offset",
    "order",
    "owner",
    "page",
    "parent",
    "path",
    "person",
    "phone",
    "plan",
    "policy",
    "port",
    "price",
    "priority",
    "product",
    "profile",
    "project",
    "query",
    "rate",
    "reason",
    "record",
    "reference",
    "region",
    "relation",
    "reply",
    "report",
    "request",
    "result",
    "role",
    "room",
    "row",
    "rule",
    "schedule",
    "score",
    "section",
    "server",
    "service",
    "session",
    "size",
    "source",
    "start",
    "state",
    "status",
    "step",
    "store",
    "subject",
    "summary",
    "system",
    "tag",
    "target",
    "task",
    "team",
    "text",
    "thread",
    "time",
    "title",
    "token",
    "tool",
    "topic",
    "total",
    "type",
    "unit",
    "update",
    "updated",
    "url",
    "user",
    "value",
    "version",
    "weight",
    "width",
    "zone",
];
/// Words that values are made of.
const VALUES: &[&str] = &[
    "active",
    "admin",
    "approved",
    "assistant",
    "blue",
    "closed",
    "completed",
    "default",
    "deleted",
    "disabled",
    "draft",
    "enabled",
    "failed",
    "false",
    "green",
    "guest",
    "high",
    "internal",
    "likes tea",
    "low",
    "main",
    "medium",
    "member",
    "new",
    "none",
    "ok",
    "open",
    "override",
    "owner",
    "paid",
    "pending",
    "person",
    "private",
    "production",
    "public",
    "ready",
    "redacted",
    "rejected",
    "running",
    "skipped",
    "standard",
    "success",
    "system",
    "true",
    "unknown",
    "updated",
    "user",
    "weekly",
];
const NAMES: &[&str] = &[
    "Ada", "Amir", "Berta", "Chen", "Dana", "Emil", "Farid", "Greta", "Hana", "Ivo", "Jun", "Kofi", "Lena", "Mateo",
    "Noor", "Olga", "Pia",
];
const FAMILIES: &[&str] =
    &["Adler", "Baker", "Costa", "Diaz", "Eze", "Fischer", "Gupta", "Haas", "Ito", "Jansen", "Klein", "Lopez", "Meyer"];
/// Most fields of an object, items of a list, and how deep they go.
const FIELDS: usize = 6;
const ITEMS: usize = 4;
const DEPTH: usize = 3;

/// An answer.
pub(crate) fn answer(random: &mut Random) -> Result<String> {
    let style = random.below(3);
    let mut fields = Map::new();
    for _ in 0..=random.below(FIELDS) {
        fields.insert(key(random, style), value(random, style, DEPTH)?);
    }
    let value = match random.below(4) {
        0 => json!([fields]),
        1 => json!({ key(random, style): [fields], key(random, style): random.below(100) }),
        _ => Value::Object(fields),
    };
    Ok(match random.below(8) {
        0..=2 => serde_json::to_string_pretty(&value)?,
        3 | 4 => value.to_string(),
        5 => lines(&value, ": "),
        6 => lines(&value, "="),
        _ => lines(&value, "\t"),
    })
}

/// The same as lines of settings or a table: a name and a value.
fn lines(value: &Value, between: &str) -> String {
    match value {
        Value::Object(fields) => {
            let line = |(name, value): (&String, &Value)| match value {
                Value::Object(_) | Value::Array(_) => format!("{name}\n{}", lines(value, between)),
                Value::String(text) => format!("{name}{between}{text}"),
                other => format!("{name}{between}{other}"),
            };
            fields.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Value::Array(items) => {
            items.iter().map(|item| format!("- {}", lines(item, between))).collect::<Vec<_>>().join("\n")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A name in the style of a program: `entityName`, `entity_name`, `entity-name`.
fn key(random: &mut Random, style: usize) -> String {
    let words: Vec<&str> = (0..=random.below(3).min(random.below(3))).map(|_| one(random, NOUNS)).collect();
    match style {
        0 => words.join("_"),
        1 => words.join("-"),
        _ => {
            let mut name = String::new();
            for (number, word) in words.iter().enumerate() {
                let (first, rest) = word.split_at(1);
                name.push_str(&if number == 0 { first.to_owned() } else { first.to_uppercase() });
                name.push_str(rest);
            }
            name
        }
    }
}

fn value(random: &mut Random, style: usize, depth: usize) -> Result<Value> {
    Ok(match random.below(16) {
        0 => json!(random.below(10)),
        1 => json!(random.below(100_000)),
        2 => json!(random.below(2) == 0),
        3 => Value::Null,
        4 | 5 => one(random, VALUES).into(),
        6 => format!("{} {}", one(random, NAMES), one(random, FAMILIES)).into(),
        7 => one(random, NAMES).into(),
        8 => format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:00Z",
            2019 + random.below(9),
            1 + random.below(12),
            1 + random.below(28),
            random.below(24),
            random.below(60)
        )
        .into(),
        9 => format!("{:08x}-{:04x}", random.next() >> 32, random.next() >> 48).into(),
        10 => format!(
            "/{}/{}/{}.{}",
            one(random, NOUNS),
            one(random, NOUNS),
            one(random, NOUNS),
            one(random, &["md", "json", "txt", "rs", "py", "csv"])
        )
        .into(),
        11 => correspondence::carrier(random)?.into(),
        12 => generate::benign(random)?.into(),
        _ if depth == 0 => one(random, VALUES).into(),
        13 => {
            let mut items = Vec::new();
            for _ in 0..random.below(ITEMS) {
                items.push(value(random, style, depth - 1)?);
            }
            items.into()
        }
        14 => {
            let mut fields = Map::new();
            for _ in 0..=random.below(FIELDS) {
                fields.insert(key(random, style), value(random, style, depth - 1)?);
            }
            Value::Object(fields)
        }
        _ => format!("{} {}", one(random, NOUNS), one(random, VALUES)).into(),
    })
}

fn one<'l>(random: &mut Random, list: &[&'l str]) -> &'l str {
    list.get(random.below(list.len())).copied().unwrap_or_default()
}
