//! What stands behind the capabilities `http`, `secrets` and `judge`. This crate knows neither sockets nor keys: it asks
//! through the traits of this file, and whoever builds the engine implements them.

use std::sync::Arc;
use std::time::Duration;

use portcullis_model::Digest;

use crate::bindings::portcullis::plugin::{http, judge};
use crate::{Grants, Scope};

/// A request of a plugin, as the plugin gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// For instance `GET`.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// In order; names in any case.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: Vec<u8>,
}

/// What was answered, as the plugin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: Vec<u8>,
}

/// Why there is no answer. The plugin gets the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The host, method, header or address is not granted.
    #[error("{0}")]
    Forbidden(String),
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The answer is larger than it may be.
    #[error("the answer is larger than it may be")]
    TooLarge,
}

/// What a plugin asks a language model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Id of the prompt template.
    pub template: String,
    /// Values for its variables.
    pub variables: Vec<(String, String)>,
}

/// Why the model gave no answer. The plugin gets the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// It could not be reached, or not asked this.
    #[error("{0}")]
    Unavailable(String),
    /// The tenant's budget is spent.
    #[error("the budget is spent")]
    BudgetSpent,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The answer does not fit the template's schema.
    #[error("{0}")]
    BadAnswer(String),
}

/// Who asks to get outside.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Its tenant and its name in the pipeline.
    pub scope: Scope<'a>,
    /// SHA-256 of its file.
    pub digest: Digest,
    /// What it was granted.
    pub grants: &'a Grants,
    /// Most bytes of one answer.
    pub most: usize,
}

/// A grant that cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GrantError {
    /// Which grant: `http`, `http_networks`, `secrets` or `judge`.
    pub grant: &'static str,
    /// What is wrong with it, and what to do.
    pub message: String,
}

/// Opens the ways outside for plugins that were granted some.
pub trait Outside: Send + Sync {
    /// Once for each plugin that is loaded.
    ///
    /// # Errors
    /// A grant names a host, secret or template that there is not.
    fn open(&self, asker: &Asker<'_>) -> Result<Arc<dyn Reach>, GrantError>;
}

/// What one loaded plugin reaches. All of it blocks the thread of the plugin's call, and no longer than `within`.
pub trait Reach: Send + Sync {
    /// Sends one request.
    ///
    /// # Errors
    /// See [`HttpError`].
    fn send(&self, request: HttpRequest, within: Duration) -> Result<HttpResponse, HttpError>;

    /// What stands for a secret in the headers of requests; the same in every call. Does not wait.
    ///
    /// # Errors
    /// The secret is not granted.
    fn placeholder(&self, name: &str) -> Result<String, String>;

    /// Asks a language model; the answer is JSON text.
    ///
    /// # Errors
    /// See [`JudgeError`].
    fn ask(&self, question: Question, within: Duration) -> Result<String, JudgeError>;

    /// Whether a request is one that is granted, where it is not sent in any case. Does not wait.
    ///
    /// # Errors
    /// [`HttpError::Forbidden`], as [`send`](Self::send) would answer.
    fn may_send(&self, _request: &HttpRequest) -> Result<(), HttpError> {
        Ok(())
    }

    /// Whether a question is one that is granted, where it is not asked in any case. Does not wait.
    ///
    /// # Errors
    /// [`JudgeError::Unavailable`], as [`ask`](Self::ask) would answer.
    fn may_ask(&self, _question: &Question) -> Result<(), JudgeError> {
        Ok(())
    }

    /// What a configuration says of it beyond the grants, by hash: prompts and models, not secrets. None if that is nothing.
    fn configuration(&self) -> Option<Digest> {
        None
    }
}

/// Nothing is behind it: every grant that leads outside fails the load.
pub(crate) struct Closed;

impl Outside for Closed {
    fn open(&self, asker: &Asker<'_>) -> Result<Arc<dyn Reach>, GrantError> {
        let Grants { http, secrets, .. } = asker.grants;
        let grant = match (http.is_empty(), secrets.is_empty()) {
            (false, _) => "http",
            (true, false) => "secrets",
            (true, true) => "judge",
        };
        Err(GrantError { grant, message: format!("nothing leads outside here; remove the grant {grant:?}") })
    }
}

impl From<http::Request> for HttpRequest {
    fn from(http::Request { method, url, headers, body }: http::Request) -> Self {
        Self { method, url, headers, body }
    }
}

impl From<HttpResponse> for http::Response {
    fn from(HttpResponse { status, headers, body }: HttpResponse) -> Self {
        Self { status, headers, body }
    }
}

impl From<HttpError> for http::HttpError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Forbidden(why) => Self::Forbidden(why),
            HttpError::Unreachable(why) => Self::Unreachable(why),
            HttpError::TimedOut => Self::TimedOut,
            HttpError::TooLarge => Self::TooLarge,
        }
    }
}

impl From<judge::Question> for Question {
    fn from(judge::Question { template, variables }: judge::Question) -> Self {
        Self { template, variables }
    }
}

impl From<JudgeError> for judge::JudgeError {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::Unavailable(why) => Self::Unavailable(why),
            JudgeError::BudgetSpent => Self::BudgetSpent,
            JudgeError::TimedOut => Self::TimedOut,
            JudgeError::BadAnswer(why) => Self::BadAnswer(why),
        }
    }
}
