//! One client of a shared process: what it may say there, and how it gets what comes back.

use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::process::{Arrival, Live, Load};
use super::{Era, Slot, Subscribing};
use crate::doors::mcp::answers;
use crate::doors::mcp::bridge::Undelivered;
use crate::doors::mcp::envelope::{Frame, INVALID_PARAMS, Id, METHOD_NOT_FOUND, Shape};
use crate::doors::mcp::inspector::{FromServer, Inspector};
use crate::doors::mcp::mailbox::Mailbox;
use crate::doors::mcp::remap;
use crate::doors::mcp::start::NotStarted;

/// A session of a shared process, or one request without a session.
pub(crate) struct Member {
    slot: Arc<Slot>,
    number: u64,
    inspector: Arc<Inspector>,
    mailbox: Arc<Mailbox>,
    /// The revision that a session began with.
    revision: OnceLock<String>,
}

/// Methods of the revisions with sessions, which would change the process for everybody.
const ELSEWHERE: &[&str] = &["initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];

impl Member {
    /// A new session. The process is started if it does not run.
    pub(crate) async fn session(slot: &Arc<Slot>, inspector: &Arc<Inspector>) -> Result<Arc<Self>, NotStarted> {
        slot.live().await?;
        let (number, messages) = slot.enter();
        let member = Self::new(slot, number, inspector);
        tokio::spawn(for_everybody(Arc::clone(inspector), Arc::clone(&member.mailbox), messages));
        Ok(Arc::new(member))
    }

    /// Whoever asks one thing.
    pub(crate) fn visitor(slot: &Arc<Slot>, inspector: &Arc<Inspector>) -> Arc<Self> {
        Arc::new(Self::new(slot, slot.visitor(), inspector))
    }

    fn new(slot: &Arc<Slot>, number: u64, inspector: &Arc<Inspector>) -> Self {
        let mailbox = Mailbox::new(Arc::clone(&slot.house.counters), &slot.house.limits);
        Self {
            slot: Arc::clone(slot),
            number,
            inspector: Arc::clone(inspector),
            mailbox: Arc::new(mailbox),
            revision: OnceLock::new(),
        }
    }

    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Passes on what the inspector has let through.
    pub(crate) async fn send(&self, message: Bytes) -> Result<(), Undelivered> {
        let frame = Frame::parse(message).map_err(|_| Undelivered::Gone)?;
        match frame.shape() {
            Shape::Request { id, method } => self.request(id, method, &frame).await,
            Shape::Notification { method } if &**method == "notifications/cancelled" => {
                self.cancel(&frame).await;
                Ok(())
            }
            // What is left says something about the client, and nobody has asked it anything.
            Shape::Notification { .. } | Shape::Response { .. } => Ok(()),
        }
    }

    async fn request(&self, id: &Id, method: &str, frame: &Frame) -> Result<(), Undelivered> {
        if self.slot.era == Era::Stateless && ELSEWHERE.contains(&method) {
            let text = "this protocol revision has no such method";
            self.arrive(id, answers::error(Some(id), METHOD_NOT_FOUND, text, None)).await;
            return Ok(());
        }
        if self.slot.era == Era::Stateless {
            return self.forward(id, frame).await;
        }
        let address = || frame.params().and_then(|params| params.get("uri")?.as_str()).unwrap_or_default();
        let subscribing = match method {
            "initialize" => return self.initialise(id).await,
            // Whoever knows the id of a task gets its result, and a list names them all.
            method if method.starts_with("tasks/") => {
                let text = "several clients share this server: it has no tasks";
                self.arrive(id, answers::error(Some(id), METHOD_NOT_FOUND, text, None)).await;
                return Ok(());
            }
            "resources/subscribe" => self.slot.subscribe(self.number, address()),
            "resources/unsubscribe" => self.slot.unsubscribe(self.number, address()),
            _ => Subscribing::Forward,
        };
        match subscribing {
            Subscribing::Forward => self.forward(id, frame).await,
            Subscribing::Done => {
                let done = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
                self.arrive(id, done.into()).await;
                Ok(())
            }
            Subscribing::Refused => {
                let text = "too many resources of this server are subscribed to, or this address is too long";
                self.arrive(id, answers::error(Some(id), INVALID_PARAMS, text, None)).await;
                Ok(())
            }
        }
    }

    /// Answers with what the process said when Portcullis initialised it.
    async fn initialise(&self, id: &Id) -> Result<(), Undelivered> {
        let live = self.slot.live().await?;
        let greeting = live.greeting().ok_or(Undelivered::Gone)?;
        // A session begins once.
        let _set = self.revision.set(greeting.revision.clone());
        self.arrive(id, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, greeting.result).into()).await;
        Ok(())
    }

    async fn forward(&self, id: &Id, frame: &Frame) -> Result<(), Undelivered> {
        loop {
            let live = self.slot.live().await?;
            if !self.fits(&live) {
                return Err(Undelivered::Over);
            }
            // It may have ended just now: then there is another one.
            let Some((number, arrivals)) = live.register(self.number, id, frame.offered_token()) else { continue };
            tokio::spawn(follow(Arc::clone(&self.inspector), Arc::clone(&self.mailbox), id.clone(), arrivals));
            if live.send(remap::request(frame, number), self.slot.house.limits.idle_wait).await {
                return Ok(());
            }
            live.withdraw(self.number, id);
            return Err(Undelivered::Gone);
        }
    }

    /// Whether the process speaks the revision that the session began with: it may be another program by now.
    fn fits(&self, live: &Live) -> bool {
        let Some(revision) = self.revision.get() else { return true };
        live.greeting().is_some_and(|greeting| greeting.revision == *revision)
    }

    async fn cancel(&self, frame: &Frame) {
        let Some(id) = frame.cancelled() else { return };
        let Some(live) = self.slot.running() else { return };
        if let Some(number) = live.withdraw(self.number, &id) {
            live.send(remap::cancelled(frame, number), self.slot.house.limits.idle_wait).await;
        }
    }

    /// Tells the process that nobody waits for this request any more, if it still has it.
    pub(crate) fn abandon(&self, id: &Id) {
        if let Some(live) = self.slot.running() {
            live.abandon(self.number, id);
        }
    }

    /// Gives an answer in the process' place. It is looked at like any other.
    async fn arrive(&self, id: &Id, answer: Bytes) {
        deliver_answer(&self.inspector, &self.mailbox, id, answer.into()).await;
    }

    /// Ends what is in flight. The process goes on.
    pub(crate) fn leave(&self) {
        self.mailbox.close();
        self.mailbox.clear();
        self.slot.leave(self.number);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.slot.leave(self.number);
    }
}

/// Inspects and hands over what comes about one request, up to its end.
async fn follow(inspector: Arc<Inspector>, mailbox: Arc<Mailbox>, id: Id, mut arrivals: mpsc::Receiver<Arrival>) {
    while let Some(arrival) = arrivals.recv().await {
        match arrival {
            Arrival::Message(message, _load) => {
                if let FromServer::Message { bytes, .. } = inspector.server_sent(message, None).await {
                    mailbox.route(bytes, Some(&id)).await;
                }
            }
            Arrival::Answer(answer) => return deliver_answer(&inspector, &mailbox, &id, answer.into()).await,
            Arrival::Lost(outcome, text) => {
                if let Some(bytes) = inspector.fail(&id, outcome, text).await {
                    mailbox.answer(&id, bytes).await;
                }
                return;
            }
        }
    }
}

async fn deliver_answer(inspector: &Inspector, mailbox: &Mailbox, id: &Id, answer: Vec<u8>) {
    match inspector.server_sent(answer, None).await {
        FromServer::Answer { id, bytes } => mailbox.answer(&id, bytes).await,
        FromServer::Malformed => {
            let text = "the upstream's answer is not a message";
            if let Some(bytes) = inspector.fail(id, portcullis_model::Outcome::Failed, text).await {
                mailbox.answer(id, bytes).await;
            }
        }
        FromServer::Message { .. } | FromServer::Refused(_) | FromServer::Unmatched => {}
    }
}

/// Inspects and hands over what is for every session.
async fn for_everybody(inspector: Arc<Inspector>, mailbox: Arc<Mailbox>, mut messages: mpsc::Receiver<(Bytes, Load)>) {
    while let Some((message, _load)) = messages.recv().await {
        if let FromServer::Message { bytes, .. } = inspector.server_sent(message, None).await {
            mailbox.route(bytes, None).await;
        }
    }
}
