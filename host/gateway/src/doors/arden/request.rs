//! What a client of this contract sends.

use std::sync::Arc;

use portcullis_model::{Call, Digest, Document, DocumentError, DocumentFault, Kind, Phase, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::gate::now_ms;
use crate::ports::AgentIdentity;

/// Bytes of a tool's name and of a session's.
const MAX_TOOL: usize = 1024;
const MAX_SESSION: usize = 256;
/// Members of a check that this door knows.
const MEMBERS: &[&str] = &["tool_name", "args", "kwargs", "metadata"];
/// How tools are named by the client's observer, which tells of calls that are over.
const OBSERVED: &str = "langchain.";

/// Which of an agent's two sides a key is for. They share nothing but their policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Any key that does not say otherwise.
    Live,
    /// A key that begins with `arden_test_` or `test_`.
    Test,
}

impl Environment {
    /// By the key itself, which the caller cannot choose.
    pub(super) fn of(key: &str) -> Self {
        let test = key.starts_with("arden_test_") || key.starts_with("test_");
        if test { Self::Test } else { Self::Live }
    }

    /// The word used on the wire and in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// What calls name as their upstream: it is in their digest, so an approval of a test call releases no live one.
    fn upstream(self) -> &'static str {
        match self {
            Self::Live => "arden.live",
            Self::Test => "arden.test",
        }
    }
}

/// A check as it was read.
#[derive(Debug)]
pub(super) enum Check {
    /// A call that its sender wants to make.
    Call(Call),
    /// A call that is over: nobody waits for the answer.
    Observation(Call),
}

/// Why there is nothing to judge.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is JSON, and nobody can judge it: a code, and why.
    Refused(&'static str, String),
    /// It is no check at all.
    Malformed(String),
}

/// Reads a check. Tenant and agent are those of the key.
pub(super) fn read(body: Vec<u8>, agent: &AgentIdentity, environment: Environment) -> Result<Check, Fault> {
    let body = Document::parse(body).map_err(|error| unreadable(&error))?;
    let Parts { tool, payload, session, observation } = parts(body.root())?;
    let call = Call {
        id: Uuid::now_v7(),
        phase: if observation { Phase::Result } else { Phase::Call },
        tenant: Arc::clone(&agent.tenant),
        agent: Arc::clone(&agent.name),
        session,
        persona: agent.persona.clone(),
        task: None,
        upstream: Some(environment.upstream().into()),
        tool,
        payload: Arc::new(payload),
        time_ms: now_ms(),
        attached: None,
    };
    Ok(if observation { Check::Observation(call) } else { Check::Call(call) })
}

struct Parts {
    tool: Arc<str>,
    payload: Document,
    session: Option<Arc<str>>,
    observation: bool,
}

fn parts(root: Value<'_>) -> Result<Parts, Fault> {
    if root.kind() != Kind::Object {
        return Err(Fault::Malformed("the body must be a JSON object".to_owned()));
    }
    // What nobody judges, nobody may run.
    if root.members().any(|member| !MEMBERS.contains(&member.name().unwrap_or_default())) {
        let why = "the check has members beside tool_name, args, kwargs and metadata";
        return Err(Fault::Refused("unknown_member", why.to_owned()));
    }
    let tool = root.get("tool_name").and_then(Value::as_str).filter(|tool| !tool.is_empty());
    let tool = tool.ok_or_else(|| Fault::Malformed("tool_name must be a string with something in it".to_owned()))?;
    if tool.len() > MAX_TOOL {
        return Err(Fault::Refused("too_large", format!("the tool's name has more than {MAX_TOOL} bytes")));
    }
    let member = |name: &str, kind: Kind, what: &str| match root.get(name) {
        Some(value) if value.kind() == kind => Ok(Some(value)),
        Some(value) if value.kind() != Kind::Null => Err(Fault::Malformed(format!("{name} must be {what}"))),
        _ => Ok(None),
    };
    let args = member("args", Kind::Array, "an array")?.filter(|args| args.items().next().is_some());
    let kwargs = member("kwargs", Kind::Object, "an object")?;
    let metadata = member("metadata", Kind::Object, "an object or null")?;
    let session = metadata.and_then(|metadata| metadata.get("session_id")).and_then(session);
    let names = || kwargs.into_iter().flat_map(Value::members).map(|member| member.name().unwrap_or_default());
    let observation = tool.starts_with(OBSERVED)
        && metadata.is_none()
        && args.is_none()
        && names().count() == 2
        && names().all(|name| matches!(name, "input" | "output"));
    let payload = match (args, kwargs) {
        (None, None) => Document::empty(),
        (None, Some(kwargs)) => kwargs.to_document(),
        (Some(args), kwargs) => together(args, kwargs)?,
    };
    Ok(Parts { tool: tool.into(), payload, session, observation })
}

/// Arguments by position stand beside those by name, under the name that the client itself gives to such ones.
fn together(args: Value<'_>, kwargs: Option<Value<'_>>) -> Result<Document, Fault> {
    if kwargs.is_some_and(|kwargs| kwargs.get("args").is_some()) {
        let why = "there are arguments by position and one that is called args: they cannot be told apart";
        return Err(Fault::Refused("ambiguous_arguments", why.to_owned()));
    }
    let mut text = format!("{{\"args\":{}", args.raw());
    for member in kwargs.into_iter().flat_map(Value::members) {
        let name = serde_json::Value::from(member.name().unwrap_or_default());
        text.push_str(&format!(",{name}:{}", member.raw()));
    }
    text.push('}');
    Document::parse(text).map_err(|error| unreadable(&error))
}

/// Any JSON value names a session. Long names are cut, and told apart by their digest.
pub(super) fn session(value: Value<'_>) -> Option<Arc<str>> {
    let whole = match value.kind() {
        Kind::Null => return None,
        Kind::String => value.as_str().unwrap_or_default().to_owned(),
        _ => String::from_utf8_lossy(value.to_document().canonical()).into_owned(),
    };
    if whole.is_empty() {
        return None;
    }
    if whole.len() <= MAX_SESSION {
        return Some(whole.into());
    }
    let mark = format!("…{}", Digest::of(whole.as_bytes()));
    let end = whole.floor_char_boundary(MAX_SESSION.saturating_sub(mark.len()));
    Some(format!("{}{mark}", whole.get(..end).unwrap_or_default()).into())
}

/// What is JSON and only too much of it is refused by name; a client would try anything else again.
fn unreadable(error: &DocumentError) -> Fault {
    match error.fault {
        DocumentFault::Utf8 | DocumentFault::Syntax(_) => {
            Fault::Malformed(format!("the body is not acceptable JSON: {error}"))
        }
        _ => Fault::Refused("too_complex", format!("the arguments cannot be judged: {error}")),
    }
}

/// A UUID in the one form that ids are written in.
pub(super) fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|id| id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str) -> Result<Check, Fault> {
        let agent = AgentIdentity { tenant: "t".into(), name: "a".into(), persona: None, may_explain: false };
        read(body.as_bytes().to_vec(), &agent, Environment::Test)
    }

    fn call(body: &str) -> Call {
        match check(body) {
            Ok(Check::Call(call)) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_are_kept_to_the_digit() {
        let text = r#"{"n":1180591620717411303424,"x":1.50,"s":"a\u0000b"}"#;
        let call = call(&format!(r#"{{"tool_name":"t","args":[],"kwargs":{text},"metadata":null}}"#));
        assert_eq!(call.payload.raw(), text);
        assert_eq!(call.upstream.as_deref(), Some("arden.test"));
    }

    #[test]
    fn arguments_by_position_are_judged_too() {
        let both = call(r#"{"tool_name":"t","args":[1,"x"],"kwargs":{"a\"b":2}}"#);
        assert_eq!(both.payload.raw(), r#"{"args":[1,"x"],"a\"b":2}"#);
        let only = call(r#"{"tool_name":"t","args":[1]}"#);
        assert_eq!(only.payload.raw(), r#"{"args":[1]}"#);
        let twice = check(r#"{"tool_name":"t","args":[1],"kwargs":{"args":2}}"#);
        assert!(matches!(twice, Err(Fault::Refused("ambiguous_arguments", _))), "{twice:?}");
    }

    #[test]
    fn any_value_names_a_session() {
        let with = |session: &str| {
            let session =
                call(&format!(r#"{{"tool_name":"t","metadata":{{"session_id":{session},"more":1}}}}"#)).session;
            session.map(|session| session.to_string())
        };
        assert_eq!(with("\"chat-1\"").unwrap(), "chat-1");
        assert_eq!(with("12.50").unwrap(), "12.50");
        assert_eq!(with(r#"{"b":1,"a":[2]}"#).unwrap(), r#"{"a":[2],"b":1}"#);
        assert_eq!((with("null"), with("\"\"")), (None, None));
        let (one, other) = (format!("\"{}1\"", "ü".repeat(3000)), format!("\"{}2\"", "ü".repeat(3000)));
        let (one, other) = (with(&one).unwrap(), with(&other).unwrap());
        assert!(one.len() <= MAX_SESSION && one != other, "{one}");
    }

    #[test]
    fn only_what_the_observer_sends_is_an_observation() {
        let observed = |tool: &str, kwargs: &str, metadata: &str| {
            let body = format!(r#"{{"tool_name":"{tool}","args":[],"kwargs":{kwargs},"metadata":{metadata}}}"#);
            matches!(check(&body), Ok(Check::Observation(_)))
        };
        assert!(observed("langchain.search", r#"{"input":"a","output":{"b":1}}"#, "null"));
        assert!(!observed("search", r#"{"input":"a","output":"b"}"#, "null"));
        assert!(!observed("langchain.search", r#"{"input":"a"}"#, "null"));
        assert!(!observed("langchain.search", r#"{"input":"a","output":"b","more":1}"#, "null"));
        assert!(!observed("langchain.search", r#"{"input":"a","output":"b"}"#, r#"{"session_id":"x"}"#));
    }

    #[test]
    fn what_is_no_check_is_malformed_and_what_is_too_much_is_refused() {
        for body in
            ["", "{", "[]", "1", "{}", r#"{"tool_name":""}"#, r#"{"tool_name":1}"#, r#"{"tool_name":"t","args":{}}"#]
        {
            assert!(matches!(check(body), Err(Fault::Malformed(_))), "{body}");
        }
        let deep = format!(r#"{{"tool_name":"t","kwargs":{{"a":{}1{}}}}}"#, "[".repeat(70), "]".repeat(70));
        let long = format!(r#"{{"tool_name":"{}"}}"#, "t".repeat(MAX_TOOL + 1));
        let unknown = r#"{"tool_name":"t","code":"x"}"#.to_owned();
        let twice = r#"{"tool_name":"t","kwargs":{"a":1,"a":2}}"#.to_owned();
        for body in [deep, long, unknown, twice] {
            assert!(matches!(check(&body), Err(Fault::Refused(..))), "{body}");
        }
    }

    #[test]
    fn the_key_says_which_side_it_is_for() {
        for (key, test) in
            [("arden_test_0f", true), ("test_0f", true), ("arden_live_0f", false), ("pct_test_", false), ("", false)]
        {
            assert_eq!(Environment::of(key) == Environment::Test, test, "{key}");
        }
    }

    #[test]
    fn ids_have_one_form() {
        assert!(id("9c2e4f60-2d1b-4b57-8d0a-3f5b7c1e9a10").is_some());
        for other in ["", "x", "9C2E4F60-2d1b-4b57-8d0a-3f5b7c1e9a10", "9c2e4f602d1b4b578d0a3f5b7c1e9a10", "../x"] {
            assert!(id(other).is_none(), "{other}");
        }
    }
}
