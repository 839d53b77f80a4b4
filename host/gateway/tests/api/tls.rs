//! HTTPS on the listener: protocols, certificates of both sides, their exchange, and clients that break off.

use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_gateway::http::{Body, Mount, PeerInfo, Reply, RequestBody, ServerConfig, TlsFile, TlsFiles};
use portcullis_model::EntryKind;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::*;

/// An authority, a server certificate of it, and a folder with both.
pub struct Pki {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key in PEM.
pub struct Pair {
    certificate: String,
    key: String,
}

const ID: &str = "spiffe://acme.example/agent-token";

impl Pki {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self { folder: TempDir::new().unwrap(), issuer };
        fs::write(pki.path("ca.pem"), pki.issuer.pem()).unwrap();
        pki.serve(&pki.server("localhost"));
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The listener's files; no client certificate is asked for.
    pub fn files(&self) -> TlsFiles {
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        TlsFiles { certificate, key, client_ca: None, client_required: false }
    }

    fn mutual(&self, client_required: bool) -> TlsFiles {
        TlsFiles { client_ca: Some(self.path("ca.pem")), client_required, ..self.files() }
    }

    fn make(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn server(&self, name: &str) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned(), "localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.make(&params)
    }

    fn client_params(uris: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params
    }

    fn client(&self, uris: &[&str]) -> Pair {
        self.make(&Self::client_params(uris))
    }

    /// Puts a pair where the listener reads it.
    fn serve(&self, pair: &Pair) {
        fs::write(self.path("server.pem"), &pair.certificate).unwrap();
        fs::write(self.path("server.key"), &pair.key).unwrap();
    }

    /// How a client that trusts the authority connects.
    fn connecting(&self, own: Option<&Pair>, protocols: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.issuer.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

const H1: &[&[u8]] = &[b"http/1.1"];
const H2: &[&[u8]] = &[b"h2"];

async fn connect(bench: &Bench, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(bench.address).await.unwrap();
    let connected = connector.connect(ServerName::try_from("localhost").unwrap(), stream);
    tokio::time::timeout(Duration::from_secs(10), connected).await.expect("the handshake must not hang")
}

/// A request as either protocol takes it.
fn request(version: Version, method: &str, path: &str, token: &str, body: &str) -> Request<Full<Bytes>> {
    let uri = if version == Version::HTTP_2 { format!("https://localhost{path}") } else { path.to_owned() };
    let mut request = Request::builder().method(method).uri(uri).version(version);
    if version != Version::HTTP_2 {
        request = request.header("host", "localhost");
    }
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.header("content-type", "application/json").body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

/// A client of either protocol.
enum Asking {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Asking {
    async fn new(bench: &Bench, connector: &TlsConnector) -> Self {
        let stream = connect(bench, connector).await.unwrap();
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (sender, connection) = made.unwrap();
            tokio::spawn(connection);
            Self::Http2(sender)
        } else {
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            Self::Http1(sender)
        }
    }

    async fn send(&mut self, method: &str, path: &str, token: &str, body: &str) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request(Version::HTTP_11, method, path, token, body)).await,
            Self::Http2(sender) => sender.send_request(request(Version::HTTP_2, method, path, token, body)).await,
        }
    }

    async fn ask(&mut self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        let answer = self.send(method, path, token, body).await.unwrap();
        assert!(answer.headers().contains_key("x-portcullis-id"), "{answer:?}");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn inspect(&mut self, token: &str) -> (u16, Value) {
        self.ask("POST", "/v1/inspect", token, r#"{"tool":"t"}"#).await
    }
}

async fn served(files: TlsFiles) -> Bench {
    Bench::with(Setup { tls: Some(files), ..Setup::default() }).await
}

/// The value of a metric, of its one line that begins so.
async fn metric(bench: &Bench, connector: &TlsConnector, start: &str) -> Option<u64> {
    let mut asking = Asking::new(bench, connector).await;
    let answer = asking.send("GET", "/metrics", "", "").await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    text.lines().find(|line| line.starts_with(start)).map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Waits for what has to come about by itself.
async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("it must come about")
}

#[tokio::test]
async fn both_protocols_answer_as_the_client_offers_them() {
    let pki = Pki::new();
    let bench = served(pki.files()).await;
    /// What a client offers, and what is agreed on.
    type Offer = (&'static [&'static [u8]], Option<&'static [u8]>);
    let offers: [Offer; 5] = [
        (H1, Some(b"http/1.1")),
        (H2, Some(b"h2")),
        (&[b"h2", b"http/1.1"], Some(b"h2")),
        (&[b"http/1.1", b"h2"], Some(b"h2")),
        (&[], None),
    ];
    for (offered, chosen) in offers {
        let connector = pki.connecting(None, offered);
        let stream = connect(&bench, &connector).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
        let mut asking = Asking::new(&bench, &connector).await;
        for _ in 0..2 {
            let (status, answer) = asking.inspect(AGENT).await;
            assert_eq!((status, answer["verdict"].as_str()), (200, Some("allow")), "{answer}");
        }
        assert_eq!(asking.inspect("wrong").await.0, 401);
        assert_eq!(asking.inspect("").await.0, 401);
    }
    let none = connect(&bench, &pki.connecting(None, &[b"spdy/3"])).await.unwrap_err();
    assert!(none.to_string().contains("NoApplicationProtocol"), "{none}");
}

#[tokio::test]
async fn a_large_answer_comes_whole_over_both_protocols() {
    let pki = Pki::new();
    let bench = served(pki.files()).await;
    let word = "x".repeat(600_000);
    let body = format!(r#"{{"tool":"t","arguments":{{"a":"SECRET","b":"{word}"}}}}"#);
    for offered in [H1, H2] {
        let mut asking = Asking::new(&bench, &pki.connecting(None, offered)).await;
        let (status, answer) = asking.ask("POST", "/v1/inspect", AGENT, &body).await;
        assert_eq!(status, 200);
        assert_eq!(answer["arguments"]["b"].as_str().map(str::len), Some(word.len()));
        assert_eq!(answer["arguments"]["a"], "[redacted:secret.test]");
    }
}

/// A client that has not sent everything when it is refused must not see its stream reset: it may not have the answer yet.
#[tokio::test]
async fn a_refused_request_may_be_sent_to_its_end_over_http2() {
    let pki = Pki::new();
    let bench = served(pki.files()).await;
    let stream = connect(&bench, &pki.connecting(None, H2)).await.unwrap();
    let (mut asking, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (sender, mut pieces) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let body = StreamBody::new(futures_util::stream::poll_fn(move |context| pieces.poll_recv(context)));
    let request = request(Version::HTTP_2, "POST", "/v1/inspect", "wrong", "").map(|_| body);
    let answer = asking.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 401);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sender.send(Ok(Frame::data(Bytes::from_static(&[b' '; 1000])))).await.expect("the server takes it in");
    }
    drop(sender);
    assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn the_host_is_checked_over_http2() {
    let pki = Pki::new();
    let bench = served(pki.files()).await;
    let Asking::Http2(mut asking) = Asking::new(&bench, &pki.connecting(None, H2)).await else { panic!("h2") };
    let request = Request::builder().uri("https://evil.example/healthz").version(Version::HTTP_2);
    let answer = asking.send_request(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn a_bad_head_is_explained_over_tls() {
    let pki = Pki::new();
    let bench = served(pki.files()).await;
    let mut stream = connect(&bench, &pki.connecting(None, H1)).await.unwrap();
    stream.write_all(b"GET /\0 HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("\"malformed\""), "{answer}");
}

#[tokio::test]
async fn plain_text_on_the_tls_port_is_refused_and_counted() {
    let pki = Pki::new();
    let bench = served(pki.files()).await;
    let answer = bench.raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1"), "{answer:?}");
    let connector = pki.connecting(None, H1);
    let counted = metric(&bench, &connector, "portcullis_tls_handshakes_failed_total{cause=\"not_tls\"}").await;
    assert_eq!(counted, Some(1));
}

#[tokio::test]
async fn a_slow_handshake_is_cut_and_keeps_nobody_out() {
    let pki = Pki::new();
    let server = ServerConfig { handshake_timeout: Duration::from_millis(300), ..Setup::default().server };
    let bench = Bench::with(Setup { tls: Some(pki.files()), server, ..Setup::default() }).await;
    let mut slow = TcpStream::connect(bench.address).await.unwrap();
    // The beginning of a handshake record.
    slow.write_all(&[22, 3, 1]).await.unwrap();
    let connector = pki.connecting(None, H1);
    assert_eq!(Asking::new(&bench, &connector).await.inspect(AGENT).await.0, 200, "while the other one waits");
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await;
    let _ = cut.expect("the server gives up");
    eventually(async || metric(&bench, &connector, "portcullis_tls_handshakes_failed_total{cause=\"timeout\"}").await)
        .await;
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_only_if_configured() {
    let pki = Pki::new();
    let bot = pki.client(&[ID]);
    let bench = served(pki.files()).await;
    assert_eq!(Asking::new(&bench, &pki.connecting(Some(&bot), H1)).await.inspect("").await.0, 401);
    let bench = served(pki.mutual(false)).await;
    assert_eq!(Asking::new(&bench, &pki.connecting(None, H1)).await.inspect("").await.0, 401);
    assert_eq!(Asking::new(&bench, &pki.connecting(None, H1)).await.inspect(AGENT).await.0, 200);
}

/// With TLS 1.3 a client learns after its own handshake that it was refused.
async fn refused(bench: &Bench, connector: &TlsConnector) -> bool {
    let Ok(mut stream) = connect(bench, connector).await else { return true };
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte)).await;
    read.expect("the server must not hang").is_err()
}

#[tokio::test]
async fn wrong_client_certificates_are_refused_and_counted() {
    let pki = Pki::new();
    let stranger = Pki::new().client(&[ID]);
    let bench = served(pki.mutual(false)).await;
    let mut expired = Pki::client_params(&[ID]);
    expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let mut signer = Pki::client_params(&[ID]);
    signer.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    let mut serving = Pki::client_params(&[ID]);
    serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let wrong = [
        ("of another authority", stranger),
        ("expired", pki.make(&expired)),
        ("one that may sign others", pki.make(&signer)),
        ("one of a server", pki.make(&serving)),
        ("two ids", pki.client(&[ID, "spiffe://acme.example/other"])),
        ("an id and another URI", pki.client(&["https://acme.example/", ID])),
        ("no path", pki.client(&["spiffe://acme.example"])),
        ("not in lower case", pki.client(&["SPIFFE://acme.example/agent-token"])),
    ];
    for (number, (what, pair)) in wrong.iter().enumerate() {
        assert!(refused(&bench, &pki.connecting(Some(pair), H1)).await, "{what}");
        let start = "portcullis_tls_handshakes_failed_total{cause=\"client_certificate\"}";
        let counted = metric(&bench, &pki.connecting(None, H1), start).await;
        assert_eq!(counted, Some(number as u64 + 1), "{what}");
    }
    assert!(!refused(&bench, &pki.connecting(Some(&pki.client(&[ID])), H1)).await);
    let bench = served(pki.mutual(true)).await;
    assert!(refused(&bench, &pki.connecting(None, H1)).await, "one is required");
    assert!(!refused(&bench, &pki.connecting(Some(&pki.client(&[ID])), H1)).await);
}

#[tokio::test]
async fn a_spiffe_id_is_an_agent_of_a_tenant_and_stands_in_the_entry() {
    let pki = Pki::new();
    let bench = served(pki.mutual(false)).await;
    for (id, tenant, agent) in [
        (ID, "acme", "bot"),
        ("spiffe://acme.example/second-agent-token", "acme", "bot2"),
        ("spiffe://acme.example/other-tenant-agent-token", "other", "bot"),
    ] {
        for offered in [H1, H2] {
            let before = bench.count(tenant, EntryKind::Decision);
            let mut asking = Asking::new(&bench, &pki.connecting(Some(&pki.client(&[id])), offered)).await;
            let (status, answer) = asking.inspect("").await;
            assert_eq!((status, answer["verdict"].as_str()), (200, Some("allow")), "{answer}");
            assert_eq!(bench.count(tenant, EntryKind::Decision), before + 1);
            assert_eq!(&*bench.entries(tenant).last().unwrap().entry.agent, agent);
        }
    }
    let unknown = pki.client(&["spiffe://acme.example/nobody"]);
    let mut asking = Asking::new(&bench, &pki.connecting(Some(&unknown), H2)).await;
    assert_eq!(asking.inspect("").await.0, 401, "a workload that no agent lists");
    assert_eq!(asking.inspect(AGENT).await.0, 200, "the token decides");
    let nameless = pki.client(&[]);
    let mut asking = Asking::new(&bench, &pki.connecting(Some(&nameless), H2)).await;
    assert_eq!(asking.inspect("").await.0, 401, "a certificate without an id");
    assert_eq!(asking.inspect(AGENT).await.0, 200);
}

#[tokio::test]
async fn token_and_certificate_must_not_name_two() {
    let pki = Pki::new();
    let bench = served(pki.mutual(false)).await;
    let mut asking = Asking::new(&bench, &pki.connecting(Some(&pki.client(&[ID])), H2)).await;
    assert_eq!(asking.inspect(AGENT).await.0, 200, "both name the same");
    for token in [SECOND, OTHER, OPERATOR, "wrong"] {
        assert_eq!(asking.inspect(token).await.0, 401, "{token}");
    }
    assert_eq!(asking.inspect("").await.0, 200);
    assert_eq!(bench.count("acme", EntryKind::Decision), 2);
    assert_eq!(bench.count("other", EntryKind::Decision), 0);
}

#[tokio::test]
async fn a_client_with_a_certificate_alone_is_served_by_the_clavenar_door() {
    let pki = Pki::new();
    let clavenar = Some(portcullis_gateway::doors::clavenar::AllowBody::Verdict);
    let bench = Bench::with(Setup { tls: Some(pki.mutual(true)), clavenar, ..Setup::default() }).await;
    let id = || uuid::Uuid::new_v4().to_string();
    let ask = async |own: &Pair, token: &str, id: &str, word: &str| -> (u16, Value) {
        let mut asking = Asking::new(&bench, &pki.connecting(Some(own), H1)).await;
        let body = format!(
            r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"pay","arguments":"{word}"}},"id":1}}"#
        );
        let mut request = request(Version::HTTP_11, "POST", "/mcp", token, &body);
        for (name, value) in
            [("x-clavenar-decision-contract", "clavenar.decision/v1"), ("x-clavenar-idempotency-id", id)]
        {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let Asking::Http1(sender) = &mut asking else { panic!("HTTP/1.1 was offered") };
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    };
    // As the reference names its workloads: every instance has an id of its own.
    let instance =
        |agent: &str| format!("spiffe://acme.example/tenant/acme/agent/{agent}/instance/{}", uuid::Uuid::now_v7());
    for (agent, status) in [(AGENT, 200), (AGENT, 200), ("nobody", 401)] {
        assert_eq!(ask(&pki.client(&[&instance(agent)]), "", &id(), "fine").await.0, status);
    }
    for odd in ["/x", ""] {
        let odd = format!(
            "spiffe://acme.example/tenant/acme/agent/{AGENT}/instance{odd}{}",
            if odd.is_empty() { "" } else { "/y" }
        );
        assert_eq!(ask(&pki.client(&[&odd]), "", &id(), "fine").await.0, 401, "{odd}");
    }
    let bot = pki.client(&[ID]);
    assert_eq!(ask(&bot, "", &id(), "fine").await, (200, serde_json::json!({ "verdict": "allow" })));
    assert_eq!(ask(&bot, "", &id(), "DENY").await.0, 403);
    let parked = id();
    assert_eq!(ask(&bot, "", &parked, "REVIEW").await.0, 202);
    let entry = bench.entries("acme").into_iter().map(|row| row.entry).next().unwrap();
    assert_eq!((&*entry.agent, entry.door), ("bot", portcullis_model::Door::Clavenar));
    // It polls by its certificate; another workload finds nothing.
    let second = pki.client(&["spiffe://acme.example/second-agent-token"]);
    for (own, status) in [(&bot, 200), (&second, 404)] {
        let mut asking = Asking::new(&bench, &pki.connecting(Some(own), H1)).await;
        let answer = asking.send("GET", &format!("/pending/{parked}"), "", "").await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
    for (own, token) in [
        (pki.client(&["spiffe://acme.example/nobody"]), ""),
        (pki.client(&[]), ""),
        (pki.client(&[ID]), SECOND),
        (pki.client(&[ID]), "acme/bot:second-agent-token"),
    ] {
        assert_eq!(ask(&own, token, &id(), "fine").await.0, 401, "{token}");
    }
    assert_eq!(ask(&bot, &format!("acme/bot:{AGENT}"), &id(), "fine").await.0, 200, "both name the same");
}

#[tokio::test]
async fn a_certificate_does_not_make_an_open_server_closed_to_others_or_open_to_it() {
    let pki = Pki::new();
    let bench = Bench::with(Setup { open: true, tls: Some(pki.mutual(false)), ..Setup::default() }).await;
    assert_eq!(Asking::new(&bench, &pki.connecting(None, H1)).await.inspect("").await.0, 200);
    let known = pki.connecting(Some(&pki.client(&[ID])), H1);
    assert_eq!(Asking::new(&bench, &known).await.inspect("").await.0, 401, "an unknown workload is nobody");
}

#[tokio::test]
async fn a_certificate_that_ends_stands_for_nobody_on_a_connection_that_lives_on() {
    let pki = Pki::new();
    let bench = served(pki.mutual(true)).await;
    let mut params = Pki::client_params(&[ID]);
    params.not_after = (std::time::SystemTime::now() + Duration::from_secs(3)).into();
    let mut asking = Asking::new(&bench, &pki.connecting(Some(&pki.make(&params)), H2)).await;
    assert_eq!(asking.inspect("").await.0, 200);
    eventually(async || (asking.inspect("").await.0 == 401).then_some(())).await;
}

/// The certificate that the server shows.
async fn shown(bench: &Bench, connector: &TlsConnector) -> Vec<u8> {
    let stream = connect(bench, connector).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn new_files_are_served_to_new_connections_and_bad_ones_never() {
    let pki = Pki::new();
    let bench = served(pki.files()).await;
    let tls = bench.tls.as_ref().unwrap();
    let connector = pki.connecting(None, H2);
    let mut before = Asking::new(&bench, &connector).await;
    let old = shown(&bench, &connector).await;

    let fresh = pki.server("fresh.example");
    pki.serve(&fresh);
    tls.replace(pki.files().read().unwrap());
    assert_eq!(shown(&bench, &connector).await, der(&fresh));
    assert_ne!(old, der(&fresh));
    assert_eq!(before.inspect(AGENT).await.0, 200, "a connection lives on");

    let other = pki.server("other.example");
    fs::write(pki.path("server.pem"), &other.certificate).unwrap();
    let error = pki.files().read().err().expect("the key is still the old one");
    assert_eq!(error.file, TlsFile::Key);
    assert!(error.to_string().contains("server.key: does not fit the certificate"), "{error}");
    assert_eq!(shown(&bench, &connector).await, der(&fresh));
}

#[tokio::test]
async fn the_end_of_the_certificate_is_a_metric() {
    let pki = Pki::new();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    pki.serve(&pki.make(&params));
    let bench = served(pki.files()).await;
    let start = "portcullis_tls_certificate_expiry_timestamp_seconds";
    let connector = pki.connecting(None, H1);
    assert_eq!(metric(&bench, &connector, start).await, Some(4_102_444_800));
    pki.serve(&pki.server("localhost"));
    bench.tls.as_ref().unwrap().replace(pki.files().read().unwrap());
    assert_ne!(metric(&bench, &connector, start).await, Some(4_102_444_800));
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_to_do() {
    let pki = Pki::new();
    let good = pki.mutual(true);
    let says = |files: &TlsFiles| {
        let error = files.read().err().expect("they cannot be used");
        (error.file, error.to_string())
    };
    let write = |name: &str, text: &str| {
        fs::write(pki.path(name), text).unwrap();
        pki.path(name)
    };
    let missing = pki.path("missing.pem");
    let cases: [(TlsFiles, TlsFile, &str); 8] = [
        (
            TlsFiles { certificate: missing.clone(), ..good.clone() },
            TlsFile::Certificate,
            "missing.pem: cannot be read",
        ),
        (TlsFiles { key: missing.clone(), ..good.clone() }, TlsFile::Key, "missing.pem: cannot be read"),
        (TlsFiles { client_ca: Some(missing), ..good.clone() }, TlsFile::ClientCa, "missing.pem: cannot be read"),
        (TlsFiles { certificate: good.key.clone(), ..good.clone() }, TlsFile::Certificate, "holds no certificate"),
        (TlsFiles { key: good.certificate.clone(), ..good.clone() }, TlsFile::Key, "holds no private key"),
        (
            TlsFiles { certificate: write("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"), ..good.clone() },
            TlsFile::Certificate,
            "torn.pem: is not PEM",
        ),
        (
            TlsFiles {
                client_ca: Some(write("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
                ..good.clone()
            },
            TlsFile::ClientCa,
            "junk.pem: cannot be used",
        ),
        (TlsFiles { certificate: pki.folder.path().to_owned(), ..good.clone() }, TlsFile::Certificate, "is not a file"),
    ];
    for (files, file, text) in cases {
        let (which, error) = says(&files);
        assert_eq!(which, file, "{error}");
        assert!(error.contains(text), "{error}");
        assert!(!error.contains("PRIVATE KEY-----"), "{error}");
    }
}

#[test]
fn an_expired_certificate_and_a_key_for_everybody_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let pki = Pki::new();
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    chmod(&pki.files().key, 0o640);
    assert!(pki.files().read().unwrap().warnings.is_empty());
    chmod(&pki.files().key, 0o644);
    let warnings = pki.files().read().unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("chmod 600"), "{warnings:?}");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    pki.serve(&pki.make(&params));
    chmod(&pki.files().key, 0o600);
    let warnings = pki.files().read().unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("expired"), "{warnings:?}");
}

#[tokio::test]
async fn events_stream_over_http2() {
    let pki = Pki::new();
    let bench = served(pki.files()).await;
    let mut asking = Asking::new(&bench, &pki.connecting(None, H2)).await;
    let stream = asking.send("GET", "/v1/events", AGENT, "").await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut body = stream.into_body();
    // On the same connection, beside the stream.
    let (_, answer) = asking.inspect(AGENT).await;
    let id = answer["id"].as_str().unwrap().to_owned();
    let seen = async {
        let mut text = String::new();
        while !text.contains(&id) {
            let frame = body.frame().await.expect("the stream goes on").unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.expect("the call is an event");
}

/// Never answers, and tells when its caller has left.
struct Waiting(mpsc::UnboundedSender<&'static str>);

struct Told<'a>(&'a Waiting);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.0.send("left").unwrap();
    }
}

impl Mount for Waiting {
    fn prefix(&self) -> &'static str {
        "/waiting"
    }

    fn handle(&self, _: Request<RequestBody>, _: PeerInfo) -> BoxFuture<'_, Reply> {
        Box::pin(async {
            let _told = Told(self);
            self.0.send("here").unwrap();
            pending::<()>().await;
            Response::new(Body::empty())
        })
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_call_over_both_protocols() {
    let pki = Pki::new();
    let (told, mut telling) = mpsc::unbounded_channel();
    let mounts: Vec<Arc<dyn Mount>> = vec![Arc::new(Waiting(told))];
    let bench = Bench::with(Setup { tls: Some(pki.files()), mounts, ..Setup::default() }).await;
    let mut heard = async |word| {
        let heard = tokio::time::timeout(Duration::from_secs(20), telling.recv()).await;
        assert_eq!(heard.expect("in time"), Some(word));
    };

    // Says goodbye in TLS and closes: its goodbye must not hide that it has gone.
    let mut polite = connect(&bench, &pki.connecting(None, H1)).await.unwrap();
    polite.write_all(b"GET /waiting HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    heard("here").await;
    polite.shutdown().await.unwrap();
    drop(polite);
    heard("left").await;

    // Only the connection breaks.
    let mut rude = connect(&bench, &pki.connecting(None, H1)).await.unwrap();
    rude.write_all(b"GET /waiting HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    heard("here").await;
    drop(rude);
    heard("left").await;

    // One stream is given up; the connection and the other stream live on.
    let mut asking = Asking::new(&bench, &pki.connecting(None, H2)).await;
    {
        let waiting = asking.send("GET", "/waiting", "", "");
        tokio::select! {
            _ = waiting => panic!("it never answers"),
            () = heard("here") => {}
        }
    }
    heard("left").await;
    assert_eq!(asking.inspect(AGENT).await.0, 200);

    // The whole connection ends.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let connector = pki.connecting(None, H2);
    let mut asking = Asking::new(&bench, &connector).await;
    let leaving = async move {
        tokio::select! {
            _ = asking.send("GET", "/waiting", "", "") => panic!("it never answers"),
            _ = stopped => {}
        }
    };
    tokio::join!(leaving, async {
        heard("here").await;
        stop.send(()).unwrap();
        heard("left").await;
    });
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let pki = Pki::new();
    let server = ServerConfig { read_timeout: Duration::from_millis(300), ..Setup::default().server };
    let bench = Bench::with(Setup { tls: Some(pki.files()), server, ..Setup::default() }).await;
    // One that speaks the protocol and one that says nothing at all.
    let stream = connect(&bench, &pki.connecting(None, H2)).await.unwrap();
    let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = made.unwrap();
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request(Version::HTTP_2, "GET", "/healthz", "", "")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = tokio::time::timeout(Duration::from_secs(10), connection).await;
    ended.expect("the server closes it").unwrap().unwrap();
    let mut silent = connect(&bench, &pki.connecting(None, H2)).await.unwrap();
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut bytes)).await;
    let _ = ended.expect("the server closes it");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_an_answer_is_cut_over_http2() {
    let pki = Pki::new();
    let server = ServerConfig { write_timeout: Duration::from_millis(300), ..Setup::default().server };
    let bench = Bench::with(Setup { tls: Some(pki.files()), server, ..Setup::default() }).await;
    let stream = connect(&bench, &pki.connecting(None, H2)).await.unwrap();
    // Its windows never open again: the answer is larger, and nobody reads it.
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1024).adaptive_window(false);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let word = "x".repeat(600_000);
    let body = format!(r#"{{"tool":"t","arguments":{{"a":"SECRET","b":"{word}"}}}}"#);
    let answer = sender.send_request(request(Version::HTTP_2, "POST", "/v1/inspect", AGENT, &body)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = tokio::time::timeout(Duration::from_secs(10), connection).await;
    let _ = ended.expect("the server cuts it").unwrap();
    assert!(answer.into_body().collect().await.is_err(), "it is not whole");
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight_over_http2() {
    let pki = Pki::new();
    let mut bench = served(pki.files()).await;
    let mut asking = Asking::new(&bench, &pki.connecting(None, H2)).await;
    assert_eq!(asking.inspect(AGENT).await.0, 200);
    let body = r#"{"tool":"t","arguments":"REVIEW","wait_ms":600000}"#;
    let held = asking.ask("POST", "/v1/inspect", AGENT, body);
    let (held, ()) = tokio::join!(held, async {
        while bench.approvals.list("acme", None, None, 10, 0).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bench.stop();
    });
    assert_eq!((held.0, held.1["verdict"].as_str()), (200, Some("review")));
    assert_eq!(bench.stopped().await, portcullis_gateway::http::Drained::Complete);
}

#[tokio::test]
async fn the_command_lines_own_port_answers_only_with_its_secret() {
    let pki = Pki::new();
    let setup = Setup { tls: Some(pki.mutual(true)), local: Some("the secret"), ..Setup::default() };
    let bench = Bench::with(setup).await;
    let local = bench.local.unwrap();
    assert!(local.ip().is_loopback());
    let ask = async |control: &str| {
        let mut client = Client(TcpStream::connect(local).await.unwrap());
        let head = format!(
            "GET /v1/ledger/head HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {VIEWER}\r\n{control}\r\n"
        );
        client.0.write_all(head.as_bytes()).await.unwrap();
        client.answer().await.status
    };
    assert_eq!(ask("x-portcullis-control: the secret\r\n").await, 200);
    assert_eq!(ask("x-portcullis-control: another\r\n").await, 403);
    assert_eq!(ask("").await, 403, "a token alone is not enough");
}
