//! Where messages may be sent: an address that comes from a configuration, or from an agent, reaches only hosts that are
//! listed, and nothing that is not public unless its network is listed too.
//!
//! A name is looked up once for each request, every address that it has is checked, and the connection goes to one of
//! those addresses: a name server that answers otherwise a moment later changes nothing. Redirects are not followed.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_rustls::ConfigBuilderExt as _;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

mod rule;

pub use rule::HostRule;

/// How long a name may take to be looked up, and one address to be connected to.
const LOOKUP: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
/// Most bytes of an answer's body that are taken, and how long that may last.
const MAX_ANSWER: usize = 64 * 1024;
const REST: Duration = Duration::from_secs(1);
/// Longest pause that a receiver may ask for.
const LONGEST_PAUSE: u64 = 3600;
const NO_TLS: TargetError = TargetError::Address("needs TLS, which could not be set up");

/// Which hosts may be reached, and how long one request may take.
#[derive(Clone, Debug)]
pub struct Targets {
    hosts: Vec<Host>,
    networks: Vec<IpNet>,
    timeout: Duration,
    authorities: Option<Authorities>,
}

/// Authorities that certificates must come from, in place of the public ones.
#[derive(Clone, Debug)]
struct Authorities {
    certificates: Arc<[CertificateDer<'static>]>,
    tls: Arc<ClientConfig>,
}

/// Hosts that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// Every one.
    Any,
    /// This one, in lower case.
    Name(String),
    /// Those whose name ends with this, a dot first.
    Below(String),
}

/// A host whose addresses were looked up and may be reached.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Its name.
    pub host: String,
    /// Its addresses; at least one.
    pub addresses: Vec<SocketAddr>,
    /// Whether all of them are in networks that are listed, so that nothing of it goes over the internet.
    pub internal: bool,
}

/// What a receiver answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is wanted of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taking {
    /// Its head; what follows is thrown away.
    Head,
    /// All of it, if headers and body have no more bytes than this.
    Whole(usize),
}

/// Why nothing was sent, or what became of it is not known. Names hosts, never paths: these may be secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A host pattern or network that cannot be read.
    #[error("{0}: {1}")]
    Rule(String, &'static str),
    /// Certificates of authorities that cannot be read.
    #[error("the file of authorities {0}")]
    Authorities(&'static str),
    /// Not an address that anything is sent to.
    #[error("the address {0}")]
    Address(&'static str),
    /// The host is not listed.
    #[error("the host {0} is not on the list of hosts that may be reached")]
    Host(String),
    /// It has an address that is not public.
    #[error("the host {0} has the address {1}, which is not public; list its network if it may be reached")]
    Network(String, IpAddr),
    /// Plain HTTP over the internet.
    #[error("plain http:// is only used within listed networks, and {0} is beyond them; use https://")]
    Plain(String),
    /// It sends the request elsewhere.
    #[error("{0} redirects, which is not followed: give its final address")]
    Redirect(String),
    /// The name has no address, or was not looked up in time.
    #[error("the host {0} was not found")]
    Unknown(String),
    /// No connection.
    #[error("{0} could not be reached: {1}")]
    Unreachable(String, String),
    /// It broke off.
    #[error("the connection to {0} broke")]
    Broken(String),
    /// No answer in time.
    #[error("{0} did not answer in time")]
    TooSlow(String),
    /// An answer that is too large.
    #[error("the answer of {0} is too large")]
    TooLarge(String),
}

impl TargetError {
    /// Whether our own rules refuse it: another try would fare no better.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Rule(..)
                | Self::Authorities(_)
                | Self::Address(_)
                | Self::Host(_)
                | Self::Network(..)
                | Self::Plain(_)
                | Self::Redirect(_)
        )
    }
}

impl Targets {
    /// These hosts (`hooks.example.com`, `*.example.com` for every name below it, `*` for all) and, besides public
    /// addresses, these networks (`10.1.0.0/16`). One request may take `timeout` in all.
    ///
    /// # Errors
    /// A host or network that cannot be read.
    pub fn new(hosts: &[String], networks: &[String], timeout: Duration) -> Result<Self, TargetError> {
        let hosts = hosts.iter().map(|text| Host::read(text)).collect::<Result<_, _>>()?;
        let network = |text: &String| {
            text.parse::<IpNet>().map_err(|_| TargetError::Rule(text.clone(), "is no network such as 10.1.0.0/16"))
        };
        let networks = networks.iter().map(network).collect::<Result<_, _>>()?;
        Ok(Self { hosts, networks, timeout, authorities: None })
    }

    /// The same, but certificates must come from these authorities (PEM), not from the public ones.
    ///
    /// # Errors
    /// No certificate that can be read.
    pub fn with_authorities(self, pem: &[u8]) -> Result<Self, TargetError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|_| TargetError::Authorities("holds damaged PEM"))?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let unfit = |_| TargetError::Authorities("holds a certificate that cannot be an authority's");
            roots.add(certificate.clone()).map_err(unfit)?;
        }
        if roots.is_empty() {
            return Err(TargetError::Authorities("holds no certificate in PEM"));
        }
        let tls = Arc::new(client()?.with_root_certificates(roots).with_no_client_auth());
        Ok(Self { authorities: Some(Authorities { certificates: certificates.into(), tls }), ..self })
    }

    /// The authorities that certificates must come from; none: the public ones.
    #[must_use]
    pub fn authorities(&self) -> Option<&[CertificateDer<'static>]> {
        self.authorities.as_ref().map(|authorities| &*authorities.certificates)
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, TargetError> {
        self.authorities.as_ref().map_or_else(public, |authorities| Ok(Arc::clone(&authorities.tls)))
    }

    /// The same, and this host besides.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        self.hosts.push(Host::Name(host.to_ascii_lowercase()));
        self
    }

    /// Whether no host is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// How long one request may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Checks an address without looking anything up: scheme, host, no user name.
    ///
    /// # Errors
    /// It is refused.
    pub fn check(&self, url: &Uri) -> Result<(), TargetError> {
        self.parts(url).map(drop)
    }

    /// Looks a host up and checks every address that it has.
    ///
    /// # Errors
    /// It is refused, or has no address.
    pub async fn pin(&self, host: &str, port: u16) -> Result<Pinned, TargetError> {
        let host = host.to_ascii_lowercase();
        if !self.hosts.iter().any(|listed| listed.fits(&host)) {
            return Err(TargetError::Host(host));
        }
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host.as_str(), port))).await;
                let found = found.ok().and_then(Result::ok).ok_or_else(|| TargetError::Unknown(host.clone()))?;
                found.collect()
            }
        };
        if addresses.is_empty() {
            return Err(TargetError::Unknown(host));
        }
        // One bad address among good ones is a sign of a name that plays tricks.
        if let Some(bad) = addresses.iter().map(SocketAddr::ip).find(|address| !self.may_reach(*address)) {
            return Err(TargetError::Network(host, bad));
        }
        let internal = addresses.iter().all(|address| self.is_listed(address.ip()));
        Ok(Pinned { host, addresses, internal })
    }

    /// Sends one POST to an address. Of the answer only the head counts. A redirect is an error.
    ///
    /// # Errors
    /// Refused, not reached, or without an answer in time; then it may have arrived all the same.
    pub async fn post(&self, url: &Uri, headers: HeaderMap, body: Bytes) -> Result<Answered, TargetError> {
        let outgoing = Outgoing { method: Method::POST, url: url.clone(), headers, body };
        let answer = self.exchange(outgoing, Taking::Head).await?;
        if (300..400).contains(&answer.status) {
            return Err(TargetError::Redirect(self.parts(url)?.0));
        }
        let seconds = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let retry_after = seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_PAUSE)));
        Ok(Answered { status: answer.status, retry_after })
    }

    /// Sends one request and takes the whole answer, of at most `most` bytes. A redirect is an answer like others.
    ///
    /// # Errors
    /// Refused, not reached, too large, or without an answer in time; then it may have arrived all the same.
    pub(crate) async fn fetch(&self, outgoing: Outgoing, most: usize) -> Result<Fetched, TargetError> {
        self.exchange(outgoing, Taking::Whole(most)).await
    }

    async fn exchange(&self, outgoing: Outgoing, taking: Taking) -> Result<Fetched, TargetError> {
        let (host, port, secure) = self.parts(&outgoing.url)?;
        let late = || TargetError::TooSlow(host.clone());
        let sent = tokio::time::timeout(self.timeout, async {
            let pinned = self.pin(&host, port).await?;
            if !secure && !pinned.internal {
                return Err(TargetError::Plain(host.clone()));
            }
            let stream = connect(&pinned).await?;
            let request = request(outgoing)?;
            if !secure {
                return exchange(&host, stream, request, taking).await;
            }
            let name = ServerName::try_from(host.clone()).map_err(|_| TargetError::Address("names no host"))?;
            let refused = |error: std::io::Error| TargetError::Unreachable(host.clone(), error.to_string());
            let connector = TlsConnector::from(self.tls()?);
            exchange(&host, connector.connect(name, stream).await.map_err(refused)?, request, taking).await
        });
        sent.await.unwrap_or_else(|_| Err(late()))
    }

    /// Host, port, and whether TLS is used.
    pub(crate) fn parts(&self, url: &Uri) -> Result<(String, u16, bool), TargetError> {
        let secure = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(TargetError::Address("begins with neither https:// nor http://")),
        };
        if url.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(TargetError::Address("names a user, or no host"));
        }
        // What is no port must not become the usual one.
        let port = url.authority().and_then(|authority| authority.as_str().rsplit_once(':'));
        if url.port_u16().is_none() && port.is_some_and(|(_, port)| !port.is_empty() && !port.ends_with(']')) {
            return Err(TargetError::Address("has a port that is none"));
        }
        let host = host_of(url).to_ascii_lowercase();
        if host.is_empty() {
            return Err(TargetError::Address("names no host"));
        }
        if !self.hosts.iter().any(|listed| listed.fits(&host)) {
            return Err(TargetError::Host(host));
        }
        Ok((host, url.port_u16().unwrap_or(if secure { 443 } else { 80 }), secure))
    }

    fn is_listed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        self.is_listed(address) || is_public(address)
    }
}

impl Host {
    fn read(text: &str) -> Result<Self, TargetError> {
        let lower = text.to_ascii_lowercase();
        if lower == "*" {
            return Ok(Self::Any);
        }
        let (name, below) = match lower.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (lower.as_str(), false),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
            return Err(TargetError::Rule(text.to_owned(), "is no host such as hooks.example.com or *.example.com"));
        }
        Ok(if below { Self::Below(format!(".{name}")) } else { Self::Name(name.to_owned()) })
    }

    fn fits(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Name(name) => name == host,
            Self::Below(end) => host.len() > end.len() && host.ends_with(end),
        }
    }
}

impl Pinned {
    /// The first of its addresses that takes a connection, for who connects by other means; not tried if it is the only one.
    pub(crate) async fn reachable(&self) -> Result<SocketAddr, TargetError> {
        if let [only] = self.addresses.as_slice() {
            return Ok(*only);
        }
        let stream = connect(self).await?;
        stream.peer_addr().map_err(|_| TargetError::Broken(self.host.clone()))
    }
}

pub(crate) fn host_of(url: &Uri) -> &str {
    let host = url.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether an address is one of the public internet: not of this machine, this network, this site, nor reserved.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The IANA registry of special-purpose IPv4 addresses, and multicast.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 224;
    !special
}

/// Global unicast only, without what embeds other addresses or is reserved.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    // NAT64 leads to the IPv4 address at its end.
    if [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let ([first, second], [third, fourth]) = (g.to_be_bytes(), h.to_be_bytes());
        return is_public_v4(Ipv4Addr::new(first, second, third, fourth));
    }
    let global = a & 0xe000 == 0x2000;
    // 2001::/23 (Teredo, ORCHID and others), documentation, 6to4.
    let special = a == 0x2001 && (b < 0x200 || b == 0xdb8) || matches!(a, 0x2002 | 0x3fff);
    global && !special
}

async fn connect(pinned: &Pinned) -> Result<TcpStream, TargetError> {
    let mut why = "no address".to_owned();
    for address in pinned.addresses.iter().take(ADDRESSES) {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small requests: nothing is gained by waiting for more.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => why = error.kind().to_string(),
            Err(_) => why = "no answer in time".to_owned(),
        }
    }
    Err(TargetError::Unreachable(pinned.host.clone(), why))
}

fn request(outgoing: Outgoing) -> Result<Request<Full<Bytes>>, TargetError> {
    let Outgoing { method, url, mut headers, body } = outgoing;
    let broken = |_| TargetError::Address("cannot be sent to");
    let authority = url.authority().map(hyper::http::uri::Authority::as_str).unwrap_or_default();
    headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| TargetError::Address("names no host"))?);
    let ours = HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
    headers.entry(USER_AGENT).or_insert(ours);
    let path = url.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let mut request = Request::builder().method(method).uri(path).body(Full::new(body)).map_err(broken)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// One request on a connection of its own, which ends with it.
async fn exchange<S>(
    host: &str,
    stream: S,
    request: Request<Full<Bytes>>,
    taking: Taking,
) -> Result<Fetched, TargetError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |_: hyper::Error| TargetError::Broken(host.to_owned());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Its end is seen by what waits for the answer.
    let drive = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        let body = match taking {
            // The status says it all. Some servers complain if nobody takes the rest.
            Taking::Head => {
                let rest = Limited::new(body, MAX_ANSWER).collect();
                let _rest = tokio::time::timeout(REST, rest).await;
                Bytes::new()
            }
            Taking::Whole(most) => whole(host, &head.headers, body, most).await?,
        };
        Ok(Fetched { status: head.status.as_u16(), headers: head.headers, body })
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        never = drive => match never {},
    }
}

/// The body, if it and the headers have no more bytes than this.
async fn whole(host: &str, headers: &HeaderMap, body: Incoming, most: usize) -> Result<Bytes, TargetError> {
    let head = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let room = most.checked_sub(head).ok_or_else(|| TargetError::TooLarge(host.to_owned()))?;
    let body = Limited::new(body, room).collect().await.map_err(|error| {
        let host = host.to_owned();
        if error.is::<LengthLimitError>() { TargetError::TooLarge(host) } else { TargetError::Broken(host) }
    })?;
    Ok(body.to_bytes())
}

/// Trusts the public authorities; made once.
fn public() -> Result<Arc<ClientConfig>, TargetError> {
    static CONFIG: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    let make = || Some(Arc::new(client().ok()?.with_webpki_roots().with_no_client_auth()));
    CONFIG.get_or_init(make).clone().ok_or(NO_TLS)
}

fn client() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TargetError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|_| NO_TLS)
}

#[cfg(test)]
mod tests;
