//! The HTTP side of an upstream: one pooled client for all, every wait bounded, no redirect followed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::HttpTarget;
use super::oauth::{OauthError, Token};

/// Idle connections kept per upstream.
const IDLE_CONNECTIONS: usize = 32;
/// How long an idle connection is kept: shorter than most servers keep it, so that few calls meet a closed one.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// How long an upstream may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// Until the connection stands.
    pub(crate) connect: Duration,
    /// From the request to the head of the answer.
    pub(crate) first_byte: Duration,
    /// Between two pieces of an answer.
    pub(crate) idle: Duration,
}

/// The client for all HTTP upstreams. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    waits: Waits,
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Nothing was sent.
    #[error("the upstream could not be reached")]
    Connect(#[source] ClientError),
    /// Something was sent; what it did is not known.
    #[error("the connection to the upstream broke")]
    Broken(#[source] ClientError),
    /// No head in time.
    #[error("the upstream did not answer in time")]
    TooSlow,
    /// An encoding that was not asked for.
    #[error("the upstream answered in a content encoding that was not asked for")]
    Encoding,
    /// There is no access token for the upstream: nothing was sent.
    #[error(transparent)]
    Credential(OauthError),
    /// The request could not be built.
    #[error("the request to the upstream could not be built")]
    Request(#[source] hyper::http::Error),
}

/// Why a body stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the upstream's answer broke off")]
    Broken,
    #[error("the upstream's answer stalled")]
    TooSlow,
    #[error("the upstream's answer is too large")]
    TooLarge,
}

impl HttpError {
    /// Whether the tool cannot have run.
    pub(crate) fn nothing_sent(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Credential(_) | Self::Request(_))
    }
}

impl HttpClient {
    pub(crate) fn new(waits: Waits) -> Self {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(waits.connect));
        http.set_nodelay(true);
        http.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            // A call that reached the upstream must not be sent again behind the ledger's back.
            .retry_canceled_requests(false)
            .build(connector);
        Self { client, waits }
    }

    /// Sends one request. `headers` are those of the protocol; the configured ones and the fixed ones are added, and the
    /// access token if the upstream needs one. A request whose token the upstream does not take any more has done nothing:
    /// it is sent once more, with a new one, unless that one is new.
    pub(crate) async fn send(
        &self,
        target: &HttpTarget,
        method: Method,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>, HttpError> {
        let Some(oauth) = &target.oauth else { return self.send_with(target, method, headers, body, None).await };
        let token = oauth.token(self).await.map_err(HttpError::Credential)?;
        let first = self.send_with(target, method.clone(), headers.clone(), body.clone(), Some(&token)).await?;
        if first.status() != StatusCode::UNAUTHORIZED || !oauth.refused(&token) {
            return Ok(first);
        }
        let token = oauth.token(self).await.map_err(HttpError::Credential)?;
        self.send_with(target, method, headers, body, Some(&token)).await
    }

    async fn send_with(
        &self,
        target: &HttpTarget,
        method: Method,
        headers: HeaderMap,
        body: Option<Bytes>,
        token: Option<&Token>,
    ) -> Result<Response<Incoming>, HttpError> {
        let mut request = Request::builder().method(method).uri(target.url.clone());
        if let Some(map) = request.headers_mut() {
            *map = headers;
            map.insert(USER_AGENT, HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
            map.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if body.is_some() {
                map.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
                map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            } else {
                map.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
            }
            for (name, value) in &target.headers {
                map.append(name, value.clone());
            }
            if let Some(token) = token {
                map.insert(AUTHORIZATION, token.header.clone());
            }
        }
        self.exchange(request.body(Full::new(body.unwrap_or_default())).map_err(HttpError::Request)?).await
    }

    /// Sends a request as it is. No redirect is followed.
    pub(super) async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, HttpError> {
        let answer = tokio::time::timeout(self.waits.first_byte, self.client.request(request));
        let response = match answer.await {
            Err(_) => return Err(HttpError::TooSlow),
            Ok(Err(error)) if error.is_connect() => return Err(HttpError::Connect(error)),
            Ok(Err(error)) => return Err(HttpError::Broken(error)),
            Ok(Ok(response)) => response,
        };
        let encoding = response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
            return Err(HttpError::Encoding);
        }
        Ok(response)
    }

    /// Until when the next piece of an answer must be there.
    pub(crate) fn patience(&self) -> Instant {
        Instant::now() + self.waits.idle
    }

    /// The next piece of an answer; `None` at its clean end.
    /// Without `until` it may take any time: a stream that belongs to no request is mostly quiet.
    pub(crate) async fn chunk(&self, body: &mut Incoming, until: Option<Instant>) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = match until {
                Some(until) => tokio::time::timeout_at(until, body.frame()).await.map_err(|_| BodyError::TooSlow)?,
                None => body.frame().await,
            };
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(BodyError::Broken),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// A whole answer of at most `limit` bytes.
    pub(crate) async fn whole(&self, mut body: Incoming, limit: usize) -> Result<Vec<u8>, BodyError> {
        if body.size_hint().lower() > limit as u64 {
            return Err(BodyError::TooLarge);
        }
        let mut whole = Vec::new();
        while let Some(data) = self.chunk(&mut body, Some(self.patience())).await? {
            if whole.len() + data.len() > limit {
                return Err(BodyError::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    }
}

/// The kind of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    EventStream,
    Other,
}

/// What an answer's `Content-Type` says, parameters aside.
pub(crate) fn kind(headers: &HeaderMap) -> Kind {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.split(';').next().unwrap_or_default().trim() {
        value if value.eq_ignore_ascii_case("application/json") => Kind::Json,
        value if value.eq_ignore_ascii_case("text/event-stream") => Kind::EventStream,
        _ => Kind::Other,
    }
}
