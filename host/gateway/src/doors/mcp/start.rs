//! Why there is no child process for a request, and how the client is told.

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};

use super::envelope::{INTERNAL_ERROR, Id};
use super::front::refusal;
use super::sessions::Full;
use crate::http::Reply;
use crate::upstream::stdio::SpawnError;
use crate::upstream::supervisor::Wait;

/// A child process was not started. The texts are for clients: they name no paths.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    #[error("too many child processes are running; try again later")]
    Places,
    #[error(transparent)]
    Full(#[from] Full),
    /// It failed too often, too soon.
    #[error(transparent)]
    Wait(#[from] Wait),
    #[error("the upstream could not be started")]
    Spawn(#[from] SpawnError),
}

impl NotStarted {
    pub(super) fn reply(&self, id: Option<&Id>) -> Reply {
        if let Self::Spawn(error) = self {
            tracing::error!(%error, "an upstream could not be started");
        }
        let mut reply = refusal(StatusCode::SERVICE_UNAVAILABLE, id, INTERNAL_ERROR, &self.to_string());
        if let Self::Wait(wait) = self {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.seconds()));
        }
        reply
    }
}
