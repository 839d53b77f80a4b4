//! The document a policy sees as `input`.

use portcullis_plugin::{AttributedFinding, Call, Phase, Text};
use regorus::Value;

use crate::time::Moment;

/// A counter's key with its gaps.
#[derive(Clone, Debug)]
pub(crate) struct CounterKey(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Literal(String),
    Tool,
    Agent,
    Session,
    Upstream,
    Phase,
}

impl CounterKey {
    /// Reads a text with gaps in braces.
    ///
    /// # Errors
    /// A gap that does not exist, as a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').ok_or("`{` without `}`")?;
            pieces.push(Piece::Literal(before.to_owned()));
            pieces.push(match name {
                "tool" => Piece::Tool,
                "agent" => Piece::Agent,
                "session" => Piece::Session,
                "upstream" => Piece::Upstream,
                "phase" => Piece::Phase,
                _ => {
                    return Err(format!(
                        "`{{{name}}}` is none of {{tool}}, {{agent}}, {{session}}, {{upstream}}, {{phase}}"
                    ));
                }
            });
            rest = tail;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The key for one call. Values are set apart by their lengths, so that no value can imitate another.
    pub(crate) fn expand(&self, call: &Call) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            let value = match piece {
                Piece::Literal(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Tool => &call.tool,
                Piece::Agent => &call.agent,
                Piece::Session => call.session.as_deref().unwrap_or_default(),
                Piece::Upstream => call.upstream.as_deref().unwrap_or_default(),
                Piece::Phase => call.phase.as_str(),
            };
            out.push_str(&format!("{}:{value}", value.len()));
        }
        out
    }
}

/// The members of `input`.
///
/// # Errors
/// The payload is not JSON that the interpreter takes, as a sentence.
pub(crate) fn members(
    call: &Call,
    payload: &str,
    texts: &[Text],
    findings: &[AttributedFinding],
    counters: &[(&str, u64)],
) -> Result<Vec<(&'static str, Value)>, String> {
    let payload = Value::from_json_str(payload)
        .map_err(|error| format!("the payload cannot be given to the policies: {error}"))?;
    let member = if call.phase == Phase::Call { "arguments" } else { "content" };
    Ok(vec![
        ("call", describe(call)),
        (member, payload),
        ("findings", Value::from(findings.iter().map(|finding| describe_finding(finding, texts)).collect::<Vec<_>>())),
        ("time", describe_time(portcullis_plugin::clock::now_ms())),
        ("counters", object(counters.iter().map(|(name, sum)| (*name, Value::from(*sum))))),
    ])
}

fn describe(call: &Call) -> Value {
    let required = [("id", &call.id), ("tenant", &call.tenant), ("agent", &call.agent), ("tool", &call.tool)];
    let optional =
        [("session", &call.session), ("persona", &call.persona), ("task", &call.task), ("upstream", &call.upstream)];
    let required = required.into_iter().map(|(name, value)| (name, Value::from(value.as_str())));
    let optional = optional.into_iter().filter_map(|(name, value)| Some((name, Value::from(value.as_deref()?))));
    object(required.chain(optional).chain([("phase", Value::from(call.phase.as_str()))]))
}

fn describe_finding(found: &AttributedFinding, texts: &[Text]) -> Value {
    let finding = &found.finding;
    // Through its decimal form: 0.9 as f32 is not the 0.9 that a policy compares with.
    let score = finding.score.to_string().parse::<f64>().unwrap_or(1.0);
    let spans = finding.spans.iter().map(|span| {
        let pointer = texts.get(span.text as usize).map_or("", |text| text.pointer.as_str());
        object([
            ("pointer", Value::from(pointer)),
            ("start", Value::from(u64::from(span.start))),
            ("end", Value::from(u64::from(span.end))),
        ])
    });
    object([
        ("plugin", Value::from(found.plugin.as_str())),
        ("category", Value::from(finding.category.as_str())),
        ("score", Value::from(score)),
        ("message", Value::from(finding.message.as_str())),
        ("spans", Value::from(spans.collect::<Vec<_>>())),
    ])
}

fn describe_time(unix_ms: u64) -> Value {
    let moment = Moment::of(unix_ms);
    object([
        ("unix_ms", Value::from(unix_ms)),
        ("rfc3339", Value::from(moment.rfc3339)),
        ("date", Value::from(moment.date)),
        ("weekday", Value::from(moment.weekday)),
        ("hour", Value::from(moment.hour)),
        ("minute", Value::from(moment.minute)),
    ])
}

/// An object of these members.
pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let mut value = Value::new_object();
    if let Ok(object) = value.as_object_mut() {
        for (name, member) in members {
            object.insert(Value::from(name), member);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_imitate_each_other() {
        let key = CounterKey::parse("{agent}/{tool}").unwrap();
        let call = |agent: &str, tool: &str| Call { agent: agent.into(), tool: tool.into(), ..Call::default() };
        assert_eq!(key.expand(&call("a", "b")), "1:a/1:b");
        assert_ne!(key.expand(&call("a/1:b", "c")), key.expand(&call("a", "b/1:c")));
        assert!(CounterKey::parse("{tenant}").unwrap_err().contains("{tenant}"));
        assert!(CounterKey::parse("{tool").is_err());
    }
}
