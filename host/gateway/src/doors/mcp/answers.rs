//! The messages that Portcullis writes itself.

use bytes::Bytes;
use portcullis_approvals::{Approval, State};
use portcullis_model::{Call, Decision, Document, Reason, codes as known};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Desk;
use super::envelope::{INTERNAL_ERROR, Id, NEEDS_APPROVAL, REFUSED, members};
use crate::gate::{GateError, Ruling};
use crate::ports::DenialForm;

/// Longest text of one reason in an answer, in characters.
const REASON_CHARACTERS: usize = 300;
/// What a client is told of an answer over the limit, whatever carried it.
pub(crate) const TOO_LARGE: &str = "the upstream's answer is too large";
/// Most reason codes in an answer.
const CODES: usize = 16;
/// How the names of our own members of `_meta` begin.
const MARK: &str = "portcullis/";

/// Why something is withheld, in the words of the answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Id of the call.
    call: Uuid,
    decision: &'static str,
    codes: Vec<String>,
    text: String,
    /// What a person, or nobody, decided.
    approval: Option<(Uuid, State)>,
}

/// What is withheld: it decides how the text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    Call,
    Result,
    Listing,
    Message,
}

/// The request that an answer is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplyTo<'a> {
    pub(crate) id: &'a Id,
    /// Whether it is of a revision without sessions: every result says then what kind of result it is.
    pub(crate) stateless: bool,
    /// What a refusal looks like.
    pub(crate) form: DenialForm,
}

impl Refusal {
    pub(crate) fn by_ruling(call: Uuid, what: Withheld, ruling: &Ruling) -> Self {
        let reasons = &ruling.judgement.reasons;
        let codes = codes(&ruling.judgement.reasons);
        let first = reasons.first().map(sentence).unwrap_or_else(|| "refused by policy".to_owned());
        let text = format!("{}: {first}", what.opening());
        Self { call, decision: ruling.judgement.decision.as_str(), codes, text, approval: None }
    }

    pub(crate) fn by_gate(call: Uuid, what: Withheld, error: &GateError) -> Self {
        let text = format!("{}: {error} ({})", what.opening(), error.code());
        Self { call, decision: "deny", codes: vec![error.code().to_owned()], text, approval: None }
    }

    /// A call that was parked and will not run, by where its approval stands.
    pub(crate) fn by_approval(call: Uuid, approval: &Approval, state: State) -> Self {
        let id = approval.id;
        let (why, code) = match state {
            State::Denied => match &approval.withdrawn {
                Some(code) => ("it may not run any more", code.as_str()),
                None => ("an approver denied it", known::APPROVAL_DENIED),
            },
            State::Cancelled => ("it was cancelled", known::APPROVAL_CANCELLED),
            State::Pending | State::Approved | State::Expired => ("nobody decided in time", known::APPROVAL_EXPIRED),
        };
        let text = format!("{}: {why} ({code}, approval {id})", Withheld::Call.opening());
        Self { call, decision: "deny", codes: vec![code.to_owned()], text, approval: Some((id, state)) }
    }

    fn meta(&self) -> Value {
        let mut meta = meta(self.call, self.decision, &self.codes);
        if let (Some((id, state)), Some(object)) = (self.approval, meta.as_object_mut()) {
            object.insert("portcullis/approval".to_owned(), json!({ "id": id, "state": state }));
        }
        meta
    }

    /// The answer to a request that was refused, or whose answer is withheld.
    pub(crate) fn answer(&self, to: ReplyTo<'_>) -> Bytes {
        match to.form {
            DenialForm::Result => self.tool_result(to),
            DenialForm::Error => self.rpc_error(Some(to.id)),
        }
    }

    /// A tool result that says it failed: the model reads the text.
    fn tool_result(&self, to: ReplyTo<'_>) -> Bytes {
        let mut result = json!({
            "content": [{ "type": "text", "text": self.text }],
            "isError": true,
            "_meta": self.meta(),
        });
        if let (true, Some(object)) = (to.stateless, result.as_object_mut()) {
            object.insert("resultType".to_owned(), "complete".into());
        }
        message(Some(to.id), "result", &result)
    }

    /// A JSON-RPC error, where a tool result does not fit.
    pub(crate) fn rpc_error(&self, id: Option<&Id>) -> Bytes {
        error(id, REFUSED, &self.text, Some(self.meta()))
    }
}

impl Withheld {
    fn opening(self) -> &'static str {
        match self {
            Self::Call => "Portcullis refused this call",
            Self::Result => "Portcullis withheld the result of this call",
            Self::Listing => "Portcullis withheld the list of tools",
            Self::Message => "Portcullis withheld this message",
        }
    }
}

/// A rewritten result that says in `_meta`, for machines, what was done to it. What the upstream wrote there in our name
/// is left out.
pub(crate) fn marked(result: &Document, call: Uuid, ruling: &Ruling) -> String {
    let (root, raw) = (result.root(), result.raw());
    let ours = meta(call, ruling.judgement.decision.as_str(), &codes(&ruling.judgement.reasons)).to_string();
    let ours = ours.trim_start_matches('{').trim_end_matches('}');
    let Some(theirs) = root.get("_meta") else {
        let comma = if root.members().next().is_some() { "," } else { "" };
        let before = raw.trim_end().strip_suffix('}').unwrap_or(raw);
        return format!("{before}{comma}\"_meta\":{{{ours}}}}}");
    };
    let kept = members(theirs, |name| !name.starts_with(MARK));
    let meta = [kept.as_str(), ours].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",");
    let range = theirs.range();
    let before = raw.get(..range.start).unwrap_or_default();
    let after = raw.get(range.end..).unwrap_or_default();
    format!("{before}{{{meta}}}{after}")
}

fn meta(call: Uuid, decision: &str, codes: &[String]) -> Value {
    json!({ "portcullis/id": call, "portcullis/decision": decision, "portcullis/codes": codes })
}

fn codes(reasons: &[Reason]) -> Vec<String> {
    reasons.iter().take(CODES).map(|reason| reason.code.clone()).collect()
}

/// The answer to a parked call: a person decides, then the same call is to be made again.
pub(crate) fn needs_approval(id: &Id, call: &Call, reasons: &[Reason], approval: &Approval, desk: Desk) -> Bytes {
    let reason = reasons.first().map_or_else(|| "policy asks for a person's decision".into(), sentence);
    let next = match desk {
        Desk::Api | Desk::CommandLine => "Wait for the decision, then make exactly the same call again.",
        Desk::Nowhere => {
            "Nobody can approve it here: that takes `portcullis wrap --decide`, or `portcullis serve` in front of this server."
        }
    };
    let text = format!("This call needs approval {}: {reason}. Nothing has run yet. {next}", approval.id);
    let notice = approval.notice(call.time_ms);
    let mut stands = json!({
        "id": notice.id,
        "state": notice.state,
        "deadline": notice.deadline,
        "required": notice.required,
    });
    if let (Desk::Api, Some(stands)) = (desk, stands.as_object_mut()) {
        stands.insert("poll".to_owned(), notice.poll.into());
    }
    let mut data = meta(call.id, Decision::Review.as_str(), &codes(reasons));
    if let Some(data) = data.as_object_mut() {
        data.insert("approval".to_owned(), stands);
    }
    error(Some(id), NEEDS_APPROVAL, &text, Some(data))
}

/// Name of our own question in an answer that asks the client for something.
pub(crate) const QUESTION: &str = "portcullis-approval";

/// The answer to a parked call whose client lets its user open an address, and then comes back with the state.
pub(crate) fn asks_to_decide(id: &Id, approval: &Approval, address: &str, state: &str) -> Bytes {
    let text = format!("This call needs approval {}. Open the address to see and decide it.", approval.id);
    let question =
        json!({ "method": "elicitation/create", "params": { "mode": "url", "message": text, "url": address } });
    let body = json!({
        "resultType": "input_required",
        "inputRequests": { QUESTION: question },
        "requestState": state,
    });
    result(id, &body.to_string())
}

/// A request that got no acceptable answer from the upstream.
pub(crate) fn upstream_error(id: &Id, text: &str) -> Bytes {
    error(Some(id), INTERNAL_ERROR, text, None)
}

/// A result that Portcullis writes itself, as JSON.
pub(crate) fn result(id: &Id, result: &str) -> Bytes {
    // By hand: the id goes out as it came in, whatever number it is.
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// A JSON-RPC error; without an id if what it answers had none that could be read.
pub(crate) fn error(id: Option<&Id>, code: i32, text: &str, data: Option<Value>) -> Bytes {
    let mut body = json!({ "code": code, "message": text });
    if let (Some(data), Some(object)) = (data, body.as_object_mut()) {
        object.insert("data".to_owned(), data);
    }
    message(id, "error", &body)
}

fn message(id: Option<&Id>, kind: &str, body: &Value) -> Bytes {
    let id = id.map_or_else(|| "null".to_owned(), Id::to_string);
    // By hand: the id goes out as it came in, whatever number it is.
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"{kind}":{body}}}"#))
}

/// One line of bounded length with the code behind it.
fn sentence(reason: &Reason) -> String {
    let text = reason.message.chars().take(REASON_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c });
    let text: String = text.collect();
    format!("{} ({})", text.trim_end_matches('.'), reason.code)
}
