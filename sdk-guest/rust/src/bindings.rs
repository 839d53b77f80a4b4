//! The generated side of the contract, and the ways from and to the types of this crate.

#![allow(missing_docs, clippy::all, reason = "generated code")]
#![allow(unsafe_code, reason = "generated code calls imports and reads the canonical ABI")]

use crate::types;

/// World `router` names every interface there is, so the other worlds take theirs from here.
pub mod router {
    wit_bindgen::generate!({
        path: "wit",
        world: "router",

        pub_export_macro: true,
        generate_all,
    });
}

pub mod detector {
    wit_bindgen::generate!({
        path: "wit",
        world: "detector",
        pub_export_macro: true,
        with: {
            "portcullis:plugin/types@1.0.0": crate::bindings::router::portcullis::plugin::types,
            "portcullis:plugin/payload@1.0.0": crate::bindings::router::portcullis::plugin::payload,
            "portcullis:plugin/log@1.0.0": crate::bindings::router::portcullis::plugin::log,
            "portcullis:plugin/clock@1.0.0": crate::bindings::router::portcullis::plugin::clock,
            "portcullis:plugin/state@1.0.0": crate::bindings::router::portcullis::plugin::state,
            "portcullis:plugin/labels@1.0.0": crate::bindings::router::portcullis::plugin::labels,
            "portcullis:plugin/judge@1.0.0": crate::bindings::router::portcullis::plugin::judge,
            "portcullis:plugin/http@1.0.0": crate::bindings::router::portcullis::plugin::http,
            "portcullis:plugin/secrets@1.0.0": crate::bindings::router::portcullis::plugin::secrets,
            "portcullis:plugin/files@1.0.0": crate::bindings::router::portcullis::plugin::files,
        },
    });
}

pub mod rule {
    wit_bindgen::generate!({
        path: "wit",
        world: "rule",
        pub_export_macro: true,
        with: {
            "portcullis:plugin/types@1.0.0": crate::bindings::router::portcullis::plugin::types,
            "portcullis:plugin/payload@1.0.0": crate::bindings::router::portcullis::plugin::payload,
            "portcullis:plugin/log@1.0.0": crate::bindings::router::portcullis::plugin::log,
            "portcullis:plugin/clock@1.0.0": crate::bindings::router::portcullis::plugin::clock,
            "portcullis:plugin/state@1.0.0": crate::bindings::router::portcullis::plugin::state,
            "portcullis:plugin/labels@1.0.0": crate::bindings::router::portcullis::plugin::labels,
            "portcullis:plugin/judge@1.0.0": crate::bindings::router::portcullis::plugin::judge,
            "portcullis:plugin/http@1.0.0": crate::bindings::router::portcullis::plugin::http,
            "portcullis:plugin/secrets@1.0.0": crate::bindings::router::portcullis::plugin::secrets,
            "portcullis:plugin/files@1.0.0": crate::bindings::router::portcullis::plugin::files,
        },
    });
}

pub use router::portcullis::plugin::{clock, files, http, judge, labels, log, payload, secrets, state};

/// The records of the contract.
pub mod wire {
    pub use super::router::portcullis::plugin::routing::{Approver, Plan, Step};
    pub use super::router::portcullis::plugin::types::{
        AttributedFinding, Call, Finding, Phase, Reason, Redaction, Replacement, Span, Verdict,
    };
}

/// A list of records as this crate's types.
pub fn lift<Wire, Own: From<Wire>>(list: Vec<Wire>) -> Vec<Own> {
    list.into_iter().map(Own::from).collect()
}

/// The payload that the host serves.
pub struct HostPayload;

impl crate::Payload for HostPayload {
    fn raw(&self) -> String {
        payload::raw()
    }

    fn texts(&self) -> Vec<types::Text> {
        let own = |text: payload::Text| types::Text { pointer: text.pointer, value: text.value };
        payload::texts().into_iter().map(own).collect()
    }

    fn names(&self) -> Vec<String> {
        payload::names()
    }

    fn get(&self, pointer: &str) -> Option<String> {
        payload::get(pointer)
    }
}

impl From<crate::log::Level> for log::Level {
    fn from(level: crate::log::Level) -> Self {
        match level {
            crate::log::Level::Trace => Self::Trace,
            crate::log::Level::Debug => Self::Debug,
            crate::log::Level::Info => Self::Info,
            crate::log::Level::Warn => Self::Warn,
            crate::log::Level::Error => Self::Error,
        }
    }
}

impl From<crate::http::Request> for http::Request {
    fn from(request: crate::http::Request) -> Self {
        let crate::http::Request { method, url, headers, body } = request;
        Self { method, url, headers, body }
    }
}

impl From<http::Response> for crate::http::Response {
    fn from(response: http::Response) -> Self {
        let http::Response { status, headers, body } = response;
        Self { status, headers, body }
    }
}

impl From<http::HttpError> for crate::http::Error {
    fn from(error: http::HttpError) -> Self {
        match error {
            http::HttpError::Forbidden(why) => Self::Forbidden(why),
            http::HttpError::Unreachable(why) => Self::Unreachable(why),
            http::HttpError::TimedOut => Self::TimedOut,
            http::HttpError::TooLarge => Self::TooLarge,
        }
    }
}

impl From<judge::JudgeError> for crate::judge::Error {
    fn from(error: judge::JudgeError) -> Self {
        match error {
            judge::JudgeError::Unavailable(why) => Self::Unavailable(why),
            judge::JudgeError::BudgetSpent => Self::BudgetSpent,
            judge::JudgeError::TimedOut => Self::TimedOut,
            judge::JudgeError::BadAnswer(why) => Self::BadAnswer(why),
        }
    }
}

impl From<wire::Call> for types::Call {
    fn from(call: wire::Call) -> Self {
        Self {
            id: call.id,
            phase: match call.phase {
                wire::Phase::Call => types::Phase::Call,
                wire::Phase::Result => types::Phase::Result,
                wire::Phase::Listing => types::Phase::Listing,
                wire::Phase::Message => types::Phase::Message,
            },
            tenant: call.tenant,
            agent: call.agent,
            session: call.session,
            persona: call.persona,
            task: call.task,
            upstream: call.upstream,
            tool: call.tool,
            digest: call.digest,
        }
    }
}

impl From<wire::Span> for types::Span {
    fn from(wire::Span { text, start, end }: wire::Span) -> Self {
        Self { text, start, end }
    }
}

impl From<types::Span> for wire::Span {
    fn from(types::Span { text, start, end }: types::Span) -> Self {
        Self { text, start, end }
    }
}

impl From<types::Finding> for wire::Finding {
    fn from(finding: types::Finding) -> Self {
        let types::Finding { category, score, message, spans } = finding;
        Self { category, score, message, spans: lift(spans) }
    }
}

impl From<wire::AttributedFinding> for types::AttributedFinding {
    fn from(wire::AttributedFinding { plugin, finding }: wire::AttributedFinding) -> Self {
        let wire::Finding { category, score, message, spans } = finding;
        Self { plugin, finding: types::Finding { category, score, message, spans: lift(spans) } }
    }
}

impl From<wire::Reason> for types::Reason {
    fn from(wire::Reason { code, message }: wire::Reason) -> Self {
        Self { code, message }
    }
}

impl From<types::Reason> for wire::Reason {
    fn from(types::Reason { code, message }: types::Reason) -> Self {
        Self { code, message }
    }
}

impl From<types::Replacement> for wire::Replacement {
    fn from(types::Replacement { span, value }: types::Replacement) -> Self {
        Self { span: span.into(), value }
    }
}

impl From<types::Verdict> for wire::Verdict {
    fn from(verdict: types::Verdict) -> Self {
        match verdict {
            types::Verdict::Allow => Self::Allow,
            types::Verdict::Redact(types::Redaction { reasons, replacements }) => {
                Self::Redact(wire::Redaction { reasons: lift(reasons), replacements: lift(replacements) })
            }
            types::Verdict::Review(reasons) => Self::Review(lift(reasons)),
            types::Verdict::Deny(reasons) => Self::Deny(lift(reasons)),
        }
    }
}

impl From<types::Approver> for wire::Approver {
    fn from(approver: types::Approver) -> Self {
        match approver {
            types::Approver::Role(name) => Self::Role(name),
            types::Approver::Operator(name) => Self::Operator(name),
        }
    }
}

impl From<types::Step> for wire::Step {
    fn from(types::Step { after_seconds, approvers, channels }: types::Step) -> Self {
        Self { after_seconds, approvers: lift(approvers), channels }
    }
}

impl From<types::Plan> for wire::Plan {
    fn from(plan: types::Plan) -> Self {
        let types::Plan { approvers, quorum, deadline_seconds, channels, escalation, summary, may_modify } = plan;
        let (approvers, escalation) = (lift(approvers), lift(escalation));
        Self { approvers, quorum, deadline_seconds, channels, escalation, summary, may_modify }
    }
}
