//! Lists of tools: which of them an agent gets to see, and who may keep the list.

use std::collections::HashSet;

use portcullis_model::{Kind, Value};

use super::envelope::{RESERVED_TOOL, has_twin};

/// A part of a message and what is written in its place.
pub(super) type Rewrite = (std::ops::Range<usize>, String);

/// The keyword by which a schema asks for an argument to be repeated in a header.
const HEADER: &str = "x-mcp-header";
/// Keywords whose values are data and no schemas.
const DATA: &[&str] = &["default", "examples", "const", "enum", "$ref", "$dynamicRef"];
/// Types whose values every program writes alike.
const WRITABLE: &[&str] = &["string", "integer", "boolean"];
/// How long, in milliseconds, a client may keep a list that was made for it: what policy shows may change.
const KEPT: u64 = 60_000;

/// The tools that `sees` lets through, in the order of the upstream; none if that is all of them. With `headers`, tools
/// whose schemas ask for headers in a way that the protocol forbids are left out too.
pub(super) fn shown(tools: Value<'_>, sees: impl Fn(&str) -> bool, headers: bool) -> Option<String> {
    let mut all = true;
    let mut kept = Vec::new();
    for tool in tools.items() {
        let named = tool.get("name").and_then(Value::as_str);
        // Another name, or another description, for readers that do not tell small letters from capitals.
        let twins = has_twin(tool, RESERVED_TOOL);
        if named.is_none_or(&sees) && !twins && !(headers && asks_wrongly(tool)) {
            kept.push(tool.raw());
        } else {
            all = false;
        }
    }
    (!all).then(|| format!("[{}]", kept.join(",")))
}

/// What an answer that was made for one caller has to say about being kept.
pub(super) fn private(body: Value<'_>) -> Vec<Rewrite> {
    let mut rewrites = Vec::new();
    if let Some(scope) = body.get("cacheScope").filter(|scope| scope.as_str() != Some("private")) {
        rewrites.push((scope.range(), "\"private\"".to_owned()));
    }
    if let Some(ttl) = body.get("ttlMs").filter(|ttl| ttl.as_u64().is_none_or(|ttl| ttl > KEPT)) {
        rewrites.push((ttl.range(), KEPT.to_string()));
    }
    rewrites
}

/// Whether the tool's schema asks for a header where it must not, or for the same one twice.
fn asks_wrongly(tool: Value<'_>) -> bool {
    let mut seen = HashSet::new();
    tool.get("inputSchema").is_some_and(|schema| !headers_fit(schema, Position::Root, &mut seen))
}

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Root,
    /// A property, of a property …, of the root.
    Property,
    /// Anywhere else: no argument is sure to be found there.
    Elsewhere,
}

fn headers_fit(schema: Value<'_>, position: Position, seen: &mut HashSet<String>) -> bool {
    let below = if position == Position::Elsewhere { Position::Elsewhere } else { Position::Property };
    match schema.kind() {
        Kind::Array => schema.items().all(|item| headers_fit(item, Position::Elsewhere, seen)),
        Kind::Object => schema.members().all(|member| match member.name().unwrap_or_default() {
            HEADER => {
                let name = member.as_str().filter(|name| is_token(name));
                let writable = schema.get("type").and_then(Value::as_str).is_some_and(|kind| WRITABLE.contains(&kind));
                position == Position::Property
                    && writable
                    && name.is_some_and(|name| seen.insert(name.to_ascii_lowercase()))
            }
            "properties" => member.members().all(|property| headers_fit(property, below, seen)),
            name if DATA.contains(&name) => true,
            _ => headers_fit(member, Position::Elsewhere, seen),
        }),
        _ => true,
    }
}

/// Whether the text may be the name of a header (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use portcullis_model::Document;

    use super::*;

    fn list(text: &str) -> Document {
        Document::parse(text).unwrap()
    }

    #[test]
    fn hidden_tools_are_left_out_and_every_other_byte_stays() {
        let tools = list(r#"[ {"name":"a", "x":1.0},{"name":"b"},  {"name":"c","description":"é"}]"#);
        assert_eq!(shown(tools.root(), |_| true, true), None);
        let kept = shown(tools.root(), |name| name != "b", true).unwrap();
        assert_eq!(kept, r#"[{"name":"a", "x":1.0},{"name":"c","description":"é"}]"#);
    }

    #[test]
    fn a_tool_with_two_names_is_left_out() {
        let tools = list(r#"[{"name":"a"},{"name":"b","Name":"a"},{"name":"c","DESCRIPTION":"x"}]"#);
        assert_eq!(shown(tools.root(), |_| true, false).unwrap(), r#"[{"name":"a"}]"#);
    }

    #[test]
    fn tools_that_ask_for_headers_wrongly_are_left_out() {
        let asks = |schema: &str| {
            let tools = list(&format!(r#"[{{"name":"a","inputSchema":{schema}}}]"#));
            shown(tools.root(), |_| true, true).is_none()
        };
        for right in [
            r#"{"type":"object"}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"Region"}}}"#,
            r#"{"properties":{"a":{"properties":{"b":{"type":"integer","x-mcp-header":"B"}}}}}"#,
            r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#,
            r#"{"properties":{"a":{"type":"string","default":{"x-mcp-header":""}}}}"#,
        ] {
            assert!(asks(right), "{right}");
        }
        for wrong in [
            r#"{"x-mcp-header":"A"}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":1}}}"#,
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
            r#"{"properties":{"a":{"items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
        ] {
            assert!(!asks(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_list_made_for_one_caller_is_not_kept_for_others_nor_for_long() {
        let rewritten = |text: &str| {
            let body = list(text);
            private(body.root()).into_iter().map(|(_, new)| new).collect::<Vec<_>>()
        };
        assert_eq!(rewritten(r#"{"cacheScope":"public","ttlMs":86400000}"#), ["\"private\"", "60000"]);
        assert_eq!(rewritten(r#"{"cacheScope":"private","ttlMs":1000}"#), Vec::<String>::new());
        assert_eq!(rewritten(r#"{"tools":[]}"#), Vec::<String>::new());
        assert_eq!(rewritten(r#"{"cacheScope":1,"ttlMs":-1}"#), ["\"private\"", "60000"]);
    }
}
