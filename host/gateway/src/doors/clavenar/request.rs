//! What a request asks: which contract, which calls.

use std::collections::HashSet;
use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName};
use portcullis_model::{Call, Digest, Document, Kind, Phase, Value};
use uuid::Uuid;

use super::{DECISION, EXECUTION, IDEMPOTENCY, LEGACY};
use crate::gate::now_ms;
use crate::ports::AgentIdentity;

const DECISION_CONTRACT: &str = "clavenar.decision/v1";
const EXECUTION_CONTRACT: &str = "clavenar.server-execution/v1";
/// How calls of tools are sent one by one.
const TOOL_METHODS: &[&str] = &["tools/call", "call_tool"];
/// How the SDKs send the calls of one turn of a model: all of them run or none.
const BATCH_METHOD: &str = "clavenar/tools.batch";
const BATCH_TOOL: &str = "clavenar.atomic-batch";
const BATCH_CONTRACT: &str = "clavenar.atomic-tool-call-batch/v1";
/// Calls of one batch.
const MAX_BATCH: usize = 128;
/// Bytes of a tool's name and of a call's id.
const MAX_NAME: usize = 1024;
/// What MCP clients say beside calls; every notification, too.
const CONTROL: &[&str] = &["initialize", "initialized", "tools/list", "resources/list", "prompts/list", "ping"];

/// The contract that the headers choose, with the caller's id of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// Decide, forward nothing.
    Decision(Uuid),
    /// Decide, then run it once.
    Execution(Uuid),
}

/// What is wrong with the headers that choose, or with what they choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Of the decision contract.
    Invalid,
    /// The decision contract is for tools.
    ToolRequired,
    /// Of the contract of server execution.
    ExecutionInvalid,
    /// Both contracts at once.
    ExecutionConflict,
    /// The contract of server execution is for one tool.
    ExecutionToolRequired,
}

/// Whether any header of the contract is there: then the MCP door is not meant.
pub(super) fn selects(headers: &HeaderMap) -> bool {
    [DECISION, EXECUTION, LEGACY, IDEMPOTENCY].iter().any(|name| headers.contains_key(name))
}

/// Which contract the headers choose, if any.
pub(super) fn selected(headers: &HeaderMap) -> Result<Option<Selected>, Problem> {
    let (decision, execution) = (headers.contains_key(DECISION), headers.contains_key(EXECUTION));
    let id = || only(headers, &IDEMPOTENCY).and_then(canonical);
    match (decision, execution) {
        _ if headers.contains_key(LEGACY) => Err(Problem::Invalid),
        (true, true) => Err(Problem::ExecutionConflict),
        (true, false) if only(headers, &DECISION) == Some(DECISION_CONTRACT) => {
            id().map(|id| Some(Selected::Decision(id))).ok_or(Problem::Invalid)
        }
        (false, true) if only(headers, &EXECUTION) == Some(EXECUTION_CONTRACT) => {
            id().map(|id| Some(Selected::Execution(id))).ok_or(Problem::ExecutionInvalid)
        }
        (true, false) => Err(Problem::Invalid),
        (false, true) => Err(Problem::ExecutionInvalid),
        (false, false) if headers.contains_key(IDEMPOTENCY) => Err(Problem::Invalid),
        (false, false) => Ok(None),
    }
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none());
    value.and_then(|value| value.to_str().ok())
}

/// A UUID in the one form that ids are written in.
pub(super) fn canonical(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|id| id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text)
}

/// Whether a message is one that MCP clients send beside calls.
pub(super) fn is_control(body: &Document) -> Result<bool, String> {
    let method = method(body)?;
    Ok(CONTROL.contains(&method) || method.starts_with("notifications/"))
}

fn method(body: &Document) -> Result<&str, String> {
    let method = body.root().get("method").and_then(Value::as_str).filter(|method| !method.is_empty());
    method.ok_or_else(|| "the body must be an object with a method".to_owned())
}

/// The calls of one request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// All of them as one: what a person approves.
    pub(super) whole: Call,
    /// Each under its own name with its own arguments; none in a message that is no call.
    pub(super) calls: Vec<Call>,
    /// Of the sender and the body.
    pub(super) digest: Digest,
}

impl Asked {
    /// Reads a message; what is wrong with it otherwise. `id` is the correlation id of all its calls.
    pub(super) fn read(body: &Document, agent: &AgentIdentity, id: Uuid) -> Result<Self, String> {
        let method = method(body)?;
        let params = body.root().get("params");
        let name = params.and_then(|params| params.get("name")).and_then(Value::as_str);
        let tool = name.unwrap_or(method);
        let call = |tool: &str, payload: Document| Call {
            id,
            phase: Phase::Call,
            tenant: Arc::clone(&agent.tenant),
            agent: Arc::clone(&agent.name),
            session: None,
            persona: agent.persona.clone(),
            task: None,
            upstream: None,
            tool: tool.into(),
            payload: Arc::new(payload),
            time_ms: now_ms(),
            attached: None,
        };
        let arguments = params.and_then(|params| params.get("arguments"));
        let digest = body.digest();
        let digest = Digest::of_parts([&b"portcullis clavenar 1"[..], agent.name.as_bytes(), &digest.0]);
        if is_control(body)? {
            return Ok(Self { whole: call(method, Document::empty()), calls: Vec::new(), digest });
        }
        if method == BATCH_METHOD || tool == BATCH_TOOL {
            let arguments = arguments.ok_or("a batch has arguments")?;
            // What nobody judges, nobody may run.
            if params.is_some_and(|params| !only_members(params, &["name", "arguments", "_meta"]))
                || !only_members(arguments, &["contract", "calls"])
            {
                return Err(
                    "a batch has name, arguments and _meta, and its arguments contract and calls: no more".to_owned()
                );
            }
            let calls = batch(arguments)?.into_iter().map(|(name, arguments)| call(name, payload(arguments)));
            return Ok(Self { whole: call(BATCH_TOOL, arguments.to_document()), calls: calls.collect(), digest });
        }
        let named = params.filter(|params| params.get("name").is_some());
        let payload = match named {
            // What nobody judges, nobody may run.
            Some(params) if !only_members(params, &["name", "arguments", "_meta"]) => {
                return Err("params has members beside name, arguments and _meta".to_owned());
            }
            Some(_) => payload(arguments),
            // What is no tool call has no arguments: all its parameters are what may be wrong with it.
            None => payload(params),
        };
        let unnamed = (named.is_some() || TOOL_METHODS.contains(&method)) && name.is_none();
        if unnamed || !(1..=MAX_NAME).contains(&tool.len()) {
            return Err(format!("the name of a tool is a string of 1 to {MAX_NAME} bytes"));
        }
        let one = call(tool, payload);
        Ok(Self { whole: one.clone(), calls: vec![one], digest })
    }
}

/// Whether an object has no other members than these.
fn only_members(object: Value<'_>, names: &[&str]) -> bool {
    object.members().all(|member| member.name().is_some_and(|name| names.contains(&name)))
}

/// Names and arguments of the calls of a batch.
fn batch(arguments: Value<'_>) -> Result<Vec<(&str, Option<Value<'_>>)>, String> {
    if arguments.get("contract").and_then(Value::as_str) != Some(BATCH_CONTRACT) {
        return Err(format!("the contract of a batch is {BATCH_CONTRACT}"));
    }
    let calls = arguments.get("calls").filter(|calls| calls.kind() == Kind::Array);
    let calls: Vec<_> = calls.ok_or("a batch has an array of calls")?.items().take(MAX_BATCH + 1).collect();
    if !(1..=MAX_BATCH).contains(&calls.len()) {
        return Err(format!("a batch has 1 to {MAX_BATCH} calls"));
    }
    let mut ids = HashSet::new();
    let mut all = Vec::with_capacity(calls.len());
    for (index, call) in calls.into_iter().enumerate() {
        let text = |key: &str| {
            let text = call.get(key).and_then(Value::as_str).filter(|text| (1..=MAX_NAME).contains(&text.len()));
            text.ok_or_else(|| format!("calls[{index}].{key} must be a string of 1 to {MAX_NAME} bytes"))
        };
        if !only_members(call, &["id", "name", "arguments"]) || text("name")? == BATCH_TOOL {
            return Err(format!("calls[{index}] must have id, name and arguments, and be no batch"));
        }
        if !ids.insert(text("id")?) {
            return Err("two calls of a batch have the same id".to_owned());
        }
        all.push((text("name")?, call.get("arguments")));
    }
    Ok(all)
}

fn payload(arguments: Option<Value<'_>>) -> Document {
    arguments.map_or_else(Document::empty, Value::to_document)
}
