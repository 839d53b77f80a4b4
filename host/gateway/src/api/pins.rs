use std::str::FromStr as _;
use std::sync::Arc;

use hyper::StatusCode;
use portcullis_model::{Digest, Document, Kind};
use serde::Serialize;

use super::{Api, Context, json_value, query};
use crate::gate::{AcceptError, GateError};
use crate::http::{ApiError, Reply};
use crate::ports::{OperatorIdentity, Pin, PinError, PinState, Pins};

/// Most pins of one answer.
const MAX_PINS: u64 = 1000;
const DEFAULT_PINS: u64 = 100;

#[derive(Serialize)]
struct Page<'a> {
    pins: &'a [Pin],
    /// What to give as `after` for the next page; null at the end.
    next: Option<&'a str>,
}

impl Api {
    pub(super) async fn pins(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let operator = reader(context)?;
        let [state, after, limit] = query::read(query, ["state", "after", "limit"])?;
        let limit = query::number("limit", limit, DEFAULT_PINS, 1..=MAX_PINS)?;
        let limit = usize::try_from(limit).unwrap_or(0);
        let state = state.map(read_state).transpose()?;
        let tenant = Arc::clone(&operator.tenant);
        let mut pins = self.with_pins(move |pins| pins.list(&tenant)).await?;
        if let Some(after) = after {
            let place = pins.iter().position(|pin| pin.id == after);
            let place = place.ok_or_else(|| ApiError::malformed("after is no pin's id", "begin at the first page"))?;
            pins.drain(..=place);
        }
        pins.retain(|pin| state.is_none_or(|state| pin.state == state));
        let page = pins.get(..limit).unwrap_or(&pins);
        let next = page.last().filter(|_| page.len() < pins.len()).map(|last| last.id.as_str());
        Ok(json_value(StatusCode::OK, &Page { pins: page, next }))
    }

    pub(super) async fn pin(&self, context: &Context, query: &str, id: Option<String>) -> Result<Reply, ApiError> {
        let operator = reader(context)?;
        let [] = query::read(query, [])?;
        let (tenant, id) = (Arc::clone(&operator.tenant), id.unwrap_or_default());
        let pin = self.with_pins(move |pins| pins.get(&tenant, &id)).await?;
        Ok(json_value(StatusCode::OK, &pin.ok_or_else(|| refused(PinError::Unknown))?))
    }

    pub(super) async fn accept_pin(
        &self,
        operator: &OperatorIdentity,
        id: Option<String>,
        body: Vec<u8>,
    ) -> Result<Reply, ApiError> {
        let digest = read_digest(body)?;
        let pin =
            self.gate.accept_pin(operator, id.unwrap_or_default(), digest).await.map_err(|error| match error {
                AcceptError::Pin(error) => refused(error),
                AcceptError::Gate(error) => error.into(),
            })?;
        Ok(json_value(StatusCode::OK, &pin))
    }

    async fn with_pins<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Pins) -> Result<T, PinError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let pins = Arc::clone(self.gate.pins());
        let answer = tokio::task::spawn_blocking(move || read(&*pins)).await.map_err(|_| GateError::Failed)?;
        answer.map_err(refused)
    }
}

/// Definitions are an upstream's words: who reads them is an operator.
fn reader(context: &Context) -> Result<&OperatorIdentity, ApiError> {
    let operator = context.caller.operator.as_ref();
    operator.ok_or_else(|| ApiError::forbidden("only operators see pins", "send the token of an operator"))
}

/// Who may accept a definition: the same people who decide parked calls, and administrators.
pub(super) fn accepter(context: &Context) -> Result<&OperatorIdentity, ApiError> {
    let approves = |operator: &OperatorIdentity| operator.admin || operator.roles.iter().any(|role| role == "approver");
    context.caller.operator.as_ref().filter(|operator| approves(operator)).ok_or_else(|| {
        let hint = "send the token of an operator with the role approver or admin";
        ApiError::forbidden("only approvers and administrators accept tools", hint)
    })
}

/// `{"digest": "sha256:…"}`, nothing else.
fn read_digest(body: Vec<u8>) -> Result<Digest, ApiError> {
    const FORM: &str = "send {\"digest\":\"sha256:…\"}, the digest of the pending definition";
    let document = Document::parse(body);
    let document = document.map_err(|error| ApiError::malformed(format!("not acceptable JSON: {error}"), FORM))?;
    let root = document.root();
    if root.kind() != Kind::Object {
        return Err(ApiError::malformed("the body must be an object", FORM));
    }
    let mut digest = None;
    for field in root.members() {
        match (field.name().unwrap_or_default(), field.as_str().map(Digest::from_str)) {
            ("digest", Some(Ok(value))) => digest = Some(value),
            ("digest", _) => return Err(ApiError::malformed("digest has a wrong value", FORM)),
            _ => return Err(ApiError::malformed("unknown field", FORM)),
        }
    }
    digest.ok_or_else(|| ApiError::malformed("digest is missing", FORM))
}

fn read_state(text: &str) -> Result<PinState, ApiError> {
    match text {
        "pinned" => Ok(PinState::Pinned),
        "changed" => Ok(PinState::Changed),
        "new" => Ok(PinState::New),
        _ => Err(ApiError::malformed("state is none of a pin's states", "use pinned, changed or new")),
    }
}

fn refused(error: PinError) -> ApiError {
    let text = error.to_string();
    match error {
        PinError::Unknown => ApiError::not_found(text),
        PinError::Other => ApiError::new(StatusCode::CONFLICT, "other_definition", text, "read the pin again"),
        PinError::Unavailable(_) => ApiError::unavailable("pins_unavailable", text),
    }
}
