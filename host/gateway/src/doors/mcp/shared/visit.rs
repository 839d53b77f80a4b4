//! A request without a session to a process that the clients of a tenant share.

use std::sync::Arc;

use hyper::StatusCode;

use super::Era;
use super::member::Member;
use crate::doors::mcp::answers;
use crate::doors::mcp::bridge::Bridge;
use crate::doors::mcp::envelope::{Frame, METHOD_NOT_FOUND};
use crate::doors::mcp::front::{ReplyTo, Visit, answer_with, json_reply, plain};
use crate::doors::mcp::inspector::FromClient;
use crate::doors::mcp::start::NotStarted;
use crate::doors::mcp::stateless;
use crate::http::{Body, Reply};

/// Passes one message of the client on, and the answer back.
pub(in crate::doors::mcp) async fn post(visit: &Visit, run: Option<Arc<str>>, frame: Frame, mut reply: ReplyTo) {
    let slot = visit.inner.shared.slot(&visit.agent.tenant, &visit.upstream, Era::Stateless);
    // First: what an upstream of another era is asked is no call.
    let live = tokio::select! {
        live = slot.live() => live,
        () = reply.closed() => return,
    };
    if let Err(error) = live {
        let legacy = matches!(error, NotStarted::Legacy);
        let answer = match frame.request_id() {
            // Clients of both eras that are told of another revision here do not all go on to ask for a session.
            Some(id) if legacy && frame.asks("server/discover") => {
                let body = answers::error(Some(id), METHOD_NOT_FOUND, &error.to_string(), None);
                json_reply(StatusCode::NOT_FOUND, body)
            }
            id => error.reply(id),
        };
        return answer_with(reply, answer);
    }
    let inspector = visit.inspector(run);
    let bytes = match visit.sent(&inspector, &frame, &mut reply).await {
        FromClient::Held(_) => return,
        FromClient::Answer(bytes) => return answer_with(reply, json_reply(stateless::status(&bytes), bytes)),
        FromClient::Forward { bytes, .. } => bytes,
    };
    if frame.request_id().is_none() {
        // It belongs to no request, and the process would not know whose it is.
        return answer_with(reply, plain(StatusCode::ACCEPTED));
    }
    let bridge = Bridge::Shared(Member::visitor(&slot, &inspector));
    visit.pass_on(&bridge, &inspector, &frame, bytes, |answer, _| with_status(answer), reply).await;
}

/// An error has its own HTTP status in this era.
fn with_status(mut answer: Reply) -> Reply {
    if answer.status() == StatusCode::OK
        && let Body::Whole(bytes) = answer.body()
        && bytes.windows(7).any(|piece| piece == b"\"error\"")
    {
        *answer.status_mut() = stateless::status(bytes);
    }
    answer
}
