//! Reading a question: every field by name, type and limit; nothing else is accepted.

use std::sync::Arc;
use std::time::Duration;

use portcullis_model::{Call, Digest, Document, Kind, Phase, Value};
use uuid::Uuid;

use super::MAX_BATCH;
use crate::gate::now_ms;
use crate::http::ApiError;
use crate::ports::AgentIdentity;

/// Most bytes of a tool's name.
pub(crate) const MAX_TOOL: usize = 1024;
/// Most bytes of a session's or upstream's name.
pub(crate) const MAX_NAME: usize = 256;
/// Most bytes of a task.
pub(crate) const MAX_TASK: usize = 16 * 1024;
/// Most bytes of a persona.
pub(crate) const MAX_PERSONA: usize = 4 * 1024;
/// Longest wait for a decision in milliseconds.
pub(crate) const MAX_WAIT_MS: u64 = 600_000;

/// Every field of a question, as the API describes it; others are refused.
pub(crate) const FIELDS: &[(&str, &str)] = &[
    ("tool", "tool name, 1 to 1024 bytes"),
    ("arguments", "the tool's arguments: any JSON, numbers are kept as written; default {}"),
    ("phase", "what is inspected: call (default), result, listing or message"),
    (
        "content",
        "for the other phases: tool output, tool definitions (the array of an MCP tools/list), or message text",
    ),
    ("session", "the run of the agent this call belongs to, at most 256 bytes"),
    ("upstream", "the server that owns the tool, at most 256 bytes; in phase listing no upstream of this server's own"),
    ("task", "what the user asked for in this session, at most 16 KiB"),
    ("persona", "what this agent is for, at most 4 KiB; default is the agent's registration"),
    ("id", "UUID chosen by the caller: the same id with the same body gets the kept answer, with another body 409"),
    ("wait_ms", "on review: hold the answer until decided, or this many milliseconds, 0 to 600000"),
    ("explain", "include findings and per-plugin cost, if the token allows it"),
];

/// A question that was read.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) call: Call,
    pub(crate) wait: Duration,
    pub(crate) explain: bool,
    /// Digest of the body and its sender; only if the caller gave an id.
    pub(crate) request: Option<Digest>,
}

/// Reads one question. `place` says where it stands, for instance `calls[3].`.
pub(crate) fn read(value: Value<'_>, agent: &AgentIdentity, place: &str) -> Result<Question, ApiError> {
    if value.kind() != Kind::Object {
        let what = if place.is_empty() { "the body" } else { place.trim_end_matches('.') };
        return Err(ApiError::malformed(format!("{what} must be an object"), "see /v1/openapi.json"));
    }
    let mut tool = None;
    let (mut session, mut upstream, mut task, mut persona) = (None, None, None, None);
    let (mut arguments, mut content) = (None, None);
    let mut phase = Phase::Call;
    let (mut id, mut wait_ms, mut explain) = (None, 0, false);
    for field in value.members() {
        let name = field.name().unwrap_or_default();
        let wrong = |must: &str| wrong(place, name, must);
        let text =
            |most: usize| text(field, most).ok_or_else(|| wrong(&format!("be a string of at most {most} bytes")));
        match name {
            "tool" => {
                let name = field.as_str().filter(|name| (1..=MAX_TOOL).contains(&name.len()));
                tool = Some(Arc::from(name.ok_or_else(|| wrong("be a string of 1 to 1024 bytes"))?));
            }
            "arguments" => arguments = Some(field),
            "content" => content = Some(field),
            "phase" => phase = read_phase(field).ok_or_else(|| wrong("be call, result, listing or message"))?,
            "session" => session = Some(text(MAX_NAME)?),
            "upstream" => {
                let name = text(MAX_NAME)?;
                // Those of the Arden door, where the key says which of them it is.
                if name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("arden.")) {
                    return Err(wrong("be none of those that begin with arden.: their calls are made at /arden"));
                }
                upstream = Some(name);
            }
            "task" => task = Some(text(MAX_TASK)?),
            "persona" => persona = Some(text(MAX_PERSONA)?),
            "id" => id = Some(read_id(field).ok_or_else(|| wrong("be a UUID in its form with hyphens"))?),
            "wait_ms" => {
                let wait = field.as_u64().filter(|wait| *wait <= MAX_WAIT_MS);
                wait_ms = wait.ok_or_else(|| wrong("be a whole number from 0 to 600000"))?;
            }
            "explain" => explain = field.as_bool().ok_or_else(|| wrong("be true or false"))?,
            _ => return Err(unknown(place, name)),
        }
    }
    let payload = match (phase, content) {
        (Phase::Call, None) => arguments.map_or_else(Document::empty, Value::to_document),
        (Phase::Call, Some(_)) => {
            return Err(wrong(
                place,
                "content",
                "come with phase result, listing or message: in phase call only arguments are inspected",
            ));
        }
        (_, Some(content)) => content.to_document(),
        (_, None) => return Err(wrong(place, "content", "be there: it is what is inspected in this phase")),
    };
    let call = Call {
        id: id.unwrap_or_else(Uuid::now_v7),
        phase,
        tenant: Arc::clone(&agent.tenant),
        agent: Arc::clone(&agent.name),
        session,
        persona: persona.or_else(|| agent.persona.clone()),
        task,
        upstream,
        tool: tool.ok_or_else(|| wrong(place, "tool", "be there: a string of 1 to 1024 bytes"))?,
        payload: Arc::new(payload),
        time_ms: now_ms(),
        attached: None,
    };
    let sender = |body: Digest| Digest::of_parts([&b"portcullis inspect 1"[..], agent.name.as_bytes(), &body.0]);
    let request = id.map(|_| sender(value.to_document().digest()));
    Ok(Question { call, wait: Duration::from_millis(wait_ms), explain: explain && agent.may_explain, request })
}

/// The array of questions of a batch.
pub(crate) fn batch(value: Value<'_>) -> Result<Value<'_>, ApiError> {
    if value.kind() != Kind::Object {
        return Err(ApiError::malformed("the body must be an object", "see /v1/openapi.json"));
    }
    let mut calls = None;
    for field in value.members() {
        match field.name().unwrap_or_default() {
            "calls" => calls = Some(field),
            name => return Err(unknown("", name)),
        }
    }
    let fits = |calls: &Value<'_>| calls.kind() == Kind::Array && (1..=MAX_BATCH).contains(&calls.items().count());
    calls.filter(fits).ok_or_else(|| wrong("", "calls", "be an array of 1 to 128 calls"))
}

fn text(field: Value<'_>, most: usize) -> Option<Arc<str>> {
    field.as_str().filter(|text| text.len() <= most).map(Arc::from)
}

fn read_phase(field: Value<'_>) -> Option<Phase> {
    let phases = [Phase::Call, Phase::Result, Phase::Listing, Phase::Message];
    let word = field.as_str()?;
    phases.into_iter().find(|phase| phase.as_str() == word)
}

fn read_id(field: Value<'_>) -> Option<Uuid> {
    field.as_str().filter(|text| text.len() == 36).and_then(|text| Uuid::parse_str(text).ok())
}

fn wrong(place: &str, field: &str, must: &str) -> ApiError {
    ApiError::malformed(format!("{place}{field} must {must}"), "see /v1/openapi.json")
}

fn unknown(place: &str, field: &str) -> ApiError {
    let shown: String = field.chars().take(64).flat_map(char::escape_default).collect();
    let known: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
    ApiError::malformed(format!("unknown field {place}{shown}"), format!("known are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(json: &str) -> Result<Question, String> {
        let agent =
            AgentIdentity { tenant: "t".into(), name: "a".into(), persona: Some("p".into()), may_explain: true };
        let document = Document::parse(json).unwrap();
        read(document.root(), &agent, "").map_err(|error| error.message.into_owned())
    }

    #[test]
    fn every_described_field_is_read() {
        for (name, _) in FIELDS.iter().filter(|(name, _)| !["tool", "arguments"].contains(name)) {
            let message = ask(&format!("{{\"tool\":\"x\",\"{name}\":[]}}")).expect_err(name);
            assert!(message.starts_with(name), "{name}: {message}");
        }
    }

    #[test]
    fn defaults_and_identity() {
        let question = ask(r#"{"tool":"x"}"#).unwrap();
        assert_eq!(question.call.payload.raw(), "{}");
        assert_eq!(question.call.phase, Phase::Call);
        assert_eq!((&*question.call.tenant, &*question.call.agent), ("t", "a"));
        assert_eq!(question.call.persona.as_deref(), Some("p"));
        assert!(question.request.is_none());
    }

    #[test]
    fn numbers_beyond_64_bits_are_kept() {
        let question = ask(r#"{"tool":"x","arguments":{"n":123456789012345678901234567890.10}}"#).unwrap();
        assert_eq!(question.call.payload.raw(), r#"{"n":123456789012345678901234567890.10}"#);
    }

    #[test]
    fn the_payload_of_other_phases_is_content() {
        let question = ask(r#"{"tool":"x","phase":"result","arguments":{"a":1},"content":[1]}"#).unwrap();
        assert_eq!(question.call.payload.raw(), "[1]");
        assert!(ask(r#"{"tool":"x","phase":"result"}"#).unwrap_err().starts_with("content"));
        assert!(ask(r#"{"tool":"x","content":"y"}"#).unwrap_err().starts_with("content"));
    }

    #[test]
    fn a_request_is_known_by_its_sender_and_content() {
        let id = "0193b0e0-0000-7000-8000-000000000001";
        let one = ask(&format!(r#"{{"tool":"x","id":"{id}","arguments":{{"a":1,"b":2}}}}"#)).unwrap();
        let same = ask(&format!(r#"{{"id":"{id}", "arguments":{{"b":2,"a":1}},"tool":"x"}}"#)).unwrap();
        let other = ask(&format!(r#"{{"tool":"x","id":"{id}","arguments":{{"a":1,"b":3}}}}"#)).unwrap();
        assert_eq!(one.request, same.request);
        assert_ne!(one.request, other.request);
    }

    #[test]
    fn limits_of_a_batch() {
        let with = |count: usize| format!("{{\"calls\":[{}]}}", vec!["{}"; count].join(","));
        for (count, good) in [(0, false), (1, true), (128, true), (129, false)] {
            let document = Document::parse(with(count)).unwrap();
            assert_eq!(batch(document.root()).is_ok(), good, "{count}");
        }
    }
}
