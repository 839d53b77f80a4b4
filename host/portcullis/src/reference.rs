//! The configuration reference, written from the schema of the configuration types.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::config::Config;

/// `docs/configuration.md`.
pub(crate) fn markdown() -> Result<String> {
    let schema = Config::schema().to_value();
    let mut out = String::from(
        "# Configuration reference\n\n\
         Written by `portcullis reference` from the types that read the file; a test keeps this page current.\n\n\
         One TOML file. Every key has a default, unknown keys are refused, and `portcullis check --config FILE` says \
         what is wrong with file, line and key. Relative paths start at the file's folder. A whole file, from tokens to \
         the first approval, stands in [http-api.md](http-api.md).\n",
    );
    section(&mut out, &schema, &schema, "")?;
    Ok(out)
}

/// JSON Schema for editors.
pub(crate) fn schema() -> Result<String> {
    Ok(serde_json::to_string_pretty(&Config::schema())?)
}

fn section(out: &mut String, root: &Value, object: &Value, path: &str) -> Result<()> {
    let properties = object.get("properties").and_then(Value::as_object).context("a schema without properties")?;
    let required: Vec<&str> = object
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let title = if path.is_empty() { "Top level".to_owned() } else { format!("`{path}`") };
    writeln!(out, "\n## {title}\n")?;
    if !path.is_empty() {
        writeln!(out, "{}\n", description(object))?;
    }
    writeln!(out, "| key | type | default | meaning |\n|---|---|---|---|")?;
    let mut below = Vec::new();
    for (name, property) in properties {
        let resolved = resolve(root, property);
        let list = resolved.get("type").is_some_and(|kind| *kind == "array");
        let inner = if list { resolve(root, resolved.get("items").unwrap_or(&Value::Null)) } else { resolved };
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if inner.get("properties").is_some() {
            below.push((key.clone(), inner));
        }
        let default = match property.get("default") {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Some(Value::Object(_)) | None => String::new(),
            Some(value) => format!("`{value}`"),
        };
        let meaning = match property.get("description").or_else(|| inner.get("description")).and_then(Value::as_str) {
            Some(text) => text.replace('\n', " "),
            None => String::new(),
        };
        writeln!(out, "| `{name}` | {} | {default} | {meaning} |", kind(inner, list))?;
    }
    for (key, inner) in below {
        section(out, root, inner, &key)?;
    }
    Ok(())
}

fn description(object: &Value) -> &str {
    object.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn resolve<'v>(root: &'v Value, property: &'v Value) -> &'v Value {
    let optional = property.get("anyOf").and_then(Value::as_array).and_then(|any| any.first());
    let property = optional.unwrap_or(property);
    match property.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/")) {
        Some(name) => root.get("$defs").and_then(|defs| defs.get(name)).unwrap_or(property),
        None => property,
    }
}

fn kind(schema: &Value, list: bool) -> String {
    let one = if schema.get("properties").is_some() {
        "table".to_owned()
    } else if let Some(words) = words(schema) {
        words.join(" or ")
    } else {
        match schema.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect::<Vec<_>>().join(" or ")
            }
            _ => "value".to_owned(),
        }
    };
    if list { format!("list of {one}") } else { one.replace("object", "table") }
}

/// The words of an enumeration.
fn words(schema: &Value) -> Option<Vec<String>> {
    let word = |value: &Value| value.as_str().map(|word| format!("`{word}`"));
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().map(word).collect();
    }
    schema.get("oneOf")?.as_array()?.iter().map(|one| word(one.get("const")?)).collect()
}
