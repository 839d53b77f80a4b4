//! The description of the API, made from the table of routes and the list of fields that the door itself reads.

use std::sync::OnceLock;

use bytes::Bytes;
use hyper::Response;
use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::routes::{Access, Operation, ROUTES, Route};
use super::{JSON, MAX_BODY};
use crate::doors::inspect::MAX_BATCH;
use crate::doors::inspect::question::{FIELDS, MAX_NAME, MAX_PERSONA, MAX_TASK, MAX_TOOL, MAX_WAIT_MS};
use crate::http::{Body, Reply};

pub(super) fn reply() -> Reply {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| Bytes::from(document().to_string()));
    let mut reply = Response::new(Body::Whole(text.clone()));
    reply.headers_mut().insert(CONTENT_TYPE, JSON.clone());
    reply
}

/// The whole document, OpenAPI 3.1.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Ask for verdicts on tool calls; read the ledger; decide parked calls. Every response carries \
                            x-portcullis-id and x-portcullis-mode.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut out = json!({
        "operationId": format!("{:?}", route.operation),
        "summary": route.summary,
        "parameters": parameters(route.operation),
        "responses": responses(route),
        "security": if route.access == Access::Open { json!([]) } else { json!([{ "token": [] }]) },
    });
    if let (Some(schema), Some(out)) = (request(route.operation), out.as_object_mut()) {
        let form = matches!(route.operation, Operation::DecideByLink | Operation::SlackInteraction);
        let media = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        let empty = [Operation::ActivateKept, Operation::Rollback, Operation::Promote, Operation::DropCandidate];
        let required = !empty.contains(&route.operation);
        let body = json!({ "required": required, "content": { (media): { "schema": schema } } });
        out.insert("requestBody".to_owned(), body);
    }
    out
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn request(operation: Operation) -> Option<Value> {
    match operation {
        Operation::Inspect => Some(reference("Question")),
        Operation::InspectBatch => Some(reference("Questions")),
        Operation::Decide => Some(reference("Decision")),
        Operation::DecideMany => Some(reference("Decisions")),
        Operation::Comment => Some(reference("Comment")),
        Operation::Modify => Some(reference("Modification")),
        Operation::AcceptPin => Some(reference("Acceptance")),
        Operation::DecideByLink => Some(reference("LinkDecision")),
        Operation::SlackInteraction => Some(object(&[("payload", typed("string"))])),
        Operation::ReplacePolicy => Some(reference("PolicyChange")),
        Operation::ActivateKept | Operation::Rollback => Some(reference("Step")),
        Operation::Promote => Some(reference("Promotion")),
        Operation::DropCandidate => Some(reference("CandidateStep")),
        _ => None,
    }
}

/// The schema of the answer with status 200 and its media type.
fn answer(operation: Operation) -> (&'static str, Value) {
    let schema = match operation {
        Operation::Inspect => reference("Answer"),
        Operation::InspectBatch => reference("Answers"),
        Operation::LedgerEntries => object(&[("entries", list("Row")), ("next", optional("integer"))]),
        Operation::LedgerEntry => reference("Row"),
        Operation::LedgerAnswers => object(&[("digest", typed("string")), ("told", typed("string"))]),
        Operation::LedgerHead => {
            object(&[("tenant", typed("string")), ("seq", optional("integer")), ("hash", optional("string"))])
        }
        Operation::LedgerVerify => reference("Report"),
        Operation::Plugins => {
            object(&[("generation", optional("string")), ("mode", optional("string")), ("plugins", list("Plugin"))])
        }
        Operation::Generations | Operation::Activate => {
            let preparing = json!({ "oneOf": [reference("Preparing"), typed("null")] });
            object(&[("generations", list("Generation")), ("preparing", preparing)])
        }
        Operation::History => object(&[("history", list("PastGeneration"))]),
        Operation::Generation => reference("PastGeneration"),
        Operation::Difference => reference("Difference"),
        Operation::Trial => reference("Trial"),
        Operation::DropCandidate => object(&[("dropped", typed("string"))]),
        Operation::ActivateKept | Operation::Rollback | Operation::Promote => {
            object(&[("from", typed("string")), ("to", typed("string")), ("generations", list("Generation"))])
        }
        Operation::Approvals => object(&[("approvals", list("Approval")), ("version", typed("integer"))]),
        Operation::Approval
        | Operation::Decide
        | Operation::Claim
        | Operation::Unclaim
        | Operation::Comment
        | Operation::Modify => reference("Approval"),
        Operation::DecideMany => object(&[("results", list("Decided"))]),
        Operation::Arguments => json!({ "description": "the arguments, as the agent sent them" }),
        Operation::Outbox => object(&[
            ("messages", list("Message")),
            ("waiting", typed("integer")),
            ("dead", typed("integer")),
            ("lost", typed("integer")),
        ]),
        Operation::RetryMessage => reference("Message"),
        Operation::DecisionPage | Operation::DecideByLink => return ("text/html", typed("string")),
        Operation::SlackInteraction => object(&[("text", typed("string"))]),
        Operation::Pins => object(&[("pins", list("Pin")), ("next", optional("string"))]),
        Operation::Pin | Operation::AcceptPin => reference("Pin"),
        Operation::Policies => object(&[("policies", list("Policies"))]),
        Operation::Policy | Operation::ReplacePolicy => reference("Policies"),
        Operation::Events => return ("text/event-stream", typed("string")),
        Operation::Health => object(&[("status", typed("string"))]),
        Operation::Ready => reference("Readiness"),
        Operation::Metrics => return ("application/openmetrics-text", typed("string")),
        Operation::OpenApi => typed("object"),
    };
    ("application/json", schema)
}

fn responses(route: &Route) -> Value {
    let (media, schema) = answer(route.operation);
    let mut out = Map::new();
    let mut insert = |status: &str, description: &str, media: &str, schema: &Value| {
        let content = json!({ (media): { "schema": schema } });
        out.insert(status.to_owned(), json!({ "description": description, "content": content }));
    };
    insert("200", "done", media, &schema);
    if route.operation == Operation::Ready {
        insert("503", "not ready, and why", media, &schema);
    }
    if matches!(route.operation, Operation::DecisionPage | Operation::DecideByLink) {
        for (status, description) in
            [("404", "not a link of this server"), ("410", "expired, used or decided: nothing has changed")]
        {
            insert(status, description, media, &schema);
        }
    }
    if route.operation == Operation::DecideByLink {
        for (status, description) in [
            ("400", "neither approve nor deny"),
            ("409", "another answer is being recorded"),
            ("503", "the ledger cannot be written: nothing has changed"),
        ] {
            insert(status, description, media, &schema);
        }
    }
    for (status, description) in errors(route) {
        insert(status, description, "application/json", &reference("Error"));
    }
    Value::Object(out)
}

fn errors(route: &Route) -> Vec<(&'static str, &'static str)> {
    let mut errors = vec![("403", "not allowed to this caller, host or origin")];
    if route.access != Access::Open {
        errors.extend([("400", "malformed"), ("401", "no valid credential")]);
    }
    match route.operation {
        Operation::Inspect | Operation::InspectBatch => errors.extend([
            ("408", "the body did not arrive in time"),
            ("409", "the id was used for another request, or its approval by another call"),
            ("413", "larger than allowed"),
            ("415", "not JSON, or compressed"),
            ("429", "over a rate limit; see Retry-After"),
            ("503", "the ledger cannot be written, or too much work at once: nothing was allowed"),
        ]),
        Operation::DecideMany => errors.extend([
            ("413", "larger than allowed"),
            ("415", "not JSON, or compressed"),
            ("503", "the ledger cannot be written"),
        ]),
        Operation::Arguments => errors.extend([
            ("404", "no such approval"),
            ("409", "decided already, or nobody may change it"),
            ("503", "the ledger cannot be read"),
        ]),
        Operation::Modify => errors.extend([
            ("404", "no such approval"),
            ("409", "decided already, or nobody may change it"),
            ("413", "larger than allowed"),
            ("415", "not JSON, or compressed"),
            ("422", "policy refuses the changed call; nothing has changed"),
            ("503", "the ledger cannot be written: nothing has changed"),
        ]),
        Operation::Decide | Operation::Claim | Operation::Unclaim | Operation::Comment => errors.extend([
            ("404", "no such approval"),
            ("409", "decided already, or claimed by another"),
            ("413", "larger than allowed"),
            ("415", "not JSON, or compressed"),
            ("503", "the ledger cannot be written: nothing has changed"),
        ]),
        Operation::AcceptPin => errors.extend([
            ("404", "no such pin"),
            ("409", "another definition waits, or none; nothing has changed"),
            ("413", "larger than allowed"),
            ("415", "not JSON, or compressed"),
            ("503", "the ledger cannot be written: nothing has changed"),
        ]),
        Operation::RetryMessage => errors.push(("404", "no such message")),
        Operation::SlackInteraction => errors.extend([
            ("400", "no pressed button"),
            ("401", "not signed, or not now"),
            ("404", "no channels here"),
            ("413", "larger than allowed"),
        ]),
        Operation::ReplacePolicy => errors.extend([
            ("404", "no plugin of this name that takes policies"),
            ("409", "others are in force than those to be replaced"),
            ("413", "larger than allowed"),
            ("415", "not JSON, or compressed"),
            ("422", "the policies are wrong; nothing has changed"),
            ("503", "they could not be recorded: nothing has changed"),
        ]),
        Operation::Activate => errors.extend([
            ("422", "the configuration is wrong; nothing has changed"),
            ("503", "a reload is running, or it could not be put into effect"),
        ]),
        Operation::ActivateKept | Operation::Rollback => errors.extend([
            ("404", "no generation of this name is kept"),
            ("409", "it is in force already, there is none before it, or another one is in force than was said"),
            ("503", "another change is running, or this one could not be recorded: nothing has changed"),
        ]),
        Operation::Trial => errors.push(("404", "no generation is tried")),
        Operation::Promote | Operation::DropCandidate => errors.extend([
            ("409", "no generation is tried, or another one than was named"),
            ("503", "another change is running, or this one could not be recorded: nothing has changed"),
        ]),
        Operation::Difference => {
            errors.extend([("404", "one of them is not kept"), ("409", "there is none before the present one")]);
        }
        Operation::Approval | Operation::Pin | Operation::Policy | Operation::LedgerEntry | Operation::Generation => {
            errors.push(("404", "there is nothing of this name"))
        }
        Operation::LedgerAnswers => errors.extend([
            ("404", "nothing of this digest is kept, or no longer"),
            ("503", "the ledger cannot be read, or what it holds has another digest"),
        ]),
        Operation::LedgerVerify | Operation::Events => errors.push(("503", "busy")),
        _ => {}
    }
    errors
}

fn parameters(operation: Operation) -> Value {
    let query = |name: &str, schema: Value| json!({ "name": name, "in": "query", "required": false, "schema": schema });
    let path = |name: &str, schema: Value| json!({ "name": name, "in": "path", "required": true, "schema": schema });
    let limit = |most: u64| query("limit", json!({ "type": "integer", "minimum": 1, "maximum": most, "default": 100 }));
    let wait = || query("wait_ms", json!({ "type": "integer", "minimum": 0, "maximum": 60_000, "default": 0 }));
    match operation {
        Operation::LedgerEntries => json!([query("from", json!({ "type": "integer", "minimum": 0 })), limit(1000)]),
        Operation::LedgerAnswers => json!([path("digest", typed("string"))]),
        Operation::LedgerEntry => json!([path("seq", json!({ "type": "integer", "minimum": 0 }))]),
        Operation::Approvals => {
            let states = ["pending", "approved", "denied", "expired", "cancelled"];
            json!([
                query("state", json!({ "type": "string", "enum": states })),
                query("before", json!({ "type": "string", "format": "uuid" })),
                query("agent", typed("string")),
                query("upstream", typed("string")),
                query("tool", typed("string")),
                query("session", typed("string")),
                query("reason", json!({ "type": "string", "description": "code of a reason it was parked for" })),
                query("claimed_by", typed("string")),
                query("mine", json!({ "type": "boolean", "description": "those that this operator is asked about" })),
                query("version", json!({ "type": "integer", "description": "of the last answer, with wait_ms" })),
                wait(),
                limit(500),
            ])
        }
        Operation::Pins => {
            let states = ["pinned", "changed", "new"];
            json!([
                query("state", json!({ "type": "string", "enum": states })),
                query("after", typed("string")),
                limit(1000),
            ])
        }
        Operation::Outbox => json!([
            query("state", json!({ "type": "string", "enum": ["waiting", "dead"] })),
            query("before", json!({ "type": "string", "format": "uuid" })),
            limit(500),
        ]),
        Operation::DecisionPage | Operation::DecideByLink => json!([path("link", typed("string"))]),
        Operation::Pin | Operation::AcceptPin => json!([path("id", typed("string"))]),
        Operation::Generation | Operation::ActivateKept => json!([path("id", typed("string"))]),
        Operation::Difference => json!([query("from", typed("string")), query("to", typed("string"))]),
        Operation::Policy | Operation::ReplacePolicy => json!([path("plugin", typed("string"))]),
        Operation::Approval => json!([path("id", json!({ "type": "string", "format": "uuid" })), wait()]),
        Operation::Decide
        | Operation::RetryMessage
        | Operation::Arguments
        | Operation::Modify
        | Operation::Claim
        | Operation::Unclaim
        | Operation::Comment => json!([path("id", json!({ "type": "string", "format": "uuid" }))]),
        _ => json!([]),
    }
}

fn typed(kind: &str) -> Value {
    json!({ "type": kind })
}

fn optional(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn list(name: &str) -> Value {
    json!({ "type": "array", "items": reference(name) })
}

fn object(properties: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "properties": properties })
}

/// The schema of one field of a question. A field without one here would be described as anything.
fn field(name: &str) -> Value {
    let text = |most: usize| json!({ "type": "string", "maxLength": most });
    match name {
        "tool" => json!({ "type": "string", "minLength": 1, "maxLength": MAX_TOOL }),
        "phase" => json!({ "type": "string", "enum": ["call", "result", "listing", "message"], "default": "call" }),
        "session" | "upstream" => text(MAX_NAME),
        "task" => text(MAX_TASK),
        "persona" => text(MAX_PERSONA),
        "id" => json!({ "type": "string", "format": "uuid" }),
        "wait_ms" => json!({ "type": "integer", "minimum": 0, "maximum": MAX_WAIT_MS, "default": 0 }),
        "explain" => json!({ "type": "boolean", "default": false }),
        _ => json!({}),
    }
}

fn question() -> Value {
    let mut properties = Map::new();
    for (name, description) in FIELDS {
        let mut schema = field(name);
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), (*description).into());
        }
        properties.insert((*name).to_owned(), schema);
    }
    json!({
        "type": "object",
        "description": format!("At most {MAX_BODY} bytes, 64 levels, no member twice."),
        "properties": properties,
        "required": ["tool"],
        "additionalProperties": false,
    })
}

fn schemas() -> Value {
    let verdict = json!({ "type": "string", "enum": ["allow", "redact", "review", "deny"] });
    let mode = json!({ "type": "string", "enum": ["enforce", "observe"] });
    let span = object(&[("pointer", typed("string")), ("start", typed("integer")), ("end", typed("integer"))]);
    let entry = object(&[("seq", typed("integer")), ("hash", typed("string"))]);
    let mut all = json!({
        "Question": question(),
        "Questions": {
            "type": "object",
            "properties": {
                "calls": { "type": "array", "items": reference("Question"), "minItems": 1, "maxItems": MAX_BATCH },
            },
            "required": ["calls"],
            "additionalProperties": false,
        },
        "Answer": object(&[
            ("id", json!({ "type": "string", "format": "uuid" })),
            ("verdict", verdict.clone()),
            ("mode", mode.clone()),
            ("reasons", list("Reason")),
            ("findings", list("Finding")),
            ("arguments", json!({ "description": "what to use instead, if the verdict on a call is redact" })),
            ("content", json!({ "description": "what to use instead, if the verdict in another phase is redact" })),
            ("approval", json!({ "oneOf": [reference("Approval"), { "type": "null" }] })),
            ("generation", typed("string")),
            ("entry", entry),
            ("plugins", list("PluginRun")),
        ]),
        "Answers": object(&[("verdict", verdict), ("results", list("Answer"))]),
        "Reason": object(&[("code", typed("string")), ("message", typed("string")), ("plugin", typed("string"))]),
        "Finding": object(&[
            ("category", typed("string")),
            ("score", typed("number")),
            ("message", typed("string")),
            ("plugin", typed("string")),
            ("spans", json!({ "type": "array", "items": span })),
        ]),
        "PluginRun": object(&[
            ("name", typed("string")),
            ("digest", typed("string")),
            ("fuel", typed("integer")),
            ("micros", typed("integer")),
            ("fault", typed("string")),
            ("answers", json!({ "type": "string", "description": "SHA-256 over what was answered from outside" })),
        ]),
        "Approval": object(&[
            ("id", json!({ "type": "string", "format": "uuid" })),
            ("state", json!({ "type": "string", "enum": ["pending", "approved", "denied", "expired", "cancelled"] })),
            ("deadline", json!({ "type": "string", "format": "date-time" })),
            ("poll", typed("string")),
            ("required", typed("integer")),
            ("reasons", list("Reason")),
        ]),
        "Decision": {
            "type": "object",
            "properties": {
                "decision": { "type": "string", "enum": ["approve", "deny"] },
                "comment": { "type": "string", "maxLength": portcullis_approvals::MAX_COMMENT },
                "digest": { "type": "string", "description": "of the call that was shown; needed once it was changed" },
            },
            "required": ["decision"],
            "additionalProperties": false,
        },
        "Decisions": {
            "type": "object",
            "properties": {
                "decisions": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 100,
                    "items": {
                        "type": "object",
                        "properties": {
                            "id": { "type": "string", "format": "uuid" },
                            "decision": { "type": "string", "enum": ["approve", "deny"] },
                            "comment": { "type": "string", "maxLength": portcullis_approvals::MAX_COMMENT },
                            "digest": { "type": "string", "description": "of the call that was shown; needed once it was changed" },
                        },
                        "required": ["id", "decision"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["decisions"],
            "additionalProperties": false,
        },
        "Decided": object(&[
            ("id", json!({ "type": "string", "format": "uuid" })),
            ("approval", reference("Approval")),
            ("status", json!({ "type": "integer", "description": "if the decision does not count" })),
            ("error", object(&[("code", typed("string")), ("message", typed("string")), ("hint", typed("string"))])),
        ]),
        "Comment": {
            "type": "object",
            "properties": { "comment": { "type": "string", "maxLength": portcullis_approvals::MAX_COMMENT } },
            "required": ["comment"],
            "additionalProperties": false,
        },
        "Modification": {
            "type": "object",
            "properties": {
                "changes": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": portcullis_approvals::MAX_CHANGES,
                    "items": {
                        "type": "object",
                        "properties": {
                            "pointer": { "type": "string", "description": "RFC 6901, into the arguments" },
                            "value": { "type": ["string", "number", "boolean"], "description": "of the same type" },
                        },
                        "required": ["pointer", "value"],
                        "additionalProperties": false,
                    },
                },
                "comment": { "type": "string", "maxLength": portcullis_approvals::MAX_COMMENT },
            },
            "required": ["changes"],
            "additionalProperties": false,
        },
        "LinkDecision": {
            "type": "object",
            "properties": {
                "decision": { "type": "string", "enum": ["approve", "deny"] },
                "comment": { "type": "string", "maxLength": portcullis_approvals::MAX_COMMENT },
            },
            "required": ["decision"],
        },
        "Message": object(&[
            ("id", json!({ "type": "string", "format": "uuid" })),
            ("channel", typed("string")),
            ("kind", json!({ "type": "string", "enum": ["parked", "escalated", "modified", "decided"] })),
            ("approval", json!({ "type": "string", "format": "uuid" })),
            ("state", json!({ "type": "string", "enum": ["waiting", "dead"] })),
            ("attempts", typed("integer")),
            ("created", json!({ "type": "string", "format": "date-time" })),
            ("next", json!({ "type": ["string", "null"], "format": "date-time" })),
            ("problem", optional("string")),
        ]),
        "Acceptance": {
            "type": "object",
            "properties": { "digest": { "type": "string", "description": "of the definition that waits" } },
            "required": ["digest"],
            "additionalProperties": false,
        },
        "Policies": object(&[
            ("plugin", typed("string")),
            ("digest", typed("string")),
            ("by", optional("string")),
            ("at_ms", optional("integer")),
            ("policies", json!({ "type": "array", "items": { "type": "object" } })),
        ]),
        "PolicyChange": {
            "type": "object",
            "properties": {
                "policies": { "type": ["array", "null"], "description": "null: those of the configuration" },
                "replaces": { "type": "string", "description": "only if the present ones have this digest" },
            },
            "required": ["policies"],
            "additionalProperties": false,
        },
        "Pin": object(&[
            ("id", typed("string")),
            ("plugin", typed("string")),
            ("upstream", typed("string")),
            ("tool", typed("string")),
            ("state", json!({ "type": "string", "enum": ["pinned", "changed", "new"] })),
            ("listed_ms", typed("integer")),
            ("vanished", typed("boolean")),
            ("pinned", json!({ "oneOf": [reference("PinDefinition"), { "type": "null" }] })),
            ("pending", json!({ "oneOf": [reference("PinDefinition"), { "type": "null" }] })),
        ]),
        "PinDefinition": object(&[
            ("digest", typed("string")),
            ("at_ms", typed("integer")),
            ("by", typed("string")),
            ("kept", json!({ "type": "string", "enum": ["whole", "texts", "members", "nothing"] })),
            ("definition", json!({ "description": "of one pin only, not in lists" })),
            ("changes", json!({ "type": "array", "items": object(&[
                ("at", typed("string")), ("from", optional("string")), ("to", optional("string")),
            ]) })),
            ("more", typed("integer")),
        ]),
        "Row": object(&[("seq", typed("integer")), ("hash", typed("string")), ("entry", typed("object"))]),
        "Report": object(&[
            ("tenant", optional("string")),
            ("first_seq", typed("integer")),
            ("entries", typed("integer")),
            ("bytes", typed("integer")),
            ("head", optional("object")),
            ("head_checked", typed("boolean")),
            ("fault", json!({})),
            ("valid", typed("boolean")),
        ]),
        "Generation": object(&[
            ("tenant", typed("string")),
            ("generation", typed("string")),
            ("mode", mode),
            ("configured", typed("string")),
            ("activated_ms", typed("integer")),
            ("by", typed("string")),
            ("why", typed("string")),
            ("candidate", json!({ "oneOf": [reference("Candidate"), { "type": "null" }] })),
            ("plugins", list("Plugin")),
        ]),
        "Candidate": object(&[
            ("generation", typed("string")),
            ("standing", json!({ "type": "string", "enum": ["shadow", "canary", "withdrawn"] })),
        ]),
        "Promotion": {
            "type": "object",
            "properties": {
                "candidate": { "type": "string", "description": "only if this one is tried" },
                "withdrawn": { "type": "boolean", "description": "also if it was withdrawn by its bounds" },
            },
            "additionalProperties": false,
        },
        "CandidateStep": {
            "type": "object",
            "properties": { "candidate": { "type": "string", "description": "only if this one is tried" } },
            "additionalProperties": false,
        },
        "PastGeneration": object(&[
            ("generation", typed("string")),
            ("current", typed("boolean")),
            ("configured", typed("boolean")),
            ("activated_ms", typed("integer")),
            ("by", typed("string")),
            ("why", json!({ "type": "string", "enum": ["start", "reload", "policies", "activate", "rollback", "promote"] })),
            ("from", optional("string")),
            ("plugins", list("Plugin")),
        ]),
        "Difference": object(&[
            ("from", typed("string")),
            ("to", typed("string")),
            ("changes", list("Changed")),
            ("plugins", json!({ "type": "array", "items": object(&[
                ("plugin", typed("string")),
                ("what", json!({ "type": "string", "enum": ["added", "removed", "changed"] })),
                ("changes", list("Changed")),
                ("more", typed("integer")),
            ]) })),
        ]),
        "Changed": object(&[("at", typed("string")), ("from", json!({})), ("to", json!({}))]),
        "Step": {
            "type": "object",
            "properties": { "from": { "type": "string", "description": "only if this one is in force" } },
            "additionalProperties": false,
        },
        "Plugin": object(&[
            ("name", typed("string")),
            ("role", typed("string")),
            ("digest", typed("string")),
            ("tier", typed("string")),
            ("prepared", typed("string")),
            ("on_failure", typed("string")),
            ("calls", typed("integer")),
            ("faults", typed("integer")),
            ("last_fault", optional("string")),
            ("quarantined", typed("boolean")),
            ("quarantines", typed("integer")),
            ("skipped", typed("integer")),
        ]),
        "Readiness": object(&[
            ("ready", typed("boolean")),
            ("problems", json!({ "type": "array", "items": { "type": "string" } })),
            ("ledger", typed("object")),
            ("generations", json!({ "type": "array", "items": { "type": "object" } })),
            ("plugin_faults", json!({ "type": "array", "items": { "type": "object" } })),
            ("preparing", json!({ "oneOf": [reference("Preparing"), typed("null")] })),
            ("approvals_pending", typed("integer")),
        ]),
        "Error": object(&[
            ("error", object(&[("code", typed("string")), ("message", typed("string")), ("hint", typed("string"))])),
            ("id", optional("string")),
        ]),
    });
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), of_trials()) {
        all.extend(more);
    }
    all
}

/// What is said of generations that are tried or prepared.
fn of_trials() -> Value {
    json!({
        "Trial": object(&[
            ("generation", typed("string")),
            ("beside", typed("string")),
            ("standing", json!({ "type": "string", "enum": ["shadow", "canary", "withdrawn"] })),
            ("trial", object(&[
                ("shadow", typed("number")),
                ("canary", typed("number")),
                ("canary_agents", json!({ "type": "array", "items": typed("string") })),
                ("bounds", object(&[
                    ("min_calls", typed("integer")),
                    ("window_ms", typed("integer")),
                    ("max_trap_rate", optional("number")),
                    ("max_deadline_rate", optional("number")),
                    ("max_latency_ratio", optional("number")),
                    ("max_p99_ms", optional("integer")),
                    ("max_deny_drift", optional("number")),
                ])),
                ("outside", json!({ "type": "string", "enum": ["send"], "description": "only if it is not refused" })),
            ])),
            ("evidence", json!({ "oneOf": [reference("Evidence"), typed("null")] })),
            ("canary", reference("Figures")),
            ("live", reference("Figures")),
            ("report", reference("ShadowReport")),
            ("plugins", list("Plugin")),
        ]),
        "Evidence": object(&[
            ("bound", typed("string")),
            ("allowed", typed("number")),
            ("seen", typed("number")),
            ("candidate", reference("Figures")),
            ("live", reference("Figures")),
        ]),
        "Figures": object(&["calls", "traps", "deadlines", "denied", "mean_us", "p50_us", "p99_us"].map(|name| (name, typed("integer")))),
        "ShadowReport": object(&[
            ("sampled", typed("integer")),
            ("judged", typed("integer")),
            ("unsent", json!({ "type": "integer", "description": "judged, but not compared: a question outside was not sent" })),
            ("dropped", typed("integer")),
            ("changed", typed("integer")),
            ("failed", typed("integer")),
            ("tools", json!({ "type": "array", "items": object(&[
                ("tool", typed("string")),
                ("calls", typed("integer")),
                ("unsent", typed("integer")),
                ("changes", json!({ "type": "array", "items": object(&[
                    ("from", typed("string")), ("to", typed("string")), ("calls", typed("integer")),
                ]) })),
                ("live", reference("ShadowSide")),
                ("candidate", reference("ShadowSide")),
            ]) })),
            ("examples", json!({ "type": "array", "items": object(&[
                ("id", typed("string")),
                ("time_ms", typed("integer")),
                ("agent", typed("string")),
                ("tool", typed("string")),
                ("phase", typed("string")),
                ("live", reference("ShadowVerdict")),
                ("candidate", reference("ShadowVerdict")),
            ]) })),
        ]),
        "ShadowSide": object(&["failed", "fuel_mean", "fuel_max", "mean_us", "p99_us", "max_us"].map(|name| (name, typed("integer")))),
        "ShadowVerdict": object(&[
            ("verdict", typed("string")),
            ("reasons", json!({ "type": "array", "items": typed("string") })),
            ("faults", json!({ "type": "array", "items": typed("string") })),
        ]),
        "Preparing": object(&[
            ("since_ms", typed("integer")),
            ("took_ms", typed("integer")),
            ("phase", json!({ "type": "string", "enum": ["reading", "fetching", "verifying", "compiling", "warming", "activating"] })),
            ("phase_ms", typed("integer")),
            ("tenant", optional("string")),
            ("plugin", optional("string")),
            ("number", typed("integer")),
            ("of", typed("integer")),
        ]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_once() {
        let document = document();
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
        assert_eq!(described, ROUTES.len());
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            assert_eq!(operation["summary"], route.summary);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn typed_fields_of_a_question_have_their_schema() {
        for (name, _) in FIELDS.iter().filter(|(name, _)| !["arguments", "content"].contains(name)) {
            assert!(field(name).get("type").is_some(), "{name}");
        }
    }
}
