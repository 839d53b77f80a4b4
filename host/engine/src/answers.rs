//! What was answered from outside during a call, by hash: with these answers the call can be run again and must come to the
//! same, and whoever kept them can prove that they are the ones.
//!
//! `docs/ledger-format.md` describes the form for people with another JSON library.

use portcullis_model::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{HttpError, HttpRequest, HttpResponse, JudgeError, Question};

/// The answers to one call so far.
#[derive(Clone, Default)]
pub(crate) struct Answers(Option<Sha256>);

impl Answers {
    /// The hash of all of them in order; none if there were none.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.0.as_ref().map(|hasher| Digest(hasher.clone().finalize().into()))
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
        self.add("secrets", "placeholder", Digest::of(Value::from(name).to_string().as_bytes()), &answer);
    }

    /// One line for each answer, in the order of the calls.
    fn add(&mut self, interface: &str, function: &str, request: Digest, answer: &Value) {
        let line = json!([interface, function, request, answer]).to_string();
        let hasher = self.0.get_or_insert_with(Sha256::new);
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
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

fn error(word: &str, why: Option<&String>) -> Value {
    match why {
        Some(why) => json!({ "error": [word, why] }),
        None => json!({ "error": [word] }),
    }
}

fn hex(bytes: &[u8]) -> String {
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
        assert_eq!(answers.digest(), Some(Digest::of((lines.join("\n") + "\n").as_bytes())));
    }
}
