use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{HttpAnswer, JsonPayload, JudgeAnswer, PayloadError};
use crate::{
    AttributedFinding, Call, Finding, Payload, Phase, Plan, Reason, Redaction, Span, Text, Verdict, find_text,
};

/// One case: a configuration, a call, and what the plugin must answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows.
    pub name: String,
    /// The plugin's configuration; absent or null for none.
    #[serde(default)]
    pub config: Value,
    /// Calls that the plugin decided before this one, in order; what it keeps of them is there.
    #[serde(default)]
    pub before: Vec<Before>,
    /// The call.
    #[serde(default)]
    pub call: CallSpec,
    /// The payload, kept exactly as written; `{}` if absent.
    #[serde(default)]
    pub payload: Option<Box<RawValue>>,
    /// What earlier plugins saw; for rules and routers.
    #[serde(default)]
    pub findings: Vec<GivenFinding>,
    /// Why the call was parked: codes; for routers.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Labels of the session, oldest first.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
    /// What a language model answers, for plugins that ask for `judge`.
    #[serde(default)]
    pub judge: Vec<JudgeAnswer>,
    /// What hosts answer, for plugins that ask for `http`.
    #[serde(default)]
    pub http: Vec<HttpAnswer>,
    /// Names of the secrets that are granted.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// What must come out.
    pub expect: Expect,
    /// Whether findings that are not expected fail the case.
    #[serde(default)]
    pub exact: bool,
}

/// An earlier call. Its answer is not looked at, but it must not fail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The call.
    #[serde(default)]
    pub call: CallSpec,
    /// Its payload; `{}` if absent.
    #[serde(default)]
    pub payload: Option<Box<RawValue>>,
}

/// The call of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallSpec {
    /// Where in its life the call is looked at.
    pub phase: Phase,
    /// Name of the tool.
    pub tool: String,
    /// Owner of the traffic.
    pub tenant: String,
    /// Who makes the call.
    pub agent: String,
    /// The run of the agent.
    pub session: Option<String>,
    /// What the agent is for.
    pub persona: Option<String>,
    /// What the user asked for.
    pub task: Option<String>,
    /// Name of the upstream that owns the tool.
    pub upstream: Option<String>,
    /// What the clock says, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

impl Default for CallSpec {
    fn default() -> Self {
        Self {
            phase: Phase::Call,
            tool: "test_tool".to_owned(),
            tenant: "acme".to_owned(),
            agent: "helper".to_owned(),
            session: None,
            persona: None,
            task: None,
            upstream: None,
            time_ms: 1_700_000_000_000,
        }
    }
}

/// A finding of an earlier plugin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenFinding {
    /// Name of the plugin in the pipeline.
    #[serde(default = "some_detector")]
    pub plugin: String,
    /// Dotted category.
    pub category: String,
    /// 0 to 1.
    pub score: f32,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Where.
    #[serde(default)]
    pub spans: Vec<Place>,
}

fn some_detector() -> String {
    "detector".to_owned()
}

/// A span as people write it: the first occurrence of `text`, or a byte range, or the whole string at `pointer`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// RFC 6901 pointer of the string.
    pub pointer: String,
    /// What the span covers.
    pub text: Option<String>,
    /// First byte; without `text`.
    pub start: Option<u32>,
    /// One past the last byte; without `text`.
    pub end: Option<u32>,
}

/// What must come out. What is not named is not looked at.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Detectors: each must be among the findings. An empty list means that there must be none.
    pub findings: Option<Vec<ExpectedFinding>>,
    /// Detectors: how many findings there are.
    pub count: Option<usize>,
    /// Rules: `allow`, `redact`, `review` or `deny`.
    pub decision: Option<String>,
    /// Rules: the codes of the reasons, all, in order.
    pub reasons: Option<Vec<String>>,
    /// Rules: the messages of the reasons, all, in order.
    pub messages: Option<Vec<String>>,
    /// Rules: the payload after the replacements.
    pub redacted: Option<Value>,
    /// Routers: members that the plan must have with these values.
    pub plan: Option<serde_json::Map<String, Value>>,
    /// A piece of the error, from `configure` or from the call. Without it an error fails the case.
    pub error: Option<String>,
}

/// A finding that must be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFinding {
    /// Its category, exactly.
    pub category: String,
    /// Its least score.
    #[serde(default)]
    pub min_score: f32,
    /// Its greatest score.
    pub max_score: Option<f32>,
    /// What it says, exactly.
    pub message: Option<String>,
    /// Where one of its spans lies.
    pub pointer: Option<String>,
    /// What one of its spans (at `pointer`, if given) covers, exactly.
    pub text: Option<String>,
}

/// What came out, in words that both the native harness and the host can fill in.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A detector's answer.
    Findings(Vec<Seen>),
    /// A rule's answer.
    Verdict {
        /// `allow`, `redact`, `review` or `deny`.
        decision: String,
        /// Codes, in order.
        reasons: Vec<String>,
        /// What they say, in the same order.
        messages: Vec<String>,
        /// The payload after the replacements; only for `redact`.
        redacted: Option<Value>,
    },
    /// A router's answer, as the JSON of [`Plan`].
    Plan(Value),
    /// An error of `configure` or of the call.
    Error(String),
}

/// One finding that came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its category.
    pub category: String,
    /// Its score.
    pub score: f32,
    /// What it says.
    pub message: String,
    /// Pointer and covered text of each span.
    pub places: Vec<(String, String)>,
}

/// A case that cannot be run.
#[derive(Debug)]
#[non_exhaustive]
pub enum CaseError {
    /// A file or folder cannot be read.
    Read(PathBuf, std::io::Error),
    /// A file is not a case or an array of cases.
    Malformed(PathBuf, serde_json::Error),
    /// The folder holds no case.
    Empty(PathBuf),
    /// The payload is not JSON.
    Payload(PayloadError),
    /// A place is not in the payload.
    Place(String),
    /// The answer holds a span or replacement that does not fit the payload.
    Span(Span),
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Malformed(path, error) => write!(f, "{}: not a case: {error}", path.display()),
            Self::Empty(path) => write!(f, "{}: no *.json in this folder", path.display()),
            Self::Payload(error) => error.fmt(f),
            Self::Place(pointer) => write!(f, "nothing like the place at `{pointer}` is in the payload"),
            Self::Span(span) => write!(
                f,
                "the answer's span {}..{} of text {} is not in the payload or splits a character",
                span.start, span.end, span.text
            ),
        }
    }
}

impl std::error::Error for CaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(_, error) => Some(error),
            Self::Malformed(_, error) => Some(error),
            Self::Payload(error) => Some(error),
            Self::Empty(_) | Self::Place(_) | Self::Span(_) => None,
        }
    }
}

/// Largest file of cases, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Reads every `*.json` of a folder, in order of name; a file holds one case or an array of cases.
///
/// # Errors
/// Unreadable or malformed files, or no file at all.
pub fn read_cases(folder: &Path) -> Result<Vec<Case>, CaseError> {
    let unreadable = |error| CaseError::Read(folder.to_owned(), error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let mut cases = Vec::new();
    for path in paths {
        let unreadable = |error| CaseError::Read(path.clone(), error);
        let about = fs::metadata(&path).map_err(unreadable)?;
        if !about.is_file() || about.len() > MAX_FILE {
            let why = format!("is no file of at most {MAX_FILE} bytes");
            return Err(unreadable(std::io::Error::new(std::io::ErrorKind::InvalidInput, why)));
        }
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        let read = if text.trim_start().starts_with('[') {
            serde_json::from_str::<Vec<Case>>(&text)
        } else {
            serde_json::from_str(&text).map(|case| vec![case])
        };
        cases.extend(read.map_err(|error| CaseError::Malformed(path.clone(), error))?);
    }
    if cases.is_empty() { Err(CaseError::Empty(folder.to_owned())) } else { Ok(cases) }
}

impl Case {
    /// The earlier calls, each as a case of its own.
    pub fn earlier(&self) -> impl Iterator<Item = Self> {
        self.before.iter().map(|before| Self {
            before: Vec::new(),
            call: before.call.clone(),
            payload: before.payload.clone(),
            findings: Vec::new(),
            expect: Expect::default(),
            ..self.clone()
        })
    }

    /// The configuration as the plugin gets it; empty for none.
    #[must_use]
    pub fn config_text(&self) -> String {
        if self.config.is_null() { String::new() } else { self.config.to_string() }
    }

    /// The payload's JSON text.
    #[must_use]
    pub fn payload_text(&self) -> &str {
        self.payload.as_deref().map_or("{}", RawValue::get)
    }

    /// The payload.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn payload(&self) -> Result<JsonPayload, CaseError> {
        JsonPayload::new(self.payload_text()).map_err(CaseError::Payload)
    }

    /// The call; its digest is 32 zero bytes, which the host's runs replace by the true one.
    #[must_use]
    pub fn call(&self) -> Call {
        let spec = self.call.clone();
        Call {
            id: "00000000-0000-4000-8000-000000000000".to_owned(),
            phase: spec.phase,
            tenant: spec.tenant,
            agent: spec.agent,
            session: spec.session,
            persona: spec.persona,
            task: spec.task,
            upstream: spec.upstream,
            tool: spec.tool,
            digest: vec![0; 32],
        }
    }

    /// The given findings, with their places found in the payload.
    ///
    /// # Errors
    /// A place that is not there.
    pub fn findings(&self, payload: &JsonPayload) -> Result<Vec<AttributedFinding>, CaseError> {
        let texts = payload.texts();
        let find = |given: &GivenFinding| {
            let spans = given.spans.iter().map(|place| place.find(&texts)).collect::<Result<Vec<_>, _>>()?;
            let finding = Finding::new(&*given.category, given.score, &*given.message).with_spans(spans);
            Ok(AttributedFinding { plugin: given.plugin.clone(), finding })
        };
        self.findings.iter().map(find).collect()
    }

    /// Why the call was parked.
    #[must_use]
    pub fn park_reasons(&self) -> Vec<Reason> {
        self.reasons.iter().map(|code| Reason::new(code, "")).collect()
    }

    /// How an outcome differs from what is expected; empty if it does not.
    #[must_use]
    pub fn check(&self, outcome: &Outcome) -> Vec<String> {
        let expect = &self.expect;
        let mut differences = Vec::new();
        let mut differ = |text: String| differences.push(text);
        match (outcome, &expect.error) {
            (Outcome::Error(error), None) => differ(format!("failed with `{error}`")),
            (Outcome::Error(error), Some(wanted)) if !error.contains(wanted) => {
                differ(format!("failed with `{error}`, which does not hold `{wanted}`"));
            }
            (Outcome::Error(_), Some(_)) => {}
            (other, Some(wanted)) => differ(format!("expected an error with `{wanted}`, got {other:?}")),
            (Outcome::Findings(seen), None) => self.check_findings(seen, &mut differ),
            (Outcome::Verdict { decision, reasons, messages, redacted }, None) => {
                if expect.decision.as_ref().is_some_and(|wanted| wanted != decision) {
                    let reasons = if reasons.is_empty() { "no reason".to_owned() } else { reasons.join(", ") };
                    let wanted = expect.decision.as_deref().unwrap_or_default();
                    differ(format!("decided {decision} for {reasons}, expected {wanted}"));
                }
                if expect.reasons.as_ref().is_some_and(|wanted| wanted != reasons) {
                    differ(format!(
                        "reasons {}, expected {}",
                        list(reasons),
                        list(expect.reasons.as_deref().unwrap_or_default())
                    ));
                }
                if expect.messages.as_ref().is_some_and(|wanted| wanted != messages) {
                    differ(format!(
                        "messages {}, expected {}",
                        list(messages),
                        list(expect.messages.as_deref().unwrap_or_default())
                    ));
                }
                if expect.redacted.is_some() && expect.redacted != *redacted {
                    differ(format!(
                        "redacted to {}, expected {}",
                        json(redacted.as_ref()),
                        json(expect.redacted.as_ref())
                    ));
                }
            }
            (Outcome::Plan(plan), None) => {
                for (key, wanted) in expect.plan.iter().flatten() {
                    let got = plan.get(key);
                    if got != Some(wanted) {
                        differ(format!("the plan's {key} is {}, expected {wanted}", json(got)));
                    }
                }
            }
        }
        differences
    }

    fn check_findings(&self, seen: &[Seen], differ: &mut impl FnMut(String)) {
        if let Some(wanted) = self.expect.count.filter(|wanted| *wanted != seen.len()) {
            differ(format!("{} findings, expected {wanted}", seen.len()));
        }
        let Some(expected) = &self.expect.findings else { return };
        for wanted in expected.iter().filter(|wanted| !seen.iter().any(|seen| wanted.fits(seen))) {
            let seen: Vec<_> = seen.iter().map(Seen::told).collect();
            differ(format!("no finding like {}; there is {}", wanted.told(), list(&seen)));
        }
        if self.exact || expected.is_empty() {
            for extra in seen.iter().filter(|seen| !expected.iter().any(|wanted| wanted.fits(seen))) {
                differ(format!("unexpected finding {}", extra.told()));
            }
        }
    }
}

impl ExpectedFinding {
    /// For people.
    fn told(&self) -> String {
        let mut out = self.category.clone();
        match self.max_score {
            Some(most) => out.push_str(&format!(" from {} to {most}", self.min_score)),
            None if self.min_score > 0.0 => out.push_str(&format!(" from {}", self.min_score)),
            None => {}
        }
        out.extend(self.message.as_ref().map(|message| format!(" {message:?}")));
        out.extend(self.pointer.as_ref().map(|pointer| format!(" at {pointer:?}")));
        out.extend(self.text.as_ref().map(|text| format!(" on {text:?}")));
        out
    }

    fn fits(&self, seen: &Seen) -> bool {
        let place_fits = |(pointer, text): &(String, String)| {
            self.pointer.as_ref().is_none_or(|wanted| wanted == pointer)
                && self.text.as_ref().is_none_or(|wanted| wanted == text)
        };
        let anywhere = self.pointer.is_none() && self.text.is_none();
        self.category == seen.category
            && seen.score >= self.min_score
            && self.max_score.is_none_or(|most| seen.score <= most)
            && self.message.as_ref().is_none_or(|wanted| *wanted == seen.message)
            && (anywhere || seen.places.iter().any(place_fits))
    }
}

impl Seen {
    /// For people.
    fn told(&self) -> String {
        let mut out = format!("{} {} {:?}", self.category, self.score, self.message);
        out.extend(self.places.iter().map(|(pointer, text)| format!(" at {pointer:?} on {text:?}")));
        out
    }
}

impl Place {
    fn find(&self, texts: &[Text]) -> Result<Span, CaseError> {
        let missing = || CaseError::Place(self.pointer.clone());
        let (index, text) = find_text(texts, &self.pointer).ok_or_else(missing)?;
        let whole = Span::whole(index, text);
        match (&self.text, self.start, self.end) {
            (Some(covered), None, None) => {
                let start = text.value.find(covered.as_str()).ok_or_else(missing)?;
                Ok(Span::of(index, start..start + covered.len()))
            }
            (None, start, end) => {
                let span = Span { start: start.unwrap_or(0), end: end.unwrap_or(whole.end), ..whole };
                span.slice(texts).map(|_| span).ok_or_else(missing)
            }
            (Some(_), _, _) => Err(missing()),
        }
    }
}

impl Outcome {
    /// A detector's answer.
    ///
    /// # Errors
    /// A span that does not fit the payload.
    pub fn of_findings(findings: &[Finding], payload: &JsonPayload) -> Result<Self, CaseError> {
        let texts = payload.texts();
        let place = |span: &Span| match (texts.get(span.text as usize), span.slice(&texts)) {
            (Some(text), Some(covered)) => Ok((text.pointer.clone(), covered.to_owned())),
            _ => Err(CaseError::Span(*span)),
        };
        let see = |finding: &Finding| {
            let places = finding.spans.iter().map(place).collect::<Result<_, _>>()?;
            let (category, message) = (finding.category.clone(), finding.message.clone());
            Ok(Seen { category, score: finding.score, message, places })
        };
        Ok(Self::Findings(findings.iter().map(see).collect::<Result<_, _>>()?))
    }

    /// A rule's answer.
    ///
    /// # Errors
    /// A replacement that does not fit the payload.
    pub fn of_verdict(verdict: &Verdict, payload: &JsonPayload) -> Result<Self, CaseError> {
        let redacted = match verdict {
            Verdict::Redact(redaction) => Some(redact(payload, redaction)?),
            Verdict::Allow | Verdict::Review(_) | Verdict::Deny(_) => None,
        };
        Ok(Self::Verdict {
            decision: verdict.decision().to_owned(),
            reasons: verdict.reasons().iter().map(|reason| reason.code.clone()).collect(),
            messages: verdict.reasons().iter().map(|reason| reason.message.clone()).collect(),
            redacted,
        })
    }

    /// A router's answer.
    #[must_use]
    pub fn of_plan(plan: &Plan) -> Self {
        Self::Plan(serde_json::to_value(plan).unwrap_or_default())
    }
}

/// The payload with the replacements made; overlapping spans become one, filled by the one that starts first, as the host
/// does it.
fn redact(payload: &JsonPayload, redaction: &Redaction) -> Result<Value, CaseError> {
    let texts = payload.texts();
    let mut order: Vec<_> = redaction.replacements.iter().collect();
    order.sort_by_key(|made| (made.span.text, made.span.start, std::cmp::Reverse(made.span.end)));
    let mut joined: Vec<(Span, &str)> = Vec::new();
    for made in order {
        made.span.slice(&texts).ok_or(CaseError::Span(made.span))?;
        match joined.last_mut() {
            Some((last, value))
                if last.text == made.span.text
                    && (made.span.start < last.end || (made.span.start == last.end && *value == made.value)) =>
            {
                last.end = last.end.max(made.span.end);
            }
            _ => joined.push((made.span, &made.value)),
        }
    }
    let mut document: Value =
        serde_json::from_str(&payload.raw()).map_err(|error| CaseError::Malformed(PathBuf::from("payload"), error))?;
    // From the back, so that earlier offsets stay right.
    for (span, value) in joined.into_iter().rev() {
        let text = texts.get(span.text as usize).and_then(|text| document.pointer_mut(&text.pointer));
        if let Some(Value::String(text)) = text {
            text.replace_range(span.range(), value);
        }
    }
    Ok(document)
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn json(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
