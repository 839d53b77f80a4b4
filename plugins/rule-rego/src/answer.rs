//! What the policies said, and the verdict it makes.

use std::collections::BTreeSet;

use portcullis_plugin::{AttributedFinding, Payload, Reason, Redaction, Replacement, Span, Text, Verdict};
use regorus::Value;

/// The rules that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Deny,
    Review,
    Redact,
    Allow,
}

/// One element of `deny`, `review` or `redact`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Statement {
    code: String,
    message: String,
    /// For `redact`: RFC 6901 pointers of strings, or of objects and arrays that hold them.
    pointers: Vec<String>,
    /// For `redact`: categories of findings, with `*` for any ending.
    categories: Vec<String>,
    /// For `redact`: what is put in place.
    value: Option<String>,
}

/// Everything the policies said about one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) deny: Vec<Statement>,
    pub(crate) review: Vec<Statement>,
    pub(crate) redact: Vec<Statement>,
    /// Whether `allow` holds; none if no policy defines it.
    pub(crate) allowed: Option<bool>,
}

impl Word {
    pub(crate) const ALL: [Self; 4] = [Self::Deny, Self::Review, Self::Redact, Self::Allow];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Review => "review",
            Self::Redact => "redact",
            Self::Allow => "allow",
        }
    }
}

impl Statement {
    /// The statements of a rule: a set or array of objects and strings, one object, one string, or a boolean.
    ///
    /// # Errors
    /// What is wrong, as a sentence. Values are not repeated: they may be arguments.
    pub(crate) fn read_all(word: Word, value: &Value) -> Result<Vec<Self>, String> {
        let mut out = match value {
            Value::Undefined | Value::Bool(false) => Vec::new(),
            Value::Set(items) => items.iter_sorted().map(|item| Self::read(word, item)).collect::<Result<_, _>>()?,
            Value::Array(items) => items.iter().map(|item| Self::read(word, item)).collect::<Result<_, _>>()?,
            other => vec![Self::read(word, other)?],
        };
        if !matches!(value, Value::Array(_)) {
            out.sort();
        }
        Ok(out)
    }

    /// Whether the value of `allow` allows: `true`, or a set, array or object that is not empty.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn allows(value: &Value) -> Result<bool, String> {
        match value {
            Value::Undefined => Ok(false),
            Value::Bool(allowed) => Ok(*allowed),
            Value::Set(items) => Ok(!items.is_empty()),
            Value::Array(items) => Ok(items.first().is_some()),
            Value::Object(members) => Ok(!members.is_empty()),
            _ => Err("must be a boolean, a set or an object".to_owned()),
        }
    }

    fn read(word: Word, value: &Value) -> Result<Self, String> {
        let mut statement = Self {
            code: format!("policy_{}", word.as_str()),
            message: format!("a policy says {}", word.as_str()),
            pointers: Vec::new(),
            categories: Vec::new(),
            value: None,
        };
        match value {
            Value::Bool(true) if word != Word::Redact => {}
            Value::String(text) if word != Word::Redact => statement.message = text.to_string(),
            Value::Object(members) => {
                for (name, member) in members.iter_sorted() {
                    let name = name.as_string().map_err(|_| "a member's name must be a string")?;
                    statement.set(word, name, member)?;
                }
            }
            _ if word == Word::Redact => return Err("must hold objects with `pointers` or `categories`".to_owned()),
            _ => return Err("must hold objects with `code` and `msg`, strings, or be a boolean".to_owned()),
        }
        if word == Word::Redact && statement.pointers.is_empty() && statement.categories.is_empty() {
            return Err("an object needs `pointers` or `categories`".to_owned());
        }
        Ok(statement)
    }

    fn set(&mut self, word: Word, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "code" => self.code = code(value)?,
            "msg" | "message" => self.message = text(name, value)?,
            "pointers" if word == Word::Redact => {
                self.pointers = list(name, value)?;
                // It would match nothing, and the policy would be off without a word.
                if self.pointers.iter().any(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
                    return Err("a pointer must be empty or begin with `/`".to_owned());
                }
            }
            "categories" if word == Word::Redact => self.categories = list(name, value)?,
            "value" if word == Word::Redact => self.value = Some(text(name, value)?),
            // A misspelt member would change what the policy means.
            _ => return Err(format!("an object has a member `{name}` that means nothing here")),
        }
        Ok(())
    }

    fn reason(&self) -> Reason {
        Reason::new(self.code.clone(), self.message.clone())
    }

    fn covers(&self, category: &str) -> bool {
        self.categories.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => category.starts_with(start),
            None => category == pattern,
        })
    }
}

impl Said {
    /// As Clavenar reads it: what `allow` does not hold for is denied, for the reasons that `deny` gives, unless `review`
    /// alone speaks against it.
    pub(crate) fn allow_or_review(&mut self) {
        let explained = !self.deny.is_empty() || !self.review.is_empty();
        self.allowed = Some(self.allowed == Some(true) || explained);
    }

    /// The strongest answer: a deny or an `allow` that does not hold, then review, then redact, then allow.
    ///
    /// # Errors
    /// A redaction that cannot be made.
    pub(crate) fn verdict(
        &self,
        payload: &dyn Payload,
        texts: Vec<Text>,
        findings: &[AttributedFinding],
    ) -> Result<Verdict, String> {
        let mut deny = reasons(&self.deny);
        if self.allowed == Some(false) {
            deny.push(Reason::new("not_allowed", "no policy allows this call"));
        }
        if !deny.is_empty() {
            return Ok(Verdict::Deny(deny));
        }
        if !self.review.is_empty() {
            return Ok(Verdict::Review(reasons(&self.review)));
        }
        if self.redact.is_empty() {
            return Ok(Verdict::Allow);
        }
        let texts = if texts.is_empty() { payload.texts() } else { texts };
        let mut redaction = Redaction::default();
        for statement in &self.redact {
            let replacements = replacements(statement, payload, &texts, findings)?;
            if !replacements.is_empty() {
                redaction.reasons.push(statement.reason());
                redaction.replacements.extend(replacements);
            }
        }
        redaction.reasons.dedup();
        Ok(if redaction.replacements.is_empty() { Verdict::Allow } else { Verdict::Redact(redaction) })
    }
}

fn replacements(
    statement: &Statement,
    payload: &dyn Payload,
    texts: &[Text],
    findings: &[AttributedFinding],
) -> Result<Vec<Replacement>, String> {
    let mut out = Vec::new();
    for pointer in &statement.pointers {
        let inside = |text: &Text| {
            text.pointer.strip_prefix(pointer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for (index, text) in texts.iter().enumerate().filter(|(_, text)| inside(text)) {
            let value = statement.value.clone().unwrap_or_else(|| format!("[redacted:{}]", statement.code));
            out.push(Replacement { span: Span::whole(index, text), value });
        }
        // Nothing there is nothing to hide; but a number or a boolean cannot be replaced by a text.
        if payload.get(pointer).is_some_and(|json| !only_text(&json)) {
            return Err(
                "redact: a pointer names a value that is no string, or one that holds such; deny or review such a call instead"
                    .to_owned(),
            );
        }
    }
    for finding in findings.iter().map(|found| &found.finding).filter(|finding| statement.covers(&finding.category)) {
        if finding.spans.is_empty() {
            return Err(format!(
                "redact: a finding of {} names no place that could be replaced; deny or review such a call instead",
                finding.category
            ));
        }
        for span in &finding.spans {
            let value = statement.value.clone().unwrap_or_else(|| format!("[redacted:{}]", finding.category));
            out.push(Replacement { span: *span, value });
        }
    }
    Ok(out)
}

/// Whether every value in this JSON is a text, or null.
fn only_text(json: &str) -> bool {
    fn only(value: &serde_json::Value) -> bool {
        use serde_json::Value;
        match value {
            Value::Null | Value::String(_) => true,
            Value::Bool(_) | Value::Number(_) => false,
            Value::Array(items) => items.iter().all(only),
            Value::Object(members) => members.values().all(only),
        }
    }
    serde_json::from_str(json).is_ok_and(|value| only(&value))
}

fn reasons(statements: &[Statement]) -> Vec<Reason> {
    let mut seen = BTreeSet::new();
    statements
        .iter()
        .filter(|statement| seen.insert((&statement.code, &statement.message)))
        .map(Statement::reason)
        .collect()
}

fn code(value: &Value) -> Result<String, String> {
    let code = text("code", value)?;
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    if code.is_empty() || code.len() > 64 || !code.bytes().all(valid) {
        return Err("`code` must be 1 to 64 small letters, digits and `_.-`".to_owned());
    }
    Ok(code)
}

fn text(name: &str, value: &Value) -> Result<String, String> {
    value.as_string().map(|text| text.to_string()).map_err(|_| format!("`{name}` must be a string"))
}

fn list(name: &str, value: &Value) -> Result<Vec<String>, String> {
    let item = |item: &Value| text(name, item);
    match value {
        Value::Array(items) => items.iter().map(item).collect(),
        Value::Set(items) => items.iter_sorted().map(item).collect(),
        _ => Err(format!("`{name}` must be an array or a set of strings")),
    }
}
