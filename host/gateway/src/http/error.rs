use std::borrow::Cow;

use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use super::{Body, Reply};
use crate::gate::GateError;

/// Most bytes of a message and of a hint: six times as many when escaped, and an error stays under 4 KiB.
const MAX_MESSAGE: usize = 480;
const MAX_HINT: usize = 160;

/// An error as it goes over the wire: `{"error":{"code","message","hint"},"id"}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {code}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code.
    pub code: &'static str,
    /// What happened and where.
    pub message: Cow<'static, str>,
    /// What to do.
    pub hint: Cow<'static, str>,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct Wire<'a> {
    error: WireError<'a>,
    id: Option<Uuid>,
}

/// The error itself, within limits.
#[derive(Serialize)]
pub(crate) struct WireError<'a> {
    code: &'static str,
    message: &'a str,
    hint: &'a str,
}

impl ApiError {
    /// An error with this status and code.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, message: message.into(), hint: hint.into(), retry_after_s: None }
    }

    /// 400: the request is not what it should be.
    #[must_use]
    pub fn malformed(message: impl Into<Cow<'static, str>>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message, hint)
    }

    /// 401: no credential, or one that is not known.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "no valid credential",
            "send the token of a configured agent or operator as Authorization: Bearer TOKEN",
        )
    }

    /// 403: known, but not allowed.
    #[must_use]
    pub fn forbidden(message: impl Into<Cow<'static, str>>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, hint)
    }

    /// 404: there is nothing, or nothing that this caller may see.
    #[must_use]
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, "see /v1/openapi.json for what is there")
    }

    /// 408: the body did not come in time.
    #[must_use]
    pub fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "the body did not arrive in time",
            "send the whole request at once",
        )
    }

    /// 413: larger than allowed.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is larger than {limit} bytes"),
            "send less, or in several requests",
        )
    }

    /// 400: the body broke off, or its framing is wrong.
    #[must_use]
    pub fn broken_body() -> Self {
        Self::malformed("the body ended early or its framing is wrong", "check Content-Length or the chunks")
    }

    /// The head of a request cannot be read.
    pub(super) fn bad_head(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                ("too_large", "the head of the request is too large")
            }
            _ => ("malformed", "the head of the request is not HTTP/1.1"),
        };
        Self::new(status, code, message, "the connection was closed; send a well-formed request on a new one")
    }

    /// 503: work that is not done now, and may be later.
    #[must_use]
    pub fn unavailable(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let hint = "nothing was allowed; try again, and look at /readyz if it stays";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message, hint)
    }

    /// The answer. `id` is the correlation id, if one is known.
    #[must_use]
    pub fn reply(&self, id: Option<Uuid>) -> Reply {
        let mut reply = Response::new(Body::from(self.json(id)));
        *reply.status_mut() = self.status;
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_s {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"portcullis\"");
            reply.headers_mut().insert(hyper::header::WWW_AUTHENTICATE, challenge);
        }
        reply
    }

    pub(super) fn json(&self, id: Option<Uuid>) -> Vec<u8> {
        // Plain strings: nothing in them that JSON cannot hold.
        serde_json::to_vec(&Wire { error: self.wire(), id }).unwrap_or_default()
    }

    /// As it is written, alone or among the results of several questions.
    pub(crate) fn wire(&self) -> WireError<'_> {
        let (message, hint) = (cut(&self.message, MAX_MESSAGE), cut(&self.hint, MAX_HINT));
        WireError { code: self.code, message, hint }
    }
}

fn cut(text: &str, most: usize) -> &str {
    let end = text.floor_char_boundary(most);
    text.get(..end).unwrap_or_default()
}

impl From<GateError> for ApiError {
    fn from(error: GateError) -> Self {
        let code = error.code();
        let message = error.to_string();
        match error {
            GateError::RateLimited { retry_after_s } => Self {
                retry_after_s: Some(retry_after_s.max(1)),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, message, "slow down, or ask for a higher limit")
            },
            // Like anybody who is not known: the next request would not get this far.
            GateError::Removed => Self::unauthorized(),
            GateError::Halted => Self::new(StatusCode::FORBIDDEN, code, message, "ask an operator to resume the agent"),
            GateError::NoPipeline | GateError::LedgerUnavailable(_) | GateError::NoPlan | GateError::Failed => {
                Self::unavailable(code, message)
            }
            GateError::Modified => Self::new(StatusCode::CONFLICT, code, message, "ask again: the call is judged anew"),
            GateError::Busy(_) => Self { retry_after_s: Some(1), ..Self::unavailable(code, message) },
        }
    }
}
