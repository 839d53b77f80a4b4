use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use super::Case;
use crate::{http, judge};

/// Bytes of a request's body that are shown.
const MOST_SHOWN: usize = 200;

/// What a language model answers in a case, once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeAnswer {
    /// Id of the prompt template that is asked with.
    pub template: String,
    /// The values of all its variables; any if absent.
    pub variables: Option<BTreeMap<String, String>>,
    /// The answer, of whatever form the template's schema asks for.
    pub answer: Option<Value>,
    /// In place of an answer: why there is none.
    pub error: Option<JudgeFailure>,
    /// What goes with `unavailable` and `bad-answer`.
    #[serde(default)]
    pub message: String,
}

/// Why a language model gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgeFailure {
    /// It cannot be reached.
    Unavailable,
    /// The tenant's budget is spent.
    BudgetSpent,
    /// No answer in time.
    TimedOut,
    /// Its answer does not fit the schema.
    BadAnswer,
}

/// What a host answers to one request of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpAnswer {
    /// The request's method.
    #[serde(default = "get")]
    pub method: String,
    /// The request's address, exactly.
    pub url: String,
    /// Headers that the request must have, with these values; a secret stands there as `{{secret:NAME}}`.
    #[serde(default)]
    pub sent_headers: BTreeMap<String, String>,
    /// The request's body: the text itself, or any other JSON value that the body must be.
    pub sent_body: Option<Value>,
    /// Status of the answer; 200 if absent.
    pub status: Option<u16>,
    /// Headers of the answer.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body of the answer: a text as it is, any other JSON value as its text.
    #[serde(default)]
    pub body: Value,
    /// In place of an answer: why there is none.
    pub error: Option<HttpFailure>,
    /// What goes with `forbidden` and `unreachable`.
    #[serde(default)]
    pub message: String,
}

/// Why a request gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpFailure {
    /// Host, method or header is not granted.
    Forbidden,
    /// No connection.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The answer is larger than it may be.
    TooLarge,
}

fn get() -> String {
    "GET".to_owned()
}

/// The answers of one case. Each is given once, to the first question that it fits.
#[derive(Debug, Default)]
pub struct Answers {
    judge: Vec<JudgeAnswer>,
    http: Vec<HttpAnswer>,
    secrets: Vec<String>,
    problems: Vec<String>,
}

impl Answers {
    /// The answers of a case.
    #[must_use]
    pub fn of(case: &Case) -> Self {
        let (judge, http, secrets) = (case.judge.clone(), case.http.clone(), case.secrets.clone());
        let unclear = judge.iter().filter(|one| one.answer.is_some() == one.error.is_some());
        let problem =
            |one: &JudgeAnswer| format!("the answer of the template `{}` needs either answer or error", one.template);
        let problems = unclear.map(problem).collect();
        Self { judge, http, secrets, problems }
    }

    /// What a language model answers.
    ///
    /// # Errors
    /// As the case says; unavailable if it says nothing, which is a problem of the case.
    pub fn ask(&mut self, template: &str, variables: &[(String, String)]) -> Result<String, judge::Error> {
        let given: BTreeMap<String, String> = variables.iter().cloned().collect();
        let fits = |one: &JudgeAnswer| {
            one.template == template && one.variables.as_ref().is_none_or(|wanted| *wanted == given)
        };
        let Some(at) = self.judge.iter().position(fits) else {
            let given = serde_json::to_string(&given).unwrap_or_default();
            let asked = format!("the plugin asks the template `{template}` with {given}");
            self.problems.push(format!("{asked}, and the case has no such answer (left) in `judge`"));
            return Err(judge::Error::Unavailable("the case has no answer".to_owned()));
        };
        let one = self.judge.remove(at);
        match one.error {
            None => Ok(one.answer.unwrap_or_default().to_string()),
            Some(JudgeFailure::Unavailable) => Err(judge::Error::Unavailable(one.message)),
            Some(JudgeFailure::BudgetSpent) => Err(judge::Error::BudgetSpent),
            Some(JudgeFailure::TimedOut) => Err(judge::Error::TimedOut),
            Some(JudgeFailure::BadAnswer) => Err(judge::Error::BadAnswer(one.message)),
        }
    }

    /// What a host answers.
    ///
    /// # Errors
    /// As the case says; forbidden if it says nothing, which is a problem of the case.
    pub fn send(&mut self, request: &http::Request) -> Result<http::Response, http::Error> {
        let Some(at) = self.http.iter().position(|one| one.fits(request)) else {
            self.problems.push(format!("{}, and the case has no such answer (left) in `http`", shown(request)));
            return Err(http::Error::Forbidden("the case has no answer".to_owned()));
        };
        let one = self.http.remove(at);
        match one.error {
            None => Ok(http::Response {
                status: one.status.unwrap_or(200),
                headers: one.headers.into_iter().collect(),
                body: text(&one.body).into_bytes(),
            }),
            Some(HttpFailure::Forbidden) => Err(http::Error::Forbidden(one.message)),
            Some(HttpFailure::Unreachable) => Err(http::Error::Unreachable(one.message)),
            Some(HttpFailure::TimedOut) => Err(http::Error::TimedOut),
            Some(HttpFailure::TooLarge) => Err(http::Error::TooLarge),
        }
    }

    /// What stands for a secret: `{{secret:NAME}}`.
    ///
    /// # Errors
    /// The case does not name it.
    pub fn placeholder(&self, name: &str) -> Result<String, String> {
        let granted = self.secrets.iter().any(|secret| secret == name);
        if granted { Ok(format!("{{{{secret:{name}}}}}")) } else { Err("the secret is not granted".to_owned()) }
    }

    /// What was asked in vain, and the answers that nobody asked for; none are left afterwards.
    pub fn problems(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.problems);
        let judge = std::mem::take(&mut self.judge);
        problems.extend(judge.iter().map(|one| format!("nobody asked the template `{}`", one.template)));
        let http = std::mem::take(&mut self.http);
        problems.extend(http.iter().map(|one| format!("nobody sent {} {}", one.method, one.url)));
        problems
    }
}

impl HttpAnswer {
    fn fits(&self, request: &http::Request) -> bool {
        let has = |(name, value): (&String, &String)| {
            request.headers.iter().any(|(known, sent)| known.eq_ignore_ascii_case(name) && sent == value)
        };
        let body = match &self.sent_body {
            None => true,
            Some(Value::String(text)) => text.as_bytes() == request.body,
            Some(value) => serde_json::from_slice::<Value>(&request.body).is_ok_and(|sent| sent == *value),
        };
        self.method == request.method && self.url == request.url && self.sent_headers.iter().all(has) && body
    }
}

fn text(body: &Value) -> String {
    match body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A request for people; secrets are placeholders in it.
fn shown(request: &http::Request) -> String {
    let mut text = format!("the plugin sends {} {}", request.method, request.url);
    for (name, value) in &request.headers {
        let _ = write!(text, ", {name}: {value}");
    }
    if !request.body.is_empty() {
        let body = String::from_utf8_lossy(&request.body);
        let kept = body.get(..body.floor_char_boundary(MOST_SHOWN)).unwrap_or_default();
        let _ = write!(text, ", with {kept:?}{}", if kept.len() < body.len() { " …" } else { "" });
    }
    text
}
