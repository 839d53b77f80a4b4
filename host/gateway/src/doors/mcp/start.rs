//! Why there is no child process for a request, and how the client is told.

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};

use super::envelope::{INTERNAL_ERROR, Id};
use super::front::{VERSIONS, refusal, unsupported};
use super::sessions::Full;
use super::stateless::REVISION;
use crate::http::Reply;
use crate::upstream::stdio::SpawnError;
use crate::upstream::supervisor::{Ending, Wait};

/// A child process was not started. The texts are for clients: they name no paths.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    #[error(
        "too many child processes are running: end sessions that are not needed, or wait until idle ones are ended"
    )]
    Places,
    #[error(transparent)]
    Full(#[from] Full),
    /// It failed too often, too soon.
    #[error(transparent)]
    Wait(#[from] Wait),
    #[error("the upstream could not be started")]
    Spawn(#[from] SpawnError),
    /// It ended, or said something that is no message, when it was greeted.
    #[error("the upstream ended before it was ready")]
    Ended,
    #[error("the upstream was not ready in time")]
    Silent,
    #[error("the upstream refused to be initialised, or speaks no revision that is known here")]
    Refused,
    /// It speaks the revisions with sessions only.
    #[error("this upstream does not speak {REVISION}: use a revision with sessions")]
    Legacy,
    #[error("the server is being stopped")]
    Closing,
}

impl NotStarted {
    /// What is said of a child that is ended for this cause.
    pub(super) fn verdict(&self) -> Option<Ending> {
        matches!(self, Self::Ended | Self::Silent | Self::Refused).then_some(Ending::NotStarted)
    }

    pub(super) fn reply(&self, id: Option<&Id>) -> Reply {
        match self {
            Self::Spawn(error) => {
                tracing::error!(%error, cause = %error.source, "an upstream could not be started");
            }
            Self::Legacy => return unsupported(id, &self.to_string(), VERSIONS, REVISION),
            _ => {}
        }
        let mut reply = refusal(StatusCode::SERVICE_UNAVAILABLE, id, INTERNAL_ERROR, &self.to_string());
        if let Self::Wait(wait) = self {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.seconds()));
        }
        reply
    }
}
