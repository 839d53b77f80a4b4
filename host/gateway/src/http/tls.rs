//! TLS of the listener: certificate, key and the authorities of client certificates, exchanged while it runs; and who a
//! client is by its certificate.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use portcullis_tenancy::SpiffeId;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, InconsistentKeys, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use crate::metrics::Metrics;
use crate::ports::PeerIdentity;

/// Most bytes of a file.
const MOST: u64 = 1 << 20;
/// What is offered in ALPN, the better one first.
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// The files that a listener is served with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM, without passphrase.
    pub key: PathBuf,
    /// Certificates of the authorities that client certificates are verified against; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused.
    pub client_required: bool,
}

/// Files that were read and fit together.
pub struct TlsMaterial {
    config: Arc<rustls::ServerConfig>,
    expires: SystemTime,
    /// What is not as it should be, but no reason to refuse: an expired certificate, a key that others can read.
    pub warnings: Vec<String>,
}

/// Which of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// The certificate chain.
    Certificate,
    /// The private key.
    Key,
    /// The authorities of client certificates.
    ClientCa,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct TlsError {
    /// Which of them.
    pub file: TlsFile,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: TlsProblem,
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsProblem {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is too large.
    #[error("is larger than {MOST} bytes; this is no certificate or key")]
    TooLarge,
    /// There is no certificate in it.
    #[error(
        "holds no certificate in PEM (BEGIN CERTIFICATE); the key has a file of its own, and in a chain the server's own certificate comes first"
    )]
    NoCertificate,
    /// There is no key in it.
    #[error("holds no private key; give one in PEM without a passphrase (BEGIN PRIVATE KEY)")]
    NoKey,
    /// The PEM text is damaged.
    #[error("is not PEM: {0}")]
    Pem(String),
    /// The key belongs to another certificate.
    #[error("does not fit the certificate; give the key that the certificate was made for")]
    KeyMismatch,
    /// It cannot be used.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

impl TlsFiles {
    /// Reads the files and checks that they fit together. Blocking.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn read(&self) -> Result<TlsMaterial, TlsError> {
        let mut warnings = Vec::new();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(TlsFile::Certificate, &self.certificate)?;
        let unusable = |what: &dyn fmt::Display| {
            wrong(TlsFile::Certificate, &self.certificate, TlsProblem::Unusable(what.to_string()))
        };
        let first = chain.first().ok_or_else(|| unusable(&"it is empty"))?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|error| unusable(&error))?;
        let valid = parsed.validity();
        let (starts, expires) = (time(valid.not_before.timestamp()), time(valid.not_after.timestamp()));
        let now = SystemTime::now();
        if expires <= now {
            let text = format!("{}: the certificate has expired; clients will refuse it", self.certificate.display());
            warnings.push(text);
        } else if starts > now {
            let text = format!("{}: the certificate is not valid yet", self.certificate.display());
            warnings.push(text);
        }
        let key = self.private_key(&mut warnings)?;
        let verifier = self.verifier(&provider)?;
        let wrong_key = |problem| wrong(TlsFile::Key, &self.key, problem);
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => wrong_key(TlsProblem::KeyMismatch),
            error => wrong_key(TlsProblem::Unusable(error.to_string())),
        })?;
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
        let mut config = match verifier {
            Some(verifier) => {
                let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
                // A resumed session would not look at the client's certificate again.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config
            }
            None => builder.with_no_client_auth().with_cert_resolver(resolver),
        };
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        Ok(TlsMaterial { config: Arc::new(config), expires, warnings })
    }

    fn private_key(&self, warnings: &mut Vec<String>) -> Result<PrivateKeyDer<'static>, TlsError> {
        let text = bytes(TlsFile::Key, &self.key)?;
        let mode = fs::metadata(&self.key).map_or(0, |meta| meta.permissions().mode());
        if mode & 0o004 != 0 {
            warnings.push(format!("{}: everybody on this machine can read the key; chmod 600", self.key.display()));
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            wrong(
                TlsFile::Key,
                &self.key,
                match error {
                    rustls::pki_types::pem::Error::NoItemsFound => TlsProblem::NoKey,
                    error => TlsProblem::Pem(error.to_string()),
                },
            )
        })
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let Some(path) = &self.client_ca else { return Ok(None) };
        let unusable = |what: &dyn fmt::Display| wrong(TlsFile::ClientCa, path, TlsProblem::Unusable(what.to_string()));
        let mut roots = RootCertStore::empty();
        for certificate in certificates(TlsFile::ClientCa, path)? {
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        if !self.client_required {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|error| unusable(&error))?;
        Ok(Some(Arc::new(OneIdentity(verifier))))
    }
}

fn wrong(file: TlsFile, path: &Path, problem: TlsProblem) -> TlsError {
    TlsError { file, path: path.to_owned(), problem }
}

fn bytes(file: TlsFile, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |error| wrong(file, path, TlsProblem::Unreadable(error));
    // A pipe would have us wait.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    let read = fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    match read.map_err(unreadable)? as u64 {
        0..=MOST => Ok(bytes),
        _ => Err(wrong(file, path, TlsProblem::TooLarge)),
    }
}

fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = bytes(file, path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => Err(wrong(file, path, TlsProblem::NoCertificate)),
        Ok(all) => Ok(all),
        Err(error) => Err(wrong(file, path, TlsProblem::Pem(error.to_string()))),
    }
}

fn time(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// What a listener's handshakes are made with; exchanged as a whole.
pub struct Tls {
    current: ArcSwap<rustls::ServerConfig>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// With these files. The metrics learn when the certificate ends.
    #[must_use]
    pub fn new(material: TlsMaterial, metrics: Arc<Metrics>) -> Self {
        metrics.certificate_expires(material.expires);
        Self { current: ArcSwap::new(material.config), metrics }
    }

    /// Puts others in force: the next handshake sees them. Connections live on with what they began with.
    pub fn replace(&self, material: TlsMaterial) {
        self.metrics.certificate_expires(material.expires);
        self.current.store(material.config);
    }

    pub(super) async fn accept<S>(&self, stream: S, within: Duration) -> Result<Accepted<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(self.current.load_full()).accept(stream);
        let stream = tokio::time::timeout(within, handshake).await.map_err(|_| HandshakeError::TooSlow)??;
        let (_, session) = stream.get_ref();
        let protocol = if session.alpn_protocol() == Some(HTTP_2) { Protocol::Http2 } else { Protocol::Http1 };
        let own = session.peer_certificates().and_then(|chain| chain.first());
        let identity = own.and_then(|certificate| identity(certificate).ok().flatten());
        Ok(Accepted { stream, protocol, identity })
    }
}

/// A connection after its handshake.
pub(super) struct Accepted<S> {
    pub(super) stream: TlsStream<S>,
    pub(super) protocol: Protocol,
    /// Who the client is by its certificate.
    pub(super) identity: Option<PeerIdentity>,
}

/// What was agreed on with ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the client did not finish in time")]
    TooSlow,
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl HandshakeError {
    /// The cause as metrics name it.
    pub(super) fn cause(&self) -> &'static str {
        let Self::Failed(error) = self else { return "timeout" };
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            None => "closed",
            Some(rustls::Error::InvalidMessage(_)) => "not_tls",
            Some(rustls::Error::NoCertificatesPresented) => "no_client_certificate",
            Some(rustls::Error::InvalidCertificate(_)) => "client_certificate",
            Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => "incompatible",
            // The client does not trust our certificate, for the most part.
            Some(rustls::Error::AlertReceived(_)) => "refused_by_client",
            Some(_) => "other",
        }
    }
}

/// Verifies client certificates as WebPKI does, and then that they name at most one workload.
#[derive(Debug)]
struct OneIdentity(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for OneIdentity {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        identity(end_entity).map_err(rustls::Error::InvalidCertificate)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The workload that a certificate names, by the rules of the X.509-SVID standard (sections 2 to 5): one URI in all, which
/// is a SPIFFE id with a path, and a certificate that signs no others. A certificate without a SPIFFE id names nobody.
fn identity(certificate: &CertificateDer<'_>) -> Result<Option<PeerIdentity>, CertificateError> {
    let refused = || CertificateError::ApplicationVerificationFailure;
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let names = parsed.subject_alternative_name().map_err(|_| refused())?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    // A name that cannot be read might be one.
    if names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
        return Err(refused());
    }
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let Some(uri) = uris.next() else { return Ok(None) };
    if uris.next().is_some() {
        return Err(refused());
    }
    // Schemes are written in any case; such an id is refused, not taken for another kind of URI.
    if !uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:")) {
        return Ok(None);
    }
    let spiffe = SpiffeId::parse(uri).ok_or_else(refused)?;
    let constraints = parsed.basic_constraints().map_err(|_| refused())?;
    let usage = parsed.key_usage().map_err(|_| refused())?;
    let authority = constraints.is_some_and(|constraints| constraints.value.ca);
    let signs = usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    if authority || signs {
        return Err(refused());
    }
    Ok(Some(PeerIdentity { spiffe, valid_until: time(parsed.validity().not_after.timestamp()) }))
}
