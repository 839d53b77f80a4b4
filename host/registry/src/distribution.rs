//! The client of OCI registries (the distribution specification 1.1): what plugins need of it, everything bounded.
//!
//! Answers are read up to a limit and within one deadline. Credentials go to the registry itself and to the token service that
//! it names, never to where it redirects. Redirects are followed for the bytes of a plugin only, over TLS.

use std::io;
use std::time::{Duration, Instant};

use portcullis_model::Digest;
use serde::Deserialize;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use ureq::http::uri::Authority;
use ureq::http::{HeaderValue, Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Body};
use zeroize::Zeroizing;

use crate::challenge::{self, Challenge};
use crate::credentials::{HostSettings, loopback};
use crate::error::Error;
use crate::manifest::{self, MANIFEST_TYPE};
use crate::{MAX_PLUGIN_BYTES, OciReference};

/// Largest manifest, in bytes: what the specification asks registries to take.
const LARGEST_MANIFEST: u64 = 4 << 20;
/// Largest answer of a token service, in bytes.
const LARGEST_TOKEN: u64 = 256 << 10;
/// How much of an error's body is looked at, in bytes.
const LARGEST_COMPLAINT: u64 = 16 << 10;
/// Most redirects on the way to a plugin's bytes.
const MOST_REDIRECTS: usize = 3;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// What is done in a registry; tokens are asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// One conversation with one registry about one repository.
pub(crate) struct Session {
    settings: HostSettings,
    agent: Agent,
    /// `https://HOST/v2/REPOSITORY`.
    base: String,
    origin: Origin,
    scope: String,
    deadline: Instant,
    timeout: Duration,
    authorization: Option<Zeroizing<String>>,
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    tls: bool,
    authority: String,
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority().map(Authority::as_str)?;
        if authority.contains('@') {
            return None;
        }
        let standard = if tls { ":443" } else { ":80" };
        let authority = authority.strip_suffix(standard).unwrap_or(authority).to_ascii_lowercase();
        Some(Self { tls, authority })
    }

    fn show(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

impl Session {
    /// Begins; nothing is sent yet. The timeout is for everything together.
    pub(crate) fn new(
        settings: HostSettings,
        reference: &OciReference,
        access: Access,
        timeout: Duration,
    ) -> Result<Self, Error> {
        // Docker's own registry is called otherwise than it is reached.
        let hub = reference.host == "docker.io";
        let authority = if hub { "registry-1.docker.io" } else { reference.host.as_str() };
        let library = hub && !reference.repository.contains('/');
        let repository =
            if library { format!("library/{}", reference.repository) } else { reference.repository.clone() };
        let origin = Origin { tls: !settings.plain(), authority: authority.to_owned() };
        let origin = Origin::of(&uri(&origin.show(), &reference.host)?).unwrap_or(origin);
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let mut tls = TlsConfig::builder();
        if let Some(ca) = &settings.ca {
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates(ca, &reference.host)?));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT.min(timeout)))
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self {
            settings,
            agent,
            base: format!("{}/v2/{repository}", origin.show()),
            origin,
            scope: format!("repository:{repository}:{actions}"),
            deadline: Instant::now() + timeout,
            timeout,
            authorization: None,
        })
    }

    /// A manifest and its digest, which is the asked one where one was asked for.
    pub(crate) fn manifest(&mut self, reference: &OciReference) -> Result<(Vec<u8>, Digest), Error> {
        let what = reference.to_string();
        let url = format!("{}/manifests/{}", self.base, reference.target());
        let mut answer = self.send(&Method::GET, &url, &[(ACCEPT.as_str(), manifest::ACCEPT)], None, &what)?;
        let bytes = match answer.status().as_u16() {
            200 => self.body(&mut answer, LARGEST_MANIFEST, &what)?,
            404 => return Err(Error::Missing(what)),
            _ => return Err(self.unexpected(answer, &what)),
        };
        let got = Digest::of(&bytes);
        let promised =
            answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok()?.parse().ok());
        match reference.digest.or(promised) {
            Some(expected) if expected != got => Err(Error::OtherBytes { what, expected, got }),
            _ => Ok((bytes, got)),
        }
    }

    /// The bytes of a digest, hashed.
    pub(crate) fn blob(&mut self, digest: Digest, size: u64, what: &str) -> Result<Vec<u8>, Error> {
        let mut url = format!("{}/blobs/{digest}", self.base);
        for _ in 0..=MOST_REDIRECTS {
            let mut answer = self.send(&Method::GET, &url, &[], None, what)?;
            match answer.status().as_u16() {
                200 => {
                    let bytes = self.body(&mut answer, size.min(MAX_PLUGIN_BYTES), what)?;
                    let got = Digest::of(&bytes);
                    return match got == digest {
                        true => Ok(bytes),
                        false => Err(Error::OtherBytes { what: what.to_owned(), expected: digest, got }),
                    };
                }
                301 | 302 | 303 | 307 | 308 => url = self.elsewhere(&answer, &url, what)?,
                404 => return Err(Error::Missing(format!("{what} ({digest})"))),
                _ => return Err(self.unexpected(answer, what)),
            }
        }
        let why = "it would be one redirect too many";
        Err(Error::Redirect { host: self.settings.host.clone(), to: "yet another address".to_owned(), why })
    }

    /// Puts bytes under their digest, unless they are there.
    pub(crate) fn put_blob(&mut self, bytes: &[u8], what: &str) -> Result<(), Error> {
        let digest = Digest::of(bytes);
        let there = self.send(&Method::HEAD, &format!("{}/blobs/{digest}", self.base), &[], None, what)?;
        if there.status().as_u16() == 200 {
            return Ok(());
        }
        let begin = format!("{}/blobs/uploads/", self.base);
        let answer = self.send(&Method::POST, &begin, &[], Some(&[]), what)?;
        if answer.status().as_u16() != 202 {
            return Err(self.unexpected(answer, what));
        }
        let to = self.location(&answer, &begin, what)?;
        self.same_origin(&to)?;
        let to = format!("{to}{}digest={digest}", if to.contains('?') { '&' } else { '?' });
        let headers = [(CONTENT_TYPE.as_str(), "application/octet-stream")];
        let answer = self.send(&Method::PUT, &to, &headers, Some(bytes), what)?;
        match answer.status().as_u16() {
            201 | 204 => Ok(()),
            _ => Err(self.unexpected(answer, what)),
        }
    }

    /// Puts a manifest under a tag or its digest.
    pub(crate) fn put_manifest(&mut self, target: &str, bytes: &[u8], what: &str) -> Result<(), Error> {
        let url = format!("{}/manifests/{target}", self.base);
        let answer = self.send(&Method::PUT, &url, &[(CONTENT_TYPE.as_str(), MANIFEST_TYPE)], Some(bytes), what)?;
        match answer.status().as_u16() {
            200..=204 => Ok(()),
            _ => Err(self.unexpected(answer, what)),
        }
    }

    /// Sends a request; once more with credentials if the registry itself asks for them.
    fn send(
        &mut self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        what: &str,
    ) -> Result<Response<Body>, Error> {
        let uri = uri(url, &self.settings.host)?;
        let ours = Origin::of(&uri).is_some_and(|origin| origin == self.origin);
        let answer = self.once(method, &uri, headers, body, ours)?;
        if answer.status().as_u16() != 401 || !ours {
            return Ok(answer);
        }
        let refused = || Error::Credentials { host: self.settings.host.clone(), what: what.to_owned(), status: 401 };
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenge = challenge::parse(challenges).ok_or_else(refused)?;
        self.authorization = Some(match (challenge, &self.settings.credentials) {
            (Challenge::Basic, Some(credentials)) => credentials.basic(),
            (Challenge::Basic, None) => return Err(refused()),
            (Challenge::Bearer { realm, service }, _) => self.token(&realm, service.as_deref(), what)?,
        });
        let answer = self.once(method, &uri, headers, body, true)?;
        match answer.status().as_u16() {
            status @ (401 | 403) => {
                Err(Error::Credentials { host: self.settings.host.clone(), what: what.to_owned(), status })
            }
            _ => Ok(answer),
        }
    }

    fn once(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        ours: bool,
    ) -> Result<Response<Body>, Error> {
        let mut request = Request::builder().method(method.clone()).uri(uri.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| ours) {
            request = request.header(AUTHORIZATION, secret(authorization, &self.settings.host)?);
        }
        match body {
            Some(body) => self.run(request.body(body)),
            None => self.run(request.body(())),
        }
    }

    fn run<B: AsSendBody>(&self, request: Result<Request<B>, ureq::http::Error>) -> Result<Response<Body>, Error> {
        let request = request.map_err(|error| self.away(&error.to_string()))?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.slow());
        }
        let request = self.agent.configure_request(request).timeout_global(Some(left)).build();
        self.agent.run(request).map_err(|error| self.network(error))
    }

    /// A token of the service that the registry names.
    fn token(&self, realm: &str, service: Option<&str>, what: &str) -> Result<Zeroizing<String>, Error> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let host = &self.settings.host;
        let place = uri(realm, host)?;
        let origin = Origin::of(&place);
        let trusted = origin.as_ref().is_some_and(|origin| origin.tls || (!self.origin.tls && self.near(origin)));
        if !trusted {
            let to = origin.map_or_else(|| "no address".to_owned(), |origin| origin.show());
            return Err(Error::Redirect { host: host.clone(), to, why: "tokens are asked for over https only" });
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(service.map(|service| ("service", service)));
        query.append_pair("scope", &self.scope);
        let separator = if place.query().is_some() { '&' } else { '?' };
        let mut request = Request::get(format!("{}{separator}{}", realm.trim_end_matches('?'), query.finish()));
        if let Some(credentials) = &self.settings.credentials {
            request = request.header(AUTHORIZATION, secret(&credentials.basic(), host)?);
        }
        let mut answer = self.run(request.body(()))?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(match status {
                401 | 403 => Error::Credentials { host: host.clone(), what: what.to_owned(), status },
                _ => self.unexpected(answer, "the request for a token"),
            });
        }
        let body = Zeroizing::new(self.body(&mut answer, LARGEST_TOKEN, "the token")?);
        let token: Option<Token> = serde_json::from_slice(&body).ok();
        let token = token.and_then(|token| token.token.or(token.access_token)).filter(|token| !token.is_empty());
        let token = token.map(Zeroizing::new).ok_or_else(|| Error::Answer {
            what: format!("the token service of {host}"),
            why: "its answer holds no token".to_owned(),
        })?;
        Ok(Zeroizing::new(format!("Bearer {}", *token)))
    }

    /// Where the bytes are instead. Without credentials: those are for the registry.
    fn elsewhere(&self, answer: &Response<Body>, from: &str, what: &str) -> Result<String, Error> {
        let to = self.location(answer, from, what)?;
        let origin = Origin::of(&uri(&to, &self.settings.host)?);
        match origin {
            Some(origin) if origin.tls || (!self.origin.tls && self.near(&origin)) => Ok(to),
            origin => Err(Error::Redirect {
                host: self.settings.host.clone(),
                to: origin.map_or_else(|| "no address".to_owned(), |origin| origin.show()),
                why: "it is not https",
            }),
        }
    }

    /// Whether something without TLS is the registry itself or on this machine.
    fn near(&self, origin: &Origin) -> bool {
        *origin == self.origin || loopback(&origin.authority)
    }

    /// The address in an answer, made absolute.
    fn location(&self, answer: &Response<Body>, from: &str, what: &str) -> Result<String, Error> {
        let fail = |why: &str| Error::Answer { what: what.to_owned(), why: why.to_owned() };
        let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.ok_or_else(|| fail("the registry sends us elsewhere and does not say where"))?;
        if to.contains("://") {
            return Ok(to.to_owned());
        }
        let origin = Origin::of(&uri(from, &self.settings.host)?).unwrap_or_else(|| self.origin.clone());
        match to.starts_with('/') && !to.starts_with("//") {
            true => Ok(format!("{}{to}", origin.show())),
            false => Err(fail("the registry sends us to an address that is not whole")),
        }
    }

    /// Uploads stay with the registry: they carry credentials.
    fn same_origin(&self, to: &str) -> Result<(), Error> {
        let origin = Origin::of(&uri(to, &self.settings.host)?);
        if origin.as_ref() == Some(&self.origin) {
            return Ok(());
        }
        let to = origin.map_or_else(|| "no address".to_owned(), |origin| origin.show());
        Err(Error::Redirect { host: self.settings.host.clone(), to, why: "uploads go to the registry itself" })
    }

    /// A body of at most `most` bytes.
    fn body(&self, answer: &mut Response<Body>, most: u64, what: &str) -> Result<Vec<u8>, Error> {
        let large =
            || Error::Answer { what: what.to_owned(), why: format!("the registry sends more than {most} bytes") };
        // The reader's own limit counts the end as a byte.
        match answer.body_mut().with_config().limit(most + 1).read_to_vec() {
            Ok(bytes) if bytes.len() as u64 > most => Err(large()),
            Ok(bytes) => Ok(bytes),
            Err(ureq::Error::BodyExceedsLimit(_)) => Err(large()),
            Err(error) => Err(self.network(error)),
        }
    }

    fn unexpected(&self, mut answer: Response<Body>, what: &str) -> Error {
        let (host, what, status) = (self.settings.host.clone(), what.to_owned(), answer.status().as_u16());
        if matches!(status, 401 | 403) {
            return Error::Credentials { host, what, status };
        }
        if (300..400).contains(&status) {
            let to = answer.headers().get(LOCATION).and_then(|to| Origin::of(&to.to_str().ok()?.parse().ok()?));
            let to = to.map_or_else(|| "another address".to_owned(), |origin| origin.show());
            return Error::Redirect { host, to, why: "redirects are followed for the bytes of a plugin only" };
        }
        let said = self.body(&mut answer, LARGEST_COMPLAINT, &what).unwrap_or_default();
        let said = complaint(&said).map(|said| format!(": {said}")).unwrap_or_default();
        Error::Status { host, what, status, said }
    }

    fn network(&self, error: ureq::Error) -> Error {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                self.away("no connection within the time for it")
            }
            ureq::Error::Timeout(_) => self.slow(),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => self.slow(),
            other => self.away(&other.to_string()),
        }
    }

    fn away(&self, why: &str) -> Error {
        Error::Away { host: self.settings.host.clone(), why: why.chars().take(300).collect() }
    }

    fn slow(&self) -> Error {
        Error::Slow { host: self.settings.host.clone(), seconds: self.timeout.as_secs() }
    }
}

fn uri(text: &str, host: &str) -> Result<Uri, Error> {
    let what = format!("the registry {host}");
    text.parse().map_err(|_| Error::Answer { what, why: "it names an address that is none".to_owned() })
}

fn secret(text: &str, host: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Error::Answer {
        what: format!("the credentials of {host}"),
        why: "they hold characters that no header can carry".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn certificates(pem: &[u8], host: &str) -> Result<Vec<Certificate<'static>>, Error> {
    let fail = |why: &str| Error::Answer { what: format!("the `ca` of {host}"), why: why.to_owned() };
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        if let PemItem::Certificate(one) = item.map_err(|_| fail("it is not PEM"))? {
            found.push(one);
        }
    }
    if found.is_empty() {
        return Err(fail("it holds no certificate"));
    }
    Ok(found)
}

/// The first message in a registry's error, without what terminals would act on.
fn complaint(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        code: Option<String>,
        message: Option<String>,
    }
    let Errors { errors } = serde_json::from_slice(body).ok()?;
    let One { code, message } = errors.into_iter().next()?;
    let said = [code, message].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    Some(said.chars().take(200).map(plain).collect::<String>()).filter(|said| !said.is_empty())
}
