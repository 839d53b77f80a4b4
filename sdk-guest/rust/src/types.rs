use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Where in its life a call is being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the tool runs; the payload is the arguments.
    #[default]
    Call,
    /// After the tool ran; the payload is its output.
    Result,
    /// A tool list on its way to the agent; the payload is the array of definitions.
    Listing,
    /// Other text on its way to the model.
    Message,
}

impl Phase {
    /// The word used in configuration: `call`, `result`, `listing` or `message`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Result => "result",
            Self::Listing => "listing",
            Self::Message => "message",
        }
    }
}

/// One tool call, without its payload: that is read through [`Payload`](crate::Payload).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Call {
    /// UUID of the call; the same in every phase.
    pub id: String,
    /// What is being looked at.
    pub phase: Phase,
    /// Owner of the traffic.
    pub tenant: String,
    /// Who makes the call, from its credential.
    pub agent: String,
    /// The run of the agent this call belongs to.
    pub session: Option<String>,
    /// What the agent is for, from its registration or the caller.
    pub persona: Option<String>,
    /// What the user asked for in this session, when known.
    pub task: Option<String>,
    /// Name of the upstream that owns the tool.
    pub upstream: Option<String>,
    /// Name of the tool.
    pub tool: String,
    /// SHA-256 of the canonical payload, 32 bytes.
    pub digest: Vec<u8>,
}

/// One string of the payload, decoded, with its RFC 6901 pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// RFC 6901 pointer of the string.
    pub pointer: String,
    /// Its decoded content.
    pub value: String,
}

impl Text {
    /// Byte ranges of `needle` in the text, ASCII letters in either case; empty for an empty needle.
    pub fn find_ignoring_case<'a>(&'a self, needle: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let (hay, needle) = (self.value.as_bytes(), needle.as_bytes());
        let first = needle.first().copied().unwrap_or_default();
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        let mut from = 0;
        std::iter::from_fn(move || {
            if needle.is_empty() {
                return None;
            }
            loop {
                // Most bytes are not the first of the needle: this loop is nearly all of the work.
                let start = from + hay.get(from..)?.iter().position(|byte| *byte == lower || *byte == upper)?;
                let end = start + needle.len();
                if hay.get(start..end)?.eq_ignore_ascii_case(needle) {
                    from = end;
                    return Some(start..end);
                }
                from = start + 1;
            }
        })
    }
}

/// A piece of one decoded text of the payload, as byte offsets into `payload.texts()[text].value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Index into [`Payload::texts`](crate::Payload::texts).
    pub text: u32,
    /// First byte; must lie between two characters.
    pub start: u32,
    /// One past the last byte; must lie between two characters.
    pub end: u32,
}

impl Span {
    /// The span of a byte range in the text with this index, for instance of a regex match: `Span::of(i, m.range())`.
    #[must_use]
    pub fn of(text: usize, range: Range<usize>) -> Self {
        // The host refuses payloads of more than 4 GiB, so saturation never shows.
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { text: narrow(text), start: narrow(range.start), end: narrow(range.end) }
    }

    /// The span of a whole text.
    #[must_use]
    pub fn whole(index: usize, text: &Text) -> Self {
        Self::of(index, 0..text.value.len())
    }

    /// The bytes of the span, counted in its text.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// What the span covers; none if it does not fit these texts.
    #[must_use]
    pub fn slice(self, texts: &[Text]) -> Option<&str> {
        texts.get(self.text as usize)?.value.get(self.range())
    }
}

/// Sorts spans and joins those of the same text that overlap or touch.
#[must_use]
pub fn join_spans(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    spans.dedup_by(|next, kept| {
        let joined = next.text == kept.text && next.start <= kept.end;
        if joined {
            kept.end = kept.end.max(next.end);
        }
        joined
    });
    spans
}

/// At most about `most` findings with `most_spans` spans, the strongest first; fewer are left as they are. What is beyond is
/// joined to the strongest finding of its category, so that none is lost, however many texts a payload has. The host takes
/// 1000 findings and 10,000 spans of a plugin.
#[must_use]
pub fn join_findings(mut findings: Vec<Finding>, most: usize, most_spans: usize) -> Vec<Finding> {
    let spans = |findings: &[Finding]| findings.iter().map(|finding| finding.spans.len()).sum::<usize>();
    if findings.len() <= most && spans(&findings) <= most_spans {
        return findings;
    }
    findings.sort_by(|one, other| other.score.total_cmp(&one.score));
    let rest = findings.split_off(findings.len().min(most));
    let mut strongest = std::collections::BTreeMap::new();
    for (index, finding) in findings.iter().enumerate() {
        strongest.entry(finding.category.clone()).or_insert(index);
    }
    for finding in rest {
        let index = *strongest.entry(finding.category.clone()).or_insert(findings.len());
        match findings.get_mut(index) {
            // One without spans is about the whole payload, and then so are both.
            Some(known) if known.spans.is_empty() || finding.spans.is_empty() => known.spans.clear(),
            Some(known) => known.spans.extend(finding.spans),
            None => findings.push(finding),
        }
    }
    let mut left = most_spans;
    for finding in &mut findings {
        // Without any it would be about the whole payload.
        finding.spans.truncate(left.max(1));
        left = left.saturating_sub(finding.spans.len());
    }
    findings
}

/// Brings the spans of all findings to about `most`, for whoever redacts by them: neighbours in one text become one span that
/// covers what lies between them too, so nothing that was covered is left out. The host takes 10,000 spans of a plugin.
pub fn widen_spans(findings: &mut [Finding], most: usize) {
    let all: usize = findings.iter().map(|finding| finding.spans.len()).sum();
    if all <= most {
        return;
    }
    for finding in findings {
        let room = (finding.spans.len().saturating_mul(most) / all).max(1);
        let step = finding.spans.len().div_ceil(room);
        let mut in_a_row = 1;
        finding.spans.sort_unstable();
        finding.spans.dedup_by(|next, kept| {
            let joined = next.text == kept.text && in_a_row < step;
            in_a_row = if joined { in_a_row + 1 } else { 1 };
            if joined {
                kept.end = kept.end.max(next.end);
            }
            joined
        });
    }
}

/// The text at an RFC 6901 pointer, with its index.
#[must_use]
pub fn find_text<'a>(texts: &'a [Text], pointer: &str) -> Option<(usize, &'a Text)> {
    texts.iter().enumerate().find(|(_, text)| text.pointer == pointer)
}

/// What a detector saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Dotted category, for instance `injection.override` or `secret.token`.
    pub category: String,
    /// Calibrated confidence, 0 to 1.
    pub score: f32,
    /// One sentence for the person who decides. Never quote the payload: messages are logged.
    pub message: String,
    /// Where; empty if the finding is about the whole payload.
    pub spans: Vec<Span>,
}

impl Finding {
    /// A finding about the whole payload. The score is brought into 0..1 (NaN becomes 0).
    #[must_use]
    pub fn new(category: impl Into<String>, score: f32, message: impl Into<String>) -> Self {
        let score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
        Self { category: category.into(), score, message: message.into(), spans: Vec::new() }
    }

    /// The same with one more span.
    #[must_use]
    pub fn with_span(mut self, span: Span) -> Self {
        self.spans.push(span);
        self
    }

    /// The same with these spans added.
    #[must_use]
    pub fn with_spans(mut self, spans: impl IntoIterator<Item = Span>) -> Self {
        self.spans.extend(spans);
        self
    }
}

/// A finding of an earlier plugin, as a rule or router sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributedFinding {
    /// Name of the plugin in the pipeline.
    pub plugin: String,
    /// What it saw.
    pub finding: Finding,
}

/// Why; `code` is stable and machine-readable, `message` is for people.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, lower case, at most 64 bytes, for instance `destructive_command`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
}

impl Reason {
    /// A reason.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// Text to put in place of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// What is replaced.
    pub span: Span,
    /// With what, as decoded text.
    pub value: String,
}

/// Forward, with these replacements made.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Redaction {
    /// Why.
    pub reasons: Vec<Reason>,
    /// What is put in place; overlapping spans are joined by the host.
    pub replacements: Vec<Replacement>,
}

/// What a rule decides. The host merges the answers of all rules: deny, then review, then redact, then allow.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Nothing against it.
    #[default]
    Allow,
    /// Forward with replacements.
    Redact(Redaction),
    /// A person decides.
    Review(Vec<Reason>),
    /// Refuse.
    Deny(Vec<Reason>),
}

impl Verdict {
    /// Deny for one reason.
    #[must_use]
    pub fn deny(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Deny(vec![Reason::new(code, message)])
    }

    /// Review for one reason.
    #[must_use]
    pub fn review(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Review(vec![Reason::new(code, message)])
    }

    /// The word used on the wire: `allow`, `redact`, `review` or `deny`.
    #[must_use]
    pub fn decision(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Redact(_) => "redact",
            Self::Review(_) => "review",
            Self::Deny(_) => "deny",
        }
    }

    /// Why; empty for an allow.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Allow => &[],
            Self::Redact(redaction) => &redaction.reasons,
            Self::Review(reasons) | Self::Deny(reasons) => reasons,
        }
    }
}

/// Somebody who may decide a parked call. In JSON and TOML `{"role": "approver"}` or `{"operator": "ana"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approver {
    /// Any operator with this role.
    Role(String),
    /// This operator.
    Operator(String),
}

/// After `after_seconds` without a decision, also ask these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Counted from the moment the call was parked.
    pub after_seconds: u32,
    /// Who is asked.
    pub approvers: Vec<Approver>,
    /// Through which channels.
    #[serde(default)]
    pub channels: Vec<String>,
}

/// A router's answer: who decides, how many, until when, told where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Who may decide; at least one.
    pub approvers: Vec<Approver>,
    /// How many must approve; at least 1. One refusal refuses.
    pub quorum: u32,
    /// After this long without a decision the call is denied; at least 1.
    pub deadline_seconds: u32,
    /// Through which channels they are told.
    pub channels: Vec<String>,
    /// Who is asked later.
    pub escalation: Vec<Step>,
    /// What the approver reads first.
    pub summary: String,
    /// Whether arguments may be changed before release.
    pub may_modify: bool,
}

#[cfg(test)]
mod tests;
