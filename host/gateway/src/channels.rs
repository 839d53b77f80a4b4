//! How people hear of parked calls, and answer outside the API.
//!
//! The router's plan names channels; the [outbox](portcullis_approvals::Outbox) holds a message for each, durable with the
//! change that it is about. [`Channels`] sends them: at least once, with pauses that grow, each channel by itself. What
//! cannot be sent stays in the outbox as dead, with the reason.
//!
//! A message says who wants what and why it waits, never with which arguments. It may carry a decision link, bound to
//! one approval, call digest and operator, good once and until the deadline; opening it decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::header::HeaderMap;
use hyper::{StatusCode, Uri};
use portcullis_approvals::{Approval, Backoff, Ballot, DecideError, Message, MessageKind, State};
use portcullis_ledger::Record;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::gate::{Gate, GateError, VoteError, now_ms};
use crate::http::Reply;
use crate::outbound::{Answered, TargetError, Targets, host_of};
use crate::ports::{Keep, OperatorIdentity};
use crate::upstream::ClientSecret;
use link::{Bound, Purpose};
use mail::Mail;
use slack::Pressed;
use telling::Telling;

pub use link::LinkKey;
pub use mail::{MailSpec, MailTls};

mod chat;
mod link;
mod mail;
mod page;
mod slack;
mod telling;
mod webhook;

/// Messages of one channel that are sent at a time: one that hangs holds up no other, and each only so many tasks.
const AT_ONCE: usize = 4;
/// Most channels of a configuration.
const MAX_CHANNELS: usize = 256;
/// Longest time one try may take in all, whatever it does.
const LONGEST_TRY: Duration = Duration::from_secs(180);
/// Longest sleep of the sender: a clock that was set back must not make it sleep for hours.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// How long a decision link is good at most; never past the deadline.
const LINK_LIFE_MS: u64 = 24 * 3600 * 1000;
/// Answers that are shown in Slack at a time.
const SHOWN_AT_ONCE: usize = 8;
/// Least bytes of a secret that signs.
const MIN_SECRET: usize = 16;
/// Where Slack has its hooks.
const SLACK_HOST: &str = "hooks.slack.com";

/// A channel, as configured.
pub struct ChannelSpec {
    /// Its name in routers' plans.
    pub name: String,
    /// Tenants that it serves; all without any.
    pub tenants: Vec<String>,
    /// How it tells.
    pub via: Via,
    /// Where its messages may go. Without any host: to the one of its address.
    pub targets: Targets,
    /// When it tries again.
    pub backoff: Backoff,
}

/// How a channel tells.
pub enum Via {
    /// JSON, signed.
    Webhook {
        /// Where it goes.
        url: ClientSecret,
        /// What signs it, at least 16 bytes.
        key: ClientSecret,
        /// As whom its link decides; no link without one.
        operator: Option<String>,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// Where it goes.
        url: ClientSecret,
        /// The signing secret of the app, for its buttons.
        signing: Option<ClientSecret>,
        /// Operators by Slack's user ids.
        operators: BTreeMap<String, String>,
    },
    /// An incoming webhook of another chat.
    Chat {
        /// Where it goes.
        url: ClientSecret,
        /// The member that holds the text.
        field: String,
        /// As whom its link decides; no link without one.
        operator: Option<String>,
    },
    /// E-mail.
    Mail(MailSpec),
}

/// What is wrong with a configured channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Not an e-mail address.
    #[error("{0:?} is no e-mail address")]
    Address(String),
    /// No recipient, or too many.
    #[error("give 1 to {0} recipients")]
    Recipients(usize),
    /// Two channels that a plan cannot tell apart.
    #[error("the name is taken by another channel of the same tenant")]
    Duplicate,
    /// No name.
    #[error("a name has 1 to 256 bytes")]
    Name,
    /// Too many of them.
    #[error("at most {MAX_CHANNELS} channels")]
    TooMany,
    /// A secret or address that cannot be read, or is too short to sign with.
    #[error("the {0} cannot be used: {1}")]
    Secret(&'static str, String),
    /// An address that nothing may be sent to.
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// The configured channels, checked.
pub struct ChannelSet(Vec<Arc<Channel>>);

/// Sends what is in the outbox, and takes the answers that come back by links and buttons.
pub struct Channels {
    gate: Arc<Gate>,
    keep: Arc<dyn Keep>,
    key: LinkKey,
    /// Under which address people reach this server.
    public_url: Option<String>,
    live: ArcSwap<ChannelSet>,
    delivered: AtomicU64,
    showing: Arc<Semaphore>,
}

struct Channel {
    name: String,
    tenants: Vec<String>,
    via: Way,
    targets: Targets,
    backoff: Backoff,
}

enum Way {
    Webhook { url: ClientSecret, key: ClientSecret, operator: Option<String> },
    Slack { url: ClientSecret, signing: Option<ClientSecret>, operators: BTreeMap<String, String> },
    Chat { url: ClientSecret, field: String, operator: Option<String> },
    Mail(Box<Mail>),
}

/// Why a try did not deliver.
#[derive(Debug)]
struct SendError {
    why: String,
    /// Whether another try could fare better.
    again: bool,
    /// How long the receiver wants to be left alone.
    after: Option<Duration>,
}

/// Why an answer by a link or button has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum AnswerError {
    #[error("It was not made by this server, or is not whole. Nothing was decided.")]
    Forged,
    #[error("It has expired. Nothing was decided by it.")]
    Expired,
    #[error("This server does not keep the approval any more. Nothing was decided.")]
    Gone,
    #[error("The call is not the one that was shown with it any more. Nothing was decided.")]
    Changed,
    #[error("It was used, or its owner has decided in another way. A link is good once.")]
    Used,
    #[error("The approval is {} already. Nothing was changed.", .0.as_str())]
    Ended(State),
    #[error("Its owner is no operator of this server any more. Nothing was decided.")]
    NoOperator,
    #[error("Nothing was decided: {0}.")]
    Refused(String),
    #[error("Another answer is being recorded at this moment. Nothing was decided by this one; try again.")]
    Busy,
    #[error("The decision could not be recorded, so it does not count: {0}.")]
    Unrecorded(String),
}

impl fmt::Debug for ChannelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ChannelSet {
    /// No channel.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Checks the configured channels.
    ///
    /// # Errors
    /// What is wrong, and with which one by its position.
    pub fn new(specs: Vec<ChannelSpec>) -> Result<Self, (usize, ChannelError)> {
        let mut channels: Vec<Arc<Channel>> = Vec::new();
        for (index, spec) in specs.into_iter().enumerate() {
            let wrong = |error| (index, error);
            if index >= MAX_CHANNELS {
                return Err(wrong(ChannelError::TooMany));
            }
            let channel = Channel::new(spec).map_err(wrong)?;
            if channels.iter().any(|other| other.clashes(&channel)) {
                return Err(wrong(ChannelError::Duplicate));
            }
            channels.push(Arc::new(channel));
        }
        Ok(Self(channels))
    }

    fn find(&self, tenant: &str, name: &str) -> Option<&Arc<Channel>> {
        self.0.iter().find(|channel| channel.name == name && channel.serves(tenant))
    }
}

impl Channel {
    fn new(spec: ChannelSpec) -> Result<Self, ChannelError> {
        let ChannelSpec { name, tenants, via, mut targets, backoff } = spec;
        if name.is_empty() || name.len() > 256 {
            return Err(ChannelError::Name);
        }
        let own = targets.is_empty();
        let via = match via {
            Via::Webhook { url, key, operator } => Way::Webhook { url, key, operator },
            Via::Slack { url, signing, operators } => Way::Slack { url, signing, operators },
            Via::Chat { url, field, operator } => Way::Chat { url, field, operator },
            Via::Mail(spec) => Way::Mail(Box::new(Mail::new(spec)?)),
        };
        if let Way::Webhook { key: secret, .. } | Way::Slack { signing: Some(secret), .. } = &via {
            let text = secret.look().and_then(long_enough);
            drop(text.map_err(|problem| ChannelError::Secret("secret", problem))?);
        }
        // An address that stands in the configuration lists its host by itself; that of one in a file, which may change, is
        // listed whenever it is read.
        match &via {
            Way::Mail(mail) if own => targets = targets.with_host(mail.host()),
            Way::Mail(_) => {}
            Way::Slack { url, .. } | Way::Webhook { url, .. } | Way::Chat { url, .. } => {
                let text = url.look().map_err(|problem| ChannelError::Secret("address", problem))?;
                let known = read_url(&text)?;
                let listed = if own { targets.clone().with_host(host_of(&known)) } else { targets.clone() };
                listed.check(&known)?;
                if matches!(url, ClientSecret::Text(_)) {
                    targets = listed;
                }
                if matches!(via, Way::Slack { .. }) && own {
                    targets = targets.with_host(SLACK_HOST);
                }
            }
        }
        Ok(Self { name, tenants, via, targets, backoff })
    }

    fn serves(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.iter().any(|own| own == tenant)
    }

    fn clashes(&self, other: &Self) -> bool {
        let both = |tenants: &[String]| tenants.is_empty() || tenants.iter().any(|tenant| self.serves(tenant));
        self.name == other.name && (self.tenants.is_empty() || both(&other.tenants))
    }

    /// The address, and the targets with its host if it may go there because it stands in a file of the configuration.
    async fn address(&self, url: &ClientSecret) -> Result<(Uri, Targets), SendError> {
        let text = url.reveal().await.map_err(|problem| SendError::again(&problem))?;
        let url = read_url(&text).map_err(|error| SendError::refused(&error))?;
        let mut targets = self.targets.clone();
        if targets.is_empty() {
            targets = targets.with_host(host_of(&url));
        }
        Ok((url, targets))
    }
}

fn read_url(text: &str) -> Result<Uri, TargetError> {
    text.trim().parse().map_err(|_| TargetError::Address("cannot be read"))
}

impl SendError {
    fn refused(why: &dyn fmt::Display) -> Self {
        Self { why: why.to_string(), again: false, after: None }
    }

    fn again(why: &dyn fmt::Display) -> Self {
        Self { why: why.to_string(), again: true, after: None }
    }
}

impl From<TargetError> for SendError {
    fn from(error: TargetError) -> Self {
        Self { why: error.to_string(), again: !error.is_refusal(), after: None }
    }
}

/// A receiver took a message if it says so with a status from 200 to 299.
fn accepted(answer: &Answered) -> Result<(), SendError> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    Err(SendError { why: format!("the receiver answered {}", answer.status), again: true, after: answer.retry_after })
}

impl Channels {
    /// Over a gate, with the records kept by `keep`. `public_url` is where people reach this server: without it messages
    /// have no links.
    #[must_use]
    pub fn new(
        gate: Arc<Gate>,
        keep: Arc<dyn Keep>,
        key: LinkKey,
        public_url: Option<String>,
        channels: ChannelSet,
    ) -> Arc<Self> {
        Arc::new(Self {
            gate,
            keep,
            key,
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
            live: ArcSwap::from_pointee(channels),
            delivered: AtomicU64::new(0),
            showing: Arc::new(Semaphore::new(SHOWN_AT_ONCE)),
        })
    }

    /// Puts other channels in force: the next try goes by them.
    pub fn replace(&self, channels: ChannelSet) {
        self.live.store(Arc::new(channels));
    }

    /// Messages delivered since the start.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Sends what is in the outbox for as long as it is polled. Run it once, beside whatever makes calls.
    pub async fn run(self: Arc<Self>) {
        let outbox = self.gate.approvals().outbox().clone();
        let mut sending = JoinSet::new();
        let mut by_task = HashMap::new();
        let mut lost = 0;
        loop {
            let now = now_ms();
            let (due, next_ms) = outbox.take(now, AT_ONCE);
            for message in due {
                let (id, channels) = (message.id, Arc::clone(&self));
                let task = sending.spawn(async move { channels.deliver(&message).await });
                by_task.insert(task.id(), id);
            }
            if outbox.lost() > lost {
                lost = outbox.lost();
                tracing::warn!(lost, "the outbox is full: some messages about parked calls are not sent");
            }
            let pause = next_ms.map_or(LONGEST_SLEEP, |next| Duration::from_millis(next.saturating_sub(now)));
            tokio::select! {
                () = outbox.changed() => {}
                Some(done) = sending.join_next_with_id() => {
                    let task = done.as_ref().map_or_else(tokio::task::JoinError::id, |(task, ())| *task);
                    let message = by_task.remove(&task);
                    if let (Err(error), Some(id)) = (done, message) {
                        tracing::error!(%error, "a message was not sent");
                        self.keep(outbox.failed(id, "the sender broke", None));
                    }
                }
                () = tokio::time::sleep(pause.clamp(Duration::from_millis(5), LONGEST_SLEEP)) => {}
            }
        }
    }

    /// An operator wants a message to be sent now. The message as it is now; none if the tenant has no such message.
    pub(crate) fn retry(&self, tenant: &str, id: Uuid) -> Option<Arc<Message>> {
        let (message, records) = self.gate.approvals().outbox().retry(tenant, id, now_ms())?;
        self.keep(records);
        Some(message)
    }

    async fn deliver(&self, message: &Message) {
        let outbox = self.gate.approvals().outbox();
        let live = self.live.load_full();
        let channel = live.find(&message.tenant, &message.channel);
        let send = tokio::time::timeout(LONGEST_TRY, self.send(channel.map(|channel| &**channel), message));
        let sent = send.await.unwrap_or_else(|_| Err(SendError::again(&"it took too long")));
        // Plans come from plugins: only configured names become labels.
        let label = channel.map_or("unknown", |channel| &channel.name);
        let records = match sent {
            Ok(()) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                self.gate.metrics().told(label, "delivered");
                outbox.delivered(message.id)
            }
            Err(error) => {
                let backoff = channel.map_or_else(Backoff::default, |channel| channel.backoff);
                let pause = backoff.pause_ms(message.attempts.saturating_add(1), jitter());
                let pause = pause.filter(|_| error.again).map(|pause| {
                    let wanted = error.after.and_then(|after| u64::try_from(after.as_millis()).ok());
                    pause.max(wanted.unwrap_or(0))
                });
                self.gate.metrics().told(label, if pause.is_some() { "failed" } else { "dead" });
                if pause.is_none() {
                    let (tenant, channel, id) = (&*message.tenant, &*message.channel, message.id);
                    tracing::warn!(tenant, channel, %id, problem = error.why, "a message about a parked call is dead");
                    if let Some(Way::Mail(mail)) = channel_way(live.find(tenant, channel)) {
                        mail.forget(id);
                    }
                }
                outbox.failed(message.id, &error.why, pause.map(|pause| now_ms().saturating_add(pause)))
            }
        };
        self.keep(records);
    }

    async fn send(&self, channel: Option<&Channel>, message: &Message) -> Result<(), SendError> {
        let channel = channel.ok_or_else(|| {
            SendError::refused(&"no [[channel]] of this name serves this tenant; configure it, then retry the message")
        })?;
        let approval = self.gate.approvals().get(&message.tenant, message.approval);
        let approval = approval.ok_or_else(|| SendError::refused(&"the approval is not kept any more"))?;
        let now_ms = now_ms();
        let telling = |operator: Option<&str>| {
            let mut telling = Telling::new(message.id, message.kind, &approval, now_ms);
            let open = message.kind != MessageKind::Decided;
            telling.link = operator.filter(|_| open).and_then(|operator| self.link(&approval, operator, now_ms));
            telling.poll = self.public_url.as_ref().map(|base| format!("{base}/v1/approvals/{}", approval.id));
            telling
        };
        match &channel.via {
            Way::Webhook { url, key, operator } => {
                let (url, targets) = channel.address(url).await?;
                let key = secret(key).await.map_err(|problem| SendError::again(&problem))?;
                let telling = telling(operator.as_deref());
                let body = serde_json::to_vec(&telling.wire()).map_err(|error| SendError::refused(&error))?;
                webhook::send(&targets, &url, key.as_bytes(), message, body, now_ms).await
            }
            Way::Slack { url, signing, operators } => {
                let (url, targets) = channel.address(url).await?;
                let button = signing.as_ref().filter(|_| !operators.is_empty()).map(|_| {
                    let by = channel.name.clone();
                    self.key.seal(Purpose::Button, &bound(&approval, by, approval.deadline_ms))
                });
                slack::send(&targets, &url, &telling(None), button.as_deref()).await
            }
            Way::Chat { url, field, operator } => {
                let (url, targets) = channel.address(url).await?;
                chat::send(&targets, &url, field, &telling(operator.as_deref())).await
            }
            Way::Mail(mail) => {
                mail.send(&channel.targets, message.id, |recipient| telling(recipient.operator.as_deref())).await
            }
        }
    }

    /// A link by which this operator decides, if the plan asks for it.
    fn link(&self, approval: &Approval, operator: &str, now_ms: u64) -> Option<String> {
        let base = self.public_url.as_ref()?;
        let identity = self.gate.operator(&approval.tenant, operator)?;
        if approval.state_at(now_ms) != State::Pending || !approval.asks(operator, &identity.roles, now_ms) {
            return None;
        }
        let expires_ms = approval.deadline_ms.min(now_ms.saturating_add(LINK_LIFE_MS));
        let sealed = self.key.seal(Purpose::Link, &bound(approval, operator.to_owned(), expires_ms));
        Some(format!("{base}/v1/decisions/{sealed}"))
    }

    fn keep(&self, records: Vec<portcullis_approvals::Record>) {
        let records = records.into_iter().map(|record| Record { key: record.key, value: record.value });
        let records: Vec<Record> = records.collect();
        // What is not written is sent again after a restart: at least once.
        if let Err(error) = self.keep.keep(&records) {
            tracing::warn!(%error, "the outbox could not be written; messages may be sent twice after a restart");
        }
    }

    /// The page behind a link. It decides nothing.
    pub(crate) fn decision_page(&self, link: &str) -> Reply {
        let now_ms = now_ms();
        let opened = self.key.open(Purpose::Link, link).ok_or(AnswerError::Forged);
        match opened.and_then(|bound| self.standing(&bound, &bound.by, now_ms)) {
            Ok((approval, operator)) => {
                let telling = Telling::new(Uuid::nil(), MessageKind::Parked, &approval, now_ms);
                page::confirmation(&telling, &operator.name)
            }
            Err(error) => refusal(&error),
        }
    }

    /// A button of that page: decides.
    pub(crate) async fn decide_by_link(&self, link: &str, form: &[u8]) -> Reply {
        let Some(bound) = self.key.open(Purpose::Link, link) else { return refusal(&AnswerError::Forged) };
        let form = std::str::from_utf8(form).unwrap_or_default();
        let approve = match slack::form_value(form, "decision").as_deref() {
            Some("approve") => true,
            Some("deny") => false,
            _ => {
                let text = "Nothing was decided. Open the link again and use one of its two buttons.";
                return page::notice(StatusCode::BAD_REQUEST, "Neither approve nor deny", text);
            }
        };
        let comment = slack::form_value(form, "comment").filter(|comment| !comment.trim().is_empty());
        match self.answer(&bound, &bound.by, approve, comment.as_deref()).await {
            Ok(approval) => page::notice(StatusCode::OK, "Recorded", &outcome(&approval, &bound.by, approve)),
            Err(error) => refusal(&error),
        }
    }

    /// An interaction of Slack: its status, and what is shown to who pressed the button.
    pub(crate) async fn slack(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, StatusCode> {
        let now_ms = now_ms();
        let text = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(value)
        };
        let signed = (text("x-slack-request-timestamp"), text("x-slack-signature"));
        let (Some(timestamp), Some(signature)) = signed else { return Err(StatusCode::UNAUTHORIZED) };
        let live = self.live.load_full();
        let mut channels = Vec::new();
        for channel in &live.0 {
            let Way::Slack { signing: Some(signing), operators, .. } = &channel.via else { continue };
            let Ok(secret) = secret(signing).await else { continue };
            if slack::is_signed(secret.as_bytes(), timestamp, signature, body, now_ms) {
                channels.push((channel, operators));
            }
        }
        if channels.is_empty() {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let pressed = slack::pressed(body).ok_or(StatusCode::BAD_REQUEST)?;
        let answered = match self.key.open(Purpose::Button, &pressed.value) {
            // The channel that showed the button is one of those of the app that sends this.
            Some(bound) => match channels.iter().find(|(one, _)| one.name == bound.by && one.serves(&bound.tenant)) {
                Some((channel, operators)) => {
                    let answered = self.answer_in_slack(&bound, operators, &pressed).await;
                    self.show(channel, &pressed, &answered);
                    answered
                }
                None => Err(AnswerError::Forged),
            },
            None => Err(AnswerError::Forged),
        };
        Ok(answered.unwrap_or_else(|error| error.to_string()))
    }

    async fn answer_in_slack(
        &self,
        bound: &Bound,
        operators: &BTreeMap<String, String>,
        pressed: &Pressed,
    ) -> Result<String, AnswerError> {
        let operator = operators.get(&pressed.user).ok_or_else(|| {
            AnswerError::Refused("your Slack user stands for no operator in the configuration of this channel".into())
        })?;
        let approval = self.answer(bound, operator, pressed.approve, None).await?;
        Ok(outcome(&approval, operator, pressed.approve))
    }

    /// Shows an answer in Slack, beside the reply to its request, which Slack does not show.
    fn show(&self, channel: &Arc<Channel>, pressed: &Pressed, answered: &Result<String, AnswerError>) {
        let Some(url) = pressed.response_url.clone() else { return };
        let Ok(place) = Arc::clone(&self.showing).try_acquire_owned() else { return };
        let (text, in_place) = match answered {
            Ok(text) => (text.clone(), true),
            Err(error @ (AnswerError::Ended(_) | AnswerError::Expired)) => (error.to_string(), true),
            Err(error) => (error.to_string(), false),
        };
        let channel = Arc::clone(channel);
        tokio::spawn(async move {
            let _place = place;
            slack::show(&channel.targets, &url, &slack::answer(&text, in_place)).await;
        });
    }

    /// What a link or button is about, if it can still be answered by this operator.
    fn standing(
        &self,
        bound: &Bound,
        operator: &str,
        now_ms: u64,
    ) -> Result<(Arc<Approval>, OperatorIdentity), AnswerError> {
        let approval = self.gate.approvals().get(&bound.tenant, bound.approval).ok_or(AnswerError::Gone)?;
        if approval.shown() != bound.digest {
            return Err(AnswerError::Changed);
        }
        if approval.votes.iter().any(|vote| &*vote.operator == operator && !vote.lapsed) {
            return Err(AnswerError::Used);
        }
        match approval.state_at(now_ms) {
            State::Pending => {}
            ended => return Err(AnswerError::Ended(ended)),
        }
        if now_ms >= bound.expires_ms {
            return Err(AnswerError::Expired);
        }
        let identity = self.gate.operator(&bound.tenant, operator).ok_or(AnswerError::NoOperator)?;
        if !approval.asks(operator, &identity.roles, now_ms) {
            return Err(refused(&DecideError::NotEligible));
        }
        Ok((approval, identity))
    }

    /// Decides, once for each approval and operator.
    async fn answer(
        &self,
        bound: &Bound,
        operator: &str,
        approve: bool,
        comment: Option<&str>,
    ) -> Result<Arc<Approval>, AnswerError> {
        let now_ms = now_ms();
        let (approval, identity) = self.standing(bound, operator, now_ms)?;
        let ballot =
            Ballot { tenant: &approval.tenant, id: approval.id, by: identity.voter(), approve, comment, now_ms };
        let voted = self.gate.vote_shown(&ballot, bound.digest).await.map_err(|error| match error {
            VoteError::Decide(DecideError::Unknown) => AnswerError::Gone,
            VoteError::Decide(DecideError::Ended(state)) => AnswerError::Ended(state),
            VoteError::Decide(DecideError::Voted) => AnswerError::Used,
            VoteError::Decide(DecideError::Busy) => AnswerError::Busy,
            VoteError::Decide(error) => refused(&error),
            VoteError::Gate(error @ (GateError::Halted | GateError::Removed)) => {
                AnswerError::Refused(error.to_string())
            }
            VoteError::Gate(error) => AnswerError::Unrecorded(error.to_string()),
        });
        voted?.ok_or(AnswerError::Changed)
    }
}

fn channel_way(channel: Option<&Arc<Channel>>) -> Option<&Way> {
    channel.map(|channel| &channel.via)
}

fn bound(approval: &Approval, by: String, expires_ms: u64) -> Bound {
    Bound { tenant: approval.tenant.to_string(), approval: approval.id, digest: approval.shown(), by, expires_ms }
}

fn refused(error: &DecideError) -> AnswerError {
    AnswerError::Refused(error.to_string())
}

/// A secret that signs.
async fn secret(secret: &ClientSecret) -> Result<Zeroizing<String>, String> {
    long_enough(secret.reveal().await?)
}

fn long_enough(text: Zeroizing<String>) -> Result<Zeroizing<String>, String> {
    if text.len() < MIN_SECRET { Err(format!("it is shorter than {MIN_SECRET} bytes")) } else { Ok(text) }
}

fn outcome(approval: &Approval, operator: &str, approve: bool) -> String {
    let word = if approve { "approved" } else { "denied" };
    let call =
        format!("the call of {} by {}", telling::shown(&approval.tool, 120), telling::shown(&approval.agent, 63));
    match approval.state {
        State::Pending => {
            let (given, wanted) = (approval.approvals(), approval.plan.quorum);
            format!("{operator} {word} {call}; {given} of {wanted} approvals are there.")
        }
        state => format!("{operator} {word} {call}. It is {} now.", state.as_str()),
    }
}

/// An answer that has no effect, as a page.
fn refusal(error: &AnswerError) -> Reply {
    let (status, title) = match error {
        AnswerError::Forged => (StatusCode::NOT_FOUND, "This is no valid link"),
        AnswerError::Expired => (StatusCode::GONE, "This link has expired"),
        AnswerError::Gone => (StatusCode::GONE, "This approval is gone"),
        AnswerError::Changed => (StatusCode::GONE, "This call has changed"),
        AnswerError::Used => (StatusCode::GONE, "This link was used"),
        AnswerError::Ended(State::Expired) => (StatusCode::GONE, "Nobody decided in time"),
        AnswerError::Ended(_) => (StatusCode::GONE, "This is decided"),
        AnswerError::NoOperator | AnswerError::Refused(_) => (StatusCode::FORBIDDEN, "Not for you to decide"),
        AnswerError::Busy => (StatusCode::CONFLICT, "Try again in a moment"),
        AnswerError::Unrecorded(_) => (StatusCode::SERVICE_UNAVAILABLE, "Not recorded"),
    };
    page::notice(status, title, &error.to_string())
}

/// A share from 0 to 1, other every time: the last bytes of a random id.
fn jitter() -> f64 {
    let [.., first, second] = Uuid::new_v4().into_bytes();
    f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX)
}
