//! `[[channel]]`: how people are told of parked calls.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Place};

/// One way to tell people of parked calls, named by the router's plans. `url`, `url_env` and `url_file` exclude each other, as
/// do `secret_env` and `secret_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Channel {
    /// Name by which routers' plans call it.
    pub name: String,
    /// What it is: `webhook` (JSON for programs, signed), `slack`, `chat` (text for another chat's incoming webhook) or `mail`.
    pub kind: ChannelKind,
    /// Tenants whose calls it tells of. Default: all.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Address that messages are posted to: `https`, or `http` within `networks`. Not for `mail`.
    pub url: Option<String>,
    /// Name of the environment variable with that address, where it is a secret itself.
    pub url_env: Option<String>,
    /// File with that address, read again for every message. A relative path starts at the configuration file.
    pub url_file: Option<PathBuf>,
    /// Name of the environment variable with its secret: the key that signs a `webhook` (at least 16 bytes), the signing secret of
    /// a `slack` app with buttons, the password of a `mail` server.
    pub secret_env: Option<String>,
    /// File with that secret, read again for every message. A relative path starts at the configuration file.
    pub secret_file: Option<PathBuf>,
    /// Hosts that may be reached: `hooks.example.com`, `*.example.com`. Default: the one of its own address, and for `slack` also
    /// `hooks.slack.com`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Networks that may be reached although they are not public, for instance `10.1.0.0/16`. Addresses of this machine, this site and
    /// this link are refused otherwise, whatever name leads to them.
    #[serde(default)]
    pub networks: Vec<String>,
    /// File with certificates (PEM) of the authorities that the receiver's certificate must come from, read when the configuration
    /// is. Default: the public ones. A relative path starts at the configuration file.
    pub ca: Option<PathBuf>,
    /// Operator as whom the decision link in a `webhook` or `chat` message decides: whoever reads the message can. Default: no link.
    pub operator: Option<String>,
    /// For `slack`: operators by Slack's user id (`U024BE7LH = "ann"`), who may press the buttons. For `mail`: operators by
    /// recipient, as whom the decision link in that recipient's mail decides.
    #[serde(default)]
    pub operators: BTreeMap<String, String>,
    /// For `chat`: the member of the JSON object that holds the text. Default: `text`.
    pub field: Option<String>,
    /// For `mail`: the server and the addresses.
    pub smtp: Option<Smtp>,
    /// Tries before a message is dead; pauses begin at 1 second and grow to 5 minutes, so 40 tries take about two hours.
    #[serde(default = "forty")]
    pub attempts: u32,
    /// Seconds that one try may take.
    #[serde(default = "super::ten")]
    pub timeout_seconds: u64,
}

/// What a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChannelKind {
    /// JSON for programs, signed.
    Webhook,
    /// An incoming webhook of Slack, with buttons.
    Slack,
    /// An incoming webhook of another chat.
    Chat,
    /// E-mail by SMTP.
    Mail,
}

/// A mail server and the addresses.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smtp {
    /// Host name of the mail server.
    pub host: String,
    /// Its port. Default: 465, 587 or 25, by `tls`.
    pub port: Option<u16>,
    /// `wrapped` (TLS from the first byte), `starttls` (required) or `none` (only within `networks`).
    #[serde(default)]
    pub tls: SmtpTls,
    /// User name, if it wants a login; the password is the channel's secret.
    pub username: Option<String>,
    /// Who the mails come from: `portcullis@example.com` or `Portcullis <portcullis@example.com>`.
    pub from: String,
    /// Who gets them: 1 to 32 addresses. Each gets a mail of its own.
    pub to: Vec<String>,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SmtpTls {
    /// TLS from the first byte.
    #[default]
    Wrapped,
    /// STARTTLS, required.
    StartTls,
    /// No TLS.
    None,
}

fn forty() -> u32 {
    40
}

impl Channel {
    /// Makes its paths start at the configuration file's folder.
    pub(super) fn relative_to(&mut self, place: &Place) {
        for path in [&mut self.url_file, &mut self.secret_file, &mut self.ca].into_iter().flatten() {
            *path = place.relative(path);
        }
    }

    /// What fits together; addresses and networks are checked where they are used.
    pub(super) fn check(&self, key: &str, place: &Place) -> Result<(), ConfigError> {
        let wrong = |name: &str, why: &str| Err(place.error(&format!("{key}{name}"), why));
        let addresses = usize::from(self.url.is_some())
            + usize::from(self.url_env.is_some())
            + usize::from(self.url_file.is_some());
        let secrets = usize::from(self.secret_env.is_some()) + usize::from(self.secret_file.is_some());
        let mail = self.kind == ChannelKind::Mail;
        if addresses != usize::from(!mail) {
            let why =
                if mail { "a mail channel has no url" } else { "give exactly one of `url`, `url_env`, `url_file`" };
            return wrong("", why);
        }
        if secrets > 1 {
            return wrong("", "give only one of `secret_env` and `secret_file`");
        }
        if mail != self.smtp.is_some() {
            return wrong(".smtp", "a mail channel has it, others have not");
        }
        if self.field.is_some() && self.kind != ChannelKind::Chat {
            return wrong(".field", "only a chat channel has it");
        }
        if self.operator.is_some() && !matches!(self.kind, ChannelKind::Webhook | ChannelKind::Chat) {
            return wrong(".operator", "only webhook and chat channels have it; use `operators`");
        }
        if !self.operators.is_empty() && !matches!(self.kind, ChannelKind::Slack | ChannelKind::Mail) {
            return wrong(".operators", "only slack and mail channels have them; use `operator`");
        }
        let login = self.smtp.as_ref().is_some_and(|smtp| smtp.username.is_some());
        match self.kind {
            ChannelKind::Webhook if secrets == 0 => {
                wrong("", "give `secret_env` or `secret_file`: the key that its messages are signed with")
            }
            ChannelKind::Slack if (secrets == 1) == self.operators.is_empty() => wrong(
                "",
                "buttons need both: `operators`, and the app's signing secret in `secret_env` or `secret_file`",
            ),
            ChannelKind::Chat if secrets == 1 => wrong("", "a chat channel has no secret but its address"),
            ChannelKind::Mail if (secrets == 1) != login => {
                wrong("", "a login needs both: `smtp.username`, and the password in `secret_env` or `secret_file`")
            }
            _ if !(1..=1000).contains(&self.attempts) => wrong(".attempts", "give 1 to 1000"),
            _ if !(1..=60).contains(&self.timeout_seconds) => wrong(".timeout_seconds", "give 1 to 60 seconds"),
            _ => {
                let recipients = self.smtp.iter().flat_map(|smtp| &smtp.to);
                let known: Vec<&String> = recipients.collect();
                match self.operators.keys().find(|one| mail && !known.contains(one)) {
                    Some(one) => wrong(".operators", &format!("{one:?} is none of the recipients in `smtp.to`")),
                    None => Ok(()),
                }
            }
        }
    }
}
