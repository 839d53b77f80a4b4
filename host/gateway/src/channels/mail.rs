//! E-mail over SMTP: plain text, one mail for each recipient, because each gets a link of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use uuid::Uuid;

use super::telling::Telling;
use super::{ChannelError, SendError};
use crate::outbound::{TargetError, Targets};
use crate::upstream::ClientSecret;

/// Most recipients of one channel.
const MAX_RECIPIENTS: usize = 32;

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the first byte, usually on port 465.
    #[default]
    Wrapped,
    /// STARTTLS, usually on port 587; without it nothing is sent.
    StartTls,
    /// None: only within networks that are listed.
    Plain,
}

/// A mail server and what is sent over it.
pub struct MailSpec {
    /// Its host name.
    pub host: String,
    /// Its port; none: 465, 587 or 25.
    pub port: Option<u16>,
    /// How it is spoken to.
    pub tls: MailTls,
    /// User name and password, if it wants them.
    pub login: Option<(String, ClientSecret)>,
    /// Who the mails come from: `portcullis@example.com` or `Portcullis <portcullis@example.com>`.
    pub from: String,
    /// Who gets them, each with the operator as which its link decides, if any.
    pub to: Vec<(String, Option<String>)>,
}

pub(super) struct Mail {
    host: String,
    port: u16,
    tls: MailTls,
    login: Option<(String, ClientSecret)>,
    from: Mailbox,
    to: Vec<Recipient>,
    /// Recipients that have a message already, while others of it are tried again.
    sent: Mutex<HashMap<Uuid, Vec<usize>>>,
}

pub(super) struct Recipient {
    mailbox: Mailbox,
    /// The operator as which its link decides.
    pub(super) operator: Option<String>,
}

impl Mail {
    pub(super) fn new(spec: MailSpec) -> Result<Self, ChannelError> {
        let address = |text: &str| text.parse::<Mailbox>().map_err(|_| ChannelError::Address(text.to_owned()));
        let to = spec.to.into_iter().map(|(text, operator)| Ok(Recipient { mailbox: address(&text)?, operator }));
        let to = to.collect::<Result<Vec<_>, ChannelError>>()?;
        if !(1..=MAX_RECIPIENTS).contains(&to.len()) {
            return Err(ChannelError::Recipients(MAX_RECIPIENTS));
        }
        let port = spec.port.unwrap_or(match spec.tls {
            MailTls::Wrapped => 465,
            MailTls::StartTls => 587,
            MailTls::Plain => 25,
        });
        let from = address(&spec.from)?;
        Ok(Self { host: spec.host, port, tls: spec.tls, login: spec.login, from, to, sent: Mutex::default() })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Sends a message to everybody who does not have it yet. One whom the server refuses keeps nobody else from being told;
    /// where the server itself fails, the rest waits for the next try. `telling` makes it for one recipient. The error is
    /// one that another try may mend, if there is any.
    pub(super) async fn send<'a>(
        &self,
        targets: &Targets,
        id: Uuid,
        telling: impl Fn(&Recipient) -> Telling<'a>,
    ) -> Result<(), SendError> {
        let transport = self.transport(targets).await?;
        let mut problem: Option<SendError> = None;
        for (index, recipient) in self.to.iter().enumerate() {
            if self.sent().get(&id).is_some_and(|sent| sent.contains(&index)) {
                continue;
            }
            let telling = telling(recipient);
            let mail = self.mail(id, index, recipient, &telling).map_err(|error| SendError::refused(&error))?;
            let sent = tokio::time::timeout(targets.timeout(), transport.send(mail)).await;
            let error = match sent.map_err(|_| SendError::again(&TargetError::TooSlow(self.host.clone())))? {
                Ok(_) => {
                    self.sent().entry(id).or_default().push(index);
                    continue;
                }
                Err(error) if is_of_recipient(&error) => self.failed(&error),
                Err(error) => return Err(self.failed(&error)),
            };
            if problem.as_ref().is_none_or(|known| error.again && !known.again) {
                problem = Some(error);
            }
        }
        match problem {
            Some(problem) => Err(problem),
            None => {
                self.forget(id);
                Ok(())
            }
        }
    }

    /// A message is delivered or dead.
    pub(super) fn forget(&self, id: Uuid) {
        self.sent().remove(&id);
    }

    fn mail(
        &self,
        id: Uuid,
        index: usize,
        recipient: &Recipient,
        telling: &Telling<'_>,
    ) -> Result<Message, lettre::error::Error> {
        let domain = self.from.email.domain();
        Message::builder()
            .message_id(Some(format!("<{id}.{index}@{domain}>")))
            .from(self.from.clone())
            .to(recipient.mailbox.clone())
            .subject(format!("[portcullis] {}", telling.title()))
            .header(ContentType::TEXT_PLAIN)
            .body(telling.text())
    }

    /// A connection to one of the server's addresses that were checked; its certificate is that of the name.
    async fn transport(&self, targets: &Targets) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
        let pinned = targets.pin(&self.host, self.port).await?;
        let parameters = || self.parameters(targets).map_err(|error| SendError::refused(&error));
        let tls = match self.tls {
            MailTls::Wrapped => Tls::Wrapper(parameters()?),
            MailTls::StartTls => Tls::Required(parameters()?),
            MailTls::Plain if pinned.internal => Tls::None,
            MailTls::Plain => {
                let why = "mail without TLS is only sent within listed networks, and the server is beyond them";
                return Err(SendError::refused(&why));
            }
        };
        let address = pinned.reachable().await?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
            .port(self.port)
            .timeout(Some(targets.timeout()))
            .tls(tls);
        if let Some((user, password)) = &self.login {
            let password = password.reveal().await.map_err(|problem| SendError::again(&problem))?;
            builder = builder.credentials(Credentials::new(user.clone(), password.as_str().to_owned()));
        }
        Ok(builder.build())
    }

    fn parameters(&self, targets: &Targets) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(authorities) = targets.authorities() {
            parameters = parameters.certificate_store(CertificateStore::None);
            for authority in authorities {
                parameters = parameters.add_root_certificate(Certificate::from_der(authority.to_vec())?);
            }
        }
        parameters.build_rustls()
    }

    /// The server's code and nothing of its words, which may repeat what it was sent.
    fn failed(&self, error: &lettre::transport::smtp::Error) -> SendError {
        let what = match error.status() {
            Some(code) => format!("the mail server {} answered {code}", self.host),
            None if error.is_tls() || is_tls(error) => format!("TLS with the mail server {} failed", self.host),
            None if error.is_client() => {
                format!("the mail server {} does not offer what is wanted (TLS, login)", self.host)
            }
            None => format!("the mail server {} did not answer properly", self.host),
        };
        if error.is_permanent() { SendError::refused(&what) } else { SendError::again(&what) }
    }

    fn sent(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Vec<usize>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether TLS is why a connection failed: that comes as an error of the connection.
fn is_tls(error: &lettre::transport::smtp::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let io = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if io.is_some_and(|io| io.is::<rustls::Error>()) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Whether the server refused this mail, and not us: a status that is none about logins (RFC 4954).
fn is_of_recipient(error: &lettre::transport::smtp::Error) -> bool {
    error.status().is_some_and(|code| !matches!(u16::from(code), 421 | 432 | 454 | 530 | 534 | 535 | 538))
}
