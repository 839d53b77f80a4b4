use std::sync::Arc;

use hyper::{Request, StatusCode};
use portcullis_approvals::{Message, MessageState};
use serde::Serialize;
use uuid::Uuid;

use super::{Api, Context, MAX_SMALL_BODY, check_encoding, json_value, query};
use crate::channels::Channels;
use crate::http::{ApiError, Reply, RequestBody};
use crate::ports::Owner;

/// Path below which decision links are.
pub(super) const LINKS: &str = "/v1/decisions/";

/// Most messages of one answer.
const MAX_MESSAGES: u64 = 500;
const DEFAULT_MESSAGES: u64 = 100;
/// Most bytes of an interaction: it repeats the message whose button was pressed.
const MAX_INTERACTION: usize = 64 * 1024;

#[derive(Serialize)]
struct Page<'a> {
    messages: Vec<Shown<'a>>,
    waiting: usize,
    dead: usize,
    /// Given up since the start because there was no room.
    lost: u64,
}

/// A message as operators see it.
#[derive(Serialize)]
struct Shown<'a> {
    id: Uuid,
    channel: &'a str,
    kind: &'static str,
    approval: Uuid,
    state: &'static str,
    attempts: u32,
    created: String,
    /// When it is tried again; null if it is dead.
    next: Option<String>,
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct Said<'a> {
    text: &'a str,
}

impl Api {
    pub(super) fn outbox(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let operator = context.operator()?;
        let [state, before, limit] = query::read(query, ["state", "before", "limit"])?;
        let limit = query::number("limit", limit, DEFAULT_MESSAGES, 1..=MAX_MESSAGES)?;
        let state = state.map(read_state).transpose()?;
        let before = before.map(|id| Uuid::parse_str(id).map_err(|_| unknown())).transpose()?;
        let outbox = self.gate.approvals().outbox();
        let messages = outbox.list(&operator.tenant, state, before, usize::try_from(limit).unwrap_or(0));
        let counts = outbox.counts(&operator.tenant);
        let page = Page {
            messages: messages.iter().map(|message| shown(message)).collect(),
            waiting: counts.waiting,
            dead: counts.dead,
            lost: counts.lost,
        };
        Ok(json_value(StatusCode::OK, &page))
    }

    pub(super) fn retry_message(&self, context: &Context, query: &str, id: Option<String>) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let operator = context.operator()?;
        if !operator.admin {
            let hint = "send the token of an operator with the role admin";
            return Err(ApiError::forbidden("only administrators send messages again", hint));
        }
        let id = Uuid::parse_str(id.as_deref().unwrap_or_default()).map_err(|_| unknown())?;
        let message = self.with_channels_on()?.retry(&operator.tenant, id).ok_or_else(unknown)?;
        Ok(json_value(StatusCode::OK, &shown(&message)))
    }

    pub(super) fn decision_page(&self, link: Option<String>) -> Result<Reply, ApiError> {
        Ok(self.with_channels_on()?.decision_page(link.as_deref().unwrap_or_default()))
    }

    pub(super) async fn decide_by_link(
        &self,
        request: Request<RequestBody>,
        link: Option<String>,
    ) -> Result<Reply, ApiError> {
        let channels = self.with_channels_on()?;
        let form = self.open_body(request, MAX_SMALL_BODY).await?;
        Ok(channels.decide_by_link(link.as_deref().unwrap_or_default(), &form).await)
    }

    pub(super) async fn slack_interaction(&self, request: Request<RequestBody>) -> Result<Reply, ApiError> {
        let channels = self.with_channels_on()?;
        let headers = request.headers().clone();
        let body = self.open_body(request, MAX_INTERACTION).await?;
        match channels.slack(&headers, &body).await {
            Ok(text) => Ok(json_value(StatusCode::OK, &Said { text: &text })),
            Err(StatusCode::UNAUTHORIZED) => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the request is not signed by a Slack app of a configured channel, or its time is over five minutes off",
                "check the signing secret and the clock",
            )),
            Err(_) => Err(ApiError::malformed("no pressed button of ours is in it", "see docs/channels.md")),
        }
    }

    fn with_channels_on(&self) -> Result<&Arc<Channels>, ApiError> {
        self.channels.as_ref().ok_or_else(|| ApiError::not_found("there are no channels here"))
    }

    /// A body of somebody who needs no credential: where it is large, all of them share one caller's room.
    async fn open_body(&self, request: Request<RequestBody>, limit: usize) -> Result<Vec<u8>, ApiError> {
        check_encoding(request.headers())?;
        let owner: Owner = (Arc::from(""), Arc::from(""));
        let received = self.body_room.read(request.into_body(), &owner, limit, self.body_timeout).await?;
        Ok(received.bytes)
    }
}

fn shown(message: &Message) -> Shown<'_> {
    Shown {
        id: message.id,
        channel: &message.channel,
        kind: message.kind.as_str(),
        approval: message.approval,
        state: message.state.as_str(),
        attempts: message.attempts,
        created: portcullis_approvals::time(message.created_ms),
        next: (message.state == MessageState::Waiting).then(|| portcullis_approvals::time(message.next_ms)),
        problem: message.problem.as_deref(),
    }
}

fn read_state(text: &str) -> Result<MessageState, ApiError> {
    let states = [MessageState::Waiting, MessageState::Dead];
    let found = states.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| ApiError::malformed("state is none of a message's states", "use waiting or dead"))
}

fn unknown() -> ApiError {
    ApiError::not_found("there is no such message")
}
