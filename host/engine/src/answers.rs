//! What a plugin was told during a call, by hash and in words: what others answered, and what the host answered from what it
//! keeps. With these answers the call can be run again and must come to the same, and whoever kept them can prove that they
//! are the ones.
//!
//! `docs/ledger-format.md` describes the form for people with another JSON library.

use std::sync::Arc;

use portcullis_model::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{HttpError, HttpRequest, HttpResponse, JudgeError, Question};

/// Most bytes of the answers to one call that are held in words; of more there is the hash.
const MAX_TOLD: usize = 1024 * 1024;

/// The answers to one call so far.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    hasher: Option<Sha256>,
    /// What was hashed, as long as it fits.
    told: String,
    cut: bool,
    /// What was asked with answers at hand that stand for others.
    again: Vec<Digest>,
}

impl Answers {
    /// The hash of all of them in order; none if there were none.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.hasher.as_ref().map(|hasher| Digest(hasher.clone().finalize().into()))
    }

    /// What has this hash; none if there were no answers, or too many to hold.
    pub(crate) fn told(&mut self) -> Option<Arc<str>> {
        (self.hasher.is_some() && !self.cut).then(|| std::mem::take(&mut self.told).into())
    }

    /// How often this was asked before during the call.
    pub(crate) fn before(&mut self, request: Digest) -> usize {
        let before = self.again.iter().filter(|asked| **asked == request).count();
        self.again.push(request);
        before
    }

    pub(crate) fn sent(&mut self, request: Digest, answer: &Result<HttpResponse, HttpError>) {
        let answer = match answer {
            Ok(HttpResponse { status, headers, body }) => {
                json!({ "ok": { "status": status, "headers": headers, "body": hex(body) } })
            }
            Err(HttpError::Forbidden(why)) => error("forbidden", Some(why)),
            Err(HttpError::Unreachable(why)) => error("unreachable", Some(why)),
            Err(HttpError::TimedOut) => error("timed-out", None),
            Err(HttpError::TooLarge) => error("too-large", None),
        };
        self.add("http", "send", request, &answer);
    }

    pub(crate) fn asked(&mut self, question: Digest, answer: &Result<String, JudgeError>) {
        let answer = match answer {
            Ok(answer) => json!({ "ok": answer }),
            Err(JudgeError::Unavailable(why)) => error("unavailable", Some(why)),
            Err(JudgeError::BudgetSpent) => error("budget-spent", None),
            Err(JudgeError::TimedOut) => error("timed-out", None),
            Err(JudgeError::BadAnswer(why)) => error("bad-answer", Some(why)),
        };
        self.add("judge", "ask", question, &answer);
    }

    pub(crate) fn stood_for(&mut self, name: &str, answer: &Result<String, String>) {
        let answer = match answer {
            Ok(placeholder) => json!({ "ok": placeholder }),
            Err(why) => json!({ "error": [why] }),
        };
        self.add("secrets", "placeholder", of_name(name), &answer);
    }

    /// What the host answered from what it keeps itself.
    pub(crate) fn kept(&mut self, interface: &str, function: &str, request: &Value, answer: Result<Value, &str>) {
        let answer = match answer {
            Ok(answer) => json!({ "ok": answer }),
            Err(why) => json!({ "error": [why] }),
        };
        self.add(interface, function, Digest::of(request.to_string().as_bytes()), &answer);
    }

    /// One line for each answer, in the order of the calls.
    fn add(&mut self, interface: &str, function: &str, request: Digest, answer: &Value) {
        let mut line = json!([interface, function, request, answer]).to_string();
        line.push('\n');
        self.hasher.get_or_insert_with(Sha256::new).update(line.as_bytes());
        self.cut |= self.told.len().saturating_add(line.len()) > MAX_TOLD;
        if self.cut {
            self.told = String::new();
        } else {
            self.told.push_str(&line);
        }
    }
}

/// What a request is known by.
pub(crate) fn of_request(request: &HttpRequest) -> Digest {
    let HttpRequest { method, url, headers, body } = request;
    let text = json!({ "method": method, "url": url, "headers": headers, "body": hex(body) }).to_string();
    Digest::of(text.as_bytes())
}

/// What a question is known by.
pub(crate) fn of_question(question: &Question) -> Digest {
    let Question { template, variables } = question;
    Digest::of(json!({ "template": template, "variables": variables }).to_string().as_bytes())
}

/// What the name of a secret is known by.
pub(crate) fn of_name(name: &str) -> Digest {
    Digest::of(Value::from(name).to_string().as_bytes())
}

fn error(word: &str, why: Option<&String>) -> Value {
    match why {
        Some(why) => json!({ "error": [word, why] }),
        None => json!({ "error": [word] }),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_documented_lines() {
        let mut answers = Answers::default();
        assert_eq!(answers.digest(), None);
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: "https://api.example.com/".to_owned(),
            headers: vec![("a".to_owned(), "b\"c".to_owned())],
            body: b"\x00\xff".to_vec(),
        };
        let text = r#"{"method":"POST","url":"https://api.example.com/","headers":[["a","b\"c"]],"body":"00ff"}"#;
        assert_eq!(of_request(&request), Digest::of(text.as_bytes()));
        let response = HttpResponse { status: 200, headers: Vec::new(), body: b"ok".to_vec() };
        answers.sent(of_request(&request), &Ok(response));
        answers.sent(Digest::of(b""), &Err(HttpError::TimedOut));
        let question = Question { template: "risk".to_owned(), variables: vec![("tool".to_owned(), "rm".to_owned())] };
        let asked = r#"{"template":"risk","variables":[["tool","rm"]]}"#;
        answers.asked(of_question(&question), &Ok(r#"{"risk":7}"#.to_owned()));
        answers.asked(Digest::of(b""), &Err(JudgeError::BadAnswer("odd".to_owned())));
        answers.stood_for("key", &Ok("{{secret:key:1}}".to_owned()));
        answers.stood_for("other", &Err("no".to_owned()));
        let lines = [
            format!(
                r#"["http","send","{}",{{"ok":{{"status":200,"headers":[],"body":"6f6b"}}}}]"#,
                Digest::of(text.as_bytes())
            ),
            format!(r#"["http","send","{}",{{"error":["timed-out"]}}]"#, Digest::of(b"")),
            format!(r#"["judge","ask","{}",{{"ok":"{{\"risk\":7}}"}}]"#, Digest::of(asked.as_bytes())),
            format!(r#"["judge","ask","{}",{{"error":["bad-answer","odd"]}}]"#, Digest::of(b"")),
            format!(r#"["secrets","placeholder","{}",{{"ok":"{{{{secret:key:1}}}}"}}]"#, Digest::of(b"\"key\"")),
            format!(r#"["secrets","placeholder","{}",{{"error":["no"]}}]"#, Digest::of(b"\"other\"")),
        ];
        let text = lines.join("\n") + "\n";
        assert_eq!(answers.digest(), Some(Digest::of(text.as_bytes())));
        assert_eq!(answers.told().as_deref(), Some(text.as_str()));
    }

    #[test]
    fn answers_without_end_are_hashed_and_not_held() {
        let (mut answers, mut same) = (Answers::default(), Sha256::new());
        assert_eq!(answers.told(), None);
        for number in 0..40 {
            let answer = format!("{number} {}", "x".repeat(64 * 1024));
            answers.asked(Digest::of(b"q"), &Ok(answer.clone()));
            same.update(format!("[\"judge\",\"ask\",\"{}\",{{\"ok\":\"{answer}\"}}]\n", Digest::of(b"q")));
            assert!(answers.told.len() <= MAX_TOLD);
        }
        assert_eq!(answers.told(), None);
        assert_eq!(answers.digest(), Some(Digest(same.finalize().into())));
    }
}
